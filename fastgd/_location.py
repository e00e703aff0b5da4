"""Find the folder with the compiled modules; runs on import, before all other modules.

In a source folder the compiled modules are missing until they are built there. Python searches
the current folder first, so after ``pip install .``, ``python -m fastgd`` would find the source
and not the installed package.
"""

import os
import sys
from collections.abc import MutableSequence
from importlib.machinery import PathFinder

__all__ = ["complete"]

COMPILED = "fastgd.engine.engine"


def complete(path: MutableSequence[str]) -> MutableSequence[str]:
    """Return the package's path if it has the compiled modules, else an installed package's.

    Raises
    ------
    ImportError
        When neither has them.
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
    """Return whether a package with this path has the compiled engine."""
    return bool(PathFinder.find_spec(COMPILED, [os.path.join(part, "engine") for part in path]))


_package = sys.modules["fastgd"]
_package.__path__ = complete(_package.__path__)
