/* SPDX-License-Identifier: Apache-2.0
 *
 * What a full queue of received messages does, and that every message is accounted for. */
#include "feed.h"
#include <poll.h>
#include <stdatomic.h>

#define FAST                                                                                                           \
    "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "compression=false",           \
        "receive_queue_bytes=64KiB", "key_path=s"
enum { LIMIT = 64 << 10, CHUNK = 256 << 10, OVERHEAD = 40 };

/* What a consumer has taken. */
struct taken {
    int64_t data, events;
    int64_t told, tellings;                          /* by events: messages that are gone, and how many events */
    uint64_t sequence;                               /* of the last one */
    int64_t last;                                    /* the n of the last numbered text */
    int64_t last_of[MOST_FEED_KEYS];                 /* and of each key the last u */
    int64_t others;                                  /* texts without a number */
    int64_t bytes;
};

static void take(struct taken *t, const pulsews_message *m) {
    char text[200];
    int key;
    long long u, n;
    snprintf(text, sizeof text, "%.*s", (int)m->length, (const char *)m->data);
    CHECK(m->sequence > t->sequence);
    t->sequence = m->sequence;
    if (m->kind == PULSEWS_EVENT) {
        t->events++;
        if (!strstr(text, "\"event\":\"receive_dropped\"")) return;
        t->tellings++;
        CHECK(json_number(text, "messages") > 0 && json_number(text, "bytes") > 0);
        t->told += (int64_t)json_number(text, "messages");
        CHECK(strstr(text, "\"cause\":\"drop_oldest\"") || strstr(text, "\"cause\":\"conflate\""));
        return;
    }
    t->data++;
    t->bytes += (int64_t)m->length;
    if (sscanf(text, "{\"s\":\"K%d\",\"u\":%lld,\"n\":%lld", &key, &u, &n) != 3) {
        t->others++;
        return;
    }
    CHECK(n > t->last);
    t->last = n;
    if (key < MOST_FEED_KEYS) t->last_of[key] = u;
}

static void start_taking(struct taken *t) {
    memset(t, 0, sizeof *t);
    t->last = -1;
}

/* Takes up to so many; 0 if nothing is there. */
static int32_t take_some(pulsews_client *client, pulsews_batch *batch, struct taken *t, size_t most, int pause) {
    const pulsews_message *messages;
    int32_t count = pulsews_recv_batch(client, batch, most, 0, &messages);
    CHECK(count > 0 || count == PULSEWS_ETIMEOUT);
    if (pause) poll(NULL, 0, pause); /* the batch stays as it is, whatever becomes of the queue */
    for (int32_t i = 0; i < count; i++) take(t, &messages[i]);
    return count > 0 ? count : 0;
}

static void check_counts(const pulsews_client *client, const struct taken *t, int64_t received) {
    int64_t dropped = (int64_t)statistic(client, "receive_dropped"),
            conflated = (int64_t)statistic(client, "receive_conflated");
    fprintf(stderr,
            "received %.0f = taken %lld + dropped %lld "
            "+ conflated %lld; %lld events, last sequence %llu, high %.0f\n",
            statistic(client, "messages_received"), (long long)t->data, (long long)dropped, (long long)conflated,
            (long long)t->events, (unsigned long long)t->sequence, statistic(client, "receive_queue_bytes_high"));
    IS((int64_t)statistic(client, "messages_received"), received);
    IS(t->data + dropped + conflated, received);
    IS((int64_t)statistic(client, "receive_queue_size"), 0);
    IS((int64_t)statistic(client, "receive_queue_bytes"), 0);
    /* Each message that is discarded leaves a hole in the numbers, and nothing else does. */
    IS((int64_t)t->sequence, t->data + t->events + dropped + conflated);
    IS((int64_t)statistic(client, "events_dropped"), 0);
}

