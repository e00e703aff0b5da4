"""Costs of few parameters whose shape is known, to see what gradient descent does on them.

Each is a finite sum: its cost is the mean of n terms, as a network's cost is the mean of its
samples' losses, and a batch is some of the terms. Saddles, minima and curvatures are known in
closed form, so that what a batch size does can be shown and proved. Networks and data have no
place here: those are trained by `fastgd.train`.
"""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgd import _columns, _validation
from fastgd._columns import Column
from fastgd._plan import batch_bounds, check_batch_size
from fastgd._typing import FloatArray, IndexArray, RngLike
from fastgd.history import DivergenceError, History, Trace
from fastgd.optimizers import SGD, Optimizer
from fastgd.sampling import Sampler, count_steps, draw_batches, make_sampler
from fastgd.schedules import Schedule, make_schedule

__all__ = [
    "Bowl",
    "ConvexityCheck",
    "EscapeShares",
    "Landscape",
    "Quintic",
    "Rosenbrock",
    "Saddle",
    "descend",
    "escape_share",
    "is_convex_on",
]

RECORDS = ("loss", "params")


class Landscape(abc.ABC):
    """A cost of few parameters, the mean of n terms; use one of its subclasses, or make one.

    A subclass sets the attributes and gives `losses`, `gradients` and `hessian`. Many parameter
    vectors are handled at once: they lie along the last axis, and the axes before it are free.

    Attributes
    ----------
    n : int
        How many terms the cost is the mean of.
    n_params : int
        How many parameters it has.
    start : ndarray of shape (n_params,)
        Where a descent begins if nothing else is said.
    minima : ndarray of shape (n_minima, n_params)
        Where the cost has its minima.
    saddle : ndarray of shape (n_params,), or None
        Where its slope vanishes without a minimum or maximum.
    """

    n: int
    n_params: int
    start: FloatArray
    minima: FloatArray
    saddle: FloatArray | None = None

    @abc.abstractmethod
    def losses(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the values of some of the terms.

        Parameters
        ----------
        theta : ndarray of shape (..., n_params)
            Parameters.
        samples : ndarray of shape (..., batch)
            The terms' numbers, from 0 to n - 1; the same for all parameter vectors where it has
            one axis.

        Returns
        -------
        ndarray of shape (..., batch)
        """

    @abc.abstractmethod
    def gradients(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the gradients of some of the terms, of shape (..., batch, n_params).

        The parameters are as in `losses`.
        """

    @abc.abstractmethod
    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Return the cost's second derivatives at one point, of shape (n_params, n_params)."""

    def __call__(self, theta: ArrayLike, samples: ArrayLike | None = None) -> Any:
        """Return the cost, the mean of all terms; or a batch's cost, the mean of some.

        Parameters
        ----------
        theta : array_like of shape (..., n_params)
            Parameters; one number where there is only one parameter.
        samples : array_like of shape (batch,), optional
            The batch: numbers of terms, from 0 to n - 1.

        Returns
        -------
        float, or ndarray of shape (...)

        Examples
        --------
        >>> import fastgd as gd
        >>> quintic = gd.landscapes.Quintic()
        >>> quintic(-1.5)
        0.0
        >>> quintic(-1.5, [0, 1]) == quintic(-1.5)
        False
        """
        cost = self.losses(self._points(theta), self._batch(samples)).mean(axis=-1)
        return float(cost) if cost.ndim == 0 else cost

    def gradient(self, theta: ArrayLike, samples: ArrayLike | None = None) -> FloatArray:
        """Return the gradient of the cost, or of a batch's cost.

        Parameters
        ----------
        theta : array_like of shape (..., n_params)
            Parameters; one number where there is only one parameter.
        samples : array_like of shape (batch,), optional
            The batch: numbers of terms, from 0 to n - 1.

        Returns
        -------
        ndarray of shape (..., n_params)
        """
        return _mean(self.gradients(self._points(theta), self._batch(samples)))

    def _batch(self, samples: ArrayLike | None) -> IndexArray:
        return np.arange(self.n) if samples is None else _check_terms(samples, self.n)

    def _points(self, theta: ArrayLike) -> FloatArray:
        points = np.atleast_1d(np.asarray(theta, np.float64))
        if points.shape[-1] != self.n_params:
            raise ValueError(
                f"theta has shape {np.shape(theta)}, but its last axis must hold the "
                f"{self.n_params} parameters of {self!r}"
            )
        return points

    @property
    def largest_learning_rate(self) -> float:
        """Up to which learning rate batch gradient descent stays at the minima.

        Near a minimum the error along each axis of curvature h is multiplied by 1 - rate * h at
        each step, so that it shrinks for rates below 2 / h; h is the largest at any minimum
        (Nesterov 2004, Introductory Lectures on Convex Optimization, section 1.2.3).
        """
        return 2 / max(float(np.linalg.eigvalsh(self.hessian(m))[-1]) for m in self.minima)

    def escaped(self, theta: FloatArray) -> NDArray[np.bool_]:
        """Return which points have left the saddle for a minimum.

        They are nearer to the minimum than to the saddle, and than the saddle is.

        Parameters
        ----------
        theta : ndarray of shape (..., n_params)
            Parameters.

        Returns
        -------
        ndarray of bool, of shape (...)
        """
        if self.saddle is None:
            raise ValueError(f"{self!r} has no saddle to escape from: use Quintic or Saddle")
        to_minima = np.linalg.norm(theta[..., None, :] - self.minima, axis=-1)
        to_saddle = np.linalg.norm(theta - self.saddle, axis=-1)[..., None]
        reach = np.minimum(to_saddle, np.linalg.norm(self.minima - self.saddle, axis=-1))
        away: NDArray[np.bool_] = (to_minima < reach).any(axis=-1)
        return away


def _mean(gradients: FloatArray) -> FloatArray:
    """Return the mean over the batch, of shape (..., n_params)."""
    mean: FloatArray = gradients.mean(axis=-2)
    return mean


def _check_terms(samples: ArrayLike, n: int) -> IndexArray:
    array = np.asarray(samples)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) == 0:
        raise TypeError(
            f"samples must list numbers of terms, from 0 to {n - 1}, not {array.dtype} of shape "
            f"{array.shape}"
        )
    if array.min() < 0 or array.max() >= n:
        bad = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"samples holds {bad}, but the terms are numbered from 0 to {n - 1}")
    return array


