"""A network's layers as text, for `Network.summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgd._columns import fill
from fastgd._words import count

if TYPE_CHECKING:
    from fastgd.network import Network

__all__ = ["describe"]

MOST_NAMES = 8
HEADINGS = "layer", "inputs", "outputs", "activation", "parameters"


def describe(net: Network) -> str:
    """Return a network's layers, one a line, and what is known of its columns."""
    rows = [HEADINGS]
    for place, W in enumerate(net.weights):
        activation = net.hidden[place] if place < len(net.hidden) else ""
        numbers = (f"{size:,}" for size in (*W.shape, W.size + W.shape[1]))
        n_in, n_out, n_params = numbers
        rows.append((str(place + 1), n_in, n_out, activation, n_params))
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    lines = [
        "  ".join(
            text.ljust(width) if place == HEADINGS.index("activation") else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    total = f"{count(net.n_params, 'parameter')} in {net.dtype.name}, loss {net.loss!r}"
    return "\n".join([*lines, total, *_describe_columns(net)])


def _describe_columns(net: Network) -> list[str]:
    """Return lines about the columns that the network takes; none if nothing is known."""
    standardised = "" if net.inputs is None else ", which it standardises"
    if net.feature_names is None:
        return [f"{count(net.sizes[0], 'raw column')}{standardised}"] if standardised else []
    names = [repr(name) for name in net.feature_names[:MOST_NAMES]]
    more = len(net.feature_names) - len(names)
    listed = ", ".join(names) + (f" and {more:,} more" if more else "")
    return [fill(f"{count(net.sizes[0], 'column')}{standardised}: {listed}")]
