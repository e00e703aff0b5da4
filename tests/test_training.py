"""train(): the meaning of settings, the results, and resuming."""

import copy
import pickle

import numpy as np
import pytest
from conftest import assert_close, make_data

import fastgd as gd
from fastgd._divergence import remedy
from fastgd.backends import BACKENDS

N = 50


def test_the_default_optimizer_is_sgd(small_run):
    net, X, y = small_run
    assert gd.train(net, X, y, epochs=1).optimizer == gd.SGD(0.01)


def test_an_unknown_argument_is_refused(small_run):
    with pytest.raises(TypeError, match="epoch"):
        gd.training.prepare(*small_run, epoch=3)


def test_training_minimises_the_loss():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 2))
    net = gd.Network([2, 16, 1], rng=0)
    history = gd.train(net, X, X[:, 0] * X[:, 1], epochs=100, optimizer=gd.Adam(0.01), rng=0)
    assert history.loss[-1] < 0.02 < history.loss[0]


@pytest.mark.parametrize(
    "optimizer",
    [
        gd.SGD(0.1),
        gd.SGD(0.01, momentum=0.9),
        gd.Adam(0.01),
        gd.Nadam(0.01),
        gd.Adagrad(0.01, lr_decay=0.1, initial_accumulator_value=0.1),
        gd.RMSprop(0.001, momentum=0.9, centered=True),
        gd.ASGD(0.1, lambd=0.1, t0=20),
    ],
)
def test_four_epochs_and_then_six_equal_ten(optimizer, backend, small_run, tmp_path):
    net, X, y = small_run
    whole, parts = net.copy(), net.copy()
    options = {"backend": backend, "batch_size": 7, "record": ("loss",)}
    ten = gd.train(whole, X, y, epochs=10, optimizer=optimizer, rng=3, **options)
    four = gd.train(parts, X, y, epochs=4, optimizer=optimizer, rng=3, **options)
    gd.save_checkpoint(tmp_path / "run.npz", parts, four)
    both = gd.train(parts, X, y, epochs=6, resume=four, **options)
    loaded, history = gd.load_checkpoint(tmp_path / "run.npz")
    again = gd.train(loaded, X, y, epochs=6, resume=history, **options)
    for net_, history_ in ((parts, both), (loaded, again)):
        assert net_.params.tobytes() == whole.params.tobytes()
        assert history_.loss == ten.loss
        assert history_.updates == ten.updates
        assert history_.trace["loss"].tobytes() == ten.trace["loss"].tobytes()
    assert four.epochs == 4  # a resumed training leaves its beginning alone


