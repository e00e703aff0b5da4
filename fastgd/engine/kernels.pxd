"""The kernel interface of src_c/fastgd.h, as Cython sees it."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef extern from "fastgd.h" nogil:
    enum:
        FGD_AHEAD
        FGD_MAX_COEFFICIENTS
        FGD_MAX_SCALARS

    ctypedef void fgd_activation(size_t n, void *z, void *derivative) noexcept nogil
    ctypedef void fgd_loss(
        size_t n, size_t n_out, size_t ld, void *z, const void *y, const void *weight,
        double scale, double *value,
    ) noexcept nogil
    ctypedef struct fgd_optimizer:
        const char *name
        size_t n_hyperparameters
        size_t n_moments
        size_t n_scalars
        void (*prepare)(
            int64_t step, double learning_rate, const double *hyperparameter, double *scalar,
            double *coefficient,
        ) noexcept nogil
        void (*update)(
            size_t n, void *parameter, const void *gradient, void *moments, size_t stride,
            const double *coefficient,
        ) noexcept nogil
    ctypedef struct fgd_storage:
        const char *name
        size_t itemsize
        size_t affine_size
        void (*decode)(
            size_t n, const void *const *rows, size_t n_in, const void *mean,
            const void *inverse_scale, void *out, size_t stride,
        ) noexcept nogil
    ctypedef void fgd_stochastic(
        size_t n, const void *const *rows, size_t n_in, const void *y, const void *weight,
        void *params, void *bias, const double *rate, double decay, int begun, void *ahead,
        double *value, double *slope,
    ) noexcept nogil
    enum:
        FGD_N_MARGIN_LOSSES
        FGD_MEASURE
        FGD_SHRINK
        FGD_MOVE
        FGD_FINISH
        FGD_APPLY_L1
        FGD_GIVEN_RATE
        FGD_PASSIVE_AGGRESSIVE_1
        FGD_PASSIVE_AGGRESSIVE_2
    ctypedef struct fgd_csr:
        const void *values
        const void *columns
        int wide
        size_t n_stored
        size_t n_in
    ctypedef struct fgd_rows:
        const void *values
        const int32_t *columns
        const int32_t *starts
        size_t n_columns
    ctypedef struct fgd_linear:
        size_t n_weights
        void *weights
        void *average
        void *l1_applied
        const void *targets
        const void *sample_weight
        double scale, intercept
        double average_a, average_b, average_intercept
        double l1_total
        double squares, sizes
        double t
        double loss_sum, penalty_sum
        int loss, rule
        double parameter
        double l1, l2
        double intercept_rate
        double average_from
        size_t batch_size
        size_t n_outputs, ld
        const int32_t *classes
        void *intercepts
        void *average_intercepts
    ctypedef struct fgd_kernels:
        size_t itemsize
        size_t lanes
        size_t panel
        void (*dense)(
            size_t n, const void *const *rows, size_t n_in, size_t n_columns, size_t ld,
            const void *weights, const void *bias, void *out,
        ) noexcept nogil
        void (*dense_scale)(
            size_t n, const void *const *rows, size_t n_in, size_t n_columns, size_t ld,
            const void *weights, void *out,
        ) noexcept nogil
        void (*dense_gradient)(
            size_t n, const void *const *rows, size_t first, size_t last, size_t width,
            const void *delta, size_t ld, void *tile, int add,
        ) noexcept nogil
        void (*column_sum)(
            size_t n, size_t ld, const void *delta, void *sum, int add
        ) noexcept nogil
        void (*transpose)(
            size_t n_rows, size_t n_columns, size_t width, const void *tile, size_t stride,
            void *transposed,
        ) noexcept nogil
        void (*dot)(
            size_t n, const void *const *rows, size_t n_in, const void *weights,
            const void *bias, void *out,
        ) noexcept nogil
        void (*dot_gradient)(
            size_t n, const void *const *rows, size_t n_in, const void *delta, void *gradient,
            void *bias_gradient, int add,
        ) noexcept nogil
        void (*dot_scale)(
            size_t n, size_t n_in, size_t ld, const void *delta, const void *weights, void *out
        ) noexcept nogil
        void (*dots)(
            size_t n, const void *const *rows, size_t first, size_t n_in, size_t n_out,
            const void *weights, size_t stride, void *out, size_t room,
        ) noexcept nogil
        void (*dots_sum)(
            size_t n, size_t n_out, size_t ld, size_t n_segments, const void *sums, size_t room,
            const void *bias, void *out,
        ) noexcept nogil
        void (*dots_gradient)(
            size_t n, const void *const *rows, size_t first, size_t n_in, size_t n_out,
            const void *delta, size_t ld, void *gradient, size_t stride, int add,
        ) noexcept nogil
        void (*csr_dense)(
            size_t n, const void *const *rows, const fgd_csr *csr, size_t ld, const void *weights,
            const void *bias, void *out,
        ) noexcept nogil
        void (*csr_gradient)(
            size_t n, const void *const *rows, const fgd_csr *csr, size_t width, const void *delta,
            size_t ld, void *gradient,
        ) noexcept nogil
        void (*csr_clear)(
            size_t n, const void *const *rows, const fgd_csr *csr, size_t width, void *gradient
        ) noexcept nogil
        void (*csr_update)(
            size_t n, const void *const *rows, const fgd_csr *csr, size_t width,
            const fgd_optimizer *optimizer, const double *coefficient, void *weights,
            void *gradient,
        ) noexcept nogil
        void (*csr_squares)(
            size_t n, const void *const *rows, const fgd_csr *csr, double *square
        ) noexcept nogil
        void (*add)(size_t n, void *sum, const void *other) noexcept nogil
        int (*all_finite)(size_t n, const void *x) noexcept nogil
        void (*row_squares)(
            size_t n, const void *const *rows, size_t width, double *square
        ) noexcept nogil
        void (*single_squares)(
            size_t n, const void *const *rows, size_t width, const void *delta, double factor,
            double *square,
        ) noexcept nogil
        void (*column_norms)(
            size_t n_rows, size_t width, const void *tile, double linear, double square,
            double *sum,
        ) noexcept nogil
        void (*scale)(size_t n, void *x, double factor) noexcept nogil
        void (*add_scaled)(size_t n, void *x, const void *other, double factor) noexcept nogil
        void (*clip)(size_t n, void *x, double limit) noexcept nogil
        void (*soft_threshold)(size_t n, void *x, double amount) noexcept nogil
        void (*outer)(
            size_t n_in, size_t n_out, const void *x, const void *delta, void *out
        ) noexcept nogil
        void (*dropout)(
            size_t n, size_t n_units, size_t ld, uint64_t seed, uint32_t layer, uint64_t place,
            uint32_t threshold, double factor, void *output, void *derivative,
        ) noexcept nogil
        int (*math)(const char *name, size_t n, const void *x, void *out) noexcept nogil
        void (*per_sample)(
            size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
            fgd_linear *model, void *step_size,
        ) noexcept nogil
        void (*softmax_steps)(
            size_t n, const uint32_t *order, const double *rate, const fgd_rows *rows,
            fgd_linear *model, void *step_size,
        ) noexcept nogil
        void (*batch_part)(
            int phase, size_t n, const uint32_t *order, double rate, const fgd_rows *rows,
            fgd_linear *model, void *step_size,
        ) noexcept nogil
        void (*softmax_part)(
            int phase, size_t n, const uint32_t *order, double rate, const fgd_rows *rows,
            fgd_linear *model, void *step_size,
        ) noexcept nogil
        void (*settle)(fgd_linear *model) noexcept nogil
        void (*margin_losses)(
            int loss, double parameter, size_t n, const double *y, const double *p,
            double *value, double *slope,
        ) noexcept nogil
        const char *const *activation_names
        const char *const *loss_names
        const fgd_optimizer *optimizers
        const fgd_storage *storages
        fgd_activation *(*activation)(const char *name) noexcept nogil
        fgd_loss *(*loss)(const char *name) noexcept nogil
        fgd_stochastic *(*stochastic)(const char *loss) noexcept nogil
        const fgd_optimizer *(*optimizer)(const char *name) noexcept nogil
        const fgd_storage *(*storage)(const char *name) noexcept nogil

    const char *const fgd_levels[]
    const char *const fgd_margin_losses[]
    int fgd_supports(const char *level) noexcept nogil
    const fgd_kernels *fgd_table(const char *level, int is_double) noexcept nogil
    double fgd_sum(size_t n, const double *x) noexcept nogil


cdef const fgd_kernels *_table(str level, bint is_double) except NULL
cdef bint _is_double(object dtype) except -1
cdef char *_address(object array) except NULL
cdef char *_place(object array, size_t size, str what) except NULL
cdef char *_room(object array, size_t size, str what) except NULL
