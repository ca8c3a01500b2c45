/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits: how soon a half-open link and a mute feed are found. Short limits, and one second of grace for each.
 */
#include "support.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WATCHED = 12 };

struct watched {
    const char *what;
    const char *event, *part;    /* the event that finds it */
    double limit;
    pulsews_client *ws;
    pthread_t thread;
    _Atomic int64_t found_at, data_at;
    _Atomic int early, listens;
};

static struct watched watched[MOST_WATCHED];
static int watched_count;
static _Atomic int is_broken;

static void *watch(void *argument) {
    struct watched *w = argument;
    pulsews_message m;
    while (pulsews_recv(w->ws, &m, PULSEWS_FOREVER) == PULSEWS_OK) {
        if (m.kind != PULSEWS_EVENT) {
            if (m.length > 2 && memcmp(m.data, "d ", 2) == 0) atomic_store(&w->data_at, m.received_ns);
            continue;
        }
        int is_it = event_is(&m, w->event) && event_has(&m, w->part);
        if (is_it && atomic_load(&is_broken) && atomic_load(&w->found_at) == 0)
            atomic_store(&w->found_at, m.received_ns);
        if ((is_it || event_has(&m, "\"trigger\":\"retry\"")) && !atomic_load(&is_broken) && atomic_load(&w->listens))
            atomic_store(&w->early, 1);
    }
    return NULL;
}

static void add(const char *what, const char *event, const char *part, double limit, int flags, int route,
                const char *const *options) {
    const char *all[24] = {"events=true",    "reconnect_base_delay=10ms", "reconnect_max_delay=50ms",
                           "login=login",    "max_reconnect_attempts=0",  "host_connect_rate=1000/s",
                           "open_timeout=1s"};
    int count = 7;
    while (*options) all[count++] = *options++;
    struct watched *w = &watched[watched_count];
    *w = (struct watched){.what = what, .event = event, .part = part, .limit = limit};
    w->ws = make_client(watched_count++, 2, flags, route, NULL, all);
    pulsews_open(w->ws, 0, NULL, 0);
    pthread_create(&w->thread, NULL, watch, w);
}

static int all_have_data_since(int64_t time) {
    for (int i = 0; i < watched_count; i++)
        if (atomic_load(&watched[i].data_at) < time) return 0;
    return 1;
}

static int all_found(void) {
    for (int i = 0; i < watched_count; i++)
        if (atomic_load(&watched[i].found_at) == 0) return 0;
    return 1;
}

static void do_partition(int on) { partition(on ? 3 : 0); }
static void do_partition_inward(int on) { partition(on ? 2 : 0); }
static void do_half_open(int on) {
    if (on) atomic_store(&world->proxy_half_open, 1);
}
static void do_mute(int on) { atomic_store(&world->is_mute, on); }

/* Breaks it, waits until everyone has noticed, and repairs it. */
static void try_out(const char *what, void (*fault)(int on)) {
    result(COMES(all_have_data_since(1), 10), "%s: all are connected", what);
    for (int i = 0; i < watched_count; i++) atomic_store(&watched[i].listens, 1);
    nap(300); /* a while in which nothing may be found */
    int64_t begin = realtime();
    atomic_store(&is_broken, 1);
    fault(1);
    int64_t broken = realtime();
    COMES(all_found(), 8);
    fault(0);
    int64_t repaired = realtime();
    for (int i = 0; i < watched_count; i++) {
        struct watched *w = &watched[i];
        int64_t found = atomic_load(&w->found_at);
        double after = (double)(found - broken) / 1e9;
        result(found != 0 && !w->early && after <= w->limit + 1 && (double)(found - begin) / 1e9 >= w->limit * 0.4,
               "%s, %s: found after %.3f s (limit %.1f s + 1 s)%s", what, w->what, found ? after : -1, w->limit,
               w->early ? ", once without a reason" : "");
    }
    result(COMES(all_have_data_since(repaired), 10), "%s: all have data again after the repair", what);
    for (int i = 0; i < watched_count; i++) {
        pulsews_close(watched[i].ws, 1000, NULL, PULSEWS_SECONDS(2));
        pthread_join(watched[i].thread, NULL);
        pulsews_client_free(watched[i].ws);
    }
    watched_count = 0;
    atomic_store(&is_broken, 0);
}

static void add_links(int route) {
    static const char dead[] = "\"error\":\"PULSEWS_EDEAD\"";
    add("plain", "state", dead, 1, 0, route, OPTIONS("heartbeat_interval=200ms", "heartbeat_timeout=1s"));
    add("TLS", "state", dead, 1, 0, route | TLS, OPTIONS("heartbeat_interval=200ms", "heartbeat_timeout=1s"));
    add("text heartbeat", "state", dead, 0.8, 0, route,
        OPTIONS("heartbeat_interval=200ms", "heartbeat_timeout=800ms", "heartbeat_message=ping"));
    add("time-out below the interval", "state", dead, 0.8, 0, route,
        OPTIONS("heartbeat_interval=10s", "heartbeat_timeout=800ms"));
}

void run_limits(void) {
    start_server();
    start_proxy();
    if (has_network) {
        add_links(DIRECT);
        try_out("a cable is pulled", do_partition);
        add_links(DIRECT);
        try_out("nothing comes in", do_partition_inward);
    } else {
        skipped("a pulled cable: namespaces need root or user namespaces");
        skipped("a link of which one direction is cut: the same");
    }
    add_links(PROXY);
    try_out("a half-open link", do_half_open);

    static const char stale[] = "\"error\":\"PULSEWS_ESTALE\"";
    add("event", "stale", "\"action\":\"event\"", 0.8, 0, DIRECT,
        OPTIONS("stale_timeout=800ms", "heartbeat_interval=100ms"));
    add("reconnect", "state", stale, 0.8, 0, DIRECT,
        OPTIONS("stale_timeout=800ms", "stale_action=reconnect", "heartbeat_interval=100ms"));
    add("text heartbeats go on", "state", stale, 1, 0, DIRECT | TLS,
        OPTIONS("stale_timeout=1s", "stale_action=reconnect", "heartbeat_interval=100ms", "heartbeat_message=ping"));
    add("heartbeats delivered", "state", stale, 1, 0, DIRECT,
        OPTIONS("stale_timeout=1s", "stale_action=reconnect", "heartbeat_interval=100ms", "heartbeat_message=ping",
                "heartbeat_reply=pong", "deliver_heartbeats=true"));
    add("no heartbeat of the server", "state", stale, 0.8, 0, DIRECT,
        OPTIONS("server_heartbeat=d *", "server_heartbeat_timeout=800ms", "deliver_heartbeats=true",
                "heartbeat_interval=100ms"));
    try_out("a mute feed", do_mute);
    check_complaints();
}
