"""Class weights of the estimators, with the checks of `fastgd.train`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgd import _data
from fastgd._typing import AnyArray, FloatArray

__all__ = ["class_factors", "shares_of", "weigh"]


def shares_of(y: AnyArray, classes: AnyArray) -> FloatArray:
    """Return each sample's probability of each class, (n, n_classes).

    `y` holds labels, or is such a matrix already.
    """
    return y if y.ndim == 2 else (y[:, None] == classes).astype(np.float64)


def class_factors(class_weight: Any, classes: AnyArray, shares: FloatArray) -> FloatArray:
    """Return the factor of each class.

    Parameters
    ----------
    class_weight : mapping of classes to float, "balanced" or None
        Classes missing from the mapping have 1; "balanced" makes factors inverse to the classes'
        sizes, which are sums of probabilities for soft labels.
    classes : ndarray of shape (n_classes,)
        All classes of the estimator, whether or not these samples have them.
    shares : ndarray of shape (n, n_classes)
        Each sample's probability of each class.
    """
    sizes = shares.sum(axis=0, dtype=np.float64)
    factors = _data.class_factors(class_weight, classes, sizes, may_lack=True)
    if not factors.any():
        raise ValueError("class_weight leaves only weights of zero: no sample would count")
    return factors


def weigh(of_class: FloatArray, own: AnyArray | None, dtype: Any, whole: bool) -> FloatArray:
    """Return the samples' own weights times the weights of their classes.

    With `whole`, these are all samples, and one weight must be above 0; otherwise they are a part
    of the samples, whose weights may all be 0.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product: FloatArray = of_class.astype(dtype)
        if own is not None:
            product = product * own
        fits = np.isfinite(product).all()
    if not fits:
        raise ValueError(
            f"class_weight makes a weight that {np.dtype(dtype)} does not hold: give smaller ones"
        )
    if whole and not product.any():
        raise ValueError("class_weight leaves only weights of zero: no sample would count")
    return product
