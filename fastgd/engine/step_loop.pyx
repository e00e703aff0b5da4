# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The step loop: the samples of each batch, the work of each thread, and the barriers.

No code here holds the GIL, except for two callbacks into the engine. Arithmetic is in src_c/, the
choice of rows in windows.pyx, the passes through the layers in layers.pyx, and the number of
threads in engine.pyx.

A step has two phases. The first is the forward and backward pass. In the leading layers, as long
as they are wide enough, threads share the columns, so that a thread's weights stay in its cache;
in the other layers they share the samples of the batch, whose losses and deltas are then local to
one thread. In the second phase threads share the parameters: a thread owns tiles of the weights,
walks all the samples of the batch in order, and updates its tiles. A barrier (src_c/barrier.h)
follows each phase, and each layer of shared columns; it is explicit, because Cython's loops over
threads end without one. A batch of more samples than the workspace holds is processed in chunks,
which add to one gradient.

Results do not depend on the number of threads: a weight's gradient is one chain over the samples.
Only a model with one output and no hidden layer splits that sum, into blocks fixed by the batch
size, which are added as a fixed tree.
"""

from libc.math cimport isfinite, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from fastgd.engine.kernels cimport fgd_csr, fgd_kernels, fgd_sum
from fastgd.engine.layers cimport (
    activate, forward_backward, clip_samples, delta_columns, raw_columns, sample_norms
)
from fastgd.engine.packing cimport convert, transpose, unpack
from fastgd.engine.run cimport (
    Adjust,
    DECODED_AT_ONCE,
    FGD_FLAG,
    FGD_RAISE_FLAG,
    LEAST_MEASURED,
    Layer,
    MIN_CHUNK,
    Record,
    Run,
    SUM_COLUMNS,
    SUM_ROWS,
    Step,
    Tile,
    UNTIMED,
    Window,
    _min,
    _round_up,
    poll_signals,
    poll_signals_after,
    fgd_meet,
    fgd_seconds,
    share_of,
)
from fastgd.engine.windows cimport (
    Share, batch_length, list_shares, locate, part_length, read_rows, rows_at_once, share_blocks,
    shared_rows,
)


# ---------------------------------------------------------------------------------------
# Ownership and barriers
# ---------------------------------------------------------------------------------------

cdef inline void _wait(Run *run) noexcept nogil:
    """Wait for the other threads."""
    if run.team.n_threads > 1:
        fgd_meet(run.team.barrier, run.team.n_threads, run.team.spins)


cdef void _decide(
    Run *run, int thread, size_t n, const double *losses, size_t measured, const double *squares
) noexcept nogil:
    """Wait for the other threads; then the first adds a chunk's losses, and decides whether to
    continue.

    This is the only place where a team's `stopped` and `paused` are written. The rule: they are
    written between two barriers, and read only after the second. So all threads leave a loop in the
    same iteration. If a thread were still at the loop's condition while the first decides, it would
    leave alone, and the first would wait for it forever. `interrupted` may be set at any time, so
    no thread leaves a loop because of it; it is turned into `stopped` here.
    (tests/test_barrier_protocol.py checks all interleavings of the threads.)
    """
    _wait(run)
    if thread != 0:
        return
    run.lead.step_loss += fgd_sum(n, losses)
    run.lead.step_squares += fgd_sum(measured, squares)
    if FGD_FLAG(run.flags.interrupted) or not isfinite(run.lead.loss_sum + run.lead.step_loss):
        run.flags.stopped = True
    if run.team.n_threads > 1 and run.lead.untimed_work > UNTIMED:
        run.lead.untimed_work = 0
        if fgd_seconds() > run.lead.deadline:
            run.flags.paused = True


cdef inline bint _owns(const Run *run, size_t t, int thread) noexcept nogil:
    """Whether this thread owns tile number t."""
    if run.tiles[t].layer < run.team.n_split or (run.tiles[t].layer == 0 and run.sparse.direct):
        t = run.tiles[t].share
    return t % <size_t> run.team.n_threads == <size_t> thread


cdef inline char *_place(const Run *run, const Tile *tile, char *packed) noexcept nogil:
    """Return where a tile begins in a packed vector."""
    return packed + tile.offset * run.itemsize


cdef void _gradient(
    Run *run, const Tile *tile, const void *const *inputs, size_t first, size_t n, char *out,
    bint add
) noexcept nogil:
    """Write a tile's gradient over n rows, from row `first` of the chunk on, to `out`, or add it
    if `add`."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef Layer *layer = &run.layers[tile.layer]
    cdef size_t size = run.itemsize
    cdef const char *delta = layer.delta + first * layer.ld * size
    if tile.layer > 0:
        inputs = run.layers[tile.layer - 1].output_rows + first
    if layer.ld == 1:
        kernels.dot_gradient(
            n, inputs, layer.n_in, delta, out, out + (layer.bias - layer.weights) * size, add
        )
    elif tile.first == tile.last:
        kernels.column_sum(n, layer.ld, delta, out, add)
    elif layer.n_segments > 0:
        kernels.dots_gradient(
            n, inputs, tile.first, tile.last - tile.first, layer.n_out, delta, layer.ld,
            out, tile.width, add,
        )
    else:
        kernels.dense_gradient(
            n, inputs, tile.first, tile.last, tile.width, delta + tile.column * size, layer.ld,
            out, add,
        )


