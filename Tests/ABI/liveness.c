/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing waits for ever, and nothing stays behind: wake-ups, ends and descriptors that are easily lost. */
#define _GNU_SOURCE
#include "harness.h"
#include "fuzz_peer.h"
#include <dirent.h>
#include <linux/sockios.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

enum { SENDERS = 8, LARGE = 256 << 10 };

static void *send_some(void *client) {
    char *payload = calloc(1, LARGE);
    for (int i = 0; i < 12; i++)
        IS(pulsews_send(client, PULSEWS_BINARY, payload, LARGE, PULSEWS_SECONDS(30)), PULSEWS_OK);
    free(payload);
    return NULL;
}

/* The room that comes free is enough for one of them: the others must be told of the next. */
TEST(each_blocked_sender_gets_its_turn) {
    pulsews_client *client = open_client(start_server("ignores-close"),
                                         OPTIONS("compression=false", "message_queue_size=1",
                                                 "message_queue_policy=block"));
    pthread_t senders[SENDERS];
    int64_t begin = now_ns();
    for (int i = 0; i < SENDERS; i++) senders[i] = run_thread(send_some, client);
    for (int i = 0; i < SENDERS; i++) pthread_join(senders[i], NULL);
    CHECK(now_ns() - begin < PULSEWS_SECONDS(20));
    pulsews_client_free(client);
}

static int descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    CHECK(folder != NULL);
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

/* A burst leaves work for the loop; the client and its loop may be gone before that is due. */
TEST(a_burst_before_the_end_leaves_nothing_behind) {
    int port = start_server("echo"), before = 0;
    for (int round = 0; round < 200; round++) {
        pulsews_client *client = open_client(port, OPTIONS("host_connect_rate=10000/s"));
        for (int i = 0; i < 500; i++) IS(pulsews_send(client, PULSEWS_TEXT, "burst", 5, SHORT), PULSEWS_OK);
        pulsews_client_free(client);
        if (round == 9) before = descriptors();
    }
    fprintf(stderr, "%d descriptors, then %d\n", before, descriptors());
    CHECK(descriptors() <= before + 1);
}

/* What was to be done before somebody asked for the descriptor shows on it as well. */
TEST(the_descriptor_of_a_loop_shows_earlier_work) {
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", start_server("echo"));
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url, NULL, loop, &client, NULL, 0), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    struct pollfd wait = {.fd = pulsews_loop_fd(loop), .events = POLLIN};
    while (pulsews_client_state(client) == PULSEWS_CONNECTING) {
        CHECK(poll(&wait, 1, 5000) == 1);
        IS(pulsews_loop_run_once(loop, 0), PULSEWS_OK);
    }
    IS(pulsews_client_state(client), PULSEWS_CONNECTED);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
}

/* Half of a TLS record and the end in one packet: there is one event for both. */
static void *cut_handshake(void *listener) {
    static const char half[] = "\x16\x03\x03\x00\x7a\x02\x00\x00";
    char hello[4096];
    int peer = accept((int)(intptr_t)listener, NULL, NULL);
    CHECK(peer >= 0 && recv(peer, hello, sizeof hello, 0) > 0);
    CHECK(send(peer, half, sizeof half - 1, MSG_MORE) == sizeof half - 1 && shutdown(peer, SHUT_WR) == 0);
    while (recv(peer, hello, sizeof hello, 0) > 0) {}
    close(peer);
    return NULL;
}

TEST(the_end_within_a_tls_handshake_is_seen) {
    int listener, port = bind_port(1, &listener);
    pthread_t server = run_thread(cut_handshake, (void *)(intptr_t)listener);
    char url[64], why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *client = NULL;
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/", port);
    IS(pulsews_client_create(url, NULL, NULL, &client, NULL, 0), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_EEOF); /* not PULSEWS_EOPENTIMEOUT, ten seconds later */
    fprintf(stderr, "%s\n", why);
    pulsews_client_free(client);
    pthread_join(server, NULL);
    close(listener);
}

enum { BEHIND = 60 };

/* Sends messages and a close frame, waits until all has arrived, and is gone: what comes then is answered with RST. */
static void *say_and_go(void *listener) {
    peer p = {.descriptor = accept((int)(intptr_t)listener, NULL, NULL)};
    uint8_t payload[1000];
    memset(payload, 'x', sizeof payload);
    while (!p.is_open) {
        grow(&p.in, &p.in_room, p.in_count + 4096);
        ssize_t got = recv(p.descriptor, p.in + p.in_count, 4096, 0);
        CHECK(got > 0);
        p.in_count += (size_t)got;
        answer_request(&p);
    }
    for (int i = 0; i < BEHIND; i++) put_frame(&p, 2, payload, sizeof payload);
    put_frame(&p, 8, (const uint8_t *)"\x03\xe9", 2);
    CHECK(send(p.descriptor, p.out, p.out_count, 0) == (ssize_t)p.out_count);
    for (int left = 1; left > 0; poll(NULL, 0, 1)) CHECK(ioctl(p.descriptor, SIOCOUTQ, &left) == 0);
    close(p.descriptor);
    free(p.in), free(p.out);
    return NULL;
}

