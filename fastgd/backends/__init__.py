"""The same algorithm three times: `loop`, `vectorized` and `compiled`.

Each backend module has the same functions:

``start(plan, params, state, rng)`` returns ``epoch(order, rates, trace=None, bounds=None)``, which
runs one epoch over the sample indices ``order``, with a learning rate a step, and returns the sum
of weight times loss over the samples it has seen, each sample's loss as it was before its batch's
update. ``bounds`` says where each batch begins, and the last ends, where batches differ in size:
their mean then divides by the plan's batch size. ``rng`` draws noise. ``params`` and ``state`` are
updated in place when the epoch ends with finite losses and finite parameters, and only then: an
epoch that diverges returns a sum that is not finite, and one that is interrupted raises, and both
leave them as they were. ``trace`` is a `fastgd.history.Trace` to fill.

``gradient(plan, params)`` returns the flat gradient over all samples,
``sample_gradients(plan, params)`` that of each sample, as rows, and ``sample_norms(plan, params)``
their norms.

``objective(plan)`` returns ``value_and_gradient(params, order)``, which gives the sum of weight
times loss over the samples of ``order`` and their flat gradient, and changes nothing: what an
optimizer outside of the package (L-BFGS) calls.

`compiled` alone has ``forward``, a network's raw outputs, and ``curvatures``, of which the full
noise scale is made.

Backends know nothing of each other, and do not check anything.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

__all__ = ["BACKENDS", "load"]

#: The names of the backends, the default first.
BACKENDS = ("compiled", "vectorized", "loop")


@functools.cache  # a look at sys.modules by way of importlib costs a small training a microsecond
def load(name: str) -> ModuleType:
    """Return a backend's module."""
    return importlib.import_module(f"fastgd.backends.{name}")
