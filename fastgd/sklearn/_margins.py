"""The losses of the SGD estimators: the formulas that src_c/kernels/per_sample.inc.c computes.

A softmax's is there for validation data alone; in training it is the engine's.

`p` is the raw output. `y` is the target; for the classification losses -1 or 1, and for `log_loss`
a probability from 0 to 1. `parameter` is epsilon, or the threshold of a margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from fastgd.losses import log_loss, log_loss_slope

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MarginLoss:
    """A loss of one raw output and its derivative.

    Parameters
    ----------
    value, slope : callable
        The loss of (y, p, parameter), and its derivative by p.
    parameter : float or None
        The threshold; None where the estimator's epsilon is meant.
    """

    value: Callable[[Any, Any, float], Any]
    slope: Callable[[Any, Any, float], Any]
    parameter: float | None = 1.0


def _huber(y: Floats, p: Floats, epsilon: float) -> Floats:
    """Return the loss of Huber 1964 (doi:10.1214/aoms/1177703732): (p - y)^2 / 2 near y."""
    size = np.abs(p - y)
    return np.where(size <= epsilon, 0.5 * size**2, epsilon * (size - 0.5 * epsilon))


def _excess(y: Floats, p: Floats, epsilon: float) -> Floats:
    return np.maximum(0, np.abs(p - y) - epsilon)


def _shortfall(y: Floats, p: Floats, threshold: float) -> Floats:
    return np.maximum(0, threshold - y * p)


def _modified_huber(y: Floats, p: Floats, _: float) -> Floats:
    """Return the loss of Zhang 2004 (doi:10.1145/1015330.1015332), quadratic from -1 to 1."""
    z = y * p
    return np.where(z < -1, -4 * z, np.maximum(0, 1 - z) ** 2)


def _modified_huber_slope(y: Floats, p: Floats, _: float) -> Floats:
    z = y * p
    return np.where(z < -1, -4 * y, -2 * y * np.maximum(0, 1 - z))


_HINGE_SLOPE = lambda y, p, at: np.where(y * p <= at, -y, 0.0)  # noqa: E731

LOSSES = {
    "squared_error": MarginLoss(lambda y, p, _: 0.5 * (p - y) ** 2, lambda y, p, _: p - y),
    "huber": MarginLoss(_huber, lambda y, p, epsilon: np.clip(p - y, -epsilon, epsilon), None),
    "epsilon_insensitive": MarginLoss(
        _excess, lambda y, p, epsilon: np.sign(p - y) * (np.abs(p - y) > epsilon), None
    ),
    "squared_epsilon_insensitive": MarginLoss(
        lambda y, p, epsilon: _excess(y, p, epsilon) ** 2,
        lambda y, p, epsilon: 2 * np.sign(p - y) * _excess(y, p, epsilon),
        None,
    ),
    "hinge": MarginLoss(_shortfall, _HINGE_SLOPE),
    "perceptron": MarginLoss(_shortfall, _HINGE_SLOPE, 0.0),
    "squared_hinge": MarginLoss(
        lambda y, p, at: _shortfall(y, p, at) ** 2, lambda y, p, at: -2 * y * _shortfall(y, p, at)
    ),
    "modified_huber": MarginLoss(_modified_huber, _modified_huber_slope),
    "log_loss": MarginLoss(lambda y, p, _: log_loss(p, y), lambda y, p, _: log_loss_slope(p, y)),
}


def softmax_loss(y: NDArray[Any], p: Floats) -> Floats:
    """Return each sample's cross-entropy.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_classes)
        Indices of classes, or probabilities.
    p : ndarray of shape (n, n_classes)
        Raw outputs.
    """
    logarithms: Floats = log_softmax(p, axis=1)
    if y.ndim == 2:
        return -(y * logarithms).sum(axis=1)
    return -logarithms[np.arange(len(y)), y]