/* A write that fails while reading pauses does not take what has arrived with it. */
TEST(a_slow_consumer_gets_what_came_before_the_end) {
    int listener, port = bind_port(1, &listener), received = 0;
    pthread_t server = run_thread(say_and_go, (void *)(intptr_t)listener);
    pulsews_client *client = open_client(port,
                                         OPTIONS("compression=false", "receive_queue_bytes=4KiB", "reconnect=false"));
    pulsews_message message;
    pthread_join(server, NULL);
    int32_t status = PULSEWS_OK;
    int64_t end = now_ns() + SHORT;
    while (now_ns() < end) { /* what need not be live would wait for the end in the outbox */
        status = pulsews_send_with(client, PULSEWS_TEXT, "hello?", 6, PULSEWS_LIVE_ONLY, 0, 0, NULL);
        if (status != PULSEWS_OK) break;
        poll(NULL, 0, 1);
    }
    IS(status, PULSEWS_ENOTCONNECTED);
    while ((status = pulsews_recv(client, &message, SHORT)) == PULSEWS_OK) received++;
    IS(received, BEHIND);
    IS(status, PULSEWS_EPEERCLOSED);
    IS(pulsews_close_code(client), 1001);
    pulsews_client_free(client);
    close(listener);
}

static sem_t client_is_done;

/* Takes no pongs until the client has nowhere to put them, says goodbye, and only then reads what was sent. */
static void *flood_and_close(void *listener) {
    static uint8_t pings[127 * 512];
    peer p = {.descriptor = accept((int)(intptr_t)listener, NULL, NULL)};
    for (size_t at = 0; at < sizeof pings; at += 127)
        memset(pings + at, 'p', 127), pings[at] = 0x89, pings[at + 1] = 125;
    for (int ending = 0;;) {
        grow(&p.in, &p.in_room, p.in_count + 65536);
        ssize_t got = recv(p.descriptor, p.in + p.in_count, 65536, 0);
        CHECK(got >= 0);
        if (got == 0) break;
        p.in_count += (size_t)got;
        if (!p.is_open) answer_request(&p);
        if (!p.is_open) continue;
        if (!ending) {
            CHECK(send(p.descriptor, p.out, p.out_count, MSG_NOSIGNAL) > 0);
            for (int i = 0; i < 150; i++) CHECK(send(p.descriptor, pings, sizeof pings, MSG_NOSIGNAL) == sizeof pings);
            CHECK(send(p.descriptor, "\x88\x02\x03\xe9", 4, MSG_NOSIGNAL) == 4);
            sem_wait(&client_is_done);
            ending = 1;
        }
        for (int opcode; p.in_count > 0 && (opcode = p.in[0] & 15, take_frame(&p)); p.is_ending = opcode == 8) {
            CHECK(opcode == 10 || opcode == 8); /* each whole, and the close frame the last */
            CHECK(!p.is_ending || p.in_count == 0);
        }
    }
    CHECK(p.is_ending && p.in_count == 0);
    close(p.descriptor);
    free(p.in), free(p.out);
    return NULL;
}

TEST(no_frame_is_cut_by_the_close_frame) {
    int listener, port = bind_port(1, &listener), small = 4096;
    CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    CHECK(sem_init(&client_is_done, 0, 0) == 0);
    pthread_t server = run_thread(flood_and_close, (void *)(intptr_t)listener);
    pulsews_client *client = open_client(port, OPTIONS("compression=false", "reconnect=false"));
    pulsews_message message;
    IS(pulsews_recv(client, &message, PULSEWS_SECONDS(30)), PULSEWS_EPEERCLOSED);
    sem_post(&client_is_done);
    pthread_join(server, NULL);
    pulsews_client_free(client);
    close(listener);
}

static void *good_and_bad(void *listener) {
    static const char both[] = "\x81\x04good\xff\xff", later[] = "\x81\x05later";
    peer first = take_peer((int)(intptr_t)listener);
    CHECK(send(first.descriptor, both, sizeof both - 1, MSG_NOSIGNAL) == sizeof both - 1);
    peer second = take_peer((int)(intptr_t)listener);
    CHECK(send(second.descriptor, later, sizeof later - 1, MSG_NOSIGNAL) == sizeof later - 1);
    sem_wait(&client_is_done);
    close(first.descriptor), close(second.descriptor);
    free(first.in), free(first.out), free(second.in), free(second.out);
    return NULL;
}

/* A bad frame behind a message ends the connection when that message was taken; who waits for the next one goes on
 * waiting, since the client comes back. */
TEST(a_consumer_waits_beyond_a_bad_frame) {
    int listener, port = bind_port(1, &listener);
    CHECK(sem_init(&client_is_done, 0, 0) == 0);
    pthread_t server = run_thread(good_and_bad, (void *)(intptr_t)listener);
    pulsews_client *client = open_client(port, OPTIONS("reconnect_base_delay=100ms", "jitter=0"));
    await_text(client, "good");
    await_text(client, "later");
    IS((int64_t)statistic(client, "connections"), 2);
    sem_post(&client_is_done);
    pthread_join(server, NULL);
    pulsews_client_free(client);
    close(listener);
}

