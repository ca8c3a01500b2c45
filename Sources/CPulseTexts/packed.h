/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PULSE_PACKED_H
#define PULSE_PACKED_H

#include "CPulseTexts.h"

/* In the zlib format (RFC 1950), with the size of what is in it. */
struct packed {
    const uint8_t *bytes;
    uint32_t length;
    uint32_t size;
};

extern const struct packed pulse_packed[PULSE_TEXTS_COUNT];

#endif
