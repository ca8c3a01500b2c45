/* SPDX-License-Identifier: Apache-2.0
 *
 * Masking. A length that is no multiple of the vector ends with one vector that overlaps the one before. It is loaded
 * before anything is stored, so that the overlap holds source bytes also when the bytes are masked in place.
 */
#include "variants.h"

static uint64_t doubled(uint32_t key) { return (uint64_t)key << 32 | key; }

/* Up to 15 bytes. */
static inline void mask_few(uint8_t *target, const uint8_t *source, size_t count, uint32_t key) {
    if (count >= 8) {
        uint64_t head = pulse_load64(source), tail = pulse_load64(source + count - 8);
        pulse_store64(target, head ^ doubled(key));
        pulse_store64(target + count - 8, tail ^ doubled(pulse_mask_rotate(key, count)));
    } else if (count >= 4) {
        uint32_t head = pulse_load32(source), tail = pulse_load32(source + count - 4);
        pulse_store32(target, head ^ key);
        pulse_store32(target + count - 4, tail ^ pulse_mask_rotate(key, count));
    } else {
        uint8_t bytes[4];
        memcpy(bytes, &key, 4);
        for (size_t i = 0; i < count; i++) target[i] = source[i] ^ bytes[i];
    }
}

static void mask_portable(uint8_t *target, const uint8_t *source, size_t count, uint32_t key) {
    if (count < 16) {
        mask_few(target, source, count, key);
        return;
    }
    uint64_t tail = pulse_load64(source + count - 8), wide = doubled(key);
    for (size_t i = 0; i + 8 <= count; i += 8) pulse_store64(target + i, pulse_load64(source + i) ^ wide);
    pulse_store64(target + count - 8, tail ^ doubled(pulse_mask_rotate(key, count)));
}

#if PULSE_X86
static void mask_sse2(uint8_t *target, const uint8_t *source, size_t count, uint32_t key) {
    if (count < 16) {
        mask_few(target, source, count, key);
        return;
    }
    __m128i wide = _mm_set1_epi32((int)key);
    __m128i last = _mm_set1_epi32((int)pulse_mask_rotate(key, count));
    __m128i tail = _mm_loadu_si128((const __m128i *)(source + count - 16));
    for (size_t i = 0; i + 16 <= count; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(source + i));
        _mm_storeu_si128((__m128i *)(target + i), _mm_xor_si128(v, wide));
    }
    _mm_storeu_si128((__m128i *)(target + count - 16), _mm_xor_si128(tail, last));
}

PULSE_TARGET_AVX2 static void mask_avx2(uint8_t *target, const uint8_t *source, size_t count, uint32_t key) {
    if (count < 16) {
        mask_few(target, source, count, key);
        return;
    }
    if (count < 32) {
        __m128i head = _mm_loadu_si128((const __m128i *)source);
        __m128i tail = _mm_loadu_si128((const __m128i *)(source + count - 16));
        _mm_storeu_si128((__m128i *)target, _mm_xor_si128(head, _mm_set1_epi32((int)key)));
        _mm_storeu_si128((__m128i *)(target + count - 16),
                         _mm_xor_si128(tail, _mm_set1_epi32((int)pulse_mask_rotate(key, count))));
        return;
    }
    __m256i wide = _mm256_set1_epi32((int)key);
    __m256i last = _mm256_set1_epi32((int)pulse_mask_rotate(key, count));
    __m256i tail = _mm256_loadu_si256((const __m256i *)(source + count - 32));
    for (size_t i = 0; i + 32 <= count; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(source + i));
        _mm256_storeu_si256((__m256i *)(target + i), _mm256_xor_si256(v, wide));
    }
    _mm256_storeu_si256((__m256i *)(target + count - 32), _mm256_xor_si256(tail, last));
}

PULSE_TARGET_AVX512 static void mask_avx512(uint8_t *target, const uint8_t *source, size_t count, uint32_t key) {
    __m512i wide = _mm512_set1_epi32((int)key);
    while (count >= 64) {
        _mm512_storeu_si512(target, _mm512_xor_si512(_mm512_loadu_si512(source), wide));
        source += 64, target += 64, count -= 64;
    }
    if (count == 0) return;
    __mmask64 lanes = pulse_lanes(count);
    _mm512_mask_storeu_epi8(target, lanes, _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes, source), wide));
}
#endif

static pulse_mask_function mask_variant(int variant) {
#if PULSE_X86
    int best = pulse_kernel_best();
    switch (variant < best ? variant : best) {
    case PULSE_KERNEL_AVX512: return mask_avx512;
    case PULSE_KERNEL_AVX2: return mask_avx2;
    case PULSE_KERNEL_SSE2: return mask_sse2;
    }
#endif
    (void)variant;
    return mask_portable;
}

/* Several threads may come here at once; they all store the same pointer. */
static void mask_first(uint8_t *target, const uint8_t *source, size_t count, uint32_t key) {
    pulse_mask_function chosen = mask_variant(PULSE_KERNEL_AVX512);
    __atomic_store_n(&pulse_mask_chosen, chosen, __ATOMIC_RELAXED);
    chosen(target, source, count, key);
}

pulse_mask_function pulse_mask_chosen = mask_first;

void pulse_mask_with(int variant, void *target, const void *source, size_t count, uint32_t key) {
    mask_variant(variant)((uint8_t *)target, (const uint8_t *)source, count, key);
}

#if PULSE_X86
/* The registers that the operating system saves, as bits of XCR0: 2 SSE, 4 AVX, 0xE0 AVX-512. */
static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

/* Not __builtin_cpu_supports, which brings five kilobytes of code for every processor there is. */
int pulse_kernel_best(void) {
#if PULSE_X86
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_BMI2;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return PULSE_KERNEL_SSE2;
    uint32_t saved = saved_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (saved & 0x06) != 0x06) return PULSE_KERNEL_SSE2;
    if ((b & avx512) == avx512 && (saved & 0xE6) == 0xE6) return PULSE_KERNEL_AVX512;
    return b & bit_AVX2 ? PULSE_KERNEL_AVX2 : PULSE_KERNEL_SSE2;
#else
    return PULSE_KERNEL_PORTABLE;
#endif
}
