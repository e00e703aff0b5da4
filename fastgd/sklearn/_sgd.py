"""`SGDClassifier` and `SGDRegressor`: scikit-learn's, on compiled epochs without the GIL.

The room holds what the estimators' users see: parameters, checks, attributes, warnings. What an
epoch computes is in _outputs.py and fastgd/_sgd.pyx.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from sklearn import linear_model
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastgd import _engine
from fastgd._typing import AnyArray, FloatArray
from fastgd.sklearn._common import CallbackSupport
from fastgd.sklearn._outputs import Output, Score, Settings, State, initial_state

__all__ = ["SGDClassifier", "SGDRegressor"]

MAX_INT = np.iinfo(np.int32).max
LEARNING_RATES = {"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"}
THREADS_PAY_FROM = 1e5  # elements of rows that an epoch of all outputs walks


class _LinearSGD(CallbackSupport, BaseEstimator):
    """What the two estimators share."""

    _own_constraints: ClassVar[dict[str, list[Any]]] = {
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "power_t": [Interval(Real, None, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions(LEARNING_RATES)],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _check_together(self, partial: bool) -> None:
        """Check the parameters that depend on one another."""
        if self.early_stopping and partial:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError(
                "alpha must be > 0 since learning_rate is 'optimal'. alpha is used to compute "
                "the optimal learning rate."
            )
        if self.learning_rate in ("pa1", "pa2"):
            if self.loss != self._passive_aggressive_loss:
                raise ValueError(
                    f"Learning rate '{self.learning_rate}' only works with loss "
                    f"'{self._passive_aggressive_loss}'."
                )
            if self.batch_size != 1:
                raise ValueError(
                    f"learning_rate={self.learning_rate!r} steps along one sample: batch_size "
                    f"must be 1, not {self.batch_size!r}"
                )
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")

    def _check_data(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        return validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            accept_large_sparse=False,
            reset=first,
        )

    def _split(self, y: AnyArray, sample_weight: AnyArray, splitter: Any) -> AnyArray | None:
        """Return a mask of the rows that early stopping holds out."""
        if not self.early_stopping:
            return None
        n = len(y)
        split = splitter(test_size=self.validation_fraction, random_state=self.random_state)
        train, held = next(split.split(np.zeros((n, 1)), y))
        if not np.any(sample_weight[held] > 0):
            raise ValueError(
                "The sample weights for validation set are all zero, consider using a different "
                "random state."
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

    def _run(self, outputs: list[Output], max_iter: int, work: float) -> int:
        """Train the outputs, epoch by epoch together; return how many epochs were made."""
        n_threads = min(self._threads(), len(outputs))
        if n_threads == 1 or work * len(outputs) < THREADS_PAY_FROM:
            for epoch in range(max_iter):
                active = [output for output in outputs if output.active]
                if not active:
                    return epoch
                for output in active:
                    output.epoch()
            return max_iter
        stopped = threading.Event()
        with ThreadPoolExecutor(n_threads) as pool:
            try:
                for epoch in range(max_iter):
                    active = [output for output in outputs if output.active]
                    if not active:
                        return epoch
                    list(pool.map(lambda output: output.epoch(stopped.is_set), active))
            except BaseException:
                stopped.set()
                raise
        return max_iter

    def _threads(self) -> int:
        return _engine.max_threads() if self.n_threads is None else int(self.n_threads)

    def _warn_after_fit(self) -> None:
        if self.tol is not None and self.tol > -np.inf and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing "
                "max_iter to improve the fit.",
                ConvergenceWarning,
                stacklevel=2,
            )
        if self.power_t < 0:
            warnings.warn(
                "Negative values for `power_t` are deprecated in version 1.8 and will raise an "
                "error in 1.10. Use values in the range [0.0, inf) instead.",
                FutureWarning,
                stacklevel=2,
            )

    def _begin(
        self, shape: tuple[int, ...], dtype: Any, coef_init: Any, intercept_init: Any
    ) -> None:
        """Set the parameters that the first step begins with; coef_ gets this shape."""
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
        self._forget_averages()

    def _forget_averages(self) -> None:
        for name in ("_standard_coef", "_standard_intercept", "_average_coef"):
            self.__dict__.pop(name, None)

    def _states(self, settings: Settings, n_outputs: int, seeds: Sequence[int]) -> list[State]:
        """Return each output's state before the epochs of this call."""
        averages = bool(self.average)
        if averages and not hasattr(self, "_standard_coef"):
            self._standard_coef = np.reshape(self.coef_, (n_outputs, -1))
            self._standard_intercept = np.array(self.intercept_)
            self._average_coef = np.zeros_like(self._standard_coef)
            self._average_intercept = np.zeros(n_outputs)
        coef = self._standard_coef if averages else np.reshape(self.coef_, (n_outputs, -1))
        intercept = self._standard_intercept if averages else self.intercept_
        return [
            initial_state(
                settings,
                coef[i],
                float(intercept[i]),
                (self._average_coef[i], float(self._average_intercept[i])) if averages else None,
                self.t_,
                seed,
            )
            for i, seed in enumerate(seeds)
        ]

    def _descend(
        self,
        X: Any,
        targets: Sequence[AnyArray],
        sample_weights: Sequence[AnyArray | None],
        seeds: Sequence[int],
        held_out: AnyArray | None,
        scores: Sequence[Score | None],
        max_iter: int,
    ) -> None:
        """Train one output for each vector of targets, and take over what came of it."""
        settings = Settings.of(self, X.shape[0])
        rows: Any = X
        if sparse.issparse(X):
            rows = (X.data, X.indices, X.indptr, X.shape[1])
        outputs = [
            Output(settings, rows, y, weight, state, held_out, score)
            for y, weight, state, score in zip(
                targets, sample_weights, self._states(settings, len(targets), seeds), scores,
                strict=True,
            )
        ]  # fmt: skip
        self._run(outputs, max_iter, float(X.nnz if sparse.issparse(X) else X.size))
        self.n_iter_ = max(output.n_iter for output in outputs)
        self.t_ += self.n_iter_ * -(-X.shape[0] // settings.batch_size)
        self._take(outputs)

    def _take(self, outputs: Sequence[Output]) -> None:
        """Make what the outputs have learnt the estimator's."""
        dtype = outputs[0].coef.dtype
        coef = np.array([output.coef for output in outputs])
        intercept = np.array([output.intercept for output in outputs], dtype)
        if self.average:
            self._standard_coef, self._standard_intercept = coef, intercept
            averages = [output.average for output in outputs]
            self._average_coef = np.array([average[0] for average in averages])
            self._average_intercept = np.array([average[1] for average in averages])
            if self.average <= self.t_ - 1.0:
                coef, intercept = self._average_coef, self._average_intercept.astype(dtype)
        self.coef_ = self._shape_coef(coef)
        self.intercept_ = intercept
        curves = [output.loss_curve for output in outputs]
        self.loss_curve_ = curves[0] if len(outputs) == 1 else curves


def _ones_as_none(weight: AnyArray) -> AnyArray | None:
    """Return weights, or None where all are 1: then nothing is multiplied."""
    return None if np.all(weight == 1) else weight


class SGDRegressor(_LinearSGD, linear_model.SGDRegressor):
    """Linear model fitted by minimising a regularised loss with stochastic gradient descent."""

    _passive_aggressive_loss = "epsilon_insensitive"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **linear_model.SGDRegressor._parameter_constraints,
        **_LinearSGD._own_constraints,
    }

    def __init__(
        self,
        loss: str = "squared_error",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int | str = 0,
        epsilon: float = 0.1,
        random_state: Any = None,
        learning_rate: str = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int | None = 1,
        n_threads: int | None = None,
    ) -> None:
        super().__init__(
            loss=loss, penalty=penalty, alpha=alpha, l1_ratio=l1_ratio,
            fit_intercept=fit_intercept, max_iter=max_iter, tol=tol, shuffle=shuffle,
            verbose=verbose, epsilon=epsilon, random_state=random_state,
            learning_rate=learning_rate, eta0=eta0, power_t=power_t,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change, warm_start=warm_start, average=average,
        )  # fmt: skip
        self.batch_size = batch_size
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
    ) -> SGDRegressor:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Targets.
        coef_init, intercept_init : array-like, default=None
            Where to begin.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors of the samples' losses.

        Returns
        -------
        self : object
        """
        self._check_together(partial=False)
        warm = self.warm_start and getattr(self, "coef_", None) is not None
        X, y = self._check_data(X, y, first=not warm)
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if warm:
            coef_init = self.coef_ if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        self._begin((X.shape[1],), X.dtype, coef_init, intercept_init)
        self.t_ = 1.0
        self._fit_epochs(X, y, weight, self.max_iter)
        self._warn_after_fit()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SGDRegressor:
        """Run one epoch on these samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors of the samples' losses.

        Returns
        -------
        self : object
        """
        first = getattr(self, "coef_", None) is None
        if first:
            self._check_together(partial=True)
        X, y = self._check_data(X, y, first)
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if first:
            self._begin((X.shape[1],), X.dtype, None, None)
        if not hasattr(self, "t_"):
            self.t_ = 1.0
        self._fit_epochs(X, y, weight, 1)
        return self

    def _fit_epochs(self, X: Any, y: AnyArray, weight: AnyArray, max_iter: int) -> None:
        X = X.astype(self.coef_.dtype, copy=False)
        y, weight = (np.ascontiguousarray(a, X.dtype) for a in (y, weight))
        held_out = self._split(y, weight, ShuffleSplit)
        score = None
        if held_out is not None:
            score = _regression_score(X[held_out], y[held_out], weight[held_out])
        random_state = check_random_state(self.random_state)
        seed = int(random_state.randint(0, MAX_INT))
        random_state.randint(1, MAX_INT)  # scikit-learn draws one more, and does not use it
        self._descend(X, [y], [_ones_as_none(weight)], [seed], held_out, [score], max_iter)

    def _shape_coef(self, coef: FloatArray) -> FloatArray:
        return coef[0]


def _regression_score(X: Any, y: AnyArray, sample_weight: AnyArray | None) -> Score:
    def score(coef: FloatArray, intercept: float) -> float:
        p = safe_sparse_dot(X, coef, dense_output=True) + intercept
        return float(r2_score(y, p, sample_weight=sample_weight))

    return score


def _classification_score(X: Any, y: AnyArray, sample_weight: AnyArray | None) -> Score:
    def score(coef: FloatArray, intercept: float) -> float:
        p = safe_sparse_dot(X, coef, dense_output=True) + intercept
        return float(accuracy_score(y > 0, p > 0, sample_weight=sample_weight))

    return score


class SGDClassifier(_LinearSGD, linear_model.SGDClassifier):
    """Linear classifiers (support vector machine, logistic regression, ...) trained by SGD."""

    _passive_aggressive_loss = "hinge"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **linear_model.SGDClassifier._parameter_constraints,
        **_LinearSGD._own_constraints,
    }

    def __init__(
        self,
        loss: str = "hinge",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int | str = 0,
        epsilon: float = 0.1,
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int | None = 1,
        n_threads: int | None = None,
    ) -> None:
        super().__init__(
            loss=loss, penalty=penalty, alpha=alpha, l1_ratio=l1_ratio,
            fit_intercept=fit_intercept, max_iter=max_iter, tol=tol, shuffle=shuffle,
            verbose=verbose, epsilon=epsilon, n_jobs=n_jobs, random_state=random_state,
            learning_rate=learning_rate, eta0=eta0, power_t=power_t,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change, class_weight=class_weight,
            warm_start=warm_start, average=average,
        )  # fmt: skip
        self.batch_size = batch_size
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
    ) -> SGDClassifier:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,)
            Classes.
        coef_init, intercept_init : array-like, default=None
            Where to begin.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors of the samples' losses, multiplied with those of `class_weight`.

        Returns
        -------
        self : object
        """
        self._check_together(partial=False)
        self.__dict__.pop("classes_", None)
        classes = np.unique(validate_data(self, y=y))
        if self.warm_start and getattr(self, "coef_", None) is not None:
            coef_init = self.coef_ if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        for name in ("coef_", "intercept_"):
            self.__dict__.pop(name, None)
        self.t_ = 1.0
        self._fit_classes(X, y, classes, sample_weight, coef_init, intercept_init, self.max_iter)
        self._warn_after_fit()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> SGDClassifier:
        """Run one epoch on these samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Classes.
        classes : array-like of shape (n_classes,), default=None
            All classes of all calls; needed in the first one.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors of the samples' losses.

        Returns
        -------
        self : object
        """
        if not hasattr(self, "classes_"):
            self._check_together(partial=True)
            if self.class_weight == "balanced":
                raise ValueError(
                    "class_weight 'balanced' is not supported for partial_fit. In order to use "
                    "'balanced' weights, use compute_class_weight('balanced', classes=classes, "
                    "y=y). In place of y you can use a large enough sample of the full training "
                    "set target to properly estimate the class frequency distributions. Pass the "
                    "resulting weights as the class_weight parameter."
                )
        self._fit_classes(X, y, classes, sample_weight, None, None, 1)
        return self

    def _fit_classes(
        self,
        X: Any,
        y: Any,
        classes: Any,
        sample_weight: Any,
        coef_init: Any,
        intercept_init: Any,
        max_iter: int,
    ) -> None:
        X, y = self._check_data(X, y, first=not hasattr(self, "classes_"))
        _check_partial_fit_first_call(self, classes)
        class_weight = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, **_zero_weights(self.early_stopping)
        )
        n_classes, n_features = len(self.classes_), X.shape[1]
        if n_classes < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {n_classes} class"
            )
        if getattr(self, "coef_", None) is None or coef_init is not None:
            shape = (n_features,) if n_classes == 2 else (n_classes, n_features)
            self._begin(shape, X.dtype, coef_init, intercept_init)
        if not hasattr(self, "t_"):
            self.t_ = 1.0
        X = X.astype(self.coef_.dtype, copy=False)
        self._fit_outputs(X, y, np.ascontiguousarray(weight, X.dtype), class_weight, max_iter)

    def _fit_outputs(
        self, X: Any, y: AnyArray, weight: AnyArray, class_weight: FloatArray, max_iter: int
    ) -> None:
        """Train two classes against each other, or each of more against the rest."""
        dtype = X.dtype
        low = 0 if self.loss == "log_loss" else -1
        positive = [1] if len(self.classes_) == 2 else range(len(self.classes_))
        others = [class_weight[0]] if len(self.classes_) == 2 else [1.0] * len(self.classes_)
        held_out: AnyArray | None = None
        targets: list[AnyArray] = []
        weights: list[AnyArray | None] = []
        seeds: list[int] = []
        scores: list[Score | None] = []
        random_state = check_random_state(self.random_state)
        if len(self.classes_) > 2:
            held_out = self._split(y, weight, StratifiedShuffleSplit)
            random_states = [
                check_random_state(int(seed))
                for seed in random_state.randint(MAX_INT, size=len(self.classes_))
            ]
        else:
            random_states = [random_state]
        for i, other, source in zip(positive, others, random_states, strict=True):
            member = y == self.classes_[i]
            target = np.where(member, dtype.type(1), dtype.type(low))
            source.randint(1, MAX_INT)  # scikit-learn draws one more, and does not use it
            if len(self.classes_) == 2:
                held_out = self._split(target, weight, StratifiedShuffleSplit)
            seeds.append(int(source.randint(MAX_INT)))
            factors = np.where(member, dtype.type(class_weight[i]), dtype.type(other))
            targets.append(target)
            weights.append(_ones_as_none(factors * weight))
            scores.append(
                None
                if held_out is None
                else _classification_score(X[held_out], target[held_out], weight[held_out])
            )
        self._descend(X, targets, weights, seeds, held_out, scores, max_iter)

    def _shape_coef(self, coef: FloatArray) -> FloatArray:
        return coef

    def _threads(self) -> int:
        if self.n_threads is None and self.n_jobs is not None:
            return int(effective_n_jobs(self.n_jobs))
        return super()._threads()


def _zero_weights(allowed: bool) -> dict[str, bool]:
    """Return what lets weights be all zero, where the installed scikit-learn asks."""
    known = "allow_all_zero_weights" in inspect.signature(_check_sample_weight).parameters
    return {"allow_all_zero_weights": allowed} if known else {}
