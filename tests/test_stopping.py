"""Early stopping: the rule, the watched value, the restored epoch, and resuming."""

import math

import numpy as np
import pytest

import fastgd as gd
from fastgd.stopping import Patience, Waiting


def states(rule, values):
    waiting = Waiting()
    found = []
    for value in values:
        waiting = rule.observe(waiting, value)
        found.append(tuple(waiting))
    return found


def test_epochs_without_improvement_are_counted():
    assert states(Patience(3), [2.0, 1.0, 1.0, 1.5, 0.5]) == [
        (2.0, 0), (1.0, 0), (1.0, 1), (1.0, 2), (0.5, 0)
    ]  # fmt: skip


def test_an_improvement_is_larger_than_min_delta():
    assert states(Patience(3, 0.5), [2.0, 1.6, 1.5, 1.4]) == [(2, 0), (2, 1), (2, 2), (1.4, 0)]


@pytest.mark.parametrize("best", [4.0, -4.0])
def test_a_relative_min_delta_is_a_share_of_the_best_values_size(best):
    rule = Patience(3, 0.25, relative=True)
    assert not rule.improves(best, best - 1)
    assert rule.improves(best, best - 1.01)


def test_the_lenient_rule_equals_scikit_learns():
    """A tie improves, and the best value follows every lower one."""
    assert states(Patience(3, 0.5, lenient=True), [2.0, 1.5, 1.2, 0.7]) == [
        (2.0, 0), (1.5, 0), (1.2, 1), (0.7, 0)
    ]  # fmt: skip


def test_nan_is_no_improvement():
    assert states(Patience(3), [math.nan, 1.0, math.nan]) == [(math.inf, 1), (1.0, 0), (1.0, 1)]


@pytest.fixture
def noisy():
    """Return a network that soon overfits the noise of 60 samples, and the data."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 5)).astype(np.float32)
    y = X[:, 0] + rng.standard_normal(60).astype(np.float32)
    return gd.Network([5, 32, 1], rng=0), X, y


OPTIONS = {"optimizer": gd.Adam(0.02), "rng": 0, "validation": 0.3}


def test_a_training_ends_after_its_patience_with_the_best_epoch(noisy, backend):
    net, X, y = noisy
    kept = {}

    def keep(net, history):
        kept[history.epochs] = net.params.tobytes()

    history = gd.train(
        net, X, y, epochs=300, early_stopping=4, callbacks=[keep], backend=backend, **OPTIONS
    )
    losses = history.validation_loss
    assert history.best_epoch == 1 + int(np.argmin(losses))
    assert history.epochs == history.best_epoch + 4 < 300
    assert net.params.tobytes() == kept[history.best_epoch]
    held = history.validation_samples
    assert net.loss_value(X[held], y[held]) == pytest.approx(min(losses), rel=1e-6)


def test_without_restore_best_the_last_epoch_is_kept(noisy):
    net, X, y = noisy
    rule = gd.EarlyStopping(4, restore_best=False)
    stopped = net.copy()
    history = gd.train(stopped, X, y, epochs=300, early_stopping=rule, **OPTIONS)
    gd.train(net, X, y, epochs=history.epochs, **OPTIONS)
    assert stopped.params.tobytes() == net.params.tobytes()


def test_early_stopping_changes_no_bits_before_it_stops(noisy):
    net, X, y = noisy
    plain = gd.train(net.copy(), X, y, epochs=12, **OPTIONS)
    watched = gd.train(net, X, y, epochs=12, early_stopping=100, **OPTIONS)
    assert watched.loss == plain.loss
    assert watched.validation_loss == plain.validation_loss


@pytest.mark.parametrize("first", [3, 6, 11])
@pytest.mark.parametrize("from_file", [False, True])
def test_it_resumes_exactly(noisy, first, from_file, tmp_path):
    """The network has its best epoch's parameters in between, but resumes from the last."""
    net, X, y = noisy
    whole, parts = net.copy(), net.copy()
    rule = {"early_stopping": 7, "metrics": ["mae"], "validation": 0.3}
    all_at_once = gd.train(whole, X, y, epochs=60, **OPTIONS | rule)
    assert 11 < all_at_once.epochs < 60
    history = gd.train(parts, X, y, epochs=first, **OPTIONS | rule)
    if from_file:
        gd.save_checkpoint(tmp_path / "run.npz", parts, history)
        parts, history = gd.load_checkpoint(tmp_path / "run.npz")
    history = gd.train(parts, X, y, epochs=60 - first, resume=history, **rule)
    assert history.validation_loss == all_at_once.validation_loss
    assert history.validation_metrics == all_at_once.validation_metrics
    assert history.best_epoch == all_at_once.best_epoch
    assert parts.params.tobytes() == whole.params.tobytes()


