// SPDX-License-Identifier: Apache-2.0
// program PORT: calls every function of the header beside it in its main way, against a server at 127.0.0.1 that echoes at /echo,
// with the subprotocol "orders", and refuses /refused with 403, a header and a body. What it prints last is "whole".
#include <poll.h>
#include <pulsews.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static char why[PULSEWS_ERROR_SIZE];

static void fail(int line, const char *condition) {
    fprintf(stderr, "program.c:%d: %s: not so; the last sentence was: %s\n", line, condition, why);
    exit(1);
}

static void tables(void) {
    const char *name, *type, *value, *range, *meaning;
    size_t errors = 0, options = 0;
    CHECK(pulsews_version_number() >= PULSEWS_VERSION_NUMBER);
    CHECK(strchr(pulsews_version(), '.'));
    for (int32_t code; (code = pulsews_error_at(errors)) != 0; errors++)
        CHECK(strncmp(pulsews_error_name(code), "PULSEWS_E", 9) == 0 && *pulsews_error_text(code));
    CHECK(errors > 30);
    CHECK(strcmp(pulsews_error_name(PULSEWS_ETIMEOUT), "PULSEWS_ETIMEOUT") == 0);
    CHECK(pulsews_error_retryable(PULSEWS_ERESET) == 1 && pulsews_error_retryable(PULSEWS_EURL) == 0);
    while (pulsews_option_at(options, &name, &type, &value, &range, &meaning) == PULSEWS_OK) {
        CHECK(*name && *type && *meaning);
        options++;
    }
    CHECK(options > 10);
}

static pulsews_client *client(int port, const char *path, const pulsews_config *config, pulsews_loop *loop) {
    char url[64];
    pulsews_client *made = NULL;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d%s", port, path);
    CHECK(pulsews_client_create(url, config, loop, &made, why, sizeof why) == PULSEWS_OK);
    CHECK(pulsews_client_state(made) == PULSEWS_DISCONNECTED);
    return made;
}

static void text_of(int64_t (*read)(const pulsews_client *, char *, size_t), const pulsews_client *of,
                    const char *part) {
    char buffer[4096];
    int64_t length = read(of, NULL, 0);
    CHECK(length >= 0 && length < (int64_t)sizeof buffer);
    CHECK(read(of, buffer, sizeof buffer) == length);
    CHECK(strstr(buffer, part));
}

static void blocking(int port, const pulsews_config *config) {
    pulsews_client *ws = client(port, "/echo", config, NULL);
    pulsews_message message;
    CHECK(pulsews_open(ws, PULSEWS_SECONDS(20), why, sizeof why) == PULSEWS_OK);
    CHECK(pulsews_client_state(ws) == PULSEWS_CONNECTED);
    text_of(pulsews_subprotocol, ws, "orders");
    CHECK(pulsews_handshake_status(ws) == 101);
    text_of(pulsews_handshake_headers, ws, "Sec-WebSocket-Accept: ");
    CHECK(pulsews_recv(ws, &message, PULSEWS_MILLISECONDS(1)) == PULSEWS_ETIMEOUT);
    CHECK(pulsews_send(ws, PULSEWS_PING, "alive", 5, PULSEWS_FOREVER) == PULSEWS_OK);
    CHECK(pulsews_send(ws, PULSEWS_TEXT, "one", 3, PULSEWS_FOREVER) == PULSEWS_OK);
    CHECK(pulsews_recv(ws, &message, PULSEWS_SECONDS(20)) == PULSEWS_OK);
    CHECK(message.kind == PULSEWS_TEXT && message.length == 3 && memcmp(message.data, "one", 3) == 0);
    CHECK((message.flags & PULSEWS_ASCII) && message.received_ns > 0 && message.sequence == 1);
    CHECK(pulsews_send(ws, PULSEWS_TEXT, "\xff", 1, 0) == PULSEWS_EUTF8);
    text_of(pulsews_status_json, ws, "\"connected\"");
    CHECK(pulsews_close(ws, 1000, "done", PULSEWS_SECONDS(20)) == PULSEWS_OK);
    CHECK(pulsews_client_state(ws) == PULSEWS_DISCONNECTED && pulsews_close_code(ws) == 1000);
    text_of(pulsews_close_reason, ws, "done");
    CHECK(pulsews_client_error(ws, why, sizeof why) == PULSEWS_ECLOSED);
    CHECK(pulsews_recv(ws, &message, PULSEWS_FOREVER) == PULSEWS_ECLOSED);
    pulsews_client_free(ws);
}

