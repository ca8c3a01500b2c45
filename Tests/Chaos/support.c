/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support.h"
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct world *world;
int has_network;

static int world_fd = -1, server_network = -1, passed, failed, skips;
static pid_t server;
static char folder_of_programs[256], folder_of_files[256];

static void give_up(const char *what) {
    fprintf(stderr, "chaos: %s does not work\n", what);
    exit(1);
}

void nap(double milliseconds) {
    struct timespec t = {(time_t)(milliseconds / 1e3), (long)(milliseconds * 1e6) % 1000000000L};
    nanosleep(&t, NULL);
}

/* ---- The network ---- */

/* `program` in the server's namespace or in this one; its exit status. */
static int run(int in_server, const char *const *command) {
    pid_t child = fork();
    if (child == 0) {
        int nothing = open("/dev/null", O_RDWR);
        dup2(nothing, 1), dup2(nothing, 2);
        if (in_server && setns(server_network, CLONE_NEWNET) != 0) _exit(126);
        execvp(command[0], (char *const *)command);
        _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define IP(in_server, ...) run(in_server, OPTIONS("ip", __VA_ARGS__))

static int write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    int is_good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return is_good;
}

/* A namespace for the server, one for this process, and a wire between them. They end with the processes. */
static int split_network(void) {
    if (IP(0, "-V") != 0) give_up("ip(8)");
    char map[64];
    unsigned user = geteuid();
    if (unshare(CLONE_NEWNET) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return 0;
        snprintf(map, sizeof map, "0 %u 1", user);
        if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", map)) return 0;
    }
    /* Without loopback nothing works from here on. */
    if (IP(0, "link", "set", "lo", "up") != 0) give_up("loopback in a network namespace");
    server_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) != 0 || IP(0, "link", "set", "lo", "up") != 0) give_up("a second network namespace");
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    pid_t anchor = fork(); /* ip(8) takes the id of a process for its namespace */
    if (anchor == 0) {
        char byte = 'x';
        if (setns(server_network, CLONE_NEWNET) == 0 && write(ends[1], &byte, 1) == 1) pause();
        _exit(1);
    }
    char byte, pid[16];
    close(ends[1]);
    snprintf(pid, sizeof pid, "%d", anchor);
    int is_good = read(ends[0], &byte, 1) == 1 &&
                  IP(0, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", pid) == 0 &&
                  IP(0, "addr", "add", "10.99.0.1/24", "dev", "wire") == 0 && IP(0, "link", "set", "wire", "up") == 0 &&
                  IP(1, "addr", "add", "10.99.0.2/24", "dev", "wire") == 0 && IP(1, "link", "set", "wire", "up") == 0;
    close(ends[0]);
    kill(anchor, SIGKILL);
    waitpid(anchor, NULL, 0);
    if (!is_good) {
        close(server_network);
        server_network = -1;
    }
    return is_good;
}

/* To a hardware address that nobody has: packets vanish, and nothing says so. Needs no firewall. */
void partition(int directions) {
    atomic_store(&world->whole_since, 0);
    for (int i = 0; i < 2; i++) {
        const char *peer = i ? "10.99.0.1" : "10.99.0.2";
        if (directions & (1 << i))
            IP(i, "neigh", "replace", peer, "lladdr", "02:00:00:00:00:99", "dev", "wire", "nud", "permanent");
        else IP(i, "neigh", "del", peer, "dev", "wire");
    }
    if (directions == 0) atomic_store(&world->whole_since, monotonic());
}

/* ---- Children ---- */

/* A program that prints a line when it serves. */
pid_t start_program(const char *name, int in_server) {
    char path[512], number[16], byte = 0;
    int ends[2];
    snprintf(path, sizeof path, "%s/%s", folder_of_programs, name);
    snprintf(number, sizeof number, "%d", world_fd);
    if (pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        fcntl(world_fd, F_SETFD, 0);
        if (in_server && server_network >= 0 && setns(server_network, CLONE_NEWNET) != 0) _exit(126);
        execl(path, name, number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while (read(ends[0], &byte, 1) == 1 && byte != '\n') {}
    if (byte != '\n') give_up(name);
    close(ends[0]);
    return child;
}

void start_server(void) { server = start_program("server", 1); }
void start_proxy(void) { start_program("proxy", 0); }

void kill_server(void) {
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    server = 0;
}

void set_up(uint64_t seed, const char *folder, const char *programs) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(folder_of_programs, sizeof folder_of_programs, "%s", programs);
    snprintf(folder_of_files, sizeof folder_of_files, "%s", folder);
    has_network = split_network();
    world_fd = memfd_create("world", MFD_CLOEXEC);
    if (world_fd < 0 || ftruncate(world_fd, sizeof *world) != 0) give_up("memfd_create");
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED, world_fd, 0);
    if (world == MAP_FAILED) give_up("mmap");
    world->seed = seed;
    world->server_listens = 1;
    world->feed_us = 5000;
    world->whole_since = 1;
    world->retry_after = -1;
    strcpy(world->address, has_network ? "10.99.0.2" : "127.0.0.1");
    snprintf(world->certificate, sizeof world->certificate, "%s/certificate.pem", folder);
    snprintf(world->key, sizeof world->key, "%s/key.pem", folder);
    if (run(0, OPTIONS("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                       "-days", "2", "-subj", "/CN=localhost", "-addext",
                       "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.99.0.2", "-keyout", world->key, "-out",
                       world->certificate)) != 0)
        give_up("openssl req");
}

