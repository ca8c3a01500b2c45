/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseSys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int32_t result(int status) { return status < 0 ? -errno : status; }

/* ---- Addresses ---- */

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

static socklen_t to_system(const psys_address *address, socket_address *out) {
    memset(out, 0, sizeof *out);
    if (address->family == 4) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(address->port);
        memcpy(&out->v4.sin_addr, &address->low, 4);
        return sizeof out->v4;
    }
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(address->port);
    out->v6.sin6_scope_id = address->scope;
    memcpy(out->v6.sin6_addr.s6_addr, &address->high, 8);
    memcpy(out->v6.sin6_addr.s6_addr + 8, &address->low, 8);
    return sizeof out->v6;
}

static int from_system(const struct sockaddr *given, psys_address *out) {
    memset(out, 0, sizeof *out);
    if (given->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)given;
        out->family = 4;
        out->port = ntohs(v4->sin_port);
        memcpy(&out->low, &v4->sin_addr, 4);
        return 1;
    }
    if (given->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)given;
        out->family = 6;
        out->port = ntohs(v6->sin6_port);
        out->scope = v6->sin6_scope_id;
        memcpy(&out->high, v6->sin6_addr.s6_addr, 8);
        memcpy(&out->low, v6->sin6_addr.s6_addr + 8, 8);
        return 1;
    }
    return 0;
}

int32_t psys_address_parse(const char *text, uint16_t port, psys_address *address) {
    unsigned char bytes[16];
    char literal[INET6_ADDRSTRLEN + 1];
    memset(address, 0, sizeof *address);
    address->port = port;
    if (inet_pton(AF_INET, text, bytes) == 1) {
        address->family = 4;
        memcpy(&address->low, bytes, 4);
        return 1;
    }
    const char *scope = strchr(text, '%');
    size_t length = scope ? (size_t)(scope - text) : strlen(text);
    if (length >= sizeof literal) return 0;
    memcpy(literal, text, length);
    literal[length] = 0;
    if (inet_pton(AF_INET6, literal, bytes) != 1) return 0;
    if (scope) {
        address->scope = if_nametoindex(scope + 1);
        if (address->scope == 0) return 0;
    }
    address->family = 6;
    memcpy(&address->high, bytes, 8);
    memcpy(&address->low, bytes + 8, 8);
    return 1;
}

void psys_address_text(const psys_address *address, char *buffer, size_t size) {
    socket_address given;
    to_system(address, &given);
    if (size == 0) return;
    buffer[0] = 0;
    if (address->family == 4) {
        inet_ntop(AF_INET, &given.v4.sin_addr, buffer, (socklen_t)size);
    } else {
        inet_ntop(AF_INET6, &given.v6.sin6_addr, buffer, (socklen_t)size);
        char name[IF_NAMESIZE];
        size_t length = strlen(buffer);
        if (address->scope && if_indextoname(address->scope, name) && length + strlen(name) + 2 <= size) {
            buffer[length] = '%';
            strcpy(buffer + length + 1, name);
        }
    }
}

int32_t psys_resolve(const char *host, uint16_t port, int32_t configured_only, psys_address *out, int32_t capacity,
                     int32_t *problem, int32_t *error) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct addrinfo *list = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    hints.ai_flags = AI_NUMERICSERV | (configured_only ? AI_ADDRCONFIG : 0);
    errno = 0;
    *problem = getaddrinfo(host, service, &hints, &list);
    *error = *problem == EAI_SYSTEM ? errno : 0;
    if (*problem != 0) return -1;
    int32_t count = 0;
    for (struct addrinfo *one = list; one && count < capacity; one = one->ai_next)
        if (one->ai_addr && from_system(one->ai_addr, &out[count])) count++;
    freeaddrinfo(list);
    return count;
}
const char *psys_resolve_text(int32_t problem) { return gai_strerror(problem); }
int32_t psys_resolve_is_no_name(int32_t problem) {
    return problem == EAI_NONAME || problem == EAI_NODATA || problem == EAI_ADDRFAMILY;
}

/* ---- Sockets ---- */

static void option(int32_t descriptor, int level, int name, int value) {
    setsockopt(descriptor, level, name, &value, sizeof value);
}

