"""The picture of a graph of `fastgd.nodes`, with values and gradients on its wires."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from fastgd import _words
from fastgd.nodes import Graph
from fastgd.nodes._picture import HALF, Box, Wire, pretty, scene
from fastgd.plot import _drawing

__all__ = ["graph"]

#: resolution of the scene's pixels
PIXELS_PER_INCH = 96


def graph(graph: Graph, *, ax: Axes | None = None) -> Axes:
    """Draw a graph, with the values of its last pass above the wires and gradients below.

    Below a wire are the gradient that is passed back, its formula (g is the gradient that the next
    node received), and the shape of that node's Jacobian.

    Parameters
    ----------
    graph : fastgd.nodes.Graph
        The graph; before a forward pass it is drawn without values.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        When an argument is not as above.

    Examples
    --------
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> graph = gd.nodes.linear_cost(theta1=1, theta0=1)
    >>> _ = graph.forward(x=[1, 2], y=[1, 3])
    >>> ax = plot.graph(graph)
    >>> print(ax.get_title(loc="left"))
    The cost is 0.5, its gradient by θ₁ is 1, by θ₀ 1
    """
    if not isinstance(graph, Graph):
        raise TypeError(f"graph must be a fastgd.nodes.Graph, not {_words.show(graph)}")
    _drawing.check_axes(ax)
    drawn = scene(graph)
    finding = _finding(graph)

    ax = _drawing.new_axes(ax, (drawn.width / PIXELS_PER_INCH, drawn.height / PIXELS_PER_INCH))
    ax.set_xlim(0, drawn.width)
    ax.set_ylim(drawn.height, 0)
    ax.set_aspect("equal")
    ax.set_axis_off()
    looks = _drawing.looks(ax)
    for wire in drawn.wires:
        _draw_wire(ax, wire, looks)
    for box in drawn.boxes:
        _draw_box(ax, box, looks)
    _drawing.title(ax, finding)
    return ax


def _draw_wire(ax: Axes, wire: Wire, looks: _drawing.Looks) -> None:
    """Draw the line of a wire, and the texts on it."""
    left, y = wire.source.x + wire.source.half, wire.source.y
    points, codes = [(left, y), (wire.bend, y)], [Path.MOVETO, Path.LINETO]
    for target in wire.targets:
        end = target.x - target.half
        bow = (wire.bend + end) / 2
        points += [(wire.bend, y), (bow, y), (bow, target.y), (end, target.y)]
        codes += [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    ax.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=looks.soft, linewidth=0.9))
    middle = (left + wire.bend) / 2
    words: dict[str, Any] = {"ha": "center", "va": "baseline", "fontsize": 8.5}
    ax.text(middle, y - 7, wire.forward, color=looks.lines[0], **words)
    passed = f"← {wire.passed}" if wire.passed else ""
    ax.text(middle, y + 16, passed, color=looks.lines[1], **words)
    for k, rule in enumerate(wire.rules):
        ax.text(middle, y + 30 + 13 * k, rule, **(words | {"fontsize": 7.5}))


def _draw_box(ax: Axes, box: Box, looks: _drawing.Looks) -> None:
    """Draw a node, a parameter (blue) or an input (dashed), and its name."""
    round_by = 6 if box.kind == "node" else HALF
    corner, size = (box.x - box.half, box.y - HALF), (2 * box.half, 2 * HALF)
    style = f"round,pad=0,rounding_size={round_by}"
    frame = FancyBboxPatch(corner, *size, boxstyle=style, fill=False, edgecolor=looks.ink)
    frame.set_linewidth(1.8 if box.kind == "parameter" else 1.2)
    if box.kind == "parameter":
        frame.set_edgecolor(looks.lines[0])
    elif box.kind == "input":
        frame.set_linestyle((0, (4, 3)))
    ax.add_patch(frame)
    ax.text(box.x, box.y, box.text, ha="center", va="center", fontsize=10.5, weight="bold")
    if box.kind == "node":
        name = _drawing.safe(pretty(box.name))
        ax.text(box.x, box.y + HALF + 13, name, ha="center", va="baseline", fontsize=8)


def _finding(graph: Graph) -> str:
    """State the graph's value, and its gradient if that has only a few numbers."""
    name = next(reversed(graph.nodes))
    if not graph.values:
        return f"The graph of {pretty(name)}, before its first forward pass"
    value = graph.values[name]
    if value.size > 1:
        return f"The graph of {pretty(name)}, which has {value.size:,} numbers"
    text = f"The {pretty(name)} is {_drawing.number(float(value))}"
    parts = [
        f"by {pretty(parameter)} {'' if k else 'is '}"
        f"{_drawing.number(float(graph.gradients[parameter]))}"
        for k, parameter in enumerate(graph.parameters)
        if parameter in graph.gradients and graph.gradients[parameter].size == 1
    ]
    return f"{text}, its gradient {', '.join(parts)}" if parts else text
