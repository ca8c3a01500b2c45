/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: where it goes, what it costs nobody, and what never stands in it. */
#include "harness.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAST "reconnect_base_delay=10ms", "jitter=0", "events=true"

static char *temporary(void) {
    static char path[] = "/tmp/pulsews-log-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0);
    close(file), unlink(path);
    return path;
}

static char *contents(const char *path) {
    static char text[1 << 20];
    int file = open(path, O_RDONLY);
    CHECK(file >= 0);
    ssize_t got = read(file, text, sizeof text - 1);
    CHECK(got >= 0);
    text[got] = 0;
    close(file);
    return text;
}

/* Takes lines until one that contains `part`. */
static void await_line(const char *part, int32_t wanted) {
    char line[1000];
    int32_t level = -1;
    int64_t at = 0, length;
    while ((length = pulsews_log_next(line, sizeof line, &level, &at, SHORT)) >= 0) {
        fprintf(stderr, "%d %s\n", level, line);
        CHECK((size_t)length == strlen(line) && level >= PULSEWS_LOG_ERROR && level <= PULSEWS_LOG_DEBUG);
        CHECK(at > 1500000000LL * 1000000000LL);
        CHECK(!strchr(line, '\n'));
        if (!strstr(line, part)) continue;
        IS(level, wanted);
        return;
    }
    fprintf(stderr, "no line with %s\n", part);
    exit(1);
}

TEST(the_log_in_a_queue) {
    char line[16];
    IS(pulsews_log_next(line, sizeof line, NULL, NULL, PULSEWS_FOREVER), PULSEWS_ECLOSED); /* off at first */
    IS(pulsews_log_queue(PULSEWS_LOG_DEBUG, 1000), PULSEWS_OK);
    IS(pulsews_log_next(line, sizeof line, NULL, NULL, 0), PULSEWS_ETIMEOUT);
    IS(pulsews_log_next(line, sizeof line, NULL, NULL, PULSEWS_MILLISECONDS(10)), PULSEWS_ETIMEOUT);
    server *s = scripted(SCRIPTS("accept | go | cut", "accept | go | close 1000", "refuse 403"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST, "name=feed A"));
    await_line("[feed A] ", PULSEWS_LOG_DEBUG);
    await_line("connected", PULSEWS_LOG_INFO);
    await_line("ready", PULSEWS_LOG_INFO);
    tell_server(s, "go");
    await_line("without a close frame", PULSEWS_LOG_WARNING);
    await_line("connected", PULSEWS_LOG_INFO);
    tell_server(s, "go");
    await_line("with code 1000", PULSEWS_LOG_WARNING);
    await_line("status 403", PULSEWS_LOG_ERROR);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    await_line("closed", PULSEWS_LOG_INFO);
    pulsews_client_free(client);
    while (pulsews_log_next(NULL, 0, NULL, NULL, 0) >= 0) {} /* the place and the level are optional */
    IS(pulsews_log_queue(PULSEWS_LOG_ERROR, 1000), PULSEWS_OK);
    client = open_client(start_server("echo"), NO_OPTIONS);
    pulsews_client_free(client);
    IS(pulsews_log_next(line, sizeof line, NULL, NULL, 0), PULSEWS_ETIMEOUT); /* nothing went wrong */
}

TEST(a_full_log_queue_keeps_the_latest) {
    char line[200];
    IS(pulsews_log_queue(PULSEWS_LOG_DEBUG, 3), PULSEWS_OK);
    pulsews_client *client = open_client(start_server("echo"), NO_OPTIONS);
    IS(pulsews_close(client, 1000, NULL, SHORT), PULSEWS_OK);
    pulsews_client_free(client);
    CHECK(pulsews_log_next(line, sizeof line, NULL, NULL, 0) > 0 && strstr(line, "lost"));
    int64_t whole = 0;
    for (int i = 0; i < 3; i++) {
        memset(line, '#', sizeof line);
        whole = pulsews_log_next(line, 5, NULL, NULL, 0); /* cut, and ended */
        CHECK(whole > 5 && strlen(line) == 4 && line[5] == '#');
    }
    IS(pulsews_log_next(line, sizeof line, NULL, NULL, 0), PULSEWS_ETIMEOUT);
}

static void *wait_for_line(void *unused) {
    (void)unused;
    char line[100];
    return (void *)(intptr_t)pulsews_log_next(line, sizeof line, NULL, NULL, PULSEWS_FOREVER);
}

