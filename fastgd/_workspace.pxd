"""The memory of a run, for the engine to work on; see _workspace.pyx."""

from fastgd._run cimport Run


cdef class Workspace:
    cdef Run run
    cdef list _kept         # alive as long as this is
    cdef char *_free
    cdef size_t _n_free
    cdef tuple _sizes
    cdef object _rng        # of the noise
    cdef object _drawn
    cdef void *take(self, size_t count, size_t itemsize) except NULL
