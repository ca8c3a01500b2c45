/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "feed.h"

void begin_feed(feed *f) {
    memset(f, 0, sizeof *f);
    f->first = f->last = -1;
    for (int i = 0; i < MOST_FEED_KEYS; i++) f->next[i] = -1;
}

static int has(const pulsews_message *m, const char *part) {
    return memmem(m->data, m->length, part, strlen(part)) != NULL;
}

static void take_event(feed *f, const pulsews_message *m) {
    f->states += has(m, "\"event\":\"state\"");
    f->gaps += has(m, "\"event\":\"gap\"");
    f->repeats += has(m, "\"event\":\"repeat\"");
    f->backs += has(m, "\"event\":\"step_back\"");
    f->rotations += has(m, "\"step\":\"done\"");
    f->failed += has(m, "\"step\":\"failed\"");
    if (!f->is_quiet) fprintf(stderr, "  %.*s\n", (int)m->length, (const char *)m->data);
}

void take_of_feed(feed *f, const pulsews_message *m) {
    char text[64];
    int key;
    long long u, n;
    if (m->kind == PULSEWS_EVENT) {
        take_event(f, m);
        return;
    }
    snprintf(text, sizeof text, "%.*s", (int)m->length, (const char *)m->data);
    if (sscanf(text, "{\"s\":\"K%d\",\"u\":%lld,\"n\":%lld", &key, &u, &n) != 3) {
        f->other++;
        return;
    }
    CHECK(key >= 0 && key < MOST_FEED_KEYS);
    f->texts++;
    if (f->first < 0) f->first = n;
    if (n > f->last) f->last = n;
    if (f->next[key] >= 0 && u > f->next[key]) {
        f->missing += u - f->next[key];
        fprintf(stderr, "  K%d: %lld after %lld\n", key, u, (long long)f->next[key] - 1);
    }
    if (f->next[key] >= 0 && u < f->next[key]) {
        if (f->copies++ < 10) fprintf(stderr, "  K%d: %lld, and %lld was there\n", key, u, (long long)f->next[key] - 1);
    } else {
        f->next[key] = u + 1;
    }
}

static int receive(pulsews_client *client, feed *f, pulsews_message *message, int64_t end) {
    int32_t status = pulsews_recv(client, message, end - now_ns());
    if (status != PULSEWS_OK) {
        fprintf(stderr, "recv gives %s after %lld texts\n", pulsews_error_name(status), (long long)f->texts);
        return 0;
    }
    take_of_feed(f, message);
    return 1;
}

const char *follow(pulsews_client *client, feed *f, const char *const *parts) {
    pulsews_message message;
    for (int64_t end = now_ns() + SHORT; now_ns() < end && receive(client, f, &message, end);) {
        if (message.kind != PULSEWS_EVENT) continue;
        CHECK(message.length < sizeof f->event);
        memcpy(f->event, message.data, message.length);
        f->event[message.length] = 0;
        int fit = 1;
        for (int i = 0; parts[i]; i++) fit &= strstr(f->event, parts[i]) != NULL;
        if (fit) return f->event;
    }
    for (int i = 0; parts[i]; i++) fprintf(stderr, "no event with %s\n", parts[i]);
    exit(1);
}

void follow_texts(pulsews_client *client, feed *f, int64_t count) {
    pulsews_message message;
    int64_t wanted = f->texts + count;
    for (int64_t end = now_ns() + SHORT; f->texts < wanted;) CHECK(now_ns() < end && receive(client, f, &message, end));
}

void follow_to_the_end(pulsews_client *client, server *s, feed *f, int keys) {
    pulsews_message message;
    tell_server(s, "quiet");
    int64_t all = atoll(await_record(s, 0, "fed", NULL)->text), left;
    fprintf(stderr, "the feed had %lld texts\n", (long long)all);
    for (int64_t end = now_ns() + SHORT;;) {
        left = 0;
        /* Text n is of key n % keys, and is number n / keys there. */
        for (int i = 0; i < keys; i++) left += f->next[i] < (all - 1 - i + keys) / keys;
        if (left == 0) return;
        CHECK(now_ns() < end && receive(client, f, &message, end));
    }
}

void check_feed(const feed *f) {
    fprintf(stderr,
            "%lld texts from %lld to %lld, %lld missing, "
            "%lld copies; %lld gaps, %lld repeats, %lld steps back told\n",
            (long long)f->texts, (long long)f->first, (long long)f->last, (long long)f->missing, (long long)f->copies,
            (long long)f->gaps, (long long)f->repeats, (long long)f->backs);
    CHECK(f->texts > 0 && f->missing == 0 && f->copies == 0);
}

pulsews_client *open_feed(server *s, feed *f, const char *const *options) {
    begin_feed(f);
    pulsews_client *client = open_client(port_of(s), options);
    FOLLOW(client, f, "\"event\":\"ready\"");
    follow_texts(client, f, 10);
    f->states = 0;
    return client;
}
