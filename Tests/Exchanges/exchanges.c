/* SPDX-License-Identifier: Apache-2.0
 *
 * exchanges SIMULATOR REPORT DAYS SCALE PACE CLIENTS SEED EXCHANGE
 *
 * Clients with the presets of known feeds against simulators that ban whoever breaks a rule, for simulated days. Each
 * message of a stream has a number of its own ("sim":"STREAM:N", or "all":"STREAM:N" for a snapshot that stands for all
 * up to there): they have to come whole and once, but for those that the simulator lost with a connection. One key of each
 * client is not listed any more: it has to be named, and the others must not suffer.
 */
#define _GNU_SOURCE
#include "scaled.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS = 4 };

/* How an exchange's clients come to their data, besides the preset. */
static const struct exchange {
    const char *preset, *path;
    const char *options[4];
    const char *keys[16];  /* quiet ones make the limits felt, and one is not listed any more */
    const char *message;   /* for exchanges without a template: the key stands for %s */
    const char *cheat[3];  /* with these a client breaks a rule, and has to be banned for it */
    const char *reason;
} exchanges[] = {
/* clang-format off */
#define QUIET "quiet0usdt@kline_1m", "quiet1usdt@kline_1m", "quiet2usdt@kline_1m", "quiet3usdt@kline_1m", \
              "quiet4usdt@kline_1m", "quiet5usdt@kline_1m", "quiet6usdt@kline_1m", "quiet7usdt@kline_1m", \
              "quiet8usdt@kline_1m"
    {"binance-spot", "/stream", {"subscribe_batch=1"},
     {"btcusdt@bookTicker", "deadusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@bookTicker", QUIET}, NULL,
     {"rate_limit=1000/s"}, "more than 5 messages"},
    {"binance-spot-depth", "/stream", {"subscribe_batch=3"},
     {"btcusdt@depth@100ms", "deadusdt@depth@100ms", "ethusdt@depth@100ms", QUIET}, NULL,
     {"rate_limit=1000/s", "subscribe_batch=1"}, "more than 5 messages"},
    {"binance-futures", "/public/stream", {"subscribe_batch=1"},
     {"btcusdt@bookTicker", "deadusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@bookTicker", QUIET}, NULL,
     {"rate_limit=1000/s"}, "more than 10 messages"},
    {"binance-futures-depth", "/public/stream", {NULL},
     {"btcusdt@depth@100ms", "deadusdt@depth@100ms", "ethusdt@depth@100ms", QUIET}, NULL,
     {"rate_limit=1000/s", "subscribe_batch=1"}, "more than 10 messages"},
    {"coinbase", "/", {"subscribe_batch=1"}, {"BTC-USD", "DEAD-USD", "ETH-USD", "SKL-USD"}, NULL,
     {"login={\"op\":\"hello\"}"}, "unsupported"},
    {"kraken", "/v2", {NULL}, {"BTC/USD", "DEAD/USD", "ETH/USD", "XMR/USD"}, NULL,
     {"heartbeat_interval=0"}, "no message for"},
    {"bybit", "/v5/public/linear", {NULL},
     {"orderbook.50.BTCUSDT", "orderbook.50.DEADUSDT", "orderbook.50.ETHUSDT", "kline.1.QUIET0USDT", "kline.1.QUIET1USDT",
      "kline.1.QUIET2USDT", "kline.1.QUIET3USDT", "kline.1.QUIET4USDT", "kline.1.QUIET5USDT", "kline.1.QUIET6USDT", "kline.1.QUIET7USDT",
      "kline.1.QUIET8USDT", "kline.1.QUIET9USDT"}, NULL,
     {"subscribe_batch=100"}, "topics in one message"},
    {"okx", "/ws/v5/public", {NULL}, {"BTC-USDT", "DEAD-USDT", "ETH-USDT"},
     "{\"op\":\"subscribe\",\"args\":[{\"channel\":\"books\",\"instId\":\"%s\"}]}",
     {"heartbeat_interval=0"}, "no message for"},
    {"deribit", "/ws/api/v2", {"stale_action=reconnect", "subscribe_batch=1"},
     {"book.BTC-PERPETUAL.100ms", "book.DEAD-PERPETUAL.100ms", "book.ETH-PERPETUAL.100ms"}, NULL,
     {"heartbeat_request=never"}, "not answered"},
    {"alpaca", "/v2/sip", {"login={\"action\":\"auth\",\"key\":\"KEY\",\"secret\":\"SECRET\"}"},
     {"AAPL", "DEAD", "MSFT", "SPY"}, NULL,
     {NULL}, "two connections"},
};
/* clang-format on */
enum { EXCHANGES = sizeof exchanges / sizeof *exchanges };

