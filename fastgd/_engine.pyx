# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The compiled backend's step loop, with OpenMP over samples.

This room holds the order of work: which rows make a batch, which kernel runs when, who waits
for whom. Arithmetic belongs in src_c/, checks of user input in _validation.py.

A step has two phases. In the first, threads share the samples of the batch: forward, loss and
the deltas of a block of samples are local to one thread. In the second they share the
parameters: a thread owns tiles of the weights, walks all the samples of the batch in order,
and updates its tiles. A barrier follows each phase; it is written out, because Cython's own
loops over threads end without one. A batch of more samples than the workspace holds is
walked in chunks, the gradient being carried from one to the next.

No number depends on the threads: a weight's gradient is one chain over the samples. Only a
model with a single output and no hidden layer splits that sum, into blocks fixed by the batch
size, added up as a fixed tree.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY, isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

import os
import threading

import numpy as np


cdef extern from *:
    """
    #include <time.h>
    #ifdef _OPENMP
    #include <omp.h>
    #define FGD_OPENMP 1
    #define FGD_BARRIER() _Pragma("omp barrier")
    #else
    #define FGD_OPENMP 0
    #define FGD_BARRIER()
    #define omp_get_max_threads() 1
    #endif
    #define FGD_PREFETCH(place) __builtin_prefetch(place, 0, 2)
    #define FGD_RAISE_FLAG(flag) __atomic_store_n(&(flag), 1, __ATOMIC_RELAXED)
    #define FGD_FLAG(flag) __atomic_load_n(&(flag), __ATOMIC_RELAXED)
    static double fgd_seconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    """
    const bint FGD_OPENMP
    void FGD_BARRIER() noexcept nogil
    int omp_get_max_threads() noexcept nogil
    void FGD_PREFETCH(const void *place) noexcept nogil
    void FGD_RAISE_FLAG(bint flag) noexcept nogil
    bint FGD_FLAG(bint flag) noexcept nogil
    double fgd_seconds() noexcept nogil


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


# ---------------------------------------------------------------------------------------
# Levels, threads and what the build has
# ---------------------------------------------------------------------------------------

cdef list _compiled_levels():
    cdef list names = []
    cdef size_t i = 0
    while fgd_levels[i] != NULL:
        names.append(fgd_levels[i].decode())
        i += 1
    return names


# Asked once: in a virtual machine each question to the CPU takes some 30 microseconds.
cdef tuple _LEVELS = tuple(name for name in _compiled_levels() if fgd_supports(name.encode()))


def levels():
    """Return the instruction levels that are compiled in and run on this CPU, best last."""
    return list(_LEVELS)


def choose_level(wanted):
    """Return the level to use: the best one, or the one that FASTGD_ISA asks for."""
    available = levels()
    if not wanted:
        return available[len(available) - 1]
    if wanted in available:
        return wanted
    known = _compiled_levels()
    reason = "this CPU cannot run it" if wanted in known else "there is no such level"
    raise ImportError(
        f"FASTGD_ISA={wanted!r}: {reason}. Set it to one of {', '.join(available)}, "
        "or leave it unset for the best of them."
    )


LEVEL = choose_level(os.environ.get("FASTGD_ISA", "").strip().lower())

# libgomp hangs in a forked child whose parent had started threads: stay on one thread there.
cdef bint _threads_started = False
cdef bint _forked_after_threads = False


def _after_fork_in_child():
    global _forked_after_threads
    _forked_after_threads = FGD_FLAG(_threads_started)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


cdef bint _has_threads() noexcept:
    return FGD_OPENMP and not _forked_after_threads


def max_threads():
    """Return the number of threads that OpenMP would use now (1 without OpenMP)."""
    return omp_get_max_threads() if _has_threads() else 1


def config():
    """Return what the build has and what this process uses, as a dict."""
    return {
        "instruction level": LEVEL,
        "instruction levels supported": levels(),
        "instruction levels compiled in": _compiled_levels(),
        "openmp": FGD_OPENMP != 0,
        "threads": max_threads(),
    }


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


def math(str name, x, out, str level=LEVEL):
    """Apply a kernel's elementary function to a contiguous array: for tests."""
    cdef const fgd_kernels *kernels = _table(level, _is_double(x.dtype))
    if kernels.math(name.encode(), x.size, _address(x), _address(out)):
        raise ValueError(f"no kernel function is named {name!r}")
    return out


def all_finite(x, str level=LEVEL):
    """Whether every element of a contiguous float array is finite."""
    cdef const fgd_kernels *kernels = _table(level, _is_double(x.dtype))
    cdef const void *data = _address(x)
    cdef size_t n = x.size
    cdef int finite
    with nogil:
        finite = kernels.all_finite(n, data)
    return finite != 0


# ---------------------------------------------------------------------------------------
# The workspace
# ---------------------------------------------------------------------------------------

cdef struct Layer:
    size_t n_in
    size_t n_out
    size_t ld               # columns of its matrices: 1 for one output, else padded
    size_t weights          # offsets into the packed vectors, in elements
    size_t bias
    size_t n_segments       # of the inputs, with few outputs for many of them; 0: dense
    char *segment_sums      # n_segments x n_out x chunk
    char *transposed        # packed transpose of the weights; NULL where nothing needs it
    fgd_activation *activation  # NULL for the last layer
    uint32_t drop_below     # random numbers that leave a unit out; 0: none does
    double drop_factor      # of the others' outputs
    char *output            # chunk x ld: f(z); in the last layer z, then the deltas
    char *delta             # chunk x ld: f'(z), then the deltas
    const void **output_rows
    const void **delta_rows


cdef struct Tile:           # what one thread owns in the second phase
    size_t layer
    size_t first            # rows of the weights; first == last for the bias
    size_t last
    size_t column           # in elements; of a layer of segments or one output: which part
    size_t width            # in elements; of a layer of one output: how many parts
    size_t share            # of a first layer that is shared out
    size_t offset           # into the packed vectors, in elements
    size_t n_weights        # elements that are weights; in front of those that are biases
    size_t count
    size_t sums             # into a vector of sums of squares


cdef struct Window:         # a thread's view of a stretch of the epoch's order
    size_t start
    size_t count
    size_t read             # of a linear model's: how many of its samples are behind
    const void **rows
    char *targets
    char *weights


cdef struct Step:           # one update: each thread has its own copy
    size_t start            # its samples in the epoch's order
    size_t n
    size_t index            # in the epoch, from 0
    double scale            # of a sample's gradient in the batch's
    double scalars[FGD_MAX_SCALARS]
    double rate
    double l2               # what the step makes of the penalty
    bint recorded           # the trace wants it
    size_t measured         # samples whose gradients' norms the trace takes, the first ones
    size_t normed           # samples whose norms are needed: these, or all
    double coefficients[FGD_MAX_COEFFICIENTS]


cdef struct Adjust:         # what becomes of a gradient before the update; 0: nothing
    double l1
    double l2
    bint summed             # the penalty belongs to a batch's sum, and is divided with it
    double clip_value
    double clip_norm
    double clip_sample
    double noise            # standard deviation of what is added to the batch's sum


cdef struct Record:         # where the trace of an epoch goes; NULL: it is not wanted
    size_t every            # steps, counted from the first of all
    size_t slot
    double *loss
    double *penalty         # its share of the loss
    double *norm            # of the batch's gradient
    double *squares         # mean squared norm of the samples' gradients
    char *params


cdef struct Pace:           # what one thread and what all threads cost, in seconds a sample
    double cost[2]          # 0: not known yet
    double next_trial       # when to see again whether the slower of the two still is
    double gap              # seconds between trials


cdef struct Run:
    const fgd_kernels *kernels
    size_t itemsize
    size_t n_layers
    Layer *layers
    size_t n_tiles
    Tile *tiles
    size_t n_packed         # elements of a packed parameter vector
    char *params
    char *gradient
    char *moments           # one behind the other, of n_packed elements each
    size_t chunk            # most samples that the workspace holds
    double *values          # chunk: the samples' losses
    int most_threads
    int n_threads           # now
    Pace pace
    Window *windows
    fgd_loss *loss
    fgd_stochastic *stochastic      # NULL where the run is not of its kind
    double ahead                    # room for one number of the computation's dtype
    const fgd_optimizer *optimizer  # NULL: only the gradient is wanted
    double hyperparameters[FGD_MAX_COEFFICIENTS]
    double scalars[FGD_MAX_SCALARS]     # before the next stretch
    Adjust adjust
    Record record
    size_t n_sums
    double *record_sums     # sums of squares of the batch's gradient
    double *clip_sums       # of the adjusted gradient
    double *penalty_sums    # of the weights
    char *noise             # n_packed, of this step
    char *flat_noise        # the same, laid out as Network.params
    double *squares         # chunk: the samples' gradients' squared norms
    double *square_parts    # chunk: two factors of one layer's share of them
    # a single output without hidden layers: partial gradients of fixed blocks of samples
    bint linear
    size_t max_blocks
    char *partials
    double *partial_losses
    double *partial_squares
    # data
    const char *X
    size_t n_samples
    size_t row_bytes
    const char *y
    size_t target_bytes
    const char *sample_weight
    # this epoch
    const void *order       # NULL: the rows as they lie
    size_t order_bytes
    size_t n_order
    size_t batch_size
    const int64_t *bounds   # where each batch begins and the last ends; NULL: batch_size each
    size_t n_steps
    bint mean
    const double *rates     # one a step
    const double *scales    # of a sample's gradient in the batch's, one a step; NULL: the mean's
    int64_t step            # before this epoch
    uint64_t seed           # of this epoch's dropout
    # the stretch of it that the threads are sent to run
    size_t start
    size_t index
    size_t stop
    bint split_first        # the first layer is shared out by columns or segments, not samples
    # what the first thread tells the others: written between the two barriers of a step and
    # read after the second, so that all leave the loop at the same step
    bint stopped
    bint paused             # the stretch takes too long: see whether fewer threads are faster
    # a signal came: any thread may look, to give up work that is in vain
    bint interrupted
    # the first thread's own
    double step_loss
    double step_squares
    double loss_sum
    size_t n_params
    void *engine
    bint check_signals
    double unchecked_work
    double last_check
    double deadline
    size_t reached          # where the stretch has ended: a sample, and a step
    size_t reached_index