# ---------------------------------------------------------------------------------------
# From a gradient to the update
# ---------------------------------------------------------------------------------------

cdef void _tile_sums(
    const Run *run, const Tile *tile, const char *at, size_t count, double linear,
    double square, double *sums
) noexcept nogil:
    """Write the weighted sums of |w| and w^2 over the first `count` elements of a tile at `at`, in
    an order that does not depend on panels or tiles."""
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
    """Adjust a tile's gradient over the whole batch, and update the tile, unless clipping by norm
    has to wait for the other tiles."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef const Adjust *adjust = &run.adjust
    cdef char *params = _place(run, tile, run.params)
    if run.training.optimizer == NULL:
        return
    if step.recorded and run.sums.record != NULL:
        _tile_sums(run, tile, gradient, tile.count, 0, 1, run.sums.record)
    if run.noise.packed != NULL:
        kernels.add_scaled(tile.count, gradient, _place(run, tile, run.noise.packed),
                           adjust.noise * step.scale)
    if run.sums.penalty != NULL and tile.n_weights > 0:
        _tile_sums(run, tile, params, tile.n_weights, adjust.l1, 0.5 * adjust.l2,
                   run.sums.penalty)
        if step.l2 > 0:
            kernels.add_scaled(tile.n_weights, gradient, params, step.l2)
    if adjust.clip_value > 0:
        kernels.clip(tile.count, gradient, adjust.clip_value)
    if adjust.clip_norm > 0:
        _tile_sums(run, tile, gradient, tile.count, 0, 1, run.sums.clip)
    else:
        _move(run, tile, step, gradient)


cdef void _finish_empty(Run *run, const Tile *tile, const Step *step) noexcept nogil:
    """Update a tile after an empty batch, from noise, penalties and moments."""
    cdef char *gradient = _place(run, tile, _sum_of(run, step))
    memset(gradient, 0, tile.count * run.itemsize)
    _complete(run, tile, step, gradient)


# ---------------------------------------------------------------------------------------
# The sums over shards
# ---------------------------------------------------------------------------------------

# The tree adds neighbours, then pairs of neighbours, and so on, as add_as_tree() of
# fastgd/backends/_step.py. When shard s begins, a sum waits for each bit that is set in s; the
# shard's own sum is added to the last of these for each bit 1 at the end of s.

cdef inline size_t _waiting(size_t shard) noexcept nogil:
    """Return how many sums wait for that of this shard."""
    cdef size_t n = 0
    while shard > 0:
        n += shard & 1
        shard >>= 1
    return n


cdef inline char *_level(const Run *run, size_t level) noexcept nogil:
    return run.shards.gradients + level * run.n_packed * run.itemsize


cdef inline char *_sum_of(const Run *run, const Step *step) noexcept nogil:
    """Return the vector that a step's gradient, or its part's, is summed in."""
    return run.gradient if run.epoch.shards == 1 else _level(run, _waiting(step.shard))


cdef void _complete(
    Run *run, const Tile *tile, const Step *step, char *gradient
) noexcept nogil:
    """Finish a tile with its gradient over a batch; with shards, add a part's first."""
    cdef size_t level, bits = step.shard
    cdef bint last = step.shard + 1 == run.epoch.shards
    if run.epoch.shards > 1:
        level = _waiting(step.shard)
        while level > 0 and (last or bits & 1):
            run.kernels.add(tile.count, _place(run, tile, _level(run, level - 1)),
                            _place(run, tile, _level(run, level)))
            level -= 1
            bits >>= 1
        if not last:
            return
        gradient = _place(run, tile, run.gradient)
        memcpy(gradient, _place(run, tile, _level(run, 0)), tile.count * run.itemsize)
    _finish(run, tile, step, gradient)


