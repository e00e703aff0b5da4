/* Dropout. Whether a unit is dropped is a pure function of the seed, the sample's place in the
 * epoch, the layer and the unit (fastgd/backends/_dropout.py has the definition), so it does not
 * depend on threads, tiles or levels.
 *
 * The function is Philox4x32 with 10 rounds: J. Salmon, M. Moraes, R. Dror & D. Shaw 2011,
 * "Parallel Random Numbers: As Easy as 1, 2, 3", doi:10.1145/2063384.2063405. One call makes the
 * numbers of four neighbouring units.
 */

/* Eight bytes for each counter. Only the lower four are multiplied, so the upper four may hold
 * anything. Two vectors of counters at a time hide the latency of the products. */
typedef uint64_t W __attribute__((vector_size(FGD_VBYTES)));
enum { CHAINS = 2, WL = FGD_VBYTES / 8, COUNTERS = CHAINS * WL };

FGD_INLINE W wide_product(W x, uint32_t factor) {
    const W by = (uint64_t)factor - (W){0};
#if FGD_VBYTES == 64
    return (W)_mm512_mul_epu32((__m512i)x, (__m512i)by);
#elif FGD_VBYTES == 32
    return (W)_mm256_mul_epu32((__m256i)x, (__m256i)by);
#elif defined(__SSE2__)
    return (W)_mm_mul_epu32((__m128i)x, (__m128i)by);
#else
    return (x & (uint32_t)-1) * by;
#endif
}

/* number[4 l + w] is number w of counter (first + l, layer, place): that of unit 4 (first + l) + w.
 */
static void philox(uint64_t seed, uint32_t first, uint32_t layer, uint64_t place,
                   uint32_t number[4 * COUNTERS]) {
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    W word[4][CHAINS], pair[2];
    uint64_t counters[COUNTERS];
    EACH (l, COUNTERS) counters[l] = first + (uint32_t)l;
    memcpy(word[0], counters, sizeof counters);
    EACH (c, CHAINS) {
        word[1][c] = layer - (W){0};
        word[2][c] = place - (W){0};
        word[3][c] = (place >> 32) - (W){0};
    }
    for (int round = 0; round < 10; round++) {
        EACH (c, CHAINS) {
            const W even = wide_product(word[0][c], 0xD2511F53u);
            const W odd = wide_product(word[2][c], 0xCD9E8D57u);
            word[0][c] = (odd >> 32) ^ word[1][c] ^ key0;
            word[1][c] = odd;
            word[2][c] = (even >> 32) ^ word[3][c] ^ key1;
            word[3][c] = even;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    enum { FRONT = 0, BACK = 1 };
#else
    enum { FRONT = 1, BACK = 0 };
#endif
    EACH (c, CHAINS) {
        EACH (half, 2) {
            pair[half] = word[2 * half + FRONT][c] & (uint32_t)-1;
            pair[half] |= word[2 * half + BACK][c] << 32;
        }
        EACH (l, WL) {
            const uint64_t four[2] = {pair[0][l], pair[1][l]};
            memcpy(number + 4 * (c * WL + l), four, sizeof four);
        }
    }
}

/* Apply dropout to the outputs and derivatives of n samples in consecutive places: a unit whose
 * random number is below `threshold` becomes 0, the others are multiplied by `factor`. */
static void dropout(size_t n, size_t n_units, size_t ld, uint64_t seed, uint32_t layer,
                    uint64_t place, uint32_t threshold, double factor, void *output,
                    void *derivative) {
    const T keep = (T)factor;
    T *y = output, *d = derivative;
    for (size_t i = 0; i < n; i++, y += ld, d += ld)
        for (size_t j = 0; j < n_units; j += 4 * COUNTERS) {
            uint32_t number[4 * COUNTERS];
            philox(seed, (uint32_t)(j / 4), layer, place + i, number);
            const size_t count = smaller(n_units - j, 4 * COUNTERS);
            for (size_t k = 0; k < count; k++) {
                const T scale = number[k] < threshold ? 0 : keep;
                y[j + k] *= scale;
                d[j + k] *= scale;
            }
        }
}
