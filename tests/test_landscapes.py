"""Landscapes: their mathematics, descents on them, escapes from saddles, convexity."""

import runpy
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import fastgd as gd
from fastgd.landscapes import (
    Bowl,
    Quintic,
    Rosenbrock,
    Saddle,
    descend,
    escape_share,
)
from fastgd.landscapes._escape import wilson_interval
from fastgd.landscapes._runs import Runs

ROTATION = np.array([[0.6, -0.8], [0.8, 0.6]])
LANDSCAPES = [
    Quintic(),
    Quintic(n=7, spread=0.3, rng=1),
    Saddle(),
    Bowl(condition=50, n_params=4),
    Bowl(condition=5, axes=ROTATION, n=5),
    Rosenbrock(),
    Rosenbrock(5),
]
#: every kind of optimizer, and SGD in its other forms
OPTIMIZERS = [
    *(kind(learning_rate=0.01) for kind in gd.optimizers.OPTIMIZERS.values()),
    gd.SGD(0.01, momentum=0.5),
    gd.SGD(0.01, momentum=0.5, nesterov=True),
]
each_landscape = pytest.mark.parametrize("landscape", LANDSCAPES, ids=repr)


def points_of(landscape, n=6):
    return np.random.default_rng(5).uniform(-2, 2, (n, landscape.n_params))


def differences(function, theta, step=1e-5):
    """Central differences along each parameter, on a new last axis."""
    shifts = step * np.eye(len(theta))
    return np.stack([(function(theta + s) - function(theta - s)) / (2 * step) for s in shifts], -1)


# the mathematics


@each_landscape
def test_term_gradients_are_finite_differences(landscape):
    samples = np.arange(landscape.n)
    for theta in points_of(landscape):
        expected = differences(lambda t: landscape.losses(t, samples), theta)
        actual = landscape.gradients(theta, samples)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@each_landscape
def test_gradient_is_finite_differences_of_the_cost(landscape):
    for theta in points_of(landscape):
        expected = differences(landscape, theta)
        np.testing.assert_allclose(landscape.gradient(theta), expected, rtol=1e-6, atol=1e-6)


@each_landscape
def test_hessian_is_finite_differences_of_the_gradient(landscape):
    for theta in points_of(landscape):
        expected = differences(landscape.gradient, theta)
        np.testing.assert_allclose(landscape.hessian(theta), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("landscape", "cost"),
    [
        (Quintic(), lambda t: (t[0] + 1.5) ** 5 / 50 - 5 * (t[0] + 1.5) ** 3 / 24),
        (Saddle(n=9), lambda t: (t[0] ** 2 - 1) ** 2 / 4 + t[1] ** 2 / 2),
        (
            Rosenbrock(3),
            lambda t: sum(100 * (t[k + 1] - t[k] ** 2) ** 2 + (1 - t[k]) ** 2 for k in (0, 1)),
        ),
    ],
    ids=repr,
)
def test_mean_of_the_terms_is_the_cost_of_the_formula(landscape, cost):
    for theta in points_of(landscape):
        terms = [landscape.losses(theta, np.array([i])).item() for i in range(landscape.n)]
        np.testing.assert_allclose(np.mean(terms), cost(theta), rtol=1e-13)
        np.testing.assert_allclose(landscape(theta), cost(theta), rtol=1e-13)


