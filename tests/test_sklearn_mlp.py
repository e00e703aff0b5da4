"""`fastgd.sklearn`'s networks compared with scikit-learn's."""

import warnings

import numpy as np
import pytest
from conftest import assert_close, assert_slopes
from joblib import parallel_config
from samples import HALF_THE_DIGITS, LABELS, WEIGHT_150, X_IRIS, X_REG, Y_IRIS, Y_REG, parameters
from scipy.sparse import csr_array
from sklearn import config_context, neural_network
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.parallel import Parallel, delayed

import fastgd.sklearn
from fastgd import rows
from fastgd.backends import compiled
from fastgd.engine.engine import max_threads
from fastgd.sklearn import MLPClassifier, MLPRegressor
from fastgd.sklearn._common import count_threads
from fastgd.sklearn._descent import Cost
from fastgd.sklearn._mlp import LOSSES_OF_NUMBERS
from fastgd.sklearn._perceptron import ACTIVATIONS, ENGINE_ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_same_training(name, X, y, *, sample_weight=None, **settings):
    """Fit scikit-learn's class and ours with the same settings; compare all attributes."""
    settings = {"random_state": 3, "max_iter": 15, "hidden_layer_sizes": (7, 5), **settings}
    theirs = getattr(neural_network, name)(**settings).fit(X, y, sample_weight)
    ours = getattr(fastgd.sklearn, name)(**settings).fit(X, y, sample_weight)
    bound = HALF_THE_DIGITS * np.abs(parameters(theirs)).max()
    np.testing.assert_allclose(parameters(ours), parameters(theirs), rtol=0, atol=bound)
    public = (name for name in vars(theirs) if not name.startswith("_"))
    assert not [name for name in public if not hasattr(ours, name)]
    for attribute in ("loss_", "loss_curve_", "best_loss_", "best_validation_score_"):
        expected = getattr(theirs, attribute, None)
        if expected is not None:
            np.testing.assert_allclose(getattr(ours, attribute), expected, rtol=HALF_THE_DIGITS)
    for attribute in ("t_", "n_iter_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    # a prediction adds up products with each parameter, at most
    bound *= len(parameters(theirs))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=bound)


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
def test_classifier_equals_scikit_learns(settings):
    assert_same_training("MLPClassifier", X_IRIS, Y_IRIS, **settings)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_activations_equal_scikit_learns(activation, solver):
    assert_same_training("MLPClassifier", X_IRIS, Y_IRIS, activation=activation, solver=solver)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_regressor_equals_scikit_learns(settings):
    assert_same_training("MLPRegressor", X_REG, Y_REG, **settings)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_poisson_loss_equals_scikit_learns(solver):
    assert_same_training("MLPRegressor", X_REG, np.abs(Y_REG), loss="poisson", solver=solver)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("y", [Y_IRIS > 0, LABELS], ids=["binary", "multilabel"])
def test_sigmoid_outputs_equal_scikit_learns(settings, y):
    assert_same_training("MLPClassifier", X_IRIS, y, **settings)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_several_outputs_equal_scikit_learns(solver):
    y = np.column_stack([Y_REG, -2 * Y_REG, X_REG[:, 0]])
    assert_same_training("MLPRegressor", X_REG, y, solver=solver, learning_rate_init=0.01)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_sample_weights_equal_scikit_learns(settings):
    assert_same_training("MLPClassifier", X_IRIS, Y_IRIS, sample_weight=WEIGHT_150, **settings)


def test_partial_fit_equals_scikit_learns():
    models = [
        module.MLPClassifier((5,), random_state=1, batch_size=20)
        for module in (neural_network, fastgd.sklearn)
    ]
    for _ in range(5):
        for model in models:
            model.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    assert_close(*map(parameters, models), "float64", 5 * 150)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["log_loss", "cross_entropy", *sorted(LOSSES_OF_NUMBERS)])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT_150[:20]], ids=["unweighted", "weighted"])
