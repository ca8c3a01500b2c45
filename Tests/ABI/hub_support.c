/* SPDX-License-Identifier: Apache-2.0 */
#include "hub.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char error[PULSEWS_ERROR_SIZE];

static void done(int32_t status, const char *what) {
    if (status == PULSEWS_OK) return;
    fprintf(stderr, "%s: %s\n", what, error);
    exit(1);
}

static void set_pair(pulsews_hub *hub, const char *text,
                     int32_t (*set)(pulsews_hub *, const char *, const char *, const char *, char *, size_t)) {
    char copy[512];
    CHECK(strlen(text) < sizeof copy);
    strcpy(copy, text);
    char *space = strchr(copy, ' '), *equal = space ? strchr(space, '=') : NULL;
    CHECK(equal != NULL);
    *space = *equal = 0;
    done(set(hub, copy, space + 1, equal + 1, error, sizeof error), text);
}

void hub_topic(pulsews_hub *hub, const char *text) { set_pair(hub, text, pulsews_hub_topic); }
void hub_route(pulsews_hub *hub, const char *text) { set_pair(hub, text, pulsews_hub_route); }

pulsews_hub *make_hub(const char *const *options) {
    pulsews_hub *hub;
    done(pulsews_hub_create(NULL, &hub, error, sizeof error), "create");
    done(pulsews_hub_listen(hub, "127.0.0.1:0", error, sizeof error), "listen");
    for (; *options; options++) {
        char copy[512];
        CHECK(strlen(*options) < sizeof copy);
        strcpy(copy, *options);
        char *equal = strchr(copy, '=');
        CHECK(equal != NULL);
        *equal = 0;
        done(pulsews_hub_set(hub, copy, equal + 1, error, sizeof error), *options);
    }
    return hub;
}

void start_hub(pulsews_hub *hub) { done(pulsews_hub_start(hub, error, sizeof error), "start"); }

pulsews_hub *open_hub(const char *const *options) {
    pulsews_hub *hub = make_hub(options);
    hub_topic(hub, "** history=100");
    start_hub(hub);
    return hub;
}

int hub_port(const pulsews_hub *hub) {
    char address[64];
    CHECK(pulsews_hub_address(hub, 0, address, sizeof address) > 0);
    return atoi(strrchr(address, ':') + 1);
}

pulsews_client *make_peer(const pulsews_hub *hub, const char *path, int pulse, const char *const *options) {
    char url[1024];
    const char *all[16];
    size_t count = 0;
    CHECK((size_t)snprintf(url, sizeof url, "ws://127.0.0.1:%d%s", hub_port(hub), path) < sizeof url);
    if (pulse) all[count++] = "subprotocols=pulse.v1";
    all[count++] = "reconnect=false";
    for (; *options; options++) {
        CHECK(count < 15);
        all[count++] = *options;
    }
    all[count] = NULL;
    pulsews_client *peer = make_client_at(url, all);
    done(pulsews_open(peer, PULSEWS_SECONDS(10), error, sizeof error), url);
    GETS(peer, "\"type\":\"welcome\"", "\"client\":\"c-");
    return peer;
}

pulsews_client *pulse_peer(const pulsews_hub *hub) { return make_peer(hub, "/ws/stream", 1, NO_OPTIONS); }

const char *subscribe_peer(pulsews_client *peer, const char *topic) {
    char text[512];
    snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":7,\"topics\":[%s%s%s]}", *topic == '{' ? "" : "\"",
             topic, *topic == '{' ? "" : "\"");
    send_text(peer, text);
    return GETS(peer, "\"type\":\"subscribed\"", "\"id\":7");
}

void publish(pulsews_hub *hub, const char *topic, const char *key, const char *json) {
    IS(pulsews_hub_publish(hub, topic, key, json, strlen(json), NULL), PULSEWS_OK);
}

const char *peer_gets(pulsews_client *peer, const char *const *parts) {
    static char text[1 << 20];
    pulsews_message message;
    int32_t status;
    do {
        status = pulsews_recv(peer, &message, PULSEWS_SECONDS(20));
        IS(status, PULSEWS_OK);
    } while (message.kind == PULSEWS_EVENT);
    CHECK(message.length < sizeof text);
    memcpy(text, message.data, message.length);
    text[message.length] = 0;
    for (; *parts; parts++)
        if (!strstr(text, *parts)) {
            fprintf(stderr, "there is no %s in %s\n", *parts, text);
            exit(1);
        }
    return text;
}

void peer_gets_nothing(pulsews_client *peer) {
    pulsews_message message;
    int32_t status;
    while ((status = pulsews_recv(peer, &message, PULSEWS_MILLISECONDS(150))) == PULSEWS_OK)
        if (message.kind != PULSEWS_EVENT) {
            fprintf(stderr, "got %.*s\n", (int)message.length, (const char *)message.data);
            exit(1);
        }
    IS(status, PULSEWS_ETIMEOUT);
}

const pulsews_hub_event *hub_event(pulsews_hub *hub, uint32_t kind) {
    static pulsews_hub_event event;
    do IS(pulsews_hub_next(hub, &event, 1, PULSEWS_SECONDS(20)), 1);
    while (event.kind != kind);
    return &event;
}

double hub_statistic(const pulsews_hub *hub, const char *name) {
    double values[256];
    int32_t count = pulsews_hub_statistics(hub, values, 256);
    CHECK(count > 0 && count <= 256);
    for (int32_t i = 0; i < count; i++) {
        const char *found;
        IS(pulsews_hub_statistic_at((size_t)i, &found, NULL, NULL, NULL), PULSEWS_OK);
        if (strcmp(found, name) == 0) return values[i];
    }
    fprintf(stderr, "no statistic %s\n", name);
    exit(1);
}

void await_hub_statistic(const pulsews_hub *hub, const char *name, double least) {
    int64_t end = now_ns() + PULSEWS_SECONDS(20);
    while (hub_statistic(hub, name) < least) {
        CHECK(now_ns() < end);
        poll(NULL, 0, 2);
    }
}

void check_books(const pulsews_hub *hub) {
    double sum = hub_statistic(hub, "messages_written") + hub_statistic(hub, "messages_conflated") +
                 hub_statistic(hub, "messages_dropped") + hub_statistic(hub, "messages_queued");
    CHECK(hub_statistic(hub, "messages_offered") == sum);
}

int try_connect(int port) {
    int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(connected >= 0);
    if (connect(connected, (struct sockaddr *)&at, sizeof at) == 0) return connected;
    close(connected);
    return -1;
}

int http_connect(int port) {
    int connected = try_connect(port);
    CHECK(connected >= 0);
    return connected;
}

const char *http_exchange(int port, const char *request) {
    static char answer[1 << 20];
    size_t used = 0, length = strlen(request);
    int connected = http_connect(port);
    CHECK(send(connected, request, length, MSG_NOSIGNAL) == (ssize_t)length);
    for (;;) {
        struct pollfd waiting = {.fd = connected, .events = POLLIN};
        CHECK(poll(&waiting, 1, 20000) == 1);
        ssize_t count = recv(connected, answer + used, sizeof answer - 1 - used, 0);
        if (count <= 0) break;
        used += (size_t)count;
    }
    close(connected);
    answer[used] = 0;
    return answer;
}
