"""Read blocks into arrays of a network's dtype, and check every row on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastgd import _data
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd._words import count
from fastgd.engine.side_by_side import raise_if_stopped
from fastgd.rows._blocks import (
    Blocks,
    check_bounds,
    column_of,
    place_of,
    read_block,
    with_weight,
)
from fastgd.rows._interface import Inputs
from fastgd.rows._storage import decode

__all__ = ["Loader", "Needs", "Rows3", "slice_rows"]

Where = Callable[[int], str]  # where a row comes from, for messages
Rows3 = tuple[FloatArray, AnyArray, FloatArray | None]  # X, y, weight


class Needs(NamedTuple):
    """What a network takes.

    Attributes
    ----------
    n_features, outputs : int
        Inputs and outputs.
    loss : str
        The loss's name.
    dtype : numpy.dtype
        The dtype of the computation.
    inputs : Inputs or None
        Means and inverse scales of the columns.
    class_weight : callable, or None
        Returns the factors of targets, of shape (n,).
    """

    n_features: int
    outputs: int
    loss: str
    dtype: np.dtype[Any]
    inputs: Inputs | None = None
    class_weight: Callable[[AnyArray], AnyArray] | None = None


class Loader:
    """Reads blocks for a network.

    The first block is read at once: what is wrong with all of them is found before anything
    changes.

    Parameters
    ----------
    blocks : Blocks
        The source.
    needs : Needs
        What the network takes.
    targets : bool
        Whether to read targets and weights; without them, the arrays for both are empty.
    """

    def __init__(self, blocks: Blocks, needs: Needs, *, targets: bool = True) -> None:
        self.blocks, self.needs, self._with_targets = blocks, needs, targets
        self.bounds = check_bounds(blocks)
        _check_width(blocks, needs.n_features)
        first = int(np.flatnonzero(np.diff(self.bounds))[0])
        _, y, weight = read_block(blocks, first)
        self._weighted = weight is not None and targets
        self._y_shape: tuple[int, ...] = (0,)
        self._y_dtype: np.dtype[Any] = needs.dtype
        if not targets:
            return
        rows = int(self.bounds[first + 1] - self.bounds[first])
        y = self._targets(y, rows, lambda row: place_of(blocks, first, row))
        self._y_shape, self._y_dtype = y.shape[1:], y.dtype
        self.load([first], self.room(rows))

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self._weighted or self.needs.class_weight is not None

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, its targets and its weight."""
        itemsize = self.needs.dtype.itemsize
        y = self._y_dtype.itemsize * int(np.prod(self._y_shape, dtype=int))
        return self.needs.n_features * itemsize + y + itemsize * self.weighted

    def room(self, n: int) -> Rows3:
        """Return arrays for n rows; the first begins at a line of the cache."""
        width = self.needs.n_features * self.needs.dtype.itemsize
        memory = np.empty(n * width + 64, np.uint8)
        start = -memory.ctypes.data % 64
        X = memory[start : start + n * width].view(self.needs.dtype)
        return (
            X.reshape(n, self.needs.n_features),
            np.empty((n, *self._y_shape), self._y_dtype),
            np.empty(n, self.needs.dtype) if self.weighted else None,
        )

    def load(self, chosen: list[int], out: Rows3, heed: Callable[[], None] = lambda: None) -> None:
        """Read blocks, one after the other, into arrays that have exactly the room.

        `heed` is called before each block; it may raise.
        """
        end = 0
        for i in chosen:
            heed()
            start, end = end, end + int(self.bounds[i + 1] - self.bounds[i])
            if start == end:
                continue
            self._block(i, slice_rows(out, start, end))

    def each(self) -> Iterator[Rows3]:
        """Yield each block in turn, in memory that is reused."""
        room = self.room(int(np.diff(self.bounds).max()))
        for i, n in enumerate(np.diff(self.bounds).tolist()):
            raise_if_stopped()
            block = slice_rows(room, 0, n)
            self.load([i], block)
            yield block

    def _block(self, i: int, out: Rows3) -> None:
        def where(row: int) -> str:
            return place_of(self.blocks, i, row)

        into = getattr(self.blocks, "read_into", None)
        others = into(i, out[0]) if into is not None and self.needs.inputs is None else None
        if others is None:
            X, y, weight = read_block(self.blocks, i)
            self._samples(X, out[0], where)
        else:
            _, y, weight = with_weight((out[0], *others))
            self._check_finite(out[0], out[0], where)
        self._others(y, weight, out, where)

    def take(self, rows: IndexArray, out: Rows3) -> None:
        """Read any rows, in their order; only sources with a method `take` can."""
        X, y, weight = with_weight(self.blocks.take(rows))  # type: ignore[attr-defined]

        def where(place: int) -> str:
            row = int(rows[place])
            i = int(np.searchsorted(self.bounds, row, "right")) - 1
            return place_of(self.blocks, i, row - int(self.bounds[i]))

        self._samples(X, out[0], where)
        self._others(y, weight, out, where)

    def _samples(self, X: Any, out: FloatArray, where: Where) -> None:
        """Check and convert samples."""
        try:
            given = _data.check_matrix(X, self.needs.n_features, "X")
            if len(given) != len(out):
                raise ValueError(
                    f"X has {len(given):,} rows, but by the blocks' bounds it should have "
                    f"{len(out):,}"
                )
        except (TypeError, ValueError) as error:
            raise type(error)(f"block from {where(0)} on: {error}") from error
        if self.needs.inputs is None:
            with np.errstate(over="ignore", invalid="ignore"):
                np.copyto(out, given, casting="unsafe")
        else:
            out[...] = decode(given, self.needs.dtype, self.needs.inputs)
        if given.dtype.kind == "f" or self.needs.inputs is not None:
            self._check_finite(out, given, where)

    def _check_finite(self, array: FloatArray, given: AnyArray, where: Where) -> None:
        if _data.all_finite(array):
            return
        row, column = (int(place) for place in np.argwhere(~np.isfinite(array))[0])
        value = given[row, column]
        told = f"{where(row)}, {column_of(self.blocks, column)} is {value}"
        if np.isfinite(value):
            raise ValueError(
                f"{told}, which is more than {array.dtype} holds: scale the values, such as to "
                "mean 0 and variance 1"
            )
        raise ValueError(
            f"{told}: every value must be finite; remove or fill in such samples first"
        )

    def _targets(self, y: Any, n: int, where: Where) -> AnyArray:
        """Return checked targets."""
        needs = self.needs

        def check(values: Any) -> AnyArray:
            return _data.check_y(values, len(values), needs.outputs, needs.loss, needs.dtype)

        given = _data.as_array("y", y)
        if given.shape[:1] != (n,):
            raise ValueError(f"block from {where(0)} on: y has shape {given.shape}, X {n:,} rows")
        return _by_row(check, given, "y", where)

    def _others(self, y: Any, weight: Any, out: Rows3, where: Where) -> None:
        """Check and convert targets and weights."""
        if not self._with_targets:
            return
        n, needs = len(out[0]), self.needs
        targets = self._targets(y, n, where)
        if targets.shape[1:] != self._y_shape or targets.dtype != self._y_dtype:
            raise ValueError(
                f"block from {where(0)} on: y has shape {targets.shape} and type "
                f"{targets.dtype}, in the first block {(len(y), *self._y_shape)} and "
                f"{self._y_dtype}"
            )
        out[1][...] = targets
        if (weight is not None) != self._weighted:
            raise ValueError(
                f"block from {where(0)} on: either all blocks have weights, or none has"
            )
        if out[2] is None:
            return
        out[2][...] = 1
        if weight is not None:
            out[2][...] = self._weights(weight, n, where)
        if needs.class_weight is not None:
            out[2][...] *= needs.class_weight(targets)

    def _weights(self, weight: Any, n: int, where: Where) -> AnyArray:
        given = _data.as_array("sample_weight", weight)
        if given.shape != (n,):
            raise ValueError(f"block from {where(0)} on: the weights have shape {given.shape}, "
                             f"X {n:,} rows")  # fmt: skip

        def check(values: AnyArray) -> AnyArray:
            if not values.any():  # allowed in a block
                return np.zeros(len(values), self.needs.dtype)
            checked = _data.check_sample_weight(values, len(values), self.needs.dtype)
            assert checked is not None
            return checked

        return _by_row(check, given, "sample_weight", where)


