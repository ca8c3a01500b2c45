/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscribes to market streams and prints what arrives, with the one-way latency of each tick. When the connection is
 * lost it comes back and subscribes again by itself; the summary tells how long the ticks were away.
 *
 *     gcc -O2 ticker.c $(pkg-config --cflags --libs pulsews) -o ticker
 *     ./ticker wss://localhost:8443/stream --ca ca.pem --seconds 10
 */
#define _GNU_SOURCE /* memmem */
#include <pulsews.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256
#define STREAMS 4

static const char *const streams[STREAMS] = {"btcusdt@bookTicker", "ethusdt@bookTicker", "btcusdt@kline_1m",
                                             "ethusdt@kline_1m"};
#define PARAMS "[\"btcusdt@bookTicker\",\"ethusdt@bookTicker\",\"btcusdt@kline_1m\",\"ethusdt@kline_1m\"]"
static const char subscribe[] = "{\"method\":\"SUBSCRIBE\",\"params\":" PARAMS ",\"id\":1}";
static const char unsubscribe[] = "{\"method\":\"UNSUBSCRIBE\",\"params\":" PARAMS ",\"id\":2}";

static int64_t last[STREAMS];   /* sequence number of each stream's last tick */
static int64_t *latency;        /* of every tick, in ns */
static size_t count, capacity;
static uint64_t drops;
static int in_order = 1;

/* On a new connection each stream counts from 1 again. */
static int restarts;
static size_t before;                     /* ticks until the connection was lost */
static int64_t last_ns;                   /* when the last tick came, ... */
static int64_t lost_ns, back_ns;          /* ... the last one before the loss, and the first after it */

/* Where the value of a JSON member begins, or NULL. A real program uses a JSON parser; messages have no NUL at the end. */
static const char *member(const pulsews_message *message, const char *name) {
    char key[32];
    int length = snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = memmem(message->data, message->length, key, (size_t)length);
    return found ? found + length : NULL;
}

