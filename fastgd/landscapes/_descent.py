"""One run on a landscape: the counterpart of `fastgd.train` for costs of few parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation
from fastgd._recording import Recording
from fastgd._run import Job, Run
from fastgd._trace import Trace
from fastgd._typing import FloatArray, IndexArray, RngLike
from fastgd.batches import batch_bounds, count_steps
from fastgd.history import History
from fastgd.landscapes._landscape import Landscape
from fastgd.landscapes._runs import Runs, check_landscape, check_start, optimizer_or_default
from fastgd.optimizers import Optimizer
from fastgd.sampling import Sampler, make_sampler
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
    """Minimise a landscape by gradient descent, as `fastgd.train` trains a network.

    An epoch divides the terms, in the order of the sampling, into batches; each batch makes one
    update with the mean of its terms' gradients. Optimizers and samplings are those of
    `fastgd.train`, in NumPy and float64.

    Parameters
    ----------
    landscape : Landscape
        The cost.
    start : array_like of shape (n_params,), optional
        The initial parameters; ``landscape.start`` if not given.
    batch_size : int or None
        Terms per batch, at least 1; None, or at least n, for all: batch gradient descent.
    epochs : int
        Passes over the terms.
    optimizer : Optimizer, optional
        The rule for updates; SGD with half of ``landscape.largest_learning_rate`` if not
        given.
    schedule : fastgd.schedules.Schedule or callable, optional
        How the learning rate changes: one of `fastgd.schedules`, or a function from the epoch's
        number, counted from 0, to a factor of the optimizer's learning rate.
    sampling : str or object
        "shuffle", "replacement", "sequential", "poisson", or an object with a method
        ``epoch(n, rng)``, as for `fastgd.train`; terms have no classes to stratify by. With
        "replacement" a batch of n terms is still random.
    drop_last : bool
        Whether to drop an incomplete last batch.
    callbacks : sequence of callable
        Each is called after each epoch as ``callback(theta, history)``; the descent stops if one
        returns True.
    record : sequence of str
        What to record in `History.trace`: "loss", the batch's mean before the update, and
        "params", the parameters after it.
    record_every : int
        Record every so many steps.
    rng : None, int or numpy.random.Generator
        Used to draw the order of the terms; None takes a fresh generator.

    Returns
    -------
    theta : ndarray of shape (n_params,)
        The final parameters.
    history : History
        The record of the descent.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    DivergenceError
        When the cost or a parameter stops being finite. The error's history and its trace end
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
    history._schedule_state = rule.initial_state()
    terms = _Terms(runs, size, drop_last, optimizer)
    steps = count_steps(n, size, drop_last) * epochs
    Run(
        Job(terms, terms, runs.params, runs.state, sampler, n, generator),
        history,
        epochs=epochs,
        schedule=rule,
        recording=Recording(recorded, record_every, runs.params[0], terms, 0, steps),
        callbacks=[
            lambda callback=callback: callback(runs.params[0].copy(), history)  # type: ignore[misc]
            for callback in callbacks
        ],
        quantity="cost",
        hint=lambda rate: (
            "Try a lower one: batch gradient descent stays at the minima of "
            f"{landscape!r} below {landscape.largest_learning_rate:.3g}."
        ),
    ).finish()
    history._state = None  # not a network's state: no training can resume from it
    return runs.params[0].copy(), history


@dataclass(frozen=True)
class _Terms:
    """Plan and backend in one, so that `Run` can run on a landscape."""

    runs: Runs
    batch_size: int
    drop_last: bool
    optimizer: Optimizer
    reduction: str = "mean"

    def start(self, *_: Any) -> Callable[..., float]:
        """Return the function that runs one epoch; see `fastgd.backends`."""
        return self._epoch

    def _epoch(
        self,
        order: IndexArray,
        rates: FloatArray,
        trace: Trace | None = None,
        bounds: IndexArray | None = None,
    ) -> float:
        runs, total = self.runs, 0.0
        divisor = None if bounds is None else self.batch_size
        ends = batch_bounds(len(order), self.batch_size, self.drop_last)
        ends = ends if bounds is None else bounds
        with np.errstate(over="ignore", invalid="ignore"):  # detected as a loss that is not finite
            for step, rate in enumerate(rates.tolist()):
                samples = order[None, ends[step] : ends[step + 1]]
                loss = float(runs.losses(samples).sum())
                runs.step(samples, rate, divisor)
                total += loss
                if trace is not None:
                    trace.keep(runs.state.step, samples.shape[1], runs.params[0], loss)
        return total if np.isfinite(runs.params).all() else math.nan
