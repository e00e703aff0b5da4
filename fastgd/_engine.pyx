# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The compiled backend's engine: the workspace of a run, and how many threads make its steps.

What happens in a step stands in _run.pyx, arithmetic in src_c/, checks of user input in
_validation.py.
"""

from cython.parallel cimport parallel, threadid
from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from fastgd._kernels cimport FGD_AHEAD, _address, _is_double, _table
from fastgd._run cimport (
    Adjust,
    CHUNK_ELEMENTS,
    FEW_OUTPUTS,
    FGD_BARRIER,
    FGD_FLAG,
    FGD_OPENMP,
    FGD_RAISE_FLAG,
    LEAST_SEGMENT,
    LEAST_SKEWED,
    Layer,
    MAX_BLOCKS,
    MAX_CHUNK,
    MAX_SEGMENTS,
    MIN_CHUNK,
    Pace,
    Record,
    Run,
    SUM_COLUMNS,
    SUM_ROWS,
    Tile,
    Window,
    _min,
    _round_up,
    convert,
    fgd_barrier,
    fgd_seconds,
    inner,
    is_stochastic,
    omp_get_max_threads,
    omp_get_num_procs,
    omp_get_num_threads,
    run_steps,
    segment_start,
    transpose,
    unpack,
    write_outputs,
    write_sample_gradients,
)

import os
import threading

import numpy as np

from fastgd._kernels import LEVEL, compiled_levels, levels


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


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
        "instruction levels compiled in": compiled_levels(),
        "openmp": FGD_OPENMP != 0,
        "threads": max_threads(),
    }


cdef enum:                  # what the threads are sent to do
    WAKE
    STEPS
    OUTPUTS
    SAMPLE_NORMS
    SAMPLE_GRADIENTS

# How often a thread looks whether the others have come, some 20 microseconds long, before it lets
# other processes have its core; not at all where threads are more than cores.
cdef int LOOKS = 1024

# How the engine finds out whether threads pay, in seconds: steps too short to be shared,
# work too long to begin on one thread, a trial and an ordinary stretch of steps, how many times
# its expected length a stretch may take, and the time between trials, which doubles.
cdef double SHORTEST_STEP = 8e-7
cdef double LONG_STEP = 5e-4
cdef double TRIAL = 2e-3
cdef double STRETCH = 2e-2
cdef double PATIENCE = 3
cdef double FIRST_GAP = 2e-2
cdef double LAST_GAP = 1.0
# Parameters times samples from which the outputs are computed on all threads.
cdef double WORK_A_THREAD = 1e7


cdef bint _fill_noise(void *engine) noexcept nogil:
    with gil:
        return (<Engine> engine).fill_noise()


cdef bint _signalled(void *engine) noexcept nogil:
    with gil:
        return (<Engine> engine).signalled()


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
        run.fill_noise, run.signalled = _fill_noise, _signalled
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
        cdef size_t depth, offset = 0, elements = 0, weights = 0, room
        cdef Layer *layer
        run.layers = <Layer *> self._take(run.n_layers, sizeof(Layer))
        run.barrier = <fgd_barrier *> self._take(1, sizeof(fgd_barrier))
        for depth in range(run.n_layers):
            elements += self._sizes[depth + 1]
            weights += self._sizes[depth] * self._sizes[depth + 1]
        # each further chunk of a batch reads and writes the whole gradient again
        room = max(CHUNK_ELEMENTS, weights / 2)
        run.chunk = max(MIN_CHUNK, _min(MAX_CHUNK, room / elements / 64 * 64))
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
                    first, last = segment_start(run, layer, k), segment_start(run, layer, k + 1)
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
            run.scratch_bytes = max(run.scratch_bytes, run.tiles[k].count * size)
        run.scratch_bytes = _round_up(run.scratch_bytes, 128)
        run.scratch = <char *> self._take(run.most_threads, run.scratch_bytes)
        return 0

    cdef Tile _tile(self, size_t depth, size_t first, size_t last, size_t column, size_t width):
        """Return a tile with its places in the packed vectors and in the sums of squares."""
        cdef Run *run = &self.run
        cdef Layer *layer = &run.layers[depth]
        cdef Tile tile = Tile(
            depth, first, last, column, width, column / run.kernels.panel, 0, 0, 0,
            layer.ld == 1 or layer.n_segments > 0, 0
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
        convert(run, run.params, _address(params), True)
        if run.moments == NULL:
            run.moments = <char *> self._take(len(moments) * run.n_packed, run.itemsize)
        for place, moment in enumerate(moments):
            convert(run, self._moment(place), _address(moment), True)
        for t in range(run.n_tiles):
            if run.layers[run.tiles[t].layer].transposed != NULL:
                transpose(run, &run.layers[run.tiles[t].layer], &run.tiles[t])

    def load_scalars(self, scalars):
        """Take over the numbers of an optimizer's state that belong to no parameter."""
        for place, scalar in enumerate(scalars):
            self.run.scalars[place] = scalar

    cdef char *_moment(self, size_t place) noexcept:
        return self.run.moments + place * self.run.n_packed * self.run.itemsize

    def store(self, params):
        """Copy the parameters into a flat array."""
        unpack(&self.run, self.run.params, _address(params))

    def store_moments(self, moments):
        """Copy the optimizer's moments into flat arrays."""
        for place, moment in enumerate(moments):
            unpack(&self.run, self._moment(place), _address(moment))

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
        unpack(run, run.gradient, _address(out))
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
        convert(run, base, _address(params), True)
        convert(run, centre, _address(mean), True)
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
                length = sqrt(inner(run, direction, direction, flat_x, flat_y))
                step = reach / length if length > 0 else 0
                self._gradient_beside(base, direction, step)
                memcpy(change, run.gradient, bytes_each)
                self._gradient_beside(base, direction, -step)
                run.kernels.add_scaled(run.n_packed, change, run.gradient, -1)
                found[k] = inner(run, change, direction, flat_x, flat_y) * length / (2 * reach)
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
                transpose(run, &run.layers[run.tiles[t].layer], &run.tiles[t])
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
        if is_stochastic(run):
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

    cdef size_t _split_layers(self, int threads) noexcept nogil:
        """Return how many of the first layers are shared out by columns, or segments.

        Columns stay with their owner from step to step, where the weights would go from core to
        core if samples were shared; in exchange the chunk's outputs and deltas do.
        """
        cdef Run *run = &self.run
        cdef size_t depth = 0
        if threads == 1:
            return 0
        if run.n_layers == 1:
            return run.layers[0].n_segments >= <size_t> threads
        while depth < run.n_layers - 1 and run.layers[depth].ld >= run.kernels.panel * threads:
            depth += 1
        return depth

    cdef void _send(self, int threads, int what, char *out) noexcept nogil:
        """Let the threads run the stretch, or write something of all samples."""
        global _threads_started
        if threads == 1:
            self._share_out(1)
            self._work(0, what, out)
            return
        FGD_RAISE_FLAG(_threads_started)
        with parallel(num_threads=threads):
            if threadid() == 0:
                self._share_out(omp_get_num_threads())  # OpenMP may give fewer
            FGD_BARRIER()
            self._work(threadid(), what, out)

    cdef void _share_out(self, int threads) noexcept nogil:
        """Divide the work among a team of threads."""
        self.run.n_threads = threads
        self.run.n_split = self._split_layers(threads)
        if threads > 1:
            self.run.looks = LOOKS if threads <= omp_get_num_procs() else 0

    cdef void _work(self, int thread, int what, char *out) noexcept nogil:
        if what == WAKE:
            return
        if what == STEPS:
            run_steps(&self.run, thread)
        elif what == OUTPUTS:
            write_outputs(&self.run, thread, out)
        elif what == SAMPLE_NORMS:
            write_sample_gradients(&self.run, thread, NULL, <double *> out)
        else:
            write_sample_gradients(&self.run, thread, out, NULL)

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
