"""Training on blocks: the same bits as on one array, whatever reads them."""

import gc
import threading

import numpy as np
import pytest
from conftest import make_data

import fastgd as gd
from fastgd.rows._ahead import Ahead
from fastgd.rows._order import WindowOrder, draw_key


class Order:
    """The order of blocks, as a sampling of rows in memory."""

    def __init__(self, bounds, window):
        self.bounds, self.window = bounds, window

    def epoch(self, n, rng):
        return WindowOrder(self.bounds, self.window, draw_key(rng)).whole()


def results(net, history):
    """Return a training's results in a form that can be compared."""
    return {
        "params": net.params.tobytes(),
        "lists": repr((history.loss, history.validation_loss, history.learning_rate)),
        "counts": (history.updates, history.epoch_updates, history.sample_gradients),
        "metrics": repr((history.metrics, history.validation_metrics)),
        "trace": {name: values.tobytes() for name, values in history.trace.items()},
        "step": history._state.step,
        "moments": [moment.tobytes() for moment in history._state.moments],
    }


@pytest.fixture
def files(tmp_path):
    """Return a function that saves arrays, and returns blocks of them."""

    def files(X, y, **options):
        np.save(tmp_path / "X.npy", X)
        np.save(tmp_path / "y.npy", y)
        if options.get("weight") is not None:
            np.save(tmp_path / "w.npy", options["weight"])
            options["weight"] = tmp_path / "w.npy"
        return gd.open_blocks(tmp_path / "X.npy", tmp_path / "y.npy", **options)

    return files


@pytest.fixture(autouse=True)
def no_reader_stays():
    """Every reader has ended when a test ends."""
    yield
    assert [t.name for t in threading.enumerate() if t.name.startswith("fastgd")] == []


MODELS = {
    "linear": ([5, 1], "log_loss", ()),
    "softmax": ([150, 3], "cross_entropy", ()),
    "network": ([5, 16, 2], "squared_error", ("relu",)),
}
OPTIONS = {
    "plain": {},
    "adam": {"optimizer": gd.Adam(0.01), "l2": 0.01, "drop_last": True},
    "trace": {"record": ("loss", "params", "gradient_norm"), "record_every": 3},
    "schedule": {"schedule": gd.schedules.Exponential(0.99, unit="update")},
}
N = 203


def make(kind, dtype="float32"):
    sizes, loss, hidden = MODELS[kind]
    X, y = make_data(sizes, loss, n=N, dtype=dtype)
    return gd.Network(sizes, hidden=hidden or "relu", loss=loss, dtype=dtype, rng=0), X, y


CUTS = [(1, 20, 3), (4, 20, 3), (16, 7, 2), (50, 7, 1), (None, 50, 2), (32, 300, 8)]


@pytest.mark.parametrize(
    ("kind", "options", "batch_size", "block_rows", "window"),
    [(kind, "plain", *cut) for kind in MODELS for cut in CUTS]
    + [(kind, options, *CUTS[2]) for kind in MODELS for options in OPTIONS if options != "plain"]
    + [("linear", options, *CUTS[0]) for options in OPTIONS if options != "plain"],
)
def test_files_arrays_and_a_sampling_have_the_same_bits(
    kind, options, batch_size, block_rows, window, backend, files
):
    found = []
    for source in ("file", "array", "memory"):
        net, X, y = make(kind)
        given = dict(OPTIONS[options], batch_size=batch_size, epochs=3, rng=5, backend=backend)
        if source == "memory":
            bounds = gd.open_blocks(X, y, block_rows=block_rows).bounds
            history = gd.train(net, X, y, sampling=Order(bounds, window), **given)
        else:
            read = files if source == "file" else gd.open_blocks
            history = gd.train(net, read(X, y, block_rows=block_rows), window=window, **given)
            assert len(history.wait_seconds) == 3
        found.append(results(net, history))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("sampling", ["shuffle", "sequential"])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_other_samplings_have_the_bits_of_rows_in_memory(sampling, batch_size, files, n_threads):
    found = []
    for blocks in (True, False):
        net, X, y = make("network")
        given = {"sampling": sampling, "batch_size": batch_size, "epochs": 3, "rng": 5}
        data = (files(X, y, block_rows=20),) if blocks else (X, y)
        if blocks:
            given["window"] = 2
        found.append(results(net, gd.train(net, *data, n_threads=n_threads, **given)))
    assert found[0] == found[1]


