/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the C interface of hubs: bytes become a sequence of calls with any arguments, and connections that write to the
 * hubs, checked against what the header promises. A program of its own, as fuzz_abi.c:
 *
 *     fuzz_hub FILE...                  runs each file
 *     fuzz_hub --random SECONDS SEED    runs random inputs; a failure prints the input and leaves it in fuzz_hub.input
 *
 * CERTIFICATE and CERTIFICATE_KEY in the environment name files for addresses with TLS. */
#define _GNU_SOURCE
#include <pulsews_hub.h>
#include <sys/eventfd.h>

#include "fuzz_hub_peer.h"
#include "fuzz_input.h"
#include "fuzz_main.h"

enum { HUBS = 3, LOOPS = 2, CLIENTS = 2, MOST_CALLS = 200, NUMBERS = 16, GONE = 64, MOST_STATISTICS = 128 };

typedef struct slot {
    pulsews_hub *hub;
    int is_tangled;     /* another thread publishes too */
    int has_ended;      /* its last event has been */
    double published;   /* by this program */
    uint64_t gone[GONE]; /* peers whose last event has been */
    size_t gone_count;
    double counters[MOST_STATISTICS];
} slot;

static slot slots[HUBS];
static pulsews_loop *loops[LOOPS];
static pulsews_client *clients[CLIENTS];
static uint64_t numbers[NUMBERS]; /* of peers and requests */
static unsigned next_number;
static char large[200 << 10];
static int descriptors_before, threads_before;

/* ---- Looking ---- */

static size_t place_of(const char *name) {
    const char *known = "";
    size_t i = 0;
    while (pulsews_hub_statistic_at(i, &known, NULL, NULL, NULL) == PULSEWS_OK && strcmp(known, name) != 0) i++;
    CHECK(strcmp(known, name) == 0, "no statistic %s", name);
    return i;
}

/* The books of the header, and that a counter only grows. */
static void check_books(slot *s) {
    static size_t offered, written_place, conflated, dropped, queued, published;
    double values[MOST_STATISTICS];
    if (!offered) {
        offered = place_of("messages_offered"), written_place = place_of("messages_written");
        conflated = place_of("messages_conflated"), dropped = place_of("messages_dropped");
        queued = place_of("messages_queued"), published = place_of("messages_published");
    }
    int32_t count = (int32_t)known(pulsews_hub_statistics(s->hub, values, MOST_STATISTICS));
    CHECK(count > 0 && count <= MOST_STATISTICS, "%d statistics", count);
    double sum = values[written_place] + values[conflated] + values[dropped] + values[queued];
    CHECK(values[offered] == sum, "offered %.0f = written %.0f + conflated %.0f + dropped %.0f + queued %.0f",
          values[offered], values[written_place], values[conflated], values[dropped], values[queued]);
    CHECK(values[published] >= s->published, "published %.0f, not %.0f", values[published], s->published);
    for (int32_t i = 0; i < count; i++) {
        const char *name, *type;
        CHECK(pulsews_hub_statistic_at((size_t)i, &name, &type, NULL, NULL) == PULSEWS_OK, "statistic %d", i);
        CHECK(values[i] >= 0, "%s is %f", name, values[i]);
        CHECK(strcmp(type, "counter") != 0 || values[i] >= s->counters[i], "%s falls from %f to %f", name,
              s->counters[i], values[i]);
        s->counters[i] = values[i];
    }
}

