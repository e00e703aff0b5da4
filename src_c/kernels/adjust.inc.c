/* Between the backward pass and the update: norms, penalties, clipping, and the gradients of single
 * samples (fastgd/backends/_step.py has the formulas).
 *
 * Squares of parameters are summed in double along columns with plain C operations, so that their
 * order is the same on every level.
 */

static void row_squares(size_t n, const void *const *rows, size_t width, double *square) {
    for (size_t i = 0; i < n; i++) square[i] = row_square(rows[i], width);
}

static void single_squares(size_t n, const void *const *rows, size_t width, const void *delta,
                           double factor, double *square) {
    for (size_t i = 0; i < n; i++) {
        const double d = (double)((const T *)delta)[i];
        square[i] = factor * (d * d) * (row_square(rows[i], width) + 1);
    }
}

/* sum[l] = sum over k of linear * |tile[k][l]| + square * tile[k][l]^2, for a few columns */
FGD_INLINE void few_column_norms(size_t n_rows, size_t width, const size_t columns, const T *tile,
                                 double linear, double square, double *sum) {
    double total[8] = {0};
    if (linear == 0)
        for (size_t k = 0; k < n_rows; k++, tile += width)
            for (size_t l = 0; l < columns; l++) total[l] += (double)tile[l] * (double)tile[l];
    else
        for (size_t k = 0; k < n_rows; k++, tile += width)
            for (size_t l = 0; l < columns; l++) {
                const double x = (double)tile[l], size = x < 0 ? -x : x;
                total[l] += linear * size + square * (x * x);
            }
    for (size_t l = 0; l < columns; l++) sum[l] = linear == 0 ? square * total[l] : total[l];
}

/* the same for all columns of a tile */
static void column_norms(size_t n_rows, size_t width, const void *tile, double linear,
                         double square, double *sum) {
    const T *t = tile;
    size_t j = 0;
    for (; j + 8 <= width; j += 8)
        few_column_norms(n_rows, width, 8, t + j, linear, square, sum + j);
    for (; j < width; j++) few_column_norms(n_rows, width, 1, t + j, linear, square, sum + j);
}

/* x[n] *= factor */
static void scale(size_t n, void *x, double factor) {
    T *p = x;
    const T f = (T)factor;
    for (size_t i = 0; i < n; i++) p[i] *= f;
}

/* x[n] += factor * other[n]; n is a multiple of VL */
static void add_scaled(size_t n, void *x, const void *other, double factor) {
    T *p = x;
    const T *q = other;
    const V f = vset1((T)factor);
    EACH_VECTOR
        vstore(p + i, vfma(f, vload(q + i), vload(p + i)));
}

/* x[n] to the nearest number from -limit to limit */
static void clip(size_t n, void *x, double limit) {
    T *p = x;
    const T most = (T)limit;
    for (size_t i = 0; i < n; i++) p[i] = p[i] > most ? most : p[i] < -most ? -most : p[i];
}

/* x[n] towards zero by `amount`, and no further */
static void soft_threshold(size_t n, void *x, double amount) {
    T *p = x;
    const T a = (T)amount;
    for (size_t i = 0; i < n; i++)
        p[i] = p[i] > a ? p[i] - a : p[i] < -a ? p[i] + a : p[i] == p[i] ? 0 : p[i];
}

/* out[k][j] = x[k] * delta[j] */
static void outer(size_t n_in, size_t n_out, const void *input, const void *delta, void *out) {
    const T *x = input, *d = delta;
    T *o = out;
    if (n_out == 1) {
        for (size_t k = 0; k < n_in; k++) o[k] = x[k] * d[0];
        return;
    }
    for (size_t k = 0; k < n_in; k++, o += n_out)
        for (size_t j = 0; j < n_out; j++) o[j] = x[k] * d[j];
}
