# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The workspace of a run: the memory allocated before its first step, and its layout.

Data, parameters and an optimizer's state are copied in and out here. engine.pyx works on them;
fastgd/_data.py checks user input.
"""

from libc.stdint cimport uintptr_t
from libc.string cimport memset

from fastgd.engine.kernels cimport (
    FGD_AHEAD,
    _address,
    _is_double,
    _place,
    _room,
    _table,
)
from fastgd.engine.packing cimport convert, transpose_all, unpack
from fastgd.engine.run cimport (
    Adjust,
    CHUNK_ELEMENTS,
    DECODED_BYTES,
    Decoded,
    FEW_OUTPUTS,
    LEAST_SEGMENT,
    LEAST_SKEWED,
    Layer,
    MAX_BLOCKS,
    MAX_CHUNK,
    MAX_SEGMENTS,
    MIN_CHUNK,
    Run,
    SUM_COLUMNS,
    SUM_ROWS,
    Tile,
    Window,
    _min,
    _round_up,
    fgd_barrier,
    segment_start,
)

import numpy as np

from fastgd.engine.kernels import decode, pin


cdef class Workspace:
    """The memory of one run.

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
    sparse : bool
        Whether the first layer reads the stored elements of sparse rows; otherwise such rows are
        made dense. The layer is then laid out as a dense one, whatever its number of outputs.
    """

    def __cinit__(
        self, sizes, hidden, loss, optimizer, hyperparameters, dtype, int n_threads, level,
        bint sparse=False
    ):
        cdef Run *run = &self.run
        memset(run, 0, sizeof(Run))
        self._kept = []
        self._sizes = tuple(sizes)
        self._dtype = dtype
        run.kernels = _table(level, _is_double(dtype))
        run.itemsize = run.kernels.itemsize
        run.n_layers = len(self._sizes) - 1
        run.sparse.direct = sparse
        run.linear = run.n_layers == 1 and self._sizes[1] == 1 and not sparse
        run.team.most_threads = max(1, n_threads)
        if loss is not None:
            run.training.loss = run.kernels.loss(loss.encode())
            if run.training.loss == NULL:
                raise ValueError(f"no kernel computes the loss {loss!r}")
            # a loss that takes class indices has a second kernel, for probabilities of each class
            self._classes = run.kernels.loss(f"{loss}_matrix".encode()) != NULL
        if optimizer is not None:
            run.training.optimizer = run.kernels.optimizer(optimizer.encode())
            if run.training.optimizer == NULL:
                raise ValueError(f"no kernel runs the optimizer {optimizer!r}")
            run.training.plain = optimizer == "sgd"
            if run.linear and optimizer == "sgd":
                run.training.stochastic = run.kernels.stochastic(loss.encode())
            _set_hyperparameters(run, optimizer, tuple(hyperparameters))
        _lay_out(self, hidden)

    cdef void *take(self, size_t count, size_t itemsize) except NULL:
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

    def set_data(self, X, y=None, sample_weight=None, affine=None):
        """Set the samples: they are read in place, and their memory is pinned as long as self.

        Parameters
        ----------
        X : ndarray of shape (n, sizes[0]), or tuple of three arrays
            Of the computation's dtype, or of another in `kernels.storage_names`, which is decoded;
            or the data, indices and indptr of a CSR matrix, of the computation's dtype where there
            is no affine map.
        y, sample_weight : ndarray
            Targets, and factors of the samples' losses.
        affine : (ndarray, ndarray) or None
            The mean and the inverse scale of each column, in the dtype in which they are applied.
        """
        cdef Run *run = &self.run
        cdef size_t t, n
        self._data = X, y, sample_weight
        if isinstance(X, tuple):
            n = self._set_sparse(X, affine)
            self._pins = pin(y), pin(sample_weight)
        else:
            n = len(X)
            self._pins = pin(X), pin(y), pin(sample_weight)
            if X.dtype != self._dtype or affine is not None:
                self._set_storage(X.dtype, affine)
            run.data.row_bytes = self._sizes[0] * X.itemsize
            run.data.X = _place(X, n * run.data.row_bytes, "X")
            if run.linear and run.data.storage == NULL:
                _skew(run)
        run.data.n_samples = run.epoch.n_order = n
        if y is not None:
            run.data.target_bytes = 4 if self._classes else self._sizes[run.n_layers] * run.itemsize
            run.data.y = _place(y, n * run.data.target_bytes, "y")
            for t in range(run.team.most_threads):
                run.windows[t].targets = <char *> self.take(run.chunk, run.data.target_bytes)
        if sample_weight is not None:
            run.data.sample_weight = _place(sample_weight, n * run.itemsize, "sample_weight")
            for t in range(run.team.most_threads):
                run.windows[t].weights = <char *> self.take(run.chunk, run.itemsize)

    cdef int _set_storage(self, dtype, affine) except -1:
        """Let rows be decoded, into room for as many as fit into a fixed number of bytes."""
        cdef Run *run = &self.run
        cdef Decoded *decoded = &run.decoded
        cdef size_t i, bytes_each, most = run.chunk + 1
        run.data.storage = run.kernels.storage(dtype.name.encode())
        if run.data.storage == NULL:
            raise TypeError(f"no kernel decodes samples of dtype {dtype}")
        if affine is not None:
            bytes_each = self._sizes[0] * run.data.storage.affine_size
            self._kept.append(affine)
            run.data.mean = _place(affine[0], bytes_each, "mean")
            run.data.inverse_scale = _place(affine[1], bytes_each, "inverse_scale")
        decoded.row_bytes = _round_up(self._sizes[0] * run.itemsize, 64)
        if run.linear:
            most = max(most, <size_t> run.team.most_threads * MIN_CHUNK)
        decoded.n_rows = max(
            _min(most, DECODED_BYTES / decoded.row_bytes), max(2, run.team.most_threads)
        )
        decoded.values = <char *> self.take(decoded.n_rows, decoded.row_bytes)
        decoded.rows = <const void **> self.take(decoded.n_rows + FGD_AHEAD, sizeof(void *))
        for i in range(decoded.n_rows + FGD_AHEAD):
            decoded.rows[i] = decoded.values + _min(i, decoded.n_rows - 1) * decoded.row_bytes
        return 0

    def replace_data(self, X, y, sample_weight=None):
        """Set other samples, of the same kind, in place of those of `set_data`."""
        cdef Run *run = &self.run
        cdef size_t n = len(X)
        if (sample_weight is None) != (self._data[2] is None):
            raise ValueError("either all samples have weights, or none")
        if isinstance(self._data[0], tuple):
            raise TypeError("sparse rows cannot be replaced")
        if X.dtype != self._data[0].dtype:
            raise TypeError(f"the samples had dtype {self._data[0].dtype}, and now {X.dtype}")
        cdef const char *rows = _place(X, n * run.data.row_bytes, "X")
        cdef const char *targets = _place(y, n * run.data.target_bytes, "y")
        cdef const char *weights = NULL
        if sample_weight is not None:
            weights = _place(sample_weight, n * run.itemsize, "sample_weight")
        self._data = X, y, sample_weight
        self._pins = pin(X), pin(y), pin(sample_weight)
        run.data.X, run.data.y, run.data.sample_weight = rows, targets, weights
        run.data.n_samples = n

    cdef size_t _set_sparse(self, X, affine) except 0:
        """Set the rows of a CSR matrix, and return how many there are."""
        cdef Run *run = &self.run
        cdef size_t n_in = self._sizes[0]
        data, indices, indptr = X
        if indices.dtype != indptr.dtype or indices.dtype not in (np.int32, np.int64):
            raise TypeError(f"indices and indptr have dtypes {indices.dtype} and {indptr.dtype}")
        self._kept += [pin(data), pin(indices), pin(indptr)]
        run.sparse.value_bytes = data.itemsize
        run.sparse.csr.values = _address(data)
        run.sparse.csr.columns = _address(indices)
        run.sparse.csr.wide = indices.itemsize == 8
        run.sparse.csr.n_stored = min(len(data), len(indices))
        run.sparse.csr.n_in = n_in
        run.data.row_bytes, run.data.X = indptr.itemsize, _address(indptr)
        if not run.sparse.direct:
            self._set_storage(data.dtype, affine)
        if affine is not None:
            zeros = np.empty((1, n_in), self._dtype)
            decode(np.zeros((1, n_in), data.dtype), zeros, affine)
            self._kept.append(zeros)
            run.sparse.zeros = _address(zeros)
        return len(indptr) - 1

    cdef int _check_data(self) except -1:
        """Check that the samples have not moved: Python code may have run in between.

        A pinned array can still get new memory, by ``__setstate__`` for example.
        """
        cdef Run *run = &self.run
        cdef const char *weight = NULL
        X, y, sample_weight = self._data
        cdef const char *samples
        if isinstance(X, tuple):
            samples = _place(X[2], (run.data.n_samples + 1) * run.data.row_bytes, "X")
            if <const void *> _address(X[0]) != run.sparse.csr.values or (
                <const void *> _address(X[1]) != run.sparse.csr.columns
            ) or min(len(X[0]), len(X[1])) < run.sparse.csr.n_stored:
                raise ValueError("the memory of X was replaced during the run")
        else:
            samples = _place(X, run.data.n_samples * run.data.row_bytes, "X")
        cdef const char *targets = NULL
        if y is not None:
            targets = _place(y, run.data.n_samples * run.data.target_bytes, "y")
        if sample_weight is not None:
            weight = _place(sample_weight, run.data.n_samples * run.itemsize, "sample_weight")
        if samples != run.data.X or targets != run.data.y or weight != run.data.sample_weight:
            raise ValueError("the memory of X, y or sample_weight was replaced during the run")
        return 0

    def adjust(self, *, double l1=0, double l2=0, bint summed=False, double clip_value=0,
               double clip_norm=0, double clip_sample=0, double noise=0, rng=None):
        """Set the changes to every gradient before its update; 0 for none.

        Parameters
        ----------
        l1, l2 : float
            Penalties on the weights.
        summed : bool
            Whether they are added to the sum of a batch's losses, not to the mean.
        clip_value, clip_norm, clip_sample : float
            The largest absolute value of an element, and the largest norm of the gradient and of a
            sample's gradient.
        noise : float
            The standard deviation of the noise added to the sum of a batch's gradients.
        rng : numpy.random.Generator
            Draws the noise.
        """
        cdef Run *run = &self.run
        run.adjust = Adjust(l1, l2, summed, clip_value, clip_norm, clip_sample, noise)
        if l1 > 0 or l2 > 0:
            run.sums.penalty = <double *> self.take(run.sums.n, sizeof(double))
        if clip_norm > 0:
            run.sums.clip = <double *> self.take(run.sums.n, sizeof(double))
        if noise > 0:
            self._rng = rng
            self._drawn = np.empty(run.n_params, "f8" if run.itemsize == 8 else "f4")
            self._kept.append(pin(self._drawn))
            run.noise.packed = <char *> self.take(run.n_packed, run.itemsize)
        if run.sums.penalty != NULL or clip_norm > 0 or clip_value > 0 or clip_sample > 0:
            run.training.stochastic = NULL

    def drop(self, thresholds, factors):
        """Drop hidden units whose random number is below their layer's threshold.

        The others' outputs are multiplied by the layer's factor.
        """
        for depth, (threshold, factor) in enumerate(zip(thresholds, factors)):
            self.run.layers[depth].drop_below = threshold
            self.run.layers[depth].drop_factor = factor

    def load(self, params, moments=()):
        """Copy parameters and moments from flat arrays laid out as Network.params."""
        cdef Run *run = &self.run
        cdef size_t size = run.n_params * run.itemsize
        cdef list places = _moments_of(run, moments)
        convert(run, run.params, _place(params, size, "params"), True)
        if run.moments == NULL:
            run.moments = <char *> self.take(len(moments) * run.n_packed, run.itemsize)
        for place, moment in enumerate(places):
            convert(run, _moment(run, place), _place(moment, size, "a moment"), True)
        transpose_all(run)

    def load_scalars(self, scalars):
        """Copy the optimizer's scalars: the numbers of its state that belong to no parameter."""
        cdef tuple values = _scalars_of(&self.run, scalars)
        for place, scalar in enumerate(values):
            self.run.training.scalars[place] = scalar

    def store(self, params):
        """Copy the parameters into a flat array."""
        cdef size_t size = self.run.n_params * self.run.itemsize
        unpack(&self.run, self.run.params, _room(params, size, "params"))

    def store_moments(self, moments):
        """Copy the optimizer's moments into flat arrays; into none if one is too small."""
        cdef size_t size = self.run.n_params * self.run.itemsize
        cdef list places = _moments_of(&self.run, moments)
        for place, moment in enumerate(places):
            unpack(&self.run, _moment(&self.run, place), _room(moment, size, "a moment"))

    def store_scalars(self, scalars):
        """Copy the optimizer's scalars into an array."""
        _scalars_of(&self.run, scalars)
        for place in range(self.run.training.optimizer.n_scalars):
            scalars[place] = self.run.training.scalars[place]


