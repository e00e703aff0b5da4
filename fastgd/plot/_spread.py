"""The gradients of single samples and their mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from fastgd import _data, _layout, _validation, _words
from fastgd._typing import AnyArray, FloatArray, SamplesLike
from fastgd.gradients import per_sample_gradients
from fastgd.network import Network, check_network, read_rows
from fastgd.plot import _drawing, _labels
from fastgd.rows import Rows, subset

__all__ = ["gradient_spread"]

#: the most points of a cloud to draw
MOST_DOTS = 5_000
CHUNK_BYTES = 1 << 24


def gradient_spread(
    net: Network,
    X: SamplesLike,
    y: ArrayLike,
    *,
    parameters: Sequence[int] = (0, -1),
    batch_size: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the gradients of single samples and their mean, for two of the parameters.

    The mean is the gradient of the batch of all samples, which hides how the single ones differ.
    The ellipses show one standard deviation: of a sample's gradient, and of the gradient of a
    batch drawn without replacement, whose variance is (n - B) / (n - 1) / B times as large
    (Cochran 1977, Sampling Techniques, theorem 2.2).

    Parameters
    ----------
    net : Network
        The network; it is not changed.
    X : array_like of shape (n, sizes[0])
        Samples.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    parameters : sequence of two int
        Indices in ``net.params``; by default the first weight and the last bias, which are
        theta1 and theta0 of a line.
    batch_size : int, optional
        Also draw the spread of the gradients of batches of this size; None draws only the mean.
    ax : matplotlib.axes.Axes, optional
        The axes to draw on; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> from fastgd import plot
    >>> X = np.linspace(-1, 2, 64).reshape(-1, 1)
    >>> y = 2 * X[:, 0] + 1 + np.random.default_rng(0).normal(size=64)
    >>> ax = plot.gradient_spread(gd.Network([1, 1]), X, y, batch_size=8)
    >>> print(ax.get_title(loc="left"))
    Single gradients deviate from their mean by 1.11 times its
    length, those of batches of 8 by 0.369 times
    """
    check_network(net)
    chosen = _check_parameters(parameters, net.n_params)
    X = read_rows(net, X)
    y = _data.check_y(y, len(X), net.sizes[-1], net.loss, net.dtype)
    size = _validation.check_batch_size(batch_size, len(X))
    _drawing.check_axes(ax)
    gradients = _sample_gradients(net, X, y, chosen)
    n, mean = len(gradients), gradients.mean(axis=0)
    covariance = np.cov(gradients.T, ddof=0) if n > 1 else np.zeros((2, 2))
    shrink = (n - size) / (n - 1) / size if n > 1 else 0.0

    ax = _drawing.new_axes(ax, (6.4, 5.2))
    shown = _drawing.thin(n, MOST_DOTS)
    looks = _drawing.looks(ax)
    dots = ax.plot(*gradients[shown].T, "o", color=looks.soft, fillstyle="none", markersize=4)[0]
    some = "" if len(shown) == n else f"{len(shown):,} of "
    handles, labels = [dots], [f"single samples ({some}{n:,})"]
    for factor, dashes, name in (
        (1.0, (0, (6, 2)), "one standard deviation: single samples"),
        (shrink, "-", f"one standard deviation: batches of {size:,}"),
    ):
        if factor > 0 and covariance.any() and not (size == 1 and factor != 1.0):
            outline = _ellipse(mean, covariance * factor)
            handles += ax.plot(*outline, color=looks.lines[0], linestyle=dashes, linewidth=1.6)
            labels.append(name)
    handles += ax.plot(
        *mean, "X", color=looks.lines[1], markeredgecolor=looks.ink, markersize=11, linestyle="",
        zorder=5,
    )  # fmt: skip
    labels.append(f"their mean ({', '.join(_drawing.number(float(m)) for m in mean)})")
    ax.axhline(0, color=looks.soft, linewidth=0.6, zorder=0)
    ax.axvline(0, color=looks.soft, linewidth=0.6, zorder=0)
    names = [_parameter_name(net.sizes, place) for place in chosen]
    ax.set_xlabel(f"gradient of the loss by {names[0]} (loss per unit)")
    ax.set_ylabel(f"gradient of the loss by {names[1]} (loss per unit)")
    _labels.legend(ax, handles, labels, fontsize="small")
    _drawing.title(ax, _finding(mean, covariance, n, size, shrink))
    return ax


