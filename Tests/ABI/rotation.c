/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection is replaced before it ends: its successor connects, logs in, subscribes and delivers first. */
#include "feed.h"
#include <poll.h>
#include <stdatomic.h>

#define FAST                                                                                                           \
    "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "login=hello",                 \
        "host_connect_rate=10000/s"
#define ROTATES FAST, "rotate_on={\"type\":\"bye\"}", "rotation_overlap=50ms"

/* It went on as if there was one connection. */
static void check_rotations(pulsews_client *client, const feed *f, int rotations) {
    check_feed(f);
    IS(f->states, 0);
    IS(f->gaps + f->repeats + f->backs, 0);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS((int64_t)statistic(client, "rotations"), rotations);
    IS((int64_t)statistic(client, "reconnections"), 0);
    IS((int64_t)statistic(client, "ready"), 1);
}

/* ---- Reasons ---- */

TEST(an_old_connection_is_replaced) {
    server *s = scripted(SCRIPTS(DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(FAST, NUMBERED, JOINED, "max_age=400ms", "rotation_overlap=50ms"));
    int64_t before = now_ns();
    FOLLOW(client, &f, STEP("begin"), "\"cause\":\"max_age\"", url_of(s));
    CHECK(now_ns() - before < PULSEWS_SECONDS(5));
    const char *done = FOLLOW(client, &f, STEP("done"), "\"cause\":\"max_age\"", url_of(s));
    CHECK(json_number(done, "duplicates") > 0 && json_number(done, "overlap") >= 0.045);
    follow_texts(client, &f, 100);
    int64_t first = await_record(s, 1, "request", NULL)->at, second = await_record(s, 2, "request", NULL)->at;
    fprintf(stderr, "the second attempt came %.0f ms after the first\n", (double)(second - first) / 1e6);
    CHECK(second - first >= PULSEWS_MILLISECONDS(360));
    await_record(s, 1, "close", "1000");
    check_rotations(client, &f, 1);
    IS((int64_t)statistic(client, "connections"), 2);
    IS((int64_t)statistic(client, "attempts"), 2);
    IS((int64_t)statistic(client, "errors"), 0);
    IS((int64_t)statistic(client, "rotations_failed"), 0);
    CHECK(statistic(client, "duplicates_discarded") >= json_number(done, "duplicates"));
    CHECK(statistic(client, "uptime") < 5 && statistic(client, "ready_time") <= statistic(client, "uptime"));
    pulsews_client_free(client);
}

TEST(a_notice_replaces_the_connection) {
    server *s = scripted(SCRIPTS(ENDS));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(ROTATES, NUMBERED, JOINED));
    for (int i = 1; i <= 3; i++) {
        tell_server(s, "go");
        FOLLOW(client, &f, STEP("begin"), "\"cause\":\"notice\"");
        FOLLOW(client, &f, STEP("done"), "\"cause\":\"notice\"");
        await_record(s, i, "close", "1000");
    }
    follow_to_the_end(client, s, &f, 3);
    IS(f.other, 3); /* the notice is delivered, too */
    check_rotations(client, &f, 3);
    IS((int64_t)statistic(client, "connections"), 4);
    pulsews_client_free(client);
}

TEST(other_messages_replace_nothing) {
    server *s = scripted(SCRIPTS(DELIVERS " | text {\"type\":\"hello\"} | text bye"));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(ROTATES, NUMBERED));
    while (f.other < 2) follow_texts(client, &f, 1);
    follow_texts(client, &f, 100);
    IS(count_records(s, 0, "request", NULL), 1);
    pulsews_client_free(client);
}

/* A server that ends with 1012 was to be expected to: nobody waits for restart_delay, but only once. */
TEST(code_1012_does_not_wait) {
    server *s = scripted(
        SCRIPTS("accept | got 1 | text first | go | close 1012 restart", "accept | got 1 | close 1012 restart"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "max_age=1h", "restart_delay=5s"));
    await_text(client, "first");
    tell_server(s, "go");
    const char *event = EVENT(client, "\"trigger\":\"retry\"");
    CHECK(json_number(event, "close_code") == 1012 && json_number(event, "next_delay") < 0.1);
    event = EVENT(client, "\"trigger\":\"retry\"");
    CHECK(json_number(event, "close_code") == 1012 && json_number(event, "next_delay") >= 5);
    await_record(s, 2, "request", NULL);
    pulsews_client_free(client);
}

