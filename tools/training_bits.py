"""Train models of every kind and print a digest of each result: for emulate.py.

Data and initial parameters are small integers over a power of two, so that the output does not
depend on another library's rounding.
"""

from __future__ import annotations

import argparse
import hashlib

import numpy as np

import fastgd as gd
from fastgd.activations import ACTIVATIONS
from fastgd.backends import compiled

MODELS = {
    "linear": ((33, 1), "squared_error"),
    "logistic": ((17, 1), "log_loss"),
    "softmax": ((140, 5), "cross_entropy"),
    "network": ((20, 70, 17, 1), "huber"),
    "classes": ((30, 130, 3), "cross_entropy"),
}
OPTIMIZERS = {
    "SGD": gd.SGD(0.01),
    "momentum": gd.SGD(0.01, momentum=0.9, nesterov=True),
    "Adam": gd.Adam(0.01),
    "AdamW": gd.AdamW(0.01),
    "NAdam": gd.Nadam(0.01),
    "Adagrad": gd.Adagrad(0.01),
    "RMSprop": gd.RMSprop(0.01, momentum=0.9, centered=True),
    "ASGD": gd.ASGD(0.01, t0=3),
}
OPTIMIZERS |= {
    kind.__name__: kind(learning_rate=0.01)
    for kind in gd.optimizers.OPTIMIZERS.values()
    if kind not in map(type, OPTIMIZERS.values())
}
SETTINGS = {
    "single samples": {"batch_size": 1, "epochs": 1},
    "mini-batches": {"batch_size": 32, "epochs": 3},
    "all samples": {"batch_size": None, "epochs": 3},
    "adjusted": {"batch_size": 50, "epochs": 2, "clip_norm": 0.5, "l1": 0.01, "l2": 0.01},
    "private": {"batch_size": 50, "epochs": 2, "clip_per_sample": 0.5},
}


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return numbers between -2 and 2 that every dtype holds exactly."""
    return (rng.integers(-128, 129, size=shape) / 64).astype(dtype)


def bits(model: str, optimizer: str, setting: str, dtype: str, activation: str) -> str:
    """Train, and return a digest of the parameters and the losses."""
    sizes, loss = MODELS[model]
    rng = np.random.default_rng(0)
    X = whole(rng, (200, sizes[0]), dtype)
    y = rng.integers(max(2, sizes[-1]), size=200)
    net = gd.Network(sizes, hidden=activation, loss=loss, dtype=dtype, rng=0)
    net.params[:] = whole(rng, net.params.shape, dtype) / 8
    dropout = 0.25 if len(sizes) > 2 and setting == "mini-batches" else 0.0
    history = gd.train(
        net, X, y if loss != "huber" else y.astype(dtype), optimizer=OPTIMIZERS[optimizer],
        rng=1, dropout=dropout, **SETTINGS[setting],
    )  # fmt: skip
    losses = np.array(history.loss)
    return hashlib.sha256(net.params.tobytes() + losses.tobytes()).hexdigest()[:16]


def main() -> None:
    """Train every model with every optimizer, dtype and setting, with activations in turn."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    compiled.ALL_THREADS = True
    turn = 0
    for model in MODELS:
        for optimizer in OPTIMIZERS:
            for dtype in ("float32", "float64"):
                for setting in SETTINGS:
                    activation = list(ACTIVATIONS)[turn % len(ACTIVATIONS)]
                    turn += 1
                    found = bits(model, optimizer, setting, dtype, activation)
                    print(f"{model}, {optimizer}, {setting}, {dtype}, {activation}: {found}")


if __name__ == "__main__":
    main()
