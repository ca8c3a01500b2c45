/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of transitions and statistics, and that numbers, JSON and Prometheus text say the same. */
#include "harness.h"
#include <math.h>

static int is_name(const char *text) {
    return *text && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(text);
}

TEST(transition_table_is_sane) {
    const char *event, *meaning, *events[64];
    int32_t from, to, states[64];
    size_t count = 0;
    for (; pulsews_transition_at(count, &from, &event, &to, &meaning) == PULSEWS_OK; count++) {
        CHECK(count < 64 && from >= PULSEWS_DISCONNECTED && from <= PULSEWS_ERROR && to >= PULSEWS_DISCONNECTED &&
              to <= PULSEWS_ERROR);
        CHECK(is_name(event) && strlen(meaning) > 10);
        for (size_t i = 0; i < count; i++) CHECK(states[i] != from || strcmp(events[i], event) != 0);
        states[count] = from, events[count] = event;
    }
    CHECK(count >= 15);
    IS(pulsews_transition_at(count, &from, &event, &to, &meaning), PULSEWS_EINVAL);
    IS(pulsews_transition_at(SIZE_MAX, NULL, NULL, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_transition_at((size_t)1 << 63, NULL, NULL, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_transition_at(0, NULL, NULL, NULL, NULL), PULSEWS_OK);
}

/* Each event of a life is a line of the table, and begins where the one before it ended. */
TEST(a_life_keeps_to_the_table) {
    static const char *const names[] = {"disconnected", "connecting", "connected", "reconnecting", "error"};
    server *s = scripted(SCRIPTS("accept | cut", "refuse 503", "accept | go | close 1001", "refuse 404", "accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("events=true", "reconnect_base_delay=5ms"));
    pulsews_message message;
    int32_t now = PULSEWS_DISCONNECTED, status;
    IS(pulsews_start(client), PULSEWS_OK);
    for (int seen = 0; seen < 20;) {
        status = pulsews_recv(client, &message, SHORT);
        if (status != PULSEWS_OK) {
            if (now == PULSEWS_ERROR) IS(pulsews_reconnect(client), PULSEWS_OK);
            if (now == PULSEWS_DISCONNECTED) break;
            continue;
        }
        char text[1024], part[100], *cause;
        snprintf(text, sizeof text, "%.*s", (int)message.length, (const char *)message.data);
        fprintf(stderr, "%s\n", text);
        if (strstr(text, "\"event\":\"ready\"") && count_records(s, 0, "request", NULL) == 3) tell_server(s, "go");
        if (strstr(text, "\"event\":\"ready\"") && count_records(s, 0, "request", NULL) == 5)
            pulsews_disconnect(client, SHORT);
        if (!strstr(text, "\"event\":\"state\"")) continue;
        snprintf(part, sizeof part, "\"previous\":\"%s\"", names[now]);
        CHECK(strstr(text, part) && (cause = strstr(text, "\"cause\":\"")) != NULL && cause[9] != '"');
        int32_t from, to = -1;
        const char *event;
        int found = 0;
        for (size_t i = 0; !found && pulsews_transition_at(i, &from, &event, &to, NULL) == PULSEWS_OK; i++) {
            snprintf(part, sizeof part, "\"state\":\"%s\",\"previous\":\"%s\",\"trigger\":\"%s\"", names[to],
                     names[from], event);
            found = from == now && strstr(text, part) != NULL;
        }
        CHECK(found);
        now = to;
        seen++;
    }
    IS(now, PULSEWS_DISCONNECTED);
    pulsews_client_free(client);
}

TEST(statistic_table_is_sane) {
    static const char *const types[] = {"counter", "gauge"};
    const char *name, *type, *unit, *meaning, *other;
    size_t count = 0;
    for (; pulsews_statistic_at(count, &name, &type, &unit, &meaning) == PULSEWS_OK; count++) {
        CHECK(is_name(name) && (strcmp(type, types[0]) == 0 || strcmp(type, types[1]) == 0));
        CHECK(is_name(unit) && strlen(meaning) > 5 && !strchr(meaning, '\n') && !strchr(meaning, '\\'));
        for (size_t i = 0; i < count; i++) {
            IS(pulsews_statistic_at(i, &other, NULL, NULL, NULL), PULSEWS_OK);
            CHECK(strcmp(other, name) != 0);
        }
    }
    CHECK(count > 50);
    IS(pulsews_statistic_at(count, NULL, NULL, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_statistic_at(SIZE_MAX, &name, &type, &unit, &meaning), PULSEWS_EINVAL);
    IS(pulsews_statistic_at((size_t)1 << 63, NULL, NULL, NULL, NULL), PULSEWS_EINVAL);
    pulsews_client *client = make_client(1, NO_OPTIONS);
    double values[256];
    IS(pulsews_statistics(client, NULL, 0), (int64_t)count);
    IS(pulsews_statistics(client, NULL, SIZE_MAX), (int64_t)count);
    IS(pulsews_statistics(client, values, 0), (int64_t)count);
    IS(pulsews_statistics(NULL, values, 256), PULSEWS_EINVAL);
    for (size_t few = 1; few <= count + 2; few++) {
        for (int i = 0; i < 256; i++) values[i] = -77;
        IS(pulsews_statistics(client, values, few), (int64_t)count);
        for (size_t i = 0; i < 256; i++) CHECK((values[i] == -77) == (i >= few || i >= count));
    }
    pulsews_client_free(client);
}

static int is_same(double a, double b) { return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-6 * fabs(a) + 1e-8; }

/* The value behind the labels of a metric. */
static double in_prometheus(const char *text, const char *name, const char *type, const char *unit,
                            const char *labels) {
    char line[500];
    int length = snprintf(line, sizeof line, "\npulsews_%s%s%s{%s} ", name,
                          strcmp(unit, "seconds") == 0 ? "_seconds" : "", strcmp(type, "counter") == 0 ? "_total" : "",
                          labels);
    line[length - 2] = 0; /* the number of the client, in the label id, follows */
    const char *at = strstr(text, line);
    if (!at) fprintf(stderr, "no%s", line);
    CHECK(at && length < (int)sizeof line && !strstr(at + 1, line));
    int number = 0, used = 0;
    CHECK(sscanf(at + length - 2, ",id=\"%d\"} %n", &number, &used) == 1 && number > 0 && used > 0);
    line[length - (int)strlen(labels) - 3] = 0; /* the name alone: its type is told once, before it */
    char told[600];
    snprintf(told, sizeof told, "# TYPE %s %s\n", line + 1, type);
    const char *before = strstr(text, told);
    CHECK(before && before < at && !strstr(before + 1, told));
    const char *value = at + length - 2 + used;
    return strncmp(value, "NaN", 3) == 0 ? NAN : strtod(value, NULL);
}

TEST(statistics_agree) {
    static char status[1 << 16], text[1 << 18], all[1 << 18];
    char labels[300];
    double values[256];
    const char *name, *type, *unit;
    server *s = scripted(SCRIPTS("deflate | text one | ping x | cut", "accept | text two"));
    pulsews_client *client = make_client(port_of(s), OPTIONS("name=a \"b\" \\c", "reconnect_base_delay=1ms",
                                                             "heartbeat_interval=10ms"));
    pulsews_client *second = open_client(start_server("echo"), OPTIONS("name=second"));
    IS(pulsews_start(client), PULSEWS_OK);
    await_text(client, "one");
    await_text(client, "two");
    for (int i = 0; i < 5; i++) send_text(client, "and some text to be sent, which is longer than a few bytes");
    await_statistic(client, "pongs_received", 3);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK); /* from here on nothing changes, but for times */
    CHECK(pulsews_status_json(client, status, sizeof status) < (int64_t)sizeof status);
    int64_t length = pulsews_prometheus(client, text, sizeof text);
    CHECK(length > 0 && length < (int64_t)sizeof text && (size_t)length == strlen(text) && text[length - 1] == '\n');
    IS(pulsews_prometheus(client, NULL, 0), length);
    int64_t whole = pulsews_prometheus(NULL, all, sizeof all);
    CHECK(whole > length && whole < (int64_t)sizeof all && (size_t)whole == strlen(all));
    CHECK(pulsews_statistics(client, values, 256) > 0);
    const char *stats = strstr(status, "\"stats\":{");
    CHECK(stats != NULL);
    snprintf(labels, sizeof labels, "client=\"a \\\"b\\\" \\\\c\",endpoint=\"%s\"", url_of(s));
    for (size_t i = 0; pulsews_statistic_at(i, &name, &type, &unit, NULL) == PULSEWS_OK; i++) {
        double number = json_number(stats, name);
        if (strcmp(name, "silence") == 0) continue; /* grows */
        fprintf(stderr, "%s %g %g\n", name, values[i], number);
        CHECK(is_same(values[i], number));
        CHECK(is_same(values[i], in_prometheus(text, name, type, unit, labels)));
        CHECK(is_same(values[i], in_prometheus(all, name, type, unit, labels)));
    }
    IS((int64_t)statistic(client, "messages_received"), 2);
    IS((int64_t)statistic(client, "messages_sent"), 5);
    IS((int64_t)statistic(client, "pings_received"), (int64_t)statistic(client, "pongs_sent"));
    CHECK(statistic(client, "connected_time") > 0.02 && statistic(client, "connected_time") < 20);
    CHECK(strstr(all, "{client=\"second\","));
    char cut[10] = "#########";
    IS(pulsews_prometheus(client, cut, 5), length);
    CHECK(strlen(cut) == 4 && cut[5] == '#');
    pulsews_client_free(client);
    CHECK(pulsews_prometheus(NULL, all, sizeof all) > 0 && !strstr(all, "{client=\"a "));
    pulsews_client_free(second);
    CHECK(pulsews_prometheus(NULL, all, sizeof all) >= 0 && !strchr(all, '{'));
}

/* While a client lives: no number that is not one, and the account holds between any two looks. */
TEST(statistics_of_a_busy_client) {
    pulsews_client *client = open_client(start_server("echo"),
                                         OPTIONS("rate_limit=100000/s", "compression_threshold=0"));
    pulsews_message message;
    double last[256] = {0}, values[256];
    const char *type;
    for (int i = 0; i < 3000; i++) {
        send_text(client, "some text");
        if (i % 3 == 0) IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        int32_t count = pulsews_statistics(client, values, 256);
        for (int32_t k = 0; k < count; k++) {
            IS(pulsews_statistic_at((size_t)k, NULL, &type, NULL, NULL), PULSEWS_OK);
            CHECK(isnan(values[k]) || (isfinite(values[k]) && values[k] >= 0));
            if (strcmp(type, "counter") == 0) CHECK(values[k] >= last[k]);
            last[k] = values[k];
        }
        check_account(client);
    }
    pulsews_client_free(client);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Clients with the same name and endpoint are different series all the same. */
TEST(no_series_is_told_twice) {
    enum { MOST = 1024 };
    static char text[1 << 18];
    char *series[MOST], *rest = text;
    size_t count = 0, of_one = 0;
    pulsews_client *clients[3];
    for (int i = 0; i < 3; i++) clients[i] = make_client(1, OPTIONS("name=same"));
    while (pulsews_statistic_at(of_one, NULL, NULL, NULL, NULL) == PULSEWS_OK) of_one++;
    int64_t length = pulsews_prometheus(NULL, text, sizeof text);
    CHECK(length > 0 && length < (int64_t)sizeof text);
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        char *value = strrchr(line, ' ');
        if (*line == '#') continue;
        CHECK(value != NULL && count < MOST);
        *value = 0;
        series[count++] = line;
    }
    IS((int64_t)count, 3 * (int64_t)of_one);
    qsort(series, count, sizeof *series, by_text);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(series[i - 1], series[i]) == 0) fprintf(stderr, "twice: %s\n", series[i]);
        CHECK(strcmp(series[i - 1], series[i]) != 0);
    }
    for (int i = 0; i < 3; i++) pulsews_client_free(clients[i]);
}

static volatile int scrapes_are_done;

static void *send_all_the_time(void *client) {
    while (!scrapes_are_done) IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, SHORT), PULSEWS_OK);
    return NULL;
}

