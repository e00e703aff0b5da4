"""The share of runs that escape from a saddle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes

from fastgd.plot import _drawing

__all__ = ["escape"]


class Share(Protocol):
    """What `escape` draws: how many of n runs with a batch size escaped."""

    @property
    def batch_size(self) -> int | None:
        """Samples a batch; None for all."""

    @property
    def share(self) -> float:
        """The share of the runs that escaped."""

    @property
    def low(self) -> float:
        """The lower end of its confidence interval."""

    @property
    def high(self) -> float:
        """The upper end of its confidence interval."""

    @property
    def n(self) -> int:
        """How many runs were made."""


def escape(shares: Iterable[Share], *, ax: Axes | None = None) -> Axes:
    """Draw the share of runs that escape from a saddle, by batch size.

    Parameters
    ----------
    shares : sequence of objects
        One a batch size, as `fastgd.landscapes` makes them, with the attributes ``batch_size``
        (None for all samples), ``share``, ``low`` and ``high`` (the ends of its confidence
        interval), and ``n`` (how many runs there were).
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    """
    rows = _check_shares(shares)
    _drawing.check_axes(ax)
    ax = _drawing.new_axes(ax)
    places = np.arange(len(rows))
    values = 100 * np.array([[row.low, row.share, row.high] for row in rows]).T
    low, middle, high = values
    ax.errorbar(
        places,
        middle,
        yerr=np.maximum([middle - low, high - middle], 0),
        color="#0072B2",
        marker="o",
        markersize=6,
        capsize=5,
        linewidth=1.2,
        linestyle=(0, (1, 2)),
    )
    sizes = ["n" if row.batch_size is None else f"{row.batch_size:,}" for row in rows]
    ax.set_xticks(places, sizes)
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_ylim(-4, 104)
    ax.set_xlabel("batch size (samples; n: all)" if "n" in sizes else "batch size (samples)")
    ax.set_ylabel("runs that escape (%, with confidence interval)")
    _drawing.title(ax, _escape_finding(rows))
    return ax


def _check_shares(shares: Iterable[Share]) -> list[Share]:
    if not isinstance(shares, Iterable):
        raise TypeError(f"shares must list one object a batch size, not {shares!r}")
    rows = list(shares)
    if not rows:
        raise ValueError("shares is empty: there is nothing to draw")
    for k, row in enumerate(rows):
        for name in ("batch_size", "share", "low", "high", "n"):
            if not hasattr(row, name):
                raise TypeError(f"shares[{k}] has no {name}: it is {row!r}")
        if not 0 <= row.low <= row.share <= row.high <= 1:
            raise ValueError(
                f"shares[{k}] has the share {row.share} in the interval from {row.low} to "
                f"{row.high}, but must have 0 <= low <= share <= high <= 1"
            )
    return sorted(rows, key=lambda row: math.inf if row.batch_size is None else row.batch_size)


def _escape_finding(rows: Sequence[Share]) -> str:
    best, worst = max(rows, key=lambda row: row.share), min(rows, key=lambda row: row.share)
    names = [_drawing.label(row.batch_size) for row in (best, worst)]
    runs = f"of {best.n:,} runs" if best.n == worst.n else "of the runs"
    if best.share == worst.share:
        who = _drawing.capital(names[0]) if len(rows) == 1 else "Every batch size"
        return f"{who} escapes from the saddle in {_drawing.percent(best.share)} {runs}"
    text = (
        f"{_drawing.capital(names[0])} escapes from the saddle in {_drawing.percent(best.share)} "
        f"{runs}, {names[1]} in {_drawing.percent(worst.share)}"
    )
    return f"{text} (the intervals overlap)" if best.low <= worst.high else text
