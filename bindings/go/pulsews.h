/* SPDX-License-Identifier: Apache-2.0
 *
 * pulsews.h - one WebSocket connection engine for trading services, for C and every language that speaks C.
 *
 * WHAT IT IS
 *   A client (pulsews_client) keeps one WebSocket connection (RFC 6455, permessage-deflate of RFC 7692) over TCP or
 *   TLS, also through proxies, alive. It connects, answers pings, sends its own, notices a dead or mute peer, comes
 *   back with growing delays, logs in and subscribes again, queues what waits to be sent and what arrived, keeps rate
 *   limits, and accounts for every message: accepted = sent + dropped + expired + failed + still queued, at every
 *   moment. An event loop (pulsews_loop) serves any number of clients.
 *   Options add more to that: a journal that keeps the outbox over a crash; sequence numbers that are checked; a
 *   connection that is replaced before it ends, without a gap; a twin, two connections for one feed; what happens when
 *   the application is slower than the feed; presets for known feeds. docs/OPTIONS.md, docs/FEEDS.md, docs/JOURNAL.md,
 *   docs/TLS.md, docs/PROXIES.md.
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
 *   The library starts one thread for each loop that it drives and short-lived ones, at most 64, to resolve host names;
 *   they block all signals. It installs no signal handler, and SIGPIPE never reaches the process.
 *
 * OWNERSHIP
 *   The library copies what it is given: no pointer that you pass is used after the call returns. You free handles and
 *   nothing else; freeing NULL does nothing. Memory that a function returns belongs to the handle it came from, and
 *   the function says how long it lives. Constant texts (versions, names, error texts) live as long as the process.
 *
 * MEMORY
 *   What the caller or the peer makes large, a message, a batch or a text of 1 MiB and more, fails with PULSEWS_ENOMEM
 *   when there is no memory for it, before anything has changed. When a small piece can't be had the process ends by
 *   abort(), after a line on standard error: "pulsews: out of memory".
 *
 * ERRORS
 *   Functions return an int32_t: PULSEWS_OK (0) or a positive count is success, a negative value is one of the
 *   codes below. Where a sentence helps, the function takes a buffer `error` of `error_size` bytes (NULL and 0 if you
 *   do not want it; PULSEWS_ERROR_SIZE is always enough) and leaves a text there that ends with NUL: what was wrong
 *   with which argument, and what is allowed. On success the buffer is left alone.
 *
 * TIME
 *   Durations in calls are int64_t nanoseconds: PULSEWS_FOREVER (any negative value) waits without an end, 0 does not
 *   wait. Durations in options are text: a number of seconds, or a number with ns, us, ms, s, m, h or d.
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
/* generated: status codes (tools/generate.py) */
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
    PULSEWS_ENOTCONNECTED = -201, /* there is no open connection to send on */
    PULSEWS_ECLOSED = -202,      /* this side closed the client */
    PULSEWS_EPEERCLOSED = -203,  /* the peer closed the connection with a close frame */
    PULSEWS_EQUEUEFULL = -204,   /* the outbox is full */
    PULSEWS_ERATE = -205,        /* the rate limits left no room in time */
    PULSEWS_EMOVED = -206,       /* this side left the connection for a new one: pulsews_reconnect, endpoint_return,
                                    max_age, a redirect */
    PULSEWS_EJOURNAL = -207,     /* the journal can't be used */
    PULSEWS_EUNSENT = -208,      /* the close came before accepted messages were sent: they have failed */

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
    PULSEWS_EDEAD = -406,        /* no sign of life from the peer within heartbeat_timeout */
    PULSEWS_EIO = -407,          /* another error of the operating system */
    PULSEWS_ESTALE = -408,       /* no data within stale_timeout, or no server heartbeat in time */
    PULSEWS_EPROXY = -409,       /* the proxy refused, or is none */
    PULSEWS_EPROXYAUTH = -410,   /* the proxy wants other credentials */
    PULSEWS_ESLOW = -411,        /* the queue of received messages was full (receive_queue_policy=disconnect) */

    /* -500: TLS failed. */
    PULSEWS_ETLS = -500,         /* the TLS handshake or record layer failed */
    PULSEWS_ECERTIFICATE = -501, /* the certificate does not verify */
    PULSEWS_EHOSTNAME = -502,    /* the certificate is for another host */
    PULSEWS_ETRUST = -503,       /* the trusted certificates can't be loaded */
    PULSEWS_EEXPIRED = -504,     /* a certificate of the server has expired */
    PULSEWS_ENOTYETVALID = -505, /* a certificate of the server is not valid yet */
    PULSEWS_EUNKNOWNCA = -506,   /* the server's certificate comes from an authority that is not trusted */
    PULSEWS_EPURPOSE = -507,     /* the server's certificate is not meant for servers */
    PULSEWS_EPIN = -508,         /* no key of the server is one of pin_sha256 */
    PULSEWS_ETLSVERSION = -509,  /* the server has no version of TLS that is accepted */
    PULSEWS_ETRUNCATED = -510,   /* the TLS stream was cut: it ended without close_notify */
    PULSEWS_ECLIENTCERT = -511,  /* the server wants a client certificate, or does not accept the one it got */

    /* -600: the WebSocket handshake failed. */
    PULSEWS_EHANDSHAKE = -600,   /* the server answered with a status other than 101 */
    PULSEWS_EUPGRADE = -601,     /* the server's 101 is not a valid answer to the request */
    PULSEWS_EHEADERS = -602,     /* the server's headers are malformed or too large */
    PULSEWS_ELOGIN = -603,       /* the login was rejected, or not confirmed in time */
    PULSEWS_ESUBSCRIBE = -604,   /* a subscription was rejected, or not confirmed in time */
    PULSEWS_EREDIRECT = -605,    /* a redirect of the server can't be followed */

    /* -700: a limit was reached. */
    PULSEWS_ETOOBIG = -700,      /* a message is larger than max_message_size */
    PULSEWS_ENOMEM = -701,       /* no memory */
    PULSEWS_EFILES = -702        /* no file descriptor or thread */
};
/* end of status codes */

