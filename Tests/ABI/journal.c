/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox on disk: what a process that was killed leaves to the next one, and who may use the file. */
#include "harness.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAST "reconnect_base_delay=10ms", "reconnect_max_delay=40ms", "jitter=0", "events=true", "backlog_interval=0"

static char folder[32], file[64], option[80];

/* A name for a journal that is not there yet; the option for it is in `option`. */
static void new_journal(void) {
    snprintf(folder, sizeof folder, "/tmp/pulsews-journal-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(file, sizeof file, "%s/journal", folder);
    snprintf(option, sizeof option, "journal=%s", file);
}

static void remove_journal(void) {
    char other[80];
    snprintf(other, sizeof other, "%s/link", folder);
    unlink(other);
    unlink(file);
    rmdir(folder);
}

static int64_t size_of_file(void) {
    struct stat status;
    CHECK(stat(file, &status) == 0);
    return (int64_t)status.st_size;
}

/* Runs `body` in a child that ends with SIGKILL when it returns. */
static void in_killed_process(void (*body)(void)) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        kill(getpid(), SIGKILL);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void ready(pulsews_client *client) {
    IS(pulsews_start(client), PULSEWS_OK);
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
}

static int64_t send_now(pulsews_client *client, const char *text) {
    uint64_t id = 0;
    IS(pulsews_send_with(client, PULSEWS_TEXT, text, strlen(text), 0, 0, 0, &id), PULSEWS_OK);
    check_account(client);
    return (int64_t)id;
}

/* The creation fails with EJOURNAL and these words. */
static void expect_refusal(const char *path, const char *words) {
    char why[512] = "", message[512];
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    IS(pulsews_config_set(config, "journal", path, why, sizeof why), PULSEWS_OK);
    IS(pulsews_config_set(config, "journal_size", "1MiB", why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create("ws://127.0.0.1:1/", config, NULL, &client, message, sizeof message), PULSEWS_EJOURNAL);
    CHECK(client == NULL);
    if (strstr(message, words) == NULL || strstr(message, path) == NULL) {
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", message, words);
        exit(1);
    }
    pulsews_config_free(config);
}

/* ---- Over the end of a process ---- */

static void send_five(void) {
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    for (int i = 1; i <= 5; i++) IS(send_now(client, (char[]){(char)('0' + i), 0}), i);
    IS((int64_t)statistic(client, "journal_bytes"), 5 * 72);
}

TEST(a_journal_survives_a_kill) {
    new_journal();
    in_killed_process(send_five);
    struct stat status;
    CHECK(stat(file, &status) == 0 && (status.st_mode & 0777) == 0600 && status.st_size == 64 << 20);
    CHECK(status.st_blocks * 512 >= status.st_size); /* the disk can't be full later */
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 5);
    IS((int64_t)statistic(client, "messages_accepted"), 5);
    IS((int64_t)statistic(client, "queue_size"), 5);
    check_account(client);
    IS(send_now(client, "6"), 6);
    ready(client);
    EVENT(client, "\"event\":\"journal\"", "\"recovered\":5,\"expired\":0,\"in_doubt\":0", "\"cut_bytes\":0");
    for (int i = 1; i <= 6; i++) expect_at_server(s, 1, (char[]){(char)('0' + i), 0});
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    IS((int64_t)statistic(client, "journal_bytes"), 0);
    IS((int64_t)statistic(client, "messages_sent"), 6);
    pulsews_client_free(client);
    /* Nothing comes again. */
    client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 0);
    IS(send_now(client, "7"), 7);
    pulsews_client_free(client);
    remove_journal();
}

/* Killed again and again before anything was sent, also while it recovers nothing new. */
TEST(a_journal_survives_many_kills) {
    new_journal();
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        if (child == 0) {
            pulsews_client *client = make_client(1, OPTIONS(FAST, option));
            IS((int64_t)statistic(client, "journal_recovered"), round);
            IS(send_now(client, (char[]){(char)('0' + round), 0}), round + 1);
            kill(getpid(), SIGKILL);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    }
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, option));
    for (int round = 0; round < 5; round++) expect_at_server(s, 1, (char[]){(char)('0' + round), 0});
    check_account(client);
    pulsews_client_free(client);
    remove_journal();
}

