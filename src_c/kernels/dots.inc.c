/* First layers with few outputs and many inputs: each output is a dot product.
 *
 * If vectors ran along the outputs (dense.inc.c), ten outputs would leave six of sixteen lanes
 * idle. Here they run along the inputs, as for a single output (linear.inc.c). The inputs are cut
 * into segments that are summed separately, so that threads can share them: a segment of the
 * weights and of every row stays with one thread from step to step.
 *
 * A segment of the weights is n_out consecutive vectors of `stride` elements, a multiple of LANES,
 * padded with zeros.
 */

/* A register tile of dot products is DOTS_ROWS rows by up to DOTS_MOST outputs; one of gradients
 * DOTS_VECTORS vectors of inputs by up to DOTS_GRADIENT_MOST outputs. */
enum {
    DOTS_ROWS = 4 / NV,
    DOTS_MOST = NV == 1 ? 6 : 2,
    DOTS_VECTORS = NV == 1 ? 4 : 2,
    DOTS_GRADIENT_MOST = 6,
};

/* Calls CALL(outputs) with a constant. */
#define WITH_OUTPUTS(outputs, most, CALL) \
    switch (outputs) {                    \
    case 6:                               \
        if ((most) >= 6) CALL(6);         \
        break;                            \
    case 5:                               \
        if ((most) >= 5) CALL(5);         \
        break;                            \
    case 4:                               \
        if ((most) >= 4) CALL(4);         \
        break;                            \
    case 3:                               \
        if ((most) >= 3) CALL(3);         \
        break;                            \
    case 2: CALL(2); break;               \
    default: CALL(1);                     \
    }

/* How many of n_out outputs to compute at a time: parts of nearly equal size, at most `most`. */
FGD_INLINE size_t even_part(size_t n_out, size_t most) {
    const size_t parts = (n_out + most - 1) / most;
    return (n_out + parts - 1) / parts;
}

/* The folded lanes of rows_n x outputs dot products, rows_n and outputs constant. Row r is stored
 * where vsum_each() expects row place + r. */
FGD_INLINE void dots_tile(const int rows_n, const int outputs, const T *const *rows, size_t first,
                          size_t n_in, const T *weights, size_t stride, int place,
                          V folded[DOTS_MOST][VL]) {
    const T *row[DOTS_ROWS];
    V sum[DOTS_ROWS][DOTS_MOST][NV];
    EACH (r, rows_n) {
        row[r] = rows[r] + first;
        EACH (j, outputs) {
            EACH (v, NV) sum[r][j][v] = (V){0};
        }
    }
    size_t k = 0;
    for (; k + LANES <= n_in; k += LANES) {
        EACH (v, NV) {
            V x[DOTS_ROWS];
            EACH (r, rows_n) x[r] = vload(row[r] + k + v * VL);
            EACH (j, outputs) {
                const V weight = vload(weights + (size_t)j * stride + k + v * VL);
                EACH (r, rows_n) sum[r][j][v] = vfma(x[r], weight, sum[r][j][v]);
            }
        }
    }
    if (k < n_in) {
        EACH (r, rows_n) {
            V rest[NV];
            load_lanes(row[r] + k, n_in - k, rest);
            EACH (j, outputs) {
                EACH (v, NV)
                    sum[r][j][v] = vfma(rest[v], vload(weights + (size_t)j * stride + k + v * VL),
                                        sum[r][j][v]);
            }
        }
    }
    EACH (r, rows_n) {
        EACH (j, outputs) folded[j][vsum_place(place + r)] = fold(sum[r][j]);
    }
}

/* The same for up to VL rows, written to out[j][row]. */
FGD_INLINE void dots_rows(const int outputs, size_t n, const T *const *rows, size_t first,
                          size_t n_in, const T *weights, size_t stride, T *out, size_t room) {
    V folded[DOTS_MOST][VL];
    int r = 0;
    for (; r + DOTS_ROWS <= (int)n; r += DOTS_ROWS)
        dots_tile(DOTS_ROWS, outputs, rows + r, first, n_in, weights, stride, r, folded);
    for (; r < (int)n; r++)
        dots_tile(1, outputs, rows + r, first, n_in, weights, stride, r, folded);
    if (n == (size_t)VL) {
        for (int j = 0; j < outputs; j++) vstore(out + (size_t)j * room, vsum_each(folded[j]));
        return;
    }
    for (int j = 0; j < outputs; j++)
        for (r = 0; r < (int)n; r++)
            out[(size_t)j * room + (size_t)r] = vsum_folded(folded[j][vsum_place(r)]);
}

static void dots(size_t n, const void *const *rows, size_t first, size_t n_in, size_t n_out,
                 const void *weights, size_t stride, void *out, size_t room) {
    const T *const *x = (const T *const *)rows;
    const T *w = weights;
    const size_t part = even_part(n_out, DOTS_MOST), bytes = n_in * sizeof(T);
    for (size_t i = 0; i < n; i += VL) {
        const size_t count = smaller(n - i, VL);
        const size_t ahead = smaller(i + FGD_AHEAD / 2, n + FGD_AHEAD - VL);
        for (size_t r = 0; r < count; r++) prefetch_far(x[ahead + r] + first, bytes);
        for (size_t j = 0; j < n_out; j += part) {
            T *target = (T *)out + j * room + i;
#define PART(outputs) \
    dots_rows(outputs, count, x + i, first, n_in, w + j * stride, stride, target, room)
            WITH_OUTPUTS(smaller(n_out - j, part), DOTS_MOST, PART)
#undef PART
        }
    }
}

