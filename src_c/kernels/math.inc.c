/* Elementary functions of a vector: no libm, no tables, no branches.
 *
 * Each returns NaN for NaN and is right at zeros, infinities and overflow, and for subnormal
 * numbers. Only correctly rounded operations are used, so that every level with a fused
 * multiply-add gives the same bits; rounding to nearest is assumed. The error bounds beside the
 * functions, in units in the last place (ulp) of the result, hold for float and double and are
 * tested (tests/test_math.py). coefficients.py derives and prints the polynomials below, each with
 * the log2 of its relative error.
 *
 * Sources: Cody and Waite, Software Manual for the Elementary Functions (1980); Muller et al.,
 * Handbook of Floating-Point Arithmetic (2nd ed., 2018), chapters 4 and 11; others are named at
 * their functions.
 */

#if FGD_F64
#define LN2_HI T_C(0x1.62e42fefa38p-1)
#define LN2_LO T_C(0x1.ef35793c7673p-45)
#define TANH_NEAR T_C(0x1.2p-1)
#define ERF_NEAR T_C(0x1.cp-1)
#define TAIL_CENTRE T_C(0x1.4p+2)
static const T exp_poly[] = {
    /* 2^-57.9 */
    T_C(0x1.000000000000ap-1),  T_C(0x1.55555555554f9p-3),  T_C(0x1.55555555507efp-5),
    T_C(0x1.1111111127e71p-7),  T_C(0x1.6c16c1844b5dcp-10), T_C(0x1.a01a0129ba46bp-13),
    T_C(0x1.a01999ace4b54p-16), T_C(0x1.71df261f102e9p-19), T_C(0x1.28adcf39b1e77p-22),
    T_C(0x1.ad7f17d429a07p-26),
};
static const T log_poly[] = {
    /* 2^-59.5 */
    T_C(0x1.5555555555592p-1), T_C(0x1.999999997fef2p-2), T_C(0x1.24924941e04f6p-2),
    T_C(0x1.c71c52169d435p-3), T_C(0x1.74663c458d21fp-3), T_C(0x1.39a1fcc751e87p-3),
    T_C(0x1.2f02dc043885bp-3),
};
static const T tanh_poly[] = {
    /* 2^-59.9 */
    T_C(-0x1.555555555554bp-2),  T_C(0x1.11111111102b6p-3),   T_C(-0x1.ba1ba1b935e86p-5),
    T_C(0x1.664f4849573c8p-6),   T_C(-0x1.226e2d0275cd2p-7),  T_C(0x1.d6d247968ed2ep-9),
    T_C(-0x1.7d8b95f86a79fp-10), T_C(0x1.3460ad1d6a583p-11),  T_C(-0x1.e80a986e58c2ep-13),
    T_C(0x1.59726faf8d972p-14),  T_C(-0x1.3d28067e05323p-16),
};
static const T erf_poly[] = {
    /* 2^-55.3 */
    T_C(0x1.06eba8214db68p-3),   T_C(-0x1.812746b03795dp-2),  T_C(0x1.ce2f21a03bc95p-4),
    T_C(-0x1.b82ce31056972p-6),  T_C(0x1.565bccb3278c8p-8),   T_C(-0x1.c02da2a9b998fp-11),
    T_C(0x1.f9a1177bc8e0ap-14),  T_C(-0x1.f4a9ea9990396p-17), T_C(0x1.b7e52f683c6f9p-20),
    T_C(-0x1.4f6bcc6f2a409p-23), T_C(0x1.674af903993d6p-27),
};
static const T tail_poly[] = {
    /* 2^-56.1 */
    T_C(0x1.89d3abe1f95aep-1),   T_C(-0x1.54ad03f27ca16p-1),  T_C(0x1.fb31653876f9ap-2),
    T_C(-0x1.410ed5f875b43p-2),  T_C(0x1.51f6329f01537p-3),   T_C(-0x1.1b1c254c93e17p-4),
    T_C(0x1.54b4d4f4cfc42p-6),   T_C(-0x1.88590eb6624dbp-9),  T_C(-0x1.a25037e31738dp-11),
    T_C(0x1.1daf1eb6ec48p-11),   T_C(-0x1.f2145e71fbaafp-15), T_C(-0x1.a17140309bef6p-15),
    T_C(0x1.17dcf876b788dp-16),  T_C(0x1.0b317f73829d3p-18),  T_C(-0x1.73a7feec927f3p-19),
    T_C(-0x1.6aa61661fa3acp-22), T_C(0x1.d097c41ece023p-22),  T_C(0x1.76a009d4fdf72p-25),
    T_C(-0x1.188b66ccbdf61p-24), T_C(-0x1.5ed615f744f0dp-27), T_C(0x1.ed87f853f5573p-28),
    T_C(0x1.14c77e038c96p-29),
};
#else
#define LN2_HI T_C(0x1.62e4p-1)
#define LN2_LO T_C(0x1.7f7d1cp-20)
#define TANH_NEAR T_C(0x1.2p-1)
#define ERF_NEAR T_C(0x1.cp-1)
#define TAIL_CENTRE T_C(0x1.ep+1)
static const T exp_poly[] = {
    /* 2^-28.3 */
    T_C(0x1.fffffcp-2), T_C(0x1.55549p-3),   T_C(0x1.5558f4p-5),
    T_C(0x1.123a6cp-7), T_C(0x1.6a2386p-10),
};
static const T log_poly[] = {
    /* 2^-30.2 */
    T_C(0x1.55557ap-1),
    T_C(0x1.995edp-2),
    T_C(0x1.31e0d2p-2),
};
static const T tanh_poly[] = {
    /* 2^-29.5 */
    T_C(-0x1.555548p-2), T_C(0x1.110c72p-3), T_C(-0x1.b90948p-5),
    T_C(0x1.582fbep-6),  T_C(-0x1.95006p-8),
};
static const T erf_poly[] = {
    /* 2^-26.8 */
    T_C(0x1.06eba6p-3),  T_C(-0x1.81270cp-2), T_C(0x1.ce211ep-4),
    T_C(-0x1.b6f38ap-6), T_C(0x1.49c9f4p-8),  T_C(-0x1.453a7cp-11),
};
static const T tail_poly[] = {
    /* 2^-30.7 */
    T_C(0x1.80268cp-1),  T_C(-0x1.2d2708p-1),  T_C(0x1.69691p-2),   T_C(-0x1.364e9ap-3),
    T_C(0x1.331dp-5),    T_C(0x1.32f6ep-10),   T_C(-0x1.10d1c6p-8), T_C(0x1.39b18p-11),
    T_C(0x1.e9098ap-12), T_C(-0x1.8bdb54p-14), T_C(-0x1.e1c97p-15),
};
#endif

