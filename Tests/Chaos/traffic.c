/* SPDX-License-Identifier: Apache-2.0
 *
 * What the threads of a booked client do: send in every way there is, and receive.
 */
#define _GNU_SOURCE
#include "books.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Atomic int senders_rest, senders_stop, clients_close;

void problem(struct booked *b, const char *format, ...) {
    if (b->ended_badly++ > 0) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(b->first_problem, sizeof b->first_problem, format, arguments);
    va_end(arguments);
}

/* ---- Sending ---- */

enum { ROOM = 128 << 10 };

static size_t compose(const struct booked *b, int stream, uint32_t number, char flag, int64_t ttl, size_t room,
                      char *text) {
    int64_t lives = ttl ? ttl : b->ttl;
    int length = snprintf(text, room, "m %d %d %u %c %lld ", b->index, stream, number, flag,
                          lives > 0 ? (long long)(monotonic() + lives) : 0);
    return (size_t)length;
}

static uint16_t count_connections(const struct booked *b) {
    static _Atomic int index;
    double values[128];
    if (index == 0) index = statistic_index("connections");
    pulsews_statistics(b->ws, values, 128);
    return (uint16_t)values[index];
}

/* One message of the stream, or up to 20 in a batch. */
static void send_some(struct booked *b, int stream, uint64_t *dice, char *text) {
    enum { MOST = 20 };
    struct stream *s = &b->streams[stream];
    uint32_t number = atomic_load(&s->count), how = below(dice, 100);
    uint32_t flags = b->reports ? PULSEWS_REPORT : 0, kind = chance(dice, 0.2) ? PULSEWS_BINARY : PULSEWS_TEXT;
    int64_t ttl = chance(dice, 0.1) ? PULSEWS_MILLISECONDS(1 + below(dice, 50)) : chance(dice, 0.1) ? -1 : 0;
    int64_t patience = PULSEWS_MILLISECONDS(below(dice, 20));
    /* Some send enough to fill the buffers of the system while a link stalls. */
    int is_large = chance(dice, b->is_heavy ? 0.3 : 0.02);
    size_t size = below(dice, is_large ? b->is_heavy ? ROOM - 64 : 20000 : 500);
    uint64_t id = 0;
    struct sent *record = &s->messages[number];
    if (how < 10) {
        uint32_t count = 2 + below(dice, MOST - 2);
        pulsews_message batch[MOST];
        memset(batch, 0, sizeof batch);
        char heads[MOST][80];
        for (uint32_t i = 0; i < count; i++) {
            batch[i].length = compose(b, stream, number + i, 'F', ttl, sizeof heads[i], heads[i]);
            batch[i].data = heads[i];
            batch[i].kind = kind;
        }
        atomic_store(&s->count, number + count);
        int32_t accepted = pulsews_send_batch(b->ws, batch, count, flags, ttl, patience, &id);
        for (int32_t i = 0; i < accepted; i++) record[i] = (struct sent){id + (uint64_t)i, ACCEPTED, 0};
        if (accepted > 0) s->accepted += (uint32_t)accepted;
        if (accepted == 0 || accepted > (int32_t)count) problem(b, "send_batch returned %d", accepted);
        return;
    }
    int is_live = how < 20, is_plain = how < 50 && !b->reports;
    size_t length = compose(b, stream, number, is_live ? 'L' : 'F', ttl, ROOM, text);
    atomic_store(&s->count, number + 1);
    int32_t status;
    /* Of two connections that are open at once nobody here knows which one it goes over. */
    uint16_t connections = is_live && !b->rotates ? count_connections(b) : 0;
    if (is_live) flags |= PULSEWS_LIVE_ONLY;
    else if (how < 25) flags |= PULSEWS_IN_LIMIT;
    text[length] = 'x';
    if (is_plain && !is_live) status = pulsews_send(b->ws, kind, text, length + size, patience);
    else status = pulsews_send_with(b->ws, kind, text, length + size, flags, ttl, patience, &id);
    memset(text, 'x', length);
    if (status == PULSEWS_OK) {
        *record = (struct sent){id, ACCEPTED | (is_live ? LIVE : 0), 0};
        if (is_live && connections > 0 && connections == count_connections(b)) record->ordinal = connections;
        s->accepted++;
    } else if (status != PULSEWS_ECLOSED && status != PULSEWS_ERATE && status != PULSEWS_EQUEUEFULL &&
               !(status == PULSEWS_ENOTCONNECTED && flags & (PULSEWS_LIVE_ONLY | PULSEWS_IN_LIMIT))) {
        problem(b, "send (%u flags) returned %s", flags, pulsews_error_name(status));
    }
    if (status == PULSEWS_EQUEUEFULL && b->policy < 2) problem(b, "a policy that drops returned PULSEWS_EQUEUEFULL");
}