static void dots_sum(size_t n, size_t n_out, size_t ld, size_t n_segments, const void *sums,
                     size_t room, const void *bias, void *out) {
    for (size_t i = 0; i < n; i += VL) {
        const size_t count = smaller(n - i, VL);
        T *target = (T *)out + i * ld, lane[FGD_VBYTES / sizeof(T)];
        for (size_t j = 0; j < n_out; j++) {
            const T *part = (const T *)sums + j * room + i;
            V z = load_first(part, count);
            for (size_t s = 1; s < n_segments; s++) z += load_first(part + s * n_out * room, count);
            vstore(lane, z + vset1(((const T *)bias)[j]));
            for (size_t r = 0; r < count; r++) target[r * ld + j] = lane[r];
        }
        for (size_t r = 0; r < count; r++)
            for (size_t j = n_out; j < ld; j++) target[r * ld + j] = 0;
    }
}

/* `vectors` native vectors of the gradient by `outputs` outputs stay in registers during the loop
 * over the samples. The last vector has `tail` elements (VL: a whole vector). */
FGD_INLINE void dots_gradient_tile(const int outputs, const int vectors, int tail, size_t n,
                                   const T *const *rows, size_t k, const T *delta, size_t ld,
                                   T *gradient, size_t stride, int add) {
    V sum[DOTS_GRADIENT_MOST][DOTS_VECTORS];
    EACH (j, outputs) {
        EACH (v, vectors) sum[j][v] = add ? vload(gradient + (size_t)j * stride + v * VL) : (V){0};
    }
    for (size_t i = 0; i < n; i++) {
        const T *x = rows[i] + k, *last = x + (vectors - 1) * VL;
        V part[DOTS_VECTORS];
        EACH (v, vectors - 1) part[v] = vload(x + v * VL);
        part[vectors - 1] = tail == VL ? vload(last) : vload_part(last, tail);
        EACH (j, outputs) {
            const V d = vset1(delta[i * ld + (size_t)j]);
            EACH (v, vectors) sum[j][v] = vfma(d, part[v], sum[j][v]);
        }
    }
    EACH (j, outputs) {
        EACH (v, vectors) vstore(gradient + (size_t)j * stride + v * VL, sum[j][v]);
    }
}

static void dots_gradient(size_t n, const void *const *rows, size_t first, size_t n_in,
                          size_t n_out, const void *delta, size_t ld, void *gradient, size_t stride,
                          int add) {
    const T *const *x = (const T *const *)rows;
    const size_t part = even_part(n_out, DOTS_GRADIENT_MOST);
    size_t k = 0, vectors;
    for (; k < n_in; k += vectors * VL) {
        vectors = n_in - k >= (size_t)DOTS_VECTORS * VL ? DOTS_VECTORS : 1;
        const int tail = (int)smaller(n_in - k, VL);
        for (size_t j = 0; j < n_out; j += part) {
            const T *d = (const T *)delta + j;
            T *target = (T *)gradient + j * stride + k;
#define WIDE(outputs) \
    dots_gradient_tile(outputs, DOTS_VECTORS, VL, n, x, first + k, d, ld, target, stride, add)
#define SINGLE(outputs) \
    dots_gradient_tile(outputs, 1, tail, n, x, first + k, d, ld, target, stride, add)
            const size_t outputs = smaller(n_out - j, part);
            if (vectors == DOTS_VECTORS)
                WITH_OUTPUTS(outputs, DOTS_GRADIENT_MOST, WIDE)
            else
                WITH_OUTPUTS(outputs, DOTS_GRADIENT_MOST, SINGLE)
#undef WIDE
#undef SINGLE
        }
    }
}

/* The sum of a row's squares in double, without overflow. Few rows need it, so it may be slow. */
static __attribute__((noinline)) double wide_square(const T *x, size_t width) {
    double sum[8] = {0};
    size_t k = 0;
    for (; k + 8 <= width; k += 8)
        EACH (l, 8) sum[l] += (double)x[k + (size_t)l] * (double)x[k + (size_t)l];
    for (; k < width; k++) sum[k % 8] += (double)x[k] * (double)x[k];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* The sum of a row's squares, on the lanes of a dot product. If it overflows float32, or is so
 * small (subnormal) that it has lost digits, it is computed again in double. */
FGD_INLINE double row_square(const T *x, size_t width) {
    V sum[NV], part[NV];
    EACH (v, NV) sum[v] = (V){0};
    size_t k = 0;
    for (; k + LANES <= width; k += LANES)
        EACH (v, NV) {
            part[v] = vload(x + k + v * VL);
            sum[v] = vfma(part[v], part[v], sum[v]);
        }
    if (k < width) {
        load_lanes(x + k, width - k, part);
        EACH (v, NV) sum[v] = vfma(part[v], part[v], sum[v]);
    }
    const T total = vsum(sum);
    const int fits = total >= T_C(0x1p-126) && total < (T)__builtin_inf();
    return FGD_F64 || fits ? (double)total : wide_square(x, width);
}
