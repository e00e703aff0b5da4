"""Compare scores and times of fastgd.sklearn's classes with scikit-learn's, as Markdown tables.

Both train with the same settings on scikit-learn's bundled data, five seeds each, in turn.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from sklearn import linear_model, neural_network
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
Settings = dict[str, dict[str, Any]]
EPOCHS = {"max_iter": 50}
NETWORKS: Settings = {
    "defaults": EPOCHS,
    "batches of 32": {"batch_size": 32, **EPOCHS},
    "lbfgs": {"solver": "lbfgs", **EPOCHS},
}
LINEAR: Settings = {
    "defaults": {},
    "elastic net": {"penalty": "elasticnet"},
    "average": {"average": True},
}
# each family's module in scikit-learn, the prefix of its classes' names, and settings
FAMILIES: dict[str, tuple[Any, str, Settings]] = {
    "networks": (neural_network, "MLP", NETWORKS),
    "linear": (linear_model, "SGD", LINEAR),
}
SEEDS = range(5)


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
    peer: Any, name: str, load: Any, settings: dict[str, Any], dtype: str
) -> list[tuple[float, float]]:
    """Return mean scores and median milliseconds of scikit-learn's class and ours."""
    X_train, X_test, y_train, y_test = split(load, dtype)
    modules = (peer, fastgd.sklearn)
    scores: list[list[float]] = [[], []]
    times: list[list[float]] = [[], []]
    for seed in SEEDS:
        for which, module in enumerate(modules):
            model = getattr(module, name)(random_state=seed, **settings)
            begun = time.perf_counter()
            model.fit(X_train, y_train)
            times[which].append(1e3 * (time.perf_counter() - begun))
            scores[which].append(model.score(X_test, y_test))
    return [(float(np.mean(s)), float(np.median(t))) for s, t in zip(scores, times, strict=True)]


def table(family: str) -> None:
    """Print the table of the networks, or of the linear models."""
    peer, prefix, settings_by_title = FAMILIES[family]
    print("| data | settings | dtype | score, both | scikit-learn, ms | fastgd, ms | times |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for data, load in DATA.items():
        name = prefix + ("Regressor" if load is load_diabetes else "Classifier")
        for title, settings in settings_by_title.items():
            for dtype in ("float64", "float32"):
                (theirs, slow), (ours, fast) = measure(peer, name, load, settings, dtype)
                shown = f"{theirs:.3f}, {ours:.3f}"
                score = f"{ours:.3f}" if f"{ours:.3f}" == f"{theirs:.3f}" else shown
                print(
                    f"| {data} | {title} | {dtype} | {score} | {slow:.{1 if slow < 10 else 0}f} "
                    f"| {fast:.{1 if fast < 10 else 0}f} | {slow / fast:.1f} |"
                )
    print()


def main() -> None:
    """Print the tables named on the command line, or both."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.beside_scikit_learn", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE", help=f"{' or '.join(FAMILIES)}; both if none is named"
    )
    tables = parser.parse_args().tables or list(FAMILIES)
    if unknown := set(tables) - FAMILIES.keys():
        parser.error(f"no such table: {', '.join(unknown)}; tables: {', '.join(FAMILIES)}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    for family in tables:
        table(family)


if __name__ == "__main__":
    main()
