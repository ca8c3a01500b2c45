/* SPDX-License-Identifier: Apache-2.0
 *
 * pulsews_hub.h - the other end of the wire: a hub that takes a feed once and serves many WebSocket peers.
 *
 * WHAT IT IS
 *   A hub (pulsews_hub) listens, answers HTTP requests, and holds WebSocket peers. The application publishes messages to
 *   topics; every peer that is subscribed to a topic gets them. A topic keeps history for peers that come back, and may
 *   conflate: a slow peer then gets the latest message of each key. Every message that is due to a peer has one fate:
 *   offered = written + conflated + dropped + queued, at every moment.
 *   docs/HUB.md is a course, docs/PROTOCOL.md what goes over the wire; docs/HUB_OPTIONS.md, docs/HUB_EVENTS.md,
 *   docs/HUB_STATISTICS.md.
 *
 * HUB IN 40 LINES: ws://127.0.0.1:8080/ws/stream?topics=chat.main, where everybody hears what one says
 *
 *     #include <pulsews_hub.h>
 *     #include <stdio.h>
 *     int main(void) {
 *         char why[PULSEWS_ERROR_SIZE];
 *         pulsews_hub *hub = NULL;
 *         pulsews_hub_event events[64];
 *         int32_t count;
 *         if (pulsews_hub_create(NULL, &hub, why, sizeof why) != PULSEWS_OK ||
 *             pulsews_hub_listen(hub, "127.0.0.1:8080", why, sizeof why) != PULSEWS_OK ||
 *             pulsews_hub_topic(hub, "chat.*", "history", "100", why, sizeof why) != PULSEWS_OK ||
 *             pulsews_hub_set(hub, "events", "connected", why, sizeof why) != PULSEWS_OK ||
 *             pulsews_hub_set(hub, "events", "message", why, sizeof why) != PULSEWS_OK ||
 *             pulsews_hub_set(hub, "events", "closed", why, sizeof why) != PULSEWS_OK ||
 *             pulsews_hub_start(hub, why, sizeof why) != PULSEWS_OK) {
 *             fprintf(stderr, "%s\n", why);
 *             pulsews_hub_free(hub);
 *             return 1;
 *         }
 *         while ((count = pulsews_hub_next(hub, events, 64, PULSEWS_FOREVER)) > 0)
 *             for (int32_t i = 0; i < count; i++) {
 *                 const pulsews_hub_event *event = &events[i];
 *                 unsigned long long peer = event->peer;
 *                 if (event->kind == PULSEWS_HUB_CONNECTED) printf("%llu is here, from %s\n", peer, event->address);
 *                 if (event->kind == PULSEWS_HUB_CLOSED) printf("%llu has gone: %d %s\n", peer, event->code, event->text);
 *                 if (event->kind != PULSEWS_HUB_MESSAGE) continue;
 *                 if (pulsews_hub_publish(hub, "chat.main", NULL, event->data, event->length, NULL) == PULSEWS_EVALUE)
 *                     pulsews_hub_send(hub, event->peer, PULSEWS_TEXT, "\"JSON only\"", 11);
 *             }
 *         pulsews_hub_free(hub);
 *         return count == PULSEWS_ECLOSED ? 0 : 1;
 *     }
 *
 * THE ORDER OF THINGS
 *   create; set, listen, route, topic and key in any order; load; start; then publish and all the rest; drain; free. What is
 *   set after the start is refused with PULSEWS_EBUSY. A hub whose start has failed can only be freed.
 *
 * THREADS
 *   Any thread may call any function at any time, but for pulsews_hub_free, behind which nobody may use the hub, and for
 *   pulsews_hub_next, which serves one thread. Nothing here waits for a peer: publishing, sending, closing and answering
 *   hand over to the hub's threads and return; pulsews_hub_next and pulsews_hub_drain wait as long as they are told to.
 *   A hub has a thread for each of its loops (option loops), or runs on the loop that it was given. On a loop without a
 *   thread (PULSEWS_LOOP_NO_THREAD) nothing moves unless the application drives it: next and drain do not.
 *   Messages that one thread publishes keep their order; so do the calls of one thread about one peer.
 *
 * OWNERSHIP
 *   The hub copies what it is given, also messages, so that every buffer is free when the call returns. The texts and
 *   data of events are the hub's, until the next call of pulsews_hub_next. A descriptor that pulsews_hub_adopt has taken
 *   is the hub's; one that it refused is still the caller's. The descriptor of pulsews_hub_wake_fd is the hub's.
 *   Peers and requests are numbers. One that has gone is no error: the call does nothing, and returns PULSEWS_OK.
 *
 * EVENTS, AND AN APPLICATION THAT IS BEHIND
 *   Only events that option events names are made. None is dropped. When event_queue_messages or event_queue_bytes wait
 *   and event message is among those asked for, the hub reads nothing more from its WebSocket peers until half of that is
 *   free; what they send waits in TCP, and messages to them go out all the same. New requests for the application are
 *   refused with 503 then. Other events (connected, subscribe ...) are queued beyond the limit: an application that asks
 *   for them fetches them.
 *   Events of a peer come in order, and closed is its last one. There is no order between peers of different loops.
 *
 * ERRORS, MEMORY, TIME, FORK
 *   As pulsews.h says.
 */
