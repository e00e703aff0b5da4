"""What the command line says about a comparison: columns, sentences, JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd._columns import Column, number, significant
from fastgd.comparison import Comparison, Entry
from fastgd.comparison._comparison import COLUMNS
from fastgd.noise import noise_scale
from fastgd.table_model._problem import Problem
from fastgd.tables._targets import ClassTarget, NumberTarget

__all__ = ["about_noise", "as_json", "explain", "score_name", "table_columns"]

#: the most rows for estimating the noise scale
MOST_NOISE_ROWS = 10_000


def score_name(problem: Problem) -> str:
    """Return the name of the score on the validation rows."""
    return "R^2" if not isinstance(problem.encoding.target, ClassTarget) else "accuracy"


def table_columns(problem: Problem) -> list[Column]:
    """Return the table's columns."""
    is_number = not isinstance(problem.encoding.target, ClassTarget)

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
    if not isinstance(problem.encoding.target, ClassTarget):
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
    if not isinstance(target, ClassTarget):
        if not isinstance(target, NumberTarget):
            return f"On the validation rows it explains {score:.1%} of the targets' variance."
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


def as_json(
    result: Comparison, about: Sequence[str], advice: Sequence[str], follows: str
) -> dict[str, Any]:
    """Return a comparison as values for JSON."""
    best = result.best
    return {
        "about": list(about),
        "runs": [
            {
                "batch_size": entry.batch_size,
                "learning_rate": entry.optimizer.learning_rate,
                "diverged": entry.diverged,
                "recommended": entry is best,
                "epochs": entry.epochs,
                "best_epoch": entry.kept_epoch,
                "seconds": entry.seconds,
                "train_loss": _finite(entry.mean("loss")),
                "validation_loss": _finite(entry.mean("validation_loss")),
                "validation_loss_spread": _finite(entry.spread),
                "validation_losses": [_finite(loss) for loss in entry.losses],
                "score": _finite(entry.mean("score")),
            }
            for entry in result
        ],
        "advice": list(advice),
        "next": follows,
    }


def _finite(value: float) -> float | None:
    """Return a number for JSON, which has no nan."""
    return value if math.isfinite(value) else None
