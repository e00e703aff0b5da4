# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Epochs of a linear model over dense or compressed rows: `Stepper`.

This module runs stretches of steps without the GIL, short enough that Ctrl-C is seen in between,
and shuffles samples as scikit-learn does. The arithmetic is in src_c/kernels/per_sample.inc.c and
softmax.inc.c.
"""

from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memset

from fastgd.engine.kernels cimport (
    FGD_FINISH,
    FGD_GIVEN_RATE,
    FGD_PASSIVE_AGGRESSIVE_1,
    FGD_PASSIVE_AGGRESSIVE_2,
    FGD_APPLY_L1,
    FGD_SHRINK,
    _address,
    _is_double,
    _place,
    _table,
    fgd_kernels,
    fgd_linear,
    fgd_rows,
)

import numpy as np

from fastgd.engine.kernels import LEVEL, MARGIN_LOSSES, pin


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef dict LOSSES = {name: i for i, name in enumerate(MARGIN_LOSSES)}
cdef dict RULES = {
    "given": FGD_GIVEN_RATE,
    "pa1": FGD_PASSIVE_AGGRESSIVE_1,
    "pa2": FGD_PASSIVE_AGGRESSIVE_2,
}

cdef enum:
    STRETCH = 1 << 20  # elements of rows that are walked without a look at signals
    PADDING = 16       # elements of a logical vector of float


def padded(Py_ssize_t n):
    """Return how many elements a vector of n weights needs in memory."""
    return (n + PADDING - 1) // PADDING * PADDING


def shuffle(order, uint32_t seed):
    """Exchange the samples of an order as scikit-learn's SGD estimators do before each epoch.

    The 32-bit xorshift generator (Marsaglia 2003, doi:10.18637/jss.v008.i14) with the shifts 13,
    17 and 5 draws the exchanges of a Fisher-Yates shuffle, each by a remainder.

    Parameters
    ----------
    order : ndarray of uint32
        Is changed in place.
    seed : int
        The generator's state; 0, which it could not leave, is taken for 1.
    """
    cdef uint32_t[::1] samples = order
    cdef uint32_t state = seed if seed else 1, held
    cdef Py_ssize_t n = samples.shape[0], i, j
    with nogil:
        for i in range(n - 1):
            state ^= state << 13
            state ^= state >> 17
            state ^= state << 5
            j = i + (state & 0x7FFFFFFF) % <uint32_t> (n - i)
            held = samples[i]
            samples[i] = samples[j]
            samples[j] = held


def margin_losses(str loss, double parameter, y, p, str level=LEVEL):
    """Return the kernels' losses and slopes at raw outputs p, two float64 arrays: for tests."""
    cdef const fgd_kernels *kernels = _table(level, True)
    y, p = (np.ascontiguousarray(a, np.float64) for a in (y, p))
    value, slope = np.empty_like(p), np.empty_like(p)
    kernels.margin_losses(
        LOSSES[loss], parameter, p.size, <const double *> _place(y, p.nbytes, "y"),
        <const double *> _address(p), <double *> _address(value), <double *> _address(slope),
    )
    return value, slope


