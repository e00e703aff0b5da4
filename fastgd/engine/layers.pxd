"""Layers' outputs and deltas, and samples' gradient norms; see layers.pyx."""

from libc.stdint cimport int64_t

from fastgd.engine.run cimport Run, Window


cdef void activate(
    Run *run, size_t depth, size_t first, size_t n, int64_t place
) noexcept nogil
cdef void forward(
    Run *run, const void *const *inputs, size_t first, size_t n, size_t done, int64_t place
) noexcept nogil
cdef void forward_backward(
    Run *run, const void *const *inputs, Window *window, size_t at, size_t first, size_t n,
    size_t done, int64_t place, double scale
) noexcept nogil
cdef void raw_columns(
    Run *run, size_t depth, const void *const *inputs, size_t first, size_t n, int thread
) noexcept nogil
cdef void delta_columns(
    Run *run, size_t depth, size_t first, size_t n, int thread
) noexcept nogil
cdef void sample_norms(
    Run *run, const void *const *inputs, size_t first, size_t n, double scale, char *deltas,
    double *squares, double *parts
) noexcept nogil
cdef void clip_samples(
    Run *run, size_t first, size_t n, char *deltas, double *squares
) noexcept nogil
