/* SPDX-License-Identifier: Apache-2.0
 *
 * Staleness per key: one instrument of a feed may be mute while others are not. */
#include "harness.h"
#include <malloc.h>
#include <poll.h>

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"
#define STALE(key) "\"event\":\"stale_key\"", "\"key\":\"" key "\""
#define FRESH(key) "\"event\":\"fresh_key\"", "\"key\":\"" key "\""

TEST(one_key_goes_stale_and_comes_back) {
    server *s = scripted(SCRIPTS("accept | every 20 {\"s\":\"A\"} | text {\"s\":\"B\"} | go | text {\"s\":\"B\"}"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "key_path=s", "stale_key_timeout=300ms"));
    int64_t begin = now_ns();
    const char *event = EVENT(client, STALE("B"));
    CHECK(json_number(event, "silence") >= 0.3 && json_number(event, "silence") < 5);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5));
    IS((int64_t)statistic(client, "stale_keys"), 1);
    IS((int64_t)statistic(client, "keys"), 2);
    poll(NULL, 0, 400);
    IS((int64_t)statistic(client, "stale_keys"), 1); /* once */
    tell_server(s, "go");
    double silence = json_number(event, "silence");
    event = EVENT(client, FRESH("B"));
    CHECK(json_number(event, "silence") > silence);
    event = EVENT(client, STALE("B")); /* and again */
    IS((int64_t)statistic(client, "stale_keys"), 2);
    IS((int64_t)statistic(client, "stale_episodes"), 0);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    pulsews_client_free(client);
}

TEST(a_key_of_two_paths) {
    server *s = scripted(SCRIPTS("accept | text {\"d\":{\"c\":\"trade\",\"s\":7}} "
                                 "| text {\"d\":{\"c\":\"book\",\"s\":7}} | "
                                 "text {\"d\":{\"c\":\"book\"}} | every 20 {\"d\":{\"c\":\"trade\",\"s\":7}}"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "key_path=d.c", "key_path=d.s", "stale_key_timeout=200ms"));
    EVENT(client, STALE("book/7"));
    EVENT(client, STALE("book")); /* a message that lacks a part has the key of the parts that it has */
    IS((int64_t)statistic(client, "stale_keys"), 2);
    IS((int64_t)statistic(client, "keys"), 3);
    pulsews_client_free(client);
}

/* The event stands between the messages, and comes before the message that ends the silence. */
TEST(fresh_comes_before_the_message) {
    server *s = scripted(SCRIPTS("accept | text {\"s\":\"A\"} | go | text {\"s\":\"A\",\"again\":1}"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "key_path=s", "stale_key_timeout=50ms"));
    await_text(client, "{\"s\":\"A\"}");
    EVENT(client, STALE("A"));
    tell_server(s, "go");
    EVENT(client, FRESH("A"));
    await_text(client, "{\"s\":\"A\",\"again\":1}");
    pulsews_client_free(client);
}

/* Without a connection nothing goes stale, and the clock of all keys begins anew with the next one. */
TEST(keys_rest_without_a_connection) {
    server *s = scripted(SCRIPTS("accept | text {\"s\":\"A\"} | text {\"s\":\"B\"} | go | cut", "accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("events=true", "key_path=s", "stale_key_timeout=300ms",
                                                             "reconnect_base_delay=1s", "jitter=0"));
    await_text(client, "{\"s\":\"A\"}");
    await_text(client, "{\"s\":\"B\"}");
    tell_server(s, "go");
    EVENT(client, "\"trigger\":\"retry\"");
    EVENT(client, "\"trigger\":\"opened\"");
    int64_t begin = now_ns();
    IS((int64_t)statistic(client, "stale_keys"), 0);
    EVENT(client, "\"event\":\"stale_key\"");
    EVENT(client, "\"event\":\"stale_key\"");
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(250));
    IS((int64_t)statistic(client, "stale_keys"), 2);
    pulsews_client_free(client);
}

/* While reading pauses the silence is this side's own. */
TEST(keys_rest_while_reading_pauses) {
    server *s = scripted(SCRIPTS("accept | text {\"s\":\"A\"} "
                                 "| numbers count=2000 keys=1 size=500 | every 20 {\"s\":\"K0\"}"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "key_path=s", "stale_key_timeout=200ms",
                                                             "compression=false", "receive_queue_bytes=64KiB"));
    await_statistic(client, "reading_pauses", 1);
    poll(NULL, 0, 500);
    IS((int64_t)statistic(client, "stale_keys"), 0);
    const char *event = EVENT(client, STALE("A")); /* K0 goes on when there is room */
    CHECK(json_number(event, "silence") >= 0.2);
    pulsews_client_free(client);
}

