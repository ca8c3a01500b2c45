/* SPDX-License-Identifier: Apache-2.0
 *
 * From one connection to the next: coming back, delays, when to stop, and what the application sees of it. */
#include "harness.h"
#include <math.h>
#include <poll.h>

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"
#define STATE(to) "\"event\":\"state\",\"state\":\"" to "\""

static int near(double value, double wanted) { return fabs(value - wanted) < 1e-6; }

TEST(comes_back_after_a_cut) {
    server *s = scripted(SCRIPTS("accept | text one | go | cut", "accept | text two"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST));
    await_text(client, "one");
    tell_server(s, "go");
    const char *event = EVENT(client, STATE("reconnecting"), "\"previous\":\"connected\"", "\"trigger\":\"retry\"");
    CHECK(strstr(event, "\"error\":\"PULSEWS_EEOF\"") && near(json_number(event, "next_delay"), 0.01));
    IS((int64_t)json_number(event, "close_code"), 1006);
    EVENT(client, STATE("reconnecting"), "\"trigger\":\"attempt\"", url_of(s));
    EVENT(client, STATE("connected"), "\"trigger\":\"opened\"");
    event = EVENT(client, "\"event\":\"ready\"");
    CHECK(json_number(event, "seconds") >= 0 && json_number(event, "subscriptions") == 0);
    await_text(client, "two");
    IS((int64_t)statistic(client, "reconnections"), 1);
    IS((int64_t)statistic(client, "reconnects_network"), 1);
    IS((int64_t)statistic(client, "connections"), 2);
    IS(pulsews_close_code(client), 0);
    pulsews_client_free(client);
}

static void *receive_one(void *client) {
    await_text(client, "from the second");
    return NULL;
}

/* A blocked recv goes on waiting over an outage, and what was sent meanwhile arrives. */
TEST(comes_back_after_a_restart) {
    server *s = scripted(SCRIPTS("accept | text from the first", "accept | got 2 | text from the second"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("reconnect_base_delay=10ms", "reconnect_max_delay=40ms",
                                                             "max_reconnect_attempts=0"));
    await_text(client, "from the first");
    tell_server(s, "down");
    await_record(s, 0, "down", NULL);
    await_statistic(client, "failures_connect", 3);
    IS(pulsews_client_state(client), PULSEWS_RECONNECTING);
    pthread_t receiver = run_thread(receive_one, client);
    send_text(client, "sent during the outage");
    send_text(client, "and another");
    check_account(client);
    tell_server(s, "up");
    expect_at_server(s, 2, "sent during the outage");
    expect_at_server(s, 2, "and another");
    pthread_join(receiver, NULL);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    check_account(client);
    pulsews_client_free(client);
}

TEST(delays_are_those_of_the_formula) {
    static const double delays[] = {0.02, 0.04, 0.08, 0.1, 0.1, 0.1};
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *client = make_client(refusing_port(),
                                         OPTIONS("reconnect_base_delay=20ms", "reconnect_max_delay=100ms", "jitter=0",
                                                 "events=true", "max_reconnect_attempts=6"));
    pulsews_message message;
    int64_t begin = now_ns();
    double least = 0;
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, STATE("connecting"), "\"trigger\":\"start\"");
    for (int i = 0; i < 6; i++) {
        const char *event = EVENT(client, STATE("reconnecting"), "\"trigger\":\"retry\"", "PULSEWS_EREFUSED");
        CHECK(near(json_number(event, "next_delay"), delays[i]));
        IS((int64_t)json_number(event, "attempt"), i + 2);
        event = EVENT(client, STATE("reconnecting"), "\"trigger\":\"attempt\"");
        least += delays[i]; /* since the start: the timer began before the event was taken */
        CHECK((double)(now_ns() - begin) / 1e9 >= least);
        CHECK(near(json_number(event, "next_delay"), 0));
    }
    EVENT(client, STATE("error"), "\"trigger\":\"give_up\"", "gave up after ", "PULSEWS_EREFUSED");
    for (int i = 0; i < 2; i++) IS(pulsews_recv(client, &message, PULSEWS_FOREVER), PULSEWS_EREFUSED);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    IS(pulsews_client_error(client, why, sizeof why), PULSEWS_EREFUSED);
    CHECK(strncmp(why, "gave up after ", 14) == 0 && strstr(why, "127.0.0.1"));
    IS(pulsews_open(client, PULSEWS_FOREVER, why, sizeof why), PULSEWS_EREFUSED);
    IS(pulsews_wait_ready(client, PULSEWS_FOREVER, why, sizeof why), PULSEWS_EREFUSED);
    IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, PULSEWS_FOREVER), PULSEWS_ENOTCONNECTED);
    pulsews_client_free(client);
}

