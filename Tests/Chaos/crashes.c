/* SPDX-License-Identifier: Apache-2.0
 *
 *     crashes COUNT SEED FOLDER
 *
 * A process sends numbered messages with a journal. It is killed at a random moment and started again, COUNT times. In
 * the end every message whose acceptance it has noted has one answer: it was received once, in order; or was reported as
 * in doubt, and then received at most once; or was reported as dropped or expired, and then never received.
 *
 * The server tells what arrived, and sends nothing after its handshake: bytes that a process has not read when it is
 * killed make the kernel answer with a reset, which destroys what it had taken from that process. For the same reason
 * the server ends a connection by ending its own direction and reading to the end of the other one. It serves one
 * connection after the other, so that the order of arrival is that of sending.
 */
#define _GNU_SOURCE
#include "wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <pulsews.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 24, MOST_DOUBTS = 1 << 16, LONGEST = 200000 };

/* Shared by the processes; outlives each sender. */
struct world {
    _Atomic uint64_t tried;       /* the highest number that was given to a send call */
    _Atomic uint64_t id_of[MOST]; /* set once the call has returned */
    _Atomic uint64_t highest_id, recovered, doubts, runs, processes_with_doubts, reconnects, rejected;
    struct {
        _Atomic uint64_t first, count;
    } doubt[MOST_DOUBTS];
    _Atomic unsigned char is_discarded[MOST * 2]; /* by id */
    _Atomic int has_problem, is_drained;
    char problem[512];
    /* The server's side. */
    _Atomic unsigned char received[MOST];
    _Atomic uint64_t last, arrived, connections, resets, out_of_order, spoilt;
};
static struct world *world;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...) {
    if (atomic_exchange(&world->has_problem, 1)) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->problem, sizeof world->problem, format, arguments);
    va_end(arguments);
}

