"""A model of how a team of threads leaves the step loop; all interleavings are checked.

The model is fastgd/engine/step_loop.pyx without arithmetic: where each thread waits at a barrier,
and reads or writes `stopped` and `paused`. The barrier is src_c/barrier.h, one move for each atomic
access. An interrupt, a raise, a pause and a divergence may each occur wherever the engine allows
it. Two faults are found: a deadlock, and a data race (one thread may write what another may read
at the same time).
"""

import itertools
import re
from pathlib import Path

import pytest

LOOP = Path(__file__).resolve().parent.parent / "fastgd" / "engine" / "step_loop.pyx"
EVENTS = ("diverge", "interrupt", "pause", "raise")
NO_FLAGS = frozenset()


def program(steps, thread, *, decide_first=False, clips=False):
    """Return what one thread does in the steps, each given as its number of chunks (0: empty).

    With `decide_first`, an empty batch works as in the old protocol, which could hang: the first
    thread decides before the barrier.
    """
    meet = ["read round", "arrive", "spin"]
    poll, decide = (["poll"], ["decide"]) if thread == 0 else ([], [])
    moves = []
    for number, chunks in enumerate(steps):
        moves.append(("leave if stopped or paused", number))
        moves += ["draw noise"] if thread == 0 else []
        work = poll + meet + decide + meet
        if chunks == 0:
            moves += poll + decide + meet + meet if decide_first else work
        end = len(moves) + chunks * (1 + len(work))
        for _ in range(chunks):
            moves += [("skip if stopped", end), *work]
        if clips:
            moves += [("skip if stopped", len(moves) + 1 + len(meet)), *meet]
    moves.append(("finish", len(steps)))
    return moves


class Model:
    """The programs of a team; a state is (places, rounds read, arrived, round, flags)."""

    def __init__(self, programs, events):
        self.programs = programs
        self.events = events
        self.n = len(programs)

    def at(self, state, thread):
        place = state[0][thread]
        return None if place < 0 else self.programs[thread][place]

    def moves(self, state, thread):
        """Return the states that a thread can move to; none if it waits or has finished."""
        places, seen, arrived, turn, flags = state
        move = self.at(state, thread)
        if move is None:
            return []

        def to(place, seen=seen, arrived=arrived, turn=turn, flags=flags):
            moved = (*places[:thread], place, *places[thread + 1 :])
            return moved, seen, arrived, turn, flags

        on = places[thread] + 1
        if move == "read round":
            return [to(on, seen=(*seen[:thread], turn, *seen[thread + 1 :]))]
        if move == "arrive":
            if arrived + 1 < self.n:
                return [to(on, arrived=arrived + 1)]
            return [to(on + 1, arrived=0, turn=turn + 1)]
        if move == "spin":
            return [to(on)] if turn != seen[thread] else []
        if move in ("poll", "draw noise"):
            event = "interrupt" if move == "poll" else "raise"
            heard = [to(on, flags=flags | {"interrupted"})] if event in self.events else []
            return [to(on), *heard]
        if move == "decide":
            return [to(on, flags=decided) for decided in self.decisions(flags)]
        kind, target = move
        if kind == "finish" or (kind == "leave if stopped or paused" and flags & (STOP | PAUSE)):
            return [to(-1 - target)]
        return [to(target if kind == "skip if stopped" and flags & STOP else on)]

    def decisions(self, flags):
        """Return what the flags may be after the first thread has decided."""
        flags |= STOP if "interrupted" in flags else NO_FLAGS
        yield flags
        if "diverge" in self.events:
            yield flags | STOP
        if "pause" in self.events:
            yield flags | PAUSE


STOP, PAUSE = frozenset({"stopped"}), frozenset({"paused"})


def is_race(model, state):
    """Whether the first thread may write the flags while another may read them."""
    return model.at(state, 0) == "decide" and any(
        isinstance(model.at(state, t), tuple) and model.at(state, t)[0] != "finish"
        for t in range(1, model.n)
    )


def explore(n_threads, steps, events=EVENTS, **variant):
    """Visit every reachable state; return the faults found and the number of states."""
    model = Model([program(steps, t, **variant) for t in range(n_threads)], events)
    start = ((0,) * n_threads, (0,) * n_threads, 0, 0, NO_FLAGS)
    known, waiting, wrong = {start}, [start], set()
    while waiting:
        state = waiting.pop()
        following = [after for t in range(n_threads) for after in model.moves(state, t)]
        if is_race(model, state):
            wrong.add("race")
        if not following and any(place >= 0 for place in state[0]):
            wrong.add("deadlock")
        if not following and len(set(state[0])) > 1:
            wrong.add("left at different steps")
        waiting += [after for after in following if after not in known]
        known.update(following)
    return wrong, len(known)


STEPS = [steps for n in (1, 2, 3) for steps in itertools.product((0, 1, 2), repeat=n)]


@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize(("n_threads", "most_steps"), [(1, 3), (2, 3), (3, 2), (4, 2)])
def test_all_threads_leave_the_loop_together(n_threads, most_steps, clips):
    for steps in STEPS:
        if len(steps) <= most_steps:
            assert explore(n_threads, steps, clips=clips)[0] == set(), steps


@pytest.mark.parametrize("event", EVENTS)
def test_a_decision_before_the_barrier_hangs(event):
    """The checker finds the fault that made trainings with empty batches hang."""
    wrong, _ = explore(2, (0, 0), (event,), decide_first=True)
    assert {"deadlock", "race"} <= wrong


def test_only_an_empty_batch_of_the_old_protocol_hangs():
    assert explore(2, (1, 1), decide_first=True)[0] == set()


def test_the_model_explores_several_interleavings():
    assert explore(2, (0, 0), ())[1] < explore(2, (0, 0))[1]


def test_only_one_function_writes_the_flags_that_end_a_loop():
    """Except for the steps of single samples, which run on one thread."""
    writers = set()
    name = None
    for line in LOOP.read_text().splitlines():
        if found := re.match(r"cdef .*?(\w+)\(", line):
            name = found[1]
        if re.search(r"run\.flags\.(stopped|paused) = ", line):
            writers.add(name)
    assert writers == {"_decide", "_stochastic_steps"}
