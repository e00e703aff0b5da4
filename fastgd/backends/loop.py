"""The loop backend: one sample at a time. It defines what the other backends compute.

Each sample of a batch is passed forward and backward separately, the gradients are summed (and
divided by their number), and then the parameters are updated once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._layout import split
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.activations import ACTIVATIONS
from fastgd.backends import _epochs
from fastgd.backends._step import clip_factors, measured, norm_of, scale_of
from fastgd.losses import LOSSES

if TYPE_CHECKING:
    from fastgd._plan import Plan
    from fastgd.optimizers import OptimizerState

__all__ = ["gradient", "objective", "sample_gradient", "sample_gradients", "sample_norms", "start"]


def sample_gradient(
    plan: Plan, params: FloatArray, x: FloatArray, y: AnyArray, kept: Sequence[FloatArray] = ()
) -> tuple[float, FloatArray]:
    """Return the loss of one sample and its gradient, laid out as params.

    With dropout, `kept` holds the factors of each hidden layer's outputs.
    """
    weights, biases = split(plan.sizes, params)
    loss = LOSSES[plan.loss]

    # forward: each layer's raw output z from the activations below it
    below, z = [x], [x @ weights[0] + biases[0]]
    for layer, name in enumerate(plan.hidden, start=1):
        below.append(ACTIVATIONS[name].value(z[-1]))
        if kept:
            below[-1] = below[-1] * kept[layer - 1]  # not in place: the identity returns z itself
        z.append(below[-1] @ weights[layer] + biases[layer])
    value = loss.value(z[-1][np.newaxis], y)[0]

    # backward: delta is the derivative of the loss with respect to z
    delta = loss.gradient(z[-1][np.newaxis], y)[0]
    gradient = np.empty_like(params)
    d_weights, d_biases = split(plan.sizes, gradient)
    for layer in reversed(range(len(weights))):
        d_weights[layer][:] = np.outer(below[layer], delta)
        d_biases[layer][:] = delta
        if layer > 0:
            slope = ACTIVATIONS[plan.hidden[layer - 1]].derivative(z[layer - 1])
            delta = (weights[layer] @ delta) * (slope * kept[layer - 1] if kept else slope)
    return float(value), gradient


def _weighted(
    plan: Plan, params: FloatArray, i: Any, kept: Sequence[FloatArray] = ()
) -> tuple[float, FloatArray]:
    """Return the loss and the gradient of sample i, times its weight."""
    value, gradient = sample_gradient(plan, params, plan.X[i], plan.y[i : i + 1], kept)
    if plan.sample_weight is not None:
        value *= float(plan.sample_weight[i])
        gradient *= plan.sample_weight[i]
    return value, gradient


def _batch(
    plan: Plan,
    params: FloatArray,
    batch: IndexArray,
    scale: float,
    norms: bool,
    kept: Sequence[FloatArray] = (),
) -> tuple[float, FloatArray, float]:
    """Return a batch's summed loss, its gradient and, with norms, its mean squared gradient norm.

    The first samples estimate the mean squared norm; see `measured`.
    """
    total, squares, summed = 0.0, 0.0, np.zeros_like(params)
    for place, i in enumerate(batch.astype(np.intp)):
        value, gradient = _weighted(plan, params, i, [mask[place] for mask in kept])
        norm = norm_of(gradient)
        if plan.clip_per_sample is not None:
            factor = clip_factors(norm, plan.clip_per_sample)
            gradient *= gradient.dtype.type(factor)
            norm *= float(factor)
        total += value
        squares += norm**2 if norms and place < measured(len(batch)) else 0.0
        summed += gradient
    summed *= summed.dtype.type(scale)
    return total, summed, squares / max(1, measured(len(batch)))


def start(
    plan: Plan, params: FloatArray, state: OptimizerState, rng: np.random.Generator
) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends`."""
    return _epochs.start(_batch, plan, params, state, rng)


def gradient(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the flat gradient over all samples, at params."""
    with np.errstate(all="ignore"):
        scale = scale_of(plan, len(plan.X), False)
        return _batch(plan, params, np.arange(len(plan.X)), scale, False)[1]


def objective(plan: Plan) -> Callable[[FloatArray, IndexArray], tuple[float, FloatArray]]:
    """Return the function of params and sample indices that gives summed loss and gradient."""
    return _epochs.objective(_batch, plan)


def sample_gradients(plan: Plan, params: FloatArray) -> FloatArray:
    """Return each sample's flat gradient, of shape (n, n_params)."""
    with np.errstate(all="ignore"):
        return np.array([_weighted(plan, params, i)[1] for i in range(len(plan.X))])


def sample_norms(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the norm of each sample's gradient, in float64."""
    return np.array([norm_of(gradient) for gradient in sample_gradients(plan, params)])
