"""Completion of options in the shell, by the package argcomplete where it is installed."""

from __future__ import annotations

import contextlib
import os
from importlib import import_module

from fastgd.commandline._options import predict_parser, train_parser

__all__ = ["complete"]


def complete() -> None:
    """Answer a shell that asks for completions, and exit; otherwise do nothing.

    ``eval "$(register-python-argcomplete fastgd)"`` makes bash and zsh ask.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    with contextlib.suppress(ImportError):
        words = os.environ.get("COMP_LINE", "").split()
        parser = predict_parser() if words[1:2] == ["predict"] else train_parser()
        import_module("argcomplete").autocomplete(parser)
