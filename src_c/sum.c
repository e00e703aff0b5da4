/* Sums in a fixed order: of losses and of squares, in double precision. */

#include <string.h>

#include "fastgd.h"

/* Eight lanes as pairs: every level has registers of 16 bytes. */
typedef double fgd_pair __attribute__((vector_size(16)));
typedef double fgd_pair_anywhere __attribute__((vector_size(16), aligned(8), may_alias));

static inline fgd_pair load_pair(const double *x) { return *(const fgd_pair_anywhere *)x; }

double fgd_sum(size_t n, const double *x) {
    if (n <= 1) return n ? x[0] : 0;
    fgd_pair a = {0}, b = {0}, c = {0}, d = {0};
    double last[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        a += load_pair(x + i);
        b += load_pair(x + i + 2);
        c += load_pair(x + i + 4);
        d += load_pair(x + i + 6);
    }
    if (i < n) {
        memcpy(last, x + i, (n - i) * sizeof *x);
        a += load_pair(last);
        b += load_pair(last + 2);
        c += load_pair(last + 4);
        d += load_pair(last + 6);
    }
    const fgd_pair halves = (a + c) + (b + d);
    return halves[0] + halves[1];
}
