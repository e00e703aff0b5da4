"""One output of an SGD estimator while it is trained: its steps, its curves, and when it stops.

An estimator has one of these for each number that it predicts: one for a regressor and for two
classes, one a class for one-versus-rest. What they share is in `Settings`; input was checked by the
estimator, arithmetic is in fastgd/_sgd.pyx.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastgd._sgd import Descent, padded, shuffle
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.sklearn._margins import LOSSES

__all__ = ["Output", "Settings", "State"]

SPARSE_INTERCEPT_RATE = 0.01  # of the weights' learning rate, for compressed rows
LEAST_ADAPTIVE_RATE = 1e-6

Score = Callable[[AnyArray, float], float]


@dataclass(frozen=True)
class Settings:
    """What an estimator's parameters mean for the steps."""

    loss: str
    parameter: float
    l1: float
    l2: float
    rates: tuple[Any, ...]
    eta0: float
    adaptive: bool
    fit_intercept: bool
    average_from: int  # 0: no averaging
    batch_size: int
    shuffle: bool
    early_stopping: bool
    tol: float  # -inf: never stop early
    patience: int
    verbose: int
    restore_best: bool

    @classmethod
    def of(cls, estimator: Any, n_samples: int) -> Settings:
        """Return the settings that an estimator's parameters make, for n_samples to train on."""
        e = estimator
        known = LOSSES[e.loss]
        parameter = e.epsilon if known.parameter is None else known.parameter
        ratio = {"l1": 1.0, "l2": 0.0, "elasticnet": e.l1_ratio, None: 0.0}[e.penalty]
        strength = 0.0 if e.penalty is None else e.alpha
        batch_size = n_samples if e.batch_size is None else min(e.batch_size, n_samples)
        return cls(
            loss=e.loss,
            parameter=float(parameter),
            l1=float(strength * ratio),
            l2=float(strength * (1 - ratio)),
            rates=_rates(e, float(parameter)),
            eta0=float(e.eta0),
            adaptive=e.learning_rate == "adaptive",
            fit_intercept=bool(e.fit_intercept),
            average_from=int(e.average),
            batch_size=max(1, batch_size),
            shuffle=bool(e.shuffle),
            early_stopping=bool(e.early_stopping),
            tol=-math.inf if e.tol is None else float(e.tol),
            patience=int(e.n_iter_no_change),
            verbose=0 if isinstance(e.verbose, str) else int(e.verbose),
            restore_best=False,
        )


def _rates(estimator: Any, parameter: float) -> tuple[Any, ...]:
    """Return the learning rates' kind and numbers, as `fastgd._sgd.Descent` takes them."""
    kind, alpha = estimator.learning_rate, float(estimator.alpha)
    if kind == "optimal":
        # Bottou's heuristic: the first step is as long as a typical weight is large.
        typical = math.sqrt(1 / math.sqrt(alpha))
        slope = float(LOSSES[estimator.loss].slope(1.0, np.float64(-typical), parameter))
        first = typical / max(1.0, slope)
        return "optimal", alpha, 1 / (first * alpha)
    if kind == "invscaling":
        return "invscaling", float(estimator.power_t)
    return (kind if kind in ("pa1", "pa2") else "constant",)


@dataclass
class State:
    """All that the next epoch depends on, besides data and settings.

    Vectors are padded (`fastgd._sgd.padded`).
    """

    weights: FloatArray
    average: FloatArray | None
    paid: FloatArray | None  # to L1
    numbers: tuple[float, ...]  # of Descent.numbers
    seed: int
    eta: float
    order: IndexArray | None = None
    stale: int = 0  # epochs without improvement
    best: float = math.inf  # the least objective, or minus the best score
    best_params: tuple[FloatArray, float] | None = None

    def copy(self) -> State:
        """Return a copy that shares no memory which training writes to."""
        return replace(
            self,
            weights=self.weights.copy(),
            average=None if self.average is None else self.average.copy(),
            paid=None if self.paid is None else self.paid.copy(),
            order=None if self.order is None else self.order.copy(),
        )


def initial_state(
    settings: Settings,
    coef: FloatArray,
    intercept: float,
    average: tuple[FloatArray, float] | None,
    t: float,
    seed: int,
) -> State:
    """Return the state of an output before its first epoch."""
    n = padded(len(coef))

    def pad(values: FloatArray) -> FloatArray:
        out = np.zeros(n, coef.dtype)
        out[: len(coef)] = values
        return out

    weights = pad(coef)
    squares, sizes = float(np.square(weights).sum()), float(np.abs(weights).sum())
    return State(
        weights=weights,
        average=None if average is None else pad(average[0]),
        paid=np.zeros_like(weights) if settings.l1 else None,
        numbers=(
            intercept,
            0.0 if average is None else average[1],
            0.0,
            1.0,
            0.0,
            squares,
            sizes,
            t,
        ),
        seed=seed,
        eta=settings.eta0,
    )


