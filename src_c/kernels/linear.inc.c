/* Layers with one output: dot products and their gradients, along the inputs. */

/* NumPy's rows can begin anywhere, most often 16 bytes after the start of a cache line, and a
 * vector that crosses two lines takes two loads. If all rows begin at the same offset in a line,
 * the weights and their gradient are stored at that offset too, after zeros, and vectors are loaded
 * aligned to lines: a row then begins and ends with a part of a vector. This rotates the lanes, and
 * a sum by halves does not depend on that (a + b is b + a): the bits stay the same. */
FGD_INLINE size_t skew(const void *vector) { return (uintptr_t)vector % 64 / sizeof(T); }

/* The logical vector in which x begins, with zeros before it. */
FGD_INLINE void load_first_lanes(const T *x, size_t before, V lanes[NV]) {
    for (int v = 0; v < NV; v++) {
        const ptrdiff_t empty = (ptrdiff_t)before - v * VL;
        const T *at = x + v * VL - before;
        lanes[v] = empty <= 0 ? vload(at) : empty < VL ? vload_from(at, (int)empty) : (V){0};
    }
}

/* A logical vector of the `left` elements of x, then zeros. */
FGD_INLINE void load_lanes(const T *x, size_t left, V lanes[NV]) {
    for (int v = 0; v < NV; v++) {
        const ptrdiff_t count = (ptrdiff_t)left - v * VL;
        lanes[v] = count >= VL ? vload(x + v * VL)
                   : count > 0 ? vload_part(x + v * VL, (int)count)
                               : (V){0};
    }
}

/* The folded lanes of `count` dot products, computed together so that their additions overlap. */
FGD_INLINE void dot_rows(const int count, const T *const *rows, size_t n_in, const T *weights,
                         size_t before, V *folded) {
    V sum[4][NV], part[NV], weight[NV];
    EACH (r, count)
        EACH (v, NV) sum[r][v] = (V){0};
    size_t k = 0;
    if (before > 0) {
        load_first_lanes(weights, before, weight);
        EACH (r, count) {
            load_first_lanes(rows[r], before, part);
            EACH (v, NV) sum[r][v] = vfma(part[v], weight[v], sum[r][v]);
        }
        k = LANES - before;
    }
    for (; k + LANES <= n_in; k += LANES)
        EACH (v, NV) {
            weight[v] = vload(weights + k + v * VL);
            EACH (r, count) sum[r][v] = vfma(vload(rows[r] + k + v * VL), weight[v], sum[r][v]);
        }
    if (k < n_in) {
        load_lanes(weights + k, n_in - k, weight);
        EACH (r, count) {
            load_lanes(rows[r] + k, n_in - k, part);
            EACH (v, NV) sum[r][v] = vfma(part[v], weight[v], sum[r][v]);
        }
    }
    EACH (r, count) folded[r] = fold(sum[r]);
}

FGD_INLINE T dot_row(const T *x, size_t n_in, const T *weights) {
    V folded;
    dot_rows(1, &x, n_in, weights, 0, &folded);
    return vsum_folded(folded);
}

static void dot(size_t n, const void *const *rows, size_t n_in, const void *weights,
                const void *bias, void *out) {
    enum { AT_ONCE = NV == 4 ? 2 : 4 }; /* as many as fit into the registers */
    const size_t bytes = smaller(n_in * sizeof(T), 2048), before = skew(weights);
    const size_t ahead = smaller(8192 / bytes, FGD_AHEAD);
    const T *const *x = (const T *const *)rows;
    const V b = vset1(*(const T *)bias);
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        V sums[VL];
        for (int l = 0; l < VL; l += AT_ONCE) {
            V folded[AT_ONCE];
            EACH (r, AT_ONCE) prefetch_far(x[i + l + r + ahead], bytes);
            dot_rows(AT_ONCE, x + i + l, n_in, weights, before, folded);
            EACH (r, AT_ONCE) sums[vsum_place(l + r)] = folded[r];
        }
        vstore((T *)out + i, vsum_each(sums) + b);
    }
    for (; i < n; i++) {
        prefetch_far(x[i + ahead], bytes);
        V folded;
        dot_rows(1, x + i, n_in, weights, before, &folded);
        ((T *)out)[i] = vsum_folded(folded) + *(const T *)bias;
    }
}

#define GRADIENT_MOST 9
/* `count` native vectors of the gradient, from element k on, stay in registers during the loop over
 * the samples. The first `before` lanes come before the gradient and are zeros; the last vector has
 * `tail` elements (VL: a whole vector). */
FGD_INLINE void gradient_strip(const int count, int before, int tail, size_t n,
                               const T *const *rows, ptrdiff_t k, const T *delta, T *gradient,
                               int add) {
    T *out = gradient + k, *last = out + (count - 1) * VL;
    V sum[GRADIENT_MOST];
    EACH (v, count) sum[v] = add ? vload(out + v * VL) : (V){0};
    if (add && tail < VL) sum[count - 1] = vload_part(last, tail);
    for (size_t i = 0; i < n; i++) {
        const T *x = rows[i] + k, *end = x + (count - 1) * VL;
        const V d = vset1(delta[i]);
        if (count > 1) sum[0] = vfma(d, before > 0 ? vload_from(x, before) : vload(x), sum[0]);
        EACH (v, count - 2) sum[v + 1] = vfma(d, vload(x + (v + 1) * VL), sum[v + 1]);
        sum[count - 1] = vfma(d, tail < VL ? vload_part(end, tail) : vload(end), sum[count - 1]);
    }
    EACH (v, count - 1) vstore(out + v * VL, sum[v]);
    if (tail < VL)
        vstore_part(last, sum[count - 1], tail);
    else
        vstore(last, sum[count - 1]);
}

static void dot_gradient(size_t n, const void *const *rows, size_t n_in, const void *delta,
                         void *gradient, void *bias_gradient, int add) {
    const T *const *x = (const T *const *)rows;
    const T *d = delta;
    int before = (int)(skew(gradient) % VL);
    ptrdiff_t k = -before, end = (ptrdiff_t)n_in;
    for (; end - k > GRADIENT_MOST * VL; k += (GRADIENT_MOST - 1) * VL, before = 0)
        gradient_strip(GRADIENT_MOST - 1, before, VL, n, x, k, d, gradient, add);
    const int count = (int)((end - k + VL - 1) / VL), tail = (int)(end - k) - (count - 1) * VL;
#define STRIP(c) \
    case c: gradient_strip(c, before, tail, n, x, k, d, gradient, add); break
    switch (count) {
        STRIP(1);
        STRIP(2);
        STRIP(3);
        STRIP(4);
        STRIP(5);
        STRIP(6);
        STRIP(7);
        STRIP(8);
        STRIP(GRADIENT_MOST);
    }
#undef STRIP

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

/* x - x is 0 for a finite x, NaN otherwise. */
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
