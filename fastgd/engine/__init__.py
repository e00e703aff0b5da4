"""The compiled engine: everything written in Cython, over the kernels of src_c/.

`engine` runs epochs of networks, `sgd` those of linear models over sparse rows; `kernels` is the
table of C functions for each instruction level, `shuffle` draws random orders, `side_by_side` runs
calls on threads. The other modules are parts of `engine`. Input is checked before it gets here.
"""