def test_without_early_stopping_too_a_training_resumes_from_its_last_epoch(noisy):
    net, X, y = noisy
    whole, parts = net.copy(), net.copy()
    gd.train(whole, X, y, epochs=34, **OPTIONS)
    history = gd.train(parts, X, y, epochs=30, early_stopping=40, **OPTIONS)
    assert history.best_epoch < 30
    gd.train(parts, X, y, epochs=4, resume=history, validation=0.3)
    assert parts.params.tobytes() == whole.params.tobytes()


def test_watching_another_quantity_starts_anew(noisy):
    """A loss is not compared with the R^2 that an earlier training found best."""
    net, X, y = noisy
    rule = gd.EarlyStopping(30, monitor="validation_r2")
    history = gd.train(net, X, y, epochs=5, metrics=["r2"], early_stopping=rule, **OPTIONS)
    more = gd.train(net, X, y, epochs=9, resume=history, validation=0.3, early_stopping=30)
    assert more.best_epoch == 6 + int(np.argmin(more.validation_loss[5:]))


def test_samples_that_were_set_aside_are_not_trained_on_by_accident(noisy):
    net, X, y = noisy
    history = gd.train(net, X, y, epochs=2, **OPTIONS)
    with pytest.raises(ValueError, match="has set samples aside: give the same validation"):
        gd.train(net, X, y, epochs=1, resume=history)
    history.validation_samples = None
    assert gd.train(net, X, y, epochs=1, resume=history).sample_gradients == 42 * 2 + 60


def test_validation_left_out_in_between_keeps_its_epochs(noisy):
    net, X, y = noisy
    data = {"validation": (X[:9], y[:9])}
    history = gd.train(net, X, y, epochs=2, rng=0, **data)
    history = gd.train(net, X, y, epochs=3, resume=history)
    history = gd.train(net, X, y, epochs=1, resume=history, **data)
    assert np.isnan(history.validation_loss).tolist() == [False, False, True, True, True, False]


def test_a_stopped_training_resumes_with_its_full_patience(noisy):
    net, X, y = noisy
    history = gd.train(net, X, y, epochs=300, early_stopping=4, **OPTIONS)
    more = gd.train(net, X, y, epochs=300, early_stopping=4, validation=0.3, resume=history)
    assert more.epochs >= history.epochs + 4


def test_parameters_set_in_between_are_the_starting_point(noisy):
    net, X, y = noisy
    history = gd.train(net, X, y, epochs=20, early_stopping=30, **OPTIONS)
    net.params[:] = 0
    more = gd.train(net, X, y, epochs=1, early_stopping=30, validation=0.3, resume=history)
    rows = np.setdiff1d(np.arange(60), history.validation_samples)
    assert more.loss[-1] == pytest.approx(np.mean(y[rows] ** 2), rel=0.5)


@pytest.mark.parametrize(
    ("monitor", "series", "best"),
    [
        ("loss", lambda h: h.loss, np.argmin),
        ("mae", lambda h: h.metrics["mae"], np.argmin),
        ("validation_r2", lambda h: h.validation_metrics["r2"], np.argmax),
        ("validation_shift", lambda h: h.validation_metrics["shift"], np.argmax),
        ("validation_max_error", lambda h: h.validation_metrics["max_error"], np.argmin),
    ],
)
def test_it_watches_the_monitored_value(noisy, monitor, series, best):
    net, X, y = noisy

    def shift(y, prediction):
        return float((prediction - y).mean())

    def max_error(y, prediction):
        return float(np.abs(prediction - y).max())

    history = gd.train(
        net, X, y, epochs=15, metrics=["mae", "r2", shift, max_error],
        early_stopping=gd.EarlyStopping(100, monitor=monitor), **OPTIONS,
    )  # fmt: skip
    assert history.best_epoch == 1 + int(best(series(history)))


@pytest.mark.parametrize("loss", ["cross_entropy", "log_loss"])
def test_a_validation_share_is_stratified(loss):
    y = np.repeat([0, 1], [180, 20])
    X = np.random.default_rng(0).standard_normal((200, 3))
    net = gd.Network([3, 2 if loss == "cross_entropy" else 1], loss=loss)
    history = gd.train(net, X, y, epochs=1, validation=0.25, rng=0)
    held = history.validation_samples
    assert len(held) == 50
    assert abs(np.count_nonzero(y[held]) - 5) <= 2
    assert history.sample_gradients == 150


