#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "pool.h"

#include <stdlib.h>
#if !defined(_WIN32)
#include <signal.h>
#include <unistd.h>
#endif

static int max_threads = 1;

int fastgd_get_max_threads(void) { return __atomic_load_n(&max_threads, __ATOMIC_RELAXED); }

void fastgd_set_max_threads(int n) {
    __atomic_store_n(&max_threads, n < 1 || !FGD_THREADS ? 1 : n, __ATOMIC_RELAXED);
}

int fgd_cores(void) {
#if defined(_WIN32)
    long n = (long)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
#elif defined(__linux__)
    cpu_set_t allowed;
    long n = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed)
                                                                 : sysconf(_SC_NPROCESSORS_ONLN);
#else
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return n < 1 ? 1 : (int)n;
}

#if FGD_THREADS

enum {
    IDLE_SPINS = 4096, /* looks for a task before a worker sleeps: some 80 us */
    END_SPINS = 1024,  /* looks at the others' ends before the caller yields its core */
    STACK = 1 << 20,   /* bytes; musl's default, and macOS's, are small */
    SLACK = 1 << 20,   /* bytes that must remain for others when a thread starts */
};

static const double REFUSED = 1; /* seconds without a new attempt after the system refused one */

struct fgd_worker {
    unsigned jobs; /* given so far */
    int asleep;
    fgd_task *task; /* of the last job */
    void *context;
    int thread;
    unsigned *running;
    fgd_worker *next; /* in the list of idle workers, or in a team */
    fgd_mutex mutex;
    fgd_condition woken;
    char padding[64]; /* no other worker's data in the same cache line */
};

/* Idle workers, the last one used first, as its cache is warm. */
static fgd_worker *idle;
static double next_attempt;

#if defined(_WIN32)

static SRWLOCK list_mutex = SRWLOCK_INIT;

static void lock(fgd_mutex *mutex) { AcquireSRWLockExclusive(mutex); }
static void unlock(fgd_mutex *mutex) { ReleaseSRWLockExclusive(mutex); }
static void wait_on(fgd_condition *condition, fgd_mutex *mutex) {
    SleepConditionVariableSRW(condition, mutex, INFINITE, 0);
}
static void wake(fgd_condition *condition) { WakeConditionVariable(condition); }

static void prepare(fgd_worker *worker) {
    InitializeSRWLock(&worker->mutex);
    InitializeConditionVariable(&worker->woken);
}

static void prepare_pool(void) {}

#else

static fgd_mutex list_mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(fgd_mutex *mutex) { pthread_mutex_lock(mutex); }
static void unlock(fgd_mutex *mutex) { pthread_mutex_unlock(mutex); }
static void wait_on(fgd_condition *condition, fgd_mutex *mutex) {
    pthread_cond_wait(condition, mutex);
}
static void wake(fgd_condition *condition) { pthread_cond_signal(condition); }

static void prepare(fgd_worker *worker) {
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->woken, NULL);
}

/* A forked process has the calling thread alone: forget the workers. */
static void forget_workers(void) {
    pthread_mutex_init(&list_mutex, NULL);
    idle = NULL;
    next_attempt = 0;
}

static void hold_list(void) { lock(&list_mutex); }
static void release_list(void) { unlock(&list_mutex); }

static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static void prepare_once(void) { pthread_atfork(hold_list, release_list, forget_workers); }
static void prepare_pool(void) { pthread_once(&prepared, prepare_once); }

#endif

static void wait_for_job(fgd_worker *worker, unsigned done) {
    for (int spins = IDLE_SPINS; spins > 0; spins--) {
        if (__atomic_load_n(&worker->jobs, __ATOMIC_ACQUIRE) != done) return;
        FGD_PAUSE();
    }
    lock(&worker->mutex);
    /* Either fgd_run sees that this worker is asleep, or the worker sees the job: both write first
     * and read then, in one order for all threads (sequentially consistent). */
    __atomic_store_n(&worker->asleep, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&worker->jobs, __ATOMIC_SEQ_CST) == done)
        wait_on(&worker->woken, &worker->mutex);
    __atomic_store_n(&worker->asleep, 0, __ATOMIC_RELAXED);
    unlock(&worker->mutex);
}

static void serve(fgd_worker *worker) {
    for (unsigned done = 0;; done++) {
        wait_for_job(worker, done);
        worker->task(worker->context, worker->thread);
        __atomic_sub_fetch(worker->running, 1, __ATOMIC_RELEASE); /* the last use of the job */
    }
}

#if defined(_WIN32)

static DWORD WINAPI begin(void *worker) {
    serve(worker);
    return 0;
}

static int start(fgd_worker *worker) {
    HANDLE thread = CreateThread(NULL, STACK, begin, worker, 0, NULL);
    if (thread == NULL) return 0;
    CloseHandle(thread);
    return 1;
}

#else

static void *begin(void *worker) {
    serve(worker);
    return NULL;
}

/* Signals of faults go to the thread at fault. Blocked, they would end the process before a
 * handler, such as faulthandler's, has said where. */
static const int FAULTS[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV};

/* Start a thread that gets no other signals: they are for the threads that run Python. */
static int start(fgd_worker *worker) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t others, before;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&others);
    for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) sigdelset(&others, FAULTS[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    int error = pthread_create(&thread, &attributes, begin, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

#endif

/* Return a new worker; NULL if the system refuses a thread, or would have no memory left then. */
static fgd_worker *new_worker(void) {
    void *volatile left = malloc(SLACK);
    fgd_worker *worker = left == NULL ? NULL : calloc(1, sizeof *worker);
    if (worker != NULL) {
        prepare(worker);
        if (!start(worker)) {
            free(worker);
            worker = NULL;
        }
    }
    free(left);
    return worker;
}

void fgd_gather(fgd_team *team, int n) {
    team->first = NULL;
    team->n_threads = 1;
    if (n < 2) return;
    prepare_pool();
    fgd_worker **end = &team->first;
    lock(&list_mutex);
    while (team->n_threads < n) {
        fgd_worker *worker = idle;
        if (worker != NULL) {
            idle = worker->next;
        } else {
            const double now = fgd_seconds();
            if (now < next_attempt) break;
            worker = new_worker();
            if (worker == NULL) {
                next_attempt = now + REFUSED;
                break;
            }
        }
        *end = worker;
        end = &worker->next;
        worker->thread = team->n_threads++;
    }
    unlock(&list_mutex);
    *end = NULL;
}

void fgd_run(fgd_team *team, fgd_task *task, void *context) {
    unsigned running = (unsigned)team->n_threads - 1;
    fgd_worker *last = NULL;
    for (fgd_worker *worker = team->first; worker != NULL; worker = worker->next) {
        worker->task = task;
        worker->context = context;
        worker->running = &running;
        __atomic_add_fetch(&worker->jobs, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&worker->asleep, __ATOMIC_SEQ_CST)) {
            lock(&worker->mutex);
            wake(&worker->woken);
            unlock(&worker->mutex);
        }
        last = worker;
    }
    task(context, 0);
    for (int spins = END_SPINS; __atomic_load_n(&running, __ATOMIC_ACQUIRE) != 0; spins--) {
        if (spins > 0)
            FGD_PAUSE();
        else
            fgd_yield();
    }
    if (last == NULL) return;
    lock(&list_mutex);
    last->next = idle;
    idle = team->first;
    unlock(&list_mutex);
}

#else

void fgd_gather(fgd_team *team, int n) {
    (void)n;
    team->first = NULL;
    team->n_threads = 1;
}

void fgd_run(fgd_team *team, fgd_task *task, void *context) {
    (void)team;
    task(context, 0);
}

#endif
