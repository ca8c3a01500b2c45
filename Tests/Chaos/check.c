/* SPDX-License-Identifier: Apache-2.0
 *
 * After the end: what the clients know against what the server knows, message by message.
 */
#include "books.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    uint64_t accepted, sent, dropped, expired, failed, seen, refused, rejected;
    uint64_t lost, lost_cleanly, failed_seen, unknown_connection, received, connections, clean;
    uint64_t bad[9];
} sum;

enum { UNACCEPTED_SEEN, FATED_SEEN, NO_FATE_LEFT, ORDER, LOST_CLEANLY, NOT_A_PREFIX, SUMS, TOLD, ELSEWHERE };

static void bad(const struct booked *b, int what, const char *format, uint64_t x, uint64_t y, uint64_t z) {
    char text[200];
    if (sum.bad[what]++ > 2) return;
    snprintf(text, sizeof text, format, (unsigned long long)x, (unsigned long long)y, (unsigned long long)z);
    note("client %d: %s", b->index, text);
}

static double number(const double *values, const char *name) { return values[statistic_index(name)]; }

/* By id: fates against what was seen, and what of a connection arrived. */
static void check_stream(struct booked *b, int stream, uint64_t *seen_count, uint64_t *live_failed) {
    const struct stream *s = &b->streams[stream];
    const uint16_t *seen = world->seen[b->index][stream];
    uint16_t newest = 0;
    uint32_t count = atomic_load(&s->count);
    for (uint32_t n = 0; n < count; n++) {
        const struct sent *m = &s->messages[n];
        if (seen[n]) ++*seen_count;
        if (!(m->marks & ACCEPTED)) {
            sum.refused++;
            if (seen[n])
                bad(b, UNACCEPTED_SEEN, "message %llu of stream %llu was refused, and arrived", n, (uint64_t)stream, 0);
            continue;
        }
        if (seen[n] && !(m->marks & LIVE)) {
            if (seen[n] < newest)
                bad(b, ORDER, "message %llu arrived in connection %llu, one before it in %llu", n, seen[n], newest);
            newest = seen[n];
        }
        /* Without all events the connections can't be counted. */
        int is_counted = seen[n] && b->events_lost == 0;
        uint16_t meant = is_counted && m->ordinal ? b->number_of[m->ordinal] : 0;
        if (meant && meant != seen[n])
            bad(b, ELSEWHERE, "live_only message %llu was for connection %llu and arrived in %llu", n, meant, seen[n]);
        if (m->id == 0) continue;
        uint16_t sent_on = b->number_of[b->fates[m->id].ordinal];
        if (is_counted && b->reports && b->fates[m->id].fate == SENT && sent_on && sent_on != seen[n])
            bad(b, ELSEWHERE, "message %llu was told as sent in connection %llu and arrived in %llu", n, sent_on,
                seen[n]);
        enum fate fate = b->fates[m->id].fate;
        if (b->reports && fate == NO_FATE)
            bad(b, NO_FATE_LEFT, "message %llu (id %llu, marks %llu) has no fate", n, m->id, m->marks);
        if (seen[n] && (fate == DROPPED || fate == EXPIRED))
            bad(b, FATED_SEEN, "message id %llu has fate %llu and arrived in connection %llu", m->id, fate, seen[n]);
        if (seen[n] && fate == FAILED) sum.failed_seen++;
        if (m->marks & LIVE && fate == FAILED) ++*live_failed;
    }
}

/* A client that reports every fate: what was sent over a connection and did not arrive is what came last on it, and
 * there is no such message if the server read the close frame of that connection. */
static void check_losses(struct booked *b) {
    enum { SEEN = 1, BOOKED = 2, IS_LIVE = 4 };
    uint8_t *by_id = calloc(MOST_IDS, 1);
    uint64_t highest = 0;
    for (int stream = 0; stream < STREAMS; stream++) {
        const struct stream *s = &b->streams[stream];
        for (uint32_t n = 0; n < atomic_load(&s->count); n++) {
            uint64_t id = s->messages[n].id;
            if (!(s->messages[n].marks & ACCEPTED) || id == 0 || id >= MOST_IDS) continue;
            by_id[id] = BOOKED | (world->seen[b->index][stream][n] ? SEEN : 0);
            if (s->messages[n].marks & LIVE) by_id[id] |= IS_LIVE;
            if (id > highest) highest = id;
        }
    }
    uint64_t *first_lost = calloc(MOST_ORDINALS, sizeof *first_lost);
    for (uint64_t id = 1; id <= highest; id++) {
        if (!(by_id[id] & BOOKED) || b->fates[id].fate != SENT) continue;
        uint16_t ordinal = b->fates[id].ordinal, k = b->number_of[ordinal];
        if (!(by_id[id] & SEEN)) {
            sum.lost++;
            if (k == 0) sum.unknown_connection++;
            else if (world->client[b->index].connection[k].has_close) {
                sum.lost_cleanly++;
                bad(b, LOST_CLEANLY, "message id %llu was sent on connection %llu (by our count %llu), and is lost", id,
                    k, ordinal);
            }
            if (!(by_id[id] & IS_LIVE) && first_lost[ordinal] == 0) first_lost[ordinal] = id;
        } else if (!(by_id[id] & IS_LIVE) && first_lost[ordinal] != 0) {
            bad(b, NOT_A_PREFIX, "on connection %llu message id %llu arrived, and %llu before it did not", k, id,
                first_lost[ordinal]);
        }
    }
    free(first_lost);
    free(by_id);
}

