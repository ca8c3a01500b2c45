/* SPDX-License-Identifier: Apache-2.0 */
/* The hub of the library. The main thread publishes, the hub's loop writes. */
#include "fanout.h"
#include <pulsews_hub.h>

static char problem[512];

static void check(int32_t status) {
    if (status == PULSEWS_OK) return;
    fprintf(stderr, "hub: %s (%d)\n", problem, status);
    exit(1);
}

static pulsews_hub *make_hub(int count, char **arguments) {
    pulsews_hub *hub;
    check(pulsews_hub_create(NULL, &hub, problem, sizeof problem));
    int secure = !strcmp(arguments[1], "tls");
    check(pulsews_hub_listen(hub, secure ? "wss://127.0.0.1:0" : "ws://127.0.0.1:0", problem, sizeof problem));
    check(pulsews_hub_route(hub, "/fanout", "topic", "fanout", problem, sizeof problem));
    check(pulsews_hub_route(hub, "/pulse", NULL, NULL, problem, sizeof problem));
    check(pulsews_hub_topic(hub, "fanout", NULL, NULL, problem, sizeof problem));
    if (atol(arguments[4])) {
        char flush[40];
        snprintf(flush, sizeof flush, "%ldms", atol(arguments[4]) / 1000);
        check(pulsews_hub_topic(hub, "fanout", "flush", flush, problem, sizeof problem));
    }
    if (count > 5) check(pulsews_hub_topic(hub, "fanout", "history", arguments[5], problem, sizeof problem));
    if (secure) {
        check(pulsews_hub_set(hub, "certificate", arguments[2], problem, sizeof problem));
        check(pulsews_hub_set(hub, "certificate_key", arguments[3], problem, sizeof problem));
    }
    check(pulsews_hub_start(hub, problem, sizeof problem));
    return hub;
}

static void publish_all(pulsews_hub *hub, fanout_load *load) {
    char *texts = malloc((load->longest + FANOUT_HEAD + 2) * FANOUT_BURST);
    fanout_require(texts != NULL, "memory");
    for (int64_t wait; (wait = fanout_wait(load)) >= 0; load->due += load->interval) {
        struct timespec pause = {wait / 1000000000, wait % 1000000000};
        nanosleep(&pause, NULL);
        pulsews_hub_publication publications[FANOUT_BURST] = {0};
        size_t count = 0;
        for (; count < (size_t)load->burst && load->published < load->count; count++) {
            char *text = texts + count * (load->longest + FANOUT_HEAD + 2);
            publications[count] = (pulsews_hub_publication){.topic = "fanout", .data = text};
            publications[count].length = fanout_message(load, text);
        }
        int32_t taken = pulsews_hub_publish_batch(hub, publications, count);
        if (taken != (int32_t)count) {
            fprintf(stderr, "hub: %d of %zu messages were taken\n", taken, count);
            exit(1);
        }
    }
    free(texts);
    fanout_published(load);
}

int main(int count, char **arguments) {
    struct rlimit files;
    char line[1024];
    if (count < 5) return fprintf(stderr, "usage: hub plain|tls CERTIFICATE KEY FLUSH_US [HISTORY]\n"), 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    pulsews_hub *hub = make_hub(count, arguments);
    char address[64];
    pulsews_hub_address(hub, 0, address, sizeof address);
    fanout_say_port(atoi(strrchr(address, ':') + 1));
    while (fgets(line, sizeof line, stdin)) {
        fanout_load load;
        if (fanout_command(line, &load)) publish_all(hub, &load);
    }
    pulsews_hub_free(hub);
    return 0;
}
