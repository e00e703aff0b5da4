"""`train`: check everything, make the plan, run the epochs on a backend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation, backends
from fastgd._plan import Plan, check_batch_size
from fastgd._typing import AnyArray, FloatArray, IndexArray, RngLike
from fastgd.history import DivergenceError, History, Trace, restore_rng
from fastgd.losses import LOSSES
from fastgd.network import Network
from fastgd.optimizers import SGD, Optimizer
from fastgd.sampling import Sampler, Subset, make_sampler

__all__ = ["Run", "prepare", "train"]

RECORDS = ("loss", "params")


def train(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int | None = 32,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    validation: Sequence[ArrayLike] | None = None,
    callbacks: Sequence[Callable[[Network, History], Any]] = (),
    record: Sequence[str] = (),
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
    sampling : str or object
        "shuffle" (without replacement, in a new order each epoch), "replacement",
        "sequential", "stratified" (shuffled, with each class spread evenly), or an object with
        a method ``epoch(n, rng)`` that returns sample indices.
    drop_last : bool
        Whether a last batch that is not full is left out.
    reduction : {"mean", "sum"}
        How the samples of a batch make one gradient. The sum with a learning rate eta moves as
        the mean with eta times the batch size.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses. The mean divides by the number of samples all the same,
        so that a weight means the same at every batch size.
    validation : (X, y) or (X, y, sample_weight), optional
        Data on which the loss is computed after each epoch.
    callbacks : sequence of callable
        Each is called after each epoch as ``callback(net, history)``; training stops after an
        epoch in which one returns True.
    record : sequence of str
        What `History.trace` keeps of every step: "loss" and "params".
    rng : None, int or numpy.random.Generator
        Draws the order of the samples; None draws a fresh one.
    n_threads : int, optional
        The most threads to use; as many as OpenMP would, if not given. The engine uses fewer
        where that is faster. The numbers do not depend on it.
    backend : {"compiled", "vectorized", "loop"}
        Which implementation runs: they compute the same.
    resume : History, optional
        Go on where this training ended, with its optimizer, the optimizer's state and the
        generator's: 4 epochs and then 6 give the bits of 10.

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
        net, X, y, batch_size=batch_size, epochs=epochs, optimizer=optimizer, sampling=sampling,
        drop_last=drop_last, reduction=reduction, sample_weight=sample_weight,
        validation=validation, callbacks=callbacks, record=record, rng=rng, n_threads=n_threads,
        backend=backend, resume=resume,
    ).go()  # fmt: skip


def prepare(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int | None = 32,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    sampling: str | Sampler = "shuffle",
    drop_last: bool = False,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    validation: Sequence[ArrayLike] | None = None,
    callbacks: Sequence[Callable[[Network, History], Any]] = (),
    record: Sequence[str] = (),
    rng: RngLike = None,
    n_threads: int | None = None,
    backend: str = "compiled",
    resume: History | None = None,
    samples: IndexArray | None = None,
) -> Run:
    """Check everything that `train` takes, and return the run, which has changed nothing yet.

    With `samples`, indices into X, only these are trained on.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a fastgd.Network, not {net!r}")
    run = Run(net)
    run.read_settings(epochs, callbacks, record, backend)
    run.read_resumed(optimizer, rng, resume)
    X = _validation.check_X(X, net.sizes[0], net.dtype)
    n = len(X)
    targets = _validation.check_y(y, n, net.sizes[-1], net.loss, net.dtype)
    run.validation = _check_validation(net, validation)
    labels = _class_labels(net, targets)
    if samples is None:
        run.n_samples = n
        run.sampler = make_sampler(sampling, labels)
    else:
        samples = _validation.check_samples(samples, n)
        run.n_samples = len(samples)
        own = make_sampler(sampling, None if labels is None else labels[samples])
        run.sampler = Subset(own, samples)
    run.plan = Plan(
        sizes=net.sizes,
        hidden=net.hidden,
        loss=net.loss,
        optimizer=run.optimizer,
        X=X,
        y=targets,
        sample_weight=_validation.check_sample_weight(sample_weight, n, net.dtype),
        batch_size=check_batch_size(batch_size, run.n_samples),
        drop_last=_validation.check_bool("drop_last", drop_last),
        reduction=_validation.check_choice("reduction", reduction, ("mean", "sum")),
        n_threads=check_threads(n_threads),
    )
    return run


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


