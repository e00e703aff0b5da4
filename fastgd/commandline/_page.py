"""The HTML page of a comparison: a single file without external resources.

For its sentences see `comparison` and `_report`, for its pictures `_pictures`.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape as html_escape
from importlib import import_module, resources
from typing import Any

from fastgd import _columns
from fastgd._columns import Column
from fastgd._visible import visible
from fastgd._words import count
from fastgd.commandline._pictures import loss_picture, scatter_picture
from fastgd.comparison import Comparison
from fastgd.config import show_config
from fastgd.table_model._problem import Problem
from fastgd.tables._targets import ClassTarget, NumberTarget

__all__ = ["page", "require_pictures"]

#: captions, by the unit of the pictures' horizontal axis
PICTURES = {
    "epoch": "Against epochs: what each pass over the rows is worth.",
    "update": "Against updates: what each step is worth. Steps of larger batches cost more rows.",
    "second": "Against time: what counts in the end, on the machine that ran this.",
}
#: classes of a larger confusion matrix are listed by their mistakes instead
MOST_CLASSES = 12


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
    follows: Sequence[str],
    problem: Problem,
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
        quality=_quality(problem, result),
        follows="\n".join(map(escape, follows)),
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
    """Return a picture, with its finding as alternative text."""
    picture = loss_picture(result, against)
    alternative = f"Line chart of the loss of each batch size against {picture.about}"
    return (
        f"<figure>\n{picture.html(escape(alternative))}\n"
        f"<figcaption>{escape(text)}</figcaption>\n</figure>"
    )


def _quality(problem: Problem, result: Comparison) -> str:
    """Return what the recommended model predicts for its validation rows, beside the truth."""
    best, target = result.best or result.decision.lowest, problem.encoding.target
    if best is None:
        return ""
    X, y = problem.starts[0].settings["validation"]
    outputs = best.net.predict(X)
    if isinstance(target, ClassTarget):
        shown = _confusion(target, y, outputs.argmax(axis=1))
    elif isinstance(target, NumberTarget):
        shown = _scatter(target, target.to_values(y), target.to_values(outputs))
    else:
        return ""
    return (
        f'<h2 id="quality">Predicted and actual</h2>\n<p>Batch size {best.batch_size:,}, first '
        f"seed, on {count(len(y), 'validation row')}.</p>\n{shown}"
    )


def _times(pairs: Mapping[tuple[int, int], int], predicted: int, row: tuple[int, str]) -> str:
    """Return how many rows of a class got a prediction."""
    return f"{pairs[row[0], predicted]:,}"


def _scatter(target: NumberTarget, y: Any, predicted: Any) -> str:
    picture = scatter_picture(y, predicted, target.name)
    text = "Each row is a dot; predictions on the line are exact."
    return (
        f'<div class="figures">\n<figure>\n{picture.html(escape(picture.about))}\n'
        f"<figcaption>{text}</figcaption>\n</figure>\n</div>"
    )


def _confusion(target: ClassTarget, y: Any, predicted: Any) -> str:
    """Return a table of the counts of each class and prediction; of the mistakes if it is large."""
    names = [visible(name) for name in target.classes]
    pairs = Counter(zip(y.tolist(), predicted.tolist(), strict=True))
    if len(names) > MOST_CLASSES:
        wrong = [(pair, n) for pair, n in pairs.most_common() if pair[0] != pair[1]][:20]
        rows: list[Any] = [(names[i], names[j], n) for (i, j), n in wrong]
        columns = [
            Column("", "actual", 0, lambda row: row[0], left=True, names_rows=True),
            Column("", "predicted", 0, lambda row: row[1], left=True),
            Column("", "rows", 0, lambda row: f"{row[2]:,}"),
        ]
        caption = "The most frequent mistakes"
    else:
        rows = list(enumerate(names))
        columns = [Column("actual", "class", 0, lambda row: row[1], left=True, names_rows=True)]
        columns += [
            Column("predicted", name, 0, partial(_times, pairs, j)) for j, name in enumerate(names)
        ]
        caption = "Rows of each class, by the class that is predicted"
    return (
        '<div class="scroll" role="region" aria-labelledby="quality" tabindex="0">\n'
        f"{_columns.as_html(columns, rows, caption)}\n</div>"
    )
