/* SPDX-License-Identifier: Apache-2.0
 *
 * When messages leave, and that each leaves once: backlog, rate limits, cut connections. */
#include "harness.h"

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"

static void ready(pulsews_client *client) {
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
}

/* ---- The backlog ---- */

TEST(a_backlog_leaves_at_its_pace) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "backlog_interval=150ms"));
    static const char *const queued[] = {"1", "2", "3", "4"};
    int64_t last = 0, at;
    for (int i = 0; i < 4; i++) send_text(client, queued[i]);
    ready(client);
    expect_at_server(s, 1, "1");
    send_text(client, "lines up");
    IS(pulsews_send_with(client, PULSEWS_TEXT, "overtakes", 9, PULSEWS_LIVE_ONLY, 0, 0, NULL), PULSEWS_OK);
    expect_at_server(s, 1, "overtakes");
    for (int i = 1; i < 4; i++, last = at) {
        at = await_record(s, 1, "text", queued[i])->at;
        CHECK(at - requested_at(s, 1) >= i * PULSEWS_MILLISECONDS(150));
        if (i > 1) CHECK(at - last < PULSEWS_SECONDS(2));
    }
    expect_at_server(s, 1, "lines up");
    /* The backlog is gone: what follows leaves at once. */
    int64_t begin = now_ns();
    for (int i = 0; i < 20; i++) send_text(client, "live"), expect_at_server(s, 1, "live");
    CHECK(now_ns() - begin < PULSEWS_SECONDS(2));
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_backlog_at_full_speed) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("backlog_interval=0"));
    for (int i = 0; i < 1000; i++) send_text(client, "x");
    int64_t begin = now_ns();
    ready(client);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5)); /* and not 100 s */
    IS((int64_t)statistic(client, "messages_sent"), 1000);
    pulsews_client_free(client);
}

/* A close does not wait for the pace, and loses nothing. */
TEST(a_close_sends_the_backlog_first) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("backlog_interval=10s"));
    for (int i = 0; i < 50; i++) send_text(client, "x");
    ready(client);
    int64_t begin = now_ns();
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(4)); /* close_timeout is 5 s */
    await_record(s, 1, "close", "1000");
    IS(count_records(s, 1, "text", "x"), 50);
    IS((int64_t)statistic(client, "messages_sent"), 50);
    check_account(client);
    pulsews_client_free(client);
}

/* ---- Rate limits ---- */

/* The server may have read one message later than the next: what holds of each is the time since the connection began. */
static void check_window(server *s, int count, int total, int64_t window) {
    for (int i = 0; i < total; i++) {
        int64_t since = await_record(s, 1, "text", NULL)->at - requested_at(s, 1);
        if (since < i / count * window) {
            fprintf(stderr, "message %d: after %.1f ms\n", i, (double)since / 1e6);
            exit(1);
        }
    }
}

TEST(a_rate_limit_holds_in_every_window) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("rate_limit=10/500ms"));
    for (int i = 0; i < 35; i++) send_text(client, "x");
    check_account(client);
    check_window(s, 10, 35, PULSEWS_MILLISECONDS(500));
    CHECK(statistic(client, "rate_limit_waits") > 0);
    pulsews_client_free(client);
}

TEST(several_rate_limits_at_once) {
    server *s = scripted(SCRIPTS("accept"));
    int64_t begin = now_ns();
    pulsews_client *client = open_client(port_of(s), OPTIONS("rate_limit=3/200ms", "rate_limit=6/1s", "login=in"));
    for (int i = 0; i < 14; i++) send_text(client, "x");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    CHECK(now_ns() - begin >= PULSEWS_SECONDS(2)); /* the login counts: 15 messages */
    check_window(s, 6, 15, PULSEWS_SECONDS(1));
    pulsews_client_free(client);
}