TEST(jitter_shortens_delays) {
    pulsews_client *client = make_client(refusing_port(),
                                         OPTIONS("reconnect_base_delay=20ms", "reconnect_max_delay=20ms", "jitter=0.5",
                                                 "events=true", "max_reconnect_attempts=30"));
    double least = 1, most = 0;
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 30; i++) {
        double delay = json_number(EVENT(client, "\"trigger\":\"retry\""), "next_delay");
        CHECK(delay > 0.01 - 1e-6 && delay < 0.02 + 1e-6);
        least = delay < least ? delay : least, most = delay > most ? delay : most;
    }
    CHECK(most - least > 0.002);
    pulsews_client_free(client);
}

static void refused_with(const char *script, int is_final, const char *options) {
    server *s = scripted(SCRIPTS(script, "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, options));
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_message message;
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EHANDSHAKE);
    if (is_final) {
        EVENT(client, STATE("error"), "\"trigger\":\"give_up\"", "PULSEWS_EHANDSHAKE");
        IS(pulsews_recv(client, &message, PULSEWS_FOREVER), PULSEWS_EHANDSHAKE);
        IS(pulsews_client_state(client), PULSEWS_ERROR);
        IS((int64_t)statistic(client, "attempts"), 1);
        /* The application can ask anew all the same. */
        IS(pulsews_reconnect(client), PULSEWS_OK);
    }
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_OK);
    IS((int64_t)statistic(client, "failures_handshake"), 1);
    pulsews_client_free(client);
}

TEST(a_401_is_final) { refused_with("refuse 401", 1, "name=a"); }
TEST(a_403_is_final) { refused_with("refuse 403", 1, "name=a"); }
TEST(a_404_is_final) { refused_with("refuse 404", 1, "name=a"); }
TEST(a_403_is_tried_again_with_retry_fatal) { refused_with("refuse 403", 0, "retry_fatal=true"); }
TEST(a_500_is_tried_again) { refused_with("refuse 500", 0, "name=a"); }
TEST(a_429_is_tried_again) { refused_with("refuse 429 Retry-After: 0", 0, "name=a"); }

/* A certificate that does not verify will not be better the next time. */
TEST(a_bad_certificate_is_final) {
    server *s = scripted(SCRIPTS("--tls", "accept | text hello | cut", "accept | text again"));
    char url[64], why[PULSEWS_ERROR_SIZE] = "";
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/", port_of(s));
    pulsews_client *client = make_client_at(url, OPTIONS(FAST));
    pulsews_message message;
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EUNKNOWNCA);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    int32_t status;
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_EUNKNOWNCA);
    IS((int64_t)statistic(client, "attempts"), 1);
    IS((int64_t)statistic(client, "failures_tls"), 1);
    pulsews_client_free(client);
    client = make_client_at(url, OPTIONS(FAST, "retry_fatal=true"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 2; i++) EVENT(client, "\"trigger\":\"retry\"", "PULSEWS_EUNKNOWNCA");
    pulsews_client_free(client);
    client = make_client_at(url, OPTIONS(FAST, "verify=false"));
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "hello"); /* refused handshakes are no connections of the script */
    await_text(client, "again");
    pulsews_client_free(client);
}

/* The first delay after a refusal, or after a close. */
static double first_delay(const char *script, const char *option) {
    pulsews_client *client = make_client(port_of(scripted(SCRIPTS(script))), OPTIONS(FAST, option));
    IS(pulsews_start(client), PULSEWS_OK);
    double delay = json_number(EVENT(client, "\"trigger\":\"retry\""), "next_delay");
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    CHECK(json_number(EVENT(client, "\"trigger\":\"disconnect\""), "next_delay") == 0); /* none is waited for */
    pulsews_client_free(client);
    return delay;
}

