"""A callback sees the training's current state, bit for bit."""

import copy
import pickle

import numpy as np
import pytest

import fastgd as gd
from fastgd import schedules

EPOCHS = 4

OPTIONS = {
    "adam": {"optimizer": gd.Adam(0.01)},
    "momentum, updates": {
        "optimizer": gd.SGD(0.01, momentum=0.9),
        "schedule": schedules.Exponential(0.99, unit="update"),
    },
    "asgd, plateau": {
        "optimizer": gd.ASGD(0.05, t0=10),
        "schedule": schedules.OnPlateau(patience=0, threshold=0.2),
    },
    "dropout": {"optimizer": gd.RMSprop(0.001, centered=True), "dropout": 0.3},
    "private": {"sampling": "poisson", "clip_per_sample": 1.0, "noise_multiplier": 0.5},
    "trace": {"record": ("loss", "params", "gradient_norm", "noise_scale"), "record_every": 3},
    "noise alone": {"record": ("noise_scale",), "reduction": "sum", "batch_size": 16},
}
ONCE = ("optimizer", "schedule", "rng")  # what a resumed training has already


def everything(net, history):
    """Return a training's results without seconds, in a form that can be compared."""
    state = history._state
    return {
        "params": net.params.tobytes(),
        "lists": repr((history.loss, history.validation_loss, history.learning_rate)),
        "counts": repr((history.updates, history.epoch_updates, history.sample_gradients)),
        "trace": {name: values.tobytes() for name, values in history.trace.items()},
        "step": state.step,
        "moments": [moment.tobytes() for moment in state.moments],
        "scalars": state.scalars.tobytes(),
        "rng": repr(history._generator_state()),
        "schedule": history._schedule_state,
    }


@pytest.fixture(params=OPTIONS)
def options(request, small_run, backend):
    """A training's arguments, without the number of epochs and callbacks."""
    _, X, y = small_run
    return {"batch_size": 7, "rng": 5, "validation": (X[:9], y[:9]), "backend": backend,
            **OPTIONS[request.param]}  # fmt: skip


def seen_by_callbacks(small_run, options, see):
    """What a callback sees in each of the epochs: of two of a first training, and then the rest."""
    net, X, y = small_run
    net, seen = net.copy(), []

    def callback(net, history):
        seen.append(see(net, history))

    later = {name: value for name, value in options.items() if name not in ONCE}
    history = gd.train(net, X, y, epochs=2, callbacks=[callback], **options)
    gd.train(net, X, y, epochs=EPOCHS - 2, callbacks=[callback], resume=history, **later)
    return seen


def test_callbacks_see_the_current_state(small_run, options):
    start, X, y = small_run
    seen = seen_by_callbacks(small_run, options, everything)
    for epochs, found in enumerate(seen, start=1):
        net = start.copy()
        assert found == everything(net, gd.train(net, X, y, epochs=epochs, **options))


def test_training_resumes_from_what_a_callback_saved(small_run, options, tmp_path):
    start, X, y = small_run

    def save(net, history):
        path = tmp_path / f"{history.epochs}.npz"
        gd.save_checkpoint(path, net, history)
        return path

    whole = start.copy()
    uninterrupted = gd.train(whole, X, y, epochs=EPOCHS, **options)
    later = {name: value for name, value in options.items() if name not in ONCE}
    for epochs, path in enumerate(seen_by_callbacks(small_run, options, save), start=1):
        net, history = gd.load_checkpoint(path)
        history = gd.train(net, X, y, epochs=EPOCHS - epochs, resume=history, **later)
        assert everything(net, history) == everything(whole, uninterrupted)


TAKE = {
    "copy": lambda history: history.copy(),
    "shallow": copy.copy,
    "deep": copy.deepcopy,
    "pickle": lambda history: pickle.loads(pickle.dumps(history)),
}


@pytest.mark.parametrize("take", TAKE.values(), ids=TAKE)
def test_a_copy_of_a_history_does_not_change(take, small_run, backend):
    start, X, y = small_run
    options = {"optimizer": gd.Adam(0.01), "rng": 0, "backend": backend, "record": ("noise_scale",)}
    seen = seen_by_callbacks(small_run, options, lambda net, history: (net.copy(), take(history)))
    for epochs, (net, history) in enumerate(seen, start=1):
        again = start.copy()
        whole = gd.train(again, X, y, epochs=epochs, **options)
        assert everything(net, history) == everything(again, whole)


def test_the_average_is_up_to_date_in_callbacks(small_run, backend):
    start, X, y = small_run
    options = {"optimizer": gd.ASGD(0.05, t0=10), "rng": 0, "backend": backend}
    seen = seen_by_callbacks(small_run, options, lambda _, history: history.averaged_params)
    for epochs, average in enumerate(seen, start=1):
        history = gd.train(start.copy(), X, y, epochs=epochs, **options)
        assert average.tobytes() == history.averaged_params.tobytes()


def test_a_callback_may_resume_the_training_that_calls_it(small_run):
    """The inner training continues from a copy: the outer one's bits do not change."""
    start, X, y = small_run

    def look_ahead(net, history):
        gd.train(net.copy(), X, y, epochs=2, resume=history)

    ends = []
    for callbacks in ([], [look_ahead]):
        net = start.copy()
        gd.train(net, X, y, epochs=3, optimizer=gd.Adam(0.01), rng=0, callbacks=callbacks)
        ends.append(net.params.tobytes())
    assert ends[0] == ends[1]


def test_a_history_keeps_the_generators_state_once_the_training_has_ended(small_run):
    net, X, y = small_run
    rng = np.random.default_rng(0)
    history = gd.train(net, X, y, epochs=1, rng=rng)
    before = repr(history._generator_state())
    rng.random()
    assert repr(history._generator_state()) == before


def test_a_copy_of_a_diverged_history_is_diverged(small_run):
    net, X, y = small_run
    with pytest.raises(gd.DivergenceError) as raised:
        gd.train(net, X, y, epochs=3, optimizer=gd.SGD(1e30), rng=0)
    assert raised.value.history.copy().diverged


def test_callbacks_of_descend_see_the_trace():
    lengths = []
    gd.landscapes.descend(
        gd.landscapes.Quintic(), epochs=3, record=("loss",),
        callbacks=[lambda theta, history: lengths.append(len(history.trace["loss"]))],
    )  # fmt: skip
    assert lengths == [64, 128, 192]
