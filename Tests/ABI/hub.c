/* SPDX-License-Identifier: Apache-2.0 */
/* A hub through its C interface: topics, peers, requests, events. */
#include "hub.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void end(pulsews_hub *hub, pulsews_client *peer) {
    pulsews_client_free(peer);
    check_books(hub);
    pulsews_hub_free(hub);
}

TEST(hub_of_one_topic) {
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    pulsews_client *peer = pulse_peer(hub);
    CHECK(strstr(subscribe_peer(peer, "price.SOL"), "\"offset\":0") != NULL);
    publish(hub, "price.SOL", NULL, "{\"type\":\"price_update\",\"price\":\"1.50\"}");
    publish(hub, "price.BTC", NULL, "{\"type\":\"price_update\",\"price\":\"2\"}");
    publish(hub, "price.SOL", NULL, "[1,2]");
    GETS(peer, "{\"type\":\"price_update\",\"topic\":\"price.SOL\",\"o\":1,\"p\":0,\"t\":[null,null,",
         "\"data\":{\"type\":\"price_update\",\"price\":\"1.50\"}}");
    GETS(peer, "{\"type\":\"message\",\"topic\":\"price.SOL\",\"o\":2,\"p\":1,", "\"data\":[1,2]}");
    send_text(peer, "{\"type\":\"unsubscribe\",\"id\":\"u\",\"topics\":[\"price.SOL\"]}");
    GETS(peer, "\"type\":\"unsubscribed\"", "\"id\":\"u\"");
    publish(hub, "price.SOL", NULL, "3");
    peer_gets_nothing(peer);
    CHECK(hub_statistic(hub, "messages_published") == 4);
    CHECK(hub_statistic(hub, "messages_written") == 2);
    end(hub, peer);
}

TEST(hub_plain_peers_get_what_was_published) {
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    pulsews_client *peer = make_peer(hub, "/ws/stream?topics=a,b%20c&topics=d", 0, NO_OPTIONS);
    await_hub_statistic(hub, "subscriptions", 3);
    publish(hub, "b c", NULL, "{\"x\":1}");
    CHECK(strcmp(GETS(peer, "x"), "{\"x\":1}") == 0);
    send_text(peer, "{\"type\":\"ping\",\"data\":{\"sent\":12}}");
    GETS(peer, "\"type\":\"pong\"", "\"sent\":12");
    end(hub, peer);
}

TEST(hub_resume) {
    char text[200];
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    pulsews_client *first = pulse_peer(hub);
    const char *epoch = strstr(subscribe_peer(first, "t"), "\"epoch\":\"") + 9;
    char since[64];
    snprintf(since, sizeof since, "%.*s", (int)strcspn(epoch, "\""), epoch);
    for (int i = 0; i < 150; i++) publish(hub, "t", NULL, "{\"type\":\"n\"}");
    pulsews_client_free(first);

    pulsews_client *peer = pulse_peer(hub);
    snprintf(text, sizeof text, "{\"topic\":\"t\",\"since\":{\"epoch\":\"%s\",\"offset\":147}}", since);
    CHECK(strstr(subscribe_peer(peer, text), "\"recovered\":true") != NULL);
    GETS(peer, "\"o\":148,\"p\":147");
    GETS(peer, "\"o\":149,\"p\":148");
    GETS(peer, "\"o\":150,\"p\":149");
    publish(hub, "t", NULL, "{\"type\":\"n\"}");
    GETS(peer, "\"o\":151,\"p\":150");
    pulsews_client_free(peer);

    /* What is gone, another life of the hub, and what has not been: never silence. */
    static const char *const cases[][2] = {{"\"epoch\":\"%s\",\"offset\":10", "\"from\":11"},
                                           {"\"epoch\":\"zz\",\"offset\":10", "\"cause\":\"hub_restart\""},
                                           {"\"epoch\":\"%s\",\"offset\":9999", "\"type\":\"gap\""}};
    for (int i = 0; i < 3; i++) {
        char middle[100];
        snprintf(middle, sizeof middle, cases[i][0], since);
        snprintf(text, sizeof text, "{\"topic\":\"t\",\"since\":{%s}}", middle);
        peer = pulse_peer(hub);
        CHECK(strstr(subscribe_peer(peer, text), "\"recovered\":false") != NULL);
        GETS(peer, "\"type\":\"gap\"", cases[i][1]);
        pulsews_client_free(peer);
    }
    CHECK(hub_statistic(hub, "resumes_recovered") == 1 && hub_statistic(hub, "resumes_gapped") == 3);
    pulsews_hub_free(hub);
}

