"""Metrics: measures of predictions besides the loss. Each one's formula, in NumPy.

A metric has no gradient and no kernel: for what training minimises see `fastgd.losses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd import _validation, _words
from fastgd._typing import AnyArray, FloatArray
from fastgd.losses import LOSSES, Loss, Targets

__all__ = ["METRICS", "Metric", "check_metrics"]

#: maps targets, predictions of shape (n,) or (n, outputs), and weights or None to a number
Score = Callable[[AnyArray, FloatArray, FloatArray | None], float]


@dataclass(frozen=True)
class Metric:
    """A measure of predictions.

    Attributes
    ----------
    name : str
        The name in `History.metrics`.
    value : callable
        (y, prediction, sample_weight) -> float.
    higher_is_better : bool
        Whether higher values are better.
    takes : callable
        Whether it is defined for a kind of targets (`Loss.targets`).
    """

    name: str
    value: Score
    higher_is_better: bool
    takes: Callable[[Targets], bool]


def _average(values: AnyArray, weight: FloatArray | None) -> float:
    """Return the weighted mean over samples, and the plain mean over outputs."""
    per_sample = np.asarray(values, np.float64).reshape(len(values), -1).mean(axis=1)
    return float(np.average(per_sample, weights=weight))


def _error(y: AnyArray, prediction: FloatArray) -> FloatArray:
    error: FloatArray = np.asarray(prediction, np.float64) - y
    return error


def _mse(y: AnyArray, prediction: FloatArray, weight: FloatArray | None) -> float:
    return _average(_error(y, prediction) ** 2, weight)


def _r2(y: AnyArray, prediction: FloatArray, weight: FloatArray | None) -> float:
    """Return 1 - residual / total sum of squares, the mean over the outputs.

    Like scikit-learn's r2_score: for constant targets, 1 if they are predicted exactly, else 0;
    NaN for fewer than two samples.
    """
    if len(y) < 2:
        return float("nan")
    y = np.asarray(y, np.float64).reshape(len(y), -1)
    w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    residual = w @ _error(y, np.asarray(prediction).reshape(y.shape)) ** 2
    total = w @ (y - np.average(y, axis=0, weights=w)) ** 2
    ratio = np.divide(residual, total, out=(residual > 0).astype(np.float64), where=total > 0)
    return float(np.mean(1 - ratio))


def _classes(values: AnyArray, threshold: float) -> AnyArray:
    """Return each sample's class: a given index, the largest column's, or 0 or 1 by threshold."""
    if values.ndim == 2:
        classes: AnyArray = np.argmax(values, axis=1)
        return classes
    return values if values.dtype.kind == "i" else np.greater(values, threshold)


def _accuracy(threshold: float) -> Score:
    def accuracy(y: AnyArray, prediction: FloatArray, weight: FloatArray | None) -> float:
        hits = _classes(y, threshold) == _classes(prediction, threshold)
        return float(np.average(hits, weights=weight))

    return accuracy


def _log_loss(y: AnyArray, prediction: FloatArray, weight: FloatArray | None) -> float:
    """Return minus the mean logarithm of the true class's probability.

    Probabilities are clipped to [eps, 1 - eps], as in scikit-learn's log_loss.
    """
    eps = np.finfo(prediction.dtype).eps
    p = np.clip(prediction.astype(np.float64), eps, 1 - eps)
    if p.ndim == 1:
        return _average(-(y * np.log(p) + (1 - y) * np.log1p(-p)), weight)
    if y.ndim == 1:
        return _average(-np.log(p[np.arange(len(y)), y]), weight)
    return _average(-(y * np.log(p)).sum(axis=1), weight)


def _are_classes(targets: Targets) -> bool:
    return targets.classes


def _have_probabilities(targets: Targets) -> bool:
    return targets.probabilities


def _are_numbers(targets: Targets) -> bool:
    return targets.numbers


#: Every metric by name: a function from a loss to the metric.
METRICS: Mapping[str, Callable[[Loss], Metric]] = {
    "accuracy": lambda loss: Metric(
        "accuracy", _accuracy(0.5 if loss.targets.probabilities else 0.0), True, _are_classes
    ),
    "log_loss": lambda loss: Metric("log_loss", _log_loss, False, _have_probabilities),
    "mae": lambda loss: Metric(
        "mae", lambda y, p, weight: _average(np.abs(_error(y, p)), weight), False, _are_numbers
    ),
    "mse": lambda loss: Metric("mse", _mse, False, _are_numbers),
    "r2": lambda loss: Metric("r2", _r2, True, _are_numbers),
    "rmse": lambda loss: Metric(
        "rmse", lambda y, p, weight: float(np.sqrt(_mse(y, p, weight))), False, _are_numbers
    ),
}


def check_metrics(metrics: Any, loss: str) -> tuple[Metric, ...]:
    """Return the metrics for names and functions, for a network with this loss."""
    if isinstance(metrics, tuple) and not metrics:
        return ()
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        name = metrics if isinstance(metrics, str) else "accuracy"
        raise TypeError(
            "metrics must list names or functions (y, prediction), as in "
            f"metrics=({name!r},), not {_words.show(metrics)}"
        )
    found = tuple(_check_metric(place, value, loss) for place, value in enumerate(metrics))
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"metrics has {name!r} twice: History.metrics keeps one list per name")
    return found


def _check_metric(place: int, value: Any, loss: str) -> Metric:
    if not isinstance(value, str):
        return _own_metric(f"metrics[{place}]", value)
    _validation.check_choice(f"metrics[{place}]", value, METRICS)
    metric = METRICS[value](LOSSES[loss])
    if not metric.takes(LOSSES[loss].targets):
        able = [name for name in METRICS if METRICS[name](LOSSES[loss]).takes(LOSSES[loss].targets)]
        raise ValueError(
            f"the metric {value!r} is not defined for the targets of the loss {loss!r}: use "
            f"{_words.listed(able)}, or a function (y, prediction)"
        )
    return metric


def _own_metric(name: str, function: Any) -> Metric:
    """Make a metric of a user's function; its name tells whether lower is better, as in sklearn."""
    _validation.check_function(name, function, "y", "prediction")
    called = getattr(function, "__name__", type(function).__name__)
    if called == "loss" or called.startswith("validation_"):
        raise ValueError(f"{name} is a function named {called!r}, like the losses: rename it")

    def value(y: AnyArray, prediction: FloatArray, weight: FloatArray | None) -> float:
        found = function(y, prediction)
        try:
            return float(found)
        except (TypeError, ValueError):
            raise TypeError(
                f"the metric {called!r} must return a number, not {_words.show(found)}"
            ) from None

    lower = called.endswith(("_loss", "_error", "_deviance"))
    return Metric(called, value, not lower, lambda targets: True)
