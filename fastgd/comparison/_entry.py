"""The result of one batch size: its run, its progress over time, and its rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastgd._words import count
from fastgd.batches import BatchPlan
from fastgd.history import History
from fastgd.network import Network
from fastgd.optimizers import Optimizer

__all__ = ["Entry", "Reached", "rank"]


class Reached(NamedTuple):
    """The cost of a run until its loss first reached a given value.

    The seconds are the number of epochs times those of the median epoch.
    """

    epochs: int
    updates: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Entry:
    """The result of one batch size.

    Attributes
    ----------
    plan : BatchPlan
        The counts of batches and updates, from `fastgd.plan`.
    net : Network
        The trained network; with the last finite epoch's parameters if the run diverged.
    history : History
        The history of the run; of its finite epochs if it diverged.
    loss : float
        The loss of `net` on all training samples after the last epoch. It is usually lower than
        the last value of `History.loss`, whose terms are from before each update. nan if the run
        diverged.
    validation_loss : float
        The loss of `net` on the validation data; nan without such data or if the run diverged.
    score : float
        The result of the function `score`; nan without one or if the run diverged.
    """

    plan: BatchPlan
    net: Network
    history: History
    loss: float
    validation_loss: float = math.nan
    score: float = math.nan

    @property
    def batch_size(self) -> int:
        """Samples per update."""
        return self.plan.batch_size

    @property
    def diverged(self) -> bool:
        """Whether the run ended because a loss stopped being finite."""
        return not math.isfinite(self.loss)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; if several were tried, the one that was kept."""
        assert self.history.optimizer is not None
        return self.history.optimizer

    @property
    def epochs(self) -> int:
        """Passes over the samples; only finite epochs if the run diverged."""
        return self.history.epochs

    @property
    def updates(self) -> int:
        """The number of updates."""
        return self.history.updates

    @property
    def sample_gradients(self) -> int:
        """The number of samples' gradients in the updates."""
        return self.history.sample_gradients

    @property
    def seconds(self) -> float:
        """How long the epochs took, without validation and callbacks."""
        return sum(self.history.seconds)

    @property
    def seconds_an_epoch(self) -> float:
        """The median seconds of an epoch, which short disturbances do not change."""
        return float(np.median(self.history.seconds)) if self.epochs else math.nan

    @property
    def method(self) -> str:
        """The name of gradient descent with this batch size."""
        if self.batch_size == self.plan.n_samples:
            return "batch"
        return "stochastic" if self.batch_size == 1 else "mini-batch"

    @property
    def curve(self) -> list[float]:
        """The loss of each epoch: on the validation data, or the steps' mean without any."""
        return self.history.validation_loss or self.history.loss

    def time_to(self, loss: float) -> Reached | None:
        """Return the cost until `curve` first reached a loss; None if it never did."""
        for done, value in enumerate(self.curve, 1):
            if value <= loss:
                updates = int(self.history._updates_after()[done])
                return Reached(done, updates, done * self.seconds_an_epoch)
        return None

    def __repr__(self) -> str:
        end = "diverged" if self.diverged else f"loss {self.loss:.4g}"
        return f"Entry(batch_size={self.batch_size}, {count(self.epochs, 'epoch')}, {end})"


def judged_loss(entry: Entry) -> float:
    """Return the loss for comparing entries: on the validation data if there are any."""
    return entry.loss if math.isnan(entry.validation_loss) else entry.validation_loss


def rank(entry: Entry) -> tuple[float, float]:
    """Return a sort key, lowest for the best entry: its score first, then its loss."""
    return (0.0 if math.isnan(entry.score) else -entry.score), judged_loss(entry)