cdef void _add_losses(Run *run, const Step *step) noexcept nogil:
    """Add the losses of a shard's part of a batch to those of the others; for the first thread."""
    cdef size_t level = _waiting(step.shard), bits = step.shard
    cdef bint last = step.shard + 1 == run.epoch.shards
    cdef double *losses = run.shards.losses
    cdef double *squares = run.shards.squares
    losses[level], squares[level] = run.lead.step_loss, run.lead.step_squares
    while level > 0 and (last or bits & 1):
        losses[level - 1] += losses[level]
        squares[level - 1] += squares[level]
        level -= 1
        bits >>= 1
    run.lead.step_loss = losses[0] if last else 0
    run.lead.step_squares = squares[0] if last else 0


cdef void _move(
    Run *run, const Tile *tile, const Step *step, const char *gradient
) noexcept nogil:
    """Move a tile's parameters along its gradient."""
    cdef Layer *layer = &run.layers[tile.layer]
    cdef char *params = _place(run, tile, run.params)
    run.training.optimizer.update(
        tile.count, params, gradient, _place(run, tile, run.moments), run.n_packed,
        step.coefficients,
    )
    if run.adjust.l1 > 0 and tile.n_weights > 0:
        run.kernels.soft_threshold(tile.n_weights, params, step.rate * run.adjust.l1 * (
            step.scale if run.adjust.summed else 1.0
        ))
    if layer.transposed != NULL and tile.first < tile.last:
        transpose(run, tile)


cdef double _clip_factor(const Run *run) noexcept nogil:
    """Return the factor that clips the gradient to its largest allowed norm, as in torch's
    clip_grad_norm_."""
    return run.adjust.clip_norm / (sqrt(fgd_sum(run.sums.n, run.sums.clip)) + 1e-6)


cdef void _clip_all(Run *run, const Step *step, int thread) noexcept nogil:
    """Clip the gradient by its norm, and update this thread's tiles."""
    cdef double factor
    cdef char *gradient
    cdef size_t t
    if run.sums.clip == NULL or run.flags.stopped:
        return
    factor = _clip_factor(run)
    for t in range(run.n_tiles):
        if _owns(run, t, thread):
            gradient = _place(run, &run.tiles[t], run.gradient)
            if factor < 1:
                run.kernels.scale(run.tiles[t].count, gradient, factor)
            _move(run, &run.tiles[t], step, gradient)
    _wait(run)


# ---------------------------------------------------------------------------------------
# Losses, traces, noise
# ---------------------------------------------------------------------------------------

