"""The command line's paths: what a command writes is none of what it reads or writes besides.

One function, called once for every command before any work is done. An option that names a file is
entered here, as what is read or what is written.
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
from fastgd.tables._csv import InputError

__all__ = ["READ", "WRITTEN", "check_places"]

#: the arguments that name files, and what messages call them
READ = {"file": "FILE", "model": "MODEL.npz"}
WRITTEN = {"save": "--save", "html": "--html", "output": "--output"}
#: those of them that may also be a device or a pipe, which are written in place
STREAMS = ("output",)


def check_places(options: argparse.Namespace) -> None:
    """Check the paths of a command before time is spent on what goes there.

    Raises
    ------
    InputError
        When a file can not be written, or is one that is read, or is written twice.
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
    """Yield the package's own data, which are read where no FILE is named."""
    if getattr(options, "file", "") is None:
        path = os.path.join(os.path.dirname(data.__file__), "digits.npz")
        yield "file", "the file of the digits, which are read without FILE", path


def _enter(seen: dict[Hashable, str], place: Hashable, label: str, given: str) -> None:
    """Enter a place that is written; InputError where something else is there."""
    if place is None:
        return
    other = seen.setdefault(place, label)
    if other is not label:
        raise InputError(f"{given}: that is {other}, too; give each a file of its own")


def _is_regular(path: str) -> bool:
    """Return whether a path is, or would be, a file, and no device or pipe."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _place(path: str) -> Hashable:
    """Return what is equal for two paths of one file; None for what is no file.

    That is the system's own number of a file, whatever links and names lead to it. Of one that is
    not there yet it is the folder's, with a name whose capitals and accents do not count: many
    systems do not tell them apart.
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
    """Return the same for the file that standard input or output was sent to."""
    with suppress(OSError, ValueError, AttributeError):  # replaced by something without a number
        return _number(os.fstat(stream.fileno()))  # type: ignore[attr-defined]
    return None


def _number(status: os.stat_result) -> Hashable:
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
