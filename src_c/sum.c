/* Sums whose order is fixed: losses, and squares of what is in double precision. */

#include <string.h>

#include "fastgd.h"

typedef double fgd_lanes __attribute__((vector_size(64)));
typedef double fgd_lanes_anywhere __attribute__((vector_size(64), aligned(8), may_alias));

double fgd_sum(size_t n, const double *x) {
    if (n <= 1) return n ? x[0] : 0;
    fgd_lanes sum = {0}, rest = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) sum += *(const fgd_lanes_anywhere *)(x + i);
    if (i < n) {
        memcpy(&rest, x + i, (n - i) * sizeof *x);
        sum += rest;
    }
    const double even = (sum[0] + sum[4]) + (sum[2] + sum[6]);
    return even + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}
