"""JAX: a whole epoch in one jitted call, ``lax.scan`` over the batches.

NumPy draws the order outside: JAX's own permutation sorts, which is slower on a CPU.
"""

from __future__ import annotations

import numpy as np

from .peer import Run
from .workloads import Array, Workload


def setup(workload: Workload, X: Array, y: Array, threads: int) -> Run:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_platforms", "cpu")
    n, batch, rate = workload.n, workload.batch, workload.learning_rate
    whole = n // batch * batch

    def mean_loss(params, a, t):  # type: ignore[no-untyped-def]
        for k, (W, b) in enumerate(params):
            a = a @ W + b
            if k < len(params) - 1:
                a = jax.nn.relu(a)
        if workload.loss == "cross_entropy":
            picked = jnp.take_along_axis(a, t[:, None], axis=1)[:, 0]
            return jnp.mean(jax.nn.logsumexp(a, axis=1) - picked)
        if workload.loss == "log_loss":
            return jnp.mean(jnp.logaddexp(0.0, a[:, 0]) - t * a[:, 0])
        return jnp.mean((a[:, 0] - t) ** 2)

    def train(params, X_, y_, order):  # type: ignore[no-untyped-def]
        def step(p, rows):  # type: ignore[no-untyped-def]
            x = X_.at[rows].get(mode="promise_in_bounds")
            t = y_.at[rows].get(mode="promise_in_bounds")
            grads = jax.grad(mean_loss)(p, x, t)
            return jax.tree.map(lambda a, g: a - rate * g, p, grads), None

        params, _ = jax.lax.scan(step, params, order[:whole].reshape(-1, batch))
        if whole < n:
            params, _ = step(params, order[whole:])
        return params

    jitted = jax.jit(train, donate_argnums=0)
    params = [tuple(map(jnp.array, pair)) for pair in zip(*workload.start(), strict=True)]
    X_, y_ = jnp.array(X), jnp.array(y.astype(np.int32) if y.dtype == np.int64 else y)
    order = np.arange(n, dtype=np.int32)
    rng = np.random.default_rng(0)

    def epoch() -> None:
        nonlocal params
        rng.shuffle(order)
        # A copy: jax may use a NumPy buffer in place, and the next epoch changes this one.
        params = jax.block_until_ready(jitted(params, X_, y_, jnp.array(order)))

    def parameters() -> tuple[list[Array], list[Array]]:
        return [np.asarray(W) for W, _ in params], [np.asarray(b) for _, b in params]

    return Run(epoch, parameters)
