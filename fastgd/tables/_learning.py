"""Learn from a table how its columns become inputs and targets of a network."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd._words import count
from fastgd.tables._dates import EPOCH, find_format, parse
from fastgd.tables._encoding import Encoding, header_doubt
from fastgd.tables._gaps import as_names
from fastgd.tables._inputs import (
    CategoryColumn,
    DateColumn,
    InputColumn,
    NumberColumn,
    numbers_or_error,
)
from fastgd.tables._mending import refuse_stray_text, shorten, too_many
from fastgd.tables._table import InputError, Table
from fastgd.tables._targets import ClassTarget, NumbersTarget, NumberTarget

__all__ = ["MOST_GUESSED_CLASSES", "guess_task", "learn_encoding"]

#: a target with at most this many different whole numbers is guessed to be a class
MOST_GUESSED_CLASSES = 10
#: text is the name of a row if so many of its cells are different, of at least so many
ID_SHARE = 0.9
FEWEST_FOR_IDS = 20
#: a column whose deviation is this small a share of its mean is a constant
ROUNDING = 1e-12


def guess_task(table: Table, target: str) -> tuple[str, str]:
    """Guess the task from the target's values; return it and the reason.

    Text means classification, and so do at most `MOST_GUESSED_CLASSES` different whole numbers.
    Other numbers mean regression. A few cells of text among numbers are an error.
    """
    values = table.numbers(target)
    if values is None:
        refuse_stray_text(table, target, "--task classification")
        return "classification", "its values are text"
    different = np.unique(values[~np.isnan(values)])
    if len(different) <= MOST_GUESSED_CLASSES and np.all(different == np.floor(different)):
        return "classification", f"it has {count(len(different), 'different whole number')}"
    if np.all(different == np.floor(different)):
        return "regression", f"it has {count(len(different), 'different whole number')}"
    return "regression", "its values are numbers with fractions"


def learn_encoding(
    table: Table,
    target: str | Sequence[str],
    task: str,
    train: NDArray[Any],
    *,
    categorical: Iterable[str] = (),
    ignore: Iterable[str] = (),
    max_categories: int = 100,
    notes: list[str] | None = None,
) -> Encoding:
    """Learn how a table's columns become inputs.

    Parameters
    ----------
    table : Table
        The whole file; categories and classes are taken from all its rows. The target has no
        missing values; those of other columns become inputs of their own.
    target : str or sequence of str
        The column to predict, or several, all of numbers.
    task : {"regression", "classification"}
        What kind of target it is.
    train : ndarray of int
        The training rows, which alone determine means and deviations.
    categorical, ignore : iterable of str
        Columns of numbers to one-hot encode; columns to ignore.
    max_categories : int
        With more different texts in a column, the most frequent are used, and "other" for the
        rest; with more classes, the target is an error.
    notes : list of str, optional
        Gets a sentence for each column that is left out or shortened.
    """
    targets = [target] if isinstance(target, str) else list(target)
    notes = [] if notes is None else notes
    learn = _Learning(table, train, list(categorical), max_categories, notes)
    left_out = {*targets, *ignore}
    columns = [learn.column(name) for name in table.columns if name not in left_out]
    learn.refuse_stray()
    inputs = tuple(column for column in columns if column is not None)
    if not inputs:
        raise InputError(
            f"{table.source} has no column left to predict {shorten(targets)} from"
            f"{header_doubt(table)}"
        )
    if task == "classification":
        if len(targets) > 1:
            raise InputError(
                f"the targets {shorten(targets)} are {len(targets)} classes for each row: several "
                "targets must all be numbers (--task regression)"
            )
        return Encoding(inputs, _learn_classes(table, targets[0], max_categories))
    learned = tuple(_learn_number(table, name, train) for name in targets)
    return Encoding(inputs, learned[0] if len(learned) == 1 else NumbersTarget(learned))


@dataclass
class _Learning:
    """Chooses a kind for each input column; collects notes, and columns with wrong cells."""

    table: Table
    train: NDArray[Any]
    categorical: list[str]
    max_categories: int
    notes: list[str]
    stray: list[InputError] = field(default_factory=list)

    def column(self, name: str) -> InputColumn | None:
        """Return how a column becomes inputs; None if it is left out."""
        table, missing = self.table, self.table.missing(name)
        if missing.all():
            self.notes.append(f"Left out: {name}, which holds no values.")
            return None
        if name not in self.categorical and table.numbers(name) is not None:
            return self._numbers(name, missing)
        if name not in self.categorical:
            try:
                refuse_stray_text(table, name, f"--categorical {shlex.quote(as_names([name]))}")
            except InputError as error:
                self.stray.append(error)
                return None
            if (column := self._dates(name, missing)) is not None:
                return column
        return self._categories(name, missing)

    def refuse_stray(self) -> None:
        """Raise InputError if columns of numbers have cells that are not numbers."""
        if not self.stray:
            return
        first, *rest = map(str, self.stray)
        if rest:
            where = [text.split(", column ")[1].split(":")[0] for text in rest]
            raise InputError(
                f"{first}; the same in {count(len(rest), 'more column')}: {', '.join(where)}"
            )
        raise InputError(first)

    def _numbers(self, name: str, missing: NDArray[np.bool_]) -> NumberColumn:
        mean, scale = _mean_and_scale(self.table, name, self.train)
        if not missing.any():
            return NumberColumn(name, mean, scale)
        values = self.table.numbers(name)
        assert values is not None
        seen = values[self.train]
        seen = seen if np.isfinite(seen).any() else values
        return NumberColumn(name, mean, scale, float(np.nanmedian(seen)))

    def _dates(self, name: str, missing: NDArray[np.bool_]) -> DateColumn | None:
        """Return a column of dates; None if a cell is not a date."""
        texts = list(dict.fromkeys(self.table.texts(name)[~missing].tolist()))
        form = find_format(texts)
        if form is None:
            return None
        dates = [date for text in texts if (date := parse(text, form)) is not None]
        seconds = np.array([(date - EPOCH).total_seconds() for date in dates])
        years = np.array([date.year for date in dates], np.float64)
        return DateColumn(
            name, form, float(seconds.min()), float(seconds.std()) or 1.0,
            float(years.mean()), float(years.std()) or 1.0,
            any(date.hour or date.minute for date in dates), bool(missing.any()),
        )  # fmt: skip

    def _categories(self, name: str, missing: NDArray[np.bool_]) -> CategoryColumn | None:
        """Return a column of categories: the frequent ones, and "other"; None if it is an id."""
        counts = Counter(self.table.texts(name)[~missing].tolist())
        different, n = len(counts), counts.total()
        gaps = bool(missing.any())
        if name not in self.categorical and n >= FEWEST_FOR_IDS and different >= ID_SHARE * n:
            self.notes.append(
                f"Left out: {name}, whose {n:,} texts are almost all different, as names of rows "
                f"are; --categorical {shlex.quote(as_names([name]))} uses it."
            )
            return None
        if different <= self.max_categories:
            return CategoryColumn(name, _in_order(self.table, name, counts), missing=gaps)
        kept = dict(counts.most_common(self.max_categories))
        share = 1 - sum(kept.values()) / n
        self.notes.append(
            f"{name} has {different:,} categories: the {len(kept):,} most frequent are used, the "
            f'others ({share:.1%} of the rows) are "other"; --max-categories changes that.'
        )
        return CategoryColumn(name, _in_order(self.table, name, kept), other=True, missing=gaps)


def _learn_number(table: Table, name: str, train: NDArray[Any]) -> NumberTarget:
    values = numbers_or_error(table, name, "is the target of a regression (see --task)")
    mean, scale = _mean_and_scale(table, name, train, is_target=True)
    if np.ptp(values[train]) == 0:
        raise InputError(f"the target {name!r} is {mean:g} in all training rows: nothing to learn")
    return NumberTarget(name, mean, scale)


def _learn_classes(table: Table, target: str, max_categories: int) -> ClassTarget:
    classes = _categories(table, target, max_categories)
    if len(classes) < 2:
        raise InputError(f"the target {target!r} is {classes[0]!r} in all rows: nothing to learn")
    return ClassTarget(target, classes)


def _categories(table: Table, name: str, most: int) -> tuple[str, ...]:
    """Return a target's classes."""
    different = set(table.texts(name).tolist())
    if len(different) > most:
        raise InputError(too_many(table, name, len(different), most))
    return _in_order(table, name, different)


def _in_order(table: Table, name: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts in order: numbers by value, others alphabetically."""
    if table.numbers(name) is None:
        return tuple(sorted(texts))
    return tuple(sorted(texts, key=lambda text: (float(text.replace(table.decimal, ".")), text)))


def _mean_and_scale(
    table: Table, name: str, train: NDArray[Any], is_target: bool = False
) -> tuple[float, float]:
    """Return the mean and deviation of the training rows; deviation 1 for a constant column."""
    values = numbers_or_error(table, name, "is numeric")[train]
    values = values[~np.isnan(values)] if np.isfinite(values).any() else np.zeros(1)
    ignore = "" if is_target else ", or leave the column out with --ignore"
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(values.mean()), float(values.std())
    if not np.isfinite(scale):
        raise InputError(
            f"{table.source}, column {name!r}: numbers up to {np.abs(values).max():g} are too "
            f"large to standardise; divide them{ignore}"
        )
    if scale <= ROUNDING * abs(mean):  # a constant, to rounding
        scale = max(abs(mean), 1.0)
    return mean, scale or 1.0
