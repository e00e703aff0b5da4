# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The step loop: which rows make a batch, which kernel runs when, who waits for whom.

Nothing here needs the GIL, but for two calls that ask it of the engine. Arithmetic belongs in
src_c/, what is allocated and how many threads there are in _engine.pyx.

A step has two phases. In the first, forward and backward, threads share the columns of each
layer that is wide enough for all of them, from the first on, so that its weights stay with
their thread; behind these layers they share the samples of the batch, whose losses and deltas
are then local to one thread. In the second they share the parameters: a thread owns tiles of
the weights, walks all the samples of the batch in order, and updates its tiles. A barrier
(src_c/barrier.h) follows each phase, and each layer of shared columns; it is written out,
because Cython's own loops over threads end without one. A batch of more samples than the
workspace holds is walked in chunks, the gradient being carried from one to the next.

No number depends on the threads: a weight's gradient is one chain over the samples. Only a
model with a single output and no hidden layer splits that sum, into blocks fixed by the batch
size, added up as a fixed tree.
"""

from libc.math cimport isfinite, sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from fastgd._kernels cimport FGD_AHEAD, fgd_kernels, fgd_sum


# ---------------------------------------------------------------------------------------
# Which rows come next
# ---------------------------------------------------------------------------------------

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
# Through the layers: forward, backward, gradient
# ---------------------------------------------------------------------------------------

cdef size_t segment_start(const Run *run, const Layer *layer, size_t s) noexcept nogil:
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
        k, end = segment_start(run, layer, s), segment_start(run, layer, s + 1)
        run.kernels.dots(
            n, inputs, k, _min(end, layer.n_in) - k, layer.n_out,
            run.params + (layer.weights + k * layer.n_out) * size, end - k,
            layer.segment_sums + (s * layer.n_out * run.chunk + first) * size, run.chunk,
        )
        s += stride


cdef void _activate(
    Run *run, size_t depth, size_t first, size_t n, int64_t place
) noexcept nogil:
    """Turn a layer's raw outputs into its outputs, for n rows from row `first` of the chunk on.

    `place` is the first sample's in the epoch, whose seed decides which units are left out;
    negative for none.
    """
    cdef const fgd_kernels *kernels = run.kernels
    cdef Layer *layer = &run.layers[depth]
    cdef size_t at = first * layer.ld * run.itemsize
    if layer.activation == NULL:
        return
    layer.activation(_round_up(n * layer.ld, kernels.lanes), layer.output + at, layer.delta + at)
    if place >= 0 and layer.drop_below > 0:
        kernels.dropout(
            n, layer.n_out, layer.ld, run.seed, <uint32_t> depth, place,
            layer.drop_below, layer.drop_factor, layer.output + at, layer.delta + at,
        )


cdef void _forward(
    Run *run, const void *const *inputs, size_t first, size_t n, size_t done, int64_t place
) noexcept nogil:
    """Compute all layers' outputs for n rows, kept from row `first` of the chunk on.

    The raw outputs of the first `done` layers are there already, and all but the last of these
    layers are done with. `place` is as for _activate().
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
        _activate(run, depth, first, n, place)


cdef void _backward(Run *run, size_t first, size_t n, size_t last) noexcept nogil:
    """Carry the last layer's deltas back through layer `last`, for n rows of the chunk."""
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


cdef inline char *_place(const Run *run, const Tile *tile, char *packed) noexcept nogil:
    """Return where a tile begins in a packed vector."""
    return packed + tile.offset * run.itemsize


cdef void _gradient(
    Run *run, const Tile *tile, const void *const *inputs, size_t n, char *out, bint add
) noexcept nogil:
    """Write a tile's gradient over the chunk, or with `add` add it to what is there."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef Layer *layer = &run.layers[tile.layer]
    cdef size_t size = run.itemsize
    if tile.layer > 0:
        inputs = run.layers[tile.layer - 1].output_rows
    if layer.ld == 1:
        kernels.dot_gradient(
            n, inputs, layer.n_in, layer.delta, out, out + (layer.bias - layer.weights) * size, add
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


# ---------------------------------------------------------------------------------------
# Who does what, and who waits for whom
# ---------------------------------------------------------------------------------------

cdef inline void _wait(Run *run) noexcept nogil:
    """Wait for the other threads."""
    if run.n_threads > 1:
        fgd_meet(run.barrier, run.n_threads, run.looks)


cdef inline bint _owns(const Run *run, size_t t, int thread) noexcept nogil:
    """Whether tile number t is this thread's."""
    if run.tiles[t].layer < run.n_split:
        t = run.tiles[t].share
    return t % <size_t> run.n_threads == <size_t> thread


