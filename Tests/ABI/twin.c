/* SPDX-License-Identifier: Apache-2.0
 *
 * One feed from two places at once: what one side lacks the other one brings. */
#include "feed.h"
#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>

#define FAST                                                                                                           \
    "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "login=hello",                 \
        "max_reconnect_attempts=0", "host_connect_rate=10000/s", "sequence_path=u", "sequence_key=s", "twin_wait=2s"
#define FEED "accept | got 1 | feed ms=1 keys=3 burst=2"
#define BOTH(more_url, more_twin) SCRIPTS("/path: " FEED more_url, "/twin: " FEED more_twin)
#define SIDE(side, state) "\"event\":\"twin\"", "\"side\":\"" side "\"", "\"state\":\"" state "\""
#define STATE(state) "\"event\":\"state\"", "\"state\":\"" state "\""

static const char *twin_of(const server *s) {
    static char text[100];
    snprintf(text, sizeof text, "twin=ws://127.0.0.1:%d/twin", port_of(s));
    return text;
}

static pulsews_client *start_twins(server *s, feed *f, const char *const *options) {
    begin_feed(f);
    pulsews_client *client = make_client(port_of(s), options);
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    return client;
}

/* Both sides are open, and have joined the feed. */
static void await_both(pulsews_client *client, server *s, feed *f) {
    pulsews_message message;
    for (int64_t end = now_ns() + SHORT; statistic(client, "sides_connected") < 2;) {
        CHECK(now_ns() < end);
        if (pulsews_recv(client, &message, PULSEWS_MILLISECONDS(1)) == PULSEWS_OK) take_of_feed(f, &message);
    }
    /* A login arrives later than the client sends it. */
    int made = (int)(statistic(client, "connections") + statistic(client, "twin_connections"));
    for (int64_t end = now_ns() + SHORT; count_records(s, 0, "text", "hello") < made;) {
        CHECK(now_ns() < end);
        if (pulsews_recv(client, &message, PULSEWS_MILLISECONDS(1)) == PULSEWS_OK) take_of_feed(f, &message);
    }
}

static pulsews_client *open_twins(server *s, feed *f, const char *const *options) {
    pulsews_client *client = start_twins(s, f, options);
    await_both(client, s, f);
    /* What only one of them had, before the other one joined, is no matter of twins. */
    follow_texts(client, f, 100);
    f->states = 0;
    return client;
}

static void check_twins(pulsews_client *client, const feed *f) {
    check_feed(f);
    IS(f->states, 0);
    IS(f->gaps + f->repeats + f->backs, 0);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS((int64_t)statistic(client, "messages_received"), f->texts + f->other);
    IS((int64_t)(statistic(client, "first_by_url") + statistic(client, "first_by_twin")), f->texts);
}

/* ---- What is delivered ---- */

TEST(the_first_copy_is_delivered) {
    server *s = scripted(BOTH("", ""));
    feed f;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, twin_of(s)));
    follow_texts(client, &f, 1000);
    follow_to_the_end(client, s, &f, 3);
    check_twins(client, &f);
    CHECK(statistic(client, "duplicates_discarded") > 900);
    IS((int64_t)statistic(client, "sides_connected"), 2);
    IS((int64_t)statistic(client, "connections"), 1);
    IS((int64_t)statistic(client, "twin_connections"), 1);
    IS((int64_t)statistic(client, "reconnections"), 0);
    pulsews_client_free(client);
}

TEST(the_faster_side_is_first) {
    static const char *const lags[][2] = {{"/path: " FEED " lag=40", "/twin: " FEED},
                                          {"/path: " FEED, "/twin: " FEED " lag=40"}};
    for (int i = 0; i < 2; i++) {
        server *s = scripted(SCRIPTS(lags[i][0], lags[i][1]));
        feed f;
        pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, twin_of(s)));
        double url = statistic(client, "first_by_url"), twin = statistic(client, "first_by_twin");
        follow_texts(client, &f, 800);
        follow_to_the_end(client, s, &f, 3);
        check_twins(client, &f);
        url = statistic(client, "first_by_url") - url, twin = statistic(client, "first_by_twin") - twin;
        fprintf(stderr, "%.0f first by the URL, %.0f by the twin\n", url, twin);
        CHECK(i == 0 ? twin > 10 * url : url > 10 * twin);
        pulsews_client_free(client);
    }
}