@each_landscape
def test_batchs_cost_is_not_the_cost_and_the_mean_over_batches_is(landscape):
    theta = landscape.start + 0.1
    batches = np.arange(landscape.n).reshape(-1, 1)
    costs = [landscape(theta, batch) for batch in batches]
    gradients = [landscape.gradient(theta, batch) for batch in batches]
    assert len(set(costs)) > 1
    np.testing.assert_allclose(np.mean(costs), landscape(theta), rtol=1e-13)
    np.testing.assert_allclose(
        np.mean(gradients, axis=0), landscape.gradient(theta), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("landscape", [Quintic(), Saddle()], ids=repr)
def test_what_landscapes_share_can_not_be_changed(landscape):
    for array in (landscape.start, landscape.saddle, landscape.minima):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


@pytest.mark.parametrize(
    ("landscape", "theta", "escaped"),
    [
        (Quintic(), [-3.0], False),
        (Quintic(), [-0.26], False),
        (Quintic(), [-0.24], True),
        (Quintic(), [1.2], True),
        (Quintic(), [1e6], False),
        (Quintic(), [np.nan], False),
        (Saddle(), [0.0, 0.3], False),
        (Saddle(), [-0.6, 0.3], True),
        (Saddle(), [0.9, 5.0], False),
    ],
)
def test_escaped_is_near_a_minimum(landscape, theta, escaped):
    assert bool(landscape.escaped(np.array(theta))) is escaped


def test_bowl_is_its_quadratic_form():
    bowl = Bowl(condition=5, axes=ROTATION)
    for theta in points_of(bowl):
        expected = theta @ bowl.hessian(theta) @ theta / 2
        np.testing.assert_allclose(bowl(theta) - bowl([0, 0]), expected, rtol=1e-12)


@pytest.mark.parametrize("condition", [1, 3.5, 1e6])
@pytest.mark.parametrize("n_params", [2, 5])
def test_bowl_has_the_condition_number_asked_for(condition, n_params):
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((n_params, n_params)))[0]
    for bowl in (Bowl(condition, n_params), Bowl(condition, n_params, axes=axes)):
        assert np.linalg.cond(bowl.hessian(bowl.start)) == pytest.approx(condition, rel=1e-8)


def test_best_rate_shrinks_the_bowls_error_by_the_factor_of_the_condition():
    """The error of both extreme axes shrinks by (condition - 1) / (condition + 1) a step."""
    bowl = Bowl(condition=9)
    theta, _ = descend(bowl, [1, 1], batch_size=None, epochs=3, optimizer=gd.SGD(2 / (1 + 1 / 9)))
    np.testing.assert_allclose(np.abs(theta), 0.8**3, rtol=1e-12)


@each_landscape
def test_minima_are_minima(landscape):
    for minimum in landscape.minima:
        np.testing.assert_allclose(landscape.gradient(minimum), 0, atol=1e-14)
        assert np.linalg.eigvalsh(landscape.hessian(minimum)).min() > 0


@pytest.mark.parametrize("landscape", [Quintic(), Saddle()], ids=repr)
def test_slope_vanishes_at_the_saddle_but_not_that_of_its_terms(landscape):
    assert landscape.gradient(landscape.saddle).tolist() == [0.0] * landscape.n_params
    terms = landscape.gradients(landscape.saddle, np.arange(landscape.n))
    assert (np.linalg.norm(terms, axis=1) > 1e-3).all()


def test_saddle_of_the_quintic_is_an_inflection_between_minus_2_and_minus_1():
    quintic = Quintic()
    assert -2 < quintic.saddle.item() < -1
    assert quintic.hessian(quintic.saddle).item() == 0
    theta = np.linspace(-3.99, 0.99, 1000)[:, None]
    assert (quintic.gradient(theta) < 0).all()


def test_saddle_in_two_dimensions_curves_both_ways():
    saddle = Saddle()
    assert np.linalg.eigvalsh(saddle.hessian(saddle.saddle)).tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("n", [1, 2, 63, 64, 1000])
@pytest.mark.parametrize("spread", [0, 1e-3, 0.7, 3.0])
def test_tilts_add_up_to_zero_in_any_order(n, spread):
    tilts = Saddle(n=n, spread=spread).tilts
    assert tilts.shape == (n, 2)
    assert np.abs(tilts).max() <= spread
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(n)
        assert np.cumsum(tilts[order], axis=0)[-1].tolist() == [0.0, 0.0]


def test_largest_learning_rate_is_where_the_minimum_loses_its_hold():
    bowl = Bowl(condition=10)
    ends = [
        descend(bowl, [1, 1], batch_size=None, epochs=50, optimizer=gd.SGD(rate))[0]
        for rate in (0.99 * bowl.largest_learning_rate, 1.01 * bowl.largest_learning_rate)
    ]
    assert abs(ends[0][0]) < 1 < abs(ends[1][0])


# descents


