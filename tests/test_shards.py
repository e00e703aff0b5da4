"""Batches divided into shards: every backend adds their parts' gradients as the same tree."""

import itertools

import numpy as np
import pytest
from conftest import make_data

import fastgd as gd
from fastgd.backends import compiled
from fastgd.backends._step import add_as_tree
from fastgd.batches import batch_bounds, part_bounds, shard_size
from fastgd.optimizers import OPTIMIZERS
from fastgd.sampling import make_sharded

MODELS = {
    "linear": ([7, 1], "squared_error"),
    "softmax": ([140, 3], "cross_entropy"),
    "network": ([7, 20, 5, 1], "log_loss"),
    "wide": ([5, 70, 70, 3], "squared_error"),
}
# what is added to each gradient and how the batches are made, with 53 samples
SETTINGS = {
    "plain": {"batch_size": 8},
    "batch of all": {"batch_size": None},
    "batches of one": {"batch_size": 1},
    "large batches": {"batch_size": 30},
    "drop_last": {"batch_size": 10, "drop_last": True},
    "sum": {"batch_size": 8, "reduction": "sum", "optimizer": gd.SGD(1e-3)},
    "momentum": {"batch_size": 8, "optimizer": gd.SGD(0.01, momentum=0.9, nesterov=True)},
    "schedule": {"batch_size": 8, "schedule": gd.schedules.Cosine(12, unit="update")},
    "penalties": {"batch_size": 8, "l1": 0.01, "l2": 0.1},
    "clip_value": {"batch_size": 8, "clip_value": 0.01},
    "clip_norm": {"batch_size": 8, "clip_norm": 0.1},
    "clip_per_sample": {"batch_size": 8, "clip_per_sample": 0.3},
    "replacement": {"batch_size": 8, "sampling": "replacement"},
    "sequential": {"batch_size": 8, "sampling": "sequential"},
}
RECORD = ("loss", "params", "gradient_norm", "noise_scale")


def train(model, shards, dtype="float64", **settings):
    """Train a network; return it with its history."""
    sizes, loss = MODELS[model]
    X, y = make_data(sizes, loss, n=53, dtype=dtype)
    net = gd.Network(sizes, loss=loss, dtype=dtype, hidden="tanh", rng=0)
    settings = {"epochs": 2, "rng": 0, "optimizer": gd.SGD(0.02)} | settings
    return net, gd.train(net, X, y, shards=shards, **settings)


def assert_backends_agree(model, shards, dtype, **settings):
    loop, history = train(model, shards, dtype, backend="loop", **settings)
    atol = 2000 * np.finfo(dtype).eps
    for backend in ("vectorized", "compiled"):
        net, trained = train(model, shards, dtype, backend=backend, **settings)
        np.testing.assert_allclose(net.params, loop.params, rtol=0, atol=atol)
        np.testing.assert_allclose(trained.loss, history.loss, rtol=atol)
        for name in ("loss", "params", "gradient_norm"):
            if name in history.trace:
                np.testing.assert_allclose(
                    trained.trace[name], history.trace[name], rtol=0, atol=10 * atol
                )


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("model", MODELS)
def test_backends_agree(model, settings, dtype):
    assert_backends_agree(model, 3, dtype, **SETTINGS[settings])


