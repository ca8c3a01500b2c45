/* SPDX-License-Identifier: Apache-2.0 */
#include "CPulseSys.h"

#include <dirent.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The once-only parts; psys_tls_initialise is called from a lazy global of Swift, so by one thread. */
static psys_tls_read read_below;
static psys_tls_write write_below;
static BIO_METHOD *method;
static int names_index = -1;
static BIO_METHOD *make_method(void);
static void free_names(void *parent, void *names, CRYPTO_EX_DATA *data, int index, long number, void *pointer);

int32_t psys_tls_initialise(psys_tls_read read, psys_tls_write write) {
    /* Without the exit handler: a thread may be inside OpenSSL while another ends the process. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL) != 1) return 0;
    read_below = read;
    write_below = write;
    method = make_method();
    names_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_names);
    return method != NULL;
}

void psys_tls_context_defaults(SSL_CTX *context, size_t read_buffer) {
    /* A system policy may ask for more than 1.2, never for less. */
    if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION)
        SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* One recv takes what is there, be it many records; record by record costs two calls each. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, read_buffer);
}

static int folder_has_files(const char *path) {
    DIR *folder = opendir(path);
    int found = 0;
    if (!folder) return 0;
    for (struct dirent *entry; !found && (entry = readdir(folder));) found = entry->d_name[0] != '.';
    closedir(folder);
    return found;
}
int32_t psys_tls_has_default_trust(void) {
    /* The variables count as in SSL_CTX_set_default_verify_paths. */
    const char *file = getenv(X509_get_default_cert_file_env()), *folder = getenv(X509_get_default_cert_dir_env());
    return access(file ? file : X509_get_default_cert_file(), R_OK) == 0 ||
           folder_has_files(folder ? folder : X509_get_default_cert_dir());
}

int32_t psys_tls_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name) == 1; }

int32_t psys_tls_require_host(SSL *ssl, const char *host, int32_t is_ip) {
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    if (is_ip) return X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1;
    /* A wildcard stands for a whole label (RFC 6125 §6.4.3): no "f*.example.com". */
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
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
    if (got == PSYS_TLS_RETRY) { BIO_set_retry_read(bio); return -1; }
    /* OpenSSL tells a cut connection from an error by asking the BIO whether it is at its end. */
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return got < 0 ? -1 : got;
}
static int bio_write(BIO *bio, const char *bytes, int count) {
    BIO_clear_retry_flags(bio);
    if (count <= 0) return 0;
    int sent = write_below(BIO_get_data(bio), bytes, count);
    if (sent == PSYS_TLS_RETRY) { BIO_set_retry_write(bio); return -1; }
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
static int bio_create(BIO *bio) { BIO_set_init(bio, 1); return 1; }

static BIO_METHOD *make_method(void) {
    BIO_METHOD *made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "pulsews stream");
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

/* ---- Verification ---- */

static void free_names(void *parent, void *names, CRYPTO_EX_DATA *data, int index, long number, void *pointer) {
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    OPENSSL_free(names);
}

enum { NAMES_SIZE = 256 };

/* Only printable ASCII of the certificate reaches an error sentence. */
static void append(char *names, const unsigned char *bytes, size_t length) {
    size_t used = strlen(names);
    if (used + (used ? 2 : 0) + length + 1 > NAMES_SIZE) return;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] <= 0x20 || bytes[i] >= 0x7f) return;
    if (used) { memcpy(names + used, ", ", 2); used += 2; }
    memcpy(names + used, bytes, length);
    names[used + length] = 0;
}

static int verified(int fine, X509_STORE_CTX *store) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    int error = X509_STORE_CTX_get_error(store);
    if (fine || !ssl || !certificate || names_index < 0) return fine;
    if (error != X509_V_ERR_HOSTNAME_MISMATCH && error != X509_V_ERR_IP_ADDRESS_MISMATCH) return fine;
    char *names = OPENSSL_zalloc(NAMES_SIZE);
    if (!names) return fine;
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; list && i < sk_GENERAL_NAME_num(list); i++) {
        int kind = 0;
        void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(list, i), &kind);
        if (kind == GEN_DNS) {
            append(names, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
        } else if (kind == GEN_IPADD) {
            char *text = i2s_ASN1_OCTET_STRING(NULL, value);
            const unsigned char *bytes = ASN1_STRING_get0_data(value);
            char dotted[16] = "";
            if (ASN1_STRING_length(value) == 4)
                BIO_snprintf(dotted, sizeof dotted, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
            const char *shown = dotted[0] ? dotted : text;
            if (shown) append(names, (const unsigned char *)shown, strlen(shown));
            OPENSSL_free(text);
        }
    }
    GENERAL_NAMES_free(list);
    OPENSSL_free(SSL_get_ex_data(ssl, names_index));
    SSL_set_ex_data(ssl, names_index, names);
    return fine;
}

void psys_tls_verify_peer(SSL *ssl) { SSL_set_verify(ssl, SSL_VERIFY_PEER, verified); }

void psys_tls_refused_names(SSL *ssl, char *buffer, size_t size) {
    const char *names = names_index >= 0 ? SSL_get_ex_data(ssl, names_index) : NULL;
    if (size == 0) return;
    buffer[0] = 0;
    if (names) { strncpy(buffer, names, size - 1); buffer[size - 1] = 0; }
}
