/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of tokens: keys are read once, and a signature is checked against one of them. */
#include "CPulseSys.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* Run once a connection or so. */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

enum { LEAST_SECRET = 32, MOST_MATERIAL = 1 << 16, LEAST_RSA_BITS = 2048, MOST_RSA_BITS = 16384, P256_SIGNATURE = 64 };

struct psys_token_key {
    int32_t algorithm;
    EVP_PKEY *key;
    size_t size;
    uint8_t secret[];
};

/* Otherwise OpenSSL would ask at the terminal. */
static int no_password(char *buffer, int size, int writing, void *argument) {
    (void)buffer, (void)size, (void)writing, (void)argument;
    return -1;
}

static EVP_PKEY *read_public(const void *bytes, size_t size) {
    BIO *bio = BIO_new_mem_buf(bytes, (int)size);
    if (!bio) return NULL;
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    if (!key && BIO_reset(bio) == 1) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        if (certificate) key = X509_get_pubkey(certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    return key;
}

/* What is wrong with it for the algorithm; NULL if nothing is. */
static const char *unfit(int32_t algorithm, EVP_PKEY *key) {
    int kind = EVP_PKEY_get_base_id(key);
    if (algorithm == PSYS_TOKEN_RS256) {
        if (kind != EVP_PKEY_RSA) return "it is not an RSA key";
        if (EVP_PKEY_get_bits(key) < LEAST_RSA_BITS) return "an RSA key has to have at least 2048 bits";
        return EVP_PKEY_get_bits(key) > MOST_RSA_BITS ? "an RSA key may have at most 16384 bits" : NULL;
    }
    if (algorithm == PSYS_TOKEN_ES256) {
        char curve[32];
        size_t length;
        int is_p256 = kind == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, curve, sizeof curve, &length) == 1 &&
                      OBJ_txt2nid(curve) == NID_X9_62_prime256v1;
        return is_p256 ? NULL : "it is not a key of the curve P-256";
    }
    return kind == EVP_PKEY_ED25519 ? NULL : "it is not an Ed25519 key";
}

static int begins_as_pem(const uint8_t *bytes, size_t size) {
    static const char mark[] = "-----BEGIN";
    while (size && (*bytes == ' ' || *bytes == '\t' || *bytes == '\r' || *bytes == '\n')) bytes++, size--;
    return size >= sizeof mark - 1 && memcmp(bytes, mark, sizeof mark - 1) == 0;
}

psys_token_key *psys_token_key_make(int32_t algorithm, const void *material, size_t size, const char **why) {
    static const char no_memory[] = "there is no memory";
    int is_secret = algorithm == PSYS_TOKEN_HS256;
    EVP_PKEY *key = NULL;
    *why = NULL;
    /* Without the exit handler, as for TLS. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) != 1) *why = "OpenSSL can't start";
    else if (size > MOST_MATERIAL) *why = "it has more than 65536 bytes";
    else if (is_secret && size < LEAST_SECRET) *why = "a secret has to have at least 32 bytes";
    /* A public key as a secret is known to everybody. */
    else if (is_secret && begins_as_pem(material, size)) *why = "a secret can't be a key in PEM";
    if (*why) return NULL;
    if (!is_secret) {
        key = read_public(material, size);
        *why = key ? unfit(algorithm, key) : "it holds no public key or certificate in PEM";
        ERR_clear_error();
    }
    size_t kept = is_secret ? size : 0;
    psys_token_key *made = *why ? NULL : psys_malloc(sizeof *made + kept);
    if (!made) {
        if (!*why) *why = no_memory;
        EVP_PKEY_free(key);
        return NULL;
    }
    made->algorithm = algorithm;
    made->key = key;
    made->size = kept;
    if (kept) memcpy(made->secret, material, kept);
    return made;
}

void psys_token_key_free(psys_token_key *key) {
    EVP_PKEY_free(key->key);
    OPENSSL_cleanse(key->secret, key->size);
    psys_free(key);
}

static int check_hmac(const psys_token_key *key, const void *bytes, size_t count, const uint8_t *signature,
                      size_t size) {
    uint8_t own[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!HMAC(EVP_sha256(), key->secret, (int)key->size, bytes, count, own, &length)) return 0;
    int fits = length == size && CRYPTO_memcmp(own, signature, length) == 0;
    OPENSSL_cleanse(own, sizeof own);
    return fits;
}

/* RFC 7518 §3.4: a token has both numbers one behind the other, OpenSSL wants them in DER. */
static int p256_der(const uint8_t *signature, uint8_t **der) {
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, P256_SIGNATURE / 2, NULL);
    BIGNUM *s = BN_bin2bn(signature + P256_SIGNATURE / 2, P256_SIGNATURE / 2, NULL);
    int length = -1;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1) {
        length = i2d_ECDSA_SIG(pair, der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return length;
}

int32_t psys_token_check(const psys_token_key *key, const void *bytes, size_t count, const void *signature,
                         size_t size) {
    if (key->algorithm == PSYS_TOKEN_HS256) return check_hmac(key, bytes, count, signature, size);
    uint8_t *der = NULL;
    if (key->algorithm == PSYS_TOKEN_ES256) {
        int length = size == P256_SIGNATURE ? p256_der(signature, &der) : -1;
        if (length < 0) {
            ERR_clear_error();
            return 0;
        }
        signature = der;
        size = (size_t)length;
    }
    const EVP_MD *digest = key->algorithm == PSYS_TOKEN_EDDSA ? NULL : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int fits = context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key->key) == 1 &&
               EVP_DigestVerify(context, signature, size, bytes, count) == 1;
    EVP_MD_CTX_free(context);
    OPENSSL_free(der);
    /* What is left there, TLS would take for its own. */
    ERR_clear_error();
    return fits;
}

#pragma clang attribute pop
