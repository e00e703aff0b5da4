"""`Network`: layer sizes, parameters, predictions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastgd import _data, _files, _frames, _layout, _validation
from fastgd._arguments import helpful
from fastgd._data import all_finite
from fastgd._typing import AnyArray, FloatArray, IndexArray, RngLike, SamplesLike
from fastgd._validation import check_choice, check_int
from fastgd._words import count, listed, show
from fastgd.activations import ACTIVATIONS
from fastgd.losses import LOSSES, with_classes
from fastgd.rows import Rows, check_rows
from fastgd.rows._blocks import Blocks, is_blocks
from fastgd.rows._load import Loader, Needs
from fastgd.standardize import Standardize

__all__ = ["Network"]


class Network:
    """A linear model or a small neural network.

    Every layer is fully connected: its raw outputs are ``inputs @ weights + biases``, to which
    the hidden layers apply an activation. The loss's link (identity, sigmoid, softmax or
    exponential) makes predictions of the last layer's raw outputs.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer: the inputs, any hidden layers, the outputs. ``[3, 1]`` is a linear
        model of three features.
    hidden : str or sequence of str
        The activation of all hidden layers, or one for each: a name in
        `fastgd.activations.ACTIVATIONS`, such as "relu", "tanh", "gelu" or "identity".
    loss : str
        What training minimises: a name in `fastgd.losses.LOSSES`, such as "squared_error"
        (the mean over samples and outputs of (prediction - y)^2), "log_loss" (one output, y in
        {0, 1} or probabilities), "cross_entropy" (class indices, or a matrix of probabilities),
        "hinge" (one output, y in {-1, 1}) or "poisson" (counts).
    dtype : {"float32", "float64"}
        The dtype of the parameters and of all computation.
    inputs : Standardize, optional
        Makes the network's inputs of raw columns: from then on X means these columns, in training
        and in prediction. It is saved with the network.
    rng : None, int or numpy.random.Generator
        Used to draw the initial weights. A model without hidden layers starts with zeros.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        All parameters, as one vector: each layer's weights, row by row, then its biases.
    weights : tuple of ndarray of shape (sizes[i], sizes[i + 1])
        Writable views on `params`.
    biases : tuple of ndarray of shape (sizes[i + 1],)
        Writable views on `params`.
    inputs : Standardize or None
        How columns become inputs.
    feature_names : tuple of str, or None
        The columns' names: those of `inputs`, otherwise of the first frame that the network was
        trained on. A frame with other columns, or in another order, is then an error; arrays have
        no names, and are taken as they are.

    Notes
    -----
    Weights are drawn from a normal distribution of variance gain / inputs, where the gain is 2
    before relu and similar activations (He et al. 2015, doi:10.1109/ICCV.2015.123) and 1 otherwise
    (LeCun et al. 1998, doi:10.1007/3-540-49430-8_2); biases begin at zero.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> net = gd.Network([1, 1])
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> _ = gd.train(net, X, [1, 3, 5, 7], batch_size=None, epochs=400, optimizer=gd.SGD(0.1))
    >>> print(np.round(net.weights[0], 3), np.round(net.biases[0], 3))
    [[2.]] [1.]
    """

    _params: FloatArray
    # defaults for pickles of earlier versions
    _inputs: Standardize | None = None
    _feature_names: tuple[str, ...] | None = None

    @helpful
    def __init__(
        self,
        sizes: Sequence[int],
        *,
        hidden: str | Sequence[str] = "relu",
        loss: str = "squared_error",
        dtype: DTypeLike = "float32",
        inputs: Standardize | None = None,
        rng: RngLike = None,
    ) -> None:
        self._set_up(sizes, hidden, loss, dtype, inputs)
        self._draw(_validation.check_rng(rng))

    def _set_up(
        self, sizes: Any, hidden: Any, loss: str, dtype: DTypeLike, inputs: Standardize | None
    ) -> None:
        """Check the arguments of the same names; all parameters are zero."""
        self._sizes = check_sizes(sizes)
        n_hidden = len(self._sizes) - 2
        self._hidden = check_hidden(hidden, n_hidden)
        self._loss = _validation.check_choice("loss", loss, LOSSES)
        if LOSSES[loss].one_output and self._sizes[-1] != 1:
            raise ValueError(
                f"the loss {loss!r} takes one output, but sizes {list(self._sizes)} ends with "
                f"{self._sizes[-1]}: for one class out of several use loss='cross_entropy'"
            )
        checked = _validation.check_dtype(dtype)
        self._inputs = check_standardize(inputs, self._sizes[0])
        self._feature_names = None if inputs is None else inputs.feature_names
        self._params = np.zeros(_layout.count(self._sizes), checked)

    def _draw(self, rng: np.random.Generator) -> None:
        if not self._hidden:
            return
        gains = [ACTIVATIONS[name].gain for name in self._hidden] + [1.0]
        for W, gain in zip(self.weights, gains, strict=True):
            W[...] = rng.standard_normal(W.shape) * np.sqrt(gain / len(W))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each layer, the inputs first."""
        return self._sizes

    @property
    def hidden(self) -> tuple[str, ...]:
        """The activation of each hidden layer."""
        return self._hidden

    @property
    def loss(self) -> str:
        """The loss's name."""
        return self._loss

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters and of the computation."""
        return self.params.dtype

    @property
    def inputs(self) -> Standardize | None:
        """How columns of X become inputs; None where they are the inputs."""
        return self._inputs

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns of X, where they are known."""
        return self._feature_names

    @property
    def n_params(self) -> int:
        """The number of parameters."""
        return self.params.size

    @property
    def params(self) -> FloatArray:
        """All parameters, as one writable vector; assigning to it copies values into it."""
        return self._params

    @params.setter
    def params(self, values: ArrayLike) -> None:
        self._params[:] = _data.check_point("params", values, self.n_params, self.dtype)

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Each layer's weights: writable views on `params`."""
        return _layout.split(self._sizes, self.params)[0]

    @property
    def biases(self) -> tuple[FloatArray, ...]:
        """Each layer's biases: writable views on `params`."""
        return _layout.split(self._sizes, self.params)[1]

    def __repr__(self) -> str:
        hidden = self._hidden[0] if len(set(self._hidden)) == 1 else list(self._hidden)
        activation = f", hidden={hidden!r}" if self._hidden else ""
        inputs = "" if self._inputs is None else f", inputs={self._inputs!r}"
        return (
            f"Network({list(self._sizes)}{activation}, loss={self._loss!r}, "
            f"dtype={self.dtype.name!r}{inputs})"
        )

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: the layers, as `summary` lists them."""
        from fastgd._summary import describe_html  # only needed here

        return describe_html(self)

    def forward(self, X: SamplesLike) -> FloatArray:
        """Return the last layer's raw outputs.

        Parameters
        ----------
        X : array_like or scipy.sparse array, of shape (n, sizes[0]), or Blocks
            Samples.

        Returns
        -------
        ndarray of shape (n, sizes[-1]), or (n,) for one output
            In the network's dtype.

        Raises
        ------
        TypeError, ValueError
            When X is not such an array of finite numbers.

        Examples
        --------
        >>> import fastgd as gd
        >>> gd.Network([2, 3], rng=0).forward([[1.0, 2.0]]).shape
        (1, 3)
        """
        z = self._raw(X)
        return z[:, 0] if self._sizes[-1] == 1 else z

    def predict(self, X: SamplesLike) -> FloatArray:
        """Return predictions: the raw outputs after the loss's link.

        The link is the sigmoid for "log_loss", the softmax for "cross_entropy", the exponential
        for "poisson", and the identity for the others.

        Parameters
        ----------
        X : array_like or scipy.sparse array, of shape (n, sizes[0]), or Blocks
            Samples.

        Returns
        -------
        ndarray of shape (n, sizes[-1]), or (n,) for one output
            Probabilities for the first two; otherwise in the units of y.

        Raises
        ------
        TypeError, ValueError
            When X is not such an array of finite numbers.

        Examples
        --------
        >>> import fastgd as gd
        >>> gd.Network([2, 2], loss="cross_entropy").predict([[1.0, 2.0]]).tolist()
        [[0.5, 0.5]]
        """
        z = self._raw(X)
        from fastgd.backends import compiled  # load compiled code only when needed

        with np.errstate(over="ignore"):
            predicted = LOSSES[self._loss].link(z, compiled.Functions)
        return predicted[:, 0] if self._sizes[-1] == 1 else predicted

    def predict_class(self, X: SamplesLike) -> IndexArray:
        """Return the class of each sample, for losses whose targets are classes.

        Parameters
        ----------
        X : array_like of shape (n, sizes[0])
            Samples.

        Returns
        -------
        ndarray of int, of shape (n,)
            Classes as the loss takes them: the index of the most probable class for
            "cross_entropy" (the first of several), 0 or 1 for "log_loss", -1 or 1 for "hinge". The
            metric "accuracy" counts how often they are the targets.

        Raises
        ------
        TypeError, ValueError
            When X is not such an array of finite numbers, or the loss has no classes.

        Examples
        --------
        >>> import fastgd as gd
        >>> net = gd.Network([1, 3], loss="cross_entropy")
        >>> net.weights[0][:] = [[-1.0, 0.0, 1.0]]
        >>> net.predict_class([[-2.0], [2.0]]).tolist()
        [0, 2]
        """
        targets = LOSSES[self._loss].targets
        if not targets.classes:
            raise ValueError(
                f"predict_class needs {with_classes()}, but this network has the loss "
                f"{self._loss!r}: use predict"
            )
        classes: IndexArray = targets.classify(self.predict(X))
        return classes

    def summary(self) -> str:
        """Return the layers, their sizes and parameters as text, to be printed.

        Examples
        --------
        >>> import fastgd as gd
        >>> print(gd.Network([784, 128, 10], loss="cross_entropy", rng=0).summary())
        layer  inputs  outputs  activation  parameters
            1     784      128  relu           100,480
            2     128       10                   1,290
        101,770 parameters in float32, loss 'cross_entropy'
        """
        from fastgd._summary import describe  # only needed here

        return describe(self)

    def loss_value(
        self,
        X: SamplesLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        reduction: str = "mean",
    ) -> Any:
        """Return the loss on samples.

        Parameters
        ----------
        X : array_like or scipy.sparse array, of shape (n, sizes[0]), or Blocks
            Samples.
        y : array_like of shape (n,) or (n, sizes[-1])
            Targets; blocks bring them.
        sample_weight : array_like of shape (n,), optional
            Factors for the samples' losses.
        reduction : {"mean", "sum", "none"}
            Over the samples; "mean" divides by their number.

        Returns
        -------
        float, or ndarray of shape (n,) with reduction="none"
            The loss. A sample's loss is the mean over its outputs.

        Raises
        ------
        TypeError, ValueError
            When X and y are not what the network and its loss take.

        Examples
        --------
        >>> import fastgd as gd
        >>> gd.Network([1, 1]).loss_value([[1.0], [2.0]], [1.0, 3.0])
        5.0
        """
        _validation.check_choice("reduction", reduction, ("mean", "sum", "none"))
        if is_blocks(X):
            check_alone(y, sample_weight)
            return self._loss_of_blocks(X, reduction)
        X = read_rows(self, X)
        y = _data.check_y(y, len(X), self._sizes[-1], self._loss, self.dtype)
        weight = _data.check_sample_weight(sample_weight, len(X), self.dtype)
        values = self._losses(X, y, weight)
        if reduction == "none":
            return values
        total = float(values.sum(dtype=np.float64))
        return total / len(X) if reduction == "mean" else total

    def _raw(self, X: SamplesLike) -> FloatArray:
        """Return the raw outputs (n, sizes[-1]) of samples or blocks."""
        return self._outputs_of_blocks(X) if is_blocks(X) else self._outputs(read_rows(self, X))

    def _outputs(self, X: Rows) -> FloatArray:
        """Return the raw outputs (n, sizes[-1]) of checked samples."""
        from fastgd.backends import compiled  # load compiled code only when needed

        return compiled.forward(self._sizes, self._hidden, self.params, X)

    def _outputs_of_blocks(self, blocks: Blocks) -> FloatArray:
        """Return the raw outputs (n, sizes[-1]) of blocks, which are read once."""
        loader = loader_of(self, blocks, targets=False)
        return np.concatenate([self._outputs(X) for X, *_ in loader.each() if len(X)])

    def _loss_of_blocks(self, blocks: Blocks, reduction: str) -> Any:
        """Return the loss on blocks, which are read once."""
        loader = loader_of(self, blocks)
        values = np.concatenate([self._losses(*block) for block in loader.each() if len(block[0])])
        if reduction == "none":
            return values
        total = float(values.sum(dtype=np.float64))
        return total / len(values) if reduction == "mean" else total

    def _losses(self, X: Rows, y: Any, weight: FloatArray | None) -> FloatArray:
        """Return the losses of checked samples."""
        from fastgd.backends import compiled  # load compiled code only when needed

        with np.errstate(over="ignore", invalid="ignore"):
            values = LOSSES[self._loss].value(self._outputs(X), y, compiled.Functions)
        return values if weight is None else weight * values

    def copy(self) -> Network:
        """Return an independent network with the same parameters."""
        twin: Network = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin._params = self._params.copy()
        return twin

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, in NumPy's npz format, without pickle.

        The file is written completely or not at all: under a temporary name, and then moved.

        Parameters
        ----------
        path : path_like
            The file. An existing file is replaced, and its permissions are kept.

        Raises
        ------
        OSError
            When the file cannot be written: no such folder, a read-only file (for root too), a
            device, links that lead back to themselves. An existing file is then unchanged.

        See Also
        --------
        fastgd.load : Read the file.
        fastgd.save_checkpoint : Also store the state to resume training.
        """
        _files.write(path, "network", network_entries(self))


