"""`SGDClassifier` with one softmax over all classes, and with probabilities as targets."""

import numpy as np
import pytest
from conftest import assert_close
from samples import SOFTMAX, WEIGHT, X_IRIS, Y_IRIS, X, csr
from sklearn import linear_model

from fastgd.sklearn import SGDClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


EXACT = {"learning_rate": "constant", "eta0": 1.0, "batch_size": None, "tol": None}


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
def test_softmax_equals_multinomial_regression(make):
    other = linear_model.LogisticRegression(C=1 / (150 * 0.1), tol=1e-12).fit(X_IRIS, Y_IRIS)
    clf = SGDClassifier(alpha=0.1, max_iter=2000, **SOFTMAX, **EXACT).fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(clf.coef_, other.coef_, atol=1e-6)
    np.testing.assert_allclose(
        clf.predict_proba(make(X_IRIS)), other.predict_proba(X_IRIS), atol=1e-6
    )


def test_probabilities_as_targets():
    settings = {"max_iter": 20, "random_state": 0, **SOFTMAX}
    hard = SGDClassifier(**settings).fit(X_IRIS, Y_IRIS)
    soft = SGDClassifier(**settings).fit(X_IRIS, np.eye(3)[Y_IRIS])
    assert_close(soft.coef_, hard.coef_, "float64", 20 * 150)
    blurred = SGDClassifier(**SOFTMAX, **EXACT).fit(X_IRIS, 0.4 * np.eye(3)[Y_IRIS] + 0.2)
    assert 0.5 < blurred.predict_proba(X_IRIS).max() < 0.8


def test_probabilities_for_validation():
    settings = {"max_iter": 3, "tol": None, "random_state": 0, **SOFTMAX}
    names = np.array(["a", "b", "c"])[Y_IRIS]
    hard = SGDClassifier(**settings).fit(X_IRIS, names, X_val=X_IRIS, y_val=names)
    soft = SGDClassifier(**settings).fit(X_IRIS, names, X_val=X_IRIS, y_val=np.eye(3)[Y_IRIS])
    assert soft.validation_scores_ == hard.validation_scores_
    assert_close(soft.validation_loss_curve_, hard.validation_loss_curve_, "float64", 150)
    with pytest.raises(ValueError, match="y_val has 2 columns, but there are 3 classes"):
        soft.fit(X_IRIS, names, X_val=X_IRIS, y_val=np.full((150, 2), 0.5))
    blurred = SGDClassifier(early_stopping=True, **settings).fit(X_IRIS, np.full((150, 3), 1 / 3))
    np.testing.assert_allclose(blurred.validation_loss_curve_[0], np.log(3), rtol=0.1)


def test_two_probabilities_equal_one_logistic_output():
    """At the optimum the mean prediction is the mean target: the intercept is not penalised."""
    p = np.column_stack([1 - WEIGHT, WEIGHT])
    clf = SGDClassifier(**SOFTMAX, **EXACT, alpha=1e-3).fit(X[:, :1], p)
    assert clf.coef_.shape == (1, 1)
    np.testing.assert_allclose(clf.predict_proba(X[:, :1]).mean(axis=0), p.mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        ({"multi_class": "softmax"}, Y_IRIS, "needs loss='log_loss', not 'hinge'"),
        (SOFTMAX, 2 * np.eye(3)[Y_IRIS], "the sums here are from 2 to 2"),
        (SOFTMAX, -np.eye(3)[Y_IRIS], "must hold probabilities"),
    ],
)
def test_softmax_refuses_bad_arguments(settings, y, message):
    with pytest.raises(ValueError, match=message):
        SGDClassifier(**settings).fit(X_IRIS, y)
