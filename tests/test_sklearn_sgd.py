"""fastgd.sklearn's SGD estimators beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn import linear_model
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastgd import _sgd
from fastgd.sklearn import SGDClassifier, SGDRegressor
from fastgd.sklearn._margins import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
CLASSIFICATION = ("hinge", "squared_hinge", "modified_huber", "log_loss", "perceptron")
PENALTIES = ("l2", "l1", "elasticnet", None)
RATES = ("constant", "optimal", "invscaling", "adaptive")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 7)) * (RNG.random((120, 7)) < 0.6)
Y = X @ RNG.standard_normal(7) + 0.3 * RNG.standard_normal(120)
CLASSES = np.digitize(Y, [-1, 1])
WEIGHT = RNG.random(120)


def csr(X):
    X = sparse.csr_array(X)
    return sparse.csr_array(
        (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), shape=X.shape
    )


def assert_same_fit(own, other, *fit, **fit_more):
    own.fit(*fit, **fit_more)
    other.fit(*fit, **fit_more)
    scale = max(1, abs(other.coef_).max())
    np.testing.assert_allclose(own.coef_ / scale, other.coef_ / scale, atol=1e-6)
    np.testing.assert_allclose(own.intercept_ / scale, other.intercept_ / scale, atol=1e-6)
    assert own.n_iter_ == other.n_iter_
    assert own.t_ == other.t_


# What both estimators skip of scikit-learn's own checks.
EXPECTED = {
    f"check_sample_weight_equivalence_on_{kind}_data": "a weight is not a repeated sample"
    for kind in ("dense", "sparse")
}


@parametrize_with_checks(
    [SGDClassifier(max_iter=5), SGDRegressor(max_iter=5)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", REGRESSION)
def test_regressor_is_scikit_learns(loss, penalty, rate, make):
    settings = {
        "loss": loss, "penalty": penalty, "learning_rate": rate, "alpha": 0.1, "eta0": 0.02,
        "max_iter": 20, "random_state": 3,
    }  # fmt: skip
    own, other = SGDRegressor(**settings), linear_model.SGDRegressor(**settings)
    assert_same_fit(own, other, make(X), Y)


@pytest.mark.parametrize("y", [CLASSES > 1, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", CLASSIFICATION)
def test_classifier_is_scikit_learns(loss, penalty, rate, y):
    settings = {
        "loss": loss, "penalty": penalty, "learning_rate": rate, "alpha": 0.01, "eta0": 0.02,
        "max_iter": 20, "random_state": 3,
    }  # fmt: skip
    own, other = SGDClassifier(**settings), linear_model.SGDClassifier(**settings)
    assert_same_fit(own, other, csr(X), y, sample_weight=WEIGHT)


@pytest.mark.parametrize("average", [True, 150])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_average_is_scikit_learns(penalty, average):
    settings = {"penalty": penalty, "average": average, "max_iter": 10, "random_state": 0}
    own, other = SGDClassifier(**settings), linear_model.SGDClassifier(**settings)
    assert_same_fit(own, other, X, CLASSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_the_kernels(loss, isa):
    y = np.tile([0.0, 0.3, 1.0] if loss == "log_loss" else [-1.0, 1.0, 1.0], 40)
    p = np.concatenate([np.linspace(-4, 4, 114), [-1, 0, 1, 1.1, 0.9, -1.1]])
    known = LOSSES[loss]
    parameter = 0.1 if known.parameter is None else known.parameter
    value, slope = _sgd.margin_losses(loss, parameter, y, p, isa)
    np.testing.assert_allclose(value, known.value(y, p, parameter), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, known.slope(y, p, parameter), rtol=1e-12, atol=1e-12)
