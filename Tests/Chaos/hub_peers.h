/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of the hub, on one thread: they speak `pulse.v1` over sockets of their own, so that nothing of the library is
 * between what was sent and what is checked. They come back when they were cut, go on where they stood, and may cut
 * themselves.
 */
#ifndef HUB_PEERS_H
#define HUB_PEERS_H

#include "hub_follow.h"
#include "wire.h"
#include <zlib.h>

enum { MOST_TOPICS = 2 };

struct peer {
    int index, fd;
    enum { AWAY, UPGRADING, OPEN, LEAVING } phase;
    uint32_t watched;
    int is_stopped;              /* it does not read */
    int deflates, is_half_closed, has_returned;
    int64_t wake_at, cut_at, heard;
    uint64_t id;                 /* its number at the hub */
    int close_code;              /* of the last close frame */
    struct bytes in, text;
    z_stream inflater;
    int count;
    struct follower topics[MOST_TOPICS];
};

/* What they are like. */
struct habits {
    int peers, topics;           /* each has so many topics; the second one is the keyed one */
    int route;                   /* DIRECT or PROXY */
    int cuts;                    /* 0: they do not cut themselves; else after a time of up to so many ms */
    int away;                    /* for up to so many ms */
    int long_away;               /* one in 20 for half as many ms at least: longer than the history */
    int naps;                    /* 0, or half of them do not read for up to so many ms in place of a cut */
    int patience;                /* ms without a byte, after which a connection is dead */
    int history, room;           /* of the topics */
    uint64_t seed;
};

extern struct peer *peers;
extern uint64_t peer_returns;    /* connections that went on with since */
extern uint64_t peer_ways[8];    /* how often each way to be cut was gone */

void make_peers(const struct habits *habits);
void free_peers(void);
/* Serves them until something has happened, for 1 ms at most. */
void serve_peers(void);
void stop_reading(struct peer *peer, int is_stopped);
void stop_cutting(void);
/* Whether all (that read) have everything of the present life, and are open. */
int all_are_there(void);
/* Serves them until that is so; 0 if it does not come to pass. */
int serve_until_all_are_there(double seconds);

#endif
