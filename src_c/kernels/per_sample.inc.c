/* Steps of a linear model with one output, over dense rows or rows of a compressed matrix (CSR),
 * with the losses, penalties, step rules and averages of scikit-learn's SGD estimators.
 *
 * The cost of a step is proportional to the non-zeros of its rows. The weights are `scale` times
 * the stored numbers, so that L2 shrinks them by one multiplication (Shalev-Shwartz et al. 2011,
 * "Pegasos", doi:10.1007/s10107-010-0420-4). L1 is cumulative: a weight gets its outstanding
 * penalty when a row has its column (Tsuruoka, Tsujii and Ananiadou 2009,
 * aclanthology.org/P09-1054). The average is average_b^-1 (average + average_a * weights) (Bottou
 * 2012, "Stochastic Gradient Descent Tricks", section 5.1, doi:10.1007/978-3-642-35289-8_25).
 *
 * Numbers of a whole step are computed in double. Dot products use the lanes of one logical vector,
 * element k of a row in lane k % LANES, for both kinds of rows.
 */

#define LEAST_SCALE (FGD_F64 ? 1e-9 : 1e-6)
#define GREATEST_SLOPE 1e12
/* How many samples ahead the starts of rows, and the rows, are prefetched. */
enum { AHEAD_STARTS = 24, AHEAD_VALUES = 12 };

/* One row, dense or sparse. */
typedef struct {
    const T *x;
    const int32_t *columns; /* NULL: the columns are 0, 1, ... */
    size_t n;
} fgd_row;

FGD_INLINE fgd_row row_of(const fgd_rows *rows, size_t sample, const int sparse) {
    if (!sparse)
        return (fgd_row){(const T *)rows->values + sample * rows->n_columns, NULL, rows->n_columns};
    const size_t start = (size_t)rows->starts[sample];
    return (fgd_row){(const T *)rows->values + start, rows->columns + start,
                     (size_t)rows->starts[sample + 1] - start};
}

FGD_INLINE void prefetch_sample(const fgd_rows *rows, const fgd_linear *model,
                                const uint32_t *order, size_t left, const int sparse) {
    if (sparse && left > AHEAD_STARTS) {
        const size_t sample = order[AHEAD_STARTS];
        __builtin_prefetch(rows->starts + sample);
        if (!model->ld) __builtin_prefetch((const T *)model->targets + sample);
        if (model->sample_weight) __builtin_prefetch((const T *)model->sample_weight + sample);
    }
    if (left <= AHEAD_VALUES) return;
    const fgd_row row = row_of(rows, order[AHEAD_VALUES], sparse);
    if (row.n == 0) return;
    prefetch_far(row.x, smaller(row.n * sizeof(T), 2048));
    if (sparse) prefetch_far(row.columns, smaller(row.n * sizeof(int32_t), 1024));
}

/* Load the weights of LANES columns into one logical vector. */
FGD_INLINE void gather(const T *w, const int32_t *at, V lanes[NV]) {
    EACH (v, NV) {
        const int32_t *a = at + v * VL;
#if FGD_VBYTES == 16 && FGD_F64
        lanes[v] = (V){w[a[0]], w[a[1]]};
#elif FGD_VBYTES == 16 || (FGD_VBYTES == 32 && FGD_F64)
        lanes[v] = (V){w[a[0]], w[a[1]], w[a[2]], w[a[3]]};
#elif FGD_VBYTES == 32 || FGD_F64
        lanes[v] = (V){w[a[0]], w[a[1]], w[a[2]], w[a[3]], w[a[4]], w[a[5]], w[a[6]], w[a[7]]};
#else
        lanes[v] =
            (V){w[a[0]], w[a[1]], w[a[2]],  w[a[3]],  w[a[4]],  w[a[5]],  w[a[6]],  w[a[7]],
                w[a[8]], w[a[9]], w[a[10]], w[a[11]], w[a[12]], w[a[13]], w[a[14]], w[a[15]]};
#endif
    }
}