static void send_mortal(void) {
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    int64_t brief = PULSEWS_MILLISECONDS(20), middling = PULSEWS_MILLISECONDS(700), hour = PULSEWS_SECONDS(3600);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "short", 5, PULSEWS_REPORT, brief, 0, NULL), PULSEWS_OK);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "long", 4, PULSEWS_REPORT, hour, 0, NULL), PULSEWS_OK);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "middle", 6, 0, middling, 0, NULL), PULSEWS_OK);
}

/* The time between two processes counts, too. */
TEST(messages_expire_over_a_restart) {
    new_journal();
    in_killed_process(send_mortal);
    int64_t end = now_ns() + PULSEWS_MILLISECONDS(30);
    while (now_ns() < end) usleep(1000);
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    int64_t expired = (int64_t)statistic(client, "messages_expired");
    CHECK(expired >= 1);
    check_account(client);
    IS((int64_t)statistic(client, "journal_recovered"), 3 - expired);
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"journal\"", "\"expired\":");
    EVENT(client, "\"event\":\"fate\"", "\"id\":1,\"fate\":\"expired\"");
    await_statistic(client, "messages_expired", 2); /* what was left of its time */
    check_account(client);
    pulsews_client_free(client);
    server *s = scripted(SCRIPTS("accept"));
    client = open_client(port_of(s), OPTIONS(FAST, option));
    expect_at_server(s, 1, "long");
    EVENT(client, "\"event\":\"fate\"", "\"id\":2,\"fate\":\"sent\"");
    check_account(client);
    pulsews_client_free(client);
    remove_journal();
}

/* Seconds by which the clock on the wall is wrong. */
static time_t clock_error;
int clock_gettime(clockid_t clock, struct timespec *time) {
    int status = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) time->tv_sec += clock_error;
    return status;
}

/* When the clock was set back nobody knows how old a message is. */
TEST(messages_expire_when_the_clock_was_set_back) {
    new_journal();
    clock_error = 86400;
    in_killed_process(send_mortal);
    clock_error = 0;
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "messages_expired"), 3);
    IS((int64_t)statistic(client, "journal_recovered"), 0);
    check_account(client);
    pulsews_client_free(client);
    remove_journal();
}

static server *stalled;
static int with_tls;

/* Open, over TLS or not. */
static pulsews_client *connected(server *s) {
    char url[64];
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", with_tls ? "wss" : "ws", port_of(s));
    pulsews_client *client = make_client_at(url, OPTIONS(FAST, option, "compression=false", "verify=false"));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
    return client;
}

/* With a message of which a part has left: not more than that fits into the buffers of the system. */
static pulsews_client *amid_a_message(void) {
    static char large[16 << 20];
    memset(large, 'x', sizeof large);
    pulsews_client *client = connected(stalled);
    send_text(client, "first");
    await_text(client, "stalled");
    IS(pulsews_send(client, PULSEWS_TEXT, large, sizeof large, 0), PULSEWS_OK);
    await_statistic(client, "bytes_sent", 1 << 16);
    return client;
}

static void send_much(void) {
    pulsews_client *client = amid_a_message();
    send_text(client, "behind");
    IS((int64_t)statistic(client, "messages_sent"), 1);
    IS((int64_t)statistic(client, "connections"), 1);
}

static int64_t in_doubt(void) {
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    int64_t count = (int64_t)statistic(client, "journal_in_doubt");
    IS((int64_t)statistic(client, "messages_accepted"), count + (int64_t)statistic(client, "journal_recovered"));
    pulsews_client_free(client);
    return count;
}

/* Takes all there is, and asks for more. */
static void take_all(pulsews_client *client) {
    pulsews_message message;
    while (pulsews_recv(client, &message, 0) == PULSEWS_OK) {}
}

/* Begun and not ended: it may have arrived, so it is not sent again, and that is told until the application knows it and
 * goes on. */
