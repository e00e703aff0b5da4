"""`train`: check everything, make the plan, run the epochs on a backend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation, backends
from fastgd._plan import Plan, check_batch_size
from fastgd._typing import AnyArray, FloatArray, IndexArray, RngLike
from fastgd.history import DivergenceError, History, Trace, restore_rng
from fastgd.losses import LOSSES
from fastgd.network import Network
from fastgd.noise import smoothed_ratio, unbiased_each
from fastgd.optimizers import SGD, Optimizer, OptimizerState
from fastgd.sampling import Sampler, Subset, count_steps, draw_batches, make_sampler

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = ["Run", "prepare", "train"]

AHEAD = 256  # how many epochs' learning rates are computed at a time
RECORDS = ("loss", "params", "gradient_norm", "noise_scale")


def train(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int | None = 32,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    schedule: Schedule | Callable[[int], float] | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    validation: Sequence[ArrayLike] | None = None,
    callbacks: Sequence[Callable[[Network, History], Any]] = (),
    l1: float = 0.0,
    l2: float = 0.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    clip_per_sample: float | None = None,
    noise_multiplier: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    record: Sequence[str] = (),
    record_every: int = 1,
    rng: RngLike = None,
    n_threads: int | None = None,
    backend: str = "compiled",
    resume: History | None = None,
) -> History:
    r"""Train a network in place by gradient descent.

    Each epoch cuts the samples, in the order of the sampling, into batches, and each batch
    makes one update, with the gradient of

    .. math:: J_B = \frac{1}{|B|} \sum_{i \in B} w_i \ell_i

    (without the division for ``reduction="sum"``). With ``batch_size=1`` this is stochastic,
    with ``batch_size=None`` batch gradient descent, and in between mini-batch gradient descent.

    Parameters
    ----------
    net : Network
        Is trained in place.
    X : array_like of shape (n, sizes[0])
        Samples. A C-contiguous array of the network's dtype is read in place, from a memory map
        too; anything else is converted once.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    batch_size : int or None
        Samples a batch, from 1 to n; None for all.
    epochs : int
        Passes over the data.
    optimizer : Optimizer, optional
        How parameters move; ``SGD(0.01)`` if not given.
    schedule : Schedule or callable, optional
        How the optimizer's learning rate changes: one of `fastgd.schedules`, or a function from
        the number of the epoch, counted from 0, to a factor. A schedule that waits for a plateau
        looks at the validation loss where there is one, else at the training loss.
    sampling : str or object
        "shuffle" (without replacement, in a new order each epoch), "replacement",
        "sequential", "stratified" (shuffled, with each class spread evenly), "poisson" (each
        batch takes each sample with probability batch_size / n, and the mean divides by
        batch_size, whatever a batch holds), or an object with a method ``epoch(n, rng)`` that
        returns sample indices.
    drop_last : bool
        Whether a last batch that is not full is left out.
    reduction : {"mean", "sum"}
        How the samples of a batch make one gradient. The sum with a learning rate eta moves as
        the mean with eta times the batch size.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses. The mean divides by the number of samples all the same,
        so that a weight means the same at every batch size.
    class_weight : "balanced" or mapping of classes to float, optional
        Factors of the losses by the samples' classes, beside the samples' own; a class that the
        mapping does not have keeps 1. "balanced" gives n / (number of classes * size of the
        class).
    validation : (X, y) or (X, y, sample_weight), optional
        Data on which the loss is computed after each epoch.
    callbacks : sequence of callable
        Each is called after each epoch as ``callback(net, history)``; training stops after an
        epoch in which one returns True.
    l1, l2 : float
        Penalties ``l1 * |w|_1 + l2 / 2 * |w|^2`` on the weights, not on the biases, as part of
        the loss; that of `l1` by a proximal step after each update, so that weights become
        exactly zero.
    clip_value, clip_norm : float, optional
        The largest size of an element of a batch's gradient, or the largest norm of it, to which
        a longer one is shortened (as torch's ``clip_grad_value_`` and ``clip_grad_norm_``).
    clip_per_sample : float, optional
        The largest norm of a sample's gradient in a batch's.
    noise_multiplier : float
        Adds Gaussian noise of standard deviation ``noise_multiplier * clip_per_sample`` to the
        sum of a batch's gradients: with ``sampling="poisson"``, differentially private gradient
        descent (Abadi et al. 2016, arXiv:1607.00133). What privacy that gives is for an
        accounting library to say.
    dropout : float or sequence of float
        The share of a hidden layer's units that each sample of a step goes without, below 1: one
        for all, or one a layer. The others' outputs are divided by one minus it (Srivastava et
        al. 2014, JMLR 15, 1929). The losses of the training are those with units left out.
    record : sequence of str
        What `History.trace` keeps: "loss", "params", "gradient_norm" and "noise_scale".
    record_every : int
        Every how many steps it does.
    rng : None, int or numpy.random.Generator
        Draws the order of the samples; None draws a fresh one.
    n_threads : int, optional
        The most threads to use. It may lower OpenMP's number (one a core, or what
        ``OMP_NUM_THREADS`` or threadpoolctl say), which is used if it is not given; it does not
        raise it. The engine uses fewer where that is faster. The results do not depend on it.
    backend : {"compiled", "vectorized", "loop"}
        Which implementation runs: they compute the same.
    resume : History, optional
        Go on where this training ended, with its optimizer and schedule, and their state and
        the generator's: 4 epochs and then 6 give the bits of 10.

    Returns
    -------
    History
        Of this training; with ``resume``, of the whole.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above. Nothing has changed then.
    DivergenceError
        When the loss stopped being finite: the learning rate may be too high. The network then
        holds the parameters of the last finite epoch.
    KeyboardInterrupt
        The network then holds the parameters of the last complete epoch.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((1000, 3))
    >>> y = X @ [1.0, -2.0, 0.5] + 3
    >>> net = gd.Network([3, 1])
    >>> history = gd.train(net, X, y, batch_size=10, epochs=5, optimizer=gd.SGD(0.05), rng=0)
    >>> history.updates, history.sample_gradients
    (500, 5000)
    >>> print(np.round(net.params, 2))
    [ 1.  -2.   0.5  3. ]
    """
    return prepare(
        net, X, y, batch_size=batch_size, epochs=epochs, optimizer=optimizer, schedule=schedule,
        sampling=sampling, drop_last=drop_last, reduction=reduction, sample_weight=sample_weight,
        class_weight=class_weight, validation=validation, callbacks=callbacks, l1=l1, l2=l2,
        clip_value=clip_value, clip_norm=clip_norm, clip_per_sample=clip_per_sample,
        noise_multiplier=noise_multiplier, dropout=dropout, record=record,
        record_every=record_every, rng=rng, n_threads=n_threads, backend=backend, resume=resume,
    ).go()  # fmt: skip


def prepare(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int | None = 32,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    schedule: Schedule | Callable[[int], float] | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    validation: Sequence[ArrayLike] | None = None,
    callbacks: Sequence[Callable[[Network, History], Any]] = (),
    l1: float = 0.0,
    l2: float = 0.0,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    clip_per_sample: float | None = None,
    noise_multiplier: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    record: Sequence[str] = (),
    record_every: int = 1,
    rng: RngLike = None,
    n_threads: int | None = None,
    backend: str = "compiled",
    resume: History | None = None,
    samples: IndexArray | None = None,
) -> Run:
    """Check everything that `train` takes, and return the run, which has changed nothing yet.

    With `samples`, indices into X, only these are trained on.
    """
    _validation.check_network(net)
    run = Run(net)
    run.read_settings(epochs, callbacks, backend)
    run.read_resumed(optimizer, schedule, rng, resume)
    _validation.check_params(net.params)
    X = _validation.check_X(X, net.sizes[0], net.dtype)
    n = len(X)
    targets = _validation.check_y(y, n, net.sizes[-1], net.loss, net.dtype)
    run.validation = _check_validation(net, validation)
    labels = all_labels = _class_labels(net, targets)
    run.n_samples = n
    if samples is not None:
        samples = _validation.check_samples(samples, n)
        run.n_samples = len(samples)
        labels = None if labels is None else labels[samples]
    batch_size = check_batch_size(batch_size, run.n_samples)
    drop_last = _validation.check_bool("drop_last", drop_last)
    run.sampler = make_sampler(sampling, labels, batch_size, drop_last)
    if samples is not None:
        run.sampler = Subset(run.sampler, samples)
    run.read_record(record, record_every, batch_size)
    run.plan = Plan(
        sizes=net.sizes,
        hidden=net.hidden,
        loss=net.loss,
        optimizer=run.optimizer,
        X=X,
        y=targets,
        sample_weight=_weights(sample_weight, class_weight, all_labels, net, n),
        batch_size=batch_size,
        drop_last=drop_last,
        reduction=_validation.check_choice("reduction", reduction, ("mean", "sum")),
        n_threads=check_threads(n_threads),
        l1=_validation.check_real("l1", l1, at_least=0),
        l2=_validation.check_real("l2", l2, at_least=0),
        dropout=_validation.check_dropout(dropout, len(net.hidden)),
        **_check_clipping(clip_value, clip_norm, clip_per_sample, noise_multiplier, sampling),
    )
    return run


def _check_clipping(
    clip_value: float | None,
    clip_norm: float | None,
    clip_per_sample: float | None,
    noise_multiplier: float,
    sampling: str | Sampler,
) -> dict[str, Any]:
    given = {
        "clip_value": clip_value,
        "clip_norm": clip_norm,
        "clip_per_sample": clip_per_sample,
    }
    for name, value in given.items():
        if value is not None:
            given[name] = _validation.check_real(name, value, above=0)
    if clip_value is not None and clip_norm is not None:
        raise ValueError("clip_value and clip_norm clip the same gradient: give one of them")
    noise = _validation.check_real("noise_multiplier", noise_multiplier, at_least=0)
    if noise > 0 and clip_per_sample is None:
        raise ValueError(
            "noise_multiplier needs clip_per_sample: the noise hides one sample's gradient, "
            "whose norm must be bounded"
        )
    if noise > 0 and isinstance(sampling, str) and sampling != "poisson":
        raise ValueError(
            f"noise_multiplier goes with sampling='poisson', not {sampling!r}: privacy "
            "accounting assumes that sampling"
        )
    return {**given, "noise_multiplier": noise}


def _weights(
    sample_weight: ArrayLike | None,
    class_weight: str | Mapping[Any, float] | None,
    labels: AnyArray | None,
    net: Network,
    n: int,
) -> FloatArray | None:
    """Return the samples' factors: their own times their classes'."""
    own = _validation.check_sample_weight(sample_weight, n, net.dtype)
    of_class = _validation.check_class_weight(class_weight, labels)
    if of_class is None:
        return own
    product = of_class if own is None else of_class * own
    return product.astype(net.dtype)


def check_threads(n_threads: int | None) -> int:
    """Return the most threads to use; 0 for as many as OpenMP would."""
    return 0 if n_threads is None else _validation.check_int("n_threads", n_threads, at_least=1)


def _class_labels(net: Network, targets: AnyArray) -> AnyArray | None:
    """Return each sample's class where the targets are classes, for stratified sampling."""
    if LOSSES[net.loss].targets == "class":
        return targets if targets.ndim == 1 else None
    return targets[:, 0] if LOSSES[net.loss].one_output else None


