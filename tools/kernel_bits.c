/* Prints a hash of the results of every kernel of one level for fixed inputs. tools/emulate.py
 * compares levels and machines. */
#include "fastgd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, WIDTH = 70, OUT = 37, BYTES = 1 << 16 };

static uint64_t state = 1;
static double uniform(void) { /* Knuth's MMIX: good enough for inputs */
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0 * 2 - 1;
}

static void *fresh(size_t itemsize, size_t n, double size) {
    char *block = aligned_alloc(64, BYTES);
    memset(block, 0, BYTES);
    for (size_t i = 0; i < n; i++) {
        const double x = uniform() * size;
        if (itemsize == 8)
            ((double *)block)[i] = x;
        else
            ((float *)block)[i] = (float)x;
    }
    return block;
}

static void print(const char *name, const void *data, size_t bytes) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    printf("%s %016llx\n", name, (unsigned long long)hash);
}

/* Losses, of which a NaN's sign and payload may differ: steps that diverge end in inf - inf. */
static void print_losses(double *value, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isnan(value[i])) value[i] = 0;
    print("  values", value, n * sizeof *value);
}

static size_t padded(const fgd_kernels *k, size_t n) {
    return (n + k->lanes - 1) / k->lanes * k->lanes;
}

/* Element (row, column) of a packed matrix of n_rows rows. */
static size_t place(const fgd_kernels *k, size_t n_rows, size_t n_columns, size_t row,
                    size_t column) {
    const size_t first = column / k->panel * k->panel, ld = padded(k, n_columns);
    const size_t width = ld - first < k->panel ? ld - first : k->panel;
    return first * n_rows + row * width + column - first;
}

static void *pack(const fgd_kernels *k, const char *plain, size_t n_rows, size_t n_columns) {
    char *packed = fresh(k->itemsize, 0, 0);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_columns; c++)
            memcpy(packed + place(k, n_rows, n_columns, r, c) * k->itemsize,
                   plain + (r * n_columns + c) * k->itemsize, k->itemsize);
    return packed;
}

static void print_matrix(const fgd_kernels *k, const char *name, const char *matrix, size_t n,
                         size_t columns, size_t ld) {
    char *plain = fresh(k->itemsize, 0, 0);
    for (size_t i = 0; i < n; i++)
        memcpy(plain + i * columns * k->itemsize, matrix + i * ld * k->itemsize,
               columns * k->itemsize);
    print(name, plain, n * columns * k->itemsize);
}

