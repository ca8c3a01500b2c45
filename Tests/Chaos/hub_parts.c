/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hub_parts.h"
#include "support.h"
#include <pulsews_hub.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct hub_world *hub;
static pid_t process;

/* ---- The hub's process ---- */

void set_hub(const char *format, ...) {
    va_list arguments;
    hub = &world->hub;
    if (hub->settings == HUB_SETTINGS) abort();
    va_start(arguments, format);
    vsnprintf(hub->setting[hub->settings++], sizeof hub->setting[0], format, arguments);
    va_end(arguments);
}

void start_hub(void) { process = start_program("hub", 1); }

void kill_hub(void) {
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
}

void end_hub(const char *part, int count) {
    int status = -1, told = 0;
    int64_t until = monotonic() + 10000000000;
    atomic_store(&hub->ends, 1);
    while (waitpid(process, &status, WNOHANG) == 0 && monotonic() < until) serve_peers();
    for (int i = 0; i < count; i++) told += peers[i].close_code == 1012;
    result(status == 0 && told == count,
           "%s: the hub drains and ends, and tells it to %d of %d peers (1012); status %d", part, told, count, status);
    check_complaints();
}

void ask_for_report(void) {
    uint32_t wanted = atomic_fetch_add(&hub->reports_wanted, 1) + 1;
    if (!COMES(atomic_load(&hub->reports) == wanted, 20)) result(0, "the hub reports");
}

double hub_statistic(const char *name) {
    const char *known;
    for (size_t i = 0; pulsews_hub_statistic_at(i, &known, NULL, NULL, NULL) == PULSEWS_OK; i++)
        if (strcmp(known, name) == 0) return hub->statistics[i];
    abort();
}

long hub_memory(void) {
    char path[64], line[128];
    long kilobytes = -1;
    snprintf(path, sizeof path, "/proc/%d/status", process);
    FILE *file = fopen(path, "r");
    while (file && kilobytes < 0 && fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kilobytes);
    if (file) fclose(file);
    return kilobytes * 1024;
}

/* ---- Results ---- */

void check_peers(const char *part, int are_there) {
    const struct follow_totals *t = &follow_totals;
    result(are_there, "%s: all peers have got to the end", part);
    result(
        t->complaints == 0 && t->got > 0,
        "%s: each number once: %llu messages, %llu skipped for a newer one, %llu missing as %llu gaps say; complaints: %llu",
        part, (unsigned long long)t->got, (unsigned long long)t->skipped, (unsigned long long)t->missing,
        (unsigned long long)t->gaps, (unsigned long long)t->complaints);
}

void check_books(const char *part) {
    ask_for_report();
    const struct hub_row *sum = &hub->sum;
    result(sum->queued == 0 && sum->offered == sum->written + sum->conflated + sum->dropped && sum->offered > 0,
           "%s: the books balance, %llu times before: %llu offered = %llu written + %llu conflated + %llu dropped",
           part, (unsigned long long)atomic_load(&hub->balances), (unsigned long long)sum->offered,
           (unsigned long long)sum->written, (unsigned long long)sum->conflated, (unsigned long long)sum->dropped);
}

static void end_lives(int peers_count) {
    for (int i = 0; i < peers_count; i++)
        for (int k = 0; k < peers[i].count; k++) follow_end(&peers[i].topics[k], 1);
}

static void finish(const char *part, const struct habits *habits) {
    atomic_store(&hub->rate, 0);
    int are_there = serve_until_all_are_there(30);
    if (are_there) end_lives(habits->peers);
    check_peers(part, are_there);
    check_books(part);
}

static void note_ways(void) {
    note(
        "cut by reset %llu, close %llu, in a frame %llu, close frame %llu, half-close %llu; from without %llu, silent %llu",
        (unsigned long long)peer_ways[0], (unsigned long long)peer_ways[1], (unsigned long long)peer_ways[2],
        (unsigned long long)peer_ways[3], (unsigned long long)peer_ways[4], (unsigned long long)peer_ways[5],
        (unsigned long long)peer_ways[6]);
}

/* ---- Returns, kills, faults ---- */

/* Four topics; the last one conflates, and gives the latest to newcomers. */
static void set_topics(int queue, int history, int size) {
    set_hub("hub queue_messages %d", queue);
    set_hub("hub queue_bytes 16MiB");
    set_hub("hub heartbeat 300ms");
    set_hub("hub heartbeat_timeout 2s");
    set_hub("topic ** history %d", history);
    set_hub("topic ** history_age 0");
    for (const char *name = "conflate k\0latest true\0history_age 0\0"; *name; name += strlen(name) + 1)
        set_hub("topic t%d %s", HUB_TOPICS - 1, name);
    set_hub("topic t%d history %d", HUB_TOPICS - 1, history);
    hub->topics = HUB_TOPICS;
    hub->keyed = HUB_TOPICS - 1;
    hub->size = size;
}

