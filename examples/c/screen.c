/* SPDX-License-Identifier: Apache-2.0
 *
 * A screen that is slower than its feed: twice a second it shows what waits, which is never much, and has the latest
 * tick of each stream. The preset knows the exchange; connections are replaced before the exchange ends them.
 *
 *     gcc -O2 screen.c $(pkg-config --cflags --libs pulsews) -o screen
 *     ./screen wss://stream.binance.com:9443/stream 10 btcusdt@bookTicker,ethusdt@bookTicker [OPTION=VALUE ...]
 */
#include <pulsews.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char why[PULSEWS_ERROR_SIZE];

static int fails(int32_t status) {
    if (status < 0) fprintf(stderr, "screen: %s: %s\n", pulsews_error_name(status), why);
    return status < 0;
}

static double statistic(const pulsews_client *client, const char *wanted) {
    double values[256];
    const char *name;
    int32_t have = pulsews_statistics(client, values, 256);
    for (size_t i = 0; i < 256 && (int32_t)i < have; i++)
        if (pulsews_statistic_at(i, &name, NULL, NULL, NULL) == PULSEWS_OK && strcmp(name, wanted) == 0)
            return values[i];
    return 0;
}

int main(int argc, char **argv) {
    static const char *const settings[][2] = {{"preset", "binance-spot"},
                                              {"receive_queue_policy", "conflate"},
                                              {"receive_queue_bytes", "4KiB"},
                                              {"events", "true"}};
    static const struct timespec half = {0, 500000000};
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    pulsews_message message;
    int32_t status = PULSEWS_OK;
    if (argc < 4) {
        fprintf(stderr, "usage: screen URL SECONDS STREAM,STREAM... [OPTION=VALUE ...]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (fails(pulsews_config_set(config, settings[i][0], settings[i][1], why, sizeof why))) return 1;
    for (int i = 4; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value) *value++ = 0;
        if (fails(pulsews_config_set(config, argv[i], value ? value : "", why, sizeof why))) return 1;
    }
    if (fails(pulsews_client_create(argv[1], config, NULL, &client, why, sizeof why))) return 1;
    for (char *stream = strtok(argv[3], ","); stream; stream = strtok(NULL, ",")) /* the preset has the text */
        if (fails(pulsews_subscribe(client, stream, NULL, NULL, why, sizeof why))) return 1;
    if (fails(pulsews_wait_ready(client, PULSEWS_SECONDS(30), why, sizeof why))) return 1;
    time_t end = time(NULL) + atoi(argv[2]);
    while (time(NULL) < end && (status == PULSEWS_OK || status == PULSEWS_ETIMEOUT)) {
        nanosleep(&half, NULL);
        while ((status = pulsews_recv(client, &message, 0)) == PULSEWS_OK) /* events are JSON, too */
            printf("%s%.*s\n", message.kind == PULSEWS_EVENT ? "event " : "", (int)message.length,
                   (const char *)message.data);
        printf("--\n");
    }
    pulsews_client_error(client, why, sizeof why);
    int failed = status != PULSEWS_ETIMEOUT && fails(status);
    printf("received %.0f, conflated %.0f, rotations %.0f, copies %.0f, repeats %.0f, steps back %.0f\n",
           statistic(client, "messages_received"), statistic(client, "receive_conflated"),
           statistic(client, "rotations"), statistic(client, "duplicates_discarded"),
           statistic(client, "sequence_repeats"), statistic(client, "sequence_steps_back"));
    pulsews_close(client, 1000, "done", PULSEWS_SECONDS(5));
    pulsews_client_free(client);
    pulsews_config_free(config);
    return failed;
}
