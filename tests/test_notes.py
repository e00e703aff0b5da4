"""The study notes' examples, worked out by hand; docs/ refers to them."""

import numpy as np
import pytest
from conftest import assert_close

import fastgd as gd
from fastgd.backends.loop import sample_gradient

TWO_X = np.array([[1.0], [2.0]])
TWO_Y = np.array([1.0, 3.0])


def line(theta1, theta0):
    net = gd.Network([1, 1], dtype="float64")
    net.weights[0][:] = theta1
    net.biases[0][:] = theta0
    return net


def test_two_samples_by_hand(backend):
    """theta1 = 1, theta0 = 1: the predictions are 2 and 3, the errors 1 and 0.

    The cost is (1 + 0) / 2. Each loss gets half of it back: d cost / d theta1 is
    (2 * 1 * x1 + 2 * 0 * x2) / 2 = 1, d cost / d theta0 is (2 * 1 + 2 * 0) / 2 = 1.
    """
    net = line(1, 1)
    assert net.loss_value(TWO_X, TWO_Y) == 0.5
    assert gd.gradient(net, TWO_X, TWO_Y, backend=backend).tolist() == [1.0, 1.0]


def test_one_step_on_two_samples_by_hand(backend):
    net = line(1, 1)
    gd.train(net, TWO_X, TWO_Y, batch_size=None, epochs=1, optimizer=gd.SGD(0.25), backend=backend)
    assert net.params.tolist() == [0.75, 0.75]


def test_two_single_steps_by_hand(backend):
    """The first sample moves (1, 1) to (0.5, 0.5); there the second's error is -1.5."""
    net = line(1, 1)
    gd.train(
        net, TWO_X, TWO_Y, batch_size=1, epochs=1, optimizer=gd.SGD(0.25),
        sampling="sequential", backend=backend,
    )  # fmt: skip
    assert net.params.tolist() == [0.5 + 0.25 * 2 * 1.5 * 2, 0.5 + 0.25 * 2 * 1.5]


@pytest.mark.parametrize(("batch_size", "batches"), [(100, 100), (1000, 10)])
def test_ten_thousand_samples(batch_size, batches):
    plan = gd.plan(10_000, batch_size)
    assert (plan.batches, plan.updates, plan.last_batch) == (batches, batches, batch_size)
    history = gd.train(
        gd.Network([1, 1]), np.zeros((10_000, 1)), np.zeros(10_000), epochs=1,
        batch_size=batch_size,
    )  # fmt: skip
    assert history.updates == batches
    assert history.sample_gradients == 10_000


def batch_of_32():
    rng = np.random.default_rng(0)
    net = gd.Network([4, 8, 1], dtype="float64", rng=0)
    return net, rng.standard_normal((32, 4)), rng.standard_normal(32)


def test_a_batchs_gradient_is_the_mean_of_its_samples_gradients():
    net, X, y = batch_of_32()
    singles = [gd.gradient(net, X[i : i + 1], y[i : i + 1]) for i in range(32)]
    assert_close(gd.gradient(net, X, y), np.mean(singles, axis=0), "float64", 32)


def test_one_update_from_32_samples_is_not_32_updates():
    net, X, y = batch_of_32()
    together, alone = net.copy(), net.copy()
    once = gd.train(together, X, y, batch_size=32, epochs=1, sampling="sequential")
    often = gd.train(alone, X, y, batch_size=1, epochs=1, sampling="sequential")
    assert (once.updates, often.updates) == (1, 32)
    assert once.sample_gradients == often.sample_gradients == 32
    assert np.abs(together.params - alone.params).max() > 1e-3


def test_the_sum_equals_the_mean_with_a_learning_rate_times_the_batch_size(backend):
    net, X, y = batch_of_32()
    by_sum, by_mean = net.copy(), net.copy()
    gd.train(by_sum, X, y, batch_size=8, reduction="sum", optimizer=gd.SGD(0.001), rng=0,
             backend=backend)  # fmt: skip
    gd.train(by_mean, X, y, batch_size=8, optimizer=gd.SGD(0.008), rng=0, backend=backend)
    assert_close(by_sum.params, by_mean.params, "float64", 10 * 32)


def test_softmax_with_loss_passes_back_the_difference(backend):
    """The backward pass of softmax with cross entropy is p - y."""
    net = gd.Network([2, 3], loss="cross_entropy", dtype="float64")
    net.biases[0][:] = [0.5, -1.0, 2.0]
    p = np.exp(net.biases[0]) / np.exp(net.biases[0]).sum()
    gradient = gd.gradient(net, [[0.0, 0.0]], [2], backend=backend)
    assert_close(gradient[-3:], p - [0, 0, 1], "float64", 3)


def test_the_loop_backend_equals_the_definition():
    net = line(1, 1)
    plan = gd._plan.Plan(
        sizes=(1, 1), hidden=(), loss="squared_error", optimizer=gd.SGD(1.0), X=TWO_X,
        y=TWO_Y[:, None], sample_weight=None, batch_size=2, drop_last=False, reduction="mean",
        n_threads=1,
    )  # fmt: skip
    pairs = [sample_gradient(plan, net.params, TWO_X[i], TWO_Y[i : i + 1, None]) for i in (0, 1)]
    assert [value for value, _ in pairs] == [1.0, 0.0]
    assert [gradient.tolist() for _, gradient in pairs] == [[2.0, 2.0], [0.0, 0.0]]
