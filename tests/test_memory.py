"""Changes to arrays during a run: their memory stays in place, or the run raises an error.

On a build with the address sanitizer (tools/sanitize.py) a read beyond an array ends the tests.
"""

import threading
from dataclasses import dataclass

import numpy as np
import pytest

import fastgd as gd
from fastgd import schedules
from fastgd.engine import shuffle

N, HELD = 64, "cannot resize"
SIZES = {"linear": [4, 1], "hidden": [4, 8, 1]}


def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 4)).astype(np.float32)
    return X, X.sum(axis=1, keepdims=True), np.ones(N, np.float32)


@pytest.fixture(params=SIZES)
def net(request):
    return gd.Network(SIZES[request.param], rng=0)


class Plain:
    """A sampling in the order of the rows; subclasses in the tests misbehave."""

    def __init__(self, act=lambda: None):
        self.act = act
        self.order = np.arange(N, dtype=np.uint32)

    def epoch(self, n, rng):
        self.act()
        return self.order


def resize(array):
    array.resize((2,) * array.ndim, refcheck=False)


ARRAYS = ("X", "y", "weight", "params", "validation")


@pytest.mark.parametrize("which", ARRAYS)
@pytest.mark.parametrize("caller", ["callback", "sampling", "schedule"])
def test_arrays_in_use_cannot_be_resized(which, caller, net):
    X, y, weight = data()
    X_valid, y_valid, _ = data()
    array = {"X": X, "y": y, "weight": weight, "params": net.params, "validation": X_valid}[which]
    act = {
        "callback": {"callbacks": [lambda net, history: resize(array)]},
        "sampling": {"sampling": Plain(lambda: resize(array))},
        "schedule": {"schedule": lambda epoch: resize(array) or 1.0},
    }[caller]
    options = {"sample_weight": weight, "validation": (X_valid, y_valid), **act}
    with pytest.raises(ValueError, match=HELD):
        gd.train(net, X, y, epochs=3, **options)
    if which != "params":
        resize(array)  # allowed after the run


def test_a_view_keeps_its_owner_in_place(net):
    owner, y, _ = data()
    with pytest.raises(ValueError, match=HELD):
        gd.train(net, owner[:], y, callbacks=[lambda net, history: resize(owner)])


def test_a_memory_map_in_use_cannot_be_closed(net, tmp_path):
    X, y, _ = data()
    X.tofile(tmp_path / "X")
    mapped = np.memmap(tmp_path / "X", np.float32, shape=X.shape)
    with pytest.raises(BufferError):
        gd.train(net, mapped, y, callbacks=[lambda net, history: mapped._mmap.close()])


def test_a_later_conversion_cannot_resize_a_checked_array(net):
    X, y, _ = data()

    class Targets:
        def __array__(self, dtype=None, copy=None):
            resize(X)
            return y

        def __len__(self):
            return N

    with pytest.raises(ValueError, match=HELD):
        gd.train(net, X, Targets())


def test_an_array_with_other_memory_is_refused(net):
    X, y, _ = data()

    def replace(net, history):
        X.__setstate__((1, X.shape, X.dtype, False, bytes(X.nbytes)))

    with pytest.raises(ValueError, match="was replaced during"):
        gd.train(net, X, y, epochs=3, callbacks=[replace])


@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
@pytest.mark.parametrize("with_noise", [False, True])
def test_an_order_cannot_change_after_its_check(dtype, with_noise, net):
    """User code runs between check and use: a schedule, and in each step a generator."""
    X, y, _ = data()
    sampling = Plain()
    sampling.order = np.arange(N, dtype=dtype)

    def spoil(epoch):
        sampling.order[:] = 2**31
        return 1.0

    class Spoils(np.random.Generator):
        def standard_normal(self, *args, **kwargs):
            spoil(0)
            return super().standard_normal(*args, **kwargs)

    noise = {"clip_per_sample": 1.0, "noise_multiplier": 0.1} if with_noise else {}
    whole = net.copy()
    gd.train(whole, X, y, epochs=1, sampling=Plain(), rng=np.random.Generator(np.random.PCG64(0)),
             **noise)  # fmt: skip
    gd.train(net, X, y, epochs=1, sampling=sampling, schedule=spoil,
             rng=Spoils(np.random.PCG64(0)), **noise)  # fmt: skip
    assert net.params.tobytes() == whole.params.tobytes()


def test_the_samples_of_a_fold_cannot_change_after_their_check():
    X, y, _ = data()
    nets = [gd.Network([4, 1]) for _ in range(2)]
    fold = np.arange(32, dtype=np.uint32)

    def spoil(net, history):
        fold[:] = 2**31

    gd.train_many(nets[:1], X, y, {"samples": fold, "rng": 0, "callbacks": [spoil], "epochs": 3})
    gd.train_many(nets[1:], X, y, {"samples": np.arange(32), "rng": 0, "epochs": 3})
    assert nets[0].params.tobytes() == nets[1].params.tobytes()


@dataclass(frozen=True)
class Kept(schedules.Schedule):
    """A schedule that returns the given object."""

    given: object = None

    def rates(self, base, start, count, state=None):
        return self.given

    def _rates(self, base, t, state):
        return np.full(len(t), base)


