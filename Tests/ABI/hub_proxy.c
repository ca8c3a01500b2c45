/* SPDX-License-Identifier: Apache-2.0 */
/* Behind a proxy that introduces its clients: the PROXY protocol. And how many peers one user may have. */
#include "hub.h"
#include <sys/socket.h>
#include <unistd.h>

static const char upgrade[] = "GET /ws/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n";

static void put(int connection, const void *bytes, size_t size) {
    IS(send(connection, bytes, size, MSG_NOSIGNAL), (int64_t)size);
}

static void ask(int connection, const char *headers) {
    char request[512];
    put(connection, request, (size_t)snprintf(request, sizeof request, upgrade, headers));
}

/* Nothing more comes. */
static void expect_end(int connection) {
    char rest[1024];
    ssize_t count;
    while ((count = recv(connection, rest, sizeof rest, 0)) > 0) {}
    close(connection);
}

static pulsews_hub *behind_proxy(const char *const *more) {
    const char *all[16] = {"proxy_protocol=true", "trusted_proxy=127.0.0.1", "events=connected"};
    for (size_t i = 3; *more; more++) all[i++] = *more;
    return open_hub(all);
}

/* The address of the peer that has come. */
static void expect_from(pulsews_hub *hub, const char *address) {
    const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_CONNECTED);
    if (strcmp(event->address, address) != 0) {
        fprintf(stderr, "the peer comes from %s, not %s\n", event->address, address);
        exit(1);
    }
}

static const unsigned char version2[] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};

TEST(hub_proxy_header_names_the_client) {
    static const char line[] = "PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n";
    unsigned char header[64];
    pulsews_hub *hub = behind_proxy(NO_OPTIONS);
    int connection = http_connect(hub_port(hub));
    put(connection, line, sizeof line - 1);
    ask(connection, "X-Forwarded-For: 203.0.113.9\r\n"); /* of a client that is no proxy itself */
    expect_from(hub, "192.0.2.7");
    close(connection);
    /* Version 2, IPv6, with bytes of extensions, one byte after the other. */
    memcpy(header, version2, 12);
    header[12] = 0x21, header[13] = 0x21, header[14] = 0, header[15] = 40;
    for (int i = 0; i < 16; i++) header[16 + i] = (unsigned char)(i == 0 ? 0x20 : i == 1 ? 1 : i == 15 ? 5 : 0);
    memset(header + 32, 1, 24);
    connection = http_connect(hub_port(hub));
    for (int i = 0; i < 56; i++) put(connection, header + i, 1);
    ask(connection, "");
    expect_from(hub, "2001::5");
    close(connection);
    /* The proxy itself, which then says for whom by X-Forwarded-For. */
    header[12] = 0x20, header[13] = 0, header[15] = 0;
    connection = http_connect(hub_port(hub));
    put(connection, header, 16);
    ask(connection, "X-Forwarded-For: 203.0.113.9\r\n");
    expect_from(hub, "203.0.113.9");
    close(connection);
    pulsews_hub_free(hub);
}

