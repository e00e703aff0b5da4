"""The command line.

`python -m fastgd` trains one model from one start at several batch sizes and compares them in a
table and, with `--html`, on a page. `python -m fastgd predict` uses a saved model. For options see
`_options`, for the output `_report` and `_page`, for the work `comparison`, `_problem` and
`tables`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import shlex
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fastgd import _files, backends
from fastgd._columns import fill
from fastgd._interruption import INTERRUPTED, raise_again
from fastgd._visible import Visible, visible
from fastgd._words import count
from fastgd._writing import replacing
from fastgd.commandline._options import predict_parser, train_parser
from fastgd.commandline._places import check_places
from fastgd.commandline._problem import Problem, StepSizeRule, split
from fastgd.commandline._report import Progress, about_noise, explain, table_columns
from fastgd.comparison import Comparison
from fastgd.comparison._compare import compare_starts
from fastgd.data import load_digits
from fastgd.history import History
from fastgd.network import Network, network_entries, read_network
from fastgd.optimizers import SGD
from fastgd.tables._csv import InputError, Table, is_number, read_csv
from fastgd.tables._encoding import (
    Encoding,
    NumberTarget,
    guess_task,
    header_doubt,
    learn_encoding,
    nearly_numbers,
    require_columns,
    shorten,
    split_names,
)
from fastgd.tables._gaps import find_gaps

__all__ = ["main"]


FEWEST_ROWS = 10
#: seeds are added up to this many row gradients times inputs times units, about a second's work
MOST_WORK = 1_000_000_000
#: what an update costs besides, in the same unit
OVERHEAD = 500
#: where every learning rate diverged, try rates lower by this factor, this many times
LOWER = 64
MOST_LOWERED = 3
FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments after the program's name; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        0 done, 1 every run diverged, 2 wrong options or files, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    raise_again()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as by >&- in a shell
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        if words[:1] == ["predict"]:
            work, options = _predict, predict_parser().parse_args(words[1:])
        else:
            work, options = _train, train_parser().parse_args(words[words[:1] == ["compare"] :])
            options.words, options.command = words, shlex.join(["fastgd", *words])
        check_places(options)
        code = work(options)
        sys.stdout.flush()
        return code
    except InputError as error:
        return _complain(str(error))
    except ImportError as error:
        if "FASTGD_ISA" not in str(error):
            raise
        return _complain(str(error))
    except MemoryError as error:
        return _complain(f"not enough memory: {error}")
    except KeyboardInterrupt:
        print("fastgd: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        _forget_output()
        return 0
    except UnicodeEncodeError as error:
        return _complain(
            f"standard output is {error.encoding}, which cannot write "
            f"{error.object[error.start]!r}: set PYTHONIOENCODING=utf-8"
        )
    except OSError as error:
        _forget_output()
        return _complain(f"standard output: {error.strerror or error}")


def _complain(text: str) -> int:
    """Print an error, on one line; return its exit code."""
    print(f"fastgd: error: {visible(text)}", file=sys.stderr)
    return 2


def _say(*paragraphs: str) -> None:
    """Print paragraphs of text, which may contain names from files."""
    print(*(fill(visible(text)) for text in paragraphs), sep="\n", flush=True)


def _forget_output() -> None:
    """Discard buffered output, so that flushing at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclass(frozen=True)
class _Task:
    """A table and what to learn from it: as text, and encoded."""

    title: str
    about: list[str]
    table: Table
    encoding: Encoding


def _train(options: argparse.Namespace) -> int:
    """Compare batch sizes; return the exit code."""
    if options.html is not None:
        _check_pictures()
    backends.load(options.backend)  # fail before reading anything if it cannot run
    task = _user_task(options) if options.file is not None else _digits_task(options)
    problem = _make_problem(task, options)
    tried = _check_learning_rates(
        options.learning_rate, _batch_sizes(options.batch_size, len(problem.rows)), problem
    )
    first, *others = task.about
    print(visible(first), *(fill(visible(text)) for text in others), sep="\n")
    print(_about_model(problem), "", sep="\n", flush=True)
    result = _run_all(problem, tried, options)
    columns, advice, notes = table_columns(problem), result.advice(), explain(problem, result)
    print(result.text_table(columns), "", sep="\n")
    _say(*advice, *notes)
    if options.save is not None:
        _save(options.save, task.encoding, result)
    if options.html is not None:
        _write_page(
            options.html,
            result,
            title=f"Batch sizes compared: {task.title}",
            about=[*task.about, _about_model(problem)],
            columns=columns,
            command=options.command,
            advice=advice,
            notes=[*notes, *about_noise(problem, result)],
        )
    print(f"Next: {visible(_next_command(result, options))}")
    return int(result.decision.lowest is None)


