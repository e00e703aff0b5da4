"""The share of runs that escape from a saddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from fastgd.landscapes import EscapeShares
from fastgd.plot import _drawing

__all__ = ["escape"]

Shares: TypeAlias = EscapeShares | Mapping[Any, EscapeShares]


def escape(shares: Shares, *, ax: Axes | None = None) -> Axes:
    """Draw the share of runs that escape from a saddle, by batch size.

    Parameters
    ----------
    shares : EscapeShares or dict of EscapeShares
        What `fastgd.landscapes.escape_share` returned, by name.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> shares = gd.landscapes.escape_share(
    ...     gd.landscapes.Quintic(), -3.0, [1, None], n_seeds=50
    ... )
    >>> print(*plot.escape(shares).get_title(loc="left").split())
    Batch size 1 leaves the saddle in 100 % of 50 runs, batch size 64 (all) in 0 %
    """
    given = _drawing.named(
        "shares", shares, EscapeShares, "what fastgd.landscapes.escape_share returned"
    )
    _drawing.check_axes(ax)
    sizes = sorted({int(size) for each in given.values() for size in each.batch_sizes})
    if not sizes:
        raise ValueError("shares has no batch size: there is nothing to draw")

    ax = _drawing.new_axes(ax)
    looks = _drawing.styles(list(given))
    handles = []
    for place, (name, each) in enumerate(given.items()):
        order = np.argsort(each.batch_sizes, kind="stable")
        shift = 0.12 * (place - (len(given) - 1) / 2)  # so that bars do not cover each other
        middle, low, high = (100 * values[order] for values in (each.share, each.low, each.high))
        bars = ax.errorbar(
            np.searchsorted(sizes, each.batch_sizes[order]) + shift,
            middle,
            yerr=np.maximum([middle - low, high - middle], 0),
            capsize=4,
            linewidth=1.2,
            **looks[name],
        )
        handles.append(bars)
    ends = {each.landscape.n for each in given.values()}
    ax.set_xticks(range(len(sizes)), [_size(size, ends) for size in sizes])
    ax.set_xlim(-0.5, len(sizes) - 0.5)
    ax.set_ylim(-4, 104)
    ax.set_xlabel("batch size (samples an update)")
    levels = {f"{100 * each.confidence:g} %" for each in given.values()}
    ax.set_ylabel(f"runs that leave the saddle (%, {' and '.join(sorted(levels))} interval)")
    if any(given):
        _drawing.legend(ax, handles, given)
    _drawing.title(ax, _finding(given))
    return ax


def _size(size: int, all_sizes: set[int]) -> str:
    return f"{size:,} (all)" if all_sizes == {size} else f"{size:,}"


def _finding(given: Mapping[str, EscapeShares]) -> str:
    """Say where most runs escape, and where fewest."""
    ends = {each.landscape.n for each in given.values()}
    points = [
        (
            f"batch size {_size(int(each.batch_sizes[k]), ends)}" + (f", {name}," if name else ""),
            float(each.share[k]),
            (float(each.low[k]), float(each.high[k])),
            each.n_seeds,
        )
        for name, each in given.items()
        for k in range(len(each.batch_sizes))
    ]
    best, worst = max(points, key=lambda p: p[1]), min(points, key=lambda p: p[1])
    counts = {point[3] for point in points}
    runs = f"of {counts.pop():,} runs" if len(counts) == 1 else "of its runs"
    much = _drawing.percent(best[1])
    if best[1] == worst[1]:
        who = _drawing.capital(best[0]) if len(points) == 1 else "Every batch size"
        text = f"{who} leaves the saddle in {much} {runs}"
    else:
        text = f"{_drawing.capital(best[0])} leaves the saddle in {much} {runs}, {worst[0]} in "
        text += _drawing.percent(worst[1])
        if best[2][0] <= worst[2][1]:
            text += " (their intervals overlap)"
    diverged = sum(int(each.diverged.sum()) for each in given.values())
    return f"{text}; {diverged:,} of all runs diverged" if diverged else text
