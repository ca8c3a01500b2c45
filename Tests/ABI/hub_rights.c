/* SPDX-License-Identifier: Apache-2.0 */
/* Who may connect to a hub, subscribe and publish. */
#include "hub.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Tokens that end in 2100, signed with SECRET unless their name says otherwise. */
#define SECRET "an example secret of 32 bytes ok"
#define ANN                                                                                                            \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljcyI6WyJwcml"                 \
    "jZS4qIl0sInB1Ymxpc2giOlsic2lnbmFsLioiXX0.OnvMb7yqJ5c9WUuCF5iY8FCqG5VlrrcV_S_ncWN8qKw"
#define BOB                                                                                                            \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljcyI6WyJwcml"                 \
    "jZS5TT0wiXX0.ObgavYas1dMaL2rAyg1q6iLIPAo0heGXCN9dZq6jAcQ"
/* Ann's, for price.SOL alone. */
#define ANN_LESS                                                                                                       \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljcyI6WyJwcml"                 \
    "jZS5TT0wiXX0.MH9qAE-p-DomLi90jmjnhMzFHpD0idIMp_bxHcysohM"
#define EXPIRED                                                                                                        \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjEwMDAwMDAwMDB9.ZzQcse7qeR9hYXKv3-"                 \
    "Jqm_wC5erk-pl1_Bcusgkv2fU"
#define FORGED                                                                                                         \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.f__Qtv-Pvr7Eedvs1a"                 \
    "izjJmWq5YV8yz7p-gLyJM9zos"
#define UNSIGNED "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9."
#define ENDLESS                                                                                                        \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4ifQ.b85_8lULKSx-i3ZjmmKbAc_9wfDdlN9mJCsKXxAx"                 \
    "jH4"

static pulsews_hub *guarded(const char *const *options) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_hub *hub = make_hub(options);
    IS(pulsews_hub_key(hub, "main", "HS256", SECRET, sizeof SECRET - 1, why, sizeof why), PULSEWS_OK);
    hub_topic(hub, "price.* subscribe=granted");
    hub_topic(hub, "news subscribe=authenticated");
    hub_topic(hub, "public history=1");
    hub_topic(hub, "signal.* history=1");
    start_hub(hub);
    return hub;
}

/* What a handshake with these headers is answered. */
static const char *upgrade(const pulsews_hub *hub, const char *path, const char *headers) {
    char request[4096];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n",
             path, headers);
    return http_exchange(hub_port(hub), request);
}

static void expect_closed(pulsews_client *peer, int code) {
    pulsews_message message;
    int32_t status;
    while ((status = pulsews_recv(peer, &message, PULSEWS_SECONDS(20))) == PULSEWS_OK) {}
    IS(status, PULSEWS_EPEERCLOSED);
    IS(pulsews_close_code(peer), code);
    pulsews_client_free(peer);
}

TEST(hub_pages_of_other_origins) {
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    CHECK(strstr(upgrade(hub, "/ws/stream", "Origin: https://evil.example\r\n"), "403 Forbidden") != NULL);
    CHECK(strstr(upgrade(hub, "/ws/stream", "Origin: null\r\n"), "\"code\":\"origin_forbidden\"") != NULL);
    pulsews_hub_free(hub);
    hub = open_hub(OPTIONS("origin=https://app.example", "header_timeout=200ms", "heartbeat_timeout=400ms"));
    CHECK(strstr(upgrade(hub, "/ws/stream", "Origin: https://app.example\r\n"), "101 Switching Protocols") != NULL);
    CHECK(strstr(upgrade(hub, "/ws/stream", "Origin: https://app.example.evil.example\r\n"), "403 Forbidden") != NULL);
    CHECK(strstr(upgrade(hub, "/ws/stream", "Origin: null\r\n"), "403 Forbidden") != NULL);
    CHECK(strstr(upgrade(hub, "/ws/stream", "Origin: http://app.example\r\n"), "403 Forbidden") != NULL);
    pulsews_hub_free(hub);
}