TEST(hub_newcomers_get_the_latest_of_each_key) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "position.* latest=true");
    hub_topic(hub, "position.* conflate=symbol");
    start_hub(hub);
    publish(hub, "position.a", NULL, "{\"type\":\"position_update\",\"symbol\":\"SOL\",\"size\":\"1\"}");
    publish(hub, "position.a", NULL, "{\"type\":\"position_update\",\"symbol\":\"BTC\",\"size\":\"2\"}");
    publish(hub, "position.a", NULL, "{\"type\":\"position_update\",\"symbol\":\"SOL\",\"size\":\"3\"}");
    pulsews_client *peer = pulse_peer(hub);
    subscribe_peer(peer, "position.a");
    const char *text = GETS(peer, "\"type\":\"snapshot\"", "\"size\":\"2\"", "\"size\":\"3\"");
    CHECK(strstr(text, "\"size\":\"1\"") == NULL);
    pulsews_client *plain = make_peer(hub, "/ws/stream?topics=position.a", 0, NO_OPTIONS);
    GETS(plain, "\"size\":\"2\"");
    GETS(plain, "\"size\":\"3\"");
    pulsews_client_free(plain);
    end(hub, peer);
}

TEST(hub_unknown_topics_are_refused_in_words) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "price.* history=1");
    start_hub(hub);
    pulsews_client *peer = pulse_peer(hub);
    send_text(peer, "{\"type\":\"subscribe\",\"id\":3,\"topics\":[\"secret\"]}");
    GETS(peer, "\"type\":\"error\"", "\"id\":3", "\"code\":\"no_such_topic\"");
    send_text(peer, "{\"type\":\"subscribe\",\"topics\":12}");
    GETS(peer, "\"type\":\"error\"", "bad_request");
    send_text(peer, "not json");
    GETS(peer, "\"type\":\"error\"", "not_understood");
    end(hub, peer);
}

TEST(hub_events) {
    pulsews_hub *hub = open_hub(OPTIONS("events=connected", "events=closed", "events=message", "events=subscribe",
                                        "events=unsubscribe", "events=topic_idle"));
    pulsews_client *peer = make_peer(hub, "/ws/stream?topics=t", 1, OPTIONS("headers=X-Test: yes"));
    const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_CONNECTED);
    uint64_t number = event->peer;
    CHECK(number != 0 && strcmp(event->route, "/ws/stream") == 0 && strcmp(event->text, "pulse.v1") == 0);
    CHECK(strcmp(event->address, "127.0.0.1") == 0 && strstr(event->headers, "X-Test: yes\n") != NULL);
    event = hub_event(hub, PULSEWS_HUB_SUBSCRIBE);
    CHECK(event->peer == number && strcmp(event->topic, "t") == 0);
    GETS(peer, "\"type\":\"subscribed\"");
    send_text(peer, "{\"type\":\"order\",\"side\":\"buy\"}");
    event = hub_event(hub, PULSEWS_HUB_MESSAGE);
    CHECK(event->peer == number && event->code == PULSEWS_TEXT && event->length == 29);
    CHECK(memcmp(event->data, "{\"type\":\"order\",\"side\":\"buy\"}", 29) == 0);
    IS(pulsews_hub_send(hub, number, PULSEWS_TEXT, "accepted", 8), PULSEWS_OK);
    CHECK(strcmp(GETS(peer, "accepted"), "accepted") == 0);
    IS(pulsews_hub_send(hub, 0, PULSEWS_TEXT, "to all", 6), PULSEWS_OK);
    GETS(peer, "to all");
    IS(pulsews_hub_close_peer(hub, number, 4003, "enough"), PULSEWS_OK);
    event = hub_event(hub, PULSEWS_HUB_UNSUBSCRIBE);
    CHECK(event->peer == number);
    event = hub_event(hub, PULSEWS_HUB_TOPIC_IDLE);
    CHECK(strcmp(event->topic, "t") == 0);
    pulsews_message message;
    IS(pulsews_recv(peer, &message, PULSEWS_SECONDS(10)), PULSEWS_EPEERCLOSED);
    IS(pulsews_close_code(peer), 4003);
    event = hub_event(hub, PULSEWS_HUB_CLOSED);
    CHECK(event->peer == number && event->code == 4003 && strcmp(event->text, "enough") == 0);
    /* A number is never used again. */
    pulsews_client_free(peer);
    peer = pulse_peer(hub);
    event = hub_event(hub, PULSEWS_HUB_CONNECTED);
    CHECK(event->peer != number);
    end(hub, peer);
}

