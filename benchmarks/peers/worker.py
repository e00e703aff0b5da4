"""The process for one peer and one workload; it is idle between requests."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from .limits import Limits
from .peer import Run, Unsupported, setup
from .workloads import Array, Workload

# With more updates, an epoch of a framework takes many seconds: try a shorter epoch first, and
# keep it if a whole one would exceed MAX_EPOCH seconds.
MANY_UPDATES = 20_000
SHORT = 20
MAX_EPOCH = 2.0


def serve(pipe: Connection, peer: str, workload: Workload, threads: int) -> None:
    """Answer ``("turn", seconds)`` and ``("check",)`` until ``None`` arrives."""
    try:
        if peer == "limits":
            limits = Limits(workload, threads)
            pipe.send({"ready": True, "note": ""})
            while (message := pipe.recv()) is not None:
                pipe.send(limits.turn(quick=message[1] < 0.1))
            return
        if workload.updates > MANY_UPDATES:
            run, workload, scale = _shortened(peer, workload, threads)
        else:
            run, scale = _fresh(peer, workload, threads), 1.0
            run.epoch()  # compiles, allocates, starts threads
        note = run.note
        if scale > 1:
            note = f"{note}, " if note else ""
            note += f"on 1/{scale:.0f} of the epoch"
        pipe.send({"ready": True, "note": note})
        while (message := pipe.recv()) is not None:
            pipe.send({"epochs_s": [scale * s for s in turn(run, message[1])]})
    except Unsupported as error:
        pipe.send({"ready": False, "note": str(error)})
    except ImportError as error:
        pipe.send({"ready": False, "note": f"not installed ({error})"})
    except Exception as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        pipe.send({"ready": False, "note": f"failed: {type(error).__name__}: {first}"[:160]})


def turn(run: Run, seconds: float) -> list[float]:
    """Return times of epochs until ``seconds`` have passed, after one to warm the caches."""
    begin = time.perf_counter()
    run.epoch()
    if run.epochs is not None:
        first = time.perf_counter() - begin
        return run.epochs(2 + int(seconds / first))[1:]
    times: list[float] = []
    while not times or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run.epoch()
        times.append(time.perf_counter() - start)
    return times


def check(pipe: Connection, peer: str, workload: Workload, threads: int) -> None:
    """Send the losses before and after one shuffled epoch, and one step on all data."""
    try:
        answer: dict[str, Any] = {"ready": True, "note": ""}
        X, y = workload.data()
        run = setup(peer, workload, X, y, threads)
        answer["before"] = workload.loss_value(X, y, *workload.start())
        run.epoch()
        answer["after"] = workload.loss_value(X, y, *run.parameters())
        whole = workload.shrunk(workload.n, batch=workload.n)
        run = setup(peer, whole, X, y, threads)
        run.epoch()
        answer["step"] = _flat(*run.parameters()) - _flat(*workload.start())
        pipe.send(answer)
    except ImportError as error:
        pipe.send({"ready": False, "note": f"not installed ({error})"})
    except Exception as error:
        pipe.send({"ready": False, "note": f"failed: {type(error).__name__}: {error}"[:300]})


def _fresh(peer: str, workload: Workload, threads: int) -> Run:
    return setup(peer, workload, *workload.data(), threads)


def _shortened(peer: str, workload: Workload, threads: int) -> tuple[Run, Workload, float]:
    short = workload.shrunk(workload.n // SHORT)
    run = _fresh(peer, short, threads)
    run.epoch()
    if min(turn(run, 0.0)) * SHORT > MAX_EPOCH:
        return run, short, workload.n / short.n
    run = _fresh(peer, workload, threads)
    run.epoch()
    return run, workload, 1.0


def _flat(weights: list[Array], biases: list[Array]) -> Array:
    return np.concatenate([np.ravel(a).astype(np.float64) for a in [*weights, *biases]])
