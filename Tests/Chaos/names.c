/* SPDX-License-Identifier: Apache-2.0
 *
 * Names: some whose look-up never ends, and some with a bad address beside the good one. The good server ends connections
 * all the time, so that everybody comes back again and again; the dead names must cost nobody else anything, and a bad
 * address no more than its share of open_timeout.
 */
#include "support.h"
#include "wire.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TWO = 24, ONE = 8, DEAD = 40, CLIENTS = TWO + ONE + DEAD, OURS = 0x7E58 };

static int port;
static _Atomic int is_over, served, spoilt;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;

/* ---- This program's resolver, which the library calls, too ---- */

static struct addrinfo *entry(uint32_t address, const char *service, struct addrinfo *next) {
    struct {
        struct addrinfo info;
        struct sockaddr_in place;
    } *made = calloc(1, sizeof *made);
    if (!made) abort();
    made->place = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)atoi(service)),
                                       .sin_addr.s_addr = htonl(address)};
    made->info = (struct addrinfo){.ai_flags = OURS,
                                   .ai_family = AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_next = next,
                                   .ai_addr = (struct sockaddr *)&made->place,
                                   .ai_addrlen = sizeof made->place};
    return &made->info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    int number;
    if (sscanf(name, "dead-%d.test", &number) == 1) {
        pthread_mutex_lock(&mutex);
        while (!is_over) pthread_cond_wait(&released, &mutex);
        pthread_mutex_unlock(&mutex);
        return EAI_AGAIN;
    }
    if (sscanf(name, "two-%d.test", &number) == 1) {
        *out = entry(INADDR_LOOPBACK + 1 + (uint32_t)number % 3, service, entry(INADDR_LOOPBACK, service, NULL));
        return 0;
    }
    if (sscanf(name, "one-%d.test", &number) == 1) {
        *out = entry(INADDR_LOOPBACK, service, NULL);
        return 0;
    }
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, out);
}

void freeaddrinfo(struct addrinfo *list) {
    static void (*real)(struct addrinfo *);
    if (list && list->ai_flags != OURS) {
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
        real(list);
        return;
    }
    for (struct addrinfo *next; list; list = next) {
        next = list->ai_next;
        free(list);
    }
}

/* ---- The servers ---- */

static int listen_at(uint32_t address) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(address)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&at, size) != 0 || listen(listener, 128) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &size) != 0)
        abort();
    port = ntohs(at.sin_port);
    return listener;
}

static void cut(int descriptor) {
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(descriptor);
}

/* One connection: answered, and reset after a while. */
static void *serve(void *argument) {
    int descriptor = (int)(intptr_t)argument;
    char request[4096] = "";
    struct wire w = {0};
    struct bytes out = {0};
    ssize_t got = recv(descriptor, request, sizeof request - 1, 0);
    if (got > 0 && strstr(request, "\r\n\r\n")) {
        accept_upgrade(&w, request, &out);
        if (send(descriptor, first_byte(&out), count_bytes(&out), MSG_NOSIGNAL) > 0) served++;
        for (int left = 100 + (int)(served * 37 % 400); left > 0 && !is_over; left -= 10) nap(10);
    }
    free_bytes(&out);
    end_wire(&w);
    cut(descriptor);
    return NULL;
}

static void *accept_all(void *argument) {
    int listener = (int)(intptr_t)argument;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (!is_over) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        pthread_t thread;
        if (poll(&wait, 1, 50) != 1) continue;
        int descriptor = accept(listener, NULL, NULL);
        if (descriptor >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)descriptor) != 0) abort();
    }
    close(listener);
    return NULL;
}

/* Takes connections, and is good for nothing: silent, reset, a refusal, no HTTP at all. */
static void *spoil_all(void *argument) {
    static const char *const answers[] = {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "SSH-2.0-none\r\n"};
    int listener = (int)(intptr_t)argument, silent[256], count = 0;
    while (!is_over) {
        struct pollfd wait = {.fd = listener, .events = POLLIN};
        char some[4096];
        if (poll(&wait, 1, 50) != 1) continue;
        int descriptor = accept(listener, NULL, NULL), way = spoilt++ % 4;
        if (way == 0 && count < 256) {
            silent[count++] = descriptor;
            continue;
        }
        if (way > 1 && recv(descriptor, some, sizeof some, 0) > 0)
            send(descriptor, answers[way - 2], strlen(answers[way - 2]), MSG_NOSIGNAL);
        cut(descriptor);
    }
    while (count > 0) close(silent[--count]);
    close(listener);
    return NULL;
}

