/* SPDX-License-Identifier: Apache-2.0
 *
 * A consumer that is slow, and a connection that ends meanwhile: it gets all that had arrived, and learns the true end. */
#define _GNU_SOURCE
#include "harness.h"
#include <malloc.h>
#include <poll.h>

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"
enum { LIMIT = 64 << 10 };
#define QUEUE "receive_queue_bytes=64KiB"

struct taken {
    int64_t texts, states;
    int32_t end;
    uint64_t sequence;
    char last_state[1000];
};

/* Takes slowly, all texts of a flood and the events among them, until the client ends or a text says "end". */
static void take_slowly(pulsews_client *client, struct taken *t, int64_t size) {
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;
    char expected[32];
    for (int is_over = 0; !is_over;) {
        int32_t count = pulsews_recv_batch(client, batch, 200, SHORT, &messages);
        if (count < 0) {
            t->end = count;
            break;
        }
        CHECK(statistic(client, "receive_queue_bytes") < LIMIT + 16384 + 2048);
        for (int32_t i = 0; i < count; i++) {
            const pulsews_message *m = &messages[i];
            CHECK(m->sequence == t->sequence + 1);
            t->sequence = m->sequence;
            if (m->kind == PULSEWS_EVENT) {
                if (!memmem(m->data, m->length, "\"event\":\"state\"", 15)) continue;
                t->states++;
                snprintf(t->last_state, sizeof t->last_state, "%.*s", (int)m->length, (const char *)m->data);
            } else if (m->length == 3 && memcmp(m->data, "end", 3) == 0) {
                is_over = 1;
            } else {
                CHECK((int64_t)m->length == size);
                int length = snprintf(expected, sizeof expected, "%lld ", (long long)t->texts);
                CHECK(memcmp(m->data, expected, (size_t)(length < size ? length : size)) == 0);
                t->texts++;
            }
        }
    }
    fprintf(stderr, "%lld texts, %lld states, %s, last state %s\n", (long long)t->texts, (long long)t->states,
            pulsews_error_name(t->end), t->last_state);
    pulsews_batch_free(batch);
}

static pulsews_client *connected(server *s, const char *scheme, const char *queue, const char *option) {
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", scheme, port_of(s));
    pulsews_client *client = make_client_at(url, OPTIONS(FAST, queue, "verify=false", option));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    return client;
}

/* The last thing the server does is that it ends: all of it waits in the system before anything is taken. */
static void check_tail(const char *scheme, const char *script, const char *queue, int64_t count, int64_t size,
                       int32_t end, int32_t code, const char *reason) {
    server *s = strcmp(scheme, "wss") == 0 ? scripted(SCRIPTS("--tls", script)) : scripted(SCRIPTS(script));
    pulsews_client *client = connected(s, scheme, queue, "reconnect=false");
    char text[200] = "";
    struct taken t = {0};
    await_statistic(client, "reading_pauses", 1);
    await_record(s, 1, "taken", "");
    take_slowly(client, &t, size);
    IS(t.texts, count);
    IS(t.end, end);
    IS(pulsews_close_code(client), code);
    CHECK(pulsews_close_reason(client, text, sizeof text) >= 0);
    CHECK(strcmp(text, reason) == 0);
    CHECK(strstr(t.last_state, "\"state\":\"error\""));
    IS((int64_t)statistic(client, "messages_received"), count);
    IS((int64_t)statistic(client, "events_dropped"), 0);
    IS((int64_t)statistic(client, "receive_queue_bytes"), 0);
    check_account(client);
    pulsews_client_free(client);
}

/* 16 MB in some 40 kB on the wire, which the system takes in while reading pauses. */
#define FLOOD "deflate | flood 1000 16000"
enum { TEXTS = 1000, SIZE = 16000 };

TEST(a_slow_consumer_gets_the_tail_of_a_compressed_feed) {
    check_tail("ws", FLOOD " | close 1000 bye | taken | cut", QUEUE, TEXTS, SIZE, PULSEWS_EPEERCLOSED, 1000, "bye");
}

