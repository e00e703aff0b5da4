"""The kernels' elementary functions: error bounds, special values, equal bits."""

import math
import re
import subprocess
import sys
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pytest
from conftest import ALIKE, several_levels

from fastgd.engine import kernels

KERNELS = Path(__file__).parents[1] / "src_c" / "kernels"

# Units in the last place, as stated at the functions in math.inc.c. The first seven may not exceed
# 2.
BOUNDS = {
    "exp": 1.1,
    "expm1": 1.5,
    "log": 1.0,
    "log1p": 1.5,
    "tanh": 1.5,
    "erf": 1.5,
    "sigmoid": 1.8,
    "softplus": 2.0,
    "gelu_cdf": 2.0,
    "gelu_pdf": 1.7,
}
BASELINE_BOUNDS = BOUNDS | {"gelu_cdf": 4.0}  # no fused multiply-add


def softplus(x):
    return max(x, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(x)))


EXACT = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": softplus,
    # Far beyond 1000 both are 0 or 1, and mpmath's erfc fails.
    "gelu_cdf": lambda x: mpmath.erfc(-min(max(x, -1000), 1000) / mpmath.sqrt(2)) / 2,
    "gelu_pdf": lambda x: mpmath.npdf(x),
}
LEAST = {"log": 0.0, "log1p": -1.0}  # lower ends of the domains
# Special points: limits of exp, of subnormal results, of the polynomials' regions.
EDGES = {
    "float32": (-104, -103.28, -87.337, 88.7228, -16.6355, 16.6355, -14.17, -12.64, -10.0, 3.83),
    "float64": (-745.14, -708.4, 709.782, -36.7368, 36.7368, -38.47, -37.5, 19.06, 5.86, 8.29),
}


def apply(name, x, level):
    return kernels.math(name, x, np.empty_like(x), level)


def random_bits(dtype, n, seed=0):
    """Make numbers of any exponent, including infinities and all kinds of NaN."""
    rng = np.random.default_rng(seed)
    return np.frombuffer(rng.bytes(n * np.dtype(dtype).itemsize), dtype).copy()


def points(name, dtype, n=500, seed=0):
    """Make finite arguments: every binade, and dense where the functions are hard."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    near = [0.5625, 0.875, 1.0, math.sqrt(0.5) - 1, math.sqrt(2) - 1, *EDGES[dtype]]
    near += [k * math.log(2) / 2 for k in (-3, -1, 1, 3, 49, 107)]
    chosen = [
        random_bits(dtype, n, seed),
        rng.choice([-1, 1], n) * 2.0 ** rng.uniform(info.minexp - info.nmant, info.maxexp, n),
        rng.choice([-1, 1], n) * 2.0 ** rng.uniform(-30, 10, n),
        *(rng.uniform(-reach, reach, n) for reach in (1, 4, 40, 0.73 * info.maxexp)),
        np.repeat(near, 10) * (1 + 2.0**-11 * rng.standard_normal(10 * len(near))),
        rng.choice([-1, 1], n) * (1 + rng.choice([-1, 1], n) * 2.0 ** rng.uniform(-50, -1, n)),
    ]
    with np.errstate(over="ignore"):
        x = np.concatenate([part.astype(dtype) for part in chosen])
    return x[np.isfinite(x) & (x > LEAST.get(name, -np.inf))]


@lru_cache
def reference(name, dtype, n=500, seed=0):
    """Return x, and f(x) as the sum of two doubles times 2^exponent, exponents as dtype's."""
    x, info = points(name, dtype, n, seed), np.finfo(dtype)
    high, low = np.empty(len(x)), np.empty(len(x))
    exponent = np.empty(len(x), np.int32)
    with mpmath.workprec(130):
        for i, x_i in enumerate(x.tolist()):
            exact = min(EXACT[name](mpmath.mpf(x_i)), mpmath.ldexp(1, info.maxexp))
            e = mpmath.frexp(exact)[1] - 1 if exact else info.minexp
            exponent[i] = e = min(max(e, info.minexp), info.maxexp - 1)
            scaled = mpmath.ldexp(exact, -e)
            high[i] = scaled
            low[i] = scaled - high[i]
    return x, high, low, exponent


