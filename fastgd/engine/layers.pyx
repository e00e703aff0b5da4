# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The forward and backward passes, and the norms of single samples' gradients.

A chunk's rows are computed by the thread that owns the samples or, in wide layers, by all threads,
each with its own columns; step_loop.pyx decides which. There is no barrier in this module.
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint32_t

from fastgd.engine.kernels cimport fgd_kernels
from fastgd.engine.run cimport (
    FGD_FLAG, Layer, Run, Window, _min, _round_up, poll_signals_after, segment_start
)


# ---------------------------------------------------------------------------------------
# Some samples, all layers
# ---------------------------------------------------------------------------------------

cdef void _segment_sums(
    Run *run, const void *const *inputs, size_t first, size_t n, size_t s, size_t stride
) noexcept nogil:
    """Compute the sums of the first layer's segments s, s + stride ... for n rows of the chunk."""
    cdef Layer *layer = &run.layers[0]
    cdef size_t size = run.itemsize, k, end
    while s < layer.n_segments:
        k, end = segment_start(run, layer, s), segment_start(run, layer, s + 1)
        run.kernels.dots(
            n, inputs, k, _min(end, layer.n_in) - k, layer.n_out,
            run.params + (layer.weights + k * layer.n_out) * size, end - k,
            layer.segment_sums + (s * layer.n_out * run.chunk + first) * size, run.chunk,
        )
        s += stride


cdef void activate(
    Run *run, size_t depth, size_t first, size_t n, int64_t place
) noexcept nogil:
    """Apply the activation and dropout to n rows of a layer, from row `first` of the chunk on.

    `place` is the first sample's place in the order, which determines the dropped units; a negative
    one means no dropout.
    """
    cdef const fgd_kernels *kernels = run.kernels
    cdef Layer *layer = &run.layers[depth]
    cdef size_t at = first * layer.ld * run.itemsize
    if layer.activation == NULL:
        return
    layer.activation(_round_up(n * layer.ld, kernels.lanes), layer.output + at, layer.delta + at)
    if place >= 0 and layer.drop_below > 0:
        kernels.dropout(
            n, layer.n_out, layer.ld, run.epoch.seed, <uint32_t> depth, run.epoch.place + place,
            layer.drop_below, layer.drop_factor, layer.output + at, layer.delta + at,
        )


cdef void forward(
    Run *run, const void *const *inputs, size_t first, size_t n, size_t done, int64_t place
) noexcept nogil:
    """Compute all layers' outputs for n rows, stored from row `first` of the chunk on.

    The raw outputs of the first `done` layers have been computed, and all but the last of these
    have been activated. `place` is as for activate().
    """
    cdef const fgd_kernels *kernels = run.kernels
    cdef size_t size = run.itemsize, depth, at
    cdef Layer *layer
    for depth in range(max(done, <size_t> 1) - 1, run.n_layers):
        layer = &run.layers[depth]
        at = first * layer.ld * size
        if depth > 0:
            inputs = run.layers[depth - 1].output_rows + first
        if layer.ld == 1:
            kernels.dot(
                n, inputs, layer.n_in, run.params + layer.weights * size,
                run.params + layer.bias * size, layer.output + at,
            )
        elif depth == 0 and run.sparse.direct:
            kernels.csr_dense(
                n, inputs, &run.sparse.csr, layer.ld, run.params + layer.weights * size,
                run.params + layer.bias * size, layer.output + at,
            )
        elif layer.n_segments > 0:
            if depth >= done:
                _segment_sums(run, inputs, first, n, 0, 1)
            kernels.dots_sum(
                n, layer.n_out, layer.ld, layer.n_segments, layer.segment_sums + first * size,
                run.chunk, run.params + layer.bias * size, layer.output + at,
            )
        elif depth >= done:
            kernels.dense(
                n, inputs, layer.n_in, layer.ld, layer.ld, run.params + layer.weights * size,
                run.params + layer.bias * size, layer.output + at,
            )
        activate(run, depth, first, n, place)


cdef void _backward(Run *run, size_t first, size_t n, size_t last) noexcept nogil:
    """Propagate the deltas back through layer `last`, for n rows of the chunk."""
    cdef size_t size = run.itemsize, depth
    cdef Layer *layer
    cdef Layer *below
    for depth in range(run.n_layers - 1, last - 1, -1):
        layer = &run.layers[depth]
        below = &run.layers[depth - 1]
        if layer.ld == 1:
            run.kernels.dot_scale(
                n, layer.n_in, below.ld, layer.delta + first * size,
                run.params + layer.weights * size, below.delta + first * below.ld * size,
            )
        else:
            run.kernels.dense_scale(
                n, layer.delta_rows + first, layer.n_out, below.ld, below.ld, layer.transposed,
                below.delta + first * below.ld * size,
            )


