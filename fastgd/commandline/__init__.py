"""The command line: ``python -m fastgd`` and the console script ``fastgd``."""

from fastgd.commandline._main import main

__all__ = ["main"]
