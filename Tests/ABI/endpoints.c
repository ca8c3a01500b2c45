/* SPDX-License-Identifier: Apache-2.0
 *
 * Several servers for one feed, and one host for many clients. */
#include "harness.h"
#include <poll.h>
#include <stdarg.h>

#define STATE(to) "\"event\":\"state\",\"state\":\"" to "\""
#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"

/* An option with a number or a text in it; lives until the next call but seven. */
static const char *option(const char *format, ...) {
    static char kept[8][200];
    static int next;
    char *out = kept[next++ & 7];
    va_list list;
    va_start(list, format);
    vsnprintf(out, sizeof kept[0], format, list);
    va_end(list);
    return out;
}

TEST(fails_over_and_comes_home) {
    server *first = scripted(SCRIPTS("accept | go | cut", "accept")),
           *second = scripted(SCRIPTS("accept | text second"));
    pulsews_client *client = open_client(port_of(first), OPTIONS(FAST, option("endpoints=%s", url_of(second)),
                                                                 "endpoint_return=300ms", "stable_time=10s"));
    EVENT(client, STATE("connected"), url_of(first));
    EVENT(client, "\"event\":\"ready\"", url_of(first));
    send_text(client, "to the first");
    expect_at_server(first, 1, "to the first");
    tell_server(first, "go");
    EVENT(client, STATE("reconnecting"), "\"trigger\":\"retry\"");
    EVENT(client, STATE("connected"), url_of(second));
    await_text(client, "second");
    send_text(client, "to the second");
    expect_at_server(second, 1, "to the second");
    /* The way back goes without an interruption. */
    const char *event = EVENT(client, "\"event\":");
    while (!strstr(event, "\"event\":\"endpoint\"")) {
        CHECK(!strstr(event, "\"event\":\"state\""));
        event = EVENT(client, "\"event\":");
    }
    CHECK(strstr(event, url_of(first)) && strstr(event, "back to the preferred endpoint"));
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    send_text(client, "home");
    expect_at_server(first, 2, "home");
    await_record(second, 1, "close", "1000");
    IS((int64_t)statistic(client, "reconnects_network"), 1);
    check_account(client);
    pulsews_client_free(client);
}

/* Messages that are sent while the connection changes arrive once, at one of the servers. */
TEST(a_change_of_endpoint_loses_nothing) {
    enum { SENT = 3000 };
    server *first = scripted(SCRIPTS("refuse 503", "accept")), *second = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(first),
                                         OPTIONS(FAST, option("endpoints=%s", url_of(second)), "endpoint_return=100ms",
                                                 "backlog_interval=0", "message_queue_size=100000"));
    CHECK(pulsews_start(client) == PULSEWS_OK && pulsews_wait_ready(client, SHORT, NULL, 0) == PULSEWS_OK);
    int64_t end = now_ns() + SHORT;
    int sent = 0;
    while ((count_records(first, 2, "text", NULL) < 100 || sent < SENT) && now_ns() < end) {
        send_text(client, "x");
        check_account(client);
        sent++;
        for (int64_t until = now_ns() + 100000; now_ns() < until;) {}
    }
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    IS((int64_t)statistic(client, "messages_sent"), sent);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_record(first, 2, "close", NULL);
    await_record(second, 1, "close", NULL);
    fprintf(stderr, "%d sent, %d and %d arrived\n", sent, count_records(second, 1, "text", NULL),
            count_records(first, 2, "text", NULL));
    IS(count_records(first, 2, "text", NULL) + count_records(second, 1, "text", NULL), sent);
    pulsews_client_free(client);
}

/* The preferred one is not back yet: the connection goes on, and the client asks again. */
TEST(a_failed_return_disturbs_nothing) {
    server *first = scripted(SCRIPTS("refuse 503")), *second = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(first), OPTIONS(FAST, option("endpoints=%s", url_of(second)),
                                                                 "endpoint_return=100ms", "breaker_failures=0"));
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    for (int i = 1; i <= 3; i++) await_record(first, i, "request", NULL);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    send_text(client, "still here");
    expect_at_server(second, 1, "still here");
    IS((int64_t)statistic(client, "connections"), 1);
    pulsews_client_free(client);
}

TEST(a_breaker_opens_and_closes) {
    server *first = scripted(SCRIPTS("refuse 503", "refuse 503", "accept"));
    server *second = scripted(SCRIPTS("accept | cut", "accept | go | cut"));
    char first_url[100], status[16384];
    snprintf(first_url, sizeof first_url, "\"endpoint\":\"%s\"", url_of(first));
    pulsews_client *client = make_client(port_of(first),
                                         OPTIONS(FAST, option("endpoints=%s", url_of(second)), "breaker_failures=2",
                                                 "breaker_timeout=500ms", "endpoint_return=0", "stable_time=0"));
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"breaker\"", first_url, "\"breaker\":\"open\"");
    EVENT(client, STATE("connected"), url_of(second));
    EVENT(client, "\"event\":\"ready\"");
    poll(NULL, 0, 20);
    tell_server(second, "go");
    EVENT(client, STATE("connected"), url_of(second)); /* again: the first one's breaker is open */
    EVENT(client, "\"event\":\"ready\"");
    for (int64_t end = now_ns() + SHORT; now_ns() < end; poll(NULL, 0, 1)) {
        CHECK(pulsews_status_json(client, status, sizeof status) < (int64_t)sizeof status);
        if (strstr(status, "\"breaker\":\"half-open\"")) break;
    }
    fprintf(stderr, "%s\n", status);
    CHECK(strstr(status, "\"breaker\":\"half-open\""));
    tell_server(second, "go");
    EVENT(client, "\"event\":\"breaker\"", first_url, "\"breaker\":\"half-open\"");
    EVENT(client, STATE("connected"), url_of(first)); /* the trial */
    int64_t begin = now_ns();
    EVENT(client, "\"event\":\"breaker\"", first_url, "\"breaker\":\"closed\"");
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5));
    pulsews_client_free(client);
}

