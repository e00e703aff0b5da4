/* Losses: each computes a sample's loss and its derivative with respect to the raw outputs
 * (fastgd/losses.py has the formulas). */

typedef V fgd_pointwise(V z, V y, V *derivative);

FGD_INLINE V squared_error_v(V z, V y, V *derivative) {
    const V e = z - y;
    *derivative = e + e;
    return e * e;
}
FGD_INLINE V absolute_error_v(V z, V y, V *derivative) {
    const V e = z - y;
    *derivative = vselect((VI)(e == (V){0}), (V){0}, vcopysign(vset1(1), e));
    return vabs(e);
}
FGD_INLINE V huber_v(V z, V y, V *derivative) {
    const V e = z - y, size = vabs(e), half = vset1(T_C(0.5));
    const VI near = (VI)(size <= vset1(1));
    *derivative = vselect(near, e, vcopysign(vset1(1), e));
    return vselect(near, half * e * e, size - half);
}
/* With e = exp(-|z|), the probability s = e / (1 + e) of the less likely class, and `share` the
 * target's probability of that class, the loss is log(1 + e) + share |z| and the derivative
 * s - share, negated for z > 0: no cancellation. */
FGD_INLINE V log_loss_v(V z, V y, V *derivative) {
    const V one = vset1(1), zero = {0}, size = vabs(z), e = vexp(-size);
    const VI positive = (VI)(z > zero);
    const V share = vselect(positive, one - y, y), excess = e / (one + e) - share;
    *derivative = vselect(positive, -excess, excess);
    /* the term is 0 for share = 0, even if z is infinite */
    return vfma(vselect((VI)(share == zero), zero, size), share, log1p_parts(e));
}
FGD_INLINE V hinge_v(V z, V y, V *derivative) {
    const V margin = vset1(1) - y * z;
    *derivative = vselect((VI)(margin > (V){0}), -y, (V){0});
    return vmax((V){0}, margin);
}
FGD_INLINE V squared_hinge_v(V z, V y, V *derivative) {
    const V short_of = vmax((V){0}, vset1(1) - y * z);
    *derivative = vset1(-2) * y * short_of;
    return short_of * short_of;
}
FGD_INLINE V poisson_v(V z, V y, V *derivative) {
    const V rate = vexp(z), zero = {0};
    *derivative = rate - y;
    /* the term y z is 0 for y = 0, and the loss infinite for an infinite rate, even if z is
     * infinite
     */
    const V loss = rate - y * vselect((VI)(y == zero), zero, z);
    return vselect((VI)(rate == vset1((T)__builtin_inf())), rate, loss);
}

/* All ones in the first n lanes (none for n <= 0, all for n >= VL). */
FGD_INLINE VI first_lanes(ptrdiff_t n) {
    VI lane;
    for (int l = 0; l < VL; l++) lane[l] = l;
    return (VI)(lane < viset1((TI)(n > VL ? VL : n < 0 ? 0 : n)));
}
FGD_INLINE V keep_first(V x, ptrdiff_t n) { return (V)((VI)x & first_lanes(n)); }

FGD_INLINE void store_first(T *p, V x, size_t n) {
    if (n >= (size_t)VL)
        vstore(p, x);
    else
        vstore_part(p, x, (int)n);
}
FGD_INLINE V load_first(const T *p, size_t n) {
    return n >= (size_t)VL ? vload(p) : vload_part(p, (int)n);
}

/* One output: vectors run along the samples. */
FGD_INLINE void pointwise_single(fgd_pointwise *loss, size_t n, T *z, const T *y, const T *weight,
                                 double scale, double *value) {
    for (size_t i = 0; i < n; i += VL) {
        const size_t count = smaller(n - i, VL);
        const V w = weight ? load_first(weight + i, count) : vset1(1);
        V derivative;
        const V l = loss(load_first(z + i, count), load_first(y + i, count), &derivative);
        store_first(z + i, derivative * (vset1((T)scale) * w), count);
        T lane[FGD_VBYTES / sizeof(T)];
        vstore(lane, l * w);
        for (size_t k = 0; k < count; k++) value[i + k] = lane[k];
    }
}

/* Several outputs: vectors run along a sample's outputs, and the loss is their mean. */
FGD_INLINE void pointwise_rows(fgd_pointwise *loss, size_t n, size_t n_out, size_t ld, T *z,
                               const T *y, const T *weight, double scale, double *value) {
    for (size_t i = 0; i < n; i++, z += ld, y += n_out) {
        const T w = weight ? weight[i] : 1;
        const V share = vset1((T)(scale / (double)n_out) * w);
        V sum[NV];
        for (int v = 0; v < NV; v++) sum[v] = (V){0};
        for (size_t j = 0; j < n_out; j += LANES)
            for (int v = 0; v < NV && j + v * VL < n_out; v++) {
                const size_t at = j + v * VL, count = smaller(n_out - at, VL);
                V derivative;
                const V l = loss(vload(z + at), load_first(y + at, count), &derivative);
                sum[v] += keep_first(l, (ptrdiff_t)count);
                vstore(z + at, keep_first(derivative * share, (ptrdiff_t)count));
            }
        value[i] = (double)vsum(sum) / (double)n_out * (double)w;
    }
    (void)ld;
}

#define FGD_POINTWISE(X) \
    X(squared_error) X(absolute_error) X(huber) X(log_loss) X(hinge) X(squared_hinge) X(poisson)

