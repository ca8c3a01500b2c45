/* SPDX-License-Identifier: Apache-2.0
 *
 * The server of the chaos run: plain and TLS, one thread. It numbers what it sends on each connection and books what
 * comes, and misbehaves as far as the world asks for it.
 *
 *     server DESCRIPTOR-OF-THE-WORLD
 *
 * A client's messages: "login ...", "sub KEY", "unsub KEY", "ping" and "m CLIENT STREAM NUMBER FLAG DEADLINE ...". Its
 * own: "h K" first (the number of the connection), "ok ..." or "no login" as answers, and "d K N ..." once everything
 * is subscribed, or {"g":G,"k":K} with a number of the feed's own.
 */
#define _GNU_SOURCE
#include "wire.h"
#include "world.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS 1000000LL

enum phase { HELLO, REQUEST, WAITING, OPEN, CLOSING };

struct connection {
    struct connection *next;
    int fd, wants_out, is_dead, says_close, is_done, is_muted, ignores_login, ends_after_out, resets_after_out;
    SSL *tls;
    enum phase phase;
    struct bytes in, out;
    struct wire wire;
    char request[4096];
    int client, subscriptions, flags;
    uint32_t number;
    struct connection_record *record;
    int64_t upgrade_at, next_feed, next_number, next_ping, doom_at, close_by;
    int64_t last[STREAMS];
};

static struct world *world;
static struct connection *connections;
static uint64_t dice;
static int poller, listener[2] = {-1, -1};
static SSL_CTX *tls_context;
static char padding[32768];
static int64_t last_turn, this_turn; /* when they began */

static void complain(const char *format, ...) {
    uint32_t index = atomic_fetch_add(&world->complaints, 1);
    if (index >= MOST_COMPLAINTS) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->complaint[index], sizeof world->complaint[index], format, arguments);
    va_end(arguments);
}

static void count_event(char letter) { atomic_fetch_add(&world->events[letter - 'a'], 1); }
static int has_fault(int fault) { return (atomic_load(&world->server_faults) & fault) != 0; }

static int listen_at(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, world->address, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        perror("server: listen");
        exit(1);
    }
    return fd;
}

static int port_of(int fd) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static void open_listeners(void) {
    _Atomic int *ports[2] = {&world->plain_port, &world->tls_port};
    for (int i = 0; i < 2; i++) {
        listener[i] = listen_at(atomic_load(ports[i]));
        atomic_store(ports[i], port_of(listener[i]));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, listener[i], &event);
    }
    atomic_store(&world->listening_since, realtime());
}

static void watch(struct connection *c) {
    int wants_out = count_bytes(&c->out) > 0;
    if (wants_out == c->wants_out) return;
    c->wants_out = wants_out;
    struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void end(struct connection *c, char why, int resets) {
    if (c->is_dead) return;
    c->is_dead = 1;
    if (resets) {
        struct linger hard = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    if (c->tls) SSL_free(c->tls);
    close(c->fd);
    if (c->phase < OPEN) atomic_fetch_sub(&world->in_flight, 1);
    if (c->record) {
        c->record->ended = monotonic();
        c->record->why = (uint8_t)why;
        atomic_fetch_sub(&world->client[c->client].open, 1);
    }
}

/* Writes what it can. */
static void push(struct connection *c) {
    while (!c->is_dead && count_bytes(&c->out) > 0) {
        ssize_t count;
        if (c->tls) {
            ERR_clear_error();
            count = SSL_write(c->tls, first_byte(&c->out), (int)count_bytes(&c->out));
            if (count <= 0) {
                int error = SSL_get_error(c->tls, (int)count);
                if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) break;
                end(c, 'w', 0);
                return;
            }
        } else {
            count = send(c->fd, first_byte(&c->out), count_bytes(&c->out), MSG_NOSIGNAL);
            if (count < 0) {
                if (errno == EAGAIN) break;
                /* What the client sent before is still to be read: the reader ends it. */
                c->out.start = c->out.end = 0;
                c->is_done = 1;
                break;
            }
        }
        drop_bytes(&c->out, (size_t)count);
    }
    if (c->is_dead) return;
    if (count_bytes(&c->out) == 0 && c->ends_after_out) {
        end(c, 'e', c->resets_after_out);
        return;
    }
    watch(c);
}

static void say(struct connection *c, const char *text) { add_frame(&c->wire, 1, text, strlen(text), &c->out); }

static void say_close(struct connection *c, int code) {
    if (c->says_close) return;
    unsigned char payload[2] = {(unsigned char)(code >> 8), (unsigned char)code};
    add_frame(&c->wire, 8, payload, 2, &c->out);
    c->says_close = 1;
    c->close_by = monotonic() + 2000 * MS;
    push(c);
}

static void refuse(struct connection *c) {
    char answer[200];
    int after = atomic_load(&world->retry_after);
    if (has_fault(FAULT_REFUSE) && after < 0) after = (int)below(&dice, 2);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 4\r\n\r\nbusy",
             after < 0 ? 0 : after);
    add_bytes(&c->out, answer, strlen(answer));
    c->ends_after_out = 1;
    count_event('r');
    push(c);
}

