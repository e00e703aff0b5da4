"""fastgd.sklearn's SGD estimators compared with scikit-learn's."""

import numpy as np
import pytest
from samples import CLASSES, HALF_THE_DIGITS, WEIGHT, X, Y, csr
from scipy import sparse
from sklearn import __version__ as installed
from sklearn import config_context, linear_model
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale
from sklearn.utils.fixes import parse_version

from fastgd.sklearn import SGDClassifier, SGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")


CLASSIFICATION = ("hinge", "squared_hinge", "modified_huber", "log_loss", "perceptron")


PENALTIES = ("l2", "l1", "elasticnet", None)


RATES = ("constant", "optimal", "invscaling", "adaptive")


# Since 1.8 training stops on an objective that includes the penalty, and eta0 is 0.01 by default.
OLDER = parse_version(installed) < parse_version("1.8")


def product(losses):
    """Return all losses, penalties and learning rates; three quarters of them are slow tests."""
    return [
        pytest.param(
            loss, penalty, rate,
            marks=[pytest.mark.slow] if (i + j + k) % 4 else [],
        )
        for i, loss in enumerate(losses)
        for j, penalty in enumerate(PENALTIES)
        for k, rate in enumerate(RATES)
    ]  # fmt: skip


def assert_same_fit(own, other, *fit, **fit_more):
    if OLDER:
        own.set_params(tol=None)
        other.set_params(tol=None)
    own.fit(*fit, **fit_more)
    other.fit(*fit, **fit_more)
    bound = HALF_THE_DIGITS * max(1, abs(other.coef_).max())
    np.testing.assert_allclose(own.coef_, other.coef_, rtol=0, atol=bound)
    np.testing.assert_allclose(own.intercept_, other.intercept_, rtol=0, atol=bound)
    assert own.n_iter_ == other.n_iter_
    assert own.t_ == other.t_


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
@pytest.mark.parametrize(("loss", "penalty", "rate"), product(REGRESSION))
def test_regressor_equals_scikit_learns(loss, penalty, rate, make):
    settings = {
        "loss": loss, "penalty": penalty, "learning_rate": rate, "alpha": 0.1, "eta0": 0.02,
        "max_iter": 20, "random_state": 3,
    }  # fmt: skip
    own, other = SGDRegressor(**settings), linear_model.SGDRegressor(**settings)
    assert_same_fit(own, other, make(X), Y)


