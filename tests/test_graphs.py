"""Graphs of nodes: values and gradients of the notes' example, of networks, and at random."""

import copy
import pickle

import numpy as np
import pytest
from conftest import assert_close, assert_slopes, draw, make_data

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES
from fastgd.nodes import (
    Graph,
    Mean,
    Minus,
    Multiply,
    Plus,
    SampleLoss,
    Softplus,
    Square,
    Sum,
    Tanh,
    from_network,
    linear_cost,
)

TWO_SAMPLES = """\
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
                        x           theta1 * g   [1, 0]"""


def test_the_notes_two_samples():
    graph = linear_cost(theta1=1, theta0=1)
    assert graph.forward(x=[1, 2], y=[1, 3]) == 0.5
    gradients = graph.backward()
    assert {name: gradients[name].tolist() for name in gradients} == {
        "theta1": 1.0, "theta0": 1.0, "x": [1.0, 0.0], "y": [-1.0, 0.0],
    }  # fmt: skip
    assert graph.gradients["loss"].tolist() == [0.5, 0.5]
    assert graph.gradients["cost"] == 1


def test_the_trace_of_two_samples():
    graph = linear_cost(theta1=1, theta0=1)
    text = graph.trace(x=[1, 2], y=[1, 3])
    assert text == repr(text) == TWO_SAMPLES
    assert graph.trace() == text


def test_the_trace_of_many_samples_is_as_short():
    x, y = draw((100_000,), (100_000,))
    lines = linear_cost(2.0, 1.0).trace(x, y).splitlines()
    assert len(lines) == len(TWO_SAMPLES.splitlines())
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("cost") and "g / 100,000" in line for line in lines)
    assert any(line.startswith("x ") and line.endswith("(100,000)") for line in lines)


@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_linear_cost_equals_the_networks_loss(n, dtype):
    x, y = draw((n,), (n,), dtype=dtype)
    net = gd.Network([1, 1], dtype=dtype)
    net.params[:] = 0.5, -1.5
    graph = linear_cost(0.5, -1.5)
    X = x.reshape(-1, 1)
    gradient = graph.gradient(x, y)
    assert gradient.dtype == dtype
    assert_close(gradient, gd.gradient(net, X, y), dtype, n)
    assert_close(graph.values["cost"], net.loss_value(X, y), dtype, n)


def test_linear_cost_takes_steps_as_train_does():
    x, y = draw((20,), (20,))
    graph, net = linear_cost(), gd.Network([1, 1], dtype="float64")
    for _ in range(50):
        graph.forward(x, y)
        gradients = graph.backward()
        graph.parameters["theta1"] -= 0.1 * gradients["theta1"]
        graph.parameters["theta0"] -= 0.1 * gradients["theta0"]
    gd.train(net, x.reshape(-1, 1), y, batch_size=None, epochs=50, optimizer=gd.SGD(0.1))
    reached = [graph.parameters["theta1"], graph.parameters["theta0"]]
    assert_close(reached, net.params, "float64", 50, 20)


def network_case(sizes, hidden, loss, dtype, n=9):
    net = gd.Network(sizes, hidden=hidden, loss=loss, dtype=dtype, rng=3)
    for b in net.biases:
        b[:] = np.linspace(-0.5, 0.5, len(b))
    return net, *make_data(sizes, loss, n, dtype)


def outputs_of(loss):
    return {"cross_entropy": [4], "squared_error": [1, 3]}.get(loss, [1])


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "k"), [(loss, k) for loss in LOSSES for k in outputs_of(loss)])
def test_from_network_has_the_networks_gradient(loss, k, hidden, dtype):
    net, X, y = network_case([3, 5, k], hidden, loss, dtype)
    graph = from_network(net)
    assert_close(graph.gradient(X, y), gd.gradient(net, X, y), dtype, 9, 5, 3)
    assert_close(graph.values["cost"], net.loss_value(X, y), dtype, 9, 5, 3)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("n", [1, 2, 33])
