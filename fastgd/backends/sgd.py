"""The steps of scikit-learn's linear SGD estimators: dense or compressed rows, lazy penalties.

It has ``start`` as the other backends do (see `fastgd.backends`), with a plan and a state of its
own. What differs: rows may be a CSR matrix, a step may be passive-aggressive, batches have one
size, and nothing is traced. Parameters are trained in place also in an epoch that diverges or is
interrupted: whoever needs them then keeps a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.engine.sgd import Stepper, padded
from fastgd.engine.side_by_side import is_stopped
from fastgd.optimizers import Optimizer

__all__ = ["Params", "Plan", "State", "padded_layout", "initial_state", "start"]

Params = tuple[FloatArray, Any]  # weights and intercept; for a softmax a matrix and a vector


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What the steps need; the arrays as `fastgd.engine.sgd.Stepper` takes them.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features), or tuple
        Dense rows, or (data, indices, indptr, n_features) of a CSR matrix.
    targets : ndarray
        One a sample, or probabilities of the classes.
    sample_weight : ndarray of shape (n,), or None
        Factors of the samples' losses.
    n_outputs : int
        1, or how many the softmax has.
    loss : str
        The kernel's name.
    parameter : float
        Of the loss.
    l1, l2 : float
        Strengths of the penalties.
    rule : {"given", "pa1", "pa2"}
        How long a step is.
    intercept_rate : float
        The intercept's learning rate over the weights'; 0 leaves it alone.
    average_from : int
        The first step that the average counts; 0 for no average.
    batch_size : int
        Samples a step.
    optimizer : Optimizer
        Has the learning rate.
    drop_last : bool
        Whether to drop an incomplete last batch.
    reduction : str
        A step takes the mean of its batch.
    """

    rows: Any
    targets: AnyArray
    sample_weight: AnyArray | None
    n_outputs: int
    loss: str
    parameter: float
    l1: float
    l2: float
    rule: str
    intercept_rate: float
    average_from: int
    batch_size: int
    optimizer: Optimizer
    drop_last: bool = False
    reduction: str = "mean"

    @property
    def n_features(self) -> int:
        """Columns of the rows."""
        return int(self.rows[3] if isinstance(self.rows, tuple) else self.rows.shape[1])


@dataclass
class State:
    """What steps change beside the weights.

    For one output, the weights, `average` and `l1_applied` are vectors of padded(n_features)
    elements. For softmax they have the shape (n_features, padded(n_outputs)), and the intercepts
    are vectors.

    Attributes
    ----------
    average, average_intercepts : ndarray, or None
        The sums from which `averaged` computes the averages.
    l1_applied : ndarray, or None
        The L1 penalty applied to each weight so far.
    intercepts : ndarray, or None
        Those of a softmax.
    numbers : tuple of float
        As `fastgd.engine.sgd.Stepper.set_numbers` takes them.
    objective : float
        The last epoch's sum of losses and penalties, as its steps saw them.
    """

    average: FloatArray | None
    l1_applied: FloatArray | None
    intercepts: FloatArray | None
    average_intercepts: FloatArray | None
    numbers: tuple[float, ...]
    objective: float = math.nan

    @property
    def next_step(self) -> float:
        """The number of the next step, from 1."""
        return self.numbers[7]

    @property
    def norm(self) -> float:
        """The norm of the weights that the last step met."""
        return math.sqrt(self.numbers[5])

    def params(self, plan: Plan, weights: FloatArray) -> Params:
        """Return weights, a view of shape (d,) or (n_outputs, d), and intercept."""
        if self.intercepts is None:
            return weights[: plan.n_features], self.numbers[0]
        return weights[:, : plan.n_outputs].T, self.intercepts[: plan.n_outputs]

    def averaged(self, plan: Plan, weights: FloatArray) -> Params:
        """Return the same on average."""
        assert self.average is not None
        scalar = weights.dtype.type
        _, intercept, a, b, *_ = self.numbers
        average = (self.average + scalar(a) * weights) * scalar(1 / b)
        if self.average_intercepts is None:
            return average[: plan.n_features], intercept
        return average[:, : plan.n_outputs].T, self.average_intercepts[: plan.n_outputs]


def padded_layout(values: FloatArray, softmax: bool, dtype: Any) -> FloatArray:
    """Return weights of shape (d,) or (n_outputs, d), or intercepts, as the kernels keep them."""
    rows = values.T if softmax and values.ndim == 2 else values
    out = np.zeros((*rows.shape[:-1], padded(rows.shape[-1])), dtype)
    out[..., : rows.shape[-1]] = rows
    return out


def initial_state(
    start: Params, average: Params | None, l1: float, step: float
) -> tuple[FloatArray, State]:
    """Return weights as the kernels keep them, and the state before step number `step`.

    Parameters
    ----------
    start : (ndarray of shape (d,) or (n_outputs, d), float or ndarray of shape (n_outputs,))
        Weights and intercepts.
    average : the same, or None
        On average so far, where an average is wanted.
    l1 : float
        Strength of the penalty.
    step : float
        The number of the first step, from 1.
    """
    coef, intercept = start
    softmax, dtype = coef.ndim == 2, coef.dtype
    weights = padded_layout(coef, softmax, dtype)
    kept = None if average is None else padded_layout(average[0], softmax, dtype)
    means = padded_layout(np.asarray(average[1]), True, dtype) if softmax and average else None
    numbers = (
        0.0 if softmax else float(intercept),
        0.0 if softmax or average is None else float(average[1]),
        0.0,  # average_a
        1.0,  # average_b
        0.0,  # owed
        float(np.square(weights).sum()),
        float(np.abs(weights).sum()),
        step,
    )
    return weights, State(
        average=kept,
        l1_applied=np.zeros_like(weights) if l1 else None,
        intercepts=padded_layout(np.asarray(intercept), True, dtype) if softmax else None,
        average_intercepts=means,
        numbers=numbers,
    )


def start(
    plan: Plan, params: FloatArray, state: State, rng: np.random.Generator
) -> Callable[..., float]:
    """Return the function that runs one epoch; see `fastgd.backends`."""
    stepper = Stepper(
        plan.rows,
        plan.targets,
        plan.sample_weight,
        params,
        state.average,
        state.l1_applied,
        loss=plan.loss,
        parameter=plan.parameter,
        l1=plan.l1,
        l2=plan.l2,
        rule=plan.rule,
        intercept_rate=plan.intercept_rate,
        average_from=plan.average_from,
        batch_size=plan.batch_size,
        intercepts=state.intercepts,
        average_intercepts=state.average_intercepts,
        n_outputs=plan.n_outputs,
    )
    stepper.set_numbers(*state.numbers)

    def epoch(
        order: IndexArray, rates: FloatArray, trace: None = None, bounds: None = None
    ) -> float:
        loss, penalty, finite = stepper.epoch(order, rates, is_stopped)
        state.numbers = stepper.numbers()
        # passive-aggressive steps minimise the loss alone
        state.objective = loss + penalty if plan.rule == "given" else loss
        return loss if finite else math.nan

    return epoch
