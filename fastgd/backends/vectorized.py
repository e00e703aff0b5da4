"""The vectorised backend: one batch at a time, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fastgd._layout import split
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES

if TYPE_CHECKING:
    from fastgd._plan import Plan
    from fastgd.history import Trace
    from fastgd.optimizers import OptimizerState

__all__ = ["forward", "gradient", "objective", "start"]


def _layers(
    sizes: tuple[int, ...], hidden: tuple[str, ...], params: FloatArray, X: FloatArray
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return the inputs of each layer and the raw outputs of each."""
    inputs: list[FloatArray] = [X]
    raw: list[FloatArray] = []
    weights, biases = split(sizes, params)
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        raw.append(inputs[layer] @ W + b)
        if layer < len(hidden):
            inputs.append(ACTIVATIONS[hidden[layer]].value(raw[layer]))
    return inputs, raw


def forward(
    sizes: tuple[int, ...], hidden: tuple[str, ...], params: FloatArray, X: FloatArray
) -> FloatArray:
    """Return the raw outputs for all rows of X, of shape (n, sizes[-1])."""
    return _layers(sizes, hidden, params, X)[1][-1]


def _batch(
    plan: Plan, params: FloatArray, X: FloatArray, y: AnyArray, weight: FloatArray | None
) -> tuple[float, FloatArray]:
    """Return a batch's summed loss and its flat gradient."""
    loss = LOSSES[plan.loss]
    inputs, raw = _layers(plan.sizes, plan.hidden, params, X)
    values = loss.value(raw[-1], y)
    delta = loss.gradient(raw[-1], y)
    if weight is not None:
        values = weight * values
        delta = weight[:, None] * delta
    if plan.reduction == "mean":
        delta = delta / delta.dtype.type(len(X))
    gradient = np.empty_like(params)
    d_weights, d_biases = split(plan.sizes, gradient)
    weights, _ = split(plan.sizes, params)
    for layer in reversed(range(len(weights))):
        d_weights[layer][...] = inputs[layer].T @ delta
        d_biases[layer][...] = delta.sum(axis=0)
        if layer > 0:
            slope = ACTIVATIONS[plan.hidden[layer - 1]].derivative(raw[layer - 1])
            delta = (delta @ weights[layer].T) * slope
    return float(values.sum(dtype=np.float64)), gradient


def start(plan: Plan, params: FloatArray, state: OptimizerState) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends`."""

    def epoch(order: IndexArray, learning_rate: float, trace: Trace | None = None) -> float:
        reached, moved = params.copy(), state.copy()
        total = 0.0
        with np.errstate(all="ignore"):
            for index, first in enumerate(plan.batch_starts(len(order))):
                batch = order[first : first + plan.batch_size]
                weight = None if plan.sample_weight is None else plan.sample_weight[batch]
                value, gradient = _batch(plan, reached, plan.X[batch], plan.y[batch], weight)
                total += value
                if not np.isfinite(total):
                    return total
                plan.optimizer.update(reached, gradient, moved, learning_rate)
                if trace is not None:
                    trace.keep(index, value / len(batch), reached)
        if not np.isfinite(reached).all():
            return float("nan")
        params[:] = reached
        state.assign(moved)
        return total

    return epoch


def gradient(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the flat gradient over all samples, at params."""
    with np.errstate(all="ignore"):
        return _batch(plan, params, plan.X, plan.y, plan.sample_weight)[1]


def objective(plan: Plan) -> Callable[[FloatArray, IndexArray], tuple[float, FloatArray]]:
    """Return the function of params and sample indices that gives summed loss and gradient."""

    def value_and_gradient(params: FloatArray, order: IndexArray) -> tuple[float, FloatArray]:
        weight = None if plan.sample_weight is None else plan.sample_weight[order]
        with np.errstate(all="ignore"):
            return _batch(plan, params, plan.X[order], plan.y[order], weight)

    return value_and_gradient
