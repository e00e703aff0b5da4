"""What all pictures share: names, numbers in words, line styles, axes and titles.

Nothing here knows what is drawn; that is the business of the modules beside it.
"""

from __future__ import annotations

import decimal
import math
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
    "far_apart",
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

MARKS_A_LINE = 8
#: a number above this is taken for one that is not finite: axes need room around their numbers
TOO_LARGE = 1e100
#: the widest span of a logarithmic axis
WIDEST = 1e60
#: what the functions that draw trainings take
Histories: TypeAlias = History | Mapping[Any, History]


def named(name: str, given: Any, kind: type[Any], what: str) -> dict[str, Any]:
    """Return what is to be drawn by its label, from one object or a mapping.

    A key that is a whole number stands for a batch size, and None for that of all samples, whose
    number a history knows.
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
            raise ValueError(f"{name} has two entries that are called {text!r}; name them apart")
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
    """Return a sentence with a capital first letter, unless a user's own name begins it."""
    ours = ("batch size ", "the ", "one ", "all ", "no ", "its ", "sampling ")
    return text[:1].upper() + text[1:] if text.startswith(ours) else text


def verb(name: str, singular: str, plural: str) -> str:
    """Return the verb's form for a line's name: all 100 reach what batch size 1 reaches."""
    return plural if name.startswith("all ") else singular


def safe(text: str) -> str:
    """Return a label that matplotlib shows as it is: no formulas, and none left out."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # a leading _ hides a label


def number(value: float) -> str:
    """Return a number in three digits."""
    if math.isfinite(value) and value == round(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value: float) -> str:
    """Return how many times one number is another, in two digits or more."""
    return f"{value:.1f}" if value < 10 else number(np.round(value))


def percent(share: float) -> str:
    """Return a share in per cent, never rounded to all or nothing where it is neither."""
    for digits in (1, 2, 3, 4):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0) or share in (0.0, 1.0):
            return f"{text.rstrip('0').rstrip('.')} %"
    return f"almost {round(share):.0%}".replace("%", " %")


def round_up(value: float) -> float:
    """Return the least number of two digits that is not below value."""
    if not math.isfinite(value):
        return value
    two_digits = decimal.Context(prec=2, rounding=decimal.ROUND_CEILING)
    rounded = float(two_digits.create_decimal_from_float(value))
    return rounded if math.isfinite(rounded) else value


def check_axes(ax: Axes | None) -> None:
    """Check that ax is what matplotlib draws on; called before anything is computed."""
    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be a matplotlib Axes, such as pyplot.subplots() gives, not {_words.show(ax)}"
        )


def new_axes(ax: Axes | None, size: tuple[float, float] = (6.4, 4.4)) -> Axes:
    """Return the axes, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt  # where axes are given, no user interface is needed

    made: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    made.spines[["top", "right"]].set_visible(False)
    return made


def sparse_marks(length: int, place: int) -> tuple[int, int]:
    """Return markevery for a line: some marks, beside those of the lines before it."""
    step = max(1, length // MARKS_A_LINE)
    return (place * step // 3) % step, step


def thin(count: int, most: int) -> IndexArray:
    """Return at most so many of the indices below count, the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def title(ax: Axes, text: str) -> None:
    """Write the finding above the axes, in as many lines as it needs."""
    points = min(float(ax.title.get_fontsize()), 11.0)
    figure = ax.get_figure()
    width = ax.bbox.width * 72 / figure.dpi if figure else 400.0
    lines = textwrap.wrap(safe(text), max(24, int(width / (0.5 * points))), break_on_hyphens=False)
    ax.set_title("\n".join(lines), loc="left", fontsize=points)


def progress_label(unit: str) -> str:
    """Return the label of an axis that counts epochs, updates or time."""
    return {
        "epoch": "epochs",
        "update": "updates of the parameters",
        "second": "training time (seconds)",
        "millisecond": "training time (milliseconds)",
    }[unit]


def epochs_at(run: History, steps: ArrayLike) -> NDArray[np.float64]:
    """Return after how many epochs, in fractions of them, a training made these updates."""
    ends = run._updates_after()
    return np.interp(np.asarray(steps, np.float64), ends, np.arange(len(ends)))


def whole_ticks(axis: Axis) -> None:
    """Let an axis that counts have whole numbers only, as 1,000."""
    ticks = MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    axis.set_major_locator(ticks)
    axis.set_major_formatter("{x:,.0f}")


def far_apart(low: float, high: float) -> bool:
    """Return whether an axis from low to high is better logarithmic."""
    return low > 0 and high / max(low, 1 / TOO_LARGE) > 10 and high < WIDEST * low


def plain_log_ticks(axis: Axis) -> None:
    """Write 0.01 and 1,000 on a logarithmic axis in place of powers; 2 and 5 too on a short one."""

    def text(value: float, place: float | None = None) -> str:
        return f"{value:,.0f}" if 1 <= value < 1e6 and value == round(value) else f"{value:g}"

    def minor(value: float, place: float | None = None) -> str:
        low, high = sorted(axis.get_view_interval())
        short = 0 < high < 100 * low
        return text(value) if short and f"{value:e}"[0] in "25" else ""

    axis.set_major_formatter(text)
    axis.set_minor_formatter(minor)
