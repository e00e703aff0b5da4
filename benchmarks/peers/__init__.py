"""Compare fastgd with its peers: the same epochs, measured in one run on one machine.

``python benchmarks/peers`` (or ``python -m benchmarks.peers``) prints the table; ``--help``
lists the options. For regression tests of fastgd's own speed see
``pytest benchmarks/`` files one folder up.
"""
