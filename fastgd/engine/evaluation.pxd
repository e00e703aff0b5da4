"""Outputs, gradients and gradient norms of all samples; see evaluation.pyx."""

from fastgd.engine.run cimport Run


cdef void write_outputs(Run *run, int thread, char *out) noexcept nogil
cdef void write_sample_gradients(Run *run, int thread, char *out) noexcept nogil
cdef void write_sample_norms(Run *run, int thread, double *out) noexcept nogil
