"""Save models for the versions to come.

Writes small models of this version, which tests/test_saved.py loads and continues to train.
Run it with the oldest supported scikit-learn, whose pickles newer ones read.
"""

import argparse
import pickle
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import fastgd as gd
from fastgd.sklearn import MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = X @ [1.0, -2.0, 0.5]
CLASSES = np.digitize(Y, [-1, 1])

EVERY = {"max_iter": 3, "warm_start": "exact", "random_state": 0}
LINEAR = {"penalty": "elasticnet", "average": 10, "early_stopping": True}
ESTIMATORS = {
    "linear classifier": SGDClassifier(**EVERY, **LINEAR),
    "linear regressor": SGDRegressor(
        learning_rate=gd.schedules.OnPlateau(), batch_size=5, **EVERY
    ),
    "softmax": SGDClassifier("log_loss", multi_class="softmax", **EVERY),
    "network of classes": MLPClassifier((4,), early_stopping=True, dropout=0.2, **EVERY),
    "network of values": MLPRegressor(
        hidden_layer_sizes=(4, 3), activation=("gelu", "tanh"), solver=gd.AdamW(0.01),
        learning_rate=gd.schedules.WarmUp(2, gd.schedules.Cosine(20)), **EVERY,
    ),
}  # fmt: skip


def fit(estimator):
    """Fit an estimator, or go on; return all numbers that it predicts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, CLASSES if "Classifier" in type(estimator).__name__ else Y)
    return predict(estimator)


def predict(estimator):
    """Return all numbers that an estimator predicts."""
    names = "decision_function", "predict_proba", "predict"
    return next(getattr(estimator, name) for name in names if hasattr(estimator, name))(X)


def main():
    """Write the files of this version."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    saved = {}
    for name, estimator in ESTIMATORS.items():
        before = fit(estimator)
        saved[name] = pickle.dumps(estimator, protocol=4), before, fit(estimator)
    (HERE / f"estimators-{gd.__version__}.pickle").write_bytes(pickle.dumps(saved, protocol=4))

    net = gd.Network([3, 4, 1], hidden="silu", dtype="float64", rng=0)
    schedule = gd.schedules.OneCycle(30)
    history = gd.train(net, X, Y, epochs=3, optimizer=gd.Nadam(0.01), schedule=schedule, rng=0)
    gd.save_checkpoint(HERE / f"checkpoint-{gd.__version__}.npz", net, history)
    before = net.params.copy()
    gd.train(net, X, Y, epochs=3, resume=history)
    np.savez(HERE / f"expected-{gd.__version__}.npz", before=before, after=net.params)


if __name__ == "__main__":
    main()
