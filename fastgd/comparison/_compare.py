"""`compare`: check the arguments, run the trainings side by side or in turn, collect entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation, _words
from fastgd._arguments import unknown_argument
from fastgd._divergence import remedy
from fastgd._evaluation import count_held
from fastgd._typing import IndexArray, RngLike, SamplesLike
from fastgd.batches import BatchPlan, plan
from fastgd.comparison._comparison import Comparison
from fastgd.comparison._entry import Entry, judged_loss
from fastgd.history import DivergenceError, History
from fastgd.many import train_many
from fastgd.network import Network, check_network
from fastgd.optimizers import SGD, Optimizer, check_optimizer
from fastgd.rows import Rows, check_rows, subset
from fastgd.training import allowed_settings, prepare

if TYPE_CHECKING:
    from typing import TypeAlias

    Optimizers: TypeAlias = Optimizer | Sequence[Optimizer]

__all__ = ["compare"]

OWN = {"net", "X", "y", "batch_size", "epochs", "optimizer", "validation", "rng", "n_threads"}
BATCH_SIZES = (1, 8, 32, None)
REFUSED = {
    "resume": "every run starts with net as it is",
    "verbose": "its runs are trained side by side",
}


def compare(
    net: Network,
    X: SamplesLike,
    y: ArrayLike,
    batch_sizes: Iterable[int | None] = BATCH_SIZES,
    *,
    epochs: int = 10,
    optimizer: Optimizers | Callable[[int], Optimizers] | None = None,
    validation: float | Sequence[ArrayLike] | None = None,
    score: Callable[[Network], float] | None = None,
    goal: float | None = None,
    rng: RngLike = None,
    n_threads: int | None = None,
    side_by_side: bool | None = None,
    **settings: Any,
) -> Comparison:
    """Train copies of a network with several batch sizes, and compare the results.

    All runs start with the parameters of `net`, which itself is not changed, and use the same
    seed. Each gets the same bits as from `fastgd.train`. The entry of a run that diverged says so.

    Parameters
    ----------
    net : Network
        The start of every run.
    X : array_like of shape (n, n_features)
        Samples.
    y : array_like of shape (n,) or (n, outputs)
        Targets, as the network's loss takes them.
    batch_sizes : iterable of int or None
        Samples per batch, without duplicates; None for all samples. All sizes of at least the
        number of samples mean the same as None, and share one entry. The default is 1, 8, 32 and
        None.
    epochs : int
        Passes over the samples in every run.
    optimizer : Optimizer, sequence of Optimizer, or callable, optional
        One for all batch sizes, or a function from a batch size (a number, n for None) to an
        optimizer, since a learning rate for one batch size rarely suits another. Every element of
        a sequence is tried. The one that reaches `goal` in the fewest epochs is kept; if none
        does, or there is no goal, the one with the lowest final loss, on the validation data if
        there are any. ``SGD(0.01)`` if not given.
    validation : float, (X, y) or (X, y, sample_weight), optional
        Data on which the loss is computed after each epoch; a number is the share of the samples
        to set aside, the same for all runs.
    score : callable, optional
        Called as ``score(net)`` with each trained network; returns a number, higher is better,
        such as the accuracy on other data.
    goal : float, optional
        The loss at which the entries' times are compared, a validation loss if there are
        validation data; if not given, 98 % of the way from the start's loss to the lowest of all
        runs.
    rng : None, int or numpy.random.Generator
        Draws the seed for all runs; an int is that seed.
    n_threads : int, optional
        The most threads to use; OpenMP's number if not given.
    side_by_side : bool, optional
        Whether to train the runs at the same time, one per thread (`fastgd.train_many`), which
        is fastest, or one after the other, each with several threads. The results have the same
        bits either way, but seconds mean something else, see the notes. The default is True for
        the compiled backend.
    **settings
        Further arguments of `fastgd.train`, for all runs: ``sampling``, ``drop_last``,
        ``reduction``, ``sample_weight``, ``callbacks``, ``record``, ``backend`` and so on.
        Runs side by side call the callbacks from several threads.

    Returns
    -------
    Comparison
        A sequence with one entry for each batch size, in their order. ``print`` shows a table.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above. Nothing was trained then.
    KeyboardInterrupt
        Raised within a tenth of a second. `net` is unchanged.

    Notes
    -----
    Runs side by side share caches, memory bandwidth and the power budget that sets the clock
    rate. Their seconds are those of one thread on a busy machine: up to half as many again as for
    a single run, and different from call to call. With ``side_by_side=False`` each run has the
    machine to itself. Compare seconds only within one comparison; epochs, updates and losses are
    always exact. Times to a loss use the median epoch's seconds, so that a short disturbance does
    not decide which batch size is fastest.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> X = np.random.default_rng(0).standard_normal((1000, 3))
    >>> y = X @ [1.0, -2.0, 0.5] + 3
    >>> result = gd.compare(gd.Network([3, 1]), X, y, optimizer=gd.SGD(0.02), epochs=5, rng=0)
    >>> [(entry.batch_size, entry.updates) for entry in result]
    [(1, 5000), (8, 625), (32, 160), (1000, 5)]
    >>> result.best.batch_size
    1

    The larger the batch, the longer the step that its gradient allows:

    >>> result = gd.compare(
    ...     gd.Network([3, 1]), X, y, [8, 32], rng=0,
    ...     optimizer=lambda batch_size: gd.SGD(0.02 * batch_size**0.5),
    ... )
    >>> [round(entry.optimizer.learning_rate, 3) for entry in result]
    [0.057, 0.113]
    """
    _check_settings(settings)
    check_network(net)
    X = check_rows(X, net.sizes[0], net.dtype)
    epochs = _validation.check_int("epochs", epochs, at_least=1)
    n = len(X) - (count_held(len(X), validation) if isinstance(validation, float) else 0)
    plans = _plans(batch_sizes, n, epochs, settings.get("drop_last", False))
    tried = [_optimizers(optimizer, plan.batch_size) for plan in plans]
    if goal is not None:
        goal = _validation.check_real("goal", goal)
    if score is not None:
        _validation.check_function("score", score, "net")
    seed = _seed(rng)
    shared = settings | {"epochs": epochs, "validation": validation, "rng": seed}
    runs = [
        (plan, net.copy(), shared | {"batch_size": plan.batch_size, "optimizer": one})
        for plan, several in zip(plans, tried, strict=True)
        for one in several
    ]
    together = _side_by_side(side_by_side, settings.get("backend", "compiled"))
    nets, each = [run[1] for run in runs], [run[2] for run in runs]
    histories = (_together if together else _in_turn)(nets, X, y, each, n_threads)
    weight = settings.get("sample_weight")
    held = histories[0].validation_samples
    seen = (
        (X, y, weight) if held is None else _rows(X, y, weight, np.delete(np.arange(len(X)), held))
    )
    judged: Any = seen if validation is None else validation
    if held is not None:
        judged = _rows(X, y, weight, held)
    start_loss = net.loss_value(judged[0], judged[1], sample_weight=(*judged, None)[2])
    entries = [
        _entry(plan, trained, history, *seen)
        for (plan, trained, _), history in zip(runs, histories, strict=True)
    ]
    return Comparison(
        [_with_score(_best_of(entries, plan, goal), score) for plan in plans],
        goal=goal,
        seed=seed,
        side_by_side=together and len(runs) > 1,
        start=net.copy(),
        start_loss=start_loss,
        tried=max(len(several) for several in tried),
        remedy=_remedy(X, y, net.loss, histories),
    )


def _remedy(X: Any, y: ArrayLike, loss: str, histories: Sequence[History]) -> str:
    """Return advice for runs that all diverged; empty if one did not."""
    if not all(history.diverged for history in histories):
        return ""
    lowest = min(one.optimizer.learning_rate for one in histories if one.optimizer is not None)
    return remedy(X, y, loss, lowest)


def _rows(X: Rows, y: ArrayLike, weight: ArrayLike | None, rows: IndexArray) -> Any:
    """Return some of the samples, with their targets and weights."""
    return (
        subset(X, rows),
        np.asarray(y)[rows],
        None if weight is None else np.asarray(weight)[rows],
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that `train` does not take or `compare` sets itself."""
    allowed = [name for name in allowed_settings() if name not in OWN | {*REFUSED}]
    for name in settings:
        if name in REFUSED:
            raise TypeError(f"compare takes no {name}: {REFUSED[name]}")
        if name == "batch_size":
            raise TypeError("compare takes batch_sizes, such as [1, 32, None], not batch_size")
        if name not in allowed:
            raise unknown_argument(
                f"compare takes no argument {name!r}; besides its own, it takes train's: "
                f"{', '.join(allowed)}",
                name,
                [*allowed, *(one for one in signature(compare).parameters if one != "settings")],
            )


