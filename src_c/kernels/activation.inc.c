/* Activations: each computes f(z) and f'(z), by one formula for a vector. */

FGD_INLINE V identity_v(V z, V *derivative) {
    *derivative = vset1(1);
    return z;
}
FGD_INLINE V relu_v(V z, V *derivative) {
    *derivative = vselect((VI)(z > (V){0}), vset1(1), (V){0});
    return vmax((V){0}, z); /* NaN if z is NaN */
}
FGD_INLINE V leaky_relu_v(V z, V *derivative) {
    *derivative = vselect((VI)(z > (V){0}), vset1(1), vset1(T_C(0.01)));
    return z * *derivative;
}
FGD_INLINE V tanh_v(V z, V *derivative) {
    const V a = vtanh(z);
    *derivative = vfma(-a, a, vset1(1));
    return a;
}
FGD_INLINE V sigmoid_v(V z, V *derivative) {
    /* computed from -|z|, so that the derivative is as exact for large z as for small z */
    const V lesser = vsigmoid(-vabs(z)), greater = vset1(1) - lesser;
    *derivative = lesser * greater;
    return vselect((VI)(z > (V){0}), greater, lesser);
}
/* Beyond `least` and -least a factor in gelu and silu is 0: z is clamped there, since 0 times
 * infinity is NaN. */
FGD_INLINE V hold_below(V z, T least) { return vmax(vset1(least), z); }
FGD_INLINE V hold(V z, T least) { return vmin(vset1(-least), hold_below(z, least)); }

FGD_INLINE V gelu_v(V z, V *derivative) {
    const V cdf = vgelu_cdf(z);
    *derivative = vfma(hold(z, -TAIL_END), vgelu_pdf(z), cdf);
    return hold_below(z, -TAIL_END) * cdf;
}
FGD_INLINE V silu_v(V z, V *derivative) {
    const V s = vsigmoid(z);
    *derivative = s * vfma(hold(z, EXP_LEAST), vset1(1) - s, vset1(1));
    return hold_below(z, EXP_LEAST) * s;
}
FGD_INLINE V softplus_v(V z, V *derivative) {
    *derivative = vsigmoid(z);
    return vsoftplus(z);
}

#define FGD_ACTIVATIONS(X) \
    X(identity) X(relu) X(leaky_relu) X(tanh) X(sigmoid) X(gelu) X(silu) X(softplus)

#define DEFINE(name)                                                     \
    static void name##_activation(size_t n, void *z, void *derivative) { \
        for (size_t i = 0; i < n; i += VL) {                             \
            V d;                                                         \
            const V a = name##_v(vload((T *)z + i), &d);                 \
            vstore((T *)z + i, a);                                       \
            vstore((T *)derivative + i, d);                              \
        }                                                                \
    }
FGD_ACTIVATIONS(DEFINE)
#undef DEFINE

#define NAME(known) #known,
static const char *const activation_names[] = {FGD_ACTIVATIONS(NAME) NULL};
#undef NAME

static fgd_activation *activation_named(const char *name) {
#define FIND(known) \
    if (!strcmp(name, #known)) return known##_activation;
    FGD_ACTIVATIONS(FIND)
#undef FIND
    return NULL;
}