struct dice {
    uint64_t state;
};
static uint64_t roll(struct dice *d, uint64_t below) {
    uint64_t z = (d->state += 0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (z ^ z >> 31) % below;
}

static int64_t monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void nap(int64_t microseconds) {
    struct timespec t = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* What message `number` is: its number, and bytes that follow from it. */
static size_t compose(uint64_t number, size_t size, char *text) {
    int length = snprintf(text, 64, "%llu %zu ", (unsigned long long)number, size);
    for (size_t i = 0; i < size; i++)
        text[(size_t)length + i] = (char)('a' + (number * 7 + i * (number % 11 + 1)) % 26);
    return (size_t)length + size;
}

/* ---- The sender: a process of its own ---- */

static double statistic(const pulsews_client *client, const char *name) {
    static double values[512];
    const char *found;
    pulsews_statistics(client, values, 512);
    for (size_t i = 0; pulsews_statistic_at(i, &found, NULL, NULL, NULL) == PULSEWS_OK; i++)
        if (strcmp(found, name) == 0) return values[i];
    complain("there is no statistic %s", name);
    return 0;
}

static void check_account(const pulsews_client *client) {
    static const char *const parts[] = {"messages_sent", "messages_dropped", "messages_expired", "messages_failed",
                                        "queue_size"};
    /* All at one moment. */
    double values[512], sum = 0;
    const char *name;
    pulsews_statistics(client, values, 512);
    for (size_t i = 0; pulsews_statistic_at(i, &name, NULL, NULL, NULL) == PULSEWS_OK; i++) {
        if (strcmp(name, "messages_accepted") == 0) sum += values[i];
        for (int k = 0; k < 5; k++)
            if (strcmp(name, parts[k]) == 0) sum -= values[i];
    }
    if (sum != 0) complain("the account of a sender is wrong by %.0f", sum);
}

static void note_doubts(uint64_t first, uint64_t last) {
    uint64_t place = atomic_fetch_add(&world->doubts, 1);
    if (place >= MOST_DOUBTS) return complain("too many doubts");
    atomic_store(&world->doubt[place].first, first);
    atomic_store(&world->doubt[place].count, last - first + 1);
}

static void note_discards(uint64_t first, uint64_t last) {
    for (uint64_t id = first; id <= last && id < MOST * 2; id++) atomic_store(&world->is_discarded[id], 1);
}

/* Rows of ids under a key: how many that are. */
static uint64_t note_rows(const char *text, const char *key, void (*note)(uint64_t, uint64_t)) {
    unsigned long long first, last;
    uint64_t count = 0;
    int used;
    const char *at = strstr(text, key);
    for (at = at ? at + strlen(key) : ""; sscanf(at, "[%llu,%llu]%n", &first, &last, &used) == 2; at += used + 1) {
        note(first, last);
        count += last - first + 1;
        if (at[used] != ',') break;
    }
    return count;
}

/* What the library tells of messages that no one may send again. */
static void note_event(const char *json, size_t length) {
    char *text = strndup(json, length);
    unsigned long long first = 0, last = 0, count = 0;
    const char *at;
    if (strstr(text, "\"event\":\"journal\"") && (at = strstr(text, "\"in_doubt\":"))) {
        sscanf(at, "\"in_doubt\":%llu", &count);
        if (note_rows(text, "\"in_doubt_ids\":[", note_doubts) != count || !strstr(text, "\"cut_bytes\":0,"))
            complain("the journal was damaged: %s", text);
        note_rows(text, "\"dropped_ids\":[", note_discards);
        note_rows(text, "\"expired_ids\":[", note_discards);
        if (!strstr(text, "\"unlisted\":0}")) complain("there were more rows of ids than expected: %s", text);
    } else if (strstr(text, "\"event\":\"dropped\"") || strstr(text, "\"event\":\"expired\"")) {
        note_rows(text, "\"ids\":[", note_discards);
    } else if (strstr(text, "\"event\":\"failed\"")) {
        /* Cut by the end of a connection. */
        at = strstr(text, "\"messages\":");
        int found = at ? sscanf(at, "\"messages\":%llu,\"first_id\":%llu,\"last_id\":%llu", &count, &first, &last) : 0;
        if (found != 3 || count != last - first + 1) complain("it does not say which messages failed: %s", text);
        else note_doubts(first, last);
    }
    free(text);
}

static void take_events(pulsews_client *client, int64_t timeout) {
    pulsews_message m;
    while (pulsews_recv(client, &m, timeout) == PULSEWS_OK) {
        if (m.kind == PULSEWS_EVENT) note_event(m.data, m.length);
        timeout = 0;
    }
}

static int be_sender(const char *url, const char *journal, uint64_t seed, int is_last) {
    static char text[LONGEST + 64];
    char why[PULSEWS_ERROR_SIZE];
    struct dice dice = {seed};
    pulsews_config *config = pulsews_config_create();
    int drops = roll(&dice, 3) == 0;
    const char *const options[][2] = {{"journal", journal},
                                      {"journal_size", "512KiB"},
                                      {"events", "true"},
                                      {"message_queue_policy", drops ? "drop_oldest" : "block"},
                                      {"reconnect_base_delay", "1ms"},
                                      {"reconnect_max_delay", "5ms"},
                                      {"max_reconnect_attempts", "0"},
                                      {"backlog_interval", "0"},
                                      {"host_connect_rate", "100000/s"},
                                      {"verify", "false"},
                                      {"message_queue_size", drops ? "300" : "100000"},
                                      {"compression", roll(&dice, 2) ? "true" : "false"}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (pulsews_config_set(config, options[i][0], options[i][1], why, sizeof why) != PULSEWS_OK)
            return complain("%s", why), 1;
    pulsews_client *client = NULL;
    if (pulsews_client_create(url, config, NULL, &client, why, sizeof why) != PULSEWS_OK)
        return complain("no client: %s", why), 1;
    atomic_fetch_add(&world->runs, 1);
    atomic_fetch_add(&world->recovered, (uint64_t)statistic(client, "journal_recovered"));
    double in_doubt = statistic(client, "journal_in_doubt");
    check_account(client);
    pulsews_start(client);
    /* Before the first message is sent: until then the journal tells of doubts again and again. */
    uint64_t before = atomic_load(&world->doubts);
    if (in_doubt > 0) take_events(client, PULSEWS_SECONDS(5));
    if (in_doubt > 0) {
        atomic_fetch_add(&world->processes_with_doubts, 1);
        if (atomic_load(&world->doubts) == before) complain("no event told of %.0f messages in doubt", in_doubt);
    }
    /* Small ones: many are on their way at once. Large ones: the network is full, and one is in the middle. */
    uint64_t large = roll(&dice, 2) ? LONGEST : 2000;
    for (long left = is_last ? 1000 : -1; left != 0; left--) {
        uint64_t number = atomic_fetch_add(&world->tried, 1) + 1, id = 0;
        if (number >= MOST) return complain("too many messages"), 1;
        size_t size = roll(&dice, 20) == 0 ? roll(&dice, large) : roll(&dice, 300);
        size_t length = compose(number, size, text);
        int32_t status;
        int64_t ttl = roll(&dice, 40) ? 0 : PULSEWS_MILLISECONDS(1 + roll(&dice, 30));
        while ((status = pulsews_send_with(client, PULSEWS_TEXT, text, length, 0, ttl, PULSEWS_MILLISECONDS(100),
                                           &id)) == PULSEWS_EQUEUEFULL) {
            atomic_fetch_add(&world->rejected, 1);
            take_events(client, 0);
        }
        if (status != PULSEWS_OK) return complain("send: %s", pulsews_error_name(status)), 1;
        atomic_store(&world->id_of[number], id);
        /* Ids go on over all processes. */
        uint64_t highest = atomic_exchange(&world->highest_id, id);
        if (id <= highest)
            complain("message %llu has id %llu after %llu", (unsigned long long)number, (unsigned long long)id,
                     (unsigned long long)highest);
        if (roll(&dice, 100) == 0) {
            take_events(client, 0);
            check_account(client);
        }
        if (roll(&dice, 60) == 0) nap((int64_t)roll(&dice, 3000));
    }
    if (pulsews_flush(client, PULSEWS_SECONDS(20)) != PULSEWS_OK) complain("the last sender could not send all");
    take_events(client, 0);
    check_account(client);
    atomic_fetch_add(&world->reconnects, (uint64_t)statistic(client, "reconnections"));
    if (statistic(client, "journal_bytes") != 0) complain("the journal is not empty in the end");
    pulsews_close(client, 1000, NULL, PULSEWS_SECONDS(5));
    take_events(client, 0); /* of what was discarded last, which the close does not let wait */
    pulsews_client_free(client);
    atomic_store(&world->is_drained, 1);
    return 0;
}

/* ---- The server: a thread ---- */

static int listener;
static _Atomic int is_over;
static struct dice server_dice;

static void receive_message(const char *data, size_t length) {
    static char expected[LONGEST + 64];
    unsigned long long number = 0;
    size_t size = 0;
    char head[64];
    snprintf(head, sizeof head, "%.*s", (int)(length < 60 ? length : 60), data);
    if (sscanf(head, "%llu %zu", &number, &size) != 2 || number == 0 || number >= MOST || size > LONGEST ||
        compose(number, size, expected) != length || memcmp(expected, data, length) != 0) {
        atomic_fetch_add(&world->spoilt, 1);
        return;
    }
    if (atomic_load(&world->received[number]) < 255) atomic_fetch_add(&world->received[number], 1);
    atomic_fetch_add(&world->arrived, 1);
    if (number <= atomic_load(&world->last)) atomic_fetch_add(&world->out_of_order, 1);
    else atomic_store(&world->last, number);
}

static void serve(int socket) {
    struct wire wire = {0};
    struct bytes in = {0}, out = {0};
    int is_open = 0, has_ended = 0;
    int64_t end_at = roll(&server_dice, 3) ? INT64_MAX : monotonic() + (int64_t)roll(&server_dice, 60000000);
    atomic_fetch_add(&world->connections, 1);
    for (;;) {
        static char chunk[65536];
        if (!has_ended && monotonic() >= end_at && is_open) {
            shutdown(socket, SHUT_WR);
            has_ended = 1;
        }
        /* A while in which the sender's bytes pile up. */
        if (roll(&server_dice, 60) == 0) nap((int64_t)roll(&server_dice, 60000));
        struct pollfd look = {.fd = socket, .events = POLLIN};
        if (poll(&look, 1, 5) == 0) {
            if (atomic_load(&is_over)) break;
            continue;
        }
        size_t most = roll(&server_dice, 4) ? sizeof chunk : 1 + roll(&server_dice, 2000);
        ssize_t got = recv(socket, chunk, most, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) atomic_fetch_add(&world->resets, 1);
        if (got <= 0) break;
        add_bytes(&in, chunk, (size_t)got);
        if (!is_open) {
            unsigned char *end = memmem(first_byte(&in), count_bytes(&in), "\r\n\r\n", 4);
            if (!end) continue;
            char request[8192];
            size_t length = (size_t)(end + 4 - first_byte(&in));
            snprintf(request, sizeof request, "%.*s", (int)length, (char *)first_byte(&in));
            drop_bytes(&in, length);
            accept_upgrade(&wire, request, &out);
            if (send(socket, first_byte(&out), count_bytes(&out), MSG_NOSIGNAL) != (ssize_t)count_bytes(&out)) break;
            is_open = 1;
        }
        unsigned char *payload;
        size_t length;
        int opcode;
        while ((opcode = next_message(&wire, &in, &payload, &length)) >= 0)
            if (opcode == 1) receive_message((char *)payload, length);
            else if (opcode == 8) end_at = 0;
        if (opcode == -2) {
            complain("the server: %s", wire.problem);
            break;
        }
    }
    end_wire(&wire);
    free_bytes(&in), free_bytes(&out);
    close(socket);
}

static void *run_server(void *argument) {
    (void)argument;
    while (!atomic_load(&is_over)) {
        struct pollfd look = {.fd = listener, .events = POLLIN};
        if (poll(&look, 1, 5) != 1) continue;
        int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket < 0) continue;
        serve(socket);
        /* A while without a server, now and then. */
        if (roll(&server_dice, 4) == 0) nap((int64_t)roll(&server_dice, 40000));
    }
    return NULL;
}

/* ---- The one who kills ---- */

static pid_t start_sender(const char *self, const char *url, const char *journal, uint64_t seed, int is_last) {
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)seed);
    pid_t child = fork();
    if (child == 0) {
        execl(self, self, is_last ? "last" : "sender", url, journal, number, (char *)NULL);
        _exit(127);
    }
    return child;
}