static void layers(const fgd_kernels *k) {
    const size_t size = k->itemsize, ld = padded(k, OUT);
    char *x = fresh(size, ROWS * WIDTH, 1), *w = fresh(size, WIDTH * OUT, 0.3);
    char *bias = fresh(size, OUT, 1), *out = fresh(size, 0, 0), *tile = fresh(size, 0, 0);
    const void *rows[ROWS + FGD_AHEAD];
    for (size_t i = 0; i < ROWS + FGD_AHEAD; i++) rows[i] = x + (i % ROWS) * WIDTH * size;
    k->dense(ROWS, rows, WIDTH, ld, ld, pack(k, w, WIDTH, OUT), bias, out);
    print_matrix(k, "dense", out, ROWS, OUT, ld);
    k->dense_scale(ROWS, rows, WIDTH, ld, ld, pack(k, w, WIDTH, OUT), out);
    print_matrix(k, "dense_scale", out, ROWS, OUT, ld);
    const size_t width = ld < k->panel ? ld : k->panel, columns = OUT < 4 ? OUT : 4;
    k->dense_gradient(ROWS, rows, 0, WIDTH, width, out, ld, tile, 0);
    print_matrix(k, "dense_gradient", tile, WIDTH, columns, width);
    k->column_sum(ROWS, ld, out, tile, 0);
    print("column_sum", tile, OUT * size);

    char *weights = fresh(size, WIDTH, 1), *z = fresh(size, 0, 0), *gradient = fresh(size, 0, 0);
    k->dot(ROWS, rows, WIDTH, weights, bias, z);
    print("dot", z, ROWS * size);
    k->dot_gradient(ROWS, rows, WIDTH, z, gradient, gradient + 256 * size, 0);
    print("dot_gradient", gradient, WIDTH * size);
    print("bias_gradient", gradient + 256 * size, size);

    enum { WHOLE = 48, BEHIND = 16 }; /* rows of whole lines that begin 16 bytes into a line */
    char *skewed = fresh(size, 0, 0) + BEHIND;
    memcpy(skewed, weights, WHOLE * size);
    for (size_t i = 0; i < ROWS + FGD_AHEAD; i++) rows[i] = x + BEHIND + (i % ROWS) * WHOLE * size;
    k->dot(ROWS, rows, WHOLE, skewed, bias, z);
    print("dot, rows behind a line's start", z, ROWS * size);
    k->dot_gradient(ROWS, rows, WHOLE, z, skewed, gradient, 0);
    print("dot_gradient, rows behind a line's start", skewed, WHOLE * size);
    for (size_t i = 0; i < ROWS + FGD_AHEAD; i++) rows[i] = x + (i % ROWS) * WIDTH * size;

    enum { FIRST = 3, FEW = 5, STRIDE = 80, ROOM = 64 };
    char *several = fresh(size, 0, 0), *sums = fresh(size, 0, 0);
    for (size_t j = 0; j < FEW; j++)
        memcpy(several + j * STRIDE * size, w + j * WIDTH * size, (WIDTH - FIRST) * size);
    k->dots(ROWS, rows, FIRST, WIDTH - FIRST, FEW, several, STRIDE, sums, ROOM);
    print("dots", sums, FEW * ROOM * size);
    k->dots_sum(ROWS, FEW, padded(k, FEW), 1, sums, ROOM, bias, out);
    print_matrix(k, "dots_sum", out, ROWS, FEW, padded(k, FEW));
    k->dots_gradient(ROWS, rows, FIRST, WIDTH - FIRST, FEW, out, padded(k, FEW), several, STRIDE,
                     1);
    print("dots_gradient", several, FEW * STRIDE * size);
}

/* The same numbers at the same places, whatever the padding. */
static void loss_of_classes(const fgd_kernels *k, const char *name, const void *targets) {
    const size_t size = k->itemsize, ld = padded(k, OUT);
    double value[ROWS];
    char *plain = fresh(size, ROWS * OUT, 5), *z = fresh(size, 0, 0);
    for (size_t i = 0; i < ROWS; i++) memcpy(z + i * ld * size, plain + i * OUT * size, OUT * size);
    k->loss(name)(ROWS, OUT, ld, z, targets, NULL, 0.125, value);
    print_matrix(k, name, z, ROWS, OUT, ld);
    print("  values", value, sizeof value);
}

static void losses(const fgd_kernels *k) {
    const size_t size = k->itemsize;
    double value[ROWS];
    int32_t labels[ROWS];
    for (int i = 0; i < ROWS; i++) labels[i] = i % OUT;
    for (size_t i = 0; k->loss_names[i]; i++) {
        const char *name = k->loss_names[i];
        if (strstr(name, "_matrix")) {
            loss_of_classes(k, name, fresh(size, ROWS * OUT, 1));
        } else if (!k->stochastic(name)) {
            loss_of_classes(k, name, labels);
        } else {
            char *z = fresh(size, ROWS, 3), *y = fresh(size, ROWS * OUT, 1);
            k->loss(name)(ROWS, 1, 1, z, y, NULL, 0.125, value);
            print(name, z, ROWS * size);
            print("  values", value, sizeof value);
        }
    }
}

