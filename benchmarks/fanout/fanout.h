/* SPDX-License-Identifier: Apache-2.0
 *
 * What every server of the fan-out benchmark takes and prints, whatever its language:
 *
 *     SERVER plain|tls CERTIFICATE KEY FLUSH_US
 *
 * It listens on a free port of the loopback and prints `port N`. Every peer that connects to /fanout gets what is published,
 * without context takeover where it offers permessage-deflate. FLUSH_US: how long messages are gathered, for a server that
 * can; 0 sends each at once. Then it obeys the lines of its standard input, and ends with it:
 *
 *   report                                  prints {"cpu": seconds of this process, "rss": resident KiB}
 *   publish COUNT BURST INTERVAL_US FILE    publishes COUNT messages, BURST together every INTERVAL_US, numbered from 0 on,
 *                                           and prints {"published": COUNT}
 *
 * A message is {"n":1000000000 + number,"s":nanoseconds since 1970,"d":LINE}; the lines of FILE follow each other round and
 * round. */
#ifndef FANOUT_H
#define FANOUT_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { FANOUT_HEAD = 44, FANOUT_BURST = 64 };

typedef struct fanout_load {
    long count, burst, published;
    int64_t interval, due; /* ns, monotonic */
    char *lines;           /* each ends with NUL */
    size_t *starts, line_count;
    size_t longest;
} fanout_load;

static inline int64_t fanout_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void fanout_require(int holds, const char *what) {
    if (holds) return;
    perror(what);
    exit(1);
}

static inline void fanout_say_port(int port) {
    printf("port %d\n", port);
    fflush(stdout);
}

static inline void fanout_report(void) {
    struct rusage use;
    long pages = 0;
    getrusage(RUSAGE_SELF, &use);
    FILE *file = fopen("/proc/self/statm", "r");
    fanout_require(file && fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm");
    fclose(file);
    printf("{\"cpu\": %.6f, \"rss\": %ld}\n",
           (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
               (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
           pages * (sysconf(_SC_PAGESIZE) / 1024));
    fflush(stdout);
}

static inline void fanout_read_lines(fanout_load *load, const char *path) {
    FILE *file = fopen(path, "r");
    fanout_require(file && !fseek(file, 0, SEEK_END), path);
    size_t size = (size_t)ftell(file);
    rewind(file);
    load->lines = (char *)malloc(size + 1);
    load->starts = (size_t *)malloc((size + 1) * sizeof *load->starts);
    fanout_require(load->lines && load->starts && fread(load->lines, 1, size, file) == size, path);
    fclose(file);
    load->lines[size] = 0;
    for (size_t at = 0; at < size;) {
        char *end = strchrnul(load->lines + at, '\n');
        size_t length = (size_t)(end - load->lines) - at;
        *end = 0;
        if (length) load->starts[load->line_count++] = at;
        if (length > load->longest) load->longest = length;
        at += length + 1;
    }
    fanout_require(load->line_count > 0, "no line in the file of messages");
}

/* One command: 1 for publish, with `load` filled; 0 for a report, which is printed. */
static inline int fanout_command(const char *line, fanout_load *load) {
    char path[512];
    long micros;
    if (!strncmp(line, "report", 6)) return fanout_report(), 0;
    memset(load, 0, sizeof *load);
    if (sscanf(line, "publish %ld %ld %ld %511s", &load->count, &load->burst, &micros, path) != 4 || load->burst < 1 ||
        load->burst > FANOUT_BURST) {
        fprintf(stderr, "unknown command: %s\n", line);
        exit(1);
    }
    load->interval = micros * 1000;
    fanout_read_lines(load, path);
    load->due = fanout_clock(CLOCK_MONOTONIC);
    return 1;
}

/* Writes the next message, of at most `longest + FANOUT_HEAD + 2` bytes, and gives its length. */
static inline size_t fanout_message(fanout_load *load, char *into) {
    const char *line = load->lines + load->starts[(size_t)load->published % load->line_count];
    int head = sprintf(into, "{\"n\":%ld,\"s\":%lld,\"d\":", 1000000000 + load->published++,
                       (long long)fanout_clock(CLOCK_REALTIME));
    size_t length = strlen(line);
    memcpy(into + head, line, length);
    into[(size_t)head + length] = '}';
    return (size_t)head + length + 1;
}

/* Nanoseconds until the next burst; negative when all is published. */
static inline int64_t fanout_wait(const fanout_load *load) {
    if (load->published >= load->count) return -1;
    int64_t wait = load->due - fanout_clock(CLOCK_MONOTONIC);
    return wait > 0 ? wait : 0;
}

static inline void fanout_published(fanout_load *load) {
    printf("{\"published\": %ld}\n", load->published);
    fflush(stdout);
    free(load->lines);
    free(load->starts);
    memset(load, 0, sizeof *load);
}

#endif
