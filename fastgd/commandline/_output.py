"""Reading and writing: files, paragraphs and tables as wide as the terminal, a line of progress."""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO

from fastgd import _columns
from fastgd._columns import Column
from fastgd._visible import Visible, visible
from fastgd._writing import replacing
from fastgd.comparison import Comparison
from fastgd.tables._csv import read_csv
from fastgd.tables._table import InputError, Table

__all__ = ["Progress", "open_output", "read", "say", "show_table"]

WIDEST = 120


def width() -> int:
    """Return how many characters a line may have: the terminal's, or 79 without one."""
    if not sys.stdout.isatty():
        return 79
    return min(shutil.get_terminal_size().columns - 1, WIDEST)


def say(*paragraphs: str) -> None:
    """Print paragraphs of text, which may contain names from files."""
    if paragraphs:
        lines = (_columns.fill(visible(text), width()) for text in paragraphs)
        print(*lines, sep="\n", flush=True)


def show_table(result: Comparison, columns: Sequence[Column]) -> None:
    """Print the table: by rich where it is installed, on a terminal, otherwise as text."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            console = import_module("rich.console").Console(width=width())
            console.print(_columns.as_rich(columns, result, "", "", result.best))
            return
    kept = list(columns)
    while sum(column.width for column in kept) + len(" *") > width() + 1:
        most = max(kept, key=lambda column: column.spare)
        if not most.spare:
            break
        kept.remove(most)
    print(result.text_table(kept))


class Progress:
    """A line on a terminal that is overwritten; nothing without a terminal.

    It shows the share of the work that is done, the time that it took, and an estimate of the rest.
    """

    INTERVAL = 0.1

    def __init__(self, stream: IO[str] | None, quiet: bool = False) -> None:
        shows = stream is not None and stream.isatty() and not quiet
        self.stream = stream if shows else None
        self.shown = 0
        self.next_time = 0.0
        self.begun = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def show(self, text: str, share: float | None = None) -> None:
        """Show the current work and its progress, at most ten times a second."""
        now = time.monotonic()
        if self.stream is None or now < self.next_time:
            return
        self.next_time = now + self.INTERVAL
        most = shutil.get_terminal_size().columns - 1
        line = visible(text)
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


def read(options: argparse.Namespace) -> Table:
    """Read the file, and show how many rows were read."""
    with Progress(sys.stderr, quiet=getattr(options, "quiet", False)) as progress:
        progress.show(f"Reading {options.file}")
        return read_csv(
            options.file,
            delimiter=options.delimiter,
            decimal=options.decimal,
            encoding=options.encoding,
            skip_lines=options.skip_lines,
            on_rows=lambda count: progress.show(f"Reading {options.file}: {count:,} rows"),
        )


@contextlib.contextmanager
def open_output(option: str, path: str | None) -> Iterator[IO[str] | Visible]:
    """Open standard output, or a file that appears only once it is complete."""
    if path is None:  # escaped on a terminal, otherwise unchanged
        yield Visible(sys.stdout) if sys.stdout.isatty() else sys.stdout
        return
    in_place = Path(path).exists() and not Path(path).is_file()  # a device or a pipe
    try:
        with open(path, "wb") if in_place else replacing(path) as file:
            stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
            yield stream
            stream.detach()  # flushes; the file is closed where it was opened
    except OSError as error:
        raise InputError(f"{option} {path}: {error.strerror or error}") from error
