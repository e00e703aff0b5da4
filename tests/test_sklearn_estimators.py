"""What all four estimators of `fastgd.sklearn` have in common, compared with scikit-learn's."""

import inspect
import pickle
import re
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import __version__ as installed
from sklearn import linear_model, neural_network
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils._param_validation import StrOptions, make_constraint
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

import fastgd as gd
from fastgd.sklearn import MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor
from fastgd.sklearn._common import check_scikit_learn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

VERSION = parse_version(installed)
CHANGED = {"eta0"} if parse_version("1.8") > VERSION else set()  # it could be 0, and was
THEIRS = {
    SGDClassifier: linear_model.SGDClassifier,
    SGDRegressor: linear_model.SGDRegressor,
    MLPClassifier: neural_network.MLPClassifier,
    MLPRegressor: neural_network.MLPRegressor,
}
LINEAR = (SGDClassifier, SGDRegressor)
each = pytest.mark.parametrize("make", THEIRS)
each_classifier = pytest.mark.parametrize("make", [SGDClassifier, MLPClassifier])

X, LABELS = load_iris(return_X_y=True)
X = scale(X)
VALUES = scale(load_diabetes(return_X_y=True)[1][:150])


def targets(make):
    return LABELS if is_classifier(make()) else VALUES


def small(make, **settings):
    """Make an estimator whose fits are short."""
    if "MLP" in make.__name__:
        settings = {"hidden_layer_sizes": (4,)} | settings
    return make(**{"max_iter": 3, "random_state": 0} | settings)


def numbers(estimator):
    """Return an estimator's learned parameters."""
    parts = [estimator.coef_, estimator.intercept_] if type(estimator) in LINEAR else None
    return parts or estimator.coefs_ + estimator.intercepts_


def assert_same(one, other):
    for own, others in zip(numbers(one), numbers(other), strict=True):
        np.testing.assert_array_equal(own, others)


# The checks that scikit-learn expects its own two linear classes to fail as well.
WEIGHTED_STEPS = {
    f"check_sample_weight_equivalence_on_{kind}_data": (
        "a sample of weight 2 makes one step of twice the size; the sample twice makes two steps"
    )
    for kind in ("dense", "sparse")
}


@parametrize_with_checks(
    [*(make(max_iter=5) for make in LINEAR), MLPClassifier(max_iter=50), MLPRegressor(max_iter=50)],
    expected_failed_checks=lambda made: WEIGHTED_STEPS if type(made) in LINEAR else {},
)
def test_scikit_learns_own_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else those of array_api_dispatch are left out
    check(estimator)


@each
def test_parameters_and_defaults_equal_scikit_learns(make):
    theirs = list(inspect.signature(THEIRS[make]).parameters.values())
    ours = list(inspect.signature(make).parameters.values())[: len(theirs)]
    assert [(p.name, p.kind) for p in ours] == [(p.name, p.kind) for p in theirs]
    differ = {p.name for p, q in zip(ours, theirs, strict=True) if p.default != q.default}
    assert differ <= CHANGED


def kinds(estimator, name):
    """Return the kinds of values that a parameter accepts, as texts, without lists of options."""
    allowed = map(make_constraint, estimator._parameter_constraints[name])
    return {str(kind) for kind in allowed if not isinstance(kind, StrOptions)}


@each
def test_every_value_that_scikit_learn_accepts_is_accepted(make):
    theirs = THEIRS[make]
    names = [n for n, kind in theirs._parameter_constraints.items() if kind != "no_validation"]
    assert {name for name in names if not kinds(theirs, name) <= kinds(make, name)} <= CHANGED


@each
def test_every_parameter_is_documented(make):
    lines = re.findall(r"^(\w[\w, ]*) :", inspect.getdoc(make), re.MULTILINE)
    assert make().get_params().keys() <= {name for line in lines for name in line.split(", ")}


