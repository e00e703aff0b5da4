"""`compare`: train one network from one start at several batch sizes.

For training see `training` and `many`, for pictures `plot`. The command line handles files and
options, and calls this package.
"""

from fastgd.comparison._compare import compare
from fastgd.comparison._comparison import Comparison
from fastgd.comparison._decision import Decision
from fastgd.comparison._entry import Entry, Reached, Trial

__all__ = ["Comparison", "Decision", "Entry", "Reached", "Trial", "compare"]