void run_returns(uint64_t returns) {
    enum { QUEUE = 4096, HISTORY = 250, RATE = 1000 };
    const struct habits habits = {.peers = 40,
                                  .topics = 2,
                                  .route = DIRECT,
                                  .cuts = 250,
                                  .away = 90,
                                  .long_away = 2400,
                                  .patience = 10000,
                                  .history = HISTORY,
                                  .room = 4 * QUEUE,
                                  .seed = world->seed};
    set_topics(QUEUE, HISTORY, 200);
    start_hub();
    make_peers(&habits);
    atomic_store(&hub->rate, RATE);
    int64_t begun = monotonic(), until = begun + (int64_t)(20 + returns / 20) * 1000000000;
    while (peer_returns < returns && monotonic() < until) serve_peers();
    double seconds = (double)(monotonic() - begun) / 1e9;
    stop_cutting();
    result(peer_returns >= returns, "returns: %llu in %.1f s, at %d messages a second",
           (unsigned long long)peer_returns, seconds, RATE);
    finish("returns", &habits);
    const struct follow_totals *t = &follow_totals;
    result(
        t->recoveries > returns / 2 && t->gaps > 0 && t->slow_gaps == 0 && t->snapshots > (uint64_t)habits.peers,
        "returns: %llu subscriptions went on without a gap, %llu had missed more than the history keeps; %llu snapshots",
        (unsigned long long)t->recoveries, (unsigned long long)t->gaps, (unsigned long long)t->snapshots);
    note_ways();
    end_hub("returns", habits.peers);
    free_peers();
}

static int are_distinct(uint32_t lives) {
    for (uint32_t i = 1; i <= lives; i++)
        for (uint32_t k = 1; k < i; k++)
            if (strcmp(hub->epoch[i], hub->epoch[k]) == 0) return 0;
    return 1;
}

void run_kills(int kills) {
    enum { QUEUE = 4096, HISTORY = 250, RATE = 2000 };
    const struct habits habits = {.peers = 24,
                                  .topics = 2,
                                  .route = DIRECT,
                                  .cuts = 600,
                                  .away = 60,
                                  .long_away = 2400,
                                  .patience = 10000,
                                  .history = HISTORY,
                                  .room = 4 * QUEUE,
                                  .seed = world->seed};
    uint64_t dice = world->seed ^ 0x6B696C6C;
    set_topics(QUEUE, HISTORY, 200);
    hub->loads = 1;
    if (kills >= HUB_LIVES - 1) kills = HUB_LIVES - 2;
    start_hub();
    make_peers(&habits);
    atomic_store(&hub->rate, RATE);
    for (int done = 0; done < kills; done++) {
        int64_t until = monotonic() + (int64_t)(150 + below(&dice, 450)) * 1000000;
        while (monotonic() < until) serve_peers();
        kill_hub();
        start_hub();
    }
    for (int64_t until = monotonic() + 300000000; monotonic() < until;) serve_peers();
    stop_cutting();
    finish("kills", &habits);
    uint32_t lives = atomic_load(&hub->life);
    result(lives == (uint32_t)kills + 1 && are_distinct(lives),
           "kills: %d, and each life of the hub has an epoch of its own", kills);
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < habits.peers; i++)
        for (int k = 0; k < peers[i].count; k++)
            if (peers[i].topics[k].restarts < least) least = peers[i].topics[k].restarts;
    result(least > 0 && follow_totals.restarts > (uint64_t)kills,
           "kills: peers were told of a restart %llu times (hub_restart), each at least %llu times, and went on",
           (unsigned long long)follow_totals.restarts, (unsigned long long)least);
    note_ways();
    end_hub("kills", habits.peers);
    free_peers();
}

void run_faults(double seconds) {
    enum { QUEUE = 32, HISTORY = 250, RATE = 600 };
    const struct habits habits = {.peers = 40,
                                  .topics = 2,
                                  .route = PROXY,
                                  .cuts = 2000,
                                  .away = 60,
                                  .long_away = 2400,
                                  .naps = 1200,
                                  .patience = 1500,
                                  .history = HISTORY,
                                  .room = 4 * QUEUE,
                                  .seed = world->seed};
    set_topics(QUEUE, HISTORY, 2500);
    set_hub("hub max_message_size 4KiB");
    set_hub("hub header_timeout 1s");
    set_hub("hub close_timeout 1s");
    start_hub();
    atomic_store(&world->proxy_faults, 3);
    start_proxy();
    make_peers(&habits);
    atomic_store(&hub->rate, RATE);
    int is_short = seconds < 30; /* chance may leave something out */
    int64_t until = monotonic() + (int64_t)(seconds * 1e9);
    while (monotonic() < until) serve_peers();
    stop_cutting();
    atomic_store(&world->proxy_faults, 0);
    atomic_store(&world->quiet, 1);
    finish("faults", &habits);
    char faults[100];
    int used = 0, kinds = 0;
    for (const char *letter = "sbrchtg"; *letter; letter++) {
        unsigned long long count = atomic_load(&world->proxy_events[*letter - 'a']);
        used += snprintf(faults + used, sizeof faults - (size_t)used, " %c:%llu", *letter, count);
        kinds += count > 0;
    }
    result(kinds == 7 || (is_short && kinds >= 5),
           "faults: of all kinds:%s (stall, both ways, reset, cut, half-open, trickle, garbage)", faults);
    result(
        peer_returns > 0 && follow_totals.recoveries > 0 && hub_statistic("protocol_errors") > 0 &&
            (is_short || follow_totals.slow_gaps > 0),
        "faults: %llu returns, %llu subscriptions went on without a gap; %llu gaps of slow peers; the hub saw %.0f breaches",
        (unsigned long long)peer_returns, (unsigned long long)follow_totals.recoveries,
        (unsigned long long)follow_totals.slow_gaps, hub_statistic("protocol_errors"));
    note_ways();
    end_hub("faults", habits.peers);
    free_peers();
}
