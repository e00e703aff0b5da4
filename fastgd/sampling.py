"""Samplings: in which order an epoch takes the samples.

All backends take their batches as consecutive slices of the order that a sampling gives, so
that their trajectories can be compared step for step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fastgd import _sampling, _validation
from fastgd._typing import AnyArray, IndexArray

__all__ = [
    "SAMPLINGS",
    "Replacement",
    "Sampler",
    "Sequential",
    "Shuffle",
    "Stratified",
    "Subset",
    "make_sampler",
]


class Sampler(Protocol):
    """What ``train(sampling=...)`` takes: an object with this method."""

    def epoch(self, n: int, rng: np.random.Generator) -> Any:
        """Return the indices, from 0 to n - 1, of an epoch's samples, in their order."""


class Shuffle:
    """Each sample once, in a new random order each epoch: sampling without replacement."""

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return a uniformly random permutation."""
        return _sampling.permutation(n, rng)


class Replacement:
    """n independent draws: an epoch sees 1 - 1/e = 63.2 % of a large data set's samples."""

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return n independent uniform draws."""
        return _sampling.draws(n, n, rng)


class Sequential:
    """Each sample once, as they lie."""

    def __init__(self) -> None:
        self._order: IndexArray = np.empty(0, np.uint32)

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return 0 to n - 1."""
        if len(self._order) != n:
            self._order = np.arange(n, dtype=_sampling.index_dtype(n))
        return self._order


class Stratified:
    """Each sample once, in a new random order each epoch, the classes spread evenly.

    Any stretch of the order, and so any batch whatever its size, holds of each class its share
    of the stretch, to within two samples: the members of a class, shuffled, lie at equal
    distances, from a random place on.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Each sample's class.
    """

    def __init__(self, labels: AnyArray) -> None:
        classes, self._class = np.unique(labels, return_inverse=True)
        self._members = [np.flatnonzero(self._class == c) for c in range(len(classes))]

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return a random permutation in which the classes are spread evenly."""
        position = np.empty(n)
        for members in self._members:
            shuffled = members[_sampling.permutation(len(members), rng)]
            start = rng.random()
            position[shuffled] = (np.arange(len(members)) + start) / len(members)
        return np.argsort(position, kind="stable").astype(_sampling.index_dtype(n))


class _Checked:
    """A user's own sampling, whose every order is checked."""

    def __init__(self, sampling: Sampler) -> None:
        self._sampling = sampling

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        return _validation.check_order(self._sampling.epoch(n, rng), n)


class Subset:
    """Another sampling, of some of the samples: a fold of cross-validation, say.

    Parameters
    ----------
    sampling : Sampler
        Draws places in `samples`.
    samples : ndarray of shape (m,)
        The indices that may come.
    """

    def __init__(self, sampling: Sampler, samples: IndexArray) -> None:
        self._sampling = sampling
        self._samples = samples

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return the samples at the places that the other sampling draws."""
        order: IndexArray = self._samples[self._sampling.epoch(n, rng)]
        return order


#: Every sampling by name: how to make it from the samples' classes (None where they have none).
SAMPLINGS: dict[str, Callable[[AnyArray | None], Sampler]] = {
    "shuffle": lambda labels: Shuffle(),
    "replacement": lambda labels: Replacement(),
    "sequential": lambda labels: Sequential(),
    "stratified": lambda labels: _stratified(labels),
}


def _stratified(labels: AnyArray | None) -> Sampler:
    if labels is None:
        raise ValueError(
            "sampling='stratified' needs targets that are classes: the losses 'cross_entropy' "
            "(with class indices), 'log_loss', 'hinge' and 'squared_hinge' have them"
        )
    return Stratified(labels)


def make_sampler(sampling: str | Sampler, labels: AnyArray | None) -> Sampler:
    """Return the sampling of a name, or a user's own with its orders checked."""
    if callable(getattr(sampling, "epoch", None)) and not isinstance(sampling, str):
        return _Checked(sampling)
    if not isinstance(sampling, str):
        raise TypeError(
            f"sampling must be one of {', '.join(map(repr, SAMPLINGS))}, or an object with a "
            f"method epoch(n, rng), not {sampling!r}"
        )
    return SAMPLINGS[_validation.check_choice("sampling", sampling, SAMPLINGS)](labels)