#ifndef PULSEWS_HUB_H
#define PULSEWS_HUB_H

#include "pulsews.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Constants ----------------------------------------------------------------------------------------------- */

/* generated: hub events (tools/generate.py) */
/* Events of a hub. */
enum {
    PULSEWS_HUB_CONNECTED = 1,   /* A WebSocket peer is open */
    PULSEWS_HUB_CLOSED = 2,      /* A peer is gone, the last event of that peer */
    PULSEWS_HUB_MESSAGE = 3,     /* A peer has sent a message that is none of the protocol's own */
    PULSEWS_HUB_SUBSCRIBE = 4,   /* A peer has subscribed to a topic */
    PULSEWS_HUB_UNSUBSCRIBE = 5, /* A peer has left a topic, also by its end */
    PULSEWS_HUB_HTTP_REQUEST = 6, /* A request to an application route; it waits for `pulsews_hub_answer`, at most
                                    `request_timeout` */
    PULSEWS_HUB_AUTHORIZE = 7,   /* A peer wants to connect; its upgrade waits for `pulsews_hub_answer`, at most
                                    `request_timeout`: status 101 lets it in, any other refuses it */
    PULSEWS_HUB_SLOW = 8,        /* A peer's queue is full, and `slow_policy` has decided; once until it has caught
                                    up */
    PULSEWS_HUB_TOPIC_IDLE = 9,  /* The last peer has left a topic */
    PULSEWS_HUB_DRAINED = 10,    /* A drain has ended: no connection is left. The last event of the hub */
    PULSEWS_HUB_TOPIC_WANTED = 11, /* The first peer has subscribed to a topic; `topic_idle` follows when none is left */
    PULSEWS_HUB_AUTHENTICATED = 12 /* A peer has shown a token that holds: with its request, by the message `auth`, or
                                    to renew one */
};
/* end of hub events */

/* generated: slow policies (tools/generate.py) */
/* What happens to a peer whose queue is full: option slow_policy. */
enum {
    PULSEWS_HUB_DROP_OLDEST = 0, /* it loses its oldest messages, and is told so */
    PULSEWS_HUB_CONFLATE = 1,    /* it keeps the latest message of each key */
    PULSEWS_HUB_DISCONNECT = 2   /* it is closed with 4008 */
};
/* end of slow policies */

/* generated: topic states (tools/generate.py) */
/* How fresh a topic is, apart from any connection: pulsews_hub_topic_state. */
enum {
    PULSEWS_TOPIC_LIVE = 0,      /* messages come */
    PULSEWS_TOPIC_STALE = 1,     /* none came for stale_after, or the feed says so */
    PULSEWS_TOPIC_GAP = 2,       /* messages are missing */
    PULSEWS_TOPIC_FAILOVER = 3,  /* another feed is taking over */
    PULSEWS_TOPIC_DEGRADED = 4,  /* live, but without a promise that holds otherwise */
    PULSEWS_TOPIC_ENDED = 5      /* nothing more will come */
};
/* end of topic states */

/* ---- Making a hub ---------------------------------------------------------------------------------------------- */

/* A hub with its listening sockets, routes, topics and peers. */
typedef struct pulsews_hub pulsews_hub;

