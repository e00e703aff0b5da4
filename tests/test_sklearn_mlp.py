"""`fastgd.sklearn`'s networks beside scikit-learn's own."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.special
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn import config_context, neural_network
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.parallel import Parallel, delayed

import fastgd as gd
import fastgd.sklearn
from fastgd._engine import max_threads
from fastgd.activations import ACTIVATIONS as VALUES
from fastgd.backends import compiled
from fastgd.optimizers import OPTIMIZERS
from fastgd.sklearn import MLPClassifier, MLPRegressor
from fastgd.sklearn._common import count_threads
from fastgd.sklearn._descent import Cost
from fastgd.sklearn._perceptron import ACTIVATIONS, ENGINE_ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_IRIS = scale(X_IRIS)
X_REG, Y_REG = load_diabetes(return_X_y=True)
X_REG, Y_REG = scale(X_REG)[:150], scale(Y_REG)[:150]
LABELS = np.column_stack([Y_IRIS == 0, Y_IRIS > 0, X_IRIS[:, 0] > 0]).astype(int)
WEIGHT = np.random.default_rng(0).uniform(0.1, 2, 150)


def parameters(estimator):
    return np.concatenate([part.ravel() for part in estimator.coefs_ + estimator.intercepts_])


def assert_same_training(name, X, y, *, rtol=1e-8, sample_weight=None, **settings):
    """Fit scikit-learn's class and ours alike; compare all that they leave."""
    settings = {"random_state": 3, "max_iter": 15, "hidden_layer_sizes": (7, 5), **settings}
    theirs = getattr(neural_network, name)(**settings).fit(X, y, sample_weight)
    ours = getattr(fastgd.sklearn, name)(**settings).fit(X, y, sample_weight)
    scale = np.abs(parameters(theirs)).max()
    np.testing.assert_allclose(parameters(ours), parameters(theirs), rtol=0, atol=rtol * scale)
    public = (name for name in vars(theirs) if not name.startswith("_"))
    assert not [name for name in public if not hasattr(ours, name)]
    for attribute in ("loss_", "loss_curve_", "best_loss_", "best_validation_score_"):
        expected = getattr(theirs, attribute, None)
        if expected is not None:
            np.testing.assert_allclose(getattr(ours, attribute), expected, rtol=rtol)
    for attribute in ("t_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    predicted = ours.predict(X)
    np.testing.assert_allclose(predicted, theirs.predict(X), rtol=0, atol=1e-6 * scale)


SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.1},
    "no momentum": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    "momentum 1": {"solver": "sgd", "momentum": 1, "learning_rate_init": 1e-3},
    "not nesterov": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.1},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 2,
        "learning_rate_init": 0.2, "max_iter": 40,
    },
    "batches that do not divide": {"batch_size": 13, "alpha": 0.5},
    "single samples": {"batch_size": 1, "solver": "sgd", "max_iter": 3},
    "in order": {"shuffle": False, "batch_size": 32},
    "early stopping": {"early_stopping": True, "max_iter": 30},
    "stops by tol": {"tol": 0.1, "n_iter_no_change": 3, "max_iter": 100},
    "lbfgs": {"solver": "lbfgs", "max_iter": 10},
    "one layer as a number": {"hidden_layer_sizes": 6},
    "no hidden layer": {"hidden_layer_sizes": ()},
}  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_classifier_is_scikit_learns(settings):
    assert_same_training("MLPClassifier", X_IRIS, Y_IRIS, **settings)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_activations_are_scikit_learns(activation, solver):
    assert_same_training("MLPClassifier", X_IRIS, Y_IRIS, activation=activation, solver=solver)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_regressor_is_scikit_learns(settings):
    assert_same_training("MLPRegressor", X_REG, Y_REG, **settings)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_poisson_loss_is_scikit_learns(solver):
    assert_same_training("MLPRegressor", X_REG, np.abs(Y_REG), loss="poisson", solver=solver)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("y", [Y_IRIS > 0, LABELS], ids=["binary", "multilabel"])
