/* SPDX-License-Identifier: Apache-2.0
 *
 * What Swift needs from the operating system and can't import itself: Embedded Swift has no Glibc module, and macros
 * and packed structs do not import. Thin functions, no policy.
 *
 * Convention: where a system call sets errno, the function returns the negative errno instead. EINTR is retried where
 * retrying is right. Functions whose symbol version must be pinned for old glibc live in the .c files, never inline.
 */
#ifndef CPULSESYS_H
#define CPULSESYS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Memory and text (memory.c) ---- */
void *_Nullable psys_malloc(size_t size);
void *_Nullable psys_realloc(void *_Nullable memory, size_t size);
void psys_free(void *_Nullable memory);
void psys_memcpy(void *_Nonnull to, const void *_Nonnull from, size_t count);
void psys_memmove(void *_Nonnull to, const void *_Nonnull from, size_t count);
void psys_memset(void *_Nonnull to, int32_t byte, size_t count);
int32_t psys_memcmp(const void *_Nonnull a, const void *_Nonnull b, size_t count);
size_t psys_strlen(const char *_Nonnull text);
/* A write of zeros that the compiler may not drop: for keys. */
void psys_wipe(void *_Nonnull memory, size_t count);
/* strtod in the C locale whatever locale the process has; *used gets how many bytes were a number, 0 if none. */
double psys_strtod(const char *_Nonnull text, size_t *_Nonnull used);
/* NULL if it is not set. */
const char *_Nullable psys_getenv(const char *_Nonnull name);
/* Writes bytes to standard error, for the log. */
void psys_stderr(const void *_Nonnull bytes, size_t count);
/* Opens a file to append to, made with mode 0600, closed at exec. A descriptor or -errno. */
int32_t psys_open_log(const char *_Nonnull path);
/* Writes a line of the log: never blocks on a full pipe, never raises SIGPIPE. 1, or 0 if the line was not written. */
int32_t psys_write_line(int32_t descriptor, const void *_Nonnull bytes, size_t count);
/* The level of the log, for a look without a lock. */
int32_t psys_log_level(void);
void psys_log_set_level(int32_t level);
/* 1 if the path is a file or folder that can be read. */
int32_t psys_readable_path(const char *_Nonnull path);

/* ---- Errors ---- */
extern const int32_t psys_EAGAIN, psys_EINTR, psys_EINPROGRESS, psys_ECONNREFUSED, psys_ECONNRESET, psys_EPIPE,
    psys_ETIMEDOUT, psys_ENETUNREACH, psys_EHOSTUNREACH, psys_EMFILE, psys_ENFILE, psys_ENOMEM, psys_ENOBUFS,
    psys_EACCES, psys_EPERM, psys_EADDRNOTAVAIL, psys_EAFNOSUPPORT, psys_ENETDOWN, psys_EHOSTDOWN, psys_ECONNABORTED,
    psys_ENOSPC, psys_ENOTCONN, psys_EINVAL;
/* The system's text for an errno value, thread safe; always terminated. */
void psys_error_text(int32_t error, char *_Nonnull buffer, size_t size);

/* ---- Time and random numbers ---- */
int64_t psys_monotonic_ns(void);
int64_t psys_realtime_ns(void);
/* Fills with secure random bytes from the kernel. If there is no source at all the process ends, as arc4random does. */
void psys_random(void *_Nonnull bytes, size_t count);

/* ---- Fork ---- */
/* Grows by one in a child each time the process forks. */
uint32_t psys_fork_generation(void);

/* ---- Threads (thread.c) ---- */
typedef struct psys_mutex psys_mutex;
typedef struct psys_condition psys_condition;
psys_mutex *_Nullable psys_mutex_create(void);
void psys_mutex_destroy(psys_mutex *_Nonnull mutex);
void psys_mutex_lock(psys_mutex *_Nonnull mutex);
/* 1 if it was taken. */
int32_t psys_mutex_trylock(psys_mutex *_Nonnull mutex);
void psys_mutex_unlock(psys_mutex *_Nonnull mutex);
psys_condition *_Nullable psys_condition_create(void);
void psys_condition_destroy(psys_condition *_Nonnull condition);
void psys_condition_wait(psys_condition *_Nonnull condition, psys_mutex *_Nonnull mutex);
/* 1 if it was signalled (or woke for no reason), 0 when the monotonic time `deadline_ns` was reached. */
int32_t psys_condition_wait_until(psys_condition *_Nonnull condition, psys_mutex *_Nonnull mutex, int64_t deadline_ns);
void psys_condition_signal(psys_condition *_Nonnull condition);
void psys_condition_broadcast(psys_condition *_Nonnull condition);

