"""The loop backend: one sample at a time. It is the definition of what the others compute.

A batch's gradient is one quantity, made from all of its samples: each sample goes forward and
back by itself, the gradients are added up (and divided by their number), and then the
parameters move, once.
"""

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

__all__ = ["gradient", "objective", "start"]


def sample_gradient(
    plan: Plan, params: FloatArray, x: FloatArray, y: AnyArray
) -> tuple[float, FloatArray]:
    """Return the loss of one sample and its gradient, laid out as params."""
    weights, biases = split(plan.sizes, params)
    loss = LOSSES[plan.loss]

    # forward: each layer's raw output z from the activations below it
    below, z = [x], [x @ weights[0] + biases[0]]
    for layer, name in enumerate(plan.hidden, start=1):
        below.append(ACTIVATIONS[name].value(z[-1]))
        z.append(below[-1] @ weights[layer] + biases[layer])
    value = loss.value(z[-1][np.newaxis], y)[0]

    # backward: delta is the derivative of the loss by z, from the last layer to the first
    delta = loss.gradient(z[-1][np.newaxis], y)[0]
    gradient = np.empty_like(params)
    d_weights, d_biases = split(plan.sizes, gradient)
    for layer in reversed(range(len(weights))):
        d_weights[layer][:] = np.outer(below[layer], delta)
        d_biases[layer][:] = delta
        if layer > 0:
            slope = ACTIVATIONS[plan.hidden[layer - 1]].derivative(z[layer - 1])
            delta = (weights[layer] @ delta) * slope
    return float(value), gradient


def _batch(plan: Plan, params: FloatArray, batch: IndexArray) -> tuple[float, FloatArray]:
    """Return a batch's summed loss and its gradient: the mean, or the sum, of the samples'."""
    total, summed = 0.0, np.zeros_like(params)
    for i in batch:
        value, gradient = sample_gradient(plan, params, plan.X[i], plan.y[i : i + 1])
        if plan.sample_weight is not None:
            value *= float(plan.sample_weight[i])
            gradient *= plan.sample_weight[i]
        total += value
        summed += gradient
    if plan.reduction == "mean":
        summed /= summed.dtype.type(len(batch))
    return total, summed


def start(plan: Plan, params: FloatArray, state: OptimizerState) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends`."""

    def epoch(order: IndexArray, learning_rate: float, trace: Trace | None = None) -> float:
        reached, moved = params.copy(), state.copy()
        total, step = 0.0, 0
        with np.errstate(all="ignore"):
            for first in plan.batch_starts(len(order)):
                batch = order[first : first + plan.batch_size].astype(np.intp)
                value, gradient = _batch(plan, reached, batch)
                total += value
                if not np.isfinite(total):
                    return total
                step += 1
                plan.optimizer.update(reached, gradient, moved, learning_rate)
                if trace is not None:
                    trace.keep(step - 1, value / len(batch), reached)
        if not np.isfinite(reached).all():
            return float("nan")
        params[:] = reached
        state.assign(moved)
        return total

    return epoch


def gradient(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the flat gradient over all samples, at params."""
    with np.errstate(all="ignore"):
        return _batch(plan, params, np.arange(len(plan.X)))[1]


def objective(plan: Plan) -> Callable[[FloatArray, IndexArray], tuple[float, FloatArray]]:
    """Return the function of params and sample indices that gives summed loss and gradient."""

    def value_and_gradient(params: FloatArray, order: IndexArray) -> tuple[float, FloatArray]:
        with np.errstate(all="ignore"):
            return _batch(plan, params, order.astype(np.intp))

    return value_and_gradient
