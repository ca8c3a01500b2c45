/* SPDX-License-Identifier: Apache-2.0
 *
 * pulsews.h - one WebSocket connection engine for trading services, for C and every language that speaks C.
 *
 * WHAT IT IS
 *   A client (pulsews_client) holds one WebSocket connection (RFC 6455, permessage-deflate of RFC 7692) over TCP or
 *   TLS. It connects, answers pings, sends its own, measures round trips, notices a dead peer, queues what arrives and
 *   hands it out in batches. An event loop (pulsews_loop) serves any number of clients.
 *
 * EXAMPLE: connect, subscribe, print ten messages
 *
 *     #include <pulsews.h>
 *     #include <stdio.h>
 *     int main(void) {
 *         char why[PULSEWS_ERROR_SIZE];
 *         pulsews_client *ws = NULL;
 *         pulsews_message m;
 *         if (pulsews_client_create("wss://stream.example.com/ws", NULL, NULL, &ws, why, sizeof why) != PULSEWS_OK ||
 *             pulsews_open(ws, PULSEWS_FOREVER, why, sizeof why) != PULSEWS_OK) {
 *             fprintf(stderr, "%s\n", why);
 *             pulsews_client_free(ws);
 *             return 1;
 *         }
 *         pulsews_send(ws, PULSEWS_TEXT, "{\"method\":\"SUBSCRIBE\"}", 22, PULSEWS_FOREVER);
 *         for (int i = 0; i < 10 && pulsews_recv(ws, &m, PULSEWS_SECONDS(30)) == PULSEWS_OK; i++)
 *             printf("%.*s\n", (int)m.length, (const char *)m.data);
 *         pulsews_close(ws, 1000, "done", PULSEWS_SECONDS(5));
 *         pulsews_client_free(ws);
 *         return 0;
 *     }
 *
 * THREADS
 *   Unless a function says otherwise, any thread may call it at any time, also several threads on one client. The
 *   exceptions are the free functions (nobody may use the handle afterwards), and pulsews_recv and a pulsews_batch,
 *   which serve one thread at a time. A blocking call on a client ends at once when another thread closes the client.
 *   The library starts one thread for each loop that it drives and short-lived ones to resolve host names; they block
 *   all signals. It installs no signal handler, and SIGPIPE never reaches the process.
 *
 * OWNERSHIP
 *   The library copies what it is given: no pointer that you pass is used after the call returns. You free handles and
 *   nothing else; freeing NULL does nothing. Memory that a function returns belongs to the handle it came from, and
 *   the function says how long it lives. Constant texts (versions, names, error texts) live as long as the process.
 *
 * ERRORS
 *   Functions return an int32_t: PULSEWS_OK (0) or a positive count is success, a negative value is one of the
 *   codes below. Where a sentence helps, the function takes a buffer `error` of `error_size` bytes (NULL and 0 if you
 *   do not want it; PULSEWS_ERROR_SIZE is always enough) and leaves a text there that ends with NUL: what was wrong
 *   with which argument, and what is allowed. On success the buffer is left alone.
 *
 * TIME
 *   Durations in calls are int64_t nanoseconds: PULSEWS_FOREVER (any negative value) waits without an end, 0 does not
 *   wait. Durations in options are text: a number of seconds, or a number with ns, us, ms, s, m or h.
 *
 * FORK
 *   Handles do not survive fork(). In the child every call on an inherited handle returns PULSEWS_EFORK, and freeing
 *   one does nothing. The child may create handles of its own.
 */
#ifndef PULSEWS_H
#define PULSEWS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PULSEWS_VERSION_MAJOR 0
#define PULSEWS_VERSION_MINOR 1
#define PULSEWS_VERSION_PATCH 0
/* 0x00MMmmpp, to compare with pulsews_version_number(). */
#define PULSEWS_VERSION_NUMBER ((PULSEWS_VERSION_MAJOR << 16) | (PULSEWS_VERSION_MINOR << 8) | PULSEWS_VERSION_PATCH)

