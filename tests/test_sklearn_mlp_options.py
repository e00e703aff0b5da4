"""Options of `fastgd.sklearn`'s networks that scikit-learn's do not have."""

import numpy as np
import pytest
import scipy.special
from conftest import assert_close
from samples import WEIGHT_150, X_IRIS, X_REG, Y_IRIS, Y_REG, parameters
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

import fastgd as gd
import fastgd.sklearn
from fastgd.activations import ACTIVATIONS as VALUES
from fastgd.optimizers import OPTIMIZERS
from fastgd.sklearn import MLPClassifier, MLPRegressor
from fastgd.sklearn._mlp import LOSSES_OF_NUMBERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_the_users_validation_data_are_scored_and_the_best_weights_restored():
    clf = MLPClassifier((5,), max_iter=20, learning_rate_init=0.3, random_state=0)
    clf.fit(X_IRIS[::2], Y_IRIS[::2], X_val=X_IRIS[1::2], y_val=Y_IRIS[1::2])
    assert len(clf.validation_scores_) == clf.n_iter_
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert clf.score(X_IRIS[1::2], Y_IRIS[1::2]) == clf.best_validation_score_


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_the_users_validation_data_are_checked(solver):
    clf = MLPClassifier(solver=solver)
    message = "another solver" if solver == "lbfgs" else "classes that y has not"
    with pytest.raises(ValueError, match=message):
        clf.fit(X_IRIS[:99], Y_IRIS[:99], X_val=X_IRIS[100:], y_val=Y_IRIS[100:])


def test_validation_curves_are_those_of_the_epochs():
    curve = []

    def callback(estimator):
        p = estimator.predict_proba(X_IRIS[1::2])
        curve.append(log_loss(Y_IRIS[1::2], p, sample_weight=WEIGHT_150[1::2]))

    clf = MLPClassifier((5,), max_iter=4, callbacks=callback)
    clf.fit(
        X_IRIS[::2], Y_IRIS[::2], X_val=X_IRIS[1::2], y_val=Y_IRIS[1::2],
        sample_weight_val=WEIGHT_150[1::2],
    )  # fmt: skip
    assert_close(clf.validation_loss_curve_, curve, "float64", 75)


@pytest.mark.parametrize("loss", sorted(LOSSES_OF_NUMBERS))
@pytest.mark.parametrize("outputs", [1, 3])
def test_reported_loss_is_the_same_for_training_and_validation(loss, outputs):
    y = np.abs(np.column_stack([Y_REG] * outputs) + np.arange(outputs))
    y = y.ravel() if outputs == 1 else y
    reg = MLPRegressor(loss, (4,), alpha=0, batch_size=150, max_iter=2, learning_rate_init=0.01)
    reg.fit(X_REG, y, WEIGHT_150, X_val=X_REG, y_val=y, sample_weight_val=WEIGHT_150)
    # an epoch's training loss is that before its only step
    assert_close(reg.validation_loss_curve_[0], reg.loss_curve_[1], "float64", 150)


def test_dropout_drops_its_share_of_the_units():
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


def test_each_layer_may_have_another_activation():
    clf = MLPClassifier((4, 3), ("gelu", "logistic"), max_iter=3).fit(X_IRIS, Y_IRIS)
    z = X_IRIS
    for W, b, name in zip(clf.coefs_, clf.intercepts_, ("gelu", "sigmoid", None), strict=True):
        z = z @ W + b
        z = scipy.special.softmax(z, axis=1) if name is None else VALUES[name].value(z)
    assert_close(clf.predict_proba(X_IRIS), z, "float64", 4, 4, 3)


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
def test_bad_parameters_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MLPClassifier(**settings).fit(X_IRIS, Y_IRIS)


def test_class_weights_are_sample_weights():
    settings = {"max_iter": 5, "random_state": 0}
    weighed = MLPClassifier(class_weight={0: 1, 1: 5, 2: 1}, **settings).fit(X_IRIS, Y_IRIS)
    other = MLPClassifier(**settings).fit(X_IRIS, Y_IRIS, np.where(Y_IRIS == 1, 5.0, 1.0))
    np.testing.assert_array_equal(parameters(weighed), parameters(other))