/* ---- Clients ---- */

pulsews_client *make_client(int index, int subscriptions, int flags, int route, pulsews_loop *loop,
                            const char *const *options) {
    char url[128], why[PULSEWS_ERROR_SIZE] = "", key[16], text[32];
    const char *host = route & PROXY ? route & TLS ? "localhost" : "127.0.0.1" : world->address;
    int port = atomic_load(route & PROXY ? route & TLS ? &world->proxy_tls_port : &world->proxy_plain_port
                           : route & TLS ? &world->tls_port
                                         : &world->plain_port);
    snprintf(url, sizeof url, "%s://%s:%d/%d/%d/%d?key=" SECRET, route & TLS ? "wss" : "ws", host, port, index,
             subscriptions, flags);
    pulsews_config *config = pulsews_config_create();
    int32_t status = PULSEWS_OK;
    if (route & TLS) status = pulsews_config_set(config, "ca_file", world->certificate, why, sizeof why);
    for (; options && *options && status == PULSEWS_OK; options++) {
        char name[64];
        const char *equals = strchr(*options, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - *options), *options);
        status = pulsews_config_set(config, name, equals + 1, why, sizeof why);
    }
    pulsews_client *client = NULL;
    if (status == PULSEWS_OK) status = pulsews_client_create(url, config, loop, &client, why, sizeof why);
    pulsews_config_free(config);
    for (int i = 0; i < subscriptions && status == PULSEWS_OK; i++) {
        snprintf(key, sizeof key, "s%d", i);
        snprintf(text, sizeof text, "sub s%d", i);
        status = pulsews_subscribe(client, key, text, NULL, why, sizeof why);
    }
    if (status != PULSEWS_OK) {
        fprintf(stderr, "chaos: client %d: %s\n", index, why);
        exit(1);
    }
    return client;
}

int statistic_index(const char *name) {
    const char *known;
    for (size_t i = 0; pulsews_statistic_at(i, &known, NULL, NULL, NULL) == PULSEWS_OK; i++)
        if (strcmp(known, name) == 0) return (int)i;
    give_up(name);
    return -1;
}

double statistic(const pulsews_client *client, const char *name) {
    double values[128];
    pulsews_statistics(client, values, 128);
    return values[statistic_index(name)];
}

double account(const pulsews_client *client, double *accepted) {
    static const char *const names[] = {"messages_accepted", "messages_sent",   "messages_dropped",
                                        "messages_expired",  "messages_failed", "queue_size"};
    static _Atomic int indices[6];
    double values[128];
    pulsews_statistics(client, values, 128);
    double rest = 0;
    for (int i = 0; i < 6; i++) {
        if (indices[i] == 0) indices[i] = statistic_index(names[i]);
        rest += i == 0 ? values[indices[i]] : -values[indices[i]];
    }
    if (accepted) *accepted = values[indices[0]];
    return rest;
}

/* ---- Events ---- */

int event_has(const pulsews_message *m, const char *part) {
    return memmem(m->data, m->length, part, strlen(part)) != NULL;
}

int event_is(const pulsews_message *m, const char *kind) {
    char part[48];
    int length = snprintf(part, sizeof part, "{\"event\":\"%s\"", kind);
    return m->kind == PULSEWS_EVENT && m->length > (size_t)length && memcmp(m->data, part, (size_t)length) == 0;
}

double event_number(const pulsews_message *m, const char *key) {
    char part[48], number[32];
    int length = snprintf(part, sizeof part, "\"%s\":", key);
    const char *at = memmem(m->data, m->length, part, (size_t)length);
    if (!at) return 0;
    at += length;
    size_t left = m->length - (size_t)(at - (const char *)m->data);
    snprintf(number, sizeof number, "%.*s", (int)(left < 31 ? left : 31), at);
    return strtod(number, NULL);
}

/* ---- Results ---- */

void result(int is_good, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%s ", is_good ? "ok    " : "FAILED");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    if (is_good) passed++;
    else failed++;
}

void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("       ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void skipped(const char *why) {
    printf("skipped %s\n", why);
    skips++;
}

void check_complaints(void) {
    uint32_t count = atomic_load(&world->complaints);
    result(count == 0, "the server has nothing to complain about: %u", count);
    for (uint32_t i = 0; i < count && i < MOST_COMPLAINTS; i++) note("%s", world->complaint[i]);
}

int summary(void) {
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skips);
    return failed != 0;
}

int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int count_entries(const char *path) {
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder) return -1;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

struct usage usage(void) {
    struct usage now = {0};
    now.threads = count_entries("/proc/self/task") - 2;
    now.descriptors = count_entries("/proc/self/fd") - 3;
    struct mallinfo2 info = mallinfo2();
    now.bytes = (long)(info.uordblks + info.hblkhd);
    FILE *file = fopen("/proc/self/statm", "r");
    long total, resident = 0;
    if (file && fscanf(file, "%ld %ld", &total, &resident) == 2) now.resident = resident * sysconf(_SC_PAGESIZE);
    if (file) fclose(file);
    return now;
}