TEST(many_keys_go_stale) {
    enum { KEYS = 5000 };
    server *s = scripted(SCRIPTS("accept | numbers count=5000 "
                                 "keys=5000 | go | numbers count=5000 keys=5000 first=5000 | text end"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "key_path=s", "stale_key_timeout=1s", "compression=false"));
    int stale = 0, fresh = 0, texts = 0;
    for (pulsews_message message; fresh < KEYS || texts < 2 * KEYS + 1;) {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)message.length, (const char *)message.data);
        if (message.kind != PULSEWS_EVENT) texts++;
        else if (strstr(text, "stale_key") && ++stale == KEYS) tell_server(s, "go");
        else if (strstr(text, "fresh_key")) fresh++;
    }
    IS(stale, KEYS);
    IS(fresh, KEYS);
    IS((int64_t)statistic(client, "stale_keys"), KEYS);
    IS((int64_t)statistic(client, "events_dropped"), 0);
    pulsews_client_free(client);
}

/* What has no key has no clock; long keys are not followed. */
TEST(messages_without_a_key) {
    static char text[700] = "accept | text {\"s\":\"";
    memset(text + strlen(text), 'x', 300);
    strcat(text, "\"} | text hello | text {\"t\":1} | text {\"s\":\"A\"} | text end");
    server *s = scripted(SCRIPTS(text));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "key_path=s", "stale_key_timeout=100ms"));
    EVENT(client, STALE("A"));
    poll(NULL, 0, 200);
    IS((int64_t)statistic(client, "stale_keys"), 1);
    IS((int64_t)statistic(client, "keys"), 1);
    pulsews_client_free(client);
}

/* The clock of all keys begins anew with either side of a client with twins. */
TEST(keys_rest_until_the_twin_is_back) {
    server *s = scripted(SCRIPTS("/path: accept | text {\"s\":\"A\",\"u\":1} | text {\"s\":\"B\",\"u\":1} | go | cut",
                                 "/path: refuse 503", "/twin: accept | go | cut",
                                 "/twin: go | accept | text {\"s\":\"A\",\"u\":2}"));
    char twin[100];
    snprintf(twin, sizeof twin, "twin=ws://127.0.0.1:%d/twin", port_of(s));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "key_path=s", "stale_key_timeout=400ms", twin, "sequence_path=u",
                                                 "sequence_key=s", "max_reconnect_attempts=0"));
    await_statistic(client, "keys", 4);
    await_statistic(client, "sides_connected", 2);
    tell_server(s, "go");
    tell_server(s, "go");
    EVENT(client, "\"event\":\"state\"", "\"state\":\"reconnecting\"");
    poll(NULL, 0, 900);
    IS((int64_t)statistic(client, "stale_keys"), 0);
    tell_server(s, "go");
    const char *event = EVENT(client, STALE("B"));
    CHECK(json_number(event, "silence") < 0.8);
    pulsews_client_free(client);
}

/* The timers of a client that is gone hold nothing of it. */
TEST(freed_clients_leave_no_keys) {
    enum { CLIENTS = 100 };
    server *s = scripted(SCRIPTS("accept | every 10 {\"s\":\"A\"}"));
    pulsews_client *one = open_client(port_of(s), NO_OPTIONS); /* the loop stays */
    size_t begin = 0;
    for (int i = 0; i < CLIENTS + 10; i++) {
        if (i == 10) begin = mallinfo2().uordblks;
        pulsews_client *client = open_client(port_of(s), OPTIONS("key_path=s", "stale_key_timeout=1h"));
        await_text(client, "{\"s\":\"A\"}");
        pulsews_client_free(client);
    }
    int64_t grown = 0;
    for (int64_t end = now_ns() + PULSEWS_SECONDS(5); now_ns() < end; poll(NULL, 0, 50)) {
        grown = (int64_t)mallinfo2().uordblks - (int64_t)begin;
        if (grown < CLIENTS * 3000) break;
    }
    fprintf(stderr, "%lld bytes more\n", (long long)grown);
    CHECK(grown < CLIENTS * 3000); /* what the server told is kept here, too */
    pulsews_client_free(one);
}
