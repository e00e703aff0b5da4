"""The compiled backend: `fastgd.engine.engine`, on the kernels of src_c/.

Its results agree with loop.py and vectorized.py up to rounding, and have the same bits on any
number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.backends._dropout import draw_seed, threshold
from fastgd.engine import kernels
from fastgd.engine.engine import Engine, max_threads
from fastgd.losses import LOSSES
from fastgd.rows import DenseRows, Rows, SparseRows

if TYPE_CHECKING:
    from fastgd._plan import Part, Plan
    from fastgd._trace import Trace
    from fastgd.optimizers import Optimizer, OptimizerState

__all__ = [
    "Functions",
    "curvatures",
    "forward",
    "gradient",
    "objective",
    "sample_gradients",
    "sample_norms",
    "start",
    "threads",
]

# Larger numbers are typing errors.
MOST_THREADS = 1024

# Set by tests: a lower level; and all threads, as many as a call requests, even for small steps.
LEVEL = kernels.LEVEL
ALL_THREADS = False


class Functions:
    """The kernels' own functions, with the same bits on all levels: `math` of losses and links."""

    @staticmethod
    def exp(x: FloatArray) -> FloatArray:
        """Return the exponential of each element."""
        return _apply("exp", x)

    @staticmethod
    def log1p(x: FloatArray) -> FloatArray:
        """Return log(1 + x) of each element."""
        return _apply("log1p", x)


def _apply(name: str, x: FloatArray) -> FloatArray:
    x = np.ascontiguousarray(x)
    return kernels.math(name, x, np.empty_like(x), LEVEL)


def threads(wanted: int) -> int:
    """Return the number of threads of a call: as requested (0: all), at most the limit of users."""
    most = wanted if wanted and ALL_THREADS else max_threads()
    return min(wanted or most, most, MOST_THREADS)


def _workspace(plan: Plan, optimizer: Optimizer | None, *, dense: bool = False) -> Engine:
    """Return an engine for a plan, with its data; without an optimizer it makes no steps.

    With `dense`, sparse rows of any width are made dense.
    """
    loss = plan.loss
    if LOSSES[loss].targets.indices and plan.y.ndim == 2:
        loss += "_matrix"  # the kernel for a probability of each class
    engine = Engine(
        plan.sizes,
        plan.hidden,
        loss,
        None if optimizer is None else optimizer.kernel,
        () if optimizer is None else optimizer.hyperparameters,
        plan.X.dtype,
        threads(plan.n_threads),
        LEVEL,
        not dense and _is_wide(plan.X),
    )
    engine.all_threads = ALL_THREADS
    _set_data(engine, plan.X, plan.y, plan.sample_weight)
    return engine


def _is_wide(X: Rows) -> bool:
    return isinstance(X, SparseRows) and X.is_wide


def _set_data(
    engine: Engine, X: Rows, y: AnyArray | None = None, weight: FloatArray | None = None
) -> None:
    """Let an engine read samples from where they are."""
    if isinstance(X, DenseRows):
        engine.set_data(X.source, y, weight, X.affine())
    elif isinstance(X, SparseRows):
        engine.set_data(X.arrays, y, weight, X.affine())
    else:
        engine.set_data(cast("AnyArray", X), y, weight)


