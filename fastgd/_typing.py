"""Names for the array types that the package passes around."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["AnyArray", "FloatArray", "IndexArray", "RngLike"]

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IndexArray: TypeAlias = NDArray[np.integer[Any]]
AnyArray: TypeAlias = NDArray[Any]
RngLike: TypeAlias = (
    "int | np.integer[Any] | np.random.Generator | np.random.BitGenerator"
    " | np.random.SeedSequence | None"
)
