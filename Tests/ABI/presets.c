/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

static int has_option(const char *wanted) {
    const char *name;
    for (size_t i = 0; pulsews_option_at(i, &name, NULL, NULL, NULL, NULL) == PULSEWS_OK; i++)
        if (strcmp(name, wanted) == 0) return 1;
    return 0;
}

TEST(preset_table_is_sane) {
    const char *name, *text, *options;
    size_t count = 0;
    for (; pulsews_preset_at(count, &name, &text, &options) == PULSEWS_OK; count++) {
        CHECK(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name) && *name);
        CHECK(strlen(text) > 20 && !strchr(text, '\n') && !strchr(text, '|'));
        CHECK(*options && options[strlen(options) - 1] == '\n');
        for (size_t i = 0; i < count; i++) {
            const char *other;
            IS(pulsews_preset_at(i, &other, NULL, NULL), PULSEWS_OK);
            CHECK(strcmp(other, name) != 0);
        }
        /* Each line is an option with a value that it takes, and none stands twice. */
        for (const char *line = options; *line; line = strchr(line, '\n') + 1) {
            char option[64], value[1024], why[PULSEWS_ERROR_SIZE] = "";
            CHECK(sscanf(line, "%63[a-z0-9_]=%1023[^\n]\n", option, value) == 2);
            CHECK(has_option(option) && strcmp(option, "preset") != 0);
            pulsews_config *config = pulsews_config_create();
            int32_t status = pulsews_config_set(config, option, value, why, sizeof why);
            if (status != PULSEWS_OK) fprintf(stderr, "%s: %s\n", name, why);
            IS(status, PULSEWS_OK);
            pulsews_config_free(config);
            const char *again = strchr(line, '\n') + 1, *end = again;
            for (; *again; again = end + 1) {
                end = strchr(again, '\n');
                CHECK((size_t)(end - again) != strlen(option) + 1 + strlen(value) ||
                      strncmp(again, line, (size_t)(end - again)) != 0);
            }
        }
    }
    CHECK(count >= 8);
    IS(pulsews_preset_at(count, &name, &text, &options), PULSEWS_EINVAL);
    IS(pulsews_preset_at((size_t)-1, NULL, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_preset_at((size_t)1 << 63, &name, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_preset_at(0, NULL, NULL, NULL), PULSEWS_OK);
}

TEST(every_preset_makes_a_client) {
    const char *name;
    for (size_t i = 0; pulsews_preset_at(i, &name, NULL, NULL) == PULSEWS_OK; i++) {
        char option[128];
        snprintf(option, sizeof option, "preset=%s", name);
        fprintf(stderr, "%s\n", option);
        pulsews_client_free(make_client(1, OPTIONS(option)));
    }
}

TEST(an_unknown_preset_is_refused) {
    static const char *const wrong[] = {"", "binance", "Binance-spot", "binance-spot ", "kraken\n", "no such feed"};
    char why[PULSEWS_ERROR_SIZE];
    pulsews_config *config = pulsews_config_create();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        IS(pulsews_config_set(config, "preset", wrong[i], why, sizeof why), PULSEWS_EVALUE);
        CHECK(strstr(why, "preset") && !strchr(why, '\n'));
    }
    pulsews_config_free(config);
}

/* The first message of a connection is what the preset logs in with, unless the caller has a login: whatever came
 * first, the preset's is gone. */
static void expect_logins(const char *const *options, const char *first, const char *second) {
    char why[PULSEWS_ERROR_SIZE];
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client_at(url_of(s), options);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    expect_at_server(s, 1, first);
    if (second) expect_at_server(s, 1, second);
    send_text(client, "the end");
    expect_at_server(s, 1, "the end");
    pulsews_client_free(client);
}

#define HEARTBEATS "{\"type\":\"subscribe\",\"channel\":\"heartbeats\"}"

TEST(a_preset_logs_in) { expect_logins(OPTIONS("preset=coinbase"), HEARTBEATS, NULL); }

TEST(own_options_replace_those_of_a_preset_before) {
    expect_logins(OPTIONS("preset=coinbase", "login=one", "login=two"), "one", "two");
}

TEST(own_options_replace_those_of_a_preset_behind) {
    expect_logins(OPTIONS("login=one", "login=two", "preset=coinbase"), "one", "two");
}

TEST(own_options_stand_around_a_preset) {
    expect_logins(OPTIONS("login=one", "preset=coinbase", "login=two"), "one", "two");
}

/* The heartbeat of one feed means nothing to another. */
TEST(a_second_preset_replaces_the_first) {
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client_at(url_of(s),
                                            OPTIONS("preset=okx", "heartbeat_interval=50ms", "preset=binance-spot"));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    await_record(s, 1, "ping", "");
    IS(count_records(s, 1, "text", NULL), 0);
    pulsews_client_free(client);
}

TEST(a_value_that_is_refused_leaves_the_preset) {
    char why[PULSEWS_ERROR_SIZE];
    server *s = scripted(SCRIPTS("accept"));
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client;
    IS(pulsews_config_set(config, "preset", "coinbase", why, sizeof why), PULSEWS_OK);
    IS(pulsews_config_set(config, "login", "${", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_config_set(config, "preset", "none of these", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_client_create(url_of(s), config, NULL, &client, why, sizeof why), PULSEWS_OK);
    pulsews_config_free(config);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    expect_at_server(s, 1, HEARTBEATS);
    pulsews_client_free(client);
}

/* A template and its confirmation, from the preset alone. */
TEST(a_preset_subscribes) {
    char why[PULSEWS_ERROR_SIZE];
    server *s = scripted(SCRIPTS("accept | got 1 | text {\"result\":null,\"id\":1}"));
    pulsews_client *client = make_client_at(url_of(s), OPTIONS("preset=binance-spot"));
    IS(pulsews_subscribe(client, "btcusdt@bookTicker", NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_subscribe(client, "btcusdt@depth", NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    /* The server shows the first 64 bytes. */
    await_record(s, 1, "text", ":{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@bookTicker\",\"btcusdt@");
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_OK);
    pulsews_client_free(client);
}
