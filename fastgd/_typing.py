"""Names for the array types that the package passes around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.random import BitGenerator, Generator, SeedSequence

__all__ = ["AnyArray", "FloatArray", "IndexArray", "RngLike", "SamplesLike"]

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IndexArray: TypeAlias = NDArray[np.integer[Any]]
AnyArray: TypeAlias = NDArray[Any]
# what rows.check_rows takes: array_like, or a scipy.sparse array or matrix, which has no type
SamplesLike: TypeAlias = Any
# one string: pyright does not concatenate several
RngLike: TypeAlias = "int | np.integer[Any] | Generator | BitGenerator | SeedSequence | None"
