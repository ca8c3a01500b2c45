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
/* Opens a file to append to, made with mode 0600 or brought to it, closed at exec. A descriptor or -errno; INT32_MIN if
 * it is not a regular file. */
int32_t psys_open_log(const char *_Nonnull path);
/* Writes a line of the log: never blocks on a full pipe, never raises SIGPIPE. 1, or 0 if the line was not written. */
int32_t psys_write_line(int32_t descriptor, const void *_Nonnull bytes, size_t count);
/* The level of the log, for a look without a lock. */
int32_t psys_log_level(void);
void psys_log_set_level(int32_t level);
/* Device, inode, size and time of change of a file, which tell whether it is still the same: 32 bytes, all 0 if there
 * is none. */
void psys_file_identity(const char *_Nonnull path, void *_Nonnull bytes);

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
/* Grows by one in a child each time the process forks; the level of the log is 0 there. */
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
/* As psys_recv, and the bytes stay. */
int64_t psys_peek(int32_t descriptor, void *_Nonnull bytes, size_t count);
int64_t psys_send(int32_t descriptor, const void *_Nonnull bytes, size_t count);
/* How many bytes the peer has acknowledged since the connection began; 0 where the kernel does not say. *waiting: those
 * that it has not yet. */
int64_t psys_tcp_acknowledged(int32_t descriptor, int32_t *_Nullable waiting);
/* From now on the kernel takes no more than 128 KiB beyond what is on its way. */
void psys_tcp_limit_unsent(int32_t descriptor);
int32_t psys_shutdown_write(int32_t descriptor);
/* Closes with a reset instead of a FIN. */
void psys_close_reset(int32_t descriptor);
void psys_close(int32_t descriptor);
/* A pair of connected, non-blocking stream sockets with CLOEXEC. 0 or -errno. */
int32_t psys_socket_pair(int32_t *_Nonnull first, int32_t *_Nonnull second);
void psys_set_buffer_sizes(int32_t descriptor, int32_t receive, int32_t send);

/* ---- The serving side (serve.c) ---- */
/* As struct iovec. */
typedef struct psys_piece {
    const void *_Nullable bytes;
    size_t count;
} psys_piece;
/* As psys_send, of at most 1024 pieces in one call. */
int64_t psys_send_pieces(int32_t descriptor, const psys_piece *_Nonnull pieces, size_t count);
/* Binds and listens; a socket file that nobody listens on is replaced. *identity: for psys_unix_remove. A descriptor or
 * -errno. */
int32_t psys_unix_listen(const char *_Nonnull path, int32_t backlog, uint64_t *_Nonnull identity);
/* Removes the socket file if it is still the one that was made. */
void psys_unix_remove(const char *_Nonnull path, uint64_t identity);
/* Another descriptor, non-blocking, of a stream socket that listens; -errno, -EINVAL for anything else. */
int32_t psys_listener_copy(int32_t descriptor);
/* A descriptor that can be given up to take one connection more when there are no others. Or -errno. */
int32_t psys_spare(void);
/* 1 for a stream socket that does not listen. */
int32_t psys_is_stream_socket(int32_t descriptor);
/* Also closed at exec. 0 or -errno. */
int32_t psys_set_nonblocking(int32_t descriptor);
typedef struct psys_served_file {
    int64_t size, seconds, nanoseconds;
    uint64_t inode;
    int32_t kind; /* 1 a regular file, 2 a folder, 0 else */
} psys_served_file;
/* A folder, to open files beneath. A descriptor or -errno. */
int32_t psys_folder_open(const char *_Nonnull path);
/* Opens for reading what no symbolic link leads out of the folder for. A descriptor or -errno. */
int32_t psys_file_beneath(int32_t folder, const char *_Nonnull path, psys_served_file *_Nonnull file);

/* ---- Files in memory (file.c) ---- */
typedef struct psys_file {
    uint64_t device, inode;
    int64_t size;
    int32_t is_regular;
} psys_file;
/* What is at a path. 0 or -errno. */
int32_t psys_file_look(const char *_Nonnull path, psys_file *_Nonnull file);
/* Opens for reading and writing, closed at exec; one that does not exist is made with mode 0600. A descriptor or -errno. */
int32_t psys_file_open(const char *_Nonnull path, psys_file *_Nonnull file, int32_t *_Nonnull created);
/* Locks against other processes, not against this one; gone when this process closes any descriptor of the file. Children
 * do not have it. 0, the process that has it, or -errno. */
