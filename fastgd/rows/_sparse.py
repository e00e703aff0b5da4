"""Rows of a sparse matrix in SciPy's CSR format.

Kernels, and SciPy's own conversions, follow the indices of a sparse matrix without a check. So the
indices are copied, and the copy is what is checked and read: nothing that runs in between (a
callback, a learning rate, another thread) can change it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray
from fastgd.rows._interface import Inputs
from fastgd.rows._storage import affine, decode

__all__ = ["SparseRows", "is_sparse", "own_rows", "to_csr"]

COMPRESSED = ("csr", "csc", "bsr")
#: The first layer multiplies stored elements only, if at most one in so many is stored ...
LEAST_SPARSE = 16
#: ... and rows are at least so wide. Others are made dense, for which kernels are faster.
LEAST_WIDE = 512


class SparseRows:
    """A CSR matrix, whose rows are made dense a few at a time, or multiplied as they are.

    Parameters
    ----------
    source : scipy.sparse.csr_array of shape (n, n_features)
        The samples, with sorted columns, each once in a row; without inputs of the computation's
        dtype.
    dtype : numpy.dtype
        The dtype of the computation.
    inputs : Inputs, optional
        Means and inverse scales of the columns. They are applied to zeros, too.
    """

    def __init__(self, source: Any, dtype: np.dtype[Any], inputs: Inputs | None = None) -> None:
        self.source = source if inputs is not None else source.astype(dtype, copy=False)
        self.dtype = dtype
        self.inputs = inputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples, number of features."""
        shape: tuple[int, ...] = self.source.shape
        return shape

    @property
    def arrays(self) -> tuple[AnyArray, AnyArray, AnyArray]:
        """The memory that the rows are read from: values, their columns, where rows begin."""
        return self.source.data, self.source.indices, self.source.indptr

    @property
    def is_wide(self) -> bool:
        """Whether products over the stored elements are faster than dense ones."""
        n, n_features = self.shape
        stored = len(self.source.data)
        return (
            self.inputs is None
            and n_features >= LEAST_WIDE
            and stored * LEAST_SPARSE <= n * n_features
        )

    def affine(self) -> tuple[FloatArray, FloatArray] | None:
        """Return the columns' means and inverse scales as the kernels apply them; None for none."""
        return None if self.inputs is None else affine(self.source.dtype, self.dtype, self.inputs)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, samples: Any) -> FloatArray:
        if np.ndim(samples) == 0 and not isinstance(samples, slice):
            row: FloatArray = self[[int(samples)]][0]
            return row
        return decode(self.source[samples].toarray(), self.dtype, self.inputs)


def is_sparse(X: Any) -> bool:
    """Return whether a value is a SciPy sparse array or matrix, without loading SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(X))


def to_csr(X: Any) -> Any:
    """Return a SciPy sparse matrix as a csr_array with sorted columns, each once in a row.

    Its values and indices are those of X where X has this form already; `own_rows` checks indices.
    """
    from scipy import sparse

    X = X.tocsr()
    csr = sparse.csr_array((X.data, X.indices, X.indptr), shape=X.shape)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def own_rows(X: Any) -> Any:
    """Return a sparse matrix with indices of its own that are checked; anything else as it is.

    Parameters
    ----------
    X : object
        What the user gave as samples.

    Returns
    -------
    object
        X, or a matrix with its values and a copy of its indices.

    Raises
    ------
    ValueError
        Where lengths, order or range of the indices are not those of a matrix of X's shape.
    """
    if not is_sparse(X) or X.ndim != 2:
        return X
    if X.format in COMPRESSED:
        return _own_compressed(X)
    if X.format == "coo":
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
    """Return a copy that no one else has, in int32 or int64."""
    array = np.asarray(given)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} of a sparse X must be a vector of integers, not {array.dtype} of shape "
            f"{array.shape}"
        )
    return np.array(array, np.int32 if array.dtype == np.int32 else np.int64)


def _narrow(X: Any, indices: AnyArray, indptr: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return both in int32 where the matrix fits it, else in int64."""
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
