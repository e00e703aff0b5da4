"""Networks from and to PyTorch's modules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgd._extras import need
from fastgd._words import show
from fastgd.network import Network, check_layers_alone

if TYPE_CHECKING:
    import torch

__all__ = ["from_torch", "to_torch"]

# Each activation's module, and the options with which it has the same formula.
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("Identity", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.01}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "gelu": ("GELU", {"approximate": "none"}),
    "silu": ("SiLU", {}),
    "softplus": ("Softplus", {"beta": 1.0}),
}


def to_torch(net: Network) -> torch.nn.Sequential:
    """Return a network as a PyTorch module.

    Parameters
    ----------
    net : Network
        The network.

    Returns
    -------
    torch.nn.Sequential
        A `torch.nn.Linear` for each layer, with the activations in between, in the network's
        dtype. It returns the raw outputs, as `Network.forward` does but always of shape
        (n, sizes[-1]): torch's losses, such as `torch.nn.BCEWithLogitsLoss`, take these.

    Raises
    ------
    ImportError
        When the package torch is missing.
    TypeError
        When `net` is not a network.
    ValueError
        When the network has ``inputs``, which a module of layers cannot hold.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.to_torch(gd.Network([2, 8, 1], rng=0))
    Sequential(
      (0): Linear(in_features=2, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    """
    check_layers_alone(net)
    torch = need("torch", "torch", "fastgd.to_torch")
    modules = []
    for depth, (W, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        layer = torch.nn.Linear(*W.shape, dtype=getattr(torch, net.dtype.name))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(W.T.copy()))
            layer.bias.copy_(torch.from_numpy(b.copy()))
        modules.append(layer)
        if depth < len(net.hidden):
            name, options = ACTIVATIONS[net.hidden[depth]]
            if name == "Softplus":  # by default the identity above 20, far off in float64
                options = options | {"threshold": 40.0}
            modules.append(getattr(torch.nn, name)(**options))
    return torch.nn.Sequential(*modules)  # type: ignore[no-any-return]


def from_torch(module: torch.nn.Module, *, loss: str = "squared_error") -> Network:
    """Return a network with the layers and parameters of a PyTorch module.

    Parameters
    ----------
    module : torch.nn.Sequential or torch.nn.Linear
        Linear layers with biases, and one activation between each two: ReLU, LeakyReLU(0.01),
        Tanh, Sigmoid, GELU, SiLU, Softplus or Identity. Without one it is the identity. Dropout
        is left out: `fastgd.train` takes it as an argument.
    loss : str
        As for `fastgd.Network`. A last sigmoid or softmax belongs to the loss.

    Returns
    -------
    Network
        In the module's dtype, with copies of its parameters.

    Raises
    ------
    ImportError
        When the package torch is missing.
    TypeError, ValueError
        When the module has other parts.

    Examples
    --------
    >>> import fastgd as gd
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> gd.from_torch(module)
    Network([2, 8, 1], hidden='tanh', loss='squared_error', dtype='float32')
    """
    torch = need("torch", "torch", "fastgd.from_torch")
    layers: list[Any] = []
    hidden: list[str] = []
    for part in _parts(module, torch):
        if isinstance(part, torch.nn.Linear):
            if len(hidden) < len(layers):
                hidden.append("identity")
            layers.append(part)
        elif len(layers) == len(hidden):
            raise ValueError(
                f"{part} does not follow a Linear layer: a fastgd.Network has one activation "
                "after each hidden layer, and no others"
            )
        else:
            hidden.append(_activation(part, torch))
    if len(hidden) == len(layers) > 0:
        raise ValueError(
            f"the module ends with the activation {hidden[-1]!r}, but a fastgd.Network ends with "
            "a Linear layer: leave it out, and give the loss that contains it, such as "
            "loss='log_loss' for a sigmoid or 'cross_entropy' for a softmax"
        )
    if not layers or any(layer.bias is None for layer in layers):
        raise ValueError(
            "the module has no Linear layer, or one without a bias: a fastgd.Network has "
            "torch.nn.Linear layers with biases"
        )
    for before, after in itertools.pairwise(layers):
        if before.out_features != after.in_features:
            raise ValueError(f"the module's {after} does not take the outputs of {before}")
    sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
    dtype = str(layers[0].weight.dtype).removeprefix("torch.")
    net = Network(sizes, hidden=hidden, loss=loss, dtype=dtype)
    arrays = [
        part.detach().cpu().numpy()
        for layer in layers
        for part in (layer.weight.T.reshape(-1), layer.bias)
    ]
    net.params = np.concatenate(arrays)
    return net


def _parts(module: Any, torch: Any) -> Iterator[Any]:
    """Yield the layers and activations of a module, in order."""
    if isinstance(module, torch.nn.Sequential):
        for part in module:
            yield from _parts(part, torch)
    elif not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, not {show(module)}")
    elif not isinstance(module, (torch.nn.Dropout, torch.nn.AlphaDropout)):
        yield module


def _activation(part: Any, torch: Any) -> str:
    """Return the name of a module's activation."""
    for name, (kind, options) in ACTIVATIONS.items():
        if type(part) is not getattr(torch.nn, kind):
            continue
        if {key: getattr(part, key) for key in options} == options:
            return name
    known = ", ".join(str(getattr(torch.nn, kind)(**o)) for kind, o in ACTIVATIONS.values())
    raise ValueError(f"{part} is no activation of fastgd; these are: {known}")