TEST(rotation_goes_to_the_preferred_endpoint) {
    server *first = scripted(SCRIPTS("refuse 503", DELIVERS)), *second = scripted(SCRIPTS(DELIVERS));
    feed f;
    char endpoint[200];
    snprintf(endpoint, sizeof endpoint, "endpoints=%s", url_of(second));
    begin_feed(&f);
    pulsews_client *client = open_client(port_of(first), OPTIONS(FAST, endpoint, "endpoint_return=0", "max_age=300ms",
                                                                 "rotation_overlap=50ms"));
    FOLLOW(client, &f, "\"event\":\"ready\"", url_of(second));
    await_record(first, 2, "text", "hello");
    await_record(second, 1, "close", "1000");
    follow_texts(client, &f, 10);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    pulsews_client_free(client);
}

/* ---- Successors that come to nothing ---- */

/* The notice comes, the second and third connection fail as `scripts` say, and the fourth one serves. */
static void fails_first(const char *bad, const char *const *options, const char *problem) {
    server *s = scripted(SCRIPTS(ENDS, bad, bad, DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f, options);
    tell_server(s, "go");
    FOLLOW(client, &f, STEP("begin"));
    for (int i = 1; i <= 2; i++) {
        const char *event = FOLLOW(client, &f, STEP("failed"), "\"cause\":\"notice\"", "\"problem\":\"");
        if (!strstr(event, problem)) {
            fprintf(stderr, "that is not \"%s\"\n", problem);
            exit(1);
        }
        IS((int64_t)statistic(client, "rotations_failed"), i);
        IS(pulsews_client_state(client), PULSEWS_CONNECTED);
        follow_texts(client, &f, 5);
    }
    FOLLOW(client, &f, STEP("done"));
    await_record(s, 1, "close", "1000");
    follow_to_the_end(client, s, &f, 3);
    check_rotations(client, &f, 1);
    IS((int64_t)statistic(client, "rotations_failed"), 2);
    pulsews_client_free(client);
}

TEST(a_refused_successor) { fails_first("refuse 503", OPTIONS(ROTATES, NUMBERED, JOINED), "503"); }
TEST(a_forbidden_successor) { fails_first("refuse 403", OPTIONS(ROTATES, NUMBERED, JOINED), "403"); }
TEST(a_successor_that_does_not_answer) {
    fails_first("sleep 60000", OPTIONS(ROTATES, NUMBERED, JOINED, "open_timeout=200ms"), "open_timeout");
}
TEST(a_successor_that_is_cut) {
    fails_first("accept | got 1 | cut", OPTIONS(ROTATES, NUMBERED, JOINED), "close frame");
}
TEST(a_successor_that_confirms_no_login) {
    fails_first("accept", OPTIONS(ROTATES, NUMBERED, JOINED, "login_timeout=200ms"), "login_timeout");
}
TEST(a_successor_that_rejects_the_login) {
    fails_first("accept | got 1 | text {\"type\":\"no\"}",
                OPTIONS(ROTATES, NUMBERED, JOINED, "login_reject={\"type\":\"no\"}"), "login");
}
TEST(a_successor_that_breaks_the_protocol) {
    fails_first("accept | got 1 | close 1003 no", OPTIONS(ROTATES, NUMBERED, JOINED), "1003");
}

TEST(a_successor_that_confirms_no_subscription) {
    static const char confirmed[] = "accept | got 2 | feed ms=2 keys=3 burst=2 | text {\"sub\":\"ok\"}";
    server *s = scripted(SCRIPTS("accept | got 2 | feed ms=2 keys=3 burst=2 | text {\"sub\":\"ok\"} | go | "
                                 "text {\"type\":\"bye\"}",
                                 "accept | got 2 | feed", confirmed));
    feed f;
    begin_feed(&f);
    pulsews_client *client = make_client(port_of(s), OPTIONS(ROTATES, NUMBERED, "subscribe_confirm={\"sub\":\"ok\"}",
                                                             "subscribe_timeout=200ms"));
    IS(pulsews_subscribe(client, "key", "subscribe", NULL, NULL, 0), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 10);
    f.states = 0;
    tell_server(s, "go");
    const char *event = FOLLOW(client, &f, STEP("failed"));
    CHECK(strstr(event, "subscribe_timeout"));
    FOLLOW(client, &f, STEP("done"));
    follow_to_the_end(client, s, &f, 3);
    check_rotations(client, &f, 1);
    pulsews_client_free(client);
}

/* It is ready and mute, while the old one delivers. */
TEST(a_mute_successor_does_not_follow) {
    fails_first("accept | got 1", OPTIONS(ROTATES, NUMBERED, "open_timeout=300ms"), "no data");
}

/* When nothing comes over the old one either, the new one follows. */
TEST(a_quiet_feed_is_replaced_too) {
    server *s = scripted(
        SCRIPTS("accept | got 1 | text {\"s\":\"a\",\"u\":1} | go | text {\"type\":\"bye\"}", "accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(ROTATES, NUMBERED));
    await_text(client, "{\"s\":\"a\",\"u\":1}");
    tell_server(s, "go");
    EVENT(client, STEP("begin"));
    const char *done = EVENT(client, STEP("done"));
    IS((int64_t)json_number(done, "duplicates"), 0);
    await_record(s, 1, "close", "1000");
    send_text(client, "over the new one");
    await_record(s, 2, "text", "over the new one");
    pulsews_client_free(client);
}

/* ---- The old one is cut ---- */

/* While its successor has no answer yet: then it is a lost connection as any other. */
TEST(cut_while_the_successor_connects) {
    server *s = scripted(SCRIPTS(ENDS, "go | " DELIVERS, DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(ROTATES, NUMBERED));
    tell_server(s, "go");
    await_record(s, 2, "request", NULL);
    tell_server(s, "cut 1");
    FOLLOW(client, &f, "\"event\":\"state\"", "\"state\":\"reconnecting\"");
    tell_server(s, "go");
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 100);
    await_record(s, 2, "end", NULL); /* one connection is left, the third */
    IS(count_records(s, 3, "text", "hello"), 1);
    IS(f.copies, 0);
    IS((int64_t)statistic(client, "rotations"), 0);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    check_account(client);
    pulsews_client_free(client);
}

/* While it logs in: it is the connection from then on, and takes messages when it is ready. */
TEST(cut_while_the_successor_logs_in) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"login\":1} "
                                 "| feed ms=2 keys=3 burst=2 | go | text {\"type\":\"bye\"}",
                                 "accept | got 1 | go | text {\"login\":1} | feed"));
    feed f;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(ROTATES, NUMBERED, "login_confirm={\"login\":1}", "backlog_interval=0"));
    tell_server(s, "go");
    expect_at_server(s, 2, "hello");
    tell_server(s, "cut 1");
    FOLLOW(client, &f, STEP("done"));
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS(pulsews_wait_ready(client, 0, NULL, 0), PULSEWS_ETIMEOUT);
    send_text(client, "queued");
    IS(pulsews_send_with(client, PULSEWS_TEXT, "live", 4, PULSEWS_LIVE_ONLY, 0, 0, NULL), PULSEWS_ENOTCONNECTED);
    IS(count_records(s, 2, "text", NULL), 1);
    tell_server(s, "go");
    FOLLOW(client, &f, "\"event\":\"ready\"");
    expect_at_server(s, 2, "queued");
    follow_texts(client, &f, 100);
    IS(f.states, 0);
    IS(f.copies, 0);
    IS((int64_t)statistic(client, "connections"), 2);
    pulsews_client_free(client);
}

TEST(cut_while_both_deliver) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(FAST, NUMBERED, "rotate_on={\"type\":\"bye\"}", "rotation_overlap=1m"));
    tell_server(s, "go");
    await_record(s, 2, "text", "hello");
    follow_texts(client, &f, 300);
    IS((int64_t)statistic(client, "rotations"), 0);
    tell_server(s, "cut 1");
    FOLLOW(client, &f, STEP("done"));
    follow_to_the_end(client, s, &f, 3);
    check_rotations(client, &f, 1);
    pulsews_client_free(client);
}

/* The server ends it in order while the next one is there already. */
TEST(closed_while_both_deliver) {
    server *s = scripted(SCRIPTS(ENDS " | go | close 1012 restart", DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(FAST, NUMBERED, "rotate_on={\"type\":\"bye\"}", "rotation_overlap=1m"));
    tell_server(s, "go");
    await_record(s, 2, "text", "hello");
    follow_texts(client, &f, 100);
    tell_server(s, "go");
    FOLLOW(client, &f, STEP("done"));
    follow_to_the_end(client, s, &f, 3);
    check_rotations(client, &f, 1);
    pulsews_client_free(client);
}