static void leave_in_doubt(void) {
    new_journal();
    stalled = with_tls ? scripted(SCRIPTS("--tls", "accept | got 1 | stall | text stalled"))
                       : scripted(SCRIPTS("accept | got 1 | stall | text stalled"));
    in_killed_process(send_much);
    for (int again = 0; again < 2; again++) {
        pulsews_client *client = make_client(1, OPTIONS(FAST, option));
        IS((int64_t)statistic(client, "journal_in_doubt"), 1);
        IS((int64_t)statistic(client, "journal_recovered"), 1);
        IS((int64_t)statistic(client, "messages_failed"), 1);
        check_account(client);
        IS(pulsews_start(client), PULSEWS_OK);
        EVENT(client, "\"event\":\"journal\"", "\"in_doubt\":1,\"first_in_doubt\":2,\"in_doubt_ids\":[[2,2]]");
        take_all(client);
        pulsews_client_free(client);
    }
    server *s = with_tls ? scripted(SCRIPTS("--tls", "accept")) : scripted(SCRIPTS("accept"));
    pulsews_client *client = connected(s);
    IS((int64_t)statistic(client, "journal_in_doubt"), 1);
    IS(send_now(client, "next"), 4);
    expect_at_server(s, 1, "behind");
    expect_at_server(s, 1, "next");
    IS(count_records(s, 1, "text", NULL), 2);
    pulsews_client_free(client);
    IS(in_doubt(), 1); /* that one did not take the event */
    client = connected(s);
    send_now(client, "more");
    take_all(client);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    IS((int64_t)statistic(client, "journal_bytes"), 0);
    pulsews_client_free(client);
    IS(in_doubt(), 0);
    remove_journal();
}

TEST(a_message_in_doubt_is_told) { leave_in_doubt(); }
TEST(a_message_in_doubt_over_tls_is_told) {
    with_tls = 1;
    leave_in_doubt();
}

/* An application that receives ahead says itself what it has taken. */
TEST(what_was_not_acknowledged_is_told_again) {
    new_journal();
    stalled = scripted(SCRIPTS("accept | got 1 | stall | text stalled"));
    in_killed_process(send_much);
    server *s = scripted(SCRIPTS("accept", "accept"));
    pulsews_message message;
    for (int last = 0; last < 2; last++) {
        pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, option));
        IS(pulsews_acknowledge(client, 0), PULSEWS_OK);
        IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_OK);
        IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
        CHECK(strstr((const char *)message.data, "\"event\":\"journal\"") != NULL);
        uint64_t journal = message.sequence;
        send_now(client, "more");
        IS(pulsews_acknowledge(client, journal - 1), PULSEWS_OK);
        take_all(client); /* and asks for more, again and again */
        if (last) IS(pulsews_acknowledge(client, journal), PULSEWS_OK);
        IS(pulsews_flush(client, SHORT), PULSEWS_OK);
        pulsews_client_free(client);
        IS(in_doubt(), !last);
    }
    remove_journal();
}

/* Cut by the end of its connection: the process knows that, and is killed before its application does. */
static int takes_events;
static void send_what_is_cut(void) {
    pulsews_client *client = amid_a_message();
    tell_server(stalled, "down");
    await_statistic(client, "messages_failed", 1);
    send_text(client, "behind");
    if (takes_events) {
        EVENT(client, "\"event\":\"failed\"", "\"messages\":1,\"first_id\":2,\"last_id\":2");
        take_all(client);
        CHECK(statistic(client, "journal_bytes") < 1000);
    }
}

TEST(a_message_that_was_cut_is_told) {
    for (takes_events = 0; takes_events < 2; takes_events++) {
        new_journal();
        stalled = scripted(SCRIPTS("accept | got 1 | stall | text stalled"));
        in_killed_process(send_what_is_cut);
        IS(in_doubt(), !takes_events);
        remove_journal();
    }
}

/* Small messages that the network did not take yet are not in doubt: nothing of them has left. */
static void send_many(void) {
    static char text[1000];
    memset(text, 'x', sizeof text);
    pulsews_client *client = connected(stalled);
    send_text(client, "first");
    await_text(client, "stalled");
    while (statistic(client, "queue_size") < 500)
        IS(pulsews_send(client, PULSEWS_TEXT, text, sizeof text, 0), PULSEWS_OK);
    CHECK(statistic(client, "messages_dropped") == 0);
}

