/* SPDX-License-Identifier: Apache-2.0
 *
 * What every client program takes and prints, whatever its language:
 *
 *     CLIENT MEASURE URL COUNT SIZE CA
 *
 *   flood      receive text messages until the server closes; in batches where the client has them
 *   flood-one  the same with one receive call for each message
 *   echo       COUNT round trips of SIZE bytes, one at a time
 *   sink       send COUNT messages of SIZE bytes, one call each, and wait for the server's confirmation
 *   burst      COUNT times: 64 messages in a row, then their 64 echoes
 *   connect    COUNT times: connect, open, close
 *   idle       hold COUNT open connections
 *   queue      accept COUNT messages of SIZE bytes before connecting, connect, and wait for the server's confirmation
 *   journal    sink with a journal, a file in /tmp
 *   patterns   flood with heartbeat_reply and stale_timeout set, so that every message is looked at
 *   publish    publish COUNT JSON texts of SIZE bytes to a hub of this process that has no peer, one call each
 *
 * One line of JSON: messages, seconds and cpu (seconds of this process) for all but idle; p50_us and p99_us of what is
 * repeated; kib_each for idle; for queue the seconds and cpu of accepting, and drain_seconds and drain_cpu of the rest;
 * writes where the client counts its system calls; allocations where somebody counts them. */
#ifndef BENCH_H
#define BENCH_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 500, BURST = 64 };

typedef struct bench_task {
    const char *measure, *url, *ca;
    long count;
    size_t size;
    char host[128], port[8], target[256]; /* the URL's parts */
    int secure;
} bench_task;

typedef struct bench_clock {
    int64_t wall;
    double cpu;
} bench_clock;

static inline int64_t bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline bench_clock bench_start(void) {
    struct rusage use;
    bench_clock start;
    getrusage(RUSAGE_SELF, &use);
    start.cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    start.wall = bench_now();
    return start;
}

static inline void bench_fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static inline bench_task bench_arguments(int count, char **arguments) {
    bench_task task;
    memset(&task, 0, sizeof task);
    if (count != 6) bench_fail("usage: CLIENT MEASURE URL COUNT SIZE CA");
    task.measure = arguments[1];
    task.url = arguments[2];
    task.count = atol(arguments[3]);
    task.size = (size_t)atol(arguments[4]);
    task.ca = arguments[5];
    task.secure = !strncmp(task.url, "wss", 3);
    if (sscanf(task.url, "%*[a-z]://%127[^:/]:%7[0-9]%255s", task.host, task.port, task.target) != 3)
        bench_fail("bad URL");
    return task;
}

static inline int bench_is(const bench_task *task, const char *measure) { return !strcmp(task->measure, measure); }

static inline long bench_resident_kib(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2) bench_fail("no /proc/self/statm");
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static inline void bench_allow_files(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* ---- Allocations, if allocations.c is preloaded */

static inline uint64_t bench_allocations(void) {
    static uint64_t (*counter)(void);
    static int looked;
    if (!looked) {
        void *found = dlsym(RTLD_DEFAULT, "bench_allocation_count");
        memcpy(&counter, &found, sizeof counter);
        looked = 1;
    }
    return counter ? counter() : 0;
}

/* ---- Results */

static inline void bench_print(const bench_task *task, bench_clock start, long messages, const char *more) {
    bench_clock end = bench_start();
    printf("{\"measure\":\"%s\",\"messages\":%ld,\"seconds\":%.6f,\"cpu\":%.6f%s}\n", task->measure, messages,
           (double)(end.wall - start.wall) / 1e9, end.cpu - start.cpu, more);
    fflush(stdout);
}

static inline void bench_print_queue(const bench_task *task, bench_clock start, bench_clock accepted, bench_clock end,
                                     long messages) {
    printf("{\"measure\":\"%s\",\"messages\":%ld,\"seconds\":%.6f,\"cpu\":%.6f,"
           "\"drain_seconds\":%.6f,\"drain_cpu\":%.6f}\n",
           task->measure, messages, (double)(accepted.wall - start.wall) / 1e9, accepted.cpu - start.cpu,
           (double)(end.wall - accepted.wall) / 1e9, end.cpu - accepted.cpu);
    fflush(stdout);
}

static inline int bench_order(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static inline void bench_print_times(const bench_task *task, bench_clock start, int64_t *times, long count,
                                     const char *more) {
    char text[256];
    bench_clock end = bench_start();
    qsort(times, (size_t)count, sizeof *times, bench_order);
    snprintf(text, sizeof text, ",\"p50_us\":%.2f,\"p99_us\":%.2f%s", (double)times[count / 2] / 1e3,
             (double)times[count * 99 / 100] / 1e3, more);
    printf("{\"measure\":\"%s\",\"messages\":%ld,\"seconds\":%.6f,\"cpu\":%.6f%s}\n", task->measure, count,
           (double)(end.wall - start.wall) / 1e9, end.cpu - start.cpu, text);
    fflush(stdout);
}

static inline void bench_print_idle(const bench_task *task, long first, long all) {
    printf("{\"measure\":\"idle\",\"messages\":%ld,\"kib_each\":%.3f}\n", task->count,
           (double)(all - first) / (double)(task->count > 1 ? task->count - 1 : 1));
    fflush(stdout);
}

#endif
