"""The epoch loop: order of the samples, learning rates, history, stopping, callbacks.

``for epoch in run:`` runs one epoch after another. For the computation of a step see the backends,
for the record of steps `_recording`, for what `train` accepts `_settings`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from fastgd import _validation
from fastgd._plan import Halfway, Part, StepPlan
from fastgd._rates import Rates
from fastgd._trace import Trace
from fastgd._typing import FloatArray, IndexArray
from fastgd.batches import count_steps
from fastgd.engine.side_by_side import raise_if_stopped
from fastgd.history import DivergenceError, History, Unfinished
from fastgd.rows._feed import Chunk
from fastgd.sampling import Sampler, draw_batches
from fastgd.stopping import Waiting

if TYPE_CHECKING:
    from fastgd._progress import Progress
    from fastgd._recording import Recording
    from fastgd.rows._feed import Feed
    from fastgd.schedules import Schedule
    from fastgd.stopping import EarlyStopping

__all__ = ["Job", "Judge", "Run", "Saver", "Watch"]


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


@runtime_checkable
class Saver(Protocol):
    """Saves the state in the middle of epochs; `fastgd.Checkpoint` is one."""

    def begin(self, steps: int) -> None:
        """Prepare for a run after so many steps."""

    def portion(self, steps: int) -> int:
        """Return the most steps to make, after so many, before the next look."""

    def is_due(self, steps: int) -> bool:
        """Return whether to save once so many steps are made."""

    def save(self, model: Any, history: History) -> None:
        """Save this state."""


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
    feed : Feed, optional
        Reads the samples, in an order of its own, where the plan has none.
    """

    backend: Starter
    plan: StepPlan
    params: FloatArray
    state: Any
    sampler: Sampler | None
    n_samples: int
    rng: np.random.Generator
    feed: Feed | None = None


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


class _Epoch:
    """One epoch of a job: its steps, and the samples for them.

    Parameters
    ----------
    job : Job
        The order is drawn from its generator.

    Attributes
    ----------
    steps, used : int
        Steps, and the samples that they use.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._bounds: IndexArray | None = None
        self._order: Any
        plan, n = job.plan, job.n_samples
        if job.feed is not None:
            self._order = job.feed.draw(job.rng)
        else:
            assert job.sampler is not None
            self._order, self._bounds = draw_batches(job.sampler, n, job.rng)
            n = len(self._order)
        self.steps, self.used = _count(plan, n, self._bounds)

    @contextlib.contextmanager
    def chunks(self, at: Halfway) -> Iterator[_Chunks]:
        """Return the epoch's steps from a place in it on, in one piece or as they are read."""
        job = self._job
        if job.feed is not None:
            plan = job.plan
            with job.feed.chunks(self._order, plan.batch_size, plan.drop_last, at) as ahead:
                yield _Chunks(ahead, lambda: ahead.waited)
            return
        bounds = self._bounds
        if bounds is not None and at.steps:
            bounds = bounds[at.steps :] - bounds[at.steps]
        order: Any = self._order
        yield _Chunks(
            iter([Chunk(self.steps - at.steps, order[at.samples :], bounds)]), lambda: 0.0
        )


@dataclass
class _Chunks:
    chunks: Iterator[Chunk]
    waited: Callable[[], float]  # seconds


