"""Derive the polynomials of math.inc.c and print them as C code.

Each is a minimax polynomial by Remez's exchange algorithm (Muller, Elementary Functions,
3rd ed., 2016, section 3.5), in 250-bit arithmetic on a dense grid. The relative error of the
function's result is minimised, not that of the polynomial.

Needs mpmath. Run it as ``python src_c/kernels/coefficients.py``.
"""

from mpmath import mp, mpf

mp.prec = 250

TANH_NEAR, ERF_NEAR = mpf("0.5625"), mpf("0.875")  # upper ends of these two polynomials
TAIL_CENTRE = {"float": mpf("3.75"), "double": mpf(5)}  # found by trial


def minimax(function, variable, weight, interval, n):
    """Return n coefficients (constant first) and the largest weighted error.

    The polynomial in variable(x) approaches function(x) for x in the interval; weight(x)
    turns its error into the relative error of the result.
    """
    a, b = (mpf(end) for end in interval)
    points = [(a + b - (b - a) * mp.cos(mp.pi * u)) / 2 for u in mp.linspace(0, 1, 60 * n)]
    v, f, w = ([g(x) for x in points] for g in (variable, function, weight))
    nodes = [round(i * (len(points) - 1) / n) for i in range(n + 1)]
    for _ in range(30):
        rows = [[v[i] ** k for k in range(n)] + [(-1) ** j / w[i]] for j, i in enumerate(nodes)]
        *c, level = mp.lu_solve(mp.matrix(rows), mp.matrix([f[i] for i in nodes]))
        error = [w[i] * (mp.polyval(c[::-1], v[i]) - f[i]) for i in range(len(points))]
        largest = max(abs(e) for e in error)
        if largest < abs(level) * mpf("1.0001"):
            return c, largest
        nodes = []  # the index of the largest error in each run of one sign
        for i, e in enumerate(error):
            if nodes and (e > 0) == (error[nodes[-1]] > 0):
                nodes[-1] = max(nodes[-1], i, key=lambda k: abs(error[k]))
            else:
                nodes.append(i)
        while len(nodes) > n + 1:
            nodes.pop(0 if abs(error[nodes[0]]) < abs(error[nodes[-1]]) else -1)
    raise ArithmeticError(f"no convergence for {n} coefficients; try one more or one fewer")


def tail(z):
    """Return exp(z^2 / 2) times the normal distribution's probability above z."""
    return mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2)) / 2


def problems(dtype):
    """Yield each polynomial's name and its arguments for minimax."""
    double = dtype == "double"
    half_ln2, tiny, c = mp.log(2) / 2 * mpf("1.001"), mpf(2) ** -40, TAIL_CENTRE[dtype]
    yield (
        "exp",  # exp(r) = 1 + r + r^2 P(r)
        lambda r: (mp.expm1(r) - r) / r**2,
        lambda r: r,
        lambda r: r**2 / mp.exp(r),
        (-half_ln2, half_ln2),
        10 if double else 5,
    )
    yield (
        "log",  # 2 atanh(s) = 2 s + s^3 P(s^2)
        lambda s: (2 * mp.atanh(s) / s - 2) / s**2,
        lambda s: s**2,
        lambda s: s**3 / (2 * mp.atanh(s)),
        (tiny, 3 - 2 * mp.sqrt(2)),
        7 if double else 3,
    )
    yield (
        "tanh",  # x + x^3 P(x^2)
        lambda x: (mp.tanh(x) / x - 1) / x**2,
        lambda x: x**2,
        lambda x: x**3 / mp.tanh(x),
        (tiny, TANH_NEAR),
        11 if double else 5,
    )
    yield (
        "erf",  # x + x P(x^2)
        lambda x: mp.erf(x) / x - 1,
        lambda x: x**2,
        lambda x: x / mp.erf(x),
        (tiny, ERF_NEAR),
        11 if double else 6,
    )
    yield (
        "tail",  # tail(z) = P((z - c) / (z + c)) / (z + c)
        lambda z: tail(z) * (z + c),
        lambda z: (z - c) / (z + c),
        lambda z: 1 / (tail(z) * (z + c)),
        (0, mpf(39) if double else mpf("14.5")),
        22 if double else 11,
    )


def as_c(value, dtype):
    """Return the value rounded to the dtype, as a hexadecimal constant."""
    with mp.workprec(53 if dtype == "double" else 24):
        mantissa, exponent = float(+value).hex().split("p")
    return f"T_C({mantissa.rstrip('0')}p{exponent})"


def main():
    """Print the block of constants for both dtypes."""
    for dtype, condition in (("double", "#if FGD_F64"), ("float", "#else")):
        bits = 42 if dtype == "double" else 16
        high = mp.floor(mp.log(2) * 2**bits) / 2**bits  # exact when multiplied by an exponent
        print(condition)
        for name, value in (
            ("LN2_HI", high),
            ("LN2_LO", mp.log(2) - high),
            ("TANH_NEAR", TANH_NEAR),
            ("ERF_NEAR", ERF_NEAR),
            ("TAIL_CENTRE", TAIL_CENTRE[dtype]),
        ):
            print(f"#define {name} {as_c(value, dtype)}")
        for name, *problem in problems(dtype):
            coefficients, error = minimax(*problem)
            print(f"static const T {name}_poly[] = {{ /* 2^{float(mp.log(error, 2)):.1f} */")
            print("".join(f"    {as_c(c, dtype)},\n" for c in coefficients) + "};")
    print("#endif")


if __name__ == "__main__":
    main()
