"""The command line: options, progress, tables and messages.

`python -m fastgd` trains one model from one start at several batch sizes and compares them;
`python -m fastgd predict` uses a model that was saved. The work is done in `_comparison`,
`_encoding` and `_tables`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import shutil
import sys
import textwrap
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import numpy as np
from numpy.typing import NDArray

from fastgd import _files, backends
from fastgd._comparison import (
    Problem,
    Run,
    StepSizeRule,
    best_on_training_rows,
    run_batch_size,
)
from fastgd._encoding import (
    MOST_GUESSED_CLASSES,
    Encoding,
    NumberTarget,
    complete_rows,
    guess_task,
    learn_encoding,
    require_columns,
    shorten,
)
from fastgd._tables import MISSING, InputError, Table, read_csv
from fastgd._version import __version__
from fastgd.data import load_digits
from fastgd.history import History
from fastgd.network import Network

__all__ = ["main"]

FEWEST_ROWS = 10
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended: 128 + SIGINT

DESCRIPTION = """\
Train one model, from one start, by stochastic, mini-batch and batch gradient
descent, and compare them. Without FILE: on 1,797 handwritten digits that come
with fastgd. With FILE: on a CSV file with a header.

  python -m fastgd
  python -m fastgd house.csv --target price --save house.npz
  python -m fastgd predict house.npz new.csv --output prices.csv
"""
USAGE = """python -m fastgd [options]
       python -m fastgd [options] FILE --target NAME
       python -m fastgd predict [options] MODEL.npz FILE"""
EPILOG = f"""\
columns:   Columns of numbers are standardised with the training rows' means and
           deviations, other columns are one-hot encoded; the saved model keeps
           both. A cell is missing when it is empty or one of
           {" ".join(MISSING)}.
task:      A target of text, or of at most {MOST_GUESSED_CLASSES} different whole numbers, means
           classification; other numbers mean regression.
rates:     Without --learning-rate each batch size B tries three, and the table
           shows the one that ends with the lowest training loss: 1, 4 and 16
           times c B / (R2 + (B - 1) L), where R2 is the squared size of a row,
           L the largest eigenvalue of the rows' second moment (Ma, Bassily,
           Belkin 2018), and c 1/16 for a regression, 1/2 for a classification.
--save:    Keeps the run with the best validation score. It also loads with
           fastgd.load in Python.
predict:   Has its own options: python -m fastgd predict --help. For a data file
           that is itself named "predict" write ./predict.
exit code: 0 done; 1 a run diverged; 2 wrong options or files; {INTERRUPTED} interrupted.
"""
PREDICT_DESCRIPTION = """\
Write a saved model's predictions for the rows of a CSV file: one line a row,
below the header "prediction". Classes are written by their own names. The file
needs the columns that the model was trained on, in any order; the target and
other columns are not read.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all errors of the command line are."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or above")
    return int(text)


def _hidden(text: str) -> list[int]:
    return [] if text == "none" else [_positive(part) for part in text.split(",")]


def _batch_sizes(text: str) -> list[int | None]:
    return [None if part == "full" else _positive(part) for part in text.split(",")]


def _learning_rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = [0.0]
    if not all(0 < rate < float("inf") for rate in rates):
        raise argparse.ArgumentTypeError(f"{text!r} must be numbers above 0")
    return rates


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return number


def _names(text: str) -> list[str]:
    return next(csv.reader([text], skipinitialspace=True), [])


def _character(text: str) -> str:
    text = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(text) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not one character, nor 'tab'")
    return text


def _parser(prog: str, usage: str, description: str, epilog: str | None = None) -> _Parser:
    return _Parser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how FILE is written")
    group.add_argument(
        "--delimiter",
        type=_character,
        metavar="C",
        help="what separates the cells (default: comma, semicolon, tab or |, as the header has)",
    )
    group.add_argument(
        "--decimal", choices=[".", ","], default=".", help="the decimal mark (default: .)"
    )
    group.add_argument(
        "--encoding", metavar="NAME", help="default: UTF-8, or UTF-16 with its byte-order mark"
    )


