"""The result of `compare`: its entries, the best and the fastest, their table, and advice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, overload

from fastgd import _columns
from fastgd._columns import Column, fill
from fastgd._words import count
from fastgd.comparison._entry import Entry, rank
from fastgd.history import History
from fastgd.network import Network

__all__ = ["COLUMNS", "Comparison"]

GOAL_SHARE = 0.98


class Comparison(Sequence[Entry]):
    """The result of `compare`: one network, trained at several batch sizes.

    A sequence of `Entry`. It prints as a table; notebooks show HTML, and the package rich its own
    kind of table.

    Attributes
    ----------
    entries : tuple of Entry
        One for each batch size.
    start : Network
        The network with the initial parameters of all runs.
    start_loss : float
        Its loss, on the validation data if there are any.
    seed : int
        The seed of all runs: ``fastgd.train(start.copy(), X, y, rng=seed, ...)`` repeats any of
        them.
    side_by_side : bool
        Whether the runs were trained at the same time, so that seconds are those of a busy machine.
    tried : int
        How many optimizers were tried for each batch size; the entry shows the best.
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
        remedy: str = "",
    ) -> None:
        self.entries: tuple[Entry, ...] = tuple(entries)
        self.start = start
        self.start_loss = start_loss
        self.seed = seed
        self.side_by_side = side_by_side
        self.tried = tried
        self._goal = goal
        self._remedy = remedy

    @classmethod
    def join(cls, parts: Sequence[Comparison]) -> Comparison:
        """Merge several comparisons with the same start, data and settings."""
        first = parts[0]
        return cls(
            (entry for part in parts for entry in part),
            start=first.start,
            start_loss=first.start_loss,
            seed=first.seed,
            goal=first._goal,
            side_by_side=any(part.side_by_side for part in parts),
            tried=max(part.tried for part in parts),
            remedy=next((part._remedy for part in parts if part._remedy), ""),
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
        """The rule that chose one of several optimizers, in words."""
        least = f"the one with the lowest {self._judged_by} loss"
        if self._goal is None:
            return f"shown is {least}"
        return f"shown is the one that reached the goal in the fewest epochs, or else {least}"

    @property
    def validated(self) -> bool:
        """Whether there were validation data."""
        return any(entry.history.validation_loss for entry in self)

    @property
    def _judged_by(self) -> str:
        return "validation" if self.validated else "training"

    @property
    def goal(self) -> float:
        """The loss at which times are compared; nan if every run diverged.

        The `goal` of `compare`, or `GOAL_SHARE` from the start's loss to the lowest of the
        entries' `curve`: the time for the remaining improvement does not count.
        """
        if self._goal is not None:
            return self._goal
        lowest = min((min(entry.curve) for entry in self.trained), default=math.nan)
        way = max(self.start_loss - lowest, 0.0)
        return lowest + (1 - GOAL_SHARE) * way

    @property
    def best(self) -> Entry | None:
        """The entry with the highest score, or else with the lowest loss; None if all diverged.

        Losses are those on the validation data if there are any.
        """
        return min(self.trained, key=rank, default=None)

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
        """The entries with remarks, and the remarks."""
        named = (self.fastest, "first to the goal"), (self.best, "best")
        return [(entry, words) for entry, words in named if entry is not None]

    @property
    def histories(self) -> dict[int, History]:
        """The histories by batch size, as the functions of `fastgd.plot` take them."""
        return {entry.batch_size: entry.history for entry in self.entries}

    def plot(self, against: str = "epoch", **options: Any) -> Any:
        """Draw the losses; this needs the extra ``plot``.

        With seconds on the axis, every epoch of a run has its median width, as in `Entry.time_to`.

        Parameters
        ----------
        against : {"epoch", "update", "second"}
            The unit of the horizontal axis.
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
        """Recommend a batch size, with reasons, in a few sentences.

        Returns
        -------
        list of str
            The recommended batch size is the one that reached `goal` in the fewest seconds.
        """
        return sentences(self)

    def columns(self) -> list[Column]:
        """Return the columns of the table, without empty ones."""
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
            f"{self.start!r} on {self[0].plan.n_samples:,} samples, {count(epochs, 'epoch')}, "
            "the same start for each run"
        )

    def _notes(self) -> str:
        """Explain the columns that may be misread."""
        notes = []
        if self.tried > 1:
            notes.append(f"Each batch size tried up to {self.tried} optimizers; {self.kept}.")
        if not math.isnan(self.goal):
            goal = f"The goal is a {self._judged_by} loss of {self.goal:.4g}"
            if self._goal is None:
                goal += f": {GOAL_SHARE:.0%} of the way from the start's to the lowest"
            notes.append(f"{goal}.")
        if self.side_by_side:
            notes.append(
                "Seconds are those of runs side by side, one thread each, on a busy machine; "
                "side_by_side=False measures each alone."
            )
        return " ".join(notes)

    def _marked(self) -> str:
        """Return the remarks on entries as a sentence, for tables whose rows cannot show them."""
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
        """Return a table for the package rich, which calls this."""
        notes = f"{self._marked()} {self._notes()}".strip()
        return _columns.as_rich(self.columns(), self, self._title(), notes, self.fastest)

    def _repr_html_(self) -> str:
        """Return HTML for notebooks."""
        from html import escape

        table = _columns.as_html(self.columns(), self, self._title(), self.marks)
        return f"{table}\n<p>{escape(self._notes())}</p>"


def _loss_text(value: float) -> str:
    return "" if math.isnan(value) else _columns.number(value, 4)


#: the table's columns, also used by the command line
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


def sentences(result: Comparison) -> list[str]:
    """Return the advice; see `Comparison.advice`."""
    chosen, best = result.fastest, result.best
    if best is None:
        return [f"Every run diverged. {result._remedy or 'Lower the learning rate.'}"]
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
        f"{count(time.epochs, 'epoch')} and {count(time.updates, 'update')}.",
        *(
            _compare_times(entry, chosen, result.goal)
            for entry in result.trained
            if entry is not chosen
        ),
    ]
    if best is not chosen:
        lines.append(
            f"Trained to the end, batch size {best.batch_size:,} is best, with a {kind} loss "
            f"of {rank(best)[1]:.4g} against {rank(chosen)[1]:.4g}: take it if the improvement is "
            "worth the time."
        )
    if result.tried == 1 and len(result) > 1:
        lines.append(
            "Each batch size had one learning rate. Larger batches allow higher rates: compare "
            "several rates before you rule a batch size out."
        )
    return lines


def _compare_times(entry: Entry, chosen: Entry, goal: float) -> str:
    """Say why an entry took longer than the chosen one: more epochs, or longer ones."""
    name = f"Batch size {entry.batch_size:,}"
    mine, time = entry.time_to(goal), chosen.time_to(goal)
    assert time is not None
    if mine is None:
        return f"{name} did not get there in {count(entry.epochs, 'epoch')}."
    return (
        f"{name} took {_ratio(mine.seconds, time.seconds, 'times as long', 'about as long')}: "
        f"{count(mine.epochs, 'epoch')} and {count(mine.updates, 'update')}, and an epoch took "
        f"{_ratio(entry.seconds_an_epoch, chosen.seconds_an_epoch, 'times the time', 'as long')}."
    )


def _ratio(one: float, other: float, times: str, same: str) -> str:
    """Return the ratio of two numbers in words, or that they are the same."""
    text = f"{one / other:.2g}" if other > 0 else "many"
    return same if text == "1" else f"{text} {times}"
