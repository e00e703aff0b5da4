"""Class weights of `fastgd.sklearn`'s estimators."""

import numpy as np
import pytest
from samples import LABELS, X_IRIS, Y_IRIS, parameters

from fastgd.sklearn import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_batch_may_lack_a_class_that_has_a_weight():
    weighed, plain = (MLPClassifier((4,), class_weight=w, random_state=0) for w in ({0: 2.0}, None))
    for clf in (weighed, plain):
        clf.partial_fit(X_IRIS[50:], Y_IRIS[50:], classes=[0, 1, 2])
    np.testing.assert_array_equal(parameters(weighed), parameters(plain))


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({0: -1.0}, r"class_weight\[0\] is -1.0, but must be finite and at least 0"),
        ({1: np.nan}, r"class_weight\[1\]"),
        ({1: np.inf}, r"class_weight\[1\]"),
        ({0: 0, 1: 0, 2: 0}, "only weights of zero"),
        ({0: 1, 7: 2}, r"class_weight has 7, but the classes are 0, 1, 2"),
    ],
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_invalid_weights_are_refused(class_weight, message, solver):
    clf = MLPClassifier((4,), class_weight=class_weight, solver=solver, max_iter=1)
    with pytest.raises(ValueError, match=message):
        clf.fit(X_IRIS, Y_IRIS)


def test_weights_of_zero_for_all_samples_are_refused():
    clf = MLPClassifier((4,), class_weight={0: 0, 1: 0, 2: 1})
    with pytest.raises(ValueError, match="only weights of zero"):
        clf.fit(X_IRIS, Y_IRIS, (Y_IRIS < 2).astype(float))


def test_weights_that_overflow_the_dtype_are_refused():
    clf = MLPClassifier((4,), class_weight={0: 1e200})
    with pytest.raises(ValueError, match="float32 does not hold"):
        clf.fit(X_IRIS.astype("f4"), Y_IRIS)


def test_with_several_labels_class_weights_are_refused():
    with pytest.raises(ValueError, match="use class_weight='balanced'"):
        MLPClassifier((4,), class_weight={0: 2.0}).fit(X_IRIS, LABELS)
