"""gd.nodes: forward and backward of each node, and their Jacobians."""

import numpy as np
import pytest
from conftest import assert_close, assert_slopes, draw, make_data, run_python

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES
from fastgd.nodes import (
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
from fastgd.nodes._activations import ACTIVATION_NODES

SHAPES = [(), (1,), (7,), (3, 4), (2, 1, 3)]


PAIRS = [*((shape, shape) for shape in SHAPES), ((), (7,)), ((7,), ()), ((3, 4), ())]


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
    """A forward pass, an upstream gradient, and tuples of the gradients and Jacobians."""
    inputs = draw(*shapes, dtype=dtype)
    output = node.forward(*inputs, *rest)
    (upstream,) = draw(output.shape, dtype=dtype, seed=1)
    back, jacobians = node.backward(upstream), node.jacobian()
    if len(inputs) == 1:
        back, jacobians = (back,), (jacobians,)
    return inputs, output, upstream, back, jacobians


@every_node
def test_backward_equals_the_upstream_gradient_times_the_jacobian(node, shapes, rest, dtype):
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
def test_jacobians_equal_finite_differences(node, shapes, rest):
    inputs, _, _, _, jacobians = both_ways(node, shapes, rest, "float64")
    for place, jacobian in enumerate(jacobians):

        def output(values, place=place):
            replaced = [*inputs[:place], values.reshape(shapes[place]), *inputs[place + 1 :]]
            return node.forward(*replaced, *rest).reshape(-1)

        assert_slopes(jacobian, output, inputs[place].reshape(-1))


@every_node
def test_inputs_are_copied_and_not_changed(node, shapes, rest):
    """Changing the arrays after the forward pass does not change the pass."""
    inputs, _, upstream, back, _ = both_ways(node, shapes, rest, "float64")
    for array, drawn in zip(inputs, draw(*shapes), strict=True):
        np.testing.assert_array_equal(array, drawn)
        array[...] = np.nan
    again = node.backward(upstream)
    for gradient, repeated in zip(back, again if len(inputs) > 1 else (again,), strict=True):
        np.testing.assert_array_equal(gradient, repeated)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_the_networks(name, dtype):
    (z,) = draw((50,), dtype=dtype)
    node = ACTIVATION_NODES[name]()
    np.testing.assert_array_equal(node.forward(z), ACTIVATIONS[name].value(z))
    np.testing.assert_array_equal(node.backward(np.ones_like(z)), ACTIVATIONS[name].derivative(z))


@pytest.mark.parametrize("loss", LOSSES)
def test_sample_losses_equal_the_networks(loss, dtype):
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
    assert_close(node.backward(), (p - np.eye(5)[y]) / 8, "float64", 5)


def test_softmax_with_loss_of_large_outputs_is_finite():
    node = SoftmaxWithLoss()
    assert node.forward([[1e4, 0.0], [0.0, 1e4]], [0, 0]) == 5000
    assert node.backward().tolist() == [[0, 0], [-0.5, 0.5]]


def test_python_numbers_take_the_dtype_of_the_arrays():
    assert Multiply().forward(0.1, np.ones(2, np.float32)).dtype == np.float32
    assert Multiply().forward(np.float64(0.1), np.ones(2, np.float32)).dtype == np.float64
    assert Multiply().forward(2, [1, 2]).dtype == np.float64
    assert Square().forward(np.arange(3, dtype=np.int8)).tolist() == [0, 1, 4]


@pytest.mark.parametrize("what", ["backward", "jacobian"])
@pytest.mark.parametrize(
    "node", [Square(), Mean(), Affine(), SoftmaxWithLoss(), SampleLoss("huber")]
)
def test_backward_before_forward(node, what):
    with pytest.raises(RuntimeError, match=r"no forward pass yet.*call forward"):
        getattr(node, what)()


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
def test_wrong_shapes_are_refused(node, inputs, message):
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
def test_wrong_inputs_are_refused(node, inputs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        node.forward(*inputs)


def test_an_error_keeps_the_previous_pass():
    node = Plus()
    node.forward([1, 2], [3, 4])
    with pytest.raises(ValueError, match="one shape"):
        node.forward([1, 2], [3])
    assert node.backward([1, 2])[0].tolist() == [1, 2]


@pytest.mark.parametrize("upstream", [1.0, [1.0], [1, 2, 3], [[1, 2]]])
def test_wrong_upstream(upstream):
    node = Square()
    node.forward([1, 2])
    with pytest.raises(ValueError, match=r"must have \(2,\)"):
        node.backward(upstream)


def test_importing_fastgd_does_not_import_nodes():
    code = "import sys, fastgd; print('fastgd.nodes' in sys.modules, fastgd.nodes.Square())"
    assert run_python(code) == "False Square()"


def test_fastgd_lists_nodes_and_knows_no_other_late_name():
    assert "nodes" in dir(gd)
    with pytest.raises(AttributeError, match="has no attribute 'node'"):
        gd.node  # noqa: B018


def test_every_node_is_tested():
    nodes = {value for value in vars(gd.nodes).values() if isinstance(value, type)}
    tested = {type(case.values[0]) for case in CASES}
    assert {node for node in nodes if issubclass(node, Node)} == tested | {Node}


def test_nodes_of_activations_are_found_by_name():
    public = (Identity, ReLU, LeakyReLU, Tanh, Sigmoid, GELU, SiLU, Softplus)
    assert {*public} <= {*ACTIVATION_NODES.values()}
    assert [*ACTIVATION_NODES] == [*ACTIVATIONS]


def test_a_node_without_a_derivative_is_refused_when_created():
    class Cube(Node):
        def _value(self, z):
            return z**3

    with pytest.raises(TypeError, match=r"abstract.*_gradients.*_jacobians"):
        Cube()
