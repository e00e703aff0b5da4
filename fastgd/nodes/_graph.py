"""Nodes connected to a cost: the forward pass, and the backward pass that sums gradients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _validation, _words
from fastgd._typing import AnyArray, FloatArray
from fastgd.nodes._node import Node
from fastgd.nodes._picture import svg
from fastgd.nodes._tables import Text, brief, table

__all__ = ["Graph"]


class Graph:
    """Nodes connected to a cost, with a forward pass and a backward pass through all of them.

    Parameters
    ----------
    inputs : sequence of str
        Names of the values that every forward pass takes, such as x and y.
    nodes : mapping of str to tuple
        Each node's name, and the tuple of the node and the names of its inputs: those of
        ``inputs``, of ``parameters``, or of nodes before it. The last node is the graph's value.
    parameters : mapping of str to array_like, optional
        Names and values of the learned parameters.

    Attributes
    ----------
    parameters : dict of str to array_like
        The parameters; may be changed, for example by a step.
    values : dict of str to ndarray
        The values of the last forward pass: parameters, inputs and nodes.
    gradients : dict of str to ndarray
        The gradients of the last backward pass: the derivative of the graph's value with respect
        to each of ``values`` that it reaches.

    Raises
    ------
    TypeError, ValueError
        When a name is unknown, used twice or not used, or a tuple does not fit its node.

    See Also
    --------
    linear_cost : The graph of a linear model's cost.
    from_network : The graph of a network's cost.

    Examples
    --------
    The distance of w from x, squared, and a step of gradient descent:

    >>> import fastgd as gd
    >>> nodes = gd.nodes
    >>> graph = nodes.Graph(
    ...     ["x"],
    ...     {
    ...         "error": (nodes.Minus(), "x", "w"),
    ...         "square": (nodes.Square(), "error"),
    ...         "cost": (nodes.Sum(), "square"),
    ...     },
    ...     parameters={"w": [0.0, 0.0]},
    ... )
    >>> graph.forward(x=[3.0, 4.0])
    array(25.)
    >>> graph.backward()["w"]
    array([-6., -8.])
    >>> graph.parameters["w"] -= 0.5 * graph.gradients["w"]
    >>> graph.forward(x=[3.0, 4.0])
    array(0.)
    """

    def __init__(
        self,
        inputs: Sequence[str],
        nodes: Mapping[str, tuple[Any, ...]],
        parameters: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        _check_containers(inputs, nodes, parameters)
        self.parameters: dict[str, Any] = dict(parameters or {})
        self._arguments = tuple(inputs)
        self._parameter_names = tuple(self.parameters)
        self._nodes: dict[str, Node] = {}
        self._wires: dict[str, tuple[str, ...]] = {}
        _check_names([*self._leaves, *nodes], self._leaves)
        known = dict.fromkeys(self._leaves)  # a list would be searched for every name
        taken = set()
        for name, entry in nodes.items():
            node, *wires = _check_entry(name, entry, known, nodes)
            if id(node) in taken:
                raise ValueError(f"{name!r} has the same node as another name: create a second one")
            self._nodes[name], self._wires[name] = node, tuple(wires)
            known[name] = None
            taken.add(id(node))
        _check_used([*self._leaves, *self._nodes], self._wires)
        self._output = next(reversed(self._nodes))
        self.values: dict[str, AnyArray] = {}
        self.gradients: dict[str, FloatArray] = {}

    def __repr__(self) -> str:
        return f"<Graph of {', '.join(self._leaves)}: {' -> '.join(self._nodes)}>"

    def _repr_svg_(self) -> str:
        """Return the graph for notebooks, with values (blue) and gradients."""
        return svg(self)

    @property
    def _leaves(self) -> tuple[str, ...]:
        return (*self._parameter_names, *self._arguments)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the values that a forward pass takes."""
        return self._arguments

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes by name, in the order of the forward pass."""
        return dict(self._nodes)

    def forward(self, /, *arrays: ArrayLike, **values: ArrayLike) -> FloatArray:
        """Return the value of the last node.

        Parameters
        ----------
        *arrays : array_like
            Values of ``inputs``, in their order.
        **values : array_like
            Values by name: inputs, or parameters for this pass only.

        Returns
        -------
        ndarray
            A cost has shape ().

        Raises
        ------
        TypeError, ValueError
            When an input is unknown or missing, or does not fit its node; the graph then keeps
            the previous pass.
        """
        leaves = self._given(arrays, values)
        known = dict(leaves)
        checked: dict[str, tuple[AnyArray, ...]] = {}
        for name, node in self._nodes.items():
            wires = self._wires[name]
            try:
                checked[name] = node._check(tuple(known[wire] for wire in wires))
            except (TypeError, ValueError) as error:
                what = f"node {name!r} cannot take {', '.join(wires)}"
                raise type(error)(f"{what}: {error}") from error
            known[name] = np.asarray(node._value(*checked[name]))
        for name, node in self._nodes.items():
            node._inputs, node._output = checked[name], known[name]
        self.values = known | {name: np.array(value) for name, value in leaves.items()}
        self.gradients = {}
        return self.values[self._output]

    def _given(self, arrays: tuple[ArrayLike, ...], named: dict[str, ArrayLike]) -> dict[str, Any]:
        """Return the value of every parameter and input."""
        takes = f"the graph takes {', '.join(self._arguments) or 'no inputs'}"
        if len(arrays) > len(self._arguments):
            raise TypeError(f"{len(arrays)} inputs were given, but {takes}")
        values: dict[str, Any] = dict(zip(self._arguments, arrays, strict=False))
        leaves = dict.fromkeys(self._leaves)
        own = dict.fromkeys(self._parameter_names)
        for name, value in named.items():
            _validation.check_choice("the name of an input", name, leaves)
            if name in values:
                raise TypeError(f"{name} was given twice, by position and by name")
            values[name] = value
        for name in self.parameters:
            _validation.check_choice("the name of a parameter", name, own)
        values = self.parameters | values
        missing = [name for name in leaves if name not in values]
        if missing:
            takes += f" and learns {', '.join(self._parameter_names) or 'nothing'}"
            raise TypeError(f"{', '.join(missing)} has no value, but {takes}")
        return values

    def backward(self, upstream: ArrayLike = 1.0) -> dict[str, FloatArray]:
        """Return the gradient of the graph's value with respect to its parameters and inputs.

        If several nodes use a value, their gradients are summed.

        Parameters
        ----------
        upstream : array_like, in the shape of the graph's value
            The derivative of a later result with respect to the graph's value; 1 for a cost.

        Returns
        -------
        dict of str to ndarray
            In the shapes of the values, without inputs that have no derivative, such as class
            indices. ``gradients`` has those of the nodes too.

        Raises
        ------
        RuntimeError
            Before the first forward pass.
        TypeError, ValueError
            When upstream is not such an array.
        """
        self._check_passed("backward")
        gradients = {self._output: self._nodes[self._output]._check_upstream(upstream)}
        for name, node in reversed(self._nodes.items()):
            if name in gradients:
                passed = node._gradients(gradients[name])
                _add(gradients, zip(self._wires[name], passed, strict=True))
        self.gradients = gradients
        return {name: gradients[name] for name in self._leaves if name in gradients}

    def gradient(self, /, *arrays: ArrayLike, **values: ArrayLike) -> FloatArray:
        """Return the gradient with respect to all parameters as one vector, after both passes.

        Parameters
        ----------
        *arrays, **values : array_like
            As for `forward`.

        Returns
        -------
        ndarray of shape (n_params,)
            In the order of the parameters, each row by row.

        Raises
        ------
        TypeError, ValueError
            As for `forward`, and if the graph's value is not a single number.

        See Also
        --------
        fastgd.gradient : The same for a network, in compiled code.

        Examples
        --------
        >>> import fastgd as gd
        >>> gd.nodes.linear_cost().gradient([1.0, 2.0], [1.0, 3.0])
        array([-7., -4.])
        """
        self.forward(*arrays, **values)
        self.backward()
        parts = [
            self.gradients.get(name, np.zeros(self.values[name].shape)).reshape(-1)
            for name in self._parameter_names
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def jacobian(self, name: str) -> FloatArray:
        """Return the Jacobian of the graph's value with respect to any other value.

        It is taken at the last forward pass by the chain rule: the product of the nodes' Jacobians
        along each path, summed over the paths.

        Parameters
        ----------
        name : str
            A parameter, an input or a node.

        Returns
        -------
        ndarray of shape (value.size, input.size)
            For a cost, its single row is the gradient.

        Raises
        ------
        RuntimeError
            Before the first forward pass.
        ValueError
            When there is no such name, or it has no derivative.

        Examples
        --------
        >>> import fastgd as gd
        >>> graph = gd.nodes.linear_cost(theta1=1, theta0=1)
        >>> _ = graph.forward(x=[1, 2], y=[1, 3])
        >>> graph.jacobian("prediction"), graph.jacobian("theta1")
        (array([[1., 0.]]), array([[1.]]))
        """
        self._check_passed("jacobian")
        _validation.check_choice("name", name, tuple(self.values))
        output = self.values[self._output]
        products: dict[str, FloatArray] = {self._output: np.eye(output.size, dtype=output.dtype)}
        for node_name, node in reversed(self._nodes.items()):
            if node_name in products:
                after = products[node_name]
                passed = (None if own is None else after @ own for own in node._jacobians())
                _add(products, zip(self._wires[node_name], passed, strict=True))
        if name not in products:
            raise ValueError(f"{name!r} has no derivative: it is a target of the loss")
        return products[name]

    def trace(self, /, *arrays: ArrayLike, **values: ArrayLike) -> str:
        r"""Return a table of one forward and backward pass: the values and the gradients.

        Parameters
        ----------
        *arrays, **values : array_like
            As for `forward`. Without any, the table shows the last forward pass.

        Returns
        -------
        str
            Lines of text, for ``print``. Arrays of more than six numbers are shortened.

        Raises
        ------
        RuntimeError
            Without arguments, before the first forward pass.
        TypeError, ValueError
            As for `forward`, and if the graph's value is not a single number and there was no
            `backward` pass with its upstream gradient.

        Examples
        --------
        >>> import numpy as np
        >>> import fastgd as gd
        >>> x = np.arange(1000) / 1000
        >>> text = gd.nodes.linear_cost().trace(x, 3 * x + 1)
        >>> print(text.split("\n\n")[0])
        forward
        name        node                   value
        ----------------------------------------------------------
        theta1      parameter              0
        theta0      parameter              0
        x           input                  [0, ..., 0.999] (1,000)
        y           input                  [1, ..., 4] (1,000)
        product     Multiply(theta1, x)    [0, ..., 0] (1,000)
        prediction  Plus(product, theta0)  [0, ..., 0] (1,000)
        error       Minus(y, prediction)   [1, ..., 4] (1,000)
        loss        Square(error)          [1, ..., 16] (1,000)
        cost        Mean(loss)             6.993
        """
        if arrays or values:
            self.forward(*arrays, **values)
        self._check_passed("trace")
        if not self.gradients:
            self.backward()
        forward = table("forward", ("name", "node", "value"), self._forward_rows())
        backward = table(
            "backward: a node gets g, and passes on g times its derivative",
            ("node", "gets g", "to", "passes on", "value"),
            self._backward_rows(),
        )
        return Text(f"{forward}\n\n{backward}")

    def _forward_rows(self) -> list[tuple[str, str, str]]:
        kinds = dict.fromkeys(self._parameter_names, "parameter")
        kinds |= dict.fromkeys(self._arguments, "input")
        for name, node in self._nodes.items():
            kinds[name] = f"{type(node).__name__}({', '.join(self._wires[name])})"
        return [(name, kind, brief(self.values[name], shape=True)) for name, kind in kinds.items()]

    def _backward_rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for name, node in reversed(self._nodes.items()):
            if name not in self.gradients:
                continue
            got, wires = self.gradients[name], self._wires[name]
            first = (name, brief(got))
            for index, passed in enumerate(node._gradients(got)):
                if passed is not None:
                    rule = node._rule(index, wires)
                    rows.append((*first, wires[index], rule, brief(passed)))
                    first = ("", "")
        return rows

    def _check_passed(self, what: str) -> None:
        if not self.values:
            raise RuntimeError(
                f"the graph has no forward pass yet, but {what}() uses the last one: call "
                "forward() first"
            )


def _add(sums: dict[str, FloatArray], more: Iterable[tuple[str, FloatArray | None]]) -> None:
    """Add each array to the sum of its name."""
    for name, array in more:
        if array is not None:
            sums[name] = np.asarray(sums[name] + array) if name in sums else array


def _check_containers(inputs: Any, nodes: Any, parameters: Any) -> None:
    """Check that the inputs are a list, and the nodes and parameters dictionaries."""
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise TypeError(
            f"inputs must list the inputs' names, such as ['x', 'y'], not {_words.show(inputs)}"
        )
    if not isinstance(nodes, Mapping):
        raise TypeError(
            "nodes must be a dictionary of names and tuples, for example "
            f"{{'square': (nodes.Square(), 'z')}}, not {_words.show(nodes)}"
        )
    if parameters is not None and not isinstance(parameters, Mapping):
        raise TypeError(
            f"parameters must be a dictionary of names and values, not {_words.show(parameters)}"
        )


def _check_names(names: Sequence[Any], leaves: Sequence[Any]) -> None:
    """Check that names are non-empty strings, unique, and usable as keywords."""
    seen = set()
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"names in a graph must be strings that are not empty, not {name!r}")
        if name in seen:
            raise ValueError(f"{name!r} is the name of two things in the graph: rename one")
        seen.add(name)
    for name in leaves:
        if not name.isidentifier():
            raise ValueError(
                f"{name!r} cannot name a parameter or input, as forward() takes it as a keyword: "
                "use letters, digits and underscores"
            )


def _check_entry(
    name: str, entry: Any, known: Collection[str], nodes: Collection[str]
) -> tuple[Any, ...]:
    """Return a node and the names of its inputs, which must be defined before it."""
    if not isinstance(entry, tuple) or not entry or not isinstance(entry[0], Node):
        raise TypeError(
            f"{name!r} must be a tuple of a node and the names of its inputs, for example "
            f"(nodes.Square(), 'z'), not {_words.show(entry)}"
        )
    node, *wires = entry
    if len(wires) != len(node._names):
        raise ValueError(
            f"{name!r} names {len(wires)} input(s), but {node!r} takes {len(node._names)}: "
            f"{', '.join(node._names)}"
        )
    for wire in wires:
        if wire in nodes and wire not in known:
            raise ValueError(f"{name!r} takes {wire!r}, which must come before it in nodes")
        _validation.check_choice(f"an input of {name!r}", wire, known)
    return entry


def _check_used(names: Sequence[str], wires: Mapping[str, tuple[str, ...]]) -> None:
    """Check that there is a node, and that each value except the last is used by one."""
    if not wires:
        raise ValueError("nodes is empty, but a graph needs at least one node")
    used = {wire for inputs in wires.values() for wire in inputs}
    for name in names[:-1]:
        if name not in used:
            raise ValueError(
                f"nothing uses {name!r}: remove it, or give it to a node as input (the value "
                f"of the graph is the last node, {names[-1]!r})"
            )
