# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""All samples, without a step: the model's outputs, and each sample's gradient or its norm."""

from libc.math cimport sqrt
from libc.string cimport memcpy

from fastgd._layers cimport carry_rows, forward, sample_norms
from fastgd._run cimport FGD_FLAG, Layer, MIN_CHUNK, Run, Window, _min, attend, share_of
from fastgd._windows cimport look


cdef void write_outputs(Run *run, int thread, char *out) noexcept nogil:
    """Write the raw outputs of all rows: this thread's share of each chunk.

    Nobody waits between chunks: a thread has the same rows of the workspace in each of them.
    """
    cdef Window *window = &run.windows[thread]
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize, bytes_out = top.n_out * size
    cdef size_t start = 0, m, at, b, end, n, i
    cdef size_t share = share_of(run, _min(run.chunk, run.n_order))
    while start < run.n_order and not FGD_FLAG(run.interrupted):
        m = _min(run.chunk, run.n_order - start)
        at = look(run, window, start, m)
        b, end = thread * share, _min((thread + 1) * share, m)
        while b < end:
            n = _min(MIN_CHUNK, end - b)
            forward(run, window.rows + at + b, b, n, 0, -1)
            for i in range(b, b + n):
                memcpy(out + (start + i) * bytes_out, top.output + i * top.ld * size, bytes_out)
            b += n
        if thread == 0:
            attend(run, m)
        start += m


cdef void write_sample_gradients(Run *run, int thread, char *out, double *norms) noexcept nogil:
    """Write each sample's gradient, or with `norms` its norm only: this thread's share."""
    cdef Window *window = &run.windows[thread]
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize
    cdef size_t start = 0, m, at, b, end, n, i
    cdef size_t share = share_of(run, _min(run.chunk, run.n_order))
    while start < run.n_order and not FGD_FLAG(run.interrupted):
        m = _min(run.chunk, run.n_order - start)
        at = look(run, window, start, m)
        b, end = thread * share, _min((thread + 1) * share, m)
        while b < end:
            n = _min(MIN_CHUNK, end - b)
            carry_rows(run, window, at + b, b, n, 0, -1, 1.0)
            if norms != NULL:
                sample_norms(
                    run, window.rows + at + b, b, n, 1.0, top.delta + b * size,
                    norms + start + b, run.square_parts + 2 * b,
                )
                for i in range(start + b, start + b + n):
                    norms[i] = sqrt(norms[i])
            else:
                for i in range(b, b + n):
                    _write_gradient(run, window.rows[at + i], i,
                                    out + (start + i) * run.n_params * size)
            b += n
        if thread == 0:
            attend(run, m)
        start += m


cdef void _write_gradient(
    const Run *run, const void *input, size_t row, char *out
) noexcept nogil:
    """Write the gradient of the sample in one row of the chunk, laid out as Network.params."""
    cdef size_t size = run.itemsize, depth
    cdef const Layer *layer
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        run.kernels.outer(
            layer.n_in, layer.n_out, input, layer.delta + row * layer.ld * size, out
        )
        out += layer.n_in * layer.n_out * size
        memcpy(out, layer.delta + row * layer.ld * size, layer.n_out * size)
        out += layer.n_out * size
        input = layer.output + row * layer.ld * size
