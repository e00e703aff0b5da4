"""Read ahead: a thread makes the next item while the caller works on the last one."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from fastgd.engine.side_by_side import raise_if_stopped

__all__ = ["Ahead"]

Item = TypeVar("Item")

PROCESS = os.getpid()
NAME = "fastgd reader"
LOOK = 0.05  # seconds between two looks for a request to stop


class _ClosedError(Exception):
    """Ends the thread early."""


class _Handover(Generic[Item]):
    """What the thread and its caller share.

    The thread must not keep the caller's `Ahead` alive: see `is_closed`.
    """

    def __init__(self, owner: Ahead[Item]) -> None:
        self.changed = threading.Condition()
        self.item: Item | None = None
        self.error: BaseException | None = None
        self.ended = self.closed = False
        self._owner = weakref.ref(owner)

    def is_closed(self) -> bool:
        """Return whether nobody wants more items.

        An exception of a signal handler can end the ``with`` block before it has begun, or before
        its end has closed this; then the owner is gone some time later.
        """
        return self.closed or self._owner() is None

    def heed(self) -> None:
        """Raise if nobody wants more items."""
        if self.is_closed():
            raise _ClosedError

    def make_all(self, make: Callable[[Callable[[], None]], Iterator[Item]]) -> None:
        """Make the items: the work of the thread."""
        try:
            for item in make(self.heed):
                self._put(item)
        except _ClosedError:
            pass
        except BaseException as error:
            self.error = error if isinstance(error, Exception) else _as_exception(error)
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _put(self, item: Item) -> None:
        """Hand an item over, and wait until it is taken."""
        with self.changed:
            self.item = item
            self.changed.notify_all()
            while self.item is not None and not self.is_closed():
                self.changed.wait(LOOK)
        self.heed()

    def get(self, thread: threading.Thread) -> Item:
        """Wait for an item of the thread and return it."""
        with self.changed:
            while self.item is None:
                if self.error is not None:
                    raise self.error
                if self.ended:
                    raise StopIteration
                if not thread.is_alive():
                    raise RuntimeError("the thread that reads data has ended early: train again")
                self.changed.wait(LOOK)
                raise_if_stopped()
            item, self.item = self.item, None
            self.changed.notify_all()
            return item


class Ahead(Generic[Item]):
    """The items of an iterator, made one ahead in a thread, which ends with the ``with`` block.

    An item is made while the caller works on the one before, never on the one before that: two
    buffers suffice. In a forked child process, and where the system refuses a thread, items are
    made on request.

    Parameters
    ----------
    make : callable
        Takes a function to call from time to time, which raises where the work must end; returns
        the iterator.

    Attributes
    ----------
    waited : float
        Seconds that the caller has waited.
    """

    def __init__(self, make: Callable[[Callable[[], None]], Iterator[Item]]) -> None:
        self._make = make
        self.waited = 0.0
        self._shared: _Handover[Item] = _Handover(self)
        self._thread: threading.Thread | None = None
        self._items: Iterator[Item] | None = None

    def __enter__(self) -> Ahead[Item]:
        if os.getpid() == PROCESS:
            work = self._shared.make_all
            thread = threading.Thread(target=work, args=(self._make,), name=NAME, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads can be started
                pass
            else:
                self._thread = thread
                return self
        self._items = self._make(raise_if_stopped)
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._close()
        except BaseException:  # Ctrl-C may come while it ends
            self._close()
            raise

    def _close(self) -> None:
        """End the thread."""
        shared = self._shared
        with shared.changed:
            shared.closed = True
            shared.changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        shared.item = self._thread = self._items = None

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        begun = time.perf_counter()
        try:
            if self._items is not None:
                return next(self._items)
            assert self._thread is not None
            return self._shared.get(self._thread)
        finally:
            self.waited += time.perf_counter() - begun


def _as_exception(error: BaseException) -> Exception:
    """Return what a source's SystemExit or KeyboardInterrupt in the thread means for the caller."""
    text = f"reading data was ended by {type(error).__name__}"
    made = RuntimeError(f"{text}: {error}" if str(error) else text)
    made.__cause__ = error
    return made
