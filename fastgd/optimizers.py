"""Optimizers: how parameters move along a gradient.

Arithmetic and defaults are torch.optim's, where the learning rate is called lr. `update` is the
specification, in NumPy; the kernels are in src_c/kernels/update.inc.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastgd import _validation
from fastgd._typing import FloatArray

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "OptimizerState"]


@dataclass
class OptimizerState:
    """What an optimizer carries from step to step.

    Attributes
    ----------
    step : int
        How many steps were made.
    moments : tuple of ndarray
        Running averages, each laid out as the parameters.
    """

    step: int
    moments: tuple[FloatArray, ...] = ()


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers have; use one of its subclasses."""

    #: how many moments the optimizer keeps
    n_moments: ClassVar[int] = 0
    #: the type's name in saved files
    name: ClassVar[str] = ""

    learning_rate: float

    def __post_init__(self) -> None:
        """Check the parameters that every optimizer has."""
        _validation.check_real("learning_rate", self.learning_rate, above=0)

    @property
    def kernel(self) -> str:
        """The name of its kernel."""
        return self.name

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """What its kernel takes beside the learning rate, in the kernel's order."""
        raise TypeError(f"{type(self).__name__} is not a complete optimizer")

    def initial_state(self, params: FloatArray) -> OptimizerState:
        """Return the state before the first step."""
        return OptimizerState(0, tuple(np.zeros_like(params) for _ in range(self.n_moments)))

    def update(
        self,
        params: FloatArray,
        gradient: FloatArray,
        moments: Sequence[FloatArray],
        step: int,
        learning_rate: float,
    ) -> None:
        """Move params along the gradient, in place.

        Parameters
        ----------
        params, gradient : ndarray of shape (n_params,)
            The parameters, and the batch's gradient at them.
        moments : sequence of ndarray of shape (n_params,)
            The running averages; they are updated too.
        step : int
            The number of this step, from 1.
        learning_rate : float
            The step size.
        """
        raise TypeError(f"{type(self).__name__} is not a complete optimizer")


@dataclass(frozen=True)
class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum if wanted.

    .. math::

        g \leftarrow g + \lambda p, \quad b \leftarrow \mu b + g, \quad p \leftarrow p - \eta b

    and with Nesterov's momentum :math:`p \leftarrow p - \eta (g + \mu b)`. As torch.optim.SGD;
    momentum: Sutskever et al. 2013 (ICML 28, 1139), in torch's form.

    Parameters
    ----------
    learning_rate : float
        The step size eta, above 0.
    momentum : float
        The share mu of the last velocity that is kept, at least 0 and below 1.
    nesterov : bool
        Whether to look ahead along the velocity; it needs momentum.
    weight_decay : float
        The factor lambda of the parameters that is added to the gradient, at least 0.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    name: ClassVar[str] = "sgd"

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _validation.check_real("momentum", self.momentum, at_least=0, below=1)
        _validation.check_bool("nesterov", self.nesterov)
        _validation.check_real("weight_decay", self.weight_decay, at_least=0)
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum above 0; it is 0")

    @property
    def n_moments(self) -> int:  # type: ignore[override]
        """One velocity, where there is momentum."""
        return int(self.momentum > 0)

    @property
    def kernel(self) -> str:
        """The kernel of the form in use."""
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay and momentum."""
        return self.weight_decay, self.momentum

    def update(
        self,
        params: FloatArray,
        gradient: FloatArray,
        moments: Sequence[FloatArray],
        step: int,
        learning_rate: float,
    ) -> None:
        """Move params along the gradient; see `Optimizer.update`."""
        direction: FloatArray = gradient + params.dtype.type(self.weight_decay) * params
        if self.momentum:
            mu = params.dtype.type(self.momentum)
            velocity = moments[0]
            velocity *= mu
            velocity += direction
            direction = direction + mu * velocity if self.nesterov else velocity
        params -= params.dtype.type(learning_rate) * direction


@dataclass(frozen=True)
class Adam(Optimizer):
    r"""Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), as torch.optim.Adam.

    Parameters
    ----------
    learning_rate : float
        The step size, above 0.
    betas : (float, float)
        The shares of the two running averages that are kept, each at least 0 and below 1.
    eps : float
        What is added to the denominator, at least 0.
    weight_decay : float
        The factor of the parameters that is added to the gradient, at least 0.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.Adam(0.01)
    Adam(learning_rate=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)
    """

    name: ClassVar[str] = "adam"
    n_moments: ClassVar[int] = 2

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _validation.check_pair("betas", self.betas, at_least=0, below=1)
        _validation.check_real("eps", self.eps, at_least=0)
        _validation.check_real("weight_decay", self.weight_decay, at_least=0)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay, both betas, eps."""
        return self.weight_decay, *self.betas, self.eps

    def _decay(self, params: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        """Apply the weight decay; return the gradient to go on with."""
        return gradient + params.dtype.type(self.weight_decay) * params

    def update(
        self,
        params: FloatArray,
        gradient: FloatArray,
        moments: Sequence[FloatArray],
        step: int,
        learning_rate: float,
    ) -> None:
        """Move params along the gradient; see `Optimizer.update`."""
        scalar = params.dtype.type
        beta1, beta2 = self.betas
        gradient = self._decay(params, gradient, learning_rate)
        first, second = moments
        first += scalar(1 - beta1) * (gradient - first)
        second *= scalar(beta2)
        second += scalar(1 - beta2) * gradient * gradient
        denominator = np.sqrt(second) * scalar(1 / np.sqrt(1 - beta2**step)) + scalar(self.eps)
        params -= scalar(learning_rate / (1 - beta1**step)) * (first / denominator)


@dataclass(frozen=True)
class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    The decay shrinks the parameters by the factor 1 - learning_rate * weight_decay before the
    step, and stays out of the averages. As torch.optim.AdamW.

    Parameters
    ----------
    learning_rate : float
        The step size, above 0.
    betas : (float, float)
        The shares of the two running averages that are kept, each at least 0 and below 1.
    eps : float
        What is added to the denominator, at least 0.
    weight_decay : float
        The rate of the shrinking, at least 0.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.AdamW(0.01)
    AdamW(learning_rate=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)
    """

    name: ClassVar[str] = "adamw"

    weight_decay: float = 1e-2

    def _decay(self, params: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        params *= params.dtype.type(1 - learning_rate * self.weight_decay)
        return gradient


#: Every optimizer by name.
OPTIMIZERS: dict[str, type[Optimizer]] = {kind.name: kind for kind in (SGD, Adam, AdamW)}
