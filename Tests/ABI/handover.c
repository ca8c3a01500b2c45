/* SPDX-License-Identifier: Apache-2.0
 *
 * What the application does while a connection is replaced: it notices nothing, and loses nothing. */
#include "feed.h"
#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>

#define FAST                                                                                                           \
    "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "login=hello",                 \
        "host_connect_rate=10000/s", "backlog_interval=0"
#define NOTICED FAST, NUMBERED, "rotate_on={\"type\":\"bye\"}"

/* Two connections deliver, and will until the end of the test, or until the first one is cut. */
static pulsews_client *overlapping(server *s, feed *f, const char *const *options) {
    pulsews_client *client = open_feed(s, f, options);
    tell_server(s, "go");
    await_record(s, 2, "text", "hello");
    follow_texts(client, f, 20);
    IS((int64_t)statistic(client, "rotations"), 0);
    return client;
}

static int open_connections(server *s, int made) {
    int open = 0;
    for (int i = 1; i <= made; i++)
        open += count_records(s, i, "close", NULL) == 0 && count_records(s, i, "end", NULL) == 0;
    return open;
}

/* ---- Subscriptions ---- */

TEST(subscriptions_change_on_both) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_client *client = overlapping(s, &f,
                                         OPTIONS(NOTICED, "rotation_overlap=1m",
                                                 "subscribe_message={\"sub\":[${keys}]}",
                                                 "unsubscribe_message={\"unsub\":[${keys}]}"));
    IS(pulsews_subscribe(client, "a", NULL, NULL, NULL, 0), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) await_record(s, i, "text", "{\"sub\":[\"a\"]}");
    IS(pulsews_subscribe(client, "b", NULL, NULL, NULL, 0), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) await_record(s, i, "text", "{\"sub\":[\"b\"]}");
    IS(pulsews_unsubscribe(client, "a"), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) await_record(s, i, "text", "{\"unsub\":[\"a\"]}");
    tell_server(s, "cut 1");
    FOLLOW(client, &f, STEP("done"));
    IS((int64_t)statistic(client, "subscriptions"), 1);
    IS(pulsews_unsubscribe(client, "b"), PULSEWS_OK);
    await_record(s, 2, "text", "{\"unsub\":[\"b\"]}");
    IS(pulsews_subscribe(client, "c", NULL, NULL, NULL, 0), PULSEWS_OK);
    await_record(s, 2, "text", "{\"sub\":[\"c\"]}");
    tell_server(s, "cut 2"); /* what the client knows of it has survived the change */
    expect_at_server(s, 3, "hello");
    expect_at_server(s, 3, "{\"sub\":[\"c\"]}");
    IS((int64_t)statistic(client, "subscriptions"), 1);
    pulsews_client_free(client);
}

/* What changes while the successor has not subscribed yet is part of what it subscribes. */
TEST(subscriptions_change_before_the_successor_subscribes) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"login\":1} "
                                 "| feed ms=2 keys=3 | go | text {\"type\":\"bye\"}",
                                 "accept | got 1 | go | text {\"login\":1} | feed"));
    feed f;
    begin_feed(&f);
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(NOTICED, "login_confirm={\"login\":1}", "rotation_overlap=50ms"));
    IS(pulsews_subscribe(client, "a", "sub a", "unsub a", NULL, 0), PULSEWS_OK);
    IS(pulsews_subscribe(client, "b", "sub b", "unsub b", NULL, 0), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"ready\"");
    tell_server(s, "go");
    expect_at_server(s, 2, "hello");
    IS(pulsews_unsubscribe(client, "a"), PULSEWS_OK);
    IS(pulsews_subscribe(client, "c", "sub c", "unsub c", NULL, 0), PULSEWS_OK);
    await_record(s, 1, "text", "unsub a");
    await_record(s, 1, "text", "sub c");
    IS(count_records(s, 2, "text", NULL), 1);
    tell_server(s, "go");
    expect_at_server(s, 2, "sub b");
    expect_at_server(s, 2, "sub c");
    FOLLOW(client, &f, STEP("done"));
    send_text(client, "after");
    expect_at_server(s, 2, "after");
    IS((int64_t)statistic(client, "subscriptions"), 2);
    pulsews_client_free(client);
}

