"""Checkpoints: files with a network and the state to resume its training."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _files, _generators, _validation, _words
from fastgd._plan import Halfway
from fastgd._typing import AnyArray, FloatArray
from fastgd._writing import check_place, keep_copy
from fastgd.history import History, Unfinished, check_owner, restore_rng
from fastgd.network import Network, check_network, network_entries, read_network
from fastgd.optimizers import OPTIMIZERS, Optimizer, OptimizerState
from fastgd.stopping import Waiting

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

_LISTS = ("loss", "validation_loss", "learning_rate", "seconds")
_COUNTS = ("updates", "sample_gradients")

#: units of `Checkpoint`'s interval, in the singular: what they are multiples of
UNITS = {
    "": ("second", 1.0), "sec": ("second", 1.0), "second": ("second", 1.0),
    "m": ("second", 60.0), "min": ("second", 60.0), "minute": ("second", 60.0),
    "h": ("second", 3600.0), "hour": ("second", 3600.0),
    "step": ("step", 1.0), "update": ("step", 1.0), "epoch": ("epoch", 1.0),
}  # fmt: skip
# a checkpoint by the clock looks at it about as often, in seconds
SHORT_PORTION = 0.1
LONG_PORTION = 0.5


def save_checkpoint(path: str | os.PathLike[str], net: Network, history: History) -> None:
    """Write a network and the state to resume its training.

    Parameters
    ----------
    path : path_like
        The file, in NumPy's npz format without pickle. An existing file is replaced in one move,
        and its permissions are kept.
    net : Network
        The network.
    history : History
        The history that `fastgd.train` returned for it or passed to a callback. Resuming from a
        file that a callback wrote gives the same bits as a training without interruption.

    Raises
    ------
    TypeError, ValueError
        When an argument is not a network or a history, or the history belongs to another network;
        or when the training used a bit generator that is not NumPy's, or a schedule that is a
        function: a file cannot hold these.
    OSError
        When the file cannot be written: no such folder, a read-only file (for root too), a
        device, links that lead back to themselves. An existing file is then unchanged.

    See Also
    --------
    load_checkpoint : Read the file, with an example of both.
    Checkpoint : Save while a training runs.
    """
    check_network(net)
    if not isinstance(history, History) or history.optimizer is None or history._state is None:
        raise TypeError(f"history must be what fastgd.train returned, not {_words.show(history)}")
    check_owner("history", history, net)
    restore_rng(history)  # refuse to write what could not be resumed
    entries = network_entries(net)
    for name in _LISTS:
        entries[f"history.{name}"] = np.array(getattr(history, name), np.float64)
    for name, values in history.trace.items():
        entries[f"trace.{name}"] = values
    if history.start is not None:
        entries["start"] = history.start
    for place, moment in enumerate(history._state.moments):
        entries[f"moment.{place}"] = moment
    for name, array in (
        ("best", history._best), ("last", history._last), ("held", history.validation_samples),
    ):  # fmt: skip
        if array is not None:
            entries[name] = array
    if history.wait_seconds:
        entries["history.wait_seconds"] = np.array(history.wait_seconds, np.float64)
    entries["history"] = {name: getattr(history, name) for name in _COUNTS} | {
        "trace": list(history.trace),
        "epoch updates": history.epoch_updates,
        "batch size": history.batch_size,
        "shards": history.shards,
        "metrics": history.metrics,
        "validation metrics": history.validation_metrics,
        "best epoch": history.best_epoch,
        "waiting": list(history._waiting),
        "monitor": history._monitor,
        "step": history._state.step,
        "scalars": history._state.scalars.tolist(),
        "rng": _generators.to_fields(history._generator_state()),
        "optimizer": [history.optimizer.name, vars(history.optimizer)],
        "schedule": None if history.schedule is None else history.schedule.to_entry(),
        "schedule state": list(history._schedule_state),
        "unfinished": _unfinished_fields(history._unfinished),
    }
    _files.write(path, "checkpoint", entries)


class Checkpoint:
    """Saves a training while it runs, also within epochs: give it to ``train(callbacks=[...])``.

    After a crash or a kill, the training continues from the last file with the next step, and ends
    with the bits of one that was never interrupted.

    Parameters
    ----------
    path : path_like
        The file, which `load_checkpoint` reads. It is replaced in one move. The one before it is
        kept as ``name.previous.npz`` beside ``name.npz``.
    every : str
        How often: a number of seconds, minutes, hours, steps or epochs, such as "5 min",
        "10000 steps" or "1 epoch".

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above. While it trains, `fastgd.train` raises what
        `save_checkpoint` does.

    Notes
    -----
    A sampling of your own must depend on the generator alone: the order of an interrupted epoch is
    drawn again. Give ``resume`` the same data, batch size and sampling.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastgd as gd
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> X = np.linspace(-1, 1, 500).reshape(-1, 1)
    >>> net = gd.Network([1, 8, 1], rng=0)
    >>> saves = gd.Checkpoint(path, every="10 steps")
    >>> history = gd.train(net, X, X[:, 0] ** 2, epochs=2, callbacks=[saves], rng=0)

    The last save was after step 30 of 32, in the second epoch, which is finished now:

    >>> again, before = gd.load_checkpoint(path)
    >>> before.epochs
    1
    >>> after = gd.train(again, X, X[:, 0] ** 2, epochs=2 - before.epochs, resume=before)
    >>> bool((again.params == net.params).all())
    True
    """

    def __init__(self, path: str | os.PathLike[str], every: str = "5 min") -> None:
        self.path = os.fspath(path)
        self.every = every
        self._number, self._unit = _interval(every)
        self._saved = self._looked = 0.0  # when
        self._steps = 0  # at the last save
        self._portion = 1

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every={self.every!r})"

    @property
    def previous(self) -> str:
        """The file with the state that was saved before the last."""
        base, ending = os.path.splitext(self.path)
        return f"{base}.previous{ending}"

    def begin(self, steps: int) -> None:
        """Prepare for a run after so many steps."""
        check_place(self.path)
        self._saved = self._looked = time.monotonic()
        self._steps, self._portion = steps, 1

    def portion(self, steps: int) -> int:
        """Return the most steps to make, after so many, before the next look."""
        if self._unit == "step":
            return int(self._number - steps % self._number)
        if self._unit == "epoch":
            return sys.maxsize
        now = time.monotonic()
        if now - self._looked < SHORT_PORTION:
            self._portion = min(2 * self._portion, sys.maxsize)
        elif now - self._looked > LONG_PORTION:
            self._portion = max(1, self._portion // 2)
        self._looked = now
        return self._portion

    def is_due(self, steps: int) -> bool:
        """Return whether to save once so many steps are made."""
        if self._unit == "step":
            return steps % self._number == 0
        return self._unit == "second" and time.monotonic() - self._saved >= self._number

    def save(self, model: Network, history: History) -> None:
        """Save this state."""
        keep_copy(self.path, self.previous)
        save_checkpoint(self.path, model, history)
        self._saved = time.monotonic()

    def __call__(self, net: Network, history: History) -> None:
        """Save the state after an epoch, if it is due."""
        due = self.is_due(history.updates)
        if due or (self._unit == "epoch" and history.epochs % self._number == 0):
            self.save(net, history)


def _interval(every: Any) -> tuple[float, str]:
    """Return the number and the unit of an interval: seconds, steps or epochs."""
    if not isinstance(every, str):
        raise TypeError(
            f"every must be a text such as '5 min', '1000 steps' or '1 epoch', not "
            f"{_words.show(every)}"
        )
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*(?=[a-z])([a-z]*?)s?\s*", every.lower())
    unit = UNITS.get(match[2]) if match else None
    if match is None or unit is None or not 0 < float(match[1]) < 2**62:
        raise ValueError(
            f"every is {every!r}, but must be a number and a unit, such as '30 s', '5 min', "
            "'2 hours', '1000 steps' or '1 epoch'"
        )
    name, factor = unit
    number = float(match[1])
    if name == "second":
        return number * factor, name
    if number != int(number):
        raise ValueError(f"every is {every!r}, but {name}s are counted in whole numbers")
    return int(number), name


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[Network, History]:
    """Read a network and its history, for ``fastgd.train(..., resume=history)``.

    Parameters
    ----------
    path : path_like
        A file that `save_checkpoint` wrote.

    Returns
    -------
    (Network, History)
        As they were, bit for bit.

    Raises
    ------
    OSError
        When there is no such file, it is a folder, or it may not be read.
    ValueError
        When the file is damaged, not fastgd's, has a network without a history, or is a device or
        a pipe. No file contents raise anything else: files from untrusted sources are safe to
        read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastgd as gd
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> net = gd.Network([1, 8, 1], rng=0)
    >>> history = gd.train(net, X, X[:, 0] ** 2, epochs=4, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.save_checkpoint(os.path.join(folder, "run.npz"), net, history)
    ...     net, history = gd.load_checkpoint(os.path.join(folder, "run.npz"))
    >>> gd.train(net, X, X[:, 0] ** 2, epochs=6, resume=history).epochs
    10
    """
    with _files.opened(path) as file:
        net = read_network(file)
        if "history" not in file.header:
            raise _files.RefusedError(
                f"{file.path!r} holds a network without a history: read it with fastgd.load"
            )
        return net, _read_history(file, net)


def _read_history(file: _files.Contents, net: Network) -> History:
    """Build a history from a file; each value is checked before use."""
    from fastgd._archive import INDICES

    kept = file.header["history"]
    same = [net.dtype.str[1:]], [net.n_params]
    name, arguments = kept["optimizer"]
    optimizer = OPTIMIZERS[name](**{key: _tuple(value) for key, value in arguments.items()})
    moments = [file.arrays.array(f"moment.{i}", *same) for i in range(optimizer.n_moments)]
    history = History(
        **{name: file.arrays.array(f"history.{name}", ["f8"], [None]).tolist() for name in _LISTS},
        updates=_count("updates", kept["updates"]),
        sample_gradients=_count("sample_gradients", kept["sample_gradients"]),
        epoch_updates=[_count("updates", count) for count in kept.get("epoch updates", ())],
        trace={name: _read_trace(file, name, net) for name in kept["trace"]},
        start=_optional(file, "start", *same),
        optimizer=optimizer,
        batch_size=_whole("batch size", kept.get("batch size")),
        shards=_whole("shards", kept.get("shards")) or 1,
        metrics=_series(kept.get("metrics", {})),
        validation_metrics=_series(kept.get("validation metrics", {})),
        best_epoch=_whole("best epoch", kept.get("best epoch")),
        validation_samples=file.arrays.array("held", INDICES, [None])
        if "held" in file.arrays
        else None,
        _monitor=str(kept.get("monitor", "")),
        _waiting=_waiting(kept.get("waiting")),
        _best=_optional(file, "best", *same),
        _last=_optional(file, "last", *same),
        schedule=_schedule(kept.get("schedule")),
        _network=repr(net),
        _state=OptimizerState(
            _count("step", kept["step"]), tuple(moments), _scalars(kept, optimizer)
        ),
        _schedule_state=_numbers("schedule state", kept.get("schedule state", [])),
        _rng_state=kept["rng"],
        wait_seconds=_wait_seconds(file),
        _unfinished=_read_unfinished(kept.get("unfinished")),
    )
    if history.schedule is not None:
        history.schedule.check_state(history._schedule_state, history.epochs)
    restore_rng(history)
    return history


def _wait_seconds(file: _files.Contents) -> list[float]:
    waited = _optional(file, "history.wait_seconds", ["f8"], [None])
    return [] if waited is None else waited.tolist()


def _unfinished_fields(unfinished: Unfinished | None) -> dict[str, Any] | None:
    """Return the epoch under way in JSON's own types."""
    if unfinished is None:
        return None
    at = unfinished.halfway
    return {name: getattr(at, name) for name in ("steps", "samples", "total", "seed", "ahead")} | {
        "of samples": unfinished.n_samples,
        "rng": _generators.to_fields(unfinished.rng_state),
        "seconds": [unfinished.seconds, unfinished.wait_seconds],
    }


def _read_unfinished(kept: Any) -> Unfinished | None:
    """Return the epoch under way, checked; None if there is none."""
    if kept is None:
        return None
    seed, check = kept["seed"], _validation.check_int
    numbers = [kept["total"], kept["ahead"], *kept["seconds"]]
    total, ahead, seconds, waited = _numbers("unfinished", numbers)
    at = Halfway(
        _count("unfinished steps", kept["steps"]),
        _count("unfinished samples", kept["samples"]),
        total,
        None if seed is None else check("seed", seed, at_least=0, at_most=2**64 - 1),
        ahead,
    )
    _generators.restore(kept["rng"])
    n = _count("samples", kept["of samples"])
    return Unfinished(at, n, kept["rng"], seconds, waited)


def _optional(file: _files.Contents, name: str, kinds: Any, shape: Any) -> AnyArray | None:
    """Return an array, or None if the file has none of this name."""
    return file.arrays.array(name, kinds, shape) if name in file.arrays else None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _count(name: str, value: Any) -> int:
    """Return a count that can still grow without overflow."""
    return _validation.check_int(name, value, at_least=0, at_most=2**62)


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    """Return a list's numbers."""
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"its {name} is {_words.show(values)}, not a list of numbers")
    return tuple(map(float, values))


