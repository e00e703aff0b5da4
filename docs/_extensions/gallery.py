"""The directive `picture-gallery`: every picture of examples/pictures.py, with its code.

sphinx-gallery makes one thumbnail and one page of each program. Twelve programs would repeat the
data and the trainings that these pictures share; here one program is run and tested, and each card
shows the part of it that draws its picture. The pictures are SVG, which follow light and dark.
"""

from __future__ import annotations

import ast
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


def program(name: str) -> str:
    """Return a program that shows one picture: its call, and what of the example it needs."""
    text = EXAMPLE.read_text(encoding="utf-8")
    tops = {tuple(_bound(node)): node for node in ast.parse(text).body if _bound(node)}
    pictures: Any = tops["PICTURES",]
    places = [key.value for key in pictures.value.keys]
    draw = pictures.value.values[places.index(name)]
    call = f"{draw.id}()" if isinstance(draw, ast.Name) else ast.get_source_segment(text, draw.body)
    needed = {"plt"} | _used(draw)
    while more := {use for names, top in tops.items() if needed & {*names} for use in _used(top)}:
        if more <= needed:
            break
        needed |= more
    parts = [
        (node, ast.get_source_segment(text, node) or "")
        for names, node in tops.items()
        if needed & {*names}
    ]
    imports = [part for node, part in parts if isinstance(node, (ast.Import, ast.ImportFrom))]
    others = [part for node, part in parts if not isinstance(node, (ast.Import, ast.ImportFrom))]
    return "\n\n\n".join(["\n".join(imports), *others, f"{call}\nplt.show()"])


def _bound(node: ast.stmt) -> list[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    return [each.id for each in getattr(node, "targets", []) if isinstance(each, ast.Name)]


def _used(node: ast.AST) -> set[str]:
    """Return the names that a piece of code uses."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def description(draw: Callable[[], Any]) -> str:
    """Return what a picture shows, for those who do not see it, from the docstring."""
    if match := re.search(r"lambda: plot\.(\w+)", inspect.getsource(draw)):
        draw = getattr(plot, match[1])
    return (inspect.getdoc(draw) or "").partition("\n")[0].removeprefix("Draw ").rstrip(".")


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
            f"      :alt: {words.capitalize()}: {description(draw)}",
            *(["      :class: wide"] if name == "graph" else []),
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
            *(f"      {line}" for line in program(name).splitlines()),
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
