"""A network's layers as text, for `Network.summary`, and as HTML for notebooks."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from fastgd._columns import Column, as_html, fill
from fastgd._words import count

if TYPE_CHECKING:
    from fastgd.network import Network

__all__ = ["describe", "describe_html"]

MOST_NAMES = 8
HEADINGS = "layer", "inputs", "outputs", "activation", "parameters"


def describe(net: Network) -> str:
    """Return a network's layers, one a line, and what is known of its columns."""
    rows = [HEADINGS, *_layers(net)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    lines = [
        "  ".join(
            text.ljust(width) if place == HEADINGS.index("activation") else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, _total(net), *map(fill, _describe_columns(net))])


def describe_html(net: Network) -> str:
    """Return the same as an HTML table, and a paragraph below it."""
    from html import escape

    columns = [
        Column("", name, 0, itemgetter(place), name == "activation", name == "layer")
        for place, name in enumerate(HEADINGS)
    ]
    below = "".join(f"\n<p>{escape(text)}</p>" for text in _describe_columns(net))
    return as_html(columns, _layers(net), _total(net)) + below


def _layers(net: Network) -> list[tuple[str, ...]]:
    """Return the cells below `HEADINGS` for each layer."""
    rows: list[tuple[str, ...]] = []
    for place, W in enumerate(net.weights):
        activation = net.hidden[place] if place < len(net.hidden) else ""
        n_in, n_out, n_params = (f"{size:,}" for size in (*W.shape, W.size + W.shape[1]))
        rows.append((str(place + 1), n_in, n_out, activation, n_params))
    return rows


def _total(net: Network) -> str:
    return f"{count(net.n_params, 'parameter')} in {net.dtype.name}, loss {net.loss!r}"


def _describe_columns(net: Network) -> list[str]:
    """Return lines about the columns that the network takes; none if nothing is known."""
    standardised = "" if net.inputs is None else ", which it standardises"
    if net.feature_names is None:
        return [f"{count(net.sizes[0], 'raw column')}{standardised}"] if standardised else []
    names = [repr(name) for name in net.feature_names[:MOST_NAMES]]
    more = len(net.feature_names) - len(names)
    listed = ", ".join(names) + (f" and {more:,} more" if more else "")
    return [f"{count(net.sizes[0], 'column')}{standardised}: {listed}"]