def test_balanced_classes_need_all_of_y():
    with pytest.raises(ValueError, match="not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])


def test_negative_counts_are_refused():
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
    assert_close(parameters(reg), parameters(steps), "float64", 2 * 150)


def test_a_function_gives_the_learning_rate():
    settings = {"max_iter": 4, "random_state": 0}
    own = MLPClassifier((4,), learning_rate=lambda epoch: 0.5**epoch, **settings)
    named = MLPClassifier((4,), learning_rate=gd.schedules.Exponential(0.5), **settings)
    fitted = [clf.fit(X_IRIS, Y_IRIS) for clf in (own, named)]
    assert_close(*map(parameters, fitted), "float64", 4)


def test_a_plateau_lowers_the_learning_rate():
    """With a threshold above the loss nothing improves: the rate falls from epoch 2 on."""
    plateau = gd.schedules.OnPlateau(patience=0, threshold=10.0, threshold_mode="abs", factor=0.1)
    falling = gd.schedules.Function(lambda epoch: 0.1 ** max(0, epoch - 1))
    fitted = [
        MLPClassifier((4,), learning_rate=rate, max_iter=4, random_state=0).fit(X_IRIS, Y_IRIS)
        for rate in (plateau, falling)
    ]
    assert_close(*map(parameters, fitted), "float64", 4)


def test_a_search_over_optimizers_and_schedules():
    solvers = [make(0.05) for make in OPTIMIZERS.values()]
    rates = ["constant", gd.schedules.OneCycle(20), gd.schedules.OnPlateau()]
    clf = MLPClassifier((4,), max_iter=5, random_state=0)
    search = GridSearchCV(clf, {"solver": solvers, "learning_rate": rates}, cv=2)
    search.fit(X_IRIS, Y_IRIS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.8


def test_lbfgs_with_several_outputs_descends_on_their_sum():
    y = np.column_stack([Y_REG, 3 * Y_REG])
    settings = {"solver": "lbfgs", "max_iter": 500, "random_state": 0, "activation": "identity"}
    settings |= {"hidden_layer_sizes": (), "alpha": 0.0, "tol": 1e-8}
    together = MLPRegressor(**settings).fit(X_REG, y)
    alone = MLPRegressor(**settings).fit(X_REG, y[:, 1])
    np.testing.assert_allclose(together.coefs_[0][:, 1], alone.coefs_[0][:, 0], atol=1e-3)
    residual = together.predict(X_REG) - y
    np.testing.assert_allclose(together.loss_, 0.5 * np.mean(residual**2))


@pytest.mark.parametrize("make", [MLPClassifier, MLPRegressor])
def test_validation_rows_must_not_all_have_weight_zero(make):
    """All weights are zero except one, whose row may be set aside."""
    weight = np.zeros(150)
    weight[0] = 1.0
    est = make(early_stopping=True, random_state=0, validation_fraction=0.05)
    with pytest.raises(ValueError, match="of which 0 have a weight above 0"):
        est.fit(X_IRIS, (Y_IRIS > 0).astype(int), weight)


def test_a_regressor_needs_two_validation_rows():
    with pytest.raises(ValueError, match="X_val has 1 sample"):
        MLPRegressor().fit(X_REG, Y_REG, X_val=X_REG[:1], y_val=Y_REG[:1])


def test_one_class_has_probability_one():
    clf = MLPClassifier((4,), max_iter=1).fit(X_IRIS, np.full(150, "a"))
    np.testing.assert_array_equal(clf.predict_proba(X_IRIS), np.ones((150, 1)))
    np.testing.assert_array_equal(clf.predict_log_proba(X_IRIS), np.zeros((150, 1)))


def test_a_batch_size_above_the_number_of_samples_is_clipped():
    settings = {"max_iter": 3, "random_state": 0}
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        large = MLPClassifier((4,), batch_size=151, **settings).fit(X_IRIS, Y_IRIS)
    exact = MLPClassifier((4,), batch_size=150, **settings).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(parameters(large), parameters(exact))


def test_a_callback_may_change_the_weights():
    def restart(estimator):
        for part in (*estimator.coefs_, *estimator.intercepts_):
            part[...] = 0

    settings = {"max_iter": 3, "solver": "sgd", "momentum": 0.0, "shuffle": False}
    clf = MLPClassifier((), batch_size=150, callbacks=restart, **settings).fit(X_IRIS, Y_IRIS)
    assert clf.loss_curve_[1:] == [pytest.approx(np.log(3))] * 2
