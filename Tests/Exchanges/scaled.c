/* SPDX-License-Identifier: Apache-2.0 */
#include "scaled.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double scale = 4320, pace = 20;

double real_time(double seconds) { return seconds / (seconds >= 3600 ? scale : pace); }

static double seconds_of(const char *text) {
    char unit[8] = "s";
    double number = 0;
    if (sscanf(text, "%lf%7[a-z]", &number, unit) < 1) return -1;
    static const struct {
        const char *name;
        double size;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0) return number * units[i].size;
    return -1;
}

static void fail(const char *name, const char *value, const char *why) {
    fprintf(stderr, "exchanges: option %s=%s: %s\n", name, value, why);
    exit(2);
}

static void set(pulsews_config *config, const char *name, const char *value) {
    char why[PULSEWS_ERROR_SIZE];
    if (pulsews_config_set(config, name, value, why, sizeof why) != PULSEWS_OK) fail(name, value, why);
}

static const char *type_of(const char *wanted, const char **value) {
    const char *name, *type;
    for (size_t i = 0; pulsews_option_at(i, &name, &type, value, NULL, NULL) == PULSEWS_OK; i++)
        if (strcmp(name, wanted) == 0) return type;
    fail(wanted, "", "there is no such option");
    return NULL;
}

/* Sets an option with its times scaled: a duration, or the time of a limit such as 300/5m. */
static void set_scaled(pulsews_config *config, const char *name, const char *value) {
    char text[64];
    const char *unused, *slash = strchr(value, '/');
    if (strcmp(type_of(name, &unused), "duration") == 0) {
        snprintf(text, sizeof text, "%.0fns", real_time(seconds_of(value)) * 1e9);
        set(config, name, text);
    } else if (strcmp(name, "rate_limit") == 0 || strcmp(name, "host_connect_rate") == 0) {
        char every[32];
        /* A limit without a number before the unit is one of it: 5/s. */
        snprintf(every, sizeof every, "%s%s", slash[1] >= '0' && slash[1] <= '9' ? "" : "1", slash + 1);
        snprintf(text, sizeof text, "%.*s/%.0fms", (int)(slash - value), value, real_time(seconds_of(every)) * 1e3);
        set(config, name, text);
    } else {
        set(config, name, value);
    }
}

static const char *lines_of(const char *preset) {
    const char *name, *lines;
    for (size_t i = 0; pulsews_preset_at(i, &name, NULL, &lines) == PULSEWS_OK; i++)
        if (strcmp(name, preset) == 0) return lines;
    fail("preset", preset, "there is no such preset");
    return NULL;
}

int preset_has(const char *preset, const char *option) {
    size_t length = strlen(option);
    for (const char *line = lines_of(preset); *line; line = strchr(line, '\n') + 1)
        if (strncmp(line, option, length) == 0 && line[length] == '=') return 1;
    return 0;
}

static int is_among(const char *name, const char *const *options) {
    size_t length = strlen(name);
    for (; options && *options; options++)
        if (strncmp(*options, name, length) == 0 && (*options)[length] == '=') return 1;
    return 0;
}

void set_preset(pulsews_config *config, const char *preset, const char *const *without) {
    for (const char *line = lines_of(preset), *end; *line; line = end + 1) {
        char name[64], value[1024];
        end = strchr(line, '\n');
        const char *equals = strchr(line, '=');
        snprintf(name, sizeof name, "%.*s", (int)(equals - line), line);
        snprintf(value, sizeof value, "%.*s", (int)(end - equals - 1), equals + 1);
        if (!is_among(name, without)) set_scaled(config, name, value);
    }
    /* Not open_timeout and close_timeout: how long this machine takes for a handshake has nothing to do with a day. */
    static const char *const defaults[] = {"heartbeat_interval",  "heartbeat_timeout", "reconnect_base_delay",
                                           "reconnect_max_delay", "stable_time",       "restart_delay",
                                           "backlog_interval",    "rotation_overlap"};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        const char *value;
        type_of(defaults[i], &value);
        if (!preset_has(preset, defaults[i])) set_scaled(config, defaults[i], value);
    }
}

void set_option(pulsews_config *config, const char *option) {
    char name[64];
    const char *equals = strchr(option, '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals - option), option);
    set(config, name, equals + 1);
}
