"""The learning rates of a run: the one way from a schedule to the rates of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastgd import _validation
from fastgd._typing import FloatArray

if TYPE_CHECKING:
    from fastgd.history import History
    from fastgd.schedules import Schedule

__all__ = ["Rates"]

AHEAD = 256  # epochs whose learning rates are computed at a time: a call costs more than a rate


class Rates:
    """What a schedule makes of a learning rate, epoch by epoch.

    Parameters
    ----------
    base : float
        The optimizer's learning rate.
    schedule : Schedule or None
        How it changes; None: it does not.
    history : History
        Says how many epochs and updates were made, and keeps the schedule's state.
    """

    def __init__(self, base: float, schedule: Schedule | None, history: History) -> None:
        self._base = base
        self._schedule = schedule
        self._history = history
        self._ahead: list[float] = []  # of epochs to come, the next one last

    def of_epoch(self, steps: int, epochs_left: int) -> FloatArray:
        """Return the learning rates of the next epoch's steps.

        Parameters
        ----------
        steps : int
            The epoch's steps.
        epochs_left : int
            How many epochs there can still be, this one among them.
        """
        schedule, history = self._schedule, self._history
        if schedule is None:
            return np.full(steps, self._base)
        state = history._schedule_state
        if schedule.unit == "update":
            rates = schedule.rates(self._base, history.updates, steps, state)
            return _validation.check_rates(rates, steps)
        if not self._ahead or schedule.watches_loss:
            count = 1 if schedule.watches_loss else min(AHEAD, epochs_left)
            rates = schedule.rates(self._base, history.epochs, count, state)
            self._ahead = _validation.check_rates(rates, count).tolist()[::-1]
        return np.full(steps, self._ahead.pop())

    def observe(self, loss: float) -> None:
        """Show the schedule the loss after an epoch."""
        if self._schedule is not None:
            history = self._history
            history._schedule_state = self._schedule.observe(history._schedule_state, loss)
