"""Schedules: how the learning rate changes during a training.

A schedule is only a formula. Its state between epochs (only `OnPlateau` has any) is kept by the
run, so that several runs can share a schedule and a resumed run continues exactly. Arithmetic is
torch.optim.lr_scheduler's.

All computations use additions, multiplications, divisions and the engine's own elementary
functions, so that learning rates have the same bits on every machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from math import inf
from numbers import Real
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastgd import _data, _validation, _words
from fastgd._elementary import half_wave, real_power, whole_power
from fastgd._frozen import frozen, set_fields
from fastgd._typing import FloatArray
from fastgd.stopping import Patience, Waiting

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Function",
    "InverseScaling",
    "MultiStep",
    "OnPlateau",
    "OneCycle",
    "Schedule",
    "Step",
    "WarmUp",
]


def __dir__() -> list[str]:
    return __all__


#: The state that a run keeps for its schedule: numbers, which files can hold.
State: TypeAlias = tuple[float, ...]
Times: TypeAlias = NDArray[np.int64]

UNITS = ("epoch", "update")
BLOCK = 4096  # times per pass, so that a formula's temporary arrays stay in the cache


@frozen
class Schedule(ABC):
    """The base class of schedules; use a subclass, or derive your own.

    Your own schedule is a frozen dataclass that defines `_rates`. If it reacts to the loss, it
    also defines `initial_state` and `observe`.

    Attributes
    ----------
    unit : {"epoch", "update"}
        The unit of the time t: complete epochs, or updates. It starts at 0.
    """

    #: the type's name in saved files
    name: ClassVar[str] = ""
    #: whether `observe` has any effect
    watches_loss: ClassVar[bool] = False
    #: whether the arrays that `rates` returns are valid and not changed later, so need no check
    trusted: ClassVar[bool] = False

    unit: str = field(default="epoch", kw_only=True)

    def __post_init__(self) -> None:
        """Check the fields that all schedules share."""
        _validation.check_choice("unit", self.unit, UNITS)

    def initial_state(self) -> State:
        """Return this schedule's state before the first epoch."""
        return ()

    def observe(self, state: State, loss: float) -> State:
        """Return the state after an epoch that ended with this loss; `state` is not changed."""
        return state

    def check_state(self, state: State, epochs: int) -> None:
        """Check a state from a file: `observe` must be able to return it in this many epochs.

        Raises
        ------
        ValueError
            When it is not.
        """
        if len(state) != len(self.initial_state()):
            raise ValueError(f"the state {list(state)} is not one of {self}")

    def rates(self, base: float, start: int, count: int, state: State | None = None) -> FloatArray:
        """Return the learning rates at the times from `start` on.

        Parameters
        ----------
        base : float
            The optimizer's learning rate.
        start : int
            The first time t: the number of earlier epochs or updates.
        count : int
            The number of learning rates.
        state : tuple of float, optional
            The result of `initial_state` or of the last `observe`; the initial state if not given.

        Returns
        -------
        ndarray of float64 of shape (count,)
            The learning rates at t = start, ..., start + count - 1.

        Raises
        ------
        ValueError
            When one of them is negative or not finite.

        Examples
        --------
        >>> from fastgd import schedules
        >>> schedules.Step(2, gamma=0.5).rates(0.1, start=0, count=5)
        array([0.1  , 0.1  , 0.05 , 0.05 , 0.025])
        """
        base = _validation.check_real("base", base, above=0)
        start = _validation.check_int("start", start, at_least=0)
        count = _validation.check_int("count", count, at_least=0)
        state = self.initial_state() if state is None else state
        rates = np.empty(count)
        for first in range(0, count, BLOCK):
            t = np.arange(start + first, start + min(first + BLOCK, count), dtype=np.int64)
            given = self._rates(base, t, state)
            rates[first : first + BLOCK] = _data.check_numbers("the learning rates", given)
        if np.isfinite(rates).all() and rates.min(initial=0) >= 0:
            return rates
        bad = ~(np.isfinite(rates) & (rates >= 0))
        first = int(np.argmax(bad))
        raise ValueError(
            f"{self} gives the learning rate {rates[first]} at {self.unit} {start + first}, "
            "counted from 0; it must be finite and at least 0"
        )

    @abstractmethod
    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        """Return the learning rates at the times t, float64."""

    def to_entry(self) -> list[Any]:
        """Return [name, fields] in JSON's own types, for `from_entry`.

        Raises
        ------
        ValueError
            When the schedule is a function or of a user's own type.
        """
        if SCHEDULES.get(self.name) is not type(self):
            raise ValueError(
                f"a schedule of type {type(self).__name__} cannot be saved, only "
                f"{', '.join(kind.__name__ for kind in SCHEDULES.values())}"
            )
        return [self.name, {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.init}]


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.to_entry()
    return list(value) if isinstance(value, tuple) else value


