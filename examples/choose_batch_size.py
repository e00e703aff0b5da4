"""Choose a batch size: how many epochs, updates and seconds each needs to reach one loss.

Small batches make many cheap updates, large ones few expensive updates. What counts is the time
until the model is good enough. Each batch size tries several learning rates here and keeps the
fastest, since no single learning rate suits all of them.

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

    def good_enough(net: gd.Network, history: gd.History) -> bool:
        return history.validation_loss[-1] < GOAL

    result = gd.compare(
        gd.Network([64, 64, 10], loss="cross_entropy", rng=0),
        *train,
        BATCH_SIZES,
        epochs=MOST_EPOCHS,
        optimizer=[gd.SGD(rate) for rate in LEARNING_RATES],
        validation=valid,
        goal=GOAL,
        callbacks=[good_enough],
        rng=0,
        side_by_side=False,  # so that seconds are those of a single run
    )
    print(f"Until the loss on 360 images that are not trained on is below {GOAL}:\n")
    print("batch size  learning rate  epochs  updates  seconds  kB per batch")
    for entry in result:
        reached = entry.time_to(GOAL)
        if reached is None:
            print(f"{entry.batch_size:>10,}  not reached in {MOST_EPOCHS} epochs")
            continue
        plan = gd.plan(len(train[0]), entry.batch_size, n_features=64)
        print(
            f"{entry.batch_size:>10,}{entry.optimizer.learning_rate:15g}{reached.epochs:8}"
            f"{reached.updates:9,}{reached.seconds:9.3f}{(plan.batch_bytes or 0) / 1e3:12.1f}"
        )


if __name__ == "__main__":
    main()
