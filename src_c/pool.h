/* A pool of threads: a team runs one task, then its threads go back to wait for the next.
 *
 * It takes the place of OpenMP's `parallel`, the only construct of OpenMP that the engine used: no
 * library must come with the package, each compiler for each system will do, a forked process can
 * start threads of its own, and a thread that the system refuses does not end the process. */
#ifndef FASTGD_POOL_H
#define FASTGD_POOL_H

#include "platform.h"

typedef struct fgd_worker fgd_worker;

typedef struct {
    fgd_worker *first; /* the others are linked */
    int n_threads;     /* with the one that calls */
} fgd_team;

typedef void fgd_task(void *context, int thread);

/* Take idle threads, or start new ones, so that with the calling one there are at most n. There are
 * fewer where the system refuses to start a thread. fgd_run gives them back. */
void fgd_gather(fgd_team *team, int n);

/* Run the task on all threads of a team, 0 on the calling one, and return when all have ended. */
void fgd_run(fgd_team *team, fgd_task *task, void *context);

/* How many cores this process may use. */
int fgd_cores(void);

/* The most threads that a run takes, which others may set: threadpoolctl finds these by name. */
#if defined(_WIN32)
#define FGD_EXPORT __declspec(dllexport)
#else
#define FGD_EXPORT __attribute__((visibility("default")))
#endif
FGD_EXPORT int fastgd_get_max_threads(void);
FGD_EXPORT void fastgd_set_max_threads(int n);

#endif