def loader_of(
    net: Network,
    blocks: Blocks,
    class_weight: Callable[[AnyArray], AnyArray] | None = None,
    targets: bool = True,
) -> Loader:
    """Return what reads blocks for a network."""
    _frames.require_names(blocks, net.feature_names)
    needs = Needs(net.sizes[0], net.sizes[-1], net.loss, net.dtype, net.inputs, class_weight)
    return Loader(blocks, needs, targets=targets)


def check_layers_alone(net: Any) -> Network:
    """Return a network that is layers alone: what PyTorch's names and modules can hold."""
    if check_network(net).inputs is not None:
        raise ValueError(
            "the network standardises raw columns, which is no layer of a torch.nn.Sequential: "
            "make other = fastgd.Network(net.sizes, hidden=net.hidden, loss=net.loss, "
            "dtype=net.dtype), set other.params = net.params, export that, and give it "
            "net.inputs.transform(X, net.dtype)"
        )
    checked: Network = net
    return checked


def check_alone(y: Any, sample_weight: Any) -> None:
    """Check that nothing is given that blocks bring."""
    if y is not None or sample_weight is not None:
        raise TypeError("blocks bring their targets and weights: leave y and sample_weight out")


def check_network(net: Any) -> Network:
    """Return a network; raise TypeError for anything else."""
    if not isinstance(net, Network):
        hint = ": create an instance, as in fastgd.Network([3, 1])" if net is Network else ""
        raise TypeError(f"net must be a fastgd.Network, not {show(net)}{hint}")
    return net