cdef int _set_hyperparameters(Run *run, str optimizer, tuple values) except -1:
    """Set the hyperparameters; a subclass of an optimizer may have another number of them."""
    if len(values) != run.training.optimizer.n_hyperparameters:
        raise ValueError(
            f"the optimizer has {len(values)} hyperparameters, but its kernel {optimizer!r} takes "
            f"{run.training.optimizer.n_hyperparameters}: use the backend 'vectorized', which "
            "calls its own update"
        )
    for place, value in enumerate(values):
        run.training.hyperparameters[place] = value
    return 0


cdef list _moments_of(const Run *run, moments):
    """Return the optimizer's moments, once their number and sizes are checked."""
    cdef size_t wanted = 0 if run.training.optimizer == NULL else run.training.optimizer.n_moments
    cdef list places = list(moments)
    if len(places) != wanted:
        raise ValueError(f"the optimizer's kernel takes {wanted} moments, not {len(places)}")
    for moment in places:
        _place(moment, run.n_params * run.itemsize, "a moment")
    return places


cdef tuple _scalars_of(const Run *run, scalars):
    """Return the optimizer's scalars, once their number is checked."""
    cdef tuple values = tuple(scalars) if len(scalars) else ()
    if run.training.optimizer == NULL or len(values) != run.training.optimizer.n_scalars:
        raise ValueError(f"the optimizer's kernel takes another number of scalars: {list(values)}")
    return values


