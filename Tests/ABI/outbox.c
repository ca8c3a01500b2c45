/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of messages: limits and their policies, times to live, reports, and the account that is always right. */
#include "harness.h"
#include <poll.h>

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "backlog_interval=0"

static void ready(pulsews_client *client) {
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
}

static int32_t send_flags(pulsews_client *client, const char *text, uint32_t flags, int64_t ttl, int64_t timeout,
                          uint64_t *id) {
    int32_t status = pulsews_send_with(client, PULSEWS_TEXT, text, strlen(text), flags, ttl, timeout, id);
    check_account(client);
    return status;
}

/* ---- A full outbox ---- */

/* Sends "1" to "5" into an outbox of three; what arrives later has to be `expected`. */
static void overflow(const char *policy, const char *size, int32_t fifth, const char *expected, const char *event) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, policy, size));
    char text[2] = "1";
    for (; *text < '5'; (*text)++) {
        uint64_t id = 0;
        int32_t status = send_flags(client, text, 0, 0, 0, &id);
        if (status == PULSEWS_OK) IS((int64_t)id, *text - '0');
        if (*text < '4') IS(status, PULSEWS_OK);
    }
    int64_t begin = now_ns();
    int blocks = strstr(policy, "block") != NULL;
    IS(send_flags(client, text, 0, 0, blocks ? PULSEWS_MILLISECONDS(50) : SHORT, NULL), fifth);
    CHECK(blocks ? now_ns() - begin >= PULSEWS_MILLISECONDS(50) : now_ns() - begin < SHORT);
    if (event) EVENT(client, "\"event\":\"dropped\"", event);
    ready(client);
    for (; *expected; expected++) expect_at_server(s, 1, (char[]){*expected, 0});
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    send_text(client, "end");
    expect_at_server(s, 1, "end");
    IS((int64_t)statistic(client, "messages_rejected"), fifth == PULSEWS_OK ? 0 : 2);
    IS((int64_t)statistic(client, "messages_dropped"), fifth == PULSEWS_OK ? 2 : 0);
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_full_outbox_drops_the_oldest) {
    overflow("name=default", "message_queue_size=3", PULSEWS_OK, "345", "\"cause\":\"drop_oldest\"");
}
TEST(a_full_outbox_drops_the_newest) {
    overflow("message_queue_policy=drop_newest", "message_queue_size=3", PULSEWS_OK, "123",
             "\"cause\":\"drop_newest\"");
}
TEST(a_full_outbox_rejects) {
    overflow("message_queue_policy=reject", "message_queue_size=3", PULSEWS_EQUEUEFULL, "123", NULL);
}
TEST(a_full_outbox_blocks) {
    overflow("message_queue_policy=block", "message_queue_size=3", PULSEWS_EQUEUEFULL, "123", NULL);
}

/* Payloads with 40 bytes for each; a message that is larger than the limit finds room in an empty outbox. */
TEST(the_limit_in_bytes) {
    static char payload[8192];
    pulsews_client *client = make_client(1, OPTIONS("message_queue_bytes=4KiB", "message_queue_policy=reject"));
    IS(pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, 0), PULSEWS_OK);
    IS(pulsews_send(client, PULSEWS_BINARY, NULL, 0, 0), PULSEWS_EQUEUEFULL);
    IS(pulsews_purge(client), 1);
    for (int i = 0; i < 4; i++) IS(pulsews_send(client, PULSEWS_BINARY, payload, 1024 - 40, 0), PULSEWS_OK);
    IS(pulsews_send(client, PULSEWS_BINARY, NULL, 0, 0), PULSEWS_EQUEUEFULL);
    IS((int64_t)statistic(client, "queue_bytes"), 4096);
    check_account(client);
    pulsews_client_free(client);
}

static void *send_blocked(void *client) {
    return (void *)(intptr_t)pulsews_send(client, PULSEWS_TEXT, "blocked", 7, PULSEWS_FOREVER);
}

