"""The epochs of one call of `fit` or `partial_fit`, and the rules by which they end.

Order of the samples, learning rate, validation, early stopping, messages: as scikit-learn's
networks have them. What a step computes belongs in `_descent`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.engine import shuffle
from fastgd.optimizers import Optimizer, OptimizerState
from fastgd.schedules import State
from fastgd.sklearn._common import Progress, schedule_of
from fastgd.sklearn._descent import Descent, EfficientAdam, Momentum, mean_loss, pack, unpack

__all__ = ["NOT_FINITE", "Epochs", "TrainingState", "Validation"]

#: a learning rate of "adaptive" is not lowered below this
LOWEST_RATE = 1e-6
NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


@dataclass
class TrainingState:
    """What a later call needs to go on: it is pickled with the estimator.

    Attributes
    ----------
    kernel : str
        The optimizer's kind.
    learning_rate : float
        As it was reached.
    initial_rate : float
        The learning rate that it began with.
    steps : OptimizerState
        The optimizer's.
    epochs : int
        How many were made.
    schedule : tuple of float or None
        The state of a `Schedule`.
    params : ndarray or None
        The parameters as they were reached, where the estimator has gone back to better ones.
    best : ndarray or None
        The parameters of the best validation score.
    order : ndarray or None
        The order of the samples in the last epoch, from which the next is shuffled.
    split : object
        The generator's state before validation data was set aside.
    dropout : numpy.random.Generator or None
        Draws the units that are left out.
    """

    kernel: str
    learning_rate: float
    initial_rate: float
    steps: OptimizerState
    epochs: int = 0
    schedule: State | None = None
    params: FloatArray | None = None
    best: FloatArray | None = None
    order: IndexArray | None = None
    split: Any = None
    dropout: np.random.Generator | None = None


@dataclass
class Validation:
    """Data on which an epoch is judged.

    Attributes
    ----------
    X : array or sparse matrix
        Samples.
    y : ndarray
        Labels or values, as `score` takes them.
    targets : ndarray of shape (n, outputs)
        The same, as the loss takes them.
    sample_weight : ndarray or None
        Factors of the samples.
    """

    X: Any
    y: AnyArray
    targets: AnyArray
    sample_weight: FloatArray | None


class Epochs:
    """One call's training.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Has the settings, and gets the attributes.
    sizes : list of int
        Units of each layer, the inputs first.
    incremental : bool
        Whether this is `partial_fit`: one epoch, from the state of the last call.
    progress : Progress
        What the user sees and hears.
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
        self.schedule = schedule_of(estimator.learning_rate)
        self.params = pack(estimator.coefs_, estimator.intercepts_)
        self.descent: Descent | None = None
        self.state = self._resume()
        self.judged: Validation | None = None
        self.diverged = False

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

    def _resume(self) -> TrainingState:
        """Return the state to go on from: the last call's, where that fits."""
        optimizer, rate = self.optimizer, float(self.optimizer.learning_rate)
        state: TrainingState | None = getattr(self.estimator, "_optimizer", None)
        if (
            state is None
            or state.kernel != optimizer.kernel
            or len(state.steps.moments) != optimizer.n_moments
            or any(m.shape != self.params.shape for m in state.steps.moments)
            or any(m.dtype != self.params.dtype for m in state.steps.moments)
        ):
            return TrainingState(optimizer.kernel, rate, rate, optimizer.initial_state(self.params))
        if not self.incremental:
            untouched = state.best is not None and np.array_equal(self.params, state.best)
            if untouched and state.params is not None:
                self.params = state.params
            if rate != state.initial_rate:
                self._change_rate(state, rate)
                state.initial_rate = rate
        return state

    def _change_rate(self, state: TrainingState, rate: float) -> None:
        """Set the learning rate, such that scikit-learn's velocities stay what they are.

        A velocity there has the learning rate in it, the engine's has not (it is torch's).
        """
        if isinstance(self.optimizer, Momentum) and rate != state.learning_rate:
            for moment in state.steps.moments:
                moment *= moment.dtype.type(state.learning_rate / rate)
            if self.descent is not None:
                self.descent.reload()
        state.learning_rate = rate

    def run(
        self,
        X: Any,
        targets: AnyArray,
        sample_weight: FloatArray | None,
        judged: Validation | None,
    ) -> None:
        """Train until a rule, a callback or the user ends it."""
        est = self.estimator
        if not hasattr(est, "loss_curve_"):  # the training goes on from L-BFGS
            est._begin_curves()
        if judged is None and est.early_stopping:
            X, targets, sample_weight, judged = self._set_aside(X, targets, sample_weight)
        if judged is not None and est.validation_scores_ is None:
            est.validation_scores_, est.best_validation_score_ = [], -np.inf
        if judged is not None and est.validation_loss_curve_ is None:
            est.validation_loss_curve_ = []
        self.judged = judged
        n = X.shape[0]
        cost = est._cost(self.sizes, X, targets, sample_weight, self._batch_size(n))
        dropout = est._dropout()
        descent = self.descent = Descent(
            cost, self.optimizer, self.params, self.state.steps, est.clip_value, est.clip_norm,
            dropout, self._dropout_generator() if any(dropout) else None,
        )  # fmt: skip
        est.coefs_, est.intercepts_ = unpack(self.sizes, self.params)
        order = self._first_order(n)
        est.n_iter_ = 0
        self.state.params = None
        est._optimizer = self.state  # so that a callback can save all that goes on
        try:
            while est.n_iter_ < est.max_iter:
                order = self._shuffled(order)
                self.state.order = order if est.warm_start and est.shuffle else None
                if self._epoch(descent, order) or self.incremental:
                    break
                if est.n_iter_ == est.max_iter:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({est.max_iter}) reached and "
                        "the optimization hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=5,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        self._finish()

    def _finish(self) -> None:
        """Leave the best parameters in the estimator, and what a later call needs."""
        est, state = self.estimator, self.state
        if self.judged is not None and state.best is not None:
            state.params = self.params if est.warm_start else None
            est._adopt(self.sizes, state.best)
        if self.diverged and self.judged is None:
            raise ValueError(NOT_FINITE)

    def _set_aside(
        self, X: Any, targets: AnyArray, sample_weight: FloatArray | None
    ) -> tuple[Any, AnyArray, FloatArray | None, Validation]:
        """Split validation data off; a training that goes on gets the same split again."""
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
        if sample_weight is None:
            weight = weight_val = None
        judged = est._judged(X_val, y_val, targets_val, weight_val, "the validation set")
        return X, targets, weight, judged

    def _split_seed(self) -> Any:
        """Return what draws the split: the generator, or a copy as it was at the first split."""
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
        """Return what draws the units to leave out: it goes on from call to call."""
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
        order = self.state.order
        if order is not None and len(order) == n and not self.incremental:
            return order
        return np.arange(n, dtype=shuffle.index_dtype(n))

    def _shuffled(self, order: IndexArray) -> IndexArray:
        """Return the order of the next epoch; with a RandomState it is scikit-learn's."""
        draws = self.estimator._random_state
        if not self.estimator.shuffle:
            return order
        if isinstance(draws, np.random.Generator):
            return shuffle.permutation(len(order), draws)
        places = np.arange(len(order), dtype=order.dtype)
        draws.shuffle(places)
        return order[places]

    def _epoch(self, descent: Descent, order: IndexArray) -> bool:
        """Run one epoch and judge it; return whether to stop."""
        est = self.estimator
        self.progress.begin_epoch()
        est.loss_ = descent.epoch(order, self._rates(descent.count_steps(len(order))))
        self.diverged = not np.isfinite(est.loss_)
        est.n_iter_ += 1
        est.t_ += len(order)
        self.state.epochs += 1
        est.loss_curve_.append(est.loss_)
        self.progress.say(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
        shown = {"loss": est.loss_, **self._judge()}
        if self._adapts("invscaling"):
            self._change_rate(self.state, self.state.initial_rate / (est.t_ + 1) ** est.power_t)
        stop = self._exhausted()
        return self.progress.end_epoch(**shown) or stop or self.diverged

    def _rates(self, n_steps: int) -> float | FloatArray:
        """Return the learning rate of the epoch, or of each of its steps."""
        state, schedule = self.state, self.schedule
        if schedule is None:
            return state.learning_rate
        if state.schedule is None:
            state.schedule = schedule.initial_state()
        if schedule.unit == "update":
            return schedule.rates(state.initial_rate, state.steps.step, n_steps, state.schedule)
        return float(schedule.rates(state.initial_rate, state.epochs, 1, state.schedule)[0])

    def _adapts(self, name: str) -> bool:
        """Whether the learning rate follows the rule of this name; that of "adam" never does."""
        return isinstance(self.estimator.learning_rate, str) and (
            self.estimator.learning_rate == name and self.estimator.solver != "adam"
        )

    def _judge(self) -> dict[str, float]:
        """Count the epochs without improvement, and keep the best parameters."""
        est, shown = self.estimator, {}
        if self.judged is not None:
            loss, score = self._validate(self.judged)
            est.validation_scores_.append(score)
            est.validation_loss_curve_.append(loss)
            shown = {"val_loss": loss, "score": score}
            self.progress.say(f"Validation score: {score:f}")
            stalled = score < est.best_validation_score_ + est.tol
            if score > est.best_validation_score_:
                est.best_validation_score_ = score
                self.state.best = self.params.copy()
        if not est.early_stopping:
            stalled = est.loss_ > est.best_loss_ - est.tol
            if est.loss_ < est.best_loss_:
                est.best_loss_ = est.loss_
        est._no_improvement_count = est._no_improvement_count + 1 if stalled else 0
        if self.schedule is not None and self.schedule.watches_loss:
            assert self.state.schedule is not None
            watched = shown.get("val_loss", est.loss_)
            self.state.schedule = self.schedule.observe(self.state.schedule, watched)
        return shown

    def _validate(self, judged: Validation) -> tuple[float, float]:
        """Return loss and score on the validation data; nan after a divergence."""
        est = self.estimator
        if self.diverged:
            return float("nan"), float("nan")
        z = est._raw_outputs(judged.X)
        with np.errstate(over="ignore"):  # of a network that is about to diverge
            loss = mean_loss(est._engine_loss(), z, judged.targets, judged.sample_weight)
            return loss, est._score(est._link(z), judged.y, judged.sample_weight)

    def _exhausted(self) -> bool:
        """Whether too many epochs did not improve and the learning rate can not fall."""
        est = self.estimator
        if est._no_improvement_count <= est.n_iter_no_change:
            return False
        what = "Validation score" if est.early_stopping else "Training loss"
        message = (
            f"{what} did not improve more than tol={est.tol:f} for "
            f"{est.n_iter_no_change} consecutive epochs."
        )
        if not self._adapts("adaptive"):
            self.progress.say(message + " Stopping.")
            return True
        if self.state.learning_rate <= LOWEST_RATE:
            self.progress.say(message + " Learning rate too small. Stopping.")
            return True
        self._change_rate(self.state, self.state.learning_rate / 5)
        self.progress.say(message + f" Setting learning rate to {self.state.learning_rate:f}")
        est._no_improvement_count = 0
        return False
