"""`recommend_batch_size`: advice from the gradient's noise and the time of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _columns, _data, _validation
from fastgd._arguments import helpful
from fastgd._columns import Column
from fastgd._typing import AnyArray, FloatArray, RngLike, SamplesLike
from fastgd.history import DivergenceError
from fastgd.network import Network, check_network, read_rows
from fastgd.noise import noise_scale
from fastgd.optimizers import SGD, Optimizer, check_optimizer
from fastgd.rows import Rows
from fastgd.training import prepare

__all__ = ["Advice", "Candidate", "recommend_batch_size"]

# Target time of one measurement, in seconds.
TRIAL = 4e-3
REPEATS = 3
# The short training during which the noise is measured again.
WARM_UP_BATCH = 32
WARM_UP_UPDATES = 2000
WARM_UP_EPOCHS = 20
# Advise the smallest batch size whose time is at most this multiple of the shortest.
TOLERANCE = 1.1
# The most samples of a batch that the engine processes at a time (MAX_CHUNK in engine/run.pxd).
CHUNK = 256


@dataclass(frozen=True)
class Candidate:
    """One batch size, and the cost of a training with it.

    Attributes
    ----------
    batch_size : int
        Samples per batch.
    step_seconds : float
        Measured seconds per step; nan if the training diverged.
    relative_updates : float
        The updates needed to reach some loss, relative to those with noise-free gradients:
        ``1 + noise_scale / batch_size``, which is S(B) / S_min in `recommend_batch_size`. With an
        infinite noise scale, relative to those with single samples: ``1 / batch_size``.
    relative_time : float
        The time that this takes, relative to the fastest candidate: proportional to
        ``step_seconds * relative_updates``; nan if the training diverged.
    batch_bytes : int
        Size of a batch's features in bytes.
    """

    batch_size: int
    step_seconds: float
    relative_updates: float
    relative_time: float
    batch_bytes: int


#: the columns of the table of candidates, for notebooks
COLUMNS = (
    Column("batch", "size", 9, lambda row: f"{row.batch_size:,}", names_rows=True),
    Column("time", "per step", 11, lambda row: _seconds(row.step_seconds)),
    Column("relative", "updates", 9, lambda row: f"{row.relative_updates:.3g}"),
    Column("relative", "time", 9, lambda row: f"{row.relative_time:.3g}"),
    Column("batch", "bytes", 13, lambda row: f"{row.batch_bytes:,}"),
)


@dataclass(frozen=True)
class Advice:
    """A batch size and the reasons for it; print it for a table.

    Attributes
    ----------
    batch_size : int
        The recommended batch size.
    candidates : tuple of Candidate
        The batch sizes that were compared.
    noise_scale : float
        The median over a short training; the advice is based on it.
    noise_scale_at_start : float
        The noise scale at the network's initial parameters.
    reasons : tuple of str
        The reasons, as sentences.
    """

    batch_size: int
    candidates: tuple[Candidate, ...]
    noise_scale: float
    noise_scale_at_start: float
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"Batch size {self.batch_size:,}", ""]
        lines += [f"- {reason}" for reason in self.reasons]
        lines += ["", f"{'batch':>9} {'step':>11} {'updates':>9} {'time':>7} {'batch bytes':>13}"]
        lines += [
            f"{row.batch_size:>9,} {_seconds(row.step_seconds):>11} "
            f"{row.relative_updates:>8.3g}x {row.relative_time:>6.3g}x {row.batch_bytes:>13,}"
            for row in self.candidates
        ]
        others = "gradients without noise" if math.isfinite(self.noise_scale) else "single samples"
        lines += ["", f"Updates are multiples of those with {others}, times of the shortest."]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)  # for interactive sessions

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: the reasons, and the candidates."""
        from html import escape

        chosen = [row for row in self.candidates if row.batch_size == self.batch_size]
        table = _columns.as_html(
            COLUMNS, self.candidates, "Batch sizes", [(row, "advised") for row in chosen]
        )
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in self.reasons)
        return f"<p>Batch size {self.batch_size:,}</p>\n<ul>{reasons}</ul>\n{table}"


