"""`fastgd FILE --target NAME`: train a model of a file at several batch sizes; recommend one."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastgd import backends
from fastgd._visible import visible
from fastgd._words import count
from fastgd.commandline._output import Progress, open_output, read, say, show_table
from fastgd.commandline._report import about_noise, as_json, explain, table_columns
from fastgd.comparison import Comparison
from fastgd.data import load_digits
from fastgd.history import History
from fastgd.network import Network
from fastgd.optimizers import OPTIMIZERS, SGD, Optimizer
from fastgd.table_model import TableModel
from fastgd.table_model._problem import LOWER, Problem, StepSizeRule, compare_size
from fastgd.tables._encoding import header_doubt, require_columns, split_names
from fastgd.tables._mending import shorten
from fastgd.tables._table import InputError, Table

__all__ = ["train"]

DIGITS = "Handwritten digits, 8 x 8 pixels (Alpaydin & Kaynak 1998, UCI repository, CC BY 4.0)"
#: seeds are added up to this many row gradients times weights, about a second's work
MOST_WORK = 1_000_000_000
#: what an update costs besides, in the same unit
OVERHEAD = 500


def train(options: argparse.Namespace) -> int:
    """Compare batch sizes; return the exit code."""
    if options.html is not None:
        _check_pictures()
    backends.load(options.backend)  # fail before reading anything if it cannot run
    table = _digits() if options.file is None else read(options)
    title, name = _titles(table, options)
    model, problem = _prepare(table, options)
    optimizers = _optimizers(options, problem)
    about = [title, *(model.notes if options.file is not None else []), _about_model(problem)]
    if not options.json and not options.quiet:
        if sys.stdout.isatty():
            say(title)
        else:
            print(visible(title))
        say(*about[1:], "")
    result = _run_all(problem, optimizers, options)
    best = result.best or result.decision.lowest
    columns, advice, notes = table_columns(problem), result.advice(), explain(problem, result)
    if not options.json:
        show_table(result, columns)
        say("", *advice, *([] if options.quiet else notes))
    ends = []
    if best is not None:
        model.keep(problem, best)
    if options.save is not None:
        ends.append(_save(options.save, model, best is not None))
    if options.html is not None:
        ends.append(
            _write_page(
                options.html,
                result,
                title=f"Batch sizes compared: {name}",
                about=about,
                columns=columns,
                command=shlex.join(["fastgd", *options.words]),
                advice=advice,
                notes=[*notes, *about_noise(problem, result)],
                follows=_commands(result, options),
                problem=problem,
            )
        )
    follows = _next_command(result, options)
    if options.json:
        print(json.dumps(as_json(result, about, advice, follows), indent=2))
    else:
        say(*filter(None, ends))
        print(f"Next: {visible(follows)}")
    return int(best is None)


def _check_pictures() -> None:
    from fastgd.commandline._page import require_pictures  # only for --html

    try:
        require_pictures()
    except ImportError as error:
        raise InputError(f"--html: {error}") from error


def _digits() -> Table:
    """Return the package's own data as a table."""
    images, labels = load_digits()
    columns = {f"pixel {i // 8},{i % 8}": images[:, i].astype(np.float64) for i in range(64)}
    return Table("digits", columns | {"digit": labels.astype(np.float64)}, np.arange(len(labels)))


def _titles(table: Table, options: argparse.Namespace) -> tuple[str, str]:
    """Check the options that name columns; return the title of the output, and of the page."""
    if options.file is None:
        if options.target not in (None, "digit"):
            raise InputError("--target needs a FILE before it; without one the target is 'digit'")
        options.target, options.task = "digit", options.task or "classification"
    if options.target is None:
        raise InputError(
            "--target is missing: it names the column to predict, one of "
            f"{shorten(table.columns)}{header_doubt(table)}"
        )
    for name in ("target", "ignore", "categorical"):
        columns = split_names(table, getattr(options, name))
        require_columns(table, columns, f"which --{name} names")
        setattr(options, name, columns)
    if options.file is None:
        return DIGITS, "handwritten digits"
    name = f"{', '.join(options.target)} in {Path(table.source).name}"
    return f"{table.source}: {count(len(table), 'row')}", name


