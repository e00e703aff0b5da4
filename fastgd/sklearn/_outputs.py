"""One output of an SGD estimator while it is trained: its steps, its curves, and when it stops.

An estimator has one of these for each number that it predicts: one for a regressor and for two
classes, one a class for one-versus-rest. What they share is in `Settings`; input was checked by the
estimator, arithmetic is in fastgd/engine/sgd.pyx.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.engine.sgd import Descent, padded, shuffle
from fastgd.engine.side_by_side import is_stopped
from fastgd.schedules import Schedule
from fastgd.schedules import State as ScheduleState
from fastgd.sklearn._common import schedule_of
from fastgd.sklearn._margins import LOSSES

__all__ = ["Output", "Params", "Score", "Settings", "State", "initial_state"]

SPARSE_INTERCEPT_RATE = 0.01  # of the weights' learning rate, for compressed rows
LEAST_ADAPTIVE_RATE = 1e-6

Params = tuple[FloatArray, Any]  # weights and intercept
Score = Callable[[FloatArray, Any], tuple[float, float]]  # of data for validation, and the loss


class Learnt(NamedTuple):
    """Parameters of an output at one time."""

    now: Params  # those that the next step begins with
    average: Params | None
    left: Params  # the average once it counts: what `fit` leaves, and what is scored


@dataclass(frozen=True)
class Settings:
    """What an estimator's parameters mean for the steps."""

    loss: str
    parameter: float
    l1: float
    l2: float
    rates: tuple[Any, ...]
    eta0: float
    schedule: Schedule | None
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
    def of(cls, estimator: Any, n_samples: int, restore_best: bool) -> Settings:
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
            schedule=schedule_of(e.learning_rate),
            adaptive=e.learning_rate == "adaptive",
            fit_intercept=bool(e.fit_intercept),
            average_from=int(e.average),
            batch_size=max(1, batch_size),
            shuffle=bool(e.shuffle),
            early_stopping=bool(e.early_stopping),
            tol=-math.inf if e.tol is None else float(e.tol),
            patience=int(e.n_iter_no_change),
            verbose=0 if isinstance(e.verbose, str) else int(e.verbose),
            restore_best=restore_best,
        )


def _rates(estimator: Any, parameter: float) -> tuple[Any, ...]:
    """Return the learning rates' kind and numbers, as `fastgd.engine.sgd.Descent` takes them."""
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

    One output has vectors of shape (padded(d),); a softmax has (d, padded(n_outputs)), and a
    vector of intercepts.
    """

    weights: FloatArray
    average: FloatArray | None
    paid: FloatArray | None  # to L1
    intercepts: FloatArray | None
    average_intercepts: FloatArray | None
    numbers: tuple[float, ...]  # of Descent.numbers
    seed: int
    eta: float
    order: IndexArray | None = None
    stale: int = 0  # epochs without improvement
    best: float = math.inf  # the least objective, or minus the best score
    best_score: float = -math.inf
    best_params: Learnt | None = None
    epochs: int = 0  # of all calls
    schedule: ScheduleState | None = None
    done: bool = False  # it has stopped early

    def begin_again(self) -> None:
        """Let an output that has stopped go on, with its whole patience."""
        self.stale = 0 if self.done else self.stale
        self.done = False

    def take_over(
        self, settings: Settings, n_features: int, n_outputs: int, n_samples: int
    ) -> None:
        """Check what an earlier fit has left, and let it follow the settings of this one."""
        softmax = n_outputs > 1
        width = padded(n_outputs)
        vectors = {"weights": (n_features, width) if softmax else (padded(n_features),)}
        if self.average is not None:
            vectors["average"] = vectors["weights"]
        if self.paid is not None:
            vectors["paid"] = vectors["weights"]
        if softmax:
            vectors["intercepts"] = (width,)
            if self.average is not None:
                vectors["average_intercepts"] = (width,)
        for name, shape in vectors.items():
            _check_kept(name, getattr(self, name), shape, self.weights.dtype)
        if len(self.numbers) != 8:
            raise ValueError("_resume is damaged: its numbers are not 8")
        order = self.order
        if order is not None:
            _check_kept("order", order, (len(order),), np.uint32)
            if not np.array_equal(np.sort(order), np.arange(len(order))):
                raise ValueError("_resume is damaged: its order is no permutation")
            if len(order) != n_samples:
                self.order = None
        if settings.average_from and self.average is None:
            raise ValueError(
                "warm_start='exact' goes on with the averages of earlier steps, and there are none "
                "without average: use warm_start=True to begin an average, or a new estimator"
            )
        if self.best_params is not None and len(self.best_params) == 2:  # older pickles
            now, average = self.best_params
            self.best_params = Learnt(now, average, now if average is None else average)
        self._follow(settings)

    def _follow(self, settings: Settings) -> None:
        """Drop what these settings do not go on with, and make what they need."""
        intercept, average_intercept, a, b, owed, *rest = self.numbers
        if not settings.average_from and self.average is not None:
            self.average = self.average_intercepts = None
            average_intercept, a, b = 0.0, 0.0, 1.0
            if self.best_params is not None:
                now = self.best_params[0]
                self.best_params = Learnt(now, None, now)
        if not settings.l1:
            self.paid, owed = None, 0.0
        elif self.paid is None:
            self.paid = np.zeros_like(self.weights)
        self.numbers = intercept, average_intercept, a, b, owed, *rest

    def copy(self) -> State:
        """Return a copy that shares no memory which training writes to."""
        own: dict[str, Any] = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }
        return State(**own)


def _check_kept(name: str, array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise where an earlier fit's array is not one that the kernels take."""
    if (
        not isinstance(array, np.ndarray)
        or array.shape != shape
        or array.dtype != dtype
        or not array.flags.c_contiguous
    ):
        raise ValueError(
            f"_resume is damaged: its {name} must be an array of {np.dtype(dtype)} of shape {shape}"
        )