TEST(hub_tokens_in_each_carrier) {
    pulsews_hub *hub = guarded(OPTIONS("auth=required", "auth_timeout=400ms"));
    pulsews_client *peer = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=Authorization: Bearer " ANN));
    subscribe_peer(peer, "price.SOL");
    subscribe_peer(peer, "news");
    publish(hub, "price.SOL", NULL, "1");
    GETS(peer, "\"data\":1}");
    pulsews_client_free(peer);

    /* In the message. Before it nothing is done. */
    peer = make_peer(hub, "/ws/stream?topics=public", 1, NO_OPTIONS);
    send_text(peer, "{\"type\":\"subscribe\",\"topics\":[\"public\"]}");
    GETS(peer, "\"type\":\"error\"", "unauthenticated");
    send_text(peer, "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"" BOB "\"}}");
    GETS(peer, "\"type\":\"auth\"", "\"user\":\"bob\"", "\"expires\":\"2100-01-01T00:00:00.000Z\"");
    GETS(peer, "\"type\":\"subscribed\"", "public"); /* as the URL asked */
    subscribe_peer(peer, "price.SOL");
    send_text(peer, "{\"type\":\"subscribe\",\"topics\":[\"price.BTC\"]}");
    GETS(peer, "\"type\":\"error\"", "topic_forbidden");
    /* Renewed by one of another user. */
    send_text(peer, "{\"type\":\"auth\",\"data\":{\"token\":\"" ANN "\"}}");
    GETS(peer, "\"type\":\"error\"", "another_user");
    pulsews_client_free(peer);

    CHECK(strstr(upgrade(hub, "/ws/stream?token=" ANN, ""),
                 "a token in the URL is not taken here (option token_in_url)"));
    expect_closed(make_peer(hub, "/ws/stream", 1, NO_OPTIONS), 4001);
    peer = make_peer(hub, "/ws/stream", 1, NO_OPTIONS);
    send_text(peer, "{\"type\":\"auth\",\"data\":{\"token\":\"" FORGED "\"}}");
    GETS(peer, "\"type\":\"error\"");
    expect_closed(peer, 4001);
    check_books(hub);
    pulsews_hub_free(hub);
}

TEST(hub_tokens_that_do_not_hold) {
    pulsews_hub *hub = guarded(OPTIONS("auth=optional", "address_failures=100", "heartbeat_timeout=400ms"));
    static const char *const tokens[] = {EXPIRED, FORGED, UNSIGNED, ENDLESS, "x", "..", "a.b.c"};
    static const char *const codes[] = {"expired", "", "", "", "", "", ""};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        char header[1024];
        snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", tokens[i]);
        const char *answer = upgrade(hub, "/ws/stream", header);
        CHECK(strstr(answer, "401 Unauthorized") != NULL && strstr(answer, codes[i]) != NULL);
        CHECK(i > 3 || strstr(answer, tokens[i]) == NULL);
    }
    CHECK(hub_statistic(hub, "tokens_refused") == 7);
    /* Not from the URL, unless that is asked for. */
    CHECK(strstr(upgrade(hub, "/ws/stream?token=x", ""), "101 Switching") != NULL);
    pulsews_hub_free(hub);
    hub = guarded(OPTIONS("auth=optional", "token_in_url=true", "heartbeat_timeout=400ms"));
    CHECK(strstr(upgrade(hub, "/ws/stream?token=x", ""), "401") != NULL);
    CHECK(strstr(upgrade(hub, "/ws/stream?token=" BOB, ""), "101 Switching") != NULL);
    pulsews_hub_free(hub);
}

TEST(hub_a_renewed_token_takes_rights_away) {
    pulsews_hub *hub = guarded(OPTIONS("auth=required", "events=connected"));
    pulsews_client *peer = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=Authorization: Bearer " ANN));
    uint64_t number = hub_event(hub, PULSEWS_HUB_CONNECTED)->peer;
    static const char *const topics[] = {"price.BTC", "price.ETH", "price.SOL", "news"};
    for (int i = 0; i < 4; i++) subscribe_peer(peer, topics[i]);
    /* By the application, as well as by the peer or alone. */
    IS(pulsews_hub_subscribe(hub, number, "price.ETH"), PULSEWS_OK);
    GETS(peer, "\"type\":\"subscribed\"", "price.ETH");
    IS(pulsews_hub_subscribe(hub, number, "price.XRP"), PULSEWS_OK);
    GETS(peer, "\"type\":\"subscribed\"", "price.XRP");
    send_text(peer, "{\"type\":\"auth\",\"data\":{\"token\":\"" ANN_LESS "\"}}");
    GETS(peer, "\"type\":\"auth\"", "\"user\":\"ann\"");
    GETS(peer, "\"type\":\"error\"", "topic_forbidden", "price.BTC");
    send_text(peer, "{\"type\":\"ping\",\"id\":1}");
    GETS(peer, "\"type\":\"pong\"");
    CHECK(hub_statistic(hub, "subscriptions") == 4);
    for (int i = 0; i < 4; i++) publish(hub, topics[i], NULL, "1");
    for (int i = 1; i < 4; i++) GETS(peer, topics[i], "\"data\":1}");
    pulsews_client_free(peer);
    check_books(hub);
    pulsews_hub_free(hub);
}

