"""What every kind of samples offers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from fastgd._typing import FloatArray

__all__ = ["Inputs", "Rows"]


class Rows(Protocol):
    """Samples, as backends and evaluations read them. An array of floats is such an object.

    The dtype is that of the computation, whatever the samples are stored in.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples, number of features."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: what an index returns."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, samples: Any, /) -> FloatArray:
        """Return some samples, decoded: for an int one row, for a slice or indices a matrix."""


class Inputs(Protocol):
    """How a column x becomes an input: (x - mean) * inverse_scale. Both are of float64."""

    @property
    def mean(self) -> FloatArray:
        """One number a column."""

    @property
    def inverse_scale(self) -> FloatArray:
        """One number a column."""
