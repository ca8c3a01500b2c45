/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates say: the one that was refused, this side's own, and the keys to pin. */
#include "CPulseSys.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Run once a connection at most. */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

static int refused_index = -1, asked_index = -1;

static void free_refused(void *parent, void *certificate, CRYPTO_EX_DATA *data, int index, long number, void *pointer) {
    (void)parent, (void)data, (void)index, (void)number, (void)pointer;
    X509_free(certificate);
}

int32_t psys_tls_peer_initialise(void) {
    refused_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_refused);
    asked_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return refused_index >= 0 && asked_index >= 0;
}

/* ---- Noted during the handshake ---- */

static int verified(int fine, X509_STORE_CTX *store) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (fine || !ssl || !certificate || X509_up_ref(certificate) != 1) return fine;
    X509_free(SSL_get_ex_data(ssl, refused_index));
    if (SSL_set_ex_data(ssl, refused_index, certificate) != 1) X509_free(certificate);
    return fine;
}
void psys_tls_verify_peer(SSL *ssl) { SSL_set_verify(ssl, SSL_VERIFY_PEER, verified); }

static int asked(SSL *ssl, void *argument) {
    static char yes;
    (void)argument;
    SSL_set_ex_data(ssl, asked_index, &yes);
    return 1;
}
void psys_tls_note_asking(SSL *ssl) { SSL_set_cert_cb(ssl, asked, NULL); }

/* ---- Words ---- */

typedef struct {
    char *bytes;
    size_t size, used;
    int is_cut;
} list;

/* Only printable ASCII of a certificate reaches an error sentence. */
static void append(list *to, const unsigned char *bytes, size_t length) {
    size_t gap = to->used ? 2 : 0;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] < 0x20 || bytes[i] >= 0x7f) return;
    /* Room is kept for the sign that there is more. */
    if (length == 0 || to->is_cut || to->used + gap + length + 6 > to->size) {
        to->is_cut |= length > 0;
        return;
    }
    if (gap) memcpy(to->bytes + to->used, ", ", 2);
    memcpy(to->bytes + to->used + gap, bytes, length);
    to->used += gap + length;
    to->bytes[to->used] = 0;
}

static void append_name(list *to, const X509_NAME *name) {
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    if (!memory) return;
    /* Everything but printable ASCII comes escaped. */
    if (X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) >= 0) {
        long length = BIO_get_mem_data(memory, &bytes);
        if (length > 160) length = 160;
        if (length > 0) append(to, (const unsigned char *)bytes, (size_t)length);
    }
    BIO_free(memory);
}

static void append_names(list *to, X509 *certificate) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        int kind = 0;
        void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
        if (kind == GEN_DNS) {
            append(to, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
        } else if (kind == GEN_IPADD) {
            const unsigned char *bytes = ASN1_STRING_get0_data(value);
            char text[48] = "";
            if (ASN1_STRING_length(value) == 4) {
                snprintf(text, sizeof text, "%d.%d.%d.%d", bytes[0], bytes[1], bytes[2], bytes[3]);
                append(to, (const unsigned char *)text, strlen(text));
            } else {
                char *long_text = i2s_ASN1_OCTET_STRING(NULL, value);
                if (long_text) append(to, (const unsigned char *)long_text, strlen(long_text));
                OPENSSL_free(long_text);
            }
        }
    }
    GENERAL_NAMES_free(names);
}

/* ---- Sentences ---- */

static void take_name(const X509_NAME *name, char *buffer, size_t size) {
    list to = {buffer, size, 0, 0};
    buffer[0] = 0;
    append_name(&to, name);
}
static void take_time(const ASN1_TIME *time, char *buffer, size_t size) {
    struct tm parts;
    buffer[0] = 0;
    if (ASN1_TIME_to_tm(time, &parts) == 1) /* NULL: now */
        snprintf(buffer, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                 parts.tm_hour, parts.tm_min, parts.tm_sec);
}