TEST(a_blocked_sender_is_freed) {
    server *s = scripted(SCRIPTS("accept"));
    for (int way = 0; way < 4; way++) {
        pulsews_client *client = make_client(way == 3 ? refusing_port() : port_of(s),
                                             OPTIONS("message_queue_size=1", "message_queue_policy=block",
                                                     "max_reconnect_attempts=1", "reconnect_base_delay=50ms"));
        void *status;
        send_text(client, "first");
        pthread_t thread = run_thread(send_blocked, client);
        IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, PULSEWS_MILLISECONDS(50)), PULSEWS_EQUEUEFULL);
        if (way == 0) ready(client);
        if (way == 1) IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
        if (way == 2) IS(pulsews_purge(client), 1);
        if (way == 3) IS(pulsews_start(client), PULSEWS_OK);
        pthread_join(thread, &status);
        IS((intptr_t)status, way == 1 ? PULSEWS_ECLOSED : way == 3 ? PULSEWS_ENOTCONNECTED : PULSEWS_OK);
        check_account(client);
        pulsews_client_free(client);
    }
}

/* ---- Times to live, flags and fates ---- */

TEST(messages_expire) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "message_ttl=60ms"));
    uint64_t id;
    IS(send_flags(client, "own", PULSEWS_REPORT, PULSEWS_MILLISECONDS(30), 0, &id), PULSEWS_OK);
    IS(send_flags(client, "by option", PULSEWS_REPORT, 0, 0, NULL), PULSEWS_OK);
    IS(send_flags(client, "for ever", PULSEWS_REPORT, PULSEWS_FOREVER, 0, NULL), PULSEWS_OK);
    IS(send_flags(client, "an hour", 0, PULSEWS_SECONDS(3600), 0, NULL), PULSEWS_OK);
    IS(send_flags(client, "very long", 0, INT64_MAX, 0, NULL), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_disconnect(client, 0), PULSEWS_OK); /* nothing may have left: they fail */
    check_account(client);
    pulsews_client_free(client);

    client = make_client(port_of(s), OPTIONS(FAST, "message_ttl=60ms", "hold_connect=true"));
    IS(send_flags(client, "own", PULSEWS_REPORT, PULSEWS_MILLISECONDS(30), 0, &id), PULSEWS_OK);
    IS(send_flags(client, "by option", PULSEWS_REPORT, 0, 0, NULL), PULSEWS_OK);
    IS(send_flags(client, "for ever", 0, PULSEWS_FOREVER, 0, NULL), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    const char *event = EVENT(client, "\"event\":\"expired\"", "\"cause\":\"time to live\"");
    IS((int64_t)json_number(event, "first_id"), 1);
    EVENT(client, "\"event\":\"fate\"", "\"id\":1", "\"fate\":\"expired\"");
    EVENT(client, "\"event\":\"fate\"", "\"id\":2", "\"fate\":\"expired\"");
    IS((int64_t)statistic(client, "messages_expired"), 2);
    IS((int64_t)statistic(client, "queue_size"), 1);
    IS(pulsews_release(client), PULSEWS_OK);
    expect_at_server(s, 0, "for ever");
    check_account(client);
    pulsews_client_free(client);
}

TEST(every_fate_is_told) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "message_queue_size=2", "hold_connect=true"));
    uint64_t ids[5];
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 3; i++) IS(send_flags(client, "x", PULSEWS_REPORT, 0, 0, &ids[i]), PULSEWS_OK);
    EVENT(client, "\"event\":\"fate\"", "\"id\":1,", "\"fate\":\"dropped\"");
    IS(pulsews_purge(client), 2);
    EVENT(client, "\"event\":\"dropped\"", "\"messages\":2", "\"first_id\":2", "\"last_id\":3", "\"cause\":\"purge\"");
    EVENT(client, "\"event\":\"fate\"", "\"id\":2,", "\"fate\":\"dropped\"");
    EVENT(client, "\"event\":\"fate\"", "\"id\":3,", "\"fate\":\"dropped\"");
    IS(pulsews_release(client), PULSEWS_OK);
    ready(client);
    IS(send_flags(client, "live", PULSEWS_REPORT | PULSEWS_LIVE_ONLY, 0, 0, &ids[3]), PULSEWS_OK);
    EVENT(client, "\"event\":\"fate\"", "\"id\":4,", "\"fate\":\"sent\"");
    IS(send_flags(client, "unreported", 0, 0, 0, NULL), PULSEWS_OK);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(pulsews_reconnect(client), PULSEWS_OK); /* holds, so that the next one waits */
    EVENT(client, "\"event\":\"hold\"");
    IS(send_flags(client, "never", PULSEWS_REPORT, 0, 0, &ids[4]), PULSEWS_OK);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    EVENT(client, "\"event\":\"failed\"", "\"messages\":1", "\"first_id\":6");
    EVENT(client, "\"event\":\"fate\"", "\"id\":6,", "\"fate\":\"failed\"");
    check_account(client);
    IS((int64_t)statistic(client, "messages_failed"), 1);
    pulsews_client_free(client);
}

