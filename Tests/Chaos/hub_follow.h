/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer of the hub knows of one topic, as docs/PROTOCOL.md says, and what it was told of each number: each has to
 * have one fate. Whatever else happens is a complaint.
 */
#ifndef HUB_FOLLOW_H
#define HUB_FOLLOW_H

#include "world.h"
#include <stddef.h>

enum fate { UNTOLD = 0, GOT, SKIPPED, MISSING };

struct follower {
    int peer, topic;
    int is_keyed;                /* messages may be skipped */
    int has_latest;              /* who does not go on gets a snapshot */
    int history;                 /* how much the topic keeps */
    int room;                    /* how much a peer that comes back may have missed in all its topics */
    /* Where it stands; `life` 0: nowhere yet. */
    uint32_t life;
    uint64_t last;
    /* Of this connection: the answer came; a gap, a snapshot has to come. `end`: the offset of the answer. */
    int is_subscribed, awaits_gap, awaits_snapshot;
    uint32_t new_life;
    uint64_t end, behind;
    /* The numbers of this life, from `first` on. */
    uint64_t first;
    unsigned char *fates;
    size_t known;
    /* In all lives. */
    uint64_t got, skipped, missing, gaps, restarts, recoveries;
};

/* Of all followers. */
extern struct follow_totals {
    uint64_t complaints, got, skipped, missing, gaps, slow_gaps, restarts, recoveries, snapshots;
} follow_totals;
/* Microseconds from the publishing of a message to its peer. */
enum { SLOWEST = 1 << 20 };
extern uint32_t *latencies;      /* so many of each; NULL: not counted */

void follow_complain(const struct follower *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A new connection: what the old one has promised counts no more. */
void follow_again(struct follower *f);
/* Each takes one message of the hub, ended by NUL. `others`: with what the peer's other topics have to catch up. */
void follow_subscribed(struct follower *f, const char *text, uint64_t others);
void follow_gap(struct follower *f, const char *text);
void follow_snapshot(struct follower *f, const char *text);
void follow_message(struct follower *f, const char *text, size_t length);
/* At the end of a life: every number has a fate; and if it has all, what was skipped has a newer one of its key. */
void follow_end(struct follower *f, int has_all);
/* A member of a message. */
uint64_t follow_number(const char *text, const char *name, uint64_t otherwise);

#endif
