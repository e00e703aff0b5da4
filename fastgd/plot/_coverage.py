"""The share of the data that samplings have drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from fastgd import _validation, _words
from fastgd._typing import AnyArray, FloatArray, RngLike
from fastgd.plot import _drawing, _labels
from fastgd.sampling import Sampler, make_sampler

__all__ = ["coverage"]


def coverage(
    samplings: str | Sampler | Iterable[str] | Mapping[str, str | Sampler],
    n: int,
    *,
    epochs: int = 1,
    labels: ArrayLike | None = None,
    rng: RngLike = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of the data that samplings have seen, against the number of draws.

    An epoch without replacement sees every sample once; n draws with replacement see
    1 - (1 - 1/n)^n of them, 63.2 % of a large data set.

    Parameters
    ----------
    samplings : str, sampler, sequence of str, or dict
        A value for ``fastgd.train(sampling=)``, or several, by name.
    n : int
        Samples in the data set.
    epochs : int
        How many epochs to draw.
    labels : array_like of shape (n,), optional
        Each sample's class; "stratified" needs it.
    rng : None, int or numpy.random.Generator
        Used to draw the orders; each sampling gets the same seed.
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
    >>> from fastgd import plot
    >>> ax = plot.coverage(["shuffle", "replacement"], 10_000)
    >>> ax.get_ylabel()
    'distinct samples seen (% of all)'
    """
    n = _validation.check_int("n", n, at_least=1)
    epochs = _validation.check_int("epochs", epochs, at_least=1)
    classes = None if labels is None else np.asarray(labels)
    if classes is not None and classes.shape != (n,):
        raise ValueError(f"labels has shape {classes.shape}, but must have ({n},), one per sample")
    samplers = _samplers(samplings, classes)
    seed = _validation.check_rng(rng).integers(1 << 63)
    _drawing.check_axes(ax)
    each = {name: _seen(sampler, n, epochs, int(seed)) for name, sampler in samplers.items()}
    seen = _joined(each)

    ax = _drawing.new_axes(ax)
    looks = _drawing.styles(list(seen), ax)
    for place, (name, shares) in enumerate(seen.items()):
        at = _drawing.thin(len(shares), 1001)
        marks = _drawing.sparse_marks(len(at), place)
        ax.plot(at, 100 * shares[at], markevery=marks, **looks[name])
    ax.set_ylim(0, 105)
    ax.set_xlim(left=0)
    if len(seen) > 1 or "" not in seen:
        _labels.name_lines(ax, ax.get_lines()[-len(seen) :], list(seen))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel(f"draws (an epoch of {n:,} samples has {n:,})")
    ax.set_ylabel("distinct samples seen (% of all)")
    _drawing.title(ax, _finding(each))
    return ax


def _samplers(
    samplings: str | Sampler | Iterable[str] | Mapping[str, str | Sampler],
    classes: AnyArray | None,
) -> dict[str, Sampler]:
    """Return the samplings by name; a single object has the name ""."""
    if callable(getattr(samplings, "epoch", None)):
        given: dict[str, Any] = {"": samplings}
    elif isinstance(samplings, str):
        given = {samplings: samplings}
    elif isinstance(samplings, Mapping):
        given = {str(name): sampling for name, sampling in samplings.items()}
    elif isinstance(samplings, Iterable):
        given = {name if isinstance(name, str) else repr(name): name for name in samplings}
    else:
        raise TypeError(
            f"samplings must name samplings, such as ['shuffle'], not {_words.show(samplings)}"
        )
    if not given:
        raise ValueError("samplings is empty: there is nothing to draw")
    if classes is None and "stratified" in [s for s in given.values() if isinstance(s, str)]:
        raise ValueError("the sampling 'stratified' needs labels=, each sample's class")
    return {name: make_sampler(sampling, classes) for name, sampling in given.items()}


def _seen(sampler: Sampler, n: int, epochs: int, seed: int) -> FloatArray:
    """Return the share of distinct samples after 0, 1, 2, ... draws."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([np.asarray(sampler.epoch(n, rng)) for _ in range(epochs)])
    new = np.zeros(len(order) + 1)
    new[np.unique(order, return_index=True)[1] + 1] = 1
    result: FloatArray = np.cumsum(new) / n
    return result


def _joined(seen: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the curves, with identical ones merged: the later would hide the earlier."""
    names: list[list[str]] = []
    for name, shares in seen.items():
        same = [group for group in names if np.array_equal(seen[group[0]], shares)]
        same[0].append(name) if same else names.append([name])
    return {" and ".join(group): seen[group[0]] for group in names}


def _finding(seen: Mapping[str, FloatArray]) -> str:
    """Compare the samplings that have seen the smallest and the largest share."""
    ends = {name: float(shares[-1]) for name, shares in seen.items()}
    low, high = min(ends, key=lambda k: ends[k]), max(ends, key=lambda k: ends[k])
    draws = {len(shares) - 1 for shares in seen.values()}
    after = f"After {_words.count(draws.pop(), 'draw')}" if len(draws) == 1 else "At its end"
    if len(ends) == 1:
        who = f"the sampling {low!r}" if low else "the sampling"
        return f"{after} {who} has seen {_drawing.percent(ends[low])} of the samples"
    if ends[low] == ends[high]:
        return f"{after} each sampling has seen {_drawing.percent(ends[low])} of the samples"
    return (
        f"{after} the sampling {low!r} has seen {_drawing.percent(ends[low])} of the samples, "
        f"{high!r} {_drawing.percent(ends[high])}"
    )
