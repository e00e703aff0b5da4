"""Frozen dataclasses whose fields are kept in their checked form."""

from __future__ import annotations

from typing import Any

__all__ = ["set_fields"]


def set_fields(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass; for its ``__post_init__`` alone."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