static void elementwise(const fgd_kernels *k) {
    static const double hyperparameters[8] = {0.01, 0.9, 0.99, 1e-2, 0.1};
    enum { N = 1024 };
    for (size_t i = 0; k->activation_names[i]; i++) {
        char *z = fresh(k->itemsize, N, 8), *slope = fresh(k->itemsize, 0, 0);
        k->activation(k->activation_names[i])(N, z, slope);
        print(k->activation_names[i], z, N * k->itemsize);
        print("  slope", slope, N * k->itemsize);
    }
    for (const fgd_optimizer *optimizer = k->optimizers; optimizer->name; optimizer++) {
        double coefficient[FGD_MAX_COEFFICIENTS];
        double scalar[FGD_MAX_SCALARS] = {1};
        char *p = fresh(k->itemsize, N, 1), *moments = fresh(k->itemsize, 0, 0);
        for (int step = 1; step < 5; step++) {
            optimizer->prepare(step, 0.1, hyperparameters, scalar, coefficient);
            optimizer->update(N, p, fresh(k->itemsize, N, 1), moments, N, coefficient);
        }
        print(optimizer->name, p, N * k->itemsize);
    }
}

/* Steps of one sample, in two calls: from rows of one logical vector to rows too wide to compute
 * ahead. */
static void stochastic(const fgd_kernels *k) {
    static const size_t widths[] = {7, 30, 45, 60, 200, 300};
    enum { N = 20, WIDEST = 300 };
    const size_t size = k->itemsize;
    char *x = fresh(size, N * WIDEST, 1), *y = fresh(size, N, 1);
    double rate[N], value[N], slope[N], ahead;
    for (int i = 0; i < N; i++) rate[i] = 0.01 / (i + 1);
    for (size_t l = 0; k->loss_names[l]; l++) {
        fgd_stochastic *run = k->stochastic(k->loss_names[l]);
        for (size_t w = 0; run && w < 2 * sizeof widths / sizeof *widths; w++) {
            const size_t width = widths[w / 2];
            char *params = fresh(size, width, 1), *bias = fresh(size, 1, 1);
            const void *rows[N + FGD_AHEAD];
            for (size_t i = 0; i < N + FGD_AHEAD; i++) rows[i] = x + (i % N) * WIDEST * size;
            for (size_t first = 0, n; first < N; first += n) {
                n = first ? N - first : 13;
                run(n, rows + first, width, y + first * size, NULL, params, bias, rate + first,
                    w % 2 ? 0.1 : 0, first > 0, &ahead, value + first, slope + first);
            }
            printf("%s, ", k->loss_names[l]);
            print("stochastic", params, width * size);
            print_losses(value, N);
        }
    }
}

/* The elementary functions over their ranges; the payload of a logarithm's NaN may differ. */
static void elementary(const fgd_kernels *k) {
    static const double reaches[] = {1, 8, 120, 800};
    const char *const *names = k->math_names;
    enum { N = 1024, REACHES = sizeof reaches / 8 };
    for (int i = 0; names[i / REACHES]; i++) {
        char *x = fresh(k->itemsize, N, reaches[i % REACHES]), *out = fresh(k->itemsize, 0, 0);
        if (k->math(names[i / REACHES], N, x, out) != 0) exit(3);
        for (int j = 0; j < N; j++) {
            char *at = out + j * k->itemsize;
            if (k->itemsize == 8 ? isnan(*(double *)at) : isnan(*(float *)at))
                memset(at, 0, k->itemsize);
        }
        print(names[i / REACHES], out, N * k->itemsize);
    }
}

