"""The memory of a run; see workspace.pyx."""

from fastgd.engine.run cimport Run


cdef class Workspace:
    cdef Run run
    cdef list _kept         # objects that must live as long as this one
    cdef char *_free
    cdef size_t _n_free
    cdef tuple _sizes
    cdef object _dtype
    cdef object _rng        # draws the noise
    cdef object _drawn      # the noise of one step
    cdef object _data       # X, y and sample_weight, in the user's memory
    cdef tuple _pins        # keep that memory in place
    cdef bint _classes      # y holds class indices
    cdef int _set_storage(self, dtype, affine) except -1
    cdef size_t _set_sparse(self, X, affine) except 0
    cdef int _check_data(self) except -1
    cdef void *take(self, size_t count, size_t itemsize) except NULL