@pytest.mark.parametrize("shards", [2, 3, 8, 53])
@pytest.mark.parametrize("model", MODELS)
def test_backends_agree_for_other_numbers_of_shards(model, shards, n_threads):
    assert_backends_agree(model, shards, "float64", n_threads=n_threads, record=RECORD)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer(kind, backend):
    optimizer = OPTIMIZERS[kind](learning_rate=0.01)
    net, _ = train("network", 3, batch_size=8, optimizer=optimizer, backend=backend)
    loop, _ = train("network", 3, batch_size=8, optimizer=optimizer, backend="loop")
    np.testing.assert_allclose(net.params, loop.params, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("settings", ["plain", "batch of all", "penalties", "clip_norm"])
@pytest.mark.parametrize("shards", [2, 5])
@pytest.mark.parametrize("model", MODELS)
def test_bits_do_not_depend_on_threads(model, shards, settings, dtype, monkeypatch):
    monkeypatch.setattr(compiled, "ALL_THREADS", True)
    bits = {
        train(model, shards, dtype, n_threads=n, dropout=0.3 if "w" in model else 0.0,
              **SETTINGS[settings])[0].params.tobytes()
        for n in (1, 2, 3)
    }  # fmt: skip
    assert len(bits) == 1


@pytest.mark.parametrize("model", MODELS)
def test_one_shard_is_the_ordinary_training(model, backend):
    net, _ = train(model, 1, backend=backend)
    sizes, loss = MODELS[model]
    X, y = make_data(sizes, loss, n=53)
    plain = gd.Network(sizes, loss=loss, dtype="float64", hidden="tanh", rng=0)
    gd.train(plain, X, y, epochs=2, rng=0, optimizer=gd.SGD(0.02), backend=backend)
    assert net.params.tobytes() == plain.params.tobytes()


def test_a_batch_has_its_parts_in_every_shard():
    """By the definition, from the samples that a sampling in the order of the rows gives."""
    sampler = make_sharded("sequential", None, 11, 3, 4, False)
    order = sampler.epoch(11, np.random.default_rng(0)).tolist()
    # shards of rows 0-3, 4-7, 8-10; batches of 4, 4 and 3 samples
    assert order == [0, 1, 4, 8, 2, 5, 6, 9, 3, 7, 10]
    assert part_bounds(batch_bounds(11, 4, False), 3).tolist() == [0, 2, 3, 4, 5, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("sampling", ["shuffle", "sequential", "stratified"])
@pytest.mark.parametrize(
    ("n", "shards", "batch_size"), [(1, 1, 1), (50, 7, 8), (9, 9, 2), (64, 4, 64)]
)
def test_each_sample_is_used_once(n, shards, batch_size, sampling, drop_last):
    sampler = make_sharded(sampling, np.arange(n) % 2, n, shards, batch_size, drop_last)
    order = sampler.epoch(n, np.random.default_rng(0))
    used = n - n % batch_size if drop_last else n
    assert len(order) == used == len(set(order.tolist()))
    bounds = part_bounds(batch_bounds(n, batch_size, drop_last), shards)
    ends = np.cumsum([shard_size(n, shards, s) for s in range(shards)])
    for part, (first, last) in enumerate(itertools.pairwise(bounds)):
        assert (np.searchsorted(ends, order[first:last], "right") == part % shards).all()


def test_a_shards_order_does_not_depend_on_the_others():
    class Spy:
        def __init__(self):
            self.drawn = []

        def epoch(self, n, rng):
            self.drawn.append(rng.integers(1000))
            return np.arange(n)

    drawn = []
    for shards in (2, 4):
        spy = Spy()
        make_sharded(spy, None, 20, shards, 5, False).epoch(20, np.random.default_rng(0))
        drawn.append(spy.drawn)
    assert drawn[0] == drawn[1][:2]
    assert len(set(drawn[1])) == 4


@pytest.mark.parametrize(
    ("n", "written"),
    [(1, "0"), (2, "(01)"), (3, "((01)2)"), (5, "(((01)(23))4)"), (7, "(((01)(23))((45)6))")],
)
def test_the_tree_adds_neighbours(n, written):
    class Term(str):
        def __add__(self, other):
            return Term(f"({self!s}{other!s})")

    assert str(add_as_tree([Term(k) for k in range(n)])) == written


@pytest.mark.parametrize("shards", [1, 3])
def test_resumed_training_has_the_same_bits(shards, tmp_path):
    net, _ = train("network", shards, epochs=4)
    again, history = train("network", shards, epochs=1)
    gd.save_checkpoint(tmp_path / "file", again, history)
    again, history = gd.load_checkpoint(tmp_path / "file")
    assert history.shards == shards
    X, y = make_data(*MODELS["network"], n=53)
    gd.train(again, X, y, epochs=3, resume=history, shards=shards)
    assert again.params.tobytes() == net.params.tobytes()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"shards": 0}, ValueError, "shards is 0, but must be at least 1"),
        ({"shards": 2.0}, TypeError, "shards must be a whole number"),
        ({"shards": 54}, ValueError, "shards is 54, but there are 53 samples"),
        ({"shards": 2, "sampling": "poisson"}, ValueError, "which shards cannot divide"),
    ],
)
def test_other_shards_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        train("linear", **settings)


def test_blocks_are_not_divided():
    X, y = make_data(*MODELS["linear"], n=53)
    with pytest.raises(ValueError, match="blocks take shards=1"):
        gd.train(gd.Network([7, 1]), gd.open_blocks(X, y, block_rows=10), shards=2)


@pytest.mark.parametrize("name", ["validation", "early_stopping", "sample_weight", "dropout"])
def test_other_settings_go_with_shards(name, backend):
    given = {
        "validation": {"validation": 0.3},
        "early_stopping": {"validation": 0.3, "early_stopping": 2, "epochs": 9},
        "sample_weight": {"sample_weight": np.linspace(0.5, 2, 53)},
        "dropout": {"dropout": 0.4},
    }[name]
    net, history = train("network", 3, backend=backend, **given)
    loop, wanted = train("network", 3, backend="loop", **given)
    np.testing.assert_allclose(net.params, loop.params, rtol=0, atol=1e-12)
    np.testing.assert_allclose(history.validation_loss, wanted.validation_loss)


def test_wide_sparse_rows_have_the_bits_of_dense_ones(backend):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = np.where(rng.random((40, 5000)) < 0.002, rng.standard_normal((40, 5000)), 0)
    bits = set()
    for rows in (X, sparse.csr_array(X)):
        net = gd.Network([5000, 8, 1], dtype="float64", rng=0)
        gd.train(net, rows, X[:, 0], shards=3, batch_size=9, epochs=2, rng=0, backend=backend)
        bits.add(net.params.tobytes())
    assert len(bits) == 1
