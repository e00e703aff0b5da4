/* Stochastic gradient descent on a model of one output and no hidden layer: a run of steps of
 * one sample each in one call.
 *
 * Such a step is one dependent chain (dot product, loss, update, the next dot product) of a few
 * dozen cycles, so that separate kernels' calls would cost more than their work. The arithmetic
 * is that of dot(), the loss, dot_gradient() and sgd(), operation for operation: the bits are
 * those of the general path.
 */

FGD_INLINE void sgd_vector(T *p, V x, V derivative, V rate, V decay) {
    const V old = vload(p);
    const V slope = vfma(decay, old, vfma(derivative, x, (V){0}));
    vstore(p, vfma(rate, slope, old));
}

FGD_INLINE void stochastic(fgd_pointwise *loss, size_t n, const T *const *rows, size_t n_in,
                           const T *y, const T *weight, T *params, T *bias,
                           const double *coefficient, double *value) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const size_t bytes = smaller(n_in * sizeof(T), 1024), whole = n_in / VL * VL;
    for (size_t i = 0; i < n; i++) {
        prefetch_row(rows[i + FGD_AHEAD], bytes);
        const T *x = rows[i];
        const V w = vset1(weight ? weight[i] : 1);
        V derivative;
        const V l = loss(vset1(dot_row(x, n_in, params) + *bias), vset1(y[i]), &derivative);
        value[i] = (double)(l * w)[0];
        const V d = derivative * w;
        for (size_t k = 0; k < whole; k += VL) sgd_vector(params + k, vload(x + k), d, rate, decay);
        if (whole < n_in)
            sgd_vector(params + whole, vload_part(x + whole, (int)(n_in - whole)), d, rate, decay);
        *bias = vfma(rate, vfma(decay, vset1(*bias), d), vset1(*bias))[0];
    }
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