/* Each side loses messages, but never the same. */
TEST(two_halves_make_a_whole) {
    server *s = scripted(BOTH(" skip=7 miss=3", " skip=7 miss=5 lag=15"));
    feed f;
    begin_feed(&f);
    f.is_quiet = 1;
    pulsews_client *client = start_twins(s, &f, OPTIONS(FAST, twin_of(s)));
    await_both(client, s, &f);
    poll(NULL, 0, 100); /* until the side that lags brings what the other one does not have */
    while (pulsews_purge(client), f.texts < 300) follow_texts(client, &f, 1);
    int64_t missing = f.missing;
    follow_texts(client, &f, 2000);
    follow_to_the_end(client, s, &f, 3);
    fprintf(stderr, "%lld missing before both were there, %lld after\n", (long long)missing,
            (long long)(f.missing - missing));
    IS(f.missing - missing, 0);
    IS(f.copies, 0);
    CHECK(statistic(client, "first_by_url") > 100 && statistic(client, "first_by_twin") > 50);
    pulsews_client_free(client);
}

/* What nobody has is a gap, told after twin_wait at the latest; then the feed goes on. */
TEST(what_both_lack_is_a_gap) {
    server *s = scripted(BOTH(" skip=200 miss=150", " skip=200 miss=150"));
    feed f;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, "twin_wait=100ms", twin_of(s)));
    int64_t begin = now_ns();
    follow_texts(client, &f, 1000);
    follow_to_the_end(client, s, &f, 3);
    fprintf(stderr, "%.0f ms\n", (double)(now_ns() - begin) / 1e6);
    IS(f.copies, 0);
    IS(f.gaps, f.missing);
    CHECK(f.gaps >= 4);
    IS((int64_t)statistic(client, "sequence_missing"), f.missing);
    IS((int64_t)statistic(client, "sequence_gaps"), f.gaps);
    IS(f.states + f.repeats + f.backs, 0);
    pulsews_client_free(client);
}

/* Without the other side nothing is waited for. */
TEST(a_lone_side_waits_for_nobody) {
    server *s = scripted(SCRIPTS("/path: accept | got 1 | go "
                                 "| text {\"s\":\"A\",\"u\":1} | text {\"s\":\"A\",\"u\":3} | text end",
                                 "/twin: refuse 503"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "twin_wait=1m", twin_of(s)));
    EVENT(client, SIDE("twin", "reconnecting"));
    tell_server(s, "go");
    await_text(client, "{\"s\":\"A\",\"u\":1}");
    EVENT(client, "\"event\":\"gap\"", "\"key\":\"A\"");
    await_text(client, "{\"s\":\"A\",\"u\":3}");
    await_text(client, "end"); /* what has no number waits for nothing either */
    pulsews_client_free(client);
}

/* Waiting ends with the side that was waited for. */
TEST(who_waits_for_a_side_that_dies_waits_no_more) {
    server *s = scripted(SCRIPTS("/path: accept | got 1 | text {\"s\":\"A\",\"u\":1} | go | text {\"s\":\"A\",\"u\":3}",
                                 "/twin: accept | got 1 | text {\"s\":\"A\",\"u\":1}"));
    feed f;
    begin_feed(&f);
    pulsews_client *client = start_twins(s, &f, OPTIONS(FAST, "twin_wait=1m", twin_of(s)));
    await_text(client, "{\"s\":\"A\",\"u\":1}");
    await_statistic(client, "duplicates_discarded", 1);
    tell_server(s, "go");
    pulsews_message message;
    for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(200), left; (left = end - now_ns()) > 0;)
        if (pulsews_recv(client, &message, left) == PULSEWS_OK) CHECK(message.kind == PULSEWS_EVENT);
    tell_server(s, "cut /twin");
    await_text(client, "{\"s\":\"A\",\"u\":3}");
    IS((int64_t)statistic(client, "sequence_gaps"), 1);
    pulsews_client_free(client);
}

/* ---- Sides that come and go ---- */

