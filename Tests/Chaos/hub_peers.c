/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hub_peers.h"
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000LL
enum { PIECE = 65536, LONGEST = 1 << 22 };
/* How a connection ends. */
enum { BY_RESET, BY_CLOSE, IN_A_FRAME, BY_CLOSE_FRAME, BY_HALF_CLOSE, WAYS, BY_ITSELF = WAYS, IN_SILENCE };

struct peer *peers;
uint64_t peer_returns, peer_ways[8];

static struct habits habits;
static uint64_t dice;
static int poller, cuts;

/* ---- Ends ---- */

static void watch(struct peer *p, uint32_t wanted) {
    struct epoll_event event = {.events = wanted, .data.ptr = p};
    if (wanted == p->watched) return;
    if (wanted == 0) epoll_ctl(poller, EPOLL_CTL_DEL, p->fd, NULL);
    else epoll_ctl(poller, p->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p->fd, &event);
    p->watched = wanted;
}

static void end(struct peer *p, int way) {
    struct linger hard = {1, 0};
    int64_t away = 1 + (int64_t)below(&dice, (uint32_t)habits.away);
    if (p->phase == OPEN || p->phase == LEAVING) peer_ways[way]++;
    if (way != BY_CLOSE && way != BY_ITSELF) setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    watch(p, 0);
    close(p->fd);
    p->fd = -1;
    p->phase = AWAY;
    p->is_stopped = 0;
    if (habits.long_away && chance(&dice, 0.05))
        away = habits.long_away / 2 + (int64_t)below(&dice, (uint32_t)habits.long_away / 2);
    p->wake_at = monotonic() + away * MS;
}

/* ---- Out ---- */

static void put(struct peer *p, const void *data, size_t length) {
    /* So little that the socket always has room; a peer of a stalled proxy may find none, and is cut then. */
    if (send(p->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length && p->phase != AWAY) end(p, BY_ITSELF);
}

static void put_frame(struct peer *p, int opcode, const void *payload, size_t length) {
    unsigned char frame[4096 + 8], mask[4];
    size_t at = 0;
    uint32_t key = (uint32_t)draw(&dice);
    if (length > 4096) abort();
    memcpy(mask, &key, 4);
    frame[at++] = (unsigned char)(0x80 | opcode);
    if (length < 126) frame[at++] = (unsigned char)(0x80 | length);
    else {
        frame[at++] = 0x80 | 126;
        frame[at++] = (unsigned char)(length >> 8);
        frame[at++] = (unsigned char)length;
    }
    memcpy(frame + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < length; i++) frame[at++] = ((const unsigned char *)payload)[i] ^ mask[i % 4];
    put(p, frame, at);
}

static void put_subscribe(struct peer *p) {
    char text[1024];
    int length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"id\":7,\"topics\":[");
    int returns = 0;
    for (int i = 0; i < p->count; i++) {
        struct follower *f = &p->topics[i];
        length += snprintf(text + length, sizeof text - (size_t)length, "%s{\"topic\":\"t%d\"", i ? "," : "", f->topic);
        if (f->life)
            length += snprintf(text + length, sizeof text - (size_t)length,
                               ",\"since\":{\"epoch\":\"%s\",\"offset\":%llu}", world->hub.epoch[f->life],
                               (unsigned long long)f->last);
        length += snprintf(text + length, sizeof text - (size_t)length, "}");
        returns += f->life != 0;
        follow_again(f);
    }
    length += snprintf(text + length, sizeof text - (size_t)length, "]}");
    p->has_returned = returns > 0;
    put_frame(p, 1, text, (size_t)length);
}

