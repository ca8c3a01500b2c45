/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "hub_follow.h"
#include "support.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct follow_totals follow_totals;
uint32_t *latencies;

void follow_complain(const struct follower *f, const char *format, ...) {
    char text[400];
    va_list arguments;
    if (follow_totals.complaints++ >= 12) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    note("peer %d, t%d, life %u, last %llu: %s", f->peer, f->topic, f->life, (unsigned long long)f->last, text);
}

uint64_t follow_number(const char *text, const char *name, uint64_t otherwise) {
    char part[32];
    int length = snprintf(part, sizeof part, "\"%s\":", name);
    const char *at = strstr(text, part);
    return at && at[length] >= '0' && at[length] <= '9' ? strtoull(at + length, NULL, 10) : otherwise;
}

static void set_fate(struct follower *f, uint64_t number, enum fate fate) {
    static const char *const names[] = {"nothing", "the message", "that it was skipped", "that it is missing"};
    if (number < f->first)
        return follow_complain(f, "%s of number %llu, from before it was there", names[fate],
                               (unsigned long long)number);
    size_t place = number - f->first;
    if (place >= f->known) {
        size_t room = (place + 1) * 2;
        if (room > (1 << 26)) return follow_complain(f, "number %llu", (unsigned long long)number);
        if (!(f->fates = realloc(f->fates, room))) abort();
        memset(f->fates + f->known, UNTOLD, room - f->known);
        f->known = room;
    }
    if (f->fates[place] != UNTOLD)
        follow_complain(f, "number %llu: %s, after %s", (unsigned long long)number, names[fate],
                        names[f->fates[place]]);
    f->fates[place] = (unsigned char)fate;
}

static void begin_life(struct follower *f) {
    if (f->life) follow_end(f, 0);
    f->life = f->new_life;
    f->last = f->end;
    f->first = f->end + 1;
    f->known = 0;
    free(f->fates);
    f->fates = NULL;
}

void follow_again(struct follower *f) {
    f->is_subscribed = f->awaits_gap = f->awaits_snapshot = 0;
    f->behind = 0;
}

static uint32_t life_of(const char *text) {
    char epoch[40] = "";
    const char *at = strstr(text, "\"epoch\":\"");
    if (!at || sscanf(at, "\"epoch\":\"%39[^\"]", epoch) != 1) return 0;
    for (uint32_t life = atomic_load(&world->hub.life); life > 0; life--)
        if (strcmp(world->hub.epoch[life], epoch) == 0) return life;
    return 0;
}

void follow_subscribed(struct follower *f, const char *text, uint64_t others) {
    int is_recovered = strstr(text, "\"recovered\":true") != NULL;
    if (f->is_subscribed) follow_complain(f, "two answers: %s", text);
    f->is_subscribed = 1;
    f->new_life = life_of(text);
    f->end = follow_number(text, "offset", 0);
    if (f->new_life == 0) return follow_complain(f, "of no life that there was: %s", text);
    f->awaits_snapshot = f->has_latest && !is_recovered;
    if (f->life == 0) {
        if (is_recovered) follow_complain(f, "recovered without since: %s", text);
        return begin_life(f);
    }
    if (f->new_life < f->life) follow_complain(f, "an earlier life: %s", text);
    f->awaits_gap = !is_recovered;
    if (f->new_life != f->life) {
        if (is_recovered) follow_complain(f, "recovered over a restart: %s", text);
        return;
    }
    if (f->end < f->last) return follow_complain(f, "it had more than there is: %s", text);
    uint64_t behind = f->end - f->last;
    int is_kept = behind <= (uint64_t)f->history, has_room = behind + others < (uint64_t)f->room;
    if (is_recovered ? !is_kept : is_kept && has_room)
        follow_complain(f, "%llu behind, with a history of %d: %s", (unsigned long long)behind, f->history, text);
    if (!is_recovered) return;
    f->behind = behind;
    f->recoveries++, follow_totals.recoveries++;
}

/* What a subscription that was not recovered lacks. */
static void follow_first_gap(struct follower *f, const char *text, uint64_t from, uint64_t to) {
    f->awaits_gap = 0;
    if (to != f->end)
        follow_complain(f, "a gap that does not lead to the end %llu: %s", (unsigned long long)f->end, text);
    if (f->new_life != f->life) {
        if (from != 0 || !strstr(text, "\"cause\":\"hub_restart\"")) follow_complain(f, "after a restart: %s", text);
        f->restarts++, follow_totals.restarts++;
        return begin_life(f);
    }
    if (from != f->last + 1 || strstr(text, "\"cause\":\"hub_restart\"")) follow_complain(f, "%s", text);
    for (uint64_t number = f->last + 1; number <= to; number++) set_fate(f, number, MISSING);
    f->missing += to - f->last, follow_totals.missing += to - f->last;
    f->last = to;
}

