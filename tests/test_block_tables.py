"""Blocks of Parquet and Arrow files."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_blocks import Order, no_reader_stays, results  # noqa: F401

import fastgd as gd

N, GROUP = 500, 40


def columns(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "delay": rng.standard_normal(n).astype("f4"),
        "distance": rng.integers(0, 100, n, dtype="i2"),
        "carrier": np.array(["AA", "BB", "CC"])[rng.integers(3, size=n)],
        "late": rng.integers(0, 2, n).astype(bool),
        "speed": rng.standard_normal(n),
        "weight": rng.uniform(0.5, 2, n),
    }


def write(path, table, group=GROUP):
    if str(path).endswith(".parquet"):
        pq.write_table(table, path, row_group_size=group, write_page_checksum=True)
    else:
        with pa.OSFile(str(path), "wb") as raw, pa.ipc.new_file(raw, table.schema) as file:
            file.write_table(table, max_chunksize=group)


def encoded(data):
    carriers = [data["carrier"] == name for name in ("AA", "BB", "CC")]
    return np.column_stack([data["distance"], *carriers, data["late"], data["speed"]])


@pytest.fixture(params=["parquet", "arrow"])
def table_file(request, tmp_path):
    path = tmp_path / f"flights.{request.param}"
    write(path, pa.table(columns()))
    return path


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "flights.parquet"
    write(path, pa.table(columns()))
    return path


def test_tables_become_rows(table_file):
    data = columns()
    blocks = gd.open_blocks(table_file, target="delay", weight="weight")
    assert (blocks.n_rows, blocks.n_features, len(blocks)) == (N, 6, 13)
    assert blocks.feature_names == (
        "distance", "carrier=AA", "carrier=BB", "carrier=CC", "late", "speed",
    )  # fmt: skip
    parts = [blocks.read(i) for i in range(len(blocks))]
    for place, expected in enumerate((encoded(data), data["delay"], data["weight"])):
        np.testing.assert_array_equal(np.concatenate([part[place] for part in parts]), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_has_the_bits_of_the_same_rows_in_memory(table_file, dtype, backend):
    data = columns()
    blocks = gd.open_blocks(table_file, target="delay", weight="weight")
    found = []
    for given in (
        {"X": blocks},
        {"X": encoded(data), "y": data["delay"], "sample_weight": data["weight"],
         "sampling": Order(blocks.bounds, 8)},
    ):  # fmt: skip
        net = gd.Network([6, 8, 1], dtype=dtype, rng=0)
        history = gd.train(
            net, **given, epochs=2, batch_size=16, rng=1, optimizer=gd.SGD(1e-4), backend=backend
        )
        found.append(results(net, history))
    assert found[0] == found[1]


def test_several_files_are_one(tmp_path):
    table = pa.table(columns())
    paths = [tmp_path / f"part-{k}.parquet" for k in range(3)]
    for k, path in enumerate(paths):
        write(path, table.slice(200 * k, 200))
    (tmp_path / "notes.txt").write_text("not data")
    sources = (paths, tmp_path, str(tmp_path / "part-*.parquet"))
    for source in sources:
        blocks = gd.open_blocks(source, target="delay")
        assert (blocks.n_rows, len(blocks)) == (N, 13)
        X = np.concatenate([blocks.read(i)[0] for i in range(len(blocks))])
        np.testing.assert_array_equal(X[:, 0], columns()["distance"])


def test_dictionaries_may_differ_between_groups(tmp_path):
    path = tmp_path / "d.arrow"
    first, second = (
        pa.table({"c": pa.array(values).dictionary_encode(), "y": [1.0, 2.0]})
        for values in (["b", "a"], ["c", "b"])
    )
    write(path, pa.concat_tables([first, second]).unify_dictionaries(), 2)
    blocks = gd.open_blocks(path, target="y")
    assert blocks.feature_names == ("c=a", "c=b", "c=c")
    X = np.concatenate([blocks.read(i)[0] for i in range(2)])
    assert X.argmax(axis=1).tolist() == [1, 0, 2, 1]


def test_text_as_a_target_becomes_classes(parquet):
    blocks = gd.open_blocks(parquet, target="carrier", columns=["delay", "speed"])
    assert blocks.classes == ("AA", "BB", "CC")
    y = np.concatenate([blocks.read(i)[1] for i in range(len(blocks))])
    assert (np.array(blocks.classes)[y] == columns()["carrier"]).all()
    gd.train(gd.Network([2, 3], loss="cross_entropy"), blocks, rng=0)


def test_several_targets(parquet):
    blocks = gd.open_blocks(parquet, target=["delay", "speed"], columns=["distance"])
    data = columns()
    np.testing.assert_array_equal(
        np.concatenate([blocks.read(i)[1] for i in range(len(blocks))]),
        np.column_stack([data["delay"], data["speed"]]),
    )


@pytest.mark.parametrize(("given", "kind", "message"), [
    ({}, TypeError, "name the one to predict"),
    ({"target": "dealy"}, ValueError, "no column 'dealy': did you mean 'delay'"),
    ({"target": 3}, TypeError, "target must name columns"),
    ({"target": "delay", "columns": ["x"]}, ValueError, "no column 'x'"),
    ({"target": "delay", "weight": "carrier"}, TypeError, "weights, column 'carrier', must be"),
    ({"target": "delay", "block_rows": 5}, TypeError, "leave y and block_rows out"),
    ({"target": ["delay", "carrier"]}, TypeError, "several targets must be numbers"),
])  # fmt: skip
def test_wrong_arguments(parquet, given, kind, message):
    with pytest.raises(kind, match=message):
        gd.open_blocks(parquet, **given)


def test_a_date_is_refused_by_name(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"day": pa.array([0], pa.date32()), "y": [1.0]}))
    with pytest.raises(TypeError, match=r"column 'day' of .* has type date32"):
        gd.open_blocks(tmp_path / "a.parquet", target="y")


def test_a_column_whose_type_changes_between_files(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0]}))
    write(tmp_path / "b.parquet", pa.table({"x": ["u", "v"], "y": [1.0, 2.0]}))
    with pytest.raises(TypeError, match=r"'x' has type double in '.*a.parquet', but string in"):
        gd.open_blocks(tmp_path, target="y")


def test_empty_files(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, pa.table({"x": pa.array([], "f4"), "y": pa.array([], "f4")}))
    with pytest.raises(ValueError, match="no rows"):
        gd.open_blocks(path, target="y")
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.parquet' cannot be read as Parquet"):
        gd.open_blocks(path, target="y")
    os.makedirs(tmp_path / "none")
    with pytest.raises(ValueError, match="has no files that end in"):
        gd.open_blocks(tmp_path / "none", target="y")
    with pytest.raises(FileNotFoundError):
        gd.open_blocks(str(tmp_path / "*.arrow"), target="y")
    with pytest.raises(ValueError, match=r"ends in '.txt', but files of blocks end in"):
        gd.open_blocks("a.txt", target="y")


@pytest.fixture
def trained(parquet):
    """A network after one epoch on a file, with the run's arguments for more."""
    blocks = gd.open_blocks(parquet, target="delay", weight="weight")
    net = gd.Network([6, 8, 1], rng=0)
    history = gd.train(net, blocks, rng=0, epochs=1, optimizer=gd.SGD(1e-5))
    before = net.params.copy()
    yield net, blocks, history
    assert (net.params == before).all()


