"""The vectorised backend: one batch at a time, in NumPy.

Python handles Ctrl-C only between calls of NumPy, so a large batch is computed in pieces of some
samples, whose gradients are summed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastgd._layout import split
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.activations import ACTIVATIONS
from fastgd.backends import _epochs
from fastgd.backends._step import clip_factors, measured, scale_of
from fastgd.losses import LOSSES

if TYPE_CHECKING:
    from fastgd._plan import Plan
    from fastgd.optimizers import OptimizerState

__all__ = ["gradient", "objective", "sample_gradients", "sample_norms", "start"]

#: the approximate work of a piece, in multiply-adds of the forward pass
PIECE = 1 << 24
#: the cost of a number that is read, written or goes through an activation, in multiply-adds
NUMBER = 16


def _pieces(plan: Plan, n: int, written: int = 0) -> list[slice]:
    """Return the pieces of n samples, at least one; `written` counts a sample's output numbers."""
    widths = plan.sizes
    cost = sum(a * b for a, b in itertools.pairwise(widths)) + NUMBER * (sum(widths) + written)
    rows = max(1, PIECE // cost)
    return [slice(start, min(start + rows, n)) for start in range(0, max(n, 1), rows)]


def _layers(
    plan: Plan, params: FloatArray, X: FloatArray, kept: Sequence[FloatArray] = ()
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return each layer's inputs and raw outputs.

    With dropout, `kept` holds the factors of each hidden layer's outputs.
    """
    inputs: list[FloatArray] = [X]
    raw: list[FloatArray] = []
    weights, biases = split(plan.sizes, params)
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        raw.append(inputs[layer] @ W + b)
        if layer < len(plan.hidden):
            inputs.append(ACTIVATIONS[plan.hidden[layer]].value(raw[layer]))
            if kept:
                inputs[-1] = inputs[-1] * kept[layer]  # not in place: may be raw[-1] (identity)
    return inputs, raw


def _deltas(
    plan: Plan,
    params: FloatArray,
    X: FloatArray,
    y: AnyArray,
    weight: FloatArray | None,
    kept: Sequence[FloatArray] = (),
) -> tuple[FloatArray, list[FloatArray], list[FloatArray]]:
    """Return the samples' losses, and each layer's inputs and deltas (derivatives by outputs)."""
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
    """Return the norms of the samples' gradients: of outer products (weights) and of biases."""
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
    batch: IndexArray,
    scale: float,
    norms: bool,
    kept: Sequence[FloatArray] = (),
) -> tuple[float, FloatArray, float]:
    """Return a batch's summed loss, its gradient and, with norms, its mean squared gradient norm.

    The first samples estimate the mean squared norm; see `measured`.
    """
    values, lengths, summed = [], [], None
    for piece in _pieces(plan, len(batch)):
        masks = [mask[piece] for mask in kept]
        value, gradient, length = _piece(plan, params, batch[piece], scale, norms, masks)
        values.append(value)
        lengths.append(length)
        summed = gradient if summed is None else summed + gradient
    assert summed is not None
    squares = 0.0
    if norms and len(batch):
        squares = float((np.concatenate(lengths)[: measured(len(batch))] ** 2).mean())
    return float(np.concatenate(values).sum(dtype=np.float64)), summed, squares


def _piece(
    plan: Plan,
    params: FloatArray,
    rows: IndexArray | slice,
    scale: float,
    norms: bool,
    kept: Sequence[FloatArray],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a piece's losses, its summed gradient and, with norms, its samples' gradient norms."""
    weight = None if plan.sample_weight is None else plan.sample_weight[rows]
    values, inputs, deltas = _deltas(plan, params, plan.X[rows], plan.y[rows], weight, kept)
    lengths: FloatArray = np.zeros(0)
    factor = np.full(len(values), scale)
    if norms or plan.clip_per_sample is not None:
        lengths = _norms(inputs, deltas)
        if plan.clip_per_sample is not None:
            shorten = clip_factors(lengths, plan.clip_per_sample)
            factor, lengths = factor * shorten, lengths * shorten
    gradient = np.empty_like(params)
    d_weights, d_biases = split(plan.sizes, gradient)
    for layer, delta in enumerate(deltas):
        delta = delta * factor[:, None].astype(delta.dtype)
        d_weights[layer][...] = inputs[layer].T @ delta
        d_biases[layer][...] = delta.sum(axis=0)
    return values, gradient, lengths


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
    out = np.empty((len(plan.X), len(params)), params.dtype)
    for piece, inputs, deltas in _walk(plan, params, len(params)):
        end = 0
        for a, delta in zip(inputs, deltas, strict=True):
            for part in (a[:, :, None] * delta[:, None, :], delta):
                start = end
                end += part[0].size
                out[piece, start:end] = part.reshape(len(delta), -1)
    return out


def sample_norms(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the norm of each sample's gradient, in float64."""
    with np.errstate(all="ignore"):
        return np.concatenate([_norms(inputs, deltas) for _, inputs, deltas in _walk(plan, params)])


def _walk(
    plan: Plan, params: FloatArray, written: int = 0
) -> Iterator[tuple[slice, list[FloatArray], list[FloatArray]]]:
    """Yield all samples in pieces, with each layer's inputs and deltas."""
    for piece in _pieces(plan, len(plan.X), written):
        weight = None if plan.sample_weight is None else plan.sample_weight[piece]
        with np.errstate(all="ignore"):
            _, inputs, deltas = _deltas(plan, params, plan.X[piece], plan.y[piece], weight)
        yield piece, inputs, deltas