/* "subject, issued by issuer", and one of its dates. */
typedef struct {
    char who[400], when[80];
} about;
static void describe(X509 *certificate, int wants_start, about *words) {
    words->who[0] = words->when[0] = 0;
    if (!certificate) return;
    char subject[180], issuer[180];
    take_name(X509_get_subject_name(certificate), subject, sizeof subject);
    take_name(X509_get_issuer_name(certificate), issuer, sizeof issuer);
    snprintf(words->who, sizeof words->who, "%s, issued by %s", subject[0] ? subject : "one without a subject", issuer);
    take_time(wants_start ? X509_get0_notBefore(certificate) : X509_get0_notAfter(certificate), words->when,
              sizeof words->when);
}

static int32_t explain_refusal(SSL *ssl, long verdict, int32_t flags, const char *host, const char *name, char *buffer,
                               size_t size) {
    X509 *certificate = SSL_get_ex_data(ssl, refused_index);
    about words;
    const char *advice;
    char now[80], names[256] = "";
    list to = {names, sizeof names, 0, 0};
    describe(certificate, verdict == X509_V_ERR_CERT_NOT_YET_VALID, &words);
    take_time(NULL, now, sizeof now);
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(buffer, size,
                 "a certificate of %s has expired: %s, was valid until %s; by this machine's clock it "
                 "is %s",
                 host, words.who, words.when, now);
        return PSYS_TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(buffer, size,
                 "a certificate of %s is not valid yet: %s, is valid from %s on; by this machine's clock "
                 "it is %s, is that right?",
                 host, words.who, words.when, now);
        return PSYS_TLS_NOT_YET_VALID;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (certificate) append_names(&to, certificate);
        if (to.is_cut) memcpy(names + to.used, ", ...", 6);
        snprintf(buffer, size,
                 "the certificate is not for %s, but for %s%s; if this is the right server, option "
                 "server_name sets the name to check",
                 name,
                 names[0] ? names : "no host at all, having no subject alternative names: ", names[0] ? "" : words.who);
        return PSYS_TLS_HOSTNAME;
    case X509_V_ERR_INVALID_PURPOSE:
        snprintf(buffer, size,
                 "a certificate of %s is not meant for servers: %s; its extended key usage lacks "
                 "serverAuth",
                 host, words.who);
        return PSYS_TLS_PURPOSE;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        advice = flags & PSYS_TLS_HAS_NO_TRUST
                     ? "no trusted certificates were found on this machine: install ca-certificates, or set ca_file or "
                       "SSL_CERT_FILE"
                 : verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
                     ? "it is signed by itself: if it is the right one, give it as ca_file"
                 : verdict == X509_V_ERR_CERT_SIGNATURE_FAILURE
                     ? "the trusted authority of that name has another key: does ca_file hold an old one?"
                     : "give that authority as ca_file, or have the server send the certificates between";
        snprintf(buffer, size, "a certificate of %s comes from an authority that is not trusted: %s; %s", host,
                 words.who, advice);
        return PSYS_TLS_UNKNOWN_CA;
    default:
        snprintf(buffer, size, "a certificate of %s does not verify: %s: %s", host,
                 X509_verify_cert_error_string(verdict), words.who);
        return PSYS_TLS_CERTIFICATE;
    }
}

/* RFC 8446 §6.2. A server that did not ask for a certificate means something else. */
static int is_about_client_certificate(SSL *ssl, int alert) {
    switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED: return 1;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_NO_CERTIFICATE:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR: return SSL_get_ex_data(ssl, asked_index) != NULL;
    default: return 0;
    }
}

static void explain_client(SSL *ssl, const char *host, const char *cause, char *buffer, size_t size) {
    const STACK_OF(X509_NAME) *wanted = SSL_get0_peer_CA_list(ssl);
    X509 *own = SSL_get_certificate(ssl);
    about words;
    char issuers[256] = "";
    list to = {issuers, sizeof issuers, 0, 0};
    for (int i = 0; wanted && i < sk_X509_NAME_num(wanted); i++) append_name(&to, sk_X509_NAME_value(wanted, i));
    if (to.is_cut) memcpy(issuers + to.used, ", ...", 6);
    describe(own, 0, &words);
    snprintf(buffer, size, "%s %s%s%s%s; %s%s%s", host,
             own ? "refuses the client certificate "
                 : "wants a client certificate: set client_certificate and client_key",
             words.who, own ? ", valid until " : "", words.when, cause, issuers[0] ? "; it accepts those of " : "",
             issuers);
}