/* One side at a time is cut, again and again: the application sees one feed. */
static void kill_sides(server *s, const char *const *options, int kills, int lag) {
    feed f;
    f.is_quiet = 1;
    pulsews_client *client = open_twins(s, &f, options);
    f.is_quiet = 1;
    uint64_t dice = 42;
    for (int i = 0; i < kills; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        const char *side = dice >> 60 & 1 ? "/twin" : "/path", *name = dice >> 60 & 1 ? "twin" : "url";
        char command[16], part[40];
        int before = count_records(s, 0, "request", NULL);
        snprintf(command, sizeof command, "cut %s", side);
        snprintf(part, sizeof part, "\"side\":\"%s\"", name);
        tell_server(s, command);
        FOLLOW(client, &f, "\"event\":\"twin\"", part, "\"state\":\"reconnecting\"");
        FOLLOW(client, &f, "\"event\":\"twin\"", part, "\"state\":\"connected\"");
        await_both(client, s, &f);
        CHECK(count_records(s, 0, "request", NULL) == before + 1);
        follow_texts(client, &f, 6 * lag + 30); /* 2 texts a ms: both are where they were */
    }
    follow_to_the_end(client, s, &f, 3);
    check_twins(client, &f);
    IS((int64_t)(statistic(client, "connections") + statistic(client, "twin_connections")), kills + 2);
    pulsews_client_free(client);
}

TEST(killed_sides_leave_no_gap) {
    server *s = scripted(BOTH("", ""));
    kill_sides(s, OPTIONS(FAST, twin_of(s)), 25, 0);
}
TEST(killed_sides_that_lag_leave_no_gap) {
    server *s = scripted(BOTH("", " lag=30"));
    kill_sides(s, OPTIONS(FAST, twin_of(s)), 10, 30);
}
TEST(killed_sides_with_compression) {
    server *s = scripted(SCRIPTS("/path: deflate | got 1 | feed ms=1 keys=3 burst=2 deflate=1",
                                 "/twin: deflate | got 1 | feed ms=1 keys=3 burst=2 deflate=1"));
    kill_sides(s, OPTIONS(FAST, twin_of(s)), 6, 0);
}

TEST(twins_over_tls) {
    server *s = scripted(SCRIPTS("--tls", "/path: " FEED, "/twin: " FEED));
    feed f;
    char url[100], twin[100];
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/path", port_of(s));
    snprintf(twin, sizeof twin, "twin=wss://127.0.0.1:%d/twin", port_of(s));
    begin_feed(&f);
    pulsews_client *client = make_client_at(url, OPTIONS(FAST, twin, "verify=false"));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    await_both(client, s, &f);
    follow_texts(client, &f, 100);
    f.states = 0;
    for (int i = 0; i < 4; i++) {
        tell_server(s, i % 2 ? "cut /twin" : "cut /path");
        FOLLOW(client, &f, "\"event\":\"twin\"", "\"state\":\"connected\"");
        await_both(client, s, &f);
        follow_texts(client, &f, 50);
    }
    follow_to_the_end(client, s, &f, 3);
    check_twins(client, &f);
    pulsews_client_free(client);
}

TEST(both_sides_are_dead) {
    server *s = scripted(BOTH("", ""));
    feed f;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, twin_of(s)));
    tell_server(s, "cut /twin");
    FOLLOW(client, &f, SIDE("twin", "connected"));
    IS(f.states, 0);
    tell_server(s, "down");
    FOLLOW(client, &f, STATE("reconnecting"));
    IS((int64_t)statistic(client, "sides_connected"), 0);
    IS(pulsews_client_state(client), PULSEWS_RECONNECTING);
    tell_server(s, "up");
    FOLLOW(client, &f, STATE("connected"));
    await_both(client, s, &f);
    f.states = 0;
    follow_texts(client, &f, 100);
    IS(f.states, 0);
    IS(f.copies, 0);
    pulsews_client_free(client);
}

TEST(both_sides_give_up) {
    server *s = scripted(SCRIPTS("/path: " FEED, "/path: refuse 503", "/twin: " FEED, "/twin: refuse 503"));
    feed f;
    pulsews_message message;
    int32_t status;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, "max_reconnect_attempts=2", twin_of(s)));
    tell_server(s, "cut /path");
    FOLLOW(client, &f, SIDE("url", "error"));
    follow_texts(client, &f, 50); /* the other one goes on */
    IS(f.states, 0);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    tell_server(s, "cut /twin");
    FOLLOW(client, &f, STATE("error"));
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_EHANDSHAKE);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    pulsews_client_free(client);
}

