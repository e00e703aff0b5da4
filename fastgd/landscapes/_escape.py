"""Count how many runs leave a saddle, by batch size, and show the counts as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgd import _columns, _validation
from fastgd._columns import Column
from fastgd._typing import FloatArray
from fastgd.batches import count_steps
from fastgd.landscapes._landscape import Landscape
from fastgd.landscapes._runs import Runs, check_landscape, check_start, optimizer_or_default
from fastgd.optimizers import Optimizer
from fastgd.sampling import Sampler, make_sampler

__all__ = ["EscapeShares", "escape_share", "wilson_interval"]


@dataclass(frozen=True, eq=False)
class EscapeShares:
    """How many runs left a saddle, by batch size: the result of `escape_share`.

    Attributes
    ----------
    landscape : Landscape
        The landscape of the runs.
    batch_sizes : ndarray of int
        The batch sizes.
    n_seeds : int
        Runs per batch size.
    updates : int
        The most updates of a run.
    learning_rate : float
        The optimizer's learning rate.
    confidence : float
        The confidence level of the intervals.
    escaped : ndarray of int
        How many runs left the saddle.
    diverged : ndarray of int
        How many runs stopped being finite; they do not count as escaped.
    share, low, high : ndarray of float
        The share of runs that left the saddle, and its confidence interval.
    median_updates : ndarray of float
        The median of the updates until the escape, over the runs that left; nan if none did.
    """

    landscape: Landscape
    batch_sizes: NDArray[np.int64]
    n_seeds: int
    updates: int
    learning_rate: float
    confidence: float
    escaped: NDArray[np.int64]
    diverged: NDArray[np.int64]
    share: FloatArray
    low: FloatArray
    high: FloatArray
    median_updates: FloatArray

    def plot(self, **options: Any) -> Any:
        """Draw the shares with their intervals; this needs the extra ``plot``.

        Parameters
        ----------
        **options
            Further arguments of `fastgd.plot.escape`.

        Returns
        -------
        matplotlib.axes.Axes
            The axes from `fastgd.plot.escape`.
        """
        return import_module("fastgd.plot").escape(self, **options)

    def _rows(self) -> list[_Row]:
        return [_Row(self, k) for k in range(len(self.batch_sizes))]

    def _columns(self) -> list[Column]:
        return COLUMNS + LAST_COLUMN if self.diverged.any() else COLUMNS

    def _title(self) -> str:
        return (
            f"Runs that left the saddle of {self.landscape!r} within {self.updates:,} updates, "
            f"learning rate {self.learning_rate:g}; shares with {100 * self.confidence:g} % "
            "confidence intervals"
        )

    def __str__(self) -> str:
        columns = self._columns()
        lines = [_columns.line(columns, row) for row in self._rows()]
        return "\n".join([_columns.fill(self._title()), "", _columns.head(columns), *lines])

    def __rich__(self) -> Any:
        """Return a table for the package rich, which calls this."""
        return _columns.as_rich(self._columns(), self._rows(), self._title(), "")

    def _repr_html_(self) -> str:
        """Return HTML for notebooks."""
        return _columns.as_html(self._columns(), self._rows(), self._title())


class _Row:
    """One batch size of an `EscapeShares`, for its table."""

    diverged = False  # tells `_columns` to show all cells; not the number of diverged runs

    def __init__(self, shares: EscapeShares, k: int) -> None:
        self.shares, self.k = shares, k

    def batch_size(self) -> str:
        """Return the batch size, with "all" for all terms."""
        size = self.shares.batch_sizes[self.k]
        return f"all {size:,}" if size == self.shares.landscape.n else f"{size:,}"

    def median(self) -> str:
        """Return the median of the updates until the escape."""
        median = self.shares.median_updates[self.k]
        return "-" if math.isnan(median) else f"{median:,.0f}"


#: the columns of an `EscapeShares`
COLUMNS = [
    Column("batch", "size", 9, _Row.batch_size),
    Column("", "runs", 8, lambda row: f"{row.shares.n_seeds:,}", spare=2),
    Column("", "escaped", 9, lambda row: f"{row.shares.escaped[row.k]:,}", spare=3),
    Column("", "share", 9, lambda row: f"{row.shares.share[row.k]:.1%}"),
    Column("", "from", 9, lambda row: f"{row.shares.low[row.k]:.1%}"),
    Column("", "to", 9, lambda row: f"{row.shares.high[row.k]:.1%}"),
    Column("median", "updates", 10, _Row.median),
]
LAST_COLUMN = [Column("", "diverged", 10, lambda row: f"{row.shares.diverged[row.k]:,}")]


def escape_share(
    landscape: Landscape,
    start: ArrayLike | None = None,
    batch_sizes: Iterable[int | None] = (1, 2, 4, 8, 16, 32, None),
    *,
    n_seeds: int = 200,
    updates: int = 500,
    optimizer: Optimizer | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    confidence: float = 0.95,
) -> EscapeShares:
    """Count how many runs leave a saddle, by batch size.

    A run has left the saddle once it has been near a minimum (`Landscape.escaped`). All batch
    sizes make the same number of updates with the same learning rate, so they differ only in the
    noise of their gradients. Run k takes the same steps as ``descend(..., rng=k)``.

    Parameters
    ----------
    landscape : Landscape
        One with a saddle: `Quintic` or `Saddle`.
    start : array_like of shape (n_params,), optional
        The initial parameters; ``landscape.start`` if not given.
    batch_sizes : iterable of int or None
        Terms per batch, at least 1; None, or at least n, for all: batch gradient descent.
    n_seeds : int
        Runs per batch size: their seeds are 0 to n_seeds - 1.
    updates : int
        The most updates that a run makes.
    optimizer, sampling, drop_last
        As in `descend`, except that "poisson" is not supported: all runs step together, in
        batches of one size. All runs share a user's own sampling object, whose order must depend
        only on its arguments.
    confidence : float
        The confidence level of the intervals, between 0 and 1. They are Wilson's (1927, J. Am.
        Stat. Assoc. 22, 209), which are valid for shares near 0 and 1 too.

    Returns
    -------
    EscapeShares
        Counts, shares and intervals; print it for a table.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or the landscape has no saddle.

    Examples
    --------
    >>> import fastgd as gd
    >>> shares = gd.landscapes.escape_share(
    ...     gd.landscapes.Quintic(), -3.0, [1, None], n_seeds=50
    ... )
    >>> print(shares)
    Runs that left the saddle of Quintic(n=64, spread=0.75) within 500 updates,
    learning rate 0.32; shares with 95 % confidence intervals
    <BLANKLINE>
        batch                                                median
         size    runs  escaped    share     from       to   updates
    ---------------------------------------------------------------
            1      50       50   100.0%    92.9%   100.0%        53
       all 64      50        0     0.0%     0.0%     7.1%         -
    """
    check_landscape(landscape)
    point = check_start(landscape, start)
    if landscape.escaped(point):
        raise ValueError(
            f"start is {point.tolist()}, which is near a minimum already: start on the saddle's "
            "other side"
        )
    sizes = _validation.check_batch_sizes(batch_sizes, landscape.n)
    n_seeds = _validation.check_int("n_seeds", n_seeds, at_least=1)
    updates = _validation.check_int("updates", updates, at_least=1)
    optimizer = optimizer_or_default(landscape, optimizer)
    sampler = make_sampler(sampling, None)
    drop_last = _validation.check_bool("drop_last", drop_last)
    confidence = _validation.check_real("confidence", confidence, above=0, below=1)
    firsts = []
    for size in sizes:
        runs = Runs(landscape, point, n_seeds, optimizer)
        firsts.append(_first_escapes(runs, sampler, size, updates, drop_last))
    escaped = np.array([int((first > 0).sum()) for first in firsts])
    low, high = wilson_interval(escaped, n_seeds, confidence)
    return EscapeShares(
        landscape=landscape,
        batch_sizes=np.array(sizes),
        n_seeds=n_seeds,
        updates=updates,
        learning_rate=optimizer.learning_rate,
        confidence=confidence,
        escaped=escaped,
        diverged=np.array([int((first == DIVERGED).sum()) for first in firsts]),
        share=escaped / n_seeds,
        low=low,
        high=high,
        median_updates=np.array(
            [np.median(first[first > 0]) if (first > 0).any() else math.nan for first in firsts]
        ),
    )


STAYED, DIVERGED = 0, -1


def _first_escapes(
    runs: Runs, sampler: Sampler, size: int, updates: int, drop_last: bool
) -> NDArray[np.int64]:
    """Return the number of updates until each run left the saddle; or STAYED, or DIVERGED."""
    landscape = runs.landscape
    seeds = np.arange(len(runs.params))
    first = np.full(len(seeds), STAYED)
    generators = [np.random.default_rng(int(seed)) for seed in seeds]
    learning_rate = runs.optimizer.learning_rate
    with np.errstate(over="ignore", invalid="ignore"):  # counted as diverged
        while runs.state.step < updates and len(seeds):
            orders = np.stack([sampler.epoch(landscape.n, generators[seed]) for seed in seeds])
            steps = count_steps(orders.shape[1], size, drop_last)
            if steps == 0:
                raise ValueError(
                    f"the sampling's epoch() returned {orders.shape[1]} terms, which drop_last "
                    f"drops with batches of {size}: no update would ever be made"
                )
            for step in range(min(steps, updates - runs.state.step)):
                runs.step(orders[:, step * size : (step + 1) * size], learning_rate)
                away = landscape.escaped(runs.params)
                lost = ~np.isfinite(runs.params).all(axis=1)
                first[seeds[away]] = runs.state.step
                first[seeds[lost]] = DIVERGED
                if (done := away | lost).any():
                    runs.keep(~done)
                    seeds, orders = seeds[~done], orders[~done]
    return first


def wilson_interval(
    successes: NDArray[np.int64], trials: int, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of Wilson's score interval for shares (1927, J. Am. Stat. Assoc. 22).

    Parameters
    ----------
    successes : ndarray of int
        The numbers of successes.
    trials : int
        The number of trials.
    confidence : float
        The confidence level.

    Returns
    -------
    low, high : ndarray of float
    """
    from statistics import NormalDist  # slow to import

    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = np.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2)))
    half = spread / (1 + z2 / trials)
    low = np.where(successes == 0, 0.0, centre - half)  # exact, where rounding would miss 0
    high = np.where(successes == trials, 1.0, centre + half)
    return low, high
