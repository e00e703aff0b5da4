"""Reading and writing: files, paragraphs and tables as wide as the terminal, a line of progress."""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO

from fastgd import _columns
from fastgd._columns import Column
from fastgd._progress import ProgressLine
from fastgd._visible import Visible, visible
from fastgd._writing import replacing
from fastgd.comparison import Comparison
from fastgd.tables._csv import read_csv
from fastgd.tables._table import InputError, Table

__all__ = ["open_output", "progress_line", "read", "say", "show_table"]

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


def progress_line(quiet: bool) -> ProgressLine:
    """Return a line on standard error if that is a terminal; otherwise it shows nothing."""
    shows = sys.stderr.isatty() and not quiet
    return ProgressLine(sys.stderr if shows else None)


def read(options: argparse.Namespace) -> Table:
    """Read the file, and show how many rows were read."""
    with progress_line(getattr(options, "quiet", False)) as progress:
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