#if FGD_F64
typedef uint64_t TN;        /* unsigned, so that shifts bring zeros */
#define HALF_MANTISSA 27    /* without this many bits, squares are exact */
#define EXP_LEAST -746.0    /* exp is zero from here down, */
#define EXP_GREATEST 710.0  /* infinite from here up, */
#define EXP_NEGLIGIBLE 40.0 /* and 1 + exp(-x) is 1 from here up */
#define TAIL_END 39.0       /* the normal distribution's tail is zero from here up */
#else
typedef uint32_t TN;
#define HALF_MANTISSA 12
#define EXP_LEAST -104.0f
#define EXP_GREATEST 89.0f
#define EXP_NEGLIGIBLE 20.0f
#define TAIL_END 14.5f
#endif
typedef TN VN __attribute__((vector_size(FGD_VBYTES)));

#define UNIT ((T)((TN)1 << T_MANTISSA_BITS)) /* 2^23, 2^52: integers from here on */
#define POWER_BITS(n) ((TN)(T_EXPONENT_BIAS + (n)) << T_MANTISSA_BITS) /* of 2^n */

/* c[0] + c[1] x + ... + c[n-1] x^(n-1). Even and odd powers separately: half as long a chain. */
FGD_INLINE V vpoly(V x, const T *c, const int n) {
    const V x2 = x * x;
    const int last_even = (n - 1) / 2 * 2, last_odd = n / 2 * 2 - 1;
    V even = vset1(c[last_even]), odd = vset1(c[last_odd]);
#pragma GCC unroll 16
    for (int i = last_even - 2; i >= 0; i -= 2) even = vfma(even, x2, vset1(c[i]));
#pragma GCC unroll 16
    for (int i = last_odd - 2; i >= 1; i -= 2) odd = vfma(odd, x2, vset1(c[i]));
    return vfma(odd, x, even);
}
#define COUNT(c) ((int)(sizeof(c) / sizeof *(c)))
#define VPOLY(x, c) vpoly(x, c, COUNT(c))

