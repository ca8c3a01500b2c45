/* SPDX-License-Identifier: Apache-2.0
 *
 * Weeks without anyone looking: a day takes a fraction of a second, and so do all durations. The server closes every
 * day, restarts, refuses, goes mute and rejects logins; the clients have to come back from all of it, to say so when
 * they stop trying, and not to grow.
 */
#include "support.h"
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERVICES = 7 };

/* A service as one writes it: it receives, and takes up again when receiving ends with an error. */
struct service {
    int index, holds_login;
    pulsews_client *ws;
    pthread_t thread;
    _Atomic int64_t data_at;
    _Atomic uint64_t give_ups, errors, received, sent, restarts_known, imbalances;
    uint32_t numbers;
};

static struct service services[SERVICES];
static _Atomic int is_over;

static void take(struct service *s, const pulsews_message *m) {
    if (event_is(m, "state") && event_has(m, "\"trigger\":\"give_up\"")) atomic_fetch_add(&s->give_ups, 1);
    if (event_is(m, "hold") && s->holds_login) {
        pulsews_send_with(s->ws, PULSEWS_TEXT, "login signed", 12, PULSEWS_FIRST, 0, 0, NULL);
        pulsews_release(s->ws);
    }
    if (m->kind == PULSEWS_EVENT || m->length < 2 || memcmp(m->data, "d ", 2) != 0) return;
    if (atomic_fetch_add(&s->received, 1) % 8 == 0) {
        char text[64];
        int length = snprintf(text, sizeof text, "m %d 0 %u F 0 ", s->index, s->numbers++ % MOST_MESSAGES);
        if (pulsews_send(s->ws, PULSEWS_TEXT, text, (size_t)length, 0) == PULSEWS_OK) atomic_fetch_add(&s->sent, 1);
        if (account(s->ws, NULL) != 0) atomic_fetch_add(&s->imbalances, 1);
    }
    atomic_store(&s->data_at, m->received_ns);
}

static void *serve(void *argument) {
    struct service *s = argument;
    pulsews_message m;
    for (;;) {
        int32_t status = pulsews_recv(s->ws, &m, PULSEWS_FOREVER);
        if (status == PULSEWS_OK) {
            take(s, &m);
            continue;
        }
        if (atomic_load(&is_over)) return NULL;
        /* It has stopped trying, and says so here: that is what must never stay silent. */
        atomic_fetch_add(&s->errors, 1);
        pulsews_reconnect(s->ws);
    }
}

static void begin(struct service *s, int index, double day) {
    static const int routes[SERVICES] = {DIRECT, DIRECT | TLS, PROXY, PROXY | TLS, DIRECT, PROXY, DIRECT | TLS};
    static const char *const extra[SERVICES] = {"compression=false",         "compression_threshold=0",
                                                "heartbeat_message=ping",    "login_confirm=ok login",
                                                "subscribe_confirm=ok sub*", "hold_login=true",
                                                "max_reconnect_attempts=2"};
    char texts[8][64];
    const char *options[24] = {"events=true", "stale_action=reconnect", "host_connect_rate=1000/s",
                               "login_reject=no login", extra[index]};
    const struct {
        const char *name;
        double days;
    } scaled[] = {{"heartbeat_interval", 0.1},    {"heartbeat_timeout", 0.4},   {"stale_timeout", 0.4},
                  {"reconnect_base_delay", 0.02}, {"reconnect_max_delay", 0.1}, {"stable_time", 0.2},
                  {"restart_delay", 0.01},        {"login_timeout", 0.5}};
    int count = 5;
    for (int i = 0; i < 8; i++) {
        snprintf(texts[i], sizeof texts[i], "%s=%.3fms", scaled[i].name, scaled[i].days * day * 1e3);
        options[count++] = texts[i];
    }
    s->index = index;
    s->holds_login = index == 5;
    if (!s->holds_login) options[count++] = "login=login ${id}";
    if (index == 1) options[count++] = "login_confirm=ok login";
    if (index != 6) options[count++] = "max_reconnect_attempts=0";
    s->ws = make_client(index, 3, CONFIRMS, routes[index], NULL, options);
    pulsews_open(s->ws, 0, NULL, 0);
    pthread_create(&s->thread, NULL, serve, s);
}

static double longest_return;
static const char *longest_of = "none";

/* Everyone has data again that came after `since`. */
static int all_serve(int64_t since, double seconds, const char *incident) {
    for (int i = 0; i < SERVICES; i++) {
        if (COMES(atomic_load(&services[i].data_at) > since, seconds)) continue;
        char status[2000] = "";
        pulsews_status_json(services[i].ws, status, sizeof status);
        note("after %s service %d has no data: %.1500s", incident, i, status);
        return 0;
    }
    double took = (double)(realtime() - since) / 1e9;
    if (took > longest_return) longest_return = took, longest_of = incident;
    return 1;
}

