/* Where the threads of a team wait for each other, in the middle of a step.
 *
 * A step of a small model takes less than a microsecond, and OpenMP's own barrier a quarter of
 * one. Here threads that arrive together lose some 40 ns. */
#ifndef FASTGD_BARRIER_H
#define FASTGD_BARRIER_H

#include <sched.h>

#if defined(__x86_64__) || defined(__i386__)
#define FGD_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define FGD_PAUSE() __asm__ volatile("yield")
#else
#define FGD_PAUSE()
#endif

typedef struct {
    unsigned arrived;
    char apart[60]; /* those that wait read one cache line, those that arrive write another */
    unsigned round;
} fgd_barrier;

/* Return when all of a team's n threads are here. What a thread has written before, all see
 * afterwards. Those that wait look so many times before they let others have their core. */
static inline void fgd_meet(fgd_barrier *barrier, unsigned n, int spins) {
    const unsigned round = __atomic_load_n(&barrier->round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == n) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round) {
        if (spins > 0) {
            spins--;
            FGD_PAUSE();
        } else {
            sched_yield();
        }
    }
}

#endif
