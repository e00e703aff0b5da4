"""Derive the polynomials of math.inc.c and print them as they stand there.

Each is a minimax polynomial by Remez's exchange algorithm (Muller, Elementary Functions,
3rd ed., section 3.5) in 250-bit arithmetic on a dense grid; the error that is made small is
the relative one of the function's final result, not of the polynomial. Needs mpmath.

Run it as ``python coefficients.py``; the comment behind each name is the error's log2.
"""

from mpmath import (
    atanh, cos, erf, erfc, exp, expm1, floor, linspace, log, lu_solve, matrix, mp, mpf, pi, polyval, sqrt, tanh
)  # fmt: skip

mp.prec = 250


def minimax(function, variable, weight, interval, n):
    """Return n coefficients (constant first) and the largest weighted error.

    The polynomial in variable(x) approaches function(x), and weight(x) turns its error into
    the result's relative error.
    """
    a, b = (mpf(end) for end in interval)
    points = [(a + b - (b - a) * cos(pi * u)) / 2 for u in linspace(0, 1, 60 * n)]
    v, f, w = ([g(x) for x in points] for g in (variable, function, weight))
    nodes = [round(i * (len(points) - 1) / n) for i in range(n + 1)]
    for _ in range(30):
        rows = [[v[i] ** k for k in range(n)] + [(-1) ** j / w[i]] for j, i in enumerate(nodes)]
        *c, level = lu_solve(matrix(rows), matrix([f[i] for i in nodes]))
        error = [w_i * (polyval(c[::-1], v_i) - f_i) for v_i, f_i, w_i in zip(v, f, w)]
        largest = max(abs(e) for e in error)
        if largest < abs(level) * mpf("1.0001"):
            break
        peaks = []  # the largest error of each run of one sign
        for i, e in enumerate(error):
            if peaks and (e > 0) == (error[peaks[-1]] > 0):
                peaks[-1] = max(peaks[-1], i, key=lambda k: abs(error[k]))
            else:
                peaks.append(i)
        while len(peaks) > n + 1:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < n + 1:
            break
        nodes = peaks
    return c, largest


TANH_NEAR, ERF_NEAR = mpf("0.5625"), mpf("0.875")  # where their polynomials end
TAIL_CENTRE = (mpf("3.5"), mpf(5))  # float, double: found by trial


def tail(z):
    """Return exp(z^2 / 2) times the normal distribution's probability above z."""
    return exp(z * z / 2) * erfc(z / sqrt(2)) / 2


def problems(is_double):
    """Yield name, the arguments of minimax, and a word on what the polynomial is."""
    half, tiny = log(2) / 2 * mpf("1.001"), mpf(2) ** -40
    yield (
        "exp",
        lambda r: (expm1(r) - r) / r**2,
        lambda r: r,
        lambda r: r**2 / exp(r),
        (-half, half),
        10 if is_double else 5,
    )
    yield (
        "log",
        lambda s: (2 * atanh(s) / s - 2) / s**2,
        lambda s: s**2,
        lambda s: s**3 / (2 * atanh(s)),
        (tiny, 3 - 2 * sqrt(mpf(2))),
        7 if is_double else 3,
    )
    yield (
        "tanh",
        lambda x: (tanh(x) / x - 1) / x**2,
        lambda x: x**2,
        lambda x: x**3 / tanh(x),
        (tiny, TANH_NEAR),
        11 if is_double else 5,
    )
    yield (
        "erf",
        lambda x: erf(x) / x - 1,
        lambda x: x**2,
        lambda x: x / erf(x),
        (tiny, ERF_NEAR),
        11 if is_double else 6,
    )
    k = TAIL_CENTRE[is_double]
    yield (
        "tail",
        lambda z: tail(z) * (z + k),
        lambda z: (z - k) / (z + k),
        lambda z: 1 / (tail(z) * (z + k)),
        (0, 39 if is_double else 15),
        22 if is_double else 10,
    )


def as_c(value, is_double):
    """Return the value rounded to the dtype, as a hexadecimal constant."""
    with mp.workprec(53 if is_double else 24):
        text = float(+value).hex()
    mantissa, exponent = text.split("p")
    return f"T_C({mantissa.rstrip('0')}p{exponent})"


def main():
    """Print the block of constants for both dtypes."""
    for is_double in (True, False):
        print("#if FGD_F64" if is_double else "#else")
        ln2, bits = log(mpf(2)), 42 if is_double else 16
        high = floor(ln2 * 2**bits) / 2**bits  # any exponent times this is exact
        print(f"#define LN2_HI {as_c(high, is_double)}")
        print(f"#define LN2_LO {as_c(ln2 - high, is_double)}")
        print(f"#define TANH_NEAR {as_c(TANH_NEAR, is_double)}")
        print(f"#define ERF_NEAR {as_c(ERF_NEAR, is_double)}")
        print(f"#define TAIL_CENTRE {as_c(TAIL_CENTRE[is_double], is_double)}")
        for name, function, variable, weight, interval, n in problems(is_double):
            c, error = minimax(function, variable, weight, interval, n)
            print(f"static const T {name}_poly[] = {{ /* 2^{float(log(error, 2)):.1f} */")
            print("".join(f"    {as_c(x, is_double)},\n" for x in c) + "};")
    print("#endif")


if __name__ == "__main__":
    main()
