"""Losses and activations at difficult arguments: tails, mirrored, and infinite raw outputs.

Every backend, level and dtype is compared with mpmath. A function of an exact number z may differ
by a few rounding errors of each of its terms.
"""

import math

import mpmath
import numpy as np
import pytest
from conftest import ALIKE, several_levels

import fastgd as gd
from fastgd import backends
from fastgd._plan import Plan
from fastgd.activations import ACTIVATIONS
from fastgd.backends import compiled
from fastgd.engine import sgd
from fastgd.losses import MARGIN_LOSSES

INF = math.inf
ROUNDINGS = 12  # of the longest formula: an exponential, a logarithm, a quotient and some sums
SIZES = (0.0, 1e-3, 0.5, 1.0, 5.0, 10.0, 12.0, 15.0, 18.0, 40.0, 87.0, 300.0, 1e10)
POINTS = [sign * size for size in SIZES for sign in (1, -1)]

# for each loss: targets, and the exact value and derivative as functions of z and y
SOFT = (0.0, 1.0, 0.25, 0.75, 1 - 2.0**-20)


def _sigmoid(z):
    return 1 / (1 + mpmath.exp(-z))


def _share(z, y):
    return 1 - y if z > 0 else y


def _log_loss(z, y):
    return mpmath.log1p(mpmath.exp(-abs(z))) + _share(z, y) * abs(z)


def _log_loss_slope(z, y):
    excess = _sigmoid(-abs(z)) - _share(z, y)
    return -excess if z > 0 else excess


def _shortfall(z, y):
    return max(1 - y * z, mpmath.mpf(0))


LOSSES = {
    "squared_error": ((0.5, -3.0), lambda z, y: (z - y) ** 2, lambda z, y: 2 * (z - y)),
    "absolute_error": (
        (0.25, -3.0), lambda z, y: abs(z - y), lambda z, y: mpmath.sign(z - y)
    ),
    "huber": (
        (0.5, -3.0),
        lambda z, y: (z - y) ** 2 / 2 if abs(z - y) <= 1 else abs(z - y) - 0.5,
        lambda z, y: max(min(z - y, 1), -1),
    ),
    "log_loss": (SOFT, _log_loss, _log_loss_slope),
    "hinge": ((1.0, -1.0), _shortfall, lambda z, y: -y if y * z < 1 else 0),
    "squared_hinge": (
        (1.0, -1.0), lambda z, y: _shortfall(z, y) ** 2, lambda z, y: -2 * y * _shortfall(z, y)
    ),
    "poisson": (
        (0.0, 2.0), lambda z, y: mpmath.exp(z) - y * z, lambda z, y: mpmath.exp(z) - y
    ),
}  # fmt: skip
# for each loss: a target, an infinite z, and the limits of value and derivative
LIMITS = {
    "squared_error": [(0.0, INF, INF, INF), (0.0, -INF, INF, -INF)],
    "absolute_error": [(0.0, INF, INF, 1), (0.0, -INF, INF, -1)],
    "huber": [(0.0, INF, INF, 1), (0.0, -INF, INF, -1)],
    "log_loss": [
        (1.0, INF, 0, 0), (1.0, -INF, INF, -1), (0.0, -INF, 0, 0), (0.0, INF, INF, 1),
        (0.25, INF, INF, 0.75), (0.25, -INF, INF, -0.25),
    ],
    "hinge": [(1.0, INF, 0, 0), (1.0, -INF, INF, -1), (-1.0, -INF, 0, 0), (-1.0, INF, INF, 1)],
    "squared_hinge": [
        (1.0, INF, 0, 0), (1.0, -INF, INF, -INF), (-1.0, -INF, 0, 0), (-1.0, INF, INF, INF),
    ],
    "poisson": [
        (0.0, -INF, 0, 0), (2.0, -INF, INF, -2), (0.0, INF, INF, INF), (2.0, INF, INF, INF),
    ],
}  # fmt: skip


