/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequence numbers: what a feed left out, sent twice or sent late is told, just before the message. */
#include "harness.h"

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true"

static const char *const interesting[] = {"\"event\":\"gap\"", "\"event\":\"repeat\"", "\"event\":\"step_back\""};

/* Receives until the text "end"; `expected` are the texts and the events about numbers in order, an event as the parts
 * that it has, with blanks between. The last is NULL. */
static void expect_in_order(pulsews_client *client, const char *const *expected) {
    for (int i = 0;;) {
        pulsews_message message;
        char text[1024];
        int is_event, wanted = 0, fits = 1;
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        snprintf(text, sizeof text, "%.*s", (int)message.length, (const char *)message.data);
        is_event = message.kind == PULSEWS_EVENT;
        if (is_event) {
            for (int k = 0; k < 3; k++) wanted |= strstr(text, interesting[k]) != NULL;
            if (!wanted) continue;
            fprintf(stderr, "  %s\n", text);
        }
        if (!is_event && strcmp(text, "end") == 0) {
            if (expected[i]) fprintf(stderr, "\"%s\" did not come\n", expected[i]);
            CHECK(expected[i] == NULL);
            return;
        }
        CHECK(expected[i] != NULL);
        if (is_event) {
            char parts[1024], *rest = parts;
            snprintf(parts, sizeof parts, "%s", expected[i]);
            for (char *part; (part = strsep(&rest, " "));) fits &= strstr(text, part) != NULL;
        } else {
            fits = strcmp(text, expected[i]) == 0;
        }
        if (!fits) {
            fprintf(stderr, "\"%s\" came, expected \"%s\"\n", text, expected[i]);
            exit(1);
        }
        i++;
    }
}

static void expect_counts(const pulsews_client *client, int gaps, int missing, int repeats, int backs) {
    IS((int64_t)statistic(client, "sequence_gaps"), gaps);
    IS((int64_t)statistic(client, "sequence_missing"), missing);
    IS((int64_t)statistic(client, "sequence_repeats"), repeats);
    IS((int64_t)statistic(client, "sequence_steps_back"), backs);
}

#define GAP(key, expected, received, missing)                                                                          \
    "\"event\":\"gap\" \"key\":\"" key "\" \"expected\":" #expected ", "                                               \
    "\"received\":" #received ", \"missing\":" #missing
#define REPEAT(key, received) "\"event\":\"repeat\" \"key\":\"" key "\" \"received\":" #received "}"
#define BACK(key, received, last)                                                                                      \
    "\"event\":\"step_back\" \"key\":\"" key "\" \"received\":" #received ", \"last\":" #last "}"
#define N(n) "{\"n\":" #n "}"

