"""fastgd, through its public API: one call of `fastgd.train` an epoch."""

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

    def epoch() -> None:
        gd.train(
            net,
            X,
            y,
            batch_size=workload.batch,
            epochs=1,
            optimizer=optimizer,
            rng=rng,
            n_threads=threads,
        )

    return Run(epoch, lambda: (list(net.weights), list(net.biases)))
