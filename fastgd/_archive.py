"""Read NumPy's npz files without trusting what they declare.

Only requested entries are read. The type and size that an entry declares are checked before memory
is allocated, against the expected ones and the size of the file. (`numpy.load` evaluates an entry's
header as Python, and allocates whatever it declares.)

This module may raise any exception, since zipfile does not document all of its own:
`_files.opened` turns each into a ValueError.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from fastgd._typing import AnyArray

__all__ = ["FLOATS", "INDICES", "NUMBERS", "Archive"]

#: array types, without byte order
FLOATS = ("f4", "f8")
INDICES = ("u4", "i8")
NUMBERS = (*FLOATS, "f2", "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")

#: the most bytes that one byte can expand to: deflate codes 258 bytes in 2 bits
MOST_EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
LONGEST_PACKED_TEXT = 1 << 24  # bytes; uncompressed text may be as long as the file
BLOCK = 1 << 20  # bytes to read at a time
#: an entry's header as numpy.save writes it for arrays of numbers or text
HEADER = re.compile(
    rb"\{'descr': '([<>|=]?)([a-zA-Z]\d{1,18})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,20}, )*(?:\d{1,20},?)?)\), \} *\n"
)


@dataclass(frozen=True)
class _Entry:
    """The type and shape that an entry declares, and a stream of its data."""

    order: str
    kind: str
    fortran: bool
    shape: tuple[int, ...]
    n_bytes: int
    packed: bool
    stream: IO[bytes]


class Archive:
    """An npz file that is open for reading.

    Parameters
    ----------
    file : binary file
        Open, and seekable.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._size = os.fstat(file.fileno()).st_size
        self._zip = zipfile.ZipFile(file)
        self._names = frozenset(self._zip.namelist())

    def __contains__(self, name: str) -> bool:
        return f"{name}.npy" in self._names

    def text(self, name: str) -> str:
        """Return an entry that holds one text."""
        with self._open(name) as entry:
            if entry.kind[0] != "U" or entry.shape or int(entry.kind[1:]) * 4 != entry.n_bytes:
                raise ValueError(f"its entry {name!r} is not text")
            if entry.packed and entry.n_bytes > LONGEST_PACKED_TEXT:
                raise ValueError(f"its entry {name!r} is a text of {entry.n_bytes} bytes")
            data = np.empty(entry.n_bytes, np.uint8)
            _fill(data, entry.stream)
        encoding = "utf-32-be" if entry.order == ">" else "utf-32-le"
        return data.tobytes().decode(encoding).rstrip("\0")

    def array(
        self, name: str, kinds: Collection[str], shape: Sequence[int | None] | None = None
    ) -> AnyArray:
        """Return an entry that holds an array.

        Parameters
        ----------
        name : str
            The entry's name.
        kinds : collection of str
            The allowed types, such as `FLOATS`.
        shape : sequence of int or None, optional
            The required shape; None stands for any length, or for any shape.
        """
        with self._open(name) as entry:
            if entry.kind not in kinds or not _fits(entry.shape, shape):
                expected = "any shape" if shape is None else f"shape {_show(shape)}"
                raise ValueError(
                    f"its entry {name!r} has shape {_show(entry.shape)} and type {entry.kind}, "
                    f"but must have {expected} and type {' or '.join(kinds)}"
                )
            dtype = np.dtype(entry.order + entry.kind)
            count = math.prod(entry.shape)
            if count * dtype.itemsize != entry.n_bytes:
                raise ValueError(
                    f"its entry {name!r} declares {count} numbers, but has {entry.n_bytes} bytes"
                )
            flat = np.empty(count, dtype)
            _fill(flat.view(np.uint8), entry.stream)
        native: AnyArray = flat.astype(dtype.newbyteorder("="), copy=False)
        return native.reshape(entry.shape, order="F" if entry.fortran else "C")

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[_Entry]:
        """Open an entry, after checking that its declared size is possible."""
        if name not in self:
            raise ValueError(f"it has no entry {name!r}")
        info = self._zip.getinfo(f"{name}.npy")
        if info.compress_type not in MOST_EXPANSION:
            raise ValueError(f"its entry {name!r} is compressed in a way that fastgd does not read")
        most = MOST_EXPANSION[info.compress_type] * min(info.compress_size, self._size)
        if info.file_size > most:
            raise ValueError(
                f"its entry {name!r} declares {info.file_size} bytes, more than the file can hold"
            )
        with self._zip.open(info) as stream:
            start = stream.read(10)
            if start[:8] != b"\x93NUMPY\1\0" or len(start) < 10:
                raise ValueError(f"its entry {name!r} is not an array")
            header = stream.read(int.from_bytes(start[8:], "little"))
            match = HEADER.fullmatch(header)
            if match is None:
                raise ValueError(f"its entry {name!r} is not an array of numbers or text")
            order, kind, fortran, shape = (part.decode("ascii") for part in match.groups())
            yield _Entry(
                order,
                kind,
                fortran == "True",
                tuple(int(length) for length in re.findall(r"\d+", shape)),
                info.file_size - len(start) - len(header),
                info.compress_type != zipfile.ZIP_STORED,
                stream,
            )


def _fits(shape: tuple[int, ...], expected: Sequence[int | None] | None) -> bool:
    if expected is None:
        return True
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(want in (None, have) for have, want in pairs)


def _show(shape: Sequence[int | None]) -> str:
    """Return a shape for a message, with n for any length."""
    lengths = ["n" if length is None else str(length) for length in shape]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


def _fill(data: Any, stream: IO[bytes]) -> None:
    """Fill data from the stream; reading to its end makes zipfile verify the checksum."""
    view = memoryview(data)
    at = 0
    while at < len(view):
        part = stream.read(min(BLOCK, len(view) - at))
        if not part:
            raise ValueError("it ends too early")
        view[at : at + len(part)] = part
        at += len(part)
    if stream.read(1):
        raise ValueError("it holds more than it declares")
