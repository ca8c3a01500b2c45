/* SPDX-License-Identifier: Apache-2.0
 *
 * The fault proxy: passes bytes between clients and the server, and with faults on delays, stalls, trickles, resets and
 * cuts them at random, or goes half-open: it drops everything and says nothing. Garbage goes to the server only, and then
 * nothing comes back: what a client is told is always what was sent.
 *
 *     proxy DESCRIPTOR-OF-THE-WORLD
 */
#define _GNU_SOURCE
#include "world.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000LL

/* One direction: from a socket into `data`, from there to the other one. */
struct lane {
    unsigned char data[32768];
    size_t start, end;
    int is_over, is_passed_on;   /* the end of the stream was read; was told to the other side */
    int64_t not_before;          /* a delay, or a stall */
    int64_t cut_after;           /* bytes that still pass before the link is cut; -1: all */
};

struct link {
    struct link *next;
    struct end {
        struct link *link;
        int fd, index;
        uint32_t watched;
    } ends[2]; /* 0: client, 1: server */
    struct lane lanes[2];        /* 0: from the client */
    int is_dead, is_half_open, is_deaf, trickles, delay_ms, is_connected;
    int64_t next_fault, free_at;
};

static struct world *world;
static struct link *links;
static uint64_t dice;
static int poller, listener[2];

static void count_event(char letter) { atomic_fetch_add(&world->proxy_events[letter - 'a'], 1); }