def _train_parser() -> argparse.ArgumentParser:
    parser = _parser("python -m fastgd", USAGE, DESCRIPTION, EPILOG)
    parser.add_argument("file", nargs="?", metavar="FILE", help='a CSV file; "-" is standard input')
    parser.add_argument("--version", action="version", version=f"fastgd {__version__}")
    data = parser.add_argument_group("what to learn")
    data.add_argument("--target", metavar="NAME", help="the column to predict")
    data.add_argument(
        "--task", choices=["regression", "classification"], help="default: guessed, see below"
    )
    data.add_argument("--ignore", type=_names, default=[], metavar="A,B", help="unused columns")
    data.add_argument(
        "--categorical", type=_names, default=[], metavar="A,B",
        help="columns of numbers that stand for categories",
    )  # fmt: skip
    data.add_argument(
        "--max-categories", type=_positive, default=100, metavar="N",
        help="the most different texts that a column may hold (default: 100)",
    )  # fmt: skip
    data.add_argument(
        "--missing", choices=["error", "drop"], default="error",
        help="what rows with missing values mean (default: error)",
    )  # fmt: skip
    data.add_argument(
        "--validation", type=_fraction, default=0.2, metavar="SHARE",
        help="share of the rows to measure on, drawn at random (default: 0.2)",
    )  # fmt: skip
    _add_training_options(parser.add_argument_group("how to learn"))
    _add_file_options(parser)
    return parser


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--hidden", type=_hidden, default=[64], metavar="N,N",
        help="units of the hidden layers; none: a linear model (default: 64)",
    )  # fmt: skip
    group.add_argument(
        "--batch-size", type=_batch_sizes, metavar="N,N",
        help="rows that make one update; full: all (default: 1,32,full)",
    )  # fmt: skip
    group.add_argument(
        "--epochs", type=_positive, default=20, metavar="N",
        help="passes over the training rows (default: 20)",
    )  # fmt: skip
    group.add_argument(
        "--learning-rate", type=_learning_rates, metavar="X,X",
        help="one rate, or one for each batch size (default: the best of three, see below)",
    )  # fmt: skip
    group.add_argument("--save", metavar="MODEL.npz", help="write the best model to this file")
    group.add_argument(
        "--seed", type=_seed, default=0, metavar="N",
        help="of the split, the start and the order of the rows (default: 0)",
    )  # fmt: skip
    group.add_argument("--threads", type=_positive, metavar="N", help="the most threads to use")
    group.add_argument(
        "--backend", choices=list(backends.BACKENDS), default="compiled",
        help="which implementation computes; the results agree (default: compiled)",
    )  # fmt: skip


def _predict_parser() -> argparse.ArgumentParser:
    usage = "%(prog)s [options] MODEL.npz FILE"
    parser = _parser("python -m fastgd predict", usage, PREDICT_DESCRIPTION)
    parser.add_argument("model", metavar="MODEL.npz", help="what --save has written")
    parser.add_argument("file", metavar="FILE", help='a CSV file; "-" is standard input')
    parser.add_argument(
        "--output", metavar="OUT.csv", help="where to write (default: standard output)"
    )
    parser.add_argument("--probabilities", action="store_true", help="add each class's probability")
    parser.add_argument(
        "--missing", choices=["error", "empty"], default="error",
        help="rows with missing values: an error, or an empty prediction (default: error)",
    )  # fmt: skip
    parser.add_argument(
        "--unknown", choices=["error", "ignore"], default="error",
        help="categories that the training file did not have: an error, or taken for none of "
        "the known ones (default: error)",
    )  # fmt: skip
    _add_file_options(parser)
    return parser


