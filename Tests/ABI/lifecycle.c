/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's life: open, exchange, close, free, from one thread and from several, and across fork. */
#include "harness.h"
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_text(pulsews_client *client, const char *text) {
    pulsews_message message;
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.length == strlen(text) && memcmp(message.data, text, message.length) == 0);
}

TEST(round_trip) {
    pulsews_message message;
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    IS(pulsews_close_code(client), 0);
    IS(pulsews_handshake_status(client), 101);
    IS(pulsews_client_error(client, NULL, 0), PULSEWS_OK);
    IS(pulsews_open(client, 0, NULL, 0), PULSEWS_OK);

    send_text(client, "plain");
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.kind == PULSEWS_TEXT && message.flags == PULSEWS_ASCII && message.sequence == 1);
    CHECK(message.received_ns > 1500000000LL * 1000000000LL);
    send_text(client, "\xe2\x82\xac");
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.kind == PULSEWS_TEXT && message.flags == 0 && message.sequence == 2 && message.length == 3);
    IS(pulsews_send(client, PULSEWS_BINARY, "\0\xff\0", 3, 0), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.kind == PULSEWS_BINARY && message.length == 3 && memcmp(message.data, "\0\xff\0", 3) == 0);
    IS(pulsews_send(client, PULSEWS_TEXT, NULL, 0, 0), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    CHECK(message.length == 0 && message.data != NULL && message.sequence == 4);
    IS(pulsews_recv(client, &message, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_recv(client, &message, PULSEWS_MILLISECONDS(20)), PULSEWS_ETIMEOUT);

    IS(pulsews_close(client, 1000, "bye", SHORT), PULSEWS_OK);
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    IS(pulsews_close_code(client), 1000);
    pulsews_client_free(client);
}

TEST(large_messages) {
    const size_t size = 5 << 20;
    char *payload = malloc(size);
    for (size_t i = 0; i < size; i++) payload[i] = (char)(i * 31 >> 5);
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    pulsews_message message;
    IS(pulsews_send(client, PULSEWS_BINARY, payload, size, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, PULSEWS_SECONDS(60)), PULSEWS_OK);
    CHECK(message.length == size && memcmp(message.data, payload, size) == 0);
    pulsews_client_free(client);
    free(payload);
}

TEST(batches) {
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;
    IS(pulsews_batch_traits(batch), 0);
    pulsews_client *client = open_client(start_server("flood"), OPTIONS("reconnect=false"));
    int expected = 0;
    int32_t got;
    while ((got = pulsews_recv_batch(client, batch, 64, SHORT, &messages)) > 0) {
        CHECK(got <= 64);
        IS(pulsews_batch_traits(batch), PULSEWS_ALL_TEXT | PULSEWS_ALL_ASCII);
        const char *next = messages[0].data;
        for (int32_t i = 0; i < got; i++, expected++) {
            char text[16];
            int length = snprintf(text, sizeof text, "%d", expected);
            CHECK(messages[i].data == next); /* one block without gaps */
            CHECK(messages[i].length == (size_t)length && memcmp(text, next, (size_t)length) == 0);
            CHECK(messages[i].sequence == (uint64_t)expected + 1);
            next += length;
        }
        if (expected == 1000) {
            /* A batch outlives its client. */
            const pulsews_message *first = messages;
            IS(pulsews_recv_batch(client, pulsews_batch_create(), 1, SHORT, &messages), PULSEWS_EPEERCLOSED);
            IS(pulsews_close_code(client), 4000);
            char reason[16];
            IS(pulsews_close_reason(client, reason, sizeof reason), 8);
            CHECK(strcmp(reason, "all sent") == 0);
            pulsews_client_free(client);
            CHECK(memcmp(first[got - 1].data, "999", 3) == 0);
            pulsews_batch_free(batch);
            return;
        }
    }
    CHECK(!"all messages came");
}

TEST(use_before_open) {
    pulsews_message message;
    pulsews_client *client = make_client(1, NO_OPTIONS);
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    IS(pulsews_close_code(client), 0);
    IS(pulsews_handshake_status(client), 0);
    IS(pulsews_subprotocol(client, NULL, 0), 0);
    IS(pulsews_send(client, PULSEWS_PING, "x", 1, 0), PULSEWS_ENOTCONNECTED);
    IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, 0), PULSEWS_OK); /* it waits for a connection */
    CHECK(pulsews_recv(client, &message, 0) < 0);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_ECLOSED);
    pulsews_client_free(client);
}

