"""Runs on a landscape that step together, and checks of their start."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgd import _data, _words
from fastgd._typing import FloatArray, IndexArray
from fastgd.landscapes._landscape import Landscape
from fastgd.optimizers import SGD, Optimizer, check_optimizer

__all__ = ["Runs", "check_landscape", "optimizer_or_default", "check_start"]


def check_landscape(landscape: Landscape) -> None:
    """Check that the argument is a landscape."""
    if not isinstance(landscape, Landscape):
        raise TypeError(
            "landscape must be a fastgd.landscapes.Landscape such as Quintic(), not "
            f"{_words.show(landscape)}"
        )


def check_start(landscape: Landscape, start: ArrayLike | None) -> FloatArray:
    """Return the checked initial parameters."""
    point = landscape.start if start is None else start
    return _data.check_point("start", point, landscape.n_params).astype(np.float64)


def optimizer_or_default(landscape: Landscape, optimizer: Optimizer | None) -> Optimizer:
    """Return the checked optimizer; for None, the default of `descend`."""
    if optimizer is None:
        return SGD(landscape.largest_learning_rate / 2)
    return check_optimizer(optimizer)


class Runs:
    """Several runs on one landscape that step together, each with its own batches.

    A run's results do not depend on the number of runs: all operations are elementwise, and sums
    run over a batch.
    """

    def __init__(
        self, landscape: Landscape, start: FloatArray, n_runs: int, optimizer: Optimizer
    ) -> None:
        self.landscape = landscape
        self.optimizer = optimizer
        self.params: FloatArray = np.tile(start, (n_runs, 1))
        self.state = optimizer.initial_state(self.params)

    def losses(self, samples: IndexArray) -> FloatArray:
        """Return the losses of each run's batch, of shape (n_runs, batch)."""
        return self.landscape.losses(self.params, samples)

    def step(self, samples: IndexArray, learning_rate: float, divisor: int | None = None) -> None:
        """Make one update of each run with its batch, of shape (n_runs, batch).

        The sum of a batch's gradients is divided by their number, or by the divisor.
        """
        gradient = self.landscape.gradients(self.params, samples).sum(axis=-2)
        gradient /= samples.shape[-1] if divisor is None else divisor
        self.optimizer.update(self.params, gradient, self.state, learning_rate)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Continue with only some of the runs."""
        self.params = self.params[kept]
        self.state.moments = tuple(moment[kept] for moment in self.state.moments)
