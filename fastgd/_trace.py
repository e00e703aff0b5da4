"""Buffers for the requested records of a run's steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastgd._typing import FloatArray

__all__ = [
    "Trace",
]


@dataclass(eq=False)  # arrays have no single truth value
class Trace:
    """Buffers for the requested records, one element per recorded step.

    Attributes
    ----------
    every : int
        Record every so many steps, counted from the first step of the whole training.
    loss, penalty, gradient_norm, sample_squares : ndarray of float64, or None
        One element per step: the mean loss, the penalty's share of it, the norm of the batch's
        gradient (before penalties, noise and clipping), and the mean of its first samples'
        gradients' squared norms.
    params : ndarray of shape (steps, n_params), or None
        The parameters after the step.
    """

    every: int
    loss: FloatArray | None = None
    penalty: FloatArray | None = None
    gradient_norm: FloatArray | None = None
    sample_squares: FloatArray | None = None
    params: FloatArray | None = None
    _slot: int = 0

    def keep(
        self,
        step: int,
        n: int,
        params: FloatArray,
        loss: float,
        penalty: float = 0.0,
        norm: float = 0.0,
        squares: float = 0.0,
    ) -> None:
        """Record step number `step` of n samples, if due; loss and penalty are sums."""
        if step % self.every:
            return
        slot, self._slot = self._slot, self._slot + 1
        if self.loss is not None:
            self.loss[slot] = loss / n if n else np.nan
        if self.penalty is not None:
            self.penalty[slot] = penalty / n if n else np.nan
        if self.gradient_norm is not None:
            self.gradient_norm[slot] = norm
        if self.sample_squares is not None:
            self.sample_squares[slot] = squares if n else np.nan
        if self.params is not None:
            self.params[slot] = params

    def before(self, kept: int) -> Trace:
        """Return the buffers of the first steps."""
        return self._each(lambda room: room[:kept])

    def after(self, kept: int) -> Trace:
        """Return the buffers after the first steps."""
        return self._each(lambda room: room[kept:])

    def grown(self, steps: int) -> Trace:
        """Return a copy with room for this many more steps."""
        return self._each(
            lambda room: np.concatenate([room, np.empty_like(room, shape=(steps, *room.shape[1:]))])
        )

    def _each(self, change: Callable[[FloatArray], FloatArray]) -> Trace:
        buffers = ("loss", "penalty", "gradient_norm", "sample_squares", "params")
        other = Trace(self.every)
        for name in buffers:
            if (room := getattr(self, name)) is not None:
                setattr(other, name, change(room))
        return other

    def places(self) -> dict[str, Any]:
        """Return the arguments for the engine's epoch."""
        return {
            "record_every": self.every,
            "loss": self.loss,
            "penalty": self.penalty,
            "gradient_norm": self.gradient_norm,
            "sample_squares": self.sample_squares,
            "params": self.params,
        }
