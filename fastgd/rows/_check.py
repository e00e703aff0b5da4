"""Check samples, and choose how they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd import _data
from fastgd._typing import AnyArray
from fastgd.rows._dense import DenseRows
from fastgd.rows._interface import Inputs, Rows
from fastgd.rows._sparse import SparseRows
from fastgd.rows._storage import decode, is_storage

__all__ = ["as_rows", "check_rows", "subset"]

#: Samples of at most so many bytes, once converted, are converted before the run: their copy is
#: small, and decoding them again in each epoch takes longer. Tests set this to 0.
CONVERTED_BYTES = 1 << 21
PIECE_BYTES = 1 << 18  # of rows that are decoded at a time to check them


def check_rows(
    X: Any,
    n_features: int,
    dtype: np.dtype[Any],
    name: str = "X",
    inputs: Inputs | None = None,
) -> Rows:
    """Return samples of shape (n, n_features) in a form that backends read.

    Parameters
    ----------
    X : object
        Samples as a user gives them: an array_like or a scipy.sparse array or matrix. What this
        function has returned is returned as it is.
    n_features : int
        The network's inputs.
    dtype : numpy.dtype
        The dtype of the computation.
    name : str
        What messages call the samples.
    inputs : Inputs, optional
        Means and inverse scales of the columns.

    Raises
    ------
    TypeError, ValueError
        When X is no such matrix of finite numbers.
    """
    if isinstance(X, (DenseRows, SparseRows)):
        return X if X.dtype == dtype else type(X)(X.source, dtype, X.inputs)
    given = _data.check_matrix(X, n_features, name)
    if given.dtype == dtype and inputs is None:
        return _data.check_X(given, n_features, dtype, name)
    small = given.size * dtype.itemsize <= CONVERTED_BYTES
    if (small or not is_storage(given.dtype)) and inputs is None:
        return _data.check_X(given, n_features, dtype, name)
    if not is_storage(given.dtype):
        given = given.astype(dtype)
    rows = DenseRows(_in_place(given), dtype, inputs)
    _check_decoded(rows, name)
    # still rows: what they hold has gone through the inputs already
    return DenseRows(rows[:], dtype) if small else rows


def subset(X: Rows, samples: Any) -> Rows:
    """Return some of the samples, a copy in their storage."""
    if isinstance(X, (DenseRows, SparseRows)):
        return type(X)(X.source[samples], X.dtype, X.inputs)
    return X[samples]


def as_rows(X: AnyArray, dtype: np.dtype[Any], inputs: Inputs | None = None) -> Rows:
    """Return a matrix of checked, finite numbers as rows: for callers that have checked them."""
    if X.dtype == dtype and inputs is None:
        return np.require(X, dtype, ["C", "A"])
    return DenseRows(_in_place(X), dtype, inputs)


def _in_place(array: AnyArray) -> AnyArray:
    """Return an array whose rows kernels can read: itself, or a copy in the same dtype."""
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def _check_decoded(rows: DenseRows, name: str) -> None:
    """Check that all elements are finite once they are decoded."""
    if rows.source.dtype.kind in "iub" and rows.inputs is None:
        return
    step = max(1, PIECE_BYTES // max(1, rows.shape[1] * rows.dtype.itemsize))
    for start in range(0, len(rows), step):
        given = rows.source[start : start + step]
        piece = decode(given, rows.dtype, rows.inputs)
        if not _data.all_finite(piece):
            _data.check_finite(name, piece, given, first=start)
