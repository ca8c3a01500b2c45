/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of texts that few programs read: what options, statistics and presets are called and mean. They are a third of
 * their size in the library, deflated.
 */
#ifndef CPULSE_TEXTS_H
#define CPULSE_TEXTS_H

#include <stdint.h>

enum {
    PULSE_TEXTS_ERRORS,
    PULSE_TEXTS_OPTIONS,
    PULSE_TEXTS_PRESETS,
    PULSE_TEXTS_STATISTICS,
    PULSE_TEXTS_HUB_OPTIONS,
    PULSE_TEXTS_ROUTE_OPTIONS,
    PULSE_TEXTS_TOPIC_OPTIONS,
    PULSE_TEXTS_HUB_STATISTICS,
    PULSE_TEXTS_FEED_MAPS,
    PULSE_TEXTS_COUNT
};

/* Texts that each end with NUL, one behind the other. They are inflated once, and live as long as the process. A process
 * that has no memory for them is ended, as by every allocation of the language. Any thread. */
const uint8_t *pulse_texts(int table);

#endif
