"""The recommendation of a comparison: one rule, and the sentences that give its reasons.

Table, advice, page and saved model all use `decide`. For the runs see `_entry`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from fastgd._columns import duration, significant
from fastgd._words import count
from fastgd.comparison._entry import Entry

__all__ = ["Decision", "about_others", "decide", "overfitting", "sentences"]

#: losses that differ by less than this share are the same
SAME_LOSS = 0.01
#: or by less than this share of the loss before the training, which float32 rounds away
ROUNDING = 1e-6
#: a run is as fast as the fastest up to this multiple of its time, or this much more
SAME_TIME = 1.5
SAME_SECONDS = 1e-3
#: Student's t for 1, 2, ... degrees of freedom: exceeded by chance in one case of twenty
STUDENT = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83)
#: so many positive differences, and no other, are chance in one case of 32
SIGNS = 5
#: a validation loss that ends this much above its lowest has risen
RISE = 0.05


@dataclass(frozen=True, eq=False)
class Decision:
    """Which entry to take, and from which others.

    Attributes
    ----------
    chosen : Entry or None
        The recommendation; None if every run diverged, or none reached a goal that was asked for.
    lowest : Entry or None
        The entry with the lowest mean loss; None if every run diverged.
    level : tuple of Entry
        The entries among which time decides: those whose loss these runs cannot tell from the
        lowest, or those that reached the goal.
    goal : float or None
        The loss that is good enough, if one was asked for.
    """

    chosen: Entry | None
    lowest: Entry | None
    level: tuple[Entry, ...]
    goal: float | None = None


def decide(entries: Sequence[Entry], goal: float | None = None) -> Decision:
    """Choose the entry with the lowest mean loss; among equals, the fastest.

    The equals are those, in the order of their mean losses, before the first that `differs` from
    the lowest. A goal makes all entries equal that reach it for every seed. Times up to `SAME_TIME`
    of the shortest are equal too; the loss then decides.
    """
    trained = [entry for entry in entries if not entry.diverged]
    ranked = sorted(trained, key=lambda entry: entry.mean("judged"))
    if not ranked:
        return Decision(None, None, (), goal)
    lowest = ranked[0]
    if goal is None:
        near = list(takewhile(lambda entry: not differs(entry, lowest), ranked))
    else:
        near = [entry for entry in trained if _reaches(entry, goal)]
    level = tuple(entry for entry in trained if entry in near)
    if not level:
        return Decision(None, lowest, (), goal)
    times = [_time(entry, goal) for entry in level]
    bound = max(SAME_TIME * min(times), min(times) + SAME_SECONDS)
    fast = [entry for entry, time in zip(level, times, strict=True) if time <= bound]
    chosen = min(fast, key=lambda entry: entry.mean("judged"))
    return Decision(chosen, lowest, level, goal)


def differs(entry: Entry, lowest: Entry) -> bool:
    """Return whether an entry's loss is higher by more than chance explains.

    It is not if the means differ by at most `SAME_LOSS` of the lowest. The differences seed by
    seed must have a mean above Student's t times its standard error, or all be positive, for at
    least `SIGNS` seeds.
    """
    differences = np.subtract(entry.losses, lowest.losses)
    mean = float(differences.mean())
    same = SAME_LOSS * abs(lowest.mean("judged")), ROUNDING * lowest.mean("start_loss")
    if mean <= max(same):
        return False
    if len(differences) < 2:
        return True
    if len(differences) >= SIGNS and differences.min() > 0:
        return True
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return mean > STUDENT[min(len(differences) - 1, len(STUDENT)) - 1] * error


def _reaches(entry: Entry, goal: float) -> bool:
    return all(min(trial.curve, default=math.inf) <= goal for trial in entry.trials)


def _time(entry: Entry, goal: float | None) -> float:
    reached = None if goal is None else entry.time_to(goal)
    return entry.seconds if reached is None else reached.seconds


def sentences(decision: Decision, kind: str, remedy: str) -> list[str]:
    """Return the recommendation, and its reasons.

    Parameters
    ----------
    decision : Decision
        From `decide`.
    kind : str
        "validation" or "training": the loss that decides.
    remedy : str
        What to do if every run diverged.
    """
    chosen, lowest, goal = decision.chosen, decision.lowest, decision.goal
    if lowest is None:
        return [f"Every run diverged. {remedy}".rstrip()]
    if chosen is None:
        return [
            f"No batch size reached the goal, a {kind} loss of {goal:.4g}. Nearest came "
            f"batch size {lowest.batch_size:,} with {_loss(lowest)}: train it longer, or with "
            "other learning rates."
        ]
    lines = [_lead(decision, kind)]
    if len(chosen.trials) == 1 and len(decision.level) > 1:
        lines.append("Each had one run: another seed may change their order.")
    if chosen.kept_epoch == chosen.epochs == chosen.plan.epochs:
        lines.append(
            f"Its {kind} loss was still falling in epoch {chosen.epochs:,}, the last: more epochs "
            "may lower it."
        )
    return lines


def _lead(decision: Decision, kind: str) -> str:
    """Return the recommendation with its first reason."""
    chosen, level, goal = decision.chosen, decision.level, decision.goal
    assert chosen is not None
    take = f"Take batch size {chosen.batch_size:,}"
    if chosen.optimizer.learning_rate:
        take += f" with learning rate {chosen.optimizer.learning_rate:.2g}"
    over = f" over {count(len(chosen.trials), 'seed')}" if len(chosen.trials) > 1 else ""
    if goal is not None:
        reached = chosen.time_to(goal)
        assert reached is not None
        return (
            f"{take}: it reached the goal, a {kind} loss of {goal:.4g}, in "
            f"{duration(reached.seconds)} ({count(reached.epochs, 'epoch')}, "
            f"{count(reached.updates, 'update')})."
        )
    if len(level) == 1:
        return f"{take}: its {kind} loss is the lowest, {_loss(chosen)}{over}."
    listed = [f"{entry.batch_size:,} ({_loss(entry)})" for entry in level]
    why = "the fastest of them"
    if chosen is decision.lowest:
        why = "the one with the lowest mean, and none is much faster"
        if chosen.seconds == min(entry.seconds for entry in level):
            why = "the fastest of them, with the lowest mean"
    return (
        f"{take}. These runs show no difference in {kind} loss between batch sizes "
        f"{', '.join(listed[:-1])} and {listed[-1]}{over}; {chosen.batch_size:,} is {why} "
        f"({duration(chosen.seconds)} a run)."
    )


def _loss(entry: Entry) -> str:
    """Return an entry's mean loss with its spread over the seeds."""
    mean = significant(entry.mean("judged"), 3)
    spread = entry.spread
    return mean if math.isnan(spread) else f"{mean} ± {significant(spread, 2)}"