static void look(slot *s) {
    static char whole[256 << 10];
    char small[40];
    int64_t (*const texts_of[])(const pulsews_hub *, char *, size_t) = {pulsews_hub_status_json, pulsews_hub_prometheus,
                                                                        pulsews_hub_peers_json};
    for (int i = 0; i < 4; i++) {
        memset(small, 0x5A, sizeof small);
        size_t size = pick(sizeof small);
        char *where = size ? small : NULL;
        int64_t length = i < 3 ? texts_of[i](s->hub, where, size) : pulsews_hub_address(s->hub, pick(4), where, size);
        known(length);
        CHECK(small[size] == 0x5A, "text %d writes behind its %zu bytes", i, size);
        CHECK(length < 0 || !size || memchr(small, 0, size), "text %d is not ended", i);
        if (i == 3 || !s->hub) continue;
        length = texts_of[i](s->hub, whole, sizeof whole);
        CHECK(length > 0 && (length >= (int64_t)sizeof whole || strlen(whole) == (size_t)length), "text %d", i);
    }
    known(pulsews_hub_address(s->hub, SIZE_MAX - byte(), small, sizeof small));
    double values[MOST_STATISTICS];
    memset(values, 0x5A, sizeof values);
    size_t wanted = pick(MOST_STATISTICS);
    int64_t count = known(
        pulsews_hub_statistics(s->hub, pick(8) ? values : NULL, pick(16) ? wanted : SIZE_MAX - wanted));
    (void)count;
    if (s->hub) check_books(s);
}

/* ---- Events ---- */

static size_t read_text(const char *text) {
    CHECK(text != NULL, "an event's text is NULL");
    return strlen(text);
}

static void happened(slot *s, const pulsews_hub_event *event) {
    uint64_t sum = 0;
    CHECK(!s->has_ended, "event %u behind the last one", event->kind);
    CHECK(event->kind >= PULSEWS_HUB_CONNECTED && event->kind <= PULSEWS_HUB_DRAINED, "event %u", event->kind);
    CHECK(event->time_ns > 0 && event->reserved[0] == 0 && event->reserved[1] == 0, "event %u", event->kind);
    sum += read_text(event->address) + read_text(event->route) + read_text(event->target) + read_text(event->method);
    sum += read_text(event->headers) + read_text(event->topic) + read_text(event->text);
    CHECK(event->length == 0 || event->data != NULL, "%zu bytes at NULL", event->length);
    for (size_t i = 0; i < event->length; i++) sum += ((const uint8_t *)event->data)[i];
    CHECK(sum < UINT64_MAX, "%zu bytes", event->length);
    if (event->peer) numbers[next_number++ % NUMBERS] = event->peer;
    if (event->request) numbers[next_number++ % NUMBERS] = event->request;
    for (size_t i = 0; event->peer && i < s->gone_count && i < GONE; i++)
        CHECK(s->gone[i] != event->peer, "event %u of a peer that was closed", event->kind);
    if (event->kind == PULSEWS_HUB_CLOSED) s->gone[s->gone_count++ % GONE] = event->peer;
    s->has_ended = event->kind == PULSEWS_HUB_DRAINED;
}

static void answer_any(slot *s, uint64_t request) {
    static const int32_t statuses[] = {101, 101, 200, 204, 304, 401,       403,      599,
                                       600, 199, 100, 0,   -1,  INT32_MAX, INT32_MIN};
    int32_t status = ANY(statuses);
    const char *header = pick(2) ? NULL : TEXT_OF(answers);
    unsigned how = byte();
    size_t length = how == 255 ? SIZE_MAX : how == 254 ? (size_t)1 << 63 : how == 253 ? sizeof large : pick(300);
    int64_t result = known(pulsews_hub_answer(s->hub, request, status, header, how == 252 ? NULL : large, length));
    CHECK(result <= 0, "status %lld", (long long)result);
    CHECK(result < 0 || length <= sizeof large, "a body of %zu bytes", length);
    CHECK(result < 0 || status == 101 || (status >= 200 && status <= 599), "status %d", status);
}

static void fetch(slot *s) {
    static const size_t capacities[] = {64, 64, 64, 1, 2, 0};
    pulsews_hub_event events[64];
    size_t capacity = ANY(capacities);
    int32_t count = (int32_t)known(pulsews_hub_next(s->hub, pick(16) == 15 ? NULL : events, capacity, brief()));
    CHECK(count != 0 && (count < 0 || (size_t)count <= capacity), "%d events of %zu", count, capacity);
    CHECK(count != PULSEWS_OK, "no events");
    for (int32_t i = 0; i < count; i++) happened(s, &events[i]);
    for (int32_t i = 0; i < count; i++)
        if (events[i].request && pick(4)) answer_any(s, events[i].request);
}

