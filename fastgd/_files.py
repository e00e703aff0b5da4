"""The file format: NumPy's npz without pickle, written whole or not at all.

A file holds the entry "fastgd", a JSON text with the format's version, what the file is, and
everything that is not an array; arrays are entries of their own. Numbers of later versions are
refused; unknown entries are ignored, so that other code may add its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd import _layout
from fastgd._typing import AnyArray
from fastgd._writing import replacing

if TYPE_CHECKING:
    from fastgd.network import Network

__all__ = ["FORMAT", "array", "network_entries", "read", "read_network", "write"]

FORMAT = 1
HEADER = "fastgd"


def network_entries(net: Network) -> dict[str, Any]:
    """Return what a file keeps of a network."""
    return {
        "sizes": list(net.sizes),
        "hidden": list(net.hidden),
        "loss": net.loss,
        "params": net.params,
    }


def write(path: str | os.PathLike[str], kind: str, entries: Mapping[str, Any]) -> None:
    """Write entries, arrays and JSON values alike, to path in one move."""
    import json  # which is not needed before something is saved

    arrays = {name: value for name, value in entries.items() if isinstance(value, np.ndarray)}
    header = {name: value for name, value in entries.items() if name not in arrays}
    arrays[HEADER] = np.array(json.dumps(header | {"format": FORMAT, "kind": kind}))
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return a file's entries, the header's among them."""
    import json  # these are not needed before something is loaded
    import zipfile

    try:
        # opened here, so that it is closed again whatever NumPy makes of it
        with open(path, "rb") as file:
            archive = np.lib.npyio.NpzFile(file, allow_pickle=False)
            if HEADER not in archive:
                raise ValueError("it has no fastgd header")
            entries: dict[str, Any] = {name: archive[name] for name in archive.files}
        header = json.loads(str(entries.pop(HEADER)))
        if not isinstance(header, dict) or not isinstance(header.get("format"), int):
            raise ValueError("its header is damaged")
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    # zipfile raises a RuntimeError where a damaged header asks for a password or another method
    except (ValueError, OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is damaged or was not written by fastgd: "
            f"{str(error) or 'it ends too early'}"
        ) from error
    if header["format"] > FORMAT:
        raise ValueError(
            f"{os.fspath(path)!r} has format {header['format']}, but this version of fastgd "
            f"reads formats up to {FORMAT}: install a newer one"
        )
    return entries | header


def array(entries: Mapping[str, Any], name: str, dtype: Any, size: int, path: Any) -> AnyArray:
    """Return an array that must be there, of this dtype and size."""
    value = entries.get(name)
    if not isinstance(value, np.ndarray) or value.shape != (size,) or value.dtype != dtype:
        raise ValueError(
            f"{os.fspath(path)!r} is damaged: its entry {name!r} is not {size} numbers of {dtype}"
        )
    return value


def read_network(entries: Mapping[str, Any], path: Any) -> Network:
    """Build the network that a file's entries describe."""
    from fastgd.network import Network

    params = entries.get("params")
    try:
        if not isinstance(params, np.ndarray):
            raise ValueError("it holds no parameters")
        sizes, hidden, loss = entries["sizes"], entries["hidden"], entries["loss"]
        array(entries, "params", params.dtype, _layout.count(sizes), path)
        net = Network(sizes, hidden=hidden, loss=loss, dtype=params.dtype, rng=0)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)!r} is damaged or not a network: {error}") from error
    net.params[:] = params
    return net
