"""`show_config`: features of the build, and what this process uses."""

from __future__ import annotations

from typing import Any

from fastgd._version import __version__

__all__ = ["show_config"]


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, the instruction levels and the number of threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print, or return a dict, as `numpy.show_config` does.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: the version, "instruction level" (the one in use), "instruction
        levels supported" (by this CPU) and "compiled in", "threads compiled in" (whether
        the build has threads) and "threads" (how many it would use).

    Examples
    --------
    >>> import fastgd as gd
    >>> sorted(gd.show_config("dicts"))[:2]
    ['fastgd', 'instruction level']
    """
    from fastgd import _validation
    from fastgd.engine import engine

    _validation.check_choice("mode", mode, ("stdout", "dicts"))
    facts = {"fastgd": __version__} | engine.config()
    if mode == "dicts":
        return facts
    for name, value in facts.items():
        print(f"{name + ':':<32} {', '.join(value) if isinstance(value, list) else value}")
    if not facts["threads compiled in"]:
        print("This build has no threads: everything runs on one.")
    return None