def test_sigmoid_outputs_are_scikit_learns(settings, y):
    assert_same_training("MLPClassifier", X_IRIS, y, **settings)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_several_outputs_are_scikit_learns(solver):
    y = np.column_stack([Y_REG, -2 * Y_REG, X_REG[:, 0]])
    assert_same_training("MLPRegressor", X_REG, y, solver=solver, learning_rate_init=0.01)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_sample_weights_are_scikit_learns(settings):
    assert_same_training("MLPClassifier", X_IRIS, Y_IRIS, sample_weight=WEIGHT, **settings)


def test_partial_fit_is_scikit_learns():
    models = [
        module.MLPClassifier((5,), random_state=1, batch_size=20)
        for module in (neural_network, fastgd.sklearn)
    ]
    for _ in range(5):
        for model in models:
            model.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    np.testing.assert_allclose(*(parameters(model) for model in models), rtol=1e-6)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("first", "second"), [("f4", "f8"), ("f8", "f4")])
def test_the_first_dtype_stays(first, second, solver):
    reg = MLPRegressor(solver=solver, max_iter=3, random_state=0, warm_start=True)
    reg.fit(X_REG.astype(first), Y_REG).fit(X_REG.astype(second), Y_REG)
    assert reg.coefs_[0].dtype == first
    assert np.isfinite(reg.predict(X_REG)).all()
    same = MLPRegressor(solver=solver, max_iter=3, random_state=0, warm_start=True)
    same.fit(X_REG.astype(first), Y_REG).fit(X_REG.astype("f4").astype(first), Y_REG)
    np.testing.assert_array_equal(parameters(reg), parameters(same))


def test_weights_of_ones_own_are_gone_on_from():
    reg = MLPRegressor(hidden_layer_sizes=(), solver="sgd", warm_start=True, max_iter=1, alpha=0)
    reg.set_params(learning_rate_init=1e-12).fit(X_REG, Y_REG)
    reg.coefs_ = [np.ones((10, 1), int)]
    reg.intercepts_ = [np.ones(1, np.float32)]
    np.testing.assert_allclose(reg.predict(X_REG), X_REG.sum(axis=1) + 1)
    np.testing.assert_allclose(parameters(reg.fit(X_REG, Y_REG)), 1)


def test_epochs_may_follow_lbfgs():
    """From where it ended: an epoch's loss is that before its only step."""
    reg = MLPRegressor(solver="lbfgs", warm_start=True, max_iter=3).fit(X_REG, Y_REG)
    reached = reg.loss_
    curve = reg.set_params(solver="adam", batch_size=150).fit(X_REG, Y_REG).loss_curve_
    assert len(curve) == 3
    assert curve[0] == pytest.approx(reached, rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["log_loss", "cross_entropy", "squared_error", "poisson", "huber"])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT[:20]], ids=["unweighted", "weighted"])
def test_gradient_is_the_costs_derivative(activation, loss, sample_weight):
    hidden = [ENGINE_ACTIVATIONS.get(activation, activation)] * 2
    y = Y_IRIS[40:60].astype(np.int32) if loss == "cross_entropy" else LABELS[40:60].astype(float)
    cost = Cost((4, 5, 3, 3), hidden, loss, 0.7, X_IRIS[40:60], y, sample_weight, 1, 0)
    params = np.random.default_rng(0).uniform(-1, 1, 4 * 5 + 5 + 5 * 3 + 3 + 3 * 3 + 3)
    gradient = cost.value_and_gradient(params)[2]
    step = 1e-6
    for i in range(len(params)):
        ends = params + step * np.eye(len(params))[[i, i]] * [[1], [-1]]
        above, below = (cost.value_and_gradient(end)[1] for end in ends)
        assert gradient[i] == pytest.approx((above - below) / (2 * step), abs=1e-7, rel=1e-6)


