/* SPDX-License-Identifier: Apache-2.0
 *
 * Servers that refuse, in HTTP that breaks its rules: the verdict counts all the same. */
#include "harness.h"

static const char *headers_of(const pulsews_client *client) {
    static char headers[4096];
    CHECK(pulsews_handshake_headers(client, headers, sizeof headers) < (int64_t)sizeof headers);
    return headers;
}

static const char *body_of(const pulsews_client *client) {
    static char body[8192];
    CHECK(pulsews_handshake_body(client, body, sizeof body) < (int64_t)sizeof body);
    return body;
}

/* A client that goes on trying: what its first attempt gives. */
static pulsews_client *trying(const char *mode, int32_t expected) {
    pulsews_client *client;
    IS(opening(mode, OPTIONS("open_timeout=60s", "reconnect_base_delay=10ms", "jitter=0"), &client), expected);
    return client;
}

TEST(a_folded_403_is_final) {
    pulsews_client *client = trying("refuse-403-folded", PULSEWS_EHANDSHAKE);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_EHANDSHAKE);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    IS((int64_t)statistic(client, "attempts"), 1);
    IS(pulsews_handshake_status(client), 403);
    CHECK(strstr(headers_of(client), "X-Reason: your token    has expired\n"));
    CHECK(strcmp(body_of(client), "no") == 0);
    pulsews_client_free(client);
}

TEST(a_429_with_line_feeds_alone_is_not_asked_again_too_soon) {
    pulsews_client *client = trying("refuse-429-line-feeds", PULSEWS_EHANDSHAKE);
    char status[16384];
    CHECK(pulsews_status_json(client, status, sizeof status) < (int64_t)sizeof status);
    CHECK(json_number(status, "next_delay") >= 59);
    IS(pulsews_handshake_status(client), 429);
    CHECK(strstr(headers_of(client), "Retry-After: 60\n") && strcmp(body_of(client), "slow") == 0);
    pulsews_client_free(client);
}

TEST(a_status_that_is_none_is_a_refusal) {
    pulsews_client *client = trying("refuse-999", PULSEWS_EHANDSHAKE);
    char status[16384];
    CHECK(pulsews_status_json(client, status, sizeof status) < (int64_t)sizeof status);
    CHECK(json_number(status, "next_delay") >= 59);
    IS(pulsews_handshake_status(client), 999);
    pulsews_client_free(client);
}

/* The time that an attempt may take is a minute here. */
TEST(a_body_that_never_ends_does_not_hold_the_verdict_back) {
    int64_t begin = now_ns();
    pulsews_client *client = trying("refuse-403-stalled-body", PULSEWS_EHANDSHAKE);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(20));
    IS(pulsews_handshake_status(client), 403);
    CHECK(strcmp(body_of(client), "token expired") == 0);
    pulsews_client_free(client);
}

TEST(a_refusal_that_is_cut_short_is_one) {
    pulsews_client *client = trying("refuse-403-cut", PULSEWS_EHANDSHAKE);
    IS(pulsews_handshake_status(client), 403);
    CHECK(strcmp(headers_of(client), "X-Reason: token\n") == 0);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_EHANDSHAKE);
    IS((int64_t)statistic(client, "attempts"), 1);
    pulsews_client_free(client);
}

/* What came of the answer is there, whatever is wrong with it. */
TEST(a_bad_101_can_be_looked_at) {
    pulsews_client *client;
    IS(opening("wrong-accept", OPTIONS("reconnect=false"), &client), PULSEWS_EUPGRADE);
    IS(pulsews_handshake_status(client), 101);
    CHECK(strstr(headers_of(client), "Upgrade: websocket\n"));
    pulsews_client_free(client);
    IS(opening("stalled-handshake", OPTIONS("reconnect=false", "open_timeout=200ms"), &client), PULSEWS_EOPENTIMEOUT);
    IS(pulsews_handshake_status(client), 101);
    CHECK(strcmp(headers_of(client), "Upgrade: websocket\n") == 0);
    pulsews_client_free(client);
    IS(opening("garbage-handshake", OPTIONS("reconnect=false"), &client), PULSEWS_EHEADERS);
    IS(pulsews_handshake_status(client), 0);
    CHECK(strcmp(headers_of(client), "") == 0);
    pulsews_client_free(client);
}