/* generated: kinds (tools/generate.py) */
/* What a message is. */
enum {
    PULSEWS_TEXT = 1,            /* UTF-8 text, checked */
    PULSEWS_BINARY = 2,          /* any bytes */
    PULSEWS_PING = 9,            /* only to send; at most 125 bytes */
    PULSEWS_PONG = 10,           /* only to send; at most 125 bytes; pings are answered without it */
    PULSEWS_EVENT = 256          /* only received, and only with option events: JSON about the connection, in order
                                    with the data. Its member "event" is one of: state, ready, subscription_rejected,
                                    hold, dropped, expired, failed, fate, discarded, stale, fresh, breaker, endpoint,
                                    journal, journal_kept, receive_dropped, gap, repeat, step_back, stale_key,
                                    fresh_key, rotation, twin, events_dropped; more may come. docs/EVENTS.md */
};
/* end of kinds */

/* generated: flags (tools/generate.py) */
/* Message flags. */
enum {
    PULSEWS_ASCII = 1,           /* a text of ASCII only: bytes and characters count the same */
    PULSEWS_COMPRESSED = 2       /* it arrived compressed */
};
/* end of flags */

/* generated: states (tools/generate.py) */
/* States of a client. */
enum {
    PULSEWS_DISCONNECTED = 0,    /* not started, or closed by this side */
    PULSEWS_CONNECTING = 1,      /* the first attempt */
    PULSEWS_CONNECTED = 2,       /* the connection is open */
    PULSEWS_RECONNECTING = 3,    /* waiting for, or making, a later attempt */
    PULSEWS_ERROR = 4            /* stopped trying; pulsews_client_error() says why, pulsews_reconnect() tries anew */
};
/* end of states */

/* ---- Versions, and tables of errors, options, transitions and statistics ----------------------------------------- */

/* The library's version as text ("0.1.0") and as number (as PULSEWS_VERSION_NUMBER). */
const char *pulsews_version(void);
uint32_t pulsews_version_number(void);

