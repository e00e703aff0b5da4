"""fastgd.sklearn's SGD estimators beside scikit-learn's."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
from conftest import ALIKE, several_levels
from scipy import sparse
from sklearn import __version__ as installed
from sklearn import config_context, linear_model
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale
from sklearn.utils.fixes import parse_version

from fastgd import _sgd, schedules
from fastgd.sklearn import SGDClassifier, SGDRegressor
from fastgd.sklearn._margins import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

REGRESSION = ("squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive")
CLASSIFICATION = ("hinge", "squared_hinge", "modified_huber", "log_loss", "perceptron")
PENALTIES = ("l2", "l1", "elasticnet", None)
RATES = ("constant", "optimal", "invscaling", "adaptive")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 7)) * (RNG.random((120, 7)) < 0.6)
Y = X @ RNG.standard_normal(7) + 0.3 * RNG.standard_normal(120)
CLASSES = np.digitize(Y, [-1, 1])
WEIGHT = RNG.random(120)


# Since 1.8 training stops on an objective that includes the penalty, and eta0 is 0.01 by default.
OLDER = parse_version(installed) < parse_version("1.8")


def csr(X):
    X = sparse.csr_array(X)
    return sparse.csr_array(
        (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32)), shape=X.shape
    )


def product(losses):
    """Return all losses, penalties and learning rates; three quarters of them are slow tests."""
    return [
        pytest.param(
            loss, penalty, rate,
            marks=[pytest.mark.slow] if (i + j + k) % 4 else [],
        )
        for i, loss in enumerate(losses)
        for j, penalty in enumerate(PENALTIES)
        for k, rate in enumerate(RATES)
    ]  # fmt: skip


def assert_same_fit(own, other, *fit, **fit_more):
    if OLDER:
        own.set_params(tol=None)
        other.set_params(tol=None)
    own.fit(*fit, **fit_more)
    other.fit(*fit, **fit_more)
    scale = max(1, abs(other.coef_).max())
    np.testing.assert_allclose(own.coef_ / scale, other.coef_ / scale, rtol=0, atol=1e-8)
    np.testing.assert_allclose(own.intercept_ / scale, other.intercept_ / scale, rtol=0, atol=1e-8)
    assert own.n_iter_ == other.n_iter_
    assert own.t_ == other.t_


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
@pytest.mark.parametrize(("loss", "penalty", "rate"), product(REGRESSION))
def test_regressor_is_scikit_learns(loss, penalty, rate, make):
    settings = {
        "loss": loss, "penalty": penalty, "learning_rate": rate, "alpha": 0.1, "eta0": 0.02,
        "max_iter": 20, "random_state": 3,
    }  # fmt: skip
    own, other = SGDRegressor(**settings), linear_model.SGDRegressor(**settings)
    assert_same_fit(own, other, make(X), Y)


@pytest.mark.parametrize("y", [CLASSES > 1, CLASSES], ids=["binary", "multiclass"])
@pytest.mark.parametrize(("loss", "penalty", "rate"), product(CLASSIFICATION))
def test_classifier_is_scikit_learns(loss, penalty, rate, y):
    settings = {
        "loss": loss, "penalty": penalty, "learning_rate": rate, "alpha": 0.01, "eta0": 0.02,
        "max_iter": 20, "random_state": 3,
    }  # fmt: skip
    own, other = SGDClassifier(**settings), linear_model.SGDClassifier(**settings)
    assert_same_fit(own, other, csr(X), y, sample_weight=WEIGHT)


@pytest.mark.parametrize("average", [True, 150])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_average_is_scikit_learns(penalty, average):
    settings = {"penalty": penalty, "average": average, "max_iter": 10, "random_state": 0}
    own, other = SGDClassifier(**settings), linear_model.SGDClassifier(**settings)
    assert_same_fit(own, other, X, CLASSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_the_kernels(loss, isa):
    y = np.tile([0.0, 0.3, 1.0] if loss == "log_loss" else [-1.0, 1.0, 1.0], 40)
    p = np.concatenate([np.linspace(-4, 4, 114), [-1, 0, 1, 1.1, 0.9, -1.1]])
    known = LOSSES[loss]
    parameter = 0.1 if known.parameter is None else known.parameter
    value, slope = _sgd.margin_losses(loss, parameter, y, p, isa)
    np.testing.assert_allclose(value, known.value(y, p, parameter), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, known.slope(y, p, parameter), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------------------- the kernels

ROWS = RNG.standard_normal((90, 37)) * (RNG.random((90, 37)) < 0.4)


def descend(X, y, isa, dtype, n_outputs=1, batch_size=1, penalty="l2", epochs=3):
    """Return what some epochs of a Descent make of zeros, as bytes."""
    n_columns = X.shape[1]
    shape = (n_columns, _sgd.padded(n_outputs)) if n_outputs > 1 else (_sgd.padded(n_columns),)
    weights, average, paid = (np.zeros(shape, dtype) for _ in range(3))
    intercepts, means = (np.zeros(shape[-1], dtype) for _ in range(2))
    rows = X.astype(dtype)
    if sparse.issparse(rows):
        rows = (rows.data, rows.indices, rows.indptr, n_columns)
    descent = _sgd.Descent(
        rows, y if n_outputs > 1 else y.astype(dtype), None, weights, average, paid,
        loss="log_loss", parameter=1.0, l1=0.01 * (penalty == "l1"), l2=0.01 * (penalty == "l2"),
        rates=("invscaling", 0.25), intercept_rate=1.0, average_from=1, batch_size=batch_size,
        intercepts=intercepts if n_outputs > 1 else None,
        average_intercepts=means if n_outputs > 1 else None,
        n_outputs=n_outputs, level=isa,
    )  # fmt: skip
    order = np.arange(len(y), dtype=np.uint32)
    for _ in range(epochs):
        _sgd.shuffle(order, 7)
        descent.epoch(order, 0.1)
    numbers = np.array(descent.numbers())
    return weights, [part.tobytes() for part in (weights, average, paid, intercepts, numbers)]


@several_levels
@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
def test_same_bits_on_every_level_with_fma(make, n_outputs, penalty, dtype):
    y = np.arange(90, dtype=np.int32) % max(2, n_outputs)
    results = [
        descend(make(ROWS), y, level, dtype, n_outputs, penalty=penalty)[1] for level in ALIKE
    ]
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_compressed_rows_are_dense_ones(n_outputs, batch_size, isa):
    y = np.arange(90, dtype=np.int32) % max(2, n_outputs)
    dense, _ = descend(ROWS, y, isa, "float64", n_outputs, batch_size)
    compressed, _ = descend(csr(ROWS), y, isa, "float64", n_outputs, batch_size)
    np.testing.assert_allclose(dense, compressed, rtol=1e-9, atol=1e-12)


def test_long_indices_of_compressed_rows():
    short, long = csr(X), csr(X)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    clf = SGDClassifier(random_state=0)
    coefs = [clone(clf).fit(rows, CLASSES).coef_ for rows in (short, long)]
    np.testing.assert_array_equal(*coefs)


@pytest.mark.parametrize("make", [SGDClassifier, SGDRegressor])
def test_compressed_rows_are_not_made_dense(make):
    rng = np.random.default_rng(1)
    places = rng.integers(500, size=5000), rng.integers(100_000, size=5000)
    wide = sparse.csr_array((np.ones(5000), places), shape=(500, 100_000))
    tracemalloc.start()
    try:
        make(max_iter=2).fit(wide, np.arange(500) % 2).predict(wide)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500 * 100_000 * 8 / 20


def test_a_row_may_name_a_column_twice():
    parts = np.array([1.0, 2, 3, 4]), np.int32([0, 0, 1, 1]), np.int32([0, 3, 4])
    twice = sparse.csr_array(parts, shape=(2, 2))
    settings = {"penalty": "elasticnet", "random_state": 0, "max_iter": 3, "tol": None}
    own, other = SGDRegressor(**settings), linear_model.SGDRegressor(**settings)
    assert_same_fit(own, other, twice, [1, 2])


# ---------------------------------------------------------------------------- mini-batches


def batch_steps(X, y, batch_size, epochs, seed, alpha, rates):
    """Mini-batch descent on a penalised squared error, by its definition."""
    w, b = np.zeros(X.shape[1]), 0.0
    order = np.arange(len(y), dtype=np.uint32)
    for epoch in range(epochs):
        _sgd.shuffle(order, seed)
        rate = rates(epoch)
        for start in range(0, len(y), batch_size):
            rows = order[start : start + batch_size]
            slope = X[rows] @ w + b - y[rows]
            w = w - rate * (X[rows].T @ slope / len(rows) + alpha * w)
            b -= rate * slope.mean()
    return w, b


@pytest.mark.parametrize("batch_size", [1, 7, 120, None, 1000])
def test_batches_follow_their_definition(batch_size):
    settings = {"learning_rate": "constant", "eta0": 0.05, "alpha": 0.1, "tol": None}
    reg = SGDRegressor(batch_size=batch_size, max_iter=4, random_state=0, **settings).fit(X, Y)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    w, b = batch_steps(X, Y, min(batch_size or 120, 120), 4, seed, 0.1, lambda _: 0.05)
    np.testing.assert_allclose(reg.coef_, w, rtol=1e-9)
    np.testing.assert_allclose(reg.intercept_, b, rtol=1e-9)
    assert reg.t_ == 1 + 4 * -(-120 // min(batch_size or 120, 120))


def test_passive_aggressive_steps_take_one_sample():
    with pytest.raises(ValueError, match="batch_size must be 1, not 2"):
        SGDClassifier(learning_rate="pa1", batch_size=2).fit(X, CLASSES)


# ---------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 7}, {"loss": "log_loss"}])
def test_schedules_by_update(make, settings):
    settings = {"eta0": 0.1, "power_t": 0.25, "max_iter": 4, "random_state": 0, **settings}
    if "loss" in settings:
        settings |= {"multi_class": "softmax"}
    rate = schedules.InverseScaling(0.25, unit="update")
    own = SGDClassifier(learning_rate=rate, **settings).fit(make(X), CLASSES)
    named = SGDClassifier(learning_rate="invscaling", **settings).fit(make(X), CLASSES)
    np.testing.assert_allclose(own.coef_, named.coef_, rtol=1e-9, atol=1e-12)
    for clf in (own, named):
        clf.partial_fit(make(X), CLASSES)
    np.testing.assert_allclose(own.coef_, named.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [schedules.Exponential(0.5), lambda epoch: 0.5**epoch])
def test_schedules_by_epoch(rate):
    settings = {"eta0": 0.1, "alpha": 0.1, "batch_size": 7, "learning_rate": rate}
    reg = SGDRegressor(max_iter=4, tol=None, random_state=0, **settings).fit(X, Y)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    w, b = batch_steps(X, Y, 7, 4, seed, 0.1, lambda epoch: 0.1 * 0.5**epoch)
    np.testing.assert_allclose(reg.coef_, w, rtol=1e-9)
    np.testing.assert_allclose(reg.intercept_, b, rtol=1e-9)


def test_calls_of_partial_fit_are_epochs_of_a_schedule():
    seen = []

    def rate(epoch):
        seen.append(epoch)
        return 1.0

    reg = SGDRegressor(learning_rate=rate)
    for _ in range(3):
        reg.partial_fit(X, Y)
    assert seen == [0, 1, 2]


def test_a_plateau_lowers_the_rate():
    """No loss falls by a threshold above all of it: from the second epoch on each is too much."""
    plateau = schedules.OnPlateau(0.1, patience=0, threshold=10.0, threshold_mode="abs")
    falling = schedules.Function(lambda epoch: 0.1 ** max(0, epoch - 1))
    settings = {"eta0": 0.1, "random_state": 0, "max_iter": 5, "tol": None}
    own, other = (
        SGDRegressor(learning_rate=rate, **settings).fit(X, Y) for rate in (plateau, falling)
    )
    np.testing.assert_allclose(own.coef_, other.coef_, rtol=1e-12)


def test_a_learning_rate_must_be_known():
    with pytest.raises(
        ValueError, match=r"instance of 'fastgd\.schedules\.Schedule' or a callable"
    ):
        SGDRegressor(learning_rate=0.1).fit(X, Y)


# ---------------------------------------------------------------------------- softmax

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = scale(X_IRIS)
SOFTMAX = {"loss": "log_loss", "multi_class": "softmax"}
EXACT = {"learning_rate": "constant", "eta0": 1.0, "batch_size": None, "tol": None}


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
def test_softmax_is_multinomial_regression(make):
    other = linear_model.LogisticRegression(C=1 / (150 * 0.1), tol=1e-12).fit(X_IRIS, Y_IRIS)
    clf = SGDClassifier(alpha=0.1, max_iter=2000, **SOFTMAX, **EXACT).fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(clf.coef_, other.coef_, atol=1e-6)
    np.testing.assert_allclose(
        clf.predict_proba(make(X_IRIS)), other.predict_proba(X_IRIS), atol=1e-6
    )


def test_probabilities_as_targets():
    settings = {"max_iter": 20, "random_state": 0, **SOFTMAX}
    hard = SGDClassifier(**settings).fit(X_IRIS, Y_IRIS)
    soft = SGDClassifier(**settings).fit(X_IRIS, np.eye(3)[Y_IRIS])
    np.testing.assert_allclose(soft.coef_, hard.coef_, rtol=1e-9)
    blurred = SGDClassifier(**SOFTMAX, **EXACT).fit(X_IRIS, 0.4 * np.eye(3)[Y_IRIS] + 0.2)
    assert 0.5 < blurred.predict_proba(X_IRIS).max() < 0.8


def test_two_probabilities_are_one_logistic_output():
    """At the optimum the mean prediction is the mean target, as no penalty is on the intercept."""
    p = np.column_stack([1 - WEIGHT, WEIGHT])
    clf = SGDClassifier(**SOFTMAX, **EXACT, alpha=1e-3).fit(X[:, :1], p)
    assert clf.coef_.shape == (1, 1)
    np.testing.assert_allclose(clf.predict_proba(X[:, :1]).mean(axis=0), p.mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        ({"multi_class": "softmax"}, Y_IRIS, "needs loss='log_loss', not 'hinge'"),
        (SOFTMAX, 2 * np.eye(3)[Y_IRIS], "the sums here are from 2 to 2"),
        (SOFTMAX, -np.eye(3)[Y_IRIS], "must hold probabilities"),
    ],
)
def test_what_softmax_refuses(settings, y, message):
    with pytest.raises(ValueError, match=message):
        SGDClassifier(**settings).fit(X_IRIS, y)


# ---------------------------------------------------------------------------- going on

KINDS = [
    (SGDRegressor, {}, Y),
    (SGDRegressor, {"learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 1.0}, Y),
    (SGDRegressor, {"learning_rate": schedules.Step(2), "eta0": 0.1}, Y),
    (SGDRegressor, {"learning_rate": schedules.OnPlateau(patience=0), "eta0": 0.1}, Y),
    (SGDClassifier, {}, CLASSES),
    (SGDClassifier, {"learning_rate": schedules.OneCycle(720)}, CLASSES),
    (SGDClassifier, SOFTMAX, CLASSES),
]


@pytest.mark.parametrize("average", [False, 200])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize(("make", "settings", "y"), KINDS)
def test_exact_resuming(make, settings, y, penalty, average, dtype):
    rows = csr(X.astype(dtype))
    settings = {"penalty": penalty, "average": average, "random_state": 0, **settings}
    whole = make(max_iter=6, **settings).fit(rows, y)
    parts = make(max_iter=1, warm_start="exact", **settings)
    for _ in range(whole.n_iter_):
        parts = pickle.loads(pickle.dumps(parts.fit(rows, y)))
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    np.testing.assert_array_equal(parts.intercept_, whole.intercept_)
    assert parts.t_ == whole.t_


def test_exact_resuming_of_partial_fit():
    whole = SGDClassifier(max_iter=4, tol=None, random_state=0).fit(X, CLASSES)
    parts = SGDClassifier(warm_start="exact", random_state=0)
    for _ in range(4):
        parts.partial_fit(X, CLASSES, classes=[0, 1, 2])
    np.testing.assert_array_equal(parts.coef_, whole.coef_)


@pytest.mark.parametrize("make", [SGDRegressor, SGDClassifier])
def test_exact_resuming_keeps_what_was_set_aside(make):
    y = Y if make is SGDRegressor else CLASSES
    settings = {"early_stopping": True, "tol": None, "warm_start": "exact"}
    whole = make(max_iter=4, random_state=np.random.RandomState(0), **settings).fit(X, y)
    parts = make(max_iter=1, random_state=np.random.RandomState(0), **settings)
    for _ in range(4):
        parts.fit(X, y)
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    assert parts.best_validation_score_ == whole.best_validation_score_


@pytest.mark.parametrize("verbose", [0, "bar"])
def test_exact_resuming_of_classes_that_stop_at_different_epochs(verbose):
    settings = {"random_state": 0, "tol": 0.01, "n_iter_no_change": 2}
    whole = SGDClassifier(**settings).fit(X, CLASSES)
    assert len({len(curve) for curve in whole.loss_curve_}) > 1
    parts = SGDClassifier(max_iter=1, warm_start="exact", verbose=verbose, **settings)
    for _ in range(whole.n_iter_):
        parts.fit(X, CLASSES)
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    now = parts.coef_
    parts.set_params(max_iter=9).fit(X, CLASSES)  # all have stopped: all go on
    assert (parts.coef_ != now).any(axis=1).all()
    assert min(len(curve) for curve in parts.loss_curve_) >= 2


def test_exact_resuming_after_an_interruption():
    def interrupt(clf):
        if clf.n_iter_ == 2:
            raise KeyboardInterrupt

    settings = {"tol": None, "random_state": 0, "warm_start": "exact"}
    clf = SGDClassifier(max_iter=5, callbacks=interrupt, **settings)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, CLASSES)
    clf.set_params(callbacks=None, max_iter=3).fit(X, CLASSES)
    whole = SGDClassifier(max_iter=5, **settings).fit(X, CLASSES)
    np.testing.assert_array_equal(clf.coef_, whole.coef_)
    assert clf.t_ == whole.t_


def test_exact_resuming_takes_the_same_outputs():
    clf = SGDClassifier(warm_start="exact", max_iter=1).fit(X, CLASSES)
    clf.classes_ = np.array([0, 1])
    with pytest.raises(ValueError, match="goes on with the same outputs and dtype"):
        clf.fit(X, CLASSES > 1)


def test_a_clone_does_not_go_on():
    reg = SGDRegressor(warm_start="exact", random_state=0, max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(clone(reg).fit(X, Y).coef_, reg.coef_)


def test_a_sparse_coef_must_be_made_dense():
    clf = SGDClassifier(random_state=0, max_iter=3).fit(X, CLASSES).sparsify()
    with pytest.raises(ValueError, match=r"call densify\(\)"):
        clf.partial_fit(X, CLASSES)
    clf.densify().partial_fit(X, CLASSES)


# ---------------------------------------------------------------------------- validation


@pytest.mark.parametrize("settings", [{}, SOFTMAX])
def test_the_best_epoch_is_restored(settings):
    clf = SGDClassifier(max_iter=15, tol=None, random_state=1, **settings)
    clf.fit(X[:60], CLASSES[:60] > 0, X_val=X[60:], y_val=CLASSES[60:] > 0)
    assert len(clf.loss_curve_) == len(clf.validation_scores_) == 15
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert clf.score(X[60:], CLASSES[60:] > 0) == clf.best_validation_score_


def test_data_for_validation_replaces_the_split():
    settings = {"early_stopping": True, "tol": 10.0, "n_iter_no_change": 2, "random_state": 0}
    reg = SGDRegressor(**settings).fit(X[:60], Y[:60], X_val=X[60:], y_val=Y[60:])
    assert reg.n_iter_ == 3
    other = SGDRegressor(max_iter=3, tol=None, random_state=0).fit(X[:60], Y[:60])
    np.testing.assert_array_equal(
        clone(reg).set_params(restore_best=False).fit(
            X[:60], Y[:60], X_val=X[60:], y_val=Y[60:]
        ).coef_,
        other.coef_,
    )  # fmt: skip


def test_curves_of_several_classes():
    clf = SGDClassifier(random_state=0, early_stopping=True).fit(X, CLASSES)
    assert len(clf.loss_curve_) == len(clf.validation_scores_) == 3
    assert clf.n_iter_ == max(len(curve) for curve in clf.loss_curve_)


def losses_by_definition(est, rows, y, weight):
    """Return the mean loss of an estimator's raw outputs, one for each output."""
    p = est.decision_function(rows) if hasattr(est, "classes_") else est.predict(rows)
    if getattr(est, "multi_class", "") == "softmax":
        return log_loss(y, est.predict_proba(rows), sample_weight=weight)
    loss, found = LOSSES[est.loss], []
    parameter = est.epsilon if loss.parameter is None else loss.parameter
    for i, column in enumerate(np.atleast_2d(p.T)):
        target = y
        if hasattr(est, "classes_"):
            member = y == est.classes_[1 if p.ndim == 1 else i]
            target = np.where(member, 1.0, 0.0 if est.loss == "log_loss" else -1.0)
        found.append(np.average(loss.value(target, column, parameter), weights=weight))
    return found if p.ndim == 2 else found[0]


