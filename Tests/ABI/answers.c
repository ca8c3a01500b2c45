/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers a login or a subscription and what does not; what a rejection leads to. */
#include "harness.h"

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"
#define TEMPLATES                                                                                                      \
    "subscribe_message={\"sub\":[${keys}],\"id\":${id}}", "unsubscribe_message={\"unsub\":[${keys}],\"id\":${id}}"
#define ANSWERED                                                                                                       \
    TEMPLATES, "subscribe_confirm={\"ok\":1,\"id\":${id}}", "subscribe_reject={\"error\":\"*\",\"id\":${id}}"

static void subscribe(pulsews_client *client, const char *key, const char *message) {
    IS(pulsews_subscribe(client, key, message, NULL, NULL, 0), PULSEWS_OK);
}

static void ready(pulsews_client *client) {
    char why[PULSEWS_ERROR_SIZE] = "";
    int32_t status = pulsews_wait_ready(client, SHORT, why, sizeof why);
    if (status != PULSEWS_OK) fprintf(stderr, "not ready: %s\n", why);
    IS(status, PULSEWS_OK);
}

/* What ends receiving, with the sentence. */
static int32_t the_end(pulsews_client *client, char *why) {
    pulsews_message message;
    int32_t status;
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(pulsews_client_error(client, why, PULSEWS_ERROR_SIZE), status);
    return status;
}

/* ---- Whose answer it is ---- */

static const struct {
    const char *preset, *option, *key, *message;
    int sent; /* messages of the session */
    const char *confirm, *order;
    int echoes; /* the exchange's answers have the id of what they answer */
} exchanges[] = {
    {"binance-spot", NULL, "btcusdt@trade", NULL, 1, "{\"result\":null,\"id\":1}",
     "{\"error\":{\"code\":2,\"msg\":\"refused\"},\"id\":900001}", 1},
    {"binance-futures", NULL, "btcusdt@trade", NULL, 1, "{\"result\":null,\"id\":1}",
     "{\"id\":900001,\"status\":400,\"error\":{\"code\":-2019}}", 1},
    {"deribit", NULL, "book.BTC-PERPETUAL.100ms", NULL, 2,
     "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[\"book.BTC-PERPETUAL.100ms\"]}",
     "{\"jsonrpc\":\"2.0\",\"id\":900001,\"error\":{\"code\":10009,\"message\":\"not_enough_funds\"}}", 1},
    {"kraken", NULL, "BTC/USD", NULL, 1,
     "{\"method\":\"subscribe\",\"result\":{\"channel\":\"ticker\",\"symbol\":\"BTC/USD\"},\"success\":true,\"req_id\":1}",
     "{\"method\":\"subscribe\",\"success\":false,\"error\":\"refused\",\"symbol\":\"BTC/USD\",\"req_id\":900001}", 1},
    {"bybit", NULL, "tickers.BTCUSDT", NULL, 1, "{\"success\":true,\"op\":\"subscribe\",\"req_id\":\"1\"}",
     "{\"success\":false,\"op\":\"subscribe\",\"ret_msg\":\"refused\",\"req_id\":\"900001\"}", 1},
    {"okx", NULL, "BTC-USDT", "{\"op\":\"subscribe\",\"args\":[{\"channel\":\"books\",\"instId\":\"BTC-USDT\"}]}", 1,
     "{\"event\":\"subscribe\",\"arg\":{\"channel\":\"books\",\"instId\":\"BTC-USDT\"}}",
     "{\"event\":\"error\",\"code\":\"60012\",\"msg\":\"refused\",\"id\":\"900001\"}", 0},
    {"alpaca", "login={\"action\":\"auth\"}", "AAPL", NULL, 2, "[{\"T\":\"subscription\",\"trades\":[\"AAPL\"]}]",
     "[{\"T\":\"error\",\"code\":400,\"msg\":\"refused\"}]", 0},
};
enum { EXCHANGES = sizeof exchanges / sizeof *exchanges };

