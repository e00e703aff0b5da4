/* The whole kernel interface: single-threaded arithmetic on plain memory.
 *
 * A kernel never allocates, prints, keeps state or starts a thread. One table of kernels
 * exists for each instruction level and dtype; `void *` stands for arrays of the table's
 * dtype T (float or double).
 *
 * Layouts
 *   A batch is a list of row pointers, so that samples are not copied. Every list has FGD_AHEAD
 *   valid entries after its last row: kernels prefetch them.
 *   A dense layer's weights, n_in x n_out, are packed in panels of `panel` columns, each
 *   panel n_in rows of contiguous columns; the last panel is narrower, padded with zeros
 *   to a multiple of `lanes`. A tile (some rows of one panel) is therefore contiguous.
 *   A layer with one output is a plain vector, padded with zeros to 64 bytes. If its address is not
 *   a multiple of 64, all rows have the same offset from one, and a width that is a multiple of 64
 *   bytes; the bytes before the vector are zeros. The same holds for the vector's gradient.
 *   A first layer with few outputs and many inputs has its inputs divided into segments; a segment
 *   has a plain vector of weights for each output, padded to 64 bytes.
 *   Matrices of samples (outputs, deltas) are row-major with ld elements per row, ld the
 *   padded number of columns (1 for one output).
 *
 * Bits: each number that a dense kernel writes is one chain of fused multiply-adds in index order.
 * A dot product is summed in 64 bytes of lanes, which are added as a fixed tree; then its segments,
 * if any, are added in order. Neither depends on the level, the tile or how the caller divides the
 * work.
 */
#ifndef FASTGD_H
#define FASTGD_H

#include <stddef.h>
#include <stdint.h>

#define FGD_AHEAD 32
#define FGD_MAX_COEFFICIENTS 10
#define FGD_MAX_SCALARS 2

/* z[n] becomes f(z) and derivative[n] is f'(z); n is a multiple of `lanes`. */
typedef void fgd_activation(size_t n, void *z, void *derivative);

/* z, n samples x n_out raw outputs, becomes scale * weight[i] * d loss_i / d z (zeros in the
 * padding) and value[i] is weight[i] * loss_i. weight may be NULL (ones). y holds n_out
 * targets per sample or, for class indices, one int32_t. */
typedef void fgd_loss(size_t n, size_t n_out, size_t ld, void *z, const void *y, const void *weight,
                      double scale, double *value);

/* prepare() is called once per step: it computes the coefficients of step number `step` (from 1)
 * from the hyperparameters, and updates the scalars, which are kept from step to step. update()
 * moves parameter[n] along gradient[n] with these coefficients. Moment k begins k * stride elements
 * after `moments`. The counts are the lengths of these arrays. */
typedef struct fgd_optimizer {
    const char *name;
    size_t n_hyperparameters, n_moments, n_scalars;
    void (*prepare)(int64_t step, double learning_rate, const double *hyperparameter,
                    double *scalar, double *coefficient);
    void (*update)(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                   const double *coefficient);
} fgd_optimizer;

/* n steps of plain SGD of one sample each, on a model with one output and no hidden layer, with
 * learning rates rate[n] and a weight decay. rows[n] is the sample after the last: its dot product
 * is left in `ahead`, one T, which must hold that of rows[0] if `begun`. slope[n] receives the
 * derivatives of the losses with respect to the raw output. */
typedef void fgd_stochastic(size_t n, const void *const *rows, size_t n_in, const void *y,
                            const void *weight, void *params, void *bias, const double *rate,
                            double decay, int begun, void *ahead, double *value, double *slope);

/* A dtype that samples are stored in. decode() writes n rows of n_in such elements as rows of T,
 * which begin `stride` elements after one another. Without a mean (NULL) an element is converted;
 * with one it becomes (x - mean[k]) * inverse_scale[k], which are of `affine_size` bytes: T or
 * double. */
typedef struct fgd_storage {
    const char *name; /* NumPy's */
    size_t itemsize, affine_size;
    void (*decode)(size_t n, const void *const *rows, size_t n_in, const void *mean,
                   const void *inverse_scale, void *out, size_t stride);
} fgd_storage;

/* A sparse matrix in compressed rows, for a first layer: the stored values of T, and their columns.
 * Columns and the starts of rows, which row pointers point to, are int32_t or int64_t (`wide`). */
typedef struct fgd_csr {
    const void *values, *columns;
    int wide;
    size_t n_stored, n_in;
} fgd_csr;

/* Rows of a matrix: dense and contiguous, or compressed (CSR): row i has the values and the
 * columns from starts[i] to starts[i + 1]. */
typedef struct fgd_rows {
    const void *values;
    const int32_t *columns; /* NULL: dense */
    const int32_t *starts;
    size_t n_columns;
} fgd_rows;

#define FGD_MARGIN_LOSS(name, slope, value) FGD_MARGIN_##name,
enum {
#include "kernels/margin_losses.inc.c"
    FGD_N_MARGIN_LOSSES
};
#undef FGD_MARGIN_LOSS
enum { FGD_MEASURE, FGD_SHRINK, FGD_MOVE, FGD_FINISH, FGD_APPLY_L1 };
enum { FGD_GIVEN_RATE, FGD_PASSIVE_AGGRESSIVE_1, FGD_PASSIVE_AGGRESSIVE_2 };

