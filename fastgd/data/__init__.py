"""The package's own data; for source and licence see README.md in this folder."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits"]


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return 1,797 handwritten digits.

    Returns
    -------
    images : ndarray of shape (1797, 64)
        The 8 x 8 pixels of each image, row by row, from 0 (empty) to 16.
    labels : ndarray of shape (1797,)
        The digit of each image, 0 to 9.

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, doi:10.24432/C50P49, CC BY 4.0.

    Examples
    --------
    >>> from fastgd.data import load_digits
    >>> images, labels = load_digits()
    >>> images.shape, labels[:5].tolist()
    ((1797, 64), [0, 1, 2, 3, 4])
    """
    with resources.files(__name__).joinpath("digits.npz").open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        return arrays["images"], arrays["labels"]
