"""Run the peers side by side: ``python -m benchmarks.peers --help``.

Each peer runs in its own process for each workload. The processes take turns, one at a time, so
that drifts of the machine's speed affect all peers alike.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:  # started as `python benchmarks/peers`: become the package `peers`
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    __package__ = "peers"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
BUSY = 0.5  # load average from which the table has a warning
PAUSE = 0.05  # seconds between turns, so that spinning threads go to sleep


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    limit_threads(options.threads)  # before NumPy is imported, here and in every worker
    from . import report
    from .workloads import WORKLOADS

    chosen = [w for w in WORKLOADS if not options.workloads or w.name in options.workloads]
    if options.check:
        return check(chosen, options.peers, options.threads)
    environment = report.environment(options.threads) | {"quick": options.quick}
    versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
    print(f"{environment['cpu']}, {options.threads} threads; Python {environment['python']}")
    print(f"{versions}")
    if (environment["load"] or 0) > BUSY:
        print(f"The machine is busy (load {environment['load']:.1f}): times will be too long.")
    print()
    results = []
    for workload in chosen:
        if options.quick:
            workload = workload.shrunk(max(2_000, workload.n // 10))
        raw = measure(workload, options.peers, options)
        results.append(report.summarise(workload, raw))
        print(report.table(results[-1]) + "\n", flush=True)
    print(report.title(results))
    if options.json:
        report.write_json(options.json, results, environment)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    from .peer import PEERS
    from .workloads import WORKLOADS

    names = [w.name for w in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="fastgd and its peers, measured in one run"
    )
    parser.add_argument("--workloads", nargs="+", choices=names, metavar="NAME", help=f"{names}")
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="NAME", help=f"{[*PEERS]}"
    )
    parser.add_argument("--rounds", type=int, help="turns a peer gets (default 7, quick 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores (default 2)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, shorter turns")
    parser.add_argument("--check", action="store_true", help="do all peers compute the same?")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args(argv)
    if options.rounds is None:
        options.rounds = 3 if options.quick else 7
    if options.rounds < 1 or options.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    return options


def limit_threads(threads: int) -> None:
    """Cap every library's threads, and keep this process and its workers on as many cores."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if hasattr(os, "sched_setaffinity"):  # XLA counts cores, and has no setting
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Worker:
    """A process that waits for its turn."""

    def __init__(self, target: Any, peer: str, workload: Any, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=target, args=(theirs, peer, workload, threads))
        self.process.start()
        theirs.close()
        self.first = self.receive()

    def receive(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.pipe.recv()
        except EOFError:
            self.process.join()
            code = self.process.exitcode
            answer = {"ready": False, "note": f"failed: the process ended with code {code}"}
        return answer

    def ask(self, seconds: float) -> dict[str, Any]:
        self.pipe.send(("turn", seconds))
        return self.receive()

    def close(self) -> None:
        if self.process.is_alive():
            with contextlib.suppress(OSError):
                self.pipe.send(None)
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()


def measure(workload: Any, peers: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Raw turns of the machine's limits and of every peer, in rounds."""
    from .worker import serve

    seconds = 0.05 if options.quick else 0.3
    workers: dict[str, Worker] = {}
    raw: dict[str, Any] = {}
    try:
        for name in ["limits", *peers]:
            tell(f"{workload.name}: setting up {name}")
            workers[name] = Worker(serve, name, workload, options.threads)
            raw[name] = {"note": workers[name].first["note"], "turns": []}
        for k in range(options.rounds):
            for name, worker in workers.items():
                if not worker.first["ready"]:
                    continue
                tell(f"{workload.name}: round {k + 1} of {options.rounds}, {name}")
                time.sleep(PAUSE)
                answer = worker.ask(seconds)
                if "note" in answer:  # it failed midway: report no numbers from an incomplete run
                    worker.first = answer
                    raw[name] = {"note": answer["note"], "turns": []}
                else:
                    raw[name]["turns"].append(answer)
    finally:
        tell("")
        for worker in workers.values():
            worker.close()
    return raw


def check(workloads: list[Any], peers: list[str], threads: int) -> int:
    """Train small versions once; return 1 if a peer's numbers differ from the majority's."""
    import numpy as np

    from .worker import check as work

    bad = 0
    for workload in workloads:
        small = workload.shrunk(4_000)
        answers = {}
        for name in peers:
            tell(f"{workload.name}: {name}")
            worker = Worker(work, name, small, threads)
            answers[name] = worker.first
            worker.close()
        tell("")
        good = [a for a in answers.values() if a["ready"]]
        print(f"{workload.name}: n={small.n:,}; loss before and after one epoch, one whole step")
        if good:
            fall = np.median([a["before"] - a["after"] for a in good])
            middle = np.median([a["step"] for a in good], axis=0)
        for name, a in answers.items():
            if not a["ready"]:
                print(f"  {name:<14} {a['note']}")
                bad += a["note"].startswith("failed")
                continue
            loss_off = abs(a["before"] - a["after"] - fall) / abs(fall)
            step_off = np.abs(a["step"] - middle).max() / np.abs(middle).max()
            # Peers shuffle differently, so losses agree only roughly. One step on all data does
            # not depend on the order, so its parameters agree up to rounding.
            verdict = "ok" if loss_off < 0.05 and step_off < 1e-3 else "DIFFERS"
            bad += verdict != "ok"
            print(
                f"  {name:<14} {a['before']:.5f} -> {a['after']:.5f} ({loss_off:.2%} off), "
                f"step {step_off:.1e} off: {verdict}"
            )
    return int(bad > 0)


def tell(text: str) -> None:
    """Show progress on one line of a terminal; nothing in a file or a pipe."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
