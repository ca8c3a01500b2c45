/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers that are all cut at once and all come back at once, each with the place that it had reached:
 *
 *     fanout_return PORT PEERS TAKE AWAY
 *
 * PEERS peers of pulse.v1 subscribe to `fanout`; {"ready": PEERS}. When each has TAKE messages all connections are reset;
 * {"cut": PEERS}. AWAY more are published then, with numbers from 0 on (fanout.h). At a line of the standard input all connect
 * in the same moment and go on behind the last offset that they saw. When each was told that it has recovered, and has the
 * AWAY numbers in order, one line of JSON: messages, seconds until the last of all, p50_s until a peer's last, cpu (seconds
 * of this process in that time). Anything else ends the run. */
#include "fanout.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ROOM = 1 << 16, PATIENCE_MS = 30000 };

typedef struct peer {
    int fd, is_open, is_subscribed;
    long next;      /* the number that has to come */
    char place[80]; /* "since" of the next subscription */
    uint8_t *rest;  /* of a frame, or of the answer to the upgrade */
    size_t rest_size;
} peer;

static long peer_count, wanted, finished, subscribed;
static int port, poller, returns;
static peer *peers;
static double *times;
static int64_t began;

static void fail(const char *what, const peer *p) {
    fprintf(stderr, "fanout_return: peer %ld: %s\n", p ? (long)(p - peers) : -1, what);
    exit(1);
}

static void send_all(peer *p, const char *bytes, size_t size) {
    if (send(p->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size) fail("writing failed", p);
}

/* Without waiting: all are on their way together. */
static void begin(peer *p) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)port);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = p};
    if (p->fd < 0 || (connect(p->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS))
        fail("connect failed", p);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &event)) fail("epoll_ctl failed", p);
    p->is_open = p->is_subscribed = 0;
    p->next = 0;
}

static void ask(peer *p) {
    static const char request[] = "GET /pulse HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Protocol: pulse.v1\r\n\r\n";
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    epoll_ctl(poller, EPOLL_CTL_MOD, p->fd, &event);
    send_all(p, request, sizeof request - 1);
}

static void subscribe(peer *p) {
    char frame[256], text[200];
    int size = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"topics\":[{\"topic\":\"fanout\"%s}]}", p->place);
    int header = size < 126 ? 6 : 8;
    memset(frame, 0, sizeof frame); /* also the mask */
    frame[0] = (char)0x81;
    frame[1] = (char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) frame[3] = (char)size;
    memcpy(frame + header, text, (size_t)size);
    send_all(p, frame, (size_t)(header + size));
}

/* The number behind `name` in the text; -1 without it. */
static long number_of(const char *text, size_t size, const char *name) {
    const char *at = memmem(text, size, name, strlen(name));
    return at ? atol(at + strlen(name)) : -1;
}

static void take(peer *p, const char *text, size_t size) {
    if (memmem(text, size, "\"type\":\"subscribed\"", 19)) {
        if (returns && !memmem(text, size, "\"recovered\":true", 16)) fail("it did not recover", p);
        const char *epoch = memmem(text, size, "\"epoch\":\"", 9);
        if (!epoch) fail("no epoch", p);
        snprintf(p->place, sizeof p->place, ",\"since\":{\"epoch\":\"%.*s\"", (int)strcspn(epoch + 9, "\""), epoch + 9);
        p->is_subscribed = 1;
        subscribed++;
        return;
    }
    long number = number_of(text, size, "{\"n\":1"), offset = number_of(text, size, "\"o\":");
    if (number < 0) {
        if (!memmem(text, size, "\"welcome\"", 9)) fail("a message is none of the benchmark's", p);
        return;
    }
    if (number != p->next || offset < 0) fail("a message is missing", p);
    if (++p->next < wanted) return;
    size_t length = strcspn(strchr(p->place, '{'), "}");
    char *end = strstr(p->place, ",\"offset\"");
    if (!end) end = strchr(p->place, '{') + length;
    snprintf(end, sizeof p->place - (size_t)(end - p->place), ",\"offset\":%ld}", offset);
    times[finished++] = (double)(fanout_clock(CLOCK_MONOTONIC) - began) / 1e9;
}

