"""`Standardize`: its means and scales, and networks that take raw columns."""

import math
import pickle
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse

import fastgd as gd
from fastgd.rows import _check

STORAGES = ["float64", "float32", "float16", "bool", "uint8", "int16", "uint32", "int64"]


def columns(storage="float64", n=300, seed=0):
    """Columns of different size and place, the last one constant."""
    rng = np.random.default_rng(seed)
    X = abs(rng.standard_normal((n, 5)) * [1, 10, 20, 3, 0] + [100, 5, 7, 1, 4])
    return np.minimum(X, 250).astype(storage)


def exact_moments(x, weight=None):
    """The mean and the variance of a column of numbers, in exact arithmetic."""
    values = [Fraction(float(value)) for value in x]
    weights = [Fraction(1)] * len(values) if weight is None else list(map(Fraction, weight))
    total = sum(weights)
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / total
    variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / total
    return float(mean), float(variance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("place", [0.0, 1e9])
def test_moments_are_exact_to_rounding(place, weighted):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((3000, 2)) + place
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else None
    inputs = gd.Standardize.fit(X, weight)
    for j in range(2):
        mean, variance = exact_moments(X[:, j], weight)
        assert inputs.mean[j] == pytest.approx(mean, rel=4e-16, abs=4e-16)
        assert inputs.scale[j] ** 2 == pytest.approx(variance, rel=1e-13)


def test_pieces_merge_to_the_moments_of_all(monkeypatch):
    X = columns(n=5000)
    whole = gd.Standardize.fit(X)
    monkeypatch.setattr("fastgd._moments.PIECE_BYTES", 8 * 5 * 17)  # 17 rows at a time
    pieces = gd.Standardize.fit(X)
    np.testing.assert_allclose(pieces.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(pieces.scale, whole.scale, rtol=1e-13)


@pytest.mark.parametrize("storage", STORAGES)
def test_bits_do_not_depend_on_the_storage(storage):
    X = columns(storage)
    assert gd.Standardize.fit(X) == gd.Standardize.fit(X.astype(np.float64))
    assert gd.Standardize.fit(np.asfortranarray(X)) == gd.Standardize.fit(X)


class InBlocks:
    """A source of blocks, as users may write one."""

    def __init__(self, X, bounds):
        self.X, self.bounds = X, np.array(bounds)
        self.n_rows, self.n_features = X.shape

    def read(self, i):
        part = self.X[self.bounds[i] : self.bounds[i + 1]]
        return part, np.zeros(len(part))


@pytest.mark.parametrize("weighted", [False, True])
def test_bits_do_not_depend_on_blocks(monkeypatch, weighted):
    monkeypatch.setattr("fastgd._moments.PIECE_BYTES", 8 * 5 * 17)
    X = columns()
    weight = np.arange(300) % 3 if weighted else None
    blocks = InBlocks(X, [0, 1, 50, 64, 300])
    assert gd.Standardize.fit(blocks, weight) == gd.Standardize.fit(X, weight)


def test_a_number_in_a_block_is_named_by_its_row():
    X = columns()
    X[60, 3] = np.nan
    with pytest.raises(ValueError, match=r"X\[60, 3\] is nan"):
        gd.Standardize.fit(InBlocks(X, [0, 50, 300]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("storage", ["float64", "float32", "int32"])
def test_zeros_of_sparse_matrices_count(storage, weighted):
    rng = np.random.default_rng(2)
    dense = (rng.integers(-5, 90, (400, 6)) * (rng.random((400, 6)) < 0.2)).astype(storage)
    dense[:, 4], dense[:, 5] = 0, 3
    weight = rng.integers(0, 3, 400) if weighted else None
    inputs = gd.Standardize.fit(scipy.sparse.coo_array(dense), weight)
    expected = gd.Standardize.fit(dense, weight)
    np.testing.assert_allclose(inputs.mean, expected.mean, rtol=1e-14)
    np.testing.assert_allclose(inputs.scale, expected.scale, rtol=1e-14)
    assert inputs.mean[4:].tolist() == [0, 3]
    assert inputs.scale[4:].tolist() == [1, 1]


def test_indices_of_a_sparse_matrix_are_checked():
    X = scipy.sparse.csr_array(np.eye(5))
    X.indices[2] = 1000
    with pytest.raises(ValueError, match="its indices are from 0 to 1000, but must be from 0 to 4"):
        gd.Standardize.fit(X)


@pytest.mark.parametrize(
    ("bounds", "result", "error"),
    [
        ([0, 5], np.ones((5, 2)), r"read\(0\) must return \(X, y\)"),
        ([0, 9], (np.ones((5, 2)), np.ones(5)), "must rise from 0 to n_rows, 5"),
    ],
)
def test_blocks_are_checked(bounds, result, error):
    blocks = SimpleNamespace(n_rows=5, n_features=2, bounds=np.array(bounds), read=lambda i: result)
    with pytest.raises((TypeError, ValueError), match=error):
        gd.Standardize.fit(blocks)


def test_entries_of_a_sparse_matrix_must_be_finite():
    X = scipy.sparse.csr_array(([1.0, np.inf], ([0, 2], [1, 3])), (4, 5))
    with pytest.raises(ValueError, match=r"X\[2, 3\] is inf"):
        gd.Standardize.fit(X)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e-300, 1e300])
def test_constant_columns_become_zero(value):
    inputs = gd.Standardize.fit(np.full((1000, 1), value))
    assert inputs.mean[0] == value
    assert inputs.scale[0] == 1
    assert not inputs.transform(np.full((3, 1), value)).any()


def test_columns_that_are_constant_where_they_count():
    inputs = gd.Standardize.fit([[1.0], [7.0], [1.0]], sample_weight=[1, 0, 2])
    assert inputs == gd.Standardize([1.0], [1.0])


def test_squares_that_overflow_name_the_column():
    with pytest.raises(ValueError, match="column 1 holds numbers whose squares"):
        gd.Standardize.fit([[1.0, 1e200], [2.0, -1e200]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("storage", STORAGES)
def test_transform_is_what_it_says(storage, dtype):
    X = columns(storage)
    inputs = gd.Standardize.fit(X)
    w = np.result_type(X.dtype, dtype)
    expected = (X.astype(w) - inputs.mean.astype(w)) * (1 / inputs.scale).astype(w)
    found = inputs.transform(np.asfortranarray(X), dtype)
    np.testing.assert_array_equal(found, expected.astype(dtype), strict=True)
    assert found.flags.c_contiguous


@pytest.fixture(params=[0, 1 << 21], ids=["large", "small"])
def converted_bytes(request, monkeypatch):
    """Samples that are decoded while they are used, and such that are decoded before."""
    monkeypatch.setattr(_check, "CONVERTED_BYTES", request.param)


@pytest.mark.usefixtures("converted_bytes")
@pytest.mark.parametrize("storage", STORAGES)
def test_training_equals_that_on_transformed_columns(storage, dtype, backend):
    X = columns(storage)
    y = (X[:, 0].astype(float) - X[:, 1]) / 100
    inputs = gd.Standardize.fit(X)
    made = inputs.transform(X, dtype)
    raw = gd.Network([5, 4, 1], inputs=inputs, dtype=dtype, rng=1)
    plain = gd.Network([5, 4, 1], dtype=dtype, rng=1)
    settings = {"epochs": 2, "rng": 2, "backend": backend, "validation": 0.2, "batch_size": 7}
    losses = [
        gd.train(net, data, y, **settings, metrics=["mae"]).validation_metrics
        for net, data in ((raw, X), (plain, made))
    ]
    assert raw.params.tobytes() == plain.params.tobytes()
    assert losses[0] == losses[1]
    assert raw.predict(X).tobytes() == plain.predict(made).tobytes()


CALLS = {
    "forward": lambda net, X, y: net.forward(X),
    "loss_value": lambda net, X, y: net.loss_value(X, y, reduction="none"),
    "gradient": gd.gradient,
    "per_sample_gradients": gd.per_sample_gradients,
    "per_sample_norms": gd.per_sample_norms,
    "noise_scale": lambda net, X, y: gd.noise_scale(net, X, y).simple,
    "compare": lambda net, X, y: gd.compare(net, X, y, [8, 32], epochs=1, rng=0)
    .entries[0]
    .history.loss,
    "train_many": lambda net, X, y: [
        h.loss for h in gd.train_many([net.copy(), net.copy()], X, y, {"epochs": 2, "rng": 3})
    ],
    "graph": lambda net, X, y: gd.nodes.from_network(net).gradient(X, y),
    "spread": lambda net, X, y: gd.plot.gradient_spread(net, X, y).lines[0].get_xydata(),
    "metrics": lambda net, X, y: gd.train(net.copy(), X, y, metrics=["mae"], rng=0).metrics["mae"],
    "validation": lambda net, X, y: gd.train(net.copy(), X, y, validation=(X, y), rng=0)
    .validation_loss,
}  # fmt: skip


@pytest.mark.usefixtures("converted_bytes")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_function_takes_raw_columns(call):
    X = columns("uint8")
    y = X[:, 1] / 20
    inputs = gd.Standardize.fit(X)
    raw = gd.Network([5, 4, 1], inputs=inputs, rng=1)
    plain = gd.Network([5, 4, 1], rng=1)
    np.testing.assert_array_equal(call(raw, X, y), call(plain, inputs.transform(X), y))


def test_networks_of_one_call_keep_their_own_inputs():
    X, y = columns() / 100, columns()[:, 0] / 100
    both = gd.Standardize.fit(X), gd.Standardize.fit(X * 2)
    nets = [gd.Network([5, 1], inputs=inputs) for inputs in (*both, None)]
    gd.train_many(nets, X, y, {"epochs": 1, "rng": 0})
    for net in nets:
        alone = gd.Network([5, 1], inputs=net.inputs)
        gd.train(alone, X, y, epochs=1, rng=0)
        assert net.params.tobytes() == alone.params.tobytes()


def test_training_needs_no_standardised_copy():
    import tracemalloc

    X = np.random.default_rng(0).integers(0, 255, (40_000, 200), np.uint8)
    net = gd.Network([200, 1], inputs=gd.Standardize.fit(X))
    y = np.zeros(len(X), np.float32)
    tracemalloc.start()
    gd.Standardize.fit(X)
    gd.train(net, X, y, epochs=1, rng=0)
    net.predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # as float32, X has 32 MB


# Files, copies, pickles


def kept(net, tmp_path, how):
    """A network after it has been copied, pickled or saved."""
    if how == "copy":
        return net.copy()
    if how == "pickle":
        return pickle.loads(pickle.dumps(net))
    if how == "save":
        net.save(tmp_path / "net.npz")
        return gd.load(tmp_path / "net.npz")
    history = gd.train(net, columns(), columns()[:, 0], epochs=1, optimizer=gd.SGD(1e-9), rng=0)
    gd.save_checkpoint(tmp_path / "net.npz", net, history)
    return gd.load_checkpoint(tmp_path / "net.npz")[0]


@pytest.mark.parametrize("how", ["copy", "pickle", "save", "checkpoint"])
@pytest.mark.parametrize("names", [None, list("abcde")])
def test_inputs_are_kept(tmp_path, how, names):
    inputs = gd.Standardize(np.arange(5), np.arange(1, 6), names)
    net = gd.Network([5, 1], inputs=inputs)
    again = kept(net, tmp_path, how)
    assert again.inputs == inputs
    assert again.feature_names == inputs.feature_names
    assert again.predict(columns()).tobytes() == net.predict(columns()).tobytes()


def test_resumed_training_with_inputs(tmp_path):
    X, y = columns("uint8"), columns()[:, 0] / 100
    net = gd.Network([5, 4, 1], inputs=gd.Standardize.fit(X), rng=0)
    twin = net.copy()
    history = gd.train(net, X, y, epochs=2, rng=0)
    gd.save_checkpoint(tmp_path / "net.npz", net, history)
    net, history = gd.load_checkpoint(tmp_path / "net.npz")
    gd.train(net, X, y, epochs=3, resume=history)
    gd.train(twin, X, y, epochs=5, rng=0)
    assert net.params.tobytes() == twin.params.tobytes()


@pytest.mark.parametrize("inputs", [None, gd.Standardize([0], [1])])
def test_only_files_with_inputs_need_a_newer_version(tmp_path, inputs):
    gd.Network([1, 1], inputs=inputs).save(tmp_path / "net.npz")
    with gd._files.opened(tmp_path / "net.npz") as file:
        assert file.header["format"] == (1 if inputs is None else 2)


# The object itself


def test_values_are_copied_and_read_only():
    mean = np.zeros(2)
    inputs = pickle.loads(pickle.dumps(gd.Standardize(mean, [1, 2])))
    mean[0] = 5
    assert inputs.mean.tolist() == [0, 0]
    with pytest.raises(ValueError, match="read-only"):
        inputs.scale[0] = 3


def test_equality_and_hash():
    one, same = gd.Standardize([0, 1], [1, 2]), gd.Standardize([0, 1], [1, 2])
    assert one == same
    assert hash(one) == hash(same)
    for other in (
        gd.Standardize([0, 2], [1, 2]),
        gd.Standardize([0, 1], [1, 3]),
        gd.Standardize([0, 1], [1, 2], ["a", "b"]),
        None,
    ):
        assert one != other


def test_repr():
    net = gd.Network([2, 1], inputs=gd.Standardize([0, 1], [1, 2]))
    assert repr(net).endswith("inputs=Standardize(2 columns))")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1]), "mean has 2 numbers and scale has 1"),
        (([0], [0]), r"scale\[0\] is 0.0, but columns are divided by it"),
        (([0], [-1]), r"scale\[0\] is -1.0"),
        (([0], [1e-320]), r"scale\[0\] is 1e-320|scale\[0\] is 9.99"),
        (([math.nan], [1]), r"mean\[0\] is nan"),
        (([0, 1], [1, 1], ["a"]), "feature_names has length 1, but there are 2 columns"),
    ],
)
def test_values_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        gd.Standardize(*arguments)


@pytest.mark.parametrize(
    ("names", "message"), [("ab", "must list the columns' names"), ([1, 2], "must be a text")]
)
def test_names_that_are_refused(names, message):
    with pytest.raises(TypeError, match=message):
        gd.Standardize([0, 1], [1, 1], names)


def test_inputs_must_fit_the_network():
    with pytest.raises(ValueError, match="inputs has 2 columns, but the network has 3 inputs"):
        gd.Network([3, 1], inputs=gd.Standardize([0, 1], [1, 1]))
    with pytest.raises(TypeError, match=r"must be a fastgd\.Standardize"):
        gd.Network([3, 1], inputs="standardize")


def test_columns_that_a_network_does_not_have():
    net = gd.Network([5, 1], inputs=gd.Standardize.fit(columns()))
    with pytest.raises(ValueError, match="X has 4 columns, but the network has 5 inputs"):
        net.predict(columns()[:, :4])
