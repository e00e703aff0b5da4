"""Losses: each one's formula in NumPy, which is the specification.

A loss is a function of a sample's raw outputs z and its target y. The kernels of the same names
are in src_c/kernels/loss.inc.c. Values and links take `exp` and `log1p` from their argument `math`:
NumPy's, or those of the kernels, whose bits do not depend on the machine
(`fastgd.backends.compiled.Functions`).

`MARGIN_LOSSES` are those of the linear SGD estimators, functions of y and one raw output p, whose
kernels are in src_c/kernels/margin_losses.inc.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.activations import sigmoid

__all__ = [
    "LOSSES",
    "MARGIN_LOSSES",
    "Loss",
    "MarginLoss",
    "Targets",
    "log_loss",
    "log_loss_slope",
    "with_classes",
]


@dataclass(frozen=True)
class Targets:
    """A kind of targets: the allowed values, and what they mean for predictions and metrics.

    Attributes
    ----------
    name : str
        Its name.
    text : str
        A description, for tables of losses.
    check : callable
        (array of shape (n, outputs), loss, name) -> None; raises a ValueError about the array
        called `name`.
    one_output : bool
        Whether they are defined for one output only.
    classes : bool
        Whether each value is a class, by which samples can be balanced.
    indices : bool
        Whether classes are given as indices, of shape (n,), one output for each class.
    numbers : bool
        Whether prediction minus target is an error.
    probabilities : bool
        Whether predictions are probabilities.
    """

    name: str
    text: str
    check: Callable[[FloatArray, str, str], None]
    one_output: bool = False
    classes: bool = False
    indices: bool = False
    numbers: bool = False
    probabilities: bool = False

    def classify(self, prediction: FloatArray) -> IndexArray:
        """Return the class of each prediction, where targets are classes."""
        if self.indices:
            classes: IndexArray = prediction.reshape(len(prediction), -1).argmax(axis=1)
            return classes
        above = prediction > (0.5 if self.probabilities else 0.0)
        return np.where(above, 1, 0 if self.probabilities else -1)


def _any_number(array: FloatArray, loss: str, name: str) -> None:
    """Accept all numbers: the caller has checked that they are finite."""


def _each(
    is_bad: Callable[[FloatArray], AnyArray], allowed: str
) -> Callable[[FloatArray, str, str], None]:
    """Return a function that checks each value separately."""

    def check(array: FloatArray, loss: str, name: str) -> None:
        bad = is_bad(array)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"{name}[{row}] is {array[row, column]}, but the loss {loss!r} takes {allowed}"
            )

    return check


def _distributions(array: FloatArray, loss: str, name: str) -> None:
    """Check that each row is a distribution over the classes."""
    bad_rows = (np.abs(array.sum(axis=1) - 1) > 1e-4) | (array < 0).any(axis=1)
    if bad_rows.any():
        row = int(np.argmax(bad_rows))
        raise ValueError(
            f"{name}[{row}] must be probabilities that add up to 1; it is {array[row].tolist()}"
        )


REAL = Targets("real", "numbers", _any_number, numbers=True)
COUNT = Targets(
    "count",
    "counts, at least 0",
    _each(lambda y: y < 0, "values of at least 0"),
    numbers=True,
)
PROBABILITY = Targets(
    "probability",
    "0 or 1, or probabilities",
    _each(
        lambda y: (y < 0) | (y > 1),
        "0 and 1, or probabilities between them (for labels -1 and 1 use (y + 1) / 2, for more "
        "than two classes loss='cross_entropy')",
    ),
    one_output=True,
    classes=True,
    numbers=True,
    probabilities=True,
)
SIGN = Targets(
    "sign",
    "$-1$ or $1$",
    _each(lambda y: np.abs(y) != 1, "-1 and 1 (for labels 0 and 1 use 2 * y - 1)"),
    one_output=True,
    classes=True,
)
CLASS = Targets(
    "class",
    "class indices, or a matrix of probabilities",
    _distributions,
    classes=True,
    indices=True,
    probabilities=True,
)


@dataclass(frozen=True)
class Loss:
    """A loss and its link.

    Attributes
    ----------
    name : str
        The name that selects it in `fastgd.Network`.
    value : callable
        (z, y, math) -> the loss of each sample, of shape (n,).
    gradient : callable
        (z, y) -> the derivative with respect to the raw outputs, of shape (n, outputs).
    link : callable
        (z, math) -> the prediction, the expected target.
    targets : Targets
        What the targets may hold.
    text : tuple of str
        The formulas of value, gradient and link, in LaTeX with $, for the table of losses.
    """

    name: str
    value: Callable[..., FloatArray]
    gradient: Callable[[FloatArray, AnyArray], FloatArray]
    link: Callable[..., FloatArray]
    targets: Targets
    text: tuple[str, str, str]

    @property
    def one_output(self) -> bool:
        """Whether the loss is defined for one output only."""
        return self.targets.one_output


def _mean_over_outputs(
    name: str,
    value: Callable[[FloatArray, AnyArray, Any], FloatArray],
    slope: Callable[[FloatArray, AnyArray], FloatArray],
    link: Callable[..., FloatArray],
    targets: Targets,
    *text: str,
) -> Loss:
    """Extend a loss for one output to the mean over a sample's outputs."""

    def mean_value(z: FloatArray, y: AnyArray, math: Any = np) -> FloatArray:
        result: FloatArray = value(z, y, math).mean(axis=1)
        return result

    def mean_gradient(z: FloatArray, y: AnyArray) -> FloatArray:
        return slope(z, y) / z.dtype.type(z.shape[1])

    value_text, slope_text, link_text = text
    return Loss(name, mean_value, mean_gradient, link, targets, (value_text, slope_text, link_text))