/* ---- Holds ---- */

TEST(a_login_is_signed_for_the_successor) {
    server *s = scripted(SCRIPTS("accept | got 2 | feed ms=2 keys=3 | go | text {\"type\":\"bye\"}"));
    feed f;
    begin_feed(&f);
    pulsews_client *client = make_client(port_of(s), OPTIONS(NOTICED, "hold_login=true", "rotation_overlap=50ms"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 1; i <= 3; i++) {
        FOLLOW(client, &f, "\"event\":\"hold\"", "\"at\":\"login\"",
               i == 1 ? "\"successor\":false" : "\"successor\":true");
        if (i > 1) {
            send_text(client, "meanwhile"); /* over the one that serves */
            await_record(s, i - 1, "text", "meanwhile");
            follow_texts(client, &f, 20);
        }
        expect_at_server(s, i, "hello");
        IS(pulsews_send_with(client, PULSEWS_TEXT, "signed", 6, PULSEWS_FIRST, 0, 0, NULL), PULSEWS_OK);
        IS(pulsews_release(client), PULSEWS_OK);
        expect_at_server(s, i, "signed");
        FOLLOW(client, &f, i == 1 ? "\"event\":\"ready\"" : STEP("done"));
        IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_FIRST, 0, 0, NULL), PULSEWS_ENOTCONNECTED);
        if (i == 1) f.states = 0;
        follow_texts(client, &f, 20);
        tell_server(s, "go");
    }
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS(f.states, 0);
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_successor_waits_for_its_header) {
    server *s = scripted(SCRIPTS(ENDS));
    feed f;
    begin_feed(&f);
    pulsews_client *client = make_client(port_of(s), OPTIONS(NOTICED, JOINED, "hold_connect=true",
                                                             "headers=X-Token: old", "rotation_overlap=50ms"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 1; i <= 3; i++) {
        char header[16];
        FOLLOW(client, &f, "\"event\":\"hold\"", "\"at\":\"connect\"",
               i == 1 ? "\"successor\":false" : "\"successor\":true");
        if (i > 1) follow_texts(client, &f, 20);
        IS(count_records(s, 0, "request", NULL), i - 1);
        snprintf(header, sizeof header, "number %d", i);
        IS(pulsews_set_header(client, "X-Token", header, NULL, 0), PULSEWS_OK);
        IS(pulsews_release(client), PULSEWS_OK);
        FOLLOW(client, &f, i == 1 ? "\"event\":\"ready\"" : STEP("done"));
        CHECK(strstr(await_record(s, i, "request", NULL)->text, header));
        follow_texts(client, &f, 20);
        if (i == 1) f.states = 0;
        tell_server(s, "go");
    }
    IS(f.states, 0);
    IS(f.missing + f.copies, 0);
    pulsews_client_free(client);
}

TEST(a_hold_of_a_successor_times_out) {
    static const char *const kinds[] = {"hold_connect=true", "hold_login=true"};
    for (int i = 0; i < 2; i++) {
        server *s = scripted(SCRIPTS(ENDS, DELIVERS));
        feed f;
        begin_feed(&f);
        pulsews_client *client = make_client(port_of(s), OPTIONS(NOTICED, kinds[i], "login_timeout=250ms",
                                                                 "rotation_overlap=50ms"));
        IS(pulsews_start(client), PULSEWS_OK);
        FOLLOW(client, &f, "\"event\":\"hold\"");
        IS(pulsews_release(client), PULSEWS_OK);
        FOLLOW(client, &f, "\"event\":\"ready\"");
        follow_texts(client, &f, 10);
        f.states = 0;
        tell_server(s, "go");
        const char *event = FOLLOW(client, &f, STEP("failed"));
        CHECK(strstr(event, "login_timeout"));
        FOLLOW(client, &f, "\"event\":\"hold\"", "\"successor\":true"); /* it is tried again */
        IS(pulsews_release(client), PULSEWS_OK);
        FOLLOW(client, &f, STEP("done"));
        follow_to_the_end(client, s, &f, 3);
        check_feed(&f);
        IS(f.states, 0);
        pulsews_client_free(client);
    }
}

/* ---- Sending ---- */

struct sending {
    pulsews_client *client;
    atomic_int stop;
    int sent;
};

static void *send_numbers(void *argument) {
    struct sending *sending = argument;
    char text[32];
    while (!atomic_load(&sending->stop)) {
        snprintf(text, sizeof text, "m%07d", sending->sent);
        send_text(sending->client, text);
        sending->sent++;
        check_account(sending->client);
        if (sending->sent % 8 == 0) poll(NULL, 0, 1);
    }
    return NULL;
}

/* What is sent goes over one connection after the other: all of it, once, and in order. */
TEST(what_is_sent_while_connections_change) {
    enum { ROTATIONS = 12 };
    server *s = scripted(SCRIPTS(ENDS));
    feed f;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(NOTICED, JOINED, "rotation_overlap=20ms", "message_queue_size=100000"));
    struct sending sending = {.client = client};
    pthread_t thread = run_thread(send_numbers, &sending);
    for (int i = 0; i < ROTATIONS; i++) {
        tell_server(s, "go");
        FOLLOW(client, &f, STEP("done"));
        follow_texts(client, &f, 20);
    }
    atomic_store(&sending.stop, 1);
    pthread_join(thread, NULL);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    IS((int64_t)statistic(client, "messages_sent"), sending.sent);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS(f.states, 0);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    int number = 0, per_connection[ROTATIONS + 1];
    rewind_records(s);
    for (int i = 1; i <= ROTATIONS + 1; i++) {
        await_record(s, i, "close", NULL);
        per_connection[i - 1] = count_records(s, i, "text", "m");
    }
    rewind_records(s);
    for (int i = 1; i <= ROTATIONS + 1; i++) {
        expect_at_server(s, i, "hello");
        for (int k = 0; k < per_connection[i - 1]; k++) {
            char text[32];
            snprintf(text, sizeof text, "m%07d", number++);
            expect_at_server(s, i, text);
        }
    }
    fprintf(stderr, "%d sent over %d connections\n", sending.sent, ROTATIONS + 1);
    IS(number, sending.sent);
    pulsews_client_free(client);
}

