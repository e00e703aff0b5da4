"""The epoch loop: order of the samples, learning rates, history, stopping, callbacks.

``for epoch in run:`` runs one epoch after another. For the computation of a step see the backends,
for the record of steps `_recording`, for what `train` accepts `_settings`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastgd import _validation
from fastgd._plan import StepPlan
from fastgd._rates import Rates
from fastgd._trace import Trace
from fastgd._typing import FloatArray, IndexArray
from fastgd.batches import count_steps
from fastgd.engine.side_by_side import raise_if_stopped
from fastgd.history import DivergenceError, History
from fastgd.sampling import Sampler, draw_batches
from fastgd.stopping import Waiting

if TYPE_CHECKING:
    from fastgd._progress import Progress
    from fastgd._recording import Recording
    from fastgd.schedules import Schedule
    from fastgd.stopping import EarlyStopping

__all__ = ["Job", "Judge", "Run", "Watch"]


class Starter(Protocol):
    """The part of a backend that a run uses; see `fastgd.backends`."""

    def start(
        self, plan: Any, params: FloatArray, state: Any, rng: np.random.Generator
    ) -> Callable[..., float]:
        """Return the function that runs an epoch."""


class Judge(Protocol):
    """Decides when a run ends: `Watch`, or the caller's own rule."""

    def begin(self, history: History, params: FloatArray) -> None:
        """Prepare for the first epoch."""

    def observe(self, history: History, params: FloatArray) -> bool:
        """Evaluate the epoch that has just ended; return whether it is the last."""

    def end(self, history: History, params: FloatArray) -> None:
        """Set the parameters with which the run ends."""


@dataclass
class Job:
    """The objects that a run works on.

    Attributes
    ----------
    backend : Starter
        The backend's module.
    plan : StepPlan
        Passed to the backend.
    params : ndarray of shape (n_params,)
        Trained in place.
    state : OptimizerState
        The optimizer's state, or whatever else the backend keeps beside the parameters; updated
        in place.
    sampler : Sampler
        Determines the order of the samples.
    n_samples : int
        Samples to draw from.
    rng : numpy.random.Generator
        Used to draw their order.
    """

    backend: Starter
    plan: StepPlan
    params: FloatArray
    state: Any
    sampler: Sampler
    n_samples: int
    rng: np.random.Generator


class Watch:
    """Stops a run that no longer improves, and keeps its best epoch.

    Parameters
    ----------
    stopping : EarlyStopping
        The rule.
    series : callable
        Returns the list of values to watch, from the history.
    sign : float
        1 if lower values are better, -1 if higher ones are.
    """

    def __init__(
        self, stopping: EarlyStopping, series: Callable[[History], list[float]], sign: float
    ) -> None:
        self.stopping = stopping
        self._series = series
        self._sign = sign

    def begin(self, history: History, params: FloatArray) -> None:
        """Continue after an earlier run, with the full patience if it was exhausted.

        The best value so far is discarded if the earlier run watched another quantity.
        """
        monitor = self.stopping.monitor
        if history._monitor not in ("", monitor):
            history._waiting, history._best, history.best_epoch = Waiting(), None, None
        history._monitor = monitor
        if self.stopping.rule.exhausted(history._waiting):
            history._waiting = history._waiting._replace(epochs=0)

    def observe(self, history: History, params: FloatArray) -> bool:
        """Evaluate the epoch that has just ended; return whether to stop."""
        rule = self.stopping.rule
        value = self._sign * self._series(history)[-1]
        history._waiting = rule.observe(history._waiting, value)
        if history._waiting.epochs == 0:
            history.best_epoch = history.epochs
            if self.stopping.restore_best:
                history._best = params.copy()
        return rule.exhausted(history._waiting)

    def end(self, history: History, params: FloatArray) -> None:
        """Restore the best parameters; keep the last ones for a resumed run."""
        restores = self.stopping.restore_best and history._best is not None
        if restores and history.best_epoch != history.epochs:
            history._last = params.copy()
            params[:] = history._best