# ---------------------------------------------------------------------------------------
# From a gradient to the update
# ---------------------------------------------------------------------------------------

cdef void _tile_sums(
    const Run *run, const Tile *tile, const char *at, size_t count, double linear,
    double square, double *sums
) noexcept nogil:
    """Write the sums of |w| and w^2 of the first elements of a tile, which begins at `at`, in an
    order that depends on neither the panels nor the tiles."""
    cdef size_t size = run.itemsize, k = tile.first, rows
    cdef size_t padded = _round_up(run.layers[tile.layer].n_out, SUM_ROWS)
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


cdef void _finish(
    Run *run, const Tile *tile, const Step *step, char *gradient
) noexcept nogil:
    """Take a tile from its gradient over the whole batch to the update, where nothing has to
    wait for the other tiles."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef const Adjust *adjust = &run.adjust
    cdef char *params = _place(run, tile, run.params)
    if run.optimizer == NULL:
        return
    if step.recorded and run.record_sums != NULL:
        _tile_sums(run, tile, gradient, tile.count, 0, 1, run.record_sums)
    if run.noise != NULL:
        kernels.add_scaled(tile.count, gradient, _place(run, tile, run.noise),
                           adjust.noise * step.scale)
    if run.penalty_sums != NULL and tile.n_weights > 0:
        _tile_sums(run, tile, params, tile.n_weights, adjust.l1, 0.5 * adjust.l2,
                   run.penalty_sums)
        if step.l2 > 0:
            kernels.add_scaled(tile.n_weights, gradient, params, step.l2)
    if adjust.clip_value > 0:
        kernels.clip(tile.count, gradient, adjust.clip_value)
    if adjust.clip_norm > 0:
        _tile_sums(run, tile, gradient, tile.count, 0, 1, run.clip_sums)
    else:
        _move(run, tile, step, gradient)


cdef void _finish_empty(Run *run, const Tile *tile, const Step *step) noexcept nogil:
    """Update a tile after a batch without samples: noise, penalties and moments move it."""
    cdef char *gradient = _place(run, tile, run.gradient)
    memset(gradient, 0, tile.count * run.itemsize)
    _finish(run, tile, step, gradient)


cdef void _move(
    Run *run, const Tile *tile, const Step *step, const char *gradient
) noexcept nogil:
    """Move a tile's parameters along its gradient."""
    cdef Layer *layer = &run.layers[tile.layer]
    cdef char *params = _place(run, tile, run.params)
    run.optimizer.update(
        tile.count, params, gradient, _place(run, tile, run.moments), run.n_packed,
        step.coefficients,
    )
    if run.adjust.l1 > 0 and tile.n_weights > 0:
        run.kernels.soft_threshold(tile.n_weights, params, step.rate * run.adjust.l1 * (
            step.scale if run.adjust.summed else 1.0
        ))
    if layer.transposed != NULL and tile.first < tile.last:
        transpose(run, layer, tile)


cdef double _clip_factor(const Run *run) noexcept nogil:
    """Return what shortens the gradient to the longest that is allowed, as torch's
    clip_grad_norm_ does."""
    return run.adjust.clip_norm / (sqrt(fgd_sum(run.n_sums, run.clip_sums)) + 1e-6)


cdef void _clip_all(Run *run, const Step *step, int thread) noexcept nogil:
    """Shorten the gradient where it is too long, and move along it: this thread's tiles."""
    cdef double factor
    cdef char *gradient
    cdef size_t t
    if run.clip_sums == NULL or run.stopped:
        return
    factor = _clip_factor(run)
    for t in range(run.n_tiles):
        if _owns(run, t, thread):
            gradient = _place(run, &run.tiles[t], run.gradient)
            if factor < 1:
                run.kernels.scale(run.tiles[t].count, gradient, factor)
            _move(run, &run.tiles[t], step, gradient)
    _wait(run)


