"""Advice for a training that diverged, from the size of its data and its learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd.losses import LOSSES, REAL

__all__ = ["remedy"]

#: data are large above this root mean square; standardised data have 1
LARGE = 10.0
#: learning rates from here on are too high for data of any size
HIGH_RATE = 1.0
#: a learning rate below this is not what makes usual data diverge
LOW_RATE = 1e-6
#: a value this many times as far from the median as half of the column is an outlier
FAR = 100.0
MOST_ROWS = 4096
#: rows in which outliers are looked for, so that data larger than memory are not read again
MOST_SEARCHED = 1 << 18
#: the most columns that a message names
MOST_NAMES = 3


def remedy(
    X: Any, y: Any, loss: str, learning_rate: float, names: Sequence[str] | None = None
) -> str:
    """Return what to do about a training whose loss stopped being finite, as a sentence.

    Parameters
    ----------
    X : array_like of shape (n, n_features)
        The samples.
    y : array_like of shape (n,) or (n, outputs)
        The targets; their size matters if the loss takes any number.
    loss : str
        The loss's name.
    learning_rate : float
        The highest learning rate of the epoch.
    names : sequence of str, optional
        The features' names.
    """
    real = LOSSES[loss].targets is REAL
    outliers = [f"column {j if names is None else repr(names[j])}" for j in _with_outliers(X)]
    if real and _with_outliers(y):
        outliers.append("the target")
    if outliers:
        first = "Lower the learning rate, and scale" if learning_rate >= HIGH_RATE else "Scale"
        return f"{first} or clip {', '.join(outliers)}: a few values are far from all others."
    large = [_describe_size("the features", X)]
    if real:
        large.append(_describe_size("the targets", y))
    found = " and ".join(filter(None, large))
    scaling = "to mean 0 and variance 1"
    if not found and learning_rate < LOW_RATE:
        return "The learning rate is low already: look for outliers, and scale or clip them."
    if not found:
        return "Lower the learning rate."
    if learning_rate >= HIGH_RATE:
        return f"Lower the learning rate; {found}, so scale them {scaling}, too."
    return f"{found[0].upper()}{found[1:]}: scale them {scaling}, or lower the learning rate."


def _describe_size(name: str, values: Any) -> str:
    """Say how large values are; empty unless a column's root mean square is large."""
    some = np.asarray(values[:: _every(values)], np.float64)
    with np.errstate(over="ignore"):
        size = np.sqrt(np.square(some).mean(axis=0)).max()
    return f"{name} reach {np.abs(some).max():.3g}" if size > LARGE else ""


def _with_outliers(values: Any) -> list[int]:
    """Return the columns that have values far from all others, at most `MOST_NAMES`."""
    some = _matrix(values[:: _every(values)])
    middle = np.median(some, axis=0)
    spread = np.median(np.abs(some - middle), axis=0)
    farthest = np.zeros(some.shape[1])
    for begin in range(0, min(len(values), MOST_SEARCHED), MOST_ROWS):
        chunk = _matrix(values[begin : begin + MOST_ROWS])
        farthest = np.maximum(farthest, np.abs(chunk - middle).max(axis=0))
    # a column with one value in most rows, such as a category's, has no spread to compare with
    ratio = np.divide(farthest, spread, out=np.zeros_like(farthest), where=spread > 0)
    worst = np.argsort(-ratio, kind="stable")[:MOST_NAMES]
    return [int(j) for j in worst if ratio[j] > FAR]


def _every(values: Any) -> int:
    return -(-len(values) // MOST_ROWS)


def _matrix(values: Any) -> Any:
    return np.asarray(values, np.float64).reshape(len(values), -1)
