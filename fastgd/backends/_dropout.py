"""Dropout: which units are dropped in a step. The definition, in NumPy.

Whether a unit is dropped is a pure function of a seed (drawn once per epoch), the sample's place in
the epoch, the layer and the unit, so it does not depend on threads or chunks. The function is
Philox4x32 with 10 rounds: Salmon, Moraes, Dror & Shaw 2011, "Parallel Random Numbers: As Easy as
1, 2, 3", doi:10.1145/2063384.2063405. The engine's kernel is src_c/kernels/dropout.inc.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd._validation import check_real
from fastgd._words import count, show

if TYPE_CHECKING:
    from fastgd._plan import Plan

__all__ = ["draw_seed", "masks", "philox", "threshold"]

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)


def philox(counter: AnyArray, key: tuple[int, int]) -> AnyArray:
    """Return four random 32-bit numbers for each counter.

    Parameters
    ----------
    counter : ndarray of uint64 and of shape (4, ...)
        Numbers below 2^32.
    key : (int, int)
        Two numbers below 2^32.
    """
    words = [word.astype(np.uint64) for word in counter]
    for turn in range(10):
        key0, key1 = (
            np.uint64((first + turn * bump) % 2**32)
            for first, bump in zip(key, (0x9E3779B9, 0xBB67AE85), strict=True)
        )
        even, odd = np.uint64(0xD2511F53) * words[0], np.uint64(0xCD9E8D57) * words[2]
        words = [(odd >> SHIFT) ^ words[1] ^ key0, odd & LOW, (even >> SHIFT) ^ words[3] ^ key1,
                 even & LOW]  # fmt: skip
    return np.array(words)


def draw_seed(plan: Plan, rng: np.random.Generator) -> int:
    """Return an epoch's seed; without dropout, nothing is drawn."""
    return int(rng.integers(2**64, dtype=np.uint64)) if any(plan.dropout) else 0


def threshold(rate: float) -> int:
    """Return the number below which a random 32-bit number drops its unit."""
    return min(round(rate * 2**32), 2**32 - 1)


def masks(plan: Plan, seed: int, places: IndexArray) -> list[FloatArray]:
    """Return the factors of the hidden units' outputs: 0, or 1 / (1 - rate).

    Parameters
    ----------
    plan : Plan
        The run's plan.
    seed : int
        The epoch's seed.
    places : ndarray of shape (n,)
        The samples' places in the epoch's order.

    Returns
    -------
    list of ndarray of shape (n, units)
        One for each hidden layer; empty without dropout.
    """
    if not any(plan.dropout):
        return []
    place = places.astype(np.uint64)[:, None]
    key = seed % 2**32, seed >> 32
    found: list[FloatArray] = []
    for layer, (rate, units) in enumerate(zip(plan.dropout, plan.sizes[1:-1], strict=True)):
        block = np.arange(-(-units // 4), dtype=np.uint64)[None, :]
        counter: Any = np.broadcast_arrays(block, np.uint64(layer), place & LOW, place >> SHIFT)
        words = (
            philox(counter, key).transpose(1, 2, 0).reshape(len(places), 4 * block.size)[:, :units]
        )
        keep = words >= threshold(rate)
        found.append(keep.astype(plan.X.dtype) * plan.X.dtype.type(1 / (1 - rate)))
    return found


def check_dropout(dropout: Any, n_hidden: int) -> tuple[float, ...]:
    """Return each hidden layer's share of dropped units; empty without dropout."""
    if isinstance(dropout, str) or not isinstance(dropout, Iterable):
        rates = [dropout] * max(n_hidden, 1)
    else:
        rates = list(dropout)
    checked = tuple(check_real("dropout", rate, at_least=0, below=1) for rate in rates)
    if not any(checked):
        return ()
    if len(checked) != n_hidden or n_hidden == 0:
        hint = "give one number for all of them, or one for each"
        if n_hidden == 0:
            hint = "only units of hidden layers can be dropped"
        raise ValueError(
            f"dropout is {show(dropout)}, but the network has {count(n_hidden, 'hidden layer')}: "
            f"{hint}"
        )
    return checked
