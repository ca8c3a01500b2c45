/* SPDX-License-Identifier: Apache-2.0 */
/* A hub: serves prices to browsers and services, one each 100 ms.
 *
 *     ./hub [address] [origin]      then: websocat 'ws://127.0.0.1:8080/ws/stream?topics=price.SOL'
 *
 * A page may connect if its origin is named, such as http://localhost:3000.
 */
#include <pulsews_hub.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static volatile sig_atomic_t is_over;

static void stop(int number) {
    (void)number;
    is_over = 1;
}

int main(int count, char **arguments) {
    char why[PULSEWS_ERROR_SIZE], message[128], address[64];
    pulsews_hub *hub;
    if (pulsews_hub_create(NULL, &hub, why, sizeof why) != PULSEWS_OK) return fprintf(stderr, "%s\n", why), 1;
    /* A newcomer gets the latest price of each symbol, a slow reader the latest that it has missed. */
    if (pulsews_hub_listen(hub, count > 1 ? arguments[1] : "127.0.0.1:8080", why, sizeof why) != PULSEWS_OK ||
        (count > 2 && pulsews_hub_set(hub, "origin", arguments[2], why, sizeof why) != PULSEWS_OK) ||
        pulsews_hub_topic(hub, "price.*", "conflate", "symbol", why, sizeof why) != PULSEWS_OK ||
        pulsews_hub_topic(hub, "price.*", "latest", "true", why, sizeof why) != PULSEWS_OK ||
        pulsews_hub_topic(hub, "price.*", "history", "1000", why, sizeof why) != PULSEWS_OK ||
        pulsews_hub_start(hub, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "%s\n", why);
        pulsews_hub_free(hub);
        return 1;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    if (pulsews_hub_address(hub, 0, address, sizeof address) > 0)
        printf("ws://%s/ws/stream?topics=price.SOL\n", address);
    fflush(stdout);
    for (int i = 0; !is_over; i++) {
        int length = snprintf(message, sizeof message,
                              "{\"type\":\"price_update\",\"symbol\":\"SOL\",\"price\":\"%d.%02d\"}",
                              150 + i / 100 % 10, i % 100);
        int32_t status = pulsews_hub_publish(hub, "price.SOL", NULL, message, (size_t)length, NULL);
        if (status != PULSEWS_OK) fprintf(stderr, "%s\n", pulsews_error_text(status));
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    pulsews_hub_drain(hub, 0, PULSEWS_SECONDS(5));
    pulsews_hub_free(hub);
    return 0;
}