/* What became of each id is known, though the process that knew it was killed before its application did. */
static void send_what_is_discarded(void) {
    pulsews_client *client = make_client(refusing_port(),
                                         OPTIONS(FAST, option, "message_queue_size=3", "max_reconnect_attempts=0"));
    IS(pulsews_start(client), PULSEWS_OK);
    for (int i = 1; i <= 7; i++) IS(send_now(client, "a message"), i); /* 1 to 4 are dropped */
    IS(pulsews_send_with(client, PULSEWS_TEXT, "short", 5, 0, PULSEWS_MILLISECONDS(20), 0, NULL),
       PULSEWS_OK); /* 5 goes */
    await_statistic(client, "messages_expired", 1);
    if (takes_events) {
        EVENT(client, "\"event\":\"dropped\"", "\"last_id\":5", "5]]}");
        EVENT(client, "\"event\":\"expired\"", "\"first_id\":8,\"last_id\":8");
        take_all(client);
    }
}

TEST(each_id_has_one_answer_after_a_kill) {
    for (takes_events = 0; takes_events < 2; takes_events++) {
        new_journal();
        in_killed_process(send_what_is_discarded);
        for (int round = 0; round < 2; round++) { /* told again until it was taken */
            pulsews_client *client = make_client(1, OPTIONS(FAST, option));
            pulsews_start(client);
            EVENT(client, "\"event\":\"journal\"", "\"recovered\":2,", "\"recovered_ids\":[[6,7]]",
                  takes_events ? "\"expired_ids\":[]" : "\"expired\":1,", takes_events ? "" : "\"expired_ids\":[[8,8]]",
                  takes_events ? "\"dropped_ids\":[]" : "\"dropped\":5,\"dropped_ids\":[[1,5]]", "\"unlisted\":0}");
            check_account(client);
            pulsews_client_free(client);
        }
        remove_journal();
    }
}

TEST(little_is_in_doubt_when_the_network_is_full) {
    new_journal();
    stalled = scripted(SCRIPTS("accept | got 1 | stall | text stalled"));
    in_killed_process(send_many);
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    CHECK(statistic(client, "journal_in_doubt") <= 1);
    CHECK(statistic(client, "journal_in_doubt") + statistic(client, "journal_recovered") >= 499);
    check_account(client);
    pulsews_client_free(client);
    remove_journal();
}

/* What is for the open connection only is not kept, but its id is not given out again. */
TEST(live_only_messages_are_not_kept) {
    new_journal();
    server *s = scripted(SCRIPTS("accept | got 2 | cut", "refuse 503"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, option));
    uint64_t id = 0;
    IS(send_now(client, "1"), 1);
    IS(pulsews_send_with(client, PULSEWS_TEXT, "2", 1, PULSEWS_LIVE_ONLY, 0, 0, &id), PULSEWS_OK);
    IS((int64_t)id, 2);
    EVENT(client, "\"state\":\"reconnecting\"");
    pulsews_client_free(client);
    client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 0);
    IS(send_now(client, "3"), 3);
    pulsews_client_free(client);
    remove_journal();
}

/* ---- The end of a client ---- */

TEST(close_keeps_what_is_queued) {
    new_journal();
    pulsews_client *client = make_client(1, OPTIONS(FAST, option, "reconnect=false"));
    for (int i = 1; i <= 3; i++) IS(send_now(client, (char[]){(char)('0' + i), 0}), i);
    CHECK(pulsews_open(client, SHORT, NULL, 0) != PULSEWS_OK); /* given up */
    EVENT(client, "\"event\":\"journal_kept\"", "\"messages\":3");
    check_account(client);
    IS((int64_t)statistic(client, "queue_size"), 3);
    IS((int64_t)statistic(client, "messages_failed"), 0);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    check_account(client);
    IS(pulsews_purge(client), 0); /* they are not this client's any more */
    /* Closed, and not freed: another one may have the journal. */
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *next = open_client(port_of(s), OPTIONS(FAST, option));
    for (int i = 1; i <= 3; i++) expect_at_server(s, 1, (char[]){(char)('0' + i), 0});
    IS(pulsews_close(next, 1000, NULL, SHORT), PULSEWS_OK);
    check_account(next);
    pulsews_client_free(next);
    pulsews_client_free(client);
    remove_journal();
}

/* The same client goes on with them, too. */
TEST(disconnect_keeps_what_is_queued) {
    new_journal();
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, option));
    IS(send_now(client, "1"), 1);
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS((int64_t)statistic(client, "queue_size"), 1);
    check_account(client);
    IS(pulsews_reconnect(client), PULSEWS_OK);
    IS(send_now(client, "2"), 2);
    expect_at_server(s, 1, "1");
    expect_at_server(s, 1, "2");
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    IS(pulsews_purge(client), 0);
    /* Until it is closed: then another one may have the journal. */
    IS(pulsews_disconnect(client, SHORT), PULSEWS_OK);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    pulsews_client *next = make_client(port_of(s), OPTIONS(FAST, option));
    pulsews_client_free(next);
    pulsews_client_free(client);
    remove_journal();
}

