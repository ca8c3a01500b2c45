// SPDX-License-Identifier: Apache-2.0
// Makes a client of a URL that none can have, and says which library refused it.
#include <pulsews_hub.h>
#include <stdio.h>

int main(void) {
    char why[PULSEWS_ERROR_SIZE];
    pulsews_client *client = NULL;
    if (pulsews_client_create("http://localhost/", NULL, NULL, &client, why, sizeof why) != PULSEWS_EURL) {
        return 1;
    }
    printf("C with pulsews %s\n", pulsews_version());
    return 0;
}
