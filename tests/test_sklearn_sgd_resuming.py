"""Fits of `fastgd.sklearn`'s linear estimators that continue earlier ones: equal to one fit."""

import pickle

import numpy as np
import pytest
from samples import CLASSES, SOFTMAX, WEIGHT, X, Y, csr
from sklearn.base import clone

from fastgd import schedules
from fastgd.sklearn import SGDClassifier, SGDRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
    parts.set_params(max_iter=9).fit(X, CLASSES)  # all have stopped, so all continue
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
    with pytest.raises(ValueError, match=r"shapes \(3, 7\) and \(3,\), but the data need 1 x 7"):
        clf.fit(X, CLASSES > 1)


def test_exact_resuming_takes_the_same_dtype():
    clf = SGDClassifier(warm_start="exact", max_iter=1).fit(X, CLASSES)
    clf.coef_ = clf.coef_.astype(np.float32)
    with pytest.raises(ValueError, match="continues with the same outputs and dtype"):
        clf.fit(X, CLASSES)


def test_a_clone_starts_anew():
    reg = SGDRegressor(warm_start="exact", random_state=0, max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(clone(reg).fit(X, Y).coef_, reg.coef_)


def test_a_sparse_coef_must_be_made_dense():
    clf = SGDClassifier(random_state=0, max_iter=3).fit(X, CLASSES).sparsify()
    with pytest.raises(ValueError, match=r"call densify\(\)"):
        clf.partial_fit(X, CLASSES)
    clf.densify().partial_fit(X, CLASSES)


def fitted(make, warm_start):
    """Return a fitted estimator whose next fit fails, and its targets."""
    y = CLASSES if make is SGDClassifier else Y
    return make(max_iter=3, random_state=0, warm_start=warm_start).fit(X, y), y


FAILURES = {
    "not finite": lambda est, y: est.fit(X * np.nan, y),
    "too short": lambda est, y: est.fit(X, y[1:]),
    "other features": lambda est, y: est.partial_fit(X[:, 1:], y),
    "weights too short": lambda est, y: est.fit(X, y, sample_weight=WEIGHT[1:]),
    "no validation": lambda est, y: est.fit(X, y, X_val=X * np.nan, y_val=y),
}


def learnt(est):
    return pickle.dumps({name: value for name, value in vars(est).items() if name[-1] == "_"})


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("warm_start", [False, True, "exact"])
@pytest.mark.parametrize("make", [SGDClassifier, SGDRegressor])
def test_a_failed_fit_does_not_change_the_model(make, warm_start, failure):
    est, y = fitted(make, warm_start)
    before = learnt(est)
    with pytest.raises(ValueError, match=r"\w"):
        FAILURES[failure](est, y)
    assert learnt(est) == before


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("make", [SGDClassifier, SGDRegressor])
def test_a_diverged_fit_does_not_change_the_model(make, warm_start):
    est, y = fitted(make, warm_start)
    before = learnt(est)
    with pytest.raises(ValueError, match="overflow"):
        est.set_params(eta0=1e308, learning_rate="constant").fit(X, y)
    assert learnt(est) == before


def test_a_failed_first_fit_leaves_no_model():
    clf = SGDClassifier()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        clf.fit(X, CLASSES[1:])
    assert not any(name.endswith("_") for name in vars(clf))


@pytest.mark.parametrize("make", [SGDClassifier, SGDRegressor])
def test_weights_set_to_another_dtype(make):
    """Averages, and the weights that they average, get coef_'s dtype: kernels use only one."""
    est, y = make(average=True, random_state=0, max_iter=3), CLASSES
    est.fit(X, y)
    est.coef_ = est.coef_.astype(np.float32)
    est.partial_fit(X, y)
    assert est.coef_.dtype == est._standard_coef.dtype == est._average_coef.dtype == np.float32


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("name", ["coef_", "intercept_"])
def test_weights_of_an_unsupported_dtype(name, average):
    reg = SGDRegressor(average=average).fit(X, Y)
    setattr(reg, name, getattr(reg, name).astype(object))
    with pytest.raises(ValueError, match=f"{name} has the dtype object, but"):
        reg.partial_fit(X, Y)


@pytest.mark.parametrize(
    "name", ["_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept"]
)
def test_averages_of_another_shape(name):
    clf = SGDClassifier(average=True).fit(X, CLASSES)
    setattr(clf, name, getattr(clf, name)[:1])
    with pytest.raises(ValueError, match=rf"{name} has the shape \(1,.*need \(3,"):
        clf.partial_fit(X, CLASSES)


DAMAGES = {
    "weights": lambda w: w[:-1],
    "average": lambda a: a.astype(np.float32),
    "paid": lambda p: p[::2],
    "order": lambda o: o[:-1],
    "numbers": lambda n: n[1:],
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_state_is_refused(name):
    reg = SGDRegressor(penalty="l1", average=True, warm_start="exact", max_iter=2).fit(X, Y)
    reg._resume[0][name] = DAMAGES[name](reg._resume[0][name])
    reg._resume[0]["order"] = np.maximum(reg._resume[0]["order"], 1 if name == "order" else 0)
    with pytest.raises(ValueError, match=f"_resume is damaged: its {name}"):
        pickle.loads(pickle.dumps(reg)).fit(X, Y)


@pytest.mark.parametrize("kept", [None, [1], [{"other": 1}]])
def test_a_state_of_something_else_is_refused(kept):
    reg = SGDRegressor(warm_start="exact", max_iter=2).fit(X, Y)
    reg._resume = kept
    with pytest.raises(ValueError, match=r"_resume is damaged.*start again"):
        reg.fit(X, Y)


def test_a_damaged_mask_is_refused():
    reg = SGDRegressor(early_stopping=True, warm_start="exact", max_iter=2).fit(X, Y)
    reg._held_out = np.arange(120)
    with pytest.raises(ValueError, match="must be a vector of booleans"):
        reg.fit(X, Y)


@pytest.mark.parametrize("settings", [{}, SOFTMAX])
def test_exact_resuming_with_a_penalty_that_is_new(settings):
    """Earlier steps do not count towards the L1 penalty, and their applied penalty is dropped."""
    rate = {"learning_rate": "constant", "eta0": 0.1, "alpha": 0.01, "random_state": 0}
    clf = SGDClassifier(warm_start="exact", max_iter=2, **rate, **settings).fit(X, CLASSES)
    clf.set_params(penalty="l1", alpha=10.0).fit(X, CLASSES)
    assert np.count_nonzero(clf.coef_) == 0
    clf.set_params(penalty="l2", alpha=0.01).fit(X, CLASSES)
    assert all(state["paid"] is None and state["numbers"][4] == 0 for state in clf._resume)


def test_exact_resuming_cannot_start_an_average():
    reg = SGDRegressor(warm_start="exact", max_iter=2).fit(X, Y)
    with pytest.raises(ValueError, match="these were made without average"):
        reg.set_params(average=True).fit(X, Y)


@pytest.mark.parametrize("settings", [{}, SOFTMAX])
def test_exact_resuming_without_the_average(settings):
    """Steps continue from the last weights, not from their average."""
    plain = SGDClassifier(warm_start="exact", max_iter=2, random_state=0, **settings)
    averaged = clone(plain).set_params(average=True).fit(X, CLASSES)
    averaged.set_params(average=False).fit(X, CLASSES)
    plain.fit(X, CLASSES).fit(X, CLASSES)
    np.testing.assert_array_equal(averaged.coef_, plain.coef_)
    np.testing.assert_array_equal(averaged.intercept_, plain.intercept_)
