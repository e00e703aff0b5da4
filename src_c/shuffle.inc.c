/* Permutations and draws for one type of index.
 *
 * Parameters, set by shuffle.c, which includes this file once per type:
 *   INDEX        the type
 *   NAME(verb)   the verb with the type's suffix
 */

/* Extend the permutation of the first `done` numbers in `to` by from[done], ..., from[until - 1],
 * `count` numbers per word; return the new length. This is the inside-out form of the exchange
 * (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm P). It walks memory forwards, which
 * lets the hardware prefetch. `to` may be `from`, or begin before it. */
INLINE uint64_t NAME(grow)(fgd_stream *bits, INDEX *to, const INDEX *from, uint64_t done,
                           uint64_t until, const int count) {
    fgd_stream held = *bits;
    uint64_t limit = power(until, count), drawn[MOST];
    while (done + count <= until) {
        if (!draw(&held, done + 1, 1, count, limit, drawn)) continue;
        for (int k = 0; k < count; k++) {
            INDEX number = from[done + k];
            to[done + k] = to[drawn[k]];
            to[drawn[k]] = number;
        }
        done += count;
    }
    *bits = held;
    return done;
}

/* Separate functions, so that each loop has all registers. */
#define GROW(count, word)                                                                  \
    static __attribute__((noinline)) uint64_t NAME(grow_by_##word)(                        \
        fgd_stream * bits, INDEX * to, const INDEX *from, uint64_t done, uint64_t until) { \
        return NAME(grow)(bits, to, from, done, until, count);                             \
    }
GROW(4, four)
GROW(3, three)
GROW(2, two)
GROW(1, one)
#undef GROW

/* Write a uniform permutation of n numbers to `to`. */
static void NAME(exchange)(fgd_stream *bits, INDEX *to, const INDEX *from, uint64_t n) {
    uint64_t done = 0;
    done = NAME(grow_by_four)(bits, to, from, done, lesser(n, FOUR_TO));
    done = NAME(grow_by_three)(bits, to, from, done, lesser(n, THREE_TO));
    done = NAME(grow_by_two)(bits, to, from, done, lesser(n, TWO_TO));
    NAME(grow_by_one)(bits, to, from, done, n);
}

static void NAME(permute)(fgd_stream *bits, INDEX *out, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) out[i] = (INDEX)i;
    NAME(exchange)(bits, out, out, n);
}

/* Append each of start, ..., stop - 1 to a random pile; each takes one byte of a word. The hardware
 * cannot prefetch so many piles at once, so every other number prefetches its pile two cache lines
 * ahead: a line, which holds 16 numbers, is hardly ever missed. */
static void NAME(deal_out)(fgd_stream *bits, INDEX **ends, uint64_t start, uint64_t stop) {
    fgd_stream held = *bits;
    uint64_t i = start;
    for (; i + 8 <= stop; i += 8) {
        uint64_t word = next_word(&held);
        for (int k = 0; k < 8; k++, word >>= 8) {
            INDEX *end = ends[(uint8_t)word]++;
            *end = (INDEX)(i + k);
            if (k % 2 == 0) __builtin_prefetch((const void *)((uintptr_t)end + 128), 0, 2);
        }
    }
    if (i < stop) {
        uint64_t word = next_word(&held);
        for (; i < stop; i++, word >>= 8) *ends[(uint8_t)word]++ = (INDEX)i;
    }
    *bits = held;
}

/* Deal 0 to n - 1 to piles; return 0 as soon as one has overflowed. Between two checks a pile can
 * outgrow its room by a burst, into the next pile or into the spare space after the last. */
static int NAME(deal)(fgd_stream *bits, INDEX *out, INDEX **ends, uint64_t n, uint64_t room,
                      uint64_t burst) {
    for (int p = 0; p < FGD_PILES; p++) ends[p] = out + p * room;
    for (uint64_t start = 0; start < n; start += burst) {
        int fits = 1;
        NAME(deal_out)(bits, ends, start, lesser(n, start + burst));
        for (int p = 0; p < FGD_PILES; p++) fits &= ends[p] <= out + (p + 1) * room;
        if (!fits) return 0;
    }
    return 1;
}

void NAME(fgd_permute_dealt)(fgd_stream bits, INDEX *out, uint64_t n, uint64_t room,
                             uint64_t burst) {
    INDEX *ends[FGD_PILES], *to = out;
    if (!NAME(deal)(&bits, out, ends, n, room, burst)) {
        NAME(permute)(&bits, out, n);
        return;
    }
    for (int p = 0; p < FGD_PILES; p++) { /* the piles move together as they are permuted */
        const INDEX *pile = out + p * room;
        uint64_t size = (uint64_t)(ends[p] - pile);
        NAME(exchange)(&bits, to, pile, size);
        to += size;
    }
}

void NAME(fgd_permute)(fgd_stream bits, INDEX *out, uint64_t n) { NAME(permute)(&bits, out, n); }

/* Fill out[done], ... with numbers below bound, `count` per word, while all of a word's numbers are
 * needed. */
INLINE uint64_t NAME(fill)(fgd_stream *bits, INDEX *out, uint64_t done, uint64_t n, uint64_t bound,
                           const int count) {
    fgd_stream held = *bits;
    uint64_t limit = power(bound, count), drawn[MOST];
    while (done + count <= n) {
        if (!draw(&held, bound, 0, count, limit, drawn)) continue;
        for (int k = 0; k < count; k++) out[done + k] = (INDEX)drawn[k];
        done += count;
    }
    *bits = held;
    return done;
}

void NAME(fgd_draws)(fgd_stream bits, INDEX *out, uint64_t n, uint64_t bound) {
    uint64_t done = 0;
    if (bound <= FOUR_TO) {
        done = NAME(fill)(&bits, out, done, n, bound, 4);
    } else if (bound <= THREE_TO) {
        done = NAME(fill)(&bits, out, done, n, bound, 3);
    } else if (bound <= TWO_TO) {
        done = NAME(fill)(&bits, out, done, n, bound, 2);
    }
    NAME(fill)(&bits, out, done, n, bound, 1);
}
