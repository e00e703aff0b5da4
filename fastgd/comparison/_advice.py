"""What a comparison's numbers mean, in sentences: which batch size to take, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastgd import _columns
from fastgd._words import count
from fastgd.comparison._entry import Entry, rank

if TYPE_CHECKING:
    from fastgd.comparison._comparison import Comparison

__all__ = ["sentences"]


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
        *(_beside(entry, chosen, result.goal) for entry in result.trained if entry is not chosen),
    ]
    if best is not chosen:
        lines.append(
            f"Trained to the end, batch size {best.batch_size:,} came out best, with a {kind} loss "
            f"of {rank(best)[1]:.4g} against {rank(chosen)[1]:.4g}: take that if the last bit is "
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
        return f"{name} did not get there in {count(entry.epochs, 'epoch')}."
    return (
        f"{name} took {_ratio(mine.seconds, time.seconds, 'times as long', 'about as long')}: "
        f"{count(mine.epochs, 'epoch')} and {count(mine.updates, 'update')}, and an epoch took "
        f"{_ratio(entry.seconds_an_epoch, chosen.seconds_an_epoch, 'times the time', 'as long')}."
    )


def _ratio(one: float, other: float, times: str, same: str) -> str:
    """Say how many times as large one number is as the other, or that they are the same."""
    text = f"{one / other:.2g}" if other > 0 else "many"
    return same if text == "1" else f"{text} {times}"
