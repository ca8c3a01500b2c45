/* SPDX-License-Identifier: Apache-2.0
 *
 * The other side for fuzz_abi.c: a WebSocket server on one thread of this process. The path of the request says how it
 * behaves: /echo, /close (a close frame after the first message), /reset (RST then), /half (half a frame and the end),
 * /garbage, /refuse (403), /stall (no answer at all); anything else echoes. */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS = 64, MOST_OUTPUT = 1 << 20 };

typedef struct peer {
    int descriptor, is_open, is_ending;
    char path[16];
    uint8_t *in, *out;
    size_t in_count, out_count, in_room, out_room;
} peer;

static void grow(uint8_t **bytes, size_t *room, size_t wanted) {
    if (wanted <= *room) return;
    *room = wanted * 2;
    *bytes = realloc(*bytes, *room);
    if (!*bytes) abort();
}

static void put(peer *p, const void *bytes, size_t count) {
    grow(&p->out, &p->out_room, p->out_count + count);
    if (count) memcpy(p->out + p->out_count, bytes, count);
    p->out_count += count;
}

/* SHA-1 of one or two blocks, enough for a handshake key. */
static void sha1(const uint8_t *text, size_t count, uint8_t out[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, w[80];
    uint8_t block[128] = {0};
    size_t blocks = count + 9 > 64 ? 2 : 1;
    memcpy(block, text, count);
    block[count] = 0x80;
    block[blocks * 64 - 2] = (uint8_t)(count * 8 >> 8), block[blocks * 64 - 1] = (uint8_t)(count * 8);
    for (size_t b = 0; b < blocks; b++) {
        for (int i = 0; i < 16; i++) {
            const uint8_t *at = block + b * 64 + i * 4;
            w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        }
#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))
        for (int i = 16; i < 80; i++) w[i] = ROTATE(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = h[0], c1 = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? ((c1 & c) | (~c1 & d)) + 0x5A827999
                         : i < 40 ? (c1 ^ c ^ d) + 0x6ED9EBA1
                         : i < 60 ? ((c1 & c) | (c1 & d) | (c & d)) + 0x8F1BBCDC
                                  : (c1 ^ c ^ d) + 0xCA62C1D6;
            uint32_t t = ROTATE(a, 5) + f + e + w[i];
            e = d, d = c, c = ROTATE(c1, 30), c1 = a, a = t;
        }
        h[0] += a, h[1] += c1, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}

static void accept_key(const char *key, char out[29]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t text[60], hash[21] = {0};
    memcpy(text, key, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1(text, 60, hash);
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)hash[i * 3] << 16 | (uint32_t)hash[i * 3 + 1] << 8 | hash[i * 3 + 2];
        for (int j = 0; j < 4; j++) out[i * 4 + j] = letters[three >> (18 - 6 * j) & 63];
    }
    out[27] = '=', out[28] = 0;
}

static int is_path(const peer *p, const char *path) { return strcmp(p->path, path) == 0; }

static void answer_request(peer *p) {
    static const char name[] = "\r\nsec-websocket-key: ";
    uint8_t *end = memmem(p->in, p->in_count, "\r\n\r\n", 4);
    if (!end) return;
    size_t used = (size_t)(end - p->in) + 4;
    end[3] = 0;
    const char *key = strcasestr((const char *)p->in, name);
    sscanf((const char *)p->in, "GET %15[^ ?]", p->path);
    if (is_path(p, "/stall")) {
        used = p->in_count;
    } else if (is_path(p, "/refuse") || !key || end < (const uint8_t *)key + sizeof name - 1 + 24) {
        static const char no[] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
        put(p, no, sizeof no - 1);
        p->is_ending = 1;
    } else {
        char answer[256], accept[29];
        accept_key(key + sizeof name - 1, accept);
        put(p, answer,
            (size_t)snprintf(answer, sizeof answer,
                             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                             accept));
        p->is_open = 1;
    }
    p->in_count -= used;
    memmove(p->in, p->in + used, p->in_count);
}

static inline void put_frame(peer *p, int opcode, const uint8_t *payload, size_t count) {
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    size_t size = 2;
    if (count < 126) {
        head[1] = (uint8_t)count;
    } else if (count < 65536) {
        head[1] = 126, head[2] = (uint8_t)(count >> 8), head[3] = (uint8_t)count, size = 4;
    } else {
        head[1] = 127, size = 10;
        for (int i = 0; i < 8; i++) head[2 + i] = (uint8_t)((uint64_t)count >> (56 - 8 * i));
    }
    put(p, head, size);
    put(p, payload, count);
}

/* 1 if there was a whole frame. */
static inline int take_frame(peer *p) {
    if (p->in_count < 2) return 0;
    uint64_t count = p->in[1] & 127;
    size_t head = 2;
    if (count == 126) {
        if (p->in_count < 4) return 0;
        count = (uint64_t)p->in[2] << 8 | p->in[3], head = 4;
    } else if (count == 127) {
        if (p->in_count < 10) return 0;
        count = 0, head = 10;
        for (int i = 2; i < 10; i++) count = count << 8 | p->in[i];
    }
    if (!(p->in[1] & 128) || p->in[0] & 0x70 || count > 64 << 20) {
        fprintf(stderr, "the library sent a frame that a server may not accept: %02x %02x\n", p->in[0], p->in[1]);
        abort();
    }
    if (p->in_count < head + 4 + count) return 0;
    const uint8_t *key = p->in + head;
    uint8_t *payload = p->in + head + 4;
    for (uint64_t i = 0; i < count; i++) payload[i] ^= key[i & 3];
    int opcode = p->in[0] & 15;
    if (opcode == 8) {
        put_frame(p, 8, payload, count), p->is_ending = 1;
    } else if (opcode == 9) {
        put_frame(p, 10, payload, count);
    } else if (opcode != 10) {
        size_t place = p->out_count;
        put_frame(p, opcode, payload, count);
        p->out[place] = p->in[0]; /* a fragment comes back as one */
        if (is_path(p, "/close")) {
            put_frame(p, 8, (const uint8_t *)"\x03\xf4why", 5), p->is_ending = 1;
        } else if (is_path(p, "/half")) {
            put(p, "\x81\x7e\x10", 3), p->is_ending = 1;
        } else if (is_path(p, "/garbage")) {
            put(p, "\xff\xfe garbage", 10);
        } else if (is_path(p, "/reset")) {
            struct linger now = {1, 0};
            setsockopt(p->descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            p->is_ending = 2;
        }
    }
    size_t used = head + 4 + (size_t)count;
    p->in_count -= used;
    memmove(p->in, p->in + used, p->in_count);
    return 1;
}

static inline void drop_peer(peer *p) {
    close(p->descriptor);
    free(p->in), free(p->out);
    memset(p, 0, sizeof *p);
    p->descriptor = -1;
}

static inline void serve_peer(peer *p, short events) {
    if (events & (POLLIN | POLLHUP | POLLERR)) {
        grow(&p->in, &p->in_room, p->in_count + 65536);
        ssize_t got = recv(p->descriptor, p->in + p->in_count, 65536, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return drop_peer(p);
        if (got > 0) p->in_count += (size_t)got;
    }
    if (p->is_ending) p->in_count = 0; /* the client still has to see what is on its way */
    if (!p->is_open && !p->is_ending) answer_request(p);
    for (;;) {
        while (p->is_open && !p->is_ending && p->out_count < MOST_OUTPUT && take_frame(p)) {}
        if (p->is_ending == 2) return drop_peer(p);
        if (!p->out_count) break;
        ssize_t sent = send(p->descriptor, p->out, p->out_count, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return drop_peer(p);
        if (sent > 0) p->out_count -= (size_t)sent, memmove(p->out, p->out + sent, p->out_count);
        if (p->out_count) break;
    }
    if (p->is_ending && !p->out_count) shutdown(p->descriptor, SHUT_WR);
}

static inline void *serve(void *listener) {
    static peer peers[PEERS];
    for (int i = 0; i < PEERS; i++) peers[i].descriptor = -1;
    for (;;) {
        struct pollfd waits[PEERS + 1] = {{.fd = (int)(intptr_t)listener, .events = POLLIN}};
        for (int i = 0; i < PEERS; i++) {
            short events = peers[i].out_count < MOST_OUTPUT ? POLLIN : 0;
            waits[i + 1] = (struct pollfd){.fd = peers[i].descriptor,
                                           .events = peers[i].out_count ? events | POLLOUT : events};
        }
        if (poll(waits, PEERS + 1, -1) < 0) continue;
        for (int i = 0; i < PEERS; i++)
            if (peers[i].descriptor >= 0 && waits[i + 1].revents) serve_peer(&peers[i], waits[i + 1].revents);
        if (!waits[0].revents) continue;
        int taken = accept4((int)(intptr_t)listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        for (int i = 0; i < PEERS && taken >= 0; i++)
            if (peers[i].descriptor < 0) peers[i].descriptor = taken, taken = -1;
        if (taken >= 0) close(taken);
    }
    return NULL;
}

/* A socket at a free port of this machine; listening or not (then the port refuses). */
static int bind_port(int listening, int *descriptor) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(*descriptor, (struct sockaddr *)&address, size) != 0 || (listening && listen(*descriptor, 64) != 0) ||
        getsockname(*descriptor, (struct sockaddr *)&address, &size) != 0)
        abort();
    return ntohs(address.sin_port);
}

/* Answers the request of a connection. */
static inline void answer_peer(peer *p) {
    while (!p->is_open) {
        grow(&p->in, &p->in_room, p->in_count + 4096);
        ssize_t got = recv(p->descriptor, p->in + p->in_count, 4096, 0);
        if (got <= 0) abort();
        p->in_count += (size_t)got;
        answer_request(p);
    }
    if (send(p->descriptor, p->out, p->out_count, MSG_NOSIGNAL) != (ssize_t)p->out_count) abort();
    p->out_count = 0;
}

static inline peer take_peer(int listener) {
    peer p = {.descriptor = accept(listener, NULL, NULL)};
    answer_peer(&p);
    return p;
}

/* Starts the server; gives its port. */
static inline int start_peer(void) {
    int listener, port = bind_port(1, &listener);
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener) != 0) abort();
    return port;
}

#endif
