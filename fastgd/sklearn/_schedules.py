"""scikit-learn's learning rates as schedules of a run."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import field
from typing import ClassVar

import numpy as np

from fastgd._elementary import real_power
from fastgd._frozen import frozen
from fastgd._typing import FloatArray
from fastgd.schedules import Schedule, State, Times

__all__ = ["Adaptive", "Inverse", "InverseOfSeen", "Optimal"]

LOWEST_RATE = 1e-6  # "adaptive" does not divide rates that are not above this


@frozen
class _OfSteps(Schedule):
    """A schedule of positive rates, one per step, whose arguments an estimator has checked.

    The last result is stored, because all outputs of an estimator request the same rates in turn.
    """

    trusted = True
    unit: str = field(default="update", kw_only=True)

    def __post_init__(self) -> None:
        """Skip the checks of the fields."""
        vars(self)["_last"] = None, np.empty(0)

    def rates(self, base: float, start: int, count: int, state: State | None = None) -> FloatArray:
        """Return the learning rates of `count` steps."""
        asked, rates = vars(self)["_last"]
        if asked != (base, start, count):
            asked, rates = (base, start, count), self._compute(base, start, count)
            vars(self)["_last"] = asked, rates
        return rates

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return self.rates(base, int(t[0]), len(t))

    @abstractmethod
    def _compute(self, base: float, start: int, count: int) -> FloatArray:
        """Compute these rates."""


@frozen
class Optimal(_OfSteps):
    """``"optimal"``: 1 / (alpha (offset + t)), independent of the first learning rate.

    Parameters
    ----------
    alpha : float
        The strength of the penalty.
    offset : float
        See `of`.
    """

    alpha: float
    offset: float

    @classmethod
    def of(cls, alpha: float, slope: float) -> Optimal:
        """Return the schedule whose first step is as large as a typical weight.

        This is Bottou's heuristic. `slope` is the loss's slope for the target 1 and an output of
        minus a typical weight; see `typical_weight`.
        """
        first = typical_weight(alpha) / max(1.0, slope)
        return cls(alpha, 1 / (first * alpha))

    def _compute(self, base: float, start: int, count: int) -> FloatArray:
        rates = np.arange(count, dtype=np.float64)  # in the order of scikit-learn's sums
        rates += self.offset + (start + 1.0)
        rates -= 1
        rates *= self.alpha
        return np.divide(1, rates, out=rates)


def typical_weight(alpha: float) -> float:
    """Return the size of a typical weight for a penalty of this strength."""
    return math.sqrt(1 / math.sqrt(alpha))


@frozen
class Inverse(_OfSteps):
    """``"invscaling"`` of linear models: base / t^power, with t from 1.

    Parameters
    ----------
    power : float
        The exponent, which may be negative.
    """

    power: float

    def _compute(self, base: float, start: int, count: int) -> FloatArray:
        rates = real_power(np.arange(start + 1.0, start + 1.0 + count), -self.power)
        rates *= base
        return rates


@frozen
class InverseOfSeen(Schedule):
    """``"invscaling"`` of networks: base / (seen + 1)^power.

    The state is (seen,), the number of samples seen, which the estimator counts.

    Parameters
    ----------
    power : float
        The exponent.
    """

    watches_loss: ClassVar[bool] = True

    power: float

    def initial_state(self) -> State:
        """Return 0 samples."""
        return (0.0,)

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return np.full(len(t), base / (state[0] + 1) ** self.power)


@frozen
class Adaptive(Schedule):
    """``"adaptive"``: base, divided by 5 each time that training would stop; see `lower`.

    The state is (divisions,).
    """

    watches_loss: ClassVar[bool] = True

    def initial_state(self) -> State:
        """Return 0 divisions."""
        return (0.0,)

    def lower(self, base: float, state: State) -> State | None:
        """Return the state with a lower learning rate; None if it is low enough to stop."""
        return (state[0] + 1,) if self.reached(base, state) > LOWEST_RATE else None

    def reached(self, base: float, state: State) -> float:
        """Return the learning rate in this state."""
        for _ in range(int(state[0])):
            base /= 5
        return base

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return np.full(len(t), self.reached(base, state))
