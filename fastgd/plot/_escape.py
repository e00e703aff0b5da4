"""The share of runs that escape from a saddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from fastgd.landscapes import EscapeShares
from fastgd.plot import _drawing, _labels

__all__ = ["escape"]

Shares: TypeAlias = EscapeShares | Mapping[Any, EscapeShares]


def escape(shares: Shares, *, ax: Axes | None = None) -> Axes:
    """Draw the share of runs that escape from a saddle, by batch size.

    Parameters
    ----------
    shares : EscapeShares or dict of EscapeShares
        Results of `fastgd.landscapes.escape_share`, by name.
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
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> shares = gd.landscapes.escape_share(gd.landscapes.Quintic(), -3.0, n_seeds=50)
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
    looks = _drawing.styles(list(given), ax)
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
    ax.set_xticks(range(len(sizes)), [_size(size, *given.values()) for size in sizes])
    ax.set_xlim(-0.5, len(sizes) - 0.5)
    ax.set_ylim(-4, 104)
    levels = sorted({f"{100 * each.confidence:g} %" for each in given.values()})
    ax.set_xlabel(f"batch size (samples); bars: {' and '.join(levels)} intervals")
    limits = sorted({each.updates for each in given.values()})
    within = " or ".join(f"{limit:,}" for limit in limits)
    ax.set_ylabel(f"runs that leave the saddle\nwithin {within} updates (%)")
    if any(given):
        _labels.legend(ax, handles, given)
    _drawing.title(ax, _finding(given))
    return ax


def _size(size: int, *shares: EscapeShares) -> str:
    return f"{size:,} (all)" if {each.landscape.n for each in shares} == {size} else f"{size:,}"


def _finding(given: Mapping[str, EscapeShares]) -> str:
    """Compare the highest and lowest shares; for several results, the limits of one half."""
    if len(given) == 1:
        text = _ends(next(iter(given.values())))
    else:
        parts = []
        for name, each in given.items():
            half = each.batch_sizes[each.share >= 0.5]
            parts.append(f"{_size(int(half.max()), each) if len(half) else 'none'} ({name})")
        text = "The largest batch size with which at least half of the runs leave the saddle: "
        text += ", ".join(parts)
    diverged = sum(int(each.diverged.sum()) for each in given.values())
    return f"{text}; {diverged:,} of all runs diverged" if diverged else text


def _ends(shares: EscapeShares) -> str:
    """Compare the batch sizes with the highest and the lowest share."""
    ranked = sorted(
        range(len(shares.share)), key=lambda k: (-shares.share[k], shares.batch_sizes[k])
    )
    best, worst = ranked[0], ranked[-1]
    high, low = (_drawing.percent(float(shares.share[k])) for k in (best, worst))
    first, last = (_size(int(shares.batch_sizes[k]), shares) for k in (best, worst))
    runs = f"of {shares.n_seeds:,} runs"
    if shares.share[best] == shares.share[worst]:
        who = "Every batch size" if len(ranked) > 1 else f"Batch size {first}"
        return f"{who} leaves the saddle in {high} {runs}"
    text = f"Batch size {first} leaves the saddle in {high} {runs}, batch size {last} in {low}"
    overlap = shares.low[best] <= shares.high[worst]
    return f"{text} (their intervals overlap)" if overlap else text
