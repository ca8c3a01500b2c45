/* SPDX-License-Identifier: Apache-2.0
 *
 * A large message to a peer that takes it slowly: it lives as long as it takes some of it. */
#define _GNU_SOURCE
#include "harness.h"
#include "fuzz_peer.h"
#include <stdatomic.h>

enum { LARGE = 3 << 20, STEP = 25000, EVERY = 50, TIMEOUT = 1000 }; /* 500 kB/s; the times are milliseconds */

/* What a slow server does, and what it saw. */
static struct slow {
    int port, listener, is_proxy, answers, compresses;
    int64_t stops_after;                      /* takes no more behind so many bytes; 0: takes all */
    atomic_int is_over;
    _Atomic int64_t bytes, stopped_at, longest_pause; /* longest_pause between two pings, in ns */
    _Atomic int pings, messages;
} slow;

/* Whole frames that lie in p->in. */
static void look_at_frames(peer *p, int64_t *last_ping) {
    for (;;) {
        size_t count = p->in_count >= 2 ? p->in[1] & 127 : 0, head = 6;
        CHECK(count != 127); /* a frame that is longer than 64 KiB would keep the pings back */
        if (count == 126 && p->in_count >= 4) count = (size_t)p->in[2] << 8 | p->in[3], head = 8;
        if (p->in_count < head + count) return;
        if ((p->in[0] & 15) == 9) {
            int64_t now = now_ns();
            if (slow.pings++ > 0 && now - *last_ping > slow.longest_pause) slow.longest_pause = now - *last_ping;
            *last_ping = now;
            if (slow.answers) CHECK(send(p->descriptor, "\x8a\x00", 2, MSG_NOSIGNAL) == 2);
        } else if (p->in[0] & 0x80) {
            slow.messages++;
        }
        p->in_count -= head + count;
        memmove(p->in, p->in + head + count, p->in_count);
    }
}

static void *serve_slowly(void *unused) {
    (void)unused;
    int64_t last_ping = 0;
    if (slow.is_proxy) {
        char request[4096];
        int descriptor = accept(slow.listener, NULL, NULL);
        CHECK(recv(descriptor, request, sizeof request, 0) > 0);
        CHECK(send(descriptor, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL) == 19);
        /* What comes through the tunnel comes to the server, which is this one. */
        CHECK(dup2(descriptor, slow.listener) == slow.listener);
        close(descriptor);
    }
    peer p = {.descriptor = slow.is_proxy ? dup(slow.listener) : accept(slow.listener, NULL, NULL)};
    answer_peer(&p);
    while (!slow.is_over) {
        poll(NULL, 0, EVERY);
        if (slow.stops_after && slow.bytes >= slow.stops_after) {
            if (!slow.stopped_at) slow.stopped_at = now_ns();
            continue;
        }
        grow(&p.in, &p.in_room, p.in_count + STEP);
        ssize_t got = recv(p.descriptor, p.in + p.in_count, STEP, MSG_DONTWAIT);
        if (got <= 0) continue;
        p.in_count += (size_t)got, slow.bytes += got;
        look_at_frames(&p, &last_ping);
    }
    close(p.descriptor);
    free(p.in), free(p.out);
    return NULL;
}

static pthread_t start_slowly(void) {
    int small = 64 << 10;
    slow.port = bind_port(1, &slow.listener);
    CHECK(setsockopt(slow.listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    return run_thread(serve_slowly, NULL);
}

/* Not compressible. */
static char *large(void) {
    static char payload[LARGE];
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof payload; i++) payload[i] = (char)((state = state * 1664525 + 1013904223) >> 24);
    return payload;
}

static pulsews_client *uploading(const char *option) {
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", slow.port);
    pulsews_client *client = make_client_at(url, OPTIONS("heartbeat_timeout=1s", "heartbeat_interval=200ms",
                                                         "reconnect=false", option));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    IS(pulsews_send(client, PULSEWS_BINARY, large(), LARGE, 0), PULSEWS_OK);
    return client;
}

static void finish(pulsews_client *client, pthread_t server) {
    slow.is_over = 1;
    pulsews_client_free(client);
    pthread_join(server, NULL);
    close(slow.listener);
}

static void await_messages(pulsews_client *client, int count) {
    while (slow.messages < count) {
        IS(pulsews_client_state(client), PULSEWS_CONNECTED);
        poll(NULL, 0, 1);
    }
}

TEST(a_long_upload_is_not_cut) {
    pthread_t server = start_slowly();
    pulsews_client *client = uploading("compression=false");
    await_messages(client, 1);
    IS((int64_t)statistic(client, "messages_sent"), 1);
    finish(client, server);
}

TEST(pings_pass_a_long_upload) {
    slow.answers = 1;
    pthread_t server = start_slowly();
    pulsews_client *client = uploading("compression=true");
    await_messages(client, 1);
    fprintf(stderr, "%d pings, the longest pause %lld ms\n", slow.pings, (long long)slow.longest_pause / 1000000);
    CHECK(slow.pings > 3 && slow.longest_pause < PULSEWS_MILLISECONDS(TIMEOUT));
    CHECK(statistic(client, "pongs_received") > 1);
    finish(client, server);
}

/* Waits for the end; how long it is since `begin`, in ms. */
static int64_t until_dead(pulsews_client *client, int64_t begin) {
    pulsews_message message;
    IS(pulsews_recv(client, &message, PULSEWS_SECONDS(30)), PULSEWS_EDEAD);
    return (now_ns() - begin) / 1000000;
}

TEST(a_peer_that_stops_to_take_an_upload_is_dead) {
    slow.stops_after = 1 << 20;
    pthread_t server = start_slowly();
    pulsews_client *client = uploading("compression=false");
    while (!slow.stopped_at) poll(NULL, 0, 1);
    int64_t time = until_dead(client, slow.stopped_at);
    fprintf(stderr, "dead %lld ms after it stopped\n", (long long)time);
    CHECK(time > TIMEOUT / 2 && time < 2 * TIMEOUT);
    IS((int64_t)statistic(client, "messages_failed"), 1);
    check_account(client);
    finish(client, server);
}

/* It takes everything, and nobody knows what of that reaches the server. */
TEST(a_proxy_takes_an_upload_for_one_timeout_more) {
    char option[64];
    slow.is_proxy = 1;
    pthread_t server = start_slowly();
    snprintf(option, sizeof option, "proxy=http://127.0.0.1:%d", slow.port);
    int64_t begin = now_ns();
    pulsews_client *client = uploading(option);
    int64_t time = until_dead(client, begin);
    fprintf(stderr, "dead after %lld ms\n", (long long)time);
    CHECK(time >= 2 * TIMEOUT - 10 && time < 3 * TIMEOUT);
    finish(client, server);
}