def read_rows(net: Network, X: SamplesLike, name: str = "X") -> Rows:
    """Return samples of a network's columns as its inputs, in a form that backends read.

    Every function that takes a network and X reads X here.
    """
    _frames.require_names(X, net.feature_names, name)
    return check_rows(X, net.sizes[0], net.dtype, name, net.inputs)


def check_standardize(inputs: Any, n_inputs: int) -> Standardize | None:
    """Return what makes inputs of columns, or None."""
    if inputs is None:
        return None
    if not isinstance(inputs, Standardize):
        raise TypeError(
            f"inputs must be a fastgd.Standardize, such as fastgd.Standardize.fit(X), not "
            f"{show(inputs)}"
        )
    if inputs.n_features != n_inputs:
        raise ValueError(
            f"inputs has {count(inputs.n_features, 'column')}, but the network has "
            f"{count(n_inputs, 'input')}: the first of sizes is the number of columns"
        )
    return inputs


def check_sizes(sizes: Any) -> tuple[int, ...]:
    """Return the units of each layer."""
    if isinstance(sizes, (str, bytes)) or not hasattr(sizes, "__iter__"):
        raise TypeError(
            f"sizes must list the units of each layer, such as [3, 1], not {show(sizes)}"
        )
    checked = tuple(check_int(f"sizes[{i}]", size, at_least=1) for i, size in enumerate(sizes))
    if len(checked) < 2:
        raise ValueError(
            f"sizes is {list(checked)}, but must hold at least the number of inputs and of "
            "outputs: [3, 1] is a linear model of three inputs"
        )
    return checked