def test_dropout_and_weights_have_the_same_bits(files, backend):
    found = []
    for blocks in (True, False):
        net, X, y = make("network")
        weight = np.arange(N) % 3 / 2
        given = {"batch_size": 16, "epochs": 2, "rng": 5, "dropout": 0.3, "backend": backend}
        read = files(X, y, weight=weight, block_rows=20)
        if blocks:
            history = gd.train(net, read, window=3, **given)
        else:
            given |= {"sampling": Order(read.bounds, 3), "sample_weight": weight}
            history = gd.train(net, X, y, **given)
        found.append(results(net, history))
    assert found[0] == found[1]


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.5, 2: 3.0}])
def test_class_weights_have_the_same_bits(files, class_weight):
    found = []
    for blocks in (True, False):
        net, X, y = make("softmax")
        read = files(X, y, block_rows=20)
        given = {"batch_size": 16, "epochs": 2, "rng": 5, "class_weight": class_weight}
        data = (read,) if blocks else (X, y)
        given |= {} if blocks else {"sampling": Order(read.bounds, 8)}
        found.append(results(net, gd.train(net, *data, **given)))
    assert found[0] == found[1]


@pytest.mark.parametrize("storage", ["uint8", "int16", "float16", "float64", ">f4"])
def test_any_storage_has_the_bits_of_the_converted_array(files, storage):
    found = []
    for blocks in (True, False):
        net, X, y = make("network")
        X = (20 * np.abs(X)).astype(storage)
        read = files(X, y, block_rows=20)
        given = {"batch_size": 16, "epochs": 2, "rng": 5, "optimizer": gd.SGD(1e-4)}
        if blocks:
            history = gd.train(net, read, **given)
        else:
            X = X.astype(np.float32)
            history = gd.train(net, X, y, sampling=Order(read.bounds, 8), **given)
        found.append(results(net, history))
    assert found[0] == found[1]


def test_a_target_may_be_a_column_of_the_file(tmp_path):
    net, X, y = make("linear")
    np.save(tmp_path / "all.npy", np.column_stack([X[:, :2], y, X[:, 2:], np.ones(N)]))
    blocks = gd.open_blocks(tmp_path / "all.npy", target=2, weight=-1, block_rows=50)
    assert (blocks.n_rows, blocks.n_features, len(blocks)) == (N, 5, 5)
    parts = [blocks.read(i) for i in range(len(blocks))]
    for place, expected in enumerate((X, y[:, 0], np.ones(N))):
        np.testing.assert_array_equal(np.concatenate([part[place] for part in parts]), expected)
    gd.train(net, blocks, rng=0)


@pytest.mark.parametrize("held", ["blocks", "arrays"])
def test_validation_takes_blocks(files, held):
    found = []
    for blocks in (True, False):
        net, X, y = make("softmax")
        read = files(X, y, block_rows=20)
        given = {"epochs": 3, "rng": 5, "metrics": ("accuracy",), "early_stopping": 2}
        validation = (X[:60], y[:60])
        if blocks and held == "blocks":
            validation = gd.open_blocks(*validation, block_rows=9)
        data = (read,) if blocks else (X, y)
        given |= {} if blocks else {"sampling": Order(read.bounds, 8)}
        found.append(results(net, gd.train(net, *data, validation=validation, **given)))
    assert found[0] == found[1]


def test_resuming_after_an_epoch_has_the_bits_of_one_training(files):
    net, X, y = make("network")
    whole = gd.train(net, files(X, y, block_rows=20), epochs=5, rng=5)
    again, *_ = make("network")
    half = gd.train(again, files(X, y, block_rows=20), epochs=2, rng=5)
    rest = gd.train(again, files(X, y, block_rows=20), epochs=3, resume=half)
    assert results(again, rest) == results(net, whole)