def _check_validation(
    net: Network, validation: Sequence[ArrayLike] | None
) -> tuple[FloatArray, AnyArray, FloatArray | None] | None:
    if validation is None:
        return None
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        raise TypeError("validation must be a tuple (X, y) or (X, y, sample_weight)")
    X = _validation.check_X(validation[0], net.sizes[0], net.dtype, "validation X")
    y = _validation.check_y(
        validation[1], len(X), net.sizes[-1], net.loss, net.dtype, "validation y"
    )
    weight = validation[2] if len(validation) == 3 else None
    return X, y, _validation.check_sample_weight(weight, len(X), net.dtype, "validation weight")


def _schedule(value: Schedule | Callable[[int], float]) -> Schedule:
    from fastgd.schedules import make_schedule  # who has none does not pay for the import

    return make_schedule(value)


class Run:
    """One call of `train`: its settings once they are checked, and its epochs."""

    optimizer: Optimizer
    schedule: Schedule | None
    rng: np.random.Generator
    state: OptimizerState
    history: History
    epochs: int
    callbacks: tuple[Callable[[Network, History], Any], ...]
    backend: ModuleType
    record: set[str]
    record_every: int
    plan: Plan
    n_samples: int
    sampler: Sampler
    validation: tuple[FloatArray, AnyArray, FloatArray | None] | None
    first_step: int  # the first two of a run that records
    sizes: FloatArray

    def __init__(self, net: Network) -> None:
        self.net = net
        self.cancelled: bool = False
        self.epochs_left: int = 0
        self.ahead: list[float] = []  # learning rates of epochs to come, the next one last
        self.trace: Trace | None = None
        self.poisson: bool = False
        self.kept: int = 0  # recorded steps of epochs that have ended well

    def read_settings(
        self,
        epochs: int,
        callbacks: Sequence[Callable[[Network, History], Any]],
        backend: str,
    ) -> None:
        """Check what concerns neither data nor optimizer."""
        self.epochs = _validation.check_int("epochs", epochs, at_least=0)
        if not isinstance(callbacks, Iterable) or not all(
            callable(callback) for callback in callbacks
        ):
            raise TypeError("callbacks must list functions that take (net, history)")
        self.callbacks = tuple(callbacks)
        self.backend = backends.load(
            _validation.check_choice("backend", backend, backends.BACKENDS)
        )

    def read_record(self, record: Sequence[str], record_every: int, batch_size: int) -> None:
        """Check what the trace is to keep."""
        if isinstance(record, str) or not isinstance(record, Iterable):
            name = record if isinstance(record, str) else "loss"
            raise TypeError(f"record must list names, as in record=({name!r},), not {record!r}")
        self.record = {_validation.check_choice("record", name, RECORDS) for name in record}
        self.record_every = _validation.check_int("record_every", record_every, at_least=1)
        if "noise_scale" in self.record and batch_size == 1:
            raise ValueError(
                "record='noise_scale' needs batches of at least 2 samples: one has no variance"
            )

    def read_resumed(
        self,
        optimizer: Optimizer | None,
        schedule: Schedule | Callable[[int], float] | None,
        rng: RngLike,
        resume: History | None,
    ) -> None:
        """Take optimizer, schedule, their state, generator and history over, or begin them."""
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"optimizer must be an optimizer such as fastgd.SGD(0.1), not {optimizer!r}"
            )
        if resume is None:
            self.optimizer = SGD(0.01) if optimizer is None else optimizer
            self.rng = _validation.check_rng(rng)
            self.state = self.optimizer.initial_state(self.net.params)
            self.schedule = None if schedule is None else _schedule(schedule)
            self.history = History(optimizer=self.optimizer, schedule=self.schedule)
            if self.schedule is not None:
                self.history._schedule_state = self.schedule.initial_state()
            return
        if not isinstance(resume, History) or resume.optimizer is None:
            raise TypeError(f"resume must be what fastgd.train returned, not {resume!r}")
        if optimizer is not None or schedule is not None or rng is not None:
            raise ValueError(
                "resume brings the optimizer, the schedule and the generator: leave them out"
            )
        state = resume._state
        if state is None or any(m.shape != self.net.params.shape for m in state.moments):
            raise ValueError("resume is the history of another network")
        self.optimizer, self.schedule = resume.optimizer, resume.schedule
        self.rng = restore_rng(resume)
        self.state = state.copy()
        self.history = resume.copy()

    def go(self) -> History:
        """Run the epochs; return the history."""
        run_epoch = self.backend.start(self.plan, self.net.params, self.state, self.rng)
        self._begin_trace()
        try:
            for done in range(self.epochs):
                self.epochs_left = self.epochs - done
                if self.cancelled:
                    break
                self._epoch(run_epoch)
                if self._after_epoch():
                    break
        finally:
            self._finish()
        return self.history

    def _epoch(self, run_epoch: Callable[..., float]) -> None:
        plan, history = self.plan, self.history
        begun = time.perf_counter()
        order, bounds = draw_batches(self.sampler, self.n_samples, self.rng)
        if bounds is None:
            steps = count_steps(len(order), plan.batch_size, plan.drop_last)
            used = min(len(order), steps * plan.batch_size)
        else:
            steps, used = len(bounds) - 1, len(order)
        self.poisson = bounds is not None
        first = self.state.step
        rates = self._rates(steps)
        kept = (first + steps) // self.record_every - first // self.record_every
        trace = self._room(kept)
        total = run_epoch(order, rates, trace, bounds)
        if not math.isfinite(total):
            history.diverged = True
            raise DivergenceError(
                f"the loss stopped being finite in epoch {history.epochs + 1}, with learning "
                f"rate {rates.max(initial=0):g}. The network holds the parameters of the epoch "
                "before. Try a lower learning rate, or scale the features to mean 0 and "
                "variance 1.",
                history,
            )
        history.loss.append(total / used if used else math.nan)
        history.learning_rate.append(float(rates[0]) if steps else math.nan)
        history.seconds.append(time.perf_counter() - begun)
        history.updates += steps
        history.epoch_updates.append(steps)
        history.sample_gradients += used
        if trace is not None:
            if "noise_scale" in self.record:
                sizes = self.sizes[self.kept : self.kept + kept]
                if bounds is None:
                    sizes[:] = plan.batch_size
                    if kept and (first + steps) % self.record_every == 0:
                        sizes[-1] = used - (steps - 1) * plan.batch_size
                else:
                    missed = self.record_every - 1 - first % self.record_every
                    sizes[:] = np.diff(bounds)[missed :: self.record_every]
            self.kept += kept

    def _rates(self, steps: int) -> FloatArray:
        """Return the next epoch's learning rates, one a step."""
        base, state = self.optimizer.learning_rate, self.history._schedule_state
        if self.schedule is None:
            return np.full(steps, base)
        if self.schedule.unit == "update":
            return self.schedule.rates(base, self.history.updates, steps, state)
        if not self.ahead or self.schedule.watches_loss:
            count = 1 if self.schedule.watches_loss else min(AHEAD, self.epochs_left)
            rates = self.schedule.rates(base, self.history.epochs, count, state)
            self.ahead = rates.tolist()[::-1]
        return np.full(steps, self.ahead.pop())

    def _begin_trace(self) -> None:
        """Make room for all that the run will record."""
        if not self.record:
            return
        steps = count_steps(self.n_samples, self.plan.batch_size, self.plan.drop_last)
        self.first_step = self.state.step
        last = self.first_step + steps * self.epochs
        room = last // self.record_every - self.first_step // self.record_every
        self.sizes = np.zeros(room)
        if "params" in self.record and self.history.updates == 0:
            self.history.start = self.net.params.copy()
        noise = "noise_scale" in self.record
        self.trace = Trace(
            self.record_every,
            loss=np.empty(room) if "loss" in self.record else None,
            gradient_norm=np.empty(room) if noise or "gradient_norm" in self.record else None,
            sample_squares=np.empty(room) if noise else None,
            params=(
                np.empty((room, self.net.n_params), self.net.dtype)
                if "params" in self.record
                else None
            ),
        )

    def _room(self, steps: int) -> Trace | None:
        """Return where the next epoch leaves what it records."""
        if self.trace is None:
            return None
        if self.kept + steps > len(self.sizes):  # a user's own sampling may draw more
            self.sizes = np.concatenate([self.sizes, np.zeros(steps)])
            self.trace = self.trace.grown(steps)
        return self.trace.behind(self.kept)

    def _end_trace(self, trace: Trace) -> None:
        """Add what was recorded to the history's trace."""
        trace = trace.before(self.kept)
        every = self.record_every
        before = self.first_step // every
        series: dict[str, AnyArray | None] = {
            "step": np.arange((before + 1) * every, (before + self.kept) * every + 1, every),
            "loss": trace.loss,
            "gradient_norm": trace.gradient_norm if "gradient_norm" in self.record else None,
            "params": trace.params,
        }
        if trace.sample_squares is not None and trace.gradient_norm is not None:
            sizes = self.sizes[: self.kept]
            norms = trace.gradient_norm
            squares = np.square(norms, out=None if "gradient_norm" in self.record else norms)
            if self.plan.reduction == "sum":
                squares /= np.maximum(sizes, 1) ** 2
            elif self.poisson:  # whose mean divides by the batch size
                squares *= (self.plan.batch_size / np.maximum(sizes, 1)) ** 2
            # a last batch of few samples says next to nothing, but would count as much
            sizes[sizes < self.plan.batch_size / 2] = 0
            unbiased_each(trace.sample_squares, squares, sizes)
            series["gradient_variance"], series["gradient_square"] = trace.sample_squares, squares
        kept = self.history.trace
        for name, values in series.items():
            if values is not None:
                earlier = kept.get(name)
                kept[name] = values if earlier is None else np.concatenate([earlier, values])
        if "gradient_variance" in series:
            kept["noise_scale"] = smoothed_ratio(kept["gradient_variance"], kept["gradient_square"])

    def _after_epoch(self) -> bool:
        """Validate, call the callbacks; return whether one wants to stop."""
        if self.validation is not None:
            values = self.net._losses(*self.validation)
            loss = float(values.sum(dtype=np.float64)) / len(values)
            self.history.validation_loss.append(loss)
        history = self.history
        if self.schedule is not None:
            seen = history.loss if self.validation is None else history.validation_loss
            history._schedule_state = self.schedule.observe(history._schedule_state, seen[-1])
        stop = [callback(self.net, self.history) is True for callback in self.callbacks]
        return any(stop)

    def _finish(self) -> None:
        """Leave in the history what a later run needs to go on."""
        history = self.history
        if self.trace is not None:
            self._end_trace(self.trace)
            self.trace = None
        history._state = self.state
        history._rng_state = self.rng.bit_generator.state