@each
@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}])
def test_attributes_equal_scikit_learns(make, settings):
    ours, theirs = (
        small(which, **settings).fit(X, targets(make)) for which in (make, THEIRS[make])
    )
    public = [name for name in vars(theirs) if not name.startswith("_")]
    assert [name for name in public if not hasattr(ours, name)] == []


@each
def test_html_shows_the_parameters(make):
    name = "multi_class" if make is SGDClassifier else "dropout" if make not in LINEAR else "eta0"
    assert name in make()._repr_html_()


@each
@pytest.mark.parametrize("later", ["callbacks", "n_threads"])
def test_pickles_without_newer_parameters_load(make, later):
    fitted = small(make, warm_start="exact").fit(X, targets(make))
    state = pickle.loads(pickle.dumps(fitted.__getstate__()))
    del state[later]
    old = make.__new__(make)
    old.__setstate__(state)
    assert getattr(old, later) is None
    assert_same(old.fit(X, targets(make)), fitted.fit(X, targets(make)))


@each
def test_float32_stays_float32(make):
    single = X.astype(np.float32)
    fitted = small(make).fit(single, targets(make))
    assert {part.dtype for part in numbers(fitted)} == {np.dtype(np.float32)}
    if not is_classifier(fitted):
        assert fitted.predict(single).dtype == np.float32


@each
@pytest.mark.parametrize("library", [pd, pl])
def test_data_frames_bring_names(make, library):
    frame = library.DataFrame(dict(zip("abcd", X.T, strict=True)))
    fitted = small(make).fit(frame, targets(make))
    assert fitted.feature_names_in_.tolist() == list("abcd")
    assert_same(fitted, small(make).fit(X, targets(make)))


@each
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output_brings_names_to_the_last_step(make, library):
    ours, theirs = (
        make_pipeline(StandardScaler(), small(which)).set_output(transform=library)
        for which in (make, THEIRS[make])
    )
    names = [
        getattr(steps.fit(X, targets(make))[-1], "feature_names_in_", None)
        for steps in (ours, theirs)
    ]
    np.testing.assert_array_equal(*names)


@each_classifier
def test_grid_search_in_a_pipeline(make):
    pipeline = make_pipeline(StandardScaler(), make(max_iter=40, random_state=0))
    name = f"{make.__name__.lower()}__alpha"
    search = GridSearchCV(pipeline, {name: [1e-3, 1e3]}, cv=3).fit(*load_wine(return_X_y=True))
    assert search.best_params_ == {name: 1e-3}
    assert search.best_score_ > 0.9


@each_classifier
def test_probabilities_can_be_calibrated(make):
    rates = {} if make is SGDClassifier else {"learning_rate_init": 0.1}
    calibrated = CalibratedClassifierCV(small(make, max_iter=20, **rates), cv=3).fit(X, LABELS)
    assert calibrated.score(X, LABELS) > 0.9


@each_classifier
def test_cross_validation_in_two_processes(make):
    steps = make_pipeline(StandardScaler(), small(make))
    data = load_breast_cancer(return_X_y=True)
    steps.fit(*data)  # has used threads, perhaps
    both = cross_val_score(steps, *data, cv=4, n_jobs=2)
    np.testing.assert_array_equal(both, cross_val_score(steps, *data, cv=4))


@each
@pytest.mark.parametrize("part", ["X_val", "y_val", "sample_weight_val"])
def test_incomplete_validation_data_are_refused(make, part):
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        small(make).fit(X, targets(make), **{part: X})


@each
def test_a_progress_bar(make, capsys):
    small(make, verbose="bar", tol=0).fit(X, targets(make))
    assert "3/3" in capsys.readouterr().err