typedef void (*psys_thread_body)(void *_Nullable context);
/* Starts a thread with all signals blocked. The name is cut after 15 bytes. 0 or -errno. */
int32_t psys_thread_start(psys_thread_body _Nonnull body, void *_Nullable context, const char *_Nonnull name,
                          size_t stack_size, int32_t detached, uint64_t *_Nonnull thread);
int32_t psys_thread_join(uint64_t thread);
int32_t psys_thread_detach(uint64_t thread);
uint64_t psys_thread_self(void);
void psys_thread_yield(void);

/* ---- Waiting (poll.c) ---- */
enum { PSYS_READABLE = 1, PSYS_WRITABLE = 2, PSYS_HANGUP = 4, PSYS_EDGE = 8 };
int32_t psys_epoll_create(void);
/* Adds, changes, removes; `interest` is a set of PSYS_READABLE, PSYS_WRITABLE, PSYS_EDGE. 0 or -errno. */
int32_t psys_epoll_add(int32_t epoll, int32_t descriptor, uint32_t interest, uint64_t data);
int32_t psys_epoll_change(int32_t epoll, int32_t descriptor, uint32_t interest, uint64_t data);
int32_t psys_epoll_remove(int32_t epoll, int32_t descriptor);
typedef struct psys_events psys_events;
psys_events *_Nullable psys_events_create(int32_t capacity);
void psys_events_destroy(psys_events *_Nonnull events);
/* How many events there are, or -errno (-EINTR too). timeout_ns < 0: no end. Exact to the nanosecond where the kernel
 * can (5.11), else rounded up to milliseconds. */
int32_t psys_epoll_wait(int32_t epoll, psys_events *_Nonnull events, int64_t timeout_ns);
uint64_t psys_events_data(const psys_events *_Nonnull events, int32_t index);
/* A set of PSYS_READABLE, PSYS_WRITABLE, PSYS_HANGUP (with PSYS_EDGE also for the end of input alone). */
uint32_t psys_events_flags(const psys_events *_Nonnull events, int32_t index);
int32_t psys_eventfd_create(void);
void psys_eventfd_add(int32_t descriptor);
void psys_eventfd_clear(int32_t descriptor);
int32_t psys_timerfd_create(void);
/* Readable from a monotonic time on; one that has passed is at once. */
void psys_timerfd_set(int32_t descriptor, int64_t deadline_ns);
/* poll(2) of one descriptor: the flags that hold, 0 at the time-out, or -errno. */
int32_t psys_poll_one(int32_t descriptor, uint32_t interest, int64_t timeout_ns);

/* ---- Sockets (socket.c) ---- */
/* An IPv4 or IPv6 address with port. `family` is 4 or 6. The address bytes in network order are in `high` (IPv6: the
 * first 8) and `low` (IPv6: the last 8; IPv4: the first 4 of its bytes). */
typedef struct psys_address {
    uint64_t high, low;
    uint32_t scope;
    uint16_t port;
    uint16_t family;
} psys_address;

/* Parses a literal (IPv6 without brackets, with %scope or not). 1 or 0. */
int32_t psys_address_parse(const char *_Nonnull text, uint16_t port, psys_address *_Nonnull address);
/* Writes the address without the port; the buffer should have 64 bytes. */
void psys_address_text(const psys_address *_Nonnull address, char *_Nonnull buffer, size_t size);
/* getaddrinfo for TCP. Returns how many were written, or -1 with *problem (a gai code) and *error (errno if it is
 * EAI_SYSTEM). `configured_only` is AI_ADDRCONFIG. Blocks. */
int32_t psys_resolve(const char *_Nonnull host, uint16_t port, int32_t configured_only, psys_address *_Nonnull out,
                     int32_t capacity, int32_t *_Nonnull problem, int32_t *_Nonnull error);
const char *_Nonnull psys_resolve_text(int32_t problem);
/* EAI_NONAME, EAI_NODATA or EAI_ADDRFAMILY. */
int32_t psys_resolve_is_no_name(int32_t problem);