static void upgrade(struct connection *c) {
    struct client_record *books = &world->client[c->client];
    uint32_t number = atomic_load(&books->connections) + 1;
    if (number >= MOST_CONNECTIONS) {
        complain("client %d made more than %d connections", c->client, MOST_CONNECTIONS);
        end(c, 'x', 1);
        return;
    }
    atomic_fetch_sub(&world->in_flight, 1);
    c->phase = OPEN;
    c->number = number;
    c->record = &books->connection[number];
    c->record->accepted = c->upgrade_at;
    c->record->upgraded = monotonic();
    atomic_store(&books->connections, number);
    atomic_fetch_add(&books->open, 1);
    accept_upgrade(&c->wire, c->request, &c->out);
    char hello[32];
    snprintf(hello, sizeof hello, "h %u", number);
    say(c, hello);
    c->next_feed = c->record->upgraded;
    c->next_ping = c->record->upgraded + (50 + below(&dice, 500)) * MS;
    int64_t life = 20 + below(&dice, 200) * below(&dice, 40);
    if (has_fault(FAULT_CLOSE)) c->doom_at = c->record->upgraded + life * MS;
    push(c);
}

static void take_request(struct connection *c) {
    char *data = (char *)first_byte(&c->in), path[512] = "", *stop;
    size_t have = count_bytes(&c->in);
    if (have == 0 || !(stop = memmem(data, have, "\r\n\r\n", 4))) return;
    size_t length = (size_t)(stop - data) + 4;
    snprintf(c->request, sizeof c->request, "%.*s", (int)length, data);
    drop_bytes(&c->in, length);
    if (!request_path(c->request, path, sizeof path) ||
        sscanf(path, "/%d/%d/%d", &c->client, &c->subscriptions, &c->flags) != 3 || c->client < 0 ||
        c->client >= MOST_CLIENTS) {
        complain("a request for %s", path);
        end(c, 'x', 1);
        return;
    }
    int left = atomic_load(&world->refuse);
    while (left > 0 && !atomic_compare_exchange_weak(&world->refuse, &left, left - 1)) {}
    if (left > 0 || (has_fault(FAULT_REFUSE) && chance(&dice, 0.05))) {
        refuse(c);
        return;
    }
    c->phase = WAITING;
    c->upgrade_at += atomic_load(&world->upgrade_delay_ms) * MS;
    if (monotonic() >= c->upgrade_at) upgrade(c);
}

static int is_complete(const struct connection *c) {
    return c->record->logins > 0 && c->record->subscriptions == (uint32_t)c->subscriptions;
}

