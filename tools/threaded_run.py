"""Train on several threads, more than the machine has cores: for the thread sanitizer."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastgd as gd
from fastgd.backends import compiled

MODELS = [
    ((20, 64, 64, 1), "squared_error"),
    ((70, 33, 10), "cross_entropy"),
    ((20, 200, 180, 3), "cross_entropy"),  # layers wide enough to share their columns
    ((40, 1), "log_loss"),
    ((30, 3), "squared_error"),
]
OPTIMIZERS = [gd.SGD(0.01), gd.Adam(0.01), gd.Nadam(0.01)]
ADJUSTMENTS = [
    {"clip_norm": 0.1, "l1": 0.01, "l2": 0.1, "record": ("gradient_norm", "params")},
    {"clip_per_sample": 0.1, "noise_multiplier": 1.0, "sampling": "poisson"},
    {"record": ("noise_scale", "loss"), "record_every": 3},
    {"shards": 3, "clip_norm": 0.1},
]


def data(sizes: tuple[int, ...], loss: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make n samples that the loss accepts."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, sizes[0])).astype(np.float32)
    if loss == "cross_entropy":
        return X, rng.integers(sizes[-1], size=n)
    if loss == "log_loss":
        return X, rng.integers(2, size=n)
    return X, rng.standard_normal((n, sizes[-1])).astype(np.float32)


def main() -> None:
    """Run every model with every optimizer and option, small and large batches."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    compiled.ALL_THREADS = True  # the engine would use one thread for so little work
    for sizes, loss in MODELS:
        X, y = data(sizes, loss, 700)
        for optimizer in OPTIMIZERS:
            for batch_size in (32, None):
                for n_threads in (2, 5):
                    net = gd.Network(sizes, loss=loss, rng=0)
                    gd.train(
                        net, X, y, batch_size=batch_size, epochs=2, optimizer=optimizer,
                        n_threads=n_threads, rng=0, validation=(X, y),
                    )  # fmt: skip
                    gd.gradient(net, X, y)
                    gd.per_sample_norms(net, X, y)
                    gd.per_sample_gradients(net, X, y)
        for options in ADJUSTMENTS:
            for batch_size in (32, 700):
                dropout = 0.5 if len(sizes) > 2 else 0.0
                net = gd.Network(sizes, loss=loss, rng=0)
                gd.train(
                    net, X, y, batch_size=batch_size, epochs=2, n_threads=5, rng=0,
                    dropout=dropout, **options,
                )  # fmt: skip
    for batch_size in (1, 3):  # many batches are empty
        for sizes, loss in MODELS:
            gd.train(
                gd.Network(sizes, loss=loss, rng=0), *data(sizes, loss, 300), sampling="poisson",
                batch_size=batch_size, epochs=2, n_threads=5, rng=0,
            )  # fmt: skip
    nets = [gd.Network((20, 64, 64, 1), rng=seed) for seed in range(4)]
    gd.train_many(nets, *data((20, 64, 64, 1), "squared_error", 300), {"epochs": 2}, n_threads=3)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(gd.train, gd.Network(sizes, loss=loss, rng=0), *data(sizes, loss, 300))
            for sizes, loss in MODELS
        ]
        for job in jobs:
            job.result()
    print("threaded run finished")


if __name__ == "__main__":
    main()
