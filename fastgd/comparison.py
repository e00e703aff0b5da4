"""`compare`: one network from one start, trained at several batch sizes.

Training is the business of `training` and `many`, pictures are that of `plot`, files and options
that of the command line, which does its comparing here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _columns, _validation
from fastgd._columns import Column, fill
from fastgd._plan import BatchPlan, plan
from fastgd._typing import RngLike
from fastgd.history import DivergenceError, History
from fastgd.many import train_many
from fastgd.network import Network
from fastgd.optimizers import SGD, Optimizer
from fastgd.training import check_threads, prepare, train

if TYPE_CHECKING:
    from typing import TypeAlias

    Optimizers: TypeAlias = Optimizer | Sequence[Optimizer]

__all__ = ["Comparison", "Entry", "Reached", "compare"]

OWN = {"net", "X", "y", "batch_size", "epochs", "optimizer", "validation", "rng", "n_threads"}
SHARE_OF_THE_WAY = 0.98
REFUSED = {"resume": "every run begins with net as it is"}


class Reached(NamedTuple):
    """What a run had done when its loss was first as low as asked.

    The seconds are those of as many median epochs.
    """

    epochs: int
    updates: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Entry:
    """What came of one batch size.

    Attributes
    ----------
    plan : BatchPlan
        How the batch size cuts the samples: `fastgd.plan`.
    net : Network
        The trained network; it holds the last finite epoch's parameters where the run diverged.
    history : History
        Of the run; where it diverged, of the finite epochs.
    loss : float
        Of `net` on all training samples after the last epoch, and thus lower than the last entry
        of `History.loss`, which each step adds to before its update. nan where the run diverged.
    validation_loss : float
        Of `net` on the validation data; nan without such data and where the run diverged.
    score : float
        What the function given as `score` returned; nan like `validation_loss`.
    """

    plan: BatchPlan
    net: Network
    history: History
    loss: float
    validation_loss: float = math.nan
    score: float = math.nan

    @property
    def batch_size(self) -> int:
        """Samples that make one update."""
        return self.plan.batch_size

    @property
    def diverged(self) -> bool:
        """Whether the run ended because a loss stopped being finite."""
        return not math.isfinite(self.loss)

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; of several that were tried, the one that is shown."""
        assert self.history.optimizer is not None
        return self.history.optimizer

    @property
    def epochs(self) -> int:
        """Passes over the samples; the finite ones where the run diverged."""
        return self.history.epochs

    @property
    def updates(self) -> int:
        """How often the parameters moved."""
        return self.history.updates

    @property
    def sample_gradients(self) -> int:
        """How many samples' gradients went into the updates."""
        return self.history.sample_gradients

    @property
    def seconds(self) -> float:
        """How long the epochs took, without validation and callbacks."""
        return sum(self.history.seconds)

    @property
    def seconds_an_epoch(self) -> float:
        """What an epoch takes: the median, which a moment of other work does not change."""
        return float(np.median(self.history.seconds)) if self.epochs else math.nan

    @property
    def method(self) -> str:
        """What gradient descent with this batch size is called."""
        if self.batch_size == self.plan.n_samples:
            return "batch"
        return "stochastic" if self.batch_size == 1 else "mini-batch"

    @property
    def curve(self) -> list[float]:
        """The loss after each epoch: on the validation data, or else as the steps saw it."""
        return self.history.validation_loss or self.history.loss

    def time_to(self, loss: float) -> Reached | None:
        """Return what it took until `curve` was first at or below a loss; None if it never was."""
        for done, value in enumerate(self.curve, 1):
            if value <= loss:
                updates = int(self.history._updates_after()[done])
                return Reached(done, updates, done * self.seconds_an_epoch)
        return None

    def __repr__(self) -> str:
        end = "diverged" if self.diverged else f"loss {self.loss:.4g}"
        return f"Entry(batch_size={self.batch_size}, {_count(self.epochs, 'epoch')}, {end})"


