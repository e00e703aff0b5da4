"""The rule for when a training no longer improves.

`EarlyStopping` is the argument of ``train(early_stopping=...)``. `Patience` is the rule itself,
which plateau schedules and the estimators use too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastgd import _validation, _words
from fastgd._frozen import frozen, set_fields

__all__ = ["EarlyStopping", "Patience", "Waiting", "check_early_stopping"]


class Waiting(NamedTuple):
    """The state of a `Patience` between epochs.

    Attributes
    ----------
    best : float
        The value to beat.
    epochs : int
        Epochs in a row that did not beat it.
    """

    best: float = math.inf
    epochs: int = 0


@dataclass(frozen=True)
class Patience:
    """The number of epochs in a row without an improvement to wait for. Lower values are better.

    Parameters
    ----------
    epochs : int
        The patience is exhausted after this many epochs.
    min_delta : float
        A value improves when it is lower than the best by more than this.
    relative : bool
        Whether `min_delta` is relative to the best value's magnitude.
    lenient : bool
        scikit-learn's rule: a value exactly at the bound is an improvement too, and every lower
        value becomes the best, even if it is not an improvement.
    """

    epochs: int
    min_delta: float = 0.0
    relative: bool = False
    lenient: bool = False

    def observe(self, waiting: Waiting, value: float) -> Waiting:
        """Return the state after an epoch with this value."""
        improved = self.improves(waiting.best, value)
        follows = improved or (self.lenient and value < waiting.best)
        best = float(value) if follows else waiting.best
        return Waiting(best, 0 if improved else waiting.epochs + 1)

    def improves(self, best: float, value: float) -> bool:
        """Return whether a value improves on the best one. NaN never does."""
        if best == math.inf:
            return value < best  # the first value
        if self.relative:  # best - min_delta * abs(best), for positive values as torch rounds it
            bound = best * (1 - self.min_delta if best > 0 else 1 + self.min_delta)
        else:
            bound = best - self.min_delta
        return value <= bound if self.lenient else value < bound

    def exhausted(self, waiting: Waiting) -> bool:
        """Return whether the patience is exhausted."""
        return waiting.epochs >= self.epochs


@frozen
class EarlyStopping:
    """Stop a training that no longer improves, and restore its best epoch.

    Parameters
    ----------
    patience : int
        Stop after this many epochs in a row without an improvement; at least 1.
    min_delta : float
        How much better than the best a value must be to count as an improvement; at least 0.
    monitor : str
        The value to watch: "validation_loss", "loss" (the training loss), or the name of one of
        the training's metrics, with the prefix ``validation_`` for the validation data.
    restore_best : bool
        Whether to restore the parameters of the best epoch; otherwise keep the last ones.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 5))
    >>> y = X[:, 0] + rng.standard_normal(200)
    >>> net = gd.Network([5, 64, 1], rng=0)
    >>> history = gd.train(
    ...     net, X, y, epochs=500, optimizer=gd.Adam(0.01), rng=0, validation=0.25,
    ...     early_stopping=gd.EarlyStopping(patience=10),
    ... )
    >>> history.best_epoch == history.epochs - 10 < 490
    True
    """

    patience: int = 5
    min_delta: float = 0.0
    monitor: str = "validation_loss"
    restore_best: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        if not isinstance(self.monitor, str):
            raise TypeError(
                f"monitor must be a name such as 'validation_loss', not {_words.show(self.monitor)}"
            )
        set_fields(
            self,
            patience=_validation.check_int("patience", self.patience, at_least=1),
            min_delta=_validation.check_real("min_delta", self.min_delta, at_least=0),
            restore_best=_validation.check_bool("restore_best", self.restore_best),
        )

    @property
    def rule(self) -> Patience:
        """The rule that counts epochs without an improvement."""
        return Patience(self.patience, self.min_delta)


def check_early_stopping(value: Any) -> EarlyStopping | None:
    """Return the `EarlyStopping` that the argument means, or None."""
    if value is None or isinstance(value, EarlyStopping):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        hint = ""
        if value is True:
            hint = ": early_stopping=5 waits for 5 epochs without an improvement"
        raise TypeError(
            "early_stopping must be a number of epochs to wait, or a fastgd.EarlyStopping, not "
            f"{_words.show(value)}{hint}"
        )
    return EarlyStopping(_validation.check_int("early_stopping", value, at_least=1))