static int64_t number(const pulsews_message *message, const char *name) {
    const char *text = member(message, name);
    const char *end = (const char *)message->data + message->length;
    int64_t value = 0;
    if (text && text < end && *text == '"') text++;
    for (; text && text < end && *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return value;
}

static int quoted(const pulsews_message *message, const char *name, const char **text) {
    const char *begin = member(message, name);
    const char *end = (const char *)message->data + message->length;
    *text = "";
    if (!begin || begin >= end || *begin != '"') return 0;
    *text = begin + 1;
    const char *quote = memchr(begin + 1, '"', (size_t)(end - begin - 1));
    return quote ? (int)(quote - *text) : 0;
}

static void tick(const pulsews_message *message) {
    static int64_t printed;
    const char *stream, *bid, *ask, *close;
    int stream_length = quoted(message, "stream", &stream);
    int64_t sequence = number(message, "u"), delay = message->received_ns - number(message, "ns");

    for (int i = 0; i < STREAMS; i++) {
        if ((size_t)stream_length != strlen(streams[i]) || memcmp(stream, streams[i], (size_t)stream_length) != 0)
            continue;
        if (sequence == 1 && last[i] > 0) {
            restarts++;
            last[i] = 0;
            if (back_ns == 0) {
                before = count;
                lost_ns = last_ns;
                back_ns = message->received_ns;
            }
        }
        if (sequence > last[i] + 1) drops += (uint64_t)(sequence - last[i] - 1);
        if (sequence != last[i] + 1) in_order = 0;
        last[i] = sequence;
    }
    if (count == capacity) {
        capacity = capacity ? 2 * capacity : 4096;
        latency = realloc(latency, capacity * sizeof *latency);
        if (!latency) abort();
    }
    latency[count++] = delay;
    last_ns = message->received_ns;

    if (message->received_ns - printed < PULSEWS_MILLISECONDS(200)) return; /* readable, not complete */
    printed = message->received_ns;
    int bid_length = quoted(message, "b", &bid), ask_length = quoted(message, "a", &ask);
    int close_length = quoted(message, "c", &close);
    if (close_length) printf("%-20.*s close %.*s", stream_length, stream, close_length, close);
    else printf("%-20.*s bid %.*s  ask %.*s", stream_length, stream, bid_length, bid, ask_length, ask);
    printf("  %" PRId64 " us\n", delay / 1000);
    fflush(stdout);
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile(int percent) {
    return count ? (double)latency[(count - 1) * (size_t)percent / 100] / 1000 : 0;
}

/* One number of the client's statistics; the table says at which place it is. */
static double statistic(const pulsews_client *client, const char *wanted) {
    double values[256];
    const char *name;
    int32_t have = pulsews_statistics(client, values, 256);
    for (size_t i = 0; i < 256 && (int32_t)i < have; i++)
        if (pulsews_statistic_at(i, &name, NULL, NULL, NULL) == PULSEWS_OK && strcmp(name, wanted) == 0)
            return values[i];
    return 0;
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
    const char *url = NULL;
    double seconds = 10;
    char why[PULSEWS_ERROR_SIZE] = "";
    int32_t status = PULSEWS_OK;
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;

    /* The library tells what happens to the connection: lost, why, when it tries again, connected. */
    pulsews_log_stderr(PULSEWS_LOG_INFO);
    status = pulsews_config_set(config, "name", "ticker.c", why, sizeof why);
    for (int i = 1; i < argc && status == PULSEWS_OK; i++) {
        if (strcmp(argv[i], "--ca") == 0 && i + 1 < argc)
            status = pulsews_config_set(config, "ca_file", argv[++i], why, sizeof why);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) seconds = atof(argv[++i]);
        else url = argv[i];
    }
    if (!url) {
        fprintf(stderr, "usage: ticker URL [--ca FILE] [--seconds N]\n");
        return 2;
    }
    if (status == PULSEWS_OK) status = pulsews_client_create(url, config, NULL, &client, why, sizeof why);
    if (status == PULSEWS_OK) status = pulsews_open(client, PULSEWS_FOREVER, why, sizeof why);
    /* Sent now, and again on every connect. */
    if (status == PULSEWS_OK) status = pulsews_subscribe(client, "ticker", subscribe, unsubscribe, why, sizeof why);

    /* Until the time is over; then the answer to the unsubscription marks the end of the ticks. */
    int64_t end = now() + (int64_t)(seconds * 1e9);
    int leaving = 0, done = 0;
    while (status == PULSEWS_OK && !done) {
        int64_t left = end - now();
        if (!leaving && left <= 0) {
            leaving = 1;
            status = pulsews_unsubscribe(client, "ticker");
            if (status != PULSEWS_OK) break;
        }
        int32_t got = pulsews_recv_batch(client, batch, BATCH, leaving ? PULSEWS_SECONDS(5) : left, &messages);
        if (got == PULSEWS_ETIMEOUT && !leaving) continue;
        if (got < 0) status = got;
        for (int32_t i = 0; i < got; i++) {
            if (member(&messages[i], "data")) tick(&messages[i]);
            else if (number(&messages[i], "id") == 2) done = 1;
        }
    }
    if (status != PULSEWS_OK)
        fprintf(stderr, "ticker: %s: %s\n", pulsews_error_name(status), *why ? why : pulsews_error_text(status));
    int reconnections = client ? (int)statistic(client, "reconnections") : 0;
    if (client) pulsews_close(client, 1000, "done", PULSEWS_SECONDS(5));
    pulsews_batch_free(batch);
    pulsews_client_free(client);
    pulsews_config_free(config);

    if (count) qsort(latency, count, sizeof *latency, ascending);
    printf("{\"language\":\"C\",\"messages\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"drops\":%" PRIu64
           ",\"in_order\":%s,\"reconnections\":%d,\"restarted_streams\":%d,\"before\":%zu,\"lost_ns\":%" PRId64
           ",\"back_ns\":%" PRId64 "}\n",
           count, percentile(50), percentile(99), drops, in_order ? "true" : "false", reconnections, restarts,
           back_ns ? before : count, lost_ns, back_ns);
    free(latency);
    return status == PULSEWS_OK ? 0 : 1;
}
