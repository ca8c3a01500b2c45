/* SPDX-License-Identifier: Apache-2.0 */
/* What peers and addresses can't do to a hub, and what waits and is not lost. */
#include "hub.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TEST(hub_memory_is_not_what_a_peer_asks_for) {
    static char text[1900], wishes[1 << 16];
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "t history=500");
    start_hub(hub);
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    for (int i = 0; i < 500; i++) IS(pulsews_hub_publish(hub, "t", NULL, text, sizeof text, NULL), PULSEWS_OK);
    pulsews_client *peer = make_peer(hub, "/ws/stream", 1, OPTIONS("receive_queue_bytes=64KiB", "compression=false"));
    size_t used = (size_t)snprintf(wishes, sizeof wishes, "{\"type\":\"subscribe\",\"topics\":[");
    for (int i = 0; i < 200; i++)
        used += (size_t)snprintf(wishes + used, sizeof wishes - used, "%s{\"topic\":\"t\",\"history\":%d}",
                                 i ? "," : "", 500 - i);
    snprintf(wishes + used, sizeof wishes - used, "]}");
    int64_t memory = peak_memory();
    send_text(peer, wishes);
    send_text(peer, "{\"type\":\"ping\",\"id\":9}");
    await_hub_statistic(hub, "snapshots_sent", 1);
    poll(NULL, 0, 300); /* long enough for all 200 of them, were they made ahead: 150 MB */
    CHECK(peak_memory() - memory < 64 << 20);
    /* As it takes them, all come, and then what it sent behind them. */
    for (int i = 0; i < 200; i++) {
        GETS(peer, "\"type\":\"subscribed\"");
        GETS(peer, "\"type\":\"snapshot\"");
    }
    GETS(peer, "\"type\":\"pong\"", "\"id\":9");
    CHECK(peak_memory() - memory < 64 << 20);
    pulsews_client_free(peer);
    check_books(hub);
    pulsews_hub_free(hub);
}

/* Replies that are errors alone: more than twice what may wait for one peer. */
TEST(hub_refusals_of_many_wishes_all_come) {
    static char wishes[200 << 10];
    pulsews_hub *hub = make_hub(OPTIONS("max_message_size=1MiB"));
    start_hub(hub); /* without a topic that anybody may subscribe */
    pulsews_client *peer = pulse_peer(hub);
    size_t used = (size_t)snprintf(wishes, sizeof wishes, "{\"type\":\"subscribe\",\"topics\":[");
    for (int i = 0; i < 256; i++) {
        used += (size_t)snprintf(wishes + used, sizeof wishes - used, "%s{\"topic\":\"", i ? "," : "");
        for (int quotes = 0; quotes < 250; quotes++)
            used += (size_t)snprintf(wishes + used, sizeof wishes - used, "\\\"");
        used += (size_t)snprintf(wishes + used, sizeof wishes - used, "\"}");
    }
    snprintf(wishes + used, sizeof wishes - used, "]}");
    send_text(peer, wishes);
    send_text(peer, "{\"type\":\"ping\",\"id\":9}");
    for (int i = 0; i < 256; i++) GETS(peer, "\"type\":\"error\"");
    GETS(peer, "\"type\":\"pong\"", "\"id\":9");
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

TEST(hub_memory_is_not_what_a_url_asks_for) {
    enum { TOPICS = 100, SIZE = 400 << 10 };
    static char text[SIZE], path[1024], name[16];
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "t.* latest=true");
    start_hub(hub);
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    size_t used = (size_t)snprintf(path, sizeof path, "/ws/stream?topics=");
    for (int i = 0; i < TOPICS; i++) {
        snprintf(name, sizeof name, "t.%d", i);
        IS(pulsews_hub_publish(hub, name, "k", text, sizeof text, NULL), PULSEWS_OK);
        used += (size_t)snprintf(path + used, sizeof path - used, "%s%s", i ? "," : "", name);
    }
    int64_t memory = peak_memory();
    pulsews_client *peer = make_peer(hub, path, 1, OPTIONS("receive_queue_bytes=64KiB", "compression=false"));
    await_hub_statistic(hub, "snapshots_sent", 1);
    poll(NULL, 0, 300); /* long enough for all of them, were they made ahead: 40 MB */
    CHECK(peak_memory() - memory < 20 << 20);
    for (int i = 0; i < TOPICS; i++) {
        GETS(peer, "\"type\":\"subscribed\"");
        GETS(peer, "\"type\":\"snapshot\"");
    }
    pulsews_client_free(peer);
    check_books(hub);
    pulsews_hub_free(hub);
}

