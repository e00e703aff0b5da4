"""The records of a training's steps: losses, gradient norms, noise scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fastgd import _validation
from fastgd._typing import FloatArray
from fastgd.history import History
from fastgd.plot import _drawing, _labels
from fastgd.plot._drawing import Histories

__all__ = ["trace"]

AGAINST = ("update", "epoch")
#: the axis label of each record, with its unit
LABELS = {
    "loss": "loss of each batch (mean of its samples)",
    "gradient_norm": "norm of each batch's gradient (loss per unit)",
    "noise_scale": "noise scale of the gradient (samples)",
}
#: the share of the steps in the running mean
WINDOW = 1 / 20
MOST_POINTS = 20_000
#: more steps than this are drawn as a band between two quantiles
MANY_STEPS = 300
BAND = (0.1, 0.9)


@dataclass(frozen=True)
class _Record:
    """The record of one run's steps; nan where the value is not finite.

    A noise scale is infinite where the mean gradient cannot be distinguished from zero.
    """

    name: str
    x: FloatArray
    y: FloatArray

    @property
    def known(self) -> FloatArray:
        """The finite values."""
        return self.y[np.isfinite(self.y)]

    def smooth(self) -> tuple[FloatArray, FloatArray]:
        """Return the means of neighbouring steps."""
        x, y = self.x[np.isfinite(self.y)], self.known
        width = max(1, round(len(y) * WINDOW))
        if width == 1:
            return x, y
        box = np.full(width, 1 / width)
        return np.convolve(x, box, "valid"), np.convolve(y, box, "valid")

    def band(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the quantiles of neighbouring steps: positions, lower and upper quantiles."""
        x, y = self.x[np.isfinite(self.y)], self.known
        pieces = min(len(y), 2 * round(1 / WINDOW))
        edges = np.linspace(0, len(y), pieces + 1).round().astype(np.int64)
        parts = [slice(a, b) for a, b in pairwise(edges.tolist())]
        low, high = np.array([np.quantile(y[part], BAND) for part in parts]).T
        middle = np.array([x[part].mean() for part in parts])
        middle[[0, -1]] = x[[0, -1]]  # so that the band is as long as the line
        return middle, low, high

    @property
    def gaps(self) -> bool:
        """Whether any step's value is not finite."""
        return not bool(np.isfinite(self.y).all())

    def median(self, first: float, last: float) -> float:
        """Return the median between two shares of the steps; gaps count as infinite."""
        begin = min(int(first * len(self.y)), len(self.y) - 1)
        part = self.y[begin : max(begin + 1, int(np.ceil(last * len(self.y))))]
        return float(np.median(np.where(np.isnan(part), np.inf, part)))

    def part(self, first: float, last: float) -> FloatArray:
        """Return the finite values between two shares of the steps, at least one value."""
        known = self.known
        begin = min(int(first * len(known)), max(0, len(known) - 1))
        return known[begin : max(begin + 1, int(np.ceil(last * len(known))))]

    def roughness(self) -> float:
        """Return the standard deviation of the second half's values, divided by their mean.

        It is computed from differences of neighbours, so that a trend does not count (von Neumann
        et al. 1941, Ann. Math. Stat. 12, 153: their mean square is twice the variance).
        """
        half = self.part(0.5, 1.0)
        mean = abs(float(half.mean())) if len(half) else 0.0
        if len(half) < 3 or mean == 0:
            return np.nan
        return float(np.sqrt(np.mean((np.diff(half) / mean) ** 2) / 2))


def trace(
    histories: Histories,
    name: str = "loss",
    *,
    against: str = "update",
    ax: Axes | None = None,
) -> Axes:
    """Draw the record of each step of a training, and its running mean.

    Parameters
    ----------
    histories : History or dict of History
        Results of ``fastgd.train(..., record=(name,))``, by name. An int as name means a batch
        size, None batch gradient descent.
    name : {"loss", "gradient_norm", "noise_scale"}
        The record to draw.
    against : {"update", "epoch"}
        The unit of the horizontal axis.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> X = np.random.default_rng(0).normal(size=(512, 2))
    >>> y = X.sum(axis=1) + np.random.default_rng(1).normal(size=512)
    >>> runs = {
    ...     size: gd.train(
    ...         gd.Network([2, 1]), X, y, batch_size=size, record=("loss",), rng=0
    ...     )
    ...     for size in (1, 8)
    ... }
    >>> ax = plot.trace(runs, against="epoch")
    >>> ax.get_ylabel()
    'loss of each batch (mean of its samples)'
    """
    runs = _drawing.named("histories", histories, History, "what fastgd.train returned")
    _validation.check_choice("name", name, LABELS)
    _validation.check_choice("against", against, AGAINST)
    _drawing.check_axes(ax)
    records = [_record(label, run, name, against) for label, run in runs.items()]
    known = [record for record in records if len(record.known)]
    if not known:
        raise ValueError(f"histories recorded no finite {name!r}: there is nothing to draw")

    ax = _drawing.new_axes(ax)
    smooth = name != "noise_scale"  # a noise scale already comes from means
    lines = _draw(ax, records, smooth)
    _choose_scales(ax, known, against, smooth)
    ax.set_xlabel(_drawing.progress_label(against))
    gaps = not smooth and any(record.gaps for record in records)
    ax.set_ylabel(LABELS[name] + "\ngaps: not to be told from infinite" * gaps)
    if len(records) > 1 or records[0].name:
        _labels.name_lines(ax, lines, [record.name for record in records])
    _drawing.title(ax, _finding(known, name))
    return ax


