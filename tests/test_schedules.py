"""Schedules: the learning rates of torch.optim.lr_scheduler, time by time."""

import json
import math
import sys
from decimal import Decimal
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
from conftest import assert_close

from fastgd import schedules as s

TIMES = 60


def falling(gamma):
    return lambda base, t: base * gamma**t


def cosine(period, minimum):
    return lambda base, t: minimum + (base - minimum) * (1 + math.cos(math.pi * t / period)) / 2


def restarts(period, factor, minimum):
    def rate(base, t):
        begin, length = 0, period
        while t >= begin + length:
            begin, length = begin + length, length * factor
        return cosine(length, minimum)(base, t - begin)

    return rate


def one_cycle(total, share, phases, linear=False):
    """Interpolate between (last step of the phase, factor at its end)."""

    def rate(base, t):
        begin, value = 0.0, phases[0]
        for end, target in zip((share * total - 1, *phases[2]), phases[1], strict=True):
            if t <= end:
                x = (t - begin) / (end - begin)
                x = x if linear else (1 - math.cos(math.pi * x)) / 2
                return base * (value + (target - value) * x)
            begin, value = end, target
        raise AssertionError

    return rate


def warm_up(steps, start, then):
    return lambda base, t: (
        base * (start + (1 - start) * t / steps) if t < steps else then(base, t - steps)
    )


