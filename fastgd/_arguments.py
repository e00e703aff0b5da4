"""Names of arguments: the error for an unknown name suggests the one that may be meant.

For the arguments' values see `_validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar

from fastgd._words import also_called, near_name

__all__ = ["OPTIMIZER_ARGUMENTS", "helpful", "unknown_argument"]

#: the arguments of each optimizer, by its public name; filled by `fastgd.optimizers`
OPTIMIZER_ARGUMENTS: dict[str, list[str]] = {}

P = ParamSpec("P")
R = TypeVar("R")


def helpful(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that its error for an unknown argument suggests a name."""
    code = function.__code__
    allowed = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    names = frozenset(allowed)
    *_, owner, name = f".{function.__qualname__}".split(".")
    called = owner if name == "__init__" else name

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not names.issuperset(kwargs):
            wrong = next(one for one in kwargs if one not in names)
            raise unknown_argument(
                f"{called} takes no argument {wrong!r}",
                wrong,
                [one for one in allowed if one != "self"],
            )
        return function(*args, **kwargs)

    return checked


def unknown_argument(said: str, name: str, allowed: Collection[str]) -> TypeError:
    """Return the error for an unknown argument: `said`, and a suggestion.

    A function with an optimizer may have been given an argument of the optimizer, and one that
    trains a key of `train_many`'s settings.
    """
    if name == "samples" and not {"optimizer", "settings"}.isdisjoint(allowed):
        return TypeError(f"{said}: it belongs in the settings of train_many")
    meant = also_called(name, allowed)
    owner = ""
    if meant is None and "optimizer" in allowed:
        owner = _argument_of_optimizer(name, also_called)
    if meant is None and not owner:
        meant = near_name(name, allowed)
    if meant is None and not owner and "optimizer" in allowed:
        owner = _argument_of_optimizer(name, near_name)
    if owner:
        return TypeError(f"{said}: give it to the optimizer, as in {owner}")
    return TypeError(f"{said}: did you mean {meant!r}?" if meant else said)


def _argument_of_optimizer(name: str, find: Callable[[str, Collection[str]], str | None]) -> str:
    """Return how an optimizer is given an argument of this name; empty if none takes it."""
    for kind, arguments in OPTIMIZER_ARGUMENTS.items():
        meant = find(name, arguments)
        if meant == "learning_rate":
            return f"optimizer=fastgd.{kind}(learning_rate=...)"
        if meant:
            return f"optimizer=fastgd.{kind}(..., {meant}=...)"
    return ""
