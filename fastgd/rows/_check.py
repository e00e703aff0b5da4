"""Check samples, and choose how they are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd import _data, _frames
from fastgd._typing import AnyArray, FloatArray
from fastgd.rows._dense import DenseRows
from fastgd.rows._interface import Inputs, Rows
from fastgd.rows._sparse import SparseRows, is_sparse, own_rows, to_csr
from fastgd.rows._storage import decode, is_storage

__all__ = ["as_rows", "check_rows", "convert", "row_bytes", "subset"]

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
    if is_sparse(X):
        return _check_sparse(X, n_features, dtype, name, inputs)
    given = _read(X, n_features, dtype, name, inputs)
    if given.dtype == dtype and inputs is None:
        array = _data.check_array(name, given, dtype)
        _check_finite(name, array, given, X)
        return array
    small = given.size * dtype.itemsize <= CONVERTED_BYTES
    # where a copy must be made, it is the smaller one
    copied = not _is_in_place(given) and given.dtype.itemsize >= dtype.itemsize
    if small or copied or not is_storage(given.dtype):
        converted = _convert(given, dtype, inputs, name, X)
        # still rows: what they hold has gone through the inputs already
        return converted if inputs is None else DenseRows(converted, dtype)
    rows = DenseRows(_in_place(given), dtype, inputs)
    _check_decoded(rows, name, X)
    return rows


def convert(
    X: Any,
    n_features: int,
    dtype: np.dtype[Any],
    name: str = "X",
    inputs: Inputs | None = None,
) -> FloatArray:
    """Return samples as a network's inputs: an array of shape (n, n_features) in dtype.

    It is a new array wherever something has to be computed. The arguments are those of
    `check_rows`.
    """
    if is_sparse(X):
        return _check_sparse(X, n_features, dtype, name, inputs)[:]
    given = _read(X, n_features, dtype, name, inputs)
    return _convert(given, dtype, inputs, name, X)


def _read(
    X: Any, n_features: int, dtype: np.dtype[Any], name: str, inputs: Inputs | None
) -> AnyArray:
    """Return samples of any dtype, as they are stored if possible."""
    # float64 is what integers of 64 bits are decoded in where columns are standardised
    wanted = dtype if inputs is None else np.dtype(np.float64)
    return _data.check_matrix(X, n_features, name, wanted)


def _convert(
    given: AnyArray, dtype: np.dtype[Any], inputs: Inputs | None, name: str, X: Any
) -> FloatArray:
    """Return checked samples, converted a few at a time: the steps in between need no memory."""
    if inputs is None:
        array = _data.check_array(name, given, dtype)
        _check_finite(name, array, given, X)
        return array
    out = np.empty(given.shape, dtype)
    step = _rows_at_once(given.shape[1], dtype)
    for start in range(0, len(out), step):
        part, piece = given[start : start + step], out[start : start + step]
        piece[...] = decode(part, dtype, inputs)
        _check_finite(name, piece, part, X, start)
    return out


def _check_finite(name: str, array: FloatArray, given: AnyArray, X: Any, first: int = 0) -> None:
    """Check that all elements are finite; X is what the user gave, which may name its columns."""
    if not _data.all_finite(array):
        _data.check_finite(name, array, given, first, _frames.column_names(X))


def _rows_at_once(n_features: int, dtype: np.dtype[Any]) -> int:
    return max(1, PIECE_BYTES // max(1, n_features * dtype.itemsize))


def _converted(rows: Rows) -> Rows:
    """Return all rows decoded. They are still rows: what they hold has gone through the inputs."""
    return DenseRows(rows[:], rows.dtype)


def _check_sparse(
    X: Any, n_features: int, dtype: np.dtype[Any], name: str, inputs: Inputs | None
) -> Rows:
    """Return the rows of a SciPy sparse array or matrix."""
    if X.ndim != 2:
        raise ValueError(f"{name} has shape {X.shape}, but must have two dimensions")
    if X.shape[0] == 0:
        raise ValueError(f"{name} has no samples: its shape is {X.shape}")
    if X.dtype.kind not in "fiub":
        raise _data.dtype_error(name, X)
    _data.check_columns(X.shape, n_features, name)
    csr = to_csr(own_rows(X))
    if inputs is not None and not is_storage(csr.dtype):
        csr = csr.astype(dtype)
    rows = SparseRows(csr, dtype, inputs)
    if inputs is None:
        _check_stored(rows, csr, name)
    else:
        _check_decoded(rows, name, X)
    small = len(rows) * n_features * dtype.itemsize <= CONVERTED_BYTES
    return _converted(rows) if small else rows


def _check_stored(rows: SparseRows, given: Any, name: str) -> None:
    """Check that all stored elements are finite."""
    values = rows.source.data
    if _data.all_finite(values):
        return
    first = int(np.argmin(np.isfinite(values)))
    row = int(np.searchsorted(given.indptr, first, "right")) - 1
    raise _data.not_finite(name, [row, given.indices[first]], given.data[first], rows.dtype)


def row_bytes(X: Rows) -> int:
    """Return how many bytes a row has where it is stored, on average, and at least 1."""
    arrays: Any = getattr(X, "arrays", (X,))
    stored: int = sum(array.nbytes for array in arrays)
    return max(1, stored // len(X))


def subset(X: Rows, samples: Any) -> Rows:
    """Return some of the samples, a copy in their storage."""
    if isinstance(X, (DenseRows, SparseRows)):
        return type(X)(X.source[samples], X.dtype, X.inputs)
    return X[samples]


def as_rows(X: Any, dtype: np.dtype[Any], inputs: Inputs | None = None) -> Rows:
    """Return a checked matrix of finite numbers as rows: an array, or what `own_rows` returned."""
    small = X.shape[0] * X.shape[1] * dtype.itemsize <= CONVERTED_BYTES
    rows: Rows
    if is_sparse(X):
        rows = SparseRows(to_csr(X), dtype, inputs)
    elif inputs is None and (X.dtype == dtype or small or not is_storage(X.dtype)):
        return np.require(X, dtype, ["C", "A"])
    else:
        rows = DenseRows(_in_place(X if is_storage(X.dtype) else X.astype(dtype)), dtype, inputs)
    return _converted(rows) if small else rows


def _in_place(array: AnyArray) -> AnyArray:
    """Return an array whose rows kernels can read: itself, or a copy in the same dtype."""
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def _is_in_place(array: AnyArray) -> bool:
    return array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative


def _check_decoded(rows: DenseRows | SparseRows, name: str, X: Any) -> None:
    """Check that all elements are finite once they are decoded."""
    if rows.source.dtype.kind in "iub" and rows.inputs is None:
        return
    step = _rows_at_once(rows.shape[1], rows.dtype)
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        if not _data.all_finite(piece):
            given: Any = rows.source[start : start + step]
            given = given.toarray() if isinstance(rows, SparseRows) else given
            _check_finite(name, piece, given, X, start)
