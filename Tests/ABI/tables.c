/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

TEST(version_is_that_of_the_header) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", PULSEWS_VERSION_MAJOR, PULSEWS_VERSION_MINOR, PULSEWS_VERSION_PATCH);
    CHECK(strcmp(pulsews_version(), text) == 0);
    CHECK(pulsews_version_number() == PULSEWS_VERSION_NUMBER);
}

TEST(message_layout_is_frozen) {
    CHECK(sizeof(pulsews_message) == 40);
    CHECK(offsetof(pulsews_message, data) == 0);
    CHECK(offsetof(pulsews_message, length) == 8);
    CHECK(offsetof(pulsews_message, kind) == 16);
    CHECK(offsetof(pulsews_message, flags) == 20);
    CHECK(offsetof(pulsews_message, received_ns) == 24);
    CHECK(offsetof(pulsews_message, sequence) == 32);
}

TEST(error_table_is_sane) {
    size_t count = 0;
    for (int32_t code; (code = pulsews_error_at(count)) != 0; count++) {
        CHECK(code < 0);
        CHECK(strncmp(pulsews_error_name(code), "PULSEWS_E", 9) == 0);
        CHECK(strlen(pulsews_error_text(code)) > 5);
        int32_t retryable = pulsews_error_retryable(code);
        CHECK(retryable == 0 || retryable == 1);
        for (size_t i = 0; i < count; i++) {
            CHECK(pulsews_error_at(i) != code);
            CHECK(strcmp(pulsews_error_name(pulsews_error_at(i)), pulsews_error_name(code)) != 0);
        }
    }
    CHECK(count > 20);
    CHECK(pulsews_error_at((size_t)-1) == 0);
    CHECK(pulsews_error_at(count + 1) == 0);
    /* For the comparison with the header. */
    for (size_t i = 0; i < count; i++)
        printf("%s = %d\n", pulsews_error_name(pulsews_error_at(i)), pulsews_error_at(i));
}

TEST(unknown_codes_have_names_too) {
    const int32_t unknown[] = {1, -1, -99, -110, -99999, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        CHECK(pulsews_error_name(unknown[i]) != NULL && *pulsews_error_name(unknown[i]));
        CHECK(pulsews_error_text(unknown[i]) != NULL && *pulsews_error_text(unknown[i]));
        CHECK(pulsews_error_retryable(unknown[i]) == 0);
    }
    CHECK(strcmp(pulsews_error_name(PULSEWS_OK), "PULSEWS_OK") == 0);
    CHECK(*pulsews_error_text(PULSEWS_OK));
}

TEST(some_failures_can_mend) {
    CHECK(pulsews_error_retryable(PULSEWS_ERESET) == 1);
    CHECK(pulsews_error_retryable(PULSEWS_EOPENTIMEOUT) == 1);
    CHECK(pulsews_error_retryable(PULSEWS_EREFUSED) == 1);
    CHECK(pulsews_error_retryable(PULSEWS_EURL) == 0);
    CHECK(pulsews_error_retryable(PULSEWS_ECERTIFICATE) == 0);
    CHECK(pulsews_error_retryable(PULSEWS_EHOSTNAME) == 0);
}

TEST(option_table_is_sane) {
    static const char *const types[] = {"duration", "size", "integer", "number", "boolean",
                                        "choice",   "text", "header",  "list"};
    const char *name, *type, *value, *range, *meaning;
    char why[PULSEWS_ERROR_SIZE];
    size_t count = 0, known;
    pulsews_config *config = pulsews_config_create();
    for (; pulsews_option_at(count, &name, &type, &value, &range, &meaning) == PULSEWS_OK; count++) {
        CHECK(name && type && value && range && meaning);
        CHECK(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) && *name);
        for (known = 0; known < 9 && strcmp(types[known], type); known++) {}
        CHECK(known < 9);
        CHECK(*meaning && *range);
        /* A default is a value that the option takes. */
        if (known < 6 || *value) IS(pulsews_config_set(config, name, value, why, sizeof why), PULSEWS_OK);
        if (known < 6) IS(pulsews_config_set(config, name, "nonsense", why, sizeof why), PULSEWS_EVALUE);
        if (known < 6) IS(pulsews_config_set(config, name, "", why, sizeof why), PULSEWS_EVALUE);
        for (size_t i = 0; i < count; i++) {
            const char *other;
            IS(pulsews_option_at(i, &other, NULL, NULL, NULL, NULL), PULSEWS_OK);
            CHECK(strcmp(other, name) != 0);
        }
    }
    CHECK(count >= 50);
    IS(pulsews_option_at(count, &name, NULL, NULL, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_option_at((size_t)-1, NULL, NULL, NULL, NULL, NULL), PULSEWS_EINVAL);
    IS(pulsews_option_at(0, NULL, NULL, NULL, NULL, NULL), PULSEWS_OK);
    pulsews_config_free(config);
}
