/* SPDX-License-Identifier: Apache-2.0
 *
 * What the application asks for at any moment and from any thread: reconnect, disconnect, free. */
#include "harness.h"
#include <poll.h>
#include <unistd.h>

#define STATE(to) "\"event\":\"state\",\"state\":\"" to "\""

TEST(reconnect_from_every_state) {
    server *s = scripted(SCRIPTS("accept", "accept | go | close 1012", "accept | close 4000", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("events=true", "reconnect_base_delay=1h",
                                                             "reconnect_max_delay=1h", "restart_delay=1h"));
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    IS(pulsews_reconnect(client), PULSEWS_OK); /* not started: starts */
    EVENT(client, STATE("connecting"), "\"previous\":\"disconnected\"", "\"trigger\":\"reconnect\"");
    EVENT(client, STATE("connected"));
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    IS(pulsews_reconnect(client), PULSEWS_OK); /* connected */
    EVENT(client, STATE("reconnecting"), "\"previous\":\"connected\"", "\"trigger\":\"reconnect\"", "PULSEWS_EMOVED");
    await_record(s, 1, "close", "1000");
    EVENT(client, STATE("connected"));
    tell_server(s, "go");
    EVENT(client, STATE("reconnecting"), "\"trigger\":\"retry\"");
    IS(pulsews_reconnect(client), PULSEWS_OK); /* waiting for an hour */
    EVENT(client, STATE("reconnecting"), "\"trigger\":\"reconnect\"", "\"previous\":\"reconnecting\"",
          "\"next_delay\":0.0");
    EVENT(client, STATE("connected"));
    EVENT(client, STATE("reconnecting"), "\"trigger\":\"retry\"", "\"close_code\":4000");
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    EVENT(client, STATE("disconnected"), "\"previous\":\"reconnecting\"", "\"trigger\":\"disconnect\"");
    IS(pulsews_reconnect(client), PULSEWS_OK); /* put to rest */
    EVENT(client, STATE("connecting"));
    EVENT(client, STATE("connected"));
    IS((int64_t)statistic(client, "reconnects_manual"), 1);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    IS(pulsews_reconnect(client), PULSEWS_ECLOSED);
    pulsews_client_free(client);
}

TEST(a_disconnected_client_rests) {
    server *s = scripted(SCRIPTS("accept | text before | go | text after"));
    pulsews_client *client = open_client(port_of(s), NO_OPTIONS);
    pulsews_message message;
    await_statistic(client, "messages_received", 1);
    send_text(client, "last");
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    expect_at_server(s, 1, "last");
    await_record(s, 1, "close", "1000");
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, PULSEWS_FOREVER), PULSEWS_ECLOSED);
    IS(pulsews_send(client, PULSEWS_PING, "x", 1, PULSEWS_FOREVER), PULSEWS_ECLOSED);
    await_text(client, "before");
    IS(pulsews_recv(client, &message, PULSEWS_FOREVER), PULSEWS_ECLOSED);
    IS(pulsews_open(client, PULSEWS_FOREVER, NULL, 0), PULSEWS_ECLOSED);
    IS(pulsews_start(client), PULSEWS_ECLOSED);
    IS(pulsews_wait_ready(client, PULSEWS_FOREVER, NULL, 0), PULSEWS_ECLOSED);
    IS(pulsews_flush(client, PULSEWS_FOREVER), PULSEWS_OK);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    send_text(client, "back");
    expect_at_server(s, 2, "back");
    await_text(client, "before");
    check_account(client);
    pulsews_client_free(client);
    client = make_client(1, NO_OPTIONS); /* one that was never started */
    IS(pulsews_disconnect(client, 0), PULSEWS_OK);
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    pulsews_client_free(client);
}

/* The peer does not answer the close frame. What is left when the time is over fails, and a reconnect need not wait. */
TEST(a_disconnect_without_an_answer) {
    server *s = scripted(SCRIPTS("accept | stall | go", "accept | text here"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("close_timeout=60s", "compression=false"));
    static char payload[1 << 20];
    for (int i = 0; i < 40; i++) IS(pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, 0), PULSEWS_OK);
    IS(pulsews_disconnect(client, PULSEWS_MILLISECONDS(20)), PULSEWS_EUNSENT);
    check_account(client);
    CHECK(statistic(client, "messages_failed") > 0);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    await_text(client, "here");
    check_account(client);
    pulsews_client_free(client);
}

