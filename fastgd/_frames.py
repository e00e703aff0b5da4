"""Frames: their column names, and their numbers as one array.

A frame is a pandas or polars DataFrame, a pyarrow Table or RecordBatch, or any other object with
Arrow's PyCapsule interface (arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html).
Numbers that lie like a matrix in memory are not copied; otherwise all columns are copied once, into
one matrix.
"""

from __future__ import annotations

import itertools
import numbers
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._extras import need
from fastgd._typing import AnyArray
from fastgd._words import kind_of, listed

__all__ = [
    "check_names",
    "column_label",
    "column_names",
    "from_frame",
    "from_objects",
    "is_frame",
    "require_names",
]

# Rows to copy at a time: columns write into the same lines of the cache, one a row.
BLOCK_ROWS = 2048
BLOCK_BYTES = 1 << 20  # if more rows than that fit into it
MISSING = "remove such rows, or fill the values in, first"
ENCODE = "turn text into numbers first, such as a column of 0 and 1 for each category"
#: what to do with a column of another type, by a part of the type's name
HINTS = {
    "date": "take the time since some moment, in some unit, as a number",
    "time": "take the time since some moment, in some unit, as a number",
    "duration": "divide it by a unit of time",
    "decimal": "convert it to float64",
}


def is_frame(value: Any) -> bool:
    """Return whether a value is a table with named columns."""
    return _reader(value) is not None


def column_names(value: Any) -> tuple[str, ...] | None:
    """Return a frame's column names; None if it is no frame, or not all names are text."""
    reader = _reader(value)
    # a source of blocks has this attribute; of a frame it would be a column of that name
    found = getattr(value, "feature_names", None) if reader is None else reader.names(value)
    if found is None or not all(isinstance(one, str) for one in found):
        return None
    return tuple(found)


def check_names(names: Any, n: int) -> tuple[str, ...] | None:
    """Return the names of n columns, or None."""
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, (Sequence, np.ndarray)):
        raise TypeError(f"feature_names must list the columns' names, not {kind_of(names)}")
    checked = tuple(str(one) if isinstance(one, str) else one for one in names)
    for one in checked:
        if not isinstance(one, str):
            raise TypeError(f"feature_names has {one!r}, but a column's name must be a text")
    if len(checked) != n:
        raise ValueError(f"feature_names has length {len(checked)}, but there are {n} columns")
    return checked


def require_names(value: Any, expected: tuple[str, ...] | None, name: str = "X") -> None:
    """Raise ValueError if a value is a frame whose columns are not those that are expected."""
    if expected is None:
        return
    found = column_names(value)
    if found is None or found == expected:
        return
    lacks = [one for one in expected if one not in found]
    others = [one for one in found if one not in expected]
    problems = []
    if lacks:
        problems.append(f"lacks {_some(lacks)}")
    if others:
        problems.append(f"has {_some(others)}, which {_these(others)} not used before")
    if not problems and len(found) == len(expected):
        place = next(i for i, one in enumerate(found) if one != expected[i])
        problems.append(
            f"has its columns in another order, {found[place]!r} instead of {expected[place]!r} "
            f"as column {place}"
        )
    elif not problems:
        problems.append("has a column more than once")
    how = "give the columns" if lacks else "choose and order the columns by their names,"
    raise ValueError(f"{name} {' and '.join(problems)}: {how} {_some(expected)}")


def _some(names: Sequence[str]) -> str:
    """Return names for a message: the first ones, if there are many."""
    if len(names) <= 6:
        return listed(names)
    return f"{', '.join(map(repr, names[:5]))} and {len(names) - 5} more"


