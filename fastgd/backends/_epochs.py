"""The epochs of the NumPy backends, which differ in how they sum a batch's gradients.

For the step itself, see `fastgd.backends._step`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastgd._typing import FloatArray, IndexArray
from fastgd.backends._dropout import draw_seed, masks
from fastgd.backends._step import add_as_tree, make_step, measured, norm_of, scale_of
from fastgd.batches import part_bounds

if TYPE_CHECKING:
    from fastgd._plan import Part, Plan
    from fastgd._trace import Trace
    from fastgd.optimizers import OptimizerState

    #: takes plan, params, batch, scale, norms, kept (dropout's factors); returns a batch's summed
    #: loss, its gradient (the sum times scale) and, with norms, its mean squared gradient norm
    SumBatch: TypeAlias = Callable[
        [Plan, FloatArray, IndexArray, float, bool, Sequence[FloatArray]],
        tuple[float, FloatArray, float],
    ]

__all__ = ["objective", "start"]


def start(
    sum_batch: SumBatch,
    plan: Plan,
    params: FloatArray,
    state: OptimizerState,
    rng: np.random.Generator,
) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends`."""
    reached, moved = params.copy(), state.copy()  # in an unfinished epoch

    def epoch(
        order: IndexArray,
        rates: FloatArray,
        trace: Trace | None = None,
        bounds: IndexArray | None = None,
        part: Part | None = None,
    ) -> float:
        nonlocal reached, moved
        part = plan.whole(order, bounds) if part is None else part
        at = part.halfway
        if at.steps == 0:
            reached, moved = params.copy(), state.copy()
        if at.seed is None:
            at.seed = draw_seed(plan, rng)
        data = plan if part.data is None else plan.on(*part.data)
        total = _steps(sum_batch, data, order, rates, trace, bounds, part, reached, moved, rng)
        at.advance(part.steps, plan.samples(order, bounds, part.steps), total)
        if not np.isfinite(total):
            return total
        outputs = part.outputs(params, state)
        if outputs and not np.isfinite(reached).all():
            return float("nan")
        for kept, after in outputs:
            kept[:] = reached
            after.assign(moved)
        return total

    return epoch


def _steps(
    sum_batch: SumBatch,
    plan: Plan,
    order: IndexArray,
    rates: FloatArray,
    trace: Trace | None,
    bounds: IndexArray | None,
    part: Part,
    params: FloatArray,
    state: OptimizerState,
    rng: np.random.Generator,
) -> float:
    """Make the steps of a part, in place; return the epoch's sum of losses so far."""
    at, total = part.halfway, part.halfway.total
    norms = trace is not None and trace.sample_squares is not None
    scales = plan.scales(order, bounds, part.steps)
    with np.errstate(all="ignore"):
        ends = itertools.pairwise(plan.ends(order, bounds, part.steps))
        for index, (first, last) in enumerate(ends):
            batch = order[first:last]
            scale = scale_of(plan, len(batch), bounds is not None)
            if scales is not None:
                scale = float(scales[index])
            places = np.arange(first, last) + at.samples
            kept = masks(plan, at.seed or 0, places)
            if plan.shards == 1:
                value, gradient, squares = sum_batch(plan, params, batch, scale, norms, kept)
            else:
                value, gradient, squares = _sum_parts(
                    sum_batch, plan, params, batch, at.samples + int(first), scale, norms, kept
                )
            norm = norm_of(gradient)
            penalty = make_step(plan, params, gradient, state, rates[index], scale, rng)
            value += penalty
            total += value
            if not np.isfinite(total):
                break
            if trace is not None:
                trace.keep(state.step, len(batch), params, value, penalty, norm, squares)
    return total


def _sum_parts(
    sum_batch: SumBatch,
    plan: Plan,
    params: FloatArray,
    batch: IndexArray,
    place: int,
    scale: float,
    norms: bool,
    kept: Sequence[FloatArray],
) -> tuple[float, FloatArray, float]:
    """Return what `sum_batch` does, of the shards' parts of a batch, added as a tree.

    `place` is the batch's first place in the epoch.
    """
    ends = part_bounds(np.array([place, place + len(batch)]), plan.shards) - place
    found, counts = [], []
    for first, last in itertools.pairwise(ends):
        masks_of = [mask[first:last] for mask in kept]
        found.append(sum_batch(plan, params, batch[first:last], scale, norms, masks_of))
        counts.append(measured(last - first))
    values, gradients, squares = zip(*found, strict=True)
    sums = [mean * n for mean, n in zip(squares, counts, strict=True)]
    mean = add_as_tree(sums) / max(1, sum(counts))
    return add_as_tree(values), add_as_tree(gradients), mean


def objective(
    sum_batch: SumBatch, plan: Plan
) -> Callable[[FloatArray, IndexArray], tuple[float, FloatArray]]:
    """Return the function of params and sample indices that gives summed loss and gradient."""

    def value_and_gradient(params: FloatArray, order: IndexArray) -> tuple[float, FloatArray]:
        with np.errstate(all="ignore"):
            scale = scale_of(plan, len(order), False)
            value, slope, _ = sum_batch(plan, params, order, scale, False, ())
        return value, slope

    return value_and_gradient