static void *ask_for_things(void *argument) {
    pulsews_client *client = argument;
    uint64_t id;
    for (int i = 0; i < 150; i++) {
        int what = (int)((now_ns() / 997 + i) % 9);
        if (what == 0) pulsews_reconnect(client);
        if (what == 1) pulsews_disconnect(client, PULSEWS_MILLISECONDS(i % 3));
        if (what == 2) pulsews_open(client, PULSEWS_MILLISECONDS(1), NULL, 0);
        if (what == 3) pulsews_wait_ready(client, PULSEWS_MILLISECONDS(1), NULL, 0);
        if (what == 4) pulsews_flush(client, PULSEWS_MILLISECONDS(1));
        if (what == 5) pulsews_subscribe(client, i % 2 ? "one" : "two", "{\"add\":1}", "{\"remove\":1}", NULL, 0);
        if (what == 6) pulsews_purge(client);
        if (what >= 7)
            pulsews_send_with(client, PULSEWS_TEXT, "x", 1, (uint32_t)i % 16, 0, PULSEWS_MILLISECONDS(1), &id);
        check_account(client);
    }
    return NULL;
}

TEST(several_threads_change_their_minds) {
    pulsews_client *client = make_client(start_server("echo"),
                                         OPTIONS("events=true", "reconnect_base_delay=1ms", "reconnect_max_delay=2ms",
                                                 "rate_limit=1000/s", "host_connect_rate=100000/s"));
    pthread_t threads[4];
    pulsews_message message;
    uint64_t sequence = 0;
    for (int i = 0; i < 4; i++) threads[i] = run_thread(ask_for_things, client);
    for (int i = 0; i < 300; i++)
        if (pulsews_recv(client, &message, PULSEWS_MILLISECONDS(1)) == PULSEWS_OK) IS(message.sequence, ++sequence);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    send_text(client, "at last");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    pulsews_client_free(client);
}

/* The application drives the loop alone: its blocking calls, and its own turns, bring the connection back. */
TEST(a_loop_without_a_thread_comes_back) {
    server *s = scripted(SCRIPTS("accept | text one | cut", "accept | text two | cut", "accept | text three"));
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    pulsews_message message;
    pulsews_config *config = pulsews_config_create();
    IS(pulsews_config_set(config, "reconnect_base_delay", "20ms", NULL, 0), PULSEWS_OK);
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &client, NULL, 0), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    await_text(client, "one");
    await_text(client, "two");
    int64_t end = now_ns() + SHORT;
    while (statistic(client, "connections") < 3 && now_ns() < end) {
        struct pollfd wait = {.fd = pulsews_loop_fd(loop), .events = POLLIN};
        poll(&wait, 1, 10);
        IS(pulsews_loop_run_once(loop, 0), PULSEWS_OK);
    }
    send_text(client, "to be flushed");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
    pulsews_config_free(config);
}

/* A client is freed while it waits, connects, holds, has just lost a connection. */
TEST(clients_end_in_any_state) {
    server *s = scripted(SCRIPTS("accept | text x | cut", "refuse 503", "accept | sleep 3 | reset", "go"));
    for (int i = 0; i < 300; i++) {
        pulsews_client *client = make_client(i % 5 == 0 ? 1 : port_of(s),
                                             OPTIONS("host_connect_rate=10000/s", "reconnect_base_delay=1ms",
                                                     "login_timeout=10ms", "events=true",
                                                     i % 3 ? "hold_connect=false" : "hold_connect=true",
                                                     i % 4 ? "name=a" : "hold_login=true"));
        pulsews_subscribe(client, "key", "text", "end", NULL, 0);
        IS(pulsews_start(client), PULSEWS_OK);
        send_text(client, "x");
        for (int64_t until = now_ns() + i * 20000; now_ns() < until;) pulsews_release(client);
        check_account(client);
        pulsews_client_free(client);
    }
}

/* Outages cost neither memory nor descriptors. */
TEST(outages_leave_nothing_behind) {
    server *s = scripted(SCRIPTS("deflate | text x | got 20 | cut"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS("events=true", "host_connect_rate=10000/s", "reconnect_base_delay=1ms",
                                                 "stable_time=0", "backlog_interval=0", "compression_threshold=0",
                                                 "login=in", "heartbeat_interval=10ms"));
    pulsews_message message;
    int64_t memory = 0;
    IS(pulsews_subscribe(client, "key", "subscribe", NULL, NULL, 0), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    for (int rounds = 0; statistic(client, "connections") < 600; rounds++) {
        for (int i = 0; i < 20; i++) send_text(client, "some text that takes part");
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        while (pulsews_recv(client, &message, PULSEWS_MILLISECONDS(1)) == PULSEWS_OK) {}
        check_account(client);
        if (statistic(client, "connections") < 200) memory = peak_memory();
    }
    fprintf(stderr, "%lld kB more, next descriptor %d\n", (long long)(peak_memory() - memory) >> 10, dup(0));
    CHECK(peak_memory() - memory < 4 << 20);
    CHECK(dup(0) < 40);
    pulsews_client_free(client);
}
