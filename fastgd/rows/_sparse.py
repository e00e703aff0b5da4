"""Rows of a sparse matrix in SciPy's CSR format."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray
from fastgd.rows._interface import Inputs
from fastgd.rows._storage import decode

__all__ = ["SparseRows"]


class SparseRows:
    """A CSR matrix, whose rows are made dense a few at a time.

    Parameters
    ----------
    source : scipy.sparse.csr_array of shape (n, n_features)
        The samples, with sorted columns, each once in a row.
    dtype : numpy.dtype
        The dtype of the computation.
    inputs : Inputs, optional
        Means and inverse scales of the columns. They are applied to zeros, too.
    """

    def __init__(self, source: Any, dtype: np.dtype[Any], inputs: Inputs | None = None) -> None:
        self.source = source
        self.dtype = dtype
        self.inputs = inputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples, number of features."""
        shape: tuple[int, ...] = self.source.shape
        return shape

    @property
    def arrays(self) -> tuple[AnyArray, ...]:
        """The memory that the rows are read from."""
        return self.source.data, self.source.indices, self.source.indptr

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, samples: Any) -> FloatArray:
        if np.ndim(samples) == 0 and not isinstance(samples, slice):
            row: FloatArray = self[[int(samples)]][0]
            return row
        return decode(self.source[samples].toarray(), self.dtype, self.inputs)
