"""The interface of a peer, and the list of all peers.

A peer is a module with a function ``setup(workload, X, y, threads)`` that returns a `Run`.
It imports its library inside, so that a missing library is reported in the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from .workloads import Array, Workload


@dataclass(frozen=True)
class Run:
    """A model ready to train.

    ``epoch()`` shuffles, trains one epoch of mini-batches by plain SGD in float32, and returns
    once the parameters are final. ``parameters()`` returns weights (inputs, outputs) and biases.
    ``epochs(k)`` trains k epochs in one call and returns the seconds of each, if the peer has
    such a call; otherwise epochs are timed one by one. ``note`` is a remark for the table.
    """

    epoch: Callable[[], object]
    parameters: Callable[[], tuple[list[Array], list[Array]]]
    note: str = ""
    epochs: Callable[[int], list[float]] | None = None


class Unsupported(Exception):  # noqa: N818 - a result, not an error
    """The peer cannot run this workload; the message, shown in the table, says why."""


# name in the table -> (module, package that must be installed)
PEERS = {
    "fastgd": ("with_fastgd", "fastgd"),
    "fastgd-avx2": ("with_fastgd_avx2", "fastgd"),
    "numpy": ("with_numpy", "numpy"),
    "numba": ("with_numba", "numba"),
    "scikit-learn": ("with_sklearn", "sklearn"),
    "torch": ("with_torch", "torch"),
    "torch.compile": ("with_torch_compile", "torch"),
    "jax": ("with_jax", "jax"),
}


def setup(peer: str, workload: Workload, X: Array, y: Array, threads: int) -> Run:
    module = importlib.import_module(f".{PEERS[peer][0]}", __package__)
    run = module.setup(workload, X, y, threads)
    assert isinstance(run, Run)
    return run
