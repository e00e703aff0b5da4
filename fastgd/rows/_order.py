r"""The order of rows in an epoch over blocks.

The blocks are shuffled, `window` of them are in memory at a time, and their rows are shuffled:
Xu et al. 2022, "In-Database Machine Learning with CorgiPile: Stochastic Gradient Descent without
Full Data Shuffle", doi:10.1145/3514221.3526150, arXiv:2206.05830. The order is a function of the
key, the bounds of the blocks, and the window; so any part of it can be computed alone.
"""

from __future__ import annotations

import numpy as np

from fastgd._typing import IndexArray
from fastgd.engine import shuffle

__all__ = ["WindowOrder", "draw_key"]

Key = tuple[int, ...]


def draw_key(rng: np.random.Generator) -> Key:
    """Return an epoch's key: three words of the generator."""
    return tuple(int(word) for word in rng.integers(2**64, size=3, dtype=np.uint64))


def _permutation(n: int, key: Key, number: int) -> IndexArray:
    words = np.random.SeedSequence([*key, number])
    order: IndexArray = shuffle.permutation(n, np.random.Generator(np.random.SFC64(words)))
    return order


class WindowOrder:
    """The order of an epoch, window by window.

    Parameters
    ----------
    bounds : ndarray of int64, of shape (blocks + 1,)
        Where each block begins, and the last ends.
    window : int
        Blocks in memory at a time.
    key : tuple of int, or None
        Shuffles; None keeps the order of the data.

    Attributes
    ----------
    starts : ndarray of int64, of shape (windows + 1,)
        The place in the order at which each window begins, and the last ends.
    """

    def __init__(self, bounds: IndexArray, window: int, key: Key | None) -> None:
        n_blocks = len(bounds) - 1
        self._bounds, self._window, self._key = bounds, window, key
        self._blocks = np.arange(n_blocks) if key is None else _permutation(n_blocks, key, 0)
        ends = np.cumsum(np.diff(bounds)[self._blocks])
        last = np.append(np.arange(window, n_blocks, window), n_blocks) - 1
        self.starts = np.concatenate([[0], ends[last]]).astype(np.int64)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.starts) - 1

    def blocks(self, w: int) -> list[int]:
        """Return the blocks of a window, in the order in which they are put into memory."""
        chosen: list[int] = self._blocks[w * self._window : (w + 1) * self._window].tolist()
        return chosen

    def rows(self, w: int) -> IndexArray:
        """Return the order of a window's rows, as places in its memory."""
        n = int(self.starts[w + 1] - self.starts[w])
        if self._key is None:
            return np.arange(n, dtype=shuffle.index_dtype(n))
        return _permutation(n, self._key, w + 1)

    def whole(self) -> IndexArray:
        """Return the order of the whole epoch, as numbers of rows."""
        parts = []
        for w in range(len(self)):
            held = [np.arange(self._bounds[i], self._bounds[i + 1]) for i in self.blocks(w)]
            parts.append(np.concatenate(held)[self.rows(w)])
        return np.concatenate(parts).astype(shuffle.index_dtype(int(self._bounds[-1])))
