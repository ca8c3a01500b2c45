/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client receives of the numbered feed of Tests/Integration/feed.py.
 */
#ifndef FEED_H
#define FEED_H

#include "harness.h"

enum { MOST_FEED_KEYS = 16 };

typedef struct feed {
    int is_quiet;                        /* prints no event */
    int64_t texts, first, last;          /* how many, and the first and highest number over all keys (-1: none yet) */
    int64_t next[MOST_FEED_KEYS];        /* the number that the key's next text should have; -1: none came yet */
    int64_t missing, copies;             /* numbers left out, and texts with a number that was passed before */
    int64_t other;                       /* texts that are not of the feed */
    int64_t states, gaps, repeats, backs, rotations, failed; /* events */
    char event[4096];                    /* the last one that was waited for */
} feed;

/* For connections that are replaced: the options, the script of one that delivers, and of one that is told to end. */
#define NUMBERED "sequence_path=u", "sequence_key=s"
#define DELIVERS "accept | got 1 | feed ms=2 keys=3 burst=2"
#define ENDS DELIVERS " | go | text {\"type\":\"bye\"}"
/* Ready is a connection that has joined the feed. Otherwise it is ready when its login is sent; a server that does not run
 * for longer than rotation_overlap is silent on both, the new one takes over, and what it missed before it joined is gone. */
#define JOINED "login_confirm={\"s\":\"*\"}"
#define STEP(step) "\"event\":\"rotation\",\"step\":\"" step "\""

void begin_feed(feed *f);
/* A client of one that is ready, and has brought some texts. */
pulsews_client *open_feed(server *s, feed *f, const char *const *options);
/* Books a message. */
void take_of_feed(feed *f, const pulsews_message *message);
/* Receives until an event that contains all parts; gives it. The test ends if it does not come in time. */
const char *follow(pulsews_client *client, feed *f, const char *const *parts);
#define FOLLOW(client, f, ...) follow(client, f, OPTIONS(__VA_ARGS__))
/* Receives so many texts more. */
void follow_texts(pulsews_client *client, feed *f, int64_t count);
/* Ends the feed, and receives its last text of each key. */
void follow_to_the_end(pulsews_client *client, server *s, feed *f, int keys);
/* The test ends if a number was left out, or came twice. */
void check_feed(const feed *f);

#endif