def test_a_damaged_row_group_is_named(trained, parquet):
    net, blocks, history = trained
    metadata, stat = pq.ParquetFile(parquet).metadata, os.stat(parquet)
    offset = metadata.row_group(3).column(4).data_page_offset
    with open(parquet, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 60)
    os.utime(parquet, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    message = r"flights.parquet', row group 3 \(rows 120 to 159\), cannot be read"
    with pytest.raises(ValueError, match=message):
        gd.train(net, blocks, resume=history)


def test_a_file_that_shrinks_or_changes_is_named(trained, parquet):
    net, blocks, history = trained
    with open(parquet, "r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match=r"flights.parquet' has changed since it was opened"):
        gd.train(net, blocks, resume=history)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("speed", np.nan, "row 217 of .*b.parquet', column 'speed' is nan"),
    ("carrier", None, "row 217 of .*b.parquet', column 'carrier' is missing"),
    ("distance", None, "row 217 of .*b.parquet', column 'distance' is nan"),
    ("late", None, "row 217 of .*b.parquet', column 'late' is nan"),
    ("delay", np.inf, "row 217 of .*b.parquet': y is inf"),
])  # fmt: skip
def test_a_missing_value_is_named_by_file_row_and_column(tmp_path, name, value, message):
    data = {key: list(values) for key, values in columns().items()}
    write(tmp_path / "a.parquet", pa.table(columns()))
    data[name] = [x.item() if hasattr(x, "item") else x for x in data[name]]
    data[name][217] = value
    kinds = pa.table(columns()).schema
    write(tmp_path / "b.parquet", pa.table(data, schema=kinds))
    blocks = gd.open_blocks(tmp_path, target="delay", weight="weight")
    with pytest.raises(ValueError, match=message):
        gd.train(gd.Network([6, 1]), blocks, rng=0, optimizer=gd.SGD(1e-5))


