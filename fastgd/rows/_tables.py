"""Blocks of Parquet and Arrow IPC files: a row group or a record batch is a block.

pyarrow reads them (extra "data"). Columns of text become 0 and 1 for each value.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd._extras import need
from fastgd._typing import AnyArray
from fastgd._words import count, did_you_mean, listed, show
from fastgd.rows._blocks import Source

__all__ = ["ENDINGS", "TableBlocks", "load_pyarrow"]

MOST_VALUES = 1000  # of a column of text: each becomes a column of X
PIECE = 2048  # rows that are copied at a time, while their columns are in cache


def load_pyarrow(module: str = "pyarrow") -> Any:
    """Return pyarrow, or one of its modules; the error names the extra that has it."""
    return need(module, "data", "reading Parquet, Arrow and CSV files in blocks")


class _File(ABC):
    """A file of groups of rows.

    Attributes
    ----------
    schema : pyarrow.Schema
        Its columns.
    rows : list of int
        The number of rows in each group.
    name : str
        The file that messages about its columns and rows name.
    """

    kind = ""
    group = ""
    schema: Any
    rows: list[int]

    def __init__(self, path: str, name: str | None = None) -> None:
        self.path, self.name = path, path if name is None else name
        found = os.stat(path)
        self._stamp = found.st_size, found.st_mtime_ns
        try:
            self._open()
        except ImportError:  # pyarrow is missing: the file may be good
            raise
        except Exception as error:
            raise ValueError(
                f"{path!r} cannot be read as {self.kind}: {_line(error)}; write it again, or leave "
                "it out"
            ) from error

    def read(self, group: int, columns: list[str]) -> Any:
        """Return a group's columns as a pyarrow table."""
        self._check_unchanged()
        try:
            return self._read(group, columns)
        except Exception as error:
            first = sum(self.rows[:group])
            raise ValueError(
                f"{self.path!r}, {self.group} {group} (rows {first:,} to "
                f"{first + self.rows[group] - 1:,}), cannot be read: {_line(error)}; write the "
                "file again"
            ) from error

    def _check_unchanged(self) -> None:
        found = os.stat(self.path)
        if (found.st_size, found.st_mtime_ns) != self._stamp:
            raise ValueError(
                f"{self.path!r} has changed since it was opened: it had {self._stamp[0]:,} bytes "
                f"and has {found.st_size:,}; open it again"
            )

    @abstractmethod
    def _open(self) -> None:
        """Read the schema, and how many rows each group has."""

    @abstractmethod
    def _read(self, group: int, columns: list[str]) -> Any:
        """Return a group's columns as a pyarrow table."""


class _Parquet(_File):
    kind, group = "Parquet", "row group"

    def _open(self) -> None:
        with load_pyarrow("pyarrow.parquet").ParquetFile(self.path) as file:
            self._metadata = file.metadata
            self.schema = file.schema_arrow
        self.rows = [
            self._metadata.row_group(g).num_rows for g in range(self._metadata.num_row_groups)
        ]

    def _read(self, group: int, columns: list[str]) -> Any:
        parquet = load_pyarrow("pyarrow.parquet")
        with parquet.ParquetFile(
            self.path, metadata=self._metadata, page_checksum_verification=True
        ) as file:
            every = len(columns) == len(self.schema.names)
            return file.read_row_group(group, None if every else columns)  # names take time


class _Arrow(_File):
    kind, group = "an Arrow file", "record batch"

    def _open(self) -> None:
        pa = load_pyarrow()
        with pa.OSFile(self.path) as raw:
            self.schema = pa.ipc.open_file(raw).schema
            options = pa.ipc.IpcReadOptions(included_fields=[0])
            file = pa.ipc.open_file(raw, options=options)
            self.rows = [file.get_batch(g).num_rows for g in range(file.num_record_batches)]

    def _read(self, group: int, columns: list[str]) -> Any:
        pa = load_pyarrow()
        fields = [self.schema.get_field_index(name) for name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=sorted(fields))
        with pa.OSFile(self.path) as raw:
            batch = pa.ipc.open_file(raw, options=options).get_batch(group)
        return pa.Table.from_batches([batch])


