"""The costs: quintic, saddle, bowl and Rosenbrock's valley, with their saddles and minima."""

from __future__ import annotations

import abc
import math

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data, _validation
from fastgd._typing import FloatArray, IndexArray, RngLike
from fastgd.landscapes._landscape import Landscape

__all__ = ["Bowl", "Quintic", "Rosenbrock", "Saddle"]


def _constant(values: ArrayLike) -> FloatArray:
    """Return a read-only array, since all landscapes of a class share it."""
    array = np.array(values, np.float64)
    array.flags.writeable = False
    return array


def _balanced(n: int, n_params: int, spread: float, rng: np.random.Generator) -> FloatArray:
    """Draw n points between -spread and spread whose sum is 0, exactly and in any order.

    Every point comes with its negative (and 0 for odd n). All are multiples of one power of two,
    so that their sums are exact and rounding adds no slope to batch gradient descent.
    """
    quantum = 2.0 ** max(math.frexp(spread)[1] - 30, -1074)  # -1074: the smallest subnormal
    half = np.rint(rng.uniform(-spread, spread, (n // 2, n_params)) / quantum) * quantum
    points = np.concatenate([half, -half, np.zeros((n % 2, n_params))])
    return points[rng.permutation(n)]


class _Tilted(Landscape):
    """A known cost; term i is this cost plus the tilt a_i . theta. The tilts sum to 0."""

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

    A single term has no such saddle: if a_i < 0, its slope is negative all the way to a minimum
    on the right, and if a_i > 0, it has its own minimum and maximum near -3/2. This is why small
    batches get past the saddle. If the spread is at most 3/4, all terms fall from -3.65 to -2.78,
    and steps with rates below 0.64 are too short to cross that to the left: they cannot reach the
    maximum at -4, beyond which the cost is unbounded.

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
        u = self._point(theta) + 1.5
        return np.atleast_2d(u * (4 * u * u - 12.5) / 10)


class Saddle(_Tilted):
    r"""Two valleys in two dimensions with a saddle between them.

    .. math::

        J(x, y) = \frac{(x^2 - 1)^2}{4} + \frac{y^2}{2}, \qquad
        f_i(x, y) = J(x, y) + a_i x + b_i y, \quad \sum_i a_i = \sum_i b_i = 0 .

    The minima are (-1, 0) and (1, 0), the saddle is (0, 0). On the line x = 0 the cost's slope in
    x is 0. Batch gradient descent that starts there ends in the saddle, while any deviation from
    the line grows by the factor 1 + learning rate per step (Jin et al. 2017, arXiv:1703.00887,
    add noise for this purpose).

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
        x, _ = self._point(theta)
        return np.diag([3 * x * x - 1, 1.0])


class Bowl(Landscape):
    r"""A quadratic bowl of a given condition number.

    .. math::

        f_i(\theta) = \frac{1}{2} (\theta - c_i)^T H (\theta - c_i), \quad \sum_i c_i = 0, \qquad
        J(\theta) = \frac{1}{2} \theta^T H \theta + J(0) .

    The terms' minima c_i lie around the cost's minimum at 0, so single samples pull in different
    directions there.
    The curvatures (eigenvalues of H) go from 1 down to 1 / condition in equal ratios. Batch
    gradient descent with the best constant learning rate reduces the error by the factor
    (condition - 1) / (condition + 1) per step (Nesterov 2004, Introductory Lectures on Convex
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
        losses: FloatArray = (away * self._times_hessian(away)).sum(axis=-1) / 2
        return losses

    def gradients(self, theta: FloatArray, samples: IndexArray) -> FloatArray:
        """Return the gradients of some of the terms; see `Landscape.gradients`."""
        return self._times_hessian(theta[..., None, :] - self.centres[samples])

    def _times_hessian(self, away: FloatArray) -> FloatArray:
        # not @: its order of summation depends on the number of points
        product: FloatArray = (away[..., None, :] * self._hessian).sum(axis=-1)
        return product

    def hessian(self, theta: ArrayLike) -> FloatArray:
        """Return the cost's second derivatives, the same everywhere; see `Landscape.hessian`."""
        self._point(theta)
        return self._hessian.copy()


def _check_axes(axes: ArrayLike | None, n_params: int) -> FloatArray:
    """Return the directions of the curvatures, as columns; the coordinate axes for None."""
    if axes is None:
        return np.eye(n_params)
    array = _data.check_numbers("axes", axes).astype(np.float64)
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

    in d parameters. Each k gives two of the n = 2 (d - 1) terms, its two squares times n, so that
    the mean of the terms is J. The minimum (1, ..., 1) is also a minimum of every term: there the
    noise vanishes, and small batches converge with a constant learning rate. (With four or more
    parameters there is a second, shallower minimum near (-1, 1, ..., 1), which `minima` does not
    list.)

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
        """Return the terms' residuals, and their slopes in theta_k and theta_k+1."""
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
        point = self._point(theta)
        here, beyond = point[:-1], point[1:]
        diagonal = np.zeros(self.n_params)
        diagonal[:-1] = 1200 * here * here - 400 * beyond + 2
        diagonal[1:] += 200
        return np.diag(diagonal) + np.diag(-400 * here, 1) + np.diag(-400 * here, -1)