cdef void _record(Run *run, const Step *step) noexcept nogil:
    """Add a finished step to the epoch's loss, and record it if the trace keeps it."""
    cdef Record *record = &run.record
    cdef size_t slot = record.slot
    cdef double penalty = 0
    if run.sums.penalty != NULL:
        penalty = fgd_sum(run.sums.n, run.sums.penalty) * (
            1.0 if run.adjust.summed else 1 / step.scale
        )
        run.lead.step_loss += penalty
    run.lead.loss_sum += run.lead.step_loss
    if step.recorded:
        if record.loss != NULL:
            record.loss[slot] = run.lead.step_loss / step.n
        if record.penalty != NULL:
            record.penalty[slot] = penalty / step.n
        if record.norm != NULL:
            record.norm[slot] = sqrt(fgd_sum(run.sums.n, run.sums.record))
        if record.squares != NULL:
            record.squares[slot] = run.lead.step_squares / step.measured
        if record.params != NULL:
            unpack(run, run.params, record.params + slot * run.n_params * run.itemsize)
        record.slot += 1
    run.lead.step_loss = run.lead.step_squares = 0


cdef void _draw_noise(Run *run) noexcept nogil:
    """Draw a standard normal number for each parameter, in the order of Network.params."""
    if not run.host.fill_noise(run.host.engine):
        FGD_RAISE_FLAG(run.flags.interrupted)
        return
    convert(run, run.noise.packed, run.noise.flat, True)


cdef inline size_t _part(size_t n, size_t limit, size_t done) noexcept nogil:
    """Return how many of n samples, after `done` others, are among a batch's first `limit`."""
    return 0 if done >= limit else _min(n, limit - done)


# ---------------------------------------------------------------------------------------
# Steps of a network
# ---------------------------------------------------------------------------------------

cdef void _measure_and_clip(
    Run *run, const Step *step, const void *const *inputs, size_t done, size_t row, size_t n
) noexcept nogil:
    """Compute the gradient norms of n samples, from row `row` of the chunk on, as far as they are
    needed, and clip the gradients that are too long. The batch has `done` samples before them."""
    cdef size_t normed = _part(n, step.normed, done)
    if normed == 0:
        return
    sample_norms(
        run, inputs, row, normed, step.scale, NULL, run.samples.squares + row,
        run.samples.square_parts + 2 * row,
    )
    if run.adjust.clip_sample > 0:
        clip_samples(run, row, n, NULL, run.samples.squares + row)


cdef void _run_rows(
    Run *run, const Step *step, Window *window, size_t at, size_t row, size_t n, int thread
) noexcept nogil:
    """Run this thread's part of n samples forward, through the loss, and backward.

    They are in the window from `at` on, and use the chunk's rows from `row` on.
    """
    cdef size_t share = share_of(run, n), depth, rows
    cdef size_t first = _min(thread * share, n), end = _min(first + share, n), b = first
    cdef size_t place = window.start + at
    cdef const void *const *inputs = read_rows(run, window, at + first, end - first, first) - first
    if run.decoded.n_rows > 0 and run.team.n_split > 0:
        _wait(run)
    for depth in range(run.team.n_split):
        if depth > 0:
            activate(run, depth - 1, row + first, end - first, place + first)
            _wait(run)
        raw_columns(run, depth, inputs, row, n, thread)
        _wait(run)
    while b < end and not FGD_FLAG(run.flags.interrupted):
        rows = _min(MIN_CHUNK, end - b)
        if thread == 0:
            poll_signals(run, rows)
        forward_backward(
            run, inputs + b, window, at + b, row + b, rows, run.team.n_split, place + b, step.scale
        )
        b += rows
    for depth in range(run.team.n_split, 1, -1):
        _wait(run)
        delta_columns(run, depth - 1, row, n, thread)
    if step.normed > 0:
        if run.team.n_split > 1:
            _wait(run)
        _measure_and_clip(
            run, step, inputs + first, place + first - step.start, row + first, end - first
        )


cdef inline bint _is_lazy(const Run *run, const Step *step, size_t filled) noexcept nogil:
    """Whether this step moves only those weights of a sparse first layer that have a gradient.

    Without one, plain SGD leaves a weight as it is. The rows of the whole batch must be there.
    """
    return (
        run.training.plain and run.training.hyperparameters[0] == 0 and step.n == filled
        and run.epoch.shards == 1
        and run.noise.packed == NULL and run.sums.penalty == NULL and run.sums.clip == NULL
        and run.adjust.clip_value == 0 and not (step.recorded and run.sums.record != NULL)
    )


