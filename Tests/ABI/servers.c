/* SPDX-License-Identifier: Apache-2.0
 *
 * Servers that misbehave: each a clear status, bounded time and memory. */
#include "harness.h"

/* What comes before the end: nothing, the message "whole", or that and an answer to it. */
enum before { NOTHING, WHOLE, WHOLE_ANSWERED };

/* Opens and takes messages until the connection ends, which here is the end of the client. */
static int32_t ending(const char *mode, const char *const *options, enum before before, pulsews_client **kept) {
    pulsews_client *client;
    pulsews_message message;
    const char *all[8] = {"reconnect=false"};
    for (int i = 0; options[i]; i++) all[i + 1] = options[i];
    IS(opening(mode, all, &client), PULSEWS_OK);
    int32_t status;
    while ((status = pulsews_recv(client, &message, PULSEWS_SECONDS(30))) == PULSEWS_OK) {
        CHECK(before != NOTHING && message.length == 5 && memcmp(message.data, "whole", 5) == 0);
        if (before == WHOLE_ANSWERED) IS(pulsews_send(client, PULSEWS_TEXT, "go on", 5, 0), PULSEWS_OK);
        before = NOTHING;
    }
    CHECK(before == NOTHING);
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_client_error(client, why, sizeof why), status);
    fprintf(stderr, "%s\n", why);
    CHECK(strlen(why) > 10);
    IS(pulsews_recv(client, &message, PULSEWS_FOREVER), status); /* on every further call too */
    if (kept) *kept = client;
    else pulsews_client_free(client);
    return status;
}

TEST(nobody_listens) {
    int number = refusing_port();
    char why[PULSEWS_ERROR_SIZE] = "", port[8];
    pulsews_client *client = make_client(number, NO_OPTIONS);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EREFUSED);
    snprintf(port, sizeof port, "%d", number);
    fprintf(stderr, "%s\n", why);
    CHECK(strstr(why, "127.0.0.1") && strstr(why, port));
    pulsews_client_free(client);
}

TEST(never_answers) {
    int64_t begin = now_ns();
    IS(opening("never-answers", OPTIONS("open_timeout=300ms"), NULL), PULSEWS_EOPENTIMEOUT);
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(300));
}

TEST(open_gives_up_before_the_attempt) {
    pulsews_client *client = make_client(start_server("never-answers"), NO_OPTIONS);
    IS(pulsews_open(client, PULSEWS_MILLISECONDS(50), NULL, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_client_state(client), PULSEWS_CONNECTING);
    IS(pulsews_send(client, PULSEWS_PING, "x", 1, 0), PULSEWS_ENOTCONNECTED);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_LIVE_ONLY, 0, 0, NULL), PULSEWS_ENOTCONNECTED);
    IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, 0), PULSEWS_OK); /* it waits for the connection */
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    pulsews_client_free(client);
}

TEST(garbage_handshake) { IS(opening("garbage-handshake", NO_OPTIONS, NULL), PULSEWS_EHEADERS); }
TEST(endless_header) { IS(opening("endless-header", NO_OPTIONS, NULL), PULSEWS_EHEADERS); }
TEST(endless_headers) { IS(opening("endless-headers", NO_OPTIONS, NULL), PULSEWS_EHEADERS); }
TEST(slow_handshake) { IS(opening("slow-handshake", NO_OPTIONS, NULL), PULSEWS_OK); }
TEST(stalled_handshake) { IS(opening("stalled-handshake", OPTIONS("open_timeout=300ms"), NULL), PULSEWS_EOPENTIMEOUT); }
TEST(wrong_accept) { IS(opening("wrong-accept", NO_OPTIONS, NULL), PULSEWS_EUPGRADE); }
TEST(unasked_extension) { IS(opening("unasked-extension", NO_OPTIONS, NULL), PULSEWS_EUPGRADE); }
TEST(unasked_subprotocol) { IS(opening("unasked-subprotocol", NO_OPTIONS, NULL), PULSEWS_EUPGRADE); }
TEST(reset_in_handshake) { IS(opening("reset-in-handshake", NO_OPTIONS, NULL), PULSEWS_ERESET); }

