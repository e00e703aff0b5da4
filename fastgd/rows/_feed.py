"""Read the rows of an epoch into buffers, window by window, for a run over blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastgd import _validation
from fastgd._plan import Halfway
from fastgd._typing import AnyArray, FloatArray, IndexArray
from fastgd._words import show
from fastgd.batches import count_steps
from fastgd.engine import shuffle
from fastgd.rows._ahead import Ahead
from fastgd.rows._blocks import Blocks
from fastgd.rows._load import Loader, Rows3, slice_rows
from fastgd.rows._order import WindowOrder, draw_key

__all__ = ["ORDERS", "Chunk", "Feed", "window_of"]

WINDOW = 8  # blocks
BUFFERS = 2
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Chunk(NamedTuple):
    """Some of an epoch's steps, on samples that are in memory.

    Attributes
    ----------
    steps : int
        The steps.
    order : ndarray of int
        Samples in the order of their use; at least one more than the steps need, unless the epoch
        ends here.
    bounds : ndarray of int64, or None
        Where each batch begins in the order and the last ends, if batches differ in size.
    data : tuple of (X, y, sample_weight), or None
        The samples; None for those of the run's plan.
    """

    steps: int
    order: IndexArray
    bounds: IndexArray | None = None
    data: tuple[Any, Any, Any] | None = None


class Windows(Protocol):
    """The order of an epoch, in windows that fit into memory; see `_order.WindowOrder`."""

    @property
    def starts(self) -> IndexArray:
        """The place in the order at which each window begins, and the last ends."""

    def rows(self, w: int) -> IndexArray:
        """Return the order of a window's rows, as places in its memory."""


class _Shuffled:
    """All rows in a random order, read one by one: a full shuffle."""

    def __init__(self, order: IndexArray, rows: int) -> None:
        n = len(order)
        self.order = order
        self.starts = np.append(np.arange(0, n, rows, dtype=np.int64), n)

    def rows(self, w: int) -> IndexArray:
        """Return a window's places in order: its rows are read in the order of their use."""
        n = int(self.starts[w + 1] - self.starts[w])
        return np.arange(n, dtype=shuffle.index_dtype(n))


#: the samplings that blocks can have
ORDERS = ("blocks", "sequential", "shuffle")


class Feed:
    """Brings the rows of blocks into memory, in the order of a sampling.

    Parameters
    ----------
    loader : Loader
        Reads and checks blocks.
    sampling : str
        One of `ORDERS`.
    window : int
        Blocks in memory at a time.
    """

    def __init__(self, loader: Loader, sampling: str, window: int) -> None:
        if sampling == "shuffle" and not hasattr(loader.blocks, "take"):
            raise ValueError(
                "sampling='shuffle' reads single rows in random order, which this source cannot: "
                "take sampling='blocks', which shuffles blocks and the rows within a window of them"
            )
        self._loader, self._sampling, self._window = loader, sampling, window
        self.n_rows = int(loader.bounds[-1])
        sizes = np.sort(np.diff(loader.bounds))[::-1]
        self._capacity = int(sizes[:window].sum())
        self._buffers: list[Rows3] = []

    def nothing(self) -> Rows3:
        """Return arrays without rows, for the plan of a run."""
        return self._loader.room(0)

    def examples(self) -> tuple[FloatArray, AnyArray]:
        """Return samples that have been read, and their targets."""
        X, y, _ = self._buffers[0]
        room = len(X) - self._capacity
        return X[room : room + 1], y[room : room + 1]

    def draw(self, rng: np.random.Generator) -> Windows:
        """Return the order of an epoch."""
        if self._sampling == "shuffle":
            return _Shuffled(shuffle.permutation(self.n_rows, rng), self._capacity)
        key = draw_key(rng) if self._sampling == "blocks" else None
        return WindowOrder(self._loader.bounds, self._window, key)

    def chunks(self, order: Windows, batch_size: int, drop_last: bool, at: Halfway) -> Ahead[Chunk]:
        """Return the epoch's steps, from a place in the epoch on, which a thread reads ahead."""
        while len(self._buffers) < BUFFERS:
            self._buffers.append(self._loader.room(batch_size + self._capacity))
        first = at.steps, at.samples
        return Ahead(lambda heed: self._chunks(order, batch_size, drop_last, *first, heed))

    def _chunks(
        self,
        order: Windows,
        batch_size: int,
        drop_last: bool,
        done: int,
        place: int,
        heed: Callable[[], None],
    ) -> Iterator[Chunk]:
        """Yield the steps of one window after the other.

        What is left of a window's rows after its last whole batch, at least one row, is copied to
        the front of the next window's.
        """
        starts, room = order.starts, batch_size
        total = count_steps(self.n_rows, batch_size, drop_last)
        begin = int(np.searchsorted(starts, place, "right")) - 1
        left: tuple[Rows3, IndexArray] | None = None
        for w in range(begin, len(starts) - 1):
            buffer = self._buffers[w % BUFFERS]
            n = int(starts[w + 1] - starts[w])
            self._read(order, w, slice_rows(buffer, room, room + n), heed)
            local = order.rows(w)[max(0, place - int(starts[w])) :]
            carried = 0
            if left is not None:
                carried = len(left[1])
                for source, target in zip(left[0], buffer, strict=True):
                    if source is not None and target is not None:
                        target[room - carried : room] = source[left[1]]
            data = slice_rows(buffer, room - carried, room + n)
            ranks = np.arange(carried, dtype=local.dtype)
            rows = np.concatenate([ranks, local + local.dtype.type(carried)])
            last = w == len(starts) - 2
            steps = total - done if last else max(0, len(rows) - 1) // batch_size
            yield Chunk(steps, rows, None, data)
            done += steps
            left = data, rows[steps * batch_size :]

    def _read(self, order: Any, w: int, out: Rows3, heed: Callable[[], None]) -> None:
        """Read a window's rows."""
        heed()
        if isinstance(order, _Shuffled):
            self._loader.take(order.order[order.starts[w] : order.starts[w + 1]], out)
        else:
            self._loader.load(order.blocks(w), out, heed)


def window_of(window: Any, memory: Any, blocks: Blocks, row_bytes: int) -> int:
    """Return the number of blocks in memory at a time, from the user's ``window`` or ``memory``."""
    if window is not None and memory is not None:
        raise ValueError("window and memory both set how much is in memory: give one of them")
    if memory is None:
        return WINDOW if window is None else _validation.check_int("window", window, at_least=1)
    allowed = _bytes("memory", memory)
    block = int(np.diff(np.asarray(blocks.bounds)).max()) * row_bytes
    # two buffers, and a block that is being read
    fitting = (allowed // max(1, block) - 1) // BUFFERS
    if fitting < 1:
        raise ValueError(
            f"memory is {show(memory)}, but a block takes {block:,} bytes, and at least "
            f"{BUFFERS + 1} must fit: allow more, or make blocks smaller, as by "
            "open_blocks(..., block_rows=...)"
        )
    return int(fitting)


def _bytes(name: str, value: Any) -> int:
    """Return a number of bytes from one, or from a text such as "2 GB"."""
    if not isinstance(value, str):
        return _validation.check_int(name, value, at_least=1)
    text = value.strip()
    number = text.rstrip("BKMGibkmg ")
    factor = UNITS.get(text[len(number) :].strip().upper())
    try:
        size = float(number) * (factor or 0)
    except ValueError:
        size = 0
    if not 1 <= size < 2**62:
        raise ValueError(
            f"{name} is {value!r}, but must be a number of bytes, or a text such as '500 MB' or "
            "'2 GB'"
        )
    return int(size)
