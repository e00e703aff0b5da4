"""Paths of a line's two parameters over the contours of the cost."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from PIL import Image  # comes with matplotlib

from fastgd import _data, _validation
from fastgd._typing import FloatArray
from fastgd.history import History
from fastgd.plot import _drawing, _labels
from fastgd.plot._drawing import Histories

__all__ = ["animate_paths", "paths"]

#: the most points of a path to draw; more would not be visible
MOST_POINTS = 20_000
#: long paths that wander this many times the straight distance are drawn pale, so that other paths
#: remain visible
MANY_POINTS, WANDERS, ALPHA = 100, 3.0, 0.5
#: points whose excess cost is more than this multiple of the starts' (or of the lowest) are cut off
CUT_OFF = 4.0
#: larger numbers would overflow when squared
TOO_LARGE = 1e150
LAST_FRAME_MS = 2000
#: shares of white or black in the pixels at a line's edge
EDGES = np.linspace(0, 0.9, 10)


@dataclass(frozen=True)
class _Bowl:
    """The cost of a line through points, mean((theta1 x + theta0 - y)^2), about its minimum.

    It is ``least + a u^2 + 2 b u v + v^2``, with u and v the distances of theta1 and theta0 from
    the minimum, a the mean of x^2 and b the mean of x. In this form it never rounds below the
    least.
    """

    minimum: FloatArray
    least: float
    a: float
    b: float
    unique: bool

    def excess(self, theta1: FloatArray, theta0: FloatArray) -> FloatArray:
        """Return the cost minus the lowest cost."""
        u, v = theta1 - self.minimum[0], theta0 - self.minimum[1]
        with np.errstate(over="ignore", invalid="ignore"):
            result = (v + self.b * u) ** 2 + max(0.0, self.a - self.b**2) * u**2
        return np.where(np.isnan(result), np.inf, result)


@dataclass(frozen=True)
class _Track:
    """The path of one run: (theta1, theta0), and the epoch of each point."""

    name: str
    points: FloatArray
    times: FloatArray

    def wandering(self) -> float:
        """Return the length of the path divided by the straight distance to its end."""
        with np.errstate(over="ignore"):
            straight = float(np.hypot(*(self.points[-1] - self.points[0])))
            length = float(np.hypot(*np.diff(self.points, axis=0).T).sum())
        return length / straight if straight > 0 and math.isfinite(length) else math.nan


@dataclass(frozen=True)
class _Scene:
    """The contents of one picture of paths."""

    bowl: _Bowl
    tracks: list[_Track]
    #: left, right, bottom, top
    box: tuple[float, float, float, float]


def paths(
    X: ArrayLike,
    y: ArrayLike,
    histories: Histories,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the paths of theta1 and theta0 over the contours of the cost.

    The model is the line theta1 x + theta0, ``fastgd.Network([1, 1])``; the cost the mean of
    its squared errors. The title compares how much the runs wander: the length of each path divided
    by the straight distance to its end.

    Parameters
    ----------
    X : array_like of shape (n, 1)
        Samples.
    y : array_like of shape (n,) or (n, 1)
        Targets.
    histories : History or dict of History
        Results of ``fastgd.train(..., record=("params",))``, by name. An int as name means a
        batch size, None batch gradient descent. A path starts at the history's ``start``, or, if
        recording started later, after the first recorded update.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    See Also
    --------
    animate_paths : The same as an animation.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> X = np.linspace(-1, 2, 64).reshape(-1, 1)
    >>> y = 2 * X[:, 0] + 1 + np.random.default_rng(0).normal(size=64)
    >>> runs = {}
    >>> for batch_size in (1, None):
    ...     net = gd.Network([1, 1])
    ...     runs[batch_size] = gd.train(
    ...         net, X, y, batch_size=batch_size, optimizer=gd.SGD(0.1), record=("params",), rng=0
    ...     )
    >>> ax = plot.paths(X, y, runs)
    >>> [text.get_text() for text in ax.get_legend().get_texts()][:2]
    ['batch size 1', 'all 64']
    """
    scene = _scene(X, y, histories)
    _drawing.check_axes(ax)
    ax = _drawing.new_axes(ax, (6.4, 5.2))
    _draw_ground(ax, scene)
    for track, lines in zip(scene.tracks, _draw_tracks(ax, scene), strict=True):
        _show(lines, track.points)
        marks = _drawing.sparse_marks(min(len(track.points), MOST_POINTS), 0)
        lines[0].set_markevery(marks)
    _drawing.title(ax, _finding(scene))
    return ax