TEST(hub_drain) {
    pulsews_hub *hub = open_hub(NO_OPTIONS);
    pulsews_client *peers[20];
    pulsews_message message;
    for (int i = 0; i < 20; i++) peers[i] = pulse_peer(hub);
    IS(pulsews_hub_drain(hub, PULSEWS_MILLISECONDS(400), 0), PULSEWS_ETIMEOUT);
    int64_t begin = now_ns();
    for (int i = 0; i < 20; i++) {
        int32_t status;
        while ((status = pulsews_recv(peers[i], &message, PULSEWS_SECONDS(10))) == PULSEWS_OK) {}
        IS(status, PULSEWS_EPEERCLOSED);
        IS(pulsews_close_code(peers[i]), 1012);
    }
    IS(pulsews_hub_drain(hub, 0, PULSEWS_SECONDS(10)), PULSEWS_OK);
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(200)); /* spread */
    for (int i = 0; i < 20; i++) pulsews_client_free(peers[i]);
    pulsews_hub_free(hub);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

TEST(hub_answers_http) {
    pulsews_hub *hub = open_hub(OPTIONS("name=edge-1", "publish_token=secret"));
    pulsews_client *peer = pulse_peer(hub);
    int port = hub_port(hub);
    subscribe_peer(peer, "t");
    CHECK(strstr(http_exchange(port, GET("/ws/health")), "200 OK") != NULL);
    const char *answer = http_exchange(port, GET("/ws/stats"));
    CHECK(json_number(strchr(answer, '{'), "active_connections") == 1 &&
          json_number(strchr(answer, '{'), "events_emitted") == 0);
    answer = http_exchange(port, GET("/ws/status"));
    CHECK(strstr(answer, "\"hub\":\"edge-1\"") != NULL && strstr(answer, "\"state\":\"running\"") != NULL);
    answer = http_exchange(port, GET("/metrics"));
    CHECK(strstr(answer, "pulsews_hub_active_connections{hub=\"edge-1\"} 1\n") != NULL);
    CHECK(strstr(http_exchange(port, GET("/ws/nothing")), "404 Not Found") != NULL);
    CHECK(strstr(http_exchange(port, GET("/ws/stream")), "426 Upgrade Required") != NULL);
    CHECK(strstr(http_exchange(
                     port, "POST /ws/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
                 "401 Unauthorized") != NULL);
    static const char body[] = "{\"topic\":\"t\",\"key\":\"k\",\"data\":{\"type\":\"signal\"}}";
    char request[400];
    snprintf(
        request, sizeof request,
        "POST /ws/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
        "secret", strlen(body), body);
    CHECK(strstr(http_exchange(port, request), "{\"offset\":1}") != NULL);
    GETS(peer, "{\"type\":\"signal\",\"topic\":\"t\",\"o\":1,");
    snprintf(
        request, sizeof request,
        "POST /ws/publish HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
        "secreT", strlen(body), body);
    CHECK(strstr(http_exchange(port, request), "401 Unauthorized") != NULL);
    end(hub, peer);
}

TEST(hub_requests_of_the_application) {
    pulsews_hub *hub = make_hub(OPTIONS("events=http_request"));
    hub_route(hub, "/api/ kind=application");
    start_hub(hub);
    int connected = http_connect(hub_port(hub));
    static const char two[] = "POST /api/x?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                              "GET /api/y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    CHECK(write(connected, two, sizeof two - 1) == sizeof two - 1);
    const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_HTTP_REQUEST);
    CHECK(strcmp(event->method, "POST") == 0 && strcmp(event->target, "/api/x?a=1") == 0 && event->length == 3);
    IS(pulsews_hub_answer(hub, event->request, 201, "X-Made: 1\n", "made", 4), PULSEWS_OK);
    event = hub_event(hub, PULSEWS_HUB_HTTP_REQUEST);
    CHECK(strcmp(event->method, "GET") == 0 && strcmp(event->target, "/api/y") == 0);
    IS(pulsews_hub_answer(hub, event->request, 99, NULL, NULL, 0), PULSEWS_EVALUE);
    IS(pulsews_hub_answer(hub, event->request, 200, NULL, "last", 4), PULSEWS_OK);
    char answer[4096];
    size_t used = 0;
    for (ssize_t count; (count = read(connected, answer + used, sizeof answer - 1 - used)) > 0;) used += (size_t)count;
    answer[used] = 0;
    CHECK(strstr(answer, "201 Created") != NULL && strstr(answer, "X-Made: 1") != NULL &&
          strstr(answer, "made") != NULL);
    CHECK(strstr(answer, "last") > strstr(answer, "made"));
    close(connected);
    pulsews_hub_free(hub);
}

