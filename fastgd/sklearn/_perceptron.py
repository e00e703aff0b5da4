"""The base class of the MLP estimators: parameters, checks, training, raw outputs.

For the differences between the two classes (targets, scores, predictions) see _mlp.py, for the
epochs and the rules for stopping `_epochs`, for the arithmetic `_descent`.
"""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.parallel import _get_threadpool_controller
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastgd import _words, activations
from fastgd._typing import AnyArray, FloatArray
from fastgd.backends import compiled
from fastgd.backends._dropout import check_dropout
from fastgd.losses import LOSSES
from fastgd.optimizers import Optimizer
from fastgd.rows import as_rows, own_rows
from fastgd.schedules import Schedule
from fastgd.sklearn._common import (
    CallbackSupport,
    PickleCompatible,
    Progress,
    check_epochs,
    count_threads,
    has_validation,
)
from fastgd.sklearn._descent import Cost, pack, unpack
from fastgd.sklearn._epochs import NOT_FINITE, Epochs, TrainingState, Validation

__all__ = ["ACTIVATIONS", "ENGINE_ACTIVATIONS", "MultiLayerPerceptron"]

#: scikit-learn's names of activations, where the engine's differ
ENGINE_ACTIVATIONS = {"logistic": "sigmoid"}
ACTIVATIONS = ("logistic", *(name for name in activations.ACTIVATIONS if name != "sigmoid"))
#: functions from raw outputs to predictions, by scikit-learn's names of output activations
LINKS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "identity": LOSSES["squared_error"].link,
    "logistic": LOSSES["log_loss"].link,
    "softmax": LOSSES["cross_entropy"].link,
    "exp": LOSSES["poisson"].link,
}
Draws = np.random.RandomState | np.random.Generator