/* The columns of LANES elements from k on; past the end of the row, column k again. */
FGD_INLINE void columns_of(fgd_row row, size_t k, int32_t at[LANES]) {
    EACH (l, LANES) at[l] = row.columns[k + (size_t)l < row.n ? k + (size_t)l : k];
}

/* Sums over a row x and its weights w: of x w and, on request, of x^2 and w^2. */
typedef struct {
    T xw, xx, ww;
} fgd_sums;

FGD_INLINE fgd_sums sum_sparse(fgd_row row, const T *w, const int squares) {
    V xw[NV], xx[NV], ww[NV], g[NV], x[NV];
    EACH (v, NV) xw[v] = xx[v] = ww[v] = (V){0};
    for (size_t k = 0; k < row.n; k += LANES) {
        if (k + LANES <= row.n) {
            gather(w, row.columns + k, g);
            EACH (v, NV) x[v] = vload(row.x + k + v * VL);
        } else {
            T rest[LANES] = {0};
            for (size_t l = 0; k + l < row.n; l++) rest[l] = w[row.columns[k + l]];
            EACH (v, NV) g[v] = vload(rest + v * VL);
            load_lanes(row.x + k, row.n - k, x);
        }
        EACH (v, NV) {
            xw[v] = vfma(x[v], g[v], xw[v]);
            if (squares) xx[v] = vfma(x[v], x[v], xx[v]);
            if (squares) ww[v] = vfma(g[v], g[v], ww[v]);
        }
    }
    return squares ? (fgd_sums){vsum(xw), vsum(xx), vsum(ww)} : (fgd_sums){vsum(xw), 0, 0};
}

/* a * b + c for one element, rounded as in vfma(). */
FGD_INLINE T fma_one(T a, T b, T c) {
#if defined(__FMA__) || (defined(__ARM_NEON) && defined(__aarch64__))
    return FGD_F64 ? (T)__builtin_fma(a, b, c) : (T)__builtin_fmaf((float)a, (float)b, (float)c);
#else
    return a * b + c;
#endif
}

/* w += factor * row; with `measure`, also sum the squares and sizes of the row's weights. A row may
 * have a column twice, so sparse weights are updated one by one. */
FGD_INLINE void add_row(fgd_row row, T *w, T factor, const int sparse, const int measure,
                        T *squares, T *sizes) {
    V square[NV], size[NV];
    EACH (v, NV) square[v] = size[v] = (V){0};
    const V f = vset1(factor);
    for (size_t k = 0; k < row.n; k += LANES) {
        V now[NV];
        if (!sparse) {
            load_lanes(row.x + k, row.n - k, now);
            EACH (v, NV) {
                now[v] = vfma(now[v], f, vload(w + k + v * VL));
                vstore(w + k + v * VL, now[v]);
            }
        } else {
            const int count = (int)smaller(LANES, row.n - k);
            T moved[LANES];
            if (count == LANES) {
                EACH (l, LANES) {
                    T *at = w + row.columns[k + (size_t)l];
                    *at = moved[l] = fma_one(row.x[k + (size_t)l], factor, *at);
                }
            } else {
                EACH (l, LANES) moved[l] = 0;
                for (int l = 0; l < count; l++) {
                    T *at = w + row.columns[k + (size_t)l];
                    *at = moved[l] = fma_one(row.x[k + (size_t)l], factor, *at);
                }
            }
            if (measure)
                EACH (v, NV) now[v] = vload(moved + v * VL);
        }
        if (measure)
            EACH (v, NV) {
                square[v] = vfma(now[v], now[v], square[v]);
                size[v] += vabs(now[v]);
            }
    }
    if (measure) {
        *squares = vsum(square);
        *sizes = vsum(size);
    }
}