/* ---- Constants ----------------------------------------------------------------------------------------------- */

#define PULSEWS_FOREVER ((int64_t)-1)
#define PULSEWS_SECONDS(s) ((int64_t)((s) * 1000000000LL))
#define PULSEWS_MILLISECONDS(ms) ((int64_t)((ms) * 1000000LL))

/* A buffer of this size holds every error sentence whole. */
#define PULSEWS_ERROR_SIZE 512

/* Status codes. A value never changes its meaning and is never used again; new ones are added in the gaps. The same
 * table, with texts, comes from pulsews_error_at(). */
enum {
    PULSEWS_OK = 0,

    /* -100: the call was wrong; nothing was done. */
    PULSEWS_EINVAL = -100,       /* an argument is NULL or not allowed */
    PULSEWS_EOPTION = -101,      /* no option has that name */
    PULSEWS_EVALUE = -102,       /* the option does not take that value */
    PULSEWS_EURL = -103,         /* the URL is not one that can be connected to */
    PULSEWS_EUTF8 = -104,        /* a text to send is not UTF-8 */
    PULSEWS_EFORK = -105,        /* the handle was made before fork() */
    PULSEWS_EBUSY = -106,        /* another thread is inside a call that serves one thread at a time */

    /* -200: the state does not allow it, or did not change in time. */
    PULSEWS_ETIMEOUT = -200,     /* the time of this call is over; the client lives on */
    PULSEWS_ENOTCONNECTED = -201,/* there is no open connection to send on */
    PULSEWS_ECLOSED = -202,      /* this side closed the client */
    PULSEWS_EPEERCLOSED = -203,  /* the peer closed the connection with a close frame */
    PULSEWS_EQUEUEFULL = -204,   /* the outbox is full */

    /* -300: the peer broke the WebSocket protocol. */
    PULSEWS_EPROTOCOL = -300,    /* a frame that RFC 6455 forbids; closed with 1002 */
    PULSEWS_EPAYLOAD = -301,     /* a text or close reason that is not UTF-8; closed with 1007 */
    PULSEWS_EDEFLATE = -302,     /* compressed data that does not inflate; closed with 1007 */

    /* -400: the network failed. */
    PULSEWS_ERESOLVE = -400,     /* the host name has no address */
    PULSEWS_EREFUSED = -401,     /* nobody listens at the address */
    PULSEWS_EUNREACHABLE = -402, /* no route to the host or network */
    PULSEWS_ERESET = -403,       /* the connection was reset */
    PULSEWS_EEOF = -404,         /* the connection ended without a close frame */
    PULSEWS_EOPENTIMEOUT = -405, /* not open within open_timeout */
    PULSEWS_EDEAD = -406,        /* no byte from the peer within heartbeat_timeout */
    PULSEWS_EIO = -407,          /* another error of the operating system */

    /* -500: TLS failed. */
    PULSEWS_ETLS = -500,         /* the TLS handshake or record layer failed */
    PULSEWS_ECERTIFICATE = -501, /* the certificate does not verify */
    PULSEWS_EHOSTNAME = -502,    /* the certificate is for another host */
    PULSEWS_ETRUST = -503,       /* the trusted certificates can't be loaded */

    /* -600: the WebSocket handshake failed. */
    PULSEWS_EHANDSHAKE = -600,   /* the server answered with a status other than 101 */
    PULSEWS_EUPGRADE = -601,     /* the server's 101 is not a valid answer to the request */
    PULSEWS_EHEADERS = -602,     /* the server's headers are malformed or too large */

    /* -700: a limit was reached. */
    PULSEWS_ETOOBIG = -700,      /* a message is larger than max_message_size */
    PULSEWS_ENOMEM = -701,       /* no memory */
    PULSEWS_EFILES = -702        /* no file descriptor or thread */
};

/* What a message is. */
enum {
    PULSEWS_TEXT = 1,            /* UTF-8 text, checked */
    PULSEWS_BINARY = 2,
    PULSEWS_PING = 9,            /* only to send; at most 125 bytes */
    PULSEWS_PONG = 10,           /* only to send; at most 125 bytes; pings are answered without it */
    PULSEWS_EVENT = 256          /* only received, and only with option events: JSON about the connection, in order */
};