/* One side of two is gone at once; what the other one could not send is for the next client all the same. */
TEST(a_twin_that_ends_first_leaves_the_journal) {
    new_journal();
    server *s = scripted(SCRIPTS("/path: accept", "/twin: accept"));
    char twin[100];
    snprintf(twin, sizeof twin, "twin=ws://127.0.0.1:%d/twin", port_of(s));
    pulsews_client *client = make_client(port_of(s), OPTIONS(FAST, option, twin, "sequence_path=u", "rate_limit=1/1m",
                                                             "close_timeout=300ms"));
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    if (statistic(client, "sides_connected") < 2) EVENT(client, "\"side\":\"twin\"", "\"state\":\"connected\"");
    for (int i = 1; i <= 5; i++) IS(send_now(client, (char[]){(char)('0' + i), 0}), i);
    expect_at_server(s, 0, "1");
    IS(pulsews_close(client, 1000, NULL, PULSEWS_MILLISECONDS(300)), PULSEWS_ETIMEOUT);
    EVENT(client, "\"event\":\"journal_kept\"", "\"messages\":4");
    IS((int64_t)statistic(client, "messages_failed"), 0);
    check_account(client);
    pulsews_client_free(client);
    client = make_client(port_of(s), OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 4);
    pulsews_client_free(client);
    remove_journal();
}

TEST(what_is_purged_does_not_come_back) {
    new_journal();
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    for (int i = 1; i <= 3; i++) send_now(client, "x");
    IS(pulsews_purge(client), 3);
    IS((int64_t)statistic(client, "journal_bytes"), 0);
    send_now(client, "4");
    pulsews_client_free(client);
    client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 1);
    pulsews_client_free(client);
    remove_journal();
}

/* ---- A full journal: room for six of these ---- */

static void overflow(const char *policy, int32_t seventh, int dropped) {
    static char payload[10000];
    new_journal();
    pulsews_client *client = make_client(1, OPTIONS(FAST, option, "journal_size=64KiB", policy));
    for (int i = 1; i <= 6; i++) {
        payload[0] = (char)('0' + i);
        IS(pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, 0), PULSEWS_OK);
    }
    payload[0] = '7';
    IS(pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, PULSEWS_MILLISECONDS(20)), seventh);
    IS((int64_t)statistic(client, "messages_dropped"), dropped != 0);
    check_account(client);
    /* It could never be taken, and is no reason to drop others. */
    static char large[64 << 10];
    IS(pulsews_send(client, PULSEWS_BINARY, large, sizeof large, 0), PULSEWS_ETOOBIG);
    IS((int64_t)statistic(client, "queue_size"), 6);
    pulsews_client_free(client);
    server *s = scripted(SCRIPTS("accept"));
    client = open_client(port_of(s), OPTIONS(FAST, option));
    for (int i = 1; i <= 7; i++)
        if (i != dropped && (i < 7 || seventh == PULSEWS_OK))
            await_record(s, 1, "binary", (char[]){':', (char)('0' + i), 0});
    check_account(client);
    IS(size_of_file(), 64 << 10); /* its size is its own */
    pulsews_client_free(client);
    remove_journal();
}

TEST(a_full_journal_drops_the_oldest) { overflow("message_queue_policy=drop_oldest", PULSEWS_OK, 1); }
TEST(a_full_journal_drops_the_newest) { overflow("message_queue_policy=drop_newest", PULSEWS_OK, 7); }
/* A message that was dropped at once had an id. */
TEST(ids_of_dropped_messages_are_not_given_out_again) {
    static char payload[60000];
    new_journal();
    for (int round = 0; round < 2; round++) {
        pulsews_client *client = make_client(1, OPTIONS(FAST, option, "journal_size=64KiB",
                                                        "message_queue_policy=drop_newest"));
        uint64_t id = 0;
        for (int i = 1; i <= 3; i++) {
            IS(pulsews_send_with(client, PULSEWS_BINARY, payload, sizeof payload, 0, 0, 0, &id), PULSEWS_OK);
            IS((int64_t)id, 3 * round + i);
        }
        check_account(client);
        pulsews_client_free(client);
    }
    remove_journal();
}

