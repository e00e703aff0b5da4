"""Where samples come from: arrays of any storage dtype, and sparse rows, behind one interface.

`check_rows` turns what a user gives into `Rows`: an array of the computation's dtype, which is read
in place, or a `DenseRows` or `SparseRows`, whose rows are decoded a few at a time. Backends and
everything above them see `Rows` only. `decode` is the definition of decoding; the engine's kernels
(src_c/kernels/decode.inc.c) give the same bits.

Data larger than memory come in blocks: `_blocks` has their interface and the simplest source,
`_npy` and `_tables` files, `_cache` what is read once, `_order` the order of an epoch, and `_feed`
the buffers that a thread fills while the engine trains.

A new kind of samples is a class with the members of `Rows`, a branch in `check_rows`, and, for the
compiled backend, a way to put its rows into a window (engine/windows.pyx).
"""

from fastgd.rows._blocks import Blocks
from fastgd.rows._check import as_rows, check_rows, convert, row_bytes, subset
from fastgd.rows._dense import DenseRows
from fastgd.rows._interface import Inputs, Rows
from fastgd.rows._sparse import SparseRows, own_rows
from fastgd.rows._storage import affine, decode, is_storage, storage_names

__all__ = [
    "Blocks",
    "DenseRows",
    "Inputs",
    "Rows",
    "affine",
    "SparseRows",
    "as_rows",
    "check_rows",
    "convert",
    "decode",
    "is_storage",
    "own_rows",
    "row_bytes",
    "storage_names",
    "subset",
]