# Samples in the workspace, and blocks of samples in a linear model: constants of the
# numbers (a chunk's losses are added up on their own), so no level or thread count may
# change them.
cdef enum:
    MAX_CHUNK = 256
    MIN_CHUNK = 64
    CHUNK_ELEMENTS = 1 << 18
    BLOCK = 64
    MAX_BLOCKS = 64
    SUM_ROWS = 16           # rows of weights in one sum of squares: divides every tile's
    SUM_COLUMNS = 8         # the same for a layer of one output, whose weights are one vector
    FEW_OUTPUTS = 12        # of a layer whose outputs are dot products, one layer and no more,
    LEAST_SEGMENT = 128     # and how many inputs it has at least, in each of its segments
    MAX_SEGMENTS = 4
    LEAST_SKEWED = 512      # bytes of a row
    LEAST_MEASURED = 8      # samples of a batch whose squares a trace takes, or a quarter


cdef enum:                  # what the threads are sent to do
    WAKE
    STEPS
    OUTPUTS
    SAMPLE_NORMS
    SAMPLE_GRADIENTS

# How the engine finds out whether threads pay, in seconds: steps too short for two barriers,
# work too long to begin on one thread, a trial and an ordinary stretch of steps, how many times
# its expected length a stretch may take, and the time between trials, which doubles.
cdef double SHORTEST_STEP = 2e-6
cdef double LONG_STEP = 5e-4
cdef double TRIAL = 2e-3
cdef double STRETCH = 2e-2
cdef double PATIENCE = 3
cdef double FIRST_GAP = 2e-2
cdef double LAST_GAP = 1.0
# Parameters times samples from which the outputs are computed on all threads.
cdef double WORK_A_THREAD = 1e7


cdef inline size_t _round_up(size_t n, size_t multiple) noexcept nogil:
    return (n + multiple - 1) / multiple * multiple


cdef inline size_t _min(size_t a, size_t b) noexcept nogil:
    return a if a < b else b


cdef inline size_t _sample(const Run *run, size_t place) noexcept nogil:
    """Return which sample is at this place of the epoch's order."""
    if run.order == NULL:
        return place
    if run.order_bytes == 4:
        return (<const uint32_t *> run.order)[place]
    return <size_t> (<const int64_t *> run.order)[place]


ctypedef fused Index:
    uint32_t
    int64_t


ctypedef fused Item:
    int32_t
    int64_t


cdef inline void _point(
    const Index *order, size_t n, const char *X, size_t row_bytes, const void **rows
) noexcept nogil:
    cdef size_t i
    for i in range(n):
        rows[i] = X + <size_t> order[i] * row_bytes


cdef inline void _pick(
    const Index *order, size_t n, size_t ahead, size_t left, const Item *source, Item *out
) noexcept nogil:
    """Copy n items, and ask for those that are `ahead` of them, of which there are `left`."""
    cdef size_t i, asked = _min(n, left)
    for i in range(asked):
        FGD_PREFETCH(source + <size_t> order[i + ahead])
        out[i] = source[<size_t> order[i]]
    for i in range(asked, n):
        out[i] = source[<size_t> order[i]]


cdef void _gather(
    const Run *run, size_t start, size_t count, const char *source, size_t itemsize, char *out
) noexcept nogil:
    """Copy the items of the samples from place `start` on."""
    cdef size_t i, ahead = run.n_threads * run.chunk  # about what the thread reads next
    cdef size_t left = max(start + ahead, run.n_order) - start - ahead
    cdef const uint32_t *narrow = <const uint32_t *> run.order + start
    cdef const int64_t *wide = <const int64_t *> run.order + start
    if run.order == NULL:
        memcpy(out, source + start * itemsize, count * itemsize)
    elif itemsize == 4 and run.order_bytes == 4:
        _pick(narrow, count, ahead, left, <const int32_t *> source, <int32_t *> out)
    elif itemsize == 4:
        _pick(wide, count, ahead, left, <const int32_t *> source, <int32_t *> out)
    elif itemsize == 8 and run.order_bytes == 4:
        _pick(narrow, count, ahead, left, <const int64_t *> source, <int64_t *> out)
    elif itemsize == 8:
        _pick(wide, count, ahead, left, <const int64_t *> source, <int64_t *> out)
    else:
        for i in range(count):
            memcpy(out + i * itemsize, source + _sample(run, start + i) * itemsize, itemsize)


cdef size_t _show(
    Run *run, Window *window, size_t at, size_t start, size_t count
) noexcept nogil:
    """Show `count` samples from place `start` on behind the window's first `at`, as many as there
    is room for; return how many it then has, rows that are only listed included."""
    cdef size_t i, n, listed = _min(count, run.chunk + FGD_AHEAD - at)
    cdef const void **rows = window.rows + at
    if run.order == NULL:
        for i in range(listed):
            rows[i] = run.X + (start + i) * run.row_bytes
    elif run.order_bytes == 4:
        _point(<const uint32_t *> run.order + start, listed, run.X, run.row_bytes, rows)
    else:
        _point(<const int64_t *> run.order + start, listed, run.X, run.row_bytes, rows)
    if at < run.chunk:
        n = _min(listed, run.chunk - at)
        if run.y != NULL:
            _gather(run, start, n, run.y, run.target_bytes,
                    window.targets + at * run.target_bytes)
        if run.sample_weight != NULL:
            _gather(run, start, n, run.sample_weight, run.itemsize,
                    window.weights + at * run.itemsize)
    return at + listed


cdef void _close(Run *run, Window *window, size_t listed) noexcept nogil:
    """End a window that has so many rows: kernels look behind its last sample."""
    cdef size_t i
    window.count = _min(listed, run.chunk)
    for i in range(listed, window.count + FGD_AHEAD):
        window.rows[i] = window.rows[listed - 1]


cdef inline size_t _look(Run *run, Window *window, size_t start, size_t n) noexcept nogil:
    """Return where in the window the n samples from `start` on are, moving it if need be."""
    if start < window.start or start + n > window.start + window.count:
        window.start = start
        _close(run, window, _show(run, window, 0, start, run.n_order - start))
    return start - window.start


# ---------------------------------------------------------------------------------------
# The two phases of a step
# ---------------------------------------------------------------------------------------

cdef inline size_t _segment_start(const Run *run, const Layer *layer, size_t s) noexcept nogil:
    """Return the first input of segment number s: where 64 bytes of a row begin."""
    cdef size_t line = 64 / run.itemsize
    return s * ((layer.n_in + line - 1) / line) / layer.n_segments * line


cdef void _segment_sums(
    Run *run, const void *const *inputs, size_t first, size_t n, size_t s, size_t stride
) noexcept nogil:
    """Compute the sums of the first layer's segments s, s + stride ... for n rows of the chunk."""
    cdef Layer *layer = &run.layers[0]
    cdef size_t size = run.itemsize, k, end
    while s < layer.n_segments:
        k, end = _segment_start(run, layer, s), _segment_start(run, layer, s + 1)
        run.kernels.dots(
            n, inputs, k, _min(end, layer.n_in) - k, layer.n_out,
            run.params + (layer.weights + k * layer.n_out) * size, end - k,
            layer.segment_sums + (s * layer.n_out * run.chunk + first) * size, run.chunk,
        )
        s += stride


cdef void _forward(
    Run *run, const void *const *inputs, size_t first, size_t n, bint first_done, int64_t place
) noexcept nogil:
    """Compute all layers' outputs for n rows, kept from row `first` of the chunk on.

    With first_done, the first layer's raw outputs are there already. `place` is the first
    sample's in the epoch, whose seed decides which units are left out; negative for none.
    """
    cdef const fgd_kernels *kernels = run.kernels
    cdef size_t size = run.itemsize, depth, at
    cdef Layer *layer
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        at = first * layer.ld * size
        if layer.ld == 1:
            kernels.dot(
                n, inputs, layer.n_in, run.params + layer.weights * size,
                run.params + layer.bias * size, layer.output + at,
            )
        elif layer.n_segments > 0:
            if not first_done:
                _segment_sums(run, inputs, first, n, 0, 1)
            kernels.dots_sum(
                n, layer.n_out, layer.ld, layer.n_segments, layer.segment_sums + first * size,
                run.chunk, run.params + layer.bias * size, layer.output + at,
            )
        elif depth > 0 or not first_done:
            kernels.dense(
                n, inputs, layer.n_in, layer.ld, layer.ld, run.params + layer.weights * size,
                run.params + layer.bias * size, layer.output + at,
            )
        if layer.activation != NULL:
            layer.activation(_round_up(n * layer.ld, kernels.lanes), layer.output + at,
                             layer.delta + at)
            if place >= 0 and layer.drop_below > 0:
                kernels.dropout(
                    n, layer.n_out, layer.ld, run.seed, <uint32_t> depth, place,
                    layer.drop_below, layer.drop_factor, layer.output + at, layer.delta + at,
                )
            inputs = layer.output_rows + first


