"""Per-sample gradients, their norms, and the noise scale computed from them."""

import numpy as np
import pytest
from conftest import assert_close, make_data, moved, slopes, tolerance

import fastgd as gd
from fastgd.backends import vectorized
from fastgd.losses import LOSSES
from fastgd.sampling import draw_batches, make_sampler

SIZES = [[5], [33], [20, 17], [3, 70, 3]]


def problem(sizes, loss, dtype, n=70):
    sizes = [*sizes, 5 if LOSSES[loss].targets.indices else 1]
    net = gd.Network(sizes, hidden="tanh", loss=loss, dtype=dtype, rng=0)
    return net, *make_data(sizes, loss, n, dtype)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_mean_of_sample_gradients_is_the_gradient(sizes, loss, isa, n_threads, dtype):
    net, X, y = problem(sizes, loss, dtype)
    each = gd.per_sample_gradients(net, X, y)
    assert each.shape == (70, net.n_params)
    assert each.dtype == net.dtype
    assert_close(each.mean(axis=0), gd.gradient(net, X, y), dtype, 70, max(sizes))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_backends_agree(sizes, loss, dtype):
    net, X, y = problem(sizes, loss, dtype, n=20)
    expected = gd.per_sample_gradients(net, X, y, backend="loop")
    norms = gd.per_sample_norms(net, X, y, backend="loop")
    for backend in ("vectorized", "compiled"):
        each = gd.per_sample_gradients(net, X, y, backend=backend)
        assert_close(each, expected, dtype, max(sizes), len(sizes))
        lengths = gd.per_sample_norms(net, X, y, backend=backend)
        assert_close(lengths, norms, dtype, max(sizes), len(sizes))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_norms_equal_those_of_the_gradients(sizes, loss, isa, n_threads, dtype):
    net, X, y = problem(sizes, loss, dtype)
    norms = gd.per_sample_norms(net, X, y)
    expected = np.linalg.norm(gd.per_sample_gradients(net, X, y).astype(float), axis=1)
    assert norms.dtype == np.float64
    assert_close(norms, expected, dtype, max(sizes), len(sizes))


def test_several_outputs_with_a_matrix_of_targets(dtype):
    net = gd.Network([4, 6, 3], loss="huber", dtype=dtype, rng=0)
    X, y = make_data(net.sizes, "huber", 300, dtype)
    each = gd.per_sample_gradients(net, X, y)
    assert_close(each.mean(axis=0), gd.gradient(net, X, y), dtype, 300)


def test_weights_are_factors():
    net, X, y = problem([4, 6], "log_loss", "float64")
    weight = np.random.default_rng(0).uniform(0, 2, len(X))
    plain = gd.per_sample_gradients(net, X, y)
    weighted = gd.per_sample_gradients(net, X, y, sample_weight=weight)
    assert_close(weighted, weight[:, None] * plain, "float64", 6)
    norms = gd.per_sample_norms(net, X, y, sample_weight=weight)
    assert_close(norms, weight * gd.per_sample_norms(net, X, y), "float64", 6)


def test_the_gradient_of_one_sample_is_its_sample_gradient():
    net, X, y = problem([4, 6], "huber", "float64", n=1)
    assert_close(gd.per_sample_gradients(net, X, y)[0], gd.gradient(net, X, y), "float64", 6)


def test_a_step_uses_clipped_sample_gradients():
    net, X, y = problem([4, 6], "huber", "float64")
    each = gd.per_sample_gradients(net, X, y)
    shorten = np.minimum(1, 0.2 / np.linalg.norm(each, axis=1))
    before = net.params.copy()
    gd.train(net, X, y, batch_size=None, epochs=1, optimizer=gd.SGD(1.0), clip_per_sample=0.2)
    assert_close(before - net.params, (shorten[:, None] * each).mean(axis=0), "float64", len(X))


def test_noise_has_the_stated_size():
    net = gd.Network([50, 40, 1], rng=0)
    X, y = make_data(net.sizes, "squared_error", 100, "float32")
    before = net.params.copy()
    gd.train(
        net, X, y, batch_size=100, epochs=1, sampling="poisson", optimizer=gd.SGD(1.0),
        clip_per_sample=1e-6, noise_multiplier=1e4, rng=0,
    )  # fmt: skip
    # 2081 normal numbers: the standard error of their standard deviation is 1.6 %
    assert np.std(net.params - before) == pytest.approx(1e4 * 1e-6 / 100, rel=0.08)


