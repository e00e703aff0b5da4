"""The nodes of a computational graph: forward, backward and Jacobian of each.

How they are joined is the business of `_graph`. The formulas of activations and losses stand in
`activations` and `losses`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation
from fastgd._typing import AnyArray, FloatArray
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES

__all__ = [
    "ACTIVATION_NODES",
    "GELU",
    "Affine",
    "Identity",
    "LeakyReLU",
    "Mean",
    "Minus",
    "Multiply",
    "Node",
    "Plus",
    "ReLU",
    "SampleLoss",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "SoftmaxWithLoss",
    "Square",
    "Sum",
    "Tanh",
]


def _as_floats(values: Sequence[Any], names: Sequence[str]) -> tuple[FloatArray, ...]:
    """Return copies in one dtype: float32 if every array is, else float64.

    Python's own numbers take the arrays' dtype, as they do in NumPy.
    """
    arrays = []
    for name, value in zip(names, values, strict=True):
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(
                f"{name} is not an array: its rows differ in length ({error})"
            ) from None
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} has dtype {array.dtype}, but must hold real numbers")
        arrays.append(array)
    firm = [
        array.dtype
        for array, value in zip(arrays, values, strict=True)
        if isinstance(value, np.generic) or not isinstance(value, (int, float))
    ]
    single = bool(firm) and all(dtype == np.float32 for dtype in firm)
    dtype = np.dtype(np.float32 if single else np.float64)
    return tuple(np.array(array, dtype, order="C") for array in arrays)


def _sum(array: FloatArray) -> FloatArray:
    """Return the sum of all elements, made in float64, in the array's dtype."""
    return np.asarray(array.sum(dtype=np.float64), array.dtype)


class Node(abc.ABC):
    """What all nodes have: forward, backward, and the explicit Jacobian.

    A node remembers the inputs of its last forward pass (copies of them), which the backward
    pass needs. Float32 arrays are computed with in float32, all others in float64.

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
    #: what is passed back to each input, with {0}, {1} for the inputs and g for the upstream
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
            As the class says.

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
        """Return the gradient by each input: the upstream gradient times the Jacobian.

        Parameters
        ----------
        upstream : array_like, in the shape of the last forward pass's value
            The derivative of what comes after by this node's value. The default is that of the
            cost by itself, for nodes whose value is a single number.

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
        """Return the Jacobian of the last forward pass, by each input.

        Row i holds the derivatives of element i of the value, column j those by element j of
        the input; arrays of two dimensions are counted row by row. It is what `backward`
        multiplies by without forming it: for n numbers it holds n x n.

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
        return _as_floats(inputs, self._names)

    @abc.abstractmethod
    def _value(self, *inputs: Any) -> FloatArray:
        """Return the node's value, given the inputs that `_check` returned."""

    @abc.abstractmethod
    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray | None, ...]:
        """Return the gradient by each input; None for one that has no derivative."""

    @abc.abstractmethod
    def _jacobians(self) -> tuple[FloatArray | None, ...]:
        """Return the Jacobian by each input; None for one that has no derivative."""

    def _rule(self, index: int, names: Sequence[str]) -> str:
        """Say what is passed back to an input."""
        return self._rules[index].format(*names)

    def _last_output(self, what: str) -> FloatArray:
        if self._output is None:
            raise RuntimeError(
                f"{self!r} has no forward pass yet, but {what}() is about the last one: "
                "call forward() first"
            )
        return self._output

    def _check_upstream(self, upstream: ArrayLike) -> FloatArray:
        output = self._last_output("backward")
        (checked,) = _as_floats([upstream], ["upstream"])
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