def start(
    plan: Plan, params: FloatArray, state: OptimizerState, rng: np.random.Generator
) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends` for its contract."""
    engine = _workspace(plan, plan.optimizer)
    clip_per_sample = plan.clip_per_sample or 0.0
    engine.adjust(
        l1=plan.l1,
        l2=plan.l2,
        summed=plan.penalty_of_sum,
        clip_value=plan.clip_value or 0.0,
        clip_norm=plan.clip_norm or 0.0,
        clip_sample=clip_per_sample,
        noise=plan.noise_multiplier * clip_per_sample,
        rng=rng,
    )
    engine.drop([threshold(rate) for rate in plan.dropout], [1 / (1 - p) for p in plan.dropout])
    engine.load(params, state.moments)
    engine.load_scalars(state.scalars)
    reached = np.empty_like(params)
    made = 0  # steps of an unfinished epoch

    def epoch(
        order: IndexArray,
        rates: FloatArray,
        trace: Trace | None = None,
        bounds: IndexArray | None = None,
        part: Part | None = None,
    ) -> float:
        nonlocal made
        part = plan.whole(order, bounds) if part is None else part
        at = part.halfway
        made = made if at.steps else 0
        if part.data is not None:
            X, *others = part.data
            engine.replace_data(X.source if isinstance(X, DenseRows) else X, *others)
        if at.seed is None:
            at.seed = draw_seed(plan, rng)
        engine.ahead = at.ahead
        loss = engine.epoch(
            order,
            plan.batch_size,
            plan.reduction,
            rates,
            bounds=bounds,
            scales=plan.scales(order, bounds, part.steps),
            shards=plan.shards,
            steps=part.steps,
            step=state.step + made,
            place=at.samples,
            total=at.total,
            begun=at.steps > 0,
            seed=at.seed,
            **({} if trace is None else trace.places()),
        )
        made += part.steps
        at.advance(part.steps, plan.samples(order, bounds, part.steps), loss)
        at.ahead = engine.ahead
        if not math.isfinite(loss):
            return loss
        for kept, after in part.outputs(params, state):
            engine.store(reached)
            if not kernels.all_finite(reached):
                return math.nan
            engine.store_moments(after.moments)
            engine.store_scalars(after.scalars)
            kept[:] = reached
            after.step = state.step + made
        return loss

    return epoch


def gradient(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the flat gradient over all samples, at params."""
    engine = _workspace(plan, None)
    engine.load(params)
    return engine.gradient(np.empty_like(params), plan.reduction)


def objective(plan: Plan) -> Callable[[FloatArray, IndexArray], tuple[float, FloatArray]]:
    """Return the function of params and sample indices that gives summed loss and gradient."""
    engine = _workspace(plan, None)

    def value_and_gradient(params: FloatArray, order: IndexArray) -> tuple[float, FloatArray]:
        engine.load(params)
        slope = engine.gradient(np.empty_like(params), plan.reduction, order)
        return engine.loss, slope

    return value_and_gradient


def curvatures(
    plan: Plan,
    params: FloatArray,
    mean: FloatArray,
    order: IndexArray,
    bounds: IndexArray,
    reach: float,
) -> FloatArray:
    """Return curvatures along the mean gradient and along noise; see `Engine.curvatures`."""
    engine = _workspace(plan, None)
    found = np.empty(len(bounds) - 1)
    engine.curvatures(params, mean, order, bounds, reach, found)
    return found


def sample_gradients(plan: Plan, params: FloatArray) -> FloatArray:
    """Return each sample's flat gradient, of shape (n, n_params)."""
    engine = _workspace(plan, None, dense=True)
    engine.load(params)
    return engine.sample_gradients(np.empty((len(plan.X), len(params)), params.dtype))


def sample_norms(plan: Plan, params: FloatArray) -> FloatArray:
    """Return the norm of each sample's gradient, in float64."""
    engine = _workspace(plan, None)
    engine.load(params)
    return engine.sample_norms(np.empty(len(plan.X)))


def forward(
    sizes: Sequence[int],
    hidden: Sequence[str],
    params: FloatArray,
    X: Rows,
    n_threads: int = 0,
) -> FloatArray:
    """Return the raw outputs for all rows of X, of shape (n, sizes[-1])."""
    most = threads(n_threads)
    engine = Engine(sizes, hidden, None, None, (), X.dtype, most, LEVEL, _is_wide(X))
    engine.all_threads = ALL_THREADS
    _set_data(engine, X)
    engine.load(params)
    return engine.outputs(np.empty((len(X), sizes[-1]), X.dtype))
