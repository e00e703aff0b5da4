"""Nodes of arithmetic: products, sums, differences, squares, means, and a layer's raw outputs."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastgd._typing import AnyArray, FloatArray
from fastgd.nodes._node import Elementwise, Node, total

__all__ = ["Affine", "Mean", "Minus", "Multiply", "Plus", "Square", "Sum"]


class Multiply(Elementwise):
    """The product a * b: passes back b to a, and a to b.

    If a is a number theta and b an array of samples x, theta gets the sum of x times the upstream
    gradient, and its Jacobian is the column x.

    Its inputs are a and b: arrays of one shape, or one of them a single number.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Multiply()
    >>> node.forward(3.0, [1.0, 2.0])
    array([3., 6.])
    >>> node.backward([1.0, 10.0])
    (array(21.), array([ 3., 30.]))
    >>> node.jacobian()[0]
    array([[1.],
           [2.]])
    """

    _names = ("a", "b")
    _rules = ("{1} * g", "{0} * g")

    def _value(self, a: FloatArray, b: FloatArray) -> FloatArray:
        return a * b

    def _slopes(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, ...]:
        return b, a


class Plus(Elementwise):
    """The sum a + b: passes the upstream gradient on unchanged. Its Jacobian is the identity.

    Its inputs are a and b: arrays of one shape, or one of them a single number.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Plus()
    >>> node.forward([1.0, 2.0], [3.0, 4.0])
    array([4., 6.])
    >>> node.backward([0.5, 0.25])
    (array([0.5 , 0.25]), array([0.5 , 0.25]))
    >>> node.jacobian()[0]
    array([[1., 0.],
           [0., 1.]])
    """

    _names = ("a", "b")
    _rules = ("g", "g")

    def _value(self, a: FloatArray, b: FloatArray) -> FloatArray:
        return a + b

    def _slopes(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, ...]:
        return np.ones_like(a), np.ones_like(b)


class Minus(Elementwise):
    """The difference a - b: b gets minus the upstream gradient. Its Jacobian is -identity.

    Its inputs are a and b: arrays of one shape, or one of them a single number.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Minus()
    >>> node.forward([1.0, 3.0], [2.0, 3.0])
    array([-1.,  0.])
    >>> node.backward([0.5, 0.25])
    (array([0.5 , 0.25]), array([-0.5 , -0.25]))
    """

    _names = ("a", "b")
    _rules = ("g", "-g")

    def _value(self, a: FloatArray, b: FloatArray) -> FloatArray:
        return a - b

    def _slopes(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, ...]:
        return np.ones_like(a), -np.ones_like(b)


class Square(Elementwise):
    """The square of z: passes back 2z times the upstream gradient. Its Jacobian is diagonal.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Square()
    >>> node.forward([-1.0, 3.0])
    array([1., 9.])
    >>> node.backward([0.5, 0.5])
    array([-1.,  3.])
    >>> node.jacobian()
    array([[-2.,  0.],
           [ 0.,  6.]])
    """

    _rules = ("2 {0} * g",)

    def _value(self, z: FloatArray) -> FloatArray:
        return z * z

    def _slopes(self, z: FloatArray) -> tuple[FloatArray, ...]:
        return (2 * z,)


class _Reduction(Node):
    """A single number computed from all elements with equal weight."""

    def _check(self, inputs: tuple[ArrayLike, ...]) -> tuple[AnyArray, ...]:
        (z,) = super()._check(inputs)
        if z.size == 0:
            raise ValueError(
                f"{type(self).__name__} takes at least one number, but z is empty: its shape is "
                f"{z.shape}"
            )
        return (z,)

    @abc.abstractmethod
    def _share(self, z: FloatArray) -> FloatArray:
        """Return the derivative with respect to each element."""

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray, ...]:
        (z,) = self._inputs
        return (np.full_like(z, upstream * self._share(z)),)

    def _jacobians(self) -> tuple[FloatArray, ...]:
        (z,) = self._inputs
        return (np.full((1, z.size), self._share(z)),)


class Mean(_Reduction):
    """The mean of all elements, the cost node: each loss enters with weight 1/n and gets back 1/n.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Mean()
    >>> node.forward([1.0, 0.0])
    array(0.5)
    >>> node.backward()
    array([0.5, 0.5])
    >>> node.jacobian()
    array([[0.5, 0.5]])
    """

    _names = ("z",)

    def _value(self, z: FloatArray) -> FloatArray:
        return np.asarray(z.mean(dtype=np.float64), z.dtype)

    def _share(self, z: FloatArray) -> FloatArray:
        return np.asarray(1 / z.size, z.dtype)

    def _rule(self, index: int, names: Sequence[str]) -> str:
        return f"g / {self._inputs[0].size:,}"


class Sum(_Reduction):
    """The sum of all elements: the cost if losses are summed, not averaged.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Sum()
    >>> node.forward([1.0, 2.0])
    array(3.)
    >>> node.backward()
    array([1., 1.])
    """

    def _value(self, z: FloatArray) -> FloatArray:
        return total(z)

    def _share(self, z: FloatArray) -> FloatArray:
        return np.ones((), z.dtype)


class Affine(Node):
    """A layer's raw outputs, X @ W + b.

    With upstream gradient G it passes back G @ W.T to X, X.T @ G to W, and the sum of G's rows
    to b (Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.5.6).

    Its inputs are X of shape (n, inputs), W of shape (inputs, outputs) and b of shape (outputs,).

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Affine()
    >>> node.forward([[1.0, 2.0]], [[3.0], [4.0]], [0.5])
    array([[11.5]])
    >>> for gradient in node.backward([[10.0]]):
    ...     print(gradient.tolist())
    [[30.0, 40.0]]
    [[10.0], [20.0]]
    [10.0]
    """

    _names = ("X", "W", "b")
    _rules = ("g @ {1}.T", "{0}.T @ g", "sum of g's rows")

    def _check(self, inputs: tuple[ArrayLike, ...]) -> tuple[AnyArray, ...]:
        X, W, b = arrays = super()._check(inputs)
        if X.ndim != 2 or W.ndim != 2 or X.shape[1] != len(W) or b.shape != W.shape[1:]:
            raise ValueError(
                "Affine takes X of shape (n, inputs), W of shape (inputs, outputs) and b of "
                f"shape (outputs,), not {X.shape}, {W.shape} and {b.shape}"
            )
        return arrays

    def _value(self, X: FloatArray, W: FloatArray, b: FloatArray) -> FloatArray:
        result: FloatArray = X @ W + b
        return result

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray, ...]:
        X, W, _ = self._inputs
        return upstream @ W.T, X.T @ upstream, upstream.sum(axis=0)

    def _jacobians(self) -> tuple[FloatArray, ...]:
        X, W, _ = self._inputs
        n, outputs = len(X), W.shape[1]
        each_output = np.eye(outputs, dtype=W.dtype)
        return (
            np.kron(np.eye(n, dtype=W.dtype), W.T),
            np.kron(X, each_output),
            np.tile(each_output, (n, 1)),
        )
