/* Sets the time of day, and nothing else, by as many seconds as a file says: its name is in CLOCK_SHIM. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void) {
    long seconds = 0;
    const char *name = getenv("CLOCK_SHIM");
    FILE *file = name ? fopen(name, "r") : NULL;
    if (!file) return 0;
    if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    fclose(file);
    return seconds;
}

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = REAL(clock_gettime)(clock, at);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    int result = REAL(gettimeofday)(at, zone);
    if (!result) at->tv_sec += offset();
    return result;
}

time_t time(time_t *at) {
    time_t now = REAL(time)(NULL) + offset();
    if (at) *at = now;
    return now;
}