class _Progress:
    """One line on a terminal that is overwritten; nothing where there is no terminal."""

    INTERVAL = 0.1

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream if stream.isatty() else None
        self.shown = 0
        self.next_time = 0.0

    def show(self, text: str, share: float | None = None) -> None:
        """Show what is being done, and how much is done, at most ten times a second."""
        now = time.monotonic()
        if self.stream is None or now < self.next_time:
            return
        self.next_time = now + self.INTERVAL
        bar = "" if share is None else f"[{'#' * round(share * 20):.<20}] {share:4.0%}  "
        line = (bar + text)[: shutil.get_terminal_size().columns - 1]
        self.stream.write(f"\r{line:<{self.shown}}")
        self.stream.flush()
        self.shown = len(line)

    def clear(self) -> None:
        """Remove the line."""
        if self.stream is not None and self.shown:
            self.stream.write("\r" + " " * self.shown + "\r")
            self.stream.flush()
            self.shown, self.next_time = 0, 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        0 done, 1 a run diverged, 2 wrong options or files, 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["predict"]:
            code = _predict(_predict_parser().parse_args(words[1:]))
        else:
            code = _train(_train_parser().parse_args(words))
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"fastgd: error: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        if "FASTGD_ISA" not in str(error):
            raise
        print(f"fastgd: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("fastgd: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


@dataclass(frozen=True)
class _Task:
    """A table and what is to be learned from it."""

    title: str
    table: Table
    encoding: Encoding
    rows: tuple[NDArray[np.int64], NDArray[np.int64]]


def _train(options: argparse.Namespace) -> int:
    """Compare batch sizes; return the exit code."""
    if options.save is not None:
        _check_place(options.save)
    backends.load(options.backend)  # what can not run is said before anything is read
    task = _user_task(options) if options.file is not None else _digits_task(options)
    problem = Problem.make(task.table, task.encoding, task.rows, options.hidden, options.seed)
    sizes = _check_batch_sizes(options.batch_size, len(problem.X))
    rates = _check_learning_rates(options.learning_rate, sizes, problem)
    _print_task(task, problem)
    runs = _run_all(problem, sizes, rates, options)
    _explain(problem, runs, len(rates[0]))
    if options.save is not None:
        _save(options.save, task.encoding, runs)
    return int(any(run.net is None for run in runs))


def _check_place(path: str) -> None:
    """Refuse a place for the model before the time is spent on training it."""
    if Path(path).exists() and not Path(path).is_file():
        raise InputError(f"--save {path}: that is not a file but a folder or device")
    if not Path(path).resolve().parent.is_dir():
        raise InputError(f"--save {path}: there is no such folder")


def _digits_task(options: argparse.Namespace) -> _Task:
    """Return the job on the data that come with the package."""
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
    return _make_task(title, table, options)


def _user_task(options: argparse.Namespace) -> _Task:
    """Return the job on a user's file."""
    table = _read(options)
    if options.target is None:
        raise InputError(
            f"--target is missing: it names the column to predict, one of {shorten(table.columns)}"
        )
    for name in ("ignore", "categorical"):
        require_columns(table, getattr(options, name), f"which --{name} names")
    require_columns(table, [options.target], "which --target names")
    if options.target in options.ignore:
        raise InputError(f"--target {options.target} is also in --ignore: name it in one of them")
    used = [name for name in table.columns if name not in options.ignore]
    complete, missing = complete_rows(table, used)
    title = f"{table.source}: {len(table):,} rows"
    if missing and options.missing == "error":
        raise InputError(
            f"{missing}. Mend the file, leave such rows out with --missing drop, or such "
            "columns with --ignore"
        )
    if missing:
        table = table.take(complete)
        title += f", {np.sum(~complete):,} of them with missing values left out"
    return _make_task(title, table, options)


def _make_task(title: str, table: Table, options: argparse.Namespace) -> _Task:
    """Split the rows, and learn the encoding from the training rows."""
    if len(table) < FEWEST_ROWS:
        raise InputError(
            f"{table.source} has {len(table)} usable rows; to train and to measure takes at "
            f"least {FEWEST_ROWS}"
        )
    name, why = options.task, "as --task says"
    if name is None:
        name, why = guess_task(table, options.target)
        why = f"{why}; --task changes it"
    if table.source != "digits":
        title += f"\nTarget: {options.target} ({name}: {why})"
    n_valid = min(max(2, round(len(table) * options.validation)), len(table) - 2)
    order = np.random.default_rng(options.seed).permutation(len(table))
    rows = order[n_valid:], order[:n_valid]
    encoding = learn_encoding(
        table,
        options.target,
        name,
        rows[0],
        categorical=options.categorical,
        ignore=options.ignore,
        max_categories=options.max_categories,
    )
    if table.source != "digits":
        title += "\n" + _fill(f"Inputs: {encoding.describe()}")
    return _Task(title, table, encoding, rows)


def _read(options: argparse.Namespace) -> Table:
    progress = _Progress(sys.stderr)
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


def _check_batch_sizes(wanted: list[int | None] | None, n: int) -> list[int]:
    """Return the batch sizes as numbers, each once."""
    if wanted is None:
        wanted = [size for size in (1, 32) if size < n] + [None]
    sizes = [n if size is None else size for size in wanted]
    if max(sizes) > n:
        raise InputError(
            f"--batch-size {max(sizes)}: there are {n:,} training rows, so it may be 1 to {n} or "
            "full"
        )
    return list(dict.fromkeys(sizes))


def _check_learning_rates(
    wanted: list[float] | None, sizes: list[int], problem: Problem
) -> list[list[float]]:
    """Return the learning rates that each batch size tries."""
    if wanted is None:
        rule = StepSizeRule(problem.X, problem.start.loss)
        return [rule(size) for size in sizes]
    if len(wanted) not in (1, len(sizes)):
        raise InputError(
            f"--learning-rate has {len(wanted)} numbers for {len(sizes)} batch sizes: give one "
            "for all, or one for each"
        )
    return [[rate] for rate in wanted] * (1 if len(wanted) == len(sizes) else len(sizes))


def _print_task(task: _Task, problem: Problem) -> None:
    layers = "-".join(str(size) for size in problem.start.sizes)
    kind = "relu network" if problem.start.hidden else "linear model"
    print(
        f"{task.title}\n{len(problem.X):,} rows train, {len(problem.X_valid):,} validate.", end=" "
    )
    print(f"Model: {layers} {kind}, the same start for each run.\n", flush=True)


def _fill(text: str) -> str:
    """Break text into lines that any terminal shows; never inside a word or an --option."""
    return textwrap.fill(text, 79, break_long_words=False, break_on_hyphens=False)


HEADS = (
    ("", "method", "<10"),
    ("batch", "size", ">9"),
    ("updates", "an epoch", ">11"),
    ("", "epochs", ">7"),
    ("learning", "rate", ">9"),
    ("", "seconds", ">8"),
    ("train", "loss", ">8"),
    ("valid.", "loss", ">8"),
)


def _run_all(
    problem: Problem, sizes: list[int], rates: list[list[float]], options: argparse.Namespace
) -> list[Run]:
    """Train at each batch size, and print the table row by row."""
    score = "R^2" if isinstance(problem.encoding.target, NumberTarget) else "accuracy"
    heads = (*HEADS, ("valid.", score, ">9"))
    for line in (0, 1):
        print("".join(f"{head[line]:{head[2]}}" for head in heads))
    print("-" * sum(int(head[2][1:]) for head in heads), flush=True)
    progress = _Progress(sys.stderr)
    runs: list[Run] = []
    try:
        for size, tried in zip(sizes, rates, strict=True):
            span = len(runs) / len(sizes), 1 / len(sizes)
            run = _run_one(problem, size, tried, options, progress, span)
            progress.clear()
            print(_row(run, _method(size, len(problem.X)), score, heads), flush=True)
            runs.append(run)
    finally:
        progress.clear()
    return runs


def _run_one(
    problem: Problem,
    size: int,
    rates: list[float],
    options: argparse.Namespace,
    progress: _Progress,
    span: tuple[float, float],
) -> Run:
    """Train at one batch size, with each of the learning rates; return the best run.

    The span is where this part of the work begins, and how long it is, as shares of the whole.
    """
    runs: list[Run] = []

    def on_epoch(net: Network, history: History) -> None:
        share = (len(runs) + history.epochs / options.epochs) / len(rates)
        progress.show(
            f"batch size {size:,}, rate {rates[len(runs)]:.2g}: epoch {history.epochs} of "
            f"{options.epochs}, loss {history.loss[-1]:.4f}",
            span[0] + share * span[1],
        )

    for rate in rates:
        progress.show(f"batch size {size:,}, rate {rate:.2g}", span[0])
        runs.append(
            run_batch_size(
                problem,
                size,
                learning_rate=rate,
                epochs=options.epochs,
                seed=options.seed,
                n_threads=options.threads,
                backend=options.backend,
                on_epoch=on_epoch,
            )
        )
    return best_on_training_rows(runs)


def _method(size: int, n: int) -> str:
    return "batch" if size == n else "stochastic" if size == 1 else "mini-batch"


def _row(run: Run, method: str, score: str, heads: Sequence[tuple[str, str, str]]) -> str:
    """Return a line of the table."""
    epochs = run.history.epochs
    cells = [
        method,
        f"{run.batch_size:,}",
        f"{run.updates:,}",
        f"{epochs:,}",
        f"{run.learning_rate:.2g}",
        _seconds(sum(run.history.seconds)),
    ]
    if run.net is None:
        return _join(cells, heads) + "                 diverged"
    cells += [_number(run.train_loss, 4), _number(run.valid_loss, 4)]
    cells.append(_number(run.score, 3) if score == "R^2" else f"{run.score:.1%}")
    return _join(cells, heads)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.1e}"


