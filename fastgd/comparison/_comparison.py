"""The result of `compare`: its entries, their table, and the recommendation.

For the rule that recommends see `_decision`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, overload

from fastgd import _columns
from fastgd._columns import Column, fill
from fastgd._words import count
from fastgd.comparison._decision import (
    Decision,
    about_others,
    decide,
    overfitting,
    sentences,
)
from fastgd.comparison._entry import Entry
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
        The first seed: ``fastgd.train(start.copy(), X, y, rng=seed, ...)`` repeats an entry's first
        run.
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
    def decision(self) -> Decision:
        """The recommendation, with the entries that it was chosen from."""
        return decide(self.entries, self._goal)

    @property
    def best(self) -> Entry | None:
        """The recommended entry, see `advice`; None if all diverged or none reached the goal."""
        return self.decision.chosen

    @property
    def fastest(self) -> Entry | None:
        """The entry whose first run reached `goal` in the fewest seconds; None if none did."""
        times = [(entry.time_to(self.goal), entry) for entry in self.trained]
        return min(
            ((time.seconds, entry) for time, entry in times if time is not None),
            key=lambda pair: pair[0],
            default=(math.nan, None),
        )[1]

    @property
    def marks(self) -> list[tuple[Entry, str]]:
        """The recommended entry, and the remark for it."""
        best = self.best
        return [] if best is None else [(best, "recommended")]

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
            Further arguments of `fastgd.plot.loss`: ``target`` is `goal` if one was asked for,
            and ``validation`` is `validated`.

        Returns
        -------
        matplotlib.axes.Axes
        """
        options = {"target": self._goal, "validation": self.validated} | options
        histories = {
            entry.batch_size: replace(
                entry.history, seconds=[entry.seconds_per_epoch] * entry.epochs
            )
            for entry in self
        }
        return import_module("fastgd.plot").loss(histories, against=against, **options)

    def advice(self) -> list[str]:
        """Recommend a batch size, with reasons, in a few sentences.

        The recommendation is the batch size with the lowest mean loss over the seeds, on the
        validation data if there are any. Batch sizes that the runs cannot tell from it count as
        equal, and the fastest of these is taken. With a goal, the batch sizes that reach it for
        every seed are equal.

        Returns
        -------
        list of str
            The recommendation, its reasons, and what is against the other batch sizes.
        """
        decision = self.decision
        lines = sentences(decision, self._judged_by, self._remedy)
        lines += about_others(decision, self.entries, self._judged_by)
        if over := overfitting(self.entries):
            lines.append(over)
        if self.tried == 1 and len(self.trained) > 1:
            lines.append(
                "Each batch size had one learning rate. Larger batches allow higher rates: compare "
                "several rates before you rule a batch size out."
            )
        return lines

    def columns(self) -> list[Column]:
        """Return the columns of the table, without empty ones."""
        names = ["method", "batch_size", "updates", "learning_rate", "seconds", "loss"]
        if self.validated:
            names.append("validation_loss")
        if any(not math.isnan(entry.score) for entry in self):
            names.append("score")
        if self._seeds > 1:
            names.insert(names.index("validation_loss" if self.validated else "loss") + 1, "spread")
        columns = [COLUMNS[name] for name in names]
        if self._goal is not None:
            columns.append(Column("seconds", "to goal", 8, self._time_to_goal))
        return columns

    @property
    def _seeds(self) -> int:
        return max(len(entry.trials) for entry in self)

    def _time_to_goal(self, entry: Entry) -> str:
        reached = entry.time_to(self.goal)
        return "never" if reached is None else _columns.seconds(reached.seconds)

    def _title(self) -> str:
        epochs = max(entry.epochs for entry in self)
        return (
            f"{self.start!r} on {self[0].plan.n_samples:,} samples, up to "
            f"{count(epochs, 'epoch')}, the same start for each batch size"
        )

    def _notes(self) -> str:
        """Explain the columns that may be misread."""
        notes = []
        if self._seeds > 1:
            notes.append(
                f"Losses and scores are means over {self._seeds} seeds; ± is the standard "
                f"deviation of the {self._judged_by} loss."
            )
        if self.validated and any(entry.kept_epoch < entry.epochs for entry in self.trained):
            notes.append("Losses are those of each run's best epoch.")
        if self.tried > 1:
            notes.append(f"Each batch size tried up to {self.tried} optimizers; {self.kept}.")
        if self._goal is not None:
            notes.append(f"The goal is a {self._judged_by} loss of {self.goal:.4g}.")
        if self.side_by_side:
            notes.append(
                "Seconds are those of runs side by side, one thread each, on a busy machine; "
                "side_by_side=False measures each alone."
            )
        return " ".join(notes)

    def _marked(self) -> str:
        """Return the recommendation as a sentence, for tables whose rows cannot show it."""
        return "".join(f"Recommended: batch size {entry.batch_size:,}." for entry, _ in self.marks)

    def __repr__(self) -> str:
        columns = self.columns()
        notes = fill(f"{self._marked()} {self._notes()}".strip())
        return "\n".join([fill(self._title()), "", self.text_table(columns), "", notes]).rstrip()

    def text_table(self, columns: Sequence[Column]) -> str:
        """Return a table as text, with a star after the recommended row."""
        best = self.best
        rows = (_columns.line(columns, entry) + " *" * (entry is best) for entry in self)
        return "\n".join([_columns.head(columns), *rows])

    def __rich__(self) -> Any:
        """Return a table for the package rich, which calls this."""
        notes = f"{self._marked()} {self._notes()}".strip()
        return _columns.as_rich(self.columns(), self, self._title(), notes, self.best)

    def _repr_html_(self) -> str:
        """Return HTML for notebooks."""
        from html import escape

        table = _columns.as_html(self.columns(), self, self._title(), self.marks)
        return f"{table}\n<p>{escape(self._notes())}</p>"


def _loss_text(value: float, most: int = 7) -> str:
    return "" if math.isnan(value) else _columns.number(value, 4, most)


#: the table's columns, also used by the command line
COLUMNS = {
    "method": Column("", "method", 10, lambda entry: entry.method, left=True, spare=5),
    "batch_size": Column(
        "batch", "size", 9, lambda entry: f"{entry.batch_size:,}", names_rows=True
    ),
    "updates": Column("", "updates", 10, lambda entry: f"{entry.updates:,}", spare=4),
    "kept_epoch": Column(
        "best", "epoch", 9, lambda entry: f"{entry.kept_epoch:,} of {entry.epochs:,}", spare=5
    ),
    "learning_rate": Column(
        "learning", "rate", 9, lambda entry: f"{entry.optimizer.learning_rate:.2g}", spare=2
    ),
    "seconds": Column("", "seconds", 8, lambda entry: _columns.seconds(entry.seconds), spare=3),
    "loss": Column("train", "loss", 8, lambda entry: _loss_text(entry.mean("loss")), spare=1),
    "validation_loss": Column(
        "valid.", "loss", 8, lambda entry: _loss_text(entry.mean("validation_loss"))
    ),
    "spread": Column("", "±", 7, lambda entry: _loss_text(entry.spread, 6), spare=1),
    "score": Column("", "score", 7, lambda entry: f"{entry.mean('score'):.4g}"),
}
