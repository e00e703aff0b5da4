/* How many threads OpenMP can start. GNU's library ends the process when it cannot start a thread:
 * at a limit on processes (RLIMIT_NPROC, a container's pids) or on addresses (RLIMIT_AS). So idle
 * threads are started here first, and OpenMP is asked for no more than could be started. */
#ifndef FASTGD_TEAM_H
#define FASTGD_TEAM_H

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    FGD_MOST_TEAM = 1024,
    FGD_TEAM_SLACK = 1 << 20 /* bytes that must remain for OpenMP's own data */
};

/* OpenMP keeps a team for each thread that has requested one, so these are thread-local: the team's
 * size, and a larger size that was refused, with the time in seconds of the next attempt. */
static __thread int fgd_team_now, fgd_team_refused;
static __thread double fgd_team_next_try;

static void *fgd_wait_at_gate(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Return how many threads, at most n, can be started beside the calling one. If that is fewer than
 * n, return one fewer: another process may take the last. */
static int fgd_try_threads(int n) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t started[FGD_MOST_TEAM];
    int count = 0;
    pthread_mutex_lock(&gate);
    while (count < n && pthread_create(&started[count], NULL, fgd_wait_at_gate, &gate) == 0)
        count++;
    void *volatile slack = malloc(FGD_TEAM_SLACK);
    int found = slack == NULL || count < n ? count - 1 : count;
    free(slack);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < count; i++) pthread_join(started[i], NULL);
    return found < 0 ? 0 : found;
}

/* Return the size of the largest team that can be started, at most `wanted` threads. */
static inline int fgd_team(int wanted, double now) {
    if (wanted > FGD_MOST_TEAM) wanted = FGD_MOST_TEAM;
    if (fgd_team_now < 1) fgd_team_now = 1;
    if (wanted <= fgd_team_now) {
        fgd_team_now = wanted; /* OpenMP ends the other threads */
    } else if (wanted != fgd_team_refused || now > fgd_team_next_try) {
        fgd_team_now += fgd_try_threads(wanted - fgd_team_now);
        fgd_team_refused = fgd_team_now < wanted ? wanted : 0;
        fgd_team_next_try = now + 1;
    }
    return fgd_team_now;
}

#endif
