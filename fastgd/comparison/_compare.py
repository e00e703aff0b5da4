"""`compare`: check the arguments, run the trainings side by side or in turn, collect entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _frames, _validation, _words, batches
from fastgd._arguments import unknown_argument
from fastgd._divergence import remedy
from fastgd._evaluation import count_held
from fastgd._typing import IndexArray, RngLike, SamplesLike
from fastgd.batches import BatchPlan
from fastgd.comparison._comparison import Comparison
from fastgd.comparison._entry import Entry, Trial
from fastgd.history import DivergenceError, History
from fastgd.many import train_many
from fastgd.network import Network, check_network, read_rows
from fastgd.optimizers import SGD, Optimizer, check_optimizer
from fastgd.rows import Rows, subset
from fastgd.stopping import EarlyStopping, check_early_stopping
from fastgd.training import allowed_settings, prepare

if TYPE_CHECKING:
    from typing import TypeAlias

    Optimizers: TypeAlias = Optimizer | Sequence[Optimizer]
    Task: TypeAlias = tuple[BatchPlan, "Start", Optimizer]

__all__ = ["Start", "compare", "compare_starts"]

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
    seeds: int = 3,
    rng: RngLike = None,
    n_threads: int | None = None,
    side_by_side: bool | None = None,
    **settings: Any,
) -> Comparison:
    """Train copies of a network with several batch sizes, and compare the results.

    All runs start with the parameters of `net`, which itself is not changed. Each batch size has
    one run for each of several seeds, the same for all, and each run has the same bits as from
    `fastgd.train`. The entry of a batch size of which a run diverged says so. `Comparison.advice`
    recommends one of them.

    Parameters
    ----------
    net : Network
        The start of every run.
    X : array_like or scipy.sparse array, of shape (n, n_features)
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
        a sequence is tried with the first seed. The one that reaches `goal` in the fewest epochs is
        kept; if none does, or there is no goal, the one with the lowest loss, on the validation
        data if there are any. If it diverges for another seed, the next best with a lower learning
        rate is kept instead. ``SGD(0.01)`` if not given.
    validation : float, (X, y) or (X, y, sample_weight), optional
        Data on which the loss is computed after each epoch; a number is the share of the samples
        to set aside, drawn for each seed. Runs then stop early: the default of `early_stopping`
        has a patience of a quarter of the epochs, at least 5, and restores the best epoch.
    score : callable, optional
        Called as ``score(net)`` with each trained network; returns a number, such as the accuracy
        on other data. It is shown, and decides nothing.
    goal : float, optional
        The loss that is good enough, a validation loss if there are validation data. The advice
        is then the batch size that reaches it first.
    seeds : int
        How many runs to make for each batch size, with the seeds s, s + 1, ...; their spread shows
        which differences are real.
    rng : None, int or numpy.random.Generator
        Draws s, the first seed; an int is s.
    n_threads : int, optional
        The most threads to use; all if not given.
    side_by_side : bool, optional
        Whether to train the runs at the same time, one per thread (`fastgd.train_many`), which
        is fastest, or one after the other, each with several threads. The results have the same
        bits either way, but seconds mean something else, see the notes. The default is True for
        the compiled backend.
    **settings
        Further arguments of `fastgd.train`, for all runs: ``sampling``, ``drop_last``,
        ``sample_weight``, ``early_stopping``, ``callbacks``, ``record``, ``backend`` and so on.
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
    >>> result.best.batch_size, len(result.best.trials)
    (1, 3)

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
    if score is not None:
        _validation.check_function("score", score, "net")
    first = _seed(rng)
    number = _validation.check_int("seeds", seeds, at_least=1)
    starts = [Start(net, first + k, {"validation": validation}, score) for k in range(number)]
    return compare_starts(
        starts,
        X,
        y,
        batch_sizes,
        epochs=epochs,
        optimizer=optimizer,
        goal=goal,
        n_threads=n_threads,
        side_by_side=side_by_side,
        settings=settings,
    )


