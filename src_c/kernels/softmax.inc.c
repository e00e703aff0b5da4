/* Steps of a linear model with several outputs, their softmax and the cross-entropy: the same rows,
 * penalties and averages as in per_sample.inc.c.
 *
 * The weights of one column are `ld` numbers in a row, ld a multiple of LANES with zeros behind the
 * outputs, so that a step walks whole rows of them; each raw output is one chain over the row's
 * elements in their order.
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

/* z becomes the softmax of its first n elements, zeros behind; returns log(sum(exp(z))). */
FGD_INLINE double softmax_of(size_t n, size_t ld, T *z) {
    T most = z[0];
    for (size_t j = 1; j < n; j++) most = z[j] > most ? z[j] : most;
    for (size_t j = n; j < ld; j++) z[j] = -T_C(1e30);
    V sum[NV];
    EACH (v, NV) sum[v] = (V){0};
    for (size_t j = 0; j < ld; j += LANES)
        EACH (v, NV) {
            const V e = vexp(vload(z + j + v * VL) - vset1(most));
            sum[v] += e;
            vstore(z + j + v * VL, e);
        }
    const T total = vsum(sum);
    for (size_t j = 0; j < ld; j += VL) vstore(z + j, vload(z + j) / vset1(total));
    return (double)most + (double)vlog(vset1(total))[0];
}

/* The first half of a step: a sample's loss, and how far each output goes along its row. */
FGD_INLINE void measure_softmax(fgd_linear *model, fgd_row row, size_t sample, double rate, T *far,
                                const int sparse) {
    const size_t n = model->n_outputs, ld = model->ld;
    const double weight =
        model->sample_weight ? (double)((const T *)model->sample_weight)[sample] : 1;
    raw_outputs(model, row, far, sparse);
    double hit = 0, share = 1;
    if (model->classes) {
        hit = (double)far[model->classes[sample]];
    } else {
        const T *y = (const T *)model->targets + sample * n;
        share = 0;
        for (size_t j = 0; j < n; j++) hit += (double)y[j] * (double)far[j], share += (double)y[j];
    }
    const double log_sum = softmax_of(n, ld, far);
    model->loss_sum += share * log_sum - hit;
    model->penalty_sum += 0.5 * model->l2 * model->squares + model->l1 * model->sizes;
    const T *y = model->classes ? NULL : (const T *)model->targets + sample * n;
    const V factor = vset1((T)(-rate * weight));
    if (y)
        for (size_t j = 0; j < n; j++) far[j] = (T)share * far[j] - y[j];
    else
        far[model->classes[sample]] -= 1;
    for (size_t j = 0; j < ld; j += VL) vstore(far + j, vload(far + j) * factor);
}

/* weights[column k] += x[k] * far / scale, and how much their squares and sizes grew. */
FGD_INLINE void move_softmax(fgd_linear *model, fgd_row row, const T *far, T *w, double factor,
                             const int sparse, const int measures) {
    const size_t ld = model->ld;
    const V f = vset1((T)factor);
    V squares[NV], sizes[NV];
    EACH (v, NV) squares[v] = sizes[v] = (V){0};
    for (size_t k = 0; k < row.n; k++) {
        T *at = w + (sparse ? (size_t)row.columns[k] : k) * ld;
        const V x = vset1(row.x[k]) * f;
        for (size_t j = 0; j < ld; j += LANES)
            EACH (v, NV) {
                const V old = vload(at + j + v * VL), now = vfma(x, vload(far + j + v * VL), old);
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

FGD_INLINE void pay_softmax(fgd_linear *model, fgd_row row, const int sparse) {
    const size_t ld = model->ld;
    const V owed = vset1((T)model->owed), scale = vset1((T)model->scale);
    const V per_scale = vset1((T)(1 / model->scale));
    V squares[NV], sizes[NV];
    EACH (v, NV) squares[v] = sizes[v] = (V){0};
    for (size_t k = 0; k < row.n; k++) {
        const size_t at = (sparse ? (size_t)row.columns[k] : k) * ld;
        T *w = (T *)model->weights + at, *paid = (T *)model->paid + at;
        for (size_t j = 0; j < ld; j += LANES)
            EACH (v, NV) {
                V p = vload(paid + j + v * VL);
                const V old = vload(w + j + v * VL), now = pay(old, &p, owed, scale, per_scale);
                vstore(w + j + v * VL, now);
                vstore(paid + j + v * VL, p);
                squares[v] = vfma(now - old, now + old, squares[v]);
                sizes[v] += vabs(now) - vabs(old);
            }
    }
    model->squares += (double)vsum(squares) * model->scale * model->scale;
    model->sizes += (double)vsum(sizes) * model->scale;
}

/* bias += intercept_rate * (sum of the batch's far), and their average. */
FGD_INLINE void move_intercepts(fgd_linear *model, size_t n, const T *far, double averaged) {
    T *bias = model->intercepts, *average = model->average_intercepts;
    for (size_t j = 0; j < model->ld; j += VL) {
        V sum = {0};
        for (size_t i = 0; i < n; i++) sum += vload(far + i * model->ld + j);
        const V now = vfma(sum, vset1((T)model->intercept_rate), vload(bias + j));
        vstore(bias + j, now);
        if (averaged < 1) continue;
        const V old = vload(average + j);
        vstore(average + j, vfma(now - old, vset1((T)(1 / averaged)), old));
    }
}

FGD_INLINE void softmax_steps_of(const int sparse, size_t n, const uint32_t *order,
                                 const double *rate, const fgd_rows *rows, fgd_linear *model,
                                 T *far) {
    const size_t ld = model->ld;
    const int measures = model->l1 != 0 || model->l2 != 0;
    for (size_t first = 0; first < n; first += model->batch_size, rate++) {
        const size_t count = smaller(model->batch_size, n - first);
        const uint32_t *batch = order + first;
        for (size_t i = 0; i < count; i++) {
            prefetch_sample(rows, model, batch + i, n - first - i, sparse);
            measure_softmax(model, row_of(rows, batch[i], sparse), batch[i], *rate / (double)count,
                            far + i * ld, sparse);
        }
        if (model->l2 != 0) shrink(model, *rate);
        const double averaged = model->average ? model->t - model->average_from + 1 : 0;
        for (size_t i = 0; i < count; i++) {
            const fgd_row row = row_of(rows, batch[i], sparse);
            move_softmax(model, row, far + i * ld, model->weights, 1 / model->scale, sparse,
                         measures);
            if (averaged > 1)
                move_softmax(model, row, far + i * ld, model->average,
                             -model->average_a / model->scale, sparse, 0);
        }
        move_intercepts(model, count, far, averaged);
        if (averaged >= 1) average_in(model, averaged);
        if (model->l1 != 0) {
            model->owed += *rate * model->l1;
            for (size_t i = 0; i < count; i++)
                pay_softmax(model, row_of(rows, batch[i], sparse), sparse);
        }
        model->t += 1;
    }
}

static void softmax_steps(size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
                          fgd_linear *model, void *far) {
    if (rows->columns)
        softmax_steps_of(1, n, order, rate, rows, model, far);
    else
        softmax_steps_of(0, n, order, rate, rows, model, far);
}