static void check_client(struct booked *b) {
    double values[128];
    pulsews_statistics(b->ws, values, 128);
    uint64_t accepted = (uint64_t)number(values, "messages_accepted"), sent = (uint64_t)number(values, "messages_sent");
    uint64_t dropped = (uint64_t)number(values, "messages_dropped");
    uint64_t expired = (uint64_t)number(values, "messages_expired");
    uint64_t failed = (uint64_t)number(values, "messages_failed"), queued = (uint64_t)number(values, "queue_size");
    uint64_t mine = 0, seen = 0, live_failed = 0, got = atomic_load(&world->client[b->index].got);
    for (int i = 0; i < STREAMS; i++) {
        mine += b->streams[i].accepted;
        check_stream(b, i, &seen, &live_failed);
    }
    if (b->reports) check_losses(b);
    /* The login of a hold has an id and a fate as well. */
    if (b->holds_login ? accepted < mine : accepted != mine)
        bad(b, SUMS, "accepted %llu, by my count %llu", accepted, mine, 0);
    if (queued != 0 || accepted != sent + dropped + expired + failed)
        bad(b, SUMS, "accepted %llu, queued %llu, with a fate %llu", accepted, queued,
            sent + dropped + expired + failed);
    if (seen < got) bad(b, SUMS, "the server counted %llu messages and knows %llu", got, seen, 0);
    if (seen > sent + failed) bad(b, SUMS, "the server has seen %llu messages, sent were %llu", seen, sent, 0);
    if (b->events_lost == 0 && number(values, "events_dropped") == 0) {
        if (b->told[DROPPED] != dropped || b->told[EXPIRED] != expired)
            bad(b, TOLD, "events told of %llu dropped and %llu expired messages, statistics of %llu", b->told[DROPPED],
                b->told[EXPIRED], dropped);
        if (b->told[FAILED] != failed)
            bad(b, TOLD, "events told of %llu failed messages, statistics of %llu", b->told[FAILED], failed, 0);
        if (b->reports && !b->holds_login && b->told[SENT] != sent)
            bad(b, TOLD, "events told of %llu sent messages, statistics of %llu", b->told[SENT], sent, 0);
    } else if (!b->is_slow) {
        bad(b, TOLD, "%llu events were dropped", b->events_lost, 0, 0);
    }
    sum.accepted += accepted, sum.sent += sent, sum.dropped += dropped, sum.expired += expired, sum.failed += failed;
    sum.seen += seen, sum.received += b->received, sum.rejected += (uint64_t)number(values, "messages_rejected");
    uint32_t connections = atomic_load(&world->client[b->index].connections);
    sum.connections += connections;
    for (uint32_t k = 1; k <= connections; k++) sum.clean += world->client[b->index].connection[k].has_close;
}

void check_books(void) {
    uint64_t problems = 0, rotations = 0, gaps = 0;
    for (int i = 0; i < booked_count; i++) {
        check_client(&booked[i]);
        rotations += booked[i].rotations;
        gaps += booked[i].feed_gaps;
        problems += booked[i].ended_badly;
        if (booked[i].ended_badly)
            note("client %d: %llu problems; first: %s", i, (unsigned long long)booked[i].ended_badly,
                 booked[i].first_problem);
    }
    printf("       accepted %llu = sent %llu + dropped %llu + expired %llu + failed %llu; refused %llu (outbox full "
           "%llu)\n",
           (unsigned long long)sum.accepted, (unsigned long long)sum.sent, (unsigned long long)sum.dropped,
           (unsigned long long)sum.expired, (unsigned long long)sum.failed, (unsigned long long)sum.refused,
           (unsigned long long)sum.rejected);
    printf("       server saw %llu; lost with a connection (clients that report): %llu, of these %llu on one whose "
           "number is "
           "not known; failed and seen: %llu; received %llu; %llu connections, %llu closed cleanly\n",
           (unsigned long long)sum.seen, (unsigned long long)sum.lost, (unsigned long long)sum.unknown_connection,
           (unsigned long long)sum.failed_seen, (unsigned long long)sum.received, (unsigned long long)sum.connections,
           (unsigned long long)sum.clean);
    result(sum.bad[SUMS] == 0, "books: accepted = sent + dropped + expired + failed at the end, on both sides");
    result(sum.bad[UNACCEPTED_SEEN] == 0, "books: nothing that was refused arrived");
    result(sum.bad[FATED_SEEN] == 0, "books: nothing that was dropped or has expired arrived");
    result(sum.bad[NO_FATE_LEFT] == 0, "books: every message has one fate");
    result(sum.bad[ORDER] == 0, "books: what was queued arrived in order, across connections");
    result(sum.bad[LOST_CLEANLY] == 0, "books: all arrived that was sent on a connection that was closed cleanly");
    result(sum.bad[NOT_A_PREFIX] == 0, "books: what a broken connection lost came last on it");
    result(sum.bad[ELSEWHERE] == 0, "books: what was sent on a connection arrived on that one, live_only never later");
    result(sum.bad[TOLD] == 0, "books: events and statistics tell the same");
    result(problems == 0, "books: received without gap, order kept, no unexpected status: %llu problems",
           (unsigned long long)problems);
    result(rotations > 0, "connections were replaced %llu times; %llu gaps of numbered feeds, each told where it was",
           (unsigned long long)rotations, (unsigned long long)gaps);
    result(sum.seen > 0 && sum.received > 0 && sum.dropped > 0 && sum.expired > 0, "books: every fate occurred");
}
