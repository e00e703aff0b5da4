/* See shuffle.h. This file holds what does not depend on the index type; the rest is in
 * shuffle.inc.c.
 *
 * Bounded numbers are exact, by Lemire's multiplication with rejection, several from one
 * 64-bit word: D. Lemire 2019, "Fast Random Integer Generation in an Interval",
 * doi:10.1145/3230636; N. Brackett-Rozinsky & D. Lemire 2024, "Batched Ranged Random Integer
 * Generation", doi:10.1002/spe.3369.
 *
 * The number of instructions bounds the time (docs/performance.md), so the loops keep the
 * generator's state and all that is derived from a word in registers.
 */
#include "shuffle.h"

#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* The most numbers drawn from one word. */
#define MOST 4

/* The largest bounds for which 4, 3 and 2 numbers are drawn from one word. The product of a word's
 * bounds then is at most 2^58, so that at most one word in 64 may have to be rejected. */
#define FOUR_TO (UINT64_C(1) << 14)
#define THREE_TO (UINT64_C(1) << 19)
#define TWO_TO (UINT64_C(1) << 29)

INLINE uint64_t next_word(fgd_stream *bits) {
    uint64_t word = bits->a + bits->b + bits->counter++;
    bits->a = bits->b ^ (bits->b >> 11);
    bits->b = bits->c + (bits->c << 3);
    bits->c = ((bits->c << 24) | (bits->c >> 40)) + word;
    return word;
}

/* Each step of SFC64 is invertible, so different words give different streams. Twelve steps, as in
 * NumPy, spread every bit of the words over the whole state. */
fgd_stream fgd_open_stream(fgd_bitgen *generator) {
    fgd_stream bits = {.counter = 1};
    bits.a = generator->next_uint64(generator->state);
    bits.b = generator->next_uint64(generator->state);
    bits.c = generator->next_uint64(generator->state);
    for (int k = 0; k < 12; k++) next_word(&bits);
    return bits;
}

/* A word is a random fraction of 2^64: return the integer part of fraction * bound, and leave the
 * fractional part in the word. */
INLINE uint64_t take(uint64_t *word, uint64_t bound) {
    unsigned __int128 product = (unsigned __int128)*word * bound;
    *word = (uint64_t)product;
    return (uint64_t)(product >> 64);
}

/* Whether to reject the word that left this fractional part: 2^64 mod product words are surplus. */
static __attribute__((noinline)) int is_surplus(uint64_t rest, uint64_t bound, uint64_t step,
                                                int count) {
    uint64_t product = 1;
    for (int k = 0; k < count; k++) product *= bound + (uint64_t)k * step;
    return rest < (0 - product) % product;
}

/* Draw numbers below bound, bound + step, ... from one word; return 0 if the word is rejected.
 * `limit` is at least the product of the bounds, which is then rarely computed. */
INLINE int draw(fgd_stream *bits, uint64_t bound, uint64_t step, const int count, uint64_t limit,
                uint64_t *drawn) {
    uint64_t word = next_word(bits);
    for (int k = 0; k < count; k++) drawn[k] = take(&word, bound + (uint64_t)k * step);
    return __builtin_expect(word >= limit, 1) || !is_surplus(word, bound, step, count);
}

INLINE uint64_t power(uint64_t base, int exponent) {
    uint64_t product = 1;
    for (int k = 0; k < exponent; k++) product *= base;
    return product;
}

INLINE uint64_t lesser(uint64_t a, uint64_t b) { return a < b ? a : b; }

#define INDEX uint32_t
#define NAME(verb) verb##_u32
#include "shuffle.inc.c"
#undef INDEX
#undef NAME

#define INDEX int64_t
#define NAME(verb) verb##_i64
#include "shuffle.inc.c"
