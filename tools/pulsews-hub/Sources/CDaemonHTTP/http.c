/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon_http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

struct transfer {
    CURL *easy;
    uint64_t number;
    uint8_t *body;
    size_t length, capacity, most;
    int too_large;
    char problem[CURL_ERROR_SIZE];
    struct transfer *next;
};

struct daemon_http {
    CURLM *multi;
    struct transfer *transfers;
    struct transfer *given; /* whose answer was taken, and not released */
};

enum { FIRST_CAPACITY = 16384 };

daemon_http *daemon_http_create(void) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return NULL;
    daemon_http *http = calloc(1, sizeof *http);
    if (http == NULL) return NULL;
    http->multi = curl_multi_init();
    if (http->multi != NULL) return http;
    free(http);
    return NULL;
}

static void end(daemon_http *http, struct transfer *transfer) {
    struct transfer **place = &http->transfers;
    while (*place != NULL && *place != transfer) place = &(*place)->next;
    if (*place != NULL) *place = transfer->next;
    if (transfer->easy != NULL) {
        curl_multi_remove_handle(http->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    free(transfer->body);
    free(transfer);
}

void daemon_http_free(daemon_http *http) {
    if (http == NULL) return;
    daemon_http_release(http);
    while (http->transfers != NULL) end(http, http->transfers);
    curl_multi_cleanup(http->multi);
    free(http);
}

/* What comes of a body; anything but `size` ends the request. */
static size_t take(char *data, size_t one, size_t size, void *context) {
    struct transfer *transfer = context;
    (void)one;
    if (size > transfer->most - transfer->length) {
        transfer->too_large = 1;
        return 0;
    }
    if (size > transfer->capacity - transfer->length) {
        size_t capacity = transfer->capacity == 0 ? FIRST_CAPACITY : transfer->capacity * 2;
        while (capacity < transfer->length + size) capacity *= 2;
        uint8_t *larger = realloc(transfer->body, capacity);
        if (larger == NULL) return 0;
        transfer->body = larger;
        transfer->capacity = capacity;
    }
    if (size > 0) memcpy(transfer->body + transfer->length, data, size);
    transfer->length += size;
    return size;
}

static int set_up(struct transfer *transfer, const daemon_http_request *request) {
    CURL *easy = transfer->easy;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, request->url);
#define SET(option, value)                                                                                             \
    if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value)
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    SET(CURLOPT_ACCEPT_ENCODING, "");
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->most);
    SET(CURLOPT_USERAGENT, request->agent);
    SET(CURLOPT_WRITEFUNCTION, take);
    SET(CURLOPT_WRITEDATA, (void *)transfer);
    SET(CURLOPT_PRIVATE, (void *)transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->problem);
    if (request->proxy != NULL) SET(CURLOPT_PROXY, request->proxy);
    if (request->ca_file != NULL) SET(CURLOPT_CAINFO, request->ca_file);
    if (request->proxy_ca_file != NULL) SET(CURLOPT_PROXY_CAINFO, request->proxy_ca_file);
#undef SET
    return code == CURLE_OK ? 0 : -1;
}

int daemon_http_get(daemon_http *http, uint64_t number, const daemon_http_request *request) {
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL) return -1;
    transfer->number = number;
    transfer->most = request->most;
    transfer->easy = curl_easy_init();
    transfer->next = http->transfers;
    http->transfers = transfer;
    if (transfer->easy != NULL && set_up(transfer, request) == 0 &&
        curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK)
        return 0;
    end(http, transfer);
    return -1;
}

void daemon_http_cancel(daemon_http *http, uint64_t number) {
    struct transfer *transfer = http->transfers;
    while (transfer != NULL && transfer->number != number) transfer = transfer->next;
    if (transfer != NULL && transfer != http->given) end(http, transfer);
}

void daemon_http_turn(daemon_http *http, int descriptor, int timeout_ms) {
    struct curl_waitfd other = {.fd = descriptor, .events = CURL_WAIT_POLLIN};
    int running, begun = 0;
    for (struct transfer *transfer = http->transfers; transfer != NULL; transfer = transfer->next)
        begun += transfer != http->given;
    /* What was begun since the last turn goes out before the wait; if one of them has ended there is none. */
    curl_multi_perform(http->multi, &running);
    if (running < begun) timeout_ms = 0;
    curl_multi_poll(http->multi, &other, descriptor >= 0 ? 1 : 0, timeout_ms, NULL);
    curl_multi_perform(http->multi, &running);
}

static void describe(struct transfer *transfer, CURLcode code, daemon_http_answer *answer) {
    const char *why = transfer->problem[0] != 0 ? transfer->problem : curl_easy_strerror(code);
    if (transfer->too_large || code == CURLE_FILESIZE_EXCEEDED) why = "the answer is too large";
    if (code != CURLE_OK) strncpy(answer->problem, why, sizeof answer->problem - 1);
}

int daemon_http_next(daemon_http *http, daemon_http_answer *answer) {
    int left;
    CURLMsg *message;
    daemon_http_release(http);
    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        struct transfer *transfer = NULL;
        long status = 0;
        curl_off_t retry = 0;
        struct curl_header *header;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RETRY_AFTER, &retry);
        const int said = curl_easy_header(message->easy_handle, "Retry-After", 0, CURLH_HEADER, -1, &header) ==
                         CURLHE_OK;
        *answer = (daemon_http_answer){.number = transfer->number,
                                       .status = (int)status,
                                       .retry_after = said ? (int64_t)retry : -1,
                                       .body = transfer->body,
                                       .length = transfer->length};
        describe(transfer, code, answer);
        http->given = transfer;
        return 1;
    }
    return 0;
}

void daemon_http_release(daemon_http *http) {
    if (http->given == NULL) return;
    end(http, http->given);
    http->given = NULL;
}

void daemon_http_wake(daemon_http *http) { curl_multi_wakeup(http->multi); }