def _read_trace(file: _files.Contents, name: str, net: Network) -> FloatArray:
    """Return a recorded array, or one that a user added."""
    from fastgd._archive import NUMBERS

    if name == "params":
        return file.arrays.array("trace.params", [net.dtype.str[1:]], [None, net.n_params])
    return file.arrays.array(f"trace.{name}", NUMBERS)


def _schedule(entry: list[Any] | None) -> Schedule | None:
    if entry is None:
        return None
    from fastgd.schedules import from_entry  # only imported if there is a schedule

    return from_entry(entry)


def _whole(name: str, value: Any) -> int | None:
    """Return an integer of at least 1, or None."""
    return None if value is None else _validation.check_int(name, value, at_least=1)


def _series(kept: Any) -> dict[str, list[float]]:
    """Return the metrics' values by name."""
    if not isinstance(kept, dict):
        raise ValueError(f"its metrics are {_words.show(kept)}")
    return {name: list(_numbers(name, values)) for name, values in kept.items()}


def _waiting(kept: Any) -> Waiting:
    """Return the state of early stopping."""
    if kept is None:  # a file from before early stopping existed
        return Waiting()
    best, epochs = _numbers("waiting", kept)
    return Waiting(best, _count("waiting", int(epochs)))


def _scalars(kept: Mapping[str, Any], optimizer: Optimizer) -> FloatArray:
    """Return the optimizer's scalars; older files have none."""
    scalars = np.array(_numbers("scalars", kept.get("scalars", [])), np.float64)
    if scalars.shape != (len(optimizer.initial_scalars),):
        raise ValueError(f"its optimizer's scalars are {scalars.tolist()}")
    return scalars
