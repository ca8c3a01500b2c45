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

typedef struct test {
    const char *name;
    void (*body)(void);
    struct test *next;
} test;
void add_test(test *t);

#define TEST(name)                                                                                                     \
    static void name(void);                                                                                            \
    static test test_##name = {#name, name, NULL};                                                                     \
    __attribute__((constructor)) static void add_##name(void) { add_test(&test_##name); }                              \
    static void name(void)

/* Ends the test when `condition` does not hold. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The same for a status or count, which is named when it is another. */
#define IS(call, expected) check_status((call), (expected), #call, __FILE__, __LINE__)
void check_status(int64_t value, int64_t expected, const char *call, const char *file, int line);

/* A server of Tests/Integration/hostile.py; gives the port. It ends with this process. */
int start_server(const char *mode);
/* A program beside it, which prints its port first and ends with its standard input; the last argument NULL. */
enum { MOST_ARGUMENTS = 16 };
int start_program(const char *name, const char *const *arguments, int *in, int *out);

/* A client for `path` at a port of this machine, or for a URL, not opened. Options as "name=value", the last NULL. */
pulsews_client *make_client(int port, const char *const *options);
pulsews_client *make_client_at(const char *url, const char *const *options);
/* The same with `open_timeout` and opened; the test ends if that fails. */
pulsews_client *open_client(int port, const char *const *options);

/* What the opening gives for a server that misbehaves. */
int32_t opening(const char *mode, const char *const *options, pulsews_client **client);

/* A port of this machine that is ours and refuses. */
int refusing_port(void);

/* A server of Tests/Integration/scripted.py, with one script for each connection, the last NULL. It ends with this
 * process. */
typedef struct server server;
server *scripted(const char *const *scripts);
#define SCRIPTS(...) OPTIONS(__VA_ARGS__)
int port_of(const server *s);
const char *url_of(const server *s); /* ws://127.0.0.1:PORT/path */
/* "go", "down" or "up". */
void tell_server(server *s, const char *command);

/* What the server got, or did, and when. */
typedef struct record {
    int connection, is_taken;
    int64_t at; /* ns since the server's start */
    char kind[12];
    char *text;
} record;
/* The next record of this connection (0: of any) with this kind and `part` in its text, which takes those before it
 * too; waits for it, and the test ends if it does not come. */
const record *await_record(server *s, int connection, const char *kind, const char *part);
/* When the server had read this connection's request, by its clock: what the client sends over it leaves later. */
int64_t requested_at(server *s, int connection);
/* Makes all records new. */
void rewind_records(server *s);
/* The next text of this connection is `text`. */
void expect_at_server(server *s, int connection, const char *text);
/* How many records there are so far, with those of all that the client has an answer to. NULL: any kind, any text. */
int count_records(server *s, int connection, const char *kind, const char *part);

/* Receives until an event that contains all parts; what comes before is skipped. It lives until the next call. */
const char *await_event(pulsews_client *client, const char *const *parts);
#define EVENT(client, ...) await_event(client, OPTIONS(__VA_ARGS__))
/* Receives until a text, which has to be this one. */
void await_text(pulsews_client *client, const char *text);
/* The number under a key of a JSON object; the test ends if there is none. */
double json_number(const char *json, const char *key);
/* A value of pulsews_statistics, by name. */
double statistic(const pulsews_client *client, const char *name);
/* accepted = sent + dropped + expired + failed + queue_size */
void check_account(const pulsews_client *client);
/* Waits until a statistic is at least this. */
void await_statistic(const pulsews_client *client, const char *name, double least);
void send_text(pulsews_client *client, const char *text);

pthread_t run_thread(void *(*body)(void *), void *argument);

/* Nanoseconds of the monotonic clock, and the greatest memory use of this process so far in bytes. */
int64_t now_ns(void);
int64_t peak_memory(void);

#define OPTIONS(...)                                                                                                   \
    (const char *const[]) { __VA_ARGS__, NULL }
#define NO_OPTIONS                                                                                                     \
    (const char *const[]) { NULL }
#define SHORT PULSEWS_SECONDS(30) /* for what has to come: only a hang lasts so long */

#endif
