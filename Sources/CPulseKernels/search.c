/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>

#include "CPulseKernels.h"

int32_t pulse_contains(const void *bytes, size_t count, const void *part, size_t part_count) {
    return part_count == 0 || (count >= part_count && memmem(bytes, count, part, part_count) != NULL);
}

int32_t pulse_contains_byte(const void *bytes, size_t count, uint8_t byte) {
    return count > 0 && memchr(bytes, byte, count) != NULL;
}
