"""What the command line shows: progress, the table row by row, and what it means in words."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Sequence
from typing import IO

import numpy as np

from fastgd._comparison import Problem, Run
from fastgd._encoding import NumberTarget

__all__ = ["Progress", "best_run", "explain", "fill", "table_head", "table_row"]


class Progress:
    """One line on a terminal that is overwritten; nothing where there is no terminal."""

    INTERVAL = 0.1

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream if stream.isatty() else None
        self.shown = 0
        self.next_time = 0.0

    def show(self, text: str, share: float | None = None) -> None:
        """Show what is being done, and how much is done, at most ten times a second."""
        now = time.monotonic()
        if self.stream is None or now < self.next_time:
            return
        self.next_time = now + self.INTERVAL
        bar = "" if share is None else f"[{'#' * round(share * 20):.<20}] {share:4.0%}  "
        line = (bar + text)[: shutil.get_terminal_size().columns - 1]
        self.stream.write(f"\r{line:<{self.shown}}")
        self.stream.flush()
        self.shown = len(line)

    def clear(self) -> None:
        """Remove the line."""
        if self.stream is not None and self.shown:
            self.stream.write("\r" + " " * self.shown + "\r")
            self.stream.flush()
            self.shown, self.next_time = 0, 0.0


def fill(text: str) -> str:
    """Break text into lines that any terminal shows; never inside a word or an --option."""
    return textwrap.fill(text, 79, break_long_words=False, break_on_hyphens=False)


#: the table's columns: the two lines above each, and its width
COLUMNS = (
    ("", "method", "<10"),
    ("batch", "size", ">9"),
    ("updates", "an epoch", ">11"),
    ("", "epochs", ">7"),
    ("learning", "rate", ">9"),
    ("", "seconds", ">8"),
    ("train", "loss", ">8"),
    ("valid.", "loss", ">8"),
)
SCORE_WIDTH = ">9"


def table_head(problem: Problem) -> str:
    """Return the lines above the table."""
    is_number = isinstance(problem.encoding.target, NumberTarget)
    score = "R^2" if is_number else "accuracy"
    columns = (*COLUMNS, ("valid.", score, SCORE_WIDTH))
    upper, lower = ("".join(f"{column[line]:{column[2]}}" for column in columns) for line in (0, 1))
    return f"{upper}\n{lower}\n{'-' * len(lower)}"


def table_row(problem: Problem, run: Run) -> str:
    """Return a run as a line of the table."""
    n = len(problem.X)
    cells = [
        "batch" if run.batch_size == n else "stochastic" if run.batch_size == 1 else "mini-batch",
        f"{run.batch_size:,}",
        f"{run.updates:,}",
        f"{run.history.epochs:,}",
        f"{run.learning_rate:.2g}",
        _seconds(sum(run.history.seconds)),
        "" if run.net is None else _number(run.train_loss, 4),
        "" if run.net is None else _number(run.valid_loss, 4),
    ]
    line = "".join(f"{cell:{column[2]}}" for cell, column in zip(cells, COLUMNS, strict=True))
    if run.net is None:
        score = "diverged"
    elif isinstance(problem.encoding.target, NumberTarget):
        score = _number(run.score, 3)
    else:
        score = f"{run.score:.1%}"
    return f"{line}{score:{SCORE_WIDTH}}"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.1e}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.1f}"


def best_run(runs: Sequence[Run]) -> Run | None:
    """Return the run with the best validation score; of equal ones that with the lowest loss."""
    trained = [run for run in runs if run.net is not None]
    return max(trained, key=lambda run: (run.score, -run.valid_loss), default=None)


def explain(problem: Problem, runs: Sequence[Run], n_rates: int) -> None:
    """Print in a few lines what the table says."""
    trained = [run for run in runs if run.net is not None]
    lines = []
    if len(trained) < len(runs):
        failed = ", ".join(f"{run.batch_size:,}" for run in runs if run.net is None)
        lines.append(
            f"Diverged: batch size {failed}. The steps of this learning rate are so long that they "
            "jump over the minimum, each farther than the last. Give a lower --learning-rate."
        )
    if len(trained) > 1:
        smallest = min(trained, key=lambda run: run.batch_size)
        largest = max(trained, key=lambda run: run.batch_size)
        lines.append(
            "The runs differ in how many rows make one update. From the same "
            f"{smallest.history.sample_gradients:,} row gradients batch size "
            f"{smallest.batch_size:,} made {smallest.history.updates:,} updates, batch size "
            f"{largest.batch_size:,} made {largest.history.updates:,}."
        )
    best = best_run(runs)
    if n_rates > 1:
        lines.append(
            f"Each batch size tried {n_rates} learning rates; shown is the one with the lowest "
            "training loss."
        )
    if best is not None:
        lead = "Best on the validation rows:" if len(trained) > 1 else "On the validation rows,"
        lead = f"{lead} batch size {best.batch_size:,}"
        lines += [f"{lead} {_verdict(problem, best)}", _about_losses(problem)]
    print()
    for line in lines:
        print(fill(line))


def _verdict(problem: Problem, best: Run) -> str:
    """Say how good the best run is, in words."""
    target = problem.encoding.target
    if isinstance(target, NumberTarget):
        error = f"is off by {best.valid_loss**0.5 * target.scale:.4g} (root mean square)"
        if best.score <= 0:
            return f"{error}: no better than always predicting the mean."
        return f"explains {best.score:.1%} of the variance of {target.name}, and {error}."
    share = np.bincount(problem.y_valid).max() / len(problem.y_valid)
    return (
        f"is right in {best.score:.1%} of them; always naming the most frequent class would be in "
        f"{share:.1%}."
    )


def _about_losses(problem: Problem) -> str:
    """Say what the table's losses are."""
    if isinstance(problem.encoding.target, NumberTarget):
        return "Losses are mean squared errors of the standardised target."
    return "Losses are mean cross-entropies."