def test_memory_sets_the_window(files):
    net, X, y = make("network")
    row = 4 * (5 + 2)
    blocks = files(X, y, block_rows=20)
    found = []
    for option in ({"memory": 20 * row * 7}, {"memory": f"{20 * row * 7 / 1000} kB"},
                   {"window": 3}):  # fmt: skip
        net, *_ = make("network")
        gd.train(net, blocks, rng=5, **option)
        found.append(net.params.tobytes())
    assert found[0] == found[1] == found[2]


def test_the_order_has_every_row_once_and_keeps_to_its_windows():
    bounds = np.array([0, 5, 5, 17, 30, 31])
    order = WindowOrder(bounds, 2, (1, 2, 3))
    assert sorted(order.whole().tolist()) == list(range(31))
    assert sorted(np.diff(order.starts).sum().tolist() for _ in "a") == [31]
    for w in range(len(order)):
        rows = order.whole()[order.starts[w] : order.starts[w + 1]]
        held = [np.arange(bounds[i], bounds[i + 1]) for i in order.blocks(w)]
        assert sorted(rows.tolist()) == sorted(np.concatenate(held).tolist())
    assert (order.whole() != WindowOrder(bounds, 2, (1, 2, 4)).whole()).any()


class Computed:
    """A source that somebody else has written."""

    n_rows, n_features = 100, 2
    bounds = np.arange(0, 101, 10)

    def __init__(self, **wrong):
        self.wrong = wrong
        vars(self).update(wrong.get("attributes", {}))

    def read(self, i):
        X = np.full((10, 2), i / 10)
        y = X[:, 0].copy()
        if i == self.wrong.get("block"):
            return self.wrong["change"](X, y)
        return X, y


def test_anyone_may_write_a_source(backend):
    net = gd.Network([2, 1])
    history = gd.train(net, Computed(), epochs=2, rng=0, backend=backend)
    assert history.updates == 8


def changed(array, place, value):
    array = array.astype(type(value)) if isinstance(value, str) else array
    array[place] = value
    return array


