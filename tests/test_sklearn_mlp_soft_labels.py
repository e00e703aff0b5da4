"""`MLPClassifier` with probabilities of classes as targets."""

import numpy as np
import pytest
from conftest import assert_close
from samples import LABELS, WEIGHT_150, X_IRIS, Y_IRIS, parameters
from scipy.sparse import csr_array
from sklearn.base import clone

from fastgd.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


BLURRED = 0.9 * np.eye(3)[Y_IRIS] + 0.1 / 3


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("make", [np.asarray, csr_array], ids=["dense", "csr"])
def test_soft_labels_equal_weighted_hard_ones(solver, make):
    """Soft labels have the gradient of one sample per class, weighted by the labels."""
    settings = {"solver": solver, "max_iter": 30, "random_state": 0, "shuffle": False, "alpha": 0}
    soft = MLPClassifier((4,), batch_size=150, **settings).fit(make(X_IRIS), BLURRED)
    hard = MLPClassifier((4,), batch_size=450, **settings)
    hard.fit(make(np.tile(X_IRIS, (3, 1))), np.repeat([0, 1, 2], 150), BLURRED.T.ravel())
    np.testing.assert_allclose(parameters(soft), parameters(hard), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(soft.loss_, hard.loss_, rtol=1e-9)
    assert soft.classes_.tolist() == [0, 1, 2]


def test_two_probabilities_equal_one_logistic_output():
    p = np.column_stack([1 - WEIGHT_150 / 2, WEIGHT_150 / 2])
    clf = MLPClassifier((), solver="lbfgs", alpha=0).fit(X_IRIS[:, :1], p)
    assert clf.out_activation_ == "logistic"
    np.testing.assert_allclose(clf.predict_proba(X_IRIS[:, :1]).mean(0), p.mean(0), atol=1e-3)


@pytest.mark.parametrize("y", [BLURRED, BLURRED[:, :2] / BLURRED[:, :2].sum(1, keepdims=True)])
def test_soft_labels_work_with_other_options(y):
    settings = {"early_stopping": True, "class_weight": "balanced", "random_state": 0}
    clf = MLPClassifier((4,), max_iter=3, **settings).fit(X_IRIS, y)
    assert len(clf.validation_scores_) == 3
    hard = clone(clf).fit(X_IRIS, y, X_val=X_IRIS, y_val=y.argmax(axis=1))
    soft = clone(clf).fit(X_IRIS, y, X_val=X_IRIS, y_val=y)
    assert hard.validation_scores_ == soft.validation_scores_


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_soft_labels_in_partial_fit(solver):
    settings = {"class_weight": {0: 2.0}, "random_state": 0, "solver": solver}
    calls = MLPClassifier((4,), **settings).partial_fit(X_IRIS, BLURRED)
    calls.partial_fit(X_IRIS, BLURRED)
    whole = MLPClassifier((4,), max_iter=2, **settings).fit(X_IRIS, BLURRED)
    assert [len(model.loss_curve_) for model in (calls, whole)] == [2, 2]
    assert_close(calls.loss_curve_, whole.loss_curve_, "float64", 2 * 150)


def test_soft_labels_name_the_classes_given_to_partial_fit():
    clf = MLPClassifier((4,)).partial_fit(X_IRIS, BLURRED, classes=["a", "b", "c"])
    assert set(clf.predict(X_IRIS)) <= {"a", "b", "c"}


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (2 * BLURRED, "the sums here are from 2 to 2"),
        (BLURRED - 0.2, "must hold probabilities"),
        (np.column_stack([BLURRED, 0 * WEIGHT_150]), "4 columns, but there are 3 classes"),
    ],
)
def test_invalid_soft_labels_are_refused(y, message):
    clf = MLPClassifier((4,), max_iter=1, warm_start=True).fit(X_IRIS, Y_IRIS)
    with pytest.raises(ValueError, match=message):
        clf.fit(X_IRIS, y)


def test_soft_labels_cannot_follow_several_labels():
    clf = MLPClassifier((4,), max_iter=1, warm_start=True).fit(X_IRIS, LABELS)
    with pytest.raises(ValueError, match="began with several labels per sample"):
        clf.fit(X_IRIS, BLURRED)


def _one_hot():
    return np.eye(3)[Y_IRIS]


def test_one_hot_validation_labels_of_soft_training_labels():
    """The start of the training decides what a matrix of 0 and 1 means."""
    clf = MLPClassifier((4,), max_iter=3, random_state=0)
    matrix = clone(clf).fit(X_IRIS, BLURRED, X_val=X_IRIS, y_val=_one_hot())
    labels = clone(clf).fit(X_IRIS, BLURRED, X_val=X_IRIS, y_val=Y_IRIS)
    assert matrix.validation_scores_ == labels.validation_scores_
    assert_close(matrix.validation_loss_curve_, labels.validation_loss_curve_, "float64", 150)


def test_a_batch_of_soft_labels_may_be_all_0_and_1():
    one_hot, labels = (MLPClassifier((4,), class_weight={1: 2.0}, random_state=0) for _ in "ab")
    one_hot.partial_fit(X_IRIS, BLURRED).partial_fit(X_IRIS, _one_hot())
    labels.partial_fit(X_IRIS, BLURRED).partial_fit(X_IRIS, Y_IRIS)
    assert_close(parameters(one_hot), parameters(labels), "float64", 300)


def test_fits_continue_with_labels_of_0_and_1():
    clf = MLPClassifier((4,), max_iter=1, random_state=0, warm_start=True).fit(X_IRIS, BLURRED)
    assert clf.fit(X_IRIS, _one_hot().astype(int)).classes_.tolist() == [0, 1, 2]


def test_balanced_weights_of_a_class_that_is_never_the_most_probable():
    p = np.tile([0.6, 0.4], (150, 1))
    clf = MLPClassifier((4,), max_iter=1, class_weight="balanced").fit(X_IRIS, p)
    assert clf.classes_.tolist() == [0, 1]
