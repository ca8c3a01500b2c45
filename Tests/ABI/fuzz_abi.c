/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the C interface: bytes become a sequence of calls with any arguments, checked against what the header
 * promises. A program of its own, the same for the same input but for the order in which threads run:
 *
 *     fuzz_abi FILE...                  runs each file
 *     fuzz_abi --random SECONDS SEED    runs random inputs; a failure prints the input and leaves it in fuzz_abi.input
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pulsews.h>
#include <signal.h>
#include <time.h>

#include "fuzz_peer.h"

enum { CLIENTS = 4, LOOPS = 2, CONFIGS = 2, BATCHES = 2, MOST_CALLS = 200, MOST_INPUT = 1024, PENDING = 1024 };

typedef struct slot {
    pulsews_client *client;
    int echoes;       /* what it sends comes back */
    int is_tangled;   /* another thread has sent or received: no order to compare */
    uint64_t sequence;
    uint64_t sent[PENDING]; /* of messages that have not come back */
    size_t first, count;
} slot;

static const uint8_t *input;
static size_t input_size, input_used;
static slot slots[CLIENTS];
static pulsews_loop *loops[LOOPS];
static pulsews_config *configs[CONFIGS];
static pulsews_batch *batches[BATCHES];
static int echo_port, closed_port;
static unsigned char block[300 << 10];

/* ---- Failures ---- */

static void show_input(void) {
    static const char digits[] = "0123456789abcdef";
    char line[2 * MOST_INPUT + 1];
    size_t size = input_size < MOST_INPUT ? input_size : MOST_INPUT;
    for (size_t i = 0; i < size; i++) line[2 * i] = digits[input[i] >> 4], line[2 * i + 1] = digits[input[i] & 15];
    line[2 * size] = '\n';
    int file = open("fuzz_abi.input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (write(2, "input: ", 7) < 0 || write(2, line, 2 * size + 1) < 0 || write(file, input, size) < 0) _exit(3);
}

static void crashed(int number) {
    static const char hang[] = "no end after 30 s\n", crash[] = "a crash\n";
    if (write(2, number == SIGALRM ? hang : crash, number == SIGALRM ? sizeof hang - 1 : sizeof crash - 1) < 0) _exit(3);
    show_input();
    signal(SIGABRT, SIG_DFL);
    abort();
}

#define CHECK(condition, ...)                                                   \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: not so: %s; ", __FILE__, __LINE__, #condition); \
            fprintf(stderr, __VA_ARGS__), fputc('\n', stderr);                  \
            abort();                                                            \
        }                                                                       \
    } while (0)

static int64_t known(int64_t status) {
    CHECK(status >= 0 || strcmp(pulsews_error_name((int32_t)status), "PULSEWS_UNKNOWN") != 0, "status %lld", (long long)status);
    CHECK(status >= INT32_MIN && pulsews_error_text((int32_t)status) != NULL, "status %lld", (long long)status);
    return status;
}

/* ---- Arguments ---- */

static uint8_t byte(void) { return input_used < input_size ? input[input_used++] : 0; }
static unsigned pick(unsigned count) { return byte() % count; }

static const char *const texts[] = {
    "", "headers", "subprotocols", "open_timeout", "close_timeout", "heartbeat_interval", "heartbeat_timeout",
    "max_message_size", "receive_queue_bytes", "message_queue_size", "message_queue_bytes", "compression",
    "compression_threshold", "compression_context_takeover", "compression_window_bits", "ca_file", "verify", "events",
    "reconnect", "true", "false", "0", "1", "10ms", "20ms", "0.05", "1e-2", "4KiB", "4096", "64KiB", "1GiB", "9", "15",
    "1e999", "99999999999999999999", "-1", "nan", "X-One: two", "X-Bad\r\n: x", "Host: other", "chat", "/nonexistent",
    "Authorization: Basic eA==", "\xff\xfe", "done", "1000000000", "16GiB", "1h", "1d", "1ns"};

/* Text from the list, or from the input, at times a mixture; NULL at times. Lives until the next call but three. */
static const char *text(void) {
    static char kept[4][300];
    static int next;
    char *out = kept[next++ & 3];
    unsigned how = byte();
    if (how == 255) return NULL;
    if (how < 230) return texts[how % (sizeof texts / sizeof *texts)];
    size_t size = pick(100), at = 0;
    if (how < 240) at = (size_t)snprintf(out, 100, "%s", texts[pick(sizeof texts / sizeof *texts)]);
    for (size_t i = 0; i < size; i++) out[at++] = (char)byte();
    out[at] = 0;
    return out;
}

