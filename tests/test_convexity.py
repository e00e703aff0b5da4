"""is_convex_on(): it finds true counter-examples, and none for convex costs."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.landscapes import Bowl, Quintic, Saddle


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
    assert "this is no proof" in str(check)


@pytest.mark.parametrize("seed", range(5))
def test_bowl_is_convex_on_any_segment(seed):
    u, v = np.random.default_rng(seed).normal(size=(2, 4)) * 10
    assert gd.is_convex_on(Bowl(condition=1e4, n_params=4), u, v)


def test_saddle_is_convex_along_one_axis_only():
    assert gd.is_convex_on(Saddle(), [0, -1], [0, 1])
    assert not gd.is_convex_on(Saddle(), [-0.5, 0], [0.5, 0])


def test_a_dent_below_the_chord_of_the_ends_is_found():
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


def test_f_cannot_change_the_checked_points():
    def careless(theta):
        theta *= 2
        return float(theta @ theta)

    u = np.array([1.0, 2.0])
    assert gd.is_convex_on(careless, u, [0, 0])
    assert u.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gd.is_convex_on(3, [0], [1]), TypeError, "f must be a function"),
        (lambda: gd.is_convex_on(Bowl(), [0, 0], [0, 0]), ValueError, "u equals v"),
        (lambda: gd.is_convex_on(Bowl(), [0, 0], [1]), ValueError, r"v has shape \(1,\)"),
        (lambda: gd.is_convex_on(np.sin, [0, 0], [1, 1]), TypeError, "f must return one number"),
        (lambda: gd.is_convex_on(lambda t: 1e999, 0, 1), ValueError, "f is inf at"),
        (lambda: gd.is_convex_on(np.sum, 0, 1, points=0), ValueError, "points is 0"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