def _prepare(table: Table, options: argparse.Namespace) -> tuple[TableModel, Problem]:
    """Return the model to fit, and what to train on for each seed."""
    model = TableModel(
        hidden=options.hidden,
        task=options.task,
        epochs=options.epochs,
        validation=options.validation,
        missing=options.missing,
        categorical=options.categorical,
        ignore=options.ignore,
        max_categories=options.max_categories,
        rng=options.seed,
        n_threads=options.threads,
    )
    seeds = options.seeds
    if seeds is None:
        inputs = len(table.columns) - len(options.ignore)
        work = len(table) * options.epochs * (inputs * sum(options.hidden or [1]) + OVERHEAD)
        seeds = int(np.clip(MOST_WORK // work, 3, 9))
    return model, model.prepare(table, options.target, seeds)


def _optimizers(options: argparse.Namespace, problem: Problem) -> dict[int, list[Optimizer] | None]:
    """Return the optimizers to try for each batch size; None for the rates that suit the data.

    A repeated batch size merges them.
    """
    n, rates = len(problem.rows), options.learning_rate
    kind: Any = OPTIMIZERS[options.optimizer]
    sizes = [n if size is None else min(size, n) for size in options.batch_size or (1, 32, None)]
    if rates is None:
        own = None if kind is SGD else [
            kind(kind().learning_rate * multiple) for multiple in StepSizeRule.MULTIPLES
        ]  # fmt: skip
        return dict.fromkeys(sizes, own)
    if len(rates) not in (1, len(sizes)):
        raise InputError(
            f"--learning-rate has {count(len(rates), 'number')} for "
            f"{count(len(sizes), 'batch size')}: give one for all, or one for each"
        )
    each = rates if len(rates) == len(sizes) else rates * len(sizes)
    tried: dict[int, list[float]] = {}
    for size, rate in zip(sizes, each, strict=True):
        if rate not in tried.setdefault(size, []):
            tried[size].append(rate)
    return {size: [kind(rate) for rate in own] for size, own in tried.items()}


def _about_model(problem: Problem) -> str:
    layers = "-".join(str(size) for size in problem.start.sizes)
    kind = "relu network" if problem.start.hidden else "linear model"
    return (
        f"{len(problem.rows):,} rows train, {len(problem.y_valid):,} validate. "
        f"Model: {layers} {kind}, {count(len(problem.starts), 'seed')}."
    )


def _run_all(
    problem: Problem,
    optimizers: dict[int, list[Optimizer] | None],
    options: argparse.Namespace,
) -> Comparison:
    """Train at each batch size, and show the progress as a share of the expected time."""
    n, weights = len(problem.rows), problem.start.n_params
    work = {size: n * weights + -(-n // size) * OVERHEAD for size in optimizers}
    total, done, parts = sum(work.values()), 0, []
    with Progress(sys.stderr, quiet=options.quiet or options.json) as progress:
        for size, tried in optimizers.items():
            count_runs = len(tried or StepSizeRule.MULTIPLES) + len(problem.starts) - 1
            span = done / total, work[size] / total / count_runs
            parts.append(
                compare_size(
                    problem,
                    size,
                    tried,
                    epochs=options.epochs,
                    goal=options.goal,
                    n_threads=options.threads,
                    backend=options.backend,
                    callbacks=[_Watch(progress, size, span, count_runs, options.epochs)],
                )
            )
            done += work[size]
    return Comparison.join(parts)


class _Watch:
    """A callback that shows how far the runs of a batch size are.

    The span is the share of the work before them, and that of one run.
    """

    def __init__(
        self, progress: Progress, size: int, span: tuple[float, float], most: int, epochs: int
    ) -> None:
        self._progress, self._size, self._span = progress, size, span
        self._most, self._epochs = most, epochs
        self._runs = -1
        self._last: History | None = None
        progress.show(f"batch size {size:,}", span[0])

    def __call__(self, net: Network, history: History) -> None:
        if history is not self._last:
            self._runs, self._last = self._runs + 1, history
        done = min(self._runs + history.epochs / self._epochs, self._most)
        self._progress.show(
            f"batch size {self._size:,}: epoch {history.epochs} of {self._epochs}",
            self._span[0] + done * self._span[1],
        )


def _next_command(result: Comparison, options: argparse.Namespace) -> str:
    """Return the command to type next."""
    best = result.best or result.decision.lowest
    if best is not None and options.save is not None:
        return shlex.join(["fastgd", "predict", options.save, "NEW.csv"])
    words = _without(options.words, ("--batch-size", "--learning-rate", "--save", "--html"))
    if best is None and options.learning_rate is None:  # lower ones were tried, too
        return shlex.join(["fastgd", *options.words])
    if best is None:
        lowest = min(entry.optimizer.learning_rate for entry in result)
        return shlex.join(["fastgd", *words, "--learning-rate", f"{lowest / LOWER:.1g}"])
    rate = f"{best.optimizer.learning_rate:.6g}"
    chosen = ["--batch-size", str(best.batch_size), "--learning-rate", rate]
    return shlex.join(["fastgd", *words, *chosen, "--save", "MODEL.npz"])


def _commands(result: Comparison, options: argparse.Namespace) -> list[str]:
    """Return the commands that train and use the recommended model."""
    best = result.best or result.decision.lowest
    model = options.save or "MODEL.npz"
    train = argparse.Namespace(**vars(options) | {"save": None})
    command = _next_command(result, train).replace("MODEL.npz", shlex.quote(model))
    use = [shlex.join(["fastgd", "predict", model, "NEW.csv", "--output", "PREDICTIONS.csv"])]
    return [command, *(use if best is not None else [])]


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return a command's words without some options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word.split("=")[0] not in options:
            kept.append(word)
        skip = not skip and word in options
    return kept


def _save(path: str, model: TableModel, trained: bool) -> str:
    """Write the recommended model; return what to say."""
    if not trained:
        print(f"fastgd: every run diverged, so {visible(path)} was not written", file=sys.stderr)
        return ""
    try:
        model.save(path)
    except OSError as error:
        raise InputError(f"--save {path}: {error.strerror or error}") from error
    assert model.history is not None
    return f"Saved the model of batch size {model.history.batch_size:,} to {path}."


def _write_page(path: str, result: Comparison, **texts: Any) -> str:
    """Write the comparison as a page; return what to say."""
    from fastgd.commandline._page import page  # only for --html

    text = page(result, **texts)
    with open_output("--html", path) as stream:
        stream.write(text)
    return f"Wrote the page {path}."