def _join(cells: Sequence[str], heads: Sequence[tuple[str, str, str]]) -> str:
    return "".join(f"{cell:{head[2]}}" for cell, head in zip(cells, heads, strict=False))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.1f}"


def _best(runs: Sequence[Run]) -> Run | None:
    """Return the run with the best validation score; of equal ones that with the lowest loss."""
    trained = [run for run in runs if run.net is not None]
    return max(trained, key=lambda run: (run.score, -run.valid_loss), default=None)


def _explain(problem: Problem, runs: Sequence[Run], n_rates: int) -> None:
    """Print in a few lines what the table says."""
    trained = [run for run in runs if run.net is not None]
    lines = []
    if len(trained) < len(runs):
        failed = ", ".join(f"{run.batch_size:,}" for run in runs if run.net is None)
        lines.append(
            f"Diverged: batch size {failed}. The steps of this learning rate are so long that they "
            "jump over the minimum, each farther than the last. Give a lower --learning-rate."
        )
    if len(trained) > 1:
        smallest = min(trained, key=lambda run: run.batch_size)
        largest = max(trained, key=lambda run: run.batch_size)
        lines.append(
            "The runs differ in how many rows make one update. From the same "
            f"{smallest.history.sample_gradients:,} row gradients batch size "
            f"{smallest.batch_size:,} made {smallest.history.updates:,} updates, batch size "
            f"{largest.batch_size:,} made {largest.history.updates:,}."
        )
    best = _best(runs)
    if n_rates > 1:
        lines.append(
            f"Each batch size tried {n_rates} learning rates; shown is the one with the lowest "
            "training loss."
        )
    if best is not None:
        lead = "Best on the validation rows:" if len(trained) > 1 else "On the validation rows,"
        lead = f"{lead} batch size {best.batch_size:,}"
        lines += [f"{lead} {_verdict(problem, best)}", _about_losses(problem)]
    print()
    for line in lines:
        print(_fill(line))