def _identity(z: FloatArray, _: Any = np) -> FloatArray:
    return z


def _exponential(z: FloatArray, math: Any = np) -> FloatArray:
    rate: FloatArray = math.exp(z)
    return rate


def _huber(z: FloatArray, y: AnyArray, _: Any) -> FloatArray:
    size = np.abs(z - y)
    return np.where(size <= 1, size * size / 2, size - z.dtype.type(0.5))


def _shortfall(z: FloatArray, y: AnyArray, _: Any = np) -> FloatArray:
    """Return max(0, 1 - y z), the shortfall of the margin."""
    result: FloatArray = np.maximum(1 - y * z, 0)
    return result


def _less_likely_target(z: FloatArray, y: AnyArray) -> FloatArray:
    """Return the target's share of the class with predicted probability at most 1/2."""
    return np.where(z > 0, 1 - y, y)


def log_loss(z: FloatArray, y: AnyArray, math: Any = np) -> FloatArray:
    """Return log(1 + exp(z)) - y z, as a sum of non-negative terms to avoid cancellation."""
    share, size = _less_likely_target(z, y), np.abs(z)
    # a share of 0 contributes 0, even for infinite z
    result: FloatArray = math.log1p(math.exp(-size)) + np.where(share == 0, 0, size) * share
    return result


def log_loss_slope(z: FloatArray, y: AnyArray) -> FloatArray:
    """Return sigmoid(z) - y, computed from the smaller of sigmoid(z) and sigmoid(-z)."""
    excess = sigmoid(-np.abs(z)) - _less_likely_target(z, y)
    return np.where(z > 0, -excess, excess)


def _poisson(z: FloatArray, y: AnyArray, math: Any) -> FloatArray:
    rate = _exponential(z, math)
    # y = 0 contributes 0, and an infinite rate gives an infinite loss, even for infinite z
    return np.where(rate == np.inf, rate, rate - y * np.where(y == 0, 0, z))


def _softmax(z: FloatArray, math: Any = np) -> FloatArray:
    e = math.exp(z - z.max(axis=1, keepdims=True))
    result: FloatArray = e / e.sum(axis=1, keepdims=True)
    return result


def _probabilities(z: FloatArray, y: AnyArray) -> AnyArray:
    """Return targets, probabilities or class indices, as a matrix of probabilities."""
    if y.ndim == 2:
        return y
    one_hot = np.zeros_like(z)
    one_hot[np.arange(len(y)), y] = 1
    return one_hot


