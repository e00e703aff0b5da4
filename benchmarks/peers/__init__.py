"""fastgd beside its peers: the same epochs, measured in one run on one machine.

``python benchmarks/peers`` (or ``python -m benchmarks.peers``) prints the table; ``--help``
lists the options. Regression tests of fastgd's own speed do not belong here: they are the
``pytest benchmarks/`` files one folder up.
"""