/* A linear model of one output while per_sample() trains it. Weights, `average` and `l1_applied`
 * are padded with zeros to n_weights elements, a multiple of 64 bytes. */
typedef struct fgd_linear {
    size_t n_weights;
    void *weights;    /* the model's weights divided by `scale` */
    void *average;    /* NULL: not computed */
    void *l1_applied; /* L1 penalty applied to each weight so far; NULL without L1 */
    const void *targets;
    const void *sample_weight; /* NULL: ones */
    double scale, intercept;
    double average_a, average_b, average_intercept;
    double l1_total;       /* L1 penalty of all steps so far */
    double squares, sizes; /* sums over the weights of the last step's rows */
    double t;              /* number of the next step, from 1 */
    double loss_sum, penalty_sum;
    int loss, rule;
    double parameter;      /* the loss's parameter */
    double l1, l2;         /* strengths of the penalties */
    double intercept_rate; /* the intercept's learning rate divided by the weights' */
    double average_from;   /* the first step that the average includes */
    size_t batch_size;
    /* softmax_steps() only: the intercepts, and each column of the weights, of `average` and of
     * `l1_applied`, take ld numbers: n_outputs, then zeros. ld is a multiple of 64 bytes. A target
     * is an index in `classes` or, if that is NULL, n_outputs numbers. */
    size_t n_outputs, ld;
    const int32_t *classes;
    void *intercepts, *average_intercepts;
} fgd_linear;

