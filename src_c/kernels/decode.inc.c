/* Rows of other storage dtypes become rows of T (fastgd/rows/_storage.py has the definition).
 *
 * To add a dtype, add a line to FGD_STORAGES_BY_ELEMENT: NumPy's name, the C type, what an element
 * x of it is worth, and whether an affine map is computed in double in both tables, which it is
 * where numpy.result_type(dtype, float32) is float64. Loops are left to the compiler to vectorise:
 * each element is on its own, so any vector width gives the same bits.
 */
#define FGD_STORAGES_BY_ELEMENT(X)                   \
    X(bool, uint8_t, x != 0, 0)                      \
    X(uint8, uint8_t, x, 0)                          \
    X(int8, int8_t, x, 0)                            \
    X(uint16, uint16_t, x, 0)                        \
    X(int16, int16_t, x, 0)                          \
    X(int32, int32_t, x, 1)                          \
    X(bfloat16, uint16_t, upper_half_to_float(x), 0) \
    X(float32, float, x, 0)                          \
    X(float64, double, x, 1)
/* All of them: half precision has instructions of its own. */
#define FGD_STORAGES(X)        \
    FGD_STORAGES_BY_ELEMENT(X) \
    X(float16, uint16_t, half_to_float(x), 0)

FGD_INLINE float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* IEEE 754 binary16: 5 bits of exponent, 10 of mantissa. A subnormal number is its mantissa times
 * 2^-24; in the others the exponent's bias grows by 112, for infinity and NaN by twice that. */
FGD_INLINE float half_to_float(uint16_t h) {
    const uint32_t size = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    const uint32_t is_large = -(uint32_t)(size >= 0x7c00u << 13); /* masks: loops have no branch */
    const uint32_t is_small = -(uint32_t)(size < 0x400u << 13);
    const uint32_t normal = size + (112u << 23) + (is_large & 112u << 23);
    uint32_t small;
    const float subnormal = (float)(int32_t)(h & 0x3ff) * 0x1p-24f;
    memcpy(&small, &subnormal, sizeof small);
    return float_of_bits((small & is_small) | (normal & ~is_small) | sign);
}

/* bfloat16 is the upper half of a float. */
FGD_INLINE float upper_half_to_float(uint16_t h) { return float_of_bits((uint32_t)h << 16); }

/* How many rows ahead of the one that is decoded to prefetch: about 32 KB. */
FGD_INLINE size_t rows_ahead(size_t bytes) {
    return smaller(32768 / smaller(bytes, 2048), FGD_AHEAD);
}

#define FGD_WIDE_0 T
#define FGD_WIDE_1 double
#define DECODE(name, type, worth, wide)                                                         \
    static void decode_##name(size_t n, const void *const *rows, size_t n_in, const void *mean, \
                              const void *inverse_scale, void *out, size_t stride) {            \
        typedef FGD_WIDE_##wide W;                                                              \
        const W *restrict m = mean, *restrict s = inverse_scale;                                \
        const size_t ahead = rows_ahead(n_in * sizeof(type));                                   \
        for (size_t i = 0; i < n; i++) {                                                        \
            const type *restrict row = rows[i];                                                 \
            T *restrict o = (T *)out + i * stride;                                              \
            prefetch_far(rows[i + ahead], smaller(n_in * sizeof(type), 2048));                  \
            if (m)                                                                              \
                for (size_t k = 0; k < n_in; k++) {                                             \
                    const type x = row[k];                                                      \
                    o[k] = (T)(((W)(worth) - m[k]) * s[k]);                                     \
                }                                                                               \
            else                                                                                \
                for (size_t k = 0; k < n_in; k++) {                                             \
                    const type x = row[k];                                                      \
                    o[k] = (T)(worth);                                                          \
                }                                                                               \
        }                                                                                       \
    }
FGD_STORAGES_BY_ELEMENT(DECODE)

/* Convert n numbers of half precision to float. */
FGD_INLINE void widen_half(size_t n, const uint16_t *h, float *out) {
    size_t k = 0;
#if FGD_VBYTES == 64
    for (; k + 16 <= n; k += 16)
        _mm512_storeu_ps(out + k, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(h + k))));
#elif FGD_VBYTES == 32
    for (; k + 8 <= n; k += 8)
        _mm256_storeu_ps(out + k, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(h + k))));
#elif defined(__ARM_NEON) && defined(__aarch64__)
    for (; k + 4 <= n; k += 4)
        vst1q_f32(out + k, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h + k))));
#endif
    for (; k < n; k++) out[k] = half_to_float(h[k]);
}

static void decode_float16(size_t n, const void *const *rows, size_t n_in, const void *mean,
                           const void *inverse_scale, void *out, size_t stride) {
    enum { AT_ONCE = 512 };
    const T *m = mean, *s = inverse_scale;
    const size_t ahead = rows_ahead(n_in * sizeof(uint16_t));
    for (size_t i = 0; i < n; i++) {
        prefetch_far(rows[i + ahead], smaller(n_in * sizeof(uint16_t), 2048));
        for (size_t first = 0; first < n_in; first += AT_ONCE) {
            const size_t count = smaller(AT_ONCE, n_in - first);
            T *o = (T *)out + i * stride + first;
#if FGD_F64
            float wide[AT_ONCE];
            widen_half(count, (const uint16_t *)rows[i] + first, wide);
            for (size_t k = 0; k < count; k++) o[k] = (T)wide[k];
#else
            widen_half(count, (const uint16_t *)rows[i] + first, o);
#endif
            if (m)
                for (size_t k = 0; k < count; k++) o[k] = (o[k] - m[first + k]) * s[first + k];
        }
    }
}

#define STORAGE(name, type, worth, wide) \
    {#name, sizeof(type), sizeof(FGD_WIDE_##wide), decode_##name},
static const fgd_storage storages[] = {FGD_STORAGES(STORAGE){NULL, 0, 0, NULL}};

static const fgd_storage *storage_named(const char *name) {
    for (const fgd_storage *s = storages; s->name; s++)
        if (!strcmp(s->name, name)) return s;
    return NULL;
}