/* Message flags. */
enum {
    PULSEWS_ASCII = 1,           /* a text of ASCII only: bytes and characters count the same */
    PULSEWS_COMPRESSED = 2       /* it arrived compressed */
};

/* States of a client. */
enum {
    PULSEWS_DISCONNECTED = 0,    /* not started, or closed by this side */
    PULSEWS_CONNECTING = 1,      /* the first attempt */
    PULSEWS_CONNECTED = 2,
    PULSEWS_RECONNECTING = 3,    /* waiting for, or making, a later attempt */
    PULSEWS_ERROR = 4            /* stopped trying; pulsews_client_error() says why */
};

/* ---- Versions, errors, options: three tables ------------------------------------------------------------------- */

/* The library's version as text ("0.1.0") and as number (as PULSEWS_VERSION_NUMBER). */
const char *pulsews_version(void);
uint32_t pulsews_version_number(void);

/* The error table. Entry `index` from 0 on: the code; 0 behind the last entry. */
int32_t pulsews_error_at(size_t index);
/* A code's name ("PULSEWS_ETIMEOUT") and what it means; never NULL, also for unknown codes. */
const char *pulsews_error_name(int32_t code);
const char *pulsews_error_text(int32_t code);
/* 1 if trying again can help (a reset, a time-out), 0 if it can't (a bad URL, a wrong certificate). */
int32_t pulsews_error_retryable(int32_t code);

/* The option table. Entry `index` from 0 on: name, type ("duration", "size", "integer", "boolean", "text", "header",
 * "list"), default, allowed range, meaning. A pointer that you pass as NULL is not filled. PULSEWS_EINVAL behind the
 * last entry. */
int32_t pulsews_option_at(size_t index, const char **name, const char **type, const char **default_value,
                          const char **range, const char **meaning);

/* ---- Configuration --------------------------------------------------------------------------------------------- */

/* A set of options; one may serve any number of clients, also after it was changed or freed. One thread at a time. */
typedef struct pulsews_config pulsews_config;

/* NULL if there is no memory. */
pulsews_config *pulsews_config_create(void);
/* Sets one option from text, e.g. ("heartbeat_interval", "30s"), ("max_message_size", "16MiB"), ("verify", "false").
 * `headers` takes one "Name: value" a call and adds it; `subprotocols` takes one name a call and adds it.
 * PULSEWS_EOPTION, PULSEWS_EVALUE or PULSEWS_EINVAL with a sentence; the configuration is then unchanged. */
int32_t pulsews_config_set(pulsews_config *config, const char *name, const char *value, char *error,
                           size_t error_size);
void pulsews_config_free(pulsews_config *config);

/* ---- Connect, send, receive, close: the simple calls ------------------------------------------------------------ */

/* An event loop that serves any number of clients; NULL stands for the process's default loop. */
typedef struct pulsews_loop pulsews_loop;
/* One connection. */
typedef struct pulsews_client pulsews_client;

/* A received message. The only public struct: 40 bytes on 64-bit systems, frozen. */
typedef struct pulsews_message {
    const void *data;     /* not terminated by NUL; never NULL, also for an empty message */
    size_t length;        /* bytes */
    uint32_t kind;        /* PULSEWS_TEXT, PULSEWS_BINARY or PULSEWS_EVENT */
    uint32_t flags;       /* PULSEWS_ASCII | PULSEWS_COMPRESSED */
    int64_t received_ns;  /* when its last bytes were read: nanoseconds since 1970-01-01T00:00:00Z */
    uint64_t sequence;    /* 1, 2, 3 ... over all messages of the client, events included; no number is left out */
} pulsews_message;

