"""Show a run's progress for ``verbose``: a line per epoch, or a bar."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np

from fastgd import _words

__all__ = ["Progress", "check_verbose", "load_tqdm", "make_progress"]


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


class Bar:
    """A bar that advances once per epoch.

    Parameters
    ----------
    done, total : int
        Epochs at the start and at the end.
    tqdm : module
        The module tqdm, which draws the bar.
    """

    def __init__(self, done: int, total: int, tqdm: Any) -> None:
        self._bar = tqdm.tqdm(initial=done, total=total, unit="epoch")

    def show(self, epoch: int, seconds: float, values: dict[str, float]) -> None:
        """Advance the bar, and show the epoch's values after it."""
        self._bar.set_postfix({name: f"{value:.4g}" for name, value in values.items()})
        self._bar.update()

    def close(self) -> None:
        """End the bar, and leave it on the screen."""
        self._bar.close()


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
    """Return the display for a run; lines instead of a bar if tqdm is missing."""
    if not verbose:
        return None
    tqdm = load_tqdm() if verbose == "bar" else None
    return Lines(total) if tqdm is None else Bar(done, total, tqdm)


def load_tqdm() -> Any:
    """Return tqdm's module for terminals and notebooks, or None if it is not installed."""
    try:
        return importlib.import_module("tqdm.auto")
    except ImportError:
        return None