void follow_gap(struct follower *f, const char *text) {
    uint64_t from = follow_number(text, "from", 0), to = follow_number(text, "to", 0);
    f->gaps++, follow_totals.gaps++;
    if (!f->is_subscribed) return follow_complain(f, "not subscribed: %s", text);
    if (f->awaits_gap) return follow_first_gap(f, text, from, to);
    if (from != f->last + 1 || to < from || !strstr(text, "\"cause\":\"slow\"")) return follow_complain(f, "%s", text);
    follow_totals.slow_gaps++;
    for (uint64_t number = from; number <= to; number++) set_fate(f, number, MISSING);
    f->missing += to - f->last, follow_totals.missing += to - f->last;
    f->last = to;
}

/* Its items rise, none is beyond the answer, and each is of the life that its offset belongs to. */
void follow_snapshot(struct follower *f, const char *text) {
    if (!f->awaits_snapshot || f->awaits_gap) return follow_complain(f, "no time for a snapshot: %.100s", text);
    f->awaits_snapshot = 0;
    follow_totals.snapshots++;
    uint64_t loaded = atomic_load(&world->hub.loaded[f->topic]), before = 0;
    /* The hub may live again meanwhile, and have other books. */
    int is_present = f->life == atomic_load(&world->hub.life);
    const char *at = strstr(text, "\"items\":[");
    while (at && (at = strstr(at, "\"o\":"))) {
        uint64_t offset = follow_number(at, "o", 0), number = follow_number(at, "n", 0),
                 life = follow_number(at, "life", 0);
        if (offset <= before || offset > f->end || number != offset) follow_complain(f, "an item: %.150s", at);
        if (is_present && life != f->life - (offset <= loaded))
            follow_complain(f, "an item of life %llu: %.150s", (unsigned long long)life, at);
        before = offset;
        at++;
    }
}

static int has_its_letters(const char *fill, const char *end, uint64_t number) {
    static char letters[HUB_LETTERS];
    if (!letters[0]) hub_letters(letters);
    /* The envelope's brace, and the message's. */
    size_t length = (size_t)(end - fill);
    return length >= 3 && length < HUB_FILL && memcmp(end - 3, "\"}}", 3) == 0 &&
           memcmp(fill, letters + hub_place(number), length - 3) == 0;
}

void follow_message(struct follower *f, const char *text, size_t length) {
    uint64_t offset = follow_number(text, "o", 0), previous = follow_number(text, "p", UINT64_MAX);
    const char *data = strstr(text, "\"data\":"), *skips = strstr(text, "\"skipped\":");
    unsigned life = 0, key = 0;
    unsigned long long number = 0;
    long long sent = 0;
    int head = 0;
    if (!f->is_subscribed || f->awaits_gap || f->awaits_snapshot)
        return follow_complain(f, "a message too early: %.150s", text);
    if (!data || sscanf(data + 7, HUB_MESSAGE "%n", &life, &number, &key, &sent, &head) != 4 || head == 0)
        return follow_complain(f, "what is that: %.150s", text);
    uint64_t skipped = skips && skips < data ? follow_number(skips, "skipped", 0) : 0;
    if (life != f->life) follow_complain(f, "a message of life %u: %.150s", life, text);
    if (number != offset || key != number % HUB_KEYS || !has_its_letters(data + 7 + head, text + length, number))
        follow_complain(f, "not what was published: %.150s", text);
    if (previous != f->last || offset != previous + 1 + skipped)
        follow_complain(f, "%llu behind %llu with %llu skipped", (unsigned long long)offset,
                        (unsigned long long)previous, (unsigned long long)skipped);
    if (skipped && !f->is_keyed) follow_complain(f, "skipped, and has no keys: %.150s", text);
    for (uint64_t one = previous + 1; one < offset && skipped; one++) set_fate(f, one, SKIPPED);
    set_fate(f, number, GOT);
    f->got++, follow_totals.got++;
    f->skipped += skipped, follow_totals.skipped += skipped;
    f->last = offset;
    if (!latencies) return;
    int64_t took = (monotonic() - sent) / 1000;
    latencies[took < 0 ? 0 : took >= SLOWEST ? SLOWEST - 1 : took]++;
}

void follow_end(struct follower *f, int has_all) {
    for (uint64_t number = f->first; number <= f->last; number++) {
        size_t place = number - f->first;
        enum fate fate = place < f->known ? f->fates[place] : UNTOLD;
        if (fate == UNTOLD) follow_complain(f, "nothing was told of number %llu", (unsigned long long)number);
        if (has_all && fate == SKIPPED && number + HUB_KEYS > f->last)
            follow_complain(f, "number %llu was skipped, and is the newest of its key", (unsigned long long)number);
    }
}
