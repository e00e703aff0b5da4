"""scikit-learn's cost of a network, and the descent on it by fastgd's engine.

The cost of a batch B, as `sklearn.neural_network` defines it:

    J_B = (sum over i in B of w_i * l_i + alpha / 2 * sum of the squared weights) / sum of w_i

where biases are not penalised. The engine's losses are means over a sample's outputs, and its
squared error has no factor of one half; `Cost.factor` makes up for both. Estimators, checks and
messages belong in `_mlp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastgd import _layout
from fastgd._plan import Plan
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.backends import compiled
from fastgd.losses import LOSSES
from fastgd.optimizers import SGD, Adam, Optimizer, OptimizerState

__all__ = ["Cost", "Descent", "EfficientAdam", "Momentum", "mean_loss", "pack", "unpack"]


def pack(coefs: Sequence[FloatArray], intercepts: Sequence[FloatArray]) -> FloatArray:
    """Return the engine's flat vector: each layer's weights, row by row, then its biases."""
    parts = [np.ravel(part) for pair in zip(coefs, intercepts, strict=True) for part in pair]
    return np.concatenate(parts)


def unpack(sizes: Sequence[int], params: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return views on a flat vector, as ``coefs_`` and ``intercepts_``."""
    weights, biases = _layout.split(sizes, params)
    return list(weights), list(biases)


@dataclass(frozen=True)
class Momentum(SGD):
    """SGD as scikit-learn allows it: a momentum of 1, and Nesterov's of 0, too."""

    def __post_init__(self) -> None:
        """Leave the checks to the estimator's own."""


@dataclass(frozen=True)
class EfficientAdam(Adam):
    r"""Adam in the form of the last lines of section 2 of Kingma & Ba (2015, arXiv:1412.6980).

    The corrections of both averages are in the step size, so that epsilon is added to the
    uncorrected root: with t the number of the step,

    .. math::

        p \leftarrow p - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
        \frac{m}{\sqrt{v} + \epsilon}

    This is scikit-learn's; `fastgd.Adam` is torch's.
    """

    name: ClassVar[str] = "efficient_adam"

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        scalar, step = params.dtype.type, state.step
        beta1, beta2 = self.betas
        first, second = state.moments
        first += scalar(1 - beta1) * (gradient - first)
        second *= scalar(beta2)
        second += scalar(1 - beta2) * gradient * gradient
        rate = learning_rate * np.sqrt(1 - beta2**step) / (1 - beta1**step)
        params -= scalar(rate) * (first / (np.sqrt(second) + scalar(self.eps)))


class Cost:
    """The penalised cost of a network on data.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, the inputs first.
    hidden : sequence of str
        The engine's names of the hidden activations.
    loss : str
        The engine's name of the loss.
    alpha : float
        The factor of the penalty.
    X : ndarray of shape (n, sizes[0])
        Samples, C-contiguous.
    y : ndarray
        Targets: (n, sizes[-1]) of X's dtype, or (n,) class indices in int32.
    sample_weight : ndarray of shape (n,), optional
        Factors of the samples' losses.
    n_threads : int
        The most threads to use; 0 for as many as OpenMP would.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Sequence[str],
        loss: str,
        alpha: float,
        X: FloatArray,
        y: AnyArray,
        sample_weight: FloatArray | None,
        n_threads: int,
    ) -> None:
        self.sizes = tuple(sizes)
        self.alpha = alpha
        self.sample_weight = sample_weight
        self.factor, self._reported = _factors(loss, self.sizes[-1])
        self._constant = _poisson_constant(y) if loss == "poisson" else None
        weight = self._engine_weight(len(X), X.dtype.type)
        self.plan = Plan(
            sizes=self.sizes,
            hidden=tuple(hidden),
            loss=loss,
            optimizer=SGD(1.0),
            X=X,
            y=y,
            sample_weight=weight,
            batch_size=len(X),
            drop_last=False,
            reduction="sum",
            n_threads=n_threads,
        )
        self._evaluate = compiled.objective(self.plan)

    def _engine_weight(self, n: int, scalar: type) -> FloatArray | None:
        """Return the samples' weights times the factor; None where all are one."""
        if self.sample_weight is not None:
            return np.asarray(self.sample_weight * self.factor, scalar)
        return None if self.factor == 1 else np.full(n, self.factor, scalar)

    def value_and_gradient(
        self, params: FloatArray, batch: IndexArray
    ) -> tuple[float, float, FloatArray]:
        """Return a batch's cost as reported and as descended on, and the flat gradient."""
        total, gradient = self._evaluate(params, batch)
        weights, _ = _layout.split(self.sizes, params)
        slopes, _ = _layout.split(self.sizes, gradient)
        squares = 0.0
        for W, slope in zip(weights, slopes, strict=True):
            squares += float(np.vdot(W, W))
            slope += params.dtype.type(self.alpha) * W
        count = self._count(batch)
        gradient /= params.dtype.type(count)
        constant = 0.0 if self._constant is None else self._weighted(self._constant, batch)
        penalty = 0.5 * self.alpha * squares
        reported = (total * self._reported + constant + penalty) / count
        return reported, (total + constant + penalty) / count, gradient

    def _count(self, batch: IndexArray) -> float:
        """Return the sum of a batch's weights; 1 for a batch that does not count at all."""
        if self.sample_weight is None:
            return len(batch)
        return float(self.sample_weight[batch].sum()) or 1.0

    def _weighted(self, values: FloatArray, batch: IndexArray) -> float:
        if self.sample_weight is None:
            return float(values[batch].sum())
        return float(values[batch] @ self.sample_weight[batch])


