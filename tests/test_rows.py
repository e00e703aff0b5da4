"""Samples in any storage: each result has the bits of the array converted before."""

import numpy as np
import pytest
from conftest import draw

import fastgd as gd
from fastgd.engine import kernels
from fastgd.rows import DenseRows, _check, check_rows, decode, storage_names
from fastgd.rows._storage import affine

ml_dtypes = pytest.importorskip("ml_dtypes")

# Sizes, loss: each reads rows by other kernels of the engine.
MODELS = {
    "linear": ((33, 1), "squared_error"),
    "one column": ((1, 1), "log_loss"),
    "few outputs": ((140, 5), "cross_entropy"),
    "many outputs": ((17, 20), "cross_entropy"),
    "network": ((17, 9, 1), "huber"),
    "wide layers": ((30, 130, 70, 3), "cross_entropy"),
}
N = 83


class Affine:
    """Inputs with a mean and a scale for each column."""

    def __init__(self, n_features, seed=3):
        mean, scale = draw(n_features, n_features, seed=seed)
        self.mean, self.inverse_scale = mean, 1 / (1 + scale**2)


@pytest.fixture(autouse=True)
def decode_small(monkeypatch):
    """Decode samples of any size: small ones would be converted at once."""
    monkeypatch.setattr(_check, "CONVERTED_BYTES", 0)


def storage_dtype(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def stored(name, shape, seed=0):
    """Draw finite numbers in a storage dtype, large and small ones."""
    dtype, rng = storage_dtype(name), np.random.default_rng(seed)
    if name == "bool":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 3, shape)).astype(dtype)


def problem(model, storage, n=N):
    sizes, loss = MODELS[model]
    X = stored(storage, (n, sizes[0]))
    classes = sizes[-1] if sizes[-1] > 1 else 2
    return sizes, loss, X, np.random.default_rng(1).integers(classes, size=n)


def train(X, y, sizes, loss, dtype, inputs=None, **settings):
    """Train a network; return its parameters, the losses, and predictions."""
    net = gd.Network(sizes, loss=loss, dtype=dtype, rng=0)
    rows = check_rows(X, sizes[0], net.dtype, inputs=inputs)
    largest = float(np.abs(rows[:]).max())
    net.params[:] /= largest
    settings = {
        "batch_size": 16,
        "epochs": 2,
        "optimizer": gd.SGD(0.1 / largest**2 / sizes[0]),
    } | settings
    history = gd.train(net, rows, y, rng=0, **settings)
    return net.params, np.array(history.loss), net.predict(rows)


def assert_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("storage", storage_names())
@pytest.mark.parametrize("with_inputs", [False, True])
def test_kernels_decode_as_defined(isa, dtype, storage, with_inputs):
    if np.dtype(storage_dtype(storage)).itemsize <= 2 and storage != "bool":
        bits = np.arange(1 << 16, dtype=np.uint16)  # every number there is
        x = bits.view(storage_dtype(storage))
        with np.errstate(invalid="ignore"):  # NaNs
            x = x[np.isfinite(x.astype(float))][: 37 * 1700].reshape(-1, 37)
    else:
        x = stored(storage, (50, 37))
    inputs = Affine(37) if with_inputs else None
    expected = decode(x, np.dtype(dtype), inputs)
    pair = affine(x.dtype, np.dtype(dtype), inputs) if inputs else None
    found = kernels.decode(x, np.empty(x.shape, dtype), pair, isa)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("storage", storage_names())
@pytest.mark.parametrize("model", MODELS)
def test_training_has_the_bits_of_converted_samples(storage, model, dtype, isa):
    sizes, loss, X, y = problem(model, storage)
    found = train(X, y, sizes, loss, dtype)
    assert_same_bits(found, train(X.astype(dtype), y, sizes, loss, dtype))


@pytest.mark.parametrize("storage", ["uint8", "float16"])
@pytest.mark.parametrize("model", MODELS)
def test_backends_decode_alike(storage, model, dtype, backend):
    sizes, loss, X, y = problem(model, storage, n=20)
    found = train(X, y, sizes, loss, dtype, backend=backend)
    assert_same_bits(found, train(X.astype(dtype), y, sizes, loss, dtype, backend=backend))


