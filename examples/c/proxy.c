/* SPDX-License-Identifier: Apache-2.0 */
/* A live proxy: takes an exchange's feed once, and serves its prices, candles and trades to any number of browsers.
 *
 *     ./proxy wss://stream.binance.com:9443/stream binance-spot 127.0.0.1:8080 solusdt@bookTicker btcusdt@kline_1m
 *
 * Then, in a page: new WebSocket("ws://127.0.0.1:8080/ws/stream?topics=price.SOL,candle.BTC.1m"). Client and hub share one
 * loop: a message reaches its peers without changing threads.
 */
#include <pulsews_hub.h>
#include <signal.h>
#include <stdio.h>

static char why[PULSEWS_ERROR_SIZE];

/* 0, or 1 with the reason in `why`. */
static int set_up(pulsews_hub *hub, const char *address) {
    return pulsews_hub_listen(hub, address, why, sizeof why) != PULSEWS_OK ||
           pulsews_hub_set(hub, "origin", "*", why, sizeof why) != PULSEWS_OK ||
           pulsews_hub_topic(hub, "price.*", "latest", "true", why, sizeof why) != PULSEWS_OK ||
           pulsews_hub_topic(hub, "price.*", "stale_after", "5s", why, sizeof why) != PULSEWS_OK ||
           pulsews_hub_topic(hub, "candle.**", "history", "500", why, sizeof why) != PULSEWS_OK ||
           pulsews_hub_topic(hub, "trade.*", "history", "100", why, sizeof why) != PULSEWS_OK ||
           pulsews_hub_start(hub, why, sizeof why) != PULSEWS_OK;
}

static int feed(pulsews_hub *hub, pulsews_client *client, const char *name, char **keys) {
    if (pulsews_hub_feed(hub, client, name, why, sizeof why) != PULSEWS_OK) return 1;
    for (; *keys; keys++)
        if (pulsews_subscribe(client, *keys, NULL, NULL, why, sizeof why) != PULSEWS_OK) return 1;
    return pulsews_start(client) != PULSEWS_OK;
}

int main(int count, char **arguments) {
    pulsews_loop *loop = NULL;
    pulsews_hub *hub = NULL;
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    char address[64];
    sigset_t signals;
    int received;
    if (count < 5) return fprintf(stderr, "usage: proxy URL PRESET ADDRESS KEY...\n"), 2;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before there is a loop, whose thread has the same */
    int failed = pulsews_loop_create(0, &loop, why, sizeof why) != PULSEWS_OK ||
                 pulsews_config_set(config, "preset", arguments[2], why, sizeof why) != PULSEWS_OK ||
                 pulsews_config_set(config, "name", arguments[2], why, sizeof why) != PULSEWS_OK ||
                 pulsews_hub_create(loop, &hub, why, sizeof why) != PULSEWS_OK || set_up(hub, arguments[3]) ||
                 pulsews_client_create(arguments[1], config, loop, &client, why, sizeof why) != PULSEWS_OK ||
                 feed(hub, client, arguments[2], arguments + 4);
    if (failed) {
        fprintf(stderr, "%s\n", why);
    } else {
        if (pulsews_hub_address(hub, 0, address, sizeof address) > 0) printf("ws://%s/ws/stream\n", address);
        fflush(stdout);
        sigwait(&signals, &received);
        pulsews_hub_drain(hub, 0, PULSEWS_SECONDS(5));
    }
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_config_free(config);
    pulsews_loop_free(loop);
    return failed;
}