TEST(retry_after_is_honoured) {
    CHECK(near(first_delay("refuse 503 Retry-After: 7", "name=a"), 7));
    CHECK(near(first_delay("refuse 429 Retry-After: 120", "name=a"), 120));
    double delay = first_delay("refuse 503 Retry-After: {date+5}", "name=a");
    CHECK(delay > 2.9 && delay < 5.1);
    CHECK(near(first_delay("refuse 503 Retry-After: 0", "name=a"), 0.01));
    CHECK(near(first_delay("refuse 503 Retry-After: soon", "name=a"), 0.01));
    CHECK(near(first_delay("refuse 503 Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", "name=a"), 0.01));
    delay = first_delay("refuse 503 Retry-After: 99999999999999999999", "name=a");
    CHECK(near(delay, 0.01) || near(delay, 86400));
}

TEST(a_restart_is_given_time) {
    CHECK(near(first_delay("accept | close 1012 restart", "restart_delay=300ms"), 0.3));
    CHECK(near(first_delay("accept | close 1013 later", "restart_delay=300ms"), 0.3));
    CHECK(near(first_delay("accept | close 1001 away", "restart_delay=300ms"), 0.01));
    for (int i = 0; i < 3; i++) {
        pulsews_client *client = make_client(port_of(scripted(SCRIPTS("accept | close 1012"))),
                                             OPTIONS("events=true", "reconnect_base_delay=1ms", "restart_delay=100ms"));
        IS(pulsews_start(client), PULSEWS_OK);
        double delay = json_number(EVENT(client, "\"trigger\":\"retry\"", "\"close_code\":1012"), "next_delay");
        CHECK(delay >= 0.1 && delay <= 0.6);
        pulsews_client_free(client);
    }
}

/* A server that accepts and drops does not make the count begin again. */
TEST(only_a_stable_connection_counts) {
    pulsews_client *client = make_client(port_of(scripted(SCRIPTS("accept | cut"))),
                                         OPTIONS(FAST, "max_reconnect_attempts=4"));
    static const double delays[] = {0.01, 0.02, 0.04, 0.04};
    pulsews_message message;
    char why[PULSEWS_ERROR_SIZE];
    int32_t status;
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 4; i++)
        CHECK(near(json_number(EVENT(client, "\"trigger\":\"retry\"", "\"previous\":\"connected\""), "next_delay"),
                   delays[i]));
    EVENT(client, STATE("error"), "gave up after 4 attempts: ");
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_EEOF);
    IS(pulsews_client_error(client, why, sizeof why), PULSEWS_EEOF);
    CHECK(strncmp(why, "gave up after 4 attempts: ", 26) == 0);
    pulsews_client_free(client);
}

