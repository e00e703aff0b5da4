"""What came of one batch size: its run, what it had done when, and its rank."""

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
    """What a run had done when its loss was first as low as asked.

    The seconds are those of as many median epochs.
    """

    epochs: int
    updates: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Entry:
    """What came of one batch size.

    Attributes
    ----------
    plan : BatchPlan
        How the batch size cuts the samples: `fastgd.plan`.
    net : Network
        The trained network; it holds the last finite epoch's parameters where the run diverged.
    history : History
        Of the run; where it diverged, of the finite epochs.
    loss : float
        Of `net` on all training samples after the last epoch, and thus lower than the last entry
        of `History.loss`, which each step adds to before its update. nan where the run diverged.
    validation_loss : float
        Of `net` on the validation data; nan without such data and where the run diverged.
    score : float
        What the function given as `score` returned; nan like `validation_loss`.
    """

    plan: BatchPlan
    net: Network
    history: History
    loss: float
    validation_loss: float = math.nan
    score: float = math.nan

    @property
    def batch_size(self) -> int:
        """Samples that make one update."""
        return self.plan.batch_size

    @property
    def diverged(self) -> bool:
        """Whether the run ended because a loss stopped being finite."""
        return not math.isfinite(self.loss)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; of several that were tried, the one that is shown."""
        assert self.history.optimizer is not None
        return self.history.optimizer

    @property
    def epochs(self) -> int:
        """Passes over the samples; the finite ones where the run diverged."""
        return self.history.epochs

    @property
    def updates(self) -> int:
        """How often the parameters moved."""
        return self.history.updates

    @property
    def sample_gradients(self) -> int:
        """How many samples' gradients went into the updates."""
        return self.history.sample_gradients

    @property
    def seconds(self) -> float:
        """How long the epochs took, without validation and callbacks."""
        return sum(self.history.seconds)

    @property
    def seconds_an_epoch(self) -> float:
        """What an epoch takes: the median, which a moment of other work does not change."""
        return float(np.median(self.history.seconds)) if self.epochs else math.nan

    @property
    def method(self) -> str:
        """What gradient descent with this batch size is called."""
        if self.batch_size == self.plan.n_samples:
            return "batch"
        return "stochastic" if self.batch_size == 1 else "mini-batch"

    @property
    def curve(self) -> list[float]:
        """The loss after each epoch: on the validation data, or else as the steps saw it."""
        return self.history.validation_loss or self.history.loss

    def time_to(self, loss: float) -> Reached | None:
        """Return what it took until `curve` was first at or below a loss; None if it never was."""
        for done, value in enumerate(self.curve, 1):
            if value <= loss:
                updates = int(self.history._updates_after()[done])
                return Reached(done, updates, done * self.seconds_an_epoch)
        return None

    def __repr__(self) -> str:
        end = "diverged" if self.diverged else f"loss {self.loss:.4g}"
        return f"Entry(batch_size={self.batch_size}, {count(self.epochs, 'epoch')}, {end})"


def judged_loss(entry: Entry) -> float:
    """Return the loss by which entries are compared: on the validation data, if there are any."""
    return entry.loss if math.isnan(entry.validation_loss) else entry.validation_loss


def rank(entry: Entry) -> tuple[float, float]:
    """Return what is lowest for the best entry: its score first, then its loss."""
    return (0.0 if math.isnan(entry.score) else -entry.score), judged_loss(entry)
