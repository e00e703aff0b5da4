# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Windows: a thread's view of the samples that it reads next.

Rows are not copied: kernels take a list of pointers, and prefetch along it. Only rows of another
dtype, or sparse ones, are decoded, when they are used, into memory that stays in the cache
(read_rows). Targets and weights, a few bytes per sample, are gathered in the order of the rows.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from fastgd.engine.kernels cimport FGD_AHEAD
from fastgd.engine.run cimport FGD_PREFETCH, Item, Run, Step, Window, _min


cdef inline size_t _sample(const Run *run, size_t place) noexcept nogil:
    """Return the index of the sample at this place of the epoch's order."""
    if run.epoch.order == NULL:
        return place
    if run.epoch.order_bytes == 4:
        return (<const uint32_t *> run.epoch.order)[place]
    return <size_t> (<const int64_t *> run.epoch.order)[place]


ctypedef fused Index:
    uint32_t
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
    """Copy n items, and prefetch those that are `ahead` places later, of which `left` exist."""
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
    cdef size_t i, ahead = run.team.n_threads * run.chunk  # about where it reads next
    cdef size_t left = max(start + ahead, run.epoch.n_order) - start - ahead
    cdef const uint32_t *narrow = <const uint32_t *> run.epoch.order + start
    cdef const int64_t *wide = <const int64_t *> run.epoch.order + start
    if run.epoch.order == NULL:
        memcpy(out, source + start * itemsize, count * itemsize)
    elif itemsize == 4 and run.epoch.order_bytes == 4:
        _pick(narrow, count, ahead, left, <const int32_t *> source, <int32_t *> out)
    elif itemsize == 4:
        _pick(wide, count, ahead, left, <const int32_t *> source, <int32_t *> out)
    elif itemsize == 8 and run.epoch.order_bytes == 4:
        _pick(narrow, count, ahead, left, <const int64_t *> source, <int64_t *> out)
    elif itemsize == 8:
        _pick(wide, count, ahead, left, <const int64_t *> source, <int64_t *> out)
    else:
        for i in range(count):
            memcpy(out + i * itemsize, source + _sample(run, start + i) * itemsize, itemsize)


cdef size_t _list_rows(
    Run *run, Window *window, size_t at, size_t start, size_t count
) noexcept nogil:
    """Append up to `count` samples, from place `start` on, to the window's first `at` samples.

    Return the new length, which includes rows that are listed only for prefetching.
    """
    cdef size_t i, n, listed = _min(count, run.chunk + FGD_AHEAD - at)
    cdef const void **rows = window.rows + at
    cdef const char *X = run.data.X
    if run.epoch.order == NULL:
        for i in range(listed):
            rows[i] = run.data.X + (start + i) * run.data.row_bytes
    elif run.epoch.order_bytes == 4:
        _point(<const uint32_t *> run.epoch.order + start, listed, X, run.data.row_bytes, rows)
    else:
        _point(<const int64_t *> run.epoch.order + start, listed, X, run.data.row_bytes, rows)
    if at < run.chunk:
        n = _min(listed, run.chunk - at)
        if run.data.y != NULL:
            _gather(run, start, n, run.data.y, run.data.target_bytes,
                    window.targets + at * run.data.target_bytes)
        if run.data.sample_weight != NULL:
            _gather(run, start, n, run.data.sample_weight, run.itemsize,
                    window.weights + at * run.itemsize)
    return at + listed


cdef void _pad_rows(Run *run, Window *window, size_t listed) noexcept nogil:
    """Set the window's length and pad its row list, so that prefetching past the end is safe."""
    cdef size_t i
    window.count = _min(listed, run.chunk)
    for i in range(listed, window.count + FGD_AHEAD):
        window.rows[i] = window.rows[listed - 1]


cdef void move_window(Run *run, Window *window, size_t start) noexcept nogil:
    """Move the window to the samples from place `start` on."""
    window.start = start
    _pad_rows(run, window, _list_rows(run, window, 0, start, run.epoch.n_order - start))


cdef void list_shares(
    Run *run, Window *window, const Step *step, size_t first, size_t end, int thread
) noexcept nogil:
    """Fill a thread's window: the step's samples from `first` to `end`, then the thread's shares
    of the next steps or, with shards, parts of steps."""
    cdef size_t start = step.start, index = step.index, n = step.n, listed = 0
    cdef size_t room = run.chunk + FGD_AHEAD
    cdef Share share
    window.n_read = 0
    while True:
        if first < end:
            listed = _list_rows(run, window, listed, start + first, end - first)
        start += n
        index += 1
        if listed == room or index == run.epoch.n_steps * run.epoch.shards:
            break
        n = part_length(run, index, start)
        share = share_blocks(run, n, thread)
        first, end = share.first * share.block, _min(share.last * share.block, n)
    _pad_rows(run, window, listed)


cdef void decode_rows(
    Run *run, const void *const *rows, size_t n, size_t place
) noexcept nogil:
    """Write n rows as the kernels read them, from row `place` of the room on."""
    cdef size_t i
    cdef char *out = run.decoded.values + place * run.decoded.row_bytes
    if run.sparse.csr.columns == NULL:
        run.data.storage.decode(
            n, rows, run.layers[0].n_in, run.data.mean, run.data.inverse_scale, out,
            run.decoded.row_bytes / run.itemsize,
        )
        return
    for i in range(n):
        if run.sparse.csr.wide:
            _spread(run, <const int64_t *> rows[i], <const int64_t *> run.sparse.csr.columns, out)
        else:
            _spread(run, <const int32_t *> rows[i], <const int32_t *> run.sparse.csr.columns, out)
        out += run.decoded.row_bytes


ctypedef fused Column:
    int32_t
    int64_t


cdef void _spread(
    const Run *run, const Column *starts, const Column *columns, char *out
) noexcept nogil:
    """Write a sparse row as a dense one.

    The numbers of the lists are checked: a matrix that changes during a run must not lead to an
    address outside its arrays.
    """
    cdef size_t k, column, stored = run.sparse.csr.n_stored, n_in = run.layers[0].n_in
    cdef size_t end = _min(<size_t> starts[1], stored), size = run.itemsize
    cdef const char *values = <const char *> run.sparse.csr.values
    if run.data.mean != NULL:
        _spread_affine(run, starts, columns, out)
        return
    memset(out, 0, n_in * size)
    for k in range(_min(<size_t> starts[0], end), end):
        column = <size_t> columns[k]
        if column >= n_in:
            continue
        if size == 4:
            (<int32_t *> out)[column] = (<const int32_t *> values)[k]
        else:
            (<int64_t *> out)[column] = (<const int64_t *> values)[k]


cdef void _spread_affine(
    const Run *run, const Column *starts, const Column *columns, char *out
) noexcept nogil:
    """The same with the columns' means and scales, which also apply to zeros."""
    cdef size_t k, column, n_in = run.layers[0].n_in, wide = run.data.storage.affine_size
    cdef size_t end = _min(<size_t> starts[1], run.sparse.csr.n_stored)
    cdef const char *values = <const char *> run.sparse.csr.values
    cdef const void *row[1 + FGD_AHEAD]
    memcpy(out, run.sparse.zeros, n_in * run.itemsize)
    for k in range(1 + FGD_AHEAD):
        row[k] = values
    for k in range(_min(<size_t> starts[0], end), end):
        column = <size_t> columns[k]
        if column >= n_in:
            continue
        row[0] = values + k * run.sparse.value_bytes
        run.data.storage.decode(
            1, row, 1, <const char *> run.data.mean + column * wide,
            <const char *> run.data.inverse_scale + column * wide, out + column * run.itemsize, 1,
        )