/* A final failure of one endpoint leaves the others. */
TEST(a_final_failure_rules_one_endpoint_out) {
    server *first = scripted(SCRIPTS("refuse 403")),
           *second = scripted(SCRIPTS("accept | cut", "accept | cut", "refuse 404"));
    pulsews_client *client = make_client(port_of(first), OPTIONS(FAST, option("endpoints=%s", url_of(second)),
                                                                 "endpoint_return=100ms"));
    pulsews_message message;
    int32_t status;
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 2; i++) EVENT(client, STATE("connected"), url_of(second));
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_EHANDSHAKE); /* the second one is ruled out too */
    IS(count_records(first, 0, "request", NULL), 1);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    pulsews_client_free(client);
}

TEST(endpoints_that_are_refused) {
    char why[PULSEWS_ERROR_SIZE], secure[] = "wss://127.0.0.1:1/";
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    IS(pulsews_config_set(config, "endpoints", "http://127.0.0.1/", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_config_set(config, "endpoints", "", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_config_set(config, "endpoints", "ws://user:secret@127.0.0.1:0/?token=hidden", why, sizeof why),
       PULSEWS_EVALUE);
    CHECK(!strstr(why, "secret") && !strstr(why, "hidden"));
    IS(pulsews_config_set(config, "endpoints", secure, why, sizeof why), PULSEWS_OK);
    CHECK(pulsews_client_create("ws://127.0.0.1:1/", config, NULL, &client, why, sizeof why) < 0); /* ws and wss */
    CHECK(client == NULL && strlen(why) > 10);
    for (int i = 1; i < 16; i++) {
        snprintf(why, sizeof why, "wss://127.0.0.1:%d/", i + 1);
        IS(pulsews_config_set(config, "endpoints", why, NULL, 0), PULSEWS_OK);
    }
    IS(pulsews_config_set(config, "endpoints", secure, why, sizeof why), PULSEWS_EVALUE);
    pulsews_config_free(config);
}

/* All clients of the process keep to one rate for a host, and come in turn. */
TEST(many_clients_do_not_storm_a_host) {
    enum { CLIENTS = 12, RATE = 4 };
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *clients[CLIENTS];
    int64_t begin = now_ns();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = make_client(port_of(s), OPTIONS("host_connect_rate=4/500ms"));
        IS(pulsews_start(clients[i]), PULSEWS_OK);
    }
    for (int i = 0; i < CLIENTS; i++) {
        IS(pulsews_open(clients[i], SHORT, NULL, 0), PULSEWS_OK);
        fprintf(stderr, "%.0f ms\n", (double)(now_ns() - begin) / 1e6);
        CHECK(now_ns() - begin >= i / RATE * PULSEWS_MILLISECONDS(500));
    }
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5));
    for (int i = 0; i < CLIENTS; i++) pulsews_client_free(clients[i]);
}

/* No more than so many attempts at once; who gives up makes room for others. */
TEST(attempts_at_one_host_are_few) {
    enum { CLIENTS = 10 };
    server *s = scripted(SCRIPTS("go | accept"));
    pulsews_client *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = make_client(port_of(s), OPTIONS("host_connects=3", "host_connect_rate=10000/s"));
        IS(pulsews_start(clients[i]), PULSEWS_OK);
    }
    await_record(s, 3, "request", NULL);
    IS(pulsews_open(clients[CLIENTS - 1], PULSEWS_MILLISECONDS(200), NULL, 0), PULSEWS_ETIMEOUT);
    IS(count_records(s, 0, "request", NULL), 3);
    pulsews_client_free(clients[CLIENTS - 1]); /* while it waits for its turn */
    pulsews_client_free(clients[0]);           /* while it is on its way */
    await_record(s, 4, "request", NULL);
    for (int i = 0; i < CLIENTS; i++) tell_server(s, "go");
    for (int i = 1; i < CLIENTS - 1; i++) IS(pulsews_open(clients[i], SHORT, NULL, 0), PULSEWS_OK);
    for (int i = 1; i < CLIENTS - 1; i++) pulsews_client_free(clients[i]);
}

/* The attempt at the preferred endpoint needs what is new, as each attempt does. */
TEST(a_return_holds_too) {
    server *first = scripted(SCRIPTS("refuse 503", "accept")), *second = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(first), OPTIONS(FAST, option("endpoints=%s", url_of(second)),
                                                                 "endpoint_return=200ms", "hold_connect=true"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int attempt = 1; attempt <= 3; attempt++) {
        EVENT(client, "\"event\":\"hold\"", "\"at\":\"connect\"", attempt == 2 ? url_of(second) : url_of(first));
        IS(pulsews_set_header(client, "X-Attempt", (char[]){(char)('0' + attempt), 0}, NULL, 0), PULSEWS_OK);
        IS(pulsews_release(client), PULSEWS_OK);
        if (attempt == 2) IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    }
    CHECK(strstr(await_record(first, 2, "request", NULL)->text, "X-Attempt: 3"));
    pulsews_client_free(client);
}