#: how files are read, by the end of their name
ENDINGS: dict[str, type[_File]] = {
    ".parquet": _Parquet, ".pq": _Parquet,
    ".arrow": _Arrow, ".feather": _Arrow, ".ipc": _Arrow,
}  # fmt: skip


class TableBlocks(Source):
    """Blocks of Parquet or Arrow files.

    Parameters
    ----------
    paths : sequence of str
        The files, in the order of their rows.
    target : str or sequence of str
        The column or columns that have the targets.
    columns : sequence of str, or None
        The columns to train on; None for all others.
    weight : str or None
        The column with factors of the samples' losses.
    names : sequence of str, optional
        What messages call the files, where these are copies of a user's.

    Attributes
    ----------
    classes : tuple of str, or None
        The values of a target of text; y has their places in it.
    """

    def __init__(
        self,
        paths: Sequence[str],
        target: str | Sequence[str],
        columns: Sequence[str] | None,
        weight: str | None,
        names: Sequence[str] | None = None,
    ) -> None:
        self._files = [
            ENDINGS[os.path.splitext(path)[1].lower()](path, name)
            for path, name in zip(paths, paths if names is None else names, strict=True)
        ]
        first = self._files[0]
        targets: list[Any] = list(target) if isinstance(target, (list, tuple)) else [target]
        special = targets + ([] if weight is None else [weight])
        every = first.schema.names
        chosen = [n for n in every if n not in special] if columns is None else list(columns)
        for what, listed_names in (("target", targets), ("columns", chosen), ("weight", special)):
            for name in listed_names:
                _check_name(what, name, every, first.name)
        self._targets, self._weight, self._chosen = targets, weight, chosen
        self._used = list(dict.fromkeys(special + chosen))
        self._check_types()
        self._groups = [(file, g) for file in self._files for g in range(len(file.rows))]
        rows = [file.rows[g] for file, g in self._groups]
        if not sum(rows):
            shown = _these([file.name for file in self._files])
            raise ValueError(f"{shown} no rows: a training needs at least one")
        self._bounds = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
        texts = [n for n in self._used if _is_text(first.schema.field(n).type)]
        self._values = self._find_values(texts)
        self.classes = self._values.get(targets[0]) if len(targets) == 1 else None
        features: list[str] = []
        for name in chosen:
            values = self._values.get(name)
            features += [name] if values is None else [f"{name}={value}" for value in values]
        super().__init__(self._bounds, len(features), features)

    def _check_types(self) -> None:
        """Check that the columns have types that can be used, the same in all files."""
        first = self._files[0]
        for name in self._used:
            kind = first.schema.field(name).type
            if not (_is_number(kind) or _is_text(kind)):
                raise TypeError(
                    f"column {name!r} of {first.name!r} has type {kind}, which is neither numbers "
                    "nor text: convert it, or leave it out by columns="
                )
            if name == self._weight and not _is_number(kind):
                raise TypeError(f"the weights, column {name!r}, must be numbers, not {kind}")
            for file in self._files[1:]:
                _check_name("columns", name, file.schema.names, file.name)
                other = file.schema.field(name).type
                if other != kind and not (_is_text(other) and _is_text(kind)):
                    raise TypeError(
                        f"column {name!r} has type {kind} in {first.name!r}, but {other} in "
                        f"{file.name!r}: write it with one type"
                    )
        if len(self._targets) > 1 and any(
            _is_text(first.schema.field(name).type) for name in self._targets
        ):
            raise TypeError("several targets must be numbers: give one target that is text")

    def _find_values(self, texts: list[str]) -> dict[str, tuple[str, ...]]:
        """Return the values of each column of text, sorted: a pass over these columns."""
        found: dict[str, set[str]] = {name: set() for name in texts}
        for i in range(len(self._groups) if texts else 0):
            file, group = self._groups[i]
            table = file.read(group, texts)
            for name in texts:
                column = _plain(table.column(name))
                found[name].update(str(value) for value in column.unique().to_pylist()
                                   if value is not None)  # fmt: skip
                if len(found[name]) > MOST_VALUES:
                    raise ValueError(
                        f"column {name!r} has more than {MOST_VALUES:,} different values, each of "
                        "which would become a column of X: group them first, or leave it out by "
                        "columns="
                    )
        return {name: tuple(sorted(values)) for name, values in found.items()}

    def read(self, i: int) -> tuple[AnyArray, ...]:
        """Return (X, y) or (X, y, sample_weight) of block i."""
        table = self._table(i)
        numbers = [_numpy(table.column(n)) for n in self._chosen if n not in self._values]
        dtype = np.result_type(np.float32, *(column.dtype for column in numbers))
        X = np.empty((table.num_rows, self.n_features), dtype)
        return (X, *self._fill(i, table, X))

    def read_into(self, i: int, X: AnyArray) -> tuple[AnyArray, ...]:
        """Write the samples of block i into an array, and return the rest."""
        return self._fill(i, self._table(i), X)

    def _table(self, i: int) -> Any:
        file, group = self._groups[i]
        table = file.read(group, self._used)
        if table.num_rows != self._bounds[i + 1] - self._bounds[i]:
            raise ValueError(
                f"{file.path!r}, {file.group} {group}, has {count(table.num_rows, 'row')} where "
                f"the file says {file.rows[group]:,}: write it again"
            )
        return table

    def _fill(self, i: int, table: Any, X: AnyArray) -> tuple[AnyArray, ...]:
        """Write a table's features into X; return targets and weights."""
        columns: list[AnyArray] = []
        for name in self._chosen:
            if name in self._values:
                codes = self._codes(i, table, name)
                columns += [codes == value for value in range(len(self._values[name]))]
            else:
                columns.append(_numpy(table.column(name)))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(X), PIECE):
                piece = X[start : start + PIECE]
                for place, column in enumerate(columns):
                    piece[:, place] = column[start : start + PIECE]
        targets = [
            self._codes(i, table, name) if name in self._values else _numpy(table.column(name))
            for name in self._targets
        ]
        y = targets[0] if len(targets) == 1 else np.column_stack(targets)
        return (y,) if self._weight is None else (y, _numpy(table.column(self._weight)))

    def _codes(self, i: int, table: Any, name: str) -> AnyArray:
        """Return the places of a column's texts among its values."""
        pa = load_pyarrow()
        compute = load_pyarrow("pyarrow.compute")
        column = _plain(table.column(name))
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise ValueError(
                f"{self.place(i, row)}, column {name!r} is missing: fill it in, or leave such rows "
                "out"
            )
        values = pa.array(self._values[name], pa.string())
        codes: AnyArray = compute.index_in(column, values).to_numpy()
        return codes

    def place(self, i: int, row: int) -> str:
        """Return where a row of a block comes from, for messages."""
        file, group = self._groups[i]
        return f"row {sum(file.rows[:group]) + row:,} of {file.name!r}"


def _check_name(what: str, name: Any, names: Sequence[str], path: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} must name columns of {path!r}, not {show(name)}")
    if name not in names:
        raise ValueError(
            f"{path!r} has no column {name!r}{did_you_mean(name, names)}; its columns are "
            f"{listed(names[:20])}{' and more' if len(names) > 20 else ''}"
        )


def _is_number(kind: Any) -> bool:
    types = load_pyarrow("pyarrow.types")
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: Any) -> bool:
    types = load_pyarrow("pyarrow.types")
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _plain(column: Any) -> Any:
    """Return a column of text in one piece, as strings."""
    column = column.combine_chunks()
    return column.cast(load_pyarrow().string())


def _numpy(column: Any) -> AnyArray:
    """Return a column of numbers; missing ones are NaN."""
    array: AnyArray = column.to_numpy()
    if array.dtype == object:  # truth values with missing ones
        array = np.array([np.nan if value is None else float(value) for value in array])
    return array


def _these(paths: Sequence[str]) -> str:
    return f"{paths[0]!r} has" if len(paths) == 1 else f"these {len(paths)} files have"


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