int32_t psys_file_lock(int32_t descriptor);
/* Makes the file at least this long, with room on the disk for all of it. 0 or -errno. */
int32_t psys_file_reserve(int32_t descriptor, int64_t size);
/* How many bytes there were, or -errno. */
int64_t psys_file_read(int32_t descriptor, void *_Nonnull bytes, size_t count, int64_t offset);
/* All of them. 0 or -errno. */
int32_t psys_file_write(int32_t descriptor, const void *_Nonnull bytes, size_t count, int64_t offset);
void psys_file_remove(const char *_Nonnull path);
int32_t psys_file_empty(int32_t descriptor);
/* The file's first bytes, shared with it, not with children. NULL with *error. */
void *_Nullable psys_map(int32_t descriptor, size_t size, int32_t *_Nonnull error);
void psys_unmap(void *_Nonnull memory, size_t size);
/* psys_realtime_ns to some milliseconds, for less. */
int64_t psys_realtime_coarse_ns(void);

/* ---- TLS: what OpenSSL has only as macros (tls.c) ---- */
struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct bio_st;
/* TLS 1.2 or newer, no renegotiation, no compression, partial writes, released buffers, read-ahead. */
void psys_tls_context_defaults(struct ssl_ctx_st *_Nonnull context, size_t read_buffer);
void psys_tls_require_13(struct ssl_ctx_st *_Nonnull context);
/* The certificate that a client shows, and its key. Nobody is asked for a password at a terminal; an empty one is none.
 * NULL if all is well, else what is wrong; empty if OpenSSL's error says it. */
const char *_Nullable psys_tls_use_certificate(struct ssl_ctx_st *_Nonnull context, const char *_Nonnull path);
const char *_Nullable psys_tls_use_key(struct ssl_ctx_st *_Nonnull context, const char *_Nonnull path,
                                       const char *_Nonnull password);
int32_t psys_tls_set_server_name(struct ssl_st *_Nonnull ssl, const char *_Nonnull name);
/* Host name (or IP literal) that the certificate must be for. 1 or 0. */
int32_t psys_tls_require_host(struct ssl_st *_Nonnull ssl, const char *_Nonnull host, int32_t is_ip);
/* Server side: takes "http/1.1" if the client offers it, ignores ALPN otherwise. */
void psys_tls_select_http11(struct ssl_ctx_st *_Nonnull context);
/* A BIO over two functions: read and write return bytes, 0 for the end, PSYS_TLS_RETRY or PSYS_TLS_FAILED. */
enum { PSYS_TLS_RETRY = -1, PSYS_TLS_FAILED = -2 };
typedef int32_t (*psys_tls_read)(void *_Nonnull owner, void *_Nonnull bytes, int32_t count);
typedef int32_t (*psys_tls_write)(void *_Nonnull owner, const void *_Nonnull bytes, int32_t count);
/* A session that the server gave; the function copies what it wants to keep. */
typedef void (*psys_tls_news)(void *_Nonnull owner, struct ssl_session_st *_Nonnull session);
/* Prepares OpenSSL; once, by one thread, before all others here. 1, or 0 if OpenSSL can't start. */
int32_t psys_tls_initialise(psys_tls_read _Nonnull read, psys_tls_write _Nonnull write, psys_tls_news _Nonnull session);
/* A BIO over these functions, called with `owner`; NULL if there is no memory. The SSL takes it over. */
struct bio_st *_Nullable psys_tls_bio(void *_Nonnull owner);
/* Takes the oldest error of this thread's queue, the cause of the others, as reason text ("certificate verify failed"),
 * and empties the queue. Returns the reason code, 0 if there was none. */
int32_t psys_tls_take_error(char *_Nonnull buffer, size_t size);
int32_t psys_tls_is_unexpected_eof(int32_t reason);
/* Whether a client's sessions are told to the BIO's owner, or not even asked for. */
void psys_tls_keep_sessions(struct ssl_ctx_st *_Nonnull context, int32_t keep);
/* Neither it nor the certificate that it stands for has expired. */
int32_t psys_tls_session_is_usable(struct ssl_session_st *_Nonnull session);
int32_t psys_tls_session_is_13(struct ssl_session_st *_Nonnull session);