def check_hidden(hidden: Any, n_hidden: int) -> tuple[str, ...]:
    """Return the activation of each hidden layer, from one name or one per layer."""
    if isinstance(hidden, str):
        return (check_choice("hidden", hidden, ACTIVATIONS),) * n_hidden
    if not isinstance(hidden, Sequence):
        raise TypeError(
            f"hidden must be one of {listed(ACTIVATIONS)}, or one such name per hidden layer, "
            f"not {show(hidden)}"
        )
    if len(hidden) != n_hidden:
        raise ValueError(
            f"hidden names {count(len(hidden), 'activation')}, but sizes has "
            f"{count(n_hidden, 'hidden layer')}: give one name for all, or one per layer"
        )
    return tuple(check_choice(f"hidden[{i}]", name, ACTIVATIONS) for i, name in enumerate(hidden))


def check_params(params: FloatArray, by_callback: bool = False) -> None:
    """Check that a network's parameters are finite: the user may have written to them.

    With `by_callback`, a callback has, and the training has begun.
    """
    if not all_finite(params):
        first = int(np.argmin(np.isfinite(params)))
        what = f"the network's params[{first}] is {params[first]}"
        if by_callback:
            raise ValueError(f"{what}: a callback has set it, but training needs finite parameters")
        raise ValueError(
            f"{what}: training needs finite parameters at the start; set them, or create a new "
            "network"
        )


