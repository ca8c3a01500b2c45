/* SPDX-License-Identifier: Apache-2.0 */
#include "CPulseSys.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

/* The once-only parts; psys_tls_initialise is called from a lazy global of Swift, so by one thread. */
static psys_tls_read read_below;
static psys_tls_write write_below;
static psys_tls_news tell_session;
static BIO_METHOD *method;
static int bio_type;
static BIO_METHOD *make_method(void);

int32_t psys_tls_initialise(psys_tls_read read, psys_tls_write write, psys_tls_news session) {
    /* Without the exit handler: a thread may be inside OpenSSL while another ends the process. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) != 1) return 0;
    read_below = read;
    write_below = write;
    tell_session = session;
    method = make_method();
    return method != NULL && psys_tls_peer_initialise();
}

void psys_tls_context_defaults(SSL_CTX *context, size_t read_buffer) {
    /* A system policy may ask for more than 1.2, never for less. */
    if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION) SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* One recv takes what is there, be it many records; record by record costs two calls each. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, read_buffer);
}

void psys_tls_require_13(SSL_CTX *context) { SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION); }

/* ---- The client's certificate ---- */

typedef struct {
    const char *password;
    int asked;
} secret;

/* Without this OpenSSL would ask at the terminal. */
static int give_password(char *buffer, int size, int writing, void *argument) {
    secret *own = argument;
    (void)writing;
    if (!own) return -1;
    own->asked = 1;
    size_t length = strlen(own->password);
    if (length == 0 || length > (size_t)size) return -1;
    memcpy(buffer, own->password, length);
    return (int)length;
}
static const char *no_pem(void) {
    unsigned long error = ERR_peek_error();
    int lib = ERR_GET_LIB(error), reason = ERR_GET_REASON(error);
    int is_none = (lib == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) ||
                  (lib == ERR_LIB_OSSL_DECODER && reason == ERR_R_UNSUPPORTED);
    return is_none ? "it holds nothing of that kind in PEM" : "";
}
const char *psys_tls_use_certificate(SSL_CTX *context, const char *path) {
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return SSL_CTX_use_certificate_chain_file(context, path) == 1 ? NULL : no_pem();
}
const char *psys_tls_use_key(SSL_CTX *context, const char *path, const char *password) {
    static const char other[] = "it is not the key of client_certificate";
    secret own = {password, 0};
    SSL_CTX_set_default_passwd_cb_userdata(context, &own);
    int fine = SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    /* A key of the same kind that does not fit is refused in the same call, one of another kind only by the check. */
    if (fine) return SSL_CTX_check_private_key(context) == 1 ? NULL : other;
    unsigned long error = ERR_peek_error();
    if (ERR_GET_LIB(error) == ERR_LIB_X509 && ERR_GET_REASON(error) == X509_R_KEY_VALUES_MISMATCH) return other;
    if (!own.asked) return no_pem();
    if (password[0]) return "client_key_password is not its password";
    return "it is encrypted, and client_key_password is not set";
}

/* ---- Sessions ---- */

static int session_came(SSL *ssl, SSL_SESSION *session) {
    BIO *bio = SSL_get_rbio(ssl);
    if (bio && method && BIO_method_type(bio) == bio_type) tell_session(BIO_get_data(bio), session);
    return 0; /* no reference was kept */
}
void psys_tls_keep_sessions(SSL_CTX *context, int32_t keep) {
    if (keep) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, session_came);
    } else {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    }
}
int32_t psys_tls_session_is_usable(SSL_SESSION *session) {
    X509 *certificate = SSL_SESSION_get0_peer(session);
    int64_t now = psys_realtime_ns() / 1000000000, made = SSL_SESSION_get_time(session);
    if (!SSL_SESSION_is_resumable(session) || now < made || now - made >= SSL_SESSION_get_timeout(session)) return 0;
    /* No certificate is shown in a resumed handshake: one that has expired since would go unseen. */
    return !certificate || X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}
int32_t psys_tls_session_is_13(SSL_SESSION *session) {
    return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

int32_t psys_tls_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name) == 1; }

int32_t psys_tls_require_host(SSL *ssl, const char *host, int32_t is_ip) {
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    if (is_ip) return X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1;
    /* A wildcard stands for a whole label, and the common name for nothing (RFC 9525 §6.3, §2). */
    X509_VERIFY_PARAM_set_hostflags(parameters,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1;
}

static int choose_http11(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                         unsigned in_length, void *argument) {
    (void)ssl, (void)argument;
    static const unsigned char own[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_length, own, 9, in, in_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}
void psys_tls_select_http11(SSL_CTX *context) { SSL_CTX_set_alpn_select_cb(context, choose_http11, NULL); }

/* ---- The BIO over a byte stream ---- */

static int bio_read(BIO *bio, char *bytes, int count) {
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    int got = read_below(BIO_get_data(bio), bytes, count);
    if (got == PSYS_TLS_RETRY) {
        BIO_set_retry_read(bio);
        return -1;
    }
    /* OpenSSL tells a cut connection from an error by asking the BIO whether it is at its end. */
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return got < 0 ? -1 : got;
}
static int bio_write(BIO *bio, const char *bytes, int count) {
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    int sent = write_below(BIO_get_data(bio), bytes, count);
    if (sent == PSYS_TLS_RETRY) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return sent <= 0 ? -1 : sent;
}
static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)number, (void)pointer;
    switch (command) {
    case BIO_CTRL_EOF: return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_DUP: return 1;
    default: return 0;
    }
}
static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_method(void) {
    bio_type = BIO_TYPE_SOURCE_SINK | BIO_get_new_index();
    BIO_METHOD *made = BIO_meth_new(bio_type, "pulsews stream");
    if (!made) return NULL;
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    BIO_meth_set_create(made, bio_create);
    return made;
}

BIO *psys_tls_bio(void *owner) {
    BIO *bio = method ? BIO_new(method) : NULL;
    if (bio) BIO_set_data(bio, owner);
    return bio;
}

/* ---- Errors ---- */

int32_t psys_tls_take_error(char *buffer, size_t size) {
    if (size) buffer[0] = 0;
    unsigned long error = ERR_peek_error();
    ERR_clear_error();
    if (error == 0 || size == 0) return 0;
    const char *reason = ERR_reason_error_string(error);
    char system_text[128] = "";
    if (ERR_SYSTEM_ERROR(error)) {
        psys_error_text(ERR_GET_REASON(error), system_text, sizeof system_text);
        reason = system_text;
    }
    if (reason) {
        size_t length = strlen(reason);
        if (length >= size) length = size - 1;
        memcpy(buffer, reason, length);
        buffer[length] = 0;
    } else {
        ERR_error_string_n(error, buffer, size);
    }
    return (int32_t)ERR_GET_REASON(error);
}
int32_t psys_tls_is_unexpected_eof(int32_t reason) { return reason == SSL_R_UNEXPECTED_EOF_WHILE_READING; }
