"""Time one epoch with each backend: loops, vectorised NumPy, and the compiled engine.

Each group of the table is one model at one batch size; its rows are the backends on the same data,
so the numbers in parentheses are their ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import fastgd as gd


@dataclass(frozen=True)
class Model:
    """``n`` is the number of samples that the slowest backend trains in about two seconds."""

    name: str
    sizes: tuple[int, ...]
    loss: str
    n: int
    learning_rate: float = 0.01

    def data(self, n: int):
        rng = np.random.default_rng(1)
        X = rng.standard_normal((n, self.sizes[0]), dtype=np.float32)
        scores = X @ rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)
        scores /= np.float32(np.sqrt(self.sizes[0]))
        if self.loss == "cross_entropy":
            return X, scores.argmax(axis=1)
        if self.loss == "log_loss":
            return X, (scores[:, 0] > 0).astype(np.float32)
        return X, scores[:, 0].copy()


MODELS = (
    Model("linear-32", (32, 1), "squared_error", 100_000),
    Model("logistic-32", (32, 1), "log_loss", 50_000),
    Model("softmax-64-10", (64, 10), "cross_entropy", 30_000),
    Model("net-20-64-64-1", (20, 64, 64, 1), "squared_error", 15_000),
    Model("net-64-32-10", (64, 32, 10), "cross_entropy", 20_000),
)
BACKENDS = ("loop", "vectorized", "compiled")
SMOKE_SAMPLES = 64


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_size", [1, 8, 32, 256, None], ids=lambda b: f"b{b or 'n'}")
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_epoch(model, batch_size, backend, benchmark, time_epoch):
    n = model.n if benchmark.enabled else SMOKE_SAMPLES
    if batch_size is not None:
        batch_size = min(batch_size, n)
    X, y = model.data(n)
    net = gd.Network(list(model.sizes), loss=model.loss, dtype="float32", rng=0)
    start = net.params.copy()
    optimizer = gd.SGD(model.learning_rate)

    def reset():
        net.params[:] = start

    def epoch(samples=n):
        size = None if batch_size is None else min(batch_size, samples)
        gd.train(
            net,
            X[:samples],
            y[:samples],
            batch_size=size,
            epochs=1,
            optimizer=optimizer,
            rng=0,
            backend=backend,
        )

    def warm_up():
        # The loop takes seconds and needs no warm-up: a part of an epoch is enough.
        samples = n if backend == "compiled" else max(n // 20, 256)
        epoch(samples)
        return samples / n

    time_epoch(f"{model.name} b{batch_size or 'n'}", backend, n, epoch, reset, warm_up)
    assert np.isfinite(net.params).all()
