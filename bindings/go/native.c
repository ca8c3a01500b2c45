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

#define FUNCTIONS(X)                                                                                                   \
    X(version)                                                                                                         \
    X(version_number)                                                                                                  \
    X(error_at)                                                                                                        \
    X(error_name)                                                                                                      \
    X(error_text)                                                                                                      \
    X(error_retryable)                                                                                                 \
    X(option_at)                                                                                                       \
    X(transition_at)                                                                                                   \
    X(statistic_at)                                                                                                    \
    X(preset_at)                                                                                                       \
    X(config_create)                                                                                                   \
    X(config_set)                                                                                                      \
    X(config_free)                                                                                                     \
    X(client_create)                                                                                                   \
    X(client_free)                                                                                                     \
    X(client_state)                                                                                                    \
    X(client_error)                                                                                                    \
    X(client_retryable)                                                                                                \
    X(start)                                                                                                           \
    X(open)                                                                                                            \
    X(wait_ready)                                                                                                      \
    X(reconnect)                                                                                                       \
    X(disconnect)                                                                                                      \
    X(set_header)                                                                                                      \
    X(set_url)                                                                                                         \
    X(release)                                                                                                         \
    X(subscribe)                                                                                                       \
    X(unsubscribe)                                                                                                     \
    X(send)                                                                                                            \
    X(send_with)                                                                                                       \
    X(send_batch)                                                                                                      \
    X(flush)                                                                                                           \
    X(purge)                                                                                                           \
    X(close)                                                                                                           \
    X(close_code)                                                                                                      \
    X(close_reason)                                                                                                    \
    X(server_message)                                                                                                  \
    X(handshake_status)                                                                                                \
    X(handshake_headers)                                                                                               \
    X(handshake_body)                                                                                                  \
    X(subprotocol)                                                                                                     \
    X(status_json)                                                                                                     \
    X(statistics)                                                                                                      \
    X(prometheus)                                                                                                      \
    X(log_queue)                                                                                                       \
    X(log_next)                                                                                                        \
    X(batch_create)                                                                                                    \
    X(recv_batch)                                                                                                      \
    X(batch_free)                                                                                                      \
    X(wake_fd)                                                                                                         \
    X(acknowledge)

/* The types come from the header's declarations, so that a changed signature does not compile. */
#define POINTER(name) __typeof__(&pulsews_##name) name;
typedef struct table { FUNCTIONS(POINTER) } table;

static table api;
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
#define TAKE(name) api.name = pulsews_##name;
    FUNCTIONS(TAKE)
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
        snprintf(error, error_size, "this program is linked statically, and can't load libraries: link it without -static");
        return 0;
    }
    table found;
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
    FUNCTIONS(FIND)
    api = found; /* the library stays loaded until the process ends */
    loaded = 1;
    return 1;
}
#endif

const char *pulsego_version(void) { return api.version(); }
int32_t pulsego_error_at(size_t index) { return api.error_at(index); }
const char *pulsego_error_name(int32_t code) { return api.error_name(code); }
const char *pulsego_error_text(int32_t code) { return api.error_text(code); }
int32_t pulsego_error_retryable(int32_t code) { return api.error_retryable(code); }
int32_t pulsego_option_at(size_t index, const char **name, const char **type, const char **value, const char **range,
                          const char **meaning) {
    return api.option_at(index, name, type, value, range, meaning);
}
int32_t pulsego_transition_at(size_t index, int32_t *from, const char **event, int32_t *to, const char **meaning) {
    return api.transition_at(index, from, event, to, meaning);
}
int32_t pulsego_statistic_at(size_t index, const char **name, const char **type, const char **unit,
                             const char **meaning) {
    return api.statistic_at(index, name, type, unit, meaning);
}
int32_t pulsego_preset_at(size_t index, const char **name, const char **text, const char **options) {
    return api.preset_at(index, name, text, options);
}

/* ---- The log --------------------------------------------------------------------------------------------------- */

int32_t pulsego_log_queue(int32_t level, size_t capacity) { return api.log_queue(level, capacity); }
int64_t pulsego_log_next(char *buffer, size_t size, int32_t *level, int64_t *time_ns, int64_t timeout_ns) {
    return api.log_next(buffer, size, level, time_ns, timeout_ns);
}

/* ---- Configuration --------------------------------------------------------------------------------------------- */

pulsews_config *pulsego_config_create(void) { return api.config_create(); }
int32_t pulsego_config_set(pulsews_config *config, const char *name, const char *value, char *error,
                           size_t error_size) {
    return api.config_set(config, name, value, error, error_size);
}
void pulsego_config_free(pulsews_config *config) { api.config_free(config); }

/* ---- One connection -------------------------------------------------------------------------------------------- */