class Run:
    """One call of `train`: its settings once they are checked, and its epochs."""

    plan: Plan
    n_samples: int
    sampler: Sampler
    validation: tuple[FloatArray, AnyArray, FloatArray | None] | None

    def __init__(self, net: Network) -> None:
        self.net = net
        self.cancelled = False

    def read_settings(
        self,
        epochs: int,
        callbacks: Sequence[Callable[[Network, History], Any]],
        record: Sequence[str],
        backend: str,
    ) -> None:
        """Check what concerns neither data nor optimizer."""
        self.epochs = _validation.check_int("epochs", epochs, at_least=0)
        if callable(callbacks) or not all(callable(callback) for callback in callbacks):
            raise TypeError("callbacks must list functions that take (net, history)")
        self.callbacks = tuple(callbacks)
        if isinstance(record, str):
            raise TypeError(f"record must list names, as in record=({record!r},)")
        self.record = {_validation.check_choice("record", name, RECORDS) for name in record}
        self.backend = backends.load(
            _validation.check_choice("backend", backend, backends.BACKENDS)
        )

    def read_resumed(
        self, optimizer: Optimizer | None, rng: RngLike, resume: History | None
    ) -> None:
        """Take optimizer, state, generator and history over, or begin them."""
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"optimizer must be an optimizer such as fastgd.SGD(0.1), not {optimizer!r}"
            )
        if resume is None:
            self.optimizer = SGD(0.01) if optimizer is None else optimizer
            self.rng = _validation.check_rng(rng)
            self.state = self.optimizer.initial_state(self.net.params)
            self.history = History(optimizer=self.optimizer)
            return
        if not isinstance(resume, History) or resume.optimizer is None:
            raise TypeError(f"resume must be what fastgd.train returned, not {resume!r}")
        if optimizer is not None or rng is not None:
            raise ValueError("resume brings the optimizer and the generator: leave both out")
        state = resume._state
        if state is None or any(m.shape != self.net.params.shape for m in state.moments):
            raise ValueError("resume is the history of another network")
        self.optimizer = resume.optimizer
        self.rng = restore_rng(resume)
        self.state = state.copy()
        self.history = resume.copy()

    def go(self) -> History:
        """Run the epochs; return the history."""
        run_epoch = self.backend.start(self.plan, self.net.params, self.state)
        traces: list[Trace] = []
        try:
            for _ in range(self.epochs):
                if self.cancelled:
                    break
                trace = self._epoch(run_epoch)
                if trace is not None:
                    traces.append(trace)
                if self._after_epoch():
                    break
        finally:
            self._finish(traces)
        return self.history

    def _epoch(self, run_epoch: Callable[..., float]) -> Trace | None:
        plan, history = self.plan, self.history
        begun = time.perf_counter()
        order = self.sampler.epoch(self.n_samples, self.rng)
        starts = plan.batch_starts(len(order))
        used = min(len(order), len(starts) * plan.batch_size)
        trace = self._trace(len(starts)) if self.record else None
        learning_rate = plan.optimizer.learning_rate
        total = run_epoch(order, learning_rate, trace)
        if not math.isfinite(total):
            history.diverged = True
            raise DivergenceError(
                f"the loss stopped being finite in epoch {history.epochs + 1}, with learning "
                f"rate {learning_rate:g}. The network holds the parameters of the epoch before. "
                "Try a lower learning rate, or scale the features to mean 0 and variance 1.",
                history,
            )
        history.loss.append(total / used if used else math.nan)
        history.learning_rate.append(learning_rate)
        history.seconds.append(time.perf_counter() - begun)
        history.updates += len(starts)
        history.sample_gradients += used
        return trace

    def _trace(self, steps: int) -> Trace:
        trace = Trace()
        if "loss" in self.record:
            trace.loss = np.empty(steps, np.float64)
        if "params" in self.record:
            trace.params = np.empty((steps, self.net.n_params), self.net.dtype)
        return trace

    def _after_epoch(self) -> bool:
        """Validate, call the callbacks; return whether one wants to stop."""
        if self.validation is not None:
            values = self.net._losses(*self.validation)
            loss = float(values.sum(dtype=np.float64)) / len(values)
            self.history.validation_loss.append(loss)
        stop = [callback(self.net, self.history) is True for callback in self.callbacks]
        return any(stop)

    def _finish(self, traces: list[Trace]) -> None:
        """Leave in the history what was recorded, and what a later run needs to go on."""
        history = self.history
        for name in sorted(self.record):
            parts = [getattr(trace, name) for trace in traces]
            if name in history.trace:
                parts.insert(0, history.trace[name])
            if parts:
                history.trace[name] = np.concatenate(parts)
        history._state = self.state
        history._rng_state = self.rng.bit_generator.state