def animate_paths(
    X: ArrayLike,
    y: ArrayLike,
    histories: Histories,
    path: str | os.PathLike[str],
    *,
    frames: int = 60,
    fps: int = 12,
    dpi: int = 100,
) -> Path:
    """Write the paths of `paths` as an animation, in which all runs advance epoch by epoch.

    Parameters
    ----------
    X : array_like of shape (n, 1)
        Samples.
    y : array_like of shape (n,) or (n, 1)
        Targets.
    histories : History or dict of History
        As for `paths`.
    path : path_like
        The file, which ends in ``.gif``. An existing file is replaced.
    frames : int
        The number of frames; the last one stays for two seconds.
    fps : int
        Frames per second.
    dpi : int
        Pixels per inch; the picture is 6.4 by 5.2 inches large.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above. Nothing was written then.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.5]
    >>> history = gd.train(gd.Network([1, 1]), X, y, batch_size=1, record=("params",), rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = plot.animate_paths(X, y, history, os.path.join(folder, "way.gif"), frames=3)
    ...     file.stat().st_size > 1000
    True
    """
    scene = _scene(X, y, histories)
    frames = _validation.check_int("frames", frames, at_least=2)
    fps = _validation.check_int("fps", fps, at_least=1)
    dpi = _validation.check_int("dpi", dpi, at_least=10)
    file = Path(path)
    if file.suffix.lower() != ".gif":
        raise ValueError(f"path is {os.fspath(path)!r}, but must end in .gif")
    if not file.parent.is_dir():
        raise ValueError(f"the folder of {os.fspath(path)!r} does not exist; create it first")
    _write_frames(scene, file, frames, fps, dpi)
    return file


def _scene(X: ArrayLike, y: ArrayLike, histories: Histories) -> _Scene:
    """Check the arguments of `paths`; compute everything to draw."""
    runs = _drawing.named("histories", histories, History, "what fastgd.train returned")
    double = np.dtype(np.float64)
    X = _data.check_X(X, 1, double)
    y = _data.check_y(y, len(X), 1, "squared_error", double)
    bowl = _bowl(X[:, 0], y[:, 0])
    tracks = [_track(name, run) for name, run in runs.items()]
    return _Scene(bowl, tracks, _box(bowl, tracks))


def _bowl(x: FloatArray, y: FloatArray) -> _Bowl:
    """Return the cost of a line through points."""
    columns = np.stack([x, np.ones_like(x)], axis=1)
    minimum, _, rank, _ = np.linalg.lstsq(columns, y, rcond=None)
    least = float(np.mean((columns @ minimum - y) ** 2))
    if least <= (8 * np.finfo(np.float64).eps) ** 2 * float(np.mean(y**2)):
        least = 0.0  # only rounding errors
    return _Bowl(minimum, least, float(np.mean(x**2)), float(np.mean(x)), rank == 2)


def _track(name: str, run: History) -> _Track:
    """Return the finite part of a run's path."""
    which = f"histories[{name!r}]" if name else "the history"
    points = run.trace.get("params")
    if points is None:
        raise ValueError(f"{which} has no parameters: train with record=('params',)")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"{which} has {points.shape[-1]} parameters per update, but paths are drawn for the "
            "two of a line, fastgd.Network([1, 1])"
        )
    points = points.astype(np.float64)
    steps = run.trace.get("step", np.arange(1, len(points) + 1))
    times = _drawing.epochs_at(run, steps)
    if run.start is not None:
        points, times = np.concatenate([run.start[None], points]), np.append(0.0, times)
    finite = np.isfinite(points).all(axis=1)
    if not finite.any():
        raise ValueError(f"{which} has no update: there is no path to draw")
    return _Track(name, points[finite], times[finite])


