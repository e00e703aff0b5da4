"""One output of an SGD estimator while it is trained: a run, its scores, and when it stops.

An estimator has one of these for each number that it predicts: one for a regressor and for two
classes, one a class for one-versus-rest. What they share is in `Settings`; input was checked by the
estimator, the epochs are those of `fastgd._run.Run`, and the steps those of `fastgd.backends.sgd`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from fastgd._run import Job, Run
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.backends import sgd
from fastgd.backends.sgd import Params, Plan, State
from fastgd.engine.sgd import padded, shuffle
from fastgd.history import DivergenceError, History
from fastgd.losses import MARGIN_LOSSES
from fastgd.optimizers import SGD
from fastgd.schedules import Schedule
from fastgd.sklearn._common import schedule_of
from fastgd.sklearn._schedules import Adaptive, Inverse, Optimal, typical_weight
from fastgd.stopping import Patience, Waiting

__all__ = ["Beginning", "Output", "Params", "Score", "Settings", "Task"]

SPARSE_INTERCEPT_RATE = 0.01  # of the weights' learning rate, for compressed rows
NO_DRAWS = np.random.default_rng(0)  # a run has a generator; nothing draws from this one

Score = Callable[[FloatArray, Any], tuple[float, float]]  # of data for validation, and the loss


@dataclass
class Task:
    """What one output, or a softmax with all of them, is trained on."""

    targets: AnyArray
    sample_weight: AnyArray | None
    seed: int
    score: Score | None = None
    n_outputs: int = 1


class Learnt(NamedTuple):
    """Parameters of an output at one time."""

    now: Params  # those that the next step begins with
    average: Params | None
    left: Params  # the average once it counts: what `fit` leaves, and what is scored


@dataclass(frozen=True)
class Settings:
    """What an estimator's parameters mean for its outputs."""

    plan: Plan  # of their steps; `plan_of` completes it
    schedule: Schedule | None
    own_schedule: bool  # whether it is the user's: then a new eta0 counts in a run that goes on
    shuffle: bool
    early_stopping: bool
    patience: Patience | None  # None: never stop early
    verbose: int
    restore_best: bool

    @classmethod
    def of(cls, estimator: Any, rows: Any, n_samples: int, restore_best: bool) -> Settings:
        """Return the settings that an estimator's parameters make, for rows to train on."""
        e = estimator
        named, forever = isinstance(e.learning_rate, str), e.tol is None or e.tol == -math.inf
        plan = _plan(e, rows, n_samples)
        return cls(
            plan=plan,
            schedule=_named(e, plan.parameter) if named else schedule_of(e.learning_rate),
            own_schedule=not named,
            shuffle=bool(e.shuffle),
            early_stopping=bool(e.early_stopping),
            patience=None
            if forever
            else Patience(int(e.n_iter_no_change), float(e.tol), lenient=True),
            verbose=0 if isinstance(e.verbose, str) else int(e.verbose),
            restore_best=restore_best,
        )

    def plan_of(self, task: Task, eta: float) -> Plan:
        """Return what the steps of an output need."""
        return replace(
            self.plan,
            targets=task.targets,
            sample_weight=task.sample_weight,
            n_outputs=task.n_outputs,
            optimizer=SGD(eta),
        )


def _plan(e: Any, rows: Any, n_samples: int) -> Plan:
    """Return the plan of all outputs of an estimator, without a task."""
    known = MARGIN_LOSSES[e.loss]
    ratio = {"l1": 1.0, "l2": 0.0, "elasticnet": e.l1_ratio, None: 0.0}[e.penalty]
    strength = 0.0 if e.penalty is None else e.alpha
    slow = SPARSE_INTERCEPT_RATE if isinstance(rows, tuple) else 1.0
    return Plan(
        rows=rows,
        targets=np.empty(0),
        sample_weight=None,
        n_outputs=0,
        loss=known.kernel or e.loss,
        parameter=float(e.epsilon if known.parameter is None else known.parameter),
        l1=float(strength * ratio),
        l2=float(strength * (1 - ratio)),
        rule=e.learning_rate if e.learning_rate in ("pa1", "pa2") else "given",
        intercept_rate=slow if e.fit_intercept else 0.0,
        average_from=int(e.average),
        batch_size=max(1, n_samples if e.batch_size is None else min(e.batch_size, n_samples)),
        optimizer=SGD(float(e.eta0)),
    )


