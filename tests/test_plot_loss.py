"""plot.loss() and plot.trace(): the titles are true."""

import re

import numpy as np
import pytest
from drawn import (
    history,
    labels_of,
    line_data,
    losses,
    names,
    recorded,
    three_runs,
    title_of,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt

import fastgd as gd
from fastgd import plot

pytestmark = pytest.mark.usefixtures("own_figures")


# --- loss -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("against", "finding"),
    [
        ("epoch", "Batch size 1 reaches loss 0.25 in 6 epochs, all samples in 20 "
         "(3.3 times as many)"),
        ("update", "All samples reach loss 0.25 in 20 updates, batch size 1 in 384 "
         "(19 times as many)"),
        ("second", "Batch size 8 reaches loss 0.25 in 1.6 seconds, batch size 1 in 4.8 "
         "(3.0 times as long)"),
    ],
)  # fmt: skip
def test_the_title_states_the_first_and_last_run(against, finding):
    assert title_of(plot.loss(three_runs(), against=against)) == finding


@pytest.mark.parametrize(
    ("target", "finding"),
    [
        (0.01, "Batch size 1 reaches loss 0.01 in 15 epochs, batch size 8 in 19 (1.3 times as "
         "many); all samples do not"),
        (0.002, "Batch size 1 reaches loss 0.002 in 20 epochs; 2 others do not"),
        (1e-9, "No run reaches loss 1e-09: the lowest is 0.0016 (batch size 1)"),
        (5, "All runs reach loss 5 in 1 epoch"),
    ],
)  # fmt: skip
def test_the_title_states_which_run_reaches_the_target(target, finding):
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
def test_the_title_of_one_run_states_its_change(run, finding):
    assert title_of(plot.loss(run)) == finding


def test_one_loss_and_a_target():
    run = history([2, 1, 0.5])
    assert title_of(plot.loss(run, target=1)) == "The training reaches loss 1 in 2 epochs"
    assert title_of(plot.loss(run, target=0.1)) == "Loss 0.1 is not reached: the lowest is 0.5"


def test_a_run_that_diverged_at_once_is_named_and_does_not_set_the_level():
    ax = plot.loss({8: history([2, 1]), 1: history([], diverged=True)})
    assert labels_of(ax) == ["batch size 8", "batch size 1 (diverged)", "loss 1"]
    assert title_of(ax) == "Batch size 8 reaches loss 1 in 2 epochs; batch size 1 does not"


def test_validation_losses_are_drawn():
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
def test_loss_refuses_bad_arguments(run, options, words):
    with pytest.raises(ValueError, match=words):
        plot.loss(run, **options)


@settings(max_examples=40, deadline=None, phases=[Phase.generate])
@given(
    runs=st.dictionaries(
        st.integers(1, 9) | st.none() | st.text("a_$ \\^{", max_size=5), losses, min_size=1
    ),
    against=st.sampled_from(["epoch", "update", "second"]),
    seconds=st.sampled_from([0.0, 1e-7, 3.0]),
)
def test_any_losses_are_drawn_or_refused(runs, against, seconds):
    """No warning (an error here), and no crash while drawing. Shrinking a failure takes long."""
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


def test_updates_are_those_that_each_epoch_made():
    """As after a training that was resumed with other batches."""
    run = history([3, 2, 1], updates=14, epoch_updates=[10, 2, 2])
    run.trace.update(loss=np.ones(4), step=np.array([5, 10, 12, 13]))
    assert plot.loss(run, against="update").get_lines()[0].get_xdata().tolist() == [10, 12, 14]
    steps = plot.trace(run, against="epoch").get_lines()[0].get_xdata()
    assert steps.tolist() == [0.5, 1, 2, 2.5]


@pytest.mark.parametrize("epochs", [1, 2, 3, 20, 3000])
def test_axes_of_counts_have_whole_numbers(epochs):
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


def test_an_infinite_noise_scale_is_stated():
    """An infinite value counts in medians: no batch size would be large enough."""
    ax = plot.trace(recorded([10.0] * 50 + [np.inf] * 50, "noise_scale"), "noise_scale")
    assert title_of(ax).endswith(
        "is 10 in the first tenth of the steps, beyond measure in the last"
    )
    assert "gaps" in ax.get_ylabel()
    assert "gaps" not in plot.trace(recorded([10, 20], "noise_scale"), "noise_scale").get_ylabel()


def test_the_title_states_the_scatter_of_losses():
    """Alternating between 1 and 3: differences of 2, so a standard deviation of sqrt(2) in 2."""
    runs = {1: recorded([1, 3] * 50), None: recorded(np.linspace(5, 2, 100))}
    assert title_of(plot.trace(runs)) == (
        "In the second half the losses scatter by 70.7 % of their mean with batch size 1, by 0.8 % "
        "with all samples"
    )


@pytest.mark.parametrize("name", ["gradient_norm", "noise_scale"])
def test_the_title_states_the_last_values_of_other_records(name):
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


def test_traces_of_real_trainings_share_the_axis():
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
def test_any_records_are_drawn_or_refused(name, runs):
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
def test_trace_refuses_bad_arguments(name, options, words):
    with pytest.raises(ValueError, match=words):
        plot.trace(recorded([1.0]), name, **options)
