/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same number on every architecture */
#endif

struct psys_events {
    int32_t capacity;
    struct epoll_event list[];
};

psys_events *psys_events_create(int32_t capacity) {
    psys_events *events = calloc(1, sizeof *events + (size_t)capacity * sizeof(struct epoll_event));
    if (events) events->capacity = capacity;
    return events;
}
void psys_events_destroy(psys_events *events) { free(events); }

static int32_t result(int status) { return status < 0 ? -errno : status; }

int32_t psys_epoll_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

static int32_t control(int32_t epoll, int operation, int32_t descriptor, uint32_t interest, uint64_t data) {
    struct epoll_event event = {.events = 0, .data.u64 = data};
    if (interest & PSYS_READABLE) event.events |= EPOLLIN;
    if (interest & PSYS_WRITABLE) event.events |= EPOLLOUT;
    /* At an edge the end of input may come along with data, and has no event of its own then. */
    if (interest & PSYS_EDGE) event.events |= EPOLLET | EPOLLRDHUP;
    return result(epoll_ctl(epoll, operation, descriptor, &event));
}
int32_t psys_epoll_add(int32_t epoll, int32_t descriptor, uint32_t interest, uint64_t data) {
    return control(epoll, EPOLL_CTL_ADD, descriptor, interest, data);
}
int32_t psys_epoll_change(int32_t epoll, int32_t descriptor, uint32_t interest, uint64_t data) {
    return control(epoll, EPOLL_CTL_MOD, descriptor, interest, data);
}
int32_t psys_epoll_remove(int32_t epoll, int32_t descriptor) { return control(epoll, EPOLL_CTL_DEL, descriptor, 0, 0); }

static int milliseconds(int64_t timeout_ns) {
    if (timeout_ns < 0) return -1;
    int64_t rounded = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    return rounded > INT_MAX ? INT_MAX : (int)rounded;
}

int32_t psys_epoll_wait(int32_t epoll, psys_events *events, int64_t timeout_ns) {
    static volatile int lacks_pwait2; /* written with the same value by whoever finds out first */
    if (timeout_ns > 0 && !__atomic_load_n(&lacks_pwait2, __ATOMIC_RELAXED)) {
        /* The kernel's 64-bit layout; a 32-bit time_t in struct timespec would not do. */
        struct {
            int64_t seconds, nanoseconds;
        } time = {timeout_ns / 1000000000, timeout_ns % 1000000000};
        long count = syscall(SYS_epoll_pwait2, epoll, events->list, events->capacity, &time, NULL, (size_t)8);
        if (count >= 0) return (int32_t)count;
        /* EPERM is what old container sandboxes say to calls that they do not know. */
        if (errno != ENOSYS && errno != EPERM) return -errno;
        __atomic_store_n(&lacks_pwait2, 1, __ATOMIC_RELAXED);
    }
    /* Not through libc: see psys_recv. */
    long count = syscall(SYS_epoll_pwait, epoll, events->list, events->capacity, milliseconds(timeout_ns), NULL,
                         (size_t)8);
    return count < 0 ? -errno : (int32_t)count;
}

uint64_t psys_events_data(const psys_events *events, int32_t index) { return events->list[index].data.u64; }

uint32_t psys_events_flags(const psys_events *events, int32_t index) {
    uint32_t given = events->list[index].events, flags = 0;
    if (given & (EPOLLIN | EPOLLPRI | EPOLLRDHUP)) flags |= PSYS_READABLE;
    if (given & EPOLLOUT) flags |= PSYS_WRITABLE;
    if (given & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) flags |= PSYS_HANGUP;
    return flags;
}

int32_t psys_eventfd_create(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void psys_eventfd_add(int32_t descriptor) {
    uint64_t one = 1;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR) {}
}
void psys_eventfd_clear(int32_t descriptor) {
    uint64_t count;
    while (read(descriptor, &count, sizeof count) < 0 && errno == EINTR) {}
}

int32_t psys_timerfd_create(void) { return result(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)); }

void psys_timerfd_set(int32_t descriptor, int64_t deadline_ns) {
    if (deadline_ns < 1) deadline_ns = 1; /* zero would switch it off */
    struct itimerspec time = {{0, 0}, {deadline_ns / 1000000000, deadline_ns % 1000000000}};
    timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &time, NULL);
}

int32_t psys_poll_one(int32_t descriptor, uint32_t interest, int64_t timeout_ns) {
    struct pollfd one = {.fd = descriptor, .events = 0};
    if (interest & PSYS_READABLE) one.events |= POLLIN;
    if (interest & PSYS_WRITABLE) one.events |= POLLOUT;
    int count = poll(&one, 1, milliseconds(timeout_ns));
    if (count < 0) return -errno;
    int32_t flags = 0;
    if (one.revents & POLLIN) flags |= PSYS_READABLE;
    if (one.revents & POLLOUT) flags |= PSYS_WRITABLE;
    if (one.revents & (POLLHUP | POLLERR | POLLNVAL)) flags |= PSYS_HANGUP;
    return flags;
}
