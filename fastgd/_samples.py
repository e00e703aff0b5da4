"""The samples of a training: the checks of data, weights and validation, and their order.

For blocks see `_block_samples` too; for the other settings, `_settings`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data, _frames, _validation, _words
from fastgd._block_samples import check_blocks, evaluation
from fastgd._evaluation import Evaluation, count_held, draw_held
from fastgd._settings import Beginning, Settings
from fastgd._typing import AnyArray, FloatArray, IndexArray, SamplesLike
from fastgd.engine.shuffle import index_dtype
from fastgd.losses import LOSSES
from fastgd.network import Network, read_rows
from fastgd.rows import Rows
from fastgd.rows._blocks import Blocks, is_blocks
from fastgd.sampling import Sampler, Subset, make_sharded

if TYPE_CHECKING:
    from fastgd.rows._feed import Feed

__all__ = ["Pins", "Request", "Samples", "Split", "find_samples"]

Given = TypeVar("Given")


class Pins:
    """Prevents the user's arrays from being resized until the run has ended.

    The engine reads them by address, and code that runs after their check (another array's
    conversion, a sampling, a callback) might try to resize them.
    """

    def __init__(self) -> None:
        self._pin = _data.kernels().pin
        self.pins: list[Any] = []

    def __call__(self, array: Given) -> Given:
        """Return an array whose memory does not move while this object exists."""
        for memory in getattr(array, "arrays", (array,)):
            self.pins += self._pin(memory)
        return array


class Samples(NamedTuple):
    """The samples of a training, as a run needs them.

    Attributes
    ----------
    X, y, weight : Rows, ndarray, ndarray or None
        For the plan; without rows if a feed brings them.
    n : int
        How many samples to train on.
    batch_size : int
        Samples per batch.
    sampler : Sampler or None
        Their order, unless a feed determines it.
    feed : Feed or None
        Brings the samples.
    held : Evaluation or None
        Of the validation data.
    trained : callable
        Returns the evaluation of the samples.
    examples : callable
        Returns samples and targets for the message about a divergence.
    split : Split, optional
        The samples set aside, if any.
    """

    X: Rows
    y: AnyArray
    weight: FloatArray | None
    n: int
    batch_size: int
    sampler: Sampler | None
    feed: Feed | None
    held: Evaluation | None
    trained: Callable[[], Evaluation]
    examples: Callable[[], tuple[Any, Any]]
    split: Split | None = None


class Request(NamedTuple):
    """What decides, besides the data, which samples a training has.

    Attributes
    ----------
    net : Network
        The network.
    names : tuple of str, or None
        The names of the columns that it takes.
    given : mapping
        All of `fastgd.train`'s keyword arguments.
    settings : Settings
        Those that are checked.
    start : Beginning
        The state in which the training starts.
    pinned : Pins
        Keeps arrays in place.
    """

    net: Network
    names: tuple[str, ...] | None
    given: Mapping[str, Any]
    settings: Settings
    start: Beginning
    pinned: Pins


def find_samples(X: Any, y: Any, samples: IndexArray | None, request: Request) -> Samples:
    """Check samples, in memory or in blocks, and the settings about them."""
    find = _samples_of_blocks if is_blocks(X) else _samples_of_arrays
    return find(X, y, samples, request)


def _samples_of_arrays(
    X: SamplesLike, y: ArrayLike | None, samples: IndexArray | None, request: Request
) -> Samples:
    net, names, given, settings, start, pinned = request
    _check_no_blocks(given)
    X = pinned(read_rows(net, X))
    targets = pinned(_data.check_y(y, len(X), net.sizes[-1], net.loss, net.dtype))
    labels = _class_labels(net, targets)
    weight = pinned(_weights(given["sample_weight"], given["class_weight"], labels, net, len(X)))
    rows = None if samples is None else _data.check_samples(samples, len(X))
    held, share = _check_validation(net, given["validation"], pinned, names)
    split = None
    if share:
        split = Split(share, rows, labels, start, len(X))
        rows = split.train_rows
        _check_parts_count(weight, split)
        held = Evaluation(net, X, targets, weight, split.held_rows)
    elif held is None and start.history.validation_samples is not None:
        raise ValueError(
            "the training that resume continues has set samples aside: give the same validation "
            "again, or, to train on these samples too, set resume.validation_samples = None"
        )
    n = len(X) if rows is None else len(rows)
    batch_size = _validation.check_batch_size(given["batch_size"], n)
    of_rows = labels if labels is None or rows is None else labels[rows]
    sampler = make_sharded(
        given["sampling"], of_rows, n, settings.shards, batch_size, settings.drop_last
    )
    if rows is not None:
        sampler = Subset(sampler, rows)
    return Samples(
        X, targets, weight, n, batch_size, sampler, None, held,
        lambda: Evaluation(net, X, targets, weight, rows), lambda: (X, targets), split,
    )  # fmt: skip


def _check_no_blocks(given: Mapping[str, Any]) -> None:
    """Check that settings that only blocks have are not given with arrays."""
    for name in ("window", "memory"):
        if given[name] is not None:
            raise ValueError(
                f"{name} is about data in blocks, but X is in memory: leave it out, or train on "
                "fastgd.open_blocks(X, y)"
            )
    if given["sampling"] == "blocks":
        raise ValueError(
            "sampling='blocks' needs data in blocks: train on fastgd.open_blocks(X, y)"
        )


def _samples_of_blocks(X: Blocks, y: Any, samples: Any, request: Request) -> Samples:
    net, names, given, settings, _, pinned = request
    loader, feed = check_blocks(net, X, y, given)
    if samples is not None:
        raise TypeError("samples are indices into arrays: X is in blocks")
    if settings.shards > 1:
        raise ValueError("shards divide samples in memory: blocks take shards=1")
    held, _ = _check_validation(net, given["validation"], pinned, names)
    batch_size = _validation.check_batch_size(given["batch_size"], feed.n_rows)
    nothing, targets, weight = feed.nothing()
    return Samples(
        nothing, targets, weight, feed.n_rows, batch_size, None, feed, held,
        lambda: evaluation(net, loader), feed.examples,
    )  # fmt: skip


class Split:
    """The samples that ``validation=0.2`` sets aside.

    A resumed training keeps the samples set aside at its start. The user's generator does not move
    before the run starts, since later checks may still fail. A sample that `rows` lists twice is
    set aside, or trained on, as a whole.
    """

    def __init__(
        self,
        share: float,
        rows: IndexArray | None,
        labels: AnyArray | None,
        start: Beginning,
        n: int,
    ) -> None:
        self.share, self._start = share, start
        if rows is None:
            rows = distinct = np.arange(n, dtype=index_dtype(n))
        elif len(distinct := np.unique(rows)) == len(rows):
            distinct = rows  # in the user's order
        if len(distinct) < 2:
            raise ValueError(
                f"validation={share:g} sets samples aside, but there is only one: give (X, y)"
            )
        kept = start.history.validation_samples
        self._rng = None
        if kept is None:
            self._rng = copy.deepcopy(start.rng)
            of_rows = None if labels is None else labels[distinct]
            self.held_rows = draw_held(distinct, share, of_rows, self._rng)
        else:
            self.held_rows = distinct[np.isin(distinct, kept)]
        self.train_rows = rows[~np.isin(rows, self.held_rows)]
        expected = count_held(len(distinct), share)
        if kept is not None and not len(kept) == len(self.held_rows) == expected:
            raise ValueError(
                f"resume continues with the {_words.count(len(kept), 'sample')} that the training "
                f"set aside when it started, but validation={share:g} of these data would be "
                f"{expected}: give the same share and the same data"
            )

    def begin(self) -> None:
        """Move the user's generator past the draws, and store the drawn samples in the history."""
        if self._rng is not None:
            self._start.rng.bit_generator.state = self._rng.bit_generator.state
            self._start.history.validation_samples = self.held_rows