@pytest.mark.parametrize("y", [CLASSES > 1, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize(("loss", "penalty", "rate"), product(CLASSIFICATION))
def test_classifier_equals_scikit_learns(loss, penalty, rate, y):
    settings = {
        "loss": loss, "penalty": penalty, "learning_rate": rate, "alpha": 0.01, "eta0": 0.02,
        "max_iter": 20, "random_state": 3,
    }  # fmt: skip
    own, other = SGDClassifier(**settings), linear_model.SGDClassifier(**settings)
    assert_same_fit(own, other, csr(X), y, sample_weight=WEIGHT)


@pytest.mark.parametrize("average", [True, 150])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_average_equals_scikit_learns(penalty, average):
    settings = {"penalty": penalty, "average": average, "max_iter": 10, "random_state": 0}
    own, other = SGDClassifier(**settings), linear_model.SGDClassifier(**settings)
    assert_same_fit(own, other, X, CLASSES)


def test_a_row_may_have_a_column_twice():
    parts = np.array([1.0, 2, 3, 4]), np.int32([0, 0, 1, 1]), np.int32([0, 3, 4])
    twice = sparse.csr_array(parts, shape=(2, 2))
    settings = {"penalty": "elasticnet", "random_state": 0, "max_iter": 3, "tol": None}
    own, other = SGDRegressor(**settings), linear_model.SGDRegressor(**settings)
    assert_same_fit(own, other, twice, [1, 2])


def test_callbacks_see_the_model_and_stop_it():
    seen = []

    def watch(reg):
        seen.append(reg.score(X, Y))
        return reg.n_iter_ == 3

    reg = SGDRegressor(tol=None, callbacks=watch, random_state=0).fit(X, Y)
    assert reg.n_iter_ == 3
    assert seen[-1] == reg.score(X, Y)


def test_verbose_prints_lines(capsys):
    settings = {"verbose": 1, "max_iter": 2, "tol": None, "random_state": 0}
    lines = []
    for make in (SGDRegressor, linear_model.SGDRegressor):
        make(**settings).fit(X, Y)
        lines.append([line for line in capsys.readouterr().out.split("\n") if "time" not in line])
    own, other = lines
    if OLDER:
        own = [line.split(", Objective")[0] for line in own]
    assert own == other


@pytest.mark.parametrize("early_stopping", [False, True])
def test_threads_do_not_change_a_bit(early_stopping, monkeypatch):
    monkeypatch.setattr("fastgd.sklearn._linear.MIN_PARALLEL_WORK", 0)
    settings = {"early_stopping": early_stopping, "random_state": 0, "max_iter": 20}
    one, two = (SGDClassifier(n_threads=n, **settings).fit(X, CLASSES) for n in (1, 3))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    assert one.n_iter_ == two.n_iter_
    assert one.validation_scores_ == two.validation_scores_


def test_too_few_epochs_give_a_warning():
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached"):
        SGDRegressor(max_iter=2).fit(X, Y)


def test_divergence_is_an_error():
    with pytest.raises(ValueError, match="under-/overflow occurred at epoch #1"):
        SGDRegressor(learning_rate="constant", eta0=1e300, penalty=None).fit(X, Y)


def test_a_column_of_targets_gives_one_warning():
    with pytest.warns(DataConversionWarning) as caught:
        SGDClassifier().fit(X, CLASSES[:, None])
    assert sum(w.category is DataConversionWarning for w in caught) == 1


def test_zero_jobs_are_refused():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        SGDClassifier(n_jobs=0).fit(X, CLASSES)


def test_metadata_routing():
    with config_context(enable_metadata_routing=True):
        clf = SGDClassifier(random_state=0).set_fit_request(sample_weight=True)
        clf.set_score_request(sample_weight=False)
        search = GridSearchCV(clf, {"alpha": [1e-3, 1e-2]}, cv=2)
        weighed = search.fit(X, CLASSES, sample_weight=WEIGHT).best_estimator_
    other = clone(weighed).fit(X, CLASSES, sample_weight=WEIGHT)
    np.testing.assert_array_equal(weighed.coef_, other.coef_)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hinge"},
        {"loss": "log_loss"},
        # with "optimal" the first steps overshoot so far that rounding decides the result
        {"loss": "modified_huber", "learning_rate": "adaptive", "eta0": 0.01},
    ],
)
@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer])
def test_accuracy_equals_scikit_learns(load, settings):
    data, y = load(return_X_y=True)
    data = scale(data)
    settings = {"tol": None, "max_iter": 20, **settings} if OLDER else settings
    own, other = (
        np.mean([
            make(random_state=seed, **settings).fit(data[::2], y[::2]).score(data[1::2], y[1::2])
            for seed in range(5)
        ])
        for make in (SGDClassifier, linear_model.SGDClassifier)
    )  # fmt: skip
    assert own >= other - 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("loss", REGRESSION)
def test_r2_equals_scikit_learns(loss):
    data, y = load_diabetes(return_X_y=True)
    data, y = scale(data), scale(y)
    own, other = (
        np.mean([
            make(loss=loss, random_state=seed).fit(data[::2], y[::2]).score(data[1::2], y[1::2])
            for seed in range(5)
        ])
        for make in (SGDRegressor, linear_model.SGDRegressor)
    )  # fmt: skip
    assert own >= other - 1e-9


@pytest.mark.parametrize("part", ["indices", "indptr"])
@pytest.mark.parametrize("number", [-1, 10**6])
def test_invalid_csr_indices_are_refused(part, number):
    rows = csr(X)
    getattr(rows, part)[5] = number
    with pytest.raises(ValueError, match="not a valid CSR matrix"):
        SGDRegressor().fit(rows, Y)


def test_csr_arrays_may_have_spare_elements():
    rows, spare = csr(X), np.array([-1], np.int32)
    roomy = csr(X)
    roomy.data, roomy.indices = np.append(rows.data, 0.0), np.append(rows.indices, spare)
    expected = SGDRegressor(random_state=0).fit(rows, Y)
    np.testing.assert_array_equal(SGDRegressor(random_state=0).fit(roomy, Y).coef_, expected.coef_)
