/* SPDX-License-Identifier: Apache-2.0
 * PulseWS through its C interface. See bench.h. */
#include "bench.h"

#include <pulsews_hub.h>

enum { BATCH = 1024, COUNTED_FROM = 100000, COUNTED_TO = 1000000 };

static const bench_task *task;
static pulsews_config *config;

static pulsews_client *create_client(void) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_client *client = NULL;
    if (pulsews_client_create(task->url, config, NULL, &client, why, sizeof why) != PULSEWS_OK) bench_fail(why);
    return client;
}

static pulsews_client *open_client(void) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_client *client = create_client();
    if (pulsews_open(client, PULSEWS_SECONDS(10), why, sizeof why) != PULSEWS_OK) bench_fail(why);
    return client;
}

static void set(const char *name, const char *value) {
    char why[PULSEWS_ERROR_SIZE];
    if (pulsews_config_set(config, name, value, why, sizeof why) != PULSEWS_OK) bench_fail(why);
}

/* A number of the status; it is the only object with that key. */
static long status_number(pulsews_client *client, const char *key) {
    static char status[16384];
    char quoted[64];
    if (pulsews_status_json(client, status, sizeof status) < 0) bench_fail("no status");
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(status, quoted);
    return at ? atol(at + strlen(quoted)) : -1;
}

/* Accepts n messages while there is no connection, then connects and lets them go. */
static void queue(pulsews_client *client, const char *text, long n) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_message message;
    bench_clock start = bench_start();
    for (long i = 0; i < n; i++)
        if (pulsews_send(client, PULSEWS_TEXT, text, task->size, 0) != PULSEWS_OK) bench_fail("send failed");
    bench_clock accepted = bench_start();
    if (status_number(client, "queue_size") != n) bench_fail("not all are in the outbox");
    if (pulsews_open(client, PULSEWS_SECONDS(10), why, sizeof why) != PULSEWS_OK) bench_fail(why);
    if (pulsews_recv(client, &message, PULSEWS_SECONDS(60)) != PULSEWS_OK) bench_fail("the server did not get all");
    bench_clock end = bench_start();
    bench_print_queue(task, start, accepted, end, n);
}

static void flood(pulsews_client *client, int batches) {
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;
    pulsews_message message;
    long received = 0;
    uint64_t before = 0, after = 0, bytes = 0;
    int32_t result;
    bench_clock start = bench_start();
    for (;;) {
        if (batches) {
            result = pulsews_recv_batch(client, batch, BATCH, PULSEWS_FOREVER, &messages);
            for (int32_t i = 0; i < result; i++) bytes += messages[i].length;
        } else {
            result = pulsews_recv(client, &message, PULSEWS_FOREVER) == PULSEWS_OK ? 1 : -1;
            if (result == 1) bytes += message.length;
        }
        if (result < 0) break;
        received += result;
        if (!before && received >= COUNTED_FROM) before = bench_allocations();
        if (!after && received >= COUNTED_TO) after = bench_allocations();
    }
    if (pulsews_close_code(client) != 1000 || bytes != (uint64_t)received * task->size)
        bench_fail("the flood did not arrive whole");
    char more[64] = "";
    if (after) snprintf(more, sizeof more, ",\"allocations\":%llu", (unsigned long long)(after - before));
    bench_print(task, start, received, more);
    pulsews_batch_free(batch);
}

static void send_text(pulsews_client *client, const char *text) {
    if (pulsews_send(client, PULSEWS_TEXT, text, task->size, PULSEWS_FOREVER) != PULSEWS_OK) bench_fail("send failed");
}

static void receive_one(pulsews_client *client) {
    pulsews_message message;
    if (pulsews_recv(client, &message, PULSEWS_SECONDS(20)) != PULSEWS_OK) bench_fail("nothing received");
}

static void idle(long n) {
    pulsews_client **all = calloc((size_t)n, sizeof *all);
    bench_allow_files();
    long first = 0;
    for (long i = 0; i < n; i++) {
        all[i] = open_client();
        if (i == 0) first = bench_resident_kib();
    }
    bench_print_idle(task, first, bench_resident_kib());
}

static void connect_again(int64_t *times, long n) {
    bench_clock start = bench_start();
    for (long i = 0; i < n; i++) {
        int64_t before = bench_now();
        pulsews_client *client = open_client();
        times[i] = bench_now() - before;
        pulsews_client_free(client);
    }
    bench_print_times(task, start, times, n, "");
}

