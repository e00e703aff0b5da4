/* Optimizers: how parameters move along a gradient (fastgd/optimizers.py has the formulas).
 *
 * n is a multiple of VL. Coefficients are computed in double and rounded to T once.
 */

/* base^n by squaring: the same bits on every machine, which libm's pow() does not promise. */
static double power(double base, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, base *= base)
        if (n % 2) result *= base;
    return result;
}

/* Hyperparameters of the three forms of SGD: weight_decay, momentum. */
static void prepare_sgd(int64_t step, double learning_rate, const double *hyperparameter,
                        double *coefficient) {
    (void)step;
    coefficient[0] = learning_rate;
    coefficient[1] = hyperparameter[0];
    coefficient[2] = hyperparameter[1];
}

#define EACH_VECTOR for (size_t i = 0; i < n; i += VL)

static void sgd(size_t n, void *parameter, const void *gradient, void *moment1, void *moment2,
                const double *coefficient) {
    (void)moment1, (void)moment2;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    T *p = parameter;
    const T *g = gradient;
    if (coefficient[1] == 0) {
        EACH_VECTOR
            vstore(p + i, vfma(rate, vload(g + i), vload(p + i)));
        return;
    }
    EACH_VECTOR {
        const V old = vload(p + i);
        vstore(p + i, vfma(rate, vfma(decay, old, vload(g + i)), old));
    }
}

static void momentum(size_t n, void *parameter, const void *gradient, void *moment1, void *moment2,
                     const double *coefficient) {
    (void)moment2;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V keep = vset1((T)coefficient[2]);
    T *p = parameter, *m = moment1;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V velocity = vfma(keep, vload(m + i), vfma(decay, old, vload(g + i)));
        vstore(m + i, velocity);
        vstore(p + i, vfma(rate, velocity, old));
    }
}

static void nesterov(size_t n, void *parameter, const void *gradient, void *moment1, void *moment2,
                     const double *coefficient) {
    (void)moment2;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V keep = vset1((T)coefficient[2]);
    T *p = parameter, *m = moment1;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V velocity = vfma(keep, vload(m + i), slope);
        vstore(m + i, velocity);
        vstore(p + i, vfma(rate, vfma(keep, velocity, slope), old));
    }
}

/* Hyperparameters of Adam and AdamW: weight_decay, beta1, beta2, epsilon. */
static void prepare_moments(int64_t step, double learning_rate, const double *hyperparameter,
                            double *coefficient) {
    const double beta1 = hyperparameter[1], beta2 = hyperparameter[2];
    coefficient[0] = learning_rate / (1 - power(beta1, step));
    coefficient[2] = 1 - beta1;
    coefficient[3] = beta2;
    coefficient[4] = 1 - beta2;
    coefficient[5] = 1 / __builtin_sqrt(1 - power(beta2, step));
    coefficient[6] = hyperparameter[3];
}
static void prepare_adam(int64_t step, double learning_rate, const double *hyperparameter,
                         double *coefficient) {
    prepare_moments(step, learning_rate, hyperparameter, coefficient);
    coefficient[1] = hyperparameter[0];
    coefficient[7] = 1;
}
static void prepare_adamw(int64_t step, double learning_rate, const double *hyperparameter,
                          double *coefficient) {
    prepare_moments(step, learning_rate, hyperparameter, coefficient);
    coefficient[1] = 0;
    coefficient[7] = 1 - learning_rate * hyperparameter[0];
}

/* Coefficients: the step size learning_rate / (1 - beta1^t), the decay added to the
 * gradient, 1 - beta1, beta2, 1 - beta2, 1 / sqrt(1 - beta2^t), epsilon, and the factor that
 * shrinks the parameters (1 for Adam, 1 - learning_rate * weight_decay for AdamW). */
static void adam(size_t n, void *parameter, const void *gradient, void *moment1, void *moment2,
                 const double *coefficient) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V take1 = vset1((T)coefficient[2]), keep2 = vset1((T)coefficient[3]);
    const V take2 = vset1((T)coefficient[4]), correct = vset1((T)coefficient[5]);
    const V epsilon = vset1((T)coefficient[6]), shrink = vset1((T)coefficient[7]);
    T *p = parameter, *first = moment1, *second = moment2;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V m = vfma(take1, slope - vload(first + i), vload(first + i));
        const V v = vfma(take2 * slope, slope, keep2 * vload(second + i));
        vstore(first + i, m);
        vstore(second + i, v);
        const V denominator = vfma(vsqrt(v), correct, epsilon);
        vstore(p + i, vfma(rate, m / denominator, shrink * old));
    }
}

static const fgd_optimizer optimizers[] = {
    {"sgd", prepare_sgd, sgd},           {"momentum", prepare_sgd, momentum},
    {"nesterov", prepare_sgd, nesterov}, {"adam", prepare_adam, adam},
    {"adamw", prepare_adamw, adam},
};

static const fgd_optimizer *optimizer_named(const char *name) {
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++)
        if (!strcmp(name, optimizers[i].name)) return &optimizers[i];
    return NULL;
}