TEST(only_the_twin_is_there) {
    server *s = scripted(SCRIPTS("/path: refuse 503", "/twin: " FEED));
    feed f;
    pulsews_client *client = start_twins(s, &f, OPTIONS(FAST, twin_of(s)));
    /* The event tells of the side that moved. */
    FOLLOW(client, &f, STATE("connected"), "/twin\"", "\"attempt\":1,\"next_delay\":0.000000");
    follow_texts(client, &f, 100);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS((int64_t)statistic(client, "sides_connected"), 1);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS((int64_t)statistic(client, "first_by_twin"), f.texts);
    pulsews_client_free(client);
}

/* ---- Sessions ---- */

TEST(both_sides_log_in_and_subscribe) {
    server *s = scripted(SCRIPTS("/path: accept", "/twin: accept"));
    feed f;
    begin_feed(&f);
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, twin_of(s), "subscribe_message={\"sub\":[${keys}]}",
                                                 "unsubscribe_message={\"unsub\":[${keys}]}", "backlog_interval=0"));
    IS(pulsews_subscribe(client, "a", NULL, NULL, NULL, 0), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) {
        expect_at_server(s, i, "hello");
        expect_at_server(s, i, "{\"sub\":[\"a\"]}");
    }
    IS(pulsews_subscribe(client, "b", NULL, NULL, NULL, 0), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) expect_at_server(s, i, "{\"sub\":[\"b\"]}");
    IS(pulsews_unsubscribe(client, "a"), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) expect_at_server(s, i, "{\"unsub\":[\"a\"]}");
    tell_server(s, "cut /twin");
    expect_at_server(s, 3, "hello");
    expect_at_server(s, 3, "{\"sub\":[\"b\"]}");
    tell_server(s, "cut /path");
    expect_at_server(s, 4, "hello");
    expect_at_server(s, 4, "{\"sub\":[\"b\"]}");
    pulsews_client_free(client);
}

/* What is sent goes to the URL only, and waits for it. */
TEST(messages_go_to_the_url_only) {
    server *s = scripted(SCRIPTS("/path: accept", "/path: go | accept", "/twin: " FEED));
    feed f;
    begin_feed(&f);
    pulsews_client *client = start_twins(s, &f, OPTIONS(FAST, twin_of(s), "backlog_interval=0"));
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    await_both(client, s, &f);
    await_statistic(client, "ready", 1);
    send_text(client, "one");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    tell_server(s, "cut /path");
    FOLLOW(client, &f, SIDE("url", "reconnecting"));
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    send_text(client, "two");
    IS(pulsews_flush(client, PULSEWS_MILLISECONDS(50)), PULSEWS_ETIMEOUT);
    follow_texts(client, &f, 20);
    tell_server(s, "go");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    await_record(s, 0, "text", "one");
    await_record(s, 0, "text", "two");
    IS(count_records(s, 0, "text", "one") + count_records(s, 0, "text", "two"), 2);
    pulsews_client_free(client);
}

TEST(twins_end_together) {
    server *s = scripted(BOTH("", ""));
    feed f;
    pulsews_message message;
    int32_t status;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, twin_of(s)));
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    for (int i = 1; i <= 2; i++) await_record(s, i, "close", "1000");
    IS((int64_t)statistic(client, "sides_connected"), 0);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    await_both(client, s, &f);
    follow_texts(client, &f, 100);
    IS(f.copies, 0);
    IS(count_records(s, 0, "request", NULL), 4);
    IS(pulsews_close(client, 1001, "enough", SHORT), PULSEWS_OK);
    await_record(s, 0, "close", "1001 enough");
    for (int64_t end = now_ns() + SHORT; count_records(s, 0, "close", NULL) < 4; poll(NULL, 0, 1))
        CHECK(now_ns() < end);
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_ECLOSED);
    IS(pulsews_reconnect(client), PULSEWS_ECLOSED);
    pulsews_client_free(client);
}