@pytest.mark.parametrize(
    ("make", "settings", "y"),
    [
        *((SGDRegressor, {"loss": loss}, Y) for loss in REGRESSION),
        *((SGDClassifier, {"loss": loss}, CLASSES) for loss in CLASSIFICATION),
        (SGDClassifier, {"loss": "log_loss"}, CLASSES > 1),
        (SGDClassifier, {"loss": "hinge"}, CLASSES > 1),
        (SGDClassifier, {"learning_rate": "constant", **SOFTMAX}, CLASSES),
    ],
)
def test_validation_losses_are_those_of_the_epochs(make, settings, y):
    curve = []

    def watch(est):
        curve.append(losses_by_definition(est, X[60:], y[60:], WEIGHT[60:]))

    settings = {"max_iter": 3, "tol": None, "restore_best": False, "random_state": 0, **settings}
    est = make(callbacks=watch, **settings).fit(
        X[:60], y[:60], X_val=X[60:], y_val=y[60:], sample_weight_val=WEIGHT[60:]
    )
    expected = curve if np.ndim(curve) == 1 else np.transpose(curve)
    np.testing.assert_allclose(est.validation_loss_curve_, expected, rtol=1e-9)
    assert est.fit(X, y).validation_loss_curve_ is None


def test_probabilities_for_validation():
    settings = {"max_iter": 3, "tol": None, "random_state": 0, **SOFTMAX}
    names = np.array(["a", "b", "c"])[Y_IRIS]
    hard = SGDClassifier(**settings).fit(X_IRIS, names, X_val=X_IRIS, y_val=names)
    soft = SGDClassifier(**settings).fit(X_IRIS, names, X_val=X_IRIS, y_val=np.eye(3)[Y_IRIS])
    assert soft.validation_scores_ == hard.validation_scores_
    np.testing.assert_allclose(soft.validation_loss_curve_, hard.validation_loss_curve_, rtol=1e-12)
    with pytest.raises(ValueError, match="y_val has 2 columns, but there are 3 classes"):
        soft.fit(X_IRIS, names, X_val=X_IRIS, y_val=np.full((150, 2), 0.5))
    blurred = SGDClassifier(early_stopping=True, **settings).fit(X_IRIS, np.full((150, 3), 1 / 3))
    np.testing.assert_allclose(blurred.validation_loss_curve_[0], np.log(3), rtol=0.1)


