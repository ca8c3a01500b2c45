/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests see of both sides: the records of a scripted server, and a client's events and statistics. */
#include "harness.h"
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct server {
    int port, input, output;
    char url[64];
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    record **records; /* each stays where it is */
    size_t count, room;
    char *rest; /* of a line that has not come whole */
    size_t rest_length;
};

/* `mutex` is held. */
static void add_line(server *s, const char *line) {
    record *r = calloc(1, sizeof *r);
    long long at = 0;
    int used = 0;
    CHECK(r != NULL && sscanf(line, "%d %lld %11s %n", &r->connection, &at, r->kind, &used) == 3);
    r->at = at * 1000;
    r->text = strdup(line + used);
    if (s->count == s->room) {
        s->room = s->room * 2 + 64;
        s->records = realloc(s->records, s->room * sizeof *s->records);
    }
    s->records[s->count++] = r;
}

/* All that the server has written so far: it writes a record before it answers, so what a client knows of is there.
 * `mutex` is held. */
static void take_records(server *s) {
    int size = 0;
    ssize_t got = 0;
    while (ioctl(s->output, FIONREAD, &size) == 0 && size > 0) {
        s->rest = realloc(s->rest, s->rest_length + (size_t)size);
        CHECK(s->rest != NULL && (got = read(s->output, s->rest + s->rest_length, (size_t)size)) > 0);
        s->rest_length += (size_t)got;
        char *line = s->rest, *end;
        while ((end = memchr(line, '\n', (size_t)(s->rest + s->rest_length - line))) != NULL) {
            *end = 0;
            add_line(s, line);
            line = end + 1;
        }
        s->rest_length -= (size_t)(line - s->rest);
        memmove(s->rest, line, s->rest_length);
    }
    pthread_cond_broadcast(&s->changed);
}

/* So that the server never waits for the test. */
static void *read_records(void *argument) {
    server *s = argument;
    struct pollfd wait = {.fd = s->output, .events = POLLIN};
    while (poll(&wait, 1, -1) > 0 && wait.revents & POLLIN) {
        pthread_mutex_lock(&s->mutex);
        take_records(s);
        pthread_mutex_unlock(&s->mutex);
    }
    return NULL;
}

server *scripted(const char *const *scripts) {
    server *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, &attributes);
    s->port = start_program("scripted.py", scripts, &s->input, &s->output);
    snprintf(s->url, sizeof s->url, "ws://127.0.0.1:%d/path", s->port);
    pthread_detach(run_thread(read_records, s));
    return s;
}

int port_of(const server *s) { return s->port; }
const char *url_of(const server *s) { return s->url; }

void tell_server(server *s, const char *command) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s\n", command);
    CHECK(write(s->input, line, (size_t)length) == length);
}

static int fits(const record *r, int connection, const char *kind, const char *part) {
    return (connection == 0 || r->connection == connection) && (!kind || strcmp(r->kind, kind) == 0) &&
           (!part || strstr(r->text, part));
}

static void show(server *s) {
    for (size_t i = 0; i < s->count; i++) {
        const record *r = s->records[i];
        fprintf(stderr, "  server: %d %.3f ms %s %.200s\n", r->connection, (double)r->at / 1e6, r->kind, r->text);
    }
}

const record *await_record(server *s, int connection, const char *kind, const char *part) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SHORT / PULSEWS_SECONDS(1);
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        for (size_t i = 0; i < s->count; i++) {
            if (s->records[i]->is_taken || !fits(s->records[i], connection, kind, part)) continue;
            for (size_t before = 0; before <= i; before++)
                if (connection == 0 || s->records[before]->connection == connection) s->records[before]->is_taken = 1;
            pthread_mutex_unlock(&s->mutex);
            return s->records[i];
        }
        if (pthread_cond_timedwait(&s->changed, &s->mutex, &until) == ETIMEDOUT) {
            fprintf(stderr, "the server got no %s \"%s\" on connection %d\n", kind, part ? part : "", connection);
            show(s);
            exit(1);
        }
    }
}

void expect_at_server(server *s, int connection, const char *text) {
    const record *r = await_record(s, connection, "text", NULL);
    if (strcmp(r->text, text) == 0) return;
    fprintf(stderr, "the server got \"%s\", not \"%s\"\n", r->text, text);
    show(s);
    exit(1);
}

int64_t requested_at(server *s, int connection) {
    int64_t at = -1;
    pthread_mutex_lock(&s->mutex);
    take_records(s);
    for (size_t i = 0; i < s->count && at < 0; i++)
        if (fits(s->records[i], connection, "request", NULL)) at = s->records[i]->at;
    pthread_mutex_unlock(&s->mutex);
    CHECK(at >= 0);
    return at;
}