def terms(name, z, y):
    """Return the sizes of the terms of a loss and its derivative, for relative rounding errors."""
    size = abs(z) + abs(y)
    if name == "log_loss":
        return _log_loss(z, y), max(_sigmoid(-abs(z)), _share(z, y))
    if name == "poisson":
        return mpmath.exp(z) + abs(y * z), mpmath.exp(z) + abs(y)
    square = name in ("squared_error", "squared_hinge")
    return (size + 1) ** (2 if square else 1), (size + 1 if square else 1)


def plan_of(sizes, loss, X, y, hidden=()):
    """Return a plan with one sample per batch, for its loss and gradient alone."""
    return Plan(
        sizes=sizes, hidden=hidden, loss=loss, optimizer=gd.SGD(1.0), X=X, y=y, sample_weight=None,
        batch_size=len(X), drop_last=False, reduction="sum", n_threads=0,
    )  # fmt: skip


def along_one(backend, loss, z, y, dtype, outputs=1):
    """Return a loss and its derivatives by raw outputs, which are a network's biases."""
    z = np.array(z, dtype)
    y = np.array([y], np.int32) if isinstance(y, int) else np.array(y, dtype).reshape(1, outputs)
    plan = plan_of((1, outputs), loss, np.zeros((1, 1), dtype), y)
    params = np.concatenate([np.zeros(outputs, dtype), z])
    value, gradient = backends.load(backend).objective(plan)(params, np.array([0], np.uint32))
    return value, gradient[outputs:].copy()


def assert_near(actual, exact, size, dtype):
    """Compare with mpmath; what the dtype cannot hold is infinite, or lost to underflow."""
    info = np.finfo(dtype)
    if abs(exact) > mpmath.mpf(float(info.max)):
        assert actual == (INF if exact > 0 else -INF)
        return
    if size > mpmath.mpf(float(info.max)):
        return  # a term is beyond what the dtype holds
    bound = ROUNDINGS * float(info.eps) * size + 4 * float(info.smallest_subnormal)
    error = abs(mpmath.mpf(float(actual)) - exact)
    assert error <= bound, f"{actual} is {mpmath.nstr(error / bound, 3)} bounds off {exact}"


def check_loss(name, backend, dtype):
    targets, value, slope = LOSSES[name]
    with mpmath.workprec(200):
        for y in targets:
            for at in POINTS:
                z, y = (mpmath.mpf(float(np.dtype(dtype).type(number))) for number in (at, y))
                loss, (gradient,) = along_one(backend, name, [float(z)], [float(y)], dtype)
                sizes = terms(name, z, y)
                assert_near(loss, value(z, y), sizes[0], dtype)
                assert_near(gradient, mpmath.mpf(slope(z, y)), sizes[1], dtype)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("backend", ["loop", "vectorized"])
def test_losses_in_numpy(name, backend, dtype):
    check_loss(name, backend, dtype)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_the_kernels(name, dtype, isa):
    check_loss(name, "compiled", dtype)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_infinite_outputs(name, backend, dtype):
    for y, z, loss, slope in LIMITS[name]:
        found = along_one(backend, name, [z], [y], dtype)
        assert (found[0], found[1][0]) == (loss, slope), (y, z)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_infinite_outputs_on_every_level(name, dtype, isa):
    test_losses_of_infinite_outputs(name, "compiled", dtype)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_log_loss_is_symmetric(y, backend, dtype):
    for z in POINTS:
        loss, slope = along_one(backend, "log_loss", [z], [y], dtype)
        other, mirrored = along_one(backend, "log_loss", [-z], [1 - y], dtype)
        assert (loss, slope[0]) == (other, -mirrored[0])


def test_log_loss_of_twelve(backend):
    """As the difference of 12.0000061 and 12 it would lose a share of 0.07."""
    assert along_one(backend, "log_loss", [12], [1], "float32")[0] == pytest.approx(
        6.1441935e-06, rel=1e-6
    )


# ---------------------------------------------------------------------------------------
# Cross entropy
# ---------------------------------------------------------------------------------------

ROWS = [(12.0, 0.0, -3.0), (0.0, 18.0, 1.0), (40.0, 0.0, 39.5), (3.0, 3.0, 3.0), (-200.0, 5.0, 0.0)]
CLASSES = [0, 1, 2, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.25, 0.75, 0.0)]


