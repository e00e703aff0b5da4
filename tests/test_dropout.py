"""Dropout: the generator, the dropped units, and agreement of the three backends."""

import numpy as np
import pytest
from conftest import assert_close, make_data

import fastgd as gd
from fastgd.backends import _dropout, compiled

# Known answers of Philox4x32-10, from the Random123 library's kat_vectors.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_the_generator_gives_its_published_numbers(counter, key, expected):
    words = _dropout.philox(np.array(counter, np.uint64)[:, None], key)
    assert words[:, 0].tolist() == list(expected)


def train(backend="compiled", sizes=(5, 70, 17, 2), dtype="float64", n=60, **options):
    net = gd.Network(sizes, hidden="tanh", dtype=dtype, rng=0)
    X, y = make_data(sizes, net.loss, n, dtype)
    options = {"dropout": 0.4, "batch_size": 7, "epochs": 2, "rng": 3, **options}
    history = gd.train(net, X, y, backend=backend, **options)
    return net, history


RATES = [0.5, (0.0, 0.3), (0.9, 0.0)]
SETTINGS = [{}, {"clip_per_sample": 0.1}, {"sampling": "poisson"}]


def assert_same_training(one, other, dtype):
    (net, history), (reference, expected) = one, other
    assert_close(net.params, reference.params, dtype, 120, 70)
    assert_close(history.loss, expected.loss, dtype, 120, 70)


@pytest.mark.parametrize("dropout", RATES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_backends_drop_the_same_units(dropout, settings, dtype):
    loop, *others = (
        train(backend, dtype=dtype, dropout=dropout, **settings)
        for backend in ("loop", "vectorized", "compiled")
    )
    for other in others:
        assert_same_training(other, loop, dtype)


@pytest.mark.parametrize("dropout", RATES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_levels_and_threads_drop_the_same_units(dropout, settings, dtype, isa, n_threads):
    settings = {"dtype": dtype, "dropout": dropout, **settings}
    compiled = train("compiled", n_threads=n_threads, **settings)
    assert_same_training(compiled, train("vectorized", **settings), dtype)


@pytest.mark.parametrize("batch_size", [60, 300])
def test_threads_and_chunks_change_no_bit(batch_size, monkeypatch):
    monkeypatch.setattr(compiled, "ALL_THREADS", True)
    bits = {
        train(n=700, batch_size=batch_size, n_threads=n_threads)[0].params.tobytes()
        for n_threads in (1, 2, 3, 8)
    }
    assert len(bits) == 1


def plan_of(sizes, dropout, n=10):
    net = gd.Network(sizes, rng=0)
    X, y = make_data(sizes, net.loss, n, "float32")
    return gd.training.prepare(net, X, y, batch_size=n, dropout=dropout, rng=0).job.plan


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_share_of_dropped_units(rate):
    plan = plan_of((3, 500, 1), rate)
    (mask,) = _dropout.masks(plan, 12345, np.arange(400))
    # a binomial share of 200,000 draws: its standard error is below 0.0012
    assert (mask == 0).mean() == pytest.approx(rate, abs=0.005)
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / (1 - rate))}
    assert abs(np.corrcoef(mask[:, :-1].ravel(), mask[:, 1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(mask[:-1].ravel(), mask[1:].ravel())[0, 1]) < 0.01


def test_masks_differ_between_layers_epochs_and_places():
    plan = plan_of((3, 64, 64, 1), 0.5)
    first, second = _dropout.masks(plan, 1, np.arange(20))
    other = _dropout.masks(plan, 2, np.arange(20))[0]
    # a binomial share of 1280 draws: its standard error is 0.014
    assert (first != second).mean() == pytest.approx(0.5, abs=0.06)
    assert (first != other).mean() == pytest.approx(0.5, abs=0.06)
    np.testing.assert_array_equal(_dropout.masks(plan, 1, np.arange(10, 20))[0], first[10:])


def test_predictions_drop_nothing():
    net, _ = train()
    X = make_data(net.sizes, net.loss, 20)[0]
    z = X
    for W, b in zip(net.weights, net.biases, strict=True):
        expected = z @ W + b
        z = np.tanh(expected)
    assert_close(net.predict(X), expected, "float64", *net.sizes)


def test_a_resumed_training_drops_the_same_units(backend):
    whole, _ = train(backend, epochs=5)
    net = gd.Network(whole.sizes, hidden="tanh", dtype="float64", rng=0)
    X, y = make_data(net.sizes, net.loss, 60)
    options = {"dropout": 0.4, "batch_size": 7, "backend": backend}
    first = gd.train(net, X, y, epochs=2, rng=3, **options)
    gd.train(net, X, y, epochs=3, resume=first, **options)
    np.testing.assert_array_equal(net.params, whole.params)


def test_dropout_fits_noise_less_well():
    """With half of the units dropped, as expected of a regulariser."""
    losses = []
    for dropout in (0.0, 0.5):
        net, _ = train(
            sizes=(5, 50, 1), dropout=dropout, epochs=300, optimizer=gd.Adam(0.01), batch_size=10
        )
        losses.append(net.loss_value(*make_data((5, 50, 1), net.loss, 60)))
    assert losses[0] < 0.5 * losses[1]


@pytest.mark.parametrize(
    ("sizes", "dropout", "message"),
    [
        ((3, 4, 1), 1.0, "below 1"),
        ((3, 4, 1), -0.1, "at least 0"),
        ((3, 4, 1), (0.1, 0.2), "1 hidden layer: give one number"),
        ((3, 1), 0.5, "0 hidden layers"),
    ],
)
def test_bad_rates_are_refused(sizes, dropout, message):
    with pytest.raises(ValueError, match=message):
        train(sizes=sizes, dropout=dropout)


@pytest.mark.parametrize("sizes", [(3, 1), (3, 4, 1)])
def test_no_dropout_is_the_default(sizes):
    nets = [gd.Network(sizes, rng=0) for _ in range(2)]
    X, y = make_data(sizes, nets[0].loss, 20, "float32")
    gd.train(nets[0], X, y, batch_size=5, rng=0)
    gd.train(nets[1], X, y, batch_size=5, rng=0, dropout=0.0)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


def test_an_empty_poisson_batch_drops_no_units(backend):
    """With one sample per batch on average, a third of them are empty."""
    net = gd.Network((3, 4, 1), rng=0)
    X, y = make_data(net.sizes, net.loss, 10, "float32")
    gd.train(
        net, X, y, batch_size=1, epochs=3, sampling="poisson", dropout=0.5, rng=0, backend=backend
    )
    assert np.isfinite(net.params).all()