class MultiLayerPerceptron(PickleCompatible, CallbackSupport, BaseEstimator, abc.ABC):
    """The base class of the classifier and the regressor."""

    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    validation_loss_curve_: list[float] | None

    #: the number of samples that a validation score needs
    _least_judged: ClassVar[int] = 1

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), tuple, list],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"}), Optimizer],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose", StrOptions({"bar"})],
        "warm_start": ["boolean", StrOptions({"exact"})],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), tuple, list],
        "clip_value": [None, Interval(Real, 0, None, closed="neither")],
        "clip_norm": [None, Interval(Real, 0, None, closed="neither")],
        "callbacks": [None, callable, "array-like"],
        "n_threads": [None, Interval(Integral, 1, None, closed="left")],
    }

    # ----------------------------------------------------------- defined by each of the two

    @abc.abstractmethod
    def _output_activation(self) -> str:
        """Return scikit-learn's name of the last layer's activation."""

    @abc.abstractmethod
    def _engine_loss(self) -> str:
        """Return the engine's name of the loss."""

    @abc.abstractmethod
    def _validate_input(
        self, X: Any, y: Any, incremental: bool, reset: bool
    ) -> tuple[Any, AnyArray, AnyArray]:
        """Check training data; return X, y, and the targets, one column per output."""

    @abc.abstractmethod
    def _validate_targets(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray, AnyArray]:
        """Check validation data; return the same, with y in the form that `_score` takes."""

    @abc.abstractmethod
    def _weigh_classes(
        self, y: AnyArray, sample_weight: FloatArray | None, dtype: Any, incremental: bool
    ) -> FloatArray | None:
        """Return the samples' weights times the weights of their classes, if there are any."""

    @abc.abstractmethod
    def _score(self, outputs: FloatArray, y: AnyArray, sample_weight: FloatArray | None) -> float:
        """Return the score of the last layer's activations; nan if the network has diverged."""

    # ----------------------------------------------------------------- the network

    def _layers(self) -> list[int]:
        """Return the units of the hidden layers."""
        sizes = self.hidden_layer_sizes
        layers = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        if any(size <= 0 for size in layers):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {layers}.")
        return [operator.index(size) for size in layers]

    def _hidden(self, n_hidden: int | None = None) -> tuple[str, ...]:
        """Return the engine's name of each hidden layer's activation.

        `n_hidden` is the number of layers of a fitted network, which `set_params` may have changed.
        """
        n_hidden = len(self._layers()) if n_hidden is None else n_hidden
        if isinstance(self.activation, str):
            names: Sequence[str] = (self.activation,) * n_hidden
        else:
            names = tuple(self.activation)
            if len(names) != n_hidden:
                raise ValueError(
                    f"activation names {len(names)} activations, but there are {n_hidden} hidden "
                    "layers: give one name for all, or one per layer"
                )
        for name in names:
            if name not in ACTIVATIONS:
                raise ValueError(
                    f"activation holds {name!r}, but each must be one of {', '.join(ACTIVATIONS)}"
                )
        return tuple(ENGINE_ACTIVATIONS.get(name, name) for name in names)

    def _dropout(self) -> tuple[float, ...]:
        """Return the share of units to drop in each hidden layer."""
        return check_dropout(self.dropout, len(self._layers()))

    def _check_solver_takes(self) -> None:
        """Refuse options of steps on batches for L-BFGS."""
        clips = self.clip_value is not None or self.clip_norm is not None
        if self.solver == "lbfgs" and (clips or any(self._dropout())):
            raise ValueError(
                "dropout, clip_value and clip_norm belong to steps on batches: choose another "
                "solver than 'lbfgs'"
            )

    def _initialize(self, layer_units: list[int], dtype: Any) -> None:
        """Draw the weights and reset the attributes, before the first epoch."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_ = self._output_activation()
        self.coefs_, self.intercepts_ = self._draw(layer_units, dtype)
        self._optimizer: TrainingState | None = None
        if self.solver != "lbfgs":
            self._begin_curves()

    def _begin_curves(self) -> None:
        """Reset the attributes that get a value per epoch."""
        self.loss_curve_ = []
        self._no_improvement_count = 0
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.validation_loss_curve_ = None

    def _continue_curves(self, validated: bool) -> None:
        """Set missing ones of these, after L-BFGS or before the first epoch with validation."""
        if not hasattr(self, "loss_curve_"):
            self._begin_curves()
        if validated and self.validation_scores_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        if validated and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []

    def _draw(
        self, layer_units: list[int], dtype: Any
    ) -> tuple[list[FloatArray], list[FloatArray]]:
        """Draw weights and biases from Glorot & Bengio's uniform distribution (2010, eq. 16).

        As in scikit-learn, the bound's square is 6 / (inputs + outputs), or a third of that for the
        logistic function, and numbers are drawn in the same order.
        """
        hidden = self._hidden()
        coefs, intercepts = [], []
        for depth, (n_in, n_out) in enumerate(pairwise(layer_units)):
            name = hidden[min(depth, len(hidden) - 1)] if hidden else self.activation
            bound = np.sqrt((2.0 if name in ("sigmoid", "logistic") else 6.0) / (n_in + n_out))
            coefs.append(self._random_state.uniform(-bound, bound, (n_in, n_out)).astype(dtype))
            intercepts.append(self._random_state.uniform(-bound, bound, n_out).astype(dtype))
        return coefs, intercepts

    def _raw_outputs(self, X: Any) -> FloatArray:
        """Return the last layer's raw outputs for checked samples, (n, outputs)."""
        sizes = [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]
        self._check_shapes(sizes)
        params, hidden = pack(self.coefs_, self.intercepts_), self._hidden(len(self.coefs_) - 1)
        rows = as_rows(X, params.dtype)
        return compiled.forward(sizes, hidden, params, rows, count_threads(self.n_threads))

    def _link(self, z: FloatArray) -> FloatArray:
        """Return the last layer's activations."""
        with np.errstate(over="ignore", invalid="ignore"):
            return LINKS[self.out_activation_](z)

    def _predicted(self, X: Any) -> FloatArray:
        """Check samples, and return the last layer's activations."""
        check_is_fitted(self)
        X = validate_data(self, own_rows(X), accept_sparse=["csr", "csc"], reset=False)
        return self._link(self._raw_outputs(X))

    # -------------------------------------------------------------------- training

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] | None = None,
    ) -> Any:
        """Check all arguments and train: one epoch for `partial_fit`, all of them for `fit`."""
        self._hidden()
        self._check_solver_takes()
        check_epochs(self)
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        original = X, y
        X, y, targets = self._validate_input(X, y, incremental, reset=first_pass)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        sample_weight = self._weigh_classes(y, sample_weight, X.dtype, incremental)
        self.n_outputs_ = targets.shape[1]
        judged = self._check_validation(validation)
        layer_units = [X.shape[1], *self._layers(), self.n_outputs_]
        self._random_state = self._draws(first_pass or incremental)
        if first_pass:
            self._initialize(layer_units, X.dtype)
        self._check_shapes(layer_units)
        X = X.astype(pack(self.coefs_, self.intercepts_).dtype, copy=False)
        progress = Progress(
            self, self.max_iter, *original,
            {} if sample_weight is None else {"sample_weight": sample_weight},
            self._fitted_attributes, native=not incremental,
        )  # fmt: skip
        with progress:
            if self.solver == "lbfgs":
                self._fit_lbfgs(X, targets, sample_weight, layer_units, progress)
            else:
                training = Epochs(self, layer_units, incremental, progress)
                training.run(X, targets, sample_weight, judged)
        if not all(np.isfinite(part).all() for part in (*self.coefs_, *self.intercepts_)):
            raise ValueError(NOT_FINITE)
        return self

    def _check_shapes(self, layer_units: list[int]) -> None:
        """Check the shapes of weights and biases, on which the engine relies."""
        wanted = {
            "coefs_": list(pairwise(layer_units)),
            "intercepts_": [(units,) for units in layer_units[1:]],
        }
        for name, shapes in wanted.items():
            found = [np.shape(part) for part in getattr(self, name)]
            if found != shapes:
                raise ValueError(
                    f"{name} has the shapes {found}, but the parameters and the data need "
                    f"{shapes}: to start again, call fit with warm_start=False"
                )

    def _draws(self, new: bool) -> Draws:
        """Return the generator: a new one, or the last fit's if this call continues it."""
        known = getattr(self, "_seed", None)
        same = known is self.random_state or (
            isinstance(known, Integral) and known == self.random_state
        )
        if not new and same and getattr(self, "_optimizer", None) is not None:
            return self._random_state
        self._seed = self.random_state
        if isinstance(self.random_state, np.random.Generator):
            return self.random_state
        drawn: Draws = check_random_state(self.random_state)
        return drawn

    def _cost(
        self,
        sizes: Sequence[int],
        X: Any,
        targets: AnyArray,
        sample_weight: FloatArray | None,
        batch_size: int,
    ) -> Cost:
        """Return the cost of the network on checked data."""
        if self._engine_loss() == "cross_entropy" and targets.dtype == bool:
            y: AnyArray = np.argmax(targets, axis=1).astype(np.int32)
        else:
            y = np.require(targets, X.dtype, ["C", "A"])
        return Cost(
            sizes, self._hidden(), self._engine_loss(), float(self.alpha), as_rows(X, X.dtype), y,
            sample_weight,
            batch_size, count_threads(self.n_threads),
        )  # fmt: skip

    def _fit_lbfgs(
        self,
        X: Any,
        targets: AnyArray,
        sample_weight: FloatArray | None,
        sizes: list[int],
        progress: Progress,
    ) -> None:
        """Run SciPy's L-BFGS-B on the compiled gradient over all samples, in float64."""
        dtype = X.dtype
        cost = self._cost(sizes, X.astype(np.float64, copy=False), targets, sample_weight, 1)
        reported: dict[float, float] = {}

        def value_and_slope(params: FloatArray) -> tuple[float, FloatArray]:
            shown, value, slope = cost.value_and_gradient(params)
            reported[value] = shown
            return value, slope

        def after_iteration(intermediate_result: Any) -> None:
            self._set_parameters(sizes, intermediate_result.x, dtype)
            self.n_iter_ += 1
            self.loss_ = reported[intermediate_result.fun]
            progress.say(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            progress.begin_epoch()
            if progress.end_epoch(loss=self.loss_):
                raise StopIteration

        self.n_iter_ = 0
        # SciPy's own vector operations are short. BLAS threads would spin between them, and occupy
        # the cores that the engine needs.
        with _get_threadpool_controller().limit(limits=1, user_api="blas"):
            found = scipy.optimize.minimize(
                value_and_slope,
                pack(self.coefs_, self.intercepts_).astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration,
                options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
            )
        if found.status != 99:  # 99: stopped by a callback
            self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        self.loss_ = reported.get(found.fun, float(found.fun))
        self._set_parameters(sizes, found.x, dtype)

    def _set_parameters(self, sizes: Sequence[int], params: FloatArray, dtype: Any = None) -> None:
        """Set `coefs_` and `intercepts_` to views on a copy of the parameters."""
        self.coefs_, self.intercepts_ = unpack(sizes, np.array(params, dtype))

    def _fitted_attributes(self) -> dict[str, Any]:
        """Return the attributes that turn a copy of the estimator into a fitted one."""
        return {
            "coefs_": [W.copy() for W in self.coefs_],
            "intercepts_": [b.copy() for b in self.intercepts_],
        }

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def _check_validation(self, validation: tuple[Any, Any, Any] | None) -> Validation | None:
        """Check the user's own validation data."""
        if validation is None or not has_validation(*validation):
            return None
        X, y, weight = validation
        if self.solver == "lbfgs":
            raise ValueError("X_val and y_val need epochs: choose another solver than 'lbfgs'")
        X, y, targets = self._validate_targets(X, y, reset=False)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(f"y_val has {targets.shape[1]} outputs, but y has {self.n_outputs_}")
        weight = None if weight is None else _check_sample_weight(weight, X)
        return self._judged(X, y, targets, weight, "X_val")

    def _judged(
        self, X: Any, y: AnyArray, targets: AnyArray, weight: FloatArray | None, what: str
    ) -> Validation:
        """Return the validation data; raise if too few samples have a weight above 0."""
        n = X.shape[0] if weight is None else np.count_nonzero(weight)
        if n < self._least_judged:
            raise ValueError(
                f"{what} has {_words.count(X.shape[0], 'sample')}, of which {n} have a weight "
                f"above 0, but a score needs {self._least_judged}: give more of them"
            )
        return Validation(X, y, targets, weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