def _verdict(problem: Problem, best: Run) -> str:
    """Say how good the best run is, in words."""
    target = problem.encoding.target
    if isinstance(target, NumberTarget):
        error = f"is off by {best.valid_loss**0.5 * target.scale:.4g} (root mean square)"
        if best.score <= 0:
            return f"{error}: no better than always predicting the mean."
        return f"explains {best.score:.1%} of the variance of {target.name}, and {error}."
    share = np.bincount(problem.y_valid).max() / len(problem.y_valid)
    return (
        f"is right in {best.score:.1%} of them; always naming the most frequent class would be in "
        f"{share:.1%}."
    )


def _about_losses(problem: Problem) -> str:
    """Say what the table's losses are."""
    if isinstance(problem.encoding.target, NumberTarget):
        return "Losses are mean squared errors of the standardised target."
    return "Losses are mean cross-entropies."


def _save(path: str, encoding: Encoding, runs: Sequence[Run]) -> None:
    """Write the best network, with what it needs to read a file."""
    best = _best(runs)
    if best is None or best.net is None:
        print(f"fastgd: no run ended well, so {path} was not written", file=sys.stderr)
        return
    entries = _files.network_entries(best.net) | {"table": encoding.to_fields()}
    try:
        _files.write(path, "model", entries)
    except OSError as error:
        raise InputError(f"--save {path}: {error.strerror or error}") from error
    print(f"Saved the model of batch size {best.batch_size:,} to {path}.")


