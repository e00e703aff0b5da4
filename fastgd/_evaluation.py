"""Evaluate a network on data: the loss and metrics that a run computes after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.losses import LOSSES
from fastgd.rows import row_bytes, subset
from fastgd.sampling import Stratified

if TYPE_CHECKING:
    from fastgd.metrics import Metric
    from fastgd.network import Network
    from fastgd.rows import Rows
    from fastgd.rows._load import Loader

__all__ = ["BlockEvaluation", "Evaluation", "count_held", "draw_held"]

CHUNK_BYTES = 1 << 22  # bytes of rows to gather at a time


class Evaluation:
    """A network's loss and metrics on checked data.

    Parameters
    ----------
    net : Network
        The network; each call uses its current parameters.
    X : Rows
        Samples.
    y : ndarray
        Targets, as the engine takes them.
    weight : ndarray of shape (n,), optional
        Factors of the samples' losses, and the samples' weights in the metrics.
    rows : ndarray of int, optional
        Use only these samples; they are copied in chunks.
    """

    def __init__(
        self,
        net: Network,
        X: Rows,
        y: AnyArray,
        weight: FloatArray | None,
        rows: IndexArray | None = None,
    ) -> None:
        self._net = net
        self._X = X
        self._rows = rows
        self._y = y if rows is None else y[rows]
        self._weight = weight if rows is None or weight is None else weight[rows]

    def raw_outputs(self) -> FloatArray:
        """Return the raw outputs, of shape (n, outputs)."""
        if self._rows is None:
            return self._net._outputs(self._X)
        step = max(1, CHUNK_BYTES // row_bytes(self._X))
        parts = (self._rows[first : first + step] for first in range(0, len(self._rows), step))
        return np.concatenate([self._net._outputs(subset(self._X, part)) for part in parts])

    def loss(self, z: FloatArray) -> float:
        """Return the mean loss of raw outputs."""
        from fastgd.backends import compiled  # load compiled code only when needed

        with np.errstate(over="ignore", invalid="ignore"):
            values = LOSSES[self._net.loss].value(z, self._y, compiled.Functions)
        if self._weight is not None:
            values = self._weight * values
        return float(values.sum(dtype=np.float64)) / len(values)

    def scores(self, z: FloatArray, metrics: Sequence[Metric]) -> dict[str, float]:
        """Return the metrics of raw outputs, by name."""
        from fastgd.backends import compiled

        with np.errstate(over="ignore", invalid="ignore"):
            prediction = LOSSES[self._net.loss].link(z, compiled.Functions)
            y = self._y
            if prediction.shape[1] == 1:
                prediction, y = prediction[:, 0], y.reshape(-1)
            return {metric.name: metric.value(y, prediction, self._weight) for metric in metrics}


class BlockEvaluation(Evaluation):
    """A network's loss and metrics on blocks.

    The samples are read in each evaluation; outputs, targets and weights are held in memory.

    Parameters
    ----------
    net : Network
        The network; each call uses its current parameters.
    loader : Loader
        Reads the blocks.
    """

    def __init__(self, net: Network, loader: Loader) -> None:
        X, y, weight = loader.room(0)
        super().__init__(net, X, y, weight)
        self._loader = loader

    def raw_outputs(self) -> FloatArray:
        """Return the raw outputs, of shape (n, outputs)."""
        outputs, targets, weights = [], [], []
        for X, y, weight in self._loader.each():
            if len(X):
                outputs.append(self._net._outputs(X))
                targets.append(y.copy())
                weights += [] if weight is None else [weight.copy()]
        self._y = np.concatenate(targets)
        self._weight = np.concatenate(weights) if weights else None
        return np.concatenate(outputs)


def count_held(n: int, share: float) -> int:
    """Return how many of n samples to set aside for a share: at least one, never all."""
    return min(max(1, round(share * n)), n - 1)


def draw_held(
    rows: IndexArray, share: float, labels: AnyArray | None, rng: np.random.Generator
) -> IndexArray:
    """Return the rows to validate on, drawn from rng, in their order.

    Parameters
    ----------
    rows : ndarray of shape (n,)
        The rows to split.
    share : float
        The share of the rows to validate on; see `count_held`.
    labels : ndarray of shape (n,), optional
        The rows' classes; the drawn rows have the share of each, to within two samples.
    rng : numpy.random.Generator
        Draws the rows.
    """
    n = len(rows)
    count = count_held(n, share)
    order = rng.permutation(n) if labels is None else Stratified(labels).epoch(n, rng)
    held: IndexArray = rows[np.sort(order[:count])]
    return held
