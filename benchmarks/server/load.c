/* SPDX-License-Identifier: Apache-2.0
 *
 * load - a WebSocket server for benchmarks: one thread, epoll, as little work per byte as possible.
 *
 *     load [CERTIFICATE KEY]
 *
 * Listens on 127.0.0.1 at free ports and prints them: "plain PORT tls PORT" (tls 0 without a certificate). It ends when
 * its standard input ends. The path chooses what a connection does:
 *
 *   /flood?size=128&count=1000000           that many text frames as fast as they are taken, then a close frame
 *   /echo                                   every frame comes back; what was read together is written together
 *   /sink?count=1000000                     after that many messages one text with the count
 *   /paced?rate=1000&size=128&seconds=5     frames that begin with their send time: CLOCK_MONOTONIC in ns, 20 digits
 *   /idle                                   nothing; pings are answered
 */
#define _GNU_SOURCE
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 128 << 10, READ = 1 << 20, TICK_NS = 250000 };

static int poller, ticker, listeners[2];
static int standard_input;
static SSL_CTX *context;
static connection *ticking[64], *dead;
static int ticking_count;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void require(int ok, const char *what) {
    if (ok) return;
    perror(what);
    exit(1);
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

static size_t put_header(uint8_t *at, uint8_t opcode, size_t size) {
    at[0] = 0x80 | opcode;
    if (size < 126) {
        at[1] = (uint8_t)size;
        return 2;
    }
    int bytes = size < 65536 ? 2 : 8;
    at[1] = bytes == 2 ? 126 : 127;
    for (int i = 0; i < bytes; i++) at[2 + i] = (uint8_t)((uint64_t)size >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}

static void put_frame(connection *c, uint8_t opcode, const void *payload, size_t size) {
    uint8_t *at = buffer_reserve(&c->output, size + 10);
    size_t header = put_header(at, opcode, size);
    memcpy(at + header, payload, size);
    c->output.end += header + size;
}

/* Whole frames of market data in JSON, as many as fit into BLOCK. Made once per size and kept. */
static const uint8_t *flood_block(size_t size, size_t *block_size, size_t *frame_size) {
    static struct {
        uint8_t *bytes;
        size_t size, frame, total;
    } known[16];
    static int count;
    static const char tick[] = "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"u\":400900217,\"b\":\"67321.55\","
                               "\"a\":\"67321.56\"},\"note\":\"";
    int i = 0;
    while (i < count && known[i].size != size) i++;
    if (i == count) {
        if (count == 16) return NULL;
        uint8_t header[10];
        size_t frame = put_header(header, 1, size) + size, frames = BLOCK / frame ? BLOCK / frame : 1;
        uint8_t *bytes = malloc(frame * frames);
        require(bytes != NULL, "memory");
        for (size_t k = 0; k < frames; k++) {
            uint8_t *payload = bytes + k * frame + put_header(bytes + k * frame, 1, size);
            for (size_t b = 0; b < size; b++)
                payload[b] = b < sizeof tick - 1 ? (uint8_t)tick[b] : (uint8_t)('0' + (k + b) % 10);
            if (size >= sizeof tick + 1) memcpy(payload + size - 2, "\"}", 2);
        }
        known[i].bytes = bytes;
        known[i].size = size;
        known[i].frame = frame;
        known[i].total = frame * frames;
        count++;
    }
    *block_size = known[i].total;
    *frame_size = known[i].frame;
    return known[i].bytes;
}

/* ---- The life of a connection ------------------------------------------------------------------------------------ */

static void stop_ticking(connection *c) {
    for (int i = 0; i < ticking_count; i++)
        if (ticking[i] == c) ticking[i] = ticking[--ticking_count];
}

/* Freed after the round of events: another event of this round may still name it. */
static void finish(connection *c) {
    if (c->phase == DEAD) return;
    c->phase = DEAD;
    stop_ticking(c);
    if (c->tls) SSL_free(c->tls);
    close(c->fd);
    buffer_release(&c->input);
    buffer_release(&c->output);
    c->next = dead;
    dead = c;
}

static void want(connection *c, uint32_t interest) {
    if (c->interest == interest) return;
    struct epoll_event event = {.events = interest, .data.ptr = c};
    epoll_ctl(poller, c->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
    c->interest = interest;
}

/* Writes what there is, the flood behind it. 0 when the connection has ended. */
static int pump(connection *c) {
    for (;;) {
        const uint8_t *bytes;
        size_t count;
        int from_block = 0;
        if ((count = buffer_count(&c->output))) {
            bytes = c->output.bytes + c->output.start;
        } else if (c->task == FLOOD && c->left) {
            size_t offset = (size_t)(c->position % c->block_size);
            bytes = c->block + offset;
            count = c->block_size - offset < c->left ? c->block_size - offset : (size_t)c->left;
            from_block = 1;
        } else {
            break;
        }
        long written = connection_write(c, bytes, count);
        if (written == IO_END) return finish(c), 0;
        if (written == IO_AGAIN) return want(c, EPOLLIN | EPOLLOUT), 1;
        if (!from_block) {
            buffer_consume(&c->output, (size_t)written);
            continue;
        }
        c->position += (uint64_t)written;
        c->left -= (uint64_t)written;
        if (!c->left) put_frame(c, 8, "\x03\xe8", 2);
    }
    if (c->phase == ENDING) return finish(c), 0;
    if (c->task == IDLE || c->output.room > 256 << 10) buffer_release(&c->output);
    if (c->task != SINK) want(c, EPOLLIN);
    return 1;
}

static void start_ticking(connection *c) {
    if (ticking_count == 64) return finish(c);
    ticking[ticking_count++] = c;
    if (ticking_count > 1) return;
    struct itimerspec every = {{0, TICK_NS}, {0, TICK_NS}};
    timerfd_settime(ticker, 0, &every, NULL);
}

static uint64_t parameter(const char *target, const char *name, uint64_t otherwise) {
    size_t length = strlen(name);
    for (const char *at = strpbrk(target, "?&"); at; at = strpbrk(at + 1, "?&"))
        if (!strncmp(at + 1, name, length) && at[1 + length] == '=') return strtoull(at + 2 + length, NULL, 10);
    return otherwise;
}

static void begin(connection *c, const char *target) {
    c->phase = OPEN;
    c->size = (size_t)parameter(target, "size", 128);
    if (!strncmp(target, "/flood", 6)) {
        size_t frame;
        c->block = flood_block(c->size, &c->block_size, &frame);
        if (!c->block) return finish(c);
        c->task = FLOOD;
        c->left = frame * parameter(target, "count", 1000000);
    } else if (!strncmp(target, "/echo", 5)) {
        c->task = ECHO;
    } else if (!strncmp(target, "/sink", 5)) {
        /* Read at every tick and not by epoll: otherwise every lone write of the sender also pays for waking this process. */
        c->task = SINK;
        c->expected = parameter(target, "count", 1000000);
        if (c->interest) epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
        c->interest = 0;
        start_ticking(c);
    } else if (!strncmp(target, "/paced", 6)) {
        uint64_t rate = parameter(target, "rate", 1000);
        c->task = PACED;
        if (c->size < 20) c->size = 20;
        if (c->size > 1 << 20) c->size = 1 << 20;
        c->expected = rate * parameter(target, "seconds", 5);
        c->interval = 1000000000LL / (int64_t)(rate ? rate : 1);
        c->due = now() + c->interval;
        start_ticking(c);
    }
}

/* The upgrade (RFC 6455 §4.2), for clients that are known to be right. */
static int upgrade(connection *c) {
    *buffer_reserve(&c->input, 1) = 0;
    char *request = (char *)c->input.bytes + c->input.start, *end = strstr(request, "\r\n\r\n");
    if (!end) return buffer_count(&c->input) > 65536 ? finish(c), 0 : 0;
    char target[512], joined[128], accept[32];
    char *key = strcasestr(request, "\r\nSec-WebSocket-Key:");
    if (!key || sscanf(key + 20, " %60s", joined) != 1 || sscanf(request, "GET %511s", target) != 1)
        return finish(c), 0;
    strcat(joined, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    unsigned char digest[SHA_DIGEST_LENGTH];
    SHA1((unsigned char *)joined, strlen(joined), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    char answer[256];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    buffer_append(&c->output, answer, (size_t)length);
    buffer_consume(&c->input, (size_t)(end + 4 - request));
    begin(c, target);
    return c->phase != DEAD;
}

static void unmask(uint8_t *into, const uint8_t *from, size_t count, const uint8_t *key) {
    uint32_t word;
    uint64_t wide, chunk;
    memcpy(&word, key, 4);
    wide = (uint64_t)word << 32 | word;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        memcpy(&chunk, from + i, 8);
        chunk ^= wide;
        memcpy(into + i, &chunk, 8);
    }
    for (; i < count; i++) into[i] = from[i] ^ key[i & 3];
}

/* Eats the frames that are there. A frame of a sink need not be whole, any other one must. */
static void take_frames(connection *c) {
    for (;;) {
        size_t count = buffer_count(&c->input);
        if (c->skip && count) {
            size_t step = count < c->skip ? count : (size_t)c->skip;
            c->skip -= step;
            buffer_consume(&c->input, step);
            continue;
        }
        const uint8_t *at = c->input.bytes + c->input.start;
        if (count < 2) return;
        uint8_t opcode = at[0] & 15;
        uint64_t size = at[1] & 127;
        size_t header = 2;
        if (size >= 126) {
            header = size == 126 ? 4 : 10;
            if (count < header) return;
            size = 0;
            for (size_t i = 2; i < header; i++) size = size << 8 | at[i];
        }
        const uint8_t *key = at + header;
        if (!(at[1] & 128) || size > 64 << 20) return finish(c);
        header += 4;
        if (count < header) return;
        if (c->task == SINK && opcode < 8) {
            c->seen += at[0] >> 7;
            c->bytes += size;
            c->skip = size;
            buffer_consume(&c->input, header);
            if (c->seen == c->expected) {
                char text[64];
                int length = snprintf(text, sizeof text, "{\"count\":%llu}", (unsigned long long)c->seen);
                put_frame(c, 1, text, (size_t)length);
                c->seen = 0;
            }
            continue;
        }
        if (count < header + size) return;
        if (opcode == 8 || opcode == 9 || (c->task == ECHO && opcode < 3)) {
            uint8_t *to = buffer_reserve(&c->output, (size_t)size + 10);
            size_t written = put_header(to, opcode == 9 ? 10 : opcode, (size_t)size);
            to[0] = (uint8_t)((opcode == 9 ? 10 : opcode) | (at[0] & 0x80));
            unmask(to + written, at + header, (size_t)size, key);
            c->output.end += written + (size_t)size;
        }
        buffer_consume(&c->input, header + (size_t)size);
        if (opcode == 8) {
            c->phase = ENDING;
            c->left = 0;
            return;
        }
    }
}

static void readable(connection *c) {
    for (int rounds = 0; rounds < 64 && c->phase != DEAD; rounds++) {
        size_t room = c->phase == OPEN && c->task != IDLE ? READ : 2048;
        long count = connection_read(c, buffer_reserve(&c->input, room), room);
        if (count == IO_END) return finish(c);
        if (count == IO_AGAIN) break;
        c->input.end += (size_t)count;
        if (c->phase == UPGRADE && !upgrade(c)) {
            if (c->phase == DEAD) return;
            continue;
        }
        if (c->phase == OPEN) take_frames(c);
        if (!c->tls && (size_t)count < room) break;
    }
    if (c->phase == DEAD) return;
    if (c->task == IDLE && !buffer_count(&c->input)) buffer_release(&c->input);
    pump(c);
}

static void handle(connection *c, uint32_t events) {
    if (c->phase == DEAD) return;
    if (c->phase == TLS_HANDSHAKE) {
        int result = SSL_accept(c->tls);
        if (result != 1) {
            int error = SSL_get_error(c->tls, result);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return finish(c);
            return want(c, error == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN);
        }
        c->phase = UPGRADE;
        want(c, EPOLLIN);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    if (c->phase != DEAD && events & EPOLLOUT) pump(c);
}

static void pace(connection *c) {
    static char text[1 << 20];
    for (; c->seen < c->expected && c->due <= now(); c->due += c->interval) {
        memset(text, 'x', c->size);
        char stamp[24];
        snprintf(stamp, sizeof stamp, "%020lld", (long long)now());
        memcpy(text, stamp, 20);
        put_frame(c, 1, text, c->size);
        c->seen++;
        if (!pump(c)) return;
    }
    if (c->seen < c->expected) return;
    stop_ticking(c);
    put_frame(c, 8, "\x03\xe8", 2);
    pump(c);
}

static void tick(void) {
    uint64_t times;
    if (read(ticker, &times, sizeof times) < 0) return;
    for (int i = ticking_count; i-- > 0;) {
        connection *c = ticking[i];
        if (c->task == SINK) readable(c);
        else if (c->task == PACED) pace(c);
    }
    if (ticking_count) return;
    struct itimerspec never = {{0, 0}, {0, 0}};
    timerfd_settime(ticker, 0, &never, NULL);
}

/* ---- Listening --------------------------------------------------------------------------------------------------- */

static int listen_anywhere(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(fd >= 0 && !bind(fd, (struct sockaddr *)&address, length) && !listen(fd, 4096), "listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    *port = ntohs(address.sin_port);
    return fd;
}

static void accept_all(int secure) {
    for (;;) {
        int fd = accept4(listeners[secure], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection *c = calloc(1, sizeof *c);
        require(c != NULL, "memory");
        c->fd = fd;
        c->phase = secure ? TLS_HANDSHAKE : UPGRADE;
        if (secure) {
            c->tls = SSL_new(context);
            SSL_set_fd(c->tls, fd);
            SSL_set_accept_state(c->tls);
        }
        want(c, EPOLLIN);
    }
}

static void watch(int fd, void *tag) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) && errno != EPERM) require(0, "epoll_ctl");
}

int main(int count, char **arguments) {
    int ports[2] = {0, 0};
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    ticker = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    require(poller >= 0 && ticker >= 0, "epoll");
    watch(ticker, &ticker);
    watch(0, &standard_input);
    listeners[0] = listen_anywhere(&ports[0]);
    watch(listeners[0], &listeners[0]);
    if (count == 3) {
        context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
        require(SSL_CTX_use_certificate_chain_file(context, arguments[1]) == 1 &&
                    SSL_CTX_use_PrivateKey_file(context, arguments[2], SSL_FILETYPE_PEM) == 1,
                "certificate");
        listeners[1] = listen_anywhere(&ports[1]);
        watch(listeners[1], &listeners[1]);
    }
    printf("plain %d tls %d\n", ports[0], ports[1]);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            void *tag = events[i].data.ptr;
            if (tag == &standard_input) {
                char ignored[64];
                if (read(0, ignored, sizeof ignored) <= 0) return 0;
            } else if (tag == &ticker) {
                tick();
            } else if (tag == &listeners[0] || tag == &listeners[1]) {
                accept_all(tag == &listeners[1]);
            } else {
                handle(tag, events[i].events);
            }
        }
        while (dead) {
            connection *next = dead->next;
            free(dead);
            dead = next;
        }
    }
}