def _make_problem(task: _Task, options: argparse.Namespace) -> Problem:
    """Split the rows once for each seed, and draw the initial networks."""
    n = len(task.table)
    seeds = options.seeds
    if seeds is None:
        units = task.encoding.n_features * sum(options.hidden or [1])
        seeds = int(np.clip(MOST_WORK // (n * options.epochs * (units + OVERHEAD)), 3, 9))
    splits = [split(n, options.validation, options.seed + k) for k in range(seeds)]
    return Problem.make(task.table, task.encoding, splits, options.hidden, options.seed)


def _check_pictures() -> None:
    from fastgd.commandline._page import require_pictures  # only for --html

    try:
        require_pictures()
    except ImportError as error:
        raise InputError(f"--html: {error}") from error


def _digits_task(options: argparse.Namespace) -> _Task:
    """Return the task for the package's own data."""
    if options.target not in (None, "digit"):
        raise InputError("--target needs a FILE before it; without one the target is 'digit'")
    images, labels = load_digits()
    columns = {f"pixel {i // 8},{i % 8}": images[:, i] for i in range(64)} | {"digit": labels}
    text = np.dtypes.StringDType()
    table = Table(
        "digits",
        {name: values.astype(np.int64).astype(text) for name, values in columns.items()},
        np.arange(len(labels)),
    )
    title = "Handwritten digits, 8 x 8 pixels (Alpaydin & Kaynak 1998, UCI repository, CC BY 4.0)"
    options.target, options.task = "digit", options.task or "classification"
    _name_columns(table, options)
    return _make_task(title, table, options)


def _user_task(options: argparse.Namespace) -> _Task:
    """Return the task for a user's file."""
    table = _read(options)
    if options.target is None:
        raise InputError(
            "--target is missing: it names the column to predict, one of "
            f"{shorten(table.columns)}{header_doubt(table)}"
        )
    require_columns(table, [options.target], "which --target names")
    _name_columns(table, options)
    used = [name for name in table.columns if name not in options.ignore]
    gaps = find_gaps(table, used)
    gaps.require_values(options.target)
    title = f"{table.source}: {count(len(table), 'row')}"
    if gaps and options.missing == "error":
        rows = "leave such rows out with --missing drop"
        if [gap.name for gap in gaps.columns] == [options.target]:
            raise InputError(f"{gaps}. Mend the file, or {rows}")
        raise InputError(f"{gaps}. Mend the file, {rows}, or such columns with --ignore")
    if gaps:
        table = table.take(gaps.complete)
        title += f", {gaps.n_rows:,} of them with missing values dropped, {gaps.most}"
        if len(table) < FEWEST_ROWS:
            raise InputError(f"{title}: {_too_few(len(table))}")
    return _make_task(title, table, options)


def _name_columns(table: Table, options: argparse.Namespace) -> None:
    """Replace the texts of --ignore and --categorical by lists of columns without overlap."""
    for name in ("ignore", "categorical"):
        columns = split_names(table, getattr(options, name))
        require_columns(table, columns, f"which --{name} names")
        setattr(options, name, columns)
    target = options.target
    if target in options.ignore:
        raise InputError(f"--target {target} is also in --ignore: name it in one of them")
    if target in options.categorical:
        raise InputError(
            f"--categorical {target}: that is the target; --task classification says that it "
            "holds classes"
        )
    if both := [name for name in options.ignore if name in options.categorical]:
        raise InputError(f"{both[0]!r} is in --ignore and in --categorical: name it in one of them")


def _too_few(n: int) -> str:
    return f"{count(n, 'usable row')}, but to train and to measure takes at least {FEWEST_ROWS}"


def _make_task(title: str, table: Table, options: argparse.Namespace) -> _Task:
    """Split the rows, and learn the encoding from the training rows."""
    if len(table) < FEWEST_ROWS:
        raise InputError(f"{table.source}: {_too_few(len(table))}")
    name, why = options.task, "as --task says"
    if name is None:
        name, why = guess_task(table, options.target)
        why = f"{why}; --task changes it"
    about = [title]
    if options.file is not None:
        about.append(f"Target: {options.target} ({name}: {why})")
    train, _ = split(len(table), options.validation, options.seed)
    encoding = learn_encoding(
        table,
        options.target,
        name,
        train,
        categorical=options.categorical,
        ignore=options.ignore,
        max_categories=options.max_categories,
    )
    if options.file is not None:
        about.append(f"Inputs: {encoding.describe()}")
        about += nearly_numbers(table, encoding, options.categorical)
    name = (
        "handwritten digits"
        if options.file is None
        else f"{options.target} in {Path(table.source).name}"
    )
    return _Task(name, about, table, encoding)


def _read(options: argparse.Namespace) -> Table:
    progress = Progress(sys.stderr)
    try:
        return read_csv(
            options.file,
            delimiter=options.delimiter,
            decimal=options.decimal,
            encoding=options.encoding,
            on_rows=lambda count: progress.show(f"Reading {options.file}: {count:,} rows"),
        )
    finally:
        progress.clear()


def _batch_sizes(requested: list[int | None] | None, n: int) -> list[int]:
    """Return the batch sizes as numbers, at most the number of rows."""
    return [n if size is None else min(size, n) for size in requested or (1, 32, None)]


def _check_learning_rates(
    requested: list[float] | None, sizes: list[int], problem: Problem
) -> dict[int, list[float]]:
    """Return the learning rates to try for each batch size; a repeated batch size merges them."""
    if requested is None:
        rule = StepSizeRule(problem.start, problem.X[problem.rows])
        return {size: rule(size) for size in sizes}
    if len(requested) not in (1, len(sizes)):
        raise InputError(
            f"--learning-rate has {count(len(requested), 'number')} for "
            f"{count(len(sizes), 'batch size')}: give one for all, or one for each"
        )
    tried: dict[int, list[float]] = {}
    for size, rate in zip(
        sizes, requested * (len(sizes) if len(requested) == 1 else 1), strict=True
    ):
        rates = tried.setdefault(size, [])
        if rate not in rates:
            rates.append(rate)
    return tried


def _about_model(problem: Problem) -> str:
    layers = "-".join(str(size) for size in problem.start.sizes)
    kind = "relu network" if problem.start.hidden else "linear model"
    return (
        f"{len(problem.rows):,} rows train, {len(problem.y_valid):,} validate. "
        f"Model: {layers} {kind}, {count(len(problem.starts), 'seed')}."
    )


def _run_all(
    problem: Problem, tried: dict[int, list[float]], options: argparse.Namespace
) -> Comparison:
    """Train at each batch size, and show the progress."""
    progress = Progress(sys.stderr)
    parts: list[Comparison] = []
    try:
        for place, (size, rates) in enumerate(tried.items()):
            span = place / len(tried), 1 / len(tried)
            part = _run_one(problem, size, rates, options, progress, span)
            for _ in range(MOST_LOWERED if options.learning_rate is None else 0):
                if part.trained:
                    break
                rates = [rate / LOWER for rate in rates]
                part = _run_one(problem, size, rates, options, progress, span)
            parts.append(part)
    finally:
        progress.clear()
    return Comparison.join(parts)


def _run_one(
    problem: Problem,
    size: int,
    rates: list[float],
    options: argparse.Namespace,
    progress: Progress,
    span: tuple[float, float],
) -> Comparison:
    """Train at one batch size, with each of the learning rates and then with each seed.

    The span is the start and the length of this part of the work, as shares of the whole.
    """
    runs: list[History] = []
    total = len(rates) + len(problem.starts) - 1

    def on_epoch(net: Network, history: History) -> None:
        if not runs or runs[-1] is not history:
            runs.append(history)
        done = min(len(runs) - 1 + history.epochs / options.epochs, total)
        assert history.optimizer is not None
        progress.show(
            f"batch size {size:,}, rate {history.optimizer.learning_rate:.2g}: epoch "
            f"{history.epochs} of {options.epochs}, loss {history.loss[-1]:.4f}",
            span[0] + done / total * span[1],
        )

    progress.show(f"batch size {size:,}", span[0])
    return compare_starts(
        problem.starts,
        problem.X,
        problem.y,
        [size],
        epochs=options.epochs,
        optimizer=[SGD(rate) for rate in rates],
        goal=options.goal,
        n_threads=options.threads,
        side_by_side=False,  # so that each run's seconds are for the machine to itself
        settings={"callbacks": [on_epoch], "backend": options.backend},
    )


def _next_command(result: Comparison, options: argparse.Namespace) -> str:
    """Return the command to type next."""
    best = result.best or result.decision.lowest
    if best is not None and options.save is not None:
        return shlex.join(["fastgd", "predict", options.save, "NEW.csv"])
    words = _without(options.words, ("--batch-size", "--learning-rate", "--save", "--html"))
    if best is None:
        lowest = min(entry.optimizer.learning_rate for entry in result)
        return shlex.join(["fastgd", *words, "--learning-rate", f"{lowest / LOWER:.1g}"])
    rate = f"{best.optimizer.learning_rate:.6g}"
    chosen = ["--batch-size", str(best.batch_size), "--learning-rate", rate]
    return shlex.join(["fastgd", *words, *chosen, "--save", "MODEL.npz"])


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return a command's words without some options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word.split("=")[0] not in options:
            kept.append(word)
        skip = not skip and word in options
    return kept


def _save(path: str, encoding: Encoding, result: Comparison) -> None:
    """Write the best network, with the encoding of its columns."""
    best = result.best or result.decision.lowest
    if best is None:
        print(f"fastgd: every run diverged, so {visible(path)} was not written", file=sys.stderr)
        return
    entries = network_entries(best.net) | {"table": encoding.to_fields()}
    try:
        _files.write(path, "model", entries)
    except OSError as error:
        raise InputError(f"--save {path}: {error.strerror or error}") from error
    print(f"Saved the model of batch size {best.batch_size:,} to {visible(path)}.")


def _write_page(path: str, result: Comparison, **texts: Any) -> None:
    """Write the comparison as a page."""
    from fastgd.commandline._page import page  # only for --html

    text = page(result, **texts)
    with _output("--html", path) as stream:
        stream.write(text)
    print(f"Wrote the page {visible(path)}.")


def _load(path: str) -> tuple[Network, Encoding]:
    """Read a file that `_save` wrote."""
    if Path(path).is_file() and not zipfile.is_zipfile(path):
        raise InputError(f"{path!r} is not a model: give first the file that --save has written")
    try:
        with _files.opened(path) as file:
            net = read_network(file)
    except FileNotFoundError as error:
        raise InputError(f"there is no model {path!r}") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"the model {path!r}: {error.strerror or error}") from error
    fields, net._table = net._table, None  # the inputs are encoded here
    if fields is None:
        raise InputError(
            f"{path!r} holds a network without the columns it reads: only what `python -m fastgd "
            "FILE --save` wrote can predict a file (in Python: fastgd.load)"
        )
    return net, Encoding.from_fields(fields)


def _predict(options: argparse.Namespace) -> int:
    """Write predictions; return the exit code."""
    net, encoding = _load(options.model)
    if options.probabilities and isinstance(encoding.target, NumberTarget):
        raise InputError(f"--probabilities: {options.model!r} predicts numbers, not classes")
    table = _read(options)
    require_columns(table, encoding.names, "which the model was trained on", encoding)
    gaps = find_gaps(table, encoding.names)
    if gaps and options.missing == "error":
        raise InputError(f"{gaps}. Mend the file, or give --missing empty to skip such rows")
    complete = gaps.complete
    heads = ["prediction"]
    rows: list[list[str]] = [[""] for _ in range(len(table))]
    if complete.any():
        X = encoding.features(table.take(complete), options.unknown)
        predictions = net.predict(X)
        shown = _quoted if options.quote_formulas else str
        found = [[shown(text)] for text in encoding.target.decode(predictions)]
        if options.probabilities and not isinstance(encoding.target, NumberTarget):
            heads += [f"probability of {name}" for name in encoding.target.classes]
            for row, chances in zip(found, predictions.tolist(), strict=True):
                row += [f"{chance:.6g}" for chance in chances]
        for i, row in zip(np.flatnonzero(complete).tolist(), found, strict=True):
            rows[i] = row
    with _output("--output", options.output) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([heads, *(row + [""] * (len(heads) - len(row)) for row in rows)])
    if options.output is not None:
        print(f"Wrote {count(len(rows), 'prediction')} to {visible(options.output)}.")
    return 0


def _quoted(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula.

    The first characters of formulas are those of OWASP's page on CSV injection; numbers stay
    unchanged.
    """
    return f"'{text}" if text.startswith(FORMULA_MARKS) and not is_number(text) else text


@contextlib.contextmanager
def _output(option: str, path: str | None) -> Iterator[IO[str] | Visible]:
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
