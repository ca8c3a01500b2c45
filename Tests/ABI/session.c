/* SPDX-License-Identifier: Apache-2.0
 *
 * From an open connection to one that takes messages: holds, login, subscriptions; what changes between connects. */
#include "harness.h"

#define STATE(to) "\"event\":\"state\",\"state\":\"" to "\""
#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"

static pulsews_client *start_client(server *s, const char *const *options) {
    pulsews_client *client = make_client(port_of(s), options);
    IS(pulsews_start(client), PULSEWS_OK);
    return client;
}

static void ready(pulsews_client *client) {
    char why[PULSEWS_ERROR_SIZE] = "";
    int32_t status = pulsews_wait_ready(client, SHORT, why, sizeof why);
    if (status != PULSEWS_OK) fprintf(stderr, "not ready: %s\n", why);
    IS(status, PULSEWS_OK);
}

static void subscribe(pulsews_client *client, const char *key, const char *message, const char *unsubscribe) {
    char why[PULSEWS_ERROR_SIZE] = "";
    int32_t status = pulsews_subscribe(client, key, message, unsubscribe, why, sizeof why);
    if (status != PULSEWS_OK) fprintf(stderr, "subscribe: %s\n", why);
    IS(status, PULSEWS_OK);
}

/* ---- Holds ---- */

TEST(hold_connect_waits_for_the_header) {
    server *s = scripted(SCRIPTS("accept | go | cut", "accept"));
    pulsews_client *client = start_client(s, OPTIONS(FAST, "hold_connect=true", "headers=X-Token: old",
                                                     "headers=X-Other: stays"));
    for (int attempt = 1; attempt <= 2; attempt++) {
        char header[32];
        const char *event = EVENT(client, "\"event\":\"hold\"", "\"at\":\"connect\"", url_of(s));
        IS((int64_t)json_number(event, "attempt"), attempt);
        IS(count_records(s, 0, "request", NULL), attempt - 1);
        snprintf(header, sizeof header, "number %d", attempt);
        IS(pulsews_set_header(client, "x-token", header, NULL, 0), PULSEWS_OK);
        IS(pulsews_release(client), PULSEWS_OK);
        IS(pulsews_release(client), PULSEWS_OK); /* no hold any more */
        ready(client);
        const char *request = await_record(s, attempt, "request", NULL)->text;
        CHECK(strstr(request, header) && strstr(request, "X-Other: stays") && !strstr(request, "old"));
        if (attempt == 1) tell_server(s, "go");
    }
    pulsews_client_free(client);
}

TEST(a_hold_times_out) {
    static const char *const kinds[] = {"hold_connect=true", "hold_login=true"};
    for (int i = 0; i < 2; i++) {
        server *s = scripted(SCRIPTS("accept"));
        pulsews_client *client = start_client(s, OPTIONS(FAST, kinds[i], "login_timeout=50ms",
                                                         "max_reconnect_attempts=1"));
        char why[PULSEWS_ERROR_SIZE];
        pulsews_message message;
        int32_t status;
        for (int attempt = 0; attempt < 2; attempt++) EVENT(client, "\"event\":\"hold\"", i ? "login" : "connect");
        EVENT(client, STATE("error"), "PULSEWS_ELOGIN");
        while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
        IS(status, PULSEWS_ELOGIN);
        IS(pulsews_client_error(client, why, sizeof why), PULSEWS_ELOGIN);
        CHECK(strstr(why, "login_timeout"));
        pulsews_client_free(client);
    }
}

