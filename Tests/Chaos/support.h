/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the chaos run have in common: server and proxy as child processes, a network of their own, clients
 * with options, events, results.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "world.h"
#include <pulsews.h>
#include <stddef.h>
#include <sys/types.h>

extern struct world *world;
/* Whether clients and server have namespaces of their own, with a wire between them that can be cut. */
extern int has_network;

/* Namespaces, the shared memory, a certificate in `folder`. Before any thread. */
void set_up(uint64_t seed, const char *folder, const char *programs);
/* Each returns when the child serves. `in_server`: on the server's host. */
pid_t start_program(const char *name, int in_server);
void start_server(void);
void kill_server(void);
void start_proxy(void);
/* Drops everything between the server's host and this one: bits 1 (towards the server) and 2 (from it). */
void partition(int directions);

enum { DIRECT = 0, PROXY = 1, TLS = 2 };
/* In KiB: TLS sessions that wait to be resumed, at most 32 for each of two servers, of about 2 KiB. */
enum { KEPT_SESSIONS = 2 * 32 * 2 };
/* A client for /index/subscriptions/flags with options "name=value", subscribed to s0, s1 ... */
pulsews_client *make_client(int index, int subscriptions, int flags, int route, pulsews_loop *loop,
                            const char *const *options);
/* A part of every client's URL. */
#define SECRET "xyzzy42"
#define OPTIONS(...)                                                                                                   \
    (const char *const[]) { __VA_ARGS__, NULL }

/* The index of a statistic; the run ends if there is none. */
int statistic_index(const char *name);
double statistic(const pulsews_client *client, const char *name);
/* accepted - sent - dropped - expired - failed - queue_size: has to be 0 at every moment. */
double account(const pulsews_client *client, double *accepted);

/* Events are JSON objects without nesting. */
int event_is(const pulsews_message *m, const char *kind);
int event_has(const pulsews_message *m, const char *part);
double event_number(const pulsews_message *m, const char *key);

/* One line; counts as passed or failed. */
void result(int is_good, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skipped(const char *why);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The summary line; what main returns. */
int summary(void);
/* The server's complaints, as failures. */
void check_complaints(void);

/* Waits for a condition that another process brings about, looking every millisecond; 0 if it does not come in time. */
#define COMES(condition, seconds)                                                                                      \
    ({                                                                                                                 \
        int64_t until_ = monotonic() + (int64_t)((seconds) * 1e9);                                                     \
        int is_so_;                                                                                                    \
        while (!(is_so_ = !!(condition)) && monotonic() < until_) nap(1);                                              \
        is_so_;                                                                                                        \
    })
void nap(double milliseconds);

struct usage {
    int threads, descriptors;
    long bytes, resident;
};
struct usage usage(void);

int by_size(const void *a, const void *b); /* doubles, for qsort */

/* The parts. `seconds` and `scale` as their comments say. */
void run_books(double seconds, int clients);
void run_limits(void);
void run_storm(int clients, int restarts);
void run_weeks(int weeks, double day);
void run_tails(double seconds);
void run_names(double seconds);

#endif
