"""`train`: check a user's arguments and start a run.

For the checks of settings see `_settings`, for the epoch loop `_run`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from fastgd import _frames
from fastgd._arguments import helpful
from fastgd._divergence import remedy
from fastgd._evaluation import Evaluation
from fastgd._plan import Plan
from fastgd._progress import make_progress
from fastgd._recording import Recording
from fastgd._run import Job, Run, Saver, Watch
from fastgd._samples import Pins, Request, Split, find_samples
from fastgd._settings import Beginning, Settings
from fastgd._typing import AnyArray, FloatArray, IndexArray, RngLike, SamplesLike
from fastgd.batches import count_steps
from fastgd.history import History
from fastgd.network import Network, check_network, check_params
from fastgd.optimizers import Optimizer
from fastgd.rows import Rows
from fastgd.rows._blocks import Blocks, is_blocks
from fastgd.sampling import Sampler
from fastgd.stopping import EarlyStopping

if TYPE_CHECKING:
    from fastgd.metrics import Metric
    from fastgd.schedules import Schedule

__all__ = ["allowed_settings", "prepare", "train"]

DIVERGED = "The network holds the parameters of the epoch before."


@helpful
def train(
    net: Network,
    X: SamplesLike,
    y: ArrayLike | None = None,
    *,
    batch_size: int | None = 32,
    epochs: int = 10,
    optimizer: Optimizer | None = None,
    schedule: Schedule | Callable[[int], float] | None = None,
    sampling: str | Sampler | None = None,
    window: int | None = None,
    memory: int | str | None = None,
    drop_last: bool = False,
    shards: int = 1,
    reduction: str = "mean",
    sample_weight: ArrayLike | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    validation: float | Sequence[ArrayLike] | Blocks | None = None,
    early_stopping: int | EarlyStopping | None = None,
    metrics: Sequence[str | Callable[[AnyArray, FloatArray], float]] = (),
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
    verbose: int | str = 0,
) -> History:
    r"""Train a network in place by gradient descent.

    Each epoch divides the samples, in the order of the sampling, into batches. Each batch makes
    one update with the gradient of

    .. math:: J_B = \frac{1}{|B|} \sum_{i \in B} w_i \ell_i

    (without the division for ``reduction="sum"``). This is stochastic gradient descent with
    ``batch_size=1``, batch gradient descent with ``batch_size=None``, and mini-batch gradient
    descent in between.

    Parameters
    ----------
    net : Network
        The network, trained in place.
    X : array_like or scipy.sparse array, of shape (n, sizes[0]), or Blocks
        Samples: an array, a sparse matrix, a data frame or Arrow table, or any object with
        ``__dlpack__``. A C-contiguous array or memory map of floats, of bool, or of integers of up
        to 32 bits (except uint32) is not copied; anything else is, once. A frame gives a
        network without column names its own, and must have the network's otherwise. Data larger
        than memory come in blocks: see `fastgd.open_blocks`.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them; blocks bring them.
    batch_size : int or None
        Samples per batch, from 1 to n; None for all.
    epochs : int
        Passes over the data.
    optimizer : Optimizer, optional
        The rule for updates; ``SGD(0.01)`` if not given.
    schedule : Schedule or callable, optional
        How the optimizer's learning rate changes: one of `fastgd.schedules`, or a function from
        the epoch's number, counted from 0, to a factor. A schedule that waits for a plateau
        watches the validation loss if there is one, otherwise the training loss.
    sampling : str or object
        A name in `fastgd.sampling.SAMPLINGS`, such as "shuffle" (without replacement, in a new
        order each epoch), "replacement", "sequential", "stratified" (shuffled, with each class
        spread evenly) or "poisson" (each batch takes each sample with probability
        batch_size / n, and the mean always divides by batch_size), or an object
        with a method ``epoch(n, rng)`` that returns sample indices. By default "shuffle"; for
        blocks "blocks", which shuffles the blocks, and then the rows of `window` of them at a time
        (Xu et al. 2022, arXiv:2206.05830). Blocks also take "sequential", and, if they can read
        single rows, "shuffle".
    window : int, optional
        How many blocks are in memory at a time, 8 by default; and as many again, which are read
        meanwhile.
    memory : int or str, optional
        What these may take, in bytes or as a text such as "2 GB", in place of `window`.
    drop_last : bool
        Whether to drop an incomplete last batch.
    shards : int
        Divide the samples, in the order of the rows, and each batch into this many parts. Each
        shard draws the order of its own rows, and the gradients of a batch's parts are added as a
        fixed tree. The result depends on the number of shards, but not on who computes them.
    reduction : {"mean", "sum"}
        How to combine the gradients of a batch's samples. The sum with learning rate eta makes
        the same updates as the mean with eta times the batch size.
    sample_weight : array_like of shape (n,), optional
        Factors for the samples' losses. The mean still divides by the number of samples, so that
        a weight has the same effect at every batch size.
    class_weight : "balanced" or mapping of classes to float, optional
        Factors for the losses by class, multiplied with `sample_weight`. Classes missing from the
        mapping have 1; "balanced" means n / (number of classes * size of the class).
    validation : float, (X, y), (X, y, sample_weight) or Blocks, optional
        Data on which the loss is computed after each epoch. A number between 0 and 1 is the share
        of the samples to set aside, drawn with `rng` and stratified if the targets are classes;
        `History.validation_samples` lists them.
    early_stopping : int or EarlyStopping, optional
        Stop when the training no longer improves, and restore the best epoch's parameters. An int
        is the patience. The validation loss is watched unless an `EarlyStopping` says otherwise.
    metrics : sequence of str or callable
        Further values to compute after each epoch, on the training samples and on the validation
        data, for `History.metrics` and `History.validation_metrics`: names in
        `fastgd.metrics.METRICS`, such as "accuracy", "log_loss", "mae" or "r2", or functions of
        (y, prediction) that return a number, where ``prediction`` is the result of
        `Network.predict`. On the training samples this costs a forward pass.
    callbacks : sequence of callable
        Each is called after each epoch as ``callback(net, history)``, and may change the
        parameters; training stops if one returns True. The history is up to date and can be
        copied or saved. `fastgd.Checkpoint` saves within epochs too.
    l1, l2 : float
        Penalties ``l1 * |w|_1 + l2 / 2 * |w|^2`` on the weights, not on the biases, as part of
        the loss; `l1` is applied by a proximal step after each update, so that weights become
        exactly zero.
    clip_value, clip_norm : float, optional
        Clip the elements of a batch's gradient to this size, or scale the gradient down to this
        norm (like torch's ``clip_grad_value_`` and ``clip_grad_norm_``).
    clip_per_sample : float, optional
        Scale each sample's gradient down to this norm.
    noise_multiplier : float
        Adds Gaussian noise of standard deviation ``noise_multiplier * clip_per_sample`` to the
        sum of a batch's gradients: with ``sampling="poisson"``, differentially private gradient
        descent (Abadi et al. 2016, arXiv:1607.00133). Use an accounting library to compute the
        resulting privacy.
    dropout : float or sequence of float
        The probability, below 1, that a hidden unit is dropped for a sample in a step: one for all
        hidden layers, or one per layer. The remaining outputs are divided by one minus it
        (Srivastava et al. 2014, JMLR 15, 1929). Training losses are those with units dropped.
    record : sequence of str
        What to record in `History.trace`: "loss", "params", "gradient_norm", "noise_scale".
    record_every : int
        Record every so many steps.
    rng : None, int or numpy.random.Generator
        Used to draw the order of the samples; None takes a fresh generator.
    n_threads : int, optional
        The most threads to use; if not given, all (one per core, or as set by
        ``OMP_NUM_THREADS`` or threadpoolctl), and never more than that. The engine uses fewer if
        that is faster. The results do not depend on it.
    backend : {"compiled", "vectorized", "loop"}
        The implementation to use: all compute the same.
    resume : History, optional
        Continue this training, with its optimizer, schedule and generator and their states:
        4 epochs and then 6 give the same bits as 10. Where early stopping has restored the best
        epoch, it continues after the last one, unless the parameters were changed since.
    verbose : {0, 1, "bar"}
        Print nothing, a line per epoch, or a bar (with tqdm; lines if it is not installed).

    Returns
    -------
    History
        The record of this training; with ``resume``, of the whole training.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above. Nothing has changed then.
    DivergenceError
        When the loss stops being finite: the learning rate may be too high. The network then has
        the parameters of the last finite epoch.
    KeyboardInterrupt
        The network then has the parameters of the last complete epoch.

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
    return prepare(**locals()).finish()


@functools.cache  # inspecting a signature takes as long as training a small network
def allowed_settings() -> Mapping[str, Any]:
    """Return the names of `train`'s settings, with their defaults."""
    parameters = inspect.signature(train).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def prepare(
    net: Network,
    X: SamplesLike,
    y: ArrayLike | None = None,
    *,
    samples: IndexArray | None = None,
    names: tuple[str, ...] | None = None,
    **given: Any,
) -> Run:
    """Check the arguments of `train`, and return the run, which has changed nothing yet.

    `samples` are the indices in X of the samples to train on; None for all. `names` are those of
    its columns, where X is not the frame itself.
    """
    check_network(net)
    known = allowed_settings()
    given = {**known, **given}
    if len(given) > len(known):
        raise TypeError(f"train takes no {', '.join(sorted(given.keys() - known.keys()))}")
    if given["sampling"] is None:
        given["sampling"] = "blocks" if is_blocks(X) else "shuffle"
    settings = Settings.check(net, given)
    start = Beginning.check(net, given)
    pinned = Pins()
    check_params(pinned(net.params))
    names = net.feature_names or names or _frames.column_names(X)
    found = find_samples(X, y, samples, Request(net, names, given, settings, start, pinned))
    _check_resumable(start, found.batch_size, settings.shards)
    plan = _plan(net, settings, start.optimizer, found.X, found.y, found.weight, found.batch_size)
    start.history.batch_size, start.history.shards = found.batch_size, settings.shards
    evaluate = None
    if found.held is not None or settings.metrics:
        trained = found.trained() if settings.metrics else None
        evaluate = _Evaluations(start.history, found.held, trained, settings.metrics)
    return Run(
        Job(
            settings.backend, plan, net.params, start.state, found.sampler, found.n, start.rng,
            found.feed,
        ),
        start.history,
        epochs=settings.epochs,
        schedule=start.schedule,
        begin=functools.partial(_begin, net, names, found.split),
        evaluate=evaluate,
        watch=_watch(settings),
        recording=_recording(net, settings, plan, start, found.n),
        callbacks=[
            functools.partial(callback, net, start.history) for callback in settings.callbacks
        ],
        after_moves=lambda: check_params(net.params, by_callback=True),
        savers=_savers(settings.callbacks),
        model_at=lambda params: _with_params(net, params),
        progress=make_progress(
            settings.verbose, start.history.epochs, start.history.epochs + settings.epochs
        ),
        hint=lambda rate: f"{DIVERGED} {remedy(*found.examples(), net.loss, rate, names)}",
        pins=pinned.pins,
    )  # fmt: skip


def _savers(callbacks: Sequence[Any]) -> list[Saver]:
    """Return the callbacks that save within epochs, too."""
    return [callback for callback in callbacks if isinstance(callback, Saver)]


def _with_params(net: Network, params: FloatArray) -> Network:
    """Return a copy of a network with other parameters."""
    twin = net.copy()
    twin.params[:] = params
    return twin


def _check_resumable(start: Beginning, batch_size: int, shards: int) -> None:
    """Check that an epoch that a checkpoint has interrupted can be continued."""
    before = start.history
    if before._unfinished is not None and (before.batch_size, before.shards) != (
        batch_size,
        shards,
    ):
        raise ValueError(
            "resume continues in the middle of an epoch with "
            f"batch_size={before.batch_size}, shards={before.shards}, not "
            f"batch_size={batch_size}, shards={shards}: give the same"
        )


def _begin(net: Network, names: tuple[str, ...] | None, split: Split | None) -> None:
    """Make the changes that only a run which starts may make."""
    net._feature_names = names
    if split is not None:
        split.begin()


def _plan(
    net: Network,
    settings: Settings,
    optimizer: Optimizer,
    X: Rows,
    y: AnyArray,
    weight: FloatArray | None,
    batch_size: int,
) -> Plan:
    """Return the plan for the backend."""
    return Plan(
        sizes=net.sizes,
        hidden=net.hidden,
        loss=net.loss,
        optimizer=optimizer,
        X=X,
        y=y,
        sample_weight=weight,
        batch_size=batch_size,
        drop_last=settings.drop_last,
        shards=settings.shards,
        reduction=settings.reduction,
        n_threads=settings.n_threads,
        l1=settings.l1,
        l2=settings.l2,
        clip_value=settings.clip_value,
        clip_norm=settings.clip_norm,
        clip_per_sample=settings.clip_per_sample,
        noise_multiplier=settings.noise_multiplier,
        dropout=settings.dropout,
    )


def _recording(
    net: Network, settings: Settings, plan: Plan, start: Beginning, n: int
) -> Recording | None:
    """Return the recording, with room for all steps; None if nothing is recorded."""
    if "noise_scale" in settings.record and plan.batch_size == 1:
        raise ValueError(
            "record='noise_scale' needs batches of at least 2 samples: one has no variance"
        )
    if not settings.record:
        return None
    if "params" in settings.record and start.history.updates == 0:
        start.history.start = net.params.copy()
    steps = count_steps(n, plan.batch_size, plan.drop_last) * settings.epochs
    return Recording(
        settings.record, settings.record_every, net.params, plan, start.state.step, steps
    )


def _watch(settings: Settings) -> Watch | None:
    """Return the `Watch` that may end the run early, or None."""
    stopping = settings.early_stopping
    if stopping is None:
        return None
    name = stopping.monitor.removeprefix("validation_")
    on_validation = name != stopping.monitor
    if name == "loss":
        return Watch(stopping, lambda h: h.validation_loss if on_validation else h.loss, 1.0)
    (metric,) = (metric for metric in settings.metrics if metric.name == name)
    return Watch(
        stopping,
        lambda h: (h.validation_metrics if on_validation else h.metrics)[name],
        -1.0 if metric.higher_is_better else 1.0,
    )


class _Evaluations:
    """Computes the validation loss and metrics after each epoch.

    Parameters
    ----------
    history : History
        The values are appended to it.
    held, trained : Evaluation or None
        Evaluations on the validation data, and on the training samples.
    metrics : sequence of Metric
        The metrics to compute on both.
    """

    def __init__(
        self,
        history: History,
        held: Evaluation | None,
        trained: Evaluation | None,
        metrics: Sequence[Metric],
    ) -> None:
        self._history = history
        self._held = held
        self._trained = trained
        self._metrics = metrics

    def __call__(self) -> None:
        """Add the values of the epoch that has just ended."""
        history = self._history
        loss, on_held, on_trained = None, {}, {}
        if self._held is not None:
            z = self._held.raw_outputs()
            loss, on_held = self._held.loss(z), self._held.scores(z, self._metrics)
        if self._trained is not None:
            on_trained = self._trained.scores(self._trained.raw_outputs(), self._metrics)
        # together, once all are known: a function of the user's may raise
        if loss is not None:
            history._add_validation_loss(loss)
        history._add_metrics("validation_metrics", on_held)
        history._add_metrics("metrics", on_trained)
