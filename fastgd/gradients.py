"""Gradients at the parameters as they are, without a step."""

from __future__ import annotations

from numpy.typing import ArrayLike

from fastgd import _validation, backends
from fastgd._plan import Plan
from fastgd._typing import FloatArray
from fastgd.network import Network
from fastgd.optimizers import SGD

__all__ = ["gradient"]


def gradient(
    net: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    reduction: str = "mean",
    backend: str = "compiled",
) -> FloatArray:
    """Return the gradient of the loss over samples.

    Parameters
    ----------
    net : Network
        Where the gradient is taken; it is not changed.
    X : array_like of shape (n, sizes[0])
        Samples.
    y : array_like of shape (n,) or (n, sizes[-1])
        Targets, as the network's loss takes them.
    sample_weight : array_like of shape (n,), optional
        Factors of the samples' losses.
    reduction : {"mean", "sum"}
        Over the samples; the mean divides by their number.
    backend : {"compiled", "vectorized", "loop"}
        Which implementation computes it.

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
    """
    if not isinstance(net, Network):
        raise TypeError(f"net must be a fastgd.Network, not {net!r}")
    _validation.check_choice("reduction", reduction, ("mean", "sum"))
    _validation.check_choice("backend", backend, backends.BACKENDS)
    X = _validation.check_X(X, net.sizes[0], net.dtype)
    n = len(X)
    plan = Plan(
        sizes=net.sizes,
        hidden=net.hidden,
        loss=net.loss,
        optimizer=SGD(1.0),
        X=X,
        y=_validation.check_y(y, n, net.sizes[-1], net.loss, net.dtype),
        sample_weight=_validation.check_sample_weight(sample_weight, n, net.dtype),
        batch_size=n,
        drop_last=False,
        reduction=reduction,
        n_threads=0,
    )
    result: FloatArray = backends.load(backend).gradient(plan, net.params)
    return result
