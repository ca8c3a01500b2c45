/* SPDX-License-Identifier: Apache-2.0 */
/* What Swift's module of the C library leaves out, or spells in a way that Swift can't call. */
#ifndef DAEMON_SYSTEM_H
#define DAEMON_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* Blocks the signals that the daemon takes by a descriptor, for this thread and all that it makes; ignores SIGPIPE. */
int daemon_block_signals(void);
/* A descriptor that gives those signals; -1 with errno. */
int daemon_signal_descriptor(void);
/* The next signal of the descriptor; 0 if there is none, -1 with errno. */
int daemon_next_signal(int descriptor);

/* An eventfd for one thread to wake another; -1 with errno. */
int daemon_event_descriptor(void);
void daemon_event_set(int descriptor);
void daemon_event_clear(int descriptor);

/* Sends a datagram to a Unix socket; an '@' at the begin of the name stands for a NUL. 0, or -1 with errno. */
int daemon_send_datagram(const char *name, const void *data, size_t length);
/* 1 for a stream socket that listens, 0 for any other descriptor. */
int daemon_is_listening(int descriptor);
int daemon_close_on_exec(int descriptor);

/* Takes a port of the machine without listening, so that it is nobody else's until the hub listens at it: a descriptor to close
 * then, and the port in *port, where 0 is any free one. `host`: an address, or NULL for all. -1 with errno. */
int daemon_reserve_port(const char *host, uint16_t *port);

/* Opens a file for appending, made with mode 0600; never a symbolic link's target. -1 with errno. */
int daemon_open_append(const char *path);
int daemon_open_read(const char *path);
/* 1 if others than the owner and the group may read the open file, 0 if not, -1 with errno. */
int daemon_others_read(int descriptor);
/* The file's size; -1 with errno. */
int64_t daemon_file_size(int descriptor);

/* Runs this program again with one argument and `data` as its input, its output thrown away: for code that may abort the
 * process. Its exit code; 128 and more if a signal ended it, or it took longer than `seconds`; -1 with errno if it could not be
 * run. */
int daemon_run_self(const char *argument, const void *data, size_t length, int seconds);
/* No core file if this process is aborted. */
void daemon_forbid_core(void);

/* As much of this program's path as `buffer` takes, without a NUL; its whole length, or -1 with errno. */
int64_t daemon_program_path(char *buffer, size_t size);

/* Nanoseconds of CLOCK_MONOTONIC and CLOCK_REALTIME. */
int64_t daemon_monotonic_ns(void);
int64_t daemon_realtime_ns(void);
/* "2026-11-30T04:45:36.000Z" into 25 bytes or more. */
void daemon_format_time(int64_t ns, char *buffer, size_t size);
const char *daemon_error_text(int number, char *buffer, size_t size);
int daemon_errno(void);
/* Entry `index` of the environment, "NAME=value"; NULL behind the last. */
const char *daemon_environment(size_t index);

/* Runs `body` with `context` on a thread of that name (15 bytes); 0, or an error number. */
int daemon_start_thread(const char *name, void (*body)(void *), void *context);

#endif