TEST(a_slow_consumer_gets_the_tail_of_small_messages) {
    check_tail("ws", "accept | flood 10000 2 | close 1001 later | taken | cut", QUEUE, 10000, 2, PULSEWS_EPEERCLOSED,
               1001, "later");
    check_tail("ws", "accept | flood 20000 0 | close 1000 bye | taken | cut", QUEUE, 20000, 0, PULSEWS_EPEERCLOSED,
               1000, "bye");
}

TEST(a_slow_consumer_gets_the_tail_before_an_end_without_a_close_frame) {
    check_tail("ws", FLOOD " | taken | cut", QUEUE, TEXTS, SIZE, PULSEWS_EEOF, 1006, "");
}

TEST(a_slow_consumer_gets_the_tail_over_tls) {
    check_tail("wss", FLOOD " | close 1000 bye | taken | cut", QUEUE, TEXTS, SIZE, PULSEWS_EPEERCLOSED, 1000, "bye");
    check_tail("wss", FLOOD " | taken | reset", QUEUE, TEXTS, SIZE, PULSEWS_ERESET, 1006, "");
}

TEST(a_slow_consumer_gets_the_tail_before_a_reset) {
    check_tail("ws", FLOOD " | taken | reset", QUEUE, TEXTS, SIZE, PULSEWS_ERESET, 1006, "");
}

/* The next connection serves while the tail of the one before waits; what it brings, and what happened, comes behind. */
static void check_next(const char *script, int32_t end) {
    server *s = scripted(SCRIPTS(script, "accept | text end"));
    pulsews_client *client = connected(s, "ws", QUEUE, "compression=true");
    struct taken t = {0};
    await_statistic(client, "connections", 2);
    IS(pulsews_client_error(client, NULL, 0), end); /* known before the tail is read */
    CHECK(statistic(client, "receive_queue_bytes") > LIMIT);
    send_text(client, "an order");
    expect_at_server(s, 2, "an order");
    take_slowly(client, &t, 200);
    IS(t.texts, 5000);
    IS(t.states, 5); /* connecting, connected; reconnecting, its attempt, connected */
    CHECK(strstr(t.last_state, "\"state\":\"connected\""));
    IS((int64_t)statistic(client, "events_dropped"), 0);
    IS((int64_t)statistic(client, "messages_received"), 5001);
    IS((int64_t)statistic(client, "receive_queue_size"), 0);
    pulsews_client_free(client);
}

TEST(orders_leave_while_the_tail_waits) {
    check_next("deflate | flood 5000 200 | close 1000 bye | taken | cut", PULSEWS_EPEERCLOSED);
    check_next("deflate | flood 5000 200 | taken | reset", PULSEWS_ERESET);
}

/* With a sequence each message is judged in its order: the connection stays until all was taken. */
TEST(a_checked_feed_has_no_gap_for_a_slow_consumer) {
    server *s = scripted(SCRIPTS("accept | numbers count=20000 keys=1 size=100 | cut",
                                 "accept | numbers first=20000 count=100 keys=1 size=100 | text end"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, QUEUE, "sequence_path=n", "key_path=s"));
    pulsews_message message;
    int64_t texts = 0;
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    await_statistic(client, "reading_pauses", 1);
    for (;;) {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        if (message.kind == PULSEWS_EVENT) {
            CHECK(!memmem(message.data, message.length, "\"event\":\"gap\"", 13));
            continue;
        }
        if (message.length == 3) break;
        texts++;
    }
    IS(texts, 20100);
    IS((int64_t)statistic(client, "sequence_gaps"), 0);
    IS((int64_t)statistic(client, "connections"), 2);
    pulsews_client_free(client);
}

