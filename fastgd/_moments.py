"""Means and variances of columns, in one stable pass over any samples.

The rows are measured in pieces whose size depends on the number of columns alone, and the pieces'
moments are merged in pairs, so that the bits do not depend on how the rows are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastgd import _data, _frames
from fastgd._typing import AnyArray, FloatArray
from fastgd.rows import own_rows
from fastgd.rows._blocks import check_bounds, is_blocks, read_block
from fastgd.rows._sparse import is_sparse, to_csr

__all__ = ["measure"]

PIECE_BYTES = 1 << 19  # of rows, as float64: small enough for a cache
FEWEST_ROWS = 16  # of a piece, so that merging takes little of the time


class _Moments(NamedTuple):
    """The sum of the weights, and each column's mean and sum of squared deviations from it."""

    weight: float
    mean: FloatArray
    squares: FloatArray

    def merge(self, other: _Moments) -> _Moments:
        """Return the moments of both (Chan et al. 1983, equation 2.1)."""
        weight = self.weight + other.weight
        share = other.weight / weight
        apart = other.mean - self.mean
        return _Moments(
            weight,
            self.mean + apart * share,
            self.squares + other.squares + apart * apart * (self.weight * share),
        )


class _Tree:
    """Moments that are merged in pairs of equal size, like the digits of a binary counter."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, _Moments]] = []

    def add(self, moments: _Moments, level: int = 0) -> None:
        while self._parts and self._parts[-1][0] == level:
            moments = self._parts.pop()[1].merge(moments)
            level += 1
        self._parts.append((level, moments))

    def total(self) -> _Moments:
        """Return the moments of everything that was added."""
        _, total = self._parts[-1]
        for _, moments in reversed(self._parts[:-1]):
            total = moments.merge(total)
        return total


def measure(X: Any, sample_weight: Any) -> tuple[FloatArray, FloatArray, tuple[str, ...] | None]:
    """Return the mean and the variance of each column of X, and the columns' names.

    A column whose numbers are all equal has exactly that mean, and the variance 0.
    """
    if is_sparse(X):
        return (*_measure_sparse(X, sample_weight), None)
    n, n_features, parts = _parts(X)
    weight = _data.check_sample_weight(sample_weight, n, np.dtype(np.float64))
    tree, first, constant = _Tree(), None, np.ones(n_features, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for piece, weights in _pieces(parts, n_features, weight, _frames.column_names(X)):
            if first is None:
                first = piece[0].copy()
            constant &= (piece == first).all(axis=0)
            tree.add(_moments(piece, weights))
        total = tree.total()
        variance = total.squares / total.weight
    mean = total.mean
    mean[constant] = np.asarray(first)[constant]
    variance[constant] = 0.0
    return mean, variance, _frames.column_names(X)


def _moments(piece: FloatArray, weights: FloatArray | None) -> _Moments:
    """Return the moments of some rows; the mean is corrected by that of the deviations."""
    total = float(len(piece)) if weights is None else float(weights.sum())
    if weights is None:
        mean = piece.mean(axis=0)
        apart = piece - mean
        shift = apart.mean(axis=0)
        squares = (apart * apart).sum(axis=0)
    else:
        factors = weights[:, None] / total
        mean = (factors * piece).sum(axis=0)
        apart = piece - mean
        shift = (factors * apart).sum(axis=0)
        squares = (weights[:, None] * apart * apart).sum(axis=0)
    return _Moments(total, mean + shift, np.maximum(squares - total * shift * shift, 0.0))


def _parts(X: Any) -> tuple[int, int, Iterator[AnyArray]]:
    """Return the numbers of rows and columns, and the rows in their order, in parts."""
    if is_blocks(X):
        return int(X.n_rows), int(X.n_features), _of_blocks(X)
    matrix = _data.check_matrix(X, None)
    return *matrix.shape, iter([matrix])


def _of_blocks(blocks: Any) -> Iterator[AnyArray]:
    """Read a source of blocks (`fastgd.rows.Blocks`) once."""
    for i in range(len(check_bounds(blocks)) - 1):
        X, _, _ = read_block(blocks, i)
        yield _data.check_matrix(X, int(blocks.n_features), f"X of block {i}")


def _pieces(
    parts: Iterator[AnyArray],
    n_features: int,
    weight: FloatArray | None,
    names: tuple[str, ...] | None,
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Return rows in pieces of a fixed size, as float64, with their weights.

    Rows of weight 0 are left out: a column may be constant in the others.
    """
    step = max(FEWEST_ROWS, PIECE_BYTES // (8 * n_features))
    room, filled, row = np.empty((step, n_features)), 0, 0
    for part in parts:
        start = 0
        while start < len(part):
            taken = part[start : start + step - filled]
            piece = room[filled : filled + len(taken)]
            piece[...] = taken
            if taken.dtype.kind not in "iub" and not np.isfinite(piece).all():
                _data.check_finite("X", piece, taken, row, names)
            start, row, filled = start + len(taken), row + len(taken), filled + len(taken)
            if filled == step:
                yield from _counted(room, weight, row)
                filled = 0
    if filled:
        yield from _counted(room[:filled], weight, row)


def _counted(
    piece: FloatArray, weight: FloatArray | None, end: int
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Return the rows before row `end` that count, with their weights."""
    if weight is None:
        yield piece, None
        return
    weights = weight[end - len(piece) : end]
    counts = weights > 0
    if counts.any():
        yield (piece, weights) if counts.all() else (piece[counts], weights[counts])


def _measure_sparse(X: Any, sample_weight: Any) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the variance of each column of a sparse matrix, zeros counted.

    Columns with few entries are not made dense: with n weights of sum W, entries x and zeros of
    weight Z, the sum of squared deviations is that of the entries plus Z mean^2.
    """
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(f"X has shape {X.shape}, but must have rows and columns")
    if X.dtype.kind not in "fiub":
        raise _data.dtype_error("X", X)
    n, n_features = X.shape
    matrix = to_csr(own_rows(X))
    weight = _data.check_sample_weight(sample_weight, n, np.dtype(np.float64))
    columns, entries = matrix.indices, matrix.data.astype(np.float64)
    if not np.isfinite(entries).all():
        bad = int(np.argmin(np.isfinite(entries)))
        row = int(np.searchsorted(matrix.indptr, bad, side="right")) - 1
        raise _data.not_finite("X", [row, columns[bad]], entries[bad], entries.dtype)
    counts = np.ones(n) if weight is None else weight
    of_entries = np.repeat(counts, np.diff(matrix.indptr))

    def total(values: FloatArray) -> FloatArray:
        return np.bincount(columns, of_entries * values, n_features).astype(np.float64)

    with np.errstate(over="ignore", invalid="ignore"):
        weights = float(counts.sum())
        present = total(np.ones(len(entries)))
        zeros = np.maximum(weights - present, 0.0)
        zeros[np.bincount(columns[of_entries > 0], minlength=n_features) == (counts > 0).sum()] = 0
        mean = total(entries) / weights
        apart = entries - mean[columns]
        shift = (total(apart) - zeros * mean) / weights
        squares = total(apart * apart) + zeros * mean * mean - weights * shift * shift
        variance = np.maximum(squares, 0.0) / weights
    mean = mean + shift
    return _with_constants(mean, variance, columns[of_entries > 0], entries[of_entries > 0], zeros)


def _with_constants(
    mean: FloatArray, variance: FloatArray, columns: AnyArray, entries: FloatArray, zeros: AnyArray
) -> tuple[FloatArray, FloatArray]:
    """Return moments in which constant columns have exactly their mean, and the variance 0."""
    low, high = np.full(len(mean), np.inf), np.full(len(mean), -np.inf)
    np.minimum.at(low, columns, entries)
    np.maximum.at(high, columns, entries)
    low = np.where(zeros > 0, np.minimum(low, 0.0), low)
    high = np.where(zeros > 0, np.maximum(high, 0.0), high)
    constant = low == high
    return np.where(constant, low, mean), np.where(constant, 0.0, variance)
