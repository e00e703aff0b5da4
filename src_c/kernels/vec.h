/* Vectors of the level's native width, for the element type T.
 *
 * Parameters, set by the files in isa/ before this header is included:
 *   FGD_F64    0: T is float, 1: T is double
 *   FGD_VBYTES bytes in a native vector: 16, 32 or 64
 * The compiler's flags set the instructions that may be used.
 *
 * A logical vector has LANES elements (64 bytes) on every level. Sums that depend on the number of
 * lanes are defined on logical vectors, so that all levels give the same bits. The file is built
 * with -ffp-contract=off: a multiplication and an addition are fused only in vfma(). The baseline
 * level has no fused instruction and rounds twice there.
 */
#ifndef FGD_VEC_H
#define FGD_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if FGD_F64
typedef double T;
typedef int64_t TI; /* the integer of T's size */
#define T_MANTISSA_BITS 52
#define T_EXPONENT_BIAS 1023
#define T_C(x) x
#else
typedef float T;
typedef int32_t TI;
#define T_MANTISSA_BITS 23
#define T_EXPONENT_BIAS 127
#define T_C(x) x##f
#endif

#define VL ((int)(FGD_VBYTES / sizeof(T))) /* lanes of a native vector */
#define LANES ((int)(64 / sizeof(T)))      /* lanes of a logical vector */
#define NV (64 / FGD_VBYTES)               /* native vectors in a logical one */

typedef T V __attribute__((vector_size(FGD_VBYTES)));
typedef TI VI __attribute__((vector_size(FGD_VBYTES)));
typedef T VU __attribute__((vector_size(FGD_VBYTES), aligned(sizeof(T)), may_alias));

#define FGD_INLINE static inline __attribute__((always_inline, unused))
/* A loop that is fully unrolled, so that the arrays it indexes can live in registers. */
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

FGD_INLINE V vload(const T *p) { return *(const VU *)p; }
FGD_INLINE void vstore(T *p, V v) { *(VU *)p = v; }
FGD_INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
/* Prefetch a row. If it does not begin at a cache line, its last byte may be on one line more. */
FGD_INLINE void prefetch_row(const void *row, size_t bytes) {
    for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch((const char *)row + b);
    __builtin_prefetch((const char *)row + bytes - 1);
}
/* Prefetch a row into the level-2 cache, for loops that are limited by memory: the level-1 cache
 * can wait for only a few misses at a time. */
FGD_INLINE void prefetch_far(const void *row, size_t bytes) {
    for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch((const char *)row + b, 0, 2);
    __builtin_prefetch((const char *)row + bytes - 1, 0, 2);
}
/* x - 0 is x for every x, negative zero included. */
FGD_INLINE V vset1(T x) { return x - (V){0}; }
FGD_INLINE VI viset1(TI x) { return x - (VI){0}; }
/* Lanewise mask ? a : b, where the mask's lanes are all ones or all zeros. */
FGD_INLINE V vselect(VI mask, V a, V b) { return (V)(((VI)a & mask) | ((VI)b & ~mask)); }
FGD_INLINE V vabs(V x) { return (V)((VI)x & ~((VI)vset1(T_C(-0.0)))); }
FGD_INLINE V vcopysign(V magnitude, V sign) {
    const VI bit = (VI)vset1(T_C(-0.0));
    return (V)(((VI)magnitude & ~bit) | ((VI)sign & bit));
}

/* vfma(a, b, c) = a * b + c, rounded once where the level has the instruction.
 * vmax(a, b), vmin(a, b): b if either is NaN, as on x86.
 * vload_part(p, n): the first n < VL elements, then zeros; reads no byte past them.
 * vload_from(p, n): the elements from n on, zeros before; reads no byte before them.
 * vstore_part(p, v, n): writes the first n < VL elements and no byte past them. */