def test_unknown_classes_for_validation():
    with pytest.raises(ValueError, match="y_val has classes that y has not"):
        SGDClassifier().fit(X, CLASSES > 1, X_val=X, y_val=CLASSES)


# ---------------------------------------------------------------------------- who watches


def test_callbacks_see_the_model_and_stop_it():
    seen = []

    def watch(reg):
        seen.append(reg.score(X, Y))
        return reg.n_iter_ == 3

    reg = SGDRegressor(tol=None, callbacks=watch, random_state=0).fit(X, Y)
    assert reg.n_iter_ == 3
    assert seen[-1] == reg.score(X, Y)


def test_verbose_lines(capsys):
    settings = {"verbose": 1, "max_iter": 2, "tol": None, "random_state": 0}
    lines = []
    for make in (SGDRegressor, linear_model.SGDRegressor):
        make(**settings).fit(X, Y)
        lines.append([line for line in capsys.readouterr().out.split("\n") if "time" not in line])
    own, other = lines
    if OLDER:
        own = [line.split(", Objective")[0] for line in own]
    assert own == other


@pytest.mark.parametrize("early_stopping", [False, True])
def test_threads_do_not_change_a_bit(early_stopping, monkeypatch):
    monkeypatch.setattr("fastgd.sklearn._linear.THREADS_PAY_FROM", 0)
    settings = {"early_stopping": early_stopping, "random_state": 0, "max_iter": 20}
    one, two = (SGDClassifier(n_threads=n, **settings).fit(X, CLASSES) for n in (1, 3))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    assert one.n_iter_ == two.n_iter_
    assert one.validation_scores_ == two.validation_scores_


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("settings", [{}, SOFTMAX])
@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
def test_a_large_batch_in_parts_is_a_batch(make, settings, penalty):
    """A batch of more than 2^20 elements is left in between for signals: the step is the same."""
    rows = np.tile(np.random.default_rng(1).standard_normal((40, 50)), (600, 1))
    y = np.tile(np.arange(40) % 3, 600)
    settings = {"learning_rate": "constant", "penalty": penalty, "tol": None, **settings}
    whole, once = (
        SGDClassifier(batch_size=None, max_iter=5, average=2, shuffle=False, **settings)
        .fit(make(rows[:n]), y[:n])
        for n in (24_000, 40)
    )  # fmt: skip
    np.testing.assert_allclose(whole.coef_, once.coef_, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(whole.intercept_, once.intercept_, rtol=1e-7, atol=1e-12)


def test_convergence_warning():
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached"):
        SGDRegressor(max_iter=2).fit(X, Y)


def test_divergence():
    with pytest.raises(ValueError, match="under-/overflow occurred at epoch #1"):
        SGDRegressor(learning_rate="constant", eta0=1e300, penalty=None).fit(X, Y)


# ---------------------------------------------------------------------------- in company


def test_a_column_of_targets_is_warned_of_once():
    with pytest.warns(DataConversionWarning) as caught:
        SGDClassifier().fit(X, CLASSES[:, None])
    assert sum(w.category is DataConversionWarning for w in caught) == 1


def test_no_jobs_at_all_have_no_meaning():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        SGDClassifier(n_jobs=0).fit(X, CLASSES)


def test_metadata_routing():
    with config_context(enable_metadata_routing=True):
        clf = SGDClassifier(random_state=0).set_fit_request(sample_weight=True)
        clf.set_score_request(sample_weight=False)
        search = GridSearchCV(clf, {"alpha": [1e-3, 1e-2]}, cv=2)
        weighed = search.fit(X, CLASSES, sample_weight=WEIGHT).best_estimator_
    other = clone(weighed).fit(X, CLASSES, sample_weight=WEIGHT)
    np.testing.assert_array_equal(weighed.coef_, other.coef_)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "hinge"},
        {"loss": "log_loss"},
        # with "optimal" it overshoots by so much at first that rounding decides where it ends
        {"loss": "modified_huber", "learning_rate": "adaptive", "eta0": 0.01},
    ],
)
@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer])
def test_accuracy_is_scikit_learns(load, settings):
    data, y = load(return_X_y=True)
    data = scale(data)
    settings = {"tol": None, "max_iter": 20, **settings} if OLDER else settings
    own, other = (
        np.mean([
            make(random_state=seed, **settings).fit(data[::2], y[::2]).score(data[1::2], y[1::2])
            for seed in range(5)
        ])
        for make in (SGDClassifier, linear_model.SGDClassifier)
    )  # fmt: skip
    assert own >= other - 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("loss", REGRESSION)
def test_r2_is_scikit_learns(loss):
    data, y = load_diabetes(return_X_y=True)
    data, y = scale(data), scale(y)
    own, other = (
        np.mean([
            make(loss=loss, random_state=seed).fit(data[::2], y[::2]).score(data[1::2], y[1::2])
            for seed in range(5)
        ])
        for make in (SGDRegressor, linear_model.SGDRegressor)
    )  # fmt: skip
    assert own >= other - 1e-9
