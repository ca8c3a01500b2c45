/* SPDX-License-Identifier: Apache-2.0
 *
 * CRC-32C (Castagnoli, reflected polynomial 82F63B78), which processors have an instruction for.
 */
#include "variants.h"

#if defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define PULSE_ARM_CRC 1
#define PULSE_TARGET_CRC __attribute__((target("+crc")))
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#elif PULSE_X86
#define PULSE_TARGET_CRC __attribute__((target("sse4.2")))
#endif

/* The remainders of half a byte: small rather than fast, since hardly a processor needs it. */
/* clang-format off */
static const uint32_t halves[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};
/* clang-format on */

static uint32_t crc_portable(uint32_t crc, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ halves[crc & 15];
        crc = crc >> 4 ^ halves[crc & 15];
    }
    return crc;
}

#if PULSE_X86
PULSE_TARGET_CRC static uint32_t crc_hardware(uint32_t crc, const uint8_t *bytes, size_t count) {
    uint64_t wide = crc;
    for (; count >= 8; bytes += 8, count -= 8) wide = _mm_crc32_u64(wide, pulse_load64(bytes));
    crc = (uint32_t)wide;
    if (count >= 4) {
        crc = _mm_crc32_u32(crc, pulse_load32(bytes));
        bytes += 4;
        count -= 4;
    }
    for (; count > 0; bytes++, count--) crc = _mm_crc32_u8(crc, *bytes);
    return crc;
}
static int has_hardware(void) {
    uint32_t a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_2) != 0;
}
#elif PULSE_ARM_CRC
PULSE_TARGET_CRC static uint32_t crc_hardware(uint32_t crc, const uint8_t *bytes, size_t count) {
    for (; count >= 8; bytes += 8, count -= 8) crc = __crc32cd(crc, pulse_load64(bytes));
    for (; count > 0; bytes++, count--) crc = __crc32cb(crc, *bytes);
    return crc;
}
static int has_hardware(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#else
#define crc_hardware crc_portable
static int has_hardware(void) { return 0; }
#endif

/* Several threads may come here at once; they all store the same pointer. */
static uint32_t crc_first(uint32_t crc, const uint8_t *bytes, size_t count) {
    pulse_crc32c_function chosen = has_hardware() ? crc_hardware : crc_portable;
    __atomic_store_n(&pulse_crc32c_chosen, chosen, __ATOMIC_RELAXED);
    return chosen(crc, bytes, count);
}

pulse_crc32c_function pulse_crc32c_chosen = crc_first;

uint32_t pulse_crc32c_with(int variant, uint32_t crc, const void *bytes, size_t count) {
    if (variant != PULSE_KERNEL_PORTABLE && has_hardware()) return ~crc_hardware(~crc, (const uint8_t *)bytes, count);
    return ~crc_portable(~crc, (const uint8_t *)bytes, count);
}