def compare(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    batch_sizes: Iterable[int | None] = (1, 8, 32, None),
    *,
    epochs: int = 10,
    optimizer: Optimizers | Callable[[int], Optimizers] | None = None,
    validation: Sequence[ArrayLike] | None = None,
    score: Callable[[Network], float] | None = None,
    goal: float | None = None,
    rng: RngLike = None,
    n_threads: int | None = None,
    side_by_side: bool | None = None,
    **settings: Any,
) -> Comparison:
    """Train copies of a network with several batch sizes, and put the results side by side.

    All runs begin with the parameters of `net`, which itself is not changed, and draw their
    samples from the same seed. Each has the bits that `fastgd.train` gives it alone. A run that
    diverges is an entry that says so.

    Parameters
    ----------
    net : Network
        The start of every run.
    X : array_like of shape (n, n_features)
        Samples.
    y : array_like of shape (n,) or (n, outputs)
        Targets, as the network's loss takes them.
    batch_sizes : iterable of int or None
        Samples a batch, each once; None for all.
    epochs : int
        Passes over the samples of every run.
    optimizer : Optimizer, sequence of Optimizer, or callable, optional
        One for all batch sizes, or a function that takes a batch size (a number, n for None)
        and returns its own: learning rates that suit one batch size rarely suit another. Of a
        sequence each is tried, and the one is kept that reaches `goal` in the fewest epochs or,
        where none does or no goal was given, ends with the lowest training loss. ``SGD(0.01)``
        if not given.
    validation : (X, y) or (X, y, sample_weight), optional
        Data on which the loss is computed after each epoch.
    score : callable, optional
        Called as ``score(net)`` with each trained network, for a number that is better the
        higher it is, such as its accuracy on other data.
    goal : float, optional
        The loss to which the entries' times are compared; 98 % of the way from the start's loss
        to the lowest of all runs, if not given. It is a validation loss where there are
        validation data.
    rng : None, int or numpy.random.Generator
        Draws the seed that all runs use; a number is that seed.
    n_threads : int, optional
        The most threads to use: as many as OpenMP would, if not given.
    side_by_side : bool, optional
        Whether runs are trained at the same time, one a thread (`fastgd.train_many`), which is
        soonest done, or one after the other, each with all the threads that help it. Either
        way the results have the same bits, but seconds do not mean the same, see the notes.
        True for the compiled backend, if not given.
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
        Runs side by side end after the epochs under way.

    Notes
    -----
    Runs side by side share caches, memory bandwidth and the power that sets the clock: the
    seconds of each are those of one thread on a busy machine, may be half as many again as
    those of a run alone, and change from call to call. With ``side_by_side=False`` they are
    those of a run that has the machine to itself. Compare the seconds of one comparison only;
    epochs, updates and losses are always exact. Times to a loss count the median epoch's
    seconds, so that a moment in which the machine does something else does not decide which
    batch size is fastest.

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
    _validation.check_network(net)
    X = _validation.check_X(X, net.sizes[0], net.dtype)
    epochs = _validation.check_int("epochs", epochs, at_least=1)
    plans = _plans(batch_sizes, len(X), epochs, settings.get("drop_last", False))
    tried = [_optimizers(optimizer, plan.batch_size) for plan in plans]
    if goal is not None:
        goal = _validation.check_real("goal", goal)
    if score is not None and not callable(score):
        raise TypeError(f"score must be a function that takes a network, not {score!r}")
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
    data: Any = (X, y, weight) if validation is None else (*validation, None)
    start_loss = net.loss_value(data[0], data[1], sample_weight=data[2])
    entries = [
        _entry(plan, trained, history, X, y, weight)
        for (plan, trained, _), history in zip(runs, histories, strict=True)
    ]
    return Comparison(
        [_with_score(_kept(entries, plan, goal), score) for plan in plans],
        goal=goal,
        seed=seed,
        side_by_side=together and len(runs) > 1,
        start=net.copy(),
        start_loss=start_loss,
        tried=max(len(several) for several in tried),
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what `train` does not take, or `compare` decides itself."""
    allowed = [name for name in inspect.signature(train).parameters if name not in OWN | {*REFUSED}]
    for name in settings:
        if name in REFUSED:
            raise TypeError(f"compare takes no {name}: {REFUSED[name]}")
        if name == "batch_size":
            raise TypeError("compare takes batch_sizes, such as [1, 32, None], not batch_size")
        if name not in allowed:
            raise TypeError(
                f"compare takes no argument {name!r}; beside its own it passes on to train: "
                f"{', '.join(allowed)}"
            )


def _plans(
    batch_sizes: Iterable[int | None], n: int, epochs: int, drop_last: bool
) -> list[BatchPlan]:
    if isinstance(batch_sizes, (str, bytes)) or not isinstance(batch_sizes, Iterable):
        raise TypeError(f"batch_sizes must list numbers or None, as [1, 32], not {batch_sizes!r}")
    plans = [plan(n, size, epochs=epochs, drop_last=drop_last) for size in batch_sizes]
    sizes = [one.batch_size for one in plans]
    if not sizes:
        raise ValueError("batch_sizes is empty: name at least one, such as [1, 32, None]")
    for size in sizes:
        if sizes.count(size) > 1:
            raise ValueError(
                f"batch_sizes has {size} twice (None means all {n} samples): name each once"
            )
    return plans