@pytest.mark.parametrize("bits", ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"])
def test_every_numpy_bit_generator_can_be_resumed(bits, small_run, tmp_path):
    net, X, y = small_run
    whole, parts = net.copy(), net.copy()
    rngs = [np.random.Generator(getattr(np.random, bits)(1)) for _ in range(2)]
    gd.train(whole, X, y, epochs=3, rng=rngs[0])
    history = gd.train(parts, X, y, epochs=1, rng=rngs[1])
    gd.save_checkpoint(tmp_path / "run.npz", parts, history)
    parts, history = gd.load_checkpoint(tmp_path / "run.npz")
    gd.train(parts, X, y, epochs=2, resume=history)
    assert parts.params.tobytes() == whole.params.tobytes()


def test_the_users_generator_is_drawn_from(small_run):
    net, X, y = small_run
    rng = np.random.default_rng(0)
    gd.train(net.copy(), X, y, rng=rng)
    assert rng.bit_generator.state != np.random.default_rng(0).bit_generator.state


def test_divergence_keeps_the_last_finite_epoch(backend, small_run):
    net, X, y = small_run
    kept = []
    with pytest.raises(gd.DivergenceError, match=r"learning rate 2\.5") as caught:
        gd.train(
            net, X, y, epochs=500, optimizer=gd.SGD(2.5), rng=0, backend=backend,
            callbacks=[lambda net, _: kept.append(net.params.copy())],
        )  # fmt: skip
    assert np.isfinite(net.params).all()
    assert caught.value.history.epochs == len(kept)
    if kept:
        assert net.params.tobytes() == kept[-1].tobytes()


def test_divergence_in_the_first_epoch_changes_nothing(backend, small_run):
    net, X, y = small_run
    before = net.params.copy()
    with pytest.raises(gd.DivergenceError):
        gd.train(net, X * 1e15, y, optimizer=gd.SGD(1e10), backend=backend)
    assert net.params.tobytes() == before.tobytes()


def test_a_callback_sees_each_epoch_and_may_stop(small_run):
    net, X, y = small_run
    seen = []

    def stop_at_three(net, history):
        seen.append(history.loss[-1])
        return history.epochs == 3

    history = gd.train(net, X, y, epochs=10, callbacks=[stop_at_three])
    assert history.loss == seen
    assert len(seen) == 3


def test_a_callback_may_stop_with_numpys_true(small_run):
    net, X, y = small_run
    history = gd.train(net, X, y, epochs=10, callbacks=[lambda *_: np.mean([1.0]) == 1])
    assert history.epochs == 1


def test_a_callback_may_change_the_parameters(small_run):
    """For example to limit weights; every backend continues from the changed parameters."""
    start, X, y = small_run
    ends = []
    for backend in BACKENDS:
        net = start.copy()

        def halve(net, history):
            net.params[:] /= 2

        gd.train(net, X, y, epochs=3, optimizer=gd.Adam(0.01), rng=0, callbacks=[halve],
                 backend=backend)  # fmt: skip
        ends.append(net.params)
    for other in ends[1:]:
        np.testing.assert_allclose(other, ends[0], rtol=1e-4, atol=1e-6)
    by_hand = start.copy()
    history = None
    for epoch in range(3):
        new = {"resume": history} if epoch else {"optimizer": gd.Adam(0.01), "rng": 0}
        history = gd.train(by_hand, X, y, epochs=1, **new)
        by_hand.params[:] /= 2
    assert by_hand.params.tobytes() == ends[0].tobytes()


def test_a_callback_may_not_set_invalid_parameters(small_run):
    net, X, y = small_run

    def spoil(net, history):
        net.params[0] = np.nan

    with pytest.raises(ValueError, match=r"params\[0\] is nan: a callback has set it"):
        gd.train(net, X, y, epochs=2, callbacks=[spoil])


def test_a_callback_may_overwrite_the_class_indices():
    """Targets changed during the training are ignored: as indices they could point anywhere."""
    X, y = np.ones((8, 2), np.float32), (np.arange(8) % 3).astype(np.int32)

    def spoil(net, history):
        y[:] = 10**6

    spoilt, whole = (gd.Network([2, 3], loss="cross_entropy") for _ in range(2))
    gd.train(whole, X, y, batch_size=4, epochs=3, rng=0)
    gd.train(spoilt, X, y, batch_size=4, epochs=3, rng=0, callbacks=[spoil])
    np.testing.assert_array_equal(spoilt.params, whole.params)


def test_callbacks_may_come_from_a_generator(small_run):
    net, X, y = small_run
    seen = []
    gd.train(net, X, y, epochs=2, callbacks=(each for each in [lambda *_: seen.append(1)]))
    assert len(seen) == 2


def test_after_a_callbacks_exception_the_history_can_be_resumed(small_run):
    net, X, y = small_run
    whole, seen = net.copy(), []
    gd.train(whole, X, y, epochs=4, optimizer=gd.Adam(0.01), rng=0)

    def fail(net, history):
        seen.append(history)
        if history.epochs == 2:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        gd.train(net, X, y, epochs=4, optimizer=gd.Adam(0.01), rng=0, callbacks=[fail])
    assert gd.train(net, X, y, epochs=2, resume=seen[-1]).epochs == 4
    assert net.params.tobytes() == whole.params.tobytes()


def test_a_history_with_arrays_can_be_compared(small_run):
    net, X, y = small_run
    history = gd.train(net, X, y, epochs=1, record=("loss",))
    assert history in [history]
    assert history != history.copy()


def test_validation_is_the_loss_after_the_epoch(small_run):
    net, X, y = small_run
    history = gd.train(net, X, y, epochs=3, validation=(X[:10], y[:10]))
    assert history.validation_loss[-1] == pytest.approx(net.loss_value(X[:10], y[:10]))


@pytest.mark.parametrize(("drop_last", "updates", "samples"), [(False, 8, N), (True, 7, 49)])
def test_the_last_batch_is_smaller_or_dropped(drop_last, updates, samples, small_run, backend):
    net, X, y = small_run
    history = gd.train(net, X, y, batch_size=7, epochs=1, drop_last=drop_last, backend=backend)
    assert (history.updates, history.sample_gradients) == (updates, samples)


def test_a_trace_has_the_parameters_after_each_step(backend, small_run):
    net, X, y = small_run
    history = gd.train(
        net, X, y, batch_size=7, epochs=2, record=("params", "loss"), backend=backend
    )
    assert history.trace["params"].shape == (16, net.n_params)
    assert history.trace["params"][-1].tobytes() == net.params.tobytes()
    assert history.trace["loss"].shape == (16,)


def test_the_start_of_a_trace_is_kept(tmp_path, small_run):
    net, X, y = small_run
    first = net.params.copy()
    history = gd.train(net, X, y, epochs=1, record=("params",))
    history = gd.train(net, X, y, epochs=1, record=("params",), resume=history)
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    net, history = gd.load_checkpoint(tmp_path / "run.npz")
    assert history.start.tobytes() == first.tobytes()
    assert history.start.dtype == net.dtype


def test_a_trace_that_begins_later_has_no_start(small_run):
    net, X, y = small_run
    history = gd.train(net, X, y, epochs=1, record=("loss",))
    assert history.start is None
    assert gd.train(net, X, y, epochs=1, record=("params",), resume=history).start is None


def test_a_weight_of_two_equals_the_sample_twice(backend):
    X, y = make_data((3, 1), "squared_error", 20)
    net = gd.Network([3, 1], dtype="float64", rng=0)
    weight = np.ones(20)
    weight[4] = 2
    twice = gd.gradient(
        net, np.vstack([X, X[4:5]]), np.vstack([y, y[4:5]]), reduction="sum", backend=backend
    )
    weighted = gd.gradient(net, X, y, sample_weight=weight, reduction="sum", backend=backend)
    assert_close(weighted, twice, "float64", 21)


def test_no_epochs_do_nothing(small_run):
    net, X, y = small_run
    before = net.params.copy()
    assert gd.train(net, X, y, epochs=0).loss == []
    assert net.params.tobytes() == before.tobytes()


@pytest.mark.parametrize("layout", ["fortran", "strided", "readonly", "float64", "int", "list"])
def test_the_layout_of_the_data_changes_nothing(layout, small_run):
    net, X, y = small_run
    X = np.round(X * 4)
    base, other = net.copy(), net.copy()
    gd.train(base, X, y, rng=0)
    converted = {
        "fortran": lambda: np.asfortranarray(X),
        "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
        "readonly": lambda: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
        "float64": lambda: X.astype(np.float64),
        "int": lambda: X.astype(np.int64),
        "list": X.tolist,
    }[layout]()
    before = copy.deepcopy(converted)
    gd.train(other, converted, y, rng=0)
    assert other.params.tobytes() == base.params.tobytes()
    np.testing.assert_array_equal(converted, before)


def test_a_memory_map_is_read_in_place(tmp_path, small_run):
    net, X, y = small_run
    base = net.copy()
    gd.train(base, X, y, rng=0)
    np.save(tmp_path / "X.npy", X)
    gd.train(net, np.load(tmp_path / "X.npy", mmap_mode="r"), y, rng=0)
    assert net.params.tobytes() == base.params.tobytes()


class OwnOrder:
    def __init__(self, order):
        self.order = order

    def epoch(self, n, rng):
        return self.order


def test_a_samplers_own_order_is_followed(backend, small_run):
    net, X, y = small_run
    order = np.array([3, 3, 49, 0, 7])
    direct = net.copy()
    history = gd.train(net, X, y, epochs=1, batch_size=2, sampling=OwnOrder(order), backend=backend)
    gd.train(
        direct, X[order], y[order], epochs=1, batch_size=2, sampling="sequential",
        backend=backend,
    )  # fmt: skip
    assert history.updates == 3
    assert net.params.tobytes() == direct.params.tobytes()


def test_a_samplers_order_may_be_longer_than_the_data(backend, small_run):
    net, X, y = small_run
    history = gd.train(
        net, X, y, epochs=3, batch_size=10, sampling=OwnOrder(np.arange(2 * N) % N),
        record=("params", "loss"), backend=backend,
    )  # fmt: skip
    assert history.updates == 30
    assert history.trace["step"].tolist() == list(range(1, 31))
    assert history.trace["params"].shape == (30, net.n_params)
    assert history.trace["params"][-1].tobytes() == net.params.tobytes()
    means = history.trace["loss"].reshape(3, 10).mean(axis=1)
    assert_close(means, history.loss, "float32", 10)


@pytest.mark.parametrize("order", [[0.0, 1.0], [-1, 2], [0, 50], [], [[0, 1]], "abc"], ids=repr)
def test_a_samplers_bad_order_is_refused(order, backend, small_run):
    net, X, y = small_run
    before = net.params.copy()
    with pytest.raises((TypeError, ValueError), match="epoch\\(\\)"):
        gd.train(net, X, y, sampling=OwnOrder(order), backend=backend)
    assert net.params.tobytes() == before.tobytes()


@pytest.mark.parametrize("sampling", ["shuffle", "replacement", "sequential", "poisson"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_batch_size_above_n_is_one_batch_of_all(sampling, drop_last, backend, small_run):
    """As in torch's DataLoader, except that the batch counts as full and is never dropped."""
    net, X, y = small_run
    other = net.copy()
    options = {"sampling": sampling, "drop_last": drop_last, "backend": backend, "rng": 0}
    above = gd.train(net, X, y, batch_size=10 * len(X), epochs=2, **options)
    whole = gd.train(other, X, y, batch_size=None, epochs=2, **options)
    assert net.params.tobytes() == other.params.tobytes()
    assert above.updates == whole.updates == 2
    assert above.batch_size == whole.batch_size == len(X)


def test_fewer_samples_than_the_default_batch_size_are_accepted(backend):
    net = gd.Network([1, 1])
    history = gd.train(net, [[0.0], [1.0]], [0.0, 1.0], epochs=3, backend=backend)
    assert (history.updates, history.batch_size) == (3, 2)


def test_the_history_has_the_last_trainings_batch_size(small_run, tmp_path):
    net, X, y = small_run
    history = gd.train(net, X, y, batch_size=8, epochs=1, rng=0)
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    net, history = gd.load_checkpoint(tmp_path / "run.npz")
    more = gd.train(net, X, y, batch_size=16, epochs=1, resume=history)
    assert (history.batch_size, more.batch_size) == (8, 16)


@pytest.mark.parametrize(
    ("x_scale", "y_scale", "rate", "words"),
    [
        (1, 1, 0.9, r"the epoch before\. Lower the learning rate\.$"),
        (1e4, 1, 0.1, r"The features reach .*e\+04: scale them to mean 0 and"),
        (1, 1e8, 0.1, r"before\. The targets reach .*e\+08: scale them to mean"),
        (1e4, 1e8, 0.1, r"The features reach .* and the targets reach .*: scale"),
        (1e4, 1, 50.0, r"Lower the learning rate; the features reach .*, too\.$"),
    ],
)
def test_a_divergence_names_its_cause(x_scale, y_scale, rate, words):
    rng = np.random.default_rng(0)
    X, y = x_scale * rng.standard_normal((N, 30)), y_scale * rng.standard_normal(N)
    net = gd.Network([30, 64, 1], rng=0)
    with pytest.raises(gd.DivergenceError, match=words):
        gd.train(net, X, y, batch_size=1, epochs=50, optimizer=gd.SGD(rate), rng=0)


def test_classes_with_large_numbers_are_not_large():
    assert remedy(np.ones((200, 1)), np.arange(200), "cross_entropy", 0.1) == (
        "Lower the learning rate."
    )


@pytest.mark.parametrize(
    ("names", "rate", "expected"),
    [
        (None, 0.1, "Scale or clip column 1: a few values are far from all others."),
        (["a", "b"], 0.1, "Scale or clip column 'b': a few values are far from all others."),
        (["a", "b"], 5.0, "Lower the learning rate, and scale or clip column 'b': a few values "
         "are far from all others."),
    ],
)  # fmt: skip
def test_a_column_with_outliers_is_named(names, rate, expected):
    X = np.random.default_rng(0).standard_normal((5000, 2))
    X[4999, 1] = 1e6
    assert remedy(X, X[:, 0], "squared_error", rate, names) == expected


def test_an_outlier_of_the_target_is_named():
    y = np.append(np.arange(99.0), 1e9)
    assert remedy(y[:, None] * 0, y, "squared_error", 0.1).startswith("Scale or clip the target:")


def test_a_low_learning_rate_is_not_to_be_lowered():
    X = np.ones((200, 1))
    advice = remedy(X, X, "squared_error", 1e-9)
    assert advice.endswith("look for outliers, and scale or clip them.")


def test_rare_categories_are_no_outliers():
    X = np.zeros((1000, 1))
    X[0] = 1
    assert remedy(X, X, "squared_error", 0.1) == "Lower the learning rate."


def test_each_epochs_updates_are_counted(small_run, tmp_path):
    """Also if a training is resumed with another batch size, and from a file."""
    net, X, y = small_run
    history = gd.train(net, X, y, batch_size=8, epochs=2, rng=0)
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    net, history = gd.load_checkpoint(tmp_path / "run.npz")
    more = gd.train(net, X, y, batch_size=None, epochs=1, resume=history)
    batches = -(-len(X) // 8)
    assert history.epoch_updates == [batches, batches]
    assert more.epoch_updates == [batches, batches, 1]
    assert more.updates == sum(more.epoch_updates)
    assert more.forward_passes == more.sample_gradients == 3 * len(X)


def test_a_history_can_be_pickled_and_resumed(small_run):
    net, X, y = small_run
    whole, optimizer = net.copy(), gd.Adam(0.01)
    gd.train(whole, X, y, epochs=3, optimizer=optimizer, rng=0)
    history = gd.train(net, X, y, epochs=2, optimizer=optimizer, rng=0)
    history = pickle.loads(pickle.dumps(history))
    assert gd.train(net, X, y, epochs=1, resume=history).epochs == 3
    assert net.params.tobytes() == whole.params.tobytes()


@pytest.mark.parametrize("unit", ["epoch", "update"])
def test_a_schedule_sets_each_steps_learning_rate(unit, backend):
    """With a gradient of one, parameters fall by the sum of the learning rates."""
    net = gd.Network([1, 1], loss="absolute_error", dtype="float64")
    net.biases[0][:] = 100
    schedule = gd.schedules.Step(3, gamma=0.5, unit=unit)
    history = gd.train(
        net, np.zeros((8, 1)), np.zeros(8), batch_size=2, epochs=5, backend=backend,
        optimizer=gd.SGD(1.0), schedule=schedule,
    )  # fmt: skip
    times = np.repeat(np.arange(5), 4) if unit == "epoch" else np.arange(20)
    rates = 0.5 ** (times // 3)
    assert 100 - net.biases[0][0] == pytest.approx(rates.sum(), rel=1e-14)
    assert history.learning_rate == rates[::4].tolist()


@pytest.mark.parametrize("epochs", [1, 3, 600])
def test_a_schedules_function_is_called_once_per_epoch(epochs, small_run):
    net, X, y = small_run
    asked = []

    def factor(t):
        asked.append(t)
        return 1 / (1 + t)

    history = gd.train(net, X, y, epochs=epochs, batch_size=None, schedule=factor)
    assert asked == list(range(epochs))
    assert history.learning_rate == pytest.approx([0.01 / (1 + t) for t in range(epochs)])


def test_a_schedules_function_fails_before_anything_changes(small_run):
    net, X, y = small_run
    start = net.params.copy()
    with pytest.raises(ValueError, match=r"gives the learning rate -0\.01 at epoch 7"):
        gd.train(net, X, y, epochs=10, schedule=lambda t: -1 if t == 7 else 1)
    assert (net.params == start).all()


def test_a_schedule_of_steps_of_one_sample():
    """Runs of equal learning rates take the special kernel, with the general path's bits."""
    X, y = make_data([5, 1], "squared_error", 40)
    nets = [gd.Network([5, 1], dtype="float64", rng=0) for _ in range(2)]
    schedule = gd.schedules.Step(7, gamma=0.9, unit="update")
    for net, record in zip(nets, [(), ("params",)], strict=True):
        gd.train(net, X, y, batch_size=1, epochs=3, schedule=schedule, rng=0, record=record)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


def test_a_plateau_schedule_watches_the_validation_loss(small_run):
    net, X, y = small_run
    schedule = gd.schedules.OnPlateau(factor=0.5, patience=0, threshold=0.5)
    history = gd.train(
        net, X, y, epochs=6, schedule=schedule, optimizer=gd.SGD(1e-6), validation=(X, y), rng=0
    )
    assert history.learning_rate == [1e-6 * 0.5 ** max(0, t - 1) for t in range(6)]


@pytest.mark.parametrize(
    "schedule",
    [gd.schedules.OnPlateau(patience=1), gd.schedules.Cosine(50, unit="update")],
    ids=repr,
)
def test_a_schedule_continues_over_resume(schedule, tmp_path):
    nets = [gd.Network([3, 5, 1], rng=0) for _ in range(2)]
    X, y = make_data([3, 5, 1], "squared_error", 40)
    whole = gd.train(nets[0], X, y, batch_size=8, epochs=10, schedule=schedule, rng=0)
    first = gd.train(nets[1], X, y, batch_size=8, epochs=4, schedule=schedule, rng=0)
    gd.save_checkpoint(tmp_path / "run.npz", nets[1], first)
    net, first = gd.load_checkpoint(tmp_path / "run.npz")
    second = gd.train(net, X, y, batch_size=8, epochs=6, resume=first)
    assert second.learning_rate == whole.learning_rate
    np.testing.assert_array_equal(net.params, nets[0].params)


@pytest.mark.parametrize(
    ("loss", "labels", "class_weight", "expected"),
    [
        ("cross_entropy", [0, 0, 0, 1, 2, 2], "balanced", [2 / 3, 2 / 3, 2 / 3, 2, 1, 1]),
        ("cross_entropy", [0, 0, 0, 1, 2, 2], {1: 5.0}, [1, 1, 1, 5, 1, 1]),
        ("hinge", [-1, -1, 1, -1, 1, -1], {-1: 0.5, 1: 0}, [0.5, 0.5, 0, 0.5, 0, 0.5]),
    ],
)
def test_class_weights_are_sample_weights(loss, labels, class_weight, expected):
    X = np.random.default_rng(0).standard_normal((6, 2))
    own = np.arange(1.0, 7.0)
    nets = [gd.Network([2, 3 if loss == "cross_entropy" else 1], loss=loss, rng=0) for _ in "ab"]
    options = {"batch_size": 2, "epochs": 3, "rng": 0}
    gd.train(nets[0], X, labels, class_weight=class_weight, sample_weight=own, **options)
    gd.train(nets[1], X, labels, sample_weight=own * expected, **options)
    np.testing.assert_array_equal(nets[0].params, nets[1].params)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ("even", ValueError, "'balanced'"),
        ({7: 1.0}, ValueError, "class_weight has 7"),
        ({0: -1.0}, ValueError, "at least 0"),
        ([1, 2], TypeError, "mapping"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, error, message):
    net = gd.Network([2, 2], loss="cross_entropy", rng=0)
    with pytest.raises(error, match=message):
        gd.train(net, np.zeros((4, 2)), [0, 1, 0, 1], batch_size=2, class_weight=class_weight)


def test_class_weights_need_classes(small_run):
    net, X, y = small_run
    with pytest.raises(ValueError, match="targets that are classes"):
        gd.train(net, X, y, class_weight="balanced")


def test_a_worker_process_can_send_a_divergence_back():
    X = np.ones((40, 1))
    with pytest.raises(gd.DivergenceError) as caught:
        gd.train(gd.Network([1, 1]), X, X[:, 0], optimizer=gd.SGD(1e30))
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value)
    assert error.history.diverged


def test_training_refuses_initial_parameters_that_are_not_finite():
    net = gd.Network([1, 1])
    net.biases[0][:] = np.nan
    with pytest.raises(ValueError, match=r"params\[1\] is nan: training needs finite"):
        gd.train(net, np.ones((40, 1)), np.ones(40))


@pytest.mark.parametrize(
    ("epochs", "text"), [(1, "History(1 epoch, 1 update, "), (2, "History(2 epochs, 2 updates, ")]
)
def test_a_historys_repr_is_one_line(epochs, text):
    net = gd.Network([1, 1])
    history = gd.train(net, [[1.0], [2.0]], [1.0, 2.0], batch_size=None, epochs=epochs)
    assert repr(history).startswith(f"{text}last loss ")


def test_a_notebook_shows_a_history_as_a_table():
    X = np.linspace(-1, 1, 40).reshape(-1, 1)
    history = gd.train(
        gd.Network([1, 1]), X, X[:, 0], epochs=3, validation=0.25, early_stopping=2, rng=0,
        metrics=["r2"],
    )  # fmt: skip
    html = history._repr_html_()
    assert "<caption" in html
    assert f"epoch {history.best_epoch} was the best" in html
    for name in ("loss", "validation loss", "r2", "validation r2"):
        assert f">{name}</th>" in html
    assert f"<td>{history.loss[-1]:.6g}</td>" in html
    assert gd.History()._repr_html_().count("<tr") == 1
