/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"
#include "old_libc.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void *psys_malloc(size_t size) { return malloc(size ? size : 1); }
void *psys_realloc(void *memory, size_t size) { return realloc(memory, size ? size : 1); }
void psys_free(void *memory) { free(memory); }
void psys_memcpy(void *to, const void *from, size_t count) { memcpy(to, from, count); }
void psys_memmove(void *to, const void *from, size_t count) { memmove(to, from, count); }
void psys_memset(void *to, int32_t byte, size_t count) { memset(to, byte, count); }
int32_t psys_memcmp(const void *a, const void *b, size_t count) { return memcmp(a, b, count); }
size_t psys_strlen(const char *text) { return strlen(text); }
const char *psys_getenv(const char *name) { return getenv(name); }

void psys_wipe(void *memory, size_t count) {
    memset(memory, 0, count);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

double psys_strtod(const char *text, size_t *used) {
    /* newlocale costs a file system look-up for named locales only; "C" is built in. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    char *end = (char *)text;
    double value = plain ? strtod_l(text, &end, plain) : 0;
    if (plain) freelocale(plain);
    *used = (size_t)(end - text);
    return value;
}

void psys_stderr(const void *bytes, size_t count) {
    const char *next = bytes;
    while (count > 0) {
        ssize_t written = write(STDERR_FILENO, next, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;
        next += written;
        count -= (size_t)written;
    }
}

int32_t psys_open_log(const char *path) {
    /* Somebody else may have put something at the path: a link elsewhere, a pipe whose opening waits for a reader. */
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0600);
    if (descriptor < 0) return errno == ELOOP || errno == ENXIO ? INT32_MIN : -errno;
    struct stat status;
    int32_t error = 0;
    if (look_at_open(descriptor, &status) != 0) error = -errno;
    else if (!S_ISREG(status.st_mode)) error = INT32_MIN;
    else if ((status.st_mode & 0077) != 0 && fchmod(descriptor, status.st_mode & 0700) != 0) error = -errno;
    if (error == 0) return descriptor;
    close(descriptor);
    return error;
}

/* The caller may hold locks: no cancellation point, and nothing that could block for long. */
int32_t psys_write_line(int32_t descriptor, const void *bytes, size_t count) {
    struct pollfd look = {.fd = descriptor, .events = POLLOUT};
    struct timespec none = {0, 0};
    if (syscall(SYS_ppoll, &look, 1, &none, NULL, 0) != 1 || !(look.revents & POLLOUT)) return 0;
    /* A pipe without a reader: the signal is held back and, if it came of this write, taken away. */
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    int was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    long written = syscall(SYS_write, descriptor, bytes, count);
    if (written < 0 && errno == EPIPE && !was_pending) {
        while (syscall(SYS_rt_sigtimedwait, &pipe_signal, NULL, &none, 8) < 0 && errno == EINTR) {}
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return written == (long)count;
}

static int32_t log_level;
int32_t psys_log_level(void) { return __atomic_load_n(&log_level, __ATOMIC_RELAXED); }
void psys_log_set_level(int32_t level) { __atomic_store_n(&log_level, level, __ATOMIC_RELAXED); }

void psys_file_identity(const char *path, void *bytes) {
    struct stat found;
    int64_t numbers[4] = {0};
    if (look_at(path, &found, 0) == 0) {
        numbers[0] = (int64_t)found.st_dev;
        numbers[1] = (int64_t)found.st_ino;
        numbers[2] = (int64_t)found.st_size;
        numbers[3] = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    }
    memcpy(bytes, numbers, sizeof numbers);
}

/* ---- Errors ---- */

#define NAME(e) const int32_t psys_##e = e
/* clang-format off */
NAME(EAGAIN); NAME(EINTR); NAME(EINPROGRESS); NAME(ECONNREFUSED); NAME(ECONNRESET); NAME(EPIPE); NAME(ETIMEDOUT);
NAME(ENETUNREACH); NAME(EHOSTUNREACH); NAME(EMFILE); NAME(ENFILE); NAME(ENOMEM); NAME(ENOBUFS); NAME(EACCES);
NAME(EPERM); NAME(EADDRNOTAVAIL); NAME(EAFNOSUPPORT); NAME(ENETDOWN); NAME(EHOSTDOWN); NAME(ECONNABORTED);
NAME(ENOSPC); NAME(ENOTCONN); NAME(EINVAL);
/* clang-format on */

/* GNU and POSIX strerror_r differ in what they return; these accept either. */
static const char *gnu_text(char *text, char *buffer) {
    (void)buffer;
    return text;
}
static const char *posix_text(int status, char *buffer) { return status == 0 ? buffer : "unknown error"; }

void psys_error_text(int32_t error, char *buffer, size_t size) {
    if (size == 0) return;
    char scratch[128] = "";
    const char *text = _Generic(strerror_r(error, scratch, sizeof scratch),
        char *: gnu_text,
        int: posix_text)(strerror_r(error, scratch, sizeof scratch), scratch);
    size_t length = strlen(text);
    if (length >= size) length = size - 1;
    memcpy(buffer, text, length);
    buffer[length] = 0;
}

/* ---- Time and random numbers ---- */

static int64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
int64_t psys_monotonic_ns(void) { return now(CLOCK_MONOTONIC); }
int64_t psys_realtime_ns(void) { return now(CLOCK_REALTIME); }

void psys_random(void *bytes, size_t count) {
    unsigned char *next = bytes;
#ifdef SYS_getrandom
    while (count > 0) {
        long got = syscall(SYS_getrandom, next, count, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        next += got;
        count -= (size_t)got;
    }
    if (count == 0) return;
#endif
    /* Linux before 3.17, or a sandbox that forbids the call. */
    int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    while (file >= 0 && count > 0) {
        ssize_t got = read(file, next, count);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        next += got;
        count -= (size_t)got;
    }
    if (file >= 0) close(file);
    if (count > 0) {
        static const char text[] = "pulsews: the system has no source of random numbers\n";
        psys_stderr(text, sizeof text - 1);
        abort();
    }
}

#ifdef PULSEWS_EMBEDDED
/* The Embedded Swift runtime seeds its hashing with this function, which glibc has only since 2.36. Hidden, so that it
 * never takes the place of the process's own. */
__attribute__((visibility("hidden"))) void arc4random_buf(void *bytes, size_t count);
void arc4random_buf(void *bytes, size_t count) { psys_random(bytes, count); }
#endif
