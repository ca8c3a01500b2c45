/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PULSE_VARIANTS_H
#define PULSE_VARIANTS_H

#include "CPulseKernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define PULSE_X86 1
#define PULSE_TARGET_AVX2 __attribute__((target("avx2")))
#define PULSE_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi2")))

/* The first `count` lanes of a vector of 64 bytes; count is at most 64. */
PULSE_TARGET_AVX512 static inline __mmask64 pulse_lanes(size_t count) {
    return (__mmask64)_bzhi_u64(~0ULL, (unsigned)count);
}
#endif

/* Unaligned words without undefined behaviour; each compiles to one load or store. */
static inline uint64_t pulse_load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline uint32_t pulse_load32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline void pulse_store64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }
static inline void pulse_store32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }

#endif
