/* Steps of a linear model with several outputs, softmax and cross-entropy. Rows, penalties and
 * averages are as in per_sample.inc.c.
 *
 * Each column has `ld` contiguous weights, ld a multiple of LANES, with zeros after the outputs.
 * Each raw output is one chain over the row's elements in their order.
 */

/* z = scale * (sum over k of x[k] * weights[column k]) + intercepts, for all outputs. */
FGD_INLINE void raw_outputs(const fgd_linear *model, fgd_row row, T *z, const int sparse) {
    const size_t ld = model->ld;
    const T *w = model->weights, *bias = model->intercepts;
    const V scale = vset1((T)model->scale);
    for (size_t j = 0; j < ld; j += LANES) {
        V sum[NV];
        EACH (v, NV) sum[v] = (V){0};
        for (size_t k = 0; k < row.n; k++) {
            const size_t column = sparse ? (size_t)row.columns[k] : k;
            const V x = vset1(row.x[k]);
            EACH (v, NV) sum[v] = vfma(x, vload(w + column * ld + j + v * VL), sum[v]);
        }
        EACH (v, NV) vstore(z + j + v * VL, vfma(sum[v], scale, vload(bias + j + v * VL)));
    }
}

/* The index of the largest element, the first of several. */
FGD_INLINE size_t largest_at(size_t n, const T *z) {
    size_t top = 0;
    for (size_t j = 1; j < n; j++) top = z[j] > z[top] ? j : top;
    return top;
}

/* Replace the first n elements of z by their softmax, except for 0 at `top`, the index of the
 * largest; return the sum of exp(z - largest) over the others. */
FGD_INLINE T softmax_of(size_t n, size_t ld, T *z, size_t top) {
    const T others = softmax_numerators(n, z, z[top], (ptrdiff_t)top);
    for (size_t j = 0; j < ld; j += VL) vstore(z + j, vload(z + j) / vset1(1 + others));
    return others;
}

/* The first half of a step: a sample's loss, and each output's step size along its row. */
FGD_INLINE void measure_softmax(fgd_linear *model, fgd_row row, size_t sample, double rate,
                                T *step_size, const int sparse) {
    const size_t n = model->n_outputs, ld = model->ld;
    const double weight =
        model->sample_weight ? (double)((const T *)model->sample_weight)[sample] : 1;
    raw_outputs(model, row, step_size, sparse);
    const size_t top = largest_at(n, step_size);
    const double most = (double)step_size[top];
    const T *y = model->classes ? NULL : (const T *)model->targets + sample * n;
    /* the sum of the targets y_j; their sum, and that of y_j (most - z_j), without the largest z */
    double share = 1, beside = 0, away = 0;
    if (!y) {
        const size_t label = (size_t)model->classes[sample];
        beside = label != top;
        away = label == top ? 0 : most - (double)step_size[label];
    } else {
        for (size_t j = 0; j < n; j++) {
            if (j == top || y[j] == 0) continue;
            beside += (double)y[j];
            away += (double)y[j] * (most - (double)step_size[j]);
        }
        share = beside + (double)y[top];
    }
    const T others = softmax_of(n, ld, step_size, top);
    model->loss_sum += share * (double)vlog1p(vset1(others))[0] + away;
    model->penalty_sum += 0.5 * model->l2 * model->squares + model->l1 * model->sizes;
    const V factor = vset1((T)(-rate * weight));
    if (y)
        for (size_t j = 0; j < n; j++) step_size[j] = (T)share * step_size[j] - y[j];
    else
        step_size[model->classes[sample]] -= 1;
    /* share / (1 + others) - y at the largest output, without subtracting numbers near 1 */
    step_size[top] = (T)(beside - share * (double)(others / (1 + others)));
    for (size_t j = 0; j < ld; j += VL) vstore(step_size + j, vload(step_size + j) * factor);
}

/* w[column k] += factor * x[k] * step_size; also update the sums of squares and sizes. */
FGD_INLINE void move_softmax(fgd_linear *model, fgd_row row, const T *step_size, T *w,
                             double factor, const int sparse, const int measures) {
    const size_t ld = model->ld;
    const V f = vset1((T)factor);
    V squares[NV], sizes[NV];
    EACH (v, NV) squares[v] = sizes[v] = (V){0};
    for (size_t k = 0; k < row.n; k++) {
        T *at = w + (sparse ? (size_t)row.columns[k] : k) * ld;
        const V x = vset1(row.x[k]) * f;
        for (size_t j = 0; j < ld; j += LANES)
            EACH (v, NV) {
                const V old = vload(at + j + v * VL),
                        now = vfma(x, vload(step_size + j + v * VL), old);
                vstore(at + j + v * VL, now);
                if (!measures) continue;
                squares[v] = vfma(now - old, now + old, squares[v]);
                sizes[v] += vabs(now) - vabs(old);
            }
    }
    if (!measures) return;
    model->squares += (double)vsum(squares) * model->scale * model->scale;
    model->sizes += (double)vsum(sizes) * model->scale;
}

