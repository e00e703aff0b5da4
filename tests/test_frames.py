"""Frames and other libraries' arrays: read with at most one copy, their columns named."""

import subprocess
import sys

import numpy as np
import pytest

import fastgd as gd
from fastgd import _data, _frames
from fastgd.rows import _check

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

NUMBERS = {"a": [1, 2, 3, 4], "b": [0.5, 1.5, -2.5, 3.5], "c": [True, False, True, True]}
EXPECTED = np.column_stack(list(NUMBERS.values())).astype(np.float64)


class Stream:
    """Any library's table: nothing but the Arrow stream interface."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class OneBatch:
    """Any library's record batch: nothing but the Arrow array interface."""

    def __init__(self, batch):
        self._batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self._batch.__arrow_c_array__(requested_schema)


def nullable(columns):
    """A frame of pandas' columns that could have gaps."""
    return pandas.DataFrame(columns).convert_dtypes()


def chunked(columns):
    """A table whose columns are in pieces of two lengths."""
    whole = arrow.table(columns)
    return arrow.concat_tables([whole.slice(0, 1), whole.slice(1)])


FRAMES = {
    "pandas": pandas.DataFrame,
    "pandas nullable": nullable,
    "pandas arrow": lambda columns: arrow.table(columns).to_pandas(types_mapper=pandas.ArrowDtype),
    "pandas objects": lambda columns: pandas.DataFrame(columns, dtype=object),
    "polars": polars.DataFrame,
    "polars in pieces": lambda columns: polars.from_arrow(chunked(columns), rechunk=False),
    "arrow": arrow.table,
    "arrow in pieces": chunked,
    "arrow batch": arrow.record_batch,
    "stream": lambda columns: Stream(arrow.table(columns)),
    "stream of polars": lambda columns: Stream(polars.DataFrame(columns)),
    "array": lambda columns: OneBatch(arrow.record_batch(columns)),
}


@pytest.fixture(params=FRAMES.values(), ids=FRAMES)
def make(request):
    """Makes a frame of columns."""
    return request.param


def test_frames_are_read_as_their_numbers(make):
    frame = make(NUMBERS)
    np.testing.assert_array_equal(_data.as_array("X", frame), EXPECTED)
    assert _frames.column_names(frame) == ("a", "b", "c")


@pytest.mark.parametrize("large", [False, True])
def test_training_on_a_frame_is_that_on_its_numbers(make, monkeypatch, large):
    monkeypatch.setattr(_check, "CONVERTED_BYTES", 0 if large else 1 << 21)
    y = EXPECTED[:, 1]
    nets = [gd.Network([3, 4, 1], rng=0), gd.Network([3, 4, 1], rng=0)]
    for net, X in zip(nets, (make(NUMBERS), EXPECTED), strict=True):
        gd.train(net, X, y, epochs=3, validation=(X, y), rng=0)
    assert nets[0].params.tobytes() == nets[1].params.tobytes()
    assert nets[0].feature_names == ("a", "b", "c")
    assert nets[1].feature_names is None


def test_statistics_of_a_frame_have_its_names(make):
    inputs = gd.Standardize.fit(make(NUMBERS))
    assert inputs == gd.Standardize(*_moments(EXPECTED), ["a", "b", "c"])
    assert gd.Network([3, 1], inputs=inputs).feature_names == ("a", "b", "c")


def _moments(X):
    inputs = gd.Standardize.fit(X)
    return inputs.mean, inputs.scale


