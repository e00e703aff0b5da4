"""The compiled, vectorised and loop backends make the same steps, for all models and settings."""

import itertools

import numpy as np
import pytest
from conftest import assert_close, assert_slopes, make_data, moved
from members import optimizers

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES
from fastgd.sampling import SAMPLINGS

N = 50
BATCH_SIZES = [1, 7, 32, N, None]
OPTIMIZERS = {
    "sgd": gd.SGD(0.02),
    "decay": gd.SGD(0.02, weight_decay=0.1),
    "momentum": gd.SGD(0.002, momentum=0.9, weight_decay=0.01),
    "nesterov": gd.SGD(0.002, momentum=0.9, nesterov=True),
    # Adam divides a gradient by its size: with the default eps, the rounding error in a gradient
    # that is zero by cancellation would make a full step
    "adam": gd.Adam(0.01, weight_decay=0.01, eps=1e-3),
    "adamw": gd.AdamW(0.01, eps=1e-3),
    "nadam": gd.Nadam(0.01, weight_decay=0.01, eps=1e-3),
    "nadamw": gd.Nadam(0.01, weight_decay=0.01, eps=1e-3, decoupled_weight_decay=True),
    "adagrad": gd.Adagrad(0.01, lr_decay=0.01, eps=1e-3, initial_accumulator_value=0.1),
    "rmsprop": gd.RMSprop(0.001, eps=1e-2, weight_decay=0.01),
    "rmsprop momentum": gd.RMSprop(0.001, eps=1e-2, momentum=0.5),
    "rmsprop centered": gd.RMSprop(0.001, eps=1e-2, centered=True),
    "rmsprop all": gd.RMSprop(0.001, eps=1e-2, momentum=0.5, centered=True),
    "asgd": gd.ASGD(0.01, lambd=0.01, t0=3, weight_decay=0.01),
}
# and each form of each other one, small steps with a large eps
OPTIMIZERS |= {
    kernel: optimizer
    for kernel, optimizer in optimizers(1e-3, eps=1e-2, weight_decay=0.01).items()
    if kernel not in {own.kernel for own in OPTIMIZERS.values()}
}
# numbers of inputs and hidden units just below and above every vector's length
HIDDEN_SIZES = [[3], [17], [33], [1], [3, 17], [33, 1, 3]]


def outputs_of(loss):
    return 5 if LOSSES[loss].targets.indices else 1


def train(backend, sizes, *, hidden="tanh", loss, dtype="float64", epochs=2, **options):
    net = gd.Network(sizes, hidden=hidden, loss=loss, dtype=dtype, rng=3)
    X, y = make_data(sizes, loss, N, dtype)
    history = gd.train(
        net, X, y, epochs=epochs, rng=5, backend=backend, validation=(X[:9], y[:9]), **options
    )
    return net, history


def assert_same_training(sizes, *, dtype="float64", epochs=2, **options):
    """Train on each backend; compare parameters and losses."""
    steps = epochs * N  # at most; each adds its rounding error
    reference, expected = train("loop", sizes, dtype=dtype, epochs=epochs, **options)
    for backend in ("vectorized", "compiled"):
        net, history = train(backend, sizes, dtype=dtype, epochs=epochs, **options)
        assert history.updates == expected.updates
        assert_close(net.params, reference.params, dtype, steps, max(sizes))
        assert_close(history.loss, expected.loss, dtype, steps, max(sizes), N)
        assert_close(history.validation_loss, expected.validation_loss, dtype, steps, N)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("loss", LOSSES)