def _constant(values: ArrayLike) -> FloatArray:
    """Return an array that can not be changed, as all landscapes of a class share it."""
    array = np.array(values, np.float64)
    array.flags.writeable = False
    return array


def _balanced(n: int, n_params: int, spread: float, rng: np.random.Generator) -> FloatArray:
    """Draw n points between -spread and spread whose sum is 0, exactly and in any order.

    Each point has its opposite (an odd n also has 0). They are multiples of one power of two, so
    that sums of them do not round, and batch gradient descent sees no slope that is not there.
    """
    quantum = 2.0 ** (math.frexp(spread)[1] - 30)
    half = np.rint(rng.uniform(-spread, spread, (n // 2, n_params)) / quantum) * quantum
    points = np.concatenate([half, -half, np.zeros((n % 2, n_params))])
    return points[rng.permutation(n)]


class _Tilted(Landscape):
    """A known cost; term i is this cost, tilted: plus a_i . theta. The tilts add up to 0."""

    def __init__(self, n: int, spread: float, rng: RngLike) -> None:
        self.n: int = _validation.check_int("n", n, at_least=1)
        self.spread: float = _validation.check_real("spread", spread, at_least=0)
        generator = _validation.check_rng(rng)
        self.tilts: FloatArray = _balanced(self.n, self.n_params, self.spread, generator)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, spread={self.spread:g})"

    @abc.abstractmethod
    def _cost(self, theta: FloatArray) -> FloatArray:
        """Return the cost without tilts, of shape (...)."""

    @abc.abstractmethod
    def _slope(self, theta: FloatArray) -> FloatArray:
        """Return its gradient, of shape (..., n_params)."""

    def losses(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the values of some of the terms; see `Landscape.losses`."""
        tilt: FloatArray = (self.tilts[samples] * theta[..., None, :]).sum(axis=-1)
        return self._cost(theta)[..., None] + tilt

    def gradients(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the gradients of some of the terms; see `Landscape.gradients`."""
        return self._slope(theta)[..., None, :] + self.tilts[samples]


class Quintic(_Tilted):
    r"""A fifth-degree polynomial with a saddle at -3/2, which stops batch gradient descent.

    With :math:`u = \theta + 3/2`,

    .. math::

        J(\theta) = \frac{u^5}{50} - \frac{5 u^3}{24}, \qquad
        J'(\theta) = \frac{u^2}{10} \left(u^2 - \frac{25}{4}\right), \qquad
        f_i(\theta) = J(\theta) + a_i \theta, \quad \sum_i a_i = 0 .

    The slope vanishes at -4 (a maximum), at -3/2 (neither) and at 1 (a minimum), and is negative
    between. Gradient descent from -3 therefore goes to the right. At a point left of the saddle
    its step is the distance to the saddle times :math:`\eta |u| (25/4 - u^2) / 10`, which is at
    most 0.6015 times the learning rate. So for every rate below 1.66 it never reaches the
    saddle, and comes ever closer to it; the minimum at 1 only holds rates below 0.64 (see
    `Landscape.largest_learning_rate`). No rate that can end in the minimum ever gets there.

    A single term has no such saddle: where a_i < 0 its slope is below 0 all the way to a minimum
    on the right, and where a_i > 0 it has a minimum and a maximum of its own near -3/2. This is
    what carries small batches over. While the spread is at most 3/4, all terms fall from -3.65
    to -2.78, and rates below 0.64 never step as far to the left: the maximum at -4, behind which
    the cost has no bound, is out of reach.

    Parameters
    ----------
    n : int
        Terms.
    spread : float
        The tilts a_i are drawn uniformly from -spread to spread.
    rng : None, int or numpy.random.Generator
        Draws the tilts.

    Examples
    --------
    >>> import fastgd as gd
    >>> quintic = gd.landscapes.Quintic()
    >>> quintic.gradient([-1.5]).item(), quintic.gradient([1.0]).item()
    (0.0, 0.0)
    >>> for batch_size in (None, 1):
    ...     theta, _ = gd.landscapes.descend(quintic, -3.0, batch_size=batch_size, epochs=50, rng=0)
    ...     print(batch_size, theta.item() > -1.5)
    None False
    1 True
    """

    n_params = 1
    start: FloatArray = _constant([-3.0])
    saddle: FloatArray = _constant([-1.5])
    minima: FloatArray = _constant([[1.0]])

    def __init__(self, n: int = 64, spread: float = 0.75, rng: RngLike = 0) -> None:
        super().__init__(n, spread, rng)

    def _cost(self, theta: FloatArray) -> FloatArray:
        u: FloatArray = theta[..., 0] + 1.5
        return u**3 * (u * u / 50 - 5 / 24)

    def _slope(self, theta: FloatArray) -> FloatArray:
        u = theta + 1.5
        return u * u * (u * u - 6.25) / 10

    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Return the cost's second derivative; see `Landscape.hessian`."""
        u = self._points(theta) + 1.5
        return np.atleast_2d(u * (4 * u * u - 12.5) / 10)


class Saddle(_Tilted):
    r"""Two valleys in two dimensions with a saddle between them.

    .. math::

        J(x, y) = \frac{(x^2 - 1)^2}{4} + \frac{y^2}{2}, \qquad
        f_i(x, y) = J(x, y) + a_i x + b_i y, \quad \sum_i a_i = \sum_i b_i = 0 .

    The minima are (-1, 0) and (1, 0), the saddle is (0, 0). On the line x = 0 the cost's slope in
    x is 0: batch gradient descent that begins there ends in the saddle, while any step aside
    grows, by the factor 1 + learning rate a step (Jin et al. 2017, arXiv:1703.00887, use noise
    for this on purpose).

    Parameters
    ----------
    n : int
        Terms.
    spread : float
        The tilts are drawn uniformly from -spread to spread.
    rng : None, int or numpy.random.Generator
        Draws the tilts.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> saddle = gd.landscapes.Saddle()
    >>> theta, _ = gd.landscapes.descend(saddle, [0, 1], batch_size=None, epochs=100, rng=0)
    >>> theta[0].item()
    0.0
    >>> theta, _ = gd.landscapes.descend(saddle, [0, 1], batch_size=8, epochs=100, rng=0)
    >>> abs(theta[0]).item() > 0.8
    True
    """

    n_params = 2
    start: FloatArray = _constant([0.0, 1.0])
    saddle: FloatArray = _constant([0.0, 0.0])
    minima: FloatArray = _constant([[-1.0, 0.0], [1.0, 0.0]])

    def __init__(self, n: int = 64, spread: float = 0.75, rng: RngLike = 0) -> None:
        super().__init__(n, spread, rng)

    def _cost(self, theta: FloatArray) -> FloatArray:
        x, y = theta[..., 0], theta[..., 1]
        cost: FloatArray = (x * x - 1) ** 2 / 4 + y * y / 2
        return cost

    def _slope(self, theta: FloatArray) -> FloatArray:
        x, y = theta[..., 0], theta[..., 1]
        return np.stack([x * (x * x - 1), y], axis=-1)

    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Return the cost's second derivatives; see `Landscape.hessian`."""
        x, _ = self._points(theta)
        return np.diag([3 * x * x - 1, 1.0])


class Bowl(Landscape):
    r"""A quadratic bowl of a given condition number.

    .. math::

        f_i(\theta) = \frac{1}{2} (\theta - c_i)^T H (\theta - c_i), \quad \sum_i c_i = 0, \qquad
        J(\theta) = \frac{1}{2} \theta^T H \theta + J(0) .

    The terms' minima c_i lie around the cost's, which is 0: single samples pull to and fro there.
    The curvatures (eigenvalues of H) go from 1 down to 1 / condition in equal ratios. Batch
    gradient descent with the best single learning rate shrinks the error by the factor
    (condition - 1) / (condition + 1) a step (Nesterov 2004, Introductory Lectures on Convex
    Optimization, theorem 2.1.15).

    Parameters
    ----------
    condition : float
        The largest curvature divided by the smallest, at least 1.
    n_params : int
        Parameters.
    n : int
        Terms.
    spread : float
        The coordinates of the c_i are drawn uniformly from -spread to spread.
    axes : array_like of shape (n_params, n_params), optional
        An orthogonal matrix whose columns are the directions of the curvatures, the largest
        first; the coordinate axes if not given.
    rng : None, int or numpy.random.Generator
        Draws the c_i.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> bowl = gd.landscapes.Bowl(condition=100, n_params=3)
    >>> print(bowl.curvatures)
    [1.   0.1  0.01]
    >>> bool(gd.is_convex_on(bowl, [-1, 2, 3], [1, 0, -4]))
    True
    """

    def __init__(
        self,
        condition: float = 10.0,
        n_params: int = 2,
        *,
        n: int = 64,
        spread: float = 1.0,
        axes: ArrayLike | None = None,
        rng: RngLike = 0,
    ) -> None:
        self.condition: float = _validation.check_real("condition", condition, at_least=1)
        self.n_params: int = _validation.check_int("n_params", n_params, at_least=1)
        if self.n_params == 1 and self.condition != 1:
            raise ValueError(
                f"condition is {self.condition:g}, but one parameter has one curvature, of "
                "condition 1: use two parameters or more"
            )
        self.n: int = _validation.check_int("n", n, at_least=1)
        self.spread: float = _validation.check_real("spread", spread, at_least=0)
        generator = _validation.check_rng(rng)
        #: the curvatures along the axes, from 1 down to 1 / condition
        self.curvatures: FloatArray = np.geomspace(1, 1 / self.condition, self.n_params)
        axes = _check_axes(axes, self.n_params)
        self._hessian: FloatArray = (axes * self.curvatures) @ axes.T
        #: the minimum of each term
        self.centres: FloatArray = _balanced(self.n, self.n_params, self.spread, generator)
        self.start: FloatArray = axes @ (2 / np.sqrt(self.curvatures))
        self.minima: FloatArray = np.zeros((1, self.n_params))

    def __repr__(self) -> str:
        return (
            f"Bowl(condition={self.condition:g}, n_params={self.n_params}, n={self.n}, "
            f"spread={self.spread:g})"
        )

    def losses(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the values of some of the terms; see `Landscape.losses`."""
        away = theta[..., None, :] - self.centres[samples]
        losses: FloatArray = (away * self._pull(away)).sum(axis=-1) / 2
        return losses

    def gradients(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the gradients of some of the terms; see `Landscape.gradients`."""
        return self._pull(theta[..., None, :] - self.centres[samples])

    def _pull(self, away: FloatArray) -> FloatArray:
        # not @, whose order of summation depends on how many points there are
        pull: FloatArray = (away[..., None, :] * self._hessian).sum(axis=-1)
        return pull

    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Return the cost's second derivatives, the same everywhere; see `Landscape.hessian`."""
        self._points(theta)
        return self._hessian.copy()


def _check_axes(axes: ArrayLike | None, n_params: int) -> FloatArray:
    if axes is None:
        return np.eye(n_params)
    array = np.asarray(axes, np.float64)
    if array.shape != (n_params, n_params):
        raise ValueError(f"axes has shape {array.shape}, but must have ({n_params}, {n_params})")
    if not np.allclose(array.T @ array, np.eye(n_params), rtol=0, atol=1e-8):
        raise ValueError(
            "axes must be orthogonal: columns of length 1 at right angles, for example the first "
            "result of numpy.linalg.qr"
        )
    return array


class Rosenbrock(Landscape):
    r"""Rosenbrock's curved valley, a sum of squares (Rosenbrock 1960, Comput. J. 3, 175).

    .. math::

        J(\theta) = \sum_{k=1}^{d-1} 100 (\theta_{k+1} - \theta_k^2)^2 + (1 - \theta_k)^2

    in d parameters; the two squares of each k are two of the n = 2 (d - 1) terms, times n, so
    that the mean of the terms is J. The minimum (1, ..., 1) is the minimum of every single term
    too: there the samples agree, the noise vanishes, and small batches settle without a falling
    learning rate. (From four parameters on there is a second, shallower minimum near
    (-1, 1, ..., 1), which `minima` leaves out.)

    Parameters
    ----------
    n_params : int
        Parameters, at least 2.

    Examples
    --------
    >>> import fastgd as gd
    >>> print(f"{gd.landscapes.Rosenbrock()([-1.2, 1.0]):.4g}")
    24.2
    """

    def __init__(self, n_params: int = 2) -> None:
        self.n_params: int = _validation.check_int("n_params", n_params, at_least=2)
        self.n: int = 2 * (self.n_params - 1)
        self.start: FloatArray = np.where(np.arange(self.n_params) % 2, 1.0, -1.2)
        self.minima: FloatArray = np.ones((1, self.n_params))

    def __repr__(self) -> str:
        return f"Rosenbrock(n_params={self.n_params})"

    def losses(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the values of some of the terms; see `Landscape.losses`."""
        residual, _, _ = self._residuals(theta, samples)
        return self.n * residual * residual

    def _residuals(
        self, theta: FloatArray, samples: IndexArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the roots of the terms' squares, and their slopes in theta_k and theta_k+1."""
        k, bent = samples // 2, samples % 2 == 0
        shape = np.broadcast_shapes(theta.shape[:-1], samples.shape[:-1])
        k = np.broadcast_to(k, (*shape, k.shape[-1])).astype(np.intp)
        theta = np.broadcast_to(theta, (*shape, self.n_params))
        here = np.take_along_axis(theta, k, axis=-1)
        beyond = np.take_along_axis(theta, k + 1, axis=-1)
        residual = np.where(bent, 10 * (beyond - here * here), 1 - here)
        return residual, np.where(bent, -20 * here, -1.0), np.where(bent, 10.0, 0.0)

    def gradients(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the gradients of some of the terms; see `Landscape.gradients`."""
        residual, slope_here, slope_beyond = self._residuals(theta, samples)
        k = (samples // 2)[..., None]
        places = np.arange(self.n_params)
        gradients: FloatArray = np.where(places == k, slope_here[..., None], 0.0)
        gradients += np.where(places == k + 1, slope_beyond[..., None], 0.0)
        return 2 * self.n * residual[..., None] * gradients

    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Return the cost's second derivatives; see `Landscape.hessian`."""
        point = self._points(theta)
        here, beyond = point[:-1], point[1:]
        diagonal = np.zeros(self.n_params)
        diagonal[:-1] = 1200 * here * here - 400 * beyond + 2
        diagonal[1:] += 200
        return np.diag(diagonal) + np.diag(-400 * here, 1) + np.diag(-400 * here, -1)


def _check_landscape(landscape: Landscape) -> None:
    if not isinstance(landscape, Landscape):
        raise TypeError(
            f"landscape must be a fastgd.landscapes.Landscape such as Quintic(), not {landscape!r}"
        )


def _check_start(landscape: Landscape, start: ArrayLike | None) -> FloatArray:
    point = landscape.start if start is None else start
    return _validation.check_point("start", point, landscape.n_params).astype(np.float64)


def _check_optimizer(landscape: Landscape, optimizer: Optimizer | None) -> Optimizer:
    if optimizer is None:
        return SGD(landscape.largest_learning_rate / 2)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer must be an optimizer such as fastgd.SGD(0.1), not {optimizer!r}"
        )
    return optimizer


class _Runs:
    """Several runs on one landscape, moved together, each by its own batches.

    A run's numbers do not depend on how many there are: everything is done element by element,
    and sums run over a batch.
    """

    def __init__(
        self, landscape: Landscape, start: FloatArray, n_runs: int, optimizer: Optimizer
    ) -> None:
        self.landscape = landscape
        self.optimizer = optimizer
        self.params: FloatArray = np.tile(start, (n_runs, 1))
        self.state = optimizer.initial_state(self.params)

    def losses(self, samples: IndexArray) -> FloatArray:
        """Return the losses of each run's batch, of shape (n_runs, batch)."""
        return self.landscape.losses(self.params, samples)

    def step(self, samples: IndexArray, learning_rate: float, divisor: int | None = None) -> None:
        """Make one update of each run with its batch, of shape (n_runs, batch).

        Its gradients' sum is divided by their number, or by the divisor.
        """
        gradient = self.landscape.gradients(self.params, samples).sum(axis=-2)
        gradient /= samples.shape[-1] if divisor is None else divisor
        self.optimizer.update(self.params, gradient, self.state, learning_rate)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Go on with some of the runs only."""
        self.params = self.params[kept]
        self.state.moments = tuple(moment[kept] for moment in self.state.moments)


def descend(
    landscape: Landscape,
    start: ArrayLike | None = None,
    *,
    batch_size: int | None = 1,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    schedule: Schedule | Callable[[int], float] | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    callbacks: Sequence[Callable[[FloatArray, History], Any]] = (),
    record: Sequence[str] = RECORDS,
    record_every: int = 1,
    rng: RngLike = None,
) -> tuple[FloatArray, History]:
    """Go down a landscape by gradient descent, as `fastgd.train` trains a network.

    An epoch cuts the terms, in the order of the sampling, into batches; each batch makes one
    update with the mean of its terms' gradients. Optimizers and samplings are those of
    `fastgd.train`, in NumPy and float64.

    Parameters
    ----------
    landscape : Landscape
        The cost.
    start : array_like of shape (n_params,), optional
        Where to begin; ``landscape.start`` if not given.
    batch_size : int or None
        Terms a batch, from 1 to n; None for all: batch gradient descent.
    epochs : int
        Passes over the terms.
    optimizer : Optimizer, optional
        How parameters move; SGD with half of ``landscape.largest_learning_rate`` if not
        given.
    schedule : fastgd.schedules.Schedule or callable, optional
        How the learning rate changes: one of `fastgd.schedules`, or a function from the number
        of the epoch, counted from 0, to a factor of the optimizer's learning rate.
    sampling : str or object
        "shuffle", "replacement", "sequential", "poisson", or an object with a method
        ``epoch(n, rng)``, as for `fastgd.train`; terms have no classes to be stratified by.
        With "replacement" a batch of n terms is still a random one.
    drop_last : bool
        Whether a last batch that is not full is left out.
    callbacks : sequence of callable
        Each is called after each epoch as ``callback(theta, history)``; the descent stops after
        an epoch in which one returns True.
    record : sequence of str
        What `History.trace` keeps: "loss", the batch's mean before the update, and "params", the
        parameters after it.
    record_every : int
        Every how many steps it does.
    rng : None, int or numpy.random.Generator
        Draws the order of the terms; None draws a fresh one.

    Returns
    -------
    theta : ndarray of shape (n_params,)
        Where the descent ended.
    history : History
        What it did.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    DivergenceError
        When the cost or a parameter stopped being finite. The error's history, and its trace, end
        with the last finite epoch.

    Examples
    --------
    >>> import fastgd as gd
    >>> theta, history = gd.landscapes.descend(
    ...     gd.landscapes.Bowl(), batch_size=8, epochs=20, optimizer=gd.SGD(0.5), rng=0
    ... )
    >>> history.updates, history.trace["params"].shape
    (160, (160, 2))
    """
    _check_landscape(landscape)
    point = _check_start(landscape, start)
    n = landscape.n
    size = check_batch_size(batch_size, n)
    epochs = _validation.check_int("epochs", epochs, at_least=0)
    optimizer = _check_optimizer(landscape, optimizer)
    rule = make_schedule(schedule)
    drop_last = _validation.check_bool("drop_last", drop_last)
    sampler = make_sampler(sampling, None, size, drop_last)
    if callable(callbacks) or not all(callable(callback) for callback in callbacks):
        raise TypeError("callbacks must list functions that take (theta, history)")
    if isinstance(record, str):
        raise TypeError(f"record must list names, as in record=({record!r},)")
    recorded = {_validation.check_choice("record", name, RECORDS) for name in record}
    generator = _validation.check_rng(rng)
    record_every = _validation.check_int("record_every", record_every, at_least=1)
    runs = _Runs(landscape, point, 1, optimizer)
    history = History(
        start=point if "params" in recorded else None,
        optimizer=optimizer,
        schedule=None if schedule is None else rule,
    )
    room = count_steps(n, size, drop_last) * epochs // record_every
    trace = Trace(
        record_every,
        loss=np.empty(room) if "loss" in recorded else None,
        params=np.empty((room, landscape.n_params)) if "params" in recorded else None,
    )
    state = rule.initial_state()
    for epoch in range(epochs):
        order, ends = draw_batches(sampler, n, generator)
        divisor = None if ends is None else size
        if ends is None:
            ends = batch_bounds(len(order), size, drop_last)
        steps = len(ends) - 1
        if (more := (history.updates + steps) // record_every - room) > 0:
            trace, room = trace.grown(more), room + more  # a user's own sampling may draw more
        by_epoch = rule.unit == "epoch"
        times = (epoch, 1) if by_epoch else (history.updates, steps)
        rates = rule.rates(optimizer.learning_rate, *times, state)
        try:
            _epoch(runs, order, ends, np.broadcast_to(rates, steps), history, trace, divisor)
        except DivergenceError:
            _set_trace(history, trace)
            raise
        state = rule.observe(state, history.loss[-1])
        theta = runs.params[0].copy()
        stop = [callback(theta, history) is True for callback in callbacks]
        if any(stop):
            break
    _set_trace(history, trace)
    return runs.params[0].copy(), history


def _epoch(
    runs: _Runs,
    order: IndexArray,
    ends: IndexArray,
    rates: FloatArray,
    history: History,
    trace: Trace,
    divisor: int | None,
) -> None:
    """Run the batches of one epoch, and add to the history what they did."""
    begun = time.perf_counter()
    room = trace.behind(history.updates // trace.every)
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # found as a loss that is not finite
        for step, rate in enumerate(rates.tolist()):
            samples = order[None, ends[step] : ends[step + 1]]
            loss, n = float(runs.losses(samples).sum()), samples.shape[1]
            runs.step(samples, rate, divisor)
            total += loss
            room.keep(runs.state.step, n, runs.params[0], loss)
    if not (math.isfinite(total) and np.isfinite(runs.params).all()):
        history.diverged = True
        raise DivergenceError(
            f"the cost stopped being finite in epoch {history.epochs + 1}, with learning rate "
            f"{max(rates):g}. Try a lower one: batch gradient descent stays at "
            f"the minima of {runs.landscape!r} below {runs.landscape.largest_learning_rate:.3g}.",
            history,
        )
    used = int(ends[-1])
    history.loss.append(total / used if used else math.nan)
    history.learning_rate.append(float(rates[0]) if len(rates) else math.nan)
    history.seconds.append(time.perf_counter() - begun)
    history.updates += len(rates)
    history.epoch_updates.append(len(rates))
    history.sample_gradients += used


def _set_trace(history: History, trace: Trace) -> None:
    """Leave in the history what was recorded."""
    kept = history.updates // trace.every
    if trace.loss is None and trace.params is None:
        return
    numbers: Any = np.arange(1, kept + 1) * trace.every
    history.trace["step"] = numbers
    for name, values in (("loss", trace.loss), ("params", trace.params)):
        if values is not None:
            history.trace[name] = values[:kept]


@dataclass(frozen=True, eq=False)
class EscapeShares:
    """How many of many runs left a saddle, by batch size; `escape_share` makes it.

    Attributes
    ----------
    landscape : Landscape
        On which they ran.
    batch_sizes : ndarray of int
        The batch sizes.
    n_seeds : int
        Runs of each batch size.
    updates : int
        Updates that each run might make.
    learning_rate : float
        Of the optimizer.
    confidence : float
        Of the intervals.
    escaped : ndarray of int
        How many runs left the saddle.
    diverged : ndarray of int
        How many stopped being finite, and so did not.
    share, low, high : ndarray of float
        The share that left it, and its confidence interval.
    median_updates : ndarray of float
        Updates after which half of those that left it had done so; nan where none did.
    """

    landscape: Landscape
    batch_sizes: NDArray[np.int64]
    n_seeds: int
    updates: int
    learning_rate: float
    confidence: float
    escaped: NDArray[np.int64]
    diverged: NDArray[np.int64]
    share: FloatArray
    low: FloatArray
    high: FloatArray
    median_updates: FloatArray

    def plot(self, **options: Any) -> Any:
        """Draw the shares with their intervals: needs the extra ``plot``.

        Parameters
        ----------
        **options
            Further arguments of `fastgd.plot.escape`.

        Returns
        -------
        matplotlib.axes.Axes
            What `fastgd.plot.escape` returns.
        """
        return import_module("fastgd.plot").escape(self, **options)

    def _rows(self) -> list[_Row]:
        return [_Row(self, k) for k in range(len(self.batch_sizes))]

    def _columns(self) -> list[Column]:
        return COLUMNS + LAST_COLUMN if self.diverged.any() else COLUMNS

    def _title(self) -> str:
        return (
            f"Runs that left the saddle of {self.landscape!r} within {self.updates:,} updates, "
            f"learning rate {self.learning_rate:g}; shares with {100 * self.confidence:g} % "
            "confidence intervals"
        )

    def __str__(self) -> str:
        columns = self._columns()
        lines = [_columns.line(columns, row) for row in self._rows()]
        return "\n".join([_columns.fill(self._title()), "", _columns.head(columns), *lines])

    def __rich__(self) -> Any:
        """Return a table of the package rich, which calls this."""
        return _columns.as_rich(self._columns(), self._rows(), self._title(), "")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return _columns.as_html(self._columns(), self._rows(), self._title())


class _Row:
    """One batch size of an `EscapeShares`, for its table."""

    diverged = False  # the row as a whole has its shares all the same

    def __init__(self, shares: EscapeShares, k: int) -> None:
        self.shares, self.k = shares, k

    def batch_size(self) -> str:
        """Return the batch size; all terms are batch gradient descent."""
        size = self.shares.batch_sizes[self.k]
        return f"all {size:,}" if size == self.shares.landscape.n else f"{size:,}"

    def median(self) -> str:
        """Return the median of the updates until the escape."""
        median = self.shares.median_updates[self.k]
        return "-" if math.isnan(median) else f"{median:,.0f}"


#: the columns of an `EscapeShares`
COLUMNS = [
    Column("batch", "size", 9, _Row.batch_size),
    Column("", "runs", 8, lambda row: f"{row.shares.n_seeds:,}", spare=2),
    Column("", "escaped", 9, lambda row: f"{row.shares.escaped[row.k]:,}", spare=3),
    Column("", "share", 9, lambda row: f"{row.shares.share[row.k]:.1%}"),
    Column("", "from", 9, lambda row: f"{row.shares.low[row.k]:.1%}"),
    Column("", "to", 9, lambda row: f"{row.shares.high[row.k]:.1%}"),
    Column("median", "updates", 10, _Row.median),
]
LAST_COLUMN = [Column("", "diverged", 10, lambda row: f"{row.shares.diverged[row.k]:,}")]


def escape_share(
    landscape: Landscape,
    start: ArrayLike | None = None,
    batch_sizes: Sequence[int | None] = (1, 2, 4, 8, 16, 32, None),
    *,
    n_seeds: int = 200,
    updates: int = 500,
    optimizer: Optimizer | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    confidence: float = 0.95,
) -> EscapeShares:
    """Count how many runs leave a saddle, by batch size.

    A run has left the saddle once it has been near a minimum (`Landscape.escaped`). All batch
    sizes make the same number of updates, at the same learning rate: they differ in the noise of
    their gradients alone. Run k takes the steps of ``descend(..., rng=k)``.

    Parameters
    ----------
    landscape : Landscape
        One with a saddle: `Quintic` or `Saddle`.
    start : array_like of shape (n_params,), optional
        Where to begin; ``landscape.start`` if not given.
    batch_sizes : sequence of int or None
        Terms a batch, from 1 to n; None for all: batch gradient descent.
    n_seeds : int
        Runs of each batch size: their seeds are 0 to n_seeds - 1.
    updates : int
        The most updates that a run makes.
    optimizer, sampling, drop_last
        As in `descend`, but for "poisson": runs move together, in batches of one size. An own
        sampling is shared by all runs: its order must depend on its arguments alone.
    confidence : float
        How often the intervals hold the true share, between 0 and 1. They are Wilson's (1927, J.
        Am. Stat. Assoc. 22, 209), which hold for shares near 0 and 1 too.

    Returns
    -------
    EscapeShares
        Counts, shares and intervals; print it for a table.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or the landscape has no saddle.

    Examples
    --------
    >>> import fastgd as gd
    >>> shares = gd.landscapes.escape_share(
    ...     gd.landscapes.Quintic(), -3.0, [1, None], n_seeds=50
    ... )
    >>> print(shares)
    Runs that left the saddle of Quintic(n=64, spread=0.75) within 500 updates,
    learning rate 0.32; shares with 95 % confidence intervals
    <BLANKLINE>
        batch                                                median
         size    runs  escaped    share     from       to   updates
    ---------------------------------------------------------------
            1      50       50   100.0%    92.9%   100.0%        52
       all 64      50        0     0.0%     0.0%     7.1%         -
    """
    _check_landscape(landscape)
    point = _check_start(landscape, start)
    if landscape.escaped(point):
        raise ValueError(
            f"start is {point.tolist()}, which is near a minimum already: begin on the saddle's "
            "other side"
        )
    if isinstance(batch_sizes, (int, str)) or batch_sizes is None or len(batch_sizes) == 0:
        raise TypeError(f"batch_sizes must list batch sizes, as in [1, 8, None], not {batch_sizes}")
    sizes = [check_batch_size(size, landscape.n) for size in batch_sizes]
    n_seeds = _validation.check_int("n_seeds", n_seeds, at_least=1)
    updates = _validation.check_int("updates", updates, at_least=1)
    optimizer = _check_optimizer(landscape, optimizer)
    sampler = make_sampler(sampling, None)
    drop_last = _validation.check_bool("drop_last", drop_last)
    confidence = _validation.check_real("confidence", confidence, above=0, below=1)
    firsts = []
    for size in sizes:
        runs = _Runs(landscape, point, n_seeds, optimizer)
        firsts.append(_first_escapes(runs, sampler, size, updates, drop_last))
    escaped = np.array([int((first > 0).sum()) for first in firsts])
    low, high = wilson_interval(escaped, n_seeds, confidence)
    return EscapeShares(
        landscape=landscape,
        batch_sizes=np.array(sizes),
        n_seeds=n_seeds,
        updates=updates,
        learning_rate=optimizer.learning_rate,
        confidence=confidence,
        escaped=escaped,
        diverged=np.array([int((first == DIVERGED).sum()) for first in firsts]),
        share=escaped / n_seeds,
        low=low,
        high=high,
        median_updates=np.array(
            [np.median(first[first > 0]) if (first > 0).any() else math.nan for first in firsts]
        ),
    )


STAYED, DIVERGED = 0, -1


def _first_escapes(
    runs: _Runs, sampler: Sampler, size: int, updates: int, drop_last: bool
) -> NDArray[np.int64]:
    """Return after how many updates each run has left the saddle; or STAYED, or DIVERGED."""
    landscape = runs.landscape
    seeds = np.arange(len(runs.params))
    first = np.full(len(seeds), STAYED)
    generators = [np.random.default_rng(int(seed)) for seed in seeds]
    learning_rate = runs.optimizer.learning_rate
    with np.errstate(over="ignore", invalid="ignore"):  # counted as diverged
        while runs.state.step < updates and len(seeds):
            orders = np.stack([sampler.epoch(landscape.n, generators[seed]) for seed in seeds])
            steps = count_steps(orders.shape[1], size, drop_last)
            for step in range(min(steps, updates - runs.state.step)):
                runs.step(orders[:, step * size : (step + 1) * size], learning_rate)
                away = landscape.escaped(runs.params)
                lost = ~np.isfinite(runs.params).all(axis=1)
                first[seeds[away]] = runs.state.step
                first[seeds[lost]] = DIVERGED
                if (done := away | lost).any():
                    runs.keep(~done)
                    seeds, orders = seeds[~done], orders[~done]
    return first


def wilson_interval(
    successes: NDArray[np.int64], trials: int, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of Wilson's score interval for shares (1927, J. Am. Stat. Assoc. 22).

    Parameters
    ----------
    successes : ndarray of int
        How often it happened.
    trials : int
        Out of how often.
    confidence : float
        How often the interval holds the true share.

    Returns
    -------
    low, high : ndarray of float
    """
    from statistics import NormalDist  # costs an import

    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = np.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2)))
    half = spread / (1 + z2 / trials)
    low = np.where(successes == 0, 0.0, centre - half)  # what rounding would leave beside 0
    high = np.where(successes == trials, 1.0, centre + half)
    return low, high


@dataclass(frozen=True, eq=False)
class ConvexityCheck:
    """Whether a cost was found to be not convex; `is_convex_on` makes it.

    It is true, as a truth value, when no counter-example was found, which supports that the cost
    is convex on the segment but does not prove it; a counter-example proves that it is not.

    Attributes
    ----------
    convex : bool
        Whether all points kept the inequality.
    points : int
        How many points were tried.
    alpha : float or None
        Of the counter-example: the share of u in the point where the inequality fails.
    u, v : ndarray or None
        Its ends: those of the segment, or of a part of it.
    chord, value : float or None
        Its two sides: alpha f(u) + (1 - alpha) f(v), and the larger f(alpha u + (1 - alpha) v).
    """

    convex: bool
    points: int
    alpha: float | None = None
    u: FloatArray | None = None
    v: FloatArray | None = None
    chord: float | None = None
    value: float | None = None

    def __bool__(self) -> bool:
        return self.convex

    def __str__(self) -> str:
        if self.convex:
            return (
                f"No counter-example at {self.points} points: this supports that the cost is "
                "convex on the segment, but does not prove it."
            )
        return (
            f"Not convex: for u = {self.u}, v = {self.v} and a = {self.alpha:.4g},\n"
            f"a f(u) + (1 - a) f(v) = {self.chord:.6g} is below "
            f"f(a u + (1 - a) v) = {self.value:.6g}."
        )


def is_convex_on(
    f: Callable[[FloatArray], Any],
    u: ArrayLike,
    v: ArrayLike,
    *,
    points: int = 99,
    rtol: float | None = None,
) -> ConvexityCheck:
    r"""Look for a place on a segment where a cost is not convex.

    A cost is convex on the segment from u to v when every two points of it keep

    .. math:: \alpha f(u) + (1 - \alpha) f(v) \ge f(\alpha u + (1 - \alpha) v),
              \quad 0 \le \alpha \le 1

    (Boyd & Vandenberghe 2004, Convex Optimization, equation 3.1). This is tried at equally spaced
    points: first for u and v themselves at every alpha, then for every two points that have one
    in their middle. A place where it fails proves that the cost is not convex. That there is none
    among finitely many points supports that it is convex on the segment, and proves nothing.

    Parameters
    ----------
    f : callable
        Takes a parameter vector, returns a number: a `Landscape`, a network's cost in a function,
        anything.
    u, v : array_like of shape (n_params,)
        The ends of the segment.
    points : int
        How many points between u and v to try, at least 1.
    rtol : float, optional
        By how much of the largest cost on the segment the inequality may fail, since costs are
        rounded: 64 epsilon of the coarser dtype of u and v, if not given (8e-6 for float32).

    Returns
    -------
    ConvexityCheck
        False, as a truth value, with the counter-example where the inequality fails most; else
        true.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, u equals v, or f returns something else than a finite
        number.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> check = gd.is_convex_on(gd.landscapes.Quintic(), -3.0, 1.0)
    >>> bool(check)
    False
    >>> print(check)
    Not convex: for u = [-3.], v = [1.] and a = 0.39,
    a f(u) + (1 - a) f(v) = -0.579283 is below f(a u + (1 - a) v) = -0.15836.

    A network's cost along a segment of its parameters:

    >>> X = np.linspace(-1, 1, 20).reshape(-1, 1)
    >>> net = gd.Network([1, 3, 1], hidden="tanh", dtype="float64", rng=0)
    >>> def cost(theta):
    ...     other = net.copy()
    ...     other.params[:] = theta
    ...     return other.loss_value(X, X[:, 0])
    >>> bool(gd.is_convex_on(cost, net.params, -net.params))
    False
    """
    if not callable(f):
        raise TypeError(f"f must be a function of a parameter vector, not {f!r}")
    first = _validation.check_point("u", u)
    last = _validation.check_point("v", v, len(first))
    points = _validation.check_int("points", points, at_least=1)
    coarse = np.float32 if np.float32 in (first.dtype, last.dtype) else np.float64
    if rtol is None:
        rtol = 64 * float(np.finfo(coarse).eps)
    rtol = _validation.check_real("rtol", rtol, at_least=0)
    if np.array_equal(first, last):
        raise ValueError("u equals v: the segment between them has no length")
    alphas = np.linspace(1, 0, points + 2)
    path = alphas[:, None] * first.astype(np.float64) + (1 - alphas[:, None]) * last
    path[0], path[-1] = first, last
    values = np.array([_cost_at(f, point.astype(coarse)) for point in path])
    slack = rtol * float(np.abs(values).max())
    found = _worst_chord(alphas, values, slack) or _worst_middle(values, slack)
    if found is None:
        return ConvexityCheck(True, points)
    left, middle, right = found
    alpha = float((right - middle) / (right - left))
    chord = float(alpha * values[left] + (1 - alpha) * values[right])
    return ConvexityCheck(
        False, points, alpha, path[left].copy(), path[right].copy(), chord, float(values[middle])
    )


def _cost_at(f: Callable[[FloatArray], Any], point: FloatArray) -> float:
    """Return the cost, checked."""
    given = f(point.copy())
    value = np.asarray(given)
    if value.size != 1 or value.dtype.kind not in "fiub":
        raise TypeError(f"f must return one number for a parameter vector, but returned {given!r}")
    cost = float(value.reshape(()))
    if not math.isfinite(cost):
        raise ValueError(
            f"f is {cost} at {point}: convexity is checked where the cost is finite, so choose u "
            "and v nearer to each other"
        )
    return cost


def _worst_chord(
    alphas: FloatArray, values: FloatArray, slack: float
) -> tuple[int, int, int] | None:
    """Return the ends of the segment and the place between that rises most above their chord."""
    gaps = values - (alphas * values[0] + (1 - alphas) * values[-1])
    worst = int(gaps[1:-1].argmax()) + 1
    return (0, worst, len(values) - 1) if gaps[worst] > slack else None


def _worst_middle(values: FloatArray, slack: float) -> tuple[int, int, int] | None:
    """Return two places and the one in their middle that rises most above their chord."""
    found, largest = None, slack
    for reach in range(1, (len(values) - 1) // 2 + 1):
        gaps = values[reach:-reach] - (values[: -2 * reach] + values[2 * reach :]) / 2
        worst = int(gaps.argmax())
        if gaps[worst] > largest:
            found, largest = (worst, worst + reach, worst + 2 * reach), gaps[worst]
    return found
