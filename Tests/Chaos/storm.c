/* SPDX-License-Identifier: Apache-2.0
 *
 * The storm: many clients lose their host together, again and again. They must come back no faster than they may, all
 * of them, and none deaf. One thread receives for all.
 */
#define _GNU_SOURCE
#include "support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RATE = 80, IN_FLIGHT = 16 };
/* Seconds. An attempt takes UPGRADE at the server; a busy machine may delay a connect by JITTER. */
static const double WINDOW = 0.25, UPGRADE = 0.05, JITTER = 0.04;

static _Atomic uint32_t connects;
static int64_t connected_at[MOST_ACCEPTS];
static _Atomic int counts;

/* In place of the C library's, which would do the same: all attempts are seen here, those that are refused, too. */
int connect(int fd, const struct sockaddr *address, socklen_t length);
int connect(int fd, const struct sockaddr *address, socklen_t length) {
    if (atomic_load(&counts)) {
        uint32_t index = atomic_fetch_add(&connects, 1);
        if (index < MOST_ACCEPTS) connected_at[index] = monotonic();
    }
    return (int)syscall(SYS_connect, fd, address, length);
}

static int by_time(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The most in any window of this length. */
static int busiest(int64_t *times, uint32_t count, double seconds) {
    int most = 0;
    qsort(times, count, sizeof *times, by_time);
    for (uint32_t first = 0, last = 0; last < count; last++) {
        while (times[last] - times[first] >= (int64_t)(seconds * 1e9)) first++;
        if ((int)(last - first + 1) > most) most = (int)(last - first + 1);
    }
    return most;
}

struct stormed {
    pulsews_client *ws;
    int64_t data_at;
    uint64_t lost;
};
static struct stormed *stormed;
static int poller;
static pulsews_batch *batch;

static void receive(int index) {
    struct stormed *s = &stormed[index];
    const pulsews_message *messages;
    int32_t count;
    pulsews_wake_clear(s->ws);
    while ((count = pulsews_recv_batch(s->ws, batch, 256, 0, &messages)) > 0)
        for (int32_t i = 0; i < count; i++) {
            if (event_is(&messages[i], "state") && event_has(&messages[i], "\"trigger\":\"give_up\"")) s->lost++;
            if (messages[i].kind == PULSEWS_TEXT && messages[i].length > 2 && memcmp(messages[i].data, "d ", 2) == 0)
                s->data_at = messages[i].received_ns;
        }
}

/* Receives until all have had data since `time`. */
static int receive_until_all(int clients, int64_t time, double seconds) {
    int64_t until = monotonic() + (int64_t)(seconds * 1e9);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, 20), missing = 0;
        for (int i = 0; i < count; i++) receive((int)events[i].data.u32);
        for (int i = 0; i < clients; i++) missing += stormed[i].data_at < time;
        if (missing == 0) return 1;
        if (monotonic() > until) {
            note("%d clients have no data", missing);
            return 0;
        }
    }
}

void run_storm(int clients, int restarts) {
    char rate[32], in_flight[32];
    uint64_t dice = world->seed;
    if (clients > MOST_CLIENTS) clients = MOST_CLIENTS;
    stormed = calloc((size_t)clients, sizeof *stormed);
    batch = pulsews_batch_create();
    poller = epoll_create1(EPOLL_CLOEXEC);
    snprintf(rate, sizeof rate, "host_connect_rate=%d/250ms", RATE);
    snprintf(in_flight, sizeof in_flight, "host_connects=%d", IN_FLIGHT);
    /* So slow that the limit of attempts in flight is reached. */
    world->upgrade_delay_ms = (int)(UPGRADE * 1e3);
    world->feed_us = 100000;
    start_server();
    atomic_store(&counts, 1);
    for (int i = 0; i < clients; i++) {
        stormed[i].ws = make_client(i, 3, i % 2 ? CONFIRMS : 0, DIRECT, NULL,
                                    OPTIONS(rate, in_flight, "events=true", "login=login", "reconnect_base_delay=50ms",
                                            "reconnect_max_delay=200ms", "max_reconnect_attempts=0",
                                            "login_reject=no login"));
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        epoll_ctl(poller, EPOLL_CTL_ADD, pulsews_wake_fd(stormed[i].ws), &event);
        pulsews_open(stormed[i].ws, 0, NULL, 0);
    }
    int all_back = receive_until_all(clients, 1, 60);
    result(all_back, "storm: %d clients connect", clients);
    double *times = calloc((size_t)restarts, sizeof *times);
    int done = 0;
    for (; done < restarts && all_back; done++) {
        kill_server();
        nap(50 + below(&dice, 300));
        start_server();
        int64_t since = atomic_load(&world->listening_since);
        all_back = receive_until_all(clients, since, 60);
        times[done] = (double)(realtime() - since) / 1e9;
    }
    qsort(times, (size_t)done, sizeof *times, by_size);
    result(all_back, "storm: all came back after each of %d restarts of their host; median %.2f s, longest %.2f s",
           restarts, done ? times[done / 2] : 0, done ? times[done - 1] : 0);
    /* The limits alone take so long, the backoff a little more. */
    double shortest = clients * WINDOW / RATE, by_flight = clients * UPGRADE / IN_FLIGHT;
    if (by_flight > shortest) shortest = by_flight;
    result(done > 0 && times[done / 2] < 2 * shortest + 0.5,
           "storm: nobody waits for nothing: the limits alone take %.2f s", shortest);
    free(times);
    uint32_t accepts = atomic_load(&world->accepts), attempts = atomic_load(&connects);
    if (accepts > MOST_ACCEPTS) accepts = MOST_ACCEPTS;
    if (attempts > MOST_ACCEPTS) attempts = MOST_ACCEPTS;
    int most = busiest(world->accepted_at, accepts, WINDOW - JITTER);
    int tried = busiest(connected_at, attempts, WINDOW - JITTER);
    result(most <= RATE, "storm: at most %d connects came in %.2f s (limit %d), %u in all", most, WINDOW, RATE,
           accepts);
    result(tried <= RATE, "storm: at most %d were tried in %.2f s (exactly: %d), %u in all, those refused included",
           tried, WINDOW, busiest(connected_at, attempts, WINDOW), attempts);
    result(world->most_in_flight <= IN_FLIGHT, "storm: at most %d were in flight (limit %d)", world->most_in_flight,
           IN_FLIGHT);
    int deaf = 0;
    uint64_t lost = 0;
    for (int i = 0; i < clients; i++) {
        const struct client_record *books = &world->client[i];
        const struct connection_record *last = &books->connection[atomic_load(&books->connections)];
        deaf += last->logins != 1 || last->subscriptions != 3 || last->ready == 0 || last->fed == 0;
        lost += stormed[i].lost;
    }
    result(deaf == 0, "storm: none deaf: all have logged in and subscribed, and get data; deaf: %d", deaf);
    result(lost == 0, "storm: nobody gave up: %llu", (unsigned long long)lost);
    check_complaints();
    for (int i = 0; i < clients; i++) pulsews_client_free(stormed[i].ws);
    pulsews_batch_free(batch);
    free(stormed);
}
