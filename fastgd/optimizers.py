"""Optimizers: the rules that update parameters from a gradient.

Arithmetic and defaults are torch.optim's, where the learning rate is called lr. `update` is the
specification, in NumPy; the kernels are in src_c/kernels/update.inc.c.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from fastgd import _validation
from fastgd._arguments import OPTIMIZER_ARGUMENTS
from fastgd._frozen import frozen, set_fields
from fastgd._typing import FloatArray
from fastgd._words import near_name, show

# the optimizers for users, which `fastgd` offers by the same names
__all__ = ["SGD", "ASGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Nadam"]


@dataclass(eq=False)
class OptimizerState:
    """An optimizer's state between steps.

    Attributes
    ----------
    step : int
        The number of steps so far.
    moments : tuple of ndarray
        Running averages, each laid out as the parameters.
    scalars : ndarray of float64
        Further state, not per parameter.
    """

    step: int
    moments: tuple[FloatArray, ...] = ()
    scalars: FloatArray = field(default_factory=lambda: np.empty(0))

    def copy(self) -> OptimizerState:
        """Return an independent copy."""
        moments = tuple(moment.copy() for moment in self.moments)
        return OptimizerState(self.step, moments, self.scalars.copy())

    def assign(self, other: OptimizerState) -> None:
        """Copy another state's values into this one."""
        self.step = other.step
        for moment, value in zip(self.moments, other.moments, strict=True):
            moment[:] = value
        self.scalars[:] = other.scalars