static void begin(struct peer *p) {
    int one = 1, little = 16384;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int is_proxied = habits.route == PROXY;
    address.sin_port = htons((uint16_t)atomic_load(is_proxied ? &world->proxy_plain_port : &world->plain_port));
    inet_pton(AF_INET, is_proxied ? "127.0.0.1" : world->address, &address.sin_addr);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0) abort();
    /* It is the hub that has to keep what is not read. */
    setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    p->phase = UPGRADING;
    p->wake_at = 0;
    p->in.start = p->in.end = 0;
    p->is_half_closed = p->has_returned = 0;
    p->heard = monotonic();
    p->cut_at = cuts ? p->heard + (int64_t)(1 + below(&dice, (uint32_t)cuts)) * MS : 0;
    p->deflates = p->index % 2;
    if (connect(p->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        return end(p, BY_ITSELF);
    watch(p, EPOLLOUT);
}

static void put_request(struct peer *p) {
    char request[512];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) return end(p, BY_ITSELF);
    int length = snprintf(request, sizeof request,
                          "GET /ws/stream HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                          "Sec-WebSocket-Protocol: pulse.v1\r\n%s\r\n",
                          p->deflates ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    watch(p, EPOLLIN);
    put(p, request, (size_t)length);
}

/* ---- In ---- */

static void take_head(struct peer *p) {
    const char *head = (const char *)first_byte(&p->in), *over = memmem(head, count_bytes(&p->in), "\r\n\r\n", 4);
    if (!over) return;
    size_t length = (size_t)(over - head) + 4;
    int is_good = strncmp(head, "HTTP/1.1 101 ", 13) == 0;
    if (is_good && !memmem(head, length, "\r\nSec-WebSocket-Protocol: pulse.v1\r\n", 35)) is_good = 0;
    if (is_good && p->deflates != (memmem(head, length, "server_no_context_takeover", 26) != NULL)) is_good = 0;
    if (!is_good) {
        follow_complain(&p->topics[0], "refused: %.*s", (int)(length < 200 ? length : 200), head);
        return end(p, BY_ITSELF);
    }
    drop_bytes(&p->in, length);
    p->phase = OPEN;
    put_subscribe(p);
}

static struct follower *topic_of(struct peer *p, const char *text) {
    const char *at = strstr(text, "\"topic\":\"t");
    int topic = at ? atoi(at + 10) : -1;
    for (int i = 0; i < p->count; i++)
        if (p->topics[i].topic == topic) return &p->topics[i];
    return NULL;
}

static int begins(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

static void take_text(struct peer *p, const char *text, size_t length) {
    const char *client = strstr(text, "\"client\":\"c-");
    if (begins(text, "{\"type\":\"welcome\"") && client) {
        p->id = strtoull(client + 12, NULL, 16);
        return;
    }
    struct follower *f = topic_of(p, text);
    if (!f) return follow_complain(&p->topics[0], "nothing of its own: %.150s", text);
    if (begins(text, "{\"type\":\"n\"")) return follow_message(f, text, length);
    if (begins(text, "{\"type\":\"gap\"")) return follow_gap(f, text);
    if (begins(text, "{\"type\":\"snapshot\"")) return follow_snapshot(f, text);
    if (!begins(text, "{\"type\":\"subscribed\"")) return follow_complain(f, "unexpected: %.150s", text);
    if (p->has_returned && f == &p->topics[0]) peer_returns++;
    /* With what those before it have to catch up. */
    uint64_t others = 0;
    for (const struct follower *other = p->topics; other < f; other++) others += other->behind;
    follow_subscribed(f, text, others);
}

/* RFC 7692 §7.2.2: without context takeover. */
static int inflate_text(struct peer *p, unsigned char *data, size_t length) {
    static const unsigned char tail[] = {0, 0, 0xff, 0xff};
    static unsigned char piece[PIECE];
    p->text.start = p->text.end = 0;
    if (inflateReset(&p->inflater) != Z_OK) abort();
    for (int part = 0; part < 2; part++) {
        p->inflater.next_in = part ? (unsigned char *)tail : data;
        p->inflater.avail_in = part ? 4 : (unsigned)length;
        do {
            p->inflater.next_out = piece;
            p->inflater.avail_out = sizeof piece;
            int status = inflate(&p->inflater, Z_SYNC_FLUSH);
            if (status != Z_OK && status != Z_BUF_ERROR) return 0;
            add_bytes(&p->text, piece, sizeof piece - p->inflater.avail_out);
        } while (p->inflater.avail_out == 0);
    }
    return 1;
}

static void take_close(struct peer *p, const unsigned char *data, size_t length) {
    p->close_code = length >= 2 ? data[0] << 8 | data[1] : 1005;
    if (p->phase == OPEN && !p->is_half_closed) put_frame(p, 8, data, length < 2 ? 0 : 2);
    if (p->phase != AWAY) end(p, p->phase == LEAVING ? BY_CLOSE_FRAME : BY_ITSELF);
}

static void take_frame(struct peer *p, int first, unsigned char *data, size_t length) {
    int opcode = first & 15, is_deflated = first & 0x40;
    if (opcode == 9 && !p->is_half_closed) return put_frame(p, 10, data, length);
    if (opcode == 9 || opcode == 10) return;
    if (opcode == 8) return take_close(p, data, length);
    if (opcode != 1 || !(first & 0x80) || first & 0x30 || (is_deflated && !p->deflates))
        return follow_complain(&p->topics[0], "a frame that begins with %02x", first);
    if (is_deflated) {
        if (!inflate_text(p, data, length)) return follow_complain(&p->topics[0], "a message does not inflate");
    } else {
        p->text.start = p->text.end = 0;
        add_bytes(&p->text, data, length);
    }
    add_bytes(&p->text, "", 1);
    take_text(p, (const char *)first_byte(&p->text), count_bytes(&p->text) - 1);
}

/* Frames as far as they are whole. */
static void take_frames(struct peer *p) {
    while (p->phase >= OPEN && count_bytes(&p->in) >= 2) {
        unsigned char *data = first_byte(&p->in);
        size_t count = count_bytes(&p->in), head = 2, length = data[1] & 127;
        if (data[1] & 128) return follow_complain(&p->topics[0], "a masked frame");
        if (length >= 126) head = length == 126 ? 4 : 10;
        if (count < head) return;
        if (head > 2) length = 0;
        for (size_t i = 2; i < head; i++) length = length << 8 | data[i];
        if (length > LONGEST) {
            follow_complain(&p->topics[0], "a frame of %zu bytes", length);
            return end(p, BY_ITSELF);
        }
        if (count < head + length) return;
        /* The payload stays where it is until more is read. */
        drop_bytes(&p->in, head + length);
        take_frame(p, data[0], data + head, length);
    }
}

static ssize_t read_piece(struct peer *p, size_t most) {
    static unsigned char piece[PIECE];
    ssize_t count = recv(p->fd, piece, most, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) {
        end(p, p->is_half_closed ? BY_HALF_CLOSE : p->phase == LEAVING ? BY_CLOSE_FRAME : BY_ITSELF);
        return -1;
    }
    p->heard = monotonic();
    add_bytes(&p->in, piece, (size_t)count);
    if (p->phase == UPGRADING) take_head(p);
    take_frames(p);
    return count;
}

/* ---- Cuts ---- */

/* It is busy with something else; when it reads on, the hub's queue may be full. */
static void nap_now(struct peer *p) {
    stop_reading(p, 1);
    p->wake_at = p->heard + (habits.naps / 2 + (int64_t)below(&dice, (uint32_t)habits.naps / 2)) * MS;
    p->cut_at = p->wake_at + (int64_t)below(&dice, (uint32_t)habits.cuts) * MS;
}

static void cut(struct peer *p) {
    static const unsigned char code[] = {1000 >> 8, 1000 & 255};
    if (habits.naps && chance(&dice, 0.5)) {
        nap_now(p);
        return;
    }
    int way = (int)below(&dice, WAYS);
    p->cut_at = 0;
    switch (way) {
    case IN_A_FRAME:
        /* Whatever is whole counts; the rest is lost. */
        if (read_piece(p, 1 + below(&dice, 700)) >= 0 && p->phase == OPEN) end(p, way);
        break;
    case BY_CLOSE_FRAME:
        put_frame(p, 8, code, 2);
        if (p->phase == OPEN) p->phase = LEAVING;
        break;
    case BY_HALF_CLOSE:
        p->is_half_closed = 1;
        shutdown(p->fd, SHUT_WR);
        break;
    default: end(p, way);
    }
}

static void tend(struct peer *p, int64_t now) {
    if (p->phase == AWAY) {
        if (now >= p->wake_at) begin(p);
    } else if (p->is_stopped && p->wake_at && now >= p->wake_at) {
        p->wake_at = 0;
        stop_reading(p, 0);
    } else if (!p->is_stopped && now - p->heard > habits.patience * MS) end(p, IN_SILENCE);
    else if (p->phase == OPEN && p->cut_at && now >= p->cut_at) cut(p);
}

void serve_peers(void) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, 1);
    for (int i = 0; i < count; i++) {
        struct peer *p = events[i].data.ptr;
        if (p->phase == AWAY || p->watched == 0) continue;
        if (p->watched & EPOLLOUT) put_request(p);
        else read_piece(p, PIECE);
    }
    int64_t now = monotonic();
    for (int i = 0; i < habits.peers; i++) tend(&peers[i], now);
}

