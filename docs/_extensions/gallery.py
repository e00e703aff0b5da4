"""The directive `picture-gallery`: every picture of examples/pictures.py, with its code."""

from __future__ import annotations

import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fastgd import plot

EXAMPLE = Path(__file__).parents[2] / "examples" / "pictures.py"


def code(draw: Callable[[], Any]) -> str:
    """Return what draws a picture: the body of a function, or what a lambda returns."""
    source = inspect.getsource(draw)
    if match := re.search(r"lambda: (.*?),?\s*$", source, re.DOTALL):
        return match[1]
    return inspect.cleandoc(source)


def description(draw: Callable[[], Any]) -> str:
    """Return what a picture is, for those who do not see it: the first line of a docstring."""
    if match := re.search(r"lambda: plot\.(\w+)", inspect.getsource(draw)):
        draw = getattr(plot, match[1])
    return (inspect.getdoc(draw) or "").partition("\n")[0]


class PictureGallery(SphinxDirective):
    """Draw all pictures, each on a card with its code folded below it."""

    def run(self) -> list[nodes.Node]:
        """Return the cards."""
        module = runpy.run_path(str(EXAMPLE))
        self.env.note_dependency(str(EXAMPLE))
        lines = [".. container:: gallery", ""]
        for place, (name, draw) in enumerate(module["PICTURES"].items()):
            lines += [f"   {line}" for line in self.card(name, draw, first=place == 0)]
        return self.parse_text_to_nodes("\n".join(lines))

    def card(self, name: str, draw: Callable[[], Any], *, first: bool) -> list[str]:
        """Return one card as reStructuredText."""
        words = name.replace("_", " ")
        setup = f"import runpy; PICTURES = runpy.run_path({str(EXAMPLE)!r})['PICTURES']"
        return [
            ".. container:: card",
            "",
            f"   **{words.capitalize()}**",
            "",
            "   .. plot::",
            f"      :context: {'reset' if first else 'close-figs'}",
            "      :include-source: False",
            f"      :alt: {description(draw)}",
            "",
            *([f"      {setup}"] if first else []),
            f"      PICTURES[{name!r}]()",
            "",
            "   .. raw:: html",
            "",
            f"      <details><summary>Code of {words}</summary>",
            "",
            "   .. code-block:: python",
            "",
            *(f"      {line}" for line in code(draw).splitlines()),
            "",
            "   .. raw:: html",
            "",
            "      </details>",
            "",
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("picture-gallery", PictureGallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