TEST(live_only_is_never_kept) {
    server *s = scripted(SCRIPTS("accept | stall | go | reset", "accept"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, "message_queue_size=100000", "message_queue_bytes=1GiB"));
    static char payload[256 << 10];
    int32_t live = 0;
    IS(send_flags(client, "x", PULSEWS_LIVE_ONLY, 0, SHORT, NULL), PULSEWS_ENOTCONNECTED);
    ready(client);
    for (int i = 0; i < 100; i++) {
        uint32_t flags = i % 2 ? PULSEWS_LIVE_ONLY : 0;
        IS(pulsews_send_with(client, PULSEWS_BINARY, payload, sizeof payload, flags, 0, 0, NULL), PULSEWS_OK);
        live += flags != 0;
    }
    check_account(client);
    CHECK(statistic(client, "queue_size") > 20);
    tell_server(s, "go");
    EVENT(client, "\"event\":\"failed\"", "live_only");
    ready(client);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_record(s, 2, "close", NULL);
    check_account(client);
    int64_t failed = (int64_t)statistic(client, "messages_failed");
    fprintf(stderr, "%d arrived later, %lld of %d live ones failed\n", count_records(s, 2, "binary", NULL),
            (long long)failed, live);
    CHECK(failed > 10 && failed <= live + 1);
    CHECK(count_records(s, 2, "binary", NULL) <= 100 - live);
    pulsews_client_free(client);
}

/* ---- Many at once ---- */

TEST(batches_are_sent_in_order) {
    enum { COUNT = 5000 };
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("backlog_interval=0", "message_queue_size=10000"));
    pulsews_message *messages = calloc(COUNT, sizeof *messages);
    char (*texts)[8] = calloc(COUNT, sizeof *texts);
    uint64_t first = 0;
    send_text(client, "before");
    for (int i = 0; i < COUNT; i++) {
        messages[i] = (pulsews_message){.data = texts[i],
                                        .length = (size_t)snprintf(texts[i], 8, "%d", i),
                                        .kind = PULSEWS_TEXT,
                                        .flags = UINT32_MAX,
                                        .received_ns = -1,
                                        .sequence = 7};
    }
    IS(pulsews_send_batch(client, messages, COUNT, 0, 0, SHORT, &first), COUNT);
    IS((int64_t)first, 2);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    expect_at_server(s, 1, "before");
    for (int i = 0; i < COUNT; i++) expect_at_server(s, 1, texts[i]);
    IS(pulsews_send_batch(client, messages, 1, PULSEWS_LIVE_ONLY | PULSEWS_IN_LIMIT, PULSEWS_FOREVER, 0, NULL), 1);
    check_account(client);
    pulsews_client_free(client);
    free(messages), free(texts);
}

