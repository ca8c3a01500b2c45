/* SPDX-License-Identifier: Apache-2.0
 *
 *     chaos FOLDER SEED books SECONDS CLIENTS | limits | storm CLIENTS RESTARTS | weeks WEEKS SECONDS-OF-A-DAY
 *         | tails SECONDS | names SECONDS
 *
 * FOLDER takes a certificate. The programs server and proxy lie beside this one.
 */
#include "support.h"
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    /* Memory that only the allocator keeps, in caches and arenas of threads, must not count as in use. */
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
    if (strcmp(part, "books") == 0 && argc == 6) run_books(atof(argv[4]), atoi(argv[5]));
    else if (strcmp(part, "limits") == 0) run_limits();
    else if (strcmp(part, "storm") == 0 && argc == 6) run_storm(atoi(argv[4]), atoi(argv[5]));
    else if (strcmp(part, "weeks") == 0 && argc == 6) run_weeks(atoi(argv[4]), atof(argv[5]));
    else if (strcmp(part, "names") == 0 && argc == 5) run_names(atof(argv[4]));
    else if (strcmp(part, "tails") == 0 && argc == 5) run_tails(atof(argv[4]));
    else return 2;
    return summary();
}
