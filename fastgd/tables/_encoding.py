"""Encode columns of text as numbers and decode predictions: standardisation, one-hot, targets.

An `Encoding` is learned from a table once, stored in the model's file, and then encodes any table
with the same columns.
"""

from __future__ import annotations

import csv
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgd._words import count, near_name
from fastgd.tables._csv import InputError, Table
from fastgd.tables._gaps import as_names

if TYPE_CHECKING:
    from fastgd.network import Network

__all__ = [
    "MOST_GUESSED_CLASSES",
    "CategoryColumn",
    "ClassTarget",
    "Encoding",
    "NumberColumn",
    "NumberTarget",
    "guess_task",
    "header_doubt",
    "learn_encoding",
    "nearly_numbers",
    "refuse_stray_text",
    "require_columns",
    "shorten",
    "split_names",
]

Floats = NDArray[np.float32]
VERSION = 1
#: a target with at most this many different whole numbers is guessed to be a class
MOST_GUESSED_CLASSES = 10


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, standardised: (value - mean) / scale."""

    name: str
    mean: float
    scale: float

    @property
    def width(self) -> int:
        """The number of the network's inputs for this column."""
        return 1

    def encode(self, table: Table, unknown: str) -> Floats:
        """Return an array of shape (n, 1)."""
        values = numbers_or_error(table, self.name, "was numeric when the model was trained")
        with np.errstate(over="ignore"):
            scaled = ((values - self.mean) / self.scale).astype(np.float32)
        if not np.isfinite(scaled).all():
            row = int(np.argmin(np.isfinite(scaled)))
            raise InputError(
                f"{table.where(self.name, row)}: {values[row]:g} is too large for a model whose "
                f"training rows had the mean {self.mean:g} and the deviation {self.scale:g}"
            )
        return scaled[:, np.newaxis]


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories, one-hot encoded."""

    name: str
    values: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of the network's inputs for this column."""
        return len(self.values)

    def encode(self, table: Table, unknown: str) -> Floats:
        """Return an array of shape (n, values); a row of zeros for an ignored unknown value."""
        codes = encode_values(table, self.name, self.values, unknown)
        one_hot = np.zeros((len(table), len(self.values)), dtype=np.float32)
        known = codes >= 0
        one_hot[known, codes[known]] = 1
        return one_hot