def by_definition(landscape, start, batch_size, epochs, optimizer, rng):
    """The loop over terms, one at a time."""
    params = np.array(start, np.float64)
    state = optimizer.initial_state(params)
    losses = []
    for _ in range(epochs):
        order = gd.sampling.Shuffle().epoch(landscape.n, rng)
        for first in range(0, landscape.n, batch_size):
            batch = order[first : first + batch_size]
            losses.append(np.mean([landscape.losses(params, np.array([i])) for i in batch]))
            gradient = np.zeros_like(params)
            for i in batch:
                gradient += landscape.gradients(params, np.array([i]))[0] / len(batch)
            optimizer.update(params, gradient, state, optimizer.learning_rate)
    return params, losses


@each_landscape
@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_descend_is_its_definition(landscape, batch_size):
    optimizer = gd.SGD(1e-4, momentum=0.9)
    theta, history = descend(landscape, batch_size=batch_size, epochs=3, optimizer=optimizer, rng=4)
    expected, losses = by_definition(
        landscape, landscape.start, batch_size or landscape.n, 3, optimizer,
        np.random.default_rng(4),
    )  # fmt: skip
    np.testing.assert_allclose(theta, expected, rtol=1e-12)
    np.testing.assert_allclose(history.trace["loss"], losses, rtol=1e-12)


def test_descend_makes_the_steps_that_train_makes():
    """A linear model with one weight and no features but 1 is a bowl of one parameter."""
    bowl = Bowl(condition=1, n_params=1, n=20)
    net = gd.Network([1, 1], dtype="float64", rng=0)
    net.params[:] = [0.0, 2.0]
    history = gd.train(
        net, np.zeros((20, 1)), bowl.centres[:, 0], batch_size=3, epochs=4,
        optimizer=gd.SGD(0.05), rng=7,
    )  # fmt: skip
    theta, ours = descend(bowl, 2.0, batch_size=3, epochs=4, optimizer=gd.SGD(0.1), rng=7)
    np.testing.assert_allclose(theta, net.params[1:], rtol=1e-12)
    np.testing.assert_allclose(np.array(ours.loss) * 2, history.loss, rtol=1e-12)
    assert (ours.updates, ours.sample_gradients) == (history.updates, history.sample_gradients)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "sequential"])
def test_every_optimizer_and_sampling_goes_down(optimizer, sampling):
    bowl = Bowl()
    theta, history = descend(
        bowl, batch_size=8, epochs=30, optimizer=optimizer, sampling=sampling, rng=0
    )
    assert bowl(theta) < bowl(bowl.start)
    assert history.loss[-1] < history.loss[0]


class Backwards:
    def epoch(self, n, rng):
        return np.arange(n)[::-1]


def test_own_sampling():
    quintic = Quintic(n=3)
    _, history = descend(quintic, batch_size=1, epochs=1, sampling=Backwards())
    first = quintic.losses(quintic.start, np.array([2])).item()
    assert history.trace["loss"][0] == first


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "updates", "used"),
    [
        (1, False, 10, 10),
        (4, False, 3, 10),
        (4, True, 2, 8),
        (10, False, 1, 10),
        (None, True, 1, 10),
    ],
)
def test_history_counts(batch_size, drop_last, updates, used):
    _, history = descend(Quintic(n=10), batch_size=batch_size, epochs=3, drop_last=drop_last)
    assert (history.updates, history.sample_gradients) == (3 * updates, 3 * used)
    assert history.epochs == len(history.seconds) == len(history.learning_rate) == 3
    assert history.trace["loss"].shape == (3 * updates,)
    assert history.trace["params"].shape == (3 * updates, 1)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (None, [0.5] * 6),
        (lambda epoch: 1 / (epoch + 1), [0.5, 0.5, 0.25, 0.25, 0.5 / 3, 0.5 / 3]),
        (gd.schedules.Step(1, gamma=0.5), [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        (
            gd.schedules.Function(lambda update: 2.0**-update, unit="update"),
            [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625],
        ),
        (
            gd.schedules.OnPlateau(0.5, patience=0, threshold=0.9),
            [0.5, 0.5, 0.5, 0.5, 0.25, 0.25],
        ),
    ],
    ids=["None", "function", "Step", "Function", "OnPlateau"],
)
def test_schedules_give_each_steps_learning_rate(schedule, rates):
    """On a slope of 1 the steps are the learning rates."""

    class Slope(gd.landscapes.Landscape):
        n, n_params, start, minima = 4, 1, np.array([3.0]), np.array([[0.0]])

        def losses(self, theta, samples):
            return theta + 100 + 0 * samples

        def gradients(self, theta, samples):
            return np.ones((*samples.shape, 1))

        def hessian(self, theta):
            return np.zeros((1, 1))

    _, history = descend(Slope(), batch_size=2, epochs=3, optimizer=gd.SGD(0.5), schedule=schedule)
    steps = -np.diff(history.trace["params"][:, 0], prepend=3.0)
    np.testing.assert_allclose(steps, rates, rtol=1e-12)
    np.testing.assert_allclose(history.learning_rate, rates[::2], rtol=1e-12)
    assert (history.schedule is None) == (schedule is None)


