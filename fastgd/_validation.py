"""Check and convert user input.

A check returns the value in the form that the rest of the package computes with, or raises a
TypeError or ValueError that says what was given, what is allowed, and what to do. Conditions on
several arguments are checked where these meet, such as in `training`. No check changes a user's
object, and nothing else does before the last check.
"""

from __future__ import annotations

import inspect
import math
import numbers
import operator
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from fastgd._typing import FloatArray
from fastgd._words import did_you_mean, listed, show

__all__ = [
    "as_float",
    "check_batch_size",
    "check_batch_sizes",
    "check_bool",
    "check_callbacks",
    "check_choice",
    "check_dtype",
    "check_function",
    "check_int",
    "check_pair",
    "check_rates",
    "check_real",
    "check_record",
    "check_rng",
    "check_threads",
    "is_true",
]


def check_int(name: str, value: Any, *, at_least: int, at_most: int | None = sys.maxsize) -> int:
    """Return an integer within bounds; the default upper bound is what compiled code can hold."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, not the truth value {value}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {show(value)}") from None
    if number < at_least:
        raise ValueError(f"{name} is {show(number)}, but must be at least {at_least}")
    if at_most is not None and number > at_most:
        raise ValueError(f"{name} is {show(number)}, but must be at most {at_most}")
    return number


def check_real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return a finite number within bounds."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (float, numbers.Real)):
        hint = f": use float({value})" if type(value).__name__ == "Decimal" else ""
        raise TypeError(f"{name} must be a number, not {show(value)}{hint}")
    number = as_float(value)
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (at_least is None or number >= at_least)
        and (below is None or number < below)
        and (at_most is None or number <= at_most)
    )
    if not inside:
        bounds = {"above": above, "at least": at_least, "below": below, "at most": at_most}
        allowed = [f"{words} {bound}" for words, bound in bounds.items() if bound is not None]
        given = value if math.isfinite(number) else number
        raise ValueError(f"{name} is {given}, but must be {' and '.join(['finite', *allowed])}")
    return number


def as_float(value: Any) -> float:
    """Return a real number as a float, infinite if it is too large for one."""
    try:
        return float(value)
    except OverflowError:  # an int or a Fraction
        return math.inf if value > 0 else -math.inf


def check_pair(name: str, value: Any, *, at_least: float, below: float) -> tuple[float, float]:
    """Return two numbers within bounds."""
    if not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"{name} must be two numbers, not {show(value)}")
    first, second = (
        check_real(f"{name}[{place}]", number, at_least=at_least, below=below)
        for place, number in enumerate(value)
    )
    return first, second


def check_bool(name: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, not {show(value)}")
    return bool(value)


def check_choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """Return a name that is one of those allowed."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {listed(allowed)}, not {show(value)}")
    if value not in allowed:
        raise ValueError(
            f"{name} is {value!r}, but must be one of {listed(allowed)}"
            f"{did_you_mean(value, allowed)}"
        )
    return value


def check_function(name: str, value: Any, *arguments: str) -> None:
    """Check that a value can be called with as many arguments as are named here.

    A function without a readable signature, such as some compiled ones, is accepted.
    """
    takes = f"({', '.join(arguments)})"
    if not callable(value):
        raise TypeError(f"{name} must be a function that takes {takes}, not {show(value)}")
    try:
        signature = inspect.signature(value, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(
            f"{name} must be a function that takes {takes}, but {show(value)} takes {signature}: "
            f"{error}"
        ) from None


def check_callbacks(callbacks: Any, *arguments: str) -> tuple[Callable[..., Any], ...]:
    """Return the functions that are called after each epoch, with these arguments."""
    listed = tuple(callbacks) if isinstance(callbacks, Iterable) else ()
    if not isinstance(callbacks, Iterable) or not all(map(callable, listed)):
        raise TypeError(
            f"callbacks must list functions that take ({', '.join(arguments)}), as in "
            f"callbacks=[function], not {show(callbacks)}"
        )
    for place, callback in enumerate(listed):
        check_function(f"callbacks[{place}]", callback, *arguments)
    return listed


def is_true(answer: Any) -> bool:
    """Return whether a callback returned Python's or NumPy's True, which ends a training."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


def check_record(record: Any, allowed: Collection[str]) -> set[str]:
    """Return the names of the quantities that a trace records."""
    if isinstance(record, str) or not isinstance(record, Iterable):
        name = record if isinstance(record, str) else "loss"
        raise TypeError(f"record must list names, as in record=({name!r},), not {show(record)}")
    return {check_choice("record", name, allowed) for name in record}


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64."""
    checked: np.dtype[Any] | None
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    # NumPy takes None for float64, which is not the default here
    if dtype is None or checked is None or checked not in (np.float32, np.float64):
        raise ValueError(f"dtype is {dtype!r}, but must be 'float32' or 'float64'")
    return checked


def check_rng(rng: Any) -> np.random.Generator:
    """Return a generator from a seed, a generator, or None for a fresh one."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is not None and not isinstance(
        rng, (int, np.integer, np.random.BitGenerator, np.random.SeedSequence)
    ):
        raise TypeError(
            "rng must be None, a whole number as seed, or a numpy.random.Generator, such as "
            f"numpy.random.default_rng(0), not {show(rng)}"
        )
    if isinstance(rng, (int, np.integer)):
        check_int("rng", rng, at_least=0, at_most=None)
    return np.random.default_rng(rng)


def check_batch_size(batch_size: int | None, n_samples: int) -> int:
    """Return the batch size; None, or a size above n_samples, means all samples."""
    if batch_size is None:
        return n_samples
    if isinstance(batch_size, str):
        raise TypeError(
            f"batch_size must be a whole number, or None for all samples, not {batch_size!r}"
        )
    return min(check_int("batch_size", batch_size, at_least=1), n_samples)


def check_batch_sizes(batch_sizes: Any, n_samples: int) -> list[int]:
    """Return several batch sizes; those that mean all samples count as one."""
    if isinstance(batch_sizes, (str, bytes)) or not isinstance(batch_sizes, Iterable):
        raise TypeError(
            f"batch_sizes must list numbers or None, as [1, 32], not {show(batch_sizes)}"
        )
    sizes = [check_batch_size(size, n_samples) for size in batch_sizes]
    if not sizes:
        raise ValueError("batch_sizes is empty: name at least one, such as [1, 32, None]")
    for size in sizes:
        if size < n_samples and sizes.count(size) > 1:
            raise ValueError(f"batch_sizes has {size} twice: name each once")
    return list(dict.fromkeys(sizes))


def check_threads(n_threads: int | None) -> int:
    """Return the most threads to use; 0 for all."""
    return 0 if n_threads is None else check_int("n_threads", n_threads, at_least=1)


def check_rates(rates: Any, steps: int) -> FloatArray:
    """Return a copy of a schedule's learning rates, one per step."""
    array = np.array(rates, np.float64)
    if array.shape != (steps,) or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"the schedule's rates() must return ({steps},) finite learning rates of at least 0, "
            f"not {show(array)}"
        )
    return array
