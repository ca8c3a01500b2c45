/* SPDX-License-Identifier: Apache-2.0
 * The limit: a blocking socket and frames made by hand, nothing checked. See bench.h. */
#include "bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum { ROOM = 128 << 10 };

typedef struct raw {
    int fd;
    SSL *tls;
    uint8_t *bytes;
    size_t start, end;
} raw;

static const bench_task *task;
static SSL_CTX *context;

static long raw_read(raw *r, void *into, size_t room) {
    return r->tls ? SSL_read(r->tls, into, (int)room) : recv(r->fd, into, room, 0);
}

static void raw_write(raw *r, const uint8_t *bytes, size_t count) {
    while (count) {
        long written = r->tls ? SSL_write(r->tls, bytes, (int)count) : send(r->fd, bytes, count, MSG_NOSIGNAL);
        if (written <= 0) bench_fail("write failed");
        bytes += written;
        count -= (size_t)written;
    }
}

/* The connection starts with what came behind the server's answer. */
static raw raw_open(uint8_t *bytes) {
    raw r = {.fd = socket(AF_INET, SOCK_STREAM, 0), .bytes = bytes};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(task->port))};
    int on = 1;
    inet_pton(AF_INET, task->host, &address.sin_addr);
    if (connect(r.fd, (struct sockaddr *)&address, sizeof address)) bench_fail("connect failed");
    setsockopt(r.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (task->secure) {
        r.tls = SSL_new(context);
        SSL_set_fd(r.tls, r.fd);
        if (SSL_connect(r.tls) != 1) bench_fail("TLS failed");
    }
    char request[600];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n",
                          task->target, task->host, task->port);
    raw_write(&r, (uint8_t *)request, (size_t)length);
    for (;;) {
        long count = raw_read(&r, bytes + r.end, ROOM - r.end);
        if (count <= 0) bench_fail("no answer");
        r.end += (size_t)count;
        uint8_t *head = memmem(bytes, r.end, "\r\n\r\n", 4);
        if (!head) continue;
        r.start = (size_t)(head + 4 - bytes);
        return r;
    }
}

static void raw_close(raw *r) {
    SSL_free(r->tls);
    close(r->fd);
}

/* The next message's payload; NULL at a close frame or the end. The server sends frames of less than 64 KiB. */
static const uint8_t *raw_next(raw *r, size_t *size) {
    for (;;) {
        size_t count = r->end - r->start;
        const uint8_t *at = r->bytes + r->start;
        if (count >= 4) {
            size_t header = at[1] == 126 ? 4 : 2;
            *size = header == 4 ? (size_t)at[2] << 8 | at[3] : at[1];
            if (count >= header + *size) {
                r->start += header + *size;
                return (at[0] & 15) == 8 ? NULL : at + header;
            }
        }
        memmove(r->bytes, at, count);
        r->start = 0;
        r->end = count;
        long more = raw_read(r, r->bytes + count, ROOM - count);
        if (more <= 0) return NULL;
        r->end += (size_t)more;
    }
}

static size_t raw_frame(uint8_t *at, size_t size) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t header = size < 126 ? 2 : 4;
    at[0] = 0x81;
    at[1] = (uint8_t)(0x80 | (size < 126 ? size : 126));
    if (header == 4) {
        at[2] = (uint8_t)(size >> 8);
        at[3] = (uint8_t)size;
    }
    memcpy(at + header, key, 4);
    for (size_t i = 0; i < size; i++) at[header + 4 + i] = (uint8_t)('a' ^ key[i & 3]);
    return header + 4 + size;
}

int main(int count, char **arguments) {
    bench_task given = bench_arguments(count, arguments);
    task = &given;
    if (given.secure) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_load_verify_locations(context, given.ca, NULL);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    static uint8_t bytes[ROOM], out[BURST * (65536 + 8)];
    long n = given.count;
    int64_t *times = calloc((size_t)n + 1, sizeof *times);
    size_t size;
    if (bench_is(task, "idle")) {
        bench_allow_files();
        long first = 0;
        for (long i = 0; i < n; i++) {
            raw_open(bytes);
            if (i == 0) first = bench_resident_kib();
        }
        bench_print_idle(task, first, bench_resident_kib());
        return 0;
    }
    if (bench_is(task, "connect")) {
        bench_clock start = bench_start();
        for (long i = 0; i < n; i++) {
            int64_t before = bench_now();
            raw r = raw_open(bytes);
            times[i] = bench_now() - before;
            raw_close(&r);
        }
        bench_print_times(task, start, times, n, "");
        return 0;
    }
    raw r = raw_open(bytes);
    bench_clock start = bench_start();
    if (bench_is(task, "flood") || bench_is(task, "flood-one")) {
        long messages = 0;
        while (raw_next(&r, &size)) messages++;
        bench_print(task, start, messages, "");
    } else if (bench_is(task, "echo")) {
        for (long i = -WARM_UP; i < n; i++) {
            if (i == 0) start = bench_start();
            int64_t before = bench_now();
            raw_write(&r, out, raw_frame(out, given.size));
            if (!raw_next(&r, &size)) bench_fail("no echo");
            if (i >= 0) times[i] = bench_now() - before;
        }
        bench_print_times(task, start, times, n, "");
    } else if (bench_is(task, "sink")) {
        char more[40];
        for (long i = 0; i < n; i++) raw_write(&r, out, raw_frame(out, given.size));
        if (!raw_next(&r, &size)) bench_fail("no confirmation");
        snprintf(more, sizeof more, ",\"writes\":%ld", n);
        bench_print(task, start, n, more);
    } else if (bench_is(task, "burst")) {
        /* 64 frames in one write: what nobody can beat. */
        char more[40];
        for (long i = 0; i < n; i++) {
            int64_t before = bench_now();
            size_t length = 0;
            for (int k = 0; k < BURST; k++) length += raw_frame(out + length, given.size);
            raw_write(&r, out, length);
            for (int k = 0; k < BURST; k++)
                if (!raw_next(&r, &size)) bench_fail("no echo");
            times[i] = bench_now() - before;
        }
        snprintf(more, sizeof more, ",\"writes\":%ld", n);
        bench_print_times(task, start, times, n, more);
    } else {
        bench_fail("unknown measure");
    }
    return 0;
}
