"""The steps of `fastgd.sklearn`'s linear estimators: kernels, CSR rows, batches, rates."""

import tracemalloc

import numpy as np
import pytest
from conftest import ALIKE, assert_close, several_levels
from samples import CLASSES, SOFTMAX, X, Y, csr
from scipy import sparse
from sklearn.base import clone

from fastgd import schedules
from fastgd.engine import sgd
from fastgd.losses import MARGIN_LOSSES
from fastgd.sklearn import SGDClassifier, SGDRegressor, _schedules

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("loss", MARGIN_LOSSES)
def test_losses_of_the_kernels(loss, isa):
    y = np.tile([0.0, 0.3, 1.0] if loss == "log_loss" else [-1.0, 1.0, 1.0], 40)
    p = np.concatenate([np.linspace(-4, 4, 114), [-1, 0, 1, 1.1, 0.9, -1.1]])
    known = MARGIN_LOSSES[loss]
    parameter = 0.1 if known.parameter is None else known.parameter
    value, slope = sgd.margin_losses(known.kernel or loss, parameter, y, p, isa)
    assert_close(value, known.value(y, p, parameter), "float64", 1)
    assert_close(slope, known.slope(y, p, parameter), "float64", 1)


RNG = np.random.default_rng(1)
ROWS = RNG.standard_normal((90, 37)) * (RNG.random((90, 37)) < 0.4)


