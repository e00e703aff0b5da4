"""The memory of a run, for the engine to work on; see _workspace.pyx."""

from fastgd.engine.run cimport Run


cdef class Workspace:
    cdef Run run
    cdef list _kept         # alive as long as this is
    cdef char *_free
    cdef size_t _n_free
    cdef tuple _sizes
    cdef object _rng        # of the noise
    cdef object _drawn
    cdef object _data       # X, y and sample_weight: memory of the user's
    cdef bint _classes      # y holds class indices
    cdef int _check_data(self) except -1
    cdef void *take(self, size_t count, size_t itemsize) except NULL
