"""Pictures: what the titles say is so, odd input is refused or drawn rightly, images as kept.

The kept images in tests/pictures hold no text, whose pixels differ between versions of
matplotlib; ``python tests/test_plot.py`` writes them anew. Look at them before you keep them.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.testing.compare import compare_images

import fastgd as gd
from fastgd import plot
from fastgd.landscapes import EscapeShares, wilson_interval

KEPT = Path(__file__).parent / "pictures"
#: root mean square of the pixels' differences, of 255. Antialiasing of other versions makes less
#: than 1, a line that is missing 5 or more.
TOLERANCE = 2.0


@pytest.fixture(autouse=True)
def _own_figures():
    """Draw with matplotlib's own style, and leave no figure open."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
    plt.close("all")


# --- data -----------------------------------------------------------------------------------


def history(losses, *, updates=None, seconds=None, **fields):
    """A history as it would be after these losses."""
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


def traced(points, epochs=4):
    """A history whose parameters went this way."""
    points = np.asarray(points, np.float64)
    return history([1.0] * epochs, updates=len(points), trace={"params": points})


def two_ways():
    angle = np.linspace(0, 9, 60)
    spiral = np.stack([1 + np.cos(angle), 2 + np.sin(angle)], axis=1)
    return {1: traced(spiral), None: traced(np.linspace([0, 0], [2, 1], 12))}


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


@pytest.fixture
def per_sample(monkeypatch):
    """Take the definition for `gd.per_sample_gradients`."""
    monkeypatch.setattr(gd, "per_sample_gradients", single_gradients, raising=False)


def title_of(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --- kept images ----------------------------------------------------------------------------


def draw_spread(ax):
    X, y = line_data()
    return plot.gradient_spread(gd.Network([1, 1]), X, y, batch_size=8, ax=ax)


PICTURES = {
    "loss": lambda ax: plot.loss(three_runs(), against="second", ax=ax),
    "paths": lambda ax: plot.paths(*line_data(), two_ways(), start=(0, 0), ax=ax),
    "schedules": lambda ax: plot.schedules(
        {
            "falls": gd.schedules.Exponential(0.95),
            "falls each update": gd.schedules.Exponential(0.99, unit="update"),
        },
        updates_per_epoch=4, epochs=40, ax=ax,
    ),
    "coverage": lambda ax: plot.coverage(["shuffle", "replacement"], 300, ax=ax),
    "escape": lambda ax: plot.escape(some_escapes(), ax=ax),
    "gradient_spread": draw_spread,
}  # fmt: skip


def picture_without_text(draw, path):
    """Draw on axes of a fixed place; keep the marks and lines alone."""
    figure = plt.figure(figsize=(3.2, 2.4))
    ax = draw(figure.add_axes((0.04, 0.04, 0.92, 0.92)))
    ax.set_title("", loc="left")
    ax.set(xlabel="", ylabel="")
    ax.tick_params(which="both", labelbottom=False, labelleft=False)
    if ax.get_legend():
        ax.get_legend().remove()
    for text in ax.texts:
        text.set_visible(False)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_as_kept(name, tmp_path, per_sample):
    picture_without_text(PICTURES[name], tmp_path / f"{name}.png")
    difference = compare_images(KEPT / f"{name}.png", tmp_path / f"{name}.png", TOLERANCE)
    assert difference is None


@pytest.mark.parametrize("name", PICTURES)
def test_a_missing_line_is_no_picture_as_kept(name, tmp_path, per_sample):
    def draw_less(ax):
        PICTURES[name](ax).get_lines()[-1].remove()
        return ax

    kept = tmp_path / "kept.png"
    kept.write_bytes((KEPT / f"{name}.png").read_bytes())
    picture_without_text(draw_less, tmp_path / f"{name}.png")
    assert compare_images(kept, tmp_path / f"{name}.png", TOLERANCE) is not None


def test_kept_pictures_are_small():
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 300_000


if __name__ == "__main__":
    matplotlib.rcdefaults()
    gd.per_sample_gradients = single_gradients
    KEPT.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        picture_without_text(draw, KEPT / f"{name}.png")
