"""Frozen dataclasses: with hints at wrong arguments, and fields kept in their checked form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

from fastgd._arguments import helpful

__all__ = ["frozen", "set_fields"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Return a class as a frozen dataclass that says what a wrong argument's name may mean."""
    made = dataclass(frozen=True)(kind)
    made.__init__ = helpful(made.__init__)  # type: ignore[method-assign]
    return made


def set_fields(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass; for its ``__post_init__`` alone."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
