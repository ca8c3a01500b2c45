/* SPDX-License-Identifier: Apache-2.0 */

//go:build cgo && linux && amd64

#define _GNU_SOURCE
#include "native.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The table of functions ------------------------------------------------------------------------------------ */

pulsego_table pulsego_api;
static int loaded;

int pulsego_loaded(void) { return loaded; }

/* While the major version is 0 a minor version may change the ABI; from 1 on a newer minor version serves too. */
static int fits(uint32_t number, const char *text, char *error, size_t error_size) {
    uint32_t major = number >> 16, minor = (number >> 8) & 0xff;
    if (major == PULSEWS_VERSION_MAJOR &&
        (major == 0 ? minor == PULSEWS_VERSION_MINOR : minor >= PULSEWS_VERSION_MINOR + 0u))
        return 1;
    snprintf(error, error_size, "it is version %s, and this program was built for %d.%d", text, PULSEWS_VERSION_MAJOR,
             PULSEWS_VERSION_MINOR);
    return 0;
}

#ifdef PULSEGO_LINK
int pulsego_load(const char *path, char *error, size_t error_size) {
    (void)path;
    if (!fits(pulsews_version_number(), pulsews_version(), error, error_size)) return 0;
#define TAKE(name) pulsego_api.name = pulsews_##name;
    PULSEGO_FUNCTIONS(TAKE)
    loaded = 1;
    return 1;
}
#else
/* Whether a loader started the main program, which comes first. Without one dlopen would bring a second libc into the
 * process, with its own memory and threads, and crash it. */
static int has_loader(struct dl_phdr_info *program, size_t size, void *found) {
    (void)size;
    for (size_t i = 0; i < program->dlpi_phnum; i++)
        if (program->dlpi_phdr[i].p_type == PT_INTERP) *(int *)found = 1;
    return 1; /* the others are libraries */
}

int pulsego_load(const char *path, char *error, size_t error_size) {
    int dynamic = 0;
    dl_iterate_phdr(has_loader, &dynamic);
    if (!dynamic) {
        snprintf(error, error_size,
                 "this program is linked statically, and can't load libraries: link it without -static");
        return 0;
    }
    pulsego_table found;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        snprintf(error, error_size, "%s", why ? why : "it can't be loaded");
        return 0;
    }
    __typeof__(&pulsews_version_number) number;
    __typeof__(&pulsews_version) text;
    *(void **)&number = dlsym(library, "pulsews_version_number");
    *(void **)&text = dlsym(library, "pulsews_version");
    if (!number || !text) {
        snprintf(error, error_size, "it has no function pulsews_version_number: it is not libpulsews");
        dlclose(library);
        return 0;
    }
    if (!fits(number(), text(), error, error_size)) {
        dlclose(library);
        return 0;
    }
#define FIND(name)                                                                                                     \
    *(void **)&found.name = dlsym(library, "pulsews_" #name);                                                          \
    if (!found.name) {                                                                                                 \
        snprintf(error, error_size, "it has no function pulsews_" #name);                                              \
        dlclose(library);                                                                                              \
        return 0;                                                                                                      \
    }
    PULSEGO_FUNCTIONS(FIND)
    pulsego_api = found; /* the library stays loaded until the process ends */
    loaded = 1;
    return 1;
}
#endif

/* ---- One connection -------------------------------------------------------------------------------------------- */

int32_t pulsego_create(const char *url, const pulsews_config *config, pulsego_conn **result, int *descriptor,
                       char *error, size_t error_size) {
    pulsego_conn *conn = calloc(1, sizeof *conn);
    *result = NULL;
    *descriptor = -1;
    if (!conn) return PULSEWS_ENOMEM;
    conn->batch = pulsego_api.batch_create();
    int32_t status = conn->batch ? pulsego_api.client_create(url, config, NULL, &conn->client, error, error_size)
                                 : PULSEWS_ENOMEM;
    if (status == PULSEWS_OK) {
        int32_t wake = pulsego_api.wake_fd(conn->client);
        if (wake < 0) {
            status = wake;
        } else {
            *descriptor = fcntl(wake, F_DUPFD_CLOEXEC, 0);
            if (*descriptor < 0) {
                status = PULSEWS_EFILES;
                snprintf(error, error_size, "the wake descriptor can't be duplicated: %s", strerror(errno));
            }
        }
    }
    if (status != PULSEWS_OK) {
        pulsego_free_client(conn);
        pulsego_free(conn);
        return status;
    }
    *result = conn;
    return PULSEWS_OK;
}

void pulsego_free_client(pulsego_conn *conn) {
    pulsego_api.client_free(conn->client);
    conn->client = NULL;
}

void pulsego_free(pulsego_conn *conn) {
    pulsego_api.batch_free(conn->batch);
    free(conn);
}

int64_t pulsego_send_with(uintptr_t conn, uint32_t kind, const void *data, size_t length, uint32_t flags,
                          int64_t ttl_ns) {
    uint64_t id = 0;
    pulsews_client *client = ((pulsego_conn *)conn)->client;
    int32_t status = pulsego_api.send_with(client, kind, data ? data : "", length, flags, ttl_ns, 0, &id);
    return status == PULSEWS_OK ? (int64_t)id : status;
}

int32_t pulsego_send_batch(pulsego_conn *conn, const void *block, const size_t *lengths, const uint32_t *kinds,
                           size_t count, uint32_t flags, int64_t ttl_ns, uint64_t *first_id) {
    pulsews_message few[32], *messages = few;
    if (count > sizeof few / sizeof *few) {
        messages = malloc(count * sizeof *messages);
        if (!messages) return PULSEWS_ENOMEM;
    }
    const char *at = block;
    for (size_t i = 0; i < count; i++) {
        messages[i] = (pulsews_message){.data = at, .length = lengths[i], .kind = kinds[i]};
        at += lengths[i];
    }
    int32_t accepted = pulsego_api.send_batch(conn->client, messages, count, flags, ttl_ns, 0, first_id);
    if (messages != few) free(messages);
    return accepted;
}

int32_t pulsego_send(uintptr_t conn, uint32_t kind, const void *data, size_t length) {
    return pulsego_api.send(((pulsego_conn *)conn)->client, kind, data ? data : "", length, 0);
}

int32_t pulsego_receive(uintptr_t handle, size_t max) {
    pulsego_conn *conn = (pulsego_conn *)handle;
    int32_t count = pulsego_api.recv_batch(conn->client, conn->batch, max, 0, &conn->messages);
    if (count > 0) {
        const pulsews_message *last = &conn->messages[count - 1];
        conn->total = (size_t)((const char *)last->data - (const char *)conn->messages[0].data) + last->length;
    }
    return count;
}

int64_t pulsego_text(pulsego_conn *conn, int which, char *buffer, size_t size) {
    switch (which) {
    case PULSEGO_CLOSE_REASON: return pulsego_api.close_reason(conn->client, buffer, size);
    case PULSEGO_SERVER_MESSAGE: return pulsego_api.server_message(conn->client, buffer, size);
    case PULSEGO_HANDSHAKE_HEADERS: return pulsego_api.handshake_headers(conn->client, buffer, size);
    case PULSEGO_HANDSHAKE_BODY: return pulsego_api.handshake_body(conn->client, buffer, size);
    case PULSEGO_SUBPROTOCOL: return pulsego_api.subprotocol(conn->client, buffer, size);
    case PULSEGO_STATUS: return pulsego_api.status_json(conn->client, buffer, size);
    case PULSEGO_PROMETHEUS: return pulsego_api.prometheus(conn ? conn->client : NULL, buffer, size);
    default: return PULSEWS_EINVAL;
    }
}
