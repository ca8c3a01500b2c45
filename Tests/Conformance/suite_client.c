/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of the field's usual conformance suite, whose server names the cases by URL:
 *   gcc suite_client.c $(pkg-config --cflags --libs pulsews) -o suite_client
 *   ./suite_client ws://127.0.0.1:9001 [FIRST [LAST]]
 * Asks for the number of cases, echoes the messages of each, and has the report written.
 */
#include <pulsews.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *agent = "pulsews";

/* Runs one URL: echoes what comes, or copies the first text to `answer`. */
static int run(const char *url, char *answer, size_t size) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    pulsews_message message;
    /* Each case is one connection, and its end is a part of it. */
    pulsews_config_set(config, "reconnect", "false", why, sizeof why);
    pulsews_config_set(config, "message_queue_policy", "block", why, sizeof why);
    pulsews_config_set(config, "max_message_size", "64MiB", why, sizeof why);
    pulsews_config_set(config, "compression_threshold", "0", why, sizeof why);
    if (pulsews_client_create(url, config, NULL, &client, why, sizeof why) != PULSEWS_OK ||
        pulsews_open(client, PULSEWS_FOREVER, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "%s\n", why);
        pulsews_client_free(client);
        pulsews_config_free(config);
        return 1;
    }
    while (pulsews_recv(client, &message, PULSEWS_SECONDS(120)) == PULSEWS_OK) {
        if (answer != NULL) {
            snprintf(answer, size, "%.*s", (int)message.length, (const char *)message.data);
            continue;
        }
        if (pulsews_send(client, message.kind, message.data, message.length, PULSEWS_FOREVER) != PULSEWS_OK) break;
    }
    pulsews_client_free(client);
    pulsews_config_free(config);
    return 0;
}

int main(int argc, char **argv) {
    char url[512], answer[64] = "";
    if (argc < 2) {
        fprintf(stderr, "usage: %s URL [FIRST [LAST]]\n", argv[0]);
        return 2;
    }
    snprintf(url, sizeof url, "%s/getCaseCount", argv[1]);
    if (run(url, answer, sizeof answer) != 0) return 1;
    int first = argc > 2 ? atoi(argv[2]) : 1;
    int last = argc > 3 ? atoi(argv[3]) : atoi(answer);
    for (int number = first; number <= last; number++) {
        snprintf(url, sizeof url, "%s/runCase?case=%d&agent=%s", argv[1], number, agent);
        if (run(url, NULL, 0) != 0) return 1;
        printf("case %d of %d\n", number, last);
    }
    snprintf(url, sizeof url, "%s/updateReports?agent=%s", argv[1], agent);
    return run(url, NULL, 0);
}