static int64_t scraped(const char *text, const char *metric) {
    char start[100];
    snprintf(start, sizeof start, "\npulsews_%s{", metric);
    const char *at = strstr(text, start), *value = at ? strstr(at, "} ") : NULL;
    if (!value) fprintf(stderr, "no %s\n", metric);
    CHECK(value != NULL);
    return (int64_t)strtod(value + 2, NULL);
}

/* The numbers of one scrape are of one moment, however busy the client is. */
TEST(the_account_holds_within_a_scrape) {
    static char text[1 << 18];
    pulsews_client *client = open_client(start_server("ignores-close"),
                                         OPTIONS("compression=false", "message_queue_size=100"));
    pthread_t sender = run_thread(send_all_the_time, client);
    await_statistic(client, "messages_accepted", 1000);
    for (int i = 0; i < 300; i++) {
        CHECK(pulsews_prometheus(client, text, sizeof text) < (int64_t)sizeof text);
        int64_t accepted = scraped(text, "messages_accepted_total");
        int64_t fates = scraped(text, "messages_sent_total") + scraped(text, "messages_dropped_total") +
                        scraped(text, "messages_expired_total") + scraped(text, "messages_failed_total") +
                        scraped(text, "queue_size");
        IS(fates, accepted);
    }
    scrapes_are_done = 1;
    pthread_join(sender, NULL);
    pulsews_client_free(client);
}
