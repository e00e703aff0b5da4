"""The epochs of one call of an MLP estimator's `fit` or `partial_fit`.

This module implements scikit-learn's order of the samples, its learning rates, its rules for
stopping and its messages. For the epoch loop see `fastgd._run`, for the cost `_descent`.
"""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastgd._run import Job, Run, Watch
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.engine import kernels, shuffle
from fastgd.history import DivergenceError, History
from fastgd.optimizers import Optimizer
from fastgd.schedules import Schedule
from fastgd.sklearn._common import Progress, schedule_of
from fastgd.sklearn._descent import (
    VELOCITY_OF,
    Cost,
    EfficientAdam,
    Momentum,
    Reported,
    mean_loss,
    pack,
    unpack,
)
from fastgd.sklearn._schedules import Adaptive, InverseOfSeen
from fastgd.stopping import EarlyStopping, Patience, Waiting

__all__ = ["NOT_FINITE", "Epochs", "TrainingState", "Validation"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


@dataclass
class TrainingState:
    """What a later call needs to go on: it is pickled with the estimator."""

    kernel: str  # the optimizer's kind
    initial_rate: float  # the learning rate that the schedule begins from
    history: History  # of all calls
    rule: str = ""  # the kind of schedule
    learning_rate: float = 0.0  # as the last call has reached it
    order: IndexArray | None = None  # of the last epoch's samples: the next is shuffled from it
    split: Any = None  # the generator's state before validation data was set aside
    dropout: np.random.Generator | None = None  # draws the units that are left out

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load a pickle, also from version 0.1.0, which stored the history's parts separately."""
        if "history" not in state:
            done, steps = state.pop("epochs"), state.pop("steps")
            state["history"] = History(
                loss=[math.nan] * done,
                learning_rate=[state.pop("learning_rate")] * done,
                updates=steps.step,
                _state=steps,
                _schedule_state=state.pop("schedule") or (),
                _best=state.pop("best"),
                _last=state.pop("params"),
            )
            state["rule"] = OLD
        vars(self).update(state)

    def fits(self, optimizer: Optimizer, params: FloatArray) -> bool:
        """Whether this state fits the optimizer and the parameters."""
        steps, history = self.history._state, self.history
        arrays = [a for a in (history._best, history._last) if a is not None]
        if steps is None or self.kernel != optimizer.kernel:
            return False
        return len(steps.moments) == optimizer.n_moments and all(
            isinstance(a, np.ndarray) and (a.shape, a.dtype) == (params.shape, params.dtype)
            for a in (*steps.moments, *arrays)
        )


#: the `rule` of a state from version 0.1.0
OLD = "0.1.0"


class Order:
    """scikit-learn's order of the samples, as a sampler: each is shuffled from the `last` one."""

    def __init__(self, estimator: Any, state: TrainingState, last: IndexArray) -> None:
        self._estimator = estimator
        self._state = state
        self._last = last

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return the order of the next epoch; with a RandomState, the same as scikit-learn's."""
        est, draws = self._estimator, self._estimator._random_state
        if not est.shuffle:
            return self._last
        if isinstance(draws, np.random.Generator):
            self._last = shuffle.permutation(n, draws)
        else:
            places = np.arange(n, dtype=self._last.dtype)
            draws.shuffle(places)
            self._last = self._last[places]
        self._state.order = self._last if est.warm_start else None
        return self._last


@dataclass
class Validation:
    """Data on which an epoch is judged."""

    X: Any
    y: AnyArray  # labels or values, as `score` takes them
    targets: AnyArray  # the same as the loss takes them, (n, outputs)
    sample_weight: FloatArray | None


class Epochs:
    """One call's training of an estimator, which has the settings and gets the attributes.

    With `incremental`, it is `partial_fit`: one epoch, from the state of the last call.
    """

    def __init__(
        self, estimator: Any, sizes: list[int], incremental: bool, progress: Progress
    ) -> None:
        self.estimator = estimator
        self.sizes = sizes
        self.incremental = incremental
        self.progress = progress
        if estimator.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        self.optimizer = self._make_optimizer()
        self.params = pack(estimator.coefs_, estimator.intercepts_)
        self.schedule = self._make_schedule()
        self.state = self._resume()
        self.judged: Validation | None = None
        self.n_samples = 0
        self.shown: dict[str, float] = {}
        self.stop = self.diverged = False

    def _make_optimizer(self) -> Optimizer:
        est = self.estimator
        if isinstance(est.solver, Optimizer):
            return est.solver
        if est.solver == "adam":
            return EfficientAdam(
                float(est.learning_rate_init),
                betas=(est.beta_1, est.beta_2),
                eps=float(est.epsilon),
            )
        nesterov = bool(est.nesterovs_momentum and est.momentum > 0)
        return Momentum(float(est.learning_rate_init), momentum=est.momentum, nesterov=nesterov)

    def _make_schedule(self) -> Schedule | None:
        est = self.estimator
        if est.solver != "adam" and isinstance(est.learning_rate, str):
            if est.learning_rate == "invscaling":
                return InverseOfSeen(est.power_t)
            if est.learning_rate == "adaptive":
                return Adaptive()
        return schedule_of(est.learning_rate)

    def _resume(self) -> TrainingState:
        """Return the state from which to continue: the last call's if it fits, else a new one."""
        optimizer, rate = self.optimizer, float(self.optimizer.learning_rate)
        state: TrainingState | None = getattr(self.estimator, "_optimizer", None)
        rule = type(self.schedule).__name__
        if state is not None and state.rule == OLD:
            self._renew(state)
        if state is None or not state.fits(optimizer, self.params):
            history = History(optimizer=optimizer, _state=optimizer.initial_state(self.params))
            state = TrainingState(optimizer.kernel, rate, history)
        elif rate != state.initial_rate and not self.incremental:
            state.initial_rate = rate
            if isinstance(self.schedule, (InverseOfSeen, Adaptive)):
                state.rule = ""
        if rule != state.rule:
            begun = () if self.schedule is None else self.schedule.initial_state()
            state.history._schedule_state, state.rule = begun, rule
        return state

    def _renew(self, state: TrainingState) -> None:
        """Convert a state from version 0.1.0: velocities without learning rates, and no rule."""
        history, schedule = state.history, self.schedule
        rate = history.learning_rate[-1] if history.learning_rate else state.initial_rate
        if VELOCITY_OF.get(state.kernel) == self.optimizer.kernel and history._state is not None:
            state.kernel = self.optimizer.kernel
            for moment in history._state.moments:
                moment *= moment.dtype.type(-rate)
        state.rule = type(schedule).__name__
        if isinstance(schedule, InverseOfSeen):
            history._schedule_state = (float(self.estimator.t_ if history.loss else 0),)
        elif isinstance(schedule, Adaptive):
            history._schedule_state = (float(round(math.log(state.initial_rate / rate, 5))),)
        elif schedule is not None and not history._schedule_state:
            history._schedule_state = schedule.initial_state()

    def run(
        self,
        X: Any,
        targets: AnyArray,
        sample_weight: FloatArray | None,
        judged: Validation | None,
    ) -> None:
        """Train until a rule, a callback or the user stops it."""
        est, history = self.estimator, self.state.history
        if judged is None and est.early_stopping:
            X, targets, sample_weight, judged = self._set_aside(X, targets, sample_weight)
        est._continue_curves(judged is not None)
        self.judged, self.n_samples = judged, X.shape[0]
        cost = est._cost(self.sizes, X, targets, sample_weight, self._batch_size(self.n_samples))
        watch = None
        if judged is not None:
            stopping = EarlyStopping(patience=sys.maxsize)
            watch = Watch(stopping, lambda history: est.validation_scores_, -1.0)
            history._waiting = Waiting(-est.best_validation_score_)
        if self.incremental:  # continue from the current weights
            history._last = None
        est.coefs_, est.intercepts_ = unpack(self.sizes, self.params)
        est.n_iter_, history.diverged = 0, False
        est._optimizer = self.state  # so that an estimator saved in a callback can resume
        run = self._make_run(cost, watch)
        try:
            run.finish()
            if est.n_iter_ == est.max_iter and not (self.stop or self.incremental):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and "
                    "the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=5,
                )
        except (DivergenceError, KeyboardInterrupt) as error:
            if isinstance(error, KeyboardInterrupt):
                warnings.warn("Training interrupted by user.", stacklevel=5)
            else:
                self.diverged = True
                self._note(math.nan)
                self._end_epoch()
            if watch is not None:
                watch.end(history, self.params)
        finally:
            self.state.learning_rate = self._next_rate()
        if not est.warm_start:
            history._last = None
        if self.diverged and judged is None:
            raise ValueError(NOT_FINITE)

    def _next_rate(self) -> float:
        """Return the current learning rate, as scikit-learn's attribute has it."""
        state, history = self.state, self.state.history
        if isinstance(self.schedule, (InverseOfSeen, Adaptive)):
            schedule_state = history._schedule_state
            rates = self.schedule.rates(state.initial_rate, history.epochs, 1, schedule_state)
            return float(rates[0])
        return history.learning_rate[-1] if history.learning_rate else state.initial_rate

    def _make_run(self, cost: Cost, watch: Watch | None) -> Run:
        """Return the run for this call's epochs."""
        est, state = self.estimator, self.state
        dropout, steps = est._dropout(), state.history._state
        assert steps is not None
        plan = replace(
            cost.plan,
            optimizer=replace(self.optimizer, learning_rate=state.initial_rate),
            reduction="mean",
            l2=cost.alpha,
            penalty_of_sum=True,
            clip_value=est.clip_value,
            clip_norm=est.clip_norm,
            dropout=dropout,
        )
        n, rng = self.n_samples, self._dropout_generator() if any(dropout) else None
        rng = np.random.default_rng(0) if rng is None else rng  # nothing is drawn from it
        backend = Reported(cost, self.progress.begin_epoch)
        order = Order(est, state, self._first_order(n))
        return Run(
            Job(backend, plan, self.params, steps, order, n, rng),
            state.history,
            epochs=1 if self.incremental else est.max_iter,
            schedule=self.schedule,
            evaluate=self._judge,
            watch=watch,
            callbacks=[self._end_epoch],
            pins=[kernels.pin(array) for array in (self.params, *cost.arrays)],
        )

    def _set_aside(
        self, X: Any, targets: AnyArray, sample_weight: FloatArray | None
    ) -> tuple[Any, AnyArray, FloatArray | None, Validation]:
        """Set validation data aside; a continued training gets the same split again."""
        est = self.estimator
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        two_classes = is_classifier(est) and est.n_outputs_ == 1 and targets.dtype == bool
        X, X_val, targets, targets_val, weight, weight_val = train_test_split(
            X, targets, weight, random_state=self._split_seed(),
            test_size=est.validation_fraction, stratify=targets if two_classes else None,
        )  # fmt: skip
        if X_val.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' "
                "or the size of your dataset."
            )
        y_val = targets_val
        if is_classifier(est):
            y_val = est._label_binarizer.inverse_transform(targets_val)
        held = None if sample_weight is None else weight_val
        judged = est._judged(X_val, y_val, targets_val, held, "the validation set")
        return X, targets, None if sample_weight is None else weight, judged

    def _split_seed(self) -> Any:
        """Return what draws the split: the generator, or its state at the first split."""
        state, draws = self.state, self.estimator._random_state
        if isinstance(draws, np.random.Generator):
            if state.split is None:
                state.split = int(draws.integers(2**31))
            return state.split
        if state.split is None:
            state.split = draws.get_state()
            return draws
        copy = np.random.RandomState()
        copy.set_state(state.split)
        return copy

    def _dropout_generator(self) -> np.random.Generator:
        """Return the generator of dropped units, whose state is kept from call to call."""
        if self.state.dropout is None:
            draws = self.estimator._random_state
            integers = draws.integers if isinstance(draws, np.random.Generator) else draws.randint
            self.state.dropout = np.random.default_rng(int(integers(2**31 - 1)))
        return self.state.dropout

    def _batch_size(self, n: int) -> int:
        if self.estimator.batch_size == "auto":
            return min(200, n)
        if self.estimator.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=6,
            )
        return int(min(self.estimator.batch_size, n))

    def _first_order(self, n: int) -> IndexArray:
        order, known = self.state.order, np.arange(n, dtype=shuffle.index_dtype(n))
        if order is None or self.incremental or np.shape(order) != (n,):
            return known
        if order.dtype != known.dtype or not np.array_equal(np.sort(order), known):
            raise ValueError(
                f"the order of the samples that the estimator stored is not one of {n} samples: to "
                "start again, call fit with warm_start=False"
            )
        return order.copy()

    def _judge(self) -> None:
        """Add the results of the epoch to the estimator and the history."""
        history = self.state.history
        self._note(history.loss[-1])
        if isinstance(self.schedule, InverseOfSeen):
            history._schedule_state = (float(self.estimator.t_),)
        if self.judged is not None:
            history.validation_loss.append(self.shown["val_loss"])

    def _note(self, loss: float) -> None:
        """Add an epoch to the estimator's attributes, and apply the stopping rules."""
        est = self.estimator
        est.loss_ = loss
        est.n_iter_ += 1
        est.t_ += self.n_samples
        est.loss_curve_.append(loss)
        self.progress.say(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
        self.shown = {"loss": loss}
        if self.judged is not None:
            val_loss, score = self._validate(self.judged)
            est.validation_scores_.append(score)
            est.validation_loss_curve_.append(val_loss)
            self.shown |= {"val_loss": val_loss, "score": score}
            self.progress.say(f"Validation score: {score:f}")
        self._count_epochs_without_improvement()

    def _end_epoch(self) -> bool:
        """Update the progress bar, call the callbacks; return whether to stop."""
        self.stop = self.progress.end_epoch(**self.shown) or self.stop
        return self.stop

    def _validate(self, judged: Validation) -> tuple[float, float]:
        """Return loss and score on the validation data; nan after a divergence."""
        est = self.estimator
        if self.diverged:
            return float("nan"), float("nan")
        z = est._raw_outputs(judged.X)
        with np.errstate(over="ignore"):  # the network is about to diverge
            loss = mean_loss(est._engine_loss(), z, judged.targets, judged.sample_weight)
            return loss, est._score(est._link(z), judged.y, judged.sample_weight)

    def _count_epochs_without_improvement(self) -> None:
        """Update the count; when it reaches the limit, stop or lower the learning rate."""
        est = self.estimator
        rule = Patience(est.n_iter_no_change + 1, est.tol, lenient=True)
        waiting = Waiting(
            -est.best_validation_score_ if est.early_stopping else est.best_loss_,
            est._no_improvement_count,
        )
        value = -est.validation_scores_[-1] if est.early_stopping else est.loss_
        waiting = rule.observe(waiting, value)
        est._no_improvement_count = waiting.epochs
        if not est.early_stopping:
            est.best_loss_ = waiting.best
        if self.judged is not None and self.shown["score"] > est.best_validation_score_:
            est.best_validation_score_ = self.shown["score"]
        if rule.exhausted(waiting):
            self._end_of_patience()

    def _end_of_patience(self) -> None:
        """Print that too many epochs did not improve; stop unless the learning rate can fall."""
        est, history = self.estimator, self.state.history
        what = "Validation score" if est.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={est.tol:f} for "
            f"{est.n_iter_no_change} consecutive epochs."
        )
        if not isinstance(self.schedule, Adaptive):
            self.stop = True
            self.progress.say(message + " Stopping.")
            return
        base = self.state.initial_rate
        lower = self.schedule.lower(base, history._schedule_state)
        if lower is None:
            self.stop = True
            self.progress.say(message + " Learning rate too small. Stopping.")
            return
        history._schedule_state = lower
        rate = self.schedule.reached(base, lower)
        self.progress.say(message + f" Setting learning rate to {rate:f}")
        est._no_improvement_count = 0
