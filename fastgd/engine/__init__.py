"""The compiled engine: all Cython code, on top of the kernels of src_c/.

`engine` runs epochs of networks, and `sgd` epochs of linear models over sparse rows. `kernels` is
the table of C functions for each instruction level, `shuffle` draws random orders, and
`side_by_side` runs calls on threads. The other modules are parts of `engine`. Input has been
checked before it arrives here.
"""