static void refused(int port) {
    pulsews_client *ws = client(port, "/refused", NULL, NULL);
    CHECK(pulsews_open(ws, PULSEWS_SECONDS(20), why, sizeof why) == PULSEWS_EHANDSHAKE && *why);
    CHECK(pulsews_client_state(ws) == PULSEWS_ERROR);
    CHECK(pulsews_handshake_status(ws) == 403);
    text_of(pulsews_handshake_headers, ws, "Cause: region\n");
    text_of(pulsews_handshake_body, ws, "not from here");
    pulsews_client_free(ws);
}

// A loop that this thread drives, a descriptor to wait on, and batches.
static void driven(int port, const pulsews_config *config) {
    const pulsews_message *messages;
    pulsews_loop *loop = NULL;
    CHECK(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, why, sizeof why) == PULSEWS_OK);
    pulsews_client *ws = client(port, "/echo", config, loop);
    pulsews_batch *batch = pulsews_batch_create();
    CHECK(batch && pulsews_batch_traits(batch) == 0);
    CHECK(pulsews_start(ws) == PULSEWS_OK);
    while (pulsews_open(ws, 0, why, sizeof why) == PULSEWS_ETIMEOUT)
        CHECK(pulsews_loop_run_once(loop, PULSEWS_SECONDS(20)) == PULSEWS_OK);
    CHECK(pulsews_client_state(ws) == PULSEWS_CONNECTED);
    CHECK(pulsews_send(ws, PULSEWS_BINARY, "\1\2", 2, 0) == PULSEWS_OK &&
          pulsews_send(ws, PULSEWS_BINARY, "\3", 1, 0) == PULSEWS_OK);
    uint8_t bytes[3];
    for (size_t got = 0; got < sizeof bytes;) {
        struct pollfd ready = {pulsews_loop_fd(loop), POLLIN, 0};
        CHECK(poll(&ready, 1, 20000) == 1);
        CHECK(pulsews_loop_run_once(loop, 0) == PULSEWS_OK);
        struct pollfd awake = {pulsews_wake_fd(ws), POLLIN, 0};
        if (poll(&awake, 1, 0) == 0) continue;
        CHECK(pulsews_wake_clear(ws) == PULSEWS_OK);
        int32_t count;
        while ((count = pulsews_recv_batch(ws, batch, 16, 0, &messages)) > 0) {
            CHECK(pulsews_batch_traits(batch) == PULSEWS_ALL_BINARY);
            for (int32_t i = 0; i < count; i++) {
                CHECK(got + messages[i].length <= sizeof bytes);
                memcpy(bytes + got, messages[i].data, messages[i].length);
                got += messages[i].length;
            }
        }
        CHECK(count == PULSEWS_ETIMEOUT);
    }
    CHECK(memcmp(bytes, "\1\2\3", 3) == 0);
    CHECK(pulsews_close(ws, 1000, NULL, PULSEWS_SECONDS(20)) == PULSEWS_OK);
    pulsews_batch_free(batch);
    pulsews_client_free(ws);
    pulsews_loop_free(loop);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    int port = atoi(argv[1]);
    pulsews_config *config = pulsews_config_create();
    CHECK(config);
    CHECK(pulsews_config_set(config, "subprotocols", "orders", why, sizeof why) == PULSEWS_OK);
    CHECK(pulsews_config_set(config, "heartbeat_interval", "30s", why, sizeof why) == PULSEWS_OK);
    CHECK(pulsews_config_set(config, "no_such_option", "1", why, sizeof why) == PULSEWS_EOPTION && *why);
    tables();
    blocking(port, config);
    refused(port);
    driven(port, config);
    pulsews_config_free(config);
    puts("whole");
    return 0;
}