/* `early`: the order is refused while the subscription waits for its answer. */
static void refuse_an_order(int i, int early) {
    char script[1024], preset[64], login[64] = "";
    const char *order = exchanges[i].order, *confirm = exchanges[i].confirm;
    if (exchanges[i].option)
        snprintf(login, sizeof login, " | got 1 | text [{\"T\":\"success\",\"msg\":\"authenticated\"}]");
    snprintf(script, sizeof script, "accept%s | got %d | text %s | go | text %s | text {\"data\":1}", login,
             exchanges[i].sent, early ? order : confirm, early ? confirm : order);
    snprintf(preset, sizeof preset, "preset=%s", exchanges[i].preset);
    fprintf(stderr, "%s\n", preset);
    server *s = scripted(SCRIPTS(script));
    const char *option = exchanges[i].option;
    pulsews_client *client = make_client(port_of(s), OPTIONS(preset, "events=true", option ? option : "verify=true"));
    subscribe(client, exchanges[i].key, exchanges[i].message);
    IS(pulsews_start(client), PULSEWS_OK);
    if (exchanges[i].option) await_text(client, "[{\"T\":\"success\",\"msg\":\"authenticated\"}]");
    await_text(client, early ? order : confirm);
    if (early) IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(20), NULL, 0), PULSEWS_ETIMEOUT);
    else ready(client);
    tell_server(s, "go");
    await_text(client, early ? confirm : order);
    await_text(client, "{\"data\":1}");
    ready(client);
    IS((int64_t)statistic(client, "connections"), 1);
    IS((int64_t)statistic(client, "subscriptions"), 1);
    pulsews_client_free(client);
}

TEST(a_refused_order_on_a_ready_connection_is_data) {
    for (int i = 0; i < EXCHANGES; i++) refuse_an_order(i, 0);
}

TEST(a_refused_order_is_no_refused_subscription) {
    for (int i = 0; i < EXCHANGES; i++)
        if (exchanges[i].echoes) refuse_an_order(i, 1);
}

/* A text of the application's own has an id, too. */
TEST(an_own_text_is_known_by_its_id) {
    server *s = scripted(
        SCRIPTS("accept | got 2 | text {\"error\":1,\"id\":900001} | text {\"ok\":1,\"id\":\"mine\"} | go | "
                "text {\"error\":1,\"id\":78}"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, ANSWERED));
    subscribe(client, "a", "{\"own\":1,\"id\":\"mine\"}");
    subscribe(client, "b", "{\"own\":2,\"id\":78}");
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "{\"error\":1,\"id\":900001}");
    await_text(client, "{\"ok\":1,\"id\":\"mine\"}");
    IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(20), NULL, 0), PULSEWS_ETIMEOUT);
    tell_server(s, "go");
    EVENT(client, "\"event\":\"subscription_rejected\",\"key\":\"b\"");
    ready(client);
    pulsews_client_free(client);
}

/* Neither the text nor its answer has an id; an order's refusal has one. */
TEST(an_own_text_without_an_id) {
    server *s = scripted(SCRIPTS("accept | got 2 | text {\"ok\":1} | go | text {\"ok\":1,\"id\":null}"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, ANSWERED));
    subscribe(client, "a", "{\"own\":1}");
    subscribe(client, "b", "{\"own\":2}");
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "{\"ok\":1}");
    IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(20), NULL, 0), PULSEWS_ETIMEOUT);
    tell_server(s, "go");
    ready(client);
    pulsews_client_free(client);
}

