/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's part of the shared memory: what it is told, and its books.
 */
#ifndef HUB_WORLD_H
#define HUB_WORLD_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    HUB_TOPICS = 4,              /* t0, t1 ... */
    HUB_LIVES = 4096,
    HUB_ROWS = 512,
    HUB_SETTINGS = 24,
    HUB_KEYS = 16,
    HUB_LOADS = 100              /* messages of the life before, for each topic */
};

/* Of one peer, or of all together. */
struct hub_row {
    uint64_t peer, offered, written, conflated, dropped, queued;
};

struct hub_world {
    /* What the hub is: "hub NAME VALUE" or "topic PATTERN NAME VALUE". */
    char setting[HUB_SETTINGS][96];
    int settings;
    int topics;                  /* published to in turn */
    int keyed;                   /* the topic of which every message has a key; -1: all, -2: none */
    int size;                    /* bytes of a message, about */
    int loads;                   /* every second life loads messages of the life before */
    /* Steering. */
    _Atomic int rate;            /* messages a second */
    _Atomic int lag;             /* how far t0 may be ahead of `confirmed`; 0: any */
    _Atomic uint64_t confirmed;
    _Atomic int ends;
    _Atomic uint32_t reports_wanted;
    /* Books. A life is a process: they are numbered from 1. */
    _Atomic uint32_t life;
    char epoch[HUB_LIVES][40];
    _Atomic int pid;
    _Atomic uint64_t published[HUB_TOPICS]; /* offset of the last one */
    _Atomic uint64_t loaded[HUB_TOPICS];    /* up to this offset they are of the life before */
    _Atomic uint64_t balances;   /* how often the books were looked at */
    _Atomic uint64_t holds;      /* how often publishing waited for `confirmed` */
    _Atomic uint32_t reports;
    struct hub_row sum, row[HUB_ROWS];
    int rows;
    double statistics[128];      /* in the order of pulsews_hub_statistic_at */
};

/* What number `number` of a life's topic is, without the end of its text: for both sides. `sent`: monotonic ns. */
#define HUB_MESSAGE "{\"type\":\"n\",\"life\":%u,\"n\":%llu,\"k\":\"k%u\",\"sent\":%lld,\"fill\":\""

/* The letters behind it begin at a place that follows from the number, and compress badly. */
enum { HUB_LETTERS = 1 << 16, HUB_FILL = 1 << 15 };
static inline void hub_letters(char letters[HUB_LETTERS]) {
    uint64_t state = 1;
    for (int i = 0; i < HUB_LETTERS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        letters[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"[state >> 58];
    }
}
static inline uint64_t hub_place(uint64_t number) { return number * 7919 % HUB_FILL; }

#endif
