/* SPDX-License-Identifier: Apache-2.0
 *
 * One client whose messages are booked on both sides: what it sends, what became of it, what it receives.
 */
#ifndef BOOKS_H
#define BOOKS_H

#include "support.h"
#include <pthread.h>

enum { MOST_IDS = STREAMS * MOST_MESSAGES, MOST_ORDINALS = 4096, LOOPS = 2 };

enum fate { NO_FATE, SENT, DROPPED, EXPIRED, FAILED };

/* What the sender knows of a message. */
enum { REFUSED = 0, ACCEPTED = 1, LIVE = 2 };

struct sent {
    uint64_t id;
    uint8_t marks;
    uint16_t ordinal;
}; /* id 0: not known; ordinal: the connection it was for */
struct fated {
    uint8_t fate;
    uint16_t ordinal;
}; /* the connection in which it was sent, counted by this side */

struct stream {
    struct sent *messages;
    _Atomic uint32_t count;
    uint32_t accepted;
};

struct booked {
    int index, route, policy, flags, subscriptions;
    int reports, holds_login, is_heavy, is_slow;
    int rotates;                 /* its connections are replaced by and by */
    int64_t ttl;                 /* option message_ttl, ns */
    uint64_t seed;
    pulsews_client *ws;
    struct stream streams[STREAMS];
    struct fated *fates;         /* by id */
    uint64_t told[5];            /* messages by fate, as events told it */
    uint64_t events_lost;
    /* Receiving. */
    uint32_t ordinal;            /* connections so far */
    uint16_t number_of[MOST_ORDINALS]; /* the server's number of each; 0: not heard */
    uint32_t number, last;       /* of the present connection */
    int awaits_hello;            /* of a connection that was told of */
    int64_t feed_number, gap_from, gap_to; /* of a numbered feed; the gap that was told of last */
    uint64_t feed_gaps, rotations;
    uint64_t received, gaps, attempts, ended_badly;
    uint64_t first_sequence, last_sequence;
    char first_problem[200];
    /* Repairs: the first message over a connection with at least this number. */
    _Atomic uint32_t awaited_number;
    _Atomic int64_t first_message_at, due_at, attempted_at;
    int64_t due, attempted;
};

/* The clients, and steering for their threads. */
extern struct booked *booked;
extern int booked_count;
extern pulsews_loop *loops[LOOPS], *own_loop;
/* What the threads that look have found. */
extern _Atomic uint64_t looks, imbalances, secrets, log_lines;
extern double first_imbalance;
/* Held while they may run out, or must not. */
extern pthread_mutex_t descriptors;
extern _Atomic int senders_rest, senders_stop, clients_close;

void problem(struct booked *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Threads. */
extern _Atomic int monkeys_stop, monitors_stop, drivers_stop;
void *be_a_monkey(void *argument);      /* a seed */
void *visit(void *argument);            /* a seed */
void *monitor(void *argument);
void *read_log(void *argument);
void *drive(void *argument);            /* a loop */
void *send_messages(void *argument);    /* a struct sender */
void *receive_messages(void *argument); /* a struct booked */
struct sender {
    struct booked *client;
    int stream;
};

/* After the end. */
void check_books(void);

#endif
