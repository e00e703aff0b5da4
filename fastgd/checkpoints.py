"""Checkpoints: files with a network and the state to resume its training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _files, _generators, _validation, _words
from fastgd._typing import AnyArray, FloatArray
from fastgd.history import History, check_owner, restore_rng
from fastgd.network import Network, check_network, network_entries, read_network
from fastgd.optimizers import OPTIMIZERS, Optimizer, OptimizerState
from fastgd.stopping import Waiting

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = ["load_checkpoint", "save_checkpoint"]

_LISTS = ("loss", "validation_loss", "learning_rate", "seconds")
_COUNTS = ("updates", "sample_gradients")


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
    load_checkpoint : Read the file.
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
    entries["history"] = {name: getattr(history, name) for name in _COUNTS} | {
        "trace": list(history.trace),
        "epoch updates": history.epoch_updates,
        "batch size": history.batch_size,
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
    }
    _files.write(path, "checkpoint", entries)


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
        _sizes=net.sizes,
        _state=OptimizerState(
            _count("step", kept["step"]), tuple(moments), _scalars(kept, optimizer)
        ),
        _schedule_state=_numbers("schedule state", kept.get("schedule state", [])),
        _rng_state=kept["rng"],
    )
    if history.schedule is not None:
        history.schedule.check_state(history._schedule_state, history.epochs)
    restore_rng(history)
    return history


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
