"""The command line's options: names, allowed values, and help.

For their effect see `_main`.
"""

from __future__ import annotations

import argparse
import math
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fastgd import backends
from fastgd._interruption import INTERRUPTED
from fastgd._version import __version__
from fastgd._words import near_name
from fastgd.optimizers import OPTIMIZERS
from fastgd.tables._learning import MOST_GUESSED_CLASSES
from fastgd.tables._table import MISSING, InputError

__all__ = ["predict_parser", "train_parser", "with_config"]

COMMANDS = ("compare", "predict")

DESCRIPTION = """\
Train one model, from one start, by stochastic, mini-batch and batch gradient
descent, and compare them. Without FILE: on 1,797 handwritten digits that come
with fastgd. With FILE: on a CSV file with a header.

  fastgd
  fastgd house.csv --target price --save house.npz
  fastgd compare house.csv --target price --html report.html
  fastgd predict house.npz new.csv --output prices.csv
"""

USAGE = """fastgd [options]
       fastgd [compare] [options] FILE --target NAME
       fastgd predict [options] MODEL.npz FILE"""

EPILOG = f"""\
columns:   Numbers are standardised by the training rows' means and deviations;
           text becomes one input for each category; dates become the time, the
           year, month, weekday and day of the year. Text that is different in
           almost every row is left out. The saved model keeps all that.
           Numbers must not have currency or percent signs or thousands
           separators. If at least half of a column's cells are numbers, any
           other cell is an error, unless --categorical names the column (for
           the target: --task classification). Columns without a name are
           ignored. A cell is missing when it is empty or one of
           {" ".join(MISSING)}.
missing:   A missing number gets the median and a mark, a missing category an
           input of its own. Rows without a target are left out.
task:      A target of text, or of at most {MOST_GUESSED_CLASSES} different whole numbers, means
           classification; other numbers mean regression.
rates:     Without --learning-rate each batch size B tries three, and the table
           shows the one with the lowest validation loss: 1, 4 and 16
           times c B / (R2 + (B - 1) L), where R2 is the squared size of a row,
           L the largest eigenvalue of the rows' second moment (Ma, Bassily,
           Belkin 2018), and c 1/16 for a regression, 1 for a classification.
           With --hidden, a row includes the hidden units' initial values.
advice:    The batch size with the lowest validation loss, a mean over several
           seeds. Those that the runs cannot tell from it count as equal, and
           the fastest of them is recommended. A run stops when its validation
           loss has not improved for a quarter of the epochs, and keeps its best
           epoch. With --goal, all that reach that loss count as equal.
--save:    Keeps the recommended model, of the first seed. In Python fastgd.load
           returns it as a fastgd.TableModel.
compare:   The word is optional.
predict:   Has its own options: fastgd predict --help. For a data file
           that is itself named "predict" or "compare" write ./predict.
exit code: 0 done; 1 every run diverged; 2 wrong options or files;
           {INTERRUPTED} interrupted.
"""

PREDICT_DESCRIPTION = """\
Write a saved model's predictions for the rows of a CSV file: one line per row,
below the header "prediction". Classes are written by name. The file
needs the columns that the model was trained on, in any order; the target and
other columns are not read.
"""

