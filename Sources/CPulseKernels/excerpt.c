/* SPDX-License-Identifier: Apache-2.0 */
#include "CPulseKernels.h"

#include <string.h>

/* How many bytes the character at `p` has, of `left`; 0 if it is none. Overlong forms and surrogates are let pass. */
static size_t character(const uint8_t *p, size_t left) {
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (size > left) return 0;
    for (size_t i = 1; i < size; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return size;
}

/* A blank, a control character, or one that breaks lines or changes the direction of writing. */
static int steers(const uint8_t *p) {
    if (p[0] < 0x80) return p[0] <= 0x20 || p[0] == 0x7F;
    if (p[0] == 0xC2) return p[1] < 0xA0;
    if (p[0] != 0xE2) return 0;
    uint8_t last = p[2] & 0x3F;
    return p[1] == 0x80 ? (last >= 0x0E && last <= 0x0F) || (last >= 0x28 && last <= 0x2E)
                        : p[1] == 0x81 && last >= 0x26 && last <= 0x29;
}

__attribute__((cold)) size_t pulse_excerpt(const uint8_t *text, size_t count, uint8_t *out, size_t size) {
    size_t used = 0, wrong = 0, at = 0;
    while (at < count) {
        size_t length = character(text + at, count - at);
        int is_blank = length == 0 || steers(text + at);
        if (used + (is_blank ? 1 : length) + 3 > size) break;
        if (length == 0 || text[at] == 0) wrong++;
        if (!is_blank) {
            if (used == 0 && text[at] == '<') return 0;
            memcpy(out + used, text + at, length);
            used += length;
        } else if (used > 0 && out[used - 1] != ' ') {
            out[used++] = ' ';
        }
        at += length ? length : 1;
    }
    if (wrong > at / 4) return 0;
    if (used > 0 && out[used - 1] == ' ') used--;
    if (at < count) {
        memcpy(out + used, "...", 3);
        used += 3;
    }
    return used;
}

static int is_word(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') || byte == '-' ||
           byte == '_' || byte == '.';
}

/* Of a JSON member, at whose end `at` is. */
static int is_name(const uint8_t *text, size_t count, size_t at) {
    if (at >= count || text[at++] != '"') return 0;
    while (at < count && text[at] == ' ') at++;
    return at < count && text[at] == ':';
}

__attribute__((cold)) int32_t pulse_repeats(const void *text, size_t count, const uint8_t *sent, size_t sent_count,
                                            const void *shown, size_t shown_count) {
    enum { SHORTEST = 8 };
    size_t start = 0;
    for (size_t end = 0; end <= sent_count; end++) {
        if (end < sent_count && is_word(sent[end])) continue;
        if (end - start >= SHORTEST && !is_name(sent, sent_count, end) &&
            pulse_contains(text, count, sent + start, end - start) &&
            !pulse_contains(shown, shown_count, sent + start, end - start))
            return 1;
        start = end + 1;
    }
    return 0;
}
