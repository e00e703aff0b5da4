"""Check the command line's paths: a command must not write a file that it reads or writes twice.

`check_places` is called once for every command, before any work. Every option that names a file is
listed here, as read or written.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import unicodedata
from collections.abc import Hashable, Iterator
from contextlib import suppress

from fastgd import data
from fastgd._writing import check_place
from fastgd.tables._table import InputError

__all__ = ["READ", "WRITTEN", "check_places"]

#: the arguments that name files, and their names in messages
READ = {"file": "FILE", "model": "MODEL.npz", "config": "--config"}
WRITTEN = {"save": "--save", "html": "--html", "output": "--output"}
#: arguments that may also be a device or a pipe, which is written in place
STREAMS = ("output",)


def check_places(options: argparse.Namespace) -> None:
    """Check the paths of a command before any work.

    Raises
    ------
    InputError
        When a file cannot be written, is also read, or is written twice.
    """
    written = list(_named(options, WRITTEN))
    for name, label, path in written:
        if name not in STREAMS or _is_regular(path):
            try:
                check_place(path)
            except OSError as error:
                raise InputError(f"{label} {path}: {error.strerror or error}") from error
    seen: dict[Hashable, str] = {}
    for _, label, path in (*_named(options, READ), *_digits(options)):
        place = _standard_place(sys.stdin) if path == "-" else _place(path)
        if place is not None:
            seen.setdefault(place, label)
    for _, label, path in written:
        _enter(seen, _place(path), label, f"{label} {path}")
    _enter(seen, _standard_place(sys.stdout), "standard output", "standard output")


def _named(options: argparse.Namespace, names: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, label in names.items():
        path = getattr(options, name, None)
        if path is not None:
            yield name, label, path


def _digits(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield the package's own data file, which is read if no FILE is named."""
    if getattr(options, "file", "") is None:
        path = os.path.join(os.path.dirname(data.__file__), "digits.npz")
        yield "file", "the file of the digits, which are read without FILE", path


def _enter(seen: dict[Hashable, str], place: Hashable, label: str, given: str) -> None:
    """Register a written file; raise InputError if another argument names the same one."""
    if place is None:
        return
    other = seen.setdefault(place, label)
    if other is not label:
        raise InputError(f"{given}: that is {other}, too; give each a file of its own")


def _is_regular(path: str) -> bool:
    """Return whether a path is, or would be, a regular file, not a device or pipe."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _place(path: str) -> Hashable:
    """Return a key that is equal for all paths of one file; None if it is not a regular file.

    The key is the file's device and inode number. For a file that does not exist yet, it is the
    folder's, with the name normalised and in lower case, since many file systems do not
    distinguish case or the encoding of accents.
    """
    target = os.path.realpath(path)
    with suppress(OSError):
        return _number(os.stat(target))
    folder, name = os.path.split(target)
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    with suppress(OSError):
        status = os.stat(folder)
        return status.st_dev, status.st_ino, name
    return folder, name


def _standard_place(stream: object) -> Hashable:
    """Return this key for the file to which standard input or output is redirected."""
    with suppress(
        OSError, ValueError, AttributeError
    ):  # replaced by an object without a file number
        return _number(os.fstat(stream.fileno()))  # type: ignore[attr-defined]
    return None


def _number(status: os.stat_result) -> Hashable:
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
