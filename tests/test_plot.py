"""Pictures: titles are true, odd input is refused or drawn correctly, images match the stored ones.

The stored images in tests/pictures have no text, because its pixels differ between versions of
matplotlib. ``python tests/test_plot.py`` replaces them: check them before you commit them.
"""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from drawn import (
    history,
    labels_of,
    line_data,
    recorded,
    some_escapes,
    three_runs,
    title_of,
    two_ways,
)
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.testing.compare import compare_images

import fastgd as gd
from fastgd import plot
from fastgd.plot import _drawing

pytestmark = pytest.mark.usefixtures("own_figures")

KEPT = Path(__file__).parent / "pictures"
#: root mean square of the pixels' differences, of 255. matplotlib 3.9 to 3.11 differ by at most
#: 0.11, a line that is missing makes 2.5 or more.
TOLERANCE = 1.0


def draw_spread(ax):
    X, y = line_data()
    return plot.gradient_spread(gd.Network([1, 1]), X, y, batch_size=8, ax=ax)


PICTURES = {
    "loss": lambda ax: plot.loss(three_runs(), against="second", ax=ax),
    "paths": lambda ax: plot.paths(*line_data(), two_ways(), ax=ax),
    "trace": lambda ax: plot.trace(
        {1: recorded([1, 3, 2] * 40), None: recorded(np.linspace(5, 2, 60))}, ax=ax
    ),
    "schedules": lambda ax: plot.schedules(
        {
            "falls": gd.schedules.Exponential(0.95),
            "falls each update": gd.schedules.Exponential(0.99, unit="update"),
        },
        updates_per_epoch=4, epochs=40, ax=ax,
    ),
    "coverage": lambda ax: plot.coverage(["shuffle", "replacement"], 300, ax=ax),
    "escape": lambda ax: plot.escape(some_escapes(), ax=ax),
    "gradient_spread": draw_spread,
}  # fmt: skip


def picture_without_text(draw, path):
    """Draw on axes of a fixed place; keep the marks and lines alone."""
    figure = plt.figure(figsize=(3.2, 2.4))
    ax = draw(figure.add_axes((0.04, 0.04, 0.92, 0.92)))
    ax.set_title("", loc="left")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(which="both", labelbottom=False, labelleft=False)
    if ax.get_legend():
        ax.get_legend().remove()
    for text in ax.texts:
        text.set_visible(False)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_equals_the_stored_one(name, tmp_path):
    picture_without_text(PICTURES[name], tmp_path / f"{name}.png")
    difference = compare_images(KEPT / f"{name}.png", tmp_path / f"{name}.png", TOLERANCE)
    assert difference is None


@pytest.mark.parametrize("name", PICTURES)
def test_a_missing_line_is_noticed(name, tmp_path):
    def draw_less(ax):
        PICTURES[name](ax).get_lines()[-1].remove()
        return ax

    kept = tmp_path / "kept.png"
    kept.write_bytes((KEPT / f"{name}.png").read_bytes())
    picture_without_text(draw_less, tmp_path / f"{name}.png")
    assert compare_images(kept, tmp_path / f"{name}.png", TOLERANCE) is not None


def test_a_legend_covers_no_line():
    """Here there is a line in every corner, and none at the middle of one side."""
    ax = plot.schedules(
        {
            "constant": gd.schedules.Constant(),
            "step": gd.schedules.Step(10),
            "exponential": gd.schedules.Exponential(0.9),
            "inverse scaling": gd.schedules.InverseScaling(unit="epoch"),
            "cosine": gd.schedules.Cosine(30),
        },
        epochs=30, ax=plt.subplots()[1],
    )  # fmt: skip
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    paths = [line.get_path().transformed(line.get_transform()) for line in ax.get_lines()]
    assert not any(path.intersects_bbox(box, filled=False) for path in paths)


def test_stored_pictures_are_small():
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 300_000


def test_thirty_lines_differ_without_their_colours():
    looks = _drawing.styles([str(k) for k in range(30)]).values()
    assert len({(look["marker"], str(look["linestyle"])) for look in looks}) == 30


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0123, 0.013), (0.013, 0.013), (-0.0129, -0.012), (99.1, 100), (0, 0), (5e-324, 5e-324)],
)
def test_rounding_up(value, expected):
    assert _drawing.round_up(value) == expected


@given(value=st.floats(1e-300, 1e300))
def test_rounding_up_is_above_and_close(value):
    assert value <= _drawing.round_up(value) <= value * 1.11


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (0.63212, "63.2 %"), (0.9999, "99.99 %"),
        (1 - 1e-9, "almost 100 %"), (1e-9, "almost 0 %"),
    ],
)  # fmt: skip
def test_a_share_is_not_rounded_to_all_or_nothing(share, text):
    assert _drawing.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1.0"), (9.96, "10.0"), (57.4, "57"), (1e9, "1e+09"), (np.inf, "inf")]
)
def test_ratios_have_two_digits_or_more(value, text):
    assert _drawing.ratio(value) == text


def test_names_are_shown_as_they_are():
    names = {"_a": history([2, 1]), "cost in $, x_1$": history([3, 2]), 8: history([2, 1])}
    ax = plot.loss(names)
    ax.get_figure().canvas.draw()
    shown = [" _a", r"cost in \$, x_1\$", "batch size 8"]
    assert labels_of(ax)[:3] == shown


@pytest.mark.parametrize(
    ("histories", "error", "words"),
    [
        ({}, ValueError, "empty"),
        ([history([1])], TypeError, "dict"),
        ({"a": [1, 2]}, TypeError, r"histories\['a'\]"),
        ({8: history([1]), "batch size 8": history([1])}, ValueError, "two entries"),
    ],
)
def test_other_objects_are_refused(histories, error, words):
    with pytest.raises(error, match=words):
        plot.loss(histories)
    assert plt.get_fignums() == []


def axes_takers():
    X, y = line_data()
    return {
        "loss": lambda ax: plot.loss(three_runs(), ax=ax),
        "paths": lambda ax: plot.paths(X, y, two_ways(), ax=ax),
        "trace": lambda ax: plot.trace(recorded([1, 2, 3]), ax=ax),
        "schedules": lambda ax: plot.schedules(gd.schedules.Constant(), ax=ax),
        "coverage": lambda ax: plot.coverage("shuffle", 10, ax=ax),
        "escape": lambda ax: plot.escape(some_escapes(), ax=ax),
        "gradient_spread": lambda ax: plot.gradient_spread(gd.Network([1, 1]), X, y, ax=ax),
        "graph": lambda ax: plot.graph(gd.nodes.linear_cost(), ax=ax),
    }


@pytest.mark.parametrize("name", axes_takers())
def test_axes_are_those_given_or_new(name):
    draw = axes_takers()[name]
    ax = plt.subplots()[1]
    assert draw(ax) is ax
    assert draw(None) is not ax
    assert len(title_of(ax)) > 5
    assert not ax.axison or min(len(ax.get_xlabel()), len(ax.get_ylabel())) > 5
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes"):
        draw(ax.get_figure())


if __name__ == "__main__":
    matplotlib.rcdefaults()
    KEPT.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        picture_without_text(draw, KEPT / f"{name}.png")
