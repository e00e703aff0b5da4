# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The kernel tables of src_c/: the instruction levels, the one in use, and calls from Python."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

import os

import numpy as np


cdef extern from "Python.h":
    object PyWeakref_NewRef(object array, void *callback)


cdef type _ndarray = np.ndarray


cdef list _names(const char *const *names):
    cdef list found = []
    cdef size_t i = 0
    while names[i] != NULL:
        found.append(names[i].decode())
        i += 1
    return found


def compiled_levels():
    """Return the instruction levels that were compiled in, worst first."""
    return _names(fgd_levels)


#: The losses of the SGD estimators' kernels, in the order of src_c/kernels/margin_losses.inc.c.
MARGIN_LOSSES = tuple([fgd_margin_losses[i].decode() for i in range(FGD_N_MARGIN_LOSSES)])

# Detected once: in a virtual machine each CPU query takes about 30 microseconds.
cdef tuple _LEVELS = tuple(name for name in compiled_levels() if fgd_supports(name.encode()))


def names(str level=None):
    """Return the names of a level's activations, losses and optimizers, as the kernels know them.

    Losses that take class indices have a second name, NAME_matrix; optimizers one for each form.
    """
    cdef const fgd_kernels *kernels = _table(level or LEVEL, False)
    cdef list optimizers = []
    cdef size_t i = 0
    while kernels.optimizers[i].name != NULL:
        optimizers.append(kernels.optimizers[i].name.decode())
        i += 1
    return {
        "activation": _names(kernels.activation_names),
        "loss": _names(kernels.loss_names),
        "optimizer": optimizers,
    }


def storage_names():
    """Return the names of the dtypes that samples may be stored in, as NumPy spells them."""
    cdef const fgd_storage *storages = _table(LEVEL, False).storages
    cdef list found = []
    while storages.name != NULL:
        found.append(storages.name.decode())
        storages += 1
    return tuple(found)


def levels():
    """Return the instruction levels that are compiled in and run on this CPU, best last."""
    return list(_LEVELS)


def choose_level(wanted):
    """Return the level to use: the one named in FASTGD_ISA, or else the best."""
    available = levels()
    if not wanted:
        return available[len(available) - 1]
    if wanted in available:
        return wanted
    known = compiled_levels()
    reason = "this CPU cannot run it" if wanted in known else "this build has no such level"
    raise ImportError(
        f"FASTGD_ISA={wanted!r}: {reason}. Set it to one of {', '.join(available)}, "
        "or leave it unset for the best of them."
    )


LEVEL = choose_level(os.environ.get("FASTGD_ISA", "").strip().lower())


cdef const fgd_kernels *_table(str level, bint is_double) except NULL:
    if level not in _LEVELS:
        raise ValueError(f"level {level!r} cannot run here; the levels are {levels()}")
    return fgd_table(level.encode(), is_double)


cdef bint _is_double(object dtype) except -1:
    if dtype == "float64":
        return True
    if dtype == "float32":
        return False
    raise TypeError(f"the engine computes in float32 or float64, not in {dtype}")


cdef char *_address(object array) except NULL:
    """Return where a contiguous array's memory begins; the caller keeps the array alive."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    cdef char *start = <char *> view.buf
    PyBuffer_Release(&view)
    return start


cdef char *_place(object array, size_t size, str what) except NULL:
    """Return where a contiguous array of exactly `size` bytes begins.

    User code may have changed the array's shape or replaced the array since it was checked.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    cdef char *start = <char *> view.buf
    cdef size_t given = view.len
    PyBuffer_Release(&view)
    if given != size:
        raise ValueError(
            f"{what} has {given} bytes where {size} are used: its shape or dtype has changed, or "
            "does not match the model"
        )
    return start


cdef char *_room(object array, size_t size, str what) except NULL:
    """Return where a writable contiguous array of at least `size` bytes begins."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
    cdef char *start = <char *> view.buf
    cdef size_t given = view.len
    PyBuffer_Release(&view)
    if given < size:
        raise ValueError(f"{what} has room for {given} bytes, but {size} are written")
    return start


def pin(array):
    """Return objects that keep an array's memory in place as long as they live.

    NumPy's ``resize(refcheck=False)`` moves an array's memory while others use it, unless the array
    has a weak reference. Other owners of memory, such as a memory map or a bytearray, cannot be
    closed or resized while a buffer is exported.
    """
    cdef list held = []
    while isinstance(array, _ndarray):
        held.append(PyWeakref_NewRef(array, NULL))
        array = array.base
    if array is not None:
        try:
            held.append(memoryview(array))
        except (TypeError, ValueError, BufferError):
            pass  # no buffer, such as a capsule, which keeps its memory
    return held


def math(str name, x, out, str level=LEVEL):
    """Apply a kernel's elementary function to a contiguous array: for tests."""
    cdef const fgd_kernels *kernels = _table(level, _is_double(x.dtype))
    if kernels.math(name.encode(), x.size, _address(x), _address(out)):
        raise ValueError(f"no kernel function is named {name!r}")
    return out


def decode(x, out, affine=None, str level=LEVEL):
    """Write the rows of a C-contiguous matrix of a storage dtype as floats into another.

    `affine` is the columns' means and inverse scales in the dtype that they are applied in. The
    definition is fastgd.rows.decode.
    """
    cdef const fgd_kernels *kernels = _table(level, _is_double(out.dtype))
    cdef const fgd_storage *storage = kernels.storage(x.dtype.name.encode())
    cdef size_t n = x.shape[0], n_in = x.shape[1], i, k, wide
    cdef const void *mean = NULL
    cdef const void *inverse_scale = NULL
    cdef const void *rows[1 + FGD_AHEAD]
    if storage == NULL:
        raise TypeError(f"no kernel decodes samples of dtype {x.dtype}")
    cdef const char *source = _place(x, n * n_in * storage.itemsize, "x")
    cdef char *place = _room(out, n * n_in * kernels.itemsize, "out")
    if affine is not None:
        wide = n_in * storage.affine_size
        mean, inverse_scale = _place(affine[0], wide, "mean"), _place(affine[1], wide, "scale")
    _held = pin(x), pin(out)  # until this returns
    with nogil:
        for i in range(n):
            for k in range(1 + FGD_AHEAD):
                rows[k] = source + (i + k if i + k < n else n - 1) * n_in * storage.itemsize
            storage.decode(1, rows, n_in, mean, inverse_scale, place, n_in)
            place += n_in * kernels.itemsize
    return out


def all_finite(x, str level=LEVEL):
    """Whether every element of a contiguous float array is finite."""
    cdef const fgd_kernels *kernels = _table(level, _is_double(x.dtype))
    cdef size_t n = x.size
    cdef const void *data = _place(x, n * kernels.itemsize, "the array")
    cdef int finite
    _held = pin(x)  # until this returns
    with nogil:
        finite = kernels.all_finite(n, data)
    return finite != 0
