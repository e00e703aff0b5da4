"""The base class of landscapes: costs of few parameters, each the mean of terms with gradients.

For the costs themselves see `_costs`.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgd import _data, _words
from fastgd._typing import FloatArray, IndexArray

__all__ = ["Landscape"]


class Landscape(abc.ABC):
    """A cost of few parameters, the mean of n terms; use a subclass, or write one.

    A subclass sets the attributes and defines `losses`, `gradients` and `hessian`. The methods
    take many parameter vectors at once: these lie along the last axis, after any other axes.

    Attributes
    ----------
    n : int
        The number of terms.
    n_params : int
        The number of parameters.
    start : ndarray of shape (n_params,)
        The default initial parameters of a descent.
    minima : ndarray of shape (n_minima, n_params)
        The cost's minima.
    saddle : ndarray of shape (n_params,), or None
        A point where its slope vanishes without a minimum or maximum.
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
            The terms' indices, from 0 to n - 1; with one axis, the same for all parameter vectors.

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
        gradients = self.gradients(self._points(theta), self._batch(samples))
        mean: FloatArray = gradients.mean(axis=-2)
        return mean

    def _batch(self, samples: ArrayLike | None) -> IndexArray:
        """Return the indices of a batch's terms; all of them for None."""
        return np.arange(self.n) if samples is None else _check_terms(samples, self.n)

    def _points(self, theta: ArrayLike) -> FloatArray:
        """Return parameter vectors, of shape (..., n_params), in float64."""
        points = np.atleast_1d(_data.check_numbers("theta", theta).astype(np.float64))
        if points.shape[-1] != self.n_params:
            raise ValueError(
                f"theta has shape {np.shape(theta)}, but its last axis must hold the "
                f"{_words.count(self.n_params, 'parameter')} of {self!r}"
            )
        return points

    def _point(self, theta: ArrayLike) -> FloatArray:
        """Return one parameter vector, of shape (n_params,), in float64."""
        point = self._points(theta)
        if point.ndim != 1:
            raise ValueError(
                f"theta has shape {point.shape}, but the second derivatives are those at one "
                f"point, of shape ({self.n_params},)"
            )
        return point

    @property
    def largest_learning_rate(self) -> float:
        """The largest learning rate at which batch gradient descent stays at the minima.

        Near a minimum the error along each axis of curvature h is multiplied by 1 - rate * h at
        each step, so it shrinks for rates below 2 / h (Nesterov 2004, Introductory Lectures on
        Convex Optimization, section 1.2.3). The bound uses the largest h at any minimum.
        """
        return 2 / max(float(np.linalg.eigvalsh(self.hessian(m))[-1]) for m in self.minima)

    def escaped(self, theta: ArrayLike) -> NDArray[np.bool_]:
        """Return which points have left the saddle for a minimum.

        A point has left if it is nearer to the minimum than to the saddle, and nearer to the
        minimum than the saddle is.

        Parameters
        ----------
        theta : array_like of shape (..., n_params)
            Parameters; one number where there is only one parameter.

        Returns
        -------
        ndarray of bool, of shape (...)

        Raises
        ------
        ValueError
            When the landscape has no saddle.
        """
        if self.saddle is None:
            raise ValueError(f"{self!r} has no saddle to escape from: use Quintic or Saddle")
        theta = self._points(theta)
        to_minima = np.linalg.norm(theta[..., None, :] - self.minima, axis=-1)
        to_saddle = np.linalg.norm(theta - self.saddle, axis=-1)[..., None]
        reach = np.minimum(to_saddle, np.linalg.norm(self.minima - self.saddle, axis=-1))
        away: NDArray[np.bool_] = (to_minima < reach).any(axis=-1)
        return away


def _check_terms(samples: ArrayLike, n: int) -> IndexArray:
    """Return indices of terms, of shape (batch,)."""
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
