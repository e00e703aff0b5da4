"""The learning rates of a run's steps, from its schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd import _validation
from fastgd._typing import FloatArray

if TYPE_CHECKING:
    from fastgd.history import History
    from fastgd.schedules import Schedule

__all__ = ["Rates"]

EPOCHS_AT_ONCE = 256  # epochs to compute learning rates for at a time: the call dominates the cost


class Rates:
    """The learning rates that a schedule gives, epoch by epoch.

    Parameters
    ----------
    base : float
        The optimizer's learning rate.
    schedule : Schedule or None
        How the learning rate changes; None if it does not.
    history : History
        Counts epochs and updates, and keeps the schedule's state.
    """

    def __init__(self, base: float, schedule: Schedule | None, history: History) -> None:
        self._base = base
        self._schedule = schedule
        self._history = history
        self._constant: FloatArray = np.empty(0)  # one rate for each step, kept between epochs
        self._ahead: list[float] = []  # rates of future epochs, the next one last

    def of_epoch(self, steps: int, epochs_left: int) -> FloatArray:
        """Return the learning rates of the next epoch's steps.

        Parameters
        ----------
        steps : int
            The number of steps in the epoch.
        epochs_left : int
            The most epochs still to run, including this one.
        """
        schedule, history = self._schedule, self._history
        if schedule is None:
            if len(self._constant) != steps:
                self._constant = np.full(steps, self._base)
            return self._constant
        state = history._schedule_state
        if schedule.unit == "update":
            rates = schedule.rates(self._base, history.updates, steps, state)
            return rates if schedule.trusted else _validation.check_rates(rates, steps)
        if not self._ahead or schedule.watches_loss:
            count = 1 if schedule.watches_loss else min(EPOCHS_AT_ONCE, epochs_left)
            rates = schedule.rates(self._base, history.epochs, count, state)
            self._ahead = _validation.check_rates(rates, count).tolist()[::-1]
        return np.full(steps, self._ahead.pop())

    def observe(self, loss: float) -> None:
        """Pass the loss after an epoch to the schedule."""
        if self._schedule is not None:
            history = self._history
            history._schedule_state = self._schedule.observe(history._schedule_state, loss)
