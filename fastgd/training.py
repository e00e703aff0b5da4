"""`train`: check everything, and make the plan.

The epochs are the business of `_training_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data, _validation, _words
from fastgd._arguments import helpful
from fastgd._plan import Plan
from fastgd._training_run import Run
from fastgd._typing import AnyArray, FloatArray, IndexArray, RngLike
from fastgd.backends import _dropout
from fastgd.history import History
from fastgd.losses import LOSSES
from fastgd.network import Network, check_network, check_params
from fastgd.optimizers import Optimizer
from fastgd.sampling import Sampler, Subset, make_sampler

if TYPE_CHECKING:
    from fastgd.schedules import Schedule

__all__ = ["prepare", "train"]


@helpful
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
        Samples a batch, at least 1; None, and a number above n, for all. `History.batch_size`
        has the number.
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
        epoch in which one returns True. The next epoch begins with the parameters as they leave
        them. The history is up to date, to be copied or saved.
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
    check_network(net)
    run = Run(net)
    run.read_settings(epochs, callbacks, backend)
    run.read_resumed(optimizer, schedule, rng, resume)
    check_params(run.pin(net.params))
    X = run.pin(_data.check_X(X, net.sizes[0], net.dtype))
    n = len(X)
    targets = run.pin(_data.check_y(y, n, net.sizes[-1], net.loss, net.dtype))
    run.validation = _check_validation(run, validation)
    labels = all_labels = _class_labels(net, targets)
    run.n_samples = n
    if samples is not None:
        samples = _data.check_samples(samples, n)
        run.n_samples = len(samples)
        labels = None if labels is None else labels[samples]
    batch_size = _validation.check_batch_size(batch_size, run.n_samples)
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
        sample_weight=run.pin(_weights(sample_weight, class_weight, all_labels, net, n)),
        batch_size=batch_size,
        drop_last=drop_last,
        reduction=_validation.check_choice("reduction", reduction, ("mean", "sum")),
        n_threads=_validation.check_threads(n_threads),
        l1=_validation.check_real("l1", l1, at_least=0),
        l2=_validation.check_real("l2", l2, at_least=0),
        dropout=_dropout.check_dropout(dropout, len(net.hidden)),
        **_check_clipping(clip_value, clip_norm, clip_per_sample, noise_multiplier, sampling),
    )
    run.history.batch_size = batch_size
    return run


def _check_clipping(
    clip_value: float | None,
    clip_norm: float | None,
    clip_per_sample: float | None,
    noise_multiplier: float,
    sampling: str | Sampler,
) -> dict[str, Any]:
    """Return the plan's settings of clipping and noise."""
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
    own = _data.check_sample_weight(sample_weight, n, net.dtype)
    of_class = _data.check_class_weight(class_weight, labels)
    if of_class is None:
        return own
    with np.errstate(over="ignore"):
        product: FloatArray = (of_class if own is None else of_class * own).astype(net.dtype)
    if not np.isfinite(product).all():
        raise ValueError(
            f"class_weight makes a weight of more than {net.dtype} holds: give smaller ones"
        )
    if not product.any():
        raise ValueError("class_weight leaves only weights of zero: no sample would count")
    return product


def _class_labels(net: Network, targets: AnyArray) -> AnyArray | None:
    """Return each sample's class where the targets are classes, for stratified sampling."""
    if LOSSES[net.loss].targets == "class":
        return targets if targets.ndim == 1 else None
    return targets[:, 0] if LOSSES[net.loss].one_output else None


def _check_validation(
    run: Run, validation: Sequence[ArrayLike] | None
) -> tuple[FloatArray, AnyArray, FloatArray | None] | None:
    """Return validation samples, targets and weights."""
    if validation is None:
        return None
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        what = _words.show(validation)
        if isinstance(validation, (tuple, list)):
            what = f"a {type(validation).__name__} of {len(validation)}"
        raise TypeError(f"validation must be a tuple (X, y) or (X, y, sample_weight), not {what}")
    net = run.net
    X = run.pin(_data.check_X(validation[0], net.sizes[0], net.dtype, "validation X"))
    y = run.pin(
        _data.check_y(validation[1], len(X), net.sizes[-1], net.loss, net.dtype, "validation y")
    )
    weight = validation[2] if len(validation) == 3 else None
    return X, y, _data.check_sample_weight(weight, len(X), net.dtype, "validation weight")
