"""Tables: named columns of text or numbers, with every cell unchanged.

For reading them see `_csv` and `_frames`, for the meaning of columns in a model `_encoding`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["MISSING", "TEXT", "InputError", "Table", "Texts", "is_number"]

#: an array of strings of any length; short ones take 16 bytes per cell
Texts: TypeAlias = NDArray[Any]
TEXT = np.dtypes.StringDType()
#: cells that mean a missing value, besides an empty one
MISSING = ("NA", "N/A", "NaN", "nan", "NULL", "null", "?")


class InputError(ValueError):
    """A file or an option that cannot be used; the message is shown to the user."""


@dataclass(frozen=True)
class Table:
    """Named columns of text, and their source.

    Attributes
    ----------
    source : str
        The file's name, for messages.
    columns : dict of str to ndarray
        The cells of each column: text of StringDType, stripped of blanks, or float64, where nan is
        missing. All columns have the same length.
    lines : ndarray of int
        The line of the file in which each row starts.
    decimal : str
        The decimal mark of its numbers.
    unnamed : int
        How many columns were dropped because they have no name.
    line_word : str
        What `lines` counts: "line" for a file, "row" for a frame.
    """

    source: str
    columns: dict[str, Texts]
    lines: NDArray[np.int64]
    decimal: str = "."
    unnamed: int = 0
    line_word: str = "line"
    _numbers: dict[str, NDArray[np.float64] | None] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def texts(self, name: str) -> Texts:
        """Return a column's cells as text; whole numbers have no point."""
        cells = self.columns[name]
        if cells.dtype == TEXT:
            return cells
        shown = [
            "" if value != value else str(int(value)) if value.is_integer() else repr(value)
            for value in cells.tolist()
        ]
        return np.array(shown, dtype=TEXT)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which cells of a column are empty or in `MISSING`."""
        texts = self.columns[name]
        if texts.dtype != TEXT:
            return np.isnan(texts)
        mask: NDArray[np.bool_] = texts == ""
        for word in MISSING:
            mask |= texts == word
        return mask

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        """Return a column's numbers, nan for missing ones, or None if a cell is not a number."""
        if name not in self._numbers:
            self._numbers[name] = self._parse(name)
        return self._numbers[name]

    def _parse(self, name: str) -> NDArray[np.float64] | None:
        if self.columns[name].dtype != TEXT:
            return self.columns[name]
        missing = self.missing(name)
        texts = self.columns[name][~missing]
        if any(np.any(np.strings.find(texts, mark) >= 0) for mark in self._foreign):
            return None
        if self.decimal != ".":
            texts = np.strings.replace(texts, self.decimal, ".")
        values = np.full(len(self), np.nan)
        try:
            values[~missing] = texts.astype(np.float64)
        except ValueError:
            return None
        return values

    def first_non_number(self, name: str) -> int:
        """Return the first row whose cell is neither missing nor a number."""
        missing = self.missing(name).tolist()
        texts = self.texts(name).tolist()
        return next(
            row for row, text in enumerate(texts) if not missing[row] and not self.is_number(text)
        )

    def is_number(self, text: str) -> bool:
        """Return whether a cell is a number, with this table's decimal mark."""
        if any(mark in text for mark in self._foreign):
            return False
        return is_number(text.replace(self.decimal, "."))

    @property
    def _foreign(self) -> str:
        """The character that Python accepts in a number, but this table does not.

        With decimal commas a point separates thousands: 1.234 means 1,234.
        """
        return "_" if self.decimal == "." else "_."

    def plain(self, text: str) -> str | None:
        """Return a cell's number without other marks, or None if it is not a number.

        The marks are currency and percent signs, and separators between groups of three digits.
        """
        signs = (char for char in text if unicodedata.category(char) != "Sc" and char != "%")
        between = ",."[self.decimal == ","]
        kept = re.sub(rf"(?<=\d)[\s'\u2019{between}](?=\d{{3}}(?!\d))", "", "".join(signs)).strip()
        return kept if self.is_number(kept) else None

    def take(self, rows: NDArray[Any]) -> Table:
        """Return a table of some rows, given by a mask or by indices."""
        columns = {name: texts[rows] for name, texts in self.columns.items()}
        return replace(self, columns=columns, lines=self.lines[rows], _numbers={})

    def where(self, name: str, row: int) -> str:
        """Return a cell's location, for messages."""
        return f"{self.source}, {self.line_word} {self.lines[row]}, column {name!r}"


def is_number(text: str) -> bool:
    """Return whether a text is a number with a decimal point."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number