def _optimizers(optimizer: Any, batch_size: int) -> list[Optimizer]:
    """Return the optimizers that a batch size tries."""
    if optimizer is None:
        return [SGD(0.01)]
    made = optimizer
    if callable(optimizer):
        made = optimizer(batch_size)
    several = list(made) if isinstance(made, (list, tuple)) else [made]
    if not several or not all(isinstance(one, Optimizer) for one in several):
        what = f"optimizer({batch_size}) returned" if callable(optimizer) else "optimizer is"
        raise TypeError(
            f"{what} {made!r}, but must be an optimizer such as fastgd.SGD(0.1), a list of "
            "those, or a function that takes a batch size and returns one of these"
        )
    return several


def _seed(rng: RngLike) -> int:
    """Return the one seed of all runs, which ``gd.train(..., rng=seed)`` takes too."""
    generator = _validation.check_rng(rng)
    if isinstance(rng, (int, np.integer)):
        return int(rng)
    return int(generator.integers(2**63))


def _side_by_side(wanted: bool | None, backend: Any) -> bool:
    if wanted is None:
        return bool(backend == "compiled")
    if _validation.check_bool("side_by_side", wanted) and backend != "compiled":
        raise ValueError(
            f"side_by_side=True needs the compiled backend, not {backend!r}: leave one of them out"
        )
    return bool(wanted)


def _together(
    nets: list[Network], X: Any, y: ArrayLike, settings: list[dict[str, Any]], n_threads: int | None
) -> list[History]:
    """Train at the same time; what takes longest, the smallest batches, begins first."""
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
    """Train one after the other, once all of them are checked."""
    check_threads(n_threads)
    runs = [
        prepare(net, X, y, n_threads=n_threads, **entry)
        for net, entry in zip(nets, settings, strict=True)
    ]
    histories = []
    for run in runs:
        try:
            histories.append(run.go())
        except DivergenceError as error:
            histories.append(error.history)
    return histories


def _entry(
    plan: BatchPlan, net: Network, history: History, X: Any, y: ArrayLike, weight: ArrayLike | None
) -> Entry:
    """Measure a trained network."""
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
    return replace(entry, score=float(score(entry.net)))


def _kept(entries: Sequence[Entry], plan: BatchPlan, goal: float | None) -> Entry:
    """Return a batch size's best entry: that soonest at the goal, or with the lowest loss.

    Epochs count, as seconds would give other entries on another day. The first if all diverged.
    """

    def rank(entry: Entry) -> tuple[float, float]:
        reached = None if goal is None else entry.time_to(goal)
        return (math.inf if reached is None else reached.epochs), entry.loss

    own = [entry for entry in entries if entry.plan is plan]
    return min((entry for entry in own if not entry.diverged), key=rank, default=own[0])


