"""The command line's output: progress, the table row by row, and its explanation."""

from __future__ import annotations

import shutil
import time
from typing import IO

import numpy as np

from fastgd._columns import Column, number, significant
from fastgd._visible import visible
from fastgd.commandline._problem import Problem
from fastgd.comparison import Comparison, Entry
from fastgd.comparison._comparison import COLUMNS
from fastgd.noise import noise_scale
from fastgd.tables._encoding import NumberTarget

__all__ = ["Progress", "about_noise", "explain", "score_name", "table_columns"]

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


def score_name(problem: Problem) -> str:
    """Return the name of the score on the validation rows."""
    return "R^2" if isinstance(problem.encoding.target, NumberTarget) else "accuracy"


def table_columns(problem: Problem) -> list[Column]:
    """Return the table's columns."""
    is_number = isinstance(problem.encoding.target, NumberTarget)

    def score(entry: Entry) -> str:
        mean = entry.mean("score")
        return number(mean, 3) if is_number else f"{mean:.1%}"

    names = ["method", "batch_size", "kept_epoch", "learning_rate", "seconds", "loss"]
    names += ["validation_loss", *(["spread"] if len(problem.starts) > 1 else [])]
    return [*(COLUMNS[name] for name in names), Column("valid.", score_name(problem), 9, score)]


def explain(problem: Problem, result: Comparison) -> list[str]:
    """Say how good the recommended model is, and what the table shows."""
    best = result.best or result.decision.lowest
    lines = [] if best is None else [_verdict(problem, best)]
    kind = "mean cross-entropies"
    if isinstance(problem.encoding.target, NumberTarget):
        kind = "mean squared errors of the standardised target"
    text = f"Losses are {kind}, at each run's best epoch."
    if len(problem.starts) > 1:
        text = (
            f"Losses are {kind}, at each run's best epoch: means over {len(problem.starts)} seeds, "
            "each with its own split, start and order of the rows; batch sizes are compared seed "
            "by seed. ± is the validation loss's standard deviation."
        )
    lines.append(text)
    if result.tried > 1:
        lines.append(f"Each batch size tried up to {result.tried} learning rates; {result.kept}.")
    return lines


def about_noise(problem: Problem, result: Comparison) -> list[str]:
    """State the noise scale: the rows above which a gradient is no longer mostly noise."""
    if result.best is None:
        return []
    rows = problem.rows[:MOST_NOISE_ROWS]
    X, y = problem.X[rows], problem.y[rows]
    begun, ended = (noise_scale(net, X, y).simple for net in (result.start, result.best.net))
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
    """State how good a batch size's models are on rows that they did not see."""
    target, score = problem.encoding.target, best.mean("score")
    if isinstance(target, NumberTarget):
        off = significant(best.mean("validation_loss") ** 0.5 * target.scale)
        error = f"its predictions are off by {off} (root mean square)"
        if score <= 0:
            return f"On the validation rows {error}: no better than always predicting the mean."
        return (
            f"On the validation rows it explains {score:.1%} of the variance of {target.name}, and "
            f"{error}."
        )
    share = np.bincount(problem.y_valid).max() / len(problem.y_valid)
    return (
        f"It is right in {score:.1%} of the validation rows; always naming the most frequent class "
        f"would be in {share:.1%}."
    )