/* A peer that reads nothing: old messages of its key are replaced, and do not wait in the kernel by the megabyte. */
TEST(hub_conflates_before_the_kernel) {
    static const char
        request[] = "GET /ws/stream?topics=t HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    static char text[1024];
    pulsews_hub *hub = make_hub(OPTIONS("queue_messages=10"));
    hub_topic(hub, "t conflate=k");
    start_hub(hub);
    int connection = http_connect(hub_port(hub)), size = 16384;
    setsockopt(connection, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    CHECK(send(connection, request, sizeof request - 1, MSG_NOSIGNAL) > 0);
    await_hub_statistic(hub, "subscriptions", 1);
    memset(text, 'x', sizeof text);
    memcpy(text, "{\"k\":\"one\",\"x\":\"", 16);
    memcpy(text + sizeof text - 2, "\"}", 2);
    for (int i = 1; i <= 8000; i++) {
        IS(pulsews_hub_publish(hub, "t", NULL, text, sizeof text, NULL), PULSEWS_OK);
        if (i % 20 == 0) await_hub_statistic(hub, "messages_offered", i); /* each has its turn */
    }
    CHECK(hub_statistic(hub, "messages_written") < 600);
    close(connection);
    check_books(hub);
    pulsews_hub_free(hub);
}

TEST(hub_wrong_tokens_for_publishing_count) {
    pulsews_hub *hub = open_hub(OPTIONS("publish_token=right", "address_failures=3"));
    static const char request
        [] = "POST /ws/publish HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer wrong\r\nContent-Length: 2\r\n\r\n{}";
    for (int i = 0; i < 3; i++) CHECK(strstr(http_exchange(hub_port(hub), request), "401 ") != NULL);
    CHECK(strstr(http_exchange(hub_port(hub), request), "429 ") != NULL);
    CHECK(hub_statistic(hub, "tokens_refused") == 3);
    pulsews_hub_free(hub);
}

TEST(hub_messages_to_all_wait_for_the_token) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_hub *hub = make_hub(OPTIONS("auth=required"));
    IS(pulsews_hub_key(hub, "k", "HS256", "an example secret of 32 bytes ok", 32, why, sizeof why), PULSEWS_OK);
    start_hub(hub);
    pulsews_client *peer = pulse_peer(hub);
    IS(pulsews_hub_send(hub, 0, PULSEWS_TEXT, "to all", 6), PULSEWS_OK);
    send_text(peer, "{\"type\":\"ping\",\"id\":1}");
    GETS(peer, "\"type\":\"pong\"");
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

TEST(hub_number_0_is_no_peer) {
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    pulsews_client *peer = pulse_peer(hub);
    pulsews_hub_subscribe(hub, 0, "t");
    pulsews_hub_close_peer(hub, 0, 4000, "nobody");
    pulsews_hub_answer(hub, 0, 200, NULL, "x", 1);
    publish(hub, "t", NULL, "1");
    send_text(peer, "{\"type\":\"ping\",\"id\":1}");
    GETS(peer, "\"type\":\"pong\"");
    CHECK(hub_statistic(hub, "subscriptions") == 0);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

TEST(hub_events_of_the_smallest_queue) {
    pulsews_hub *hub = open_hub(OPTIONS("events=message", "event_queue_messages=1"));
    pulsews_client *peer = pulse_peer(hub);
    for (int i = 0; i < 5; i++) send_text(peer, "{\"type\":\"order\"}");
    for (int i = 0; i < 5; i++) CHECK(hub_event(hub, PULSEWS_HUB_MESSAGE)->length == 16);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

TEST(hub_events_that_nobody_fetches_stop_no_peer) {
    pulsews_hub *hub = open_hub(OPTIONS("events=connected", "event_queue_messages=1"));
    pulsews_client *peers[3];
    for (int i = 0; i < 3; i++) peers[i] = pulse_peer(hub);
    for (int i = 0; i < 3; i++) {
        send_text(peers[i], "{\"type\":\"ping\"}");
        GETS(peers[i], "\"type\":\"pong\"");
        pulsews_client_free(peers[i]);
    }
    pulsews_hub_free(hub);
}

TEST(hub_end_shows_on_the_descriptor) {
    pulsews_hub_event event;
    pulsews_hub *hub = open_hub(OPTIONS("events=drained"));
    int descriptor = pulsews_hub_wake_fd(hub);
    CHECK(descriptor >= 0);
    IS(pulsews_hub_drain(hub, 0, PULSEWS_SECONDS(10)), PULSEWS_OK);
    struct pollfd waiting = {.fd = descriptor, .events = POLLIN};
    for (int i = 0; i < 2; i++) {
        CHECK(poll(&waiting, 1, 10000) == 1);
        IS(pulsews_hub_next(hub, &event, 1, 0), i == 0 ? 1 : PULSEWS_ECLOSED);
    }
    pulsews_hub_free(hub);
}

TEST(hub_history_is_loaded_before_the_start) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "t history=10");
    pulsews_hub_publication two[2] = {{.data = "1", .length = 1, .offset = 7}, {.data = "2", .length = 1}};
    IS(pulsews_hub_load(hub, "t", two, 2), PULSEWS_OK);
    start_hub(hub);
    IS(pulsews_hub_load(hub, "t", two, 2), PULSEWS_EBUSY);
    pulsews_client *peer = pulse_peer(hub);
    CHECK(strstr(subscribe_peer(peer, "{\"topic\":\"t\",\"history\":5}"), "\"offset\":8") != NULL);
    GETS(peer, "\"type\":\"snapshot\"", "\"o\":7", "\"o\":8");
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

TEST(hub_topics_are_not_made_for_who_may_not_have_them) {
    pulsews_hub *hub = make_hub(OPTIONS("subscriptions_per_peer=2"));
    hub_topic(hub, "g.* subscribe=granted");
    hub_topic(hub, "p.* history=1");
    start_hub(hub);
    pulsews_client *peer = pulse_peer(hub);
    send_text(peer, "{\"type\":\"subscribe\",\"topics\":[\"g.1\",\"p.1\",\"p.2\",\"p.3\"]}");
    GETS(peer, "\"topic_forbidden\"");
    GETS(peer, "\"type\":\"subscribed\"");
    GETS(peer, "\"type\":\"subscribed\"");
    GETS(peer, "\"too_many_subscriptions\"");
    CHECK(hub_statistic(hub, "topics") == 2);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

/* How many segments with data a connection has received. */
static uint32_t data_segments(int fd) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    IS(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_data_segs_in;
}

/* Reads until `last` has come. */
static const char *read_until(int fd, const char *last) {
    static char text[4096];
    size_t used = 0;
    for (text[0] = 0; !strstr(text, last);) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        CHECK(poll(&readable, 1, 20000) == 1);
        ssize_t count = read(fd, text + used, sizeof text - 1 - used);
        CHECK(count > 0);
        for (; count; count--, used++)
            if (!text[used]) text[used] = ' ';
        text[used] = 0;
    }
    return text;
}

TEST(hub_topics_of_one_flush_go_out_in_one_write) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "later flush=10s");
    hub_topic(hub, "* flush=100ms");
    start_hub(hub);
    int fd = http_connect(hub_port(hub));
    const char *request =
        "GET /ws/stream?topics=a,b,c,later HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    CHECK(write(fd, request, strlen(request)) == (ssize_t)strlen(request));
    read_until(fd, "\"welcome\"");
    await_hub_statistic(hub, "subscriptions", 4);
    uint32_t before = data_segments(fd);
    publish(hub, "later", NULL, "{\"type\":\"later\"}");
    publish(hub, "a", NULL, "{\"type\":\"first\"}");
    publish(hub, "b", NULL, "{\"type\":\"second\"}");
    publish(hub, "c", NULL, "{\"type\":\"third\"}");
    const char *text = read_until(fd, "third");
    CHECK(strstr(text, "first") && strstr(text, "second") && !strstr(text, "later"));
    IS(data_segments(fd) - before, 1);
    close(fd);
    check_books(hub);
    pulsews_hub_free(hub);
}