cdef inline char *_moment(const Run *run, size_t place) noexcept:
    return run.moments + place * run.n_packed * run.itemsize


# ---------------------------------------------------------------------------------------
# Memory layout
# ---------------------------------------------------------------------------------------

cdef int _lay_out(Workspace space, hidden) except -1:
    """Allocate everything but the data: no memory is allocated during steps."""
    cdef Run *run = &space.run
    cdef size_t lanes = run.kernels.lanes, size = run.itemsize, line = 64 / size
    cdef size_t depth, offset = 0, elements = 0, weights = 0, room
    cdef Layer *layer
    run.layers = <Layer *> space.take(run.n_layers, sizeof(Layer))
    run.team.barrier = <fgd_barrier *> space.take(1, sizeof(fgd_barrier))
    for depth in range(run.n_layers):
        elements += space._sizes[depth + 1]
        weights += space._sizes[depth] * space._sizes[depth + 1]
    # each further chunk of a batch reads and writes the whole gradient again
    room = max(CHUNK_ELEMENTS, weights / 2)
    run.chunk = max(MIN_CHUNK, _min(MAX_CHUNK, room / elements / 64 * 64))
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        layer.n_in = space._sizes[depth]
        layer.n_out = space._sizes[depth + 1]
        top = depth == run.n_layers - 1
        first = depth == 0 and run.sparse.direct
        layer.ld = 1 if top and layer.n_out == 1 and not first else _round_up(layer.n_out, lanes)
        layer.weights = offset
        if run.n_layers == 1 and 1 < layer.n_out <= FEW_OUTPUTS and not first:
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
    run.params = <char *> space.take(run.n_packed, size)
    _lay_out_samples(space)
    if run.training.loss != NULL:
        _lay_out_training(space)
    return 0