/* What a rate limit holds back is no reason to wait, and is not lost. */
TEST(what_waits_for_a_limit_while_connections_change) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(NOTICED, JOINED, "rotation_overlap=50ms", "rate_limit=10/200ms"));
    for (int i = 0; i < 60; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%02d", i);
        send_text(client, text);
        if (i == 20) tell_server(s, "go");
    }
    FOLLOW(client, &f, STEP("done"));
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    check_account(client);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_record(s, 2, "close", NULL);
    IS(count_records(s, 0, "text", "m"), 60);
    CHECK(count_records(s, 2, "text", "m") > 0);
    pulsews_client_free(client);
}

/* ---- Ends ---- */

TEST(disconnect_while_both_deliver) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_client *client = overlapping(s, &f, OPTIONS(NOTICED, "rotation_overlap=1m"));
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    for (int i = 1; i <= 2; i++) await_record(s, i, "close", "1000");
    IS((int64_t)statistic(client, "rotations"), 0);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 20);
    IS(f.copies, 0);
    IS(count_records(s, 0, "request", NULL), 3);
    pulsews_client_free(client);
}

TEST(reconnect_while_both_deliver) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_client *client = overlapping(s, &f, OPTIONS(NOTICED, "rotation_overlap=1m"));
    IS(pulsews_reconnect(client), PULSEWS_OK);
    await_record(s, 1, "close", "1000");
    for (int64_t end = now_ns() + SHORT; open_connections(s, count_records(s, 0, "request", NULL)) != 1;
         poll(NULL, 0, 1))
        CHECK(now_ns() < end);
    int made = count_records(s, 0, "request", NULL);
    fprintf(stderr, "%d connections were made\n", made);
    CHECK(made <= 3);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    send_text(client, "there");
    await_record(s, made, "text", "there");
    follow_texts(client, &f, 50);
    IS(f.copies, 0);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    pulsews_client_free(client);
}

