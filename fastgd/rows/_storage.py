"""The dtypes that samples may be stored in, and the definition of decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray

if TYPE_CHECKING:
    from fastgd.rows._interface import Inputs

__all__ = ["affine", "decode", "is_storage", "storage_names"]


def storage_names() -> tuple[str, ...]:
    """Return the names of the dtypes that kernels decode, as NumPy and ml_dtypes spell them."""
    from fastgd.engine.kernels import storage_names as names  # compiled: loaded when needed

    return names()


def is_storage(dtype: np.dtype[Any]) -> bool:
    """Return whether samples of this dtype can be read where they lie."""
    return dtype.name in storage_names()


def affine(
    storage: np.dtype[Any], dtype: np.dtype[Any], inputs: Inputs
) -> tuple[FloatArray, FloatArray]:
    """Return the columns' means and inverse scales in the dtype that decoding computes in."""
    wide = np.result_type(storage, dtype)
    return inputs.mean.astype(wide), inputs.inverse_scale.astype(wide)


def decode(x: AnyArray, dtype: np.dtype[Any], inputs: Inputs | None = None) -> FloatArray:
    """Return stored samples as inputs of a network: the definition, for every backend.

    With w the wider of both dtypes, an element is ``((w(x) - w(mean)) * w(inverse_scale))``,
    rounded after each operation and then to `dtype`.

    Parameters
    ----------
    x : ndarray of shape (..., n_features)
        Samples as they are stored.
    dtype : numpy.dtype
        The dtype of the computation.
    inputs : Inputs, optional
        Means and inverse scales of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> decode(np.array([[0, 255]], np.uint8), np.dtype("float32")).tolist()
    [[0.0, 255.0]]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if inputs is None:
            return x.astype(dtype)
        mean, inverse_scale = affine(x.dtype, dtype, inputs)
        found: FloatArray = ((x.astype(mean.dtype) - mean) * inverse_scale).astype(dtype)
    return found
