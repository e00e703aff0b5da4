/* How many threads OpenMP can start. GNU's library ends the process where it cannot start one: at
 * a limit on processes (RLIMIT_NPROC, a container's pids) or on addresses (RLIMIT_AS). So threads
 * are started here first, that do nothing, and OpenMP is asked for no more than there were. */
#ifndef FASTGD_TEAM_H
#define FASTGD_TEAM_H

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    FGD_MOST_TEAM = 1024,
    FGD_TEAM_SLACK = 1 << 20 /* bytes that must be left for OpenMP's own notes */
};

/* OpenMP keeps a team for the thread that has asked for it, and so is this kept: the team's size,
 * and a larger one that could not be had, with the time in seconds when to try again. */
static __thread int fgd_team_now, fgd_team_refused;
static __thread double fgd_team_next_try;

static void *fgd_wait_at_gate(void *gate) {
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Return how many threads there can be now beside the calling one, at most n. Where it was fewer
 * than n, one less: somebody else may take the last. */
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

/* Return the size of the team that can be had, of at most `wanted` threads. */
static inline int fgd_team(int wanted, double now) {
    if (wanted > FGD_MOST_TEAM) wanted = FGD_MOST_TEAM;
    if (fgd_team_now < 1) fgd_team_now = 1;
    if (wanted <= fgd_team_now) {
        fgd_team_now = wanted; /* OpenMP lets the others go */
    } else if (wanted != fgd_team_refused || now > fgd_team_next_try) {
        fgd_team_now += fgd_try_threads(wanted - fgd_team_now);
        fgd_team_refused = fgd_team_now < wanted ? wanted : 0;
        fgd_team_next_try = now + 1;
    }
    return fgd_team_now;
}

#endif