cdef void _add_sparse(
    Run *run, const Step *step, const void *const *inputs, size_t n, size_t done, bint lazy,
    int thread
) noexcept nogil:
    """Add n sparse rows' part to the gradient of this thread's panels of the first layer.

    `lazy` is whether to update the weights, too. The batch has `done` samples before these.
    """
    cdef Layer *layer = &run.layers[0]
    cdef size_t panel = run.kernels.panel, size = run.itemsize, column = thread * panel
    cdef size_t width, offset
    cdef const fgd_csr *csr = &run.sparse.csr
    cdef char *gradient = _sum_of(run, step)
    while column < layer.ld and not FGD_FLAG(run.flags.interrupted):
        width = _min(panel, layer.ld - column)
        offset = (layer.weights + column * layer.n_in) * size
        if lazy:
            run.kernels.csr_clear(n, inputs, csr, width, gradient + offset)
        elif done == 0:
            memset(gradient + offset, 0, layer.n_in * width * size)
        run.kernels.csr_gradient(
            n, inputs, csr, width, layer.delta + column * size, layer.ld, gradient + offset
        )
        if lazy:
            run.kernels.csr_update(
                n, inputs, csr, width, run.training.optimizer, step.coefficients,
                run.params + offset, gradient + offset,
            )
        column += run.team.n_threads * panel


cdef void _update_tiles(
    Run *run, const Step *step, const void *const *inputs, size_t row, size_t n, size_t filled,
    size_t done, bint kept, int thread
) noexcept nogil:
    """Add n rows' part to the gradient of this thread's tiles, and finish those that are complete.

    In the first layer this is the part of the rows from `row` of the chunk on, whose inputs are
    given; in others that of the whole chunk, once its `filled` rows are there. The batch has `done`
    samples before the chunk.
    """
    cdef bint last = row + n == filled, sparse, lazy = False
    cdef char *gradient
    cdef Tile *tile
    cdef size_t t
    if run.sparse.direct:
        lazy = _is_lazy(run, step, filled)
        _add_sparse(run, step, inputs, n, done, lazy, thread)
    for t in range(run.n_tiles):
        if FGD_FLAG(run.flags.interrupted):  # the result will be discarded
            break
        tile = &run.tiles[t]
        sparse = run.sparse.direct and tile.layer == 0 and tile.first < tile.last
        if not _owns(run, t, thread) or (tile.layer > 0 and not last) or (sparse and lazy):
            continue
        if thread == 0:
            poll_signals_after(run, <double> n * <double> tile.count)
        if kept or tile.padded or sparse:
            gradient = _place(run, tile, _sum_of(run, step))
        else:
            gradient = run.scratch + thread * run.scratch_bytes
        if sparse:
            pass
        elif tile.layer == 0:
            _gradient(run, tile, inputs, row, n, gradient, done + row > 0)
        else:
            _gradient(run, tile, NULL, 0, filled, gradient, done > 0)
        if last and done + filled == step.n:
            _complete(run, tile, step, gradient)


cdef void _network_step(Run *run, const Step *step, int thread) noexcept nogil:
    """Make this thread's part of one step of a network, chunk by chunk."""
    cdef Window *window = &run.windows[thread]
    cdef size_t done = 0, n, at, t, row, rows
    cdef size_t chunks = max(<size_t> 1, (step.n + run.chunk - 1) / run.chunk)
    cdef size_t chunk = _round_up((step.n + chunks - 1) / chunks, 8)  # of nearly equal size
    cdef size_t at_once = rows_at_once(run, chunk)
    cdef bint kept = (
        at_once < step.n or run.training.optimizer == NULL or run.sums.clip != NULL
        or run.epoch.shards > 1
    )
    while done < step.n and not run.flags.stopped:
        n = _min(chunk, step.n - done)
        at = locate(run, window, step.start + done, n)
        row = 0
        while row < n:
            rows = _min(at_once, n - row)
            _run_rows(run, step, window, at + row, row, rows, thread)
            if row + rows < n:
                _wait(run)
            else:
                _decide(run, thread, n, run.samples.losses, _part(n, step.measured, done),
                        run.samples.squares)
            _update_tiles(run, step, shared_rows(run, window, at + row), row, rows, n, done, kept,
                          thread)
            _wait(run)
            row += rows
        done += n
    if step.n == 0:
        if thread == 0:
            poll_signals(run, 1)
        _decide(run, thread, 0, NULL, 0, NULL)
        for t in range(run.n_tiles):
            if _owns(run, t, thread):
                _finish_empty(run, &run.tiles[t], step)
        _wait(run)