/* What confirms the end of a subscription does not confirm the next one. */
TEST(an_unsubscription_is_not_waited_for) {
    server *s = scripted(SCRIPTS("accept | answer {\"sub\":[\"a\"],\"id\":1} -> {\"ok\":1,\"id\":1} | "
                                 "got 3 | text {\"ok\":1,\"id\":2} | go | text {\"error\":1,\"id\":3}"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, ANSWERED));
    subscribe(client, "a", NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    ready(client);
    IS(pulsews_unsubscribe(client, "a"), PULSEWS_OK);
    await_record(s, 1, "text", "unsub");
    subscribe(client, "b", NULL);
    await_text(client, "{\"ok\":1,\"id\":1}");
    await_text(client, "{\"ok\":1,\"id\":2}");
    tell_server(s, "go");
    EVENT(client, "\"event\":\"subscription_rejected\",\"key\":\"b\"");
    pulsews_client_free(client);
}

TEST(a_login_is_known_by_its_id) {
    server *s = scripted(
        SCRIPTS("accept | got 2 | text {\"no\":1,\"id\":900001} | text {\"yes\":1,\"id\":900001} | go | "
                "text {\"yes\":1,\"id\":2} | text {\"no\":1,\"id\":2} | text after"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, "login=hello", "login={\"auth\":1,\"id\":${id}}",
                                                 "login_confirm={\"yes\":1,\"id\":${id}}",
                                                 "login_reject={\"no\":1,\"id\":${id}}", "login_timeout=60s"));
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "{\"no\":1,\"id\":900001}");
    await_text(client, "{\"yes\":1,\"id\":900001}");
    IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(20), NULL, 0), PULSEWS_ETIMEOUT);
    tell_server(s, "go");
    await_text(client, "{\"yes\":1,\"id\":2}");
    ready(client);
    await_text(client, "{\"no\":1,\"id\":2}"); /* there is no login any more that it could be for */
    await_text(client, "after");
    pulsews_client_free(client);
}

/* A server that tells only failures has login_timeout and subscribe_timeout for that. */
TEST(who_only_rejects_has_a_time_for_it) {
    server *s = scripted(SCRIPTS("accept | got 2 | go | text no | text none | go | text after"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "login=in", "login_reject=no", "login_timeout=50ms",
                                                             "subscribe_reject=none", "subscribe_timeout=50ms"));
    subscribe(client, "a", "sub a");
    IS(pulsews_start(client), PULSEWS_OK);
    ready(client);
    IS(pulsews_wait_ready(client, 0, NULL, 0), PULSEWS_OK);
    int64_t end = now_ns() + PULSEWS_MILLISECONDS(100);
    pulsews_message message;
    while (now_ns() < end) pulsews_recv(client, &message, PULSEWS_MILLISECONDS(10));
    tell_server(s, "go");
    await_text(client, "no");
    await_text(client, "none");
    tell_server(s, "go");
    await_text(client, "after");
    IS((int64_t)statistic(client, "subscriptions"), 1);
    IS((int64_t)statistic(client, "connections"), 1);
    pulsews_client_free(client);

    s = scripted(SCRIPTS("accept | got 2 | text none | text no", "accept"));
    client = make_client(port_of(s), OPTIONS(FAST, "login=in", "login_reject=no", "subscribe_reject=none"));
    subscribe(client, "a", "sub a");
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"subscription_rejected\",\"key\":\"a\"");
    EVENT(client, "\"state\":\"reconnecting\"", "PULSEWS_ELOGIN");
    pulsews_client_free(client);
}

/* ---- A bad key ---- */

#define ANSWER(keys, id, kind) " | answer {\"sub\":[" keys "],\"id\":" id "} -> {\"" kind "\":1,\"id\":" id "}"