cdef void forward_backward(
    Run *run, const void *const *inputs, Window *window, size_t at, size_t first, size_t n,
    size_t done, int64_t place, double scale
) noexcept nogil:
    """Run n rows forward, through the loss, and backward; `at` is their index in the window.

    Results are stored from row `first` of the chunk on: each sample's loss and, for the layers that
    are not shared by columns, the deltas times `scale`. `done` and `place` are as for forward().
    """
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize
    forward(run, inputs, first, n, done, place)
    run.training.loss(
        n, top.n_out, top.ld, top.output + first * top.ld * size,
        window.targets + at * run.data.target_bytes,
        NULL if run.data.sample_weight == NULL else window.weights + at * size,
        scale, run.samples.losses + first,
    )
    _backward(run, first, n, max(done, <size_t> 1))


# ---------------------------------------------------------------------------------------
# All of a chunk's samples, a thread's part of one layer
# ---------------------------------------------------------------------------------------

cdef void raw_columns(
    Run *run, size_t depth, const void *const *inputs, size_t first, size_t n, int thread
) noexcept nogil:
    """Compute this thread's columns or segments of a layer, for n rows from row `first` of the
    chunk on."""
    cdef Layer *layer = &run.layers[depth]
    cdef size_t size = run.itemsize, panel = run.kernels.panel
    cdef size_t column = thread * panel
    if layer.n_segments > 0:
        _segment_sums(run, inputs, first, n, thread, run.team.n_threads)
        return
    if depth > 0:
        inputs = run.layers[depth - 1].output_rows + first
    while column < layer.ld and not FGD_FLAG(run.flags.interrupted):
        if thread == 0:
            poll_signals_after(run, <double> n * <double> layer.n_in * <double> panel)
        run.kernels.dense(
            n, inputs, layer.n_in, _min(panel, layer.ld - column), layer.ld,
            run.params + (layer.weights + column * layer.n_in) * size,
            run.params + (layer.bias + column) * size,
            layer.output + (first * layer.ld + column) * size,
        )
        column += run.team.n_threads * panel


cdef void delta_columns(
    Run *run, size_t depth, size_t first, size_t n, int thread
) noexcept nogil:
    """Propagate the deltas of n rows to this thread's columns of the layer below."""
    cdef Layer *layer = &run.layers[depth]
    cdef Layer *below = &run.layers[depth - 1]
    cdef size_t size = run.itemsize, panel = run.kernels.panel
    cdef size_t column = thread * panel
    while column < below.ld and not FGD_FLAG(run.flags.interrupted):
        if thread == 0:
            poll_signals_after(run, <double> n * <double> layer.n_out * <double> panel)
        run.kernels.dense_scale(
            n, layer.delta_rows + first, layer.n_out, _min(panel, below.ld - column), below.ld,
            layer.transposed + column * layer.n_out * size,
            below.delta + (first * below.ld + column) * size,
        )
        column += run.team.n_threads * panel


# ---------------------------------------------------------------------------------------
# Single samples' norms
# ---------------------------------------------------------------------------------------

cdef void sample_norms(
    Run *run, const void *const *inputs, size_t first, size_t n, double scale, char *deltas,
    double *squares, double *parts
) noexcept nogil:
    """Write the squared norms of n samples' gradients, from row `first` of the chunk on.

    The gradient of a dense layer's weights is the outer product of its input and its delta, so its
    norm is the product of their norms (I. Goodfellow 2015, "Efficient Per-Example Gradient
    Computations", arXiv:1510.01799). `deltas` is used for models with one output and no hidden
    layer only.
    """
    cdef const fgd_kernels *kernels = run.kernels
    cdef size_t depth, i
    cdef double factor = 1 / (scale * scale)
    cdef double *input_squares = parts + n
    cdef Layer *layer
    if run.linear:
        kernels.single_squares(n, inputs, run.layers[0].n_in, deltas, factor, squares)
        return
    if run.sparse.direct:
        kernels.csr_squares(n, inputs, &run.sparse.csr, input_squares)
    else:
        kernels.row_squares(n, inputs, run.layers[0].n_in, input_squares)
    for i in range(n):
        input_squares[i] += 1
    for i in range(n):
        squares[i] = 0
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        if depth > 0:
            kernels.row_squares(n, run.layers[depth - 1].output_rows + first, layer.n_in,
                                input_squares)
            for i in range(n):
                input_squares[i] += 1
        kernels.row_squares(n, layer.delta_rows + first, layer.n_out, parts)
        for i in range(n):
            squares[i] += factor * parts[i] * input_squares[i]


cdef void clip_samples(
    Run *run, size_t first, size_t n, char *deltas, double *squares
) noexcept nogil:
    """Clip the samples' gradients to the largest allowed norm."""
    cdef double most = run.adjust.clip_sample, factor
    cdef size_t i, depth, size = run.itemsize
    cdef Layer *layer
    for i in range(n):
        if squares[i] <= most * most:
            continue
        factor = most / sqrt(squares[i])
        squares[i] = most * most
        if run.linear:
            run.kernels.scale(1, deltas + i * size, factor)
            continue
        for depth in range(run.n_layers):
            layer = &run.layers[depth]
            run.kernels.scale(layer.ld, layer.delta + (first + i) * layer.ld * size, factor)
