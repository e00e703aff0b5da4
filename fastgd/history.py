"""`History`: what a training has done, and what it needs to go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastgd import _generators, _words
from fastgd._typing import FloatArray, IndexArray
from fastgd.network import Network
from fastgd.optimizers import ASGD, Optimizer, OptimizerState
from fastgd.stopping import Waiting

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = [
    "DivergenceError",
    "History",
    "check_owner",
    "restore_rng",
]


class DivergenceError(ArithmeticError):
    """The loss, or a parameter, stopped being finite.

    The network holds the parameters of the last epoch in which all was finite.

    Attributes
    ----------
    history : History
        Of the epochs before.
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[str, History]]:
        return type(self), (str(self), self.history)  # a worker process sends it back


class UnderWay(Protocol):
    """A training that has not ended: what its history asks it for, once somebody reads it."""

    @property
    def rng(self) -> np.random.Generator:
        """What the training draws from."""

    def recorded(self, earlier: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the trace up to the last complete epoch, behind that of an earlier training."""


_NOTHING: dict[str, FloatArray] = None  # type: ignore[assignment] # a dataclass wants no default that can be written to


class LiveTrace:
    """`History.trace`: what was kept, or while a training is under way what it says when asked."""

    def __get__(self, history: History | None, kind: type[History]) -> dict[str, FloatArray]:
        if history is None:  # the dataclass asks for the field's default
            return _NOTHING
        under_way = history._under_way
        kept: dict[str, FloatArray] = vars(history)["_trace"]
        return kept if under_way is None else under_way.recorded(kept)

    def __set__(self, history: History, values: dict[str, FloatArray]) -> None:
        vars(history)["_trace"] = {} if values is _NOTHING else values


@dataclass(eq=False)  # its arrays have no one truth value
class History:
    """What a training has done.

    A callback's history is up to date with the epoch before it, in all that is read of it, copied
    or saved.

    Attributes
    ----------
    loss : list of float
        Each epoch's mean training loss, as seen by the steps: of each sample before its batch's
        update.
    validation_loss : list of float
        The mean loss on the validation data after each epoch; empty without such data.
    metrics, validation_metrics : dict of str to list of float
        What ``metrics`` asked for, a value an epoch: on the training samples as the epoch left the
        network, and on the validation data. NaN for epochs before it was asked for.
    learning_rate : list of float
        Each epoch's learning rate, in its first step.
    seconds : list of float
        How long each epoch took, validation and callbacks left out.
    updates : int
        How often the parameters moved: once a batch.
    epoch_updates : list of int
        Each epoch's updates: as many as there were batches.
    sample_gradients : int
        How many samples' gradients went into these updates.
    trace : dict of str to ndarray
        What ``record`` asked for, an array whose first dimension counts the recorded steps:
        "step", their numbers, from 1; "loss", the mean loss of the batch before its update;
        "params" of shape (steps, n_params), the parameters after it; "gradient_norm", the norm of
        the batch's gradient, before penalties, noise and clipping (but of samples' gradients as
        ``clip_per_sample`` leaves them); and with "noise_scale" its parts too,
        "gradient_variance" and "gradient_square" (see `fastgd.noise_scale`), whose means over the
        last 100 recorded steps it divides, leaving out batches that are less than half full; it
        is infinite where the mean gradient can not be told from zero. The variance is that of a
        batch's first quarter, but of 8 samples at least.
    start : ndarray of shape (n_params,), or None
        The parameters before the first update, where ``record`` had "params" from there on.
    optimizer : Optimizer
        The optimizer that was used.
    schedule : Schedule or None
        How its learning rate changed; None where it did not.
    diverged : bool
        Whether the training ended because the loss stopped being finite.
    batch_size : int or None
        Samples a batch in the last training: the number of all where none was given or a larger
        one. None in files that were written before it was kept.
    best_epoch : int or None
        With ``early_stopping``, the number of the epoch, from 1, in which what it watches was
        best: the epoch whose parameters the network holds, if it restores the best ones.
    validation_samples : ndarray of int, or None
        Which samples ``validation=0.2`` has set aside: indices into X.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    validation_metrics: dict[str, list[float]] = field(default_factory=dict)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    updates: int = 0
    epoch_updates: list[int] = field(default_factory=list)
    sample_gradients: int = 0
    trace: LiveTrace = LiveTrace()
    start: FloatArray | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    diverged: bool = False
    batch_size: int | None = None
    best_epoch: int | None = None
    validation_samples: IndexArray | None = None
    _sizes: tuple[int, ...] = field(default=(), repr=False)  # the network's; older ones have none
    _state: OptimizerState | None = field(default=None, repr=False)
    _schedule_state: tuple[float, ...] = field(default=(), repr=False)
    _waiting: Waiting = field(default=Waiting(), repr=False)  # of early stopping
    _best: FloatArray | None = field(default=None, repr=False)  # the best epoch's parameters
    _last: FloatArray | None = field(
        default=None, repr=False
    )  # the last's, where not the network's
    _rng_state: Mapping[str, Any] | None = field(default=None, repr=False)
    _under_way: UnderWay | None = field(default=None, init=False, repr=False)

    def copy(self) -> History:
        """Return a history of its own, as this one is now: a training leaves it alone."""
        return replace(
            self,
            loss=list(self.loss),
            validation_loss=list(self.validation_loss),
            learning_rate=list(self.learning_rate),
            seconds=list(self.seconds),
            epoch_updates=list(self.epoch_updates),
            trace=dict(self.trace),
            metrics={name: list(values) for name, values in self.metrics.items()},
            validation_metrics={
                name: list(values) for name, values in self.validation_metrics.items()
            },
            _state=None if self._state is None else self._state.copy(),
            _rng_state=self._generator_state(),
        )

    def __getstate__(self) -> dict[str, Any]:
        return vars(self.copy())

    def _generator_state(self) -> Mapping[str, Any] | None:
        """Return the state of the generator that the training draws from."""
        if self._under_way is None:
            return self._rng_state
        state: Mapping[str, Any] = self._under_way.rng.bit_generator.state
        return state

    def _add_metrics(self, name: str, values: Mapping[str, float]) -> None:
        """Add an epoch's values to `metrics` or `validation_metrics`."""
        series: dict[str, list[float]] = getattr(self, name)
        for metric, value in values.items():
            series.setdefault(metric, [math.nan] * (self.epochs - 1)).append(value)

    def _latest(self) -> dict[str, float]:
        """Return what is known of the last epoch, by name."""
        found = {"loss": self.loss[-1]}
        found |= {name: values[-1] for name, values in self.metrics.items()}
        if self.validation_loss:
            found["validation_loss"] = self.validation_loss[-1]
        kept = self.validation_metrics.items()
        return found | {f"validation_{name}": values[-1] for name, values in kept}

    @property
    def epochs(self) -> int:
        """How many epochs were run."""
        return len(self.loss)

    @property
    def forward_passes(self) -> int:
        """How many samples went forward in the steps: one for each of ``sample_gradients``.

        Those of the validation data are not among them.
        """
        return self.sample_gradients

    def _updates_after(self) -> FloatArray:
        """Return how many updates there were after 0, 1, 2, ... epochs."""
        each = self.epoch_updates
        if len(each) != self.epochs:  # a file that was written before they were counted
            return np.linspace(0, self.updates, self.epochs + 1)
        return np.concatenate(([0.0], np.cumsum(each, dtype=np.float64)))

    @property
    def averaged_params(self) -> FloatArray:
        """The average of the parameters that `fastgd.ASGD` keeps, laid out as Network.params."""
        if not isinstance(self.optimizer, ASGD) or self._state is None:
            raise ValueError(
                f"the optimizer was {self.optimizer}; fastgd.ASGD alone averages the parameters"
            )
        return self._state.moments[0].copy()

    def __repr__(self) -> str:
        last = f", last loss {self.loss[-1]:.6g}" if self.loss else ""
        epochs, updates = (
            _words.count(number, thing)
            for number, thing in ((self.epochs, "epoch"), (self.updates, "update"))
        )
        return f"History({epochs}, {updates}{last})"


def check_owner(name: str, history: History, net: Network) -> None:
    """Check that a history is that of a network of these sizes and this dtype.

    Whoever gives its state to the engine relies on it: there, arrays are no more than addresses.
    """
    if history._sizes not in ((), net.sizes):
        raise ValueError(
            f"{name} is that of another network, whose sizes are {list(history._sizes)}, and not "
            f"{list(net.sizes)}"
        )
    state, optimizer = history._state, history.optimizer
    if state is None or optimizer is None:
        return
    kept = len(state.moments), len(state.scalars)
    if kept != (optimizer.n_moments, len(optimizer.initial_scalars)):
        raise ValueError(
            f"{name} has the state of another kind of optimizer than {optimizer}, to which its "
            "attribute optimizer was set: begin a training of its own with that one"
        )
    for moment in state.moments:
        if moment.shape != net.params.shape or moment.dtype != net.dtype:
            raise ValueError(
                f"{name} is that of another network, of {moment.size} parameters in "
                f"{moment.dtype}, and not {net.n_params} in {net.dtype}"
            )


def restore_rng(history: History) -> np.random.Generator:
    """Return a generator in the state in which the training left its own."""
    return _generators.restore(history._generator_state())
