"""Make tables of frames: mappings of arrays, and what pandas, polars and Arrow have.

For CSV files see `_csv`.
"""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from fastgd._words import count, show
from fastgd.tables._csv import read_csv
from fastgd.tables._table import TEXT, InputError, Table

__all__ = ["as_table"]


def as_table(frame: Any) -> Table:
    """Return a table with a frame's columns.

    Parameters
    ----------
    frame : mapping, frame, path or Table
        A mapping of names to one-dimensional arrays or lists; a frame of pandas or polars, an Arrow
        table; or the path of a CSV file. Dates become ISO text, and other objects their text.

    Raises
    ------
    TypeError, InputError
        When it is something else, or its columns have different lengths or no rows.
    """
    if isinstance(frame, Table):
        return frame
    if isinstance(frame, (str, os.PathLike)):
        return read_csv(os.fspath(frame))
    names = getattr(frame, "column_names", getattr(frame, "columns", None))
    if isinstance(frame, Mapping):
        names = list(frame)
    if names is None or not hasattr(frame, "__getitem__"):
        raise TypeError(
            "frame must be a frame of pandas, polars or Arrow, a mapping of names to columns, or "
            f"the path of a CSV file, not {show(frame)}"
        )
    twice = [name for name, n in Counter(map(str, names)).items() if n > 1]
    if twice:
        raise InputError(f"the frame has several columns {twice[0]!r}: give each its own name")
    columns = {str(name): _cells(str(name), frame[name]) for name in names}
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) != 1:
        raise InputError(
            "the frame must hold columns of one length, but has "
            f"{count(len(columns), 'column')} of the lengths {sorted(lengths)}"
        )
    (n,) = lengths
    if n == 0:
        raise InputError("the frame has no rows")
    return Table("the frame", columns, np.arange(n), line_word="row")


def _cells(name: str, values: Any) -> Any:
    """Return a column's cells: numbers as float64, anything else as text."""
    if hasattr(values, "combine_chunks"):  # an Arrow column
        values = values.to_numpy(zero_copy_only=False)
    array = np.asarray(values)
    if array.ndim != 1:
        raise InputError(f"column {name!r} of the frame has {array.ndim} dimensions, not one")
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    if array.dtype.kind == "M":
        return np.array(_iso(array), dtype=TEXT)
    cells = array.tolist()
    if array.dtype.kind == "O" and all(map(_is_number, cells)):
        return np.array([np.nan if _is_missing(cell) else float(cell) for cell in cells])
    return np.array([_text(cell) for cell in cells], dtype=TEXT)


def _iso(array: Any) -> list[str]:
    missing = np.isnat(array)
    texts = np.datetime_as_string(array.astype("datetime64[s]")).tolist()
    return ["" if gap else text for text, gap in zip(texts, missing.tolist(), strict=True)]


def _is_missing(cell: Any) -> bool:
    """Return whether an object is None, a nan, or pandas' NA or NaT."""
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell


def _is_number(cell: Any) -> bool:
    return not isinstance(cell, (bool, np.bool_)) and (isinstance(cell, Real) or _is_missing(cell))


def _text(cell: Any) -> str:
    if _is_missing(cell):
        return ""
    if isinstance(cell, (datetime.date, datetime.datetime)):
        return cell.isoformat()
    return str(cell).strip()
