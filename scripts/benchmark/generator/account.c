/* Clock, chance, and what the server's processes have used so far. */
#define _GNU_SOURCE
#include "generator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* The time until the next of events that come at random, `rate` a second. */
double exponential(double rate)
{
    double chance = (random() + 1.0) / (RAND_MAX + 2.0);
    return -log(chance) / rate;
}

static double process_cpu(int pid)
{
    /* The process's own clock: it counts in nanoseconds, and threads that have ended, too. */
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
        return 0;
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double process_memory(int pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    long kilobytes = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kilobytes) == 1)
            break;
    fclose(file);
    return kilobytes * 1024.0;
}

static double over_processes(double (*measure)(int pid))
{
    char pids[256], *rest = NULL;
    double sum = 0;
    snprintf(pids, sizeof pids, "%s", options.pids);
    for (char *pid = strtok_r(pids, ",", &rest); pid; pid = strtok_r(NULL, ",", &rest))
        sum += measure(atoi(pid));
    return sum;
}

double server_cpu(void)
{
    return over_processes(process_cpu);
}

long server_memory(void)
{
    return (long)over_processes(process_memory);
}

double own_cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
           + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double percentile(double *values, long count, double part)
{
    if (count == 0)
        return -1;
    qsort(values, count, sizeof *values, ascending);
    return values[(long)(part * (count - 1) + 0.5)];
}