/* Makes a hub; `loop` NULL: loops of its own, as many as option loops says; else that one alone, which it keeps alive from
 * its start on. It does nothing yet. On success *hub is the handle, else NULL. */
int32_t pulsews_hub_create(pulsews_loop *loop, pulsews_hub **hub, char *error, size_t error_size);
/* Sets an option of the hub (docs/HUB_OPTIONS.md): a list takes one value a call and adds it, and an empty one empties
 * it. PULSEWS_EOPTION or PULSEWS_EVALUE with a sentence; nothing has changed then. */
int32_t pulsews_hub_set(pulsews_hub *hub, const char *name, const char *value, char *error, size_t error_size);
/* Adds an address to listen at: "host:port", "[address]:port", "wss://host:port" (TLS; needs option certificate) or
 * "unix:/path". The host is an address, "localhost", or "*" for all of IPv4 and IPv6; port 0 picks a free one. "fd:3" and
 * "wss://fd:3": a copy of a descriptor that listens, taken at the start; that one stays yours. */
int32_t pulsews_hub_listen(pulsews_hub *hub, const char *address, char *error, size_t error_size);
/* The address number `index` that the hub listens at, in the order of pulsews_hub_listen and with the port that was
 * picked: its length, as in pulsews.h. PULSEWS_EINVAL before the start, and when there is none. */
int64_t pulsews_hub_address(const pulsews_hub *hub, size_t index, char *buffer, size_t size);
/* Sets an option of the route at `path`, and makes the route if it is new (`name` NULL: only that). A path that ends with
 * "/" stands for all beneath it. */
int32_t pulsews_hub_route(pulsews_hub *hub, const char *path, const char *name, const char *value, char *error,
                          size_t error_size);
/* Sets an option of the topics that `pattern` names (`name` NULL: only makes the pattern known): "price.SOL", "price.*",
 * "price.**". Peers may subscribe to what a pattern matches, and to nothing else. A topic has its options from the time
 * when it is made: this comes before pulsews_hub_load and pulsews_hub_publish. */
int32_t pulsews_hub_topic(pulsews_hub *hub, const char *pattern, const char *name, const char *value, char *error,
                          size_t error_size);
/* Adds a key that tokens (JWT) of peers and publishers are verified with. `algorithm`: HS256 with the secret itself as
 * material, at least 32 bytes; RS256, ES256 or EdDSA with a public key or certificate in PEM. A token is taken only with
 * the algorithm of its key. The material is copied, and shown by nothing. */
int32_t pulsews_hub_key(pulsews_hub *hub, const char *name, const char *algorithm, const void *material, size_t length,
                        char *error, size_t error_size);
/* Binds the addresses and begins to accept. PULSEWS_EIO, PULSEWS_ETRUST (the certificate) and others with a sentence. */
int32_t pulsews_hub_start(pulsews_hub *hub, char *error, size_t error_size);
/* Reads certificate and key anew, for connections that come from now on. If they can't be used the old ones stay. */
int32_t pulsews_hub_reload(pulsews_hub *hub, char *error, size_t error_size);
/* Stops accepting, and closes the peers with 1012 over `spread_ns` (negative: option drain_spread), behind what waits for
 * them; waits up to `timeout_ns` for their end. PULSEWS_OK or PULSEWS_ETIMEOUT; a second call only waits.
 * PULSEWS_ENOTCONNECTED for a hub that does not run. */
int32_t pulsews_hub_drain(pulsews_hub *hub, int64_t spread_ns, int64_t timeout_ns);
/* Ends the hub, cutting what is open without a close frame. No thread may be in a call on it, nor begin one. */
void pulsews_hub_free(pulsews_hub *hub);

/* ---- Publishing ------------------------------------------------------------------------------------------------ */

/* A message of a topic; frozen: 64 bytes on 64-bit systems. */
typedef struct pulsews_hub_publication {
    const char *topic;     /* ends with NUL; pulsews_hub_load looks at its own argument instead */
    const char *key;       /* ends with NUL; NULL: what option conflate finds in the message */
    const void *data;      /* one JSON value, or any bytes with option binary */
    size_t length;         /* bytes */
    uint64_t offset;       /* pulsews_hub_load only; 0: the next one */
    int64_t exchange_ns;   /* when it was made at its source: nanoseconds since 1970-01-01T00:00:00Z, 0 if not known */
    int64_t received_ns;   /* when it was received here, likewise */
    int64_t published_ns;  /* pulsews_hub_load only; likewise */
} pulsews_hub_publication;