TEST(close_while_both_deliver) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_message message;
    int32_t status;
    pulsews_client *client = overlapping(s, &f, OPTIONS(NOTICED, "rotation_overlap=1m"));
    send_text(client, "the last one");
    IS(pulsews_close(client, 1001, "enough", SHORT), PULSEWS_OK);
    await_record(s, 1, "text", "the last one");
    await_record(s, 1, "close", "1001 enough");
    await_record(s, 2, "close", NULL);
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_ECLOSED);
    check_account(client);
    pulsews_client_free(client);
}

static int descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

TEST(free_while_both_deliver) {
    server *s = scripted(SCRIPTS("accept | got 1 | feed ms=2 keys=3 burst=2 | text {\"type\":\"bye\"}"));
    int before = 0;
    for (int round = 0; round < 12; round++) {
        feed f;
        begin_feed(&f);
        f.is_quiet = 1;
        int logins = count_records(s, 0, "text", "hello");
        pulsews_client *client = open_client(port_of(s), OPTIONS(NOTICED, "rotation_overlap=1m"));
        FOLLOW(client, &f, STEP("begin"));
        if (round % 3) {
            for (int64_t end = now_ns() + SHORT; count_records(s, 0, "text", "hello") < logins + 2; poll(NULL, 0, 1))
                CHECK(now_ns() < end);
            follow_texts(client, &f, 10);
        }
        if (round % 2) pulsews_disconnect(client, 0);
        pulsews_client_free(client);
        if (round == 2) before = descriptors();
    }
    /* What was left waits a moment for the peer's goodbye. */
    for (int64_t end = now_ns() + SHORT; descriptors() > before + 1 && now_ns() < end;) poll(NULL, 0, 1);
    fprintf(stderr, "%d descriptors, then %d\n", before, descriptors());
    CHECK(descriptors() <= before + 1);
}

/* ---- The feed ---- */

static void rotate_often(server *s, const char *const *options, int rotations, int keys) {
    feed f;
    begin_feed(&f);
    f.is_quiet = 1;
    char url[100];
    snprintf(url, sizeof url, "%s", url_of(s));
    pulsews_client *client = make_client_at(url, options);
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 10);
    f.states = 0;
    int64_t begin = now_ns();
    for (int i = 0; i < rotations; i++) FOLLOW(client, &f, STEP("done"));
    fprintf(stderr, "%d rotations in %.1f s\n", rotations, (double)(now_ns() - begin) / 1e9);
    follow_to_the_end(client, s, &f, keys);
    check_feed(&f);
    IS(f.states + f.gaps + f.repeats + f.backs, 0);
    IS((int64_t)statistic(client, "errors"), 0);
    IS((int64_t)statistic(client, "rotations_failed"), 0);
    IS((int64_t)(statistic(client, "sequence_gaps") + statistic(client, "sequence_repeats") +
                 statistic(client, "sequence_steps_back")),
       0);
    IS((int64_t)statistic(client, "messages_received"), f.texts + f.other);
    CHECK(statistic(client, "duplicates_discarded") > 0);
    pulsews_client_free(client);
}

#define OFTEN FAST, NUMBERED, JOINED, "max_age=100ms"
#define FAST_FEED "accept | got 1 | feed ms=1 keys=5 burst=3"