@dataclass(frozen=True)
class Start:
    """What differs between seeds: the seed itself, and perhaps the network and the split.

    Attributes
    ----------
    net : Network
        The start of the runs.
    seed : int
        Draws the order of the samples.
    settings : mapping
        "validation", and perhaps "samples": the indices of the samples to train on.
    score : callable or None
        The argument of `compare`.
    """

    net: Network
    seed: int
    settings: Mapping[str, Any]
    score: Callable[[Network], float] | None = None


def compare_starts(
    starts: Sequence[Start],
    X: SamplesLike,
    y: ArrayLike,
    batch_sizes: Iterable[int | None],
    *,
    epochs: int,
    optimizer: Any,
    goal: float | None,
    n_threads: int | None,
    side_by_side: bool | None,
    settings: Mapping[str, Any],
    names: Sequence[str] | None = None,
) -> Comparison:
    """Compare batch sizes, each with one run for every start; `names` are those of the features.

    The first start tries all optimizers. The others get the one that was best for it, or, where
    that diverges, the next best with a lower learning rate.
    """
    first = starts[0]
    names = first.net.feature_names or names or _frames.column_names(X)
    X = read_rows(first.net, X)
    epochs = _validation.check_int("epochs", epochs, at_least=1)
    if goal is not None:
        goal = _validation.check_real("goal", goal)
    validation, samples = first.settings["validation"], first.settings.get("samples")
    n = len(X) if samples is None else len(samples)
    n -= count_held(n, validation) if isinstance(validation, float) else 0
    plans = _plans(batch_sizes, n, epochs, settings.get("drop_last", False))
    tried = [_optimizers(optimizer, plan.batch_size) for plan in plans]
    shared = {**settings, "epochs": epochs}
    if validation is not None:
        shared = {"early_stopping": _patience(epochs), **shared}
    together = _side_by_side(side_by_side, settings.get("backend", "compiled"))
    runs = _Runs(X, y, shared, together, n_threads)
    tasks = [(plan, first, one) for plan, ones in zip(plans, tried, strict=True) for one in ones]
    begun = runs(tasks)
    entries = _settle(runs, starts, plans, _ranked(tasks, begun, goal))
    held = begun[0].history.validation_samples
    trained = any(not entry.diverged for entry in entries)
    return Comparison(
        entries,
        goal=goal,
        seed=first.seed,
        side_by_side=together and runs.most > 1,
        start=first.net.copy(),
        start_loss=runs.judged_start(first, held),
        tried=max(len(several) for several in tried),
        remedy="" if trained else remedy(X, y, first.net.loss, _lowest_rate(begun), names),
    )


