/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the C interface: bytes become a sequence of calls with any arguments, checked against what the header
 * promises. A program of its own, the same for the same input but for the order in which threads run:
 *
 *     fuzz_abi FILE...                  runs each file
 *     fuzz_abi --random SECONDS SEED    runs random inputs; a failure prints the input and leaves it in fuzz_abi.input
 */
#define _GNU_SOURCE
#include <pulsews.h>

#include "fuzz_input.h"
#include "fuzz_main.h"

enum { CLIENTS = 4, LOOPS = 2, CONFIGS = 2, BATCHES = 2, MOST_CALLS = 200, PENDING = 1024 };

typedef struct slot {
    pulsews_client *client;
    int echoes;       /* what it sends comes back */
    int is_tangled;   /* another thread has sent or received: no order to compare */
    int is_strange;   /* it sends or keeps messages by itself, or out of order: no contents to compare */
    uint64_t skipped; /* messages that did not come back while later ones did */
    uint64_t sequence;
    uint64_t sent[PENDING]; /* of messages that have not come back */
    size_t first, count;
} slot;

static slot slots[CLIENTS];
static pulsews_loop *loops[LOOPS];
static pulsews_config *configs[CONFIGS], *quick;
static pulsews_batch *batches[BATCHES];
static unsigned char block[300 << 10];

/* ---- Calls ---- */

static uint64_t hash(uint64_t kind, const void *data, size_t length) {
    uint64_t h = 1469598103934665603u ^ kind;
    for (size_t i = 0; i < length; i++) h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    return h ^ length;
}

static size_t place_of(const char *name) {
    const char *known = "";
    size_t i = 0;
    while (pulsews_statistic_at(i, &known, NULL, NULL, NULL) == PULSEWS_OK && strcmp(known, name) != 0) i++;
    CHECK(strcmp(known, name) == 0, "no statistic %s", name);
    return i;
}

static double statistic(const slot *s, const char *name) {
    double values[128];
    CHECK(pulsews_statistics(s->client, values, 128) > 0, "no statistics");
    return values[place_of(name)];
}

static void arrived(slot *s, const pulsews_message *m) {
    CHECK(m->data != NULL && m->length <= 1 << 30, "length %zu", m->length);
    CHECK(m->kind == PULSEWS_TEXT || m->kind == PULSEWS_BINARY || m->kind == PULSEWS_EVENT, "kind %u", m->kind);
    CHECK(m->flags <= 3 && m->received_ns > 0, "flags %u", m->flags);
    uint64_t content = hash(m->kind, m->data, m->length); /* reads every byte */
    if (s->is_tangled) return;
    CHECK(m->sequence == ++s->sequence, "sequence %llu", (unsigned long long)m->sequence);
    if (m->kind == PULSEWS_EVENT || !s->echoes || s->is_strange) return;
    for (; s->count > 0; s->first++, s->count--, s->skipped++)
        if (s->sent[s->first % PENDING] == content) break;
    CHECK(s->count > 0, "%zu bytes that nobody sent, or that came twice or out of order", m->length);
    s->first++, s->count--;
    /* Each message that did not come back is accounted for, unless it was on its way when a connection ended. */
    if (s->skipped > 0 && statistic(s, "connections") < 2)
        CHECK((double)s->skipped <=
                  statistic(s, "messages_dropped") + statistic(s, "messages_expired") + statistic(s, "messages_failed"),
              "%llu messages are missing", (unsigned long long)s->skipped);
}

static void send_any(slot *s, int from_thread) {
    static const uint32_t kinds[] = {PULSEWS_TEXT, PULSEWS_BINARY, PULSEWS_BINARY, PULSEWS_PING, PULSEWS_PONG, 0, 8,
                                     256};
    static const size_t lengths[] = {0, 1, 5, 125, 126, 127, 4000, 65535, 65536, sizeof block - 256};
    uint32_t kind = kinds[pick(8)];
    size_t length = pick(4) ? pick(200) : lengths[pick(10)];
    const unsigned char *data = block + pick(256);
    unsigned how = byte();
    if (how == 255) length = SIZE_MAX;
    if (how == 254) length = ((size_t)1 << 62) + 1;
    if (how == 253) data = NULL;
    if (s->count == PENDING) return;
    int64_t status = known(pulsews_send(s->client, kind, data, length, brief()));
    CHECK(status <= 0, "status %lld", (long long)status);
    if (length > (size_t)1 << 62) CHECK(status < 0, "a length of %zu", length);
    if (status != 0 || from_thread || (kind != PULSEWS_TEXT && kind != PULSEWS_BINARY)) return;
    s->sent[(s->first + s->count++) % PENDING] = hash(kind, data, length);
}

