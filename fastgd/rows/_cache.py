"""Write what can only be read once, CSV and iterators, into files that have random access.

A cache is a folder. It is written under a temporary name and then moved, so that it is complete or
missing. A temporary cache is removed with the blocks.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np

from fastgd._typing import AnyArray
from fastgd._words import kind_of, show
from fastgd.rows._blocks import Source
from fastgd.rows._npy import NpyBlocks, NpyFile
from fastgd.rows._tables import TableBlocks, load_pyarrow

__all__ = ["cached_csv", "cached_iterator"]

SETTINGS = "fastgd.json"
TABLE = "rows.arrow"
VERSION = 1
CSV_BLOCK = 1 << 24  # bytes of text that become a block


def cached_csv(
    paths: Sequence[str], cache: str | None, target: Any, columns: Any, weight: Any
) -> Source:
    """Return blocks of CSV files, written to a cache unless it has them already."""
    found = [os.stat(path) for path in paths]
    settings = {
        "version": VERSION,
        "files": [
            [os.path.abspath(path), of.st_size, of.st_mtime_ns]
            for path, of in zip(paths, found, strict=True)
        ],
    }
    folder, keep = _folder(cache)
    if cache is None or _settings(folder) != settings:
        with _written(folder, settings) as new:
            _convert_csv(paths, os.path.join(new, TABLE))
    name = ", ".join(paths)  # the copy has the rows of all, one file after the other
    blocks = TableBlocks([os.path.join(folder, TABLE)], target, columns, weight, [name])
    keep(blocks)
    return blocks


def cached_iterator(batches: Iterable[Any], cache: str | None, block_rows: int | None) -> Source:
    """Return blocks of the batches (X, y) or (X, y, sample_weight) of an iterator."""
    folder, keep = _folder(cache)
    with _written(folder, {"version": VERSION, "files": []}) as new:
        names = _write_batches(batches, new)
    X, y, *weight = (NpyFile(os.path.join(folder, name)) for name in names)
    blocks = NpyBlocks(X, y, weight[0] if weight else None, None, block_rows)
    keep(blocks)
    return blocks


def _folder(cache: str | None) -> tuple[str, Callable[[Source], None]]:
    """Return the folder for a cache, and what ties a temporary one to the blocks' life."""
    if cache is not None:
        return os.path.abspath(os.fspath(cache)), lambda blocks: None
    outer, anchor = tempfile.mkdtemp(prefix="fastgd-"), _Anchor()
    weakref.finalize(anchor, shutil.rmtree, outer, ignore_errors=True)

    def keep(blocks: Source) -> None:
        blocks.holds = anchor

    return os.path.join(outer, "cache"), keep


class _Anchor:
    """Lives as long as a temporary folder."""


def _settings(folder: str) -> Any:
    """Return what a cache was made from; None if there is none."""
    try:
        with open(os.path.join(folder, SETTINGS), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _written(folder: str, settings: Any) -> Iterator[str]:
    """Make a folder that takes its place once the block has ended; nothing is left otherwise."""
    parent, name = os.path.split(folder)
    if os.path.isdir(folder) and os.listdir(folder) and _settings(folder) is None:
        raise FileExistsError(
            errno.EEXIST, "this folder has other files: name a new one for the cache", folder
        )
    if not os.path.isdir(parent):
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {parent!r}", folder)
    new = tempfile.mkdtemp(prefix=f".{name}.", dir=parent)
    try:
        yield new
        with open(os.path.join(new, SETTINGS), "w", encoding="utf-8") as file:
            json.dump(settings, file)
        if os.path.isdir(folder):
            old = tempfile.mkdtemp(prefix=f".{name}.", dir=parent)
            os.rename(folder, os.path.join(old, "old"))
            os.rename(new, folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(new, folder)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} while the cache was written, which is removed: name "
                "a folder with more room by cache=",
                parent,
            ) from error
        raise