static const char asked_hint[] = " (it asked for a client certificate, and client_certificate is not set)";
const char *psys_tls_asked_hint(SSL *ssl) {
    return SSL_get_ex_data(ssl, asked_index) && !SSL_get_certificate(ssl) ? asked_hint : "";
}

int32_t psys_tls_explain(SSL *ssl, int32_t reason, const char *text, int32_t flags, const char *host, const char *name,
                         char *buffer, size_t size) {
    long verdict = SSL_get_verify_result(ssl);
    int alert = reason - SSL_AD_REASON_OFFSET;
    if (alert <= 0 || alert > 255) alert = -1;
    char cause[200];
    /* The reason alone does not tell: a CA with the right name and another key fails in the signature's arithmetic. */
    if ((flags & PSYS_TLS_IS_HANDSHAKE) && verdict != X509_V_OK && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER))
        return explain_refusal(ssl, verdict, flags, host, name, buffer, size);
    /* OpenSSL has no word for this one. */
    const char *said = alert == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required"
                                                            : SSL_alert_desc_string_long(alert);
    snprintf(cause, sizeof cause, "%s%s", alert < 0 ? "" : "the other side sent the alert ", alert < 0 ? text : said);
    if (is_about_client_certificate(ssl, alert)) {
        explain_client(ssl, host, cause, buffer, size);
        return PSYS_TLS_CLIENT_CERTIFICATE;
    }
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        snprintf(buffer, size, "the TLS handshake with %s failed: it does not speak TLS %s (%s)", host,
                 flags & PSYS_TLS_REQUIRES_13 ? "1.3, as tls_min_version asks for" : "1.2 or newer", cause);
        return PSYS_TLS_VERSION;
    default: break;
    }
    const char *hint = psys_tls_asked_hint(ssl);
    if (reason == SSL_R_WRONG_VERSION_NUMBER) hint = " (does this port speak TLS?)";
    if (alert == SSL_AD_UNRECOGNIZED_NAME) hint = " (it does not serve this name; option server_name sets another)";
    if (alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_INSUFFICIENT_SECURITY)
        hint = " (often: no cipher suite that both sides accept)";
    snprintf(buffer, size, "the TLS %s with %s failed: %s%s",
             flags & PSYS_TLS_IS_HANDSHAKE ? "handshake" : "connection", host, cause, hint);
    return PSYS_TLS_OTHER;
}

/* ---- Pins ---- */

int32_t psys_tls_has_pin(SSL *ssl, int32_t verified_chain, const uint8_t *pins, size_t count, char *seen, size_t size) {
    STACK_OF(X509) *chain = verified_chain ? SSL_get0_verified_chain(ssl) : NULL;
    size_t used = 0;
    seen[0] = 0;
    for (int index = 0; index < (verified_chain ? (chain ? sk_X509_num(chain) : 0) : 1); index++) {
        X509 *certificate = verified_chain ? sk_X509_value(chain, index) : SSL_get0_peer_certificate(ssl);
        unsigned char *bytes = NULL, digest[32], text[48];
        unsigned made = 0;
        char subject[180];
        int length = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes) : 0;
        int fine = length > 0 && EVP_Digest(bytes, (size_t)length, digest, &made, EVP_sha256(), NULL) == 1;
        OPENSSL_free(bytes);
        if (!fine) continue;
        for (size_t pin = 0; pin < count; pin++)
            if (memcmp(pins + 32 * pin, digest, 32) == 0) return 1;
        EVP_EncodeBlock(text, digest, 32);
        take_name(X509_get_subject_name(certificate), subject, sizeof subject);
        int more = snprintf(seen + used, size - used, "%ssha256/%s of %s", used ? ", " : "", (char *)text, subject);
        if (more > 0 && (size_t)more < size - used) used += (size_t)more;
    }
    return 0;
}

#pragma clang attribute pop
