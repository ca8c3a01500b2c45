/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's half of RFC 6455 and RFC 7692, as far as the chaos run needs it. It trusts nothing to be right: what the
 * client may not do is reported.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct bytes {
    unsigned char *data;
    size_t start, end, room;
};
void add_bytes(struct bytes *b, const void *data, size_t length);
void free_bytes(struct bytes *b);
static inline size_t count_bytes(const struct bytes *b) { return b->end - b->start; }
static inline unsigned char *first_byte(const struct bytes *b) { return b->data + b->start; }
static inline void drop_bytes(struct bytes *b, size_t count) {
    b->start += count;
    if (b->start == b->end) b->start = b->end = 0;
}

struct wire {
    int deflates;
    int has_streams;
    z_stream in, out;
    struct bytes message;        /* of fragments */
    int message_opcode, message_is_compressed;
    const char *problem;
};

/* The path and the value of a header of a request; 0 if it is not there. */
int request_path(const char *request, char *path, size_t size);
int request_header(const char *request, const char *name, char *value, size_t size);
/* The answer 101. */
void accept_upgrade(struct wire *w, const char *request, struct bytes *out);
void add_frame(struct wire *w, int opcode, const void *payload, size_t length, struct bytes *out);
/* The next message or control frame in `in`: its opcode, with its payload, which lives until the next call; -1 if there
 * is none yet, -2 if the client broke the rules (problem). */
int next_message(struct wire *w, struct bytes *in, unsigned char **payload, size_t *length);
void end_wire(struct wire *w);

#endif