def test_falling_rates_settle_where_constant_ones_wander():
    """The notes: learning rates that fall from large to small."""
    bowl = Bowl(condition=1)
    far = []
    for schedule in (None, lambda epoch: 1 / (1 + epoch)):
        _, history = descend(bowl, epochs=100, optimizer=gd.SGD(0.5), schedule=schedule, rng=0)
        far.append(np.linalg.norm(history.trace["params"][-64:], axis=1).mean())
    assert far[1] < 0.1 * far[0]


def test_a_stride_keeps_every_so_many_steps_of_all():
    bowl = Bowl()
    options = {"batch_size": 8, "epochs": 5, "rng": 0}
    _, every = descend(bowl, **options)
    _, some = descend(bowl, **options, record_every=3)
    assert some.trace["step"].tolist() == list(range(3, 41, 3))
    for name in ("loss", "params"):
        np.testing.assert_array_equal(some.trace[name], every.trace[name][2::3])


def test_poisson_batches_differ_in_size_and_are_divided_by_the_stated_one():
    bowl = Bowl(n=4)
    theta, history = descend(
        bowl, batch_size=1, epochs=200, sampling="poisson", optimizer=gd.SGD(0.01), rng=0
    )
    assert history.sample_gradients == pytest.approx(800, rel=0.2)
    params = np.vstack([bowl.start, history.trace["params"]])
    empty = np.isnan(history.trace["loss"])
    assert 0.2 < empty.mean() < 0.5  # (3 / 4)^4 = 0.32
    assert (params[1:][empty] == params[:-1][empty]).all()
    batch_step = params[1] - params[0]
    terms = -0.01 * bowl.gradients(bowl.start, np.arange(4))
    sums = [terms[list(some)].sum(axis=0) for k in range(5) for some in combinations(range(4), k)]
    assert np.abs(np.array(sums) - batch_step).max(axis=1).min() < 1e-12
    assert np.isfinite(theta).all()


def test_trace_ends_where_the_descent_ends():
    theta, history = descend(Saddle(), epochs=2, rng=0)
    assert history.start.tolist() == Saddle().start.tolist()
    assert history.trace["params"][-1].tolist() == theta.tolist()


def test_one_seed_gives_one_result():
    ends = [descend(Saddle(), batch_size=4, rng=3)[0].tolist() for _ in range(2)]
    assert ends[0] == ends[1]
    assert ends[0] != descend(Saddle(), batch_size=4, rng=4)[0].tolist()


def test_start_is_not_changed():
    start = np.array([0.5, 0.5])
    descend(Bowl(), start)
    assert start.tolist() == [0.5, 0.5]


def test_callbacks_see_each_epoch_and_can_stop():
    seen = []

    def callback(theta, history):
        seen.append((theta.item(), history.epochs))
        return history.epochs == 2

    theta, history = descend(Quintic(), epochs=10, callbacks=[callback])
    assert history.epochs == 2
    assert [epochs for _, epochs in seen] == [1, 2]
    assert seen[-1][0] == theta.item()


