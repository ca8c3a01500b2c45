/* SPDX-License-Identifier: Apache-2.0
 *
 * What a caller may get wrong: each a clear status, no crash. */
#include "harness.h"
#include <sys/resource.h>

TEST(null_is_refused_everywhere) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *client = NULL;
    pulsews_message message;
    const pulsews_message *messages;
    uint64_t id = 5;
    pulsews_config *config = pulsews_config_create();
    pulsews_batch *batch = pulsews_batch_create();

    IS(pulsews_config_set(NULL, "verify", "true", why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "config"));
    IS(pulsews_config_set(config, NULL, "true", why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "name"));
    IS(pulsews_config_set(config, "verify", NULL, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "value"));
    IS(pulsews_config_set(config, "verify", "true", NULL, 0), PULSEWS_OK);
    IS(pulsews_config_set(NULL, NULL, NULL, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_config_set(config, "verify", "x", NULL, 100), PULSEWS_EVALUE);

    IS(pulsews_client_create(NULL, NULL, NULL, &client, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "url"));
    CHECK(client == NULL);
    IS(pulsews_client_create("ws://localhost/", NULL, NULL, NULL, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "client"));
    IS(pulsews_client_create(NULL, NULL, NULL, NULL, NULL, 0), PULSEWS_EINVAL);

    IS(pulsews_open(NULL, 0, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_open(NULL, 0, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_start(NULL), PULSEWS_EINVAL);
    IS(pulsews_send(NULL, PULSEWS_TEXT, "x", 1, 0), PULSEWS_EINVAL);
    IS(pulsews_recv(NULL, &message, 0), PULSEWS_EINVAL);
    IS(pulsews_recv_batch(NULL, batch, 1, 0, &messages), PULSEWS_EINVAL);
    IS(pulsews_close(NULL, 1000, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_client_state(NULL), PULSEWS_EINVAL);
    IS(pulsews_client_error(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_client_retryable(NULL), PULSEWS_EINVAL);
    IS(pulsews_close_code(NULL), PULSEWS_EINVAL);
    IS(pulsews_close_reason(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_server_message(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_handshake_status(NULL), PULSEWS_EINVAL);
    IS(pulsews_handshake_headers(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_handshake_body(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_subprotocol(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_status_json(NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_disconnect(NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_reconnect(NULL), PULSEWS_EINVAL);
    IS(pulsews_wait_ready(NULL, 0, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_wait_ready(NULL, 0, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_set_header(NULL, "X-A", "b", why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_set_url(NULL, "ws://localhost/", why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_release(NULL), PULSEWS_EINVAL);
    IS(pulsews_acknowledge(NULL, 1), PULSEWS_EINVAL);
    IS(pulsews_subscribe(NULL, "key", "text", NULL, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_unsubscribe(NULL, "key"), PULSEWS_EINVAL);
    IS(pulsews_send_with(NULL, PULSEWS_TEXT, "x", 1, 0, 0, 0, &id), PULSEWS_EINVAL);
    IS(pulsews_send_batch(NULL, &message, 1, 0, 0, 0, &id), PULSEWS_EINVAL);
    IS(pulsews_flush(NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_purge(NULL), PULSEWS_EINVAL);
    IS(pulsews_statistics(NULL, NULL, 0), PULSEWS_EINVAL);
    CHECK(pulsews_prometheus(NULL, NULL, 0) >= 0); /* of all clients, of which there may be none */
    IS(pulsews_batch_traits(NULL), PULSEWS_EINVAL);
    IS(pulsews_wake_fd(NULL), PULSEWS_EINVAL);
    IS(pulsews_wake_clear(NULL), PULSEWS_EINVAL);
    IS(pulsews_loop_create(0, NULL, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "loop"));
    IS(pulsews_loop_fd(NULL), PULSEWS_EINVAL);
    IS(pulsews_loop_run_once(NULL, 0), PULSEWS_EINVAL);

    client = make_client(1, NO_OPTIONS);
    IS(pulsews_send(client, PULSEWS_TEXT, NULL, 1, 0), PULSEWS_EINVAL);
    IS(pulsews_recv(client, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_recv_batch(client, NULL, 1, 0, &messages), PULSEWS_EINVAL);
    IS(pulsews_recv_batch(client, batch, 1, 0, NULL), PULSEWS_EINVAL);
    IS(pulsews_recv_batch(client, batch, 0, 0, &messages), PULSEWS_EINVAL);
    IS(pulsews_send_with(client, PULSEWS_TEXT, NULL, 1, 0, 0, 0, &id), PULSEWS_EINVAL);
    IS(pulsews_send_batch(client, NULL, 1, 0, 0, 0, &id), PULSEWS_EINVAL);
    IS(pulsews_set_header(client, NULL, "b", why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "name"));
    IS(pulsews_set_header(client, "X-A", NULL, NULL, 0), PULSEWS_OK); /* removes it */
    IS(pulsews_set_url(client, NULL, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "url"));
    IS(pulsews_subscribe(client, NULL, "text", NULL, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "key"));
    IS(pulsews_subscribe(client, "key", NULL, NULL, why, sizeof why), PULSEWS_EINVAL); /* and no template */
    CHECK(strstr(why, "message"));
    IS(pulsews_unsubscribe(client, NULL), PULSEWS_EINVAL);
    IS((int64_t)id, 5); /* left alone by what failed */
    IS(pulsews_client_error(client, NULL, 0), PULSEWS_OK);
    IS(pulsews_close_reason(client, NULL, 100), 0);
    CHECK(pulsews_status_json(client, NULL, 100) > 2);
    CHECK(pulsews_status_json(client, NULL, 0) > 2);

    pulsews_client_free(client);
    pulsews_batch_free(batch);
    pulsews_config_free(config);
    pulsews_client_free(NULL);
    pulsews_batch_free(NULL);
    pulsews_config_free(NULL);
    pulsews_loop_free(NULL);
}

TEST(bad_urls) {
    static const char *const urls[] = {
        "",
        " ",
        "localhost",
        "//localhost/",
        "ws:",
        "ws:/",
        "ws://",
        "ws:///path",
        "ws://:80/",
        "wss://?x",
        "http://localhost/",
        "https://localhost/",
        "ftp://localhost/",
        "wsss://localhost/",
        "://localhost/",
        "ws://localhost:0/",
        "ws://localhost:70000/",
        "ws://localhost:65536/",
        "ws://localhost:-1/",
        "ws://localhost:x/",
        "ws://localhost:80x/",
        "ws://localhost:99999999999999999999/",
        "ws://localhost/#part",
        "ws://localhost/p?q#",
        "ws://localhost/a b",
        "ws://localhost/\r\nX-Evil: 1",
        "ws://local\r\nhost/",
        "ws://localhost/\x01",
        "ws://localhost/\x7f",
        "ws://localhost/\xc3\xa4",
        "ws://\xc3\xa4.example/",
        "ws://[::1/",
        "ws://::1/",
        "ws://[]/",
        "ws://[::g]/",
        "ws://[::1]x/",
        "ws://[1::2::3]/",
        "ws://localhost/%",
        "ws://localhost/%2",
        "ws://localhost/%zz",
        " ws://localhost/",
        "ws://localhost/ ",
        "ws://us er@localhost/",
        "ws://localhost\\/",
    };
    char why[PULSEWS_ERROR_SIZE];
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        pulsews_client *client = (pulsews_client *)why; /* must become NULL */
        why[0] = 0;
        int32_t status = pulsews_client_create(urls[i], NULL, NULL, &client, why, sizeof why);
        fprintf(stderr, "%-45s %s\n", urls[i], why);
        IS(status, PULSEWS_EURL);
        CHECK(client == NULL);
        CHECK(strlen(why) > 10);
        CHECK(strchr(why, '\n') == NULL && strchr(why, '\r') == NULL); /* nothing that could forge a line of a log */
    }
    char *endless = malloc(100000);
    memset(endless, 'a', 99999);
    memcpy(endless, "ws://localhost/", 15);
    endless[99999] = 0;
    pulsews_client *client;
    IS(pulsews_client_create(endless, NULL, NULL, &client, why, sizeof why), PULSEWS_EURL);
    free(endless);
}

TEST(good_urls) {
    static const char *const urls[] = {
        "ws://localhost",
        "WS://LOCALHOST",
        "wss://localhost:443/",
        "ws://127.0.0.1:1/",
        "ws://[::1]:65535/?a=b",
        "ws://user:p%40ss@localhost/",
        "wss://example.com/ws/btcusdt@bookTicker?x=%20",
        "ws://a.b.c.example:8080?only=query",
    };
    char why[PULSEWS_ERROR_SIZE];
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        pulsews_client *client = NULL;
        strcpy(why, "untouched");
        fprintf(stderr, "%s\n", urls[i]);
        IS(pulsews_client_create(urls[i], NULL, NULL, &client, why, sizeof why), PULSEWS_OK);
        CHECK(client != NULL);
        CHECK(strcmp(why, "untouched") == 0);
        IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
        pulsews_client_free(client);
    }
}

TEST(bad_options) {
    static const struct {
        const char *name, *value;
        int32_t status;
    } cases[] = {
        {"no_such_option", "1", PULSEWS_EOPTION},
        {"", "1", PULSEWS_EOPTION},
        {"Verify", "true", PULSEWS_EOPTION},
        {"verify ", "true", PULSEWS_EOPTION},
        {"verify", "maybe", PULSEWS_EVALUE},
        {"verify", "", PULSEWS_EVALUE},
        {"open_timeout", "-1", PULSEWS_EVALUE},
        {"open_timeout", "10 parsecs", PULSEWS_EVALUE},
        {"open_timeout", "nan", PULSEWS_EVALUE},
        {"open_timeout", "inf", PULSEWS_EVALUE},
        {"open_timeout", "1e999", PULSEWS_EVALUE},
        {"open_timeout", "9223372036854775807h", PULSEWS_EVALUE},
        {"open_timeout", "1s2", PULSEWS_EVALUE},
        {"max_message_size", "-5", PULSEWS_EVALUE},
        {"max_message_size", "99999999999999999999999", PULSEWS_EVALUE},
        {"max_message_size", "18446744073709551615", PULSEWS_EVALUE},
        {"max_message_size", "10 potatoes", PULSEWS_EVALUE},
        {"headers", "no colon", PULSEWS_EVALUE},
        {"headers", "X-Bad: a\r\nX-Evil: 1", PULSEWS_EVALUE},
        {"headers", "X-Bad: a\nb", PULSEWS_EVALUE},
        {"headers", "X Bad: a", PULSEWS_EVALUE},
        {"headers", ": a", PULSEWS_EVALUE},
        {"headers",
         "X-B\xc3\xa4"
         "d: a",
         PULSEWS_EVALUE},
        {"headers", "Sec-WebSocket-Key: abc", PULSEWS_EVALUE},
        {"headers", "sec-websocket-version: 8", PULSEWS_EVALUE},
        {"headers", "Upgrade: h2c", PULSEWS_EVALUE},
        {"subprotocols", "a b", PULSEWS_EVALUE},
        {"subprotocols", "a,b", PULSEWS_EVALUE},
        {"subprotocols", "a\r\nb", PULSEWS_EVALUE},
        {"subprotocols", "", PULSEWS_EVALUE},
        {"max_reconnect_attempts", "-1", PULSEWS_EVALUE},
        {"max_reconnect_attempts", "1.5", PULSEWS_EVALUE},
        {"reconnect_base_delay", "0", PULSEWS_EVALUE},
        {"reconnect_base_delay", "2000h", PULSEWS_EVALUE},
        {"jitter", "-0.1", PULSEWS_EVALUE},
        {"jitter", "1.01", PULSEWS_EVALUE},
        {"jitter", "nan", PULSEWS_EVALUE},
        {"jitter", "1e9", PULSEWS_EVALUE},
        {"jitter", "half", PULSEWS_EVALUE},
        {"stale_action", "Event", PULSEWS_EVALUE},
        {"stale_action", "0", PULSEWS_EVALUE},
        {"message_queue_policy", "drop", PULSEWS_EVALUE},
        {"message_queue_policy", "", PULSEWS_EVALUE},
        {"rate_limit", "", PULSEWS_EVALUE},
        {"rate_limit", "5", PULSEWS_EVALUE},
        {"rate_limit", "0/s", PULSEWS_EVALUE},
        {"rate_limit", "-5/s", PULSEWS_EVALUE},
        {"rate_limit", "5/0s", PULSEWS_EVALUE},
        {"rate_limit", "5/parsec", PULSEWS_EVALUE},
        {"rate_limit", "999999999999999999999/s", PULSEWS_EVALUE},
        {"rate_limit", "5/99999999999999999999s", PULSEWS_EVALUE},
        {"rate_limit", "5/s ", PULSEWS_EVALUE},
        {"host_connect_rate", "5", PULSEWS_EVALUE},
        {"host_connects", "0", PULSEWS_EVALUE},
        {"endpoint_return", "1ms", PULSEWS_EVALUE},
        {"endpoints", "localhost", PULSEWS_EVALUE},
        {"login", "", PULSEWS_EVALUE},
        {"login", "${", PULSEWS_EVALUE},
        {"login", "${keys}", PULSEWS_EVALUE},
        {"login", "${.id}", PULSEWS_EVALUE},
        {"subscribe_message", "no keys", PULSEWS_EVALUE},
        {"subscribe_message", "", PULSEWS_EVALUE},
        {"heartbeat_message", "${keys}", PULSEWS_EVALUE},
        {"heartbeat_message", "", PULSEWS_EVALUE},
        {"heartbeat_answer", "${keys}", PULSEWS_EVALUE},
        {"heartbeat_reply", "", PULSEWS_EVALUE},
        {"heartbeat_reply", "{\"a\":", PULSEWS_EVALUE},
        {"login_confirm", "{a:1}", PULSEWS_EVALUE},
        {"login_confirm", "[1,", PULSEWS_EVALUE},
        {"subscribe_confirm", "{\"a\":1} and more", PULSEWS_EVALUE},
        {"subscribe_batch", "0", PULSEWS_EVALUE},
        {"server_heartbeat_timeout", "1ms", PULSEWS_EVALUE},
        {"name", "two\nlines", PULSEWS_EVALUE},
    };
    pulsews_config *config = pulsews_config_create();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char why[PULSEWS_ERROR_SIZE] = "";
        int32_t status = pulsews_config_set(config, cases[i].name, cases[i].value, why, sizeof why);
        fprintf(stderr, "%s=%s: %s\n", cases[i].name, cases[i].value, why);
        IS(status, cases[i].status);
        CHECK(strlen(why) > 10 && strlen(why) < sizeof why);
        CHECK(strchr(why, '\n') == NULL && strchr(why, '\r') == NULL);
        if (status == PULSEWS_EVALUE) { /* the sentence names the option; one header of `headers` is a header */
            char name[64];
            size_t length = strlen(cases[i].name);
            snprintf(name, sizeof name, "%.*s", (int)(length - (cases[i].name[length - 1] == 's')), cases[i].name);
            CHECK(strstr(why, name));
        }
    }
    /* A value of any length: refused or taken, never over the end of the buffer. */
    char *huge = malloc(1 << 20), why[16];
    memset(huge, 'x', 1 << 20);
    huge[(1 << 20) - 1] = 0;
    IS(pulsews_config_set(config, "verify", huge, why, sizeof why), PULSEWS_EVALUE);
    CHECK(memchr(why, 0, sizeof why));
    IS(pulsews_config_set(config, huge, "1", why, sizeof why), PULSEWS_EOPTION);
    CHECK(memchr(why, 0, sizeof why));
    free(huge);
    pulsews_config_free(config);
}

TEST(good_options) {
    static const char *const cases[][2] = {
        {"open_timeout", "10"},
        {"open_timeout", "2.5"},
        {"open_timeout", "1500ms"},
        {"open_timeout", "1m"},
        {"close_timeout", "500000us"},
        {"heartbeat_interval", "30s"},
        {"max_message_size", "65536"},
        {"max_message_size", "64KiB"},
        {"max_message_size", "16MiB"},
        {"verify", "true"},
        {"verify", "false"},
        {"compression", "false"},
        {"headers", "X-Token: abc"},
        {"headers", "X-Empty:"},
        {"subprotocols", "v1.trading"},
        {"reconnect", "false"},
        {"max_reconnect_attempts", "0"},
        {"jitter", "0"},
        {"jitter", "1"},
        {"jitter", "0.25"},
        {"jitter", "1.0"},
        {"stale_action", "reconnect"},
        {"message_queue_policy", "block"},
        {"message_ttl", "0"},
        {"message_ttl", "8760h"},
        {"rate_limit", "100/60s"},
        {"rate_limit", "5/s"},
        {"rate_limit", "300/5m"},
        {"rate_limit", "20/500ms"},
        {"host_connect_rate", "10/1m"},
        {"endpoints", "wss://b.example/ws"},
        {"login", "{\"id\":${id},\"t\":${s},\"at\":\"${time}\",\"price\":\"$5\"}"},
        {"login", "second"},
        {"login_confirm", "*\"ok\"*"},
        {"login_confirm", "{\"type\":\"ok\",\"a\":[{\"b\":null}]}"},
        {"heartbeat_message", "ping"},
        {"heartbeat_answer", "{\"id\":${params.id}}"},
        {"subscribe_message", "{\"params\":[${keys}],\"id\":${id}}"},
        {"name", "\xc3\xa4"},
    };
    char why[PULSEWS_ERROR_SIZE] = "untouched";
    pulsews_config *config = pulsews_config_create();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fprintf(stderr, "%s=%s\n", cases[i][0], cases[i][1]);
        IS(pulsews_config_set(config, cases[i][0], cases[i][1], why, sizeof why), PULSEWS_OK);
        CHECK(strcmp(why, "untouched") == 0);
    }
    pulsews_config_free(config);
}

TEST(error_buffer_is_never_overrun) {
    for (size_t size = 0; size < 40; size++) {
        char why[64];
        memset(why, '#', sizeof why);
        IS(pulsews_client_create("gopher://localhost/", NULL, NULL, &(pulsews_client *){NULL}, why, size),
           PULSEWS_EURL);
        if (size) CHECK(memchr(why, 0, size));
        for (size_t i = size; i < sizeof why; i++) CHECK(why[i] == '#');
    }
}

TEST(text_results_measure_and_cut) {
    pulsews_client *client = make_client(1, NO_OPTIONS);
    int64_t length = pulsews_status_json(client, NULL, 0);
    CHECK(length > 2 && length < 100000);
    for (size_t size = 1; size < 20; size++) {
        char text[32];
        memset(text, '#', sizeof text);
        CHECK(pulsews_status_json(client, text, size) > 0);
        CHECK(strlen(text) == size - 1 && text[0] == (size > 1 ? '{' : 0));
        for (size_t i = size; i < sizeof text; i++) CHECK(text[i] == '#');
    }
    pulsews_client_free(client);
}

TEST(bad_sends) {
    char ping[126] = {0};
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    IS(pulsews_send(client, PULSEWS_TEXT, "\xff", 1, 0), PULSEWS_EUTF8);
    IS(pulsews_send(client, PULSEWS_TEXT, "abc\xc3", 4, 0), PULSEWS_EUTF8);
    IS(pulsews_send(client, PULSEWS_TEXT, "\xed\xa0\x80", 3, 0), PULSEWS_EUTF8);
    IS(pulsews_send(client, PULSEWS_TEXT, "\xc0\x80", 2, 0), PULSEWS_EUTF8);
    IS(pulsews_send(client, PULSEWS_TEXT, "\xf4\x90\x80\x80", 4, 0), PULSEWS_EUTF8);
    const uint32_t kinds[] = {0, 3, 8, 11, 256, UINT32_MAX};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        IS(pulsews_send(client, kinds[i], "x", 1, 0), PULSEWS_EINVAL);
    IS(pulsews_send(client, PULSEWS_PING, ping, 126, 0), PULSEWS_EINVAL);
    IS(pulsews_send(client, PULSEWS_PONG, ping, 126, 0), PULSEWS_EINVAL);
    IS(pulsews_send(client, PULSEWS_PING, ping, 125, 0), PULSEWS_OK);
    IS(pulsews_send(client, PULSEWS_BINARY, ping, ((size_t)1 << 62) + 1, 0), PULSEWS_ETOOBIG);
    IS(pulsews_send(client, PULSEWS_BINARY, ping, SIZE_MAX, 0), PULSEWS_ETOOBIG);

    const int32_t codes[] = {-1, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        IS(pulsews_close(client, codes[i], NULL, 0), PULSEWS_EINVAL);
    char reason[125];
    memset(reason, 'r', 124);
    reason[124] = 0;
    IS(pulsews_close(client, 1000, reason, 0), PULSEWS_EINVAL);
    IS(pulsews_close(client, 1000, "\xff", 0), PULSEWS_EUTF8);
    /* None of it hurt the connection. */
    pulsews_message message;
    IS(pulsews_send(client, PULSEWS_TEXT, "still here", 10, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.length == 10 && memcmp(message.data, "still here", 10) == 0);
    reason[123] = 0;
    IS(pulsews_close(client, 4999, reason, SHORT), PULSEWS_OK);
    pulsews_client_free(client);
}

TEST(bad_sends_with_more_to_say) {
    uint64_t id = 77;
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    const uint32_t kinds[] = {0, 3, 8, PULSEWS_PING, PULSEWS_PONG, 11, 256, UINT32_MAX};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        IS(pulsews_send_with(client, kinds[i], "x", 1, 0, 0, 0, &id), PULSEWS_EINVAL);
    const uint32_t flags[] = {16, 32, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, flags[i], 0, 0, &id), PULSEWS_EINVAL);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "\xff", 1, 0, 0, 0, &id), PULSEWS_EUTF8);
    IS(pulsews_send_with(client, PULSEWS_BINARY, "x", SIZE_MAX, 0, 0, 0, &id), PULSEWS_ETOOBIG);
    IS(pulsews_send_with(client, PULSEWS_BINARY, "x", ((size_t)1 << 30) + 1, 0, 0, 0, &id), PULSEWS_ETOOBIG);
    IS((int64_t)id, 77);
    IS((int64_t)statistic(client, "messages_accepted"), 0);
    for (uint32_t f = 0; f < 16; f++) { /* every combination, with times of any size */
        static const int64_t times[] = {INT64_MIN, -2, -1, 1, INT64_MAX};
        for (int i = 0; i < 5; i++)
            pulsews_send_with(client, PULSEWS_TEXT, NULL, 0, f, times[i], times[i], f % 2 ? &id : NULL);
    }
    CHECK(id >= 1 && id <= 80);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    pulsews_client_free(client);
}

TEST(bad_subscriptions_headers_and_urls) {
    char why[PULSEWS_ERROR_SIZE], *large = calloc(1, (64 << 10) + 2);
    pulsews_client *client = make_client(1, OPTIONS("subscribe_message=[${keys}]"));
    memset(large, 'k', 1025);
    IS(pulsews_subscribe(client, large, NULL, NULL, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "1024"));
    large[1024] = 0;
    IS(pulsews_subscribe(client, large, NULL, NULL, why, sizeof why), PULSEWS_OK);
    IS(pulsews_subscribe(client, "", "text", NULL, why, sizeof why), PULSEWS_EINVAL);
    memset(large, 't', (64 << 10) + 1);
    CHECK(pulsews_subscribe(client, "key", large, NULL, why, sizeof why) < 0);
    CHECK(pulsews_subscribe(client, "key", "x", large, why, sizeof why) < 0);
    CHECK(pulsews_subscribe(client, "\xff", NULL, NULL, why, sizeof why) < 0);
    CHECK(pulsews_subscribe(client, "key", "\xff", NULL, why, sizeof why) < 0);
    IS((int64_t)statistic(client, "subscriptions"), 1);
    pulsews_unsubscribe(client, "\xff"), pulsews_unsubscribe(client, "");
    static const char *const headers[][2] = {
        {"", "x"},     {"X A", "x"},    {"X-A\r\n", "x"}, {"X-A", "x\r\ny"},          {"X-A", "x\ny"},
        {"X-A:", "x"}, {"X-A", "\x01"}, {"Upgrade", "x"}, {"Sec-WebSocket-Key", "x"}, {"connection", "close"},
        {"\xff", "x"}, {"X-A", "\xff"}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        fprintf(stderr, "header %zu\n", i);
        IS(pulsews_set_header(client, headers[i][0], headers[i][1], why, sizeof why), PULSEWS_EVALUE);
        CHECK(strlen(why) > 10 && !strchr(why, '\n') && !strchr(why, '\r'));
    }
    IS(pulsews_set_header(client, "X-A", large, why, sizeof why), PULSEWS_EVALUE); /* with it no request fits */
    static const char *const urls[] = {
        "", "localhost", "http://localhost/", "wss://localhost/", "ws://localhost/\r\n", "ws://\xff/"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        IS(pulsews_set_url(client, urls[i], why, sizeof why), PULSEWS_EURL);
        CHECK(strlen(why) > 10 && !strchr(why, '\n'));
    }
    IS(pulsews_set_url(client, "WS://127.0.0.1:2/other?x=y", why, sizeof why), PULSEWS_OK);
    pulsews_client_free(client);
    free(large);
}

/* A message that there is no memory for is refused; the connection goes on. */
TEST(a_send_without_memory) {
    const size_t length = 256 << 20;
    pulsews_client *client = open_client(start_server("echo"), OPTIONS("compression=false"));
    char *payload = calloc(1, length), line[256];
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(payload != NULL && file != NULL && fgets(line, sizeof line, file) && sscanf(line, "%ld", &pages) == 1);
    fclose(file);
    struct rlimit limit = {(rlim_t)pages * 4096 + (64 << 20), RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    IS(pulsews_send(client, PULSEWS_BINARY, payload, length, 0), PULSEWS_ENOMEM);
    IS(pulsews_send(client, PULSEWS_BINARY, payload, ((size_t)1 << 30) + 1, 0), PULSEWS_ETOOBIG);
    pulsews_message message;
    IS(pulsews_send(client, PULSEWS_TEXT, "small", 5, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    IS(message.length, 5);
    pulsews_client_free(client);
    free(payload);
}

TEST(bad_loops) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_loop *loop = (pulsews_loop *)why;
    IS(pulsews_loop_create(0x80, &loop, why, sizeof why), PULSEWS_EINVAL);
    CHECK(loop == NULL && strlen(why) > 10);
    IS(pulsews_loop_create(UINT32_MAX, &loop, NULL, 0), PULSEWS_EINVAL);
}
