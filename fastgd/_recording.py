"""Record the steps of a training: the buffers, and the `History.trace` made from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastgd._plan import StepPlan
from fastgd._trace import Trace
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.noise import smoothed_ratio, unbiased_each

__all__ = ["RECORDS", "Recording"]

RECORDS = ("loss", "params", "gradient_norm", "noise_scale")


class Recording:
    """The record of one run's steps.

    Parameters
    ----------
    record : set of str
        Some of `RECORDS`.
    every : int
        Record every so many steps, counted from the first step of the whole training.
    params : ndarray of shape (n_params,)
        The run's parameters.
    plan : StepPlan
        The run's plan.
    first_step : int
        The number of earlier steps.
    steps : int
        The number of expected steps; a user's own sampling may draw more.
    """

    def __init__(
        self,
        record: set[str],
        every: int,
        params: FloatArray,
        plan: StepPlan,
        first_step: int,
        steps: int,
    ) -> None:
        self.record = record
        self.every = every
        self.plan = plan
        self.first_step = first_step
        self.step = first_step  # steps so far
        self.kept = 0  # how many of them are recorded
        self._in_epochs = 0  # how many of these belong to complete epochs
        self.poisson = False
        room = self._count(steps)
        self.sizes: FloatArray = np.zeros(room)  # batch sizes of the recorded steps
        noise = "noise_scale" in record
        self.trace = Trace(
            every,
            loss=np.empty(room) if "loss" in record else None,
            gradient_norm=np.empty(room) if noise or "gradient_norm" in record else None,
            sample_squares=np.empty(room) if noise else None,
            params=np.empty((room, len(params)), params.dtype) if "params" in record else None,
        )

    def _count(self, steps: int) -> int:
        """Return how many of the next steps are recorded."""
        return (self.step + steps) // self.every - self.step // self.every

    def room(self, steps: int) -> Trace:
        """Return the buffers for the next steps."""
        count = self._count(steps)
        if self.kept + count > len(self.sizes):
            self.sizes = np.concatenate([self.sizes, np.zeros(count)])
            self.trace = self.trace.grown(count)
        return self.trace.after(self.kept)

    def end_epoch(self) -> None:
        """Count the steps so far to complete epochs."""
        self._in_epochs = self.kept

    def end_part(self, steps: int, used: int, bounds: IndexArray | None) -> None:
        """Keep the record of some of an epoch's steps, with this many samples.

        `bounds` has the ends of their batches if the sizes differ.
        """
        count = self._count(steps)
        self.poisson = bounds is not None
        if "noise_scale" in self.record:
            sizes = self.sizes[self.kept : self.kept + count]
            if bounds is None:
                sizes[:] = self.plan.batch_size
                if count and (self.step + steps) % self.every == 0:
                    sizes[-1] = used - (steps - 1) * self.plan.batch_size
            else:
                missed = self.every - 1 - self.step % self.every
                sizes[:] = np.diff(bounds)[missed :: self.every]
        self.step += steps
        self.kept += count

    def recorded(
        self, earlier: Mapping[str, FloatArray], *, last: bool = False, halfway: bool = False
    ) -> dict[str, FloatArray]:
        """Return the trace: an earlier training's record followed by this one's.

        It ends with the last complete epoch, or with `halfway` with the last part of one. The last
        call computes it in place, in the buffers.
        """
        n = self.kept if halfway else self._in_epochs
        trace, sizes = self.trace.before(n), self.sizes[:n]
        before = self.first_step // self.every
        series: dict[str, AnyArray | None] = {
            "step": np.arange(before + 1, before + n + 1) * self.every,
            "loss": trace.loss,
            "gradient_norm": trace.gradient_norm if "gradient_norm" in self.record else None,
            "params": trace.params,
        }
        if trace.sample_squares is not None and trace.gradient_norm is not None:
            variances = trace.sample_squares if last else trace.sample_squares.copy()
            in_place = last and "gradient_norm" not in self.record
            squares = self._gradient_squares(trace.gradient_norm, in_place)
            # an estimate from a small last batch is poor, but would have the same weight
            sizes = np.where(sizes < self.plan.batch_size / 2, 0, sizes)
            unbiased_each(variances, squares, sizes)
            series["gradient_variance"], series["gradient_square"] = variances, squares
        kept = dict(earlier)
        for name, values in series.items():
            if values is not None:
                old = kept.get(name)
                kept[name] = values if old is None else np.concatenate([old, values])
        if "gradient_variance" in series:
            kept["noise_scale"] = smoothed_ratio(kept["gradient_variance"], kept["gradient_square"])
        return kept

    def _gradient_squares(self, norms: FloatArray, in_place: bool) -> FloatArray:
        """Return the squared norms of the batches' mean gradients."""
        squares: FloatArray = np.square(norms, out=norms if in_place else None)
        sizes = self.sizes[: len(norms)]
        if self.plan.reduction == "sum":
            squares /= np.maximum(sizes, 1) ** 2
        elif self.poisson:  # the mean divides by the batch size
            squares *= (self.plan.batch_size / np.maximum(sizes, 1)) ** 2
        return squares