PREDICT_EPILOG = """\
spreadsheets: A class is written as the training file had it. Spreadsheets run a
           text that begins with =, +, - or @ as a formula: if the training
           file came from others, give --quote-formulas before you open the
           predictions in one. Numbers are unchanged.
terminal:  Control characters are shown as \\x1b; a file or a pipe gets them as
           the training file had them.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all errors of the command line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> argparse.Namespace:
        options: argparse.Namespace
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(self._about(rest, options))
        file = getattr(options, "file", None)
        if file and not Path(file).suffix and not Path(file).exists():
            near = near_name(file, COMMANDS)
            if near:
                self.error(f"there is no command and no file {file!r}: did you mean {near}?")
        return options

    def _about(self, rest: list[str], options: argparse.Namespace) -> str:
        """Return a message about surplus arguments, with a suggestion."""
        for word in rest:
            if word.startswith("-"):
                name = word.split("=")[0]
                near = near_name(name, self._option_string_actions)
                return f"there is no option {name}" + (f": did you mean {near}?" if near else "")
        near = near_name(options.file, COMMANDS)
        if not Path(options.file).exists() and (near or Path(rest[0]).exists()):
            hint = f"did you mean {near}?" if near else "leave it out, or give compare or predict"
            return f"there is no command {options.file!r}: {hint}"
        hint = "" if Path(rest[0]).exists() else ": a column's name goes with --target"
        return f"one FILE is read, but {options.file!r} and {rest[0]!r} were given{hint}"


def _positive(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    if number > sys.maxsize:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number up to {sys.maxsize}")
    return number


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or above")
    return int(text)


def _hidden(text: str) -> list[int]:
    if text == "none":
        return []
    try:
        return [_positive(part) for part in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor none") from None


def _batch_sizes(text: str) -> list[int | None]:
    try:
        return [None if part == "full" else _positive(part) for part in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor full") from None


def _learning_rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = [0.0]
    if not all(0 < rate < float("inf") for rate in rates):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, or several")
    return rates


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return number


def _goal(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


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
        "--sep",
        "--delimiter",
        dest="delimiter",
        type=_character,
        metavar="C",
        help="what separates the cells (default: comma, semicolon, tab or |, as the header has)",
    )
    group.add_argument(
        "--decimal", choices=[".", ","], default=".", help="the decimal mark (default: .)"
    )
    group.add_argument(
        "--encoding", metavar="NAME", help="default: UTF-8, or what its byte-order mark says"
    )
    group.add_argument(
        "--skip-lines", type=_seed, default=0, metavar="N",
        help="how many lines to leave out above the columns' names (default: 0)",
    )  # fmt: skip


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE.toml",
        help="read options from this file, as in: epochs = 50; those given here count more",
    )  # fmt: skip


def with_config(words: Sequence[str]) -> list[str]:
    """Return a command's words after those that its --config file stands for."""
    given = list(words)
    path = None
    for place, word in enumerate(given):
        if word == "--config" and place + 1 < len(given):
            path = given[place + 1]
        elif word.startswith("--config="):
            path = word.partition("=")[2]
    if path is None:
        return given
    try:
        with open(path, "rb") as file:
            entries = tomllib.load(file)
    except OSError as error:
        raise InputError(f"--config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--config {path} is not TOML: {error}") from error
    return [
        word for name, value in entries.items() for word in _as_words(path, name, value)
    ] + given