TEST(one_bad_key_among_good_ones) {
    server *s = scripted(SCRIPTS("accept" ANSWER("\"a\",\"b\",\"dead\",\"d\"", "1", "error")
                                     ANSWER("\"a\",\"b\"", "2", "ok") ANSWER("\"dead\",\"d\"", "3", "error")
                                         ANSWER("\"dead\"", "4", "error") ANSWER("\"d\"", "5", "ok")
                                             ANSWER("\"dead\"", "6", "ok") " | go | cut",
                                 "accept | answer {\"sub\":[\"a\",\"b\",\"d\"],\"id\":7} -> {\"ok\":1,\"id\":7}"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, ANSWERED));
    static const char *const keys[] = {"a", "b", "dead", "d"};
    for (int i = 0; i < 4; i++) subscribe(client, keys[i], NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    const char *event = EVENT(client, "\"event\":\"subscription_rejected\"");
    CHECK(strstr(event, "\"key\":\"dead\",\"text\":\"{\\\"error\\\":1,\\\"id\\\":4}\",\"endpoint\":\"ws://127.0.0.1:"));
    EVENT(client, "\"event\":\"ready\"", "\"subscriptions\":3");
    IS(count_records(s, 1, "text", NULL), 5);
    IS((int64_t)statistic(client, "connections"), 1);
    await_text(client, "{\"ok\":1,\"id\":5}");
    /* The application asks again. */
    subscribe(client, "dead", NULL);
    await_text(client, "{\"ok\":1,\"id\":6}");
    IS((int64_t)statistic(client, "subscriptions"), 4);
    IS(pulsews_unsubscribe(client, "dead"), PULSEWS_OK);
    await_record(s, 1, "text", "unsub");
    pulsews_client_free(client);
}

/* What was rejected is not asked for on the next connection. */
TEST(a_rejected_key_stays_away) {
    server *s = scripted(SCRIPTS("accept" ANSWER("\"dead\"", "1", "error") " | go | cut",
                                 "accept" ANSWER("\"good\"", "2", "ok") " | go | cut"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, ANSWERED));
    subscribe(client, "dead", NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"subscription_rejected\"");
    EVENT(client, "\"event\":\"ready\"", "\"subscriptions\":0");
    tell_server(s, "go");
    EVENT(client, "\"state\":\"reconnecting\"");
    EVENT(client, "\"event\":\"ready\"");
    subscribe(client, "good", NULL);
    await_text(client, "{\"ok\":1,\"id\":2}");
    IS(count_records(s, 2, "text", NULL), 1);
    pulsews_client_free(client);
}

/* The halves leave as other subscriptions do. */
TEST(the_search_for_a_bad_key_keeps_its_distance) {
    server *s = scripted(SCRIPTS("accept" ANSWER("\"a\",\"dead\"", "1", "error") ANSWER("\"a\"", "2", "ok")
                                     ANSWER("\"dead\"", "3", "error")));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, ANSWERED, "subscribe_interval=60ms"));
    subscribe(client, "a", NULL);
    subscribe(client, "dead", NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"subscription_rejected\",\"key\":\"dead\"");
    for (int i = 0; i < 3; i++)
        CHECK(await_record(s, 1, "text", "sub")->at - requested_at(s, 1) >= i * PULSEWS_MILLISECONDS(60));
    ready(client);
    pulsews_client_free(client);
}

/* Kraken answers for each symbol. */
TEST(an_answer_may_name_the_key) {
#define SYMBOL(symbol, verdict) " | text {\"method\":\"subscribe\"," symbol ",\"success\":" verdict ",\"req_id\":1}"
    server *s = scripted(SCRIPTS("accept | got 1" SYMBOL("\"result\":{\"symbol\":\"BTC\\/USD\"}", "true")
                                     SYMBOL("\"symbol\":\"DEAD/USD\",\"error\":\"Currency pair not supported\"",
                                            "false") " | go" SYMBOL("\"result\":{\"symbol\":\"ETH/USD\"}", "true")));
    pulsews_client *client = make_client(port_of(s), OPTIONS("preset=kraken", "events=true"));
    subscribe(client, "BTC/USD", NULL);
    subscribe(client, "DEAD/USD", NULL);
    subscribe(client, "ETH/USD", NULL);
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"subscription_rejected\",\"key\":\"DEAD/USD\"", "Currency pair not supported");
    IS(pulsews_wait_ready(client, PULSEWS_MILLISECONDS(20), NULL, 0), PULSEWS_ETIMEOUT);
    tell_server(s, "go");
    EVENT(client, "\"event\":\"ready\"", "\"subscriptions\":2");
    IS(count_records(s, 1, "text", NULL), 1);
    pulsews_client_free(client);
}

/* What the server says is cut, and can't break the event. */
TEST(a_long_rejection_is_cut) {
    server *s = scripted(
        SCRIPTS("accept | got 1 | text {\"error\":\""
                "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
                "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
                "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
                "012345678901234567890123456789012345678901234567890 \xe2\x82\xac the end\"}"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "subscribe_confirm={\"ok\":1}",
                                                             "subscribe_reject={\"error\":\"*\"}"));
    subscribe(client, "a \"b\"", "sub a");
    IS(pulsews_start(client), PULSEWS_OK);
    const char *event = EVENT(client, "\"event\":\"subscription_rejected\",\"key\":\"a \\\"b\\\"\"");
    CHECK(strstr(event, "\"text\":\"{\\\"error\\\":\\\"\xe2\x82\xac") && !strstr(event, "the end"));
    CHECK(strstr(event, "7890 \",\"endpoint\"")); /* whole characters */
    pulsews_client_free(client);
}

