"""plot.paths() and plot.animate_paths(): the lines' points, and the titles."""

import matplotlib as mpl
import numpy as np
import pytest
from drawn import (
    history,
    labels_of,
    line_data,
    title_of,
    traced,
    two_ways,
)
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from PIL import Image

import fastgd as gd
from fastgd import plot
from fastgd.plot import _drawing, _paths

pytestmark = pytest.mark.usefixtures("own_figures")


def test_the_bowl_is_the_cost():
    X, y = line_data()
    ax = plot.paths(X, y, two_ways())
    slope, intercept = np.polyfit(X[:, 0], y, 1)
    star = next(line for line in ax.get_lines() if line.get_marker() == "*")
    np.testing.assert_allclose([star.get_xdata()[0], star.get_ydata()[0]], [slope, intercept])
    least = np.mean((slope * X[:, 0] + intercept - y) ** 2)
    assert labels_of(ax)[-1] == f"lowest cost, {least:.3g}"
    bowl = _paths._bowl(X[:, 0], y)
    for theta in ([0, 0], [1, -3], [2, 1]):
        cost = np.mean((theta[0] * X[:, 0] + theta[1] - y) ** 2)
        excess = bowl.excess(*np.array(theta, np.float64))
        np.testing.assert_allclose(excess + least, cost)


def test_the_title_compares_how_much_runs_wander():
    X, y = line_data()
    there_and_back = traced([[0, 0], [3, 0], [1, 0]])
    straight = traced([[0, 0], [1, 0.5], [2, 1]])
    ax = plot.paths(X, y, {1: there_and_back, None: straight})
    assert title_of(ax) == (
        "Batch size 1 travels 5.0 times the straight-line distance, all samples only 1.0 times"
    )
    ax = plot.paths(X, y, {1: straight, 2: straight})
    assert title_of(ax) == "All runs travel 1.0 times the straight-line distance"


def test_the_title_of_one_path_states_its_final_cost():
    X = np.array([[-1.0], [1.0]])
    ax = plot.paths(X, [0.0, 2.0], traced([[0, 0], [1, 1.5]]))
    assert title_of(ax) == "The training ends at a cost 0.25 above the lowest, 0"


def test_a_path_begins_at_the_start_if_the_history_has_it():
    X, y = line_data()
    points = [[1, 1], [2, 1]]
    runs = {"whole": traced(points, start=np.array([-1, 0.5])), "later": traced(points)}
    ways = [line for line in plot.paths(X, y, runs).get_lines() if len(line.get_xdata()) > 1]
    assert [way.get_xydata()[0].tolist() for way in ways] == [[-1, 0.5], [1, 1]]


@pytest.mark.parametrize("way", [
    [[0, 0]],
    [[0, 0], [0, 0]],
    [[0, 0], [1, 1], [1e9, -1e9], [-1e200, 1e300]],
    [[0, 0], [np.nan, 1], [np.inf, 1]],
    [[2, 1], [2.0001, 1]],
])  # fmt: skip
@pytest.mark.parametrize("x", [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [1e6, 2e6, 3e6]])
def test_any_path_is_drawn_with_the_minimum(way, x):
    y = 2 * np.array(x) + 1
    ax = plot.paths(np.reshape(x, (-1, 1)), y, traced(way))
    ax.get_figure().canvas.draw()
    assert np.isfinite(ax.get_xlim() + ax.get_ylim()).all()
    if np.ptp(x) > 0:  # else there is a valley, and no way in it is far
        assert np.ptp(ax.get_xlim()) < 1e3


def test_a_path_that_leaves_the_picture_is_marked():
    X, y = line_data()
    ax = plot.paths(X, y, {"a": traced([[0, 0], [2, 1]]), "b": traced([[0, 0], [1e9, 1]])})
    assert labels_of(ax)[:2] == ["a", "b (leaves the picture)"]


