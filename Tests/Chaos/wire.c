/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void add_bytes(struct bytes *b, const void *data, size_t length) {
    if (b->end + length > b->room) {
        if (b->start > 0) {
            memmove(b->data, b->data + b->start, b->end - b->start);
            b->end -= b->start;
            b->start = 0;
        }
        if (b->end + length > b->room) {
            b->room = (b->end + length) * 2;
            b->data = realloc(b->data, b->room);
            if (!b->data) abort();
        }
    }
    if (length > 0) memcpy(b->data + b->end, data, length);
    b->end += length;
}

void free_bytes(struct bytes *b) {
    free(b->data);
    memset(b, 0, sizeof *b);
}

int request_path(const char *request, char *path, size_t size) {
    char format[32];
    snprintf(format, sizeof format, "GET %%%zus HTTP/1.1", size - 1);
    return sscanf(request, format, path) == 1;
}

int request_header(const char *request, const char *name, char *value, size_t size) {
    size_t length = strlen(name);
    for (const char *line = strstr(request, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':') continue;
        line += length + 1;
        while (*line == ' ') line++;
        size_t count = strcspn(line, "\r\n");
        snprintf(value, size, "%.*s", (int)count, line);
        return 1;
    }
    return 0;
}

void accept_upgrade(struct wire *w, const char *request, struct bytes *out) {
    char key[128] = "", offer[256] = "", joined[200], accept[64], answer[512];
    unsigned char hash[SHA_DIGEST_LENGTH];
    request_header(request, "Sec-WebSocket-Key", key, sizeof key);
    snprintf(joined, sizeof joined, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    SHA1((unsigned char *)joined, strlen(joined), hash);
    EVP_EncodeBlock((unsigned char *)accept, hash, sizeof hash);
    w->deflates = request_header(request, "Sec-WebSocket-Extensions", offer, sizeof offer) &&
                  strstr(offer, "permessage-deflate") != NULL;
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n%s\r\n",
                          accept, w->deflates ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    add_bytes(out, answer, (size_t)length);
    if (!w->deflates) return;
    if (inflateInit2(&w->in, -15) != Z_OK || deflateInit2(&w->out, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    w->has_streams = 1;
}

/* RFC 7692 §7.2.1: without the last four bytes. */
static size_t deflate_message(struct wire *w, const void *payload, size_t length, unsigned char **result) {
    size_t room = deflateBound(&w->out, length) + 64;
    *result = malloc(room);
    w->out.next_in = (unsigned char *)payload;
    w->out.avail_in = (unsigned)length;
    w->out.next_out = *result;
    w->out.avail_out = (unsigned)room;
    if (deflate(&w->out, Z_SYNC_FLUSH) != Z_OK) abort();
    return room - w->out.avail_out - 4;
}

void add_frame(struct wire *w, int opcode, const void *payload, size_t length, struct bytes *out) {
    unsigned char head[10], *packed = NULL;
    size_t size = 2;
    head[0] = (unsigned char)(0x80 | opcode);
    if (w->deflates && opcode < 8 && length >= 64) {
        length = deflate_message(w, payload, length, &packed);
        payload = packed;
        head[0] |= 0x40;
    }
    if (length < 126) {
        head[1] = (unsigned char)length;
    } else if (length < 65536) {
        head[1] = 126, head[2] = (unsigned char)(length >> 8), head[3] = (unsigned char)length;
        size = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++) head[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
        size = 10;
    }
    add_bytes(out, head, size);
    add_bytes(out, payload, length);
    free(packed);
}

static int inflate_message(struct wire *w, unsigned char *data, size_t length, struct bytes *result) {
    static const unsigned char tail[4] = {0, 0, 0xFF, 0xFF};
    unsigned char chunk[16384];
    for (int part = 0; part < 2; part++) {
        w->in.next_in = part ? (unsigned char *)tail : data;
        w->in.avail_in = part ? 4 : (unsigned)length;
        do {
            w->in.next_out = chunk;
            w->in.avail_out = sizeof chunk;
            int status = inflate(&w->in, Z_SYNC_FLUSH);
            if (status != Z_OK && status != Z_BUF_ERROR) return 0;
            add_bytes(result, chunk, sizeof chunk - w->in.avail_out);
        } while (w->in.avail_out == 0 || w->in.avail_in > 0);
    }
    return 1;
}

static int broken(struct wire *w, const char *problem) {
    w->problem = problem;
    return -2;
}

int next_message(struct wire *w, struct bytes *in, unsigned char **payload, size_t *length) {
    static struct bytes inflated;
    for (;;) {
        unsigned char *p = first_byte(in);
        size_t have = count_bytes(in), size = 2;
        if (have < 2) return -1;
        int fin = p[0] >> 7, rsv1 = (p[0] >> 6) & 1, opcode = p[0] & 15;
        if (p[0] & 0x30) return broken(w, "a reserved bit is set");
        if (!(p[1] & 0x80)) return broken(w, "a frame is not masked");
        uint64_t count = p[1] & 0x7F;
        int extra = count == 126 ? 2 : count == 127 ? 8 : 0;
        if (have < size + (size_t)extra + 4) return -1;
        if (extra) {
            count = 0;
            for (int i = 0; i < extra; i++) count = count << 8 | p[2 + i];
            size += (size_t)extra;
        }
        const unsigned char *mask = p + size;
        size += 4;
        if (count > (16 << 20)) return broken(w, "a frame is too large");
        if (have < size + count) return -1;
        unsigned char *data = p + size;
        for (uint64_t i = 0; i < count; i++) data[i] ^= mask[i & 3];
        drop_bytes(in, size + count);
        if (opcode >= 8) {
            if (!fin || rsv1 || count > 125) return broken(w, "a control frame is not allowed so");
            *payload = data, *length = count;
            return opcode;
        }
        if ((opcode == 0) == (w->message_opcode == 0)) return broken(w, "a fragment is out of place");
        if (opcode) w->message_opcode = opcode, w->message_is_compressed = rsv1, w->message.start = w->message.end = 0;
        if (rsv1 && (!opcode || !w->deflates)) return broken(w, "RSV1 is out of place");
        if (!fin || opcode == 0) {
            add_bytes(&w->message, data, count);
            if (!fin) continue;
            data = first_byte(&w->message), count = count_bytes(&w->message);
        }
        opcode = w->message_opcode;
        w->message_opcode = 0;
        if (w->message_is_compressed) {
            inflated.start = inflated.end = 0;
            if (!inflate_message(w, data, count, &inflated)) return broken(w, "a message does not inflate");
            data = first_byte(&inflated), count = count_bytes(&inflated);
        }
        *payload = data, *length = count;
        return opcode;
    }
}

void end_wire(struct wire *w) {
    if (w->has_streams) inflateEnd(&w->in), deflateEnd(&w->out);
    free_bytes(&w->message);
    memset(w, 0, sizeof *w);
}
