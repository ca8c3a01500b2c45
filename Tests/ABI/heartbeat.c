/* SPDX-License-Identifier: Apache-2.0
 *
 * Heartbeats of every kind, from both sides, and feeds that are connected and mute. */
#include "harness.h"
#include <math.h>

#define FAST "reconnect_base_delay=10ms", "jitter=0", "events=true"

static void nothing_comes(pulsews_client *client, int64_t time) {
    pulsews_message message;
    int64_t end = now_ns() + time;
    while (now_ns() < end)
        if (pulsews_recv(client, &message, end - now_ns()) == PULSEWS_OK && message.kind != PULSEWS_EVENT) {
            fprintf(stderr, "got %.*s\n", (int)message.length, (const char *)message.data);
            exit(1);
        }
}

static void check_latency(pulsews_client *client) {
    double last = statistic(client, "latency"), least = statistic(client, "latency_min"),
           most = statistic(client, "latency_max");
    double middle = statistic(client, "latency_p50"), high = statistic(client, "latency_p99"),
           smooth = statistic(client, "latency_smoothed");
    fprintf(stderr, "round trips %g %g %g %g %g %g\n", last, least, middle, high, most, smooth);
    CHECK(least > 0 && least <= middle && middle <= high && high <= most && most < 10);
    CHECK(last >= least && last <= most && smooth >= least && smooth <= most);
}

/* The server answers; the answer is a round trip and nothing else. */
static void heartbeats(const char *script, const char *message, const char *reply, const char *sent) {
    server *s = scripted(SCRIPTS(script));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS("heartbeat_interval=20ms", "heartbeat_timeout=5s", message, reply));
    CHECK(isnan(statistic(client, "latency")));
    for (int i = 0; i < 3; i++) await_record(s, 1, "text", sent);
    await_statistic(client, "heartbeats_received", 3);
    check_latency(client);
    nothing_comes(client, PULSEWS_MILLISECONDS(50));
    IS((int64_t)statistic(client, "messages_received"), 0);
    IS((int64_t)statistic(client, "messages_accepted"), 0);
    IS((int64_t)statistic(client, "pings_sent"), 0);
    CHECK(statistic(client, "session_messages_sent") >= 3);
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_text_heartbeat) { heartbeats("accept | answer ping -> pong", "heartbeat_message=ping", "name=a", "ping"); }
TEST(a_json_heartbeat) {
    heartbeats("accept | answer {\"type\":\"ping\"} -> { \"data\": {}, \"type\": \"pong\" }",
               "heartbeat_message={\"type\":\"ping\"}", "name=a", "{\"type\":\"ping\"}");
}
TEST(a_heartbeat_with_a_pattern) {
    heartbeats("accept | answer hello -> {\"ret_msg\":\"pong\",\"args\":[]}", "heartbeat_message=hello",
               "heartbeat_reply={\"ret_msg\":\"pong\"}", "hello");
    heartbeats("accept | answer hello -> pong 17", "heartbeat_message=hello", "heartbeat_reply=pong *", "hello");
}

TEST(heartbeats_are_numbered) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS("heartbeat_interval=20ms", "heartbeat_message={\"id\":${id}}"));
    double last = 0;
    for (int i = 0; i < 3; i++) {
        double id = json_number(await_record(s, 1, "text", NULL)->text, "id");
        CHECK(id > last);
        last = id;
    }
    pulsews_client_free(client);
}

TEST(heartbeats_can_be_delivered) {
    pulsews_client *client = open_client(port_of(scripted(SCRIPTS("accept | answer ping -> pong"))),
                                         OPTIONS("heartbeat_interval=20ms", "heartbeat_message=ping",
                                                 "deliver_heartbeats=true"));
    for (int i = 0; i < 3; i++) await_text(client, "pong");
    check_latency(client);
    pulsews_client_free(client);
}

TEST(protocol_pings_are_the_default) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("heartbeat_interval=20ms"));
    for (int i = 0; i < 3; i++) await_record(s, 1, "ping", NULL);
    await_statistic(client, "pongs_received", 3);
    check_latency(client);
    IS((int64_t)statistic(client, "session_messages_sent"), 0);
    pulsews_client_free(client);
}