def test_many_updates_are_thinned_to_what_can_be_seen():
    X, y = line_data()
    ax = plot.paths(X, y, traced(np.random.default_rng(0).normal(size=(100_000, 2))))
    assert max(len(line.get_xdata()) for line in ax.get_lines()) == _paths.MOST_POINTS


def test_paths_of_a_real_training():
    X, y = line_data()
    net = gd.Network([1, 1], dtype="float64")
    run = gd.train(net, X, y, optimizer=gd.SGD(0.1), batch_size=8, record=("params",), rng=0)
    way = plot.paths(X, y, run).get_lines()[1]
    np.testing.assert_array_equal(way.get_xydata(), [[0, 0], *run.trace["params"]])


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (history([1]), r"record=\('params',\)"),
        (traced(np.ones((3, 4))), "4 parameters"),
        (traced(np.full((3, 2), np.nan)), "no update"),
        (traced(np.full((3, 2), 1e200)), "too far"),
    ],
)
def test_paths_refuse_bad_arguments(run, words):
    X, y = line_data()
    with pytest.raises(ValueError, match=words):
        plot.paths(X, y, {"a": run})


def test_the_animation_moves_and_holds_its_last_frame(tmp_path):
    X, y = line_data()
    file = plot.animate_paths(X, y, two_ways(), tmp_path / "a.gif", frames=4, fps=10, dpi=40)
    assert file == tmp_path / "a.gif"
    with Image.open(file) as image:
        assert (image.n_frames, image.size) == (4, (256, 208))
        durations = []
        for frame in range(4):
            image.seek(frame)
            durations.append(image.info["duration"])
    assert durations == [100, 100, 100, 2000]
    assert plt.get_fignums() == []


def test_the_animation_keeps_the_lines_colours(tmp_path):
    """A palette chosen from the pixels would lose those of thin lines."""
    runs = {k: traced([[0, 0], [1, k]]) for k in range(1, 7)}
    file = plot.animate_paths(*line_data(), runs, tmp_path / "a.gif", frames=2)
    with Image.open(file) as image:
        image.seek(1)
        seen = {color for _, color in image.convert("RGB").getcolors(1 << 20)}
    assert {to_hex(np.array(color) / 255).upper() for color in seen} > set(_drawing.looks().lines)


def test_runs_pass_an_epoch_together():
    """One trace has every tenth step, the other each; time is counted in epochs for both."""
    points = np.linspace([0, 0], [1, 1], 10)
    rare = history([1.0] * 2, updates=100, trace={"params": points, "step": 10 * np.arange(1, 11)})
    all_steps = history([1.0] * 2, updates=10, trace={"params": points})
    scene = _paths._scene(*line_data(), {"a": rare, "b": all_steps})
    np.testing.assert_allclose(scene.tracks[0].times, scene.tracks[1].times)
    np.testing.assert_allclose(scene.tracks[0].times, np.linspace(0.2, 2, 10))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.png", {}, "must end in .gif"),
        ("none/a.gif", {}, "does not exist"),
        ("a.gif", {"frames": 1}, "frames is 1"),
        ("a.gif", {"fps": 0}, "fps is 0"),
    ],
)
def test_bad_animations_are_refused_before_anything_is_written(tmp_path, name, options, words):
    with pytest.raises(ValueError, match=words):
        plot.animate_paths(*line_data(), two_ways(), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_animation_on_clear_paper_is_one_on_white_paper(tmp_path):
    """Without paper, the pale edges of letters and lines would become black."""
    files = []
    for paper in ("white", "none"):
        papers = {"figure.facecolor": paper, "axes.facecolor": paper, "legend.frameon": False}
        with mpl.rc_context(papers):
            file = tmp_path / f"{paper}.gif"
            files.append(plot.animate_paths(*line_data(), two_ways(), file, frames=2, dpi=40))
    white, clear = (file.read_bytes() for file in files)
    assert white == clear