/* Takes what is whole; how much that was. */
static size_t take_frames(peer *p, const uint8_t *bytes, size_t size) {
    size_t at = 0;
    while (size - at >= 4) {
        size_t length = bytes[at + 1] & 127, header = length < 126 ? 2 : 4;
        if (length == 127) fail("a message is too long", p);
        if (header == 4) length = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (size - at < header + length) break;
        if (bytes[at] == 0x88) fail("the server has closed", p);
        if (bytes[at] == 0x81) take(p, (const char *)bytes + at + header, length);
        at += header + length;
    }
    return at;
}

static void readable(peer *p) {
    static uint8_t buffer[ROOM * 2 + 1];
    if (p->rest_size) memcpy(buffer, p->rest, p->rest_size);
    ssize_t count = recv(p->fd, buffer + p->rest_size, ROOM, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) fail("the server has ended the connection", p);
    size_t size = p->rest_size + (size_t)count, used = 0;
    if (!p->is_open) {
        buffer[size] = 0;
        char *end = strstr((char *)buffer, "\r\n\r\n");
        if (size >= 12 && memcmp(buffer, "HTTP/1.1 101", 12)) fail((char *)buffer, p);
        if (end) {
            p->is_open = 1;
            used = (size_t)(end + 4 - (char *)buffer);
            subscribe(p);
        }
    }
    if (p->is_open) used += take_frames(p, buffer + used, size - used);
    free(p->rest);
    p->rest = NULL;
    p->rest_size = size - used;
    if (!p->rest_size) return;
    p->rest = malloc(p->rest_size);
    if (!p->rest || p->rest_size > ROOM) fail("no memory", p);
    memcpy(p->rest, buffer + used, p->rest_size);
}

static void wait_for(const long *reached, const char *what) {
    struct epoll_event events[1024];
    while (*reached < peer_count) {
        int ready = epoll_wait(poller, events, 1024, PATIENCE_MS);
        if (ready == 0) {
            fprintf(stderr, "fanout_return: no %s for 30 s: %ld of %ld\n", what, *reached, peer_count);
            exit(1);
        }
        for (int i = 0; i < ready; i++) {
            peer *p = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) ask(p);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(p);
        }
    }
}

static void cut(peer *p) {
    struct linger at_once = {.l_onoff = 1};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(p->fd);
    free(p->rest);
    p->rest = NULL;
    p->rest_size = 0;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say(const char *what) {
    printf("{\"%s\": %ld}\n", what, peer_count);
    fflush(stdout);
}

int main(int count, char **arguments) {
    struct rlimit files;
    if (count != 5) return fprintf(stderr, "usage: fanout_return PORT PEERS TAKE AWAY\n"), 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    port = atoi(arguments[1]);
    peer_count = atol(arguments[2]);
    wanted = atol(arguments[3]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    peers = calloc((size_t)peer_count, sizeof *peers);
    times = calloc((size_t)peer_count, sizeof *times);
    if (poller < 0 || !peers || !times) fail("no memory", NULL);
    /* The first time one after another: this is not what is measured. */
    for (long i = 0; i < peer_count; i++) {
        begin(&peers[i]);
        if (i % 64 == 63) {
            long all = peer_count;
            peer_count = i + 1;
            wait_for(&subscribed, "subscription");
            peer_count = all;
        }
    }
    wait_for(&subscribed, "subscription");
    say("ready");
    wait_for(&finished, "message");
    for (long i = 0; i < peer_count; i++) cut(&peers[i]);
    say("cut");
    if (getchar() == EOF) return 0;
    wanted = atol(arguments[4]);
    finished = 0;
    returns = 1;
    struct timespec cpu[2];
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu[0]);
    began = fanout_clock(CLOCK_MONOTONIC);
    for (long i = 0; i < peer_count; i++) begin(&peers[i]);
    wait_for(&finished, "message");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu[1]);
    qsort(times, (size_t)peer_count, sizeof *times, by_value);
    printf("{\"messages\": %ld, \"seconds\": %.6f, \"p50_s\": %.6f, \"cpu\": %.6f}\n", peer_count * wanted,
           times[peer_count - 1], times[peer_count / 2],
           (double)(cpu[1].tv_sec - cpu[0].tv_sec) + (double)(cpu[1].tv_nsec - cpu[0].tv_nsec) / 1e9);
    fflush(stdout);
    return 0;
}
