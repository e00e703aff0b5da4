"""One run on a landscape, with its history: `fastgd.train` for costs of few parameters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation
from fastgd._trace import Trace
from fastgd._typing import FloatArray, IndexArray, RngLike
from fastgd.batches import batch_bounds, count_steps
from fastgd.history import DivergenceError, History
from fastgd.landscapes._landscape import Landscape
from fastgd.landscapes._runs import Runs, check_landscape, check_start, optimizer_or_default
from fastgd.optimizers import Optimizer
from fastgd.sampling import Sampler, draw_batches, make_sampler
from fastgd.schedules import Schedule, make_schedule

__all__ = ["descend"]

RECORDS = ("loss", "params")


def descend(
    landscape: Landscape,
    start: ArrayLike | None = None,
    *,
    batch_size: int | None = 1,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    schedule: Schedule | Callable[[int], float] | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    callbacks: Sequence[Callable[[FloatArray, History], Any]] = (),
    record: Sequence[str] = RECORDS,
    record_every: int = 1,
    rng: RngLike = None,
) -> tuple[FloatArray, History]:
    """Go down a landscape by gradient descent, as `fastgd.train` trains a network.

    An epoch cuts the terms, in the order of the sampling, into batches; each batch makes one
    update with the mean of its terms' gradients. Optimizers and samplings are those of
    `fastgd.train`, in NumPy and float64.

    Parameters
    ----------
    landscape : Landscape
        The cost.
    start : array_like of shape (n_params,), optional
        Where to begin; ``landscape.start`` if not given.
    batch_size : int or None
        Terms a batch, at least 1; None, or n and more, for all: batch gradient descent.
    epochs : int
        Passes over the terms.
    optimizer : Optimizer, optional
        How parameters move; SGD with half of ``landscape.largest_learning_rate`` if not
        given.
    schedule : fastgd.schedules.Schedule or callable, optional
        How the learning rate changes: one of `fastgd.schedules`, or a function from the number
        of the epoch, counted from 0, to a factor of the optimizer's learning rate.
    sampling : str or object
        "shuffle", "replacement", "sequential", "poisson", or an object with a method
        ``epoch(n, rng)``, as for `fastgd.train`; terms have no classes to be stratified by.
        With "replacement" a batch of n terms is still a random one.
    drop_last : bool
        Whether a last batch that is not full is left out.
    callbacks : sequence of callable
        Each is called after each epoch as ``callback(theta, history)``; the descent stops after
        an epoch in which one returns True.
    record : sequence of str
        What `History.trace` keeps: "loss", the batch's mean before the update, and "params", the
        parameters after it.
    record_every : int
        Every how many steps it does.
    rng : None, int or numpy.random.Generator
        Draws the order of the terms; None draws a fresh one.

    Returns
    -------
    theta : ndarray of shape (n_params,)
        Where the descent ended.
    history : History
        What it did.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    DivergenceError
        When the cost or a parameter stopped being finite. The error's history, and its trace, end
        with the last finite epoch.

    Examples
    --------
    >>> import fastgd as gd
    >>> theta, history = gd.landscapes.descend(
    ...     gd.landscapes.Bowl(), batch_size=8, epochs=20, optimizer=gd.SGD(0.5), rng=0
    ... )
    >>> history.updates, history.trace["params"].shape
    (160, (160, 2))
    """
    check_landscape(landscape)
    point = check_start(landscape, start)
    n = landscape.n
    size = _validation.check_batch_size(batch_size, n)
    epochs = _validation.check_int("epochs", epochs, at_least=0)
    optimizer = optimizer_or_default(landscape, optimizer)
    rule = make_schedule(schedule)
    drop_last = _validation.check_bool("drop_last", drop_last)
    sampler = make_sampler(sampling, None, size, drop_last)
    callbacks = _validation.check_callbacks(callbacks, "theta", "history")
    recorded = _validation.check_record(record, RECORDS)
    generator = _validation.check_rng(rng)
    record_every = _validation.check_int("record_every", record_every, at_least=1)
    runs = Runs(landscape, point, 1, optimizer)
    history = History(
        start=point if "params" in recorded else None,
        optimizer=optimizer,
        schedule=None if schedule is None else rule,
    )
    room = count_steps(n, size, drop_last) * epochs // record_every
    trace = Trace(
        record_every,
        loss=np.empty(room) if "loss" in recorded else None,
        params=np.empty((room, landscape.n_params)) if "params" in recorded else None,
    )
    state = rule.initial_state()
    for epoch in range(epochs):
        order, ends = draw_batches(sampler, n, generator)
        divisor = None if ends is None else size
        if ends is None:
            ends = batch_bounds(len(order), size, drop_last)
        steps = len(ends) - 1
        if (more := (history.updates + steps) // record_every - room) > 0:
            trace, room = trace.grown(more), room + more  # a user's own sampling may draw more
        by_epoch = rule.unit == "epoch"
        times = (epoch, 1) if by_epoch else (history.updates, steps)
        rates = rule.rates(optimizer.learning_rate, *times, state)
        try:
            _epoch(runs, order, ends, np.broadcast_to(rates, steps), history, trace, divisor)
        except DivergenceError:
            _set_trace(history, trace)
            raise
        state = rule.observe(state, history.loss[-1])
        theta = runs.params[0].copy()
        if callbacks:
            _set_trace(history, trace)
        answers = [callback(theta, history) for callback in callbacks]
        if any(map(_validation.is_true, answers)):
            break
    _set_trace(history, trace)
    return runs.params[0].copy(), history


def _epoch(
    runs: Runs,
    order: IndexArray,
    ends: IndexArray,
    rates: FloatArray,
    history: History,
    trace: Trace,
    divisor: int | None,
) -> None:
    """Run the batches of one epoch, and add to the history what they did."""
    begun = time.perf_counter()
    room = trace.behind(history.updates // trace.every)
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # found as a loss that is not finite
        for step, rate in enumerate(rates.tolist()):
            samples = order[None, ends[step] : ends[step + 1]]
            loss, n = float(runs.losses(samples).sum()), samples.shape[1]
            runs.step(samples, rate, divisor)
            total += loss
            room.keep(runs.state.step, n, runs.params[0], loss)
    if not (math.isfinite(total) and np.isfinite(runs.params).all()):
        history.diverged = True
        raise DivergenceError(
            f"the cost stopped being finite in epoch {history.epochs + 1}, with learning rate "
            f"{max(rates):g}. Try a lower one: batch gradient descent stays at "
            f"the minima of {runs.landscape!r} below {runs.landscape.largest_learning_rate:.3g}.",
            history,
        )
    used = int(ends[-1])
    history.loss.append(total / used if used else math.nan)
    history.learning_rate.append(float(rates[0]) if len(rates) else math.nan)
    history.seconds.append(time.perf_counter() - begun)
    history.updates += len(rates)
    history.epoch_updates.append(len(rates))
    history.sample_gradients += used


def _set_trace(history: History, trace: Trace) -> None:
    """Leave in the history what was recorded."""
    kept = history.updates // trace.every
    if trace.loss is None and trace.params is None:
        return
    numbers: Any = np.arange(1, kept + 1) * trace.every
    history.trace["step"] = numbers
    for name, values in (("loss", trace.loss), ("params", trace.params)):
        if values is not None:
            history.trace[name] = values[:kept]