def _load(path: str) -> tuple[Network, Encoding]:
    """Read what `_save` has written."""
    if Path(path).is_file() and not zipfile.is_zipfile(path):
        raise InputError(f"{path!r} is not a model: give first the file that --save has written")
    try:
        entries = _files.read(path)
        net = _files.read_network(entries, path)
    except FileNotFoundError as error:
        raise InputError(f"there is no model {path!r}") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    if not isinstance(entries.get("table"), dict):
        raise InputError(
            f"{path!r} holds a network without the columns it reads: only what `python -m fastgd "
            "FILE --save` wrote can predict a file (in Python: fastgd.load)"
        )
    try:
        encoding = Encoding.from_fields(entries["table"])
    except InputError as error:
        raise InputError(f"{path!r} can not be used: {error}") from error
    if net.sizes[0] != encoding.n_features or net.sizes[-1] != encoding.target.outputs:
        raise InputError(f"{path!r} is damaged: its network and its columns do not fit together")
    return net, encoding


def _predict(options: argparse.Namespace) -> int:
    """Write predictions; return the exit code."""
    net, encoding = _load(options.model)
    if options.probabilities and isinstance(encoding.target, NumberTarget):
        raise InputError(f"--probabilities: {options.model!r} predicts numbers, not classes")
    table = _read(options)
    require_columns(table, encoding.names, "which the model was trained on")
    complete, missing = complete_rows(table, encoding.names)
    if missing and options.missing == "error":
        raise InputError(f"{missing}. Mend the file, or give --missing empty to skip such rows")
    heads = ["prediction"]
    rows: list[list[str]] = [[""] for _ in range(len(table))]
    if complete.any():
        X = encoding.features(table.take(complete), options.unknown)
        predictions = net.predict(X)
        found = [[text] for text in encoding.target.decode(predictions)]
        if options.probabilities and not isinstance(encoding.target, NumberTarget):
            heads += [f"probability of {name}" for name in encoding.target.classes]
            for row, chances in zip(found, predictions.tolist(), strict=True):
                row += [f"{chance:.6g}" for chance in chances]
        for i, row in zip(np.flatnonzero(complete).tolist(), found, strict=True):
            rows[i] = row
    with _output(options.output) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([heads, *(row + [""] * (len(heads) - len(row)) for row in rows)])
    if options.output is not None:
        print(f"Wrote {len(rows):,} predictions to {options.output}.")
    return 0


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[IO[str]]:
    """Open standard output, or a file that is there only once it is complete."""
    if path is None:
        yield sys.stdout
        return
    target = Path(path).resolve()
    in_place = target.exists() and not target.is_file()  # a device or a pipe
    written = target if in_place else target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            with open(written, "w", encoding="utf-8", newline="") as stream:
                yield stream
            if not in_place:
                os.replace(written, target)
        finally:
            if not in_place:
                written.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"--output {path}: {error.strerror or error}") from error