/* The error table. Entry `index` from 0 on: the code; 0 behind the last entry. */
int32_t pulsews_error_at(size_t index);
/* A code's name ("PULSEWS_ETIMEOUT") and what it means; never NULL, also for unknown codes. */
const char *pulsews_error_name(int32_t code);
const char *pulsews_error_text(int32_t code);
/* 1 if trying again can help (a reset, a time-out), 0 if it can't (a bad URL, a wrong certificate). For PULSEWS_EHANDSHAKE
 * the status decides: pulsews_client_retryable. */
int32_t pulsews_error_retryable(int32_t code);

/* The option table. Entry `index` from 0 on: name, type ("duration", "size", "integer", "number", "boolean", "text",
 * "choice", "header", "list"), default, allowed range, meaning. Options of type "header" and "list" take one value a
 * call and add it. A pointer that you pass as NULL is not filled. PULSEWS_EINVAL behind the last entry. */
int32_t pulsews_option_at(size_t index, const char **name, const char **type, const char **default_value,
                          const char **range, const char **meaning);

/* The state machine. Entry `index` from 0 on: in state `from`, `event` leads to state `to`; the numbers of the states
 * above. What is not in the table does nothing. A pointer that you pass as NULL is not filled. PULSEWS_EINVAL behind
 * the last entry. docs/STATES.md draws it. */
int32_t pulsews_transition_at(size_t index, int32_t *from, const char **event, int32_t *to, const char **meaning);

/* The statistics. Entry `index` from 0 on: name, type ("counter" or "gauge"), unit ("messages", "bytes", "seconds",
 * "events", "ratio", "pings", "connections" and others), meaning. A pointer that you pass as NULL is not filled.
 * PULSEWS_EINVAL behind the last entry. docs/STATISTICS.md lists them. */
int32_t pulsews_statistic_at(size_t index, const char **name, const char **type, const char **unit,
                             const char **meaning);

/* The presets: options for known feeds. Entry `index` from 0 on: the name for option preset, which feed it is for, and
 * the options it sets as lines "name=value\n". A pointer that you pass as NULL is not filled. PULSEWS_EINVAL behind the
 * last entry. docs/PRESETS.md lists them. */
int32_t pulsews_preset_at(size_t index, const char **name, const char **text, const char **options);

/* ---- Configuration --------------------------------------------------------------------------------------------- */

/* A set of options; one may serve any number of clients, also after it was changed or freed. One thread at a time. */
typedef struct pulsews_config pulsews_config;

/* Never NULL: see MEMORY. */
pulsews_config *pulsews_config_create(void);
/* Sets one option from text, e.g. ("heartbeat_interval", "30s"), ("max_message_size", "16MiB"), ("verify", "false").
 * Options of type "header" and "list" take one value a call and add it: `headers` ("Name: value"), `endpoints`,
 * `rate_limit` and others. Option `preset` sets the options of a known feed that were not and will not be set singly.
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
    uint64_t sequence;    /* 1, 2, 3 ... over all messages of the client, events included; a number is left out only
                             where a full queue discarded a message (option receive_queue_policy) */
} pulsews_message;

/* Makes a client for `url` (ws://host[:port]/path?query or wss://..., with user:password@ before the host for Basic
 * authentication); it does not connect yet. `config` NULL: all defaults. `loop` NULL: the default loop. On success
 * *client is the handle; on failure NULL, and `error` has the sentence: PULSEWS_EURL; PULSEWS_EINVAL; PULSEWS_EVALUE
 * for options that do not go together (twin without sequence_path or with a hold, a client key without its
 * certificate), and for a proxy variable of the environment that is no proxy's URL; PULSEWS_ETRUST for a file with
 * certificates or keys; PULSEWS_EJOURNAL for a journal that is in use or can't be used; PULSEWS_ENOMEM;
 * PULSEWS_EFILES. */
int32_t pulsews_client_create(const char *url, const pulsews_config *config, pulsews_loop *loop,
                              pulsews_client **client, char *error, size_t error_size);

