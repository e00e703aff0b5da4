"""A flag by which one thread stops the runs of another; see side_by_side.pyx."""


cdef class Stop:
    cdef bint raised


cdef Stop current_stop()