int32_t pulsego_create(const char *url, const pulsews_config *config, pulsego_conn **result, int *descriptor,
                       char *error, size_t error_size) {
    pulsego_conn *conn = calloc(1, sizeof *conn);
    *result = NULL;
    *descriptor = -1;
    if (!conn) return PULSEWS_ENOMEM;
    conn->batch = api.batch_create();
    int32_t status = conn->batch ? api.client_create(url, config, NULL, &conn->client, error, error_size)
                                 : PULSEWS_ENOMEM;
    if (status == PULSEWS_OK) {
        int32_t wake = api.wake_fd(conn->client);
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
    api.client_free(conn->client);
    conn->client = NULL;
}

void pulsego_free(pulsego_conn *conn) {
    api.batch_free(conn->batch);
    free(conn);
}

int32_t pulsego_open(pulsego_conn *conn, char *error, size_t error_size) {
    return api.open(conn->client, 0, error, error_size);
}

int32_t pulsego_start(pulsego_conn *conn) { return api.start(conn->client); }
int32_t pulsego_wait_ready(pulsego_conn *conn, char *error, size_t error_size) {
    return api.wait_ready(conn->client, 0, error, error_size);
}
int32_t pulsego_reconnect(pulsego_conn *conn) { return api.reconnect(conn->client); }
int32_t pulsego_disconnect(pulsego_conn *conn, int64_t timeout_ns) { return api.disconnect(conn->client, timeout_ns); }
int32_t pulsego_set_header(pulsego_conn *conn, const char *name, const char *value, char *error, size_t error_size) {
    return api.set_header(conn->client, name, value, error, error_size);
}
int32_t pulsego_set_url(pulsego_conn *conn, const char *url, char *error, size_t error_size) {
    return api.set_url(conn->client, url, error, error_size);
}
int32_t pulsego_release(pulsego_conn *conn) { return api.release(conn->client); }
int32_t pulsego_subscribe(pulsego_conn *conn, const char *key, const char *message, const char *unsubscribe,
                          char *error, size_t error_size) {
    return api.subscribe(conn->client, key, message, unsubscribe, error, error_size);
}
int32_t pulsego_unsubscribe(pulsego_conn *conn, const char *key) { return api.unsubscribe(conn->client, key); }

int64_t pulsego_send_with(uintptr_t conn, uint32_t kind, const void *data, size_t length, uint32_t flags,
                          int64_t ttl_ns) {
    uint64_t id = 0;
    pulsews_client *client = ((pulsego_conn *)conn)->client;
    int32_t status = api.send_with(client, kind, data ? data : "", length, flags, ttl_ns, 0, &id);
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
    int32_t accepted = api.send_batch(conn->client, messages, count, flags, ttl_ns, 0, first_id);
    if (messages != few) free(messages);
    return accepted;
}

int32_t pulsego_flush(pulsego_conn *conn, int64_t timeout_ns) { return api.flush(conn->client, timeout_ns); }
int64_t pulsego_purge(pulsego_conn *conn) { return api.purge(conn->client); }

int32_t pulsego_send(uintptr_t conn, uint32_t kind, const void *data, size_t length) {
    return api.send(((pulsego_conn *)conn)->client, kind, data ? data : "", length, 0);
}

int32_t pulsego_receive(uintptr_t handle, size_t max) {
    pulsego_conn *conn = (pulsego_conn *)handle;
    int32_t count = api.recv_batch(conn->client, conn->batch, max, 0, &conn->messages);
    if (count > 0) {
        const pulsews_message *last = &conn->messages[count - 1];
        conn->total = (size_t)((const char *)last->data - (const char *)conn->messages[0].data) + last->length;
    }
    return count;
}

int32_t pulsego_acknowledge(pulsego_conn *conn, uint64_t sequence) { return api.acknowledge(conn->client, sequence); }

int32_t pulsego_close(pulsego_conn *conn, int32_t code, const char *reason) {
    return api.close(conn->client, code, reason, 0);
}

int32_t pulsego_state(pulsego_conn *conn) { return api.client_state(conn->client); }
int32_t pulsego_client_retryable(pulsego_conn *conn) { return api.client_retryable(conn->client); }
int32_t pulsego_client_error(pulsego_conn *conn, char *error, size_t error_size) {
    return api.client_error(conn->client, error, error_size);
}
int32_t pulsego_close_code(pulsego_conn *conn) { return api.close_code(conn->client); }
int32_t pulsego_handshake_status(pulsego_conn *conn) { return api.handshake_status(conn->client); }

int32_t pulsego_statistics(pulsego_conn *conn, double *values, size_t count) {
    return api.statistics(conn->client, values, count);
}

int64_t pulsego_text(pulsego_conn *conn, int which, char *buffer, size_t size) {
    switch (which) {
    case PULSEGO_CLOSE_REASON: return api.close_reason(conn->client, buffer, size);
    case PULSEGO_SERVER_MESSAGE: return api.server_message(conn->client, buffer, size);
    case PULSEGO_HANDSHAKE_HEADERS: return api.handshake_headers(conn->client, buffer, size);
    case PULSEGO_HANDSHAKE_BODY: return api.handshake_body(conn->client, buffer, size);
    case PULSEGO_SUBPROTOCOL: return api.subprotocol(conn->client, buffer, size);
    case PULSEGO_STATUS: return api.status_json(conn->client, buffer, size);
    case PULSEGO_PROMETHEUS: return api.prometheus(conn ? conn->client : NULL, buffer, size);
    default: return PULSEWS_EINVAL;
    }
}
