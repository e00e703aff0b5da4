"""The base class of the SGD estimators: checks, the epochs of all outputs, the attributes.

For the differences between the two classes (targets, classes, probabilities) see _sgd.py, for the
training of one output _outputs.py.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastgd._typing import AnyArray, FloatArray
from fastgd.backends.sgd import initial_state
from fastgd.engine.side_by_side import run_all
from fastgd.losses import MARGIN_LOSSES
from fastgd.rows import own_rows
from fastgd.schedules import Schedule
from fastgd.sklearn._common import (
    CallbackSupport,
    PickleCompatible,
    Progress,
    check_epochs,
    count_threads,
)
from fastgd.sklearn._outputs import Beginning, Output, Params, Settings, Task

__all__ = ["MAX_INT", "LinearDescent", "Task", "restore_on_failure", "with_callbacks"]

Method = TypeVar("Method", bound=Callable[..., Any])

MAX_INT = np.iinfo(np.int32).max
LEARNING_RATES = {"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"}
# scikit-learn's names for the last step's parameters and the averages, with `average`
AVERAGING = ("_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept")
MIN_PARALLEL_WORK = 1e5  # elements of rows, in one epoch of all outputs

try:
    from sklearn.callback import with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks to tear down

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method unchanged."""
        return method


def restore_on_failure(method: Method) -> Method:
    """Restore the estimator if a method fails before the end of an epoch."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        before = self.__dict__.copy()
        try:
            return method(self, *args, **options)
        except BaseException:
            if self.__dict__.get("loss_curve_") is before.get("loss_curve_"):  # no epoch has ended
                self.__dict__.clear()
                self.__dict__.update(before)
            raise

    return cast(Method, call)


class LinearDescent(PickleCompatible, CallbackSupport, BaseEstimator):
    """The base class of the two estimators."""

    coef_: Any
    intercept_: Any
    t_: float
    n_iter_: int
    loss_curve_: list[float] | list[list[float]]
    validation_scores_: Any
    best_validation_score_: Any
    validation_loss_curve_: Any
    _n_epochs: int
    _resume: list[dict[str, Any]]
    _held_out: Any

    _own_constraints: ClassVar[dict[str, list[Any]]] = {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "power_t": [Interval(Real, None, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions(LEARNING_RATES), Schedule, callable],
        "verbose": ["verbose", StrOptions({"bar"})],
        "warm_start": ["boolean", StrOptions({"exact"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "restore_best": ["boolean", None],
        "callbacks": [None, callable, "array-like"],
        "n_threads": [None, Interval(Integral, 1, None, closed="left")],
    }

    # -------------------------------------------------------------------- checks

    def _check_together(self, partial: bool) -> None:
        """Check parameters that depend on one another or on installed packages."""
        check_epochs(self)
        if self.early_stopping and partial:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError(
                "alpha must be > 0 since learning_rate is 'optimal'. alpha is used to compute "
                "the optimal learning rate."
            )
        if self.learning_rate in ("pa1", "pa2"):
            self._check_passive_aggressive()
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")

    def _check_coef(self) -> None:
        """Check that training can start from coef_ and intercept_, which users may have set."""
        coef = getattr(self, "coef_", None)
        if coef is None:
            return
        if sparse.issparse(coef):
            raise ValueError("coef_ is sparse: call densify() before you continue to fit")
        for name in ("coef_", "intercept_"):
            value = np.asarray(getattr(self, name))
            if value.dtype.kind in "iub":
                value = value.astype(np.float64)
            if value.dtype not in (np.float32, np.float64):
                raise ValueError(
                    f"{name} has the dtype {value.dtype}, but fitting needs float32 or float64: "
                    f"set it to {name}.astype(np.float64)"
                )
            setattr(self, name, value)

    def _check_shapes(self, shape: tuple[int, int]) -> None:
        """Check the shapes of coef_ and intercept_, which users may have set."""
        found, intercepts = np.shape(np.atleast_2d(self.coef_)), np.shape(self.intercept_)
        if found != shape or intercepts != shape[:1]:
            raise ValueError(
                f"coef_ and intercept_ have the shapes {np.shape(self.coef_)} and {intercepts}, "
                f"but the data need {shape[0]} x {shape[1]} weights and {shape[0]} intercepts: to "
                "start again, call fit with warm_start=False"
            )

    def _check_passive_aggressive(self) -> None:
        if self.loss != self._passive_aggressive_loss:
            raise ValueError(
                f"Learning rate '{self.learning_rate}' only works with loss "
                f"'{self._passive_aggressive_loss}'."
            )
        if self.batch_size != 1:
            raise ValueError(
                f"learning_rate={self.learning_rate!r} makes steps of one sample: batch_size must "
                f"be 1, not {self.batch_size!r}"
            )

    def _check_data(self, X: Any, y: Any, first: bool, **more: Any) -> tuple[Any, Any]:
        """Return samples and targets in the form that the kernels take."""
        X, y = validate_data(
            self,
            own_rows(X),
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            reset=first,
            **more,
        )
        return _for_kernels(X), y

    def _check_weight_val(self, sample_weight: Any, X: Any) -> AnyArray:
        """Return the weights of the validation data."""
        weight: AnyArray = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if not weight.any():
            raise ValueError("sample_weight_val holds only zeros: no sample would count")
        return weight

    def _mean_loss(self, y: AnyArray, p: FloatArray, sample_weight: AnyArray) -> float:
        """Return the mean loss of one raw output, without the penalty."""
        known = MARGIN_LOSSES[self.loss]
        parameter = self.epsilon if known.parameter is None else known.parameter
        with np.errstate(over="ignore"):
            values = known.value(y, p.astype(np.float64), float(parameter))
        return float(np.average(values, weights=sample_weight))

    def _split(self, y: AnyArray, sample_weight: AnyArray, splitter: Any) -> AnyArray:
        """Return a mask of the rows that early stopping sets aside."""
        n = len(y)
        kept: AnyArray | None = getattr(self, "_held_out", None)
        if self._resumes() and kept is not None:
            if not isinstance(kept, np.ndarray) or kept.dtype != np.bool_ or kept.ndim != 1:
                raise ValueError("_held_out is damaged: it must be a vector of booleans")
            if len(kept) == n:
                return kept
        split = splitter(test_size=self.validation_fraction, random_state=self.random_state)
        train, held = next(split.split(np.zeros((n, 1)), y))
        if not np.any(sample_weight[held] > 0):
            raise ValueError(
                "The sample weights for validation set are all zero, consider using a different "
                "random state."
            )
        if not np.any(sample_weight[train]):
            raise ValueError(
                "The sample weights of the rows to train on are all zero: only rows that were set "
                "aside for validation count. Consider using a different random state."
            )
        if len(train) == 0 or len(held) == 0:
            raise ValueError(
                f"Splitting {n} samples into a train set and a validation set with "
                f"validation_fraction={self.validation_fraction!r} led to an empty set "
                f"({len(train)} and {len(held)} samples). Please either change "
                "validation_fraction, increase number of samples, or disable early_stopping."
            )
        mask = np.zeros(n, np.bool_)
        mask[held] = True
        return mask

    def _warn_after_fit(self) -> None:
        """Warn about too few epochs and a negative power_t, as scikit-learn does."""
        if self.tol is not None and self.tol > -np.inf and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing "
                "max_iter to improve the fit.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if self.power_t < 0:
            warnings.warn(
                "Negative values for `power_t` are deprecated in version 1.8 and will raise an "
                "error in 1.10. Use values in the range [0.0, inf) instead.",
                FutureWarning,
                stacklevel=3,
            )

    # -------------------------------------------------------------------- the initial state

    def _resumes(self) -> bool:
        """Whether the next epoch continues exactly from the end of the last one."""
        return self.warm_start == "exact" and hasattr(self, "_resume")

    def _begin(
        self, shape: tuple[int, ...], dtype: Any, coef_init: Any, intercept_init: Any
    ) -> None:
        """Set the initial parameters; coef_ gets this shape."""
        n_outputs = 1 if len(shape) == 1 else shape[0]
        coef, intercept = np.zeros(shape, dtype), np.zeros(n_outputs, dtype)
        if coef_init is not None:
            given = np.asarray(coef_init, dtype=dtype)
            if n_outputs == 1:
                given = given.ravel()
            if given.shape != shape:
                name = "coef_init" if n_outputs == 1 else "``coef_``"
                raise ValueError(f"Provided {name} does not match dataset.")
            coef = given.copy()
        if intercept_init is not None:
            given = np.asarray(intercept_init, dtype=dtype)
            if given.shape != (n_outputs,) and not (n_outputs == 1 and given.shape == ()):
                raise ValueError("Provided intercept_init does not match dataset.")
            intercept = given.reshape(n_outputs).copy()
        self.coef_, self.intercept_ = coef, intercept
        self._drop((*AVERAGING, "_resume", "_held_out"))

    def _drop(self, names: Iterable[str]) -> None:
        """Delete these attributes, if they exist."""
        for name in names:
            self.__dict__.pop(name, None)

    def _beginnings(
        self, settings: Settings, tasks: Sequence[Task], incremental: bool
    ) -> list[Beginning]:
        """Return the state in which each task starts in this call.

        As in one long call, outputs that have stopped do not continue while others do. If all have
        stopped, all continue with their full patience.
        """
        if self._resumes():
            n_features = np.atleast_2d(self.coef_).shape[1]
            begun = _resumed(self._resume, settings, tasks, n_features, self.coef_.dtype)
            if incremental or all(output.done for output in begun):
                for output in begun:
                    output.begin_again()
            return begun
        now, average = self._start_params()
        epochs = getattr(self, "_n_epochs", 0) if self.t_ > 1 else 0

        def part(params: Any, i: int) -> Params:
            return params if tasks[i].n_outputs > 1 else (params[0][i], params[1][i])

        l1, eta = settings.plan.l1, float(self.eta0)
        starts = [
            initial_state(part(now, i), average and part(average, i), l1, self.t_)
            for i in range(len(tasks))
        ]
        return [
            Beginning(*start, seed=task.seed, eta=eta, epochs=epochs)
            for start, task in zip(starts, tasks, strict=True)
        ]

    def _start_params(self) -> tuple[Any, Any]:
        """Return weights and intercepts of all outputs, and with `average` their averages."""
        dtype = self.coef_.dtype
        now = np.atleast_2d(self.coef_), np.array(self.intercept_, dtype)
        if not self.average:
            self._drop(AVERAGING)
        else:
            if not hasattr(self, "_standard_coef"):
                self._standard_coef, self._standard_intercept = now
                self._average_coef = np.zeros_like(now[0])
                self._average_intercept = np.zeros_like(now[1])
            for name, like in zip(AVERAGING, now * 2, strict=True):
                value = np.array(getattr(self, name), dtype)
                if value.shape != like.shape:
                    raise ValueError(
                        f"{name} has the shape {value.shape}, but coef_ and intercept_ need "
                        f"{like.shape}: to start again, call fit with warm_start=False"
                    )
                setattr(self, name, value)
            now = self._standard_coef, self._standard_intercept
            return now, (self._average_coef, self._average_intercept)
        return now, None

    # -------------------------------------------------------------------- the epochs

    def _descend(
        self,
        X: Any,
        tasks: Sequence[Task],
        held_out: AnyArray | None,
        max_iter: int,
        validated: bool,
        original: tuple[Any, Any, Any],
        native: bool,
    ) -> None:
        """Train all tasks together, epoch by epoch, and set the attributes.

        `original` are the user's X, y and sample_weight, and `validated` says whether there are
        validation data too; with `native`, scikit-learn's own callbacks are called.
        """
        if not hasattr(self, "t_"):
            self.t_ = 1.0
        restore_best = validated if self.restore_best is None else bool(self.restore_best)
        self._check_shapes((sum(task.n_outputs for task in tasks), X.shape[1]))
        rows = (X.data, X.indices, X.indptr, X.shape[1]) if sparse.issparse(X) else X
        settings = Settings.of(self, rows, X.shape[0], restore_best)
        begun = self._beginnings(settings, tasks, incremental=not native)
        outputs = [
            Output(settings, task, beginning, held_out, max_iter)
            for task, beginning in zip(tasks, begun, strict=True)
        ]
        watched = self.callbacks is not None or self._has_native_callbacks()
        before, steps = self.t_, -(-X.shape[0] // settings.plan.batch_size)

        def take() -> None:
            self.n_iter_ = max(output.n_iter for output in outputs)
            self.t_ = before + self.n_iter_ * steps
            self._n_epochs = max(output.history.epochs for output in outputs)
            self._take(outputs)
            if self.warm_start == "exact":
                self._held_out = held_out
                self._resume = [output.saved() for output in outputs]

        progress = Progress(
            self, max_iter, *original[:2],
            {} if original[2] is None else {"sample_weight": original[2]},
            self._fitted_attributes, native=native and self._has_native_callbacks(),
        )  # fmt: skip
        work = float(X.nnz if sparse.issparse(X) else X.size) * sum(t.n_outputs for t in tasks)
        threads = self._threads()  # checks n_jobs
        threads = threads if work > MIN_PARALLEL_WORK else 1
        with progress:
            for _ in range(max_iter):
                progress.begin_epoch()
                run_all([output.epoch for output in outputs if output.active], threads)
                if watched:
                    take()
                shown = _shown(outputs) if self.verbose == "bar" else {}
                if progress.end_epoch(**shown) or not any(output.active for output in outputs):
                    break
            take()

    def _has_native_callbacks(self) -> bool:
        """Whether scikit-learn's callbacks are set for this fit, or for one that contains it."""
        return hasattr(self, "_skl_callbacks") or hasattr(self, "_parent_callback_ctx")

    def _threads(self) -> int:
        return count_threads(self.n_threads)

    def _take(self, outputs: Sequence[Output]) -> None:
        """Set the estimator's attributes from its outputs."""
        learnt = [output.learnt() for output in outputs]
        coef, intercept = _stack([params.result for params in learnt])
        if self.average:
            self._standard_coef, self._standard_intercept = _stack([p.now for p in learnt])
            average = _stack([p.average for p in learnt if p.average is not None])
            self._average_coef, self._average_intercept = average
        self.coef_ = self._shape_coef(coef)
        self.intercept_ = intercept
        single = len(outputs) == 1
        curves = [output.history.loss for output in outputs]
        self.loss_curve_ = curves[0] if single else curves
        if outputs[0].score is None:
            self.validation_scores_ = self.best_validation_score_ = None
            self.validation_loss_curve_ = None
            return
        losses = [output.history.validation_loss for output in outputs]
        self.validation_loss_curve_ = losses[0] if single else losses
        scores = [output.scores for output in outputs]
        self.validation_scores_ = scores[0] if single else scores
        best = [output.best_score for output in outputs]
        self.best_validation_score_ = best[0] if single else best

    def _fitted_attributes(self) -> dict[str, Any]:
        """Return the attributes that turn a copy of the estimator into a fitted one."""
        names = ("coef_", "intercept_", "t_", "n_iter_", "classes_", "n_features_in_")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}


