"""Tables of text for a graph's passes; what stands in them is the business of `_graph`."""

from __future__ import annotations

from collections.abc import Sequence

from fastgd._typing import AnyArray

__all__ = ["Text", "brief", "table"]

#: arrays of more numbers are shortened to the first and the last
MOST_NUMBERS = 6


class Text(str):
    """A string that an interactive session shows as its lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def brief(array: AnyArray, *, shape: bool = False, most: int = MOST_NUMBERS) -> str:
    """Return an array on one line: its numbers, or two of many and perhaps its shape."""
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
    return f"{value + 0:.{digits}g}"  # a sum with 0 has no minus zero


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
