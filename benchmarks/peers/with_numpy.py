"""Hand-written vectorised NumPy: arrays are allocated once, all operations use ``out=``."""

from __future__ import annotations

import numpy as np

from .peer import Run
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    weights, biases = workload.start()
    rng = np.random.default_rng(0)
    order = np.arange(workload.n)  # take() is fastest with the platform's index type
    full, tail = divmod(workload.n, workload.batch)
    step = make_step(workload, X, y, weights, biases, workload.batch)
    last = make_step(workload, X, y, weights, biases, tail) if tail else None
    batches = [order[k * workload.batch : (k + 1) * workload.batch] for k in range(full)]

    def epoch() -> None:
        rng.shuffle(order)
        for rows in batches:
            step(rows)
        if last is not None:
            last(order[full * workload.batch :])

    return Run(epoch, lambda: (weights, biases))


def make_step(workload, X, y, weights, biases, m):  # type: ignore[no-untyped-def]
    """Return a function for one SGD step on batches of exactly m rows, with its work arrays."""
    f4 = np.float32
    a = [np.empty((m, size), f4) for size in workload.sizes]
    delta = [np.empty((m, size), f4) for size in workload.sizes]
    mask = [np.empty((m, size), bool) for size in workload.sizes]
    gW = [np.empty_like(W) for W in weights]
    gb = [np.empty_like(b) for b in biases]
    target = np.empty(m, y.dtype)
    column = np.empty((m, 1), f4)
    rows_m = np.arange(m)
    last = len(weights)
    rate = f4(workload.learning_rate / m * (2 if workload.loss == "squared_error" else 1))
    loss = workload.loss
    logits, out = a[last], delta[last]

    def step(rows):  # type: ignore[no-untyped-def]
        X.take(rows, axis=0, out=a[0], mode="clip")
        y.take(rows, out=target, mode="clip")
        for k in range(last):
            np.matmul(a[k], weights[k], out=a[k + 1])
            np.add(a[k + 1], biases[k], out=a[k + 1])
            if k < last - 1:
                np.maximum(a[k + 1], 0, out=a[k + 1])
        if loss == "squared_error":
            np.subtract(logits, target[:, None], out=out)
        elif loss == "log_loss":
            np.negative(logits, out=out)
            np.exp(out, out=out)
            np.add(out, 1, out=out)
            np.reciprocal(out, out=out)
            np.subtract(out, target[:, None], out=out)
        else:
            np.max(logits, axis=1, keepdims=True, out=column)
            np.subtract(logits, column, out=out)
            np.exp(out, out=out)
            np.sum(out, axis=1, keepdims=True, out=column)
            np.divide(out, column, out=out)
            out[rows_m, target] -= 1
        for k in range(last - 1, -1, -1):
            np.matmul(a[k].T, delta[k + 1], out=gW[k])
            np.sum(delta[k + 1], axis=0, out=gb[k])
            if k:
                np.matmul(delta[k + 1], weights[k].T, out=delta[k])
                np.greater(a[k], 0, out=mask[k])
                np.multiply(delta[k], mask[k], out=delta[k])
            np.multiply(gW[k], rate, out=gW[k])
            np.subtract(weights[k], gW[k], out=weights[k])
            np.multiply(gb[k], rate, out=gb[k])
            np.subtract(biases[k], gb[k], out=biases[k])

    return step
