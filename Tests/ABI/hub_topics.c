/* SPDX-License-Identifier: Apache-2.0 */
/* What the application learns of topics, and tables of keys that end. */
#include "hub.h"
#include <string.h>

static void expect_topic(pulsews_hub *hub, uint32_t kind, const char *topic) {
    const pulsews_hub_event *event = hub_event(hub, kind);
    CHECK(strcmp(event->topic, topic) == 0 && event->peer == 0);
}

TEST(hub_tells_which_topics_are_wanted) {
    pulsews_hub *hub = open_hub(OPTIONS("events=topic_wanted", "events=topic_idle", "loops=2"));
    pulsews_client *peers[8];
    for (int i = 0; i < 8; i++) {
        peers[i] = pulse_peer(hub);
        subscribe_peer(peers[i], "price.A");
    }
    subscribe_peer(peers[0], "price.B");
    /* One word for all that came. */
    expect_topic(hub, PULSEWS_HUB_TOPIC_WANTED, "price.A");
    expect_topic(hub, PULSEWS_HUB_TOPIC_WANTED, "price.B");
    send_text(peers[0], "{\"type\":\"unsubscribe\",\"topics\":[\"price.B\"]}");
    expect_topic(hub, PULSEWS_HUB_TOPIC_IDLE, "price.B");
    for (int i = 0; i < 8; i++) pulsews_client_free(peers[i]);
    expect_topic(hub, PULSEWS_HUB_TOPIC_IDLE, "price.A");
    peers[0] = pulse_peer(hub);
    subscribe_peer(peers[0], "price.A");
    expect_topic(hub, PULSEWS_HUB_TOPIC_WANTED, "price.A");
    pulsews_client_free(peers[0]);
    expect_topic(hub, PULSEWS_HUB_TOPIC_IDLE, "price.A");
    pulsews_hub_free(hub);
}

/* What the application reads of a topic; it lives until the next call. */
static const char *topic_json(const pulsews_hub *hub, const char *topic) {
    static char text[4096];
    int64_t length = pulsews_hub_topic_json(hub, topic, text, sizeof text);
    CHECK(length == (int64_t)strlen(text) && length > 0);
    return text;
}

TEST(hub_shows_what_a_topic_has) {
    char text[8];
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "latest latest=true");
    hub_topic(hub, "history history=2");
    hub_topic(hub, "none history=0");
    start_hub(hub);
    IS(pulsews_hub_topic_json(hub, "latest", NULL, 0), PULSEWS_EINVAL); /* nobody has made it */
    IS(pulsews_hub_topic_json(hub, NULL, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_hub_topic_json(NULL, "latest", NULL, 0), PULSEWS_EINVAL);
    static const char *const topics[] = {"latest", "history", "none"};
    for (int i = 0; i < 3; i++) {
        publish(hub, topics[i], "a", "1");
        publish(hub, topics[i], "b", "2");
        publish(hub, topics[i], "a", "3");
    }
    const char *shown = topic_json(hub, "latest");
    CHECK(strstr(shown, "{\"type\":\"snapshot\",\"topic\":\"latest\",\"epoch\":\"") == shown);
    CHECK(strstr(shown, "\"offset\":3,\"items\":[{\"type\":\"message\",\"o\":2,") && strstr(shown, "\"data\":3}]}"));
    shown = topic_json(hub, "history");
    CHECK(strstr(shown, "\"data\":2}") && strstr(shown, "\"data\":3}]}") && !strstr(shown, "\"data\":1}"));
    CHECK(strstr(topic_json(hub, "none"), "\"offset\":3,\"items\":[]}"));
    /* Cut, and told how long it is. */
    CHECK(pulsews_hub_topic_json(hub, "none", text, sizeof text) > 60 && strlen(text) == 7);
    pulsews_hub_free(hub);
}

/* Orders, candles: each key ends one day. Newcomers get the last ones, at least half as many as there may be. */
TEST(hub_forgets_keys_that_are_too_many) {
    pulsews_hub *hub = make_hub(NO_OPTIONS);
    hub_topic(hub, "orders latest=true");
    hub_topic(hub, "orders max_keys=8");
    hub_topic(hub, "orders conflate=id");
    start_hub(hub);
    pulsews_client *peer = pulse_peer(hub);
    subscribe_peer(peer, "orders");
    GETS(peer, "\"type\":\"snapshot\"");
    for (int i = 0; i < 1000; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"type\":\"order\",\"id\":%d}", i);
        publish(hub, "orders", NULL, text);
        /* None is taken for another one's successor. */
        GETS(peer, text);
    }
    const char *shown = topic_json(hub, "orders");
    int count = 0;
    for (const char *at = shown; (at = strstr(at, "\"data\":")); at++) count++;
    CHECK(count >= 4 && count <= 8);
    for (int i = 996; i < 1000; i++) {
        char text[64];
        snprintf(text, sizeof text, "\"id\":%d}", i);
        CHECK(strstr(shown, text));
    }
    pulsews_client_free(peer);
    check_books(hub);
    pulsews_hub_free(hub);
}
