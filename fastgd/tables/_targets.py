"""Targets: how columns become what a network learns, and predictions become values again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgd.tables._inputs import encode_values, numbers_or_error
from fastgd.tables._table import Table

__all__ = ["ClassTarget", "NumberTarget", "NumbersTarget", "Target"]


@dataclass(frozen=True)
class NumberTarget:
    """The target of a regression, standardised."""

    name: str
    mean: float
    scale: float

    task = "regression"
    loss = "squared_error"
    outputs = 1

    def encode(self, table: Table) -> NDArray[Any]:
        """Return the standardised targets, of shape (n,)."""
        values = numbers_or_error(table, self.name, "is the target of a regression")
        return ((values - self.mean) / self.scale).astype(np.float32)

    @property
    def names(self) -> tuple[str, ...]:
        """The column's name."""
        return (self.name,)

    def to_values(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Return predictions of shape (n,) in the target's units."""
        return predictions.astype(np.float64) * self.scale + self.mean

    def decode(self, predictions: NDArray[Any]) -> list[str]:
        """Return predictions of shape (n,) as text, in the target's units.

        The decimals match the precision of float32 relative to the deviation; there is no
        exponent unless numbers are very large or small.
        """
        values = self.to_values(predictions)
        decimals = 5 - math.floor(math.log10(self.scale))
        if not -10 <= decimals <= 15:
            return [f"{value:.6g}" for value in values]
        texts = (f"{round(value, max(0, decimals)) + 0.0:.{max(1, decimals)}f}" for value in values)
        return [text.rstrip("0").rstrip(".") for text in texts]

    def score(self, predictions: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the coefficient of determination, R^2; -inf if y is constant."""
        residual = np.square(predictions.astype(np.float64) - y).sum()
        total = np.square(y - y.mean(dtype=np.float64)).sum()
        return float(1 - residual / total) if total > 0 else -np.inf


@dataclass(frozen=True)
class NumbersTarget:
    """Several targets of a regression, one output each."""

    targets: tuple[NumberTarget, ...]

    task = "regression"
    loss = "squared_error"

    @property
    def outputs(self) -> int:
        """The number of outputs, one per target."""
        return len(self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(target.name for target in self.targets)

    @property
    def name(self) -> str:
        """All names."""
        return ", ".join(self.names)

    def encode(self, table: Table) -> NDArray[Any]:
        """Return the standardised targets, of shape (n, targets)."""
        return np.stack([target.encode(table) for target in self.targets], axis=1)

    def to_values(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Return predictions of shape (n, targets) in the targets' units."""
        columns = zip(self.targets, predictions.T, strict=True)
        return np.stack([target.to_values(column) for target, column in columns], axis=1)

    def decode(self, predictions: NDArray[Any]) -> list[list[str]]:
        """Return predictions of shape (n, targets) as texts, in the targets' units."""
        columns = zip(self.targets, predictions.T, strict=True)
        texts = [target.decode(column) for target, column in columns]
        return [list(row) for row in zip(*texts, strict=True)]

    def score(self, predictions: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the mean of the targets' coefficients of determination."""
        columns = zip(self.targets, predictions.T, y.T, strict=True)
        return float(np.mean([target.score(*column) for target, *column in columns]))


@dataclass(frozen=True)
class ClassTarget:
    """The target of a classification: the names of its classes."""

    name: str
    classes: tuple[str, ...]

    task = "classification"
    loss = "cross_entropy"

    @property
    def outputs(self) -> int:
        """The number of outputs, one per class."""
        return len(self.classes)

    def encode(self, table: Table) -> NDArray[Any]:
        """Return class indices, of shape (n,)."""
        return encode_values(table, self.name, self.classes, "error")

    @property
    def names(self) -> tuple[str, ...]:
        """The column's name."""
        return (self.name,)

    def to_values(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Return the most probable classes' names, from probabilities of shape (n, classes)."""
        names: NDArray[Any] = np.array(self.classes)[predictions.argmax(axis=1)]
        return names

    def decode(self, predictions: NDArray[Any]) -> list[str]:
        """Return the most probable classes' names, from probabilities of shape (n, classes)."""
        return [self.classes[i] for i in predictions.argmax(axis=1)]

    def score(self, predictions: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the accuracy: the share of correct predictions."""
        return float(np.mean(predictions.argmax(axis=1) == y))


Target = NumberTarget | NumbersTarget | ClassTarget