TEST(use_after_close) {
    pulsews_message message;
    const pulsews_message *messages;
    pulsews_batch *batch = pulsews_batch_create();
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    for (int round = 0; round < 2; round++) {
        IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, 0), PULSEWS_ECLOSED);
        IS(pulsews_send(client, PULSEWS_PING, "x", 1, PULSEWS_FOREVER), PULSEWS_ECLOSED);
        IS(pulsews_recv(client, &message, PULSEWS_FOREVER), PULSEWS_ECLOSED);
        IS(pulsews_recv_batch(client, batch, 8, PULSEWS_FOREVER, &messages), PULSEWS_ECLOSED);
        IS(pulsews_open(client, PULSEWS_FOREVER, NULL, 0), PULSEWS_ECLOSED);
        IS(pulsews_start(client), PULSEWS_ECLOSED);
        IS(pulsews_close(client, 1001, "again", PULSEWS_FOREVER), PULSEWS_OK);
        IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
        CHECK(pulsews_status_json(client, NULL, 0) > 2);
        CHECK(pulsews_wake_fd(client) >= 0);
    }
    pulsews_batch_free(batch);
    pulsews_client_free(client);
}

static void *close_it(void *client) { return (void *)(intptr_t)pulsews_close(client, 1000, NULL, SHORT); }

TEST(two_threads_close) {
    int port = start_server("echo");
    for (int i = 0; i < 30; i++) {
        pulsews_client *client = open_client(port, NO_OPTIONS);
        pthread_t one = run_thread(close_it, client), two = run_thread(close_it, client);
        void *first, *second;
        pthread_join(one, &first), pthread_join(two, &second);
        IS((intptr_t)first, PULSEWS_OK);
        IS((intptr_t)second, PULSEWS_OK);
        IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
        pulsews_client_free(client);
    }
}

/* Threads that tell on a pipe that they are about to wait. */
static int about[2];

static void *wait_for_message(void *client) {
    pulsews_message message;
    int32_t status;
    CHECK(write(about[1], "x", 1) == 1);
    /* Busy when the test itself looked at that moment. */
    while ((status = pulsews_recv(client, &message, PULSEWS_FOREVER)) == PULSEWS_EBUSY) {}
    return (void *)(intptr_t)status;
}

static void *wait_for_batch(void *client) {
    const pulsews_message *messages;
    pulsews_batch *batch = pulsews_batch_create();
    CHECK(write(about[1], "x", 1) == 1);
    int32_t status = pulsews_recv_batch(client, batch, 8, PULSEWS_FOREVER, &messages);
    pulsews_batch_free(batch);
    return (void *)(intptr_t)status;
}

static void await_threads(int count) {
    char buffer[8];
    for (int seen = 0; seen < count;) {
        ssize_t got = read(about[0], buffer, (size_t)(count - seen));
        CHECK(got > 0);
        seen += (int)got;
    }
}

TEST(close_ends_waiting_calls) {
    CHECK(pipe(about) == 0);
    int port = start_server("echo");
    for (int i = 0; i < 20; i++) {
        pulsews_client *client = open_client(port, NO_OPTIONS);
        pthread_t threads[3] = {run_thread(wait_for_message, client), run_thread(wait_for_batch, client),
                                run_thread(wait_for_batch, client)};
        await_threads(3);
        IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
        for (int t = 0; t < 3; t++) {
            void *status;
            pthread_join(threads[t], &status);
            IS((intptr_t)status, PULSEWS_ECLOSED);
        }
        pulsews_client_free(client);
    }
}