def _named(estimator: Any, parameter: float) -> Schedule | None:
    """Return the schedule that scikit-learn's name of a learning rate means."""
    kind, alpha = estimator.learning_rate, float(estimator.alpha)
    if kind == "optimal":
        output = np.float64(-typical_weight(alpha))
        return Optimal.of(alpha, float(MARGIN_LOSSES[estimator.loss].slope(1.0, output, parameter)))
    if kind == "invscaling":
        return Inverse(float(estimator.power_t))
    return Adaptive() if kind == "adaptive" else None


class _History(History):
    """A history of one call, which counts the epochs of all calls."""

    before = 0

    @property
    def epochs(self) -> int:
        return self.before + len(self.loss)


@dataclass
class Beginning:
    """Where an output begins: all that the next epoch depends on, besides data and settings."""

    weights: FloatArray
    state: State
    seed: int
    eta: float
    order: IndexArray | None = None
    waiting: Waiting = field(default_factory=Waiting)
    best_score: float = -math.inf
    best_params: Learnt | None = None
    epochs: int = 0  # of all calls
    schedule: tuple[float, ...] | None = None
    done: bool = False  # it has stopped early

    def begin_again(self) -> None:
        """Let an output that has stopped go on, with its whole patience."""
        if self.done:
            self.waiting = self.waiting._replace(epochs=0)
        self.done = False

    @classmethod
    def resumed(
        cls, kept: Mapping[str, Any], settings: Settings, n_features: int, task: Task
    ) -> Beginning:
        """Return where an earlier fit ended, as `Output.saved` keeps it, checked and copied."""
        kept = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in kept.items()
        }
        try:
            now = cls(
                weights=kept["weights"],
                state=State(*(kept[name] for name in KEPT)),
                waiting=Waiting(kept["best"], kept["stale"]),
                **{name: kept[name] for name in PLAIN if name in kept},  # older ones have fewer
            )
        except KeyError as error:
            raise ValueError(
                f"_resume is damaged: it has no {error}: begin anew with warm_start=False"
            ) from None
        now._check(n_features, task)
        now._follow(settings)
        if now.best_params is not None:
            now.best_params = _as_learnt(now.best_params, bool(settings.plan.average_from))
        return now

    def _check(self, n_features: int, task: Task) -> None:
        """Check what an earlier fit, or a pickle of one, has left: the engine relies on it."""
        state, width = self.state, padded(task.n_outputs)
        softmax, dtype = task.n_outputs > 1, self.weights.dtype
        shape = (n_features, width) if softmax else (padded(n_features),)
        _check_kept("weights", self.weights, shape, dtype)
        for name in ("average", "paid"):
            if getattr(state, name) is not None:
                _check_kept(name, getattr(state, name), shape, dtype)
        if softmax:
            _check_kept("intercepts", state.intercepts, (width,), dtype)
            if state.average is not None:
                _check_kept("average_intercepts", state.average_intercepts, (width,), dtype)
        if len(state.numbers) != 8:
            raise ValueError("_resume is damaged: its numbers are not 8")
        if self.order is not None:
            _check_kept("order", self.order, (len(self.order),), np.uint32)
            if not np.array_equal(np.sort(self.order), np.arange(len(self.order))):
                raise ValueError("_resume is damaged: its order is no permutation")
            if len(self.order) != len(task.targets):
                self.order = None

    def _follow(self, settings: Settings) -> None:
        """Drop what these settings do not go on with, and make what they need."""
        state = self.state
        intercept, average_intercept, a, b, owed, *rest = state.numbers
        if settings.plan.average_from and state.average is None:
            raise ValueError(
                "warm_start='exact' goes on with the averages of earlier steps, and there are none "
                "without average: use warm_start=True to begin an average, or a new estimator"
            )
        if not settings.plan.average_from and state.average is not None:
            state.average = state.average_intercepts = None
            average_intercept, a, b = 0.0, 0.0, 1.0
        if not settings.plan.l1:
            state.paid, owed = None, 0.0
        elif state.paid is None:
            state.paid = np.zeros_like(self.weights)
        state.numbers = intercept, average_intercept, a, b, owed, *rest


