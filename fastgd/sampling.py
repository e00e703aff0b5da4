"""Samplings: the order of the samples in an epoch.

All backends take batches as consecutive slices of a sampling's order, so that their trajectories
can be compared step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from fastgd import _data, _validation, _words
from fastgd._typing import AnyArray, IndexArray
from fastgd.batches import batch_bounds, count_steps, part_bounds, shard_size
from fastgd.engine import shuffle
from fastgd.losses import with_classes

__all__ = [
    "SAMPLINGS",
    "Sampler",
    "Poisson",
    "Replacement",
    "Sequential",
    "Sharded",
    "Shuffle",
    "Stratified",
    "draw_batches",
    "make_sampler",
    "make_sharded",
]


class Sampler(Protocol):
    """The interface of objects for ``train(sampling=...)``."""

    def epoch(self, n: int, rng: np.random.Generator) -> Any:
        """Return the indices, from 0 to n - 1, of an epoch's samples, in order."""


class Shuffle:
    """Each sample once, in a new random order each epoch: sampling without replacement."""

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return a uniformly random permutation."""
        return shuffle.permutation(n, rng)


class Replacement:
    """n independent draws: an epoch sees 1 - 1/e = 63.2 % of a large data set's samples."""

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return n independent uniform draws."""
        return shuffle.draws(n, n, rng)


class Sequential:
    """Each sample once, in the order of the data."""

    def __init__(self) -> None:
        self._order: IndexArray = np.empty(0, np.uint32)

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return 0 to n - 1."""
        if len(self._order) != n:
            self._order = np.arange(n, dtype=shuffle.index_dtype(n))
        return self._order


class Stratified:
    """Each sample once, in a new random order each epoch, the classes spread evenly.

    Any contiguous part of the order, and so any batch, has each class's share to within two
    samples: the shuffled members of a class are placed at equal distances, with a random offset.

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
            shuffled = members[shuffle.permutation(len(members), rng)]
            start = rng.random()
            position[shuffled] = (np.arange(len(members)) + start) / len(members)
        return np.argsort(position, kind="stable").astype(shuffle.index_dtype(n))


class Poisson:
    """Each batch takes each sample with probability batch_size / n, independently of all others.

    Batches differ in size, and may be empty. Privacy accounting of differentially private
    gradient descent assumes this sampling (Abadi et al. 2016, arXiv:1607.00133).

    Parameters
    ----------
    batch_size : int
        Samples per batch, on average.
    drop_last : bool
        Whether an epoch has floor(n / batch_size) batches, not ceil(n / batch_size).
    """

    def __init__(self, batch_size: int, drop_last: bool) -> None:
        self._batch_size = batch_size
        self._drop_last = drop_last

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return the concatenated batches."""
        return self.batches(n, rng)[0]

    def batches(self, n: int, rng: np.random.Generator) -> tuple[IndexArray, IndexArray]:
        """Return the concatenated batches, and where each starts and the last ends."""
        steps = count_steps(n, self._batch_size, self._drop_last)
        sizes = rng.binomial(n, self._batch_size / n, steps)
        batches = [rng.choice(n, size, replace=False, shuffle=False) for size in sizes]
        order = np.concatenate([*batches, np.empty(0, np.int64)])
        if len(order):  # a user's own generator may return anything
            order = _data.check_order(order, n)
        bounds = np.cumsum([0, *map(len, batches)], dtype=np.int64)
        return order.astype(shuffle.index_dtype(n)), bounds


class Sharded:
    """A sampling of each shard: contiguous rows, with an order and random numbers of its own.

    Parameters
    ----------
    samplings : sequence of Sampler
        One for each shard.
    batch_size : int
        Samples per batch.
    drop_last : bool
        Whether to drop an incomplete last batch.
    """

    def __init__(self, samplings: Sequence[Sampler], batch_size: int, drop_last: bool) -> None:
        self._samplings = samplings
        self._batch_size = batch_size
        self._drop_last = drop_last

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return the order of an epoch: for each batch, the shards' samples one after the other."""
        shards, size = len(self._samplings), self._batch_size
        ends = batch_bounds(n, size, self._drop_last)
        bounds = part_bounds(ends, shards)
        order = np.empty(bounds[-1], shuffle.index_dtype(n))
        words, first = rng.integers(2**64, size=4, dtype=np.uint64).tolist(), 0
        for shard, sampling in enumerate(self._samplings):
            rows = shard_size(n, shards, shard)
            own = np.random.default_rng(np.random.SeedSequence(words, spawn_key=(shard,)))
            drawn = sampling.epoch(rows, own)[: shard_size(ends[-1], shards, shard)]
            place = np.arange(len(drawn))
            batch = (place * shards + shard) // size
            order[
                bounds[batch * shards + shard] + place - shard_size(batch * size, shards, shard)
            ] = drawn + first
            first += rows
        return order


