# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Random orders of samples, drawn in compiled code from the user's own NumPy generator.

Only `next_uint64` of NumPy's C interface to bit generators is used, so that a generator's state
says all about what comes next. Bounded numbers are exact, by Lemire's multiplication with
rejection, several from one 64-bit word: D. Lemire 2019, "Fast Random Integer Generation in an
Interval", doi:10.1145/3230636; N. Brackett-Rozinsky & D. Lemire 2024, "Batched Ranged Random
Integer Generation", doi:10.1002/spe.3369.

A permutation is made by exchanges (Durstenfeld 1964, doi:10.1145/364520.364540). Beyond the
cache each exchange would wait for memory, so the numbers of a large one are first dealt to 256
piles at random, and then each pile is permuted by itself. That is exactly uniform as well
(Sandelius 1962, doi:10.1111/j.2517-6161.1962.tb00471.x).
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

cdef extern from *:
    """
    #include <stdint.h>
    /* NumPy's documented interface to a bit generator: numpy/random/bitgen.h. */
    typedef struct fgd_bitgen {
        void *state;
        uint64_t (*next_uint64)(void *state);
        uint32_t (*next_uint32)(void *state);
        double (*next_double)(void *state);
        uint64_t (*next_raw)(void *state);
    } fgd_bitgen;
    /* A word is a random fraction of 2^64: return the whole part of fraction * bound, and leave
     * the rest in the word. */
    static inline uint64_t fgd_take(uint64_t *word, uint64_t bound) {
        unsigned __int128 product = (unsigned __int128)*word * bound;
        *word = (uint64_t)product;
        return (uint64_t)(product >> 64);
    }
    """
    ctypedef struct fgd_bitgen:
        void *state
        uint64_t (*next_uint64)(void *state) noexcept nogil
    uint64_t fgd_take(uint64_t *word, uint64_t bound) noexcept nogil

ctypedef fused index_t:
    uint32_t
    int64_t

cdef enum:
    PILES = 256
    MOST = 4  # bounded numbers from one word

# Permutations of at least so many numbers are dealt into piles first.
DEAL_FROM = 1 << 18


cdef inline int _from_a_word(uint64_t n) noexcept nogil:
    """Return how many numbers below n to draw from one word, so that few are rejected."""
    if n <= 1 << 14:
        return 4
    if n <= 1 << 19:
        return 3
    return 2 if n <= 1 << 29 else 1


cdef inline void _draw(
    fgd_bitgen *source, const uint64_t *bounds, int count, uint64_t *drawn
) noexcept nogil:
    """Draw independent uniform numbers below the bounds from one word."""
    cdef uint64_t word, product = 1, least
    cdef int k
    word = source.next_uint64(source.state)
    for k in range(count):
        product *= bounds[k]
        drawn[k] = fgd_take(&word, bounds[k])
    if word < product:  # rarely: then perhaps one of the words that come too often
        least = (0 - product) % product
        while word < least:
            word = source.next_uint64(source.state)
            for k in range(count):
                drawn[k] = fgd_take(&word, bounds[k])


cdef void _exchange(fgd_bitgen *source, index_t *numbers, uint64_t n) noexcept nogil:
    """Permute n numbers uniformly, in place."""
    cdef uint64_t bounds[MOST]
    cdef uint64_t drawn[MOST]
    cdef uint64_t left = n
    cdef index_t held
    cdef int k, count
    while left > 1:
        count = <int> min(<uint64_t> _from_a_word(left), left - 1)
        for k in range(count):
            bounds[k] = left - k
        _draw(source, bounds, count, drawn)
        for k in range(count):
            left -= 1
            held = numbers[drawn[k]]
            numbers[drawn[k]] = numbers[left]
            numbers[left] = held


