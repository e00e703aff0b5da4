"""A graph's picture: the positions of nodes, the texts on wires, and the SVG.

`fastgd.plot.graph` draws the same scene with matplotlib.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastgd.nodes._tables import brief

if TYPE_CHECKING:
    from fastgd.nodes._graph import Graph

__all__ = ["Box", "Scene", "Wire", "pretty", "scene", "svg"]

SYMBOLS = {"Multiply": "×", "Plus": "+", "Minus": "\N{MINUS SIGN}", "Square": "( )²", "Sum": "Σ"}
SIGNS = str.maketrans({"-": "\N{MINUS SIGN}", "*": "·"})
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
#: pixels: a letter's width, the distance of rows, a box's half height, the gap from box to text
LETTER, ROW, HALF, GAP = 6.4, 104, 17, 8
#: arrays of more numbers are shortened in a picture
MOST_NUMBERS = 3


@dataclass(frozen=True)
class Box:
    """A parameter, an input or a node, centred at (x, y)."""

    name: str
    text: str
    kind: str
    x: float
    y: float
    half: float


@dataclass(frozen=True)
class Wire:
    """A wire from a box to those that use its value, with the value and the gradient on it."""

    source: Box
    #: none for the graph's value
    targets: list[Box]
    #: where the text ends and the wire may bend
    bend: float
    forward: str
    passed: str
    #: the gradient's formula, and the Jacobian's shape, each on a line
    rules: list[str]


@dataclass(frozen=True)
class Scene:
    """A graph's picture, in pixels from the upper left corner."""

    boxes: list[Box]
    wires: list[Wire]
    width: float
    height: float


def pretty(name: str) -> str:
    """Return a name in formula style: θ₁ for theta1, W₂ for W2."""
    letters = name.rstrip("0123456789")
    return letters.replace("theta", "θ") + name[len(letters) :].translate(SUBSCRIPTS)


def scene(graph: Graph) -> Scene:
    """Return the picture of a graph, with the values of its last passes if there are any."""
    if graph.values and not graph.gradients and graph.values[graph._output].size == 1:
        graph.backward()
    columns = _columns(graph._leaves, graph._wires)
    rows = _rows(graph._output, graph._wires, columns)
    notes = {name: _note(graph, name) for name in columns}
    halves = {name: max(20.0, 8 + 4.6 * len(_text(graph, name))) for name in columns}
    longest = max(
        len(text) for value, back, rules in notes.values() for text in [value, back, *rules]
    )
    room = max(60.0, LETTER * longest + 2 * GAP)  # for the text on a wire
    widest = max(halves.values())
    step = 2 * widest + room + 26
    top, low = min(rows.values()), max(rows.values())
    boxes = {
        name: Box(
            name, _text(graph, name), _kind(graph, name),
            6 + widest + column * step, 26 + HALF + (rows[name] - top) * ROW, halves[name],
        )
        for name, column in columns.items()
    }  # fmt: skip
    wires = [
        Wire(
            box, [boxes[user] for user, inputs in graph._wires.items() if name in inputs],
            box.x + widest + room, *notes[name],
        )
        for name, box in boxes.items()
    ]  # fmt: skip
    width = 6 + 2 * widest + max(columns.values()) * step + room + 6
    return Scene(list(boxes.values()), wires, width, 26 + 2 * HALF + (low - top) * ROW + 44)


def _text(graph: Graph, name: str) -> str:
    """Return the text in a box."""
    if name not in graph._nodes:
        return pretty(name)
    kind = type(graph._nodes[name]).__name__
    if kind != "Mean":
        return SYMBOLS.get(kind, kind)
    (source,) = graph._wires[name]
    return f"Σ / {graph.values[source].size:,}" if graph.values else "Σ / n"


def _kind(graph: Graph, name: str) -> str:
    if name in graph._nodes:
        return "node"
    return "parameter" if name in graph._parameter_names else "input"


