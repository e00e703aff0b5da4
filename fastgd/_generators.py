"""Save the states of NumPy's bit generators to a file, and restore them.

Every number of a state is checked first: NumPy itself accepts a position beyond the end of the
generator's array, and reads there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["restore", "to_fields"]

#: half of a 64-bit draw, kept for the next 32-bit one
HALF = {"has_uint32": 1, "uinteger": 2**32 - 1}
PCG = {"state": {"state": 2**128 - 1, "inc": 2**128 - 1}, **HALF}
#: each state's fields: the largest value of a number, or (dtype, length) of an array
FIELDS: dict[str, dict[str, Any]] = {
    "PCG64": PCG,
    "PCG64DXSM": PCG,
    "Philox": {
        "state": {"counter": ("uint64", 4), "key": ("uint64", 2)},
        "buffer": ("uint64", 4),
        "buffer_pos": 4,
        **HALF,
    },
    "SFC64": {"state": {"state": ("uint64", 4)}, **HALF},
    "MT19937": {"state": {"key": ("uint32", 624), "pos": 624}},
}


def to_fields(state: Any) -> Any:
    """Return a bit generator's state in JSON's own types, for `restore`."""
    if isinstance(state, Mapping):
        return {name: to_fields(value) for name, value in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": state.dtype.name}
    return state.item() if isinstance(state, np.generic) else state


def restore(state: Any) -> np.random.Generator:
    """Return a generator in a state taken from one, or read from a file.

    Raises
    ------
    ValueError
        When the state is not one that such a generator can be in.
    """
    name = state.get("bit_generator") if isinstance(state, Mapping) else None
    if not isinstance(name, str) or name not in FIELDS:
        raise ValueError(
            f"the training drew from {name}, but it can be resumed with NumPy's own bit "
            f"generators only: {', '.join(FIELDS)}"
        )
    checked = _checked(name, state, FIELDS[name])
    inner = checked["state"]
    # from these states every draw is 0, and rejection sampling never ends
    if "inc" in inner and inner["inc"] % 2 == 0:
        raise ValueError(f"the state of {name} is damaged: its 'inc' is even")
    if "pos" in inner and not (inner["key"][0] >> 31 or inner["key"][1:].any()):
        raise ValueError(f"the state of {name} is damaged: its 'key' is zero")
    bit_generator = getattr(np.random, name)(0)
    bit_generator.state = {"bit_generator": name, **checked}
    return np.random.Generator(bit_generator)


def _checked(name: str, values: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked fields of a state, in the form that NumPy takes."""
    checked: dict[str, Any] = {}
    for field, form in fields.items():
        value = values.get(field) if isinstance(values, Mapping) else None
        if isinstance(form, Mapping):
            checked[field] = _checked(name, value, form)
        elif isinstance(form, tuple):
            checked[field] = _words(name, field, value, *form)
        else:
            checked[field] = _number(name, field, value, form)
    return checked


def _words(name: str, field: str, value: Any, dtype: str, length: int) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, Mapping):
        value = value.get("array")
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise ValueError(f"the state of {name} is damaged: its {field!r} is not {length} numbers")
    most = int(np.iinfo(dtype).max)
    return np.array([_number(name, field, number, most) for number in value], dtype)


def _number(name: str, field: str, value: Any, most: int) -> int:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value <= most:
        raise ValueError(
            f"the state of {name} is damaged: its {field!r} holds a value that is not a whole "
            f"number from 0 to {most}"
        )
    return int(value)