@each
def test_a_progress_bar_names_the_extra_it_needs(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    estimator = make(verbose="bar")
    with pytest.raises(ImportError, match=r"pip install 'fastgd\[sklearn\]'"):
        estimator.fit(X, targets(make))
    assert not [name for name in vars(estimator) if name.endswith("_")]


class Recorder:
    """A callback for scikit-learn's interface, which stops a fit after its second epoch."""

    def __init__(self):
        self.hooks, self.scores = [], []

    def setup(self, estimator, context):
        self.hooks.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.hooks.append("begin")

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        self.hooks.append("end")
        self.scores.append(fitted_estimator.score(X, y))
        return len(self.scores) == 2

    def teardown(self, estimator, context):
        self.hooks.append("teardown")


@pytest.mark.skipif(
    parse_version("1.9") > VERSION, reason="scikit-learn has callbacks since its version 1.9"
)
@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (SGDRegressor, {}),
        (SGDClassifier, {"loss": "log_loss", "multi_class": "softmax"}),
        (MLPRegressor, {}),
        (MLPClassifier, {}),
        (MLPClassifier, {"solver": "lbfgs"}),
    ],
)
def test_scikit_learns_callbacks(make, settings):
    recorder = Recorder()
    fitted = small(make, max_iter=9, **settings).set_callbacks(recorder).fit(X, targets(make))
    assert fitted.n_iter_ == 2
    assert recorder.hooks == ["setup", "begin", "begin", "end", "begin", "end", "end", "teardown"]
    assert recorder.scores[-1] == fitted.score(X, targets(make))


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgd\[sklearn\]'"):
        check_scikit_learn()


@pytest.mark.parametrize("version", ["1.7.0", "1.10.dev0", "2.0rc1"])
def test_later_versions_of_scikit_learn_are_accepted(version, monkeypatch):
    monkeypatch.setattr("sklearn.__version__", version)
    check_scikit_learn()


@pytest.mark.parametrize("version", ["1.6.1", "0.24.2"])
def test_earlier_versions_of_scikit_learn_are_refused(version, monkeypatch):
    monkeypatch.setattr("sklearn.__version__", version)
    with pytest.raises(ImportError, match=f"1.7 or newer, and {version} is installed"):
        check_scikit_learn()


@each
@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": lambda: 0.5},
        {"learning_rate": gd.schedules.Cosine},
        {"callbacks": lambda estimator, history: None},
        {"callbacks": [len, lambda: None]},
    ],
)
def test_bad_callbacks_are_refused_before_training(make, settings):
    estimator = small(make, **settings)
    with pytest.raises(TypeError, match=r"^(learning_rate|callbacks)"):
        estimator.fit(X, targets(make))
    assert not hasattr(estimator, "n_features_in_")


def unaligned(array):
    """Return an unaligned copy."""
    copy = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert not copy.flags.aligned
    return copy


@each
def test_unaligned_data_give_the_same_results(make):
    y, weight = targets(make), np.linspace(1, 2, len(X))
    one = small(make).fit(X, y, sample_weight=weight)
    other = small(make).fit(unaligned(X), unaligned(y), sample_weight=unaligned(weight))
    assert_same(one, other)
    np.testing.assert_array_equal(one.predict(X), other.predict(unaligned(X)))


@each
def test_parameters_of_another_shape_are_refused(make):
    """Kernels get only addresses, so shapes must be checked before."""
    y, linear = targets(make), make in LINEAR
    for name in ("coef_", "intercept_") if linear else ("coefs_", "intercepts_"):
        estimator = small(make, warm_start=not linear).fit(X, y)
        own = getattr(estimator, name)
        setattr(estimator, name, own[..., :-1] if linear else [own[0][..., :-1], *own[1:]])
        again = estimator.partial_fit if linear else estimator.fit
        with pytest.raises(ValueError, match=f"{name}.* the shapes"):
            again(X, y)
        if not linear:
            with pytest.raises(ValueError, match="_ has the shapes"):
                estimator.predict(X)


@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("sizes", [(), (3, 3), 9])
def test_predictions_use_the_current_parameters(make, sizes):
    estimator = small(make).fit(X, targets(make))
    before = estimator.predict(X)
    estimator.set_params(hidden_layer_sizes=sizes)
    np.testing.assert_array_equal(estimator.predict(X), before)
