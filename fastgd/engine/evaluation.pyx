# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Passes over all samples without steps: outputs, and each sample's gradient or its norm."""

from libc.math cimport sqrt
from libc.string cimport memcpy

from fastgd.engine.layers cimport forward_backward, forward, sample_norms
from fastgd.engine.run cimport (
    FGD_FLAG, Layer, MIN_CHUNK, Run, Window, _min, poll_signals, share_of
)
from fastgd.engine.windows cimport locate, read_rows


# Writes the results of n samples, from place `start` of the order on. The samples are `inputs`, in
# the window from `at` on, and use the chunk's rows from b on.
ctypedef void (*Block)(
    Run *run, const void *const *inputs, Window *window, size_t at, size_t b, size_t n,
    size_t start, void *out
) noexcept nogil


cdef void write_outputs(Run *run, int thread, char *out) noexcept nogil:
    """Write the raw outputs of all rows: this thread's share of each chunk."""
    _over_samples(run, thread, _outputs, out)


cdef void write_sample_gradients(Run *run, int thread, char *out) noexcept nogil:
    """Write each sample's gradient: this thread's share."""
    _over_samples(run, thread, _gradients, out)


cdef void write_sample_norms(Run *run, int thread, double *out) noexcept nogil:
    """Write the norm of each sample's gradient: this thread's share."""
    _over_samples(run, thread, _norms, out)


cdef void _over_samples(Run *run, int thread, Block block, void *out) noexcept nogil:
    """Walk all samples, chunk by chunk, in blocks of this thread's share.

    No barrier between chunks: a thread uses the same rows of the workspace in each chunk.
    """
    cdef Window *window = &run.windows[thread]
    cdef size_t start = 0, m, at, b, end, n, most = MIN_CHUNK, place = 0
    cdef size_t share = share_of(run, _min(run.chunk, run.epoch.n_order))
    cdef const void *const *inputs
    if run.decoded.n_rows > 0:
        most = _min(most, run.decoded.n_rows / run.team.n_threads)
        place = thread * (run.decoded.n_rows / run.team.n_threads)
    while start < run.epoch.n_order and not FGD_FLAG(run.flags.interrupted):
        m = _min(run.chunk, run.epoch.n_order - start)
        at = locate(run, window, start, m)
        b, end = thread * share, _min((thread + 1) * share, m)
        while b < end:
            n = _min(most, end - b)
            inputs = read_rows(run, window, at + b, n, place)
            block(run, inputs, window, at + b, b, n, start + b, out)
            b += n
        if thread == 0:
            poll_signals(run, m)
        start += m


cdef void _outputs(
    Run *run, const void *const *inputs, Window *window, size_t at, size_t b, size_t n,
    size_t start, void *out
) noexcept nogil:
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize, bytes_out = top.n_out * size, i
    forward(run, inputs, b, n, 0, -1)
    for i in range(n):
        memcpy(
            <char *> out + (start + i) * bytes_out, top.output + (b + i) * top.ld * size, bytes_out
        )


cdef void _norms(
    Run *run, const void *const *inputs, Window *window, size_t at, size_t b, size_t n,
    size_t start, void *out
) noexcept nogil:
    cdef char *deltas = run.layers[run.n_layers - 1].delta + b * run.itemsize
    cdef double *norms = <double *> out + start
    cdef size_t i
    forward_backward(run, inputs, window, at, b, n, 0, -1, 1.0)
    sample_norms(run, inputs, b, n, 1.0, deltas, norms, run.samples.square_parts + 2 * b)
    for i in range(n):
        norms[i] = sqrt(norms[i])


cdef void _gradients(
    Run *run, const void *const *inputs, Window *window, size_t at, size_t b, size_t n,
    size_t start, void *out
) noexcept nogil:
    cdef size_t bytes_out = run.n_params * run.itemsize, i
    forward_backward(run, inputs, window, at, b, n, 0, -1, 1.0)
    for i in range(n):
        _write_gradient(
            run, inputs[i], b + i, <char *> out + (start + i) * bytes_out
        )


cdef void _write_gradient(
    const Run *run, const void *input, size_t row, char *out
) noexcept nogil:
    """Write the gradient of the sample in a row of the chunk, laid out as Network.params."""
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
