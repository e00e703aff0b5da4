"""Activations of hidden layers: each one's formula in NumPy, which is the specification.

The kernels of the same names are in src_c/kernels/activation.inc.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._typing import FloatArray

__all__ = ["ACTIVATIONS", "Activation", "log1p_exp", "sigmoid"]


@dataclass(frozen=True)
class Activation:
    """A function of one variable, applied to every unit of a layer.

    Attributes
    ----------
    name : str
        The name that selects it in `fastgd.Network`.
    value, derivative : callable
        The function and its derivative, elementwise on an array of raw outputs z.
    text : str
        The formula, in LaTeX with $, for the table of activations.
    gain : float
        Variance of the initial weights times the number of inputs: 2 for relu, which drops half
        of its input (He et al. 2015, doi:10.1109/ICCV.2015.123), and similar ones, otherwise 1.
    """

    name: str
    value: Callable[[FloatArray], FloatArray]
    derivative: Callable[[FloatArray], FloatArray]
    text: str
    gain: float = 1.0


def sigmoid(z: FloatArray, math: Any = np) -> FloatArray:
    """Return 1 / (1 + exp(-z)), without overflow; `math` has the exponential."""
    decay = math.exp(-np.abs(z))
    result: FloatArray = np.where(z >= 0, 1, decay) / (1 + decay)
    return result


def log1p_exp(z: FloatArray) -> FloatArray:
    """Return log(1 + exp(z)), without overflow."""
    result: FloatArray = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return result


def _safe_product(z: FloatArray, factor: FloatArray) -> FloatArray:
    """Return z times a factor that falls faster than z grows: 0 if it is 0, even for infinite z."""
    result: FloatArray = np.where(factor == 0, z.dtype.type(0), z) * factor
    return result


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _normal_cdf(z: FloatArray) -> FloatArray:
    result: FloatArray = (0.5 * _erfc(-z / math.sqrt(2)).astype(np.float64)).astype(z.dtype)
    return result


def _gelu_derivative(z: FloatArray) -> FloatArray:
    density = np.exp(-z * z / 2) / np.asarray(math.sqrt(2 * math.pi), z.dtype)
    result: FloatArray = _normal_cdf(z) + _safe_product(z, density)
    return result


def _tanh_derivative(z: FloatArray) -> FloatArray:
    result: FloatArray = 1 - np.tanh(z) ** 2
    return result


def _sigmoid_derivative(z: FloatArray) -> FloatArray:
    lesser = sigmoid(-np.abs(z))  # as accurate for large z as for small z
    result: FloatArray = lesser * (1 - lesser)
    return result


def _silu_derivative(z: FloatArray) -> FloatArray:
    s = sigmoid(z)
    return _safe_product(1 + _safe_product(z, 1 - s), s)


def _step(z: FloatArray, below: float) -> FloatArray:
    return np.where(z > 0, z.dtype.type(1), z.dtype.type(below))


#: Every activation by name. gelu is exact, z Phi(z) (Hendrycks & Gimpel 2016, arXiv:1606.08415);
#: silu is z sigmoid(z) (Elfwing et al. 2018, arXiv:1702.03118). At 0 the slope of relu is 0.
ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("identity", lambda z: z, np.ones_like, "$z$"),
        Activation(
            "relu", lambda z: np.maximum(z, 0), lambda z: _step(z, 0), r"$\max(0, z)$", gain=2
        ),
        Activation(
            "leaky_relu",
            lambda z: z * _step(z, 0.01),
            lambda z: _step(z, 0.01),
            "$z$ for $z > 0$, else $0.01 z$",
            gain=2,
        ),
        Activation("tanh", np.tanh, _tanh_derivative, r"$\tanh z$"),
        Activation("sigmoid", sigmoid, _sigmoid_derivative, r"$\sigma(z) = 1 / (1 + e^{-z})$"),
        Activation(
            "gelu",
            lambda z: _safe_product(z, _normal_cdf(z)),
            _gelu_derivative,
            r"$z \, \Phi(z)$, with the normal distribution's $\Phi$ itself and no approximation "
            "of it",
            gain=2,
        ),
        Activation(
            "silu",
            lambda z: _safe_product(z, sigmoid(z)),
            _silu_derivative,
            r"$z \, \sigma(z)$",
            gain=2,
        ),
        Activation("softplus", log1p_exp, sigmoid, r"$\log(1 + e^{z})$", gain=2),
    )
}
