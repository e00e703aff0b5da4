"""What a run knows: the structs and constants that all modules of the engine share.

_workspace.pyx fills them, _engine.pyx sends threads through _step_loop.pyx, for steps, or through
_evaluation.pyx. Both walk the data in _windows.pyx and the model in _layers.pyx.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fastgd.engine.kernels cimport (
    FGD_MAX_COEFFICIENTS,
    FGD_MAX_SCALARS,
    fgd_activation,
    fgd_kernels,
    fgd_loss,
    fgd_optimizer,
    fgd_stochastic,
)


cdef extern from *:
    """
    #include <time.h>
    #define FGD_PREFETCH(place) __builtin_prefetch(place, 0, 2)
    #define FGD_RAISE_FLAG(flag) __atomic_store_n(&(flag), 1, __ATOMIC_RELAXED)
    #define FGD_FLAG(flag) __atomic_load_n(&(flag), __ATOMIC_RELAXED)
    static inline double fgd_seconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    """
    void FGD_PREFETCH(const void *place) noexcept nogil
    void FGD_RAISE_FLAG(bint flag) noexcept nogil
    bint FGD_FLAG(bint flag) noexcept nogil
    double fgd_seconds() noexcept nogil


cdef extern from "barrier.h" nogil:
    ctypedef struct fgd_barrier:
        pass
    void fgd_meet(fgd_barrier *barrier, unsigned n, int spins) noexcept


ctypedef fused Item:        # what is only copied, by its size
    int32_t
    int64_t


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
    bint padded             # some elements, between or behind the others, stay zero
    size_t sums             # into a vector of sums of squares


cdef struct Window:         # a thread's view of a stretch of the epoch's order
    size_t start
    size_t count
    size_t n_read           # of a linear model's: how many of its samples are behind
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
    char *scratch           # a thread's room for a tile's gradient, where it need not be kept
    size_t scratch_bytes
    char *moments           # one behind the other, of n_packed elements each
    size_t chunk            # most samples that the workspace holds
    double *values          # chunk: the samples' losses
    int most_threads
    int n_threads           # now
    fgd_barrier *barrier
    int spins               # at the barrier, before a thread gives its core away
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
    size_t n_split          # layers shared out by columns or segments, not samples: the first
    # what the first thread tells the others, by the rule that stands at _decide() in
    # _step_loop.pyx; on a cache line that is not written to in most steps
    char apart[64]
    bint stopped
    bint paused             # the stretch takes too long: see whether fewer threads are faster
    # a signal came: any thread may look, to give up work that is in vain
    bint interrupted
    # the first thread's own
    char behind[64]
    double step_loss
    double step_squares
    double loss_sum
    size_t n_params
    void *engine            # handed to these two, which take the GIL
    bint (*fill_noise)(void *engine) noexcept nogil     # whether that worked
    bint (*signalled)(void *engine) noexcept nogil      # whether a signal's handler raised
    bint check_signals
    const bint *told_to_stop        # by another thread; NULL: by none
    double unchecked_work
    double untimed_work
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
    CHUNK_ELEMENTS = 1 << 18    # of outputs, in a chunk; or half as many as there are weights
    BLOCK = 32
    MAX_BLOCKS = 64
    SUM_ROWS = 16           # rows of weights in one sum of squares: divides every tile's
    SUM_COLUMNS = 8         # the same for a layer of one output, whose weights are one vector
    FEW_OUTPUTS = 12        # of a layer whose outputs are dot products, one layer and no more,
    LEAST_SEGMENT = 128     # and how many inputs it has at least, in each of its segments
    MAX_SEGMENTS = 4
    LEAST_SKEWED = 512      # bytes of a row
    UNTIMED = 100000        # multiply-adds or so, between two looks at the clock
    LEAST_MEASURED = 8      # samples of a batch whose squares a trace takes, or a quarter


@cython.cdivision(True)
cdef inline size_t _round_up(size_t n, size_t multiple) noexcept nogil:
    return (n + multiple - 1) / multiple * multiple


cdef inline size_t _min(size_t a, size_t b) noexcept nogil:
    return a if a < b else b


@cython.cdivision(True)
cdef inline size_t segment_start(const Run *run, const Layer *layer, size_t s) noexcept nogil:
    """Return the first input of segment number s: where 64 bytes of a row begin."""
    cdef size_t line = 64 / run.itemsize
    return s * ((layer.n_in + line - 1) / line) / layer.n_segments * line


@cython.cdivision(True)
cdef inline size_t share_of(const Run *run, size_t n) noexcept nogil:
    """Return how many of n samples are each thread's: neighbours, and whole tiles of rows."""
    return _round_up((n + run.n_threads - 1) / <size_t> run.n_threads, 8)


cdef inline void poll_signals(Run *run, size_t n) noexcept nogil:
    """Count n samples' way through all layers as work done; see poll_signals_after()."""
    poll_signals_after(run, <double> n * <double> run.n_packed)


cdef inline void poll_signals_after(Run *run, double work) noexcept nogil:
    """Look for a signal (Ctrl-C), or for another thread's wish, once enough multiply-adds were
    done: every 20 ms or so."""
    cdef double now
    run.unchecked_work += work
    run.untimed_work += work
    if run.unchecked_work < 1e6:
        return
    run.unchecked_work = 0
    if run.told_to_stop != NULL and FGD_FLAG(run.told_to_stop[0]):
        FGD_RAISE_FLAG(run.interrupted)
    if not run.check_signals:
        return
    now = fgd_seconds()
    if now - run.last_check > 0.02:
        run.last_check = now
        if run.signalled(run.engine):
            FGD_RAISE_FLAG(run.interrupted)