def _convert_csv(paths: Sequence[str], out: str) -> None:
    """Write CSV files as one Arrow file, in one pass with bounded memory."""
    pa, csv = load_pyarrow(), load_pyarrow("pyarrow.csv")
    read = csv.ReadOptions(block_size=CSV_BLOCK)
    kinds: dict[str, Any] | None = None
    schema: Any = None
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(open(out, "wb"))
        writer: Any = None
        for path in paths:
            try:
                convert = csv.ConvertOptions(column_types=kinds)
                if kinds is None:
                    with csv.open_csv(path, read) as reader:
                        kinds = _kinds(reader.schema)
                    convert = csv.ConvertOptions(column_types=kinds)
                with csv.open_csv(path, read, convert_options=convert) as reader:
                    if schema is None:
                        schema = reader.schema
                        writer = stack.enter_context(pa.ipc.new_file(raw, schema))
                    elif reader.schema.names != schema.names:
                        raise ValueError(
                            f"its columns are {reader.schema.names}, those of {paths[0]!r} "
                            f"{schema.names}"
                        )
                    for batch in reader:
                        writer.write_batch(batch)
            except (pa.ArrowInvalid, ValueError) as error:
                text = " ".join(str(error).split())
                raise ValueError(f"{path!r} cannot be read as CSV: {text}") from error


def _kinds(schema: Any) -> dict[str, Any]:
    """Return the type of each column: whole numbers may be followed by others."""
    pa, types = load_pyarrow(), load_pyarrow("pyarrow.types")
    numbers = (types.is_integer, types.is_null)
    return {
        field.name: pa.float64() if any(is_one(field.type) for is_one in numbers) else field.type
        for field in schema
    }


def _write_batches(batches: Iterable[Any], folder: str) -> list[str]:
    """Write an iterator's batches as .npy files; return their names."""
    names = ["X.npy", "y.npy", "weight.npy"]
    with contextlib.ExitStack() as stack:
        files: list[_Growing] = []
        for number, batch in enumerate(batches):
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise TypeError(
                    f"batch {number} is {kind_of(batch)}, but must be (X, y) or "
                    "(X, y, sample_weight)"
                )
            arrays = [np.asarray(part) for part in batch]
            if not files:
                files = [
                    stack.enter_context(_Growing(os.path.join(folder, name), array))
                    for name, array in zip(names, arrays, strict=False)
                ]
            if len(arrays) != len(files) or len({array.shape[:1] for array in arrays}) != 1:
                raise ValueError(
                    f"batch {number} has {', '.join(show(array) for array in arrays)}: each must "
                    "have as many rows, and the parts of the first batch"
                )
            for file, array in zip(files, arrays, strict=True):
                file.append(array, number)
        if not files or not files[0].n:
            raise ValueError("the iterator has no rows: a training needs at least one")
    return names[: len(files)]


class _Growing:
    """A .npy file to which rows are appended."""

    def __init__(self, path: str, first: AnyArray) -> None:
        if first.ndim not in (1, 2) or first.dtype.kind not in "fiub":
            raise TypeError(
                f"a batch has {show(first)} of {first.dtype}, but must hold rows of numbers"
            )
        self._path, self._dtype, self._width = path, first.dtype, first.shape[1:]
        self.n = 0
        self._file: IO[bytes]

    def __enter__(self) -> _Growing:
        self._file = open(self._path, "wb")
        self._header()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._file:
            if error[0] is None:
                self._file.seek(0)
                self._header()

    def _header(self) -> None:
        # NumPy leaves room in a header for the first length to grow
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.n, *self._width),
            },
        )

    def append(self, rows: AnyArray, number: int) -> None:
        """Write a batch's rows."""
        if rows.shape[1:] != self._width or not np.can_cast(rows.dtype, self._dtype, "same_kind"):
            raise ValueError(
                f"batch {number} has {show(rows)} of {rows.dtype}, but the first one rows of "
                f"shape {self._width} of {self._dtype}"
            )
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self.n += len(rows)
