"""Models of tables in files: the entries beside the network's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastgd import _files, _words
from fastgd.network import Network, network_entries
from fastgd.optimizers import OPTIMIZERS
from fastgd.tables._encoding import Encoding

if TYPE_CHECKING:
    from fastgd.table_model._model import TableModel

__all__ = ["model_entries", "read_entries"]


def model_entries(model: TableModel) -> dict[str, Any]:
    """Return the entries of a file for a fitted model."""
    settings = dict(model.settings)
    if (optimizer := settings["optimizer"]) is not None:
        settings["optimizer"] = [optimizer.name, vars(optimizer)]
    kept = {"settings": settings, "notes": model.notes, "score": model.validation_score}
    return network_entries(model.network) | {"table": model.encoding.to_fields(), "model": kept}


def read_entries(file: _files.Contents, net: Network) -> tuple[Encoding, dict[str, Any]]:
    """Return a model's encoding, and its settings, notes and score.

    Files of earlier versions have only the encoding.
    """
    encoding = Encoding.from_fields(file.header["table"])
    encoding.require_fit(net)
    kept = file.header.get("model", {})
    settings = {name: _tuple(value) for name, value in kept.get("settings", {}).items()}
    if settings.get("optimizer") is not None:
        name, values = settings["optimizer"]
        values = {key: _tuple(value) for key, value in values.items()}
        settings["optimizer"] = OPTIMIZERS[name](**values)
    notes, score = kept.get("notes", []), kept.get("score")
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise TypeError(f"its notes are {_words.show(notes)}")
    if score is not None and type(score) not in (int, float):
        raise TypeError(f"its score is {_words.show(score)}")
    return encoding, {"settings": settings, "notes": notes, "score": score}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
