/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "daemon_system.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void taken_signals(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

int daemon_block_signals(void) {
    sigset_t set;
    taken_signals(&set);
    signal(SIGPIPE, SIG_IGN);
    return pthread_sigmask(SIG_BLOCK, &set, NULL) == 0 ? 0 : -1;
}

int daemon_signal_descriptor(void) {
    sigset_t set;
    taken_signals(&set);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int daemon_next_signal(int descriptor) {
    struct signalfd_siginfo info;
    ssize_t count;
    do count = read(descriptor, &info, sizeof info);
    while (count < 0 && errno == EINTR);
    if (count == (ssize_t)sizeof info) return (int)info.ssi_signo;
    return count < 0 && errno == EAGAIN ? 0 : -1;
}

int daemon_event_descriptor(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void daemon_event_set(int descriptor) {
    const uint64_t one = 1;
    ssize_t written;
    do written = write(descriptor, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

void daemon_event_clear(int descriptor) {
    uint64_t count;
    ssize_t got;
    do got = read(descriptor, &count, sizeof count);
    while (got < 0 && errno == EINTR);
}

int daemon_send_datagram(const char *name, const void *data, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    if (size == 0 || size >= sizeof address.sun_path) return errno = EINVAL, -1;
    memcpy(address.sun_path, name, size);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    socklen_t whole = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    ssize_t sent = sendto(descriptor, data, length, MSG_NOSIGNAL, (struct sockaddr *)&address, whole);
    int why = errno;
    close(descriptor);
    errno = why;
    return sent == (ssize_t)length ? 0 : -1;
}

int daemon_is_listening(int descriptor) {
    int type = 0, listening = 0;
    socklen_t size = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return 0;
    size = sizeof listening;
    return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

int daemon_close_on_exec(int descriptor) { return fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

int daemon_reserve_port(const char *host, uint16_t *port) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, "0", &hints, &found) != 0) return errno = EADDRNOTAVAIL, -1;
    struct sockaddr_storage address = {0};
    socklen_t size = found->ai_addrlen;
    memcpy(&address, found->ai_addr, size);
    freeaddrinfo(found);
    in_port_t *place = address.ss_family == AF_INET6 ? &((struct sockaddr_in6 *)&address)->sin6_port
                                                     : &((struct sockaddr_in *)&address)->sin_port;
    *place = htons(*port);
    int descriptor = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (descriptor < 0) return -1;
    /* With SO_REUSEADDR at both ends another socket may listen where this one does not. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(descriptor, (struct sockaddr *)&address, size) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&address, &size) != 0) {
        int why = errno;
        close(descriptor);
        return errno = why, -1;
    }
    *port = ntohs(*place);
    return descriptor;
}

int daemon_open_append(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
}

int daemon_open_read(const char *path) { return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY); }

int daemon_others_read(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) return -1;
    return S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0;
}

int64_t daemon_file_size(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 ? (int64_t)status.st_size : -1;
}

/* A file in memory with these bytes, to be read from its begin; -1 with errno. */
static int memory_file(const void *data, size_t length) {
    int descriptor = memfd_create("input", MFD_CLOEXEC);
    size_t done = 0;
    while (descriptor >= 0 && done < length) {
        ssize_t count = write(descriptor, (const char *)data + done, length - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return close(descriptor), -1;
        done += (size_t)count;
    }
    if (descriptor >= 0) lseek(descriptor, 0, SEEK_SET);
    return descriptor;
}

/* Waits for a child; one that takes too long is killed. */
static int wait_for(pid_t child, int seconds) {
    struct pollfd ended = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
    int status, count = 1;
    if (ended.fd >= 0) {
        do count = poll(&ended, 1, seconds * 1000);
        while (count < 0 && errno == EINTR);
        close(ended.fd);
    }
    if (count == 0) kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int daemon_run_self(const char *argument, const void *data, size_t length, int seconds) {
    char *const arguments[] = {(char *)"pulsews-hub", (char *)argument, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int input = memory_file(data, length);
    if (input < 0) return -1;
    int problem = posix_spawn_file_actions_init(&actions);
    if (problem == 0) {
        problem = posix_spawn_file_actions_adddup2(&actions, input, 0);
        if (problem == 0) problem = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
        if (problem == 0) problem = posix_spawn_file_actions_adddup2(&actions, 1, 2);
        if (problem == 0) problem = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(input);
    return problem == 0 ? wait_for(child, seconds) : (errno = problem, -1);
}

void daemon_forbid_core(void) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

static int64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t daemon_program_path(char *buffer, size_t size) {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length > 0 && size > 0) memcpy(buffer, path, (size_t)length < size ? (size_t)length : size);
    return length;
}

int64_t daemon_monotonic_ns(void) { return now(CLOCK_MONOTONIC); }
int64_t daemon_realtime_ns(void) { return now(CLOCK_REALTIME); }

void daemon_format_time(int64_t ns, char *buffer, size_t size) {
    if (ns < 0) ns = 0;
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm parts;
    char day[32];
    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(buffer, size, "%s.%03dZ", day, (int)(ns / 1000000 % 1000));
}

const char *daemon_error_text(int number, char *buffer, size_t size) { return strerror_r(number, buffer, size); }
int daemon_errno(void) { return errno; }
const char *daemon_environment(size_t index) { return environ == NULL ? NULL : environ[index]; }

struct start {
    void (*body)(void *);
    void *context;
};

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.body(start.context);
    return NULL;
}

int daemon_start_thread(const char *name, void (*body)(void *), void *context) {
    pthread_t thread;
    struct start *start = malloc(sizeof *start);
    if (start == NULL) return ENOMEM;
    *start = (struct start){body, context};
    int problem = pthread_create(&thread, NULL, run, start);
    if (problem != 0) return free(start), problem;
    pthread_setname_np(thread, name);
    pthread_detach(thread);
    return 0;
}
