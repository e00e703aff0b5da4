"""The noise scale of mini-batch gradients, on data and for a training's steps.

For advice on a batch size see `advice`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation, backends
from fastgd._arguments import helpful
from fastgd._plan import Plan
from fastgd._typing import FloatArray, IndexArray, RngLike, SamplesLike
from fastgd.engine.shuffle import index_dtype
from fastgd.gradients import plan_all, plans_of_blocks
from fastgd.network import Network, check_alone
from fastgd.rows._blocks import Blocks, is_blocks

__all__ = ["NoiseScale", "noise_scale", "smoothed_ratio", "unbiased", "unbiased_each"]

# For the full noise scale.
PROBE = 16  # samples for a random direction, and for the curvature along it
PROBES = 32  # the fewest directions
MOST_PROBES = 128  # the most directions
SAMPLES_PER_PROBE = 100  # one direction for this many samples, between these bounds
MOST_SIGNAL = 4096  # the most samples for the curvature along the gradient
# Recorded steps over which a trace's noise scale is averaged.
WINDOW = 100
# Steps to average at a time, so that the buffers stay in cache and are reused.
BLOCK = 8000


def unbiased(
    sample_squares: FloatArray, batch_square: FloatArray, n: FloatArray | IndexArray
) -> tuple[FloatArray, FloatArray]:
    """Return unbiased estimates of the covariance's trace and of the gradient's squared norm.

    Parameters
    ----------
    sample_squares : ndarray
        Means of the samples' gradients' squared norms.
    batch_square : ndarray
        Squared norms of the samples' mean gradients.
    n : ndarray
        How many samples; fewer than two give nan.

    Returns
    -------
    (ndarray, ndarray)
        The trace, and the squared norm.
    """
    size = np.asarray(n, np.float64)
    fewer = size - 1
    fewer[fewer <= 0] = np.nan
    variance = sample_squares - batch_square
    variance *= size
    variance /= fewer
    return variance, batch_square - variance / size


def unbiased_each(sample_squares: FloatArray, batch_square: FloatArray, n: FloatArray) -> None:
    """Apply `unbiased` to each of many batches, in place."""
    for first in range(0, len(n), BLOCK):
        part = slice(first, first + BLOCK)
        sample_squares[part], batch_square[part] = unbiased(
            sample_squares[part], batch_square[part], n[part]
        )


def smoothed_ratio(variance: FloatArray, square: FloatArray) -> FloatArray:
    """Return the noise scale at each batch, from means over the last steps up to it.

    A single batch's estimates vary too much for a ratio. The estimated mean squared gradient may
    be negative if it cannot be distinguished from zero: the noise scale is then infinite.
    """
    ratio = np.empty(len(variance))
    for first in range(0, len(ratio), BLOCK):
        lead = min(first, WINDOW)
        part = slice(first - lead, first + BLOCK)
        unknown = np.isnan(variance[part])
        above, below = (
            _sums_of_last(np.where(unknown, 0, values[part]) if unknown.any() else values[part])
            for values in (variance, square)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(below > 0, above / below, np.inf)
        ratio[first : first + BLOCK] = found[lead:]
    return ratio


def _sums_of_last(values: FloatArray) -> FloatArray:
    """Return at each index the sum of the last values up to it, at most WINDOW.

    They are built from sums of 1, 2, 4 ... values. Differences of cumulative sums would lose all
    digits, as gradients shrink by many powers of ten in a training.
    """
    total = np.zeros_like(values)
    part, length, done = values, 1, 0
    while done < WINDOW:
        if WINDOW & length:
            total[done:] += part[: max(0, len(values) - done)]
            done += length
        longer = np.empty_like(part)
        longer[:length] = part[:length]
        np.add(part[length:], part[:-length], out=longer[length:])
        part, length = longer, 2 * length
    return total


@dataclass(frozen=True)
class NoiseScale:
    """A network's noise scale on data; `fastgd.noise_scale` measures it.

    Attributes
    ----------
    simple : float
        The batch size at which the gradient is as large as its noise.
    full : float or None
        The same, with each direction weighted by its curvature.
    gradient_square : float
        An unbiased estimate of the mean gradient's squared norm.
    gradient_variance : float
        The trace of the samples' gradients' covariance.
    n_samples : int
        How many samples were used.
    """

    simple: float
    full: float | None
    gradient_square: float
    gradient_variance: float
    n_samples: int


@helpful
def noise_scale(
    net: Network,
    X: SamplesLike,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    full: bool = False,
    rng: RngLike = None,
) -> NoiseScale:
    r"""Measure the noise scale of the gradient at the network's parameters.

    If the samples' gradients have mean :math:`G` and covariance :math:`\Sigma`, and the loss has
    the Hessian :math:`H`, the simple and the full noise scale are

    .. math::

        B_\text{simple} = \frac{\operatorname{tr} \Sigma}{|G|^2}, \qquad
        B_\text{noise} = \frac{\operatorname{tr}(H \Sigma)}{G^T H G} ,

    measured in samples. Far below that, doubling the batch size nearly halves the updates that
    reach a loss; far above, it saves hardly any.

    Parameters
    ----------
    net : Network
        The network; it is not changed.
    X : array_like or scipy.sparse array, of shape (n, sizes[0]), or Blocks
        Samples, at least two. Blocks are read once.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them; blocks bring them.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses.
    full : bool
        Whether to measure the full noise scale too, which takes the curvature into account. It
        uses differences of gradients on parts of the samples, along the gradient and along 32 to
        128 random directions of the noise, one for each 100 samples. From a thousand samples on
        this takes no longer than the rest (from a few thousand if layers have a thousand units).
        If one direction dominates, the standard error is sqrt(2 / directions), 25 to 13 %;
        otherwise it is smaller.
    rng : None, int or numpy.random.Generator
        Used to draw those directions.

    Returns
    -------
    NoiseScale
        Unbiased estimates: the gradient's square may be negative near a minimum, and the noise
        scale is then infinite.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    References
    ----------
    McCandlish, Kaplan, Amodei and the OpenAI Dota team 2018, "An Empirical Model of Large-Batch
    Training", arXiv:1812.06162, equations 2.8 and 2.9.

    Examples
    --------
    Samples y of mean 0 and variance 4, and a constant prediction of 1: each sample's gradient is
    2 (1 - y), of mean 2 and variance 16, so that the noise scale is 16 / 2^2 = 4.

    >>> import numpy as np
    >>> import fastgd as gd
    >>> y = np.random.default_rng(0).normal(0, 2, 100_000)
    >>> net = gd.Network([1, 1])
    >>> net.biases[0][:] = 1
    >>> round(gd.noise_scale(net, np.zeros((100_000, 1)), y).simple, 1)
    4.0
    """
    full = _validation.check_bool("full", full)
    generator = _validation.check_rng(rng)
    if is_blocks(X):
        check_alone(y, sample_weight)
        n, sample_square, mean, some = _measure_blocks(net, X, generator if full else None)
    else:
        backend, plan = plan_all(net, X, y, sample_weight, "mean", "compiled")
        n = len(plan.X)
        _check_count(n)
        sample_square = float((backend.sample_norms(plan, net.params) ** 2).mean())
        mean = backend.gradient(plan, net.params)
        some = (plan, _draw_some(n, generator)) if full else None
    traces, squares = unbiased(np.array([sample_square]), np.array([_square(mean)]), np.array([n]))
    variance, square = float(traces[0]), float(squares[0])
    return NoiseScale(
        simple=variance / square if square > 0 else np.inf,
        full=None if some is None else _full(*some, net.params, mean, n),
        gradient_square=square,
        gradient_variance=variance,
        n_samples=n,
    )


def _square(x: FloatArray) -> float:
    # not @, whose bits depend on the threads of the machine's BLAS
    return float(np.square(x, dtype=np.float64).sum())


def _check_count(n: int) -> None:
    if n < 2:
        raise ValueError("noise_scale needs at least 2 samples: one has no variance")


def _measure_blocks(
    net: Network, blocks: Blocks, rng: np.random.Generator | None
) -> tuple[int, float, FloatArray, tuple[Plan, IndexArray] | None]:
    """Return the samples' number, their mean squared gradient norm and their mean gradient.

    With a generator, also a plan of random samples for the full noise scale, and their order.
    """
    n = int(blocks.n_rows)
    _check_count(n)
    order = np.empty(0, np.int64) if rng is None else _draw_some(n, rng).astype(np.int64)
    squares, total, start = 0.0, np.zeros(net.n_params), 0
    kept: list[tuple[FloatArray, ...]] = []
    chosen = np.unique(order)
    plan: Plan | None = None
    for backend, plan in plans_of_blocks(net, blocks, "sum", "compiled"):
        squares += float((backend.sample_norms(plan, net.params) ** 2).sum())
        total += backend.gradient(plan, net.params)
        here = chosen[(chosen >= start) & (chosen < start + len(plan.X))] - start
        parts = (plan.X, plan.y, plan.sample_weight)
        kept.append(tuple(part[here] for part in parts if part is not None))
        start += len(plan.X)
    mean: FloatArray = (total / n).astype(net.dtype)
    if rng is None or plan is None:
        return n, squares / n, mean, None
    X, y, *weight = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    plan = replace(
        plan, X=X, y=y, sample_weight=weight[0] if weight else None, batch_size=len(X),
        reduction="mean",
    )  # fmt: skip
    places = np.searchsorted(chosen, order).astype(index_dtype(len(X)))
    return n, squares / n, mean, (plan, places)


def _stretches(n: int) -> IndexArray:
    """Return where the samples for each direction begin, and where the last end."""
    probes = min(max(PROBES, n // SAMPLES_PER_PROBE), MOST_PROBES)
    sizes = [min(max(n // 8, PROBE), MOST_SIGNAL)] + [PROBE] * probes
    return np.cumsum([0, *sizes], dtype=np.int64)


def _draw_some(n: int, rng: np.random.Generator) -> IndexArray:
    """Draw the samples for the full noise scale."""
    drawn: IndexArray = rng.integers(n, size=_stretches(n)[-1], dtype=index_dtype(n))
    return drawn


def _full(plan: Plan, order: IndexArray, params: FloatArray, mean: FloatArray, n: int) -> float:
    """Return tr(H Sigma) / (G' H G), from directions whose covariance is Sigma.

    `order` has places in the plan's samples, which were drawn from n.
    """
    bounds = _stretches(n)
    # the step that balances rounding against the third derivative in a central difference
    reach = np.finfo(params.dtype).eps ** (1 / 3) * (1 + np.sqrt(_square(params)))
    backend = backends.load("compiled")
    signal, *along_noise = backend.curvatures(plan, params, mean, order, bounds, reach).tolist()
    noise = sum(along_noise) / (len(bounds) - 2)
    signal -= noise / n  # remove the noise of the mean itself
    return noise / signal if signal > 0 else float("inf")
