/* SPDX-License-Identifier: Apache-2.0 */
/* Who is meant, and when a hub has ended: numbers that are nobody's, and a drain while peers still come. */
#include "hub.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TEST(hub_peer_zero_is_nobody) {
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    pulsews_client *peer = pulse_peer(hub); /* the first of its loop, and without a request that waits */
    IS(pulsews_hub_subscribe(hub, 0, "t"), PULSEWS_OK);
    IS(pulsews_hub_unsubscribe(hub, 0, "t"), PULSEWS_OK);
    IS(pulsews_hub_answer(hub, 0, 200, NULL, NULL, 0), PULSEWS_OK);
    IS(pulsews_hub_close_peer(hub, 0, 4000, "nobody"), PULSEWS_OK);
    /* Behind them: calls of one thread are carried out in order. */
    IS(pulsews_hub_send(hub, 0, PULSEWS_TEXT, "\"to all\"", 8), PULSEWS_OK);
    CHECK(strcmp(GETS(peer, "to all"), "\"to all\"") == 0);
    CHECK(hub_statistic(hub, "subscriptions") == 0 && hub_statistic(hub, "active_connections") == 1);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}

enum { COMERS = 100 };

/* Peers that come until nobody takes them any more; they stay until the last one has come. */
static void *come(void *argument) {
    static const char upgrade[] = "GET /ws/stream?topics=t HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    int port = *(const int *)argument, connections[COMERS], count = 0;
    while (count < COMERS && (connections[count] = try_connect(port)) >= 0) {
        if (send(connections[count++], upgrade, sizeof upgrade - 1, MSG_NOSIGNAL) < 0) break;
    }
    while (count > 0) close(connections[--count]);
    return NULL;
}

TEST(hub_drain_of_several_loops_while_peers_come) {
    static const char *const kinds[] = {"connected", "closed", "subscribe", "unsubscribe", "topic_idle", "drained"};
    for (int round = 0; round < 100; round++) {
        char why[PULSEWS_ERROR_SIZE];
        pulsews_hub *hub = make_hub(OPTIONS("loops=8", "close_timeout=5ms"));
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            IS(pulsews_hub_set(hub, "events", kinds[i], why, sizeof why), PULSEWS_OK);
        hub_topic(hub, "t history=1");
        start_hub(hub);
        int port = hub_port(hub), was_last = 0, count;
        pthread_t comers = run_thread(come, &port);
        if (round % 2) await_hub_statistic(hub, "connections_accepted", 1);
        IS(pulsews_hub_drain(hub, 0, PULSEWS_SECONDS(20)), PULSEWS_OK);
        CHECK(hub_statistic(hub, "active_connections") == 0);
        pulsews_hub_event events[64];
        while ((count = pulsews_hub_next(hub, events, 64, PULSEWS_SECONDS(20))) > 0)
            for (int i = 0; i < count; i++) {
                CHECK(!was_last);
                was_last = events[i].kind == PULSEWS_HUB_DRAINED;
            }
        IS(count, PULSEWS_ECLOSED);
        CHECK(was_last);
        pthread_join(comers, NULL);
        IS(pulsews_hub_next(hub, events, 64, 0), PULSEWS_ECLOSED);
        check_books(hub);
        pulsews_hub_free(hub);
    }
}