def _record(label: str, run: History, name: str, against: str) -> _Record:
    """Return a run's record, and the positions of its steps on the axis."""
    if name not in run.trace:
        which = f"histories[{label!r}]" if label else "the history"
        raise ValueError(f"{which} has no {name!r}: train with record=({name!r},)")
    values = np.asarray(run.trace[name], np.float64)
    steps = np.asarray(run.trace.get("step", np.arange(1, len(values) + 1)), np.float64)
    if against == "epoch":
        steps = _drawing.epochs_at(run, steps)
    values = np.where(np.abs(values) <= _drawing.TOO_LARGE, values, np.nan)
    return _Record(label, steps, values)


def _draw(ax: Axes, records: Sequence[_Record], smooth: bool) -> list[Line2D]:
    """Draw the steps, pale, and their running means on top; or only the steps.

    Many steps are drawn as a band of their middle 80 %, since their line would fill an area.
    """
    looks = _drawing.styles([record.name for record in records], ax)
    lines = []
    for place, record in enumerate(records):
        x, y = record.x, record.y
        if smooth:
            shown = _drawing.thin(len(x), MOST_POINTS)
            color = looks[record.name]["color"]
            if len(x) > MANY_STEPS:
                ax.fill_between(*record.band(), color=color, alpha=0.22, linewidth=0, zorder=2)
            else:
                ax.plot(x[shown], y[shown], color=color, alpha=0.4, linewidth=0.8, zorder=2)
            x, y = record.smooth()
        shown = _drawing.thin(len(x), MOST_POINTS)
        marks = _drawing.sparse_marks(len(shown), place)
        lines += ax.plot(x[shown], y[shown], markevery=marks, zorder=3, **looks[record.name])
    return lines


def _choose_scales(ax: Axes, records: Sequence[_Record], against: str, smooth: bool) -> None:
    """Set limits that show the lines and the middle 80 % of the steps."""
    shown = [record.smooth()[1] if smooth else record.known for record in records]
    low, high = min(float(y.min()) for y in shown), max(float(y.max()) for y in shown)
    inner = np.concatenate([np.quantile(record.known, (0.1, 0.9)) for record in records])
    bottom, top = min(low, float(inner.min())), max(high, float(inner.max()))
    if _drawing.needs_log_scale(low, high) and bottom > 0:
        ax.set_yscale("log")
        _drawing.plain_log_ticks(ax.yaxis)
        ax.set_ylim(bottom * 0.7, top * 1.4)
    elif top > bottom:
        ax.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))
    ends = [float(record.x[-1]) for record in records]
    if against == "update" and _drawing.needs_log_scale(min(ends), max(ends)):
        ax.set_xscale("log")
        _drawing.plain_log_ticks(ax.xaxis)
    else:
        _drawing.whole_ticks(ax.xaxis)


def _finding(records: Sequence[_Record], name: str) -> str:
    """Compare the scatter of losses, or the final values of other records."""
    noun = {"loss": "loss", "gradient_norm": "norm of the gradient", "noise_scale": "noise scale"}
    rough = {record.name: record.roughness() for record in records}
    rough = {label: value for label, value in rough.items() if np.isfinite(value)}
    if name == "loss" and len(rough) > 1:
        most, least = max(rough, key=lambda k: rough[k]), min(rough, key=lambda k: rough[k])
        return (
            f"In the second half the losses scatter by {_drawing.percent(rough[most])} of their "
            f"mean with {most}, by {_drawing.percent(rough[least])} with {least}"
        )
    ends = {record.name: _median(record, name, 0.9, 1.0) for record in records}
    if len(ends) > 1:
        high, low = max(ends, key=lambda k: ends[k]), min(ends, key=lambda k: ends[k])
        return (
            f"In the last tenth of the steps the {noun[name]} is {_amount(ends[high])} "
            f"with {high}, {_amount(ends[low])} with {low} (medians)"
        )
    first = _amount(_median(records[0], name, 0.0, 0.1))
    last = _amount(next(iter(ends.values())))
    return f"The median {noun[name]} is {first} in the first tenth of the steps, {last} in the last"


def _median(record: _Record, name: str, first: float, last: float) -> float:
    if name == "noise_scale":
        return record.median(first, last)
    return float(np.median(record.part(first, last)))


def _amount(value: float) -> str:
    return "beyond measure" if np.isinf(value) else _drawing.number(value)