def errors(name, dtype, level, n=500, seed=0):
    """Return x and the error of each f(x) in units in the last place of the exact value."""
    x, high, low, exponent = reference(name, dtype, n, seed)
    result = apply(name, x, level).astype(np.float64)
    scaled = np.where(np.isinf(result), np.copysign(2.0, result), np.ldexp(result, -exponent))
    return x, np.abs((scaled - high) - low) * 2.0 ** np.finfo(dtype).nmant


def assert_within(name, level, x, error):
    bound = (BASELINE_BOUNDS if level == "baseline" else BOUNDS)[name]
    worst = int(np.argmax(error))  # NaN, if there is one
    assert error[worst] <= bound, f"{name}({float(x[worst]).hex()}) is off by {error[worst]} ulp"


@pytest.mark.parametrize("name", BOUNDS)
def test_error_is_within_the_stated_bound(name, dtype, isa):
    assert_within(name, isa, *errors(name, dtype, isa))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_error_is_within_the_stated_bound_at_many_points(name, dtype, isa):
    assert_within(name, isa, *errors(name, dtype, isa, n=6000, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_float32_over_its_whole_range(name, isa):
    """Every 4099th float32 against the machine's libm in float64 (4099 is prime)."""
    in_double = {
        "erf": np.vectorize(math.erf, otypes=[float]),
        "sigmoid": lambda x: np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-np.abs(x))),
        "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
        "gelu_cdf": lambda x: np.vectorize(math.erfc, otypes=[float])(-x / math.sqrt(2)) / 2,
        "gelu_pdf": lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    }.get(name) or getattr(np, name)
    x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x) & (x > LEAST.get(name, -np.inf))]
    with np.errstate(all="ignore"):
        exact = np.clip(in_double(x.astype(np.float64)), -(2.0**128), 2.0**128)
        exponent = np.clip(np.frexp(exact)[1] - 1, -126, 127)
        result = np.clip(apply(name, x, isa).astype(np.float64), -(2.0**128), 2.0**128)
    # libm's own error: a few double ulp, 2^-26 of a float's.
    assert_within(name, isa, x, np.abs(np.ldexp(result - exact, 23 - exponent)) - 1e-6)


INF, NAN = math.inf, math.nan
SPECIAL = {
    "exp": [(0.0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (1e30, INF), (-1e30, 0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1), (1e30, INF), (-1e30, -1)],
    "log": [(0.0, -INF), (-0.0, -INF), (1, 0.0), (INF, INF), (-1, NAN), (-INF, NAN), (-1e-40, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-1.5, NAN), (-INF, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1e30, 1), (-1e30, -1)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1e30, 1), (-1e30, -1)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (1e30, 1), (-1e30, 0)],
    "softplus": [(INF, INF), (-INF, 0), (2.0**100, 2.0**100), (-1e30, 0)],
    "gelu_cdf": [(INF, 1), (-INF, 0), (1e30, 1), (-1e30, 0)],
    "gelu_pdf": [(INF, 0), (-INF, 0), (1e30, 0), (-1e30, 0)],
}


@pytest.mark.parametrize("name", BOUNDS)
def test_special_values(name, dtype, isa):
    argument, expected = np.array([*SPECIAL[name], (NAN, NAN), (-NAN, NAN)]).T
    result = apply(name, argument.astype(dtype), isa)
    np.testing.assert_array_equal(result, expected.astype(dtype))
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", BOUNDS)
def test_every_nan_gives_nan(name, dtype, isa):
    """A NaN's payload may lie in bits that the functions mask away."""
    info = np.finfo(dtype)
    integer = np.dtype(f"i{info.bits // 8}").type
    quiet = np.array([INF], dtype).view(integer) | integer(1 << (info.nmant - 1))
    payload = integer(1) << np.arange(info.nmant - 1, dtype=integer)
    nans = np.concatenate([quiet | payload, (quiet | payload) ^ np.iinfo(integer).min]).view(dtype)
    assert np.isnan(apply(name, nans, isa)).all()


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "erf"])
def test_tiny_arguments(name, dtype, isa):
    """f(x) is x for the functions with slope 1 at zero, down to the smallest subnormal number."""
    info = np.finfo(dtype)
    x = np.ldexp(np.float64([1, 1.5, -1.25]), info.minexp).astype(dtype)
    x = np.concatenate([x, info.smallest_subnormal * np.array([1, -1, 2, 3, -77], dtype)])
    slope = 2 / math.sqrt(math.pi) if name == "erf" else 1
    ulps = (apply(name, x, isa) - x * slope) / info.smallest_subnormal
    assert np.abs(ulps).max() <= (1 if name == "erf" else 0)