def test_an_empty_batch_moves_parameters_by_noise_only(backend):
    net, X, y = problem([3], "huber", "float64", n=5)
    history = gd.train(
        net, X, y, batch_size=1, epochs=200, sampling="poisson", rng=0, backend=backend,
        record=("loss", "params"), optimizer=gd.SGD(0.1),
    )  # fmt: skip
    empty = np.flatnonzero(np.isnan(history.trace["loss"]))[1:]
    assert len(empty) > 100
    params = history.trace["params"]
    np.testing.assert_array_equal(params[empty], params[empty - 1])
    assert history.sample_gradients == pytest.approx(1000, abs=5 * 1000**0.5)  # 5 standard errors


def test_noise_scale_is_that_of_the_sample_covariance(dtype):
    net, X, y = problem([4, 6], "squared_error", dtype)
    y = y + 3
    each = gd.per_sample_gradients(net, X, y).astype(float)
    trace = np.trace(np.cov(each.T))
    square = (each.mean(axis=0) ** 2).sum() - trace / len(X)
    measured = gd.noise_scale(net, X, y)
    rounding = tolerance(dtype, 70)
    assert measured.simple == pytest.approx(trace / square, rel=rounding)
    assert measured.gradient_variance == pytest.approx(trace, rel=rounding)
    assert measured.full is None


def constant_prediction(n, distance, spread):
    """Only one parameter matters, the bias: gradients 2 (bias - y), Hessian 2."""
    net = gd.Network([1, 1], dtype="float64")
    net.biases[0][:] = distance
    return net, np.zeros((n, 1)), np.random.default_rng(1).normal(0, spread, n)


@pytest.mark.parametrize(("distance", "spread"), [(1.0, 1.0), (0.5, 2.0), (3.0, 0.1)])
def test_noise_scale_of_a_constant_is_known(distance, spread):
    net, X, y = constant_prediction(200_000, distance, spread)
    expected = (spread / distance) ** 2
    measured = gd.noise_scale(net, X, y, full=True, rng=0)
    assert measured.simple == pytest.approx(expected, rel=0.05)
    # 128 directions, each the square of one normal number: standard error sqrt(2 / 128)
    assert measured.full == pytest.approx(expected, rel=3 * 0.125)


def test_full_noise_scale_weighs_directions_by_curvature():
    """Inputs along the axes, of size a_k in direction k, with weights 0 and targets c_k + noise.

    With d features and one-hot rows the gradient of weight k is 2 a_k (w_k a_k - y) for its own
    rows, and the curvature 2 a_k^2 / d: exact moments follow from the data themselves.
    """
    rng = np.random.default_rng(0)
    scale, n = np.geomspace(1, 3, 20), 40_000
    which = rng.integers(20, size=n)
    X = np.zeros((n, 20))
    X[np.arange(n), which] = scale[which]
    y = rng.normal(1, 1, n)
    net = gd.Network([20, 1], dtype="float64")
    net.params[:] = 0
    each = gd.per_sample_gradients(net, X, y)
    augmented = np.column_stack([X, np.ones(n)])
    hessian = 2 * augmented.T @ augmented / n
    mean = each.mean(axis=0)
    expected = np.trace(hessian @ np.cov(each.T)) / (mean @ hessian @ mean)
    measured = [gd.noise_scale(net, X, y, full=True, rng=seed).full for seed in range(5)]
    assert np.mean(measured) == pytest.approx(expected, rel=0.15)
    assert gd.noise_scale(net, X, y).simple != pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("sizes", [[4, 3], [3, 9, 2]], ids=str)
def test_full_noise_scale_of_a_network(sizes, isa, n_threads, dtype):
    """Against its definition, with the Hessian by differences of all samples' gradients."""
    net, X, y = problem(sizes, "squared_error", "float64", n=1500)
    y = y + 1
    each = gd.per_sample_gradients(net, X, y)
    hessian = slopes(lambda params: gd.gradient(moved(net, params), X, y), net.params)
    mean, noise = each.mean(axis=0), np.trace(hessian @ np.cov(each.T))
    expected = noise / (mean @ hessian @ mean - noise / len(X))
    measured = gd.Network(net.sizes, hidden="tanh", dtype=dtype)
    measured.params[:] = net.params
    found = [gd.noise_scale(measured, X, y, full=True, rng=seed).full for seed in range(20)]
    assert np.mean(found) == pytest.approx(expected, rel=0.2)