/* A non-blocking TCP socket with CLOEXEC, TCP_NODELAY and keepalive (30 s, every 10 s, 3 probes), or -errno. */
int32_t psys_tcp_socket(uint16_t family);
void psys_tcp_options(int32_t descriptor);
/* 0 when connected, -EINPROGRESS while it goes on, or -errno. */
int32_t psys_connect(int32_t descriptor, const psys_address *_Nonnull address);
/* The pending error of a socket (SO_ERROR): 0, or a positive errno value. */
int32_t psys_socket_error(int32_t descriptor);
/* Binds and listens; dual stack when the address is IPv6 and `v6_only` is 0. A descriptor or -errno. */
int32_t psys_tcp_listen(const psys_address *_Nonnull address, int32_t backlog, int32_t v6_only, int32_t reuse_port);
/* A descriptor with the options of psys_tcp_socket, or -errno. `peer` may be NULL. */
int32_t psys_accept(int32_t listener, psys_address *_Nullable peer);
int32_t psys_local_address(int32_t descriptor, psys_address *_Nonnull address);
int32_t psys_peer_address(int32_t descriptor, psys_address *_Nonnull address);
/* Bytes moved (0 from recv: the end), or -errno. Never SIGPIPE. */
int64_t psys_recv(int32_t descriptor, void *_Nonnull bytes, size_t count);
int64_t psys_send(int32_t descriptor, const void *_Nonnull bytes, size_t count);
int32_t psys_shutdown_write(int32_t descriptor);
/* Closes with a reset instead of a FIN. */
void psys_close_reset(int32_t descriptor);
void psys_close(int32_t descriptor);
/* A pair of connected, non-blocking stream sockets with CLOEXEC. 0 or -errno. */
int32_t psys_socket_pair(int32_t *_Nonnull first, int32_t *_Nonnull second);
void psys_set_buffer_sizes(int32_t descriptor, int32_t receive, int32_t send);

/* ---- TLS: what OpenSSL has only as macros (tls.c) ---- */
struct ssl_st;
struct ssl_ctx_st;
struct bio_st;
/* TLS 1.2 or newer, no renegotiation, no compression, partial writes, released buffers, read-ahead. */
void psys_tls_context_defaults(struct ssl_ctx_st *_Nonnull context, size_t read_buffer);
/* 1 if OpenSSL's own default file or folder of trusted certificates has something in it. */
int32_t psys_tls_has_default_trust(void);
int32_t psys_tls_set_server_name(struct ssl_st *_Nonnull ssl, const char *_Nonnull name);
/* Host name (or IP literal) that the certificate must be for. 1 or 0. */
int32_t psys_tls_require_host(struct ssl_st *_Nonnull ssl, const char *_Nonnull host, int32_t is_ip);
/* Server side: takes "http/1.1" if the client offers it, ignores ALPN otherwise. */
void psys_tls_select_http11(struct ssl_ctx_st *_Nonnull context);
/* A BIO over two functions: read and write return bytes, 0 for the end, PSYS_TLS_RETRY or PSYS_TLS_FAILED. */
enum { PSYS_TLS_RETRY = -1, PSYS_TLS_FAILED = -2 };
typedef int32_t (*psys_tls_read)(void *_Nonnull owner, void *_Nonnull bytes, int32_t count);
typedef int32_t (*psys_tls_write)(void *_Nonnull owner, const void *_Nonnull bytes, int32_t count);
/* Prepares OpenSSL; once, by one thread, before all others here. 1, or 0 if OpenSSL can't start. */
int32_t psys_tls_initialise(psys_tls_read _Nonnull read, psys_tls_write _Nonnull write);
/* A BIO over these functions, called with `owner`; NULL if there is no memory. The SSL takes it over. */
struct bio_st *_Nullable psys_tls_bio(void *_Nonnull owner);
/* Takes the oldest error of this thread's queue, the cause of the others, as reason text ("certificate verify failed"),
 * and empties the queue. Returns the reason code, 0 if there was none. */
int32_t psys_tls_take_error(char *_Nonnull buffer, size_t size);
int32_t psys_tls_is_unexpected_eof(int32_t reason);
/* Subject alternative names (or the common name) of the certificate that a client refused last on this SSL, separated
 * by ", ", cut to `size`; empty if none was seen. */
void psys_tls_refused_names(struct ssl_st *_Nonnull ssl, char *_Nonnull buffer, size_t size);
/* Client side: verify the peer, and remember what is needed for psys_tls_refused_names. */
void psys_tls_verify_peer(struct ssl_st *_Nonnull ssl);

#ifdef __cplusplus
}
#endif
#endif