cdef void _backward(Run *run, size_t first, size_t n) noexcept nogil:
    """Carry the last layer's deltas back to the first, for n rows of the chunk."""
    cdef size_t size = run.itemsize, depth
    cdef Layer *layer
    cdef Layer *below
    for depth in range(run.n_layers - 1, 0, -1):
        layer = &run.layers[depth]
        below = &run.layers[depth - 1]
        if layer.ld == 1:
            run.kernels.dot_scale(
                n, layer.n_in, below.ld, layer.delta + first * size,
                run.params + layer.weights * size, below.delta + first * below.ld * size,
            )
        else:
            run.kernels.dense_scale(
                n, layer.delta_rows + first, layer.n_out, below.ld, layer.transposed,
                below.delta + first * below.ld * size,
            )


cdef void _gradient(
    Run *run, const Tile *tile, const void *const *inputs, size_t n, bint add
) noexcept nogil:
    """Compute a tile's gradient over the chunk, or with `add` add it to what is there."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef Layer *layer = &run.layers[tile.layer]
    cdef size_t size = run.itemsize
    cdef char *out = run.gradient + tile.offset * size
    if tile.layer > 0:
        inputs = run.layers[tile.layer - 1].output_rows
    if layer.ld == 1:
        kernels.dot_gradient(
            n, inputs, layer.n_in, layer.delta, out, run.gradient + layer.bias * size, add
        )
    elif tile.first == tile.last:
        kernels.column_sum(n, layer.ld, layer.delta, out, add)
    elif layer.n_segments > 0:
        kernels.dots_gradient(
            n, inputs, tile.first, tile.last - tile.first, layer.n_out, layer.delta, layer.ld,
            out, tile.width, add,
        )
    else:
        kernels.dense_gradient(
            n, inputs, tile.first, tile.last, tile.width, layer.delta + tile.column * size,
            layer.ld, out, add,
        )


cdef void _tile_sums(
    const Run *run, const Tile *tile, const char *packed, size_t count, double linear,
    double square, double *sums
) noexcept nogil:
    """Write the sums of |w| and w^2 of the first elements of a tile, in an order that depends on
    neither the panels nor the tiles."""
    cdef size_t size = run.itemsize, k = tile.first, rows
    cdef size_t padded = _round_up(run.layers[tile.layer].n_out, SUM_ROWS)
    cdef const char *at = packed + tile.offset * size
    if run.layers[tile.layer].ld == 1 or (
        run.layers[tile.layer].n_segments > 0 and tile.first < tile.last
    ):
        run.kernels.column_norms(count / SUM_COLUMNS, SUM_COLUMNS, at, linear, square,
                                 sums + tile.sums)
        return
    if tile.first == tile.last:
        run.kernels.column_norms(1, count, at, linear, square, sums + tile.sums)
        return
    while k < tile.last:
        rows = _min(SUM_ROWS, tile.last - k)
        run.kernels.column_norms(
            rows, tile.width, at, linear, square,
            sums + tile.sums + (k - tile.first) / SUM_ROWS * padded,
        )
        at += rows * tile.width * size
        k += rows


cdef void _finish(Run *run, const Tile *tile, const Step *step) noexcept nogil:
    """Take a tile from its gradient over the whole batch to the update, where nothing has to
    wait for the other tiles."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef const Adjust *adjust = &run.adjust
    cdef size_t at = tile.offset * run.itemsize
    cdef char *gradient = run.gradient + at
    if run.optimizer == NULL:
        return
    if step.recorded and run.record_sums != NULL:
        _tile_sums(run, tile, run.gradient, tile.count, 0, 1, run.record_sums)
    if run.noise != NULL:
        kernels.add_scaled(tile.count, gradient, run.noise + at, adjust.noise * step.scale)
    if run.penalty_sums != NULL and tile.n_weights > 0:
        _tile_sums(run, tile, run.params, tile.n_weights, adjust.l1, 0.5 * adjust.l2,
                   run.penalty_sums)
        if step.l2 > 0:
            kernels.add_scaled(tile.n_weights, gradient, run.params + at, step.l2)
    if adjust.clip_value > 0:
        kernels.clip(tile.count, gradient, adjust.clip_value)
    if adjust.clip_norm > 0:
        _tile_sums(run, tile, run.gradient, tile.count, 0, 1, run.clip_sums)
    else:
        _move(run, tile, step)


cdef void _move(Run *run, const Tile *tile, const Step *step) noexcept nogil:
    """Move a tile's parameters along its gradient."""
    cdef Layer *layer = &run.layers[tile.layer]
    cdef size_t at = tile.offset * run.itemsize
    run.optimizer.update(
        tile.count, run.params + at, run.gradient + at, run.moments + at, run.n_packed,
        step.coefficients,
    )
    if run.adjust.l1 > 0 and tile.n_weights > 0:
        run.kernels.soft_threshold(tile.n_weights, run.params + at, step.rate * run.adjust.l1 * (
            step.scale if run.adjust.summed else 1.0
        ))
    if layer.transposed != NULL and tile.first < tile.last:
        _transpose(run, layer, tile)


cdef void _clip_and_move(
    Run *run, const Tile *tile, const Step *step, double factor
) noexcept nogil:
    if factor < 1:
        run.kernels.scale(tile.count, run.gradient + tile.offset * run.itemsize, factor)
    _move(run, tile, step)


cdef double _clip_factor(const Run *run) noexcept nogil:
    """Return what shortens the gradient to the longest that is allowed, as torch's
    clip_grad_norm_ does."""
    return run.adjust.clip_norm / (sqrt(fgd_sum(run.n_sums, run.clip_sums)) + 1e-6)


cdef void _transpose(Run *run, const Layer *layer, const Tile *tile) noexcept nogil:
    """Bring the packed transpose up to date with a tile of the weights."""
    cdef size_t panel = run.kernels.panel, size = run.itemsize
    cdef size_t padded = _round_up(layer.n_in, run.kernels.lanes)
    cdef size_t first = tile.first, stride
    while first < tile.last:
        stride = _min(panel, padded - first)
        run.kernels.transpose(
            _min(panel, tile.last - first),
            _min(tile.width, layer.n_out - tile.column),
            tile.width,
            run.params + (
                layer.weights + tile.column * layer.n_in + first * tile.width
            ) * size,
            stride,
            layer.transposed + (first * layer.n_out + tile.column * stride) * size,
        )
        first += panel


cdef void _book(Run *run, double loss, double squares) noexcept nogil:
    """Count a chunk's loss in, and look for divergence."""
    run.step_loss += loss
    run.step_squares += squares
    run.stopped = run.interrupted or not isfinite(run.loss_sum + run.step_loss)
    if run.n_threads > 1:
        run.paused = fgd_seconds() > run.deadline


cdef void _record(Run *run, const Step *step) noexcept nogil:
    """Count a step in when all threads have made it, and keep of it what is wanted."""
    cdef Record *record = &run.record
    cdef size_t slot = record.slot
    cdef double penalty = 0
    if run.penalty_sums != NULL:
        penalty = fgd_sum(run.n_sums, run.penalty_sums) * (
            1.0 if run.adjust.summed else 1 / step.scale
        )
        run.step_loss += penalty
    run.loss_sum += run.step_loss
    if step.recorded:
        if record.loss != NULL:
            record.loss[slot] = run.step_loss / step.n
        if record.penalty != NULL:
            record.penalty[slot] = penalty / step.n
        if record.norm != NULL:
            record.norm[slot] = sqrt(fgd_sum(run.n_sums, run.record_sums))
        if record.squares != NULL:
            record.squares[slot] = run.step_squares / step.measured
        if record.params != NULL:
            _unpack(run, run.params, record.params + slot * run.n_params * run.itemsize)
        record.slot += 1
    run.step_loss = run.step_squares = 0


cdef void _draw_noise(Run *run) noexcept nogil:
    """Draw a standard normal number for each parameter, in the order of Network.params."""
    with gil:
        if not (<Engine> run.engine).fill_noise():
            FGD_RAISE_FLAG(run.interrupted)
            return
    _convert(run, run.noise, run.flat_noise, True)


cdef void _attend(Run *run, size_t n) noexcept nogil:
    """Look for a signal (Ctrl-C) once enough work was done: every 20 ms or so."""
    cdef double now
    run.unchecked_work += <double> n * <double> run.n_packed
    if not run.check_signals or run.unchecked_work < 1e6:
        return
    run.unchecked_work = 0
    now = fgd_seconds()
    if now - run.last_check > 0.02:
        run.last_check = now
        with gil:
            if (<Engine> run.engine).signalled():
                FGD_RAISE_FLAG(run.interrupted)


cdef void _sample_norms(
    Run *run, const void *const *inputs, size_t first, size_t n, double scale, char *deltas,
    double *squares, double *parts
) noexcept nogil:
    """Write the squared norms of n samples' gradients, from row `first` of the chunk on.

    The gradient of a dense layer's weights is the outer product of its input and its delta, so
    the norm of the one is the product of the norms of the others (I. Goodfellow 2015,
    "Efficient Per-Example Gradient Computations", arXiv:1510.01799). `deltas` are those
    of a model of one output and no hidden layer.
    """
    cdef const fgd_kernels *kernels = run.kernels
    cdef size_t depth, i
    cdef double factor = 1 / (scale * scale)
    cdef double *input_squares = parts + n
    cdef Layer *layer
    if run.linear:
        kernels.single_squares(n, inputs, run.layers[0].n_in, deltas, factor, squares)
        return
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