TEST(eof_in_handshake) {
    int32_t status = opening("eof-in-handshake", NO_OPTIONS, NULL);
    CHECK(status == PULSEWS_EEOF || status == PULSEWS_EHEADERS);
}

TEST(refused_with_403) {
    pulsews_client *client;
    char text[512];
    IS(opening("refuse-403", NO_OPTIONS, &client), PULSEWS_EHANDSHAKE);
    IS(pulsews_handshake_status(client), 403);
    CHECK(pulsews_handshake_headers(client, text, sizeof text) > 0 && strstr(text, "X-Reason: token\n"));
    IS(pulsews_handshake_body(client, text, sizeof text), 14);
    CHECK(strcmp(text, "token expired\n") == 0);
    IS(pulsews_close_code(client), 0);
    pulsews_client_free(client);
}

TEST(refused_with_an_endless_body) {
    pulsews_client *client;
    IS(opening("refuse-endless-body", NO_OPTIONS, &client), PULSEWS_EHANDSHAKE);
    IS(pulsews_handshake_status(client), 500);
    IS(pulsews_handshake_body(client, NULL, 0), 4096);
    pulsews_client_free(client);
}

TEST(garbage_frames) { IS(ending("garbage", NO_OPTIONS, NOTHING, NULL), PULSEWS_EPROTOCOL); }
TEST(masked_frame) { IS(ending("masked", NO_OPTIONS, NOTHING, NULL), PULSEWS_EPROTOCOL); }
TEST(text_that_is_not_utf8) { IS(ending("bad-utf8", NO_OPTIONS, NOTHING, NULL), PULSEWS_EPAYLOAD); }
TEST(reset_mid_frame) { IS(ending("reset-mid-frame", NO_OPTIONS, WHOLE_ANSWERED, NULL), PULSEWS_ERESET); }
TEST(eof_mid_frame) { IS(ending("eof-mid-frame", NO_OPTIONS, WHOLE, NULL), PULSEWS_EEOF); }
TEST(bad_deflate) { IS(ending("bad-deflate", NO_OPTIONS, NOTHING, NULL), PULSEWS_EDEFLATE); }

TEST(huge_claim) {
    int64_t memory = peak_memory();
    IS(ending("huge-claim", NO_OPTIONS, NOTHING, NULL), PULSEWS_ETOOBIG);
    CHECK(peak_memory() - memory < 16 << 20);
}

TEST(endless_message) {
    int64_t memory = peak_memory();
    IS(ending("endless-message", NO_OPTIONS, NOTHING, NULL), PULSEWS_ETOOBIG);
    CHECK(peak_memory() - memory < 64 << 20);
}

TEST(decompression_bomb) {
    int64_t memory = peak_memory();
    IS(ending("bomb", NO_OPTIONS, NOTHING, NULL), PULSEWS_ETOOBIG);
    CHECK(peak_memory() - memory < 64 << 20);
}

