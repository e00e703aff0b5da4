"""The machine's limits for one workload, measured with NumPy alone, in turns with the peers.

Reading: every byte of an array as large as the workload's data, in order, and its rows in
shuffled order. Arithmetic: a large float32 matrix product, on all threads together.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .workloads import Array, Workload

GEMM = 1536
BLOCK = 64 * 1024  # floats summed in one call: its slice's result stays in cache


class Limits:
    """``turn()`` gives seconds for one pass in order, one in shuffled rows, and flops/s."""

    def __init__(self, workload: Workload, threads: int) -> None:
        self.threads = threads
        self.rows = np.random.default_rng(0).standard_normal(
            (workload.n, workload.sizes[0]), dtype=np.float32
        )
        self.order = np.random.default_rng(1).permutation(workload.n)
        self.gemm = [np.full((GEMM, GEMM), 0.5, np.float32) for _ in range(3)]
        self.pool = ThreadPoolExecutor(threads)

    def turn(self, quick: bool = False) -> dict[str, float]:
        flat = self.rows.ravel()
        halves = np.array_split(flat, self.threads)
        shares = np.array_split(self.order, self.threads)
        passes = 2 if quick else 4
        ordered = min(self._timed(_read, halves) for _ in range(passes))
        shuffled = min(self._timed(self._gather, shares) for _ in range(passes))
        a, b, out = self.gemm
        seconds = []
        for _ in range(passes):
            begin = time.perf_counter()
            np.matmul(a, b, out=out)
            seconds.append(time.perf_counter() - begin)
        return {
            "read_s": ordered,
            "rows_s": shuffled,
            "flops_per_s": 2 * GEMM**3 / min(seconds),
        }

    def _timed(self, work, parts) -> float:  # type: ignore[no-untyped-def]
        begin = time.perf_counter()
        list(self.pool.map(work, parts))
        return time.perf_counter() - begin

    def _gather(self, share: Array) -> None:
        chunk = max(1, BLOCK // self.rows.shape[1])
        out = np.empty((chunk, self.rows.shape[1]), np.float32)
        for k in range(0, len(share), chunk):
            rows = share[k : k + chunk]
            self.rows.take(rows, axis=0, out=out[: len(rows)], mode="clip")


def _read(part: Array) -> None:
    for k in range(0, len(part), BLOCK):
        piece = part[k : k + BLOCK]
        np.dot(piece, piece)
