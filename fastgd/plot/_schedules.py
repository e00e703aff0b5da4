"""Learning rates against epochs or updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from fastgd import _validation
from fastgd._typing import FloatArray
from fastgd.plot import _drawing, _labels
from fastgd.schedules import Schedule

__all__ = ["schedules"]

UNITS = ("epoch", "update")


def schedules(
    schedules: Schedule | Mapping[Any, Schedule],
    *,
    learning_rate: float = 0.1,
    epochs: int = 100,
    updates_per_epoch: int = 1,
    against: str = "epoch",
    ax: Axes | None = None,
) -> Axes:
    """Draw learning-rate schedules.

    Parameters
    ----------
    schedules : Schedule or dict of Schedule
        Schedules of `fastgd.schedules`, by name. The rates of `OnPlateau` are only known after
        the training, from `History.learning_rate`.
    learning_rate : float
        The optimizer's learning rate, with which the schedules start.
    epochs : int
        How many epochs to draw.
    updates_per_epoch : int
        Batches per epoch, ``fastgd.plan(n, batch_size).batches``; matters for schedules whose
        unit is the update, and for an axis of updates.
    against : {"epoch", "update"}
        The unit of the horizontal axis.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or a schedule gives an invalid rate.

    Examples
    --------
    >>> from fastgd import plot, schedules
    >>> ax = plot.schedules({"step": schedules.Step(30), "cosine": schedules.Cosine(100)})
    >>> print(*ax.get_title(loc="left").split())
    In the last of 100 epochs the learning rate is 0.0001 with 'step', 2.47e-05 with 'cosine'
    """
    plans = _drawing.named("schedules", schedules, Schedule, "a schedule of fastgd.schedules")
    base = _validation.check_real("learning_rate", learning_rate, above=0)
    epochs = _validation.check_int("epochs", epochs, at_least=1)
    per_epoch = _validation.check_int("updates_per_epoch", updates_per_epoch, at_least=1)
    _validation.check_choice("against", against, UNITS)
    _drawing.check_axes(ax)
    for name, schedule in plans.items():
        if schedule.watches_loss:
            raise ValueError(
                f"{name or schedule} reacts to the loss, so that its learning rates are known "
                "after a training only; draw History.learning_rate"
            )
    known = {name: _rates(plan, base, epochs, per_epoch) for name, plan in plans.items()}

    ax = _drawing.new_axes(ax, (7.2, 4.2))
    looks = _drawing.styles(list(known), ax)
    unit = per_epoch if against == "update" else 1
    for place, (name, (times, rates)) in enumerate(known.items()):
        ax.step(
            times * unit,
            rates,
            where="post",
            markevery=_drawing.sparse_marks(len(rates), place),
            label=_drawing.safe(name),
            **looks[name],
        )
    ax.set_ylim(bottom=0)
    _drawing.whole_ticks(ax.xaxis)
    ax.set_xlabel(_drawing.progress_label(against))
    ax.set_ylabel(f"learning rate (the optimizer's: {_drawing.number(base)})")
    if any(known):
        _labels.name_lines(ax, ax.get_lines()[-len(known) :], list(known))
    _drawing.title(ax, _finding(known, epochs))
    return ax


def _rates(
    schedule: Schedule, base: float, epochs: int, updates_per_epoch: int
) -> tuple[FloatArray, FloatArray]:
    """Return the times in epochs at which each rate starts, and the rates; the last one twice."""
    pieces = 1 if schedule.unit == "epoch" else updates_per_epoch
    rates = schedule.rates(base, 0, epochs * pieces)
    return np.arange(len(rates) + 1) / pieces, np.append(rates, rates[-1])


def _finding(known: Mapping[str, tuple[FloatArray, FloatArray]], epochs: int) -> str:
    """State the final learning rates; for one schedule, the first and the highest rate too."""
    when = "In the only epoch" if epochs == 1 else f"In the last of {epochs:,} epochs"
    if len(known) > 1:
        ends = {name: float(rates[-1]) for name, (_, rates) in known.items()}
        low, high = min(ends, key=lambda k: ends[k]), max(ends, key=lambda k: ends[k])
        if ends[low] == ends[high]:
            return f"{when} all learning rates are {_drawing.number(ends[low])}"
        return (
            f"{when} the learning rate is {_drawing.number(ends[high])} with {high!r}, "
            f"{_drawing.number(ends[low])} with {low!r}"
        )
    times, rates = next(iter(known.values()))
    first, last, peak = (_drawing.number(float(r)) for r in (rates[0], rates[-1], rates.max()))
    at = _drawing.number(float(times[int(np.argmax(rates))]))
    if float(np.ptp(rates)) == 0:
        return f"The learning rate stays at {first}"
    if rates[0] == rates.max():
        return f"The learning rate begins at {first} and ends at {last}, after {epochs:,} epochs"
    return (
        f"The learning rate begins at {first}, is highest after {at} epochs ({peak}), and ends "
        f"at {last}"
    )
