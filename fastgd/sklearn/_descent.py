"""scikit-learn's cost of a network, minimised by fastgd's engine.

The cost of a batch B, as `sklearn.neural_network` defines it:

    J_B = (sum over i in B of w_i * l_i + alpha / 2 * sum of the squared weights) / sum of w_i

where biases are not penalised. The engine's losses are means over a sample's outputs, and its
squared error has no factor of one half; `Cost.factor` corrects both. For the estimators, their
checks and messages see `_perceptron` and `_mlp`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fastgd import _layout
from fastgd._plan import Plan
from fastgd._trace import Trace
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.backends import compiled
from fastgd.batches import sum_of_weights
from fastgd.losses import LOSSES, REAL
from fastgd.optimizers import SGD, Adam, OptimizerState
from fastgd.rows import Rows

__all__ = [
    "Cost",
    "VELOCITY_OF",
    "EfficientAdam",
    "Momentum",
    "Reported",
    "mean_loss",
    "pack",
    "unpack",
]

#: maps torch's momentum kernels to those whose velocity includes the learning rate
VELOCITY_OF = {"momentum": "velocity", "nesterov": "nesterov_velocity"}


def pack(coefs: Sequence[FloatArray], intercepts: Sequence[FloatArray]) -> FloatArray:
    """Return the engine's flat vector: each layer's weights, row by row, then its biases.

    It is float32 if all of them are, else float64.
    """
    parts = [np.ravel(part) for pair in zip(coefs, intercepts, strict=True) for part in pair]
    flat = np.concatenate(parts)
    return flat if flat.dtype == np.float32 else flat.astype(np.float64, copy=False)


def unpack(sizes: Sequence[int], params: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return views on a flat vector, in the form of ``coefs_`` and ``intercepts_``."""
    weights, biases = _layout.split(sizes, params)
    return list(weights), list(biases)


@dataclass(frozen=True)
class Momentum(SGD):
    r"""SGD with scikit-learn's momentum, whose velocity includes the learning rate.

    .. math:: v \leftarrow \mu v - \eta g, \quad p \leftarrow p + v

    and with Nesterov's momentum :math:`p \leftarrow p + \mu v - \eta g`. A new learning rate
    affects later gradients only, while in torch's form, `fastgd.SGD`, it scales the whole velocity.
    A momentum of 1 is allowed, and so is 0 with Nesterov's.
    """

    def __post_init__(self) -> None:
        """Skip the checks: the estimator has made its own."""

    @property
    def kernel(self) -> str:
        """The kernel of the form in use."""
        return VELOCITY_OF.get(super().kernel, super().kernel)

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        step: FloatArray = params.dtype.type(-learning_rate) * gradient
        if self.momentum:
            mu = params.dtype.type(self.momentum)
            velocity = state.moments[0]
            velocity *= mu
            velocity += step
            step = step + mu * velocity if self.nesterov else velocity
        params += step


