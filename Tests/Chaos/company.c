/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads beside those that send and receive: they call whatever an application may call, at any moment, and look.
 */
#include "books.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Atomic int monkeys_stop, monitors_stop, drivers_stop;
_Atomic uint64_t looks, imbalances, secrets, log_lines;
double first_imbalance;
pthread_mutex_t descriptors = PTHREAD_MUTEX_INITIALIZER;
pulsews_loop *loops[LOOPS], *own_loop;

/* Calls what an application may call at any time. */
void *be_a_monkey(void *argument) {
    uint64_t dice = *(uint64_t *)argument;
    while (!atomic_load(&monkeys_stop)) {
        struct booked *b = &booked[below(&dice, (uint32_t)booked_count)];
        switch (below(&dice, 8)) {
        case 0:
        case 1: pulsews_reconnect(b->ws); break;
        case 2:
            pulsews_disconnect(b->ws, PULSEWS_MILLISECONDS(below(&dice, 100)));
            nap(below(&dice, 30));
            pulsews_reconnect(b->ws);
            break;
        case 3: pulsews_purge(b->ws); break;
        case 4:
            if (b->subscriptions > 0) pulsews_subscribe(b->ws, "v", "sub v", "unsub v", NULL, 0);
            break;
        case 5: pulsews_unsubscribe(b->ws, "v"); break;
        case 6: pulsews_flush(b->ws, PULSEWS_MILLISECONDS(20)); break;
        case 7: pulsews_wait_ready(b->ws, PULSEWS_MILLISECONDS(20), NULL, 0); break;
        }
        nap(1 + below(&dice, 40));
    }
    return NULL;
}

/* Blocks in some call until the client is closed. */
static void *be_stuck(void *argument) {
    pulsews_client *ws = argument;
    static _Atomic unsigned turn;
    pulsews_message m;
    int32_t status = PULSEWS_OK;
    for (unsigned how = atomic_fetch_add(&turn, 1) % 3; status != PULSEWS_ECLOSED;) {
        if (how == 0) status = pulsews_recv(ws, &m, PULSEWS_FOREVER);
        if (how == 1) status = pulsews_wait_ready(ws, PULSEWS_FOREVER, NULL, 0);
        if (how == 2) status = pulsews_open(ws, PULSEWS_FOREVER, NULL, 0);
        if (status == PULSEWS_OK && how > 0) nap(1);
        if (status != PULSEWS_OK && status != PULSEWS_ECLOSED) pulsews_reconnect(ws);
    }
    return NULL;
}

/* Clients that come and go, and are freed at any moment. */
void *visit(void *argument) {
    uint64_t dice = *(uint64_t *)argument;
    static const int routes[] = {PROXY, PROXY | TLS, DIRECT, DIRECT | TLS};
    while (!atomic_load(&monkeys_stop)) {
        pulsews_message m;
        int index = MOST_BOOKED + (int)below(&dice, 64), steps = (int)below(&dice, 6);
        pulsews_loop *loop = below(&dice, 2) ? loops[0] : NULL;
        pthread_mutex_lock(&descriptors);
        pulsews_client *ws = make_client(index, 1, CONFIRMS, routes[below(&dice, 4)], loop,
                                         OPTIONS("login=login", "reconnect_base_delay=5ms", "events=true",
                                                 "open_timeout=500ms", "close_timeout=200ms",
                                                 "host_connect_rate=1000/s", "host_connects=100",
                                                 "login_confirm=ok login", "max_reconnect_attempts=3"));
        pthread_mutex_unlock(&descriptors);
        if (below(&dice, 5)) pulsews_open(ws, PULSEWS_MILLISECONDS(below(&dice, 100)), NULL, 0);
        if (below(&dice, 4) == 0) {
            pthread_t stuck;
            pthread_create(&stuck, NULL, be_stuck, ws);
            nap(below(&dice, 30));
            for (int i = below(&dice, 4) == 0 ? 50 : 0; i > 0; i--) pulsews_reconnect(ws);
            pulsews_close(ws, 1000, NULL, 0);
            pthread_join(stuck, NULL);
            pulsews_client_free(ws);
            continue;
        }
        for (int i = 0; i < steps; i++) {
            pulsews_send(ws, PULSEWS_TEXT, "ping", 4, PULSEWS_MILLISECONDS(5));
            pulsews_recv(ws, &m, PULSEWS_MILLISECONDS(below(&dice, 20)));
            if (below(&dice, 10) == 0) pulsews_reconnect(ws);
            if (below(&dice, 10) == 0) pulsews_disconnect(ws, 0);
        }
        if (below(&dice, 3) == 0) pulsews_close(ws, 1000, NULL, PULSEWS_MILLISECONDS(below(&dice, 50)));
        pulsews_client_free(ws);
    }
    return NULL;
}

/* Looks at the accounts all the time. */
void *monitor(void *argument) {
    (void)argument;
    static char text[1 << 20];
    for (uint64_t round = 0; !atomic_load(&monitors_stop); round++) {
        for (int i = 0; i < booked_count; i++) {
            double difference = account(booked[i].ws, NULL);
            atomic_fetch_add(&looks, 1);
            if (difference != 0 && atomic_fetch_add(&imbalances, 1) == 0) first_imbalance = difference;
        }
        if (round % 100 == 0) pulsews_prometheus(NULL, text, sizeof text);
        else pulsews_status_json(booked[round % (uint64_t)booked_count].ws, text, sizeof text);
        if (strstr(text, SECRET)) atomic_fetch_add(&secrets, 1);
        nap(1);
    }
    return NULL;
}

/* Reads the log until it is turned off. */
void *read_log(void *argument) {
    (void)argument;
    char line[2048];
    int64_t length;
    while ((length = pulsews_log_next(line, sizeof line, NULL, NULL, PULSEWS_FOREVER)) >= 0) {
        atomic_fetch_add(&log_lines, 1);
        if (strstr(line, SECRET) || strstr(line, "signed")) {
            if (atomic_fetch_add(&secrets, 1) == 0) note("in the log: %.200s", line);
        }
    }
    return NULL;
}

/* An application that drives its loop, and has other things to do at times. */
void *drive(void *argument) {
    uint64_t dice = world->seed;
    while (!atomic_load(&drivers_stop)) {
        pulsews_loop_run_once(argument, PULSEWS_MILLISECONDS(20));
        if (!atomic_load(&senders_rest) && chance(&dice, 0.002)) nap(below(&dice, 100));
    }
    return NULL;
}