def test_overflow_and_underflow_begin_at_the_right_argument(dtype, isa):
    """One ulp of the argument changes the result by many ulp there: only one can be the last."""
    info = np.finfo(dtype)
    with mpmath.workprec(130):
        half_ulp = mpmath.ldexp(1, info.maxexp - info.nmant - 2)
        greatest = mpmath.log(mpmath.ldexp(1, info.maxexp) - half_ulp)
        least = (info.minexp - info.nmant - 1) * mpmath.log(2)  # half the least subnormal number
        last = {}
        for limit in (greatest, least):
            last[limit] = np.array([float(limit)], dtype)
            if abs(mpmath.mpf(float(last[limit][0]))) > abs(limit):
                last[limit] = np.nextafter(last[limit], np.array(0, dtype))
    for name in ("exp", "expm1"):
        assert np.isfinite(apply(name, last[greatest], isa))
        assert np.isinf(apply(name, np.nextafter(last[greatest], np.array(INF, dtype)), isa))
    for name in ("exp", "sigmoid", "softplus"):
        assert apply(name, last[least], isa) == info.smallest_subnormal
        assert apply(name, np.nextafter(last[least], np.array(-INF, dtype)), isa) == 0


@several_levels
@pytest.mark.parametrize("name", BOUNDS)
def test_every_fma_level_gives_the_same_bits(name, dtype):
    x = np.concatenate([random_bits(dtype, 40_000), points(name, dtype)])
    results = [apply(name, x, level) for level in ALIKE]
    for one, other in pairwise(results):
        number = ~(np.isnan(one) & np.isnan(other))  # a NaN's payload is not promised
        assert one[number].tobytes() == other[number].tobytes()


@pytest.mark.parametrize("name", BOUNDS)
def test_neither_position_nor_length_changes_a_result(name, dtype, isa):
    """An element's result does not depend on others, and nothing is written after the last."""
    x = np.linspace(0.01, 3, 40).astype(dtype)
    whole = apply(name, x, isa)
    for start, stop in ((0, 1), (1, 3), (3, 7), (2, 17), (5, 38), (0, 39)):
        out = np.full(41, -7, dtype)
        kernels.math(name, x[start:stop].copy(), out, isa)
        assert out[: stop - start].tobytes() == whole[start:stop].tobytes()
        assert (out[stop - start :] == -7).all()


def test_odd_functions_are_odd(dtype, isa):
    x = np.abs(points("tanh", dtype))
    for name in ("tanh", "erf"):
        assert apply(name, -x, isa).tobytes() == (-apply(name, x, isa)).tobytes()


def test_an_unknown_function_is_refused():
    with pytest.raises(ValueError, match="'sine'"):
        apply("sine", np.ones(3), kernels.levels()[0])


@pytest.mark.slow
def test_polynomials_equal_those_of_the_script():
    printed = subprocess.run(
        [sys.executable, KERNELS / "coefficients.py"], capture_output=True, text=True, check=True
    ).stdout
    constant = re.compile(r"T_C\((-?0x1[^)]+)\)|(\w+_poly)|(2\^-[\d.]+)")
    source = (KERNELS / "math.inc.c").read_text()
    block = source[source.index("#define LN2_HI") : source.index("typedef uint64_t TN")]
    assert constant.findall(printed) == constant.findall(block)
