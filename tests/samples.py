"""The samples on which the tests of estimators train, and how they read what is learned."""

import numpy as np
from scipy import sparse
from sklearn.datasets import load_diabetes, load_iris
from sklearn.preprocessing import scale

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 7)) * (RNG.random((120, 7)) < 0.6)
Y = X @ RNG.standard_normal(7) + 0.3 * RNG.standard_normal(120)
CLASSES = np.digitize(Y, [-1, 1])
WEIGHT = RNG.random(120)

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = scale(X_IRIS)
X_REG, Y_REG = load_diabetes(return_X_y=True)
X_REG, Y_REG = scale(X_REG)[:150], scale(Y_REG)[:150]
# for any of these 150: several labels per sample, and weights
LABELS = np.column_stack([Y_IRIS == 0, Y_IRIS > 0, X_IRIS[:, 0] > 0]).astype(int)
WEIGHT_150 = np.random.default_rng(0).uniform(0.1, 2, 150)

# of SGDClassifier: one model of all classes, in place of one against the others for each
SOFTMAX = {"loss": "log_loss", "multi_class": "softmax"}

# Tolerance after many steps of two implementations, in which rounding accumulates.
HALF_THE_DIGITS = float(np.sqrt(np.finfo(np.float64).eps))


def csr(X):
    """Return compressed rows with the short indices that the kernels read in place."""
    X = sparse.csr_array(X)
    return sparse.csr_array(
        (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), shape=X.shape
    )


def parameters(estimator):
    """Return all weights and intercepts of a network, one after the other."""
    return np.concatenate([part.ravel() for part in estimator.coefs_ + estimator.intercepts_])