cdef inline size_t _part(size_t n, size_t limit, size_t done) noexcept nogil:
    """Return how many of n samples, after others, are among the first `limit` of a batch."""
    return 0 if done >= limit else _min(n, limit - done)


cdef void _clip_samples(
    Run *run, size_t first, size_t n, char *deltas, double *squares
) noexcept nogil:
    """Shorten the gradients of samples that are longer than is allowed."""
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


cdef inline void _wait(Run *run) noexcept nogil:
    """Wait for the other threads."""
    if run.n_threads > 1:
        FGD_BARRIER()


cdef void _first_layer(
    Run *run, const void *const *inputs, size_t n, int thread
) noexcept nogil:
    """Compute this thread's part of the first layer, columns or segments, for the whole chunk."""
    cdef Layer *layer = &run.layers[0]
    cdef size_t size = run.itemsize, panel = run.kernels.panel
    cdef size_t column = thread * panel
    if layer.n_segments > 0:
        _segment_sums(run, inputs, 0, n, thread, run.n_threads)
        return
    while column < layer.ld:
        run.kernels.dense(
            n, inputs, layer.n_in, _min(panel, layer.ld - column), layer.ld,
            run.params + (layer.weights + column * layer.n_in) * size,
            run.params + (layer.bias + column) * size, layer.output + column * size,
        )
        column += run.n_threads * panel


cdef void _share_samples(
    Run *run, const Step *step, Window *window, size_t at, size_t n, int thread
) noexcept nogil:
    """Run this thread's blocks of a chunk forward, through the loss, and back."""
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t threads = run.n_threads, size = run.itemsize, rows, normed
    cdef size_t block = _min(MIN_CHUNK, _round_up((n + threads - 1) / threads, 8))
    cdef size_t b = thread * block
    while b < n:
        rows = _min(block, n - b)
        _forward(run, window.rows + at + b, b, rows, run.split_first, window.start + at + b)
        run.loss(
            rows, top.n_out, top.ld, top.output + b * top.ld * size,
            window.targets + (at + b) * run.target_bytes,
            NULL if run.sample_weight == NULL else window.weights + (at + b) * size,
            step.scale, run.values + b,
        )
        _backward(run, b, rows)
        normed = _part(rows, step.normed, window.start + at + b - step.start)
        if normed > 0:
            _sample_norms(
                run, window.rows + at + b, b, normed, step.scale, NULL, run.squares + b,
                run.square_parts + 2 * b,
            )
            if run.adjust.clip_sample > 0:
                _clip_samples(run, b, rows, NULL, run.squares + b)
        b += threads * block


cdef inline bint _owns(const Run *run, size_t t, int thread) noexcept nogil:
    """Whether tile number t is this thread's."""
    if run.split_first and run.tiles[t].layer == 0:
        t = run.tiles[t].share
    return t % <size_t> run.n_threads == <size_t> thread


cdef void _network_step(Run *run, const Step *step, int thread) noexcept nogil:
    """Make one step of a network, chunk by chunk: this thread's part."""
    cdef Window *window = &run.windows[thread]
    cdef size_t done = 0, n, at, t
    cdef double factor
    if thread == 0 and run.noise != NULL:
        _draw_noise(run)
    while done < step.n and not run.stopped:
        n = _min(run.chunk, step.n - done)
        at = _look(run, window, step.start + done, n)
        if run.split_first:
            _first_layer(run, window.rows + at, n, thread)
            _wait(run)
        _share_samples(run, step, window, at, n, thread)
        _wait(run)
        if thread == 0:
            _attend(run, n)
            _book(run, fgd_sum(n, run.values),
                  fgd_sum(_part(n, step.measured, done), run.squares))
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                _gradient(run, &run.tiles[t], window.rows + at, n, done > 0)
                if done + n == step.n:
                    _finish(run, &run.tiles[t], step)
        _wait(run)
        done += n
    if step.n == 0:
        if thread == 0:
            _book(run, 0, 0)
        _wait(run)
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                memset(run.gradient + run.tiles[t].offset * run.itemsize, 0,
                       run.tiles[t].count * run.itemsize)
                _finish(run, &run.tiles[t], step)
        _wait(run)
    if run.clip_sums != NULL and not run.stopped:
        factor = _clip_factor(run)
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                _clip_and_move(run, &run.tiles[t], step, factor)
        _wait(run)


cdef inline bint _is_stochastic(const Run *run) noexcept nogil:
    """Whether this run's steps are those that have a kernel of their own."""
    return (
        run.stochastic != NULL and run.batch_size == 1 and run.bounds == NULL
        and run.scales == NULL
    )


cdef void _stochastic_steps(Run *run) noexcept nogil:
    """Run steps of one sample each, as many in one call as the window shows."""
    cdef Window *window = &run.windows[0]
    cdef Layer *layer = &run.layers[0]
    cdef const Record *record = &run.record
    cdef Step step
    cdef size_t start = run.start, n, at, i, size = run.itemsize
    cdef double *slopes = run.square_parts
    step.n, step.scale = 1, 1
    while start < run.stop and not run.stopped:
        n = _min(run.chunk, run.stop - start)
        at = _look(run, window, start, n)
        if record.params != NULL or record.norm != NULL:  # end with a step that is recorded
            n = _min(n, record.every - (run.step + <int64_t> start) % <int64_t> record.every)
        run.stochastic(
            n, window.rows + at, layer.n_in, window.targets + at * run.target_bytes,
            NULL if run.sample_weight == NULL else window.weights + at * size,
            run.params, run.params + layer.bias * size, run.rates + start,
            run.hyperparameters[0], start > 0, &run.ahead, run.values, slopes,
        )
        _attend(run, n)
        if record.norm != NULL:
            run.kernels.row_squares(1, window.rows + at + n - 1, layer.n_in, run.record_sums)
            run.record_sums[0] = (run.record_sums[0] + 1) * slopes[n - 1] * slopes[n - 1]
        for i in range(n):
            if record.every > 0:
                step.recorded = _is_recorded(run, start + i)
                run.step_loss = run.values[i]
                _record(run, &step)
            else:
                run.loss_sum += run.values[i]
        run.stopped = run.interrupted or not isfinite(run.loss_sum)
        start += n
    run.reached = run.reached_index = start


cdef inline size_t _step_size(const Run *run, size_t index, size_t start) noexcept nogil:
    """Return how many samples step number `index` of the epoch has; it begins at `start`."""
    if run.bounds == NULL:
        return _min(run.batch_size, run.n_order - start)
    return run.bounds[index + 1] - run.bounds[index]


cdef struct Share:          # of a linear model's batch of n samples, which comes in fixed blocks
    size_t block            # samples in each
    size_t n_blocks
    size_t first            # the thread's
    size_t last


cdef inline Share _share(const Run *run, size_t n, int thread) noexcept nogil:
    cdef Share share
    cdef size_t threads = run.n_threads
    share.block = _round_up((max(n, 1) + MAX_BLOCKS - 1) / MAX_BLOCKS, BLOCK)
    share.n_blocks = (n + share.block - 1) / share.block
    share.first = (thread * share.n_blocks + threads - 1) / threads
    share.last = ((thread + 1) * share.n_blocks + threads - 1) / threads
    return share


cdef void _add_up(
    Run *run, const Share *share, int thread, size_t offset, size_t count
) noexcept nogil:
    """Add the blocks' partial gradients to the first, as a tree of neighbours: `count` elements.

    A thread can add up what it has written itself; what is left is for thread -1.
    """
    cdef size_t stride = 1, b, end, threads = run.n_threads, n = share.n_blocks
    cdef size_t bytes_each = run.n_packed * run.itemsize
    cdef char *partial = run.partials + offset * run.itemsize
    cdef int owner
    while stride < n:
        b = 0
        while b + stride < n:
            end = _min(b + 2 * stride, n)
            owner = b * threads / n
            if owner != <int> ((end - 1) * threads / n):
                owner = -1
            if owner == thread:
                run.kernels.add(
                    count, partial + b * bytes_each, partial + (b + stride) * bytes_each
                )
            b += 2 * stride
        stride *= 2


cdef void _list(
    Run *run, Window *window, const Step *step, size_t first, size_t end, int thread
) noexcept nogil:
    """Show a thread what it reads next: the batch's samples from `first` to `end`, and then its
    shares of the next batches."""
    cdef size_t start = step.start, index = step.index, n = step.n, listed = 0
    cdef size_t room = run.chunk + FGD_AHEAD
    cdef Share share
    window.read = 0
    while True:
        if first < end:
            listed = _show(run, window, listed, start + first, end - first)
        start += n
        index += 1
        if listed == room or index == run.n_steps:
            break
        n = _step_size(run, index, start)
        share = _share(run, n, thread)
        first, end = share.first * share.block, _min(share.last * share.block, n)
    _close(run, window, listed)