@dataclass
class _Underway:
    """The epoch under way: how much is done, and what it takes to draw it again."""

    epoch: _Epoch
    at: Halfway
    rng_state: Any  # before the epoch
    begun: float
    waited: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the epoch began."""
        return time.perf_counter() - self.begun


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
    savers : sequence of Saver
        Save the state in the middle of epochs.
    model_at : callable
        Returns the model with other parameters, for savers.
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
        savers: Sequence[Saver] = (),
        model_at: Callable[[FloatArray], Any] = lambda params: params,
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
        self._savers = savers
        self._model_at = model_at
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
        for saver in self._savers:
            saver.begin(history.updates)
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
        history, now = self.history, self._open_epoch()
        epoch, at = now.epoch, now.at
        rates = self._rates.of_epoch(epoch.steps, epochs_left)
        with epoch.chunks(at) as source:
            for chunk in source.chunks:
                if chunk.steps or not epoch.steps:
                    self._run_chunk(run_epoch, chunk, rates, now)
            now.waited += source.waited()
        history._unfinished = None
        history.loss.append(at.total / epoch.used if epoch.used else math.nan)
        history.learning_rate.append(float(rates[0]) if epoch.steps else math.nan)
        history.seconds.append(now.seconds)
        history._add_wait_seconds(now.waited)
        history.updates += epoch.steps
        history.epoch_updates.append(epoch.steps)
        history.sample_gradients += epoch.used
        if self._recording is not None:
            self._recording.end_epoch()

    def _open_epoch(self) -> _Underway:
        """Draw the next epoch; one that a checkpoint has interrupted, again."""
        job, found = self.job, self.history._unfinished
        begun = time.perf_counter()
        if found is None:
            before = job.rng.bit_generator.state if self._savers else {}
            return _Underway(_Epoch(job), Halfway(), before, begun)
        after = job.rng.bit_generator.state
        job.rng.bit_generator.state = found.rng_state
        epoch = _Epoch(job)
        job.rng.bit_generator.state = after
        if found.n_samples != job.n_samples or found.halfway.steps >= epoch.steps:
            raise ValueError(
                "resume continues in the middle of an epoch, which was over "
                f"{found.n_samples:,} samples, but here are {job.n_samples:,}: give the same "
                "samples, batch_size and sampling"
            )
        at = replace(found.halfway)
        return _Underway(epoch, at, found.rng_state, begun - found.seconds, found.wait_seconds)

    def _run_chunk(
        self, run_epoch: Callable[..., float], chunk: Chunk, rates: FloatArray, now: _Underway
    ) -> None:
        """Make the steps of a chunk, in parts after which the state is saved if it is due."""
        while True:
            made = self.history.updates + now.at.steps
            steps = min([chunk.steps, *(saver.portion(made) for saver in self._savers)])
            end = now.at.steps + steps
            last = end == now.epoch.steps
            due = [saver for saver in self._savers if not last and saver.is_due(made + steps)]
            into = (self.job.params.copy(), self.job.state.copy()) if due else None
            part = Part(steps, last, now.at, chunk.data, into)
            done = self._run_part(run_epoch, chunk, rates[end - steps : end], part)
            if not math.isfinite(now.at.total):
                self._diverge(rates)
            if into is not None:
                history, model = self._halfway(*into, now), self._model_at(into[0])
                for saver in due:
                    saver.save(model, history)
            if steps == chunk.steps:
                return
            bounds = chunk.bounds
            chunk = Chunk(
                chunk.steps - steps,
                chunk.order[done:],
                None if bounds is None else bounds[steps:] - bounds[steps],
                chunk.data,
            )

    def _run_part(
        self, run_epoch: Callable[..., float], chunk: Chunk, rates: FloatArray, part: Part
    ) -> int:
        """Make and record the steps of a part; return how many samples they take."""
        at, recording = part.halfway, self._recording
        before = at.samples
        trace: Trace | None = None if recording is None else recording.room(part.steps)
        if part.last and at.steps == 0 and part.data is None:  # a whole epoch
            total = run_epoch(chunk.order, rates, trace, chunk.bounds)
            _, samples = _count(self.job.plan, len(chunk.order), chunk.bounds)
            at.advance(part.steps, samples, total)
        else:
            at.total = run_epoch(chunk.order, rates, trace, chunk.bounds, part)
        if recording is not None and math.isfinite(at.total):
            ends = None if chunk.bounds is None else chunk.bounds[: part.steps + 1]
            recording.end_part(part.steps, at.samples - before, ends)
        return at.samples - before

    def _diverge(self, rates: FloatArray) -> None:
        """Raise the error for a loss that is not finite."""
        self.history.diverged = True
        highest = float(rates.max(initial=0))
        raise DivergenceError(
            f"the {self._quantity} stopped being finite in epoch {self.history.epochs + 1}, with "
            f"learning rate {highest:g}. {self._hint(highest)}",
            self.history,
        )

    def _halfway(self, params: FloatArray, state: Any, now: _Underway) -> History:
        """Return the history in the middle of an epoch, from which a training can be resumed."""
        trace = self.recorded(vars(self.history)["_trace"], halfway=True)
        history = self.history.copy()
        history._state, history.trace = state, trace
        history._unfinished = Unfinished(
            replace(now.at), self.job.n_samples, now.rng_state, now.seconds, now.waited
        )
        return history

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
        if not self._callbacks:
            return stop
        answers = [callback() for callback in self._callbacks]
        return stop or any(map(_validation.is_true, answers))

    def recorded(
        self, earlier: dict[str, FloatArray], *, halfway: bool = False
    ) -> dict[str, FloatArray]:
        """Return the trace up to the last complete epoch, after that of an earlier training.

        With `halfway`, up to the last part of the epoch under way.
        """
        if self._recording is None:
            return earlier
        return self._recording.recorded(earlier, halfway=halfway)

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


def _count(plan: StepPlan, n: int, bounds: IndexArray | None) -> tuple[int, int]:
    """Return the number of steps in an epoch over n samples, and of the samples that they use."""
    if bounds is not None:
        return len(bounds) - 1, n
    steps = count_steps(n, plan.batch_size, plan.drop_last)
    return steps, min(n, steps * plan.batch_size)
