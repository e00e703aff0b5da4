"""`History`: the record of a training, and the state to resume it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastgd import _columns, _generators, _words
from fastgd._columns import Column
from fastgd._typing import FloatArray, IndexArray
from fastgd.network import Network
from fastgd.optimizers import ASGD, Optimizer, OptimizerState
from fastgd.stopping import Waiting

if TYPE_CHECKING:
    from fastgd._plan import Halfway
    from fastgd.schedules import Schedule

__all__ = [
    "DivergenceError",
    "History",
    "check_owner",
    "restore_rng",
]


#: the columns of the table for notebooks, whose rows are pairs of a name and values
COLUMNS = (
    Column("", "quantity", 0, lambda row: row[0], left=True, names_rows=True),
    Column("first", "epoch", 0, lambda row: f"{row[1][0]:.6g}"),
    Column("", "lowest", 0, lambda row: f"{np.nanmin(row[1]):.6g}"),
    Column("", "highest", 0, lambda row: f"{np.nanmax(row[1]):.6g}"),
    Column("last", "epoch", 0, lambda row: f"{row[1][-1]:.6g}"),
)


class DivergenceError(ArithmeticError):
    """The loss, or a parameter, stopped being finite.

    The network has the parameters of the last epoch in which everything was finite.

    Attributes
    ----------
    history : History
        The history up to that epoch.
    """

    def __init__(self, message: str, history: History) -> None:
        super().__init__(message)
        self.history = history

    def __reduce__(self) -> tuple[type[DivergenceError], tuple[str, History]]:
        return type(self), (str(self), self.history)  # a worker process pickles it


class Unfinished(NamedTuple):
    """The epoch under way at a checkpoint.

    Attributes
    ----------
    halfway : Halfway
        How much of it is done.
    n_samples : int
        The samples that it draws from.
    rng_state : mapping
        The state of the random generator before the epoch.
    seconds, wait_seconds : float
        How long it has taken, and how long of this the engine has waited for data.
    """

    halfway: Halfway
    n_samples: int
    rng_state: Mapping[str, Any]
    seconds: float
    wait_seconds: float


class RunningTraining(Protocol):
    """A running training: its history gets values from it when they are read."""

    @property
    def rng(self) -> np.random.Generator:
        """The training's random generator."""

    def recorded(self, earlier: dict[str, FloatArray]) -> dict[str, FloatArray]:
        """Return the trace up to the last complete epoch, after that of an earlier training."""


_NOTHING: dict[str, FloatArray] = None  # type: ignore[assignment] # a dataclass refuses mutable defaults


class LiveTrace:
    """`History.trace`: the stored trace, or while a training runs, its trace so far."""

    def __get__(self, history: History | None, kind: type[History]) -> dict[str, FloatArray]:
        if history is None:  # dataclass reads the field's default
            return _NOTHING
        under_way = history._under_way
        kept: dict[str, FloatArray] = vars(history)["_trace"]
        return kept if under_way is None else under_way.recorded(kept)

    def __set__(self, history: History, values: dict[str, FloatArray]) -> None:
        vars(history)["_trace"] = {} if values is _NOTHING else values