static uint64_t any_number(void) {
    unsigned how = byte();
    if (how < 200) return numbers[how % NUMBERS];
    if (how < 220) return (uint64_t)1 << 32 | pick(3);          /* the first peers of the first loop */
    if (how < 230) return (uint64_t)byte() << 56 | byte() << 4; /* of no loop */
    return how < 240 ? UINT64_MAX : how < 250 ? pick(3) : (uint64_t)pick(3) << 26;
}

/* ---- Setting up ---- */

static void set_any(slot *s) {
    sentence *e;
    for (unsigned count = pick(6) + 1; count; count--) {
        const char *name, *where, *value = TEXT_OF(values);
        switch (pick(4)) {
        case 0:
        case 1:
            name = TEXT_OF(hub_names), e = fresh(), judged(pulsews_hub_set(s->hub, name, value, e->text, e->size), e);
            break;
        case 2:
            name = pick(8) ? TEXT_OF(route_names) : NULL, where = TEXT_OF(targets), e = fresh();
            judged(pulsews_hub_route(s->hub, where, name, value, e->text, e->size), e);
            break;
        default:
            name = pick(8) ? TEXT_OF(topic_names) : NULL, where = TEXT_OF(topics), e = fresh();
            judged(pulsews_hub_topic(s->hub, where, name, value, e->text, e->size), e);
        }
    }
}

static void add_key(slot *s) {
    const char *name = TEXT_OF(values), *algorithm = TEXT_OF(algorithms), *key = TEXT_OF(keys);
    unsigned how = byte();
    size_t length = how == 255 ? SIZE_MAX : how == 254 ? (size_t)1 << 40 : how == 253 ? 0 : key ? strlen(key) : 0;
    sentence *e = fresh();
    judged(pulsews_hub_key(s->hub, name, algorithm, key, length, e->text, e->size), e);
}

static void listen_any(slot *s) {
    const char *address = TEXT_OF(addresses);
    sentence *e = fresh();
    judged(pulsews_hub_listen(s->hub, address, e->text, e->size), e);
}

static void create(slot *s, pulsews_loop *loop) {
    if (s->hub) return;
    sentence *e = fresh();
    pulsews_hub *made = (pulsews_hub *)large;
    int64_t status = judged(pulsews_hub_create(loop, &made, e->text, e->size), e);
    CHECK((status == 0) == (made != NULL), "status %lld", (long long)status);
    memset(s, 0, sizeof *s);
    s->hub = made;
}

static void start(slot *s) {
    sentence *e = fresh();
    judged(pulsews_hub_start(s->hub, e->text, e->size), e);
}

