/* Every kernel for one level and dtype, and the table of them.
 *
 * Parameters, set by the file in isa/ that includes this one:
 *   FGD_TABLE        the table's name
 *   FGD_F64          0: float, 1: double
 *   FGD_VBYTES       bytes in a native vector
 *   FGD_TILE_ROWS    rows of a register tile, FGD_TILE_VECTORS native vectors wide: as many as fit
 *                    into the level's registers together with their operands
 */
#include "fastgd.h"

#include "vec.h"

#include "math.inc.c"

#include "activation.inc.c"
#include "dense.inc.c"
#include "linear.inc.c"
#include "loss.inc.c"

#include "dots.inc.c"
#include "per_sample.inc.c"
#include "softmax.inc.c"
#include "stochastic.inc.c"
#include "update.inc.c"

#include "adjust.inc.c"
#include "decode.inc.c"
#include "dropout.inc.c"
#include "sparse.inc.c"

static int math(const char *name, size_t n, const void *x, void *out) {
    return fgd_math(name, n, x, out);
}

extern const fgd_kernels FGD_TABLE;
const fgd_kernels FGD_TABLE = {
    .itemsize = sizeof(T),
    .lanes = VL,
    .panel = FGD_TILE_VECTORS * VL,
    .dense = dense,
    .dense_scale = dense_scale,
    .dense_gradient = dense_gradient,
    .column_sum = column_sum,
    .transpose = transpose,
    .dot = dot,
    .dot_gradient = dot_gradient,
    .dot_scale = dot_scale,
    .dots = dots,
    .dots_sum = dots_sum,
    .dots_gradient = dots_gradient,
    .csr_dense = csr_dense,
    .csr_gradient = csr_gradient,
    .csr_clear = csr_clear,
    .csr_update = csr_update,
    .csr_squares = csr_squares,
    .add = add,
    .all_finite = all_finite,
    .row_squares = row_squares,
    .single_squares = single_squares,
    .column_norms = column_norms,
    .scale = scale,
    .add_scaled = add_scaled,
    .clip = clip,
    .soft_threshold = soft_threshold,
    .outer = outer,
    .dropout = dropout,
    .math = math,
    .per_sample = per_sample,
    .softmax_steps = softmax_steps,
    .batch_part = batch_part,
    .softmax_part = softmax_part,
    .settle = settle,
    .margin_losses = margin_losses,
    .math_names = math_names,
    .activation_names = activation_names,
    .loss_names = loss_names,
    .optimizers = optimizers,
    .storages = storages,
    .activation = activation_named,
    .loss = loss_named,
    .stochastic = stochastic_named,
    .optimizer = optimizer_named,
    .storage = storage_named,
};