struct stream {
    char name[48];
    uint64_t last;
    int may_miss; /* the client knows of a loss since its last message */
};

struct client {
    pulsews_client *ws;
    int exchange, index, breaks, closed, is_cheat, is_ready;
    struct stream streams[STREAMS];
    uint64_t messages, snapshots, gaps, silent_gaps, copies, jumps_back, told_gaps, told_others, losses, rotations,
        failed_rotations, stale, rejected, wrongly_rejected;
    char first_problem[160], last_loss[300];
};

static struct client *clients;
static int count, each;
static FILE *to_server, *from_server;
static pid_t server;
static int passed, failed;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void result(int is_good, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void result(int is_good, const char *name, const char *format, ...) {
    char text[512];
    __builtin_va_list arguments;
    __builtin_va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    __builtin_va_end(arguments);
    printf("%s %s: %s\n", is_good ? "ok    " : "FAILED", name, text);
    if (is_good) passed++;
    else failed++;
}

/* ---- The simulator ----------------------------------------------------------------------------------------------- */

static void start_server(char *const *arguments) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) exit(2);
    server = fork();
    if (server == 0) {
        dup2(in[0], 0), dup2(out[1], 1);
        execv(arguments[0], arguments);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    to_server = fdopen(in[1], "w"), from_server = fdopen(out[0], "r");
}

static void tell(const char *command) {
    fprintf(to_server, "%s\n", command);
    fflush(to_server);
}

/* ---- What arrives ------------------------------------------------------------------------------------------------ */

static struct stream *stream_of(struct client *c, const char *name, size_t length) {
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &c->streams[i];
        if (s->name[0] == 0 && length < sizeof s->name) memcpy(s->name, name, length);
        if (strlen(s->name) == length && memcmp(s->name, name, length) == 0) return s;
    }
    return NULL;
}

static void problem(struct client *c, const char *what, const struct stream *s, uint64_t number) {
    if (c->first_problem[0]) return;
    snprintf(c->first_problem, sizeof c->first_problem, "%s: %s: %llu after %llu", what, s->name,
             (unsigned long long)number, (unsigned long long)s->last);
}

/* The stream and the number behind a mark. */
static struct stream *marked(struct client *c, const pulsews_message *m, const char *mark, uint64_t *number) {
    const char *start = memmem(m->data, m->length, mark, strlen(mark)), *end = (const char *)m->data + m->length;
    if (!start) return NULL;
    start += strlen(mark);
    const char *quote = memchr(start, '"', (size_t)(end - start));
    const char *colon = quote ? memrchr(start, ':', (size_t)(quote - start)) : NULL;
    if (!colon) return NULL;
    *number = strtoull(colon + 1, NULL, 10);
    return stream_of(c, start, (size_t)(colon - start));
}

static void take_data(struct client *c, const pulsews_message *m) {
    uint64_t number;
    struct stream *s = marked(c, m, "\"all\":\"", &number);
    if (s) {
        /* A snapshot begins anew. Between messages it may repeat what was there, but not take it back. */
        c->snapshots++;
        if (s->last && !s->may_miss && number < s->last) c->jumps_back++, problem(c, "older snapshot", s, number);
        if (s->last && !s->may_miss && number > s->last) c->silent_gaps++, problem(c, "gap to a snapshot", s, number);
        s->last = number;
        s->may_miss = 0;
        return;
    }
    s = marked(c, m, "\"sim\":\"", &number);
    if (!s) return;
    c->messages++;
    if (s->last && number <= s->last) {
        c->copies++, problem(c, "copy", s, number);
        return;
    }
    if (s->last && number > s->last + 1) {
        c->gaps++;
        if (!s->may_miss) c->silent_gaps++, problem(c, "gap", s, number);
    }
    s->last = number;
    s->may_miss = 0;
}

static int event_is(const pulsews_message *m, const char *part) {
    return memmem(m->data, m->length, part, strlen(part)) != NULL;
}

