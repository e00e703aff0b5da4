"""The training of one output of an SGD estimator: its run, its scores, and its stopping rule.

An estimator has one `Output` for a regression or for two classes, and one per class for
one-versus-rest; they share `Settings`. The estimator has checked the input. The epochs are those of
`fastgd._run.Run`, the steps those of `fastgd.backends.sgd`.
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

SPARSE_INTERCEPT_RATE = 0.01  # the intercept's learning rate over the weights', for CSR rows
NO_DRAWS = np.random.default_rng(0)  # a run needs a generator; nothing draws from this one

#: from weights and intercept to the score and the mean loss on the validation data
Score = Callable[[FloatArray, Any], tuple[float, float]]


@dataclass
class Task:
    """The targets and weights on which one output, or a softmax of several, is trained."""

    targets: AnyArray
    sample_weight: AnyArray | None
    seed: int
    score: Score | None = None
    n_outputs: int = 1


class Learnt(NamedTuple):
    """The parameters of an output after some step."""

    now: Params  # the next step starts from these
    average: Params | None
    result: Params  # used for scores and predictions: the average as soon as it exists


@dataclass(frozen=True)
class Settings:
    """The settings of all outputs, from an estimator's parameters."""

    plan: Plan  # for the steps; `plan_of` completes it
    schedule: Schedule | None
    own_schedule: bool  # whether it is the user's: a resumed run then uses a new eta0
    shuffle: bool
    early_stopping: bool
    patience: Patience | None  # None: never stop early
    verbose: int
    restore_best: bool

    @classmethod
    def of(cls, estimator: Any, rows: Any, n_samples: int, restore_best: bool) -> Settings:
        """Return the settings from an estimator's parameters, for these training rows."""
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
        """Return the plan for the steps of an output."""
        return replace(
            self.plan,
            targets=task.targets,
            sample_weight=task.sample_weight,
            n_outputs=task.n_outputs,
            optimizer=SGD(eta),
        )


def _plan(e: Any, rows: Any, n_samples: int) -> Plan:
    """Return the plan that all outputs of an estimator share, without a task."""
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
    """Return the schedule for scikit-learn's name of a learning rate."""
    kind, alpha = estimator.learning_rate, float(estimator.alpha)
    if kind == "optimal":
        output = np.float64(-typical_weight(alpha))
        return Optimal.of(alpha, float(MARGIN_LOSSES[estimator.loss].slope(1.0, output, parameter)))
    if kind == "invscaling":
        return Inverse(float(estimator.power_t))
    return Adaptive() if kind == "adaptive" else None


class _History(History):
    """A history of one call, whose `epochs` counts those of all calls."""

    before = 0

    @property
    def epochs(self) -> int:
        return self.before + len(self.loss)


@dataclass
class Beginning:
    """The initial state of an output: all that its next epoch needs besides data and settings."""

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
        """Let an output that has stopped continue, with its full patience."""
        if self.done:
            self.waiting = self.waiting._replace(epochs=0)
        self.done = False

    @classmethod
    def resumed(
        cls, kept: Mapping[str, Any], settings: Settings, n_features: int, task: Task
    ) -> Beginning:
        """Return a checked copy of the state that `Output.saved` stored at the end of a fit."""
        kept = {
            name: value.copy() if isinstance(value, np.ndarray) else value
            for name, value in kept.items()
        }
        try:
            now = cls(
                weights=kept["weights"],
                state=State(**{KEPT[name]: kept[name] for name in KEPT}),
                waiting=Waiting(kept["best"], kept["stale"]),
                **{name: kept[name] for name in PLAIN if name in kept},  # older pickles have fewer
            )
        except KeyError as error:
            raise ValueError(
                f"_resume is damaged: it has no {error}: start again with warm_start=False"
            ) from None
        now._check(n_features, task)
        now._follow(settings)
        if now.best_params is not None:
            now.best_params = _as_learnt(now.best_params, bool(settings.plan.average_from))
        return now

    def _check(self, n_features: int, task: Task) -> None:
        """Check the state of an earlier fit, which may come from a pickle, for the engine."""
        state, width = self.state, padded(task.n_outputs)
        softmax, dtype = task.n_outputs > 1, self.weights.dtype
        shape = (n_features, width) if softmax else (padded(n_features),)
        _check_kept("weights", self.weights, shape, dtype)
        for name in ("average", "paid"):
            if (array := getattr(state, KEPT[name])) is not None:
                _check_kept(name, array, shape, dtype)
        if softmax:
            _check_kept("intercepts", state.intercepts, (width,), dtype)
            if state.average is not None:
                _check_kept("average_intercepts", state.average_intercepts, (width,), dtype)
        if len(state.numbers) != 8:
            raise ValueError("_resume is damaged: its numbers must be 8")
        if self.order is not None:
            _check_kept("order", self.order, (len(self.order),), np.uint32)
            if not np.array_equal(np.sort(self.order), np.arange(len(self.order))):
                raise ValueError("_resume is damaged: its order is not a permutation")
            if len(self.order) != len(task.targets):
                self.order = None

    def _follow(self, settings: Settings) -> None:
        """Adapt the state to the settings, which may have changed since the earlier fit."""
        state = self.state
        intercept, average_intercept, a, b, l1_total, *rest = state.numbers
        if settings.plan.average_from and state.average is None:
            raise ValueError(
                "warm_start='exact' continues the averages of earlier steps, but these were made "
                "without average: use warm_start=True to start an average, or a new estimator"
            )
        if not settings.plan.average_from and state.average is not None:
            state.average = state.average_intercepts = None
            average_intercept, a, b = 0.0, 0.0, 1.0
        if not settings.plan.l1:
            state.l1_applied, l1_total = None, 0.0
        elif state.l1_applied is None:
            state.l1_applied = np.zeros_like(self.weights)
        state.numbers = intercept, average_intercept, a, b, l1_total, *rest