def test_linear_models_agree(loss, batch_size, dtype):
    assert_same_training([17, outputs_of(loss)], loss=loss, batch_size=batch_size, dtype=dtype)


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_networks_agree(loss, hidden, dtype):
    sizes = [3, 17, outputs_of(loss)]
    assert_same_training(sizes, hidden=hidden, loss=loss, batch_size=7, dtype=dtype)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_agree(optimizer, batch_size, dtype):
    assert_same_training(
        [17, 3, 2],
        loss="squared_error",
        optimizer=OPTIMIZERS[optimizer],
        batch_size=batch_size,
        dtype=dtype,
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 32])
def test_optimizers_agree_on_one_output(optimizer, batch_size):
    assert_same_training(
        [33, 1], loss="huber", optimizer=OPTIMIZERS[optimizer], batch_size=batch_size
    )


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_samplings_agree(sampling, reduction, drop_last):
    assert_same_training(
        [3, 4, 5],
        loss="cross_entropy",
        sampling=sampling,
        reduction=reduction,
        drop_last=drop_last,
        batch_size=7,
    )


@pytest.mark.parametrize("hidden_sizes", HIDDEN_SIZES, ids=str)
@pytest.mark.parametrize("n_in", [1, 3, 17, 33])
def test_awkward_shapes_agree(n_in, hidden_sizes, dtype):
    for n_out in (1, 3, 17):
        sizes = [n_in, *hidden_sizes, n_out]
        assert_same_training(sizes, loss="huber", dtype=dtype, epochs=1)


@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy", "hinge"])
def test_sample_weights_agree(loss):
    weight = np.random.default_rng(0).uniform(0, 2, N)
    weight[3] = 0
    sizes = [3, 6, outputs_of(loss)]
    assert_same_training(sizes, loss=loss, sample_weight=weight, batch_size=7)
    assert_same_training([3, outputs_of(loss)], loss=loss, sample_weight=weight, batch_size=1)


def test_class_probabilities_agree_with_class_indices():
    X, labels = make_data([4, 3], "cross_entropy", N)
    nets = [gd.Network([4, 6, 3], loss="cross_entropy", dtype="float64", rng=0) for _ in range(2)]
    for net, y in zip(nets, (labels, np.eye(3)[labels]), strict=True):
        gd.train(net, X, y, epochs=3, rng=0)
    assert_close(nets[1].params, nets[0].params, "float64", 3 * N)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", [[5], [70], [20, 33]], ids=str)
def test_every_level_agrees(sizes, loss, isa, n_threads, dtype):
    sizes = [*sizes, outputs_of(loss)]
    net = gd.Network(sizes, loss=loss, dtype=dtype, rng=0)
    X, y = make_data(sizes, loss, 300, dtype)
    gradients = [gd.gradient(net, X, y, backend=name) for name in ("compiled", "vectorized")]
    assert_close(*gradients, dtype, 300, max(sizes))


@pytest.mark.parametrize("n_out", [2, 7, 12, 13])
@pytest.mark.parametrize("n_in", [127, 128, 257, 515])
def test_few_outputs_of_many_inputs_agree(n_in, n_out, isa, n_threads, dtype):
    """From 128 inputs on, up to 12 outputs are dot products, in segments with separate sums."""
    X, y = make_data([n_in, n_out], "huber", N, dtype)
    nets = [gd.Network([n_in, n_out], loss="huber", dtype=dtype, rng=0) for _ in range(2)]
    for net, backend in zip(nets, ("compiled", "vectorized"), strict=True):
        gd.train(net, X, y, batch_size=7, rng=0, optimizer=gd.SGD(0.001), backend=backend)
    assert_close(nets[0].params, nets[1].params, dtype, N, n_in)
    outputs = [net.forward(X) for net in nets]
    assert_close(*outputs, dtype, N, n_in)


@pytest.mark.parametrize("sizes", [[3, 4, 2], [5, 1]], ids=str)
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("record", [("loss",), ("params",), ("loss", "gradient_norm")], ids=str)
def test_traces_agree(record, every, sizes, dtype):
    traces = [
        train(
            backend, sizes, loss="squared_error", dtype=dtype, batch_size=7, record=record,
            record_every=every,
        )[1].trace
        for backend in ("loop", "vectorized", "compiled")
    ]  # fmt: skip
    assert set(traces[0]) == {*record, "step"}
    for trace in traces:
        assert trace["step"].tolist() == list(range(every, 17, every))
        for name in record:
            assert_close(trace[name], traces[0][name], dtype, 2 * N, N)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("sizes", [[3, 4, 2], [5, 1]], ids=str)