def _plans(
    batch_sizes: Iterable[int | None], n: int, epochs: int, drop_last: bool
) -> list[BatchPlan]:
    """Return each batch size's plan."""
    sizes = _validation.check_batch_sizes(batch_sizes, n)
    return [plan(n, size, epochs=epochs, drop_last=drop_last) for size in sizes]


def _optimizers(optimizer: Any, batch_size: int) -> list[Optimizer]:
    """Return the optimizers to try for a batch size."""
    if optimizer is None:
        return [SGD(0.01)]
    made = optimizer
    if isinstance(optimizer, type):  # a class would take the batch size for a learning rate
        check_optimizer(optimizer)
    if callable(optimizer):
        made = optimizer(batch_size)
    several = list(made) if isinstance(made, (list, tuple)) else [made]
    if not several or not all(isinstance(one, Optimizer) for one in several):
        what = f"optimizer({batch_size}) returned" if callable(optimizer) else "optimizer is"
        raise TypeError(
            f"{what} {_words.show(made)}, but must be an optimizer such as fastgd.SGD(0.1), "
            "a list of those, or a function that takes a batch size and returns one of these"
        )
    return several


def _seed(rng: RngLike) -> int:
    """Return the seed for all runs; ``gd.train(..., rng=seed)`` accepts it too."""
    generator = _validation.check_rng(rng)
    if isinstance(rng, (int, np.integer)):
        return int(rng)
    return int(generator.integers(2**63))


