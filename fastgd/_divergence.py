"""Advice for a training that diverged, from the size of its data and its learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd.losses import LOSSES, REAL

__all__ = ["remedy"]

#: data are large above this root mean square; standardised data have 1
LARGE = 10.0
#: learning rates from here on are too high for data of any size
HIGH_RATE = 1.0
MOST_ROWS = 4096


def remedy(X: Any, y: Any, loss: str, learning_rate: float) -> str:
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
    """
    large = [_describe_size("the features", X)]
    if LOSSES[loss].targets is REAL:
        large.append(_describe_size("the targets", y))
    found = " and ".join(filter(None, large))
    scaling = "to mean 0 and variance 1"
    if not found:
        return "Lower the learning rate."
    if learning_rate >= HIGH_RATE:
        return f"Lower the learning rate; {found}, so scale them {scaling}, too."
    return f"{found[0].upper()}{found[1:]}: scale them {scaling}, or lower the learning rate."


def _describe_size(name: str, values: Any) -> str:
    """Say how large values are; empty unless a column's root mean square is large."""
    every = -(-len(values) // MOST_ROWS)
    some = np.asarray(values[::every], np.float64)
    with np.errstate(over="ignore"):
        size = np.sqrt(np.square(some).mean(axis=0)).max()
    return f"{name} reach {np.abs(some).max():.3g}" if size > LARGE else ""