def _columns(leaves: Sequence[str], wires: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return each name's column: a node after all its inputs, a leaf just before its first user."""
    columns: dict[str, int] = {}
    for name, inputs in wires.items():
        columns[name] = 1 + max(columns.get(wire, 0) for wire in inputs)
    users = {leaf: [columns[n] for n, inputs in wires.items() if leaf in inputs] for leaf in leaves}
    return {leaf: min(places) - 1 for leaf, places in users.items()} | columns


def _rows(
    output: str, wires: Mapping[str, Sequence[str]], columns: Mapping[str, int]
) -> dict[str, float]:
    """Return each name's row: nodes in line with their users, leaves around them."""
    rows = {output: 0.0}
    for name in reversed(list(wires)):
        inputs = [wire for wire in dict.fromkeys(wires[name]) if wire not in rows]
        inner = [wire for wire in inputs if wire in wires]
        outer = [wire for wire in inputs if wire not in wires]
        if inner:
            places = [0.0, *(side * k for k in range(1, len(inputs)) for side in (1, -1))]
        else:
            places = [k - (len(outer) - 1) / 2 for k in range(len(outer))]
        for wire, place in zip(inner + outer, places, strict=False):
            taken = [rows[other] for other in rows if columns[other] == columns[wire]]
            row = rows.get(name, 0.0) + place
            while any(abs(row - other) < 1 for other in taken):
                row += 1
            rows[wire] = row
    return rows


def _note(graph: Graph, name: str) -> tuple[str, str, list[str]]:
    """Return a value's text, its gradient's, and the gradient's formulas."""
    value, back = graph.values.get(name), graph.gradients.get(name)
    forward = "" if value is None else brief(value, most=MOST_NUMBERS).translate(SIGNS)
    if back is None or value is None:
        return forward, "", []
    rules = []
    users = [user for user, inputs in graph._wires.items() if name in inputs]
    for user in users:
        wires = graph._wires[user]
        for index in [k for k, wire in enumerate(wires) if wire == name]:
            rule = graph._nodes[user]._rule(index, [pretty(wire) for wire in wires])
            rule = rule.translate(SIGNS).replace(" · ", "·")
            rules.append(f"{pretty(user)}: {rule}" if len(users) > 1 else rule)
    if len(users) == 1:
        rules.append(f"J: {graph.values[users[0]].size:,} × {value.size:,}")
    return forward, brief(back, most=MOST_NUMBERS).translate(SIGNS), rules


STYLE = """
.fgd-graph { max-width: 100%; height: auto; color: inherit;
  font: 12px ui-sans-serif, system-ui, sans-serif }
.fgd-graph text { fill: currentColor; text-anchor: middle }
.fgd-graph path { fill: none; stroke: currentColor; stroke-opacity: .6 }
.fgd-graph rect { fill: none; stroke: currentColor; stroke-width: 1.4 }
.fgd-graph .parameter { stroke: var(--fgd-blue, #2a7fc9); stroke-width: 2.4 }
.fgd-graph .input { stroke-dasharray: 4 3 }
.fgd-graph .name { font-size: 11px; opacity: .8 }
.fgd-graph .symbol { font-size: 15px; font-weight: 600 }
.fgd-graph .forward { fill: var(--fgd-blue, #2a7fc9) }
.fgd-graph .passed { fill: var(--fgd-orange, #c8601a) }
.fgd-graph .rule { font-size: 11px; opacity: .8 }
"""


def svg(graph: Graph) -> str:
    """Return a graph's picture as SVG, which inherits the colour of the surrounding text."""
    drawn = scene(graph)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fgd-graph" role="img" '
        f'width="{drawn.width:.0f}" viewBox="0 0 {drawn.width:.0f} {drawn.height:.0f}">',
        f"<title>{html.escape(repr(graph))}</title><style>{STYLE}</style>",
    ]
    for wire in drawn.wires:
        parts += _wire_svg(wire)
    for box in drawn.boxes:
        parts.append(
            f'<rect class="{box.kind}" x="{box.x - box.half:.0f}" y="{box.y - HALF:.0f}" '
            f'width="{2 * box.half:.0f}" height="{2 * HALF}" '
            f'rx="{6 if box.kind == "node" else HALF}"/>'
            + _words("symbol", box.x, box.y + 5, box.text)
        )
        if box.kind == "node":
            parts.append(_words("name", box.x, box.y + HALF + 13, pretty(box.name)))
    return "\n".join([*parts, "</svg>"])


def _wire_svg(wire: Wire) -> list[str]:
    """Return the line of a wire, and the texts on it."""
    left, y = wire.source.x + wire.source.half, wire.source.y
    middle = (wire.source.x + wire.source.half + wire.bend) / 2
    line = f"M{left:.0f} {y:.0f}H{wire.bend:.0f}"
    for target in wire.targets:
        end = target.x - target.half
        bow = (wire.bend + end) / 2
        line += f"M{wire.bend:.0f} {y:.0f}"
        line += f"C{bow:.0f} {y:.0f} {bow:.0f} {target.y:.0f} {end:.0f} {target.y:.0f}"
    return [
        f'<path d="{line}"/>',
        _words("forward", middle, y - 7, wire.forward),
        _words("passed", middle, y + 16, f"← {wire.passed}" if wire.passed else ""),
        *(_words("rule", middle, y + 30 + 13 * k, rule) for k, rule in enumerate(wire.rules)),
    ]


def _words(kind: str, x: float, y: float, text: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{html.escape(text)}</text>' if text else ""
    )
