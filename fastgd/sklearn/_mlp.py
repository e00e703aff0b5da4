"""`MLPClassifier` and `MLPRegressor`: scikit-learn's interface on fastgd's engine.

For what the two share see _perceptron.py.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fastgd._typing import AnyArray, FloatArray
from fastgd.losses import LOSSES, REAL
from fastgd.rows import own_rows
from fastgd.sklearn._class_weights import class_factors, shares_of, weigh
from fastgd.sklearn._common import check_probabilities
from fastgd.sklearn._perceptron import MultiLayerPerceptron

#: the losses of MLPRegressor
LOSSES_OF_NUMBERS = {name for name, loss in LOSSES.items() if loss.targets is REAL} | {"poisson"}

__all__ = ["MLPClassifier", "MLPRegressor"]


def _is_soft(y: Any) -> bool:
    """Whether a classifier's targets are a matrix of probabilities."""
    return getattr(y, "ndim", 2) == 2 and type_of_target(y) == "continuous-multioutput"


class MLPClassifier(ClassifierMixin, MultiLayerPerceptron):
    """Multi-layer perceptron classifier: scikit-learn's interface on fastgd's engine.

    Minimises the log loss of two classes, of several classes (softmax) or of several labels (one
    sigmoid each) by mini-batch gradient descent or L-BFGS.

    Parameters
    ----------
    hidden_layer_sizes : int or array_like of int, default=(100,)
        Units of each hidden layer; an empty tuple makes a linear model.
    activation : str or sequence of str, default="relu"
        The activation of all hidden layers, or one name per layer: "identity", "logistic", "tanh",
        "relu" as in scikit-learn, or any other of `fastgd.activations`, such as "gelu".
    solver : {"lbfgs", "sgd", "adam"} or fastgd optimizer, default="adam"
        "lbfgs" is SciPy's L-BFGS-B with the compiled gradient over all samples. "sgd" and "adam"
        use the parameters below; an optimizer such as ``fastgd.AdamW(0.01)`` has its own.
    alpha : float, default=0.0001
        Factor of the penalty ``alpha / 2 * sum of the squared weights``. Like the loss, the penalty
        is divided by the number of samples in the batch (or the sum of their weights). Biases are
        not penalised.
    batch_size : int or "auto", default="auto"
        Samples per batch; "auto" is 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, schedule or callable, default="constant"
        How the learning rate changes after an epoch. "constant": not at all; "invscaling": to
        ``learning_rate_init / (t_ + 1) ** power_t``; "adaptive": to a fifth after
        ``n_iter_no_change`` epochs without improvement ("adam" uses neither of the last two). A
        schedule such as ``fastgd.schedules.Cosine(100)``, or a function from the epoch's number to
        a factor, works for every solver except "lbfgs".
    learning_rate_init : float, default=0.001
        The learning rate of "sgd" and "adam".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The maximum number of epochs in a call, or of iterations of "lbfgs".
    shuffle : bool, default=True
        Whether to use a new order of the samples in each epoch.
    random_state : int, RandomState, Generator or None, default=None
        Draws the initial weights, the validation data and the orders of samples; with an int or a
        RandomState, the same as scikit-learn. A `numpy.random.Generator` shuffles in compiled code.
    tol : float, default=1e-4
        The smallest improvement that counts, of an epoch's training loss or, with `early_stopping`,
        of its validation score. For "lbfgs", the tolerance of the gradient.
    verbose : bool, int or "bar", default=False
        True prints a line per epoch, "bar" shows a progress bar (needs tqdm).
    warm_start : bool or "exact", default=False
        Whether `fit` continues from the end of the last call: with its weights and, unlike
        scikit-learn, with the state of the optimizer, the learning rate and the generator. n calls
        of one epoch give the bits of one call of n epochs. "exact" means the same as True. "lbfgs"
        keeps only the weights, as in scikit-learn.
    momentum : float, default=0.9
        The momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data no longer improves, and to restore the
        best weights. The data are ``X_val`` of `fit`, or samples that are set aside.
    validation_fraction : float, default=0.1
        The share of the samples to set aside.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The decay factors of the running averages of "adam".
    epsilon : float, default=1e-8
        Added to the denominator of "adam".
    n_iter_no_change : int, default=10
        The number of epochs in a row without improvement after which training stops.
    max_fun : int, default=15000
        The maximum number of gradients that "lbfgs" may compute.
    class_weight : dict, "balanced" or None, default=None
        Factors for the samples of each class; "balanced" makes them inverse to the classes' sizes.
    dropout : float or sequence of float, default=0
        The probability that a hidden unit is dropped in a step: one for all hidden layers, or one
        per layer. The remaining outputs are divided by one minus it. Not for "lbfgs".
    clip_value, clip_norm : float, default=None
        The largest magnitude of an element of a batch's gradient (penalty included), and the
        largest norm of the gradient. Not for "lbfgs".
    callbacks : callable or list of callable, default=None
        Each is called with the estimator after each epoch; training stops if one returns True. Pass
        scikit-learn's own callbacks (1.9) to ``set_callbacks``.
    n_threads : int, default=None
        The maximum number of threads; all if None. The results do not depend on it.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (inputs, outputs)
        Each layer's weights, in the dtype of X.
    intercepts_ : list of ndarray of shape (outputs,)
        Each layer's biases.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    loss_ : float
        The mean cost of the last epoch, penalty included, computed for each batch before its step.
    loss_curve_ : list of float
        `loss_` of all epochs; not for "lbfgs".
    best_loss_ : float or None
        The lowest of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        The score on the validation data after each epoch: accuracy.
    validation_loss_curve_ : list of float or None
        The loss on the validation data after each epoch, without the penalty.
    best_validation_score_ : float or None
        The best validation score; `coefs_` and `intercepts_` are those of its epoch.
    n_iter_ : int
        Epochs, or iterations, of the last call.
    t_ : int
        The number of samples used in training, with repetitions.
    n_layers_ : int
        The number of layers, including the input layer.
    n_outputs_ : int
        The number of units of the last layer.
    out_activation_ : str
        The activation of the last layer.
    n_features_in_ : int
        The number of features of X.
    feature_names_in_ : ndarray of str
        The names of the features, if X has any.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : The class with the same interface.

    Notes
    -----
    In float64, "sgd" and "adam" give scikit-learn's results to rounding. See docs/scikit-learn.md
    for all differences.

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
        **MultiLayerPerceptron._parameter_constraints,
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
        self._keep(locals())

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
            Labels; a matrix of 0 and 1 means several labels per sample, any other matrix of
            probabilities means soft labels.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors for the samples' losses.
        X_val, y_val, sample_weight_val : array_like, default=None
            Validation data, scored after each epoch; at the end the best weights are restored.
            Not for "lbfgs".

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
        """Train for one epoch. As in scikit-learn, with an int as seed all calls use one order.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Labels; a matrix of 0 and 1 means several labels per sample, any other matrix of
            probabilities means soft labels.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors for the samples' losses.
        classes : array_like of shape (n_classes,), default=None
            All labels, including those of later calls; needed in the first call, unless y holds
            probabilities.

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
        """Return the most probable class or, with several labels, those above one half.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            The predicted labels.
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
            The columns are in the order of `classes_`.
        """
        p = self._predicted(X)
        if len(self.classes_) == 1:
            return np.ones_like(p)
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
            The columns are in the order of `classes_`.
        """
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(p, out=p)

    def _labels(self, outputs: FloatArray) -> AnyArray:
        p = outputs.ravel() if self.n_outputs_ == 1 else outputs
        labels: AnyArray = self._label_binarizer.inverse_transform(p)
        return labels

    def _score(self, outputs: FloatArray, y: AnyArray, sample_weight: FloatArray | None) -> float:
        """Return the accuracy; nan if the network has diverged."""
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(accuracy_score(y, self._labels(outputs), sample_weight=sample_weight))

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _engine_loss(self) -> str:
        return "cross_entropy" if self.out_activation_ == "softmax" else "log_loss"

    def _weigh_classes(
        self, y: AnyArray, sample_weight: FloatArray | None, dtype: Any, incremental: bool
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
        if not self._several_labels():
            shares = shares_of(y, self.classes_)
            of_class = shares @ class_factors(self.class_weight, self.classes_, shares)
        elif self.class_weight == "balanced":
            of_class = compute_sample_weight("balanced", y)
        else:
            raise ValueError(
                "class_weight as a dict does not tell several labels' values apart: use "
                "class_weight='balanced', or sample_weight"
            )
        weigh(of_class, sample_weight, dtype, whole=not incremental)  # for its checks
        return of_class if sample_weight is None else of_class * sample_weight

    def _validate_input(
        self, X: Any, y: Any, incremental: bool, reset: bool
    ) -> tuple[Any, AnyArray, AnyArray]:
        anew = not hasattr(self, "classes_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset)
        if anew:
            labels = np.arange(y.shape[1]) if _is_soft(y) else y
            self._label_binarizer = LabelBinarizer().fit(labels)
            self.classes_: AnyArray = self._label_binarizer.classes_
        elif self._holds_labels(y):
            self._check_classes(unique_labels(y))
        return X, y, self._targets(y)

    def _several_labels(self) -> bool:
        """Whether training began with several labels per sample."""
        return str(self._label_binarizer.y_type_).startswith("multilabel")

    def _holds_labels(self, y: AnyArray) -> bool:
        """Whether targets are labels, not probabilities.

        A matrix of only 0 and 1 may be either: the start of the training decides.
        """
        return y.ndim == 1 or (self._several_labels() and not _is_soft(y))

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray]:
        X, y = validate_data(
            self, own_rows(X), y, accept_sparse=["csr", "csc"], multi_output=True,
            dtype=(np.float64, np.float32), reset=reset,
        )  # fmt: skip
        if _is_soft(y):
            check_probabilities(y)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _targets(self, y: AnyArray) -> AnyArray:
        """Return a column for each output: bool of labels, or probabilities."""
        if self._holds_labels(y):
            targets: AnyArray = self._label_binarizer.transform(y).astype(bool)
            return targets
        if self._several_labels():
            raise ValueError(
                "y holds probabilities that exclude each other, but training began with several "
                "labels per sample"
            )
        if y.shape[1] != len(self.classes_):
            raise ValueError(
                f"y has {y.shape[1]} columns, but there are {len(self.classes_)} classes"
            )
        check_probabilities(y)
        shares: AnyArray = y[:, 1:] if y.shape[1] == 2 else y
        return shares.astype(np.float64) if shares.dtype.kind != "f" else shares

    def _validate_targets(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray, AnyArray]:
        X, y = self._checked(X, y, reset)
        if self._holds_labels(y):
            unknown = np.setdiff1d(unique_labels(y), self.classes_)
            if len(unknown):
                raise ValueError(f"y_val has classes that y has not: {unknown}")
            return X, y, self._targets(y)
        targets = self._targets(y)
        return X, self.classes_[y.argmax(axis=1)], targets

    def _check_classes(self, classes: AnyArray) -> None:
        """Check that the classes are those of the training that this call continues."""
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


class MLPRegressor(RegressorMixin, MultiLayerPerceptron):
    """Multi-layer perceptron regressor: scikit-learn's interface on fastgd's engine.

    Minimises the loss by mini-batch gradient descent or L-BFGS.

    Parameters
    ----------
    loss : str, default="squared_error"
        "squared_error" is half the squared error and "poisson" half the Poisson deviance (with an
        exponential as the last activation), both as in scikit-learn. The other losses of
        `fastgd.losses` for real targets, such as "huber" and "absolute_error", work too.
    hidden_layer_sizes : int or array_like of int, default=(100,)
        Units of each hidden layer; an empty tuple makes a linear model.
    activation : str or sequence of str, default="relu"
        The activation of all hidden layers, or one name per layer: "identity", "logistic", "tanh",
        "relu" as in scikit-learn, or any other of `fastgd.activations`, such as "gelu".
    solver : {"lbfgs", "sgd", "adam"} or fastgd optimizer, default="adam"
        "lbfgs" is SciPy's L-BFGS-B with the compiled gradient over all samples. "sgd" and "adam"
        use the parameters below; an optimizer such as ``fastgd.AdamW(0.01)`` has its own.
    alpha : float, default=0.0001
        Factor of the penalty ``alpha / 2 * sum of the squared weights``. Like the loss, the penalty
        is divided by the number of samples in the batch (or the sum of their weights). Biases are
        not penalised.
    batch_size : int or "auto", default="auto"
        Samples per batch; "auto" is 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, schedule or callable, default="constant"
        How the learning rate changes after an epoch. "constant": not at all; "invscaling": to
        ``learning_rate_init / (t_ + 1) ** power_t``; "adaptive": to a fifth after
        ``n_iter_no_change`` epochs without improvement ("adam" uses neither of the last two). A
        schedule such as ``fastgd.schedules.Cosine(100)``, or a function from the epoch's number to
        a factor, works for every solver except "lbfgs".
    learning_rate_init : float, default=0.001
        The learning rate of "sgd" and "adam".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The maximum number of epochs in a call, or of iterations of "lbfgs".
    shuffle : bool, default=True
        Whether to use a new order of the samples in each epoch.
    random_state : int, RandomState, Generator or None, default=None
        Draws the initial weights, the validation data and the orders of samples; with an int or a
        RandomState, the same as scikit-learn. A `numpy.random.Generator` shuffles in compiled code.
    tol : float, default=1e-4
        The smallest improvement that counts, of an epoch's training loss or, with `early_stopping`,
        of its validation score. For "lbfgs", the tolerance of the gradient.
    verbose : bool, int or "bar", default=False
        True prints a line per epoch, "bar" shows a progress bar (needs tqdm).
    warm_start : bool or "exact", default=False
        Whether `fit` continues from the end of the last call: with its weights and, unlike
        scikit-learn, with the state of the optimizer, the learning rate and the generator. n calls
        of one epoch give the bits of one call of n epochs. "exact" means the same as True. "lbfgs"
        keeps only the weights, as in scikit-learn.
    momentum : float, default=0.9
        The momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether to stop when the score on validation data no longer improves, and to restore the
        best weights. The data are ``X_val`` of `fit`, or samples that are set aside.
    validation_fraction : float, default=0.1
        The share of the samples to set aside.
    beta_1, beta_2 : float, default=0.9 and 0.999
        The decay factors of the running averages of "adam".
    epsilon : float, default=1e-8
        Added to the denominator of "adam".
    n_iter_no_change : int, default=10
        The number of epochs in a row without improvement after which training stops.
    max_fun : int, default=15000
        The maximum number of gradients that "lbfgs" may compute.
    dropout : float or sequence of float, default=0
        The probability that a hidden unit is dropped in a step: one for all hidden layers, or one
        per layer. The remaining outputs are divided by one minus it. Not for "lbfgs".
    clip_value, clip_norm : float, default=None
        The largest magnitude of an element of a batch's gradient (penalty included), and the
        largest norm of the gradient. Not for "lbfgs".
    callbacks : callable or list of callable, default=None
        Each is called with the estimator after each epoch; training stops if one returns True. Pass
        scikit-learn's own callbacks (1.9) to ``set_callbacks``.
    n_threads : int, default=None
        The maximum number of threads; all if None. The results do not depend on it.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (inputs, outputs)
        Each layer's weights, in the dtype of X.
    intercepts_ : list of ndarray of shape (outputs,)
        Each layer's biases.
    loss_ : float
        The mean cost of the last epoch, penalty included, computed for each batch before its step.
    loss_curve_ : list of float
        `loss_` of all epochs; not for "lbfgs".
    best_loss_ : float or None
        The lowest of them; None with `early_stopping`.
    validation_scores_ : list of float or None
        The score on the validation data after each epoch: R^2.
    validation_loss_curve_ : list of float or None
        The loss on the validation data after each epoch, without the penalty.
    best_validation_score_ : float or None
        The best validation score; `coefs_` and `intercepts_` are those of its epoch.
    n_iter_ : int
        Epochs, or iterations, of the last call.
    t_ : int
        The number of samples used in training, with repetitions.
    n_layers_ : int
        The number of layers, including the input layer.
    n_outputs_ : int
        The number of units of the last layer.
    out_activation_ : str
        The activation of the last layer.
    n_features_in_ : int
        The number of features of X.
    feature_names_in_ : ndarray of str
        The names of the features, if X has any.

    See Also
    --------
    sklearn.neural_network.MLPRegressor : The class with the same interface.

    Notes
    -----
    In float64, "sgd" and "adam" give scikit-learn's results to rounding. With several outputs,
    "lbfgs" minimises the sum of the outputs' losses; scikit-learn uses the gradient of this sum but
    passes the mean to the line search. See docs/scikit-learn.md for all differences.

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
        **MultiLayerPerceptron._parameter_constraints,
        "loss": [StrOptions(LOSSES_OF_NUMBERS)],
    }
    _least_judged = 2  # R^2 of one sample is undefined

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
        self._keep(locals())

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
            Factors for the samples' losses.
        X_val, y_val, sample_weight_val : array_like, default=None
            Validation data, scored after each epoch; at the end the best weights are restored.
            Not for "lbfgs".

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
        """Train for one epoch. As in scikit-learn, with an int as seed all calls use one order.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n_samples, n_features)
            Samples.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array_like of shape (n_samples,), default=None
            Factors for the samples' losses.

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
        """Return R^2; nan if the network has diverged."""
        predicted = self._values(outputs)
        if not np.isfinite(predicted).all():
            return float("nan")
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def _output_activation(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _engine_loss(self) -> str:
        return str(self.loss)

    def _weigh_classes(
        self, y: AnyArray, sample_weight: FloatArray | None, dtype: Any, incremental: bool
    ) -> FloatArray | None:
        return sample_weight

    def _validate_input(
        self, X: Any, y: Any, incremental: bool, reset: bool
    ) -> tuple[Any, AnyArray, AnyArray]:
        return self._validate_targets(X, y, reset)

    def _validate_targets(self, X: Any, y: Any, reset: bool) -> tuple[Any, AnyArray, AnyArray]:
        X, y = validate_data(
            self, own_rows(X), y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True,
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
