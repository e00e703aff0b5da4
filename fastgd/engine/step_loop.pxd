"""The steps of an epoch; see step_loop.pyx."""

from fastgd.engine.run cimport Run


cdef bint is_stochastic(const Run *run) noexcept nogil
cdef void run_steps(Run *run, int thread) noexcept nogil
