/* SPDX-License-Identifier: Apache-2.0
 *
 * A file in memory: opened, locked, reserved, mapped. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"
#include "old_libc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void describe(const struct stat *status, psys_file *file) {
    file->device = (uint64_t)status->st_dev;
    file->inode = (uint64_t)status->st_ino;
    file->size = (int64_t)status->st_size;
    file->is_regular = S_ISREG(status->st_mode) ? 1 : 0;
}

int32_t psys_file_look(const char *path, psys_file *file) {
    struct stat status;
    if (look_at(path, &status, 0) != 0) return -errno;
    describe(&status, file);
    return 0;
}

int32_t psys_file_open(const char *path, psys_file *file, int32_t *created) {
    /* Without O_NONBLOCK the opening of a pipe could wait for its other end. */
    int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    *created = 1;
    int descriptor = open(path, flags | O_CREAT | O_EXCL, 0600);
    if (descriptor < 0 && errno == EEXIST) {
        *created = 0;
        /* O_EXCL takes a link that leads nowhere for a file, and open(2) without it does not. */
        descriptor = open(path, flags | O_CREAT, 0600);
    }
    if (descriptor < 0) return -errno;
    struct stat status;
    if (look_at_open(descriptor, &status) != 0) {
        int32_t error = -errno;
        close(descriptor);
        return error;
    }
    describe(&status, file);
    return descriptor;
}

int32_t psys_file_lock(int32_t descriptor) {
    for (int tries = 0; tries < 3; tries++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fcntl(descriptor, F_SETLK, &lock) == 0) return 0;
        if (errno != EACCES && errno != EAGAIN) return -errno;
        if (fcntl(descriptor, F_GETLK, &lock) != 0) return -errno;
        /* It may have been given back between the two calls. */
        if (lock.l_type != F_UNLCK) return lock.l_pid > 0 ? (int32_t)lock.l_pid : -EAGAIN;
    }
    return -EAGAIN;
}

int32_t psys_file_reserve(int32_t descriptor, int64_t size) {
    /* Beyond the limit the kernel sends a signal that ends the process. */
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && (uint64_t)size > limit.rlim_cur)
        return -EFBIG;
    int error;
    do error = posix_fallocate(descriptor, 0, (off_t)size);
    while (error == EINTR);
    return -error;
}

int64_t psys_file_read(int32_t descriptor, void *bytes, size_t count, int64_t offset) {
    ssize_t done;
    do done = pread(descriptor, bytes, count, (off_t)offset);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

int32_t psys_file_write(int32_t descriptor, const void *bytes, size_t count, int64_t offset) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (uint64_t)offset + count > limit.rlim_cur)
        return -EFBIG;
    while (count > 0) {
        ssize_t done = pwrite(descriptor, bytes, count, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return done < 0 ? -errno : -EIO;
        bytes = (const char *)bytes + done;
        count -= (size_t)done;
        offset += done;
    }
    return 0;
}

void psys_file_remove(const char *path) { unlink(path); }
int32_t psys_file_empty(int32_t descriptor) { return ftruncate(descriptor, 0) == 0 ? 0 : -errno; }

void *psys_map(int32_t descriptor, size_t size, int32_t *error) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) {
        *error = errno;
        return NULL;
    }
    /* What a child does by mistake must not reach the file. */
    madvise(memory, size, MADV_DONTFORK);
    return memory;
}

void psys_unmap(void *memory, size_t size) { munmap(memory, size); }

int64_t psys_realtime_coarse_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
