"""The base class of nodes: forward, backward and Jacobian, and the checks of inputs."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data
from fastgd._typing import AnyArray, FloatArray

__all__ = ["Elementwise", "Node", "as_floats", "total"]


def as_floats(values: Sequence[Any], names: Sequence[str]) -> tuple[FloatArray, ...]:
    """Return copies in one dtype: float32 if every array is, else float64.

    Python's own numbers take the arrays' dtype, as they do in NumPy.
    """
    arrays = [_data.check_numbers(name, value) for name, value in zip(names, values, strict=True)]
    firm = [
        array.dtype
        for array, value in zip(arrays, values, strict=True)
        if isinstance(value, np.generic) or not isinstance(value, (int, float))
    ]
    single = bool(firm) and all(dtype == np.float32 for dtype in firm)
    dtype = np.dtype(np.float32 if single else np.float64)
    return tuple(np.array(array, dtype, order="C") for array in arrays)


def total(array: FloatArray) -> FloatArray:
    """Return the sum of all elements, computed in float64, in the array's dtype."""
    return np.asarray(array.sum(dtype=np.float64), array.dtype)


class Node(abc.ABC):
    """The base class of nodes: forward, backward, and the explicit Jacobian.

    A node keeps copies of the inputs of its last forward pass for the backward pass. Float32
    arrays are processed in float32, all others in float64.

    Examples
    --------
    >>> import fastgd as gd
    >>> minus = gd.nodes.Minus()
    >>> minus.forward([1.0, 3.0], [2.0, 3.0])
    array([-1.,  0.])
    >>> minus.backward([10.0, 20.0])
    (array([10., 20.]), array([-10., -20.]))
    >>> minus.jacobian()[1]
    array([[-1.,  0.],
           [ 0., -1.]])
    """

    #: the inputs' names, for messages
    _names: ClassVar[tuple[str, ...]] = ("z",)
    #: the gradient for each input, with {0}, {1} for the inputs and g for the upstream gradient
    _rules: ClassVar[tuple[str, ...]] = ("g",)

    def __init__(self) -> None:
        self._inputs: tuple[AnyArray, ...] = ()
        self._output: FloatArray | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def forward(self, *inputs: ArrayLike) -> FloatArray:
        """Return the node's value.

        Parameters
        ----------
        *inputs : array_like
            As documented for the class.

        Returns
        -------
        ndarray
            A single number has shape ().

        Raises
        ------
        TypeError, ValueError
            When the number, the dtypes or the shapes of the inputs do not fit.
        """
        if len(inputs) != len(self._names):
            raise TypeError(
                f"{type(self).__name__} takes {len(self._names)} input(s), "
                f"{', '.join(self._names)}, but {len(inputs)} were given"
            )
        checked = self._check(inputs)
        output = np.asarray(self._value(*checked))
        self._inputs, self._output = checked, output
        return output

    def backward(self, upstream: ArrayLike = 1.0) -> Any:
        """Return the gradient for each input: the upstream gradient times the Jacobian.

        Parameters
        ----------
        upstream : array_like, in the shape of the last forward pass's value
            The derivative of the cost with respect to this node's value. The default, 1, is for
            the cost node, whose value is a single number.

        Returns
        -------
        ndarray, or tuple of ndarray for several inputs
            In the shapes of the inputs.

        Raises
        ------
        RuntimeError
            Before the first forward pass.
        TypeError, ValueError
            When upstream is not such an array.
        """
        return self._one_or_all(self._gradients(self._check_upstream(upstream)))

    def jacobian(self) -> Any:
        """Return the Jacobian at the last forward pass, for each input.

        Element (i, j) is the derivative of the value's element i with respect to the input's
        element j, with arrays flattened row by row. `backward` multiplies by it without forming
        it: for n numbers it has n x n elements.

        Returns
        -------
        ndarray of shape (value.size, input.size), or tuple of them for several inputs
            The matrix.

        Raises
        ------
        RuntimeError
            Before the first forward pass.
        """
        self._last_output("jacobian")
        return self._one_or_all(self._jacobians())

    def _check(self, inputs: tuple[ArrayLike, ...]) -> tuple[AnyArray, ...]:
        """Return copies of the inputs as arrays that `_value` takes."""
        return as_floats(inputs, self._names)

    @abc.abstractmethod
    def _value(self, *inputs: Any) -> FloatArray:
        """Return the node's value, given the inputs that `_check` returned."""

    @abc.abstractmethod
    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray | None, ...]:
        """Return the gradient for each input; None for one without a derivative."""

    @abc.abstractmethod
    def _jacobians(self) -> tuple[FloatArray | None, ...]:
        """Return the Jacobian for each input; None for one without a derivative."""

    def _rule(self, index: int, names: Sequence[str]) -> str:
        """Return the formula of the gradient for an input."""
        return self._rules[index].format(*names)

    def _last_output(self, what: str) -> FloatArray:
        if self._output is None:
            raise RuntimeError(
                f"{self!r} has no forward pass yet, but {what}() uses the last one: "
                "call forward() first"
            )
        return self._output

    def _check_upstream(self, upstream: ArrayLike) -> FloatArray:
        output = self._last_output("backward")
        (checked,) = as_floats([upstream], ["upstream"])
        if checked.shape != output.shape:
            raise ValueError(
                f"upstream has shape {checked.shape}, but must have {output.shape}, that of "
                f"{self!r}'s value in the last forward pass"
            )
        return checked.astype(output.dtype)

    @staticmethod
    def _one_or_all(results: tuple[FloatArray | None, ...]) -> Any:
        there = tuple(result for result in results if result is not None)
        return there[0] if len(there) == 1 else there


class Elementwise(Node):
    """A function of single numbers, applied elementwise; single numbers are broadcast."""

    def _check(self, inputs: tuple[ArrayLike, ...]) -> tuple[AnyArray, ...]:
        arrays = super()._check(inputs)
        shapes = [array.shape for array in arrays if array.ndim > 0]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{type(self).__name__} takes arrays of one shape, or an array and a single "
                f"number, not shapes {' and '.join(map(str, shapes))}; reshape one of them"
            )
        return arrays

    @abc.abstractmethod
    def _slopes(self, *inputs: Any) -> tuple[FloatArray, ...]:
        """Return the derivative for each input, of the value's shape or of shape ()."""

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray, ...]:
        products = (upstream * slope for slope in self._slopes(*self._inputs))
        return tuple(
            np.asarray(product) if array.shape == upstream.shape else total(product)
            for array, product in zip(self._inputs, products, strict=True)
        )

    def _jacobians(self) -> tuple[FloatArray, ...]:
        shape = self._last_output("jacobian").shape
        slopes = (np.broadcast_to(s, shape).reshape(-1) for s in self._slopes(*self._inputs))
        return tuple(
            np.diag(slope) if array.shape == shape else slope.reshape(-1, 1).copy()
            for array, slope in zip(self._inputs, slopes, strict=True)
        )

    def _rule(self, index: int, names: Sequence[str]) -> str:
        rule = super()._rule(index, names)
        whole = self._inputs[index].shape == self._last_output("trace").shape
        return rule if whole else f"sum({rule})"