cdef class Stepper:
    """A model and the data that it is trained on.

    Parameters
    ----------
    X : ndarray of shape (n, n_columns) or tuple
        C-contiguous rows, or (data, indices, indptr, n_columns) of a CSR matrix with int32
        indices.
    y : ndarray of shape (n,)
        Targets, in X's dtype: -1 and 1 for the margin losses, 0 to 1 for log_loss. For several
        outputs class indices in int32, or a matrix of probabilities in X's dtype.
    sample_weight : ndarray of shape (n,) or None
        In X's dtype.
    weights, average, paid : ndarray of shape (padded(n_columns),)
        In X's dtype, zeros in the padding; they are trained in place. `average` may be None, and
        `paid` too where l1 is 0.
    loss : str
        One of `fastgd.engine.kernels.MARGIN_LOSSES`.
    parameter : float
        Of the loss: epsilon, or the margin's threshold.
    l1, l2 : float
        Strengths of the penalties l1 |w| and l2 w^2 / 2.
    rule : {"given", "pa1", "pa2"}
        How long a step is: the given learning rate times the slope, or a passive-aggressive step,
        of which the given rate is the aggressiveness.
    intercept_rate : float
        The intercept's learning rate over the weights'; 0 leaves it alone.
    average_from : float
        The first step that the average counts.
    batch_size : int
        Samples a step.
    intercepts, average_intercepts : ndarray of shape (padded(n_outputs),), optional
        In X's dtype, zeros in the padding. With them the model has several outputs, their softmax
        and the cross-entropy; `weights`, `average` and `paid` then have the shape
        (n_columns, padded(n_outputs)), and the loss is "log_loss".
    n_outputs : int
        How many.
    level : str
        The instruction level.
    """

    cdef fgd_linear model
    cdef fgd_rows rows
    cdef const fgd_kernels *kernels
    cdef list _kept
    cdef double _row_elements
    cdef size_t _n_samples
    cdef object _far

    def __cinit__(
        self, X, y, sample_weight, weights, average, paid, *, str loss, double parameter,
        double l1, double l2, str rule, double intercept_rate, double average_from,
        Py_ssize_t batch_size, intercepts=None, average_intercepts=None, Py_ssize_t n_outputs=1,
        str level=LEVEL,
    ):
        cdef fgd_linear *model = &self.model
        cdef size_t item, width
        memset(model, 0, sizeof(fgd_linear))
        memset(&self.rows, 0, sizeof(fgd_rows))
        self.kernels = _table(level, _is_double(weights.dtype))
        self._kept = []
        self._n_samples = len(y)
        item = self.kernels.itemsize
        self._take_rows(X)
        width = padded(n_outputs) if intercepts is not None else 1
        model.n_weights = (
            padded(self.rows.n_columns) if intercepts is None else self.rows.n_columns * width
        )
        model.weights = self._take(weights, model.n_weights * item, "weights")
        if average is not None:
            model.average = self._take(average, model.n_weights * item, "average")
        if paid is not None:
            model.l1_applied = self._take(paid, model.n_weights * item, "paid")
        elif l1 != 0:
            raise ValueError("paid is needed where l1 is not 0")
        if sample_weight is not None:
            model.sample_weight = self._take(
                sample_weight, self._n_samples * item, "sample_weight"
            )
        model.scale = model.average_b = model.t = 1
        model.loss, model.parameter = LOSSES[loss], parameter
        model.l1, model.l2 = l1, l2
        model.intercept_rate, model.average_from = intercept_rate, average_from
        model.batch_size = batch_size
        model.rule = RULES[rule]
        if intercepts is None:
            model.targets = self._take(y, self._n_samples * item, "y")
        else:
            model.n_outputs, model.ld = n_outputs, width
            model.intercepts = self._take(intercepts, width * item, "intercepts")
            if average is not None:
                model.average_intercepts = self._take(
                    average_intercepts, width * item, "average_intercepts"
                )
            if y.ndim == 1:
                y = np.array(y, np.int32)  # nobody changes it behind the check
                if y.min(initial=0) < 0 or y.max(initial=0) >= n_outputs:
                    raise ValueError(f"y has classes that are not from 0 to {n_outputs - 1}")
                model.targets = self._take(y, y.nbytes, "y")
                model.classes = <const int32_t *> model.targets
            else:
                model.targets = self._take(y, self._n_samples * n_outputs * item, "y")
            self._row_elements *= model.ld
        self._far = np.empty(batch_size * max(1, model.ld), np.float64)

    cdef char *_take(self, array, size_t size, str what) except NULL:
        """Return where an array of exactly so many bytes begins, and keep it there."""
        self._kept += [array, pin(array)]
        return _place(array, size, what)

    cdef int _take_rows(self, X) except -1:
        """Take dense or compressed rows; whoever gives the latter has checked the indices."""
        cdef size_t item = self.kernels.itemsize, n = self._n_samples
        if not isinstance(X, tuple):
            if X.ndim != 2:
                raise ValueError(f"X must have two dimensions, not {X.ndim}")
            self.rows.n_columns = X.shape[1]
            self._row_elements = X.shape[1]
            self.rows.values = self._take(X, n * self.rows.n_columns * item, "X")
            return 0
        data, indices, indptr, n_columns = X
        self.rows.n_columns = n_columns
        self._row_elements = len(indices) / max(<size_t> 1, n)
        self.rows.values = self._take(data, len(indices) * item, "X's data")
        self.rows.columns = <const int32_t *> self._take(indices, len(indices) * 4, "X's indices")
        self.rows.starts = <const int32_t *> self._take(indptr, (n + 1) * 4, "X's indptr")
        return 0

    def numbers(self):
        """Return what changes beside the vectors, as `set_numbers` takes it."""
        cdef fgd_linear *m = &self.model
        return (m.intercept, m.average_intercept, m.average_a, m.average_b, m.l1_total, m.squares,
                m.sizes, m.t)

    def set_numbers(
        self, double intercept, double average_intercept, double average_a, double average_b,
        double owed, double squares, double sizes, double t,
    ):
        """Set what changes beside the vectors.

        Parameters
        ----------
        intercept, average_intercept : float
            Now, and on average.
        average_a, average_b : float
            The averaged weights are (average + average_a * weights) / average_b.
        owed : float
            To L1, by a weight that every step had met.
        squares, sizes : float
            Sums of w^2 and of |w| over the weights that the last step met.
        t : float
            The number of the next step, from 1.
        """
        cdef fgd_linear *m = &self.model
        m.intercept, m.average_intercept = intercept, average_intercept
        m.average_a, m.average_b = average_a, average_b
        m.l1_total, m.squares, m.sizes, m.t = owed, squares, sizes, t

    @property
    def intercept(self):
        return self.model.intercept

    @property
    def average_intercept(self):
        return self.model.average_intercept

    @property
    def t(self):
        return self.model.t

    @property
    def norm(self):
        """Of the weights that the last step met."""
        return self.model.squares ** 0.5

    def epoch(self, order, rates, stop=None):
        """Run one epoch of steps.

        Parameters
        ----------
        order : ndarray of uint32
            The samples, in the order of their use.
        rates : ndarray of float64
            The learning rate of each step.
        stop : callable, optional
            Is asked between stretches whether to give up.

        Returns
        -------
        loss, penalty : float
            Their sums over the samples, as the steps saw them.
        finite : bool
            Whether the parameters still are finite.

        Raises
        ------
        KeyboardInterrupt
            Or whatever else a signal handler raises, or `InterruptedError` when told to stop.
        """
        cdef fgd_linear *model = &self.model
        cdef size_t n = len(order), start = 0, count, batch = model.batch_size
        cdef size_t n_steps = (n + batch - 1) // batch
        cdef size_t most = <size_t> max(1.0, STRETCH / ((self._row_elements + 32) * batch))
        cdef const uint32_t *samples = self._samples(order, n)
        cdef const double *rate = <const double *> _place(rates, n_steps * sizeof(double), "rates")
        cdef void *far = _address(self._far)
        cdef bint finite
        _held = pin(order), pin(rates)  # until this returns
        most = min(most, <size_t> 1 << 14, n_steps)
        model.loss_sum = model.penalty_sum = 0
        while start < n:
            count = min(most * batch, n - start)
            if most == 1 and self._row_elements * count > STRETCH:
                self._large_step(samples + start, count, rate[start // batch], stop)
            else:
                with nogil:
                    if model.intercepts == NULL:
                        self.kernels.per_sample(
                            count, samples + start, rate + start // batch, &self.rows, model, far
                        )
                    else:
                        self.kernels.softmax_steps(
                            count, samples + start, rate + start // batch, &self.rows, model, far
                        )
            start += count
            if start < n:
                self._poll_signals(stop)
        with nogil:
            self.kernels.settle(model)
            finite = (
                self.kernels.all_finite(model.n_weights, model.weights)
                and model.intercept - model.intercept == 0
                and (
                    model.intercepts == NULL
                    or self.kernels.all_finite(model.ld, model.intercepts)
                )
            )
        return model.loss_sum, model.penalty_sum, finite

    cdef const uint32_t *_samples(self, order, size_t n) except NULL:
        """Return where an order begins whose samples all are there."""
        cdef const uint32_t *samples = <const uint32_t *> _place(order, n * 4, "order")
        cdef uint32_t largest = 0
        cdef size_t i
        for i in range(n):
            largest = max(largest, samples[i])
        if n > 0 and largest >= self._n_samples:
            raise ValueError(f"order has sample {largest} of {self._n_samples}")
        return samples

    cdef int _poll_signals(self, stop) except -1:
        """Raise where a signal's handler does, or where this is to stop."""
        PyErr_CheckSignals()
        if stop is not None and stop():
            raise InterruptedError("told to stop")
        return 0

    cdef int _large_step(
        self, const uint32_t *samples, size_t n, double rate, stop
    ) except -1:
        """Make one step of n samples in parts, with looks for signals in between."""
        cdef fgd_linear *model = &self.model
        cdef size_t batch = model.batch_size, start, count
        cdef size_t part = <size_t> max(1.0, STRETCH / (self._row_elements + 32))
        cdef size_t width = sizeof(double)  # of what a sample has in `far`
        cdef char *far = _address(self._far)
        cdef int phase
        if model.intercepts != NULL:
            width = model.ld * self.kernels.itemsize
        model.batch_size = n
        try:
            for phase in range(FGD_APPLY_L1 + 1 if model.l1 != 0 else FGD_FINISH + 1):
                start = 0
                while start < n:
                    count = min(part, n - start)
                    if phase == FGD_SHRINK or phase == FGD_FINISH:
                        count = n
                    with nogil:
                        if model.intercepts == NULL:
                            self.kernels.batch_part(
                                phase, count, samples + start, rate, &self.rows, model,
                                far + start * width,
                            )
                        else:
                            self.kernels.softmax_part(
                                phase, count, samples + start, rate, &self.rows, model,
                                far + start * width,
                            )
                    start += count
                    self._poll_signals(stop)
        finally:
            model.batch_size = batch
        return 0
