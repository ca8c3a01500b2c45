/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static test *tests;

void add_test(test *t) {
    t->next = tests;
    tests = t;
}

void check_status(int64_t value, int64_t expected, const char *call, const char *file, int line) {
    if (value == expected) return;
    fprintf(stderr, "%s:%d: %s is %lld (%s), expected %lld (%s)\n", file, line, call, (long long)value,
            value < 0 ? pulsews_error_name((int32_t)value) : "a count", (long long)expected,
            expected < 0 ? pulsews_error_name((int32_t)expected) : "a count");
    exit(1);
}

int start_server(const char *mode) {
    int input, output;
    return start_program("hostile.py", OPTIONS(mode), &input, &output);
}

int start_program(const char *name, const char *const *arguments, int *in, int *out) {
    int input[2], output[2];
    char path[512];
    snprintf(path, sizeof path, "%s", getenv("HOSTILE"));
    char *slash = strrchr(path, '/');
    CHECK(slash != NULL && (size_t)(slash - path) + strlen(name) + 2 < sizeof path);
    strcpy(slash + 1, name);
    CHECK(pipe(input) == 0 && pipe(output) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char *command[MOST_ARGUMENTS + 3] = {"python", path};
        for (int i = 0; i < MOST_ARGUMENTS && arguments[i]; i++) command[i + 2] = (char *)arguments[i];
        dup2(input[0], 0);
        dup2(output[1], 1);
        close(input[0]), close(input[1]), close(output[0]), close(output[1]);
        execvp(getenv("PYTHON"), command);
        _exit(127);
    }
    close(input[0]), close(output[1]); /* input[1] stays open: the server ends with this process */
    *in = input[1], *out = output[0];
    char text[16] = "";
    for (size_t used = 0; used < sizeof text - 1 && !strchr(text, '\n'); used++)
        if (read(output[0], text + used, 1) != 1) break;
    int port = atoi(text);
    CHECK(port > 0);
    return port;
}

int refusing_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int bound = socket(AF_INET, SOCK_STREAM, 0); /* bound but not listening */
    CHECK(bind(bound, (struct sockaddr *)&address, size) == 0 &&
          getsockname(bound, (struct sockaddr *)&address, &size) == 0);
    return ntohs(address.sin_port);
}

pulsews_client *make_client(int port, const char *const *options) {
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/path", port);
    return make_client_at(url, options);
}

pulsews_client *make_client_at(const char *url, const char *const *options) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *client = NULL;
    pulsews_config *config = pulsews_config_create();
    CHECK(config != NULL);
    for (; *options; options++) {
        char name[64];
        const char *equals = strchr(*options, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - *options), *options);
        if (pulsews_config_set(config, name, equals + 1, why, sizeof why) != PULSEWS_OK) {
            fprintf(stderr, "option %s: %s\n", *options, why);
            exit(1);
        }
    }
    if (pulsews_client_create(url, config, NULL, &client, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "client: %s\n", why);
        exit(1);
    }
    pulsews_config_free(config);
    return client;
}

pulsews_client *open_client(int port, const char *const *options) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *client = make_client(port, options);
    if (pulsews_open(client, PULSEWS_FOREVER, why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "open: %s\n", why);
        exit(1);
    }
    return client;
}

int32_t opening(const char *mode, const char *const *options, pulsews_client **client) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *made = make_client(start_server(mode), options);
    int32_t status = pulsews_open(made, PULSEWS_SECONDS(30), why, sizeof why);
    if (status != PULSEWS_OK) {
        fprintf(stderr, "%s: %s\n", pulsews_error_name(status), why);
        CHECK(strlen(why) > 10); /* a sentence */
    }
    if (client) *client = made;
    else pulsews_client_free(made);
    return status;
}

pthread_t run_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int64_t peak_memory(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (int64_t)usage.ru_maxrss * 1024;
}

int main(int argc, char **argv) {
    for (test *t = tests; t; t = t->next) {
        if (argc == 2 && strcmp(argv[1], "--list") == 0) puts(t->name);
        if (argc == 2 && strcmp(argv[1], t->name) == 0) {
            t->body();
            return 0;
        }
    }
    return argc == 2 && strcmp(argv[1], "--list") == 0 ? 0 : 2;
}
