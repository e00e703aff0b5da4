"""The command line's output: progress, the table row by row, and its explanation."""

from __future__ import annotations

import shutil
import time
from typing import IO

import numpy as np

from fastgd._columns import Column, number, significant
from fastgd._visible import visible
from fastgd._words import count
from fastgd.commandline._problem import Problem
from fastgd.comparison import Comparison, Entry
from fastgd.comparison._comparison import COLUMNS
from fastgd.noise import noise_scale
from fastgd.tables._encoding import NumberTarget

__all__ = ["Progress", "about_noise", "explain", "table_columns"]

#: the most rows for estimating the noise scale
MOST_NOISE_ROWS = 10_000


class Progress:
    """A line on a terminal that is overwritten; nothing without a terminal."""

    INTERVAL = 0.1

    def __init__(self, stream: IO[str] | None) -> None:
        self.stream = stream if stream is not None and stream.isatty() else None
        self.shown = 0
        self.next_time = 0.0

    def show(self, text: str, share: float | None = None) -> None:
        """Show the current work and its progress, at most ten times a second."""
        now = time.monotonic()
        if self.stream is None or now < self.next_time:
            return
        self.next_time = now + self.INTERVAL
        bar = "" if share is None else f"[{'#' * round(share * 20):.<20}] {share:4.0%}  "
        line = (bar + visible(text))[: shutil.get_terminal_size().columns - 1]
        self.stream.write(f"\r{line:<{self.shown}}")
        self.stream.flush()
        self.shown = len(line)

    def clear(self) -> None:
        """Remove the line."""
        if self.stream is not None and self.shown:
            self.stream.write("\r" + " " * self.shown + "\r")
            self.stream.flush()
            self.shown, self.next_time = 0, 0.0


def _score_name(problem: Problem) -> str:
    """Return the name of the score on the validation rows."""
    return "R^2" if isinstance(problem.encoding.target, NumberTarget) else "accuracy"


def table_columns(problem: Problem) -> list[Column]:
    """Return the table's columns."""
    names = ["method", "batch_size", "batches", "epochs", "learning_rate", "seconds", "loss"]
    is_number = isinstance(problem.encoding.target, NumberTarget)

    def score(entry: Entry) -> str:
        return number(entry.score, 3) if is_number else f"{entry.score:.1%}"

    return [
        *(COLUMNS[name] for name in (*names, "validation_loss")),
        Column("valid.", _score_name(problem), 9, score),
    ]


def explain(problem: Problem, result: Comparison) -> list[str]:
    """Explain the table in a few sentences."""
    trained, best = result.trained, result.best
    lines = []
    if len(trained) < len(result):
        failed = [f"{entry.batch_size:,}" for entry in result if entry.diverged]
        lines.append(
            f"Diverged: batch size{'s' * (len(failed) > 1)} {', '.join(failed)}. "
            "The steps of this learning rate are so long that they "
            "overshoot the minimum, each more than the last. Give a lower --learning-rate."
        )
    if len(trained) > 1:
        smallest = min(trained, key=lambda entry: entry.batch_size)
        largest = max(trained, key=lambda entry: entry.batch_size)
        lines.append(
            "The runs differ in how many rows make one update. From the same "
            f"{smallest.sample_gradients:,} row gradients batch size {smallest.batch_size:,} made "
            f"{count(smallest.updates, 'update')}, batch size {largest.batch_size:,} made "
            f"{largest.updates:,}."
        )
    if result.tried > 1:
        lines.append(f"Each batch size tried up to {result.tried} learning rates; {result.kept}.")
    if best is not None:
        lead = "Best on the validation rows:" if len(trained) > 1 else "On the validation rows,"
        lead = f"{lead} batch size {best.batch_size:,}"
        lines += [f"{lead} {_verdict(problem, best)}", _about_losses(problem)]
    return lines


def about_noise(problem: Problem, result: Comparison) -> list[str]:
    """State the noise scale: the rows above which a gradient is no longer mostly noise."""
    if result.fastest is None:
        return []
    X, y = problem.X[:MOST_NOISE_ROWS], problem.y[:MOST_NOISE_ROWS]
    begun, ended = (noise_scale(net, X, y).simple for net in (result.start, result.fastest.net))
    if not np.isfinite(begun):
        return []
    later = f"{_rows(ended)} after it" if np.isfinite(ended) else "beyond measure after it"
    return [
        f"The gradient's noise scale was {_rows(begun)} before the training and {later} "
        "(McCandlish et al. 2018): batches much smaller than that lose little by being small, "
        "batches much larger gain little by being large, once each has its learning rate."
    ]


def _rows(number: float) -> str:
    return f"{significant(number, 2)} rows"


def _verdict(problem: Problem, best: Entry) -> str:
    """State how good the best run is."""
    target = problem.encoding.target
    if isinstance(target, NumberTarget):
        off = significant(best.validation_loss**0.5 * target.scale)
        error = f"is off by {off} (root mean square)"
        if best.score <= 0:
            return f"{error}: no better than always predicting the mean."
        return f"explains {best.score:.1%} of the variance of {target.name}, and {error}."
    share = np.bincount(problem.y_valid).max() / len(problem.y_valid)
    return (
        f"is right in {best.score:.1%} of them; always naming the most frequent class would be in "
        f"{share:.1%}."
    )


def _about_losses(problem: Problem) -> str:
    """State which loss the table shows."""
    if isinstance(problem.encoding.target, NumberTarget):
        return "Losses are mean squared errors of the standardised target."
    return "Losses are mean cross-entropies."
