/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that does not run for longer than its deadlines: stopped, frozen, in a debugger. What came meanwhile counts. */
#include "harness.h"
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP = 2500, CLIENTS = 300 };

/* A child does `begin`, is stopped for STOP ms when the server got what is named, and does `end`. */
static void stopped(server *s, pulsews_client *(*begin)(server *), const char *kind, void (*end)(pulsews_client *)) {
    int down[2];
    char byte;
    CHECK(pipe(down) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(down[1]);
        pulsews_client *client = begin(s);
        CHECK(read(down[0], &byte, 1) == 1);
        end(client);
        _exit(0);
    }
    int status;
    await_record(s, 1, kind, "");
    CHECK(kill(child, SIGSTOP) == 0 && waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    poll(NULL, 0, STOP);
    CHECK(kill(child, SIGCONT) == 0);
    CHECK(write(down[1], "c", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child);
    IS(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    close(down[0]), close(down[1]);
}

#define FEED "accept | every 50 {\"s\":\"A\"} | every 50 beat"

static pulsews_client *with_deadlines(server *s) {
    pulsews_client *client = open_client(port_of(s), OPTIONS("heartbeat_interval=300ms", "heartbeat_timeout=1s",
                                                             "stale_timeout=1s", "key_path=s", "stale_key_timeout=1s",
                                                             "server_heartbeat=beat", "server_heartbeat_timeout=1s"));
    send_text(client, "hello");
    return client;
}

static void is_alive(pulsews_client *client) {
    await_statistic(client, "messages_received", statistic(client, "messages_received") + 60);
    IS((int64_t)statistic(client, "connections"), 1);
    IS((int64_t)statistic(client, "stale_episodes"), 0);
    IS((int64_t)statistic(client, "stale_keys"), 0);
}

TEST(a_feed_outlives_a_stopped_process) { stopped(scripted(SCRIPTS(FEED)), with_deadlines, "text", is_alive); }

static pulsews_client *quiet(server *s) {
    pulsews_client *client = open_client(port_of(s), OPTIONS("heartbeat_interval=300ms", "heartbeat_timeout=2s",
                                                             "reconnect_base_delay=10s"));
    send_text(client, "hello");
    return client;
}

static void answers_pings(pulsews_client *client) {
    await_statistic(client, "pongs_received", statistic(client, "pongs_received") + 3);
    IS((int64_t)statistic(client, "connections"), 1);
}

/* It had nothing to answer, since it was not asked. */
TEST(a_quiet_peer_outlives_a_stopped_process) { stopped(scripted(SCRIPTS("accept")), quiet, "text", answers_pings); }

static void is_dead(pulsews_client *client) {
    int64_t begin = now_ns();
    while (pulsews_client_state(client) == PULSEWS_CONNECTED) {
        CHECK(now_ns() - begin < PULSEWS_MILLISECONDS(1900));
        poll(NULL, 0, 1);
    }
    IS(pulsews_client_error(client, NULL, 0), PULSEWS_EDEAD);
}

TEST(a_mute_peer_is_found_after_a_stop) { stopped(scripted(SCRIPTS("accept | mute")), quiet, "text", is_dead); }

static pulsews_client *opening_client(server *s) {
    pulsews_client *client = make_client(port_of(s), OPTIONS("open_timeout=1s", "reconnect_base_delay=10s"));
    IS(pulsews_start(client), PULSEWS_OK);
    return client;
}

static void opens(pulsews_client *client) {
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    IS((int64_t)statistic(client, "attempts"), 1);
}

TEST(an_answer_that_waits_opens_after_a_stop) {
    stopped(scripted(SCRIPTS("sleep 200 | accept")), opening_client, "request", opens);
}

/* The application's own loop, which it did not drive: more connections have news than one look takes. */
TEST(busy_peers_outlive_a_loop_that_was_not_driven) {
    static pulsews_client *clients[CLIENTS];
    pulsews_loop *loop = NULL;
    pulsews_config *config = pulsews_config_create();
    server *s = scripted(SCRIPTS(FEED));
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    static const char *const options[][2] = {{"heartbeat_timeout", "2s"},
                                             {"host_connect_rate", "10000/s"},
                                             {"host_connects", "1000"},
                                             {"reconnect_base_delay", "10s"}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        IS(pulsews_config_set(config, options[i][0], options[i][1], NULL, 0), PULSEWS_OK);
    for (int i = 0; i < CLIENTS; i++) {
        IS(pulsews_client_create(url_of(s), config, loop, &clients[i], NULL, 0), PULSEWS_OK);
        IS(pulsews_start(clients[i]), PULSEWS_OK);
    }
    for (int connected = 0; connected < CLIENTS;) {
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(100)), PULSEWS_OK);
        connected = 0;
        for (int i = 0; i < CLIENTS; i++) connected += pulsews_client_state(clients[i]) == PULSEWS_CONNECTED;
    }
    poll(NULL, 0, STOP);
    for (int turn = 0; turn < 20; turn++) IS(pulsews_loop_run_once(loop, 0), PULSEWS_OK);
    for (int i = 0; i < CLIENTS; i++) {
        IS(pulsews_client_state(clients[i]), PULSEWS_CONNECTED);
        IS((int64_t)statistic(clients[i], "connections"), 1);
    }
    for (int i = 0; i < CLIENTS; i++) pulsews_client_free(clients[i]);
    pulsews_loop_free(loop);
    pulsews_config_free(config);
}

/* Reading had paused, goes on, and the process stops before it has read: what waits there is a sign of life. */
TEST(what_waited_in_a_pause_is_read_before_a_deadline) {
    enum { TEXTS = 3000 };
    pulsews_loop *loop = NULL;
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    pulsews_message m;
    server *s = scripted(SCRIPTS("accept | mute | flood 3000 200"));
    IS(pulsews_loop_create(PULSEWS_LOOP_NO_THREAD, &loop, NULL, 0), PULSEWS_OK);
    static const char *const options[][2] = {{"receive_queue_bytes", "64KiB"},
                                             {"heartbeat_interval", "100ms"},
                                             {"heartbeat_timeout", "500ms"},
                                             {"reconnect_base_delay", "10s"}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        IS(pulsews_config_set(config, options[i][0], options[i][1], NULL, 0), PULSEWS_OK);
    IS(pulsews_client_create(url_of(s), config, loop, &client, NULL, 0), PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    double pings = 0;
    while (statistic(client, "reading_pauses") == 0 || statistic(client, "pings_sent") < pings + 2) {
        if (statistic(client, "reading_pauses") == 0) pings = statistic(client, "pings_sent");
        IS(pulsews_loop_run_once(loop, PULSEWS_MILLISECONDS(10)), PULSEWS_OK);
    }
    int taken = 0;
    /* Until there is room again, and not one more: the next call would read itself. */
    for (char status[16384] = ""; !strstr(status, "\"reading_paused\":false"); taken++) {
        CHECK(taken < TEXTS && pulsews_recv(client, &m, 0) == PULSEWS_OK);
        CHECK(pulsews_status_json(client, status, sizeof status) > 0);
    }
    poll(NULL, 0, 1000);
    for (int64_t end = now_ns() + SHORT; taken < TEXTS;) {
        CHECK(now_ns() < end);
        IS(pulsews_loop_run_once(loop, 0), PULSEWS_OK);
        IS(pulsews_client_state(client), PULSEWS_CONNECTED);
        while (pulsews_recv(client, &m, 0) == PULSEWS_OK) taken++;
    }
    pulsews_client_free(client);
    pulsews_loop_free(loop);
    pulsews_config_free(config);
}
