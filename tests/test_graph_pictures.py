"""Graphs as pictures: SVG for notebooks, and `plot.graph`, with the values of both passes."""

import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from drawn import title_of

import fastgd as gd
from fastgd import nodes, plot
from fastgd.nodes._picture import pretty, scene

pytestmark = pytest.mark.usefixtures("own_figures")


def two_samples():
    graph = nodes.linear_cost(theta1=1, theta0=1)
    graph.forward(x=[1, 2], y=[1, 3])
    return graph


def of_network():
    net = gd.Network([2, 3, 2], hidden="tanh", loss="cross_entropy", dtype="float64", rng=0)
    graph = nodes.from_network(net)
    graph.forward([[1.0, 2.0], [0.5, -1.0]], [0, 1])
    return graph


def used_twice():
    graph = nodes.Graph(
        ["x"],
        {
            "a": (nodes.Square(), "x"),
            "b": (nodes.Multiply(), "a", "x"),
            "c": (nodes.Plus(), "b", "a"),
            "d": (nodes.Sum(), "c"),
        },
    )
    graph.forward([1.0, 2.0])
    return graph


GRAPHS = [nodes.linear_cost, two_samples, of_network, used_twice]


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def wire(graph, name):
    return next(wire for wire in scene(graph).wires if wire.source.name == name)


def test_wires_show_values_gradients_factors_and_shapes():
    graph = two_samples()
    assert graph.trace().count("[0.5, 0.5]") == 2
    loss, prediction = wire(graph, "loss"), wire(graph, "prediction")
    assert (loss.forward, loss.passed) == ("[1, 0]", "[0.5, 0.5]")
    assert loss.rules == ["g / 2", "J: 1 × 2"]
    assert (prediction.passed, prediction.rules) == ("[1, 0]", ["\N{MINUS SIGN}g", "J: 2 × 2"])
    assert wire(graph, "theta0").rules == ["sum(g)", "J: 2 × 1"]
    assert wire(graph, "cost").forward == "0.5"


def test_the_svg_has_all_text_of_the_scene():
    graph = two_samples()
    said = texts(graph._repr_svg_())
    assert {"θ₁", "θ₀", "Σ / 2", "← [0.5, 0.5]", "2 error·g", "prediction"} <= set(said)


def test_shapes_are_those_of_the_jacobians():
    graph = of_network()
    for name, (node, *wires) in {
        name: (node, *graph._wires[name]) for name, node in graph.nodes.items()
    }.items():
        for source, jacobian in zip(wires, node._jacobians(), strict=True):
            if jacobian is not None:
                shape = "{:,} × {:,}".format(*jacobian.shape)
                assert wire(graph, source).rules[-1] == f"J: {shape}", name


def test_a_value_used_twice_shows_the_sum_and_both_rules():
    used = wire(used_twice(), "x")
    assert used.passed == "[5, 16]"  # of x^3 + x^2: 3 x^2 + 2 x
    assert used.rules == ["a: 2 x·g", "b: a·g"]
    assert [box.name for box in used.targets] == ["a", "b"]


def test_before_a_pass_there_are_no_numbers():
    said = texts(nodes.linear_cost()._repr_svg_())
    assert "Σ / n" in said
    assert not any(re.search(r"\d", text) for text in said if text)


def test_class_indices_get_no_gradient():
    assert wire(of_network(), "y").passed == ""
    assert wire(of_network(), "y").forward == "[0, 1]"


@pytest.mark.parametrize("make", GRAPHS)
def test_no_two_boxes_overlap_and_all_are_inside(make):
    drawn = scene(make())
    for first, second in itertools.combinations(drawn.boxes, 2):
        apart = abs(first.x - second.x) >= first.half + second.half
        assert apart or abs(first.y - second.y) >= 40
    assert all(box.x - box.half > 0 and box.x + box.half < drawn.width for box in drawn.boxes)
    assert all(0 < box.y < drawn.height for box in drawn.boxes)


@pytest.mark.parametrize("make", GRAPHS)
def test_text_on_a_wire_fits_between_the_boxes(make):
    drawn = scene(make())
    for each in drawn.wires:
        longest = max(map(len, [each.forward, each.passed, *each.rules]))
        assert 6 * longest <= each.bend - each.source.x - each.source.half


def test_markup_in_names_is_escaped():
    graph = nodes.Graph(["x"], {"<b>": (nodes.Square(), "x"), "&": (nodes.Sum(), "<b>")})
    assert {"<b>", "&"} <= set(texts(graph._repr_svg_()))


@pytest.mark.parametrize(
    ("name", "text"), [("theta1", "θ₁"), ("W12", "W₁₂"), ("loss", "loss"), ("1", "₁")]
)
def test_names_are_written_as_in_formulas(name, text):
    assert pretty(name) == text


def test_a_thousand_samples_do_not_enlarge_the_picture():
    x = np.arange(1000) / 1000
    graph = nodes.linear_cost()
    graph.forward(x, 3 * x + 1)
    assert len(graph._repr_svg_()) < 1.3 * len(two_samples()._repr_svg_())
    assert "g / 1,000" in wire(graph, "loss").rules


@pytest.mark.parametrize("make", GRAPHS)
def test_plot_graph_has_the_text_of_the_svg(make):
    graph = make()
    ax = plot.graph(graph)
    drawn = {text.get_text() for text in ax.texts if text.get_text()}
    assert drawn == {text for text in texts(graph._repr_svg_()) if text}


@pytest.mark.parametrize(
    ("make", "finding"),
    [
        (nodes.linear_cost, "The graph of cost, before its first forward pass"),
        (two_samples, "The cost is 0.5, its gradient by θ₁ is 1, by θ₀ 1"),
        (of_network, "The cost is 0.85"),
    ],
)
def test_the_title_states_the_value_and_its_gradient(make, finding):
    assert title_of(plot.graph(make())) == finding


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match=r"fastgd\.nodes\.Graph, not"):
        plot.graph(gd.Network([1, 1]))