TEST(hold_login_lets_the_login_through_first) {
    server *s = scripted(SCRIPTS("accept | go | cut", "accept"));
    uint64_t id = 0;
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "hold_login=true", "login=hello ${id}",
                                                             "backlog_interval=0", "rate_limit=1000/s"));
    IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, PULSEWS_FIRST, 0, 0, &id), PULSEWS_ENOTCONNECTED);
    send_text(client, "queued before");
    subscribe(client, "key", "subscribe", NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) {
        EVENT(client, "\"event\":\"hold\"", "\"at\":\"login\"");
        send_text(client, i == 1 ? "queued during" : "queued during the second");
        IS(pulsews_send_with(client, PULSEWS_TEXT, "live", 4, PULSEWS_LIVE_ONLY, 0, 0, NULL), PULSEWS_ENOTCONNECTED);
        IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(20), NULL, 0), PULSEWS_ETIMEOUT);
        IS(pulsews_send_with(client, PULSEWS_TEXT, "signed", 6, PULSEWS_FIRST, 0, 0, &id), PULSEWS_OK);
        IS(pulsews_send_with(client, PULSEWS_TEXT, "and more", 8, PULSEWS_FIRST, 0, 0, &id), PULSEWS_OK);
        CHECK(id > 0);
        check_account(client);
        CHECK(strncmp(await_record(s, i, "text", NULL)->text, "hello ", 6) == 0);
        expect_at_server(s, i, "signed");
        expect_at_server(s, i, "and more");
        IS(count_records(s, i, "text", NULL), 3);
        IS(pulsews_release(client), PULSEWS_OK);
        expect_at_server(s, i, "subscribe");
        if (i == 1) expect_at_server(s, i, "queued before");
        expect_at_server(s, i, i == 1 ? "queued during" : "queued during the second");
        tell_server(s, "go");
    }
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    pulsews_client_free(client);
}

/* ---- Login ---- */

TEST(login_then_subscriptions_then_the_queue) {
    server *s = scripted(SCRIPTS("accept | got 6 | cut", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "login=one",
                                                             "login={\"id\":${id},\"ms\":${ms},\"at\":\"${time}\"}",
                                                             "backlog_interval=0"));
    subscribe(client, "b", "subscribe b", NULL);
    subscribe(client, "a", "subscribe a", NULL);
    send_text(client, "queued 1");
    send_text(client, "queued 2");
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 1; i <= 2; i++) {
        expect_at_server(s, i, "one");
        const char *login = await_record(s, i, "text", NULL)->text;
        CHECK(json_number(login, "id") >= 1 && json_number(login, "ms") > 1.5e12 && strstr(login, "\"at\":\"2") &&
              strstr(login, "Z\"}"));
        expect_at_server(s, i, "subscribe b");
        expect_at_server(s, i, "subscribe a");
        if (i == 1) expect_at_server(s, i, "queued 1"), expect_at_server(s, i, "queued 2");
    }
    EVENT(client, "\"event\":\"ready\"", "\"subscriptions\":2");
    IS((int64_t)statistic(client, "session_messages_sent"), 8);
    IS((int64_t)statistic(client, "messages_accepted"), 2);
    check_account(client);
    pulsews_client_free(client);
}

TEST(a_login_is_confirmed) {
    server *s = scripted(SCRIPTS("accept | got 1 | text something else | go | text {\"req\":1, \"type\":\"ok\"}"));
    pulsews_client *client = start_client(s, OPTIONS(FAST, "login=in", "login_confirm={\"type\":\"ok\"}",
                                                     "login_reject={\"type\":\"error\"}"));
    send_text(client, "queued");
    await_text(client, "something else");
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(50), NULL, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "live", 4, PULSEWS_LIVE_ONLY, 0, SHORT, NULL), PULSEWS_ENOTCONNECTED);
    IS(count_records(s, 1, "text", NULL), 1);
    tell_server(s, "go");
    ready(client);
    expect_at_server(s, 1, "in");
    expect_at_server(s, 1, "queued");
    await_text(client, "{\"req\":1, \"type\":\"ok\"}"); /* it is delivered too */
    pulsews_client_free(client);
}

TEST(a_rejected_login_is_tried_again) {
    server *s = scripted(
        SCRIPTS("accept | got 1 | text {\"type\":\"error\"}", "accept | got 1 | text {\"type\":\"ok\"}"));
    pulsews_client *client = start_client(s, OPTIONS(FAST, "login=in", "login_confirm={\"type\":\"ok\"}",
                                                     "login_reject={\"type\":\"error\"}"));
    send_text(client, "queued");
    await_text(client, "{\"type\":\"error\"}"); /* it says why */
    EVENT(client, STATE("reconnecting"), "\"trigger\":\"retry\"", "PULSEWS_ELOGIN");
    ready(client);
    expect_at_server(s, 2, "in");
    expect_at_server(s, 2, "queued");
    IS(count_records(s, 1, "text", NULL), 1);
    IS((int64_t)statistic(client, "logins_rejected"), 1);
    IS((int64_t)statistic(client, "reconnects_login"), 1);
    pulsews_client_free(client);
}