TEST(in_limit_tries_or_waits) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("rate_limit=2/300ms"));
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    int64_t first = now_ns();
    for (int i = 0; i < 2; i++)
        IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_IN_LIMIT, 0, 0, NULL), PULSEWS_OK);
    int64_t begin = now_ns();
    IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_IN_LIMIT, 0, 0, NULL), PULSEWS_ERATE);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_IN_LIMIT | PULSEWS_LIVE_ONLY, 0,
                         PULSEWS_MILLISECONDS(50), NULL),
       PULSEWS_ERATE);
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(50));
    check_account(client);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "y", 1, PULSEWS_IN_LIMIT, 0, SHORT, NULL), PULSEWS_OK);
    CHECK(now_ns() - first >= PULSEWS_MILLISECONDS(300) && now_ns() - first < PULSEWS_SECONDS(5));
    await_record(s, 1, "text", "y");
    IS((int64_t)statistic(client, "messages_accepted"), 3);
    pulsews_message many[4] = {{.data = "a", .length = 1, .kind = PULSEWS_TEXT},
                               {.data = "b", .length = 1, .kind = PULSEWS_TEXT},
                               {.data = "c", .length = 1, .kind = PULSEWS_TEXT},
                               {.data = "d", .length = 1, .kind = PULSEWS_TEXT}};
    int32_t left = pulsews_send_batch(client, many, 4, PULSEWS_IN_LIMIT, 0, 0, NULL);
    CHECK(left == 1 || left == 2); /* as many as there is room for */
    check_account(client);
    pulsews_client_free(client);
}

/* Who waits for room goes on as soon as there is some. */
TEST(a_blocked_sender_does_not_wait_for_more_room_than_it_needs) {
    pulsews_client *client = open_client(port_of(scripted(SCRIPTS("accept"))),
                                         OPTIONS("message_queue_policy=block", "message_queue_size=10",
                                                 "rate_limit=1/400ms", "backlog_interval=0"));
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    while (pulsews_send(client, PULSEWS_TEXT, "x", 1, 0) == PULSEWS_OK) {}
    IS((int64_t)statistic(client, "queue_size"), 10);
    int64_t begin = now_ns();
    IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, SHORT), PULSEWS_OK);
    fprintf(stderr, "%.0f ms\n", (double)(now_ns() - begin) / 1e6);
    CHECK(now_ns() - begin < PULSEWS_MILLISECONDS(1600)); /* half of the queue takes 2 s */
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_backlog_expires_on_its_way) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "backlog_interval=100ms", "message_ttl=250ms"));
    for (int i = 0; i < 20; i++) send_text(client, "x");
    ready(client);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    double sent = statistic(client, "messages_sent");
    fprintf(stderr, "%g sent\n", sent);
    CHECK(sent >= 1 && sent <= 3 && sent + statistic(client, "messages_expired") == 20);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_record(s, 1, "close", NULL);
    IS(count_records(s, 1, "text", NULL), (int64_t)sent);
    pulsews_client_free(client);
}

TEST(control_frames_count_when_told_to) {
    server *s = scripted(SCRIPTS("accept | ping one | ping two"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("rate_limit=2/2s", "rate_limit_control=true"));
    await_record(s, 1, "pong", "one");
    await_record(s, 1, "pong", "two");
    IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_IN_LIMIT, 0, 0, NULL), PULSEWS_ERATE);
    IS(pulsews_send(client, PULSEWS_PING, "mine", 4, 0), PULSEWS_OK); /* never held up */
    await_record(s, 1, "ping", "mine");
    pulsews_client_free(client);
}

/* ---- At most once ---- */

