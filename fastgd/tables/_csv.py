"""Read CSV files into tables: named columns of text, with every cell unchanged.

For tables see `_table`, for frames of other libraries `_frames`.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import itertools
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from fastgd._words import count
from fastgd.tables._table import TEXT, InputError, Table, Texts, is_number

__all__ = ["read_csv"]

#: the line numbers of some rows, and their cells column by column
Chunk: TypeAlias = tuple[list[int], list[Texts]]

DELIMITERS = (",", ";", "\t", "|")
#: byte-order marks, UTF-32 first: its mark starts with that of UTF-16
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: the first bytes of files that are not text, what these are, and what to do
NO_TEXT = {
    b"PK\3\4": "a zip archive without a .csv, as workbooks of Excel and saved models are: save the "
    "table as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel: save the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first, for example by unzstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"\0\0\0\0": "binary data, which begin with zeros: save the table as CSV",  # also /dev/zero
    b"PAR1": "a Parquet file: save the table as CSV, for example with pandas",
}
ZIP = b"PK\3\4"
#: the names of tables in a zip archive end so
TABLES = (".csv", ".tsv", ".txt")
#: the first bytes of compressed files, and the standard library's modules to decompress them
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
ROWS_AT_ONCE = 8192


def read_csv(
    path: str,
    *,
    delimiter: str | None = None,
    decimal: str = ".",
    encoding: str | None = None,
    skip_lines: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> Table:
    """Read a CSV file with a header, plain or compressed (gzip, bzip2, xz, zip).

    Parameters
    ----------
    path : str
        The file; "-" is standard input.
    delimiter : str, optional
        The separator of cells; by default the one of comma, semicolon, tab and bar that occurs
        most often in the header.
    decimal : str
        The decimal mark of the file's numbers.
    encoding : str, optional
        By default UTF-8. A byte-order mark of UTF-8, UTF-16 or UTF-32 takes precedence.
    skip_lines : int
        How many lines to leave out above the header.
    on_rows : callable, optional
        Called from time to time with the number of rows read so far.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        When there is no such file, or it is not a table with a header; names the line.
    """
    source = "standard input" if path == "-" else path
    if path == "-" and sys.stdin is None:
        raise InputError("standard input is closed: name a file, or pipe one in")
    if encoding is not None:
        _check_encoding(encoding)
    try:
        with sys.stdin.buffer if path == "-" else open(path, "rb") as file:
            stream = _unpacked(file, source)
            head = stream.peek(6)
            for mark, what in NO_TEXT.items():
                if head.startswith(mark):
                    raise InputError(f"{source} is not text but {what}")
            found = (name for mark, name in MARKS.items() if head.startswith(mark))
            encoding = next(found, encoding or "utf-8")
            text = io.TextIOWrapper(stream, encoding=encoding, newline="")
            for _ in range(skip_lines):
                text.readline()
            names, chunks = _read(
                text, source, delimiter, skip_lines, on_rows or (lambda read: None)
            )
    except FileNotFoundError as error:
        raise InputError(f"{source}: {error.strerror or error}{_near_file(path)}") from error
    except (OSError, EOFError, zlib.error) as error:  # the last two come from compressed files
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source}: {said}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{source} is not {error.encoding.upper()} text (it has the byte "
            f"0x{error.object[error.start]:02x}); save it as UTF-8, or name its encoding, for "
            "example --encoding cp1252"
        ) from error
    except UnicodeError as error:  # from multi-byte encodings
        raise InputError(f"{source} cannot be read with --encoding {encoding}: {error}") from error
    return _assemble(chunks, names, source, decimal)


def _unpacked(file: Any, source: str) -> Any:
    """Return a file's content, decompressed if it is compressed."""
    head = file.peek(6)
    if head.startswith(ZIP):
        return _unzipped(file, source)
    name = next((name for mark, name in PACKED.items() if head.startswith(mark)), None)
    if name is None:
        return file
    try:
        module = import_module(name)
    except ImportError as error:  # a Python built without this module
        raise InputError(f"{source} is compressed ({error}): unpack it first") from error
    return io.BufferedReader(module.open(file, "rb"))


def _unzipped(file: Any, source: str) -> Any:
    """Return the only table in a zip archive; the archive itself if it has none, or several."""
    import zipfile

    whole = io.BytesIO(file.read())
    try:
        archive = zipfile.ZipFile(whole)
        tables = [name for name in archive.namelist() if name.lower().endswith(TABLES)]
        if len(tables) == 1:
            return io.BufferedReader(archive.open(tables[0]))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        # damaged, compressed in a way that zipfile does not know, or encrypted
        tables = []
    if tables:
        raise InputError(
            f"{source} holds {len(tables)} tables ({', '.join(tables[:3])}, ...): unpack it, and "
            "name one of them"
        )
    whole.seek(0)
    return io.BufferedReader(whole)


