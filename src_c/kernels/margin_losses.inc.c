/* The losses of the SGD estimators, one per line: name, slope, value. They use the target y, the
 * raw output p, the loss's parameter, and the variables that margin_loss() in per_sample.inc.c
 * computes from these. fastgd/losses.py has the definitions under the same names. The enum,
 * Cython's table and the kernel's cases are derived from this list. */
/* clang-format off */
FGD_MARGIN_LOSS(squared_error, r, 0.5 * r * r)
FGD_MARGIN_LOSS(huber, excess <= 0 ? r : sign * parameter,
                excess <= 0 ? 0.5 * r * r : parameter * (size - 0.5 * parameter))
FGD_MARGIN_LOSS(epsilon_insensitive, excess > 0 ? sign : 0, excess > 0 ? excess : 0)
FGD_MARGIN_LOSS(squared_epsilon_insensitive, excess > 0 ? 2 * sign * excess : 0,
                excess > 0 ? excess * excess : 0)
FGD_MARGIN_LOSS(hinge, short_of >= 0 ? -y : 0, short_of > 0 ? short_of : 0)
FGD_MARGIN_LOSS(squared_hinge, short_of > 0 ? -2 * y * short_of : 0,
                short_of > 0 ? short_of * short_of : 0)
FGD_MARGIN_LOSS(modified_huber, z >= 1 ? 0 : z >= -1 ? -2 * y * (1 - z) : -4 * y,
                z >= 1 ? 0 : z >= -1 ? (1 - z) * (1 - z) : -4 * z)
FGD_MARGIN_LOSS(log_loss, 0, log_loss(y, p, slope)) /* which sets the slope too */
/* clang-format on */
