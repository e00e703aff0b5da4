"""fastgd's public API: the epochs of one call of `fastgd.train`, including shuffles."""

from __future__ import annotations

import numpy as np

from .peer import Run
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    import fastgd as gd

    net = gd.Network(list(workload.sizes), loss=workload.loss, dtype="float32", rng=0)
    for mine, start in zip((net.weights, net.biases), workload.start(), strict=True):
        for a, b in zip(mine, start, strict=True):
            a[...] = b
    rng = np.random.default_rng(0)
    optimizer = gd.SGD(workload.learning_rate)

    def train(epochs: int) -> list[float]:
        history = gd.train(
            net,
            X,
            y,
            batch_size=workload.batch,
            epochs=epochs,
            optimizer=optimizer,
            rng=rng,
            n_threads=threads,
        )
        return history.seconds

    parameters = lambda: (list(net.weights), list(net.biases))  # noqa: E731
    level = gd.show_config("dicts")["instruction level"]
    return Run(lambda: train(1), parameters, note=level, epochs=train)
