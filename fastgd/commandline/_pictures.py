"""The report's pictures: SVG inside the page, one for light and one for dark screens.

matplotlib draws them, the extra ``plot``; it is imported when a picture is made.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd.comparison import Comparison

__all__ = ["Picture", "loss_picture", "scatter_picture"]

WIDTH, HEIGHT = 4.5, 3.6  # inches: narrow, so that text is readable on a phone
LIGHT, DARK = "fastgd.plot.light", "fastgd.plot.dark"
MOST_DOTS = 1000


@dataclass(frozen=True)
class Picture:
    """A picture in two styles.

    Attributes
    ----------
    light, dark : str
        SVG, as the address of an image.
    about : str
        What it shows, in words.
    """

    light: str
    dark: str
    about: str

    def html(self, alternative: str) -> str:
        """Return the picture element; the alternative text must be escaped."""
        return (
            '<picture><source media="screen and (prefers-color-scheme: dark)" '
            f'srcset="{self.dark}">\n<img src="{self.light}" alt="{alternative}" '
            f'width="{round(WIDTH * 96)}" height="{round(HEIGHT * 96)}"></picture>'
        )


def loss_picture(result: Comparison, against: str) -> Picture:
    """Draw the losses of all batch sizes; a ring marks the epoch that is kept."""

    def draw(axes: Any) -> str:
        result.plot(against, ax=axes)
        for entry, line in zip(result, axes.lines, strict=False):
            place = entry.kept_epoch - 1
            if entry.diverged or not 0 <= place < len(line.get_xdata()):
                continue
            x, y = line.get_xdata()[place], line.get_ydata()[place]
            axes.plot(x, y, "o", color=line.get_color(), fillstyle="none", markersize=9)
        found = " ".join(axes.get_title(loc="left").split())
        return f"{axes.get_xlabel()}. {found}"

    return _picture(draw)


def scatter_picture(y: Any, predicted: Any, name: str) -> Picture:
    """Draw predictions against the actual values, of at most `MOST_DOTS` rows."""

    def draw(axes: Any) -> str:
        some = slice(None, None, -(-len(y) // MOST_DOTS))
        ends = [float(np.min([y, predicted])), float(np.max([y, predicted]))]
        axes.plot(ends, ends, linewidth=0.8, color=axes.xaxis.label.get_color(), zorder=0)
        axes.plot(y[some], predicted[some], ".", alpha=0.6)
        axes.set_xlabel("actual")  # without the name, for which matplotlib may lack letters
        axes.set_ylabel("predicted")
        return f"Scatter plot of predicted against actual {name}, with the line of equal values"

    return _picture(draw)


def _picture(draw: Callable[[Any], str]) -> Picture:
    """Draw in both styles; `draw` gets axes and returns what they show."""
    from matplotlib import rc_context, style
    from matplotlib.figure import Figure  # not pyplot, which may open a display

    sources, about = [], ""
    for look in (LIGHT, DARK):
        with style.context(look), rc_context({"svg.hashsalt": "fastgd", "font.size": 10}):
            figure = Figure((WIDTH, HEIGHT), layout="constrained")
            about = draw(figure.subplots())
            stream = io.BytesIO()
            figure.savefig(stream, format="svg", metadata={"Date": None})
        encoded = base64.b64encode(stream.getvalue()).decode("ascii")
        sources.append(f"data:image/svg+xml;base64,{encoded}")
    return Picture(sources[0], sources[1], about)
