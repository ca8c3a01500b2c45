/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub of the chaos run: publishes numbered messages, looks at its own books, and may be killed at any moment.
 *
 *     hub DESCRIPTOR-OF-THE-WORLD
 */
#define _GNU_SOURCE
#include "world.h"
#include <pulsews_hub.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MS = 1000000, LONGEST = HUB_FILL };

static struct world *world;
static struct hub_world *told;
static pulsews_hub *hub;
static char *peers_text;
static size_t peers_room = 1 << 20;
static char letters[HUB_LETTERS];

static void give_up(const char *what, const char *why) {
    fprintf(stderr, "hub: %s: %s\n", what, why);
    exit(1);
}

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...) {
    uint32_t place = atomic_fetch_add(&world->complaints, 1);
    if (place >= MOST_COMPLAINTS) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->complaint[place], sizeof world->complaint[place], format, arguments);
    va_end(arguments);
}

/* ---- Messages ---- */

static size_t compose(char *text, uint32_t life, uint64_t number) {
    int head = snprintf(text, 200, HUB_MESSAGE, life, (unsigned long long)number, (unsigned)(number % HUB_KEYS),
                        (long long)monotonic());
    size_t length = (size_t)head;
    if (length + 2 < (size_t)told->size) {
        memcpy(text + length, letters + hub_place(number), (size_t)told->size - length - 2);
        length = (size_t)told->size - 2;
    }
    text[length++] = '"';
    text[length++] = '}';
    return length;
}

static void publish(int topic) {
    static char text[LONGEST];
    char name[16], key[16];
    uint64_t number = atomic_load(&told->published[topic]) + 1, offset;
    size_t length = compose(text, atomic_load(&told->life), number);
    snprintf(name, sizeof name, "t%d", topic);
    snprintf(key, sizeof key, "k%u", (unsigned)(number % HUB_KEYS));
    int has_key = told->keyed == -1;
    int32_t status = pulsews_hub_publish(hub, name, has_key ? key : NULL, text, length, &offset);
    if (status != PULSEWS_OK) complain("publish: %d", status);
    else if (offset != number)
        complain("offset %llu instead of %llu", (unsigned long long)offset, (unsigned long long)number);
    atomic_store(&told->published[topic], number);
}

/* The last messages of the life before, so that offsets go on where they stood. */
static void load(int topic) {
    uint64_t last = atomic_load(&told->published[topic]), first = atomic_load(&told->loaded[topic]) + 1;
    uint32_t life = atomic_load(&told->life) - 1;
    char name[16], *texts = malloc((size_t)HUB_LOADS * (size_t)told->size + LONGEST);
    pulsews_hub_publication messages[HUB_LOADS] = {0};
    size_t count = 0, used = 0;
    if (!texts) abort();
    if (last >= HUB_LOADS && first + HUB_LOADS <= last) first = last - HUB_LOADS + 1;
    snprintf(name, sizeof name, "t%d", topic);
    for (uint64_t number = first; number <= last; number++) {
        messages[count].data = texts + used;
        messages[count].length = compose(texts + used, life, number);
        messages[count].offset = number;
        messages[count].published_ns = realtime();
        used += messages[count++].length;
    }
    if (count > 0 && pulsews_hub_load(hub, name, messages, count) != PULSEWS_OK) complain("load");
    free(texts);
    atomic_store(&told->loaded[topic], count > 0 ? last : 0);
    if (count == 0) atomic_store(&told->published[topic], 0);
}

/* ---- Books ---- */

static uint64_t member(const char *row, const char *name) {
    char part[32];
    int length = snprintf(part, sizeof part, "\"%s\":", name);
    const char *at = strstr(row, part);
    if (!at) complain("peers without \"%s\"", name);
    return at ? strtoull(at + length, NULL, 10) : 0;
}

static void check_row(const struct hub_row *row, const char *whose) {
    if (row->offered == row->written + row->conflated + row->dropped + row->queued) return;
    complain("the books of %s do not balance: %llu offered, %llu written, %llu conflated, %llu dropped, %llu queued",
             whose, (unsigned long long)row->offered, (unsigned long long)row->written,
             (unsigned long long)row->conflated, (unsigned long long)row->dropped, (unsigned long long)row->queued);
}

static void read_rows(struct hub_row *rows, int *count) {
    int64_t length;
    while ((length = pulsews_hub_peers_json(hub, peers_text, peers_room)) >= (int64_t)peers_room) {
        peers_room = (size_t)length + 65536;
        if (!(peers_text = realloc(peers_text, peers_room))) abort();
    }
    *count = 0;
    for (const char *at = peers_text; (at = strstr(at, "{\"peer\":")) && *count < HUB_ROWS; at++)
        rows[(*count)++] = (struct hub_row){member(at, "peer"),      member(at, "offered"), member(at, "written"),
                                            member(at, "conflated"), member(at, "dropped"), member(at, "queued")};
}

