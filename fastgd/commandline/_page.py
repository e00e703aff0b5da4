"""The HTML page of a comparison: a single file without external resources.

For its sentences see `comparison` and `_report`, for its pictures `plot`.
"""

from __future__ import annotations

import base64
import io
import math
import string
from collections.abc import Sequence
from html import escape as html_escape
from importlib import import_module, resources

from fastgd import _columns
from fastgd._columns import Column
from fastgd._visible import visible
from fastgd._words import count
from fastgd.comparison import Comparison
from fastgd.config import show_config

__all__ = ["page", "require_pictures"]

#: captions, by the unit of the pictures' horizontal axis
PICTURES = {
    "epoch": "Against epochs: what each pass over the rows is worth.",
    "update": "Against updates: what each step is worth. Steps of larger batches cost more rows.",
    "second": "Against time: what counts in the end, on the machine that ran this.",
}
WIDTH, HEIGHT = 4.5, 3.6  # inches: narrow, so that text is readable on a phone


def require_pictures() -> None:
    """Raise ImportError that names the extra to install if pictures cannot be drawn."""
    import_module("fastgd.plot")


def page(
    result: Comparison,
    *,
    title: str,
    about: Sequence[str],
    columns: Sequence[Column],
    advice: Sequence[str],
    notes: Sequence[str],
    command: str,
) -> str:
    """Return the page; texts are plain and are escaped here."""
    template = resources.files("fastgd.commandline").joinpath("comparison.html").read_text("utf-8")
    facts = show_config("dicts") or {}
    return string.Template(template).substitute(
        version=escape(facts["fastgd"]),
        title=escape(title),
        about=_paragraphs(about),
        advice=_advice(advice),
        table=_columns.as_html(columns, result, "One row for each batch size", result.marks),
        notes=_paragraphs(notes),
        pictures=_pictures(result),
        machine=escape(
            "Seconds are those of the machine that ran this: "
            f"{facts['instruction level']}, at most {count(facts['threads'], 'thread')}."
        ),
        command=escape(command),
    )


def escape(text: str) -> str:
    """Escape text, which may contain names from files, for HTML."""
    return html_escape(visible(text))


def _paragraphs(texts: Sequence[str]) -> str:
    return "\n".join(f"<p>{escape(text)}</p>" for text in texts)


def _advice(texts: Sequence[str]) -> str:
    """Return the first sentence as a paragraph, and its reasons as a list."""
    first, *reasons = texts
    listed = "\n".join(f"<li>{escape(text)}</li>" for text in reasons)
    return _paragraphs([first]) + (f"\n<ul>\n{listed}\n</ul>" if reasons else "")


def _pictures(result: Comparison) -> str:
    if not any(math.isfinite(loss) for entry in result for loss in entry.curve):
        return "<p>No run had a finite loss, so there is nothing to draw.</p>"
    figures = "\n".join(_figure(result, against, text) for against, text in PICTURES.items())
    return f'<div class="figures">\n{figures}\n</div>'


def _figure(result: Comparison, against: str, text: str) -> str:
    """Return a picture as SVG inside an img element, with its finding as alternative text."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # not pyplot, which may open a display

    with rc_context({"svg.hashsalt": "fastgd", "font.size": 10}):
        figure = Figure((WIDTH, HEIGHT), layout="constrained")
        axes = result.plot(against, ax=figure.subplots())
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    source = base64.b64encode(stream.getvalue()).decode("ascii")
    found = " ".join(axes.get_title(loc="left").split())
    alternative = f"Line chart of the loss of each batch size against {axes.get_xlabel()}. {found}"
    return (
        f'<figure>\n<img src="data:image/svg+xml;base64,{source}" alt="{escape(alternative)}" '
        f'width="{round(WIDTH * 96)}" height="{round(HEIGHT * 96)}">\n'
        f"<figcaption>{escape(text)}</figcaption>\n</figure>"
    )
