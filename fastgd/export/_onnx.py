"""ONNX files, and the estimators' converters for skl2onnx."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgd._extras import need
from fastgd._typing import FloatArray
from fastgd._version import __version__
from fastgd._writing import replacing
from fastgd.activations import sigmoid
from fastgd.losses import LOSSES
from fastgd.network import Network, check_network
from fastgd.rows import affine

__all__ = ["register_estimators", "to_onnx"]

# The first operator set with Gelu, and the file version of its time: what older runtimes read too.
OPSET, IR_VERSION = 20, 9


class Graph:
    """The nodes and constants of a model; a call adds a node and returns the name of its result."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, FloatArray] = {}

    def __call__(self, operator: str, *inputs: str | float, **attributes: Any) -> str:
        from onnx import helper

        names = [x if isinstance(x, str) else self.constant(f"value_{x!r}", x) for x in inputs]
        result = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [result], **attributes))
        return result

    def constant(self, name: str, value: Any) -> str:
        """Add a constant of the model's dtype; return its name."""
        self.constants[name] = np.asarray(value, self.dtype)
        return name


def _softplus(graph: Graph, z: str) -> str:
    if graph.dtype == np.float32:
        return graph("Softplus", z)
    # onnxruntime has no Softplus in float64
    rest = graph("Log", graph("Add", graph("Exp", graph("Neg", graph("Abs", z))), 1.0))
    return graph("Add", graph("Relu", z), rest)


def _gelu(graph: Graph, z: str) -> str:
    if graph.dtype == np.float32:
        return graph("Gelu", z)
    lesser = graph("Mul", _erfc(graph, graph("Mul", graph("Abs", z), math.sqrt(0.5))), 0.5)
    positive = graph("Greater", z, 0.0)
    return graph("Mul", z, graph("Where", positive, graph("Sub", 1.0, lesser), lesser))


def _erfc(graph: Graph, x: str) -> str:
    """Return erfc(x) for x >= 0, in float64, where onnxruntime has no Erf.

    erfc(x) exp(x^2) is a smooth function of t = 2 / (2 + x), here a sum of Chebyshev polynomials
    (Press et al. 2007, Numerical Recipes, 3rd ed., section 6.2.2), added up by Clenshaw's rule.
    """
    last, degree = 26.0, 32  # erfc(26) is 6e-296
    least = 2 / (2 + last)
    centre, half = (1 + least) / 2, (1 - least) / 2

    def scaled(u: Any) -> Any:
        at = 2 / (centre + half * u) - 2
        return np.array([math.erfc(a) * math.exp(a * a) for a in at])

    series = np.polynomial.chebyshev.chebinterpolate(scaled, degree)
    beyond, x = graph("Greater", x, last), graph("Min", x, last)
    t = graph("Div", 2.0, graph("Add", x, 2.0))
    u = graph("Div", graph("Sub", t, centre), half)
    double = graph("Mul", u, 2.0)
    later, sum_ = graph("Mul", u, 0.0), graph("Mul", u, 0.0)
    for factor in series[:0:-1]:
        step = graph("Sub", graph("Mul", double, sum_), later)
        later, sum_ = sum_, graph("Add", step, float(factor))
    sum_ = graph("Add", graph("Sub", graph("Mul", u, sum_), later), float(series[0]))
    result = graph("Mul", sum_, graph("Exp", graph("Neg", graph("Mul", x, x))))
    return graph("Where", beyond, 0.0, result)


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda graph, z: z,
    "relu": lambda graph, z: graph("Relu", z),
    "leaky_relu": lambda graph, z: graph("Max", z, graph("Mul", z, 0.01)),
    "tanh": lambda graph, z: graph("Tanh", z),
    "sigmoid": lambda graph, z: graph("Sigmoid", z),
    "gelu": _gelu,
    "silu": lambda graph, z: graph("Mul", z, graph("Sigmoid", z)),
    "softplus": _softplus,
}
# by the function that is a loss's link
LINKS: dict[Any, Callable[[Graph, str], str]] = {
    LOSSES["squared_error"].link: lambda graph, z: z,
    LOSSES["cross_entropy"].link: lambda graph, z: graph("Softmax", z, axis=1),
    sigmoid: lambda graph, z: graph("Sigmoid", z),
    LOSSES["poisson"].link: lambda graph, z: graph("Exp", z),
}