cdef void _deal(fgd_bitgen *source, index_t *out, uint8_t *pile, uint64_t n) noexcept nogil:
    """Write a uniform permutation of 0 to n - 1, by way of piles."""
    cdef uint64_t sizes[PILES]
    cdef uint64_t ends[PILES]
    cdef uint64_t word = 0, i, end = 0
    cdef int p
    for p in range(PILES):
        sizes[p] = 0
    for i in range(n):
        if i % 8 == 0:
            word = source.next_uint64(source.state)
        pile[i] = <uint8_t> word
        sizes[<uint8_t> word] += 1
        word >>= 8
    for p in range(PILES):
        ends[p] = end
        end += sizes[p]
    for i in range(n):
        p = pile[i]
        out[ends[p]] = <index_t> i
        ends[p] += 1
    for p in range(PILES):
        _exchange(source, out + (ends[p] - sizes[p]), sizes[p])


cdef void _permute(index_t[::1] out, uint8_t[::1] pile, fgd_bitgen *source) noexcept nogil:
    cdef uint64_t n = out.shape[0], i
    if n == 0:
        return
    if pile.shape[0] > 0:
        _deal(source, &out[0], &pile[0], n)
        return
    for i in range(n):
        out[i] = <index_t> i
    _exchange(source, &out[0], n)


cdef void _repeat(index_t[::1] out, uint64_t bound, fgd_bitgen *source) noexcept nogil:
    """Fill with independent uniform numbers below bound."""
    cdef uint64_t bounds[MOST]
    cdef uint64_t drawn[MOST]
    cdef uint64_t n = out.shape[0], i = 0
    cdef int k, count = _from_a_word(bound)
    for k in range(MOST):
        bounds[k] = bound
    while i < n:
        count = <int> min(<uint64_t> count, n - i)
        _draw(source, bounds, count, drawn)
        for k in range(count):
            out[i + k] = <index_t> drawn[k]
        i += count


def index_dtype(n):
    """Return the smallest dtype that the engine takes for indices below n."""
    return np.uint32 if n <= 1 << 32 else np.int64


def permutation(n, rng, deal_from=None):
    """Return 0 to n - 1 in a uniformly random order, drawn from rng.

    Parameters
    ----------
    n : int
        How many numbers.
    rng : numpy.random.Generator
        The source.
    deal_from : int, optional
        From which n on piles are dealt, for tests; `DEAL_FROM` if not given. It changes which
        of the equally likely orders is drawn.

    Returns
    -------
    ndarray of shape (n,)
        In uint32 where the numbers fit, else int64.
    """
    out = np.empty(n, index_dtype(n))
    deals = n >= (DEAL_FROM if deal_from is None else deal_from)
    pile = np.empty(n if deals else 0, np.uint8)
    bit_generator = rng.bit_generator
    cdef fgd_bitgen *source = <fgd_bitgen *> PyCapsule_GetPointer(
        bit_generator.capsule, "BitGenerator"
    )
    cdef uint32_t[::1] narrow
    cdef int64_t[::1] wide
    cdef uint8_t[::1] piles = pile
    if out.dtype == np.uint32:
        narrow = out
        with bit_generator.lock, nogil:
            _permute[uint32_t](narrow, piles, source)
    else:
        wide = out
        with bit_generator.lock, nogil:
            _permute[int64_t](wide, piles, source)
    return out


def draws(n, bound, rng):
    """Return n independent uniform numbers below bound, drawn from rng.

    Parameters
    ----------
    n, bound : int
        How many numbers, and below what.
    rng : numpy.random.Generator
        The source.

    Returns
    -------
    ndarray of shape (n,)
        In uint32 where the numbers fit, else int64.
    """
    out = np.empty(n, index_dtype(bound))
    bit_generator = rng.bit_generator
    cdef fgd_bitgen *source = <fgd_bitgen *> PyCapsule_GetPointer(
        bit_generator.capsule, "BitGenerator"
    )
    cdef uint64_t below = bound
    cdef uint32_t[::1] narrow
    cdef int64_t[::1] wide
    if out.dtype == np.uint32:
        narrow = out
        with bit_generator.lock, nogil:
            _repeat[uint32_t](narrow, below, source)
    else:
        wide = out
        with bit_generator.lock, nogil:
            _repeat[int64_t](wide, below, source)
    return out
