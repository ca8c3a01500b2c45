/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 (RFC 3629 §4): bytes 00-7F; C2-DF, E0-EF, F0-F4 each followed by one, two, three bytes 80-BF, where the second
 * byte is at least A0 after E0, at most 9F after ED, at least 90 after F0 and at most 8F after F4.
 *
 * The vector variants judge every pair of neighbours (previous, current) at once. A rule that a pair can break has one
 * bit. Three tables say which rules can be broken by a previous byte with this high half, by one with this low half,
 * and by a current byte with this high half; a rule is broken if all three agree. What a pair cannot show is whether
 * a second or third continuation byte is due; that follows from the bytes two and three places back.
 */
#include "variants.h"

/* ---- One byte at a time ----------------------------------------------------------------------------------------- */

static inline bool take(pulse_utf8_state *state, uint8_t byte) {
    if (state->remaining != 0) {
        if (byte < state->lowest || byte > state->highest) return false;
        state->remaining--;
        state->lowest = 0x80;
        state->highest = 0xBF;
        return true;
    }
    if (byte < 0x80) return true;
    state->beyond_ascii = 1;
    if (byte < 0xC2 || byte > 0xF4) return false;
    state->remaining = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    state->lowest = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
    state->highest = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    return true;
}

/* What a text of `count` bytes ends with before a sequence that its end cuts off. */
static inline size_t whole_sequences(const uint8_t *bytes, size_t count) {
    for (size_t back = 1; back <= 3 && back <= count; back++) {
        uint8_t byte = bytes[count - back];
        if (byte < 0x80) return count;
        if (byte < 0xC0) continue;
        size_t length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
        return length > back ? count - back : count;
    }
    return count;
}

bool pulse_utf8_feed(pulse_utf8_state *state, const void *memory, size_t count) {
    const uint8_t *bytes = (const uint8_t *)memory, *end = bytes + count;
    while (state->remaining != 0) {
        if (bytes == end) return true;
        if (!take(state, *bytes++)) return false;
    }
    if (bytes == end) return true;
    const uint8_t *cut = bytes + whole_sequences(bytes, (size_t)(end - bytes));
    int verdict = pulse_utf8_check(bytes, (size_t)(cut - bytes));
    if (verdict == 0) return false;
    if (!(verdict & PULSE_UTF8_ASCII)) state->beyond_ascii = 1;
    while (cut != end)
        if (!take(state, *cut++)) return false;
    return true;
}

static int check_portable(const uint8_t *bytes, size_t count) {
    pulse_utf8_state state = {0, 0, 0, 0};
    size_t i = 0;
    while (i < count) {
        if (state.remaining == 0) {
            while (count - i >= 8 && (pulse_load64(bytes + i) & 0x8080808080808080ULL) == 0) i += 8;
            if (i == count) break;
        }
        if (!take(&state, bytes[i++])) return 0;
    }
    if (state.remaining != 0) return 0;
    return state.beyond_ascii ? PULSE_UTF8_VALID : PULSE_UTF8_VALID | PULSE_UTF8_ASCII;
}

#if PULSE_X86

enum { VALID_ASCII = PULSE_UTF8_VALID | PULSE_UTF8_ASCII };

/* Up to 15 bytes. */
static inline bool ascii_few(const uint8_t *bytes, size_t count) {
    if (count >= 8) return ((pulse_load64(bytes) | pulse_load64(bytes + count - 8)) & 0x8080808080808080ULL) == 0;
    if (count >= 4) return ((pulse_load32(bytes) | pulse_load32(bytes + count - 4)) & 0x80808080U) == 0;
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++) all |= bytes[i];
    return all < 0x80;
}

static inline bool ascii_half(const uint8_t *bytes, size_t count) {   /* 16 to 31 bytes */
    __m128i head = _mm_loadu_si128((const __m128i *)bytes);
    __m128i tail = _mm_loadu_si128((const __m128i *)(bytes + count - 16));
    return _mm_movemask_epi8(_mm_or_si128(head, tail)) == 0;
}

/* ---- SSE2: skips ASCII; it lacks the table look-up of the wider sets ---------------------------------------------- */

