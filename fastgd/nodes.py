"""Backpropagation node by node: what each one computes, and what it passes back.

A node takes NumPy arrays forward, passes gradients back, and can write out its Jacobian, the
matrix of all derivatives of its outputs by its inputs. A `Graph` joins nodes to a cost. This
room is for looking at gradient descent, one step at a time; `fastgd.train` computes the same
numbers in compiled code.

>>> import fastgd as gd
>>> graph = gd.nodes.linear_cost(theta1=1, theta0=1)
>>> print(graph.trace(x=[1, 2], y=[1, 3]))
forward
name        node                   value
------------------------------------------
theta1      parameter              1
theta0      parameter              1
x           input                  [1, 2]
y           input                  [1, 3]
product     Multiply(theta1, x)    [1, 2]
prediction  Plus(product, theta0)  [2, 3]
error       Minus(y, prediction)   [-1, 0]
loss        Square(error)          [1, 0]
cost        Mean(loss)             0.5
<BLANKLINE>
backward: a node gets g, and passes on g times its derivative
node        gets g      to          passes on    value
-----------------------------------------------------------
cost        1           loss        g / 2        [0.5, 0.5]
loss        [0.5, 0.5]  error       2 error * g  [-1, 0]
error       [-1, 0]     y           g            [-1, 0]
                        prediction  -g           [1, 0]
prediction  [1, 0]      product     g            [1, 0]
                        theta0      sum(g)       1
product     [1, 0]      theta1      sum(x * g)   1
                        x           theta1 * g   [1, 0]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from fastgd import _validation
from fastgd._graph import Graph
from fastgd._nodes import (
    ACTIVATION_NODES,
    GELU,
    Affine,
    Identity,
    LeakyReLU,
    Mean,
    Minus,
    Multiply,
    Node,
    Plus,
    ReLU,
    SampleLoss,
    Sigmoid,
    SiLU,
    SoftmaxWithLoss,
    Softplus,
    Square,
    Sum,
    Tanh,
)
from fastgd._typing import FloatArray
from fastgd.network import Network

__all__ = [
    "linear_cost",
    "from_network",
    "Graph",
    "Node",
    "Multiply",
    "Plus",
    "Minus",
    "Square",
    "Mean",
    "Sum",
    "Affine",
    "Identity",
    "ReLU",
    "LeakyReLU",
    "Tanh",
    "Sigmoid",
    "GELU",
    "SiLU",
    "Softplus",
    "SampleLoss",
    "SoftmaxWithLoss",
]


def linear_cost(theta1: float = 0.0, theta0: float = 0.0) -> Graph:
    """Return the graph of a linear model's cost, mean((y - (theta1 * x + theta0))^2).

    Parameters
    ----------
    theta1, theta0 : float
        The slope and the intercept: the graph's parameters.

    Returns
    -------
    Graph
        Of inputs x and y: arrays of one shape, one element a sample. Its nodes are product,
        prediction, error, loss and cost.

    Raises
    ------
    TypeError, ValueError
        When theta1 or theta0 is not a finite number.

    Examples
    --------
    Two samples: each loss gives one half to the cost, and gets one half back.

    >>> import fastgd as gd
    >>> graph = gd.nodes.linear_cost(theta1=1, theta0=1)
    >>> graph.forward(x=[1, 2], y=[1, 3])
    array(0.5)
    >>> graph.backward()["theta1"]
    array(1.)
    >>> graph.gradients["loss"]
    array([0.5, 0.5])
    """
    return Graph(
        ["x", "y"],
        {
            "product": (Multiply(), "theta1", "x"),
            "prediction": (Plus(), "product", "theta0"),
            "error": (Minus(), "y", "prediction"),
            "loss": (Square(), "error"),
            "cost": (Mean(), "loss"),
        },
        parameters={
            "theta1": _validation.check_real("theta1", theta1),
            "theta0": _validation.check_real("theta0", theta0),
        },
    )


class _NetworkGraph(Graph):
    """A graph that takes X and y as the network does."""

    def __init__(self, net: Network, nodes: Mapping[str, tuple[Any, ...]]) -> None:
        parameters: dict[str, FloatArray] = {}
        for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
            parameters |= {f"W{layer}": W, f"b{layer}": b}
        super().__init__(["X", "y"], nodes, parameters)
        self._net = net

    def _given(self, arrays: tuple[ArrayLike, ...], named: dict[str, ArrayLike]) -> dict[str, Any]:
        values, net = super()._given(arrays, named), self._net
        X = _validation.check_X(values["X"], net.sizes[0], net.dtype)
        y = _validation.check_y(values["y"], len(X), net.sizes[-1], net.loss, net.dtype)
        return values | {"X": X, "y": y}


def from_network(net: Network, *, reduction: str = "mean") -> Graph:
    """Return the graph of a network's loss over samples.

    Parameters
    ----------
    net : Network
        The graph's parameters W1, b1, W2, ... are views on its own: it is seen as it is at
        each forward pass, also when it was trained meanwhile.
    reduction : {"mean", "sum"}
        Over the samples.

    Returns
    -------
    Graph
        Of inputs X and y, as `fastgd.gradient` takes them. Layer i is made of an Affine node zi
        and, but for the last, its activation ai. The mean squared error goes on with the nodes
        error, loss and cost, the mean cross-entropy with SoftmaxWithLoss; the others with a
        SampleLoss and the cost.

    Raises
    ------
    TypeError, ValueError
        When net is no network, or reduction is not one of the two.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> net = gd.Network([2, 3, 2], hidden="tanh", loss="cross_entropy", dtype="float64", rng=0)
    >>> X, y = [[1.0, 2.0], [0.5, -1.0]], [0, 1]
    >>> graph = gd.nodes.from_network(net)
    >>> graph
    <Graph of W1, b1, W2, b2, X, y: z1 -> a1 -> z2 -> cost>
    >>> np.allclose(graph.gradient(X, y), gd.gradient(net, X, y), rtol=1e-14)
    True
    """
    _validation.check_network(net)
    _validation.check_choice("reduction", reduction, ("mean", "sum"))
    nodes: dict[str, tuple[Any, ...]] = {}
    below = "X"
    for layer, name in enumerate(net.hidden, start=1):
        nodes[f"z{layer}"] = (Affine(), below, f"W{layer}", f"b{layer}")
        below = f"a{layer}"
        nodes[below] = (ACTIVATION_NODES[name](), f"z{layer}")
    last = len(net.hidden) + 1
    nodes[f"z{last}"] = (Affine(), below, f"W{last}", f"b{last}")
    return _NetworkGraph(net, nodes | _cost_nodes(net.loss, reduction, f"z{last}"))


def _cost_nodes(loss: str, reduction: str, z: str) -> dict[str, tuple[Any, ...]]:
    """Return the nodes between a network's raw outputs and its cost."""
    if (loss, reduction) == ("cross_entropy", "mean"):
        return {"cost": (SoftmaxWithLoss(), z, "y")}
    if (loss, reduction) == ("squared_error", "mean"):
        return {
            "error": (Minus(), "y", z),
            "loss": (Square(), "error"),
            "cost": (Mean(), "loss"),
        }
    total = Mean() if reduction == "mean" else Sum()
    return {"loss": (SampleLoss(loss), z, "y"), "cost": (total, "loss")}
