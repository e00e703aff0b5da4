"""train_many(): the same bits as train(), whatever runs at the same time."""

import numpy as np
import pytest

import fastgd as gd
from fastgd.backends import compiled

X = np.random.default_rng(0).standard_normal((200, 5)).astype(np.float32)
Y = X[:, 0] * X[:, 1]


def networks(n, **options):
    return [gd.Network([5, 16, 1], rng=seed, **options) for seed in range(n)]


SETTINGS = [
    {"batch_size": batch_size, "epochs": epochs, "optimizer": optimizer, "rng": 3}
    for batch_size in (1, 32, None)
    for epochs, optimizer in ((3, gd.SGD(0.01)), (5, gd.Adam(0.01)))
]


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_each_network_gets_the_bits_of_train(n_threads, dtype, monkeypatch):
    monkeypatch.setattr(compiled, "ALL_THREADS", True)
    alone, together = networks(6, dtype=dtype), networks(6, dtype=dtype)
    expected = [gd.train(net, X, Y, **entry) for net, entry in zip(alone, SETTINGS, strict=True)]
    histories = gd.train_many(together, X, Y, SETTINGS, n_threads=n_threads)
    for net, other in zip(together, alone, strict=True):
        assert net.params.tobytes() == other.params.tobytes()
    assert [h.loss for h in histories] == [h.loss for h in expected]


@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "sequential"])
def test_a_fold_gets_the_bits_of_training_on_its_data(sampling):
    fold = np.flatnonzero(np.arange(200) % 5 != 2)
    (net,), other = networks(1), networks(1)[0]
    entry = {"sampling": sampling, "rng": 1, "epochs": 3}
    gd.train_many([net], X, Y, [entry | {"samples": fold}])
    gd.train(other, X[fold], Y[fold], **entry)
    assert net.params.tobytes() == other.params.tobytes()


def test_a_stratified_fold_gets_the_bits_of_training_on_its_data():
    labels, fold = (Y > 0).astype(int), np.arange(150)
    nets = [gd.Network([5, 1], loss="log_loss") for _ in range(2)]
    gd.train_many(nets[:1], X, labels, {"samples": fold, "sampling": "stratified", "rng": 1})
    gd.train(nets[1], X[fold], labels[fold], sampling="stratified", rng=1)
    assert nets[0].params.tobytes() == nets[1].params.tobytes()


def test_a_batch_size_above_a_folds_samples_is_one_batch_of_them():
    (history,) = gd.train_many(networks(1), X, Y, {"samples": np.arange(20), "epochs": 2, "rng": 0})
    assert (history.updates, history.batch_size) == (2, 20)


def test_one_mapping_serves_all():
    histories = gd.train_many(networks(3), X, Y, {"epochs": 2, "rng": 0})
    assert [h.epochs for h in histories] == [2, 2, 2]


def test_a_network_that_diverges_leaves_the_others_alone():
    nets = networks(3)
    rates = (0.01, 1e4, 0.02)
    histories = gd.train_many(
        nets, X, Y, [{"optimizer": gd.SGD(rate), "epochs": 20, "rng": 0} for rate in rates]
    )
    assert [h.diverged for h in histories] == [False, True, False]
    assert histories[0].epochs == histories[2].epochs == 20
    assert all(np.isfinite(net.params).all() for net in nets)


def test_a_callbacks_error_reaches_the_caller():
    def fail(net, history):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        gd.train_many(networks(4), X, Y, {"callbacks": [fail]})


def test_a_callbacks_error_ends_the_other_runs(monkeypatch):
    """Without the interruption they would not end; their callback is a safeguard."""
    monkeypatch.setattr(compiled, "threads", lambda n: n)  # two also where the limit is one
    begun, ended = [], []

    def fail(net, history):
        if begun:
            raise RuntimeError("mine")

    def wait(net, history):
        begun.append(history)
        return len(begun) > 100_000

    def note(net, history):
        if len(begun) > 100_000:
            ended.append(history)

    settings = [{"callbacks": [each, note], "epochs": 10**9} for each in (fail, wait)]
    with pytest.raises(RuntimeError, match="mine"):
        gd.train_many(networks(2), X, Y, settings, n_threads=2)
    assert not ended


def test_no_networks_return_no_histories():
    assert gd.train_many([], X, Y, {}) == []


SHARED = np.random.default_rng(0)
BITS = np.random.PCG64(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([{}], "settings is for 1 network, but nets holds 2"),
        ([{}, {"batch_size": 0}], "batch_size is 0"),
        ([{}, 3], "mappings"),
        (None, "settings must be a mapping .* not None"),
        ({"n_threads": 2}, "may not hold n_threads"),
        ({"rng": SHARED}, "shares a generator"),
        ({"rng": BITS}, "shares a generator"),
        ([{"rng": np.random.Generator(BITS)}, {"rng": np.random.Generator(BITS)}], "shares a gen"),
        ([{"rng": SHARED.bit_generator}, {"rng": SHARED}], "shares a generator"),
        ({"rng": np.random.RandomState(0)}, "rng must be None, a whole number"),
        ({"samples": [200]}, "index 200, but there are 200 samples"),
        ({"samples": [-1]}, "index -1"),
        ({"samples": []}, "samples"),
        ({"samples": np.ones(200, bool)}, "flatnonzero"),
        ({"lr": 0.1}, r"settings has 'lr', which train does not take; it may hold batch_size"),
        (
            {"lr": 0.1},
            r"optimizer=fastgd.SGD\(learning_rate=\.\.\.\)",
        ),
        ({"epoch": 3}, "did you mean 'epochs'"),
    ],
)
def test_bad_settings_are_refused_before_anything_changes(settings, message):
    nets = networks(2)
    before = [net.params.tobytes() for net in nets]
    with pytest.raises((TypeError, ValueError), match=message):
        gd.train_many(nets, X, Y, settings)
    assert [net.params.tobytes() for net in nets] == before


def test_networks_may_share_a_seed_sequence():
    nets, alone = networks(2), networks(2)
    gd.train_many(nets, X, Y, {"rng": np.random.SeedSequence(7), "epochs": 2})
    for net, other in zip(nets, alone, strict=True):
        gd.train(other, X, Y, rng=7, epochs=2)
        assert net.params.tobytes() == other.params.tobytes()


def test_the_same_network_twice_is_refused():
    net = networks(1)[0]
    with pytest.raises(ValueError, match=r"Network\.copy\(\)"):
        gd.train_many([net, net], X, Y, {})


def test_networks_must_be_a_list():
    with pytest.raises(TypeError, match="nets must list networks"):
        gd.train_many(networks(1)[0], X, Y, {})


def test_a_class_is_not_a_network():
    with pytest.raises(TypeError, match=r"create an instance, as in fastgd\.Network\(\[3, 1\]\)"):
        gd.train_many([gd.Network] * 2, X, Y, {})