void psys_tcp_options(int32_t descriptor) {
    option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

int32_t psys_tcp_socket(uint16_t family) {
    int descriptor = socket(family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0) return -errno;
    psys_tcp_options(descriptor);
    return descriptor;
}

int32_t psys_connect(int32_t descriptor, const psys_address *address) {
    socket_address to;
    socklen_t length = to_system(address, &to);
    if (connect(descriptor, &to.any, length) == 0) return 0;
    /* Interrupted: the connect goes on in the background, as if it had been EINPROGRESS (POSIX). */
    return errno == EINTR ? -EINPROGRESS : -errno;
}

int32_t psys_socket_error(int32_t descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
    return error;
}

int32_t psys_tcp_listen(const psys_address *address, int32_t backlog, int32_t v6_only, int32_t reuse_port) {
    socket_address at;
    socklen_t length = to_system(address, &at);
    int descriptor = socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0) return -errno;
    option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (reuse_port) option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
    if (address->family == 6) option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, v6_only != 0);
    if (bind(descriptor, &at.any, length) != 0 || listen(descriptor, backlog) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

int32_t psys_accept(int32_t listener, psys_address *peer) {
    socket_address from;
    int descriptor;
    do {
        socklen_t length = sizeof from;
        descriptor = accept4(listener, &from.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0) return -errno;
    psys_tcp_options(descriptor);
    if (peer) from_system(&from.any, peer);
    return descriptor;
}

int32_t psys_local_address(int32_t descriptor, psys_address *address) {
    socket_address own;
    socklen_t length = sizeof own;
    if (getsockname(descriptor, &own.any, &length) != 0) return -errno;
    return from_system(&own.any, address) ? 0 : -EAFNOSUPPORT;
}

int32_t psys_peer_address(int32_t descriptor, psys_address *address) {
    socket_address other;
    socklen_t length = sizeof other;
    if (getpeername(descriptor, &other.any, &length) != 0) return -errno;
    return from_system(&other.any, address) ? 0 : -EAFNOSUPPORT;
}

/* Straight to the kernel. The functions of libc are cancellation points: they cost twice an atomic operation in a process
 * with threads, and pthread_cancel would end a thread in the middle of the library, with its locks held. */
int64_t psys_recv(int32_t descriptor, void *bytes, size_t count) {
    for (;;) {
        long got = syscall(SYS_recvfrom, descriptor, bytes, count, 0, NULL, NULL);
        if (got >= 0) return got;
        if (errno != EINTR) return -errno;
    }
}

int64_t psys_peek(int32_t descriptor, void *bytes, size_t count) {
    long got = syscall(SYS_recvfrom, descriptor, bytes, count, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
    return got >= 0 ? got : -errno;
}

int64_t psys_send(int32_t descriptor, const void *bytes, size_t count) {
    for (;;) {
        long sent = syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL, NULL, 0);
        if (sent >= 0) return sent;
        if (errno != EINTR) return -errno;
    }
}

/* In the kernel's struct tcp_info, at its place since Linux 4.1; the headers of the C library may be older. */
enum { BYTES_ACKED = 120 };

int64_t psys_tcp_acknowledged(int32_t descriptor, int32_t *waiting) {
    unsigned char info[256];
    socklen_t length = sizeof info;
    int64_t count = 0;
    int queued = 0;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, info, &length) == 0 && length >= BYTES_ACKED + sizeof count)
        memcpy(&count, info + BYTES_ACKED, sizeof count);
    if (waiting) *waiting = ioctl(descriptor, SIOCOUTQ, &queued) == 0 ? queued : 0;
    return count;
}

void psys_tcp_limit_unsent(int32_t descriptor) { option(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 128 << 10); }

int32_t psys_shutdown_write(int32_t descriptor) { return result(shutdown(descriptor, SHUT_WR)); }

void psys_close_reset(int32_t descriptor) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(descriptor);
}

/* Linux releases the descriptor even when close reports EINTR: calling again could close another thread's file. */
void psys_close(int32_t descriptor) { close(descriptor); }

int32_t psys_socket_pair(int32_t *first, int32_t *second) {
    int both[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both) != 0) return -errno;
    *first = both[0];
    *second = both[1];
    return 0;
}

void psys_set_buffer_sizes(int32_t descriptor, int32_t receive, int32_t send) {
    if (receive > 0) option(descriptor, SOL_SOCKET, SO_RCVBUF, receive);
    if (send > 0) option(descriptor, SOL_SOCKET, SO_SNDBUF, send);
}
