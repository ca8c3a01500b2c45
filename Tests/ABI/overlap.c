/* SPDX-License-Identifier: Apache-2.0
 *
 * What may go wrong while two connections serve: sides that are late, mute, full, or asked to go themselves. */
#include "feed.h"
#include <poll.h>

#define FAST                                                                                                           \
    "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "login=hello",                 \
        "host_connect_rate=10000/s", "backlog_interval=0"
#define NOTICED FAST, NUMBERED, "rotate_on={\"type\":\"bye\"}"
#define BYE "text {\"type\":\"bye\"}"

/* ---- The successor is told to end, too ---- */

/* Its notice comes before it has taken over: it is not forgotten, or the feed would end with it. */
TEST(a_notice_to_the_successor) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS " | " BYE, DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(NOTICED, JOINED, "rotation_overlap=200ms"));
    tell_server(s, "go");
    for (int i = 1; i <= 2; i++) {
        FOLLOW(client, &f, STEP("done"), "\"cause\":\"notice\"");
        await_record(s, i, "close", "1000");
    }
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS(count_records(s, 0, "request", NULL), 3);
    IS(f.states + f.gaps + f.repeats + f.backs, 0);
    pulsews_client_free(client);
}

/* A server that gives notice to everybody who comes is not stormed: the pauses grow. */
TEST(notices_without_an_end) {
    server *s = scripted(SCRIPTS(DELIVERS " | " BYE));
    feed f;
    begin_feed(&f);
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(NUMBERED, JOINED, "rotate_on={\"type\":\"bye\"}", "login=hello",
                                                 "events=true", "reconnect_base_delay=400ms", "jitter=0",
                                                 "host_connect_rate=10000/s", "rotation_overlap=10ms"));
    for (int64_t end = now_ns() + PULSEWS_SECONDS(3); now_ns() < end;) follow_texts(client, &f, 10);
    int made = count_records(s, 0, "request", NULL);
    fprintf(stderr, "%d connections in 3 s\n", made);
    CHECK(made >= 3 && made <= 6);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    pulsews_client_free(client);
}

/* ---- The successor is late ---- */

/* An answer to a subscription is no message of the feed: the overlap begins when that comes. */
TEST(a_successor_that_talks_before_it_delivers) {
    server *s = scripted(SCRIPTS(ENDS, "accept | got 1 | text {\"result\":null} | sleep 500 | feed"));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(NOTICED, "rotation_overlap=50ms"));
    tell_server(s, "go");
    follow_texts(client, &f, 700);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    IS((int64_t)statistic(client, "rotations"), 1);
    IS(f.gaps + f.repeats + f.backs + f.failed, 0);
    pulsews_client_free(client);
}

/* Both connections have the same changes, cut into messages in different ways. */
TEST(numbers_that_are_cut_in_other_ways) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"U\":1,\"u\":10} | go | " BYE
                                 " | go | text {\"U\":11,\"u\":20}",
                                 "accept | got 1 | text {\"U\":6,\"u\":15} | text {\"U\":16,\"u\":25} | go | "
                                 "text {\"U\":26,\"u\":30}"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=U,u", "rotation_overlap=300ms",
                                                             "rotate_on={\"type\":\"bye\"}"));
    await_text(client, "{\"U\":1,\"u\":10}");
    tell_server(s, "go");
    EVENT(client, STEP("begin"));
    await_record(s, 2, "text", "hello");
    tell_server(s, "go");
    await_text(client, "{\"type\":\"bye\"}");
    await_text(client, "{\"U\":11,\"u\":20}");
    await_text(client, "{\"U\":16,\"u\":25}");
    tell_server(s, "go");
    await_text(client, "{\"U\":26,\"u\":30}");
    IS((int64_t)statistic(client, "rotations"), 1);
    IS((int64_t)statistic(client, "sequence_steps_back"), 0);
    IS((int64_t)(statistic(client, "sequence_gaps") + statistic(client, "sequence_repeats")), 0);
    pulsews_client_free(client);
}

