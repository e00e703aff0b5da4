"""What the reference lists, from the registries in the code as they are when the site is built.

The directives `losses` and `activations` make tables of formulas. Lists of classes are files that
pages include, as autosummary makes a page a name only of names that it finds in a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fastgd import optimizers, sampling
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES


def lists() -> dict[str, list[str]]:
    """Return the names of each list of classes, as they are used after `import fastgd`."""
    samplings = [name for name in sampling.__all__ if isinstance(getattr(sampling, name), type)]
    return {
        "optimizers": list(optimizers.__all__),
        "samplings": [f"sampling.{name}" for name in samplings],
    }


def write_lists(folder: Path) -> None:
    """Write each list as a file for pages of the folder to include."""
    for file, names in lists().items():
        lines = [".. currentmodule:: fastgd", "", ".. autosummary::", "   :toctree: generated"]
        lines += ["   :nosignatures:", "", *(f"   {name}" for name in names), ""]
        text = "\n".join(lines)
        (folder / f"_{file}.rst").write_text(text, encoding="utf-8")


def losses_table() -> list[str]:
    """Return the rows of the table of losses, in Markdown."""
    rows = ["| loss | a sample's loss | its slope by $z$ | link | targets |"]
    rows += ["| --- | --- | --- | --- | --- |"]
    for loss in LOSSES.values():
        targets = loss.targets.text + ("; one output" if loss.one_output else "")
        rows.append("| " + " | ".join([f"`{loss.name}`", *loss.text, targets]) + " |")
    return rows


def activations_table() -> list[str]:
    """Return the rows of the table of activations, in Markdown."""
    rows = ["| activation | formula | gain of the initial weights |", "| --- | --- | --- |"]
    rows += [f"| `{each.name}` | {each.text} | {each.gain:g} |" for each in ACTIVATIONS.values()]
    return rows


class Table(SphinxDirective):
    """A table in Markdown, parsed as if it stood on the page."""

    make = staticmethod(losses_table)

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        node = nodes.Element()
        lines = StringList(self.make(), source="the registry")
        self.state.nested_parse(lines, self.content_offset, node)
        return node.children


class Losses(Table):
    """The table of losses."""


class Activations(Table):
    """The table of activations."""

    make = staticmethod(activations_table)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("losses", Losses)
    app.add_directive("activations", Activations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