@pytest.mark.parametrize("storage", ["uint8", "int16", "float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_columns_keep_their_storage(library, storage):
    columns = {name: np.arange(4).astype(storage) for name in "ab"}
    if library == "polars" and storage == "float16" and not hasattr(polars, "Float16"):
        pytest.skip("this polars has no float16")
    assert _data.as_array("X", FRAMES[library](columns)).dtype == storage


# Copies


BIG = 200_000, 12  # rows, columns


def big_columns(dtype):
    values = np.random.default_rng(0).random(BIG).astype(dtype)
    return {f"c{i}": np.ascontiguousarray(values[:, i]) for i in range(BIG[1])}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_columns_are_copied_once(library, dtype):
    import tracemalloc

    frame = FRAMES[library](big_columns(dtype))
    net = gd.Network([BIG[1], 1])
    y = np.zeros(BIG[0], np.float32)
    tracemalloc.start()
    gd.train(net, frame, y, epochs=1, rng=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one_copy = BIG[0] * BIG[1] * 4
    assert one_copy < peak < 1.4 * one_copy


@pytest.mark.parametrize(
    ("layout", "shares"),
    [
        (lambda made: pandas.DataFrame(made), True),
        (lambda made: pandas.DataFrame(made)[["a", "c"]], None),
        (lambda made: pandas.DataFrame(made).iloc[:, 1:], True),
        (lambda made: pandas.DataFrame(made).iloc[::-2], True),
        (lambda made: pandas.DataFrame(made[["a"]]), True),
        (lambda made: polars.DataFrame(made[["a"]].to_dict("series")), True),
    ],
)
def test_a_matrix_in_memory_is_not_copied(layout, shares):
    made = pandas.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))
    frame = layout(made)
    array = _data.as_array("X", frame)
    np.testing.assert_array_equal(array, frame.to_numpy())
    if shares is not None:
        first = frame.iloc[:, 0] if hasattr(frame, "iloc") else frame.to_series(0)
        assert np.shares_memory(array, first.to_numpy()) is shares


def test_columns_of_other_memory_are_no_matrix():
    """Two arrays are always evenly spaced, but what is between them is no part of either."""
    one, other = np.arange(3.0), np.arange(3.0, 6.0)
    frame = pandas.DataFrame({"a": one, "b": other}, copy=False)
    np.testing.assert_array_equal(_data.as_array("X", frame), [[0, 3], [1, 4], [2, 5]])


# Columns that are not numbers


TEXT, GAPS = ["x", "y", "z"], [1.0, None, 3.0]
REFUSED = {
    "text": ({"a": [1, 2, 3], "city": TEXT}, TypeError, "column 'city' .*turn text into numbers"),
    "gaps": ({"a": [1, 2, 3], "age": GAPS}, ValueError, "X.*column 'age'.*remove"),
    "dates": (
        {"day": np.array(["2020-01-01"] * 3, "datetime64[ms]")},
        TypeError,
        "column 'day' has type .*take the time since",
    ),
    "durations": (
        {"took": np.array([1, 2, 3], "timedelta64[ms]")}, TypeError, "column 'took' has type",
    ),
    "nan": ({"a": [1.0, 2.0, float("nan")]}, ValueError, r"X\[2, 0\], column 'a', is nan"),
    "infinite": ({"z": [1.0, float("inf"), 2.0]}, ValueError, r"X\[1, 0\], column 'z', is inf"),
    "too large": (
        {"a": [1.0, 2.0, 3.0], "b": [1.0, 1e300, 2.0]},
        ValueError,
        "column 'b'.* more than float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow", "stream"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_number_is_named_by_its_column(library, case):
    columns, kind, message = REFUSED[case]
    frame = FRAMES[library](columns)
    with pytest.raises(kind, match=message):
        gd.Network([len(columns), 1]).predict(frame)


@pytest.mark.parametrize(
    "calls", [gd.Standardize.fit, lambda X: gd.train(gd.Network([1, 1]), X, [0])]
)
@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"kind": pandas.Categorical(TEXT)}),
        pandas.DataFrame({"kind": TEXT}, dtype=object),
        pandas.DataFrame({"kind": pandas.array(["x", None, "z"], dtype="string")}),
        pandas.DataFrame({"kind": pandas.array([1, None, 3], dtype="Int64")}),
        pandas.DataFrame({"kind": pandas.array([True, None, False], dtype="boolean")}),
        pandas.DataFrame({"kind": [1, None, "z"]}, dtype=object),
        polars.DataFrame({"kind": TEXT}, schema={"kind": polars.Categorical}),
        polars.DataFrame({"kind": [[1], [2], [3]]}),
        polars.DataFrame({"kind": [None, None]}),
        arrow.table({"kind": arrow.array(TEXT).dictionary_encode()}),
        arrow.table({"kind": arrow.array([[1], [2], [3]])}),
    ],
)  # fmt: skip
def test_other_types_are_named_by_their_column(frame, calls):
    with pytest.raises((TypeError, ValueError), match="X's column 'kind'"):
        calls(frame)


def test_a_gap_is_named_by_its_row():
    with pytest.raises(ValueError, match="has no value in row 1"):
        gd.Standardize.fit(polars.DataFrame({"age": GAPS}))


@pytest.mark.parametrize("frame", [pandas.DataFrame(), polars.DataFrame(), arrow.table({})])
def test_frames_without_columns(frame):
    with pytest.raises(ValueError, match="X has no columns"):
        gd.Standardize.fit(frame)