static int check_sse2(const uint8_t *bytes, size_t count) {
    if (count < 16) return ascii_few(bytes, count) ? VALID_ASCII : check_portable(bytes, count);
    size_t i = 0;
    for (; i + 16 <= count; i += 16)
        if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(bytes + i))) != 0)
            return check_portable(bytes + i, count - i) ? PULSE_UTF8_VALID : 0;
    if (_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(bytes + count - 16))) == 0) return VALID_ASCII;
    return check_portable(bytes + i, count - i) ? PULSE_UTF8_VALID : 0;
}

/* ---- The tables of the vector variants --------------------------------------------------------------------------- */

enum {
    NOT_CONTINUED = 0x01,    /* a lead byte, then no continuation byte */
    NOT_EXPECTED = 0x02,     /* ASCII, then a continuation byte */
    LONG_3 = 0x04,           /* E0 80-9F */
    TOO_HIGH = 0x08,         /* F4-FF, then 90-BF */
    SURROGATE = 0x10,        /* ED A0-BF */
    LONG_2 = 0x20,           /* C0-C1, then 80-BF */
    LONG_4_OR_HIGH = 0x40,   /* F0 or F5-FF, then 80-8F */
    TWO_IN_A_ROW = 0x80,     /* two continuation bytes: an error unless the bytes before them ask for it */
    ANY_LOW = NOT_CONTINUED | NOT_EXPECTED | TWO_IN_A_ROW,
    HIGH_LOW = ANY_LOW | TOO_HIGH | LONG_4_OR_HIGH,
    CONTINUATION = NOT_EXPECTED | LONG_2 | TWO_IN_A_ROW
};

#define TABLE(...) _mm_setr_epi8(__VA_ARGS__)
#define B(x) ((char)(x))
#define PREVIOUS_HIGH                                                                                                  \
    TABLE(B(NOT_EXPECTED), B(NOT_EXPECTED), B(NOT_EXPECTED), B(NOT_EXPECTED), B(NOT_EXPECTED), B(NOT_EXPECTED),        \
          B(NOT_EXPECTED), B(NOT_EXPECTED), B(TWO_IN_A_ROW), B(TWO_IN_A_ROW), B(TWO_IN_A_ROW), B(TWO_IN_A_ROW),        \
          B(NOT_CONTINUED | LONG_2), B(NOT_CONTINUED), B(NOT_CONTINUED | LONG_3 | SURROGATE),                          \
          B(NOT_CONTINUED | TOO_HIGH | LONG_4_OR_HIGH))
#define PREVIOUS_LOW                                                                                                   \
    TABLE(B(ANY_LOW | LONG_3 | LONG_2 | LONG_4_OR_HIGH), B(ANY_LOW | LONG_2), B(ANY_LOW), B(ANY_LOW),                  \
          B(ANY_LOW | TOO_HIGH), B(HIGH_LOW), B(HIGH_LOW), B(HIGH_LOW), B(HIGH_LOW), B(HIGH_LOW), B(HIGH_LOW),         \
          B(HIGH_LOW), B(HIGH_LOW), B(HIGH_LOW | SURROGATE), B(HIGH_LOW), B(HIGH_LOW))
#define CURRENT_HIGH                                                                                                   \
    TABLE(B(NOT_CONTINUED), B(NOT_CONTINUED), B(NOT_CONTINUED), B(NOT_CONTINUED), B(NOT_CONTINUED), B(NOT_CONTINUED),  \
          B(NOT_CONTINUED), B(NOT_CONTINUED), B(CONTINUATION | LONG_3 | LONG_4_OR_HIGH),                               \
          B(CONTINUATION | LONG_3 | TOO_HIGH), B(CONTINUATION | SURROGATE | TOO_HIGH),                                 \
          B(CONTINUATION | SURROGATE | TOO_HIGH), B(NOT_CONTINUED), B(NOT_CONTINUED), B(NOT_CONTINUED),                \
          B(NOT_CONTINUED))

/* Whether the last bytes begin a sequence that the end cuts off. */
static inline bool ends_open(const uint8_t *bytes, size_t count) {
    return (count >= 1 && bytes[count - 1] >= 0xC0) || (count >= 2 && bytes[count - 2] >= 0xE0) ||
           (count >= 3 && bytes[count - 3] >= 0xF0);
}

