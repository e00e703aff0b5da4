"""Scores and times of fastgd.sklearn's networks beside scikit-learn's, as a Markdown table.

    python -m benchmarks.networks_beside_scikit_learn

Both train with equal settings on scikit-learn's bundled data, five seeds each, in turn.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastgd.sklearn

DATA = {
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "batches of 32": {"batch_size": 32},
    "lbfgs": {"solver": "lbfgs"},
}
SEEDS = range(5)
EPOCHS = 50


def split(load: Any, dtype: str) -> list[Any]:
    """Return standardised X_train, X_test, y_train, y_test."""
    X, y = load(return_X_y=True)
    if load is load_diabetes:
        y = (y - y.mean()) / y.std()
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    scaler = StandardScaler().fit(X_train)
    return [scaler.transform(X_train).astype(dtype), scaler.transform(X_test).astype(dtype),
            y_train, y_test]  # fmt: skip


def measure(
    name: str, load: Any, settings: dict[str, Any], dtype: str
) -> list[tuple[float, float]]:
    """Return mean score and median milliseconds of scikit-learn's class and of ours."""
    X_train, X_test, y_train, y_test = split(load, dtype)
    modules = (neural_network, fastgd.sklearn)
    scores: list[list[float]] = [[], []]
    times: list[list[float]] = [[], []]
    for seed in SEEDS:
        for which, module in enumerate(modules):
            model = getattr(module, name)(max_iter=EPOCHS, random_state=seed, **settings)
            begun = time.perf_counter()
            model.fit(X_train, y_train)
            times[which].append(1e3 * (time.perf_counter() - begun))
            scores[which].append(model.score(X_test, y_test))
    return [(float(np.mean(s)), float(np.median(t))) for s, t in zip(scores, times, strict=True)]


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| data | settings | dtype | score, both | scikit-learn, ms | fastgd, ms | times |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for data, load in DATA.items():
        name = "MLPRegressor" if load is load_diabetes else "MLPClassifier"
        for title, settings in SETTINGS.items():
            for dtype in ("float64", "float32"):
                (theirs, slow), (ours, fast) = measure(name, load, settings, dtype)
                score = (
                    f"{ours:.3f}"
                    if f"{ours:.3f}" == f"{theirs:.3f}"
                    else (f"{theirs:.3f}, {ours:.3f}")
                )
                print(f"| {data} | {title} | {dtype} | {score} | {slow:.0f} | {fast:.0f} "
                      f"| {slow / fast:.1f} |")  # fmt: skip


if __name__ == "__main__":
    main()
