"""What ends the runs of a thread from outside; see _side_by_side.pyx."""


cdef class Stop:
    cdef bint raised


cdef Stop current_stop()