def _check_parts_count(weight: FloatArray | None, split: Split) -> None:
    """Check that neither part of the samples has only weights of zero."""
    if weight is None:
        return
    for part, rows in (("set aside", split.held_rows), ("to train on", split.train_rows)):
        if not weight[rows].any():
            raise ValueError(
                f"all samples that validation={split.share:g} leaves {part} have weight zero: "
                "leave such samples out, use another rng, or give validation=(X, y)"
            )


def _weights(
    sample_weight: ArrayLike | None,
    class_weight: str | Mapping[Any, float] | None,
    labels: AnyArray | None,
    net: Network,
    n: int,
) -> FloatArray | None:
    """Return the samples' weights: their own times their class's."""
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
    """Return each sample's class if the targets are classes, else None."""
    if not LOSSES[net.loss].targets.classes:
        return None
    if LOSSES[net.loss].targets.indices:
        return targets if targets.ndim == 1 else None
    return targets[:, 0]


def _check_validation(
    net: Network, validation: Any, pinned: Pins, names: tuple[str, ...] | None
) -> tuple[Evaluation | None, float]:
    """Return the validation data, or the share of the samples to set aside (0 for none)."""
    if validation is None:
        return None, 0.0
    if is_blocks(validation):
        _frames.require_names(validation, names, "validation X")
        return evaluation(net, validation), 0.0
    if isinstance(validation, (float, np.floating)):
        return None, _validation.check_real("validation", validation, above=0, below=1)
    if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
        what = _words.show(validation)
        if isinstance(validation, (tuple, list)):
            what = f"a {type(validation).__name__} of {len(validation)}"
        raise TypeError(
            "validation must be a tuple (X, y) or (X, y, sample_weight), blocks, or a share of the "
            f"samples such as 0.2, not {what}"
        )
    _frames.require_names(validation[0], names, "validation X")
    X = pinned(read_rows(net, validation[0], "validation X"))
    n, given = len(X), validation[1]
    y = pinned(_data.check_y(given, n, net.sizes[-1], net.loss, net.dtype, "validation y"))
    weight = validation[2] if len(validation) == 3 else None
    weight = pinned(_data.check_sample_weight(weight, n, net.dtype, "validation weight"))
    return Evaluation(net, X, y, weight), 0.0