def test_no_epochs_leave_the_start():
    theta, history = descend(Rosenbrock(), epochs=0)
    assert theta.tolist() == [-1.2, 1.0]
    assert history.trace["params"].shape == (0, 2)


def test_small_batches_settle_on_rosenbrock_as_its_terms_agree():
    rosenbrock = Rosenbrock()
    theta, _ = descend(rosenbrock, [0.9, 0.8], epochs=3000, record=(), rng=0)
    assert rosenbrock(theta) < 0.01 * rosenbrock([0.9, 0.8])
    terms = rosenbrock.gradients(rosenbrock.minima[0], np.arange(rosenbrock.n))
    assert not terms.any()


def test_divergence_is_an_error_that_keeps_the_finite_epochs():
    with pytest.raises(gd.DivergenceError, match=r"learning rate 10.*below 2") as caught:
        descend(Bowl(), batch_size=None, epochs=1000, optimizer=gd.SGD(10.0))
    history = caught.value.history
    assert history.diverged
    assert history.epochs == len(history.trace["params"]) > 1
    assert np.isfinite(history.trace["params"]).all()


# the saddle


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1.5, 2.5])
def test_batch_gradient_descent_stays_before_the_quintics_saddle(rate):
    """For all stable rates, and for those up to 2.59 times as high."""
    quintic = Quintic()
    optimizer = gd.SGD(rate * quintic.largest_learning_rate)
    _, history = descend(quintic, -3.0, batch_size=None, epochs=2000, optimizer=optimizer, rng=0)
    path = history.trace["params"][:, 0]
    assert path.max() < -1.5
    assert (np.diff(path) > 0).all()
    assert path[-1] > -1.8


def test_step_is_shorter_than_the_way_to_the_quintics_saddle():
    """What the proof in the docstring rests on, on a fine grid."""
    quintic = Quintic()
    theta = np.linspace(-3, -1.5, 100_000, endpoint=False)[:, None]
    factor = (-quintic.gradient(theta) / (-1.5 - theta)).max()
    assert factor == pytest.approx(0.60141, abs=1e-4)
    assert 1 / factor == pytest.approx(1.6628, abs=1e-3)
    assert quintic.largest_learning_rate == pytest.approx(0.64)


def test_terms_of_the_quintic_keep_away_from_its_maximum():
    """What keeps small batches from falling off at -4: all slopes are below 0 on a long way."""
    quintic = Quintic()
    theta = np.linspace(-3.65, -2.78, 1000)[:, None]
    assert (quintic.gradients(theta, np.arange(quintic.n)) < 0).all()
    longest_step_left = quintic.largest_learning_rate * quintic.spread
    assert longest_step_left < 3.65 - 2.78


@pytest.mark.parametrize("rate", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_small_batches_pass_the_quintics_saddle(rate, batch_size):
    quintic = Quintic()
    optimizer = gd.SGD(rate * quintic.largest_learning_rate)
    for seed in range(5):
        theta, _ = descend(
            quintic, -3.0, batch_size=batch_size, epochs=100, optimizer=optimizer, rng=seed
        )
        assert theta.item() > 0


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.99])
def test_batch_gradient_descent_ends_in_the_saddle_of_two_dimensions(rate):
    saddle = Saddle()
    optimizer = gd.SGD(rate * saddle.largest_learning_rate)
    theta, _ = descend(saddle, [0, 1], batch_size=None, epochs=2000, optimizer=optimizer, rng=0)
    assert theta[0] == 0
    np.testing.assert_allclose(theta[1], 0, atol=1e-6)


@pytest.mark.parametrize("landscape", [Quintic(), Saddle()], ids=repr)
def test_share_that_escapes_falls_with_the_batch_size(landscape):
    shares = escape_share(landscape, batch_sizes=[1, 4, 16, None], n_seeds=60)
    assert shares.escaped[0] == 60
    assert shares.escaped[-1] == 0
    assert (np.diff(shares.share) <= 0).all()
    assert (np.diff(shares.median_updates[:-1]) > 0).all()
    assert not shares.diverged.any()


