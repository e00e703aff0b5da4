r"""How noisy mini-batch gradients are: the gradient's noise scale.

Of a loss whose samples' gradients have mean :math:`G` and covariance :math:`\Sigma`, McCandlish,
Kaplan, Amodei and the OpenAI Dota team 2018, "An Empirical Model of Large-Batch Training",
arXiv:1812.06162, define

.. math::

    B_\text{simple} = \frac{\operatorname{tr} \Sigma}{|G|^2}, \qquad
    B_\text{noise} = \frac{\operatorname{tr}(H \Sigma)}{G^T H G}

with the Hessian :math:`H`. Batches much smaller than that lose little by being small; batches much
larger gain little by being large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation
from fastgd._typing import AnyArray, FloatArray, IndexArray, RngLike
from fastgd.gradients import batch_gradient, gradient, per_sample_norms
from fastgd.network import Network

__all__ = ["NoiseScale", "noise_scale", "smoothed_ratio", "unbiased"]

# The full noise scale: how many random directions, and the samples whose gradients make one.
PROBES = 32
PROBE_SAMPLES = 8
# Recorded steps whose mean a trace's noise scale takes.
WINDOW = 100


def unbiased(
    sample_squares: FloatArray, batch_square: FloatArray, n: IndexArray
) -> tuple[FloatArray, FloatArray]:
    """Return unbiased estimates of the covariance's trace and of the gradient's squared norm.

    Parameters
    ----------
    sample_squares : ndarray
        Means of the samples' gradients' squared norms.
    batch_square : ndarray
        Squared norms of the samples' mean gradients.
    n : ndarray
        How many samples; nan comes of fewer than two.

    Returns
    -------
    (ndarray, ndarray)
        The trace, and the squared norm.
    """
    size = np.where(np.asarray(n) > 1, n, np.nan).astype(np.float64)
    variance = (sample_squares - batch_square) * size / (size - 1)
    return variance, batch_square - variance / size


def smoothed_ratio(variance: FloatArray, square: FloatArray) -> FloatArray:
    """Return the noise scale of single batches, each by the means of the last steps up to it.

    A batch's own estimates scatter too much to be divided; the mean squared gradient may even be
    negative, where it cannot be told from zero: then the noise scale is infinite.
    """
    known = ~np.isnan(variance)
    means = []
    for values in (variance, square):
        total = np.cumsum(np.concatenate(([0.0], np.where(known, values, 0.0))))
        first = np.maximum(np.arange(1, len(total)) - WINDOW, 0)
        means.append(total[1:] - total[first])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(means[1] > 0, means[0] / means[1], np.inf)


@dataclass(frozen=True)
class NoiseScale:
    """A network's noise scale on data; `fastgd.noise_scale` measures it.

    Attributes
    ----------
    simple : float
        Samples in a batch whose gradient is as large as its noise.
    full : float or None
        The same, with each direction weighted by its curvature.
    gradient_square : float
        The squared norm of the mean gradient, without bias.
    gradient_variance : float
        The trace of the samples' gradients' covariance.
    n_samples : int
        How many samples it was measured on.
    """

    simple: float
    full: float | None
    gradient_square: float
    gradient_variance: float
    n_samples: int


def noise_scale(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    full: bool = False,
    rng: RngLike = None,
) -> NoiseScale:
    r"""Measure the noise scale of the gradient at the network's parameters.

    Parameters
    ----------
    net : Network
        Where it is measured; it is not changed.
    X : array_like of shape (n, sizes[0])
        Samples, at least two.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses.
    full : bool
        Whether to measure the full noise scale too, which takes the curvature into account: by
        differences of gradients on parts of the samples, along the gradient and along 32 random
        directions of the noise. From a thousand samples on that takes no more work than the rest.
        Its standard error is some 25 % where one direction dominates, and less otherwise.
    rng : None, int or numpy.random.Generator
        Draws those directions.

    Returns
    -------
    NoiseScale
        Without bias, so that the gradient's square may come out negative near a minimum: the
        noise scale is then infinite.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    References
    ----------
    McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", arXiv:1812.06162.

    Examples
    --------
    Samples y of mean 0 and variance 4, and a constant prediction of 1: each sample's gradient is
    2 (1 - y), so that the noise scale is 4 / (1 - 0)^2.

    >>> import numpy as np
    >>> import fastgd as gd
    >>> y = np.random.default_rng(0).normal(0, 2, 100_000)
    >>> net = gd.Network([1, 1])
    >>> net.biases[0][:] = 1
    >>> round(gd.noise_scale(net, np.zeros((100_000, 1)), y).simple, 1)
    4.0
    """
    _validation.check_network(net)
    X = _validation.check_X(X, net.sizes[0], net.dtype)
    n = len(X)
    if n < 2:
        raise ValueError("noise_scale needs at least 2 samples: one has no variance")
    y = _validation.check_y(y, n, net.sizes[-1], net.loss, net.dtype)
    weight = _validation.check_sample_weight(sample_weight, n, net.dtype)
    norms = per_sample_norms(net, X, y, sample_weight=weight)
    mean = gradient(net, X, y, sample_weight=weight).astype(np.float64)
    traces, squares = unbiased(
        np.array([(norms**2).mean()]), np.array([mean @ mean]), np.array([n])
    )
    variance, square = float(traces[0]), float(squares[0])
    curved = None
    if _validation.check_bool("full", full):
        curved = _full(net, X, y, weight, mean, _validation.check_rng(rng))
    return NoiseScale(
        simple=variance / square if square > 0 else np.inf,
        full=curved,
        gradient_square=square,
        gradient_variance=variance,
        n_samples=n,
    )


def _full(
    net: Network,
    X: FloatArray,
    y: AnyArray,
    weight: FloatArray | None,
    mean: FloatArray,
    rng: np.random.Generator,
) -> float:
    """Return tr(H Sigma) / (G' H G), from directions whose covariance is Sigma."""
    n = len(X)
    slope = batch_gradient(net, X, y, weight)
    size = min(PROBE_SAMPLES, n - 1)
    scale = np.sqrt(size / (1 - size / n))  # drawn without replacement

    def some(count: int) -> IndexArray:
        drawn: IndexArray = rng.choice(n, min(count, n), replace=False, shuffle=False)
        return drawn

    def curvature(direction: FloatArray, samples: IndexArray) -> float:
        """Return v' H v, by the central difference of the gradient."""
        length = float(np.linalg.norm(direction))
        if length == 0:
            return 0.0
        reach = np.finfo(net.dtype).eps ** (1 / 3) * (1 + float(np.linalg.norm(net.params)))
        step = (reach / length * direction).astype(net.dtype)
        change = slope(net.params + step, samples).astype(np.float64)
        change -= slope(net.params - step, samples)
        return float(change @ direction * length / (2 * reach))

    noise = 0.0
    for _ in range(PROBES):
        direction = scale * (slope(net.params, some(size)) - mean)
        noise += curvature(direction, some(max(n // 128, 16))) / PROBES
    signal = curvature(mean, some(max(n // 8, 32)))
    return float(noise / signal) if signal > 0 else float("inf")