#define DEFINE(name)                                                                   \
    static void name##_loss(size_t n, size_t n_out, size_t ld, void *z, const void *y, \
                            const void *weight, double scale, double *value) {         \
        if (ld == 1)                                                                   \
            pointwise_single(name##_v, n, z, y, weight, scale, value);                 \
        else                                                                           \
            pointwise_rows(name##_v, n, n_out, ld, z, y, weight, scale, value);        \
    }
FGD_POINTWISE(DEFINE)
#undef DEFINE

/* Softmax with cross entropy, fused. With the distances d = max(z) - z, and `others` the sum of
 * exp(-d) over all outputs except one of the largest, the loss is log(1 + others) + sum over k of
 * y_k d_k, and the largest output's derivative (1 - y) - others / (1 + others): no cancellation. */
FGD_INLINE T largest_of(size_t n_out, const T *z) {
    V top = vset1(z[0]);
    for (size_t j = 0; j < n_out; j += VL) {
        const VI inside = first_lanes((ptrdiff_t)(n_out - j));
        top = vmax(vselect(inside, vload(z + j), top), top);
    }
    T lane[FGD_VBYTES / sizeof(T)];
    vstore(lane, top);
    for (int half = VL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
}

/* The first n lanes of x except number `skip`, zeros elsewhere. */
FGD_INLINE V keep_but(V x, ptrdiff_t n, ptrdiff_t skip) {
    VI lane;
    for (int l = 0; l < VL; l++) lane[l] = l;
    return (V)((VI)x & (VI)(lane < viset1((TI)n)) & ~(VI)(lane == viset1((TI)skip)));
}

/* Replace z by exp(z - largest): 1 where z is the largest, even if infinite, and 0 at index `skip`
 * (-1: none). Return the sum. */
FGD_INLINE T softmax_numerators(size_t n_out, T *z, T largest, ptrdiff_t skip) {
    V sum[NV];
    for (int v = 0; v < NV; v++) sum[v] = (V){0};
    for (size_t j = 0; j < n_out; j += LANES)
        for (int v = 0; v < NV && j + v * VL < n_out; v++) {
            const size_t at = j + v * VL;
            const V x = vload(z + at), most = vset1(largest);
            const V power = vselect((VI)(x == most), vset1(1), vexp(x - most));
            const V e = keep_but(power, (ptrdiff_t)(n_out - at), skip - (ptrdiff_t)at);
            vstore(z + at, e);
            sum[v] += e;
        }
    return vsum(sum);
}

static void cross_entropy_loss(size_t n, size_t n_out, size_t ld, void *outputs, const void *y,
                               const void *weight, double scale, double *value) {
    T *z = outputs, others[FGD_VBYTES / sizeof(T)] = {0};
    for (size_t i = 0; i < n; i++, z += ld) {
        const int at = (int)(i % VL);
        const size_t label = (size_t)((const int32_t *)y)[i];
        const T w = weight ? ((const T *)weight)[i] : 1;
        const T at_label = z[label], largest = largest_of(n_out, z);
        const int is_top = at_label == largest;
        const T sum = softmax_numerators(n_out, z, largest, is_top ? (ptrdiff_t)label : -1);
        const T total = is_top ? 1 + sum : sum;
        const T share = (T)scale * w / total;
        for (size_t j = 0; j < n_out; j += VL) vstore(z + j, vload(z + j) * vset1(share));
        z[label] = is_top ? -(sum * share) : z[label] - (T)scale * w;
        others[at] = is_top ? sum : sum - 1;
        value[i] = is_top ? 0 : (double)(largest - at_label);
        if (at < VL - 1 && i + 1 < n) continue;
        vstore(others, vlog1p(vload(others))); /* for a whole vector of samples at once */
        for (size_t k = i - (size_t)at; k <= i; k++) {
            const T loss = others[k % VL] + (T)value[k];
            value[k] = (weight ? (double)((const T *)weight)[k] : 1) * (double)loss;
        }
    }
}

static void cross_entropy_matrix_loss(size_t n, size_t n_out, size_t ld, void *outputs,
                                      const void *targets, const void *weight, double scale,
                                      double *value) {
    T *z = outputs;
    const T *y = targets;
    for (size_t i = 0; i < n; i++, z += ld, y += n_out) {
        const T w = weight ? ((const T *)weight)[i] : 1, largest = largest_of(n_out, z);
        size_t top = 0;
        T expected = 0;
        while (top + 1 < n_out && z[top] != largest) top++;
        for (size_t j = 0; j < n_out; j++)
            expected += y[j] == 0 || z[j] == largest ? 0 : y[j] * (largest - z[j]);
        const T others = softmax_numerators(n_out, z, largest, (ptrdiff_t)top), total = 1 + others;
        const V share = vset1((T)scale * w);
        for (size_t j = 0; j < n_out; j += VL) {
            const V target = load_first(y + j, smaller(n_out - j, VL));
            vstore(z + j, (vload(z + j) / vset1(total) - target) * share);
        }
        z[top] = ((1 - y[top]) - others / total) * ((T)scale * w);
        value[i] = (double)w * (double)(vlog1p(vset1(others))[0] + expected);
    }
}

#define FGD_LOSSES(X) FGD_POINTWISE(X) X(cross_entropy) X(cross_entropy_matrix)

#define NAME(known) #known,
static const char *const loss_names[] = {FGD_LOSSES(NAME) NULL};
#undef NAME

static fgd_loss *loss_named(const char *name) {
#define FIND(known) \
    if (!strcmp(name, #known)) return known##_loss;
    FGD_LOSSES(FIND)
#undef FIND
    return NULL;
}
