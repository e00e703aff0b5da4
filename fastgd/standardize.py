"""`Standardize`: each column's mean and standard deviation, and their place in a network.

How a column becomes an input is defined by `fastgd.rows.decode`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastgd import _data, _frames, _validation
from fastgd._frozen import frozen, set_fields
from fastgd._typing import FloatArray, SamplesLike
from fastgd._words import count
from fastgd.rows import convert

__all__ = ["Standardize"]


@frozen
class Standardize:
    """The mean and the scale of each column, which make inputs of raw columns.

    An input is ``(x - mean) * (1 / scale)``. Give it to a network, as in
    ``fastgd.Network(sizes, inputs=fastgd.Standardize.fit(X))``: the network then takes raw
    columns for training and prediction, and is saved with it. No standardised copy of X is made.

    Parameters
    ----------
    mean : array_like of shape (n_features,)
        What is subtracted from each column.
    scale : array_like of shape (n_features,)
        What each column is then divided by, above 0.
    feature_names : sequence of str, optional
        The columns' names. Frames must then have these columns in this order.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
        The above, in float64 and read-only.
    feature_names : tuple of str, or None
        The columns' names.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    See Also
    --------
    fastgd.Network : Takes it as `inputs`.

    Notes
    -----
    With ``w = numpy.result_type(X.dtype, dtype)``, the inputs in `dtype` are exactly
    ``((X.astype(w) - mean.astype(w)) * (1 / scale).astype(w)).astype(dtype)``: training on raw
    columns gives the same bits as training on what `transform` returns.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> X = np.array([[20, 1000], [40, 3000], [30, 2000]])
    >>> inputs = gd.Standardize.fit(X)
    >>> inputs.mean, inputs.scale.round(3)
    (array([  30., 2000.]), array([  8.165, 816.497]))
    >>> net = gd.Network([2, 1], inputs=inputs)
    >>> _ = gd.train(net, X, [1.0, 3.0, 2.0], epochs=100, optimizer=gd.SGD(0.1), rng=0)
    >>> net.predict([[25, 1500]]).round(2).tolist()
    [1.5]

    Pixels from 0 to 255 become numbers from 0 to 1:

    >>> pixels = gd.Standardize(mean=np.zeros(784), scale=np.full(784, 255))
    """

    mean: FloatArray
    scale: FloatArray
    feature_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        mean = _column_numbers("mean", self.mean)
        scale = _column_numbers("scale", self.scale)
        if len(mean) != len(scale):
            raise ValueError(
                f"mean has {count(len(mean), 'number')} and scale has {len(scale)}: give one of "
                "each for every column"
            )
        with np.errstate(divide="ignore", over="ignore"):
            bad = ~((scale > 0) & np.isfinite(1 / scale))
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueError(
                f"scale[{first}] is {scale[first]}, but columns are divided by it: give a number "
                "above 0, 1 for a column that is constant"
            )
        names = _frames.check_names(self.feature_names, len(mean))
        set_fields(self, mean=mean, scale=scale, feature_names=names)

    @classmethod
    def fit(cls, X: SamplesLike, sample_weight: ArrayLike | None = None) -> Standardize:
        """Return the means and standard deviations of the columns of X.

        Parameters
        ----------
        X : array_like of shape (n, n_features), frame, sparse matrix or source of blocks
            Samples, as `fastgd.train` takes them. They are read once, and not copied. Zeros of a
            sparse matrix count like all other numbers.
        sample_weight : array_like of shape (n,), optional
            How often each sample counts. Weights that blocks bring are factors of their losses, and
            not used here.

        Returns
        -------
        Standardize
            With the standard deviation ``sqrt(mean((x - mean)^2))`` as the scale, in float64. The
            scale of a constant column is 1. A frame's column names are kept.

        Raises
        ------
        TypeError, ValueError
            When X is not such a matrix of finite numbers.

        Notes
        -----
        The rows are measured in pieces of a fixed size, whose results are merged in pairs
        (Chan, Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115). The bits depend on the
        numbers alone, not on their dtype nor on blocks; sparse matrices agree to rounding.

        Examples
        --------
        >>> import fastgd as gd
        >>> inputs = gd.Standardize.fit([[1.0, 5.0], [3.0, 5.0]])
        >>> inputs.mean.tolist(), inputs.scale.tolist()
        ([2.0, 5.0], [1.0, 1.0])
        """
        from fastgd._moments import measure  # only needed here

        mean, variance, names = measure(X, sample_weight)
        bad = ~np.isfinite(variance)
        if bad.any():
            column = _frames.column_label(int(np.argmax(bad)), names)
            raise ValueError(
                f"X's {column} holds numbers whose squares are more than float64 holds: divide "
                "them by a constant first"
            )
        scale = np.sqrt(variance)
        with np.errstate(divide="ignore", over="ignore"):
            scale[~np.isfinite(1 / scale)] = 1.0
        return cls(mean, scale, names)

    @property
    def n_features(self) -> int:
        """The number of columns."""
        return len(self.mean)

    @property
    def inverse_scale(self) -> FloatArray:
        """1 / scale, in float64: what columns are multiplied by."""
        inverse: FloatArray = 1 / self.scale
        return inverse

    def transform(self, X: SamplesLike, dtype: DTypeLike = "float32") -> FloatArray:
        """Return raw columns as inputs: what a network with these `inputs` computes with.

        Parameters
        ----------
        X : array_like of shape (n, n_features), frame or sparse matrix
            Samples.
        dtype : {"float32", "float64"}
            The dtype of the result; for the numbers of a network, that of the network.

        Returns
        -------
        ndarray of shape (n, n_features)
            Inputs, C-contiguous.

        Raises
        ------
        TypeError, ValueError
            When X is not such a matrix of finite numbers, or is a frame with other columns.

        Examples
        --------
        >>> import fastgd as gd
        >>> gd.Standardize([30, 2000], [10, 1000]).transform([[20, 4000]]).tolist()
        [[-1.0, 2.0]]
        """
        checked = _validation.check_dtype(dtype)
        _frames.require_names(X, self.feature_names)
        return convert(X, self.n_features, checked, inputs=self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Standardize):
            return NotImplemented
        return (
            np.array_equal(self.mean, other.mean)
            and np.array_equal(self.scale, other.scale)
            and self.feature_names == other.feature_names
        )

    def __hash__(self) -> int:
        return hash((self.mean.tobytes(), self.scale.tobytes(), self.feature_names))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.mean, self.scale, self.feature_names)

    def __repr__(self) -> str:
        return f"Standardize({count(self.n_features, 'column')})"


def _column_numbers(name: str, values: Any) -> FloatArray:
    """Return a read-only copy of one finite number a column."""
    numbers = _data.check_point(name, values, dtype=np.dtype(np.float64))
    numbers.flags.writeable = False
    return numbers