def slice_rows(rows: Rows3, first: int, end: int) -> Rows3:
    """Return views of the rows from `first` to before `end`."""
    X, y, weight = rows
    return X[first:end], y[first:end], None if weight is None else weight[first:end]


def _by_row(
    check: Callable[[AnyArray], AnyArray], values: AnyArray, name: str, where: Where
) -> AnyArray:
    """Return checked values; the error for one that is wrong names its row."""
    try:
        return check(values)
    except (TypeError, ValueError) as error:
        row = _first_bad(check, values)
        if row is None:
            raise type(error)(f"block from {where(0)} on: {error}") from error
        try:
            check(values[row : row + 1])
        except (TypeError, ValueError) as of_row:
            text = str(of_row).replace(f"{name}[0, ", f"{name}[").replace(f"{name}[0]", name)
            raise type(of_row)(f"{where(row)}: {text}") from None
        raise


def _first_bad(check: Callable[[AnyArray], AnyArray], values: AnyArray) -> int | None:
    """Return the first row that a check refuses, by halving; None if it refuses even the last."""

    def passes(part: AnyArray) -> bool:
        try:
            check(part)
        except (TypeError, ValueError):
            return False
        return True

    if len(values) > 1 and not passes(values[:1]) and not passes(values[-1:]):
        return None  # most likely the wrong shape or type
    good, bad = 0, len(values)  # rows before `good` pass, those before `bad` do not
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if passes(values[:middle]) else (good, middle)
    return good


def _check_width(blocks: Blocks, n_inputs: int) -> None:
    """Check that blocks have the columns that a network takes, before they are read for it."""
    if blocks.n_features != n_inputs:
        names = getattr(blocks, "feature_names", None) or ()
        shown = ", ".join(map(repr, names[:10])) + (" and more" if len(names) > 10 else "")
        raise ValueError(
            f"the blocks have {count(blocks.n_features, 'column')}{shown and f' ({shown})'}, but "
            f"the network has {count(n_inputs, 'input')}: the first of a network's sizes is the "
            "number of columns"
        )
