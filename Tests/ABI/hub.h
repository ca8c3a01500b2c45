/* SPDX-License-Identifier: Apache-2.0 */
/* A hub of this process, its peers (clients of the library), and plain HTTP. */
#ifndef HUB_H
#define HUB_H

#include "harness.h"
#include <pulsews_hub.h>

/* A hub that listens on a free port of the loopback, not started. Options as "name=value", the last NULL. */
pulsews_hub *make_hub(const char *const *options);
/* "pattern name=value" */
void hub_topic(pulsews_hub *hub, const char *text);
/* "path name=value" */
void hub_route(pulsews_hub *hub, const char *text);
void start_hub(pulsews_hub *hub);
/* Makes and starts one with topics `**`. */
pulsews_hub *open_hub(const char *const *options);
int hub_port(const pulsews_hub *hub);

/* A peer at a path, open; with "pulse.v1" if `pulse`. Its welcome is taken. */
pulsews_client *make_peer(const pulsews_hub *hub, const char *path, int pulse, const char *const *options);
pulsews_client *pulse_peer(const pulsews_hub *hub);
/* Subscribes and takes the answer, which lives until the next call. */
const char *subscribe_peer(pulsews_client *peer, const char *topic);
void publish(pulsews_hub *hub, const char *topic, const char *key, const char *json);
/* The next message, which has to contain all parts; it lives until the next call. */
const char *peer_gets(pulsews_client *peer, const char *const *parts);
#define GETS(peer, ...) peer_gets(peer, OPTIONS(__VA_ARGS__))
/* Nothing comes for some time. */
void peer_gets_nothing(pulsews_client *peer);

/* The next event of that kind; it lives until the next call. */
const pulsews_hub_event *hub_event(pulsews_hub *hub, uint32_t kind);
double hub_statistic(const pulsews_hub *hub, const char *name);
void await_hub_statistic(const pulsews_hub *hub, const char *name, double least);
/* offered = written + conflated + dropped + queued */
void check_books(const pulsews_hub *hub);

/* Sends bytes to the hub on a connection of its own and reads until it ends; the answer lives until the next call. */
const char *http_exchange(int port, const char *request);
int http_connect(int port);
/* -1 if nobody takes the connection. */
int try_connect(int port);

#endif