WRONG = {
    "nan in X": (lambda X, y: (changed(X, (3, 1), np.nan), y),
                 ValueError, "row 3 of block 7, column 1 is nan: every value must be finite"),
    "too large": (lambda X, y: (changed(X, (3, 1), 1e300), y),
                  ValueError, "row 3 of block 7, column 1 is 1e\\+300, which is more than float32"),
    "nan in y": (lambda X, y: (X, changed(y, 4, np.nan)), ValueError, "row 4 of block 7: y is nan"),
    "too few rows": (lambda X, y: (X[:9], y[:9]), ValueError, "X has 9 rows, but .* 10"),
    "too few targets": (lambda X, y: (X, y[:9]), ValueError, "y has shape \\(9,\\)"),
    "columns": (lambda X, y: (X[:, :1], y), ValueError, "X has 1 column, but the network has 2"),
    "text": (lambda X, y: (X.astype(str), y), TypeError, "block from row 0 of block 7 on: X"),
    "a weight": (lambda X, y: (X, y, y), ValueError, "either all blocks have weights, or none"),
    "no tuple": (lambda X, y: X, TypeError, "must return \\(X, y\\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_a_block_is_named(case):
    change, kind, message = WRONG[case]
    net = gd.Network([2, 1])
    blocks = Computed()
    history = gd.train(net, blocks, epochs=1, rng=0)
    before = net.params.copy()
    blocks.wrong = {"block": 7, "change": change}
    with pytest.raises(kind, match=message):
        gd.train(net, blocks, epochs=2, resume=history)
    assert (net.params == before).all()
    blocks.wrong = {}
    gd.train(net, blocks, epochs=1, resume=history)


def test_blocks_with_other_columns_are_refused_before_they_are_read(files):
    blocks = files(*make_data([2, 1], "squared_error", n=20))
    with pytest.raises(ValueError, match="the blocks have 2 columns, but the network has 3"):
        gd.train(gd.Network([3, 1]), blocks)


@pytest.mark.parametrize("weight", [None, "array"])
def test_targets_and_weights_of_a_file_may_be_arrays(files, weight, tmp_path):
    X, y = make_data([3, 1], "squared_error", n=50)
    weight = weight and np.linspace(0, 2, 50)
    wanted = files(X, y, weight=weight, block_rows=7)
    found = gd.open_blocks(tmp_path / "X.npy", y, weight=weight, block_rows=7)
    for sampling in ("blocks", "shuffle"):
        nets = [gd.Network([3, 1], rng=0) for _ in range(2)]
        for net, blocks in zip(nets, (wanted, found), strict=True):
            gd.train(net, blocks, epochs=2, sampling=sampling, rng=0)
        assert nets[0].params.tobytes() == nets[1].params.tobytes()
    with pytest.raises(ValueError, match="50 rows, but 'y', its target, has 9 rows"):
        gd.open_blocks(tmp_path / "X.npy", y[:9])
    with pytest.raises(TypeError, match="with a number for each row"):
        gd.open_blocks(tmp_path / "X.npy", 3.0)


@pytest.mark.parametrize(("attributes", "kind", "message"), [
    ({"bounds": [0, 50]}, ValueError, "rise from 0 to n_rows, 100"),
    ({"bounds": [0, 60, 50, 100]}, ValueError, "rise from 0"),
    ({"bounds": "abc"}, TypeError, "must be whole numbers"),
    ({"bounds": [0, 0], "n_rows": 0}, ValueError, "no rows"),
])  # fmt: skip
def test_a_wrong_table_is_refused(attributes, kind, message):
    with pytest.raises(kind, match=message):
        gd.train(gd.Network([2, 1]), Computed(attributes=attributes))


@pytest.mark.parametrize(("given", "kind", "message"), [
    ({"y": [1.0]}, TypeError, "leave y out"),
    ({"sample_weight": [1.0]}, TypeError, "leave sample_weight out"),
    ({"validation": 0.2}, ValueError, "rows of the blocks aside"),
    ({"sampling": "poisson"}, ValueError, "'poisson', but must be one of 'blocks'"),
    ({"sampling": Order(None, 1)}, TypeError, "sampling must be one of"),
    ({"window": 0}, ValueError, "window is 0"),
    ({"window": 2, "memory": "1 GB"}, ValueError, "give one of them"),
    ({"memory": "3 apples"}, ValueError, "a number of bytes, or a text"),
    ({"memory": 300}, ValueError, "a block takes 120 bytes, and at least 3 must fit"),
    ({"sampling": "shuffle"}, ValueError, "which this source cannot"),
])  # fmt: skip
def test_settings_that_do_not_go_with_blocks(given, kind, message):
    net = gd.Network([2, 1])
    with pytest.raises(kind, match=message):
        gd.train(net, Computed(), **given)
    assert not net.params.any()


def test_blocks_where_only_arrays_are_taken_are_named(files):
    blocks = files(*make_data([2, 1], "squared_error", n=20))
    with pytest.raises(TypeError, match=r"X, y = X.read\(i\) has the arrays of block i"):
        gd.compare(gd.Network([2, 1]), blocks, None, [4])


@pytest.mark.parametrize("name", ["window", "memory"])
def test_arrays_have_no_window(name):
    with pytest.raises(ValueError, match=f"{name} is about data in blocks"):
        gd.train(gd.Network([2, 1]), np.zeros((3, 2)), np.zeros(3), **{name: 3})
    with pytest.raises(ValueError, match="needs data in blocks"):
        gd.train(gd.Network([2, 1]), np.zeros((3, 2)), np.zeros(3), sampling="blocks")


@pytest.mark.parametrize("sampling", ["blocks", "shuffle"])
def test_a_file_that_shrinks_is_named(sampling, files, tmp_path):
    net, X, y = make("network")
    blocks = files(X, y, block_rows=20)
    history = gd.train(net, blocks, epochs=1, rng=0)
    before = net.params.copy()
    with open(tmp_path / "X.npy", "r+b") as file:
        file.truncate(128 + 4 * 5 * 150)
    with pytest.raises(ValueError, match=r"X.npy' has 150 rows left of 203: it has become shorter"):
        gd.train(net, blocks, sampling=sampling, resume=history)
    assert (net.params == before).all()
    with pytest.raises(ValueError, match="was cut off"):
        gd.open_blocks(tmp_path / "X.npy", tmp_path / "y.npy")


def test_nan_in_a_file_is_named_by_its_row(files):
    net, X, y = make("network")
    X[177, 3] = np.nan
    with pytest.raises(ValueError, match=r"row 177 of '.*X.npy', column 3 is nan"):
        gd.train(net, files(X, y, block_rows=20), rng=0)


def test_a_label_out_of_range_in_a_file_is_named_by_its_row(files):
    net, X, y = make("softmax")
    y[111] = 3
    with pytest.raises(ValueError, match=r"row 111 of '.*X.npy': y is 3, but class indices run"):
        gd.train(net, files(X, y, block_rows=20), rng=0)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError("none left")])
