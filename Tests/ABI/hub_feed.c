/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds: what a client receives goes to topics. The exchange is another hub, which sends what it is told to all. */
#include "hub.h"
#include <poll.h>

static const char
    map[] = "rule=price\n"
            "match={\"e\":\"quote\"}\n"
            "topic=price.${s|strip(USDT)}\n"
            "key=${s|strip(USDT)}\n"
            "time=${T|ms}\n"
            "publish={\"type\":\"price_update\",\"symbol\":${s|strip(USDT)},\"price\":${mid(b,a)},\"ts\":${T|ms}}\n"
            "rule=known\n"
            "match={\"type\":\"welcome\"}\n";
static char why[PULSEWS_ERROR_SIZE];

static void say(pulsews_hub *exchange, const char *text) {
    IS(pulsews_hub_send(exchange, 0, PULSEWS_TEXT, text, strlen(text)), PULSEWS_OK);
}

/* A client of the exchange, not opened. */
static pulsews_client *make_feed(const pulsews_hub *exchange, const char *const *options) {
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws/stream", hub_port(exchange));
    return make_client_at(url, options);
}

static void feed(pulsews_hub *hub, pulsews_client *client, const char *lines) {
    if (pulsews_hub_feed(hub, client, lines, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
}

/* A message, and beside it, in either order, that the topic is live. */
static void gets_live(pulsews_client *peer, const char *part) {
    int has_part = 0, is_live = 0;
    for (int i = 0; i < 2; i++) {
        const char *text = peer_gets(peer, NO_OPTIONS);
        has_part |= strstr(text, part) != NULL;
        is_live |= strstr(text, "\"type\":\"topic_state\"") && strstr(text, "\"state\":\"live\"");
    }
    CHECK(has_part && is_live);
}

static void connect_feed(pulsews_client *client) { IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK); }

TEST(hub_feed_publishes_what_the_map_says) {
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    pulsews_client *client = make_feed(exchange, OPTIONS("name=binance-1", "events=true")), *peer = pulse_peer(hub);
    feed(hub, client, map);
    connect_feed(client);
    subscribe_peer(peer, "price.SOL");
    say(exchange, "{\"e\":\"quote\",\"s\":\"SOLUSDT\",\"b\":\"187.20\",\"a\":\"187.26\",\"T\":1700000000123}");
    GETS(peer, "\"type\":\"topic_state\"", "\"state\":\"live\"", "\"feed\":\"binance-1\"");
    GETS(peer, "\"type\":\"price_update\"", "\"topic\":\"price.SOL\"", "\"o\":1",
         "\"data\":{\"type\":\"price_update\",\"symbol\":\"SOL\",\"price\":\"187.23\",\"ts\":1700000000123}",
         "\"t\":[1700000000123.000");
    say(exchange, "{\"e\":\"quote\",\"s\":\"SOLUSDT\",\"b\":\"187.20\",\"T\":1}"); /* without a side */
    say(exchange, "{\"e\":\"other\"}");
    say(exchange, "no JSON");
    say(exchange, "{\"e\":\"quote\",\"s\":\"\\u0001\",\"b\":1,\"a\":2,\"T\":1}"); /* no name of a topic */
    say(exchange, "{\"e\":\"quote\",\"s\":\"SOL\",\"b\":1,\"a\":2,\"T\":1}");
    GETS(peer, "\"o\":2", "\"price\":\"1.5\"");
    CHECK(hub_statistic(hub, "feed_messages") == 7 && hub_statistic(hub, "feed_unmatched") == 2);
    CHECK(hub_statistic(hub, "feed_incomplete") == 1 && hub_statistic(hub, "feed_refused") == 1);
    CHECK(hub_statistic(hub, "messages_published") == 2);
    /* The client counts them, and its queue has events alone. */
    CHECK(statistic(client, "messages_received") == 7 && statistic(client, "receive_queue_size") >= 1);
    pulsews_message message;
    int32_t status;
    while ((status = pulsews_recv(client, &message, 0)) == PULSEWS_OK) CHECK(message.kind == PULSEWS_EVENT);
    IS(status, PULSEWS_ETIMEOUT);
    pulsews_client_free(peer);
    pulsews_client_free(client);
    check_books(hub);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

TEST(hub_feed_tells_that_it_is_cut_and_comes_back) {
    pulsews_hub *exchange = make_hub(OPTIONS("events=connected")), *hub = open_hub(NO_OPTIONS);
    start_hub(exchange);
    pulsews_client *client = make_feed(exchange, OPTIONS("reconnect_base_delay=10ms", "restart_delay=10ms")),
                   *peer = pulse_peer(hub);
    feed(hub, client, map);
    connect_feed(client);
    subscribe_peer(peer, "price.A");
    uint64_t upstream = hub_event(exchange, PULSEWS_HUB_CONNECTED)->peer;
    say(exchange, "{\"e\":\"quote\",\"s\":\"A\",\"b\":1,\"a\":2,\"T\":1}");
    GETS(peer, "\"price\":\"1.5\"");
    IS(pulsews_hub_close_peer(exchange, upstream, 1012, "restart"), PULSEWS_OK);
    GETS(peer, "\"type\":\"topic_state\"", "\"state\":\"stale\"", "\"cause\":", "1012");
    hub_event(exchange, PULSEWS_HUB_CONNECTED);
    say(exchange, "{\"e\":\"quote\",\"s\":\"A\",\"b\":3,\"a\":4,\"T\":1}");
    gets_live(peer, "\"price\":\"3.5\"");
    /* With the client the feed ends; the topics stay. */
    pulsews_client_free(client);
    GETS(peer, "\"state\":\"stale\"", "the client was closed by this side");
    publish(hub, "price.A", NULL, "{\"price\":\"5\"}");
    gets_live(peer, "\"price\":\"5\"");
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

TEST(hub_feed_tells_of_gaps) {
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    pulsews_client *client = make_feed(exchange, OPTIONS("sequence_path=u", "sequence_key=s")), *peer = pulse_peer(hub);
    feed(hub, client, "rule=x\nmatch={\"u\":\"*\"}\ntopic=${s}\npublish=${u}");
    connect_feed(client);
    subscribe_peer(peer, "A");
    say(exchange, "{\"s\":\"A\",\"u\":1}");
    GETS(peer, "\"data\":1");
    say(exchange, "{\"s\":\"A\",\"u\":5}");
    GETS(peer, "\"type\":\"topic_state\"", "\"state\":\"gap\"", "3 messages of the feed are missing");
    GETS(peer, "\"data\":5");
    say(exchange, "{\"s\":\"A\",\"u\":6}");
    GETS(peer, "\"type\":\"topic_state\"", "\"state\":\"live\"");
    GETS(peer, "\"data\":6");
    pulsews_client_free(peer);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

/* Numbers of the whole feed: whatever is missing may be of any topic. */
TEST(hub_feed_tells_all_topics_of_a_gap) {
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    pulsews_client *client = make_feed(exchange, OPTIONS("sequence_path=u")), *peer = pulse_peer(hub);
    feed(hub, client, "rule=x\nmatch={\"u\":\"*\"}\ntopic=${s}\npublish=${u}");
    connect_feed(client);
    subscribe_peer(peer, "A");
    subscribe_peer(peer, "B");
    say(exchange, "{\"s\":\"A\",\"u\":1}");
    GETS(peer, "\"data\":1");
    say(exchange, "{\"s\":\"B\",\"u\":2}");
    GETS(peer, "\"data\":2");
    say(exchange, "{\"s\":\"A\",\"u\":5}");
    GETS(peer, "\"topic\":\"A\"", "\"state\":\"gap\"", "2 messages of the feed are missing");
    GETS(peer, "\"topic\":\"B\"", "\"state\":\"gap\"");
    GETS(peer, "\"data\":5");
    say(exchange, "{\"s\":\"B\",\"u\":6}");
    GETS(peer, "\"topic\":\"B\"", "\"state\":\"live\"");
    GETS(peer, "\"data\":6");
    pulsews_client_free(peer);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

/* What one feed lacks says nothing of a topic that another one feeds by now. */
TEST(hub_feed_tells_no_others_topic_of_a_gap) {
    pulsews_hub *one = open_hub(NO_OPTIONS), *two = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    pulsews_client *first = make_feed(one, OPTIONS("name=one", "sequence_path=u")),
                   *second = make_feed(two, OPTIONS("name=two", "sequence_path=u")), *peer = pulse_peer(hub);
    feed(hub, first, "rule=x\nmatch={\"u\":\"*\"}\ntopic=${s}\npublish=${u}");
    feed(hub, second, "rule=x\nmatch={\"u\":\"*\"}\ntopic=${s}\npublish=${u}");
    connect_feed(first);
    connect_feed(second);
    subscribe_peer(peer, "A");
    subscribe_peer(peer, "B");
    say(one, "{\"s\":\"A\",\"u\":1}");
    GETS(peer, "\"feed\":\"one\"");
    GETS(peer, "\"data\":1}");
    say(two, "{\"s\":\"A\",\"u\":20}");
    GETS(peer, "\"feed\":\"two\"");
    GETS(peer, "\"data\":20}");
    say(one, "{\"s\":\"B\",\"u\":5}");
    GETS(peer, "\"topic\":\"B\"", "\"state\":\"gap\"", "3 messages of the feed are missing");
    GETS(peer, "\"data\":5}");
    say(two, "{\"s\":\"A\",\"u\":21}");
    GETS(peer, "\"data\":21}");
    pulsews_client_free(second);
    pulsews_client_free(first);
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
    pulsews_hub_free(two);
    pulsews_hub_free(one);
}

/* The hub goes first: the client's queue has its messages again. */
TEST(hub_feed_ends_with_the_hub) {
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    pulsews_client *client = make_feed(exchange, NO_OPTIONS);
    feed(hub, client, map);
    connect_feed(client);
    await_hub_statistic(hub, "feed_messages", 1); /* the welcome */
    pulsews_hub_free(hub);
    say(exchange, "hello");
    await_text(client, "hello");
    hub = open_hub(NO_OPTIONS);
    feed(hub, client, map);
    say(exchange, "hello");
    await_hub_statistic(hub, "feed_unmatched", 1);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

/* Hub and client on one loop, which is freed before both. */
TEST(hub_feed_on_one_loop) {
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = NULL;
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    char url[64];
    IS(pulsews_loop_create(0, &loop, why, sizeof why), PULSEWS_OK);
    IS(pulsews_hub_create(loop, &hub, why, sizeof why), PULSEWS_OK);
    IS(pulsews_hub_listen(hub, "127.0.0.1:0", why, sizeof why), PULSEWS_OK);
    hub_topic(hub, "** history=1000");
    start_hub(hub);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws/stream", hub_port(exchange));
    IS(pulsews_client_create(url, NULL, loop, &client, why, sizeof why), PULSEWS_OK);
    pulsews_loop_free(loop);
    feed(hub, client, map);
    connect_feed(client);
    pulsews_client *peer = pulse_peer(hub);
    subscribe_peer(peer, "price.X");
    for (int i = 1; i <= 500; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"e\":\"quote\",\"s\":\"X\",\"b\":%d,\"a\":%d,\"T\":1}", i, i);
        say(exchange, text);
    }
    for (int i = 1; i <= 500; i++) {
        char price[32];
        snprintf(price, sizeof price, "\"price\":\"%d\"", i);
        GETS(peer, price);
    }
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
    pulsews_client_free(client);
    pulsews_hub_free(exchange);
}

/* Candles: late updates and what repeats a close don't come. */
TEST(hub_feed_keeps_the_order) {
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    pulsews_client *client = make_feed(exchange, NO_OPTIONS);
    feed(
        hub, client,
        "rule=candle\nmatch={\"t\":\"*\"}\ntopic=candle.${s}\nkey=${t}\norder=${t} ${x}\npublish={\"type\":\"candle\",\"n\":${n}}");
    connect_feed(client);
    pulsews_client *peer = pulse_peer(hub);
    subscribe_peer(peer, "candle.A");
    static const char *const candles[] = {"60,\"x\":false,\"n\":1", "60,\"x\":false,\"n\":2",  "60,\"x\":true,\"n\":3",
                                          "60,\"x\":false,\"n\":4", "120,\"x\":false,\"n\":5", "60,\"x\":true,\"n\":6",
                                          "60,\"x\":false,\"n\":7", "120,\"x\":true,\"n\":8",  "120,\"x\":true,\"n\":9",
                                          "180,\"x\":true,\"n\":10"};
    for (size_t i = 0; i < sizeof candles / sizeof *candles; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"s\":\"A\",\"t\":%s}", candles[i]);
        say(exchange, text);
    }
    say(exchange, "{\"s\":\"B\",\"t\":60,\"x\":false,\"n\":11}");
    static const char *const expected[] = {"\"n\":1}", "\"n\":2}", "\"n\":3}", "\"n\":5}", "\"n\":8}", "\"n\":10}"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) GETS(peer, expected[i]);
    await_hub_statistic(hub, "feed_messages", 12); /* the welcome among them */
    IS((int64_t)hub_statistic(hub, "feed_outdated"), 4);
    IS((int64_t)hub_statistic(hub, "messages_published"), 7);
    pulsews_client_free(peer);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

/* A close that could not be published may come again. */
TEST(hub_feed_takes_a_close_again_that_was_refused) {
    static char text[8192];
    pulsews_hub *exchange = open_hub(NO_OPTIONS), *hub = open_hub(OPTIONS("publish_queue_bytes=4KiB"));
    pulsews_client *client = make_feed(exchange, NO_OPTIONS), *peer = pulse_peer(hub);
    feed(hub, client, "rule=candle\nmatch={\"t\":\"*\"}\ntopic=candle\norder=${t} ${x}\npublish=${n}");
    connect_feed(client);
    subscribe_peer(peer, "candle");
    say(exchange, "{\"t\":60,\"x\":false,\"n\":1}");
    GETS(peer, "\"data\":1}");
    snprintf(text, sizeof text, "{\"t\":60,\"x\":true,\"n\":%05000d}", 1);
    memcpy(strstr(text, "\"n\":") + 4, "\"", 1);
    strcpy(strchr(text, 0) - 1, "\"}");
    say(exchange, text);
    await_hub_statistic(hub, "feed_refused", 1);
    say(exchange, "{\"t\":60,\"x\":true,\"n\":2}");
    GETS(peer, "\"data\":2}");
    say(exchange, "{\"t\":60,\"x\":true,\"n\":3}");
    await_hub_statistic(hub, "feed_outdated", 1);
    pulsews_client_free(peer);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_hub_free(exchange);
}

/* The other feed's topics fail over to it and back; its own end then says nothing of them. */
TEST(hub_feed_in_the_place_of_another) {
    pulsews_hub *one = make_hub(OPTIONS("events=connected")), *two = open_hub(NO_OPTIONS), *hub = open_hub(NO_OPTIONS);
    start_hub(one);
    static char instead[sizeof map + 64];
    snprintf(instead, sizeof instead, "instead=one\n%s", map);
    pulsews_client *first = make_feed(one, OPTIONS("name=one", "reconnect_base_delay=10ms", "restart_delay=10ms")),
                   *second = make_feed(two, OPTIONS("name=two")), *peer = pulse_peer(hub);
    feed(hub, first, map);
    feed(hub, second, instead);
    connect_feed(first);
    connect_feed(second);
    subscribe_peer(peer, "price.A");
    uint64_t upstream = hub_event(one, PULSEWS_HUB_CONNECTED)->peer;
    say(one, "{\"e\":\"quote\",\"s\":\"A\",\"b\":1,\"a\":1,\"T\":1}");
    GETS(peer, "\"state\":\"live\"", "\"feed\":\"one\"");
    GETS(peer, "\"price\":\"1\"");
    IS(pulsews_hub_close_peer(one, upstream, 1012, ""), PULSEWS_OK);
    GETS(peer, "\"state\":\"stale\"", "\"feed\":\"one\"");
    say(two, "{\"e\":\"quote\",\"s\":\"A\",\"b\":2,\"a\":2,\"T\":1}");
    GETS(peer, "\"state\":\"failover\"", "\"feed\":\"two\"", "\"cause\":\"in the place of \\\"one\\\"\"");
    GETS(peer, "\"price\":\"2\"");
    hub_event(one, PULSEWS_HUB_CONNECTED);
    say(one, "{\"e\":\"quote\",\"s\":\"A\",\"b\":3,\"a\":3,\"T\":1}");
    GETS(peer, "\"state\":\"live\"", "\"feed\":\"one\"");
    GETS(peer, "\"price\":\"3\"");
    pulsews_client_free(second);
    say(one, "{\"e\":\"quote\",\"s\":\"A\",\"b\":4,\"a\":4,\"T\":1}");
    GETS(peer, "\"price\":\"4\"");
    pulsews_client_free(first);
    GETS(peer, "\"state\":\"stale\"", "\"feed\":\"one\"");
    pulsews_client_free(peer);
    pulsews_hub_free(hub);
    pulsews_hub_free(two);
    pulsews_hub_free(one);
}

/* Of two lines one is silent and the other one brings the prices: the topics are live. */
TEST(hub_feed_of_two_lines_is_stale_when_both_are) {
    pulsews_hub *one = open_hub(NO_OPTIONS), *two = make_hub(OPTIONS("events=connected")), *hub = open_hub(NO_OPTIONS);
    start_hub(two);
    char twin[80], quote[100];
    snprintf(twin, sizeof twin, "twin=ws://127.0.0.1:%d/ws/stream", hub_port(two));
    pulsews_client *client = make_feed(one, OPTIONS("sequence_path=T", "stale_timeout=300ms", "events=true", twin)),
                   *peer = pulse_peer(hub);
    feed(hub, client, map);
    connect_feed(client);
    hub_event(two, PULSEWS_HUB_CONNECTED);
    subscribe_peer(peer, "price.A");
    say(two, "{\"e\":\"quote\",\"s\":\"A\",\"b\":500,\"a\":500,\"T\":1000}");
    GETS(peer, "\"price\":\"500\"");
    int i = 1;
    for (; i < 100 || statistic(client, "stale_episodes") == 0; i++) {
        CHECK(i < 1000);
        snprintf(quote, sizeof quote, "{\"e\":\"quote\",\"s\":\"A\",\"b\":%d,\"a\":%d,\"T\":%d}", i, i, 1000 + i);
        say(two, quote);
        snprintf(quote, sizeof quote, "\"price\":\"%d\"", i);
        GETS(peer, quote);
        poll(NULL, 0, 5); /* the pace of a feed */
    }
    GETS(peer, "\"state\":\"stale\"", "no data for");
    /* It goes, and the other one stays silent. */
    snprintf(quote, sizeof quote, "{\"e\":\"quote\",\"s\":\"A\",\"b\":7,\"a\":7,\"T\":%d}", 1000 + i);
    say(two, quote);
    gets_live(peer, "\"price\":\"7\"");
    pulsews_hub_free(two);
    GETS(peer, "\"state\":\"stale\"");
    pulsews_client_free(peer);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
    pulsews_hub_free(one);
}

TEST(hub_feed_refuses) {
    pulsews_hub *hub = open_hub(NO_OPTIONS), *other = open_hub(NO_OPTIONS);
    pulsews_client *client = make_feed(hub, NO_OPTIONS);
    IS(pulsews_hub_feed(NULL, client, map, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_hub_feed(hub, NULL, map, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_hub_feed(hub, client, NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_hub_feed(hub, client, "", why, sizeof why), PULSEWS_EVALUE);
    IS(pulsews_hub_feed(hub, client, "nothing", why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "\"nothing\" is neither a known map"));
    IS(pulsews_hub_feed(hub, client, "rule=a\ntopic=${x|y}", why, sizeof why), PULSEWS_EVALUE);
    CHECK(strstr(why, "line 2: "));
    feed(hub, client, "kraken");
    IS(pulsews_hub_feed(other, client, "kraken", why, sizeof why), PULSEWS_EBUSY);
    IS(pulsews_close(client, 1000, "", 0), PULSEWS_OK);
    pulsews_client *closed = make_feed(hub, NO_OPTIONS);
    IS(pulsews_close(closed, 1000, "", 0), PULSEWS_OK);
    IS(pulsews_hub_feed(hub, closed, "kraken", why, sizeof why), PULSEWS_ECLOSED);
    pulsews_client_free(closed);
    pulsews_hub_free(other);
    pulsews_client_free(client);
    pulsews_hub_free(hub);
}

TEST(hub_map_table) {
    const char *name, *text, *lines;
    size_t count = 0;
    while (pulsews_hub_map_at(count, &name, &text, &lines) == PULSEWS_OK) {
        CHECK(*name && *text && strstr(lines, "publish="));
        count++;
    }
    CHECK(count > 7);
    IS(pulsews_hub_map_at(0, NULL, NULL, NULL), PULSEWS_OK);
    IS(pulsews_hub_map_at(count, &name, &text, &lines), PULSEWS_EINVAL);
    IS(pulsews_hub_map_at((size_t)-1, &name, &text, &lines), PULSEWS_EINVAL);
}
