/* Layers with several outputs.
 *
 * A register tile is up to FGD_TILE_ROWS rows by one panel of columns. Each number in it is one
 * chain of fused multiply-adds in index order, so tiles of different heights and widths give the
 * same bits.
 */

enum { BIAS, SCALE };

/* rows_n rows of the product by nv vectors of columns; rows_n and nv are constants. */
FGD_INLINE void product_tile(const int rows_n, const int nv, const int mode, const T *const *rows,
                             size_t n_in, const T *panel, const T *bias, T *out, size_t ld) {
    const T *row[FGD_TILE_ROWS];
    V sum[FGD_TILE_ROWS][FGD_TILE_VECTORS];
    EACH (r, rows_n) {
        row[r] = rows[r];
        EACH (v, nv) sum[r][v] = mode == BIAS ? vload(bias + v * VL) : (V){0};
    }
    for (size_t k = 0; k < n_in; k++) {
        V weight[FGD_TILE_VECTORS];
        EACH (v, nv) weight[v] = vload(panel + (k * nv + v) * VL);
        EACH (r, rows_n) {
            const V x = vset1(row[r][k]);
            EACH (v, nv) sum[r][v] = vfma(x, weight[v], sum[r][v]);
        }
    }
    EACH (r, rows_n) {
        EACH (v, nv) {
            T *target = out + r * ld + v * VL;
            vstore(target, mode == BIAS ? sum[r][v] : sum[r][v] * vload(target));
        }
    }
}

/* Rows first .. first + rows_n - 1 of a weight gradient's panel, nv vectors wide. */
FGD_INLINE void gradient_tile(const int rows_n, const int nv, size_t n, const T *const *rows,
                              size_t first, const T *delta, size_t ld, T *tile, int add) {
    V sum[FGD_TILE_ROWS][FGD_TILE_VECTORS];
    EACH (r, rows_n) {
        EACH (v, nv) sum[r][v] = add ? vload(tile + (r * nv + v) * VL) : (V){0};
    }
    for (size_t i = 0; i < n; i++) {
        const T *x = rows[i] + first;
        V d[FGD_TILE_VECTORS];
        EACH (v, nv) d[v] = vload(delta + i * ld + v * VL);
        EACH (r, rows_n) {
            const V xr = vset1(x[r]);
            EACH (v, nv) sum[r][v] = vfma(xr, d[v], sum[r][v]);
        }
    }
    EACH (r, rows_n) {
        EACH (v, nv) vstore(tile + (r * nv + v) * VL, sum[r][v]);
    }
}

/* Calls CALL(height) with a constant for `height`: each height is compiled separately. */
#if FGD_TILE_ROWS == 8
#define WITH_HEIGHT(height, CALL) \
    switch (height) {             \
    case 8: CALL(8); break;       \
    case 7: CALL(7); break;       \
    case 6: CALL(6); break;       \
    case 5: CALL(5); break;       \
    case 4: CALL(4); break;       \
    case 3: CALL(3); break;       \
    case 2: CALL(2); break;       \
    default: CALL(1);             \
    }
#elif FGD_TILE_ROWS == 6
#define WITH_HEIGHT(height, CALL) \
    switch (height) {             \
    case 6: CALL(6); break;       \
    case 5: CALL(5); break;       \
    case 4: CALL(4); break;       \
    case 3: CALL(3); break;       \
    case 2: CALL(2); break;       \
    default: CALL(1);             \
    }
#elif FGD_TILE_ROWS == 4
#define WITH_HEIGHT(height, CALL) \
    switch (height) {             \
    case 4: CALL(4); break;       \
    case 3: CALL(3); break;       \
    case 2: CALL(2); break;       \
    default: CALL(1);             \
    }
#else
#error "no switch over this tile's heights"
#endif

/* Rows are in random order: prefetch the next tile's rows while this tile is computed. */
FGD_INLINE void prefetch_rows(const T *const *rows, size_t n_in) {
    const size_t bytes = smaller(n_in * sizeof(T), 512);
    for (int r = 0; r < FGD_TILE_ROWS; r++) prefetch_row(rows[r], bytes);
}

