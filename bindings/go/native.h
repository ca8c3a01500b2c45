/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Go side sees of libpulsews: a table of the library's functions, filled at run time, and a few helpers that
 * fold several of them into one crossing between Go and C.
 */
#ifndef PULSEGO_NATIVE_H
#define PULSEGO_NATIVE_H

#include "pulsews.h"
#include "pulsews_hub.h"

/* The native half of one connection, in C memory, so that a call passes no pointer into Go's heap. */
typedef struct pulsego_conn {
    pulsews_client *client;
    pulsews_batch *batch;
    /* What the last pulsego_receive left, valid until the next one: */
    const pulsews_message *messages;
    size_t total; /* bytes in the block that begins at messages[0].data */
} pulsego_conn;

#include "functions.h"
#include "hub_functions.h"

enum { PULSEGO_ERROR_SIZE = 2048 };

/* 1 if the library's functions are there already. */
int pulsego_loaded(void);
/* Loads the library at `path` (a name without a slash: the system's search) and fills the table. 1, or 0 with why. */
int pulsego_load(const char *path, char *error, size_t error_size);

/* Makes the client and its batch; *descriptor is a duplicate of the wake descriptor, to be closed by the caller. */
int32_t pulsego_create(const char *url, const pulsews_config *config, pulsego_conn **conn, int *descriptor, char *error,
                       size_t error_size);
/* Two steps, since the payloads of the last batch may outlive the client. */
void pulsego_free_client(pulsego_conn *conn);
void pulsego_free(pulsego_conn *conn);

/* They do not wait. The message's id, or a negative code: */
int64_t pulsego_send_with(uintptr_t conn, uint32_t kind, const void *data, size_t length, uint32_t flags,
                          int64_t ttl_ns);
/* The payloads lie in `block`, one behind another: so no memory is passed that holds pointers of Go. */
int32_t pulsego_send_batch(pulsego_conn *conn, const void *block, const size_t *lengths, const uint32_t *kinds,
                           size_t count, uint32_t flags, int64_t ttl_ns, uint64_t *first_id);
int32_t pulsego_send(uintptr_t conn, uint32_t kind, const void *data, size_t length);
int32_t pulsego_receive(uintptr_t conn, size_t max);

/* The functions of the library that fill a text buffer, by number. */
enum {
    PULSEGO_CLOSE_REASON,
    PULSEGO_SERVER_MESSAGE,
    PULSEGO_HANDSHAKE_HEADERS,
    PULSEGO_HANDSHAKE_BODY,
    PULSEGO_SUBPROTOCOL,
    PULSEGO_STATUS,
    PULSEGO_PROMETHEUS /* conn NULL: of all clients */
};
int64_t pulsego_text(pulsego_conn *conn, int which, char *buffer, size_t size);

/* ---- A hub */

/* One of many publications. Their texts and data lie in a block, one behind another: topic and NUL, key and NUL, data. */
typedef struct pulsego_publication {
    size_t topic_length, key_length, length; /* key_length 0: no key */
    uint64_t offset;
    int64_t exchange_ns, received_ns, published_ns;
} pulsego_publication;

enum { PULSEGO_EVENTS = 128 };

/* Makes the hub, room for PULSEGO_EVENTS events, and a duplicate of the wake descriptor, to be closed by the caller. */
int32_t pulsego_hub_create(pulsews_hub **hub, pulsews_hub_event **events, int *descriptor, char *error,
                           size_t error_size);
void pulsego_hub_free_events(pulsews_hub_event *events);
/* The offset, or a negative code. The names end where their lengths say, so that Go need not copy them. */
int64_t pulsego_hub_publish(pulsews_hub *hub, const char *topic, size_t topic_length, const char *key,
                            size_t key_length, const char *data, size_t length);
/* Publishes in order, or with a topic loads its history. */
int32_t pulsego_hub_publish_batch(pulsews_hub *hub, const char *load, const char *block,
                                  const pulsego_publication *publications, size_t count);
/* Up to PULSEGO_EVENTS events; does not wait. */
int32_t pulsego_hub_next(pulsews_hub *hub, pulsews_hub_event *events);

#endif