/* What most hubs have; what the input sets comes besides. */
static void set_up(slot *s) {
    static const char *const kinds[] = {"connected", "closed",     "message",      "subscribe", "unsubscribe",
                                        "slow",      "topic_idle", "http_request", "drained"};
    static const char *const policies[] = {"drop_oldest", "conflate", "disconnect"};
    static const char *const patterns[][3] = {{"**", "history", "20"},       {"latest.*", "latest", "true"},
                                              {"latest.*", "conflate", "s"}, {"binary.*", "binary", "true"},
                                              {"flush.*", "flush", "2ms"},   {"slow.*", "stale_after", "10ms"}};
    pulsews_hub *hub = s->hub;
    pulsews_hub_listen(hub, "127.0.0.1:0", NULL, 0);
    if (getenv("CERTIFICATE")) {
        pulsews_hub_set(hub, "certificate", getenv("CERTIFICATE"), NULL, 0);
        pulsews_hub_set(hub, "certificate_key", getenv("CERTIFICATE_KEY"), NULL, 0);
        if (pick(4) == 3) pulsews_hub_listen(hub, "wss://127.0.0.1:0", NULL, 0);
    }
    for (unsigned i = 0; i < COUNT(kinds); i++)
        if (pick(3)) pulsews_hub_set(hub, "events", kinds[i], NULL, 0);
    if (pick(8) == 7) pulsews_hub_set(hub, "events", "authorize", NULL, 0);
    pulsews_hub_set(hub, "slow_policy", ANY(policies), NULL, 0);
    if (pick(2)) pulsews_hub_set(hub, "queue_messages", pick(2) ? "3" : "20", NULL, 0);
    if (pick(4) == 3) pulsews_hub_set(hub, "queue_bytes", "4KiB", NULL, 0);
    if (pick(4) == 3) pulsews_hub_set(hub, "loops", "3", NULL, 0);
    if (pick(4) == 3) pulsews_hub_set(hub, "event_queue_messages", "2", NULL, 0);
    if (pick(4) == 3) pulsews_hub_set(hub, "heartbeat", "10ms", NULL, 0);
    if (pick(8) == 7) pulsews_hub_set(hub, "auth", pick(2) ? "optional" : "required", NULL, 0);
    if (pick(4) == 3) pulsews_hub_key(hub, "main", "HS256", keys[0], strlen(keys[0]), NULL, 0);
    pulsews_hub_set(hub, "publish_token", "secret", NULL, 0);
    pulsews_hub_set(hub, "origin", "http://h", NULL, 0);
    pulsews_hub_set(hub, "request_timeout", "20ms", NULL, 0);
    for (unsigned i = 0; i < 6; i++)
        if (pick(8)) pulsews_hub_topic(hub, patterns[i][0], patterns[i][1], patterns[i][2], NULL, 0);
    pulsews_hub_route(hub, "/app/", "kind", "application", NULL, 0);
    pulsews_hub_route(hub, "/files/", "kind", "static", NULL, 0);
    pulsews_hub_route(hub, "/files/", "folder", ".", NULL, 0);
    pulsews_hub_route(hub, "/ws/stream", "heartbeat_message", "10ms", NULL, 0);
    pulsews_hub_route(hub, "/plain", "protocol", "plain", NULL, 0);
}

/* ---- Publishing ---- */

static const void *any_data(size_t *length) {
    unsigned how = byte();
    const char *body = ANY(bodies);
    *length = strlen(body);
    if (how < 200) return body;
    if (how < 230) return *length = sizeof large - pick(3), large; /* a string of JSON, or the half of one */
    if (how < 240) return *length = (size_t)byte() << 55, body;
    if (how == 240) *length = SIZE_MAX;
    return how == 241 ? NULL : body;
}

/* Mostly one that has subscribers. */
static const char *any_topic(void) { return pick(3) ? topics[pick(7)] : TEXT_OF(topics); }

static void publish_any(slot *s) {
    const char *topic = any_topic(), *key = pick(2) ? NULL : TEXT_OF(values);
    size_t length;
    const void *data = any_data(&length);
    if (length > sizeof large && length <= INT64_MAX) return; /* that much is read */
    uint64_t offset = 0;
    int64_t status = known(pulsews_hub_publish(s->hub, topic, key, data, length, pick(8) ? &offset : NULL));
    CHECK(status <= 0, "status %lld", (long long)status);
    CHECK(status == 0 || offset == 0, "offset %llu of nothing", (unsigned long long)offset);
    if (status == 0) s->published++;
}