@dataclass(eq=False)  # arrays have no single truth value
class History:
    """The record of a training.

    In a callback it is up to date with the last epoch, whether it is read, copied or saved.

    Attributes
    ----------
    loss : list of float
        Each epoch's mean training loss, with each sample's loss taken before its batch's update.
    validation_loss : list of float
        The mean loss on the validation data after each epoch; empty without such data, and NaN
        for epochs before there were any.
    metrics, validation_metrics : dict of str to list of float
        The requested ``metrics``, one value per epoch: on the training samples after the epoch,
        and on the validation data. NaN for earlier epochs in which a metric was not computed.
    learning_rate : list of float
        The learning rate of each epoch's first step.
    seconds : list of float
        How long each epoch took, without validation and callbacks.
    wait_seconds : list of float
        How long of this the training has waited for data from `fastgd.open_blocks`; 0 for arrays.
    updates : int
        The number of updates, one per batch.
    epoch_updates : list of int
        The number of updates in each epoch.
    sample_gradients : int
        The number of samples' gradients in these updates.
    trace : dict of str to ndarray
        The quantities requested by ``record``, as arrays with one element or row per recorded
        step: "step", its number, from 1; "loss", the mean loss of the batch before its update;
        "params" of shape (steps, n_params), the parameters after it; "gradient_norm", the norm of
        the batch's gradient, before penalties, noise and clipping (but after
        ``clip_per_sample``); and "noise_scale" with its parts "gradient_variance" and
        "gradient_square" (see `fastgd.noise_scale`). It is the ratio of their means over the last
        100 recorded steps, without batches that are less than half full, and infinite if the mean
        gradient cannot be distinguished from zero. The variance is measured on a batch's first
        quarter, but on at least 8 samples.
    start : ndarray of shape (n_params,), or None
        The parameters before the first update, if ``record`` has had "params" since then.
    optimizer : Optimizer
        The optimizer that was used.
    schedule : Schedule or None
        How its learning rate changed; None if it did not.
    diverged : bool
        Whether the training ended because the loss stopped being finite.
    batch_size : int or None
        Samples per batch in the last training: the number of samples if it was None or larger
        than that. None in files written before it was stored.
    shards : int
        The shards of the last training.
    best_epoch : int or None
        With ``early_stopping``, the number of the best epoch, from 1. If the best parameters are
        restored, the network has those of this epoch.
    validation_samples : ndarray of int, or None
        The samples that ``validation=0.2`` set aside, as indices into X.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    metrics: dict[str, list[float]] = field(default_factory=dict)
    validation_metrics: dict[str, list[float]] = field(default_factory=dict)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wait_seconds: list[float] = field(default_factory=list)
    updates: int = 0
    epoch_updates: list[int] = field(default_factory=list)
    sample_gradients: int = 0
    trace: LiveTrace = LiveTrace()
    start: FloatArray | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    diverged: bool = False
    batch_size: int | None = None
    shards: int = 1
    best_epoch: int | None = None
    validation_samples: IndexArray | None = None
    _network: str = field(default="", repr=False)  # the network; empty in older histories
    _state: OptimizerState | None = field(default=None, repr=False)
    _schedule_state: tuple[float, ...] = field(default=(), repr=False)
    _monitor: str = field(default="", repr=False)  # what early stopping watches
    _waiting: Waiting = field(default=Waiting(), repr=False)  # state of early stopping
    _best: FloatArray | None = field(default=None, repr=False)  # the best epoch's parameters
    _last: FloatArray | None = field(
        default=None, repr=False
    )  # the last epoch's parameters, if the network has others
    _rng_state: Mapping[str, Any] | None = field(default=None, repr=False)
    _unfinished: Unfinished | None = field(default=None, repr=False)  # in a checkpoint's history
    _under_way: RunningTraining | None = field(default=None, init=False, repr=False)

    def copy(self) -> History:
        """Return an independent copy, which a running training does not change."""
        return replace(
            self,
            loss=list(self.loss),
            validation_loss=list(self.validation_loss),
            learning_rate=list(self.learning_rate),
            seconds=list(self.seconds),
            wait_seconds=list(self.wait_seconds),
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
        """Return the state of the training's random generator."""
        if self._under_way is None:
            return self._rng_state
        state: Mapping[str, Any] = self._under_way.rng.bit_generator.state
        return state

    def _add_wait_seconds(self, value: float) -> None:
        """Add an epoch's value to `wait_seconds`; NaN for earlier epochs without it."""
        self.wait_seconds += [math.nan] * (self.epochs - 1 - len(self.wait_seconds))
        self.wait_seconds.append(value)

    def _add_validation_loss(self, value: float) -> None:
        """Add an epoch's value to `validation_loss`; NaN for earlier epochs without it."""
        self.validation_loss += [math.nan] * (self.epochs - 1 - len(self.validation_loss))
        self.validation_loss.append(value)

    def _add_metrics(self, name: str, values: Mapping[str, float]) -> None:
        """Add an epoch's values to `metrics` or `validation_metrics`."""
        series: dict[str, list[float]] = getattr(self, name)
        for metric, value in values.items():
            kept = series.setdefault(metric, [])
            kept += [math.nan] * (self.epochs - 1 - len(kept))  # epochs without it
            kept.append(value)

    def _latest(self) -> dict[str, float]:
        """Return what was computed in the last epoch, by name."""
        found = {"loss": self.loss[-1]} | self._last_of(self.metrics)
        if len(self.validation_loss) == self.epochs:
            found["validation_loss"] = self.validation_loss[-1]
        kept = self._last_of(self.validation_metrics).items()
        return found | {f"validation_{name}": value for name, value in kept}

    def _last_of(self, series: Mapping[str, list[float]]) -> dict[str, float]:
        """Return the last epoch's values; a resumed training may compute fewer metrics."""
        return {name: kept[-1] for name, kept in series.items() if len(kept) == self.epochs}

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return len(self.loss)

    @property
    def forward_passes(self) -> int:
        """The number of samples' forward passes in the steps, equal to ``sample_gradients``.

        Forward passes on the validation data are not counted.
        """
        return self.sample_gradients

    def _updates_after(self) -> FloatArray:
        """Return the number of updates after 0, 1, 2, ... epochs."""
        each = self.epoch_updates
        if len(each) != self.epochs:  # a file written before they were stored
            return np.linspace(0, self.updates, self.epochs + 1)
        return np.concatenate(([0.0], np.cumsum(each, dtype=np.float64)))

    @property
    def averaged_params(self) -> FloatArray:
        """The average of the parameters that `fastgd.ASGD` keeps, laid out as Network.params."""
        if not isinstance(self.optimizer, ASGD) or self._state is None:
            raise ValueError(
                f"the optimizer was {self.optimizer}; only fastgd.ASGD averages the parameters"
            )
        return self._state.moments[0].copy()

    def __repr__(self) -> str:
        last = f", last loss {self.loss[-1]:.6g}" if self.loss else ""
        epochs, updates = (
            _words.count(number, thing)
            for number, thing in ((self.epochs, "epoch"), (self.updates, "update"))
        )
        return f"History({epochs}, {updates}{last})"

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: each quantity's first, lowest, highest and last value."""
        series = {"loss": self.loss, "validation loss": self.validation_loss} | self.metrics
        series |= {f"validation {name}": values for name, values in self.validation_metrics.items()}
        rows = [(name, np.array(values)) for name, values in series.items() if len(values)]
        caption = repr(self)
        if self.best_epoch is not None:
            caption += f"; epoch {self.best_epoch:,} was the best"
        return _columns.as_html(COLUMNS, rows, caption)


def check_owner(name: str, history: History, net: Network) -> None:
    """Check that a history belongs to a network of this kind.

    The engine relies on this check, since it receives arrays only as addresses.
    """
    if history._network not in ("", repr(net)):
        raise ValueError(f"{name} belongs to another network, {history._network} instead of {net}")
    state, optimizer = history._state, history.optimizer
    if state is None or optimizer is None:
        return
    kept = len(state.moments), len(state.scalars)
    if kept != (optimizer.n_moments, len(optimizer.initial_scalars)):
        raise ValueError(
            f"{name} has the state of another kind of optimizer than {optimizer}, to which its "
            "attribute optimizer was set: start a new training with that optimizer"
        )
    for moment in state.moments:
        if moment.shape != net.params.shape or moment.dtype != net.dtype:
            raise ValueError(
                f"{name} belongs to another network, with {moment.size} parameters in "
                f"{moment.dtype} instead of {net.n_params} in {net.dtype}"
            )


def restore_rng(history: History) -> np.random.Generator:
    """Return a generator in the state at the end of the training."""
    return _generators.restore(history._generator_state())