/* ---- AVX2 -------------------------------------------------------------------------------------------------------- */

/* The bytes of `current` moved up by `places`, with the last ones of `before` in front. */
#define SHIFTED_IN_256(current, before, places)                                                                        \
    _mm256_alignr_epi8(current, _mm256_permute2x128_si256(before, current, 0x21), 16 - (places))

PULSE_TARGET_AVX2 static inline __m256i errors_avx2(__m256i current, __m256i before) {
    const __m256i half = _mm256_set1_epi8(0x0F);
    __m256i previous = SHIFTED_IN_256(current, before, 1);
    __m256i broken = _mm256_and_si256(
        _mm256_and_si256(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(PREVIOUS_HIGH),
                                             _mm256_and_si256(_mm256_srli_epi16(previous, 4), half)),
                         _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(PREVIOUS_LOW),
                                             _mm256_and_si256(previous, half))),
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(CURRENT_HIGH),
                            _mm256_and_si256(_mm256_srli_epi16(current, 4), half)));
    /* The subtraction leaves the top bit set for E0 and above, or F0 and above. */
    __m256i third = _mm256_subs_epu8(SHIFTED_IN_256(current, before, 2), _mm256_set1_epi8(0xE0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(SHIFTED_IN_256(current, before, 3), _mm256_set1_epi8(0xF0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)TWO_IN_A_ROW));
    return _mm256_xor_si256(broken, due);
}

/* From a place where no sequence is open. */
PULSE_TARGET_AVX2 static __attribute__((noinline)) int sequences_avx2(const uint8_t *bytes, size_t count) {
    __m256i before = _mm256_setzero_si256(), errors = before;
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i current = _mm256_loadu_si256((const __m256i *)(bytes + i));
        errors = _mm256_or_si256(errors, errors_avx2(current, before));
        before = current;
    }
    if (i < count) {
        uint8_t last[32] = {0};
        memcpy(last, bytes + i, count - i);
        errors = _mm256_or_si256(errors, errors_avx2(_mm256_loadu_si256((const __m256i *)last), before));
    }
    return _mm256_testz_si256(errors, errors) && !ends_open(bytes, count) ? PULSE_UTF8_VALID : 0;
}

PULSE_TARGET_AVX2 static int check_avx2(const uint8_t *bytes, size_t count) {
    if (count < 32) {
        bool ascii = count < 16 ? ascii_few(bytes, count) : ascii_half(bytes, count);
        return ascii ? VALID_ASCII : sequences_avx2(bytes, count);
    }
    size_t i = 0;
    for (; i + 128 <= count; i += 128) {
        const __m256i *v = (const __m256i *)(bytes + i);
        __m256i all = _mm256_or_si256(_mm256_or_si256(_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)),
                                      _mm256_or_si256(_mm256_loadu_si256(v + 2), _mm256_loadu_si256(v + 3)));
        if (_mm256_movemask_epi8(all) != 0) return sequences_avx2(bytes + i, count - i);
    }
    __m256i all = _mm256_loadu_si256((const __m256i *)(bytes + count - 32));
    for (size_t k = i; k + 32 <= count; k += 32)
        all = _mm256_or_si256(all, _mm256_loadu_si256((const __m256i *)(bytes + k)));
    if (_mm256_movemask_epi8(all) == 0) return VALID_ASCII;
    /* Bytes that the overlapping vector holds from before i are ASCII: no sequence is open at i. */
    return sequences_avx2(bytes + i, count - i);
}

/* ---- AVX-512: lanes that are not loaded make tails as cheap as whole vectors --------------------------------------- */

#define TABLE_512(table) _mm512_broadcast_i32x4(table)

