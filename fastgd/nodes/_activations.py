"""Nodes of hidden activations; for their formulas see `fastgd.activations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fastgd._typing import FloatArray
from fastgd.activations import ACTIVATIONS
from fastgd.nodes._node import Elementwise, Node

__all__ = [
    "ACTIVATION_NODES",
    "GELU",
    "Identity",
    "LeakyReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
]


class _Activation(Elementwise):
    """One of `fastgd.activations.ACTIVATIONS`, which has its formula."""

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
    """The positive part plus one hundredth of the negative part.

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


def _node_of(function: str) -> type[Node]:
    """Return the node of an activation: the one above, or one made of its formula."""
    for node in _Activation.__subclasses__():
        if node._function == function:
            return node
    name = function.title().replace("_", "")
    return type(name, (_Activation,), {"_function": function, "__module__": __name__})


#: the node of every activation
ACTIVATION_NODES: dict[str, type[Node]] = {name: _node_of(name) for name in ACTIVATIONS}