def _numerators(
    z: FloatArray, math: Any = np
) -> tuple[FloatArray, FloatArray, tuple[IndexArray, IndexArray]]:
    """Return each output's distance below the largest, its exponential, and the largest's index.

    The exponentials are the softmax's numerators, with 0 for the largest.
    """
    most = z.max(axis=1, keepdims=True)
    below = np.where(z == most, 0, most - z)
    top = np.arange(len(z)), z.argmax(axis=1)
    others = math.exp(-below)
    others[top] = 0
    return below, others, top


def _cross_entropy(z: FloatArray, y: AnyArray, math: Any = np) -> FloatArray:
    below, others, _ = _numerators(z, math)
    p = _probabilities(z, y)
    # a probability of 0 contributes 0, even if the raw output is minus infinity
    expected = (p * np.where(p == 0, 0, below)).sum(axis=1)
    result: FloatArray = math.log1p(others.sum(axis=1)) + expected
    return result


def _cross_entropy_slope(z: FloatArray, y: AnyArray) -> FloatArray:
    _, others, top = _numerators(z)
    p, rest = _probabilities(z, y), others.sum(axis=1)
    gradient: FloatArray = others / (1 + rest)[:, None] - p
    # softmax - p at the largest output, without a difference of two numbers near 1
    gradient[top] = (1 - p[top]) - rest / (1 + rest)
    return gradient


#: Every loss by name. squared_error is torch's mse_loss: no factor of one half. huber turns from
#: quadratic to linear at an error of 1 (Huber 1964, doi:10.1214/aoms/1177703732). poisson has
#: the rate exp(z), without the constant log(y!). cross_entropy is softmax with loss, fused: its
#: gradient is p - y (Bishop 2006, Pattern Recognition and Machine Learning, eq. 4.109).
LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        _mean_over_outputs(
            "squared_error",
            lambda z, y, _: (z - y) ** 2,
            lambda z, y: 2 * (z - y),
            _identity,
            REAL,
            "$(z - y)^2$",
            "$2 (z - y)$",
            "$z$",
        ),
        _mean_over_outputs(
            "absolute_error",
            lambda z, y, _: np.abs(z - y),
            lambda z, y: np.sign(z - y),
            _identity,
            REAL,
            r"$\lvert z - y \rvert$",
            r"$\operatorname{sign}(z - y)$",
            "$z$",
        ),
        _mean_over_outputs(
            "huber",
            _huber,
            lambda z, y: np.clip(z - y, -1, 1),
            _identity,
            REAL,
            r"$\frac{1}{2} (z - y)^2$ up to an error of 1, "
            r"then ${\lvert z - y \rvert} - \frac{1}{2}$",
            "$z - y$, cut off at $-1$ and $1$",
            "$z$",
        ),
        _mean_over_outputs(
            "log_loss",
            log_loss,
            log_loss_slope,
            sigmoid,
            PROBABILITY,
            r"$\log(1 + e^{z}) - y z$",
            r"$\sigma(z) - y$",
            r"$\sigma(z)$",
        ),
        _mean_over_outputs(
            "hinge",
            _shortfall,
            lambda z, y: np.where(y * z < 1, -y, z.dtype.type(0)),
            _identity,
            SIGN,
            r"$\max(0, 1 - y z)$",
            "$-y$ where $y z < 1$, else 0",
            "$z$",
        ),
        _mean_over_outputs(
            "squared_hinge",
            lambda z, y, _: _shortfall(z, y) ** 2,
            lambda z, y: -2 * y * _shortfall(z, y),
            _identity,
            SIGN,
            r"$\max(0, 1 - y z)^2$",
            r"$-2 y \max(0, 1 - y z)$",
            "$z$",
        ),
        _mean_over_outputs(
            "poisson",
            _poisson,
            lambda z, y: np.exp(z) - y,
            _exponential,
            COUNT,
            "$e^{z} - y z$",
            "$e^{z} - y$",
            "$e^{z}$",
        ),
        Loss(
            "cross_entropy",
            _cross_entropy,
            _cross_entropy_slope,
            _softmax,
            CLASS,
            (r"$- \sum_k y_k \log p_k$", "$p - y$", r"$p = \operatorname{softmax}(z)$"),
        ),
    )
}


