/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* glibc 2.34 moved libpthread into libc and gave these functions a new version. Binding the old one, which every later
 * glibc still has, lets the shipped library load on glibc 2.17. It must stand in the file that makes the call. */
#if defined(PULSEWS_EMBEDDED) && defined(__x86_64__) && defined(__GLIBC__)
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
__asm__(".symver pthread_detach,pthread_detach@GLIBC_2.2.5");
__asm__(".symver pthread_sigmask,pthread_sigmask@GLIBC_2.2.5");
__asm__(".symver pthread_attr_setstacksize,pthread_attr_setstacksize@GLIBC_2.2.5");
__asm__(".symver pthread_condattr_setclock,pthread_condattr_setclock@GLIBC_2.3.3");
__asm__(".symver pthread_setname_np,pthread_setname_np@GLIBC_2.12");
__asm__(".symver pthread_mutex_trylock,pthread_mutex_trylock@GLIBC_2.2.5");
#endif

struct psys_mutex { pthread_mutex_t value; };
struct psys_condition { pthread_cond_t value; };

psys_mutex *psys_mutex_create(void) {
    psys_mutex *mutex = malloc(sizeof *mutex);
    if (mutex && pthread_mutex_init(&mutex->value, NULL) != 0) { free(mutex); return NULL; }
    return mutex;
}
void psys_mutex_destroy(psys_mutex *mutex) { pthread_mutex_destroy(&mutex->value); free(mutex); }
void psys_mutex_lock(psys_mutex *mutex) { pthread_mutex_lock(&mutex->value); }
int32_t psys_mutex_trylock(psys_mutex *mutex) { return pthread_mutex_trylock(&mutex->value) == 0; }
void psys_mutex_unlock(psys_mutex *mutex) { pthread_mutex_unlock(&mutex->value); }

psys_condition *psys_condition_create(void) {
    psys_condition *condition = malloc(sizeof *condition);
    pthread_condattr_t attributes;
    if (!condition) return NULL;
    if (pthread_condattr_init(&attributes) != 0) { free(condition); return NULL; }
    /* The monotonic clock: a change of the wall clock neither ends nor stretches a wait. */
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int status = pthread_cond_init(&condition->value, &attributes);
    pthread_condattr_destroy(&attributes);
    if (status != 0) { free(condition); return NULL; }
    return condition;
}
void psys_condition_destroy(psys_condition *condition) { pthread_cond_destroy(&condition->value); free(condition); }
void psys_condition_wait(psys_condition *condition, psys_mutex *mutex) {
    pthread_cond_wait(&condition->value, &mutex->value);
}
int32_t psys_condition_wait_until(psys_condition *condition, psys_mutex *mutex, int64_t deadline_ns) {
    if (deadline_ns < 0) deadline_ns = 0;
    struct timespec time = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    return pthread_cond_timedwait(&condition->value, &mutex->value, &time) != ETIMEDOUT;
}
void psys_condition_signal(psys_condition *condition) { pthread_cond_signal(&condition->value); }
void psys_condition_broadcast(psys_condition *condition) { pthread_cond_broadcast(&condition->value); }

/* ---- Threads ---- */

typedef struct { psys_thread_body body; void *context; char name[16]; } start;

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
    if (status != 0) { free(given); return -status; }
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
    if (status != 0) { free(given); return -status; }
    *thread = (uint64_t)made;
    return 0;
}
int32_t psys_thread_join(uint64_t thread) { return -pthread_join((pthread_t)thread, NULL); }
int32_t psys_thread_detach(uint64_t thread) { return -pthread_detach((pthread_t)thread); }
uint64_t psys_thread_self(void) { return (uint64_t)pthread_self(); }
void psys_thread_yield(void) { sched_yield(); }

/* ---- Fork ---- */

static volatile uint32_t generation;
static void in_child(void) { generation = generation + 1; }
/* When the library is loaded: a fork before the first call counts as well. */
__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, in_child); }
uint32_t psys_fork_generation(void) { return generation; }