/* Apply the outstanding L1 penalty to a logical vector of weights; none crosses zero. */
FGD_INLINE V apply_l1(V before, V *l1_applied, V l1_total, V scale, V per_scale) {
    const V zero = {0};
    const V down = vmax(zero, vfma(-(l1_total + *l1_applied), per_scale, before));
    const V up = vmin(zero, vfma(l1_total - *l1_applied, per_scale, before));
    const V after = vselect((VI)(before > zero), down, vselect((VI)(before < zero), up, before));
    *l1_applied = vfma(scale, after - before, *l1_applied);
    return after;
}

/* Apply the outstanding L1 penalty to the weights of a row. A column that the row has twice is
 * computed twice, with the same result. */
FGD_INLINE void apply_l1_to_row(fgd_row row, const fgd_linear *model, const int sparse) {
    T *w = model->weights, *l1_applied = model->l1_applied;
    const V l1_total = vset1((T)model->l1_total), scale = vset1((T)model->scale);
    const V per_scale = vset1((T)(1 / model->scale));
    for (size_t k = 0; k < row.n; k += LANES) {
        if (!sparse) {
            EACH (v, NV) {
                V p = vload(l1_applied + k + v * VL);
                const V now = apply_l1(vload(w + k + v * VL), &p, l1_total, scale, per_scale);
                vstore(w + k + v * VL, now);
                vstore(l1_applied + k + v * VL, p);
            }
            continue;
        }
        int32_t at[LANES];
        V now[NV], p[NV];
        T w_now[LANES], p_now[LANES];
        columns_of(row, k, at);
        gather(w, at, now);
        gather(l1_applied, at, p);
        EACH (v, NV) {
            vstore(w_now + v * VL, apply_l1(now[v], &p[v], l1_total, scale, per_scale));
            vstore(p_now + v * VL, p[v]);
        }
        EACH (l, LANES) {
            w[at[l]] = w_now[l];
            l1_applied[at[l]] = p_now[l];
        }
    }
}

/* Multiply the weights by the scale, and set it to 1; the average does not change. */
static void settle(fgd_linear *model) {
    T *w = model->weights;
    if (model->scale == 1) return;
    if (model->scale != 0) model->average_a /= model->scale;
    for (size_t k = 0; k < model->n_weights; k += LANES)
        EACH (v, NV) vstore(w + k + v * VL, vload(w + k + v * VL) * vset1((T)model->scale));
    model->scale = 1;
}

/* Compute the average in place, and set average_a to 0 and average_b to 1. */
static void settle_average(fgd_linear *model) {
    const V a = vset1((T)model->average_a), b = vset1((T)(1 / model->average_b));
    const T *w = model->weights;
    T *average = model->average;
    for (size_t k = 0; k < model->n_weights; k += LANES)
        EACH (v, NV) {
            T *at = average + k + v * VL;
            vstore(at, vfma(a, vload(w + k + v * VL), vload(at)) * b);
        }
    model->average_a = 0;
    model->average_b = 1;
}

/* log(1 + exp(p)) - y p and its slope, computed from e = exp(-|p|) as in loss.inc.c, without
 * cancellation. */
FGD_INLINE double log_loss(double y, double p, double *slope) {
    const double size = p < 0 ? -p : p, share = p > 0 ? 1 - y : y;
    const V one = vset1(1), e = vexp(vset1((T)-size));
    const double excess = (double)(e / (one + e))[0] - share;
    *slope = p > 0 ? -excess : excess;
    return (double)log1p_parts(e)[0] + (share == 0 ? 0 : share * size);
}

/* The loss at the raw output p, and its slope there: margin_losses.inc.c has the formulas. y is -1
 * or 1 for the margin losses, 0 to 1 for log_loss. */
FGD_INLINE double margin_loss(int loss, double y, double p, double parameter, double *slope) {
    const double z = y * p, r = p - y, size = r < 0 ? -r : r, sign = r < 0 ? -1 : 1;
    const double excess = size - parameter, short_of = parameter - z;
    switch (loss) {
#define FGD_MARGIN_LOSS(name, of_slope, of_value) \
    case FGD_MARGIN_##name: *slope = of_slope; return of_value;
#include "margin_losses.inc.c"
#undef FGD_MARGIN_LOSS
    default: *slope = 0; return 0;
    }
}

