"""Text tables for a graph's passes; for their contents see `_graph`."""

from __future__ import annotations

from collections.abc import Sequence

from fastgd._typing import AnyArray

__all__ = ["Text", "brief", "table"]

#: longer arrays are shortened to the first and the last number
MOST_NUMBERS = 6


class Text(str):
    """A string whose repr is its lines, for interactive sessions."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def brief(array: AnyArray, *, shape: bool = False, most: int = MOST_NUMBERS) -> str:
    """Return an array on one line: its numbers, or the first and last, and optionally its shape."""
    if array.size <= most:
        return _nested(array)
    first, last = (_number(array.reshape(-1)[i].item(), digits=3) for i in (0, -1))
    inside = f"{first}, ..., {last}"
    sizes = f" ({' x '.join(f'{size:,}' for size in array.shape)})" if shape else ""
    return "[" * array.ndim + inside + "]" * array.ndim + sizes


def _nested(array: AnyArray) -> str:
    if array.ndim == 0:
        return _number(array.item())
    return f"[{', '.join(map(_nested, array))}]"


def _number(value: float, digits: int = 4) -> str:
    return f"{value + 0:.{digits}g}"  # adding 0 turns -0 into 0


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as a table, as wide as its cells."""
    lines = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    head, *body = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    rule = "-" * max(map(len, (head, *body)))
    return "\n".join([title, head, rule, *body])
