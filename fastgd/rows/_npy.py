"""Blocks of .npy files.

Rows are read, not mapped: a mapped file that shrinks ends the process with a signal.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from fastgd._typing import AnyArray, IndexArray
from fastgd._words import count, show
from fastgd.rows._blocks import Source, equal_bounds

__all__ = ["ArrayRows", "NpyBlocks", "NpyFile"]


class NpyFile:
    """An array of numbers in a file, whose rows are read on request.

    Parameters
    ----------
    path : path_like
        A file that `numpy.save` wrote, in C order.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with open(self.path, "rb") as file:
            try:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                self.shape, fortran, self.dtype = read(file)
            except (ValueError, KeyError) as error:
                raise ValueError(
                    f"{self.path!r} is not a .npy file: {error}; numpy.save writes one"
                ) from error
            self._start = file.tell()
        if self.dtype.kind not in "fiub":
            raise TypeError(f"{self.path!r} has dtype {self.dtype}, but must hold numbers")
        if len(self.shape) not in (1, 2):
            raise ValueError(f"{self.path!r} has shape {self.shape}, but must have rows")
        if fortran and len(self.shape) == 2 and min(self.shape) > 1:
            raise ValueError(
                f"{self.path!r} is stored by columns (Fortran order), so that its rows cannot be "
                "read in blocks: save numpy.ascontiguousarray(X)"
            )
        self.row_bytes = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        self.check_size()

    def check_size(self) -> None:
        """Check that the file is as long as its header says."""
        wanted = self._start + self.row_bytes * self.shape[0]
        found = os.stat(self.path).st_size
        if found < wanted:
            raise ValueError(
                f"{self.path!r} has {found:,} bytes, but its {count(self.shape[0], 'row')} take "
                f"{wanted:,}: it was cut off; write it again"
            )

    def __len__(self) -> int:
        return int(self.shape[0])

    def read(self, first: int, end: int, out: AnyArray | None = None) -> AnyArray:
        """Return rows from `first` to before `end`, in `out` if that is given."""
        rows = np.empty((end - first, *self.shape[1:]), self.dtype) if out is None else out
        with open(self.path, "rb", buffering=0) as file:
            self._fill(file, first, memoryview(rows.reshape(-1).view(np.uint8).data))
        return rows

    def take(self, rows: IndexArray) -> AnyArray:
        """Return any rows, each by a read of its own."""
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        view, size = memoryview(taken.reshape(-1).view(np.uint8).data), self.row_bytes
        with open(self.path, "rb", buffering=0) as file:
            for place, row in enumerate(rows.tolist()):
                self._fill(file, row, view[place * size : (place + 1) * size])
        return taken

    def _fill(self, file: IO[bytes], row: int, view: memoryview) -> None:
        """Read bytes from the start of a row on."""
        file.seek(self._start + row * self.row_bytes)
        at = 0
        while at < len(view):
            found = file.readinto(view[at:])  # type: ignore[attr-defined]
            if not found:
                kept = (os.fstat(file.fileno()).st_size - self._start) // self.row_bytes
                raise ValueError(
                    f"{self.path!r} has {kept:,} rows left of {len(self):,}: it has become "
                    "shorter since it was opened; write it again"
                )
            at += found


class ArrayRows:
    """Targets or weights in memory, which are read like those of a file."""

    def __init__(self, name: str, array: AnyArray) -> None:
        self.path, self._array = name, array

    def __len__(self) -> int:
        return len(self._array)

    def read(self, first: int, end: int) -> AnyArray:
        """Return rows from `first` to before `end`."""
        return self._array[first:end]

    def take(self, rows: IndexArray) -> AnyArray:
        """Return any rows."""
        return self._array[rows]


class NpyBlocks(Source):
    """Blocks of .npy files.

    Parameters
    ----------
    X : NpyFile
        Samples.
    y : NpyFile, ArrayRows or int
        Targets, or the column of the samples' file that has them.
    weight : NpyFile, ArrayRows, int or None
        Factors of the samples' losses.
    columns : sequence of int, or None
        The columns to use; None for all that are not targets or weights.
    block_rows : int or None
        Rows in a block.
    """

    def __init__(
        self,
        X: NpyFile,
        y: NpyFile | ArrayRows | int,
        weight: NpyFile | ArrayRows | int | None,
        columns: Sequence[int] | None,
        block_rows: int | None,
    ) -> None:
        if len(X.shape) != 2:
            raise ValueError(f"{X.path!r} has shape {X.shape}, but must have two dimensions")
        if len(X) == 0:
            raise ValueError(f"{X.path!r} has no rows")
        self._X, self._others = X, [y] if weight is None else [y, weight]
        width = X.shape[1]
        taken = {self._column(name, other) for name, other in self._named() if
                 not isinstance(other, (NpyFile, ArrayRows))}  # fmt: skip
        for name, other in self._named():
            if isinstance(other, (NpyFile, ArrayRows)) and len(other) != len(X):
                raise ValueError(
                    f"{X.path!r} has {count(len(X), 'row')}, but {other.path!r}, its {name}, has "
                    f"{count(len(other), 'row')}"
                )
        if columns is None:
            chosen = [place for place in range(width) if place not in taken]
        else:
            chosen = [self._column("columns", place) for place in columns]
        self._columns = None if chosen == list(range(width)) else chosen
        super().__init__(equal_bounds(len(X), X.row_bytes, block_rows), len(chosen))

    def _named(self) -> list[tuple[str, Any]]:
        return list(zip(("target", "weight"), self._others, strict=False))

    def _column(self, name: str, place: Any) -> int:
        """Return the number of a column, checked."""
        width = self._X.shape[1]
        if isinstance(place, (bool, np.bool_)) or not isinstance(place, (int, np.integer)):
            raise TypeError(
                f"{name} must be the number of a column of {self._X.path!r}, not {show(place)}"
            )
        if not -width <= place < width:
            raise ValueError(
                f"{name} is column {place}, but {self._X.path!r} has {count(width, 'column')}, "
                "from 0 on"
            )
        return int(place) % width

    def read(self, i: int) -> tuple[AnyArray, ...]:
        """Return (X, y) or (X, y, sample_weight) of block i."""
        first, end = int(self._bounds[i]), int(self._bounds[i + 1])
        return self._split(self._X.read(first, end), lambda file: file.read(first, end))

    def read_into(self, i: int, X: AnyArray) -> tuple[AnyArray, ...] | None:
        """Write the samples of block i into an array, and return the rest; None if it cannot."""
        if self._columns is not None or X.dtype != self._X.dtype or not X.flags.c_contiguous:
            return None
        first, end = int(self._bounds[i]), int(self._bounds[i + 1])
        self._X.read(first, end, X)
        return self._split(X, lambda file: file.read(first, end))[1:]

    def take(self, rows: IndexArray) -> tuple[AnyArray, ...]:
        """Return any rows."""
        return self._split(self._X.take(rows), lambda file: file.take(rows))

    def _split(self, X: AnyArray, read: Any) -> tuple[AnyArray, ...]:
        width = self._X.shape[1]
        others = [
            read(other) if isinstance(other, (NpyFile, ArrayRows)) else X[:, other % width]
            for other in self._others
        ]
        return (X if self._columns is None else X[:, self._columns], *others)

    def place(self, i: int, row: int) -> str:
        """Return where a row of a block comes from, for messages."""
        return f"row {self._bounds[i] + row:,} of {self._X.path!r}"