# each schedule with its formula, and as test_against_torch.py makes it of lr_scheduler
CASES = {
    "constant": (
        s.Constant(),
        lambda base, t: base,
        lambda lr, opt: lr.LambdaLR(opt, lambda t: 1),
    ),
    "step": (
        s.Step(7, gamma=0.3),
        lambda base, t: base * 0.3 ** (t // 7),
        lambda lr, opt: lr.StepLR(opt, 7, 0.3),
    ),
    "multi-step": (
        s.MultiStep([0, 5, 5, 30], gamma=0.5),
        lambda base, t: base * 0.5 ** (1 + 2 * (t >= 5) + (t >= 30)),
        None,  # torch does not look at a milestone of 0
    ),
    "multi-step, later": (
        s.MultiStep([3, 5, 5, 30], gamma=0.7),
        lambda base, t: base * 0.7 ** ((t >= 3) + 2 * (t >= 5) + (t >= 30)),
        lambda lr, opt: lr.MultiStepLR(opt, [3, 5, 5, 30], 0.7),
    ),
    "exponential": (
        s.Exponential(0.93),
        falling(0.93),
        lambda lr, opt: lr.ExponentialLR(opt, 0.93),
    ),
    "inverse scaling": (
        s.InverseScaling(0.25),
        lambda base, t: base / (t + 1) ** 0.25,
        lambda lr, opt: lr.LambdaLR(opt, lambda t: (t + 1) ** -0.25),
    ),
    "cosine": (
        s.Cosine(25, minimum=0.01),
        cosine(25, 0.01),
        lambda lr, opt: lr.CosineAnnealingLR(opt, 25, 0.01),
    ),
    "cosine to zero": (
        s.Cosine(59),
        cosine(59, 0.0),
        lambda lr, opt: lr.CosineAnnealingLR(opt, 59),
    ),
    "restarts": (
        s.CosineRestarts(7, minimum=0.01),
        restarts(7, 1, 0.01),
        lambda lr, opt: lr.CosineAnnealingWarmRestarts(opt, 7, 1, 0.01),
    ),
    "longer restarts": (
        s.CosineRestarts(3, factor=2),
        restarts(3, 2, 0.0),
        lambda lr, opt: lr.CosineAnnealingWarmRestarts(opt, 3, 2),
    ),
    "one cycle": (
        s.OneCycle(TIMES),
        one_cycle(TIMES, 0.3, (1 / 25, (1, 1 / 25e4), (TIMES - 1,))),
        lambda lr, opt: lr.OneCycleLR(opt, 0.3, TIMES, cycle_momentum=False),
    ),
    "one cycle, linear": (
        s.OneCycle(
            TIMES, pct_start=0.25, anneal_strategy="linear", div_factor=5, final_div_factor=3
        ),
        one_cycle(TIMES, 0.25, (1 / 5, (1, 1 / 15), (TIMES - 1,)), linear=True),
        lambda lr, opt: lr.OneCycleLR(
            opt, 0.3, TIMES, pct_start=0.25, anneal_strategy="linear", div_factor=5,
            final_div_factor=3, cycle_momentum=False,
        ),
    ),
    "one cycle, three phases": (
        s.OneCycle(TIMES, pct_start=0.4, three_phase=True),
        one_cycle(TIMES, 0.4, (1 / 25, (1, 1 / 25, 1 / 25e4), (0.8 * TIMES - 2, TIMES - 1))),
        lambda lr, opt: lr.OneCycleLR(
            opt, 0.3, TIMES, pct_start=0.4, three_phase=True, cycle_momentum=False
        ),
    ),
    "warm-up": (
        s.WarmUp(5),
        warm_up(5, 1 / 3, lambda base, t: base),
        lambda lr, opt: lr.LinearLR(opt, total_iters=5),
    ),
    "warm-up, cosine": (
        s.WarmUp(10, s.Cosine(TIMES - 10), start_factor=0.01),
        warm_up(10, 0.01, cosine(TIMES - 10, 0.0)),
        lambda lr, opt: lr.SequentialLR(
            opt,
            [lr.LinearLR(opt, 0.01, total_iters=10), lr.CosineAnnealingLR(opt, TIMES - 10)],
            milestones=[10],
        ),
    ),
    "function": (
        s.Function(lambda t: 1 / (1 + t)),
        lambda base, t: base / (1 + t),
        lambda lr, opt: lr.LambdaLR(opt, lambda t: 1 / (1 + t)),
    ),
}  # fmt: skip
EVERY = [case[0] for case in CASES.values()] + [s.OnPlateau()]


@pytest.mark.parametrize("case", CASES)
def test_rates_equal_the_formulas(case):
    schedule, formula, _ = CASES[case]
    expected = [formula(0.3, t) for t in range(TIMES)]
    assert_close(schedule.rates(0.3, 0, TIMES), expected, "float64", 1)


LOSSES_SEEN = [
    3, 2.5, 2.5, 2.5, 2.4999, 2.49, 3, math.nan, 3, 3, 2.6, 2.4, 2.4, 2.4, 2.4, 2.4, 2.4, 9,
]  # fmt: skip
PLATEAUS = {
    "default": {"patience": 1},
    "no patience": {"factor": 0.5, "patience": 0},
    "absolute": {"factor": 0.5, "patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
    "cooldown": {"factor": 0.5, "patience": 1, "cooldown": 2},
    "minimum": {"factor": 0.5, "patience": 0, "minimum": 0.04},
    "small changes": {"factor": 0.5, "patience": 0, "eps": 0.02},
}


def plateau_rates(schedule):
    state, rates = schedule.initial_state(), []
    for epoch, loss in enumerate(LOSSES_SEEN):
        rates.extend(schedule.rates(0.3, epoch, 1, state))
        state = schedule.observe(state, loss)
    return rates


def test_a_plateau_by_hand():
    rates = plateau_rates(s.OnPlateau(factor=0.5, patience=1))
    # losses 3 and 2.5 are the best so far; two equal ones follow, and so on
    assert [round(rate / 0.3, 10) for rate in rates[:8]] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "factors"),
    [
        ({"patience": 0}, [1, 1, 0.5, 0.25, 0.125, 0.0625]),
        ({"patience": 2}, [1, 1, 1, 1, 0.5, 0.5]),
        ({"patience": 0, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 0, "minimum": 0.3}, [1, 1, 0.5, 0.3, 0.3, 0.3]),
    ],
)
def test_a_plateau_of_equal_losses_by_hand(options, factors):
    schedule = s.OnPlateau(factor=0.5, **options)
    state, rates = schedule.initial_state(), []
    for epoch in range(6):
        rates += schedule.rates(1.0, epoch, 1, state).tolist()
        state = schedule.observe(state, 7.0)
    assert rates == factors


def test_a_plateaus_state_is_not_changed_so_runs_can_share_a_schedule():
    schedule = s.OnPlateau(factor=0.5, patience=0)
    state = schedule.initial_state()
    after = schedule.observe(schedule.observe(state, 1.0), 1.0)
    assert schedule.rates(1.0, 2, 1, after) == [0.5]
    assert schedule.rates(1.0, 2, 1, state) == [1.0]
    assert state == schedule.initial_state()


def test_a_plateau_ends_at_its_minimum_however_often_it_is_reached():
    schedule = s.OnPlateau(factor=0.5, patience=0, minimum=0.1)
    assert schedule.rates(1.0, 0, 1, (1.0, 0, 0, 10**9)) == [0.1]


