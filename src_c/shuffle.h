/* Random orders: the arithmetic behind fastgd/engine/shuffle.pyx, for 32-bit and 64-bit indices.
 *
 * Nothing here allocates, keeps state or depends on the CPU's instruction set.
 */
#ifndef FASTGD_SHUFFLE_H
#define FASTGD_SHUFFLE_H

#include <stdint.h>

/* NumPy's documented interface to a bit generator: numpy/random/bitgen.h. */
typedef struct fgd_bitgen {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
    uint64_t (*next_raw)(void *state);
} fgd_bitgen;

/* The state of SFC64 (C. Doty-Humphrey, PractRand), NumPy's numpy.random.SFC64. */
typedef struct fgd_stream {
    uint64_t a, b, c, counter;
} fgd_stream;

/* Seed a stream with three words of a generator. The caller holds the generator's lock. */
fgd_stream fgd_open_stream(fgd_bitgen *generator);

#define FGD_PILES 256

/* Write 0 to n - 1 to out in a uniformly random order. */
void fgd_permute_u32(fgd_stream bits, uint32_t *out, uint64_t n);
void fgd_permute_i64(fgd_stream bits, int64_t *out, uint64_t n);

/* The same by way of piles, for n beyond the cache. `out` has FGD_PILES * room + burst elements;
 * the first n are the result. `room` is the capacity of a pile; it is checked after each `burst`
 * numbers, a multiple of 8. */
void fgd_permute_dealt_u32(fgd_stream bits, uint32_t *out, uint64_t n, uint64_t room,
                           uint64_t burst);
void fgd_permute_dealt_i64(fgd_stream bits, int64_t *out, uint64_t n, uint64_t room,
                           uint64_t burst);

/* Fill out with n independent uniform numbers below bound. */
void fgd_draws_u32(fgd_stream bits, uint32_t *out, uint64_t n, uint64_t bound);
void fgd_draws_i64(fgd_stream bits, int64_t *out, uint64_t n, uint64_t bound);

#endif
