/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "names.h"
#include "harness.h"
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <time.h>

enum { MOST_NAMES = 8, MOST_ADDRESSES = 8, MOST_LOOKUPS = 1000, OURS = 0x7E57 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
    char name[64], addresses[MOST_ADDRESSES][48];
} names[MOST_NAMES];
static char held_end[64], begun[MOST_LOOKUPS][64];
static int begun_count, released, all_released;

void name_addresses(const char *name, const char *const *addresses) {
    for (int i = 0; i < MOST_NAMES; i++) {
        if (names[i].name[0] && strcmp(names[i].name, name) != 0) continue;
        memset(&names[i], 0, sizeof names[i]);
        snprintf(names[i].name, sizeof names[i].name, "%s", name);
        for (int j = 0; addresses[j]; j++)
            snprintf(names[i].addresses[j], sizeof names[i].addresses[j], "%s", addresses[j]);
        return;
    }
    CHECK(!"room for a name");
}

void hold_names(const char *end) { snprintf(held_end, sizeof held_end, "%s", end); }

void release_names(int count) {
    pthread_mutex_lock(&mutex);
    if (count < 0) all_released = 1;
    else released += count;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

int await_lookups(const char *name, int least) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += SHORT / PULSEWS_SECONDS(1);
    pthread_mutex_lock(&mutex);
    int count;
    for (;;) {
        count = 0;
        for (int i = 0; i < begun_count; i++) count += !name || strcmp(begun[i], name) == 0;
        if (count >= least || pthread_cond_timedwait(&changed, &mutex, &end) != 0) break;
    }
    pthread_mutex_unlock(&mutex);
    if (count < least) fprintf(stderr, "%d look-ups of %s\n", count, name ? name : "held names");
    CHECK(count >= least);
    return count;
}

const char *last_held(void) {
    static char name[64];
    pthread_mutex_lock(&mutex);
    strcpy(name, begun[begun_count - 1]);
    pthread_mutex_unlock(&mutex);
    return name;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), count = strlen(end);
    return count > 0 && length >= count && strcmp(text + length - count, end) == 0;
}

static void wait_for_release(const char *name) {
    pthread_mutex_lock(&mutex);
    CHECK(begun_count < MOST_LOOKUPS);
    snprintf(begun[begun_count++], sizeof begun[0], "%s", name);
    pthread_cond_broadcast(&changed);
    while (!all_released && released == 0) pthread_cond_wait(&changed, &mutex);
    if (!all_released) released--;
    pthread_mutex_unlock(&mutex);
}

static struct addrinfo *entry(const char *address, const char *service, struct addrinfo *next) {
    struct {
        struct addrinfo info;
        struct sockaddr_storage place;
    } *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->info = (struct addrinfo){.ai_flags = OURS,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_addr = (struct sockaddr *)&made->place,
                                   .ai_addrlen = sizeof made->place,
                                   .ai_next = next};
    struct sockaddr_in *four = (struct sockaddr_in *)&made->place;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&made->place;
    int is_six = strchr(address, ':') != NULL;
    made->info.ai_family = made->place.ss_family = is_six ? AF_INET6 : AF_INET;
    CHECK(inet_pton(made->info.ai_family, address, is_six ? (void *)&six->sin6_addr : (void *)&four->sin_addr) == 1);
    *(is_six ? &six->sin6_port : &four->sin_port) = htons((uint16_t)atoi(service));
    return &made->info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (ends_with(name, held_end)) {
        wait_for_release(name);
        if (strncmp(name, "bad", 3) == 0) return EAI_AGAIN;
        *out = entry("127.0.0.1", service, NULL);
        return 0;
    }
    for (int i = 0; i < MOST_NAMES && names[i].name[0]; i++) {
        if (strcmp(names[i].name, name) != 0) continue;
        *out = NULL;
        for (int j = MOST_ADDRESSES - 1; j >= 0; j--)
            if (names[i].addresses[j][0]) *out = entry(names[i].addresses[j], service, *out);
        return *out ? 0 : EAI_NONAME;
    }
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, out);
}

void freeaddrinfo(struct addrinfo *list) {
    static void (*real)(struct addrinfo *);
    if (list && list->ai_flags != OURS) {
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
        real(list);
        return;
    }
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}
