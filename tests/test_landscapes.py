"""Landscapes: their formulas, slopes, curvatures, minima and saddles."""

import numpy as np
import pytest
from conftest import assert_close, assert_slopes

import fastgd as gd
from fastgd.landscapes import Bowl, Quintic, Rosenbrock, Saddle, descend

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


@each_landscape
def test_term_gradients_equal_finite_differences(landscape):
    samples = np.arange(landscape.n)
    for theta in points_of(landscape):
        actual = landscape.gradients(theta, samples)
        assert_slopes(actual, lambda t: landscape.losses(t, samples), theta)


@each_landscape
def test_gradient_equals_finite_differences_of_the_cost(landscape):
    for theta in points_of(landscape):
        assert_slopes(landscape.gradient(theta), landscape, theta)


@each_landscape
def test_hessian_equals_finite_differences_of_the_gradient(landscape):
    for theta in points_of(landscape):
        assert_slopes(landscape.hessian(theta), landscape.gradient, theta)


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
def test_mean_of_the_terms_equals_the_formula(landscape, cost):
    for theta in points_of(landscape):
        terms = [landscape.losses(theta, np.array([i])).item() for i in range(landscape.n)]
        assert_close(np.mean(terms), cost(theta), "float64", landscape.n)
        assert_close(landscape(theta), cost(theta), "float64", landscape.n)


@each_landscape
def test_a_batchs_cost_differs_and_their_mean_is_the_cost(landscape):
    theta = landscape.start + 0.1
    batches = np.arange(landscape.n).reshape(-1, 1)
    costs = [landscape(theta, batch) for batch in batches]
    gradients = [landscape.gradient(theta, batch) for batch in batches]
    assert len(set(costs)) > 1
    assert_close(np.mean(costs), landscape(theta), "float64", landscape.n)
    assert_close(np.mean(gradients, axis=0), landscape.gradient(theta), "float64", landscape.n)


@pytest.mark.parametrize("landscape", [Quintic(), Saddle()], ids=repr)
def test_shared_arrays_are_read_only(landscape):
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
        assert_close(bowl(theta) - bowl([0, 0]), expected, "float64", bowl.n)


@pytest.mark.parametrize("condition", [1, 3.5, 1e6])
@pytest.mark.parametrize("n_params", [2, 5])
def test_bowl_has_the_requested_condition_number(condition, n_params):
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((n_params, n_params)))[0]
    for bowl in (Bowl(condition, n_params), Bowl(condition, n_params, axes=axes)):
        assert np.linalg.cond(bowl.hessian(bowl.start)) == pytest.approx(condition, rel=1e-8)


def test_best_rate_shrinks_the_bowls_error_by_the_factor_of_the_condition():
    """The error of both extreme axes shrinks by (condition - 1) / (condition + 1) a step."""
    bowl = Bowl(condition=9)
    theta, _ = descend(bowl, [1, 1], batch_size=None, epochs=3, optimizer=gd.SGD(2 / (1 + 1 / 9)))
    assert_close(np.abs(theta), [0.8**3] * 2, "float64", 3, bowl.n)


@each_landscape
def test_minima_are_minima(landscape):
    for minimum in landscape.minima:
        assert_close(landscape.gradient(minimum), np.zeros(landscape.n_params), "float64", 64)
        assert np.linalg.eigvalsh(landscape.hessian(minimum)).min() > 0


@pytest.mark.parametrize("landscape", [Quintic(), Saddle()], ids=repr)
def test_the_cost_is_flat_at_the_saddle_and_its_terms_are_not(landscape):
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


def test_above_the_largest_learning_rate_the_minimum_is_left():
    bowl = Bowl(condition=10)
    ends = [
        descend(bowl, [1, 1], batch_size=None, epochs=50, optimizer=gd.SGD(rate))[0]
        for rate in (0.99 * bowl.largest_learning_rate, 1.01 * bowl.largest_learning_rate)
    ]
    assert abs(ends[0][0]) < 1 < abs(ends[1][0])


def test_a_seed_gives_a_landscapes_tilts():
    tilts = Quintic(rng=3).tilts
    np.testing.assert_array_equal(Quintic(rng=np.random.default_rng(3)).tilts, tilts)
    for other in (4, None):
        assert (Quintic(rng=other).tilts != tilts).any()


def test_the_smallest_spread_there_is():
    assert set(Quintic(spread=5e-324).tilts.ravel()) <= {-5e-324, 0.0, 5e-324}


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
        (lambda: Bowl().hessian([1, 2, 3]), ValueError, r"theta has shape \(3,\).*the 2 para"),
        (lambda: Saddle().hessian(np.ones((3, 2))), ValueError, "those at one point"),
        (lambda: Quintic()("a"), TypeError, "theta is 'a', but must be an array of numbers"),
        (lambda: Saddle()([1, 2, 3]), ValueError, r"theta has shape \(3,\).*the 2 parameters"),
        (lambda: Quintic()(0, [64]), ValueError, "samples holds 64, but the terms .* to 63"),
        (lambda: Quintic()(0, [-1]), ValueError, "samples holds -1"),
        (lambda: Quintic().gradient(0, [0.5]), TypeError, "samples must list numbers of terms"),
        (lambda: Quintic()(0, []), TypeError, "samples must list numbers of terms"),
    ],
)  # fmt: skip
def test_bad_landscapes_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