# The keys of an output in `_resume`: those of the steps' state, each with its attribute (version
# 0.1.0 called l1_applied "paid"), and the others
KEPT = {
    "average": "average",
    "paid": "l1_applied",
    "intercepts": "intercepts",
    "average_intercepts": "average_intercepts",
    "numbers": "numbers",
}
PLAIN = ("seed", "eta", "order", "best_score", "best_params", "epochs", "schedule", "done")


def _check_kept(name: str, array: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise if the kernels cannot use an array of an earlier fit."""
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
    """Return an earlier fit's best parameters; older pickles have only (now, average)."""
    now, average = kept[:2]
    if not averages or average is None:
        return Learnt(now, None, now)
    return Learnt(now, average, kept[2] if len(kept) == 3 else average)


class _Order:
    """The order of the samples, shuffled in place as in scikit-learn if there is a seed.

    Samples that `held_out` marks are excluded.
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
    """One output, or all outputs of a softmax, and the run that trains it.

    It starts from `beginning`, whose arrays are trained in place, and runs for at most `max_iter`
    epochs. The rows that `held_out` marks are excluded.
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
        """The number of epochs in this call."""
        return len(self.history.loss)

    def saved(self) -> dict[str, Any]:
        """Return a copy of all state that the next epoch needs, for `Beginning.resumed`."""
        schedule, history = self.settings.schedule, self.history
        kept = {
            "weights": self.weights,
            **{name: getattr(self.state, attribute) for name, attribute in KEPT.items()},
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
        """Return the parameters of the best epoch if they are stored, else the last ones."""
        return self.best_params or self._reached()

    def _reached(self) -> Learnt:
        """Return views on the parameters after the last step."""
        now = self.state.params(self.plan, self.weights)
        if self.state.average is None:
            return Learnt(now, None, now)
        average = self.state.averaged(self.plan, self.weights)
        counts = self.state.next_step > self.plan.average_from
        return Learnt(now, average, average if counts else now)

    def epoch(self) -> None:
        """Run one epoch."""
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
        """Compute the score; store the parameters if it is the best so far."""
        assert self.score is not None
        params = self._reached()
        reached, loss = self.score(*params.result)
        self.scores.append(reached)
        self.history.validation_loss.append(loss)
        if reached <= self.best_score:
            return
        self.best_score = reached
        if self.settings.restore_best:
            now, average, result = params
            best = _copy(now), average and _copy(average)
            self.best_params = Learnt(*best, best[0] if result is now else best[1] or best[0])

    # -------------------------------------------------------------------- the stopping rule

    def begin(self, history: History, params: FloatArray) -> None:
        """Do nothing: `__init__` has set the state of the last call."""

    def observe(self, history: History, params: FloatArray) -> bool:
        """Count epochs without improvement; at the limit lower an adaptive rate, or stop."""
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
        """Do nothing: `learnt` returns the best parameters."""

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