/* Connects, and waits until the connection is open or the attempt has failed. PULSEWS_OK when it is or was open, also
 * if the server has closed it again by then, perhaps with messages to receive; PULSEWS_ETIMEOUT when `timeout_ns` is over,
 * the attempt going on (option open_timeout bounds the attempt itself); else why it failed, with the sentence. The
 * client stays valid in every case, and with option reconnect (the default) it goes on trying after a failure that a
 * retry can mend: call again to wait for the next attempt (each failed one is told once), or look at the state. With
 * option endpoints each of them has its turn before it is a failure. */
int32_t pulsews_open(pulsews_client *client, int64_t timeout_ns, char *error, size_t error_size);

/* Sends one message. PULSEWS_OK means that the message is accepted: written, or in the outbox. On an open connection a
 * lone message leaves before the call returns; messages that come faster than the network takes them leave together.
 * While there is no connection they wait in the outbox (options message_queue_...), in order. When it is full, option
 * message_queue_policy decides: drop_oldest and drop_newest drop (counted, and told as an event), reject returns
 * PULSEWS_EQUEUEFULL, block waits up to `timeout_ns` for room and then returns PULSEWS_EQUEUEFULL. A ping or pong is
 * for the open connection only: PULSEWS_ENOTCONNECTED, or PULSEWS_EQUEUEFULL at once when many of them wait already.
 * PULSEWS_EUTF8 for text that is not UTF-8, PULSEWS_EINVAL for a wrong kind or a ping or pong over 125 bytes,
 * PULSEWS_ETOOBIG for more than 1 GiB, PULSEWS_ENOMEM; PULSEWS_ENOTCONNECTED when trying to connect has ended (state
 * PULSEWS_ERROR); PULSEWS_ECLOSED. */
int32_t pulsews_send(pulsews_client *client, uint32_t kind, const void *data, size_t length, int64_t timeout_ns);

/* Receives one message, across any number of reconnects. PULSEWS_OK, or PULSEWS_ETIMEOUT; when the client has stopped
 * trying, or was closed, and everything that had arrived was received: why (PULSEWS_ECLOSED, PULSEWS_EREFUSED,
 * PULSEWS_EPEERCLOSED ...), on every further call too. message->data lives until the next pulsews_recv on this client,
 * or its free. One thread at a time: PULSEWS_EBUSY for a second one at the same time. PULSEWS_ENOTCONNECTED at once if
 * the client was never started. */
int32_t pulsews_recv(pulsews_client *client, pulsews_message *message, int64_t timeout_ns);

/* Closes with a close frame of `code` (1000 to 1003, 1007 to 1014, or 3000 to 4999; 0 sends none) and `reason` (UTF-8, at
 * most 123 bytes; NULL for none), after what was accepted before, and waits up to `timeout_ns` for the peer's answer.
 * What waits for rate limits or for the network may be sent as long as the call lasts, at least for close_timeout; only
 * then the close frame leaves, and the peer has close_timeout to answer until the connection is cut. PULSEWS_OK when
 * closed (also if it was before); PULSEWS_ETIMEOUT when the time is over, the close going on: call again to wait for its
 * end; PULSEWS_EUNSENT, once, when messages that waited for the open connection were not sent and have failed (event
 * "failed" has their ids; without a connection what waits fails at once, and only the event says so);
 * PULSEWS_EINVAL; PULSEWS_EUTF8. Blocked calls of other threads end. Code 0 while a close is on its way cuts it at
 * once. */
int32_t pulsews_close(pulsews_client *client, int32_t code, const char *reason, int64_t timeout_ns);

/* The same with code 1000, for a client that may come back: pulsews_reconnect() connects it again. What still waits in
 * the outbox after `timeout_ns` fails, and the close frame leaves: PULSEWS_EUNSENT. With a journal it stays there, and is
 * sent when the client comes back. */
int32_t pulsews_disconnect(pulsews_client *client, int64_t timeout_ns);

/* Ends the client, cutting its connection if it is open, wakes the threads that are blocked in calls on it, and waits
 * until they have left. No thread may begin a call on it from here on. */
void pulsews_client_free(pulsews_client *client);

/* ---- Staying connected ------------------------------------------------------------------------------------------ */

