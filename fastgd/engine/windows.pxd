"""Which samples are a step's, and a thread's, and its view of them; see _windows.pyx."""

cimport cython

from fastgd.engine.run cimport BLOCK, MAX_BLOCKS, Run, Step, Window, _min, _round_up


cdef inline size_t batch_length(const Run *run, size_t index, size_t start) noexcept nogil:
    """Return how many samples step number `index` of the epoch has; it begins at `start`."""
    if run.epoch.bounds == NULL:
        return _min(run.epoch.batch_size, run.epoch.n_order - start)
    return run.epoch.bounds[index + 1] - run.epoch.bounds[index]


cdef struct Share:          # of a linear model's batch of n samples, which comes in fixed blocks
    size_t block            # samples in each
    size_t n_blocks
    size_t first            # the thread's
    size_t last


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
    """Return where in the window the n samples from `start` on are, moving it if need be."""
    if start < window.start or start + n > window.start + window.count:
        move_window(run, window, start)
    return start - window.start