def _factors(loss: str, outputs: int) -> tuple[float, float]:
    """Return what makes the engine's loss the one descended on, and that the one reported.

    The engine's is a mean over the outputs, and its squared error has no factor of one half. A
    squared error (and its kin) is reported as a mean over the outputs, though its slope is a
    sum's: so it is in scikit-learn.
    """
    if LOSSES[loss].targets == "class":
        return 1.0, 1.0
    if LOSSES[loss].targets == "real":
        return outputs / 2 if loss == "squared_error" else float(outputs), 1 / outputs
    return float(outputs), 1.0


def mean_loss(
    loss: str, z: FloatArray, targets: AnyArray, sample_weight: FloatArray | None
) -> float:
    """Return the loss as it is reported, without the penalty, of raw outputs (n, outputs)."""
    factor, reported = _factors(loss, z.shape[1])
    y = targets.astype(z.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        values = LOSSES[loss].value(z, y).astype(np.float64) * (factor * reported)
    if loss == "poisson":
        values += _poisson_constant(y)
    return float(np.average(values, weights=sample_weight))


def _poisson_constant(y: FloatArray) -> FloatArray:
    """Return y log(y) - y, summed over the outputs: what the deviance has and the loss has not."""
    y = np.asarray(y, np.float64)
    logarithm = np.log(np.where(y > 0, y, 1.0))
    result: FloatArray = (y * logarithm - y).sum(axis=1)
    return result


class Descent:
    """Epochs of mini-batches on a cost.

    Parameters
    ----------
    cost : Cost
        What is made small.
    optimizer : Optimizer
        How parameters move.
    batch_size : int
        Samples a batch.
    params : ndarray of shape (n_params,)
        Is moved in place.
    state : OptimizerState
        Is moved on in place.
    """

    def __init__(
        self,
        cost: Cost,
        optimizer: Optimizer,
        batch_size: int,
        params: FloatArray,
        state: OptimizerState,
    ) -> None:
        self._cost = cost
        self._optimizer = optimizer
        self._batch_size = batch_size
        self._params = params
        self._state = state

    def count_steps(self, n: int) -> int:
        """Return the steps of an epoch over n samples."""
        return -(-n // self._batch_size)

    def epoch(self, order: IndexArray, learning_rate: float | FloatArray) -> float:
        """Run one epoch; return the mean cost, each batch's as it was before its step.

        A mean that is not finite says that the epoch diverged.
        """
        total = 0.0
        rates = np.broadcast_to(learning_rate, self.count_steps(len(order)))
        with np.errstate(all="ignore"):
            for step, rate in enumerate(rates):
                batch = order[step * self._batch_size : (step + 1) * self._batch_size]
                value, _, gradient = self._cost.value_and_gradient(self._params, batch)
                total += value * len(batch)
                if not np.isfinite(total):
                    return total
                self._optimizer.update(self._params, gradient, self._state, rate)
        return total / len(order) if np.isfinite(self._params).all() else float("nan")