@dataclass(frozen=True)
class EfficientAdam(Adam):
    r"""Adam in the form of the last lines of section 2 of Kingma & Ba (2015, arXiv:1412.6980).

    The corrections of both averages are part of the step size, so epsilon is added to the
    uncorrected root. With t the number of the step,

    .. math::

        p \leftarrow p - \eta \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
        \frac{m}{\sqrt{v} + \epsilon}

    This is scikit-learn's form; `fastgd.Adam` has torch's.
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
        first, second = self._averages(gradient, state)
        rate = learning_rate * np.sqrt(1 - beta2**step) / (1 - beta1**step)
        params -= scalar(rate) * (first / (np.sqrt(second) + scalar(self.eps)))


class Cost:
    """The penalised cost of a network on data.

    Data, sizes and names are those of a `fastgd._plan.Plan`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Sequence[str],
        loss: str,
        alpha: float,
        X: Rows,
        y: AnyArray,
        sample_weight: FloatArray | None,
        batch_size: int,
        n_threads: int,
    ) -> None:
        self.sizes = tuple(sizes)
        self.alpha = alpha
        self.sample_weight = sample_weight
        self.factor, self.reported = _factors(loss, self.sizes[-1])
        self.constant = _poisson_constant(y) if loss == "poisson" else None
        weight = self._engine_weight(len(y), X.dtype.type)
        self.plan = Plan(
            sizes=self.sizes,
            hidden=tuple(hidden),
            loss=loss,
            optimizer=SGD(1.0),
            X=X,
            y=y,
            sample_weight=weight,
            batch_size=batch_size,
            drop_last=False,
            reduction="sum",
            n_threads=n_threads,
            mean_weight=sample_weight,
        )
        self._evaluate = compiled.objective(self.plan)

    def _engine_weight(self, n: int, scalar: type) -> FloatArray | None:
        """Return the samples' weights times the factor; None if all are 1."""
        if self.sample_weight is not None:
            return np.asarray(self.sample_weight * self.factor, scalar)
        return None if self.factor == 1 else np.full(n, self.factor, scalar)

    def value_and_gradient(self, params: FloatArray) -> tuple[float, float, FloatArray]:
        """Return the cost over all samples, as reported and as minimised, and its gradient."""
        order = np.arange(self.n_samples, dtype=np.int64)
        total, gradient = self._evaluate(params, order)
        squares = 0.0
        weights, slopes = (_layout.split(self.sizes, flat)[0] for flat in (params, gradient))
        for W, slope in zip(weights, slopes, strict=True):
            squares += float(np.square(W).sum())
            slope += params.dtype.type(self.alpha) * W
        everything = np.array([0, self.n_samples])
        count = float(self.counts(order, everything)[0])
        gradient /= params.dtype.type(count)
        rest = float(self.constants(order, everything)[0]) + 0.5 * self.alpha * squares
        return (total * self.reported + rest) / count, (total + rest) / count, gradient

    @property
    def arrays(self) -> list[Any]:
        """The arrays that the engine reads between callbacks, which must stay in place."""
        X, y, weight = self.plan.X, self.plan.y, self.plan.sample_weight
        return [*getattr(X, "arrays", (X,)), y, weight, self.sample_weight]

    @property
    def n_samples(self) -> int:
        """The number of samples."""
        return len(self.plan.X)

    def counts(self, order: IndexArray, bounds: IndexArray) -> FloatArray:
        """Return the sum of each batch's weights; 1 if all of them are 0."""
        if self.sample_weight is None:
            return np.diff(bounds).astype(np.float64)
        return sum_of_weights(self.sample_weight, order, bounds)

    def constants(self, order: IndexArray, bounds: IndexArray) -> FloatArray:
        """Return the constants to add to the engine's summed loss of each batch."""
        if self.constant is None:
            return np.zeros(len(bounds) - 1)
        values = self.constant[order]
        if self.sample_weight is not None:
            values = values * self.sample_weight[order]
        sums: FloatArray = np.add.reduceat(values, bounds[:-1])
        return sums


def _factors(loss: str, outputs: int) -> tuple[float, float]:
    """Return two factors: minimised loss / engine's loss, and reported loss / minimised loss.

    The engine's loss is a mean over the outputs, and its squared error has no factor of one half.
    As in scikit-learn, losses of real targets are minimised as a sum over the outputs, but reported
    as a mean.
    """
    if LOSSES[loss].targets.indices:
        return 1.0, 1.0
    if LOSSES[loss].targets is REAL:
        return outputs / 2 if loss == "squared_error" else float(outputs), 1 / outputs
    return float(outputs), 1.0


def mean_loss(
    loss: str, z: FloatArray, targets: AnyArray, sample_weight: FloatArray | None
) -> float:
    """Return the reported loss of raw outputs (n, outputs), without the penalty."""
    factor, reported = _factors(loss, z.shape[1])
    y = targets.astype(z.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        values = LOSSES[loss].value(z, y).astype(np.float64) * (factor * reported)
    if loss == "poisson":
        values += _poisson_constant(y)
    return float(np.average(values, weights=sample_weight))


def _poisson_constant(y: FloatArray) -> FloatArray:
    """Return y log(y) - y, summed over the outputs: half the deviance minus the loss."""
    y = np.asarray(y, np.float64)
    logarithm = np.log(np.where(y > 0, y, 1.0))
    result: FloatArray = (y * logarithm - y).sum(axis=1)
    return result


class Reported:
    """The compiled backend with scikit-learn's cost as the result of an epoch.

    `begin_epoch` is called before each.
    """

    def __init__(self, cost: Cost, begin_epoch: Callable[[], None]) -> None:
        self._cost = cost
        self._begin_epoch = begin_epoch

    def start(
        self, plan: Plan, params: FloatArray, state: OptimizerState, rng: np.random.Generator
    ) -> Callable[..., float]:
        """Return the function that runs an epoch; see `fastgd.backends`.

        It returns the sum over the samples of their batch's cost, computed before its step.
        """
        run, cost = compiled.start(plan, params, state, rng), self._cost

        def epoch(
            order: IndexArray,
            rates: FloatArray,
            trace: Trace | None = None,
            bounds: IndexArray | None = None,
        ) -> float:
            self._begin_epoch()
            ends = plan.bounds(len(order))
            losses, penalties = np.empty(len(rates)), np.empty(len(rates))
            total = run(order, rates, Trace(1, loss=losses, penalty=penalties))
            if not np.isfinite(total):
                return total
            sizes = np.diff(ends)
            data = (losses - penalties) * sizes * cost.reported + cost.constants(order, ends)
            costs = (data + penalties * sizes) / cost.counts(order, ends)
            return float((costs * sizes).sum())

        return epoch