@frozen
class Constant(Schedule):
    r"""A constant learning rate, the optimizer's: :math:`\eta_t = \eta`.

    Parameters
    ----------
    unit : {"epoch", "update"}
        The unit of t; it only matters in `WarmUp`.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Constant().rates(0.1, start=0, count=3)
    array([0.1, 0.1, 0.1])
    """

    name: ClassVar[str] = "constant"

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return np.full(len(t), base)


@frozen
class Step(Schedule):
    r"""Multiply by gamma every few epochs: :math:`\eta_t = \eta \gamma^{\lfloor t / s \rfloor}`.

    As torch's StepLR.

    Parameters
    ----------
    step_size : int
        Epochs (or updates) s between two changes, at least 1.
    gamma : float
        The factor, above 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Step(2, gamma=0.5).rates(0.1, start=0, count=5)
    array([0.1  , 0.1  , 0.05 , 0.05 , 0.025])
    """

    name: ClassVar[str] = "step"

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        set_fields(
            self,
            step_size=_validation.check_int("step_size", self.step_size, at_least=1),
            gamma=_validation.check_real("gamma", self.gamma, above=0),
        )

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return base * whole_power(self.gamma, t // self.step_size)


@frozen
class MultiStep(Schedule):
    r"""Multiply by gamma at each of k milestones up to t: :math:`\eta_t = \eta \gamma^k`.

    As torch's MultiStepLR.

    Parameters
    ----------
    milestones : sequence of int
        The times of change, in ascending order; a time given twice changes the rate twice.
    gamma : float
        The factor, above 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.MultiStep([1, 4], gamma=0.5).rates(0.1, start=0, count=5)
    array([0.1  , 0.05 , 0.05 , 0.05 , 0.025])
    """

    name: ClassVar[str] = "multi_step"

    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.milestones, str) or not hasattr(self.milestones, "__iter__"):
            raise TypeError(
                f"milestones must list times, as in [30, 60], not {_words.show(self.milestones)}"
            )
        milestones = tuple(
            _validation.check_int(f"milestones[{place}]", time, at_least=0)
            for place, time in enumerate(self.milestones)
        )
        if list(milestones) != sorted(milestones):
            raise ValueError(f"milestones is {list(milestones)}, but must be in ascending order")
        gamma = _validation.check_real("gamma", self.gamma, above=0)
        set_fields(self, milestones=milestones, gamma=gamma)

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        passed = np.searchsorted(np.array(self.milestones, np.int64), t, side="right")
        return base * whole_power(self.gamma, passed)


@frozen
class Exponential(Schedule):
    r"""Multiply by gamma each time: :math:`\eta_t = \eta \gamma^t`.

    As torch's ExponentialLR.

    Parameters
    ----------
    gamma : float
        The factor, above 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Exponential(0.5).rates(0.1, start=0, count=4)
    array([0.1   , 0.05  , 0.025 , 0.0125])
    """

    name: ClassVar[str] = "exponential"

    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        set_fields(self, gamma=_validation.check_real("gamma", self.gamma, above=0))

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return base * whole_power(self.gamma, t)


