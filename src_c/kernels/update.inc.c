/* Optimizers: how parameters move along a gradient (fastgd/optimizers.py has the formulas).
 *
 * n is a multiple of VL. Coefficients are computed in double and rounded to T once. They use the
 * elementary functions below: libm does not give the same bits on every machine.
 */

/* base^n by squaring. */
static double power(double base, int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, base *= base)
        if (n % 2) result *= base;
    return result;
}

/* exp(x) for x <= 700, 0 below -700: x = n ln 2 + r, and Taylor's series for |r| <= ln 2 / 2. */
static double exponential(double x) {
    if (x < -700) return 0;
    const double shift = 0x1.8p52, n = (x * 0x1.71547652b82fep0 + shift) - shift;
    const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double series = 1, scale;
    for (int k = 14; k > 0; k--) series = 1 + series * r / k;
    const int64_t bits = ((int64_t)n + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return series * scale;
}

/* ln(x) for normal x > 0: x = 2^e m with sqrt(1/2) <= m < sqrt(2), and the series of artanh. */
static double logarithm(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int64_t e = (bits - 0x3fe6a09e667f3bcd) >> 52;
    bits -= e << 52;
    memcpy(&x, &bits, sizeof x);
    const double s = (x - 1) / (x + 1);
    double series = 0;
    for (int k = 23; k > 0; k -= 2) series = 1.0 / k + s * s * series;
    return (double)e * 0x1.62e42fefa39efp-1 + 2 * s * series;
}

/* Hyperparameters of all forms of SGD: weight_decay, momentum. */
static void prepare_sgd(int64_t step, double learning_rate, const double *hyperparameter,
                        double *scalar, double *coefficient) {
    (void)step, (void)scalar;
    coefficient[0] = learning_rate;
    coefficient[1] = hyperparameter[0];
    coefficient[2] = hyperparameter[1];
}

/* numerator / denominator, with 0 / 0 = 0: if epsilon is 0, a parameter whose gradients were all 0
 * does not move; padding is one. */
FGD_INLINE V quotient(V numerator, V denominator) {
    return numerator / vmax(vset1(FGD_F64 ? (T)0x1p-1022 : (T)0x1p-126), denominator);
}

#define EACH_VECTOR for (size_t i = 0; i < n; i += VL)

static void sgd(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                const double *coefficient) {
    (void)moments, (void)stride;
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

static void momentum(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                     const double *coefficient) {
    (void)stride;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V keep = vset1((T)coefficient[2]);
    T *p = parameter, *m = moments;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V velocity = vfma(keep, vload(m + i), vfma(decay, old, vload(g + i)));
        vstore(m + i, velocity);
        vstore(p + i, vfma(rate, velocity, old));
    }
}

static void nesterov(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                     const double *coefficient) {
    (void)stride;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V keep = vset1((T)coefficient[2]);
    T *p = parameter, *m = moments;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V velocity = vfma(keep, vload(m + i), slope);
        vstore(m + i, velocity);
        vstore(p + i, vfma(rate, vfma(keep, velocity, slope), old));
    }
}

/* scikit-learn's momentum: the velocity includes the learning rate, so a new learning rate affects
 * later steps only. */
FGD_INLINE void velocity_form(int looks_ahead, size_t n, T *p, const T *g, T *moments,
                              const double *coefficient) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V keep = vset1((T)coefficient[2]);
    EACH_VECTOR {
        const V old = vload(p + i);
        const V step = rate * vfma(decay, old, vload(g + i));
        const V velocity = vfma(keep, vload(moments + i), step);
        vstore(moments + i, velocity);
        vstore(p + i, old + (looks_ahead ? vfma(keep, velocity, step) : velocity));
    }
}

static void velocity(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                     const double *coefficient) {
    (void)stride;
    velocity_form(0, n, parameter, gradient, moments, coefficient);
}

static void nesterov_velocity(size_t n, void *parameter, const void *gradient, void *moments,
                              size_t stride, const double *coefficient) {
    (void)stride;
    velocity_form(1, n, parameter, gradient, moments, coefficient);
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
                         double *scalar, double *coefficient) {
    (void)scalar;
    prepare_moments(step, learning_rate, hyperparameter, coefficient);
    coefficient[1] = hyperparameter[0];
    coefficient[7] = 1;
}
static void prepare_adamw(int64_t step, double learning_rate, const double *hyperparameter,
                          double *scalar, double *coefficient) {
    (void)scalar;
    prepare_moments(step, learning_rate, hyperparameter, coefficient);
    coefficient[1] = 0;
    coefficient[7] = 1 - learning_rate * hyperparameter[0];
}

/* Adam with both corrections in the step size: epsilon is added to the uncorrected root. */
static void prepare_efficient_adam(int64_t step, double learning_rate, const double *hyperparameter,
                                   double *scalar, double *coefficient) {
    prepare_adam(step, learning_rate, hyperparameter, scalar, coefficient);
    coefficient[0] /= coefficient[5];
    coefficient[5] = 1;
}

