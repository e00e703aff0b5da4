"""Read CSV files into tables: named columns of text, with every cell unchanged.

For the meaning of columns in a model (numbers, categories, a target) see `_encoding`.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import itertools
import os
import re
import sys
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastgd._words import count

__all__ = ["MISSING", "InputError", "Table", "is_number", "read_csv"]

#: an array of strings of any length; short ones take 16 bytes per cell
Texts: TypeAlias = NDArray[Any]
#: the line numbers of some rows, and their cells column by column
Chunk: TypeAlias = tuple[list[int], list[Texts]]
TEXT = np.dtypes.StringDType()

#: cells that mean a missing value, besides an empty one
MISSING = ("NA", "N/A", "NaN", "nan", "NULL", "null", "?")
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
    b"PK\3\4": "a zip archive, as workbooks of Excel and saved models are: save the table as CSV",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel: save the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first, for example by unzstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"\0\0\0\0": "binary data, which begin with zeros: save the table as CSV",  # also /dev/zero
    b"PAR1": "a Parquet file: save the table as CSV, for example with pandas",
}
#: the first bytes of compressed files, and the standard library's modules to decompress them
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
ROWS_AT_ONCE = 8192


class InputError(ValueError):
    """A file or an option that cannot be used; the message is shown to the user."""


@dataclass(frozen=True)
class Table:
    """Named columns of text, and their source.

    Attributes
    ----------
    source : str
        The file's name, for messages.
    columns : dict of str to ndarray of StringDType
        The cells of each column, stripped of blanks; all columns have the same length.
    lines : ndarray of int
        The line of the file in which each row starts.
    decimal : str
        The decimal mark of its numbers.
    unnamed : int
        How many columns were dropped because they have no name.
    """

    source: str
    columns: dict[str, Texts]
    lines: NDArray[np.int64]
    decimal: str = "."
    unnamed: int = 0
    _numbers: dict[str, NDArray[np.float64] | None] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which cells of a column are empty or in `MISSING`."""
        texts = self.columns[name]
        mask: NDArray[np.bool_] = texts == ""
        for word in MISSING:
            mask |= texts == word
        return mask

    def numbers(self, name: str) -> NDArray[np.float64] | None:
        """Return a column's numbers, nan for missing ones, or None if a cell is not a number."""
        if name not in self._numbers:
            self._numbers[name] = self._parse(name)
        return self._numbers[name]

    def _parse(self, name: str) -> NDArray[np.float64] | None:
        missing = self.missing(name)
        texts = self.columns[name][~missing]
        if any(np.any(np.strings.find(texts, mark) >= 0) for mark in self._foreign):
            return None
        if self.decimal != ".":
            texts = np.strings.replace(texts, self.decimal, ".")
        values = np.full(len(self), np.nan)
        try:
            values[~missing] = texts.astype(np.float64)
        except ValueError:
            return None
        return values

    def first_non_number(self, name: str) -> int:
        """Return the first row whose cell is neither missing nor a number."""
        missing = self.missing(name).tolist()
        texts = self.columns[name].tolist()
        return next(
            row for row, text in enumerate(texts) if not missing[row] and not self.is_number(text)
        )

    def is_number(self, text: str) -> bool:
        """Return whether a cell is a number, with this table's decimal mark."""
        if any(mark in text for mark in self._foreign):
            return False
        return is_number(text.replace(self.decimal, "."))

    @property
    def _foreign(self) -> str:
        """The character that Python accepts in a number, but this table does not.

        With decimal commas a point separates thousands: 1.234 means 1,234.
        """
        return "_" if self.decimal == "." else "_."

    def plain(self, text: str) -> str | None:
        """Return a cell's number without other marks, or None if it is not a number.

        The marks are currency and percent signs, and separators between groups of three digits.
        """
        signs = (char for char in text if unicodedata.category(char) != "Sc" and char != "%")
        between = ",."[self.decimal == ","]
        kept = re.sub(rf"(?<=\d)[\s'\u2019{between}](?=\d{{3}}(?!\d))", "", "".join(signs)).strip()
        return kept if self.is_number(kept) else None

    def take(self, rows: NDArray[Any]) -> Table:
        """Return a table of some rows, given by a mask or by indices."""
        columns = {name: texts[rows] for name, texts in self.columns.items()}
        return Table(self.source, columns, self.lines[rows], self.decimal, self.unnamed)

    def where(self, name: str, row: int) -> str:
        """Return a cell's location, for messages."""
        return f"{self.source}, line {self.lines[row]}, column {name!r}"


def read_csv(
    path: str,
    *,
    delimiter: str | None = None,
    decimal: str = ".",
    encoding: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Table:
    """Read a CSV file with a header.

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
            names, chunks = _read(text, source, delimiter, on_rows or (lambda read: None))
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
    name = next((name for mark, name in PACKED.items() if head.startswith(mark)), None)
    if name is None:
        return file
    try:
        module = import_module(name)
    except ImportError as error:  # a Python built without this module
        raise InputError(f"{source} is compressed ({error}): unpack it first") from error
    return io.BufferedReader(module.open(file, "rb"))


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
    text: io.TextIOWrapper, source: str, delimiter: str | None, on_rows: Callable[[int], None]
) -> tuple[list[str], list[Chunk]]:
    """Read the columns' names and all rows."""
    blank, first = next(
        ((number, line) for number, line in enumerate(text) if line.strip()), (0, "")
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


def is_number(text: str) -> bool:
    """Return whether a text is a number with a decimal point."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number


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
                    f"names {count(len(names), 'column')}; {title}mend the line, or give the "
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
