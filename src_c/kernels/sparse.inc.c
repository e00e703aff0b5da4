/* A first layer over sparse rows: products, gradients and updates for the stored elements only.
 *
 * A row pointer points to where the row begins among the stored elements, an int32_t or int64_t of
 * the matrix's list of starts; the next entry is its end. Numbers from the lists are checked, so
 * that a matrix that changes during a run cannot lead to an address outside its arrays.
 *
 * A chain of fused multiply-adds does not change by the products with zeros that are left out, so
 * results have the bits of dense.inc.c, up to the sign of a zero.
 */

enum { SPARSE_AHEAD = 8 }; /* stored elements between a prefetch and its use */

typedef struct stored_row {
    const T *values;
    const void *columns;
    size_t n;
} stored_row;

FGD_INLINE stored_row stored_at(const fgd_csr *csr, const void *row) {
    const int64_t *w = row;
    const int32_t *s = row;
    size_t start = csr->wide ? (size_t)w[0] : (size_t)s[0];
    size_t end = csr->wide ? (size_t)w[1] : (size_t)s[1];
    if (end > csr->n_stored) end = csr->n_stored;
    if (start > end) start = end;
    return (stored_row){(const T *)csr->values + start,
                        (const char *)csr->columns + start * (csr->wide ? 8 : 4), end - start};
}

FGD_INLINE size_t column_at(const fgd_csr *csr, const void *columns, size_t k) {
    return csr->wide ? (size_t)((const int64_t *)columns)[k]
                     : (size_t)((const int32_t *)columns)[k];
}

/* Prefetch the part of a matrix, of `width` elements a column, that is used some elements later. */
FGD_INLINE void prefetch_column(const fgd_csr *csr, stored_row x, size_t k, const T *matrix,
                                size_t width) {
    if (k + SPARSE_AHEAD >= x.n) return;
    const T *place = matrix + column_at(csr, x.columns, k + SPARSE_AHEAD) * width;
    for (size_t j = 0; j < width; j += 64 / sizeof(T)) __builtin_prefetch(place + j);
}

FGD_INLINE void csr_products(const int nv, const fgd_csr *csr, stored_row x, size_t width,
                             const T *weights, const T *bias, T *out) {
    V sum[FGD_TILE_VECTORS];
    EACH (v, nv) sum[v] = vload(bias + v * VL);
    for (size_t k = 0; k < x.n; k++) {
        const size_t column = column_at(csr, x.columns, k);
        if (nv * VL == (int)width) prefetch_column(csr, x, k, weights, width);
        if (column >= csr->n_in) continue;
        const V value = vset1(x.values[k]);
        EACH (v, nv) sum[v] = vfma(value, vload(weights + column * width + v * VL), sum[v]);
    }
    EACH (v, nv) vstore(out + v * VL, sum[v]);
}

static void csr_dense(size_t n, const void *const *rows, const fgd_csr *csr, size_t ld,
                      const void *weights, const void *bias, void *out) {
    const size_t panel = FGD_TILE_VECTORS * VL;
    for (size_t j = 0; j < ld; j += panel) {
        const size_t width = smaller(panel, ld - j);
        const T *w = (const T *)weights + j * csr->n_in, *b = (const T *)bias + j;
        for (size_t i = 0; i < n; i++) {
            T *o = (T *)out + i * ld + j;
            const stored_row x = stored_at(csr, rows[i]);
            if (width == panel)
                csr_products(FGD_TILE_VECTORS, csr, x, width, w, b, o);
            else
                for (size_t v = 0; v < width; v += VL)
                    csr_products(1, csr, x, width, w + v, b + v, o + v);
        }
    }
}

static void csr_gradient(size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
                         const void *delta, size_t ld, void *gradient) {
    for (size_t i = 0; i < n; i++) {
        const stored_row x = stored_at(csr, rows[i]);
        const T *d = (const T *)delta + i * ld;
        for (size_t k = 0; k < x.n; k++) {
            const size_t column = column_at(csr, x.columns, k);
            prefetch_column(csr, x, k, gradient, width);
            if (column >= csr->n_in) continue;
            const V value = vset1(x.values[k]);
            T *g = (T *)gradient + column * width;
            for (size_t j = 0; j < width; j += VL)
                vstore(g + j, vfma(value, vload(d + j), vload(g + j)));
        }
    }
}

static void csr_clear(size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
                      void *gradient) {
    for (size_t i = 0; i < n; i++) {
        const stored_row x = stored_at(csr, rows[i]);
        for (size_t k = 0; k < x.n; k++) {
            const size_t column = column_at(csr, x.columns, k);
            prefetch_column(csr, x, k, gradient, width);
            if (column < csr->n_in) memset((T *)gradient + column * width, 0, width * sizeof(T));
        }
    }
}

/* A column's gradient is 0 after its first update, which makes later ones do nothing. */
static void csr_update(size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
                       const fgd_optimizer *optimizer, const double *coefficient, void *weights,
                       void *gradient) {
    for (size_t i = 0; i < n; i++) {
        const stored_row x = stored_at(csr, rows[i]);
        for (size_t k = 0; k < x.n; k++) {
            const size_t column = column_at(csr, x.columns, k);
            prefetch_column(csr, x, k, weights, width);
            if (column >= csr->n_in) continue;
            T *g = (T *)gradient + column * width;
            optimizer->update(width, (T *)weights + column * width, g, NULL, 0, coefficient);
            memset(g, 0, width * sizeof(T));
        }
    }
}

static void csr_squares(size_t n, const void *const *rows, const fgd_csr *csr, double *square) {
    for (size_t i = 0; i < n; i++) {
        const stored_row x = stored_at(csr, rows[i]);
        square[i] = 0;
        for (size_t k = 0; k < x.n; k++) square[i] += (double)x.values[k] * (double)x.values[k];
    }
}