TEST(twins_connect_anew) {
    server *s = scripted(BOTH("", ""));
    feed f;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, twin_of(s)));
    IS(pulsews_reconnect(client), PULSEWS_OK);
    await_record(s, 0, "request", "GET /path");
    for (int64_t end = now_ns() + SHORT; count_records(s, 0, "close", "1000") < 1; poll(NULL, 0, 1))
        CHECK(now_ns() < end);
    await_both(client, s, &f);
    follow_texts(client, &f, 100);
    IS(f.copies, 0);
    pulsews_client_free(client);
}

static void *read_on(void *client) {
    pulsews_message message;
    while (pulsews_recv(client, &message, PULSEWS_FOREVER) == PULSEWS_OK) {}
    return NULL;
}

/* Freed and closed at any moment, with a thread that receives. */
TEST(twins_are_freed_at_any_moment) {
    server *s = scripted(BOTH("", ""));
    uint64_t dice = 7;
    for (int i = 0; i < 40; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, twin_of(s)));
        IS(pulsews_start(client), PULSEWS_OK);
        pthread_t thread = run_thread(read_on, client);
        poll(NULL, 0, (int)(dice >> 33 & 15));
        if (i % 4 == 0) tell_server(s, "cut /twin");
        if (i % 5 == 0) pulsews_reconnect(client);
        pulsews_close(client, 1000, NULL, i % 2 ? 0 : SHORT);
        pthread_join(thread, NULL);
        pulsews_client_free(client);
    }
}

/* ---- Together with other things ---- */

TEST(twins_grow_old) {
    server *s = scripted(BOTH("", ""));
    feed f;
    pulsews_client *client = open_twins(s, &f, OPTIONS(FAST, "max_age=200ms", "rotation_overlap=50ms", twin_of(s)));
    f.is_quiet = 1;
    for (int64_t end = now_ns() + SHORT; count_records(s, 0, "request", NULL) < 14; follow_texts(client, &f, 20))
        CHECK(now_ns() < end);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS(f.states + f.gaps + f.repeats + f.backs, 0);
    CHECK(statistic(client, "rotations") >= 3);
    pulsews_client_free(client);
}

TEST(a_slow_consumer_of_twins) {
    server *s = scripted(
        SCRIPTS("/path: accept | got 1 | feed ms=1 keys=3 burst=10 size=300", "/twin: accept | got 1 | feed"));
    feed f;
    pulsews_client *client = open_twins(s, &f,
                                        OPTIONS(FAST, twin_of(s), "receive_queue_bytes=64KiB", "compression=false"));
    f.is_quiet = 1;
    for (int i = 0; i < 4; i++) {
        await_statistic(client, "reading_pauses", i + 1);
        poll(NULL, 0, 50);
        CHECK(statistic(client, "receive_queue_bytes") < 3 * 65536 + 262144);
        follow_texts(client, &f, 500);
    }
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS(f.gaps + f.backs + f.repeats, 0);
    pulsews_client_free(client);
}

/* Neither side may fill the memory: both are left, and come back when half of the queue is free. */
TEST(a_slow_consumer_of_twins_that_are_left) {
    server *s = scripted(
        SCRIPTS("/path: accept | got 1 | feed ms=1 keys=3 burst=10 size=300", "/twin: accept | got 1 | feed"));
    feed f;
    pulsews_client *client = open_twins(s, &f,
                                        OPTIONS(FAST, twin_of(s), "receive_queue_bytes=64KiB",
                                                "receive_queue_policy=disconnect", "compression=false"));
    f.is_quiet = 1;
    for (int i = 0; i < 3; i++) {
        for (int64_t end = now_ns() + SHORT; statistic(client, "sides_connected") > 0; poll(NULL, 0, 1))
            CHECK(now_ns() < end);
        for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(300); now_ns() < end; poll(NULL, 0, 10))
            CHECK(statistic(client, "receive_queue_bytes") < 3 * 65536 + 262144);
        IS((int64_t)statistic(client, "sides_connected"), 0);
        int64_t texts = f.texts;
        follow_texts(client, &f, 300);
        await_both(client, s, &f);
        fprintf(stderr, "%lld texts\n", (long long)(f.texts - texts));
    }
    IS(f.copies, 0);
    pulsews_client_free(client);
}

/* Heartbeats that are delivered come from one side as other messages without a number do; they must not pile up where
 * nobody takes them. */
