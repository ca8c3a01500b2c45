/* SPDX-License-Identifier: Apache-2.0
 *
 * No queue grows without end, whatever the server sends or leaves unread. */
#include "harness.h"
#include <poll.h>

static void await_pause(const pulsews_client *client) {
    static char status[1 << 16];
    int64_t end = now_ns() + SHORT;
    for (;; poll(NULL, 0, 1)) {
        CHECK(pulsews_status_json(client, status, sizeof status) > 0);
        if (strstr(status, "\"reading_paused\":true")) return;
        CHECK(now_ns() < end);
    }
}

/* Heartbeats that are delivered count for the limit as data does. */
TEST(delivered_heartbeats_make_reading_pause) {
    enum { LIMIT = 4096 };
    static char script[1024], text[513] = "hb ";
    memset(text + 3, '.', sizeof text - 4);
    snprintf(script, sizeof script, "accept | every 1 %s", text);
    pulsews_client *client = open_client(port_of(scripted(SCRIPTS(script))),
                                         OPTIONS("server_heartbeat=hb*", "deliver_heartbeats=true", "compression=false",
                                                 "receive_queue_bytes=4KiB"));
    await_pause(client);
    /* A third of a second is some hundred heartbeats more, which stay with the server and the system. */
    for (int64_t end = now_ns() + PULSEWS_MILLISECONDS(300); now_ns() < end; poll(NULL, 0, 10))
        CHECK(statistic(client, "receive_queue_bytes") < 4 * LIMIT);
    for (int i = 0; i < 200; i++) await_text(client, text); /* and it goes on where it paused */
    CHECK(statistic(client, "receive_queue_bytes") < 4 * LIMIT);
    pulsews_client_free(client);
}

/* A server that asks for heartbeats and does not read the answers. */
TEST(answers_that_nobody_reads_are_bounded) {
    static char answer[4096] = "heartbeat_answer=";
    memset(answer + strlen(answer), 'p', sizeof answer - 1 - strlen(answer));
    server *s = scripted(SCRIPTS("accept | stall | every 1 ask | every 1 ask | every 1 ask | every 1 ask | "
                                 "every 1 ask | every 1 ask | go | resume"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("heartbeat_request=ask", answer, "compression=false"));
    await_statistic(client, "pongs_skipped", 1000); /* those alone would be 4 MB */
    double queued = statistic(client, "queue_bytes");
    fprintf(stderr, "%g bytes queued, %g requests\n", queued, statistic(client, "heartbeats_received"));
    CHECK(queued < 1e6);
    double before = statistic(client, "session_messages_sent");
    tell_server(s, "go");
    await_statistic(client, "session_messages_sent", before + 20); /* it is answered again when it reads */
    IS((int64_t)statistic(client, "connections"), 1);
    pulsews_client_free(client);
}