TEST(a_full_journal_rejects) { overflow("message_queue_policy=reject", PULSEWS_EQUEUEFULL, 0); }
TEST(a_full_journal_blocks) { overflow("message_queue_policy=block", PULSEWS_EQUEUEFULL, 0); }

static void *send_blocked(void *client) {
    static char payload[10000];
    return (void *)(intptr_t)pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, SHORT);
}

TEST(a_sender_waits_for_room_in_the_journal) {
    static char payload[10000];
    new_journal();
    server *s = scripted(SCRIPTS("accept"));
    pulsews_client *client = make_client(port_of(s),
                                         OPTIONS(FAST, option, "journal_size=64KiB", "message_queue_policy=block"));
    for (int i = 1; i <= 6; i++) IS(pulsews_send(client, PULSEWS_BINARY, payload, sizeof payload, 0), PULSEWS_OK);
    pthread_t thread = run_thread(send_blocked, client);
    ready(client);
    void *result;
    pthread_join(thread, &result);
    IS((int64_t)(intptr_t)result, PULSEWS_OK);
    IS(pulsews_flush(client, SHORT), PULSEWS_OK);
    check_account(client);
    pulsews_client_free(client);
    remove_journal();
}

/* ---- Who may have it ---- */

TEST(a_journal_has_one_client) {
    new_journal();
    char other[80];
    snprintf(other, sizeof other, "%s/link", folder);
    pulsews_client *client = make_client(1, OPTIONS(option));
    expect_refusal(file, "by another client of this process");
    CHECK(link(file, other) == 0);
    expect_refusal(other, "by another client of this process");
    /* Nor has the attempt opened it to other processes. */
    pid_t child = fork();
    if (child == 0) {
        expect_refusal(file, "is in use by process ");
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    pulsews_client_free(client);
    client = make_client(1, OPTIONS(option));
    pulsews_client_free(client);
    remove_journal();
}

static int at_work[2], at_end[2];

/* Holds the journal, with a child that lives on, until it is killed. */
static void hold_journal(void) {
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    send_now(client, "kept");
    char words[64], byte;
    snprintf(words, sizeof words, "is in use by process %d", (int)getpid());
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        IS(pulsews_send(client, PULSEWS_TEXT, "x", 1, 0), PULSEWS_EFORK);
        expect_refusal(file, words);
        pulsews_client_free(client);
        CHECK(write(at_work[1], "c", 1) == 1);
        CHECK(read(at_end[0], &byte, 1) == 1);
        _exit(0);
    }
    CHECK(write(at_work[1], "p", 1) == 1);
    for (;;) pause();
}

TEST(a_child_does_not_hold_the_journal) {
    new_journal();
    CHECK(pipe(at_work) == 0 && pipe(at_end) == 0);
    pid_t holder = fork();
    CHECK(holder >= 0);
    if (holder == 0) hold_journal();
    char bytes[2], words[64];
    CHECK(read(at_work[0], bytes, 1) == 1 && read(at_work[0], bytes + 1, 1) == 1);
    snprintf(words, sizeof words, "is in use by process %d", (int)holder);
    expect_refusal(file, words);
    kill(holder, SIGKILL);
    CHECK(waitpid(holder, NULL, 0) == holder);
    /* Its child lives, with the file open. */
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 1);
    CHECK(write(at_end[1], "x", 1) == 1);
    pulsews_client_free(client);
    remove_journal();
}

/* In place of libc's, for the library too: what another process does just before this one locks a file. */
static void (*before_lock)(void);
int fcntl(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    void (*body)(void) = command == F_SETLK ? before_lock : NULL;
    if (body) {
        before_lock = NULL;
        body();
    }
    return (int)syscall(SYS_fcntl, descriptor, command, argument);
}

static void another_sends_five(void) { in_killed_process(send_five); }
static void another_removes_it(void) { CHECK(unlink(file) == 0); }
static void limit_files(rlim_t most) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = most;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}
static void another_leaves_no_room(void) {
    in_killed_process(send_five);
    limit_files(256 << 10);
}