cdef void transpose(Run *run, const Layer *layer, const Tile *tile) noexcept nogil:
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


# ---------------------------------------------------------------------------------------
# What a step leaves: losses, traces; noise and signals
# ---------------------------------------------------------------------------------------

cdef void _book(Run *run, double loss, double squares) noexcept nogil:
    """Count a chunk's loss in, and look for divergence."""
    run.step_loss += loss
    run.step_squares += squares
    if run.interrupted or not isfinite(run.loss_sum + run.step_loss):
        run.stopped = True
    if run.n_threads > 1 and run.untimed_work > UNTIMED:
        run.untimed_work = 0
        if fgd_seconds() > run.deadline:
            run.paused = True


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
            unpack(run, run.params, record.params + slot * run.n_params * run.itemsize)
        record.slot += 1
    run.step_loss = run.step_squares = 0


cdef void _draw_noise(Run *run) noexcept nogil:
    """Draw a standard normal number for each parameter, in the order of Network.params."""
    if not run.fill_noise(run.engine):
        FGD_RAISE_FLAG(run.interrupted)
        return
    convert(run, run.noise, run.flat_noise, True)


cdef void _attend(Run *run, size_t n) noexcept nogil:
    """Look for a signal (Ctrl-C) once enough work was done: every 20 ms or so."""
    cdef double now
    cdef double work = <double> n * <double> run.n_packed
    run.unchecked_work += work
    run.untimed_work += work
    if not run.check_signals or run.unchecked_work < 1e6:
        return
    run.unchecked_work = 0
    now = fgd_seconds()
    if now - run.last_check > 0.02:
        run.last_check = now
        if run.signalled(run.engine):
            FGD_RAISE_FLAG(run.interrupted)


# ---------------------------------------------------------------------------------------
# Single samples' norms
# ---------------------------------------------------------------------------------------

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


# ---------------------------------------------------------------------------------------
# Steps of a network
# ---------------------------------------------------------------------------------------

cdef void _raw_columns(
    Run *run, size_t depth, const void *const *inputs, size_t n, int thread
) noexcept nogil:
    """Compute this thread's part of a layer, columns or segments, for the whole chunk."""
    cdef Layer *layer = &run.layers[depth]
    cdef size_t size = run.itemsize, panel = run.kernels.panel
    cdef size_t column = thread * panel
    if layer.n_segments > 0:
        _segment_sums(run, inputs, 0, n, thread, run.n_threads)
        return
    if depth > 0:
        inputs = run.layers[depth - 1].output_rows
    while column < layer.ld:
        run.kernels.dense(
            n, inputs, layer.n_in, _min(panel, layer.ld - column), layer.ld,
            run.params + (layer.weights + column * layer.n_in) * size,
            run.params + (layer.bias + column) * size, layer.output + column * size,
        )
        column += run.n_threads * panel


cdef void _delta_columns(Run *run, size_t depth, size_t n, int thread) noexcept nogil:
    """Carry a layer's deltas back to this thread's columns of the layer below."""
    cdef Layer *layer = &run.layers[depth]
    cdef Layer *below = &run.layers[depth - 1]
    cdef size_t size = run.itemsize, panel = run.kernels.panel
    cdef size_t column = thread * panel
    while column < below.ld:
        run.kernels.dense_scale(
            n, layer.delta_rows, layer.n_out, _min(panel, below.ld - column), below.ld,
            layer.transposed + column * layer.n_out * size, below.delta + column * size,
        )
        column += run.n_threads * panel


cdef inline size_t _share_of(const Run *run, size_t n) noexcept nogil:
    """Return how many of n samples are each thread's: neighbours, and whole tiles of rows."""
    return _round_up((n + run.n_threads - 1) / <size_t> run.n_threads, 8)


cdef void _share_samples(
    Run *run, const Step *step, Window *window, size_t at, size_t first, size_t end
) noexcept nogil:
    """Run the chunk's samples from `first` to `end` forward, through the loss, and back, in
    blocks: all layers behind those that are shared out by columns."""
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize, b = first, rows
    while b < end:
        rows = _min(MIN_CHUNK, end - b)
        _forward(run, window.rows + at + b, b, rows, run.n_split, window.start + at + b)
        run.loss(
            rows, top.n_out, top.ld, top.output + b * top.ld * size,
            window.targets + (at + b) * run.target_bytes,
            NULL if run.sample_weight == NULL else window.weights + (at + b) * size,
            step.scale, run.values + b,
        )
        _backward(run, b, rows, max(run.n_split, <size_t> 1))
        b += rows


