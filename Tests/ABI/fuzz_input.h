/* SPDX-License-Identifier: Apache-2.0
 *
 * For the fuzzers of the C interface: the input, what happens when a check fails, and arguments made of the input's bytes. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <pulsews.h>
#include <signal.h>

#include "fuzz_peer.h"

enum { MOST_INPUT = 1024 };

static const uint8_t *input;
static size_t input_size, input_used;
static int echo_port, closed_port;
static char input_file[64];

/* ---- Failures ---- */

static void show_input(void) {
    static const char digits[] = "0123456789abcdef";
    char line[2 * MOST_INPUT + 1];
    size_t size = input_size < MOST_INPUT ? input_size : MOST_INPUT;
    for (size_t i = 0; i < size; i++) line[2 * i] = digits[input[i] >> 4], line[2 * i + 1] = digits[input[i] & 15];
    line[2 * size] = '\n';
    int file = open(input_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (write(2, "input: ", 7) < 0 || write(2, line, 2 * size + 1) < 0 || write(file, input, size) < 0) _exit(3);
}

static void crashed(int number) {
    static const char hang[] = "no end after 30 s\n", crash[] = "a crash\n";
    if (write(2, number == SIGALRM ? hang : crash, number == SIGALRM ? sizeof hang - 1 : sizeof crash - 1) < 0)
        _exit(3);
    show_input();
    signal(SIGABRT, SIG_DFL);
    abort();
}

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s; ", __FILE__, __LINE__, #condition);                                    \
            fprintf(stderr, __VA_ARGS__), fputc('\n', stderr);                                                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static int64_t known(int64_t status) {
    CHECK(status >= 0 || strcmp(pulsews_error_name((int32_t)status), "PULSEWS_UNKNOWN") != 0, "status %lld",
          (long long)status);
    CHECK(status >= INT32_MIN && pulsews_error_text((int32_t)status) != NULL, "status %lld", (long long)status);
    return status;
}

/* ---- Arguments ---- */

static uint8_t byte(void) { return input_used < input_size ? input[input_used++] : 0; }
static unsigned pick(unsigned count) { return byte() % count; }

/* clang-format off */
static const char *const texts[] = {
    "", "headers", "subprotocols", "open_timeout", "close_timeout", "heartbeat_interval", "heartbeat_timeout",
    "max_message_size", "receive_queue_bytes", "message_queue_size", "message_queue_bytes", "compression",
    "compression_threshold", "compression_context_takeover", "compression_window_bits", "ca_file", "verify", "events",
    "reconnect", "true", "false", "0", "1", "10ms", "20ms", "0.05", "1e-2", "4KiB", "4096", "64KiB", "1GiB", "9", "15",
    "1e999", "99999999999999999999", "-1", "nan", "X-One: two", "X-Bad\r\n: x", "Host: other", "chat", "/nonexistent",
    "Authorization: Basic eA==", "\xff\xfe", "done", "1000000000", "16GiB", "1h", "1d", "1ns",
    "max_reconnect_attempts", "reconnect_base_delay", "reconnect_max_delay", "jitter", "stable_time", "restart_delay",
    "retry_fatal", "endpoints",
    "endpoint_return", "breaker_failures", "breaker_timeout", "host_connects", "host_connect_rate", "heartbeat_message",
    "heartbeat_reply",
    "heartbeat_request", "heartbeat_answer", "server_heartbeat", "server_heartbeat_timeout", "deliver_heartbeats",
    "stale_timeout", "stale_action",
    "message_queue_policy", "message_ttl", "backlog_interval", "rate_limit", "rate_limit_control", "login",
    "login_confirm", "login_reject",
    "login_timeout", "hold_login", "hold_connect", "subscribe_message", "unsubscribe_message", "subscribe_batch",
    "subscribe_interval",
    "subscribe_confirm", "subscribe_reject", "subscribe_timeout", "name", "drop_oldest", "drop_newest", "reject",
    "block", "event", "3/20ms", "100/s",
    "{\"type\":\"ping\"}", "{\"id\":${id},\"t\":${ms}}", "${keys}", "[${keys},\"${time}\"]", "${.id}", "*", "a*",
    "{\"keys\":\"*\"}",
    "[[]]", "ping", "ws://127.0.0.1:1/echo", "1ms", "100ms", "${", "key one", "key two", "\"quoted\" \\ key"};
/* clang-format on */

/* Text from the list, or from the input, at times a mixture; NULL at times. Lives until the next call but three. */
static const char *text_of(const char *const *list, size_t count) {
    static char kept[4][300];
    static int next;
    char *out = kept[next++ & 3];
    unsigned how = byte();
    if (how == 255) return NULL;
    if (how < 230) return list[how % count];
    size_t size = pick(100), at = 0;
    if (how < 240) snprintf(out, 100, "%s", list[pick((unsigned)count)]), at = strlen(out);
    for (size_t i = 0; i < size; i++) out[at++] = (char)byte();
    out[at] = 0;
    return out;
}

static inline const char *text(void) { return text_of(texts, sizeof texts / sizeof *texts); }

static const char *const paths[] = {"/echo", "/close", "/reset", "/half", "/garbage", "/refuse", "/stall"};

static inline const char *url(int *echoes) {
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
    return snprintf(out, sizeof out, "%s127.0.0.1:%d%s%s", how == 13 ? "http://" : "ws://", closed_port, slash,
                    rest ? rest : ""),
           out;
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

#endif
