/* SPDX-License-Identifier: Apache-2.0
 * One connection of the load server: a non-blocking socket, plain or TLS, with a buffer in each direction. */
#ifndef LOAD_CONNECTION_H
#define LOAD_CONNECTION_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

typedef struct buffer {
    uint8_t *bytes;
    size_t start, end, room;
} buffer;

uint8_t *buffer_reserve(buffer *b, size_t count);
void buffer_append(buffer *b, const void *bytes, size_t count);
void buffer_consume(buffer *b, size_t count);
void buffer_release(buffer *b);
static inline size_t buffer_count(const buffer *b) { return b->end - b->start; }

typedef enum phase { TLS_HANDSHAKE, UPGRADE, OPEN, ENDING, DEAD } phase;
typedef enum task { IDLE, FLOOD, ECHO, SINK, PACED } task;

typedef struct connection {
    struct connection *next;
    int fd;
    SSL *tls;
    phase phase;
    task task;
    uint32_t interest; /* what epoll was asked for */
    buffer input, output;

    /* flood: a block of whole frames, sent over and over */
    const uint8_t *block;
    size_t block_size;
    uint64_t left, position;

    /* sink and paced */
    uint64_t expected, seen, bytes;
    uint64_t skip; /* payload of a counted message that is still to come */
    size_t size;
    int64_t interval, due;
} connection;

enum { IO_AGAIN = 0, IO_END = -1 };

/* Bytes moved, IO_AGAIN or IO_END. */
long connection_read(connection *c, void *into, size_t room);
long connection_write(connection *c, const void *bytes, size_t count);

#endif