def _box(bowl: _Bowl, tracks: Sequence[_Track]) -> tuple[float, float, float, float]:
    """Return a box around the minimum and all points near it, with a margin."""
    starts = np.stack([track.points[0] for track in tracks])
    limit = CUT_OFF * max(float(bowl.excess(*starts.T).max()), bowl.least)
    near = [track.points[bowl.excess(*track.points.T) <= limit] for track in tracks]
    if limit == 0:  # all start at the minimum, and may leave it
        near = [track.points for track in tracks]
    shown = np.concatenate([starts, *near] + ([bowl.minimum[None]] if bowl.unique else []))
    low, high = shown.min(axis=0), shown.max(axis=0)
    if not max(np.abs(low).max(), np.abs(high).max()) < TOO_LARGE:
        raise ValueError(
            f"the paths start at {starts[0].tolist()}, and the minimum is at "
            f"{bowl.minimum.tolist()}: too far away to draw; start nearer"
        )
    size = high - low
    size = np.where(size > 0, size, max(size.max(), 1e-3 * np.abs(shown).max(), 1e-6))
    left, bottom = low - 0.12 * size
    right, top = high + 0.12 * size
    return float(left), float(right), float(bottom), float(top)


def _draw_ground(ax: Axes, scene: _Scene) -> None:
    """Draw the cost's contours, at 1 and 3 times the powers of ten, and the minimum."""
    left, right, bottom, top = scene.box
    looks = _drawing.looks(ax)
    theta1, theta0 = np.meshgrid(np.linspace(left, right, 121), np.linspace(bottom, top, 121))
    excess = scene.bowl.excess(theta1, theta0)
    highest = float(excess.max())
    powers = np.arange(-5, 1) + math.floor(math.log10(highest)) if highest > 0 else np.empty(0)
    levels = [d * 10.0**k for k in powers for d in (1, 3) if d * 10.0**k < highest]
    if levels:
        lines = ax.contour(
            theta1, theta0, excess, levels, colors=looks.soft, linewidths=0.7, zorder=0
        )
        ax.clabel(lines, levels[-7:], fmt="%g", fontsize=7)
    if scene.bowl.unique:
        ax.plot(
            *scene.bowl.minimum,
            marker="*",
            markersize=13,
            linestyle="",
            color=looks.paper,
            markeredgecolor=looks.ink,
            zorder=6,
        )
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_xlabel(r"$\theta_1$, slope (units of y per unit of x)")
    ax.set_ylabel(r"$\theta_0$, intercept (units of y)")


def _draw_tracks(ax: Axes, scene: _Scene) -> list[tuple[Line2D, Line2D]]:
    """Draw each run's path with a mark at its end, and the legend."""
    left, right, bottom, top = scene.box
    looks = _drawing.styles([track.name for track in scene.tracks], ax)
    ink, soft = _drawing.looks(ax).ink, _drawing.looks(ax).soft
    lines, labels = [], []
    for track in scene.tracks:  # long paths, which fill an area, lie below short ones
        look = looks[track.name]
        wanders = len(track.points) > MANY_POINTS and not track.wandering() < WANDERS
        faded = {"linewidth": 0.8, "alpha": ALPHA, "linestyle": "-", "markersize": 0}
        order = 2 + 1 / (1 + len(track.points))
        way = ax.plot([], [], zorder=order, **(look | (faded if wanders else {"linewidth": 1.6})))[
            0
        ]
        end = ax.plot([], [], zorder=5, **(look | {"linestyle": "", "markersize": 9}))[0]
        end.set_markeredgecolor(ink)
        _show((way, end), track.points)
        lines.append((way, end))
        inside = (track.points >= (left, bottom)) & (track.points <= (right, top))
        name = track.name or "the training"
        labels.append(name if inside.all() else f"{name} (leaves the picture)")
    handles = [
        Line2D([], [], color=end.get_color(), linestyle=way.get_linestyle(),
               marker=end.get_marker(), markersize=6)
        for way, end in lines
    ]  # fmt: skip
    handles.append(Line2D([], [], color=soft, linewidth=0.7))
    labels.append("cost above the lowest")
    if scene.bowl.unique:
        paper = _drawing.looks(ax).paper
        star = Line2D([], [], marker="*", linestyle="", color=paper, markersize=11)
        star.set_markeredgecolor(ink)
        handles.append(star)
        labels.append(f"lowest cost, {_drawing.number(scene.bowl.least)}")
    _labels.legend(ax, handles, labels, fontsize="small")
    return lines