TEST(hub_the_application_decides_who_connects) {
    pulsews_hub *hub = open_hub(OPTIONS("events=authorize"));
    int connected = http_connect(hub_port(hub));
    static const char
        request[] = "GET /ws/stream?a=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    "Cookie: session=7\r\nAuthorization: Bearer abc\r\n\r\n";
    char answer[4096];
    for (int lets_in = 0; lets_in < 2; lets_in++) {
        if (lets_in) connected = http_connect(hub_port(hub));
        CHECK(write(connected, request, sizeof request - 1) == sizeof request - 1);
        const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_AUTHORIZE);
        CHECK(strcmp(event->text, "abc") == 0 && strstr(event->headers, "Cookie: session=7\n") != NULL);
        CHECK(strcmp(event->target, "/ws/stream?a=1") == 0);
        IS(pulsews_hub_answer(hub, event->request, lets_in ? 101 : 403, NULL, "no seat is free", lets_in ? 0 : 15),
           PULSEWS_OK);
        ssize_t count = read(connected, answer, sizeof answer - 1);
        CHECK(count > 0);
        answer[count] = 0;
        CHECK(strstr(answer, lets_in ? "101 Switching" : "403 Forbidden") != NULL);
        if (!lets_in) CHECK(strstr(answer, "no seat is free") != NULL);
        close(connected);
    }
    pulsews_hub_free(hub);
}

