"""The samples of a training that are read in blocks: the checks, and what a run needs of them.

For arrays see `training`, for reading `rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastgd import _data, _validation, _words
from fastgd._evaluation import BlockEvaluation
from fastgd._typing import AnyArray
from fastgd.losses import LOSSES
from fastgd.network import Network, loader_of
from fastgd.rows._blocks import Blocks
from fastgd.rows._feed import ORDERS, Feed, window_of
from fastgd.rows._load import Loader

__all__ = ["BlockSamples", "check_blocks", "evaluation"]


class BlockSamples(NamedTuple):
    """Checked blocks.

    Attributes
    ----------
    loader : Loader
        Reads the blocks.
    feed : Feed
        Brings their rows into memory in the order of the sampling.
    """

    loader: Loader
    feed: Feed


def check_blocks(net: Network, blocks: Blocks, y: Any, given: Mapping[str, Any]) -> BlockSamples:
    """Return checked blocks, from train's arguments.

    Parameters
    ----------
    net : Network
        The network to train.
    blocks : Blocks
        The samples.
    y : object
        Must be None.
    given : mapping
        All of train's keyword arguments.
    """
    if y is not None:
        raise TypeError("blocks bring their targets: leave y out")
    if given["sample_weight"] is not None:
        raise TypeError(
            "blocks bring their weights, as by open_blocks(..., weight=): leave sample_weight out"
        )
    if isinstance(given["validation"], (float, np.floating)):
        raise ValueError(
            f"validation={given['validation']:g} would set rows of the blocks aside, which is not "
            "possible: give validation=(X, y), or other blocks, as by open_blocks"
        )
    sampling = given["sampling"]
    if not isinstance(sampling, str):
        raise TypeError(
            f"with blocks, sampling must be one of {_words.listed(ORDERS)}, not "
            f"{_words.show(sampling)}"
        )
    _validation.check_choice("sampling with blocks", sampling, ORDERS)
    loader = loader_of(net, blocks)
    if given["class_weight"] is not None:
        factors = _class_factors(net, given["class_weight"], loader)
        loader = loader_of(net, blocks, factors)
    window = window_of(given["window"], given["memory"], blocks, loader.row_bytes)
    return BlockSamples(loader, Feed(loader, sampling, window))


def evaluation(net: Network, blocks: Blocks | Loader) -> BlockEvaluation:
    """Return the evaluation of a network on blocks."""
    loader = blocks if isinstance(blocks, Loader) else loader_of(net, blocks)
    return BlockEvaluation(net, loader)


def _class_factors(net: Network, class_weight: Any, loader: Loader) -> Callable[..., AnyArray]:
    """Return the function that gives targets their factors."""
    targets = LOSSES[net.loss].targets
    if not targets.classes or (targets.indices and len(loader.room(0)[1].shape) > 1):
        _data.check_class_weight(class_weight, None)
    if targets.indices:
        classes = list(range(net.sizes[-1]))
    else:
        classes = [-1, 1] if targets.name == "sign" else [0, 1]
    if isinstance(class_weight, str):
        _validation.check_choice("class_weight", class_weight, ("balanced",))
        counts = np.zeros(len(classes))
        for _, y, _ in loader.each():
            found, of_each = np.unique(y, return_counts=True)
            counts[np.searchsorted(classes, found)] += of_each
        present = np.count_nonzero(counts)
        with np.errstate(divide="ignore"):
            factors = np.where(counts > 0, counts.sum() / (present * counts), 1.0)
    else:
        # one row of each class, for the check that arrays go through
        given = _data.check_class_weight(class_weight, np.array(classes))
        assert given is not None
        factors = given
    return lambda y: factors[np.searchsorted(classes, y.reshape(-1))]
