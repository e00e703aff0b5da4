"""Callbacks that report a training to other packages; the extra ``trackers`` installs these.

Each is given to `fastgd.train` in ``callbacks``. After each epoch it reports what the epoch has
computed: "loss", and where the training has them "validation_loss", the metrics by name and, with
``validation_`` before it, those on the validation data; and "learning_rate". Steps are epochs,
counted from 1. A package is imported when its callback is created.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastgd._extras import need
from fastgd._validation import check_choice

if TYPE_CHECKING:
    import optuna

    from fastgd.history import History
    from fastgd.network import Network

__all__ = ["MLflow", "Optuna", "TensorBoard", "WandB"]


def __dir__() -> list[str]:
    return __all__


def _values(history: History) -> dict[str, float]:
    """Return the last epoch's values, by name."""
    return history._latest() | {"learning_rate": history.learning_rate[-1]}


class Optuna:
    """Reports a training to a trial of Optuna, and ends it when the trial is to be pruned.

    Parameters
    ----------
    trial : optuna.Trial
        The trial.
    monitor : str, optional
        Which value to report: the validation loss if not given, or the training loss without
        validation data.

    Raises
    ------
    optuna.TrialPruned
        From a call, when the study's pruner decides so. `fastgd.train` passes it on, and
        ``study.optimize`` records the trial as pruned.

    Examples
    --------
    >>> import fastgd as gd
    >>> import numpy as np
    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> def objective(trial):
    ...     rate = trial.suggest_float("learning_rate", 1e-4, 1.0, log=True)
    ...     net = gd.Network([1, 8, 1], rng=0)
    ...     history = gd.train(
    ...         net, X, X[:, 0] ** 2, optimizer=gd.Adam(rate), epochs=20, validation=0.2,
    ...         callbacks=[gd.callbacks.Optuna(trial)], rng=0,
    ...     )
    ...     return history.validation_loss[-1]
    >>> study = optuna.create_study(
    ...     sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.MedianPruner()
    ... )
    >>> study.optimize(objective, n_trials=10)
    >>> study.best_value < 0.1
    True
    """

    def __init__(self, trial: optuna.Trial, *, monitor: str | None = None) -> None:
        self._optuna = need("optuna", "trackers", "fastgd.callbacks.Optuna")
        self.trial = trial
        self.monitor = monitor

    def __call__(self, net: Network, history: History) -> None:
        """Report the epoch that has just ended."""
        values = _values(history)
        monitor = self.monitor
        if monitor is None:
            monitor = "validation_loss" if "validation_loss" in values else "loss"
        check_choice("monitor", monitor, values)
        self.trial.report(values[monitor], history.epochs)
        if self.trial.should_prune():
            raise self._optuna.TrialPruned(f"pruned after epoch {history.epochs}")


class MLflow:
    """Logs a training to the active run of MLflow, which starts one if there is none."""

    def __init__(self) -> None:
        self._mlflow = need("mlflow", "trackers", "fastgd.callbacks.MLflow")

    def __call__(self, net: Network, history: History) -> None:
        """Report the epoch that has just ended."""
        self._mlflow.log_metrics(_values(history), step=history.epochs)


class TensorBoard:
    """Writes a training's values to a folder that TensorBoard shows.

    Parameters
    ----------
    folder : path_like
        The folder; created if it does not exist. TensorBoard shows the folders in one as runs to
        compare.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        summary = need("tensorboard.summary", "trackers", "fastgd.callbacks.TensorBoard")
        self._writer = summary.Writer(os.fsdecode(folder))

    def __call__(self, net: Network, history: History) -> None:
        """Report the epoch that has just ended."""
        for name, value in _values(history).items():
            self._writer.add_scalar(name, value, step=history.epochs)
        self._writer.flush()


class WandB:
    """Logs a training to a run of Weights & Biases.

    Parameters
    ----------
    run : wandb.Run, optional
        The run; the active one if not given.

    Raises
    ------
    ValueError
        When there is no active run.
    """

    def __init__(self, run: Any = None) -> None:
        wandb = need("wandb", "trackers", "fastgd.callbacks.WandB")
        self.run = wandb.run if run is None else run
        if self.run is None:
            raise ValueError("there is no active run of Weights & Biases: call wandb.init() first")

    def __call__(self, net: Network, history: History) -> None:
        """Report the epoch that has just ended."""
        self.run.log(_values(history), step=history.epochs, commit=True)
