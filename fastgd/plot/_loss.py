"""Loss against epochs, updates or seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fastgd import _validation
from fastgd._typing import FloatArray
from fastgd.history import History
from fastgd.plot import _drawing, _labels
from fastgd.plot._drawing import Histories

__all__ = ["loss"]

AGAINST = ("epoch", "update", "second")


@dataclass(frozen=True)
class _Curve:
    """The losses of one run, at positions in epochs, updates or seconds."""

    name: str
    x: FloatArray
    y: FloatArray
    diverged: bool

    @property
    def lowest(self) -> float:
        """The lowest finite loss; infinite if there is none."""
        return float(np.min(self.y, where=np.isfinite(self.y), initial=np.inf))

    def reaches(self, level: float) -> float | None:
        """Return the position at which the loss is first at most the level."""
        below = np.flatnonzero(self.y <= level)
        return float(self.x[below[0]]) if len(below) else None


def loss(
    histories: Histories,
    *,
    against: str = "epoch",
    target: float | None = None,
    validation: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss of trainings against epochs, updates or seconds.

    The title says which run reaches `target` first. Each epoch's loss is drawn at the epoch's
    end.

    Parameters
    ----------
    histories : History or dict of History
        Results of `fastgd.train`, by name. An int as name means a batch size, None batch gradient
        descent.
    against : {"epoch", "update", "second"}
        The unit of the horizontal axis.
    target : float, optional
        The loss to reach; by default the lowest that all runs reach.
    validation : bool
        Whether to draw the validation loss instead of the training loss.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or there is no epoch to draw.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> X = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> runs = {}
    >>> for batch_size in (8, None):
    ...     net = gd.Network([1, 1])
    ...     runs[batch_size] = gd.train(
    ...         net, X, 2 * X + 1, batch_size=batch_size, optimizer=gd.SGD(0.1), rng=0
    ...     )
    >>> plot.loss(runs, against="update", target=0.5).get_xlabel()
    'updates of the parameters'
    """
    runs = _drawing.named("histories", histories, History, "what fastgd.train returned")
    _validation.check_choice("against", against, AGAINST)
    _validation.check_bool("validation", validation)
    if target is not None:
        target = _validation.check_real("target", target)
    _drawing.check_axes(ax)
    longest = max(sum(run.seconds) for run in runs.values())
    scale, unit = (1e3, "millisecond") if against == "second" and longest < 1 else (1.0, against)
    curves = [_curve(name, run, against, scale, validation) for name, run in runs.items()]
    if all(curve.lowest == np.inf for curve in curves):
        what = "validation losses: pass validation= to fastgd.train" if validation else "losses"
        raise ValueError(f"histories hold no {what}; there is nothing to draw")
    level = _common_level(curves) if target is None else target

    ax = _drawing.new_axes(ax)
    lines = _draw_curves(ax, curves)
    labels = [_curve_label(curve) for curve in curves]
    _choose_scales(ax, curves, level, unit)
    ax.set_xlabel(_drawing.progress_label(unit))
    ax.set_ylabel(f"{'validation' if validation else 'training'} loss (mean of the samples)")
    if level is not None and (target is not None or len(curves) > 1):
        color = ax.xaxis.label.get_color()
        lines.append(ax.axhline(level, color=color, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0))
        labels.append(f"loss {_drawing.number(level)}")
    if len(lines) > 1 or labels[0]:
        _labels.name_lines(ax, lines, labels)
    _drawing.title(ax, _finding(curves, level, unit, target is not None))
    return ax


def _curve(name: str, run: History, against: str, scale: float, validation: bool) -> _Curve:
    """Return a run's losses and their positions on the axis."""
    losses = run.validation_loss if validation else run.loss
    if len(losses) not in (0, run.epochs) or len(run.seconds) != run.epochs:
        which = repr(name) if name else "the history"
        raise ValueError(
            f"{which} has {len(losses)} losses and {len(run.seconds)} times for {run.epochs} "
            "epochs; which epochs they belong to is not known (was it resumed with other data?)"
        )
    epochs = np.arange(1.0, len(losses) + 1)
    if against == "epoch":
        x = epochs
    elif against == "update":
        x = run._updates_after()[1 : len(losses) + 1]
    else:
        x = np.cumsum(run.seconds[: len(losses)], dtype=np.float64) * scale
    values = np.array(losses, np.float64)
    values[np.abs(values) > _drawing.TOO_LARGE] = np.nan
    return _Curve(name, x, values, run.diverged)