def test_noise_scale_at_a_minimum_is_infinite():
    X = np.array([[1.0], [-1.0]])
    net = gd.Network([1, 1], dtype="float64")
    net.params[:] = 0
    assert gd.noise_scale(net, X, [1.0, 1.0]).simple > 0
    net.biases[0][:] = 1
    net.weights[0][:] = 0.5
    assert gd.noise_scale(net, X, [1.0, 1.0]).simple == np.inf


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "poisson"])
def test_the_trace_has_the_noise_scale_of_all_data(sampling, reduction):
    """Steps too small to change the parameters: each batch estimates the same two moments."""
    net, X, y = constant_prediction(20_000, 1.0, 2.0)
    whole = gd.noise_scale(net, X, y)
    trace = gd.train(
        net, X, y, batch_size=20, epochs=20, optimizer=gd.SGD(1e-12), record=("noise_scale",),
        sampling=sampling, reduction=reduction, rng=0,
    ).trace  # fmt: skip
    # standard errors of the means of 20,000 steps: 0.4 % and 0.4 %
    variance, square = (np.nanmean(trace[f"gradient_{name}"]) for name in ("variance", "square"))
    assert variance == pytest.approx(whole.gradient_variance, rel=0.02)
    assert square == pytest.approx(whole.gradient_square, rel=0.02)
    # means of 100 steps: the squared gradient of a batch has standard error 2 sqrt(0.2)
    assert trace["noise_scale"][-1] == pytest.approx(4, rel=0.3)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "poisson"])