TEST(delivered_heartbeats_of_twins) {
    server *s = scripted(SCRIPTS("/path: " FEED, "/path: refuse 503",
                                 "/twin: " FEED " | every 1 {\"beat\":\"0123456789012345678901234567890123456789\"}"));
    feed f;
    pulsews_client *client = open_twins(s, &f,
                                        OPTIONS(FAST, twin_of(s), "receive_queue_bytes=64KiB",
                                                "server_heartbeat={\"beat\":\"*\"}", "deliver_heartbeats=true"));
    f.is_quiet = 1;
    for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(2500); now_ns() < end;) follow_texts(client, &f, 20);
    IS(f.other, 0);
    tell_server(s, "cut /path");
    FOLLOW(client, &f, SIDE("url", "reconnecting"));
    follow_texts(client, &f, 200);
    while (f.other < 5) follow_texts(client, &f, 1); /* now they are the ones there are */
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    pulsews_client_free(client);
}

static void *close_it(void *client) {
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    return NULL;
}

/* The server reads one message more after its step stall: not the close. */
static void stall_twin(pulsews_client *client, server *s) {
    await_statistic(client, "sides_connected", 2);
    for (int i = 1; i <= 2; i++) await_record(s, i, "text", "hello");
    IS(pulsews_subscribe(client, "key", "the last one that is read", NULL, NULL, 0), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) await_record(s, i, "text", "the last one");
}

/* A side that does not answer the close keeps nobody waiting. */
TEST(a_twin_that_does_not_answer_the_close) {
    server *s = scripted(SCRIPTS("/path: accept", "/twin: accept | got 1 | stall | text {}"));
    feed f;
    pulsews_client *client = start_twins(s, &f, OPTIONS(FAST, twin_of(s), "close_timeout=3s"));
    stall_twin(client, s);
    pthread_t thread = run_thread(close_it, client);
    int64_t begin = now_ns();
    read_on(client);
    fprintf(stderr, "%.0f ms\n", (double)(now_ns() - begin) / 1e6);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(2));
    await_record(s, 0, "close", "1000"); /* of the URL, which answers */
    CHECK(now_ns() - begin < PULSEWS_SECONDS(2));
    pthread_join(thread, NULL);
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    IS((int64_t)statistic(client, "sides_connected"), 0);
    pulsews_client_free(client);
}

/* What the twin still brings then is discarded, and counted as that of the URL is. */
TEST(a_twin_that_goes_on_after_the_close) {
    server *s = scripted(
        SCRIPTS("/path: accept", "/twin: accept | got 1 | stall | go | text {\"s\":\"A\",\"u\":1} | text {}"));
    feed f;
    pulsews_client *client = start_twins(s, &f, OPTIONS(FAST, twin_of(s), "close_timeout=2s"));
    stall_twin(client, s);
    pthread_t thread = run_thread(close_it, client);
    await_record(s, 0, "close", "1000"); /* of the URL */
    tell_server(s, "go");
    pthread_join(thread, NULL);
    IS((int64_t)statistic(client, "received_discarded"), 2);
    EVENT(client, "\"event\":\"discarded\"", "\"messages\":2");
    pulsews_client_free(client);
}

/* A side that goes back to its preferred endpoint has another connection: what that brings again is no new beginning. */
TEST(a_side_that_comes_home_brings_copies) {
    static char spare[2000] = "/spare: accept | got 1", home[2000] = "/path: accept | got 1";
    for (int i = 1; i <= 20; i++) sprintf(spare + strlen(spare), " | text {\"s\":\"A\",\"u\":%d}", i);
    for (int i = 5; i <= 21; i++) sprintf(home + strlen(home), " | text {\"s\":\"A\",\"u\":%d}", i);
    server *s = scripted(SCRIPTS("/path: refuse 503", home, spare, "/twin: accept"));
    char endpoint[100], text[100];
    snprintf(endpoint, sizeof endpoint, "endpoints=ws://127.0.0.1:%d/spare", port_of(s));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, twin_of(s), endpoint, "endpoint_return=100ms",
                                                             "breaker_failures=0", "stable_time=0"));
    for (int i = 1; i <= 21; i++) {
        snprintf(text, sizeof text, "{\"s\":\"A\",\"u\":%d}", i);
        await_text(client, text);
    }
    IS((int64_t)statistic(client, "duplicates_discarded"), 16);
    IS((int64_t)statistic(client, "sequence_steps_back"), 0);
    pulsews_client_free(client);
}