FGD_INLINE void apply_l1_softmax(fgd_linear *model, fgd_row row, const int sparse) {
    const size_t ld = model->ld;
    const V l1_total = vset1((T)model->l1_total), scale = vset1((T)model->scale);
    const V per_scale = vset1((T)(1 / model->scale));
    V squares[NV], sizes[NV];
    EACH (v, NV) squares[v] = sizes[v] = (V){0};
    for (size_t k = 0; k < row.n; k++) {
        const size_t at = (sparse ? (size_t)row.columns[k] : k) * ld;
        T *w = (T *)model->weights + at, *l1_applied = (T *)model->l1_applied + at;
        for (size_t j = 0; j < ld; j += LANES)
            EACH (v, NV) {
                V p = vload(l1_applied + j + v * VL);
                const V old = vload(w + j + v * VL),
                        now = apply_l1(old, &p, l1_total, scale, per_scale);
                vstore(w + j + v * VL, now);
                vstore(l1_applied + j + v * VL, p);
                squares[v] = vfma(now - old, now + old, squares[v]);
                sizes[v] += vabs(now) - vabs(old);
            }
    }
    model->squares += (double)vsum(squares) * model->scale * model->scale;
    model->sizes += (double)vsum(sizes) * model->scale;
}

/* bias += intercept_rate * (sum of the step sizes of a batch, or of a part of one). */
FGD_INLINE void move_intercepts(fgd_linear *model, size_t n, const T *step_size) {
    T *bias = model->intercepts;
    const V rate = vset1((T)model->intercept_rate);
    for (size_t j = 0; j < model->ld; j += VL) {
        V now = vload(bias + j);
        for (size_t i = 0; i < n; i++) now = vfma(vload(step_size + i * model->ld + j), rate, now);
        vstore(bias + j, now);
    }
}

FGD_INLINE void finish_softmax(fgd_linear *model, double rate) {
    const double count = model->t - model->average_from + 1;
    T *average = model->average_intercepts;
    if (model->average && count >= 1)
        for (size_t j = 0; j < model->ld; j += VL) {
            const V old = vload(average + j), now = vload((T *)model->intercepts + j);
            vstore(average + j, vfma(now - old, vset1((T)(1 / count)), old));
        }
    finish_step(model, rate);
}

FGD_INLINE void softmax_part_of(const int sparse, int phase, size_t n, const uint32_t *order,
                                double rate, const fgd_rows *rows, fgd_linear *model, T *step_size,
                                size_t left) {
    const size_t ld = model->ld;
    const int measures = model->l1 != 0 || model->l2 != 0;
    if (phase == FGD_MOVE) move_intercepts(model, n, step_size);
    for (size_t i = 0; i < n; i++) {
        const fgd_row row = row_of(rows, order[i], sparse);
        if (phase == FGD_MEASURE) {
            prefetch_sample(rows, model, order + i, left - i, sparse);
            measure_softmax(model, row, order[i], rate, step_size + i * ld, sparse);
        } else if (phase == FGD_MOVE) {
            move_softmax(model, row, step_size + i * ld, model->weights, 1 / model->scale, sparse,
                         measures);
            if (model->average && model->average_a != 0)
                move_softmax(model, row, step_size + i * ld, model->average,
                             -model->average_a / model->scale, sparse, 0);
        } else {
            apply_l1_softmax(model, row, sparse);
        }
    }
}

FGD_INLINE void softmax_steps_of(const int sparse, size_t n, const uint32_t *order,
                                 const double *rate, const fgd_rows *rows, fgd_linear *model,
                                 T *step_size) {
    for (size_t first = 0; first < n; first += model->batch_size, rate++) {
        const size_t count = smaller(model->batch_size, n - first);
        const uint32_t *batch = order + first;
        softmax_part_of(sparse, FGD_MEASURE, count, batch, *rate / (double)count, rows, model,
                        step_size, n - first);
        if (model->l2 != 0) shrink(model, *rate);
        softmax_part_of(sparse, FGD_MOVE, count, batch, *rate, rows, model, step_size, 0);
        finish_softmax(model, *rate);
        if (model->l1 != 0)
            softmax_part_of(sparse, FGD_APPLY_L1, count, batch, *rate, rows, model, step_size, 0);
    }
}

static void softmax_steps(size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
                          fgd_linear *model, void *step_size) {
    if (rows->columns)
        softmax_steps_of(1, n, order, rate, rows, model, step_size);
    else
        softmax_steps_of(0, n, order, rate, rows, model, step_size);
}

static void softmax_part(int phase, size_t n, const uint32_t *order, double rate,
                         const fgd_rows *rows, fgd_linear *model, void *step_size) {
    if (phase == FGD_MEASURE) rate /= (double)model->batch_size;
    if (phase == FGD_SHRINK) {
        if (model->l2 != 0) shrink(model, rate);
    } else if (phase == FGD_FINISH) {
        finish_softmax(model, rate);
    } else if (rows->columns) {
        softmax_part_of(1, phase, n, order, rate, rows, model, step_size, n);
    } else {
        softmax_part_of(0, phase, n, order, rate, rows, model, step_size, n);
    }
}