static void receive_any(slot *s) {
    pulsews_message message;
    memset(&message, 0, sizeof message);
    pulsews_message *where = pick(32) == 31 ? NULL : &message;
    int64_t status = known(pulsews_recv(s->client, where, brief()));
    CHECK(status <= 0, "status %lld", (long long)status);
    if (status == 0) arrived(s, &message);
}

static void receive_batch(slot *s) {
    static const size_t counts[] = {1, 2, 16, 256, SIZE_MAX, 0};
    size_t most = counts[pick(6)];
    pulsews_batch *batch = batches[pick(BATCHES)];
    const pulsews_message *list = (const pulsews_message *)&list;
    const pulsews_message **where = pick(32) == 31 ? NULL : &list;
    int32_t count = (int32_t)known(pulsews_recv_batch(s->client, batch, most, brief(), where));
    CHECK(count != 0 && (count < 0 || (size_t)count <= most), "count %d of %zu", count, most);
    if (count < 0) return;
    const char *next = list->data;
    for (int32_t i = 0; i < count; i++) {
        CHECK(list[i].data == next, "a gap before message %d", i); /* one block */
        next += list[i].length;
        arrived(s, &list[i]);
    }
    CHECK(pulsews_batch_traits(batch) >= 0, "traits");
}

static int64_t number(const char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    CHECK(at != NULL, "no %s in %s", key, json);
    return strtoll(at + strlen(quoted), NULL, 10);
}

static void look(slot *s) {
    char buffer[32768], small[40];
    sentence *e = fresh();
    judged(pulsews_client_error(s->client, e->text, e->size), e);
    int64_t state = known(pulsews_client_state(s->client));
    CHECK(state <= PULSEWS_ERROR, "state %lld", (long long)state);
    int64_t code = known(pulsews_close_code(s->client));
    CHECK(code <= 4999, "close code %lld", (long long)code);
    known(pulsews_handshake_status(s->client));
    known(pulsews_client_retryable(s->client));
    int64_t (*const texts_of[])(const pulsews_client *, char *,
                                size_t) = {pulsews_close_reason, pulsews_handshake_headers, pulsews_handshake_body,
                                           pulsews_subprotocol,  pulsews_status_json,       pulsews_server_message};
    for (int i = 0; i < 6; i++) {
        memset(small, 0x5A, sizeof small);
        size_t size = pick(sizeof small);
        int64_t whole = known(texts_of[i](s->client, size ? small : NULL, size));
        CHECK(small[size] == 0x5A, "text %d writes behind its %zu bytes", i, size);
        if (whole >= 0 && size) CHECK(memchr(small, 0, size) || i == 2, "text %d is not ended", i);
    }
    memset(small, 0x5A, sizeof small);
    size_t room = pick(sizeof small);
    known(pulsews_prometheus(pick(2) ? s->client : NULL, room ? small : NULL, room));
    CHECK(small[room] == 0x5A, "the text writes behind its %zu bytes", room);
    if (pulsews_status_json(s->client, buffer, sizeof buffer) < 0) return;
    static const char *const fates[] = {"messages_sent", "messages_dropped", "messages_expired", "messages_failed",
                                        "queue_size"};
    char *stats = strstr(buffer, "\"stats\":");
    CHECK(stats != NULL, "%s", buffer);
    int64_t accepted = number(stats, "messages_accepted"), sum = 0;
    for (int i = 0; i < 5; i++) sum += number(stats, fates[i]);
    CHECK(accepted == sum, "%s", buffer);
    double values[128];
    memset(values, 0x5A, sizeof values);
    size_t wanted = pick(128);
    int64_t count = known(pulsews_statistics(s->client, pick(8) ? values : NULL, wanted));
    CHECK(count > 50 && count < 128, "%lld statistics", (long long)count);
    uint8_t *behind = (uint8_t *)&values[wanted];
    CHECK(wanted == 128 || (behind[0] == 0x5A && behind[7] == 0x5A), "behind %zu statistics", wanted);
}

static void wake_any(slot *s) {
    int64_t descriptor = known(pulsews_wake_fd(s->client));
    if (descriptor >= 0) {
        struct pollfd wait = {.fd = (int)descriptor, .events = POLLIN};
        poll(&wait, 1, (int)pick(3));
    }
    if (pick(2)) known(pulsews_wake_clear(s->client));
}