/* The old connection of the URL is gone, and its successor has not logged in: what has no number comes from the twin. */
TEST(a_side_whose_successor_is_not_ready) {
    server *s = scripted(SCRIPTS("/path: accept | got 1 | text ok | text {\"rotate\":1} | got 2 | cut", "/path: accept",
                                 "/twin: accept | got 1 | text ok | every 5 plain"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, twin_of(s), "login_confirm=ok", "login_timeout=1m",
                                                             "rotate_on={\"rotate\":\"*\"}"));
    EVENT(client, "\"event\":\"rotation\"", "\"step\":\"begin\"");
    await_statistic(client, "sides_connected", 2);
    for (int64_t end = now_ns() + SHORT; count_records(s, 0, "text", "hello") < 3; poll(NULL, 0, 1))
        CHECK(now_ns() < end);
    send_text(client, "two");
    EVENT(client, "\"event\":\"rotation\"", "\"step\":\"done\"");
    await_text(client, "plain");
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    pulsews_client_free(client);
}

/* The log says whose silence it is. */
TEST(the_log_tells_the_silent_side) {
    char line[500] = "";
    server *s = scripted(SCRIPTS("/path: accept | got 1 | every 10 plain", "/twin: accept"));
    IS(pulsews_log_queue(PULSEWS_LOG_WARNING, 100), PULSEWS_OK);
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, twin_of(s), "stale_timeout=200ms"));
    while (!strstr(line, "no data")) CHECK(pulsews_log_next(line, sizeof line, NULL, NULL, SHORT) >= 0);
    fprintf(stderr, "%s\n", line);
    CHECK(strstr(line, "twin: no data for"));
    pulsews_client_free(client);
}

/* The application drives the loop: what a statistic waits for comes by that. */
static void drive_until(pulsews_loop *loop, pulsews_client *client, const char *name, double least) {
    for (int64_t end = now_ns() + SHORT; statistic(client, name) < least;) {
        CHECK(now_ns() < end);
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(5)), PULSEWS_OK);
    }
}

/* The loop comes late: the confirmation of a login is read when a message that waited for the other side is due. */
TEST(a_confirmation_is_not_taken_for_what_waits) {
    server *s = scripted(SCRIPTS("/path: accept | got 1 | text {\"ok\":1} | text {\"s\":\"A\",\"u\":1} | got 2 "
                                 "| text {\"s\":\"A\",\"u\":3} | go | cut",
                                 "/path: accept | got 1 | go | text {\"ok\":2}",
                                 "/twin: accept | got 1 | text {\"ok\":3} | text {\"s\":\"A\",\"u\":1}"));
    const char *const options[][2] = {{"twin", twin_of(s) + strlen("twin=")},
                                      {"sequence_path", "u"},
                                      {"sequence_key", "s"},
                                      {"twin_wait", "500ms"},
                                      {"login", "hello"},
                                      {"login_confirm", "{\"ok\":\"*\"}"},
                                      {"reconnect_base_delay", "10ms"},
                                      {"host_connect_rate", "10000/s"}};
    pulsews_config *config = pulsews_config_create();
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        IS(pulsews_config_set(config, options[i][0], options[i][1], NULL, 0), PULSEWS_OK);
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &client, NULL, 0), PULSEWS_OK);
    pulsews_config_free(config);
    IS(pulsews_start(client), PULSEWS_OK);
    drive_until(loop, client, "duplicates_discarded", 1);
    drive_until(loop, client, "ready", 1);
    double received = statistic(client, "bytes_received");
    send_text(client, "two");
    drive_until(loop, client, "bytes_received", received + 17);
    tell_server(s, "go");
    drive_until(loop, client, "connections", 2);
    for (int64_t end = now_ns() + SHORT; count_records(s, 0, "text", "hello") < 3;) {
        CHECK(now_ns() < end);
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(1)), PULSEWS_OK);
    }
    tell_server(s, "go");
    poll(NULL, 0, 700);
    int has_confirmation = 0;
    pulsews_message message = {0};
    do {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        fprintf(stderr, "%.*s\n", (int)message.length, (const char *)message.data);
        has_confirmation |= message.length == 8 && !memcmp(message.data, "{\"ok\":2}", 8);
    } while (message.length < 15 || memcmp(message.data, "{\"s\":\"A\",\"u\":3}", 15));
    CHECK(has_confirmation);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
}

