/* SPDX-License-Identifier: Apache-2.0
 *
 * replay [--times] [--ca FILE] URL: receives until the server closes, then prints one JSON line: how many messages, and the
 * SHA-256 over all of them, each followed by a line feed. With --times, before it, a line `received_ns text` for each.
 * Built with -lpulsews -lcrypto.
 */
#include <pulsews.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *url = NULL;
    int times = 0, failed = 0;
    char why[PULSEWS_ERROR_SIZE] = "";
    int32_t status = PULSEWS_OK, got;
    uint64_t count = 0, bytes = 0, sequence = 0;
    pulsews_config *config = pulsews_config_create();
    pulsews_client *client = NULL;
    pulsews_batch *batch = pulsews_batch_create();
    const pulsews_message *messages;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);

    status = pulsews_config_set(config, "reconnect", "false", why, sizeof why);
    for (int i = 1; i < argc && status == PULSEWS_OK; i++) {
        if (strcmp(argv[i], "--ca") == 0 && i + 1 < argc)
            status = pulsews_config_set(config, "ca_file", argv[++i], why, sizeof why);
        else if (strcmp(argv[i], "--times") == 0) times = 1;
        else url = argv[i];
    }
    if (status == PULSEWS_OK) status = pulsews_client_create(url, config, NULL, &client, why, sizeof why);
    if (status == PULSEWS_OK) status = pulsews_open(client, PULSEWS_FOREVER, why, sizeof why);
    if (status != PULSEWS_OK) {
        fprintf(stderr, "replay: %s: %s\n", pulsews_error_name(status), why);
        return 1;
    }
    while ((got = pulsews_recv_batch(client, batch, 256, PULSEWS_FOREVER, &messages)) > 0) {
        for (int32_t i = 0; i < got; i++) {
            EVP_DigestUpdate(digest, messages[i].data, messages[i].length);
            EVP_DigestUpdate(digest, "\n", 1);
            count++;
            bytes += messages[i].length;
            if (messages[i].sequence != ++sequence || messages[i].kind != PULSEWS_TEXT) failed = 1;
            if (times)
                printf("%" PRId64 " %.*s\n", messages[i].received_ns,
                       messages[i].length < 60 ? (int)messages[i].length : 60, (const char *)messages[i].data);
        }
    }
    if (got != PULSEWS_EPEERCLOSED || pulsews_close_code(client) != 1000) {
        fprintf(stderr, "replay: ended with %s, close code %d\n", pulsews_error_name(got), pulsews_close_code(client));
        failed = 1;
    }
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_DigestFinal_ex(digest, hash, &length);
    printf("{\"language\":\"C\",\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"sha256\":\"", count, bytes);
    for (unsigned int i = 0; i < length; i++) printf("%02x", hash[i]);
    printf("\"}\n");
    EVP_MD_CTX_free(digest);
    pulsews_batch_free(batch);
    pulsews_client_free(client);
    pulsews_config_free(config);
    return failed;
}