/* Coefficients: the step size learning_rate / (1 - beta1^t), the decay added to the
 * gradient, 1 - beta1, beta2, 1 - beta2, 1 / sqrt(1 - beta2^t), epsilon, and the factor that
 * shrinks the parameters (1 for Adam, 1 - learning_rate * weight_decay for AdamW). */
static void adam(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                 const double *coefficient) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V take1 = vset1((T)coefficient[2]), keep2 = vset1((T)coefficient[3]);
    const V take2 = vset1((T)coefficient[4]), correct = vset1((T)coefficient[5]);
    const V epsilon = vset1((T)coefficient[6]), shrink = vset1((T)coefficient[7]);
    T *p = parameter, *first = moments, *second = first + stride;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V m = vfma(take1, slope - vload(first + i), vload(first + i));
        const V v = vfma(take2 * slope, slope, keep2 * vload(second + i));
        vstore(first + i, m);
        vstore(second + i, v);
        const V denominator = vfma(vsqrt(v), correct, epsilon);
        vstore(p + i, vfma(rate, quotient(m, denominator), shrink * old));
    }
}

#define LOG_096 -0x1.4e69ed6d80eb3p-5 /* ln(0.96) */

/* Hyperparameters of Nadam: weight_decay, beta1, beta2, epsilon, momentum_decay. Its scalar is
 * the product of all momenta mu so far. */
static void prepare_nadam_moments(int64_t step, double learning_rate, const double *hyperparameter,
                                  double *scalar, double *coefficient) {
    const double beta1 = hyperparameter[1];
    double mu[2]; /* of this step and of the next: beta1 (1 - 0.96^(t momentum_decay) / 2) */
    for (int k = 0; k < 2; k++) {
        const double exponent = (double)(step + k) * hyperparameter[4] * LOG_096;
        mu[k] = beta1 * (1 - 0.5 * exponential(exponent));
    }
    scalar[0] *= mu[0];
    prepare_moments(step, learning_rate, hyperparameter, coefficient);
    coefficient[0] = learning_rate * mu[1] / (1 - scalar[0] * mu[1]);
    coefficient[8] = learning_rate * (1 - mu[0]) / (1 - scalar[0]);
}
static void prepare_nadam(int64_t step, double learning_rate, const double *hyperparameter,
                          double *scalar, double *coefficient) {
    prepare_nadam_moments(step, learning_rate, hyperparameter, scalar, coefficient);
    coefficient[1] = hyperparameter[0];
    coefficient[7] = 1;
}
static void prepare_nadamw(int64_t step, double learning_rate, const double *hyperparameter,
                           double *scalar, double *coefficient) {
    prepare_nadam_moments(step, learning_rate, hyperparameter, scalar, coefficient);
    coefficient[1] = 0;
    coefficient[7] = 1 - learning_rate * hyperparameter[0];
}

/* Coefficients: as for adam(), where the step size is that along the running average; the last is
 * the step size along the gradient. */
static void nadam(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                  const double *coefficient) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V take1 = vset1((T)coefficient[2]), keep2 = vset1((T)coefficient[3]);
    const V take2 = vset1((T)coefficient[4]), correct = vset1((T)coefficient[5]);
    const V epsilon = vset1((T)coefficient[6]), shrink = vset1((T)coefficient[7]);
    const V direct = vset1((T)-coefficient[8]);
    T *p = parameter, *first = moments, *second = first + stride;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V m = vfma(take1, slope - vload(first + i), vload(first + i));
        const V v = vfma(take2 * slope, slope, keep2 * vload(second + i));
        vstore(first + i, m);
        vstore(second + i, v);
        const V denominator = vfma(vsqrt(v), correct, epsilon);
        vstore(p + i, vfma(shrink, old, quotient(vfma(rate, m, direct * slope), denominator)));
    }
}

/* Hyperparameters of Adagrad: weight_decay, lr_decay, epsilon. */
static void prepare_adagrad(int64_t step, double learning_rate, const double *hyperparameter,
                            double *scalar, double *coefficient) {
    (void)scalar;
    coefficient[0] = learning_rate / (1 + (double)(step - 1) * hyperparameter[1]);
    coefficient[1] = hyperparameter[0];
    coefficient[2] = hyperparameter[2];
}

static void adagrad(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                    const double *coefficient) {
    (void)stride;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V epsilon = vset1((T)coefficient[2]);
    T *p = parameter, *sum = moments;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V v = vfma(slope, slope, vload(sum + i));
        vstore(sum + i, v);
        vstore(p + i, vfma(rate, quotient(slope, vsqrt(v) + epsilon), old));
    }
}

/* Hyperparameters of the four forms of RMSprop: weight_decay, alpha, epsilon, momentum. */
static void prepare_rmsprop(int64_t step, double learning_rate, const double *hyperparameter,
                            double *scalar, double *coefficient) {
    (void)step, (void)scalar;
    coefficient[0] = learning_rate;
    coefficient[1] = hyperparameter[0];
    coefficient[2] = hyperparameter[1];
    coefficient[3] = 1 - hyperparameter[1];
    coefficient[4] = hyperparameter[2];
    coefficient[5] = hyperparameter[3];
}