static void take_session_text(struct connection *c, const char *text) {
    char answer[64];
    if (strncmp(text, "login", 5) == 0) {
        if (c->record->logins > 0 || c->record->subscriptions > 0)
            complain("client %d connection %u: a login out of place", c->client, c->number);
        int left = atomic_load(&world->reject_login);
        while (left > 0 && !atomic_compare_exchange_weak(&world->reject_login, &left, left - 1)) {}
        if (left > 0 || (has_fault(FAULT_LOGIN) && c->flags & MAY_REJECT && chance(&dice, 0.03))) {
            /* What a client that waits for no confirmation has sent behind it is no fault of its own. */
            c->record->logins++;
            c->is_muted = 1;
            say(c, "no login");
            count_event('n');
            return;
        }
        c->record->logins++;
        if (has_fault(FAULT_LOGIN) && c->flags & CONFIRMS && chance(&dice, 0.02)) {
            count_event('i');
            return;
        }
        if (c->flags & CONFIRMS) say(c, "ok login");
    } else if (strncmp(text, "sub s", 5) == 0) {
        if (c->record->logins == 0 || atoi(text + 5) != (int)c->record->subscriptions)
            complain("client %d connection %u: \"%s\" out of order, %u came before", c->client, c->number, text,
                     c->record->subscriptions);
        c->record->subscriptions++;
    } else if (strcmp(text, "ping") == 0) {
        say(c, "pong");
        return;
    } else if (strncmp(text, "sub v", 5) != 0 && strncmp(text, "unsub v", 7) != 0) {
        complain("client %d connection %u sent \"%.40s\"", c->client, c->number, text);
    }
    if (c->flags & CONFIRMS && strncmp(text, "sub", 3) == 0) {
        snprintf(answer, sizeof answer, "ok %.40s", text);
        say(c, answer);
    }
    if (is_complete(c) && c->record->ready == 0) c->record->ready = monotonic();
}

/* Nothing may be written after its time to live. Some time on the way, and that of a busy machine, are granted; a
 * connection that has lost packets sends them again after growing pauses, and does not count. */
static void check_deadline(const struct connection *c, const char *text, int64_t deadline) {
    /* It was not there one turn ago. */
    int64_t now = last_turn, whole = atomic_load(&world->whole_since);
    if (deadline == 0 || !(c->flags & IS_DIRECT) || whole == 0 || c->record->upgraded < whole) return;
    atomic_fetch_add(&world->timed, 1);
    if (now - deadline > atomic_load(&world->latest)) atomic_store(&world->latest, now - deadline);
    if (now - deadline > 500 * MS)
        complain("client %d connection %u (%.3f s old): \"%.24s\" came %.3f s after its time to live", c->client,
                 c->number, (double)(now - c->record->upgraded) / 1e9, text, (double)(now - deadline) / 1e9);
}

static void take_message(struct connection *c, const char *data, size_t length) {
    char text[80], flag;
    int client, stream;
    unsigned number;
    long long deadline;
    snprintf(text, sizeof text, "%.*s", (int)(length < 79 ? length : 79), data);
    if (text[0] != 'm') {
        take_session_text(c, text);
        return;
    }
    if (sscanf(text, "m %d %d %u %c %lld", &client, &stream, &number, &flag, &deadline) != 5 || client != c->client ||
        stream < 0 || stream >= STREAMS || number >= MOST_MESSAGES || client >= MOST_BOOKED) {
        complain("client %d connection %u sent \"%s\"", c->client, c->number, text);
        return;
    }
    c->record->got++;
    if (!is_complete(c))
        complain("client %d connection %u: \"%s\" before login and subscriptions (%u, %u)", client, c->number, text,
                 c->record->logins, c->record->subscriptions);
    uint16_t *seen = &world->seen[client][stream][number];
    if (*seen)
        complain("client %d stream %d: %u came twice, in connections %u and %u", client, stream, number, *seen,
                 c->number);
    *seen = (uint16_t)c->number;
    atomic_fetch_add(&world->client[client].got, 1); /* after it: this program may be killed in between */
    check_deadline(c, text, deadline);
    if (flag != 'L') {
        if ((int64_t)number <= c->last[stream])
            complain("client %d stream %d connection %u: %u after %lld", client, stream, c->number, number,
                     (long long)c->last[stream]);
        c->last[stream] = number;
    }
}

static void take_frames(struct connection *c) {
    unsigned char *payload;
    size_t length;
    int opcode;
    while (!c->is_dead && (opcode = next_message(&c->wire, &c->in, &payload, &length)) != -1) {
        c->record->heard = monotonic();
        if (c->record->has_close) {
            complain("client %d connection %u: something after its close frame", c->client, c->number);
            end(c, 'x', 1);
            return;
        }
        if (opcode == -2) {
            complain("client %d connection %u: %s", c->client, c->number, c->wire.problem);
            end(c, 'x', 1);
        } else if (opcode == 9) {
            add_frame(&c->wire, 10, payload, length, &c->out);
        } else if (opcode == 8) {
            c->record->has_close = 1;
            c->record->close_code = length >= 2 ? (uint16_t)(payload[0] << 8 | payload[1]) : 1005;
            say_close(c, length >= 2 ? c->record->close_code : 1000);
            c->ends_after_out = 1;
        } else if (opcode != 10) {
            take_message(c, (const char *)payload, length);
        }
    }
    if (!c->is_dead) push(c);
}