#if FGD_VBYTES == 64
#if FGD_F64
#define FGD_PD(name) _mm512_##name##_pd
#define FGD_MASK(n) ((__mmask8)((1u << (n)) - 1u))
#else
#define FGD_PD(name) _mm512_##name##_ps
#define FGD_MASK(n) ((__mmask16)((1u << (n)) - 1u))
#endif
FGD_INLINE V vfma(V a, V b, V c) { return FGD_PD(fmadd)(a, b, c); }
FGD_INLINE V vsqrt(V x) { return FGD_PD(sqrt)(x); }
FGD_INLINE V vmax(V a, V b) { return FGD_PD(max)(a, b); }
FGD_INLINE V vmin(V a, V b) { return FGD_PD(min)(a, b); }
FGD_INLINE V vload_part(const T *p, int n) { return FGD_PD(maskz_loadu)(FGD_MASK(n), p); }
FGD_INLINE V vload_from(const T *p, int n) {
    return FGD_PD(maskz_loadu)((__typeof__(FGD_MASK(0)))~FGD_MASK(n), p);
}
FGD_INLINE void vstore_part(T *p, V v, int n) { FGD_PD(mask_storeu)(p, FGD_MASK(n), v); }

#elif FGD_VBYTES == 32
#if FGD_F64
#define FGD_PD(name) _mm256_##name##_pd
#else
#define FGD_PD(name) _mm256_##name##_ps
#endif
/* The first n lanes, or all from lane n on. The asm makes the compiler load a mask where it is
 * used: keeping the masks would need too many registers. */
FGD_INLINE __m256i fgd_mask(int n, int from) {
    static const TI lanes[3 * (32 / sizeof(T))] = {[0 ... VL - 1] = -1,
                                                   [2 * VL... 3 * VL - 1] = -1};
    __asm__ volatile("" : "+r"(n));
    return _mm256_loadu_si256((const __m256i *)(lanes + (from ? 2 : 1) * VL - n));
}
FGD_INLINE V vfma(V a, V b, V c) { return FGD_PD(fmadd)(a, b, c); }
FGD_INLINE V vsqrt(V x) { return FGD_PD(sqrt)(x); }
FGD_INLINE V vmax(V a, V b) { return FGD_PD(max)(a, b); }
FGD_INLINE V vmin(V a, V b) { return FGD_PD(min)(a, b); }
FGD_INLINE V vload_part(const T *p, int n) { return FGD_PD(maskload)(p, fgd_mask(n, 0)); }
FGD_INLINE V vload_from(const T *p, int n) { return FGD_PD(maskload)(p, fgd_mask(n, 1)); }
FGD_INLINE void vstore_part(T *p, V v, int n) { FGD_PD(maskstore)(p, fgd_mask(n, 0), v); }