static int check(int kills) {
    uint64_t tried = atomic_load(&world->tried), lost = 0, twice = 0, missing_in_doubt = 0, arrived_in_doubt = 0;
    uint64_t unknown = 0, unknown_arrived = 0, accepted = 0, first_lost = 0, discarded = 0, contradicted = 0;
    unsigned char *is_in_doubt = calloc(MOST * 2, 1);
    for (uint64_t i = 0; i < atomic_load(&world->doubts); i++)
        for (uint64_t k = 0; k < world->doubt[i].count; k++) {
            uint64_t id = world->doubt[i].first + k;
            if (id < MOST * 2) is_in_doubt[id] = 1;
        }
    for (uint64_t number = 1; number <= tried; number++) {
        uint64_t id = world->id_of[number];
        int times = world->received[number];
        if (times > 1) twice++;
        if (id == 0) {
            unknown++;
            unknown_arrived += times > 0;
            continue;
        }
        accepted++;
        if (id < MOST * 2 && world->is_discarded[id]) {
            discarded++;
            contradicted += times > 0 || is_in_doubt[id];
        } else if (id < MOST * 2 && is_in_doubt[id]) {
            if (times) arrived_in_doubt++;
            else missing_in_doubt++;
        } else if (times == 0) {
            if (lost++ == 0) first_lost = number;
        }
    }
    free(is_in_doubt);
    printf(
        "crashes: %d kills, %llu senders made a client; %llu messages accepted, %llu arrived over %llu connections\n",
        kills, (unsigned long long)world->runs, (unsigned long long)accepted, (unsigned long long)world->arrived,
        (unsigned long long)world->connections);
    printf("crashes: %llu recovered from the journal; %llu dropped or expired; %llu in doubt after %llu of the kills: "
           "%llu arrived, %llu did not; %llu killed within the call: %llu arrived; full %llu times, %llu resets\n",
           (unsigned long long)world->recovered, (unsigned long long)discarded,
           (unsigned long long)(arrived_in_doubt + missing_in_doubt), (unsigned long long)world->processes_with_doubts,
           (unsigned long long)arrived_in_doubt, (unsigned long long)missing_in_doubt, (unsigned long long)unknown,
           (unsigned long long)unknown_arrived, (unsigned long long)world->rejected, (unsigned long long)world->resets);
    int failed = 0;
#define RESULT(good, ...)                                                                                              \
    (printf("%s: ", (good) ? "ok" : "FAILED"), printf(__VA_ARGS__), printf("\n"), failed += !(good))
    RESULT(lost == 0, "lost: %llu (the first is number %llu)", (unsigned long long)lost,
           (unsigned long long)first_lost);
    RESULT(contradicted == 0, "dropped or expired, and another answer too: %llu", (unsigned long long)contradicted);
    RESULT(twice == 0, "received twice: %llu", (unsigned long long)twice);
    RESULT(world->out_of_order == 0, "out of order: %llu", (unsigned long long)world->out_of_order);
    RESULT(world->spoilt == 0, "not as they were sent: %llu", (unsigned long long)world->spoilt);
    RESULT(!world->has_problem && world->is_drained, "%s",
           world->has_problem ? world->problem : "every sender was content");
    printf("%d passed, %d failed, 0 skipped\n", 6 - failed, failed);
    return failed != 0;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int is_sender = strcmp(argv[1], "sender") == 0, is_last = strcmp(argv[1], "last") == 0;
    const char *name = getenv("CRASHES_WORLD");
    if (is_sender || is_last) {
        int file = open(name, O_RDWR);
        world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file < 0 || world == MAP_FAILED) return 3;
        return be_sender(argv[2], argv[3], strtoull(argv[4], NULL, 10), is_last);
    }
    int kills = atoi(argv[1]);
    struct dice dice = {strtoull(argv[2], NULL, 10)};
    server_dice.state = dice.state ^ 0x5555;
    char path[512], journal[512], url[64];
    snprintf(path, sizeof path, "%s/world", argv[3]);
    snprintf(journal, sizeof journal, "%s/journal", argv[3]);
    unlink(path), unlink(journal);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *world) != 0) return perror(path), 1;
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (world == MAP_FAILED) return perror("mmap"), 1;
    setenv("CRASHES_WORLD", path, 1);

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Small, so that senders are often in the middle of a message. */
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){32768}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        return perror("listen"), 1;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", ntohs(address.sin_port));
    pthread_t server;
    pthread_create(&server, NULL, run_server, NULL);

    for (int i = 0; i < kills && !atomic_load(&world->has_problem); i++) {
        pid_t child = start_sender("/proc/self/exe", url, journal, roll(&dice, UINT64_MAX), 0);
        /* Some die while they start, some after a long run. */
        nap((int64_t)(roll(&dice, 4) ? roll(&dice, 60000) : roll(&dice, 8000)));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status)) complain("a sender ended by itself with status %d", WEXITSTATUS(status));
    }
    if (!atomic_load(&world->has_problem)) {
        pid_t child = start_sender("/proc/self/exe", url, journal, roll(&dice, UINT64_MAX), 1);
        int64_t until = monotonic() + 60000000000;
        int status = -1;
        while (waitpid(child, &status, WNOHANG) == 0 && monotonic() < until) nap(1000);
        if (status != 0) {
            kill(child, SIGKILL);
            complain("the last sender did not come to its end: %d", status);
        }
    }
    /* What the last one has sent is on its way to the server for a moment. */
    int64_t until = monotonic() + 5000000000;
    uint64_t arrived = UINT64_MAX;
    while (arrived != atomic_load(&world->arrived) && monotonic() < until) {
        arrived = atomic_load(&world->arrived);
        nap(200000);
    }
    atomic_store(&is_over, 1);
    pthread_join(server, NULL);
    int result = check(kills);
    unlink(path), unlink(journal);
    return result;
}