static void publish_many(slot *s, int is_load) {
    static const size_t counts[] = {8, 8, 3, 1, 0, SIZE_MAX, (size_t)1 << 63};
    pulsews_hub_publication all[8];
    size_t count = ANY(counts);
    for (unsigned i = 0; i < 8; i++) {
        size_t length = 1;
        const void *data = pick(4) ? "1" : any_data(&length);
        if (length > sizeof large && length <= INT64_MAX) length = 0;
        int64_t when = pick(8) ? byte() : pick(2) ? INT64_MAX : INT64_MIN;
        all[i] = (pulsews_hub_publication){.topic = ANY(topics),
                                           .key = pick(2) ? NULL : ANY(values),
                                           .data = data,
                                           .length = length,
                                           .offset = pick(4)   ? 0
                                                     : pick(8) ? byte()
                                                               : UINT64_MAX - pick(2),
                                           .exchange_ns = when,
                                           .received_ns = -when,
                                           .published_ns = when};
    }
    const pulsews_hub_publication *where = pick(32) == 31 ? NULL : all;
    if (is_load) {
        int64_t status = known(pulsews_hub_load(s->hub, TEXT_OF(topics), where, count));
        CHECK(status <= 0, "status %lld", (long long)status);
        return;
    }
    int64_t taken = known(pulsews_hub_publish_batch(s->hub, where, count));
    CHECK(taken <= 8, "%lld taken", (long long)taken);
    if (taken > 0) s->published += (double)taken;
}

static void set_state(slot *s) {
    static const int32_t states[] = {0, 1, 2, 3, 4, 5, 6, -1, 255, 256, INT32_MAX, INT32_MIN};
    const char *topic = TEXT_OF(topics), *cause = pick(2) ? NULL : TEXT_OF(values);
    int32_t state = ANY(states);
    CHECK(known(pulsews_hub_topic_state(s->hub, topic, state, cause)) < 0 || (state >= 0 && state <= 5), "state %d",
          state);
    /* Whether or not somebody has made it; written no further than it may be. */
    char shown[200];
    size_t size = pick(sizeof shown);
    memset(shown, 0x5A, sizeof shown);
    int64_t length = known(pulsews_hub_topic_json(s->hub, topic, size ? shown : NULL, size));
    CHECK(shown[size] == 0x5A && (length < 0 || !size || memchr(shown, 0, size)), "a topic of %lld bytes",
          (long long)length);
}

/* ---- Peers ---- */

static void tell_peer(slot *s) {
    static const uint32_t kinds[] = {PULSEWS_TEXT, PULSEWS_TEXT, PULSEWS_BINARY, PULSEWS_PING, 0, UINT32_MAX};
    static const int32_t codes[] = {1000, 1001, 3000, 4999,         0,  1005,     1006,
                                    1015, 2999, 5000, 65536 + 1000, -1, INT32_MIN};
    uint64_t peer = any_number();
    const char *reason = pick(2) ? NULL : TEXT_OF(values), *topic = any_topic();
    size_t length;
    const void *data;
    int32_t code;
    switch (pick(5)) {
    case 0:
        data = any_data(&length);
        if (length > sizeof large && length <= INT64_MAX) return;
        known(pulsews_hub_send(s->hub, pick(4) ? peer : 0, ANY(kinds), data, length));
        break;
    case 1:
        code = ANY(codes);
        CHECK(known(pulsews_hub_close_peer(s->hub, peer, code, reason)) < 0 || (code >= 1000 && code <= 4999),
              "code %d", code);
        break;
    case 2: known(pulsews_hub_subscribe(s->hub, peer, topic)); break;
    case 3: known(pulsews_hub_unsubscribe(s->hub, peer, topic)); break;
    default: answer_any(s, peer);
    }
}

/* Descriptors of every kind. One that was refused is still ours. */
static void adopt_any(slot *s) {
    int pair[2] = {-1, -1}, given, mine = -1;
    switch (pick(10)) {
    case 0: given = (int)pick(2) - 2; break;
    case 1: given = INT32_MAX - (int)pick(2); break;
    case 2: given = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); break;
    case 3: given = eventfd(0, EFD_CLOEXEC); break;
    case 4: given = open("/dev/null", O_RDWR | O_CLOEXEC); break;
    case 5: given = socket(pick(2) ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); break; /* not connected */
    case 6: bind_port(1, &given); break;                                                       /* listens */
    default:
        if (socketpair(AF_UNIX, (pick(8) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0, pair) != 0) abort();
        given = pair[0], mine = pair[1];
        if (pick(8) == 7) drop_connection(&mine);
    }
    compose(1);
    unsigned how = byte();
    size_t length = how == 255 ? SIZE_MAX : how == 254 ? (size_t)1 << 63 : written;
    int64_t status = known(pulsews_hub_adopt(s->hub, given, how == 253 ? NULL : writing, length));
    CHECK(status <= 0, "status %lld", (long long)status);
    if (status != 0 && given >= 0) {
        CHECK(given >= INT32_MAX - 1 || close(given) == 0, "the hub has closed a descriptor that it refused");
        drop_connection(&mine);
    }
    if (mine < 0) return;
    int *place = &connections[pick(CONNECTIONS)];
    drop_connection(place);
    *place = mine;
}

