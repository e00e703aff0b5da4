"""Conversion between the layouts of parameters; see packing.pyx."""

from fastgd.engine.run cimport Run, Tile


cdef void convert(const Run *run, char *packed, char *flat, bint pack) noexcept nogil
cdef void unpack(const Run *run, const char *packed, char *flat) noexcept nogil
cdef void transpose(Run *run, const Tile *tile) noexcept nogil
cdef void transpose_all(Run *run) noexcept nogil
cdef double inner(
    Run *run, const char *x, const char *y, char *flat_x, char *flat_y
) noexcept nogil