/* ---- What no retry mends ---- */

TEST(a_rejected_login_stops_when_asked) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"no\":\"key revoked\"}"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, "login=in", "login_confirm={\"yes\":\"*\"}",
                                                 "login_reject={\"no\":\"*\"}", "login_reject_action=stop"));
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_ELOGIN);
    CHECK(strstr(why, "the server rejected the login: \"{\\\"no\\\":\\\"key revoked\\\"}\""));
    EVENT(client, "\"state\":\"error\"", "\"trigger\":\"give_up\"", "PULSEWS_ELOGIN", "key revoked");
    IS(the_end(client, why), PULSEWS_ELOGIN);
    CHECK(strstr(why, "key revoked"));
    IS(pulsews_server_message(client, why, sizeof why), 20);
    CHECK(strcmp(why, "{\"no\":\"key revoked\"}") == 0);
    IS(count_records(s, 0, "request", NULL), 1);
    /* With another key the application may try again. */
    IS(pulsews_reconnect(client), PULSEWS_OK);
    await_record(s, 2, "text", "in");
    pulsews_client_free(client);
}

/* A login that nobody confirms has no message of the server's, whatever came before. */
TEST(a_server_message_is_that_of_the_last_failure) {
    server *s = scripted(SCRIPTS("accept | got 1 | text no", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "login=in", "login_confirm=yes", "login_reject=no",
                                                             "login_timeout=50ms", "max_reconnect_attempts=1"));
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"state\":\"reconnecting\"", "rejected the login");
    IS(the_end(client, why), PULSEWS_ELOGIN);
    CHECK(strstr(why, "login_timeout"));
    IS(pulsews_server_message(client, why, sizeof why), 0);
    pulsews_client_free(client);
}

TEST(a_rejected_subscription_reconnects_when_asked) {
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"error\":\"delisted\"}"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS("reconnect=false", "subscribe_reject={\"error\":\"*\"}",
                                                 "subscribe_confirm=ok", "subscribe_reject_action=reconnect"));
    char why[PULSEWS_ERROR_SIZE] = "";
    subscribe(client, "a", "sub a");
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_ESUBSCRIBE);
    CHECK(strstr(why, "the server rejected a subscription: \"{\\\"error\\\":\\\"delisted\\\"}\""));
    IS(pulsews_server_message(client, why, sizeof why), 20);
    pulsews_client_free(client);
}

TEST(a_close_code_stops_when_asked) {
    static const char *const codes[] = {"4001", "1008"};
    for (int i = 0; i < 2; i++) {
        char script[64], name[64], why[PULSEWS_ERROR_SIZE] = "";
        snprintf(script, sizeof script, "accept | go | close %s key revoked", codes[i]);
        snprintf(name, sizeof name, "with code %s (key revoked)", codes[i]);
        server *s = scripted(SCRIPTS("accept | close 4000", script));
        pulsews_client *client = make_client(port_of(s),
                                             OPTIONS(FAST, "fatal_close_codes=4001", "fatal_close_codes=1008"));
        IS(pulsews_start(client), PULSEWS_OK);
        EVENT(client, "\"state\":\"reconnecting\"", "4000");
        EVENT(client, "\"event\":\"ready\"");
        await_record(s, 2, "request", NULL);
        tell_server(s, "go");
        EVENT(client, "\"state\":\"error\"", "\"trigger\":\"give_up\"", name);
        IS(the_end(client, why), PULSEWS_EPEERCLOSED);
        IS(pulsews_client_state(client), PULSEWS_ERROR);
        IS(count_records(s, 0, "request", NULL), 2);
        pulsews_client_free(client);
    }
}

/* Another endpoint may know the key. */
TEST(a_rejected_login_is_tried_at_each_endpoint) {
    server *first = scripted(SCRIPTS("accept | got 1 | text no")),
           *second = scripted(SCRIPTS("accept | got 1 | text no"));
    char endpoint[128];
    snprintf(endpoint, sizeof endpoint, "endpoints=%s", url_of(second));
    pulsews_client *client = make_client(port_of(first),
                                         OPTIONS(FAST, "login=in", "login_confirm=yes", "login_reject=no",
                                                 "login_reject_action=stop", endpoint));
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_start(client), PULSEWS_OK);
    IS(the_end(client, why), PULSEWS_ELOGIN);
    IS(count_records(first, 0, "request", NULL), 1);
    IS(count_records(second, 0, "request", NULL), 1);
    pulsews_client_free(client);
}