/* The step size along a row: minus the rate times the slope, or that of a passive-aggressive step
 * (Crammer et al. 2006, PA-I and PA-II). Sets *skips if the row makes no step at all. */
FGD_INLINE double step_along(const fgd_linear *model, fgd_row row, double y, double p, double rate,
                             double slope, double value, int *skips) {
    if (model->rule == FGD_GIVEN_RATE) {
        slope = slope < -GREATEST_SLOPE ? -GREATEST_SLOPE : slope;
        return -rate * (slope > GREATEST_SLOPE ? GREATEST_SLOPE : slope);
    }
    const double square = row_square(row.x, row.n);
    double step;
    if (model->rule == FGD_PASSIVE_AGGRESSIVE_1) {
        *skips = square == 0;
        if (*skips) return 0;
        step = value / square < rate ? value / square : rate;
    } else {
        step = value / (square + 0.5 / rate);
    }
    return model->loss == FGD_MARGIN_hinge ? step * y : y < p ? -step : step;
}

/* Add a sample's loss to the sum, and return the step size along its row. Dense weights are padded
 * with zeros to whole logical vectors. */
FGD_INLINE double measure_sample(fgd_linear *model, fgd_row row, size_t sample, double rate,
                                 const int squares, fgd_sums *sums, int *skips, const int sparse) {
    *sums = sparse ? sum_sparse(row, model->weights, squares)
                   : (fgd_sums){dot_row(row.x, row.n, model->weights), 0, 0};
    const double y = (double)((const T *)model->targets)[sample];
    const double p = (double)sums->xw * model->scale + model->intercept;
    double slope;
    const double value = margin_loss(model->loss, y, p, model->parameter, &slope);
    model->loss_sum += value;
    model->penalty_sum += 0.5 * model->l2 * model->squares + model->l1 * model->sizes;
    const double step = step_along(model, row, y, p, rate, slope, value, skips);
    return model->sample_weight ? step * (double)((const T *)model->sample_weight)[sample] : step;
}

/* Apply the L2 penalty of one step; return whether the weights were rewritten. */
FGD_INLINE int shrink(fgd_linear *model, double rate) {
    const double kept = 1 - rate * model->l2, factor = kept > 0 ? kept : 0;
    model->scale *= factor;
    model->squares *= factor * factor;
    model->sizes *= factor;
    if (model->scale >= LEAST_SCALE) return 0;
    if (model->average) settle_average(model);
    settle(model);
    return 1;
}

/* Move the weights by step_size[i] along each row of a batch, or of a part of one. With `sums`, for
 * a single row, the squares of its new weights follow from the old ones without reading them. */
FGD_INLINE void move(fgd_linear *model, const fgd_rows *rows, size_t n, const uint32_t *order,
                     const double *step_size, const fgd_sums *sums, const int sparse) {
    const int measures = !sums && (model->l1 != 0 || model->l2 != 0);
    const int averages = model->average && model->average_a != 0;
    const double scale = model->scale;
    const double per_scale = 1 / scale; /* can be computed before `step_size` is known */
    for (size_t i = 0; i < n; i++) {
        if (step_size[i] == 0) continue;
        const fgd_row row = row_of(rows, order[i], sparse);
        const double factor = step_size[i] * per_scale;
        T squares, sizes;
        model->intercept += step_size[i] * model->intercept_rate;
        if (measures) {
            add_row(row, model->weights, (T)factor, sparse, 1, &squares, &sizes);
            model->squares = (double)squares * scale * scale;
            model->sizes = (double)sizes * scale;
        } else {
            add_row(row, model->weights, (T)factor, sparse, 0, NULL, NULL);
        }
        if (sums) {
            const double grown = 2 * (double)sums->xw + factor * (double)sums->xx;
            const double now = ((double)sums->ww + factor * grown) * scale * scale;
            model->squares = now > 0 ? now : 0;
        }
        if (averages)
            add_row(row, model->average, (T)(-model->average_a * factor), sparse, 0, NULL, NULL);
    }
}

