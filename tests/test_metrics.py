"""Metrics: equal to scikit-learn's, in the history, and refused where undefined."""

import numpy as np
import pytest
from sklearn import metrics as theirs

import fastgd as gd
from fastgd.losses import LOSSES
from fastgd.metrics import METRICS, check_metrics

N = 40


def data(loss, outputs):
    """Return targets as the loss takes them, predictions and weights."""
    rng = np.random.default_rng(outputs)
    z = rng.standard_normal((N, outputs))
    prediction = LOSSES[loss].link(z)
    y = {
        "real": rng.standard_normal((N, outputs)),
        "count": rng.integers(0, 5, (N, outputs)).astype(float),
        "probability": rng.integers(0, 2, (N, outputs)).astype(float),
        "sign": rng.choice([-1.0, 1.0], (N, outputs)),
        "class": rng.integers(0, outputs, N),
    }[LOSSES[loss].targets.name]
    if outputs == 1:
        prediction, y = prediction[:, 0], y.reshape(-1)
    return y, prediction, rng.uniform(0.5, 2, N)


def named(name, loss):
    return check_metrics([name], loss)[0].value


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("mae", theirs.mean_absolute_error),
        ("mse", theirs.mean_squared_error),
        ("r2", theirs.r2_score),
    ],
)
def test_errors_equal_scikit_learns(name, theirs, outputs, weighted):
    y, prediction, weight = data("squared_error", outputs)
    weight = weight if weighted else None
    expected = theirs(y, prediction, sample_weight=weight)
    assert named(name, "squared_error")(y, prediction, weight) == pytest.approx(expected, rel=1e-12)


def test_rmse_is_the_root_of_mse():
    y, prediction, weight = data("huber", 2)
    mse = named("mse", "huber")(y, prediction, weight)
    assert named("rmse", "huber")(y, prediction, weight) == np.sqrt(mse)


def test_r2_of_constant_targets_equals_scikit_learns():
    for y, prediction in (([1.0, 1.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, 2.0])):
        found = named("r2", "squared_error")(np.array(y), np.array(prediction), None)
        assert found == theirs.r2_score(y, prediction)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "outputs"), [("cross_entropy", 3), ("log_loss", 1), ("hinge", 1), ("squared_hinge", 1)]
)
def test_accuracy_equals_scikit_learns(loss, outputs, weighted):
    y, prediction, weight = data(loss, outputs)
    weight = weight if weighted else None
    classes = (
        prediction.argmax(1) if outputs > 1 else prediction > (0.5 if loss == "log_loss" else 0)
    )
    labels = y if outputs > 1 else y > 0
    expected = theirs.accuracy_score(labels, classes, sample_weight=weight)
    assert named("accuracy", loss)(y, prediction, weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "outputs"), [("cross_entropy", 3), ("log_loss", 1)])
def test_log_loss_equals_scikit_learns(loss, outputs, weighted):
    y, prediction, weight = data(loss, outputs)
    weight = weight if weighted else None
    expected = theirs.log_loss(y, prediction, sample_weight=weight, labels=range(max(outputs, 2)))
    assert named("log_loss", loss)(y, prediction, weight) == pytest.approx(expected, rel=1e-12)


def test_log_loss_of_certain_predictions_is_finite():
    found = named("log_loss", "log_loss")(np.array([0.0, 1.0]), np.array([1.0, 1.0]), None)
    assert found == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_the_class_of_soft_labels_is_the_largest():
    y = np.array([[0.6, 0.4], [0.1, 0.9]])
    assert named("accuracy", "cross_entropy")(y, np.array([[0.7, 0.3], [0.8, 0.2]]), None) == 0.5


@pytest.fixture
def classified():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 4))
    return gd.Network([4, 3], loss="cross_entropy"), X, np.argmax(X[:, :3], axis=1)


def test_the_history_has_each_epochs_metrics(classified, backend):
    net, X, y = classified

    def certainty(y, prediction):
        return prediction.max(axis=1).mean()

    history = gd.train(
        net, X, y, epochs=3, validation=0.2, metrics=["accuracy", certainty], rng=0,
        backend=backend,
    )  # fmt: skip
    held = history.validation_samples
    rest = np.setdiff1d(np.arange(len(X)), held)
    for name, score in (
        ("accuracy", lambda rows: np.mean(net.predict(X[rows]).argmax(1) == y[rows])),
        ("certainty", lambda rows: net.predict(X[rows]).max(axis=1).mean()),
    ):
        assert len(history.metrics[name]) == len(history.validation_metrics[name]) == 3
        assert history.metrics[name][-1] == pytest.approx(score(rest), rel=1e-6)
        assert history.validation_metrics[name][-1] == pytest.approx(score(held), rel=1e-6)


def test_metrics_change_no_bits(classified):
    net, X, y = classified
    other = net.copy()
    gd.train(net, X, y, epochs=3, rng=0, metrics=["accuracy", "log_loss"])
    gd.train(other, X, y, epochs=3, rng=0)
    assert net.params.tobytes() == other.params.tobytes()


def test_after_an_error_in_a_metric_all_series_have_one_length(classified):
    net, X, y = classified
    seen = []

    def fails(y, prediction):
        if len(seen) == 1 and len(y) == 72:  # the second epoch's training samples
            raise ArithmeticError
        return 0.0

    with pytest.raises(ArithmeticError):
        gd.train(net, X, y, validation=0.2, metrics=["accuracy", fails], rng=0,
                 callbacks=[lambda net, history: seen.append(history)])  # fmt: skip
    series = seen[0].validation_loss, seen[0].metrics["fails"], seen[0].validation_metrics["fails"]
    assert [len(values) for values in series] == [1, 1, 1]


def test_earlier_epochs_without_a_metric_are_nan(classified):
    net, X, y = classified
    history = gd.train(net, X, y, epochs=2, rng=0)
    history = gd.train(net, X, y, epochs=1, resume=history, metrics=["accuracy"])
    assert np.isnan(history.metrics["accuracy"]).tolist() == [True, True, False]


def test_a_metric_left_out_in_between_keeps_its_epochs(classified):
    net, X, y = classified
    history = gd.train(net, X, y, epochs=1, rng=0, validation=0.2, metrics=["accuracy"])
    history = gd.train(net, X, y, epochs=2, resume=history, validation=0.2)
    history = gd.train(net, X, y, epochs=1, resume=history, validation=0.2, metrics=["accuracy"])
    for series in (history.metrics, history.validation_metrics):
        assert [np.isnan(value) for value in series["accuracy"]] == [False, True, True, False]


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ("accuracy", TypeError, r"metrics=\('accuracy',\)"),
        (["acuracy"], ValueError, "did you mean 'accuracy'"),
        (["acc"], ValueError, "did you mean 'accuracy'"),
        (["mean_squared_error"], ValueError, "did you mean 'mse'"),
        (["r2"], ValueError, "not defined for the targets of the loss 'cross_entropy'"),
        ([lambda y: 1], TypeError, r"takes \(y, prediction\)"),
        (["accuracy", "accuracy"], ValueError, "'accuracy' twice"),
        ([lambda y, prediction: "good"], TypeError, "must return a number, not 'good'"),
    ],
)
def test_other_metrics_are_refused(classified, metrics, error, message):
    with pytest.raises(error, match=message):
        gd.train(*classified, metrics=metrics)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_defined_for_some_loss(name):
    assert any(METRICS[name](LOSSES[loss]).takes(LOSSES[loss].targets) for loss in LOSSES)