@pytest.mark.parametrize(
    ("sizes", "hidden"),
    [([1, 1], ()), ([17, 3], ()), ([2, 1, 3], "tanh"), ([4, 8, 6, 3], ("relu", "gelu"))],
)
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy", "huber"])
def test_from_network_of_all_sizes(loss, sizes, hidden, n, reduction, dtype):
    net, X, y = network_case(sizes, hidden, loss, dtype, n)
    expected = gd.gradient(net, X, y, reduction=reduction)
    graph = from_network(net, reduction=reduction)
    assert_close(graph.gradient(X, y), expected, dtype, n, max(sizes), len(sizes))


@pytest.mark.parametrize("loss", LOSSES)
def test_graph_jacobians_are_the_gradients(loss):
    net, X, y = network_case([3, 4, outputs_of(loss)[-1]], "tanh", loss, "float64")
    graph = from_network(net)
    graph.forward(X, y)
    graph.backward()
    for name, gradient in graph.gradients.items():
        assert_close(graph.jacobian(name), gradient.reshape(1, -1), "float64", 9, 4)


def test_from_network_uses_current_parameters():
    net, X, y = network_case([3, 5, 1], "relu", "squared_error", "float32")
    graph = from_network(net)
    gd.train(net, X, y, batch_size=3, epochs=2, rng=0)
    assert_close(graph.forward(X, y), net.loss_value(X, y), "float32", 9, 5)
    before = net.params.copy()
    graph.backward()
    np.testing.assert_array_equal(net.params, before)


def test_the_trace_of_a_network():
    net = gd.Network([2, 3, 2], hidden="tanh", loss="cross_entropy", dtype="float64", rng=0)
    text = from_network(net).trace([[1, 2], [3, 4], [5, 6], [7, 8]], [0, 1, 1, 0])
    for part in (
        "z1    Affine(X, W1, b1)", "(4 x 3)", "a1    Tanh(z1)", "SoftmaxWithLoss(z2, y)",
        "g * (softmax(z2) - y) / 4", "g @ W2.T", "a1.T @ g", "sum of g's rows", "tanh'(z1) * g",
    ):  # fmt: skip
        assert part in text


def test_a_value_used_twice_gets_the_sum():
    """f(w) = mean(w * w + w)."""
    graph = Graph(
        ["w"],
        {
            "square": (Multiply(), "w", "w"),
            "total": (Plus(), "square", "w"),
            "cost": (Mean(), "total"),
        },
    )
    graph.forward([1.0, 3.0])
    assert graph.backward()["w"].tolist() == [1.5, 3.5]
    assert graph.jacobian("w").tolist() == [[1.5, 3.5]]
    assert graph.gradient([1.0]).shape == (0,)


def random_graph(rng):
    """A graph of twelve nodes, each of values before it at random, and their mean."""
    names, nodes = ["x", "scalar"], {}
    for i in range(12):
        node = rng.choice([Multiply, Plus, Minus, Square, Tanh, Softplus])
        # the last node that nothing uses is an input, so that nothing is left over
        inputs = [names[-1], *rng.choice(names[:-1], size=len(node._names) - 1)]
        nodes[f"n{i}"] = (node(), *map(str, inputs))
        names.append(f"n{i}")
    nodes["all"] = (Plus(), "n11", "x")
    return Graph(["x"], nodes | {"cost": (Mean(), "all")}, {"scalar": 0.3})


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs(seed):
    """Backward, the product of the Jacobians, and finite differences are the same."""
    rng = np.random.default_rng(seed)
    graph, x = random_graph(rng), rng.uniform(-1, 1, 5)
    graph.forward(x)
    gradients = {name: value.reshape(1, -1) for name, value in graph.backward().items()}
    for name, gradient in gradients.items():
        assert_close(graph.jacobian(name), gradient, "float64", 12, 5)
    assert_slopes(gradients["x"][0], graph.forward, x)
    assert_slopes(
        gradients["scalar"][0], lambda value: graph.forward(x, scalar=value.item()), np.array([0.3])
    )


