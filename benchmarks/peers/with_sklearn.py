"""scikit-learn: SGD* at batch 1 for linear models, else MLP*; one ``partial_fit`` per epoch.

Its squared error has a factor of one half, so the learning rate is doubled for it.
"""

from __future__ import annotations

import warnings

import numpy as np

from .peer import Run
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    rate = workload.learning_rate * (2 if workload.loss == "squared_error" else 1)
    classes = None if workload.loss == "squared_error" else np.unique(y)
    single = workload.batch == 1 and workload.sizes[1:] == (1,)
    model = _sgd(workload, rate) if single else _mlp(workload, rate)
    known = {} if classes is None else {"classes": classes}
    model.partial_fit(X[:64], y[:64], **known)  # allocates the arrays, which are then overwritten
    weights, biases = workload.start()
    if single:
        model.coef_[...] = weights[0][:, 0]
        model.intercept_[...] = biases[0]
    else:
        for mine, start in zip(model.coefs_ + model.intercepts_, weights + biases, strict=True):
            mine[...] = start
    model.batch_size = workload.batch

    def epoch() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.partial_fit(X, y)

    def parameters() -> tuple[list[Array], list[Array]]:
        if single:
            return [model.coef_.reshape(-1, 1)], [model.intercept_]
        return model.coefs_, model.intercepts_

    return Run(epoch, parameters, type(model).__name__)


def _sgd(workload: Workload, rate: float):  # type: ignore[no-untyped-def]
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    make = SGDRegressor if workload.loss == "squared_error" else SGDClassifier
    return make(
        loss=workload.loss, penalty=None, learning_rate="constant", eta0=rate, random_state=0
    )


def _mlp(workload: Workload, rate: float):  # type: ignore[no-untyped-def]
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    make = MLPRegressor if workload.loss == "squared_error" else MLPClassifier
    return make(
        hidden_layer_sizes=workload.sizes[1:-1],
        solver="sgd",
        alpha=0.0,
        momentum=0.0,
        nesterovs_momentum=False,
        learning_rate_init=rate,
        random_state=0,
        batch_size=min(64, workload.batch),
    )