/* Whoever does not want to wait any more for the answer to a close frame. */
TEST(code_0_cuts_a_close_that_is_on_its_way) {
    pulsews_client *client = open_client(start_server("ignores-close"), OPTIONS("close_timeout=20s"));
    int64_t begin = now_ns();
    IS(pulsews_close(client, 1000, NULL, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_close(client, 1000, NULL, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_close(client, 0, NULL, SHORT), PULSEWS_OK);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(5));
    IS(pulsews_client_state(client), PULSEWS_DISCONNECTED);
    IS(pulsews_close(client, 0, NULL, 0), PULSEWS_OK);
    pulsews_client_free(client);
}

/* Until another thread is inside pulsews_recv. */
static void await_receiver(pulsews_client *client) {
    pulsews_message message;
    int32_t status;
    int64_t end = now_ns() + SHORT;
    while ((status = pulsews_recv(client, &message, 0)) == PULSEWS_ETIMEOUT && now_ns() < end) {}
    IS(status, PULSEWS_EBUSY);
}

TEST(free_ends_waiting_calls) {
    CHECK(pipe(about) == 0);
    int port = start_server("echo");
    for (int i = 0; i < 20; i++) {
        pulsews_client *client = open_client(port, NO_OPTIONS);
        pthread_t thread = run_thread(wait_for_message, client);
        await_receiver(client);
        pulsews_client_free(client);
        void *status;
        pthread_join(thread, &status);
        IS((intptr_t)status, PULSEWS_ECLOSED);
    }
}

TEST(recv_serves_one_thread_at_a_time) {
    CHECK(pipe(about) == 0);
    pulsews_message message;
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    pthread_t thread = run_thread(wait_for_message, client);
    await_receiver(client);
    send_text(client, "for the other");
    void *result;
    pthread_join(thread, &result);
    IS((intptr_t)result, PULSEWS_OK);
    IS(pulsews_recv(client, &message, 0), PULSEWS_ETIMEOUT);
    pulsews_client_free(client);
}

#define SENDERS 4
#define EACH 500

static void *send_many(void *client) {
    for (int i = 0; i < EACH; i++) send_text(client, "from a thread");
    return NULL;
}

TEST(several_threads_send) {
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) threads[i] = run_thread(send_many, client);
    for (int i = 0; i < SENDERS * EACH; i++) expect_text(client, "from a thread");
    for (int i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    pulsews_client_free(client);
}

static int readable(int descriptor, int milliseconds) {
    struct pollfd wait = {descriptor, POLLIN, 0};
    return poll(&wait, 1, milliseconds) == 1;
}

TEST(wake_descriptor) {
    pulsews_message message;
    pulsews_client *client = make_client(start_server("echo"), NO_OPTIONS);
    int descriptor = pulsews_wake_fd(client);
    CHECK(descriptor >= 0);
    IS(pulsews_wake_fd(client), descriptor);
    IS(pulsews_start(client), PULSEWS_OK);
    int32_t status;
    while ((status = pulsews_open(client, 0, NULL, 0)) == PULSEWS_ETIMEOUT) {
        CHECK(readable(descriptor, 10000));
        IS(pulsews_wake_clear(client), PULSEWS_OK);
    }
    IS(status, PULSEWS_OK);
    IS(pulsews_wake_clear(client), PULSEWS_OK);
    CHECK(!readable(descriptor, 0));
    for (int i = 0; i < 100; i++) {
        send_text(client, "one"), send_text(client, "two");
        for (int got = 0; got < 2;) {
            CHECK(readable(descriptor, 10000));
            IS(pulsews_wake_clear(client), PULSEWS_OK);
            while ((status = pulsews_recv(client, &message, 0)) == PULSEWS_OK) got++;
            IS(status, PULSEWS_ETIMEOUT);
        }
    }
    pulsews_wake_clear(client);
    CHECK(!readable(descriptor, 0));
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    CHECK(readable(descriptor, 10000)); /* the state changed */
    pulsews_client_free(client);
}

TEST(loop_driven_by_the_application) {
    char why[PULSEWS_ERROR_SIZE], url[64];
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    pulsews_message message;
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, why, sizeof why), PULSEWS_OK);
    CHECK(pulsews_loop_fd(loop) >= 0);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", start_server("echo"));
    IS(pulsews_client_create(url, NULL, loop, &client, why, sizeof why), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    int64_t end = now_ns() + SHORT;
    while (pulsews_open(client, 0, why, sizeof why) == PULSEWS_ETIMEOUT && now_ns() < end)
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(100)), PULSEWS_OK);
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    send_text(client, "hello");
    int32_t status;
    while ((status = pulsews_recv(client, &message, 0)) == PULSEWS_ETIMEOUT && now_ns() < end)
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(100)), PULSEWS_OK);
    IS(status, PULSEWS_OK);
    send_text(client, "and a call that blocks drives it too");
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    pulsews_loop_free(loop); /* the client keeps it alive */
    send_text(client, "still");
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    pulsews_client_free(client);
}

