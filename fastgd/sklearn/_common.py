"""Shared by all estimators: the check for scikit-learn, schedules, callbacks, the progress bar.

This module does not depend on any model, and is imported only with ``fastgd.sklearn``.
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
from fastgd._extras import need
from fastgd._progress import Bar, load_tqdm
from fastgd._typing import AnyArray
from fastgd.engine.engine import max_threads
from fastgd.schedules import Schedule, make_schedule

__all__ = [
    "CallbackSupport",
    "PickleCompatible",
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
    """Raise an ImportError that says what to do if scikit-learn is missing or too old."""
    version = need("sklearn", "sklearn", "fastgd.sklearn").__version__
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


#: the mixin with ``set_callbacks``, if the installed scikit-learn has it
CallbackSupport: Any = _callback_support()


class PickleCompatible:
    """A mixin that stores an estimator's parameters, and loads pickles of earlier versions."""

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Set the parameters, from the ``locals()`` of ``__init__``."""
        for name, value in arguments.items():
            if name != "self":
                setattr(self, name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load a pickle; parameters that did not exist in its version get their defaults."""
        defaults = inspect.signature(type(self)).parameters.values()
        super().__setstate__({p.name: p.default for p in defaults} | state)  # type: ignore[misc]


def has_validation(X_val: Any, y_val: Any, sample_weight_val: Any) -> bool:
    """Return whether the user gives validation data; raise if a part of them is missing."""
    if X_val is not None and y_val is not None:
        return True
    if X_val is None and y_val is None and sample_weight_val is None:
        return False
    raise ValueError(
        "X_val and y_val go together, and sample_weight_val with them: give both, or neither to "
        "set a part of X aside"
    )


def check_probabilities(y: AnyArray) -> None:
    """Raise if a matrix of targets does not hold a probability for each class."""
    total = y.sum(axis=1)
    if (y < 0).any() or not np.allclose(total, 1, atol=1e-3):
        raise ValueError(
            "y as a matrix must hold probabilities: none below 0, each row with the sum 1; "
            f"the sums here are from {total.min():g} to {total.max():g}"
        )


def schedule_of(learning_rate: Any) -> Schedule | None:
    """Return the schedule; None for scikit-learn's names of learning rates."""
    return None if isinstance(learning_rate, str) else make_schedule(learning_rate, "learning_rate")


def check_epochs(estimator: Any) -> None:
    """Check an estimator's schedule and callbacks, and that the progress bar is available."""
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
    """Return the maximum number of threads: the user's, or all, but 1 in joblib's threads.

    To its processes joblib gives their share through OMP_NUM_THREADS.
    """
    if n_threads is not None:
        return min(int(n_threads), max_threads())
    if threading.current_thread() is not threading.main_thread():
        backend, _ = importlib.import_module("joblib.parallel").get_active_backend()
        if backend.nesting_level:
            return 1
    return max_threads()


class Progress:
    """Reports the progress of a fit: lines or a bar, and callbacks.

    Use it as a context manager around the epochs.

    Parameters
    ----------
    estimator : estimator
        Passed to the callbacks.
    total : int
        The maximum number of epochs.
    X, y : array_like
        The data, for scikit-learn's callbacks.
    metadata : dict
        The sample weights, for scikit-learn's callbacks.
    fitted : callable
        Returns the attributes that turn a copy of the estimator into a fitted one.
    native : bool
        Whether to call scikit-learn's own callbacks (`set_callbacks`).
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
        """Print a line, if the estimator is verbose."""
        if self._lines:
            print(line)

    def begin_epoch(self) -> None:
        """Tell scikit-learn's callbacks that an epoch starts."""
        if self._context is not None:
            self._task = self._context.subcontext(task_name="epoch")
            self._task.call_on_fit_task_begin(**self._data)

    def end_epoch(self, **shown: float) -> bool:
        """Update the bar, call the callbacks; return whether one of them stops the training."""
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
            "one line per epoch"
        )
    return tqdm
