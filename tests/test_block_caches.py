"""CSV files and iterators are written to a cache, in full or not at all."""

import errno
import gc
import gzip
import os
import pathlib
import tempfile

import numpy as np
import pytest
from test_blocks import Order, no_reader_stays, results  # noqa: F401

import fastgd as gd
from fastgd.rows import _cache

N = 300


@pytest.fixture(autouse=True)
def small_blocks_and_a_temporary_folder(monkeypatch, tmp_path_factory):
    """Text is cut into blocks of some lines, and no temporary file stays."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(_cache, "CSV_BLOCK", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    gc.collect()
    assert os.listdir(folder) == []


def values():
    rng = np.random.default_rng(0)
    return rng.integers(0, 9, N), rng.standard_normal(N).round(3), rng.integers(0, 2, N)


def text(end=""):
    lines = [f"{a},{b},{'uv'[c]},{a - b:.3f}" for a, b, c in zip(*values(), strict=True)]
    return "\n".join(["a,b,c,y", *lines]) + "\n" + end


@pytest.fixture
def csv(tmp_path):
    (tmp_path / "a.csv").write_text(text())
    return tmp_path / "a.csv"


def everything(blocks):
    parts = [blocks.read(i) for i in range(len(blocks))]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def test_csv_becomes_blocks(csv):
    blocks = gd.open_blocks(csv, target="y")
    assert blocks.feature_names == ("a", "b", "c=u", "c=v")
    assert blocks.n_rows == N
    assert len(blocks) > 3
    a, b, c = values()
    X, y = everything(blocks)
    np.testing.assert_array_equal(X, np.column_stack([a, b, c == 0, c == 1]))
    np.testing.assert_allclose(y, a - b, atol=1e-9)
    net, again = gd.Network([4, 1]), gd.Network([4, 1])
    first = gd.train(net, blocks, rng=0)
    other = gd.train(again, X, y, sampling=Order(blocks.bounds, 8), rng=0)
    assert results(net, first) == results(again, other)


def test_compressed_and_several_csv_files(tmp_path):
    for k in range(2):
        with gzip.open(tmp_path / f"{k}.csv.gz", "wt") as file:
            file.write(text())
    blocks = gd.open_blocks(tmp_path, target="y")
    assert blocks.n_rows == 2 * N
    assert (everything(blocks)[0][:N] == everything(blocks)[0][N:]).all()


def test_a_named_cache_is_used_again_until_the_file_changes(csv, tmp_path, monkeypatch):
    made = []
    convert = _cache._convert_csv
    monkeypatch.setattr(_cache, "_convert_csv", lambda *a: made.append(1) or convert(*a))
    cache = tmp_path / "cache"
    for expected in (1, 1):
        blocks = gd.open_blocks(csv, target="y", cache=cache)
        assert len(made) == expected
    csv.write_text(text("1,2,u,3\n"))
    blocks = gd.open_blocks(csv, target="y", cache=cache)
    assert (len(made), blocks.n_rows) == (2, N + 1)
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "cache"]


def test_an_iterator_is_read_once():
    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((N, 3)).astype("f4"), np.arange(N), rng.uniform(size=N)
    batches = ((X[k : k + 7], y[k : k + 7], w[k : k + 7]) for k in range(0, N, 7))
    blocks = gd.open_blocks(batches, block_rows=50)
    for found, expected in zip(everything(blocks), (X, y, w), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


@pytest.mark.parametrize(("batches", "kind", "message"), [
    ([], ValueError, "no rows"),
    ([np.ones(3)], TypeError, "batch 0 is an ndarray, but must be"),
    ([(np.ones((2, 3)), np.ones(2)), (np.ones((2, 4)), np.ones(2))], ValueError, "batch 1 has"),
    ([(np.ones((2, 3)), np.ones(3))], ValueError, "each must have as many rows"),
    ([(np.array([["a"]]), np.ones(1))], TypeError, "rows of numbers"),
])  # fmt: skip
def test_wrong_batches_leave_nothing(batches, kind, message):
    with pytest.raises(kind, match=message):
        gd.open_blocks(iter(batches))


def test_an_iterator_that_fails_leaves_nothing(tmp_path):
    def batches():
        yield np.ones((2, 3)), np.ones(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gd.open_blocks(batches(), cache=tmp_path / "cache")
    assert os.listdir(tmp_path) == []


def test_a_type_that_changes_within_a_file_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(text("apple,2,u,3\n"))
    with pytest.raises(ValueError, match=r"a.csv' cannot be read as CSV: .*apple"):
        gd.open_blocks(tmp_path / "a.csv", target="y", cache=tmp_path / "cache")
    assert os.listdir(tmp_path) == ["a.csv"]


def test_other_columns_in_the_next_file_are_named(tmp_path):
    (tmp_path / "a.csv").write_text(text())
    (tmp_path / "b.csv").write_text("a,b,z,y\n1,2,u,4\n")
    with pytest.raises(ValueError, match=r"b.csv' cannot be read as CSV: its columns are"):
        gd.open_blocks(tmp_path, target="y")


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match=r"a.csv' cannot be read as CSV: Empty CSV file"):
        gd.open_blocks(tmp_path / "a.csv", target="y")
    (tmp_path / "a.csv").write_text("a,y\n")
    with pytest.raises(ValueError, match="no rows"):
        gd.open_blocks(tmp_path / "a.csv", target="y")


@pytest.mark.parametrize("source", ["csv", "iterator"])
def test_a_full_disk_leaves_nothing(source, csv, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_cache, "_convert_csv", full)
    monkeypatch.setattr(_cache._Growing, "append", full)
    data = csv if source == "csv" else iter([(np.ones((2, 3)), np.ones(2))])
    with pytest.raises(OSError, match=r"No space left .* which is removed: name a folder with"):
        gd.open_blocks(data, target="y" if source == "csv" else None, cache=tmp_path / "cache")
    assert os.listdir(tmp_path) == ["a.csv"]


def test_messages_name_the_csv_file_not_its_copy(tmp_path):
    path = str(tmp_path / "a.csv")
    pathlib.Path(path).write_text("a,b,y\n1,2,3\n,2,3\n")
    blocks = gd.open_blocks(path, target="y")
    with pytest.raises(ValueError, match=f"row 1 of '{path}', column 'a' is nan"):
        gd.train(gd.Network([2, 1]), blocks)
    with pytest.raises(ValueError, match=f"'{path}' has no column 'z'"):
        gd.open_blocks(path, target="z")
    pathlib.Path(path).write_text("a,b,y\n")
    with pytest.raises(ValueError, match=f"'{path}' has no rows"):
        gd.open_blocks(path, target="y")


def test_text_in_a_column_of_numbers_shows_in_the_number_of_columns(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,y\n1,2,3\n4,x,6\n")
    blocks = gd.open_blocks(tmp_path / "a.csv", target="y")
    with pytest.raises(
        ValueError, match="3 columns \\('a', 'b=2', 'b=x'\\), but the network has 2"
    ):
        gd.train(gd.Network([2, 1]), blocks)


def test_a_folder_with_other_files_is_not_replaced(csv, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="other files"):
        gd.open_blocks(csv, target="y", cache=tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]


@pytest.mark.parametrize(("given", "message"), [
    ({"y": [1.0]}, "leave y and block_rows out"), ({}, "name the one to predict"),
])  # fmt: skip
def test_wrong_arguments(csv, given, message):
    with pytest.raises(TypeError, match=message):
        gd.open_blocks(csv, **given)
    with pytest.raises(TypeError, match="cache is for CSV"):
        gd.open_blocks("a.npy", "b.npy", cache="c")
    with pytest.raises(TypeError, match="batches bring everything"):
        gd.open_blocks(iter([]), target="y")