TEST(a_reader_of_the_log_is_freed) {
    for (int way = 0; way < 2; way++) {
        void *status;
        IS(pulsews_log_queue(PULSEWS_LOG_INFO, 10), PULSEWS_OK);
        pthread_t thread = run_thread(wait_for_line, NULL);
        poll(NULL, 0, 20); /* it waits by then, most likely */
        pulsews_client *client = NULL;
        if (way == 0) IS(pulsews_log_stderr(PULSEWS_LOG_OFF), PULSEWS_OK);
        else client = open_client(start_server("echo"), NO_OPTIONS);
        pthread_join(thread, &status);
        CHECK(way == 0 ? (intptr_t)status == PULSEWS_ECLOSED : (intptr_t)status > 0);
        pulsews_client_free(client);
    }
}

TEST(the_log_in_a_file) {
    char why[PULSEWS_ERROR_SIZE] = "", old[64];
    char *path = temporary();
    struct stat about;
    IS(pulsews_log_file(path, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_OK);
    int port = start_server("echo");
    pulsews_client_free(open_client(port, NO_OPTIONS));
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    char *text = contents(path);
    fprintf(stderr, "%s", text);
    CHECK(strncmp(text, "20", 2) == 0 && text[10] == 'T' && strstr(text, "Z pulsews INFO [ws://127.0.0.1:") &&
          text[strlen(text) - 1] == '\n');
    size_t before = strlen(text);
    /* A rotation: the old file is moved away, and the same path is opened anew. */
    snprintf(old, sizeof old, "%s.1", path);
    CHECK(rename(path, old) == 0);
    IS(pulsews_log_file(path, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_OK);
    pulsews_client_free(open_client(port, NO_OPTIONS));
    IS((int64_t)strlen(contents(old)), (int64_t)before);
    size_t once = strlen(contents(path));
    CHECK(once > 0);
    IS(pulsews_log_file(path, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_OK); /* goes on at its end */
    pulsews_client_free(open_client(port, NO_OPTIONS));
    CHECK(strlen(contents(path)) > once);
    IS(pulsews_log_stderr(PULSEWS_LOG_OFF), PULSEWS_OK);
    once = strlen(contents(path));
    pulsews_client_free(open_client(port, NO_OPTIONS));
    IS((int64_t)strlen(contents(path)), (int64_t)once);
    unlink(path), unlink(old);
}

/* What somebody else has put at the path: a pipe that nobody reads, a link to another file, a file that all may read. */
TEST(the_log_file_is_a_regular_file_of_ones_own) {
    char why[PULSEWS_ERROR_SIZE], *path = temporary(), other[64];
    struct stat about;
    CHECK(mkfifo(path, 0600) == 0);
    for (int reader = -1, i = 0; i < 2; i++) { /* nobody reads it, or somebody does */
        IS(pulsews_log_file(path, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EIO);
        CHECK(strstr(why, path) && strstr(why, "is not a regular file"));
        if (i == 0) CHECK((reader = open(path, O_RDONLY | O_NONBLOCK)) >= 0);
        else close(reader);
    }
    snprintf(other, sizeof other, "%s.other", path);
    CHECK(unlink(path) == 0 && symlink(other, path) == 0);
    for (int exists = 0; exists < 2; exists++) {
        IS(pulsews_log_file(path, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EIO);
        CHECK(strstr(why, "is not a regular file"));
        CHECK((access(other, F_OK) == 0) == exists);
        if (!exists) close(open(other, O_WRONLY | O_CREAT, 0644));
    }
    IS(pulsews_log_file("/dev/null", PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EIO);
    CHECK(strstr(why, "is not a regular file"));
    IS(pulsews_log_next(why, sizeof why, NULL, NULL, 0), PULSEWS_ECLOSED);

    CHECK(unlink(path) == 0 && rename(other, path) == 0 && chmod(path, 0664) == 0);
    IS(pulsews_log_file(path, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_OK);
    CHECK(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    pulsews_client_free(open_client(start_server("echo"), NO_OPTIONS));
    CHECK(strstr(contents(path), "connected to"));
    IS(pulsews_log_stderr(PULSEWS_LOG_OFF), PULSEWS_OK);
    unlink(path);
}

TEST(bad_logs) {
    char why[PULSEWS_ERROR_SIZE] = "";
    IS(pulsews_log_stderr(-1), PULSEWS_EINVAL);
    IS(pulsews_log_stderr(5), PULSEWS_EINVAL);
    IS(pulsews_log_stderr(INT32_MAX), PULSEWS_EINVAL);
    IS(pulsews_log_queue(5, 10), PULSEWS_EINVAL);
    IS(pulsews_log_queue(-1, 10), PULSEWS_EINVAL);
    IS(pulsews_log_queue(PULSEWS_LOG_INFO, 0), PULSEWS_EINVAL);
    IS(pulsews_log_queue(PULSEWS_LOG_INFO, 1000001), PULSEWS_EINVAL);
    IS(pulsews_log_queue(PULSEWS_LOG_INFO, SIZE_MAX), PULSEWS_EINVAL);
    IS(pulsews_log_file(NULL, PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_log_file("", PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EINVAL);
    IS(pulsews_log_file("\xff", PULSEWS_LOG_INFO, NULL, 0), PULSEWS_EINVAL);
    IS(pulsews_log_file("/tmp/pulsews-never-made", 5, why, sizeof why), PULSEWS_EINVAL);
    CHECK(strstr(why, "level") && access("/tmp/pulsews-never-made", F_OK) != 0);
    IS(pulsews_log_file("/nonexistent/folder/file", PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EIO);
    CHECK(strstr(why, "/nonexistent/folder/file"));
    IS(pulsews_log_file("/tmp", PULSEWS_LOG_INFO, why, sizeof why), PULSEWS_EIO);
    IS(pulsews_log_next(why, sizeof why, NULL, NULL, PULSEWS_FOREVER), PULSEWS_ECLOSED);
    /* none of it turned anything on */
    IS(pulsews_log_queue(PULSEWS_LOG_OFF, 1000000), PULSEWS_OK); /* off is off */
    IS(pulsews_log_next(NULL, 100, NULL, NULL, PULSEWS_FOREVER), PULSEWS_ECLOSED);
}

/* Standard error is a pipe: its reader goes, or takes nothing. Neither ends the process, nor holds it up. */
TEST(nobody_reads_standard_error) {
    int port = start_server("echo"), kept = dup(2), ends[2];
    CHECK(pipe(ends) == 0);
    signal(SIGPIPE, SIG_DFL);
    dup2(ends[1], 2);
    IS(pulsews_log_stderr(PULSEWS_LOG_DEBUG), PULSEWS_OK);
    close(ends[0]);
    pulsews_client_free(open_client(port, NO_OPTIONS));
    sigset_t pending;
    sigpending(&pending);
    int is_pending = sigismember(&pending, SIGPIPE);
    CHECK(pipe(ends) == 0);
    dup2(ends[1], 2);
    pulsews_client *client = open_client(port, OPTIONS("host_connect_rate=10000/s",
                                                       "name=a client with a name of some length in its lines"));
    int64_t begin = now_ns();
    for (int i = 0; i < 400; i++) { /* more than a pipe takes */
        IS(pulsews_reconnect(client), PULSEWS_OK);
        IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    }
    int64_t time = now_ns() - begin;
    char text[4096];
    while (poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 0) == 1)
        CHECK(read(ends[0], text, sizeof text) > 0);
    IS(pulsews_reconnect(client), PULSEWS_OK); /* there is room again: how many were lost */
    IS(pulsews_wait_ready(client, SHORT, NULL, 0), PULSEWS_OK);
    ssize_t got = read(ends[0], text, sizeof text - 1);
    pulsews_client_free(client);
    pulsews_log_stderr(PULSEWS_LOG_OFF);
    dup2(kept, 2);
    CHECK(got > 0);
    text[got] = 0;
    fprintf(stderr, "%.0f ms\n%s", (double)time / 1e6, text);
    CHECK(!is_pending && time < PULSEWS_SECONDS(20) && strstr(text, "lines of the log were lost"));
}

/* The environment turns it on, unless the program did. */
TEST(the_log_by_the_environment) {
    int port = start_server("echo"), kept = dup(2);
    char *path = temporary();
    int file = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    dup2(file, 2);
    setenv("PULSEWS_LOG", "Info", 1);
    pulsews_client_free(open_client(port, NO_OPTIONS));
    dup2(kept, 2);
    char *text = contents(path);
    fprintf(stderr, "%s", text);
    CHECK(strstr(text, " INFO ") && !strstr(text, " DEBUG "));
    unlink(path);
}

/* What the server says can't forge a line. */
TEST(a_line_is_a_line) {
    char *path = temporary();
    IS(pulsews_log_file(path, PULSEWS_LOG_DEBUG, NULL, 0), PULSEWS_OK);
    server *s = scripted(
        SCRIPTS("accept | close 4000 bye\n2026-01-01T00:00:00.000000Z pulsews ERROR forged\x1b[31m\x7f", "accept"));
    pulsews_client *client = open_client(port_of(s), OPTIONS(FAST));
    await_statistic(client, "connections", 2);
    pulsews_client_free(client);
    char *text = contents(path);
    CHECK(strstr(text, "bye") && !strstr(text, "\n2026-01-01") && !strchr(text, 0x1b) && !strchr(text, 0x7f));
    unlink(path);
}

/* What is asked for and can't come to be is not wrong, and is told. */
TEST(options_without_an_effect) {
    char *path = temporary();
    IS(pulsews_log_file(path, PULSEWS_LOG_WARNING, NULL, 0), PULSEWS_OK);
    pulsews_client_free(make_client(1, OPTIONS("receive_queue_policy=conflate", "key_path=a", "stale_key_timeout=1s",
                                               "sequence_path=u", "sequence_key=s")));
    char *text = contents(path);
    CHECK(*text == 0);
    pulsews_client_free(
        make_client(1, OPTIONS("receive_queue_policy=conflate", "stale_key_timeout=1s", "sequence_key=s",
                               "pin_sha256=TRd1qEbmLmkeFCvYPeqfQIFuwpApqtfTmRIjEY8O7bY=")));
    text = contents(path);
    CHECK(strstr(text, "conflate without key_path") && strstr(text, "stale_key_timeout has") &&
          strstr(text, "without sequence_path") && strstr(text, "pin_sha256"));
    unlink(path);
}

/* ---- Secrets ---- */

static char *seen;
static size_t seen_count;

static void collect(const char *text, size_t length) {
    seen = realloc(seen, seen_count + length + 2);
    memcpy(seen + seen_count, text, length);
    seen_count += length;
    seen[seen_count++] = '\n', seen[seen_count] = 0;
}

static void collect_all(pulsews_client *client) {
    static char text[1 << 18];
    pulsews_message message;
    if (pulsews_client_error(client, text, sizeof text) != PULSEWS_OK) collect(text, strlen(text));
    collect(text, (size_t)pulsews_status_json(client, text, sizeof text));
    collect(text, (size_t)pulsews_prometheus(client, text, sizeof text));
    collect(text, (size_t)pulsews_prometheus(NULL, text, sizeof text));
    while (pulsews_recv(client, &message, 0) == PULSEWS_OK)
        if (message.kind == PULSEWS_EVENT) collect(message.data, message.length);
}

TEST(credentials_are_never_shown) {
    char *path = temporary(), url[400], other[400], why[PULSEWS_ERROR_SIZE] = "";
    static const char key[] = "SECRETabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    server *s = scripted(SCRIPTS("accept | got 2 | text {\"type\":\"error\"}",
                                 "accept | got 2 | text {\"type\":\"ok\"} | go | cut", "refuse 503 X-Debug: y",
                                 "refuse 401"));
    snprintf(url, sizeof url, "ws://SECRETuser:SECRETpass@127.0.0.1:%d/ws/%s?token=SECRETtoken", port_of(s), key);
    snprintf(other, sizeof other, "endpoints=ws://SECRETuser:SECRETpass@127.0.0.1:%d/ws/%s?token=SECRETtoken",
             refusing_port(), key);
    IS(pulsews_log_file(path, PULSEWS_LOG_DEBUG, NULL, 0), PULSEWS_OK);
    pulsews_client *client = make_client_at(
        url, OPTIONS(FAST, other, "headers=X-Api-Key: SECRETheader", "login={\"key\":\"SECRETlogin\"}", "login=two",
                     "login_confirm={\"type\":\"ok\"}", "login_reject={\"type\":\"error\"}", "breaker_failures=2",
                     "max_reconnect_attempts=12", "reconnect_max_delay=20ms", "endpoint_return=0"));
    IS(pulsews_subscribe(client, "SECRETkey", "{\"sub\":\"SECRETsub\"}", NULL, why, sizeof why), PULSEWS_OK);
    if (pulsews_open(client, SHORT, why, sizeof why) != PULSEWS_OK) collect(why, strlen(why));
    if (pulsews_wait_ready(client, SHORT, why, sizeof why) != PULSEWS_OK) collect(why, strlen(why));
    collect_all(client);
    send_text(client, "SECRETmessage");
    IS(pulsews_send_with(client, PULSEWS_TEXT, "SECRETmessage", 13, PULSEWS_REPORT, 0, 0, NULL), PULSEWS_OK);
    CHECK(pulsews_set_header(client, "X-Api-Key", "SECRET\r\nX-Evil: SECRET", why, sizeof why) == PULSEWS_EVALUE);
    collect(why, strlen(why));
    CHECK(pulsews_set_header(client, "X Bad", "SECRETheader", why, sizeof why) == PULSEWS_EVALUE);
    collect(why, strlen(why));
    IS(pulsews_set_url(client, "ws://SECRETuser:SECRETpass@:0/?SECRETtoken", why, sizeof why), PULSEWS_EURL);
    collect(why, strlen(why));
    IS(pulsews_set_url(client, "wss://SECRETuser:SECRETpass@127.0.0.1/?SECRETtoken", why, sizeof why), PULSEWS_EURL);
    collect(why, strlen(why));
    pulsews_config *config = pulsews_config_create();
    static const char *const bad[][2] = {{"headers", "SECRETheader without a colon"},
                                         {"headers", "X-Key: SECRET\r\n"},
                                         {"headers", "X Key: SECRETheader"},
                                         {"login", ""},
                                         {"login", "{\"key\":\"SECRETlogin\",\"sign\":\"${\"}"},
                                         {"login", "SECRETlogin ${keys}"},
                                         {"endpoints", "ws://SECRETuser:SECRETpass@/"},
                                         {"heartbeat_message", "SECRETkey ${"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        IS(pulsews_config_set(config, bad[i][0], bad[i][1], why, sizeof why), PULSEWS_EVALUE);
        collect(why, strlen(why));
    }
    pulsews_config_free(config);
    pulsews_client *none = NULL;
    CHECK(pulsews_client_create("ws://SECRETuser:SECRETpass@127.0.0.1:99999/?SECRETtoken", NULL, NULL, &none, why,
                                sizeof why) == PULSEWS_EURL);
    collect(why, strlen(why));
    tell_server(s, "go");
    for (int64_t end = now_ns() + SHORT; pulsews_client_state(client) != PULSEWS_ERROR && now_ns() < end;
         poll(NULL, 0, 1))
        collect_all(client);
    IS(pulsews_client_state(client), PULSEWS_ERROR);
    collect_all(client);
    pulsews_client_free(client);
    collect(contents(path), strlen(contents(path)));
    unlink(path);
    CHECK(strstr(await_record(s, 1, "request", NULL)->text, "SECRETheader")); /* they do go to the server */
    int shown = 0;
    for (char *line = strtok(seen, "\n"); line; line = strtok(NULL, "\n"))
        if (strstr(line, "SECRET")) fprintf(stderr, "shown: %s\n", line), shown++;
    CHECK(shown == 0);
    fprintf(stderr, "looked at %zu bytes\n", seen_count);
}

/* An attempt's stages in their order, with names of headers and never a value. */
TEST(the_log_tells_each_stage_of_an_attempt) {
    char line[2000];
    int step = 0;
    const char *const steps[] = {"resolved to: 127.0.0.1",
                                 "connecting to ",
                                 "TCP connection to 127.0.0.1:",
                                 "upgrade request goes out; headers: X-Key ",
                                 "answer is 101; headers: Upgrade Connection Sec-WebSocket-Accept X-Token",
                                 "connected to"};
    IS(pulsews_log_queue(PULSEWS_LOG_DEBUG, 1000), PULSEWS_OK);
    pulsews_client *client = open_client(port_of(scripted(SCRIPTS("accept X-Token: s3cret"))),
                                         OPTIONS("headers=X-Key: s3cret"));
    pulsews_client_free(client);
    while (pulsews_log_next(line, sizeof line, NULL, NULL, 0) >= 0) {
        fprintf(stderr, "%s\n", line);
        CHECK(!strstr(line, "s3cret"));
        while (step < 6 && strstr(line, steps[step])) step++;
    }
    IS(step, 6);
    client = open_client(start_server("echo"), NO_OPTIONS);
    pulsews_client_free(client);
    while (pulsews_log_next(line, sizeof line, NULL, NULL, 0) >= 0) {}
    client = make_client(start_server("refuse-403"), OPTIONS("reconnect=false"));
    IS(pulsews_open(client, SHORT, NULL, 0), PULSEWS_EHANDSHAKE);
    int is_told = 0;
    while (pulsews_log_next(line, sizeof line, NULL, NULL, 0) >= 0)
        is_told |= strstr(line, "answer is 403; headers: X-Reason Content-Length") != NULL;
    CHECK(is_told);
    pulsews_client_free(client);
}