cdef void _block_gradient(
    Run *run, const Step *step, const Share *share, size_t b, int thread
) noexcept nogil:
    """Write the gradient and the loss of a linear model over block number b of a batch."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef Window *window = &run.windows[thread]
    cdef Layer *layer = &run.layers[0]
    cdef size_t first = b * share.block, end = _min(first + share.block, step.n)
    cdef size_t size = run.itemsize, n, at, normed
    cdef char *partial = run.partials + b * run.n_packed * size
    cdef char *z = layer.output + thread * run.chunk * size
    cdef double *values = run.values + thread * run.chunk
    cdef double *squares = run.squares + thread * run.chunk
    cdef double loss = 0, square = 0
    cdef bint add = False
    while first < end:
        n = _min(run.chunk, end - first)
        if window.read + n > window.count:
            _list(run, window, step, first, _min(share.last * share.block, step.n), thread)
        at = window.read
        window.read += n
        kernels.dot(n, window.rows + at, layer.n_in, run.params,
                    run.params + layer.bias * size, z)
        run.loss(
            n, 1, 1, z, window.targets + at * run.target_bytes,
            NULL if run.sample_weight == NULL else window.weights + at * size,
            step.scale, values,
        )
        loss += fgd_sum(n, values)
        normed = _part(n, step.normed, first)
        if normed > 0:
            _sample_norms(
                run, window.rows + at, 0, normed, step.scale, z, squares,
                run.square_parts + 2 * thread * run.chunk,
            )
            if run.adjust.clip_sample > 0:
                _clip_samples(run, 0, n, z, squares)
            square += fgd_sum(_part(n, step.measured, first), squares)
        kernels.dot_gradient(n, window.rows + at, layer.n_in, z, partial,
                             partial + layer.bias * size, add)
        if thread == 0:
            _attend(run, n)
        first += n
        add = True
    run.partial_losses[b], run.partial_squares[b] = loss, square


cdef void _linear_step(Run *run, const Step *step, int thread) noexcept nogil:
    """Make one step of a model of one output and no hidden layer: this thread's part."""
    cdef Share share = _share(run, step.n, thread)
    cdef size_t b, t
    cdef Tile *tile
    cdef double factor
    if thread == 0 and run.noise != NULL:
        _draw_noise(run)
    for b in range(share.first, share.last):
        if FGD_FLAG(run.interrupted):
            break
        _block_gradient(run, step, &share, b, thread)
    _add_up(run, &share, thread, 0, run.n_packed)
    _wait(run)
    if thread == 0:
        _book(run, fgd_sum(share.n_blocks, run.partial_losses),
              fgd_sum(share.n_blocks, run.partial_squares))
    for t in range(run.n_tiles):
        if _owns(run, t, thread):
            tile = &run.tiles[t]
            if step.n == 0:
                memset(run.gradient + tile.offset * run.itemsize, 0, tile.count * run.itemsize)
            _add_up(run, &share, -1, tile.offset, tile.count)
            _finish(run, tile, step)
    _wait(run)
    if run.clip_sums != NULL and not run.stopped:
        factor = _clip_factor(run)
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                _clip_and_move(run, &run.tiles[t], step, factor)
        _wait(run)


cdef inline size_t _measured(size_t n) noexcept nogil:
    """Return how many samples of a batch speak for its samples' squared norms."""
    return _min(n, max(<size_t> LEAST_MEASURED, (n + 3) / 4))


cdef inline bint _is_recorded(const Run *run, size_t index) noexcept nogil:
    """Whether the trace wants this step of the epoch."""
    cdef int64_t every = run.record.every  # a division takes as long as a small sample
    return every == 1 or every > 1 and (run.step + <int64_t> index + 1) % every == 0


cdef void _steps(Run *run, int thread) noexcept nogil:
    """Make the steps from number run.index to run.stop: this thread's part."""
    cdef const Adjust *adjust = &run.adjust
    cdef Step step
    if _is_stochastic(run):
        _stochastic_steps(run)
        return
    run.windows[thread].read = run.windows[thread].count = 0
    step.start, step.index, step.rate = run.start, run.index, 0
    memcpy(step.scalars, run.scalars, sizeof(step.scalars))
    while step.index < run.stop and not run.stopped and not run.paused:
        step.n = _step_size(run, step.index, step.start)
        step.scale = 1.0 if not run.mean else 1.0 / (
            step.n if run.bounds == NULL else run.batch_size
        )
        if run.scales != NULL:
            step.scale = run.scales[step.index]
        step.recorded = _is_recorded(run, step.index)
        step.measured = step.normed = 0
        if step.recorded and run.record.squares != NULL:
            step.measured = step.normed = _measured(step.n)
        if adjust.clip_sample > 0:
            step.normed = step.n
        step.l2 = adjust.l2 * (step.scale if adjust.summed else 1.0)
        if run.optimizer != NULL:
            step.rate = run.rates[step.index]
            run.optimizer.prepare(
                run.step + <int64_t> step.index + 1, step.rate, run.hyperparameters,
                step.scalars, step.coefficients,
            )
        if run.linear:
            _linear_step(run, &step, thread)
        else:
            _network_step(run, &step, thread)
        if thread == 0:
            _record(run, &step)
        step.start += step.n
        step.index += 1
    if thread == 0:
        run.reached, run.reached_index = step.start, step.index
        memcpy(run.scalars, step.scalars, sizeof(step.scalars))


cdef void _outputs(Run *run, int thread, char *out) noexcept nogil:
    """Write the raw outputs of all rows: this thread's blocks of each chunk.

    Nobody waits between chunks: a thread has the same rows of the workspace in each of them.
    """
    cdef Window *window = &run.windows[thread]
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t threads = run.n_threads, size = run.itemsize, bytes_out = top.n_out * size
    cdef size_t start = 0, m, at, b, n, i
    cdef size_t share = (_min(run.chunk, run.n_order) + threads - 1) / threads
    cdef size_t block = _min(MIN_CHUNK, _round_up(share, 8))
    while start < run.n_order and not FGD_FLAG(run.interrupted):
        m = _min(run.chunk, run.n_order - start)
        at = _look(run, window, start, m)
        b = thread * block
        while b < m:
            n = _min(block, m - b)
            _forward(run, window.rows + at + b, b, n, False, -1)
            for i in range(b, b + n):
                memcpy(out + (start + i) * bytes_out, top.output + i * top.ld * size, bytes_out)
            b += threads * block
        if thread == 0:
            _attend(run, m)
        start += m


cdef void _sample_gradients(Run *run, int thread, char *out, double *norms) noexcept nogil:
    """Write each sample's gradient, or with `norms` its norm only: this thread's blocks."""
    cdef Window *window = &run.windows[thread]
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t threads = run.n_threads, size = run.itemsize
    cdef size_t start = 0, m, at, b, n, i, place
    cdef size_t share = (_min(run.chunk, run.n_order) + threads - 1) / threads
    cdef size_t block = _min(MIN_CHUNK, _round_up(share, 8))
    while start < run.n_order and not FGD_FLAG(run.interrupted):
        m = _min(run.chunk, run.n_order - start)
        at = _look(run, window, start, m)
        b = thread * block
        while b < m:
            n = _min(block, m - b)
            place = at + b
            _forward(run, window.rows + place, b, n, False, -1)
            run.loss(
                n, top.n_out, top.ld, top.output + b * top.ld * size,
                window.targets + place * run.target_bytes,
                NULL if run.sample_weight == NULL else window.weights + place * size,
                1.0, run.values + b,
            )
            _backward(run, b, n)
            if norms != NULL:
                _sample_norms(
                    run, window.rows + place, b, n, 1.0, top.delta + b * size,
                    norms + start + b, run.square_parts + 2 * b,
                )
                for i in range(start + b, start + b + n):
                    norms[i] = sqrt(norms[i])
            else:
                for i in range(b, b + n):
                    _write_gradient(run, window.rows[at + i], i,
                                    out + (start + i) * run.n_params * size)
            b += threads * block
        if thread == 0:
            _attend(run, m)
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


cdef double _inner(
    Run *run, const char *x, const char *y, char *flat_x, char *flat_y
) noexcept nogil:
    """Return the inner product of two packed vectors; the first window is moved away.

    They are unpacked for it, since the packed order differs between levels.
    """
    cdef Window *window = &run.windows[0]
    cdef double zero = 0, out = 0  # room for one number of the computation's dtype
    cdef float single
    cdef size_t i
    _unpack(run, x, flat_x)
    _unpack(run, y, flat_y)
    window.count = 0
    for i in range(1 + FGD_AHEAD):
        window.rows[i] = flat_x
    run.kernels.dot(1, window.rows, run.n_params, flat_y, &zero, &out)
    if run.itemsize == 8:
        return out
    memcpy(&single, &out, sizeof(single))
    return single


cdef void _convert_segments(
    const Run *run, const Layer *layer, Item *packed, Item *flat, bint pack
) noexcept nogil:
    """Copy the weights of a layer of segments between the two layouts."""
    cdef size_t s, j, k, start, end, n_out = layer.n_out
    cdef Item *vector = packed + layer.weights
    for s in range(layer.n_segments):
        start, end = _segment_start(run, layer, s), _segment_start(run, layer, s + 1)
        for j in range(n_out):
            for k in range(start, _min(end, layer.n_in)):
                if pack:
                    vector[k - start] = flat[k * n_out + j]
                else:
                    flat[k * n_out + j] = vector[k - start]
            vector += end - start


cdef void _unpack(const Run *run, const char *packed, char *flat) noexcept nogil:
    """Copy a packed vector into the layout of Network.params."""
    _convert(run, <char *> packed, flat, False)


cdef void _convert(const Run *run, char *packed, char *flat, bint pack) noexcept nogil:
    """Copy between the layout of Network.params and the packed one."""
    cdef size_t size = run.itemsize, panel = run.kernels.panel, depth, k, column, width, real
    cdef const Layer *layer
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        if layer.ld == 1:
            _copy(packed + layer.weights * size, flat, layer.n_in * size, pack)
        elif layer.n_segments > 0:
            if size == 4:
                _convert_segments(run, layer, <int32_t *> packed, <int32_t *> flat, pack)
            else:
                _convert_segments(run, layer, <int64_t *> packed, <int64_t *> flat, pack)
        else:
            column = 0
            while column < layer.n_out:
                width = _min(panel, layer.ld - column)
                real = _min(width, layer.n_out - column)
                for k in range(layer.n_in):
                    _copy(
                        packed + (layer.weights + column * layer.n_in + k * width) * size,
                        flat + (k * layer.n_out + column) * size, real * size, pack,
                    )
                column += panel
        flat += layer.n_in * layer.n_out * size
        _copy(packed + layer.bias * size, flat, layer.n_out * size, pack)
        flat += layer.n_out * size


