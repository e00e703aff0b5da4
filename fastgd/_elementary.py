"""Powers and half a cosine wave, with the same bits on every machine.

They use only additions, multiplications, divisions and the engine's own functions, since results
of the C library differ between machines.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd._typing import FloatArray

__all__ = ["half_wave", "real_power", "whole_power"]

LOW_BITS = 10  # the low bits of an exponent, whose powers are tabulated


def _by_squaring(base: float, exponent: NDArray[np.integer[Any]]) -> FloatArray:
    """Return base to whole powers, using only multiplications."""
    result = np.ones(len(exponent))
    square = base
    with np.errstate(over="ignore", under="ignore"):
        for bit in range(int(exponent.max(initial=0)).bit_length()):
            result[exponent >> bit & 1 == 1] *= square
            square *= square
    return result


@lru_cache(maxsize=16)
def _low_powers(base: float) -> FloatArray:
    return _by_squaring(base, np.arange(1 << LOW_BITS))


def whole_power(base: float, exponent: NDArray[np.integer[Any]]) -> FloatArray:
    """Return base to many whole powers, each as a product of two tabulated ones."""
    if len(exponent) == 0:
        return np.ones(0)
    low, high = _low_powers(base), exponent >> LOW_BITS
    first = int(high.min())
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        step = float(low[-1]) * base
        highs = _by_squaring(step, np.arange(first, int(high.max()) + 1))
        power: FloatArray = low[exponent & (1 << LOW_BITS) - 1] * highs[high - first]
    return power


def real_power(base: FloatArray, exponent: float) -> FloatArray:
    """Return positive numbers to a real power."""
    from fastgd.engine import kernels  # load compiled code only when needed

    logarithm = kernels.math("log", base, np.empty_like(base))
    return kernels.math("exp", exponent * logarithm, np.empty_like(base))


def half_wave(x: FloatArray) -> FloatArray:
    """Return (1 + cos(pi x)) / 2 for x from 0 to 1, to rounding even where it is near 0.

    It equals sin(pi (1 - x) / 2)^2 and cos(pi x / 2)^2. Use the Taylor series of whichever has
    the smaller argument, at most pi / 4, where the first omitted term is below 1e-17.
    """
    late = x > 0.5
    angle = pi / 2 * np.where(late, 1 - x, x)
    square = angle * angle
    sine, cosine = np.zeros_like(x), np.zeros_like(x)
    for k in range(9, -1, -1):
        sine = sine * -square + 1 / factorial(2 * k + 1)
        cosine = cosine * -square + 1 / factorial(2 * k)
    wave: FloatArray = np.where(late, angle * sine, cosine) ** 2
    return wave
