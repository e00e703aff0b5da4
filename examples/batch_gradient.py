"""Does a batch of 32 samples make one update or 32? One.

A batch's gradient is the mean of its samples' gradients, and each batch makes one update. This
script shows both, and compares with 32 updates of one sample each.

Run it: `python examples/batch_gradient.py`
"""

from __future__ import annotations

import numpy as np

import fastgd as gd
from fastgd.data import load_digits

LEARNING_RATE = 0.05


def main() -> None:
    """Print the comparison."""
    images, labels = load_digits()
    X = images[:32] / 16.0
    y = labels[:32].astype(np.int64)
    start = gd.Network([64, 32, 10], loss="cross_entropy", dtype="float64", rng=0)

    print("1. The gradient of a batch is the mean of its samples' gradients.")
    single = np.array([gd.gradient(start, X[i : i + 1], y[i : i + 1]) for i in range(32)])
    batch = gd.gradient(start, X, y)
    difference = np.abs(single.mean(axis=0) - batch).max()
    print(
        f"   32 gradients of {start.n_params:,} numbers each; their mean differs from the batch's"
    )
    print(f"   gradient by at most {difference:.1e} (rounding).\n")
    assert difference < 1e-15

    print("2. One epoch of 32 samples, from the same start, with the same learning rate:")
    one, one_history = one_epoch(start, X, y, batch_size=32)
    many, many_history = one_epoch(start, X, y, batch_size=1)
    for name, net, history in (("32", one, one_history), (" 1", many, many_history)):
        moved = np.linalg.norm(net.params - start.params)
        updates = f"{history.updates} update{'s' * (history.updates > 1)}"
        print(
            f"   batch size {name}: {history.sample_gradients} sample gradients, {updates}, "
            f"the weights moved by {moved:.3f}"
        )
    assert np.allclose(one.params, start.params - LEARNING_RATE * batch, rtol=0, atol=1e-15)

    print("\n3. So 32 single updates lead to other weights, even when each is 1/32 as long:")
    print("   each gradient is taken where the previous update ended.")
    short, _ = one_epoch(start, X, y, batch_size=1, learning_rate=LEARNING_RATE / 32)
    apart = np.linalg.norm(short.params - one.params) / np.linalg.norm(one.params - start.params)
    print(f"   32 short updates end {apart:.1%} of the batch's step away from the batch's end.")


def one_epoch(
    start: gd.Network,
    X: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    learning_rate: float = LEARNING_RATE,
) -> tuple[gd.Network, gd.History]:
    """Train a copy of the start on the samples in their order."""
    net = start.copy()
    optimizer = gd.SGD(learning_rate)
    history = gd.train(
        net, X, y, batch_size=batch_size, epochs=1, optimizer=optimizer, sampling="sequential"
    )
    return net, history


if __name__ == "__main__":
    main()