def _as_words(path: str, name: str, value: Any) -> list[str]:
    """Return an entry of a --config file as words of a command."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [option] * value
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (str, int, float)) for one in values):
        raise InputError(
            f"--config {path}: {name} must be text, a number, true, false, or a list of these"
        )
    return [f"{option}={','.join(map(str, values))}"]


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of `compare`."""
    parser = _parser("fastgd", USAGE, DESCRIPTION, EPILOG)
    parser.add_argument(
        "file", nargs="?", metavar="FILE",
        help='a CSV file, plain or compressed by gzip, bzip2, xz or zip; "-" is standard input',
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"fastgd {__version__}")
    data = parser.add_argument_group("what to learn")
    data.add_argument(
        "--target", metavar="NAME", help="the column to predict, or several of numbers: A,B"
    )
    data.add_argument(
        "--task", choices=["regression", "classification"], help="default: guessed, see below"
    )
    data.add_argument(
        "--ignore", default="", metavar="A,B",
        help="unused columns; double quotes hold a name with a comma together",
    )  # fmt: skip
    data.add_argument(
        "--categorical", default="", metavar="A,B",
        help="columns of numbers that stand for categories",
    )  # fmt: skip
    data.add_argument(
        "--max-categories", type=_positive, default=100, metavar="N",
        help='the most categories of a column, the rarer ones are "other" (default: 100)',
    )  # fmt: skip
    data.add_argument(
        "--missing", choices=["impute", "drop", "error"], default="impute",
        help="missing values: filled in and marked, their rows dropped, or an error "
        "(default: impute)",
    )  # fmt: skip
    data.add_argument(
        "--validation", type=_fraction, default=0.2, metavar="SHARE",
        help="share of the rows to measure on, drawn at random (default: 0.2)",
    )  # fmt: skip
    _add_training_options(parser.add_argument_group("how to learn"))
    output = parser.add_argument_group("what to write")
    output.add_argument(
        "--save", metavar="MODEL.npz", help="write the recommended model to this file"
    )
    output.add_argument(
        "--html", metavar="REPORT.html",
        help="write a page with the table, pictures and advice (extra: plot)",
    )  # fmt: skip
    output.add_argument("--json", action="store_true", help="print the result as JSON")
    output.add_argument(
        "--quiet", action="store_true", help="print only the table, the advice and what follows"
    )
    _add_file_options(parser)
    _add_config(parser)
    return parser


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--hidden", type=_hidden, default=[64], metavar="N,N",
        help="units of the hidden layers, or none for a linear model (default: 64)",
    )  # fmt: skip
    group.add_argument(
        "--batch-size", type=_batch_sizes, metavar="N,N",
        help="rows per update; full, or more than there are: all (default: 1,32,full)",
    )  # fmt: skip
    group.add_argument(
        "--epochs", type=_positive, default=20, metavar="N",
        help="passes over the training rows (default: 20)",
    )  # fmt: skip
    group.add_argument(
        "--learning-rate", type=_learning_rates, metavar="X,X",
        help="one rate, or one for each batch size (default: the best of three, see below)",
    )  # fmt: skip
    group.add_argument(
        "--optimizer",
        choices=list(OPTIMIZERS),
        default="sgd",
        help="the rule for updates (default: sgd)",
    )
    group.add_argument(
        "--goal", type=_goal, metavar="LOSS",
        help="the validation loss that is good enough (default: as low as can be)",
    )  # fmt: skip
    group.add_argument(
        "--seed", type=_seed, default=0, metavar="N",
        help="seed for the split, the start and the order of the rows (default: 0)",
    )  # fmt: skip
    group.add_argument(
        "--seeds", type=_positive, metavar="N",
        help="how many seeds to judge each batch size by, from --seed on (default: 3, and up to 9 "
        "where training takes well under a second)",
    )  # fmt: skip
    group.add_argument(
        "--threads", type=_positive, metavar="N",
        help="the most threads to use (default: all cores); no result depends on it",
    )  # fmt: skip
    group.add_argument(
        "--backend", choices=list(backends.BACKENDS), default="compiled",
        help="which implementation computes: all agree, compiled is the fastest (default)",
    )  # fmt: skip


def predict_parser() -> argparse.ArgumentParser:
    """Return the parser of `predict`."""
    usage = "%(prog)s [options] MODEL.npz FILE"
    parser = _parser("fastgd predict", usage, PREDICT_DESCRIPTION, PREDICT_EPILOG)
    parser.add_argument("model", metavar="MODEL.npz", help="what --save has written")
    parser.add_argument(
        "file", metavar="FILE",
        help='a CSV file, plain or compressed by gzip, bzip2, xz or zip; "-" is standard input',
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="OUT.csv", help="where to write (default: standard output)"
    )
    parser.add_argument(
        "--keep", default="", metavar="A,B", help="columns of FILE to write beside the predictions"
    )
    parser.add_argument("--probabilities", action="store_true", help="add each class's probability")
    parser.add_argument(
        "--quote-formulas", action="store_true",
        help="write an apostrophe before a class that a spreadsheet would run as a formula",
    )  # fmt: skip
    parser.add_argument(
        "--missing", choices=["error", "empty"], default="error",
        help="missing values in columns that had none in training: an error, or an empty "
        "prediction (default: error)",
    )  # fmt: skip
    parser.add_argument(
        "--unknown", choices=["error", "ignore"], default="error",
        help="categories that the training file did not have: an error, or ignored, so that "
        "the other columns decide (default: error)",
    )  # fmt: skip
    _add_file_options(parser)
    _add_config(parser)
    return parser