/* What the successor brought before it took over is data as any other. */
TEST(data_of_the_overlap_is_no_silence) {
    server *s = scripted(
        SCRIPTS("accept | got 1 | text {\"s\":\"a\",\"u\":1}",
                "accept | got 1 | text {\"s\":\"a\",\"u\":2} | sleep 1000 | text {\"s\":\"a\",\"u\":3}"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, NUMBERED, "max_age=1200ms", "rotation_overlap=100ms",
                                                             "stale_timeout=1800ms"));
    await_text(client, "{\"s\":\"a\",\"u\":1}");
    EVENT(client, STEP("done"));
    pulsews_message message;
    do {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    } while (message.length < 13 || memcmp((const char *)message.data + message.length - 2, "3}", 2) != 0);
    IS((int64_t)statistic(client, "stale_episodes"), 0);
    pulsews_client_free(client);
}

/* ---- Full queues ---- */

/* The queue is full while the successor logs in: that is no reason for it to stop reading. */
TEST(a_successor_logs_in_behind_a_full_queue) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"login\":1} | text {\"s\":\"K0\",\"u\":0,\"n\":0} | go | " BYE
                                 " | numbers count=300 first=1 size=400",
                                 "accept | got 1 | text one | sleep 100 | text two | sleep 100 | text {\"login\":1}"));
    feed f;
    begin_feed(&f);
    pulsews_client *client = open_client(port_of(s), OPTIONS(NOTICED, "rotation_overlap=200ms", "login_timeout=1s",
                                                             "open_timeout=1s", "login_confirm={\"login\":1}",
                                                             "receive_queue_bytes=64KiB", "compression=false"));
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 1);
    tell_server(s, "go");
    await_record(s, 2, "text", "hello");
    await_statistic(client, "receive_queue_bytes", 65536);
    poll(NULL, 0, 500);
    FOLLOW(client, &f, STEP("done"));
    follow_texts(client, &f, 301 - f.texts);
    check_feed(&f);
    IS(f.failed, 0);
    pulsews_client_free(client);
}

/* The successor's messages fill its queue in one turn of the loop, while those of the old connection wait in
 * the same turn. All its numbers are older than the successor's, and it was silent for longer than a side is waited for. */
TEST(what_waits_beside_a_full_successor_is_read_first) {
    server *s = scripted(SCRIPTS("accept | got 1 | numbers count=10 | sleep 600 | " BYE
                                 " | got 2 | numbers count=10 first=10 | taken",
                                 "accept | got 1 | go | numbers count=40 first=20 size=400 | taken"));
    feed f;
    char why[PULSEWS_ERROR_SIZE] = "";
    static const char *const options[][2] = {{"sequence_path", "u"},
                                             {"sequence_key", "s"},
                                             {"login", "hello"},
                                             {"rotate_on", "{\"type\":\"bye\"}"},
                                             {"rotation_overlap", "500ms"},
                                             {"receive_queue_bytes", "8KiB"},
                                             {"compression", "false"}};
    begin_feed(&f);
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        IS(pulsews_config_set(config, options[i][0], options[i][1], why, sizeof why), PULSEWS_OK);
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &client, NULL, 0), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    for (int64_t end = now_ns() + SHORT; count_records(s, 2, "text", "hello") == 0;) {
        CHECK(now_ns() < end);
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(10)), PULSEWS_OK);
    }
    /* Nobody runs the loop while the one and then the other arrives. */
    tell_server(s, "go");
    await_record(s, 2, "taken", NULL);
    send_text(client, "go on");
    await_record(s, 1, "taken", NULL);
    follow_texts(client, &f, 60);
    check_feed(&f);
    IS((int64_t)statistic(client, "rotations"), 1);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
    pulsews_config_free(config);
}

/* A consumer at half the feed's speed: reading of either connection pauses and goes on all the time. Few and large texts, so
 * that the speed is that of the pauses. */
TEST(rotations_with_a_consumer_that_is_too_slow) {
    server *s = scripted(SCRIPTS("accept | got 1 | feed ms=1 keys=5 burst=5 size=4000"));
    feed f;
    pulsews_message message;
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(FAST, NUMBERED, JOINED, "max_age=300ms", "rotation_overlap=2s",
                                               "receive_queue_bytes=64KiB", "compression=false"));
    f.is_quiet = 1;
    poll(NULL, 0, 300);
    for (int64_t end = now_ns() + 2 * SHORT; statistic(client, "rotations") < 2;) {
        CHECK(now_ns() < end);
        for (int i = 0; i < 80; i++)
            if (pulsews_recv(client, &message, PULSEWS_MILLISECONDS(10)) == PULSEWS_OK) take_of_feed(&f, &message);
        poll(NULL, 0, 30);
    }
    follow_to_the_end(client, s, &f, 5);
    check_feed(&f);
    IS(f.gaps, 0);
    pulsews_client_free(client);
}

