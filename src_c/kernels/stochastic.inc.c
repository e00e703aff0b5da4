/* Stochastic gradient descent on a model with one output and no hidden layer: many steps of one
 * sample each in one call.
 *
 * Such a step is one dependent chain: dot product, loss, update, the next dot product. For all but
 * wide rows the next dot product is therefore computed before the update, with the old weights w,
 * and corrected afterwards with the dot product of the two samples:
 *
 *     (w + r x) . next = w . next + r (x . next)
 *
 * where r is minus the learning rate times the slope of the loss. The dot product of the sample
 * after the last is kept for the next call (`ahead`), so that the result does not depend on how a
 * run is divided into calls.
 */

/* Rows of more logical vectors are limited by loads, not by the chain. */
enum { MOST_AHEAD = 16 };

/* A sample's loss and its derivative by the raw output z. */
FGD_INLINE T slope_of_one(fgd_pointwise *loss, T z, const T *y, const T *weight, double *value) {
    V derivative;
    V l = loss(vset1(z), vset1(*y), &derivative);
    if (weight) {
        l = l * vset1(*weight);
        derivative = derivative * vset1(*weight);
    }
    *value = (double)l[0];
    return derivative[0];
}

/* For a few logical vectors of weights: they stay in registers from step to step. */
FGD_INLINE void stochastic_few(const int groups, const int decays, fgd_pointwise *loss, size_t n,
                               const T *const *rows, size_t n_in, const T *y, const T *weight,
                               T *params, T *bias, const double *rate, double decay, T *ahead,
                               double *value, double *slope) {
    const size_t last = (size_t)(groups - 1) * LANES;
    V p[4 * NV], x[4 * NV], next[4 * NV];
    T b = *bias, z = *ahead;
    EACH (v, groups * NV) p[v] = vload(params + v * VL);
    EACH (v, (groups - 1) * NV) x[v] = vload(rows[0] + v * VL);
    load_lanes(rows[0] + last, n_in - last, x + (groups - 1) * NV);
    for (size_t i = 0; i < n; i++) {
        prefetch_far(rows[i + FGD_AHEAD], n_in * sizeof(T));
        EACH (v, (groups - 1) * NV) next[v] = vload(rows[i + 1] + v * VL);
        load_lanes(rows[i + 1] + last, n_in - last, next + (groups - 1) * NV);
        V begun[NV], own[NV];
        EACH (v, NV) begun[v] = own[v] = (V){0};
        EACH (v, groups * NV) {
            begun[v % NV] = vfma(next[v], p[v], begun[v % NV]);
            own[v % NV] = vfma(next[v], x[v], own[v % NV]);
        }
        slope[i] = slope_of_one(loss, z + b, y + i, weight ? weight + i : NULL, value + i);
        const T r = (T)-rate[i] * (T)slope[i];
        const T keep = decays ? 1 - (T)rate[i] * (T)decay : 1;
        EACH (v, groups * NV) p[v] = vfma(vset1(r), x[v], decays ? vset1(keep) * p[v] : p[v]);
        b = decays ? fma_one(keep, b, r) : b + r;
        const T w_next = decays ? keep * vsum(begun) : vsum(begun);
        z = fma_one(r, vsum(own), w_next);
        EACH (v, groups * NV) x[v] = next[v];
    }
    EACH (v, groups * NV) vstore(params + v * VL, p[v]);
    *bias = b, *ahead = z;
}