static const char *const paths[] = {"/echo", "/close", "/reset", "/half", "/garbage", "/refuse", "/stall"};

static const char *url(int *echoes) {
    static char out[400];
    unsigned how = pick(16);
    *echoes = 0;
    if (how < 9) {
        const char *path = paths[how < 4 ? 0 : pick(sizeof paths / sizeof *paths)];
        *echoes = strcmp(path, "/echo") == 0;
        /* A name takes the way through the resolver. */
        snprintf(out, sizeof out, "ws://%s:%d%s", pick(4) == 0 ? "localhost" : "127.0.0.1", echo_port, path);
        return out;
    }
    if (how == 9) return snprintf(out, sizeof out, "ws://user:secret@127.0.0.1:%d/", closed_port), out;
    if (how == 10) return snprintf(out, sizeof out, "wss://127.0.0.1:%d/echo", echo_port), out; /* no TLS there */
    if (how == 11) return snprintf(out, sizeof out, "ws://[::1]:%d/", closed_port), out;
    const char *rest = text();
    if (how == 12) return rest;
    /* Never a name or address outside of this machine. */
    const char *slash = rest && *rest >= '0' && *rest <= '9' ? "/" : ""; /* nor another port */
    return snprintf(out, sizeof out, "%s127.0.0.1:%d%s%s", how == 13 ? "http://" : "ws://", closed_port, slash, rest ? rest : ""), out;
}

/* Bounded: a call that waits gives up soon. */
static int64_t brief(void) {
    static const int64_t times[] = {0, 0, 0, 1, 1000, 100000, 1000000, 3000000};
    return times[pick(8)];
}

typedef struct sentence {
    char *text, room[PULSEWS_ERROR_SIZE + 16];
    size_t size;
} sentence;

static sentence *fresh(void) {
    static sentence s;
    static const size_t sizes[] = {PULSEWS_ERROR_SIZE, PULSEWS_ERROR_SIZE, 100, 17, 2, 1, 0};
    memset(s.room, 0x5A, sizeof s.room);
    s.size = sizes[pick(7)];
    s.text = s.size == 0 && pick(2) ? NULL : s.room;
    return &s;
}

/* Written to only where that is allowed; ended when there was a failure, left alone when not. */
static int64_t judged(int64_t status, const sentence *s) {
    known(status);
    for (size_t i = s->size; i < sizeof s->room; i++) CHECK(s->room[i] == 0x5A, "byte %zu of %zu", i, s->size);
    if (status < 0 && s->text && s->size) CHECK(memchr(s->room, 0, s->size), "status %lld", (long long)status);
    if (status == 0) CHECK(s->room[0] == 0x5A, "\"%s\" with success", s->room);
    return status;
}

/* ---- Calls ---- */

static uint64_t hash(uint64_t kind, const void *data, size_t length) {
    uint64_t h = 1469598103934665603u ^ kind;
    for (size_t i = 0; i < length; i++) h = (h ^ ((const uint8_t *)data)[i]) * 1099511628211u;
    return h ^ length;
}

static void arrived(slot *s, const pulsews_message *m) {
    CHECK(m->data != NULL && m->length <= 1 << 30, "length %zu", m->length);
    CHECK(m->kind == PULSEWS_TEXT || m->kind == PULSEWS_BINARY || m->kind == PULSEWS_EVENT, "kind %u", m->kind);
    CHECK(m->flags <= 3 && m->received_ns > 0, "flags %u", m->flags);
    uint64_t content = hash(m->kind, m->data, m->length); /* reads every byte */
    if (s->is_tangled) return;
    CHECK(m->sequence == ++s->sequence, "sequence %llu", (unsigned long long)m->sequence);
    if (m->kind == PULSEWS_EVENT || !s->echoes) return;
    CHECK(s->count > 0, "a message that nobody sent");
    CHECK(s->sent[s->first % PENDING] == content, "%zu bytes, not those that were sent", m->length);
    s->first++, s->count--;
}