void *send_messages(void *argument) {
    struct sender *sender = argument;
    struct booked *b = sender->client;
    uint64_t dice = b->seed * 31 + (uint64_t)sender->stream;
    char *text = malloc(ROOM);
    memset(text, 'x', ROOM);
    int burst = 0;
    while (!atomic_load(&senders_stop) && atomic_load(&b->streams[sender->stream].count) < MOST_MESSAGES - 32) {
        send_some(b, sender->stream, &dice, text);
        if (atomic_load(&senders_rest)) nap(50 + below(&dice, 100));
        else if (burst > 0) burst--;
        else if (chance(&dice, 0.004)) burst = (int)below(&dice, 300);
        else nap(1 + below(&dice, 24));
    }
    free(text);
    free(sender);
    return NULL;
}

/* ---- Receiving ---- */

static void set_fate(struct booked *b, uint64_t id, enum fate fate) {
    if (id == 0 || id >= MOST_IDS) {
        problem(b, "an event names the id %llu", (unsigned long long)id);
        return;
    }
    if (b->fates[id].fate != NO_FATE && b->fates[id].fate != fate)
        problem(b, "message %llu has two fates, %d and %d", (unsigned long long)id, b->fates[id].fate, fate);
    b->fates[id] = (struct fated){(uint8_t)fate, (uint16_t)b->ordinal};
}

static void take_range(struct booked *b, const pulsews_message *m, enum fate fate) {
    uint64_t first = (uint64_t)event_number(m, "first_id"), last = (uint64_t)event_number(m, "last_id");
    uint64_t count = (uint64_t)event_number(m, "messages");
    b->told[fate] += count;
    if (first == 0 || last < first || count > last - first + 1 || count == 0)
        problem(b, "an event tells of %llu messages from %llu to %llu", (unsigned long long)count,
                (unsigned long long)first, (unsigned long long)last);
    else if (count == last - first + 1 && !b->reports)
        for (uint64_t id = first; id <= last; id++) set_fate(b, id, fate);
}

static void take_event(struct booked *b, const pulsews_message *m) {
    if (event_has(m, SECRET)) problem(b, "an event shows the key: %.*s", (int)m->length, (const char *)m->data);
    if (event_is(m, "fate")) {
        enum fate fate = event_has(m, "\"sent\"")      ? SENT
                         : event_has(m, "\"dropped\"") ? DROPPED
                         : event_has(m, "\"expired\"") ? EXPIRED
                         : event_has(m, "\"failed\"")  ? FAILED
                                                       : NO_FATE;
        uint64_t id = (uint64_t)event_number(m, "id");
        if (id < MOST_IDS && b->fates[id].fate != NO_FATE)
            problem(b, "the fate of message %llu came twice", (unsigned long long)id);
        set_fate(b, id, fate);
        if (fate == SENT) b->told[SENT]++;
    } else if (event_is(m, "state")) {
        if (event_has(m, "\"trigger\":\"opened\"") && b->ordinal < MOST_ORDINALS - 1) b->ordinal++, b->awaits_hello = 1;
        if (event_has(m, "\"trigger\":\"retry\""))
            b->due = m->received_ns + (int64_t)(event_number(m, "next_delay") * 1e9);
        if (event_has(m, "\"trigger\":\"attempt\"")) b->attempted = m->received_ns;
        if (event_has(m, "\"trigger\":\"give_up\"")) problem(b, "gave up: %.*s", (int)m->length, (const char *)m->data);
    } else if (event_is(m, "dropped")) {
        take_range(b, m, DROPPED);
    } else if (event_is(m, "expired")) {
        take_range(b, m, EXPIRED);
    } else if (event_is(m, "failed")) {
        take_range(b, m, FAILED);
    } else if (event_is(m, "endpoint")) {
        if (b->ordinal < MOST_ORDINALS - 1) b->ordinal++, b->awaits_hello = 1;
    } else if (event_is(m, "rotation")) {
        b->rotations += (uint64_t)event_has(m, "\"step\":\"done\"");
    } else if (event_is(m, "gap")) {
        b->gap_from = event_number(m, "expected"), b->gap_to = event_number(m, "received");
        b->feed_gaps++;
        if (b->gap_from != b->feed_number + 1 || b->gap_to <= b->gap_from)
            problem(b, "a gap from %lld to %lld after %lld", (long long)b->gap_from, (long long)b->gap_to,
                    (long long)b->feed_number);
    } else if (event_is(m, "repeat") || event_is(m, "step_back")) {
        problem(b, "after %lld: %.*s", (long long)b->feed_number, (int)m->length, (const char *)m->data);
    } else if (event_is(m, "events_dropped")) {
        b->events_lost += (uint64_t)event_number(m, "events");
    } else if (event_is(m, "hold") && event_has(m, "\"at\":\"connect\"")) {
        char token[64];
        snprintf(token, sizeof token, "token %llu", (unsigned long long)b->last_sequence);
        pulsews_set_header(b->ws, "X-Token", token, NULL, 0);
        pulsews_release(b->ws);
    } else if (event_is(m, "hold")) {
        char login[64];
        int length = snprintf(login, sizeof login, "login %d, freshly signed", b->index);
        pulsews_send_with(b->ws, PULSEWS_TEXT, login, (size_t)length, PULSEWS_FIRST, 0, 0, NULL);
        pulsews_release(b->ws);
    }
}