def test_warm_up_passes_the_losses_on():
    schedule = s.WarmUp(2, s.OnPlateau(factor=0.5, patience=0), start_factor=0.5)
    state = schedule.observe(schedule.observe(schedule.initial_state(), 1.0), 1.0)
    assert schedule.watches_loss
    np.testing.assert_allclose(schedule.rates(1.0, 0, 4, state), [0.5, 0.75, 0.5, 0.5])


@pytest.mark.parametrize("schedule", EVERY, ids=str)
def test_parts_equal_the_whole(schedule):
    whole = schedule.rates(0.3, 0, TIMES)
    assert whole.dtype == np.float64
    parts = [schedule.rates(0.3, start, 7) for start in range(0, TIMES, 7)]
    assert np.concatenate(parts)[:TIMES].tobytes() == whole.tobytes()
    assert schedule.rates(0.3, 5, 0).shape == (0,)


@pytest.mark.parametrize("schedule", EVERY, ids=str)
def test_files_hold_schedules(schedule):
    if isinstance(schedule, s.Function):
        with pytest.raises(ValueError, match="cannot be saved"):
            schedule.to_entry()
        return
    assert s.from_entry(json.loads(json.dumps(schedule.to_entry()))) == schedule


def test_files_hold_states():
    state = s.OnPlateau().initial_state()
    assert tuple(json.loads(json.dumps(state))) == state


def test_schedules_are_values():
    assert len({s.Step(3), s.Step(3), s.Step(4), s.MultiStep([1]), s.MultiStep((1,))}) == 3


def test_every_unit_is_respected():
    assert s.Cosine(3).unit == s.Constant().unit == s.OnPlateau().unit == "epoch"
    assert s.OneCycle(3).unit == s.InverseScaling().unit == "update"
    assert s.Cosine(3, unit="update").unit == "update"
    assert s.WarmUp(3, s.OneCycle(3)).unit == "update"


def test_after_its_end_a_cycle_is_constant():
    rates = s.OneCycle(10).rates(1.0, 0, 15)
    assert set(rates[9:]) == {rates[9]}


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("total", [1, 2, 10])
def test_short_cycles_are_defined(total, share):
    rates = s.OneCycle(total, pct_start=share).rates(1.0, 0, total)
    assert (rates <= 1).all()
    assert (rates > 0).all()


def test_large_times_are_accurate():
    exact = 0.1 * math.exp(1e6 * math.log1p(-1e-6))
    assert s.Exponential(1 - 1e-6).rates(0.1, 10**6, 1) == pytest.approx([exact], rel=1e-9)
    assert s.Cosine(10**6).rates(1.0, 10**6 - 1, 1) == pytest.approx(
        [math.sin(math.pi / 2e6) ** 2], rel=1e-12
    )


def test_a_schedule_of_none_a_schedule_or_a_function():
    assert s.make_schedule(None) == s.Constant()
    assert s.make_schedule(s.Step(3)) == s.Step(3)
    assert s.make_schedule(lambda t: 0.5**t).rates(1.0, 0, 3).tolist() == [1, 0.5, 0.25]


@pytest.mark.parametrize("value", [0.1, "cosine", s.Step, [s.Step(3)]])
def test_nothing_else_is_a_schedule(value):
    with pytest.raises(TypeError, match="schedule must be None, a schedule such as"):
        s.make_schedule(value)


@pytest.mark.parametrize(
    ("factor", "error", "message"),
    [
        (-1, ValueError, "gives the learning rate -0.1 at epoch 4"),
        (math.nan, ValueError, "gives the learning rate nan at epoch 4"),
        ("1", TypeError, "must return a number, not '1'"),
        (True, TypeError, "must return a number, not True"),
    ],
)
def test_functions_are_checked(factor, error, message):
    with pytest.raises(error, match=message):
        s.Function(lambda t: factor).rates(0.1, 4, 2)


