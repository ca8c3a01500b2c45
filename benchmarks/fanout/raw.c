/* SPDX-License-Identifier: Apache-2.0 */
/* The floor: an epoll loop that makes a frame once and writes it to every socket. It checks nothing, and a peer that does
 * not read misses messages. */
#include "fanout.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <zlib.h>

typedef struct peer {
    int fd, is_open, compresses;
    uint8_t *rest; /* of a frame that was written in part */
    size_t rest_size;
} peer;

static int poller, listener;
static peer **peers;
static size_t peer_count, peer_room;
static int listening, commands; /* what they are watched with */
static z_stream deflater;

static void accept_all(void) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int on = 1;
        peer *p = calloc(1, sizeof *p);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        fanout_require(p && !epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "a peer");
        p->fd = fd;
        if (peer_count == peer_room) {
            peer_room = peer_room ? peer_room * 2 : 1024;
            peers = realloc(peers, peer_room * sizeof *peers);
            fanout_require(peers != NULL, "memory");
        }
        peers[peer_count++] = p;
    }
}

static void leave(peer *p) {
    for (size_t i = 0; i < peer_count; i++)
        if (peers[i] == p) peers[i] = peers[--peer_count];
    close(p->fd);
    free(p->rest);
    free(p);
}

/* The upgrade (RFC 6455 §4.2), for peers that are known to be right: a request comes in one piece. */
static void upgrade(peer *p, const char *request) {
    char joined[128], accept[32], answer[300];
    unsigned char digest[SHA_DIGEST_LENGTH];
    const char *key = strcasestr(request, "\r\nSec-WebSocket-Key:");
    fanout_require(key && strstr(request, "\r\n\r\n") && sscanf(key + 20, " %60s", joined) == 1, "an upgrade");
    strcat(joined, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    SHA1((unsigned char *)joined, strlen(joined), digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    p->compresses = strstr(request, "permessage-deflate") != NULL;
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n%s\r\n",
                          accept,
                          p->compresses ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                                          "client_no_context_takeover\r\n"
                                        : "");
    fanout_require(send(p->fd, answer, (size_t)length, MSG_NOSIGNAL) == length, "an answer");
    p->is_open = 1;
}

static void readable(peer *p) {
    char input[4096];
    ssize_t count = recv(p->fd, input, sizeof input - 1, 0);
    if (count <= 0) return leave(p);
    input[count] = 0;
    if (!p->is_open) upgrade(p, input);
}

static void watch_writing(peer *p, int on) {
    struct epoll_event event = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = p};
    epoll_ctl(poller, EPOLL_CTL_MOD, p->fd, &event);
}

static void write_rest(peer *p) {
    ssize_t count = send(p->fd, p->rest, p->rest_size, MSG_NOSIGNAL);
    if (count < 0) return;
    p->rest_size -= (size_t)count;
    memmove(p->rest, p->rest + count, p->rest_size);
    if (!p->rest_size) watch_writing(p, 0);
}

static void write_frames(peer *p, const uint8_t *frames, size_t size) {
    if (!p->is_open || p->rest_size) return;
    ssize_t count = send(p->fd, frames, size, MSG_NOSIGNAL);
    if (count == (ssize_t)size || (count < 0 && errno != EAGAIN)) return;
    if (count <= 0) return;
    p->rest_size = size - (size_t)count;
    p->rest = realloc(p->rest, p->rest_size);
    fanout_require(p->rest != NULL, "memory");
    memcpy(p->rest, frames + count, p->rest_size);
    watch_writing(p, 1);
}

static size_t put_frame(uint8_t *to, uint8_t first, const void *payload, size_t size) {
    size_t header = size < 126 ? 2 : 4;
    to[0] = first;
    to[1] = size < 126 ? (uint8_t)size : 126;
    if (size >= 126) to[2] = (uint8_t)(size >> 8), to[3] = (uint8_t)size;
    memcpy(to + header, payload, size);
    return header + size;
}

static size_t put_compressed(uint8_t *to, const char *text, size_t size) {
    static uint8_t output[1 << 17];
    deflateReset(&deflater);
    deflater.next_in = (Bytef *)text;
    deflater.avail_in = (uInt)size;
    deflater.next_out = output;
    deflater.avail_out = sizeof output;
    fanout_require(deflate(&deflater, Z_SYNC_FLUSH) == Z_OK && deflater.avail_out > 0, "deflate");
    return put_frame(to, 0xC1, output, sizeof output - deflater.avail_out - 4); /* RFC 7692 §7.2.1 */
}

static void publish(fanout_load *load) {
    static uint8_t plain[FANOUT_BURST << 16], compressed[FANOUT_BURST << 16];
    static char text[1 << 16];
    size_t size = 0, compressed_size = 0;
    int compresses = peer_count && peers[0]->compresses;
    fanout_require(load->longest < sizeof text - FANOUT_HEAD - 2, "a message that is short enough");
    for (long i = 0; i < load->burst && load->published < load->count; i++) {
        size_t length = fanout_message(load, text);
        size += put_frame(plain + size, 0x81, text, length);
        if (compresses) compressed_size += put_compressed(compressed + compressed_size, text, length);
    }
    for (size_t i = 0; i < peer_count; i++) {
        peer *p = peers[i];
        write_frames(p, p->compresses ? compressed : plain, p->compresses ? compressed_size : size);
    }
    load->due += load->interval;
}

static void start_listening(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fanout_require(listener >= 0 && !bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 4096),
                   "listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listening};
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = &commands};
    poller = epoll_create1(EPOLL_CLOEXEC);
    fanout_require(poller >= 0 && !epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) &&
                       !epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input),
                   "epoll");
    fanout_say_port(ntohs(address.sin_port));
}

/* The lines come one at a time, each after the answer to the one before. */
static void read_command(fanout_load *load) {
    char line[1024];
    ssize_t size = read(0, line, sizeof line - 1);
    if (size <= 0) exit(0);
    line[size] = 0;
    fanout_load found;
    if (fanout_command(line, &found)) *load = found;
}

int main(int count, char **arguments) {
    struct rlimit files;
    if (count != 5 || strcmp(arguments[1], "plain")) return fprintf(stderr, "usage: raw plain - - 0\n"), 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    fanout_require(deflateInit2(&deflater, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
    start_listening();
    fanout_load load = {0};
    for (;;) {
        struct epoll_event events[256];
        struct timespec wait = {0};
        if (load.count) {
            int64_t left = fanout_wait(&load);
            if (left < 0) fanout_published(&load);
            else if (left == 0) publish(&load);
            else wait = (struct timespec){left / 1000000000, left % 1000000000};
        }
        int ready = epoll_pwait2(poller, events, 256, load.count ? &wait : NULL, NULL);
        for (int i = 0; i < ready; i++) {
            peer *p = events[i].data.ptr;
            if (events[i].data.ptr == &listening) accept_all();
            else if (events[i].data.ptr == &commands) read_command(&load);
            else if (events[i].events & EPOLLOUT && p->rest_size) write_rest(p);
            else readable(p);
        }
    }
}