/* Connects anew at once, from any state but a pulsews_close: leaves the open connection (with close code 1000), skips
 * the delay before the next attempt, leaves PULSEWS_ERROR, or starts. The count of attempts begins again. Returns at
 * once; PULSEWS_OK, PULSEWS_ECLOSED. */
int32_t pulsews_reconnect(pulsews_client *client);

/* Waits until the connection is ready: open, logged in (options login, login_confirm, hold_login), the subscriptions
 * sent (subscribe_confirm). PULSEWS_OK, PULSEWS_ETIMEOUT, or why the client has stopped trying, with the sentence. */
int32_t pulsews_wait_ready(pulsews_client *client, int64_t timeout_ns, char *error, size_t error_size);

/* Sets a header of the handshake from the next attempt on, in place of any of that name; `value` NULL removes it. For
 * tokens that expire; option hold_connect makes each attempt wait until this was done. PULSEWS_EVALUE with a sentence
 * for a header that is not allowed. */
int32_t pulsews_set_header(pulsews_client *client, const char *name, const char *value, char *error, size_t error_size);
/* Sets the preferred endpoint's URL from the next attempt on, for services with a key in it. It must stay with ws or
 * wss as it was. PULSEWS_EURL with a sentence. */
int32_t pulsews_set_url(pulsews_client *client, const char *url, char *error, size_t error_size);

/* Ends the hold that option hold_connect or hold_login has put on the present attempt (event "hold"): it goes on. For
 * hold_login the application sends its login before, with PULSEWS_FIRST. PULSEWS_OK also if there is no hold. */
int32_t pulsews_release(pulsews_client *client);

/* Adds a subscription under `key` (1 to 1024 bytes), or replaces it: it is sent now if the connection is ready, and
 * again on every connect, in the order of the first subscribing, before anything queued. `message` is the text that
 * subscribes, `unsubscribe` the one that ends it (NULL: none is sent). `message` NULL: options subscribe_message and
 * unsubscribe_message make the texts, many keys in one message. PULSEWS_EINVAL or PULSEWS_EVALUE with a sentence. */
int32_t pulsews_subscribe(pulsews_client *client, const char *key, const char *message, const char *unsubscribe,
                          char *error, size_t error_size);
/* Removes it, and ends it at the server. PULSEWS_OK also if the key is not known. */
int32_t pulsews_unsubscribe(pulsews_client *client, const char *key);

/* ---- Sending with more to say ------------------------------------------------------------------------------------ */

/* generated: send_flags (tools/generate.py) */
/* How a message is sent: pulsews_send_with, pulsews_send_batch. */
enum {
    PULSEWS_LIVE_ONLY = 1,       /* only over the connection that is open and ready now: PULSEWS_ENOTCONNECTED if
                                    none is, or if it goes while the call waits; never kept for the next one; goes
                                    ahead of a backlog that is being paced; waits for rate limits as IN_LIMIT does */
    PULSEWS_REPORT = 2,          /* an event "fate" will tell what became of it (with option events) */
    PULSEWS_FIRST = 4,           /* a login message, for the open connection only, without a time to live: goes
                                    before everything else; with hold_login only during the hold, else ENOTCONNECTED */
    PULSEWS_IN_LIMIT = 8         /* waits up to the call's time-out for room in the rate limits, behind what the
                                    outbox holds, then PULSEWS_ERATE: time-out 0 tries; PULSEWS_ENOTCONNECTED if the
                                    connection goes meanwhile. Without it a message waits in the outbox */
};
/* end of send_flags */

/* pulsews_send with flags, and a time to live: a message that is not written `ttl_ns` after the call expires, unsent
 * (0: option message_ttl; PULSEWS_FOREVER: never). *id (unless NULL) is the message's number, 1, 2, 3 ... in the order
 * of acceptance: events name it. A message that was being written when its connection ended has failed: it may have
 * arrived or not, and is never sent again. */
int32_t pulsews_send_with(pulsews_client *client, uint32_t kind, const void *data, size_t length, uint32_t flags,
                          int64_t ttl_ns, int64_t timeout_ns, uint64_t *id);