cdef inline void _copy(char *packed, char *flat, size_t n, bint pack) noexcept nogil:
    if pack:
        memcpy(packed, flat, n)
    else:
        memcpy(flat, packed, n)


cdef class Engine:
    """The workspace of one run, and the runs of an epoch on it.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, the inputs first.
    hidden : sequence of str
        The activation of each hidden layer.
    loss, optimizer : str or None
        Names in the kernel table; None where there is nothing to train.
    hyperparameters : sequence of float
        The optimizer's, in the order that src_c/kernels/update.inc.c states.
    dtype : numpy.dtype
        float32 or float64.
    n_threads : int
        The most threads to use.
    level : str
        The instruction level.
    all_threads : bool
        Use them always, not only where they pay: for tests.
    """

    cdef Run run
    cdef bint _all_threads
    cdef list _kept
    cdef char *_free
    cdef size_t _n_free
    cdef object _signal
    cdef object _rng
    cdef object _drawn
    cdef tuple _sizes
    cdef readonly Py_ssize_t steps  # of the last epoch
    cdef readonly double loss       # of the last gradient

    def __cinit__(
        self, sizes, hidden, loss, optimizer, hyperparameters, dtype, int n_threads, level,
        bint all_threads=False,
    ):
        cdef Run *run = &self.run
        memset(run, 0, sizeof(Run))
        self._kept = []
        self._sizes = tuple(sizes)
        run.kernels = _table(level, _is_double(dtype))
        run.itemsize = run.kernels.itemsize
        run.n_layers = len(self._sizes) - 1
        run.linear = run.n_layers == 1 and self._sizes[1] == 1
        run.most_threads = max(1, n_threads) if _has_threads() else 1
        run.engine = <void *> self
        self._all_threads = all_threads
        if loss is not None:
            run.loss = run.kernels.loss(loss.encode())
            if run.loss == NULL:
                raise ValueError(f"no kernel computes the loss {loss!r}")
        if optimizer is not None:
            run.optimizer = run.kernels.optimizer(optimizer.encode())
            if run.optimizer == NULL:
                raise ValueError(f"no kernel runs the optimizer {optimizer!r}")
            if run.linear and optimizer == "sgd":
                run.stochastic = run.kernels.stochastic(loss.encode())
        for i, value in enumerate(hyperparameters):
            run.hyperparameters[i] = value
        self._lay_out(hidden)

    cdef void *_take(self, size_t count, size_t itemsize) except NULL:
        """Return zeroed memory for count items at a multiple of 64 bytes, kept with self."""
        cdef size_t n = _round_up(count * itemsize + 64, 64)
        if n > self._n_free:
            block = np.zeros(max(n, 1 << 14) + 64, np.uint8)
            self._kept.append(block)
            self._free = <char *> _round_up(<uintptr_t> _address(block), 64)
            self._n_free = max(n, 1 << 14)
        cdef void *taken = self._free
        self._free += n
        self._n_free -= n
        return taken

    cdef int _lay_out(self, hidden) except -1:
        """Allocate everything but the data: nothing is allocated once a step runs."""
        cdef Run *run = &self.run
        cdef size_t lanes = run.kernels.lanes, size = run.itemsize, line = 64 / size
        cdef size_t depth, offset = 0, elements = 0
        cdef Layer *layer
        run.layers = <Layer *> self._take(run.n_layers, sizeof(Layer))
        for depth in range(run.n_layers):
            elements += self._sizes[depth + 1]
        run.chunk = max(MIN_CHUNK, min(MAX_CHUNK, CHUNK_ELEMENTS // elements // 64 * 64))
        for depth in range(run.n_layers):
            layer = &run.layers[depth]
            layer.n_in = self._sizes[depth]
            layer.n_out = self._sizes[depth + 1]
            top = depth == run.n_layers - 1
            layer.ld = 1 if top and layer.n_out == 1 else _round_up(layer.n_out, lanes)
            layer.weights = offset
            if run.n_layers == 1 and 1 < layer.n_out <= FEW_OUTPUTS:
                layer.n_segments = _min(layer.n_in / LEAST_SEGMENT, MAX_SEGMENTS)
            if layer.n_segments > 0:
                offset += _round_up(layer.n_in, line) * layer.n_out
            else:
                offset = _round_up(offset + layer.n_in * layer.ld, line)
            layer.bias = offset
            offset = _round_up(offset + layer.ld, line)
            run.n_params += (layer.n_in + 1) * layer.n_out
            if not top:
                name = hidden[depth]
                layer.activation = run.kernels.activation(name.encode())
                if layer.activation == NULL:
                    raise ValueError(f"no kernel computes the activation {name!r}")
        run.n_packed = offset
        run.params = <char *> self._take(run.n_packed, size)
        self._lay_out_samples()
        if run.loss != NULL:
            self._lay_out_training()
        return 0

    cdef int _lay_out_samples(self) except -1:
        """Allocate what each sample of a chunk, and each thread, needs."""
        cdef Run *run = &self.run
        cdef size_t size = run.itemsize, depth, n, t, listed = run.chunk + FGD_AHEAD
        cdef size_t copies = run.most_threads if run.linear else 1
        cdef Layer *layer
        for depth in range(run.n_layers):
            layer = &run.layers[depth]
            n = run.chunk * layer.ld * copies
            layer.output = <char *> self._take(n, size)
            layer.output_rows = self._row_list(layer.output, layer.ld * size)
            layer.delta, layer.delta_rows = layer.output, layer.output_rows
            if layer.n_segments > 0:
                layer.segment_sums = <char *> self._take(
                    layer.n_segments * layer.n_out * run.chunk, size
                )
            if depth < run.n_layers - 1:
                layer.delta = <char *> self._take(n, size)
                layer.delta_rows = self._row_list(layer.delta, layer.ld * size)
        run.values = <double *> self._take(run.chunk * copies, sizeof(double))
        run.squares = <double *> self._take(run.chunk * copies, sizeof(double))
        run.square_parts = <double *> self._take(2 * run.chunk * copies, sizeof(double))
        run.windows = <Window *> self._take(run.most_threads, sizeof(Window))
        for t in range(run.most_threads):
            run.windows[t].rows = <const void **> self._take(listed, sizeof(void *))
        return 0

    cdef const void **_row_list(self, char *start, size_t row_bytes) except NULL:
        cdef const void **rows = <const void **> self._take(
            self.run.chunk + FGD_AHEAD, sizeof(void *)
        )
        cdef size_t i
        for i in range(self.run.chunk + FGD_AHEAD):
            rows[i] = start + _min(i, self.run.chunk - 1) * row_bytes
        return rows

    cdef int _lay_out_training(self) except -1:
        """Allocate gradients, moments, transposes and the list of tiles."""
        cdef Run *run = &self.run
        cdef size_t size = run.itemsize, panel = run.kernels.panel, depth, k, column, rows
        cdef Layer *layer
        run.gradient = <char *> self._take(run.n_packed, size)
        if run.linear:
            run.max_blocks = MAX_BLOCKS
            run.partials = <char *> self._take(MAX_BLOCKS * run.n_packed, size)
            run.partial_losses = <double *> self._take(MAX_BLOCKS, sizeof(double))
            run.partial_squares = <double *> self._take(MAX_BLOCKS, sizeof(double))
            run.gradient = run.partials
        rows = 48 if 48 % panel == 0 else 64
        tiles = []
        for depth in range(run.n_layers):
            layer = &run.layers[depth]
            if layer.ld == 1:
                pieces = _min(layer.n_in / LEAST_SEGMENT, MAX_SEGMENTS) if run.linear else 1
                for k in range(max(1, pieces)):
                    tiles.append((depth, 0, 0, k, max(1, pieces)))
                continue
            if depth > 0:
                layer.transposed = <char *> self._take(
                    _round_up(layer.n_in, run.kernels.lanes) * layer.n_out, size
                )
            if layer.n_segments > 0:
                for k in range(layer.n_segments):
                    first, last = _segment_start(run, layer, k), _segment_start(run, layer, k + 1)
                    tiles.append((depth, first, min(last, layer.n_in), k, last - first))
            else:
                for column in range(0, layer.ld, panel):
                    for k in range(0, layer.n_in, rows):
                        tiles.append((depth, k, min(k + rows, layer.n_in), column,
                                      min(panel, layer.ld - column)))
            tiles.append((depth, 0, 0, 0, layer.ld))
        run.n_tiles = len(tiles)
        run.tiles = <Tile *> self._take(run.n_tiles, sizeof(Tile))
        for k, (layer_, first, last, column_, width) in enumerate(tiles):
            run.tiles[k] = self._tile(layer_, first, last, column_, width)
        return 0

    cdef Tile _tile(self, size_t depth, size_t first, size_t last, size_t column, size_t width):
        """Return a tile with its places in the packed vectors and in the sums of squares."""
        cdef Run *run = &self.run
        cdef Layer *layer = &run.layers[depth]
        cdef Tile tile = Tile(
            depth, first, last, column, width, column / run.kernels.panel, 0, 0, 0, 0
        )
        cdef size_t padded = _round_up(layer.n_out, SUM_ROWS)
        cdef size_t groups = _round_up(layer.n_in, SUM_ROWS) / SUM_ROWS, line, lines
        if layer.ld == 1:  # part number `column` of `width`, by lines; the bias is in the last
            line = 64 / run.itemsize
            lines = (layer.bias - layer.weights) / line
            first, last = column * lines / width * line, (column + 1) * lines / width * line
            tile.offset, tile.n_weights = layer.weights + first, last - first
            tile.count = tile.n_weights + (line if column + 1 == width else 0)
            tile.sums = run.n_sums
            run.n_sums += SUM_COLUMNS
        elif layer.n_segments > 0 and first < last:
            tile.share = column
            tile.offset = layer.weights + first * layer.n_out
            tile.n_weights = tile.count = width * layer.n_out
            tile.sums = run.n_sums + tile.share * SUM_COLUMNS
        elif first == last:  # the bias, the last of a layer's tiles
            tile.offset, tile.count = layer.bias, layer.ld
            tile.sums = run.n_sums + groups * padded
            run.n_sums += (groups + 1) * padded
        else:
            tile.offset = layer.weights + column * layer.n_in + first * width
            tile.n_weights = tile.count = (last - first) * width
            tile.sums = run.n_sums + first / SUM_ROWS * padded + column
        return tile

    def set_data(self, X, y=None, sample_weight=None):
        """Point at the samples; they are read in place, and kept alive with self."""
        cdef Run *run = &self.run
        cdef size_t t
        self._kept += [X, y, sample_weight]
        run.X = _address(X)
        run.row_bytes = X.shape[1] * run.itemsize
        if run.linear:
            self._skew()
        run.n_samples = run.n_order = X.shape[0]
        if y is not None:
            run.y = _address(y)
            run.target_bytes = y.nbytes // len(y)
            for t in range(run.most_threads):
                run.windows[t].targets = <char *> self._take(run.chunk, run.target_bytes)
        if sample_weight is not None:
            run.sample_weight = _address(sample_weight)
            for t in range(run.most_threads):
                run.windows[t].weights = <char *> self._take(run.chunk, run.itemsize)

    cdef void _skew(self) noexcept:
        """Let the parameters begin where the rows do in a cache line, if all begin at one place.

        Kernels then load both as the lines lie, which pays for wide rows. There is a line to spare
        behind each.
        """
        cdef Run *run = &self.run
        cdef size_t behind = <uintptr_t> run.X % 64
        if run.row_bytes % 64 == 0 and behind % 16 == 0 and run.row_bytes >= LEAST_SKEWED:
            run.params += behind
            if run.partials != NULL:
                run.partials += behind
                run.gradient = run.partials

    def adjust(self, *, double l1=0, double l2=0, bint summed=False, double clip_value=0,
               double clip_norm=0, double clip_sample=0, double noise=0, rng=None):
        """Say what is to become of every gradient before its update; 0 for nothing.

        Parameters
        ----------
        l1, l2 : float
            Penalties on the weights.
        summed : bool
            Whether they belong to the sum of a batch's losses, not to the mean.
        clip_value, clip_norm, clip_sample : float
            The largest size of an element, of the gradient, and of a sample's gradient.
        noise : float
            The standard deviation of what is added to the sum of a batch's gradients.
        rng : numpy.random.Generator
            Draws it.
        """
        cdef Run *run = &self.run
        run.adjust = Adjust(l1, l2, summed, clip_value, clip_norm, clip_sample, noise)
        if l1 > 0 or l2 > 0:
            run.penalty_sums = <double *> self._take(run.n_sums, sizeof(double))
        if clip_norm > 0:
            run.clip_sums = <double *> self._take(run.n_sums, sizeof(double))
        if noise > 0:
            self._rng = rng
            self._drawn = np.empty(run.n_params, "f8" if run.itemsize == 8 else "f4")
            run.flat_noise = _address(self._drawn)
            run.noise = <char *> self._take(run.n_packed, run.itemsize)
        if run.penalty_sums != NULL or clip_norm > 0 or clip_value > 0 or clip_sample > 0:
            run.stochastic = NULL

    def drop(self, thresholds, factors):
        """Leave out hidden units whose random number is below their layer's threshold.

        The others' outputs are multiplied by the layer's factor.
        """
        for depth, (threshold, factor) in enumerate(zip(thresholds, factors)):
            self.run.layers[depth].drop_below = threshold
            self.run.layers[depth].drop_factor = factor

    def load(self, params, moments=()):
        """Take parameters and moments over, from flat arrays laid out as Network.params."""
        cdef Run *run = &self.run
        cdef size_t t
        _convert(run, run.params, _address(params), True)
        if run.moments == NULL:
            run.moments = <char *> self._take(len(moments) * run.n_packed, run.itemsize)
        for place, moment in enumerate(moments):
            _convert(run, self._moment(place), _address(moment), True)
        for t in range(run.n_tiles):
            if run.layers[run.tiles[t].layer].transposed != NULL:
                _transpose(run, &run.layers[run.tiles[t].layer], &run.tiles[t])

    def load_scalars(self, scalars):
        """Take over the numbers of an optimizer's state that belong to no parameter."""
        for place, scalar in enumerate(scalars):
            self.run.scalars[place] = scalar

    cdef char *_moment(self, size_t place) noexcept:
        return self.run.moments + place * self.run.n_packed * self.run.itemsize

    def store(self, params):
        """Copy the parameters into a flat array."""
        _unpack(&self.run, self.run.params, _address(params))

    def store_moments(self, moments):
        """Copy the optimizer's moments into flat arrays."""
        for place, moment in enumerate(moments):
            _unpack(&self.run, self._moment(place), _address(moment))

    def store_scalars(self, scalars):
        """Copy the optimizer's scalars into an array."""
        for place in range(len(scalars)):
            scalars[place] = self.run.scalars[place]

    def epoch(self, order, size_t batch_size, str reduction, rates, *, bint drop_last=False,
              bounds=None, scales=None, int64_t step=0, uint64_t seed=0, size_t record_every=0,
              loss=None, penalty=None, gradient_norm=None, sample_squares=None, params=None):
        """Run the steps of one epoch; return the sum of the samples' losses.

        Parameters
        ----------
        order : ndarray of uint32 or int64, or None
            The samples in the order of their use; None takes all as they lie.
        batch_size : int
            Samples a step.
        reduction : {"mean", "sum"}
            How the samples of a batch make one gradient.
        rates : ndarray of float64, or None
            Each step's learning rate; None computes the gradient only.
        drop_last : bool
            Whether to leave out a last batch that is not full.
        bounds : ndarray of int64, or None
            Where in the order each batch begins, and the last ends; the mean then divides by
            batch_size whatever the batch holds.
        scales : ndarray of float64, or None
            What each step multiplies its samples' gradients by, in place of the mean's factor.
        step : int
            How many steps came before: the optimizer counts them.
        seed : int
            Decides which units are left out.
        record_every : int
            Which steps, counted from the first of all, are recorded; 0 for none.
        loss, penalty, gradient_norm, sample_squares, params : ndarray or None
            Where to keep each recorded step's mean loss, the penalty's share of it, its
            gradient's norm, the mean of its samples' gradients' squared norms, and the
            parameters after it.

        Returns
        -------
        float
            The sum, or one that is not finite where the run diverged.

        Raises
        ------
        KeyboardInterrupt
            Or whatever else a signal handler raises.
        """
        cdef Run *run = &self.run
        if order is None:
            run.order, run.order_bytes = NULL, 0
        else:
            run.order, run.order_bytes = _address(order), order.itemsize
            run.n_order = len(order)
        if drop_last and bounds is None:
            run.n_order -= run.n_order % batch_size
        run.bounds = NULL if bounds is None else <int64_t *> _address(bounds)
        run.n_steps = (run.n_order + batch_size - 1) / batch_size if bounds is None else (
            len(bounds) - 1
        )
        self.steps = run.n_steps
        run.batch_size = batch_size
        run.mean = reduction == "mean"
        run.rates = NULL if rates is None else <double *> _address(rates)
        run.scales = NULL if scales is None else <double *> _address(scales)
        run.step = step
        run.seed = seed
        self._set_record(record_every, loss, penalty, gradient_norm, sample_squares, params)
        run.loss_sum = run.step_loss = run.step_squares = 0
        run.start = run.index = 0
        self._begin()
        with nogil:
            while run.index < run.n_steps and not run.stopped:
                self._stretch()
        self._end()
        return run.loss_sum

    def _set_record(self, every, loss, penalty, gradient_norm, sample_squares, params):
        cdef Record *record = &self.run.record
        memset(record, 0, sizeof(Record))
        record.every = every
        if loss is not None:
            record.loss = <double *> _address(loss)
        if penalty is not None:
            record.penalty = <double *> _address(penalty)
        if params is not None:
            record.params = _address(params)
        if gradient_norm is not None:
            record.norm = <double *> _address(gradient_norm)
            if self.run.record_sums == NULL:
                self.run.record_sums = <double *> self._take(self.run.n_sums, sizeof(double))
        if sample_squares is not None:
            record.squares = <double *> _address(sample_squares)
            self.run.stochastic = NULL

    def gradient(self, out, str reduction, order=None):
        """Write the flat gradient over samples (None: all) at the loaded parameters.

        `loss` is then the sum of their losses.
        """
        cdef Run *run = &self.run
        run.optimizer = NULL
        run.stochastic = NULL
        n = run.n_order if order is None else len(order)
        self.loss = self.epoch(order, n, reduction, None)
        _unpack(run, run.gradient, _address(out))
        return out

    def curvatures(self, params, mean, order, bounds, double reach, out):
        """Write v' H v, the loss's curvature along directions v, one for each stretch of samples.

        H is the Hessian over the samples of the stretch, by central differences of the gradient.
        The first direction is the mean gradient. Each further one is the noise in the stretch
        before: its gradient less the mean, times the root of its length, which gives it the
        covariance of single samples' gradients.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            Where, laid out as Network.params.
        mean : ndarray of shape (n_params,)
            The mean gradient there, in the same dtype.
        order : ndarray of uint32 or int64
            The stretches' samples.
        bounds : ndarray of int64, of shape (stretches + 1,)
            Where in the order each stretch begins, and the last ends.
        reach : float
            How far from the parameters the gradients are taken, in both directions.
        out : ndarray of float64, of shape (stretches,)
            Where the curvatures are written.
        """
        cdef Run *run = &self.run
        cdef const char *samples = _address(order)
        cdef const int64_t *ends = <const int64_t *> _address(bounds)
        cdef double *found = <double *> _address(out)
        cdef double length, step
        cdef size_t k, n, stretches = len(out), bytes_each = run.n_packed * run.itemsize
        cdef char *base = <char *> self._take(run.n_packed, run.itemsize)
        cdef char *centre = <char *> self._take(run.n_packed, run.itemsize)
        cdef char *direction = <char *> self._take(run.n_packed, run.itemsize)
        cdef char *change = <char *> self._take(run.n_packed, run.itemsize)
        cdef char *flat_x = <char *> self._take(run.n_params, run.itemsize)
        cdef char *flat_y = <char *> self._take(run.n_params, run.itemsize)
        _convert(run, base, _address(params), True)
        _convert(run, centre, _address(mean), True)
        run.optimizer, run.stochastic = NULL, NULL
        run.order_bytes, run.bounds, run.scales, run.mean = order.itemsize, NULL, NULL, True
        memset(&run.record, 0, sizeof(Record))
        self._begin()
        with nogil:
            memcpy(direction, centre, bytes_each)
            for k in range(stretches):
                n = ends[k + 1] - ends[k]
                run.order = samples + ends[k] * run.order_bytes
                run.n_order = run.batch_size = n
                length = sqrt(_inner(run, direction, direction, flat_x, flat_y))
                step = reach / length if length > 0 else 0
                self._gradient_beside(base, direction, step)
                memcpy(change, run.gradient, bytes_each)
                self._gradient_beside(base, direction, -step)
                run.kernels.add_scaled(run.n_packed, change, run.gradient, -1)
                found[k] = _inner(run, change, direction, flat_x, flat_y) * length / (2 * reach)
                run.kernels.add_scaled(run.n_packed, change, run.gradient, 2)
                run.kernels.scale(run.n_packed, change, 0.5)  # the gradient in the middle
                run.kernels.add_scaled(run.n_packed, change, centre, -1)
                run.kernels.scale(run.n_packed, change, sqrt(<double> n))
                direction, change = change, direction
                if run.interrupted:
                    break
        self._end()

    cdef void _gradient_beside(
        self, const char *base, const char *direction, double step
    ) noexcept nogil:
        """Compute the gradient over the order's samples at base + step * direction."""
        cdef Run *run = &self.run
        cdef size_t t
        memcpy(run.params, base, run.n_packed * run.itemsize)
        run.kernels.add_scaled(run.n_packed, run.params, direction, step)
        for t in range(run.n_tiles):
            if run.layers[run.tiles[t].layer].transposed != NULL:
                _transpose(run, &run.layers[run.tiles[t].layer], &run.tiles[t])
        for t in range(run.most_threads):
            run.windows[t].count = 0
        run.n_steps, run.start, run.index, run.stopped = 1, 0, 0, False
        run.loss_sum = run.step_loss = run.step_squares = 0
        while run.index < run.n_steps and not run.stopped:
            self._stretch()

    def sample_gradients(self, out):
        """Write each sample's gradient, at the loaded parameters, into a row of an array."""
        self._over_samples(SAMPLE_GRADIENTS, _address(out))
        return out

    def sample_norms(self, out):
        """Write the norm of each sample's gradient, at the loaded parameters, as float64."""
        self._over_samples(SAMPLE_NORMS, _address(out))
        return out

    def outputs(self, out):
        """Write the raw outputs of all samples into a C-contiguous array."""
        self._over_samples(OUTPUTS, _address(out))
        return out

    cdef int _over_samples(self, int what, char *out) except -1:
        """Write something of each sample, with the threads that its work pays for."""
        cdef Run *run = &self.run
        cdef bint pays = <double> run.n_order * run.n_params > WORK_A_THREAD
        self._begin()
        with nogil:
            self._send(run.most_threads if pays or self._all_threads else 1, what, out)
        self._end()
        return 0

    cdef int _begin(self) except -1:
        """Make ready for a run without the GIL."""
        cdef Run *run = &self.run
        cdef size_t t
        for t in range(run.most_threads):
            run.windows[t].start = run.windows[t].count = 0
        run.stopped = run.interrupted = False
        run.unchecked_work = 0
        run.last_check = fgd_seconds()
        run.check_signals = threading.current_thread() is threading.main_thread()
        return 0

    cdef int _end(self) except -1:
        """Raise what a signal's handler raised in the meantime."""
        if self._signal is not None:
            error, self._signal = self._signal, None
            raise error
        return 0

    cdef void _stretch(self) noexcept nogil:
        """Run some more steps, on one thread or on all: on what is faster here and now.

        The bits do not depend on it, so both are timed while the run goes on, and the slower
        one is tried again from time to time: another process may come or go.
        """
        cdef Run *run = &self.run
        cdef Pace *pace = &run.pace
        cdef double step = <double> max(<size_t> 1, _min(run.batch_size, run.n_order))
        cdef double guess = 6e-11 * run.n_params, begun = fgd_seconds(), now, cost, seconds
        cdef double known = pace.cost[0] if pace.cost[0] > 0 else guess
        cdef bint trial = False
        cdef int choice = 0
        cdef size_t steps
        if _is_stochastic(run):
            choice = 0
        elif self._all_threads:
            choice = 1
        elif run.most_threads == 1 or known * step < SHORTEST_STEP:
            choice = 0
        elif pace.cost[0] == 0 and guess * step < LONG_STEP:
            trial = True
        elif pace.cost[1] == 0:
            choice = known * step * <double> (run.n_steps - run.index) > LONG_STEP
            trial = choice == 1
        elif pace.cost[0] == 0:
            trial = True
        else:
            choice = pace.cost[1] < pace.cost[0]
            trial = begun > pace.next_trial
            if trial:
                choice = not choice
        known = pace.cost[choice] if pace.cost[choice] > 0 else known
        steps = <size_t> max(1.0, (TRIAL if trial else STRETCH) / (known * step))
        run.stop = run.index + _min(steps, run.n_steps - run.index)
        run.paused = False
        if trial and choice == 1:  # what it takes to begin is no part of what a step takes
            self._send(run.most_threads, WAKE, NULL)
        now = fgd_seconds()
        # A thread that another process keeps from its core holds up all at every barrier.
        run.deadline = INFINITY if self._all_threads else (
            now + PATIENCE * (steps * step * known + SHORTEST_STEP)
        )
        self._send(run.most_threads if choice else 1, STEPS, NULL)
        seconds = fgd_seconds() - now
        cost = seconds / (step * <double> max(<size_t> 1, run.reached_index - run.index))
        pace.cost[choice] = cost if trial or pace.cost[choice] == 0 or run.paused else (
            0.5 * (cost + pace.cost[choice])
        )
        if trial:
            pace.gap = max(FIRST_GAP, min(2 * pace.gap, LAST_GAP))
            # so that no trial, however bad, costs more than a twentieth of the time; but the first
            # may have met threads of another library on their way to sleep
            now += seconds
            pace.next_trial = now + max(
                pace.gap, (20 if pace.gap > 2 * FIRST_GAP else 2) * (now - begun)
            )
        run.start, run.index = run.reached, run.reached_index

    cdef void _send(self, int threads, int what, char *out) noexcept nogil:
        """Let the threads run the stretch, or write something of all samples."""
        global _threads_started
        cdef Run *run = &self.run
        cdef Layer *first = &run.layers[0]
        run.n_threads = threads
        # Columns stay with their owner from step to step, where rows of the weights would go
        # from core to core; in exchange the chunk's outputs and deltas do.
        run.split_first = (
            threads > 1 and run.n_layers > 1 and first.ld >= run.kernels.panel * threads
            and first.n_in > 2 * _min(run.chunk, run.batch_size)
        ) or (threads > 1 and first.n_segments >= <size_t> threads)
        if threads == 1:
            self._work(0, what, out)
            return
        FGD_RAISE_FLAG(_threads_started)
        with parallel(num_threads=threads):
            self._work(threadid(), what, out)

    cdef void _work(self, int thread, int what, char *out) noexcept nogil:
        if what == WAKE:
            return
        if what == STEPS:
            _steps(&self.run, thread)
        elif what == OUTPUTS:
            _outputs(&self.run, thread, out)
        elif what == SAMPLE_NORMS:
            _sample_gradients(&self.run, thread, NULL, <double *> out)
        else:
            _sample_gradients(&self.run, thread, out, NULL)

    cdef bint fill_noise(self) noexcept:
        """Draw the noise of one step; whether that worked."""
        try:
            self._rng.standard_normal(out=self._drawn, dtype=self._drawn.dtype)
        except BaseException as error:
            self._signal = error
            return False
        return True

    cdef bint signalled(self) noexcept:
        """Whether a signal's handler raised; what it raised is kept for the caller."""
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            self._signal = error
            return True
        return False
