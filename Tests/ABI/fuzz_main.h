/* SPDX-License-Identifier: Apache-2.0
 *
 * For the fuzzers of the C interface: where the inputs come from, and what must not stay behind them. */
#ifndef FUZZ_MAIN_H
#define FUZZ_MAIN_H

#include <dirent.h>
#include <time.h>

#include "fuzz_input.h"

static int entries(const char *folder) {
    int count = 0;
    DIR *all = opendir(folder);
    while (all && readdir(all)) count++;
    closedir(all);
    return count;
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void run_random(int seconds, uint64_t seed, void (*run)(const uint8_t *, size_t)) {
    uint8_t bytes[MOST_INPUT];
    int64_t end = now_ns() + seconds * 1000000000LL;
    long inputs = 0;
    uint64_t state = seed * 2654435769u + 1;
    for (; now_ns() < end; inputs++) {
        size_t size = 0;
        do {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            bytes[size++] = (uint8_t)(state >> 32);
        } while (size < MOST_INPUT && (size < 64 || (state & 255) != 0));
        run(bytes, size);
    }
    printf("%ld inputs\n", inputs);
}

/* Nothing stays behind: connections that say goodbye, and look-ups, end within seconds. */
static void await_end(int descriptors, int threads) {
    for (int64_t end = now_ns() + 10000000000LL;;) {
        /* The server's side of connections is counted too, and goes when it sees the end. */
        if (entries("/proc/self/fd") <= descriptors && entries("/proc/self/task") <= threads) return;
        CHECK(now_ns() < end, "%d descriptors, then %d; %d threads, then %d", descriptors, entries("/proc/self/fd"),
              threads, entries("/proc/self/task"));
        poll(NULL, 0, 10);
    }
}

/* What `main` does: FILE..., or --random SECONDS SEED. */
static int fuzz(int argc, char **argv, void (*run)(const uint8_t *, size_t)) {
    static const int fatal[] = {SIGALRM, SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], crashed);
    setvbuf(stderr, NULL, _IONBF, 0);
    snprintf(input_file, sizeof input_file, "%s.input", program_invocation_short_name);
    int descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
    if (argc == 4 && strcmp(argv[1], "--random") == 0) {
        run_random(atoi(argv[2]), strtoull(argv[3], NULL, 10), run);
    } else {
        for (int i = 1; i < argc; i++) {
            static uint8_t bytes[MOST_INPUT];
            FILE *file = fopen(argv[i], "rb");
            CHECK(file != NULL, "can't read %s", argv[i]);
            size_t size = fread(bytes, 1, sizeof bytes, file);
            fclose(file);
            run(bytes, size);
        }
    }
    await_end(descriptors, threads);
    return 0;
}

#endif
