"""The directive `help-text`: what a command prints for --help, as it is when the site is built."""

from __future__ import annotations

import importlib
import os
from typing import Any
from unittest import mock

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class HelpText(SphinxDirective):
    """Show the help of the parser that a function makes: `.. help-text:: module.function`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a literal block."""
        module, _, function = self.arguments[0].rpartition(".")
        with mock.patch.dict(os.environ, {"COLUMNS": "90", "NO_COLOR": "1"}):
            text = getattr(importlib.import_module(module), function)().format_help()
        return [nodes.literal_block(text, text, language="none")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("help-text", HelpText)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
