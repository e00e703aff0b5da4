"""What a landscape is: a cost of few parameters, the mean of terms that have gradients.

The costs themselves stand in `_costs`.
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
        gradients = self.gradients(self._points(theta), self._batch(samples))
        mean: FloatArray = gradients.mean(axis=-2)
        return mean

    def _batch(self, samples: ArrayLike | None) -> IndexArray:
        """Return the numbers of a batch's terms; all of them where none are given."""
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
        """Up to which learning rate batch gradient descent stays at the minima.

        Near a minimum the error along each axis of curvature h is multiplied by 1 - rate * h at
        each step, so that it shrinks for rates below 2 / h; h is the largest at any minimum
        (Nesterov 2004, Introductory Lectures on Convex Optimization, section 1.2.3).
        """
        return 2 / max(float(np.linalg.eigvalsh(self.hessian(m))[-1]) for m in self.minima)

    def escaped(self, theta: ArrayLike) -> NDArray[np.bool_]:
        """Return which points have left the saddle for a minimum.

        They are nearer to the minimum than to the saddle, and than the saddle is.

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
    """Return numbers of terms, of shape (batch,)."""
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
