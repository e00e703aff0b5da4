"""The result of one batch size: its runs, one for each seed, and their progress over time."""

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

__all__ = ["Entry", "Reached", "Trial"]

#: a run whose loss has grown to this many times the start's (or 1, if that is more) has diverged
EXPLODED = 1e6


class Reached(NamedTuple):
    """The cost of a run until its loss first reached a given value.

    The seconds are the number of epochs times those of the median epoch.
    """

    epochs: int
    updates: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Trial:
    """One run: one batch size, one optimizer, one seed.

    Attributes
    ----------
    seed : int
        Repeats the run: ``fastgd.train(start, X, y, rng=seed, ...)``.
    net : Network
        The trained network. With validation data it has the parameters of the best epoch.
    history : History
        The history of its training.
    start_loss : float
        The loss before the training, on the samples it was trained on.
    loss : float
        The network's loss on all of these; nan if the run diverged.
    validation_loss : float
        Its loss on the validation data; nan without such data or if the run diverged.
    score : float
        The result of the function `score`; nan without one or if the run diverged.
    kept_epoch : int
        The epoch whose parameters the network has, from 1.
    """

    seed: int
    net: Network
    history: History
    start_loss: float
    loss: float
    validation_loss: float = math.nan
    score: float = math.nan
    kept_epoch: int = 0

    @property
    def diverged(self) -> bool:
        """Whether a loss stopped being finite, or became a million times the start's."""
        highest = max(self.history.loss, default=0.0)
        return not math.isfinite(self.loss) or highest > EXPLODED * max(self.start_loss, 1.0)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that it used."""
        assert self.history.optimizer is not None
        return self.history.optimizer

    @property
    def judged(self) -> float:
        """The loss that decides: on the validation data if there are any."""
        return self.loss if math.isnan(self.validation_loss) else self.validation_loss

    @property
    def curve(self) -> list[float]:
        """The loss of each epoch: on the validation data, or the steps' mean without any."""
        return self.history.validation_loss or self.history.loss


@dataclass(frozen=True, eq=False)
class Entry:
    """The result of one batch size.

    Attributes
    ----------
    plan : BatchPlan
        Batch size, batches per epoch and updates.
    trials : tuple of Trial
        One run for each seed. `net`, `history`, `loss`, `validation_loss` and `score` are those of
        the first one.
    """

    plan: BatchPlan
    trials: tuple[Trial, ...]

    @property
    def net(self) -> Network:
        """The network of the first seed."""
        return self.trials[0].net

    @property
    def history(self) -> History:
        """The history of the first seed."""
        return self.trials[0].history

    @property
    def loss(self) -> float:
        """Its loss on the samples it was trained on; nan if it diverged."""
        return math.nan if self.diverged else self.trials[0].loss

    @property
    def validation_loss(self) -> float:
        """Its loss on the validation data; nan without any or if it diverged."""
        return math.nan if self.diverged else self.trials[0].validation_loss

    @property
    def score(self) -> float:
        """Its score; nan without the function `score` or if it diverged."""
        return math.nan if self.diverged else self.trials[0].score

    @property
    def batch_size(self) -> int:
        """Samples per update."""
        return self.plan.batch_size

    @property
    def diverged(self) -> bool:
        """Whether a run of this batch size diverged, for any of the seeds."""
        return any(trial.diverged for trial in self.trials)

    @property
    def losses(self) -> list[float]:
        """The loss that decides, for each seed."""
        return [trial.judged for trial in self.trials]

    def mean(self, name: str) -> float:
        """Return the mean over the seeds of a number that each trial has; nan if one diverged."""
        if self.diverged:
            return math.nan
        return float(np.mean([getattr(trial, name) for trial in self.trials]))

    @property
    def spread(self) -> float:
        """The standard deviation of `losses` over the seeds; nan for one seed."""
        return float(np.std(self.losses, ddof=1)) if len(self.trials) > 1 else math.nan

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; if several were tried, the one that was kept."""
        return self.trials[0].optimizer

    @property
    def epochs(self) -> int:
        """Passes over the samples; only finite epochs if the run diverged."""
        return self.history.epochs

    @property
    def kept_epoch(self) -> int:
        """The epoch whose parameters the network has, from 1."""
        return self.trials[0].kept_epoch

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
        """How long a run's epochs took, without validation and callbacks; the median run."""
        return float(np.median([sum(trial.history.seconds) for trial in self.trials]))

    @property
    def seconds_per_epoch(self) -> float:
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
        """The first seed's losses: on the validation data, or the steps' mean without any."""
        return self.trials[0].curve

    def time_to(self, loss: float) -> Reached | None:
        """Return the cost until `curve` first reached a loss; None if it never did."""
        for done, value in enumerate(self.curve, 1):
            if value <= loss:
                updates = int(self.history._updates_after()[done])
                return Reached(done, updates, done * self.seconds_per_epoch)
        return None

    def __repr__(self) -> str:
        end = "diverged" if self.diverged else f"loss {self.loss:.4g}"
        seeds = f", {count(len(self.trials), 'seed')}" if len(self.trials) > 1 else ""
        return f"Entry(batch_size={self.batch_size}, {count(self.epochs, 'epoch')}, {end}{seeds})"
