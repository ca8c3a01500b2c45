/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

uint8_t *buffer_reserve(buffer *b, size_t count) {
    if (b->start == b->end) b->start = b->end = 0;
    if (b->room - b->end < count) {
        if (b->start) {
            memmove(b->bytes, b->bytes + b->start, buffer_count(b));
            b->end -= b->start;
            b->start = 0;
        }
        if (b->room - b->end < count) {
            size_t wanted = b->end + count;
            size_t room = b->room * 2 > wanted ? b->room * 2 : wanted;
            uint8_t *bytes = realloc(b->bytes, room);
            if (!bytes) {
                perror("load server");
                exit(1);
            }
            b->bytes = bytes;
            b->room = room;
        }
    }
    return b->bytes + b->end;
}

void buffer_append(buffer *b, const void *bytes, size_t count) {
    memcpy(buffer_reserve(b, count), bytes, count);
    b->end += count;
}

void buffer_consume(buffer *b, size_t count) {
    b->start += count;
    if (b->start == b->end) b->start = b->end = 0;
}

void buffer_release(buffer *b) {
    free(b->bytes);
    memset(b, 0, sizeof *b);
}

static long tls_result(connection *c, int result) {
    if (result > 0) return result;
    int error = SSL_get_error(c->tls, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? IO_AGAIN : IO_END;
}

static long socket_result(ssize_t result) {
    if (result > 0) return result;
    return result < 0 && (errno == EAGAIN || errno == EINTR) ? IO_AGAIN : IO_END;
}

long connection_read(connection *c, void *into, size_t room) {
    if (!c->tls) return socket_result(recv(c->fd, into, room, 0));
    ERR_clear_error();
    return tls_result(c, SSL_read(c->tls, into, (int)room));
}

long connection_write(connection *c, const void *bytes, size_t count) {
    if (!c->tls) return socket_result(send(c->fd, bytes, count, MSG_NOSIGNAL));
    ERR_clear_error();
    return tls_result(c, SSL_write(c->tls, bytes, (int)count));
}