TEST(loop_of_its_own) {
    char why[PULSEWS_ERROR_SIZE], url[64];
    pulsews_loop *loop = NULL;
    pulsews_client *clients[8];
    IS(pulsews_loop_create(0, &loop, why, sizeof why), PULSEWS_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", start_server("echo"));
    for (int i = 0; i < 8; i++) {
        IS(pulsews_client_create(url, NULL, loop, &clients[i], why, sizeof why), PULSEWS_OK);
        IS(pulsews_open(clients[i], PULSEWS_FOREVER, why, sizeof why), PULSEWS_OK);
        send_text(clients[i], "hello");
    }
    pulsews_loop_free(loop);
    for (int i = 0; i < 8; i++) {
        expect_text(clients[i], "hello");
        pulsews_client_free(clients[i]);
    }
}

TEST(config_outlived_by_its_clients) {
    char why[PULSEWS_ERROR_SIZE], url[64];
    pulsews_client *client = NULL, *next = NULL;
    pulsews_config *config = pulsews_config_create();
    IS(pulsews_config_set(config, "max_message_size", "1000", why, sizeof why), PULSEWS_OK);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", start_server("echo"));
    IS(pulsews_client_create(url, config, NULL, &client, why, sizeof why), PULSEWS_OK);
    IS(pulsews_config_set(config, "max_message_size", "5", why, sizeof why), PULSEWS_OK);
    IS(pulsews_config_set(config, "reconnect", "false", why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create(url, config, NULL, &next, why, sizeof why), PULSEWS_OK);
    pulsews_config_free(config);
    memset(url, 0, sizeof url);
    IS(pulsews_open(client, PULSEWS_FOREVER, why, sizeof why), PULSEWS_OK);
    send_text(client, "longer than five");
    expect_text(client, "longer than five");
    pulsews_client_free(client);
    IS(pulsews_open(next, PULSEWS_FOREVER, why, sizeof why), PULSEWS_OK);
    send_text(next, "longer than five");
    pulsews_message message;
    IS(pulsews_recv(next, &message, PULSEWS_FOREVER), PULSEWS_ETOOBIG);
    pulsews_client_free(next);
}

TEST(a_forked_child_is_refused) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_message message;
    const pulsews_message *messages;
    pulsews_batch *batch = pulsews_batch_create();
    pulsews_loop *loop = NULL;
    int port = start_server("echo"), status;
    IS(pulsews_loop_create(0, &loop, why, sizeof why), PULSEWS_OK);
    IS(pulsews_log_queue(PULSEWS_LOG_DEBUG, 100), PULSEWS_OK);
    pulsews_client *client = open_client(port, NO_OPTIONS);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        IS(pulsews_open(client, PULSEWS_FOREVER, why, sizeof why), PULSEWS_EFORK);
        IS(pulsews_start(client), PULSEWS_EFORK);
        IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, PULSEWS_FOREVER), PULSEWS_EFORK);
        IS(pulsews_recv(client, &message, PULSEWS_FOREVER), PULSEWS_EFORK);
        IS(pulsews_recv_batch(client, batch, 1, PULSEWS_FOREVER, &messages), PULSEWS_EFORK);
        IS(pulsews_close(client, 1000, NULL, PULSEWS_FOREVER), PULSEWS_EFORK);
        IS(pulsews_client_state(client), PULSEWS_EFORK);
        IS(pulsews_client_error(client, why, sizeof why), PULSEWS_EFORK);
        IS(pulsews_status_json(client, NULL, 0), PULSEWS_EFORK);
        IS(pulsews_disconnect(client, PULSEWS_FOREVER), PULSEWS_EFORK);
        IS(pulsews_reconnect(client), PULSEWS_EFORK);
        IS(pulsews_wait_ready(client, PULSEWS_FOREVER, why, sizeof why), PULSEWS_EFORK);
        IS(pulsews_set_header(client, "X-A", "b", why, sizeof why), PULSEWS_EFORK);
        IS(pulsews_set_url(client, "ws://localhost/", why, sizeof why), PULSEWS_EFORK);
        IS(pulsews_release(client), PULSEWS_EFORK);
        IS(pulsews_acknowledge(client, 1), PULSEWS_EFORK);
        IS(pulsews_subscribe(client, "key", "text", NULL, why, sizeof why), PULSEWS_EFORK);
        IS(pulsews_unsubscribe(client, "key"), PULSEWS_EFORK);
        IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, 0, 0, PULSEWS_FOREVER, NULL), PULSEWS_EFORK);
        IS(pulsews_send_batch(client, &message, 1, 0, 0, PULSEWS_FOREVER, NULL), PULSEWS_EFORK);
        IS(pulsews_flush(client, PULSEWS_FOREVER), PULSEWS_EFORK);
        IS(pulsews_purge(client), PULSEWS_EFORK);
        IS(pulsews_statistics(client, NULL, 0), PULSEWS_EFORK);
        IS(pulsews_prometheus(client, NULL, 0), PULSEWS_EFORK);
        CHECK(pulsews_prometheus(NULL, NULL, 0) >= 0); /* the child's clients: none so far */
        IS(pulsews_log_next(NULL, 0, NULL, NULL, 0), PULSEWS_ECLOSED); /* and no log until it asks for one */
        IS(pulsews_wake_fd(client), PULSEWS_EFORK);
        IS(pulsews_wake_clear(client), PULSEWS_EFORK);
        IS(pulsews_loop_fd(loop), PULSEWS_EFORK);
        IS(pulsews_loop_run_once(loop, PULSEWS_FOREVER), PULSEWS_EFORK);
        pulsews_client_free(client);
        pulsews_loop_free(loop);
        pulsews_batch_free(batch);
        /* Handles of its own work, also on the default loop. */
        pulsews_client *own = open_client(port, NO_OPTIONS);
        send_text(own, "child");
        expect_text(own, "child");
        pulsews_client_free(own);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    send_text(client, "parent"); /* the child's end did not touch the connection */
    expect_text(client, "parent");
    pulsews_client_free(client);
    pulsews_loop_free(loop);
    pulsews_batch_free(batch);
}

