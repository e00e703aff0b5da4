"""`TableModel`: fit a network to a table's columns, and predict from tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastgd import _files, _validation
from fastgd._arguments import helpful
from fastgd._typing import AnyArray, FloatArray, RngLike
from fastgd._words import count, show
from fastgd.comparison import Entry
from fastgd.history import DivergenceError, History
from fastgd.network import Network, read_network
from fastgd.optimizers import Optimizer, check_optimizer
from fastgd.table_model._files import model_entries, read_entries
from fastgd.table_model._problem import Problem, compare_size, split
from fastgd.tables._encoding import Encoding, require_columns
from fastgd.tables._frames import as_table
from fastgd.tables._gaps import find_gaps
from fastgd.tables._learning import guess_task, learn_encoding
from fastgd.tables._mending import nearly_numbers
from fastgd.tables._table import InputError, Table
from fastgd.tables._targets import ClassTarget

__all__ = ["FEWEST_ROWS", "TableModel"]

FEWEST_ROWS = 10
TASKS = ("regression", "classification")
MISSING = ("impute", "drop", "error")


class TableModel:
    """A network for the columns of a table: what ``python -m fastgd`` does with a file.

    It finds out what each column holds. Numbers are standardised; text becomes one input for each
    category; dates become the time, the year, the month, the weekday and the day of the year. Where
    a column has missing values, a number is replaced by the median and marked by a second input,
    and a category gets one for "missing". A share of the rows is set aside: the training stops when
    the loss on these no longer falls, and keeps the best epoch.

    Parameters
    ----------
    hidden : sequence of int
        Units of the hidden layers; empty for a linear model.
    task : {"regression", "classification"}, optional
        By default text, and at most 10 different whole numbers, are classes.
    batch_size : int or None
        Rows per update; None for all.
    epochs : int
        The most passes over the rows.
    optimizer : Optimizer, optional
        By default `fastgd.SGD` with the best of three learning rates that suit the data.
    validation : float
        The share of the rows to set aside.
    missing : {"impute", "drop", "error"}
        What to do with missing values in inputs: as above, drop the rows, or raise an error. Rows
        without a target are dropped in the first two cases.
    categorical, ignore : sequence of str
        Columns of numbers that stand for categories; columns to leave out.
    max_categories : int
        The most categories of a column; the less frequent ones are "other".
    rng : None or int
        The seed for the split, the initial weights and the order of the rows.
    n_threads : int, optional
        The most threads to use.

    Attributes
    ----------
    network : Network
        The trained network; its inputs are the encoded columns.
    history : History or None
        The history of its training; None if the model comes from a file.
    validation_score : float or None
        `score` on the rows that were set aside.
    notes : list of str
        What was done with the data: sentences.
    encoding : Encoding
        How columns become the network's inputs; ``print(model.encoding.describe())``.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> rng = np.random.default_rng(0)
    >>> area, city = rng.uniform(20, 200, 300), rng.choice(["Bern", "Lyon"], 300)
    >>> frame = {"area": area, "city": city, "price": 3 * area + 100 * (city == "Bern")}
    >>> model = gd.TableModel(rng=0).fit(frame, target="price")
    >>> model.score(frame) > 0.99
    True
    >>> model.predict({"area": [100, 100], "city": ["Bern", "Lyon"]}).round(-2)
    array([400., 300.])
    """

    @helpful
    def __init__(
        self,
        *,
        hidden: Sequence[int] = (64,),
        task: str | None = None,
        batch_size: int | None = 32,
        epochs: int = 100,
        optimizer: Optimizer | None = None,
        validation: float = 0.2,
        missing: str = "impute",
        categorical: Sequence[str] = (),
        ignore: Sequence[str] = (),
        max_categories: int = 100,
        rng: RngLike = None,
        n_threads: int | None = None,
    ) -> None:
        whole, choice = _validation.check_int, _validation.check_choice
        if isinstance(hidden, (str, bytes)) or not hasattr(hidden, "__iter__"):
            raise TypeError(f"hidden must list the units of hidden layers, not {show(hidden)}")
        if not isinstance(rng, (int, np.integer, type(None))):
            raise TypeError(f"rng must be a whole number, the seed, or None, not {show(rng)}")
        _validation.check_rng(rng)
        _validation.check_threads(n_threads)
        self.settings: dict[str, Any] = {
            "hidden": tuple(whole("hidden", units, at_least=1) for units in hidden),
            "task": None if task is None else choice("task", task, TASKS),
            "batch_size": batch_size and whole("batch_size", batch_size, at_least=1),
            "epochs": whole("epochs", epochs, at_least=1),
            "optimizer": None if optimizer is None else check_optimizer(optimizer),
            "validation": _validation.check_real("validation", validation, above=0, below=1),
            "missing": choice("missing", missing, MISSING),
            "categorical": _names("categorical", categorical),
            "ignore": _names("ignore", ignore),
            "max_categories": whole("max_categories", max_categories, at_least=1),
            "rng": None if rng is None else int(rng),
            "n_threads": n_threads,
        }
        self.notes: list[str] = []
        self.history: History | None = None
        self.validation_score: float | None = None
        self._network: Network | None = None
        self._encoding: Encoding | None = None

    def fit(self, frame: Any, *, target: str | Sequence[str]) -> TableModel:
        """Learn to predict a column, or several columns of numbers, from the others.

        Parameters
        ----------
        frame : mapping, frame, or path
            A mapping of names to columns; a frame of pandas or polars, an Arrow table; or the path
            of a CSV file.
        target : str or sequence of str
            The column to predict; several must all hold numbers.

        Returns
        -------
        TableModel
            This model.

        Raises
        ------
        TypeError, ValueError
            When the table cannot be used; the message names the column, and the cell if it is one.
        DivergenceError
            When the training diverged with the optimizer that was given.
        """
        settings = self.settings
        with _in_python():
            problem = self.prepare(as_table(frame), target)
        size = settings["batch_size"] or len(problem.rows)
        optimizer = settings["optimizer"]
        result = compare_size(
            problem,
            min(size, len(problem.rows)),
            None if optimizer is None else [optimizer],
            epochs=settings["epochs"],
            n_threads=settings["n_threads"],
        )
        if result.best is None:
            raise DivergenceError(" ".join(result.advice()), result[0].history)
        self.keep(problem, result.best)
        return self

    def prepare(self, table: Table, target: str | Sequence[str], seeds: int = 1) -> Problem:
        """Return what to train on, with one split of the rows and one network for each seed.

        `notes` then says what was done with the data. The model itself is not changed.
        """
        settings = self.settings
        targets = [target] if isinstance(target, str) else _names_of(target)
        require_columns(table, targets, "which --target names")
        for name in ("ignore", "categorical"):
            require_columns(table, settings[name], f"which --{name} names")
        self._check_names(targets)
        self.notes = []
        table = self._without_gaps(table, targets)
        task, why = settings["task"], "as --task says"
        if task is None:
            guesses = [guess_task(table, name) for name in targets]
            task, why = guesses[0] if len(targets) == 1 else ("regression", "several targets")
            why += "; --task changes it" if len(targets) == 1 else ""
        self.notes.append(f"Target: {', '.join(targets)} ({task}: {why})")
        first = self.settings["rng"]
        if first is None:
            first = int(np.random.default_rng().integers(2**31))
        splits = [split(len(table), settings["validation"], first + k) for k in range(seeds)]
        notes: list[str] = []
        encoding = learn_encoding(
            table,
            targets,
            task,
            splits[0][0],
            categorical=settings["categorical"],
            ignore=settings["ignore"],
            max_categories=settings["max_categories"],
            notes=notes,
        )
        columns = [*encoding.columns, encoding.target]
        notes += nearly_numbers(table, columns, settings["categorical"])
        self.notes += [f"Inputs: {encoding.describe()}", *notes]
        return Problem.make(table, encoding, splits, list(settings["hidden"]), first)

    def _check_names(self, targets: Sequence[str]) -> None:
        """Raise InputError for a column with two roles."""
        ignore, categorical = self.settings["ignore"], self.settings["categorical"]
        for target in targets:
            if target in ignore:
                raise InputError(f"--target {target} is also in --ignore: name it in one of them")
            if target in categorical:
                raise InputError(
                    f"--categorical {target}: that is the target; --task classification says that "
                    "it holds classes"
                )
        if both := [name for name in ignore if name in categorical]:
            raise InputError(
                f"{both[0]!r} is in --ignore and in --categorical: name it in one of them"
            )

    def _without_gaps(self, table: Table, targets: Sequence[str]) -> Table:
        """Return the rows to use, and note those that are dropped."""
        missing = self.settings["missing"]
        used = [name for name in table.columns if name not in self.settings["ignore"]]
        gaps = find_gaps(table, used if missing != "impute" else targets)
        for target in targets:
            find_gaps(table, [target]).require_values(target)
        if missing == "impute":
            self._note_imputed(table, [name for name in used if name not in targets])
        elif gaps:
            gaps.require_values(targets[0])
        if gaps and missing == "error":
            rows = "leave such rows out with --missing drop"
            if {gap.name for gap in gaps.columns} <= set(targets):
                raise InputError(f"{gaps}. Fill them in, or {rows}")
            raise InputError(f"{gaps}. Fill them in, {rows}, or such columns with --ignore")
        if gaps:
            table = table.take(gaps.complete)
            self.notes.append(
                f"Dropped: {count(gaps.n_rows, 'row')} with missing values, {gaps.costs}."
            )
        if len(table) < FEWEST_ROWS:
            raise InputError(
                "".join(f"{note} " for note in self.notes)
                + f"{table.source}: {count(len(table), 'usable row')}, but to "
                f"train and to measure takes at least {FEWEST_ROWS}"
            )
        return table

    def _note_imputed(self, table: Table, names: Sequence[str]) -> None:
        gaps = find_gaps(table, names)
        if filled := [gap for gap in gaps.columns if gap.count < len(table)]:
            named = ", ".join(f"{gap.name} ({gap.count:,})" for gap in filled[:12])
            more = f" and {len(filled) - 12} more" if len(filled) > 12 else ""
            self.notes.append(
                f"Missing values: {named}{more}. Numbers get the median and a mark, categories "
                '"missing"; --missing drop leaves such rows out.'
            )

    def keep(self, problem: Problem, entry: Entry) -> None:
        """Become the model of an entry: of its first seed."""
        self._keep(entry.net, problem.encoding, float(entry.score))
        self.history = entry.history

    def _keep(self, network: Network, encoding: Encoding, score: float | None) -> None:
        self._network, self._encoding, self.validation_score = network, encoding, score

    @property
    def network(self) -> Network:
        """The trained network."""
        return self._fitted()[0]

    @property
    def encoding(self) -> Encoding:
        """How columns become the network's inputs."""
        return self._fitted()[1]

    def _fitted(self) -> tuple[Network, Encoding]:
        if self._network is None or self._encoding is None:
            raise ValueError("this TableModel is not fitted: call fit(frame, target=...) first")
        return self._network, self._encoding

    @property
    def classes(self) -> AnyArray:
        """The classes, in the order of `predict_proba`'s columns: whole numbers, or text."""
        target = self.encoding.target
        if not isinstance(target, ClassTarget):
            raise ValueError(f"{target.name} is predicted as a number: it has no classes")
        names = np.array(target.classes)
        try:
            whole: AnyArray = names.astype(np.int64)
        except ValueError:
            return names
        return whole if (whole.astype(str) == names).all() else names

    def predict(self, frame: Any) -> AnyArray:
        """Predict the target for each row.

        Parameters
        ----------
        frame : mapping, frame, or path
            A table with the columns that the model was fitted to, in any order.

        Returns
        -------
        ndarray of shape (n,) or (n, targets)
            Classes by name, or numbers in the target's units.

        Raises
        ------
        TypeError, ValueError
            When the table lacks a column, or a cell cannot be used.
        """
        outputs = self._outputs(frame)
        if isinstance(self.encoding.target, ClassTarget):
            named: AnyArray = self.classes[outputs.argmax(axis=1)]
            return named
        return self.encoding.target.to_values(outputs)

    def predict_proba(self, frame: Any) -> FloatArray:
        """Return each class's probability for each row, of shape (n, classes); see `classes`."""
        _ = self.classes
        return self._outputs(frame)

    def score(self, frame: Any) -> float:
        """Return the accuracy, or R^2 (the mean over several targets), on a table with the target.

        Parameters
        ----------
        frame : mapping, frame, or path
            A table with the columns that the model was fitted to, and the target.
        """
        with _in_python():
            table = as_table(frame)
            require_columns(table, self.encoding.target.names, "which the model predicts")
            y = self.encoding.target.encode(table)
        return self.encoding.target.score(self._outputs(table), y)

    def _outputs(self, frame: Any) -> FloatArray:
        network, encoding = self._fitted()
        with _in_python():
            table = as_table(frame)
            require_columns(table, encoding.names, "which the model was trained on", encoding)
            if gaps := find_gaps(table, encoding.gapless):
                raise InputError(f"{gaps}; in training these columns had none")
            return network.predict(encoding.features(table))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, in NumPy's npz format, without pickle.

        Parameters
        ----------
        path : path_like
            The file. An existing file is replaced. `TableModel.load`, `fastgd.load` and the command
            ``fastgd predict`` read it.
        """
        _files.write(path, "model", model_entries(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TableModel:
        """Read a model that `save`, or the command line's ``--save``, wrote."""
        with _files.opened(path) as file:
            return cls.read(file, read_network(file))

    @classmethod
    def read(cls, file: _files.Contents, net: Network) -> TableModel:
        """Return the model in an open file, whose network was read."""
        if "table" not in file.header:
            raise _files.RefusedError(
                f"{file.path!r} holds a network without the columns that it reads: read it with "
                "fastgd.load. TableModel.save and `fastgd FILE --save` write models of tables"
            )
        try:
            encoding, kept = read_entries(file, net)
            model = cls(**kept["settings"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _files.RefusedError(f"{file.path!r} cannot be used: {error}") from error
        model._keep(net, encoding, kept["score"])
        model.notes = kept["notes"]
        return model

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: the model, and what was done with the data."""
        from html import escape

        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p>{escape(repr(self))}</p>\n<ul>{notes}</ul>"

    def __repr__(self) -> str:
        if self._encoding is None:
            return "TableModel(not fitted)"
        target = self.encoding.target
        metric = "accuracy" if isinstance(target, ClassTarget) else "R^2"
        score = self.validation_score
        shown = "" if score is None else f", {metric} {score:.3g} on rows set aside"
        sizes = "-".join(map(str, self.network.sizes))
        return f"TableModel({target.name} from {self.encoding.describe()}; {sizes}{shown})"


def _names_of(target: Any) -> list[str]:
    """Return the names of several targets, checked."""
    if (
        not isinstance(target, Sequence)
        or not target
        or not all(isinstance(t, str) for t in target)
    ):
        raise TypeError(
            "target must be the name of a column, or several in a list, not "
            f"{show(target)}: names that are not text count as their text, such as '2' for 2"
        )
    return list(target)


def _names(argument: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{argument} must list names of columns, as ['a'], not {show(names)}")
    return tuple(names)


@contextmanager
def _in_python() -> Iterator[None]:
    """Name arguments instead of the command line's options in messages."""
    try:
        yield
    except InputError as error:
        text = re.sub(r"--([a-z][a-z-]*)", lambda m: m[1].replace("-", "_") + "=", str(error))
        raise InputError(text) from error