static void take_event(struct client *c, const pulsews_message *m) {
    int is_loss = event_is(m, "\"event\":\"state\"") && !event_is(m, "\"state\":\"connected\"");
    int is_gap = event_is(m, "\"event\":\"gap\"");
    /* A login that was refused is no loss. */
    if (is_loss && c->is_ready) {
        c->losses++;
        snprintf(c->last_loss, sizeof c->last_loss, "%.*s", (int)m->length, (const char *)m->data);
    }
    c->is_ready = event_is(m, "\"event\":\"ready\"") || (c->is_ready && !is_loss);
    c->told_gaps += is_gap;
    c->told_others += event_is(m, "\"event\":\"repeat\"") || event_is(m, "\"event\":\"step_back\"");
    c->stale += event_is(m, "\"event\":\"stale\"");
    if (event_is(m, "\"event\":\"subscription_rejected\"")) {
        int is_dead = event_is(m, "\"key\":\"dead") || event_is(m, "\"key\":\"DEAD") || event_is(m, ".DEAD");
        c->rejected += is_dead, c->wrongly_rejected += !is_dead;
    }
    if (event_is(m, "\"event\":\"rotation\"")) {
        c->rotations += event_is(m, "\"step\":\"done\"");
        c->failed_rotations += event_is(m, "\"step\":\"failed\"");
    }
    if (is_loss || is_gap)
        for (int i = 0; i < STREAMS; i++) c->streams[i].may_miss = 1;
}

static void take_all(struct client *c, pulsews_batch *batch) {
    const pulsews_message *m;
    pulsews_wake_clear(c->ws);
    int32_t got;
    while ((got = pulsews_recv_batch(c->ws, batch, 256, 0, &m)) > 0)
        for (int32_t i = 0; i < got; i++) {
            if (m[i].kind == PULSEWS_EVENT) take_event(c, &m[i]);
            else take_data(c, &m[i]);
        }
    if (got != PULSEWS_ETIMEOUT) c->closed = 1;
}

static void receive_until(int poll, pulsews_batch *batch, double end) {
    struct epoll_event events[64];
    for (double left; (left = end - now()) > 0;) {
        int ready = epoll_wait(poll, events, 64, left < 0.1 ? (int)(left * 1000) + 1 : 100);
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            if (!c->closed) take_all(c, batch);
            else epoll_ctl(poll, EPOLL_CTL_DEL, pulsews_wake_fd(c->ws), NULL);
        }
    }
}

/* ---- Clients ----------------------------------------------------------------------------------------------------- */

static int exchange_named(const char *name) {
    for (int i = 0; i < EXCHANGES; i++)
        if (strcmp(exchanges[i].preset, name) == 0) return i;
    return -1;
}