/* The connection that serves goes on; its end is that of the trying. */
TEST(a_successor_whose_login_is_rejected_for_good) {
    server *s = scripted(
        SCRIPTS("accept | got 1 | text yes | go | text bye | go | text more | go | cut", "accept | got 1 | text no"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "login=in", "login_confirm=yes", "login_reject=no",
                                                             "login_reject_action=stop", "rotate_on=bye"));
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_start(client), PULSEWS_OK);
    ready(client);
    tell_server(s, "go");
    EVENT(client, "\"event\":\"rotation\",\"step\":\"begin\"");
    EVENT(client, "\"event\":\"rotation\",\"step\":\"failed\"", "rejected the login");
    tell_server(s, "go");
    await_text(client, "more");
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    tell_server(s, "go");
    IS(the_end(client, why), PULSEWS_ELOGIN);
    CHECK(strstr(why, "rejected the login: \"no\""));
    IS(count_records(s, 0, "request", NULL), 3); /* the first, its successor, and the one after its end */
    pulsews_client_free(client);
}

TEST(a_twin_whose_login_is_rejected_for_good) {
    server *s = scripted(SCRIPTS("accept | got 1 | text yes | go | text {\"n\":1} | go | text no")),
           *other = scripted(SCRIPTS("accept | got 1 | text no"));
    char twin[128], why[PULSEWS_ERROR_SIZE] = "";
    snprintf(twin, sizeof twin, "twin=%s", url_of(other));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "login=in", "login_confirm=yes", "login_reject=no",
                                                             "login_reject_action=stop", "sequence_path=n", twin));
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"twin\",\"side\":\"twin\",\"state\":\"error\"", "rejected the login");
    ready(client);
    tell_server(s, "go");
    pulsews_message message = {0};
    while (message.kind != PULSEWS_TEXT || message.length != 7) IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(memcmp(message.data, "{\"n\":1}", 7) == 0);
    IS(count_records(other, 0, "request", NULL), 1);
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(the_end(client, why), PULSEWS_ECLOSED);
    pulsews_client_free(client);
}

TEST(options_of_answers) {
    static const char *const wrong[][2] = {{"heartbeat_reply", "{\"id\":${id}}"},
                                           {"rotate_on", "{\"id\":\"${id}\"}"},
                                           {"login_confirm", "{\"k\":\"${key}\"}"},
                                           {"subscribe_reject", "no ${id}"},
                                           {"subscribe_reject", "{\"id\":${idd}}"},
                                           {"fatal_close_codes", "999"},
                                           {"fatal_close_codes", "5000"},
                                           {"fatal_close_codes", "4001,4002"},
                                           {"fatal_close_codes", ""},
                                           {"login_reject_action", "drop"},
                                           {"subscribe_reject_action", "stop"}};
    static const char *const right[][2] = {{"subscribe_confirm", "{\"id\":${id},\"k\":\"${key}\"}"},
                                           {"login_reject", "{\"id\":\"${id}\"}"},
                                           {"fatal_close_codes", "1000"},
                                           {"fatal_close_codes", "4999"},
                                           {"login_reject_action", "stop"},
                                           {"login_reject_action", "retry"},
                                           {"subscribe_reject_action", "reconnect"},
                                           {"subscribe_reject_action", "drop"}};
    char why[PULSEWS_ERROR_SIZE];
    pulsews_config *config = pulsews_config_create();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fprintf(stderr, "%s=%s\n", wrong[i][0], wrong[i][1]);
        IS(pulsews_config_set(config, wrong[i][0], wrong[i][1], why, sizeof why), PULSEWS_EVALUE);
        CHECK(strstr(why, wrong[i][0]));
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        IS(pulsews_config_set(config, right[i][0], right[i][1], why, sizeof why), PULSEWS_OK);
    pulsews_config_free(config);
}
