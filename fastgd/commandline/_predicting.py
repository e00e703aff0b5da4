"""`fastgd predict`: a saved model's predictions for the rows of a file."""

from __future__ import annotations

import argparse
import csv
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd._loading import load
from fastgd._visible import visible
from fastgd._words import count
from fastgd.commandline._output import open_output, read
from fastgd.table_model import TableModel
from fastgd.tables._encoding import require_columns, split_names
from fastgd.tables._gaps import find_gaps
from fastgd.tables._table import InputError, is_number
from fastgd.tables._targets import ClassTarget, NumbersTarget, Target

__all__ = ["predict"]

FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


def predict(options: argparse.Namespace) -> int:
    """Write predictions; return the exit code."""
    model = _load(options.model)
    encoding = model.encoding
    if options.probabilities and not isinstance(encoding.target, ClassTarget):
        raise InputError(f"--probabilities: {options.model!r} predicts numbers, not classes")
    table = read(options)
    require_columns(table, encoding.names, "which the model was trained on", encoding)
    keep = split_names(table, options.keep)
    require_columns(table, keep, "which --keep names")
    gaps = find_gaps(table, encoding.gapless)
    if gaps and options.missing == "error":
        raise InputError(
            f"{gaps}. Fill them in, or give --missing empty to leave such predictions empty"
        )
    complete = gaps.complete
    heads = _heads(encoding.target, options.probabilities)
    rows = [[""] * len(heads) for _ in range(len(table))]
    if complete.any():
        outputs = model.network.predict(encoding.features(table.take(complete), options.unknown))
        found = _cells(encoding.target, outputs, options)
        for i, row in zip(np.flatnonzero(complete).tolist(), found, strict=True):
            rows[i] = row
    kept = [table.texts(name).tolist() for name in keep]
    with open_output("--output", options.output) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*keep, *heads])
        writer.writerows([*(texts[i] for texts in kept), *row] for i, row in enumerate(rows))
    if options.output is not None:
        print(f"Wrote {count(len(rows), 'prediction')} to {visible(options.output)}.")
    return 0


def _heads(target: Target, probabilities: bool) -> list[str]:
    """Return the names of the columns to write."""
    if isinstance(target, NumbersTarget):
        return [f"prediction of {name}" for name in target.names]
    heads = ["prediction"]
    if probabilities and isinstance(target, ClassTarget):
        heads += [f"probability of {name}" for name in target.classes]
    return heads


def _cells(target: Target, outputs: NDArray[Any], options: argparse.Namespace) -> list[list[str]]:
    """Return each row's cells."""
    if isinstance(target, NumbersTarget):
        return target.decode(outputs)
    shown = _quoted if options.quote_formulas else str
    found = [[shown(text)] for text in target.decode(outputs)]
    if options.probabilities:
        for row, chances in zip(found, outputs.tolist(), strict=True):
            row += [f"{chance:.6g}" for chance in chances]
    return found


def _load(path: str) -> TableModel:
    """Read a file that --save wrote."""
    if Path(path).is_file() and not zipfile.is_zipfile(path):
        raise InputError(f"{path!r} is not a model: give first the file that --save has written")
    try:
        model = load(path)
    except FileNotFoundError as error:
        raise InputError(f"there is no model {path!r}") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"the model {path!r}: {error.strerror or error}") from error
    if not isinstance(model, TableModel):
        raise InputError(
            f"{path!r} holds a network without the columns it reads: only what `fastgd FILE "
            "--save` or TableModel.save wrote can predict a file (in Python: fastgd.load)"
        )
    return model


def _quoted(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    The first characters of formulas are those of OWASP's page on CSV injection; numbers stay
    unchanged.
    """
    return f"'{text}" if text.startswith(FORMULA_MARKS) and not is_number(text) else text
