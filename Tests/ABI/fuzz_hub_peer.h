/* SPDX-License-Identifier: Apache-2.0
 *
 * For fuzz_hub.c: connections to hubs, and what is written to them: requests, frames, and any bytes. */
#ifndef FUZZ_HUB_PEER_H
#define FUZZ_HUB_PEER_H

#include <sys/un.h>

#include "fuzz_hub_texts.h"
#include "fuzz_input.h"

#define COUNT(list) ((unsigned)(sizeof(list) / sizeof *(list)))
#define ANY(list) (list)[pick(COUNT(list))]
#define TEXT_OF(list) text_of(list, COUNT(list))

enum { CONNECTIONS = 8, MOST_WRITING = 96 << 10 };

static int connections[CONNECTIONS];
static char writing[MOST_WRITING];
static size_t written;

static void add(const void *bytes, size_t count) {
    if (count > MOST_WRITING - written) count = MOST_WRITING - written;
    if (count) memcpy(writing + written, bytes, count);
    written += count;
}

static void say(const char *text) { add(text, strlen(text)); }

static void add_any_bytes(void) {
    for (unsigned count = pick(40); count; count--) {
        uint8_t one = byte();
        add(&one, 1);
    }
}

static void add_token(void) {
    if (pick(3)) return;
    say("Authorization: Bearer "), say(ANY(tokens)), say("\r\n");
}

static void add_upgrade(void) {
    say("GET "), say(targets[pick(4) ? pick(3) : pick(COUNT(targets))]);
    if (pick(16) == 15) say("?token="), say(ANY(tokens));
    say(" HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    if (pick(2)) say(headers[0]);
    for (unsigned count = pick(3); count; count--) say(ANY(headers));
    add_token();
    say("\r\n");
}

static void add_request(void) {
    char length[64];
    const char *body = pick(3) ? ANY(bodies) : "";
    say(pick(2) ? "GET" : ANY(methods)), say(" "), say(ANY(targets));
    say(pick(16) == 15 ? " HTTP/1.0\r\nHost: h\r\n" : " HTTP/1.1\r\nHost: h\r\n");
    for (unsigned count = pick(4); count; count--) say(ANY(headers));
    add_token();
    int is_chunked = pick(4) == 3;
    snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", strlen(body));
    say(is_chunked ? "Transfer-Encoding: chunked\r\n\r\n" : length);
    if (is_chunked) snprintf(length, sizeof length, "%zx;a=b\r\n", strlen(body)), say(length);
    say(body);
    if (is_chunked) say(pick(4) ? "\r\n0\r\n\r\n" : "\r\n0\r\nTrailer: x\r\n\r\n");
}

/* One frame: mostly whole and masked with zeros, so that the payload stands there as it is. */
static void add_frame(const char *payload, size_t count, uint8_t first) {
    uint8_t head[14] = {first, 0x80};
    size_t size = 2;
    unsigned how = byte();
    if (count < 126 && how < 200) {
        head[1] |= (uint8_t)count;
    } else if (count < 65536 && how < 220) {
        head[1] |= 126, head[2] = (uint8_t)(count >> 8), head[3] = (uint8_t)count, size = 4;
    } else {
        head[1] |= 127, size = 10;
        for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)((uint64_t)count >> (56 - 8 * i));
    }
    if (how == 255) memset(head + 2, 0xFF, 8); /* a length that cannot be */
    if (how == 254) head[1] &= 0x7F;           /* no mask */
    size += head[1] & 0x80 ? 4 : 0;
    add(head, size), add(payload, count);
}