static void come_back(struct booked *b, uint32_t number, int64_t at) {
    uint32_t awaited = atomic_load(&b->awaited_number);
    if (awaited == 0 || number < awaited) return;
    atomic_store(&b->due_at, b->due);
    atomic_store(&b->attempted_at, b->attempted);
    atomic_store(&b->first_message_at, at);
    atomic_store(&b->awaited_number, 0);
}

/* No number comes twice, and what is left out was told just before. */
static void take_number(struct booked *b, int64_t number) {
    b->received++;
    if (b->feed_number > 0 && number != b->feed_number + 1 && (number <= b->feed_number || number != b->gap_to))
        problem(b, "feed number %lld after %lld", (long long)number, (long long)b->feed_number);
    if (number > b->feed_number) b->feed_number = number;
    b->gap_to = 0;
}

static void take_text(struct booked *b, const pulsews_message *m) {
    char text[48];
    long long feed_number = 0;
    unsigned number = 0, index = 0;
    snprintf(text, sizeof text, "%.*s", (int)(m->length < 47 ? m->length : 47), (const char *)m->data);
    if (sscanf(text, "h %u", &number) == 1) {
        if (number <= b->number) problem(b, "connection %u after %u", number, b->number);
        /* One that was replaced without an interruption is told of by its successor only. */
        if (b->rotates && !b->awaits_hello && b->ordinal < MOST_ORDINALS - 1) b->ordinal++;
        b->awaits_hello = 0;
        b->number = number;
        b->last = 0;
        b->number_of[b->ordinal] = (uint16_t)number;
    } else if (sscanf(text, "d %u %u", &number, &index) == 2) {
        b->received++;
        if (number != b->number || index != b->last + 1) {
            b->gaps++;
            problem(b, "\"%s\" after number %u of connection %u", text, b->last, b->number);
        }
        b->last = index;
        come_back(b, number, m->received_ns);
    } else if (sscanf(text, "{\"g\":%lld,\"k\":%u", &feed_number, &number) == 2) {
        take_number(b, feed_number);
        come_back(b, number, m->received_ns);
    } else if (strncmp(text, "ok ", 3) != 0 && strcmp(text, "no login") != 0) {
        problem(b, "received \"%s\"", text);
    }
}

static void take(struct booked *b, const pulsews_message *m) {
    if (b->last_sequence && m->sequence != b->last_sequence + 1)
        problem(b, "sequence %llu after %llu", (unsigned long long)m->sequence, (unsigned long long)b->last_sequence);
    b->last_sequence = m->sequence;
    if (m->kind == PULSEWS_EVENT) take_event(b, m);
    else take_text(b, m);
}

void *receive_messages(void *argument) {
    struct booked *b = argument;
    uint64_t dice = b->seed ^ 0x736C6F77;
    pulsews_batch *batch = b->index % 2 ? pulsews_batch_create() : NULL;
    for (;;) {
        int32_t status;
        if (batch) {
            const pulsews_message *messages;
            status = pulsews_recv_batch(b->ws, batch, 64, PULSEWS_FOREVER, &messages);
            for (int32_t i = 0; i < status; i++) take(b, &messages[i]);
            if (b->is_slow && chance(&dice, 0.05)) nap(below(&dice, 300));
        } else {
            pulsews_message m;
            status = pulsews_recv(b->ws, &m, PULSEWS_FOREVER);
            if (status == PULSEWS_OK) take(b, &m);
        }
        if (status >= 0) continue;
        if (status != PULSEWS_ECLOSED) problem(b, "a receive call returned %s", pulsews_error_name(status));
        if (atomic_load(&clients_close)) break;
        nap(1); /* disconnected; it will come back */
    }
    pulsews_batch_free(batch);
    return NULL;
}
