"""Equal bits: results do not depend on the number of threads, the level or memory alignment."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import ALIKE, several_levels
from members import optimizers

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.backends import compiled

MODELS = {
    "linear": ((33, 1), "squared_error"),
    "wide linear": ((640, 1), "squared_error"),
    "logistic": ((17, 1), "log_loss"),
    "softmax": ((70, 10), "cross_entropy"),
    "two outputs": ((5, 2), "huber"),
    "few outputs, many inputs": ((515, 10), "cross_entropy"),
    "few outputs, one segment": ((130, 3), "squared_error"),
    "narrow network": ((20, 64, 17, 1), "squared_error"),
    "first layer split": ((150, 96, 3), "cross_entropy"),
    "layers split": ((40, 96, 70, 64, 3), "cross_entropy"),
    "one unit": ((3, 1, 1), "absolute_error"),
}
OPTIMIZERS = {
    "sgd": gd.SGD(0.01),
    "momentum": gd.SGD(0.01, momentum=0.9),
    "adam": gd.Adam(0.01),
    "nadam": gd.Nadam(0.01),
    "adagrad": gd.Adagrad(0.01, lr_decay=0.01),
    "rmsprop": gd.RMSprop(0.01, momentum=0.9, centered=True),
    "asgd": gd.ASGD(0.01, t0=3),
}
# and each form of each other one
OPTIMIZERS |= {
    kernel: optimizer
    for kernel, optimizer in optimizers(0.01).items()
    if kernel not in {own.kernel for own in OPTIMIZERS.values()}
}


@pytest.fixture(autouse=True)
def all_threads(monkeypatch):
    """Use all threads, even for steps where one is faster."""
    monkeypatch.setattr(compiled, "ALL_THREADS", True)


def make_data(sizes, loss, n, dtype):
    rng = np.random.default_rng(7)
    spread = min(1, 10 / np.sqrt(sizes[0]))  # steps of one sample on wide rows must not diverge
    X = (spread * rng.standard_normal((n, sizes[0]))).astype(dtype)
    if loss == "cross_entropy":
        return X, rng.integers(sizes[-1], size=n)
    if loss == "log_loss":
        return X, rng.integers(2, size=n)
    return X, rng.standard_normal((n, sizes[-1])).astype(dtype)


def trained_bits(model, *, dtype="float32", optimizer="sgd", n=333, seed=0, **options):
    """Train, and return all results as bytes."""
    sizes, loss = MODELS[model]
    X, y = make_data(sizes, loss, n, dtype)
    net = gd.Network(sizes, hidden="tanh", loss=loss, dtype=dtype, rng=seed)
    history = gd.train(net, X, y, epochs=2, optimizer=OPTIMIZERS[optimizer], rng=seed, **options)
    gradient = gd.gradient(net, X, y)
    return net.params.tobytes(), gradient.tobytes(), net.forward(X).tobytes(), history.loss


@pytest.mark.parametrize("batch_size", [1, 32, 200, None])
@pytest.mark.parametrize("model", MODELS)
def test_any_number_of_threads_gives_the_same_bits(model, dtype, batch_size):
    options = {"dtype": dtype, "batch_size": batch_size, "n": 40 if batch_size == 1 else 333}
    one = trained_bits(model, n_threads=1, **options)
    for n_threads in (2, 3, 8):
        assert trained_bits(model, n_threads=n_threads, **options) == one


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_optimizers_give_the_same_bits_on_threads(model, optimizer):
    one, many = (
        trained_bits(model, optimizer=optimizer, batch_size=50, n_threads=n_threads)
        for n_threads in (1, 8)
    )
    assert one == many


ADJUSTMENTS = {
    "elastic net": {"l1": 0.01, "l2": 0.1},
    "clipped": {"clip_norm": 0.1, "record": ("gradient_norm", "loss")},
    "private": {"clip_per_sample": 0.3, "noise_multiplier": 1.0, "sampling": "poisson"},
    "measured": {"record": ("noise_scale",), "l2": 0.1},
}


@pytest.mark.each_level
@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize("model", MODELS)
def test_clipping_and_penalties_give_the_same_bits(model, dtype, adjustment, monkeypatch):
    def bits(level, n_threads):
        monkeypatch.setattr(compiled, "LEVEL", level)
        sizes, loss = MODELS[model]
        X, y = make_data(sizes, loss, 150, dtype)
        net = gd.Network(sizes, hidden="tanh", loss=loss, dtype=dtype, rng=0)
        history = gd.train(
            net, X, y, epochs=2, optimizer=gd.SGD(0.01), rng=0, batch_size=40,
            n_threads=n_threads, **ADJUSTMENTS[adjustment],
        )  # fmt: skip
        norms = gd.per_sample_norms(net, X, y)
        gradients = gd.per_sample_gradients(net, X, y)
        recorded = [values.tobytes() for values in history.trace.values()]
        return net.params.tobytes(), history.loss, norms.tobytes(), gradients.tobytes(), recorded

    first, *others = [bits(level, threads) for level in ALIKE for threads in (1, 3)]
    assert all(other == first for other in others)


@several_levels
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model", MODELS)
def test_levels_with_fma_give_the_same_bits(model, dtype, activation, monkeypatch):
    def bits(level):
        monkeypatch.setattr(compiled, "LEVEL", level)
        sizes, loss = MODELS[model]
        X, y = make_data(sizes, loss, 101, dtype)
        net = gd.Network(sizes, hidden=activation, loss=loss, dtype=dtype, rng=0)
        gd.train(net, X, y, epochs=2, optimizer=gd.Adam(0.01), rng=0)
        return net.params.tobytes(), gd.gradient(net, X, y).tobytes(), net.forward(X).tobytes()

    first, *others = [bits(level) for level in ALIKE]
    assert all(other == first for other in others)


@several_levels
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_give_the_same_bits_on_levels_with_fma(dtype, optimizer, monkeypatch):
    def bits(level):
        monkeypatch.setattr(compiled, "LEVEL", level)
        schedule = gd.schedules.OneCycle(40)
        return trained_bits(
            "narrow network", dtype=dtype, optimizer=optimizer, batch_size=20, schedule=schedule
        )

    first, *others = [bits(level) for level in ALIKE]
    assert all(other == first for other in others)


def placed(X, offset):
    """Return a copy whose address is `offset` bytes above a multiple of 64."""
    room = np.empty(X.nbytes + 128, np.uint8)
    start = (offset - room.ctypes.data) % 64
    copy = room[start : start + X.nbytes].view(X.dtype).reshape(X.shape)
    copy[:] = X
    return copy


@pytest.mark.parametrize("n_in", [64, 144, 512])
def test_the_alignment_of_rows_changes_no_bit(n_in, dtype, isa):
    def bits(offset):
        X, y = make_data((n_in, 1), "squared_error", 150, dtype)
        X = placed(X, offset)
        net = gd.Network([n_in, 1], dtype=dtype, rng=0)
        history = gd.train(
            net, X, y, epochs=2, optimizer=gd.Adam(0.01), rng=0, batch_size=70, n_threads=2,
            l1=0.01, l2=0.1, clip_norm=0.5, record=("gradient_norm", "params"),
        )  # fmt: skip
        recorded = [values.tobytes() for values in history.trace.values()]
        gradient, norms = gd.gradient(net, X, y), gd.per_sample_norms(net, X, y)
        outputs = net.forward(X)
        return history.loss, recorded, gradient.tobytes(), norms.tobytes(), outputs.tobytes()

    first, *others = [bits(offset) for offset in (0, 8, 16, 32, 40, 48)]
    assert all(other == first for other in others)


def test_the_choice_of_threads_changes_no_bit(monkeypatch):
    forced = trained_bits("first layer split", n=2000, batch_size=64, n_threads=3)
    monkeypatch.setattr(compiled, "ALL_THREADS", False)
    assert trained_bits("first layer split", n=2000, batch_size=64, n_threads=3) == forced


def test_simultaneous_fits_give_the_bits_of_single_fits():
    models = list(MODELS) * 2
    alone = [trained_bits(model, n_threads=2, batch_size=64) for model in models]
    with ThreadPoolExecutor(8) as pool:
        together = list(
            pool.map(lambda model: trained_bits(model, n_threads=2, batch_size=64), models)
        )
    assert together == alone


def test_repeated_runs_give_the_same_bits():
    runs = {trained_bits("narrow network", n_threads=8, batch_size=100)[0] for _ in range(20)}
    assert len(runs) == 1


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("model", MODELS)
def test_recording_changes_no_bit(model, batch_size):
    record = ("loss", "params", "gradient_norm") + (("noise_scale",) if batch_size > 1 else ())
    plain = trained_bits(model, batch_size=batch_size)
    assert trained_bits(model, batch_size=batch_size, record=record) == plain
    assert trained_bits(model, batch_size=batch_size, record=record, record_every=7) == plain


@pytest.mark.each_level
@pytest.mark.parametrize("model", MODELS)
def test_noise_scales_have_the_same_bits_on_every_level_and_thread(model, monkeypatch):
    sizes, loss = MODELS[model]
    X, y = make_data(sizes, loss, 500, "float32")
    net = gd.Network(sizes, hidden="tanh", loss=loss, rng=0)
    found = set()
    for level in ALIKE:
        for all_threads in (True, False):
            monkeypatch.setattr(compiled, "LEVEL", level)
            monkeypatch.setattr(compiled, "ALL_THREADS", all_threads)
            found.add(gd.noise_scale(net, X, y, full=True, rng=0))
    assert len(found) == 1


@several_levels
@pytest.mark.parametrize("loss", gd.losses.LOSSES)
def test_predictions_and_losses_on_every_level(monkeypatch, loss, dtype):
    kind = gd.losses.LOSSES[loss].targets
    outputs = 1 if kind.one_output else 7
    rng = np.random.default_rng(3)
    X = (30 * rng.standard_normal((999, 5))).astype(dtype)
    y = rng.integers(2, size=(999, outputs)).astype(dtype)
    if kind.name == "sign":
        y = 2 * y - 1
    if kind.indices:
        y = rng.integers(outputs, size=999)
    net = gd.Network([5, outputs], loss=loss, dtype=dtype)
    net.params[:] = rng.standard_normal(net.n_params)
    found = set()
    for level in ALIKE:
        monkeypatch.setattr(compiled, "LEVEL", level)
        losses = net.loss_value(X, y, reduction="none")
        found.add((net.predict(X).tobytes(), losses.tobytes(), net.loss_value(X, y)))
    assert len(found) == 1
