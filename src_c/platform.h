/* What the operating systems name differently: the clock, and threads that wait for each other.
 * POSIX, Windows, and systems without threads, such as Emscripten's (FGD_THREADS is 0). */
#ifndef FASTGD_PLATFORM_H
#define FASTGD_PLATFORM_H

#if !defined(FGD_THREADS)
#if defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)
#define FGD_THREADS 0
#else
#define FGD_THREADS 1
#endif
#endif

#if defined(__x86_64__) || defined(__i386__)
#define FGD_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define FGD_PAUSE() __asm__ volatile("yield")
#else
#define FGD_PAUSE()
#endif

#if defined(_WIN32)

#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

typedef SRWLOCK fgd_mutex;
typedef CONDITION_VARIABLE fgd_condition;

static inline void fgd_yield(void) { SwitchToThread(); }

/* Return seconds since some fixed moment. */
static inline double fgd_seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

#else

#include <pthread.h>
#include <sched.h>
#include <time.h>

typedef pthread_mutex_t fgd_mutex;
typedef pthread_cond_t fgd_condition;

static inline void fgd_yield(void) { sched_yield(); }

/* Return seconds since some fixed moment. */
static inline double fgd_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif

#endif