static void start_client(struct client *c, int port, pulsews_loop *loop) {
    char url[128], why[PULSEWS_ERROR_SIZE], name[64], message[256];
    const struct exchange *e = &exchanges[c->exchange];
    pulsews_config *config = pulsews_config_create();
    set_preset(config, e->preset, c->is_cheat ? e->cheat : NULL);
    for (int i = 0; i < 4 && e->options[i]; i++) set_option(config, e->options[i]);
    for (int i = 0; i < 3 && c->is_cheat && e->cheat[i]; i++) set_option(config, e->cheat[i]);
    set_option(config, "events=true");
    set_option(config, "max_reconnect_attempts=0");
    snprintf(name, sizeof name, "name=%s-%d", e->preset, c->index);
    set_option(config, name);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d%s", port, e->path);
    if (pulsews_client_create(url, config, loop, &c->ws, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "exchanges: %s: %s\n", e->preset, why);
        exit(2);
    }
    pulsews_config_free(config);
    for (int i = 0; i < 16 && e->keys[i]; i++) {
        if (e->message) snprintf(message, sizeof message, e->message, e->keys[i]);
        pulsews_subscribe(c->ws, e->keys[i], e->message ? message : NULL, NULL, NULL, 0);
    }
    pulsews_start(c->ws);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static struct book {
    char counts[400], bans[600], cheat[200], streams[STREAMS][48];
    uint64_t last[STREAMS];
    int ban_count;
} books[EXCHANGES];

static void read_books(void) {
    char line[1024], name[64], rest[512];
    int index, number;
    unsigned long long last;
    while (fgets(line, sizeof line, from_server) && strcmp(line, "done\n") != 0) {
        if (sscanf(line, "ban %63s %d %511[^\n]", name, &index, rest) == 3) {
            struct book *b = &books[exchange_named(name)];
            size_t used = strlen(b->bans);
            if (index == each) snprintf(b->cheat, sizeof b->cheat, "%.199s", rest);
            else if (b->ban_count++ < 4)
                snprintf(b->bans + used, sizeof b->bans - used, "; client %d: %.120s", index, rest);
        } else if (sscanf(line, "breaks %63s %d %d", name, &index, &number) == 3) {
            for (int i = 0, exchange = exchange_named(name); i < count; i++)
                if (clients[i].exchange == exchange && clients[i].index == index) clients[i].breaks = number;
        } else if (sscanf(line, "last %63s %511s %llu", name, rest, &last) == 3) {
            struct book *b = &books[exchange_named(name)];
            for (int i = 0; i < STREAMS; i++)
                if (b->streams[i][0] == 0) {
                    snprintf(b->streams[i], sizeof b->streams[i], "%.47s", rest), b->last[i] = last;
                    break;
                }
        } else if (sscanf(line, "counts %63s %511[^\n]", name, rest) == 2) {
            snprintf(books[exchange_named(name)].counts, sizeof books->counts, "%.399s", rest);
        }
    }
}

/* Streams whose last message has not come. */
static int missing(struct client *c) {
    struct book *b = &books[c->exchange];
    int wrong = 0;
    for (int i = 0; i < STREAMS && b->streams[i][0]; i++) {
        struct stream *s = stream_of(c, b->streams[i], strlen(b->streams[i]));
        wrong += !s || s->last != b->last[i];
    }
    return wrong;
}

static int is_honest(int index) { return !clients[index].closed && !clients[index].is_cheat; }

static long number_in(const char *counts, const char *key) {
    const char *at = strstr(counts, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}

static void judge(int exchange) {
    const char *name = exchanges[exchange].preset;
    struct book *b = &books[exchange];
    struct client sum = {0};
    const char *first = "";
    int of_it = 0, searched = 0, away = 0, behind = 0, unbroken = 0, blamed = 0;
    uint64_t may_be_silent = preset_has(name, "max_age") && preset_has(name, "sequence_rule");
    for (int i = 0; i < count; i++) {
        struct client *c = &clients[i];
        if (c->exchange != exchange || c->is_cheat) continue;
        of_it++;
        away += pulsews_client_state(c->ws) != PULSEWS_CONNECTED;
        behind += missing(c) > 0;
        unbroken += c->breaks == 0;
        searched += c->rejected == 1 && c->wrongly_rejected == 0;
        /* Without a fault of the server nothing may be missing, and nothing may seem to be. What is lost with a
         * connection while its successor is being made is told as a gap, where numbers are consecutive. */
        if (c->copies || c->jumps_back || c->silent_gaps > may_be_silent * (uint64_t)c->breaks * STREAMS ||
            c->losses > (uint64_t)c->breaks || (c->breaks == 0 && (c->gaps || c->told_gaps || c->told_others))) {
            blamed++;
            if (!*first) first = c->first_problem[0] ? c->first_problem : c->last_loss;
        }
        sum.messages += c->messages, sum.gaps += c->gaps, sum.silent_gaps += c->silent_gaps, sum.copies += c->copies;
        sum.jumps_back += c->jumps_back, sum.told_gaps += c->told_gaps, sum.told_others += c->told_others;
        sum.losses += c->losses, sum.rotations += c->rotations, sum.failed_rotations += c->failed_rotations;
        sum.stale += c->stale;
    }
    if (of_it == 0) return;
#define N(value) ((unsigned long long)(value))
    printf("       %s: %s\n", name, b->counts);
    result(b->ban_count == 0, name, "%d of %d banned%s", b->ban_count, of_it, b->bans);
    result(strstr(b->cheat, exchanges[exchange].reason) != NULL, name, "who breaks a rule is banned: %s",
           *b->cheat ? b->cheat : "nobody");
    result(away == 0 && behind == 0, name, "at the end %d of %d are not connected, %d lack the last messages", away,
           of_it, behind);
    result(blamed == 0 && sum.messages > 0 && unbroken > 0, name,
           "%llu messages, %llu gaps (%llu silent), %llu copies, %llu snapshots that take back; told: %llu losses, "
           "%llu gaps, %llu steps back or repeats; %d of %d clients saw no fault; wrong for %d%s%s",
           N(sum.messages), N(sum.gaps), N(sum.silent_gaps), N(sum.copies), N(sum.jumps_back), N(sum.losses),
           N(sum.told_gaps), N(sum.told_others), unbroken, of_it, blamed, *first ? ": " : "", first);
    result(searched == of_it, name, "the dead key is named once, and no other, by %d of %d", searched, of_it);
    long cut = number_in(b->counts, "cut="), deaf = number_in(b->counts, "deaf=");
    int rotates = preset_has(name, "max_age") || preset_has(name, "rotate_on");
    result(cut == 0 && deaf == 0, name,
           "%ld cut by age or after a notice, %ld stayed on a mute feed; %llu rotations, %llu failed", cut, deaf,
           N(sum.rotations), N(sum.failed_rotations));
    if (rotates) result(sum.rotations > 0, name, "%llu rotations", N(sum.rotations));
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "exchanges SIMULATOR REPORT DAYS SCALE PACE CLIENTS SEED EXCHANGE\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
    setrlimit(RLIMIT_NOFILE, &files);
    double days = atof(argv[3]);
    scale = atof(argv[4]), pace = atof(argv[5]);
    each = atoi(argv[6]);
    char ports[16];
    snprintf(ports, sizeof ports, "%d", each + 1); /* the last one is the cheat's */
    start_server((char *[]){argv[1], "-report", argv[2], "-scale", argv[4], "-pace", argv[5], "-clients", ports,
                            "-seed", argv[7], "-exchange", argv[8], NULL});
    clients = calloc((size_t)(each + 2) * EXCHANGES, sizeof *clients);
    pulsews_loop *loops[2] = {NULL, NULL};
    pulsews_loop_create(0, &loops[0], NULL, 0), pulsews_loop_create(0, &loops[1], NULL, 0);
    pulsews_batch *batch = pulsews_batch_create();
    int poll = epoll_create1(EPOLL_CLOEXEC);
    char line[256], name[64];
    int index, port;
    double end = now() + days * 86400 / scale;
    while (fgets(line, sizeof line, from_server) && strcmp(line, "ready\n") != 0) {
        if (sscanf(line, "port %63s %d %d", name, &index, &port) != 3 || exchange_named(name) < 0) continue;
        /* Two clients with one key break the rule that there may be one connection. */
        int several = index == each && strcmp(name, "alpaca") == 0 ? 2 : 1;
        while (several-- > 0) {
            struct client *c = &clients[count++];
            c->exchange = exchange_named(name), c->index = index, c->is_cheat = index == each;
            start_client(c, port, loops[count % 2]);
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
            epoll_ctl(poll, EPOLL_CTL_ADD, pulsews_wake_fd(c->ws), &event);
        }
    }
    if (count == 0) return 2; /* the simulator has said why */
    printf("exchanges: %d clients, %.1f days of %.1f s, seed %s\n", count, days, 86400 / scale, argv[7]);
    /* A cheat that came when the machine was too busy to judge it gets more chances. */
    for (double next = now() + 5; next < end; next += 5) {
        receive_until(poll, batch, next);
        for (int i = 0; i < count; i++)
            if (clients[i].is_cheat) pulsews_reconnect(clients[i].ws);
    }
    receive_until(poll, batch, end);
    /* No more incidents; those that there were may need a mute feed's time, and the delays of reconnects. */
    tell("calm");
    receive_until(poll, batch, now() + real_time(90) + 2);
    for (double limit = now() + 20; now() < limit;) {
        int away = 0;
        for (int i = 0; i < count; i++)
            away += is_honest(i) && pulsews_wait_ready(clients[i].ws, 0, NULL, 0) != PULSEWS_OK;
        if (away == 0) break;
        receive_until(poll, batch, now() + 0.1);
    }
    receive_until(poll, batch, now() + 0.5);
    tell("end");
    read_books();
    /* Until feeds without data count as mute. */
    for (double limit = now() + real_time(40); now() < limit;) {
        int behind = 0;
        for (int i = 0; i < count; i++) behind += is_honest(i) && missing(&clients[i]) > 0;
        if (behind == 0) break;
        receive_until(poll, batch, now() + 0.1);
    }
    for (int i = 0; i < EXCHANGES; i++) judge(i);
    for (int i = 0; i < count; i++) pulsews_client_free(clients[i].ws);
    pulsews_batch_free(batch);
    pulsews_loop_free(loops[0]), pulsews_loop_free(loops[1]);
    fclose(to_server);
    waitpid(server, NULL, 0);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
