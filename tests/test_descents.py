"""Descents on landscapes: equal to their definition, the records, and where they end."""

import inspect
from itertools import combinations

import numpy as np
import pytest
from conftest import assert_close, tolerance
from test_landscapes import OPTIMIZERS, each_landscape

import fastgd as gd
from fastgd.landscapes import Bowl, Quintic, Rosenbrock, Saddle, descend


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
def test_descend_equals_its_definition(landscape, batch_size):
    optimizer = gd.SGD(1e-4, momentum=0.9)
    theta, history = descend(landscape, batch_size=batch_size, epochs=3, optimizer=optimizer, rng=4)
    expected, losses = by_definition(
        landscape, landscape.start, batch_size or landscape.n, 3, optimizer,
        np.random.default_rng(4),
    )  # fmt: skip
    assert_close(theta, expected, "float64", 3 * landscape.n)
    assert_close(history.trace["loss"], losses, "float64", 3 * landscape.n)


def test_descend_and_train_make_the_same_steps():
    """A linear model with one weight and no features but 1 is a bowl of one parameter."""
    bowl = Bowl(condition=1, n_params=1, n=20)
    net = gd.Network([1, 1], dtype="float64", rng=0)
    net.params[:] = [0.0, 2.0]
    history = gd.train(
        net, np.zeros((20, 1)), bowl.centres[:, 0], batch_size=3, epochs=4,
        optimizer=gd.SGD(0.05), rng=7,
    )  # fmt: skip
    theta, ours = descend(bowl, 2.0, batch_size=3, epochs=4, optimizer=gd.SGD(0.1), rng=7)
    assert_close(theta, net.params[1:], "float64", 4 * 20)
    assert_close(np.array(ours.loss) * 2, history.loss, "float64", 4 * 20)
    assert (ours.updates, ours.sample_gradients) == (history.updates, history.sample_gradients)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "sequential"])
def test_every_optimizer_and_sampling_lowers_the_cost(optimizer, sampling):
    bowl = Bowl()
    theta, history = descend(
        bowl, batch_size=8, epochs=30, optimizer=optimizer, sampling=sampling, rng=0
    )
    assert bowl(theta) < bowl(bowl.start)
    assert history.loss[-1] < history.loss[0]


class Backwards:
    def epoch(self, n, rng):
        return np.arange(n)[::-1]


def test_a_users_sampling_is_followed():
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
    assert history.epoch_updates == [updates] * 3
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
    assert_close(steps, rates, "float64", 6)
    assert_close(history.learning_rate, rates[::2], "float64", 1)
    assert (history.schedule is None) == (schedule is None)


def test_falling_rates_converge_and_constant_ones_do_not():
    """As the study notes say of learning rates that fall from large to small."""
    bowl = Bowl(condition=1)
    far = []
    for schedule in (None, lambda epoch: 1 / (1 + epoch)):
        _, history = descend(bowl, epochs=100, optimizer=gd.SGD(0.5), schedule=schedule, rng=0)
        far.append(np.linalg.norm(history.trace["params"][-64:], axis=1).mean())
    assert far[1] < 0.1 * far[0]


def test_record_every_counts_steps_over_all_epochs():
    bowl = Bowl()
    options = {"batch_size": 8, "epochs": 5, "rng": 0}
    _, every = descend(bowl, **options)
    _, some = descend(bowl, **options, record_every=3)
    assert some.trace["step"].tolist() == list(range(3, 41, 3))
    for name in ("loss", "params"):
        np.testing.assert_array_equal(some.trace[name], every.trace[name][2::3])


@pytest.fixture
def poisson_descent():
    """A bowl of four terms, and the history of a descent by batches of one on average."""
    bowl = Bowl(n=4)
    return bowl, descend(
        bowl, batch_size=1, epochs=200, sampling="poisson", optimizer=gd.SGD(0.01), rng=0
    )[1]


def test_poisson_batches_differ_in_size_and_empty_ones_change_nothing(poisson_descent):
    bowl, history = poisson_descent
    # each of 4 terms in each of 800 batches with probability 1 / 4: standard error sqrt(600)
    assert history.sample_gradients == pytest.approx(800, abs=5 * np.sqrt(600))
    params = np.vstack([bowl.start, history.trace["params"]])
    empty = np.isnan(history.trace["loss"])
    assert 0.2 < empty.mean() < 0.5  # (3 / 4)^4 = 0.32
    assert (params[1:][empty] == params[:-1][empty]).all()


def test_poisson_batches_are_divided_by_the_stated_size(poisson_descent):
    bowl, history = poisson_descent
    batch_step = history.trace["params"][0] - bowl.start
    terms = -0.01 * bowl.gradients(bowl.start, np.arange(4))
    sums = [terms[list(some)].sum(axis=0) for k in range(5) for some in combinations(range(4), k)]
    assert np.abs(np.array(sums) - batch_step).max(axis=1).min() < tolerance("float64", 4)


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


def test_defaults_equal_those_of_train():
    theirs, ours = (inspect.signature(function).parameters for function in (gd.train, descend))
    for name in ("epochs", "drop_last", "schedule", "record_every", "rng"):
        assert ours[name].default == theirs[name].default


def test_no_epochs_return_the_start():
    theta, history = descend(Rosenbrock(), epochs=0)
    assert theta.tolist() == [-1.2, 1.0]
    assert history.trace["params"].shape == (0, 2)


def test_small_batches_converge_on_rosenbrock_whose_terms_share_a_minimum():
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


def test_a_users_landscape_works():
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


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: descend(len), TypeError, "landscape must be a fastgd.landscapes.Landscape"),
        (lambda: descend(Saddle(), [1]), ValueError, r"start has shape \(1,\).*\(2,\)"),
        (lambda: descend(Saddle(), [1, np.nan]), ValueError, r"start\[1\] is nan"),
        (lambda: descend(Saddle(), "ab"), TypeError, "start is 'ab'"),
        (lambda: descend(Saddle(), batch_size=0), ValueError, "batch_size is 0, but must be at"),
        (lambda: descend(Saddle(), epochs=-1), ValueError, "epochs is -1"),
        (lambda: descend(Saddle(), optimizer=0.1), TypeError, "optimizer must be an optimizer"),
        (lambda: descend(Saddle(), schedule="step"), TypeError, "schedule must be None, a sched"),
        (lambda: descend(Saddle(), sampling="random"), ValueError, "sampling is 'random'"),
        (lambda: descend(Saddle(), record="loss"), TypeError, "record must list names"),
        (lambda: descend(Saddle(), record=["lost"]), ValueError, "did you mean 'loss'"),
        (lambda: descend(Saddle(), callbacks=print), TypeError, "callbacks must list functions"),
        (lambda: descend(Saddle(), callbacks=5), TypeError, "callbacks must list functions"),
        (lambda: descend(Saddle(), callbacks=[len]), TypeError, r"takes \(theta, history\), but"),
        (lambda: descend(Saddle(), record=None), TypeError, "record must list names"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
