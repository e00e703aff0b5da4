"""The directive `try-it`: a figure to play with, from _static/figures.js, and its data.

``.. try-it:: line`` (or ``saddle``, ``schedules``). The data are written into the page, so that it
needs nothing from elsewhere and opens from a file, too.
"""

from __future__ import annotations

import html
import json
from typing import Any

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fastgd.landscapes import Quintic

NAMES = {
    "en": {
        "line": "Figure to play with: a line fitted by gradient descent",
        "saddle": "Figure to play with: runs at a saddle",
        "schedules": "Figure to play with: a learning rate that falls",
        "script": "This figure needs JavaScript, which is turned off here.",
    },
    "ko": {
        "line": "직접 움직여 보는 그림: 경사하강법으로 맞추는 직선",
        "saddle": "직접 움직여 보는 그림: 안장점을 지나는 학습",
        "schedules": "직접 움직여 보는 그림: 줄어드는 학습률",
        "script": "이 그림을 보려면 자바스크립트가 필요합니다.",
    },
}


def points(n: int, noise: float) -> dict[str, list[float]]:
    """Return n points about the line 2 x + 1."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 2, n).round(3)
    y = (2 * x + 1 + noise * rng.standard_normal(n)).round(3)
    return {"x": x.tolist(), "y": y.tolist()}


def data(name: str) -> dict[str, list[float]]:
    """Return what a figure shows."""
    if name == "saddle":
        return {"tilts": Quintic().tilts[:, 0].tolist()}
    return points(64, 0.6) if name == "line" else points(100, 1.0)


def markup(name: str, language: str) -> str:
    """Return a figure's place, its data, and what stands there without a script."""
    words = NAMES[language]
    numbers = json.dumps(data(name)).replace("</", "<\\/")
    return (
        f'<div class="fgd-figure" role="group" aria-label="{html.escape(words[name])}" '
        f'data-figure="{name}" data-language="{language}">'
        f'<script type="application/json">{numbers}</script>'
        f"<noscript><p>{words['script']}</p></noscript></div>"
    )


class TryIt(SphinxDirective):
    """Show a figure to play with."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the figure in the language of the page."""
        name = directives.choice(self.arguments[0], ("line", "saddle", "schedules"))
        language = "ko" if "/ko/" in f"/{self.env.docname}" else "en"
        return [nodes.raw("", markup(name, language), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("try-it", TryIt)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