TEST(fifty_rotations_lose_nothing) {
    rotate_often(scripted(SCRIPTS(FAST_FEED)), OPTIONS(OFTEN, "rotation_overlap=30ms"), 50, 5);
}
/* The new one is behind the old one, and the other way round, in turns. */
TEST(rotations_between_lagging_sides) {
    server *s = scripted(SCRIPTS(FAST_FEED, FAST_FEED " lag=40", FAST_FEED, FAST_FEED " lag=60", FAST_FEED,
                                 FAST_FEED " lag=20", FAST_FEED " lag=80", FAST_FEED " lag=5", FAST_FEED));
    rotate_often(s, OPTIONS(OFTEN, "rotation_overlap=150ms"), 10, 5);
}
TEST(rotations_with_compression) {
    rotate_often(scripted(SCRIPTS("deflate | got 1 | feed ms=1 keys=5 burst=3 deflate=1")),
                 OPTIONS(OFTEN, "rotation_overlap=30ms"), 8, 5);
}
/* One message has several numbers: what both have is a copy, whatever else it has. */
TEST(rotations_of_numbers_in_pairs) {
    rotate_often(scripted(SCRIPTS(FAST_FEED)),
                 OPTIONS(FAST, JOINED, "sequence_path=u,u", "sequence_key=s", "max_age=100ms", "rotation_overlap=30ms"),
                 5, 5);
}
/* Without a key all texts count together, by n. */
TEST(rotations_without_a_key) {
    rotate_often(scripted(SCRIPTS(FAST_FEED)),
                 OPTIONS(FAST, JOINED, "sequence_path=n", "max_age=100ms", "rotation_overlap=30ms"), 5, 5);
}

TEST(rotations_over_tls) {
    server *s = scripted(SCRIPTS("--tls", FAST_FEED));
    feed f;
    char url[100];
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/path", port_of(s));
    begin_feed(&f);
    f.is_quiet = 1;
    pulsews_client *client = make_client_at(url, OPTIONS(FAST, NUMBERED, JOINED, "max_age=200ms",
                                                         "rotation_overlap=50ms", "verify=false"));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 10);
    f.states = 0;
    for (int i = 0; i < 6; i++) FOLLOW(client, &f, STEP("done"));
    follow_to_the_end(client, s, &f, 5);
    check_feed(&f);
    IS(f.states + f.gaps, 0);
    CHECK(statistic(client, "tls_handshakes") >= 7);
    pulsews_client_free(client);
}

/* Without numbers nobody can tell copies; nothing is left out all the same. */
TEST(rotations_without_numbers_lose_nothing) {
    server *s = scripted(SCRIPTS(FAST_FEED));
    feed f;
    begin_feed(&f);
    f.is_quiet = 1;
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "max_age=100ms", "rotation_overlap=1s"));
    for (int i = 0; i < 20; i++) FOLLOW(client, &f, STEP("done"));
    follow_to_the_end(client, s, &f, 5);
    fprintf(stderr, "%lld texts, %lld missing, %lld copies\n", (long long)f.texts, (long long)f.missing,
            (long long)f.copies);
    IS(f.missing, 0);
    IS((int64_t)statistic(client, "duplicates_discarded"), 0);
    pulsews_client_free(client);
}

/* A consumer that is away: what the old connection still has to bring is not left behind. The feed pauses when it is back:
 * how fast it takes what waits does not matter. */
TEST(a_slow_consumer_loses_nothing_by_a_rotation) {
    server *s = scripted(SCRIPTS("accept | got 1 | feed ms=1 keys=5 burst=4 size=500"));
    feed f;
    pulsews_message message;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(FAST, NUMBERED, JOINED, "max_age=300ms", "rotation_overlap=50ms",
                                               "receive_queue_bytes=64KiB", "compression=false"));
    f.is_quiet = 1; /* the queue may have no room for events either */
    await_statistic(client, "reading_pauses", 1);
    await_record(s, 2, "text", "hello");
    poll(NULL, 0, 300);
    IS((int64_t)statistic(client, "rotations"), 0);
    tell_server(s, "quiet");
    await_record(s, 0, "fed", NULL);
    for (int64_t end = now_ns() + SHORT; statistic(client, "rotations") < 1;) {
        CHECK(now_ns() < end);
        if (pulsews_recv(client, &message, PULSEWS_MILLISECONDS(10)) == PULSEWS_OK) take_of_feed(&f, &message);
    }
    tell_server(s, "loud");
    await_record(s, 0, "fed", NULL);
    follow_texts(client, &f, 1000);
    follow_to_the_end(client, s, &f, 5);
    check_feed(&f);
    IS(f.gaps, 0);
    IS((int64_t)statistic(client, "reconnections"), 0);
    pulsews_client_free(client);
}