/* Makes a client for `url` (ws://host[:port]/path?query or wss://...); it does not connect yet. `config` NULL: all
 * defaults. `loop` NULL: the default loop. On success *client is the handle; on failure NULL, and `error` has the
 * sentence: PULSEWS_EURL, PULSEWS_EINVAL, PULSEWS_ETRUST, PULSEWS_ENOMEM, PULSEWS_EFILES. */
int32_t pulsews_client_create(const char *url, const pulsews_config *config, pulsews_loop *loop,
                              pulsews_client **client, char *error, size_t error_size);

/* Connects and waits until the connection is open or its first attempt failed. PULSEWS_OK when open (also if it was
 * open before); PULSEWS_ETIMEOUT when `timeout_ns` is over, the attempt going on (option open_timeout bounds the
 * attempt itself); else why it failed, with the sentence. The client stays valid in every case. */
int32_t pulsews_open(pulsews_client *client, int64_t timeout_ns, char *error, size_t error_size);

/* Sends one message. It is valid to call at any time; PULSEWS_OK means that the message is accepted: written, or
 * next in line to be. A lone message leaves before the call returns; messages that come faster than the network
 * takes them leave together. When the outbox is full the call waits up to `timeout_ns` for room, then returns
 * PULSEWS_EQUEUEFULL. PULSEWS_EUTF8 for text that is not UTF-8, PULSEWS_EINVAL for a wrong kind or a ping or pong
 * over 125 bytes, PULSEWS_ETOOBIG for more than 2^62 bytes, PULSEWS_ENOTCONNECTED, PULSEWS_ECLOSED. */
int32_t pulsews_send(pulsews_client *client, uint32_t kind, const void *data, size_t length, int64_t timeout_ns);

/* Receives one message. PULSEWS_OK, or PULSEWS_ETIMEOUT; when the connection has ended and everything that had
 * arrived was received: why it ended (PULSEWS_ECLOSED, PULSEWS_EPEERCLOSED, PULSEWS_ERESET ...), on every further
 * call too. message->data lives until the next pulsews_recv on this client, or its free. One thread at a time:
 * PULSEWS_EBUSY for a second one at the same time. */
int32_t pulsews_recv(pulsews_client *client, pulsews_message *message, int64_t timeout_ns);

/* Closes with a close frame of `code` (1000 to 1003, 1007 to 1014, or 3000 to 4999; 0 sends none) and `reason` (UTF-8, at
 * most 123 bytes; NULL for none), after what was accepted before, and waits up to `timeout_ns` for the peer's answer
 * (at most option close_timeout: then the connection is cut). PULSEWS_OK when closed (also if it was before);
 * PULSEWS_ETIMEOUT when the time is over, the close going on; PULSEWS_EINVAL. Blocked calls of other threads end. */
int32_t pulsews_close(pulsews_client *client, int32_t code, const char *reason, int64_t timeout_ns);

/* Ends the client, cutting its connection if it is open, and waits until no other thread is inside a call on it (all
 * are woken). Not from a thread that is inside such a call. */
void pulsews_client_free(pulsews_client *client);

/* ---- Looking at a client ---------------------------------------------------------------------------------------- */

/* One of the states above, or a negative code. */
int32_t pulsews_client_state(const pulsews_client *client);

/* Why the last connection, or the last attempt, ended: its code, and the sentence in `error`. PULSEWS_OK if none has. */
int32_t pulsews_client_error(const pulsews_client *client, char *error, size_t error_size);

/* The three functions below that fill `buffer` return the length of the whole text in bytes, without the NUL that
 * ends it, or a negative code. At most `size` bytes are written, NUL included: with size 0 the call only measures. */

/* The peer's close code: 1005 if its close frame had none, 1006 if there was no close frame, 0 if the connection is
 * open or never was. */
int32_t pulsews_close_code(const pulsews_client *client);
int64_t pulsews_close_reason(const pulsews_client *client, char *buffer, size_t size);

/* A refused handshake (PULSEWS_EHANDSHAKE): HTTP status (0 if there is none), header lines as "Name: value\n", and
 * the first 4 KiB of the body, which may hold any bytes. Headers are kept of an accepted one too. */
