/* The instruction levels that exist, whether this CPU can run them, and their tables. */
#include "fastgd.h"

#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define FGD_X86 1
#include <cpuid.h>
#else
#define FGD_X86 0
#endif

#define DECLARE(level) extern const fgd_kernels fgd_##level##_f32, fgd_##level##_f64;
#if FGD_X86
#define FGD_LEVELS(X) X(baseline) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define FGD_LEVELS(X) X(neon)
#else
#define FGD_LEVELS(X) X(baseline)
#endif
FGD_LEVELS(DECLARE)

#define NAME(level) #level,
const char *const fgd_levels[] = {FGD_LEVELS(NAME) NULL};

#define FGD_MARGIN_LOSS(name, slope, value) #name,
const char *const fgd_margin_losses[] = {
#include "kernels/margin_losses.inc.c"
};
#undef FGD_MARGIN_LOSS

#if FGD_X86
/* The register states that the operating system saves (XCR0), 0 without XSAVE. */
static uint64_t saved_states(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

enum { SSE_STATE = 1 << 1, AVX_STATE = 1 << 2, AVX512_STATES = 7 << 5 };

static int has_states(uint64_t states) { return (saved_states() & states) == states; }

static int has_avx2(void) {
    unsigned a, b, c, d;
    if (!has_states(SSE_STATE | AVX_STATE)) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_FMA) || !(c & bit_AVX) || !(c & bit_F16C))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

static int has_avx512(void) {
    const unsigned group = bit_AVX512F | bit_AVX512VL | bit_AVX512DQ | bit_AVX512BW;
    unsigned a, b, c, d;
    if (!has_avx2() || !has_states(SSE_STATE | AVX_STATE | AVX512_STATES)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & group) == group;
}
#endif

int fgd_supports(const char *level) {
#if FGD_X86
    if (!strcmp(level, "avx2")) return has_avx2();
    if (!strcmp(level, "avx512")) return has_avx512();
#endif
    return fgd_table(level, 0) != NULL;
}

#define FIND(name) \
    if (!strcmp(level, #name)) return is_double ? &fgd_##name##_f64 : &fgd_##name##_f32;
const fgd_kernels *fgd_table(const char *level, int is_double) {
    FGD_LEVELS(FIND)
    return NULL;
}
