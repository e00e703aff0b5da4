"""`open_blocks`: choose the source of blocks for files and arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fastgd import _data, _words
from fastgd.rows._blocks import ArrayBlocks, Source
from fastgd.rows._npy import NpyBlocks, NpyFile

__all__ = ["open_blocks"]


def open_blocks(
    source: Any,
    y: Any = None,
    *,
    target: Any = None,
    columns: Sequence[Any] | None = None,
    weight: Any = None,
    block_rows: int | None = None,
) -> Source:
    """Open data that may be larger than memory, for `fastgd.train` and others.

    Parameters
    ----------
    source : path_like or array_like
        A .npy file with a row for each sample, or an array.
    y : path_like or array_like, optional
        The targets, in a .npy file or an array.
    target : int, optional
        The column that has the targets, if `y` is not given.
    columns : sequence of int, optional
        The columns to train on; by default all that are neither targets nor weights.
    weight : path_like, array_like or int, optional
        Factors of the samples' losses: a .npy file, an array, or a column.
    block_rows : int, optional
        Rows in a block; by default 1/256 of the rows, or fewer, so that a block has at most 8 MiB.

    Returns
    -------
    Blocks
        To be given to `fastgd.train` in place of X and y.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above, or a file is damaged.
    OSError
        When a file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import fastgd as gd
    >>> rng = np.random.default_rng(0)
    >>> folder = tempfile.mkdtemp()
    >>> X = rng.standard_normal((10_000, 3)).astype(np.float32)
    >>> np.save(os.path.join(folder, "X.npy"), X)
    >>> np.save(os.path.join(folder, "y.npy"), X @ [1.0, -2.0, 0.5])
    >>> blocks = gd.open_blocks(os.path.join(folder, "X.npy"), os.path.join(folder, "y.npy"))
    >>> blocks
    NpyBlocks(10,000 rows of 3 features in 8 blocks)
    >>> net = gd.Network([3, 1])
    >>> gd.train(net, blocks, epochs=3, optimizer=gd.SGD(0.05), rng=0)
    History(3 epochs, 939 updates, last loss ...)
    """
    if is_path(source):
        return _open_npy(os.fspath(source), y, target, columns, weight, block_rows)
    return _open_arrays(source, y, weight, block_rows)


def is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _open_npy(
    path: str, y: Any, target: Any, columns: Any, weight: Any, block_rows: int | None
) -> Source:
    if (y is None) == (target is None):
        raise TypeError(
            f"{path!r} has samples: give their targets either as y, a file or an array, or as "
            "target, the number of a column"
        )
    targets = target if y is None else _other("y", y)
    weights = weight if weight is None or isinstance(weight, int) else _other("weight", weight)
    return NpyBlocks(NpyFile(path), targets, weights, columns, block_rows)


def _other(name: str, value: Any) -> Any:
    """Return targets or weights as a file, or as an array."""
    if is_path(value):
        return NpyFile(value)
    raise TypeError(
        f"{name} must be a .npy file where the samples are one, not {_words.show(value)}"
    )


def _open_arrays(source: Any, y: Any, weight: Any, block_rows: int | None) -> Source:
    if isinstance(source, (tuple, list)) and y is None and len(source) in (2, 3):
        source, y, weight = source if len(source) == 3 else (*source, weight)
    if y is None:
        raise TypeError("y is missing: give the targets, as in open_blocks(X, y)")
    X = _data.as_array("X", source)
    if X.ndim != 2 or len(X) == 0:
        raise ValueError(f"X has shape {X.shape}, but must have rows of features")
    given = None if weight is None else _data.as_array("weight", weight)
    return ArrayBlocks(X, _data.as_array("y", y), given, block_rows)