TEST(a_login_that_nobody_confirms) {
    server *s = scripted(SCRIPTS("accept | every 10 noise"));
    pulsews_client *client = start_client(s, OPTIONS(FAST, "login=in", "login_confirm=ok", "login_timeout=80ms",
                                                     "reconnect=false"));
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_message message;
    int32_t status;
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_ELOGIN);
    CHECK(strstr(why, "login_timeout"));
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_ELOGIN);
    pulsews_client_free(client);
}

/* ---- Subscriptions ---- */

#define TEMPLATES "subscribe_message={\"sub\":[${keys}]}", "unsubscribe_message={\"unsub\":[${keys}]}"

TEST(subscriptions_are_made_again_in_order) {
    server *s = scripted(SCRIPTS("accept | go | cut", "accept"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, TEMPLATES, "subscribe_batch=2", "backlog_interval=0"));
    static const char *const keys[] = {"a", "b", "c", "d", "e \"\\\xe2\x82\xac"};
    for (int i = 0; i < 5; i++) subscribe(client, keys[i], NULL, NULL);
    subscribe(client, "own", "{\"mine\":1}", "{\"mine\":0}");
    subscribe(client, "f", NULL, NULL);
    subscribe(client, "a", NULL, NULL); /* again: nothing new */
    IS(pulsews_start(client), PULSEWS_OK);
    expect_at_server(s, 1, "{\"sub\":[\"a\",\"b\"]}");
    expect_at_server(s, 1, "{\"sub\":[\"c\",\"d\"]}");
    expect_at_server(s, 1, "{\"sub\":[\"e \\\\\"\\\\\\\\\xe2\x82\xac\"]}"); /* the server doubles backslashes */
    expect_at_server(s, 1, "{\"mine\":1}");
    expect_at_server(s, 1, "{\"sub\":[\"f\"]}");
    ready(client);
    IS((int64_t)statistic(client, "subscriptions"), 7);
    IS(pulsews_unsubscribe(client, "b"), PULSEWS_OK);
    expect_at_server(s, 1, "{\"unsub\":[\"b\"]}");
    IS(pulsews_unsubscribe(client, "own"), PULSEWS_OK);
    expect_at_server(s, 1, "{\"mine\":0}");
    IS(pulsews_unsubscribe(client, "b"), PULSEWS_OK);
    IS(pulsews_unsubscribe(client, "never known"), PULSEWS_OK);
    subscribe(client, "late", NULL, NULL);
    expect_at_server(s, 1, "{\"sub\":[\"late\"]}");
    subscribe(client, "c", "{\"other\":\"c\"}", NULL); /* replaced: sent now, and keeps its place */
    expect_at_server(s, 1, "{\"other\":\"c\"}");
    tell_server(s, "go");
    EVENT(client, "\"trigger\":\"retry\"");
    IS(pulsews_unsubscribe(client, "d"), PULSEWS_OK); /* without a connection it is just not made again */
    send_text(client, "queued");
    expect_at_server(s, 2, "{\"sub\":[\"a\"]}");
    expect_at_server(s, 2, "{\"other\":\"c\"}");
    await_record(s, 2, "text", "queued");
    CHECK(count_records(s, 2, "text", "\"late\"") == 1 && count_records(s, 2, "text", "\"b\"") == 0);
    IS((int64_t)statistic(client, "subscriptions"), 5);
    pulsews_client_free(client);
}