def test_a_column_of_very_many_texts_is_refused(tmp_path):
    write(tmp_path / "a.parquet", pa.table({"x": [str(k) for k in range(1001)], "y": [1.0] * 1001}))
    with pytest.raises(ValueError, match="'x' has more than 1,000 different values"):
        gd.open_blocks(tmp_path, target="y")


def test_without_pyarrow_the_error_names_the_extra(monkeypatch, parquet):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgd\[data\]'"):
        gd.open_blocks(parquet, target="delay")


def test_columns_of_other_names_are_refused(parquet, tmp_path):
    net = gd.Network([6, 1])
    gd.train(net, gd.open_blocks(parquet, target="delay", weight="weight"), epochs=1,
             optimizer=gd.SGD(1e-5), rng=0)  # fmt: skip
    assert net.feature_names[1] == "carrier=AA"
    path = tmp_path / "other.parquet"
    data = columns()
    write(path, pa.table(data | {"carrier": ["ZZ" if c == "AA" else c for c in data["carrier"]]}))
    other = gd.open_blocks(path, target="delay", weight="weight")
    message = "X lacks 'carrier=AA' and has 'carrier=ZZ', which was not used before"
    for call in (lambda: net.predict(other), lambda: gd.train(net, other),
                 lambda: gd.gradient(net, other), lambda: net.loss_value(other)):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()


def test_inputs_standardise_blocks(table_file):
    data = columns()
    blocks = gd.open_blocks(table_file, target="delay", weight="weight")
    inputs = gd.Standardize.fit(blocks)
    X = inputs.transform(encoded(data))
    raw = gd.Network([6, 8, 1], inputs=inputs, rng=0)
    plain = gd.Network([6, 8, 1], rng=0)
    first = gd.train(raw, blocks, epochs=2, rng=1)
    second = gd.train(
        plain, X, data["delay"], sample_weight=data["weight"], epochs=2, rng=1,
        sampling=Order(blocks.bounds, 8),
    )  # fmt: skip
    assert results(raw, first) == results(plain, second)
    assert raw.predict(blocks).tobytes() == plain.predict(X).tobytes()


def test_validation_blocks_have_the_names_of_a_first_training(tmp_path):
    frame = pa.table({"a": [1.0, 2.0], "b": [3.0, 5.0], "y": [0.0, 1.0]})
    pq.write_table(frame.select(["b", "a", "y"]), tmp_path / "held.parquet")
    held = gd.open_blocks(tmp_path / "held.parquet", target="y")
    net = gd.Network([2, 1])
    with pytest.raises(ValueError, match="validation X has its columns in another order"):
        gd.train(net, frame.select(["a", "b"]), [0.0, 1.0], validation=held)
    assert net.feature_names is None
