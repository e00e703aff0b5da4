"""Colours for light and dark backgrounds; every mark has a contrast of at least 3:1.

Users can apply ``light.mplstyle`` and ``dark.mplstyle``, beside this file, to their own pictures:
``plt.style.use("fastgd.plot.light")``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

__all__ = ["DARK", "LIGHT", "Looks", "contrast", "looks", "styles"]

MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1.5)))


@dataclass(frozen=True)
class Looks:
    """Colours: text and outlines, background elements, paper, and lines."""

    ink: str
    soft: str
    paper: str
    lines: tuple[str, ...]


#: hues that colour-blind people can distinguish (Okabe & Ito 2008, Color Universal Design), darker
#: where the contrast with white was below 3; in grey, markers and dashes distinguish lines
LIGHT = Looks(
    "#26313D", "#767F89", "#FFFFFF",
    ("#0072B2", "#C24E00", "#00805A", "#B5558D", "#5B6B7B", "#9A6A00"),
)  # fmt: skip
DARK = Looks(
    "#DBE2EA", "#8D98A4", "#14181D",
    ("#58AEE6", "#F0803C", "#35C49A", "#E59AC4", "#A9B6C3", "#E5B53C"),
)  # fmt: skip


def looks(ax: Axes | None = None) -> Looks:
    """Return the colours for axes: those for dark backgrounds if their text is light."""
    if ax is None:
        return LIGHT
    return DARK if _luminance(ax.xaxis.label.get_color()) > 0.4 else LIGHT


def styles(names: Sequence[str], ax: Axes | None = None) -> dict[str, dict[str, Any]]:
    """Return a line style for each name; 30 lines remain distinct even in grey."""
    chosen = zip(names, cycle(looks(ax).lines), cycle(MARKERS), cycle(DASHES), strict=False)
    return {
        name: {"color": color, "marker": marker, "linestyle": dashes, "markersize": 5.5}
        for name, color, marker, dashes in chosen
    }


def _luminance(color: Any) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(color)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(first: Any, second: Any) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)