/* x - excess = n ln 2 + r + low, |r| about ln 2 / 2 at most, low the rounding error of r
 * (Cody and Waite: ln 2 in two parts, n times the first is exact). */
typedef struct {
    V n, shifted; /* shifted: n + offset, as an integer in the last bits */
    V r, low;
    V p, rest; /* expm1(r), and expm1(r) - r */
} fgd_reduced;

FGD_INLINE fgd_reduced reduce(V x, V excess, T offset) {
    const V shift = vset1(UNIT * T_C(1.5) + offset);
    fgd_reduced to;
    to.shifted = vfma(x - excess, vset1(T_C(0x1.71547652b82fep+0)), shift);
    to.n = to.shifted - shift;
    const V high = vfma(to.n, vset1(-LN2_HI), x);
    to.r = vfma(to.n, vset1(-LN2_LO), high) - excess;
    to.low = vfma(to.n, vset1(-LN2_LO), high - to.r) - excess;
    const V square = to.r * to.r, q = VPOLY(to.r, exp_poly);
    to.p = vfma(square, q, to.r);
    to.rest = vfma(square, q, to.low);
    return to;
}
/* 2^n, for offset = T_EXPONENT_BIAS and where it is a normal number. */
FGD_INLINE V two_to(V shifted) { return (V)((VN)shifted << T_MANTISSA_BITS); }

/* mantissa * 2^n, for offset = 2 * T_EXPONENT_BIAS. The power of two comes in two factors, so that
 * only the last multiplication rounds, into a subnormal number too. */
FGD_INLINE V times_two_to(V mantissa, fgd_reduced at) {
#if FGD_VBYTES == 64
    return FGD_PD(scalef)(mantissa, at.n); /* the same in one instruction */
#else
    const VN n = (VN)at.shifted, half = n >> 1;
    return mantissa * two_to((V)half) * two_to((V)(n - half));
#endif
}

/* factor * (1 + p) 2^n */
FGD_INLINE V times_exp(V factor, fgd_reduced at) {
    return times_two_to(vfma(factor, at.p, factor), at);
}

/* Within 1.1 ulp. */
FGD_INLINE V vexp(V x) {
    x = vmin(vset1(EXP_GREATEST), vmax(vset1(EXP_LEAST), x));
    return times_exp(vset1(1), reduce(x, (V){0}, 2 * T_EXPONENT_BIAS));
}

/* expm1(x) = (2^n - 1 + 2^n r) + 2^n (expm1(r) - r), computed at half size so that the largest n
 * does not overflow. Within 1.5 ulp. */
FGD_INLINE V vexpm1(V x) {
    const V inside = vmin(vset1(EXP_GREATEST), vmax(vset1(-2 * EXP_NEGLIGIBLE), x));
    const fgd_reduced at = reduce(inside, (V){0}, T_EXPONENT_BIAS - 1);
    const V half = two_to(at.shifted);
    const V result = vfma(half, at.rest, vfma(half, at.r, half - vset1(T_C(0.5))));
    return vselect((VI)(vabs(x) < vset1(1 / UNIT)), x, result + result);
}

/* k ln 2 + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)): with s = f / (2 + f),
 * log(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + R(s^2)) (as in fdlibm's e_log.c). */
FGD_INLINE V log_parts(V k, V f) {
    const V s = f / (f + vset1(2)), z = s * s, half_square = vset1(T_C(0.5)) * f * f;
    const V rest = vfma(z, VPOLY(z, log_poly), half_square);
    return vfma(k, vset1(LN2_HI), f - (half_square - vfma(s, rest, k * vset1(LN2_LO))));
}

/* x = 2^k m, for a normal x > 0: the bits that k adds to m's, m in [sqrt(1/2), sqrt(2)). */
FGD_INLINE VN exponent_field(V x, V *k) {
    const VN above = (VN)x - (VN)vset1(T_C(0x1.6a09e667f3bcdp-1));
    const VN biased = (above + POWER_BITS(0)) >> T_MANTISSA_BITS;
    *k = (V)(biased | (VN)vset1(UNIT)) - vset1(UNIT + T_EXPONENT_BIAS);
    return above >> T_MANTISSA_BITS << T_MANTISSA_BITS;
}