static void send_any(slot *s, int from_thread) {
    static const uint32_t kinds[] = {PULSEWS_TEXT, PULSEWS_BINARY, PULSEWS_BINARY, PULSEWS_PING, PULSEWS_PONG, 0, 8, 256};
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
    char buffer[8192], small[40];
    sentence *e = fresh();
    judged(pulsews_client_error(s->client, e->text, e->size), e);
    int64_t state = known(pulsews_client_state(s->client));
    CHECK(state <= PULSEWS_ERROR, "state %lld", (long long)state);
    int64_t code = known(pulsews_close_code(s->client));
    CHECK(code <= 4999, "close code %lld", (long long)code);
    known(pulsews_handshake_status(s->client));
    int64_t (*const texts_of[])(const pulsews_client *, char *, size_t) = {
        pulsews_close_reason, pulsews_handshake_headers, pulsews_handshake_body, pulsews_subprotocol, pulsews_status_json};
    for (int i = 0; i < 5; i++) {
        memset(small, 0x5A, sizeof small);
        size_t size = pick(sizeof small);
        int64_t whole = known(texts_of[i](s->client, size ? small : NULL, size));
        CHECK(small[size] == 0x5A, "text %d writes behind its %zu bytes", i, size);
        if (whole >= 0 && size) CHECK(memchr(small, 0, size) || i == 2, "text %d is not ended", i);
    }
    if (pulsews_status_json(s->client, buffer, sizeof buffer) < 0) return;
    int64_t accepted = number(buffer, "messages_accepted"), sum = number(buffer, "messages_sent");
    sum += number(buffer, "messages_failed") + number(buffer, "queue_size");
    CHECK(accepted == sum, "%s", buffer);
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
    static const int32_t codes[] = {1000, 0, 1001, 3000, 4999, 1005, 1006, 1015, 2999, 5000, -1, INT32_MAX, INT32_MIN, 999};
    int32_t code = codes[pick(sizeof codes / sizeof *codes)];
    const char *reason = pick(2) ? text() : NULL;
    int64_t time = brief(), status = known(pulsews_close(s->client, code, reason, time));
    CHECK(status <= 0, "status %lld", (long long)status);
    pulsews_message message;
    if (status == PULSEWS_OK && !s->is_tangled) { /* nothing waits on a closed client, whatever its time-out */
        CHECK(pulsews_send(s->client, PULSEWS_TEXT, "x", 1, PULSEWS_FOREVER) == PULSEWS_ECLOSED, "a send after the close");
        while ((status = pulsews_recv(s->client, &message, PULSEWS_FOREVER)) == PULSEWS_OK) arrived(s, &message);
        CHECK(status == PULSEWS_ECLOSED, "recv after the close: %lld", (long long)status);
    }
}

/* Two threads on one client; what the other does is drawn before it starts. */
typedef struct other { slot *s; unsigned what; } other;

