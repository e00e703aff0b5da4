"""A saddle stops batch gradient descent, but not small batches.

The cost is a polynomial of the fifth degree whose slope vanishes at -1.5, on the way from the
start at -3 to the minimum at 1. It is the mean of 64 terms, whose slopes do not vanish there. All
batch sizes make the same number of updates at the same learning rate, so they differ only in the
noise of their gradients.

Run it: `python examples/saddle.py`
"""

from __future__ import annotations

import fastgd as gd

N_SEEDS = 200
UPDATES = 500


def main() -> None:
    """Print where batch gradient descent ends, and the share of runs that pass the saddle."""
    quintic = gd.landscapes.Quintic()
    print(gd.is_convex_on(quintic, -3.0, 1.0))

    print(f"\nBatch gradient descent from -3, {UPDATES} updates; the saddle is at -1.5:\n")
    print("learning rate   ends at    slope there")
    stable = quintic.largest_learning_rate
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        theta, _ = gd.landscapes.descend(
            quintic, -3.0, batch_size=None, epochs=UPDATES, optimizer=gd.SGD(share * stable)
        )
        print(f"{share * stable:13g}{theta.item():10.4f}{quintic.gradient(theta).item():15.1e}")
    print(f"\nRates above {stable:g} could not hold the minimum at 1 either.")

    shares = gd.landscapes.escape_share(quintic, -3.0, n_seeds=N_SEEDS, updates=UPDATES)
    print(f"\n{shares}")
    small, batch = shares.escaped[0], shares.escaped[-1]
    print(f"\nPast the saddle: {small} of {N_SEEDS} with batch size 1, {batch} with all terms.")


if __name__ == "__main__":
    main()