# ---------------------------------------------------------------------------------------
# Steps of single samples
# ---------------------------------------------------------------------------------------

cdef bint is_stochastic(const Run *run) noexcept nogil:
    """Whether this run's steps use the kernel for single samples."""
    return (
        run.training.stochastic != NULL and run.epoch.batch_size == 1 and run.epoch.bounds == NULL
        and run.epoch.scales == NULL and run.epoch.shards == 1
    )


cdef void _stochastic_steps(Run *run) noexcept nogil:
    """Run steps of one sample each, as many in one call as are in the window."""
    cdef Window *window = &run.windows[0]
    cdef Layer *layer = &run.layers[0]
    cdef const Record *record = &run.record
    cdef Step step
    cdef size_t start = run.stretch.start, n, at, i, size = run.itemsize
    cdef double *slopes = run.samples.square_parts
    cdef const void *const *inputs
    step.n, step.scale = 1, 1
    while start < run.stretch.stop and not run.flags.stopped:
        n = _min(run.chunk, run.stretch.stop - start)
        if run.decoded.n_rows > 0:  # and the row after the last
            n = _min(n, run.decoded.n_rows - 1)
        at = locate(run, window, start, n)
        if record.params != NULL or record.norm != NULL:  # end with a recorded step
            n = _min(n, record.every - (run.epoch.step + <int64_t> start) % <int64_t> record.every)
        inputs = read_rows(run, window, at, n + (run.decoded.n_rows > 0), 0)
        run.training.stochastic(
            n, inputs, layer.n_in, window.targets + at * run.data.target_bytes,
            NULL if run.data.sample_weight == NULL else window.weights + at * size,
            run.params, run.params + layer.bias * size, run.epoch.rates + start,
            run.training.hyperparameters[0], start > 0 or run.epoch.begun, &run.training.ahead,
            run.samples.losses, slopes,
        )
        poll_signals(run, n)
        if record.norm != NULL:
            run.kernels.row_squares(1, inputs + n - 1, layer.n_in, run.sums.record)
            run.sums.record[0] = (run.sums.record[0] + 1) * slopes[n - 1] * slopes[n - 1]
        for i in range(n):
            if record.every > 0:
                step.recorded = _is_recorded(run, start + i)
                run.lead.step_loss = run.samples.losses[i]
                _record(run, &step)
            else:
                run.lead.loss_sum += run.samples.losses[i]
        run.flags.stopped = run.flags.interrupted or not isfinite(run.lead.loss_sum)
        start += n
    run.lead.reached = run.lead.reached_index = start


# ---------------------------------------------------------------------------------------
# Steps of a model of one output and no hidden layer
# ---------------------------------------------------------------------------------------

cdef void _add_up(
    Run *run, const Share *share, int thread, size_t offset, size_t count
) noexcept nogil:
    """Add `count` elements of the blocks' gradients to the first block, as a tree of neighbours.

    A thread adds the blocks that it has written; thread -1 stands for the remaining additions.
    """
    cdef size_t stride = 1, b, end, threads = run.team.n_threads, n = share.n_blocks
    cdef size_t bytes_each = run.n_packed * run.itemsize
    cdef char *partial = run.blocks.gradients + offset * run.itemsize
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


