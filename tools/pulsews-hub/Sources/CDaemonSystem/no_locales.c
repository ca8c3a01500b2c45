/* SPDX-License-Identifier: Apache-2.0 */
/* The data of ICU for 800 locales are 34 MB, which Foundation brings with it and nothing here asks for. An empty package of
 * that name takes their place when the program is linked: a header, and a table of contents with no entry (the form that
 * ICU's own "stub data" have). The tests of the daemon run with it. Swift's Foundation with another ICU has another name
 * here, and then the program is large again, and right. */
#include <stdint.h>

typedef struct icu_package {
    uint16_t header_size;
    uint8_t magic[2];
    struct {
        uint16_t size, reserved;
        uint8_t is_big_endian, charset_family, size_of_char, reserved_byte;
        uint8_t format[4], format_version[4], data_version[4];
    } info;
    uint8_t padding[8];
    uint32_t count, reserved;
} icu_package;

extern const icu_package icudt76_dat;

_Alignas(16) const icu_package icudt76_dat = {
    .header_size = 32,
    .magic = {0xda, 0x27},
    .info = {.size = 20, .size_of_char = 2, .format = {'T', 'o', 'C', 'P'}, .format_version = {1}},
};
