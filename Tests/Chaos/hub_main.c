/* SPDX-License-Identifier: Apache-2.0
 *
 *     peers FOLDER SEED stopped SECONDS POLICY | returns COUNT | kills COUNT | faults SECONDS
 *
 * FOLDER takes a certificate. The programs hub and proxy lie beside this one.
 */
#include "hub_parts.h"
#include "support.h"
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    /* The hub inherits it: memory that only the allocator keeps must not count. */
    if (!getenv("GLIBC_TUNABLES")) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1", 1);
        execv("/proc/self/exe", argv);
    }
    char self[512] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) return 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
    setrlimit(RLIMIT_NOFILE, &files);
    set_up(strtoull(argv[2], NULL, 0), argv[1], dirname(self));
    const char *part = argv[3];
    if (strcmp(part, "stopped") == 0 && argc == 6) run_stopped(atof(argv[4]), argv[5]);
    else if (strcmp(part, "returns") == 0) run_returns(strtoull(argv[4], NULL, 10));
    else if (strcmp(part, "kills") == 0) run_kills(atoi(argv[4]));
    else if (strcmp(part, "faults") == 0) run_faults(atof(argv[4]));
    else return 2;
    return summary();
}
