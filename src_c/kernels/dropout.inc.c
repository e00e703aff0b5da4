/* Dropout: which units are left out of a step, as a pure function of a seed, the sample's place
 * in the epoch, the layer and the unit (fastgd/_dropout.py has the definition). No thread, tile
 * or level can change it.
 *
 * The function is Philox4x32 with 10 rounds: J. Salmon, M. Moraes, R. Dror & D. Shaw 2011,
 * "Parallel Random Numbers: As Easy as 1, 2, 3", doi:10.1145/2063384.2063405. One call makes the
 * numbers of four neighbouring units.
 */

/* The number of counters that are worked on together: the compiler's vectors run along them. */
enum { COUNTERS = 16 };

/* word[w][l] is number w of counter (first + l, layer, place): those of units 4 (first + l) + w. */
static void philox(uint64_t seed, uint32_t first, uint32_t layer, uint64_t place,
                   uint32_t word[4][COUNTERS]) {
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (uint32_t l = 0; l < COUNTERS; l++) {
        word[0][l] = first + l;
        word[1][l] = layer;
        word[2][l] = (uint32_t)place;
        word[3][l] = (uint32_t)(place >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < COUNTERS; l++) {
            const uint64_t even = (uint64_t)0xD2511F53u * word[0][l];
            const uint64_t odd = (uint64_t)0xCD9E8D57u * word[2][l];
            const uint32_t word1 = word[1][l], word3 = word[3][l];
            word[0][l] = (uint32_t)(odd >> 32) ^ word1 ^ key0;
            word[1][l] = (uint32_t)odd;
            word[2][l] = (uint32_t)(even >> 32) ^ word3 ^ key1;
            word[3][l] = (uint32_t)even;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

/* Rows of outputs and derivatives, of samples in consecutive places: units whose number is below
 * `threshold` become 0, the others are multiplied by `factor`. */
static void dropout(size_t n, size_t n_units, size_t ld, uint64_t seed, uint32_t layer,
                    uint64_t place, uint32_t threshold, double factor, void *output,
                    void *derivative) {
    const T keep = (T)factor;
    T *y = output, *d = derivative;
    for (size_t i = 0; i < n; i++, y += ld, d += ld)
        for (size_t j = 0; j < n_units; j += 4 * COUNTERS) {
            uint32_t word[4][COUNTERS];
            philox(seed, (uint32_t)(j / 4), layer, place + i, word);
            const size_t count = smaller(n_units - j, 4 * COUNTERS);
            for (size_t k = 0; k < count; k++) {
                const T scale = word[k % 4][k / 4] < threshold ? 0 : keep;
                y[j + k] *= scale;
                d[j + k] *= scale;
            }
        }
}