void rewind_records(server *s) {
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->count; i++) s->records[i]->is_taken = 0;
    pthread_mutex_unlock(&s->mutex);
}

int count_records(server *s, int connection, const char *kind, const char *part) {
    int count = 0;
    pthread_mutex_lock(&s->mutex);
    take_records(s);
    for (size_t i = 0; i < s->count; i++) count += fits(s->records[i], connection, kind, part);
    pthread_mutex_unlock(&s->mutex);
    return count;
}

/* ---- The client's side ---- */

const char *await_event(pulsews_client *client, const char *const *parts) {
    static _Thread_local char text[4096];
    pulsews_message message;
    for (int64_t end = now_ns() + SHORT; now_ns() < end;) {
        int32_t status = pulsews_recv(client, &message, end - now_ns());
        if (status != PULSEWS_OK) {
            fprintf(stderr, "recv gives %s\n", pulsews_error_name(status));
            break;
        }
        if (message.kind != PULSEWS_EVENT) continue;
        CHECK(message.length < sizeof text);
        memcpy(text, message.data, message.length);
        text[message.length] = 0;
        fprintf(stderr, "  %s\n", text);
        int fit = 1;
        for (int i = 0; parts[i]; i++) fit &= strstr(text, parts[i]) != NULL;
        if (fit) return text;
    }
    for (int i = 0; parts[i]; i++) fprintf(stderr, "no event with %s\n", parts[i]);
    exit(1);
}

void await_text(pulsews_client *client, const char *text) {
    pulsews_message message;
    do IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    while (message.kind == PULSEWS_EVENT);
    if (message.length == strlen(text) && memcmp(message.data, text, message.length) == 0) return;
    fprintf(stderr, "got \"%.*s\", not \"%s\"\n", (int)message.length, (const char *)message.data, text);
    exit(1);
}

double json_number(const char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    if (!at) {
        fprintf(stderr, "no %s in %s\n", key, json);
        exit(1);
    }
    at += strlen(quoted);
    return strncmp(at, "null", 4) == 0 ? NAN : strtod(at, NULL);
}

enum { MOST_STATISTICS = 256 };

/* The names, read once: the library walks its table for each, and a test may look at a number with every message. */
static const char *statistic_names[MOST_STATISTICS];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void read_statistic_names(void) {
    size_t count = 0;
    const char *name;
    for (; pulsews_statistic_at(count, &name, NULL, NULL, NULL) == PULSEWS_OK; count++) {
        CHECK(count < MOST_STATISTICS);
        statistic_names[count] = name;
    }
}

static size_t place_of(const char *name) {
    pthread_once(&names_once, read_statistic_names);
    for (size_t i = 0; i < MOST_STATISTICS && statistic_names[i]; i++)
        if (strcmp(statistic_names[i], name) == 0) return i;
    fprintf(stderr, "no statistic %s\n", name);
    exit(1);
}

double statistic(const pulsews_client *client, const char *name) {
    double values[MOST_STATISTICS];
    size_t place = place_of(name);
    int32_t count = pulsews_statistics(client, values, MOST_STATISTICS);
    CHECK(count > 0 && count <= MOST_STATISTICS && place < (size_t)count);
    return values[place];
}

void check_account(const pulsews_client *client) {
    static const char *const fates[] = {"messages_sent", "messages_dropped", "messages_expired", "messages_failed",
                                        "queue_size"};
    double values[MOST_STATISTICS], sum = 0, accepted;
    CHECK(pulsews_statistics(client, values, MOST_STATISTICS) > 0);
    accepted = values[place_of("messages_accepted")];
    for (int i = 0; i < 5; i++) sum += values[place_of(fates[i])];
    if (accepted == sum) return;
    fprintf(stderr, "%.0f accepted, but", accepted);
    for (int i = 0; i < 5; i++) fprintf(stderr, " %s %.0f", fates[i], values[place_of(fates[i])]);
    fputc('\n', stderr);
    exit(1);
}

void await_statistic(const pulsews_client *client, const char *name, double least) {
    int64_t end = now_ns() + SHORT;
    while (!(statistic(client, name) >= least)) {
        if (now_ns() > end) fprintf(stderr, "%s is %g, not %g\n", name, statistic(client, name), least);
        CHECK(now_ns() < end);
        poll(NULL, 0, 1); /* the library tells of numbers to nobody */
    }
}

void send_text(pulsews_client *client, const char *text) {
    IS(pulsews_send(client, PULSEWS_TEXT, text, strlen(text), SHORT), PULSEWS_OK);
}