def test_a_graph_whose_value_is_an_array():
    graph = Graph(["z"], {"square": (Square(), "z")})
    graph.forward([1.0, 2.0])
    with pytest.raises(ValueError, match=r"upstream has shape \(\), but must have \(2,\)"):
        graph.backward()
    with pytest.raises(ValueError, match="upstream"):
        graph.trace()
    assert graph.backward([1.0, 10.0])["z"].tolist() == [2.0, 40.0]
    assert "2 z * g" in graph.trace()


def test_the_sum_of_two_costs():
    graph = Graph(
        ["a", "b"],
        {"one": (Sum(), "a"), "two": (Mean(), "b"), "cost": (Plus(), "one", "two")},
    )
    assert graph.forward([1.0, 2.0], [3.0, 5.0]) == 7
    assert {k: v.tolist() for k, v in graph.backward().items()} == {"a": [1, 1], "b": [0.5, 0.5]}


def test_a_parameter_that_no_gradient_reaches_has_gradient_zero():
    graph = Graph(
        ["z"],
        {"loss": (SampleLoss("huber"), "z", "y"), "cost": (Sum(), "loss")},
        parameters={"y": [[1.0], [2.0]]},
    )
    assert graph.gradient([[0.0], [0.0]]).tolist() == [0, 0]
    with pytest.raises(ValueError, match="'y' has no derivative"):
        graph.jacobian("y")


def test_parameters_can_be_given_for_one_pass():
    graph = linear_cost()
    assert graph.forward([1.0], [2.0], theta0=2.0) == 0
    assert graph.forward([1.0], [2.0]) == 4


def test_copies_and_pickles_of_a_graph_keep_its_last_pass():
    graph = linear_cost(1, 1)
    graph.forward([1.0, 2.0], [1.0, 3.0])
    net, X, y = network_case([3, 5, 1], "relu", "squared_error", "float32")
    for other in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert other.backward()["theta1"] == 1
    twin = pickle.loads(pickle.dumps(from_network(net)))
    np.testing.assert_array_equal(twin.gradient(X, y), from_network(net).gradient(X, y))


@pytest.mark.parametrize("what", ["backward", "trace", "jacobian"])
def test_backward_before_forward_is_an_error(what):
    with pytest.raises(RuntimeError, match=r"no forward pass yet.*call forward"):
        getattr(linear_cost(), what)(*["x"] * (what == "jacobian"))


def test_an_error_keeps_the_previous_pass_and_names_the_node():
    graph = linear_cost(1, 1)
    graph.forward([1.0, 2.0], [1.0, 3.0])
    with pytest.raises(ValueError, match="node 'error' cannot take y, prediction: Minus takes"):
        graph.forward([5.0, 6.0, 7.0], [1.0, 3.0])
    assert graph.values["x"].tolist() == [1, 2]
    assert graph.backward()["theta1"] == 1


@pytest.mark.parametrize(
    ("arrays", "named", "error", "message"),
    [
        ((), {"x": [1]}, TypeError, "y has no value, but the graph takes x, y and learns theta1"),
        (([1], [1], [1]), {}, TypeError, "3 inputs were given, but the graph takes x, y"),
        (([1], [1]), {"x": [1]}, TypeError, "x was given twice"),
        (([1], [1]), {"theta2": 1}, ValueError, "did you mean 'theta"),
        (([1], [1]), {"error": 1}, ValueError, "'error', but must be one of 'theta1'"),
    ],
)
def test_wrong_inputs_of_a_graph_are_refused(arrays, named, error, message):
    with pytest.raises(error, match=message):
        linear_cost().forward(*arrays, **named)


NODE = Square()


