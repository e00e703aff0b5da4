"""PyTorch, eager: autograd on plain tensors and one fused update, without optimizer objects."""

from __future__ import annotations

from .peer import Run
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    import torch

    params, mean_loss = make_model(workload, threads)
    rate = workload.learning_rate
    X_, y_ = torch.from_numpy(X), torch.from_numpy(y)

    def epoch() -> None:
        for rows in torch.randperm(workload.n).split(workload.batch):
            loss = mean_loss(params, X_.index_select(0, rows), y_.index_select(0, rows))
            grads = torch.autograd.grad(loss, params)
            with torch.no_grad():
                torch._foreach_add_(params, grads, alpha=-rate)

    return Run(epoch, lambda: as_numpy(params))


def make_model(workload: Workload, threads: int):  # type: ignore[no-untyped-def]
    """Tensors [W0, b0, W1, ...] with W of shape (outputs, inputs), and the loss."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - torch's own name for it

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    params = []
    for W, b in zip(*workload.start(), strict=True):
        params += [torch.from_numpy(W.T.copy()), torch.from_numpy(b.copy())]
    for p in params:
        p.requires_grad_()
    losses = {
        "squared_error": lambda z, t: F.mse_loss(z[:, 0], t),
        "log_loss": lambda z, t: F.binary_cross_entropy_with_logits(z[:, 0], t),
        "cross_entropy": F.cross_entropy,
    }
    loss = losses[workload.loss]

    def mean_loss(p, a, t):  # type: ignore[no-untyped-def]
        for k in range(0, len(p), 2):
            a = F.linear(a, p[k], p[k + 1])
            if k < len(p) - 2:
                a = F.relu(a)
        return loss(a, t)

    return params, mean_loss


def as_numpy(params) -> tuple[list[Array], list[Array]]:  # type: ignore[no-untyped-def]
    arrays = [p.detach().numpy() for p in params]
    return [W.T for W in arrays[::2]], arrays[1::2]
