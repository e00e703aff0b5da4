"""Read ahead: a thread makes the next item while the caller works on the last one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from fastgd.engine.side_by_side import raise_if_stopped

__all__ = ["Ahead"]

Item = TypeVar("Item")

PROCESS = os.getpid()
NAME = "fastgd reader"
LOOK = 0.05  # seconds between two looks for a request to stop
STARTING = 0.1  # seconds that a thread may take to start


class _ClosedError(Exception):
    """Ends the thread early."""


class Ahead(Generic[Item]):
    """The items of an iterator, made one ahead in a thread, which ends with the ``with`` block.

    An item is made while the caller works on the one before, never on the one before that: two
    buffers suffice. In a forked child process no thread is started, and items are made on request.

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
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._thread: threading.Thread | None = None
        self._items: Iterator[Item] | None = None

    def __enter__(self) -> Ahead[Item]:
        if os.getpid() != PROCESS:
            self._items = self._make(raise_if_stopped)
            return self
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        try:
            self._thread.start()
        except BaseException:  # Ctrl-C may come while it starts: then it may run soon, or never
            until = time.perf_counter() + STARTING
            while self._thread.ident is None and time.perf_counter() < until:
                time.sleep(0.001)
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._close()
        except BaseException:  # Ctrl-C may come while it ends
            self._close()
            raise

    def _close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()
        self._item = self._thread = self._items = None

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        begun = time.perf_counter()
        try:
            return next(self._items) if self._items is not None else self._get()
        finally:
            self.waited += time.perf_counter() - begun

    def _get(self) -> Item:
        """Wait for an item and return it."""
        assert self._thread is not None
        with self._changed:
            while self._item is None:
                if self._error is not None:
                    raise self._error
                if self._ended:
                    raise StopIteration
                if not self._thread.is_alive():
                    raise RuntimeError("the thread that reads data has ended early: train again")
                self._changed.wait(LOOK)
                raise_if_stopped()
            item, self._item = self._item, None
            self._changed.notify_all()
            return item

    def _run(self) -> None:
        """Make the items: the work of the thread."""
        try:
            for item in self._make(self._heed):
                self._put(item)
        except _ClosedError:
            pass
        except BaseException as error:
            self._error = error if isinstance(error, Exception) else _as_exception(error)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: Item) -> None:
        """Hand an item over, and wait until it is taken."""
        with self._changed:
            self._item = item
            self._changed.notify_all()
            while self._item is not None and not self._closed:
                self._changed.wait()
        self._heed()

    def _heed(self) -> None:
        if self._closed:
            raise _ClosedError


def _as_exception(error: BaseException) -> Exception:
    """Return what a source's SystemExit or KeyboardInterrupt in the thread means for the caller."""
    text = f"reading data was ended by {type(error).__name__}"
    made = RuntimeError(f"{text}: {error}" if str(error) else text)
    made.__cause__ = error
    return made
