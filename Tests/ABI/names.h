/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the tests' own: this program's getaddrinfo stands before that of libc, also for the library. */
#ifndef NAMES_H
#define NAMES_H

/* A name that has these addresses, in this order; the last NULL. Before any client asks for it. */
void name_addresses(const char *name, const char *const *addresses);
/* Look-ups of names that end so wait until they are released; then they give 127.0.0.1, those of
 * names that begin with "bad" nothing. */
void hold_names(const char *end);
/* Lets this many of the look-ups that wait go on; -1: all, and those that follow. */
void release_names(int count);
/* How many look-ups of this name (NULL: of any that was held) have begun; waits until there are `least`. */
int await_lookups(const char *name, int least);
/* The name of the held look-up that began last. */
const char *last_held(void);

#endif