@frozen
class Optimizer(abc.ABC):
    """The base class of optimizers; use a subclass."""

    #: how many moments the optimizer keeps
    n_moments: ClassVar[int] = 0
    #: further state, before the first step
    initial_scalars: ClassVar[tuple[float, ...]] = ()
    #: the type's name in saved files
    name: ClassVar[str] = ""

    learning_rate: float

    def __post_init__(self) -> None:
        """Check the parameters that all optimizers share."""
        rate = _validation.check_real("learning_rate", self.learning_rate, above=0)
        set_fields(self, learning_rate=rate)

    @property
    def kernel(self) -> str:
        """The name of its kernel."""
        return self.name

    @property
    @abc.abstractmethod
    def hyperparameters(self) -> tuple[float, ...]:
        """The kernel's arguments besides the learning rate, in its order."""

    def initial_state(self, params: FloatArray) -> OptimizerState:
        """Return the state before the first step."""
        moments = tuple(np.zeros_like(params) for _ in range(self.n_moments))
        return OptimizerState(0, moments, np.array(self.initial_scalars, np.float64))

    def update(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        """Update params by one step, in place.

        Parameters
        ----------
        params, gradient : ndarray of shape (n_params,)
            The parameters, and the batch's gradient at them.
        state : OptimizerState
            Updated in place too, with the step counted.
        learning_rate : float
            The step size.
        """
        state.step += 1
        self._move(params, gradient, state, learning_rate)

    @abc.abstractmethod
    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        """Make step number `state.step`."""


@frozen
class SGD(Optimizer):
    r"""Stochastic gradient descent, optionally with momentum.

    .. math::

        g \leftarrow g + \lambda p, \quad b \leftarrow \mu b + g, \quad p \leftarrow p - \eta b

    and with Nesterov's momentum :math:`p \leftarrow p - \eta (g + \mu b)`. As torch.optim.SGD;
    momentum: Sutskever et al. 2013 (ICML 28, 1139), in torch's form.

    Parameters
    ----------
    learning_rate : float
        The step size eta, above 0.
    momentum : float
        The decay factor mu of the velocity, at least 0 and below 1.
    nesterov : bool
        Whether to use Nesterov's momentum; needs momentum above 0.
    weight_decay : float
        The factor lambda of the L2 term that is added to the gradient, at least 0.

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
        set_fields(
            self,
            momentum=_validation.check_real("momentum", self.momentum, at_least=0, below=1),
            nesterov=_validation.check_bool("nesterov", self.nesterov),
            weight_decay=_validation.check_real("weight_decay", self.weight_decay, at_least=0),
        )
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs momentum above 0; it is 0")

    @property
    def n_moments(self) -> int:  # type: ignore[override]
        """One velocity if there is momentum, else none."""
        return int(self.momentum > 0)

    @property
    def kernel(self) -> str:
        """The kernel of the form in use."""
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay and momentum."""
        return self.weight_decay, self.momentum

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        direction: FloatArray = gradient + params.dtype.type(self.weight_decay) * params
        if self.momentum:
            mu = params.dtype.type(self.momentum)
            velocity = state.moments[0]
            velocity *= mu
            velocity += direction
            direction = direction + mu * velocity if self.nesterov else velocity
        params -= params.dtype.type(learning_rate) * direction


def _quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, and 0 for 0 / 0: with eps=0, parameters without a gradient do not move.

    torch divides, which makes such parameters NaN.
    """
    tiny = np.finfo(denominator.dtype).tiny
    quotient: FloatArray = numerator / np.maximum(denominator, tiny)
    return quotient


@frozen
class Adam(Optimizer):
    r"""Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), as torch.optim.Adam.

    Parameters
    ----------
    learning_rate : float
        The step size, above 0.
    betas : (float, float)
        The decay factors of the two running averages, each at least 0 and below 1.
    eps : float
        Added to the denominator, at least 0.
    weight_decay : float
        The factor of the L2 term that is added to the gradient, at least 0.

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
        set_fields(
            self,
            betas=_validation.check_pair("betas", self.betas, at_least=0, below=1),
            eps=_validation.check_real("eps", self.eps, at_least=0),
            weight_decay=_validation.check_real("weight_decay", self.weight_decay, at_least=0),
        )

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay, both betas, eps."""
        return self.weight_decay, *self.betas, self.eps

    def _decay(self, params: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        """Apply the weight decay; return the gradient to use."""
        return gradient + params.dtype.type(self.weight_decay) * params

    def _averages(
        self, gradient: FloatArray, state: OptimizerState
    ) -> tuple[FloatArray, FloatArray]:
        """Update the running averages of the gradients and of their squares; return both."""
        first, second = state.moments
        scalar = first.dtype.type
        beta1, beta2 = self.betas
        first += scalar(1 - beta1) * (gradient - first)
        second *= scalar(beta2)
        second += scalar(1 - beta2) * gradient * gradient
        return first, second

    def _denominator(self, second: FloatArray, step: int) -> FloatArray:
        """Return the root of the corrected average of the squares, plus eps."""
        scalar = second.dtype.type
        correction = 1 / np.sqrt(1 - self.betas[1] ** step)
        return np.sqrt(second) * scalar(correction) + scalar(self.eps)

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        gradient = self._decay(params, gradient, learning_rate)
        first, second = self._averages(gradient, state)
        rate = params.dtype.type(learning_rate / (1 - self.betas[0] ** state.step))
        params -= rate * _quotient(first, self._denominator(second, state.step))


@frozen
class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).

    The decay multiplies the parameters by 1 - learning_rate * weight_decay before the step, and
    does not enter the averages. As torch.optim.AdamW.

    Parameters
    ----------
    learning_rate : float
        The step size, above 0.
    betas : (float, float)
        The decay factors of the two running averages, each at least 0 and below 1.
    eps : float
        Added to the denominator, at least 0.
    weight_decay : float
        The rate of the decay, at least 0.

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


@frozen
class Nadam(Adam):
    r"""Adam with Nesterov's momentum (Dozat 2016, ICLR workshop), as torch.optim.NAdam.

    With Adam's averages m and v,

    .. math::

        \mu_t = \beta_1 \left(1 - \tfrac{1}{2} 0.96^{t \psi}\right), \quad
        p \leftarrow p - \frac{\eta}{\sqrt{\hat v} + \epsilon} \left(
        \frac{(1 - \mu_t) g}{1 - \prod_{i \le t} \mu_i} +
        \frac{\mu_{t+1} m}{1 - \prod_{i \le t + 1} \mu_i}\right)

    Parameters
    ----------
    learning_rate : float
        The step size eta, above 0.
    betas : (float, float)
        The decay factors of the two running averages, each at least 0 and below 1.
    eps : float
        Added to the denominator, at least 0.
    weight_decay : float
        The factor of the L2 term that is added to the gradient, at least 0.
    momentum_decay : float
        How fast the momentum mu rises to beta_1: psi, at least 0.
    decoupled_weight_decay : bool
        Whether to shrink the parameters instead, as `AdamW` does.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.Nadam().learning_rate
    0.002
    """

    name: ClassVar[str] = "nadam"
    initial_scalars: ClassVar[tuple[float, ...]] = (1.0,)

    learning_rate: float = 2e-3
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        decay = _validation.check_real("momentum_decay", self.momentum_decay, at_least=0)
        decoupled = _validation.check_bool("decoupled_weight_decay", self.decoupled_weight_decay)
        set_fields(self, momentum_decay=decay, decoupled_weight_decay=decoupled)

    @property
    def kernel(self) -> str:
        """The kernel of the form in use."""
        return "nadamw" if self.decoupled_weight_decay else "nadam"

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay, both betas, eps, momentum decay."""
        return *super().hyperparameters, self.momentum_decay

    def _decay(self, params: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
        if not self.decoupled_weight_decay:
            return super()._decay(params, gradient, learning_rate)
        params *= params.dtype.type(1 - learning_rate * self.weight_decay)
        return gradient

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        scalar = params.dtype.type
        gradient = self._decay(params, gradient, learning_rate)
        mu, next_mu = (
            self.betas[0] * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
            for t in (state.step, state.step + 1)
        )
        state.scalars[0] *= mu
        product = float(state.scalars[0])
        first, second = self._averages(gradient, state)
        direct = scalar(learning_rate * (1 - mu) / (1 - product))
        ahead = scalar(learning_rate * next_mu / (1 - product * next_mu))
        denominator = self._denominator(second, state.step)
        params -= _quotient(direct * gradient + ahead * first, denominator)


@frozen
class Adagrad(Optimizer):
    r"""A separate step size for each parameter (Duchi, Hazan & Singer 2011, JMLR 12, 2121).

    .. math::

        g \leftarrow g + \lambda p, \quad s \leftarrow s + g^2, \quad
        p \leftarrow p - \frac{\eta}{1 + (t - 1) \gamma} \frac{g}{\sqrt{s} + \epsilon}

    As torch.optim.Adagrad.

    Parameters
    ----------
    learning_rate : float
        The step size eta, above 0.
    lr_decay : float
        How fast the step size falls: gamma, at least 0.
    weight_decay : float
        The factor lambda of the L2 term that is added to the gradient, at least 0.
    initial_accumulator_value : float
        The initial sum s, at least 0.
    eps : float
        Added to the denominator, at least 0.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.Adagrad().learning_rate
    0.01
    """

    name: ClassVar[str] = "adagrad"
    n_moments: ClassVar[int] = 1

    learning_rate: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            value = _validation.check_real(name, getattr(self, name), at_least=0)
            set_fields(self, **{name: value})

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay, decay of the learning rate, eps."""
        return self.weight_decay, self.lr_decay, self.eps

    def initial_state(self, params: FloatArray) -> OptimizerState:
        """Return the state before the first step."""
        return OptimizerState(0, (np.full_like(params, self.initial_accumulator_value),))

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        scalar = params.dtype.type
        gradient = gradient + scalar(self.weight_decay) * params
        (total,) = state.moments
        total += gradient * gradient
        rate = learning_rate / (1 + (state.step - 1) * self.lr_decay)
        params -= scalar(rate) * _quotient(gradient, np.sqrt(total) + scalar(self.eps))


@frozen
class RMSprop(Optimizer):
    r"""Gradients divided by their running root mean square (Hinton 2012, lecture 6e).

    .. math::

        g \leftarrow g + \lambda p, \quad v \leftarrow \alpha v + (1 - \alpha) g^2, \quad
        b \leftarrow \mu b + \frac{g}{\sqrt{v} + \epsilon}, \quad p \leftarrow p - \eta b

    and centered with :math:`\sqrt{v - m^2}`, m the running average of the gradients (Graves 2013,
    arXiv:1308.0850, eq. 38-45). As torch.optim.RMSprop, except that a variance that rounding makes
    negative is taken as 0, where torch's gives NaN.

    Parameters
    ----------
    learning_rate : float
        The step size eta, above 0.
    alpha : float
        The decay factor of the running averages, at least 0 and below 1.
    eps : float
        Added to the denominator, at least 0.
    weight_decay : float
        The factor lambda of the L2 term that is added to the gradient, at least 0.
    momentum : float
        The decay factor mu of the velocity b, at least 0 and below 1.
    centered : bool
        Whether to divide by the gradients' standard deviation.

    Examples
    --------
    >>> import fastgd as gd
    >>> gd.RMSprop(0.001, momentum=0.9).alpha
    0.99
    """

    name: ClassVar[str] = "rmsprop"

    learning_rate: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        set_fields(
            self,
            alpha=_validation.check_real("alpha", self.alpha, at_least=0, below=1),
            eps=_validation.check_real("eps", self.eps, at_least=0),
            weight_decay=_validation.check_real("weight_decay", self.weight_decay, at_least=0),
            momentum=_validation.check_real("momentum", self.momentum, at_least=0, below=1),
            centered=_validation.check_bool("centered", self.centered),
        )

    @property
    def n_moments(self) -> int:  # type: ignore[override]
        """The mean square, the mean if centered, the velocity if there is momentum."""
        return 1 + int(self.centered) + int(self.momentum > 0)

    @property
    def kernel(self) -> str:
        """The kernel of the form in use."""
        return "rmsprop" + "_centered" * self.centered + "_momentum" * (self.momentum > 0)

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay, alpha, eps, momentum."""
        return self.weight_decay, self.alpha, self.eps, self.momentum

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        scalar = params.dtype.type
        gradient = gradient + scalar(self.weight_decay) * params
        square = state.moments[0]
        square *= scalar(self.alpha)
        square += scalar(1 - self.alpha) * gradient * gradient
        variance: FloatArray = square
        if self.centered:
            mean = state.moments[1]
            mean += scalar(1 - self.alpha) * (gradient - mean)
            variance = np.maximum(square - mean * mean, scalar(0))
        direction = _quotient(gradient, np.sqrt(variance) + scalar(self.eps))
        if self.momentum:
            velocity = state.moments[-1]
            velocity *= scalar(self.momentum)
            velocity += direction
            direction = velocity
        params -= scalar(learning_rate) * direction


@frozen
class ASGD(Optimizer):
    r"""Averaged stochastic gradient descent (Polyak & Juditsky 1992, doi:10.1137/0330046).

    .. math::

        p \leftarrow (1 - \lambda_d \eta_t) p - \eta_t (g + \lambda p), \quad
        \bar p \leftarrow \bar p + \frac{p - \bar p}{\max(1, t - 1 - t_0)}, \quad
        \eta_{t+1} = \frac{\eta}{(1 + \lambda_d \eta t)^\alpha}

    As torch.optim.ASGD. The network has the parameters p; `History.averaged_params` is the
    average, which starts after step t0: choose t0 below the number of updates. A schedule takes
    effect one step later, as in torch.

    Parameters
    ----------
    learning_rate : float
        The step size eta, above 0.
    lambd : float
        The rate lambda_d of the parameters' and of the step size's decay, at least 0.
    alpha : float
        The exponent of the step size's decay, at least 0.
    t0 : float
        The step after which averaging starts, at least 0.
    weight_decay : float
        The factor lambda of the L2 term that is added to the gradient, at least 0.

    Examples
    --------
    >>> import numpy as np
    >>> import fastgd as gd
    >>> X = np.random.default_rng(0).standard_normal((100, 1))
    >>> net = gd.Network([1, 1], dtype="float64")
    >>> optimizer = gd.ASGD(0.1, t0=100)
    >>> history = gd.train(net, X, 2 * X, batch_size=1, epochs=5, optimizer=optimizer, rng=0)
    >>> net.params[:] = history.averaged_params
    >>> print(net.params.round(3))
    [2. 0.]
    """

    name: ClassVar[str] = "asgd"
    n_moments: ClassVar[int] = 1
    initial_scalars: ClassVar[tuple[float, ...]] = (0.0,)

    learning_rate: float = 1e-2
    lambd: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lambd", "alpha", "t0", "weight_decay"):
            value = _validation.check_real(name, getattr(self, name), at_least=0)
            set_fields(self, **{name: value})

    @property
    def hyperparameters(self) -> tuple[float, ...]:
        """Weight decay, lambd, alpha, t0."""
        return self.weight_decay, self.lambd, self.alpha, self.t0

    def _move(
        self,
        params: FloatArray,
        gradient: FloatArray,
        state: OptimizerState,
        learning_rate: float,
    ) -> None:
        scalar = params.dtype.type
        eta = learning_rate if state.step == 1 else float(state.scalars[0])
        gradient = gradient + scalar(self.weight_decay) * params
        params *= scalar(1 - self.lambd * eta)
        params -= scalar(eta) * gradient
        (average,) = state.moments
        share = 1 / max(1.0, state.step - 1 - self.t0)
        if share == 1:
            average[:] = params
        else:
            average += scalar(share) * (params - average)
        growth = np.float64(1 + self.lambd * learning_rate * state.step)
        with np.errstate(over="ignore"):  # an infinite factor makes a step size of 0
            state.scalars[0] = learning_rate / growth**self.alpha


#: Every optimizer by name.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    kind.name: kind for kind in (SGD, Adam, AdamW, Nadam, Adagrad, RMSprop, ASGD)
}
OPTIMIZER_ARGUMENTS |= {
    kind.__name__: [each.name for each in fields(kind)] for kind in OPTIMIZERS.values()
}


def check_optimizer(optimizer: Any) -> Optimizer:
    """Return an optimizer; raise TypeError for anything else."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    hint = ""
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        hint = f": make one of it, as in fastgd.{optimizer.__name__}(0.01)"
    elif isinstance(optimizer, str):
        names = [kind.__name__ for kind in OPTIMIZERS.values()]
        near = near_name(optimizer, names)
        hint = f": did you mean fastgd.{near}(0.01)?" if near else f"; there are {', '.join(names)}"
    raise TypeError(
        f"optimizer must be an optimizer such as fastgd.SGD(0.1), not {show(optimizer)}{hint}"
    )