/* Sends many texts and binary messages in order (only data, length and kind of each are looked at). Returns how many
 * were accepted, from the first on: fewer than `count` (at most 2^31 - 1) when the outbox is full or the time is over;
 * a negative code, as pulsews_send_with, if the first was not. Their ids follow one another from *first_id on. */
int32_t pulsews_send_batch(pulsews_client *client, const pulsews_message *messages, size_t count, uint32_t flags,
                           int64_t ttl_ns, int64_t timeout_ns, uint64_t *first_id);

/* Waits until every message that was accepted before the call has its fate: sent, dropped, expired or failed.
 * PULSEWS_OK, PULSEWS_ETIMEOUT; PULSEWS_ENOTCONNECTED when trying has ended with messages still queued. */
int32_t pulsews_flush(pulsews_client *client, int64_t timeout_ns);

/* Drops what waits in the outbox; returns how many messages that were. */
int64_t pulsews_purge(pulsews_client *client);

/* ---- Looking at a client ---------------------------------------------------------------------------------------- */

/* One of the states above, or a negative code. */
int32_t pulsews_client_state(const pulsews_client *client);

/* Why the last connection, or the last attempt, ended: its code, and the sentence in `error`. PULSEWS_OK if none has. */
int32_t pulsews_client_error(const pulsews_client *client, char *error, size_t error_size);
/* 1 if trying that again can help, as this client judges it, which knows more than pulsews_error_retryable: 0 for a
 * refusal with 401, 403 or 404, 1 for every failure with option retry_fatal; 0 while there is none. */
int32_t pulsews_client_retryable(const pulsews_client *client);

/* The functions below that fill `buffer` return the length of the whole text in bytes, without the NUL that
 * ends it, or a negative code. At most `size` bytes are written, NUL included: with size 0 the call only measures. */

/* The peer's close code: 1005 if its close frame had none, 1006 if there was no close frame, 0 if the connection is
 * open or never was. */
int32_t pulsews_close_code(const pulsews_client *client);
int64_t pulsews_close_reason(const pulsews_client *client, char *buffer, size_t size);

/* If the last connection ended because the server rejected the login or a subscription: the message that says so, its
 * first 256 bytes. It stands, escaped, in the sentence of PULSEWS_ELOGIN and PULSEWS_ESUBSCRIBE, too. Else empty. */
int64_t pulsews_server_message(const pulsews_client *client, char *buffer, size_t size);

/* The server's answer to the handshake: HTTP status (101 if it was accepted, 0 while there is none), header lines as
 * "Name: value\n", and of a refusal (PULSEWS_EHANDSHAKE) the first 4 KiB of the body, which may hold any bytes, as far
 * as they came within a second. After a 101 that is not valid its status and headers are there. */
int32_t pulsews_handshake_status(const pulsews_client *client);
int64_t pulsews_handshake_headers(const pulsews_client *client, char *buffer, size_t size);
int64_t pulsews_handshake_body(const pulsews_client *client, char *buffer, size_t size);

/* The subprotocol that the server chose; empty if none. */
int64_t pulsews_subprotocol(const pulsews_client *client, char *buffer, size_t size);

/* State and statistics as one JSON object. Keys and units: docs/STATUS.md. */
int64_t pulsews_status_json(const pulsews_client *client, char *buffer, size_t size);

/* The statistics as numbers, in the order of pulsews_statistic_at: fills up to `count` of them and returns how many
 * there are in all. Times are seconds; NaN stands for what is not known yet. */
int32_t pulsews_statistics(const pulsews_client *client, double *values, size_t count);

/* The statistics in the Prometheus text format, version 0.0.4, with labels `client` (option name), `endpoint` and `id`.
 * `client` NULL: those of all clients of the process, each metric once. */
int64_t pulsews_prometheus(const pulsews_client *client, char *buffer, size_t size);

/* ---- The log ----------------------------------------------------------------------------------------------------- */

/* One log for the process, off at first; the environment variable PULSEWS_LOG=debug (info, warning, error) turns it on
 * to standard error before the first client. The last of the three calls below wins. Credentials are never logged:
 * URLs stand without user and query, headers by name only, messages not at all. A text that a server refuses with is
 * quoted, unless it repeats a part of the request that may be a key. */