@pytest.mark.parametrize("unit", ["epoch", "update"])
@pytest.mark.parametrize("given", [np.empty(0), 0.1, np.full(1000, 0.1), [np.nan] * 2, [-1.0] * 2])
def test_there_must_be_a_rate_for_each_step(unit, given, net, backend):
    X, y, _ = data()
    with pytest.raises(ValueError, match=r"must return \(2,\)"):
        gd.train(net, X, y, epochs=2, backend=backend, schedule=Kept(given=given, unit=unit))


def test_a_generator_cannot_resize_the_noise():
    X, y, _ = data()

    class Resizes(np.random.Generator):
        def standard_normal(self, size=None, dtype=np.float64, out=None):
            out.resize(1, refcheck=False)

    net = gd.Network([4, 8, 1], rng=0)
    options = {"clip_per_sample": 1.0, "noise_multiplier": 0.1, "sampling": "poisson"}
    with pytest.raises(ValueError, match=HELD):
        gd.train(net, X, y, rng=Resizes(np.random.PCG64(0)), **options)


@pytest.mark.parametrize("drawn", [[10**6], [-1]])
def test_a_generator_may_not_draw_missing_samples(drawn, net):
    X, y, _ = data()

    class Draws(np.random.Generator):
        def choice(self, *args, **kwargs):
            return np.array(drawn)

    with pytest.raises(ValueError, match="index"):
        gd.train(net, X, y, sampling="poisson", rng=Draws(np.random.PCG64(0)))


def test_a_bit_generator_that_draws_nothing_is_refused():
    class Empty(np.random.BitGenerator):
        pass

    with pytest.raises(TypeError, match="Empty cannot draw numbers"):
        shuffle.permutation(5, np.random.Generator(Empty()))


@dataclass(frozen=True)
class ManyParameters(gd.Adam):
    """An optimizer with more hyperparameters than its kernel has room for."""

    @property
    def hyperparameters(self):
        return (*super().hyperparameters, *[0.5] * 100)


@dataclass(frozen=True)
class NoMoments(gd.Adam):
    """An optimizer whose kernel reads moments that it does not have."""

    n_moments = 0


@dataclass(frozen=True)
class ShortMoments(gd.Adam):
    def initial_state(self, params):
        return super().initial_state(params[:1])


@dataclass(frozen=True)
class ManyScalars(gd.Nadam):
    initial_scalars = (1.0,) * 100


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ManyParameters, "104 hyperparameters, but its kernel 'adam' takes 4"),
        (NoMoments, "takes 2 moments, not 0"),
        (ShortMoments, "a moment has 4 bytes"),
        (ManyScalars, "takes another number of scalars"),
    ],
)
def test_an_optimizer_must_match_its_kernel(kind, message, net):
    X, y, _ = data()
    before = net.params.copy()
    with pytest.raises(ValueError, match=message):
        gd.train(net, X, y, optimizer=kind(0.01))
    assert net.params.tobytes() == before.tobytes()


@pytest.mark.parametrize("moments", [(), (np.zeros(1, np.float32),) * 2, (np.zeros(500),) * 2])
def test_moments_of_other_shapes_are_refused(moments, net, backend):
    X, y, _ = data()

    reached = []

    def replace(net, history):
        history._state.moments = moments
        reached.append(net.params.tobytes())

    with pytest.raises(ValueError, match=r"moment|broadcast|unpack|shape"):
        gd.train(net, X, y, optimizer=gd.Adam(0.01), epochs=3, callbacks=[replace], backend=backend)
    assert reached == [net.params.tobytes()]


def test_a_trace_is_not_written_beyond_its_end(net):
    X, y, _ = data()

    def change_parity(net, history):
        if history.epochs == 2:
            history._state.step = 11  # steps 12, 14 and 16 are due, but there is room for 12 and 14

    options = {"batch_size": 13, "record": ("loss",), "record_every": 2}  # 5 steps per epoch
    with pytest.raises(ValueError, match="room for 16 bytes, but 24 are written"):
        gd.train(net, X, y, epochs=3, callbacks=[change_parity], **options)


@pytest.mark.parametrize("use", ["predict", "train", "gradient", "noise_scale", "loss_value"])
def test_a_network_whose_parameters_were_resized_is_refused(use, net):
    X, y, _ = data()
    net.params.resize(2, refcheck=False)
    call = {
        "predict": lambda: net.predict(X),
        "train": lambda: gd.train(net, X, y),
        "gradient": lambda: gd.gradient(net, X, y),
        "noise_scale": lambda: gd.noise_scale(net, X, y, full=True),
        "loss_value": lambda: net.loss_value(X, y),
    }[use]
    with pytest.raises(ValueError, match=r"params has 8 bytes"):
        call()


@pytest.mark.slow
@pytest.mark.parametrize("which", ARRAYS)
def test_another_thread_cannot_resize_arrays_in_use(which, net):
    X, y, weight = data()
    X_valid, y_valid, _ = data()
    array = {"X": X, "y": y, "weight": weight, "params": net.params, "validation": X_valid}[which]
    before, refused, stop = array.shape, [], threading.Event()

    def attack():
        while not stop.wait(1e-4):
            try:
                resize(array)
            except ValueError:
                refused.append(1)

    thread = threading.Thread(target=attack)
    started = lambda net, history: thread.is_alive() or thread.start()  # noqa: E731
    gd.train(net, X, y, epochs=3000, sample_weight=weight, validation=(X_valid, y_valid),
             callbacks=[lambda net, history: bool(started(net, history)) and False,
                        lambda net, history: len(refused) > 3])  # fmt: skip
    shape = array.shape
    stop.set()
    thread.join()
    assert refused
    assert shape == before
