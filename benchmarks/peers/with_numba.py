"""Hand-written loops in Numba, the fastest peer at small sizes.

One output: scalar loops with fastmath, rows read in place, compiled shuffle. Several outputs
or layers: compiled array code, batches gathered into one buffer, products by BLAS except with
one column, where loops make the 20-64-64-1 epoch three times as fast.
"""

from __future__ import annotations

import math
import time

import numpy as np

from .peer import Run
from .workloads import Array, Workload

PARALLEL_WORK = 1 << 16  # numbers in a batch from which a loop on all threads is tried too


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    import numba

    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    weights, biases = workload.start()
    order = np.arange(workload.n, dtype=np.uint32)
    state = np.array([88172645463325252], dtype=np.uint64)
    rate = np.float32(workload.learning_rate * (2 if workload.loss == "squared_error" else 1))
    shuffle = make_shuffle(numba)
    if workload.sizes[1:] == (1,):
        w, b = weights[0][:, 0].copy(), biases[0]
        makers = {1: make_single if workload.batch == 1 else make_scalar}
        if threads > 1 and workload.batch * workload.sizes[0] >= PARALLEL_WORK:
            makers[threads] = make_parallel
        kernels = {
            used: make(numba, workload.loss == "log_loss", shuffle) for used, make in makers.items()
        }

        def time_copy(used: int) -> float:
            seconds = []
            for _ in range(4):  # the first compiles
                begin = time.perf_counter()
                kernels[used](X, y, w.copy(), b.copy(), order, state, workload.batch, rate)
                seconds.append(time.perf_counter() - begin)
            return min(seconds)

        used = min(kernels, key=time_copy) if len(kernels) > 1 else 1

        def epoch() -> None:
            kernels[used](X, y, w, b, order, state, workload.batch, rate)

        note = f"scalar loops, {f'{used} threads' if used > 1 else '1 thread'}"
        return Run(epoch, lambda: ([w[:, None]], [b]), note)

    network = make_network(numba, workload.loss, len(weights), shuffle)
    f4 = np.float32
    a = tuple(np.empty((workload.batch, s), f4) for s in workload.sizes)
    d = tuple(np.empty((workload.batch, s), f4) for s in workload.sizes)
    gW = tuple(np.empty_like(W) for W in weights)

    def epoch_network() -> None:
        network(X, y, tuple(weights), tuple(biases), a, d, gW, order, state, rate)

    return Run(epoch_network, lambda: (weights, biases), "compiled array code, BLAS")


