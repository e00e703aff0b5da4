"""Batches: how an epoch is divided into them, and how many updates that gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd import _validation
from fastgd._arguments import helpful
from fastgd._typing import FloatArray, IndexArray

__all__ = [
    "BatchPlan",
    "batch_bounds",
    "count_steps",
    "part_bounds",
    "plan",
    "shard_size",
    "sum_of_weights",
]


def count_steps(n_samples: int, batch_size: int, drop_last: bool) -> int:
    """Return the number of batches in an epoch."""
    return n_samples // batch_size if drop_last else -(-n_samples // batch_size)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The counts of batches and updates; `fastgd.plan` returns it.

    Attributes
    ----------
    batches : int
        Batches, and so updates, in an epoch.
    last_batch : int
        Samples in an epoch's last batch.
    updates : int
        Updates in all epochs.
    sample_gradients : int
        Gradients of single samples in all epochs.
    batch_bytes : int or None
        Bytes of one batch's features, if their number is given.

    Examples
    --------
    >>> import fastgd as gd
    >>> counts = gd.plan(1000, 32, epochs=5)
    >>> counts.batches, counts.last_batch, counts.updates
    (32, 8, 160)
    """

    n_samples: int
    batch_size: int
    epochs: int
    batches: int
    last_batch: int
    updates: int
    sample_gradients: int
    batch_bytes: int | None

    def __str__(self) -> str:
        rows: list[tuple[str, Any]] = [
            ("samples", self.n_samples),
            ("batch size", self.batch_size),
            ("batches per epoch", self.batches),
            ("size of last batch", self.last_batch),
            ("epochs", self.epochs),
            ("updates", self.updates),
            ("sample gradients", self.sample_gradients),
        ]
        if self.batch_bytes is not None:
            rows.append(("bytes per batch", self.batch_bytes))
        return "\n".join(f"{name:<20} {value:>14,}" for name, value in rows)


@helpful
def plan(
    n_samples: int,
    batch_size: int | None,
    *,
    epochs: int = 1,
    drop_last: bool = False,
    n_features: int | None = None,
    dtype: Any = "float32",
) -> BatchPlan:
    """Count the batches, updates and sample gradients of a training.

    Parameters
    ----------
    n_samples : int
        Samples in the data set.
    batch_size : int or None
        Samples per batch, at least 1; None, or a number above n_samples, for all samples.
    epochs : int
        Passes over the data.
    drop_last : bool
        Whether to drop an incomplete last batch.
    n_features : int, optional
        Features per sample; needed for the bytes of a batch.
    dtype : {"float32", "float64"}
        The dtype of the features.

    Returns
    -------
    BatchPlan
        The counts; print it for a table.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.plan(10_000, 100).updates, gd.plan(10_000, 1_000).updates
    (100, 10)
    >>> print(gd.plan(10_000, 300, epochs=5, n_features=784))
    samples                      10,000
    batch size                      300
    batches per epoch                34
    size of last batch              100
    epochs                            5
    updates                         170
    sample gradients             50,000
    bytes per batch             940,800
    """
    n_samples = _validation.check_int("n_samples", n_samples, at_least=1)
    batch_size = _validation.check_batch_size(batch_size, n_samples)
    epochs = _validation.check_int("epochs", epochs, at_least=1)
    batches = count_steps(n_samples, batch_size, _validation.check_bool("drop_last", drop_last))
    last = batch_size if drop_last else n_samples - (batches - 1) * batch_size
    used = (batches - 1) * batch_size + last
    itemsize = _validation.check_dtype(dtype).itemsize
    if n_features is not None:
        n_features = _validation.check_int("n_features", n_features, at_least=1)
    return BatchPlan(
        n_samples=n_samples,
        batch_size=batch_size,
        epochs=epochs,
        batches=batches,
        last_batch=last,
        updates=batches * epochs,
        sample_gradients=used * epochs,
        batch_bytes=None if n_features is None else batch_size * n_features * itemsize,
    )


def sum_of_weights(weights: FloatArray, order: IndexArray, bounds: IndexArray) -> FloatArray:
    """Return the sum of each batch's weights; 1 for one in which no sample counts."""
    sums = np.add.reduceat(weights[order[: bounds[-1]]].astype(np.float64), bounds[:-1])
    return np.where(sums == 0, 1.0, sums)


def batch_bounds(n_samples: int, batch_size: int, drop_last: bool) -> IndexArray:
    """Return where each batch of an epoch over n_samples indices starts, and the end."""
    steps = count_steps(n_samples, batch_size, drop_last)
    return np.minimum(np.arange(steps + 1, dtype=np.int64) * batch_size, n_samples)


def shard_size(n_samples: Any, shards: int, shard: Any) -> Any:
    """Return how many of an epoch's first samples are a shard's; arrays are taken elementwise.

    Samples go to the shards in turn, so a batch, and all the data, are divided as evenly as
    possible.
    """
    return (n_samples + shards - 1 - shard) // shards


def part_bounds(ends: IndexArray, shards: int) -> IndexArray:
    """Return where each shard's part of each batch starts, and the end.

    Parameters
    ----------
    ends : ndarray of shape (batches + 1,)
        Where each batch starts, and the end, counted from the start of the epoch.
    shards : int
        The number of shards.
    """
    sizes = np.diff(shard_size(ends[:, None], shards, np.arange(shards)), axis=0)
    bounds: IndexArray = ends[0] + np.cumsum([0, *sizes.ravel()], dtype=np.int64)
    return bounds