@pytest.mark.parametrize(
    ("inputs", "nodes", "error", "message"),
    [
        (["x"], {"cost": (Square(), "z")}, ValueError, "an input of 'cost' is 'z', but must be"),
        (["x"], {"a": (Square(), "b"), "b": (Square(), "x")}, ValueError, "must come before it"),
        (["x"], {"cost": (Square(), "cost")}, ValueError, "must come before it"),
        (["x", "x"], {"cost": (Square(), "x")}, ValueError, "'x' is the name of two things"),
        (["x"], {"x": (Square(), "x")}, ValueError, "'x' is the name of two things"),
        (["x"], {}, ValueError, "nodes is empty"),
        (["x", "y"], {"cost": (Square(), "x")}, ValueError, "nothing uses 'y'"),
        (["x"], {"a": (Square(), "x"), "b": (Square(), "x")}, ValueError, "nothing uses 'a'"),
        (["x"], {"cost": (Minus(), "x")}, ValueError, r"takes 2: a, b"),
        (["x"], {"cost": (Square, "x")}, TypeError, "must be a tuple of a node and"),
        (["x"], {"cost": Square()}, TypeError, "must be a tuple of a node and"),
        (
            ["x"],
            {"a": (NODE, "x"), "b": (NODE, "a")},
            ValueError,
            "has the same node as another name",
        ),
        (["my x"], {"cost": (Square(), "my x")}, ValueError, "cannot name a parameter or input"),
        ([1], {"cost": (Square(), 1)}, TypeError, "must be strings that are not empty, not 1"),
        (["x"], {"cost": (Square(), 1)}, TypeError, "an input of 'cost' must be one of"),
        ("x", {"cost": (Square(), "x")}, TypeError, "inputs must list the inputs' names"),
        (["x"], [(Square(), "x")], TypeError, "nodes must be a dictionary"),
    ],
)
def test_wrong_graphs_are_refused(inputs, nodes, error, message):
    with pytest.raises(error, match=message):
        Graph(inputs, nodes)


def test_a_removed_parameter_is_an_error():
    graph = linear_cost()
    del graph.parameters["theta1"]
    with pytest.raises(TypeError, match="theta1 has no value"):
        graph.forward([1.0], [2.0])


def test_an_added_parameter_is_an_error():
    graph = linear_cost()
    graph.parameters["theta2"] = 1.0
    with pytest.raises(ValueError, match="the name of a parameter is 'theta2', but must be one of"):
        graph.forward([1.0], [2.0])


def test_parameters_must_be_a_dictionary():
    with pytest.raises(TypeError, match="parameters must be a dictionary"):
        Graph([], {"cost": (Square(), "w")}, ["w"])


def test_wrong_arguments_of_the_builders():
    with pytest.raises(TypeError, match=r"net must be a fastgd\.Network, not 'net'"):
        from_network("net")
    with pytest.raises(ValueError, match="reduction is 'none', but must be one of 'mean', 'sum'"):
        from_network(gd.Network([1, 1]), reduction="none")
    with pytest.raises(ValueError, match="theta1 is nan"):
        linear_cost(theta1=float("nan"))
    with pytest.raises(ValueError, match="did you mean 'huber'"):
        SampleLoss("hubert")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0, 2.0]], [1.0], "X has 2 columns, but the network has 3 inputs"),
        ([[1.0, 2.0, 3.0]], [1.0, 2.0], "y has length 2"),
        ([[1.0, 2.0, np.nan]], [1.0], "every value must be finite"),
    ],
)
def test_wrong_samples_of_a_network(X, y, message):
    with pytest.raises(ValueError, match=message):
        from_network(gd.Network([3, 1])).forward(X, y)


class Counted(str):
    """A name that counts how often it is compared with another."""

    compared = 0

    def __eq__(self, other):
        Counted.compared += 1
        return str(self) == str(other)

    __hash__ = str.__hash__


@pytest.mark.parametrize("shape", ["chain", "parameters"])
def test_work_is_linear_in_the_number_of_nodes(shape):
    """Names are looked up, not searched for: 20,000 nodes took ten seconds."""
    n = 300
    names = [Counted(f"n{k}") for k in range(n)]
    weights = [Counted("w")] * n if shape == "chain" else [Counted(f"w{k}") for k in range(n)]
    wires = [Counted("x"), *names[:-1]]
    table = {name: (Plus(), wires[k], weights[k]) for k, name in enumerate(names)}
    Counted.compared = 0
    graph = Graph([wires[0]], table, parameters=dict.fromkeys(weights, 1.0))
    graph.forward(1.0)
    graph.backward()
    assert Counted.compared < 20 * n