cdef int _lay_out_samples(Workspace space) except -1:
    """Allocate the memory of each sample of a chunk, and of each thread."""
    cdef Run *run = &space.run
    cdef size_t size = run.itemsize, depth, n, t, listed = run.chunk + FGD_AHEAD
    cdef size_t copies = run.team.most_threads if run.linear else 1
    cdef Layer *layer
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        n = run.chunk * layer.ld * copies
        layer.output = <char *> space.take(n, size)
        layer.output_rows = _row_list(space, layer.output, layer.ld * size)
        layer.delta, layer.delta_rows = layer.output, layer.output_rows
        if layer.n_segments > 0:
            layer.segment_sums = <char *> space.take(
                layer.n_segments * layer.n_out * run.chunk, size
            )
        if depth < run.n_layers - 1:
            layer.delta = <char *> space.take(n, size)
            layer.delta_rows = _row_list(space, layer.delta, layer.ld * size)
    run.samples.losses = <double *> space.take(run.chunk * copies, sizeof(double))
    run.samples.squares = <double *> space.take(run.chunk * copies, sizeof(double))
    run.samples.square_parts = <double *> space.take(2 * run.chunk * copies, sizeof(double))
    run.windows = <Window *> space.take(run.team.most_threads, sizeof(Window))
    for t in range(run.team.most_threads):
        run.windows[t].rows = <const void **> space.take(listed, sizeof(void *))
    return 0