static void echo(pulsews_client *client, const char *text, int64_t *times, long n) {
    bench_clock start = bench_start();
    for (long i = -WARM_UP; i < n; i++) {
        if (i == 0) start = bench_start();
        int64_t before = bench_now();
        send_text(client, text);
        receive_one(client);
        if (i >= 0) times[i] = bench_now() - before;
    }
    bench_print_times(task, start, times, n, "");
}

static void sink(pulsews_client *client, const char *text, long n) {
    char more[40];
    long writes = status_number(client, "writes");
    bench_clock start = bench_start();
    for (long i = 0; i < n; i++) send_text(client, text);
    receive_one(client);
    snprintf(more, sizeof more, ",\"writes\":%ld", status_number(client, "writes") - writes);
    bench_print(task, start, n, more);
}

static void bursts(pulsews_client *client, const char *text, int64_t *times, long n) {
    char more[40];
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;
    long writes = status_number(client, "writes");
    bench_clock start = bench_start();
    for (long i = 0; i < n; i++) {
        int64_t before = bench_now();
        for (int k = 0; k < BURST; k++) send_text(client, text);
        for (int left = BURST; left > 0;) {
            int32_t got = pulsews_recv_batch(client, batch, BURST, PULSEWS_SECONDS(20), &messages);
            if (got < 0) bench_fail("nothing received");
            left -= got;
        }
        times[i] = bench_now() - before;
    }
    snprintf(more, sizeof more, ",\"writes\":%ld", status_number(client, "writes") - writes);
    bench_print_times(task, start, times, n, more);
    pulsews_batch_free(batch);
}

static void publish(const char *text, long n) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_hub *hub = NULL;
    if (pulsews_hub_create(NULL, &hub, why, sizeof why) != PULSEWS_OK ||
        pulsews_hub_topic(hub, "price.*", NULL, NULL, why, sizeof why) != PULSEWS_OK ||
        pulsews_hub_start(hub, why, sizeof why) != PULSEWS_OK)
        bench_fail(why);
    bench_clock start = bench_start();
    for (long i = 0; i < n; i++)
        if (pulsews_hub_publish(hub, "price.SOL", "SOL", text, task->size, NULL) != PULSEWS_OK)
            bench_fail("publish failed");
    bench_print(task, start, n, "");
    pulsews_hub_free(hub);
}

static void measure_one(pulsews_client *client, const char *text, int64_t *times, long n) {
    if (bench_is(task, "flood") || bench_is(task, "patterns")) {
        flood(client, 1);
    } else if (bench_is(task, "flood-one")) {
        flood(client, 0);
    } else if (bench_is(task, "echo")) {
        echo(client, text, times, n);
    } else if (bench_is(task, "sink") || bench_is(task, "journal")) {
        sink(client, text, n);
    } else if (bench_is(task, "burst")) {
        bursts(client, text, times, n);
    } else {
        bench_fail("unknown measure");
    }
    pulsews_client_free(client);
}

int main(int count, char **arguments) {
    bench_task given = bench_arguments(count, arguments);
    task = &given;
    config = pulsews_config_create();
    set("compression", "false");
    set("reconnect", "false");
    set("message_queue_policy", "block");
    set("host_connect_rate", "100000/s");
    if (bench_is(task, "patterns")) { /* what looks at every message that comes */
        set("heartbeat_reply", "{\"type\":\"pong\"}");
        set("stale_timeout", "30s");
    }
    if (bench_is(task, "queue")) {
        set("message_queue_size", "100000000");
        set("message_queue_bytes", "16GiB");
        set("backlog_interval", "0");
    }
    char journal[64] = "";
    if (bench_is(task, "journal")) {
        snprintf(journal, sizeof journal, "/tmp/pulsews-bench-%d.journal", (int)getpid());
        set("journal", journal);
    }
    if (given.secure) set("ca_file", given.ca);
    long n = given.count;
    int64_t *times = calloc((size_t)n + 1, sizeof *times);
    char *text = malloc(given.size + 1);
    memset(text, 'a', given.size);

    if (bench_is(task, "idle")) {
        idle(n);
    } else if (bench_is(task, "connect")) {
        connect_again(times, n);
    } else if (bench_is(task, "publish")) {
        text[0] = text[given.size - 1] = '"';
        publish(text, n);
    } else if (bench_is(task, "queue")) {
        pulsews_client *client = create_client();
        queue(client, text, n);
        pulsews_client_free(client);
    } else {
        measure_one(open_client(), text, times, n);
    }
    if (*journal) unlink(journal);
    return 0;
}