class Run:
    """The epochs of one training.

    Each iteration runs one epoch and yields its number. Breaking out of the loop leaves
    everything in the state after that epoch.

    Parameters
    ----------
    job : Job
        The parameters, data and backend.
    history : History
        The results are appended to it.
    epochs : int
        The most epochs to run.
    schedule : Schedule, optional
        How the learning rate changes.
    begin : callable, optional
        Called before the first epoch; may draw from the generator.
    evaluate : callable, optional
        Called after each epoch, to add validation losses and metrics to the history.
    watch : Judge, optional
        Stops the run when it no longer improves.
    recording : Recording, optional
        Records the steps.
    callbacks : sequence of callable
        Called after each epoch, without arguments; one that returns True ends the run. They may
        change the parameters.
    after_moves : callable, optional
        Called if callbacks have changed the parameters, to check them.
    progress : Progress, optional
        Displays each epoch.
    quantity : str
        The name of the loss in messages.
    hint : callable
        Takes the learning rate, and returns what to do about a loss that is not finite: the end
        of the error message.
    pins : sequence
        Objects that prevent the user's arrays from being resized while they exist.
    """

    def __init__(
        self,
        job: Job,
        history: History,
        *,
        epochs: int,
        schedule: Schedule | None = None,
        begin: Callable[[], None] | None = None,
        evaluate: Callable[[], None] | None = None,
        watch: Judge | None = None,
        recording: Recording | None = None,
        callbacks: Sequence[Callable[[], Any]] = (),
        after_moves: Callable[[], None] | None = None,
        progress: Progress | None = None,
        quantity: str = "loss",
        hint: Callable[[float], str] = lambda rate: "",
        pins: Sequence[Any] = (),
    ) -> None:
        self.job = job
        self.history = history
        self._epochs = epochs
        self._rates = Rates(job.plan.optimizer.learning_rate, schedule, history)
        self._begin = begin
        self._evaluate = evaluate
        self._watch = watch
        self._recording = recording
        self._callbacks = callbacks
        self._after_moves = after_moves
        self._progress = progress
        self._quantity = quantity
        self._hint = hint
        self._pins = pins

    @property
    def rng(self) -> np.random.Generator:
        """The run's random generator."""
        return self.job.rng

    def finish(self) -> History:
        """Run all epochs; return the history."""
        for _ in self:
            pass
        return self.history

    def __iter__(self) -> Iterator[int]:
        job, history, params = self.job, self.history, self.job.params
        if self._begin is not None:
            self._begin()
        _leave_best_epoch(history, params)
        if self._watch is not None:
            self._watch.begin(history, params)
        run_epoch = self._start()
        history._state, history._under_way = job.state, self
        try:
            for done in range(self._epochs):
                raise_if_stopped()
                self._epoch(run_epoch, self._epochs - done)
                reached = params.tobytes() if self._callbacks else b""
                stop = self._after_epoch()
                yield history.epochs
                if stop:
                    break
                if self._callbacks and params.tobytes() != reached:
                    if self._after_moves is not None:
                        self._after_moves()
                    run_epoch = self._start()
            if self._watch is not None:
                self._watch.end(history, params)
        finally:
            self._close()

    def _start(self) -> Callable[..., float]:
        """Return the function that runs an epoch, starting at the current parameters."""
        job = self.job
        return job.backend.start(job.plan, job.params, job.state, job.rng)

    def _epoch(self, run_epoch: Callable[..., float], epochs_left: int) -> None:
        """Run one epoch and add it to the history; raise DivergenceError if it diverges."""
        plan, history = self.job.plan, self.history
        begun = time.perf_counter()
        order, bounds = draw_batches(self.job.sampler, self.job.n_samples, self.job.rng)
        steps, used = _count(plan, order, bounds)
        rates = self._rates.of_epoch(steps, epochs_left)
        trace: Trace | None = None if self._recording is None else self._recording.room(steps)
        total = run_epoch(order, rates, trace, bounds)
        if not math.isfinite(total):
            history.diverged = True
            highest = float(rates.max(initial=0))
            raise DivergenceError(
                f"the {self._quantity} stopped being finite in epoch {history.epochs + 1}, with "
                f"learning rate {highest:g}. {self._hint(highest)}",
                history,
            )
        history.loss.append(total / used if used else math.nan)
        history.learning_rate.append(float(rates[0]) if steps else math.nan)
        history.seconds.append(time.perf_counter() - begun)
        history.updates += steps
        history.epoch_updates.append(steps)
        history.sample_gradients += used
        if self._recording is not None:
            self._recording.end_epoch(steps, used, bounds)

    def _after_epoch(self) -> bool:
        """Evaluate and show the epoch, call the callbacks; return whether to stop."""
        history = self.history
        before = len(history.validation_loss)
        if self._evaluate is not None:
            self._evaluate()
        validated = len(history.validation_loss) > before
        losses = history.validation_loss if validated else history.loss
        self._rates.observe(losses[-1])
        stop = self._watch is not None and self._watch.observe(history, self.job.params)
        if self._progress is not None:
            self._progress.show(history.epochs, history.seconds[-1], history._latest())
        answers = [callback() for callback in self._callbacks]
        return stop or any(map(_validation.is_true, answers))

    def recorded(self, earlier: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the trace up to the last complete epoch, after that of an earlier training."""
        return earlier if self._recording is None else self._recording.recorded(earlier)

    def _close(self) -> None:
        """Store in the history what a resumed run needs."""
        history = self.history
        history._under_way = None
        if self._recording is not None:
            history.trace = self._recording.recorded(history.trace, last=True)
            self._recording = None
        history._rng_state = self.job.rng.bit_generator.state
        if self._progress is not None:
            self._progress.close()


def _leave_best_epoch(history: History, params: FloatArray) -> None:
    """Go back to the parameters of the last epoch, if an earlier run has restored the best ones.

    Parameters that were set in between are kept.
    """
    if history._last is not None and history._best is not None:
        if np.array_equal(params, history._best):
            params[:] = history._last
        history._last = None


def _count(plan: StepPlan, order: IndexArray, bounds: IndexArray | None) -> tuple[int, int]:
    """Return the number of steps in an epoch, and of the samples that they use."""
    if bounds is not None:
        return len(bounds) - 1, len(order)
    steps = count_steps(len(order), plan.batch_size, plan.drop_last)
    return steps, min(len(order), steps * plan.batch_size)