TEST(no_heartbeats) {
    server *s = scripted(SCRIPTS("accept | go | text x"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("heartbeat_interval=0", "heartbeat_timeout=0"));
    nothing_comes(client, PULSEWS_MILLISECONDS(200));
    tell_server(s, "go");
    await_text(client, "x");
    IS(count_records(s, 1, "ping", NULL) + count_records(s, 1, "text", NULL), 0);
    pulsews_client_free(client);
}

/* ---- What the server asks for ---- */

TEST(heartbeats_of_the_server_are_answered) {
    server *s = scripted(
        SCRIPTS("accept | text {\"method\":\"heartbeat\",\"params\":{\"type\":\"test_request\"},\"id\":7} | "
                "text {\"id\":\"a \\\"b\\\"\",\"params\":{\"type\":\"test_request\",\"n\":[1,2]}} | "
                "text {\"params\":{\"type\":\"test_request\"}} | text {\"params\":{\"type\":\"other\"},\"id\":9} | "
                "text {\"params\":{\"type\":\"test_request\"},\"id\":10}"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS("heartbeat_request={\"params\":{\"type\":\"test_request\"}}",
                                                 "heartbeat_answer={\"method\":\"public/test\",\"id\":${.id}}"));
    expect_at_server(s, 1, "{\"method\":\"public/test\",\"id\":7}");
    expect_at_server(s, 1, "{\"method\":\"public/test\",\"id\":\"a \\\\\"b\\\\\"\"}");
    /* the server doubles backslashes */
    expect_at_server(s, 1, "{\"method\":\"public/test\",\"id\":10}"); /* nothing for the one without an id */
    await_text(client, "{\"params\":{\"type\":\"other\"},\"id\":9}");
    nothing_comes(client, PULSEWS_MILLISECONDS(20));
    IS((int64_t)statistic(client, "heartbeats_received"), 4);
    pulsews_client_free(client);
}

TEST(a_server_without_heartbeats_is_left) {
    server *s = scripted(SCRIPTS("accept | every 20 {\"type\":\"heartbeat\"} | every 20 data | sleep 600 | cut",
                                 "accept | every 20 data", "accept"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "server_heartbeat={\"type\":\"heartbeat\"}",
                                                 "server_heartbeat_timeout=300ms", "max_reconnect_attempts=0"));
    CHECK(strstr(EVENT(client, "\"trigger\":\"retry\""), "PULSEWS_EEOF")); /* while they came it lived */
    CHECK(strstr(EVENT(client, "\"trigger\":\"retry\""), "PULSEWS_ESTALE")); /* data is no heartbeat */
    IS((int64_t)statistic(client, "reconnects_stale"), 1);
    await_record(s, 2, "close", "1000");
    pulsews_client_free(client);
}

TEST(own_heartbeats_do_not_keep_a_dead_peer_alive) {
    server *s = scripted(SCRIPTS("accept", "accept | text back"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "heartbeat_interval=30ms", "heartbeat_timeout=300ms",
                                                             "heartbeat_message=ping"));
    const char *event = EVENT(client, "\"trigger\":\"retry\"", "PULSEWS_EDEAD");
    CHECK(strstr(event, "heartbeat_timeout"));
    CHECK(count_records(s, 1, "text", "ping") >= 3);
    await_text(client, "back");
    IS((int64_t)statistic(client, "reconnects_dead"), 1);
    pulsews_client_free(client);
}

/* ---- Connected and mute ---- */

TEST(a_mute_feed_is_told) {
    server *s = scripted(SCRIPTS("accept | text a | go | text b | go | text c"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "stale_timeout=150ms"));
    char status[16384];
    await_text(client, "a");
    for (int i = 0; i < 2; i++) {
        const char *event = EVENT(client, "\"event\":\"stale\"", "\"action\":\"event\"");
        CHECK(json_number(event, "silence") > 0.149 && json_number(event, "silence") < 5);
        CHECK(pulsews_status_json(client, status, sizeof status) > 0 && strstr(status, "\"stale\":true"));
        CHECK(statistic(client, "silence") > 0.149);
        nothing_comes(client, PULSEWS_MILLISECONDS(200)); /* told once */
        IS((int64_t)statistic(client, "stale_episodes"), i + 1);
        tell_server(s, "go");
        event = EVENT(client, "\"event\":\"fresh\"");
        CHECK(json_number(event, "silence") > 0.3);
        CHECK(pulsews_status_json(client, status, sizeof status) > 0 && strstr(status, "\"stale\":false"));
    }
    IS((int64_t)statistic(client, "connections"), 1);
    pulsews_client_free(client);
}

TEST(a_mute_feed_is_left) {
    server *s = scripted(SCRIPTS("accept | text a", "accept | text b"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "stale_timeout=150ms", "stale_action=reconnect"));
    await_text(client, "a");
    EVENT(client, "\"event\":\"stale\"", "\"action\":\"reconnect\"");
    const char *event = EVENT(client, "\"trigger\":\"retry\"", "PULSEWS_ESTALE");
    CHECK(strstr(event, "stale_timeout"));
    await_text(client, "b");
    IS((int64_t)statistic(client, "reconnects_stale"), 1);
    await_record(s, 1, "close", "1000");
    pulsews_client_free(client);
}

TEST(heartbeats_are_no_data) {
    server *s = scripted(SCRIPTS(
        "accept | answer ping -> pong | every 20 {\"type\":\"heartbeat\"} | ping x | every 30 ask | text data"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "stale_timeout=250ms", "heartbeat_message=ping",
                                                 "heartbeat_interval=20ms", "server_heartbeat={\"type\":\"heartbeat\"}",
                                                 "heartbeat_request=ask", "heartbeat_answer=told",
                                                 "deliver_heartbeats=true"));
    EVENT(client, "\"event\":\"stale\"");
    CHECK(statistic(client, "heartbeats_received") > 10);
    IS((int64_t)statistic(client, "connections"), 1);
    pulsews_client_free(client);
}

/* A close that is not answered ends in time, though the server's heartbeats are overdue long before, and the other
 * clients of the loop keep their timers. */
TEST(an_overdue_heartbeat_does_not_hold_up_a_close) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *other = open_client(port_of(s), OPTIONS("heartbeat_interval=50ms"));
    pulsews_client *client = open_client(start_server("ignores-close"),
                                         OPTIONS("server_heartbeat=hb", "server_heartbeat_timeout=300ms",
                                                 "close_timeout=1s"));
    int64_t begin = now_ns();
    IS(pulsews_close(client, 1000, NULL, 0), PULSEWS_ETIMEOUT);
    int pings = count_records(s, 1, "ping", NULL);
    for (int i = 0; i < pings + 12; i++) await_record(s, 1, "ping", NULL); /* 0.6 s */
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(990) && now_ns() - begin < PULSEWS_SECONDS(8));
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    pings = count_records(s, 1, "ping", NULL);
    rewind_records(s);
    for (int i = 0; i < pings + 3; i++) await_record(s, 1, "ping", NULL);
    pulsews_client_free(client);
    pulsews_client_free(other);
}