TEST(hub_proxy_header_that_is_none) {
    static const char *const bad[] = {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 50000\r\n",
                                      "PROXY TCP4 2001::5 10.0.0.1 1 2\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
                                      "PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n"};
    pulsews_hub *hub = behind_proxy(OPTIONS("header_timeout=200ms"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int connection = http_connect(hub_port(hub));
        put(connection, bad[i], strlen(bad[i]));
        expect_end(connection);
    }
    /* The begin of one, and nothing more: with its end, and without. */
    int half = http_connect(hub_port(hub)), silent = http_connect(hub_port(hub));
    put(half, version2, 12);
    shutdown(half, SHUT_WR);
    expect_end(half);
    put(silent, version2, 12);
    expect_end(silent);
    CHECK(hub_statistic(hub, "http_connections") == 0 && hub_statistic(hub, "upgrades") == 0);
    pulsews_hub_free(hub);
}

/* Whom nobody trusts is no proxy: what he says first is a bad request. */
TEST(hub_proxy_header_of_a_stranger) {
    pulsews_hub *hub = open_hub(OPTIONS("proxy_protocol=true", "trusted_proxy=192.0.2.1"));
    CHECK(strstr(http_exchange(hub_port(hub), "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
                 " 505 "));
    CHECK(strstr(http_exchange(hub_port(hub), "GET /ws/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
                 " 200 "));
    pulsews_hub_free(hub);
}

/* Limits of addresses hold for those behind the proxy. */
TEST(hub_proxy_clients_have_limits) {
    static const char line[] = "PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n",
                      other[] = "PROXY TCP4 192.0.2.8 10.0.0.1 1 2\r\n";
    pulsews_hub *hub = behind_proxy(OPTIONS("address_connections=2"));
    int connections[3];
    for (int i = 0; i < 2; i++) {
        connections[i] = http_connect(hub_port(hub));
        put(connections[i], line, sizeof line - 1);
        ask(connections[i], "");
        expect_from(hub, "192.0.2.7");
    }
    int third = http_connect(hub_port(hub));
    put(third, line, sizeof line - 1);
    /* Told why, though nothing was asked yet. */
    char answer[2048] = "";
    size_t size = 0;
    for (ssize_t got; (got = recv(third, answer + size, sizeof answer - 1 - size, 0)) > 0;) size += (size_t)got;
    CHECK(strstr(answer, "HTTP/1.1 429 ") == answer && strstr(answer, "too many connections"));
    close(third);
    CHECK(hub_statistic(hub, "connections_refused") == 1);
    connections[2] = http_connect(hub_port(hub));
    put(connections[2], other, sizeof other - 1);
    ask(connections[2], "");
    expect_from(hub, "192.0.2.8");
    for (int i = 0; i < 3; i++) close(connections[i]);
    pulsews_hub_free(hub);
}

#define ANN                                                                                                            \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDAsInRvcGljcyI6WyJwcmljZS5TT0wiXX0."    \
    "MH9qAE-p-DomLi90jmjnhMzFHpD0idIMp_bxHcysohM"

TEST(hub_users_have_limits) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_hub *hub = make_hub(OPTIONS("auth=required", "user_connections=2"));
    IS(pulsews_hub_key(hub, "main", "HS256", "an example secret of 32 bytes ok", 32, why, sizeof why), PULSEWS_OK);
    start_hub(hub);
    pulsews_client *peers[3];
    for (int i = 0; i < 2; i++)
        peers[i] = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=Authorization: Bearer " ANN));
    CHECK(strstr(http_exchange(hub_port(hub),
                               "GET /ws/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                               "Authorization: Bearer " ANN "\r\n\r\n"),
                 "this user has too many connections"));
    /* In band, too; a token that is renewed counts once. */
    send_text(peers[0], "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"" ANN "\"}}");
    GETS(peers[0], "\"type\":\"auth\"", "\"user\":\"ann\"");
    peers[2] = make_peer(hub, "/ws/stream", 1, NO_OPTIONS);
    send_text(peers[2], "{\"type\":\"auth\",\"data\":{\"token\":\"" ANN "\"}}");
    pulsews_message message;
    while (pulsews_recv(peers[2], &message, SHORT) == PULSEWS_OK) {}
    IS(pulsews_close_code(peers[2]), 4029);
    pulsews_client_free(peers[2]);
    /* Whoever goes makes room. */
    pulsews_client_free(peers[0]);
    await_hub_statistic(hub, "peers_closed", 2);
    peers[0] = make_peer(hub, "/ws/stream", 1, OPTIONS("headers=Authorization: Bearer " ANN));
    for (int i = 0; i < 2; i++) pulsews_client_free(peers[i]);
    pulsews_hub_free(hub);
}
