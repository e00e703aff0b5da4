"""`compare`: one network from one start, trained at several batch sizes.

Training is the business of `training` and `many`, pictures are that of `plot`, files and options
that of the command line, which does its comparing here.
"""

from fastgd.comparison._compare import compare
from fastgd.comparison._comparison import Comparison
from fastgd.comparison._entry import Entry, Reached

__all__ = ["Comparison", "Entry", "Reached", "compare"]
