"""Where the package's modules are taken from; acts when `fastgd` imports it, before all others.

In a source folder the compiled modules are missing until they are built there. Python looks in
the current folder first, so that ``pip install .`` followed by ``python -m fastgd`` would find
the source, and not what was just installed.
"""

import os
import sys
from collections.abc import MutableSequence
from importlib.machinery import PathFinder

__all__ = ["complete"]

COMPILED = "fastgd.engine.engine"


def complete(path: MutableSequence[str]) -> MutableSequence[str]:
    """Return the package's path if the compiled modules are there, else an installed one's.

    Raises
    ------
    ImportError
        When they are in neither.
    """
    if _has_engine(path):
        return path
    for entry in sys.path:
        installed = [os.path.join(entry, "fastgd")]
        if _has_engine(installed):
            return installed
    raise ImportError(
        f"fastgd was found in {path[0]}, which is its source: the compiled modules have not been "
        "built there. Install it (pip install .), or build them in place (pip install -e .)"
    )


def _has_engine(path: MutableSequence[str]) -> bool:
    """Whether the compiled engine stands in a package with this path."""
    return bool(PathFinder.find_spec(COMPILED, [os.path.join(part, "engine") for part in path]))


_package = sys.modules["fastgd"]
_package.__path__ = complete(_package.__path__)
