"""The workloads: models, their data, and the minimal cost of an epoch.

All peers get their data, start and learning rate from here, so that all compute the same. The
loss is also defined here, for the check that they do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Workload:
    """One row of the table: a model, its data's size, and the batch size.

    ``reach`` is fastgd's target for the ratio to the best peer.
    """

    name: str
    sizes: tuple[int, ...]
    loss: str  # "squared_error", "log_loss" or "cross_entropy"
    n: int
    batch: int
    learning_rate: float
    reach: float

    @property
    def updates(self) -> int:
        return -(-self.n // self.batch)

    @property
    def flops(self) -> int:
        """Flops of an epoch: forward and weight gradient for all layers, input gradient for
        all but the first; two flops per multiply-add."""
        products = [a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        return self.n * (4 * products[0] + 6 * sum(products[1:]))

    def shrunk(self, n: int, batch: int | None = None) -> Workload:
        n = min(n, self.n)
        return replace(self, n=n, batch=min(batch or self.batch, n))

    def data(self) -> tuple[Array, Array]:
        """X (n, d) float32, and y (n,): float32 targets, or int64 labels for cross_entropy."""
        rng = np.random.default_rng(1)
        X = rng.standard_normal((self.n, self.sizes[0]), dtype=np.float32)
        teacher = rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)
        scores = X @ (teacher / np.float32(np.sqrt(self.sizes[0])))
        scores += np.float32(0.3) * rng.standard_normal(scores.shape, dtype=np.float32)
        if self.loss == "cross_entropy":
            return X, scores.argmax(axis=1)
        if self.loss == "log_loss":
            return X, (scores[:, 0] > 0).astype(np.float32)
        return X, scores[:, 0].copy()

    def start(self) -> tuple[list[Array], list[Array]]:
        """The weights (inputs, outputs) and biases (outputs,) that every peer starts from."""
        rng = np.random.default_rng(2)
        pairs = list(zip(self.sizes, self.sizes[1:], strict=False))
        weights = [
            rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(1.0 / shape[0]))
            for shape in pairs
        ]
        return weights, [np.zeros(shape[1], dtype=np.float32) for shape in pairs]

    def loss_value(self, X: Array, y: Array, weights: list[Array], biases: list[Array]) -> float:
        """The mean loss over the data, in float64; hidden layers are ReLU."""
        a = X.astype(np.float64)
        for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
            a = a @ W.astype(np.float64) + b
            if layer < len(weights) - 1:
                a = np.maximum(a, 0.0)
        if self.loss == "cross_entropy":
            a -= a.max(axis=1, keepdims=True)
            picked = a[np.arange(len(y)), y]
            return float(np.mean(np.log(np.exp(a).sum(axis=1)) - picked))
        if self.loss == "log_loss":
            return float(np.mean(np.logaddexp(0.0, a[:, 0]) - y * a[:, 0]))
        return float(np.mean((a[:, 0] - y) ** 2))


WORKLOADS = (
    Workload("linear-32-b32", (32, 1), "squared_error", 100_000, 32, 0.01, 2.5),
    Workload("linear-32-b1", (32, 1), "squared_error", 100_000, 1, 0.001, 1.5),
    Workload("linear-512-b256", (512, 1), "squared_error", 100_000, 256, 0.01, 4.0),
    Workload("logistic-64-b64", (64, 1), "log_loss", 200_000, 64, 0.05, 4.0),
    Workload("softmax-784-10-b128", (784, 10), "cross_entropy", 60_000, 128, 0.01, 3.5),
    Workload("net-20-64-64-1-b32", (20, 64, 64, 1), "squared_error", 100_000, 32, 0.01, 3.0),
    Workload("net-784-128-10-b64", (784, 128, 10), "cross_entropy", 60_000, 64, 0.01, 2.2),
    Workload(
        "net-512-1024-1024-10-b256", (512, 1024, 1024, 10), "cross_entropy", 20_000, 256, 0.01, 1.2
    ),
)
