"""The vectorised backend: one batch at a time, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastgd._layout import split
from fastgd._step import clip_factors, measured, scale_of
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.activations import ACTIVATIONS
from fastgd.backends import _epochs
from fastgd.losses import LOSSES

if TYPE_CHECKING:
    from fastgd._plan import Plan
    from fastgd.optimizers import OptimizerState

__all__ = ["gradient", "objective", "sample_gradients", "sample_norms", "start"]


def _layers(
    plan: Plan, params: FloatArray, X: FloatArray, kept: Sequence[FloatArray] = ()
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return the inputs of each layer and the raw outputs of each.

    With dropout, `kept` has the factors of each hidden layer's outputs.
    """
    inputs: list[FloatArray] = [X]
    raw: list[FloatArray] = []
    weights, biases = split(plan.sizes, params)
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        raw.append(inputs[layer] @ W + b)
        if layer < len(plan.hidden):
            inputs.append(ACTIVATIONS[plan.hidden[layer]].value(raw[layer]))
            if kept:
                inputs[-1] = inputs[-1] * kept[layer]  # the identity's is its raw output itself
    return inputs, raw


def _deltas(
    plan: Plan,
    params: FloatArray,
    X: FloatArray,
    y: AnyArray,
    weight: FloatArray | None,
    kept: Sequence[FloatArray] = (),
) -> tuple[FloatArray, list[FloatArray], list[FloatArray]]:
    """Return the samples' losses, each layer's inputs, and the derivatives by its outputs."""
    loss = LOSSES[plan.loss]
    inputs, raw = _layers(plan, params, X, kept)
    values = loss.value(raw[-1], y)
    deltas = [loss.gradient(raw[-1], y)]
    if weight is not None:
        values = weight * values
        deltas[0] = weight[:, None] * deltas[0]
    weights, _ = split(plan.sizes, params)
    for layer in reversed(range(1, len(weights))):
        slope = ACTIVATIONS[plan.hidden[layer - 1]].derivative(raw[layer - 1])
        if kept:
            slope = slope * kept[layer - 1]
        deltas.insert(0, (deltas[0] @ weights[layer].T) * slope)
    return values, inputs, deltas


def _norms(inputs: list[FloatArray], deltas: list[FloatArray]) -> FloatArray:
    """Return the norms of the samples' gradients: those of outer products (and of biases)."""
    squares = np.zeros(len(deltas[0]))
    for a, delta in zip(inputs, deltas, strict=True):
        squares += _row_squares(delta) * (_row_squares(a) + 1)
    return np.sqrt(squares)


def _row_squares(x: FloatArray) -> FloatArray:
    wide = x.astype(np.float64)
    squares: FloatArray = np.einsum("ij,ij->i", wide, wide)
    return squares


def _batch(
    plan: Plan,
    params: FloatArray,
    batch: IndexArray | slice,
    scale: float,
    norms: bool,
    kept: Sequence[FloatArray] = (),
) -> tuple[float, FloatArray, float]:
    """Return a batch's summed loss, its gradient and, with norms, its samples' mean squared norm.

    The first samples speak for all of them there; see `measured`.
    """
    weight = None if plan.sample_weight is None else plan.sample_weight[batch]
    values, inputs, deltas = _deltas(plan, params, plan.X[batch], plan.y[batch], weight, kept)
    squares = 0.0
    factor = np.full(len(values), scale)
    if norms or plan.clip_per_sample is not None:
        lengths = _norms(inputs, deltas)
        if plan.clip_per_sample is not None:
            shorten = clip_factors(lengths, plan.clip_per_sample)
            factor, lengths = factor * shorten, lengths * shorten
        squares = float((lengths[: measured(len(lengths))] ** 2).mean()) if len(lengths) else 0.0
    gradient = np.empty_like(params)
    d_weights, d_biases = split(plan.sizes, gradient)
    for layer, delta in enumerate(deltas):
        delta = delta * factor[:, None].astype(delta.dtype)
        d_weights[layer][...] = inputs[layer].T @ delta
        d_biases[layer][...] = delta.sum(axis=0)
    return float(values.sum(dtype=np.float64)), gradient, squares


def start(
    plan: Plan, params: FloatArray, state: OptimizerState, rng: np.random.Generator
) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends`."""
    return _epochs.start(_batch, plan, params, state, rng)


def gradient(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the flat gradient over all samples, at params."""
    with np.errstate(all="ignore"):
        scale = scale_of(plan, len(plan.X), False)
        return _batch(plan, params, slice(None), scale, False)[1]


def objective(plan: Plan) -> Callable[[FloatArray, IndexArray], tuple[float, FloatArray]]:
    """Return the function of params and sample indices that gives summed loss and gradient."""
    return _epochs.objective(_batch, plan)


def sample_gradients(plan: Plan, params: FloatArray) -> FloatArray:
    """Return each sample's flat gradient, of shape (n, n_params)."""
    with np.errstate(all="ignore"):
        _, inputs, deltas = _deltas(plan, params, plan.X, plan.y, plan.sample_weight)
    out = np.empty((len(plan.X), len(params)), params.dtype)
    end = 0
    for a, delta in zip(inputs, deltas, strict=True):
        for part in (a[:, :, None] * delta[:, None, :], delta):
            start = end
            end += part[0].size
            out[:, start:end] = part.reshape(len(out), -1)
    return out


def sample_norms(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the norm of each sample's gradient, in float64."""
    with np.errstate(all="ignore"):
        _, inputs, deltas = _deltas(plan, params, plan.X, plan.y, plan.sample_weight)
        return _norms(inputs, deltas)