class Comparison(Sequence[Entry]):
    """One network, trained at several batch sizes: what `compare` returns.

    A sequence of `Entry`. Printed it is a table; notebooks show it as HTML, and the package rich
    as a table of its own.

    Attributes
    ----------
    entries : tuple of Entry
        One for each batch size.
    start : Network
        The parameters with which all runs began.
    start_loss : float
        Its loss, on the validation data where there are such data.
    seed : int
        What all runs drew their samples with: ``fastgd.train(start.copy(), X, y, rng=seed, ...)``
        makes any of them again.
    side_by_side : bool
        Whether the runs shared the machine, so that seconds are those of a busy one.
    tried : int
        How many optimizers each batch size tried; its entry is that of the best.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        *,
        start: Network,
        start_loss: float,
        seed: int,
        goal: float | None = None,
        side_by_side: bool = False,
        tried: int = 1,
    ) -> None:
        self.entries: tuple[Entry, ...] = tuple(entries)
        self.start = start
        self.start_loss = start_loss
        self.seed = seed
        self.side_by_side = side_by_side
        self.tried = tried
        self._goal = goal

    @classmethod
    def join(cls, parts: Sequence[Comparison]) -> Comparison:
        """Return one comparison of several that had the same start, data and settings."""
        first = parts[0]
        return cls(
            (entry for part in parts for entry in part),
            start=first.start,
            start_loss=first.start_loss,
            seed=first.seed,
            goal=first._goal,
            side_by_side=any(part.side_by_side for part in parts),
            tried=max(part.tried for part in parts),
        )

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def trained(self) -> tuple[Entry, ...]:
        """The entries that did not diverge."""
        return tuple(entry for entry in self.entries if not entry.diverged)

    @property
    def kept(self) -> str:
        """Which of several optimizers an entry is of, in words."""
        least = "the one with the lowest training loss"
        if self._goal is None:
            return f"shown is {least}"
        return f"shown is the one that reached the goal in the fewest epochs, or else {least}"

    @property
    def validated(self) -> bool:
        """Whether there were validation data."""
        return any(entry.history.validation_loss for entry in self)

    @property
    def goal(self) -> float:
        """The loss to which times are compared; nan where every run diverged.

        What was asked for, or `SHARE_OF_THE_WAY` from the start's loss to the lowest that an
        entry's `curve` reached: good enough, however long the last bit takes.
        """
        if self._goal is not None:
            return self._goal
        lowest = min((min(entry.curve) for entry in self.trained), default=math.nan)
        way = max(self.start_loss - lowest, 0.0)
        return lowest + (1 - SHARE_OF_THE_WAY) * way

    @property
    def best(self) -> Entry | None:
        """The entry with the highest score, or else with the lowest loss; None if all diverged.

        Losses are those on the validation data where there are such data.
        """
        return min(self.trained, key=_rank, default=None)

    @property
    def fastest(self) -> Entry | None:
        """The entry that reached `goal` in the fewest seconds; None if none did."""
        times = [(entry.time_to(self.goal), entry) for entry in self.trained]
        return min(
            ((time.seconds, entry) for time, entry in times if time is not None),
            key=lambda pair: pair[0],
            default=(math.nan, None),
        )[1]

    @property
    def marks(self) -> list[tuple[Entry, str]]:
        """The entries of which a table says something."""
        named = (self.fastest, "first to the goal"), (self.best, "best")
        return [(entry, words) for entry, words in named if entry is not None]

    @property
    def histories(self) -> dict[int, History]:
        """The histories by batch size, as the functions of `fastgd.plot` take them."""
        return {entry.batch_size: entry.history for entry in self.entries}

    def plot(self, against: str = "epoch", **options: Any) -> Any:
        """Draw the losses: needs the extra ``plot``.

        Against seconds every epoch of a run is as wide as its median one, as in `Entry.time_to`.

        Parameters
        ----------
        against : {"epoch", "update", "second"}
            What the horizontal axis counts.
        **options
            Further arguments of `fastgd.plot.loss`: ``target`` is `goal` if not given, and
            ``validation`` is `validated`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        target = self.goal if self.trained else None
        options = {"target": target, "validation": self.validated} | options
        histories = {
            entry.batch_size: replace(
                entry.history, seconds=[entry.seconds_an_epoch] * entry.epochs
            )
            for entry in self
        }
        return import_module("fastgd.plot").loss(histories, against=against, **options)

    def advice(self) -> list[str]:
        """Return in a few sentences which batch size to take, and why.

        Returns
        -------
        list of str
            Advised is the batch size that reached `goal` in the fewest seconds.
        """
        return _advice(self)

    def columns(self) -> list[Column]:
        """Return the columns of the table, those without content left out."""
        names = ["method", "batch_size", "updates", "learning_rate", "seconds", "loss"]
        if self.validated:
            names.append("validation_loss")
        if any(not math.isnan(entry.score) for entry in self):
            names.append("score")
        to_goal = Column("seconds", "to goal", 8, self._time_to_goal)
        return [*(COLUMNS[name] for name in names), to_goal]

    def _time_to_goal(self, entry: Entry) -> str:
        reached = entry.time_to(self.goal)
        return "never" if reached is None else _columns.seconds(reached.seconds)

    def _title(self) -> str:
        epochs = max(entry.epochs for entry in self)
        return (
            f"{self.start!r} on {self[0].plan.n_samples:,} samples, {_count(epochs, 'epoch')}, "
            "the same start for each run"
        )

    def _notes(self) -> str:
        """Say what the columns mean that may be misread."""
        notes = []
        if self.tried > 1:
            notes.append(f"Each batch size tried up to {self.tried} optimizers; {self.kept}.")
        if not math.isnan(self.goal):
            kind = "validation" if self.validated else "training"
            goal = f"The goal is a {kind} loss of {self.goal:.4g}"
            if self._goal is None:
                goal += f": {SHARE_OF_THE_WAY:.0%} of the way from the start's to the lowest"
            notes.append(f"{goal}.")
        if self.side_by_side:
            notes.append(
                "Seconds are those of runs side by side, one thread each, on a busy machine; "
                "side_by_side=False measures each alone."
            )
        return " ".join(notes)

    def _marked(self) -> str:
        """Say of which entries a table says something, where its rows can not."""
        if not self.marks:
            return ""
        said = "; ".join(f"{words}: batch size {entry.batch_size:,}" for entry, words in self.marks)
        return f"{said[0].upper()}{said[1:]}."

    def __repr__(self) -> str:
        columns = self.columns()
        table = [_columns.head(columns), *(_columns.line(columns, entry) for entry in self)]
        notes = fill(f"{self._marked()} {self._notes()}".strip())
        return "\n".join([fill(self._title()), "", *table, "", notes]).rstrip()

    def __rich__(self) -> Any:
        """Return a table of the package rich, which calls this."""
        notes = f"{self._marked()} {self._notes()}".strip()
        return _columns.as_rich(self.columns(), self, self._title(), notes, self.fastest)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from html import escape

        table = _columns.as_html(self.columns(), self, self._title(), self.marks)
        return f"{table}\n<p>{escape(self._notes())}</p>"


