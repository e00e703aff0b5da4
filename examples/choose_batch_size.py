"""Choose a batch size: how many epochs, updates and seconds each needs to reach one loss.

Small batches make many updates of little work, large ones few updates of much work. What counts
is the time until the model is good enough. Each batch size tries several learning rates here and
keeps its fastest, since no learning rate is fair to all of them.

Run it: `python examples/choose_batch_size.py`
"""

from __future__ import annotations

import numpy as np

import fastgd as gd
from fastgd.data import load_digits

GOAL = 0.2
MOST_EPOCHS = 100
BATCH_SIZES = (1, 8, 32, 128, None)
LEARNING_RATES = (0.01, 0.03, 0.1, 0.3, 1.0)


def main() -> None:
    """Print a table with a row for each batch size."""
    images, labels = load_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    X = (images[order] / 16.0).astype(np.float32)
    y = labels[order].astype(np.int64)
    train, valid = (X[360:], y[360:]), (X[:360], y[:360])

    print(f"Until the loss on 360 images that are not trained on is below {GOAL}:\n")
    print("batch size  learning rate  epochs  updates  seconds  kB a batch")
    for batch_size in BATCH_SIZES:
        runs = [(time_to_goal(train, valid, batch_size, rate), rate) for rate in LEARNING_RATES]
        reached = [(history, rate) for history, rate in runs if history is not None]
        name = "full" if batch_size is None else f"{batch_size}"
        if not reached:
            print(f"{name:>10}  not reached in {MOST_EPOCHS} epochs")
            continue
        history, rate = min(reached, key=lambda run: run[0].updates)
        plan = gd.plan(len(train[0]), batch_size, n_features=64)
        print(
            f"{name:>10}{rate:15g}{history.epochs:8}{history.updates:9,}"
            f"{sum(history.seconds):9.3f}{(plan.batch_bytes or 0) / 1e3:12.1f}"
        )


def time_to_goal(
    train: tuple[np.ndarray, np.ndarray],
    valid: tuple[np.ndarray, np.ndarray],
    batch_size: int | None,
    learning_rate: float,
) -> gd.History | None:
    """Train until the validation loss is below the goal; None when it is never reached."""
    net = gd.Network([64, 64, 10], loss="cross_entropy", rng=0)

    def good_enough(net: gd.Network, history: gd.History) -> bool:
        return history.validation_loss[-1] < GOAL

    try:
        history = gd.train(
            net,
            *train,
            batch_size=batch_size,
            epochs=MOST_EPOCHS,
            optimizer=gd.SGD(learning_rate),
            validation=valid,
            callbacks=[good_enough],
            rng=0,
        )
    except gd.DivergenceError:
        return None
    return history if history.validation_loss[-1] < GOAL else None


if __name__ == "__main__":
    main()
