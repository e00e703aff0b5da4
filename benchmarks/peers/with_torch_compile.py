"""PyTorch with the whole step (gather, forward, backward, update) under ``torch.compile``."""

from __future__ import annotations

from .peer import Run
from .with_torch import as_numpy, make_model
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    import torch

    params, mean_loss = make_model(workload, threads)
    params = [p.detach() for p in params]
    rate = workload.learning_rate
    X_, y_ = torch.from_numpy(X), torch.from_numpy(y)

    def step(p, rows):  # type: ignore[no-untyped-def]
        grads = torch.func.grad(mean_loss)(p, X_[rows], y_[rows])
        for a, g in zip(p, grads, strict=True):
            a.sub_(g, alpha=rate)

    compiled = torch.compile(step, dynamic=False)  # a short last batch is compiled once more

    def epoch() -> None:
        with torch.no_grad():
            for rows in torch.randperm(workload.n).split(workload.batch):
                compiled(params, rows)

    return Run(epoch, lambda: as_numpy(params))