def descend(X, y, isa, dtype, n_outputs=1, batch_size=1, penalty="l2", epochs=3):
    """Run some epochs of a Stepper from zeros; return the weights, and all state as bytes."""
    n_columns = X.shape[1]
    shape = (n_columns, sgd.padded(n_outputs)) if n_outputs > 1 else (sgd.padded(n_columns),)
    weights, average, l1_applied = (np.zeros(shape, dtype) for _ in range(3))
    intercepts, means = (np.zeros(shape[-1], dtype) for _ in range(2))
    rows = X.astype(dtype)
    if sparse.issparse(rows):
        rows = (rows.data, rows.indices, rows.indptr, n_columns)
    stepper = sgd.Stepper(
        rows, y if n_outputs > 1 else y.astype(dtype), None, weights, average, l1_applied,
        loss="log_loss", parameter=1.0, l1=0.01 * (penalty == "l1"), l2=0.01 * (penalty == "l2"),
        rule="given", intercept_rate=1.0, average_from=1, batch_size=batch_size,
        intercepts=intercepts if n_outputs > 1 else None,
        average_intercepts=means if n_outputs > 1 else None,
        n_outputs=n_outputs, level=isa,
    )  # fmt: skip
    order = np.arange(len(y), dtype=np.uint32)
    for _ in range(epochs):
        sgd.shuffle(order, 7)
        stepper.epoch(order, np.linspace(0.1, 0.03, -(-len(y) // batch_size)))
    numbers = np.array(stepper.numbers())
    return weights, [part.tobytes() for part in (weights, average, l1_applied, intercepts, numbers)]


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
def test_csr_and_dense_rows_give_the_same_results(n_outputs, batch_size, isa):
    y = np.arange(90, dtype=np.int32) % max(2, n_outputs)
    dense, _ = descend(ROWS, y, isa, "float64", n_outputs, batch_size)
    compressed, _ = descend(csr(ROWS), y, isa, "float64", n_outputs, batch_size)
    assert_close(dense, compressed, "float64", 3 * 90)


def test_csr_with_64_bit_indices():
    short, long = csr(X), csr(X)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    clf = SGDClassifier(random_state=0)
    coefs = [clone(clf).fit(rows, CLASSES).coef_ for rows in (short, long)]
    np.testing.assert_array_equal(*coefs)


@pytest.mark.parametrize("make", [SGDClassifier, SGDRegressor])
def test_csr_rows_are_not_converted_to_dense_rows(make):
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


def batch_steps(X, y, batch_size, epochs, seed, alpha, rates):
    """Mini-batch descent on a penalised squared error, written out."""
    w, b = np.zeros(X.shape[1]), 0.0
    order = np.arange(len(y), dtype=np.uint32)
    for epoch in range(epochs):
        sgd.shuffle(order, seed)
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
    assert_close(reg.coef_, w, "float64", 4 * 120)
    assert_close(reg.intercept_, b, "float64", 4 * 120)
    assert reg.t_ == 1 + 4 * -(-120 // min(batch_size or 120, 120))


@pytest.mark.parametrize("penalty", ["l2", "elasticnet"])
@pytest.mark.parametrize("settings", [{}, SOFTMAX])
@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
def test_a_large_batch_in_parts_equals_one_batch(make, settings, penalty):
    """A batch of more than 2^20 elements is processed in parts, with checks for signals between."""
    rows = np.tile(np.random.default_rng(1).standard_normal((40, 50)), (600, 1))
    y = np.tile(np.arange(40) % 3, 600)
    settings = {"learning_rate": "constant", "penalty": penalty, "tol": None, **settings}
    whole, once = (
        SGDClassifier(batch_size=None, max_iter=5, average=2, shuffle=False, **settings)
        .fit(make(rows[:n]), y[:n])
        for n in (24_000, 40)
    )  # fmt: skip
    assert_close(whole.coef_, once.coef_, "float64", 5 * 24_000)
    assert_close(whole.intercept_, once.intercept_, "float64", 5 * 24_000)


def test_passive_aggressive_steps_need_a_batch_size_of_1():
    with pytest.raises(ValueError, match="batch_size must be 1, not 2"):
        SGDClassifier(learning_rate="pa1", batch_size=2).fit(X, CLASSES)


@pytest.mark.parametrize("make", [np.asarray, csr], ids=["dense", "csr"])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 7}, {"loss": "log_loss"}])
def test_schedules_by_update(make, settings):
    settings = {"eta0": 0.1, "power_t": 0.25, "max_iter": 4, "random_state": 0, **settings}
    if "loss" in settings:
        settings |= {"multi_class": "softmax"}
    rate = schedules.InverseScaling(0.25, unit="update")
    own = SGDClassifier(learning_rate=rate, **settings).fit(make(X), CLASSES)
    named = SGDClassifier(learning_rate="invscaling", **settings).fit(make(X), CLASSES)
    assert_close(own.coef_, named.coef_, "float64", 4 * 120)
    for clf in (own, named):
        clf.partial_fit(make(X), CLASSES)
    assert_close(own.coef_, named.coef_, "float64", 5 * 120)


@pytest.mark.parametrize("rate", [schedules.Exponential(0.5), lambda epoch: 0.5**epoch])
def test_schedules_by_epoch(rate):
    settings = {"eta0": 0.1, "alpha": 0.1, "batch_size": 7, "learning_rate": rate}
    reg = SGDRegressor(max_iter=4, tol=None, random_state=0, **settings).fit(X, Y)
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    w, b = batch_steps(X, Y, 7, 4, seed, 0.1, lambda epoch: 0.1 * 0.5**epoch)
    assert_close(reg.coef_, w, "float64", 4 * 120)
    assert_close(reg.intercept_, b, "float64", 4 * 120)


def test_each_partial_fit_is_an_epoch_of_the_schedule():
    seen = []

    def rate(epoch):
        seen.append(epoch)
        return 1.0

    reg = SGDRegressor(learning_rate=rate)
    for _ in range(3):
        reg.partial_fit(X, Y)
    assert seen == [0, 1, 2]


def test_a_plateau_lowers_the_rate():
    """With a threshold above the loss nothing improves: the rate falls from epoch 2 on."""
    plateau = schedules.OnPlateau(0.1, patience=0, threshold=10.0, threshold_mode="abs")
    falling = schedules.Function(lambda epoch: 0.1 ** max(0, epoch - 1))
    settings = {"eta0": 0.1, "random_state": 0, "max_iter": 5, "tol": None}
    own, other = (
        SGDRegressor(learning_rate=rate, **settings).fit(X, Y) for rate in (plateau, falling)
    )
    assert_close(own.coef_, other.coef_, "float64", 5 * 120)


def test_a_learning_rate_must_be_known():
    with pytest.raises(
        ValueError, match=r"instance of 'fastgd\.schedules\.Schedule' or a callable"
    ):
        SGDRegressor(learning_rate=0.1).fit(X, Y)


def engine_arrays():
    """Return the engine's arguments for a softmax of three classes on CSR rows."""
    rows = csr(X)
    room = np.zeros((X.shape[1], sgd.padded(3)))
    return {
        "data": rows.data, "indices": rows.indices, "indptr": rows.indptr,
        "y": CLASSES.astype(np.int32), "sample_weight": np.ones(120), "weights": room,
        "average": room.copy(), "l1_applied": room.copy(), "intercepts": room[0].copy(),
        "average_intercepts": room[0].copy(),
    }  # fmt: skip


def start(arrays):
    arrays = dict(arrays)
    rows = (*(arrays.pop(name) for name in ("data", "indices", "indptr")), X.shape[1])
    first = (
        arrays.pop(name) for name in ("y", "sample_weight", "weights", "average", "l1_applied")
    )
    return sgd.Stepper(
        rows, *first, **arrays, loss="log_loss", parameter=1.0, l1=0.1, l2=0.1,
        rule="given", intercept_rate=1.0, average_from=1, batch_size=1, n_outputs=3,
    )  # fmt: skip


@pytest.mark.parametrize("name", engine_arrays())
def test_the_engine_refuses_arrays_of_another_size(name):
    arrays = engine_arrays()
    start(arrays)
    arrays[name] = arrays[name][:-1].copy()
    with pytest.raises(ValueError, match=r"has \d+ bytes where \d+ are used"):
        start(arrays)


@pytest.mark.parametrize("name", engine_arrays())
def test_arrays_in_use_cannot_be_resized(name):
    arrays = engine_arrays()
    arrays[name] = arrays[name].copy()
    stepper = start(arrays)
    if name != "y":  # y is copied
        with pytest.raises(ValueError, match="cannot resize"):
            arrays[name].resize(10**6, refcheck=False)
    stepper.epoch(np.arange(120, dtype=np.uint32), np.full(120, 0.1))


def test_the_engine_refuses_missing_samples_and_classes():
    arrays = engine_arrays()
    with pytest.raises(ValueError, match="order has sample 120 of 120"):
        start(arrays).epoch(np.array([3, 120], np.uint32), np.full(2, 0.1))
    arrays["y"][5] = 3
    with pytest.raises(ValueError, match="classes that are not from 0 to 2"):
        start(arrays)


@pytest.mark.parametrize("start", [0, 1, 20_000, 10**9])
def test_named_learning_rates(start):
    """They equal scikit-learn's formulas, to the rounding of a sum and a power."""
    t = np.arange(start + 1.0, start + 5001.0)
    optimal = _schedules.Optimal.of(1e-4, 1.0)
    expected = 1 / (1e-4 * (optimal.offset + t - 1))
    np.testing.assert_allclose(optimal.rates(1.0, start, 5000), expected, rtol=1e-15)
    inverse = _schedules.Inverse(0.25).rates(0.1, start, 5000)
    np.testing.assert_allclose(inverse, 0.1 / t**0.25, rtol=2e-15)


def test_an_adaptive_rate():
    adaptive, state, seen = _schedules.Adaptive(), (0,), []
    while state is not None:
        seen.append(adaptive.rates(0.1, 3, 1, state).item())
        state = adaptive.lower(0.1, state)
    expected = [0.1]
    while expected[-1] > 1e-6:
        expected.append(expected[-1] / 5)
    assert seen == expected
