"""Weights of classes and samples in `fastgd.sklearn`'s linear estimators."""

import numpy as np
import pytest
from samples import CLASSES, SOFTMAX, X, Y

from fastgd.sklearn import SGDClassifier, SGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
KINDS = [({}, CLASSES), ({}, CLASSES > 0), (SOFTMAX, CLASSES)]


@pytest.mark.parametrize(("settings", "y"), KINDS)
@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: -1.0}, r"class_weight\[0\]|class_weight\[False\]"),
        ({0: np.nan}, r"class_weight\[0\]|class_weight\[False\]"),
        ({0: np.inf}, r"class_weight\[0\]|class_weight\[False\]"),
        ({0: 0.0, 1: 0.0, 2: 0.0}, "only weights of zero"),
        ({0: 1e300}, "float32 does not hold"),
    ],
)
def test_invalid_class_weights_are_refused(settings, y, class_weight, message):
    clf = SGDClassifier(class_weight=class_weight, **settings)
    with pytest.raises(ValueError, match=message):
        clf.fit(X.astype(np.float32), y)


@pytest.mark.parametrize(("settings", "y"), KINDS)
def test_a_batch_without_a_class_that_has_a_weight(settings, y):
    clf = SGDClassifier(class_weight={0: 3.0}, random_state=0, **settings)
    clf.partial_fit(X, y, classes=np.unique(y))
    clf.partial_fit(X[y != 0], y[y != 0])
    clf.set_params(class_weight="balanced").partial_fit(X[y != 0], y[y != 0])


def test_balanced_weights_of_soft_labels():
    """The sizes of classes are sums of probabilities: none needs to be the most probable."""
    soft = np.tile([0.5, 0.3, 0.2], (120, 1))
    soft[::2] = 0.6, 0.3, 0.1
    sizes = soft.sum(axis=0)
    settings = {"random_state": 0, "learning_rate": "constant", "max_iter": 3, **SOFTMAX}
    balanced = SGDClassifier(class_weight="balanced", **settings).fit(X, soft)
    named = SGDClassifier(class_weight=dict(enumerate(120 / (3 * sizes))), **settings).fit(X, soft)
    np.testing.assert_allclose(balanced.coef_, named.coef_, rtol=1e-12)


def test_samples_of_a_class_with_weight_zero():
    weight = np.where(CLASSES > 0, 1.0, 0.0)
    with pytest.raises(ValueError, match="only weights of zero"):
        SGDClassifier(class_weight={True: 0}).fit(X, CLASSES > 0, sample_weight=weight)


@pytest.mark.parametrize(("make", "y"), [(SGDRegressor, Y), (SGDClassifier, CLASSES)])
def test_validation_data_with_weight_zero(make, y):
    with pytest.raises(ValueError, match=r"only zeros|at least one non-zero"):
        make().fit(X, y, X_val=X, y_val=y, sample_weight_val=np.zeros(120))


@pytest.mark.parametrize(("make", "y"), [(SGDRegressor, Y), (SGDClassifier, CLASSES)])
def test_weight_in_the_validation_rows_only(make, y):
    est = make(early_stopping=True, random_state=0, warm_start="exact", max_iter=1).fit(X, y)
    weight = est._held_out.astype(float)
    with pytest.raises(ValueError, match="to train on are all zero"):
        make(early_stopping=True, random_state=0).fit(X, y, sample_weight=weight)


def test_one_sample_has_no_coefficient_of_determination():
    with pytest.raises(ValueError, match=r"R\^2.*needs at least two samples"):
        SGDRegressor(early_stopping=True).fit(X, Y, X_val=X[:1], y_val=Y[:1])
    with pytest.raises(ValueError, match=r"R\^2.*needs at least two samples"):
        SGDRegressor(early_stopping=True).fit(X[:8], Y[:8])


def test_a_classifier_can_be_scored_on_one_sample():
    clf = SGDClassifier(early_stopping=True).fit(X, CLASSES, X_val=X[:1], y_val=CLASSES[:1])
    assert set(np.ravel(clf.validation_scores_[0])) <= {0.0, 1.0}


@pytest.mark.parametrize("settings", [{}, SOFTMAX])
def test_one_class(settings):
    with pytest.raises(ValueError, match="has to be greater than one; got 1 class"):
        SGDClassifier(**settings).fit(X, np.zeros(120))
