"""`Encoding`: how a table's columns become a network's inputs and targets, and back.

It is learned from a table once (`_learning`), stored in the model's file, and then encodes any
table with the same columns.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgd._words import near_name
from fastgd.tables._inputs import CategoryColumn, DateColumn, InputColumn, NumberColumn
from fastgd.tables._mending import shorten
from fastgd.tables._table import InputError, Table
from fastgd.tables._targets import ClassTarget, NumbersTarget, NumberTarget, Target

if TYPE_CHECKING:
    from fastgd.network import Network

__all__ = ["Encoding", "header_doubt", "require_columns", "split_names"]

Floats = NDArray[np.float32]
VERSION = 2


@dataclass(frozen=True)
class Encoding:
    """The mapping from a table's columns to a network's inputs and target."""

    columns: tuple[InputColumn, ...]
    target: Target

    @property
    def n_features(self) -> int:
        """The number of the network's inputs."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> list[str]:
        """The names of the input columns."""
        return [column.name for column in self.columns]

    @property
    def gapless(self) -> list[str]:
        """The names of the input columns that may not have missing values."""
        return [column.name for column in self.columns if not column.missing]

    def describe(self) -> str:
        """Describe the inputs in words."""
        kinds = [
            f"{column.name} ({column.kind})" if column.kind else column.name
            for column in self.columns
        ]
        rest = f" and {len(kinds) - 12} more" if len(kinds) > 12 else ""
        return ", ".join(kinds[:12]) + rest

    def features(self, table: Table, unknown: str = "error") -> Floats:
        """Return the network's inputs, of shape (n, n_features).

        Parameters
        ----------
        table : Table
            A table with all input columns, without missing values in those of `gapless`.
        unknown : {"error", "ignore"}
            What to do with a category that the training file did not have: raise InputError, or
            encode it as zeros.
        """
        X = np.empty((len(table), self.n_features), dtype=np.float32)
        start = 0
        for column in self.columns:
            X[:, start : start + column.width] = column.encode(table, unknown)
            start += column.width
        return X

    def to_fields(self) -> dict[str, Any]:
        """Return the encoding as JSON values, with exact numbers."""
        return {
            "version": VERSION,
            "columns": [asdict(column) for column in self.columns],
            "target": asdict(self.target),
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Encoding:
        """Return the encoding from the result of `to_fields`; InputError if it is damaged."""
        try:
            if fields["version"] > VERSION:
                raise InputError("it was saved by a later version of fastgd: install that one")
            columns = tuple(_column(column) for column in fields["columns"])
            return cls(columns, _target(fields["target"]))
        except (KeyError, TypeError, OverflowError, UnicodeError) as error:
            raise InputError(f"its description of the columns is damaged ({error!r})") from error

    def require_fit(self, net: Network) -> None:
        """Raise InputError if a network does not match this encoding."""
        target = self.target
        due = self.n_features, target.outputs, target.loss
        if (net.sizes[0], net.sizes[-1], net.loss) != due:
            raise InputError("its network and its columns do not fit together")


def _column(fields: dict[str, Any]) -> InputColumn:
    name = _text(fields["name"])
    missing = _flag(fields.get("missing", False))
    if "values" in fields:
        other = _flag(fields.get("other", False))
        return CategoryColumn(name, _texts(fields["values"], at_least=1), other, missing)
    if "format" in fields:
        first, scale = _moments({"mean": fields["first"], "scale": fields["scale"]})
        year, year_scale = _moments({"mean": fields["year"], "scale": fields["year_scale"]})
        form, hours = _text(fields["format"]), _flag(fields["hours"])
        return DateColumn(name, form, first, scale, year, year_scale, hours, missing)
    fill = fields.get("fill")
    if fill is not None:
        fill, _ = _moments({"mean": fill, "scale": 1})
    return NumberColumn(name, *_moments(fields), fill)


def _target(fields: dict[str, Any]) -> Target:
    if "targets" in fields:
        targets = tuple(
            NumberTarget(_text(target["name"]), *_moments(target)) for target in fields["targets"]
        )
        if not targets:
            raise TypeError("its list of targets is empty")
        return NumbersTarget(targets)
    if "classes" in fields:
        return ClassTarget(_text(fields["name"]), _texts(fields["classes"], at_least=2))
    return NumberTarget(_text(fields["name"]), *_moments(fields))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is not true or false")
    return value


def _text(value: Any) -> str:
    """Return a text from a file; TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    value.encode()  # JSON allows lone surrogates, which cannot be written
    return value


def _texts(values: Any, at_least: int) -> tuple[str, ...]:
    """Return a list of distinct texts from a file."""
    texts = tuple(map(_text, values)) if isinstance(values, list) else ()
    if not at_least <= len(set(texts)) == len(texts):
        raise TypeError("its categories are not a list of different texts")
    return texts


def _moments(fields: dict[str, Any]) -> tuple[float, float]:
    """Return a mean and a deviation from a file."""
    mean, scale = fields["mean"], fields["scale"]
    numbers = type(mean) in (int, float) and type(scale) in (int, float)
    if not numbers or not math.isfinite(mean) or not 0 < scale < math.inf:
        raise TypeError(f"the mean {mean!r} and the deviation {scale!r} are not valid numbers")
    return float(mean), float(scale)


def split_names(table: Table, text: str) -> list[str]:
    """Return the columns that an option names: one, or several in CSV syntax."""
    if text in table.columns:  # its name may hold commas
        return [text]
    cells = next(csv.reader([text], skipinitialspace=True), [])
    return [name for cell in cells if (name := cell.strip())]


def require_columns(
    table: Table, names: Iterable[str], why: str, encoding: Encoding | None = None
) -> None:
    """Raise InputError if the table lacks one of the columns.

    With a model's `encoding`, the names come from the model, not from the user. The message then
    suggests a similarly named column of the file, but never one that the model uses itself.
    """
    lacking = [name for name in names if name not in table.columns]
    if not lacking:
        return
    known = [] if encoding is None else [*encoding.names, *encoding.target.names]
    others = [name for name in table.columns if name not in known]
    found = ((name, near_name(name, others)) for name in lacking)
    name, near = next((pair for pair in found if pair[1]), ("", None))
    hint = ""
    if near and encoding is not None:
        hint = f" (if {near!r} is {name!r}, rename it)"
    elif near:
        hint = f" (did you mean {near!r}?)"
    noun = "column" if len(lacking) == 1 else "columns"
    raise InputError(
        f"{table.source} has no {noun} {shorten(lacking)}{hint}, {why}; it has "
        f"{shorten(table.columns, 20)}{header_doubt(table)}"
    )


def header_doubt(table: Table) -> str:
    """Return a question to append to a message if the first line may not be a header."""
    if any(table.is_number(name) for name in table.columns):
        return ": is its first line a header?"
    if table.unnamed > len(table.columns):
        return ": is its first line a title? Remove the lines above the columns' names"
    return ": is the --sep right?" if len(table.columns) == 1 else ""
