"""Gradient descent on CPUs, straight from NumPy arrays.

A `Network` is a linear model or a small neural network. `train` trains it in place, with an
optimizer such as `SGD` or `Adam`, and perhaps one of `schedules`, and returns a `History`;
`train_many` trains several at once. `open_blocks` reads data larger than memory; `Checkpoint` saves
a training while it runs. `Standardize` makes inputs of raw columns, and `TableModel` does
everything from a table to its predictions. `compare`, `recommend_batch_size`, `noise_scale` and
`plan` help to choose a batch size. `gradient`, `per_sample_gradients` and `per_sample_norms`
compute gradients without an update. `nodes` and `landscapes` show how gradient descent works.
`export`, `to_torch` and `from_torch` exchange networks with other programs, and `callbacks` reports
to trackers of experiments. `fastgd.sklearn` has estimators for scikit-learn, `fastgd.plot`
pictures. An error says which extra installs a package that is missing. The command line is
`python -m fastgd --help`.

>>> import numpy as np
>>> import fastgd as gd
>>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
>>> net = gd.Network([1, 16, 1], rng=0)
>>> history = gd.train(net, X, X[:, 0] ** 2, epochs=100, optimizer=gd.Adam(0.01), rng=0)
>>> history.loss[-1] < 1e-3
True
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastgd import _interruption, _location, optimizers  # noqa: F401, must come first
from fastgd._loading import load
from fastgd._version import __version__
from fastgd.batches import BatchPlan, plan
from fastgd.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from fastgd.config import show_config
from fastgd.gradients import gradient, per_sample_gradients, per_sample_norms
from fastgd.history import DivergenceError, History
from fastgd.many import train_many
from fastgd.network import Network
from fastgd.noise import noise_scale
from fastgd.optimizers import *  # noqa: F403
from fastgd.standardize import Standardize
from fastgd.stopping import EarlyStopping
from fastgd.training import train

if TYPE_CHECKING:
    from fastgd import callbacks, export, landscapes, nodes, schedules
    from fastgd import data as data
    from fastgd import plot as plot
    from fastgd import sklearn as sklearn
    from fastgd._torch import from_torch, to_torch
    from fastgd.advice import Advice, recommend_batch_size
    from fastgd.comparison import Comparison, compare
    from fastgd.landscapes import is_convex_on
    from fastgd.rows._open import open_blocks
    from fastgd.table_model import TableModel

__all__ = [
    "Advice",
    "BatchPlan",
    "Checkpoint",
    "Comparison",
    "DivergenceError",
    "EarlyStopping",
    "History",
    "Network",
    "Standardize",
    "TableModel",
    "__version__",
    "callbacks",
    "compare",
    "export",
    "from_torch",
    "gradient",
    "is_convex_on",
    "landscapes",
    "load",
    "load_checkpoint",
    "noise_scale",
    "nodes",
    "open_blocks",
    "per_sample_gradients",
    "per_sample_norms",
    "plan",
    "recommend_batch_size",
    "save_checkpoint",
    "schedules",
    "show_config",
    "to_torch",
    "train",
    "train_many",
]
__all__ += optimizers.__all__  # in the form that type checkers know

#: names imported on first use, and the module that each comes from
_LATE = {
    "Advice": "advice",
    "TableModel": "table_model",
    "Comparison": "comparison",
    "callbacks": "",
    "compare": "comparison",
    "data": "",
    "export": "",
    "from_torch": "_torch",
    "is_convex_on": "landscapes",
    "landscapes": "",
    "nodes": "",
    "open_blocks": "rows._open",
    "plot": "",
    "recommend_batch_size": "advice",
    "schedules": "",
    "sklearn": "",
    "to_torch": "_torch",
}


if not TYPE_CHECKING:  # a type checker would conclude that every name exists

    def __getattr__(name: str) -> Any:
        if name not in _LATE:
            raise AttributeError(
                f"module {__name__!r} has no attribute {name!r}",
                name=name,
                obj=sys.modules[__name__],
            )
        home = import_module(f"fastgd.{_LATE[name] or name}")
        globals()[name] = getattr(home, name) if _LATE[name] else home
        return globals()[name]


#: modules that need another package; `dir` hides them where it is missing
_EXTRAS = {"plot": "matplotlib", "sklearn": "sklearn"}


def __dir__() -> list[str]:
    extras = (name for name, package in _EXTRAS.items() if find_spec(package))
    return sorted([*__all__, "data", *extras])