static void cut(struct link *l, int resets) {
    if (l->is_dead) return;
    l->is_dead = 1;
    for (int i = 0; i < 2; i++) {
        struct linger hard = {1, 0};
        if (resets) setsockopt(l->ends[i].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(l->ends[i].fd);
    }
}

static void watch(struct link *l, int64_t now) {
    for (int i = 0; i < 2; i++) {
        const struct lane *from = &l->lanes[i], *to = &l->lanes[!i];
        uint32_t wanted = 0;
        if (!l->is_half_open) {
            if (from->end < sizeof from->data && !from->is_over && (i == 1 || l->is_connected)) wanted |= EPOLLIN;
            if (i == 1 && !l->is_connected) wanted |= EPOLLOUT;
            if (to->end > to->start && now >= to->not_before) wanted |= EPOLLOUT;
        }
        if (wanted == l->ends[i].watched) continue;
        l->ends[i].watched = wanted;
        /* A half-open end must not even tell that the other side is gone. */
        struct epoll_event event = {.events = wanted, .data.ptr = &l->ends[i]};
        if (wanted == 0) epoll_ctl(poller, EPOLL_CTL_DEL, l->ends[i].fd, NULL);
        else if (epoll_ctl(poller, EPOLL_CTL_MOD, l->ends[i].fd, &event) != 0)
            epoll_ctl(poller, EPOLL_CTL_ADD, l->ends[i].fd, &event);
    }
}

static void take_connections(int index) {
    int fd, one = 1, little = 16384;
    while ((fd = accept4(listener[index], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct link *l = calloc(1, sizeof *l);
        if (!l) abort();
        struct sockaddr_in address = {.sin_family = AF_INET};
        address.sin_port = htons((uint16_t)atomic_load(index ? &world->tls_port : &world->plain_port));
        inet_pton(AF_INET, world->address, &address.sin_addr);
        int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int fds[2] = {fd, server};
        for (int i = 0; i < 2; i++) {
            setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            /* The way back, too, has to fill up. */
            if (atomic_load(&world->proxy_faults) & 2)
                setsockopt(fds[i], SOL_SOCKET, i ? SO_RCVBUF : SO_SNDBUF, &little, sizeof little);
            l->ends[i].link = l;
            l->ends[i].fd = fds[i];
            l->ends[i].index = i;
            l->lanes[i].cut_after = -1;
        }
        if (connect(server, (struct sockaddr *)&address, sizeof address) == 0) l->is_connected = 1;
        l->next = links;
        links = l;
        int64_t now = monotonic();
        if (atomic_load(&world->proxy_faults)) {
            l->next_fault = now + (int64_t)below(&dice, 3000) * MS;
            if (chance(&dice, 0.3)) l->delay_ms = (int)below(&dice, 20);
            if (chance(&dice, 0.1)) l->trickles = 1;
        }
        watch(l, now);
    }
}

/* Writes what may go. */
static void forward(struct link *l, int from, int64_t now) {
    struct lane *lane = &l->lanes[from];
    if (from == 1 && l->is_deaf) lane->start = lane->end = 0;
    while (lane->end > lane->start && now >= lane->not_before && !l->is_half_open) {
        size_t count = lane->end - lane->start;
        if (l->trickles && count > 100) count = 1 + below(&dice, 100);
        if (lane->cut_after >= 0 && (int64_t)count > lane->cut_after) count = (size_t)lane->cut_after;
        if (count > 0) {
            ssize_t written = send(l->ends[!from].fd, lane->data + lane->start, count, MSG_NOSIGNAL);
            if (written < 0 && errno == EAGAIN) return;
            if (written < 0) {
                /* This side takes no more; what it has sent still passes. */
                lane->start = lane->end = 0;
                lane->is_over = lane->is_passed_on = 1;
                return;
            }
            lane->start += (size_t)written;
            if (lane->cut_after >= 0) lane->cut_after -= written;
        }
        if (lane->cut_after == 0) {
            cut(l, chance(&dice, 0.5));
            return;
        }
        if (lane->start == lane->end) lane->start = lane->end = 0;
        if (l->trickles) break;
    }
}

static void move(struct link *l, int from, int64_t now) {
    struct lane *lane = &l->lanes[from];
    while (!l->is_dead && !lane->is_over && lane->end < sizeof lane->data && !l->is_half_open) {
        ssize_t count = recv(l->ends[from].fd, lane->data + lane->end, sizeof lane->data - lane->end, 0);
        if (count < 0 && errno == EAGAIN) break;
        if (count <= 0) {
            lane->is_over = 1;
            break;
        }
        if (lane->start == lane->end && l->delay_ms) lane->not_before = now + l->delay_ms * MS;
        lane->end += (size_t)count;
        forward(l, from, now);
        if (lane->start == lane->end && !l->is_dead) lane->start = lane->end = 0;
    }
}

static void settle(struct link *l, int64_t now) {
    if (l->is_dead || l->is_half_open) return;
    for (int i = 0; i < 2 && !l->is_dead; i++) {
        struct lane *lane = &l->lanes[i];
        forward(l, i, now);
        if (l->is_dead) return;
        if (lane->is_over && lane->start == lane->end && !lane->is_passed_on) {
            lane->is_passed_on = 1;
            shutdown(l->ends[!i].fd, SHUT_WR);
        }
    }
    if (l->lanes[0].is_passed_on && l->lanes[1].is_passed_on) {
        cut(l, 0);
        return;
    }
    /* The end of one side with the other still talking is bounded. */
    if ((l->lanes[0].is_passed_on || l->lanes[1].is_passed_on) && l->free_at == 0) l->free_at = now + 3000 * MS;
    watch(l, now);
}

static void go_half_open(struct link *l, int64_t now) {
    l->is_half_open = 1;
    l->free_at = now + 4000 * MS;
    watch(l, now);
}

static void add_garbage(struct link *l, int64_t now) {
    struct lane *lane = &l->lanes[0];
    for (size_t count = 1 + below(&dice, 300); count > 0 && lane->end < sizeof lane->data; count--)
        lane->data[lane->end++] = (unsigned char)draw(&dice);
    l->is_deaf = 1;
    l->free_at = now + 1000 * MS;
}

static void misbehave(struct link *l, int64_t now) {
    l->next_fault = now + (int64_t)(200 + below(&dice, 4000)) * MS;
    struct lane *lane = &l->lanes[below(&dice, 2)];
    switch (below(&dice, atomic_load(&world->proxy_faults) & 2 ? 10 : 8)) {
    case 0:
    case 1:
        count_event('s');
        lane->not_before = now + (int64_t)(20 + below(&dice, 400)) * MS;
        break;
    case 2:
        count_event('b');
        l->lanes[0].not_before = l->lanes[1].not_before = now + (int64_t)(20 + below(&dice, 400)) * MS;
        break;
    case 3:
        count_event('r');
        cut(l, 1);
        break;
    case 4:
    case 5:
        count_event('c');
        lane->cut_after = 1 + below(&dice, 3000);
        break;
    case 6:
        count_event('h');
        go_half_open(l, now);
        break;
    case 7:
        count_event('t');
        l->trickles = !l->trickles;
        l->delay_ms = (int)below(&dice, 20);
        break;
    default:
        count_event('g');
        add_garbage(l, now);
        break;
    }
}

static void tend(struct link *l, int64_t now) {
    if (l->free_at && now >= l->free_at) cut(l, 1);
    if (l->is_dead || l->is_half_open) {
        if (!l->is_dead && atomic_load(&world->quiet)) cut(l, 1);
        return;
    }
    if (l->is_deaf && atomic_load(&world->quiet)) {
        cut(l, 1);
        return;
    }
    if (l->next_fault && now >= l->next_fault && atomic_load(&world->proxy_faults)) misbehave(l, now);
    if (atomic_load(&world->quiet)) l->trickles = l->delay_ms = 0, l->lanes[0].cut_after = l->lanes[1].cut_after = -1;
    settle(l, now);
}

static int listen_now(_Atomic int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), little = 16384;
    /* A stalled link has to fill up. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0) exit(1);
    getsockname(fd, (struct sockaddr *)&address, &size);
    atomic_store(port, ntohs(address.sin_port));
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
    if (world == MAP_FAILED) return 1;
    dice = world->seed ^ 0x70726F7879;
    poller = epoll_create1(EPOLL_CLOEXEC);
    listener[0] = listen_now(&world->proxy_plain_port);
    listener[1] = listen_now(&world->proxy_tls_port);
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, listener[i], &event);
    }
    if (write(1, "ready\n", 6) != 6) return 1;
    for (int was_partitioned = 0;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, 1);
        int64_t now = monotonic();
        int is_partitioned = atomic_load(&world->proxy_partition);
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &listener[0] || what == &listener[1]) {
                if (!is_partitioned) take_connections(what == &listener[1]);
                continue;
            }
            struct end *end = what;
            struct link *l = end->link;
            if (l->is_dead || l->is_half_open) continue;
            if (end->index == 1 && !l->is_connected && events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
                int error = 0;
                socklen_t size = sizeof error;
                getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &size);
                if (error != 0) {
                    cut(l, 1);
                    continue;
                }
                l->is_connected = 1;
            }
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) move(l, end->index, now);
        }
        if (is_partitioned != was_partitioned) {
            for (int i = 0; i < 2; i++) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener[i]};
                epoll_ctl(poller, is_partitioned ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, listener[i], &event);
            }
        }
        int all = atomic_exchange(&world->proxy_half_open, 0) || (is_partitioned && !was_partitioned);
        was_partitioned = is_partitioned;
        for (struct link **place = &links; *place;) {
            struct link *l = *place;
            if (all && !l->is_dead && !l->is_half_open) go_half_open(l, now);
            tend(l, now);
            if (!l->is_dead) {
                place = &l->next;
                continue;
            }
            *place = l->next;
            free(l);
        }
    }
}