def with_classes() -> str:
    """Return the end of a message that lists the losses whose targets are classes."""
    indices = [repr(name) for name, loss in LOSSES.items() if loss.targets.indices]
    others = [
        repr(name)
        for name, loss in LOSSES.items()
        if loss.targets.classes and not loss.targets.indices
    ]
    return (
        f"targets that are classes: the losses {', '.join(indices)} (with class indices), "
        f"{', '.join(others[:-1])} and {others[-1]} have them"
    )


@dataclass(frozen=True)
class MarginLoss:
    """A loss of one raw output p and its derivative.

    The target y is a number: -1 or 1 for losses with `signs`, a probability for `log_loss`.

    Parameters
    ----------
    value, slope : callable
        The loss of (y, p, parameter), and its derivative by p.
    parameter : float or None
        The threshold of the margin; None to use the estimator's epsilon.
    signs : bool
        Whether targets are the signs of two classes; regressors have the other losses too.
    kernel : str or None
        The name of the kernel, if it is different.
    """

    value: Callable[[Any, Any, float], Any]
    slope: Callable[[Any, Any, float], Any]
    parameter: float | None = 1.0
    signs: bool = True
    kernel: str | None = None


def _huber_margin(y: FloatArray, p: FloatArray, epsilon: float) -> FloatArray:
    """Return the loss of Huber 1964 (doi:10.1214/aoms/1177703732): (p - y)^2 / 2 near y."""
    size = np.abs(p - y)
    return np.where(size <= epsilon, 0.5 * size**2, epsilon * (size - 0.5 * epsilon))


def _excess(y: FloatArray, p: FloatArray, epsilon: float) -> FloatArray:
    return np.maximum(0, np.abs(p - y) - epsilon)


def _margin_shortfall(y: FloatArray, p: FloatArray, threshold: float) -> FloatArray:
    return np.maximum(0, threshold - y * p)


def _modified_huber(y: FloatArray, p: FloatArray, _: float) -> FloatArray:
    """Return the loss of Zhang 2004 (doi:10.1145/1015330.1015332), quadratic from -1 to 1."""
    z = y * p
    return np.where(z < -1, -4 * z, np.maximum(0, 1 - z) ** 2)


def _modified_huber_slope(y: FloatArray, p: FloatArray, _: float) -> FloatArray:
    z = y * p
    return np.where(z < -1, -4 * y, -2 * y * np.maximum(0, 1 - z))


_HINGE_SLOPE = lambda y, p, at: np.where(y * p <= at, -y, 0.0)  # noqa: E731

#: The losses of the SGD estimators, by scikit-learn's names.
MARGIN_LOSSES = {
    "squared_error": MarginLoss(
        lambda y, p, _: 0.5 * (p - y) ** 2, lambda y, p, _: p - y, signs=False
    ),
    "huber": MarginLoss(
        _huber_margin, lambda y, p, epsilon: np.clip(p - y, -epsilon, epsilon), None, signs=False
    ),
    "epsilon_insensitive": MarginLoss(
        _excess,
        lambda y, p, epsilon: np.sign(p - y) * (np.abs(p - y) > epsilon),
        None,
        signs=False,
    ),
    "squared_epsilon_insensitive": MarginLoss(
        lambda y, p, epsilon: _excess(y, p, epsilon) ** 2,
        lambda y, p, epsilon: 2 * np.sign(p - y) * _excess(y, p, epsilon),
        None,
        signs=False,
    ),
    "hinge": MarginLoss(_margin_shortfall, _HINGE_SLOPE),
    "perceptron": MarginLoss(_margin_shortfall, _HINGE_SLOPE, 0.0, kernel="hinge"),
    "squared_hinge": MarginLoss(
        lambda y, p, at: _margin_shortfall(y, p, at) ** 2,
        lambda y, p, at: -2 * y * _margin_shortfall(y, p, at),
    ),
    "modified_huber": MarginLoss(_modified_huber, _modified_huber_slope),
    "log_loss": MarginLoss(lambda y, p, _: log_loss(p, y), lambda y, p, _: log_loss_slope(p, y)),
}