def network_entries(net: Network) -> dict[str, Any]:
    """Return the entries of a file for a network."""
    entries: dict[str, Any] = {
        "sizes": list(net.sizes),
        "hidden": list(net.hidden),
        "loss": net.loss,
        "params": net.params,
    }
    if net.feature_names is not None:
        entries["feature names"] = list(net.feature_names)
    if net.inputs is not None:
        entries["inputs"] = ["standardize"]
        entries["inputs.mean"] = net.inputs.mean
        entries["inputs.scale"] = net.inputs.scale
        if net.inputs.feature_names is not None:
            entries["inputs"].append(list(net.inputs.feature_names))
    return entries


def read_network(file: _files.Contents) -> Network:
    """Build the network that a file describes."""
    from fastgd._archive import FLOATS

    sizes = check_sizes(file.header["sizes"])
    params = file.arrays.array("params", FLOATS, [_layout.count(sizes)])
    hidden, loss = file.header["hidden"], file.header["loss"]
    inputs = _read_inputs(file, sizes[0])
    net: Network = object.__new__(Network)  # to draw weights would take longer than to read them
    net._set_up(sizes, hidden, loss, params.dtype, inputs)
    net.params[:] = params
    net._feature_names = _frames.check_names(file.header.get("feature names"), sizes[0])
    return net


def _read_inputs(file: _files.Contents, n_inputs: int) -> Standardize | None:
    """Return how columns become the network's inputs, or None if the file has nothing of it."""
    if "inputs" not in file.header:
        return None
    kind, *names = file.header["inputs"]
    if kind != "standardize":
        raise ValueError(f"its inputs are {show(kind)}")
    mean, scale = (
        file.arrays.array(f"inputs.{name}", ["f8"], [n_inputs]) for name in ("mean", "scale")
    )
    return Standardize(mean, scale, *names)