def _curve_label(curve: _Curve) -> str:
    if curve.diverged:
        return f"{curve.name} (diverged)".lstrip()
    return curve.name if curve.lowest < np.inf else f"{curve.name} (no finite loss)"


def _draw_curves(ax: Axes, curves: Sequence[_Curve]) -> list[Line2D]:
    looks = _drawing.styles([curve.name for curve in curves], ax)
    return [
        ax.plot(
            curve.x,
            curve.y,
            markevery=_drawing.sparse_marks(len(curve.x), place),
            **looks[curve.name],
        )[0]
        for place, curve in enumerate(curves)
    ]


def _choose_scales(ax: Axes, curves: Sequence[_Curve], level: float | None, unit: str) -> None:
    """Use logarithmic scales for positive numbers with a wide range."""
    values = np.concatenate([curve.y for curve in curves] + [[level] if level is not None else []])
    values = values[np.isfinite(values)]
    if _drawing.needs_log_scale(float(values.min()), float(values.max())):
        ax.set_yscale("log")
        _drawing.plain_log_ticks(ax.yaxis)
    ends = [float(curve.x[-1]) for curve in curves if len(curve.x)]
    if unit != "epoch" and _drawing.needs_log_scale(min(ends), max(ends)):
        ax.set_xscale("log")
        _drawing.plain_log_ticks(ax.xaxis)
    elif "second" not in unit:
        _drawing.whole_ticks(ax.xaxis)
    elif max(ends) >= 1000:
        ax.xaxis.set_major_formatter("{x:,.0f}")


def _amount(value: float, unit: str) -> str:
    text = _drawing.number(value)
    return f"{text} {unit}" if text == "1" else f"{text} {unit}s"


def _common_level(curves: Sequence[_Curve]) -> float | None:
    """Return the lowest loss, to two digits, that all runs reach; diverged runs do not count."""
    lowest = [curve.lowest for curve in curves if not curve.diverged and curve.lowest < np.inf]
    return _drawing.round_up(max(lowest)) if lowest else None


def _finding(curves: Sequence[_Curve], level: float | None, unit: str, given: bool) -> str:
    """State which run reaches the level first, and which last."""
    if level is None or (len(curves) == 1 and not given):
        return _loss_change(curves)
    places = {curve.name: curve.reaches(level) for curve in curves}
    reached = {name: place for name, place in places.items() if place is not None}
    goal = f"loss {_drawing.number(level)}"
    if not reached:
        best = min(curves, key=lambda curve: curve.lowest)
        lowest = f"the lowest is {_drawing.number(best.lowest)}"
        if not best.name:
            return f"{goal.capitalize()} is not reached: {lowest}"
        return f"No run reaches {goal}: {lowest} ({best.name})"
    fast, slow = min(reached, key=lambda k: reached[k]), max(reached, key=lambda k: reached[k])
    if len(reached) == len(places) > 1 and reached[fast] == reached[slow]:
        return f"All runs reach {goal} in {_amount(reached[fast], unit)}"
    text = f"{_drawing.capital(fast) or 'The training'} "
    text += f"{_drawing.verb(fast, 'reaches', 'reach')} {goal} in "
    text += _amount(reached[fast], unit)
    if reached[slow] > reached[fast]:
        text += f", {slow} in {_drawing.number(reached[slow])}"
        text += _times(reached[slow], reached[fast], "as long" if "second" in unit else "as many")
    missing = [name for name in places if name not in reached]
    if len(missing) == 1:
        text += f"; {missing[0]} {_drawing.verb(missing[0], 'does', 'do')} not"
    elif missing:
        text += f"; {len(missing)} others do not"
    return text


def _times(large: float, small: float, words: str) -> str:
    if small <= 0:
        return ""
    text = _drawing.ratio(large / small)
    return "" if text == "1.0" else f" ({text} times {words})"


def _loss_change(curves: Sequence[_Curve]) -> str:
    """State how the loss of the first run with finite losses changes."""
    curve = next(curve for curve in curves if curve.lowest < np.inf)
    values = curve.y[np.isfinite(curve.y)]
    first, last = _drawing.number(float(values[0])), _drawing.number(float(values[-1]))
    of = f" of {curve.name}" if curve.name else ""
    if len(values) == 1:
        text = f"The loss{of} is {first} in the only epoch"
    elif first == last:
        text = f"The loss{of} is {first} in the first and in the last of {len(curve.y)} epochs"
    else:
        verb = "falls" if values[-1] < values[0] else "rises"
        text = f"The loss{of} {verb} from {first} to {last} in {len(curve.y)} epochs"
    return f"{text}, and then diverges" if curve.diverged else text