@pytest.mark.parametrize("landscape", [Quintic(n=30), Saddle(n=30)], ids=repr)
@pytest.mark.parametrize("batch_size", [1, 7, 30])
@pytest.mark.parametrize("optimizer", [gd.SGD(0.3), gd.SGD(0.05, momentum=0.9), gd.Adam(0.02)])
@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_runs_side_by_side_are_those_of_descend(landscape, batch_size, optimizer, sampling):
    updates = 120
    epochs = -(-updates // gd.plan(30, batch_size).batches)
    shares = escape_share(
        landscape, None, [batch_size], n_seeds=9, updates=updates, optimizer=optimizer,
        sampling=sampling,
    )  # fmt: skip
    firsts = []
    for seed in range(9):
        _, history = descend(
            landscape, batch_size=batch_size, epochs=epochs, optimizer=optimizer,
            sampling=sampling, rng=seed,
        )  # fmt: skip
        away = landscape.escaped(history.trace["params"][:updates])
        if away.any():
            firsts.append(int(away.argmax()) + 1)
    assert shares.escaped[0] == len(firsts)
    np.testing.assert_equal(shares.median_updates[0], np.median(firsts) if firsts else np.nan)


@each_landscape
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_many_runs_give_the_bits_of_one(landscape, batch_size, optimizer):
    batch_size = min(batch_size, landscape.n)
    orders = np.stack([np.random.default_rng(k).permutation(landscape.n) for k in range(11)])
    samples = orders[:, :batch_size]
    together = Runs(landscape, landscape.start, 11, optimizer)
    for _ in range(3):
        together.step(samples, 0.01)
    for k in range(11):
        alone = Runs(landscape, landscape.start, 1, optimizer)
        for _ in range(3):
            alone.step(samples[k : k + 1], 0.01)
        assert alone.params[0].tolist() == together.params[k].tolist()


def test_runs_that_diverge_are_counted_apart():
    shares = escape_share(
        Quintic(spread=30), batch_sizes=[1, None], n_seeds=20, optimizer=gd.SGD(0.5)
    )
    assert shares.diverged[0] > 0
    assert shares.escaped[0] + shares.diverged[0] <= 20
    assert "diverged" in str(shares)


def test_table_of_shares():
    shares = escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10)
    *_, first, last = str(shares).splitlines()
    assert first.split()[:4] == ["1", "10", "10", "100.0%"]
    assert last.split()[:5] == ["all", "64", "10", "0", "0.0%"]
    assert "95 % confidence" in str(shares)
    assert max(map(len, str(shares).splitlines())) < 80


def test_table_of_shares_in_a_notebook():
    html = escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10)._repr_html_()
    assert html.count("<tr") == 3
    assert "all 64" in html


def test_picture_of_shares():
    shares = escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10)
    ax = shares.plot(ax=Figure().subplots())
    assert "leaves the saddle in 100 % of 10 runs" in ax.get_title(loc="left").replace("\n", " ")


def test_table_of_shares_by_rich():
    console = Console(width=100)
    with console.capture() as capture:
        console.print(escape_share(Quintic(), batch_sizes=[1, None], n_seeds=10))
    assert "all 64" in capture.get()


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_against_newcombes_table(successes, trials, low, high):
    """Newcombe 1998, Statistics in Medicine 17, 857, table I, method 3."""
    ends = wilson_interval(np.array([successes]), trials, 0.95)
    np.testing.assert_allclose(np.ravel(ends), [low, high], atol=5e-5)


def test_wilson_interval_of_all_is_that_of_none_mirrored():
    low, high = wilson_interval(np.array([0, 50]), 50, 0.9)
    assert (low[0], high[1]) == (0, 1)
    assert 1 - low[1] == pytest.approx(high[0])


# convexity


def test_quintic_is_not_convex_and_the_counter_example_shows_it():
    quintic = Quintic()
    check = gd.is_convex_on(quintic, -3.0, 1.0)
    assert not check
    chord = check.alpha * quintic(check.u) + (1 - check.alpha) * quintic(check.v)
    value = quintic(check.alpha * check.u + (1 - check.alpha) * check.v)
    assert value > chord
    assert (check.chord, check.value) == pytest.approx((chord, value))
    assert str(check).startswith("Not convex: for u = [-3.], v = [1.] and a = 0.")