TEST(a_stable_connection_begins_the_count_again) {
    pulsews_client *client = make_client(port_of(scripted(SCRIPTS("accept | sleep 60 | cut"))),
                                         OPTIONS(FAST, "max_reconnect_attempts=2", "stable_time=20ms"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 5; i++) {
        const char *event = EVENT(client, "\"trigger\":\"retry\"");
        CHECK(near(json_number(event, "next_delay"), 0.01));
        IS((int64_t)json_number(event, "attempt"), 2);
    }
    pulsews_client_free(client);
}

TEST(zero_attempts_never_stop) {
    pulsews_client *client = make_client(refusing_port(),
                                         OPTIONS("events=true", "reconnect_base_delay=1ms", "reconnect_max_delay=1ms",
                                                 "max_reconnect_attempts=0"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 50; i++) EVENT(client, "\"trigger\":\"retry\"");
    IS(pulsews_client_state(client), PULSEWS_RECONNECTING);
    pulsews_client_free(client);
}

/* Each failed attempt is told by one call of open, and the client goes on trying. */
TEST(open_tells_each_failed_attempt) {
    server *s = scripted(SCRIPTS("refuse 503", "refuse 502", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("reconnect_base_delay=100ms"));
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EHANDSHAKE);
    CHECK(strstr(why, "503"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EHANDSHAKE);
    CHECK(strstr(why, "502"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    pulsews_client_free(client);
}

static void *wait_for_attempt(void *client) {
    EVENT(client, "\"trigger\":\"attempt\"");
    return NULL;
}

/* A consumer that waits gets an event when it happens, not with the next message. */
TEST(events_come_at_once) {
    server *s = scripted(SCRIPTS("accept | close 4000", "go | accept"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS("events=true", "reconnect_base_delay=1h", "reconnect_max_delay=1h"));
    EVENT(client, "\"trigger\":\"retry\"");
    pthread_t thread = run_thread(wait_for_attempt, client);
    poll(NULL, 0, 50); /* it waits by then, most likely */
    int64_t begin = now_ns();
    IS(pulsews_reconnect(client), PULSEWS_OK);
    pthread_join(thread, NULL);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(3));
    pulsews_client_free(client);
}

/* Nobody takes the events: they are dropped, and that is told as soon as there is room. */
TEST(events_do_not_fill_the_memory) {
    pulsews_client *client = make_client(refusing_port(),
                                         OPTIONS("events=true", "reconnect_base_delay=1ms", "reconnect_max_delay=1ms",
                                                 "max_reconnect_attempts=0", "receive_queue_bytes=4KiB",
                                                 "host_connect_rate=10000/s"));
    pulsews_message message;
    IS(pulsews_start(client), PULSEWS_OK);
    await_statistic(client, "events_dropped", 50);
    CHECK(statistic(client, "receive_queue_bytes") < 8192 + (1 << 20)); /* events of states may take 1 MiB more */
    uint64_t sequence = 0;
    double told = 0;
    while (told == 0) {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        IS((int64_t)message.sequence, (int64_t)++sequence); /* no number is left out */
        char text[1024];
        snprintf(text, sizeof text, "%.*s", (int)message.length, (const char *)message.data);
        if (strstr(text, "\"event\":\"events_dropped\"")) told = json_number(text, "events");
    }
    CHECK(told >= 50);
    pulsews_client_free(client);
}

/* Without events the descriptor tells of changes all the same. */
TEST(the_descriptor_tells_of_changes) {
    server *s = scripted(SCRIPTS("accept | go | cut", "accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("reconnect_base_delay=50ms", "jitter=0"));
    struct pollfd wait = {.fd = pulsews_wake_fd(client), .events = POLLIN};
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    tell_server(s, "go");
    static const int32_t states[] = {PULSEWS_RECONNECTING, PULSEWS_CONNECTED};
    for (int i = 0; i < 2; i++)
        while (pulsews_client_state(client) != states[i]) {
            CHECK(poll(&wait, 1, 10000) == 1);
            IS(pulsews_wake_clear(client), PULSEWS_OK);
        }
    pulsews_client_free(client);
}

/* The next attempt does not make one forget how the last connection ended. */
TEST(the_close_code_is_that_of_the_last_connection) {
    server *s = scripted(SCRIPTS("accept | close 4001 enough", "refuse 503", "go"));
    char reason[32];
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 0; i < 2; i++) {
        EVENT(client, "\"trigger\":\"retry\"", "\"close_code\":4001");
        IS(pulsews_close_code(client), 4001);
        IS(pulsews_close_reason(client, reason, sizeof reason), 6);
    }
    IS(pulsews_handshake_status(client), 503);
    pulsews_client_free(client);
}

/* open() tells of the present attempts, not of a connection that was good before them. */
TEST(open_tells_that_coming_back_failed) {
    server *s = scripted(SCRIPTS("accept | text one | go | cut"));
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_message message;
    pulsews_client *client = open_client(port_of(s), OPTIONS("reconnect=false"));
    await_text(client, "one");
    tell_server(s, "go");
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_EEOF);
    tell_server(s, "down");
    await_record(s, 0, "down", NULL);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EREFUSED);
    CHECK(strstr(why, "127.0.0.1"));
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    pulsews_client_free(client);
}

TEST(open_tells_that_the_attempts_are_used_up) {
    server *s = scripted(SCRIPTS("accept | got 1 | text no"));
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_message message;
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, "login=in", "login_confirm=yes", "login_reject=no",
                                                             "max_reconnect_attempts=2"));
    int32_t status;
    IS(pulsews_start(client), PULSEWS_OK);
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) {}
    IS(status, PULSEWS_ELOGIN);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_ELOGIN);
    CHECK(strncmp(why, "gave up after ", 14) == 0);
    pulsews_client_free(client);
}

/* An attempt that is under way does not keep reconnect() from using what was set just before. */
TEST(reconnect_leaves_an_attempt_with_the_old_header) {
    server *s = scripted(SCRIPTS("go | accept", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("headers=X-Token: old", "open_timeout=60s"));
    IS(pulsews_start(client), PULSEWS_OK);
    CHECK(strstr(await_record(s, 1, "request", NULL)->text, "X-Token: old"));
    IS(pulsews_set_header(client, "X-Token", "new", NULL, 0), PULSEWS_OK);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    const char *request = await_record(s, 2, "request", NULL)->text;
    CHECK(strstr(request, "X-Token: new") && !strstr(request, "old"));
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    IS((int64_t)statistic(client, "connections"), 1);
    pulsews_client_free(client);
}