def _show(lines: tuple[Line2D, Line2D], points: FloatArray) -> None:
    """Set the points of a run's path, and of the mark at its end."""
    shown = points[_drawing.thin(len(points), MOST_POINTS)]
    lines[0].set_data(shown[:, 0], shown[:, 1])
    lines[1].set_data(shown[-1:, 0], shown[-1:, 1])


def _finding(scene: _Scene) -> str:
    """Compare how much the runs wander; if that is undefined, state where the best one ends."""
    ratios = {track.name: track.wandering() for track in scene.tracks}
    known = {name: ratio for name, ratio in ratios.items() if math.isfinite(ratio)}
    if len(known) > 1:
        most, least = max(known, key=lambda k: known[k]), min(known, key=lambda k: known[k])
        large, small = (_drawing.ratio(known[name]) for name in (most, least))
        if large == small:
            return f"All runs travel {large} times the straight-line distance"
        return (
            f"{_drawing.capital(most)} {_drawing.verb(most, 'travels', 'travel')} {large} times "
            "the straight-line distance, "
            f"{least} only {small} times"
        )
    ends = {t.name: float(scene.bowl.excess(*t.points[-1])) for t in scene.tracks}
    best = min(ends, key=lambda k: ends[k])
    who = _drawing.capital(best) or "The training"
    if not math.isfinite(ends[best]):
        return f"{who} diverges"
    above, least = _drawing.number(ends[best]), _drawing.number(scene.bowl.least)
    return f"{who} ends at a cost {above} above the lowest, {least}"


def _write_frames(scene: _Scene, file: Path, frames: int, fps: int, dpi: int) -> None:
    """Draw the animation frame by frame, and write it."""
    figure = Figure(figsize=(6.4, 5.2), dpi=dpi, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    ax = figure.subplots()
    for patch in (figure.patch, ax.patch):
        if to_rgba(patch.get_facecolor())[3] < 1:  # a GIF has no pale edges on clear paper
            patch.set_facecolor(_drawing.looks(ax).paper)
    ax.spines[["top", "right"]].set_visible(False)
    _draw_ground(ax, scene)
    lines = _draw_tracks(ax, scene)
    _drawing.title(ax, _finding(scene))  # the tallest title, which sets the layout
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    most = max(float(track.times[-1]) for track in scene.tracks)
    palette = _palette([way.get_color() for way, _ in lines])
    images = []
    for frame in range(frames):
        epoch = most * frame / (frames - 1)
        for track, pair in zip(scene.tracks, lines, strict=True):
            shown = int(np.searchsorted(track.times, epoch * (1 + 1e-9), side="right"))
            _show(pair, track.points[: max(1, shown)])
            pair[0].set_markevery([])
        last = frame == frames - 1
        _drawing.title(ax, _finding(scene) if last else f"After {epoch:.1f} of {most:g} epochs")
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        images.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
    durations = [1000 / fps] * (frames - 1) + [LAST_FRAME_MS]
    images[0].save(file, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _palette(colors: Sequence[Any]) -> Image.Image:
    """Return an image whose palette has the lines' colours and those of their smoothed edges.

    A palette from a frame's pixels would lose the colours of thin lines and vary between frames.
    """
    ground = np.linspace([0, 0, 0], [1, 1, 1], 32)
    shades = [ground]
    for color in dict.fromkeys(colors):  # at most six
        rgb = np.array(to_rgb(color))
        shades += [rgb + EDGES[:, None] * (end - rgb) for end in (1.0, 0.0)]
        shades += [
            (rgb * ALPHA + np.array(to_rgb(other)) * ALPHA * (1 - ALPHA) + (1 - ALPHA) ** 2)[None]
            for other in dict.fromkeys(colors)  # what a faded line makes of another below it
        ]
    table = np.concatenate(shades)
    image = Image.new("P", (1, 1))
    image.putpalette((255 * table).round().astype(np.uint8).tobytes())
    return image
