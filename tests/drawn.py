"""Shared by the tests of pictures: data to draw, and functions that read a picture."""

import matplotlib
import numpy as np
from hypothesis import strategies as st

import fastgd as gd
from fastgd.landscapes import EscapeShares
from fastgd.landscapes._escape import wilson_interval

matplotlib.use("Agg")

# what may stand beside a line, and losses of any kind
names = st.integers(1, 9) | st.none() | st.text("a_$ \\^{", max_size=5)
losses = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=6)


def history(losses, *, updates=None, seconds=None, **fields):
    """Return a history with these losses."""
    seconds = [0.5] * len(losses) if seconds is None else seconds
    updates = 10 * len(losses) if updates is None else updates
    return gd.History(list(losses), seconds=seconds, updates=updates, **fields)


def three_runs():
    epochs = np.arange(1, 21)
    return {
        1: history(2 * 0.7**epochs, updates=20 * 64, seconds=[0.8] * 20),
        8: history(2 * 0.75**epochs, updates=20 * 8, seconds=[0.2] * 20),
        None: history(2 * 0.9**epochs, updates=20, seconds=[0.1] * 20),
    }


def line_data():
    X = np.linspace(-1, 2, 40).reshape(-1, 1)
    return X, 2 * X[:, 0] + 1 + np.cos(7 * X[:, 0])


def traced(points, start=None, epochs=4):
    """Return a history whose parameters took this path."""
    points = np.asarray(points, np.float64)
    return history([1.0] * epochs, updates=len(points), trace={"params": points}, start=start)


def two_ways():
    angle = np.linspace(0, 9, 60)
    spiral = np.stack([1 + np.cos(angle), 2 + np.sin(angle)], axis=1)
    straight = np.linspace([0, 0], [2, 1], 12)
    return {1: traced(spiral, start=np.zeros(2)), None: traced(straight, start=np.zeros(2))}


def some_escapes(sizes=(64, 1, 8), escaped=(0, 199, 80), n_seeds=200):
    escaped = np.array(escaped)
    low, high = wilson_interval(escaped, n_seeds, 0.95)
    return EscapeShares(
        landscape=gd.landscapes.Quintic(), batch_sizes=np.array(sizes), n_seeds=n_seeds,
        updates=500, learning_rate=0.3, confidence=0.95, escaped=escaped,
        diverged=np.zeros(len(sizes), np.int64), share=escaped / n_seeds, low=low, high=high,
        median_updates=np.full(len(sizes), 100.0),
    )  # fmt: skip


def single_gradients(net, X, y):
    return np.stack([gd.gradient(net, X[i : i + 1], y[i : i + 1]) for i in range(len(X))])


def title_of(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def labels_of(ax):
    """Return the names of lines, from the legend or the lines' ends."""
    texts = ax.get_legend().get_texts() if ax.get_legend() else ax.texts
    return [text.get_text() for text in texts]


def recorded(values, name="loss", epochs=4):
    values = np.asarray(values, np.float64)
    steps = np.arange(1, len(values) + 1)
    return history([1.0] * epochs, updates=len(values), trace={name: values, "step": steps})
