"""Whether any cost is convex on a segment: the search for a place where it is not."""

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
    """Whether a cost was found to be not convex; `is_convex_on` makes it.

    It is true, as a truth value, when no counter-example was found, which supports that the cost
    is convex on the segment but does not prove it; a counter-example proves that it is not.

    Attributes
    ----------
    convex : bool
        Whether all points kept the inequality.
    points : int
        How many points were tried.
    alpha : float or None
        Of the counter-example: the share of u in the point where the inequality fails.
    u, v : ndarray or None
        Its ends: those of the segment, or of a part of it.
    chord, value : float or None
        Its two sides: alpha f(u) + (1 - alpha) f(v), and the larger f(alpha u + (1 - alpha) v).
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
                f"No counter-example at {self.points} points: this supports that the cost is "
                "convex on the segment, but does not prove it."
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
    r"""Look for a place on a segment where a cost is not convex.

    A cost is convex on the segment from u to v when every two points of it keep

    .. math:: \alpha f(u) + (1 - \alpha) f(v) \ge f(\alpha u + (1 - \alpha) v),
              \quad 0 \le \alpha \le 1

    (Boyd & Vandenberghe 2004, Convex Optimization, equation 3.1). This is tried at equally spaced
    points: first for u and v themselves at every alpha, then for every two points that have one
    in their middle. A place where it fails proves that the cost is not convex. That there is none
    among finitely many points supports that it is convex on the segment, and proves nothing.

    Parameters
    ----------
    f : callable
        Takes a parameter vector, returns a number: a `Landscape`, a network's cost in a function,
        anything.
    u, v : array_like of shape (n_params,)
        The ends of the segment.
    points : int
        How many points between u and v to try, at least 1.
    rtol : float, optional
        By how much of the largest cost on the segment the inequality may fail, since costs are
        rounded: 64 epsilon of the coarser dtype of u and v, if not given (8e-6 for float32).

    Returns
    -------
    ConvexityCheck
        False, as a truth value, with the counter-example where the inequality fails most; else
        true.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, u equals v, or f returns something else than a finite
        number.

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
    """Return the ends of the segment and the place between that rises most above their chord."""
    gaps = values - (alphas * values[0] + (1 - alphas) * values[-1])
    worst = int(gaps[1:-1].argmax()) + 1
    return (0, worst, len(values) - 1) if gaps[worst] > slack else None


def _worst_middle(values: FloatArray, slack: float) -> tuple[int, int, int] | None:
    """Return two places and the one in their middle that rises most above their chord."""
    found, largest = None, slack
    for reach in range(1, (len(values) - 1) // 2 + 1):
        gaps = values[reach:-reach] - (values[: -2 * reach] + values[2 * reach :]) / 2
        worst = int(gaps.argmax())
        if gaps[worst] > largest:
            found, largest = (worst, worst + reach, worst + 2 * reach), gaps[worst]
    return found
