/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers that stop reading: what the others get, what the hub keeps, and what the stopped ones learn when they read on.
 */
#define _GNU_SOURCE
#include "hub_parts.h"
#include "support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS = 100, STOPPED = 3, RATE = 500, SIZE = 1024, QUEUE = 512, HISTORY = 600, LAG = 256 };
/* Of what a queue holds, the part that is being written. */
enum { LEAVING_MOST = 64 };

static struct hub_world *hub;
static long memory_before, memory_most;

/* The slowest of those that read: the hub is not ahead of it by more than LAG, so that a busy machine makes nobody slow. */
static void confirm(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < PEERS; i++)
        if (!peers[i].is_stopped && peers[i].topics[0].last < least) least = peers[i].topics[0].last;
    atomic_store(&hub->confirmed, least);
}

static void serve(double seconds) {
    int64_t until = monotonic() + (int64_t)(seconds * 1e9), look_at = 0;
    while (monotonic() < until) {
        serve_peers();
        confirm();
        if (monotonic() < look_at) continue;
        long memory = hub_memory();
        if (memory > memory_most) memory_most = memory;
        look_at = monotonic() + 20000000;
    }
}

static int serve_to_the_end(void) {
    atomic_store(&hub->rate, 0);
    return serve_until_all_are_there(60);
}

/* In milliseconds, of what was counted so far; begins anew. */
static double p99(void) {
    uint64_t all = 0, sum = 0;
    size_t at = 0;
    for (size_t i = 0; i < SLOWEST; i++) all += latencies[i];
    while (at < SLOWEST && (sum += latencies[at]) * 100 < all * 99) at++;
    memset(latencies, 0, SLOWEST * sizeof *latencies);
    return (double)at / 1000;
}

static const struct hub_row *row_of(const struct peer *p) {
    for (int i = 0; i < hub->rows; i++)
        if (hub->row[i].peer == p->id) return &hub->row[i];
    return NULL;
}

/* Of those that have been there all the time: what the hub wrote for them is what they got. */
static void check_rows(const char *policy, int first, uint64_t published) {
    struct hub_row sum = {0};
    int wrong = 0;
    ask_for_report();
    for (int i = first; i < PEERS; i++) {
        const struct follower *f = &peers[i].topics[0];
        const struct hub_row *row = row_of(&peers[i]);
        if (!row || row->offered != published || row->written != f->got || row->conflated != f->skipped ||
            row->dropped != f->missing || row->queued != 0) {
            wrong++;
            continue;
        }
        sum.offered += row->offered, sum.written += row->written;
        sum.conflated += row->conflated, sum.dropped += row->dropped;
    }
    result(
        wrong == 0,
        "stopped, %s: the books of %d peers say what they got, skipped and lost: %llu = %llu + %llu + %llu; wrong: %d",
        policy, PEERS - first, (unsigned long long)sum.offered, (unsigned long long)sum.written,
        (unsigned long long)sum.conflated, (unsigned long long)sum.dropped, wrong);
    if (first == 0)
        result(memcmp(&sum,
                      &(struct hub_row){0, hub->sum.offered, hub->sum.written, hub->sum.conflated, hub->sum.dropped, 0},
                      sizeof sum) == 0 &&
                   hub->sum.queued == 0,
               "stopped, %s: and so do those of the hub", policy);
}