def _patience(epochs: int) -> EarlyStopping:
    """Return the rule that stops a run and restores its best epoch: a quarter of the epochs."""
    return EarlyStopping(patience=max(5, epochs // 4))


def _ranked(
    tasks: Sequence[Task], trials: Sequence[Trial], goal: float | None
) -> dict[BatchPlan, list[Trial]]:
    """Return each batch size's trials that did not diverge, the best first, or one that did.

    With a goal, the best is the one that reached it in the fewest epochs. Count epochs, since
    seconds vary from run to run.
    """

    def rank(trial: Trial) -> tuple[bool, float, float]:
        reached = (
            math.inf if goal is None else
            next((epoch for epoch, loss in enumerate(trial.curve) if loss <= goal), math.inf)
        )  # fmt: skip
        return trial.diverged, reached, trial.judged

    found: dict[BatchPlan, list[Trial]] = {}
    for (plan, _, _), trial in zip(tasks, trials, strict=True):
        found.setdefault(plan, []).append(trial)
    for plan, own in found.items():
        own.sort(key=rank)
        found[plan] = [trial for trial in own if not trial.diverged] or own[:1]
    return found


def _settle(
    runs: _Runs,
    starts: Sequence[Start],
    plans: Sequence[BatchPlan],
    pending: dict[BatchPlan, list[Trial]],
) -> list[Entry]:
    """Run the other starts with each batch size's best optimizer; return the entries."""
    entries = {}
    while pending:
        tasks = [
            (plan, start, own[0].optimizer)
            for plan, own in pending.items()
            for start in starts[1:]
            if not own[0].diverged
        ]
        done: dict[BatchPlan, tuple[Trial, ...]] = dict.fromkeys(pending, ())
        for (plan, _, _), trial in zip(tasks, runs(tasks), strict=True):
            done[plan] = (*done[plan], trial)
        again = {}
        for plan, own in pending.items():
            entries[plan] = Entry(plan, (own[0], *done[plan]))
            rate = own[0].optimizer.learning_rate
            lower = [trial for trial in own[1:] if trial.optimizer.learning_rate < rate]
            if lower and entries[plan].diverged:
                again[plan] = lower
        pending = again
    return [entries[plan] for plan in plans]


@dataclass
class _Runs:
    """Trains networks on the same data, side by side or in turn; a call returns their trials."""

    X: Rows
    y: Any
    settings: Mapping[str, Any]
    together: bool
    n_threads: int | None
    most: int = 0

    def __call__(self, tasks: Sequence[Task]) -> list[Trial]:
        """Train copies of the starts."""
        nets = [start.net.copy() for _, start, _ in tasks]
        each = [
            {
                **self.settings, **start.settings,
                "batch_size": plan.batch_size, "optimizer": optimizer, "rng": start.seed,
            }
            for plan, start, optimizer in tasks
        ]  # fmt: skip
        self.most = max(self.most, len(tasks))
        train = _together if self.together else _in_turn
        histories = train(nets, self.X, self.y, each, self.n_threads)
        return [
            self._trial(start, net, history)
            for (_, start, _), net, history in zip(tasks, nets, histories, strict=True)
        ]

    def _trial(self, start: Start, net: Network, history: History) -> Trial:
        """Evaluate a trained network."""
        samples, held = start.settings.get("samples"), history.validation_samples
        seen = self._rows(samples if held is None else np.delete(np.arange(len(self.X)), held))
        restored = history.best_epoch if self._restores else None
        trial = Trial(
            start.seed, net, history, start.net.loss_value(*seen[:2], sample_weight=seen[2]),
            math.nan, kept_epoch=restored or history.epochs,
        )  # fmt: skip
        if history.diverged:
            return trial
        loss = net.loss_value(*seen[:2], sample_weight=seen[2])
        on_held = history.validation_loss[trial.kept_epoch - 1 :][:1]
        if not np.isfinite([loss, *on_held]).all():
            return trial
        trial = replace(trial, loss=loss, validation_loss=(*on_held, math.nan)[0])
        return trial if trial.diverged else replace(trial, score=_score(start.score, net))

    @property
    def _restores(self) -> bool:
        stopping = check_early_stopping(self.settings.get("early_stopping"))
        return stopping is not None and stopping.restore_best

    def _rows(self, rows: IndexArray | None) -> Any:
        """Return some of the samples, with their targets and weights."""
        weight = self.settings.get("sample_weight")
        if rows is None:
            return self.X, self.y, weight
        return (
            subset(self.X, rows),
            np.asarray(self.y)[rows],
            None if weight is None else np.asarray(weight)[rows],
        )

    def judged_start(self, start: Start, held: IndexArray | None) -> float:
        """Return the loss before the training, on the validation data if there are any."""
        data = start.settings["validation"]
        if data is None or isinstance(data, float):
            data = self._rows(start.settings.get("samples") if held is None else held)
        loss: float = start.net.loss_value(data[0], data[1], sample_weight=(*data, None)[2])
        return loss


def _score(score: Callable[[Network], float] | None, net: Network) -> float:
    if score is None:
        return math.nan
    found = score(net)
    try:
        return float(found)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"score must return a number, not {_words.show(found)}") from None


def _lowest_rate(trials: Sequence[Trial]) -> float:
    return min(trial.optimizer.learning_rate for trial in trials)


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
    return [batches.plan(n, size, epochs=epochs, drop_last=drop_last) for size in sizes]


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