def _check_parameters(parameters: Sequence[int], n_params: int) -> tuple[int, int]:
    """Return the indices of two parameters, counted from 0."""
    if (
        isinstance(parameters, (str, Set, Mapping))  # these have no order
        or not isinstance(parameters, Collection)
        or len(parameters) != 2
    ):
        raise TypeError(
            "parameters must be two places in net.params, such as (0, -1), not "
            f"{_words.show(parameters)}"
        )
    places = [
        _validation.check_int(f"parameters[{k}]", place, at_least=-n_params)
        for k, place in enumerate(parameters)
    ]
    for k, place in enumerate(places):
        if place >= n_params:
            raise ValueError(
                f"parameters[{k}] is {place}, but the network has {n_params} parameters, from 0 on"
            )
    first, second = (place % n_params for place in places)
    if first == second:
        raise ValueError(f"parameters names the parameter {first} twice; choose two")
    return first, second


def _sample_gradients(net: Network, X: Rows, y: AnyArray, chosen: tuple[int, int]) -> FloatArray:
    """Return the samples' gradients for two parameters, of shape (n, 2), in float64."""
    rows = max(1, CHUNK_BYTES // (net.n_params * net.dtype.itemsize))
    parts = [
        per_sample_gradients(net, subset(X, slice(k, k + rows)), y[k : k + rows])[:, chosen]
        for k in range(0, len(X), rows)
    ]
    return np.concatenate(parts).astype(np.float64)


def _ellipse(center: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the outline of one standard deviation, of shape (2, points)."""
    variances, axes = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    outline: FloatArray = center[:, None] + (axes * np.sqrt(np.maximum(variances, 0))) @ circle
    return outline


def _parameter_name(sizes: Sequence[int], place: int) -> str:
    """Return a parameter's name: theta1 or theta0 for a line, otherwise its index in a layer."""
    if tuple(sizes) == (1, 1):
        return (r"$\theta_1$", r"$\theta_0$")[place]
    marks = np.zeros(_layout.count(sizes))
    marks[place] = 1
    weights, biases = _layout.split(sizes, marks)
    for kind, arrays in (("weights", weights), ("biases", biases)):
        for layer, array in enumerate(arrays):
            if array.any():
                where = ", ".join(str(k) for k in np.argwhere(array)[0])
                return f"{kind}[{layer}][{where}]"
    raise AssertionError(place)


def _finding(mean: FloatArray, covariance: FloatArray, n: int, size: int, shrink: float) -> str:
    """Compare the root mean square distance from the mean with the mean's length."""
    length, spread = float(np.linalg.norm(mean)), math.sqrt(max(0.0, float(np.trace(covariance))))
    if n == 1:
        return f"One sample: its gradient is the mean, {_drawing.number(length)} long"
    if spread <= 1e-6 * length or spread == 0:
        return f"The gradients of all {n:,} samples agree: {_drawing.number(length)} long"
    if length < 1e-6 * spread:
        return (
            "The mean gradient vanishes, yet single ones are "
            f"{_drawing.number(spread)} long (root mean square)"
        )
    text = (
        f"Single gradients deviate from their mean by {_drawing.number(spread / length)} times its"
    )
    if 1 < size < n:
        off = _drawing.number(math.sqrt(shrink) * spread / length)
        return f"{text} length, those of batches of {size:,} by {off} times"
    return f"{text} length (root mean square)"