def _resumed(
    kept: Any, settings: Settings, tasks: Sequence[Task], n_features: int, dtype: Any
) -> list[Beginning]:
    """Return the state at the end of an earlier fit, which may come from a pickle."""
    if not isinstance(kept, Sequence) or not all(isinstance(output, Mapping) for output in kept):
        raise ValueError("_resume is damaged: start again with warm_start=False")
    dtypes = {getattr(output.get("weights"), "dtype", dtype) for output in kept}
    if len(kept) != len(tasks) or dtypes != {dtype}:
        raise ValueError(
            "warm_start='exact' continues with the same outputs and dtype: use warm_start=True to "
            "start from coef_, or a new estimator"
        )
    return [
        Beginning.resumed(output, settings, n_features, task)
        for output, task in zip(kept, tasks, strict=True)
    ]


def _for_kernels(X: Any) -> Any:
    """Return aligned samples; CSR rows with 32-bit indices."""
    if not sparse.issparse(X):
        return np.require(X, requirements=["A"])
    if X.indices.dtype == X.indptr.dtype == np.int32:
        return X
    largest = np.iinfo(np.int32).max
    if max(X.nnz, *X.shape) > largest:
        raise ValueError(
            f"X has {X.nnz} non-zeros in {X.shape[0]} rows of {X.shape[1]}, but each of these may "
            f"be at most {largest}: give the rows to partial_fit in parts"
        )
    indices, indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return type(X)((X.data, indices, indptr), shape=X.shape)


def _stack(params: Sequence[Params]) -> tuple[FloatArray, FloatArray]:
    """Return all outputs' weights, (n_outputs, d), and intercepts, in the weights' dtype."""
    coef = np.concatenate([np.atleast_2d(coef) for coef, _ in params])
    intercepts = [np.atleast_1d(intercept) for _, intercept in params]
    return np.ascontiguousarray(coef), np.concatenate(intercepts).astype(coef.dtype)


def _shown(outputs: Sequence[Output]) -> dict[str, float]:
    """Return the values for the progress bar: means over the outputs."""
    seen = [output for output in outputs if output.n_iter]
    shown = {"loss": float(np.mean([output.history.loss[-1] for output in seen]))}
    if seen[0].scores:
        shown["val_loss"] = float(np.mean([output.history.validation_loss[-1] for output in seen]))
        shown["score"] = float(np.mean([output.scores[-1] for output in seen]))
    return shown