/* ---- Messages on their way ---- */

/* A message of which a part is written is finished before the connection is left. */
TEST(a_message_is_not_cut_by_a_rotation) {
    enum { SIZE = 12 << 20 };
    server *s = scripted(SCRIPTS(DELIVERS " | stall | go | " BYE " | go | resume", DELIVERS));
    feed f;
    char *text = malloc(SIZE);
    memset(text, 'x', SIZE);
    pulsews_client *client = open_feed(s, &f,
                                       OPTIONS(NOTICED, "rotation_overlap=50ms", "compression=false",
                                               "message_queue_bytes=64MiB"));
    send_text(client, "the last one that is read");
    await_record(s, 1, "text", "the last one");
    IS(pulsews_send(client, PULSEWS_TEXT, text, SIZE, 0), PULSEWS_OK);
    tell_server(s, "go");
    await_record(s, 2, "text", "hello");
    for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(400); now_ns() < end;) follow_texts(client, &f, 5);
    tell_server(s, "go");
    FOLLOW(client, &f, STEP("done"));
    await_record(s, 1, "text", "12582912:");
    IS((int64_t)statistic(client, "messages_failed"), 0);
    IS((int64_t)statistic(client, "messages_sent"), 2);
    check_account(client);
    follow_to_the_end(client, s, &f, 3);
    check_feed(&f);
    free(text);
    pulsews_client_free(client);
}

/* A login that was sent for the successor is in the books, wherever it is. */
TEST(a_login_for_the_successor_is_in_the_books) {
    enum { SIZE = 12 << 20 };
    server *s = scripted(SCRIPTS(ENDS, "accept | got 1 | stall | go | resume | got 3 | feed"));
    feed f;
    begin_feed(&f);
    char *text = malloc(SIZE);
    memset(text, 'x', SIZE);
    pulsews_client *client = make_client(port_of(s), OPTIONS(NOTICED, "hold_login=true", "rotation_overlap=50ms",
                                                             "compression=false"));
    IS(pulsews_start(client), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"hold\"");
    IS(pulsews_release(client), PULSEWS_OK);
    FOLLOW(client, &f, "\"event\":\"ready\"");
    follow_texts(client, &f, 10);
    tell_server(s, "go");
    FOLLOW(client, &f, "\"event\":\"hold\"", "\"successor\":true");
    await_record(s, 2, "text", "hello");
    IS(pulsews_send_with(client, PULSEWS_TEXT, "signed", 6, PULSEWS_FIRST, 0, 0, NULL), PULSEWS_OK);
    await_record(s, 2, "text", "signed");
    IS(pulsews_send_with(client, PULSEWS_TEXT, text, SIZE, PULSEWS_FIRST, 0, 0, NULL), PULSEWS_OK);
    check_account(client);
    IS((int64_t)statistic(client, "queue_size"), 1);
    IS(pulsews_flush(client, PULSEWS_MILLISECONDS(50)), PULSEWS_ETIMEOUT);
    tell_server(s, "go");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    IS(pulsews_release(client), PULSEWS_OK);
    FOLLOW(client, &f, STEP("done"));
    check_account(client);
    free(text);
    pulsews_client_free(client);
}

/* The application asks for a new connection because it has a new token: one that was begun with the old token is not it. */
TEST(reconnect_with_another_header_in_an_overlap) {
    server *s = scripted(SCRIPTS(ENDS, DELIVERS));
    feed f;
    pulsews_client *client = open_feed(s, &f, OPTIONS(NOTICED, "rotation_overlap=1m", "headers=X-Token: old"));
    tell_server(s, "go");
    await_record(s, 2, "text", "hello");
    follow_texts(client, &f, 20);
    IS(pulsews_set_header(client, "X-Token", "new", NULL, 0), PULSEWS_OK);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    CHECK(strstr(await_record(s, 3, "request", NULL)->text, "X-Token: new"));
    for (int i = 1; i <= 2; i++) await_record(s, i, "close", "1000");
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    send_text(client, "there");
    await_record(s, 3, "text", "there");
    follow_texts(client, &f, 50);
    IS(f.copies, 0);
    IS((int64_t)statistic(client, "rotations"), 0);
    pulsews_client_free(client);
}
