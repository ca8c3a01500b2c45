/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Go side sees of libpulsews: a table of the library's functions, filled at run time, and a few helpers that
 * fold several of them into one crossing between Go and C.
 */
#ifndef PULSEGO_NATIVE_H
#define PULSEGO_NATIVE_H

#include "pulsews.h"

#if PULSEWS_VERSION_MAJOR != 0 || PULSEWS_VERSION_MINOR != 1
#error "this version of the Go binding needs pulsews.h of version 0.1"
#endif

/* The native half of one connection, in C memory, so that a call passes no pointer into Go's heap. */
typedef struct pulsego_conn {
    pulsews_client *client;
    pulsews_batch *batch;
    /* What the last pulsego_receive left, valid until the next one: */
    const pulsews_message *messages;
    size_t total; /* bytes in the block that begins at messages[0].data */
} pulsego_conn;

enum { PULSEGO_ERROR_SIZE = 2048 };

/* 1 if the library's functions are there already. */
int pulsego_loaded(void);
/* Loads the library at `path` (a name without a slash: the system's search) and fills the table. 1, or 0 with why. */
int pulsego_load(const char *path, char *error, size_t error_size);

const char *pulsego_version(void);
int32_t pulsego_error_at(size_t index);
const char *pulsego_error_name(int32_t code);
const char *pulsego_error_text(int32_t code);
int32_t pulsego_error_retryable(int32_t code);
int32_t pulsego_option_at(size_t index, const char **name, const char **type, const char **value, const char **range,
                          const char **meaning);

int32_t pulsego_transition_at(size_t index, int32_t *from, const char **event, int32_t *to, const char **meaning);
int32_t pulsego_statistic_at(size_t index, const char **name, const char **type, const char **unit,
                             const char **meaning);
int32_t pulsego_preset_at(size_t index, const char **name, const char **text, const char **options);

int32_t pulsego_log_queue(int32_t level, size_t capacity);
int64_t pulsego_log_next(char *buffer, size_t size, int32_t *level, int64_t *time_ns, int64_t timeout_ns);

pulsews_config *pulsego_config_create(void);
int32_t pulsego_config_set(pulsews_config *config, const char *name, const char *value, char *error, size_t error_size);
void pulsego_config_free(pulsews_config *config);

/* Makes the client and its batch; *descriptor is a duplicate of the wake descriptor, to be closed by the caller. */
int32_t pulsego_create(const char *url, const pulsews_config *config, pulsego_conn **conn, int *descriptor, char *error,
                       size_t error_size);
/* Two steps, since the payloads of the last batch may outlive the client. */
void pulsego_free_client(pulsego_conn *conn);
void pulsego_free(pulsego_conn *conn);

/* None of these waits, but pulsego_disconnect and pulsego_flush. */
int32_t pulsego_start(pulsego_conn *conn);
int32_t pulsego_open(pulsego_conn *conn, char *error, size_t error_size);
int32_t pulsego_wait_ready(pulsego_conn *conn, char *error, size_t error_size);
int32_t pulsego_reconnect(pulsego_conn *conn);
int32_t pulsego_disconnect(pulsego_conn *conn, int64_t timeout_ns);
int32_t pulsego_set_header(pulsego_conn *conn, const char *name, const char *value, char *error, size_t error_size);
int32_t pulsego_set_url(pulsego_conn *conn, const char *url, char *error, size_t error_size);
int32_t pulsego_release(pulsego_conn *conn);
int32_t pulsego_subscribe(pulsego_conn *conn, const char *key, const char *message, const char *unsubscribe,
                          char *error, size_t error_size);
int32_t pulsego_unsubscribe(pulsego_conn *conn, const char *key);
/* The message's id, or a negative code. */
int64_t pulsego_send_with(uintptr_t conn, uint32_t kind, const void *data, size_t length, uint32_t flags,
                          int64_t ttl_ns);
/* The payloads lie in `block`, one behind another: so no memory is passed that holds pointers of Go. */
int32_t pulsego_send_batch(pulsego_conn *conn, const void *block, const size_t *lengths, const uint32_t *kinds,
                           size_t count, uint32_t flags, int64_t ttl_ns, uint64_t *first_id);
int32_t pulsego_flush(pulsego_conn *conn, int64_t timeout_ns);
int64_t pulsego_purge(pulsego_conn *conn);
int32_t pulsego_send(uintptr_t conn, uint32_t kind, const void *data, size_t length);
int32_t pulsego_receive(uintptr_t conn, size_t max);
int32_t pulsego_acknowledge(pulsego_conn *conn, uint64_t sequence);
int32_t pulsego_close(pulsego_conn *conn, int32_t code, const char *reason);
int32_t pulsego_state(pulsego_conn *conn);
int32_t pulsego_client_retryable(pulsego_conn *conn);
int32_t pulsego_client_error(pulsego_conn *conn, char *error, size_t error_size);
int32_t pulsego_close_code(pulsego_conn *conn);
int32_t pulsego_handshake_status(pulsego_conn *conn);

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
int32_t pulsego_statistics(pulsego_conn *conn, double *values, size_t count);
int64_t pulsego_text(pulsego_conn *conn, int which, char *buffer, size_t size);

#endif