def test_a_reader_that_dies_ends_the_training(error):
    net = gd.Network([2, 1])

    def die(X, y):
        raise error

    blocks = Computed(block=5, change=die)
    expected = MemoryError if isinstance(error, MemoryError) else RuntimeError
    with pytest.raises(expected, match=r"none left|ended by (SystemExit|KeyboardInterrupt)"):
        gd.train(net, blocks, rng=0, window=1)
    assert not net.params.any()


def test_a_training_that_diverges_ends_the_reader():
    net = gd.Network([2, 1])
    with pytest.raises(gd.DivergenceError, match="learning rate"):
        gd.train(net, Computed(), rng=0, optimizer=gd.SGD(1e30), window=1, epochs=100)


def count_feeds():
    gc.collect()
    return sum(type(held).__name__ == "Feed" for held in gc.get_objects())


def test_buffers_are_freed_after_a_training():
    before = count_feeds()
    history = gd.train(gd.Network([2, 1]), Computed(), rng=0)
    assert history._under_way is None
    assert count_feeds() == before


@pytest.mark.parametrize("kind", MODELS)
def test_outputs_and_losses_of_blocks_have_the_same_bits(kind, files):
    net, X, y = make(kind)
    blocks = files(X, y, block_rows=20)
    for name in ("forward", "predict"):
        result = getattr(net, name)
        assert result(blocks).tobytes() == result(X).tobytes()
    for reduction in ("mean", "sum", "none"):
        found, expected = (net.loss_value(*data, reduction=reduction) for data in
                           ((blocks,), (X, y)))  # fmt: skip
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kind", MODELS)
def test_gradients_over_blocks(kind, reduction, backend):
    net, X, y = make(kind, "float64")
    weight = np.arange(N) % 3 / 2
    blocks = gd.open_blocks(X, y, weight=weight, block_rows=20)
    found = gd.gradient(net, blocks, reduction=reduction, backend=backend)
    expected = gd.gradient(
        net, X, y, sample_weight=weight, reduction=reduction, backend=backend
    )  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("full", [False, True])
def test_the_noise_scale_of_blocks(full):
    net, X, y = make("network", "float64")
    found = gd.noise_scale(net, gd.open_blocks(X, y, block_rows=20), full=full, rng=3)
    expected = gd.noise_scale(net, X, y, full=full, rng=3)
    for name, value in vars(expected).items():
        assert getattr(found, name) == (value if value is None else pytest.approx(value, rel=1e-9))


@pytest.mark.parametrize("call", [gd.gradient, gd.noise_scale, gd.Network.loss_value])
def test_blocks_bring_their_targets(call):
    with pytest.raises(TypeError, match="leave y and sample_weight out"):
        call(gd.Network([2, 1]), Computed(), np.zeros(100))


def test_results_for_each_sample_take_arrays():
    with pytest.raises(TypeError, match="give one block at a time"):
        gd.per_sample_norms(gd.Network([2, 1]), Computed(), None)


def test_a_reader_ends_without_its_caller():
    """As when a signal handler raises between its start and the ``with`` block's beginning."""
    ahead = Ahead(lambda heed: iter(range(9)))
    ahead.__enter__()
    (reader,) = [t for t in threading.enumerate() if t.name.startswith("fastgd")]
    del ahead
    gc.collect()
    reader.join(5)
    assert not reader.is_alive()


def test_without_a_thread_for_a_reader_the_caller_reads(files, monkeypatch):
    """As at the system's limit on threads; the bits are the same."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    found = []
    for start in (threading.Thread.start, refuse):
        monkeypatch.setattr(threading.Thread, "start", start)
        net, X, y = make("network")
        history = gd.train(net, files(X, y, block_rows=20), window=2, epochs=2, rng=5)
        found.append(results(net, history))
    assert found[0] == found[1]
