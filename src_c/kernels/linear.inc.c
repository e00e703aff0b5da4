/* Layers with one output: dot products and their gradients, along the inputs. */

/* A logical vector of x[k ..], with zeros behind the last of `left` elements. */
FGD_INLINE void load_lanes(const T *x, size_t left, V lanes[NV]) {
    for (int v = 0; v < NV; v++) {
        const ptrdiff_t count = (ptrdiff_t)left - v * VL;
        lanes[v] = count >= VL ? vload(x + v * VL)
                   : count > 0 ? vload_part(x + v * VL, (int)count)
                               : (V){0};
    }
}

FGD_INLINE T dot_row(const T *x, size_t n_in, const T *weights) {
    V sum[NV];
    for (int v = 0; v < NV; v++) sum[v] = (V){0};
    size_t k = 0;
    for (; k + LANES <= n_in; k += LANES)
        for (int v = 0; v < NV; v++)
            sum[v] = vfma(vload(x + k + v * VL), vload(weights + k + v * VL), sum[v]);
    if (k < n_in) {
        V rest[NV];
        load_lanes(x + k, n_in - k, rest);
        for (int v = 0; v < NV; v++) sum[v] = vfma(rest[v], vload(weights + k + v * VL), sum[v]);
    }
    return vsum(sum);
}

/* Folded lanes of `count` dot products side by side: their chains of additions overlap. */
FGD_INLINE void dot_rows(const int count, const T *const *rows, size_t n_in, const T *weights,
                         V *folded) {
    V sum[4][NV];
    EACH (r, count)
        EACH (v, NV) sum[r][v] = (V){0};
    size_t k = 0;
    for (; k + LANES <= n_in; k += LANES)
        EACH (v, NV) {
            const V weight = vload(weights + k + v * VL);
            EACH (r, count) sum[r][v] = vfma(vload(rows[r] + k + v * VL), weight, sum[r][v]);
        }
    if (k < n_in)
        EACH (r, count) {
            V rest[NV];
            load_lanes(rows[r] + k, n_in - k, rest);
            EACH (v, NV) sum[r][v] = vfma(rest[v], vload(weights + k + v * VL), sum[r][v]);
        }
    EACH (r, count) folded[r] = fold(sum[r]);
}

static void dot(size_t n, const void *const *rows, size_t n_in, const void *weights,
                const void *bias, void *out) {
    enum { AT_ONCE = NV == 4 ? 2 : 4 }; /* as many as there are registers for */
    const size_t bytes = smaller(n_in * sizeof(T), 2048);
    const size_t ahead = smaller(8192 / bytes, FGD_AHEAD);
    const T *const *x = (const T *const *)rows;
    const V b = vset1(*(const T *)bias);
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        V sums[VL];
        for (int l = 0; l < VL; l += AT_ONCE) {
            V folded[AT_ONCE];
            EACH (r, AT_ONCE) prefetch_far(x[i + l + r + ahead], bytes);
            dot_rows(AT_ONCE, x + i + l, n_in, weights, folded);
            EACH (r, AT_ONCE) sums[vsum_place(l + r)] = folded[r];
        }
        vstore((T *)out + i, vsum_each(sums) + b);
    }
    for (; i < n; i++) {
        prefetch_far(x[i + ahead], bytes);
        ((T *)out)[i] = dot_row(x[i], n_in, weights) + *(const T *)bias;
    }
}

/* count native vectors of the gradient, from element k on, stay in registers while the
 * samples pass; the last of them has `tail` elements (VL: it is whole). */
FGD_INLINE void gradient_strip(const int count, int tail, size_t n, const T *const *rows, size_t k,
                               const T *delta, T *gradient, int add) {
    V sum[8];
    EACH (v, count) sum[v] = add ? vload(gradient + k + v * VL) : (V){0};
    for (size_t i = 0; i < n; i++) {
        const T *x = rows[i] + k;
        const V d = vset1(delta[i]);
        EACH (v, count - 1) sum[v] = vfma(d, vload(x + v * VL), sum[v]);
        const T *last = x + (count - 1) * VL;
        sum[count - 1] = vfma(d, tail == VL ? vload(last) : vload_part(last, tail), sum[count - 1]);
    }
    EACH (v, count) vstore(gradient + k + v * VL, sum[v]);
}

static void dot_gradient(size_t n, const void *const *rows, size_t n_in, const void *delta,
                         void *gradient, void *bias_gradient, int add) {
    const T *const *x = (const T *const *)rows;
    const T *d = delta;
    size_t k = 0;
    for (; k + 8 * VL <= n_in; k += 8 * VL) gradient_strip(8, VL, n, x, k, d, gradient, add);
    for (; k + 2 * VL <= n_in; k += 2 * VL) gradient_strip(2, VL, n, x, k, d, gradient, add);
    for (; k < n_in; k += VL)
        gradient_strip(1, (int)smaller(n_in - k, VL), n, x, k, d, gradient, add);

    V sum[NV];
    for (int v = 0; v < NV; v++) sum[v] = (V){0};
    for (size_t i = 0; i < n; i += LANES) {
        V lanes[NV];
        load_lanes(d + i, n - i, lanes);
        for (int v = 0; v < NV; v++) sum[v] += lanes[v];
    }
    T *bias = bias_gradient;
    *bias = (add ? *bias : 0) + vsum(sum);
}

static void dot_scale(size_t n, size_t n_in, size_t ld, const void *delta, const void *weights,
                      void *out) {
    (void)n_in;
    for (size_t i = 0; i < n; i++) {
        const V d = vset1(((const T *)delta)[i]);
        T *row = (T *)out + i * ld;
        for (size_t k = 0; k < ld; k += VL)
            vstore(row + k, d * vload((const T *)weights + k) * vload(row + k));
    }
}

static void add(size_t n, void *sum, const void *other) {
    T *a = sum;
    const T *b = other;
    for (size_t i = 0; i < n; i++) a[i] += b[i];
}

/* x - x is zero for a finite x and not a number otherwise. */
static int all_finite(size_t n, const void *x) {
    const T *p = x;
    V bad = {0};
    size_t i = 0;
    for (; i + VL <= n; i += VL) bad += vload(p + i) - vload(p + i);
    T total = 0;
    for (int l = 0; l < VL; l++) total += bad[l];
    for (; i < n; i++) total += p[i] - p[i];
    return total == 0;
}
