"""Safetensors files, with the names and the layout of a `torch.nn.Sequential`."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd._extras import need
from fastgd._typing import AnyArray
from fastgd._words import listed, show
from fastgd._writing import replacing
from fastgd.network import Network, check_layers_alone

__all__ = ["from_safetensors", "to_safetensors"]


def to_safetensors(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network's parameters to a safetensors file that torch can load.

    The names and shapes are those of the `torch.nn.Sequential` that `fastgd.to_torch` returns:
    "0.weight" of shape (outputs, inputs), "0.bias", "2.weight" and so on, where the odd numbers
    are the activations. The file's metadata hold the sizes, activations and loss, for
    `from_safetensors`.

    Parameters
    ----------
    net : Network
        The network.
    path : path_like
        The file. An existing file is replaced once the new one is complete.

    Raises
    ------
    ImportError
        When the package safetensors is missing: it comes with ``fastgd[safetensors]``.
    TypeError, ValueError, OSError
        When `net` is not a network, when it has ``inputs``, or when the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastgd as gd
    >>> net = gd.Network([2, 8, 1], rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.safetensors")
    ...     gd.export.to_safetensors(net, path)
    ...     again = gd.export.from_safetensors(path)
    >>> bool((again.params == net.params).all())
    True
    """
    check_layers_alone(net)
    safetensors = need("safetensors.numpy", "safetensors", "fastgd.export.to_safetensors")
    tensors = {}
    for depth, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        tensors[f"{2 * depth}.weight"] = np.ascontiguousarray(W.T)
        tensors[f"{2 * depth}.bias"] = b
    fields = {"hidden": list(net.hidden), "loss": net.loss}
    written = safetensors.save(tensors, {"format": "pt", "fastgd": json.dumps(fields)})
    with replacing(path) as file:
        file.write(written)


def from_safetensors(
    path: str | os.PathLike[str],
    *,
    hidden: str | Sequence[str] | None = None,
    loss: str | None = None,
) -> Network:
    """Read a network from a safetensors file of fully connected layers.

    Parameters
    ----------
    path : path_like
        A file with a "weight" and a "bias" for each layer, as `to_safetensors` or torch's
        ``save_file(model.state_dict(), path)`` writes for a `torch.nn.Sequential`. The layers are
        taken in the order of the numbers in their names.
    hidden, loss : str or sequence of str, optional
        As for `fastgd.Network`: the file's own if not given. A file that torch wrote has none.

    Returns
    -------
    Network
        In float64 if the file's numbers are, otherwise in float32.

    Raises
    ------
    ImportError
        When the package safetensors is missing: it comes with ``fastgd[safetensors]``.
    OSError
        When there is no such file, or it may not be read.
    ValueError
        When the file is damaged, has other tensors, or does not say the activations or the loss
        and they are not given.

    Examples
    --------
    A file that torch wrote does not say what its activations are:

    >>> import os, tempfile
    >>> import fastgd as gd
    >>> import torch
    >>> from safetensors.torch import save_file
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "module.safetensors")
    ...     save_file(module.state_dict(), path)
    ...     gd.export.from_safetensors(path, hidden="relu", loss="log_loss")
    Network([2, 8, 1], hidden='relu', loss='log_loss', dtype='float32')
    """
    need("safetensors", "safetensors", "fastgd.export.from_safetensors")
    tensors, fields = _read(os.fsdecode(path))
    layers = _layers(tensors, os.fsdecode(path))
    hidden = fields.get("hidden", [] if len(layers) == 1 else None) if hidden is None else hidden
    loss = fields.get("loss") if loss is None else loss
    for name, value in (("hidden", hidden), ("loss", loss)):
        if value is None:
            raise ValueError(
                f"{os.fsdecode(path)!r} does not say what {name} is: give {name}=, as for "
                "fastgd.Network"
            )
    sizes = [layers[0][0].shape[1], *(len(b) for _, b in layers)]
    dtype = np.result_type(np.float32, *(W.dtype for W, _ in layers))
    net = Network(sizes, hidden=hidden, loss=loss, dtype=dtype)  # type: ignore[arg-type]
    net.params = np.concatenate([x for W, b in layers for x in (W.T.ravel(), b)])
    return net


def _read(path: str) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Return a file's tensors, and what `to_safetensors` has written about the network."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
            fields = json.loads(metadata.get("fastgd", "{}"))
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise ValueError(f"{path!r} cannot be read as safetensors: {error}") from error
    return tensors, fields if isinstance(fields, dict) else {}


def _layers(tensors: dict[str, AnyArray], path: str) -> list[tuple[AnyArray, AnyArray]]:
    """Return each layer's weights, of shape (outputs, inputs), and biases."""

    def place(name: str) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", name)]

    names = sorted((name for name in tensors if name.endswith("weight")), key=place)
    layers = [(tensors[name], tensors.get(name[: -len("weight")] + "bias")) for name in names]
    fitting = 2 * len(layers) == len(tensors) > 0 and all(
        W.ndim == 2 and b is not None and b.shape == (len(W),) for W, b in layers
    )
    fitting = fitting and all(
        after[0].shape[1] == len(before[0]) for before, after in itertools.pairwise(layers)
    )
    if not fitting:
        shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in tensors.items())
        raise ValueError(
            f"{path!r} has the tensors {show(shapes)}, but fastgd reads fully connected layers, "
            f"one after the other: names such as {listed(['0.weight', '0.bias', '2.weight'])}, "
            "each weight of shape (outputs, inputs), each with a bias"
        )
    return layers  # type: ignore[return-value]
