"""The samples of a step and of a thread, and a thread's window on them; see windows.pyx."""

cimport cython

from fastgd.engine.run cimport BLOCK, MAX_BLOCKS, Run, Step, Window, _min, _round_up


cdef inline size_t batch_length(const Run *run, size_t index, size_t start) noexcept nogil:
    """Return the number of samples of step `index` of the epoch, which begins at `start`."""
    if run.epoch.bounds == NULL:
        return _min(run.epoch.batch_size, run.epoch.n_order - start)
    return run.epoch.bounds[index + 1] - run.epoch.bounds[index]


@cython.cdivision(True)
cdef inline size_t part_length(const Run *run, size_t index, size_t start) noexcept nogil:
    """Return the number of samples of part `index` of the epoch, counted over all its batches.

    Of an epoch's first P samples, shard s has ceil((P - s) / shards), as in fastgd/batches.py.
    """
    cdef size_t shards = run.epoch.shards, s, first, end
    if shards == 1:
        return batch_length(run, index, start)
    s, first = index % shards, index / shards * run.epoch.batch_size
    end = first + _min(run.epoch.batch_size, run.epoch.n_order - first)
    first, end = first + run.epoch.place, end + run.epoch.place
    return (end + shards - 1 - s) / shards - (first + shards - 1 - s) / shards


cdef struct Share:          # a thread's blocks of a batch, for a linear model
    size_t block            # samples in a block
    size_t n_blocks         # in the batch
    size_t first            # the thread's first block
    size_t last             # the block after its last


@cython.cdivision(True)
cdef inline Share share_blocks(const Run *run, size_t n, int thread) noexcept nogil:
    cdef Share share
    cdef size_t threads = run.team.n_threads
    share.block = _round_up((max(n, 1) + MAX_BLOCKS - 1) / MAX_BLOCKS, BLOCK)
    share.n_blocks = (n + share.block - 1) / share.block
    share.first = (thread * share.n_blocks + threads - 1) / threads
    share.last = ((thread + 1) * share.n_blocks + threads - 1) / threads
    return share


cdef void list_shares(
    Run *run, Window *window, const Step *step, size_t first, size_t end, int thread
) noexcept nogil
cdef void move_window(Run *run, Window *window, size_t start) noexcept nogil


cdef inline size_t locate(Run *run, Window *window, size_t start, size_t n) noexcept nogil:
    """Return the index in the window of the n samples from `start` on; move it if needed."""
    if start < window.start or start + n > window.start + window.count:
        move_window(run, window, start)
    return start - window.start


@cython.cdivision(True)
cdef inline size_t rows_at_once(const Run *run, size_t n) noexcept nogil:
    """Return how many of n rows can be read at once, by all threads together."""
    cdef size_t room = run.decoded.n_rows
    if room == 0 or n <= room:
        return n
    return room - room % 8 if room > 8 else room


cdef void decode_rows(
    Run *run, const void *const *rows, size_t n, size_t place
) noexcept nogil


cdef inline const void *const *read_rows(
    Run *run, const Window *window, size_t at, size_t n, size_t place
) noexcept nogil:
    """Return pointers to n rows of the window, from `at` on, that kernels can read: to where they
    are stored, or to their decoded copies, which are written from row `place` on."""
    if run.decoded.n_rows == 0:
        return window.rows + at
    decode_rows(run, window.rows + at, n, place)
    return run.decoded.rows + place


cdef inline const void *const *shared_rows(
    const Run *run, const Window *window, size_t at
) noexcept nogil:
    """Return pointers to the rows that all threads have read, the first at `at` of the window."""
    return window.rows + at if run.decoded.n_rows == 0 else run.decoded.rows
