"""The machine's limits for one workload, measured with NumPy, in turns with the peers.

Reading: every byte of an array as large as the workload's data, in order, and its rows in
shuffled order. Arithmetic: a large float32 matrix product, on all threads together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .workloads import Array, Workload

GEMM = 1536
AT_LEAST = 64e6  # bytes read in one timing: small data are read several times
BLOCK = 64 * 1024  # floats gathered in one call: the copy stays in cache


class Limits:
    """``turn()`` returns seconds for a pass in order and one in shuffled rows, and flops/s."""

    def __init__(self, workload: Workload, threads: int) -> None:
        self.threads = threads
        self.rows = np.random.default_rng(0).standard_normal(
            (workload.n, workload.sizes[0]), dtype=np.float32
        )
        self.order = np.random.default_rng(1).permutation(workload.n)
        self.gemm = [np.full((GEMM, GEMM), 0.5, np.float32) for _ in range(3)]
        self.pool = ThreadPoolExecutor(threads)

    def turn(self, quick: bool = False) -> dict[str, float]:
        passes = 2 if quick else 4
        repeats = max(1, int(AT_LEAST // self.rows.nbytes))
        halves = np.array_split(self.rows.ravel(), self.threads)
        shares = np.array_split(self.order, self.threads)
        vector = np.ones(self.rows.shape[1], np.float32)
        scores = np.empty(len(self.rows), np.float32)
        # No way of reading is fastest at every size; the limit is the best of three.
        ordered = min(
            best(passes, repeats, lambda: np.dot(self.rows, vector, out=scores)),
            best(passes, 1, lambda: self._share(halves, lambda a: a.max(), repeats)),
            best(passes, 1, lambda: self._share(halves, lambda a: np.dot(a, a), repeats)),
        )
        shuffled = best(passes, 1, lambda: self._share(shares, self._gather, repeats))
        a, b, out = self.gemm
        return {
            "read_s": ordered / repeats,
            "rows_s": shuffled / repeats,
            "flops_per_s": 2 * GEMM**3 / best(passes, 1, lambda: np.matmul(a, b, out=out)),
        }

    def _share(self, parts: list[Array], work: Callable[[Array], object], repeats: int) -> None:
        def repeat(part: Array) -> None:
            for _ in range(repeats):
                work(part)

        list(self.pool.map(repeat, parts))

    def _gather(self, share: Array) -> None:
        chunk = max(1, BLOCK // self.rows.shape[1])
        out = np.empty((chunk, self.rows.shape[1]), np.float32)
        for k in range(0, len(share), chunk):
            rows = share[k : k + chunk]
            self.rows.take(rows, axis=0, out=out[: len(rows)], mode="clip")


def best(passes: int, repeats: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of ``passes`` timings of ``repeats`` calls."""
    seconds = []
    for _ in range(passes):
        begin = time.perf_counter()
        for _ in range(repeats):
            work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