/* ---- The clients ---- */

static pulsews_client *make(const char *kind, int number, const char *open_timeout) {
    char url[64], why[PULSEWS_ERROR_SIZE];
    const char *const options[][2] = {{"open_timeout", open_timeout},   {"reconnect_base_delay", "10ms"},
                                      {"reconnect_max_delay", "50ms"},  {"max_reconnect_attempts", "0"},
                                      {"host_connect_rate", "10000/s"}, {"host_connects", "1000"}};
    pulsews_config *config = pulsews_config_create();
    pulsews_client *made = NULL;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (pulsews_config_set(config, options[i][0], options[i][1], why, sizeof why)) result(0, "names: %s", why);
    snprintf(url, sizeof url, "ws://%s-%d.test:%d/", kind, number, port);
    if (pulsews_client_create(url, config, NULL, &made, why, sizeof why)) result(0, "names: %s", why);
    pulsews_config_free(config);
    pulsews_start(made);
    return made;
}

void run_names(double seconds) {
    static pulsews_client *clients[CLIENTS];
    static int64_t seen[CLIENTS];
    pthread_t servers[4];
    struct usage before = usage();
    pthread_create(&servers[0], NULL, accept_all, (void *)(intptr_t)listen_at(INADDR_LOOPBACK));
    for (int i = 1; i < 4; i++)
        pthread_create(&servers[i], NULL, spoil_all, (void *)(intptr_t)listen_at(INADDR_LOOPBACK + (uint32_t)i));
    /* The dead ones first: nobody is to wait behind them. */
    for (int i = 0; i < DEAD; i++) clients[TWO + ONE + i] = make("dead", i, "300ms");
    for (int i = 0; i < TWO; i++) clients[i] = make("two", i, "4s");
    for (int i = 0; i < ONE; i++) clients[TWO + i] = make("one", i, "4s");
    int64_t begin = monotonic(), longest = 0, longest_one = 0;
    for (int i = 0; i < CLIENTS; i++) seen[i] = begin;
    for (int64_t now; (now = monotonic()) < begin + (int64_t)(seconds * 1e9); nap(2))
        for (int i = 0; i < TWO + ONE; i++) {
            if (pulsews_client_state(clients[i]) == PULSEWS_CONNECTED) seen[i] = now;
            int64_t *most = i < TWO ? &longest : &longest_one;
            if (now - seen[i] > *most) *most = now - seen[i];
        }
    double fewest = 1e9, dead = 0;
    int named = 0;
    for (int i = 0; i < CLIENTS; i++) {
        double connections = statistic(clients[i], "connections");
        char why[PULSEWS_ERROR_SIZE] = "";
        if (i < TWO + ONE && connections < fewest) fewest = connections;
        if (i < TWO + ONE) continue;
        dead += connections;
        named += pulsews_client_error(clients[i], why, sizeof why) == PULSEWS_EOPENTIMEOUT &&
                 strstr(why, "not resolved");
    }
    result(fewest > 2, "names: everybody with a good address came back, %.0f times at least", fewest);
    result(longest < 3500000000, "names: %.1f s without a connection at most, with a bad address beside the good one",
           (double)longest / 1e9);
    result(longest_one < 2000000000, "names: %.1f s at most with a good address only", (double)longest_one / 1e9);
    result(dead == 0 && named == DEAD, "names: %d of %d dead names say so, and %.0f connected", named, DEAD, dead);
    note("names: %d connections, %d to bad addresses, %d threads", served, spoilt, usage().threads);
    result(usage().threads < before.threads + 64 + TWO + ONE + 40, "names: no thread for each attempt");
    for (int i = 0; i < CLIENTS; i++) pulsews_client_free(clients[i]);
    pthread_mutex_lock(&mutex);
    is_over = 1;
    pthread_cond_broadcast(&released);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 4; i++) pthread_join(servers[i], NULL);
    result(COMES(usage().threads <= before.threads && usage().descriptors <= before.descriptors, 10),
           "names: threads %d, then %d; descriptors %d, then %d", before.threads, usage().threads, before.descriptors,
           usage().descriptors);
}
