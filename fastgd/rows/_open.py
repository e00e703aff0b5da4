"""`open_blocks`: choose the source of blocks for files and arrays."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fastgd import _data, _words
from fastgd.rows._blocks import ArrayBlocks, Source
from fastgd.rows._cache import cached_csv, cached_iterator
from fastgd.rows._npy import ArrayRows, NpyBlocks, NpyFile
from fastgd.rows._tables import ENDINGS, TableBlocks

__all__ = ["open_blocks"]

PACKED = (".gz", ".bz2", ".zst")  # what pyarrow unpacks on the way


def open_blocks(
    source: Any,
    y: Any = None,
    *,
    target: Any = None,
    columns: Sequence[Any] | None = None,
    weight: Any = None,
    block_rows: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Source:
    """Open data that may be larger than memory, for `fastgd.train` and others.

    Parameters
    ----------
    source : path_like, list of path_like, array_like, or iterable
        Where the samples are:

        - Parquet or Arrow IPC files: a file, a list of files, a folder, or a pattern such as
          ``flights/*.parquet``. A block is a row group or a record batch. Columns of text become
          columns of 0 and 1, one for each value. Reading needs the extra ``data``.
        - A .npy file with a row for each sample.
        - CSV files, also compressed (.csv.gz, .csv.bz2, .csv.zst): read once, into a cache.
        - An array.
        - An iterable of batches (X, y) or (X, y, sample_weight): read once, into a cache.
    y : path_like or array_like, optional
        The targets, in a .npy file or an array, if the samples are in one of these.
    target : str, int or list of str, optional
        The column that has the targets: its name, or its number in a .npy file. Text becomes
        class indices. Several columns are several targets.
    columns : sequence of str or int, optional
        The columns to train on; by default all that are neither targets nor weights.
    weight : str, int, path_like or array_like, optional
        Factors of the samples' losses: a column, or a .npy file or an array as for `y`.
    block_rows : int, optional
        Rows in a block of arrays and .npy files; by default 1/256 of the rows, or fewer, so that
        a block has at most 8 MiB.
    cache : path_like, optional
        The folder to which CSV files and iterables are written, in full or not at all. CSV files
        are not read again as long as their sizes and times stay the same. By default a temporary
        folder, which is removed with the blocks.

    Returns
    -------
    Blocks
        To be given to `fastgd.train` in place of X and y.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or a file is damaged.
    OSError
        When a file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastgd as gd
    >>> rng = np.random.default_rng(0)
    >>> folder = tempfile.mkdtemp()
    >>> X = rng.standard_normal((10_000, 3)).astype(np.float32)
    >>> np.save(os.path.join(folder, "X.npy"), X)
    >>> np.save(os.path.join(folder, "y.npy"), X @ [1.0, -2.0, 0.5])
    >>> blocks = gd.open_blocks(os.path.join(folder, "X.npy"), os.path.join(folder, "y.npy"))
    >>> blocks
    NpyBlocks(10,000 rows of 3 features in 8 blocks)
    >>> net = gd.Network([3, 1])
    >>> gd.train(net, blocks, epochs=3, optimizer=gd.SGD(0.05), rng=0)
    History(3 epochs, 939 updates, last loss ...)
    """
    paths = _paths(source)
    if paths is None:
        if isinstance(source, Iterator) or (cache is not None and isinstance(source, Iterable)):
            _check_unused("an iterable's batches bring everything", y, target, columns, weight)
            return cached_iterator(source, _name(cache), block_rows)
        return _open_arrays(source, y, target, columns, weight, block_rows)
    endings = {_ending(path) for path in paths}
    if endings == {".csv"}:
        _check_of_tables(paths, y, target, block_rows)
        return cached_csv(paths, _name(cache), target, columns, weight)
    if cache is not None:
        raise TypeError("cache is for CSV files and iterables; other files are read directly")
    if endings == {".npy"} and len(paths) == 1:
        return _open_npy(paths[0], y, target, columns, weight, block_rows)
    if not endings <= ENDINGS.keys():
        wrong = next(path for path in paths if _ending(path) not in ENDINGS)
        raise ValueError(
            f"{wrong!r} ends in {_ending(wrong)!r}, but files of blocks end in "
            f"{_words.listed(['.npy', '.csv', *ENDINGS])}"
            f"{'; give one .npy file' if '.npy' in endings else ''}"
        )
    _check_of_tables(paths, y, target, block_rows)
    return TableBlocks(paths, target, columns, weight)


def _check_of_tables(paths: Sequence[str], y: Any, target: Any, block_rows: Any) -> None:
    if y is not None or block_rows is not None:
        raise TypeError(
            "files of tables have their targets in a column, target=, and their blocks are row "
            "groups or record batches: leave y and block_rows out"
        )
    if target is None:
        raise TypeError(f"{paths[0]!r} has columns: name the one to predict, as in target='delay'")


def _check_unused(why: str, *values: Any) -> None:
    if any(value is not None for value in values):
        raise TypeError(f"{why}: leave y, target, columns and weight out")


def _name(cache: Any) -> str | None:
    return None if cache is None else os.fspath(cache)


def _ending(path: str) -> str:
    """Return the end of a file's name, without that of its compression."""
    base, ending = os.path.splitext(path.lower())
    return os.path.splitext(base)[1] if ending in PACKED else ending


def _paths(source: Any) -> list[str] | None:
    """Return the files that a source names, sorted where it is a folder or a pattern."""
    if isinstance(source, (list, tuple)) and source and all(map(is_path, source)):
        return [os.fspath(path) for path in source]
    if not is_path(source):
        return None
    path = os.fspath(source)
    if os.path.isdir(path):
        known = (".npy", ".csv", *ENDINGS)
        found = sorted(
            os.path.join(path, name) for name in os.listdir(path) if _ending(name) in known
        )
        if not found:
            raise ValueError(f"the folder {path!r} has no files that end in {_words.listed(known)}")
        return found
    if not os.path.exists(path) and glob.has_magic(path):
        found = sorted(glob.glob(path, recursive=True))
        if not found:
            raise FileNotFoundError(errno.ENOENT, "no file has such a name", path)
        return found
    return [path]


def is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _open_npy(
    path: str, y: Any, target: Any, columns: Any, weight: Any, block_rows: int | None
) -> Source:
    if (y is None) == (target is None):
        raise TypeError(
            f"{path!r} has samples: give their targets either as y, a file or an array, or as "
            "target, the number of a column"
        )
    targets = target if y is None else _other("y", y)
    weights = weight if weight is None or isinstance(weight, int) else _other("weight", weight)
    return NpyBlocks(NpyFile(path), targets, weights, columns, block_rows)


def _other(name: str, value: Any) -> Any:
    """Return targets or weights as rows, of a file or of an array."""
    if is_path(value):
        return NpyFile(value)
    array = _data.as_array(name, value)
    if array.ndim == 0:
        raise TypeError(
            f"{name} must be a .npy file or an array with a number for each row, not "
            f"{_words.show(value)}"
        )
    return ArrayRows(name, array)


def _open_arrays(
    source: Any, y: Any, target: Any, columns: Any, weight: Any, block_rows: int | None
) -> Source:
    if target is not None or columns is not None:
        raise TypeError("target and columns are about files: give arrays as open_blocks(X, y)")
    if isinstance(source, (tuple, list)) and y is None and len(source) in (2, 3):
        source, y, weight = source if len(source) == 3 else (*source, weight)
    if y is None:
        raise TypeError("y is missing: give the targets, as in open_blocks(X, y)")
    X = _data.as_array("X", source)
    if X.ndim != 2 or len(X) == 0:
        raise ValueError(f"X has shape {X.shape}, but must have rows of features")
    given = None if weight is None else _data.as_array("weight", weight)
    return ArrayBlocks(X, _data.as_array("y", y), given, block_rows)