/* x . w and x . other, on the lanes of dot_row(). */
FGD_INLINE void two_dots(const T *x, size_t n_in, const T *w, const T *other, T *with_w,
                         T *with_other) {
    V first[NV], second[NV], rest[NV], rest_other[NV];
    EACH (v, NV) first[v] = second[v] = (V){0};
    size_t k = 0;
    for (; k + LANES <= n_in; k += LANES)
        EACH (v, NV) {
            const V part = vload(x + k + v * VL);
            first[v] = vfma(part, vload(w + k + v * VL), first[v]);
            second[v] = vfma(part, vload(other + k + v * VL), second[v]);
        }
    if (k < n_in) {
        load_lanes(x + k, n_in - k, rest);
        load_lanes(other + k, n_in - k, rest_other);
        EACH (v, NV) {
            first[v] = vfma(rest[v], vload(w + k + v * VL), first[v]);
            second[v] = vfma(rest[v], rest_other[v], second[v]);
        }
    }
    *with_w = vsum(first), *with_other = vsum(second);
}

FGD_INLINE void stochastic_many(const int looks_ahead, const int decays, fgd_pointwise *loss,
                                size_t n, const T *const *rows, size_t n_in, const T *y,
                                const T *weight, T *params, T *bias, const double *rate,
                                double decay, T *ahead, double *value, double *slope) {
    const size_t bytes = smaller(n_in * sizeof(T), 1024), whole = n_in / VL * VL;
    T b = *bias, z = *ahead, begun = 0, own = 0;
    for (size_t i = 0; i < n; i++) {
        prefetch_far(rows[i + FGD_AHEAD], bytes);
        const T *x = rows[i];
        if (looks_ahead)
            two_dots(rows[i + 1], n_in, params, x, &begun, &own);
        else
            z = dot_row(x, n_in, params);
        slope[i] = slope_of_one(loss, z + b, y + i, weight ? weight + i : NULL, value + i);
        const T r = (T)-rate[i] * (T)slope[i];
        const T keep = decays ? 1 - (T)rate[i] * (T)decay : 1;
        const V step = vset1(r), shrink = vset1(keep);
        for (size_t k = 0; k < whole; k += VL) {
            const V old = vload(params + k);
            vstore(params + k, vfma(step, vload(x + k), decays ? shrink * old : old));
        }
        if (whole < n_in) {
            const V old = vload(params + whole);
            const V part = vload_part(x + whole, (int)(n_in - whole));
            vstore(params + whole, vfma(step, part, decays ? shrink * old : old));
        }
        b = decays ? fma_one(keep, b, r) : b + r;
        z = fma_one(r, own, decays ? keep * begun : begun);
    }
    *bias = b, *ahead = z;
}

FGD_INLINE void stochastic(fgd_pointwise *loss, size_t n, const T *const *rows, size_t n_in,
                           const T *y, const T *weight, T *params, T *bias, const double *rate,
                           double decay, int begun, T *ahead, double *value, double *slope) {
    const size_t groups = (n_in + LANES - 1) / LANES;
    if (!begun) *ahead = dot_row(rows[0], n_in, params);
#define WITH(decays, form, first)                                                                \
    form(first, decays, loss, n, rows, n_in, y, weight, params, bias, rate, decay, ahead, value, \
         slope)
#define RUN(form, first)      \
    if (decay == 0)           \
        WITH(0, form, first); \
    else                      \
        WITH(1, form, first)
    if (groups == 1)
        RUN(stochastic_few, 1);
    else if (groups == 2)
        RUN(stochastic_few, 2);
    else if (groups == 3 && NV == 1)
        RUN(stochastic_few, 3);
    else if (groups == 4 && NV == 1)
        RUN(stochastic_few, 4);
    else if (groups <= MOST_AHEAD)
        RUN(stochastic_many, 1);
    else
        RUN(stochastic_many, 0);
#undef RUN
#undef WITH
}

#define DEFINE(name)                                                                             \
    static void name##_stochastic(size_t n, const void *const *rows, size_t n_in, const void *y, \
                                  const void *weight, void *params, void *bias,                  \
                                  const double *rate, double decay, int begun, void *ahead,      \
                                  double *value, double *slope) {                                \
        stochastic(name##_v, n, (const T *const *)rows, n_in, y, weight, params, bias, rate,     \
                   decay, begun, ahead, value, slope);                                           \
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