TEST(hub_limits_of_an_address) {
    pulsews_hub *hub = open_hub(OPTIONS("address_connections=3"));
    pulsews_client *peers[3];
    for (int i = 0; i < 3; i++) peers[i] = pulse_peer(hub);
    CHECK(strstr(http_exchange(hub_port(hub), "GET /ws/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
                 "429 Too Many") != NULL);
    pulsews_client_free(peers[0]);
    await_hub_statistic(hub, "peers_closed", 1);
    peers[0] = pulse_peer(hub);
    for (int i = 0; i < 3; i++) pulsews_client_free(peers[i]);
    pulsews_hub_free(hub);

    /* Behind a proxy the limits are those of its clients. */
    hub = open_hub(OPTIONS("address_connections=1", "trusted_proxy=127.0.0.0/8", "events=connected"));
    pulsews_client *one = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=X-Forwarded-For: 6.6.6.6, 192.0.2.7"));
    CHECK(strcmp(hub_event(hub, PULSEWS_HUB_CONNECTED)->address, "192.0.2.7") == 0);
    pulsews_client *two = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=X-Forwarded-For: 192.0.2.8"));
    static const char
        again[] = "GET /ws/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n";
    CHECK(strstr(http_exchange(hub_port(hub), again), "429 Too Many") != NULL);
    CHECK(strstr(http_exchange(hub_port(hub), "GET /ws/health HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: no\r\n\r\n"),
                 "400 ") != NULL);
    pulsews_client_free(one);
    pulsews_client_free(two);
    pulsews_hub_free(hub);

    hub = open_hub(OPTIONS("peer_messages=5"));
    pulsews_client *peer = pulse_peer(hub);
    for (int i = 0; i < 20; i++) pulsews_send(peer, PULSEWS_TEXT, "{\"type\":\"ping\"}", 15, 0);
    expect_closed(peer, 4029);
    CHECK(hub_statistic(hub, "rate_exceeded") == 1);
    pulsews_hub_free(hub);

    hub = guarded(OPTIONS("auth=optional", "address_failures=3"));
    for (int i = 0; i < 3; i++)
        CHECK(strstr(upgrade(hub, "/ws/stream", "Authorization: Bearer " FORGED "\r\n"), "401 ") != NULL);
    CHECK(strstr(upgrade(hub, "/ws/stream", "Authorization: Bearer " BOB "\r\n"), "429 ") != NULL);
    pulsews_hub_free(hub);
}

/* The claims that a peer's token has now, wherever it came from. */
TEST(hub_tells_who_a_peer_is) {
    pulsews_hub *hub = guarded(OPTIONS("auth=optional", "events=authenticated", "events=connected"));
    pulsews_client *peer = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=Authorization: Bearer " ANN));
    uint64_t number = hub_event(hub, PULSEWS_HUB_CONNECTED)->peer;
    const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_AUTHENTICATED);
    static const char
        ann[] = "{\"sub\":\"ann\",\"exp\":4102444800,\"topics\":[\"price.*\"],\"publish\":[\"signal.*\"]}";
    CHECK(event->peer == number && strcmp(event->text, "ann") == 0 && strcmp(event->route, "/ws/stream") == 0);
    CHECK(event->length == sizeof ann - 1 && memcmp(event->data, ann, event->length) == 0);
    send_text(peer, "{\"type\":\"auth\",\"data\":{\"token\":\"" ANN_LESS "\"}}");
    event = hub_event(hub, PULSEWS_HUB_AUTHENTICATED);
    CHECK(event->peer == number && event->length < sizeof ann &&
          memchr(event->data, '{', event->length) == event->data);
    /* What is refused changes nothing. */
    send_text(peer, "{\"type\":\"auth\",\"data\":{\"token\":\"" BOB "\"}}");
    GETS(peer, "\"type\":\"auth\"");
    GETS(peer, "another_user");
    pulsews_client *other = make_peer(hub, "/ws/stream", 1, NO_OPTIONS);
    send_text(other, "{\"type\":\"auth\",\"data\":{\"token\":\"" FORGED "\"}}");
    GETS(other, "token_bad_signature");
    send_text(other, "{\"type\":\"auth\",\"data\":{\"token\":\"" BOB "\"}}");
    event = hub_event(hub, PULSEWS_HUB_AUTHENTICATED);
    CHECK(event->peer != number && strcmp(event->text, "bob") == 0);
    pulsews_client_free(other);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

static const char *ask(const pulsews_hub *hub, const char *path, const char *headers) {
    char request[512];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n", path, headers);
    return http_exchange(hub_port(hub), request);
}

TEST(hub_status_with_a_token) {
    static const char *const paths[] = {"/ws/status", "/ws/stats", "/metrics"};
    pulsews_hub *hub = open_hub(OPTIONS("status_token=open-sesame", "address_failures=7"));
    for (int i = 0; i < 3; i++) {
        CHECK(strstr(ask(hub, paths[i], "Authorization: Bearer open-sesame\r\n"), " 200 OK"));
        CHECK(strstr(ask(hub, paths[i], ""), " 401 "));
        CHECK(strstr(ask(hub, paths[i], "Authorization: Bearer open-sesam\r\n"), " 401 "));
        CHECK(strstr(ask(hub, paths[i], "Authorization: Bearer \r\n"), "messages_published") == NULL);
    }
    CHECK(strstr(ask(hub, "/ws/health", ""), " 200 OK"));
    CHECK(strstr(ask(hub, "/ws/peers", "Authorization: Bearer open-sesame\r\n"), " 404 "));
    /* Who guesses is banned as who guesses tokens. */
    for (int i = 0; i < 8; i++) ask(hub, "/metrics", "Authorization: Bearer x\r\n");
    CHECK(strstr(ask(hub, "/ws/health", ""), " 429 "));
    pulsews_hub_free(hub);
    hub = open_hub(NO_OPTIONS);
    for (int i = 0; i < 3; i++) CHECK(strstr(ask(hub, paths[i], ""), " 200 OK"));
    pulsews_hub_free(hub);
    hub = open_hub(OPTIONS("list_peers=true", "status_token=open-sesame"));
    pulsews_client *peer = pulse_peer(hub);
    const char *list = ask(hub, "/ws/peers", "Authorization: Bearer open-sesame\r\n");
    CHECK(strstr(list, "[{\"peer\":") && strstr(list, "\"address\":\"127.0.0.1\"") &&
          strstr(ask(hub, "/ws/peers", ""), " 401 "));
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

TEST(hub_publishing_with_a_token) {
    pulsews_hub *hub = guarded(OPTIONS("auth=none"));
    static const char *const cases[][4] = {{ANN, "signal.a", "200 OK", ""},
                                           {ANN, "price.SOL", "403 ", "forbidden"},
                                           {BOB, "signal.a", "403 ", "forbidden"},
                                           {FORGED, "signal.a", "401 ", "token_bad_signature"},
                                           {EXPIRED, "signal.a", "401 ", "token_expired"},
                                           {"of another kind", "signal.a", "401 ", "unauthenticated"}};
    for (int i = 0; i < 6; i++) {
        char request[2048], body[100];
        snprintf(body, sizeof body, "{\"topic\":\"%s\",\"data\":{\"type\":\"signal\"}}", cases[i][1]);
        snprintf(
            request, sizeof request,
            "POST /ws/publish HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
            cases[i][0], strlen(body), body);
        const char *answer = http_exchange(hub_port(hub), request);
        CHECK(strstr(answer, cases[i][2]) != NULL && strstr(answer, cases[i][3]) != NULL);
    }
    CHECK(hub_statistic(hub, "messages_published") == 1);
    pulsews_hub_free(hub);
}

TEST(hub_keys_that_are_refused) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_hub *hub = make_hub(OPTIONS("auth=required"));
    static const char *const algorithms[] = {"none", "HS512", "hs256", "", "RS256", "ES256", "EdDSA"};
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        IS(pulsews_hub_key(hub, "k", algorithms[i], SECRET, sizeof SECRET - 1, why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_key(hub, "k", "HS256", "short", 5, why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "short") == NULL || strstr(why, "32") != NULL);
    IS(pulsews_hub_key(hub, "k", "HS256", NULL, 5, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_hub_start(hub, why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "key") != NULL);
    pulsews_hub_free(hub);
}