/* Takes until the queue is empty and the events have told of everything. */
static void take_all(pulsews_client *client, pulsews_batch *batch, struct taken *t) {
    for (int64_t end = now_ns() + SHORT;;) {
        if (take_some(client, batch, t, 1000, 0) > 0) continue;
        if (t->told == (int64_t)(statistic(client, "receive_dropped") + statistic(client, "receive_conflated"))) return;
        CHECK(now_ns() < end);
        poll(NULL, 0, 1);
    }
}

/* ---- pause ---- */

TEST(pause_loses_nothing) {
    enum { TEXTS = 20000 };
    server *s = scripted(SCRIPTS("accept | numbers count=20000 keys=7 size=100 | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    await_statistic(client, "reading_pauses", 1);
    poll(NULL, 0, 100);
    CHECK(statistic(client, "receive_queue_bytes") < 2 * LIMIT + CHUNK);
    for (int64_t end = now_ns() + SHORT; t.others == 0;) {
        CHECK(now_ns() < end);
        if (take_some(client, batch, &t, 100, 0) == 0) poll(NULL, 0, 1);
    }
    check_counts(client, &t, TEXTS + 1);
    IS(t.last, TEXTS - 1);
    IS(t.data, TEXTS + 1);
    IS(t.tellings, 0);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

/* ---- drop_oldest ---- */

TEST(drop_oldest_keeps_the_newest) {
    enum { TEXTS = 50000 };
    server *s = scripted(SCRIPTS("accept | numbers count=50000 keys=7 size=100"));
    int64_t memory = peak_memory();
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=drop_oldest"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    await_statistic(client, "messages_received", TEXTS);
    CHECK(statistic(client, "receive_queue_bytes") <= 2 * LIMIT);
    CHECK(statistic(client, "receive_dropped") > TEXTS / 2);
    take_all(client, batch, &t);
    check_counts(client, &t, TEXTS);
    IS(t.last, TEXTS - 1);
    CHECK(t.data > 100); /* what fits into the queue */
    IS((int64_t)statistic(client, "receive_conflated"), 0);
    IS((int64_t)statistic(client, "reading_pauses"), 0);
    CHECK(t.tellings >= 1 && statistic(client, "receive_queue_bytes_high") <= 2 * LIMIT + CHUNK);
    CHECK(peak_memory() - memory < 8 << 20);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

/* What is kept is one piece without a hole, the newest. */
TEST(drop_oldest_leaves_no_holes) {
    server *s = scripted(SCRIPTS("accept | numbers count=30000 keys=1 size=300"));
    feed f;
    begin_feed(&f);
    f.is_quiet = 1;
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=drop_oldest"));
    await_statistic(client, "messages_received", 30000);
    for (pulsews_message message; f.last < 29999; take_of_feed(&f, &message))
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    check_feed(&f);
    CHECK(f.texts >= LIMIT / 400 / 2);
    pulsews_client_free(client);
}

/* One that is larger than the queue is kept as well. */
TEST(a_message_larger_than_the_queue) {
    static const char *const policies[] = {"receive_queue_policy=drop_oldest", "receive_queue_policy=conflate",
                                           "receive_queue_policy=pause"};
    for (int i = 0; i < 3; i++) {
        server *s = scripted(SCRIPTS("accept | numbers count=3000 "
                                     "keys=3 size=100 | numbers count=3 keys=3 size=300000 first=3000"));
        pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, policies[i]));
        pulsews_batch *batch = pulsews_batch_create();
        struct taken t;
        start_taking(&t);
        if (i < 2) await_statistic(client, "messages_received", 3003);
        for (int64_t end = now_ns() + SHORT; t.last < 3002; poll(NULL, 0, 1)) {
            CHECK(now_ns() < end);
            while (take_some(client, batch, &t, 100, 0) > 0) {}
        }
        take_all(client, batch, &t);
        check_counts(client, &t, 3003);
        CHECK(t.bytes >= 300000);
        pulsews_batch_free(batch);
        pulsews_client_free(client);
    }
}

/* Events are not dropped: after a flood the application still learns what became of the connection. */
TEST(events_stay_in_a_full_queue) {
    static const char *const policies[] = {"receive_queue_policy=drop_oldest", "receive_queue_policy=conflate"};
    for (int i = 0; i < 2; i++) {
        server *s = scripted(SCRIPTS("accept | numbers count=5000 keys=7 size=100 | cut",
                                     "accept | numbers count=5000 keys=7 size=100 first=5000 | cut",
                                     "accept | numbers count=5000 keys=7 size=100 first=10000"));
        pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, policies[i]));
        await_statistic(client, "messages_received", 15000);
        for (int k = 0; k < 2; k++) {
            EVENT(client, "\"trigger\":\"retry\"");
            EVENT(client, "\"trigger\":\"opened\"");
        }
        IS((int64_t)statistic(client, "events_dropped"), 0);
        pulsews_client_free(client);
    }
}

