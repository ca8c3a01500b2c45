/* SPDX-License-Identifier: Apache-2.0 */
/* GET requests by libcurl, several at a time on one thread: Swift can't call functions with variable arguments. */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include <stddef.h>
#include <stdint.h>

typedef struct daemon_http daemon_http;

typedef struct daemon_http_request {
    const char *url;          /* http or https */
    const char *agent;        /* User-Agent */
    const char *proxy;        /* NULL: what the environment says; "": none */
    const char *ca_file;      /* NULL: the system's */
    const char *proxy_ca_file; /* NULL: the system's */
    int64_t timeout_ms;       /* for all of it */
    size_t most;              /* bytes of a body, also when it was compressed */
} daemon_http_request;

typedef struct daemon_http_answer {
    uint64_t number;          /* as it was given to daemon_http_get */
    int status;               /* of HTTP; 0: there is none */
    int64_t retry_after;      /* seconds; -1: not said */
    const uint8_t *body;      /* lives until daemon_http_release */
    size_t length;
    char problem[256];        /* why there is no whole answer; empty if there is one */
} daemon_http_answer;

/* NULL: out of memory. */
daemon_http *daemon_http_create(void);
/* What runs ends without an answer. */
void daemon_http_free(daemon_http *http);
/* Begins a request; -1 if that is not possible. No redirect is followed, certificates are verified. */
int daemon_http_get(daemon_http *http, uint64_t number, const daemon_http_request *request);
/* Ends one without an answer. */
void daemon_http_cancel(daemon_http *http, uint64_t number);
/* Goes on with all requests, waiting up to `timeout_ms` for something to do: theirs, `descriptor` (-1: none) that can be
 * read, or daemon_http_wake. */
void daemon_http_turn(daemon_http *http, int descriptor, int timeout_ms);
/* The next answer: 1, or 0 if there is none yet. */
int daemon_http_next(daemon_http *http, daemon_http_answer *answer);
/* Frees the body of the answer that daemon_http_next gave last. */
void daemon_http_release(daemon_http *http);
/* Ends the wait of daemon_http_turn; the only call for other threads. */
void daemon_http_wake(daemon_http *http);

#endif