PULSE_TARGET_AVX512 static inline __m512i errors_avx512(__m512i current, __m512i one, __m512i two, __m512i three) {
    const __m512i half = _mm512_set1_epi8(0x0F);
    __m512i a = _mm512_shuffle_epi8(TABLE_512(PREVIOUS_HIGH), _mm512_and_si512(_mm512_srli_epi16(one, 4), half));
    __m512i b = _mm512_shuffle_epi8(TABLE_512(PREVIOUS_LOW), _mm512_and_si512(one, half));
    __m512i c = _mm512_shuffle_epi8(TABLE_512(CURRENT_HIGH), _mm512_and_si512(_mm512_srli_epi16(current, 4), half));
    __m512i third = _mm512_subs_epu8(two, _mm512_set1_epi8((char)(0xE0 - 0x80)));
    __m512i fourth = _mm512_subs_epu8(three, _mm512_set1_epi8((char)(0xF0 - 0x80)));
    /* (third | fourth) & 0x80, then (a & b & c) ^ that. */
    __m512i due = _mm512_ternarylogic_epi64(third, fourth, _mm512_set1_epi8((char)TWO_IN_A_ROW), 0xA8);
    return _mm512_xor_si512(_mm512_ternarylogic_epi64(a, b, c, 0x80), due);
}

/* From a place where no sequence is open. The neighbours before a vector are simply loaded from one, two and three
 * bytes further down; the first vector has none, and its missing lanes are zero, which is ASCII. */
PULSE_TARGET_AVX512 static __attribute__((noinline)) int sequences_avx512(const uint8_t *bytes, size_t count) {
    __m512i errors = _mm512_setzero_si512();
    int missing = 1;
    for (size_t i = 0; i < count; i += 64, missing = 0) {
        const uint8_t *p = bytes + i;
        __mmask64 lanes = pulse_lanes(count - i < 64 ? count - i : 64);
        errors = _mm512_or_si512(errors, errors_avx512(_mm512_maskz_loadu_epi8(lanes, p),
                                                       _mm512_maskz_loadu_epi8(lanes << missing, p - 1),
                                                       _mm512_maskz_loadu_epi8(lanes << 2 * missing, p - 2),
                                                       _mm512_maskz_loadu_epi8(lanes << 3 * missing, p - 3)));
    }
    return _mm512_test_epi8_mask(errors, errors) == 0 && !ends_open(bytes, count) ? PULSE_UTF8_VALID : 0;
}

PULSE_TARGET_AVX512 static int check_avx512(const uint8_t *bytes, size_t count) {
    size_t i = 0;
    for (; i + 256 <= count; i += 256) {
        const uint8_t *p = bytes + i;
        __m512i all = _mm512_or_si512(_mm512_or_si512(_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64)),
                                      _mm512_or_si512(_mm512_loadu_si512(p + 128), _mm512_loadu_si512(p + 192)));
        if (_mm512_movepi8_mask(all) != 0) return sequences_avx512(p, count - i);
    }
    __m512i all = _mm512_setzero_si512();
    size_t k = i;
    for (; k + 64 <= count; k += 64) all = _mm512_or_si512(all, _mm512_loadu_si512(bytes + k));
    if (k < count) all = _mm512_or_si512(all, _mm512_maskz_loadu_epi8(pulse_lanes(count - k), bytes + k));
    return _mm512_movepi8_mask(all) == 0 ? VALID_ASCII : sequences_avx512(bytes + i, count - i);
}
#endif

/* ---- Choice ------------------------------------------------------------------------------------------------------ */

static pulse_utf8_function check_variant(int variant) {
#if PULSE_X86
    int best = pulse_kernel_best();
    switch (variant < best ? variant : best) {
    case PULSE_KERNEL_AVX512: return check_avx512;
    case PULSE_KERNEL_AVX2: return check_avx2;
    case PULSE_KERNEL_SSE2: return check_sse2;
    }
#endif
    (void)variant;
    return check_portable;
}

/* Several threads may come here at once; they all store the same pointer. */
static int check_first(const uint8_t *bytes, size_t count) {
    pulse_utf8_function chosen = check_variant(PULSE_KERNEL_AVX512);
    __atomic_store_n(&pulse_utf8_chosen, chosen, __ATOMIC_RELAXED);
    return chosen(bytes, count);
}

pulse_utf8_function pulse_utf8_chosen = check_first;

int pulse_utf8_check_with(int variant, const void *bytes, size_t count) {
    return check_variant(variant)((const uint8_t *)bytes, count);
}