def test_queries_are_refused():
    with pytest.raises(TypeError, match=r"use X\.collect\(\)"):
        gd.Standardize.fit(polars.LazyFrame({"a": [1]}))


def test_decimals_are_refused():
    from decimal import Decimal

    with pytest.raises(TypeError, match=r"column 'price' has type .*convert it to float64"):
        gd.Standardize.fit(arrow.table({"price": [Decimal("1.5")]}))


# Names


OTHERS = {
    "reordered": (["b", "a", "c"], "in another order, 'b' instead of 'a' as column 0: choose"),
    "missing": (["a", "b"], "X lacks 'c': give the columns 'a', 'b', 'c'"),
    "others": (["a", "b", "z"], "lacks 'c' and has 'z', which was not used before"),
    "more": (["a", "b", "c", "d"], "has 'd', which was not used before: choose and order"),
}
USES = {
    "predict": lambda net, X, y: net.predict(X),
    "forward": lambda net, X, y: net.forward(X),
    "loss_value": lambda net, X, y: net.loss_value(X, y),
    "train": lambda net, X, y: gd.train(net, X, y),
    "validation": lambda net, X, y: gd.train(net, EXPECTED, y, validation=(X, y)),
    "train_many": lambda net, X, y: gd.train_many([net], X, y, [{}]),
    "gradient": lambda net, X, y: gd.gradient(net, X, y),
    "per_sample_norms": lambda net, X, y: gd.per_sample_norms(net, X, y),
    "noise_scale": lambda net, X, y: gd.noise_scale(net, X, y),
    "compare": lambda net, X, y: gd.compare(net, X, y, [1, 2], epochs=1),
}


def wide(names):
    return polars.DataFrame(dict.fromkeys(names, NUMBERS["b"]))


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("case", OTHERS)
def test_frames_with_other_columns_are_refused(case, use):
    net = gd.Network([3, 1], inputs=gd.Standardize([0] * 3, [1] * 3, list("abc")))
    names, message = OTHERS[case]
    before = net.params.tobytes()
    with pytest.raises(ValueError, match=message):
        use(net, wide(names), NUMBERS["b"])
    assert net.params.tobytes() == before


def test_the_first_frame_gives_a_network_its_names():
    net = gd.Network([3, 1])
    net.predict(wide("abc"))
    assert net.feature_names is None
    gd.train(net, EXPECTED, NUMBERS["b"], rng=0)
    assert net.feature_names is None
    gd.train(net, wide("abc"), NUMBERS["b"], rng=0)
    assert net.feature_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="another order"):
        gd.train(net, wide("cba"), NUMBERS["b"])
    net.predict(EXPECTED)  # an array has no names


def test_a_refused_training_gives_no_names():
    net = gd.Network([3, 1])
    with pytest.raises(ValueError, match="validation X lacks 'c'"):
        gd.train(net, wide("abc"), NUMBERS["b"], validation=(wide("abd"), NUMBERS["b"]))
    assert net.feature_names is None


def test_many_networks_get_the_names():
    nets = [gd.Network([3, 1]) for _ in range(2)]
    gd.train_many(nets, wide("abc"), NUMBERS["b"], {"rng": 0, "epochs": 1})
    assert [net.feature_names for net in nets] == [("a", "b", "c")] * 2


def test_names_are_saved(tmp_path):
    net = gd.Network([3, 1])
    history = gd.train(net, wide("abc"), NUMBERS["b"], rng=0)
    net.save(tmp_path / "net.npz")
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    again, history = gd.load_checkpoint(tmp_path / "run.npz")
    for one in (gd.load(tmp_path / "net.npz"), again, net.copy()):
        assert one.feature_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="another order"):
        gd.train(again, wide("acb"), NUMBERS["b"], resume=history)


def test_names_that_are_not_text_are_no_names():
    frame = pandas.DataFrame(EXPECTED)
    assert _frames.column_names(frame) is None
    net = gd.Network([3, 1], inputs=gd.Standardize([0] * 3, [1] * 3, list("abc")))
    assert net.predict(frame).tobytes() == net.predict(EXPECTED).tobytes()


@pytest.mark.parametrize("name", ["feature_names", "collect", "columns", "read"])
def test_any_name_is_a_name(name):
    frame = pandas.DataFrame({name: [1.0, 2.0], "b": [3.0, 4.0]})
    assert gd.Standardize.fit(frame).feature_names == (name, "b")