static void connect_any(slot *s) {
    char address[128];
    int *connection = &connections[pick(CONNECTIONS)], is_new = *connection < 0;
    if (is_new && s->hub && pulsews_hub_address(s->hub, pick(8) ? 0 : pick(3), address, sizeof address) > 0) {
        address[sizeof address - 1] = 0;
        *connection = connect_to(address);
    }
    for (unsigned count = pick(4) + 1; count; count--, is_new = 0) use_connection(connection, is_new);
    if (pick(2)) fetch(s);
}

/* A client of this library, for the state that takes whole handshakes, compression and TLS. */
static void use_client(slot *s) {
    char address[128], where[200];
    pulsews_client **client = &clients[pick(CLIENTS)];
    pulsews_message message;
    if (*client && pick(8) == 7) pulsews_client_free(*client), *client = NULL;
    unsigned place = pick(2);
    if (!*client && s->hub && pulsews_hub_address(s->hub, place, address, sizeof address) > 0 &&
        strncmp(address, "unix", 4)) {
        pulsews_config *config = pulsews_config_create();
        if (pick(4)) pulsews_config_set(config, "subprotocols", "pulse.v1", NULL, 0);
        pulsews_config_set(config, "verify", "false", NULL, 0);
        pulsews_config_set(config, "reconnect", "false", NULL, 0);
        pulsews_config_set(config, "host_connect_rate", "100000/s", NULL, 0);
        snprintf(where, sizeof where, "%s://%s%s", place ? "wss" : "ws", address, targets[pick(3)]);
        pulsews_client_create(where, config, NULL, client, NULL, 0);
        pulsews_config_free(config);
        known(pulsews_open(*client, 20000000, NULL, 0));
    }
    if (!*client) return;
    for (unsigned count = pick(6); count; count--) {
        const char *saying = ANY(sayings);
        known(pulsews_send(*client, pick(4) ? PULSEWS_TEXT : PULSEWS_BINARY, saying, strlen(saying), brief()));
    }
    for (unsigned count = pick(40); count && pulsews_recv(*client, &message, brief()) == PULSEWS_OK; count--) {}
}

/* ---- Several threads ---- */

typedef struct other {
    slot *s;
    unsigned what;
} other;

/* What any thread may call at any time. */
static void *meddle(void *argument) {
    const other *o = argument;
    pulsews_hub *hub = o->s->hub;
    char text[4096];
    double values[MOST_STATISTICS];
    for (unsigned i = 0; i < 24; i++) switch ((o->what + i) % 14) {
        case 0: known(pulsews_hub_publish(hub, "t", NULL, "{\"s\":1}", 7, NULL)); break;
        case 1: known(pulsews_hub_send(hub, 0, PULSEWS_TEXT, "\"x\"", 3)); break;
        case 2: known(pulsews_hub_status_json(hub, text, sizeof text)); break;
        case 3: known(pulsews_hub_peers_json(hub, text, sizeof text)); break;
        case 4: known(pulsews_hub_statistics(hub, values, MOST_STATISTICS)); break;
        case 5: known(pulsews_hub_subscribe(hub, numbers[i % NUMBERS], "latest.x")); break;
        case 6: known(pulsews_hub_unsubscribe(hub, numbers[i % NUMBERS], "t")); break;
        case 7: known(pulsews_hub_topic_state(hub, "t", (int32_t)i % 6, "side")); break;
        case 8: known(pulsews_hub_start(hub, NULL, 0)); break;
        case 9: known(pulsews_hub_prometheus(hub, text, sizeof text)); break;
        case 10: known(pulsews_hub_reload(hub, NULL, 0)); break;
        case 11: known(pulsews_hub_publish(hub, "latest.x", "k", "[2]", 3, NULL)); break;
        case 12: known(pulsews_hub_topic_json(hub, i % 2 ? "latest.x" : "t", text, sizeof text)); break;
        default:
            if (o->what > 200) known(pulsews_hub_drain(hub, 1000000, 100000));
            else if (o->what > 100) known(pulsews_hub_close_peer(hub, numbers[i % NUMBERS], 1000, "side"));
            else known(pulsews_hub_address(hub, 0, text, sizeof text));
        }
    return NULL;
}