cdef void _block_gradient(
    Run *run, const Step *step, const Share *share, size_t b, int thread
) noexcept nogil:
    """Write the gradient and the loss of a linear model over block number b of a batch."""
    cdef Window *window = &run.windows[thread]
    cdef size_t first = b * share.block, end = _min(first + share.block, step.n), n, at
    cdef char *partial = run.blocks.gradients + b * run.n_packed * run.itemsize
    cdef double *values = run.samples.losses + thread * run.chunk
    cdef double *squares = run.samples.squares + thread * run.chunk
    cdef double loss = 0, square = 0
    cdef bint add = False
    while first < end:
        n = _min(run.chunk, end - first)
        if window.n_read + n > window.count:
            list_shares(run, window, step, first, _min(share.last * share.block, step.n), thread)
        at = window.n_read
        window.n_read += n
        _run_linear(run, step, window, at, n, first, partial, add, thread)
        loss += fgd_sum(n, values)
        if _part(n, step.normed, first) > 0:
            square += fgd_sum(_part(n, step.measured, first), squares)
        if thread == 0:
            poll_signals(run, n)
        first += n
        add = True
    run.blocks.losses[b], run.blocks.squares[b] = loss, square


cdef void _run_linear(
    Run *run, const Step *step, Window *window, size_t at, size_t n, size_t done, char *partial,
    bint add, int thread
) noexcept nogil:
    """Compute the losses of n samples of a linear model, from `at` of the window on, and write or
    add their gradient. The batch has `done` samples before them."""
    cdef const fgd_kernels *kernels = run.kernels
    cdef Layer *layer = &run.layers[0]
    cdef size_t size = run.itemsize, row = 0, rows, normed, own = thread * run.chunk
    cdef size_t room = run.decoded.n_rows / run.team.n_threads, place = thread * room
    cdef char *z = layer.output + own * size
    cdef char *bias = partial + layer.bias * size
    cdef const void *const *inputs = NULL
    while row < n:
        rows = n - row
        if run.decoded.n_rows > 0:
            rows = _min(rows, _min(room, max(<size_t> 16, DECODED_AT_ONCE / run.decoded.row_bytes)))
        inputs = read_rows(run, window, at + row, rows, place)
        kernels.dot(rows, inputs, layer.n_in, run.params, run.params + layer.bias * size,
                    z + row * size)
        run.training.loss(
            rows, 1, 1, z + row * size, window.targets + (at + row) * run.data.target_bytes,
            NULL if run.data.sample_weight == NULL else window.weights + (at + row) * size,
            step.scale, run.samples.losses + own + row,
        )
        normed = _part(rows, step.normed, done + row)
        if normed > 0:
            sample_norms(
                run, inputs, 0, normed, step.scale, z + row * size, run.samples.squares + own + row,
                run.samples.square_parts + 2 * (own + row),
            )
            if run.adjust.clip_sample > 0:
                clip_samples(run, 0, rows, z + row * size, run.samples.squares + own + row)
        if rows < n:
            kernels.dot_gradient(rows, inputs, layer.n_in, z + row * size, partial,
                                 run.scratch + thread * run.scratch_bytes, add or row > 0)
        row += rows
    # the bias's part is one sum over all samples, so that it does not depend on the room
    if room > 0 and n > 0 and rows < n:
        kernels.dot_gradient(n, inputs, 0, z, partial, bias, add)
    else:
        kernels.dot_gradient(n, inputs, layer.n_in, z, partial, bias, add)


cdef void _linear_step(Run *run, const Step *step, int thread) noexcept nogil:
    """Make this thread's part of one step of a model with one output and no hidden layer."""
    cdef Share share = share_blocks(run, step.n, thread)
    cdef size_t b, t
    cdef Tile *tile
    cdef char *gradient
    for b in range(share.first, share.last):
        if FGD_FLAG(run.flags.interrupted):
            break
        _block_gradient(run, step, &share, b, thread)
    if thread == 0 and step.n == 0:
        poll_signals(run, 1)
    _add_up(run, &share, thread, 0, run.n_packed)
    _decide(run, thread, share.n_blocks, run.blocks.losses, share.n_blocks, run.blocks.squares)
    for t in range(run.n_tiles):
        if _owns(run, t, thread):
            tile = &run.tiles[t]
            if step.n == 0:
                _finish_empty(run, tile, step)
            else:
                _add_up(run, &share, -1, tile.offset, tile.count)
                gradient = _place(run, tile, _sum_of(run, step))
                if run.epoch.shards > 1:
                    memcpy(gradient, _place(run, tile, run.gradient), tile.count * run.itemsize)
                _complete(run, tile, step, gradient)
    _wait(run)


