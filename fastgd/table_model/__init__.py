"""`TableModel`: a table in, predictions out.

For reading and encoding tables see `tables`, for the command line `commandline`.
"""

from fastgd.table_model._model import TableModel

__all__ = ["TableModel"]
