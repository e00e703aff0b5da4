"""The same algorithm three times: `loop`, `vectorized` and `compiled`.

Each backend module has three functions of one signature:

``start(plan, params, state)`` returns ``epoch(order, learning_rate, trace=None)``, which runs
one epoch over the sample indices ``order`` and returns the sum of weight times loss over the
samples it has seen, each sample's loss as it was before its batch's update. ``params`` and
``state`` are updated in place when the epoch ends with finite losses and finite parameters, and
only then: an epoch that diverges returns a sum that is not finite, and one that is interrupted
raises, and both leave them as they were. ``trace`` has arrays ``loss`` (steps,) and ``params``
(steps, n_params) to fill, each of which may be None.

``gradient(plan, params)`` returns the flat gradient over all samples.

``objective(plan)`` returns ``value_and_gradient(params, order)``, which gives the sum of weight
times loss over the samples of ``order`` and their flat gradient, and changes nothing: what an
optimizer outside of the package (L-BFGS) calls.

Backends know nothing of each other, and do not check anything.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["BACKENDS", "load"]

#: The names of the backends, the default first.
BACKENDS = ("compiled", "vectorized", "loop")


def load(name: str) -> ModuleType:
    """Return a backend's module."""
    return importlib.import_module(f"fastgd.backends.{name}")