enum { ARRIVED = 40 };

static void await_pause(const pulsews_client *client) {
    static char status[1 << 16];
    int64_t end = now_ns() + SHORT;
    for (;; poll(NULL, 0, 1)) {
        CHECK(pulsews_status_json(client, status, sizeof status) > 0);
        if (strstr(status, "\"reading_paused\":true")) return;
        CHECK(now_ns() < end);
    }
}

/* The consumer is away and reading pauses: the loss of the connection is noticed all the same, and all that had arrived
 * is delivered. */
TEST(an_end_is_noticed_while_reading_pauses) {
    static char text[1001], script[ARRIVED * 1010 + 100];
    memset(text, 'x', sizeof text - 1);
    strcpy(script, "accept");
    for (int i = 0; i < ARRIVED; i++) strcat(strcat(script, " | text "), text);
    strcat(script, " | go | cut");
    server *s = scripted(SCRIPTS(script, "accept | text back"));
    pulsews_client *client = open_client(port_of(s), OPTIONS("compression=false", "receive_queue_bytes=4KiB",
                                                             "reconnect_base_delay=10ms", "jitter=0"));
    await_pause(client);
    tell_server(s, "go");
    await_statistic(client, "connections", 2);
    send_text(client, "an order");
    expect_at_server(s, 2, "an order");
    for (int i = 0; i < ARRIVED; i++) await_text(client, text);
    await_text(client, "back");
    check_account(client);
    pulsews_client_free(client);
}

/* A text of the key "quiet", then large messages without a pause, from a process of its own. */
static pid_t start_torrent(int *port) {
    static uint8_t payload[60000];
    int listener;
    *port = bind_port(1, &listener);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        close(listener);
        return child;
    }
    peer p = take_peer(listener);
    put_frame(&p, 1, (const uint8_t *)"{\"k\":\"quiet\"}", 13);
    memset(payload, 'x', sizeof payload);
    for (size_t first = p.out_count; send(p.descriptor, p.out, p.out_count, MSG_NOSIGNAL) == (ssize_t)p.out_count;) {
        if (p.out_count != first) continue;
        p.out_count = 0;
        for (int i = 0; i < 20; i++) put_frame(&p, 1, payload, sizeof payload);
    }
    _exit(0);
}

/* A client of a loop that reads more slowly than the torrent comes, until `is_over`. */
static void drive_in_a_torrent(const char *const (*own)[2], int (*is_over)(pulsews_client *)) {
    int port, status;
    pid_t server = start_torrent(&port);
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    static const char *const options[][2] = {{"compression", "false"},
                                             {"receive_queue_policy", "drop_oldest"},
                                             {"reconnect", "false"},
                                             {"receive_queue_bytes", "64KiB"}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        IS(pulsews_config_set(config, options[i][0], options[i][1], NULL, 0), PULSEWS_OK);
    for (; (*own)[0]; own++) IS(pulsews_config_set(config, (*own)[0], (*own)[1], NULL, 0), PULSEWS_OK);
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url, config, loop, &client, NULL, 0), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    for (int64_t end = now_ns() + PULSEWS_SECONDS(5); !is_over(client);) {
        CHECK(now_ns() < end);
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(10)), PULSEWS_OK);
        poll(NULL, 0, 2);
    }
    fprintf(stderr, "%.0f bytes\n", statistic(client, "bytes_received"));
    CHECK(statistic(client, "bytes_received") > 1e6);
    pulsews_client_free(client);
    pulsews_loop_free(loop);
    pulsews_config_free(config);
    CHECK(waitpid(server, &status, 0) == server);
}

#define OWN(...)                                                                                                       \
    (const char *const[][2]) {                                                                                         \
        __VA_ARGS__, { NULL, NULL }                                                                                    \
    }

static int was_left(pulsews_client *client) { return pulsews_client_error(client, NULL, 0) == PULSEWS_ESTALE; }
static int has_stale_key(pulsews_client *client) { return statistic(client, "stale_keys") >= 1; }
static int is_stale(pulsews_client *client) { return statistic(client, "stale_episodes") >= 1; }

/* What is always still to be read puts off a verdict for half a second, and not for ever. */
TEST(a_torrent_is_no_heartbeat_of_the_server) {
    drive_in_a_torrent(OWN({"server_heartbeat", "hb"}, {"server_heartbeat_timeout", "200ms"}), was_left);
}

TEST(a_torrent_does_not_hide_that_a_key_is_stale) {
    drive_in_a_torrent(OWN({"key_path", "k"}, {"stale_key_timeout", "200ms"}), has_stale_key);
}

/* Messages of a heartbeat are no data, however many they are. */
TEST(a_torrent_of_heartbeats_is_a_stale_feed) {
    drive_in_a_torrent(OWN({"server_heartbeat", "x*"}, {"stale_timeout", "200ms"}), is_stale);
}
