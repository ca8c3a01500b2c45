/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"
#include "old_libc.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* glibc 2.34 moved libpthread into libc and gave these functions a new version. Binding the old one, which every later
 * glibc still has, lets the shipped library load on glibc 2.17. It must stand in the file that makes the call. */
#if defined(PULSEWS_EMBEDDED) && defined(__x86_64__) && defined(__GLIBC__)
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
__asm__(".symver pthread_detach,pthread_detach@GLIBC_2.2.5");
__asm__(".symver pthread_attr_setstacksize,pthread_attr_setstacksize@GLIBC_2.2.5");
__asm__(".symver pthread_setname_np,pthread_setname_np@GLIBC_2.12");
#endif

/* ---- Locks ---- */

/* The hot path takes a lock several times a message, nearly always a free one. These do that in a few instructions, where
 * those of libc, which serve many kinds, take ten times as many. They work as futex(2) and the papers on it describe. */

/* 0: free; 1: taken; 2: taken, and someone may sleep. */
struct psys_mutex {
    _Atomic uint32_t state;
};
/* Grows with every signal, so that one between looking and sleeping is not missed. */
struct psys_condition {
    _Atomic uint32_t signals;
};

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *until) {
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}
static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

psys_mutex *psys_mutex_create(void) { return calloc(1, sizeof(psys_mutex)); }
void psys_mutex_destroy(psys_mutex *mutex) { free(mutex); }

__attribute__((noinline)) static void lock_contended(psys_mutex *mutex) {
    /* Most are held for less time than it takes to sleep. */
    for (int i = 0; i < 100; i++) {
        uint32_t state = atomic_load_explicit(&mutex->state, memory_order_relaxed);
        if (state == 0 &&
            atomic_compare_exchange_weak_explicit(&mutex->state, &state, 1, memory_order_acquire, memory_order_relaxed))
            return;
        if (state == 2) break;
        relax();
    }
    while (atomic_exchange_explicit(&mutex->state, 2, memory_order_acquire) != 0)
        futex(&mutex->state, FUTEX_WAIT, 2, NULL);
}
void psys_mutex_lock(psys_mutex *mutex) {
    uint32_t expected = 0;
    if (!atomic_compare_exchange_strong_explicit(&mutex->state, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        lock_contended(mutex);
}
int32_t psys_mutex_trylock(psys_mutex *mutex) {
    uint32_t expected = 0;
    return atomic_compare_exchange_strong_explicit(&mutex->state, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}
void psys_mutex_unlock(psys_mutex *mutex) {
    if (atomic_exchange_explicit(&mutex->state, 0, memory_order_release) == 2)
        futex(&mutex->state, FUTEX_WAKE, 1, NULL);
}

psys_condition *psys_condition_create(void) { return calloc(1, sizeof(psys_condition)); }
void psys_condition_destroy(psys_condition *condition) { free(condition); }
void psys_condition_wait(psys_condition *condition, psys_mutex *mutex) {
    uint32_t seen = atomic_load_explicit(&condition->signals, memory_order_relaxed);
    psys_mutex_unlock(mutex);
    futex(&condition->signals, FUTEX_WAIT, seen, NULL);
    psys_mutex_lock(mutex);
}
int32_t psys_condition_wait_until(psys_condition *condition, psys_mutex *mutex, int64_t deadline_ns) {
    if (deadline_ns < 0) deadline_ns = 0;
    struct timespec time = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    uint32_t seen = atomic_load_explicit(&condition->signals, memory_order_relaxed);
    psys_mutex_unlock(mutex);
    /* With a bit set the time is absolute, on the monotonic clock. */
    int timed_out = futex(&condition->signals, FUTEX_WAIT_BITSET, seen, &time) < 0 && errno == ETIMEDOUT;
    psys_mutex_lock(mutex);
    return !timed_out;
}
void psys_condition_signal(psys_condition *condition) {
    atomic_fetch_add_explicit(&condition->signals, 1, memory_order_release);
    futex(&condition->signals, FUTEX_WAKE, 1, NULL);
}
void psys_condition_broadcast(psys_condition *condition) {
    atomic_fetch_add_explicit(&condition->signals, 1, memory_order_release);
    futex(&condition->signals, FUTEX_WAKE, INT_MAX, NULL);
}

/* ---- Threads ---- */

typedef struct {
    psys_thread_body body;
    void *context;
    char name[16];
} start;

static void *run(void *argument) {
    start given = *(start *)argument;
    free(argument);
    pthread_setname_np(pthread_self(), given.name);
    given.body(given.context);
    return NULL;
}

int32_t psys_thread_start(psys_thread_body body, void *context, const char *name, size_t stack_size, int32_t detached,
                          uint64_t *thread) {
    start *given = calloc(1, sizeof *given);
    pthread_attr_t attributes;
    if (!given) return -ENOMEM;
    given->body = body;
    given->context = context;
    strncpy(given->name, name, sizeof given->name - 1);
    int status = pthread_attr_init(&attributes);
    if (status != 0) {
        free(given);
        return -status;
    }
    if (stack_size) pthread_attr_setstacksize(&attributes, stack_size);
    if (detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* A thread inherits its creator's mask: blocked before, restored after, so that the application's signals are
     * always handled by the application's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t made;
    status = pthread_create(&made, &attributes, run, given);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (status != 0) {
        free(given);
        return -status;
    }
    *thread = (uint64_t)made;
    return 0;
}
int32_t psys_thread_join(uint64_t thread) { return -pthread_join((pthread_t)thread, NULL); }
int32_t psys_thread_detach(uint64_t thread) { return -pthread_detach((pthread_t)thread); }
uint64_t psys_thread_self(void) { return (uint64_t)pthread_self(); }
void psys_thread_yield(void) { sched_yield(); }

/* ---- Fork ---- */

static volatile uint32_t generation;
static void in_child(void) {
    generation = generation + 1;
    psys_log_set_level(0);
}
/* When the library is loaded: a fork before the first call counts as well. */
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }
uint32_t psys_fork_generation(void) { return generation; }