/* What this side leaves behind is counted. */
TEST(what_a_close_finds_in_the_tail_is_counted) {
    server *s = scripted(SCRIPTS("deflate | flood 5000 200 | cut", "accept"));
    pulsews_client *client = connected(s, "ws", QUEUE, "compression=true");
    pulsews_message message;
    int64_t taken = 0;
    await_statistic(client, "connections", 2);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    while (pulsews_recv(client, &message, 0) == PULSEWS_OK) taken += message.kind == PULSEWS_TEXT;
    CHECK(taken > 0 && taken < 5000);
    IS(taken + (int64_t)statistic(client, "received_discarded"), 5000);
    pulsews_client_free(client);
}

/* The way back to the preferred endpoint waits, too, until all of the other one was taken. */
TEST(a_change_of_the_endpoint_takes_nothing_away) {
    server *preferred = scripted(SCRIPTS("accept | text end"));
    tell_server(preferred, "down");
    await_record(preferred, 0, "down", "");
    server *other = scripted(SCRIPTS(FLOOD " | taken"));
    char endpoint[80];
    snprintf(endpoint, sizeof endpoint, "endpoints=%s", url_of(other));
    pulsews_client *client = make_client(port_of(preferred),
                                         OPTIONS(FAST, QUEUE, endpoint, "endpoint_return=100ms", "breaker_failures=0"));
    pulsews_message message;
    int64_t texts = 0;
    IS(pulsews_start(client), PULSEWS_OK);
    await_record(other, 1, "taken", "");
    await_statistic(client, "reading_pauses", 1);
    tell_server(preferred, "up");
    await_record(preferred, 0, "up", "");
    for (;; texts += message.kind == PULSEWS_TEXT) {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        if (message.kind == PULSEWS_TEXT && message.length == 3) break;
        if (texts % 50 == 0) poll(NULL, 0, 30); /* several looks at the preferred one */
    }
    IS(texts, TEXTS);
    IS((int64_t)statistic(client, "received_discarded"), 0);
    pulsews_client_free(client);
}

/* The end has its one event together with what fills the queue: the process did not run meanwhile. */
TEST(the_tail_waits_when_its_end_came_along) {
    char why[PULSEWS_ERROR_SIZE];
    server *s = scripted(SCRIPTS("deflate | go | flood 5000 200 | close 1000 bye | taken | cut", "accept | text end"));
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    const char *const options[] = {"receive_queue_bytes",  "64KiB", "compression", "true",
                                   "reconnect_base_delay", "10ms"};
    for (int i = 0; i < 6; i += 2)
        IS(pulsews_config_set(config, options[i], options[i + 1], why, sizeof why), PULSEWS_OK);
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &client, why, sizeof why), PULSEWS_OK);
    pulsews_config_free(config);
    IS(pulsews_start(client), PULSEWS_OK);
    int64_t end = now_ns() + SHORT;
    while (statistic(client, "connections") < 1 && now_ns() < end)
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(20)), PULSEWS_OK);
    tell_server(s, "go");
    await_record(s, 1, "end", "");
    while (statistic(client, "connections") < 2 && now_ns() < end)
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(20)), PULSEWS_OK);
    IS((int64_t)statistic(client, "connections"), 2);
    struct taken t = {0};
    take_slowly(client, &t, 200);
    IS(t.texts, 5000);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
}

TEST(a_client_with_a_tail_is_freed) {
    size_t first = 0, last = 0;
    for (int i = 0; i < 8; i++) {
        server *s = scripted(SCRIPTS("deflate | flood 1000 16000 | taken | cut", "accept"));
        pulsews_client *client = connected(s, "ws", QUEUE, "compression=true");
        await_statistic(client, "connections", 2);
        pulsews_client_free(client);
        struct mallinfo2 now = mallinfo2();
        last = now.uordblks + now.hblkhd;
        if (i == 1) first = last;
    }
    fprintf(stderr, "%zu bytes after two clients, %zu after eight\n", first, last);
    CHECK(last < first + 400000);
}