/* ---- TLS: what to trust (tls_trust.c) ---- */
/* OpenSSL's own places of trusted certificates, or those of the environment. */
const char *_Nonnull psys_tls_default_file(void);
const char *_Nonnull psys_tls_default_folder(void);
/* 1 if the folder has certificates under the names that OpenSSL looks for. */
int32_t psys_tls_hashed_folder(const char *_Nonnull path);
/* The place of a distribution, below `root`, and what it is; 0 if there is none. */
enum { PSYS_TLS_FILE = 1, PSYS_TLS_FOLDER = 2 };
int32_t psys_tls_search_trust(const char *_Nonnull root, char *_Nonnull path, size_t size);
/* Trusts what the system does. 1, 0 if that is nothing, or -1 with an error of OpenSSL. */
int32_t psys_tls_trust_system(struct ssl_ctx_st *_Nonnull context);
/* A trusted certificate is trusted also where it is not a root: that of an authority between, or a server's own. */
void psys_tls_trust_each(struct ssl_ctx_st *_Nonnull context);

/* ---- TLS: what certificates say (tls_peer.c) ---- */
int32_t psys_tls_peer_initialise(void);
/* Client side: verify the peer, and remember the certificate that is refused. */
void psys_tls_verify_peer(struct ssl_st *_Nonnull ssl);
/* Client side: remember whether the server asks for a certificate. */
void psys_tls_note_asking(struct ssl_st *_Nonnull ssl);
/* For a sentence about a server that asked in vain; empty otherwise. */
const char *_Nonnull psys_tls_asked_hint(struct ssl_st *_Nonnull ssl);
/* In the order of TransportErrorCode from `tls` on. */
enum {
    PSYS_TLS_OTHER,
    PSYS_TLS_CERTIFICATE,
    PSYS_TLS_HOSTNAME,
    PSYS_TLS_EXPIRED,
    PSYS_TLS_NOT_YET_VALID,
    PSYS_TLS_UNKNOWN_CA,
    PSYS_TLS_PURPOSE,
    PSYS_TLS_PIN,
    PSYS_TLS_VERSION,
    PSYS_TLS_TRUNCATED,
    PSYS_TLS_CLIENT_CERTIFICATE,
};
enum { PSYS_TLS_IS_HANDSHAKE = 1, PSYS_TLS_REQUIRES_13 = 2, PSYS_TLS_HAS_NO_TRUST = 4 };
/* Which failure an error with this reason is, and a sentence that names what the certificate says; what comes from the
 * peer is printable ASCII. `name`: that was asked for. */
int32_t psys_tls_explain(struct ssl_st *_Nonnull ssl, int32_t reason, const char *_Nonnull text, int32_t flags,
                         const char *_Nonnull host, const char *_Nonnull name, char *_Nonnull buffer, size_t size);
/* Whether a public key (SubjectPublicKeyInfo) of the verified chain, or with verified_chain 0 that of the server's own
 * certificate, has one of `count` SHA-256 values; else what they have: "sha256/BASE64 of SUBJECT, ...". */
int32_t psys_tls_has_pin(struct ssl_st *_Nonnull ssl, int32_t verified_chain, const uint8_t *_Nonnull pins,
                         size_t count, char *_Nonnull seen, size_t size);

/* ---- Signatures of tokens (token.c) ---- */
/* In the order of TokenAlgorithm. */
enum { PSYS_TOKEN_HS256, PSYS_TOKEN_RS256, PSYS_TOKEN_ES256, PSYS_TOKEN_EDDSA };
typedef struct psys_token_key psys_token_key;
/* A secret for HS256, else a public key or a certificate in PEM. NULL with *why, a sentence's part. */
psys_token_key *_Nullable psys_token_key_make(int32_t algorithm, const void *_Nullable material, size_t size,
                                              const char *_Nullable *_Nonnull why);
void psys_token_key_free(psys_token_key *_Nonnull key);
/* 1 if the signature is that of the bytes. Any thread. */
int32_t psys_token_check(const psys_token_key *_Nonnull key, const void *_Nullable bytes, size_t count,
                         const void *_Nullable signature, size_t size);

/* ---- The caches ---- */

/* Asks for memory that will be needed soon, without waiting for it. */
static inline void psys_fetch_ahead(const void *_Nonnull memory, size_t size) {
    for (size_t at = 0; at < size; at += 64) __builtin_prefetch((const char *)memory + at);
}

#ifdef __cplusplus
}
#endif
#endif