static void two_threads(slot *s) {
    if (!s->hub) return;
    pthread_t thread;
    other o = {s, byte()};
    s->is_tangled = 1;
    if (pthread_create(&thread, NULL, meddle, &o) != 0) abort();
    for (unsigned i = 0; i < 8; i++) {
        unsigned what = pick(7);
        if (what == 0) publish_any(s);
        if (what == 1) fetch(s);
        if (what == 2) look(s);
        if (what == 3) connect_any(s);
        if (what == 4) tell_peer(s);
        if (what == 5) set_any(s);
        if (what == 6) start(s);
    }
    pthread_join(thread, NULL);
}

/* ---- Calls ---- */

static void free_hub(slot *s) {
    pulsews_hub_free(s->hub);
    memset(s, 0, sizeof *s);
}

static void drain_any(slot *s) {
    static const int64_t spreads[] = {-1, 0, 0, 1000, 5000000, INT64_MAX, INT64_MIN};
    known(pulsews_hub_drain(s->hub, ANY(spreads), brief()));
}

static void wake_any(slot *s) {
    int64_t descriptor = known(pulsews_hub_wake_fd(s->hub));
    struct pollfd wait = {.fd = (int)descriptor, .events = POLLIN};
    if (descriptor >= 0) poll(&wait, 1, (int)pick(3));
}

static void use_loop(void) {
    pulsews_loop **loop = &loops[pick(LOOPS)];
    sentence *e = fresh();
    if (!*loop) judged(pulsews_loop_create(pick(2), loop, e->text, e->size), e);
    for (unsigned count = pick(8); count; count--) known(pulsews_loop_run_once(*loop, brief()));
}

/* A client of a hub feeds a hub, also the one that it is a peer of. */
static void feed_any(void) {
    static const char *const maps[] = {"rule=a\nmatch={\"type\":\"*\"}\ntopic=t\nkey=${type}\npublish=${type|lower}",
                                       "rule=a\ntopic=latest.${topic}\npublish={\"s\":${o},\"t\":${received|rfc3339}}",
                                       "rule=a\neach=$\ntopic=${[0]}\npublish=1",
                                       "kraken",
                                       "okx",
                                       "nothing",
                                       "",
                                       "rule=a\ntopic=${x|strip(}",
                                       "rule=\xFF\ntopic=\x01"};
    slot *s = &slots[pick(HUBS)];
    sentence *e = fresh();
    const char *map = TEXT_OF(maps);
    judged(pulsews_hub_feed(s->hub, clients[pick(CLIENTS)], map, e->text, e->size), e);
    s->is_tangled = 1;
}

