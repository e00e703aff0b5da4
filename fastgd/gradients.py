"""Gradients at the current parameters, without an update."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

from fastgd import _data, _validation, backends
from fastgd._arguments import helpful
from fastgd._plan import Plan
from fastgd._typing import AnyArray, FloatArray, SamplesLike
from fastgd.network import Network, check_alone, check_network, loader_of, read_rows
from fastgd.optimizers import SGD
from fastgd.rows import Rows
from fastgd.rows._blocks import Blocks, is_blocks

__all__ = ["gradient", "per_sample_gradients", "per_sample_norms", "plan_all", "plans_of_blocks"]


@helpful
def gradient(
    net: Network,
    X: SamplesLike,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: str = "mean",
    backend: str = "compiled",
) -> FloatArray:
    """Return the gradient of the loss over samples.

    Parameters
    ----------
    net : Network
        The network; it is not changed.
    X : array_like or scipy.sparse array, of shape (n, sizes[0]), or Blocks
        Samples. Blocks are read once; the sum over them is in float64.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them; blocks bring them.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses.
    reduction : {"mean", "sum"}
        Over the samples; the mean divides by their number.
    backend : {"compiled", "vectorized", "loop"}
        The implementation to use.

    Returns
    -------
    ndarray of shape (n_params,)
        Laid out as ``net.params``.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    The cost of two samples, y = 1 at x = 1 and y = 3 at x = 2, at theta1 = theta0 = 0:

    >>> import fastgd as gd
    >>> gd.gradient(gd.Network([1, 1]), [[1.0], [2.0]], [1.0, 3.0]).tolist()
    [-7.0, -4.0]

    See Also
    --------
    per_sample_gradients : The gradients of the single samples.
    """
    if is_blocks(X):
        check_alone(y, sample_weight)
        return _of_blocks(net, X, reduction, backend)
    module, plan = plan_all(net, X, y, sample_weight, reduction, backend)
    result: FloatArray = module.gradient(plan, net.params)
    return result


@helpful
def per_sample_gradients(
    net: Network,
    X: SamplesLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    backend: str = "compiled",
) -> FloatArray:
    """Return the gradient of each sample's loss.

    Parameters
    ----------
    net : Network
        The network; it is not changed.
    X : array_like or scipy.sparse array, of shape (n, sizes[0])
        Samples.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses.
    backend : {"compiled", "vectorized", "loop"}
        The implementation to use.

    Returns
    -------
    ndarray of shape (n, n_params)
        One sample's gradient per row, laid out as ``net.params``.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    See Also
    --------
    per_sample_norms : Their norms, without storing n * n_params numbers.
    gradient : Their mean.

    Examples
    --------
    Two samples, y = 1 at x = 1 and y = 3 at x = 2, at theta1 = theta0 = 0:

    >>> import fastgd as gd
    >>> net = gd.Network([1, 1])
    >>> gd.per_sample_gradients(net, [[1.0], [2.0]], [1.0, 3.0]).tolist()
    [[-2.0, -2.0], [-12.0, -6.0]]
    """
    module, plan = plan_all(net, X, y, sample_weight, "sum", backend)
    result: FloatArray = module.sample_gradients(plan, net.params)
    return result


@helpful
def per_sample_norms(
    net: Network,
    X: SamplesLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    backend: str = "compiled",
) -> FloatArray:
    r"""Return the norm of each sample's gradient, without forming the gradients.

    The gradient of a layer's weights :math:`W` is the outer product of the layer's input
    :math:`a` and the derivative :math:`\delta` by its raw outputs, so that

    .. math:: |g_i|^2 = \sum_{\text{layers}} (|a_i|^2 + 1) \, |\delta_i|^2

    (Goodfellow 2015, "Efficient Per-Example Gradient Computations", arXiv:1510.01799), where 1 is
    the bias's part.

    Parameters
    ----------
    net : Network
        The network; it is not changed.
    X : array_like or scipy.sparse array, of shape (n, sizes[0])
        Samples.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses.
    backend : {"compiled", "vectorized", "loop"}
        The implementation to use.

    Returns
    -------
    ndarray of float64, of shape (n,)
        Euclidean norms.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Examples
    --------
    >>> import fastgd as gd
    >>> net = gd.Network([1, 1])
    >>> gd.per_sample_norms(net, [[0.0], [1.0]], [1.0, 1.0]).round(4).tolist()
    [2.0, 2.8284]
    """
    module, plan = plan_all(net, X, y, sample_weight, "sum", backend)
    result: FloatArray = module.sample_norms(plan, net.params)
    return result


def plans_of_blocks(
    net: Network, blocks: Blocks, reduction: str, backend: str
) -> Iterator[tuple[ModuleType, Plan]]:
    """Check the arguments; yield the backend and each block's plan, valid until the next one."""
    check_network(net)
    loader = loader_of(net, blocks)
    for X, y, weight in loader.each():
        if len(X):
            yield _plan(net, X, y, weight, reduction, backend)


def _of_blocks(net: Network, blocks: Blocks, reduction: str, backend: str) -> FloatArray:
    """Return the gradient over blocks."""
    _validation.check_choice("reduction", reduction, ("mean", "sum"))
    total, n = np.zeros(net.n_params), 0
    for module, plan in plans_of_blocks(net, blocks, "sum", backend):
        total += module.gradient(plan, net.params)
        n += len(plan.X)
    result: FloatArray = (total / n if reduction == "mean" else total).astype(net.dtype)
    return result


def plan_all(
    net: Network,
    X: SamplesLike,
    y: ArrayLike | None,
    sample_weight: ArrayLike | None,
    reduction: str,
    backend: str,
) -> tuple[ModuleType, Plan]:
    """Check the arguments; return the backend, and a plan with all samples in one batch."""
    check_network(net)
    if is_blocks(X):
        raise TypeError(
            "X is in blocks, whose results for each sample would not fit into memory: give one "
            "block at a time, as X, y = blocks.read(i)"
        )
    X = read_rows(net, X)
    y = _data.check_y(y, len(X), net.sizes[-1], net.loss, net.dtype)
    weight = _data.check_sample_weight(sample_weight, len(X), net.dtype)
    return _plan(net, X, y, weight, reduction, backend)


def _plan(
    net: Network,
    X: Rows,
    y: AnyArray,
    weight: FloatArray | None,
    reduction: str,
    backend: str,
) -> tuple[ModuleType, Plan]:
    """Return the backend, and a plan with all samples in one batch."""
    _validation.check_choice("reduction", reduction, ("mean", "sum"))
    _validation.check_choice("backend", backend, backends.BACKENDS)
    plan = Plan(
        sizes=net.sizes,
        hidden=net.hidden,
        loss=net.loss,
        optimizer=SGD(1.0),
        X=X,
        y=y,
        sample_weight=weight,
        batch_size=len(X),
        drop_last=False,
        reduction=reduction,
        n_threads=0,
    )
    return backends.load(backend), plan