static void adjustments(const fgd_kernels *k) {
    const size_t size = k->itemsize;
    double square[ROWS], sum[WIDTH];
    char *x = fresh(size, ROWS * WIDTH, 1), *other = fresh(size, 1024, 1);
    char *out = fresh(size, 0, 0), *derivative = fresh(size, 1024, 1);
    const void *rows[ROWS];
    for (size_t i = 0; i < ROWS; i++) rows[i] = x + i * WIDTH * size;
    k->row_squares(ROWS, rows, WIDTH, square);
    print("row_squares", square, sizeof square);
    k->column_norms(ROWS, WIDTH, x, 0.3, 0.5, sum);
    print("column_norms", sum, sizeof sum);
    k->add_scaled(1024, x, other, 0.3);
    k->clip(1024, x, 0.7);
    k->soft_threshold(1024, x, 0.1);
    k->scale(1024, x, 0.7);
    k->add(1024, x, other);
    print("adjustments", x, 1024 * size);
    k->single_squares(ROWS, rows, WIDTH, other, 0.3, square);
    print("single_squares", square, sizeof square);
    k->dot_scale(20, 48, 48, other, x, derivative);
    print("dot_scale", derivative, 20 * 48 * size);
    k->outer(20, OUT, x, other, out);
    print("outer", out, 20 * OUT * size);
    k->dropout(ROWS, 20, 24, 12345678901234567u, 2, 1000, 1u << 30, 4.0 / 3, out, derivative);
    print("dropout", out, ROWS * 24 * size);
}

/* One output or a softmax, over rows with and without their zeros. */
static void linear_steps(const fgd_kernels *k) {
    enum { N = 40, COLUMNS = 37, STORED = 21, LD = 16, CLASSES = 5 };
    const size_t size = k->itemsize;
    int32_t columns[N * STORED], starts[N + 1], labels[N];
    uint32_t order[N];
    double rate[N];
    for (int i = 0; i <= N; i++) starts[i] = i * STORED;
    for (int i = 0; i < N * STORED; i++) columns[i] = (i % STORED * 5 + i / STORED) % COLUMNS;
    for (int i = 0; i < N; i++)
        order[i] = (uint32_t)(i * 7 % N), rate[i] = 0.3 / (i + 1), labels[i] = i % CLASSES;
    char *x = fresh(size, N * COLUMNS, 1), *y = fresh(size, N, 1);
    for (int run = 0; run < 2 * 2 * 2 * (FGD_MARGIN_log_loss + 1); run++) {
        const int sparse = run & 1, softmax = run & 2, lasso = run & 4;
        const fgd_rows rows = {x, sparse ? columns : NULL, starts, COLUMNS};
        const size_t n_weights = softmax ? COLUMNS * LD : 48;
        double step_size[N * LD];
        fgd_linear model = {.n_weights = n_weights,
                            .weights = fresh(size, 0, 0),
                            .average = fresh(size, 0, 0),
                            .l1_applied = fresh(size, 0, 0),
                            .targets = softmax ? (void *)labels : y,
                            .scale = 1,
                            .average_b = 1,
                            .t = 1,
                            .average_from = 3,
                            .loss = run / 8,
                            .parameter = 0.1,
                            .l2 = 0.1,
                            .l1 = lasso ? 0.01 : 0,
                            .intercept_rate = 1,
                            .batch_size = lasso ? 1 : 3,
                            .n_outputs = CLASSES,
                            .ld = softmax ? LD : 0,
                            .classes = labels,
                            .intercepts = fresh(size, 0, 0),
                            .average_intercepts = fresh(size, 0, 0)};
        (softmax ? k->softmax_steps : k->per_sample)(N, order, rate, &rows, &model, step_size);
        k->settle(&model);
        print(softmax ? "softmax" : "per_sample", model.weights, n_weights * size);
        print("  average", model.average, n_weights * size);
        print("  l1_applied", model.l1_applied, n_weights * size);
        print("  sums", &model.loss_sum, 2 * sizeof(double));
    }
}

int main(int argc, char **argv) {
    if (argc != 2 || !fgd_table(argv[1], 0) || !fgd_supports(argv[1])) return 2;
    for (int is_double = 0; is_double < 2; is_double++) {
        printf("%s\n", is_double ? "float64" : "float32");
        state = 1;
        const fgd_kernels *k = fgd_table(argv[1], is_double);
        layers(k);
        losses(k);
        elementwise(k);
        stochastic(k);
        adjustments(k);
        elementary(k);
        linear_steps(k);
    }
    return 0;
}
