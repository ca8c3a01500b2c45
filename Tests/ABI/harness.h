/* SPDX-License-Identifier: Apache-2.0
 *
 * A small test harness. A program of tests runs one test per process: `abi --list` prints the names, `abi NAME` runs one.
 * It exits with 0 if the test passed. The caller bounds the time.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <pulsews.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test { const char *name; void (*body)(void); struct test *next; } test;
void add_test(test *t);

#define TEST(name)                                                                    \
    static void name(void);                                                           \
    static test test_##name = {#name, name, NULL};                                    \
    __attribute__((constructor)) static void add_##name(void) { add_test(&test_##name); } \
    static void name(void)

/* Ends the test when `condition` does not hold. */
#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

/* The same for a status or count, which is named when it is another. */
#define IS(call, expected) check_status((call), (expected), #call, __FILE__, __LINE__)
void check_status(int64_t value, int64_t expected, const char *call, const char *file, int line);

/* A server of Tests/Integration/hostile.py; gives the port. It ends with this process. */
int start_server(const char *mode);

/* A client for `path` at a port of this machine, not opened. Options as "name=value", the last NULL. */
pulsews_client *make_client(int port, const char *const *options);
/* The same with `open_timeout` and opened; the test ends if that fails. */
pulsews_client *open_client(int port, const char *const *options);

/* What the opening gives for a server that misbehaves. */
int32_t opening(const char *mode, const char *const *options, pulsews_client **client);

pthread_t run_thread(void *(*body)(void *), void *argument);

/* Nanoseconds of the monotonic clock, and the greatest memory use of this process so far in bytes. */
int64_t now_ns(void);
int64_t peak_memory(void);

#define OPTIONS(...) (const char *const[]){__VA_ARGS__, NULL}
#define NO_OPTIONS (const char *const[]){NULL}
#define SHORT PULSEWS_SECONDS(10) /* for what has to come: long enough for a busy machine */

#endif
