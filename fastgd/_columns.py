"""A table's columns, and the three forms of a table: plain text, rich text, HTML.

For the columns of a comparison see `comparison`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Column",
    "as_html",
    "as_rich",
    "cells",
    "duration",
    "fill",
    "head",
    "line",
    "number",
    "seconds",
    "significant",
]


@dataclass(frozen=True)
class Column:
    """A column: its two heading lines, its width in characters, and the function for its cells.

    If not all columns fit, the one with the highest `spare` is dropped first; those with 0 are
    never dropped.
    """

    upper: str
    lower: str
    width: int
    cell: Callable[[Any], str]
    left: bool = False
    names_rows: bool = False
    spare: int = 0

    @property
    def name(self) -> str:
        """The heading in one line."""
        return f"{self.upper} {self.lower}".strip()

    def pad(self, text: str) -> str:
        """Pad a cell to the column's width."""
        return f"{text:<{self.width}}" if self.left else f"{text:>{self.width}}"


def cells(columns: Sequence[Column], row: Any) -> list[str]:
    """Return a row's cells; the last one says so if the run diverged."""
    texts = [column.cell(row) for column in columns]
    return [*texts[:-1], "diverged"] if getattr(row, "diverged", False) else texts


def head(columns: Sequence[Column]) -> str:
    """Return the heading lines."""
    upper = "".join(column.pad(column.upper) for column in columns)
    lower = "".join(column.pad(column.lower) for column in columns)
    return f"{upper}\n{lower}\n{'-' * len(lower)}"


def line(columns: Sequence[Column], row: Any) -> str:
    """Return a row as a line of text."""
    texts = cells(columns, row)
    return "".join(column.pad(text) for column, text in zip(columns, texts, strict=True))


def fill(text: str, width: int = 79) -> str:
    """Break text into lines of at most `width` characters, never inside a word or an --option."""
    import textwrap

    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def number(value: float, digits: int, most: int = 7) -> str:
    """Format a number for a cell in at most 6 or 7 characters, so that a blank precedes it."""
    if not abs(value) < 1000:
        return f"{value:.{most - 6}e}"
    texts = (f"{value:.{some}f}" for some in range(digits, -1, -1))
    return next(text for text in texts if len(text) <= most)


def seconds(value: float) -> str:
    """Format a time for a table's cell."""
    digits = 4 if value < 0.01 else 3 if value < 1 else 1
    return f"{value:.{digits}f}"


def significant(value: float, digits: int = 4) -> str:
    """Format a number for a sentence: to some significant digits, if possible without exponent."""
    rounded = float(f"{value:.{digits}g}")
    if 1 <= abs(rounded) < 1e15:
        return f"{rounded:,.{max(0, digits - len(str(int(abs(rounded)))))}f}"
    return f"{rounded:.{digits}g}"


def duration(value: float) -> str:
    """Format a time for a sentence, with its unit."""
    for unit, name in ((1.0, "seconds"), (1e-3, "milliseconds")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value * 1e6:.3g} microseconds"


def as_rich(
    columns: Sequence[Column],
    rows: Sequence[Any],
    title: str,
    caption: str,
    marked: Any = None,
) -> Any:
    """Return a table that the package rich can print, with the marked row in bold."""
    return _Rich(columns, rows, title, caption, marked)


@dataclass(frozen=True)
class _Rich:
    """A table for rich, with the columns that fit the console."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    title: str
    caption: str
    marked: Any

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        columns, left_out = _fitting(self.columns, self.rows, options.max_width)
        caption = self.caption
        if left_out:
            caption += f" Not shown for lack of space: {', '.join(left_out)}."
        # Text, since rich would interpret square brackets in a str as markup
        table = Table(
            title=Text(self.title) if self.title else None,
            caption=Text(caption.strip()) if caption else None,
            title_justify="left", caption_justify="left",
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
        )  # fmt: skip
        for column in columns:
            name = f"{column.upper}\n{column.lower}".strip()
            table.add_column(Text(name), no_wrap=True, justify="left" if column.left else "right")
        for row in self.rows:
            diverged, marked = getattr(row, "diverged", False), row is self.marked
            style = "dim" if diverged else "bold" if marked else None
            table.add_row(*(Text(text) for text in cells(columns, row)), style=style)
        yield table


def _fitting(
    columns: Sequence[Column], rows: Sequence[Any], width: int
) -> tuple[list[Column], list[str]]:
    """Return the columns that fit, two blanks apart, and the names of the others."""
    kept = list(columns)
    while any(column.spare for column in kept):
        texts = zip(*(cells(kept, row) for row in rows), strict=True)
        sizes = (
            max(map(len, (column.upper, column.lower, *shown)))
            for column, shown in zip(kept, texts, strict=True)
        )
        if sum(sizes) + 2 * (len(kept) - 1) <= width:
            break
        kept.remove(max(kept, key=lambda column: column.spare))
    return kept, [column.name for column in columns if column not in kept]


def as_html(
    columns: Sequence[Column],
    rows: Sequence[Any],
    caption: str,
    marks: Sequence[tuple[Any, str]] = (),
) -> str:
    """Return a table element, with the column that names the rows first.

    `marks` are pairs of a row and its remark; the first one's row has the class "marked".
    """
    from html import escape

    columns = sorted(columns, key=lambda column: not column.names_rows)
    left = ' style="text-align: left"'
    sides = [left if column.left or column.names_rows else "" for column in columns]
    heads = "".join(
        f'<th scope="col"{side}>{escape(column.name)}</th>'
        for column, side in zip(columns, sides, strict=True)
    )
    body = []
    for row in rows:
        said = ", ".join(words for marked, words in marks if marked is row)
        kind = ' class="marked"' if marks and marks[0][0] is row else ""
        name, *others = (escape(text) for text in cells(columns, row))
        mark = f" <span>{escape(said)}</span>" if said else ""
        body.append(
            f'<tr{kind}><th scope="row"{sides[0]}>{name}{mark}</th>'
            + "".join(
                f"<td{side}>{text}</td>" for text, side in zip(others, sides[1:], strict=True)
            )
            + "</tr>"
        )
    return (
        '<table style="text-align: right">\n'
        f'<caption style="text-align: left">{escape(caption)}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody>\n</table>"
    )
