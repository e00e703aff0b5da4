"""Pictures of schedules, samplings, the spread of gradients, and escapes."""

import numpy as np
import pytest
from drawn import (
    labels_of,
    line_data,
    single_gradients,
    some_escapes,
    title_of,
)

import fastgd as gd
from fastgd import plot

pytestmark = pytest.mark.usefixtures("own_figures")


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
def test_the_title_of_one_schedule_states_its_rates(schedule, finding):
    assert title_of(plot.schedules(schedule, epochs=10)) == finding


def test_the_title_of_several_schedules_states_their_last_rates():
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


def test_a_schedule_that_reacts_to_the_loss_is_refused():
    with pytest.raises(ValueError, match=r"History\.learning_rate"):
        plot.schedules({"plateau": gd.schedules.OnPlateau()})


# --- the spread of gradients ----------------------------------------------------------------


def test_mean_and_spreads_equal_their_definition():
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


def test_the_title_states_the_spread_relative_to_the_mean():
    net = gd.Network([1, 1], dtype="float64")
    ax = plot.gradient_spread(net, [[1.0], [1.0]], [0.5, 1.5])  # gradients -1 and -3, both ways
    assert title_of(ax) == (
        "Single gradients deviate from their mean by 0.5 times its length (root mean square)"
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
def test_invalid_parameters_are_refused(parameters, error):
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


def test_samplings_with_equal_coverage():
    ax = plot.coverage({"a": "shuffle", "b": "sequential"}, 1)
    assert title_of(ax) == "After 1 draw each sampling has seen 100 % of the samples"


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
def test_coverage_refuses_bad_arguments(samplings, options, error, words):
    with pytest.raises(error, match=words):
        plot.coverage(samplings, 10, **options)


# --- escape -----------------------------------------------------------------------------


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
def test_the_title_states_the_highest_and_lowest_share(shares, finding):
    assert title_of(plot.escape(shares)) == finding


def test_escape_draws_shares_with_their_intervals_in_order_of_batch_size():
    shares = some_escapes()
    ax = plot.escape(shares)
    line, *caps = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), [99.5, 40, 0])
    np.testing.assert_allclose(caps[0].get_ydata(), 100 * shares.low[[1, 2, 0]], atol=1e-12)
    np.testing.assert_allclose(caps[1].get_ydata(), 100 * shares.high[[1, 2, 0]])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "8", "64 (all)"]


def test_samplings_with_equal_coverage_share_a_line():
    ax = plot.coverage(["shuffle", "replacement", "sequential"], 300)
    assert labels_of(ax) == ["shuffle and sequential", "replacement"]
    assert len(ax.get_lines()) == 2
