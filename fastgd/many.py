"""`train_many`: train several networks at the same time, one per thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import ArrayLike

from fastgd import _frames, _validation, _words
from fastgd._arguments import helpful, unknown_argument
from fastgd._run import Run
from fastgd._typing import SamplesLike
from fastgd.engine.side_by_side import run_all
from fastgd.history import DivergenceError, History
from fastgd.network import Network, check_network, read_rows
from fastgd.training import allowed_settings, prepare

__all__ = ["train_many"]

NOT_PER_NETWORK = {"n_threads", "backend", "verbose"}


@helpful
def train_many(
    nets: Sequence[Network],
    X: SamplesLike,
    y: ArrayLike,
    settings: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    n_threads: int | None = None,
) -> list[History]:
    """Train several networks on the same data at the same time, each on one thread.

    For several seeds, learning rates, batch sizes or folds. This keeps all cores busy with small
    networks, whose single steps are too short to be divided between threads. Each network gets
    the same bits as from `fastgd.train`.

    Parameters
    ----------
    nets : sequence of Network
        The networks, trained in place.
    X : array_like or scipy.sparse array, of shape (n, n_features)
        Samples; they are converted at most once per dtype.
    y : array_like of shape (n,) or (n, outputs)
        Targets, as the networks' losses take them.
    settings : mapping, or sequence of mappings
        The keyword arguments of `fastgd.train`: one mapping for all networks, or one for each.
        "n_threads", "backend" and "verbose" are not allowed. The additional key "samples" is an
        array of indices of the samples to train on, without a copy of the data. Several networks
        may have the same seed, but not the same generator or bit generator.
    n_threads : int, optional
        The most networks to train at the same time; as many as there are threads if not given, and
        never more than that.

    Returns
    -------
    list of History
        One for each network. If a network's loss stops being finite, it keeps the parameters of
        its last finite epoch, its history has ``diverged`` set, and the others continue.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above. Nothing has changed then.
    KeyboardInterrupt
        Once every thread has stopped, which takes some hundredths of a second. Each network then
        has the parameters of its last complete epoch. An exception in a callback ends the other
        runs in the same way.

    Examples
    --------
    Five folds of cross-validation:

    >>> import numpy as np
    >>> import fastgd as gd
    >>> X = np.random.default_rng(0).standard_normal((100, 3))
    >>> y = X @ [1.0, 2.0, 3.0]
    >>> folds = np.arange(100) % 5
    >>> nets = [gd.Network([3, 1]) for _ in range(5)]
    >>> settings = [
    ...     {"samples": np.flatnonzero(folds != k), "optimizer": gd.SGD(0.05), "rng": k}
    ...     for k in range(5)
    ... ]
    >>> histories = gd.train_many(nets, X, y, settings)
    >>> [h.sample_gradients for h in histories]
    [800, 800, 800, 800, 800]
    """
    if isinstance(nets, Network) or not isinstance(nets, Iterable):
        raise TypeError(f"nets must list networks, as [net], not {_words.show(nets)}")
    nets = [check_network(net) for net in nets]
    workers = _validation.check_threads(n_threads)
    runs = _prepare_all(nets, X, y, _settings_of_each(nets, settings))
    if not runs:
        return []
    from fastgd.backends.compiled import threads

    return run_all([partial(_run, run) for run in runs], threads(workers))


def _run(run: Run) -> History:
    """Run, and return the history even if the run diverged."""
    try:
        return run.finish()
    except DivergenceError as error:
        return error.history


def _settings_of_each(
    nets: list[Network], settings: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the settings of each network; their names are checked, not their values."""
    if not isinstance(settings, Iterable):
        raise TypeError(
            "settings must be a mapping of train's arguments, or one for each network, "
            f"not {_words.show(settings)}"
        )
    each = [settings] * len(nets) if isinstance(settings, Mapping) else list(settings)
    if len(each) != len(nets):
        raise ValueError(
            f"settings is for {_words.count(len(each), 'network')}, but nets holds "
            f"{len(nets)}: give one mapping for all of them, or one for each"
        )
    if len({id(net) for net in nets}) < len(nets):
        raise ValueError("nets holds a network twice: use Network.copy() for a second one")
    allowed = [name for name in (*allowed_settings(), "samples") if name not in NOT_PER_NETWORK]
    for entry in each:
        if not isinstance(entry, Mapping):
            raise TypeError(
                f"settings must hold mappings of train's arguments, not {_words.show(entry)}"
            )
        if unknown := [name for name in entry if name not in {*allowed, *NOT_PER_NETWORK}]:
            said = f"settings has {unknown[0]!r}, which train does not take; it may hold "
            raise unknown_argument(f"{said}{', '.join(allowed)}", str(unknown[0]), allowed)
        if refused := NOT_PER_NETWORK & set(entry):
            raise ValueError(f"settings may not hold {', '.join(sorted(refused))}")
    return each


def _prepare_all(
    nets: list[Network], X: SamplesLike, y: ArrayLike, settings: list[Mapping[str, Any]]
) -> list[Run]:
    """Check the arguments for every network, before any of them changes."""
    converted: dict[Any, Any] = {}
    names = _frames.column_names(X)
    runs = []
    for net, entry in zip(nets, settings, strict=True):
        _frames.require_names(X, net.feature_names)
        key = net.sizes[0], net.dtype, net.inputs
        if key not in converted:
            converted[key] = read_rows(net, X)
        runs.append(prepare(net, converted[key], y, names=names, n_threads=1, **entry))
    bit_generators = [run.rng.bit_generator for run in runs]  # several generators may share one
    if len(set(map(id, bit_generators))) < len(runs):
        raise ValueError(
            "settings shares a generator between networks, so draws would depend on which "
            "thread is first: give each a seed, or rng.spawn(n) generators"
        )
    return runs