@pytest.mark.parametrize("storage", ["uint8", "int32", "float16"])
@pytest.mark.parametrize("model", MODELS)
def test_inputs_are_applied_while_decoding(storage, model, dtype, backend):
    sizes, loss, X, y = problem(model, storage, n=20)
    inputs = Affine(sizes[0])
    before = decode(X, np.dtype(dtype), inputs)
    found = train(X, y, sizes, loss, dtype, inputs, backend=backend)
    assert_same_bits(found, train(before, y, sizes, loss, dtype, backend=backend))


SETTINGS = {
    "single samples": {"batch_size": 1},
    "pairs": {"batch_size": 2},
    "all samples": {"batch_size": None},
    "last dropped": {"batch_size": 20, "drop_last": True},
    "replacement": {"sampling": "replacement"},
    "poisson": {"sampling": "poisson"},
    "weights": {"sample_weight": np.linspace(0, 2, N)},
    "clipped": {"clip_per_sample": 0.1},
    "clipped batch": {"clip_norm": 0.1},
    "recorded": {"record": ("gradient_norm", "noise_scale")},
    "set aside": {"validation": 0.25, "metrics": ("r2",)},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("model", MODELS)
def test_each_setting(settings, model, n_threads):
    sizes, loss, X, y = problem(model, "uint8")
    if "metrics" in settings and loss == "cross_entropy":
        settings = settings | {"metrics": ("accuracy",)}
    found = train(X, y, sizes, loss, "float32", n_threads=n_threads, **settings)
    expected = train(X.astype("f4"), y, sizes, loss, "float32", n_threads=n_threads, **settings)
    assert_same_bits(found, expected)


@pytest.mark.parametrize("sizes", [(40_000, 1), (40_000, 3), (40_000, 20), (40_000, 9, 2, 1)])
@pytest.mark.parametrize("batch_size", [1, 70, None])
def test_wide_rows_are_decoded_in_parts(sizes, batch_size, n_threads):
    X = stored("uint8", (90, sizes[0]))
    y = np.random.default_rng(0).integers(2, size=90).astype(float)
    if sizes[-1] > 1:
        y = y[:, None] * np.ones(sizes[-1])
    settings = {"batch_size": batch_size, "epochs": 1, "n_threads": n_threads}
    found = train(X, y, sizes, "squared_error", "float32", **settings)
    expected = train(X.astype("f4"), y, sizes, "squared_error", "float32", **settings)
    assert_same_bits(found, expected)


@pytest.mark.parametrize("model", MODELS)
def test_gradients_and_norms(model, dtype, n_threads):
    sizes, loss, X, y = problem(model, "int16")
    net = gd.Network(sizes, loss=loss, dtype=dtype, rng=0)
    net.params[:] *= 1e-4
    converted = X.astype(dtype)
    for compute in (gd.gradient, gd.per_sample_gradients, gd.per_sample_norms, _noise):
        np.testing.assert_array_equal(compute(net, X, y), compute(net, converted, y))


def _noise(net, X, y):
    found = gd.noise_scale(net, X, y, full=True, rng=0)
    return [found.simple, found.full, found.gradient_square]


@pytest.mark.parametrize("method", ["predict", "forward", "loss_value"])
def test_methods_of_networks(method, backend):
    sizes, loss, X, y = problem("network", "float16")
    net = gd.Network(sizes, loss=loss, dtype="float32", rng=0)
    more = (y,) if method == "loss_value" else ()
    found = getattr(net, method)(X, *more)
    np.testing.assert_array_equal(found, getattr(net, method)(X.astype("f4"), *more))


def test_compare_and_train_many():
    sizes, loss, X, y = problem("network", "uint8")
    nets = [gd.Network(sizes, loss=loss, dtype=dtype, rng=0) for dtype in ("f4", "f8", "f4")]
    again = [net.copy() for net in nets]
    settings = {"optimizer": gd.SGD(1e-7), "epochs": 2, "rng": 0}
    gd.train_many(nets, X, y, [settings] * 3)
    gd.train_many(again, X.astype("f8"), y, [settings] * 3)
    assert_same_bits([net.params for net in nets], [net.params for net in again])
    a, b = (
        gd.compare(nets[0], x, y, [8, 32], epochs=2, validation=0.2, rng=0)
        for x in (X, X.astype("f4"))
    )
    assert a.start_loss == b.start_loss
    assert [entry.history.loss for entry in a] == [entry.history.loss for entry in b]


AWKWARD = {
    "reversed rows": lambda X: X[::-1],
    "reversed columns": lambda X: X[:, ::-1],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "Fortran order": np.asfortranarray,
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
    "unaligned": lambda X: (
        np.frombuffer(b" " + X.tobytes(), np.uint8)[1:].view(X.dtype).reshape(X.shape)
    ),
}


@pytest.mark.parametrize("change", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("n", [1, N])
def test_awkward_arrays(change, n):
    sizes, loss, X, y = problem("network", "int16", n)
    X = change(X)
    kept = X.copy()
    found = train(X, y, sizes, loss, "float32")
    assert_same_bits(found, train(X.astype("f4"), y, sizes, loss, "float32"))
    np.testing.assert_array_equal(X, kept)


def test_samples_are_not_copied():
    X = stored("uint8", (1000, 64))
    rows = check_rows(X, 64, np.dtype("float32"))
    assert isinstance(rows, DenseRows)
    assert np.shares_memory(rows.source, X)


def test_small_samples_are_converted_once(monkeypatch):
    monkeypatch.setattr(_check, "CONVERTED_BYTES", 1 << 20)
    found = check_rows(np.ones((3, 2), np.uint8), 2, np.dtype("float32"))
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32


@pytest.mark.parametrize("storage", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named(storage, value):
    X = stored(storage, (40_000, 3))
    X[30_001, 2] = value
    with pytest.raises(ValueError, match=rf"^X\[30001, 2\] is {value}: every value must be finite"):
        gd.train(gd.Network([3, 1], dtype="float32"), X, np.zeros(len(X)))


def test_numbers_that_overflow_are_named():
    X = np.ones((5, 3))
    X[4, 1] = 1e39
    with pytest.raises(ValueError, match=r"^X\[4, 1\] is 1e\+39, which is more than float32 holds"):
        gd.Network([3, 1], dtype="float32").predict(X)


@pytest.mark.parametrize("other", ["uint32", "int64", "uint64", "longdouble"])
def test_other_dtypes_are_converted(other):
    X = np.arange(12, dtype=other).reshape(4, 3)
    net = gd.Network([3, 1], rng=0)
    np.testing.assert_array_equal(net.predict(X), net.predict(X.astype(net.dtype)))


def test_memory_of_a_run_is_small():
    import tracemalloc

    X = stored("uint8", (20_000, 500))
    net = gd.Network([500, 10, 1], dtype="float32", rng=0)
    settings = {"batch_size": 32, "optimizer": gd.SGD(1e-9), "rng": 0}
    gd.train(net, X[:100], np.zeros(100), epochs=1, **settings)  # imports
    tracemalloc.start()
    try:
        gd.train(net, X, np.zeros(len(X)), epochs=1, **settings)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10e6  # the converted array has 40 MB


def sparse_problem(model, n=N, kind="csr_array", dtype="float64", density=0.1, n_features=None):
    sparse = pytest.importorskip("scipy.sparse")
    sizes, loss = MODELS[model]
    sizes = (n_features or sizes[0], *sizes[1:])
    density = density if sizes[0] > 1 else 0.5
    rng = np.random.default_rng(2)
    dense = rng.integers(-5, 6, (n, sizes[0])) * (rng.random((n, sizes[0])) < density)
    classes = sizes[-1] if sizes[-1] > 1 else 2
    X = getattr(sparse, kind)(dense.astype(dtype))
    return sizes, loss, X, dense.astype("f8"), rng.integers(classes, size=n)


@pytest.mark.parametrize("storage", ["float32", "float64", "int8", "int64", "bool"])
@pytest.mark.parametrize("model", MODELS)
def test_sparse_rows_have_the_bits_of_dense_ones(storage, model, dtype, backend):
    sizes, loss, X, _, y = sparse_problem(model, 20, dtype=storage)
    found = train(X, y, sizes, loss, dtype, backend=backend)
    assert_same_bits(found, train(X.toarray(), y, sizes, loss, dtype, backend=backend))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("model", MODELS)
def test_sparse_rows_with_each_setting(settings, model, n_threads):
    sizes, loss, X, dense, y = sparse_problem(model)
    if "metrics" in settings and loss == "cross_entropy":
        settings = settings | {"metrics": ("accuracy",)}
    found = train(X, y, sizes, loss, "float32", n_threads=n_threads, **settings)
    expected = train(dense, y, sizes, loss, "float32", n_threads=n_threads, **settings)
    assert_same_bits(found, expected)


@pytest.mark.parametrize("model", ["linear", "few outputs", "network"])
def test_inputs_of_sparse_rows(model, dtype, isa):
    sizes, loss, X, dense, y = sparse_problem(model)
    inputs = Affine(sizes[0])
    found = train(X, y, sizes, loss, dtype, inputs)
    assert_same_bits(found, train(dense.astype(X.dtype), y, sizes, loss, dtype, inputs))


WIDE = {"n_features": 1500, "density": 0.02}
WIDE_SETTINGS = SETTINGS | {
    "momentum": {"optimizer": gd.SGD(1e-4, momentum=0.9)},
    "adam": {"optimizer": gd.Adam(1e-3)},
    "decay": {"optimizer": gd.SGD(1e-4, weight_decay=0.1)},
    "penalties": {"l1": 0.01, "l2": 0.1},
    "clipped values": {"clip_value": 0.01},
    "dropout": {"dropout": 0.3},
}


@pytest.mark.parametrize("settings", WIDE_SETTINGS.values(), ids=WIDE_SETTINGS)
@pytest.mark.parametrize("model", ["many outputs", "network", "wide layers"])
def test_products_of_stored_elements_have_the_bits_of_dense_layers(settings, model, n_threads):
    sizes, loss, X, dense, y = sparse_problem(model, **WIDE)
    if len(sizes) == 2:  # dropout is of hidden units
        settings = {name: value for name, value in settings.items() if name != "dropout"}
    if "metrics" in settings and loss == "cross_entropy":
        settings = settings | {"metrics": ("accuracy",)}
    assert check_rows(X, sizes[0], np.dtype("f4")).is_wide
    found = train(X, y, sizes, loss, "float32", n_threads=n_threads, **settings)
    expected = train(dense, y, sizes, loss, "float32", n_threads=n_threads, **settings)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch_size", [1, 16, None])
@pytest.mark.parametrize("model", ["linear", "few outputs"])
def test_products_of_stored_elements_agree_with_other_layers(model, batch_size, isa, dtype):
    sizes, loss, X, dense, y = sparse_problem(model, **WIDE)
    found = train(X, y, sizes, loss, dtype, batch_size=batch_size)
    expected = train(dense, y, sizes, loss, dtype, batch_size=batch_size)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e4 * np.finfo(dtype).eps, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("width", [{}, WIDE], ids=["narrow", "wide"])
def test_gradients_and_norms_of_sparse_rows(model, width, n_threads):
    sizes, loss, X, dense, y = sparse_problem(model, **width)
    net = gd.Network(sizes, loss=loss, dtype="float64", rng=0)
    for compute in (gd.gradient, gd.per_sample_gradients, gd.per_sample_norms, _noise):
        np.testing.assert_allclose(
            compute(net, X, y), compute(net, dense, y), rtol=1e-9, atol=1e-12
        )


def _unsorted(X):
    X = X.copy()
    X.indices, X.data = X.indices.copy(), X.data.copy()
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:end] = X.indices[start:end][::-1]
        X.data[start:end] = X.data[start:end][::-1]
    X.has_sorted_indices = False
    return X


def _with_duplicates(X):
    twice = type(X)((np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), X.shape)
    twice.has_canonical_format = False
    return twice


def _wide_indices(X):
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


SPARSE_FORMS = {
    "matrix": lambda X: __import__("scipy.sparse").sparse.csr_matrix(X),
    "csc": lambda X: X.tocsc(),
    "coo": lambda X: X.tocoo(),
    "lil": lambda X: X.tolil(),
    "int64 indices": _wide_indices,
    "unsorted": _unsorted,
    "duplicates": _with_duplicates,
}


@pytest.mark.parametrize("width", [{}, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("change", SPARSE_FORMS.values(), ids=SPARSE_FORMS)
def test_forms_of_sparse_matrices(change, width):
    sizes, loss, X, dense, y = sparse_problem("network", **width)
    X = change(X)
    before = [X.data.copy(), X.toarray()]
    found = train(X, y, sizes, loss, "float64")
    assert_same_bits(found, train(dense, y, sizes, loss, "float64"))
    np.testing.assert_array_equal(X.data, before[0])
    np.testing.assert_array_equal(X.toarray(), before[1])


@pytest.mark.parametrize("n", [1, N])
def test_rows_without_elements(n):
    sparse = pytest.importorskip("scipy.sparse")
    for n_features in (3, 1500):
        X = sparse.csr_array((n, n_features))
        found = train_zeros(X, n)
        assert_same_bits(found, train_zeros(X.toarray(), n))


def train_zeros(X, n):
    net = gd.Network([X.shape[1], 4, 1], rng=0)
    history = gd.train(net, X, np.ones(n), epochs=2, rng=0)
    return net.params, history.loss


def _break(X, **lists):
    X = X.copy()
    for name, value in lists.items():
        setattr(X, name, value(getattr(X, name)))
    return X


SPARSE_ERRORS = {
    "columns": (lambda X: X[:, 1:], "X has 16 columns, but the network has 17 inputs"),
    "no rows": (lambda X: X[:0], r"X has no samples: its shape is \(0, 17\)"),
    "complex": (lambda X: X.astype(complex), "X has dtype complex128"),
    "nan": (
        lambda X: _break(X, data=lambda d: np.where(np.arange(len(d)) == 3, np.nan, d)),
        r"^X\[\d+, \d+\] is nan: every value must be finite",
    ),
    "column out of range": (
        lambda X: _break(X, indices=lambda i: np.full_like(i, 17)),
        "X is not a valid CSR matrix: its indices are from 17 to 17",
    ),
    "falling starts": (
        lambda X: _break(X, indptr=lambda p: p[::-1].copy()),
        "X is not a valid CSR matrix: its indptr must rise",
    ),
}


@pytest.mark.parametrize(("change", "message"), SPARSE_ERRORS.values(), ids=SPARSE_ERRORS)
def test_errors_of_sparse_rows(change, message):
    sizes, loss, X, _, y = sparse_problem("network")
    net = gd.Network(sizes, loss=loss, rng=0)
    with pytest.raises((ValueError, TypeError), match=message):
        gd.train(net, change(X), y, epochs=1)


@pytest.mark.parametrize("width", [{}, WIDE], ids=["narrow", "wide"])
def test_a_matrix_that_changes_during_a_run_is_harmless(width):
    sizes, loss, X, _, y = sparse_problem("network", **width)
    net = gd.Network(sizes, loss=loss, rng=0)
    rows = check_rows(X, sizes[0], net.dtype)

    def spoil(*_):
        rows.source.indices[:] = 2**30
        rows.source.indptr[1:-1] = -5

    gd.train(net, rows, y, epochs=3, optimizer=gd.SGD(1e-6), callbacks=[spoil])
    assert np.isfinite(net.params).all()


def test_sparse_rows_are_not_made_dense():
    import tracemalloc

    sparse = pytest.importorskip("scipy.sparse")
    X = sparse.random_array((2000, 20_000), density=0.001, rng=0, format="csr", dtype="float32")
    net = gd.Network([20_000, 4, 1], dtype="float32", rng=0)
    tracemalloc.start()
    try:
        gd.train(net, X, np.zeros(2000), epochs=1, batch_size=32, rng=0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 30e6  # a dense copy has 160 MB, the padded weights and gradient 3 MB each