static void odd_calls(void) {
    const char *texts_of[6];
    size_t index = pick(2) ? byte() : SIZE_MAX - byte();
    switch (pick(9)) {
    case 6: known(pulsews_hub_map_at(index, texts_of, texts_of + 1, texts_of + 2)); break;
    case 7: known(pulsews_hub_map_at(index, NULL, NULL, NULL)); break;
    case 8: feed_any(); break;
    case 0: pulsews_hub_free(NULL); break;
    case 1: known(pulsews_hub_create(NULL, NULL, NULL, 0)); break;
    case 2:
        known(pulsews_hub_option_at(index, texts_of, texts_of + 1, texts_of + 2, texts_of + 3, texts_of + 4));
        break;
    case 3: known(pulsews_hub_option_at(index, NULL, NULL, NULL, NULL, NULL)); break;
    case 4: known(pulsews_hub_statistic_at(index, texts_of, texts_of + 1, texts_of + 2, texts_of + 3)); break;
    default: known(pulsews_hub_statistic_at(index, NULL, NULL, NULL, NULL));
    }
}

/* A hub, mostly one that serves. */
static void begin(slot *s) {
    if (s->hub) return;
    create(s, pick(3) == 2 ? loops[pick(LOOPS)] : NULL);
    if (pick(8)) set_up(s);
    if (pick(4) == 3) set_any(s);
    if (pick(4) == 3) publish_many(s, 1);
    if (pick(8)) start(s);
}

static void call(void) {
    slot *s = &slots[pick(2) ? 0 : pick(HUBS)];
    sentence *e;
    switch (pick(32)) {
    case 0:
    case 1: begin(s); break;
    case 2: use_client(s); break;
    case 3: set_any(s); break;
    case 4: add_key(s); break;
    case 5: listen_any(s); break;
    case 6: start(s); break;
    case 7: publish_many(s, 1); break;
    case 8:
    case 9: publish_any(s); break;
    case 10:
        for (unsigned count = byte(); count; count--) publish_any(s);
        break;
    case 11: publish_many(s, 0); break;
    case 12: set_state(s); break;
    case 13:
    case 14: tell_peer(s); break;
    case 15: adopt_any(s); break;
    case 16:
    case 17:
    case 18:
    case 19:
    case 20: connect_any(s); break;
    case 21:
    case 22: fetch(s); break;
    case 23: look(s); break;
    case 24: use_client(s); break;
    case 25: two_threads(s); break;
    case 26:
        if (pick(4) == 3) drain_any(s);
        break;
    case 27:
        if (pick(3) == 2) free_hub(s);
        break;
    case 28: use_loop(); break;
    case 29: wake_any(s); break;
    case 30: e = fresh(), judged(pulsews_hub_reload(s->hub, e->text, e->size), e); break;
    default: odd_calls();
    }
}

static void run(const uint8_t *bytes, size_t size) {
    input = bytes, input_size = size, input_used = 0;
    alarm(30);
    for (int i = 0; i < CONNECTIONS; i++) connections[i] = -1;
    for (unsigned i = 0; i < NUMBERS; i++) numbers[i] = (uint64_t)1 << 32 | i; /* the first peers */
    next_number = 0;
    begin(&slots[0]);
    for (int i = 0; i < MOST_CALLS && input_used < input_size; i++) call();
    for (int i = 0; i < HUBS; i++) look(&slots[i]);
    for (int i = 0; i < HUBS; i++) free_hub(&slots[i]);
    for (int i = 0; i < CLIENTS; i++) pulsews_client_free(clients[i]), clients[i] = NULL;
    for (int i = 0; i < LOOPS; i++) pulsews_loop_free(loops[i]), loops[i] = NULL;
    for (int i = 0; i < CONNECTIONS; i++)
        if (connections[i] >= 0) await_its_end(connections[i]), drop_connection(&connections[i]);
    await_end(descriptors_before, threads_before);
    alarm(0);
}

/* The default loop of the clients stays once it is there. */
static void warm_up(void) {
    pulsews_client *client;
    if (pulsews_client_create("ws://127.0.0.1:1/", NULL, NULL, &client, NULL, 0) != PULSEWS_OK) abort();
    pulsews_client_free(client);
    descriptors_before = entries("/proc/self/fd"), threads_before = entries("/proc/self/task");
}

int main(int argc, char **argv) {
    memset(large, 'a', sizeof large);
    large[0] = large[sizeof large - 1] = '"';
    warm_up();
    return fuzz(argc, argv, run);
}