def draw_batches(
    sampler: Sampler, n: int, rng: np.random.Generator
) -> tuple[IndexArray, IndexArray | None]:
    """Return an epoch's order and, if batches differ in size, their bounds."""
    if isinstance(sampler, Poisson):
        return sampler.batches(n, rng)
    if isinstance(sampler, Subset):
        places, bounds = draw_batches(sampler.sampling, n, rng)
        return sampler.samples[places], bounds
    order: IndexArray = sampler.epoch(n, rng)
    return order, None


class _Checked:
    """A user's own sampling, with every order checked."""

    def __init__(self, sampling: Sampler) -> None:
        self._sampling = sampling

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        return _data.check_order(self._sampling.epoch(n, rng), n)


class Subset:
    """A sampling restricted to some of the samples, such as a fold of cross-validation.

    Parameters
    ----------
    sampling : Sampler
        Draws positions in `samples`.
    samples : ndarray of shape (m,)
        The allowed indices.
    """

    def __init__(self, sampling: Sampler, samples: IndexArray) -> None:
        self.sampling = sampling
        self.samples = samples

    def epoch(self, n: int, rng: np.random.Generator) -> IndexArray:
        """Return the samples at the positions that the other sampling draws."""
        return draw_batches(self, n, rng)[0]


#: Every sampling by name: a function of the samples' classes (or None), the batch size, and
#: whether to drop an incomplete last batch.
SAMPLINGS: dict[str, Callable[[AnyArray | None, int | None, bool], Sampler]] = {
    "shuffle": lambda labels, batch_size, drop_last: Shuffle(),
    "replacement": lambda labels, batch_size, drop_last: Replacement(),
    "sequential": lambda labels, batch_size, drop_last: Sequential(),
    "stratified": lambda labels, batch_size, drop_last: _stratified(labels),
    "poisson": lambda labels, batch_size, drop_last: _poisson(batch_size, drop_last),
}


def _poisson(batch_size: int | None, drop_last: bool) -> Sampler:
    if batch_size is None:
        raise ValueError(
            "sampling='poisson' makes batches that differ in size, which is not possible "
            "here: take another sampling, such as 'replacement'"
        )
    return Poisson(batch_size, drop_last)


def _stratified(labels: AnyArray | None) -> Sampler:
    if labels is None:
        raise ValueError(f"sampling='stratified' needs {with_classes()}")
    return Stratified(labels)


def make_sampler(
    sampling: str | Sampler,
    labels: AnyArray | None,
    batch_size: int | None = None,
    drop_last: bool = False,
) -> Sampler:
    """Return the sampling for a name, or a user's own with its orders checked.

    Without a batch size, samplings with their own batch bounds are refused.
    """
    if callable(getattr(sampling, "epoch", None)) and not isinstance(sampling, (str, type)):
        _validation.check_function("the sampling's epoch", sampling.epoch, "n", "rng")
        return _Checked(sampling)
    if not isinstance(sampling, str):
        hint = ": make an object of the class" if isinstance(sampling, type) else ""
        raise TypeError(
            f"sampling must be one of {', '.join(map(repr, SAMPLINGS))}, or an object with a "
            f"method epoch(n, rng), not {_words.show(sampling)}{hint}"
        )
    make = SAMPLINGS[_validation.check_choice("sampling", sampling, SAMPLINGS)]
    return make(labels, batch_size, drop_last)


def make_sharded(
    sampling: str | Sampler,
    labels: AnyArray | None,
    n: int,
    shards: int,
    batch_size: int,
    drop_last: bool,
) -> Sampler:
    """Return the sampling of n samples in shards; see `make_sampler`."""
    if shards == 1:
        return make_sampler(sampling, labels, batch_size, drop_last)
    if sampling == "poisson":
        raise ValueError(
            "sampling='poisson' makes batches that differ in size, which shards cannot divide: "
            "take another sampling, or shards=1"
        )
    if shards > n:
        raise ValueError(f"shards is {shards}, but {_words.there_are(n)}: each shard needs one")
    sizes = [shard_size(n, shards, shard) for shard in range(shards)]
    ends = np.cumsum([0, *sizes]).tolist()
    samplings = [
        make_sampler(sampling, None if labels is None else labels[first:last])
        for first, last in itertools.pairwise(ends)
    ]
    return Sharded(samplings, batch_size, drop_last)