@helpful
def recommend_batch_size(
    net: Network,
    X: SamplesLike,
    y: ArrayLike,
    *,
    optimizer: Optimizer | None = None,
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
    rng: RngLike = None,
) -> Advice:
    r"""Recommend a batch size from the gradient's noise and the time of a step on this machine.

    A training with batches of B samples takes about

    .. math:: S(B) = S_\text{min} \left(1 + \frac{B_\text{noise}}{B}\right)

    updates to reach a loss (McCandlish et al. 2018, "An Empirical Model of Large-Batch Training",
    arXiv:1812.06162, equation 2.12 and appendix D). Its time is S(B) times the measured time of a
    step. The advice is the smallest batch size within a tenth of the shortest time.

    Parameters
    ----------
    net : Network
        The network to be trained; it is not changed.
    X : array_like or scipy.sparse array, of shape (n, sizes[0])
        Samples, at least two.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    optimizer : Optimizer, optional
        The optimizer to train with; ``SGD(0.01)`` if not given. Its learning rate is meant for
        batches of 32: larger batches allow larger rates.
    sample_weight : array_like of shape (n,), optional
        Factors for the samples' losses.
    n_threads : int, optional
        The most threads to use.
    rng : None, int or numpy.random.Generator
        Draws the batches.

    Returns
    -------
    Advice
        The batch size, with a table of the measurements. As times are measured, it may differ
        between machines, and slightly between runs.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2000, 10))
    >>> y = X[:, 0] + rng.standard_normal(2000)
    >>> advice = gd.recommend_batch_size(gd.Network([10, 1], rng=0), X, y, rng=0)
    >>> 1 <= advice.batch_size <= 2000
    True
    """
    check_network(net)
    generator = _validation.check_rng(rng)
    X = read_rows(net, X)
    n = len(X)
    y = _data.check_y(y, n, net.sizes[-1], net.loss, net.dtype)
    weight = _data.check_sample_weight(sample_weight, n, net.dtype)
    optimizer = SGD(0.01) if optimizer is None else check_optimizer(optimizer)
    _validation.check_threads(n_threads)
    at_start = noise_scale(net, X, y, sample_weight=weight).simple
    trained = net.copy()
    reasons = []
    try:
        later = _noise_in_training(trained, X, y, weight, optimizer, n_threads, generator)
    except DivergenceError:
        trained, later = net, at_start
        reasons.append(
            "A short training diverged, so the noise was only measured at the start: lower the "
            "learning rate and try again."
        )
    sizes = [2**k for k in range(n.bit_length()) if 2**k < n] + [n]
    seconds = [
        _step_seconds(trained, X, y, weight, size, optimizer, n_threads, generator)
        for size in sizes
    ]
    if not np.isfinite(seconds).any():
        raise ValueError(
            "every batch size diverged within an epoch: give an optimizer with a lower learning "
            "rate"
        )
    noise = max(later, 0.0)  # an unbiased estimate may be negative, the noise itself cannot
    updates = [1 + noise / size if math.isfinite(noise) else 1 / size for size in sizes]
    times = np.multiply(seconds, updates)
    times /= np.nanmin(times)
    chosen = int(np.argmax(times <= TOLERANCE))
    row_bytes = X.shape[1] * X.dtype.itemsize
    return Advice(
        batch_size=sizes[chosen],
        candidates=tuple(
            Candidate(size, step, relative, float(time), size * row_bytes)
            for size, step, relative, time in zip(sizes, seconds, updates, times, strict=True)
        ),
        noise_scale=later,
        noise_scale_at_start=at_start,
        reasons=(
            *reasons,
            *_reasons(net, sizes, seconds, times, chosen, at_start, later, optimizer),
        ),
    )


def _some(rng: np.random.Generator, n: int, count: int) -> AnyArray:
    """Return at most `count` of n samples, drawn at random."""
    return rng.permutation(n)[:count]


