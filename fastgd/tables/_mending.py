"""Messages about cells and columns that are not what they seem to be meant as, and what to do."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from typing import Any

from fastgd._words import count
from fastgd.tables._gaps import as_names
from fastgd.tables._table import InputError, Table

__all__ = ["mending", "nearly_numbers", "refuse_stray_text", "shorten", "too_many"]


def shorten(words: Iterable[str], most: int = 12) -> str:
    """List words for a message; count those beyond the first few."""
    words = list(words)
    shown = [repr(word) for word in words[:most]]
    if len(words) > most:
        return f"{', '.join(shown)} and {len(words) - most:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def refuse_stray_text(table: Table, name: str, option: str) -> None:
    """Raise InputError for a column of text in which at least half of the cells are numbers.

    It is probably meant as numbers, but some cells are wrong or have unsupported marks, such as
    thousands separators. `option` is the option for categories.
    """
    missing = table.missing(name)
    texts = Counter(table.texts(name)[~missing].tolist())
    n = texts.total()
    if 2 * sum(texts[text] for text in texts if holds_number(table, text)) < n:
        return
    row = table.first_non_number(name)
    text = str(table.texts(name)[row])
    plain = sum(texts[text] for text in texts if table.is_number(text))
    others = f"{plain:,} of the column's {n:,} cells are" if plain else "most cells seem to be some"
    raise InputError(
        f"{table.where(name, row)}: {text!r} is not a number, but {others}: "
        f"{mending(table, text)}, or give {option} if categories are meant"
    )


def nearly_numbers(table: Table, columns: Iterable[Any], meant: Iterable[str]) -> list[str]:
    """Return notes on columns of categories whose distinct texts are mostly numbers.

    Columns in `meant` are skipped. If half of the cells were numbers, `refuse_stray_text` would
    have raised an error; in the remaining cases one text fills most of the other cells.
    """
    notes = []
    for column in columns:
        texts = getattr(column, "values", getattr(column, "classes", ()))
        if column.name in meant or not texts or table.numbers(column.name) is not None:
            continue
        if 2 * sum(holds_number(table, text) for text in texts) > len(texts):
            row = table.first_non_number(column.name)
            text = str(table.texts(column.name)[row])
            notes.append(
                f"Note: {column.name} is read as categories, as {text!r} in "
                f"{table.line_word} {table.lines[row]} is not a number: {mending(table, text)}, "
                f"or say with --categorical {shlex.quote(as_names([column.name]))} that "
                "categories are meant."
            )
    return notes


def holds_number(table: Table, text: str) -> bool:
    """Return whether a cell is a number, possibly with marks."""
    return table.is_number(text) or table.plain(text) is not None or _decimal_comma(table, text)


def _decimal_comma(table: Table, text: str) -> bool:
    """Return whether a cell is a number with a decimal comma."""
    return table.decimal == "." and "," in text and table.is_number(text.replace(",", "."))


def mending(table: Table, text: str) -> str:
    """Return what to do about a cell that should be a number."""
    plain = table.plain(text)
    ways = [f"write such cells as {plain}"] if plain is not None else []
    if _decimal_comma(table, text):
        ways.append("give --decimal , if these are decimal commas")
    return ", or ".join(ways or ["correct the cell (a missing value is an empty one)"])


def too_many(table: Table, name: str, found: int, most: int) -> str:
    """Return a message about too many classes, with what may be meant."""
    numeric = table.numbers(name) is not None
    instead = "Give --task regression" if numeric else "Give another --target"
    text = (
        f"{table.source}, column {name!r} has {count(found, 'different value')}, more than "
        f"{count(most, 'class', 'classes')}. {instead}, or raise --max-categories"
    )
    if numeric:
        return text
    row = table.first_non_number(name)
    first = str(table.texts(name)[row])
    return (
        f"{text}. If it is meant to hold numbers, {first!r} in {table.line_word} "
        f"{table.lines[row]} is none: {mending(table, first)}"
    )
