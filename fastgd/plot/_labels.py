"""Labels of lines: at the lines' ends if they fit, otherwise in a legend that covers least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from fastgd._typing import FloatArray
from fastgd.plot._drawing import looks, safe

__all__ = ["legend", "name_lines"]

#: height of a legend's line in points, by font size
LEGEND_LINES = {"medium": 16.0, "small": 12.5}
#: a legend that would cover a larger share of the lines' lengths is placed beside the axes
MOST_COVERED = 0.03
#: places for a legend, in order of preference: x and y, as shares of the free space
PLACES = {
    "upper right": (1.0, 1.0),
    "lower left": (0.0, 0.0),
    "upper left": (0.0, 1.0),
    "lower right": (1.0, 0.0),
    "center right": (1.0, 0.5),
    "center left": (0.0, 0.5),
    "upper center": (0.5, 1.0),
    "lower center": (0.5, 0.0),
}
#: lines are labelled at their ends if these lie right of this share of the axes' width
RIGHT = 0.9
#: the largest distance of a label from its line's end, and the height of a label, in points
MOST_SHIFT, NAME_LINE = 9.0, 12.5


def name_lines(ax: Axes, lines: Sequence[Line2D], labels: Sequence[str]) -> None:
    """Write each line's name at its end, in its colour; or a legend if there is no room."""
    figure = ax.get_figure()
    heights = _name_heights(ax, lines) if figure and figure.get_layout_engine() else None
    if heights is None:
        legend(ax, lines, labels)
        return
    for line, text, height in zip(lines, labels, heights, strict=True):
        ax.annotate(
            safe(text), (1.0, height), xycoords="axes fraction", xytext=(5, 0),
            textcoords="offset points", va="center", color=line.get_color(), fontsize=9,
            annotation_clip=False,
        )  # fmt: skip


def _name_heights(ax: Axes, lines: Sequence[Line2D]) -> FloatArray | None:
    """Return the names' positions as shares of the axes' height; None if they do not fit."""
    figure = ax.get_figure()
    if figure is None:
        return None
    ax.get_xlim(), ax.get_ylim()  # updates the limits
    ends = np.full((len(lines), 2), np.nan)
    for k, line in enumerate(lines):
        points = line.get_transform().transform(np.asarray(line.get_xydata(), np.float64))
        places = ax.transAxes.inverted().transform(points)
        places = places[np.isfinite(places).all(axis=1)]
        if len(places):
            ends[k] = places[-1]
    if not (ends[:, 0] > RIGHT).all() or not ((ends[:, 1] > -0.01) & (ends[:, 1] < 1.01)).all():
        return None
    points_high = ax.bbox.height * 72 / figure.dpi
    order = np.argsort(ends[:, 1])
    targets = ends[order, 1] * points_high
    # names at least one line apart, with the least squared distance from their lines' ends
    steps = NAME_LINE * np.arange(len(lines))
    placed = _isotonic(targets - steps) + steps
    if np.abs(placed - targets).max() > MOST_SHIFT:
        return None
    heights = np.empty(len(lines))
    heights[order] = placed / points_high
    return heights


def _isotonic(values: FloatArray) -> FloatArray:
    """Return the nearest non-decreasing numbers, by pooling adjacent violators."""
    pools: list[list[float]] = []
    for value in values.tolist():
        pools.append([value, 1])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (low, few), (high, more) = pools.pop(-2), pools.pop()
            pools.append([(low * few + high * more) / (few + more), few + more])
    return np.repeat([pool[0] for pool in pools], [int(pool[1]) for pool in pools])


def legend(ax: Axes, handles: Iterable[Any], labels: Iterable[str], **settings: Any) -> Legend:
    """Add a legend where it covers least, or beside the axes, with labels shown unchanged.

    A column has at most as many entries as fit the axes' height, so that they do not shrink the
    axes.
    """
    texts = [safe(text) for text in labels]
    figure = ax.get_figure()
    width, height = (float(side) * 72 / figure.dpi if figure else 200.0 for side in ax.bbox.size)
    if len(texts) * LEGEND_LINES["medium"] > height / 2:
        settings = {"fontsize": "small"} | settings
    line = LEGEND_LINES[settings.get("fontsize", "medium")]
    rows = max(1, int(0.9 * height / line))
    columns = -(-len(texts) // rows)
    longest = max(map(len, texts), default=0)  # a letter is about 0.4 of a line wide, a handle 3
    share = (
        columns * line * (3 + 0.4 * longest) / width,
        (min(rows, len(texts)) + 1) * line / height,
    )
    place, covered = _free_place(ax, share)
    settings = {"framealpha": 0.85, "ncols": columns} | settings
    if covered > MOST_COVERED and figure and figure.get_layout_engine() is not None:
        beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
        return ax.legend(list(handles), texts, **(settings | beside))
    result = ax.legend(list(handles), texts, loc=place, **settings)
    result.set_in_layout(False)
    paper = ax.get_facecolor()
    clear = to_rgba(paper)[3] < 1
    halo = withStroke(linewidth=3, foreground=looks(ax).paper if clear else paper)
    for text in result.get_texts():  # lines of the background stop at the letters
        text.set_path_effects([halo])
    return result


def _free_place(ax: Axes, share: tuple[float, float]) -> tuple[Any, float]:
    """Return the place for a legend that covers the smallest share of the lines, and that share.

    `share` is the legend's size, relative to the axes' width and height. matplotlib's own choice,
    ``loc="best"``, tests every point whenever the figure is drawn, and warns that this is slow.
    """
    ax.get_xlim(), ax.get_ylim()  # makes them up to date
    covered = dict.fromkeys(PLACES, 0.0)
    for line in ax.get_lines():
        if line.get_zorder() < 1:  # a background line
            continue
        points = np.asarray(line.get_xydata(), np.float64)
        points = points[:: max(1, len(points) // 500)]
        places = ax.transAxes.inverted().transform(line.get_transform().transform(points))
        places = places[np.isfinite(places).all(axis=1)]
        weights = np.full(len(places), 1 / max(1, len(places)))
        if (
            len(places) > 1 and line.get_linestyle() != "None"
        ):  # then count the segments between points
            parts = np.linspace(0, 1, 10, endpoint=False)[:, None, None]
            ways = np.diff(places, axis=0)
            places = (places[:-1] + parts * ways).reshape(-1, 2)
            weights = np.tile(np.hypot(*ways.T), 10)
            weights /= max(weights.sum(), 1e-9)
        for place in covered if len(places) else ():
            # distances from the legend's centre, so that the axes' edges count as covered
            middle = np.multiply(PLACES[place], 1 - np.array(share)) + np.array(share) / 2
            inside = (np.abs(places - middle) <= np.array(share) / 2).all(axis=1)
            covered[place] += float(weights[inside].sum())
    best = min(covered, key=lambda place: covered[place])
    return best, covered[best]