def test_quintic_is_convex_near_its_minimum():
    check = gd.is_convex_on(Quintic(), 0.5, 2.0)
    assert check
    assert check.alpha is check.u is check.chord is None
    assert "does not prove" in str(check)


@pytest.mark.parametrize("seed", range(5))
def test_bowl_is_convex_on_any_segment(seed):
    u, v = np.random.default_rng(seed).normal(size=(2, 4)) * 10
    assert gd.is_convex_on(Bowl(condition=1e4, n_params=4), u, v)


def test_saddle_is_convex_along_one_axis_only():
    assert gd.is_convex_on(Saddle(), [0, -1], [0, 1])
    assert not gd.is_convex_on(Saddle(), [-0.5, 0], [0.5, 0])


def test_dent_that_stays_below_the_chord_of_the_ends_is_found():
    def dented(theta):
        return theta.item() ** 2 + 0.02 * np.exp(-((theta.item() / 0.1) ** 2))

    check = gd.is_convex_on(dented, -1.0, 1.0)
    assert not check
    assert -1 < check.u.item() < check.v.item() < 1
    assert check.alpha == 0.5
    chord = (dented(check.u) + dented(check.v)) / 2
    assert dented((check.u + check.v) / 2) == pytest.approx(check.value, rel=1e-9)
    assert check.value > chord == pytest.approx(check.chord)


@pytest.mark.parametrize("f", [lambda t: 3.0, lambda t: 2 * t.sum() + 1e6, lambda t: abs(t).max()])
def test_straight_lines_and_corners_are_convex(f):
    assert gd.is_convex_on(f, [-0.3, 0.1], [1.7, 2.9])


def network_and_cost(sizes, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, sizes[0])).astype(dtype)
    y = np.sin(X.sum(axis=1))
    net = gd.Network(sizes, hidden="tanh", dtype=dtype, rng=0)
    gd.train(net, X, y, batch_size=None, epochs=50, optimizer=gd.Adam(0.05))

    def cost(theta):
        assert theta.dtype == dtype
        other = net.copy()
        other.params[:] = theta
        return other.loss_value(X, y)

    return net, cost


def test_cost_of_linear_regression_is_convex(dtype):
    net, cost = network_and_cost([3, 1], dtype)
    away = np.random.default_rng(1).standard_normal(net.n_params).astype(dtype)
    assert gd.is_convex_on(cost, net.params, away)


def test_cost_of_a_network_is_not_convex(dtype):
    """Between a network and the same one with its hidden units in another order."""
    net, cost = network_and_cost([3, 8, 1], dtype)
    other = net.copy()
    other.weights[0][:] = net.weights[0][:, ::-1]
    other.biases[0][:] = net.biases[0][::-1]
    other.weights[1][:] = net.weights[1][::-1]
    check = gd.is_convex_on(cost, net.params, other.params)
    assert not check
    assert check.value > check.chord


def test_f_can_not_change_what_is_checked():
    def careless(theta):
        theta *= 2
        return float(theta @ theta)

    u = np.array([1.0, 2.0])
    assert gd.is_convex_on(careless, u, [0, 0])
    assert u.tolist() == [1, 2]


# errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Quintic(n=0), ValueError, "n is 0, but must be at least 1"),
        (lambda: Quintic(spread=-1), ValueError, "spread is -1, but must be finite and at least 0"),
        (lambda: Bowl(0.5), ValueError, "condition is 0.5"),
        (lambda: Bowl(5, 1), ValueError, "one parameter has one curvature"),
        (lambda: Bowl(axes=[[1, 1], [0, 1]]), ValueError, "axes must be orthogonal"),
        (lambda: Bowl(axes=[1, 2]), ValueError, r"axes has shape \(2,\), but must have \(2, 2\)"),
        (lambda: Rosenbrock(1), ValueError, "n_params is 1, but must be at least 2"),
        (lambda: Saddle()([1, 2, 3]), ValueError, r"theta has shape \(3,\).*the 2 parameters"),
        (lambda: descend(len), TypeError, "landscape must be a fastgd.landscapes.Landscape"),
        (lambda: descend(Saddle(), [1]), ValueError, r"start has shape \(1,\).*\(2,\)"),
        (lambda: descend(Saddle(), [1, np.nan]), ValueError, r"start\[1\] is nan"),
        (lambda: descend(Saddle(), "ab"), TypeError, "start is 'ab'"),
        (lambda: descend(Saddle(), batch_size=65), ValueError, "batch_size is 65, but there are"),
        (lambda: descend(Saddle(), epochs=-1), ValueError, "epochs is -1"),
        (lambda: descend(Saddle(), optimizer=0.1), TypeError, "optimizer must be an optimizer"),
        (lambda: descend(Saddle(), schedule="step"), TypeError, "schedule must be None, a sched"),
        (lambda: descend(Saddle(), sampling="random"), ValueError, "sampling is 'random'"),
        (lambda: descend(Saddle(), record="loss"), TypeError, "record must list names"),
        (lambda: descend(Saddle(), record=["lost"]), ValueError, "did you mean 'loss'"),
        (lambda: descend(Saddle(), callbacks=print), TypeError, "callbacks must list functions"),
        (lambda: escape_share(Bowl()), ValueError, "has no saddle to escape from"),
        (lambda: escape_share(Quintic(), 0.9), ValueError, "near a minimum already"),
        (lambda: Quintic()(0, [64]), ValueError, "samples holds 64, but the terms .* to 63"),
        (lambda: Quintic()(0, [-1]), ValueError, "samples holds -1"),
        (lambda: Quintic().gradient(0, [0.5]), TypeError, "samples must list numbers of terms"),
        (lambda: Quintic()(0, []), TypeError, "samples must list numbers of terms"),
        (lambda: escape_share(Quintic(), batch_sizes=4), TypeError, "batch_sizes must list"),
        (lambda: escape_share(Quintic(), batch_sizes=[]), TypeError, "batch_sizes must list"),
        (lambda: escape_share(Quintic(), confidence=1), ValueError, "confidence is 1"),
        (lambda: escape_share(Quintic(), n_seeds=0), ValueError, "n_seeds is 0"),
        (lambda: gd.is_convex_on(3, [0], [1]), TypeError, "f must be a function"),
        (lambda: gd.is_convex_on(Bowl(), [0, 0], [0, 0]), ValueError, "u equals v"),
        (lambda: gd.is_convex_on(Bowl(), [0, 0], [1]), ValueError, r"v has shape \(1,\)"),
        (lambda: gd.is_convex_on(np.sin, [0, 0], [1, 1]), TypeError, "f must return one number"),
        (lambda: gd.is_convex_on(lambda t: 1e999, 0, 1), ValueError, "f is inf at"),
        (lambda: gd.is_convex_on(np.sum, 0, 1, points=0), ValueError, "points is 0"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_rng_of_a_landscape():
    tilts = Quintic(rng=3).tilts
    np.testing.assert_array_equal(Quintic(rng=np.random.default_rng(3)).tilts, tilts)
    for other in (4, None):
        assert (Quintic(rng=other).tilts != tilts).any()


def test_own_landscape():
    class Absolute(gd.landscapes.Landscape):
        n, n_params, start, minima = 2, 1, np.array([3.0]), np.array([[0.0]])

        def losses(self, theta, samples):
            return np.abs(theta + 0 * samples)

        def gradients(self, theta, samples):
            return np.sign(theta[..., None, :] + 0.0 * samples[..., None])

        def hessian(self, theta):
            return np.zeros((1, 1))

    theta, _ = descend(Absolute(), epochs=5, optimizer=gd.SGD(0.25))
    assert theta.item() == 0.5


def test_example_prints_the_shares(capsys):
    runpy.run_path(
        str(Path(__file__).parent.parent / "examples" / "saddle.py"), run_name="__main__"
    )
    printed = capsys.readouterr().out
    assert "Past the saddle: 200 of 200 with batch size 1, 0 with all terms." in printed
