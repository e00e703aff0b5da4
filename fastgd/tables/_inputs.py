"""How a table's column becomes inputs of a network: numbers, categories, dates.

For targets see `_targets`, for choosing a kind of column `_learning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgd._words import count
from fastgd.tables._dates import EPOCH, ISO, parse
from fastgd.tables._mending import mending, shorten
from fastgd.tables._table import InputError, Table

__all__ = [
    "CategoryColumn",
    "DateColumn",
    "InputColumn",
    "NumberColumn",
    "encode_values",
    "numbers_or_error",
]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, standardised: (value - mean) / scale.

    With a `fill`, it stands for missing values, which a second input marks.
    """

    name: str
    mean: float
    scale: float
    fill: float | None = None

    @property
    def missing(self) -> bool:
        """Whether the column may have missing values."""
        return self.fill is not None

    @property
    def width(self) -> int:
        """The number of the network's inputs for this column."""
        return 1 + self.missing

    @property
    def kind(self) -> str:
        """The column in words, after its name; empty for plain numbers."""
        return f"missing: {self.fill:.4g}" if self.missing else ""

    def encode(self, table: Table, unknown: str) -> Floats:
        """Return an array of shape (n, width)."""
        values = numbers_or_error(table, self.name, "was numeric when the model was trained")
        missing = np.isnan(values)
        if self.fill is not None:
            values = np.where(missing, self.fill, values)
        with np.errstate(over="ignore"):
            scaled = ((values - self.mean) / self.scale).astype(np.float32)
        if not np.isfinite(scaled).all():
            row = int(np.argmin(np.isfinite(scaled)))
            raise InputError(
                f"{table.where(self.name, row)}: {values[row]:g} is too large for a model whose "
                f"training rows had the mean {self.mean:g} and the deviation {self.scale:g}"
            )
        return np.stack([scaled, missing.astype(np.float32)][: self.width], axis=1)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories, one-hot encoded.

    `other` adds an input for all values that are not listed, `missing` one for missing values.
    """

    name: str
    values: tuple[str, ...]
    other: bool = False
    missing: bool = False

    @property
    def width(self) -> int:
        """The number of the network's inputs for this column."""
        return len(self.values) + self.other + self.missing

    @property
    def kind(self) -> str:
        """The column in words, after its name."""
        words = [count(len(self.values), "category", "categories")]
        words += ["other"] * self.other + ["missing"] * self.missing
        return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))

    def encode(self, table: Table, unknown: str) -> Floats:
        """Return an array of shape (n, width); a row of zeros for an ignored unknown value."""
        codes = np.full(len(table), self.width - 1)
        present = ~table.missing(self.name) if self.missing else np.ones(len(table), dtype=bool)
        unknown = "ignore" if self.other else unknown
        known = encode_values(table.take(present), self.name, self.values, unknown)
        codes[present] = np.where(known < 0, len(self.values), known) if self.other else known
        one_hot = np.zeros((len(table), self.width), dtype=np.float32)
        one_hot[codes >= 0, codes[codes >= 0]] = 1
        return one_hot


@dataclass(frozen=True)
class DateColumn:
    """A column of dates, as several inputs.

    They are the seconds since the first date and the year, both standardised; month and weekday,
    one-hot; the day of the year and, with `hours`, the hour, as sine and cosine. With `missing`,
    another marks missing dates, which are zeros otherwise.
    """

    name: str
    format: str
    first: float
    scale: float
    year: float
    year_scale: float
    hours: bool = False
    missing: bool = False

    @property
    def width(self) -> int:
        """The number of the network's inputs for this column."""
        return 2 + 12 + 7 + 2 + 2 * self.hours + self.missing

    @property
    def kind(self) -> str:
        """The column in words, after its name."""
        hour = ", hour" if self.hours else ""
        form = "ISO" if self.format == ISO else self.format
        return f"a date, {form}: time, year, month, weekday, day of the year{hour}"

    def encode(self, table: Table, unknown: str) -> Floats:
        """Return an array of shape (n, width)."""
        texts, missing = table.texts(self.name).tolist(), table.missing(self.name)
        rows = {}
        X = np.zeros((len(table), self.width), dtype=np.float32)
        for i in np.flatnonzero(~missing).tolist():
            if texts[i] not in rows:
                rows[texts[i]] = self._row(table, i, texts[i])
            X[i, : len(rows[texts[i]])] = rows[texts[i]]
        if self.missing:
            X[:, -1] = missing
        return X

    def _row(self, table: Table, place: int, text: str) -> Floats:
        """Return a date's inputs."""
        date = parse(text, self.format)
        if date is None:
            form = "an ISO date, such as 2024-12-31" if self.format == ISO else f"a {self.format}"
            raise InputError(f"{table.where(self.name, place)}: {text!r} is not {form}")
        seconds = (date - EPOCH).total_seconds()
        inputs = [(seconds - self.first) / self.scale, (date.year - self.year) / self.year_scale]
        inputs += [float(date.month == month) for month in range(1, 13)]
        inputs += [float(date.weekday() == day) for day in range(7)]
        turns = [date.timetuple().tm_yday / 365.25]
        turns += [(date.hour + date.minute / 60) / 24] if self.hours else []
        for turn in turns:
            inputs += [np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]
        return np.array(inputs, dtype=np.float32)


InputColumn = NumberColumn | CategoryColumn | DateColumn


def numbers_or_error(table: Table, name: str, why: str) -> NDArray[np.float64]:
    """Return a column's numbers; InputError names the first cell without a finite number."""
    values = table.numbers(name)
    if values is None:
        row = table.first_non_number(name)
        text = str(table.texts(name)[row])
        raise InputError(
            f"{table.where(name, row)}: {text!r} is not a number, but the column {why}: "
            f"{mending(table, text)}"
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
    codes = np.array([position.get(text, -1) for text in table.texts(name).tolist()], int)
    if unknown == "error" and np.any(codes < 0):
        row = int(np.argmax(codes < 0))
        raise InputError(
            f"{table.where(name, row)}: the model knows no {str(table.texts(name)[row])!r}; in "
            f"training the column had {shorten(values)}"
        )
    return codes
