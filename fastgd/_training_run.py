"""The epochs of one training: sampling, learning rates, validation, callbacks, the history.

What a call of `fastgd.train` gives is checked in `training`; what a step computes is the business
of the backends, what is recorded of it that of `_recording`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastgd import _validation, _words, backends
from fastgd._divergence import remedy
from fastgd._plan import Plan
from fastgd._recording import RECORDS, Recording
from fastgd._typing import AnyArray, FloatArray, RngLike
from fastgd.batches import count_steps
from fastgd.engine.side_by_side import heed_stop
from fastgd.history import DivergenceError, History, check_owner, restore_rng
from fastgd.network import Network, check_params
from fastgd.optimizers import SGD, Optimizer, OptimizerState, check_optimizer
from fastgd.sampling import Sampler, draw_batches

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = ["Run"]

Given = TypeVar("Given")

AHEAD = 256  # how many epochs' learning rates are computed at a time


class Run:
    """One call of `train`: its settings once they are checked, and its epochs."""

    optimizer: Optimizer
    schedule: Schedule | None
    rng: np.random.Generator
    state: OptimizerState
    history: History
    epochs: int
    callbacks: tuple[Callable[[Network, History], Any], ...]
    backend: ModuleType
    record: set[str]
    record_every: int
    plan: Plan
    n_samples: int
    sampler: Sampler
    validation: tuple[FloatArray, AnyArray, FloatArray | None] | None

    def __init__(self, net: Network) -> None:
        from fastgd.engine.kernels import pin  # compiled code is loaded when it is needed

        self.net = net
        self._pin = pin
        self.epochs_left: int = 0
        self.ahead: list[float] = []  # learning rates of epochs to come, the next one last
        self.recording: Recording | None = None
        self.pins: list[Any] = []  # keep the user's arrays where they are

    def pin(self, array: Given) -> Given:
        """Return an array, whose memory stays where it is until the run has ended.

        Whatever is called from here on (an array's own conversion, a sampling, a callback) may
        try to resize what was checked before.
        """
        self.pins += self._pin(array)
        return array

    def read_settings(
        self,
        epochs: int,
        callbacks: Sequence[Callable[[Network, History], Any]],
        backend: str,
    ) -> None:
        """Check what concerns neither data nor optimizer."""
        self.epochs = _validation.check_int("epochs", epochs, at_least=0)
        self.callbacks = _validation.check_callbacks(callbacks, "net", "history")
        self.backend = backends.load(
            _validation.check_choice("backend", backend, backends.BACKENDS)
        )

    def read_record(self, record: Sequence[str], record_every: int, batch_size: int) -> None:
        """Check what the trace is to keep."""
        self.record = _validation.check_record(record, RECORDS)
        self.record_every = _validation.check_int("record_every", record_every, at_least=1)
        if "noise_scale" in self.record and batch_size == 1:
            raise ValueError(
                "record='noise_scale' needs batches of at least 2 samples: one has no variance"
            )

    def read_resumed(
        self,
        optimizer: Optimizer | None,
        schedule: Schedule | Callable[[int], float] | None,
        rng: RngLike,
        resume: History | None,
    ) -> None:
        """Take optimizer, schedule, their state, generator and history over, or begin them."""
        if optimizer is not None:
            check_optimizer(optimizer)
        if resume is None:
            self._begin(optimizer, schedule, rng)
            return
        if not isinstance(resume, History) or resume._state is None:
            hint = ""
            if isinstance(resume, tuple):
                hint = ": load_checkpoint returns the network and the history, which is meant here"
            raise TypeError(
                f"resume must be what fastgd.train returned, not {_words.show(resume)}{hint}"
            )
        if optimizer is not None or schedule is not None or rng is not None:
            raise ValueError(
                "resume brings the optimizer, the schedule and the generator: leave them out"
            )
        self._take_over(resume)

    def _begin(
        self,
        optimizer: Optimizer | None,
        schedule: Schedule | Callable[[int], float] | None,
        rng: RngLike,
    ) -> None:
        """Begin with a state and a history of their own."""
        self.optimizer = SGD(0.01) if optimizer is None else optimizer
        self.rng = _validation.check_rng(rng)
        self.state = self.optimizer.initial_state(self.net.params)
        self.schedule = None if schedule is None else _schedule(schedule)
        self.history = History(
            optimizer=self.optimizer, schedule=self.schedule, _sizes=self.net.sizes
        )
        if self.schedule is not None:
            self.history._schedule_state = self.schedule.initial_state()

    def _take_over(self, resume: History) -> None:
        """Go on from copies of what another training has left."""
        assert resume.optimizer is not None
        assert resume._state is not None
        check_owner("resume", resume, self.net)
        self.optimizer, self.schedule = resume.optimizer, resume.schedule
        self.rng = restore_rng(resume)
        self.history = resume.copy()
        self.history.diverged = False
        assert self.history._state is not None
        self.state = self.history._state

    def go(self) -> History:
        """Run the epochs; return the history."""
        run_epoch = self._start()
        self._begin_recording()
        self.history._state, self.history._under_way = self.state, self
        try:
            for done in range(self.epochs):
                self.epochs_left = self.epochs - done
                heed_stop()
                self._epoch(run_epoch)
                reached = self.net.params.tobytes() if self.callbacks else b""
                if self._after_epoch():
                    break
                if self.callbacks and self.net.params.tobytes() != reached:
                    check_params(self.net.params)
                    run_epoch = self._start()  # a callback has moved them
        finally:
            self._finish()
        return self.history

    def _start(self) -> Callable[..., float]:
        """Return the function that runs an epoch, from the parameters as they are."""
        run_epoch: Callable[..., float] = self.backend.start(
            self.plan, self.net.params, self.state, self.rng
        )
        return run_epoch

    def _epoch(self, run_epoch: Callable[..., float]) -> None:
        """Run one epoch, and add to the history what it did; DivergenceError where it diverged."""
        plan, history = self.plan, self.history
        begun = time.perf_counter()
        order, bounds = draw_batches(self.sampler, self.n_samples, self.rng)
        if bounds is None:
            steps = count_steps(len(order), plan.batch_size, plan.drop_last)
            used = min(len(order), steps * plan.batch_size)
        else:
            steps, used = len(bounds) - 1, len(order)
        rates = self._rates(steps)
        trace = None if self.recording is None else self.recording.room(steps)
        total = run_epoch(order, rates, trace, bounds)
        if not math.isfinite(total):
            history.diverged = True
            raise DivergenceError(
                f"the loss stopped being finite in epoch {history.epochs + 1}, with learning "
                f"rate {rates.max(initial=0):g}. The network holds the parameters of the epoch "
                f"before. {remedy(plan.X, plan.y, plan.loss, rates.max(initial=0))}",
                history,
            )
        history.loss.append(total / used if used else math.nan)
        history.learning_rate.append(float(rates[0]) if steps else math.nan)
        history.seconds.append(time.perf_counter() - begun)
        history.updates += steps
        history.epoch_updates.append(steps)
        history.sample_gradients += used
        if self.recording is not None:
            self.recording.end_epoch(steps, used, bounds)

    def _begin_recording(self) -> None:
        """Make room for all that the run will record."""
        if not self.record:
            return
        if "params" in self.record and self.history.updates == 0:
            self.history.start = self.net.params.copy()
        steps = count_steps(self.n_samples, self.plan.batch_size, self.plan.drop_last)
        first, count = self.state.step, steps * self.epochs
        self.recording = Recording(
            self.record, self.record_every, self.net, self.plan, first, count
        )

    def _rates(self, steps: int) -> FloatArray:
        """Return the next epoch's learning rates, one a step."""
        base, state = self.optimizer.learning_rate, self.history._schedule_state
        if self.schedule is None:
            return np.full(steps, base)
        if self.schedule.unit == "update":
            rates = self.schedule.rates(base, self.history.updates, steps, state)
            return _validation.check_rates(rates, steps)
        if not self.ahead or self.schedule.watches_loss:
            count = 1 if self.schedule.watches_loss else min(AHEAD, self.epochs_left)
            rates = self.schedule.rates(base, self.history.epochs, count, state)
            self.ahead = _validation.check_rates(rates, count).tolist()[::-1]
        return np.full(steps, self.ahead.pop())

    def _after_epoch(self) -> bool:
        """Validate, call the callbacks; return whether one wants to stop."""
        if self.validation is not None:
            values = self.net._losses(*self.validation)
            loss = float(values.sum(dtype=np.float64)) / len(values)
            self.history.validation_loss.append(loss)
        history = self.history
        if self.schedule is not None:
            seen = history.loss if self.validation is None else history.validation_loss
            history._schedule_state = self.schedule.observe(history._schedule_state, seen[-1])
        answers = [callback(self.net, self.history) for callback in self.callbacks]
        return any(map(_validation.is_true, answers))

    def recorded(self, earlier: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the trace up to the last complete epoch, behind that of an earlier training."""
        return earlier if self.recording is None else self.recording.recorded(earlier)

    def _finish(self) -> None:
        """Leave in the history what a later run needs to go on."""
        history = self.history
        history._under_way = None
        if self.recording is not None:
            history.trace = self.recording.recorded(history.trace, last=True)
            self.recording = None
        history._state = self.state
        history._rng_state = self.rng.bit_generator.state


def _schedule(value: Schedule | Callable[[int], float]) -> Schedule:
    from fastgd.schedules import make_schedule  # who has none does not pay for the import

    return make_schedule(value)