# ---------------------------------------------------------------------------------------
# Steps of any kind
# ---------------------------------------------------------------------------------------

cdef inline size_t _measured(size_t n) noexcept nogil:
    """Return how many samples of a batch estimate its mean squared gradient norm."""
    return _min(n, max(<size_t> LEAST_MEASURED, (n + 3) / 4))


cdef inline bint _is_recorded(const Run *run, size_t index) noexcept nogil:
    """Whether the trace records this step of the epoch."""
    cdef int64_t every = run.record.every  # a division takes as long as a small sample: avoid it
    return every == 1 or every > 1 and (run.epoch.step + <int64_t> index + 1) % every == 0


cdef inline void _make_part(Run *run, const Step *step, int thread) noexcept nogil:
    """Make this thread's part of one step, or of one shard's part of it."""
    if run.linear:
        _linear_step(run, step, thread)
    else:
        _network_step(run, step, thread)


cdef void _make_parts(Run *run, Step *step, int thread) noexcept nogil:
    """Make this thread's part of one step, shard by shard."""
    cdef Step part = step[0]
    cdef bint measured = step.measured > 0
    cdef size_t s
    part.index *= run.epoch.shards
    step.measured = 0
    for s in range(run.epoch.shards):
        if run.flags.stopped:
            return
        part.shard, part.n = s, part_length(run, part.index, part.start)
        if measured:
            part.measured = part.normed = _measured(part.n)
        if run.adjust.clip_sample > 0:
            part.normed = part.n
        _make_part(run, &part, thread)
        if thread == 0:
            _add_losses(run, &part)
        step.measured += part.measured
        part.start += part.n
        part.index += 1


cdef void run_steps(Run *run, int thread) noexcept nogil:
    """Make this thread's part of the steps from run.stretch.index to run.stretch.stop."""
    cdef const Adjust *adjust = &run.adjust
    cdef Step step
    if is_stochastic(run):
        _stochastic_steps(run)
        return
    run.windows[thread].n_read = run.windows[thread].count = 0
    step.start, step.index, step.rate = run.stretch.start, run.stretch.index, 0
    memcpy(step.scalars, run.training.scalars, sizeof(step.scalars))
    while step.index < run.stretch.stop and not run.flags.stopped and not run.flags.paused:
        step.n = batch_length(run, step.index, step.start)
        step.scale = 1.0 if not run.epoch.mean else 1.0 / (
            step.n if run.epoch.bounds == NULL else run.epoch.batch_size
        )
        if run.epoch.scales != NULL:
            step.scale = run.epoch.scales[step.index]
        step.recorded = _is_recorded(run, step.index)
        step.measured = step.normed = 0
        if step.recorded and run.record.squares != NULL:
            step.measured = step.normed = _measured(step.n)
        if adjust.clip_sample > 0:
            step.normed = step.n
        step.l2 = adjust.l2 * (step.scale if adjust.summed else 1.0)
        if run.training.optimizer != NULL:
            step.rate = run.epoch.rates[step.index]
            run.training.optimizer.prepare(
                run.epoch.step + <int64_t> step.index + 1, step.rate, run.training.hyperparameters,
                step.scalars, step.coefficients,
            )
        if thread == 0 and run.noise.packed != NULL:
            _draw_noise(run)
        if run.epoch.shards == 1:
            step.shard = 0
            _make_part(run, &step, thread)
        else:
            _make_parts(run, &step, thread)
        _clip_all(run, &step, thread)
        if thread == 0:
            _record(run, &step)
        step.start += step.n
        step.index += 1
    if thread == 0:
        run.lead.reached, run.lead.reached_index = step.start, step.index
        memcpy(run.training.scalars, step.scalars, sizeof(step.scalars))
