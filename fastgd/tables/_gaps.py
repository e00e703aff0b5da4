"""Find the missing values of a table, and say what to do about them.

For what counts as missing see `_csv`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgd._words import count
from fastgd.tables._table import InputError, Table

__all__ = ["Gap", "Gaps", "as_names", "find_gaps"]

#: how many columns a message names
MOST_NAMED = 20


@dataclass(frozen=True)
class Gap:
    """A column with missing values."""

    name: str
    count: int
    line: int
    text: str
    word: str = "line"

    def __str__(self) -> str:
        return f"{self.name!r} {self.count:,} ({self.word} {self.line}: {self.text!r})"


@dataclass(frozen=True)
class Gaps:
    """The missing values in some columns of a table.

    Attributes
    ----------
    source : str
        The file's name, for messages.
    complete : ndarray of bool
        Which rows have no missing value.
    columns : tuple of Gap
        The columns with missing values, the one with the most first.
    """

    source: str
    complete: NDArray[np.bool_]
    columns: tuple[Gap, ...]

    def __bool__(self) -> bool:
        return bool(self.columns)

    @property
    def n_rows(self) -> int:
        """The number of rows with missing values."""
        return int(np.sum(~self.complete))

    @property
    def empty(self) -> list[str]:
        """The columns without any value."""
        return [gap.name for gap in self.columns if gap.count == len(self.complete)]

    def __str__(self) -> str:
        """Return all columns with their counts, and each one's first missing cell."""
        shown = ", ".join(map(str, self.columns[:MOST_NAMED]))
        rest = len(self.columns) - MOST_NAMED
        more = f" and {count(rest, 'more column')}" if rest > 0 else ""
        rows = count(len(self.complete), "row")
        return f"{self.source}: values are missing in {self.n_rows:,} of {rows}: {shown}{more}"

    @property
    def costs(self) -> str:
        """The columns with missing values, and how many rows each costs, in words."""
        shown = ", ".join(f"{gap.name} {gap.count:,}" for gap in self.columns[:MOST_NAMED])
        rest = len(self.columns) - MOST_NAMED
        return shown + (f" and {count(rest, 'more column')}" if rest > 0 else "")

    def require_values(self, target: str) -> None:
        """Raise InputError if a column has no values: dropping its rows would leave none."""
        if target in self.empty:
            raise InputError(f"{self.source}: the target {target!r} holds no values")
        if self.empty:
            named = ", ".join(map(repr, self.empty[:MOST_NAMED]))
            which = "columns {} hold" if len(self.empty) > 1 else "column {} holds"
            raise InputError(
                f"{self.source}: {which.format(named)} no values: give --ignore "
                f"{shlex.quote(as_names(self.empty))}"
            )


def as_names(names: Iterable[str]) -> str:
    """Return names of columns in the syntax of --ignore: those with a comma or quote are quoted."""
    return ",".join(
        '"' + name.replace('"', '""') + '"' if set(',"') & set(name) else name for name in names
    )


def find_gaps(table: Table, names: Iterable[str]) -> Gaps:
    """Return the missing values of the named columns."""
    complete = np.ones(len(table), dtype=bool)
    found = []
    for name in names:
        missing = table.missing(name)
        if missing.any():
            row = int(np.argmax(missing))
            text = str(table.texts(name)[row])
            found.append(
                Gap(name, int(missing.sum()), int(table.lines[row]), text, table.line_word)
            )
            complete &= ~missing
    found.sort(key=lambda gap: -gap.count)
    return Gaps(table.source, complete, tuple(found))
