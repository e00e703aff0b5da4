"""`load`: read a file of any kind that holds a network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastgd import _files
from fastgd.network import Network, read_network

if TYPE_CHECKING:
    from fastgd.table_model import TableModel

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> Network | TableModel:
    """Read a network, or a model of a table, from a file.

    Parameters
    ----------
    path : path_like
        What `Network.save`, `fastgd.save_checkpoint`, `TableModel.save` or the command line's
        ``--save`` wrote.

    Returns
    -------
    Network or TableModel
        With the parameters that were saved, bit for bit.

    Raises
    ------
    OSError
        When there is no such file, it is a folder, or it may not be read.
    ValueError
        When the file is damaged, not fastgd's, or a device or a pipe. No file contents raise
        anything else: files from untrusted sources are safe to read.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastgd as gd
    >>> net = gd.Network([2, 8, 1], rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(os.path.join(folder, "net.npz"))
    ...     again = gd.load(os.path.join(folder, "net.npz"))
    >>> bool((again.params == net.params).all())
    True
    """
    with _files.opened(path) as file:
        net = read_network(file)
        if "table" not in file.header:
            return net
        from fastgd.table_model import TableModel  # only needed for models of tables

        return TableModel.read(file, net)