def _side_by_side(requested: bool | None, backend: Any) -> bool:
    """Return whether the runs are trained at the same time."""
    if requested is None:
        return bool(backend == "compiled")
    if _validation.check_bool("side_by_side", requested) and backend != "compiled":
        raise ValueError(
            f"side_by_side=True needs the compiled backend, not {backend!r}: leave one of them out"
        )
    return bool(requested)


def _together(
    nets: list[Network], X: Any, y: ArrayLike, settings: list[dict[str, Any]], n_threads: int | None
) -> list[History]:
    """Train at the same time; start with the smallest batches, which take longest."""
    first = sorted(range(len(nets)), key=lambda i: int(settings[i]["batch_size"]))
    done = train_many(
        [nets[i] for i in first],
        X,
        y,
        [{k: v for k, v in settings[i].items() if k != "backend"} for i in first],
        n_threads=n_threads,
    )
    histories = dict(zip(first, done, strict=True))
    return [histories[i] for i in range(len(nets))]


def _in_turn(
    nets: list[Network], X: Any, y: ArrayLike, settings: list[dict[str, Any]], n_threads: int | None
) -> list[History]:
    """Train one after the other, after checking all of them."""
    _validation.check_threads(n_threads)
    runs = [
        prepare(net, X, y, n_threads=n_threads, **entry)
        for net, entry in zip(nets, settings, strict=True)
    ]
    histories = []
    for run in runs:
        try:
            histories.append(run.finish())
        except DivergenceError as error:
            histories.append(error.history)
    return histories


def _entry(
    plan: BatchPlan, net: Network, history: History, X: Any, y: ArrayLike, weight: ArrayLike | None
) -> Entry:
    """Evaluate a trained network, and return its entry."""
    if history.diverged:
        return Entry(plan, net, history, math.nan)
    loss = net.loss_value(X, y, sample_weight=weight)
    losses = loss, *history.validation_loss[-1:]
    if not np.isfinite(losses).all():
        return Entry(plan, net, history, math.nan)
    return Entry(plan, net, history, *losses)


def _with_score(entry: Entry, score: Callable[[Network], float] | None) -> Entry:
    if score is None or entry.diverged:
        return entry
    found = score(entry.net)
    try:
        return replace(entry, score=float(found))
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"score must return a number, not {_words.show(found)}") from None


def _best_of(entries: Sequence[Entry], plan: BatchPlan, goal: float | None) -> Entry:
    """Return a batch size's best entry: the first at the goal, or the one with the lowest loss.

    Count epochs, since seconds vary from run to run. If all diverged, return the first.
    """

    def rank(entry: Entry) -> tuple[float, float]:
        reached = None if goal is None else entry.time_to(goal)
        return (math.inf if reached is None else reached.epochs), judged_loss(entry)

    own = [entry for entry in entries if entry.plan is plan]
    return min((entry for entry in own if not entry.diverged), key=rank, default=own[0])
