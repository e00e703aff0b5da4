"""The structs and constants that all modules of the engine share: the state of a run.

workspace.pyx fills them. engine.pyx sends threads through step_loop.pyx, for steps, or through
evaluation.pyx. Both read samples by windows.pyx and compute the layers by layers.pyx.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fastgd.engine.kernels cimport (
    FGD_MAX_COEFFICIENTS,
    FGD_MAX_SCALARS,
    fgd_activation,
    fgd_csr,
    fgd_kernels,
    fgd_loss,
    fgd_optimizer,
    fgd_stochastic,
    fgd_storage,
)


cdef extern from *:
    """
    #define FGD_PREFETCH(place) __builtin_prefetch(place, 0, 2)
    #define FGD_RAISE_FLAG(flag) __atomic_store_n(&(flag), 1, __ATOMIC_RELAXED)
    #define FGD_FLAG(flag) __atomic_load_n(&(flag), __ATOMIC_RELAXED)
    """
    void FGD_PREFETCH(const void *place) noexcept nogil
    void FGD_RAISE_FLAG(bint flag) noexcept nogil
    bint FGD_FLAG(bint flag) noexcept nogil


cdef extern from "platform.h" nogil:
    double fgd_seconds() noexcept


cdef extern from "barrier.h" nogil:
    ctypedef struct fgd_barrier:
        pass
    void fgd_meet(fgd_barrier *barrier, unsigned n, int spins) noexcept


ctypedef fused Item:        # values that are only copied: one type for each size
    int32_t
    int64_t


cdef struct Layer:
    size_t n_in
    size_t n_out
    size_t ld               # padded columns of its matrices; 1 for one output of the last layer
    size_t weights          # offsets into the packed vectors, in elements
    size_t bias
    size_t n_segments       # segments of the inputs, for few outputs (dots.inc.c); 0: dense
    char *segment_sums      # n_segments x n_out x chunk
    char *transposed        # packed transpose of the weights; NULL if not needed
    fgd_activation *activation  # NULL for the last layer
    uint32_t drop_below     # a unit is dropped if its random number is below; 0: no dropout
    double drop_factor      # for the outputs of the other units
    char *output            # chunk x ld: f(z); in the last layer z, then the deltas
    char *delta             # chunk x ld: f'(z), then the deltas
    const void **output_rows
    const void **delta_rows


cdef struct Tile:           # parameters that one thread owns in the second phase
    size_t layer
    size_t first            # rows of the weights; first == last for the bias
    size_t last
    size_t column           # in elements; with segments or one output: number of the part
    size_t width            # in elements; with one output: number of parts
    size_t share            # decides the owner in a layer that is shared by columns or segments
    size_t offset           # into the packed vectors, in elements
    size_t n_weights        # elements that are weights, before those that are biases
    size_t count
    bint padded             # some elements are padding and stay zero
    size_t sums             # offset into a vector of sums of squares


cdef struct Window:         # a thread's view of a stretch of the epoch's order
    size_t start
    size_t count
    size_t n_read           # samples that have been read; for linear models only
    const void **rows
    char *targets
    char *weights


cdef struct Step:           # one update, or its part of one shard: each thread has its own copy
    size_t start            # first sample, a place in the epoch's order
    size_t n
    size_t index            # in the epoch, from 0; of a part, among all parts
    size_t shard            # of a part
    double scale            # factor of a sample's gradient in the batch's
    double scalars[FGD_MAX_SCALARS]
    double rate
    double l2               # factor of the weights in the gradient
    bint recorded           # whether the trace keeps this step
    size_t measured         # the first samples, whose gradient norms the trace averages
    size_t normed           # samples whose gradient norms are needed: these, or all
    double coefficients[FGD_MAX_COEFFICIENTS]


cdef struct Adjust:         # changes to a gradient before the update; 0: none
    double l1
    double l2
    bint summed             # the penalty is added to a batch's summed loss, not to its mean
    double clip_value
    double clip_norm
    double clip_sample
    double noise            # standard deviation of the noise added to the batch's sum


cdef struct Record:         # where an epoch's trace is written; NULL: not recorded
    size_t every            # record every so many steps, counted over all epochs
    size_t slot             # next element to write
    double *loss
    double *penalty         # the penalty's part of the loss
    double *norm            # of the batch's gradient
    double *squares         # mean squared norm of the samples' gradients
    char *params


cdef struct Pace:           # measured speed of one thread and of all threads
    double cost[2]          # seconds per sample; 0: not measured yet
    double next_trial       # when to measure the slower of the two again
    double gap              # seconds between trials


cdef struct Data:           # the user's arrays
    const char *X
    size_t n_samples
    size_t row_bytes        # as they are stored
    const fgd_storage *storage  # NULL: rows are read in place
    const void *mean        # of each column; NULL: rows are converted only
    const void *inverse_scale
    const char *y
    size_t target_bytes
    const char *sample_weight   # NULL: ones


cdef struct Sparse:         # rows of a sparse matrix
    fgd_csr csr             # without columns: the rows are not sparse
    bint direct             # the first layer reads stored elements; otherwise rows are made dense
    size_t value_bytes
    const char *zeros       # a row without stored elements, decoded


cdef struct Decoded:        # room for rows that are not read in place
    size_t n_rows           # 0: all are read in place
    size_t row_bytes
    char *values
    const void **rows


cdef struct Epoch:
    const void *order       # sample indices; NULL: the order of the rows
    size_t order_bytes      # bytes of an index
    size_t n_order
    size_t batch_size
    const int64_t *bounds   # where each batch begins and the last ends; NULL: batch_size each
    size_t n_steps
    size_t shards           # parts of each batch, whose gradients are added as a tree
    bint mean               # whether a batch's gradient is a mean, not a sum
    const double *rates     # learning rate of each step
    const double *scales    # factor of a sample's gradient in each step; NULL: the mean's or 1
    int64_t step            # optimizer steps before this call
    int64_t place           # samples of the epoch before this call
    bint begun              # an earlier call has made steps of the same epoch
    uint64_t seed           # dropout seed of this epoch


cdef struct Stretch:        # the steps that the threads are sent to run
    size_t start            # first sample, a place in the epoch's order
    size_t index            # first step
    size_t stop             # the step after the last


cdef struct Team:
    int most_threads
    int n_threads           # now
    fgd_barrier *barrier
    int spins               # at the barrier, before a thread yields its core
    size_t n_split          # leading layers that threads share by columns or segments


cdef struct Training:
    fgd_loss *loss
    fgd_stochastic *stochastic      # NULL: the run cannot use this kernel
    double ahead                    # room for one number of the computation's dtype
    const fgd_optimizer *optimizer  # NULL: compute the gradient only
    bint plain                      # it is SGD without momentum
    double hyperparameters[FGD_MAX_COEFFICIENTS]
    double scalars[FGD_MAX_SCALARS]     # at the start of the stretch


cdef struct Sums:           # sums of squares, one array for each use; NULL: not used
    size_t n                # elements of each array
    double *record          # of the batch's gradient
    double *clip            # of the adjusted gradient
    double *penalty         # of the weights


cdef struct Noise:          # of the current step; NULL: none
    char *packed            # n_packed
    char *flat              # the same, laid out as Network.params


cdef struct Samples:        # numbers for each sample of a chunk
    double *losses
    double *squares         # squared gradient norms
    double *square_parts    # two factors of one layer's share of them


cdef struct Blocks:         # fixed blocks of samples of a batch, for a linear model
    char *gradients
    double *losses
    double *squares         # sums of squared gradient norms


cdef struct Shards:         # what their parts of a batch add up to; NULL with one shard
    char *gradients         # a vector for each level of the tree
    double losses[64]
    double squares[64]


cdef struct Flags:          # on a cache line of their own, which most steps do not write to
    char padding[64]
    # written by the first thread, by the rule in _decide() of step_loop.pyx
    bint stopped
    bint paused             # the stretch takes too long: test whether fewer threads are faster
    # set by a signal; any thread may read it and drop its work
    bint interrupted
    char padding_after[64]


cdef struct Lead:           # read and written by the first thread only
    double step_loss
    double step_squares
    double loss_sum
    double unchecked_work   # multiply-adds since the last check for signals
    double untimed_work     # multiply-adds since the last reading of the clock
    double last_check
    double deadline
    size_t reached          # where the stretch ended: a sample, and a step
    size_t reached_index


cdef struct Host:           # calls back into Python, by the first thread only
    void *engine            # argument of both functions, which take the GIL
    bint (*fill_noise)(void *engine) noexcept nogil     # returns whether it succeeded
    bint (*signalled)(void *engine) noexcept nogil      # returns whether a signal handler raised
    bint check_signals
    const bint *told_to_stop        # flag that another thread sets; NULL: none


cdef struct Run:
    const fgd_kernels *kernels
    size_t itemsize
    # model
    bint linear             # one output and no hidden layer
    size_t n_layers
    Layer *layers
    size_t n_tiles
    Tile *tiles
    size_t n_params
    size_t n_packed         # elements of a packed parameter vector
    char *params
    char *gradient
    char *scratch           # a thread's room for a tile's gradient that need not be kept
    size_t scratch_bytes
    char *moments           # one after the other, n_packed elements each
    # workspace
    size_t chunk            # the most samples that it holds
    Window *windows         # one for each thread
    Decoded decoded
    Sparse sparse
    Samples samples
    Blocks blocks
    Shards shards
    Sums sums
    Noise noise
    Data data
    Epoch epoch
    Stretch stretch
    Training training
    Adjust adjust
    Record record
    Pace pace
    Team team
    Flags flags
    Lead lead
    Host host


# Sizes of chunks, and of blocks of samples in a linear model. They determine the order of sums, so
# they must not depend on the level or the number of threads.
cdef enum:
    MAX_CHUNK = 256
    MIN_CHUNK = 64
    CHUNK_ELEMENTS = 1 << 18    # outputs in a chunk, or half the number of weights if that is more
    BLOCK = 32
    MAX_BLOCKS = 64
    SUM_ROWS = 16           # rows of weights in one sum of squares: divides every tile's rows
    SUM_COLUMNS = 8         # the same for a layer of one output, whose weights are one vector
    FEW_OUTPUTS = 12        # a single layer of at most so many outputs computes dot products,
    LEAST_SEGMENT = 128     # with at least so many inputs in each segment
    MAX_SEGMENTS = 4
    LEAST_SKEWED = 512      # bytes of a row
    DECODED_BYTES = 1 << 22     # of decoded rows, for all threads together
    DECODED_AT_ONCE = 1 << 15   # the same for a thread of a linear model: they stay in its cache
    UNTIMED = 100000        # approximate multiply-adds between two readings of the clock
    LEAST_MEASURED = 8      # samples of a batch whose norms a trace averages, or a quarter


@cython.cdivision(True)
cdef inline size_t _round_up(size_t n, size_t multiple) noexcept nogil:
    return (n + multiple - 1) / multiple * multiple


cdef inline size_t _min(size_t a, size_t b) noexcept nogil:
    return a if a < b else b


@cython.cdivision(True)
cdef inline size_t segment_start(const Run *run, const Layer *layer, size_t s) noexcept nogil:
    """Return the first input of segment number s, a multiple of 64 bytes into the row."""
    cdef size_t line = 64 / run.itemsize
    return s * ((layer.n_in + line - 1) / line) / layer.n_segments * line


@cython.cdivision(True)
cdef inline size_t share_of(const Run *run, size_t n) noexcept nogil:
    """Return each thread's number of n samples: contiguous ones, in whole tiles of rows."""
    return _round_up((n + run.team.n_threads - 1) / <size_t> run.team.n_threads, 8)


cdef inline void poll_signals(Run *run, size_t n) noexcept nogil:
    """Call poll_signals_after() with the work of n samples in all layers."""
    poll_signals_after(run, <double> n * <double> run.n_packed)


cdef inline void poll_signals_after(Run *run, double work) noexcept nogil:
    """Count multiply-adds, and check about every 20 ms for a signal (Ctrl-C) or for another
    thread's request to stop."""
    cdef double now
    run.lead.unchecked_work += work
    run.lead.untimed_work += work
    if run.lead.unchecked_work < 1e6:
        return
    run.lead.unchecked_work = 0
    if run.host.told_to_stop != NULL and FGD_FLAG(run.host.told_to_stop[0]):
        FGD_RAISE_FLAG(run.flags.interrupted)
    if not run.host.check_signals:
        return
    now = fgd_seconds()
    if now - run.lead.last_check > 0.02:
        run.lead.last_check = now
        if run.host.signalled(run.host.engine):
            FGD_RAISE_FLAG(run.flags.interrupted)
