/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>
#include <zlib.h>

#include "CPulseKernels.h"
#include "CPulseTexts.h"
#include "packed.h"

static _Atomic(uint8_t *) unpacked[PULSE_TEXTS_COUNT];

static uint8_t *unpack(const struct packed *table) {
    uLongf size = table->size;
    uint8_t *texts = malloc(size);
    if (texts && uncompress(texts, &size, table->bytes, table->length) == Z_OK && size == table->size) return texts;
    pulse_out_of_memory();
}

/* Without a lock: a child of fork() may come here, whatever other threads did in the parent. */
const uint8_t *pulse_texts(int table) {
    uint8_t *texts = atomic_load_explicit(&unpacked[table], memory_order_acquire);
    if (texts) return texts;
    uint8_t *mine = unpack(&pulse_packed[table]);
    if (atomic_compare_exchange_strong(&unpacked[table], &texts, mine)) return mine;
    free(mine);
    return texts;
}
