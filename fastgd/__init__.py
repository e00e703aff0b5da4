"""Gradient descent on CPUs, straight from NumPy arrays.

>>> import numpy as np
>>> import fastgd as gd
>>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
>>> net = gd.Network([1, 16, 1], rng=0)
>>> history = gd.train(net, X, X[:, 0] ** 2, epochs=100, optimizer=gd.Adam(0.01), rng=0)
>>> history.loss[-1] < 1e-3
True
"""

from fastgd import landscapes, schedules
from fastgd._plan import BatchPlan, plan
from fastgd._version import __version__
from fastgd.comparison import Comparison, compare
from fastgd.config import show_config
from fastgd.gradients import gradient
from fastgd.history import DivergenceError, History, load_checkpoint, save_checkpoint
from fastgd.landscapes import is_convex_on
from fastgd.many import train_many
from fastgd.network import Network, load
from fastgd.optimizers import SGD, Adam, AdamW
from fastgd.training import train

__all__ = [
    "Adam",
    "AdamW",
    "BatchPlan",
    "Comparison",
    "DivergenceError",
    "History",
    "Network",
    "SGD",
    "__version__",
    "compare",
    "gradient",
    "is_convex_on",
    "landscapes",
    "load",
    "load_checkpoint",
    "plan",
    "save_checkpoint",
    "schedules",
    "show_config",
    "train",
    "train_many",
]