/* While the stopped ones still do not read. */
static void check_others(const char *policy, uint64_t published) {
    int whole = 0, full = 0;
    for (int i = STOPPED; i < PEERS; i++) {
        const struct follower *f = &peers[i].topics[0];
        whole += f->got == published && f->last == published && f->gaps == 0 && f->skipped == 0;
    }
    result(whole == PEERS - STOPPED, "stopped, %s: %d of %d others have all of %llu messages in order", policy, whole,
           PEERS - STOPPED, (unsigned long long)published);
    ask_for_report();
    /* One that is being closed is no peer any more. */
    for (int i = 0; i < STOPPED; i++) {
        const struct hub_row *row = row_of(&peers[i]);
        if (strcmp(policy, "disconnect") == 0) full += !row;
        else if (row && row->offered == published)
            full += row->queued > 0 && row->queued <= QUEUE + LEAVING_MOST && row->dropped + row->conflated > 0;
    }
    /* One for each, and one more whenever the kernel enlarges its buffer so that a queue empties once. */
    double slow = hub_statistic("peers_slow");
    result(full == STOPPED && slow >= STOPPED,
           "stopped, %s: the queues of %d of %d are bounded, and were full: %.0f times", policy, full, STOPPED, slow);
    /* Messages are shared: those of the history and of the oldest queue, each plain and compressed. */
    long most = (HISTORY + QUEUE) * (2 * SIZE + 512L), grown = memory_most - memory_before;
    result(grown < most, "stopped, %s: the hub's memory grew by %ld KiB, less than %ld, while %llu KiB were published",
           policy, grown / 1024, most / 1024, (unsigned long long)published * SIZE / 1024);
}

static void check_stopped(const char *policy, uint64_t published) {
    int good = 0;
    uint64_t skipped = 0, missing = 0, resumed = 0;
    for (int i = 0; i < STOPPED; i++) {
        const struct follower *f = &peers[i].topics[0];
        skipped += f->skipped, missing += f->missing, resumed += f->recoveries;
        int is_all = f->got + f->skipped + f->missing == published;
        if (strcmp(policy, "conflate") == 0) good += is_all && f->skipped > 0 && f->missing == 0;
        else if (strcmp(policy, "disconnect") == 0)
            good += is_all && peers[i].close_code == 4008 && f->skipped == 0 && f->gaps + f->recoveries == 1;
        else good += is_all && f->gaps > 0 && f->skipped == 0;
    }
    result(good == STOPPED,
           "stopped, %s: %d of %d that read on learn what they have missed: %llu skipped, %llu missing, %llu resumed",
           policy, good, STOPPED, (unsigned long long)skipped, (unsigned long long)missing,
           (unsigned long long)resumed);
}

void run_stopped(double seconds, const char *policy) {
    const struct habits habits = {.peers = PEERS,
                                  .topics = 1,
                                  .route = DIRECT,
                                  .away = 1,
                                  .patience = 60000,
                                  .history = HISTORY,
                                  .room = 4 * QUEUE,
                                  .seed = world->seed};
    int is_disconnect = strcmp(policy, "disconnect") == 0;
    set_hub("hub slow_policy %s", policy);
    set_hub("hub queue_messages %d", QUEUE);
    set_hub("hub queue_bytes 4MiB");
    set_hub("hub heartbeat_timeout 0");
    set_hub("hub close_timeout 10m");
    set_hub("topic ** history %d", HISTORY);
    set_hub("topic ** history_age 0");
    hub = &world->hub;
    hub->topics = 1;
    hub->keyed = strcmp(policy, "conflate") == 0 ? -1 : -2;
    hub->size = SIZE;
    hub->lag = LAG;
    if (!(latencies = calloc(SLOWEST, sizeof *latencies))) abort();
    start_hub();
    make_peers(&habits);
    result(serve_until_all_are_there(30), "stopped, %s: %d peers are there", policy, PEERS);
    atomic_store(&hub->rate, RATE);
    serve(seconds / 4);
    double before = p99();
    memory_before = memory_most = hub_memory();
    for (int i = 0; i < STOPPED; i++) stop_reading(&peers[i], 1);
    serve(seconds);
    note("p99 of the others: %.1f ms without stopped ones, %.1f ms with them; publishing waited %llu times", before,
         p99(), (unsigned long long)atomic_load(&hub->holds));
    int are_there = serve_to_the_end();
    uint64_t published = atomic_load(&hub->published[0]);
    check_others(policy, published);
    for (int i = 0; i < STOPPED; i++) stop_reading(&peers[i], 0);
    are_there = serve_to_the_end() && are_there;
    for (int i = 0; i < PEERS; i++) follow_end(&peers[i].topics[0], 1);
    check_peers("stopped", are_there);
    check_rows(policy, is_disconnect ? STOPPED : 0, published);
    check_stopped(policy, published);
    check_books("stopped");
    end_hub("stopped", PEERS);
    free_peers();
    free(latencies);
    latencies = NULL;
}