static uint32_t crc32_of(const char *data, size_t length) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++) {
        crc ^= (uint8_t)data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

enum { LONG = 16 << 10 };

/* Text with its number in front; of a kind that deflate makes smaller by some. */
static void make_payload(char *payload, int number) {
    uint32_t state = (uint32_t)number * 2654435769u + 1;
    for (int i = 0; i < LONG; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        payload[i] = (char)('a' + state % 16);
    }
    snprintf(payload, 10, "%08d:", number);
}

/* The first connection takes nothing any more, and then goes; the second gets what the first had no byte of. */
static void cut_in_the_middle(const char *first, const char *second, const char *option, int by_hand,
                              size_t odd_length) {
    enum { COUNT = 1200 };
    int with_tls = strcmp(option, "verify=false") == 0;
    server *s = with_tls ? scripted(SCRIPTS("--tls", first, second)) : scripted(SCRIPTS(first, second));
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", with_tls ? "wss" : "ws", port_of(s));
    pulsews_client *client = make_client_at(url, OPTIONS(FAST, "backlog_interval=0", "message_queue_size=10000",
                                                         "message_queue_bytes=256MiB", option));
    ready(client);
    static char payload[LONG];
    int64_t next = -1;
    for (int i = 0; i < COUNT; i++) {
        make_payload(payload, i);
        IS(pulsews_send(client, i % 3 ? PULSEWS_TEXT : PULSEWS_BINARY, payload, i % 2 ? odd_length : LONG, 0),
           PULSEWS_OK);
        if (i % 100 == 0) check_account(client);
    }
    CHECK(statistic(client, "queue_size") > 50); /* else it does not test anything */
    check_account(client);
    if (by_hand) IS(pulsews_reconnect(client), PULSEWS_OK);
    else tell_server(s, "go");
    EVENT(client, "\"event\":\"state\",\"state\":\"reconnecting\"");
    check_account(client);
    IS(pulsews_flush(client, PULSEWS_SECONDS(30)), PULSEWS_OK);
    check_account(client);
    IS((int64_t)(statistic(client, "messages_sent") + statistic(client, "messages_failed")), COUNT);
    CHECK(statistic(client, "messages_failed") <= 1);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_record(s, 2, "close", NULL);
    int arrived = count_records(s, 2, "text", NULL) + count_records(s, 2, "binary", NULL);
    for (int i = COUNT - arrived; i < COUNT; i++) {
        char expected[64];
        make_payload(payload, i);
        size_t length = i % 2 ? odd_length : LONG;
        snprintf(expected, sizeof expected, "%zu:%08x:%08d:", length, crc32_of(payload, length), i);
        IS(count_records(s, 2, i % 3 ? "text" : "binary", expected), 1);
        IS(count_records(s, 1, NULL, expected), 0);
        next = i;
    }
    fprintf(stderr, "%d of %d on the second connection, %g failed\n", arrived, COUNT,
            statistic(client, "messages_failed"));
    IS(next, COUNT - 1);
    pulsews_client_free(client);
}

TEST(unwritten_messages_go_over_the_next_connection) {
    cut_in_the_middle("accept | stall | go | reset", "accept", "compression=false", 0, LONG);
}
TEST(unwritten_messages_go_over_the_next_connection_compressed) {
    cut_in_the_middle("deflate | stall | go | reset", "deflate", "compression_threshold=0", 0, LONG);
}
TEST(unwritten_messages_some_of_them_compressed) {
    cut_in_the_middle("deflate | stall | go | reset", "deflate", "name=short ones are not", 0, 200);
}
TEST(unwritten_messages_that_were_compressed_and_need_not_be) {
    cut_in_the_middle("deflate | stall | go | reset", "accept", "compression_threshold=0", 0, LONG);
}
TEST(unwritten_messages_go_over_the_next_connection_with_tls) {
    cut_in_the_middle("accept | stall | go | reset", "deflate", "verify=false", 0, 300);
}
TEST(unwritten_messages_go_along_with_a_reconnect) {
    cut_in_the_middle("accept | stall | go | reset", "deflate", "name=by hand", 1, 100);
}

/* A connection that was left for a new one may come to life again: what it delivers then was not sent once more. */
static void left_and_alive(int with_tls) {
    enum { COUNT = 1200 };
    server *s = with_tls ? scripted(SCRIPTS("--tls", "accept | stall | go | resume", "accept"))
                         : scripted(SCRIPTS("accept | stall | go | resume", "accept"));
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", with_tls ? "wss" : "ws", port_of(s));
    pulsews_client *client = make_client_at(url,
                                            OPTIONS(FAST, "backlog_interval=0", "message_queue_size=10000",
                                                    "message_queue_bytes=256MiB", "verify=false", "compression=false"));
    static char payload[LONG];
    static int arrived[2][COUNT];
    ready(client);
    for (int i = 0; i < COUNT; i++) {
        make_payload(payload, i);
        IS(pulsews_send(client, PULSEWS_TEXT, payload, LONG, 0), PULSEWS_OK);
    }
    CHECK(statistic(client, "queue_size") > 50);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    tell_server(s, "go");
    EVENT(client, "\"state\":\"connected\"");
    IS(pulsews_flush(client, PULSEWS_SECONDS(30)), PULSEWS_OK);
    check_account(client);
    await_record(s, 1, "end", NULL);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_record(s, 2, "end", NULL);
    rewind_records(s);
    for (int c = 0; c < 2; c++)
        for (int left = count_records(s, c + 1, "text", NULL); left > 0; left--) {
            const char *text = await_record(s, c + 1, "text", NULL)->text, *colon = strchr(text, ':');
            CHECK(colon && (colon = strchr(colon + 1, ':')) != NULL);
            int number = atoi(colon + 1);
            CHECK(number >= 0 && number < COUNT);
            arrived[c][number]++;
        }
    int both = 0, first = 0, second = 0;
    for (int i = 0; i < COUNT; i++) {
        CHECK(arrived[0][i] <= 1 && arrived[1][i] <= 1);
        both += arrived[0][i] && arrived[1][i], first += arrived[0][i], second += arrived[1][i];
    }
    fprintf(stderr, "%d and %d arrived, %g were sent, %g failed; %d arrived twice\n", first, second,
            statistic(client, "messages_sent"), statistic(client, "messages_failed"), both);
    IS(both, 0);
    CHECK(first + second >= (int)statistic(client, "messages_sent") && first > 0 && second > 0);
    pulsews_client_free(client);
}

TEST(what_a_left_connection_delivers_is_not_sent_again) { left_and_alive(0); }
TEST(what_a_left_connection_delivers_is_not_sent_again_with_tls) { left_and_alive(1); }

/* Any number of cuts: nothing arrives twice, and the account is right at each look. */
TEST(nothing_is_sent_twice) {
    enum { COUNT = 6000, MOST = 200000 };
    server *s = scripted(SCRIPTS("accept | got 40 | cut", "deflate | got 200 | reset", "accept | got 1 | close 1001",
                                 "deflate | got 333 | cut", "accept | got 77 | reset", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("backlog_interval=0", "reconnect_base_delay=1ms",
                                                             "reconnect_max_delay=3ms", "max_reconnect_attempts=0",
                                                             "message_queue_size=500", "compression_threshold=0",
                                                             "host_connect_rate=1000/s"));
    IS(pulsews_start(client), PULSEWS_OK);
    static char seen[MOST];
    uint64_t id;
    int rejected = 0, i = 0;
    for (; i < MOST && (i < COUNT || statistic(client, "connections") < 6); i++) { /* the last one stays */
        char text[32];
        int length = snprintf(text, sizeof text, "message %d of many", i);
        uint32_t flags = i % 7 == 0 ? PULSEWS_LIVE_ONLY : i % 5 == 0 ? PULSEWS_REPORT : 0;
        int64_t ttl = i % 11 == 0 ? PULSEWS_MILLISECONDS(2) : 0;
        rejected += pulsews_send_with(client, PULSEWS_TEXT, text, (size_t)length, flags, ttl, 0, &id) != PULSEWS_OK;
        check_account(client);
        for (int64_t until = now_ns() + 50000; now_ns() < until;) {}
    }
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    int connections = (int)statistic(client, "connections");
    await_record(s, connections, "close", NULL);
    rewind_records(s);
    IS((int64_t)statistic(client, "messages_accepted"), i - rejected);
    int arrived = 0, last = -1;
    for (int c = 1; c <= connections; c++)
        for (int left = count_records(s, c, "text", NULL); left > 0; left--) {
            int number = -1;
            CHECK(sscanf(await_record(s, c, "text", NULL)->text, "message %d of many", &number) == 1);
            CHECK(number > last && number < i && !seen[number]); /* in order, too */
            seen[last = number] = 1;
            arrived++;
        }
    fprintf(stderr,
            "%d arrived over %d connections, %g were sent, %d not accepted, %g dropped, %g expired, %g failed\n",
            arrived, connections, statistic(client, "messages_sent"), rejected, statistic(client, "messages_dropped"),
            statistic(client, "messages_expired"), statistic(client, "messages_failed"));
    CHECK(arrived <= (int)statistic(client, "messages_sent") && connections == 6);
    pulsews_client_free(client);
}

/* The time is the call's, and not close_timeout, which begins with the close frame. */
TEST(a_disconnect_sends_for_all_its_time) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS("rate_limit=1/100ms", "close_timeout=150ms", "backlog_interval=0"));
    ready(client);
    for (int i = 0; i < 6; i++) send_text(client, "order");
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    for (int i = 0; i < 6; i++) expect_at_server(s, 1, "order");
    await_record(s, 1, "close", "1000");
    IS((int64_t)statistic(client, "messages_sent"), 6);
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_close_sends_for_all_its_time) {
    /* Alone, after a call that has begun it and does not wait, and for less time than it takes. */
    for (int way = 0; way < 3; way++) {
        server *s = scripted(SCRIPTS("accept"));
        pulsews_client *client = make_client(port_of(s),
                                             OPTIONS("rate_limit=1/100ms", "backlog_interval=0",
                                                     way == 1 ? "close_timeout=10s" : "close_timeout=150ms"));
        ready(client);
        for (int i = 0; i < 6; i++) send_text(client, "order");
        if (way == 1) IS(pulsews_close(client, 1000, "over", 0), PULSEWS_ETIMEOUT);
        if (way == 2) IS(pulsews_close(client, 1000, "over", PULSEWS_MILLISECONDS(250)), PULSEWS_EUNSENT);
        else IS(pulsews_close(client, 1000, "over", SHORT), PULSEWS_OK);
        for (int i = 0; i < (way == 2 ? 3 : 6); i++) expect_at_server(s, 1, "order");
        await_record(s, 1, "close", "1000 over");
        check_account(client);
        pulsews_client_free(client);
    }
}

