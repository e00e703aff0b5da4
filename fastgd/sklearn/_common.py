"""What the estimators share: the check for scikit-learn, schedules, callbacks, a progress bar.

Nothing here knows about models, and nothing here is imported unless ``fastgd.sklearn`` is.
"""

from __future__ import annotations

import importlib
import inspect
import re
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import numpy as np

from fastgd import _validation, _words
from fastgd._progress import Bar, load_tqdm
from fastgd._typing import AnyArray
from fastgd.engine.engine import max_threads
from fastgd.schedules import Schedule, make_schedule

__all__ = [
    "CallbackSupport",
    "Loads",
    "Progress",
    "check_epochs",
    "check_probabilities",
    "check_scikit_learn",
    "count_threads",
    "has_validation",
    "schedule_of",
]

OLDEST = (1, 7)


def check_scikit_learn() -> None:
    """Raise an ImportError that says what to do when scikit-learn is missing or too old."""
    try:
        version = importlib.import_module("sklearn").__version__
    except ImportError:
        raise ImportError(
            "fastgd.sklearn needs scikit-learn: pip install 'fastgd[sklearn]'"
        ) from None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise ImportError(
            f"fastgd.sklearn needs scikit-learn 1.7 or newer, and {version} is installed: "
            "pip install 'fastgd[sklearn]'"
        )


def _callback_support() -> type:
    """Return scikit-learn's mixin for callbacks; an empty class before scikit-learn 1.9."""
    try:
        mixin: type = importlib.import_module("sklearn.callback").CallbackSupportMixin
    except ImportError:
        return type("CallbackSupport", (), {})
    return mixin


#: what gives an estimator ``set_callbacks``, where the installed scikit-learn has it
CallbackSupport: Any = _callback_support()


class Loads:
    """Estimators that keep their parameters, and whose pickles later versions load."""

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Set the parameters, from the ``locals()`` of ``__init__``."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a pickle over; parameters that are younger than it get their defaults."""
        defaults = inspect.signature(type(self)).parameters.values()
        super().__setstate__({p.name: p.default for p in defaults} | state)  # type: ignore[misc]


def has_validation(X_val: Any, y_val: Any, sample_weight_val: Any) -> bool:
    """Return whether the user brings data for validation; raise where a part of it is missing."""
    if X_val is not None and y_val is not None:
        return True
    if X_val is None and y_val is None and sample_weight_val is None:
        return False
    raise ValueError(
        "X_val and y_val go together, and sample_weight_val with them: give both, or neither to "
        "set a part of X aside"
    )


def check_probabilities(y: AnyArray) -> None:
    """Raise where a matrix of targets does not hold a probability for each class."""
    total = y.sum(axis=1)
    if (y < 0).any() or not np.allclose(total, 1, atol=1e-3):
        raise ValueError(
            "y as a matrix must hold probabilities: none below 0, each row with the sum 1; "
            f"the sums here are from {total.min():g} to {total.max():g}"
        )


def schedule_of(learning_rate: Any) -> Schedule | None:
    """Return the schedule that is meant; None for the name of a rule of scikit-learn's."""
    return None if isinstance(learning_rate, str) else make_schedule(learning_rate, "learning_rate")


def check_epochs(estimator: Any) -> None:
    """Raise where an estimator's schedule, callbacks or progress bar can not be."""
    schedule_of(estimator.learning_rate)
    _check_callbacks(estimator.callbacks)
    if estimator.verbose == "bar":
        _tqdm()


def _check_callbacks(callbacks: Any) -> tuple[Callable[[Any], Any], ...]:
    """Return the functions to call after each epoch."""
    if callbacks is None:
        return ()
    if callable(callbacks):
        _validation.check_function("callbacks", callbacks, "estimator")
        return (callbacks,)
    if not isinstance(callbacks, Iterable) or not all(map(callable, callbacks)):
        raise TypeError(
            "callbacks must be a function that takes the estimator, or a list of such "
            f"functions, not {_words.show(callbacks)}"
        )
    return _validation.check_callbacks(callbacks, "estimator")


def count_threads(n_threads: int | None) -> int:
    """Return the most threads to use: OpenMP's number or the user's, but 1 in joblib's threads.

    To its processes joblib gives their share through OpenMP's own setting.
    """
    if n_threads is not None:
        return min(int(n_threads), max_threads())
    if threading.current_thread() is not threading.main_thread():
        backend, _ = importlib.import_module("joblib.parallel").get_active_backend()
        if backend.nesting_level:
            return 1
    return max_threads()


class Progress:
    """What the user sees and hears of a fit: lines or a bar, and callbacks.

    Use it as a context manager around the epochs.

    Parameters
    ----------
    estimator : estimator
        Is handed to the callbacks.
    total : int
        The most epochs.
    X, y : array_like
        What scikit-learn's callbacks may ask for.
    metadata : dict
        The same, of sample weights.
    fitted : callable
        Returns the attributes that make a copy of the estimator a fitted one.
    native : bool
        Whether scikit-learn's own callbacks (`set_callbacks`) take part.
    """

    def __init__(
        self,
        estimator: Any,
        total: int,
        X: Any,
        y: Any,
        metadata: dict[str, Any],
        fitted: Callable[[], dict[str, Any]],
        native: bool,
    ) -> None:
        self._estimator = estimator
        self._functions = _check_callbacks(estimator.callbacks)
        self._lines = bool(estimator.verbose) and estimator.verbose != "bar"
        bar = estimator.verbose == "bar"
        self._bar = Bar(0, total, _tqdm()) if bar else None
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fitted = fitted
        self._context: Any = None
        self._task: Any = None
        if native and hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=total)
            self._context.call_on_fit_task_begin(**self._data)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._context is not None and error is None:
            self._context.call_on_fit_task_end(**self._data, reconstruction_attributes=self._fitted)

    def say(self, line: str) -> None:
        """Print a line, if the user wants to read."""
        if self._lines:
            print(line)

    def begin_epoch(self) -> None:
        """Tell scikit-learn's callbacks that an epoch begins."""
        if self._context is not None:
            self._task = self._context.subcontext(task_name="epoch")
            self._task.call_on_fit_task_begin(**self._data)

    def end_epoch(self, **shown: float) -> bool:
        """Move the bar, call the callbacks; return whether one of them wants to stop."""
        if self._bar is not None:
            self._bar.show(0, 0.0, shown)
        answers = [function(self._estimator) for function in self._functions]
        stop = [_validation.is_true(answer) for answer in answers]
        if self._task is not None:
            stop.append(
                self._task.call_on_fit_task_end(
                    **self._data, reconstruction_attributes=self._fitted
                )
            )
        return any(stop)


def _tqdm() -> Any:
    tqdm = load_tqdm()
    if tqdm is None:
        raise ImportError(
            "verbose='bar' needs tqdm: pip install 'fastgd[sklearn]', or use verbose=True for "
            "one line an epoch"
        )
    return tqdm