cdef void _measure_and_clip(
    Run *run, const Step *step, Window *window, size_t at, size_t first, size_t end
) noexcept nogil:
    """Take the norms of the gradients of the chunk's samples from `first` to `end`, where they
    are wanted, and shorten those that are too long."""
    cdef size_t normed = _part(end - first, step.normed, window.start + at + first - step.start)
    if normed == 0:
        return
    _sample_norms(
        run, window.rows + at + first, first, normed, step.scale, NULL, run.squares + first,
        run.square_parts + 2 * first,
    )
    if run.adjust.clip_sample > 0:
        _clip_samples(run, first, end - first, NULL, run.squares + first)


cdef void _carry_chunk(
    Run *run, const Step *step, Window *window, size_t at, size_t n, int thread
) noexcept nogil:
    """Take n samples forward, through the loss, and back: this thread's part."""
    cdef size_t share = _share_of(run, n), depth
    cdef size_t first = _min(thread * share, n), end = _min(first + share, n)
    for depth in range(run.n_split):
        if depth > 0:
            _activate(run, depth - 1, first, end - first, window.start + at + first)
            _wait(run)
        _raw_columns(run, depth, window.rows + at, n, thread)
        _wait(run)
    _share_samples(run, step, window, at, first, end)
    for depth in range(run.n_split, 1, -1):
        _wait(run)
        _delta_columns(run, depth - 1, n, thread)
    if step.normed > 0:
        if run.n_split > 1:
            _wait(run)
        _measure_and_clip(run, step, window, at, first, end)
    _wait(run)


cdef void _network_step(Run *run, const Step *step, int thread) noexcept nogil:
    """Make one step of a network, chunk by chunk: this thread's part."""
    cdef Window *window = &run.windows[thread]
    cdef size_t done = 0, n, at, t
    cdef size_t chunks = max(<size_t> 1, (step.n + run.chunk - 1) / run.chunk)
    cdef size_t chunk = _round_up((step.n + chunks - 1) / chunks, 8)  # all of about one size
    cdef bint kept = chunks > 1 or run.optimizer == NULL or run.clip_sums != NULL
    cdef char *gradient
    cdef Tile *tile
    if thread == 0 and run.noise != NULL:
        _draw_noise(run)
    while done < step.n and not run.stopped:
        n = _min(chunk, step.n - done)
        at = _look(run, window, step.start + done, n)
        _carry_chunk(run, step, window, at, n, thread)
        if thread == 0:
            _attend(run, n)
            _book(run, fgd_sum(n, run.values),
                  fgd_sum(_part(n, step.measured, done), run.squares))
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                tile = &run.tiles[t]
                if kept or tile.padded:
                    gradient = _place(run, tile, run.gradient)
                else:
                    gradient = run.scratch + thread * run.scratch_bytes
                _gradient(run, tile, window.rows + at, n, gradient, done > 0)
                if done + n == step.n:
                    _finish(run, tile, step, gradient)
        _wait(run)
        done += n
    if step.n == 0:
        if thread == 0:
            _book(run, 0, 0)
        _wait(run)
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                _finish_empty(run, &run.tiles[t], step)
        _wait(run)
    _clip_all(run, step, thread)


# ---------------------------------------------------------------------------------------
# Steps of single samples
# ---------------------------------------------------------------------------------------

cdef bint is_stochastic(const Run *run) noexcept nogil:
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


# ---------------------------------------------------------------------------------------
# Steps of a model of one output and no hidden layer
# ---------------------------------------------------------------------------------------

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
                _finish_empty(run, tile, step)
            else:
                _add_up(run, &share, -1, tile.offset, tile.count)
                _finish(run, tile, step, _place(run, tile, run.gradient))
    _wait(run)
    _clip_all(run, step, thread)


# ---------------------------------------------------------------------------------------
# Steps of any kind
# ---------------------------------------------------------------------------------------