def test_the_trace_has_the_noise_of_each_batch(sampling, reduction, every):
    """Steps too small to change the parameters; batches below half the size are not used.

    The first quarter of a larger batch, at least 8 samples, estimates its mean squared norm.
    """
    net, X, y = problem([4, 3], "huber", "float64", n=174)
    each = gd.per_sample_gradients(net, X, y)
    sampler, rng = make_sampler(sampling, None, 40, False), np.random.default_rng(0)
    variance, square = [], []
    for _ in range(5):
        order, bounds = draw_batches(sampler, 174, rng)
        for batch in np.split(order, range(40, 174, 40) if bounds is None else bounds[1:-1]):
            n, squares = len(batch), (each[batch] ** 2).sum(axis=1)
            whole = (each[batch].mean(axis=0) ** 2).sum()
            variance.append((squares[: max(8, -(-n // 4))].mean() - whole) * n / (n - 1))
            square.append(whole - variance[-1] / n)
            if n < 20:
                variance[-1] = square[-1] = np.nan
    trace = gd.train(
        net, X, y, batch_size=40, epochs=5, optimizer=gd.SGD(1e-20), record=("noise_scale",),
        record_every=every, sampling=sampling, reduction=reduction, rng=0,
    ).trace  # fmt: skip
    assert_close(trace["gradient_variance"], variance[every - 1 :: every], "float64", 40, 6)
    assert_close(trace["gradient_square"], square[every - 1 :: every], "float64", 40, 6)


def test_the_traces_noise_scale_is_correct_while_gradients_vanish():
    """Noiseless lines: squared gradients fall by thirty powers of ten, their ratio stays."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 5))
    net = gd.Network([5, 1], dtype="float64", rng=0)
    trace = gd.train(
        net, X, X.sum(axis=1), batch_size=20, epochs=45, optimizer=gd.SGD(0.02),
        record=("noise_scale",), rng=0,
    ).trace  # fmt: skip
    variance, square = trace["gradient_variance"], trace["gradient_square"]
    assert abs(square[-1]) < 1e-20 * square[0]
    sums = [
        [values[max(0, k - 99) : k + 1].sum() for k in range(len(values))]
        for values in (variance, square)
    ]
    np.testing.assert_allclose(trace["noise_scale"], np.divide(*sums), rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_multiplier": 1.0}, "clip_per_sample"),
        ({"noise_multiplier": 1.0, "clip_per_sample": 1.0}, "poisson"),
        ({"clip_value": 1.0, "clip_norm": 1.0}, "one of them"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"l1": -1.0}, "l1"),
        ({"record": ("noise_scale",), "batch_size": 1}, "at least 2"),
        ({"record_every": 0}, "record_every"),
    ],
)
def test_bad_settings_are_refused_before_anything_changes(options, message):
    net, X, y = problem([3], "huber", "float64")
    before = net.params.copy()
    with pytest.raises(ValueError, match=message):
        gd.train(net, X, y, **options)
    np.testing.assert_array_equal(net.params, before)


def test_l1_makes_weights_exactly_zero(backend):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10))
    y = X[:, 0] * 2 + 0.01 * rng.standard_normal(200)
    net = gd.Network([10, 1], dtype="float64", rng=0)
    gd.train(
        net, X, y, epochs=30, batch_size=20, optimizer=gd.SGD(0.05), l1=0.3, rng=0,
        backend=backend,
    )  # fmt: skip
    weights = net.weights[0][:, 0]
    assert (weights[1:] == 0).sum() >= 7
    assert weights[0] == pytest.approx(2 - 0.3 / 2, abs=0.1)


def test_penalties_are_part_of_the_loss(backend):
    net, X, y = problem([4, 3], "huber", "float64")
    squares = sum((w**2).sum() for w in net.weights)
    sizes = sum(np.abs(w).sum() for w in net.weights)
    loss = net.loss_value(X, y)
    history = gd.train(
        net, X, y, batch_size=None, epochs=1, l1=0.3, l2=0.5, optimizer=gd.SGD(1e-3),
        backend=backend,
    )  # fmt: skip
    assert history.loss[0] == pytest.approx(loss + 0.3 * sizes + 0.25 * squares)


@pytest.mark.parametrize("size", [3e19, 1e-25, 1e-30])
@pytest.mark.parametrize("sizes", [(3, 1), (3, 2), (40, 2), (3, 4, 2)])
def test_norms_of_numbers_whose_squares_overflow_float32(size, sizes, backend, isa):
    """The first layer's input and, through the weight, every delta have this size."""
    net = gd.Network(sizes, hidden="identity", loss="absolute_error", rng=0)
    net.params = np.full(net.n_params, 0.5)
    X = np.full((2, sizes[0]), size if size > 1 else 1.0, np.float32)
    y = np.full((2, sizes[-1]), -1e30 if size > 1 else -10.0, np.float32)
    weight = [1.0, 0.5] if size > 1 else [size, size / 2]
    norms = gd.per_sample_norms(net, X, y, sample_weight=weight, backend=backend)
    gradients = gd.per_sample_gradients(net, X, y, sample_weight=weight, backend="loop")
    exact = np.sqrt((gradients.astype(np.float64) ** 2).sum(axis=1))
    np.testing.assert_allclose(norms, exact, rtol=tolerance("float32", 40))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 2)])
def test_a_sample_with_a_huge_gradient_is_clipped_and_not_dropped(sizes, backend, isa):
    net = gd.Network(sizes, loss="absolute_error")
    y = np.full((1, sizes[1]), -1.0)
    gd.train(net, [[3e19]], y, batch_size=1, epochs=1, optimizer=gd.SGD(1.0), clip_per_sample=1,
             rng=0, backend=backend)  # fmt: skip
    assert np.linalg.norm(net.params) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_vectorised_backend_computes_large_batches_in_pieces(weighted, monkeypatch):
    """Pieces allow Ctrl-C in between; one ends in the middle of the measured samples."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 4)), rng.standard_normal(50)
    weight = rng.random(50) if weighted else None

    def measured():
        net = gd.Network([4, 6, 1], dtype="float64", rng=0)
        history = gd.train(
            net, X, y, batch_size=None, epochs=3, rng=0, backend="vectorized", dropout=0.5,
            clip_per_sample=1.0, record=("noise_scale", "loss"), sample_weight=weight,
        )  # fmt: skip
        options = {"sample_weight": weight, "backend": "vectorized"}
        taken = [f(net, X, y, **options) for f in (gd.per_sample_norms, gd.per_sample_gradients)]
        return [net.params, history.loss, gd.gradient(net, X, y, **options), *taken]

    whole = measured()
    monkeypatch.setattr(vectorized, "PIECE", 1 << 10)
    for part, expected in zip(measured(), whole, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-9)