static int descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

/* What waited for the other side goes to the full queue as both end, and drops another message: no timer may stay behind. */
TEST(freed_twins_leave_nothing_behind) {
    static char script[12000], wide[3001];
    memset(wide, 'x', sizeof wide - 1);
    sprintf(script,
            "/path: accept | got 1 | text {\"s\":\"A\",\"u\":1} | got 2 | text {\"s\":\"A\",\"u\":3,\"x\":\"%s\"}"
            " | text %s | text %s",
            wide, wide, wide);
    server *s = scripted(SCRIPTS(script, "/twin: accept | got 1 | text {\"s\":\"A\",\"u\":1}"));
    int before = 0;
    for (int round = 0; round < 8; round++) {
        pulsews_client *client = open_client(port_of(s),
                                             OPTIONS(FAST, "events=false", "twin_wait=1m", twin_of(s),
                                                     "receive_queue_policy=drop_oldest", "receive_queue_bytes=4KiB"));
        await_statistic(client, "duplicates_discarded", 1);
        send_text(client, "two");
        await_statistic(client, "receive_dropped", 1);
        pulsews_client_free(client);
        if (round == 1) before = descriptors();
    }
    fprintf(stderr, "%d descriptors, then %d\n", before, descriptors());
    CHECK(descriptors() <= before);
}

/* The loop looks at an overlap while the consumer, who has made room, plans that anew: no timer may be forgotten. */
TEST(freed_twins_that_were_replaced_leave_nothing_behind) {
    server *s = scripted(SCRIPTS("/path: accept | got 1 | feed ms=1 keys=3 burst=20 size=100 | every 3 {\"rotate\":1}",
                                 "/twin: accept | got 1 | feed | every 3 {\"rotate\":1}"));
    int before = 0;
    for (int round = 0; round < 32; round++) {
        pulsews_client *client = open_client(port_of(s),
                                             OPTIONS(FAST, "events=false", twin_of(s), "rotate_on={\"rotate\":\"*\"}",
                                                     "rotation_overlap=1ms", "max_age=1h", "stable_time=0",
                                                     "receive_queue_bytes=4KiB"));
        pthread_t thread = run_thread(read_on, client);
        char status[8192];
        for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(150); now_ns() < end;)
            CHECK(pulsews_status_json(client, status, sizeof status) > 0);
        pulsews_close(client, 0, NULL, 0);
        pthread_join(thread, NULL);
        pulsews_client_free(client);
        if (round == 1) before = descriptors();
    }
    for (int64_t end = now_ns() + PULSEWS_SECONDS(3); descriptors() > before && now_ns() < end;) poll(NULL, 0, 1);
    fprintf(stderr, "%d descriptors, then %d\n", before, descriptors());
    CHECK(descriptors() <= before);
}

TEST(twins_that_can_not_be) {
    static const char *const wrong[][4] = {
        {"sequence_path="},    {"sequence_scope=connection"}, {"hold_login=true"},
        {"hold_connect=true"}, {"twin=wss://127.0.0.1:1/"},
    };
    for (int i = 0; i < 5; i++) {
        char why[PULSEWS_ERROR_SIZE] = "";
        pulsews_client *client = NULL;
        pulsews_config *config = pulsews_config_create();
        if (i > 0) IS(pulsews_config_set(config, "sequence_path", "u", NULL, 0), PULSEWS_OK);
        IS(pulsews_config_set(config, "twin", "ws://127.0.0.1:1/twin", NULL, 0), PULSEWS_OK);
        if (i > 0) {
            const char *equals = strchr(wrong[i][0], '=');
            char name[32];
            snprintf(name, sizeof name, "%.*s", (int)(equals - wrong[i][0]), wrong[i][0]);
            IS(pulsews_config_set(config, name, equals + 1, NULL, 0), PULSEWS_OK);
        }
        int32_t status = pulsews_client_create("ws://127.0.0.1:1/path", config, NULL, &client, why, sizeof why);
        fprintf(stderr, "%s: %s\n", pulsews_error_name(status), why);
        CHECK(status < 0 && client == NULL && strstr(why, "twin"));
        pulsews_config_free(config);
    }
}
