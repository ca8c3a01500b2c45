/* SPDX-License-Identifier: Apache-2.0 */
/* What only the serving side needs: gathered writes, Unix sockets, a spare descriptor, files beneath a folder. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"
#include "old_libc.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof(psys_piece) == sizeof(struct iovec) &&
                   offsetof(psys_piece, count) == offsetof(struct iovec, iov_len),
               "psys_piece is struct iovec");

int64_t psys_send_pieces(int32_t descriptor, const psys_piece *pieces, size_t count) {
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    for (;;) {
        long sent = syscall(SYS_sendmsg, descriptor, &message, MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

/* ---- Unix sockets ---- */

static int32_t unix_address(const char *path, struct sockaddr_un *at) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    size_t length = strlen(path);
    if (length == 0) return -EINVAL;
    if (length >= sizeof at->sun_path) return -ENAMETOOLONG;
    memcpy(at->sun_path, path, length + 1);
    return 0;
}

/* A socket file that nobody listens on any more is what a process left that was killed. */
static int32_t remove_stale(const struct sockaddr_un *at) {
    struct stat found;
    if (look_at(at->sun_path, &found, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(found.st_mode)) return -EEXIST;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return -errno;
    int status = connect(probe, (const struct sockaddr *)at, sizeof *at) == 0 ? 0 : errno;
    close(probe);
    if (status == 0 || status == EAGAIN) return -EADDRINUSE;
    if (status != ECONNREFUSED) return -status;
    return unlink(at->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

int32_t psys_unix_listen(const char *path, int32_t backlog, uint64_t *identity) {
    struct sockaddr_un at;
    int32_t status = unix_address(path, &at);
    if (status == 0) status = remove_stale(&at);
    if (status != 0) return status;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    struct stat made;
    if (bind(descriptor, (const struct sockaddr *)&at, sizeof at) != 0 || listen(descriptor, backlog) != 0 ||
        look_at(path, &made, AT_SYMLINK_NOFOLLOW) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    *identity = (uint64_t)made.st_ino;
    return descriptor;
}

void psys_unix_remove(const char *path, uint64_t identity) {
    struct stat found;
    if (look_at(path, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(found.st_mode) &&
        (uint64_t)found.st_ino == identity)
        unlink(path);
}

int32_t psys_spare(void) {
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

static int is_stream_socket(int descriptor, int listening) {
    int type = 0, listens = 0;
    socklen_t length = sizeof type;
    if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) return 0;
    length = sizeof listens;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0) return 0;
    return listens == listening;
}

int32_t psys_is_stream_socket(int32_t descriptor) { return is_stream_socket(descriptor, 0); }

int32_t psys_set_nonblocking(int32_t descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) return -errno;
    return fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -errno;
}

int32_t psys_listener_copy(int32_t descriptor) {
    if (!is_stream_socket(descriptor, 1)) return -EINVAL;
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return -errno;
    int32_t status = psys_set_nonblocking(copy);
    if (status == 0) return copy;
    close(copy);
    return status;
}

/* ---- Files beneath a folder ---- */

int32_t psys_folder_open(const char *path) {
    int descriptor = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

/* Where the kernel has no openat2 (before 5.6): folder by folder, and no symbolic link. */
static int open_step_by_step(int folder, const char *path) {
    int at = dup(folder);
    while (at >= 0) {
        char name[256];
        const char *slash = strchr(path, '/');
        size_t length = slash ? (size_t)(slash - path) : strlen(path);
        int next = -1, error = EINVAL;
        if (length > 0 && length < sizeof name) {
            memcpy(name, path, length);
            name[length] = 0;
            if (strcmp(name, "..") != 0) {
                next = openat(at, name,
                              O_NOFOLLOW | O_CLOEXEC | (slash ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK));
                error = errno;
            }
        }
        close(at);
        if (next < 0) errno = error;
        if (next < 0 || !slash) return next;
        at = next;
        path = slash + 1;
    }
    return -1;
}

int32_t psys_file_beneath(int32_t folder, const char *path, psys_served_file *file) {
    /* struct open_how; the headers of the C library may be older. */
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, 0x08 /* BENEATH */ | 0x02 /* NO_MAGICLINKS */};
#ifdef SYS_openat2
    long descriptor = syscall(SYS_openat2, folder, path, &how, sizeof how);
#else
    long descriptor = syscall(437, folder, path, &how, sizeof how);
#endif
    if (descriptor < 0 && (errno == ENOSYS || errno == EPERM)) descriptor = open_step_by_step(folder, path);
    if (descriptor < 0) return -errno;
    struct stat found;
    if (look_at_open((int)descriptor, &found) != 0) {
        int error = errno;
        close((int)descriptor);
        return -error;
    }
    file->size = found.st_size;
    file->inode = (uint64_t)found.st_ino;
    file->seconds = found.st_mtim.tv_sec;
    file->nanoseconds = found.st_mtim.tv_nsec;
    file->kind = S_ISREG(found.st_mode) ? 1 : S_ISDIR(found.st_mode) ? 2 : 0;
    return (int32_t)descriptor;
}