/* The logarithm outside (0, inf): -inf at zero, NaN below, x itself above. */
FGD_INLINE V log_special(V x) {
    const V nan = vset1((T)__builtin_nan("")), inf = vset1((T)__builtin_inf());
    return vselect((VI)(x == (V){0}), -inf, vselect((VI)(x < (V){0}), nan, x));
}
FGD_INLINE VI is_regular(V x) { return (VI)(x > (V){0}) & (VI)(x < vset1((T)__builtin_inf())); }

/* Within 1 ulp. */
FGD_INLINE V vlog(V x) {
    const VI small = (VI)(x < (V)((VN){0} + POWER_BITS(1 - T_EXPONENT_BIAS)));
    const V normal = vselect(small, x * vset1(UNIT), x);
    V k;
    const V m = (V)((VN)normal - exponent_field(normal, &k));
    k -= (V)(small & (VI)vset1(T_MANTISSA_BITS));
    return vselect(is_regular(x), log_parts(k, m - vset1(1)), log_special(x));
}

/* log1p(x) for x in (-1, inf): what 1 + x loses in rounding is added to m - 1. */
FGD_INLINE V log1p_parts(V x) {
    const V one = vset1(1), greater = vmax(one, x), lesser = vmin(one, x);
    const V u = greater + lesser, lost = lesser - (u - greater);
    V k;
    const VN field = exponent_field(u, &k);
    const V scale = vmax((V){0}, (V)((VN)one - field)); /* 2^-k; these bits are -inf's for huge x */
    const V m = (V)((VN)u - field);
    return log_parts(k, vfma(lost, scale, m - one));
}

/* Within 1.5 ulp. */
FGD_INLINE V vlog1p(V x) {
    const V u = x + vset1(1), result = vcopysign(log1p_parts(x), x);
    return vselect(is_regular(u), result, log_special(u));
}

/* tanh(x) = x + x^3 P(x^2) near zero, 1 - 2 / (exp(2x) + 1) elsewhere. Within 1.5 ulp. */
FGD_INLINE V vtanh(V x) {
    const V one = vset1(1), size = vmin(vset1(EXP_NEGLIGIBLE), vabs(x)), z = size * size;
    const fgd_reduced at = reduce(size + size, (V){0}, T_EXPONENT_BIAS);
    const V power = two_to(at.shifted);
    const V far = one - vset1(2) / vfma(power, at.p, power + one);
    const V near = vfma(size * z, VPOLY(z, tanh_poly), size);
    return vcopysign(vselect((VI)(size < vset1(TANH_NEAR)), near, far), x);
}

/* 1 / (1 + exp(-x)), exp(-x) = 2^n (1 + p). Beyond n = 100 both ones become 2^(100 - n) and 2^n
 * stays 2^100: nothing overflows, and the quotient is rounded once, even to a subnormal number.
 * Within 1.8 ulp. */
FGD_INLINE V vsigmoid(V x) {
    const V minus = vmin(vset1(-EXP_LEAST), vmax(vset1(-2 * EXP_NEGLIGIBLE), -x));
    const fgd_reduced at = reduce(minus, (V){0}, T_EXPONENT_BIAS);
    const V held = vmin(vset1(UNIT * T_C(1.5) + T_EXPONENT_BIAS + 100), at.shifted);
    const VN lowered = ((VN)held - (VN)at.shifted) << T_MANTISSA_BITS;
    const V power = two_to(held), one = (V)(lowered + POWER_BITS(0));
    const V sum = power + one, lost = one - (sum - power);
    return one / (vfma(power, at.p, lost) + sum);
}

/* log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)). Within 2 ulp. */
FGD_INLINE V vsoftplus(V x) {
    const V least = vmax(vset1(EXP_LEAST), -vabs(x));
    const V e = times_exp(vset1(1), reduce(least, (V){0}, 2 * T_EXPONENT_BIAS));
    return vmax((V){0}, x) + log1p_parts(e);
}

/* For exp(-factor x^2), 0 <= x: x = h + l with an exact h^2, and x^2 - h^2 = l (x + h)
 * (Cody and Waite's way to keep the error of the square out of the exponential). */
FGD_INLINE fgd_reduced reduce_square(T factor, V x) {
    const V h = (V)((VN)x >> HALF_MANTISSA << HALF_MANTISSA), f = vset1(factor);
    return reduce(-f * h * h, f * (x - h) * (x + h), 2 * T_EXPONENT_BIAS);
}

