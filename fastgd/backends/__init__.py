"""Three implementations of the same algorithm: `loop`, `vectorized` and `compiled`.

Each backend module has the same functions:

``start(plan, params, state, rng)`` returns ``epoch(order, rates, trace=None, bounds=None,
part=None)``.
``epoch`` runs one epoch over the sample indices ``order``, with a learning rate for each step, and
returns the sum of weight times loss over its samples, each loss computed before the sample's batch
updates the parameters. ``bounds`` gives where each batch begins, and where the last ends, if
batches differ in size: their mean then divides by the plan's batch size. ``rng`` draws noise.
``trace`` is a `fastgd._trace.Trace` to fill. ``params`` and ``state`` are updated in place only if
the epoch ends with finite losses and parameters. An epoch that diverges returns a sum that is not
finite, and one that is interrupted raises; both leave them unchanged.

With ``part``, a `fastgd._plan.Part`, a call makes only some of an epoch's steps; the next call goes
on, with the same bits as one call. It then returns the sum over the epoch so far.

``gradient(plan, params)`` returns the flat gradient over all samples,
``sample_gradients(plan, params)`` each sample's gradient, as rows, and
``sample_norms(plan, params)`` their norms.

``objective(plan)`` returns ``value_and_gradient(params, order)``, which returns the sum of weight
times loss over the samples of ``order`` and their flat gradient, for an optimizer outside the
package (L-BFGS).

Only `compiled` has ``forward``, a network's raw outputs, and ``curvatures``, for the full noise
scale.

`sgd` is the algorithm of the linear SGD estimators. It has only ``start``, with its own types of
plan and state.

Backends do not use each other, and do not check their arguments.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

__all__ = ["BACKENDS", "load"]

#: The names of the backends, the default first.
BACKENDS = ("compiled", "vectorized", "loop")


@functools.cache  # importlib takes a microsecond, which counts in small trainings
def load(name: str) -> ModuleType:
    """Return a backend's module."""
    return importlib.import_module(f"fastgd.backends.{name}")
