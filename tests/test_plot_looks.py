"""How pictures look: contrast on light and dark paper, names at lines' ends, bands, styles."""

import matplotlib as mpl
import numpy as np
import pytest
from drawn import history, labels_of, line_data, recorded, three_runs, traced, two_ways
from matplotlib import pyplot as plt
from matplotlib.colors import same_color

from fastgd import plot
from fastgd.plot import _drawing, _labels
from fastgd.plot._looks import DARK, LIGHT, contrast

pytestmark = pytest.mark.usefixtures("own_figures")


def test_contrast_is_that_of_wcag():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("looks", [LIGHT, DARK], ids=["light", "dark"])
def test_every_mark_stands_out_from_the_paper(looks):
    assert min(contrast(color, looks.paper) for color in (looks.soft, *looks.lines)) >= 3
    assert contrast(looks.ink, looks.paper) >= 7


@pytest.mark.parametrize(("name", "looks"), [("light", LIGHT), ("dark", DARK)])
def test_a_style_for_users_has_the_colours_of_the_pictures(name, looks):
    with plt.style.context(f"fastgd.plot.{name}"):
        assert mpl.rcParams["axes.prop_cycle"].by_key()["color"] == [*looks.lines]
        assert same_color(mpl.rcParams["axes.facecolor"], looks.paper)
        ax = plot.loss(three_runs())
        assert [line.get_color() for line in ax.get_lines()[:3]] == [*looks.lines[:3]]


@pytest.mark.parametrize("style", ["default", "dark_background", "fastgd.plot.dark"])
def test_stars_and_ends_stand_out_whatever_the_style(style):
    with plt.style.context(style):
        ax = plot.paths(*line_data(), two_ways())
        face = ax.get_facecolor()
        edges = [
            line.get_markeredgecolor() for line in ax.get_lines() if len(line.get_xdata()) == 1
        ]
        assert len(edges) == 3
        assert min(contrast(edge, face) for edge in edges) > 7


def test_pictures_have_no_box():
    spines = plot.loss(three_runs()).spines
    assert not spines["top"].get_visible()
    assert not spines["right"].get_visible()


def test_labels_are_at_line_ends_if_these_are_apart():
    runs = {1: history([4, 1]), 8: history([4, 2]), None: history([4, 3])}
    ax = plot.loss(runs, target=2.5)
    assert ax.get_legend() is None
    assert labels_of(ax) == ["batch size 1", "batch size 8", "all samples", "loss 2.5"]
    for text, line in zip(ax.texts, ax.get_lines(), strict=True):
        assert text.get_color() == line.get_color()
    ends = [text.xy[1] for text in ax.texts]
    assert ends[0] < ends[1] < ends[3] < ends[2]


def test_labels_that_would_overlap_are_in_a_legend():
    runs = {k: history([4, 1 + k / 1e4]) for k in range(1, 6)}
    assert len(plot.loss(runs).get_legend().get_texts()) == 6


def test_labels_at_line_ends_are_a_line_apart():
    runs = {1: history([4, 1]), 8: history([4, 1.02]), None: history([4, 3])}
    ax = plot.loss(runs)
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2, 3], [1, 2, 3]), ([2, 1], [1.5, 1.5]), ([0, 3, 0, 0, 9], [0, 1, 1, 1, 9])],
)
def test_isotonic_regression(values, expected):
    np.testing.assert_allclose(_labels._isotonic(np.array(values, float)), expected)


def test_many_steps_are_a_band_of_80_percent():
    values = np.random.default_rng(0).exponential(size=4000)
    ax = plot.trace(recorded(values))
    (band,) = ax.collections
    low, high = band.get_paths()[0].get_extents().get_points()[:, 1]
    assert low > np.quantile(values, 0.02)
    assert high < np.quantile(values, 0.98)
    x = band.get_paths()[0].vertices[:, 0]
    assert (x.min(), x.max()) == (1, 4000)


def test_few_steps_are_a_line():
    ax = plot.trace(recorded([1, 2, 3] * 20))
    assert not ax.collections
    assert len(ax.get_lines()) == 2


def test_long_wandering_paths_are_pale():
    spiral = np.linspace(0, 40, 300)
    wanders = np.stack([np.cos(spiral), np.sin(spiral)], axis=1)
    straight = np.linspace([0, 0], [1, 1], 300)
    runs = {1: traced(wanders), None: traced(straight)}
    ax = plot.paths(*line_data(), runs)
    alphas = [line.get_alpha() for line in ax.get_lines() if len(line.get_xdata()) == 300]
    assert alphas == [0.5, None]


def test_a_title_keeps_a_number_with_its_word():
    ax = plt.subplots(figsize=(3, 2))[1]
    for before in range(30):  # wherever the end of a line is
        _drawing.title(ax, f"{'a' * before} reaches 55 % in all 256, 1.1 times")
        lines = ax.get_title(loc="left").splitlines()
        assert not any(line[0] in "0123456789%" for line in lines)