class _Elementwise(Node):
    """A function of single numbers, applied to each; a number beside an array meets all of it."""

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
        """Return the derivative by each input, of the value's shape or of shape ()."""

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray, ...]:
        products = (upstream * slope for slope in self._slopes(*self._inputs))
        return tuple(
            np.asarray(product) if array.shape == upstream.shape else _sum(product)
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


class Multiply(_Elementwise):
    """The product a * b: passes back b to a, and a to b.

    With a number theta and samples x this is the notes' multiply node: theta gets the sum of
    x times the upstream gradient, and its Jacobian is the column x.

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


class Plus(_Elementwise):
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


class Minus(_Elementwise):
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


class Square(_Elementwise):
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
    """A single number made of all elements, in which each counts the same."""

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
        """Return the derivative by every element."""

    def _gradients(self, upstream: FloatArray) -> tuple[FloatArray, ...]:
        (z,) = self._inputs
        return (np.full_like(z, upstream * self._share(z)),)

    def _jacobians(self) -> tuple[FloatArray, ...]:
        (z,) = self._inputs
        return (np.full((1, z.size), self._share(z)),)


class Mean(_Reduction):
    """The mean of all elements, the cost node: each loss gives 1/n to it and gets 1/n back.

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
    """The sum of all elements: the cost when losses are added up, not averaged.

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
        return _sum(z)

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


class _Activation(_Elementwise):
    """One of `fastgd.activations.ACTIVATIONS`, where its formula stands."""

    _function: ClassVar[str]

    def _value(self, z: FloatArray) -> FloatArray:
        return ACTIVATIONS[self._function].value(z.reshape(-1)).reshape(z.shape)

    def _slopes(self, z: FloatArray) -> tuple[FloatArray, ...]:
        return (ACTIVATIONS[self._function].derivative(z.reshape(-1)).reshape(z.shape),)

    def _rule(self, index: int, names: Sequence[str]) -> str:
        return f"{self._function}'({names[0]}) * g"


class Identity(_Activation):
    """The identity, z.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Identity()
    >>> node.forward([-1.0, 2.0]), node.backward([1.0, 1.0])
    (array([-1.,  2.]), array([1., 1.]))
    """

    _function = "identity"


class ReLU(_Activation):
    """The positive part, max(z, 0); its derivative at 0 is taken as 0.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.ReLU()
    >>> node.forward([-1.0, 2.0]), node.backward([1.0, 1.0])
    (array([0., 2.]), array([0., 1.]))
    """

    _function = "relu"


class LeakyReLU(_Activation):
    """The positive part, and one hundredth of the negative one.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.LeakyReLU()
    >>> node.forward([-1.0, 2.0]), node.backward([1.0, 1.0])
    (array([-0.01,  2.  ]), array([0.01, 1.  ]))
    """

    _function = "leaky_relu"


class Tanh(_Activation):
    """The hyperbolic tangent; its derivative is 1 - tanh(z)^2.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Tanh()
    >>> node.forward([0.0]), node.backward([1.0])
    (array([0.]), array([1.]))
    """

    _function = "tanh"


class Sigmoid(_Activation):
    """The logistic function s = 1 / (1 + exp(-z)); its derivative is s (1 - s).

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Sigmoid()
    >>> node.forward([0.0]), node.backward([1.0])
    (array([0.5]), array([0.25]))
    """

    _function = "sigmoid"


class GELU(_Activation):
    """z times the normal distribution function of z (Hendrycks & Gimpel 2016, arXiv:1606.08415).

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.GELU()
    >>> node.forward([0.0]), node.backward([1.0])
    (array([0.]), array([0.5]))
    """

    _function = "gelu"


class SiLU(_Activation):
    """z times the logistic function of z (Elfwing et al. 2018, arXiv:1702.03118).

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.SiLU()
    >>> node.forward([0.0]), node.backward([1.0])
    (array([0.]), array([0.5]))
    """

    _function = "silu"


class Softplus(_Activation):
    """log(1 + exp(z)); its derivative is the logistic function.

    Its input is z, an array of any shape.

    Examples
    --------
    >>> import fastgd as gd
    >>> node = gd.nodes.Softplus()
    >>> node.forward([0.0]).round(4), node.backward([1.0])
    (array([0.6931]), array([0.5]))
    """

    _function = "softplus"


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
        (z,) = _as_floats(inputs[:1], ["z"])
        if z.ndim != 2 or z.size == 0 or (self._loss.one_output and z.shape[1] != 1):
            outputs = "1" if self._loss.one_output else "outputs"
            raise ValueError(
                f"{self!r} takes raw outputs z of shape (n, {outputs}), not {z.shape}; "
                "z.reshape(-1, 1) makes one output of a vector"
            )
        y = _validation.check_y(inputs[1], len(z), z.shape[1], self._loss.name, z.dtype)
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

    Where p = softmax(z) are the predicted probabilities (Bishop 2006, Pattern Recognition and
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


#: the node of every activation
ACTIVATION_NODES: dict[str, type[Node]] = {
    node._function: node
    for node in (Identity, ReLU, LeakyReLU, Tanh, Sigmoid, GELU, SiLU, Softplus)
}