@dataclass(frozen=True)
class NumberTarget:
    """The target of a regression, standardised."""

    name: str
    mean: float
    scale: float

    task = "regression"
    loss = "squared_error"
    outputs = 1

    def encode(self, table: Table) -> NDArray[Any]:
        """Return the standardised targets, of shape (n,)."""
        values = numbers_or_error(table, self.name, "is the target of a regression")
        return ((values - self.mean) / self.scale).astype(np.float32)

    def decode(self, predictions: NDArray[Any]) -> list[str]:
        """Return predictions of shape (n,) as text, in the target's units.

        The decimals match the precision of float32 relative to the deviation; there is no
        exponent unless numbers are very large or small.
        """
        values = predictions.astype(np.float64) * self.scale + self.mean
        decimals = 5 - math.floor(math.log10(self.scale))
        if not -10 <= decimals <= 15:
            return [f"{value:.6g}" for value in values]
        texts = (f"{round(value, max(0, decimals)) + 0.0:.{max(1, decimals)}f}" for value in values)
        return [text.rstrip("0").rstrip(".") for text in texts]

    def score(self, predictions: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the coefficient of determination, R^2; -inf if y is constant."""
        residual = np.square(predictions.astype(np.float64) - y).sum()
        total = np.square(y - y.mean(dtype=np.float64)).sum()
        return float(1 - residual / total) if total > 0 else -np.inf


@dataclass(frozen=True)
class ClassTarget:
    """The target of a classification: the names of its classes."""

    name: str
    classes: tuple[str, ...]

    task = "classification"
    loss = "cross_entropy"

    @property
    def outputs(self) -> int:
        """The number of outputs, one per class."""
        return len(self.classes)

    def encode(self, table: Table) -> NDArray[Any]:
        """Return class indices, of shape (n,)."""
        return encode_values(table, self.name, self.classes, "error")

    def decode(self, predictions: NDArray[Any]) -> list[str]:
        """Return the most probable classes' names, from probabilities of shape (n, classes)."""
        return [self.classes[i] for i in predictions.argmax(axis=1)]

    def score(self, predictions: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the accuracy: the share of correct predictions."""
        return float(np.mean(predictions.argmax(axis=1) == y))


InputColumn = NumberColumn | CategoryColumn
Target = NumberTarget | ClassTarget


@dataclass(frozen=True)
class Encoding:
    """The mapping from a table's columns to a network's inputs and target."""

    columns: tuple[InputColumn, ...]
    target: Target

    @property
    def n_features(self) -> int:
        """The number of the network's inputs."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> list[str]:
        """The names of the input columns."""
        return [column.name for column in self.columns]

    def describe(self) -> str:
        """Describe the inputs in words."""
        kinds = [
            f"{column.name} ({count(column.width, 'category', 'categories')})"
            if isinstance(column, CategoryColumn)
            else column.name
            for column in self.columns
        ]
        rest = f" and {len(kinds) - 12} more" if len(kinds) > 12 else ""
        return ", ".join(kinds[:12]) + rest

    def features(self, table: Table, unknown: str = "error") -> Floats:
        """Return the network's inputs, of shape (n, n_features).

        Parameters
        ----------
        table : Table
            A table with all input columns, without missing values.
        unknown : {"error", "ignore"}
            What to do with a category that the training file did not have: raise InputError, or
            encode it as zeros.
        """
        X = np.empty((len(table), self.n_features), dtype=np.float32)
        start = 0
        for column in self.columns:
            X[:, start : start + column.width] = column.encode(table, unknown)
            start += column.width
        return X

    def to_fields(self) -> dict[str, Any]:
        """Return the encoding as JSON values, with exact numbers."""
        return {
            "version": VERSION,
            "columns": [asdict(column) for column in self.columns],
            "target": asdict(self.target),
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Encoding:
        """Return the encoding from the result of `to_fields`; InputError if it is damaged."""
        try:
            if fields["version"] > VERSION:
                raise InputError("it was saved by a later version of fastgd: install that one")
            target = fields["target"]
            return cls(
                tuple(_column(column) for column in fields["columns"]),
                ClassTarget(_text(target["name"]), _texts(target["classes"], at_least=2))
                if "classes" in target
                else NumberTarget(_text(target["name"]), *_moments(target)),
            )
        except (KeyError, TypeError, OverflowError, UnicodeError) as error:
            raise InputError(f"its description of the columns is damaged ({error!r})") from error

    def require_fit(self, net: Network) -> None:
        """Raise InputError if a network does not match this encoding."""
        target = self.target
        due = self.n_features, target.outputs, target.loss
        if (net.sizes[0], net.sizes[-1], net.loss) != due:
            raise InputError("its network and its columns do not fit together")


def _column(fields: dict[str, Any]) -> InputColumn:
    if "values" in fields:
        return CategoryColumn(_text(fields["name"]), _texts(fields["values"], at_least=1))
    return NumberColumn(_text(fields["name"]), *_moments(fields))


def _text(value: Any) -> str:
    """Return a text from a file; TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    value.encode()  # JSON allows lone surrogates, which cannot be written
    return value


def _texts(values: Any, at_least: int) -> tuple[str, ...]:
    """Return a list of distinct texts from a file."""
    texts = tuple(map(_text, values)) if isinstance(values, list) else ()
    if not at_least <= len(set(texts)) == len(texts):
        raise TypeError("its categories are not a list of different texts")
    return texts


def _moments(fields: dict[str, Any]) -> tuple[float, float]:
    """Return a mean and a deviation from a file."""
    mean, scale = fields["mean"], fields["scale"]
    numbers = type(mean) in (int, float) and type(scale) in (int, float)
    if not numbers or not math.isfinite(mean) or not 0 < scale < math.inf:
        raise TypeError(f"the mean {mean!r} and the deviation {scale!r} are not valid numbers")
    return float(mean), float(scale)


def numbers_or_error(table: Table, name: str, why: str) -> NDArray[np.float64]:
    """Return a column's numbers; InputError names the first cell without a finite number."""
    values = table.numbers(name)
    if values is None:
        row = table.first_non_number(name)
        text = str(table.columns[name][row])
        raise InputError(
            f"{table.where(name, row)}: {text!r} is not a number, but the column {why}: "
            f"{_mending(table, text)}"
        )
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise InputError(f"{table.where(name, row)}: {values[row]} is not a finite number")
    return values


def encode_values(
    table: Table, name: str, values: Sequence[str], unknown: str
) -> NDArray[np.int64]:
    """Return the index of each cell in values; -1 for an ignored unknown one."""
    position = {value: i for i, value in enumerate(values)}
    codes = np.array([position.get(text, -1) for text in table.columns[name].tolist()])
    if unknown == "error" and np.any(codes < 0):
        row = int(np.argmax(codes < 0))
        raise InputError(
            f"{table.where(name, row)}: the model knows no {str(table.columns[name][row])!r}; in "
            f"training the column had {shorten(values)}"
        )
    return codes


def shorten(words: Iterable[str], most: int = 12) -> str:
    """List words for a message; count those beyond the first few."""
    words = list(words)
    shown = [repr(word) for word in words[:most]]
    if len(words) > most:
        return f"{', '.join(shown)} and {len(words) - most:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def split_names(table: Table, text: str) -> list[str]:
    """Return the columns that an option names: one, or several in CSV syntax."""
    if text in table.columns:  # its name may hold commas
        return [text]
    cells = next(csv.reader([text], skipinitialspace=True), [])
    return [name for cell in cells if (name := cell.strip())]


def require_columns(
    table: Table, names: Iterable[str], why: str, encoding: Encoding | None = None
) -> None:
    """Raise InputError if the table lacks one of the columns.

    With a model's `encoding`, the names come from the model, not from the user. The message then
    suggests a similarly named column of the file, but never one that the model uses itself.
    """
    lacking = [name for name in names if name not in table.columns]
    if not lacking:
        return
    known = [] if encoding is None else [*encoding.names, encoding.target.name]
    others = [name for name in table.columns if name not in known]
    found = ((name, near_name(name, others)) for name in lacking)
    name, near = next((pair for pair in found if pair[1]), ("", None))
    hint = ""
    if near and encoding is not None:
        hint = f" (if {near!r} is {name!r}, rename it)"
    elif near:
        hint = f" (did you mean {near!r}?)"
    noun = "column" if len(lacking) == 1 else "columns"
    raise InputError(
        f"{table.source} has no {noun} {shorten(lacking)}{hint}, {why}; it has "
        f"{shorten(table.columns, 20)}{header_doubt(table)}"
    )


def header_doubt(table: Table) -> str:
    """Return a question to append to a message if the first line may not be a header."""
    if any(table.is_number(name) for name in table.columns):
        return ": is its first line a header?"
    if table.unnamed > len(table.columns):
        return ": is its first line a title? Remove the lines above the columns' names"
    return ": is the --delimiter right?" if len(table.columns) == 1 else ""


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
    target: str,
    task: str,
    train: NDArray[Any],
    *,
    categorical: Iterable[str] = (),
    ignore: Iterable[str] = (),
    max_categories: int = 100,
) -> Encoding:
    """Learn how a table's columns become inputs.

    Parameters
    ----------
    table : Table
        The whole file, without missing values; categories and classes are taken from all its rows.
    target : str
        The column to predict.
    task : {"regression", "classification"}
        What kind of target it is.
    train : ndarray of int
        The training rows, which alone determine means and deviations.
    categorical, ignore : iterable of str
        Columns of numbers to one-hot encode; columns to ignore.
    max_categories : int
        More different texts in one column are an error: it is probably an identifier.
    """
    left_out = {target, *ignore}
    columns: list[InputColumn] = []
    for name in table.columns:
        if name in left_out:
            continue
        if name not in categorical and table.numbers(name) is None:
            refuse_stray_text(table, name, f"--categorical {shlex.quote(as_names([name]))}")
        if name in categorical or table.numbers(name) is None:
            columns.append(CategoryColumn(name, _categories(table, name, max_categories)))
        else:
            columns.append(NumberColumn(name, *_mean_and_scale(table, name, train)))
    if not columns:
        raise InputError(f"{table.source} has no column left to predict {target!r} from")
    if task == "classification":
        return Encoding(tuple(columns), _learn_classes(table, target, max_categories))
    values = numbers_or_error(table, target, "is the target of a regression (see --task)")
    mean, scale = _mean_and_scale(table, target, train, is_target=True)
    if np.ptp(values[train]) == 0:
        raise InputError(
            f"the target {target!r} is {mean:g} in all training rows: nothing to learn"
        )
    return Encoding(tuple(columns), NumberTarget(target, mean, scale))


def _learn_classes(table: Table, target: str, max_categories: int) -> ClassTarget:
    classes = _categories(table, target, max_categories, is_target=True)
    if len(classes) < 2:
        raise InputError(f"the target {target!r} is {classes[0]!r} in all rows: nothing to learn")
    return ClassTarget(target, classes)


def _categories(table: Table, name: str, most: int, is_target: bool = False) -> tuple[str, ...]:
    """Return a column's distinct texts: numbers sorted by value, others alphabetically."""
    different = set(table.columns[name].tolist())
    if len(different) > most:
        raise InputError(_too_many(table, name, len(different), most, is_target))
    if table.numbers(name) is None:
        return tuple(sorted(different))
    return tuple(
        sorted(different, key=lambda text: (float(text.replace(table.decimal, ".")), text))
    )


def refuse_stray_text(table: Table, name: str, option: str) -> None:
    """Raise InputError for a column of text in which at least half of the cells are numbers.

    It is probably meant as numbers, but some cells are wrong or have unsupported marks, such as
    thousands separators. `option` is the option for categories.
    """
    missing = table.missing(name)
    texts = Counter(table.columns[name][~missing].tolist())
    n = texts.total()
    if 2 * sum(texts[text] for text in texts if _holds_number(table, text)) < n:
        return
    row = table.first_non_number(name)
    text = str(table.columns[name][row])
    plain = sum(texts[text] for text in texts if table.is_number(text))
    others = f"{plain:,} of the column's {n:,} cells are" if plain else "most cells seem to be some"
    raise InputError(
        f"{table.where(name, row)}: {text!r} is not a number, but {others}: "
        f"{_mending(table, text)}, or give {option} if categories are meant"
    )


def nearly_numbers(table: Table, encoding: Encoding, meant: Iterable[str]) -> list[str]:
    """Return notes on columns of categories whose distinct texts are mostly numbers.

    Columns in `meant` are skipped. If half of the cells were numbers, `refuse_stray_text` would
    have raised an error; in the remaining cases one text fills most of the other cells.
    """
    notes = []
    for column in [*encoding.columns, encoding.target]:
        texts = getattr(column, "values", getattr(column, "classes", ()))
        if column.name in meant or not texts or table.numbers(column.name) is not None:
            continue
        if 2 * sum(_holds_number(table, text) for text in texts) > len(texts):
            row = table.first_non_number(column.name)
            text = str(table.columns[column.name][row])
            notes.append(
                f"Note: {column.name} is read as categories, as {text!r} in line "
                f"{table.lines[row]} is not a number: {_mending(table, text)}, or say with "
                f"--categorical {shlex.quote(as_names([column.name]))} that categories are meant."
            )
    return notes


def _holds_number(table: Table, text: str) -> bool:
    """Return whether a cell is a number, possibly with marks."""
    return table.is_number(text) or table.plain(text) is not None or _decimal_comma(table, text)


def _decimal_comma(table: Table, text: str) -> bool:
    """Return whether a cell is a number with a decimal comma."""
    return table.decimal == "." and "," in text and table.is_number(text.replace(",", "."))


def _mending(table: Table, text: str) -> str:
    """Return what to do about a cell that should be a number."""
    plain = table.plain(text)
    ways = [f"write such cells as {plain}"] if plain is not None else []
    if _decimal_comma(table, text):
        ways.append("give --decimal , if these are decimal commas")
    return ", or ".join(ways or ["mend the cell (a missing value is an empty one)"])


def _too_many(table: Table, name: str, found: int, most: int, is_target: bool) -> str:
    """Return a message about too many categories, with likely alternatives."""
    kinds = ("class", "classes") if is_target else ("category", "categories")
    numeric = table.numbers(name) is not None
    text = (
        f"{table.source}, column {name!r} has {count(found, 'different value')}, more than "
        f"{count(most, *kinds)}. {_instead(is_target, numeric)}, or raise --max-categories"
    )
    if numeric:
        return text
    row = table.first_non_number(name)
    first = str(table.columns[name][row])
    return (
        f"{text}. If it is meant to hold numbers, {first!r} in line {table.lines[row]} is not a "
        f"number: {_mending(table, first)}"
    )


def _instead(is_target: bool, numeric: bool) -> str:
    """Return what to do with a column with too many categories."""
    if not is_target:
        return "Leave it out with --ignore"
    return "Give --task regression" if numeric else "Give another --target"


def _mean_and_scale(
    table: Table, name: str, train: NDArray[Any], is_target: bool = False
) -> tuple[float, float]:
    """Return the mean and deviation of the training rows; deviation 1 for a constant column."""
    values = numbers_or_error(table, name, "is numeric")[train]
    ignore = "" if is_target else ", or leave the column out with --ignore"
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(values.mean()), float(values.std())
    if not np.isfinite(scale):
        raise InputError(
            f"{table.source}, column {name!r}: numbers up to {np.abs(values).max():g} are too "
            f"large to standardise; divide them{ignore}"
        )
    return mean, scale or 1.0
