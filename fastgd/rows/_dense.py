"""Rows of an array of any storage dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray
from fastgd.rows._interface import Inputs
from fastgd.rows._storage import affine, decode

__all__ = ["DenseRows"]


class DenseRows:
    """A matrix that is read where it lies, and decoded a few rows at a time.

    Parameters
    ----------
    source : ndarray of shape (n, n_features)
        The samples: C-contiguous, aligned, in native byte order, of a dtype in `storage_names`.
    dtype : numpy.dtype
        The dtype of the computation.
    inputs : Inputs, optional
        Means and inverse scales of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> rows = DenseRows(np.array([[1, 2], [3, 4]], np.uint8), np.dtype("float32"))
    >>> rows[1:].tolist(), rows.shape, rows.dtype.name
    ([[3.0, 4.0]], (2, 2), 'float32')
    """

    def __init__(
        self, source: AnyArray, dtype: np.dtype[Any], inputs: Inputs | None = None
    ) -> None:
        self.source = source
        self.dtype = dtype
        self.inputs = inputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples, number of features."""
        return self.source.shape

    def affine(self) -> tuple[FloatArray, FloatArray] | None:
        """Return the columns' means and inverse scales as the kernels apply them; None for none."""
        return None if self.inputs is None else affine(self.source.dtype, self.dtype, self.inputs)

    @property
    def arrays(self) -> tuple[AnyArray, ...]:
        """The memory that the rows are read from."""
        return (self.source,)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, samples: Any) -> FloatArray:
        return decode(self.source[samples], self.dtype, self.inputs)
