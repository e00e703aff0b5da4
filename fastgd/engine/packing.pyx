# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""The layouts of parameters: packed for the kernels (src_c/fastgd.h), and flat as Network.params.

workspace.pyx decides where each layer begins in a packed vector.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from fastgd.engine.kernels cimport FGD_AHEAD
from fastgd.engine.run cimport Item, Layer, Run, Tile, Window, _min, _round_up, segment_start


cdef void unpack(const Run *run, const char *packed, char *flat) noexcept nogil:
    """Copy a packed vector into the layout of Network.params."""
    convert(run, <char *> packed, flat, False)


cdef void convert(const Run *run, char *packed, char *flat, bint pack) noexcept nogil:
    """Copy between the layout of Network.params and the packed one."""
    cdef size_t size = run.itemsize, panel = run.kernels.panel, depth, k, column, width, real
    cdef const Layer *layer
    for depth in range(run.n_layers):
        layer = &run.layers[depth]
        if layer.ld == 1:
            _copy(packed + layer.weights * size, flat, layer.n_in * size, pack)
        elif layer.n_segments > 0:
            if size == 4:
                _convert_segments(run, layer, <int32_t *> packed, <int32_t *> flat, pack)
            else:
                _convert_segments(run, layer, <int64_t *> packed, <int64_t *> flat, pack)
        else:
            column = 0
            while column < layer.n_out:
                width = _min(panel, layer.ld - column)
                real = _min(width, layer.n_out - column)
                for k in range(layer.n_in):
                    _copy(
                        packed + (layer.weights + column * layer.n_in + k * width) * size,
                        flat + (k * layer.n_out + column) * size, real * size, pack,
                    )
                column += panel
        flat += layer.n_in * layer.n_out * size
        _copy(packed + layer.bias * size, flat, layer.n_out * size, pack)
        flat += layer.n_out * size


cdef inline void _copy(char *packed, char *flat, size_t n, bint pack) noexcept nogil:
    if pack:
        memcpy(packed, flat, n)
    else:
        memcpy(flat, packed, n)


cdef void _convert_segments(
    const Run *run, const Layer *layer, Item *packed, Item *flat, bint pack
) noexcept nogil:
    """Copy the weights of a layer of segments between the two layouts."""
    cdef size_t s, j, k, start, end, n_out = layer.n_out
    cdef Item *vector = packed + layer.weights
    for s in range(layer.n_segments):
        start, end = segment_start(run, layer, s), segment_start(run, layer, s + 1)
        for j in range(n_out):
            for k in range(start, _min(end, layer.n_in)):
                if pack:
                    vector[k - start] = flat[k * n_out + j]
                else:
                    flat[k * n_out + j] = vector[k - start]
            vector += end - start


cdef void transpose(Run *run, const Tile *tile) noexcept nogil:
    """Update the packed transpose from a tile of the weights."""
    cdef const Layer *layer = &run.layers[tile.layer]
    cdef size_t panel = run.kernels.panel, size = run.itemsize
    cdef size_t padded = _round_up(layer.n_in, run.kernels.lanes)
    cdef size_t first = tile.first, stride
    while first < tile.last:
        stride = _min(panel, padded - first)
        run.kernels.transpose(
            _min(panel, tile.last - first),
            _min(tile.width, layer.n_out - tile.column),
            tile.width,
            run.params + (
                layer.weights + tile.column * layer.n_in + first * tile.width
            ) * size,
            stride,
            layer.transposed + (first * layer.n_out + tile.column * stride) * size,
        )
        first += panel


cdef void transpose_all(Run *run) noexcept nogil:
    """Update all layers' transposes from their weights."""
    cdef size_t t
    for t in range(run.n_tiles):
        if run.layers[run.tiles[t].layer].transposed != NULL:
            transpose(run, &run.tiles[t])


cdef double inner(
    Run *run, const char *x, const char *y, char *flat_x, char *flat_y
) noexcept nogil:
    """Return the inner product of two packed vectors; the first window is overwritten.

    They are unpacked first, since the packed order differs between levels.
    """
    cdef Window *window = &run.windows[0]
    cdef double zero = 0, out = 0  # room for one number of the computation's dtype
    cdef float single
    cdef size_t i
    unpack(run, x, flat_x)
    unpack(run, y, flat_y)
    window.count = 0
    for i in range(1 + FGD_AHEAD):
        window.rows[i] = flat_x
    run.kernels.dot(1, window.rows, run.n_params, flat_y, &zero, &out)
    if run.itemsize == 8:
        return out
    memcpy(&single, &out, sizeof(single))
    return single
