"""scikit-learn's learning rates as schedules of a run."""

from __future__ import annotations

import math
from dataclasses import field
from typing import ClassVar

import numpy as np

from fastgd._elementary import real_power
from fastgd._frozen import frozen
from fastgd._typing import FloatArray
from fastgd.schedules import Schedule, State, Times

__all__ = ["Adaptive", "Inverse", "Optimal"]


class _Private(Schedule):
    """A schedule of positive rates, whose arguments an estimator has checked."""

    trusted = True

    def __post_init__(self) -> None:
        """Trust the fields."""


@frozen
class Optimal(_Private):
    """``"optimal"``: 1 / (alpha (offset + t)), whatever the first learning rate.

    Parameters
    ----------
    alpha : float
        Strength of the penalty.
    offset : float
        See `of`.
    """

    alpha: float
    offset: float
    unit: str = field(default="update", kw_only=True)

    @classmethod
    def of(cls, alpha: float, slope: float) -> Optimal:
        """Return the schedule whose first step is as long as a typical weight is large.

        Bottou's heuristic, from the loss's slope where the target is 1 and the output minus a
        typical weight; see `typical_weight`.
        """
        first = typical_weight(alpha) / max(1.0, slope)
        return cls(alpha, 1 / (first * alpha))

    def rates(self, base: float, start: int, count: int, state: State | None = None) -> FloatArray:
        """Return the learning rates of steps; sums in the order of the older, compiled steps."""
        rates = np.arange(count, dtype=np.float64)
        rates += self.offset + (start + 1.0)
        rates -= 1
        rates *= self.alpha
        return np.divide(1, rates, out=rates)

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return self.rates(base, int(t[0]), len(t), state)


def typical_weight(alpha: float) -> float:
    """Return the size of a typical weight under a penalty of this strength."""
    return math.sqrt(1 / math.sqrt(alpha))


@frozen
class Inverse(_Private):
    """``"invscaling"``: base / t^power, with t from 1; the power may be negative.

    Parameters
    ----------
    power : float
        The exponent.
    """

    power: float
    unit: str = field(default="update", kw_only=True)

    def rates(self, base: float, start: int, count: int, state: State | None = None) -> FloatArray:
        """Return the learning rates of steps."""
        rates = real_power(np.arange(start + 1.0, start + 1.0 + count), -self.power)
        rates *= base
        return rates

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return self.rates(base, int(t[0]), len(t), state)


@frozen
class Adaptive(_Private):
    """``"adaptive"``: base, divided by 5 each time that the run would end; see `lower`.

    The state is (divisions,).
    """

    watches_loss: ClassVar[bool] = True

    def initial_state(self) -> State:
        """Return no divisions."""
        return (0,)

    def lower(self, base: float, state: State) -> State | None:
        """Return the state with a lower learning rate; None where it is low enough to end."""
        return (state[0] + 1,) if self.reached(base, state) > 1e-6 else None

    def reached(self, base: float, state: State) -> float:
        """Return the learning rate."""
        for _ in range(int(state[0])):
            base /= 5
        return base

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return np.full(len(t), self.reached(base, state))
