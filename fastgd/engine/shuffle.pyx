# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Random orders of samples, computed in compiled code from the user's NumPy generator.

Each call draws three 64-bit words from the user's generator, of any type, to seed an SFC64 stream,
which is inlined where it is used. The result depends only on the generator's state. The arithmetic
is in src_c/shuffle.c.

A permutation is made by exchanges (Durstenfeld 1964, doi:10.1145/364520.364540). Beyond the cache
each exchange would wait for memory, so the numbers of a large permutation are first dealt to 256
piles at random, and then each pile is permuted. That is exactly uniform as well (Sandelius 1962,
doi:10.1111/j.2517-6161.1962.tb00471.x): whatever the piles' sizes, all orders are equally likely.

For the same reason the piles' capacity may be fixed beforehand, with some to spare, so that the
numbers need not be counted before they are dealt. If a pile overflows, which happens less than once
in 10^12 calls with the default capacity, the permutation is made without piles. That depends on the
sizes only, so it favours no order.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.math cimport sqrt

import numpy as np

cdef extern from "shuffle.h" nogil:
    enum:
        FGD_PILES
    ctypedef struct fgd_bitgen:
        void *next_uint64
    ctypedef struct fgd_stream:
        pass
    fgd_stream fgd_open_stream(fgd_bitgen *generator) noexcept
    void fgd_permute_u32(fgd_stream bits, uint32_t *out, uint64_t n) noexcept
    void fgd_permute_i64(fgd_stream bits, int64_t *out, uint64_t n) noexcept
    void fgd_permute_dealt_u32(
        fgd_stream bits, uint32_t *out, uint64_t n, uint64_t room, uint64_t burst
    ) noexcept
    void fgd_permute_dealt_i64(
        fgd_stream bits, int64_t *out, uint64_t n, uint64_t room, uint64_t burst
    ) noexcept
    void fgd_draws_u32(fgd_stream bits, uint32_t *out, uint64_t n, uint64_t bound) noexcept
    void fgd_draws_i64(fgd_stream bits, int64_t *out, uint64_t n, uint64_t bound) noexcept

# Permutations of at least this many numbers are dealt into piles first. Measured on cores with 1 MB
# of their own cache and 32 MB of shared cache.
DEAL_FROM = 1 << 20


def index_dtype(n):
    """Return the smallest dtype of indices below n that the engine accepts."""
    return np.uint32 if n <= 1 << 32 else np.int64


cdef fgd_stream _open(bit_generator) except *:
    cdef fgd_bitgen *generator = <fgd_bitgen *> PyCapsule_GetPointer(
        bit_generator.capsule, "BitGenerator"
    )
    if generator.next_uint64 == NULL:
        raise TypeError(f"{type(bit_generator).__name__} cannot draw numbers: it is incomplete")
    with bit_generator.lock:
        return fgd_open_stream(generator)


def permutation(n, rng, deal_from=None, spare=None, dtype=None):
    """Return 0 to n - 1 in a uniformly random order, drawn from rng.

    Parameters
    ----------
    n : int
        The length of the permutation.
    rng : numpy.random.Generator
        The generator to draw from.
    deal_from : int, optional
        The smallest n for which piles are dealt, for tests; by default `DEAL_FROM`. It changes
        which of the equally likely orders is drawn.
    spare : int, optional
        Capacity of a pile beyond the mean size, for tests; by default eight standard deviations.
    dtype : dtype, optional
        uint32 or int64, for tests; by default the smaller that fits.

    Returns
    -------
    ndarray of shape (n,)
        In uint32 if the numbers fit, else in int64.
    """
    dtype = index_dtype(n) if dtype is None else dtype
    if n == 0:
        return np.empty(0, dtype)
    if n >= (DEAL_FROM if deal_from is None else deal_from):
        return _permutation_with_piles(n, rng.bit_generator, spare, dtype)
    out = np.empty(n, dtype)
    cdef fgd_stream bits = _open(rng.bit_generator)
    cdef uint64_t count = n
    cdef uint32_t[::1] narrow
    cdef int64_t[::1] wide
    if out.dtype == np.uint32:
        narrow = out
        with nogil:
            fgd_permute_u32(bits, &narrow[0], count)
    else:
        wide = out
        with nogil:
            fgd_permute_i64(bits, &wide[0], count)
    return out


def _permutation_with_piles(n, bit_generator, spare, dtype):
    """Return a permutation made with piles: the first n elements of a larger array."""
    mean = -(-n // FGD_PILES)
    spare = int(8 * sqrt(mean)) + 16 if spare is None else spare
    cdef fgd_stream bits = _open(bit_generator)
    cdef uint64_t count = n, room = mean + spare, burst = 8 * (n // 512 + 1)
    out = np.empty(FGD_PILES * room + burst, dtype)
    cdef uint32_t[::1] narrow
    cdef int64_t[::1] wide
    if out.dtype == np.uint32:
        narrow = out
        with nogil:
            fgd_permute_dealt_u32(bits, &narrow[0], count, room, burst)
    else:
        wide = out
        with nogil:
            fgd_permute_dealt_i64(bits, &wide[0], count, room, burst)
    return out[:n]


def draws(n, bound, rng):
    """Return n independent uniform numbers below bound, drawn from rng.

    Parameters
    ----------
    n, bound : int
        The number of draws, and their upper bound, which is excluded.
    rng : numpy.random.Generator
        The generator to draw from.

    Returns
    -------
    ndarray of shape (n,)
        In uint32 if the numbers fit, else in int64.
    """
    out = np.empty(n, index_dtype(bound))
    if n == 0:
        return out
    cdef fgd_stream bits = _open(rng.bit_generator)
    cdef uint64_t count = n, below = bound
    cdef uint32_t[::1] narrow
    cdef int64_t[::1] wide
    if out.dtype == np.uint32:
        narrow = out
        with nogil:
            fgd_draws_u32(bits, &narrow[0], count, below)
    else:
        wide = out
        with nogil:
            fgd_draws_i64(bits, &wide[0], count, below)
    return out