def _check_encoding(name: str) -> None:
    """Refuse an unknown encoding, or one that does not decode bytes to text."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{name!r} is not a text encoding that Python knows, such as utf-8, utf-16, cp1252 "
            "and shift_jis"
        ) from error


def _near_file(path: str) -> str:
    """Return a suggestion for a missing file: one with a similar name; empty if there is none.

    Names are compared without extensions, which most files of a folder share.
    """
    folder, name = os.path.split(path)
    try:
        files = {os.path.splitext(file)[0].lower(): file for file in os.listdir(folder or ".")}
    except OSError:
        return ""
    near = difflib.get_close_matches(os.path.splitext(name)[0].lower(), files, 1, cutoff=0.75)
    return f": did you mean {os.path.join(folder, files[near[0]])}?" if near else ""


def _read(
    text: io.TextIOWrapper,
    source: str,
    delimiter: str | None,
    skipped: int,
    on_rows: Callable[[int], None],
) -> tuple[list[str], list[Chunk]]:
    """Read the columns' names and all rows."""
    blank, first = next(
        ((number, line) for number, line in enumerate(text, skipped) if line.strip()), (0, "")
    )
    if not first:
        raise InputError(f"{source} is empty; it needs a header line and rows below it")
    if "\0" in first:
        raise InputError(
            f"{source} is not {text.encoding} text (it has a byte 0); if it is a table of text, "
            f"name its encoding, for example --encoding {_wide_encoding(first)}"
        )
    if delimiter is None:
        delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(itertools.chain([first], text), delimiter=delimiter, strict=True)
    chunks: list[Chunk] = []
    read = 0
    try:
        names = _header(next(reader), source)
        for chunk in _chunks(reader, names, source, blank):
            chunks.append(chunk)
            read += len(chunk[0])
            on_rows(read)
    except csv.Error as error:
        raise InputError(
            f"{source}, line {reader.line_num + blank}: {error}; are all quotes in pairs?"
        ) from error
    if not chunks:
        raise InputError(f"{source}, read as {text.encoding}, has a header but no rows")
    return names, chunks


def _wide_encoding(line: str) -> str:
    """Return the probable encoding of a line that was read as one byte per character."""
    width = 32 if "\0\0" in line else 16
    return f"utf-{width}-be" if line.startswith("\0") else f"utf-{width}-le"


def _header(cells: Sequence[str], source: str) -> list[str]:
    """Return the checked names of the columns."""
    names = [cell.strip() for cell in cells]
    if all(is_number(name) for name in names):
        raise InputError(
            f"{source}: the first line must hold the columns' names, but it begins with "
            f"{', '.join(names[:3])}; add a header line"
        )
    if not any(names):
        raise InputError(
            f"{source}: the first line must hold the columns' names, but it has none: remove the "
            "lines above the names"
        )
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise InputError(f"{source}: two columns are named {name!r}; give each its own name")
        seen.add(name)
    return names


def _chunks(reader: Any, names: Sequence[str], source: str, blank: int) -> Iterator[Chunk]:
    """Yield some thousand rows at a time: their line numbers, and an array of text per column."""
    lines: list[int] = []
    rows: list[list[str]] = []
    line = reader.line_num + blank
    for cells in reader:
        if cells:  # skip blank lines
            if len(cells) != len(names):
                title = "remove a title above the header, " if len(names) == 1 else ""
                raise InputError(
                    f"{source}, line {line + 1} has {count(len(cells), 'cell')}, but the header "
                    f"names {count(len(names), 'column')}; {title}correct the line, or give the "
                    "--delimiter"
                )
            lines.append(line + 1)
            rows.append(cells)
        line = reader.line_num + blank
        if len(rows) == ROWS_AT_ONCE:
            yield lines, _columns(rows)
            lines, rows = [], []
    if rows:
        yield lines, _columns(rows)


def _columns(rows: Sequence[Sequence[str]]) -> list[Texts]:
    return [np.strings.strip(np.array(cells, dtype=TEXT)) for cells in zip(*rows, strict=True)]


def _assemble(
    chunks: Sequence[Chunk],
    names: Sequence[str],
    source: str,
    decimal: str,
) -> Table:
    """Join the chunks; drop columns without a name, such as pandas' index."""
    columns = {
        name: np.concatenate([texts[i] for _, texts in chunks])
        for i, name in enumerate(names)
        if name
    }
    lines = np.concatenate([lines for lines, _ in chunks])
    return Table(source, columns, lines, decimal, len(names) - len(columns))