/* Add a step to the average and to the total L1 penalty. */
FGD_INLINE void finish_step(fgd_linear *model, double rate) {
    const double count = model->t - model->average_from + 1, share = 1 / count;
    if (model->average && count >= 1) {
        if (count > 1) model->average_b /= 1 - share;
        model->average_a += share * model->average_b * model->scale;
        model->average_intercept += (model->intercept - model->average_intercept) * share;
    }
    model->l1_total += rate * model->l1;
    model->t += 1;
}

FGD_INLINE void steps_of(const int sparse, size_t n, const uint32_t *order, const double *rate,
                         const fgd_rows *rows, fgd_linear *model, double *step_size) {
    const int knows = sparse && model->l2 != 0 && model->l1 == 0 && model->batch_size == 1;
    fgd_sums sums;
    for (size_t first = 0; first < n; first += model->batch_size, rate++) {
        const size_t count = smaller(model->batch_size, n - first);
        const uint32_t *batch = order + first;
        int skips = 0;
        for (size_t i = 0; i < count; i++) {
            prefetch_sample(rows, model, batch + i, n - first - i, sparse);
            const fgd_row row = row_of(rows, batch[i], sparse);
            step_size[i] =
                knows ? measure_sample(model, row, batch[i], *rate, 1, &sums, &skips, sparse)
                      : measure_sample(model, row, batch[i], *rate, 0, &sums, &skips, sparse) /
                            (double)count;
        }
        if (skips) continue;
        const int rewritten = model->l2 != 0 && shrink(model, *rate);
        move(model, rows, count, batch, step_size, knows && !rewritten ? &sums : NULL, sparse);
        finish_step(model, *rate);
        for (size_t i = 0; model->l1 != 0 && i < count; i++)
            apply_l1_to_row(row_of(rows, batch[i], sparse), model, sparse);
    }
}

static void per_sample(size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
                       fgd_linear *model, void *step_size) {
    if (rows->columns)
        steps_of(1, n, order, rate, rows, model, step_size);
    else
        steps_of(0, n, order, rate, rows, model, step_size);
}

FGD_INLINE void part_of(const int sparse, int phase, size_t n, const uint32_t *order, double rate,
                        const fgd_rows *rows, fgd_linear *model, double *step_size) {
    fgd_sums sums;
    int skips;
    if (phase == FGD_MEASURE)
        for (size_t i = 0; i < n; i++) {
            prefetch_sample(rows, model, order + i, n - i, sparse);
            step_size[i] = measure_sample(model, row_of(rows, order[i], sparse), order[i], rate, 0,
                                          &sums, &skips, sparse) /
                           (double)model->batch_size;
        }
    else if (phase == FGD_MOVE)
        move(model, rows, n, order, step_size, NULL, sparse);
    else if (phase == FGD_APPLY_L1)
        for (size_t i = 0; i < n; i++)
            apply_l1_to_row(row_of(rows, order[i], sparse), model, sparse);
}

static void batch_part(int phase, size_t n, const uint32_t *order, double rate,
                       const fgd_rows *rows, fgd_linear *model, void *step_size) {
    if (phase == FGD_SHRINK) {
        if (model->l2 != 0) shrink(model, rate);
    } else if (phase == FGD_FINISH) {
        finish_step(model, rate);
    } else if (rows->columns) {
        part_of(1, phase, n, order, rate, rows, model, step_size);
    } else {
        part_of(0, phase, n, order, rate, rows, model, step_size);
    }
}

static void margin_losses(int loss, double parameter, size_t n, const double *y, const double *p,
                          double *value, double *slope) {
    for (size_t i = 0; i < n; i++) value[i] = margin_loss(loss, y[i], p[i], parameter, slope + i);
}