#else /* 16 bytes: NEON, SSE2, or the compiler's own vectors on any other machine */
#if defined(__ARM_NEON) && defined(__aarch64__)
#if FGD_F64
FGD_INLINE V vfma(V a, V b, V c) {
    return (V)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
FGD_INLINE V vsqrt(V x) { return (V)vsqrtq_f64((float64x2_t)x); }
#else
FGD_INLINE V vfma(V a, V b, V c) {
    return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
FGD_INLINE V vsqrt(V x) { return (V)vsqrtq_f32((float32x4_t)x); }
#endif
#else
FGD_INLINE V vfma(V a, V b, V c) { return a * b + c; }
#if defined(__SSE2__) && FGD_F64
FGD_INLINE V vsqrt(V x) { return _mm_sqrt_pd(x); }
#elif defined(__SSE2__)
FGD_INLINE V vsqrt(V x) { return _mm_sqrt_ps(x); }
#else
FGD_INLINE V vsqrt(V x) {
    for (int l = 0; l < VL; l++) x[l] = FGD_F64 ? __builtin_sqrt(x[l]) : __builtin_sqrtf(x[l]);
    return x;
}
#endif
#endif
FGD_INLINE V vmax(V a, V b) { return vselect((VI)(a > b), a, b); }
FGD_INLINE V vmin(V a, V b) { return vselect((VI)(a < b), a, b); }
FGD_INLINE V vload_part(const T *p, int n) {
    T lanes[FGD_VBYTES / sizeof(T)] = {0};
    memcpy(lanes, p, (size_t)n * sizeof(T));
    return vload(lanes);
}
FGD_INLINE V vload_from(const T *p, int n) {
    T lanes[FGD_VBYTES / sizeof(T)] = {0};
    memcpy(lanes + n, p + n, (size_t)(VL - n) * sizeof(T));
    return vload(lanes);
}
FGD_INLINE void vstore_part(T *p, V v, int n) {
    T lanes[FGD_VBYTES / sizeof(T)];
    vstore(lanes, v);
    memcpy(p, lanes, (size_t)n * sizeof(T));
}
#endif

/* The sum of a logical vector's lanes by halves: first lane l with lane l + LANES / 2, and so on.
 * The tree is the same on every level, whatever the native width. */
FGD_INLINE V fold(const V v[NV]) {
#if FGD_VBYTES == 64
    return v[0];
#elif FGD_VBYTES == 32
    return v[0] + v[1];
#else
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

typedef T V16 __attribute__((vector_size(16)));
#if FGD_VBYTES == 64 && FGD_F64
FGD_INLINE V16 fold_to_16(V x) {
    const __m256d half = _mm512_castpd512_pd256(x) + _mm512_extractf64x4_pd(x, 1);
    return _mm256_castpd256_pd128(half) + _mm256_extractf128_pd(half, 1);
}
#elif FGD_VBYTES == 64
FGD_INLINE V16 fold_to_16(V x) {
    const __m256 half = _mm512_castps512_ps256(x) + _mm512_extractf32x8_ps(x, 1);
    return _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
}
#elif FGD_VBYTES == 32 && FGD_F64
FGD_INLINE V16 fold_to_16(V x) { return _mm256_castpd256_pd128(x) + _mm256_extractf128_pd(x, 1); }
#elif FGD_VBYTES == 32
FGD_INLINE V16 fold_to_16(V x) { return _mm256_castps256_ps128(x) + _mm256_extractf128_ps(x, 1); }
#else
FGD_INLINE V16 fold_to_16(V x) { return x; }
#endif

/* The rest of the tree, for a folded vector. */
FGD_INLINE T vsum_folded(V folded) {
    const V16 x = fold_to_16(folded);
#if FGD_F64
    return x[0] + x[1];
#elif defined(__SSE2__)
    const V16 y = x + _mm_movehl_ps(x, x);
    return y[0] + y[1];
#else
    return (x[0] + x[2]) + (x[1] + x[3]);
#endif
}

FGD_INLINE T vsum(const V v[NV]) { return vsum_folded(fold(v)); }

/* Lane numbers of two vectors, the second's from VL on: the lower and the upper halves of their
 * blocks of 16, 8, 4 or 2 lanes. */
#define FGD_LANES (FGD_VBYTES / (FGD_F64 ? 8 : 4)) /* VL for the preprocessor */
#if FGD_LANES == 16
#define LOW8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#elif FGD_LANES == 8
#define LOW4 0, 1, 2, 3, 8, 9, 10, 11
#define HIGH4 4, 5, 6, 7, 12, 13, 14, 15
#define LOW2 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH2 2, 3, 10, 11, 6, 7, 14, 15
#define LOW1 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH1 1, 9, 3, 11, 5, 13, 7, 15
#elif FGD_LANES == 4
#define LOW2 0, 1, 4, 5
#define HIGH2 2, 3, 6, 7
#define LOW1 0, 4, 2, 6
#define HIGH1 1, 5, 3, 7
#else
#define LOW1 0, 2
#define HIGH1 1, 3
#endif

/* The sums of VL folded vectors at once: each level of the tree turns two vectors into one. Sum l
 * is that of the vector at vsum_place(l); this order avoids moves between blocks of 16 bytes, which
 * would take another instruction. */
#if defined(__has_builtin)
#define FGD_HAS_SHUFFLE (__has_builtin(__builtin_shufflevector) && FGD_VBYTES >= 32)
#else
#define FGD_HAS_SHUFFLE 0
#endif
#if FGD_HAS_SHUFFLE
#define FGD_HALVE(n, low, high)                                        \
    EACH (i, n)                                                        \
    s[i] = __builtin_shufflevector(s[2 * i], s[2 * i + 1], low) + /**/ \
           __builtin_shufflevector(s[2 * i], s[2 * i + 1], high)

FGD_INLINE int vsum_place(int l) {
    const int blocks = FGD_VBYTES / 16, lanes = VL / blocks;
    return l / lanes + blocks * (l % lanes);
}
FGD_INLINE V vsum_each(V s[VL]) {
#if FGD_VBYTES == 64 && FGD_F64
#define EVEN2 0, 1, 4, 5, 8, 9, 12, 13
#define ODD2 2, 3, 6, 7, 10, 11, 14, 15
    FGD_HALVE(4, LOW4, HIGH4);
    FGD_HALVE(2, EVEN2, ODD2);
    FGD_HALVE(1, LOW1, HIGH1);
#elif FGD_VBYTES == 64
#define EVEN4 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD4 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#define EVEN1 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define ODD1 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31
    FGD_HALVE(8, LOW8, HIGH8);
    FGD_HALVE(4, EVEN4, ODD4);
    FGD_HALVE(2, LOW2, HIGH2);
    FGD_HALVE(1, EVEN1, ODD1);
#elif FGD_F64
    FGD_HALVE(2, LOW2, HIGH2);
    FGD_HALVE(1, LOW1, HIGH1);
#else
#define EVEN1 0, 2, 8, 10, 4, 6, 12, 14
#define ODD1 1, 3, 9, 11, 5, 7, 13, 15
    FGD_HALVE(4, LOW4, HIGH4);
    FGD_HALVE(2, LOW2, HIGH2);
    FGD_HALVE(1, EVEN1, ODD1);
#endif
    return s[0];
}
#undef FGD_HALVE
#else
FGD_INLINE int vsum_place(int l) { return l; }
FGD_INLINE V vsum_each(V s[VL]) {
    V sums;
    for (int l = 0; l < VL; l++) sums[l] = vsum_folded(s[l]);
    return sums;
}
#endif

/* Transpose VL vectors of VL lanes in place: pairs of vectors exchange halves, then quarters, and
 * so on, of their blocks. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FGD_EXCHANGE(distance, low, high)                            \
    EACH (i, VL)                                                     \
        if (!(i & (distance))) {                                     \
            const V a = s[i], b = s[i + (distance)];                 \
            s[i] = __builtin_shufflevector(a, b, low);               \
            s[i + (distance)] = __builtin_shufflevector(a, b, high); \
        }
#endif
#endif
#ifdef FGD_EXCHANGE
FGD_INLINE void vtranspose(V s[VL]) {
#if FGD_LANES >= 16
    FGD_EXCHANGE(8, LOW8, HIGH8);
#endif
#if FGD_LANES >= 8
    FGD_EXCHANGE(4, LOW4, HIGH4);
#endif
#if FGD_LANES >= 4
    FGD_EXCHANGE(2, LOW2, HIGH2);
#endif
    FGD_EXCHANGE(1, LOW1, HIGH1);
}
#else
FGD_INLINE void vtranspose(V s[VL]) {
    for (int i = 0; i < VL; i++)
        for (int j = 0; j < i; j++) {
            const T kept = s[i][j];
            s[i][j] = s[j][i];
            s[j][i] = kept;
        }
}
#endif

#endif
