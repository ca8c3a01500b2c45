/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's side of the field's usual conformance suite: a hub that sends back what it gets, and says nothing else.
 *   gcc hub_echo.c $(pkg-config --cflags --libs pulsews) -o hub_echo
 *   ./hub_echo
 * Prints "listening on 127.0.0.1:PORT" when ready; ends with SIGTERM.
 */
#include <pulsews_hub.h>

#include <stdio.h>
#include <stdlib.h>

static char why[PULSEWS_ERROR_SIZE];

static void done(int32_t status) {
    if (status == PULSEWS_OK) return;
    fprintf(stderr, "%s\n", why);
    exit(1);
}

int main(void) {
    static const char *const options[][2] = {{"events", "message"},
                                             {"max_message_size", "64MiB"},
                                             {"compression_threshold", "0"},
                                             {"heartbeat", "0"},
                                             {"heartbeat_timeout", "0"}};
    pulsews_hub *hub;
    pulsews_hub_event event;
    char address[64];
    done(pulsews_hub_create(NULL, &hub, why, sizeof why));
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        done(pulsews_hub_set(hub, options[i][0], options[i][1], why, sizeof why));
    done(pulsews_hub_route(hub, "/", "protocol", "plain", why, sizeof why));
    done(pulsews_hub_route(hub, "/", "welcome", "false", why, sizeof why));
    done(pulsews_hub_listen(hub, "127.0.0.1:0", why, sizeof why));
    done(pulsews_hub_start(hub, why, sizeof why));
    if (pulsews_hub_address(hub, 0, address, sizeof address) <= 0) return 1;
    printf("listening on %s\n", address);
    fflush(stdout);
    while (pulsews_hub_next(hub, &event, 1, PULSEWS_FOREVER) == 1) {
        int32_t status = pulsews_hub_send(hub, event.peer, (uint32_t)event.code, event.data, event.length);
        if (status != PULSEWS_OK) fprintf(stderr, "%zu bytes are not sent: %d\n", event.length, status);
    }
    pulsews_hub_free(hub);
    return 0;
}
