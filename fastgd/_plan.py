"""The plan of a run: the checked data and settings that a backend receives.

A `Plan` is checked, converted and never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd.batches import batch_bounds, count_steps, sum_of_weights
from fastgd.optimizers import Optimizer

if TYPE_CHECKING:
    from fastgd.rows import Rows

__all__ = [
    "Halfway",
    "Part",
    "Plan",
    "StepPlan",
]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Everything a backend needs for one run.

    Attributes
    ----------
    sizes : tuple of int
        Units of each layer, the inputs first.
    hidden : tuple of str
        The activation of each hidden layer.
    loss : str
        The loss's name.
    optimizer : Optimizer
        The rule for updates.
    X : Rows of shape (n, sizes[0])
        Samples: a C-contiguous array in the dtype of the computation, or rows that are decoded.
    y : ndarray
        Targets of shape (n, sizes[-1]) in that dtype, or (n,) class indices in int32.
    sample_weight : ndarray of shape (n,), or None
        Factors for the samples' losses.
    batch_size : int
        Samples per batch.
    drop_last : bool
        Whether to drop an incomplete last batch.
    reduction : {"mean", "sum"}
        How to combine the gradients of a batch's samples.
    n_threads : int
        The most threads to use; 0 for all.
    l1, l2 : float
        Penalty factors: for the weights' absolute values, and for half their squares.
    penalty_of_sum : bool
        Whether the penalty is added to the sum of a batch's losses, and divided with it, not to
        their mean.
    clip_value, clip_norm, clip_per_sample : float or None
        The largest size of an element of a batch's gradient, the largest norm of that gradient,
        and of a sample's.
    noise_multiplier : float
        The standard deviation of the noise in a batch's summed gradient, in units of
        clip_per_sample.
    dropout : tuple of float
        Probability that a unit is dropped, for each hidden layer; empty for none.
    shards : int
        Parts of each batch, whose gradients are added as a tree.
    mean_weight : ndarray of shape (n,), or None
        If given, a batch's mean divides by the sum of its samples' entries, not by their number.
        No batch is empty then.
    """

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    loss: str
    optimizer: Optimizer
    X: Rows
    y: AnyArray
    sample_weight: FloatArray | None
    batch_size: int
    drop_last: bool
    reduction: str
    n_threads: int
    l1: float = 0.0
    l2: float = 0.0
    penalty_of_sum: bool = False
    clip_value: float | None = None
    clip_norm: float | None = None
    clip_per_sample: float | None = None
    noise_multiplier: float = 0.0
    dropout: tuple[float, ...] = ()
    shards: int = 1
    mean_weight: FloatArray | None = None

    def bounds(self, n_samples: int) -> IndexArray:
        """Return where each batch of an epoch over n_samples indices starts, and the end."""
        return batch_bounds(n_samples, self.batch_size, self.drop_last)

    def on(self, X: Rows, y: AnyArray, sample_weight: FloatArray | None) -> Plan:
        """Return the same plan on other samples."""
        return replace(self, X=X, y=y, sample_weight=sample_weight)

    def whole(self, order: IndexArray, bounds: IndexArray | None) -> Part:
        """Return a whole epoch as one part."""
        if bounds is not None:
            return Part(len(bounds) - 1, last=True)
        return Part(count_steps(len(order), self.batch_size, self.drop_last), last=True)

    def ends(self, order: IndexArray, bounds: IndexArray | None, steps: int) -> IndexArray:
        """Return where each of the first steps' batches starts in the order, and the end."""
        if bounds is None:
            bounds = batch_bounds(len(order), self.batch_size, False)
        return bounds[: steps + 1]

    def samples(self, order: IndexArray, bounds: IndexArray | None, steps: int) -> int:
        """Return how many samples the first steps take."""
        if bounds is not None:
            return int(bounds[steps])
        return min(len(order), steps * self.batch_size)

    def scales(
        self, order: IndexArray, bounds: IndexArray | None, steps: int | None = None
    ) -> FloatArray | None:
        """Return the factor of a sample's gradient in each batch's; None without `mean_weight`."""
        if self.mean_weight is None:
            return None
        ends = self.ends(order, bounds, self.whole(order, bounds).steps if steps is None else steps)
        factors: FloatArray = 1 / sum_of_weights(self.mean_weight, order, ends)
        return factors


@dataclass(slots=True)
class Halfway:
    """How much of an epoch is done. The backend updates it at each part.

    Attributes
    ----------
    steps, samples : int
        Steps and samples so far.
    total : float
        The sum of the samples' losses so far.
    seed : int or None
        Dropout's seed in this epoch; None until it is drawn.
    ahead : float
        What the compiled kernel for batches of one sample carries from one step to the next.
    """

    steps: int = 0
    samples: int = 0
    total: float = 0.0
    seed: int | None = None
    ahead: float = 0.0

    def advance(self, steps: int, samples: int, total: float) -> None:
        """Count the steps and samples of a part; the losses' sum is now `total`."""
        self.steps += steps
        self.samples += samples
        self.total = total


@dataclass(slots=True, eq=False)
class Part:
    """Some of an epoch's steps, for a backend that makes an epoch in several calls.

    The order of a part begins with the samples of its steps; if another part follows, at least one
    sample more. The bits do not depend on how an epoch is divided.

    Attributes
    ----------
    steps : int
        The steps to make.
    last : bool
        Whether the epoch ends here.
    halfway : Halfway
        How much is done before; updated by the part.
    data : tuple of (X, y, sample_weight), or None
        The samples that the order means, in the form of the plan's; None for the plan's own.
    into : tuple of (params, state), or None
        Where to write the parameters and the state after the part.
    """

    steps: int
    last: bool
    halfway: Halfway = field(default_factory=Halfway)
    data: tuple[Any, Any, Any] | None = None
    into: tuple[FloatArray, Any] | None = None

    def outputs(self, params: FloatArray, state: Any) -> list[tuple[FloatArray, Any]]:
        """Return where to write: `into`, and at the end the run's own parameters and state."""
        kept = [] if self.into is None else [self.into]
        return [*kept, (params, state)] if self.last else kept


class StepPlan(Protocol):
    """The part of a plan that a run reads; only the backend reads the rest."""

    @property
    def batch_size(self) -> int:
        """Samples per batch."""

    @property
    def drop_last(self) -> bool:
        """Whether to drop an incomplete last batch."""

    @property
    def reduction(self) -> str:
        """How to combine the gradients of a batch's samples: "mean" or "sum"."""

    @property
    def optimizer(self) -> Optimizer:
        """The rule for updates."""