/* Publishes one message: never waits. `key`: NULL for what option conflate finds in the message. PULSEWS_OK with its
 * offset in *offset (unless NULL); PULSEWS_EQUEUEFULL when the hub's budget is spent (option publish_queue_bytes), or
 * would be by this message alone; PULSEWS_EVALUE for data that is not one JSON value (any bytes with option binary);
 * PULSEWS_EINVAL for a name that no topic can have and for a key of more than 256 bytes; PULSEWS_ENOMEM when there are
 * 100000 topics. Nothing was published then. */
int32_t pulsews_hub_publish(pulsews_hub *hub, const char *topic, const char *key, const void *data, size_t length,
                            uint64_t *offset);
/* Publishes many in order. Returns how many were taken, from the first on; a negative code if the first was not. */
int32_t pulsews_hub_publish_batch(pulsews_hub *hub, const pulsews_hub_publication *publications, size_t count);
/* Fills a topic's history before the start, with rising offsets. On PULSEWS_EINVAL (an offset that does not rise) and
 * PULSEWS_EVALUE those in front of the bad one are loaded. Offsets are of this hub's epoch: peers of one that ran before
 * get a gap all the same. */
int32_t pulsews_hub_load(pulsews_hub *hub, const char *topic, const pulsews_hub_publication *publications,
                         size_t count);
/* Says how fresh a topic is: one of the states above, and a sentence why (NULL: none; 256 bytes are kept). It stays so
 * until the next call; stale ends with the next message. */
int32_t pulsews_hub_topic_state(pulsews_hub *hub, const char *topic, int32_t state, const char *cause);
/* What a topic has for a newcomer: the latest of each key with option latest, else its history, as the text of a snapshot
 * message (docs/PROTOCOL.md). Copied and returned as by pulsews_hub_status_json. PULSEWS_EINVAL if there is no such topic
 * yet. */
int64_t pulsews_hub_topic_json(const pulsews_hub *hub, const char *topic, char *buffer, size_t size);

/* ---- Peers ----------------------------------------------------------------------------------------------------- */

/* Sends a message to one peer (0: to all), apart from all topics and before their messages. `kind`: PULSEWS_TEXT
 * (PULSEWS_EUTF8 if it is not) or PULSEWS_BINARY. None is dropped: a peer that lets more than queue_bytes of them wait is
 * closed with 4008. Those to all leave out who has still to show a token. */
int32_t pulsews_hub_send(pulsews_hub *hub, uint64_t peer, uint32_t kind, const void *data, size_t length);
/* Closes a peer with `code` and `reason` (NULL: none; at most 123 bytes), behind the messages that wait, as far as they
 * leave within close_timeout. PULSEWS_EINVAL for a code that no close frame may have. */
int32_t pulsews_hub_close_peer(pulsews_hub *hub, uint64_t peer, int32_t code, const char *reason);
/* Subscribes a peer to a topic, or ends that, as if it had asked for it. */
int32_t pulsews_hub_subscribe(pulsews_hub *hub, uint64_t peer, const char *topic);
int32_t pulsews_hub_unsubscribe(pulsews_hub *hub, uint64_t peer, const char *topic);
/* Answers a request of event http_request or authorize. `headers`: lines "Name: value\n", or NULL. PULSEWS_EVALUE for a
 * status other than 200 to 599 (101 lets a peer in), and for headers that can't be sent. */
int32_t pulsews_hub_answer(pulsews_hub *hub, uint64_t request, int32_t status, const char *headers, const void *body,
                           size_t length);
/* Takes over an open TCP connection (or one of a Unix socket) without TLS, with the bytes that were read from it already.
 * On success the descriptor is the hub's. PULSEWS_EINVAL for another kind, PULSEWS_ENOTCONNECTED if the hub does not run. */
int32_t pulsews_hub_adopt(pulsews_hub *hub, int32_t descriptor, const void *first, size_t length);

