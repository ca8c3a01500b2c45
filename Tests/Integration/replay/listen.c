/* SPDX-License-Identifier: Apache-2.0
 *
 *     listen URL NAME=VALUE...
 *
 * Connects with these options, and prints what it receives, in order, until the server closes: a line "T " and the text for
 * each message, a line "E " and the JSON for each event. Texts have no line feeds.
 */
#include <pulsews.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    char why[PULSEWS_ERROR_SIZE] = "";
    pulsews_client *ws = NULL;
    pulsews_config *config = pulsews_config_create();
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) return 2;
        *equals = 0;
        if (pulsews_config_set(config, argv[i], equals + 1, why, sizeof why) != PULSEWS_OK) {
            fprintf(stderr, "listen: %s\n", why);
            return 2;
        }
    }
    if (argc < 2 || pulsews_client_create(argv[1], config, NULL, &ws, why, sizeof why) != PULSEWS_OK ||
        pulsews_open(ws, PULSEWS_SECONDS(20), why, sizeof why) != PULSEWS_OK) {
        fprintf(stderr, "listen: %s\n", why);
        return 1;
    }
    pulsews_config_free(config);
    int32_t status;
    pulsews_message m;
    while ((status = pulsews_recv(ws, &m, PULSEWS_SECONDS(30))) == PULSEWS_OK)
        printf("%c %.*s\n", m.kind == PULSEWS_EVENT ? 'E' : 'T', (int)m.length, (const char *)m.data);
    int code = pulsews_close_code(ws);
    pulsews_client_free(ws);
    if (status == PULSEWS_EPEERCLOSED && code == 1000) return 0;
    fprintf(stderr, "listen: ended with %s, close code %d\n", pulsews_error_name(status), code);
    return 1;
}
