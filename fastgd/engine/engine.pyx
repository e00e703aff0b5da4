# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The compiled backend's engine: runs on a workspace, and the choice of the number of threads.

workspace.pyx allocates the memory, step_loop.pyx makes the steps, and src_c/ has the arithmetic.
"""

from libc.math cimport INFINITY, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from fastgd.engine.evaluation cimport write_outputs, write_sample_gradients, write_sample_norms
from fastgd.engine.kernels cimport _place, _room
from fastgd.engine.packing cimport convert, inner, transpose_all, unpack
from fastgd.engine.run cimport Pace, Record, Run, _min, fgd_seconds
from fastgd.engine.side_by_side cimport Stop, current_stop
from fastgd.engine.step_loop cimport is_stochastic, run_steps
from fastgd.engine.workspace cimport Workspace

import threading

from fastgd.engine import limits
from fastgd.engine.kernels import LEVEL, compiled_levels, levels, pin
from fastgd.engine.side_by_side import Stopped


cdef extern from "pool.h" nogil:
    const bint FGD_THREADS
    ctypedef struct fgd_team:
        int n_threads
    ctypedef void fgd_task(void *context, int thread) noexcept nogil
    void fgd_gather(fgd_team *team, int n) noexcept
    void fgd_run(fgd_team *team, fgd_task *task, void *context) noexcept
    int fgd_cores() noexcept
    int fastgd_get_max_threads() noexcept
    void fastgd_set_max_threads(int n) noexcept


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef int CORES = fgd_cores()

fastgd_set_max_threads(limits.from_environment(CORES))


def max_threads():
    """Return the most threads that a run would take now (1 in a build without threads)."""
    return fastgd_get_max_threads()


def config():
    """Return the features of the build and the choices of this process, as a dict."""
    return {
        "instruction level": LEVEL,
        "instruction levels supported": levels(),
        "instruction levels compiled in": compiled_levels(),
        "threads compiled in": FGD_THREADS != 0,
        "threads": max_threads(),
    }


cdef enum:                  # tasks of the threads
    WAKE
    STEPS
    OUTPUTS
    SAMPLE_NORMS
    SAMPLE_GRADIENTS

# How many times a waiting thread checks the barrier before it yields its core to other processes:
# about 20 microseconds. 0 where there are more threads than cores.
cdef int SPINS = 1024

# How the engine measures whether threads are faster, in seconds.
cdef double SHORTEST_STEP = 8e-7    # shorter steps run on one thread
cdef double LONG_STEP = 5e-4        # longer work does not begin on one thread
cdef double TRIAL = 2e-3            # length of a stretch of steps that is a trial
cdef double STRETCH = 2e-2          # length of other stretches
cdef double PATIENCE = 3            # a stretch may take this many times its expected length
cdef double FIRST_GAP = 2e-2        # time between trials, which doubles
cdef double LAST_GAP = 1.0
# Outputs are computed on all threads from this many parameters times samples.
cdef double MIN_PARALLEL_WORK = 1e7


cdef struct Task:
    void *engine
    int what
    char *out


cdef void _do(void *context, int thread) noexcept nogil:
    cdef Task *task = <Task *> context
    (<Engine> task.engine)._work(thread, task.what, task.out)


cdef bint _fill_noise(void *engine) noexcept nogil:
    with gil:
        return (<Engine> engine).fill_noise()


cdef bint _signalled(void *engine) noexcept nogil:
    with gil:
        return (<Engine> engine).signalled()


cdef class Engine(Workspace):
    """A workspace, and the runs of an epoch on it.

    Attributes
    ----------
    all_threads : bool
        Whether to always use all threads, even where one is faster: for tests.
    steps : int
        The number of steps of the last epoch.
    loss : float
        The sum of the samples' losses at the last gradient.
    """

    cdef public bint all_threads
    cdef readonly Py_ssize_t steps
    cdef readonly double loss
    cdef object _signal
    cdef list _recorded     # pins the arrays that records are written to
    cdef Stop _stop
    cdef size_t _shards     # of the memory for their gradients

    def __cinit__(self):
        cdef Run *run = &self.run
        run.host.engine = <void *> self
        run.host.fill_noise, run.host.signalled = _fill_noise, _signalled
        run.epoch.shards = 1

    def epoch(self, order, size_t batch_size, str reduction, rates, *, bounds=None, scales=None,
              size_t shards=1, steps=None, int64_t step=0, int64_t place=0, double total=0,
              bint begun=False, uint64_t seed=0, size_t record_every=0,
              loss=None, penalty=None, gradient_norm=None, sample_squares=None, params=None):
        """Run the steps of one epoch, or some of them; return the sum of the samples' losses.

        Parameters
        ----------
        order : ndarray of uint32 or int64, or None
            The samples in the order of their use; None takes all in the order of the rows.
        batch_size : int
            Samples per step.
        reduction : {"mean", "sum"}
            How the samples of a batch make one gradient.
        rates : ndarray of float64, or None
            Each step's learning rate; None computes the gradient only.
        bounds : ndarray of int64, or None
            Where in the order each batch begins, and where the last ends; the mean then divides
            by batch_size, whatever the size of the batch.
        scales : ndarray of float64, or None
            The factor of the samples' gradients in each step, in place of the mean's.
        shards : int
            Parts of each batch, whose gradients are added as a tree; not with `bounds`.
        steps : int, optional
            Make only this many steps; the order's samples after them are only looked at.
        step : int
            The number of the optimizer's steps before this call.
        place : int
            The number of the epoch's samples before this call, which dropout counts with.
        total : float
            The sum of their losses.
        begun : bool
            Whether an earlier call has made steps of the same epoch.
        seed : int
            The seed of dropout.
        record_every : int
            Record every so many steps, counted over all epochs; 0 for none.
        loss, penalty, gradient_norm, sample_squares, params : ndarray or None
            Where to write each recorded step's mean loss, the penalty's part of it, its
            gradient's norm, the mean squared norm of its samples' gradients, and the parameters
            after it.

        Returns
        -------
        float
            The sum, with `total`; not finite if the run diverged.

        Raises
        ------
        KeyboardInterrupt
            Or whatever else a signal handler raises.
        """
        cdef Run *run = &self.run
        cdef size_t size
        self._check_data()
        self._set_order(order)
        if bounds is None:
            run.epoch.bounds = NULL
            run.epoch.n_steps = (run.epoch.n_order + batch_size - 1) / batch_size
        else:
            self._set_bounds(bounds)
        if steps is not None:
            if not 0 <= steps <= run.epoch.n_steps:
                raise ValueError(f"the order has {run.epoch.n_steps} steps, not {steps}")
            run.epoch.n_steps = steps
        self._set_shards(shards)
        self.steps = run.epoch.n_steps
        size = run.epoch.n_steps * sizeof(double)
        run.epoch.batch_size = batch_size
        run.epoch.mean = reduction == "mean"
        run.epoch.rates = NULL if rates is None else <double *> _place(rates, size, "rates")
        run.epoch.scales = NULL if scales is None else <double *> _place(scales, size, "scales")
        if step < 0:
            raise ValueError(f"the optimizer's step is {step}, but must be at least 0")
        run.epoch.step, run.epoch.place, run.epoch.begun = step, place, begun
        run.epoch.seed = seed
        self._set_record(record_every, loss, penalty, gradient_norm, sample_squares, params)
        run.lead.step_loss = run.lead.step_squares = 0
        run.lead.loss_sum = total
        run.stretch.start = run.stretch.index = 0
        self._begin()
        with nogil:
            while run.stretch.index < run.epoch.n_steps and not run.flags.stopped:
                self._stretch()
        self._end()
        return run.lead.loss_sum

    @property
    def ahead(self):
        """What the kernel for single samples carries from one step to the next."""
        if self.run.itemsize == 4:
            return (<float *> &self.run.training.ahead)[0]
        return self.run.training.ahead

    @ahead.setter
    def ahead(self, double value):
        if self.run.itemsize == 4:
            (<float *> &self.run.training.ahead)[0] = <float> value
        else:
            self.run.training.ahead = value

    cdef int _set_shards(self, size_t shards) except -1:
        """Set the number of shards, and take memory for their gradients."""
        cdef Run *run = &self.run
        cdef size_t depth = int(shards - 1).bit_length() + 1
        if shards > 1 and run.epoch.bounds != NULL:
            raise ValueError("batches with bounds cannot be cut into shards")
        if shards > 1 and run.shards.gradients == NULL:
            run.shards.gradients = <char *> self.take(depth * run.n_packed, run.itemsize)
            self._shards = shards
        if shards > 1 and shards != self._shards:
            raise ValueError(f"the number of shards was {self._shards}, and is now {shards}")
        run.epoch.shards = shards
        return 0

    cdef int _set_order(self, order) except -1:
        """Set the samples' order; the caller has checked its indices."""
        cdef Run *run = &self.run
        if order is None:
            run.epoch.order, run.epoch.order_bytes, run.epoch.n_order = NULL, 0, run.data.n_samples
            return 0
        run.epoch.order_bytes, run.epoch.n_order = 4 if order.itemsize == 4 else 8, len(order)
        run.epoch.order = _place(order, run.epoch.n_order * run.epoch.order_bytes, "order")
        return 0

    cdef int _set_bounds(self, bounds) except -1:
        """Set the places in the order where batches begin."""
        cdef Run *run = &self.run
        cdef size_t n = len(bounds), k
        cdef const int64_t *ends = <const int64_t *> _place(bounds, n * sizeof(int64_t), "bounds")
        if n == 0 or ends[0] < 0 or ends[n - 1] > <int64_t> run.epoch.n_order:
            raise ValueError("bounds must lie in the order")
        for k in range(1, n):
            if ends[k] < ends[k - 1]:
                raise ValueError("bounds must not fall")
        run.epoch.bounds, run.epoch.n_steps = ends, n - 1
        return 0

    cdef int _set_record(
        self, size_t every, loss, penalty, gradient_norm, sample_squares, params
    ) except -1:
        """Set where the epoch's trace is written, and check that there is room for it."""
        cdef Run *run = &self.run
        cdef Record *record = &run.record
        cdef size_t kept, size
        memset(record, 0, sizeof(Record))
        record.every = every
        if every == 0:
            return 0
        kept = (run.epoch.step + run.epoch.n_steps) / every - run.epoch.step / every
        size = kept * sizeof(double)
        self._recorded = [pin(x) for x in (loss, penalty, gradient_norm, sample_squares, params)]
        if loss is not None:
            record.loss = <double *> _room(loss, size, "loss")
        if penalty is not None:
            record.penalty = <double *> _room(penalty, size, "penalty")
        if params is not None:
            record.params = _room(params, kept * run.n_params * run.itemsize, "params")
        if gradient_norm is not None:
            record.norm = <double *> _room(gradient_norm, size, "gradient_norm")
            if run.sums.record == NULL:
                run.sums.record = <double *> self.take(run.sums.n, sizeof(double))
        if sample_squares is not None:
            record.squares = <double *> _room(sample_squares, size, "sample_squares")
            run.training.stochastic = NULL
        return 0

    def gradient(self, out, str reduction, order=None):
        """Write the flat gradient over samples (None: all) at the loaded parameters.

        `loss` is then the sum of their losses.
        """
        cdef Run *run = &self.run
        cdef char *room = _room(out, run.n_params * run.itemsize, "out")
        run.training.optimizer = NULL
        run.training.stochastic = NULL
        n = run.data.n_samples if order is None else len(order)
        self.loss = self.epoch(order, n, reduction, None)
        unpack(run, run.gradient, room)
        return out

    def curvatures(self, params, mean, order, bounds, double reach, out):
        """Write v' H v, the loss's curvature along directions v, one for each stretch of samples.

        H is the Hessian over the samples of the stretch, by central differences of the gradient.
        The first direction is the mean gradient. Each further one is the noise in the previous
        stretch: its gradient minus the mean, times the square root of its length, which has the
        covariance of single samples' gradients.

        Parameters
        ----------
        params : ndarray of shape (n_params,)
            The parameters, laid out as Network.params.
        mean : ndarray of shape (n_params,)
            The mean gradient at the parameters, in the same dtype.
        order : ndarray of uint32 or int64
            The stretches' samples.
        bounds : ndarray of int64, of shape (stretches + 1,)
            Where in the order each stretch begins, and the last ends.
        reach : float
            The distance from the parameters at which gradients are computed, in both directions.
        out : ndarray of float64, of shape (stretches,)
            Where the curvatures are written.
        """
        cdef Run *run = &self.run
        cdef const char *samples
        cdef const int64_t *ends
        cdef double *found
        cdef double length, step
        cdef size_t k, n, stretches, bytes_each = run.n_packed * run.itemsize
        cdef size_t size = run.n_params * run.itemsize
        self._check_data()
        self._set_order(order)
        self._set_bounds(bounds)
        samples, ends = <const char *> run.epoch.order, run.epoch.bounds
        stretches = run.epoch.n_steps
        found = <double *> _room(out, stretches * sizeof(double), "out")
        cdef char *base = <char *> self.take(run.n_packed, run.itemsize)
        cdef char *centre = <char *> self.take(run.n_packed, run.itemsize)
        cdef char *direction = <char *> self.take(run.n_packed, run.itemsize)
        cdef char *change = <char *> self.take(run.n_packed, run.itemsize)
        cdef char *flat_x = <char *> self.take(run.n_params, run.itemsize)
        cdef char *flat_y = <char *> self.take(run.n_params, run.itemsize)
        convert(run, base, _place(params, size, "params"), True)
        convert(run, centre, _place(mean, size, "mean"), True)
        run.training.optimizer, run.training.stochastic = NULL, NULL
        run.epoch.bounds, run.epoch.scales, run.epoch.mean = NULL, NULL, True
        memset(&run.record, 0, sizeof(Record))
        self._begin()
        with nogil:
            memcpy(direction, centre, bytes_each)
            for k in range(stretches):
                n = ends[k + 1] - ends[k]
                run.epoch.order = samples + ends[k] * run.epoch.order_bytes
                run.epoch.n_order = run.epoch.batch_size = n
                length = sqrt(inner(run, direction, direction, flat_x, flat_y))
                step = reach / length if length > 0 else 0
                self._gradient_at_step(base, direction, step)
                memcpy(change, run.gradient, bytes_each)
                self._gradient_at_step(base, direction, -step)
                run.kernels.add_scaled(run.n_packed, change, run.gradient, -1)
                found[k] = inner(run, change, direction, flat_x, flat_y) * length / (2 * reach)
                run.kernels.add_scaled(run.n_packed, change, run.gradient, 2)
                run.kernels.scale(run.n_packed, change, 0.5)  # the gradient in the middle
                run.kernels.add_scaled(run.n_packed, change, centre, -1)
                run.kernels.scale(run.n_packed, change, sqrt(<double> n))
                direction, change = change, direction
                if run.flags.interrupted:
                    break
        self._end()

    cdef void _gradient_at_step(
        self, const char *base, const char *direction, double step
    ) noexcept nogil:
        """Compute the gradient over the order's samples at base + step * direction."""
        cdef Run *run = &self.run
        cdef size_t t
        memcpy(run.params, base, run.n_packed * run.itemsize)
        run.kernels.add_scaled(run.n_packed, run.params, direction, step)
        transpose_all(run)
        for t in range(run.team.most_threads):
            run.windows[t].count = 0
        run.epoch.n_steps, run.stretch.start, run.stretch.index, run.flags.stopped = 1, 0, 0, False
        run.lead.loss_sum = run.lead.step_loss = run.lead.step_squares = 0
        while run.stretch.index < run.epoch.n_steps and not run.flags.stopped:
            self._stretch()

    def sample_gradients(self, out):
        """Write each sample's gradient, at the loaded parameters, into a row of an array."""
        cdef size_t size = self.run.data.n_samples * self.run.n_params * self.run.itemsize
        self._over_samples(SAMPLE_GRADIENTS, _room(out, size, "out"))
        return out

    def sample_norms(self, out):
        """Write the norm of each sample's gradient, at the loaded parameters, as float64."""
        cdef size_t size = self.run.data.n_samples * sizeof(double)
        self._over_samples(SAMPLE_NORMS, _room(out, size, "out"))
        return out

    def outputs(self, out):
        """Write the raw outputs of all samples into a C-contiguous array."""
        cdef size_t width = self._sizes[self.run.n_layers] * self.run.itemsize
        self._over_samples(OUTPUTS, _room(out, self.run.data.n_samples * width, "out"))
        return out

    cdef int _over_samples(self, int what, char *out) except -1:
        """Write a result for each sample, on all threads if there is enough work."""
        cdef Run *run = &self.run
        cdef bint large = <double> run.epoch.n_order * run.n_params > MIN_PARALLEL_WORK
        self._check_data()
        self._begin()
        with nogil:
            self._send(run.team.most_threads if large or self.all_threads else 1, what, out)
        self._end()
        return 0

    cdef int _begin(self) except -1:
        """Prepare a run without the GIL."""
        cdef Run *run = &self.run
        cdef size_t t
        for t in range(run.team.most_threads):
            run.windows[t].start = run.windows[t].count = 0
        run.flags.stopped = run.flags.interrupted = False
        self._stop = current_stop()
        run.host.told_to_stop = NULL if self._stop is None else &self._stop.raised
        run.lead.unchecked_work = 0
        run.lead.last_check = fgd_seconds()
        run.host.check_signals = threading.current_thread() is threading.main_thread()
        return 0

    cdef int _end(self) except -1:
        """Raise the exception that ended the run, if any: a signal handler's, or `Stopped`."""
        if self._signal is not None:
            error, self._signal = self._signal, None
            raise error
        if self.run.flags.interrupted:
            raise Stopped
        return 0

    cdef void _stretch(self) noexcept nogil:
        """Run a stretch of steps on one thread or on all, whichever is faster now.

        The bits do not depend on the choice, so both are timed during the run, and the slower one
        is tried again from time to time: other processes may start or end.
        """
        cdef Run *run = &self.run
        cdef Pace *pace = &run.pace
        cdef double step = <double> max(<size_t> 1, _min(run.epoch.batch_size, run.epoch.n_order))
        cdef double guess = 6e-11 * run.n_params, begun = fgd_seconds(), now, cost, seconds
        cdef double known = pace.cost[0] if pace.cost[0] > 0 else guess
        cdef bint trial = False
        cdef int choice = 0
        cdef size_t steps
        if is_stochastic(run):
            choice = 0
        elif self.all_threads:
            choice = 1
        elif run.team.most_threads == 1 or known * step < SHORTEST_STEP:
            choice = 0
        elif pace.cost[0] == 0 and guess * step < LONG_STEP:
            trial = True
        elif pace.cost[1] == 0:
            choice = known * step * <double> (run.epoch.n_steps - run.stretch.index) > LONG_STEP
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
        run.stretch.stop = run.stretch.index + _min(steps, run.epoch.n_steps - run.stretch.index)
        run.flags.paused = False
        if trial and choice == 1:  # start the threads before the clock: startup is not measured
            self._send(run.team.most_threads, WAKE, NULL)
        now = fgd_seconds()
        # If another process takes a thread's core, all threads wait at every barrier.
        run.lead.deadline = INFINITY if self.all_threads else (
            now + PATIENCE * (steps * step * known + SHORTEST_STEP)
        )
        self._send(run.team.most_threads if choice else 1, STEPS, NULL)
        seconds = fgd_seconds() - now
        steps = max(<size_t> 1, run.lead.reached_index - run.stretch.index)
        cost = seconds / (step * <double> steps)
        pace.cost[choice] = cost if trial or pace.cost[choice] == 0 or run.flags.paused else (
            0.5 * (cost + pace.cost[choice])
        )
        if trial:
            pace.gap = max(FIRST_GAP, min(2 * pace.gap, LAST_GAP))
            # no trial, however slow, may cost more than a twentieth of the time, except the first,
            # which may have run while threads of another library were still spinning
            now += seconds
            pace.next_trial = now + max(
                pace.gap, (20 if pace.gap > 2 * FIRST_GAP else 2) * (now - begun)
            )
        run.stretch.start, run.stretch.index = run.lead.reached, run.lead.reached_index

    cdef size_t _split_layers(self, int threads) noexcept nogil:
        """Return how many of the first layers threads share by columns or segments.

        With shared columns, each thread's weights stay in its cache from step to step, and outputs
        and deltas of the chunk move between cores; with shared samples, the weights move instead.
        """
        cdef Run *run = &self.run
        cdef size_t depth = 0
        if threads == 1 or run.sparse.direct:
            return 0
        if run.n_layers == 1:
            return run.layers[0].n_segments >= <size_t> threads
        while depth < run.n_layers - 1 and run.layers[depth].ld >= run.kernels.panel * threads:
            depth += 1
        return depth

    cdef void _send(self, int threads, int what, char *out) noexcept nogil:
        """Let the threads run the stretch, or write a result for all samples."""
        cdef fgd_team team
        cdef Task task
        fgd_gather(&team, threads)
        self._divide_work(team.n_threads)
        task.engine, task.what, task.out = <void *> self, what, out
        fgd_run(&team, _do, &task)

    cdef void _divide_work(self, int threads) noexcept nogil:
        """Divide the work among a team of threads."""
        self.run.team.n_threads = threads
        self.run.team.n_split = self._split_layers(threads)
        if threads > 1:
            self.run.team.spins = SPINS if threads <= CORES else 0

    cdef void _work(self, int thread, int what, char *out) noexcept nogil:
        if what == WAKE:
            return
        if what == STEPS:
            run_steps(&self.run, thread)
        elif what == OUTPUTS:
            write_outputs(&self.run, thread, out)
        elif what == SAMPLE_NORMS:
            write_sample_norms(&self.run, thread, <double *> out)
        else:
            write_sample_gradients(&self.run, thread, out)

    cdef bint fill_noise(self) noexcept:
        """Draw the noise of one step; return whether that succeeded."""
        cdef size_t size = self.run.n_params * self.run.itemsize
        try:
            self._rng.standard_normal(out=self._drawn, dtype=self._drawn.dtype)
            self.run.noise.flat = _room(self._drawn, size, "out")  # user code may draw it
        except BaseException as error:
            self._signal = error
            return False
        return True

    cdef bint signalled(self) noexcept:
        """Return whether a signal handler raised; keep its exception for the caller."""
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            self._signal = error
            return True
        return False