def test_traces_of_the_noise_agree(sizes, reduction):
    traces = [
        train(backend, sizes, loss="huber", batch_size=7, reduction=reduction,
              record=("noise_scale",))[1].trace
        for backend in ("loop", "vectorized", "compiled")
    ]  # fmt: skip
    for trace in traces:
        assert set(trace) == {"step", "noise_scale", "gradient_variance", "gradient_square"}
        for name in trace:
            assert_close(trace[name], traces[0][name], "float64", 2 * N, N)


ADJUSTMENTS = {
    "l2": {"l2": 0.3},
    "l1": {"l1": 0.05},
    "elastic net": {"l1": 0.02, "l2": 0.1},
    "values clipped": {"clip_value": 0.05},
    "norm clipped": {"clip_norm": 0.1},
    "norm clipped, penalty": {"clip_norm": 0.1, "l2": 0.3, "l1": 0.01},
    "samples clipped": {"clip_per_sample": 0.3},
    "samples clipped, then the batch": {"clip_per_sample": 0.3, "clip_norm": 0.1},
    "private": {"clip_per_sample": 0.3, "noise_multiplier": 1.0, "sampling": "poisson"},
}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize("sizes", [[3, 17, 2], [33, 1], [20, 5, 1]], ids=str)
def test_adjusted_gradients_agree(sizes, adjustment, reduction, dtype):
    assert_same_training(
        sizes,
        loss="squared_error",
        optimizer=gd.SGD(0.001, momentum=0.5),
        reduction=reduction,
        batch_size=7,
        dtype=dtype,
        **ADJUSTMENTS[adjustment],
    )


@pytest.mark.parametrize("batch_size", [1, 2, N])
@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_adjusted_gradients_agree_at_every_batch_size(adjustment, batch_size):
    for sizes in ([3, 4, 1], [5, 1]):
        assert_same_training(
            sizes, loss="log_loss", batch_size=batch_size, **ADJUSTMENTS[adjustment]
        )


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_slope_of_the_loss(loss, hidden, backend):
    sizes = [3, 4, outputs_of(loss)]
    net = gd.Network(sizes, hidden=hidden, loss=loss, dtype="float64", rng=2)
    X, y = make_data(sizes, loss, 7)
    gradient = gd.gradient(net, X, y, backend=backend)
    assert_slopes(gradient, lambda params: moved(net, params).loss_value(X, y), net.params)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "hidden", "optimizer"), list(itertools.product(LOSSES, ACTIVATIONS, OPTIMIZERS))
)
def test_losses_activations_and_optimizers_agree_in_all_combinations(loss, hidden, optimizer):
    """Each sampling is combined with each loss, activation and optimizer, at two batch sizes."""
    classes = LOSSES[loss].targets.classes
    samplings = [name for name in SAMPLINGS if classes or name != "stratified"]
    shift = list(LOSSES).index(loss) + list(ACTIVATIONS).index(hidden)
    shift += list(OPTIMIZERS).index(optimizer)
    for turn, (batch_size, dtype) in enumerate(
        itertools.product(BATCH_SIZES, ["float32", "float64"]), shift
    ):
        sampling = samplings[turn % len(samplings)]
        sizes = [3, 4, outputs_of(loss)]
        options = {"loss": loss, "hidden": hidden, "optimizer": OPTIMIZERS[optimizer]}
        options |= {"sampling": sampling, "batch_size": batch_size, "dtype": dtype, "epochs": 1}
        reference, expected = train("vectorized", sizes, **options)
        net, history = train("compiled", sizes, **options)
        assert_close(net.params, reference.params, dtype, N, max(sizes))
        assert_close(history.loss, expected.loss, dtype, N)