def test_many_names_are_shortened():
    names = [f"c{i}" for i in range(100)]
    with pytest.raises(
        ValueError, match=r"lacks 'c0', 'c1', 'c2', 'c3', 'c4' and 94 more"
    ) as error:
        _frames.require_names(wide(["c99"]), tuple(names))
    assert len(str(error.value)) < 200


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_estimators_keep_the_names(library):
    sklearn = pytest.importorskip("fastgd.sklearn")
    frame = FRAMES[library](NUMBERS)
    for estimator in (
        sklearn.SGDRegressor(max_iter=2, tol=None),
        sklearn.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2, tol=0),
    ):
        estimator.fit(frame, NUMBERS["b"])
        assert list(estimator.feature_names_in_) == ["a", "b", "c"]
        with pytest.raises(ValueError, match="feature names should match"):
            estimator.predict(frame[["b", "a", "c"]])


# Other arrays


def test_series_are_targets():
    for y in (
        pandas.Series(NUMBERS["b"]), pandas.Series(NUMBERS["a"], dtype="Int64"),
        polars.Series(NUMBERS["b"]), arrow.array(NUMBERS["b"]), arrow.chunked_array([[1.0], [2.0]]),
    ):  # fmt: skip
        net = gd.Network([1, 1])
        gd.train(net, np.ones((len(y), 1)), y, sample_weight=np.ones(len(y)), rng=0)
        assert net.params.any()


class Interface:
    """Nothing but NumPy's array interface."""

    def __init__(self, array):
        self.__array_interface__ = array.__array_interface__
        self._kept = array


@pytest.mark.parametrize(
    "wrap", [Interface, memoryview, lambda array: memoryview(array).toreadonly()]
)
def test_other_arrays_are_not_copied(wrap):
    X = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.shares_memory(_data.as_array("X", wrap(X)), X)


class OnDevice:
    """An array of another library, on a device by DLPack's number."""

    def __init__(self, device):
        self._device = device

    def __dlpack_device__(self):
        return self._device, 0

    def __dlpack__(self, **options):
        raise AssertionError("arrays on devices must not be exported")


@pytest.mark.parametrize(("device", "name"), [(2, "CUDA"), (8, "Metal"), (99, "DLPack's kind 99")])
def test_arrays_on_devices_are_refused(device, name):
    with pytest.raises(TypeError, match=rf"X is .*OnDevice on a device \(.*{name}\).*X\.cpu\(\)"):
        gd.Network([2, 1]).predict(OnDevice(device))


class Lent:
    """An array of a library that has DLPack, and no other interface."""

    def __init__(self, array):
        self._array = array

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)


def test_dlpack_is_not_copied():
    X = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert np.shares_memory(_data.as_array("X", Lent(X)), X)
    net = gd.Network([2, 4, 1], rng=0)
    assert net.predict(Lent(X)).tobytes() == net.predict(X).tobytes()


def test_tensors():
    torch = pytest.importorskip("torch")
    X = torch.arange(6.0).reshape(3, 2)
    assert _data.as_array("X", X).__array_interface__["data"][0] == X.data_ptr()
    net = gd.Network([2, 1])
    gd.train(net, X.to(torch.uint8), torch.tensor([0.0, 1.0, 2.0]), rng=0)
    for bad, hint in (
        (X.requires_grad_(), r"X\.detach\(\)"),
        (torch.zeros(3, 2, dtype=torch.bfloat16), r"X\.float\(\)"),
        (torch.zeros(3, 2, device="meta"), "without memory"),
    ):
        with pytest.raises(TypeError, match=hint):
            net.predict(bad)


def test_arrow_without_pyarrow_names_the_extra():
    code = """
import sys
import numpy as np
sys.modules["pyarrow"] = None
import fastgd as gd
class Table:
    def __arrow_c_stream__(self, requested_schema=None): raise AssertionError
try:
    gd.Network([1, 1]).predict(Table())
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a Table through Arrow needs the package pyarrow" in done.stdout
    assert "pip install 'fastgd[data]'" in done.stdout


def test_frames_of_pandas_and_polars_need_no_pyarrow():
    code = """
import sys
sys.modules["pyarrow"] = None
import numpy as np, polars
import fastgd as gd
print(gd.Standardize.fit(polars.DataFrame({"a": [1, 3], "b": [1.5, 1.5]})).mean.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[2.0, 1.5]"