TEST(hub_says_that_a_topic_is_stale) {
    pulsews_hub *hub = make_hub(OPTIONS("heartbeat=50ms"));
    hub_topic(hub, "price.* stale_after=200ms");
    start_hub(hub);
    pulsews_client *peer = pulse_peer(hub);
    CHECK(strstr(subscribe_peer(peer, "price.SOL"), "\"state\":") != NULL);
    publish(hub, "price.SOL", NULL, "1");
    GETS(peer, "\"o\":1");
    int64_t begin = now_ns();
    GETS(peer, "\"type\":\"topic_state\"", "\"topic\":\"price.SOL\"", "\"state\":\"stale\"");
    CHECK(now_ns() - begin >= PULSEWS_MILLISECONDS(150));
    publish(hub, "price.SOL", NULL, "2");
    /* Either order: the message is of the topic, the state about it. */
    const char *text = GETS(peer, "price.SOL");
    if (strstr(text, "topic_state") == NULL) text = GETS(peer, "\"type\":\"topic_state\"");
    CHECK(strstr(text, "\"state\":\"live\"") != NULL);
    IS(pulsews_hub_topic_state(hub, "price.SOL", PULSEWS_TOPIC_FAILOVER, "binance-1 is gone"), PULSEWS_OK);
    do text = GETS(peer, "price.SOL");
    while (strstr(text, "topic_state") == NULL);
    CHECK(strstr(text, "\"state\":\"failover\"") != NULL && strstr(text, "binance-1 is gone") != NULL);
    end(hub, peer);
}

TEST(hub_cuts_dead_and_silent_connections) {
    pulsews_hub *hub = open_hub(
        OPTIONS("heartbeat=100ms", "heartbeat_timeout=400ms", "header_timeout=300ms", "events=closed"));
    pulsews_client *peer = pulse_peer(hub);
    /* It answers no ping: its socket is read by nobody. */
    int silent = http_connect(hub_port(hub));
    static const char request[] = "GET /ws/stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    CHECK(write(silent, request, sizeof request - 1) == sizeof request - 1);
    const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_CLOSED);
    CHECK(event->code == 1006 && strstr(event->text, "silent") != NULL);
    close(silent);
    CHECK(strstr(http_exchange(hub_port(hub), "GET / HT"), "408 Request Timeout") != NULL);
    IS(pulsews_client_state(peer), PULSEWS_CONNECTED);
    CHECK(hub_statistic(hub, "peers_dead") == 1 && hub_statistic(hub, "active_connections") == 1);
    end(hub, peer);
}

