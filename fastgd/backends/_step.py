"""From a batch's gradient to the next parameters: the definition, in NumPy.

Both NumPy backends use it; the engine's kernels do the same on tiles of the parameters
(src_c/kernels/adjust.inc.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._layout import split
from fastgd._typing import FloatArray

if TYPE_CHECKING:
    from fastgd._plan import Plan
    from fastgd.optimizers import OptimizerState

__all__ = ["add_as_tree", "clip_factors", "make_step", "measured", "norm_of", "scale_of"]


def scale_of(plan: Plan, n: int, poisson: bool) -> float:
    """Return the factor of each sample's gradient in the gradient of a batch of n."""
    if plan.reduction == "sum":
        return 1.0
    return 1.0 / (plan.batch_size if poisson else n)


def add_as_tree(parts: Sequence[Any]) -> Any:
    """Return the sum of numbers or arrays, added in pairs: neighbours, then pairs of these, ...

    Whoever adds a complete subtree gets the same bits as who adds all parts.
    """
    while len(parts) > 1:
        pairs = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = [*pairs, *parts[2 * len(pairs) :]]
    return parts[0]


def norm_of(gradient: FloatArray) -> float:
    """Return the norm, in float64."""
    return float(np.sqrt((gradient.astype(np.float64) ** 2).sum()))


def measured(n: int) -> int:
    """Return how many samples, the first of a batch, estimate its mean squared gradient norm.

    A trace's noise scale divides means over many steps, for which a part of each batch is enough.
    """
    return min(n, max(8, (n + 3) // 4))


def clip_factors(norms: Any, longest: float) -> Any:
    """Return the factors that clip samples' gradients to the norm `longest`.

    They are 1 / max(1, norm / longest): Abadi et al. 2016, "Deep Learning with Differential
    Privacy", arXiv:1607.00133.
    """
    return np.minimum(1.0, longest / np.maximum(norms, np.finfo(np.float64).tiny))


def make_step(
    plan: Plan,
    params: FloatArray,
    gradient: FloatArray,
    state: OptimizerState,
    learning_rate: float,
    scale: float,
    rng: np.random.Generator,
) -> float:
    r"""Move params by one step, in place; return what the penalty adds to the summed loss.

    In order: noise is added to the gradient, then the L2 penalty's gradient; the gradient is
    clipped; the optimizer moves the parameters; the L1 penalty is applied as the proximal step

    .. math:: w \leftarrow \operatorname{sign}(w) \max(|w| - \eta \lambda_1, 0)

    (Parikh & Boyd 2014, "Proximal Algorithms", section 6.5.2). Biases are not penalised.

    Parameters
    ----------
    plan : Plan
        The run's plan.
    params, gradient : ndarray of shape (n_params,)
        The parameters, and the batch's gradient at them, which is overwritten.
    state : OptimizerState
        The optimizer's state, updated in place.
    learning_rate : float
        The step size.
    scale : float
        The factor of each sample's gradient in the batch's.
    rng : numpy.random.Generator
        Draws the noise.
    """
    dtype = params.dtype.type
    if plan.noise_multiplier and plan.clip_per_sample:
        noise = rng.standard_normal(len(params), dtype=params.dtype)
        gradient += dtype(plan.noise_multiplier * plan.clip_per_sample * scale) * noise
    weights, _ = split(plan.sizes, params)
    share = scale if plan.penalty_of_sum else 1.0
    penalty = 0.0
    if plan.l1 or plan.l2:
        for W, slope in zip(weights, split(plan.sizes, gradient)[0], strict=True):
            sizes = np.abs(W.astype(np.float64))
            penalty += float(plan.l1 * sizes.sum() + plan.l2 / 2 * (sizes**2).sum())
            slope += dtype(plan.l2 * share) * W
        penalty *= 1.0 if plan.penalty_of_sum else 1.0 / scale
    if plan.clip_value is not None:
        np.clip(gradient, -plan.clip_value, plan.clip_value, out=gradient)
    if plan.clip_norm is not None:
        gradient *= dtype(min(1.0, plan.clip_norm / (norm_of(gradient) + 1e-6)))
    plan.optimizer.update(params, gradient, state, learning_rate)
    if plan.l1:
        for W in weights:
            shrunk = np.abs(W) - dtype(learning_rate * plan.l1 * share)
            W[...] = np.sign(W) * np.maximum(shrunk, 0)
    return penalty