/* Moments: the average of the squares; if centered, that of the gradients; with momentum, the
 * velocity. A negative variance is a rounding error. */
FGD_INLINE void rmsprop_form(int centered, int has_momentum, size_t n, T *p, const T *g, T *moments,
                             size_t stride, const double *coefficient) {
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V keep = vset1((T)coefficient[2]), take = vset1((T)coefficient[3]);
    const V epsilon = vset1((T)coefficient[4]), mu = vset1((T)coefficient[5]);
    T *mean = moments + stride, *velocity = mean + (centered ? stride : 0);
    EACH_VECTOR {
        const V old = vload(p + i);
        const V slope = vfma(decay, old, vload(g + i));
        V v = vfma(take * slope, slope, keep * vload(moments + i));
        vstore(moments + i, v);
        if (centered) {
            const V m = vfma(take, slope - vload(mean + i), vload(mean + i));
            vstore(mean + i, m);
            v = vmax((V){0}, vfma(-m, m, v));
        }
        V step = quotient(slope, vsqrt(v) + epsilon);
        if (has_momentum) {
            step = vfma(mu, vload(velocity + i), step);
            vstore(velocity + i, step);
        }
        vstore(p + i, vfma(rate, step, old));
    }
}

#define RMSPROP(name, centered, has_momentum)                                         \
    static void name(size_t n, void *parameter, const void *gradient, void *moments,  \
                     size_t stride, const double *coefficient) {                      \
        rmsprop_form(centered, has_momentum, n, parameter, gradient, moments, stride, \
                     coefficient);                                                    \
    }
RMSPROP(rmsprop, 0, 0)
RMSPROP(rmsprop_momentum, 0, 1)
RMSPROP(rmsprop_centered, 1, 0)
RMSPROP(rmsprop_centered_momentum, 1, 1)

/* Hyperparameters of ASGD: weight_decay, lambd, alpha, t0. Its scalar is the step size of the
 * next step, computed from the learning rate of the last one. */
static void prepare_asgd(int64_t step, double learning_rate, const double *hyperparameter,
                         double *scalar, double *coefficient) {
    const double lambd = hyperparameter[1], averaged = (double)(step - 1) - hyperparameter[3];
    const double eta = step == 1 ? learning_rate : scalar[0];
    const double growth = 1 + lambd * learning_rate * (double)step;
    coefficient[0] = eta;
    coefficient[1] = hyperparameter[0];
    coefficient[2] = 1 - lambd * eta;
    coefficient[3] = averaged > 1 ? 1 / averaged : 1;
    scalar[0] = learning_rate * exponential(-hyperparameter[2] * logarithm(growth));
}

static void asgd(size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
                 const double *coefficient) {
    (void)stride;
    const V rate = vset1((T)-coefficient[0]), decay = vset1((T)coefficient[1]);
    const V shrink = vset1((T)coefficient[2]), share = vset1((T)coefficient[3]);
    const int averages = coefficient[3] != 1;
    T *p = parameter, *average = moments;
    const T *g = gradient;
    EACH_VECTOR {
        const V old = vload(p + i), mean = vload(average + i);
        const V slope = vfma(decay, old, vload(g + i));
        const V moved = vfma(rate, slope, shrink * old);
        vstore(p + i, moved);
        vstore(average + i, averages ? vfma(share, moved - mean, mean) : moved);
    }
}

static const fgd_optimizer optimizers[] = {
    {"sgd", 2, 0, 0, prepare_sgd, sgd},
    {"momentum", 2, 1, 0, prepare_sgd, momentum},
    {"nesterov", 2, 1, 0, prepare_sgd, nesterov},
    {"velocity", 2, 1, 0, prepare_sgd, velocity},
    {"nesterov_velocity", 2, 1, 0, prepare_sgd, nesterov_velocity},
    {"adam", 4, 2, 0, prepare_adam, adam},
    {"adamw", 4, 2, 0, prepare_adamw, adam},
    {"efficient_adam", 4, 2, 0, prepare_efficient_adam, adam},
    {"nadam", 5, 2, 1, prepare_nadam, nadam},
    {"nadamw", 5, 2, 1, prepare_nadamw, nadam},
    {"adagrad", 3, 1, 0, prepare_adagrad, adagrad},
    {"rmsprop", 4, 1, 0, prepare_rmsprop, rmsprop},
    {"rmsprop_momentum", 4, 2, 0, prepare_rmsprop, rmsprop_momentum},
    {"rmsprop_centered", 4, 2, 0, prepare_rmsprop, rmsprop_centered},
    {"rmsprop_centered_momentum", 4, 3, 0, prepare_rmsprop, rmsprop_centered_momentum},
    {"asgd", 4, 1, 1, prepare_asgd, asgd},
    {0},
};

static const fgd_optimizer *optimizer_named(const char *name) {
    for (size_t i = 0; optimizers[i].name; i++)
        if (!strcmp(name, optimizers[i].name)) return &optimizers[i];
    return NULL;
}
