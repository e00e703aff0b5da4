"""Nodes of losses; for their formulas see `fastgd.losses`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data, _validation
from fastgd._typing import AnyArray, FloatArray
from fastgd.losses import LOSSES
from fastgd.nodes._arithmetic import Mean
from fastgd.nodes._node import Node, as_floats

__all__ = ["SampleLoss", "SoftmaxWithLoss"]


class SampleLoss(Node):
    """The loss of each sample, by its name in `fastgd.Network`.

    Parameters
    ----------
    loss : str
        "squared_error", "absolute_error", "huber", "log_loss", "cross_entropy", "hinge",
        "squared_hinge" or "poisson".

    Notes
    -----
    Its inputs are raw outputs z of shape (n, outputs) and targets y of shape (n,) or
    (n, outputs), as the loss takes them. Nothing is passed back to the targets.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.SampleLoss("huber")
    >>> node.forward([[0.5], [3.0]], [0.0, 0.0])
    array([0.125, 2.5  ])
    >>> node.backward([1.0, 1.0])
    array([[0.5],
           [1. ]])
    """

    _names = ("z", "y")

    def __init__(self, loss: str) -> None:
        super().__init__()
        self._loss = LOSSES[_validation.check_choice("loss", loss, LOSSES)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._loss.name!r})"

    def _check(self, inputs: tuple[ArrayLike, ...]) -> tuple[AnyArray, ...]:
        (z,) = as_floats(inputs[:1], ["z"])
        if z.ndim != 2 or z.size == 0 or (self._loss.one_output and z.shape[1] != 1):
            outputs = "1" if self._loss.one_output else "outputs"
            raise ValueError(
                f"{self!r} takes raw outputs z of shape (n, {outputs}), not {z.shape}; "
                "z.reshape(-1, 1) makes one output of a vector"
            )
        y = _data.check_y(inputs[1], len(z), z.shape[1], self._loss.name, z.dtype)
        return z, y.copy()

    def _value(self, z: FloatArray, y: AnyArray) -> FloatArray:
        return self._loss.value(z, y)

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray | None, ...]:
        return upstream[:, np.newaxis] * self._loss.gradient(*self._inputs), None

    def _jacobians(self) -> tuple[FloatArray | None, ...]:
        slope = self._loss.gradient(*self._inputs)
        n, outputs = slope.shape
        matrix = np.zeros((n, n, outputs), slope.dtype)
        matrix[np.arange(n), np.arange(n)] = slope
        return matrix.reshape(n, n * outputs), None

    def _rule(self, index: int, names: Sequence[str]) -> str:
        return f"{self._loss.name}'({', '.join(names)}) * g"


class SoftmaxWithLoss(Node):
    """Softmax and mean cross-entropy in one node: passes back (p - y) / n.

    Here p = softmax(z) are the predicted probabilities (Bishop 2006, Pattern Recognition and
    Machine Learning, eq. 4.109).

    Its inputs are raw outputs z of shape (n, classes), and targets y: class indices of shape
    (n,), or probabilities of shape (n, classes). Nothing is passed back to the targets.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> node = gd.nodes.SoftmaxWithLoss()
    >>> node.forward(np.log([[1.0, 3.0], [1.0, 1.0]]), [1, 0]).round(4)
    np.float64(0.4904)
    >>> node.backward()
    array([[ 0.125, -0.125],
           [-0.25 ,  0.25 ]])
    """

    _names = ("z", "y")
    _rules = ("g * (softmax({0}) - {1}) / {n}", "")

    def __init__(self) -> None:
        super().__init__()
        self._each, self._mean = SampleLoss("cross_entropy"), Mean()

    def _check(self, inputs: tuple[ArrayLike, ...]) -> tuple[AnyArray, ...]:
        return self._each._check(inputs)

    def _value(self, z: FloatArray, y: AnyArray) -> FloatArray:
        return self._mean._value(self._each._value(z, y))

    def _slope(self) -> FloatArray:
        z, y = self._inputs
        slope: FloatArray = LOSSES["cross_entropy"].gradient(z, y) / z.dtype.type(len(z))
        return slope

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray | None, ...]:
        return upstream * self._slope(), None

    def _jacobians(self) -> tuple[FloatArray | None, ...]:
        return self._slope().reshape(1, -1), None

    def _rule(self, index: int, names: Sequence[str]) -> str:
        return self._rules[index].format(*names, n=f"{len(self._inputs[0]):,}")