def to_onnx(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network to an ONNX file, whose output is what `Network.predict` returns.

    The network's ``inputs`` become part of the model, which takes raw columns then.

    Parameters
    ----------
    net : Network
        The network, of either dtype.
    path : path_like
        The file. An existing file is replaced once the new one is complete.

    Notes
    -----
    The model's input is ``X``, of shape (n, sizes[0]) and the network's dtype. Its output is
    ``prediction``, of shape (n, sizes[-1]), or (n,) for one output: after the loss's link, as
    `Network.predict`, and equal to it up to rounding. It needs version 20 of ONNX's operators.

    Raises
    ------
    ImportError
        When the package onnx is missing: it comes with ``fastgd[onnx]``.
    TypeError, OSError
        When `net` is not a network, or the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastgd as gd
    >>> net = gd.Network([2, 8, 1], rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gd.export.to_onnx(net, os.path.join(folder, "net.onnx"))
    """
    check_network(net)
    onnx = need("onnx", "onnx", "fastgd.export.to_onnx")
    model = _model(net, onnx)
    onnx.checker.check_model(model)
    with replacing(path) as file:
        file.write(model.SerializeToString(deterministic=True))


def _model(net: Network, onnx: Any) -> Any:
    """Return the ONNX model of a network."""
    helper = onnx.helper
    graph, z = Graph(net.dtype), "X"
    if net.inputs is not None:
        mean, inverse_scale = affine(net.dtype, net.dtype, net.inputs)
        z = graph("Sub", z, graph.constant("mean", mean))
        z = graph("Mul", z, graph.constant("inverse_scale", inverse_scale))
    activations = [*(ACTIVATIONS[name] for name in net.hidden), LINKS[LOSSES[net.loss].link]]
    for depth, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        weights, biases = graph.constant(f"{depth}.weight", W), graph.constant(f"{depth}.bias", b)
        z = activations[depth](graph, graph("Gemm", z, weights, biases))
    constants = [onnx.numpy_helper.from_array(a, name) for name, a in graph.constants.items()]
    if net.sizes[-1] == 1:
        graph.nodes.append(helper.make_node("Squeeze", [z, "axes"], ["prediction"]))
        constants.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    else:
        graph.nodes.append(helper.make_node("Identity", [z], ["prediction"]))
    dtype = helper.np_dtype_to_tensor_dtype(net.dtype)
    shape = ["n", *(k for k in net.sizes[-1:] if k > 1)]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "fastgd",
            [helper.make_tensor_value_info("X", dtype, ["n", net.sizes[0]])],
            [helper.make_tensor_value_info("prediction", dtype, shape)],
            constants,
            doc_string=repr(net),
        ),
        producer_name="fastgd",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def register_estimators() -> None:
    """Let skl2onnx convert the estimators of `fastgd.sklearn`, alone and in pipelines.

    They have the fitted attributes of scikit-learn's estimators of the same names, so that
    skl2onnx's own converters fit them. Call it once, before ``skl2onnx.to_onnx``.

    Raises
    ------
    ImportError
        When the package skl2onnx is missing: it comes with ``fastgd[onnx]``.
    """
    skl2onnx = need("skl2onnx", "onnx", "fastgd.export.register_estimators")
    operators = need("skl2onnx._supported_operators", "onnx", "converting estimators")
    registered = need("skl2onnx.common._registration", "onnx", "converting estimators")
    import sklearn.linear_model
    import sklearn.neural_network

    import fastgd.sklearn

    theirs = vars(sklearn.linear_model) | vars(sklearn.neural_network)
    for name in fastgd.sklearn.__all__:
        known_as = operators.sklearn_operator_name_map[theirs[name]]
        converter = registered.get_converter(known_as)
        skl2onnx.update_registered_converter(
            getattr(fastgd.sklearn, name),
            f"Fastgd{name}",
            registered.get_shape_calculator(known_as),
            _function(converter),
            options=converter.get_allowed_options(),
        )


def _function(converter: Any) -> Callable[[Any, Any, Any], None]:
    """Return a registered converter as a function, the form that registering one takes."""

    def convert(scope: Any, operator: Any, container: Any) -> None:
        converter(scope, operator, container)

    return convert