@pytest.mark.parametrize("at_once", [1, 1 << 22], ids=["in pieces", "at once"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_sparse_samples_give_the_numbers_of_dense_ones(at_once, solver, sample_weight, monkeypatch):
    monkeypatch.setattr(fastgd.sklearn._descent, "DENSE_AT_ONCE", 40 * at_once)
    monkeypatch.setattr(fastgd.sklearn._perceptron, "DENSE_AT_ONCE", 40 * at_once)
    clf = MLPClassifier((4,), solver=solver, batch_size=7, max_iter=5, random_state=0)
    dense, sparse = clone(clf), clone(clf)
    dense.fit(X_IRIS, Y_IRIS, sample_weight)
    sparse.fit(csr_array(X_IRIS), Y_IRIS, sample_weight)
    np.testing.assert_allclose(parameters(dense), parameters(sparse), rtol=1e-9)
    np.testing.assert_allclose(dense.loss_, sparse.loss_, rtol=1e-9)
    np.testing.assert_allclose(
        dense.predict_proba(X_IRIS), sparse.predict_proba(csr_array(X_IRIS)), rtol=1e-9
    )


@pytest.mark.parametrize("solver", ["sgd", "adam", gd.AdamW(0.01), gd.ASGD(0.1)])
@pytest.mark.parametrize(
    ("early_stopping", "random_state", "dropout"),
    [(False, 0, 0.5), (True, 0, 0.0), (True, "RandomState", 0.5), (True, "Generator", 0.5)],
)
def test_fits_of_one_epoch_are_one_fit(solver, early_stopping, random_state, dropout):
    def seed():
        if random_state == "RandomState":
            return np.random.RandomState(0)
        return np.random.default_rng(0) if random_state == "Generator" else random_state

    settings = {
        "solver": solver,
        "early_stopping": early_stopping,
        "batch_size": 20,
        "dropout": dropout,
    }
    whole = MLPClassifier((5,), max_iter=6, random_state=seed(), **settings).fit(X_IRIS, Y_IRIS)
    parts = MLPClassifier((5,), max_iter=1, random_state=seed(), warm_start="exact", **settings)
    for _ in range(6):
        parts = pickle.loads(pickle.dumps(parts.fit(X_IRIS, Y_IRIS)))
    np.testing.assert_array_equal(parameters(whole), parameters(parts))
    assert whole.loss_curve_ == parts.loss_curve_


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd", gd.ASGD(0.1)])
def test_what_a_callback_saves_goes_on(solver, early_stopping):
    saved = []

    def save(estimator):
        if estimator.n_iter_ == 2:
            saved.append(pickle.dumps({**vars(estimator), "callbacks": None}))

    settings = {"solver": solver, "early_stopping": early_stopping, "dropout": 0.1}
    clf = MLPClassifier((5,), max_iter=5, warm_start="exact", random_state=0, **settings)
    clf.set_params(callbacks=save).fit(X_IRIS, Y_IRIS)
    other = MLPClassifier()
    other.__setstate__(pickle.loads(saved[0]))
    other.set_params(max_iter=3).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(parameters(other), parameters(clf))
    assert other.loss_curve_ == clf.loss_curve_


def test_own_validation_data_is_scored_and_the_best_weights_are_kept():
    clf = MLPClassifier((5,), max_iter=20, learning_rate_init=0.3, random_state=0)
    clf.fit(X_IRIS[::2], Y_IRIS[::2], X_val=X_IRIS[1::2], y_val=Y_IRIS[1::2])
    assert len(clf.validation_scores_) == clf.n_iter_
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert clf.score(X_IRIS[1::2], Y_IRIS[1::2]) == clf.best_validation_score_


def test_dropout_leaves_its_share_of_the_units_out():
    reg = MLPRegressor(
        hidden_layer_sizes=(2000,), activation="identity", solver="sgd", momentum=0, alpha=0,
        max_iter=1, random_state=0, dropout=0.3,
    )  # fmt: skip
    unmoved = clone(reg).set_params(learning_rate_init=1e-300).fit(X_REG[:1], Y_REG[:1])
    left_out = reg.fit(X_REG[:1], Y_REG[:1]).coefs_[1] == unmoved.coefs_[1]
    assert left_out.mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("clip", [{"clip_norm": 1e-4}, {"clip_value": 1e-5}])
def test_gradients_are_clipped(clip):
    settings = {"solver": "sgd", "momentum": 0, "learning_rate_init": 1.0, "max_iter": 1}
    settings |= {"batch_size": 150, "random_state": 0}
    free = MLPClassifier((4,), **settings).fit(X_IRIS, Y_IRIS)
    held = MLPClassifier((4,), **settings, **clip).fit(X_IRIS, Y_IRIS)
    start = MLPClassifier((4,), **{**settings, "learning_rate_init": 1e-300}).fit(X_IRIS, Y_IRIS)
    moved = parameters(held) - parameters(start)
    gradient = parameters(free) - parameters(start)
    if "clip_norm" in clip:
        np.testing.assert_allclose(moved, gradient / np.linalg.norm(gradient) * 1e-4, rtol=1e-6)
    else:
        np.testing.assert_allclose(moved, np.clip(gradient, -1e-5, 1e-5), rtol=1e-6, atol=1e-12)


def test_callbacks_see_the_estimator_and_can_stop():
    seen = []

    def callback(estimator):
        seen.append((estimator.n_iter_, estimator.predict(X_IRIS).shape))
        return np.bool_(estimator.n_iter_ == 3)

    MLPClassifier(callbacks=[callback], max_iter=9).fit(X_IRIS, Y_IRIS)
    assert seen == [(n, (150,)) for n in (1, 2, 3)]


def test_each_layer_may_have_its_activation():
    clf = MLPClassifier((4, 3), ("gelu", "logistic"), max_iter=3).fit(X_IRIS, Y_IRIS)
    z = X_IRIS
    for W, b, name in zip(clf.coefs_, clf.intercepts_, ("gelu", "sigmoid", None), strict=True):
        z = z @ W + b
        z = scipy.special.softmax(z, axis=1) if name is None else VALUES[name].value(z)
    np.testing.assert_allclose(clf.predict_proba(X_IRIS), z, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": ("relu",), "hidden_layer_sizes": (3, 3)}, "one name for all"),
        ({"activation": ("sine",), "hidden_layer_sizes": 3}, "'sine'"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
        ({"callbacks": [1]}, "callbacks must be a function"),
        ({"callbacks": lambda net, history: None}, r"takes \(estimator\), but"),
        ({"dropout": (0.5, 0.5), "hidden_layer_sizes": 3}, "dropout"),
        ({"dropout": 0.5, "solver": "lbfgs"}, "another solver"),
        ({"clip_norm": 0.5, "solver": "lbfgs"}, "another solver"),
    ],
)
def test_bad_parameters(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MLPClassifier(**settings).fit(X_IRIS, Y_IRIS)


def test_class_weights_are_sample_weights():
    settings = {"max_iter": 5, "random_state": 0}
    weighed = MLPClassifier(class_weight={0: 1, 1: 5, 2: 1}, **settings).fit(X_IRIS, Y_IRIS)
    other = MLPClassifier(**settings).fit(X_IRIS, Y_IRIS, np.where(Y_IRIS == 1, 5.0, 1.0))
    np.testing.assert_array_equal(parameters(weighed), parameters(other))


BLURRED = 0.9 * np.eye(3)[Y_IRIS] + 0.1 / 3


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("make", [np.asarray, csr_array], ids=["dense", "csr"])
def test_soft_labels_are_weighted_hard_ones(solver, make):
    """A sample of soft labels has the gradient of one sample a class, weighted by them."""
    settings = {"solver": solver, "max_iter": 30, "random_state": 0, "shuffle": False, "alpha": 0}
    soft = MLPClassifier((4,), batch_size=150, **settings).fit(make(X_IRIS), BLURRED)
    hard = MLPClassifier((4,), batch_size=450, **settings)
    hard.fit(make(np.tile(X_IRIS, (3, 1))), np.repeat([0, 1, 2], 150), BLURRED.T.ravel())
    np.testing.assert_allclose(parameters(soft), parameters(hard), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(soft.loss_, hard.loss_, rtol=1e-9)
    assert soft.classes_.tolist() == [0, 1, 2]


def test_two_probabilities_are_one_logistic_output():
    p = np.column_stack([1 - WEIGHT / 2, WEIGHT / 2])
    clf = MLPClassifier((), solver="lbfgs", alpha=0).fit(X_IRIS[:, :1], p)
    assert clf.out_activation_ == "logistic"
    np.testing.assert_allclose(clf.predict_proba(X_IRIS[:, :1]).mean(0), p.mean(0), atol=1e-3)


@pytest.mark.parametrize("y", [BLURRED, BLURRED[:, :2] / BLURRED[:, :2].sum(1, keepdims=True)])
def test_soft_labels_in_company(y):
    settings = {"early_stopping": True, "class_weight": "balanced", "random_state": 0}
    clf = MLPClassifier((4,), max_iter=3, **settings).fit(X_IRIS, y)
    assert len(clf.validation_scores_) == 3
    hard = clone(clf).fit(X_IRIS, y, X_val=X_IRIS, y_val=y.argmax(axis=1))
    soft = clone(clf).fit(X_IRIS, y, X_val=X_IRIS, y_val=y)
    assert hard.validation_scores_ == soft.validation_scores_


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_soft_labels_a_call_at_a_time(solver):
    settings = {"class_weight": {0: 2.0}, "random_state": 0, "solver": solver}
    calls = MLPClassifier((4,), **settings).partial_fit(X_IRIS, BLURRED)
    calls.partial_fit(X_IRIS, BLURRED)
    whole = MLPClassifier((4,), max_iter=2, **settings).fit(X_IRIS, BLURRED)
    assert [len(model.loss_curve_) for model in (calls, whole)] == [2, 2]
    np.testing.assert_allclose(calls.loss_curve_, whole.loss_curve_, rtol=1e-9)


def test_soft_labels_name_the_classes_given_to_partial_fit():
    clf = MLPClassifier((4,)).partial_fit(X_IRIS, BLURRED, classes=["a", "b", "c"])
    assert set(clf.predict(X_IRIS)) <= {"a", "b", "c"}


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (2 * BLURRED, "the sums here are from 2 to 2"),
        (BLURRED - 0.2, "must hold probabilities"),
        (np.column_stack([BLURRED, 0 * WEIGHT]), "4 columns, but there are 3 classes"),
    ],
)
def test_what_soft_labels_must_be(y, message):
    clf = MLPClassifier((4,), max_iter=1, warm_start=True).fit(X_IRIS, Y_IRIS)
    with pytest.raises(ValueError, match=message):
        clf.fit(X_IRIS, y)


def test_soft_labels_exclude_each_other():
    clf = MLPClassifier((4,), max_iter=1, warm_start=True).fit(X_IRIS, LABELS)
    with pytest.raises(ValueError, match="began with several labels a sample"):
        clf.fit(X_IRIS, BLURRED)


def test_convergence_warning():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPClassifier(max_iter=2).fit(X_IRIS, Y_IRIS)


def test_forked_processes_after_threads(monkeypatch):
    monkeypatch.setattr(compiled, "ALL_THREADS", True)
    clf = MLPClassifier((8,), max_iter=3, random_state=0, n_threads=2)
    expected = parameters(clf.fit(X_IRIS, Y_IRIS))
    with parallel_config(backend="multiprocessing", n_jobs=2), warnings.catch_warnings():
        # Python warns of forking with threads: it is what is tested
        warnings.simplefilter("ignore", DeprecationWarning)
        fitted = Parallel()(delayed(clone(clf).fit)(X_IRIS, Y_IRIS) for _ in range(2))
    for model in fitted:
        np.testing.assert_array_equal(parameters(model), expected)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_number_of_threads_leaves_every_bit(solver, monkeypatch):
    bits = []
    for n_threads in (1, 3):
        monkeypatch.setattr(compiled, "ALL_THREADS", n_threads > 1)
        clf = MLPClassifier(solver=solver, max_iter=3, random_state=0, n_threads=n_threads)
        bits.append(parameters(clf.fit(X_IRIS, Y_IRIS)))
    np.testing.assert_array_equal(*bits)


@pytest.mark.slow
def test_searches_in_processes_share_the_cores():
    threads = max_threads()
    search = GridSearchCV(_CountsThreads((4,), max_iter=2), {"alpha": [0.1, 1.0]}, cv=2, n_jobs=2)
    search.fit(X_IRIS, Y_IRIS)
    assert set(search.cv_results_["mean_test_score"]) == {float(max(1, threads // 2))}


def test_joblibs_threads_are_not_doubled():
    with parallel_config(backend="threading", n_jobs=2):
        counted = Parallel()(delayed(count_threads)(given) for given in (None, 3))
    assert counted == [1, min(3, max_threads())]


class _CountsThreads(MLPClassifier):
    """Its score is the number of threads that the engine may use."""

    def score(self, X, y, sample_weight=None):
        return float(max_threads())


def test_validation_curves_are_those_of_the_epochs():
    curve = []

    def callback(estimator):
        p = estimator.predict_proba(X_IRIS[1::2])
        curve.append(log_loss(Y_IRIS[1::2], p, sample_weight=WEIGHT[1::2]))

    clf = MLPClassifier((5,), max_iter=4, callbacks=callback)
    clf.fit(
        X_IRIS[::2], Y_IRIS[::2], X_val=X_IRIS[1::2], y_val=Y_IRIS[1::2],
        sample_weight_val=WEIGHT[1::2],
    )  # fmt: skip
    np.testing.assert_allclose(clf.validation_loss_curve_, curve, rtol=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber", "absolute_error"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_reported_loss_is_the_same_for_training_and_validation(loss, outputs):
    y = np.abs(np.column_stack([Y_REG] * outputs) + np.arange(outputs))
    y = y.ravel() if outputs == 1 else y
    reg = MLPRegressor(loss, (4,), alpha=0, batch_size=150, max_iter=2, learning_rate_init=0.01)
    reg.fit(X_REG, y, WEIGHT, X_val=X_REG, y_val=y, sample_weight_val=WEIGHT)
    # an epoch's training loss is that before its only step
    np.testing.assert_allclose(reg.validation_loss_curve_[0], reg.loss_curve_[1], rtol=1e-12)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_own_validation_data_is_checked(solver):
    clf = MLPClassifier(solver=solver)
    message = "another solver" if solver == "lbfgs" else "classes that y has not"
    with pytest.raises(ValueError, match=message):
        clf.fit(X_IRIS[:99], Y_IRIS[:99], X_val=X_IRIS[100:], y_val=Y_IRIS[100:])


def test_counts_are_not_negative():
    with pytest.raises(ValueError, match="loss='poisson' takes values of at least 0"):
        MLPRegressor("poisson").fit(X_REG, Y_REG)


@pytest.mark.parametrize("unit", ["epoch", "update"])
def test_schedules_give_the_learning_rate(unit):
    schedule = gd.schedules.Exponential(0.5, unit=unit)
    settings = {"batch_size": 30, "shuffle": False, "alpha": 0.0, "random_state": 0}
    reg = MLPRegressor(
        hidden_layer_sizes=4, solver=gd.SGD(0.1), learning_rate=schedule, max_iter=2, **settings
    ).fit(X_REG, Y_REG)
    steps = MLPRegressor(hidden_layer_sizes=4, max_iter=1, warm_start=True, **settings)
    for step in range(10):
        time = step if unit == "update" else step // 5
        rows = slice(step % 5 * 30, step % 5 * 30 + 30)
        steps.set_params(solver=gd.SGD(0.1 * 0.5**time)).fit(X_REG[rows], Y_REG[rows])
    np.testing.assert_allclose(parameters(reg), parameters(steps), rtol=1e-12)


def test_a_function_gives_the_learning_rate():
    settings = {"max_iter": 4, "random_state": 0}
    own = MLPClassifier((4,), learning_rate=lambda epoch: 0.5**epoch, **settings)
    named = MLPClassifier((4,), learning_rate=gd.schedules.Exponential(0.5), **settings)
    np.testing.assert_allclose(
        parameters(own.fit(X_IRIS, Y_IRIS)), parameters(named.fit(X_IRIS, Y_IRIS)), rtol=1e-12
    )


def test_a_plateau_lowers_the_learning_rate():
    """No loss falls by a threshold above all of it: from the second epoch on each is too much."""
    plateau = gd.schedules.OnPlateau(patience=0, threshold=10.0, threshold_mode="abs", factor=0.1)
    falling = gd.schedules.Function(lambda epoch: 0.1 ** max(0, epoch - 1))
    fitted = [
        MLPClassifier((4,), learning_rate=rate, max_iter=4, random_state=0).fit(X_IRIS, Y_IRIS)
        for rate in (plateau, falling)
    ]
    np.testing.assert_allclose(*map(parameters, fitted), rtol=1e-12)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_lines_of_progress(solver, capsys):
    MLPClassifier((4,), solver=solver, max_iter=2, verbose=True).fit(X_IRIS, Y_IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Iteration 1", "Iteration 2"]


def test_a_search_over_optimizers_and_schedules():
    solvers = [make(0.05) for make in OPTIMIZERS.values()]
    rates = ["constant", gd.schedules.OneCycle(20), gd.schedules.OnPlateau()]
    clf = MLPClassifier((4,), max_iter=5, random_state=0)
    search = GridSearchCV(clf, {"solver": solvers, "learning_rate": rates}, cv=2)
    search.fit(X_IRIS, Y_IRIS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.8


def test_metadata_is_routed_to_fit():
    with config_context(enable_metadata_routing=True):
        clf = MLPClassifier((4,), max_iter=2, random_state=0).set_fit_request(
            X_val=True, y_val=True, sample_weight=True
        )
        pipeline = make_pipeline(clf)
        pipeline.fit(X_IRIS, Y_IRIS, sample_weight=WEIGHT, X_val=X_IRIS, y_val=Y_IRIS)
    direct = clone(clf).fit(X_IRIS, Y_IRIS, WEIGHT, X_val=X_IRIS, y_val=Y_IRIS)
    np.testing.assert_array_equal(parameters(pipeline[-1]), parameters(direct))
    assert pipeline[-1].validation_scores_ == direct.validation_scores_


def test_divergence_is_an_error_and_leaves_finite_weights():
    reg = MLPRegressor(solver="sgd", learning_rate_init=100.0, random_state=0)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        reg.fit(1e3 * X_REG, Y_REG)
    assert np.isfinite(parameters(reg)).all()


def test_divergence_with_early_stopping_keeps_the_best_weights():
    reg = MLPRegressor(
        solver="sgd", learning_rate_init=100.0, random_state=0, early_stopping=True
    ).fit(1e3 * X_REG, Y_REG)
    assert np.isnan(reg.validation_scores_[-1])
    assert np.isfinite(parameters(reg)).all()


def test_interruption_keeps_what_was_reached():
    def interrupt(estimator):
        if estimator.n_iter_ == 2:
            raise KeyboardInterrupt

    clf = MLPClassifier((4,), callbacks=interrupt)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.fit(X_IRIS, Y_IRIS)
    assert len(clf.loss_curve_) == 2


def test_lbfgs_with_several_outputs_descends_on_their_sum():
    y = np.column_stack([Y_REG, 3 * Y_REG])
    settings = {"solver": "lbfgs", "max_iter": 500, "random_state": 0, "activation": "identity"}
    settings |= {"hidden_layer_sizes": (), "alpha": 0.0, "tol": 1e-8}
    together = MLPRegressor(**settings).fit(X_REG, y)
    alone = MLPRegressor(**settings).fit(X_REG, y[:, 1])
    np.testing.assert_allclose(together.coefs_[0][:, 1], alone.coefs_[0][:, 0], atol=1e-3)
    residual = together.predict(X_REG) - y
    np.testing.assert_allclose(together.loss_, 0.5 * np.mean(residual**2))


def test_other_shapes_can_not_be_gone_on_from():
    clf = MLPClassifier((4,), max_iter=1, warm_start=True).fit(X_IRIS, Y_IRIS)
    with pytest.raises(ValueError, match="warm_start=False"):
        clf.set_params(hidden_layer_sizes=(5,)).fit(X_IRIS, Y_IRIS)


def test_balanced_classes_need_all_of_y():
    with pytest.raises(ValueError, match="not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer, load_diabetes])
def test_scores_are_not_below_scikit_learns(load):
    X, y = load(return_X_y=True)
    name = "MLPRegressor" if load is load_diabetes else "MLPClassifier"
    scores = {}
    for module in (neural_network, fastgd.sklearn):
        scores[module] = []
        for seed in range(5):
            model = getattr(module, name)(random_state=seed, max_iter=40, learning_rate_init=0.01)
            model = make_pipeline(StandardScaler(), model)
            scores[module].append(cross_val_score(model, X, y, cv=3).mean())
    ours, theirs = scores[fastgd.sklearn], scores[neural_network]
    assert np.mean(ours) >= np.mean(theirs) - 1e-3