/* ---- Feeds ----------------------------------------------------------------------------------------------------- */

/* Publishes what `client` receives, as `map` says: the name of one of pulsews_hub_map_at, or the lines of a map
 * (docs/HUB_FEEDS.md). It happens on the client's loop, in the place of the client's queue: pulsews_recv gives no messages
 * any more, but events. Make hub and client with one loop, and a message reaches its peers without changing threads. While the client
 * is not connected, and when its feed is stale or has a gap, the state of the topics says so. The feed ends with the
 * client or the hub; either may be freed first. PULSEWS_EVALUE with a sentence for a map that can't be read, PULSEWS_EBUSY
 * if the client is that of a feed, PULSEWS_ECLOSED if it was closed. */
int32_t pulsews_hub_feed(pulsews_hub *hub, pulsews_client *client, const char *map, char *error, size_t error_size);
/* The maps of known feeds. Entry `index` from 0 on: its name, which is that of the preset for the client, what it is for,
 * and its lines. PULSEWS_EINVAL behind the last. */
int32_t pulsews_hub_map_at(size_t index, const char **name, const char **text, const char **map);

/* ---- Events ---------------------------------------------------------------------------------------------------- */

/* What has happened; docs/HUB_EVENTS.md says which members an event fills, the others are 0 or empty. Texts end with NUL
 * and are never NULL. Frozen: 128 bytes on 64-bit systems. */
typedef struct pulsews_hub_event {
    uint32_t kind;        /* PULSEWS_HUB_CONNECTED and so on */
    int32_t code;         /* a close code, a kind, a policy */
    uint64_t peer;        /* a number that is never used again */
    uint64_t request;     /* for pulsews_hub_answer */
    int64_t time_ns;      /* nanoseconds since 1970-01-01T00:00:00Z */
    uint64_t count;       /* how many */
    const char *address;  /* where the peer comes from: "192.0.2.1", "unix" */
    const char *route;    /* the path of the route */
    const char *target;   /* path and query of the request */
    const char *method;   /* of the request */
    const char *headers;  /* of the request: lines "Name: value\n" */
    const char *topic;    /* its name */
    const char *text;     /* a reason, a token, a subprotocol */
    const void *data;     /* a message or a body */
    size_t length;        /* of data */
    uint64_t reserved[2]; /* 0 */
} pulsews_hub_event;

/* Fetches up to `capacity` events (4096 at most), waiting up to `timeout_ns` for the first. Returns how many,
 * PULSEWS_ETIMEOUT, or PULSEWS_ECLOSED behind the last one, which is after a drain. Texts and data live until the next
 * call. Option events names those that come. Begin when the hub is started. */
int32_t pulsews_hub_next(pulsews_hub *hub, pulsews_hub_event *events, size_t capacity, int64_t timeout_ns);
/* An eventfd that is readable while events wait. It belongs to the hub: do not close or read it. */
int32_t pulsews_hub_wake_fd(pulsews_hub *hub);

/* ---- Looking at a hub ------------------------------------------------------------------------------------------ */

/* The options. Entry `index` from 0 on: whose it is ("hub", "route", "topic"), and as pulsews_option_at; what they mean is
 * in docs/HUB_OPTIONS.md. */
int32_t pulsews_hub_option_at(size_t index, const char **of, const char **name, const char **type,
                              const char **default_value, const char **range);
/* The statistics, as pulsews_statistic_at. */
int32_t pulsews_hub_statistic_at(size_t index, const char **name, const char **type, const char **unit,
                                 const char **meaning);
/* State and statistics as one JSON object; the metrics as Prometheus text; the peers as a JSON array. */
int64_t pulsews_hub_status_json(const pulsews_hub *hub, char *buffer, size_t size);
int64_t pulsews_hub_prometheus(const pulsews_hub *hub, char *buffer, size_t size);
int64_t pulsews_hub_peers_json(const pulsews_hub *hub, char *buffer, size_t size);
/* The statistics as numbers, in the order of pulsews_hub_statistic_at: fills up to `count` of them and returns how many
 * there are. */
int32_t pulsews_hub_statistics(const pulsews_hub *hub, double *values, size_t count);

#ifdef __cplusplus
}
#endif
#endif