static void *meddle(void *argument) {
    const other *o = argument;
    pulsews_message message;
    const pulsews_message *list;
    for (int i = 0; i < 20; i++) switch ((o->what + (unsigned)i) % 6) {
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
        default: if (o->what > 200) known(pulsews_close(o->s->client, 1000, "side", 100000));
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

static void call(void) {
    slot *s = &slots[pick(CLIENTS)];
    sentence *e;
    unsigned index;
    switch (pick(24)) {
    case 0: case 1:
        index = pick(CONFIGS);
        if (!configs[index]) configs[index] = pulsews_config_create();
        for (unsigned count = pick(4) + 1; count; count--) {
            const char *name = text(), *value = text();
            e = fresh();
            judged(pulsews_config_set(pick(32) == 31 ? NULL : configs[index], name, value, e->text, e->size), e);
        }
        break;
    case 2: case 3: case 4:
        if (s->client) return;
        int echoes;
        const char *where = url(&echoes);
        e = fresh();
        pulsews_client *made = (pulsews_client *)block;
        pulsews_config *config = pick(2) ? configs[pick(CONFIGS)] : NULL;
        pulsews_loop *loop = pick(3) == 2 ? loops[pick(LOOPS)] : NULL;
        int64_t status = judged(pulsews_client_create(where, config, loop, &made, e->text, e->size), e);
        CHECK((status == 0) == (made != NULL), "status %lld", (long long)status);
        s->client = made, s->echoes = echoes;
        break;
    case 5: e = fresh(); judged(pulsews_open(s->client, brief(), e->text, e->size), e); break;
    case 6: known(pulsews_start(s->client)); break;
    case 7: e = fresh(); judged(pulsews_open(s->client, 30000000, e->text, e->size), e); break;
    case 8: case 9: case 10: send_any(s, 0); break;
    case 11: for (unsigned count = byte(); count; count--) send_any(s, 0); break;
    case 12: case 13: receive_any(s); break;
    case 14: case 15: receive_batch(s); break;
    case 16: look(s); break;
    case 17: wake_any(s); break;
    case 18: if (pick(3) == 0) close_any(s); break;
    case 19: if (pick(3) == 0) free_client(s); break;
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
        if (index == 3) pulsews_client_free(NULL), pulsews_loop_free(NULL), pulsews_config_free(NULL), pulsews_batch_free(NULL);
        if (index == 4) known(pulsews_client_create(NULL, NULL, NULL, NULL, NULL, 0));
        if (index == 5) pulsews_error_at((size_t)byte() << 56), pulsews_option_at(SIZE_MAX, NULL, NULL, NULL, NULL, NULL);
        if (index == 6) pulsews_error_name(-byte()), pulsews_error_retryable(INT32_MIN);
        break;
    }
    for (index = 0; index < BATCHES; index++)
        if (!batches[index]) batches[index] = pulsews_batch_create();
}

static void run(const uint8_t *bytes, size_t size) {
    input = bytes, input_size = size, input_used = 0;
    alarm(30);
    for (int i = 0; i < MOST_CALLS && input_used < input_size; i++) call();
    for (int i = 0; i < CLIENTS; i++) look(&slots[i]), free_client(&slots[i]);
    for (int i = 0; i < LOOPS; i++) pulsews_loop_free(loops[i]), loops[i] = NULL;
    for (int i = 0; i < CONFIGS; i++) pulsews_config_free(configs[i]), configs[i] = NULL;
    for (int i = 0; i < BATCHES; i++) pulsews_batch_free(batches[i]), batches[i] = NULL;
    alarm(0);
}

/* ---- Where the inputs come from ---- */

static int entries(const char *folder) {
    int count = 0;
    DIR *all = opendir(folder);
    while (all && readdir(all)) count++;
    closedir(all);
    return count;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int run_random(int seconds, uint64_t seed) {
    uint8_t bytes[MOST_INPUT];
    int64_t end = now_ns() + seconds * 1000000000LL;
    long inputs = 0;
    uint64_t state = seed * 2654435769u + 1;
    for (; now_ns() < end; inputs++) {
        size_t size = 0;
        do {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            bytes[size++] = (uint8_t)(state >> 32);
        } while (size < MOST_INPUT && (size < 64 || (state & 255) != 0));
        run(bytes, size);
    }
    printf("%ld inputs\n", inputs);
    return 0;
}

int main(int argc, char **argv) {
    static const int fatal[] = {SIGALRM, SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], crashed);
    setvbuf(stderr, NULL, _IONBF, 0);
    int unused;
    echo_port = start_peer(), closed_port = bind_port(0, &unused);
    for (size_t i = 0; i < sizeof block; i++) block[i] = (unsigned char)('a' + i % 26);
    int descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    if (argc == 4 && strcmp(argv[1], "--random") == 0) {
        if (run_random(atoi(argv[2]), strtoull(argv[3], NULL, 10)) != 0) return 1;
    } else {
        for (int i = 1; i < argc; i++) {
            static uint8_t bytes[MOST_INPUT];
            FILE *file = fopen(argv[i], "rb");
            CHECK(file != NULL, "can't read %s", argv[i]);
            size_t size = fread(bytes, 1, sizeof bytes, file);
            fclose(file);
            run(bytes, size);
        }
    }
    /* Nothing stays behind: connections that say goodbye, and look-ups, end within seconds. */
    for (int64_t end = now_ns() + 10000000000LL;;) {
        /* The server's side of connections is counted too, and goes when it sees the end. */
        if (entries("/proc/self/fd") <= descriptors && entries("/proc/self/task") <= threads) return 0;
        CHECK(now_ns() < end, "%d descriptors, then %d; %d threads, then %d", descriptors, entries("/proc/self/fd"), threads,
              entries("/proc/self/task"));
        poll(NULL, 0, 10);
    }
}