def _these(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def column_label(place: int, names: Sequence[str] | None) -> str:
    """Return what messages call a column."""
    return f"column {place}" if names is None else f"column {names[place]!r}"


def from_frame(name: str, frame: Any, wanted: np.dtype[Any] | None = None) -> AnyArray:
    """Return a frame's numbers as an array of shape (rows, columns).

    Parameters
    ----------
    name : str
        What messages call the frame.
    frame : object
        For which `is_frame` is true.
    wanted : numpy.dtype, optional
        A float dtype that a copy has, if one must be made, unless all columns are of a smaller
        one. By default a copy has the dtype that holds all columns.
    """
    reader = _reader(frame)
    assert reader is not None
    columns = reader.columns(name, frame)
    if not columns:
        raise ValueError(f"{name} has no columns")
    common = np.result_type(*(one.dtype for one in columns))
    matrix = _in_place(columns)
    if matrix is not None:
        return matrix
    # uint32 is as large as float32, but no float32 holds its numbers, nor does a kernel decode it
    if wanted is not None and (common.itemsize >= wanted.itemsize or common == np.uint32):
        return _gather(name, columns, wanted)
    return _gather(name, columns, common)


def from_objects(array: AnyArray) -> AnyArray:
    """Convert objects that are all numbers, such as a frame's mixed columns, to a numeric array.

    One dimension of integers, such as class indices, stays integer if 64 bits hold it.
    """
    values = list(array.flat)
    if not all(isinstance(value, (numbers.Real, np.bool_)) for value in values):
        return array
    try:
        if array.ndim == 1 and (plain := np.array(values)).dtype.kind != "O":
            return plain
        return np.array([float(value) for value in values], np.float64).reshape(array.shape)
    except OverflowError:
        return array  # a number too large for a float: a later check reports it


@dataclass(frozen=True)
class _Column:
    """A column's numbers, in one or several sequences that follow each other.

    Where these are not NumPy arrays, `convert` makes one of a part of them.
    """

    label: str
    dtype: np.dtype[Any]
    chunks: tuple[Any, ...]
    convert: Callable[[Any], AnyArray] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def copy_to(self, out: AnyArray, start: int) -> None:
        """Copy as many numbers as `out` holds, from row `start` on."""
        done = 0
        for chunk in self.chunks:
            part = chunk[start : start + len(out) - done]
            if len(part):
                values = part if self.convert is None else self.convert(part)
                out[done : done + len(part)] = values
                done += len(part)
            start = max(0, start - len(chunk))
            if done == len(out):
                return

    def value(self, row: int) -> Any:
        """Return the number in a row."""
        found = np.empty(1, self.dtype)
        self.copy_to(found, row)
        return found[0]


def _in_place(columns: Sequence[_Column]) -> AnyArray | None:
    """Return columns that lie evenly in one memory as a matrix; None if they do not."""
    if any(len(one.chunks) != 1 or one.convert is not None for one in columns):
        return None
    arrays = [one.chunks[0] for one in columns]
    first, owner = arrays[0], _owner(arrays[0])
    if len(arrays) == 1:
        column: AnyArray = first.reshape(-1, 1)
        return column
    same = all(one.dtype == first.dtype and one.strides == first.strides for one in arrays)
    if not same or owner is None or any(_owner(one) is not owner for one in arrays):
        return None
    places = [_address(one) for one in arrays]
    apart = places[1] - places[0]
    if any(b - a != apart for a, b in itertools.pairwise(places)):
        return None
    memory = owner if owner.flags.c_contiguous else owner.T
    matrix: AnyArray = np.ndarray(
        (len(first), len(arrays)), first.dtype, memory, places[0] - _address(owner),
        (first.strides[0], apart),
    )  # fmt: skip
    return matrix


def _owner(array: AnyArray) -> AnyArray | None:
    """Return the contiguous array that owns an array's memory; None if there is none."""
    owner: Any = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    return owner if isinstance(owner, np.ndarray) and owner.flags.forc else None


def _address(array: AnyArray) -> int:
    place: int = array.__array_interface__["data"][0]
    return place


def _gather(name: str, columns: Sequence[_Column], dtype: np.dtype[Any]) -> AnyArray:
    """Return columns as a C-contiguous matrix, copied a block of rows at a time."""
    n = len(columns[0])
    out = np.empty((n, len(columns)), dtype)
    step = max(BLOCK_ROWS, BLOCK_BYTES // out.strides[0])
    for start in range(0, n, step):
        block = out[start : start + step]
        with np.errstate(over="ignore"):
            for j, column in enumerate(columns):
                column.copy_to(block[:, j], start)
        if dtype.kind == "f" and not np.isfinite(block).all():
            _check_overflow(name, columns, block, start)
    return out


def _check_overflow(name: str, columns: Sequence[_Column], block: AnyArray, start: int) -> None:
    """Raise for numbers that are finite in their column but not in the dtype of the block."""
    for row, j in np.argwhere(~np.isfinite(block)):
        value = columns[j].value(start + row)
        if np.isfinite(value):
            raise ValueError(
                f"{name}'s column {columns[j].label!r} has {value} in row {start + row}, which is "
                f"more than {block.dtype} holds: scale the column, such as to mean 0 and variance 1"
            )


def _missing(name: str, label: Any, row: int) -> ValueError:
    return ValueError(f"{name}'s column {label!r} has no value in row {row}: {MISSING}")


def _not_numbers(name: str, label: Any, kind: str) -> TypeError:
    hint = next((hint for part, hint in HINTS.items() if part in kind.lower()), ENCODE)
    return TypeError(f"{name}'s column {label!r} has type {kind}, not numbers: {hint}")


@dataclass(frozen=True)
class _Reader:
    """How the frames of a library are read."""

    names: Callable[[Any], Sequence[Any]]
    columns: Callable[[str, Any], list[_Column]]


def _reader(value: Any) -> _Reader | None:
    """Return the functions that read a value; None if it is no frame."""
    if isinstance(value, (np.ndarray, list, tuple)):
        return None
    pandas, polars, arrow = map(sys.modules.get, ("pandas", "polars", "pyarrow"))
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return _Reader(lambda frame: frame.columns, _of_pandas)
    if polars is not None and isinstance(value, polars.DataFrame):
        return _Reader(lambda frame: frame.columns, _of_polars)
    if arrow is not None and isinstance(value, (arrow.Table, arrow.RecordBatch)):
        return _Reader(lambda frame: frame.schema.names, _of_arrow)
    if hasattr(value, "collect"):  # a query, whose result is the frame
        return None
    if hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__"):
        return _Reader(_schema_names, _of_capsule) if _is_table(value) else None
    return None


def _is_table(value: Any) -> bool:
    """Return whether an object with the Arrow interface has columns, unlike a series.

    Where its schema cannot be read without pyarrow, one that is also an array is taken for that.
    """
    return not hasattr(value, "__array__") or hasattr(value, "columns")


def _table(value: Any) -> Any:
    """Return an object with the Arrow interface as a pyarrow.Table, without a copy."""
    pyarrow = need("pyarrow", "data", f"reading a {type(value).__name__} through Arrow")
    if hasattr(value, "__arrow_c_stream__"):
        return pyarrow.table(value)
    return pyarrow.Table.from_batches([pyarrow.record_batch(value)])


def _schema_names(value: Any) -> Sequence[Any]:
    columns = getattr(value, "columns", None)
    if columns is not None and not callable(columns):
        return list(columns)
    names: Sequence[Any] = _table(value).schema.names
    return names


def _of_capsule(name: str, value: Any) -> list[_Column]:
    return _of_arrow(name, _table(value))


def _of_arrow(name: str, table: Any) -> list[_Column]:
    """Return the columns of a pyarrow Table or RecordBatch."""
    import pyarrow

    types = pyarrow.types
    columns = []
    for label, column in zip(table.schema.names, table.columns, strict=True):
        kind = column.type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise _not_numbers(name, label, str(kind))
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            raise _missing(name, label, row)
        chunks = column.chunks if isinstance(column, pyarrow.ChunkedArray) else [column]
        dtype = np.dtype(kind.to_pandas_dtype())
        if types.is_boolean(kind):  # bits, which become bytes
            columns.append(_Column(label, dtype, tuple(chunks), _unpacked))
        else:
            columns.append(_Column(label, dtype, tuple(chunk.to_numpy() for chunk in chunks)))
    return columns


def _unpacked(chunk: Any) -> AnyArray:
    array: AnyArray = chunk.to_numpy(zero_copy_only=False)
    return array


def _of_polars(name: str, frame: Any) -> list[_Column]:
    """Return the columns of a polars DataFrame."""
    columns = []
    for series in frame.get_columns():
        if series.null_count():
            raise _missing(name, series.name, int(series.is_null().arg_max()))
        chunks = tuple(series.get_chunks())
        if str(series.dtype) == "Boolean":  # bits, which become bytes
            convert = operator.methodcaller("to_numpy")
            columns.append(_Column(series.name, np.dtype(bool), chunks, convert))
            continue
        dtype = series[:0].to_numpy().dtype
        if dtype.kind not in "fiu":
            raise _not_numbers(name, series.name, str(series.dtype))
        columns.append(_Column(series.name, dtype, tuple(one.to_numpy() for one in chunks)))
    return columns


def _of_pandas(name: str, frame: Any) -> list[_Column]:
    """Return the columns of a pandas DataFrame."""
    columns = []
    for place, (label, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        series = frame.iloc[:, place]
        # of masked, Arrow and sparse columns
        plain = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
        if not isinstance(plain, np.dtype) or plain.kind not in "fiubO":
            raise _not_numbers(name, label, str(dtype))
        if plain is not dtype and bool((gaps := series.isna()).any()):
            raise _missing(name, label, int(np.argmax(gaps.to_numpy())))
        if plain.kind == "O":
            array = _numbers_of(name, label, series.to_numpy())
            columns.append(_Column(label, array.dtype, (array,)))
        elif plain is dtype:
            columns.append(_Column(label, plain, (series.to_numpy(),)))
        else:
            sparse = hasattr(dtype, "subtype")
            convert = np.asarray if sparse else operator.methodcaller("to_numpy", dtype=plain)
            columns.append(_Column(label, plain, (series.array,), convert))
    return columns


def _numbers_of(name: str, label: Any, array: AnyArray) -> AnyArray:
    """Return the numbers of a column of objects."""
    numbers_only = from_objects(array)
    if numbers_only.dtype.kind != "O":
        return numbers_only
    for row, value in enumerate(array):
        if value is None or type(value).__name__ in ("NAType", "NaTType"):
            raise _missing(name, label, row)
        if not isinstance(value, (numbers.Real, np.bool_)):
            raise TypeError(
                f"{name}'s column {label!r} has {value!r} ({type(value).__name__}) in row {row}, "
                f"not a number: {ENCODE}"
            )
    raise TypeError(f"{name}'s column {label!r} has numbers that no float holds: scale them")
