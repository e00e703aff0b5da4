"""Pictures: what the titles say is so, odd input is refused or drawn rightly, images as kept.

The kept images in tests/pictures hold no text, whose pixels differ between versions of
matplotlib; ``python tests/test_plot.py`` writes them anew. Look at them before you keep them.
"""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.testing.compare import compare_images
from PIL import Image

import fastgd as gd
from fastgd import plot
from fastgd.landscapes import EscapeShares
from fastgd.landscapes._escape import wilson_interval
from fastgd.plot import _drawing, _paths

matplotlib.use("Agg")

KEPT = Path(__file__).parent / "pictures"
#: root mean square of the pixels' differences, of 255. matplotlib 3.9 to 3.11 differ by at most
#: 0.11, a line that is missing makes 2.5 or more.
TOLERANCE = 1.0


@pytest.fixture(autouse=True)
def _own_figures():
    """Draw with matplotlib's own style, and leave no figure open."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
    plt.close("all")


# --- data -----------------------------------------------------------------------------------


def history(losses, *, updates=None, seconds=None, **fields):
    """A history as it would be after these losses."""
    seconds = [0.5] * len(losses) if seconds is None else seconds
    updates = 10 * len(losses) if updates is None else updates
    return gd.History(list(losses), seconds=seconds, updates=updates, **fields)


def three_runs():
    epochs = np.arange(1, 21)
    return {
        1: history(2 * 0.7**epochs, updates=20 * 64, seconds=[0.8] * 20),
        8: history(2 * 0.75**epochs, updates=20 * 8, seconds=[0.2] * 20),
        None: history(2 * 0.9**epochs, updates=20, seconds=[0.1] * 20),
    }


def line_data():
    X = np.linspace(-1, 2, 40).reshape(-1, 1)
    return X, 2 * X[:, 0] + 1 + np.cos(7 * X[:, 0])


def traced(points, start=None, epochs=4):
    """A history whose parameters went this way."""
    points = np.asarray(points, np.float64)
    return history([1.0] * epochs, updates=len(points), trace={"params": points}, start=start)


def two_ways():
    angle = np.linspace(0, 9, 60)
    spiral = np.stack([1 + np.cos(angle), 2 + np.sin(angle)], axis=1)
    straight = np.linspace([0, 0], [2, 1], 12)
    return {1: traced(spiral, start=np.zeros(2)), None: traced(straight, start=np.zeros(2))}


def some_escapes(sizes=(64, 1, 8), escaped=(0, 199, 80), n_seeds=200):
    escaped = np.array(escaped)
    low, high = wilson_interval(escaped, n_seeds, 0.95)
    return EscapeShares(
        landscape=gd.landscapes.Quintic(), batch_sizes=np.array(sizes), n_seeds=n_seeds,
        updates=500, learning_rate=0.3, confidence=0.95, escaped=escaped,
        diverged=np.zeros(len(sizes), np.int64), share=escaped / n_seeds, low=low, high=high,
        median_updates=np.full(len(sizes), 100.0),
    )  # fmt: skip


def single_gradients(net, X, y):
    return np.stack([gd.gradient(net, X[i : i + 1], y[i : i + 1]) for i in range(len(X))])


def title_of(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --- kept images ----------------------------------------------------------------------------


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
def test_picture_is_as_kept(name, tmp_path):
    picture_without_text(PICTURES[name], tmp_path / f"{name}.png")
    difference = compare_images(KEPT / f"{name}.png", tmp_path / f"{name}.png", TOLERANCE)
    assert difference is None


@pytest.mark.parametrize("name", PICTURES)
def test_a_missing_line_is_no_picture_as_kept(name, tmp_path):
    def draw_less(ax):
        PICTURES[name](ax).get_lines()[-1].remove()
        return ax

    kept = tmp_path / "kept.png"
    kept.write_bytes((KEPT / f"{name}.png").read_bytes())
    picture_without_text(draw_less, tmp_path / f"{name}.png")
    assert compare_images(kept, tmp_path / f"{name}.png", TOLERANCE) is not None


def test_a_legend_stands_where_no_line_is():
    """Here every corner has one, and a middle has none."""
    ax = plot.schedules(
        {
            "constant": gd.schedules.Constant(),
            "step": gd.schedules.Step(10),
            "exponential": gd.schedules.Exponential(0.9),
            "inverse scaling": gd.schedules.InverseScaling(unit="epoch"),
            "cosine": gd.schedules.Cosine(30),
        },
        epochs=30,
    )
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    paths = [line.get_path().transformed(line.get_transform()) for line in ax.get_lines()]
    assert not any(path.intersects_bbox(box, filled=False) for path in paths)


def test_kept_pictures_are_small():
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 300_000


# --- labels and numbers ---------------------------------------------------------------------


def test_without_matplotlib_the_error_names_the_extra():
    code = "import sys; sys.modules['matplotlib'] = None; import fastgd; import fastgd.plot"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "pip install 'fastgd[plot]'" in run.stderr.splitlines()[-1]


def test_the_package_itself_imports_no_matplotlib():
    code = "import sys, fastgd; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
def test_rounding_up_is_never_below_and_close(value):
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
def test_what_is_no_history_is_refused(histories, error, words):
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
    }


@pytest.mark.parametrize("name", axes_takers())
def test_axes_are_those_given_or_new(name):
    draw = axes_takers()[name]
    ax = plt.subplots()[1]
    assert draw(ax) is ax
    assert draw(None) is not ax
    for label in (ax.get_xlabel(), ax.get_ylabel(), title_of(ax)):
        assert len(label) > 5
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes"):
        draw(ax.get_figure())


# --- loss -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("against", "finding"),
    [
        ("epoch", "Batch size 1 reaches loss 0.25 in 6 epochs, batch size n in 20 "
         "(3.3 times as many)"),
        ("update", "Batch size n reaches loss 0.25 in 20 updates, batch size 1 in 384 "
         "(19 times as many)"),
        ("second", "Batch size 8 reaches loss 0.25 in 1.6 seconds, batch size 1 in 4.8 "
         "(3.0 times as long)"),
    ],
)  # fmt: skip
def test_loss_says_who_is_first_and_last(against, finding):
    assert title_of(plot.loss(three_runs(), against=against)) == finding


@pytest.mark.parametrize(
    ("target", "finding"),
    [
        (0.01, "Batch size 1 reaches loss 0.01 in 15 epochs, batch size 8 in 19 (1.3 times as "
         "many); batch size n does not"),
        (0.002, "Batch size 1 reaches loss 0.002 in 20 epochs; 2 others do not"),
        (1e-9, "No run reaches loss 1e-09: the lowest is 0.0016 (batch size 1)"),
        (5, "All runs reach loss 5 in 1 epoch"),
    ],
)  # fmt: skip
def test_loss_says_who_reaches_the_target(target, finding):
    assert title_of(plot.loss(three_runs(), target=target)) == finding


@pytest.mark.parametrize(
    ("run", "finding"),
    [
        (history([2, 1, 0.5]), "The loss falls from 2 to 0.5 in 3 epochs"),
        (history([1, 2]), "The loss rises from 1 to 2 in 2 epochs"),
        (history([1, 2, 1]), "The loss is 1 in the first and in the last of 3 epochs"),
        (history([0.5]), "The loss is 0.5 in the only epoch"),
        (history([2, 5], diverged=True),
         "The loss rises from 2 to 5 in 2 epochs, and then diverges"),
    ],
)  # fmt: skip
def test_one_loss_says_how_it_goes(run, finding):
    assert title_of(plot.loss(run)) == finding


def test_one_loss_and_a_target():
    run = history([2, 1, 0.5])
    assert title_of(plot.loss(run, target=1)) == "The training reaches loss 1 in 2 epochs"
    assert title_of(plot.loss(run, target=0.1)) == "Loss 0.1 is not reached: the lowest is 0.5"


def test_a_run_that_diverged_at_once_is_named_and_does_not_set_the_level():
    ax = plot.loss({8: history([2, 1]), 1: history([], diverged=True)})
    assert labels_of(ax) == ["batch size 8", "batch size 1 (diverged)", "loss 1"]
    assert title_of(ax) == "Batch size 8 reaches loss 1 in 2 epochs; batch size 1 does not"


def test_what_was_validated_is_drawn():
    run = history([2, 1], validation_loss=[3, 2.5])
    ax = plot.loss(run, validation=True)
    assert ax.get_lines()[0].get_ydata().tolist() == [3, 2.5]
    assert ax.get_ylabel().startswith("validation loss")


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        (history([]), {}, "nothing to draw"),
        (history([np.nan]), {}, "nothing to draw"),
        (history([1]), {"validation": True}, "pass validation= to fastgd.train"),
        (history([1, 2], validation_loss=[1]), {"validation": True}, "resumed"),
        (history([1]), {"against": "batch"}, "against is 'batch'"),
        (history([1]), {"target": np.nan}, "target is nan"),
    ],
)
def test_loss_refuses(run, options, words):
    with pytest.raises(ValueError, match=words):
        plot.loss(run, **options)


names = st.integers(1, 9) | st.none() | st.text("a_$ \\^{", max_size=5)
losses = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6)


@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate]
)  # shrinking is slow
@given(
    runs=st.dictionaries(
        st.integers(1, 9) | st.none() | st.text("a_$ \\^{", max_size=5), losses, min_size=1
    ),
    against=st.sampled_from(["epoch", "update", "second"]),
    seconds=st.sampled_from([0.0, 1e-7, 3.0]),
)
def test_loss_of_whatever_happened_is_drawn_or_refused(runs, against, seconds):
    """No warning (an error here), and no crash while drawing. To shrink a failure takes long."""
    histories = {
        name: history(values, seconds=[seconds] * len(values)) for name, values in runs.items()
    }
    if not any(np.any(np.abs(values) <= 1e100) for values in runs.values()):
        with pytest.raises(ValueError, match="nothing to draw"):
            plot.loss(histories, against=against)
        return
    ax = plot.loss(histories, against=against)
    ax.get_figure().canvas.draw()
    plt.close("all")


# --- trace ----------------------------------------------------------------------------------


def recorded(values, name="loss", epochs=4):
    values = np.asarray(values, np.float64)
    steps = np.arange(1, len(values) + 1)
    return history([1.0] * epochs, updates=len(values), trace={name: values, "step": steps})


def test_updates_are_those_that_each_epoch_made():
    """As after a training that was resumed with other batches."""
    run = history([3, 2, 1], updates=14, epoch_updates=[10, 2, 2])
    run.trace.update(loss=np.ones(4), step=np.array([5, 10, 12, 13]))
    assert plot.loss(run, against="update").get_lines()[0].get_xdata().tolist() == [10, 12, 14]
    steps = plot.trace(run, against="epoch").get_lines()[0].get_xdata()
    assert steps.tolist() == [0.5, 1, 2, 2.5]


@pytest.mark.parametrize("epochs", [1, 2, 3, 20, 3000])
def test_axes_that_count_have_whole_numbers(epochs):
    run = history(np.linspace(2, 1, epochs), updates=epochs)
    run.trace.update(loss=np.linspace(2, 1, epochs), step=np.arange(1, epochs + 1))
    for ax in (
        plot.loss(run),
        plot.loss(run, against="update"),
        plot.trace(run),
        plot.schedules(gd.schedules.Constant(), epochs=epochs),
    ):
        ax.get_figure().canvas.draw()
        shown = [text.get_text() for text in ax.get_xticklabels()]
        assert all(re.fullmatch("[\N{MINUS SIGN}-]?[0-9,]+", text) for text in shown)
        assert len(set(shown)) == len(shown)


def test_a_noise_scale_is_shown_as_a_whole():
    values = np.append(np.linspace(10, 20, 99), 4000)
    bottom, top = plot.trace(recorded(values, "noise_scale"), "noise_scale").get_ylim()
    assert bottom < 10
    assert top > 4000


def test_an_infinite_noise_scale_is_said():
    """It is no gap to be left out of medians: there is no batch size that would be enough."""
    ax = plot.trace(recorded([10.0] * 50 + [np.inf] * 50, "noise_scale"), "noise_scale")
    assert title_of(ax).endswith(
        "is 10 in the first tenth of the steps, beyond measure in the last"
    )
    assert "gaps" in ax.get_ylabel()
    assert "gaps" not in plot.trace(recorded([10, 20], "noise_scale"), "noise_scale").get_ylabel()


def test_trace_says_how_rough_the_losses_are():
    """Alternating between 1 and 3: differences of 2, so a standard deviation of sqrt(2) in 2."""
    runs = {1: recorded([1, 3] * 50), None: recorded(np.linspace(5, 2, 100))}
    assert title_of(plot.trace(runs)) == (
        "In the second half the loss goes up and down by 70.7 % with batch size 1, by 0.8 % with "
        "batch size n"
    )


@pytest.mark.parametrize("name", ["gradient_norm", "noise_scale"])
def test_trace_says_where_other_records_end(name):
    noun = {"gradient_norm": "norm of the gradient", "noise_scale": "noise scale"}[name]
    runs = {1: recorded(np.linspace(9, 1, 101), name), 8: recorded(np.full(10, 5.0), name)}
    assert title_of(plot.trace(runs, name)) == (
        f"In the last tenth of the steps the {noun} is 5 with batch size 8, 1.4 with batch size 1 "
        "(medians)"
    )
    assert title_of(plot.trace(runs[1], name)) == (
        f"The median {noun} is 8.6 in the first tenth of the steps, 1.4 in the last"
    )


def test_the_running_mean_is_over_a_twentieth_of_the_steps():
    values = np.random.default_rng(0).normal(size=200)
    line = plot.trace(recorded(values), against="epoch").get_lines()[1]
    np.testing.assert_allclose(line.get_ydata()[0], values[:10].mean())
    np.testing.assert_allclose(line.get_xdata()[[0, -1]], np.array([5.5, 195.5]) / 50)


def test_traces_of_a_real_training_share_their_time():
    X, y = line_data()
    run = gd.train(
        gd.Network([1, 1]), X, y, batch_size=4, epochs=3, rng=0,
        record=("loss", "gradient_norm", "noise_scale"), record_every=5,
    )  # fmt: skip
    for name in ("loss", "gradient_norm", "noise_scale"):
        line = plot.trace(run, name, against="epoch").get_lines()[0]
        np.testing.assert_allclose(line.get_xdata(), [0.5, 1, 1.5, 2, 2.5, 3])


@settings(max_examples=20, deadline=None, phases=[Phase.generate])
@given(runs=st.dictionaries(names, losses, min_size=1, max_size=3))
@pytest.mark.parametrize("name", ["loss", "noise_scale"])
def test_whatever_was_recorded_is_drawn_or_refused(name, runs):
    histories = {key: recorded(values, name) for key, values in runs.items()}
    if not any(np.any(np.abs(values) <= 1e100) for values in runs.values()):
        with pytest.raises(ValueError, match="nothing to draw"):
            plot.trace(histories, name)
        return
    plot.trace(histories, name).get_figure().canvas.draw()
    plt.close("all")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("params", {}, "name is 'params'"),
        ("gradient_norm", {}, r"train with record=\('gradient_norm',\)"),
        ("loss", {"against": "second"}, "against is 'second'"),
    ],
)
def test_trace_refuses(name, options, words):
    with pytest.raises(ValueError, match=words):
        plot.trace(recorded([1.0]), name, **options)


# --- paths ----------------------------------------------------------------------------------


def test_the_bowl_is_the_cost():
    X, y = line_data()
    ax = plot.paths(X, y, two_ways())
    slope, intercept = np.polyfit(X[:, 0], y, 1)
    star = next(line for line in ax.get_lines() if line.get_marker() == "*")
    np.testing.assert_allclose([star.get_xdata()[0], star.get_ydata()[0]], [slope, intercept])
    least = np.mean((slope * X[:, 0] + intercept - y) ** 2)
    assert labels_of(ax)[-1] == f"least cost, {least:.3g}"
    bowl = _paths._bowl(X[:, 0], y)
    for theta in ([0, 0], [1, -3], [2, 1]):
        cost = np.mean((theta[0] * X[:, 0] + theta[1] - y) ** 2)
        excess = bowl.excess(*np.array(theta, np.float64))
        np.testing.assert_allclose(excess + least, cost)


def test_paths_compare_the_wandering():
    X, y = line_data()
    there_and_back = traced([[0, 0], [3, 0], [1, 0]])
    straight = traced([[0, 0], [1, 0.5], [2, 1]])
    ax = plot.paths(X, y, {1: there_and_back, None: straight})
    assert title_of(ax) == (
        "The way of batch size 1 is 5.0 times as long as the straight one to its end, that of "
        "batch size n 1.0 times"
    )
    ax = plot.paths(X, y, {1: straight, 2: straight})
    assert title_of(ax) == "All ways are 1.0 times as long as the straight ones to their ends"


def test_one_path_says_what_its_end_costs():
    X = np.array([[-1.0], [1.0]])
    ax = plot.paths(X, [0.0, 2.0], traced([[0, 0], [1, 1.5]]))
    assert title_of(ax) == "The training ends at a cost 0.25 above the least, 0"


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
def test_any_way_is_drawn_within_a_picture_of_the_minimum(way, x):
    y = 2 * np.array(x) + 1
    ax = plot.paths(np.reshape(x, (-1, 1)), y, traced(way))
    ax.get_figure().canvas.draw()
    assert np.isfinite(ax.get_xlim() + ax.get_ylim()).all()
    if np.ptp(x) > 0:  # else there is a valley, and no way in it is far
        assert np.ptp(ax.get_xlim()) < 1e3


def test_a_way_that_leaves_the_picture_says_so():
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
def test_paths_refuse(run, words):
    X, y = line_data()
    with pytest.raises(ValueError, match=words):
        plot.paths(X, y, {"a": run})


def test_the_moving_picture_moves_and_stays_at_its_end(tmp_path):
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


def test_the_moving_picture_keeps_the_lines_colours(tmp_path):
    """A palette chosen from the pixels would lose those of thin lines."""
    runs = {k: traced([[0, 0], [1, k]]) for k in range(1, 7)}
    file = plot.animate_paths(*line_data(), runs, tmp_path / "a.gif", frames=2)
    with Image.open(file) as image:
        image.seek(1)
        seen = {color for _, color in image.convert("RGB").getcolors(1 << 20)}
    assert {to_hex(np.array(color) / 255).upper() for color in seen} > set(_drawing.COLORS)


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
def test_moving_pictures_are_refused_before_anything_is_written(tmp_path, name, options, words):
    with pytest.raises(ValueError, match=words):
        plot.animate_paths(*line_data(), two_ways(), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


# --- schedules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "finding"),
    [
        (gd.schedules.Constant(), "The learning rate stays at 0.1"),
        (gd.schedules.Step(5, gamma=0.5),
         "The learning rate begins at 0.1 and ends at 0.05, after 10 epochs"),
        (gd.schedules.Function(lambda t: 1 + (t == 4)),
         "The learning rate begins at 0.1, is highest after 4 epochs (0.2), and ends at 0.1"),
    ],
)  # fmt: skip
def test_one_schedule_says_where_it_goes(schedule, finding):
    assert title_of(plot.schedules(schedule, epochs=10)) == finding


def test_schedules_say_where_they_end():
    two = {"half": gd.schedules.Step(1, gamma=0.5), "tenth": gd.schedules.Step(1, gamma=0.1)}
    assert title_of(plot.schedules(two, epochs=2)) == (
        "In the last of 2 epochs the learning rate is 0.05 with 'half', 0.01 with 'tenth'"
    )


@pytest.mark.parametrize(("against", "end"), [("epoch", 3), ("update", 12)])
def test_rates_are_drawn_where_they_hold(against, end):
    schedule = gd.schedules.Exponential(0.5, unit="update")
    ax = plot.schedules(schedule, epochs=3, updates_per_epoch=4, against=against)
    line = ax.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), np.linspace(0, end, 13))
    np.testing.assert_allclose(line.get_ydata()[:-1], schedule.rates(0.1, 0, 12))


def test_what_reacts_to_the_loss_is_not_drawn():
    with pytest.raises(ValueError, match=r"History\.learning_rate"):
        plot.schedules({"plateau": gd.schedules.OnPlateau()})


# --- the spread of gradients ----------------------------------------------------------------


def test_the_mean_and_the_spreads_are_those_of_the_definition():
    X, y = line_data()
    net = gd.Network([1, 1], dtype="float64")
    ax = plot.gradient_spread(net, X, y, batch_size=4)
    dots, whole, batch, mean = ax.get_lines()[:4]
    np.testing.assert_allclose(mean.get_xydata()[0], gd.gradient(net, X, y))
    np.testing.assert_allclose(dots.get_xydata(), single_gradients(net, X, y))
    np.testing.assert_allclose(np.ptp(whole.get_xdata()) / 2, dots.get_xdata().std(), rtol=1e-3)
    rng = np.random.default_rng(0)
    means = [dots.get_xdata()[rng.permutation(40)[:4]].mean() for _ in range(4000)]
    np.testing.assert_allclose(np.ptp(batch.get_xdata()) / 2, np.std(means), rtol=0.05)


def test_spread_is_said_in_lengths_of_the_mean():
    net = gd.Network([1, 1], dtype="float64")
    ax = plot.gradient_spread(net, [[1.0], [1.0]], [0.5, 1.5])  # gradients -1 and -3, both ways
    assert title_of(ax) == (
        "Single gradients are off their mean by 0.5 times its length (root mean square)"
    )


@pytest.mark.parametrize(
    ("X", "y", "finding"),
    [
        ([[1.0]], [1.0], "One sample: its gradient is the mean, 2.83 long"),
        ([[1.0], [1.0]], [1.0, 1.0], "The gradients of all 2 samples agree: 2.83 long"),
        ([[1.0], [1.0]], [1.0, -1.0],
         "The mean gradient vanishes, yet single ones are 2.83 long (root mean square)"),
        ([[1.0], [2.0]], [0.0, 0.0], "The gradients of all 2 samples agree: 0 long"),
    ],
)  # fmt: skip
def test_spread_of_odd_data(X, y, finding):
    ax = plot.gradient_spread(gd.Network([1, 1]), X, y, batch_size=1)
    ax.get_figure().canvas.draw()
    assert title_of(ax) == finding


@pytest.mark.parametrize(
    ("parameters", "names"),
    [((0, -1), ["weights[0][0, 0]", "biases[1][0]"]), ((8, 6), ["biases[0][2]", "biases[0][0]"])],
)
def test_parameters_are_named_by_their_place(parameters, names):
    net = gd.Network([2, 3, 1], rng=0)
    ax = plot.gradient_spread(net, np.ones((3, 2)), [1, 2, 3], parameters=parameters)
    assert names[0] in ax.get_xlabel()
    assert names[1] in ax.get_ylabel()


@pytest.mark.parametrize(
    ("parameters", "error"),
    [((0, 2), ValueError), ((1, -1), ValueError), ((0,), TypeError), ("01", TypeError)],
)
def test_parameters_that_are_none_are_refused(parameters, error):
    with pytest.raises(error, match="parameters"):
        plot.gradient_spread(gd.Network([1, 1]), [[1.0]], [1.0], parameters=parameters)


# --- coverage -------------------------------------------------------------------------------


def test_an_epoch_with_replacement_sees_63_per_cent():
    ax = plot.coverage(["shuffle", "replacement"], 1_000_000)
    assert title_of(ax) == (
        "After 1,000,000 draws the sampling 'replacement' has seen 63.2 % of the samples, "
        "'shuffle' 100 %"
    )


@pytest.mark.parametrize("epochs", [1, 3])
def test_coverage_counts_distinct_samples(epochs):
    class Few:
        def epoch(self, n, rng):
            return np.array([0, 1, 1, 4])

    ax = plot.coverage(Few(), 8, epochs=epochs)
    line = ax.get_lines()[0].get_ydata().tolist()
    assert line == [0, 12.5, 25, 25, 37.5] + [37.5] * (4 * epochs - 4)
    assert title_of(ax) == (f"After {4 * epochs} draws the sampling has seen 37.5 % of the samples")


def test_samplings_that_see_the_same():
    ax = plot.coverage({"a": "shuffle", "b": "sequential"}, 1)
    assert title_of(ax) == "After 1 draws each sampling has seen 100 % of the samples"


@pytest.mark.parametrize(
    ("samplings", "options", "error", "words"),
    [
        ("shufle", {}, ValueError, "did you mean 'shuffle'"),
        ([], {}, ValueError, "empty"),
        (3, {}, TypeError, "samplings must"),
        ("stratified", {}, ValueError, "labels="),
        ("stratified", {"labels": [1, 2]}, ValueError, "labels has shape"),
        ("shuffle", {"epochs": 0}, ValueError, "epochs is 0"),
    ],
)
def test_coverage_refuses(samplings, options, error, words):
    with pytest.raises(error, match=words):
        plot.coverage(samplings, 10, **options)


# --- escape ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shares", "finding"),
    [
        (some_escapes(), "Batch size 1 leaves the saddle in 99.5 % of 200 runs, batch size 64 "
         "(all) in 0 %"),
        (some_escapes([1, 8], [5, 4], 10), "Batch size 1 leaves the saddle in 50 % of 10 runs, "
         "batch size 8 in 40 % (their intervals overlap)"),
        (some_escapes([8], [5], 10), "Batch size 8 leaves the saddle in 50 % of 10 runs"),
        (some_escapes([1, 8], [10, 10], 10),
         "Every batch size leaves the saddle in 100 % of 10 runs"),
        ({"a": some_escapes(), "b": some_escapes([1, 4], [0, 0])},
         "The largest batch size with which at least half of the runs leave the saddle: 1 (a), "
         "none (b)"),
    ],
)  # fmt: skip
def test_escape_says_where_most_and_fewest_runs_leave(shares, finding):
    assert title_of(plot.escape(shares)) == finding


def test_escape_draws_shares_with_their_intervals_in_order_of_batch_size():
    shares = some_escapes()
    ax = plot.escape(shares)
    line, *caps = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), [99.5, 40, 0])
    np.testing.assert_allclose(caps[0].get_ydata(), 100 * shares.low[[1, 2, 0]], atol=1e-12)
    np.testing.assert_allclose(caps[1].get_ydata(), 100 * shares.high[[1, 2, 0]])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "8", "64 (all)"]


if __name__ == "__main__":
    matplotlib.rcdefaults()
    KEPT.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        picture_without_text(draw, KEPT / f"{name}.png")
