/* Stochastic gradient descent on a model of one output and no hidden layer: a run of steps of
 * one sample each in one call.
 *
 * Such a step is one dependent chain (dot product, loss, update, the next dot product) of a few
 * dozen cycles, so that separate kernels' calls would cost more than their work. The arithmetic
 * is that of dot(), the loss, dot_gradient() and sgd(), operation for operation: the bits are
 * those of the general path.
 */

FGD_INLINE V sgd_vector(V old, V x, V derivative, V rate, V decay, int decays) {
    const V slope = vfma(derivative, x, (V){0});
    return vfma(rate, decays ? vfma(decay, old, slope) : slope, old);
}

/* The parts of a step that do not depend on how many weights there are: from the dot product to
 * the derivative by the raw output, and the bias. */
FGD_INLINE V step_of_one(fgd_pointwise *loss, T dot_product, const T *y, const T *weight, V *bias,
                         V rate, V decay, int decays, double *value) {
    V derivative;
    V l = loss(vset1(dot_product) + *bias, vset1(*y), &derivative);
    if (weight) {
        l = l * vset1(*weight);
        derivative = derivative * vset1(*weight);
    }
    *value = (double)l[0];
    *bias = sgd_vector(*bias, vset1(1), derivative, rate, decay, decays);
    return derivative;
}

/* One or two logical vectors of weights, which stay in registers from step to step; without
 * weight decay. */
FGD_INLINE void stochastic_few(const int groups, fgd_pointwise *loss, size_t n,
                               const T *const *rows, size_t n_in, const T *y, const T *weight,
                               T *params, T *bias, const double *coefficient, double *value) {
    const V rate = vset1((T)-coefficient[0]);
    const size_t last = (size_t)(groups - 1) * LANES;
    V p[2 * NV], x[2 * NV], b = vset1(*bias);
    EACH (v, groups * NV) p[v] = vload(params + v * VL);
    for (size_t i = 0; i < n; i++) {
        prefetch_row(rows[i + FGD_AHEAD], n_in * sizeof(T));
        EACH (v, (groups - 1) * NV) x[v] = vload(rows[i] + v * VL);
        load_lanes(rows[i] + last, n_in - last, x + (groups - 1) * NV);
        V sum[NV];
        EACH (v, NV) sum[v] = (V){0};
        EACH (v, groups * NV) sum[v % NV] = vfma(x[v], p[v], sum[v % NV]);
        const V d = step_of_one(loss, vsum(sum), y + i, weight ? weight + i : NULL, &b, rate,
                                (V){0}, 0, value + i);
        EACH (v, groups * NV) p[v] = sgd_vector(p[v], x[v], d, rate, (V){0}, 0);
    }
    EACH (v, groups * NV) vstore(params + v * VL, p[v]);
    *bias = b[0];
}

FGD_INLINE void stochastic_many(fgd_pointwise *loss, size_t n, const T *const *rows, size_t n_in,
                                const T *y, const T *weight, T *params, T *bias,
                                const double *coefficient, double *value) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const int decays = coefficient[1] != 0;
    const size_t bytes = smaller(n_in * sizeof(T), 1024), whole = n_in / VL * VL;
    V b = vset1(*bias);
    for (size_t i = 0; i < n; i++) {
        prefetch_row(rows[i + FGD_AHEAD], bytes);
        const T *x = rows[i];
        const V d = step_of_one(loss, dot_row(x, n_in, params), y + i, weight ? weight + i : NULL,
                                &b, rate, decay, decays, value + i);
        for (size_t k = 0; k < whole; k += VL)
            vstore(params + k, sgd_vector(vload(params + k), vload(x + k), d, rate, decay, decays));
        if (whole < n_in)
            vstore(params + whole,
                   sgd_vector(vload(params + whole), vload_part(x + whole, (int)(n_in - whole)), d,
                              rate, decay, decays));
    }
    *bias = b[0];
}

FGD_INLINE void stochastic(fgd_pointwise *loss, size_t n, const T *const *rows, size_t n_in,
                           const T *y, const T *weight, T *params, T *bias,
                           const double *coefficient, double *value) {
    const size_t groups = (n_in + LANES - 1) / LANES;
    const int decays = coefficient[1] != 0;
#define FEW(groups) \
    stochastic_few(groups, loss, n, rows, n_in, y, weight, params, bias, coefficient, value)
    if (groups == 1 && !decays)
        FEW(1);
    else if (groups == 2 && !decays)
        FEW(2);
    else
        stochastic_many(loss, n, rows, n_in, y, weight, params, bias, coefficient, value);
#undef FEW
}

#define DEFINE(name)                                                                             \
    static void name##_stochastic(size_t n, const void *const *rows, size_t n_in, const void *y, \
                                  const void *weight, void *params, void *bias,                  \
                                  const double *coefficient, double *value) {                    \
        stochastic(name##_v, n, (const T *const *)rows, n_in, y, weight, params, bias,           \
                   coefficient, value);                                                          \
    }
FGD_POINTWISE(DEFINE)
#undef DEFINE

static fgd_stochastic *stochastic_named(const char *loss) {
#define FIND(known) \
    if (!strcmp(loss, #known)) return known##_stochastic;
    FGD_POINTWISE(FIND)
#undef FIND
    return NULL;
}