TEST(gaps_repeats_and_steps_back) {
    server *s = scripted(
        SCRIPTS("accept | text " N(5) " | text " N(6) " | text " N(9) " | text " N(10) " | text " N(10) " | text " N(
            7) " | text " N(8) " | text " N(11) " | text " N(12) " | text " N(14) " | text " N(1) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=n"));
    expect_in_order(client,
                    OPTIONS(N(5), N(6), GAP("", 7, 9, 2), N(9), N(10), REPEAT("", 10), N(10), BACK("", 7, 10), N(7),
                            BACK("", 8, 10), N(8), N(11), N(12), GAP("", 13, 14, 1), N(14), BACK("", 1, 14), N(1)));
    expect_counts(client, 2, 3, 1, 3);
    IS((int64_t)statistic(client, "messages_received"), 12);
    pulsews_client_free(client);
}

/* What has no number is not checked; a number may be a string of digits, and is at most 2^63 - 1. */
TEST(what_is_no_number) {
    server *s = scripted(
        SCRIPTS("accept | text {\"n\":\"9\"} | text hello | text {} | text {\"n\":null} | text {\"n\":-3} | "
                "text {\"n\":1.5} | text {\"n\":1e3} | text {\"n\":\"0x10\"} | text {\"n\":\"\"} | text {\"n\":[7]} | "
                "text {\"n\":9223372036854775808} | text {\"n\":99999999999999999999999} | text [1,2 | "
                "binary {\"m\":77} | text {\"n\":true} | text {\"n\":\"10\"} | text {\"n\":11} | text {\"n\":13} | "
                "text {\"n\":9223372036854775807} | text {\"n\":9223372036854775807} | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=n"));
    expect_in_order(client,
                    OPTIONS("{\"n\":\"9\"}", "hello", "{}", "{\"n\":null}", "{\"n\":-3}", "{\"n\":1.5}", "{\"n\":1e3}",
                            "{\"n\":\"0x10\"}", "{\"n\":\"\"}", "{\"n\":[7]}", "{\"n\":9223372036854775808}",
                            "{\"n\":99999999999999999999999}", "[1,2", "{\"m\":77}", "{\"n\":true}", "{\"n\":\"10\"}",
                            N(11), GAP("", 12, 13, 1), N(13), GAP("", 14, 9223372036854775807, 9223372036854775793),
                            N(9223372036854775807), REPEAT("", 9223372036854775807), N(9223372036854775807)));
    IS((int64_t)statistic(client, "sequence_gaps"), 2);
    IS((int64_t)statistic(client, "sequence_repeats"), 1);
    pulsews_client_free(client);
}

#define P(first, last) "{\"U\":" #first ",\"u\":" #last "}"

TEST(first_and_last_numbers) {
    server *s = scripted(
        SCRIPTS("accept | text " P(1, 4) " | text " P(5, 5) " | text " P(6, 9) " | text " P(12, 15) " | text " P(
            12, 15) " | text " P(14, 18) " | text " P(19, 20) " | text " P(3, 4) " | text " P(21, 21) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=U,u"));
    /* One that overlaps with what came, and one that was passed, are steps back; the higher number stays. */
    expect_in_order(client,
                    OPTIONS(P(1, 4), P(5, 5), P(6, 9), GAP("", 10, 12, 2), P(12, 15),
                            "\"event\":\"repeat\" \"received\":", P(12, 15), "\"event\":\"step_back\" \"received\":14,",
                            P(14, 18), P(19, 20), "\"event\":\"step_back\" \"received\":3,", P(3, 4), P(21, 21)));
    expect_counts(client, 1, 2, 1, 2);
    pulsews_client_free(client);
}

#define D(s, pu, u) "{\"s\":\"" s "\",\"pu\":" #pu ",\"u\":" #u "}"

/* Each message names the one before it; how much is missing nobody knows. */
TEST(numbers_of_the_one_before) {
    server *s = scripted(SCRIPTS(
        "accept | text " D("A", 3, 10) " | text " D("B", 500, 700) " | text " D("A", 10, 25) " | text " D("A", 25, 26) " | text " D(
            "B", 700,
            900) " | text " D("A", 30,
                              40) " | text " D("A", 40,
                                               50) " | text " D("A", 40,
                                                                50) " | text " D("B", 500,
                                                                                 700) " | text " D("B", 900,
                                                                                                   901) " | text end"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "sequence_path=u", "sequence_previous=pu", "sequence_key=s"));
    expect_in_order(client, OPTIONS(D("A", 3, 10), D("B", 500, 700), D("A", 10, 25), D("A", 25, 26), D("B", 700, 900),
                                    "\"event\":\"gap\" \"key\":\"A\"", D("A", 30, 40), D("A", 40, 50), REPEAT("A", 50),
                                    D("A", 40, 50), BACK("B", 700, 900), D("B", 500, 700), D("B", 900, 901)));
    expect_counts(client, 1, 0, 1, 1);
    pulsews_client_free(client);
}

#define K(k, t, n) "{\"data\":{\"k\":\"" k "\",\"t\":" #t ",\"n\":" #n "}}"

TEST(numbers_of_each_key) {
    server *s = scripted(SCRIPTS(
        "accept | text " K("A", 1, 1) " | text " K("B", 1, 100) " | text " K("A", 2, 50) " | text " K("A", 1, 2) " | text " K(
            "B", 1,
            102) " | text " K("A", 2,
                              51) " | text {\"data\":{\"k\":\"A\",\"n\":7}} | text " K("A", 1,
                                                                                       2) " | text " K("A", 2,
                                                                                                       40) " | text " K("A",
                                                                                                                        1,
                                                                                                                        3) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=data.n", "sequence_key=data.k",
                                                             "sequence_key=data.t"));
    expect_in_order(client, OPTIONS(K("A", 1, 1), K("B", 1, 100), K("A", 2, 50), K("A", 1, 2), GAP("B/1", 101, 102, 1),
                                    K("B", 1, 102), K("A", 2, 51), "{\"data\":{\"k\":\"A\",\"n\":7}}", REPEAT("A/1", 2),
                                    K("A", 1, 2), BACK("A/2", 40, 51), K("A", 2, 40), K("A", 1, 3)));
    expect_counts(client, 1, 1, 1, 1);
    CHECK(statistic(client, "keys") >= 3);
    pulsews_client_free(client);
}

TEST(numbers_that_only_increase) {
    server *s = scripted(SCRIPTS("accept | text " N(5) " | text " N(600) " | text " N(601) " | text " N(
        601) " | text " N(100) " | text " N(10000) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=n", "sequence_rule=increasing"));
    expect_in_order(client,
                    OPTIONS(N(5), N(600), N(601), REPEAT("", 601), N(601), BACK("", 100, 601), N(100), N(10000)));
    expect_counts(client, 0, 0, 1, 1);
    pulsews_client_free(client);
}

/* A feed goes on over a reconnect: what was sent meanwhile is a gap. */
TEST(a_gap_over_a_reconnect) {
    server *s = scripted(SCRIPTS("accept | text " N(1) " | text " N(2) " | cut",
                                 "accept | text " N(5) " | text " N(6) " | cut", "accept | text " N(7) " | cut",
                                 "accept | text " N(7) " | text " N(8) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=n"));
    expect_in_order(client, OPTIONS(N(1), N(2), GAP("", 3, 5, 2), N(5), N(6), N(7), REPEAT("", 7), N(7), N(8)));
    expect_counts(client, 1, 2, 1, 0);
    pulsews_client_free(client);
}

TEST(numbers_of_a_connection) {
    server *s = scripted(SCRIPTS("accept | text " N(1) " | text " N(2) " | cut",
                                 "accept | text " N(1) " | text " N(3) " | cut",
                                 "accept | text " N(900) " | text " N(900) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=n", "sequence_scope=connection"));
    expect_in_order(client, OPTIONS(N(1), N(2), N(1), GAP("", 2, 3, 1), N(3), N(900), REPEAT("", 900), N(900)));
    expect_counts(client, 1, 1, 1, 0);
    pulsews_client_free(client);
}

/* Without events the numbers tell. */
TEST(numbers_without_events) {
    server *s = scripted(SCRIPTS("accept | text " N(1) " | text " N(5) " | text " N(5) " | text " N(2) " | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("sequence_path=n"));
    expect_in_order(client, OPTIONS(N(1), N(5), N(5), N(2)));
    expect_counts(client, 1, 3, 1, 1);
    pulsews_client_free(client);
}

/* A key that has characters of JSON, in the event as a JSON string. */
TEST(keys_that_need_care) {
    server *s = scripted(
        SCRIPTS("accept | text {\"s\":\"a/b \xe2\x82\xac\",\"n\":1} | text {\"s\":\"a/b \xe2\x82\xac\",\"n\":3} | "
                "text {\"s\":\"q\\\"uote\",\"n\":1} | text {\"s\":\"q\\\"uote\",\"n\":3} | "
                "text {\"s\":12.50,\"n\":1} | text {\"s\":12.50,\"n\":3} | text end"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "sequence_path=n", "sequence_key=s"));
    expect_in_order(client,
                    OPTIONS("{\"s\":\"a/b \xe2\x82\xac\",\"n\":1}", "\"event\":\"gap\" \"key\":\"a/b \xe2\x82\xac\"",
                            "{\"s\":\"a/b \xe2\x82\xac\",\"n\":3}", "{\"s\":\"q\\\"uote\",\"n\":1}",
                            "\"event\":\"gap\" uote\"", "{\"s\":\"q\\\"uote\",\"n\":3}", "{\"s\":12.50,\"n\":1}",
                            "\"event\":\"gap\" \"key\":\"12.50\"", "{\"s\":12.50,\"n\":3}"));
    pulsews_client_free(client);
}

/* More keys than the table holds: those are not checked, and nothing else suffers. */
TEST(more_keys_than_there_is_room_for) {
    enum { KEYS = 100000, MORE = 2000 };
    int listener_texts = 0;
    server *s = scripted(
        SCRIPTS("accept | numbers count=102000 keys=102000 | numbers count=102000 keys=102000 first=204000 | "
                "text end"));
    pulsews_client *client = open_client(port_of(s),
                                         OPTIONS(FAST, "sequence_path=u", "sequence_key=s", "compression=false"));
    for (pulsews_message message;;) {
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        if (message.kind == PULSEWS_EVENT) continue;
        if (message.length == 3) break;
        listener_texts++;
    }
    IS(listener_texts, 2 * (KEYS + MORE));
    /* Number 0, then number 2, of each key. */
    IS((int64_t)statistic(client, "sequence_gaps"), KEYS);
    IS((int64_t)statistic(client, "keys"), KEYS);
    pulsews_client_free(client);
}