def exact_softmax(z, y):
    """Return the loss and its derivatives, and the sizes of the derivatives' terms."""
    z = [mpmath.mpf(x) for x in z]
    y = [mpmath.mpf(int(j == y)) for j in range(len(z))] if isinstance(y, int) else list(y)
    top = z.index(max(z))
    p = [mpmath.exp(x - z[top]) for x in z]
    total = sum(p)
    loss = mpmath.log1p(total - 1) + sum(a * (z[top] - b) for a, b in zip(y, z, strict=True))
    slopes = [a / total - b for a, b in zip(p, y, strict=True)]
    sizes = [max(a / total, b) for a, b in zip(p, y, strict=True)]
    sizes[top] = max(1 - mpmath.mpf(y[top]), (total - 1) / total)
    return loss, slopes, sizes


def check_cross_entropy(backend, dtype):
    with mpmath.workprec(300):
        for z in ROWS:
            for y in CLASSES:
                loss, slopes, sizes = exact_softmax(z, y)
                found, gradient = along_one(backend, "cross_entropy", z, y, dtype, 3)
                assert_near(found, loss, loss, dtype)
                for one, exact, size in zip(gradient, slopes, sizes, strict=True):
                    assert_near(one, exact, size, dtype)


@pytest.mark.parametrize("backend", ["loop", "vectorized"])
def test_cross_entropy_in_numpy(backend, dtype):
    check_cross_entropy(backend, dtype)


def test_cross_entropy_of_the_kernels(dtype, isa):
    check_cross_entropy("compiled", dtype)


@pytest.mark.parametrize("y", [0, (1.0, 0.0, 0.0)])
def test_cross_entropy_of_infinite_outputs(y, backend, dtype):
    for z, loss, slopes in (
        ((INF, 0, 1), 0, (0, 0, 0)),
        ((0, INF, 1), INF, (-1, 1, 0)),
        ((0, -INF, -INF), 0, (0, 0, 0)),
        ((-INF, 0, -INF), INF, (-1, 1, 0)),
    ):
        found, gradient = along_one(backend, "cross_entropy", z, y, dtype, 3)
        assert found == loss
        np.testing.assert_array_equal(gradient, slopes)


# ---------------------------------------------------------------------------------------
# Activations
# ---------------------------------------------------------------------------------------


def _cdf(z):
    return mpmath.erfc(-min(max(z, -1000), 1000) / mpmath.sqrt(2)) / 2


# for each activation: value and derivative; the sizes of their terms, if they differ
EXACT = {
    "identity": (lambda z: z, lambda z: 1),
    "relu": (lambda z: max(z, 0), lambda z: int(z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else z / 100, lambda z: 1 if z > 0 else mpmath.mpf("0.01")),
    "tanh": (mpmath.tanh, lambda z: mpmath.sech(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(abs(z)) * _sigmoid(-abs(z))),
    "gelu": (lambda z: z * _cdf(z), lambda z: _cdf(z) + z * mpmath.npdf(z)),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) * (1 + z * _sigmoid(-z))),
    "softplus": (lambda z: max(z, 0) + mpmath.log1p(mpmath.exp(-abs(z))), _sigmoid),
}
AT_INFINITY = {  # value and derivative at inf, and at -inf
    "identity": (INF, 1, -INF, 1),
    "relu": (INF, 1, 0, 0),
    "leaky_relu": (INF, 1, -INF, 0.01),
    "tanh": (1, 0, -1, 0),
    "sigmoid": (1, 0, 0, 0),
    "gelu": (INF, 1, 0, 0),
    "silu": (INF, 1, 0, 0),
    "softplus": (INF, 1, 0, 0),
}