typedef struct fgd_kernels {
    size_t itemsize; /* of T */
    size_t lanes;    /* elements in a native vector */
    size_t panel;    /* columns of a full panel: a multiple of lanes */

    /* out[i][j] = bias[j] + sum over k of rows[i][k] * weights[k][j], j < n_columns <= ld:
     * all of a layer, or whole panels of it */
    void (*dense)(size_t n, const void *const *rows, size_t n_in, size_t n_columns, size_t ld,
                  const void *weights, const void *bias, void *out);
    /* out[i][j] *= sum over k of rows[i][k] * weights[k][j], j < n_columns as above */
    void (*dense_scale)(size_t n, const void *const *rows, size_t n_in, size_t n_columns, size_t ld,
                        const void *weights, void *out);
    /* tile[k - first][j] = (or +=, if `add`) sum over i of rows[i][k] * delta[i][j], for
     * first <= k < last and the `width` columns of one panel; delta points at the panel's. */
    void (*dense_gradient)(size_t n, const void *const *rows, size_t first, size_t last,
                           size_t width, const void *delta, size_t ld, void *tile, int add);
    /* sum[j] = (or +=) sum over i of delta[i][j] */
    void (*column_sum)(size_t n, size_t ld, const void *delta, void *sum, int add);
    /* transposed[j][k - first] = tile[k - first][j]: a tile of the packed weights into the
     * panel of the packed transpose that holds its rows. `stride` is that panel's width. */
    void (*transpose)(size_t n_rows, size_t n_columns, size_t width, const void *tile,
                      size_t stride, void *transposed);

    /* out[i] = bias + sum over k of rows[i][k] * weights[k] */
    void (*dot)(size_t n, const void *const *rows, size_t n_in, const void *weights,
                const void *bias, void *out);
    /* gradient[k] = (or +=) sum over i of delta[i] * rows[i][k]; the same of delta itself */
    void (*dot_gradient)(size_t n, const void *const *rows, size_t n_in, const void *delta,
                         void *gradient, void *bias_gradient, int add);
    /* out[i][k] *= delta[i] * weights[k] */
    void (*dot_scale)(size_t n, size_t n_in, size_t ld, const void *delta, const void *weights,
                      void *out);
    /* The sums of one segment of the inputs: out[j][i] = sum over k of
     * rows[i][first + k] * weights[j][k], k < n_in. weights have `stride` elements per row, zeros
     * after the weights, a multiple of 64 bytes; out has `room` elements per row. */
    void (*dots)(size_t n, const void *const *rows, size_t first, size_t n_in, size_t n_out,
                 const void *weights, size_t stride, void *out, size_t room);
    /* out[i][j] = bias[j] + sum over s of sums[s][j][i], zeros for n_out <= j < ld */
    void (*dots_sum)(size_t n, size_t n_out, size_t ld, size_t n_segments, const void *sums,
                     size_t room, const void *bias, void *out);
    /* gradient[j][k] = (or +=) sum over i of delta[i][j] * rows[i][first + k], k < n_in */
    void (*dots_gradient)(size_t n, const void *const *rows, size_t first, size_t n_in,
                          size_t n_out, const void *delta, size_t ld, void *gradient, size_t stride,
                          int add);
    /* The same for sparse rows and the weights of one panel after the other: dense(), the part of
     * dense_gradient() that is added to all rows of a panel, and row_squares(). csr_clear() sets to
     * 0 what csr_gradient() adds to, and csr_update() moves the weights that it has reached along
     * their gradient, which it sets to 0 then. */
    void (*csr_dense)(size_t n, const void *const *rows, const fgd_csr *csr, size_t ld,
                      const void *weights, const void *bias, void *out);
    void (*csr_gradient)(size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
                         const void *delta, size_t ld, void *gradient);
    void (*csr_clear)(size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
                      void *gradient);
    void (*csr_update)(size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
                       const fgd_optimizer *optimizer, const double *coefficient, void *weights,
                       void *gradient);
    void (*csr_squares)(size_t n, const void *const *rows, const fgd_csr *csr, double *square);
    /* sum[n] += other[n] */
    void (*add)(size_t n, void *sum, const void *other);
    /* whether every one of x[n] is finite */
    int (*all_finite)(size_t n, const void *x);

    /* square[i] = sum over k of rows[i][k]^2 */
    void (*row_squares)(size_t n, const void *const *rows, size_t width, double *square);
    /* square[i] = factor * delta[i]^2 * (1 + sum over k of rows[i][k]^2) */
    void (*single_squares)(size_t n, const void *const *rows, size_t width, const void *delta,
                           double factor, double *square);
    /* sum[j] = sum over k of linear * |tile[k][j]| + square * tile[k][j]^2 */
    void (*column_norms)(size_t n_rows, size_t width, const void *tile, double linear,
                         double square, double *sum);
    /* x[n] *= factor */
    void (*scale)(size_t n, void *x, double factor);
    /* x[n] += factor * other[n]; n is a multiple of `lanes` */
    void (*add_scaled)(size_t n, void *x, const void *other, double factor);
    /* x[n] to the nearest number from -limit to limit */
    void (*clip)(size_t n, void *x, double limit);
    /* x[n] towards zero by `amount`, and no further */
    void (*soft_threshold)(size_t n, void *x, double amount);
    /* out[k][j] = x[k] * delta[j] */
    void (*outer)(size_t n_in, size_t n_out, const void *x, const void *delta, void *out);
    /* output[i][j] and derivative[i][j] *= 0 where the random number of (seed, layer, place + i,
     * j) is below `threshold`, `factor` elsewhere; j < n_units */
    void (*dropout)(size_t n, size_t n_units, size_t ld, uint64_t seed, uint32_t layer,
                    uint64_t place, uint32_t threshold, double factor, void *output,
                    void *derivative);
    /* out[n] = f(x[n]) by name, one of math_names, for tests; 0, or -1 for an unknown name */
    int (*math)(const char *name, size_t n, const void *x, void *out);

    /* Steps over the n samples in `order`, in batches of model->batch_size, with a learning rate
     * for each step. `step_size` has room for a double for each sample of a batch (softmax_steps:
     * ld elements). Passive-aggressive rules need batches of one. */
    void (*per_sample)(size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
                       fgd_linear *model, void *step_size);
    /* The same for several outputs and the cross-entropy of their softmax. */
    void (*softmax_steps)(size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
                          fgd_linear *model, void *step_size);
    /* The same steps in parts, to check for signals during large batches: each phase in turn over
     * the whole batch of model->batch_size samples. FGD_SHRINK and FGD_FINISH are done once, and
     * FGD_APPLY_L1 only with L1. `step_size` points to the elements of these n samples. */
    void (*batch_part)(int phase, size_t n, const uint32_t *order, double rate,
                       const fgd_rows *rows, fgd_linear *model, void *step_size);
    void (*softmax_part)(int phase, size_t n, const uint32_t *order, double rate,
                         const fgd_rows *rows, fgd_linear *model, void *step_size);
    /* Make model->scale 1. */
    void (*settle)(fgd_linear *model);
    /* value[n] and slope[n] of a loss at the raw outputs p[n], for tests */
    void (*margin_losses)(int loss, double parameter, size_t n, const double *y, const double *p,
                          double *value, double *slope);

    /* Complete lists, with NULL (an optimizer or storage without a name) at the end. A loss that
     * takes class indices has a second kernel, NAME_matrix, for probabilities of each class. */
    const char *const *math_names, *const *activation_names, *const *loss_names;
    const fgd_optimizer *optimizers;
    const fgd_storage *storages;
    /* by name; NULL for an unknown name, and for a loss that has no kernel for single samples */
    fgd_activation *(*activation)(const char *name);
    fgd_loss *(*loss)(const char *name);
    fgd_stochastic *(*stochastic)(const char *loss);
    const fgd_optimizer *(*optimizer)(const char *name);
    const fgd_storage *(*storage)(const char *name);
} fgd_kernels;

/* The levels compiled in, worst first, NULL at the end. */
extern const char *const fgd_levels[];

/* The names of the margin losses, in the order of their enum. */
extern const char *const fgd_margin_losses[FGD_N_MARGIN_LOSSES];
/* Whether this CPU and its operating system can run the level. */
int fgd_supports(const char *level);
/* The kernels of a level, for double or float; NULL for an unknown level. */
const fgd_kernels *fgd_table(const char *level, int is_double);
/* The sum of x[n] on eight lanes, added up as a fixed tree. */
double fgd_sum(size_t n, const double *x);

#endif
