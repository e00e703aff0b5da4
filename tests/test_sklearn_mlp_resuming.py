"""Fits of `fastgd.sklearn`'s networks that continue earlier ones."""

import pickle

import numpy as np
import pytest
from samples import X_IRIS, X_REG, Y_IRIS, Y_REG, parameters

import fastgd as gd
import fastgd.sklearn
from fastgd.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("first", "second"), [("f4", "f8"), ("f8", "f4")])
def test_the_first_dtype_is_kept(first, second, solver):
    reg = MLPRegressor(solver=solver, max_iter=3, random_state=0, warm_start=True)
    reg.fit(X_REG.astype(first), Y_REG).fit(X_REG.astype(second), Y_REG)
    assert reg.coefs_[0].dtype == first
    assert np.isfinite(reg.predict(X_REG)).all()
    same = MLPRegressor(solver=solver, max_iter=3, random_state=0, warm_start=True)
    same.fit(X_REG.astype(first), Y_REG).fit(X_REG.astype("f4").astype(first), Y_REG)
    np.testing.assert_array_equal(parameters(reg), parameters(same))


def test_training_continues_from_the_users_weights():
    reg = MLPRegressor(hidden_layer_sizes=(), solver="sgd", warm_start=True, max_iter=1, alpha=0)
    reg.set_params(learning_rate_init=1e-12).fit(X_REG, Y_REG)
    reg.coefs_ = [np.ones((10, 1), int)]
    reg.intercepts_ = [np.ones(1, np.float32)]
    np.testing.assert_allclose(reg.predict(X_REG), X_REG.sum(axis=1) + 1)
    np.testing.assert_allclose(parameters(reg.fit(X_REG, Y_REG)), 1)


def test_epochs_may_follow_lbfgs():
    """From its last weights: an epoch's loss is computed before its only step."""
    reg = MLPRegressor(solver="lbfgs", warm_start=True, max_iter=3).fit(X_REG, Y_REG)
    reached = reg.loss_
    curve = reg.set_params(solver="adam", batch_size=150).fit(X_REG, Y_REG).loss_curve_
    assert len(curve) == 3
    assert curve[0] == pytest.approx(reached, rel=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam", gd.AdamW(0.01), gd.ASGD(0.1)])
@pytest.mark.parametrize(
    ("early_stopping", "random_state", "dropout"),
    [(False, 0, 0.5), (True, 0, 0.0), (True, "RandomState", 0.5), (True, "Generator", 0.5)],
)
def test_fits_of_one_epoch_equal_one_fit(solver, early_stopping, random_state, dropout):
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
def test_an_estimator_saved_in_a_callback_resumes(solver, early_stopping):
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


def test_interruption_keeps_the_last_epoch():
    def interrupt(estimator):
        if estimator.n_iter_ == 2:
            raise KeyboardInterrupt

    clf = MLPClassifier((4,), callbacks=interrupt)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.fit(X_IRIS, Y_IRIS)
    assert len(clf.loss_curve_) == 2


def test_interruption_does_not_go_back_to_the_best_of_an_earlier_fit():
    reached = []

    def interrupt(estimator):
        reached.append(parameters(estimator).copy())
        if estimator.n_iter_ == 2:
            raise KeyboardInterrupt

    clf = MLPClassifier((4,), max_iter=3, warm_start=True, random_state=0)
    clf.fit(X_IRIS, Y_IRIS, X_val=X_IRIS, y_val=Y_IRIS)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        clf.set_params(callbacks=interrupt).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(parameters(clf), reached[-1])


def test_data_of_another_shape_are_refused():
    clf = MLPClassifier((4,), max_iter=1, warm_start=True).fit(X_IRIS, Y_IRIS)
    with pytest.raises(ValueError, match="warm_start=False"):
        clf.set_params(hidden_layer_sizes=(5,)).fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize(
    "order",
    [np.full(150, 10**6, np.uint32), np.zeros(150, np.uint32), np.arange(150, dtype=np.int8)],
    ids=["beyond the samples", "one sample", "another dtype"],
)
def test_an_invalid_order_is_refused(order):
    clf = MLPClassifier((4,), max_iter=1, warm_start=True, random_state=0).fit(X_IRIS, Y_IRIS)
    clf._optimizer.order = order
    with pytest.raises(ValueError, match="order of the samples that the estimator stored"):
        clf.fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("part", [np.zeros(3), np.zeros(43, "f4"), [0.0] * 43])
def test_stored_parameters_of_another_shape_or_dtype_are_not_used(part):
    clf = MLPClassifier((4,), max_iter=1, warm_start=True, random_state=0).fit(X_IRIS, Y_IRIS)
    clf._optimizer.history._best = parameters(clf)
    clf._optimizer.history._last = part
    clf.fit(X_IRIS, Y_IRIS)
    assert clf._optimizer.history._last is None


@pytest.mark.parametrize("kept", ["X", "weight", "coefs_"])
def test_a_callback_cannot_resize_arrays_in_use(kept):
    X, weight = X_IRIS.copy(), np.ones(150)
    clf = MLPClassifier((4,), max_iter=2, random_state=0)

    def resize(estimator):
        array = {"X": X, "weight": weight, "coefs_": estimator.coefs_[0]}[kept]
        while array.base is not None:
            array = array.base
        with pytest.raises(ValueError, match="resize"):
            array.resize(10**6, refcheck=False)

    with pytest.warns(UserWarning, match="Maximum iterations"):
        clf.set_params(callbacks=resize).fit(X, Y_IRIS, weight)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("rule", ["constant", "invscaling", "adaptive"])
def test_a_state_of_the_first_release_resumes(rule, nesterov):
    """Its velocity was torch's, without the learning rate, and it had no history."""
    settings = {
        "solver": "sgd", "learning_rate": rule, "nesterovs_momentum": nesterov, "warm_start": True,
        "random_state": 0, "learning_rate_init": 0.1, "tol": 0.1, "n_iter_no_change": 1,
    }  # fmt: skip
    clf = MLPClassifier((4,), max_iter=7, **settings).fit(X_IRIS, Y_IRIS)
    other = pickle.loads(pickle.dumps(clf))
    state = clf._optimizer
    steps = state.history._state
    falls = state.history._schedule_state[0] if rule == "adaptive" else 0
    rate = {
        "constant": 0.1, "invscaling": 0.1 / (clf.t_ + 1) ** 0.5, "adaptive": 0.1 / 5**falls,
    }[rule]  # fmt: skip
    steps.moments[0][:] /= -rate
    old = type(state).__new__(type(state))
    old.__setstate__({
        "kernel": "nesterov" if nesterov else "momentum", "learning_rate": rate,
        "initial_rate": 0.1, "steps": steps, "epochs": 7, "schedule": None, "params": None,
        "best": None, "order": state.order, "split": None, "dropout": None,
    })  # fmt: skip
    clf._optimizer = old
    for model in (clf, other):
        model.set_params(max_iter=2).fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(parameters(clf), parameters(other), rtol=1e-9)
