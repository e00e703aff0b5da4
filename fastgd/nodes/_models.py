"""The graphs of models: a linear model's cost, and a network's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import ArrayLike

from fastgd import _data, _validation
from fastgd._typing import FloatArray
from fastgd.network import Network, check_network, read_rows
from fastgd.nodes._activations import ACTIVATION_NODES
from fastgd.nodes._arithmetic import Affine, Mean, Minus, Multiply, Plus, Square, Sum
from fastgd.nodes._graph import Graph
from fastgd.nodes._losses import SampleLoss, SoftmaxWithLoss

__all__ = ["from_network", "linear_cost"]


def linear_cost(theta1: float = 0.0, theta0: float = 0.0) -> Graph:
    """Return the graph of a linear model's cost, mean((y - (theta1 * x + theta0))^2).

    Parameters
    ----------
    theta1, theta0 : float
        The slope and the intercept: the graph's parameters.

    Returns
    -------
    Graph
        Its inputs are x and y, arrays of one shape with one element per sample. Its nodes are
        product, prediction, error, loss and cost.

    Raises
    ------
    TypeError, ValueError
        When theta1 or theta0 is not a finite number.

    Examples
    --------
    Two samples: each loss enters the cost with weight one half, and gets back one half.

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
    """A graph that takes X and y like the network."""

    def __init__(self, net: Network, nodes: Mapping[str, tuple[Any, ...]]) -> None:
        parameters: dict[str, FloatArray] = {}
        for layer, (W, b) in enumerate(zip(net.weights, net.biases, strict=True), start=1):
            parameters |= {f"W{layer}": W, f"b{layer}": b}
        super().__init__(["X", "y"], nodes, parameters)
        self._net = net

    def _given(self, arrays: tuple[ArrayLike, ...], named: dict[str, ArrayLike]) -> dict[str, Any]:
        values, net = super()._given(arrays, named), self._net
        X = read_rows(net, values["X"])[:]
        y = _data.check_y(values["y"], len(X), net.sizes[-1], net.loss, net.dtype)
        return values | {"X": X, "y": y}


def from_network(net: Network, *, reduction: str = "mean") -> Graph:
    """Return the graph of a network's loss over samples.

    Parameters
    ----------
    net : Network
        The graph's parameters W1, b1, W2, ... are views on the network's: each forward pass uses
        their current values, also after training.
    reduction : {"mean", "sum"}
        Over the samples.

    Returns
    -------
    Graph
        Its inputs are X and y, as for `fastgd.gradient`. Layer i is an Affine node zi and, except
        for the last, its activation ai. They are followed by the nodes error, loss and cost for
        the mean squared error, by SoftmaxWithLoss for the mean cross-entropy, and by a SampleLoss
        and the cost for all other losses.

    Raises
    ------
    TypeError, ValueError
        When net is not a network, or reduction is not one of the two.

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
    check_network(net)
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