FGD_INLINE void product(const int mode, size_t n, const T *const *rows, size_t n_in,
                        size_t n_columns, size_t ld, const T *weights, const T *bias, T *out) {
    for (size_t j = 0; j < n_columns; j += FGD_TILE_VECTORS * VL) {
        const T *panel = weights + j * n_in;
        const int full = n_columns - j >= FGD_TILE_VECTORS * VL;
        for (size_t i = 0; i < n; i += FGD_TILE_ROWS) {
            if (mode == BIAS && j == 0) prefetch_rows(rows + i + FGD_TILE_ROWS, n_in);
            T *target = out + i * ld + j;
#define WIDE(height) \
    product_tile(height, FGD_TILE_VECTORS, mode, rows + i, n_in, panel, bias + j, target, ld)
#define NARROW(height) product_tile(height, 1, mode, rows + i, n_in, panel, bias + j, target, ld)
            const size_t height = smaller(n - i, FGD_TILE_ROWS);
            if (full)
                WITH_HEIGHT(height, WIDE)
            else
                WITH_HEIGHT(height, NARROW)
#undef WIDE
#undef NARROW
        }
    }
}

static void dense(size_t n, const void *const *rows, size_t n_in, size_t n_columns, size_t ld,
                  const void *weights, const void *bias, void *out) {
    product(BIAS, n, (const T *const *)rows, n_in, n_columns, ld, weights, bias, out);
}

static void dense_scale(size_t n, const void *const *rows, size_t n_in, size_t n_columns, size_t ld,
                        const void *weights, void *out) {
    /* The bias is not read here, but NULL plus an offset would be undefined: pass any array. */
    product(SCALE, n, (const T *const *)rows, n_in, n_columns, ld, weights, weights, out);
}

static void dense_gradient(size_t n, const void *const *rows, size_t first, size_t last,
                           size_t width, const void *delta, size_t ld, void *tile, int add) {
    const T *const *x = (const T *const *)rows;
    for (size_t k = first; k < last; k += FGD_TILE_ROWS) {
        T *target = (T *)tile + (k - first) * width;
#define WIDE(height) gradient_tile(height, FGD_TILE_VECTORS, n, x, k, delta, ld, target, add)
#define NARROW(height) gradient_tile(height, 1, n, x, k, delta, ld, target, add)
        const size_t height = smaller(last - k, FGD_TILE_ROWS);
        if (width == FGD_TILE_VECTORS * VL)
            WITH_HEIGHT(height, WIDE)
        else
            WITH_HEIGHT(height, NARROW)
#undef WIDE
#undef NARROW
    }
}

static void column_sum(size_t n, size_t ld, const void *delta, void *sum, int add) {
    for (size_t j = 0; j < ld; j += VL) {
        V total = add ? vload((T *)sum + j) : (V){0};
        for (size_t i = 0; i < n; i++) total += vload((const T *)delta + i * ld + j);
        vstore((T *)sum + j, total);
    }
}

/* Transpose squares of whole vectors, and the remainder element by element. */
static void transpose(size_t n_rows, size_t n_columns, size_t width, const void *tile,
                      size_t stride, void *transposed) {
    const size_t rows = n_rows / VL * VL, columns = n_columns / VL * VL;
    const T *from = tile;
    T *to = transposed;
    for (size_t k = 0; k < rows; k += VL)
        for (size_t j = 0; j < columns; j += VL) {
            V square[VL];
            EACH (r, VL) square[r] = vload(from + (k + (size_t)r) * width + j);
            vtranspose(square);
            EACH (r, VL) vstore(to + (j + (size_t)r) * stride + k, square[r]);
        }
    for (size_t k = 0; k < n_rows; k++)
        for (size_t j = k < rows ? columns : 0; j < n_columns; j++)
            to[j * stride + k] = from[k * width + j];
}
