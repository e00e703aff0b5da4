"""Data in blocks: the interface, and arrays in memory.

A source of blocks has random access, so that the order of an epoch is a function of a few numbers,
and a training can be resumed in the middle. Files are in `_npy` and `_tables`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from fastgd import _validation
from fastgd._typing import AnyArray, IndexArray
from fastgd._words import count, kind_of, show

__all__ = [
    "ArrayBlocks",
    "Blocks",
    "Source",
    "check_bounds",
    "column_of",
    "equal_bounds",
    "is_blocks",
    "place_of",
    "read_block",
    "with_weight",
]

FEWEST = 256  # blocks, where the rows suffice: see Blocks
LARGEST = 1 << 23  # bytes of a block
SMALLEST = 1 << 14


@runtime_checkable
class Blocks(Protocol):
    """Samples that are read block by block, in any order. Anyone may write such a class.

    `fastgd.open_blocks` makes one from files. A block is a range of consecutive rows that is read
    at once; several are in memory at a time. A shuffle of blocks mixes well with 256 of them or
    more.

    Attributes
    ----------
    n_rows : int
        Rows in all blocks.
    n_features : int
        Columns of X.
    bounds : ndarray of int64, of shape (blocks + 1,)
        Where each block begins, and the last ends: rows ``bounds[i]`` to ``bounds[i + 1] - 1`` are
        in block i.

    Examples
    --------
    Samples that are computed when they are needed:

    >>> import numpy as np
    >>> import fastgd as gd
    >>> class Waves:
    ...     n_rows, n_features = 2000, 1
    ...     bounds = np.arange(0, 2001, 100)
    ...
    ...     def read(self, i):
    ...         x = np.linspace(i, i + 1, 100)
    ...         return x[:, None] / 20, np.sin(x)
    >>> net = gd.Network([1, 16, 1], rng=0)
    >>> gd.train(net, Waves(), epochs=3, rng=0)
    History(3 epochs, 189 updates, last loss ...)
    """

    @property
    def n_rows(self) -> int:
        """Rows in all blocks."""

    @property
    def n_features(self) -> int:
        """Columns of X."""

    @property
    def bounds(self) -> IndexArray:
        """Where each block begins, and the last ends."""

    def read(self, i: int, /) -> tuple[Any, ...]:
        """Return (X, y) or (X, y, sample_weight) of block i, the same at every call.

        It is called from a thread that reads ahead of the training. X has shape
        (rows, n_features), y and the weights have an element or row for each of them.
        """


def is_blocks(value: Any) -> TypeGuard[Blocks]:
    """Return whether a value is a source of blocks, and not an array."""
    return isinstance(value, Blocks)


class Source(ABC):
    """A source of blocks with names for its rows and columns; `open_blocks` returns one.

    Parameters
    ----------
    bounds : ndarray of int64
        Where each block begins, and the last ends.
    n_features : int
        Columns of X.
    feature_names : sequence of str, optional
        Their names.
    """

    def __init__(
        self, bounds: IndexArray, n_features: int, feature_names: Sequence[str] | None = None
    ) -> None:
        self._bounds = np.array(bounds, np.int64)
        self._bounds.flags.writeable = False
        self._n_features = n_features
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.holds: Any = None  # what must live as long as this, such as a temporary folder

    @property
    def n_rows(self) -> int:
        """Rows in all blocks."""
        return int(self._bounds[-1])

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self._n_features

    @property
    def bounds(self) -> IndexArray:
        """Where each block begins, and the last ends."""
        return self._bounds

    def __len__(self) -> int:
        """Return the number of blocks."""
        return len(self._bounds) - 1

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({count(self.n_rows, 'row')} of "
            f"{count(self.n_features, 'feature')} in {count(len(self), 'block')})"
        )

    @abstractmethod
    def read(self, i: int) -> tuple[Any, ...]:
        """Return (X, y) or (X, y, sample_weight) of block i."""

    def place(self, i: int, row: int) -> str:
        """Return where a row of a block comes from, for messages."""
        return f"row {self._bounds[i] + row:,}"


class ArrayBlocks(Source):
    """Arrays in memory as blocks.

    Parameters
    ----------
    X, y : ndarray
        Samples and targets.
    sample_weight : ndarray or None
        Factors of the samples' losses.
    block_rows : int or None
        Rows in a block.
    """

    def __init__(
        self, X: AnyArray, y: AnyArray, sample_weight: AnyArray | None, block_rows: int | None
    ) -> None:
        self._arrays = (X, y) if sample_weight is None else (X, y, sample_weight)
        for name, array in zip(("y", "sample_weight"), self._arrays[1:], strict=False):
            if array.ndim == 0 or len(array) != len(X):
                raise ValueError(
                    f"{name} has shape {array.shape}, but X has {count(len(X), 'row')}"
                )
        super().__init__(equal_bounds(len(X), X[:1].nbytes, block_rows), X.shape[1])

    def read(self, i: int) -> tuple[AnyArray, ...]:
        """Return views of a block."""
        rows = slice(self._bounds[i], self._bounds[i + 1])
        return tuple(array[rows] for array in self._arrays)

    def take(self, rows: IndexArray) -> tuple[AnyArray, ...]:
        """Return any rows."""
        return tuple(array[rows] for array in self._arrays)


def equal_bounds(n: int, row_bytes: int, block_rows: int | None) -> IndexArray:
    """Return the bounds of blocks of `block_rows` rows, or of a number that suits the size."""
    if block_rows is None:
        fewest, most = (max(1, size // max(1, row_bytes)) for size in (SMALLEST, LARGEST))
        block_rows = min(max(n // FEWEST, fewest), most)
    else:
        block_rows = _validation.check_int("block_rows", block_rows, at_least=1)
    return np.append(np.arange(0, n, block_rows, dtype=np.int64), n)


def check_bounds(blocks: Blocks) -> IndexArray:
    """Return the checked bounds of a source that anyone may have written."""
    bounds = np.asarray(blocks.bounds)
    if bounds.ndim != 1 or bounds.dtype.kind not in "iu" or len(bounds) < 2:
        raise TypeError(
            f"the blocks' bounds must be whole numbers, at least two, not {show(blocks.bounds)}"
        )
    bounds = bounds.astype(np.int64)
    if bounds[0] != 0 or bounds[-1] != blocks.n_rows or (np.diff(bounds) < 0).any():
        raise ValueError(
            f"the blocks' bounds must rise from 0 to n_rows, {blocks.n_rows}, but they go from "
            f"{bounds[0]} to {bounds[-1]}"
        )
    if bounds[-1] == 0:
        raise ValueError("the blocks have no rows: a training needs at least one")
    return bounds


def read_block(blocks: Blocks, i: int) -> tuple[Any, Any, Any]:
    """Return X, y and sample_weight (or None) of a block."""
    parts = blocks.read(i)
    if not isinstance(parts, (tuple, list)) or len(parts) not in (2, 3):
        raise TypeError(
            f"read({i}) must return (X, y) or (X, y, sample_weight), not {kind_of(parts)}"
        )
    return with_weight(parts)


def with_weight(parts: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return (X, y, sample_weight) of a block's two or three parts; None for no weights."""
    X, y, *weight = parts
    return X, y, weight[0] if weight else None


def place_of(blocks: Blocks, i: int, row: int) -> str:
    """Return where a row comes from, for messages."""
    place = getattr(blocks, "place", None)
    return str(place(i, row)) if callable(place) else f"row {row:,} of block {i:,}"


def column_of(blocks: Blocks, column: int) -> str:
    """Return a column's name or number, for messages."""
    names = getattr(blocks, "feature_names", None)
    return f"column {column if names is None else repr(names[column])}"