TEST(a_batch_that_is_accepted_in_part) {
    pulsews_message messages[5] = {{.data = "a", .length = 1, .kind = PULSEWS_TEXT},
                                   {.data = NULL, .length = 0, .kind = PULSEWS_BINARY},
                                   {.data = "c", .length = 1, .kind = PULSEWS_TEXT},
                                   {.data = "d", .length = 1, .kind = PULSEWS_TEXT},
                                   {.data = "e", .length = 1, .kind = PULSEWS_TEXT}};
    uint64_t first = 99;
    pulsews_client *client = make_client(1, OPTIONS("message_queue_size=3", "message_queue_policy=reject"));
    IS(pulsews_send_batch(client, messages, 5, 0, 0, PULSEWS_FOREVER, &first), 3);
    IS((int64_t)first, 1);
    IS(pulsews_send_batch(client, messages, 5, 0, 0, PULSEWS_FOREVER, &first), PULSEWS_EQUEUEFULL);
    IS((int64_t)first, 1);
    IS(pulsews_purge(client), 3);
    static const struct {
        pulsews_message bad;
        int32_t status;
    } wrong[] = {{{.data = "\xff", .length = 1, .kind = PULSEWS_TEXT}, PULSEWS_EUTF8},
                 {{.data = "x", .length = 1, .kind = PULSEWS_PING}, PULSEWS_EINVAL},
                 {{.data = "x", .length = 1, .kind = 0}, PULSEWS_EINVAL},
                 {{.data = "x", .length = 1, .kind = PULSEWS_EVENT}, PULSEWS_EINVAL},
                 {{.data = NULL, .length = 1, .kind = PULSEWS_TEXT}, PULSEWS_EINVAL},
                 {{.data = "x", .length = SIZE_MAX, .kind = PULSEWS_TEXT}, PULSEWS_ETOOBIG},
                 {{.data = "x", .length = ((size_t)1 << 30) + 1, .kind = PULSEWS_BINARY}, PULSEWS_ETOOBIG}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        messages[1] = wrong[i].bad;
        fprintf(stderr, "%zu\n", i);
        IS(pulsews_send_batch(client, messages, 5, 0, 0, 0, &first), 1); /* up to the wrong one */
        IS(pulsews_send_batch(client, messages + 1, 4, 0, 0, 0, &first), wrong[i].status);
        IS(pulsews_purge(client), 1);
        check_account(client);
    }
    IS(pulsews_send_batch(client, messages, 0, 0, 0, 0, &first), PULSEWS_EINVAL);
    IS(pulsews_send_batch(client, messages, (size_t)INT32_MAX + 1, 0, 0, 0, &first), PULSEWS_EINVAL);
    IS(pulsews_send_batch(client, messages, SIZE_MAX, 0, 0, 0, &first), PULSEWS_EINVAL);
    IS(pulsews_send_batch(client, NULL, 1, 0, 0, 0, &first), PULSEWS_EINVAL);
    IS(pulsews_send_batch(NULL, messages, 1, 0, 0, 0, &first), PULSEWS_EINVAL);
    IS(pulsews_send_batch(client, messages, 1, 16, 0, 0, &first), PULSEWS_EINVAL);
    IS(pulsews_send_batch(client, messages, 1, PULSEWS_LIVE_ONLY, 0, 0, &first), PULSEWS_ENOTCONNECTED);
    pulsews_client_free(client);
}

/* ---- All ---- */

TEST(flush_waits_for_every_fate) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("hold_connect=true", "backlog_interval=20ms"));
    IS(pulsews_flush(client, 0), PULSEWS_OK); /* nothing to wait for */
    for (int i = 0; i < 5; i++) send_text(client, "x");
    IS(pulsews_flush(client, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_flush(client, PULSEWS_MILLISECONDS(30)), PULSEWS_ETIMEOUT);
    IS(pulsews_release(client), PULSEWS_OK);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    IS((int64_t)statistic(client, "messages_sent"), 5);
    pulsews_client_free(client);
    client = make_client(refusing_port(), OPTIONS("max_reconnect_attempts=1", "reconnect_base_delay=30ms"));
    send_text(client, "x");
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_flush(client, SHORT), PULSEWS_ENOTCONNECTED);
    IS((int64_t)statistic(client, "queue_size"), 1); /* kept for a reconnect */
    IS(pulsews_purge(client), 1);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    pulsews_client_free(client);
}

/* A loop that is driven late sends nothing whose time to live is over, also not what stood ready to be written. */
TEST(a_late_loop_sends_nothing_too_late) {
    enum { COUNT = 200 };
    const int64_t ttl = PULSEWS_MILLISECONDS(100);
    server *s = scripted(SCRIPTS("accept"));
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), NULL, loop, &client, NULL, 0), PULSEWS_OK);
    ready(client);
    for (int i = 0; i < COUNT; i++)
        IS(pulsews_send_with(client, PULSEWS_TEXT, "short-lived", 11, 0, ttl, 0, NULL), PULSEWS_OK);
    for (int64_t end = now_ns() + ttl; now_ns() <= end;) poll(NULL, 0, 20); /* until the last is too old */
    int written = (int)statistic(client, "messages_sent");
    for (int i = 0; i < written; i++) await_record(s, 1, "text", "short-lived");
    IS(count_records(s, 1, "text", NULL), written);
    for (int i = 0; i < 5; i++) IS(pulsews_loop_run_once(loop, 0), PULSEWS_OK);
    send_text(client, "last");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    await_record(s, 1, "text", "last");
    fprintf(stderr, "%d of %d in time\n", written, COUNT);
    IS(count_records(s, 1, "text", NULL), written + 1);
    IS((int64_t)statistic(client, "messages_expired"), COUNT - written);
    check_account(client);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
}