/* Reads and handles what there is. */
static void pull(struct connection *c) {
    static unsigned char chunk[65536];
    int is_over = 0;
    while (!c->is_dead) {
        ssize_t count;
        if (c->tls) {
            ERR_clear_error();
            count = SSL_read(c->tls, chunk, sizeof chunk);
            if (count <= 0) {
                int error = SSL_get_error(c->tls, (int)count);
                is_over = error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
                break;
            }
        } else {
            count = recv(c->fd, chunk, sizeof chunk, 0);
            if (count < 0 && errno == EAGAIN) break;
            if (count <= 0) {
                is_over = 1;
                break;
            }
        }
        add_bytes(&c->in, chunk, (size_t)count);
        if (c->phase == HELLO) c->phase = REQUEST;
        if (c->phase == REQUEST) take_request(c);
        if (!c->is_dead && c->phase == OPEN) take_frames(c);
    }
    if (is_over) end(c, 'o', 0);
    else if (!c->is_dead && c->is_done) end(c, 'd', 0);
}

static void take_connections(int index) {
    for (;;) {
        int fd = accept4(listener[index], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        if (fd < 0) return;
        int64_t now = monotonic();
        uint32_t number = atomic_fetch_add(&world->accepts, 1);
        if (number < MOST_ACCEPTS) world->accepted_at[number] = now;
        int flying = atomic_fetch_add(&world->in_flight, 1) + 1;
        if (flying > atomic_load(&world->most_in_flight)) atomic_store(&world->most_in_flight, flying);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->fd = fd;
        c->upgrade_at = now;
        c->next = connections;
        connections = c;
        for (int i = 0; i < STREAMS; i++) c->last[i] = -1;
        if (index == 1) {
            c->tls = SSL_new(tls_context);
            SSL_set_fd(c->tls, fd);
            SSL_set_accept_state(c->tls);
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
        pull(c);
    }
}

/* From its beginning on a connection leaves no number out. */
static void feed_numbers(struct connection *c, int64_t now) {
    int64_t reached = feed_number(now);
    if (c->next_number == 0) c->next_number = reached + 1;
    for (; c->next_number <= reached && count_bytes(&c->out) <= 1 << 20 && !c->says_close; c->next_number++) {
        char text[400];
        int size = (int)below(&dice, 300);
        int length = snprintf(text, sizeof text, "{\"g\":%lld,\"k\":%u,\"pad\":\"%.*s\"}", (long long)c->next_number,
                              c->number, size, padding);
        c->record->fed++;
        add_frame(&c->wire, 1, text, (size_t)length, &c->out);
    }
    push(c);
}

static void feed(struct connection *c, int64_t now) {
    if (c->flags & IS_NUMBERED) {
        feed_numbers(c, now);
        return;
    }
    int64_t every = atomic_load(&world->feed_us) * 1000LL;
    if (now < c->next_feed || count_bytes(&c->out) > (1 << 20) || c->says_close || every == 0) return;
    char text[64];
    struct bytes *out = &c->out;
    int burst = chance(&dice, 0.01) ? 50 : 1;
    for (int i = 0; i < burst; i++) {
        uint32_t size = chance(&dice, 0.01) ? below(&dice, sizeof padding) : below(&dice, 600);
        c->record->fed++;
        int length = snprintf(text, sizeof text, "d %u %u ", c->number, c->record->fed);
        memcpy(padding, text, (size_t)length);
        add_frame(&c->wire, chance(&dice, 0.2) ? 2 : 1, padding, (size_t)length + size / 2, out);
        memset(padding, 'x', (size_t)length);
    }
    c->next_feed += every / 2 + below(&dice, (uint32_t)every);
    if (c->next_feed < now - every * 10) c->next_feed = now;
    push(c);
}

/* One of the ways in which a connection may end. */
static void doom(struct connection *c) {
    static const int codes[] = {1000, 1001, 1011, 1012, 1013, 4000};
    c->doom_at = 0;
    switch (below(&dice, c->flags & MAY_GO_MUTE && has_fault(FAULT_MUTE) ? 6 : 5)) {
    case 0:
    case 1:
        count_event('c');
        say_close(c, codes[below(&dice, 6)]);
        break;
    case 2:
        count_event('f');
        end(c, 'f', 0);
        break;
    case 3:
        count_event('t');
        end(c, 't', 1);
        break;
    case 4:
        /* A frame that ends in the middle. */
        if (!c->says_close) {
            struct bytes frame = {0};
            add_frame(&c->wire, 1, padding, 20 + below(&dice, 2000), &frame);
            add_bytes(&c->out, first_byte(&frame), 1 + below(&dice, (uint32_t)count_bytes(&frame) - 1));
            free_bytes(&frame);
            c->ends_after_out = c->says_close = 1;
            c->resets_after_out = chance(&dice, 0.3);
            count_event('m');
            push(c);
        }
        break;
    case 5:
        count_event('s');
        c->is_muted = 1;
        break;
    }
}

static void tend(struct connection *c, int64_t now) {
    if (c->phase == WAITING && now >= c->upgrade_at) upgrade(c);
    if (c->is_dead || c->phase != OPEN) return;
    if (c->says_close && now >= c->close_by && c->close_by) {
        end(c, 'l', 1);
        return;
    }
    if (c->doom_at && now >= c->doom_at && has_fault(FAULT_CLOSE)) {
        doom(c);
        if (c->is_dead) return;
    }
    if (now >= c->next_ping && !c->says_close) {
        c->next_ping = now + (200 + below(&dice, 800)) * MS;
        add_frame(&c->wire, 9, "are you there", 13, &c->out);
        push(c);
    }
    if (!c->is_dead && c->record->ready && !c->is_muted && !(c->flags & NO_FEED) && !atomic_load(&world->is_mute))
        feed(c, now);
}

static void obey(void) {
    int listens = atomic_load(&world->server_listens);
    if (listens && listener[0] < 0) open_listeners();
    if (!listens && listener[0] >= 0) {
        for (int i = 0; i < 2; i++) close(listener[i]), listener[i] = -1;
        for (struct connection *c = connections; c; c = c->next) end(c, 'k', 1);
        count_event('k');
    }
    int code = atomic_exchange(&world->close_all, 0);
    for (struct connection *c = code ? connections : NULL; c; c = c->next)
        if (!c->is_dead && c->phase == OPEN) say_close(c, code);
}

static void start_books(void) {
    atomic_store(&world->in_flight, 0);
    for (int i = 0; i < MOST_CLIENTS; i++) {
        struct client_record *books = &world->client[i];
        uint32_t count = atomic_load(&books->connections);
        if (count > 0 && books->connection[count].ended == 0) books->connection[count].ended = monotonic();
        atomic_store(&books->open, 0);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
    if (world == MAP_FAILED) return 1;
    dice = world->seed ^ (uint64_t)(atomic_load(&world->accepts) + 1) * 0x9E37;
    memset(padding, 'x', sizeof padding);
    tls_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls_context, world->certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_context, world->key, SSL_FILETYPE_PEM) != 1)
        return 1;
    poller = epoll_create1(EPOLL_CLOEXEC);
    start_books();
    open_listeners();
    if (write(1, "ready\n", 6) != 6) return 1;
    for (;;) {
        struct epoll_event events[256];
        last_turn = this_turn;
        this_turn = monotonic();
        int count = epoll_wait(poller, events, 256, 1);
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &listener[0] || what == &listener[1]) {
                if (*(int *)what >= 0) take_connections(what == &listener[1]);
                continue;
            }
            struct connection *c = what;
            if (!c->is_dead && events[i].events & EPOLLOUT) push(c);
            if (!c->is_dead) pull(c);
        }
        obey();
        int64_t now = monotonic();
        for (struct connection *c = connections; c; c = c->next)
            if (!c->is_dead) tend(c, now);
        for (struct connection **link = &connections; *link;) {
            struct connection *c = *link;
            if (!c->is_dead) {
                link = &c->next;
                continue;
            }
            *link = c->next;
            end_wire(&c->wire);
            free_bytes(&c->in);
            free_bytes(&c->out);
            free(c);
        }
    }
}