/* ---- Life ---- */

void make_peers(const struct habits *wanted) {
    habits = *wanted;
    cuts = habits.cuts;
    dice = habits.seed;
    poller = epoll_create1(EPOLL_CLOEXEC);
    peers = calloc((size_t)habits.peers, sizeof *peers);
    if (!peers || poller < 0) abort();
    peer_returns = 0;
    memset(peer_ways, 0, sizeof peer_ways);
    memset(&follow_totals, 0, sizeof follow_totals);
    for (int i = 0; i < habits.peers; i++) {
        struct peer *p = &peers[i];
        p->index = i;
        p->fd = -1;
        p->count = habits.topics;
        if (inflateInit2(&p->inflater, -15) != Z_OK) abort();
        for (int k = 0; k < p->count; k++) {
            struct follower *f = &p->topics[k];
            f->peer = i;
            f->topic = k ? HUB_TOPICS - 1 : i % (world->hub.topics > 1 ? HUB_TOPICS - 1 : 1);
            f->is_keyed = world->hub.keyed == f->topic || world->hub.keyed == -1;
            f->has_latest = world->hub.keyed == f->topic;
            f->history = habits.history;
            f->room = habits.room;
        }
    }
}

void free_peers(void) {
    for (int i = 0; i < habits.peers; i++) {
        struct peer *p = &peers[i];
        if (p->fd >= 0) close(p->fd);
        free_bytes(&p->in);
        free_bytes(&p->text);
        inflateEnd(&p->inflater);
        for (int k = 0; k < p->count; k++) free(p->topics[k].fates);
    }
    free(peers);
    close(poller);
}

void stop_reading(struct peer *p, int is_stopped) {
    p->is_stopped = is_stopped;
    p->heard = monotonic();
    watch(p, is_stopped ? 0 : EPOLLIN);
}

void stop_cutting(void) {
    cuts = 0;
    for (int i = 0; i < habits.peers; i++) peers[i].cut_at = 0;
}

int all_are_there(void) {
    for (int i = 0; i < habits.peers; i++) {
        const struct peer *p = &peers[i];
        if (p->is_stopped && !p->wake_at) continue;
        if (p->phase != OPEN || p->is_half_closed || p->is_stopped) return 0;
        for (int k = 0; k < p->count; k++) {
            const struct follower *f = &p->topics[k];
            if (!f->is_subscribed || f->awaits_gap || f->awaits_snapshot || f->life != atomic_load(&world->hub.life) ||
                f->last < atomic_load(&world->hub.published[f->topic]))
                return 0;
        }
    }
    return 1;
}

int serve_until_all_are_there(double seconds) {
    int64_t until = monotonic() + (int64_t)(seconds * 1e9);
    while (!all_are_there()) {
        if (monotonic() > until) return 0;
        serve_peers();
    }
    return 1;
}
