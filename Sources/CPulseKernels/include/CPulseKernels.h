/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loops of the wire: masking (RFC 6455 §5.3), UTF-8 validation (RFC 3629), checksums, and raw memory.
 *
 * Every kernel takes pointer and length and touches nothing outside of them. The fastest variant that the processor
 * has is chosen at the first call and kept in a plain function pointer: an ifunc would need relocations that run
 * before the library is ready, and cannot be linked statically everywhere.
 */
#ifndef CPULSEKERNELS_H
#define CPULSEKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- Variants --------------------------------------------------------------------------------------------------- */

enum {
    PULSE_KERNEL_PORTABLE = 0,
    PULSE_KERNEL_SSE2 = 1,
    PULSE_KERNEL_AVX2 = 2,
    PULSE_KERNEL_AVX512 = 3      /* F, BW and VL */
};

/* The best variant that this processor has. */
int pulse_kernel_best(void);

/* ---- Masking ---------------------------------------------------------------------------------------------------- */

typedef void (*pulse_mask_function)(uint8_t *target, const uint8_t *source, size_t count, uint32_t key);
extern pulse_mask_function pulse_mask_chosen;

/* target[i] = source[i] ^ key byte (i mod 4), where the key's bytes are those of `key` in memory order. `target` is
 * `source` itself, or does not overlap it. */
static inline void pulse_mask(void *target, const void *source, size_t count, uint32_t key) {
    __atomic_load_n(&pulse_mask_chosen, __ATOMIC_RELAXED)((uint8_t *)target, (const uint8_t *)source, count, key);
}

/* The key for a part that begins `phase` bytes after the start of the payload. */
static inline uint32_t pulse_mask_rotate(uint32_t key, size_t phase) {
    unsigned bits = (unsigned)(phase & 3) * 8;
    if (bits == 0) return key;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return key << bits | key >> (32 - bits);
#else
    return key >> bits | key << (32 - bits);
#endif
}

/* One variant by name, for tests; one that the processor lacks falls back to the best it has below. */
void pulse_mask_with(int variant, void *target, const void *source, size_t count, uint32_t key);

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------ */

/* A verdict is 0 for bytes that are not UTF-8, else PULSE_UTF8_VALID, with PULSE_UTF8_ASCII if all are below 0x80. */
enum { PULSE_UTF8_VALID = 1, PULSE_UTF8_ASCII = 2 };

typedef int (*pulse_utf8_function)(const uint8_t *bytes, size_t count);
extern pulse_utf8_function pulse_utf8_chosen;

/* The verdict on a whole text: a sequence that the end cuts off is an error. */
static inline int pulse_utf8_check(const void *bytes, size_t count) {
    return __atomic_load_n(&pulse_utf8_chosen, __ATOMIC_RELAXED)((const uint8_t *)bytes, count);
}

int pulse_utf8_check_with(int variant, const void *bytes, size_t count);

/* A text that comes in parts. All zero at the start. */
typedef struct {
    uint8_t remaining;           /* continuation bytes that the open sequence still needs */
    uint8_t lowest, highest;     /* what the next of them may be */
    uint8_t beyond_ascii;        /* a byte from 0x80 on was seen */
} pulse_utf8_state;

/* Takes the next part. False at the first byte that no valid text can have at its place. */
bool pulse_utf8_feed(pulse_utf8_state *state, const void *bytes, size_t count);

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* Ends the process with a line on standard error: for memory whose size nobody outside has chosen. */
_Noreturn void pulse_out_of_memory(void);
/* NULL when there is none: Swift's own allocation would end the process. */
static inline void *pulse_memory_resize(void *memory, size_t count) { return realloc(memory, count); }
/* Whether so much could be had now, for what Swift is to allocate. Not inline: where the compiler puts a C function into
 * a module of Swift it gives unwind tables to all functions there. */
bool pulse_memory_fits(size_t count);
static inline void pulse_memory_free(void *memory) { free(memory); }
static inline void pulse_memory_copy(void *target, const void *source, size_t count) {
    if (count != 0) memcpy(target, source, count);
}
static inline void pulse_memory_move(void *target, const void *source, size_t count) {
    if (count != 0) memmove(target, source, count);
}

/* ---- Checksums and shared memory -------------------------------------------------------------------------------- */

typedef uint32_t (*pulse_crc32c_function)(uint32_t crc, const uint8_t *bytes, size_t count);
extern pulse_crc32c_function pulse_crc32c_chosen;

/* CRC-32C as iSCSI has it (RFC 3720 §12.1): 0 to begin with, then the result for the part before. */
static inline uint32_t pulse_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return ~__atomic_load_n(&pulse_crc32c_chosen, __ATOMIC_RELAXED)(~crc, (const uint8_t *)bytes, count);
}

/* PULSE_KERNEL_PORTABLE, or any other variant for the processor's instruction, if it has one. */
uint32_t pulse_crc32c_with(int variant, uint32_t crc, const void *bytes, size_t count);

/* A little-endian word of a file that is mapped. All stores before this one are made before it. */
static inline void pulse_publish64(void *address, uint64_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    __atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
    /* Nor does the compiler move a later store to before it. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* ---- Search ----------------------------------------------------------------------------------------------------- */

/* 1 if `part` is somewhere in `bytes`. NULL goes with a count of 0. */
int32_t pulse_contains(const void *bytes, size_t count, const void *part, size_t part_count);
int32_t pulse_contains_byte(const void *bytes, size_t count, uint8_t byte);

/* The start of `text` on one line, in `out`, of `size` bytes, 4 at least: for blanks, control characters, what is not UTF-8
 * and what breaks lines or turns the direction of writing one blank; "..." where it is cut. Returns how much it is: nothing of
 * what looks like markup or is no text. */
size_t pulse_excerpt(const uint8_t *text, size_t count, uint8_t *out, size_t size);
/* 1 if `text` has a word of 8 bytes or more that is in `sent`, there no name of a JSON member, and not in `shown`. */
int32_t pulse_repeats(const void *text, size_t count, const uint8_t *sent, size_t sent_count, const void *shown,
                      size_t shown_count);

#endif