@frozen
class InverseScaling(Schedule):
    r"""Fall with a power of the time: :math:`\eta_t = \eta / (t + 1)^p`.

    Stochastic gradient descent converges to a minimum for 1/2 < p <= 1 (Robbins & Monro
    1951, doi:10.1214/aoms/1177729586: the rates' sum diverges, that of their squares does not).
    As scikit-learn's "invscaling", whose power_t is the power.

    Parameters
    ----------
    power : float
        The exponent p, at least 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.InverseScaling(0.5).rates(0.1, start=0, count=4).round(4)
    array([0.1   , 0.0707, 0.0577, 0.05  ])
    """

    name: ClassVar[str] = "inverse_scaling"

    power: float = 0.5
    unit: str = field(default="update", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        set_fields(self, power=_validation.check_real("power", self.power, at_least=0))

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        return base / real_power(t + 1.0, self.power)


@frozen
class Cosine(Schedule):
    r"""Fall to a minimum along half a cosine wave.

    .. math:: \eta_t = m + (\eta - m) \frac{1 + \cos(\pi t / T)}{2}

    (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5). As torch's CosineAnnealingLR, whose
    T_max is the period and eta_min the minimum. As there, after T the rate rises again.

    Parameters
    ----------
    period : int
        The time T at which the minimum is reached, at least 1.
    minimum : float
        The lowest learning rate m, at least 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Cosine(4).rates(0.1, start=0, count=5).round(4)
    array([0.1   , 0.0854, 0.05  , 0.0146, 0.    ])
    """

    name: ClassVar[str] = "cosine"

    period: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_fields(
            self,
            period=_validation.check_int("period", self.period, at_least=1),
            minimum=_validation.check_real("minimum", self.minimum, at_least=0),
        )

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        phase = t % self.period
        phase = np.where(t // self.period % 2, self.period - phase, phase)  # every other one rises
        return self.minimum + (base - self.minimum) * half_wave(phase / self.period)


@frozen
class CosineRestarts(Schedule):
    r"""Repeated half cosine waves, each as long as the previous one or several times longer.

    .. math:: \eta_t = m + (\eta - m) \frac{1 + \cos(\pi t_i / T_i)}{2}

    with :math:`t_i` the time since the last restart and :math:`T_i = T_0 f^i` (Loshchilov &
    Hutter 2017, arXiv:1608.03983, SGDR). As torch's CosineAnnealingWarmRestarts, whose T_0 is the
    period, T_mult the factor and eta_min the minimum.

    Parameters
    ----------
    period : int
        The time from the start to the first restart, at least 1.
    factor : int
        The length of each wave divided by that of the previous one, at least 1.
    minimum : float
        The learning rate m at the end of a wave, at least 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.CosineRestarts(2, factor=2).rates(0.1, start=0, count=7).round(4)
    array([0.1   , 0.05  , 0.1   , 0.0854, 0.05  , 0.0146, 0.1   ])
    """

    name: ClassVar[str] = "cosine_restarts"

    period: int
    factor: int = 1
    minimum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_fields(
            self,
            period=_validation.check_int("period", self.period, at_least=1),
            factor=_validation.check_int("factor", self.factor, at_least=1),
            minimum=_validation.check_real("minimum", self.minimum, at_least=0),
        )

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        if self.factor == 1:
            progress = t % self.period / self.period
        else:
            starts, lengths = [0], [self.period]
            while len(t) and starts[-1] + lengths[-1] <= t[-1]:
                starts.append(starts[-1] + lengths[-1])
                lengths.append(lengths[-1] * self.factor)
            wave = np.searchsorted(starts, t, side="right") - 1
            progress = (t - np.array(starts)[wave]) / np.array(lengths, np.float64)[wave]
        return self.minimum + (base - self.minimum) * half_wave(progress)


@frozen
class OneCycle(Schedule):
    r"""One rise to the optimizer's learning rate and one long fall (Smith & Topin 2018).

    It starts at eta / div_factor, reaches eta, the optimizer's learning rate, after the share
    pct_start of the steps, and ends at eta / (div_factor * final_div_factor). With three_phase it
    first falls back to its start, in the time of its rise. As torch's OneCycleLR
    (arXiv:1708.07120) with max_lr=eta and cycle_momentum=False; after the last step, where torch
    raises an error, the rate is constant.

    Parameters
    ----------
    total_steps : int
        The number of updates (or epochs) in the cycle, at least 1.
    pct_start : float
        The share of the steps in the rise, from 0 to 1.
    anneal_strategy : {"cos", "linear"}
        Whether to rise and fall along half cosine waves or straight lines.
    div_factor, final_div_factor : float
        The peak divided by the start, and the start divided by the end; above 0.
    three_phase : bool
        Whether to fall symmetrically first.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.OneCycle(10, anneal_strategy="linear").rates(1.0, start=0, count=10).round(3)
    array([0.04 , 0.52 , 1.   , 0.857, 0.714, 0.571, 0.429, 0.286, 0.143,
           0.   ])
    """

    name: ClassVar[str] = "one_cycle"

    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    unit: str = field(default="update", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        share = _validation.check_real("pct_start", self.pct_start, at_least=0, at_most=1)
        three_phase = _validation.check_bool("three_phase", self.three_phase)
        if three_phase and share > 0.5:
            raise ValueError(
                f"pct_start is {share}, but must be at most 0.5: with three_phase as much time "
                "again goes into the fall"
            )
        _validation.check_choice("anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        set_fields(
            self,
            total_steps=_validation.check_int("total_steps", self.total_steps, at_least=1),
            pct_start=share,
            div_factor=_validation.check_real("div_factor", self.div_factor, above=0),
            final_div_factor=_validation.check_real(
                "final_div_factor", self.final_div_factor, above=0
            ),
            three_phase=three_phase,
        )

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        rise, last = self.pct_start * self.total_steps, self.total_steps - 1
        first = base / self.div_factor
        # the last step and the learning rate of each phase's end
        ends = [(rise - 1, base), (last, first / self.final_div_factor)]
        if self.three_phase:
            ends.insert(1, (2 * rise - 2, first))
        t = np.minimum(t, last)
        rates = np.empty(len(t))
        todo = np.ones(len(t), bool)
        begin, value = 0.0, first
        for end, target in ends:
            now = todo & ((t <= end) | (end == last))
            progress = (t[now] - begin) / (end - begin) if end > begin else np.ones(now.sum())
            if self.anneal_strategy == "cos":
                rates[now] = target + (value - target) * half_wave(progress)
            else:
                rates[now] = (target - value) * progress + value
            todo &= ~now
            begin, value = end, target
        return rates


@frozen
class WarmUp(Schedule):
    r"""A linear rise from a share of the learning rate, followed by another schedule.

    .. math:: \eta_t = \eta \left(s + (1 - s) \frac{t}{n}\right) \quad (t < n)

    and from t = n on the other schedule, whose time starts there. As torch's SequentialLR of a
    LinearLR and the other (Goyal et al. 2017, arXiv:1706.02677, section 2.2).

    Parameters
    ----------
    steps : int
        The time n of the rise, at least 1, in the unit of the schedule that follows.
    then : Schedule
        The following schedule; ``Constant(unit="update")`` for a rise counted in updates.
    start_factor : float
        The initial share s of the learning rate, above 0 and at most 1.

    Examples
    --------
    >>> from fastgd import schedules
    >>> warm_up = schedules.WarmUp(2, schedules.Exponential(0.5), start_factor=0.5)
    >>> warm_up.rates(0.1, start=0, count=5)
    array([0.05 , 0.075, 0.1  , 0.05 , 0.025])
    """

    name: ClassVar[str] = "warm_up"

    steps: int
    then: Schedule = field(default_factory=Constant)
    start_factor: float = 1 / 3
    unit: str = field(default="", kw_only=True, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.then, Schedule):
            raise TypeError(
                f"then must be a schedule such as schedules.Cosine(50), not "
                f"{_words.show(self.then)}"
            )
        set_fields(
            self,
            steps=_validation.check_int("steps", self.steps, at_least=1),
            start_factor=_validation.check_real(
                "start_factor", self.start_factor, above=0, at_most=1
            ),
            unit=self.then.unit,
        )

    @property
    def watches_loss(self) -> bool:  # type: ignore[override]
        """Whether the following schedule watches the loss."""
        return self.then.watches_loss

    def initial_state(self) -> State:
        """Return the initial state of the following schedule."""
        return self.then.initial_state()

    def observe(self, state: State, loss: float) -> State:
        """Pass the loss to the following schedule, during the rise too."""
        return self.then.observe(state, loss)

    def check_state(self, state: State, epochs: int) -> None:
        """Check that the following schedule can have this state."""
        self.then.check_state(state, epochs)

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        rises = t < self.steps
        rates = base * (self.start_factor + (1 - self.start_factor) * (t / self.steps))
        rates[~rises] = self.then._rates(base, t[~rises] - self.steps, state)
        return rates


@frozen
class OnPlateau(Schedule):
    r"""Multiply by a factor whenever the loss stops falling.

    After each epoch `observe` gets the loss: the validation loss if there is one, otherwise
    the training loss. An epoch is bad unless its loss is below the best so far by the threshold;
    after more than `patience` bad epochs the learning rate is multiplied by the factor, but not
    reduced below `minimum`. As torch's ReduceLROnPlateau with mode="min", whose min_lr is
    the minimum.

    Parameters
    ----------
    factor : float
        The factor, above 0 and below 1.
    patience : int
        How many bad epochs in a row to accept, at least 0.
    threshold : float
        The smallest improvement that counts, at least 0.
    threshold_mode : {"rel", "abs"}
        Whether better means below best - threshold * abs(best) or below best - threshold. Losses
        below 0 follow the same rule, while torch's best * (1 - threshold) is then above the best.
    cooldown : int
        Epochs after a change that do not count as bad, at least 0.
    minimum : float
        The lowest learning rate, at least 0.
    eps : float
        Skip changes of the learning rate that are not larger than this, at least 0.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedule = schedules.OnPlateau(factor=0.5, patience=1)
    >>> state = schedule.initial_state()
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     state = schedule.observe(state, loss)
    >>> schedule.rates(0.1, start=4, count=1, state=state)
    array([0.05])
    """

    name: ClassVar[str] = "on_plateau"
    watches_loss: ClassVar[bool] = True

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    minimum: float = 0.0
    eps: float = 1e-8
    unit: str = field(default="epoch", kw_only=True, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _validation.check_choice("threshold_mode", self.threshold_mode, ("rel", "abs"))
        set_fields(
            self,
            factor=_validation.check_real("factor", self.factor, above=0, below=1),
            patience=_validation.check_int("patience", self.patience, at_least=0),
            threshold=_validation.check_real("threshold", self.threshold, at_least=0),
            cooldown=_validation.check_int("cooldown", self.cooldown, at_least=0),
            minimum=_validation.check_real("minimum", self.minimum, at_least=0),
            eps=_validation.check_real("eps", self.eps, at_least=0),
        )

    def initial_state(self) -> State:
        """Return (best loss, bad epochs, epochs of cooldown left, changes so far)."""
        return inf, 0, 0, 0

    def observe(self, state: State, loss: float) -> State:
        """Return the state after an epoch that ended with this loss; `state` is not changed."""
        rule = Patience(self.patience + 1, self.threshold, relative=self.threshold_mode == "rel")
        waiting = rule.observe(Waiting(state[0], int(state[1])), loss)
        cooling, changes = state[2:]
        if cooling > 0:
            cooling, waiting = cooling - 1, waiting._replace(epochs=0)
        if rule.exhausted(waiting):
            cooling, changes, waiting = self.cooldown, changes + 1, waiting._replace(epochs=0)
        return (*waiting, cooling, changes)

    def check_state(self, state: State, epochs: int) -> None:
        """Check a state from a file: `observe` must be able to return it in this many epochs.

        The learning rate is computed change by change, so their number must be bounded.
        """
        super().check_state(state, epochs)
        best, *counts = state
        limits = zip(counts, (epochs, self.cooldown, epochs), strict=True)
        whole = all(0 <= count <= most and count == int(count) for count, most in limits)
        if best != best or not whole:
            raise ValueError(f"the state {list(state)} is not one of {self} in epoch {epochs}")

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        rate = base
        for _ in range(int(state[3])):
            lower = max(rate * self.factor, self.minimum)
            if rate - lower <= self.eps:
                break  # and all later changes would be smaller still
            rate = lower
        return np.full(len(t), rate)


@frozen
class Function(Schedule):
    r"""Multiply by a function of time: :math:`\eta_t = \eta f(t)`.

    As torch's LambdaLR. A function cannot be written to a file, so `fastgd.save_checkpoint` refuses
    a training with such a schedule.

    Parameters
    ----------
    function : callable
        Takes t, an int from 0, and returns the factor f(t), finite and at least 0.
    unit : {"epoch", "update"}
        The unit of t.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Function(lambda t: 1 / (1 + t)).rates(0.1, start=0, count=2)
    array([0.1 , 0.05])
    """

    name: ClassVar[str] = "function"

    function: Callable[[int], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        _validation.check_function("function", self.function, "t")

    def _rates(self, base: float, t: Times, state: State) -> FloatArray:
        factors = [self.function(time) for time in t.tolist()]
        for factor in factors:
            if isinstance(factor, (bool, np.bool_)) or not isinstance(factor, Real):
                raise TypeError(
                    f"the schedule's function must return a number, not {_words.show(factor)}"
                )
        return base * np.array([_validation.as_float(factor) for factor in factors])


#: Every schedule that a file can hold, by name.
SCHEDULES: dict[str, type[Schedule]] = {
    kind.name: kind
    for kind in (
        Constant, Step, MultiStep, Exponential, InverseScaling, Cosine, CosineRestarts, OneCycle,
        WarmUp, OnPlateau,
    )
}  # fmt: skip


def make_schedule(value: Any, name: str = "schedule") -> Schedule:
    """Return the schedule for None (constant), a schedule, or a function t -> factor.

    A function's t counts epochs; ``Function(function, unit="update")`` counts updates. `name` is
    the argument's name in messages.
    """
    if value is None:
        return Constant()
    if isinstance(value, Schedule):
        return value
    if callable(value) and not isinstance(value, type):
        _validation.check_function(name, value, "epoch")
        return Function(value)
    hint = ""
    if isinstance(value, str):
        near = _words.near_name(value, [kind.__name__ for kind in SCHEDULES.values()])
        hint = f": did you mean schedules.{near}?" if near else ""
    elif isinstance(value, type):
        hint = ": make a schedule of the class"
    raise TypeError(
        f"{name} must be None, a schedule such as schedules.Cosine(50), or a function from the "
        f"number of the epoch to a factor, not {_words.show(value)}{hint}"
    )


def from_entry(entry: Sequence[Any]) -> Schedule:
    """Return the schedule from the result of `Schedule.to_entry`."""
    name, arguments = entry
    name = _validation.check_choice("schedule", name, SCHEDULES)
    if "then" in arguments:
        arguments = arguments | {"then": from_entry(arguments["then"])}
    return SCHEDULES[name](**arguments)