static int incident(int which, double day, uint64_t *dice) {
    double while_ms = day * 1e3 * (0.1 + 0.6 * (double)below(dice, 1000) / 1000);
    switch (which) {
    case 0:
        kill_server();
        nap(while_ms);
        start_server();
        return all_serve(atomic_load(&world->listening_since), 10, "a restart");
    case 1: {
        int after = below(dice, 8) == 0;
        atomic_store(&world->retry_after, after);
        atomic_store(&world->refuse, SERVICES * 2);
        atomic_store(&world->close_all, 1012);
        nap(while_ms);
        atomic_store(&world->refuse, 0);
        return all_serve(realtime(), 10, after ? "503 with Retry-After: 1" : "503 with Retry-After: 0");
    }
    case 2:
        atomic_store(&world->is_mute, 1);
        nap(while_ms + day * 500);
        atomic_store(&world->is_mute, 0);
        return all_serve(realtime(), 10, "a mute feed");
    case 3:
        atomic_store(&world->reject_login, 1);
        atomic_store(&world->close_all, 1013);
        if (!COMES(atomic_load(&world->reject_login) == 0, 5)) return 0;
        return all_serve(realtime(), 10, "a rejected login");
    default:
        atomic_store(&world->proxy_half_open, 1);
        nap(while_ms);
        return all_serve(realtime(), 10, "half-open links");
    }
}

enum { MOST_LOOKS = 1024 };
static double in_use[2][MOST_LOOKS], resident[2][MOST_LOOKS]; /* of the days of each half, kB */
static int look_count[2];

static void look(int half) {
    malloc_trim(0);
    struct usage now = usage();
    if (look_count[half] == MOST_LOOKS) return;
    in_use[half][look_count[half]] = (double)now.bytes / 1024;
    resident[half][look_count[half]++] = (double)now.resident / 1024;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_size);
    return count ? values[count / 2] : 0;
}

void run_weeks(int weeks, double day) {
    uint64_t dice = world->seed;
    int good = 1, days = 0;
    world->feed_us = (int)(day * 1e6 / 50);
    start_server();
    start_proxy();
    for (int i = 0; i < SERVICES; i++) begin(&services[i], i, day);
    result(all_serve(1, 10, "the start"), "weeks: all services begin, %d weeks of %.2f s a day", weeks, day);
    longest_return = 0;
    for (int week = 0; week < weeks && good; week++) {
        for (int d = 0; d < 7 && good; d++, days++) {
            int64_t until = monotonic() + (int64_t)(day * 1e9);
            atomic_store(&world->close_all, below(&dice, 2) ? 1001 : 1000);
            nap(1 + day * 300);
            good = all_serve(realtime(), 10, "the daily close") && incident((int)below(&dice, 5), day, &dice);
            for (int i = 0; i < SERVICES; i++)
                if (account(services[i].ws, NULL) != 0) atomic_fetch_add(&services[i].imbalances, 1);
            /* Connections come and go, so that single looks differ. */
            look(days >= weeks * 7 / 2);
            double left = (double)(until - monotonic()) / 1e6;
            if (left > 0) nap(left);
        }
    }
    result(good, "weeks: data came again after each incident of %d days; the longest return took %.2f s, after %s",
           days, longest_return, longest_of);
    uint64_t give_ups = 0, errors = 0, imbalances = 0, received = 0;
    for (int i = 0; i < SERVICES; i++) {
        give_ups += services[i].give_ups, errors += services[i].errors;
        imbalances += services[i].imbalances, received += services[i].received;
        if (services[i].give_ups != services[i].errors)
            note("service %d: gave up %llu times, receive calls told of %llu", i,
                 (unsigned long long)services[i].give_ups, (unsigned long long)services[i].errors);
    }
    result(give_ups == errors, "weeks: gave up %llu times, all told by a receive call", (unsigned long long)give_ups);
    result(imbalances == 0, "weeks: accounts balance at every look; %llu messages received",
           (unsigned long long)received);
    double use[2], size[2];
    for (int half = 0; half < 2; half++) {
        use[half] = median(in_use[half], look_count[half]);
        size[half] = median(resident[half], look_count[half]);
    }
    if (good)
        result(use[1] - use[0] < 64 + KEPT_SESSIONS && size[1] - size[0] < 1024,
               "weeks: memory is flat: in use %.0f kB in the first half, %.0f kB in the second (medians); resident "
               "%.0f kB, %.0f kB",
               use[0], use[1], size[0], size[1]);
    atomic_store(&is_over, 1);
    for (int i = 0; i < SERVICES; i++) {
        pulsews_close(services[i].ws, 1000, NULL, PULSEWS_SECONDS(2));
        pthread_join(services[i].thread, NULL);
        pulsews_client_free(services[i].ws);
    }
    check_complaints();
}