int32_t pulsews_handshake_status(const pulsews_client *client);
int64_t pulsews_handshake_headers(const pulsews_client *client, char *buffer, size_t size);
int64_t pulsews_handshake_body(const pulsews_client *client, char *buffer, size_t size);

/* The subprotocol that the server chose; empty if none. */
int64_t pulsews_subprotocol(const pulsews_client *client, char *buffer, size_t size);

/* State and statistics as one JSON object. Keys and units: docs/STATUS.md. */
int64_t pulsews_status_json(const pulsews_client *client, char *buffer, size_t size);

/* ---- Batches: the fast way to receive --------------------------------------------------------------------------- */

/* Holds the messages of one receive call. One thread at a time; it may serve several clients, one after another. */
typedef struct pulsews_batch pulsews_batch;

/* NULL if there is no memory. */
pulsews_batch *pulsews_batch_create(void);

/* Receives up to `max` messages. Returns how many (at least 1), with *messages pointing to the first of as many
 * structs; else as pulsews_recv. The payloads of a batch lie one behind another without gaps, so that messages[0].data
 * and the sum of the lengths describe one block. Structs and payloads live until the batch is used again or freed,
 * whatever happens to the client meanwhile. Several threads may receive from one client, each with its own batch. */
int32_t pulsews_recv_batch(pulsews_client *client, pulsews_batch *batch, size_t max, int64_t timeout_ns,
                           const pulsews_message **messages);

/* What holds for all messages of the batch, for bindings that convert a whole batch at once. */
enum {
    PULSEWS_ALL_TEXT = 1,        /* all are PULSEWS_TEXT */
    PULSEWS_ALL_ASCII = 2,       /* all have the flag PULSEWS_ASCII */
    PULSEWS_ALL_BINARY = 4       /* all are PULSEWS_BINARY */
};
/* The traits of the batch's present messages as a set of the bits above; 0 for an empty batch, or a negative code. */
int32_t pulsews_batch_traits(const pulsews_batch *batch);

void pulsews_batch_free(pulsews_batch *batch);

/* ---- Without blocking: a file descriptor to wait on -------------------------------------------------------------- */

/* Starts to connect and returns at once. PULSEWS_OK also if it was started before; PULSEWS_ECLOSED after a close.
 * pulsews_open(client, 0, ...) then tells how far it is. */
int32_t pulsews_start(pulsews_client *client);

/* An eventfd that becomes readable when the queue of received messages stops being empty, when the state changes, and
 * when a full outbox has room again. Wait for it with poll, epoll, kqueue or select; then call pulsews_wake_clear (or
 * read 8 bytes from it) first, and after that make the calls you are interested in with time-out 0 until they return
 * PULSEWS_ETIMEOUT. It belongs to the client: do not close it. A negative code on failure. */
int32_t pulsews_wake_fd(pulsews_client *client);
int32_t pulsews_wake_clear(pulsews_client *client);

/* ---- Loops ----------------------------------------------------------------------------------------------------- */

/* Loop flags. */
enum {
    PULSEWS_LOOP_NO_THREAD = 1   /* the application drives the loop with pulsews_loop_run_once, and nobody else does,
                                    but for calls that block on a client of this loop */
};

/* Makes a loop of its own, for clients that should not share a thread with others. PULSEWS_EINVAL, PULSEWS_EFILES. */
int32_t pulsews_loop_create(uint32_t flags, pulsews_loop **loop, char *error, size_t error_size);
/* A descriptor that is readable when the loop has something to do; a time-out may be due without it. */
int32_t pulsews_loop_fd(const pulsews_loop *loop);
/* Handles what is due, waiting up to `timeout_ns` for something. PULSEWS_OK; PULSEWS_EBUSY when another thread
 * drives the loop at this moment. */
int32_t pulsews_loop_run_once(pulsews_loop *loop, int64_t timeout_ns);
/* Frees the loop; clients that use it keep it alive until they are freed. */
void pulsews_loop_free(pulsews_loop *loop);

#ifdef __cplusplus
}
#endif
#endif
