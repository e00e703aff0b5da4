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
from fastgd.backends._step import make_step, norm_of, scale_of

if TYPE_CHECKING:
    from fastgd._plan import Plan
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

    def epoch(
        order: IndexArray,
        rates: FloatArray,
        trace: Trace | None = None,
        bounds: IndexArray | None = None,
    ) -> float:
        reached, moved = params.copy(), state.copy()
        total = 0.0
        norms = trace is not None and trace.sample_squares is not None
        ends = plan.bounds(len(order)) if bounds is None else bounds
        scales = plan.scales(order, bounds)
        seed = draw_seed(plan, rng)
        with np.errstate(all="ignore"):
            for index, (first, last) in enumerate(itertools.pairwise(ends)):
                batch = order[first:last]
                scale = scale_of(plan, len(batch), bounds is not None)
                if scales is not None:
                    scale = float(scales[index])
                kept = masks(plan, seed, np.arange(first, last))
                value, gradient, squares = sum_batch(plan, reached, batch, scale, norms, kept)
                norm = norm_of(gradient)
                penalty = make_step(plan, reached, gradient, moved, rates[index], scale, rng)
                value += penalty
                total += value
                if not np.isfinite(total):
                    return total
                if trace is not None:
                    trace.keep(moved.step, len(batch), reached, value, penalty, norm, squares)
        if not np.isfinite(reached).all():
            return float("nan")
        params[:] = reached
        state.assign(moved)
        return total

    return epoch


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