static void add_message(void) {
    static const char large[70000], deflated[] = "\xf2\x48\xcd\xc9\xc9\x07\x00", bomb[] = "\xff\xff\xff";
    static const char closes[][3] = {"\x03\xe8", "\x03\xed", "\x0f\xa8", "\x00\x00", "\xff\xff"};
    char auth[1200];
    const char *saying = ANY(sayings);
    switch (pick(12)) {
    case 0:
        add_frame(auth,
                  (size_t)snprintf(auth, sizeof auth, "{\"type\":\"auth\",\"id\":1,\"data\":{\"token\":\"%s\"}}",
                                   ANY(tokens)),
                  0x81);
        break;
    case 1: add_frame(large, pick(2) ? sizeof large : 65535, pick(2) ? 0x82 : 0x81); break;
    case 2: add_frame(deflated, sizeof deflated - 1, 0xC1); break;
    case 3: add_frame(bomb, pick(4), 0xC1 + (uint8_t)pick(2)); break;
    case 4: add_frame(ANY(closes), pick(4) ? 2 : pick(3), 0x88); break;
    case 5: add_frame("ping", pick(5), pick(2) ? 0x89 : 0x8A); break;
    case 6: /* in two */
        add_frame(saying, strlen(saying) / 2, 1);
        if (pick(2)) add_frame("", 0, 0x89);
        add_frame(saying + strlen(saying) / 2, strlen(saying) - strlen(saying) / 2, 0x80);
        break;
    case 7: add_frame(saying, strlen(saying), byte()); break;
    default: add_frame(saying, strlen(saying), 0x81);
    }
}

/* What a peer could write, more or less; a new one mostly begins with an upgrade. */
static void compose(int is_new) {
    written = 0;
    unsigned how = pick(8);
    if (is_new && how > 4) how = 0;
    if (!is_new && how < 2) how = 6;
    if (how < 3) add_upgrade();
    if (how == 3) add_any_bytes();
    if (how == 4 || how == 5)
        for (unsigned count = pick(4) + 1; count; count--) add_request();
    if (how != 4)
        for (unsigned count = pick(6); count; count--) add_message();
    if (how == 7) add_any_bytes();
    if (pick(16) == 15 && written)
        written = pick((unsigned)written < 256 ? (unsigned)written : 256); /* not all of it */
}

/* A connection to where a hub says that it listens; -1 if there is none. Nothing waits. */
static int connect_to(const char *address) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr *where = (struct sockaddr *)&in;
    socklen_t size = sizeof in;
    if (strncmp(address, "unix:", 5) == 0) {
        if (strlen(address + 5) >= sizeof un.sun_path) return -1;
        strcpy(un.sun_path, address + 5), where = (struct sockaddr *)&un, size = sizeof un;
    } else {
        const char *colon = strrchr(address, ':');
        CHECK(colon != NULL, "an address without a port: %s", address);
        in.sin_port = in6.sin6_port = htons((uint16_t)atoi(colon + 1));
        if (*address == '[') where = (struct sockaddr *)&in6, size = sizeof in6;
    }
    int made = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made >= 0 && connect(made, where, size) != 0 && errno != EINPROGRESS) close(made), made = -1;
    return made;
}

static void drop_connection(int *connection) {
    if (*connection >= 0) close(*connection);
    *connection = -1;
}

/* Writes, reads, ends. What the hub has closed is no failure. */
static void use_connection(int *connection, int is_new) {
    static char reading[64 << 10];
    if (*connection < 0) return;
    struct linger now = {1, 0};
    struct pollfd wait = {.fd = *connection, .events = POLLIN};
    switch (is_new ? 9 : pick(12)) {
    case 0: shutdown(*connection, SHUT_WR); break;
    case 1: drop_connection(connection); break;
    case 2:
        setsockopt(*connection, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        drop_connection(connection);
        break;
    case 3:
    case 4:
        while (recv(*connection, reading, sizeof reading, MSG_DONTWAIT) > 0) {}
        break;
    default:
        compose(is_new);
        (void)!send(*connection, writing, written, MSG_NOSIGNAL | MSG_DONTWAIT);
        poll(&wait, 1, (int)pick(4));
    }
}

/* Until its other side has ended it: nobody may keep a connection of a hub that is gone. */
static void await_its_end(int connection) {
    static char reading[64 << 10];
    for (;;) {
        struct pollfd wait = {.fd = connection, .events = POLLIN};
        CHECK(poll(&wait, 1, 10000) == 1, "a connection is open without its hub");
        if (recv(connection, reading, sizeof reading, MSG_DONTWAIT) <= 0) return;
    }
}

#endif
