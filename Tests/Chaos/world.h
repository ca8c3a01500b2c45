/* SPDX-License-Identifier: Apache-2.0
 *
 * What the programs of the chaos run share: a piece of memory in which the server keeps its books, and with which the
 * run steers server and proxy. The client's side reads the books only when the server has nothing more to do.
 */
#ifndef WORLD_H
#define WORLD_H

#include "hub_world.h"
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum {
    MOST_CLIENTS = 512,
    MOST_CONNECTIONS = 2048,     /* of one client */
    MOST_BOOKED = 64,            /* clients whose messages are numbered */
    STREAMS = 2,                 /* senders of one client, each with its own numbers */
    MOST_MESSAGES = 1 << 18,     /* of one stream */
    MOST_ACCEPTS = 1 << 17,
    MOST_COMPLAINTS = 32
};

/* What a client asks the server to do for it; a part of its URL: /CLIENT/SUBSCRIPTIONS/FLAGS */
enum {
    CONFIRMS = 1,                /* answers logins and subscriptions */
    MAY_REJECT = 2,              /* may reject a login */
    MAY_GO_MUTE = 4,             /* may stop the feed while answering pings */
    NO_FEED = 8,
    IS_DIRECT = 16,              /* no proxy in between: nothing delays its messages on the way */
    IS_NUMBERED = 32             /* the feed has numbers, the same on all connections */
};

/* What a server does, or refrains from. */
enum {
    FAULT_CLOSE = 1,             /* ends connections: close frames, ends of stream, resets, cut frames */
    FAULT_REFUSE = 2,            /* 503 with Retry-After */
    FAULT_LOGIN = 4,             /* rejects a login, or does not answer it */
    FAULT_MUTE = 8
};

struct connection_record {
    int64_t accepted, upgraded, ready, heard, ended; /* monotonic ns; heard: the last frame; 0: not yet */
    uint32_t logins, subscriptions, got, fed;
    uint16_t close_code;         /* of the client's close frame */
    uint8_t has_close;           /* the client's close frame came: everything before it has come, too */
    uint8_t why;                 /* a letter: how it ended */
};

struct client_record {
    _Atomic uint32_t connections; /* upgraded so far; they are numbered from 1 */
    _Atomic uint32_t open;       /* of these, not ended */
    _Atomic uint32_t got;
    struct connection_record connection[MOST_CONNECTIONS];
};

struct world {
    uint64_t seed;
    char address[32];            /* where the server listens */
    char certificate[256], key[256];
    _Atomic int plain_port, tls_port, proxy_plain_port, proxy_tls_port;
    /* Steering. */
    _Atomic int server_faults;
    _Atomic int proxy_faults;    /* 1; 3 in front of a hub: garbage, too, and small buffers */
    _Atomic int server_listens;  /* wanted; 0 closes listeners and resets connections */
    _Atomic int is_mute;         /* the whole feed; pings are answered */
    _Atomic int refuse;          /* so many of the next handshakes get 503 */
    _Atomic int retry_after;     /* seconds told with them; -1: none */
    _Atomic int reject_login;    /* so many of the next logins are rejected */
    _Atomic int close_all;       /* a close code: all connections are closed with it once */
    _Atomic int proxy_half_open; /* everything that passes now is half-open from here on */
    _Atomic int proxy_partition; /* nothing passes and nothing is accepted while this is set */
    _Atomic int upgrade_delay_ms;
    _Atomic int feed_us;         /* between two messages of the feed */
    _Atomic int64_t whole_since; /* monotonic ns: no packet was dropped since then; 0 while some are */
    _Atomic int quiet;           /* end: no faults, what is half-open is reset */
    /* Books. */
    _Atomic int64_t listening_since; /* realtime ns */
    _Atomic uint64_t events[26]; /* how often each fault was done, by letter */
    _Atomic uint64_t proxy_events[26];
    _Atomic uint32_t accepts;
    int64_t accepted_at[MOST_ACCEPTS]; /* monotonic ns */
    _Atomic int64_t latest;      /* ns: the most that a message arrived after its time to live, over a sound link */
    _Atomic uint32_t timed;      /* messages that could have been late */
    _Atomic int in_flight, most_in_flight; /* accepted and not upgraded yet */
    _Atomic uint32_t complaints;
    char complaint[MOST_COMPLAINTS][200];
    struct client_record client[MOST_CLIENTS];
    /* In which connection a message was seen; 0: never. */
    uint16_t seen[MOST_BOOKED][STREAMS][MOST_MESSAGES];
    struct hub_world hub;
};

static inline int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static inline int64_t monotonic(void) { return clock_ns(CLOCK_MONOTONIC); }
/* The number that a numbered feed has reached. */
static inline int64_t feed_number(int64_t now) { return now / 4000000; }
static inline int64_t realtime(void) { return clock_ns(CLOCK_REALTIME); }

/* splitmix64: small, and the same everywhere for a seed. */
static inline uint64_t draw(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static inline uint32_t below(uint64_t *state, uint32_t bound) { return (uint32_t)(draw(state) % bound); }
static inline int chance(uint64_t *state, double p) { return (double)(draw(state) >> 11) * 0x1p-53 < p; }

#endif
