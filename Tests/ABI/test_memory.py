# SPDX-License-Identifier: Apache-2.0
"""No memory left: a call says so, or the process ends with a line that says why; it never dies of another signal."""
import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import FOLDER, ROOT, run

# From the moment on that it is told to, the process gets no memory, or none in large pieces.
INTERPOSER = r"""
#include <errno.h>
#include <stddef.h>
void *__libc_malloc(size_t); void *__libc_calloc(size_t, size_t); void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static long left = -1, calls;
static size_t largest = (size_t)-1;
void memory_fails(long after, size_t above) {
    largest = above;
    __atomic_store_n(&left, after, __ATOMIC_SEQ_CST);
}
long memory_calls(void) { return __atomic_load_n(&calls, __ATOMIC_SEQ_CST); }
static int fails(size_t size) {
    if (__atomic_load_n(&left, __ATOMIC_SEQ_CST) < 0) return 0;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (size > largest) return errno = ENOMEM;
    long before = __atomic_load_n(&left, __ATOMIC_SEQ_CST);
    do if (before <= 0) return errno = ENOMEM;
    while (!__atomic_compare_exchange_n(&left, &before, before - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return 0;
}
void *malloc(size_t size) { return fails(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails(count * size) ? NULL : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return fails(size) ? NULL : __libc_realloc(memory, size); }
void *memalign(size_t alignment, size_t size) { return fails(size) ? NULL : __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *found = memalign(alignment, size);
    if (found) *memory = found;
    return found ? 0 : ENOMEM;
}
"""

HEAD = r"""
#include <pulsews.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define SHORT PULSEWS_SECONDS(5)
void memory_fails(long after, size_t above);
long memory_calls(void);
static char why[PULSEWS_ERROR_SIZE], url[64], text[65536], large[6 << 20];
static pulsews_message message;
"""

EVERYTHING = HEAD + r"""
/* One call after another, whatever the one before has said. */
int main(int argc, char **argv) {
    if (argc != 3) return 2;
    snprintf(url, sizeof url, "ws://127.0.0.1:%s/", argv[1]);
    memory_fails(atol(argv[2]), (size_t)-1);
    pulsews_config *config = pulsews_config_create();
    pulsews_config_set(config, "events", "true", why, sizeof why);
    pulsews_config_set(config, "headers", "X-Test: 1", why, sizeof why);
    pulsews_config_set(config, "none", "such", why, sizeof why);
    pulsews_client *client = NULL;
    if (pulsews_client_create(url, config, NULL, &client, why, sizeof why) == PULSEWS_OK) {
        pulsews_subscribe(client, "key", "subscribe", NULL, why, sizeof why);
        pulsews_open(client, SHORT, why, sizeof why);
        pulsews_send(client, PULSEWS_TEXT, "hello", 5, SHORT);
        pulsews_send(client, PULSEWS_BINARY, large, sizeof large, SHORT);
        pulsews_message many[50];
        for (int i = 0; i < 50; i++) many[i] = (pulsews_message){.data = text, .length = 1000, .kind = PULSEWS_BINARY};
        pulsews_send_batch(client, many, 50, 0, 0, SHORT, NULL);
        pulsews_recv(client, &message, SHORT);
        pulsews_batch *batch = pulsews_batch_create();
        const pulsews_message *messages;
        for (int i = 0; batch && i < 5; i++) pulsews_recv_batch(client, batch, 100, PULSEWS_MILLISECONDS(20), &messages);
        pulsews_batch_free(batch);
        pulsews_status_json(client, text, sizeof text);
        pulsews_prometheus(NULL, text, sizeof text);
        pulsews_close(client, 1000, "done", SHORT);
        pulsews_client_free(client);
    }
    pulsews_config_free(config);
    long calls = memory_calls();
    memory_fails(-1, 0);
    printf("%ld\n", calls);
    return 0;
}
"""

