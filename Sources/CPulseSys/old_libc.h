/* SPDX-License-Identifier: Apache-2.0
 *
 * What glibc gave new versions of symbols, asked for so that the shipped library loads on glibc 2.17. Private to this target. */
#ifndef OLD_LIBC_H
#define OLD_LIBC_H
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc 2.34 moved libpthread into libc; every later one has the old version still. */
#if defined(PULSEWS_EMBEDDED) && defined(__x86_64__) && defined(__GLIBC__)
__asm__(".symver pthread_sigmask,pthread_sigmask@GLIBC_2.2.5");
#endif

/* stat, fstat and lstat are symbols since glibc 2.33 only; before, each program had them inside. The kernel's struct is that
 * of libc on 64-bit systems. */
static inline int look_at(const char *path, struct stat *found, int flags) {
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, found, flags);
}

static inline int look_at_open(int descriptor, struct stat *found) {
    return (int)syscall(SYS_fstat, descriptor, found);
}

#endif