TEST(subscriptions_are_confirmed) {
    server *s = scripted(
        SCRIPTS("accept | got 2 | text {\"result\":null,\"id\":1} | go | text {\"result\":null,\"id\":2}"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, "subscribe_confirm={\"result\":null}", "backlog_interval=0"));
    subscribe(client, "a", "sub a", NULL);
    subscribe(client, "b", "sub b", NULL);
    send_text(client, "queued");
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "{\"result\":null,\"id\":1}");
    IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(50), NULL, 0), PULSEWS_ETIMEOUT);
    IS(count_records(s, 1, "text", NULL), 2);
    tell_server(s, "go");
    ready(client);
    await_record(s, 1, "text", "queued");
    await_text(client, "{\"result\":null,\"id\":2}");
    pulsews_client_free(client);
}

TEST(a_rejected_subscription_is_tried_again) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"error\":\"no\"}", "accept | got 1 | text fine"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, "subscribe_confirm=fine", "subscribe_reject={\"error\":\"*\"}",
                                                 "subscribe_reject_action=reconnect"));
    subscribe(client, "a", "sub a", NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "{\"error\":\"no\"}");
    EVENT(client, STATE("reconnecting"), "PULSEWS_ESUBSCRIBE");
    ready(client);
    pulsews_client_free(client);
}

TEST(a_subscription_that_nobody_confirms) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("reconnect=false", "subscribe_confirm=fine",
                                                             "subscribe_timeout=80ms"));
    char why[PULSEWS_ERROR_SIZE] = "";
    subscribe(client, "a", "sub a", NULL);
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_ESUBSCRIBE);
    CHECK(strstr(why, "subscribe_timeout"));
    pulsews_client_free(client);
}

TEST(subscriptions_keep_their_distance) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("subscribe_interval=60ms"));
    static const char *const texts[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++) subscribe(client, texts[i], texts[i], NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    ready(client);
    for (int i = 0; i < 4; i++)
        CHECK(await_record(s, 1, "text", texts[i])->at - requested_at(s, 1) >= i * PULSEWS_MILLISECONDS(60));
    pulsews_client_free(client);
}

TEST(many_subscriptions) {
    enum { KEYS = 100000 };
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(TEMPLATES, "subscribe_batch=10000"));
    char key[32];
    for (int i = 0; i < KEYS; i++) snprintf(key, sizeof key, "key%06d", i), subscribe(client, key, NULL, NULL);
    IS(pulsews_subscribe(client, "one more", NULL, NULL, key, sizeof key), PULSEWS_EINVAL);
    IS(pulsews_start(client), PULSEWS_OK);
    ready(client);
    for (int i = 0; i < 10; i++) {
        char part[32];
        snprintf(part, sizeof part, "{\"sub\":[\"key%06d\",", i * 10000);
        CHECK(strstr(await_record(s, 1, "text", NULL)->text, part));
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%06d", i);
        IS(pulsews_unsubscribe(client, key), PULSEWS_OK);
    }
    IS((int64_t)statistic(client, "subscriptions"), 0);
    pulsews_client_free(client);
}

/* ---- Between connects ---- */

TEST(what_changes_between_connects) {
    server *s = scripted(SCRIPTS("accept", "accept"));
    char url[100];
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "headers=X-Keep: 1", "headers=X-Drop: 1",
                                                             "headers=X-Twice: a", "headers=X-Twice: b"));
    ready(client);
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(pulsews_set_header(client, "x-drop", NULL, NULL, 0), PULSEWS_OK);
    IS(pulsews_set_header(client, "X-TWICE", "once", NULL, 0), PULSEWS_OK);
    IS(pulsews_set_header(client, "X-New", "", NULL, 0), PULSEWS_OK);
    IS(pulsews_set_header(client, "X-Unknown", NULL, NULL, 0), PULSEWS_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws/listen?key=second", port_of(s));
    IS(pulsews_set_url(client, url, NULL, 0), PULSEWS_OK);
    subscribe(client, "while resting", "late subscription", NULL);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    ready(client);
    const char *request = await_record(s, 2, "request", "GET /ws/listen?key=second ")->text;
    CHECK(strstr(request, "X-Keep: 1") && strstr(request, "X-TWICE: once") && strstr(request, "X-New:"));
    CHECK(!strstr(request, "X-Drop") && !strstr(request, "X-Twice") && !strstr(request, "X-Unknown"));
    expect_at_server(s, 2, "late subscription");
    pulsews_client_free(client);
}
