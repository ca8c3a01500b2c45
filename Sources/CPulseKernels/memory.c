/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "CPulseKernels.h"

#include <stdlib.h>
#include <unistd.h>

void pulse_out_of_memory(void) {
    static const char text[] = "pulsews: out of memory\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written; /* there is no other place to say it */
    abort();
}

bool pulse_memory_fits(size_t count) {
    void *volatile memory = malloc(count); /* volatile: or the compiler leaves both calls out */
    free(memory);
    return memory != NULL;
}

#ifdef PULSEWS_EMBEDDED
/* What the Embedded Swift runtime allocates with. It goes on with NULL as if that were memory; hidden, so that the
 * process's own function stays. */
__attribute__((visibility("hidden"))) int posix_memalign(void **memory, size_t alignment, size_t size);
int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *found = alignment <= 16 ? malloc(size) : aligned_alloc(alignment, size);
    if (found == NULL && size > 0) pulse_out_of_memory();
    *memory = found;
    return 0;
}
#endif