static void close_any(slot *s) {
    static const int32_t codes[] = {1000, 0,    1001, 3000, 4999,      1005,      1006,
                                    1015, 2999, 5000, -1,   INT32_MAX, INT32_MIN, 999};
    int32_t code = codes[pick(sizeof codes / sizeof *codes)];
    const char *reason = pick(2) ? text() : NULL;
    int64_t time = brief(), status = known(pulsews_close(s->client, code, reason, time));
    CHECK(status <= 0, "status %lld", (long long)status);
    pulsews_message message;
    if (status == PULSEWS_OK) CHECK(pulsews_reconnect(s->client) == PULSEWS_ECLOSED, "a reconnect after the close");
    if (status == PULSEWS_OK && !s->is_tangled) { /* nothing waits on a closed client, whatever its time-out */
        CHECK(pulsews_send(s->client, PULSEWS_TEXT, "x", 1, PULSEWS_FOREVER) == PULSEWS_ECLOSED,
              "a send after the close");
        while ((status = pulsews_recv(s->client, &message, PULSEWS_FOREVER)) == PULSEWS_OK) arrived(s, &message);
        CHECK(status == PULSEWS_ECLOSED, "recv after the close: %lld", (long long)status);
    }
}

/* ---- Calls of a session ---- */

static void send_more(slot *s) {
    static const int64_t lives[] = {0, 0, -1, 1, 1000000, 5000000, INT64_MAX, INT64_MIN};
    uint32_t flags = pick(4) ? 0 : byte();
    uint32_t kind = pick(16) ? 1 + pick(2) : byte();
    size_t length = pick(200);
    const unsigned char *data = pick(64) == 63 ? NULL : block + pick(256);
    uint64_t id = 0;
    if (s->count == PENDING) return;
    if (flags) s->is_strange = 1;
    int64_t status = known(
        pulsews_send_with(s->client, kind, data, length, flags, lives[pick(8)], brief(), pick(8) ? &id : NULL));
    CHECK(status <= 0, "status %lld", (long long)status);
    CHECK(flags < 16 || status < 0, "flags %u", flags);
    CHECK((kind == PULSEWS_TEXT || kind == PULSEWS_BINARY) || status < 0, "kind %u", kind);
    if (status == 0) s->sent[(s->first + s->count++) % PENDING] = hash(kind, data, length);
}

static void send_many(slot *s) {
    static const size_t counts[] = {1, 2, 8, 40, 0, SIZE_MAX, (size_t)1 << 31, (size_t)1 << 63};
    pulsews_message messages[40];
    uint64_t first = 0;
    for (int i = 0; i < 40; i++) {
        size_t length = pick(100);
        messages[i] = (pulsews_message){
            .data = block + length, .length = length, .kind = 1 + (unsigned)i % 2, .flags = ~0u, .sequence = 9};
    }
    unsigned odd = byte();
    if (odd < 40) messages[odd].kind = byte();
    if (odd >= 40 && odd < 80) messages[odd - 40].data = NULL;
    if (odd >= 80 && odd < 100) messages[odd - 80].length = SIZE_MAX - byte();
    size_t count = counts[pick(8)];
    uint32_t flags = pick(8) ? 0 : byte();
    if (s->count + 40 > PENDING) return;
    if (flags) s->is_strange = 1;
    int32_t status = (int32_t)known(
        pulsews_send_batch(s->client, pick(32) == 31 ? NULL : messages, count, flags, 0, brief(), &first));
    CHECK(status != 0 && (status < 0 || (size_t)status <= count), "%d of %zu", status, count);
    CHECK(status < 0 || first > 0, "the first id");
    for (int32_t i = 0; i < status; i++)
        s->sent[(s->first + s->count++) % PENDING] = hash(messages[i].kind, messages[i].data, messages[i].length);
}

static void subscribe_any(slot *s) {
    s->is_strange = 1;
    for (unsigned count = pick(20); count; count--) {
        const char *key = text(), *message = text(), *end = pick(2) ? text() : NULL;
        sentence *e = fresh();
        if (pick(3)) judged(pulsews_subscribe(s->client, key, pick(3) ? message : NULL, end, e->text, e->size), e);
        else known(pulsews_unsubscribe(s->client, key));
    }
}

static void log_any(void) {
    char line[64];
    int32_t level;
    int64_t at;
    switch (pick(6)) {
    case 0: known(pulsews_log_queue((int32_t)pick(7) - 1, pick(4) ? byte() : SIZE_MAX)); break;
    case 1: known(pulsews_log_stderr(pick(2) ? 0 : -1)); break;
    case 2: known(pulsews_log_file(pick(2) ? "/dev/null" : "/nonexistent/file", (int32_t)pick(7) - 1, NULL, 0)); break;
    default:
        for (int i = 0; i < 8; i++) {
            memset(line, 0x5A, sizeof line);
            size_t size = pick(sizeof line);
            known(pulsews_log_next(size ? line : NULL, size, pick(2) ? &level : NULL, pick(2) ? &at : NULL, brief()));
            CHECK(line[size] == 0x5A, "a line writes behind its %zu bytes", size);
        }
    }
}

