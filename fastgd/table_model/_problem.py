"""What a model of a table is trained on: encoded rows, splits, starts and learning rates.

For reading and encoding tables see `tables`, for training `comparison`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastgd.activations import ACTIVATIONS
from fastgd.comparison import Comparison
from fastgd.comparison._compare import Start, compare_starts
from fastgd.network import Network
from fastgd.optimizers import SGD, Optimizer
from fastgd.tables._encoding import Encoding
from fastgd.tables._table import Table

__all__ = ["LOWER", "Problem", "StepSizeRule", "compare_size", "split"]

Floats = NDArray[np.float32]
#: where every learning rate diverged, try rates lower by this factor, this many times
LOWER = 64
MOST_LOWERED = 3
Split: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Problem:
    """The encoded rows, and for each seed a split of them and an initial network."""

    encoding: Encoding
    X: Floats
    y: NDArray[Any]
    starts: tuple[Start, ...]

    @property
    def start(self) -> Network:
        """The first seed's initial network."""
        return self.starts[0].net

    @property
    def rows(self) -> NDArray[np.int64]:
        """The first seed's training rows, as indices."""
        found: NDArray[np.int64] = self.starts[0].settings["samples"]
        return found

    @property
    def y_valid(self) -> NDArray[Any]:
        """The first seed's targets to validate on."""
        found: NDArray[Any] = self.starts[0].settings["validation"][1]
        return found

    @classmethod
    def make(
        cls, table: Table, encoding: Encoding, splits: Sequence[Split], hidden: list[int], seed: int
    ) -> Problem:
        """Encode the rows, and draw an initial network for each split, from seed, seed + 1, ..."""
        X, y = encoding.features(table), encoding.target.encode(table)
        sizes = [encoding.n_features, *hidden, encoding.target.outputs]
        starts = []
        for number, (train, valid) in enumerate(splits, seed):
            net = Network(sizes, hidden="relu", loss=encoding.target.loss, rng=number)
            held = X[valid], y[valid]
            settings = {"samples": train, "validation": held}
            starts.append(Start(net, number, settings, partial(_score, encoding, held)))
        return cls(encoding, X, y, tuple(starts))


def _score(encoding: Encoding, held: tuple[Floats, NDArray[Any]], net: Network) -> float:
    """Return the accuracy, or the share of explained variance, on validation rows."""
    return encoding.target.score(net.predict(held[0]), held[1])


def split(n: int, share: float, seed: int) -> Split:
    """Return the rows to train on and those to validate on, drawn from the seed."""
    n_valid = min(max(2, round(n * share)), n - 2)
    order = np.random.default_rng(seed).permutation(n)
    return order[n_valid:], order[:n_valid]


class StepSizeRule:
    r"""The learning rates to try for a batch size if the user names none.

    .. math:: \eta(B) = c \cdot \frac{B}{R^2 + (B - 1) \lambda}

    is, up to the factor c, the step size of Ma, Bassily & Belkin 2018 (arXiv:1712.06559) for a
    linear model on batches of B samples: proportional to B for small batches, constant for large
    ones. Lambda is the largest eigenvalue of the samples' second moment, which limits the steps of
    batch gradient descent. R^2 measures single samples, which limit stochastic steps: the mean of
    \|x\|^4 over the mean of \|x\|^2. The largest \|x\|^2 would let one outlier slow down all steps.

    Here x are a sample's inputs to the weights of all layers: its features, and its hidden units
    at the start. A layer with many units on few features therefore gets short steps. Sizes below
    the last layer count half, as a relu passes on half of them.

    For linear models c is 1 over the loss's curvature: 1/2 for the squared error, at least 2 for
    the cross entropy. Changing units and noisy targets need shorter steps, and longer ones often
    work well too: `FACTOR` is an eighth and a half of these values, and `MULTIPLES` increase it.
    """

    FACTOR: ClassVar = {"squared_error": 1 / 16, "cross_entropy": 1}
    MULTIPLES = (1, 4, 16)
    MOST_ROWS = 4096

    def __init__(self, net: Network, X: Floats) -> None:
        rows = self._inputs(net, X[:: -(-len(X) // self.MOST_ROWS)])
        squares = np.einsum("ij,ij->i", rows, rows)  # without a temporary array of the rows' size
        self.single = float(np.mean(squares**2) / squares.mean())
        self.together = self._largest_eigenvalue(rows)
        self.factor = self.FACTOR[net.loss]

    @staticmethod
    def _inputs(net: Network, X: Floats) -> NDArray[np.float64]:
        """Return the inputs of all layers, side by side; with a 1 for each bias."""
        rows = np.ones((len(X), sum(len(W) + 1 for W in net.weights)))
        inputs: NDArray[Any] = X
        begin = 0
        for W, b, name in zip(net.weights, net.biases, net.hidden, strict=False):
            rows[:, begin : begin + len(W)] = inputs
            inputs = ACTIVATIONS[name].value(inputs @ W + b)
            begin += len(W) + 1
        rows[:, :begin] *= np.sqrt(0.5)
        rows[:, begin:-1] = inputs
        return rows

    @staticmethod
    def _largest_eigenvalue(rows: NDArray[np.float64]) -> float:
        """Return the largest eigenvalue of rows.T @ rows / n to about 1 %, by power iteration."""
        direction = np.random.default_rng(0).standard_normal(rows.shape[1:])
        length = float(np.linalg.norm(direction))
        for _ in range(50):
            direction = rows.T @ (rows @ (direction / length)) / len(rows)
            length = float(np.linalg.norm(direction))
        return length

    def __call__(self, batch_size: int) -> list[float]:
        """Return the learning rates to try, the lowest first, rounded to two digits."""
        size = batch_size / (self.single + (batch_size - 1) * self.together)
        return [float(f"{self.factor * multiple * size:.1e}") for multiple in self.MULTIPLES]


def compare_size(
    problem: Problem,
    size: int,
    optimizers: Sequence[Optimizer] | None,
    *,
    epochs: int,
    goal: float | None = None,
    n_threads: int | None = None,
    backend: str = "compiled",
    callbacks: Sequence[Callable[..., Any]] = (),
) -> Comparison:
    """Train with one batch size; without optimizers, at the rates of `StepSizeRule`.

    If all of these diverge, lower ones follow.
    """
    tried, columns = optimizers, problem.encoding.columns
    if tried is None:
        rates = StepSizeRule(problem.start, problem.X[problem.rows])(size)
        tried = [SGD(rate) for rate in rates]
    for _ in range(1 if optimizers else 1 + MOST_LOWERED):
        result = compare_starts(
            problem.starts,
            problem.X,
            problem.y,
            [size],
            epochs=epochs,
            optimizer=list(tried),
            goal=goal,
            n_threads=n_threads,
            side_by_side=False,  # so that each run's seconds are for the machine to itself
            settings={"callbacks": callbacks, "backend": backend},
            names=[column.name for column in columns for _ in range(column.width)],
        )
        if result.trained:
            break
        tried = [SGD(one.learning_rate / LOWER) for one in tried]
    return result
