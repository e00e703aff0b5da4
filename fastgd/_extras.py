"""Import the optional packages, when a feature needs them."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["need"]


def need(module: str, extra: str, what: str) -> Any:
    """Return an optional module; say which extra installs it if it cannot be imported.

    Parameters
    ----------
    module : str
        The module's full name.
    extra : str
        The extra in pyproject.toml.
    what : str
        What needs the module: the subject of the message.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{what} needs the package {module.partition('.')[0]}, which cannot be imported "
            f"({error}): pip install 'fastgd[{extra}]'",
            name=module,
        ) from error
