"""`MLPClassifier` and `MLPRegressor`: scikit-learn's, on fastgd's engine.

This room holds what a user of scikit-learn meets: parameters, checks, predictions. The rules by
which a training goes on and stops belong in `_epochs`, arithmetic in `_descent`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.parallel import _get_threadpool_controller
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastgd._typing import AnyArray, FloatArray
from fastgd._validation import check_dropout
from fastgd.backends import compiled
from fastgd.losses import LOSSES
from fastgd.optimizers import Optimizer
from fastgd.schedules import Schedule
from fastgd.sklearn._common import (
    CallbackSupport,
    Loads,
    Progress,
    check_probabilities,
    check_progress,
    count_threads,
    has_validation,
)
from fastgd.sklearn._descent import DENSE_AT_ONCE, Cost, pack, unpack
from fastgd.sklearn._epochs import NOT_FINITE, Epochs, TrainingState, Validation

__all__ = ["MLPClassifier", "MLPRegressor"]

#: scikit-learn's names of activations, where the engine's differ
ENGINE_ACTIVATIONS = {"logistic": "sigmoid"}
ACTIVATIONS = ("identity", "logistic", "tanh", "relu", "leaky_relu", "gelu", "silu", "softplus")
#: what makes predictions of raw outputs, by scikit-learn's names of output activations
LINKS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "identity": LOSSES["squared_error"].link,
    "logistic": LOSSES["log_loss"].link,
    "softmax": LOSSES["cross_entropy"].link,
    "exp": LOSSES["poisson"].link,
}
Draws = np.random.RandomState | np.random.Generator


class _BaseMLP(Loads, CallbackSupport, BaseEstimator):
    """What the classifier and the regressor have in common."""

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

    # ----------------------------------------------------------------- the network

    def _layers(self) -> list[int]:
        """Return the units of the hidden layers."""
        sizes = self.hidden_layer_sizes
        layers = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        if any(size <= 0 for size in layers):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {layers}.")
        return [operator.index(size) for size in layers]

    def _hidden(self) -> tuple[str, ...]:
        """Return the engine's name of each hidden layer's activation."""
        n_hidden = len(self._layers())
        if isinstance(self.activation, str):
            names: Sequence[str] = (self.activation,) * n_hidden
        else:
            names = tuple(self.activation)
            if len(names) != n_hidden:
                raise ValueError(
                    f"activation names {len(names)} activations, but hidden_layer_sizes has "
                    f"{n_hidden} layers: give one name for all, or one a layer"
                )
        for name in names:
            if name not in ACTIVATIONS:
                raise ValueError(
                    f"activation holds {name!r}, but each must be one of {', '.join(ACTIVATIONS)}"
                )
        return tuple(ENGINE_ACTIVATIONS.get(name, name) for name in names)

    def _dropout(self) -> tuple[float, ...]:
        """Return the share of each hidden layer's units to leave out of a step."""
        return check_dropout(self.dropout, len(self._layers()))

    def _check_solver_takes(self) -> None:
        """Check that what belongs to steps is not asked of L-BFGS."""
        clips = self.clip_value is not None or self.clip_norm is not None
        if self.solver == "lbfgs" and (clips or any(self._dropout())):
            raise ValueError(
                "dropout, clip_value and clip_norm belong to steps on batches: choose another "
                "solver than 'lbfgs'"
            )

    def _initialize(self, layer_units: list[int], dtype: Any) -> None:
        """Draw the weights and reset the attributes, before the first epoch ever."""
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_ = self._output_activation()
        self.coefs_, self.intercepts_ = self._draw(layer_units, dtype)
        self._optimizer: TrainingState | None = None
        if self.solver != "lbfgs":
            self._begin_curves()

    def _begin_curves(self) -> None:
        """Set the attributes that grow with the epochs."""
        self.loss_curve_ = []
        self._no_improvement_count = 0
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.validation_loss_curve_ = None

    def _draw(
        self, layer_units: list[int], dtype: Any
    ) -> tuple[list[FloatArray], list[FloatArray]]:
        """Draw weights and biases from Glorot & Bengio's uniform distribution (2010, eq. 16).

        The numbers, and their order, are scikit-learn's: the bound's square is 6 / (inputs +
        outputs), and a third of that where the layers' activation is the logistic function.
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
        """Return the last layer's raw outputs for samples that are checked, (n, outputs)."""
        sizes = [len(self.coefs_[0]), *(len(b) for b in self.intercepts_)]
        params, hidden = pack(self.coefs_, self.intercepts_), self._hidden()
        rows, threads = X.shape[0], count_threads(self.n_threads)
        if scipy.sparse.issparse(X):
            X, rows = X.tocsr(), max(1, DENSE_AT_ONCE // X.shape[1])
        parts = [
            compiled.forward(
                sizes, hidden, params, _dense(X[start : start + rows], params.dtype), threads
            )
            for start in range(0, X.shape[0], rows)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _link(self, z: FloatArray) -> FloatArray:
        """Return the last layer's activations."""
        with np.errstate(over="ignore", invalid="ignore"):
            return LINKS[self.out_activation_](z)

    def _predicted(self, X: Any) -> FloatArray:
        """Check samples, and return the last layer's activations."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
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
        self._hidden()
        self._check_solver_takes()
        check_progress(self)
        first_pass = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        original = X, y
        X, y, targets = self._validate_input(X, y, incremental, reset=first_pass)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        sample_weight = self._weigh_classes(y, sample_weight, incremental)
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
        """Check that the weights to go on from are those of this network."""
        shapes = [np.shape(W) for W in self.coefs_]
        wanted = list(pairwise(layer_units))
        if shapes != wanted:
            raise ValueError(
                f"coefs_ has the shapes {shapes}, but the parameters and the data ask for "
                f"{wanted}: to begin anew call fit with warm_start=False"
            )

    def _draws(self, anew: bool) -> Draws:
        """Return the generator: a new one, or the last fit's where that training goes on."""
        known = getattr(self, "_seed", None)
        same = known is self.random_state or (
            isinstance(known, Integral) and known == self.random_state
        )
        if not anew and same and getattr(self, "_optimizer", None) is not None:
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
        """Return the cost of the network on data that is checked."""
        X = X if scipy.sparse.issparse(X) else _dense(X, X.dtype)
        if self._engine_loss() == "cross_entropy" and targets.dtype == bool:
            y: AnyArray = np.argmax(targets, axis=1).astype(np.int32)
        else:
            y = np.ascontiguousarray(targets, X.dtype)
        return Cost(
            sizes, self._hidden(), self._engine_loss(), float(self.alpha), X, y, sample_weight,
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
            self._adopt(sizes, intermediate_result.x, dtype)
            self.n_iter_ += 1
            self.loss_ = reported[intermediate_result.fun]
            progress.say(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            progress.begin_epoch()
            if progress.end_epoch(loss=self.loss_):
                raise StopIteration

        self.n_iter_ = 0
        # SciPy's own vector operations are short: threads of BLAS would wait for each other, and
        # keep the engine's from the cores
        with _get_threadpool_controller().limit(limits=1, user_api="blas"):
            found = scipy.optimize.minimize(
                value_and_slope,
                pack(self.coefs_, self.intercepts_).astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration,
                options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
            )
        if found.status != 99:  # SciPy's number for a callback that stopped it
            self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        self.loss_ = reported.get(found.fun, float(found.fun))
        self._adopt(sizes, found.x, dtype)

    def _adopt(self, sizes: Sequence[int], params: FloatArray, dtype: Any = None) -> None:
        """Make parameters the estimator's: `coefs_` and `intercepts_` are views on a copy."""
        self.coefs_, self.intercepts_ = unpack(sizes, np.array(params, dtype))

    def _fitted_attributes(self) -> dict[str, Any]:
        """Return what makes a copy of the estimator a fitted one, as of now."""
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
        return Validation(
            X, y, targets, None if weight is None else _check_sample_weight(weight, X)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dense(X: Any, dtype: Any) -> FloatArray:
    """Return samples as a C-contiguous array, in place where they are one."""
    return np.require(X.toarray() if scipy.sparse.issparse(X) else X, dtype, ["C", "A"])


def _is_soft(y: Any) -> bool:
    """Whether targets of a classifier are a matrix of probabilities."""
    return getattr(y, "ndim", 2) == 2 and type_of_target(y) == "continuous-multioutput"


class MLPClassifier(ClassifierMixin, _BaseMLP):
    """Multi-layer perceptron classifier: scikit-learn's interface on fastgd's engine.

    The log loss of two classes, of several (softmax) or of several labels (one sigmoid each) is
    made small by mini-batch gradient descent or L-BFGS.

    Parameters
    ----------
    hidden_layer_sizes : int or array_like of int, default=(100,)
        Units of each hidden layer; an empty tuple makes a linear model.
    activation : str or sequence of str, default="relu"
        Of all hidden layers, or one name a layer: "identity", "logistic", "tanh", "relu" as in
        scikit-learn, and also "leaky_relu", "gelu", "silu", "softplus".
    solver : {"lbfgs", "sgd", "adam"} or fastgd optimizer, default="adam"
        "lbfgs" is SciPy's L-BFGS-B on the compiled gradient over all samples. "sgd" and "adam"
        take the parameters below. An optimizer such as ``fastgd.AdamW(0.01)`` brings its own.
    alpha : float, default=0.0001
        Factor of the penalty ``alpha / 2 * sum of the squared weights``, which is divided by the
        number of samples of the batch (or the sum of their weights), as is the loss. Biases are
        not penalised.
    batch_size : int or "auto", default="auto"
        Samples a batch; "auto" is 200, or all where there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, schedule or callable, default="constant"
        How the learning rate changes after an epoch: not at all; to
        ``learning_rate_init / (t_ + 1) ** power_t``; or to a fifth whenever
        ``n_iter_no_change`` epochs brought no improvement. The last two are not for "adam". A
        schedule such as ``fastgd.schedules.Cosine(100)``, or a function from the number of the
        epoch to a factor, is for all but "lbfgs".
    learning_rate_init : float, default=0.001
        The learning rate of "sgd" and "adam".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The most epochs of a call, or iterations of "lbfgs".
    shuffle : bool, default=True
        Whether every epoch has an order of its own.
    random_state : int, RandomState, Generator or None, default=None
        Draws initial weights, validation data and orders: with an int or a RandomState the same
        as scikit-learn. A `numpy.random.Generator` draws orders in compiled code.
    tol : float, default=1e-4
        An epoch must improve the training loss, or with `early_stopping` the validation score,
        by this much to count. For "lbfgs" the tolerance of the gradient.
    verbose : bool, int or "bar", default=False
        True prints a line an epoch, "bar" shows a progress bar (needs tqdm).
    warm_start : bool or "exact", default=False
        Whether `fit` goes on where the last call ended: with the weights, and, unlike in
        scikit-learn, with the optimizer's state, the learning rate and the generator too. n
        calls of one epoch give the bits of one call of n epochs. "exact" means the same.
    momentum : float, default=0.9
        Of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data does not improve, and to go back to the
        best weights. The data is ``X_val`` of `fit`, or set aside.
    validation_fraction : float, default=0.1
        The share of the samples to set aside.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The shares of the running averages that "adam" keeps.
    epsilon : float, default=1e-8
        What "adam" adds to the denominator.
    n_iter_no_change : int, default=10
        How many epochs in a row may bring no improvement.
    max_fun : int, default=15000
        The most gradients that "lbfgs" may compute.
    class_weight : dict, "balanced" or None, default=None
        Factors of the classes' samples; "balanced" makes them inverse to the classes' sizes.
    dropout : float or sequence of float, default=0
        The share of the hidden units, or of each hidden layer's, that is left out of a step, while
        the others' outputs are divided by what remains; not for "lbfgs".
    clip_value, clip_norm : float, default=None
        The largest size of an element of a batch's gradient, and of the norm of all of it, the
        penalty included; not for "lbfgs".
    callbacks : callable or list of callable, default=None
        Each is called after each epoch with the estimator; training stops after an epoch in
        which one returns True. scikit-learn's own callbacks (1.9) go to ``set_callbacks``.
    n_threads : int, default=None
        The most threads to use; as many as OpenMP would, if None. The numbers do not depend on
        it.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (inputs, outputs)
        Each layer's weights, in the dtype of X.
    intercepts_ : list of ndarray of shape (outputs,)
        Each layer's biases.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    loss_ : float
        The last epoch's mean cost, the penalty included, each batch's before its step.
    loss_curve_ : list of float
        `loss_` of all epochs; not for "lbfgs".
    best_loss_ : float or None
        The least of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        The score on the validation data after each epoch: accuracy.
    validation_loss_curve_ : list of float or None
        The loss on it, without the penalty.
    best_validation_score_ : float or None
        The best of them, whose weights `coefs_` and `intercepts_` then are.
    n_iter_ : int
        Epochs, or iterations, of the last call.
    t_ : int
        Samples seen, counted as often as they were.
    n_layers_ : int
        Layers, the inputs' too.
    n_outputs_ : int
        Units of the last layer.
    out_activation_ : str
        Activation of the last layer.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        Their names, where X has any.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : The class whose interface this is.

    Notes
    -----
    In float64, "sgd" and "adam" give scikit-learn's numbers to rounding. See
    docs/scikit-learn.md for all differences.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from fastgd.sklearn import MLPClassifier
    >>> X, y = make_moons(200, noise=0.1, random_state=0)
    >>> clf = MLPClassifier((16,), solver="lbfgs", random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_BaseMLP._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }
    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool | str = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        dropout: Any = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.callbacks = callbacks
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPClassifier:
        """Train the network.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples. C-contiguous float32 or float64 data is used in place.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Labels: of one class, a matrix of 0 and 1 for several labels, or a matrix of each
            class's probability (soft labels), where they are not all 0 and 1.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors of the samples' losses.
        X_val, y_val, sample_weight_val : array_like, default=None
            Validation data. It is scored after each epoch, and the best weights are kept. Not
            for "lbfgs".

        Returns
        -------
        self
            The trained estimator.
        """
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Train for one epoch, as scikit-learn does: with an int as seed each call shuffles alike.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Labels: of one class, a matrix of 0 and 1 for several labels, or a matrix of each
            class's probability (soft labels), where they are not all 0 and 1.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors of the samples' losses.
        classes : array_like of shape (n_classes,), default=None
            All labels that may come; needed in the first call, unless y holds probabilities.

        Returns
        -------
        self
            The trained estimator.
        """
        if classes is None and not hasattr(self, "classes_") and _is_soft(y):
            classes = np.arange(np.shape(y)[1])
        if _check_partial_fit_first_call(self, classes):
            self._label_binarizer = LabelBinarizer()
            several = type_of_target(y).startswith("multilabel")
            self._label_binarizer.fit(y if several else classes)
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> AnyArray:
        """Return the most probable class, or with several labels those above one half.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Labels.
        """
        return self._labels(self._predicted(X))

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the classes' probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        p = self._predicted(X)
        return np.hstack([1 - p, p]) if self.n_outputs_ == 1 else p

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Return the logarithms of the classes' probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(p, out=p)

    def _labels(self, outputs: FloatArray) -> AnyArray:
        p = outputs.ravel() if self.n_outputs_ == 1 else outputs
        labels: AnyArray = self._label_binarizer.inverse_transform(p)
        return labels

    def _score(self, outputs: FloatArray, y: AnyArray, sample_weight: FloatArray | None) -> float:
        """Return the accuracy; nan when the network has diverged."""
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(accuracy_score(y, self._labels(outputs), sample_weight=sample_weight))

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _engine_loss(self) -> str:
        return "cross_entropy" if self.out_activation_ == "softmax" else "log_loss"

    def _weigh_classes(
        self, y: AnyArray, sample_weight: FloatArray | None, incremental: bool
    ) -> FloatArray | None:
        """Return the samples' weights times their classes'."""
        if self.class_weight is None:
            return sample_weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit: it would depend on "
                "the classes of each call. Use "
                "sklearn.utils.class_weight.compute_class_weight('balanced', classes=classes, y=y) "
                "on all of y, or a part of it that is representative, and give its result as a "
                "dict: class_weight={class: weight}"
            )
        weight: FloatArray
        if _is_soft(y):
            factors = compute_class_weight(
                self.class_weight, classes=self.classes_, y=self.classes_[y.argmax(axis=1)]
            )
            weight = y @ factors
        else:
            weight = compute_sample_weight(self.class_weight, y)
        return weight if sample_weight is None else weight * sample_weight

    def _validate_input(
        self, X: Any, y: Any, incremental: bool, reset: bool
    ) -> tuple[Any, AnyArray, AnyArray]:
        X, y = self._checked(X, y, reset)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            labels = np.arange(y.shape[1]) if _is_soft(y) else y
            self._label_binarizer = LabelBinarizer().fit(labels)
            self.classes_: AnyArray = self._label_binarizer.classes_
        elif not _is_soft(y):
            self._check_classes(unique_labels(y))
        return X, y, self._targets(y)

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        if _is_soft(y):
            check_probabilities(y)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _targets(self, y: AnyArray) -> AnyArray:
        """Return a column for each output: bool of labels, or probabilities."""
        if not _is_soft(y):
            targets: AnyArray = self._label_binarizer.transform(y).astype(bool)
            return targets
        if self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError(
                "y holds probabilities that exclude each other, but training began with several "
                "labels a sample"
            )
        if y.shape[1] != len(self.classes_):
            raise ValueError(
                f"y has {y.shape[1]} columns, but there are {len(self.classes_)} classes"
            )
        return y[:, 1:] if y.shape[1] == 2 else y

    def _validate_targets(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray, AnyArray]:
        X, y = self._checked(X, y, reset)
        if _is_soft(y):
            return X, self.classes_[y.argmax(axis=1)], self._targets(y)
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown):
            raise ValueError(f"y_val has classes that y has not: {unknown}")
        return X, y, self._label_binarizer.transform(y).astype(bool)

    def _check_classes(self, classes: AnyArray) -> None:
        """Check that the classes are those of the training that goes on."""
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the "
                    f"previous call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {classes}."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, _BaseMLP):
    """Multi-layer perceptron regressor: scikit-learn's interface on fastgd's engine.

    The loss is made small by mini-batch gradient descent or L-BFGS.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "absolute_error"}, default="squared_error"
        "squared_error" is half the squared error and "poisson" half the Poisson deviance (with
        an exponential as last activation), both as in scikit-learn. "huber" turns from quadratic
        to linear at an error of 1.
    hidden_layer_sizes : int or array_like of int, default=(100,)
        Units of each hidden layer; an empty tuple makes a linear model.
    activation : str or sequence of str, default="relu"
        Of all hidden layers, or one name a layer: "identity", "logistic", "tanh", "relu" as in
        scikit-learn, and also "leaky_relu", "gelu", "silu", "softplus".
    solver : {"lbfgs", "sgd", "adam"} or fastgd optimizer, default="adam"
        "lbfgs" is SciPy's L-BFGS-B on the compiled gradient over all samples. "sgd" and "adam"
        take the parameters below. An optimizer such as ``fastgd.AdamW(0.01)`` brings its own.
    alpha : float, default=0.0001
        Factor of the penalty ``alpha / 2 * sum of the squared weights``, which is divided by the
        number of samples of the batch (or the sum of their weights), as is the loss. Biases are
        not penalised.
    batch_size : int or "auto", default="auto"
        Samples a batch; "auto" is 200, or all where there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, schedule or callable, default="constant"
        How the learning rate changes after an epoch: not at all; to
        ``learning_rate_init / (t_ + 1) ** power_t``; or to a fifth whenever
        ``n_iter_no_change`` epochs brought no improvement. The last two are not for "adam". A
        schedule such as ``fastgd.schedules.Cosine(100)``, or a function from the number of the
        epoch to a factor, is for all but "lbfgs".
    learning_rate_init : float, default=0.001
        The learning rate of "sgd" and "adam".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The most epochs of a call, or iterations of "lbfgs".
    shuffle : bool, default=True
        Whether every epoch has an order of its own.
    random_state : int, RandomState, Generator or None, default=None
        Draws initial weights, validation data and orders: with an int or a RandomState the same
        as scikit-learn. A `numpy.random.Generator` draws orders in compiled code.
    tol : float, default=1e-4
        An epoch must improve the training loss, or with `early_stopping` the validation score,
        by this much to count. For "lbfgs" the tolerance of the gradient.
    verbose : bool, int or "bar", default=False
        True prints a line an epoch, "bar" shows a progress bar (needs tqdm).
    warm_start : bool or "exact", default=False
        Whether `fit` goes on where the last call ended: with the weights, and, unlike in
        scikit-learn, with the optimizer's state, the learning rate and the generator too. n
        calls of one epoch give the bits of one call of n epochs. "exact" means the same.
    momentum : float, default=0.9
        Of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data does not improve, and to go back to the
        best weights. The data is ``X_val`` of `fit`, or set aside.
    validation_fraction : float, default=0.1
        The share of the samples to set aside.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The shares of the running averages that "adam" keeps.
    epsilon : float, default=1e-8
        What "adam" adds to the denominator.
    n_iter_no_change : int, default=10
        How many epochs in a row may bring no improvement.
    max_fun : int, default=15000
        The most gradients that "lbfgs" may compute.
    dropout : float or sequence of float, default=0
        The share of the hidden units, or of each hidden layer's, that is left out of a step, while
        the others' outputs are divided by what remains; not for "lbfgs".
    clip_value, clip_norm : float, default=None
        The largest size of an element of a batch's gradient, and of the norm of all of it, the
        penalty included; not for "lbfgs".
    callbacks : callable or list of callable, default=None
        Each is called after each epoch with the estimator; training stops after an epoch in
        which one returns True. scikit-learn's own callbacks (1.9) go to ``set_callbacks``.
    n_threads : int, default=None
        The most threads to use; as many as OpenMP would, if None. The numbers do not depend on
        it.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (inputs, outputs)
        Each layer's weights, in the dtype of X.
    intercepts_ : list of ndarray of shape (outputs,)
        Each layer's biases.
    loss_ : float
        The last epoch's mean cost, the penalty included, each batch's before its step.
    loss_curve_ : list of float
        `loss_` of all epochs; not for "lbfgs".
    best_loss_ : float or None
        The least of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        The score on the validation data after each epoch: R^2.
    validation_loss_curve_ : list of float or None
        The loss on it, without the penalty.
    best_validation_score_ : float or None
        The best of them, whose weights `coefs_` and `intercepts_` then are.
    n_iter_ : int
        Epochs, or iterations, of the last call.
    t_ : int
        Samples seen, counted as often as they were.
    n_layers_ : int
        Layers, the inputs' too.
    n_outputs_ : int
        Units of the last layer.
    out_activation_ : str
        Activation of the last layer.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        Their names, where X has any.

    See Also
    --------
    sklearn.neural_network.MLPRegressor : The class whose interface this is.

    Notes
    -----
    In float64, "sgd" and "adam" give scikit-learn's numbers to rounding. With several
    outputs "lbfgs" descends on the sum of the outputs' losses, whose gradient scikit-learn uses
    too, while it hands their mean to the line search. See
    docs/scikit-learn.md for all differences.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.sklearn import MLPRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> reg = MLPRegressor(activation="tanh", solver="lbfgs", random_state=0)
    >>> reg.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson", "huber", "absolute_error"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool | str = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.callbacks = callbacks
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> MLPRegressor:
        """Train the network.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples. C-contiguous float32 or float64 data is used in place.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors of the samples' losses.
        X_val, y_val, sample_weight_val : array_like, default=None
            Validation data. It is scored after each epoch, and the best weights are kept. Not
            for "lbfgs".

        Returns
        -------
        self
            The trained estimator.
        """
        self._fit(X, y, sample_weight, validation=(X_val, y_val, sample_weight_val))
        return self

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch, as scikit-learn does: with an int as seed each call shuffles alike.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors of the samples' losses.

        Returns
        -------
        self
            The trained estimator.
        """
        self._fit(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> FloatArray:
        """Return predictions.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the dtype of `coefs_`.
        """
        return self._values(self._predicted(X))

    def _values(self, outputs: FloatArray) -> FloatArray:
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _score(self, outputs: FloatArray, y: AnyArray, sample_weight: FloatArray | None) -> float:
        """Return R^2; nan when the network has diverged."""
        predicted = self._values(outputs)
        if not np.isfinite(predicted).all():
            return float("nan")
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _engine_loss(self) -> str:
        return str(self.loss)

    def _weigh_classes(
        self, y: AnyArray, sample_weight: FloatArray | None, incremental: bool
    ) -> FloatArray | None:
        return sample_weight

    def _validate_input(
        self, X: Any, y: Any, incremental: bool, reset: bool
    ) -> tuple[Any, AnyArray, AnyArray]:
        return self._validate_targets(X, y, reset)

    def _validate_targets(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray, AnyArray]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and np.min(y) < 0:
            raise ValueError(
                f"loss='poisson' takes values of at least 0, but y holds {np.min(y)}: shift y, or "
                "use loss='squared_error'"
            )
        return X, y, y.reshape(len(y), -1)
