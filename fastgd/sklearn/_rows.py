"""Check the sparse matrices that users pass to an estimator.

Kernels, and SciPy's own conversions, use the indices of a sparse matrix as addresses, unchecked.
The indices are therefore copied, and the copy is checked and used: no code that runs in between (a
callback, a schedule, another thread) can change it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from fastgd._typing import AnyArray

__all__ = ["own_rows"]

COMPRESSED = ("csr", "csc", "bsr")


def own_rows(X: Any) -> Any:
    """Return a sparse matrix with checked copies of its indices; anything else unchanged.

    Parameters
    ----------
    X : object
        The user's samples.

    Returns
    -------
    object
        X, or a matrix that shares its values and has copies of its indices.

    Raises
    ------
    ValueError
        When the lengths, order or range of the indices do not fit a matrix of X's shape.
    """
    if not sparse.issparse(X):
        return X
    if X.format in COMPRESSED:
        return _own_compressed(X)
    if X.format == "coo" and X.ndim == 2:
        return _own_coordinates(X)
    return X


def _own_compressed(X: Any) -> Any:
    axis = 1 if X.format == "csc" else 0
    blocks = X.data.shape[1:] if X.format == "bsr" else (1, 1)
    n_lines, n_places = (X.shape[i] // blocks[i] for i in (axis, 1 - axis))
    indptr, indices = _integers("indptr", X.indptr), _integers("indices", X.indices)
    if len(indptr) != n_lines + 1:
        raise _invalid(X, f"its indptr has {len(indptr)} entries, but must have {n_lines + 1}")
    stored = min(len(indices), len(X.data))
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any() or indptr[-1] > stored:
        raise _invalid(X, f"its indptr must rise from 0 to at most {stored}")
    indices = indices[: indptr[-1]]
    _check_range(X, "indices", indices, n_places)
    indices, indptr = _narrow(X, indices, indptr)
    return type(X)((X.data[: len(indices)], indices, indptr), shape=X.shape)


def _own_coordinates(X: Any) -> Any:
    rows, columns = _integers("row", X.row), _integers("col", X.col)
    if not len(rows) == len(columns) == len(X.data):
        raise _invalid(X, "its row, col and data must have equal lengths")
    _check_range(X, "row", rows, X.shape[0])
    _check_range(X, "col", columns, X.shape[1])
    return type(X)((X.data, (rows, columns)), shape=X.shape)


def _integers(name: str, given: Any) -> AnyArray:
    """Return a copy in int32 or int64."""
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} of a sparse X must be a vector of integers, not {array.dtype} of shape "
            f"{array.shape}"
        )
    return np.array(array, np.int32 if array.dtype == np.int32 else np.int64)


def _narrow(X: Any, indices: AnyArray, indptr: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return both in int32 if that is large enough for the matrix, else in int64."""
    fits = max(len(indices), *X.shape) <= np.iinfo(np.int32).max
    dtype = np.int32 if fits else np.int64
    return indices.astype(dtype, copy=False), indptr.astype(dtype, copy=False)


def _check_range(X: Any, name: str, indices: AnyArray, n: int) -> None:
    if len(indices) and (indices.min() < 0 or indices.max() >= n):
        raise _invalid(
            X,
            f"its {name} are from {indices.min()} to {indices.max()}, but must be from 0 to "
            f"{n - 1}",
        )


def _invalid(X: Any, why: str) -> ValueError:
    return ValueError(
        f"X is not a valid {X.format.upper()} matrix: {why}; X.check_format() says more"
        if X.format in COMPRESSED
        else f"X is not a valid {X.format.upper()} matrix: {why}"
    )