def make_shuffle(numba):  # type: ignore[no-untyped-def]
    @numba.njit
    def shuffle(order, state):  # type: ignore[no-untyped-def]
        """Fisher-Yates with xorshift64 and a multiply-shift bounded integer."""
        s = state[0]
        for i in range(len(order) - 1, 0, -1):
            s ^= s << np.uint64(13)
            s ^= s >> np.uint64(7)
            s ^= s << np.uint64(17)
            j = np.int64(((s >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
            order[i], order[j] = order[j], order[i]
        state[0] = s

    return shuffle


def make_single(numba, logistic, shuffle):  # type: ignore[no-untyped-def]
    @numba.njit(fastmath=True)
    def epoch(X, y, w, b, order, state, batch, rate):  # type: ignore[no-untyped-def]
        shuffle(order, state)
        bias = b[0]
        one = np.float32(1)
        for k in range(len(order)):
            x = X[order[k]]
            z = np.float32(0)
            for j in range(len(w)):
                z += x[j] * w[j]
            z += bias
            if logistic:
                z = one / (one + np.float32(math.exp(-z)))
            e = rate * (z - y[order[k]])
            for j in range(len(w)):
                w[j] -= e * x[j]
            bias -= e
        b[0] = bias

    return epoch


def make_scalar(numba, logistic, shuffle):  # type: ignore[no-untyped-def]
    @numba.njit(fastmath=True)
    def epoch(X, y, w, b, order, state, batch, rate):  # type: ignore[no-untyped-def]
        shuffle(order, state)
        n, d = X.shape
        g = np.empty(d, np.float32)
        one = np.float32(1)
        for start in range(0, n, batch):
            stop = min(start + batch, n)
            g[:] = 0
            gb = np.float32(0)
            for k in range(start, stop):
                x = X[order[k]]
                z = np.float32(0)
                for j in range(d):
                    z += x[j] * w[j]
                z += b[0]
                if logistic:
                    z = one / (one + np.float32(math.exp(-z)))
                e = z - y[order[k]]
                for j in range(d):
                    g[j] += e * x[j]
                gb += e
            step = rate / np.float32(stop - start)
            for j in range(d):
                w[j] -= step * g[j]
            b[0] -= step * gb

    return epoch


def make_parallel(numba, logistic, shuffle):  # type: ignore[no-untyped-def]
    @numba.njit(fastmath=True)
    def share(X, y, w, bias, rows, g):  # type: ignore[no-untyped-def]
        """Sum the gradients of some rows into g; return the bias's gradient."""
        one = np.float32(1)
        g[:] = 0
        gb = np.float32(0)
        for k in range(len(rows)):
            x = X[rows[k]]
            z = np.float32(0)
            for j in range(len(w)):
                z += x[j] * w[j]
            z += bias
            if logistic:
                z = one / (one + np.float32(math.exp(-z)))
            e = z - y[rows[k]]
            for j in range(len(w)):
                g[j] += e * x[j]
            gb += e
        return gb

    @numba.njit(fastmath=True, parallel=True)
    def epoch(X, y, w, b, order, state, batch, rate):  # type: ignore[no-untyped-def]
        shuffle(order, state)
        n, d = X.shape
        threads = numba.get_num_threads()
        g = np.empty((threads, d), np.float32)
        gb = np.empty(threads, np.float32)
        for start in range(0, n, batch):
            m = min(batch, n - start)
            for t in numba.prange(threads):
                rows = order[start + m * t // threads : start + m * (t + 1) // threads]
                gb[t] = share(X, y, w, b[0], rows, g[t])
            step = rate / np.float32(m)
            for t in range(threads):
                for j in range(d):
                    w[j] -= step * g[t, j]
                b[0] -= step * gb[t]

    return epoch


def make_network(numba, loss, layers, shuffle):  # type: ignore[no-untyped-def]
    softmax = loss == "cross_entropy"
    logistic = loss == "log_loss"

    @numba.njit(fastmath=True)
    def forward(a, W, b, out, hidden):  # type: ignore[no-untyped-def]
        if W.shape[1] == 1:  # a loop is faster than BLAS with one column
            for i in range(a.shape[0]):
                z = np.float32(0)
                for j in range(a.shape[1]):
                    z += a[i, j] * W[j, 0]
                out[i, 0] = z + b[0]
            return
        np.dot(a, W, out)
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                z = out[i, j] + b[j]
                out[i, j] = max(z, np.float32(0)) if hidden else z

    @numba.njit(fastmath=True)
    def output_delta(z, y, rows, out):  # type: ignore[no-untyped-def]
        one = np.float32(1)
        for i in range(z.shape[0]):
            if softmax:
                top = z[i].max()
                total = np.float32(0)
                for j in range(z.shape[1]):
                    out[i, j] = np.float32(math.exp(z[i, j] - top))
                    total += out[i, j]
                for j in range(z.shape[1]):
                    out[i, j] /= total
                out[i, y[rows[i]]] -= one
            elif logistic:
                out[i, 0] = one / (one + np.float32(math.exp(-z[i, 0]))) - y[rows[i]]
            else:
                out[i, 0] = z[i, 0] - y[rows[i]]

    @numba.njit(fastmath=True)
    def backward(a, delta, W, gW, out, deeper):  # type: ignore[no-untyped-def]
        """Compute the weights' gradient, and the masked delta of the layer below, if any."""
        if W.shape[1] == 1:
            gW[:] = 0
            for i in range(a.shape[0]):
                for j in range(a.shape[1]):
                    gW[j, 0] += a[i, j] * delta[i, 0]
                    out[i, j] = W[j, 0] * delta[i, 0]
        else:
            np.dot(a.T, delta, gW)
            if deeper:
                np.dot(delta, W.T, out)
        if deeper:
            for i in range(a.shape[0]):
                for j in range(a.shape[1]):
                    out[i, j] = out[i, j] if a[i, j] > 0 else np.float32(0)

    @numba.njit(fastmath=True)
    def update(W, b, gW, delta, rate):  # type: ignore[no-untyped-def]
        for i in range(W.shape[0]):
            for j in range(W.shape[1]):
                W[i, j] -= rate * gW[i, j]
        for i in range(delta.shape[0]):
            for j in range(delta.shape[1]):
                b[j] -= rate * delta[i, j]

    @numba.njit(fastmath=True)
    def epoch(X, y, Ws, bs, a, d, gW, order, state, rate):  # type: ignore[no-untyped-def]
        shuffle(order, state)
        n, batch = X.shape[0], a[0].shape[0]
        for start in range(0, n, batch):
            m = min(batch, n - start)
            rows = order[start : start + m]
            for i in range(m):
                a[0][i, :] = X[rows[i], :]
            for k in range(layers):
                forward(a[k][:m], Ws[k], bs[k], a[k + 1][:m], k < layers - 1)
            output_delta(a[layers][:m], y, rows, d[layers][:m])
            for k in range(layers - 1, -1, -1):
                backward(a[k][:m], d[k + 1][:m], Ws[k], gW[k], d[k][:m], k > 0)
                update(Ws[k], bs[k], gW[k], d[k + 1][:m], rate / np.float32(m))

    return epoch