/* Without a caller that waits close_timeout is all there is. */
TEST(a_close_that_nobody_waits_for_ends_by_itself) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS("rate_limit=1/60s", "close_timeout=100ms", "backlog_interval=0"));
    ready(client);
    for (int i = 0; i < 3; i++) send_text(client, "order");
    IS(pulsews_close(client, 1000, NULL, 0), PULSEWS_ETIMEOUT);
    await_statistic(client, "messages_failed", 2);
    await_record(s, 1, "close", "1000");
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_EUNSENT);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    check_account(client);
    pulsews_client_free(client);
}

/* A peer that takes nothing does not get the time of those that wait for a limit. */
TEST(a_close_does_not_wait_for_a_peer_that_takes_nothing) {
    server *s = scripted(SCRIPTS("accept | stall | every 20 noise"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("close_timeout=200ms", "compression=false"));
    static char payload[1 << 20];
    for (int i = 0; i < 40; i++) IS(pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, 0), PULSEWS_OK);
    int64_t begin = now_ns();
    IS(pulsews_disconnect(client, PULSEWS_FOREVER), PULSEWS_EUNSENT);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5));
    check_account(client);
    pulsews_client_free(client);
}

/* What the limits hold back when the time is over fails, and the close frame leaves: the server is told. */
TEST(a_disconnect_that_a_limit_holds_up_still_says_goodbye) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS("rate_limit=1/60s", "close_timeout=2s", "backlog_interval=0"));
    ready(client);
    for (int i = 0; i < 3; i++) send_text(client, "x");
    expect_at_server(s, 1, "x");
    int64_t begin = now_ns();
    IS(pulsews_disconnect(client, PULSEWS_MILLISECONDS(100)), PULSEWS_EUNSENT);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5));
    await_record(s, 1, "close", "1000");
    IS(count_records(s, 1, "text", NULL), 1);
    IS((int64_t)statistic(client, "messages_sent"), 1);
    IS((int64_t)statistic(client, "messages_failed"), 2);
    check_account(client);
    pulsews_client_free(client);
}