static void session_any(slot *s) {
    sentence *e = fresh();
    const char *name, *value;
    int echoes;
    switch (pick(8)) {
    case 0: known(pulsews_reconnect(s->client)); break;
    case 1:
        if (pick(2)) known(pulsews_disconnect(s->client, brief()));
        break;
    case 2: judged(pulsews_wait_ready(s->client, brief(), e->text, e->size), e); break;
    case 3:
        name = text(), value = text(), judged(pulsews_set_header(s->client, name, value, e->text, e->size), e);
        break;
    case 4:
        value = url(&echoes);
        if (!echoes) s->is_strange = 1; /* other servers have more to say */
        judged(pulsews_set_url(s->client, value, e->text, e->size), e);
        break;
    case 5: known(pulsews_release(s->client)), known(pulsews_acknowledge(s->client, 3)); break;
    case 6: known(pulsews_flush(s->client, brief())); break;
    default:
        if (pick(4) == 0) known(pulsews_purge(s->client));
    }
}

/* Two threads on one client; what the other does is drawn before it starts. */
typedef struct other {
    slot *s;
    unsigned what;
} other;

static void *meddle(void *argument) {
    const other *o = argument;
    pulsews_message message;
    const pulsews_message *list;
    uint64_t id;
    for (int i = 0; i < 20; i++) switch ((o->what + (unsigned)i) % 13) {
        case 0: known(pulsews_send(o->s->client, PULSEWS_TEXT, "from the side", 13, 1000000)); break;
        case 1: known(pulsews_recv(o->s->client, &message, 100000)); break;
        case 2: {
            pulsews_batch *own = pulsews_batch_create();
            known(pulsews_recv_batch(o->s->client, own, 16, 100000, &list));
            pulsews_batch_free(own);
            break;
        }
        case 3: known(pulsews_status_json(o->s->client, NULL, 0)); break;
        case 4: known(pulsews_open(o->s->client, 100000, NULL, 0)); break;
        case 5: known(pulsews_reconnect(o->s->client)); break;
        case 6:
            if (o->what > 100) known(pulsews_disconnect(o->s->client, 100000));
            break;
        case 7: known(pulsews_subscribe(o->s->client, "side", "on", "off", NULL, 0)); break;
        case 8: known(pulsews_flush(o->s->client, 100000)); break;
        case 9: known(pulsews_send_with(o->s->client, PULSEWS_BINARY, "more", 4, o->what & 15, 0, 100000, &id)); break;
        case 10: known(pulsews_wait_ready(o->s->client, 100000, NULL, 0)); break;
        case 11: known(pulsews_purge(o->s->client)), known(pulsews_release(o->s->client)); break;
        default:
            if (o->what > 200) known(pulsews_close(o->s->client, 1000, "side", 100000));
        }
    return NULL;
}

static void two_threads(slot *s) {
    if (!s->client) return;
    s->is_tangled = 1;
    pthread_t thread;
    other o = {s, byte()};
    if (pthread_create(&thread, NULL, meddle, &o) != 0) abort();
    for (unsigned i = 0; i < 8; i++) {
        unsigned what = pick(4);
        if (what == 0) send_any(s, 1);
        if (what == 1) receive_batch(s);
        if (what == 2) look(s);
        if (what == 3) wake_any(s);
    }
    pthread_join(thread, NULL);
}

static void free_client(slot *s) {
    pulsews_client_free(s->client);
    memset(s, 0, sizeof *s);
}

/* So many connects to one host a second are not for tests. */
static pulsews_config *make_config(void) {
    pulsews_config *config = pulsews_config_create();
    CHECK(pulsews_config_set(config, "host_connect_rate", "100000/s", NULL, 0) == 0, "an option");
    CHECK(pulsews_config_set(config, "reconnect_base_delay", "2ms", NULL, 0) == 0, "an option");
    return config;
}