def test_a_validation_share_equals_explicit_validation_data(noisy):
    net, X, y = noisy
    other = net.copy()
    history = gd.train(net, X, y, epochs=3, sampling="sequential", **OPTIONS)
    held = history.validation_samples
    rest = np.setdiff1d(np.arange(60), held)
    again = gd.train(
        other, X[rest], y[rest], epochs=3, sampling="sequential",
        **OPTIONS | {"validation": (X[held], y[held])},
    )  # fmt: skip
    assert net.params.tobytes() == other.params.tobytes()
    assert history.validation_loss == again.validation_loss


@pytest.mark.parametrize("resumed", [False, True])
def test_a_sample_that_is_listed_twice_is_set_aside_as_a_whole(noisy, resumed):
    net, X, y = noisy
    samples = np.random.default_rng(1).integers(60, size=60)  # a bootstrap sample
    entry = {"samples": samples, "epochs": 1, "validation": 0.25, "sampling": "sequential"}
    (history,) = gd.train_many([net], X, y, entry | {"rng": 0})
    if resumed:
        (history,) = gd.train_many([net], X, y, entry | {"resume": history})
    held = history.validation_samples
    distinct = np.unique(samples)
    assert len(held) == len(np.unique(held)) == round(0.25 * len(distinct))
    expected = np.count_nonzero(~np.isin(samples, held))
    assert history.sample_gradients == expected * history.epochs


def test_a_refused_training_has_drawn_nothing(noisy):
    net, X, y = noisy
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    with pytest.raises(ValueError, match="batch_size"):
        gd.train(net, X, y, validation=0.2, rng=rng, batch_size=0)
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("part", ["set aside", "to train on"])
def test_a_share_without_weight_is_refused(noisy, part):
    net, X, y = noisy
    held = gd.train(net.copy(), X, y, epochs=1, validation=0.2, rng=0)
    weight = np.isin(np.arange(len(X)), held.validation_samples) == (part == "to train on")
    start = net.params.tobytes()
    with pytest.raises(ValueError, match=f"leaves {part} have weight zero"):
        gd.train(net, X, y, validation=0.2, rng=0, sample_weight=weight, metrics=["mse"])
    assert net.params.tobytes() == start


def test_the_seed_decides_which_samples_are_set_aside(noisy):
    net, X, y = noisy
    held = [
        gd.train(net.copy(), X, y, epochs=1, validation=0.2, rng=seed).validation_samples.tolist()
        for seed in (0, 0, 1)
    ]
    assert held[0] == held[1] != held[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"early_stopping": 5}, "watches 'validation_loss', but there is no validation data"),
        ({"early_stopping": 0}, "early_stopping is 0, but must be at least 1"),
        (
            {"early_stopping": gd.EarlyStopping(monitor="mea"), "metrics": ["mae"]},
            r"watches 'mea', but .* computes 'loss', 'mae' .* adds .*: did you mean 'mae'\?$",
        ),
        ({"resume": True, "validation": 0.5}, "give the same share"),
    ],
)
def test_impossible_settings_are_refused(noisy, options, message):
    net, X, y = noisy
    if options.get("resume"):
        options = options | {"resume": gd.train(net, X, y, epochs=1, validation=0.2)}
    before = net.params.tobytes()
    with pytest.raises(ValueError, match=message):
        gd.train(net, X, y, **options)
    assert net.params.tobytes() == before


@pytest.mark.parametrize("value", [True, 2.5, "5"])
def test_an_invalid_patience_is_refused(noisy, value):
    with pytest.raises(TypeError, match="early_stopping must be a number of epochs"):
        gd.train(*noisy, early_stopping=value, validation=0.2)


def test_networks_trained_together_stop_separately(noisy):
    net, X, y = noisy
    settings = [{"epochs": 200, "early_stopping": 4, **OPTIONS, "rng": seed} for seed in range(3)]
    nets = [net.copy() for _ in settings]
    histories = gd.train_many(nets, X, y, settings)
    for twin, history, one in zip(nets, histories, settings, strict=True):
        alone = net.copy()
        assert gd.train(alone, X, y, **one).epochs == history.epochs
        assert alone.params.tobytes() == twin.params.tobytes()