def _padded(values: FloatArray, softmax: bool, dtype: Any) -> FloatArray:
    """Return weights of shape (d,) or (n_outputs, d), or intercepts, as the kernels keep them."""
    rows = values.T if softmax and values.ndim == 2 else values
    out = np.zeros((*rows.shape[:-1], padded(rows.shape[-1])), dtype)
    out[..., : rows.shape[-1]] = rows
    return out


def initial_state(
    settings: Settings,
    start: Params,
    average: Params | None,
    t: float,
    seed: int,
    epochs: int = 0,
) -> State:
    """Return the state of an output, or of a softmax's outputs, before its first epoch.

    Parameters
    ----------
    settings : Settings
        Of the estimator.
    start : (ndarray of shape (d,) or (n_outputs, d), float or ndarray of shape (n_outputs,))
        Weights and intercepts.
    average : the same, or None
        On average so far, where an average is wanted.
    t : float
        The number of the first step, from 1.
    seed : int
        Of the shuffles.
    epochs : int
        How many were before.
    """
    coef, intercept = start
    softmax, dtype = coef.ndim == 2, coef.dtype
    weights = _padded(coef, softmax, dtype)
    return State(
        weights=weights,
        average=None if average is None else _padded(average[0], softmax, dtype),
        paid=np.zeros_like(weights) if settings.l1 else None,
        intercepts=_padded(np.asarray(intercept), softmax, dtype) if softmax else None,
        average_intercepts=(
            _padded(np.asarray(average[1]), softmax, dtype) if softmax and average else None
        ),
        numbers=(
            0.0 if softmax else float(intercept),
            0.0 if softmax or average is None else float(average[1]),
            0.0,  # average_a
            1.0,  # average_b
            0.0,  # owed
            float(np.square(weights).sum()),
            float(np.abs(weights).sum()),
            t,
        ),
        seed=seed,
        eta=settings.eta0,
        epochs=epochs,
    )


