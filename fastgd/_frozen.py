"""Frozen dataclasses that suggest names for unknown arguments and keep checked values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform

from fastgd._arguments import helpful

__all__ = ["frozen", "set_fields"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[T]) -> type[T]:
    """Make a class a frozen dataclass whose error for an unknown argument suggests a name."""
    made = dataclass(frozen=True)(kind)
    made.__init__ = helpful(made.__init__)  # type: ignore[method-assign]
    return made


def set_fields(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass; only for its ``__post_init__``."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
