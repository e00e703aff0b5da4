"""Helpers for all pictures: labels, formatted numbers, line styles, axes and titles.

For the contents of pictures see the other modules of this package.
"""

from __future__ import annotations

import decimal
import math
import re
import textwrap
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fastgd import _validation, _words
from fastgd._typing import IndexArray
from fastgd.history import History
from fastgd.plot._looks import Looks, looks, styles

__all__ = [
    "TOO_LARGE",
    "Histories",
    "Looks",
    "capital",
    "check_axes",
    "epochs_at",
    "needs_log_scale",
    "label",
    "looks",
    "named",
    "new_axes",
    "number",
    "percent",
    "plain_log_ticks",
    "progress_label",
    "ratio",
    "round_up",
    "safe",
    "sparse_marks",
    "styles",
    "thin",
    "title",
    "verb",
    "whole_ticks",
]

MARKS_PER_LINE = 8
#: larger numbers count as not finite: axes need a margin around their numbers
TOO_LARGE = 1e100
#: the widest span of a logarithmic axis
WIDEST = 1e60
#: the argument of functions that draw trainings
Histories: TypeAlias = History | Mapping[Any, History]


def named(name: str, given: Any, kind: type[Any], what: str) -> dict[str, Any]:
    """Return the objects to draw by label, from one object or a mapping.

    A key that is an int means a batch size, and None a batch of all samples, whose number comes
    from the history.
    """
    if isinstance(given, kind):
        return {"": given}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{name} must be {what}, or a dict of names and such, not {_words.show(given)}"
        )
    if not given:
        raise ValueError(f"{name} is empty: there is nothing to draw")
    for key, value in given.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name}[{key!r}] must be {what}, not {_words.show(value)}")
    labels = [label(key, value) for key, value in given.items()]
    for text in labels:
        if labels.count(text) > 1:
            raise ValueError(
                f"{name} has two entries that are called {text!r}; give them different names"
            )
    return dict(zip(labels, given.values(), strict=True))


def label(key: Any, value: Any = None) -> str:
    """Return a mapping's key as the label of a line."""
    if key is None:
        n = value.sample_gradients // max(value.epochs, 1) if isinstance(value, History) else 0
        return f"all {n:,}" if n else "all samples"
    try:
        return f"batch size {_validation.check_int('key', key, at_least=1):,}"
    except (TypeError, ValueError):
        return str(key) or "unnamed"


def capital(text: str) -> str:
    """Capitalise a sentence, unless it starts with a user's own name."""
    ours = ("batch size ", "the ", "one ", "all ", "no ", "its ", "sampling ")
    return text[:1].upper() + text[1:] if text.startswith(ours) else text


def verb(name: str, singular: str, plural: str) -> str:
    """Return the verb in the plural for names such as "all 100", otherwise in the singular."""
    return plural if name.startswith("all ") else singular


def safe(text: str) -> str:
    """Escape a label so that matplotlib shows it unchanged: no formulas, and not hidden."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # a leading _ hides a label


def number(value: float) -> str:
    """Format a number with three digits."""
    if math.isfinite(value) and value == round(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: float) -> str:
    """Format a ratio with two digits or more."""
    return f"{value:.1f}" if value < 10 else number(np.round(value))


def percent(share: float) -> str:
    """Format a share in per cent; only exact ones give 0 % or 100 %."""
    for digits in (1, 2, 3, 4):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0) or share in (0.0, 1.0):
            return f"{text.rstrip('0').rstrip('.')} %"
    return f"almost {round(share):.0%}".replace("%", " %")


def round_up(value: float) -> float:
    """Round up to two significant digits."""
    if not math.isfinite(value):
        return value
    two_digits = decimal.Context(prec=2, rounding=decimal.ROUND_CEILING)
    rounded = float(two_digits.create_decimal_from_float(value))
    return rounded if math.isfinite(rounded) else value


def check_axes(ax: Axes | None) -> None:
    """Check that ax is a matplotlib Axes; called before anything is computed."""
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be a matplotlib Axes, such as pyplot.subplots() gives, not {_words.show(ax)}"
        )


def new_axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt  # given axes need no user interface

    made: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    made.spines[["top", "right"]].set_visible(False)
    return made


def sparse_marks(length: int, place: int) -> tuple[int, int]:
    """Return markevery for a line, so that its marks do not cover those of other lines."""
    step = max(1, length // MARKS_PER_LINE)
    return (place * step // 3) % step, step


def thin(count: int, most: int) -> IndexArray:
    """Return at most `most` evenly spaced indices below count, with the first and the last."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def title(ax: Axes, text: str) -> None:
    """Write the finding above the axes, wrapped to their width."""
    points = min(float(ax.title.get_fontsize()), 11.0)
    figure = ax.get_figure()
    width = ax.bbox.width * 72 / figure.dpi if figure else 400.0
    joined = re.sub(" (?=[0-9%])", "\N{NO-BREAK SPACE}", safe(text))  # "all 256", "95 %"
    lines = textwrap.wrap(joined, max(24, int(width / (0.5 * points))), break_on_hyphens=False)
    wrapped = "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
    ax.set_title(wrapped, loc="left", fontsize=points)


def progress_label(unit: str) -> str:
    """Return the label of an axis that counts epochs, updates or time."""
    return {
        "epoch": "epochs",
        "update": "updates of the parameters",
        "second": "training time (seconds)",
        "millisecond": "training time (milliseconds)",
    }[unit]


def epochs_at(run: History, steps: ArrayLike) -> NDArray[np.float64]:
    """Convert numbers of updates to epochs and fractions of them."""
    ends = run._updates_after()
    return np.interp(np.asarray(steps, np.float64), ends, np.arange(len(ends)))


def whole_ticks(axis: Axis) -> None:
    """Show only integers on an axis of counts, formatted as 1,000."""
    ticks = MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    axis.set_major_locator(ticks)
    axis.set_major_formatter("{x:,.0f}")


def needs_log_scale(low: float, high: float) -> bool:
    """Return whether an axis from low to high should be logarithmic."""
    return low > 0 and high / max(low, 1 / TOO_LARGE) > 10 and high < WIDEST * low


def plain_log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with 0.01 and 1,000, not powers; a short one also at 2 and 5."""

    def text(value: float, place: float | None = None) -> str:
        return f"{value:,.0f}" if 1 <= value < 1e6 and value == round(value) else f"{value:g}"

    def minor(value: float, place: float | None = None) -> str:
        low, high = sorted(axis.get_view_interval())
        short = 0 < high < 100 * low
        return text(value) if short and f"{value:e}"[0] in "25" else ""

    axis.set_major_formatter(text)
    axis.set_minor_formatter(minor)