/* At most ten events a second tell of drops, however many there are. */
TEST(drops_are_told_now_and_then) {
    server *s = scripted(SCRIPTS("accept | feed ms=1 keys=5 burst=20 size=200"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=drop_oldest"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    int64_t begin = now_ns();
    for (int64_t end = begin + PULSEWS_MILLISECONDS(1500); now_ns() < end; poll(NULL, 0, 20))
        take_some(client, batch, &t, 5, 0);
    tell_server(s, "quiet");
    await_record(s, 0, "fed", NULL);
    await_statistic(client, "messages_received", 1);
    take_all(client, batch, &t);
    double seconds = (double)(now_ns() - begin) / 1e9;
    fprintf(stderr, "%lld events in %.1f s tell of %lld messages\n", (long long)t.tellings, seconds, (long long)t.told);
    CHECK(t.tellings >= 2 && (double)t.tellings <= 10 * seconds + 2);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

TEST(drops_without_events) {
    server *s = scripted(SCRIPTS("accept | numbers count=5000 keys=7 size=100"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS("receive_queue_bytes=64KiB", "receive_queue_policy=drop_oldest"));
    pulsews_message message;
    int64_t taken = 0;
    await_statistic(client, "messages_received", 5000);
    for (; pulsews_recv(client, &message, PULSEWS_MILLISECONDS(50)) == PULSEWS_OK; taken++)
        CHECK(message.kind == PULSEWS_TEXT);
    IS(taken + (int64_t)statistic(client, "receive_dropped"), 5000);
    pulsews_client_free(client);
}

/* ---- conflate ---- */

static void expect_last_values(const struct taken *t, int keys, int64_t texts) {
    for (int i = 0; i < keys; i++) IS(t->last_of[i], (texts - 1 - i) / keys);
}

TEST(conflate_keeps_the_latest_of_each_key) {
    enum { TEXTS = 50000, KEYS = 7 };
    server *s = scripted(SCRIPTS("accept | text no key 1 | numbers count=50000 keys=7 size=100 | text no key 2"));
    int64_t memory = peak_memory();
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=conflate"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    await_statistic(client, "messages_received", TEXTS + 2);
    CHECK(statistic(client, "receive_queue_bytes") <= 2 * LIMIT);
    take_all(client, batch, &t);
    check_counts(client, &t, TEXTS + 2);
    expect_last_values(&t, KEYS, TEXTS);
    IS(t.others, 2); /* what has no key is kept */
    IS((int64_t)statistic(client, "receive_dropped"), 0);
    CHECK(statistic(client, "receive_conflated") > TEXTS / 2);
    CHECK(statistic(client, "receive_queue_bytes_high") <= 2 * LIMIT + CHUNK);
    CHECK(peak_memory() - memory < 8 << 20);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

TEST(conflate_keeps_all_while_there_is_room) {
    server *s = scripted(SCRIPTS("accept | numbers count=200 keys=2 size=100"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=conflate"));
    feed f;
    begin_feed(&f);
    await_statistic(client, "messages_received", 200);
    follow_texts(client, &f, 200);
    check_feed(&f);
    IS((int64_t)statistic(client, "receive_conflated"), 0);
    pulsews_client_free(client);
}

/* The order is that of the latest arrivals. One key is quiet, others are not. */
TEST(conflate_keeps_the_order_of_arrival) {
    server *s = scripted(SCRIPTS("accept | text {\"s\":\"quiet\",\"v\":1} | numbers count=20000 keys=3 size=100 | "
                                 "text {\"s\":\"quiet\",\"v\":2} | numbers count=20000 keys=3 size=100 first=20000"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=conflate"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    await_statistic(client, "messages_received", 40002);
    take_all(client, batch, &t); /* looks at the order of n */
    check_counts(client, &t, 40002);
    expect_last_values(&t, 3, 40000);
    CHECK(t.others == 1); /* the second one */
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

/* More keys than there is room for: then the oldest go. */
TEST(conflate_drops_when_the_keys_are_too_many) {
    enum { TEXTS = 20000 };
    server *s = scripted(SCRIPTS("accept | numbers count=20000 keys=5000 size=200"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=conflate"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    await_statistic(client, "messages_received", TEXTS);
    CHECK(statistic(client, "receive_queue_bytes") <= 2 * LIMIT);
    take_all(client, batch, &t);
    check_counts(client, &t, TEXTS);
    IS(t.last, TEXTS - 1);
    CHECK(statistic(client, "receive_dropped") > 1000);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

TEST(conflate_by_two_paths) {
    server *s = scripted(SCRIPTS("accept | text {\"s\":\"A\",\"t\":1,\"v\":1} | text {\"s\":\"A\",\"t\":2,\"v\":1} | "
                                 "numbers count=20000 keys=3 size=100 | text {\"s\":\"A\",\"t\":1,\"v\":2}"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "key_path=t", "receive_queue_policy=conflate"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    await_statistic(client, "messages_received", 20003);
    take_all(client, batch, &t);
    check_counts(client, &t, 20003);
    CHECK(t.others == 2 || t.others == 3); /* 3: the queue was not full again after the last one */
    expect_last_values(&t, 3, 20000);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

/* ---- A consumer that is there, and slow ---- */

static void be_slow(const char *policy, int loses) {
    server *s = scripted(SCRIPTS("accept | feed ms=1 keys=9 burst=30 size=200"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, policy));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    start_taking(&t);
    for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(1500); now_ns() < end;) {
        take_some(client, batch, &t, 16, 2);
        int64_t held = (int64_t)statistic(client, "receive_queue_bytes");
        CHECK(held <= 2 * LIMIT + CHUNK);
    }
    tell_server(s, "quiet");
    int64_t texts = atoll(await_record(s, 0, "fed", NULL)->text);
    for (int64_t end = now_ns() + SHORT; t.last < texts - 1; poll(NULL, 0, 1)) {
        CHECK(now_ns() < end);
        take_some(client, batch, &t, 1000, 0);
    }
    take_all(client, batch, &t);
    check_counts(client, &t, texts);
    expect_last_values(&t, 9, texts);
    CHECK(loses ? t.data < texts : t.data == texts);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

TEST(slow_with_drop_oldest) { be_slow("receive_queue_policy=drop_oldest", 1); }
TEST(slow_with_conflate) { be_slow("receive_queue_policy=conflate", 1); }
TEST(slow_with_pause) { be_slow("receive_queue_policy=pause", 0); }

/* ---- disconnect ---- */

TEST(disconnect_waits_until_half_is_free) {
    server *s = scripted(SCRIPTS("accept | numbers count=20000 keys=3 size=100",
                                 "accept | numbers count=100 keys=3 size=100 first=20000 | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=disconnect"));
    pulsews_batch *batch = pulsews_batch_create();
    struct taken t;
    char why[PULSEWS_ERROR_SIZE] = "";
    start_taking(&t);
    await_statistic(client, "slow_disconnects", 1);
    await_record(s, 1, "close", NULL);
    IS(pulsews_client_state(client), PULSEWS_RECONNECTING);
    IS(pulsews_client_error(client, why, sizeof why), PULSEWS_ESLOW);
    CHECK(strstr(why, "receive_queue"));
    poll(NULL, 0, 300);
    IS(count_records(s, 0, "request", NULL), 1);
    CHECK(statistic(client, "receive_queue_bytes") < 2 * LIMIT + CHUNK);
    /* Half of it is not free yet. */
    while (statistic(client, "receive_queue_bytes") > 3 * LIMIT / 4) CHECK(take_some(client, batch, &t, 5, 0) > 0);
    poll(NULL, 0, 100);
    IS(count_records(s, 0, "request", NULL), 1);
    while (statistic(client, "receive_queue_bytes") > LIMIT / 2) CHECK(take_some(client, batch, &t, 5, 0) > 0);
    await_record(s, 2, "request", NULL);
    int64_t before = 0, first = -1;
    for (int64_t end = now_ns() + SHORT; t.others == 0; poll(NULL, 0, 1)) {
        CHECK(now_ns() < end);
        int64_t data = t.data;
        while (take_some(client, batch, &t, 1, 0) > 0) {
            if (t.data == data) continue;
            data = t.data;
            /* What had been queued is a piece without a hole. */
            if (t.last < 20000) before = t.last;
            else if (first < 0) first = t.last;
        }
    }
    take_all(client, batch, &t);
    fprintf(stderr, "taken to %lld, then from %lld\n", (long long)before, (long long)first);
    IS(first, 20000);
    IS(t.data, before + 1 + 100 + 1);
    check_counts(client, &t, t.data);
    IS((int64_t)statistic(client, "slow_disconnects"), 1);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

TEST(disconnect_is_told) {
    server *s = scripted(SCRIPTS("accept | feed ms=1 keys=3 burst=30 size=100"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=disconnect"));
    for (int i = 1; i <= 3; i++) {
        await_statistic(client, "slow_disconnects", i);
        EVENT(client, "\"event\":\"state\"", "\"state\":\"reconnecting\"", "PULSEWS_ESLOW");
        EVENT(client, "\"trigger\":\"opened\"");
        IS((int64_t)statistic(client, "connections"), i + 1);
    }
    IS((int64_t)(statistic(client, "receive_dropped") + statistic(client, "receive_conflated")), 0);
    pulsews_client_free(client);
}

/* A client that does not come back, or is sent away meanwhile, gives what it has all the same. */
TEST(disconnect_without_reconnect) {
    server *s = scripted(SCRIPTS("accept | numbers count=20000 keys=3 size=100"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "receive_queue_policy=disconnect", "reconnect=false"));
    pulsews_message message;
    feed f;
    int32_t status;
    begin_feed(&f);
    await_statistic(client, "slow_disconnects", 1);
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) take_of_feed(&f, &message);
    IS(status, PULSEWS_ESLOW);
    check_feed(&f);
    IS(f.first, 0);
    IS((int64_t)statistic(client, "messages_received"), f.texts);
    pulsews_client_free(client);
}

TEST(reconnect_while_the_queue_is_full) {
    server *s = scripted(SCRIPTS("accept | numbers count=20000 keys=3 size=100", "accept | text second"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "receive_queue_policy=disconnect"));
    pulsews_message message;
    await_statistic(client, "slow_disconnects", 1);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    do IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    while (message.length != 6 || memcmp(message.data, "second", 6) != 0);
    pulsews_client_free(client);
}

/* Heartbeats that are delivered are messages in the queue as any other. */
TEST(delivered_heartbeats_in_a_full_queue) {
    static const char *const policies[] = {"receive_queue_policy=drop_oldest", "receive_queue_policy=conflate"};
    for (int i = 0; i < 2; i++) {
        server *s = scripted(SCRIPTS("accept | feed ms=1 keys=5 burst=20 size=200"));
        pulsews_client *client = open_client(port_of(s),
                                             OPTIONS(policies[i], "key_path=s", "receive_queue_bytes=64KiB",
                                                     "server_heartbeat={\"s\":\"*\"}", "deliver_heartbeats=true"));
        await_statistic(client, "messages_received", 3000);
        CHECK(statistic(client, "receive_queue_bytes") <= 65536 + 1024);
        CHECK(statistic(client, "receive_dropped") > 1000);
        pulsews_client_free(client);
    }
}
