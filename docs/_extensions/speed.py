"""The directive `speed-chart`: fastgd's time beside the best peer's, from docs/peers.json.

A table with bars in it, which a phone and a screen reader can show, too. What the figures are and
how they were measured is said on the page about performance.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FIGURES = Path(__file__).parents[1] / "peers.json"
NAMES = {"numba": "Numba", "jax": "JAX", "numpy": "NumPy", "torch": "PyTorch"}
LOSSES = {"log_loss": "logistic", "cross_entropy": "softmax"}


def workload(result: dict[str, Any]) -> str:
    """Return the name of a workload, as people say it."""
    sizes = result["sizes"]
    if len(sizes) > 2:
        kind = f"network {'-'.join(map(str, sizes))}"
    else:
        kind = f"{LOSSES.get(result['loss'], 'linear')}, {sizes[0]} inputs"
        kind += f", {sizes[1]} classes" if sizes[1] > 1 else ""
    return f"{kind}; batch size {result['batch']}"


def peers(result: dict[str, Any]) -> dict[str, float]:
    """Return the milliseconds of all others by their names."""
    times = {row["peer"]: row["ms"] for row in result["rows"]}
    return {name: ms for name, ms in times.items() if not name.startswith("fastgd")}


def rows() -> list[tuple[str, float, float, str]]:
    """Return for each workload its name, fastgd's milliseconds, the best peer's, and its name."""
    found = []
    for result in json.loads(FIGURES.read_text())["results"]:
        (own,) = (row["ms"] for row in result["rows"] if row["peer"] == "fastgd")
        others = peers(result)
        best = min(others, key=lambda name: others[name])
        found.append((workload(result), own, others[best], NAMES.get(best, best)))
    return found


class SpeedChart(SphinxDirective):
    """Show how many times as fast fastgd is as the best peer."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        measured = rows()
        count = len(peers(json.loads(FIGURES.read_text())["results"][0]))
        ratios = [peer / own for _, own, peer, _ in measured]
        lines = [
            f'<tr><th scope="row">{html.escape(name)}</th>'
            f'<td><span class="bar" style="width: {100 * ratio / max(ratios):.1f}%"></span></td>'
            f"<td><b>{ratio:.1f}</b>× {html.escape(best)}</td></tr>"
            for (name, _, _, best), ratio in zip(measured, ratios, strict=True)
        ]
        caption = (
            f"fastgd trains an epoch {min(ratios):.1f} to {max(ratios):.1f} times as fast as the "
            f"best of {count} peers"
        )
        text = (
            f'<table class="speed"><caption>{caption}</caption><thead><tr><th>workload</th>'
            f"<th>speed</th><th>of the best peer</th></tr></thead><tbody>{''.join(lines)}</tbody>"
            "</table>"
        )
        return [nodes.raw("", text, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("speed-chart", SpeedChart)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
