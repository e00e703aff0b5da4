"""gd.nodes: forward and backward of each node, their Jacobians, and graphs equal to gd.gradient."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from conftest import assert_close, make_data

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES
from fastgd.nodes import (
    GELU,
    Affine,
    Graph,
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
    from_network,
    linear_cost,
)  # fmt: skip

ACTIVATION_NODES = {
    "identity": Identity, "relu": ReLU, "leaky_relu": LeakyReLU, "tanh": Tanh,
    "sigmoid": Sigmoid, "gelu": GELU, "silu": SiLU, "softplus": Softplus,
}  # fmt: skip
SHAPES = [(), (1,), (7,), (3, 4), (2, 1, 3)]
PAIRS = [*((shape, shape) for shape in SHAPES), ((), (7,)), ((7,), ()), ((3, 4), ())]


def draw(*shapes, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def loss_data(loss, n, outputs, dtype):
    """Raw outputs and targets that the loss takes."""
    (z,) = draw((n, outputs), dtype=dtype, seed=3)
    return z, make_data([1, outputs], loss, n, dtype)[1]


def cases():
    """Every node, with shapes of its differentiable inputs, and the other inputs."""
    for node in (Multiply, Plus, Minus):
        for shapes in PAIRS:
            yield node(), shapes, ()
    for node in (Square, Mean, Sum, *ACTIVATION_NODES.values()):
        for shape in SHAPES:
            yield node(), (shape,), ()
    for n, d, k in [(1, 1, 1), (4, 3, 2), (5, 1, 3), (2, 6, 1)]:
        yield Affine(), ((n, d), (d, k), (k,)), ()
    for loss in LOSSES:
        outputs = [1] if LOSSES[loss].one_output else [1, 3]
        for n, k in [(n, k) for n in (1, 5) for k in outputs]:
            yield SampleLoss(loss), ((n, k),), (loss_data(loss, n, k, "float64")[1],)
    for n, k in [(1, 2), (5, 3)]:
        yield SoftmaxWithLoss(), ((n, k),), (loss_data("cross_entropy", n, k, "float64")[1],)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    yield SoftmaxWithLoss(), ((5, 3),), (probabilities,)


CASES = [
    pytest.param(node, shapes, rest, id=f"{node!r}-{'-'.join(map(str, shapes))}".replace(" ", ""))
    for node, shapes, rest in cases()
]
every_node = pytest.mark.parametrize(("node", "shapes", "rest"), CASES)


def both_ways(node, shapes, rest, dtype):
    """A forward pass, an upstream gradient, and tuples of what comes back and the Jacobians."""
    inputs = draw(*shapes, dtype=dtype)
    output = node.forward(*inputs, *rest)
    (upstream,) = draw(output.shape, dtype=dtype, seed=1)
    back, jacobians = node.backward(upstream), node.jacobian()
    if len(inputs) == 1:
        back, jacobians = (back,), (jacobians,)
    return inputs, output, upstream, back, jacobians


@every_node
def test_backward_is_the_upstream_gradient_times_the_jacobian(node, shapes, rest, dtype):
    inputs, output, upstream, back, jacobians = both_ways(node, shapes, rest, dtype)
    for array, gradient, jacobian in zip(inputs, back, jacobians, strict=True):
        assert jacobian.shape == (output.size, array.size)
        product = (upstream.reshape(-1) @ jacobian).reshape(array.shape)
        assert_close(gradient, product, dtype, output.size)


@every_node
def test_shapes_and_dtypes_are_those_of_the_inputs(node, shapes, rest, dtype):
    inputs, output, _, back, jacobians = both_ways(node, shapes, rest, dtype)
    for array, gradient in zip(inputs, back, strict=True):
        assert isinstance(gradient, np.ndarray)
        assert gradient.shape == array.shape
    assert isinstance(output, np.ndarray)
    assert {array.dtype for array in (output, *back, *jacobians)} == {np.dtype(dtype)}


@every_node
def test_jacobians_are_the_finite_differences(node, shapes, rest):
    inputs, output, _, _, jacobians = both_ways(node, shapes, rest, "float64")
    step = 1e-6
    for place, jacobian in enumerate(jacobians):
        for column in range(inputs[place].size):
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in inputs]
                moved[place].reshape(-1)[column] += sign * step
                ends.append(node.forward(*moved, *rest))
            slope = (ends[0] - ends[1]).reshape(-1) / (2 * step)
            np.testing.assert_allclose(jacobian[:, column], slope, rtol=1e-6, atol=1e-8)
    assert output.shape == ends[0].shape


@every_node
def test_inputs_stay_as_they_are_and_are_remembered(node, shapes, rest):
    """What the caller does to the arrays after the forward pass does not change the pass."""
    inputs, _, upstream, back, _ = both_ways(node, shapes, rest, "float64")
    for array, drawn in zip(inputs, draw(*shapes), strict=True):
        np.testing.assert_array_equal(array, drawn)
        array[...] = np.nan
    again = node.backward(upstream)
    for gradient, repeated in zip(back, again if len(inputs) > 1 else (again,), strict=True):
        np.testing.assert_array_equal(gradient, repeated)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_the_network(name, dtype):
    (z,) = draw((50,), dtype=dtype)
    node = ACTIVATION_NODES[name]()
    np.testing.assert_array_equal(node.forward(z), ACTIVATIONS[name].value(z))
    np.testing.assert_array_equal(node.backward(np.ones_like(z)), ACTIVATIONS[name].derivative(z))


@pytest.mark.parametrize("loss", LOSSES)
def test_sample_losses_are_those_of_the_network(loss, dtype):
    z, y = loss_data(loss, 6, 4 if loss == "cross_entropy" else 1, dtype)
    net = gd.Network([z.shape[1], z.shape[1]], loss=loss, dtype=dtype)
    net.weights[0][:] = np.eye(z.shape[1])
    expected = net.loss_value(z, y, reduction="none")
    assert_close(SampleLoss(loss).forward(z, y), expected, dtype, 4)


def test_the_notes_jacobians():
    """The identity for plus, minus the identity for minus, diagonal for square, 1/n for mean."""
    (z,) = draw((5,))
    plus, minus, square, mean, multiply = Plus(), Minus(), Square(), Mean(), Multiply()
    for node, inputs in ((plus, (z, z)), (minus, (z, z)), (square, (z,)), (mean, (z,))):
        node.forward(*inputs)
    multiply.forward(3.0, z)
    np.testing.assert_array_equal(plus.jacobian(), [np.eye(5), np.eye(5)])
    np.testing.assert_array_equal(minus.jacobian(), [np.eye(5), -np.eye(5)])
    np.testing.assert_array_equal(square.jacobian(), np.diag(2 * z))
    np.testing.assert_array_equal(mean.jacobian(), np.full((1, 5), 1 / 5))
    np.testing.assert_array_equal(multiply.jacobian()[0], z.reshape(5, 1))
    np.testing.assert_array_equal(multiply.jacobian()[1], 3 * np.eye(5))


def test_softmax_with_loss_passes_back_p_minus_y_over_n():
    z, y = loss_data("cross_entropy", 8, 5, "float64")
    node = SoftmaxWithLoss()
    node.forward(z, y)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(node.backward(), (p - np.eye(5)[y]) / 8, rtol=0, atol=1e-16)


def test_softmax_with_loss_of_large_outputs_is_finite():
    node = SoftmaxWithLoss()
    assert node.forward([[1e4, 0.0], [0.0, 1e4]], [0, 0]) == 5000
    assert node.backward().tolist() == [[0, 0], [-0.5, 0.5]]


def test_python_numbers_take_the_dtype_of_the_arrays():
    assert Multiply().forward(0.1, np.ones(2, np.float32)).dtype == np.float32
    assert Multiply().forward(np.float64(0.1), np.ones(2, np.float32)).dtype == np.float64
    assert Multiply().forward(2, [1, 2]).dtype == np.float64
    assert Square().forward(np.arange(3, dtype=np.int8)).tolist() == [0, 1, 4]


# --- graphs -----------------------------------------------------------------------------------


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
def test_linear_cost_is_the_networks(n, dtype):
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
    np.testing.assert_allclose(reached, net.params, rtol=1e-12)


def network_case(sizes, hidden, loss, dtype, n=9):
    net = gd.Network(sizes, hidden=hidden, loss=loss, dtype=dtype, rng=3)
    for b in net.biases:
        b[:] = np.linspace(-0.5, 0.5, len(b))
    return net, *make_data(sizes, loss, n, dtype)


def outputs_of(loss):
    return {"cross_entropy": [4], "squared_error": [1, 3]}.get(loss, [1])


@pytest.mark.parametrize("hidden", ACTIVATIONS)
@pytest.mark.parametrize(("loss", "k"), [(loss, k) for loss in LOSSES for k in outputs_of(loss)])
def test_from_network_is_the_networks_gradient(loss, k, hidden, dtype):
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


def test_from_network_sees_the_network_as_it_is():
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
    graph, x, step = random_graph(rng), rng.uniform(-1, 1, 5), 1e-6
    graph.forward(x)
    gradients = {name: value.reshape(1, -1) for name, value in graph.backward().items()}
    for name, gradient in gradients.items():
        np.testing.assert_allclose(graph.jacobian(name), gradient, rtol=1e-12, atol=1e-12)
    moves = [(x + step * unit, x - step * unit) for unit in np.eye(5)]
    slopes = [(graph.forward(up) - graph.forward(down)) / (2 * step) for up, down in moves]
    np.testing.assert_allclose(gradients["x"][0], slopes, rtol=1e-6, atol=1e-8)
    up, down = (graph.forward(x, scalar=0.3 + move) for move in (step, -step))
    np.testing.assert_allclose(gradients["scalar"], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


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


def test_graphs_are_copied_and_pickled_with_their_pass():
    graph = linear_cost(1, 1)
    graph.forward([1.0, 2.0], [1.0, 3.0])
    net, X, y = network_case([3, 5, 1], "relu", "squared_error", "float32")
    for other in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert other.backward()["theta1"] == 1
    twin = pickle.loads(pickle.dumps(from_network(net)))
    np.testing.assert_array_equal(twin.gradient(X, y), from_network(net).gradient(X, y))


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["backward", "jacobian"])
@pytest.mark.parametrize(
    "node", [Square(), Mean(), Affine(), SoftmaxWithLoss(), SampleLoss("huber")]
)
def test_backward_before_forward(node, what):
    with pytest.raises(RuntimeError, match=r"no forward pass yet.*call forward"):
        getattr(node, what)()


@pytest.mark.parametrize("what", ["backward", "trace", "jacobian"])
def test_a_graphs_backward_before_forward(what):
    with pytest.raises(RuntimeError, match=r"no forward pass yet.*call forward"):
        getattr(linear_cost(), what)(*["x"] * (what == "jacobian"))


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        (Multiply(), ([1, 2], [1, 2, 3]), r"one shape.*\(2,\) and \(3,\)"),
        (Plus(), ([[1], [2]], [1, 2]), r"one shape.*\(2, 1\) and \(2,\)"),
        (Minus(), ([1], [1, 2]), "one shape"),
        (Mean(), ([],), "at least one number"),
        (Affine(), ([1, 2], [[1], [2]], [0]), r"not \(2,\), \(2, 1\) and \(1,\)"),
        (Affine(), ([[1, 2]], [[1, 2]], [0]), "Affine takes X of shape"),
        (Affine(), ([[1, 2]], [[1], [2]], [0, 0]), "Affine takes X of shape"),
        (Square(), ([[1, 2], [3]],), "rows differ in length"),
        (SampleLoss("huber"), ([1, 2], [1, 2]), r"shape \(n, outputs\), not \(2,\)"),
        (SampleLoss("hinge"), ([[1, 2]], [1]), r"shape \(n, 1\), not \(1, 2\)"),
        (SoftmaxWithLoss(), ([[1, 2]], [2]), r"y\[0\] is 2"),
        (SoftmaxWithLoss(), ([[1, 2]], [0, 1]), "there is 1 sample: it needs"),
    ],
)
def test_wrong_shapes(node, inputs, message):
    with pytest.raises(ValueError, match=message):
        node.forward(*inputs)


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        (Plus(), ([1],), r"Plus takes 2 input\(s\), a, b, but 1 were given"),
        (Square(), ("text",), "must be an array of numbers"),
        (Square(), ([1j],), "must hold real numbers"),
        (Square(), (None,), "must be an array of numbers"),
        (Square(), (np.ma.masked_less([1.0, 2.0], 1.5),), "masked values"),
    ],
)
def test_wrong_inputs(node, inputs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        node.forward(*inputs)


def test_an_error_leaves_the_pass_before():
    node = Plus()
    node.forward([1, 2], [3, 4])
    with pytest.raises(ValueError, match="one shape"):
        node.forward([1, 2], [3])
    assert node.backward([1, 2])[0].tolist() == [1, 2]


def test_a_graphs_error_leaves_the_pass_before_and_names_the_node():
    graph = linear_cost(1, 1)
    graph.forward([1.0, 2.0], [1.0, 3.0])
    with pytest.raises(ValueError, match="node 'error' can not take y, prediction: Minus takes"):
        graph.forward([5.0, 6.0, 7.0], [1.0, 3.0])
    assert graph.values["x"].tolist() == [1, 2]
    assert graph.backward()["theta1"] == 1


@pytest.mark.parametrize("upstream", [1.0, [1.0], [1, 2, 3], [[1, 2]]])
def test_wrong_upstream(upstream):
    node = Square()
    node.forward([1, 2])
    with pytest.raises(ValueError, match=r"must have \(2,\)"):
        node.backward(upstream)


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
def test_wrong_inputs_of_a_graph(arrays, named, error, message):
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
        (["x"], {"a": (NODE, "x"), "b": (NODE, "a")}, ValueError, "has the node of another name"),
        (["my x"], {"cost": (Square(), "my x")}, ValueError, "can not name a parameter or input"),
        ([1], {"cost": (Square(), 1)}, TypeError, "must be strings that are not empty, not 1"),
        (["x"], {"cost": (Square(), 1)}, TypeError, "an input of 'cost' must be one of"),
        ("x", {"cost": (Square(), "x")}, TypeError, "inputs must list the inputs' names"),
        (["x"], [(Square(), "x")], TypeError, "nodes must be a dictionary"),
    ],
)
def test_wrong_graphs(inputs, nodes, error, message):
    with pytest.raises(error, match=message):
        Graph(inputs, nodes)


def test_a_parameter_that_was_taken_away():
    graph = linear_cost()
    del graph.parameters["theta1"]
    with pytest.raises(TypeError, match="theta1 has no value"):
        graph.forward([1.0], [2.0])


def test_a_parameter_that_was_added():
    graph = linear_cost()
    graph.parameters["theta2"] = 1.0
    with pytest.raises(ValueError, match="the name of a parameter is 'theta2', but must be one of"):
        graph.forward([1.0], [2.0])


def test_wrong_parameters():
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


# --- the module -------------------------------------------------------------------------------


def test_importing_fastgd_does_not_import_nodes():
    code = "import sys, fastgd; print('fastgd.nodes' in sys.modules, fastgd.nodes.Square())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False Square()\n"


def test_fastgd_lists_nodes_and_knows_no_other_late_name():
    assert "nodes" in dir(gd)
    with pytest.raises(AttributeError, match="has no attribute 'node'"):
        gd.node  # noqa: B018


def test_every_node_is_tested():
    nodes = {value for value in vars(gd.nodes).values() if isinstance(value, type)}
    tested = {type(case.values[0]) for case in CASES}
    assert {node for node in nodes if issubclass(node, Node)} == tested | {Node}
    assert set(ACTIVATION_NODES) == set(ACTIVATIONS)


def test_a_node_without_a_derivative_is_found_when_it_is_made():
    class Cube(Node):
        def _value(self, z):
            return z**3

    with pytest.raises(TypeError, match=r"abstract.*_gradients.*_jacobians"):
        Cube()