typedef struct {
    V high, low;
} fgd_sum_of_two;

/* exp(z^2 / 2) times the normal distribution's probability above z, 0 <= z <= TAIL_END:
 * a polynomial in (z - c) / (z + c), divided by z + c (Shepherd and Laframboise 1981). A second
 * number holds the rounding errors. */
FGD_INLINE fgd_sum_of_two scaled_tail(V z) {
    const V c = vset1(TAIL_CENTRE), one = vset1(1);
    const V first = vset1(tail_poly[0]), second = vset1(tail_poly[1]);
    const V sum = z + c, back = sum - z, sum_low = (z - (sum - back)) + (c - back);
    const V w = one / sum, w_low = w * vfma(-w, sum_low, vfma(-w, sum, one));
    const V zw = z * w, zw_low = vfma(z, w_low, vfma(z, w, -zw));
    const V t_most = vfma(zw, vset1(2), -one), t = t_most + (zw_low + zw_low);
    const V t_low = (t_most - t) + (zw_low + zw_low);
    V q = vpoly(t, tail_poly + 4, COUNT(tail_poly) - 4);
    q = vfma(t, vfma(t, q, vset1(tail_poly[3])), vset1(tail_poly[2]));
    const V r = vfma(t, q, second), taken = r - second;
    const V r_low = vfma(t, q, -taken) + (second - (r - taken));
    const V p = vfma(t, r, first), p_low = vfma(t, r_low, vfma(t_low, r, vfma(t, r, first - p)));
    const V high = w * p;
    return (fgd_sum_of_two){high, vfma(w, p, -high) + vfma(w, p_low, w_low * p)};
}

/* The normal distribution's probability below x. Within 2 ulp, even far in the lower tail (4
 * without a fused multiply-add). */
FGD_INLINE V vgelu_cdf(V x) {
    const V size = vmin(vset1(TAIL_END), vabs(x));
    const fgd_sum_of_two scaled = scaled_tail(size);
    const fgd_reduced at = reduce_square(T_C(0.5), size);
    const V lost = vfma(scaled.high, at.low, vfma(scaled.low, at.p, scaled.low));
    const V tail = times_two_to(scaled.high + vfma(scaled.high, at.p, lost), at);
    return vselect((VI)(x > (V){0}), vset1(1) - tail, tail);
}
/* The normal distribution's density at x. Within 1.7 ulp. */
FGD_INLINE V vgelu_pdf(V x) {
    const V size = vmin(vset1(TAIL_END), vabs(x));
    return times_exp(vset1(T_C(0.3989422804014326779)), reduce_square(T_C(0.5), size));
}

/* erf(x) = x + x P(x^2) near zero, 1 - 2 exp(-x^2) scaled_tail(x sqrt(2)) elsewhere.
 * Within 1.5 ulp. The two regions are fdlibm's idea (s_erf.c). */
FGD_INLINE V verf(V x) {
    const V size = vmin(vset1(T_C(0.5) * TAIL_END), vabs(x)), z = size * size;
    const V tail = scaled_tail(size * vset1(T_C(1.41421356237309504880))).high;
    const V far = vset1(1) - times_exp(tail + tail, reduce_square(1, size));
    const V near = vfma(size, VPOLY(z, erf_poly), size);
    return vcopysign(vselect((VI)(size < vset1(ERF_NEAR)), near, far), x);
}

#define FGD_MATH(X) \
    X(exp) X(expm1) X(log) X(log1p) X(tanh) X(sigmoid) X(softplus) X(erf) X(gelu_cdf) X(gelu_pdf)

#define NAME(known) #known,
static const char *const math_names[] = {FGD_MATH(NAME) NULL};
#undef NAME

/* out[i] = name(x[i]); -1 for an unknown name. */
static int fgd_math(const char *name, size_t n, const T *x, T *out) {
#define APPLY(known)                                                                              \
    if (!strcmp(name, #known)) {                                                                  \
        size_t i = 0;                                                                             \
        for (; i + VL <= n; i += VL) vstore(out + i, v##known(vload(x + i)));                     \
        if (i < n) vstore_part(out + i, v##known(vload_part(x + i, (int)(n - i))), (int)(n - i)); \
        return 0;                                                                                 \
    }
    FGD_MATH(APPLY)
#undef APPLY
    return -1;
}