def about_others(decision: Decision, entries: Sequence[Entry], kind: str) -> list[str]:
    """Say why each other entry was not taken."""
    chosen, lines = decision.chosen, list[str]()
    if chosen is None:
        return lines
    for entry in entries:
        name = f"Batch size {entry.batch_size:,}"
        if entry is chosen:
            continue
        if entry.diverged:
            some = sum(trial.diverged for trial in entry.trials)
            seeds = f" for {some} of {len(entry.trials)} seeds" if len(entry.trials) > 1 else ""
            rate = f"{entry.optimizer.learning_rate:.2g}"
            lines.append(f"{name} diverged{seeds} at learning rate {rate}: its steps overshoot.")
        elif entry in decision.level:
            lines.append(f"{name} {_pace(entry, decision)}.")
        elif decision.goal is not None:
            lines.append(f"{name} did not reach the goal.")
        else:
            short = ": it was still falling" if _falling(entry) else ""
            lines.append(f"{name} has a higher {kind} loss, {_loss(entry)}{short}.")
    return lines


def _pace(entry: Entry, decision: Decision) -> str:
    """Say how long an entry took, compared with the chosen one."""
    assert decision.chosen is not None
    mine, theirs = _time(entry, decision.goal), _time(decision.chosen, decision.goal)
    if mine < theirs:
        return "is about as fast, with a higher mean loss"
    return f"took {_ratio(mine, theirs, 'times as long', 'about as long')}"


def _falling(entry: Entry) -> bool:
    return entry.kept_epoch == entry.epochs


def overfitting(entries: Sequence[Entry]) -> str:
    """Name the epochs from which validation losses rise while training losses fall, or nothing."""
    found = []
    for entry in entries:
        history, best = entry.history, entry.kept_epoch
        losses = history.validation_loss
        if entry.diverged or not losses or best >= len(losses):
            continue
        low, last = losses[best - 1], losses[-1]
        if last > low + RISE * abs(low) and history.loss[-1] < history.loss[best - 1]:
            found.append(
                f"batch size {entry.batch_size:,} from epoch {best + 1} on (first seed: from "
                f"{significant(low, 3)} to {significant(last, 3)} in epoch {len(losses)})"
            )
    if not found:
        return ""
    return (
        "Overfitting: the validation loss rises while the training loss falls, at "
        f"{', '.join(found)}. The model of the epoch before is kept."
    )


def _ratio(one: float, other: float, times: str, same: str) -> str:
    """Return the ratio of two numbers in words, or that they are the same."""
    text = f"{one / other:.2g}" if other > 0 else "many"
    return same if text == "1" else f"{text} {times}"
