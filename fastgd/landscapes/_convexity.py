"""Check whether a cost is convex on a segment, by searching for a counter-example."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data, _validation, _words
from fastgd._typing import FloatArray

__all__ = ["ConvexityCheck", "is_convex_on"]


@dataclass(frozen=True, eq=False)
class ConvexityCheck:
    """The result of `is_convex_on`.

    Its truth value is True if no counter-example was found. That supports that the cost is convex
    on the segment, but does not prove it; a counter-example proves that it is not.

    Attributes
    ----------
    convex : bool
        Whether the inequality holds at all tested points.
    points : int
        The number of tested points.
    alpha : float or None
        The weight of u in the point of the counter-example.
    u, v : ndarray or None
        The ends of the counter-example's segment: the given ones, or points between them.
    chord, value : float or None
        The two sides: alpha f(u) + (1 - alpha) f(v), and the larger f(alpha u + (1 - alpha) v).
    """

    convex: bool
    points: int
    alpha: float | None = None
    u: FloatArray | None = None
    v: FloatArray | None = None
    chord: float | None = None
    value: float | None = None

    def __bool__(self) -> bool:
        return self.convex

    def __str__(self) -> str:
        if self.convex:
            return (
                f"No counter-example at {self.points} points: the cost may be convex on the "
                "segment, but this is no proof."
            )
        return (
            f"Not convex: for u = {self.u}, v = {self.v} and a = {self.alpha:.4g},\n"
            f"a f(u) + (1 - a) f(v) = {self.chord:.6g} is below "
            f"f(a u + (1 - a) v) = {self.value:.6g}."
        )


def is_convex_on(
    f: Callable[[FloatArray], Any],
    u: ArrayLike,
    v: ArrayLike,
    *,
    points: int = 99,
    rtol: float | None = None,
) -> ConvexityCheck:
    r"""Search for a counter-example to a cost's convexity on a segment.

    A cost is convex on the segment from u to v if every two points of it satisfy

    .. math:: \alpha f(u) + (1 - \alpha) f(v) \ge f(\alpha u + (1 - \alpha) v),
              \quad 0 \le \alpha \le 1

    (Boyd & Vandenberghe 2004, Convex Optimization, equation 3.1). This is tested at equally spaced
    points: first for u and v at every alpha, then for every two points with a third one midway
    between them. One failure proves that the cost is not convex. If finitely many points show
    none, the cost may be convex on the segment, but this is no proof.

    Parameters
    ----------
    f : callable
        A function from a parameter vector to a number, such as a `Landscape` or a network's cost.
    u, v : array_like of shape (n_params,)
        The ends of the segment.
    points : int
        How many points between u and v to test, at least 1.
    rtol : float, optional
        The allowed violation for rounding, relative to the largest cost on the segment; if not
        given, 64 epsilon of the coarser dtype of u and v (8e-6 for float32).

    Returns
    -------
    ConvexityCheck
        With truth value False and the counter-example with the largest violation, or True.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, u equals v, or f does not return a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> check = gd.is_convex_on(gd.landscapes.Quintic(), -3.0, 1.0)
    >>> bool(check)
    False
    >>> print(check)
    Not convex: for u = [-3.], v = [1.] and a = 0.39,
    a f(u) + (1 - a) f(v) = -0.579283 is below f(a u + (1 - a) v) = -0.15836.

    A network's cost along a segment of its parameters:

    >>> X = np.linspace(-1, 1, 20).reshape(-1, 1)
    >>> net = gd.Network([1, 3, 1], hidden="tanh", dtype="float64", rng=0)
    >>> def cost(theta):
    ...     other = net.copy()
    ...     other.params[:] = theta
    ...     return other.loss_value(X, X[:, 0])
    >>> bool(gd.is_convex_on(cost, net.params, -net.params))
    False
    """
    if not callable(f):
        raise TypeError(f"f must be a function of a parameter vector, not {_words.show(f)}")
    first = _data.check_point("u", u)
    last = _data.check_point("v", v, len(first))
    points = _validation.check_int("points", points, at_least=1)
    coarse = np.float32 if np.float32 in (first.dtype, last.dtype) else np.float64
    if rtol is None:
        rtol = 64 * float(np.finfo(coarse).eps)
    rtol = _validation.check_real("rtol", rtol, at_least=0)
    if np.array_equal(first, last):
        raise ValueError("u equals v: the segment between them has no length")
    alphas = np.linspace(1, 0, points + 2)
    path = alphas[:, None] * first.astype(np.float64) + (1 - alphas[:, None]) * last
    path[0], path[-1] = first, last
    values = np.array([_cost_at(f, point.astype(coarse)) for point in path])
    slack = rtol * float(np.abs(values).max())
    found = _worst_chord(alphas, values, slack) or _worst_middle(values, slack)
    if found is None:
        return ConvexityCheck(True, points)
    left, middle, right = found
    alpha = float((right - middle) / (right - left))
    chord = float(alpha * values[left] + (1 - alpha) * values[right])
    return ConvexityCheck(
        False, points, alpha, path[left].copy(), path[right].copy(), chord, float(values[middle])
    )


def _cost_at(f: Callable[[FloatArray], Any], point: FloatArray) -> float:
    """Return the cost, checked."""
    given = f(point.copy())
    value = np.asarray(given)
    if value.size != 1 or value.dtype.kind not in "fiub":
        raise TypeError(
            f"f must return one number for a parameter vector, but returned {_words.show(given)}"
        )
    cost = float(value.reshape(()))
    if not math.isfinite(cost):
        raise ValueError(
            f"f is {cost} at {point}: convexity is checked where the cost is finite, so choose u "
            "and v nearer to each other"
        )
    return cost


def _worst_chord(
    alphas: FloatArray, values: FloatArray, slack: float
) -> tuple[int, int, int] | None:
    """Return the indices of the ends and of the point between them highest above their chord."""
    gaps = values - (alphas * values[0] + (1 - alphas) * values[-1])
    worst = int(gaps[1:-1].argmax()) + 1
    return (0, worst, len(values) - 1) if gaps[worst] > slack else None


def _worst_middle(values: FloatArray, slack: float) -> tuple[int, int, int] | None:
    """Return the indices of two points and of their midpoint, the one highest above its chord."""
    found, largest = None, slack
    for reach in range(1, (len(values) - 1) // 2 + 1):
        gaps = values[reach:-reach] - (values[: -2 * reach] + values[2 * reach :]) / 2
        worst = int(gaps.argmax())
        if gaps[worst] > largest:
            found, largest = (worst, worst + reach, worst + 2 * reach), gaps[worst]
    return found