# Memory, but none in pieces of a megabyte and more.
LARGE = HEAD + r"""
#define IS(call, expected) do { int got = (int)(call); if (got != (expected)) { \
    memory_fails(-1, 0); printf("line %d: %s is %d\n", __LINE__, #call, got); return 1; } } while (0)
int main(int argc, char **argv) {
    snprintf(url, sizeof url, "ws://127.0.0.1:%s/", argc > 1 ? argv[1] : "");
    static char value[3 << 20];
    memset(value, 'x', sizeof value - 1);
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL, *other = NULL;
    IS(pulsews_config_set(config, "reconnect", "false", why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create(url, config, NULL, &client, why, sizeof why), PULSEWS_OK);
    IS(pulsews_client_create(url, config, NULL, &other, why, sizeof why), PULSEWS_OK);
    IS(pulsews_open(client, SHORT, why, sizeof why), PULSEWS_OK);
    IS(pulsews_open(other, SHORT, why, sizeof why), PULSEWS_OK);
    memory_fails(1L << 40, 1 << 20);
    IS(pulsews_config_set(config, "name", value, why, sizeof why), PULSEWS_ENOMEM);
    IS(pulsews_config_set(config, value, "1", why, sizeof why), PULSEWS_ENOMEM);
    IS(pulsews_subscribe(client, "key", value, NULL, why, sizeof why), PULSEWS_ENOMEM);
    IS(pulsews_send(client, PULSEWS_BINARY, large, sizeof large, SHORT), PULSEWS_ENOMEM);
    pulsews_message many[3];
    for (int i = 0; i < 3; i++) many[i] = (pulsews_message){.data = large, .length = 1000 << 10, .kind = PULSEWS_BINARY};
    IS(pulsews_send_batch(client, many, 3, 0, 0, SHORT, NULL), PULSEWS_ENOMEM);
    /* Nothing has changed: all goes on. */
    IS(pulsews_send(client, PULSEWS_TEXT, "hello", 5, SHORT), PULSEWS_OK);
    IS(pulsews_recv(client, &message, SHORT), PULSEWS_OK);
    IS(message.length, 5);
    /* A large message comes. */
    memory_fails(-1, 0);
    IS(pulsews_send(other, PULSEWS_BINARY, large, sizeof large, SHORT), PULSEWS_OK);
    IS(pulsews_flush(other, SHORT), PULSEWS_OK);
    memory_fails(1L << 40, 1 << 20);
    IS(pulsews_recv(other, &message, SHORT), PULSEWS_ENOMEM);
    IS(pulsews_client_error(other, why, sizeof why), PULSEWS_ENOMEM);
    memory_fails(-1, 0);
    printf("%s\n", why);
    pulsews_client_free(client);
    pulsews_client_free(other);
    pulsews_config_free(config);
    return 0;
}
"""


@pytest.fixture(scope="module")
def server():
    process = subprocess.Popen([sys.executable, str(ROOT / "Tests" / "Integration" / "hostile.py"), "echo"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().strip()
    process.stdin.close()
    process.wait(10)


def build(folder, source):
    """The command that runs a program whose memory may fail."""
    (folder / "memory.c").write_text(INTERPOSER)
    (folder / "program.c").write_text(source)
    run("gcc", "-shared", "-fPIC", "-O1", "-fno-builtin", folder / "memory.c", "-o", folder / "libmemory.so")
    run("gcc", "-g", folder / "program.c", f"-I{ROOT / 'include'}", f"-L{folder}", "-lmemory", f"-L{FOLDER}", "-lpulsews", "-pthread",
        "-o", folder / "program")
    return [str(folder / "program")], dict(os.environ, LD_LIBRARY_PATH=f"{folder}:{FOLDER}")


def test_every_allocation_may_fail(tmp_path, server):
    command, environment = build(tmp_path, EVERYTHING)

    def attempt(number):
        return subprocess.run([*command, server, str(number)], env=environment, capture_output=True, text=True, timeout=60)

    calls = int(attempt(1 << 40).stdout)
    assert calls > 100
    ends, number = {}, 0
    while number < calls:
        done = attempt(number)
        ends[done.returncode] = ends.get(done.returncode, 0) + 1
        what = f"without memory from allocation {number} of {calls} on: {done.returncode}, {done.stderr!r}"
        assert done.returncode in (0, -signal.SIGABRT), what
        assert done.returncode == 0 or re.search(r"^pulsews: out of memory$", done.stderr, re.M), what
        number += 1 if number < 40 else 9
    print(ends)
    assert ends[-signal.SIGABRT] > 20


def test_what_is_large_fails_alone(tmp_path, server):
    command, environment = build(tmp_path, LARGE)
    assert "no memory" in run(*command, server, env=environment)