/* generated: log_levels (tools/generate.py) */
/* Levels of the log. */
enum {
    PULSEWS_LOG_OFF = 0,         /* nothing */
    PULSEWS_LOG_ERROR = 1,       /* stopped trying, messages lost */
    PULSEWS_LOG_WARNING = 2,     /* a connection lost, an attempt failed, a mute feed, a full outbox */
    PULSEWS_LOG_INFO = 3,        /* connected, ready, closed */
    PULSEWS_LOG_DEBUG = 4        /* each step of an attempt: addresses, proxy, TLS, names of headers, status */
};
/* end of log_levels */
/* To standard error, or to the end of a file (made with mode 0600, and brought to it if others may read it; a call with
 * the same path opens it anew, for log rotation). PULSEWS_EINVAL; PULSEWS_EIO with a sentence, also for what is no
 * regular file: a symbolic link, a pipe, a device. */
int32_t pulsews_log_stderr(int32_t level);
int32_t pulsews_log_file(const char *path, int32_t level, char *error, size_t error_size);
/* Into a queue of the last `capacity` lines (1 to 1000000), for bindings to fetch. */
int32_t pulsews_log_queue(int32_t level, size_t capacity);
/* Waits up to `timeout_ns` for a line of the queue: copies it as text without time and level, cut to `size`, and
 * returns its length; *level and *time_ns (nanoseconds since 1970-01-01T00:00:00Z) unless NULL. PULSEWS_ETIMEOUT;
 * PULSEWS_ECLOSED when the log does not go to the queue. One line tells how many were lost when the queue was full. */
int64_t pulsews_log_next(char *buffer, size_t size, int32_t *level, int64_t *time_ns, int64_t timeout_ns);

/* ---- Batches: the fast way to receive --------------------------------------------------------------------------- */

/* Holds the messages of one receive call. One thread at a time; it may serve several clients, one after another. */
typedef struct pulsews_batch pulsews_batch;

/* Never NULL: see MEMORY. */
pulsews_batch *pulsews_batch_create(void);

/* Receives up to `max` messages. Returns how many (at least 1), with *messages pointing to the first of as many
 * structs; else as pulsews_recv. The payloads of a batch lie one behind another without gaps, so that messages[0].data
 * and the sum of the lengths describe one block. Structs and payloads live until the batch is used again or freed,
 * whatever happens to the client meanwhile. Several threads may receive from one client, each with its own batch. */
int32_t pulsews_recv_batch(pulsews_client *client, pulsews_batch *batch, size_t max, int64_t timeout_ns,
                           const pulsews_message **messages);

/* generated: traits (tools/generate.py) */
/* What holds for all messages of a batch, for bindings that convert a whole batch at once. */
enum {
    PULSEWS_ALL_TEXT = 1,        /* all are PULSEWS_TEXT */
    PULSEWS_ALL_ASCII = 2,       /* all have the flag PULSEWS_ASCII */
    PULSEWS_ALL_BINARY = 4       /* all are PULSEWS_BINARY */
};
/* end of traits */
/* The traits of the batch's present messages as a set of the bits above; 0 for an empty batch, or a negative code. */
int32_t pulsews_batch_traits(const pulsews_batch *batch);

void pulsews_batch_free(pulsews_batch *batch);

/* With a journal, an event that tells of messages in doubt, or of those that a connection's end cut, counts as taken when
 * the application asks for the next messages. For one that receives ahead of its own work, or a binding that does: from
 * the first of these calls on (with 0, before anything is received) it counts when the application has acknowledged
 * everything up to `sequence` of a message or event. PULSEWS_OK. */
int32_t pulsews_acknowledge(pulsews_client *client, uint64_t sequence);

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

/* generated: loop_flags (tools/generate.py) */
/* Loop flags. */
enum {
    PULSEWS_LOOP_NO_THREAD = 1   /* the application drives the loop with pulsews_loop_run_once, and nobody else does,
                                    but for calls that block on a client of this loop */
};
/* end of loop_flags */

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
