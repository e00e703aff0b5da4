"""Draw every kind of picture in fastgd: effects of batch size, sampling, noise, learning rate.

Run it: `python examples/pictures.py FOLDER`; needs `pip install fastgd[plot]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

try:
    import matplotlib
except ImportError as error:
    raise SystemExit("this example needs Matplotlib: pip install 'fastgd[plot]'") from error

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

import fastgd as gd
from fastgd import plot
from fastgd.data import load_digits

BATCH_SIZES = (1, 8, 64, None)


def main() -> None:
    """Write the pictures into a folder, and print each one's title."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; created if missing")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        ax = draw()
        file = folder / f"{name}.png"
        figure = ax.get_figure()
        figure.savefig(file, dpi=120)
        plt.close(figure)
        print(f"{file}: {ax.get_title(loc='left').replace(chr(10), ' ')}")
    X, y = line_data()
    print(plot.animate_paths(X, y, line_runs(), folder / "paths.gif"))


def line_data() -> tuple[np.ndarray, np.ndarray]:
    """Return points around the line 1.5 x + 4, with x away from 0: a long and narrow bowl."""
    rng = np.random.default_rng(1)
    X = rng.uniform(0, 3, size=(256, 1))
    return X, 1.5 * X[:, 0] + 4 + rng.normal(0, 1.5, 256)


def line_runs() -> dict[int | None, gd.History]:
    """Fit the line with each batch size, from (0, 0)."""
    X, y = line_data()
    return {
        size: gd.train(
            gd.Network([1, 1], dtype="float64"), X, y, batch_size=size, epochs=10,
            optimizer=gd.SGD(0.02 if size == 1 else 0.1), record=("params", "loss"), rng=0,
        )
        for size in BATCH_SIZES
    }  # fmt: skip


def digits_runs() -> dict[int | None, gd.History]:
    """Train a network on the digits with each batch size, at a suitable learning rate."""
    images, labels = load_digits()
    X, y = (images / 16.0).astype(np.float32), labels.astype(np.int64)
    rates = {1: 0.03, 8: 0.1, 64: 0.4, None: 1.0}
    return {
        size: gd.train(
            gd.Network([64, 64, 10], loss="cross_entropy", rng=0), X[400:], y[400:],
            batch_size=size, epochs=30, optimizer=gd.SGD(rates[size]),
            validation=(X[:400], y[:400]), rng=0,
        )
        for size in BATCH_SIZES
    }  # fmt: skip


def paths() -> plt.Axes:
    """Draw the paths of theta1 and theta0."""
    X, y = line_data()
    return plot.paths(X, y, line_runs())


def spread() -> plt.Axes:
    """Draw the gradients of single samples at the start of the line's training."""
    net = gd.Network([1, 1], dtype="float64")
    net.params[:] = (0, 4)
    return plot.gradient_spread(net, *line_data(), batch_size=8)


def noise() -> plt.Axes:
    """Draw how the noise scale of a network on the digits grows during training."""
    images, labels = load_digits()
    X, y = (images / 16.0).astype(np.float32), labels.astype(np.int64)
    runs = {
        size: gd.train(
            gd.Network([64, 64, 10], loss="cross_entropy", rng=0), X, y, batch_size=size,
            epochs=10, optimizer=gd.SGD(0.1), record=("noise_scale",), rng=0,
        )
        for size in (64, 256)
    }  # fmt: skip
    return plot.trace(runs, "noise_scale", against="epoch")


def learning_rates() -> plt.Axes:
    """Draw learning-rate schedules."""
    schedules = gd.schedules
    return plot.schedules(
        {
            "step": schedules.Step(30, gamma=0.3),
            "exponential": schedules.Exponential(0.96),
            "cosine": schedules.Cosine(100),
            "one cycle": schedules.OneCycle(3000),
            "warm-up, then inverse scaling": schedules.WarmUp(300, schedules.InverseScaling(0.25)),
        },
        updates_per_epoch=30,
    )


def two_samples() -> plt.Axes:
    """Draw the graph of a line's cost, with the values for two samples."""
    graph = gd.nodes.linear_cost(theta1=1, theta0=1)
    graph.forward(x=[1, 2], y=[1, 3])
    return plot.graph(graph)


def leave_saddle() -> plt.Axes:
    """Draw how many runs leave the saddles of the quintic and of the two-dimensional cost."""
    landscapes = gd.landscapes
    return plot.escape(
        {
            name: landscapes.escape_share(landscape, n_seeds=100)
            for name, landscape in (
                ("quintic", landscapes.Quintic()),
                ("two dimensions", landscapes.Saddle()),
            )
        }
    )


PICTURES = {
    "loss_by_epoch": lambda: plot.loss(digits_runs(), against="epoch"),
    "loss_by_update": lambda: plot.loss(digits_runs(), against="update"),
    "loss_by_second": lambda: plot.loss(digits_runs(), against="second", target=0.1),
    "validation": lambda: plot.loss(digits_runs(), validation=True, target=0.2),
    "paths": paths,
    "trace": lambda: plot.trace(line_runs(), against="epoch"),
    "noise_scale": noise,
    "schedules": learning_rates,
    "escape": leave_saddle,
    "gradient_spread": spread,
    "coverage": lambda: plot.coverage(["shuffle", "replacement", "sequential"], 10_000),
    "graph": two_samples,
}

if __name__ == "__main__":
    main()