class Output:
    """One output and the data that it is trained on.

    Parameters
    ----------
    settings : Settings
        Of the estimator.
    X : ndarray of shape (n, d), or (data, indices, indptr, d)
        The rows, as `fastgd._sgd.Descent` takes them.
    y, sample_weight : ndarray of shape (n,)
        Targets as the loss takes them; weights, or None.
    state : State
        Where to begin; it is trained in place.
    held_out : ndarray of bool of shape (n,), optional
        Rows that are not trained on.
    score : callable, optional
        Returns the score of (coef, intercept) on data for validation.
    """

    def __init__(
        self,
        settings: Settings,
        X: Any,
        y: AnyArray,
        sample_weight: AnyArray | None,
        state: State,
        held_out: AnyArray | None = None,
        score: Score | None = None,
    ) -> None:
        self.settings, self.state, self.score, self.held_out = settings, state, score, held_out
        self.n_features = X[3] if isinstance(X, tuple) else X.shape[1]
        self.n_train = len(y) - (0 if held_out is None else int(held_out.sum()))
        slow = SPARSE_INTERCEPT_RATE if isinstance(X, tuple) else 1.0
        self.descent = Descent(
            X,
            y,
            sample_weight,
            state.weights,
            state.average,
            state.paid,
            loss=settings.loss,
            parameter=settings.parameter,
            l1=settings.l1,
            l2=settings.l2,
            rates=settings.rates,
            intercept_rate=slow if settings.fit_intercept else 0.0,
            average_from=settings.average_from,
            batch_size=settings.batch_size,
        )
        self.descent.set_numbers(*state.numbers)
        if state.order is None or len(state.order) != len(y):
            state.order = np.arange(len(y), dtype=np.uint32)
        self.active = True
        self.n_iter = 0
        self.loss_curve: list[float] = []
        self.scores: list[float] = []
        self.begun = time.perf_counter()

    @property
    def coef(self) -> FloatArray:
        """The weights, a view."""
        return self.state.weights[: self.n_features]

    @property
    def intercept(self) -> float:
        """The bias."""
        return self.descent.intercept

    @property
    def average(self) -> tuple[FloatArray, float]:
        """The averaged weights and the averaged bias."""
        state = self.state
        assert state.average is not None
        _, intercept, a, b, *_ = state.numbers
        average = (state.average + state.weights.dtype.type(a) * state.weights) / b
        return average[: self.n_features].astype(state.weights.dtype), intercept

    def epoch(self, stop: Callable[[], bool] | None = None) -> None:
        """Run one epoch, and see whether it was the last."""
        settings, state = self.settings, self.state
        assert state.order is not None
        if settings.verbose:
            print(f"-- Epoch {self.n_iter + 1}")
        if settings.shuffle:
            shuffle(state.order, state.seed)
        order = state.order
        if self.held_out is not None:
            order = order[~self.held_out[order]]
        loss, penalty, finite = self.descent.epoch(order, state.eta, stop)
        self.n_iter += 1
        if not finite:
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{self.n_iter}. Scaling input "
                "data with StandardScaler or MinMaxScaler might help."
            )
        if settings.rates[0] in ("pa1", "pa2"):
            penalty = 0.0
        self.loss_curve.append(loss / self.n_train)
        self._judge((loss + penalty) / self.n_train)
        state.numbers = self.descent.numbers()

    def _judge(self, objective: float) -> None:
        """Count epochs without improvement; lower an adaptive rate, or stop."""
        settings, state = self.settings, self.state
        if self.score is not None:
            self.scores.append(self.score(self.coef, self.intercept))
        value = -self.scores[-1] if settings.early_stopping and self.scores else objective
        if settings.verbose:
            self._report(objective)
        stale = settings.tol > -math.inf and value > state.best - settings.tol
        state.stale = state.stale + 1 if stale else 0
        if settings.restore_best and self.scores and self.scores[-1] >= max(self.scores):
            state.best_params = self.coef.copy(), self.intercept
        state.best = min(state.best, value)
        if state.stale < settings.patience:
            return
        if settings.adaptive and state.eta > LEAST_ADAPTIVE_RATE:
            state.eta /= 5
            state.stale = 0
            return
        self.active = False
        if settings.verbose:
            seconds = time.perf_counter() - self.begun
            print(f"Convergence after {self.n_iter} epochs took {seconds:.2f} seconds")

    def _report(self, objective: float) -> None:
        score = f", Validation score: {self.scores[-1]:f}" if self.scores else ""
        print(
            f"Norm: {self.descent.norm:.2f}, NNZs: {np.count_nonzero(self.coef)}, "
            f"Bias: {self.intercept:.6f}, T: {self.n_iter * self.n_train}, "
            f"Avg. loss: {self.loss_curve[-1]:f}, Objective: {objective:f}{score}"
        )
        print(f"Total training time: {time.perf_counter() - self.begun:.2f} seconds.")