def derivative_size(name, z):
    """Return the size of the terms of a derivative."""
    if name == "tanh":
        return mpmath.mpf(1)  # 1 - tanh(z)^2
    if name == "silu":  # 1 - sigmoid(z), times z
        return _sigmoid(z) * (1 + min(abs(z), 60))
    if name == "gelu":
        # in NumPy: exp(-z^2 / 2) and erfc(-z / sqrt(2)), whose arguments are rounded
        return (_cdf(z) + abs(z) * mpmath.npdf(z)) * (1 + min(z * z, 1e4))
    return abs(mpmath.mpf(EXACT[name][1](z)))


def through(backend, name, z, dtype):
    """Return f(z) and f'(z) of a hidden unit: its output, and the gradient of its bias."""
    params = np.array([0, z, 1, 0], dtype)
    X, y = np.zeros((1, 1), dtype), np.full((1, 1), np.finfo(dtype).min / 4, dtype)
    plan = plan_of((1, 1, 1), "absolute_error", X, y, (name,))
    _, gradient = backends.load(backend).objective(plan)(params, np.array([0], np.uint32))
    # of the output's weight, which is f(z), and of the bias; times the loss's slope, 1 or -1
    return gradient[2:0:-1] * gradient[3]


def check_activation(name, backend, dtype):
    value, slope = EXACT[name]
    with mpmath.workprec(200):
        for at in POINTS:
            z = mpmath.mpf(float(np.dtype(dtype).type(at)))
            found, derivative = through(backend, name, float(z), dtype)
            size = abs(mpmath.mpf(value(z)))
            if name == "gelu":
                size *= 1 + min(z * z, 1e4)
            least = float(np.finfo(dtype).smallest_subnormal)  # a smaller factor may be lost
            size += min(abs(z), 1000) * least / float(np.finfo(dtype).eps)
            assert_near(found, mpmath.mpf(value(z)), size, dtype)
            size = derivative_size(name, z) + min(abs(z), 1000) * least / float(np.finfo(dtype).eps)
            assert_near(derivative, mpmath.mpf(slope(z)), size, dtype)


def test_every_activation_and_loss_is_tested():
    assert set(EXACT) == set(AT_INFINITY) == set(ACTIVATIONS)
    assert {*LOSSES, "cross_entropy"} == set(gd.losses.LOSSES)
    assert set(MARGINS) == set(MARGIN_LOSSES)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("backend", ["loop", "vectorized"])
def test_activations_in_numpy(name, backend, dtype):
    check_activation(name, backend, dtype)


@pytest.mark.parametrize("name", EXACT)
def test_activations_of_the_kernels(name, dtype, isa):
    check_activation(name, "compiled", dtype)


@pytest.mark.parametrize("name", EXACT)
def test_activations_of_infinite_numbers(name, backend, dtype):
    expected = np.array(AT_INFINITY[name], dtype)
    np.testing.assert_array_equal(through(backend, name, INF, dtype), expected[:2])
    np.testing.assert_array_equal(through(backend, name, -INF, dtype), expected[2:])


@pytest.mark.parametrize("name", EXACT)
def test_activations_of_infinite_numbers_on_every_level(name, dtype, isa):
    test_activations_of_infinite_numbers(name, "compiled", dtype)


# ---------------------------------------------------------------------------------------
# The losses of the SGD estimators
# ---------------------------------------------------------------------------------------


def _excess(y, p):
    return max(abs(p - y) - mpmath.mpf(0.1), mpmath.mpf(0))


