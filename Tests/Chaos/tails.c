/* SPDX-License-Identifier: Apache-2.0
 *
 * Slow consumers, in processes of their own that are stopped now and then. Each connection brings numbered messages and
 * ends in one of three ways; every message has to be delivered, in order, and no connection that lives may be left.
 */
#include "support.h"
#include "wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { CONSUMERS = 4, MOST = 4000, LARGEST = 6000 };

struct consumer {
    int index, port, listener;
    pid_t process;
    pthread_t server;
    uint64_t random;
    _Atomic int connections, is_over;          /* is_over: the consumer may go */
    _Atomic int64_t sent[MOST], taken[MOST];   /* by connection */
    _Atomic int disorder, left;                /* left: connections that the client ended */
};

static struct consumer *consumers;
static _Atomic int is_last; /* no further connection is taken */

static uint64_t roll(struct consumer *c, uint64_t sides) {
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return (c->random >> 33) % sides;
}

/* ---- The server of one consumer ---- */

/* Whether the client is still there; what it says is not looked at. */
static int is_there(int descriptor) {
    char bytes[4096];
    ssize_t got;
    while ((got = recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {}
    return got < 0 && errno == EAGAIN;
}

static int write_all(int descriptor, struct bytes *out) {
    while (count_bytes(out) > 0) {
        struct pollfd wait = {.fd = descriptor, .events = POLLOUT | POLLIN};
        if (poll(&wait, 1, 60000) != 1 || !is_there(descriptor)) return 0;
        ssize_t count = send(descriptor, first_byte(out), count_bytes(out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) drop_bytes(out, (size_t)count);
    }
    return 1;
}

static int answer(int descriptor, struct wire *w) {
    char request[4096] = "";
    size_t length = 0;
    struct bytes out = {0};
    while (!strstr(request, "\r\n\r\n")) {
        ssize_t got = recv(descriptor, request + length, sizeof request - 1 - length, 0);
        if (got <= 0) return 0;
        request[length += (size_t)got] = 0;
    }
    accept_upgrade(w, request, &out);
    int is_good = write_all(descriptor, &out);
    free_bytes(&out);
    return is_good;
}

static void serve(struct consumer *c, int descriptor) {
    static const int sizes[] = {16, 30, 200, LARGEST};
    struct wire w = {0};
    struct bytes out = {0};
    char text[LARGEST];
    memset(text, 'x', sizeof text);
    if (!answer(descriptor, &w)) return;
    int number = c->connections;
    int64_t count = 1 + (int64_t)roll(c, 2000);
    size_t size = (size_t)sizes[roll(c, 4)];
    for (int64_t n = 0; n < count; n++) {
        text[snprintf(text, sizeof text, "%d %lld", number, (long long)n)] = ' ';
        add_frame(&w, 1, text, size, &out);
        if (roll(c, 50) != 0 && n + 1 < count) continue;
        if (!write_all(descriptor, &out)) {
            c->left++;
            break;
        }
        c->sent[number] = n + 1;
        if (roll(c, 4) == 0) nap((double)roll(c, 20));
    }
    c->connections++;
    int way = (int)roll(c, 3), waiting = 1;
    if (way == 0)
        add_frame(&w, 8,
                  "\x03\xe8"
                  "bye",
                  5, &out);
    write_all(descriptor, &out);
    if (way == 2) {
        /* What a connection that was reset did not take stays in the count. */
        while (is_there(descriptor) && ioctl(descriptor, TIOCOUTQ, &waiting) == 0 && waiting > 0) nap(1);
        if (waiting > 0) c->left++;
        struct linger now = {1, 0};
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    } else {
        shutdown(descriptor, SHUT_WR);
        for (char bytes[4096]; recv(descriptor, bytes, sizeof bytes, 0) > 0;) {}
    }
    free_bytes(&out);
    end_wire(&w);
}

static void *serve_all(void *argument) {
    struct consumer *c = argument;
    while (!is_last && c->connections < MOST) {
        struct pollfd wait = {.fd = c->listener, .events = POLLIN};
        if (poll(&wait, 1, 100) != 1) continue;
        int descriptor = accept(c->listener, NULL, NULL);
        if (descriptor < 0) continue;
        serve(c, descriptor);
        close(descriptor);
    }
    close(c->listener);
    return NULL;
}

/* ---- The consumer ---- */

static void take(struct consumer *c, const pulsews_message *m) {
    int connection;
    long long n;
    char text[40];
    snprintf(text, sizeof text, "%.*s", (int)(m->length < 39 ? m->length : 39), (const char *)m->data);
    if (sscanf(text, "%d %lld", &connection, &n) != 2 || connection < 0 || connection >= MOST ||
        c->taken[connection] != n)
        c->disorder++;
    else c->taken[connection]++;
}

static void consume(struct consumer *c) {
    char url[64], queue[32], why[PULSEWS_ERROR_SIZE];
    pulsews_config *config = pulsews_config_create();
    pulsews_client *ws = NULL;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", c->port);
    snprintf(queue, sizeof queue, "%d", 4096 << roll(c, 7));
    const char *const options[][2] = {{"receive_queue_bytes", queue},
                                      {"heartbeat_interval", "300ms"},
                                      {"heartbeat_timeout", "2s"},
                                      {"reconnect_base_delay", "1ms"},
                                      {"reconnect_max_delay", "20ms"},
                                      {"max_reconnect_attempts", "0"},
                                      {"host_connect_rate", "10000/s"},
                                      {"jitter", "0"},
                                      {"compression", c->index % 2 ? "true" : "false"}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (pulsews_config_set(config, options[i][0], options[i][1], why, sizeof why)) c->disorder++;
    if (pulsews_client_create(url, config, NULL, &ws, why, sizeof why)) _exit(1);
    pulsews_start(ws);
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;
    while (!c->is_over) {
        int32_t count = pulsews_recv_batch(ws, batch, 1 + roll(c, 500), PULSEWS_MILLISECONDS(20), &messages);
        for (int32_t i = 0; i < count; i++) take(c, &messages[i]);
        if (roll(c, 3) == 0) nap((double)roll(c, 5));
    }
    pulsews_client_free(ws);
    _exit(0);
}

static void start(int index) {
    struct consumer *c = &consumers[index];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    c->index = index;
    c->random = world->seed * 31 + (uint64_t)index;
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(c->listener, (struct sockaddr *)&address, size) != 0 || listen(c->listener, 16) != 0 ||
        getsockname(c->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    c->port = ntohs(address.sin_port);
    pid_t child = fork(); /* the memory is shared: only the parent writes it down */
    if (child == 0) {
        close(c->listener);
        consume(c);
    }
    c->process = child;
}

static int has_all(struct consumer *c) {
    for (int i = 0; i < c->connections; i++)
        if (c->taken[i] != c->sent[i]) return 0;
    return 1;
}

void run_tails(double seconds) {
    consumers = mmap(NULL, sizeof *consumers * CONSUMERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (consumers == MAP_FAILED) abort();
    for (int i = 0; i < CONSUMERS; i++) start(i);
    for (int i = 0; i < CONSUMERS; i++) pthread_create(&consumers[i].server, NULL, serve_all, &consumers[i]);
    int stops = 0;
    for (int64_t end = monotonic() + (int64_t)(seconds * 1e9); monotonic() < end; stops++) {
        struct consumer *c = &consumers[roll(&consumers[0], CONSUMERS)];
        nap(200);
        kill(c->process, SIGSTOP);
        nap(2500); /* longer than its heartbeat_timeout */
        kill(c->process, SIGCONT);
    }
    is_last = 1;
    int64_t messages = 0;
    int connections = 0, disorder = 0, left = 0, all = 1;
    for (int i = 0; i < CONSUMERS; i++) {
        struct consumer *c = &consumers[i];
        pthread_join(c->server, NULL);
        all &= COMES(has_all(c), 30);
        c->is_over = 1;
        int status = 0;
        waitpid(c->process, &status, 0);
        result(WIFEXITED(status) && WEXITSTATUS(status) == 0, "tails: consumer %d ended with status %d", i, status);
        for (int k = 0; k < c->connections; k++) {
            messages += c->sent[k];
            if (c->taken[k] != c->sent[k])
                note("tails: consumer %d has %lld of %lld messages of connection %d", i, (long long)c->taken[k],
                     (long long)c->sent[k], k);
        }
        connections += c->connections, disorder += c->disorder, left += c->left;
    }
    result(all && connections > CONSUMERS, "tails: all %lld messages of %d connections were delivered, over %d stops",
           (long long)messages, connections, stops);
    result(disorder == 0, "tails: %d messages out of order", disorder);
    result(left == 0, "tails: %d connections were left that lived", left);
}
