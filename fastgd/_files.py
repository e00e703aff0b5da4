"""The file format: NumPy's npz without pickle, written completely or not at all.

The entry "fastgd" is a JSON text: the format's version, the kind of file, and everything that is
not an array. Each array is an entry of its own. Files of later format versions are refused;
unknown entries are ignored, so that other code may add its own. A file has the lowest version that
can hold its entries, so that earlier versions of fastgd read what they understand.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from fastgd import _words
from fastgd._writing import replacing

if TYPE_CHECKING:
    from fastgd._archive import Archive

__all__ = [
    "FORMAT",
    "Contents",
    "RefusedError",
    "opened",
    "write",
]

FORMAT = 2
#: the format that introduced an entry without which a file means something else; others are 1
NEEDED = {"inputs": 2}
HEADER = "fastgd"


def write(path: str | os.PathLike[str], kind: str, entries: Mapping[str, Any]) -> None:
    """Write entries, arrays and JSON values alike, to path in one move."""
    import json  # only needed for saving

    arrays = {name: value for name, value in entries.items() if isinstance(value, np.ndarray)}
    header = {name: value for name, value in entries.items() if name not in arrays}
    version = max(NEEDED.get(name, 1) for name in ("", *entries))
    arrays[HEADER] = np.array(json.dumps(header | {"format": version, "kind": kind}))
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


class RefusedError(ValueError):
    """A file that is refused though it is not damaged; the message is complete."""


class Contents:
    """The contents of an open file.

    Attributes
    ----------
    path : str or bytes
        The file's name, for messages.
    header : dict
        Everything that is not an array.
    arrays : Archive
        The arrays, each read on request.
    """

    def __init__(self, file: IO[bytes], path: str | bytes) -> None:
        import json  # only needed for loading

        from fastgd._archive import Archive

        self.path = path
        self.arrays: Archive = Archive(file)
        if HEADER not in self.arrays:
            raise ValueError("it has no fastgd header")
        header = json.loads(self.arrays.text(HEADER))
        found = header.get("format") if isinstance(header, dict) else None
        if type(found) is not int or found < 1:
            raise ValueError("its header is damaged")
        if found > FORMAT:
            raise RefusedError(
                f"{path!r} has format {_words.show(found)}, but this version of fastgd reads "
                f"formats up to {FORMAT}: install a newer one"
            )
        self.header: dict[str, Any] = header


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Contents]:
    """Open a file for reading.

    Anything that a damaged or hostile file makes Python raise, here or in the with block,
    becomes a ValueError that names the file.
    """
    name = os.fspath(path)
    with _open_regular(name) as file:
        try:
            yield Contents(file, name)
        except RefusedError:
            raise
        except MemoryError as error:
            raise ValueError(
                f"{name!r} does not fit into memory ({error}): load it where there is more"
            ) from error
        except Exception as error:
            raise ValueError(
                f"{name!r} is damaged or was not written by fastgd: {_reason(error)}. Use another "
                "copy of the file, or save it again"
            ) from error


def _open_regular(name: str | bytes) -> IO[bytes]:
    """Open a regular file, and refuse devices and pipes: they may block or never end."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(name, flags)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder: give a file's name", name)
    raise RefusedError(
        f"{name!r} is a device or a pipe: save what it holds to a file, and load that"
    )


def _reason(error: Exception) -> str:
    """Return an exception's message as one printable line, whatever the file put into it."""
    text = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    line = " ".join(text.split()) or f"it raises {type(error).__name__}"
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    return shown if len(shown) <= 400 else shown[:397] + "..."
