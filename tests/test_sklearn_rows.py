"""Sparse samples whose indices are damaged, or change while they are in use."""

import numpy as np
import pytest
from scipy import sparse

from fastgd.sklearn import MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ESTIMATORS = [SGDRegressor, SGDClassifier, MLPRegressor, MLPClassifier]
Y = np.arange(20) % 2


def matrix(form="csr"):
    return sparse.random_array((20, 6), density=0.5, rng=0, format=form)


def short_indptr(X):
    X.indptr = X.indptr[:-4]


def narrow_indptr(X):
    X.indptr = (X.indptr * 9).astype(np.int8)


def wrapping_indptr(X):
    X.indptr[5:7] = 2**31 - 1, -(2**31)


def index_of_no_column(X):
    X.indices[3] = X.shape[1 if X.format == "csr" else 0]


DAMAGES = [short_indptr, narrow_indptr, wrapping_indptr, index_of_no_column]


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_damaged_rows_are_refused_by_fit(estimator, damage, form):
    X = matrix(form)
    damage(X)
    with pytest.raises(ValueError, match=f"X is not a valid {form.upper()} matrix"):
        estimator().fit(X, Y)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_damaged_rows_are_refused_by_predict(estimator, damage):
    est = estimator(max_iter=1).fit(matrix(), Y)
    X = matrix()
    damage(X)
    with pytest.raises(ValueError, match="X is not a valid CSR matrix"):
        est.predict(X)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_indices_that_a_callback_changes_are_ignored(estimator):
    X = matrix()

    def damage(_):
        X.indices[:] = 10**6

    settings = {"max_iter": 4, "tol": 0.0, "random_state": 0}
    watched = estimator(callbacks=damage, **settings).fit(X, Y)
    expected = estimator(callbacks=lambda _: None, **settings).fit(matrix(), Y)
    np.testing.assert_array_equal(watched.loss_curve_, expected.loss_curve_)