def test_a_rate_that_overflows_is_an_error():
    with pytest.raises(ValueError, match="gives the learning rate inf at epoch 1024"):
        s.Exponential(2.0).rates(1.0, 1000, 100)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: s.Step(0), ValueError, "step_size is 0, but must be at least 1"),
        (lambda: s.Step(3, gamma=0), ValueError, "gamma is 0"),
        (lambda: s.Step(3, unit="step"), ValueError, "unit is 'step', but must be one of 'epoch'"),
        (lambda: s.MultiStep([5, 3]), ValueError, "must be in ascending order"),
        (lambda: s.MultiStep([1.5]), TypeError, r"milestones\[0\] must be a whole number"),
        (lambda: s.MultiStep(3), TypeError, "milestones must list times, .*, not 3"),
        (lambda: s.Exponential(-1), ValueError, "gamma is -1"),
        (lambda: s.InverseScaling(-1), ValueError, "power is -1"),
        (lambda: s.Cosine(0), ValueError, "period is 0"),
        (lambda: s.Cosine(3, minimum=-1), ValueError, "minimum is -1"),
        (lambda: s.CosineRestarts(3, factor=0), ValueError, "factor is 0"),
        (lambda: s.CosineRestarts(3, factor=1.5), TypeError, "factor must be a whole number"),
        (lambda: s.OneCycle(0), ValueError, "total_steps is 0"),
        (lambda: s.OneCycle(9, pct_start=2), ValueError, "pct_start is 2, but .* at most 1"),
        (lambda: s.OneCycle(9, pct_start=0.6, three_phase=True), ValueError, "at most 0.5"),
        (lambda: s.OneCycle(9, anneal_strategy="cosine"), ValueError, "did you mean 'cos'"),
        (lambda: s.OneCycle(9, div_factor=0), ValueError, "div_factor is 0"),
        (lambda: s.WarmUp(0), ValueError, "steps is 0"),
        (lambda: s.WarmUp(3, lambda t: 1), TypeError, "then must be a schedule such as"),
        (lambda: s.WarmUp(3, start_factor=2), ValueError, "start_factor is 2, but .* at"),
        (lambda: s.OnPlateau(1.0), ValueError, "factor is 1.0"),
        (lambda: s.OnPlateau(patience=-1), ValueError, "patience is -1"),
        (lambda: s.OnPlateau(threshold_mode="relative"), ValueError, "threshold_mode is"),
        (lambda: s.Function(3), TypeError, "function must be a function that takes"),
        (lambda: s.from_entry(["cosinus", {}]), ValueError, "did you mean 'cosine'"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "schedule",
    [s.Step(sys.maxsize), s.Cosine(sys.maxsize), s.CosineRestarts(2, factor=sys.maxsize // 2)],
)
def test_the_largest_times_are_valid(schedule):
    """People use them to mean never."""
    assert schedule.rates(0.1, start=2, count=2) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("best", "next_loss", "better"),
    [
        (-42.1, -42.1, False),
        (-42.1, -42.0, False),
        (-42.1, -42.104, False),  # by less than 1e-4 of 42.1
        (-42.1, -42.105, True),
        (42.1, 42.096, False),
        (42.1, 42.095, True),
        (0.0, -1e-30, True),
        (0.0, 0.0, False),
        (inf, 1e300, True),
        (inf, nan, False),
    ],
)
def test_a_plateaus_threshold_is_relative_to_the_best_losses_magnitude(best, next_loss, better):
    schedule = s.OnPlateau(patience=5)
    state = schedule.observe((best, 0, 0, 0), next_loss)
    assert state == ((next_loss, 0, 0, 0) if better else (best, 1, 0, 0))


def test_a_flat_training_on_negative_losses_lowers_its_rate():
    schedule = s.OnPlateau(patience=3)
    state = schedule.initial_state()
    for _ in range(5):
        state = schedule.observe(state, -42.1)
    assert schedule.rates(1.0, 5, 1, state) == [0.1]


@pytest.mark.parametrize(
    ("factor", "rate"), [(Fraction(1, 4), 0.25), (np.float32(0.5), 0.5), (2**70, 2.0**70)]
)
def test_a_functions_exact_numbers_are_accepted(factor, rate):
    assert s.Function(lambda t: factor).rates(1.0, 0, 1) == [rate]


@pytest.mark.parametrize("factor", [10**400, Fraction(10**400), inf, -(10**400), nan])
def test_a_functions_number_beyond_floats_is_named(factor):
    with pytest.raises(ValueError, match=r"gives the learning rate (-?inf|nan) at epoch 0"):
        s.Function(lambda t: factor).rates(1.0, 0, 1)


@pytest.mark.parametrize("factor", [np.True_, 1j, np.complex128(1), "1", None, Decimal("0.5")])
def test_a_function_must_return_a_number(factor):
    with pytest.raises(TypeError, match="function must return a number, not"):
        s.Function(lambda t: factor).rates(1.0, 0, 1)


@pytest.mark.parametrize("given", [[10**400], [Decimal("0.5")], ["fast"]])
def test_a_users_schedule_must_return_floats(given):
    class Own(s.Constant):
        def _rates(self, base, t, state):
            return given

    with pytest.raises(TypeError, match="the learning rates"):
        Own().rates(1.0, 0, 1)