TEST(exit_with_open_clients) {
    CHECK(pipe(about) == 0);
    int port = start_server("echo");
    for (int i = 0; i < 3; i++) {
        pulsews_client *client = open_client(port, NO_OPTIONS);
        if (i) run_thread(wait_for_batch, client);
    }
    await_threads(2);
    exit(0);
}

TEST(clients_come_and_go_without_a_trace) {
    int port = start_server("echo");
    int64_t memory = 0;
    for (int i = 0; i < 600; i++) {
        pulsews_client *client = open_client(port, OPTIONS("host_connect_rate=10000/s"));
        send_text(client, "hello");
        expect_text(client, "hello");
        pulsews_client_free(client);
        if (i == 200) memory = peak_memory();
    }
    CHECK(peak_memory() - memory < 4 << 20);
    int lowest = dup(0); /* no descriptor stayed behind */
    CHECK(lowest < 32);
}

/* Prints the status, for the test of its page. */
TEST(status_of_an_open_client) {
    char status[8192];
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    CHECK(pulsews_status_json(client, status, sizeof status) < (int64_t)sizeof status);
    puts(status);
    pulsews_client_free(client);
}

/* What arrives after this side began to close is not delivered, but counted and reported. */
TEST(what_a_close_discards_is_reported) {
    enum { SENT = 100 };
    pulsews_client *client = open_client(start_server("echo"), OPTIONS("events=true", "compression=false"));
    pulsews_message message;
    int delivered = 0, discarded = 0;
    for (int i = 0; i < SENT; i++) IS(pulsews_send(client, PULSEWS_TEXT, "late", 4, SHORT), PULSEWS_OK);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    while (pulsews_recv(client, &message, SHORT) == PULSEWS_OK) {
        char text[512], *at;
        if (message.kind == PULSEWS_TEXT) delivered++;
        snprintf(text, sizeof text, "%.*s", (int)message.length, (const char *)message.data);
        if (message.kind == PULSEWS_EVENT && (at = strstr(text, "\"discarded\",\"messages\":")) != NULL)
            discarded += atoi(at + 23);
    }
    fprintf(stderr, "%d delivered, %d discarded\n", delivered, discarded);
    IS(delivered + discarded, SENT);
    pulsews_client_free(client);
}

/* A turn with a timer fetches twice: what is posted between the two has its event then, and later posts need another. */
TEST(a_loop_shows_posts_behind_a_timer) {
    char why[PULSEWS_ERROR_SIZE];
    server *s = scripted(SCRIPTS("accept | flood 6000 1000 | go | flood 500 1000 | taken"));
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL, *other = NULL;
    pulsews_config *config = pulsews_config_create();
    IS(pulsews_config_set(config, "receive_queue_bytes", "64MiB", why, sizeof why), PULSEWS_OK);
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &client, why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &other, why, sizeof why), PULSEWS_OK);
    pulsews_config_free(config);
    struct pollfd look = {pulsews_loop_fd(loop), POLLIN, 0};
    IS(pulsews_start(client), PULSEWS_OK);
    int64_t end = now_ns() + SHORT;
    while (statistic(client, "messages_received") < 6000 && now_ns() < end)
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(20)), PULSEWS_OK);
    IS(pulsews_send_with(other, PULSEWS_TEXT, "late", 4, 0, PULSEWS_MILLISECONDS(20), 0, NULL), PULSEWS_OK);
    tell_server(s, "go");
    await_record(s, 1, "taken", "");
    usleep(50000);
    do {
        IS(pulsews_loop_run_once(loop, 0), PULSEWS_OK);
        if (statistic(client, "messages_received") >= 6500) break;
    } while (poll(&look, 1, 1000) == 1);
    IS((int64_t)statistic(client, "messages_received"), 6500);
    pulsews_client_free(client);
    pulsews_client_free(other);
    pulsews_loop_free(loop);
}