class Output:
    """One output, or those of a softmax, and the data that it is trained on.

    Parameters
    ----------
    settings : Settings
        Of the estimator.
    X : ndarray of shape (n, d), or (data, indices, indptr, d)
        The rows, as `fastgd.engine.sgd.Descent` takes them.
    y, sample_weight : ndarray of shape (n,)
        Targets as the loss takes them; weights, or None.
    state : State
        Where to begin; it is trained in place.
    n_outputs : int
        1, or how many the softmax has.
    held_out : ndarray of bool of shape (n,), optional
        Rows that are not trained on.
    score : callable, optional
        Returns the score of (coef, intercept) on data for validation, and the mean loss.
    """

    def __init__(
        self,
        settings: Settings,
        X: Any,
        y: AnyArray,
        sample_weight: AnyArray | None,
        state: State,
        n_outputs: int = 1,
        held_out: AnyArray | None = None,
        score: Score | None = None,
    ) -> None:
        self.settings, self.state, self.score, self.held_out = settings, state, score, held_out
        self.n_outputs = n_outputs
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
            intercepts=state.intercepts,
            average_intercepts=state.average_intercepts,
            n_outputs=n_outputs,
        )
        self.descent.set_numbers(*state.numbers)
        if state.order is None or len(state.order) != len(y):
            state.order = np.arange(len(y), dtype=np.uint32)
        self.active = not state.done
        self.n_iter = 0
        self.loss_curve: list[float] = []
        self.scores: list[float] = []
        self.validation_losses: list[float] = []
        self.begun = time.perf_counter()

    def _public(self, weights: FloatArray) -> FloatArray:
        """Return weights of shape (d,) or (n_outputs, d), a view."""
        if self.state.intercepts is None:
            return weights[: self.n_features]
        return weights[:, : self.n_outputs].T

    @property
    def params(self) -> Params:
        """Weights, a view, and intercept."""
        state = self.state
        if state.intercepts is None:
            return self._public(state.weights), self.descent.intercept
        return self._public(state.weights), state.intercepts[: self.n_outputs]

    @property
    def average(self) -> Params:
        """Weights and intercept on average."""
        state = self.state
        assert state.average is not None
        _, intercept, a, b, *_ = self.descent.numbers()
        scalar = state.weights.dtype.type
        average = self._public((state.average + scalar(a) * state.weights) * scalar(1 / b))
        if state.average_intercepts is None:
            return average, intercept
        return average, state.average_intercepts[: self.n_outputs]

    def saved(self) -> State:
        """Return a copy of the state with all that the next epoch needs."""
        self.state.numbers = self.descent.numbers()
        self.state.done = not self.active
        return self.state.copy()

    def learnt(self) -> Learnt:
        """Return the parameters that training leaves, those of the best epoch if they are kept."""
        return self.state.best_params or self._reached()

    def _reached(self) -> Learnt:
        """Return the parameters after the last step, in views."""
        if self.state.average is None:
            return Learnt(self.params, None, self.params)
        average = self.average
        counts = self.descent.t > self.settings.average_from
        return Learnt(self.params, average, average if counts else self.params)

    def epoch(self) -> None:
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
        given = self._scheduled(len(order))
        more = {} if given is None else {"given": given}
        loss, penalty, finite = self.descent.epoch(order, state.eta, is_stopped, **more)
        self.n_iter += 1
        state.epochs += 1
        if not finite:
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{self.n_iter}. Scaling input "
                "data with StandardScaler or MinMaxScaler might help."
            )
        if settings.rates[0] in ("pa1", "pa2"):
            penalty = 0.0
        self.loss_curve.append(loss / self.n_train)
        self._judge((loss + penalty) / self.n_train)

    def _scheduled(self, n: int) -> FloatArray | None:
        """Return the learning rates of an epoch's steps, where a schedule gives them."""
        schedule, state = self.settings.schedule, self.state
        if schedule is None:
            return None
        if state.schedule is None:
            state.schedule = schedule.initial_state()
        n_steps = -(-n // self.settings.batch_size)
        if schedule.unit == "update":
            done = round(self.descent.t) - 1
            return schedule.rates(self.settings.eta0, done, n_steps, state.schedule)
        rate = schedule.rates(self.settings.eta0, state.epochs, 1, state.schedule)
        return np.repeat(rate, n_steps)

    def _judge(self, objective: float) -> None:
        """Count epochs without improvement; lower an adaptive rate, or stop."""
        settings, state = self.settings, self.state
        if self.score is not None:
            self._validate(self.score)
        value = -self.scores[-1] if settings.early_stopping and self.scores else objective
        if settings.schedule is not None and settings.schedule.watches_loss:
            assert state.schedule is not None
            watched = (self.validation_losses or self.loss_curve)[-1]
            state.schedule = settings.schedule.observe(state.schedule, watched)
        if settings.verbose:
            self._report(objective)
        stale = settings.tol > -math.inf and value > state.best - settings.tol
        state.stale = state.stale + 1 if stale else 0
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

    def _validate(self, score: Score) -> None:
        """Compute the score; keep the parameters where it is the best so far."""
        state = self.state
        params = self._reached()
        reached, loss = score(*params.left)
        self.scores.append(reached)
        self.validation_losses.append(loss)
        if reached <= state.best_score:
            return
        state.best_score = reached
        if self.settings.restore_best:
            state.best_params = Learnt(*(p and _copy(p) for p in params))

    def _report(self, objective: float) -> None:
        score = f", Validation score: {self.scores[-1]:f}" if self.scores else ""
        print(
            f"Norm: {self.descent.norm:.2f}, NNZs: {np.count_nonzero(self.state.weights)}, "
            f"Bias: {np.mean(self.params[1]):.6f}, T: {self.n_iter * self.n_train}, "
            f"Avg. loss: {self.loss_curve[-1]:f}, Objective: {objective:f}{score}"
        )
        print(f"Total training time: {time.perf_counter() - self.begun:.2f} seconds.")


def _copy(params: Params) -> Params:
    return params[0].copy(), np.array(params[1])
