/* SPDX-License-Identifier: Apache-2.0 */
/* Option resume: a client of a hub goes on where it was. */
#include "hub.h"

static char why[PULSEWS_ERROR_SIZE];
#define BACK "resume=true", "reconnect_base_delay=10ms", "restart_delay=10ms"

static pulsews_client *make_resumer(const pulsews_hub *hub, const char *path, const char *const *options) {
    char url[128];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d%s", hub_port(hub), path);
    return make_client_at(url, options);
}

static pulsews_client *open_resumer(const pulsews_hub *hub, const char *topic, const char *const *options) {
    pulsews_client *client = make_resumer(hub, "/ws/stream", options);
    IS(pulsews_subscribe(client, topic, NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    GETS(client, "\"type\":\"welcome\"");
    GETS(client, "\"type\":\"subscribed\"", "\"recovered\":false");
    return client;
}

static pulsews_hub *hub_with_history(const char *history) {
    pulsews_hub *hub = make_hub(OPTIONS("events=connected"));
    char text[64];
    snprintf(text, sizeof text, "** history=%s", history);
    hub_topic(hub, text);
    start_hub(hub);
    return hub;
}

/* Closes the peer that has come last; `path` is where others then come. */
static void cut(pulsews_hub *hub, int32_t code) {
    uint64_t peer = hub_event(hub, PULSEWS_HUB_CONNECTED)->peer;
    IS(pulsews_hub_close_peer(hub, peer, code, "bye"), PULSEWS_OK);
}

TEST(resume_goes_on_where_it_was) {
    pulsews_hub *hub = hub_with_history("100");
    publish(hub, "t", NULL, "0");
    pulsews_client *client = open_resumer(hub, "t", OPTIONS(BACK));
    publish(hub, "t", NULL, "1");
    GETS(client, "\"o\":2", "\"data\":1");
    for (int round = 0; round < 5; round++) {
        char part[32], json[16];
        cut(hub, 1012);
        EVENT(client, "\"event\":\"state\"", "\"state\":\"reconnecting\"");
        for (int i = 0; i < 10; i++) {
            snprintf(json, sizeof json, "%d", 10 * round + i);
            publish(hub, "t", NULL, json);
        }
        GETS(client, "\"type\":\"welcome\"");
        GETS(client, "\"type\":\"subscribed\"", "\"recovered\":true");
        for (int i = 0; i < 10; i++) {
            snprintf(part, sizeof part, "\"o\":%d,", 3 + 10 * round + i);
            GETS(client, part);
        }
    }
    peer_gets_nothing(client);
    CHECK(statistic(client, "duplicates_discarded") == 0 && statistic(client, "sequence_gaps") == 0);
    CHECK(hub_statistic(hub, "resumes_recovered") == 5);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

TEST(resume_tells_what_is_missing) {
    pulsews_hub *hub = hub_with_history("3");
    pulsews_client *client = open_resumer(hub, "t", OPTIONS(BACK));
    cut(hub, 4008);
    EVENT(client, "\"event\":\"state\"", "\"state\":\"reconnecting\"");
    for (int i = 0; i < 10; i++) publish(hub, "t", NULL, "1");
    EVENT(client, "\"event\":\"gap\"", "\"key\":\"t\"", "\"expected\":1", "\"received\":", "\"missing\":");
    GETS(client, "\"type\":\"gap\"", "\"from\":1", "\"cause\":\"history\"");
    CHECK(statistic(client, "sequence_gaps") == 1 && statistic(client, "sequence_missing") == 10);
    publish(hub, "t", NULL, "1");
    GETS(client, "\"o\":11");
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

/* Another life of the hub, on the same address. */
TEST(resume_after_a_restart) {
    char why_not[PULSEWS_ERROR_SIZE], address[64];
    pulsews_hub *hub = hub_with_history("100");
    publish(hub, "t", NULL, "0");
    pulsews_client *client = open_resumer(hub, "t", OPTIONS(BACK));
    snprintf(address, sizeof address, "127.0.0.1:%d", hub_port(hub));
    pulsews_hub_free(hub);
    EVENT(client, "\"event\":\"state\"", "\"state\":\"reconnecting\"");
    IS(pulsews_hub_create(NULL, &hub, why_not, sizeof why_not), PULSEWS_OK);
    IS(pulsews_hub_listen(hub, address, why_not, sizeof why_not), PULSEWS_OK);
    hub_topic(hub, "** history=100");
    start_hub(hub);
    EVENT(client, "\"event\":\"gap\"", "\"key\":\"t\"", "\"missing\":null");
    GETS(client, "\"type\":\"gap\"", "\"cause\":\"hub_restart\"");
    publish(hub, "t", NULL, "\"new\"");
    GETS(client, "\"o\":1,", "\"data\":\"new\"");
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

TEST(resume_ends_where_a_retry_does_not_help) {
    static const int32_t codes[] = {4003, 4040, 4009};
    for (int i = 0; i < 3; i++) {
        char part[32];
        pulsews_hub *hub = hub_with_history("1");
        pulsews_client *client = open_resumer(hub, "t", OPTIONS(BACK));
        cut(hub, codes[i]);
        snprintf(part, sizeof part, "\"close_code\":%d", codes[i]);
        EVENT(client, "\"event\":\"state\"", "\"state\":\"error\"", part);
        pulsews_client_free(client);
        pulsews_hub_free(hub);
    }
}

/* With a hold the application sets another token; here none is needed. */
TEST(resume_asks_for_a_new_token) {
    pulsews_hub *hub = hub_with_history("10");
    pulsews_client *client = make_resumer(hub, "/ws/stream", OPTIONS(BACK, "hold_connect=true"));
    IS(pulsews_subscribe(client, "t", NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"hold\"");
    IS(pulsews_release(client), PULSEWS_OK);
    GETS(client, "\"type\":\"welcome\"");
    GETS(client, "\"type\":\"subscribed\"");
    cut(hub, 4009);
    EVENT(client, "\"event\":\"hold\"");
    IS(pulsews_set_header(client, "Authorization", "Bearer new", why, sizeof why), PULSEWS_OK);
    publish(hub, "t", NULL, "5");
    IS(pulsews_release(client), PULSEWS_OK);
    GETS(client, "\"type\":\"welcome\"");
    GETS(client, "\"recovered\":true");
    GETS(client, "\"data\":5");
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

TEST(resume_tells_of_topics_that_are_refused) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "open.* history=1");
    start_hub(hub);
    pulsews_client *client = make_resumer(hub, "/ws/stream", OPTIONS("resume=true"));
    IS(pulsews_subscribe(client, "closed.a", NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_subscribe(client, "open.a", NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    EVENT(client, "\"event\":\"subscription_rejected\"", "\"key\":\"closed.a\"");
    IS(pulsews_wait_ready(client, SHORT, why, sizeof why), PULSEWS_OK);
    publish(hub, "open.a", NULL, "1");
    await_hub_statistic(hub, "messages_written", 1);
    /* Who subscribes anew begins anew. */
    IS(pulsews_unsubscribe(client, "open.a"), PULSEWS_OK);
    await_statistic(client, "messages_received", 5);
    IS(pulsews_subscribe(client, "open.a", NULL, NULL, why, sizeof why), PULSEWS_OK);
    await_hub_statistic(hub, "subscriptions", 1);
    CHECK(hub_statistic(hub, "resumes_recovered") == 0 && hub_statistic(hub, "resumes_gapped") == 0);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

TEST(resume_needs_pulse_v1) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_route(hub, "/plain protocol=plain");
    start_hub(hub);
    pulsews_client *client = make_resumer(hub, "/plain", OPTIONS("resume=true", "reconnect=false"));
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EHANDSHAKE);
    CHECK(strstr(why, "the server does not speak pulse.v1 here (option resume)"));
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

/* A connection that is replaced: what both bring comes once. */
TEST(resume_and_rotation) {
    pulsews_hub *hub = hub_with_history("100000");
    pulsews_client *client = open_resumer(hub, "t",
                                          OPTIONS(BACK, "max_age=200ms", "rotation_overlap=100ms", "jitter=0"));
    int64_t end = now_ns() + PULSEWS_SECONDS(2);
    int published = 0, seen = 0;
    while (now_ns() < end) {
        char part[32];
        publish(hub, "t", NULL, "1");
        published++;
        do {
            const char *text = peer_gets(client, NO_OPTIONS);
            if (!strstr(text, "\"o\":")) continue;
            snprintf(part, sizeof part, "\"o\":%d,", ++seen);
            CHECK(strstr(text, part));
        } while (seen < published);
    }
    CHECK(statistic(client, "connections") > 2 && statistic(client, "sequence_gaps") == 0);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

TEST(resume_and_twins_are_refused) {
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    static const char *const options[][2] = {{"resume", "true"}, {"twin", "ws://127.0.0.1:1/"}, {"sequence_path", "o"}};
    for (int i = 0; i < 3; i++)
        IS(pulsews_config_set(config, options[i][0], options[i][1], why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create("ws://127.0.0.1:1/", config, NULL, &client, why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "resume"));
    pulsews_config_free(config);
}