TEST(message_over_the_limit) {
    pulsews_client *client;
    pulsews_message message;
    char payload[1001] = {0};
    IS(opening("echo", OPTIONS("max_message_size=1000", "reconnect=false"), &client), PULSEWS_OK);
    IS(pulsews_send(client, PULSEWS_BINARY, payload, 1000, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.length == 1000);
    IS(pulsews_send(client, PULSEWS_BINARY, payload, 1001, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_ETOOBIG);
    pulsews_client_free(client);
}

TEST(closed_by_the_server) {
    pulsews_client *client;
    char reason[32];
    IS(ending("close-1012", NO_OPTIONS, NOTHING, &client), PULSEWS_EPEERCLOSED);
    IS(pulsews_close_code(client), 1012);
    IS(pulsews_close_reason(client, reason, sizeof reason), 7);
    CHECK(strcmp(reason, "restart") == 0);
    pulsews_client_free(client);
}

TEST(lost_without_a_close_frame) {
    pulsews_client *client;
    IS(ending("eof-mid-frame", NO_OPTIONS, WHOLE, &client), PULSEWS_EEOF);
    IS(pulsews_close_code(client), 1006);
    IS(pulsews_close_reason(client, NULL, 0), 0);
    pulsews_client_free(client);
}

TEST(close_that_is_not_answered) {
    static const char *const modes[] = {"ignores-close", "mute"};
    for (int i = 0; i < 2; i++) {
        pulsews_client *client;
        IS(opening(modes[i], OPTIONS("close_timeout=200ms"), &client), PULSEWS_OK);
        int64_t begin = now_ns();
        IS(pulsews_close(client, 1000, NULL, PULSEWS_FOREVER), PULSEWS_OK);
        CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(190));
        IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
        pulsews_client_free(client);
    }
}

TEST(close_with_a_time_of_its_own) {
    pulsews_client *client;
    IS(opening("ignores-close", NO_OPTIONS, &client), PULSEWS_OK);
    IS(pulsews_close(client, 1000, NULL, PULSEWS_MILLISECONDS(50)), PULSEWS_ETIMEOUT);
    pulsews_client_free(client);
}

TEST(dead_peer) {
    pulsews_message message;
    pulsews_client *client;
    IS(opening("mute", OPTIONS("heartbeat_interval=100ms", "heartbeat_timeout=400ms", "reconnect=false"), &client),
       PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_EDEAD);
    pulsews_client_free(client);
}

TEST(peer_that_answers_heartbeats_lives) {
    pulsews_message message;
    pulsews_client *client;
    IS(opening("echo", OPTIONS("heartbeat_interval=50ms", "heartbeat_timeout=500ms"), &client), PULSEWS_OK);
    IS(pulsews_recv(client, &message, PULSEWS_MILLISECONDS(1500)), PULSEWS_ETIMEOUT);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    pulsews_client_free(client);
}

TEST(slow_server) {
    pulsews_message message;
    pulsews_client *client;
    IS(opening("slow", NO_OPTIONS, &client), PULSEWS_OK);
    IS(pulsews_send(client, PULSEWS_TEXT, "\xe2\x82\xac by bytes", 12, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.length == 12);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    pulsews_client_free(client);
}

static void expect_done(const char *mode) {
    pulsews_message message;
    pulsews_client *client;
    IS(opening(mode, NO_OPTIONS, &client), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.length == 4 && memcmp(message.data, "done", 4) == 0);
    pulsews_client_free(client);
}

TEST(every_ping_is_answered) { expect_done("ping-by-ping"); }
TEST(the_last_ping_of_a_flood_is_answered) { expect_done("ping-flood"); }

TEST(full_outbox) {
    pulsews_client *client;
    int32_t status = PULSEWS_OK;
    char *payload = calloc(1, 1 << 20);
    int64_t begin = 0, memory = peak_memory();
    IS(opening("mute", OPTIONS("message_queue_policy=block"), &client), PULSEWS_OK);
    for (int i = 0; i < 4096 && status == PULSEWS_OK; i++)
        status = pulsews_send(client, PULSEWS_BINARY, payload, 1 << 20, 0);
    IS(status, PULSEWS_EQUEUEFULL);
    /* What the loop still gives to the kernel makes room: it is full for good when a whole wait gained none. */
    do {
        begin = now_ns();
        status = pulsews_send(client, PULSEWS_BINARY, payload, 1 << 20, PULSEWS_MILLISECONDS(100));
    } while (status == PULSEWS_OK);
    IS(status, PULSEWS_EQUEUEFULL);
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(95));
    CHECK(peak_memory() - memory < 256 << 20);
    pulsews_client_free(client);
    free(payload);
}
