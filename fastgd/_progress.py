"""Show progress: a line per epoch, or one line that is overwritten.

`gd.train` and the estimators show it for ``verbose``, the command line while it reads and trains.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import IO, Any, Protocol

import numpy as np

from fastgd import _visible, _words

__all__ = ["Bar", "Progress", "ProgressLine", "check_verbose", "make_progress"]


class Progress(Protocol):
    """Shows the progress of a run."""

    def show(self, epoch: int, seconds: float, values: dict[str, float]) -> None:
        """Show an epoch's values."""

    def close(self) -> None:
        """End the display."""


class Lines:
    """One line per epoch, on standard output.

    Parameters
    ----------
    total : int
        The number of the last epoch.
    """

    def __init__(self, total: int) -> None:
        self._total = total

    def show(self, epoch: int, seconds: float, values: dict[str, float]) -> None:
        """Print the epoch's line."""
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in values.items())
        width = len(str(self._total))
        print(f"epoch {epoch:>{width}}/{self._total}: {shown} ({seconds:.3g} s)", flush=True)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


class ProgressLine:
    """A line that is overwritten: the share done, the time it took, an estimate of the rest.

    Parameters
    ----------
    stream : file
        Where to write; nothing is written if it is None.
    """

    INTERVAL = 0.1

    def __init__(self, stream: IO[str] | None) -> None:
        self.stream = stream
        self.shown = 0
        self.next_time = 0.0
        self.begun = time.monotonic()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def show(self, text: str, share: float | None = None) -> None:
        """Show the current work and its progress, at most ten times a second."""
        now = time.monotonic()
        if self.stream is None or (now < self.next_time and share != 1):
            return
        self.next_time = now + self.INTERVAL
        most = shutil.get_terminal_size().columns - 1
        line = _visible.visible(text)
        if share is not None:
            short = f"{share:4.0%} {self._times(share, now - self.begun)}  {line}"
            bar = f"[{'#' * round(share * 20):.<20}]"
            line = bar + short if len(bar + short) <= most else short
        line = line[:most]
        self.stream.write(f"\r{line:<{self.shown}}")
        self.stream.flush()
        self.shown = len(line)

    @staticmethod
    def _times(share: float, elapsed: float) -> str:
        left = f", {_clock(elapsed / share - elapsed)} left" if share > 0 and elapsed > 1 else ""
        return _clock(elapsed) + left

    def leave(self) -> None:
        """Leave the line on the screen, and begin a new one."""
        if self.stream is not None and self.shown:
            self.stream.write("\n")
            self.stream.flush()
            self.shown, self.next_time = 0, 0.0

    def clear(self) -> None:
        """Remove the line."""
        if self.stream is not None and self.shown:
            self.stream.write("\r" + " " * self.shown + "\r")
            self.stream.flush()
            self.shown, self.next_time = 0, 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
    """The command line's line of progress, on standard error; it stays there at the end.

    Parameters
    ----------
    done, total : int
        Epochs at the start and at the end.
    """

    def __init__(self, done: int, total: int) -> None:
        self._line = ProgressLine(sys.stderr)
        self._begun, self._done, self._total = done, done, total

    def show(self, epoch: int, seconds: float, values: dict[str, float]) -> None:
        """Count an epoch, and show its values."""
        self._done += 1
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
        share = (self._done - self._begun) / (self._total - self._begun)
        self._line.show(f"epoch {self._done:,} of {self._total:,}: {shown}", share)

    def close(self) -> None:
        """End the line, and leave it on the screen."""
        self._line.leave()


def check_verbose(verbose: Any) -> int | str:
    """Return 0 (nothing), 1 (a line per epoch) or "bar"."""
    if isinstance(verbose, (bool, np.bool_)):
        return int(verbose)
    if not isinstance(verbose, (int, np.integer, str)):
        raise TypeError(f"verbose must be 0, 1 or 'bar', not {_words.show(verbose)}")
    if verbose not in (0, 1, "bar"):
        hint = _words.did_you_mean(verbose, ("bar",)) if isinstance(verbose, str) else ""
        raise ValueError(f"verbose is {_words.show(verbose)}, but must be 0, 1 or 'bar'{hint}")
    return verbose if isinstance(verbose, str) else int(verbose)


def make_progress(verbose: int | str, done: int, total: int) -> Progress | None:
    """Return the display for a run."""
    if not verbose:
        return None
    return Bar(done, total) if verbose == "bar" else Lines(total)
