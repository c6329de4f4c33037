/* The time of day, moved by STEAD_LAB_CLOCK_SECONDS: loaded into a program under test before its own libraries. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    const char *seconds = getenv("STEAD_LAB_CLOCK_SECONDS");
    if (!failed && clock == CLOCK_REALTIME && seconds)
        now->tv_sec += atoll(seconds);
    return (int)failed;
}