def _advice(result: Comparison) -> list[str]:
    chosen, best = result.fastest, result.best
    if best is None:
        return [
            "Every run diverged: try lower learning rates, or scale the features to mean 0 and "
            "variance 1."
        ]
    kind = "validation" if result.validated else "training"
    if chosen is None:
        return [
            f"No run reached the goal, a {kind} loss of {result.goal:.4g}. Nearest came "
            f"batch size {best.batch_size:,}: train it longer, or with other learning rates."
        ]
    time = chosen.time_to(result.goal)
    assert time is not None
    lines = [
        f"Take batch size {chosen.batch_size:,}: of these it was the first to reach a {kind} loss "
        f"of {result.goal:.4g}, after {_columns.duration(time.seconds)}, "
        f"{_count(time.epochs, 'epoch')} and {_count(time.updates, 'update')}.",
        *(_beside(entry, chosen, result.goal) for entry in result.trained if entry is not chosen),
    ]
    if best is not chosen:
        lines.append(
            f"Trained to the end, batch size {best.batch_size:,} came out best, with a {kind} loss "
            f"of {_rank(best)[1]:.4g} against {_rank(chosen)[1]:.4g}: take that if the last bit is "
            "worth the time."
        )
    if result.tried == 1 and len(result) > 1:
        lines.append(
            "Each batch size had one learning rate. Larger batches allow longer steps: compare "
            "several rates before you rule a batch size out."
        )
    return lines


def _beside(entry: Entry, chosen: Entry, goal: float) -> str:
    """Say why an entry took longer than the one that was chosen: more epochs, or longer ones."""
    name = f"Batch size {entry.batch_size:,}"
    mine, time = entry.time_to(goal), chosen.time_to(goal)
    assert time is not None
    if mine is None:
        return f"{name} did not get there in {_count(entry.epochs, 'epoch')}."
    return (
        f"{name} took {_ratio(mine.seconds, time.seconds)} as long: "
        f"{_count(mine.epochs, 'epoch')} and {_count(mine.updates, 'update')}, and an epoch took "
        f"{_ratio(entry.seconds_an_epoch, chosen.seconds_an_epoch)} the time."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.2g} times" if other > 0 else "many times"


def _rank(entry: Entry) -> tuple[float, float]:
    loss = entry.loss if math.isnan(entry.validation_loss) else entry.validation_loss
    return (0.0 if math.isnan(entry.score) else -entry.score), loss


def _loss_text(value: float) -> str:
    return "" if math.isnan(value) else _columns.number(value, 4)


#: the table's columns; the command line's table is made of them too
COLUMNS = {
    "method": Column("", "method", 10, lambda entry: entry.method, left=True, spare=5),
    "batch_size": Column(
        "batch", "size", 9, lambda entry: f"{entry.batch_size:,}", names_rows=True
    ),
    "updates": Column("", "updates", 11, lambda entry: f"{entry.updates:,}", spare=4),
    "batches": Column("updates", "an epoch", 11, lambda entry: f"{entry.plan.batches:,}"),
    "epochs": Column("", "epochs", 7, lambda entry: f"{entry.epochs:,}"),
    "learning_rate": Column(
        "learning", "rate", 9, lambda entry: f"{entry.optimizer.learning_rate:.2g}", spare=2
    ),
    "seconds": Column("", "seconds", 8, lambda entry: _columns.seconds(entry.seconds), spare=3),
    "loss": Column("train", "loss", 8, lambda entry: _loss_text(entry.loss), spare=1),
    "validation_loss": Column("valid.", "loss", 8, lambda entry: _loss_text(entry.validation_loss)),
    "score": Column("", "score", 8, lambda entry: f"{entry.score:.4g}"),
}