/* Two processes make one journal at the same time: what the other has put into it does not go. */
TEST(a_journal_that_two_make) {
    new_journal();
    before_lock = another_sends_five;
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    CHECK(before_lock == NULL);
    IS((int64_t)statistic(client, "journal_recovered"), 5);
    pulsews_client_free(client);
    CHECK(unlink(file) == 0);
    before_lock = another_leaves_no_room;
    expect_refusal(file, "file too large");
    limit_files(RLIM_INFINITY);
    client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 5);
    pulsews_client_free(client);
    remove_journal();
}

/* What is stored in a file without a name nobody would find. */
TEST(a_journal_that_is_removed_as_it_is_opened) {
    new_journal();
    before_lock = another_removes_it;
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    CHECK(before_lock == NULL && access(file, F_OK) == 0);
    IS(send_now(client, "kept"), 1);
    pulsews_client_free(client);
    client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 1);
    pulsews_client_free(client);
    remove_journal();
}

/* ---- What can't be one ---- */

static void write_file(const char *bytes, size_t count) {
    int descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(descriptor >= 0 && write(descriptor, bytes, count) == (ssize_t)count);
    close(descriptor);
}

TEST(what_is_no_journal_is_left_alone) {
    static const char text[] = "Dear diary";
    char bytes[64] = "", elsewhere[96];
    new_journal();
    write_file(text, sizeof text);
    expect_refusal(file, "is not a journal");
    int descriptor = open(file, O_RDONLY);
    CHECK(read(descriptor, bytes, sizeof bytes) == sizeof text && memcmp(bytes, text, sizeof text) == 0);
    close(descriptor);
    expect_refusal(folder, "is not a regular file");
    expect_refusal("/dev/null", "is not a regular file");
    snprintf(elsewhere, sizeof elsewhere, "%s/missing/journal", folder);
    expect_refusal(elsewhere, "no such file or directory");
    CHECK(unlink(file) == 0 && mkfifo(file, 0600) == 0);
    expect_refusal(file, "is not a regular file");
    /* An empty file is as good as none. */
    CHECK(unlink(file) == 0);
    write_file("", 0);
    in_killed_process(send_five);
    /* A later format. */
    descriptor = open(file, O_WRONLY);
    CHECK(pwrite(descriptor, "\2", 1, 8) == 1);
    expect_refusal(file, "has version 2 of the format");
    CHECK(pwrite(descriptor, "\1", 1, 8) == 1 && pwrite(descriptor, "\1", 1, 20) == 1);
    expect_refusal(file, "is damaged in its first bytes");
    close(descriptor);
    remove_journal();
}

TEST(a_journal_needs_permission) {
    new_journal();
    write_file("", 0);
    CHECK(chmod(file, 0) == 0 && chmod(folder, 0755) == 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0) CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        expect_refusal(file, "permission denied");
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    remove_journal();
}

/* No room: told when the client is made, without a signal, and no half of a file stays. */
TEST(a_journal_needs_its_room_at_once) {
    new_journal();
    struct rlimit limit = {256 << 10, 256 << 10};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    expect_refusal(file, "file too large");
    CHECK(access(file, F_OK) != 0 && errno == ENOENT);
    pulsews_client *client = make_client(1, OPTIONS(option, "journal_size=256KiB"));
    pulsews_client_free(client);
    /* One that was there and empty is so again, or its size would be fixed. */
    write_file("", 0);
    expect_refusal(file, "file too large");
    IS(size_of_file(), 0);
    remove_journal();
}

/* ---- Damage ---- */

TEST(a_truncated_journal_keeps_what_is_whole) {
    new_journal();
    in_killed_process(send_five);
    int64_t size = size_of_file();
    CHECK(truncate(file, 4096 + 3 * 72 + 64) == 0);
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    IS(size_of_file(), size);
    IS((int64_t)statistic(client, "journal_recovered"), 3);
    check_account(client);
    IS(send_now(client, "6"), 6);
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"journal\"", "\"recovered\":3", "\"cut_bytes\":144,\"cut_messages\":2");
    pulsews_client_free(client);
    client = make_client(1, OPTIONS(FAST, option));
    IS((int64_t)statistic(client, "journal_recovered"), 4);
    pulsews_client_free(client);
    /* To the first page, which knows how many there were, and into it, where nothing knows. */
    CHECK(truncate(file, 4096) == 0);
    client = make_client(1, OPTIONS(FAST, option));
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"event\":\"journal\"", "\"recovered\":0", "\"cut_messages\":4,");
    send_now(client, "again");
    pulsews_client_free(client);
    for (int place = 64; place <= 160; place += 32) {
        CHECK(truncate(file, place) == 0);
        client = make_client(1, OPTIONS(FAST, option));
        IS((int64_t)statistic(client, "messages_accepted"), 0);
        IS(pulsews_start(client), PULSEWS_OK);
        EVENT(client, "\"event\":\"journal\"", "\"recovered\":0", "\"cut_messages\":null,");
        send_now(client, "again");
        pulsews_client_free(client);
    }
    CHECK(truncate(file, 30) == 0);
    expect_refusal(file, "is damaged in its first bytes");
    CHECK(truncate(file, 7) == 0);
    expect_refusal(file, "is not a journal");
    remove_journal();
}

