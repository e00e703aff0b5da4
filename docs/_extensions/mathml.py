"""Formulas as MathML, which browsers draw themselves: pages need no script from elsewhere.

docutils converts the LaTeX. What it does not know is a warning, and so fails the build.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def convert(node: nodes.Element, *, block: bool) -> str:
    """Return the formula of a node as a <math> element."""
    text = node.astext()
    if block and (r"\\" in text or "&" in text) and r"\begin" not in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    try:
        result: str = latex2mathml.tex2mathml(text, as_block=block)
    except MathError as error:
        logger.warning("cannot convert %r: %s", text, error, location=node)
        return text
    return result


def visit_inline(self: Any, node: nodes.Element) -> None:
    """Write a formula in a line."""
    self.body.append(convert(node, block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.Element) -> None:
    """Write a formula of its own."""
    self.body.append(f'<div class="math">{convert(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the renderer known to Sphinx, as `html_math_renderer = "mathml"`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
