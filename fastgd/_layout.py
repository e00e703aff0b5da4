"""The flat layout of a network's parameters: each layer's weights, then its biases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fastgd._typing import FloatArray

__all__ = ["count", "split"]


def count(sizes: Sequence[int]) -> int:
    """Return the number of parameters."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))


def split(
    sizes: Sequence[int], flat: FloatArray
) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Return views on a flat vector: weights (n_in, n_out) and biases (n_out,) of each layer."""
    weights, biases, at = [], [], 0
    for n_in, n_out in pairwise(sizes):
        weights.append(flat[at : at + n_in * n_out].reshape(n_in, n_out))
        at += n_in * n_out
        biases.append(flat[at : at + n_out])
        at += n_out
    return tuple(weights), tuple(biases)