/* Each event has the ids of its own cause. */
TEST(events_of_two_causes_share_no_ids) {
    new_journal();
    pulsews_client *client = make_client(refusing_port(), OPTIONS("reconnect_base_delay=20s", "events=true", option,
                                                                  "message_queue_size=2"));
    IS(pulsews_start(client), PULSEWS_OK);
    EVENT(client, "\"state\":\"reconnecting\"");
    for (int i = 0; i < 5; i++) send_text(client, "x");
    IS(pulsews_purge(client), 2);
    /* The first was told at once, and the others were not. */
    EVENT(client, "\"cause\":\"drop_oldest\"", "\"messages\":1,", "\"ids\":[[1,1]]");
    EVENT(client, "\"cause\":\"drop_oldest\"", "\"messages\":2,", "\"ids\":[[2,3]]");
    EVENT(client, "\"cause\":\"purge\"", "\"messages\":2,", "\"ids\":[[4,5]]");
    pulsews_client_free(client);
    remove_journal();
}

static void drop_three(void) {
    pulsews_client *client = make_client(1, OPTIONS(FAST, option, "message_queue_size=2",
                                                    "message_queue_policy=drop_newest"));
    for (int i = 1; i <= 5; i++) IS(send_now(client, "x"), i);
}

/* It is killed when the fifth message is written down as dropped, and its id is not yet as taken. */
TEST(a_kill_behind_a_dropped_message_loses_no_other) {
    new_journal();
    in_killed_process(drop_three);
    uint64_t words[4] = {4, ~(uint64_t)4, 4, ~(uint64_t)4};
    int descriptor = open(file, O_WRONLY);
    IS(pwrite(descriptor, words, sizeof words, 160), sizeof words);
    close(descriptor);
    pulsews_client *client = make_client(1, OPTIONS(FAST, option));
    EVENT(client, "\"event\":\"journal\"", "\"recovered\":2,", "\"dropped\":2,\"dropped_ids\":[[3,4]]");
    pulsews_client_free(client);
    remove_journal();
}

/* The file has room for some 160 rows; the event has all. Once it is taken the file has none of them to tell. */
TEST(an_event_lists_more_ids_than_the_file) {
    new_journal();
    pulsews_client *client = make_client(refusing_port(), OPTIONS("reconnect_base_delay=20s", "events=true", option,
                                                                  "message_queue_size=1000"));
    pulsews_message message;
    uint64_t unlisted = 1;
    int64_t rows = 0;
    for (int i = 0; i < 600; i++)
        IS(pulsews_send_with(client, PULSEWS_TEXT, "x", 1, 0, i % 2 ? PULSEWS_MILLISECONDS(200) : -1, 0, NULL),
           PULSEWS_OK);
    IS(pulsews_start(client), PULSEWS_OK);
    while (rows < 300) {
        const char *at = strstr(EVENT(client, "\"event\":\"expired\""), "\"ids\":[");
        CHECK(at != NULL);
        for (at += 7; (at = strchr(at, '[')) != NULL; at++) rows++; /* the events have no other lists */
    }
    IS(rows, 300);
    IS(pulsews_recv(client, &message, 0), PULSEWS_ETIMEOUT);
    int descriptor = open(file, O_RDONLY);
    IS(pread(descriptor, &unlisted, sizeof unlisted, 192), sizeof unlisted);
    close(descriptor);
    IS((int64_t)unlisted, 0);
    pulsews_client_free(client);
    remove_journal();
}
