"""Validation in fits of `fastgd.sklearn`'s linear estimators: scores, losses, the best epoch."""

import numpy as np
import pytest
from conftest import assert_close
from samples import CLASSES, SOFTMAX, WEIGHT, X, Y
from sklearn.base import clone
from sklearn.metrics import log_loss
from test_sklearn_sgd import CLASSIFICATION, REGRESSION

from fastgd.losses import MARGIN_LOSSES
from fastgd.sklearn import SGDClassifier, SGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("settings", [{}, SOFTMAX])
def test_the_best_epoch_is_restored(settings):
    clf = SGDClassifier(max_iter=15, tol=None, random_state=1, **settings)
    clf.fit(X[:60], CLASSES[:60] > 0, X_val=X[60:], y_val=CLASSES[60:] > 0)
    assert len(clf.loss_curve_) == len(clf.validation_scores_) == 15
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert clf.score(X[60:], CLASSES[60:] > 0) == clf.best_validation_score_


def test_validation_data_replace_the_split():
    settings = {"early_stopping": True, "tol": 10.0, "n_iter_no_change": 2, "random_state": 0}
    reg = SGDRegressor(**settings).fit(X[:60], Y[:60], X_val=X[60:], y_val=Y[60:])
    assert reg.n_iter_ == 3
    other = SGDRegressor(max_iter=3, tol=None, random_state=0).fit(X[:60], Y[:60])
    np.testing.assert_array_equal(
        clone(reg).set_params(restore_best=False).fit(
            X[:60], Y[:60], X_val=X[60:], y_val=Y[60:]
        ).coef_,
        other.coef_,
    )  # fmt: skip


def test_curves_of_several_classes():
    clf = SGDClassifier(random_state=0, early_stopping=True).fit(X, CLASSES)
    assert len(clf.loss_curve_) == len(clf.validation_scores_) == 3
    assert clf.n_iter_ == max(len(curve) for curve in clf.loss_curve_)


def losses_by_definition(est, rows, y, weight):
    """Return the mean loss of an estimator's raw outputs, one for each output."""
    p = est.decision_function(rows) if hasattr(est, "classes_") else est.predict(rows)
    if getattr(est, "multi_class", "") == "softmax":
        return log_loss(y, est.predict_proba(rows), sample_weight=weight)
    loss, found = MARGIN_LOSSES[est.loss], []
    parameter = est.epsilon if loss.parameter is None else loss.parameter
    for i, column in enumerate(np.atleast_2d(p.T)):
        target = y
        if hasattr(est, "classes_"):
            member = y == est.classes_[1 if p.ndim == 1 else i]
            target = np.where(member, 1.0, 0.0 if est.loss == "log_loss" else -1.0)
        found.append(np.average(loss.value(target, column, parameter), weights=weight))
    return found if p.ndim == 2 else found[0]


@pytest.mark.parametrize(
    ("make", "settings", "y"),
    [
        *((SGDRegressor, {"loss": loss}, Y) for loss in REGRESSION),
        *((SGDClassifier, {"loss": loss}, CLASSES) for loss in CLASSIFICATION),
        (SGDClassifier, {"loss": "log_loss"}, CLASSES > 1),
        (SGDClassifier, {"loss": "hinge"}, CLASSES > 1),
        (SGDClassifier, {"learning_rate": "constant", **SOFTMAX}, CLASSES),
    ],
)
def test_validation_losses_are_those_of_the_epochs(make, settings, y):
    curve = []

    def watch(est):
        curve.append(losses_by_definition(est, X[60:], y[60:], WEIGHT[60:]))

    settings = {"max_iter": 3, "tol": None, "restore_best": False, "random_state": 0, **settings}
    est = make(callbacks=watch, **settings).fit(
        X[:60], y[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=WEIGHT[60:]
    )
    expected = curve if np.ndim(curve) == 1 else np.transpose(curve)
    assert_close(est.validation_loss_curve_, expected, "float64", 60)
    assert est.fit(X, y).validation_loss_curve_ is None


def test_unknown_classes_in_validation_data_are_refused():
    with pytest.raises(ValueError, match="y_val has classes that y has not"):
        SGDClassifier().fit(X, CLASSES > 1, X_val=X, y_val=CLASSES)


AVERAGED = [
    (SGDRegressor, {"learning_rate": "constant", "eta0": 0.3}, Y),
    (SGDClassifier, {}, CLASSES),
    (SGDClassifier, {}, CLASSES > 0),
    (SGDClassifier, SOFTMAX, CLASSES),
]


@pytest.mark.parametrize(("make", "settings", "y"), AVERAGED)
@pytest.mark.parametrize("average", [True, 150])
def test_the_average_is_scored_as_soon_as_it_exists(make, settings, y, average):
    """Each epoch's score is that of a model fitted for so many epochs."""
    settings = {"tol": None, "random_state": 0, "restore_best": False, **settings}
    est = make(average=average, max_iter=5, **settings)
    est.fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    scores = np.transpose(est.validation_scores_)
    assert len(scores) == 5
    for epoch, score in enumerate(scores, 1):
        part = clone(est).set_params(max_iter=epoch).fit(X[:60], y[:60])
        if make is SGDRegressor or np.ndim(score) == 0:
            assert part.score(X[60:], y[60:]) == score
            continue
        outputs = part.decision_function(X[60:]) > 0
        np.testing.assert_array_equal((outputs == (y[60:, None] == [0, 1, 2])).mean(axis=0), score)


@pytest.mark.parametrize(("make", "settings", "y"), AVERAGED)
def test_the_best_average_is_restored(make, settings, y):
    settings = {"tol": None, "random_state": 1, "average": True, "alpha": 0.1, **settings}
    fit = {"X_val": X[60:], "y_val": y[60:]}
    est = make(max_iter=12, **settings).fit(X[:60], y[:60], **fit)
    scores = np.array(est.validation_scores_)
    best = np.atleast_1d(scores.argmax(axis=-1))
    assert (best < 11).any()
    for i, epoch in enumerate(best + 1):
        part = make(max_iter=epoch, restore_best=False, **settings).fit(X[:60], y[:60], **fit)
        rows = slice(None) if scores.ndim == 1 else i
        np.testing.assert_array_equal(est.coef_[rows], part.coef_[rows])
        np.testing.assert_array_equal(est.intercept_[rows], part.intercept_[rows])


def test_an_output_that_stops_before_averaging_begins_keeps_its_weights():
    plain = SGDClassifier(tol=0.01, n_iter_no_change=2, random_state=0).fit(X, CLASSES)
    epochs = [len(curve) for curve in plain.loss_curve_]
    early = int(np.argmin(epochs))
    assert epochs[early] < max(epochs)
    clf = clone(plain).set_params(average=epochs[early] * 120 + 1).fit(X, CLASSES)
    np.testing.assert_array_equal(clf.coef_[early], plain.coef_[early])
    assert (clf.coef_ != plain.coef_).any()
