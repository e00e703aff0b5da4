"""Backpropagation node by node: what each one computes, and what it passes back.

A node takes NumPy arrays forward, passes gradients back, and can write out its Jacobian, the
matrix of all derivatives of its outputs with respect to its inputs. A `Graph` connects nodes to a
cost. This package is for studying gradient descent, one step at a time; `fastgd.train` computes
the same numbers in compiled code.

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

from fastgd.nodes._activations import (
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from fastgd.nodes._arithmetic import Affine, Mean, Minus, Multiply, Plus, Square, Sum
from fastgd.nodes._graph import Graph
from fastgd.nodes._losses import SampleLoss, SoftmaxWithLoss
from fastgd.nodes._models import from_network, linear_cost
from fastgd.nodes._node import Node

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
