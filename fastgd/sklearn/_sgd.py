"""`SGDRegressor` and `SGDClassifier`: scikit-learn's interface on fastgd's kernels.

For what the two share see _linear.py.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from scipy.special import softmax
from sklearn import linear_model
from sklearn.base import _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastgd._typing import AnyArray, FloatArray
from fastgd.losses import LOSSES, MARGIN_LOSSES
from fastgd.rows import own_rows
from fastgd.sklearn._class_weights import class_factors, shares_of, weigh
from fastgd.sklearn._common import check_probabilities, has_validation
from fastgd.sklearn._linear import (
    MAX_INT,
    LinearDescent,
    restore_on_failure,
    with_callbacks,
)
from fastgd.sklearn._outputs import Score, Task

__all__ = ["SGDClassifier", "SGDRegressor"]


def _ones_as_none(weight: AnyArray) -> AnyArray | None:
    """Return the weights, or None if all are 1, which skips the multiplication."""
    return None if np.all(weight == 1) else weight


def _zero_weights(allowed: bool) -> dict[str, bool]:
    """Return the argument that allows only zeros as weights, if scikit-learn has it."""
    known = "allow_all_zero_weights" in inspect.signature(_check_sample_weight).parameters
    return {"allow_all_zero_weights": allowed} if known else {}


def _judge(X: Any, score: Callable[[FloatArray], Any], loss: Callable[[FloatArray], Any]) -> Score:
    """Return the function that scores a model on X, from two functions of its raw outputs."""

    def judge(coef: FloatArray, intercept: Any) -> tuple[float, float]:
        p: FloatArray = safe_sparse_dot(X, coef.T, dense_output=True) + intercept
        return float(score(p)), float(loss(p))

    return judge


class SGDRegressor(LinearDescent, linear_model.SGDRegressor):
    """Linear model that minimises a penalised loss by stochastic gradient descent.

    In float64 with ``batch_size=1`` the coefficients equal those of
    `sklearn.linear_model.SGDRegressor` to rounding; docs/scikit-learn.md lists the differences.

    Parameters
    ----------
    loss : str, default="squared_error"
        ``"squared_error"`` (halved), ``"huber"``, ``"epsilon_insensitive"`` or
        ``"squared_epsilon_insensitive"``.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        The penalty added to the mean loss: `alpha` times the sum of w^2 / 2, of abs(w), or of a
        mixture of both.
    alpha : float, default=0.0001
        Strength of the penalty; also the scale of ``learning_rate="optimal"``.
    l1_ratio : float, default=0.15
        The share of the l1 penalty in ``"elasticnet"``.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    max_iter : int, default=1000
        The maximum number of epochs in `fit`.
    tol : float or None, default=1e-3
        Training stops after `n_iter_no_change` epochs that did not lower the objective (or, with
        `early_stopping`, raise the score) by this much. With None it never stops early.
    shuffle : bool, default=True
        Whether to use a new order of the samples in each epoch.
    verbose : int or "bar", default=0
        A number above 0 prints lines for each epoch, "bar" shows a progress bar (needs tqdm).
    epsilon : float, default=0.1
        The error above which ``"huber"`` is linear, and up to which the epsilon-insensitive losses
        are zero.
    random_state : int, RandomState instance or None, default=None
        Draws the seed of the shuffles, and the data to set aside.
    learning_rate : str, schedule or callable, default="invscaling"
        With t the number of the step: ``"constant"``: eta0; ``"optimal"``: 1 / (alpha (t + t0));
        ``"invscaling"``: eta0 / t^power_t; ``"adaptive"``: eta0, divided by 5 each time that
        training would stop; ``"pa1"`` and ``"pa2"``: passive-aggressive steps with the
        aggressiveness eta0 (for the loss ``"epsilon_insensitive"``). Or one of `fastgd.schedules`,
        or a function from the epoch's number to a factor of eta0.
    eta0 : float, default=0.01
        The first learning rate.
    power_t : float, default=0.25
        The exponent of ``"invscaling"``.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data no longer improves. The data are `X_val`
        of `fit`, or a part of X that is set aside.
    validation_fraction : float, default=0.1
        The share of the samples to set aside.
    n_iter_no_change : int, default=5
        The number of epochs in a row without improvement after which training stops.
    warm_start : bool or "exact", default=False
        Whether `fit` starts at `coef_` and `intercept_`. With ``"exact"``, `fit` and `partial_fit`
        continue from the end of the last call, with its order of samples, learning rate, averages
        and counters: n calls of one epoch give the bits of one call of n epochs.
    average : bool or int, default=False
        Whether `coef_` is the mean over all steps; an int is the first step to include.
    batch_size : int or None, default=1
        Samples per step, which uses their mean gradient; None for all. With 1, steps are the same
        as scikit-learn's.
    restore_best : bool, default=None
        Whether to restore the parameters of the epoch with the best validation score at the end;
        None means yes if `X_val` is given.
    callbacks : callable or list of callable, default=None
        Each is called with the estimator after each epoch; training stops if one returns True. Pass
        scikit-learn's own callbacks (1.9) to ``set_callbacks``.
    n_threads : int, default=None
        Ignored: one output is trained on one thread. Kept for symmetry with `SGDClassifier`.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Weights.
    intercept_ : ndarray of shape (1,)
        Intercepts.
    n_iter_ : int
        The number of epochs of the last call.
    t_ : int
        The number of the next step.
    loss_curve_ : list of float
        The mean training loss of each epoch, computed before each step, without the penalty.
    validation_scores_ : list of float, or None
        The score on the validation data after each epoch (R^2).
    validation_loss_curve_ : list of float, or None
        The mean loss on the validation data after each epoch, without the penalty.
    best_validation_score_ : float, or None
        The best validation score.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.sklearn import SGDRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((1000, 2))
    >>> y = X @ [1.0, -2.0] + 3
    >>> reg = SGDRegressor(random_state=0).fit(X, y)
    >>> print(np.round(reg.coef_, 1), np.round(reg.intercept_, 1))
    [ 1. -2.] [3.]
    """

    _passive_aggressive_loss = "epsilon_insensitive"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **linear_model.SGDRegressor._parameter_constraints,
        **LinearDescent._own_constraints,
        "loss": [StrOptions({name for name, loss in MARGIN_LOSSES.items() if not loss.signs})],
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
        learning_rate: Any = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool | str = False,
        average: bool | int = False,
        batch_size: int | None = 1,
        restore_best: bool | None = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self._keep(locals())

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    @restore_on_failure
    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> SGDRegressor:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples. A CSR matrix is not converted to a dense array.
        y : array-like of shape (n_samples,)
            Targets.
        coef_init, intercept_init : array-like, default=None
            The initial parameters.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors for the samples' losses.
        X_val, y_val, sample_weight_val : array-like, default=None
            Validation data; their score and loss are computed after each epoch.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When an argument is not as above, or when parameters stop being finite.
        """
        self._check_together(partial=False)
        if self.warm_start:
            self._check_coef()
        original = X, y, sample_weight
        warm = self.warm_start and getattr(self, "coef_", None) is not None
        X, y = self._check_data(X, y, first=not warm)
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        judged = self._check_judge(X_val, y_val, sample_weight_val)
        if warm and not self._resumes():
            coef_init = self.coef_ if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        if not (warm and self._resumes()) or coef_init is not None:
            self._begin((X.shape[1],), X.dtype, coef_init, intercept_init)
            self.t_ = 1.0
        self._fit_epochs(X, y, weight, self.max_iter, judged, original, native=True)
        self._warn_after_fit()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @restore_on_failure
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SGDRegressor:
        """Run one epoch on these samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors for the samples' losses.

        Returns
        -------
        self : object
            The estimator.
        """
        first = getattr(self, "coef_", None) is None
        self._check_together(partial=first)
        self._check_coef()
        original = X, y, sample_weight
        X, y = self._check_data(X, y, first)
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if first:
            self._begin((X.shape[1],), X.dtype, None, None)
        self._fit_epochs(X, y, weight, 1, None, original, native=False)
        return self

    def _check_judge(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Score | None:
        """Return the function that scores parameters on the user's validation data."""
        if not has_validation(X_val, y_val, sample_weight_val):
            return None
        X, y = self._check_data(X_val, y_val, first=False)
        weight = self._check_weight_val(sample_weight_val, X)
        return self._score_on(X, np.asarray(y, X.dtype), weight)

    def _score_on(self, X: Any, y: AnyArray, sample_weight: AnyArray) -> Score:
        if len(y) < 2:
            raise ValueError(
                "R^2, the score on the validation data, needs at least two samples, and there is "
                "one: give more in X_val, or raise validation_fraction"
            )

        return _judge(
            X,
            lambda p: r2_score(y, p, sample_weight=sample_weight),
            lambda p: self._mean_loss(y, p, sample_weight),
        )

    def _fit_epochs(
        self,
        X: Any,
        y: AnyArray,
        weight: AnyArray,
        max_iter: int,
        score: Score | None,
        original: tuple[Any, Any, Any],
        native: bool,
    ) -> None:
        X = X.astype(self.coef_.dtype, copy=False)
        y, weight = (np.require(a, X.dtype, ["C", "A"]) for a in (y, weight))
        held_out, validated = None, score is not None
        if score is None and self.early_stopping:
            held_out = self._split(y, weight, ShuffleSplit)
            score = self._score_on(X[held_out], y[held_out], weight[held_out])
        random_state = check_random_state(self.random_state)
        seed = int(random_state.randint(0, MAX_INT))
        random_state.randint(1, MAX_INT)  # scikit-learn draws one more, and does not use it
        task = Task(y, _ones_as_none(weight), seed, score)
        self._descend(X, [task], held_out, max_iter, validated, original, native)

    def _decision_function(self, X: Any) -> FloatArray:
        values: FloatArray = super()._decision_function(own_rows(X))
        return values

    @staticmethod
    def _shape_coef(coef: FloatArray) -> FloatArray:
        return coef[0]


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={estimator.loss!r}")
    return True


class SGDClassifier(LinearDescent, linear_model.SGDClassifier):
    """Linear classifiers (support vector machine, logistic regression, ...) trained by SGD.

    In float64 with ``batch_size=1`` the coefficients equal those of
    `sklearn.linear_model.SGDClassifier` to rounding; docs/scikit-learn.md lists the differences.

    Parameters
    ----------
    loss : str, default="hinge"
        ``"hinge"``, ``"log_loss"``, ``"modified_huber"``, ``"squared_hinge"``, ``"perceptron"``,
        or a loss of `SGDRegressor`, on targets -1 and 1.
    penalty : {"l2", "l1", "elasticnet"} or None, default="l2"
        The penalty added to the mean loss: `alpha` times the sum of w^2 / 2, of abs(w), or of a
        mixture of both.
    alpha : float, default=0.0001
        Strength of the penalty; also the scale of ``learning_rate="optimal"``.
    l1_ratio : float, default=0.15
        The share of the l1 penalty in ``"elasticnet"``.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    max_iter : int, default=1000
        The maximum number of epochs in `fit`.
    tol : float or None, default=1e-3
        Training stops after `n_iter_no_change` epochs that did not lower the objective (or, with
        `early_stopping`, raise the score) by this much. With None it never stops early.
    shuffle : bool, default=True
        Whether to use a new order of the samples in each epoch.
    verbose : int or "bar", default=0
        A number above 0 prints lines for each epoch, "bar" shows a progress bar (needs tqdm).
    epsilon : float, default=0.1
        The error above which ``"huber"`` is linear, and up to which the epsilon-insensitive losses
        are zero.
    n_jobs : int, default=None
        The same as `n_threads`, if that is not given; -1 for all.
    random_state : int, RandomState instance or None, default=None
        Draws the seeds of the shuffles, and the data to set aside.
    learning_rate : str, schedule or callable, default="optimal"
        With t the number of the step: ``"constant"``: eta0; ``"optimal"``: 1 / (alpha (t + t0));
        ``"invscaling"``: eta0 / t^power_t; ``"adaptive"``: eta0, divided by 5 each time that
        training would stop; ``"pa1"`` and ``"pa2"``: passive-aggressive steps with the
        aggressiveness eta0 (for the loss ``"hinge"``). Or one of `fastgd.schedules`, or a function
        from the epoch's number to a factor of eta0.
    eta0 : float, default=0.01
        The first learning rate.
    power_t : float, default=0.5
        The exponent of ``"invscaling"``.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data no longer improves. The data are `X_val`
        of `fit`, or a part of X that is set aside.
    validation_fraction : float, default=0.1
        The share of the samples to set aside.
    n_iter_no_change : int, default=5
        The number of epochs in a row without improvement after which training stops.
    class_weight : dict, "balanced" or None, default=None
        Factors for the losses of each class; "balanced" makes them inverse to the classes' sizes.
    warm_start : bool or "exact", default=False
        Whether `fit` starts at `coef_` and `intercept_`. With ``"exact"``, `fit` and `partial_fit`
        continue from the end of the last call, with its order of samples, learning rate, averages
        and counters: n calls of one epoch give the bits of one call of n epochs.
    average : bool or int, default=False
        Whether `coef_` is the mean over all steps; an int is the first step to include.
    batch_size : int or None, default=1
        Samples per step, which uses their mean gradient; None for all. With 1, steps are the same
        as scikit-learn's.
    restore_best : bool, default=None
        Whether to restore the parameters of the epoch with the best validation score at the end;
        None means yes if `X_val` is given.
    callbacks : callable or list of callable, default=None
        Each is called with the estimator after each epoch; training stops if one returns True. Pass
        scikit-learn's own callbacks (1.9) to ``set_callbacks``.
    n_threads : int, default=None
        The maximum number of threads for the classes of one-versus-rest; all if None. The results
        do not depend on it.
    multi_class : {"ovr", "softmax"}, default="ovr"
        How more than two classes are separated: each from the rest, or all together by softmax and
        cross-entropy (with ``loss="log_loss"``), which also accepts a matrix of probabilities as y.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.
    n_iter_ : int
        The number of epochs of the last call, the largest of all classes.
    t_ : int
        The number of the next step.
    loss_curve_ : list of float, or one list per class
        The mean training loss of each epoch, computed before each step, without the penalty.
    validation_scores_ : list of float, or one list per class, or None
        The score on the validation data after each epoch (accuracy).
    validation_loss_curve_ : list of float, or one list per class, or None
        The mean loss on the validation data after each epoch, without the penalty.
    best_validation_score_ : float or list of float, or None
        The best validation score.
    classes_ : ndarray of shape (n_classes,)
        The classes; 0, 1, ... if y was a matrix.

    Examples
    --------
    >>> from fastgd.sklearn import SGDClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = SGDClassifier(loss="log_loss", multi_class="softmax", random_state=0)
    >>> clf.fit(scale(X), y).score(scale(X), y) > 0.9
    True
    """

    _passive_aggressive_loss = "hinge"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **linear_model.SGDClassifier._parameter_constraints,
        **LinearDescent._own_constraints,
        "loss": [StrOptions(set(MARGIN_LOSSES))],
        "multi_class": [StrOptions({"ovr", "softmax"})],
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
        learning_rate: Any = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool | str = False,
        average: bool | int = False,
        batch_size: int | None = 1,
        restore_best: bool | None = None,
        callbacks: Any = None,
        n_threads: int | None = None,
        multi_class: str = "ovr",
    ) -> None:
        self._keep(locals())

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    @restore_on_failure
    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> SGDClassifier:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training samples. A CSR matrix is not converted to a dense array.
        y : array-like of shape (n_samples,)
            Classes. With ``multi_class="softmax"`` also probabilities, (n_samples, n_classes).
        coef_init, intercept_init : array-like, default=None
            The initial parameters.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors for the samples' losses, multiplied with those of `class_weight`.
        X_val, y_val, sample_weight_val : array-like, default=None
            Validation data; their score and loss are computed after each epoch.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When an argument is not as above, or when parameters stop being finite.
        """
        self._check_together(partial=False)
        if self.warm_start:
            self._check_coef()
        resumes = self._resumes() and coef_init is None
        if not resumes:
            self.__dict__.pop("classes_", None)
            y = y if self._is_soft(y) else validate_data(self, y=y)
            classes = self._classes_of(y)
            if self.warm_start and getattr(self, "coef_", None) is not None:
                coef_init = self.coef_ if coef_init is None else coef_init
                intercept_init = self.intercept_ if intercept_init is None else intercept_init
            for name in ("coef_", "intercept_"):
                self.__dict__.pop(name, None)
            self.t_ = 1.0
        self._fit_epochs(
            (X, y, sample_weight), None if resumes else classes, (coef_init, intercept_init),
            self.max_iter, (X_val, y_val, sample_weight_val), native=True,
        )  # fmt: skip
        self._warn_after_fit()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    @restore_on_failure
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> SGDClassifier:
        """Run one epoch on these samples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Classes. With ``multi_class="softmax"`` also probabilities, (n_samples, n_classes).
        classes : array-like of shape (n_classes,), default=None
            All classes, including those of later calls; needed in the first call, unless y is a
            matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors for the samples' losses.

        Returns
        -------
        self : object
            The estimator.
        """
        first = not hasattr(self, "classes_")
        self._check_together(partial=first)
        self._check_coef()
        if first and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use "
                "'balanced' weights, use compute_class_weight('balanced', classes=classes, y=y). "
                "In place of y you can use a large enough sample of the full training set target "
                "to properly estimate the class frequency distributions. Pass the resulting "
                "weights as the class_weight parameter."
            )
        if first and classes is None and self._is_soft(y):
            classes = self._classes_of(y)
        self._fit_epochs((X, y, sample_weight), classes, (None, None), 1, (None,) * 3, native=False)
        return self

    # -------------------------------------------------------------------- classes and weights

    def _check_together(self, partial: bool) -> None:
        super()._check_together(partial)
        if self.multi_class == "softmax" and self.loss != "log_loss":
            raise ValueError(
                "multi_class='softmax' minimises the cross-entropy: it needs loss='log_loss', "
                f"not {self.loss!r}"
            )

    def _is_soft(self, y: Any) -> bool:
        """Whether y is a matrix of probabilities."""
        if self.multi_class != "softmax" or sparse.issparse(y):
            return False
        shape = np.shape(y)
        return len(shape) == 2 and shape[1] > 1

    def _classes_of(self, y: Any) -> AnyArray:
        classes: AnyArray = np.arange(np.shape(y)[1]) if self._is_soft(y) else np.unique(y)
        return classes

    def _check_targets(self, X: Any, y: Any, first: bool) -> tuple[Any, AnyArray]:
        """Return checked samples and classes, or probabilities in X's dtype."""
        if not self._is_soft(y):
            X, y = self._check_data(X, y, first)
            return X, y
        X, y = self._check_data(X, y, first, multi_output=True, y_numeric=True)
        y = np.require(y, X.dtype, ["C", "A"])
        check_probabilities(y)
        return X, y

    def _check_columns(self, name: str, y: AnyArray) -> None:
        """Check that a matrix of probabilities has a column for each class."""
        if y.shape[1] != len(self.classes_):
            raise ValueError(
                f"{name} has {y.shape[1]} columns, but there are {len(self.classes_)} classes"
            )

    def _fit_epochs(
        self,
        original: tuple[Any, Any, Any],
        classes: Any,
        start: tuple[Any, Any],
        max_iter: int,
        validation: tuple[Any, Any, Any],
        native: bool,
    ) -> None:
        X, y = self._check_targets(*original[:2], first=not hasattr(self, "classes_"))
        _check_partial_fit_first_call(self, classes)
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                f"The number of classes has to be greater than one; got {n_classes} class"
            )
        if y.ndim == 2:
            self._check_columns("y", y)
        factors = None
        if self.class_weight is not None:
            shares = shares_of(y, self.classes_)
            factors = class_factors(self.class_weight, self.classes_, shares)
        weight = _check_sample_weight(
            original[2], X, dtype=X.dtype, **_zero_weights(bool(self.early_stopping))
        )
        judge = self._check_judge(*validation)
        if getattr(self, "coef_", None) is None or start[0] is not None:
            shape = (X.shape[1],) if n_classes == 2 else (n_classes, X.shape[1])
            self._begin(shape, X.dtype, *start)
        X = X.astype(self.coef_.dtype, copy=False)
        weight = np.require(weight, X.dtype, ["C", "A"])
        tasks, held_out = self._tasks(X, y, weight, factors, judge, native)
        self._descend(X, tasks, held_out, max_iter, judge is not None, original, native)

    def _check_judge(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> Any:
        """Return the user's validation data: samples, classes or probabilities, weights."""
        if not has_validation(X_val, y_val, sample_weight_val):
            return None
        X, y = self._check_targets(X_val, y_val, first=False)
        if y.ndim == 2:
            self._check_columns("y_val", y)
        elif len(unknown := np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y_val has classes that y has not: {unknown[:5]}")
        return X, y, self._check_weight_val(sample_weight_val, X)

    # -------------------------------------------------------------------- what is trained

    def _tasks(
        self,
        X: Any,
        y: AnyArray,
        weight: AnyArray,
        factors: FloatArray | None,
        judged: Any,
        whole: bool,
    ) -> tuple[list[Task], AnyArray | None]:
        """Return the tasks, and the mask of the rows that are set aside.

        Two classes, or several with softmax, are one task. Otherwise there is a task for each
        class: to separate it from the rest.
        """
        one = len(self.classes_) == 2 or self.multi_class == "softmax"
        random_state = check_random_state(self.random_state)
        if one:
            random_state.randint(1, MAX_INT)  # scikit-learn draws one more, and does not use it
        held_out = None
        if judged is None and self.early_stopping:
            hard = y if y.ndim == 1 else y.argmax(axis=1)
            held_out = self._split(hard, weight, StratifiedShuffleSplit)
            judged = X[held_out], y[held_out], weight[held_out]
        if one:
            if factors is not None:
                weight = weigh(shares_of(y, self.classes_) @ factors, weight, X.dtype, whole)
            return [self._task(y, weight, random_state, judged, self._targets)], held_out
        seeds = random_state.randint(MAX_INT, size=len(self.classes_))
        factors = np.ones(len(seeds)) if factors is None else factors
        tasks = []
        for label, factor, seed in zip(self.classes_, factors, seeds, strict=True):
            source = check_random_state(int(seed))
            source.randint(1, MAX_INT)  # scikit-learn draws one more, and does not use it
            own = weight
            if factor != 1:
                own = weigh(np.where(y == label, factor, 1.0), weight, X.dtype, whole=False)
            encode = functools.partial(self._encode, label)
            tasks.append(self._task(y, own, source, judged, encode))
        return tasks, held_out

    def _task(
        self,
        y: AnyArray,
        weight: AnyArray,
        random_state: Any,
        judged: Any,
        encode: Callable[[AnyArray, Any], AnyArray],
    ) -> Task:
        """Return the task whose targets `encode` makes of classes or probabilities."""
        targets, score = encode(y, weight.dtype), None
        softmax = targets.ndim == 2 or targets.dtype == np.int32
        if judged is not None:
            make = self._softmax_score if softmax else self._binary_score
            score = make(judged[0], encode(judged[1], weight.dtype), judged[2])
        seed = int(random_state.randint(MAX_INT))
        n_outputs = len(self.classes_) if softmax else 1
        return Task(targets, _ones_as_none(weight), seed, score, n_outputs)

    def _targets(self, y: AnyArray, dtype: Any) -> AnyArray:
        """Return the targets of one task, from classes or probabilities."""
        if len(self.classes_) > 2:
            return y if y.ndim == 2 else np.searchsorted(self.classes_, y).astype(np.int32)
        if y.ndim == 2:
            return np.ascontiguousarray(y[:, 1])
        return self._encode(self.classes_[1], y, dtype)

    def _encode(self, label: Any, y: AnyArray, dtype: Any) -> AnyArray:
        """Return 1 for samples of a class, for others what the loss takes: -1 or 0."""
        other = dtype.type(0 if self.loss == "log_loss" else -1)
        return np.where(y == label, dtype.type(1), other)

    def _binary_score(self, X: Any, y: AnyArray, sample_weight: AnyArray) -> Score:
        member = y > (0.5 if self.loss == "log_loss" else 0)
        return _judge(
            X,
            lambda p: accuracy_score(member, p > 0, sample_weight=sample_weight),
            lambda p: self._mean_loss(y, p, sample_weight),
        )

    def _softmax_score(self, X: Any, y: AnyArray, sample_weight: AnyArray) -> Score:
        label = y if y.ndim == 1 else y.argmax(axis=1)
        cross_entropy = LOSSES["cross_entropy"].value
        return _judge(
            X,
            lambda p: accuracy_score(label, p.argmax(axis=1), sample_weight=sample_weight),
            lambda p: np.average(cross_entropy(p.astype(np.float64), y), weights=sample_weight),
        )

    def _threads(self) -> int:
        if self.n_threads is None and self.n_jobs is not None:
            return int(effective_n_jobs(self.n_jobs))
        return super()._threads()

    @staticmethod
    def _shape_coef(coef: FloatArray) -> FloatArray:
        return coef

    # -------------------------------------------------------------------- predictions

    def decision_function(self, X: Any) -> FloatArray:
        """Return the raw outputs; a value above 0 means the class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes, the raw output for ``classes_[1]``.
        """
        values: FloatArray = super().decision_function(own_rows(X))
        return values

    def _has_softmax(self) -> bool:
        return self.multi_class == "softmax" and len(self.classes_) > 2

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> FloatArray:
        """Return the probability of each class.

        For the losses ``"log_loss"`` and ``"modified_huber"``. One-versus-rest probabilities of
        more than two classes are normalised (Zadrozny and Elkan 2002,
        doi:10.1145/775047.775151).

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            The columns are in the order of `classes_`.
        """
        if getattr(self, "classes_", None) is not None and self._has_softmax():
            probability: FloatArray = softmax(self.decision_function(X), axis=1)
            return probability
        return super().predict_proba(X)
