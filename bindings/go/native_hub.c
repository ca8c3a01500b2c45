/* SPDX-License-Identifier: Apache-2.0 */

//go:build cgo && linux && amd64

#define _GNU_SOURCE
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The most bytes of a topic's name and of a key. */
enum { NAME_SIZE = 256 };

int32_t pulsego_hub_create(pulsews_hub **hub, pulsews_hub_event **events, int *descriptor, char *error,
                           size_t error_size) {
    *descriptor = -1;
    *events = calloc(PULSEGO_EVENTS, sizeof **events);
    if (!*events) return PULSEWS_ENOMEM;
    int32_t status = pulsego_api.hub_create(NULL, hub, error, error_size);
    if (status == PULSEWS_OK) {
        int32_t wake = pulsego_api.hub_wake_fd(*hub);
        *descriptor = wake < 0 ? -1 : fcntl(wake, F_DUPFD_CLOEXEC, 0);
        if (*descriptor < 0) {
            status = PULSEWS_EFILES;
            snprintf(error, error_size, "the wake descriptor can't be made: %s", strerror(wake < 0 ? -wake : errno));
            pulsego_api.hub_free(*hub);
        }
    }
    if (status != PULSEWS_OK) {
        free(*events);
        *hub = NULL;
        *events = NULL;
    }
    return status;
}

void pulsego_hub_free_events(pulsews_hub_event *events) { free(events); }

/* Copies a name, with the NUL behind it. 0 if it can be none: too long, or with a NUL inside. */
static int copy_name(char *to, const char *from, size_t length) {
    if (length > NAME_SIZE) return 0;
    if (length > 0) {
        if (memchr(from, 0, length)) return 0;
        memcpy(to, from, length);
    }
    to[length] = 0;
    return 1;
}

int64_t pulsego_hub_publish(pulsews_hub *hub, const char *topic, size_t topic_length, const char *key,
                            size_t key_length, const char *data, size_t length) {
    char name[NAME_SIZE + 1], word[NAME_SIZE + 1];
    uint64_t offset = 0;
    if (!copy_name(name, topic, topic_length) || !copy_name(word, key, key_length)) return PULSEWS_EINVAL;
    int32_t status = pulsego_api.hub_publish(hub, name, key_length > 0 ? word : NULL, data ? data : "", length,
                                             &offset);
    return status == PULSEWS_OK ? (int64_t)offset : status;
}

int32_t pulsego_hub_publish_batch(pulsews_hub *hub, const char *load, const char *block,
                                  const pulsego_publication *publications, size_t count) {
    pulsews_hub_publication few[32], *all = few;
    if (count > sizeof few / sizeof *few) {
        all = malloc(count * sizeof *all);
        if (!all) return PULSEWS_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const pulsego_publication *one = &publications[i];
        const char *key = block + one->topic_length + 1, *data = key + one->key_length + 1;
        all[i] = (pulsews_hub_publication){.topic = block,
                                           .key = one->key_length > 0 ? key : NULL,
                                           .data = data,
                                           .length = one->length,
                                           .offset = one->offset,
                                           .exchange_ns = one->exchange_ns,
                                           .received_ns = one->received_ns,
                                           .published_ns = one->published_ns};
        block = data + one->length;
    }
    int32_t taken = load ? pulsego_api.hub_load(hub, load, all, count) : pulsego_api.hub_publish_batch(hub, all, count);
    if (all != few) free(all);
    return taken;
}

int32_t pulsego_hub_next(pulsews_hub *hub, pulsews_hub_event *events) {
    return pulsego_api.hub_next(hub, events, PULSEGO_EVENTS, 0);
}