TEST(hub_heartbeat_messages_of_a_route) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_route(hub, "/ws/ui heartbeat_message=100ms");
    start_hub(hub);
    pulsews_client *peer = make_peer(hub, "/ws/ui", 0, NO_OPTIONS);
    for (int i = 0; i < 3; i++) GETS(peer, "\"type\":\"heartbeat\"");
    end(hub, peer);
}

TEST(hub_slow_peers_keep_the_latest) {
    static const char *const policies[] = {"slow_policy=drop_oldest", "slow_policy=conflate", "slow_policy=disconnect"};
    for (int i = 0; i < 3; i++) {
        pulsews_hub *hub = make_hub(OPTIONS(policies[i], "queue_messages=50", "events=slow"));
        hub_topic(hub, "t history=10");
        start_hub(hub);
        pulsews_client *peer = make_peer(hub, "/ws/stream", 1,
                                         OPTIONS("receive_queue_bytes=64KiB", "compression=false"));
        pulsews_client *quick = make_peer(hub, "/ws/stream", 1, OPTIONS("receive_queue_bytes=64MiB"));
        subscribe_peer(peer, "t");
        subscribe_peer(quick, "t");
        static char payload[16384];
        memset(payload, 'x', sizeof payload);
        payload[0] = payload[sizeof payload - 1] = '"';
        uint64_t last = 0;
        int count = 0;
        /* Until the kernel's buffers and the queue are full. */
        while (hub_statistic(hub, "peers_slow") < 1 || count % 100 != 0) {
            CHECK(++count < 4000);
            IS(pulsews_hub_publish(hub, "t", count % 2 ? "a" : "b", payload, sizeof payload, &last), PULSEWS_OK);
            GETS(quick, "\"topic\":\"t\"");
        }
        const pulsews_hub_event *event = hub_event(hub, PULSEWS_HUB_SLOW);
        CHECK(event->code == i);
        check_books(hub);
        uint64_t seen = 0, missing = 0, got = 0;
        pulsews_message message;
        int32_t status = PULSEWS_OK;
        while (seen < last && (status = pulsews_recv(peer, &message, PULSEWS_SECONDS(5))) == PULSEWS_OK) {
            if (message.kind == PULSEWS_EVENT) continue;
            char head[200];
            snprintf(head, sizeof head, "%.*s", (int)(message.length < 199 ? message.length : 199),
                     (const char *)message.data);
            if (strstr(head, "\"type\":\"gap\"")) {
                uint64_t from = (uint64_t)json_number(head, "from"), to = (uint64_t)json_number(head, "to");
                CHECK(from == seen + 1 && to >= from && strstr(head, "\"cause\":\"slow\"") != NULL);
                missing += to - from + 1;
                seen = to;
                continue;
            }
            uint64_t offset = (uint64_t)json_number(head, "o");
            uint64_t skipped = strstr(head, "\"skipped\":") ? (uint64_t)json_number(head, "skipped") : 0;
            CHECK((uint64_t)json_number(head, "p") == seen);
            CHECK(offset == seen + 1 + skipped);
            missing += skipped;
            seen = offset;
            got++;
        }
        if (i == 2) {
            IS(status, PULSEWS_EPEERCLOSED);
            IS(pulsews_close_code(peer), 4008);
        } else {
            CHECK(seen == last && missing > 0 && got + missing == last);
            CHECK(hub_statistic(hub, i == 0 ? "messages_dropped" : "messages_conflated") == missing);
        }
        pulsews_client_free(quick);
        end(hub, peer);
    }
}