cdef const void **_row_list(Workspace space, char *start, size_t row_bytes) except NULL:
    cdef const void **rows = <const void **> space.take(
        space.run.chunk + FGD_AHEAD, sizeof(void *)
    )
    cdef size_t i
    for i in range(space.run.chunk + FGD_AHEAD):
        rows[i] = start + _min(i, space.run.chunk - 1) * row_bytes
    return rows


cdef int _lay_out_training(Workspace space) except -1:
    """Allocate gradients, moments, transposes and the list of tiles."""
    cdef Run *run = &space.run
    cdef size_t size = run.itemsize, panel = run.kernels.panel, depth, k, column, rows
    cdef Layer *layer
    run.gradient = <char *> space.take(run.n_packed, size)
    if run.linear:
        run.blocks.gradients = <char *> space.take(MAX_BLOCKS * run.n_packed, size)
        run.blocks.losses = <double *> space.take(MAX_BLOCKS, sizeof(double))
        run.blocks.squares = <double *> space.take(MAX_BLOCKS, sizeof(double))
        run.gradient = run.blocks.gradients
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
            layer.transposed = <char *> space.take(
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
    run.tiles = <Tile *> space.take(run.n_tiles, sizeof(Tile))
    for k, (layer_, first, last, column_, width) in enumerate(tiles):
        run.tiles[k] = _tile(run, layer_, first, last, column_, width)
        run.scratch_bytes = max(run.scratch_bytes, run.tiles[k].count * size)
    run.scratch_bytes = _round_up(run.scratch_bytes, 128)
    run.scratch = <char *> space.take(run.team.most_threads, run.scratch_bytes)
    return 0


cdef Tile _tile(
    Run *run, size_t depth, size_t first, size_t last, size_t column, size_t width
):
    """Return a tile with its offsets into the packed vectors and the sums of squares."""
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
        tile.sums = run.sums.n
        run.sums.n += SUM_COLUMNS
    elif layer.n_segments > 0 and first < last:
        tile.share = column
        tile.offset = layer.weights + first * layer.n_out
        tile.n_weights = tile.count = width * layer.n_out
        tile.sums = run.sums.n + tile.share * SUM_COLUMNS
    elif first == last:  # the bias, the last of a layer's tiles
        tile.offset, tile.count = layer.bias, layer.ld
        tile.sums = run.sums.n + groups * padded
        run.sums.n += (groups + 1) * padded
    else:
        tile.offset = layer.weights + column * layer.n_in + first * width
        tile.n_weights = tile.count = (last - first) * width
        tile.sums = run.sums.n + first / SUM_ROWS * padded + column
    return tile


cdef void _skew(Run *run) noexcept:
    """Let the parameters begin at the same offset in a cache line as the rows, if that is constant.

    Kernels then load both aligned to lines (linear.inc.c), which is faster for wide rows. Each
    vector has a spare line at its end.
    """
    cdef size_t behind = <uintptr_t> run.data.X % 64
    if run.data.row_bytes % 64 == 0 and behind % 16 == 0 and run.data.row_bytes >= LEAST_SKEWED:
        run.params += behind
        if run.blocks.gradients != NULL:
            run.blocks.gradients += behind
            run.gradient = run.blocks.gradients
