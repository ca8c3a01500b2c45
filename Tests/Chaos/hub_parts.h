/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the hub's chaos run, and what they have in common.
 */
#ifndef HUB_PARTS_H
#define HUB_PARTS_H

#include "hub_peers.h"

void run_stopped(double seconds, const char *policy);
void run_returns(uint64_t returns);
void run_kills(int kills);
void run_faults(double seconds);

/* A setting of the hub, such as "hub queue_messages 512"; before its start. */
void set_hub(const char *format, ...) __attribute__((format(printf, 1, 2)));
void start_hub(void);
void kill_hub(void);
/* It drains and ends; so many peers are told. */
void end_hub(const char *part, int count);
/* The books at this moment, in world->hub. */
void ask_for_report(void);
double hub_statistic(const char *name);
long hub_memory(void); /* bytes: VmRSS */
/* The results that each part ends with, once all peers have everything: each number has one fate; the books balance. */
void check_peers(const char *part, int are_there);
void check_books(const char *part);

#endif