static double statistic(const double *values, const char *name) {
    const char *known;
    for (size_t i = 0; pulsews_hub_statistic_at(i, &known, NULL, NULL, NULL) == PULSEWS_OK; i++)
        if (strcmp(known, name) == 0) return values[i];
    complain("there is no statistic %s", name);
    return 0;
}

static struct hub_row read_sum(double *values, size_t count) {
    pulsews_hub_statistics(hub, values, count);
    return (struct hub_row){.offered = (uint64_t)statistic(values, "messages_offered"),
                            .written = (uint64_t)statistic(values, "messages_written"),
                            .conflated = (uint64_t)statistic(values, "messages_conflated"),
                            .dropped = (uint64_t)statistic(values, "messages_dropped"),
                            .queued = (uint64_t)statistic(values, "messages_queued")};
}

static void check_books(void) {
    static struct hub_row rows[HUB_ROWS];
    double values[128];
    int count;
    struct hub_row sum = read_sum(values, 128);
    check_row(&sum, "the hub");
    read_rows(rows, &count);
    for (int i = 0; i < count; i++) check_row(&rows[i], "a peer");
    atomic_fetch_add(&told->balances, 1);
}

static void report(void) {
    uint32_t wanted = atomic_load(&told->reports_wanted);
    if (wanted == atomic_load(&told->reports)) return;
    told->sum = read_sum(told->statistics, 128);
    read_rows(told->row, &told->rows);
    atomic_store(&told->reports, wanted);
}

/* ---- Life ---- */

static void set_up(void) {
    char why[PULSEWS_ERROR_SIZE] = "", name[64], pattern[32], value[64], address[64];
    if (pulsews_hub_create(NULL, &hub, why, sizeof why) != PULSEWS_OK) give_up("create", why);
    for (int i = 0; i < told->settings; i++) {
        const char *line = told->setting[i];
        int32_t status = PULSEWS_EINVAL;
        if (sscanf(line, "hub %63s %63s", name, value) == 2)
            status = pulsews_hub_set(hub, name, value, why, sizeof why);
        else if (sscanf(line, "topic %31s %63s %63s", pattern, name, value) == 3)
            status = pulsews_hub_topic(hub, pattern, name, value, why, sizeof why);
        if (status != PULSEWS_OK) give_up(line, why);
    }
    snprintf(address, sizeof address, "%s:0", world->address);
    if (pulsews_hub_listen(hub, address, why, sizeof why) != PULSEWS_OK) give_up(address, why);
    uint32_t life = atomic_fetch_add(&told->life, 1) + 1;
    if (life >= HUB_LIVES) give_up("life", "too many");
    for (int topic = 0; topic < told->topics; topic++) {
        if (told->loads && life % 2 == 0) load(topic);
        else {
            atomic_store(&told->loaded[topic], 0);
            atomic_store(&told->published[topic], 0);
        }
    }
    if (pulsews_hub_start(hub, why, sizeof why) != PULSEWS_OK) give_up("start", why);
    static char status[1 << 16];
    pulsews_hub_status_json(hub, status, sizeof status);
    const char *epoch = strstr(status, "\"epoch\":\"");
    if (!epoch || sscanf(epoch, "\"epoch\":\"%39[^\"]", told->epoch[life]) != 1) give_up("epoch", status);
    pulsews_hub_address(hub, 0, address, sizeof address);
    atomic_store(&told->pid, getpid());
    /* Peers find it from here on. */
    atomic_store(&world->plain_port, atoi(strrchr(address, ':') + 1));
}

static int is_held(void) {
    int lag = atomic_load(&told->lag);
    return lag > 0 && atomic_load(&told->published[0]) >= atomic_load(&told->confirmed) + (uint64_t)lag;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
    if (world == MAP_FAILED) return 1;
    told = &world->hub;
    if (!(peers_text = malloc(peers_room)) || told->size > LONGEST) abort();
    hub_letters(letters);
    set_up();
    if (write(1, "ready\n", 6) != 6) return 1;
    int64_t due = monotonic(), look_at = 0;
    for (uint64_t turn = 0; !atomic_load(&told->ends);) {
        int64_t now = monotonic();
        int rate = atomic_load(&told->rate);
        if (now >= look_at) {
            check_books();
            look_at = now + 50 * MS;
        }
        report();
        if (rate == 0) due = now;
        while (rate > 0 && due <= now) {
            if (is_held()) {
                atomic_fetch_add(&told->holds, 1);
                due = now;
                break;
            }
            publish((int)(turn++ % (uint64_t)told->topics));
            due += 1000000000 / rate;
        }
        struct timespec nap = {0, MS};
        nanosleep(&nap, NULL);
    }
    int32_t status = pulsews_hub_drain(hub, 0, PULSEWS_SECONDS(5));
    if (status != PULSEWS_OK) complain("drain: %d", status);
    pulsews_hub_free(hub);
    return 0;
}