TEST(hub_refusals_of_the_interface) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    IS(pulsews_hub_set(hub, "hartbeat", "1s", why, sizeof why), PULSEWS_EOPTION);
    CHECK(strstr(why, "heartbeat") != NULL);
    IS(pulsews_hub_set(hub, "loops", "65", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_listen(hub, "example.com:80", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_listen(hub, "127.0.0.1", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_listen(hub, "127.0.0.1:99999", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_topic(hub, "price.x*", NULL, NULL, why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_route(hub, "no-slash", NULL, NULL, why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_publish(hub, "", NULL, "1", 1, NULL), PULSEWS_EINVAL);
    IS(pulsews_hub_publish(hub, "t", NULL, "{", 1, NULL), PULSEWS_EVALUE);
    IS(pulsews_hub_publish(hub, "t", NULL, NULL, 1, NULL), PULSEWS_EINVAL);
    IS(pulsews_hub_drain(hub, 0, 0), PULSEWS_ENOTCONNECTED);
    start_hub(hub);
    IS(pulsews_hub_start(hub, why, sizeof why), PULSEWS_EBUSY);
    IS(pulsews_hub_set(hub, "loops", "2", why, sizeof why), PULSEWS_EBUSY);
    IS(pulsews_hub_answer(hub, 12345, 200, NULL, NULL, 0), PULSEWS_OK);
    IS(pulsews_hub_adopt(hub, 0x7FFFFFFF, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_hub_create(NULL, NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_hub_start(NULL, why, sizeof why), PULSEWS_EINVAL);
    pulsews_hub_free(hub);
    pulsews_hub_free(NULL);
    /* A port that is taken. */
    char address[64];
    pulsews_hub *first = open_hub(NO_OPTIONS), *second;
    CHECK(pulsews_hub_address(first, 0, address, sizeof address) > 0);
    IS(pulsews_hub_create(NULL, &second, why, sizeof why), PULSEWS_OK);
    IS(pulsews_hub_listen(second, address, why, sizeof why), PULSEWS_OK);
    IS(pulsews_hub_start(second, why, sizeof why), PULSEWS_EIO);
    CHECK(strstr(why, address) != NULL);
    pulsews_hub_free(second);
    pulsews_hub_free(first);
}

TEST(hub_on_the_loop_of_a_client) {
    char why[PULSEWS_ERROR_SIZE], url[64];
    pulsews_loop *loop;
    pulsews_hub *hub;
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, why, sizeof why), PULSEWS_OK);
    IS(pulsews_hub_create(loop, &hub, why, sizeof why), PULSEWS_OK);
    IS(pulsews_hub_listen(hub, "127.0.0.1:0", why, sizeof why), PULSEWS_OK);
    hub_topic(hub, "t history=1");
    start_hub(hub);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws/stream?topics=t", hub_port(hub));
    pulsews_client *peer;
    IS(pulsews_client_create(url, NULL, loop, &peer, why, sizeof why), PULSEWS_OK);
    IS(pulsews_start(peer), PULSEWS_OK);
    pulsews_message message;
    int got = 0;
    for (int64_t limit = now_ns() + PULSEWS_SECONDS(20); got < 3 && now_ns() < limit;) {
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(10)), PULSEWS_OK);
        publish(hub, "t", NULL, "{\"type\":\"n\"}");
        while (pulsews_recv(peer, &message, 0) == PULSEWS_OK)
            if (message.kind == PULSEWS_TEXT && message.length == 12) got++;
    }
    CHECK(got >= 3);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
    pulsews_loop_free(loop);
}

/* As if the peer had asked for it: it is answered, too. */
TEST(hub_application_subscribes_and_unsubscribes) {
    pulsews_hub *hub = open_hub(OPTIONS("events=connected"));
    pulsews_client *peer = pulse_peer(hub);
    uint64_t number = hub_event(hub, PULSEWS_HUB_CONNECTED)->peer;
    IS(pulsews_hub_subscribe(hub, number, "t"), PULSEWS_OK);
    GETS(peer, "\"type\":\"subscribed\"", "\"topic\":\"t\"");
    IS(pulsews_hub_unsubscribe(hub, number, "t"), PULSEWS_OK);
    GETS(peer, "\"type\":\"unsubscribed\"", "\"topic\":\"t\"");
    CHECK(hub_statistic(hub, "subscriptions") == 0);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
}