MARGINS = {
    "squared_error": ((0.5, -3.0), lambda y, p: (p - y) ** 2 / 2, lambda y, p: p - y),
    "huber": (
        (0.5, -3.0),
        lambda y, p: (p - y) ** 2 / 2 if abs(p - y) <= 0.1 else 0.1 * (abs(p - y) - 0.05),
        lambda y, p: max(min(p - y, mpmath.mpf(0.1)), -mpmath.mpf(0.1)),
    ),
    "epsilon_insensitive": (
        (0.5, -3.0), _excess, lambda y, p: mpmath.sign(p - y) * (abs(p - y) > 0.1)
    ),
    "squared_epsilon_insensitive": (
        (0.5, -3.0), lambda y, p: _excess(y, p) ** 2,
        lambda y, p: 2 * mpmath.sign(p - y) * _excess(y, p),
    ),
    "hinge": (
        (1.0, -1.0), lambda y, p: max(1 - y * p, 0), lambda y, p: -y if y * p <= 1 else 0
    ),
    "perceptron": ((1.0, -1.0), lambda y, p: max(-y * p, 0), lambda y, p: -y if y * p <= 0 else 0),
    "squared_hinge": (
        (1.0, -1.0), lambda y, p: max(1 - y * p, 0) ** 2, lambda y, p: -2 * y * max(1 - y * p, 0)
    ),
    "modified_huber": (
        (1.0, -1.0),
        lambda y, p: max(1 - y * p, 0) ** 2 if y * p >= -1 else -4 * y * p,
        lambda y, p: -2 * y * max(1 - y * p, 0) if y * p >= -1 else -4 * y,
    ),
    "log_loss": (SOFT, lambda y, p: _log_loss(p, y), lambda y, p: _log_loss_slope(p, y)),
}  # fmt: skip


def margin_parameter(name):
    parameter = MARGIN_LOSSES[name].parameter
    return 0.1 if parameter is None else parameter


def check_margin(name, dtype, compute):
    targets, value, slope = MARGINS[name]
    points = np.array(POINTS, dtype).astype(np.float64)
    with mpmath.workprec(200):
        for y in targets:
            found, slopes = compute(np.full(len(points), y), points)
            for at, one, other in zip(points, found, slopes, strict=True):
                z, target = mpmath.mpf(float(at)), mpmath.mpf(y)
                sizes = (abs(z) + abs(target) + 1) ** 2, abs(z) + abs(target) + 1
                if name == "log_loss":
                    sizes = terms(name, z, target)
                assert_near(one, mpmath.mpf(value(target, z)), sizes[0], dtype)
                assert_near(other, mpmath.mpf(slope(target, z)), sizes[1], dtype)


@pytest.mark.parametrize("name", MARGINS)
def test_margin_losses_in_numpy(name):
    loss, parameter = MARGIN_LOSSES[name], margin_parameter(name)
    check_margin(
        name, "float64", lambda y, p: (loss.value(y, p, parameter), loss.slope(y, p, parameter))
    )


@pytest.mark.parametrize("name", MARGINS)
def test_margin_losses_of_the_kernels(name, isa):
    parameter = margin_parameter(name)
    kernel = MARGIN_LOSSES[name].kernel or name
    check_margin(name, "float64", lambda y, p: sgd.margin_losses(kernel, parameter, y, p, isa))


@pytest.mark.parametrize(("y", "p"), [(1.0, INF), (0.0, -INF)])
def test_log_loss_of_the_estimators_of_infinite_outputs(y, p, isa):
    y, p = np.array([y]), np.array([p])
    loss = MARGIN_LOSSES["log_loss"]
    assert (loss.value(y, p, 1.0), loss.slope(y, p, 1.0)) == (0, 0)
    assert sgd.margin_losses("log_loss", 1.0, y, p, isa) == (0, 0)


# ---------------------------------------------------------------------------------------
# Bits
# ---------------------------------------------------------------------------------------


@several_levels
@pytest.mark.parametrize("name", [*LOSSES, "cross_entropy"])
def test_every_fma_level_gives_the_same_bits(name, dtype, monkeypatch):
    """Bits of losses and slopes, with infinities and NaN among the raw outputs."""
    rows = [(z, 1.0, -2.0) for z in (*POINTS, INF, -INF, math.nan)]
    y = 0 if name == "cross_entropy" else LOSSES[name][0][-1]
    found = []
    for level in ALIKE:
        monkeypatch.setattr(compiled, "LEVEL", level)
        for row in rows:
            outputs = 3 if name == "cross_entropy" else 1
            loss, slopes = along_one("compiled", name, row[:outputs], y, dtype, outputs)
            found.append(np.append(np.array(slopes, np.float64), loss))
    one, *others = np.split(np.array(found), len(ALIKE))
    for other in others:
        number = ~(np.isnan(one) & np.isnan(other))  # a NaN's payload is not promised
        assert one[number].tobytes() == other[number].tobytes()