cdef inline size_t _measured(size_t n) noexcept nogil:
    """Return how many samples of a batch speak for its samples' squared norms."""
    return _min(n, max(<size_t> LEAST_MEASURED, (n + 3) / 4))


cdef inline bint _is_recorded(const Run *run, size_t index) noexcept nogil:
    """Whether the trace wants this step of the epoch."""
    cdef int64_t every = run.record.every  # a division takes as long as a small sample
    return every == 1 or every > 1 and (run.step + <int64_t> index + 1) % every == 0


cdef void run_steps(Run *run, int thread) noexcept nogil:
    """Make the steps from number run.index to run.stop: this thread's part."""
    cdef const Adjust *adjust = &run.adjust
    cdef Step step
    if is_stochastic(run):
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


# ---------------------------------------------------------------------------------------
# All samples, without a step
# ---------------------------------------------------------------------------------------

cdef void write_outputs(Run *run, int thread, char *out) noexcept nogil:
    """Write the raw outputs of all rows: this thread's share of each chunk.

    Nobody waits between chunks: a thread has the same rows of the workspace in each of them.
    """
    cdef Window *window = &run.windows[thread]
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize, bytes_out = top.n_out * size
    cdef size_t start = 0, m, at, b, end, n, i
    cdef size_t share = _share_of(run, _min(run.chunk, run.n_order))
    while start < run.n_order and not FGD_FLAG(run.interrupted):
        m = _min(run.chunk, run.n_order - start)
        at = _look(run, window, start, m)
        b, end = thread * share, _min((thread + 1) * share, m)
        while b < end:
            n = _min(MIN_CHUNK, end - b)
            _forward(run, window.rows + at + b, b, n, 0, -1)
            for i in range(b, b + n):
                memcpy(out + (start + i) * bytes_out, top.output + i * top.ld * size, bytes_out)
            b += n
        if thread == 0:
            _attend(run, m)
        start += m


cdef void write_sample_gradients(Run *run, int thread, char *out, double *norms) noexcept nogil:
    """Write each sample's gradient, or with `norms` its norm only: this thread's share."""
    cdef Window *window = &run.windows[thread]
    cdef Layer *top = &run.layers[run.n_layers - 1]
    cdef size_t size = run.itemsize
    cdef size_t start = 0, m, at, b, end, n, i, place
    cdef size_t share = _share_of(run, _min(run.chunk, run.n_order))
    while start < run.n_order and not FGD_FLAG(run.interrupted):
        m = _min(run.chunk, run.n_order - start)
        at = _look(run, window, start, m)
        b, end = thread * share, _min((thread + 1) * share, m)
        while b < end:
            n = _min(MIN_CHUNK, end - b)
            place = at + b
            _forward(run, window.rows + place, b, n, 0, -1)
            run.loss(
                n, top.n_out, top.ld, top.output + b * top.ld * size,
                window.targets + place * run.target_bytes,
                NULL if run.sample_weight == NULL else window.weights + place * size,
                1.0, run.values + b,
            )
            _backward(run, b, n, 1)
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
            b += n
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


# ---------------------------------------------------------------------------------------
# The layouts of parameters: packed for the kernels, and flat
# ---------------------------------------------------------------------------------------

cdef double inner(
    Run *run, const char *x, const char *y, char *flat_x, char *flat_y
) noexcept nogil:
    """Return the inner product of two packed vectors; the first window is moved away.

    They are unpacked for it, since the packed order differs between levels.
    """
    cdef Window *window = &run.windows[0]
    cdef double zero = 0, out = 0  # room for one number of the computation's dtype
    cdef float single
    cdef size_t i
    unpack(run, x, flat_x)
    unpack(run, y, flat_y)
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
        start, end = segment_start(run, layer, s), segment_start(run, layer, s + 1)
        for j in range(n_out):
            for k in range(start, _min(end, layer.n_in)):
                if pack:
                    vector[k - start] = flat[k * n_out + j]
                else:
                    flat[k * n_out + j] = vector[k - start]
            vector += end - start


cdef void unpack(const Run *run, const char *packed, char *flat) noexcept nogil:
    """Copy a packed vector into the layout of Network.params."""
    convert(run, <char *> packed, flat, False)


cdef void convert(const Run *run, char *packed, char *flat, bint pack) noexcept nogil:
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