def _noise_in_training(
    net: Network,
    X: Rows,
    y: AnyArray,
    weight: FloatArray | None,
    optimizer: Optimizer,
    n_threads: int | None,
    rng: np.random.Generator,
) -> float:
    """Train briefly; return the median of the steps' noise scales."""
    batch_size = min(WARM_UP_BATCH, len(X))
    epochs = max(1, min(WARM_UP_EPOCHS, WARM_UP_UPDATES * batch_size // len(X)))
    history = prepare(
        net, X, y, batch_size=batch_size, epochs=epochs, optimizer=optimizer,
        sample_weight=weight, rng=rng, n_threads=n_threads, record=("noise_scale",),
        samples=_some(rng, len(X), WARM_UP_UPDATES * batch_size),
    ).finish()  # fmt: skip
    return float(np.median(history.trace["noise_scale"]))


def _step_seconds(
    net: Network,
    X: Rows,
    y: AnyArray,
    weight: FloatArray | None,
    batch_size: int,
    optimizer: Optimizer,
    n_threads: int | None,
    rng: np.random.Generator,
) -> float:
    """Return the time of a step, the minimum of a few measurements."""
    steps = int(np.clip(TRIAL / (1e-9 * net.n_params * batch_size + 1e-7), 1, 1000))
    samples = _some(rng, len(X), steps * batch_size)
    steps = -(-len(samples) // batch_size)
    times = []
    for _ in range(REPEATS):
        run = prepare(
            net.copy(), X, y, batch_size=batch_size, epochs=1, optimizer=optimizer,
            sample_weight=weight, rng=rng, n_threads=n_threads, samples=samples,
            sampling="sequential",
        )  # fmt: skip
        try:
            times.append(run.finish().seconds[0] / steps)
        except DivergenceError:
            return math.nan
    return min(times)


def _reasons(
    net: Network,
    sizes: list[int],
    seconds: list[float],
    times: FloatArray,
    chosen: int,
    at_start: float,
    later: float,
    optimizer: Optimizer,
) -> list[str]:
    """Give reasons for the chosen size, and against its neighbours."""
    timed = np.flatnonzero(np.isfinite(seconds)).tolist()
    first, last = timed[0], timed[-1]
    one, whole = seconds[first] / sizes[first], seconds[last] / sizes[last]
    gain = f"{one / whole:.2g}"
    better = "" if gain == "1" else f": {gain} times as fast"
    reasons = []
    if math.isfinite(later):
        reasons.append(
            f"The gradient's noise scale is {_samples(later)}, the median over a short "
            f"training ({_samples(at_start)} before it). Far below that, doubling the batch size "
            "nearly halves the updates; far above, it saves hardly any."
        )
    else:
        reasons.append(
            "The mean gradient cannot be distinguished from zero in its noise: take the batch "
            "size with the most samples per second."
        )
    reasons.append(
        f"A sample takes {_seconds(one)} in a batch of {sizes[first]:,}, and {_seconds(whole)} in "
        f"one of {sizes[last]:,}{better}."
    )
    if first > 0:
        reasons.append(
            f"Batches of {sizes[first - 1]:,} diverged with learning rate "
            f"{optimizer.learning_rate:.2g}, and were not timed."
        )
    if chosen > 0 and math.isfinite(times[chosen - 1]):
        reasons.append(
            f"Batches of {sizes[chosen - 1]:,} would take {times[chosen - 1] / times[chosen]:.2f} "
            "times as long."
        )
    if chosen < len(sizes) - 1 and math.isfinite(times[-1]):
        reasons.append(
            f"Batches of {sizes[-1]:,} (all) would take {times[-1] / times[chosen]:.2f} times as "
            "long."
        )
    workspace = CHUNK * 2 * sum(net.sizes[1:]) * net.dtype.itemsize
    reasons.append(
        "Memory does not matter: batches are not copied, and the workspace of at most "
        f"{workspace / 1e6:.2g} MB does not grow with them."
    )
    return reasons


def _samples(scale: float) -> str:
    return f"{max(scale, 0.0):,.0f} samples"


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