TEST(empty_lines_for_extension_and_subprotocol_are_none) {
    pulsews_client *client = open_client(start_server("empty-lines-of-the-upgrade"),
                                         OPTIONS("subprotocols=a", "reconnect=false"));
    char chosen[16];
    IS(pulsews_subprotocol(client, chosen, sizeof chosen), 0);
    send_text(client, "hello");
    await_text(client, "hello");
    pulsews_client_free(client);
}

/* The sentence, last_error and the log quote what the server says, on one line. */
TEST(a_refusal_quotes_the_servers_words) {
    char why[PULSEWS_ERROR_SIZE], status[16384], line[2000];
    const char *words = "{\"code\":-1003, \"msg\":\"IP banned until 1659146400000\"}";
    const char *escaped = "{\\\"code\\\":-1003, \\\"msg\\\":\\\"IP banned until 1659146400000\\\"}";
    IS(pulsews_log_queue(PULSEWS_LOG_ERROR, 100), PULSEWS_OK);
    pulsews_client *client = make_client(start_server("refuse-418-banned"), OPTIONS("reconnect=false"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EHANDSHAKE);
    fprintf(stderr, "%s\n", why);
    CHECK(strstr(why, "status 418") && strstr(why, words));
    CHECK(pulsews_status_json(client, status, sizeof status) < (int64_t)sizeof status);
    CHECK(strstr(strstr(status, "\"last_error\":"), escaped));
    CHECK(pulsews_log_next(line, sizeof line, NULL, NULL, SHORT) > 0 && strstr(line, words));
    pulsews_client_free(client);
}

TEST(a_refusal_that_repeats_a_key_is_not_quoted) {
    char url[200], why[PULSEWS_ERROR_SIZE], line[2000];
    IS(pulsews_log_queue(PULSEWS_LOG_DEBUG, 1000), PULSEWS_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/path?key=s3cret-of-the-query", start_server("refuse-401-echo"));
    pulsews_client *client = make_client_at(url, OPTIONS("reconnect=false", "headers=X-Key: s3cret-of-the-header"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EHANDSHAKE);
    CHECK(strstr(why, "status 401") && !strstr(why, "s3cret"));
    CHECK(strstr(body_of(client), "s3cret-of-the-header")); /* for the program */
    pulsews_client_free(client);
    while (pulsews_log_next(line, sizeof line, NULL, NULL, 0) >= 0) CHECK(!strstr(line, "s3cret"));
}

/* What the client will do, where the code alone does not tell. */
TEST(whether_a_failure_is_worth_a_retry) {
    static const struct {
        const char *script, *option;
        int32_t status, retryable;
    } cases[] = {
        {"refuse 401", "retry_fatal=false", PULSEWS_EHANDSHAKE, 0},
        {"refuse 403", "retry_fatal=false", PULSEWS_EHANDSHAKE, 0},
        {"refuse 404", "retry_fatal=false", PULSEWS_EHANDSHAKE, 0},
        {"refuse 429", "retry_fatal=false", PULSEWS_EHANDSHAKE, 1},
        {"refuse 503", "retry_fatal=false", PULSEWS_EHANDSHAKE, 1},
        {"refuse 403", "retry_fatal=true", PULSEWS_EHANDSHAKE, 1},
        {"cut", "retry_fatal=false", PULSEWS_EEOF, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        server *s = scripted(SCRIPTS(cases[i].script));
        pulsews_client *client = make_client(port_of(s), OPTIONS("reconnect=false", cases[i].option));
        IS(pulsews_client_retryable(client), 0); /* nothing has failed yet */
        IS(pulsews_open(client, SHORT, NULL, 0), cases[i].status);
        IS(pulsews_client_retryable(client), cases[i].retryable);
        pulsews_client_free(client);
    }
    server *s = scripted(SCRIPTS("--tls", "accept"));
    char url[100];
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/", port_of(s));
    pulsews_client *client = make_client_at(url, OPTIONS("reconnect=false"));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_EUNKNOWNCA);
    IS(pulsews_client_retryable(client), 0);
    pulsews_client_free(client);
}