static void call(void) {
    slot *s = &slots[pick(CLIENTS)];
    sentence *e;
    unsigned index;
    switch (pick(34)) {
    case 0:
    case 1:
        index = pick(CONFIGS);
        if (!configs[index]) configs[index] = make_config();
        for (unsigned count = pick(4) + 1; count; count--) {
            const char *name = text(), *value = text();
            e = fresh();
            judged(pulsews_config_set(pick(32) == 31 ? NULL : configs[index], name, value, e->text, e->size), e);
        }
        break;
    case 2:
    case 3:
    case 4:
        if (s->client) return;
        int echoes;
        const char *where = url(&echoes);
        e = fresh();
        pulsews_client *made = (pulsews_client *)block;
        pulsews_config *config = pick(2) ? configs[pick(CONFIGS)] : pick(8) ? quick : NULL;
        pulsews_loop *loop = pick(3) == 2 ? loops[pick(LOOPS)] : NULL;
        int64_t status = judged(pulsews_client_create(where, config, loop, &made, e->text, e->size), e);
        CHECK((status == 0) == (made != NULL), "status %lld", (long long)status);
        s->client = made, s->echoes = echoes, s->is_strange = config && config != quick;
        break;
    case 5:
        e = fresh();
        judged(pulsews_open(s->client, brief(), e->text, e->size), e);
        break;
    case 6: known(pulsews_start(s->client)); break;
    case 7:
        e = fresh();
        judged(pulsews_open(s->client, 30000000, e->text, e->size), e);
        break;
    case 8:
    case 9:
    case 10: send_any(s, 0); break;
    case 11:
        for (unsigned count = byte(); count; count--) send_any(s, 0);
        break;
    case 12:
    case 13: receive_any(s); break;
    case 14:
    case 15: receive_batch(s); break;
    case 16: look(s); break;
    case 17: wake_any(s); break;
    case 18:
        if (pick(3) == 0) close_any(s);
        break;
    case 19:
        if (pick(3) == 0) free_client(s);
        break;
    case 20:
        index = pick(LOOPS);
        e = fresh();
        if (!loops[index]) judged(pulsews_loop_create(pick(4), &loops[index], e->text, e->size), e);
        break;
    case 21:
        index = pick(LOOPS);
        known(pulsews_loop_fd(loops[index]));
        known(pulsews_loop_run_once(loops[index], brief()));
        break;
    case 22: two_threads(s); break;
    case 23:
        index = pick(8);
        if (index == 0) pulsews_loop_free(loops[0]), loops[0] = NULL; /* its clients keep it alive */
        if (index == 1) pulsews_config_free(configs[0]), configs[0] = NULL;
        if (index == 2) pulsews_batch_free(batches[0]), batches[0] = NULL;
        if (index == 3)
            pulsews_client_free(NULL), pulsews_loop_free(NULL), pulsews_config_free(NULL), pulsews_batch_free(NULL);
        if (index == 4) known(pulsews_client_create(NULL, NULL, NULL, NULL, NULL, 0));
        if (index == 7)
            pulsews_transition_at(byte(), NULL, NULL, NULL, NULL),
                pulsews_statistic_at((size_t)byte() << 56, NULL, NULL, NULL, NULL);
        if (index == 5)
            pulsews_error_at((size_t)byte() << 56), pulsews_option_at(SIZE_MAX, NULL, NULL, NULL, NULL, NULL);
        if (index == 6) pulsews_error_name(-byte()), pulsews_error_retryable(INT32_MIN);
        break;
    case 24:
    case 25: send_more(s); break;
    case 26:
        for (unsigned count = byte(); count; count--) send_more(s);
        break;
    case 27: send_many(s); break;
    case 28:
    case 29:
    case 30: session_any(s); break;
    case 31: subscribe_any(s); break;
    case 32: log_any(); break;
    default: e = fresh(); judged(pulsews_wait_ready(s->client, 30000000, e->text, e->size), e);
    }
    for (index = 0; index < BATCHES; index++)
        if (!batches[index]) batches[index] = pulsews_batch_create();
}

static void run(const uint8_t *bytes, size_t size) {
    input = bytes, input_size = size, input_used = 0;
    alarm(30);
    for (int i = 0; i < MOST_CALLS && input_used < input_size; i++) call();
    for (int i = 0; i < CLIENTS; i++) look(&slots[i]), free_client(&slots[i]);
    pulsews_log_stderr(PULSEWS_LOG_OFF);
    for (int i = 0; i < LOOPS; i++) pulsews_loop_free(loops[i]), loops[i] = NULL;
    for (int i = 0; i < CONFIGS; i++) pulsews_config_free(configs[i]), configs[i] = NULL;
    for (int i = 0; i < BATCHES; i++) pulsews_batch_free(batches[i]), batches[i] = NULL;
    alarm(0);
}

int main(int argc, char **argv) {
    int unused;
    echo_port = start_peer(), closed_port = bind_port(0, &unused);
    for (size_t i = 0; i < sizeof block; i++) block[i] = (unsigned char)('a' + i % 26);
    quick = make_config();
    return fuzz(argc, argv, run);
}