def test_gradient_equals_the_costs_derivative(activation, loss, sample_weight):
    hidden = [ENGINE_ACTIVATIONS.get(activation, activation)] * 2
    y = Y_IRIS[40:60].astype(np.int32) if loss == "cross_entropy" else LABELS[40:60].astype(float)
    cost = Cost((4, 5, 3, 3), hidden, loss, 0.7, X_IRIS[40:60], y, sample_weight, 1, 0)
    params = np.random.default_rng(0).uniform(-1, 1, 4 * 5 + 5 + 5 * 3 + 3 + 3 * 3 + 3)
    gradient = cost.value_and_gradient(params)[2]
    assert_slopes(gradient, lambda values: cost.value_and_gradient(values)[1], params)


@pytest.mark.parametrize("converted", [0, 1 << 20], ids=["in parts", "at once"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT_150], ids=["unweighted", "weighted"])
def test_sparse_and_dense_samples_give_the_same_results(
    converted, solver, sample_weight, monkeypatch
):
    monkeypatch.setattr(rows._check, "CONVERTED_BYTES", converted)
    clf = MLPClassifier((4,), solver=solver, batch_size=7, max_iter=5, random_state=0)
    dense, sparse = clone(clf), clone(clf)
    dense.fit(X_IRIS, Y_IRIS, sample_weight)
    sparse.fit(csr_array(X_IRIS), Y_IRIS, sample_weight)
    assert_close(parameters(dense), parameters(sparse), "float64", 5 * 150)
    assert_close(dense.loss_, sparse.loss_, "float64", 5 * 150)
    found = dense.predict_proba(X_IRIS), sparse.predict_proba(csr_array(X_IRIS))
    assert_close(*found, "float64", 5 * 150)


def test_too_few_epochs_give_a_warning():
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
def test_the_number_of_threads_changes_no_bit(solver, monkeypatch):
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


def test_threads_are_not_multiplied_inside_joblibs_threads():
    with parallel_config(backend="threading", n_jobs=2):
        counted = Parallel()(delayed(count_threads)(given) for given in (None, 3))
    assert counted == [1, min(3, max_threads())]


class _CountsThreads(MLPClassifier):
    """Its score is the number of threads that the engine may use."""

    def score(self, X, y, sample_weight=None):
        return float(max_threads())


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_verbose_prints_lines(solver, capsys):
    MLPClassifier((4,), solver=solver, max_iter=2, verbose=True).fit(X_IRIS, Y_IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Iteration 1", "Iteration 2"]


def test_metadata_is_routed_to_fit():
    with config_context(enable_metadata_routing=True):
        clf = MLPClassifier((4,), max_iter=2, random_state=0).set_fit_request(
            X_val=True, y_val=True, sample_weight=True
        )
        pipeline = make_pipeline(clf)
        pipeline.fit(X_IRIS, Y_IRIS, sample_weight=WEIGHT_150, X_val=X_IRIS, y_val=Y_IRIS)
    direct = clone(clf).fit(X_IRIS, Y_IRIS, WEIGHT_150, X_val=X_IRIS, y_val=Y_IRIS)
    np.testing.assert_array_equal(parameters(pipeline[-1]), parameters(direct))
    assert pipeline[-1].validation_scores_ == direct.validation_scores_


def test_divergence_is_an_error_and_keeps_finite_weights():
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


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_digits, load_wine, load_breast_cancer, load_diabetes])
def test_scores_are_not_below_scikit_learns(load):
    X, y = load(return_X_y=True)
    name = "MLPRegressor" if load is load_diabetes else "MLPClassifier"
    scores = {}
    for module in (neural_network, fastgd.sklearn):
        scores[module] = []
        for seed in range(3):
            model = getattr(module, name)(random_state=seed, max_iter=40, learning_rate_init=0.01)
            model = make_pipeline(StandardScaler(), model)
            scores[module].append(cross_val_score(model, X, y, cv=3).mean())
    ours, theirs = scores[fastgd.sklearn], scores[neural_network]
    assert np.mean(ours) >= np.mean(theirs) - 1e-3
