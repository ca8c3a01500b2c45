/* SPDX-License-Identifier: Apache-2.0 */
/* Where the certificates are that a system trusts. */
#include "CPulseSys.h"
#include "old_libc.h"

#include <dirent.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Run once a process or so. */
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)

/* An empty file is what is left where the package was removed. */
static int has_content(const char *path) {
    struct stat found;
    return access(path, R_OK) == 0 && look_at(path, &found, 0) == 0 && S_ISREG(found.st_mode) && found.st_size > 0;
}
/* OpenSSL looks for "9d66eef0.0" and the like, and sees nothing else. */
static int is_hashed(const char *name) {
    if (strspn(name, "0123456789abcdef") != 8 || name[8] != '.') return 0;
    size_t digits = strspn(name + 9, "0123456789");
    return digits > 0 && name[9 + digits] == 0;
}
int32_t psys_tls_hashed_folder(const char *path) {
    DIR *folder = opendir(path);
    int found = 0;
    if (!folder) return 0;
    for (struct dirent *entry; !found && (entry = readdir(folder));) found = is_hashed(entry->d_name);
    closedir(folder);
    return found;
}

const char *psys_tls_default_file(void) {
    const char *chosen = getenv(X509_get_default_cert_file_env());
    return chosen ? chosen : X509_get_default_cert_file();
}
const char *psys_tls_default_folder(void) {
    const char *chosen = getenv(X509_get_default_cert_dir_env());
    return chosen ? chosen : X509_get_default_cert_dir();
}
/* The folder may be a list with colons. */
static int default_folder_exists(void) {
    char path[1024];
    for (const char *at = psys_tls_default_folder(); *at; at += *at == ':') {
        size_t length = strcspn(at, ":");
        if (length < sizeof path) {
            memcpy(path, at, length);
            path[length] = 0;
            if (psys_tls_hashed_folder(path)) return 1;
        }
        at += length;
    }
    return 0;
}

int32_t psys_tls_search_trust(const char *root, char *path, size_t size) {
    static const char *const files[] = {
        "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine, Arch */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, Red Hat */
        "/etc/pki/tls/certs/ca-bundle.crt",                  /* Red Hat before */
        "/etc/ssl/ca-bundle.pem",                            /* SUSE */
        "/var/lib/ca-certificates/ca-bundle.pem",            /* SUSE, without the link */
        "/etc/ca-certificates/extracted/tls-ca-bundle.pem",  /* Arch */
        "/etc/ssl/cert.pem",                                 /* Alpine */
    };
    static const char *const folders[] = {
        "/etc/ssl/certs",
        "/etc/pki/tls/certs",
        "/var/lib/ca-certificates/openssl",
        "/etc/ca-certificates/extracted/cadir",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, size, "%s%s", root, files[i]);
        if (has_content(path)) return PSYS_TLS_FILE;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, size, "%s%s", root, folders[i]);
        if (psys_tls_hashed_folder(path)) return PSYS_TLS_FOLDER;
    }
    return 0;
}

int32_t psys_tls_trust_system(SSL_CTX *context) {
    char path[256];
    if (SSL_CTX_set_default_verify_paths(context) != 1) return -1;
    int32_t kind = 0, folder = default_folder_exists();
    int is_chosen = getenv(X509_get_default_cert_file_env()) || getenv(X509_get_default_cert_dir_env());
    /* An OpenSSL that was not built for this system looks in a place of its own where there is nothing. */
    if (!is_chosen && !folder && !has_content(psys_tls_default_file()))
        kind = psys_tls_search_trust("", path, sizeof path);
    if (kind == PSYS_TLS_FILE) SSL_CTX_load_verify_locations(context, path, NULL);
    if (kind == PSYS_TLS_FOLDER) SSL_CTX_load_verify_locations(context, NULL, path);
    if (folder || kind == PSYS_TLS_FOLDER) return 1;
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    return store && sk_X509_OBJECT_num(X509_STORE_get0_objects(store)) > 0;
}
void psys_tls_trust_each(SSL_CTX *context) {
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
}

#pragma clang attribute pop