# What `_resume` holds of an output, by name: of the steps' state, and of what is beside it
KEPT = ("average", "paid", "intercepts", "average_intercepts", "numbers")
PLAIN = ("seed", "eta", "order", "best_score", "best_params", "epochs", "schedule", "done")


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


def _as_learnt(kept: tuple[Any, ...], averages: bool) -> Learnt:
    """Return an earlier fit's best parameters; older pickles have but (now, average)."""
    now, average = kept[:2]
    if not averages or average is None:
        return Learnt(now, None, now)
    return Learnt(now, average, kept[2] if len(kept) == 3 else average)


class _Order:
    """The order of the samples, shuffled in place as scikit-learn does, if there is a seed.

    Samples that `held_out` marks are left out.
    """

    def __init__(self, order: IndexArray, seed: int | None, held_out: AnyArray | None) -> None:
        self.order = order
        self._seed = seed
        self._held_out = held_out

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return the samples of the next epoch."""
        if self._seed is not None:
            shuffle(self.order, self._seed)
        if self._held_out is None:
            return self.order
        return self.order[~self._held_out[self.order]]


class Output:
    """One output, or those of a softmax, and the run that trains it.

    It goes on from `beginning`, whose arrays are trained in place, for at most `max_iter` epochs.
    The rows that `held_out` marks are not trained on.
    """

    def __init__(
        self,
        settings: Settings,
        task: Task,
        beginning: Beginning,
        held_out: AnyArray | None,
        max_iter: int,
    ) -> None:
        n = len(task.targets)
        self.settings, self.score, self._beginning = settings, task.score, beginning
        self.n_train = n - (0 if held_out is None else int(held_out.sum()))
        eta0 = settings.plan.optimizer.learning_rate
        self._base = eta0 if settings.own_schedule else beginning.eta
        self.plan = settings.plan_of(task, self._base)
        self.weights, self.state = beginning.weights, beginning.state
        self.best_score, self.best_params = beginning.best_score, beginning.best_params
        self.history = _History(updates=round(self.state.next_step) - 1)
        self.history.before = beginning.epochs
        self.history._waiting = beginning.waiting
        if settings.schedule is not None:
            kept = beginning.schedule
            self.history._schedule_state = kept or settings.schedule.initial_state()
        order = beginning.order
        if order is None:
            order = np.arange(n, dtype=np.uint32)
        self._order = _Order(order, beginning.seed if settings.shuffle else None, held_out)
        self.scores: list[float] = []
        self.active = not beginning.done
        self.begun = time.perf_counter()
        self._epochs = iter(Run(
            Job(sgd, self.plan, self.weights, self.state, self._order, n, NO_DRAWS),
            self.history,
            epochs=max_iter,
            schedule=settings.schedule,
            evaluate=None if self.score is None else self._validate,
            watch=self,
        ))  # fmt: skip

    @property
    def n_iter(self) -> int:
        """Epochs of this call."""
        return len(self.history.loss)

    def saved(self) -> dict[str, Any]:
        """Return a copy of all that the next epoch needs, as `Beginning.resumed` takes it."""
        schedule, history = self.settings.schedule, self.history
        kept = {
            "weights": self.weights,
            **{name: getattr(self.state, name) for name in KEPT},
            "seed": self._beginning.seed,
            "eta": schedule.reached(self._base, history._schedule_state)
            if isinstance(schedule, Adaptive)
            else self._base,
            "order": self._order.order,
            "stale": history._waiting.epochs,
            "best": history._waiting.best,
            "best_score": self.best_score,
            "best_params": None if self.best_params is None else tuple(self.best_params),
            "epochs": history.epochs,
            "schedule": history._schedule_state if self.settings.own_schedule else None,
            "done": not self.active,
        }
        return {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in kept.items()
        }

    def learnt(self) -> Learnt:
        """Return the parameters that training leaves, those of the best epoch if they are kept."""
        return self.best_params or self._reached()

    def _reached(self) -> Learnt:
        """Return the parameters after the last step, in views."""
        now = self.state.params(self.plan, self.weights)
        if self.state.average is None:
            return Learnt(now, None, now)
        average = self.state.averaged(self.plan, self.weights)
        counts = self.state.next_step > self.plan.average_from
        return Learnt(now, average, average if counts else now)

    def epoch(self) -> None:
        """Run one epoch, and see whether it was the last."""
        if self.settings.verbose:
            print(f"-- Epoch {self.n_iter + 1}")
        try:
            next(self._epochs)
        except DivergenceError:
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{self.n_iter + 1}. Scaling "
                "input data with StandardScaler or MinMaxScaler might help."
            ) from None

    def _validate(self) -> None:
        """Compute the score; keep the parameters where it is the best so far."""
        assert self.score is not None
        params = self._reached()
        reached, loss = self.score(*params.left)
        self.scores.append(reached)
        self.history.validation_loss.append(loss)
        if reached <= self.best_score:
            return
        self.best_score = reached
        if self.settings.restore_best:
            now, average, left = params
            best = _copy(now), average and _copy(average)
            self.best_params = Learnt(*best, best[0] if left is now else best[1] or best[0])

    # -------------------------------------------------------------------- what ends the run

    def begin(self, history: History, params: FloatArray) -> None:
        """Go on waiting where the last call ended."""

    def observe(self, history: History, params: FloatArray) -> bool:
        """Judge an epoch: count those without improvement; lower an adaptive rate, or stop."""
        settings = self.settings
        objective = self.state.objective / self.n_train
        judged = settings.early_stopping and self.scores
        value = -self.scores[-1] if judged else objective
        if settings.verbose:
            self._report(objective)
        if settings.patience is None:
            history._waiting = Waiting(min(history._waiting.best, value), 0)
            return False
        history._waiting = settings.patience.observe(history._waiting, value)
        if not settings.patience.exhausted(history._waiting):
            return False
        if isinstance(settings.schedule, Adaptive):
            lower = settings.schedule.lower(self._base, history._schedule_state)
            if lower is not None:
                history._schedule_state = lower
                history._waiting = history._waiting._replace(epochs=0)
                return False
        self.active = False
        if settings.verbose:
            seconds = time.perf_counter() - self.begun
            print(f"Convergence after {self.n_iter} epochs took {seconds:.2f} seconds")
        return True

    def end(self, history: History, params: FloatArray) -> None:
        """Leave everything as it is; see `learnt`."""

    def _report(self, objective: float) -> None:
        score = f", Validation score: {self.scores[-1]:f}" if self.scores else ""
        _, intercept = self.state.params(self.plan, self.weights)
        print(
            f"Norm: {self.state.norm:.2f}, NNZs: {np.count_nonzero(self.weights)}, "
            f"Bias: {np.mean(intercept):.6f}, T: {self.n_iter * self.n_train}, "
            f"Avg. loss: {self.history.loss[-1]:f}, Objective: {objective:f}{score}"
        )
        print(f"Total training time: {time.perf_counter() - self.begun:.2f} seconds.")


def _copy(params: Params) -> Params:
    return params[0].copy(), np.array(params[1])
